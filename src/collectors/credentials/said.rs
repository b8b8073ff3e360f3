//! What issuers say about a credential, read from their documents: pure.
//!
//! A proxy that signs people in, a page for maintenance or another service answers 200 as well, so an
//! answer counts only if it says what no other program says about this credential: its name or its hash,
//! and that it is in use. What is missing, or of another type than documented, is no good news, and the
//! reader then returns `None`.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::config::ProvisionerKey;
use super::dates::{self, CLOCKS, Ends};
use super::expiry::Told;
use super::fixes;
use super::prove::Proof;
use crate::jwt;
use crate::say;

/// When something ends, where the documentation says that `null` stands for never.
fn end(said: &Value, field: &str, silent: &'static str) -> Told {
    match said.get(field) {
        Some(Value::Null) => Told::of(Ends::Never),
        Some(value) => dates::of_json(value).map_or_else(|| Told::silent(silent), Told::of),
        None => Told::silent(silent),
    }
}

fn is_named(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// A token of GitLab about itself.
/// Source: <https://docs.gitlab.com/api/personal_access_tokens/#self-inform>
pub(super) fn gitlab(said: &Value) -> Option<Proof> {
    let (Some(active), Some(revoked)) = (said["active"].as_bool(), said["revoked"].as_bool()) else { return None };
    if said["id"].as_u64().is_none_or(|id| id == 0) {
        return None;
    }
    Some(if revoked || !active {
        Proof::Refused(say!("GitLab says that the token is not active").fixed_by(fixes::OVER))
    } else {
        Proof::Taken(end(said, "expires_at", "GitLab does not say when it expires"))
    })
}

/// Whether a token of GitLab is of a kind that stands for nobody: for deploying, for runners, jobs, triggers, feeds,
/// mail, agents, SCIM and clients of feature flags. Those of people, projects and groups begin otherwise.
/// Source: <https://docs.gitlab.com/security/tokens/#token-prefixes>
pub(super) fn is_for_no_api_of_gitlab(token: &str) -> bool {
    ["gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-", "glffct-"].iter().any(|prefix| token.starts_with(prefix))
}

/// Whether GitHub says what it allows somebody. Whoever shows no token, or one that is not known, may ask sixty times
/// an hour.
/// Source: <https://docs.github.com/en/rest/rate-limit/rate-limit>
pub(super) fn is_limit_of_github(said: &Value) -> bool {
    let core = &said["resources"]["core"];
    let [limit, remaining, reset] = ["limit", "remaining", "reset"].map(|name| core[name].as_u64());
    limit.is_some_and(|limit| limit > 60 && remaining.is_some_and(|remaining| remaining <= limit)) && reset.is_some_and(|reset| reset > 0)
}

/// Whether GitHub says who somebody is, which it tells nobody who shows no token.
/// Source: <https://docs.github.com/en/rest/users/users#get-the-authenticated-user>
pub(super) fn is_user_of_github(said: &Value) -> bool {
    is_named(&said["login"]) && is_named(&said["type"]) && said["id"].as_u64().is_some_and(|id| id > 0)
}

/// A token that GitHub took. `ends` are its headers about the end of the token, of which one that has none sends none;
/// neither do those of the kinds that live for hours.
/// Source: <https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api>
pub(super) fn github(token: &str, ends: &[Option<Ends>]) -> Proof {
    Proof::Taken(match ends {
        [] => jwt::lives_for_hours(token).map_or_else(|| Told::of(Ends::Never), Told::silent),
        [first, others @ ..] if others.iter().any(|other| other != first) => Told::silent("GitHub tells two ends of it"),
        [first, ..] => first.map_or_else(|| Told::silent("GitHub tells its end in a form that is not known"), Told::of),
    })
}

/// A token of Coder about itself, by its identity.
/// Source: <https://coder.com/docs/reference/api/users#get-api-key-by-id>
pub(super) fn coder(said: &Value, id: &str) -> Option<Proof> {
    if said["id"] != id || !is_named(&said["user_id"]) {
        return None;
    }
    // Every token of Coder ends, so that null is no answer.
    let ends = said["expires_at"].as_str().and_then(dates::read);
    Some(Proof::Taken(ends.map_or_else(|| Told::silent("Coder does not say when it expires"), Told::of)))
}

/// The licences of a deployment. Those that follow each other without a gap are one.
/// Source: <https://coder.com/docs/reference/api/enterprise#get-licenses>
pub(super) fn coder_license(said: &Value, now: i64) -> Option<Proof> {
    let all = said.as_array().filter(|all| all.iter().all(|own| own["id"].is_u64() && own["claims"].is_object()))?;
    if all.is_empty() {
        return Some(Proof::Refused(say!("Coder has no licence")));
    }
    let span = |own: &Value| {
        let claims = &own["claims"];
        let begins = claims.get("nbf").map_or(Some(i64::MIN), dates::moment)?;
        // After license_expires Coder lets a deployment go on for a while, and exp ends that as well; whichever comes first.
        let ends = ["license_expires", "exp"].iter().filter_map(|claim| claims.get(*claim)).map(dates::moment).collect::<Option<Vec<_>>>()?;
        Some((begins, ends.into_iter().min()?))
    };
    let Some(mut spans) = all.iter().map(span).collect::<Option<Vec<(i64, i64)>>>() else {
        return Some(Proof::Taken(Told::silent("Coder does not say from when until when a licence holds")));
    };
    spans.sort_unstable();
    let Some(first) = spans.iter().filter(|(begins, _)| *begins <= now.saturating_add(CLOCKS)).map(|(_, ends)| *ends).max() else {
        return Some(Proof::Refused(say!("no licence of Coder has begun yet")));
    };
    let last = spans.iter().fold(first, |last, (begins, ends)| if *begins <= last { last.max(*ends) } else { last });
    Some(Proof::Taken(Told::of(Ends::At(last))))
}

/// Provisioner keys of an organization. They never end and are never shown again; what tells is how
/// old they are.
/// Source: <https://coder.com/docs/reference/api/enterprise#list-provisioner-key>
pub(super) fn coder_provisioner_key(said: &Value, key: &ProvisionerKey) -> Option<Proof> {
    let all = said.as_array().filter(|all| all.iter().all(|own| is_named(&own["id"]) && is_named(&own["name"])))?;
    let mut mine = all.iter().filter(|own| own["name"] == key.name.as_str());
    Some(match (mine.next(), mine.next()) {
        (None, _) => Proof::Refused(say!("Coder has no provisioner key of that name")),
        (Some(_), Some(_)) => return None,
        (Some(found), None) => match dates::moment(&found["created_at"]) {
            Some(created) => Proof::Taken(Told { created: Some(created), ..Told::default() }),
            None => Proof::Taken(Told::silent("Coder does not say how old it is")),
        },
    })
}

/// A key of LiteLLM about itself: as it is, or by its hash.
/// Source: <https://docs.litellm.ai/docs/proxy/virtual_keys>
pub(super) fn litellm(said: &Value, key: &str) -> Option<Proof> {
    let hash: String = Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let own = |named: &Value| named.as_str().is_some_and(|named| named == key || named == hash);
    let info = &said["info"];
    if !info.is_object() || !(own(&said["key"]) || own(&info["token"])) {
        return None;
    }
    // Null, or left out, for a key that nobody ever blocked.
    match &info["blocked"] {
        Value::Null | Value::Bool(false) => {}
        Value::Bool(true) => return Some(Proof::Refused(say!("LiteLLM says that the key is blocked").fixed_by(fixes::HELD_BACK))),
        _ => return None,
    }
    // LiteLLM refuses a request once what was spent has reached the budget.
    // Source: <https://docs.litellm.ai/docs/proxy/users>
    match (&info["max_budget"], &info["spend"]) {
        (Value::Null, _) => {}
        (Value::Number(most), Value::Number(spent)) if spent.as_f64() < most.as_f64() => {}
        (Value::Number(_), Value::Number(_)) => {
            return Some(Proof::Refused(say!("LiteLLM says that the budget of the key is used up").fixed_by(fixes::HELD_BACK)));
        }
        _ => return None,
    }
    // With a limit of 0 LiteLLM refuses every request.
    // Source: <https://github.com/BerriAI/litellm/blob/main/litellm/proxy/hooks/parallel_request_limiter.py>
    if ["max_parallel_requests", "rpm_limit", "tpm_limit"].iter().any(|limit| info[*limit].as_f64() == Some(0.0)) {
        return Some(Proof::Refused(say!("LiteLLM says that a limit of the key is 0").fixed_by(fixes::HELD_BACK)));
    }
    Some(Proof::Taken(end(info, "expires", "LiteLLM does not say when it expires")))
}

/// Why LiteLLM refuses a key, by the type of its error, which it sends with status 400 or 401.
/// Source: <https://github.com/BerriAI/litellm/blob/main/litellm/proxy/_types.py>, `ProxyErrorTypes`
pub(super) fn litellm_refusal(said: &Value) -> Option<Proof> {
    match said["error"]["type"].as_str()? {
        "expired_key" => Some(Proof::Refused(say!("LiteLLM says that the key has expired").fixed_by(fixes::OVER))),
        "budget_exceeded" => Some(Proof::Refused(say!("LiteLLM says that the budget of the key is used up").fixed_by(fixes::HELD_BACK))),
        "auth_error" | "token_not_found_in_db" => Some(Proof::Refused(say!("LiteLLM refuses the key"))),
        _ => None,
    }
}

/// The passwords of an application of Entra, of which the one whose first characters are those of the
/// secret is meant. Of several such, the one that ends first may be.
/// Source: <https://learn.microsoft.com/en-us/graph/api/resources/passwordcredential>
pub(super) fn entra_passwords(said: &Value, secret: &str) -> Option<Proof> {
    let all = said["passwordCredentials"].as_array()?;
    let hint = |own: &&Value| own["hint"].as_str().is_some_and(|hint| !hint.is_empty() && secret.starts_with(hint));
    let mine: Vec<&Value> = all.iter().filter(hint).collect();
    let ends = mine.iter().map(|own| dates::moment(&own["endDateTime"])).collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().min());
    let begins = mine.iter().filter_map(|own| dates::moment(&own["startDateTime"])).min();
    let told = ends.map_or_else(|| Told::silent("Graph does not say when the secret expires"), |at| Told::of(Ends::At(at)));
    Some(Proof::Taken(Told { created: begins, ..told }))
}

/// Models that Bedrock lists to whoever may use it.
/// Source: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html>
pub(super) fn bedrock_models(said: &Value) -> bool {
    let is_model = |model: &Value| model["modelArn"].as_str().is_some_and(|arn| arn.starts_with("arn:aws")) && is_named(&model["modelId"]);
    said["modelSummaries"].as_array().is_some_and(|all| !all.is_empty() && all.iter().all(is_model))
}

/// Why Bedrock refuses a key, by words that it uses of keys alone; `None` when it may know the key.
pub(super) fn bedrock_refusal(said: &Value) -> Option<&'static str> {
    let text = said["message"].as_str().or_else(|| said["Message"].as_str())?;
    if text.contains("not authorized to perform") {
        return None;
    }
    if text.contains("has expired") {
        return Some("Bedrock says that the key has expired");
    }
    (text.contains("API Key") || text.contains("Bearer Token")).then_some("Bedrock refuses the key")
}
