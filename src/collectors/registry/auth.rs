//! How a registry is told who asks: challenges, tokens, and where credentials are kept.
//!
//! Source: <https://distribution.github.io/distribution/spec/auth/token/>

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::jwt;
use crate::say::Message;
use crate::value::{Secret, SecretRef};

/// A token that says nothing about its life lives for a minute.
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// No token is used for longer, whatever life it claims.
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// What a registry asks for with its 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

impl Challenge {
    /// Reads a `WWW-Authenticate` header, which may hold several challenges; those of other schemes are
    /// left out. Source: RFC 9110, section 11.6.1.
    pub(super) fn parse(header: &str) -> Vec<Self> {
        let mut found = Vec::new();
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let (scheme, after) = token(rest);
            if scheme.is_empty() {
                return found;
            }
            let (mut parameters, after) = parameters(after);
            // Whatever cannot be read ends the header, since nothing tells where the next one begins.
            rest = if after.len() < rest.len() { after } else { "" };
            if scheme.eq_ignore_ascii_case("basic") {
                found.push(Self::Basic);
            } else if scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = parameters.remove("realm")
            {
                found.push(Self::Bearer { realm, service: parameters.remove("service"), scope: parameters.remove("scope") });
            }
        }
    }
}

/// A word of a header, and what follows it.
fn token(text: &str) -> (&str, &str) {
    text.split_at(text.find([' ', '\t', ',', '=', '"']).unwrap_or(text.len()))
}

/// `a="b, c",d=e` as pairs, and what follows them: the next challenge is a word without `=`. A comma in
/// quotes belongs to the value.
fn parameters(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut pairs = BTreeMap::new();
    let mut rest = text;
    loop {
        let next = rest.trim_start_matches([' ', '\t', ',']);
        let (name, after) = token(next);
        let Some(value) = after.trim_start().strip_prefix('=').filter(|_| !name.is_empty()) else { return (pairs, next) };
        let value = value.trim_start();
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            unquoted(quoted)
        } else {
            // Bare values with slashes and colons are not what the grammar has, and are sent all the same.
            let (value, after) = value.split_at(value.find(',').unwrap_or(value.len()));
            (value.trim().to_owned(), after)
        };
        pairs.insert(name.to_ascii_lowercase(), value);
        rest = after;
    }
}

/// The rest of a text in quotes, with what follows it.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

/// What a token endpoint answers.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    /// In seconds: a number, and for some a fraction of one or a text.
    expires_in: Option<serde_json::Value>,
}

impl TokenAnswer {
    /// The token and how long it may be used: a tenth less than it lives, counted from when it
    /// arrived, because the clocks of the two sides may differ by minutes.
    pub(super) fn take(self) -> Option<(Secret, Duration)> {
        let token = self.token.filter(|token| !token.is_empty()).or(self.access_token)?;
        let seconds = match &self.expires_in {
            Some(serde_json::Value::String(text)) => text.trim().parse().ok(),
            Some(value) => value.as_f64(),
            None => None,
        };
        // What is no length of time is as good as nothing.
        let life =
            seconds.filter(|seconds: &f64| *seconds >= 1.0).map_or(DEFAULT_LIFE, |seconds| Duration::from_secs_f64(seconds.min(LONGEST_LIFE.as_secs_f64())));
        Some((Secret::new(token), life.mul_f64(0.9)))
    }
}

/// Whoever asks.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    Anonymous,
    User {
        name: String,
        password: Secret,
    },
    /// An opaque token that is sent as it is.
    Token(Secret),
    /// What a token is given for at the realm of a registry, as `docker login` keeps it for some.
    Refresh(Secret),
}

impl Identity {
    /// Whether it is the very same.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Anonymous, Self::Anonymous) => true,
            (Self::User { name, password }, Self::User { name: other, password: secret }) => name == other && password.expose() == secret.expose(),
            (Self::Token(own), Self::Token(other)) | (Self::Refresh(own), Self::Refresh(other)) => own.expose() == other.expose(),
            _ => false,
        }
    }

    /// What it tells about its own life.
    pub(crate) fn life(&self) -> Life {
        let (name, secret) = match self {
            Self::Anonymous => return Ending::Untold.into(),
            Self::User { name, password } => (name.as_str(), password),
            Self::Token(token) | Self::Refresh(token) => ("", token),
        };
        if let Some(ends) = (name == "AWS").then(|| end_of_ecr(secret.expose())).flatten() {
            return Life { ends: Ending::At(ends), begins: None, made: Some(ends.saturating_sub(LIFE_OF_ECR)) };
        }
        match jwt::claims(secret.expose()) {
            Ok(claims) => Life::of_claims(&claims),
            Err(_) => user_for_hours(name).or_else(|| jwt::lives_for_hours(secret.expose())).map_or(Ending::Untold, Ending::Short).into(),
        }
    }
}

