//! What a token tells by itself: a JSON Web Token by its claims, others by how tokens of their kind begin. Pure; nothing
//! of a token is kept or quoted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use crate::document;

/// The claims of a JSON Web Token, or why it is none. Its signature is not checked: whoever takes it does that.
/// Source: RFC 7519, section 7.2.
pub(crate) fn claims(text: &str) -> Result<Value, &'static str> {
    #[derive(Deserialize)]
    struct Header {
        alg: Option<String>,
    }
    let mut parts = text.trim().split('.');
    let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err("it is no token of three parts");
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part.trim_end_matches('='));
    let header = decode(header).ok().and_then(|bytes| document::read(&bytes)).and_then(|header| serde_json::from_value::<Header>(header).ok());
    let header = header.ok_or("its header cannot be read")?;
    if signature.trim_end_matches('=').is_empty() || header.alg.as_deref().is_none_or(|alg| alg.eq_ignore_ascii_case("none")) {
        return Err("it is not signed");
    }
    decode(signature).map_err(|_| "its signature cannot be read")?;
    decode(claims).ok().and_then(|bytes| document::read(&bytes)).filter(Value::is_object).ok_or("its claims cannot be read")
}

/// What some write for never is the last second of the year 9999; beyond that a number counts milliseconds, whatever the
/// claim should be.
const MILLISECONDS: i64 = 253_402_300_801;

/// A moment of a claim, in Unix seconds. It may have a fraction; what can be no moment in seconds is none. RFC 7519, section 2.
#[expect(clippy::cast_possible_truncation, reason = "whole seconds are enough, and a cast of a float stops at the ends")]
pub(crate) fn seconds(claim: &Value) -> Option<i64> {
    let seconds = claim.as_i64().or_else(|| claim.as_f64().map(|seconds| seconds as i64));
    seconds.filter(|seconds| *seconds < MILLISECONDS)
}

/// Why a token ends within hours that does not tell when: it is of a kind whose tokens all do, by how they begin.
/// Sources: <https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats>,
/// <https://docs.gitlab.com/security/tokens/#token-prefixes>,
/// <https://cloud.google.com/docs/authentication/token-types#access>
pub(crate) fn lives_for_hours(token: &str) -> Option<&'static str> {
    [
        ("ghs_", "a token that GitHub gives an installation or a job lives for an hour, and does not tell since when"),
        ("ghu_", "a token that GitHub gives an app for a person lives for eight hours, and does not tell since when"),
        ("glcbt-", "a token of a job of GitLab expires with the job"),
        ("ya29.", "an access token of Google lives for an hour, and does not tell since when"),
    ]
    .into_iter()
    .find_map(|(start, why)| token.trim().starts_with(start).then_some(why))
}

/// A token of these parts, with a signature that nobody checks.
#[cfg(test)]
pub(crate) fn token(header: &str, claims: &str) -> String {
    format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}