/// What a credential of a registry tells about its own life, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) ends: Ending,
    /// From when on it holds, where it tells.
    pub(crate) begins: Option<i64>,
    /// When it was made, where it tells.
    pub(crate) made: Option<i64>,
}

impl Life {
    /// What a JSON Web Token says. RFC 7519, sections 4.1.4 to 4.1.6: without the claim it has no end.
    fn of_claims(claims: &serde_json::Value) -> Self {
        let moment = |claim: &str| claims.get(claim).map(jwt::seconds);
        let (exp, begins, made) = (moment("exp"), moment("nbf"), moment("iat").flatten());
        let ends = match (exp, begins) {
            (Some(None), _) => Ending::Short("its token tells its end in a form that is not known"),
            (_, Some(None)) => Ending::Short("its token tells from when on it holds in a form that is not known"),
            (Some(Some(ends)), _) => Ending::At(ends),
            (None, _) => Ending::Never,
        };
        Self { ends, begins: begins.flatten(), made: made.filter(|made| exp.flatten().is_none_or(|ends| *made < ends)) }
    }
}

impl From<Ending> for Life {
    fn from(ends: Ending) -> Self {
        Self { ends, begins: None, made: None }
    }
}

/// What a credential of a registry tells about its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The moment.
    At(i64),
    /// That it has none.
    Never,
    /// That it lives for hours, but not until when; the words say why.
    Short(&'static str),
    /// Nothing: passwords last until somebody changes them, as far as they tell.
    Untold,
}

/// How long a token of ECR lives.
/// Source: <https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html>
pub(super) const LIFE_OF_ECR: i64 = 12 * 3600;

/// When a password of ECR ends: it is a JSON document in base64 that says so itself.
fn end_of_ecr(password: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Payload {
        expiration: i64,
    }
    let decoded = STANDARD.decode(password).ok()?;
    Some(serde_json::from_slice::<Payload>(&decoded).ok()?.expiration)
}

/// Why the password of a user ends within hours: users of registries that stand for such tokens.
/// Sources: <https://cloud.google.com/artifact-registry/docs/docker/authentication#token>,
/// <https://docs.gitlab.com/user/packages/container_registry/authenticate_with_container_registry/>
fn user_for_hours(name: &str) -> Option<&'static str> {
    match name {
        "AWS" => Some("a token of ECR lives for twelve hours, and this one does not tell since when"),
        "oauth2accesstoken" => Some("an access token of Google lives for an hour, and does not tell since when"),
        "gitlab-ci-token" => Some("a token of a job of GitLab expires with the job"),
        _ => None,
    }
}

/// Reads a user's password.
pub(super) async fn user(name: &str, password: &SecretRef) -> Result<Identity, Message> {
    Ok(Identity::User { name: name.to_owned(), password: password.read().await? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            vec![Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned), scope: scope.map(str::to_owned) }]
        };
        let both = [bearer("https://a/t", Some("b"), None), vec![Challenge::Basic]].concat();
        for (header, read) in [
            (
                r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:coder/coder-preview:pull""#,
                bearer("https://ghcr.io/token", Some("ghcr.io"), Some("repository:coder/coder-preview:pull")),
            ),
            (
                r#"bearer realm="https://a/t", scope="repository:x:pull,push",error="insufficient_scope""#,
                bearer("https://a/t", None, Some("repository:x:pull,push")),
            ),
            ("Bearer realm=https://a/t,service=b", bearer("https://a/t", Some("b"), None)),
            (r#"Basic realm="Registry Realm""#, vec![Challenge::Basic]),
            ("Basic", vec![Challenge::Basic]),
            ("Bearer", Vec::new()),
            ("Negotiate", Vec::new()),
            ("Negotiate YII=, Basic realm=\"x\"", vec![Challenge::Basic]),
            ("", Vec::new()),
            (r#"Bearer realm="https://a/t",service="b", Basic realm="c, d""#, both.clone()),
            (r#"Bearer realm = "https://a/t" , service=b,Basic"#, both.clone()),
            (r#"Basic realm="c, Bearer realm=\"https://evil/t\"""#, vec![Challenge::Basic]),
            (r#", Digest nonce="1" , , Bearer realm="https://a/t",service=b , Basic"#, both),
            (r#"Bearer realm="unfinished"#, bearer("unfinished", None, None)),
        ] {
            assert_eq!(Challenge::parse(header), read, "{header}");
        }
    }

    #[test]
    fn a_token_is_used_for_less_than_its_life() {
        let take = |text: &str| serde_json::from_str::<TokenAnswer>(text).unwrap().take().map(|(token, life)| (token.expose().to_owned(), life.as_secs()));
        assert_eq!(take(r#"{"token":"t","expires_in":300}"#), Some(("t".to_owned(), 270)));
        assert_eq!(take(r#"{"access_token":"t","issued_at":"2020-01-01T00:00:00Z"}"#), Some(("t".to_owned(), 54)));
        assert_eq!(take(r#"{"token":"","access_token":"t","expires_in":0}"#), Some(("t".to_owned(), 54)));
        assert_eq!(take("{}"), None);
        // As text, as a fraction, and as what is no length of time.
        for (lasts, used) in [(r#""300""#, 270), ("300.0", 270), ("300.9", 270), ("-5", 54), ("null", 54), (r#""soon""#, 54), ("[]", 54), ("1e300", 77_760)] {
            let text = format!(r#"{{"token":"t","expires_in":{lasts}}}"#);
            assert_eq!(take(&text), Some(("t".to_owned(), used)), "{lasts}");
        }
        // Whatever it claims, the moment of its end can be computed.
        let endless = serde_json::from_str::<TokenAnswer>(r#"{"token":"t","expires_in":18446744073709551615}"#).unwrap().take();
        assert!(endless.is_some_and(|(_, life)| tokio::time::Instant::now() + life > tokio::time::Instant::now()));
        crate::fuzz::survive_text(&[r#"{"token":"t","expires_in":300,"access_token":"u"}"#], |text| {
            let life = serde_json::from_str::<TokenAnswer>(text).ok().and_then(TokenAnswer::take).map(|(_, life)| life);
            life.map(|life| tokio::time::Instant::now() + life)
        });
        crate::fuzz::survive_text(&[r#"Bearer realm="https://a/t",service="b",scope="repository:x:pull,push""#, "Basic realm=x"], Challenge::parse);
    }

    #[test]
    fn an_ecr_password_tells_when_it_expires() {
        let password = STANDARD.encode(r#"{"payload":"x","datakey":"y","version":"2","type":"DATA_KEY","expiration":1764000000}"#);
        let user = |name: &str, password: &str| Identity::User { name: name.to_owned(), password: Secret::new(password.to_owned()) };
        let made = Some(1_764_000_000 - 12 * 3600);
        assert_eq!(user("AWS", &password).life(), Life { ends: Ending::At(1_764_000_000), begins: None, made });
        assert_eq!(user("me", &password).life(), Ending::Untold.into());
        assert!(matches!(user("AWS", "no base64").life().ends, Ending::Short(_)));
    }

    #[test]
    fn tokens_of_other_registries_tell_their_end_or_that_it_is_near() {
        let token = |claims: &str| jwt::token(r#"{"alg":"RS256"}"#, claims);
        let user = |name: &str, password: &str| Identity::User { name: name.to_owned(), password: Secret::new(password.to_owned()) };
        let three_hours = token(r#"{"iat":1764000000,"exp":1764010800.5}"#);
        let until = Life { ends: Ending::At(1_764_010_800), begins: None, made: Some(1_764_000_000) };
        let secret = || Secret::new(three_hours.clone());
        for identity in [user("00000000-0000-0000-0000-000000000000", &three_hours), Identity::Token(secret()), Identity::Refresh(secret())] {
            assert_eq!(identity.life(), until);
        }
        assert_eq!(user("me", &token(r#"{"exp":1764010800}"#)).life(), Ending::At(1_764_010_800).into());
        let later = user("me", &token(r#"{"nbf":1764000000,"exp":1764010800}"#)).life();
        assert_eq!(later, Life { begins: Some(1_764_000_000), ..Ending::At(1_764_010_800).into() });
        assert!(matches!(user("me", &token(r#"{"nbf":"soon","exp":1764010800}"#)).life().ends, Ending::Short(_)));
        assert_eq!(user("me", &token(r#"{"iat":1764000000}"#)).life().ends, Ending::Never, "a token without an end");
        assert!(matches!(user("me", &token(r#"{"exp":"soon"}"#)).life().ends, Ending::Short(_)));
        assert!(matches!(user("me", &token(r#"{"exp":1764010800000}"#)).life().ends, Ending::Short(_)), "which is no moment in seconds");
        for (name, password) in [("oauth2accesstoken", "ya29.a"), ("gitlab-ci-token", "x"), ("x-access-token", "ghs_a"), ("me", "ghu_a"), ("me", "glcbt-a")] {
            assert!(matches!(user(name, password).life().ends, Ending::Short(_)), "{name} {password}");
        }
        for (name, password) in [("_json_key", "{}"), ("me", "ghp_a"), ("robot$a", "a.b.c"), ("me", "hunter2")] {
            assert_eq!(user(name, password).life(), Ending::Untold.into(), "{name} {password}");
        }
    }
}
