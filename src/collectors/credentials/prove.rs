//! Calls that cost nothing and prove a credential: each issuer's own word about it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::config::{Credential, EntraApplication, Kind, ProvisionerKey};
use super::dates::{self, Ends};
use super::expiry::Told;
use crate::cause::Cause as _;
use crate::net;
use crate::say;
use crate::say::Message;
use crate::snapshot::{CollectError, ErrorClass};

/// What an issuer said.
pub(super) enum Proof {
    /// It takes the credential.
    Taken(Told),
    /// It was not asked, but the credential tells about itself.
    Unproven(Told),
    /// It does not, and why.
    Refused(Message),
}

/// Answers are small; more is none.
const LARGEST: usize = 1 << 20;

/// Asks the issuer of a credential.
pub(super) struct Issuer<'a> {
    pub(super) client: &'a Client,
    pub(super) api: &'a str,
    pub(super) timeout: Duration,
    pub(super) calls: &'a AtomicU64,
}

impl Issuer<'_> {
    /// Whether the issuer takes a credential, and what it says about its end.
    pub(super) async fn ask(&self, credential: &Credential, text: &str) -> Result<Proof, CollectError> {
        match (credential.kind, &credential.entra, &credential.provisioner) {
            (Kind::Gitlab, ..) => self.gitlab(text.trim()).await,
            (Kind::Github, ..) => self.github(text.trim()).await,
            (Kind::Coder, ..) => self.coder(text.trim()).await,
            (Kind::CoderLicense, ..) => self.coder_license(text.trim()).await,
            (Kind::CoderProvisionerKey, _, Some(key)) => self.coder_provisioner_key(key, text.trim()).await,
            (Kind::Litellm, ..) => self.litellm(text.trim()).await,
            (Kind::GcpServiceAccount, ..) => self.google(credential.google.as_ref(), text).await,
            (Kind::EntraAppSecret, Some(application), _) => self.entra(application, text.trim()).await,
            _ => Err(CollectError::new(ErrorClass::Local, "no call proves this kind")),
        }
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.api.trim_end_matches('/')))
    }

    async fn send(&self, what: &Message, request: RequestBuilder) -> Result<Response, CollectError> {
        let late = |_| CollectError::new(ErrorClass::Timeout, say!("{}: no answer within {}", what, crate::config::Span(self.timeout)));
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = tokio::time::timeout(self.timeout, net::send(request.send())).await.map_err(late)?;
        answer.map_err(|error| CollectError::new(ErrorClass::Unreachable, say!("{}: {}", what, error.words())))
    }

    /// The document of a good answer, `None` when the credential was refused. No word of the answer
    /// goes into an error: issuers echo what they were sent.
    pub(super) async fn json(&self, what: &Message, request: RequestBuilder) -> Result<Option<Value>, CollectError> {
        let answer = self.send(what, request).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(None),
            status => return Err(CollectError::new(ErrorClass::of_status(status.as_u16()), say!("{}: status {}", what, status.as_u16()))),
        }
        serde_json::from_slice(&self.body(what, answer).await?).map(Some).map_err(|_| malformed(what))
    }

    /// Posts a form for a token: the status and the document of the answer, since issuers say in it why
    /// they refuse; null when it is none.
    pub(super) async fn exchange(&self, what: &Message, url: String, form: String) -> Result<(StatusCode, Value), CollectError> {
        let request = self.client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = self.send(what, request).await?;
        let status = answer.status();
        Ok((status, serde_json::from_slice(&self.body(what, answer).await?).unwrap_or_default()))
    }

    async fn body(&self, what: &Message, answer: Response) -> Result<Vec<u8>, CollectError> {
        let body = tokio::time::timeout(self.timeout, net::bounded(answer, LARGEST)).await;
        body.map_err(|_| malformed(what))?.map_err(|_| malformed(what))
    }

    /// Source: <https://docs.gitlab.com/api/personal_access_tokens/#self-inform>
    async fn gitlab(&self, token: &str) -> Result<Proof, CollectError> {
        let what = &say!("ask GitLab about the token");
        let Some(said) = self.json(what, self.get("/api/v4/personal_access_tokens/self").header("PRIVATE-TOKEN", token)).await? else {
            return Ok(Proof::Refused(say!("GitLab refuses the token")));
        };
        if said["active"] == Value::Bool(false) || said["revoked"] == Value::Bool(true) {
            return Ok(Proof::Refused(say!("GitLab says that the token is not active")));
        }
        if said["active"] != Value::Bool(true) || !said["id"].is_u64() {
            return Err(malformed(what));
        }
        let ends = said.get("expires_at").and_then(dates::of_json);
        Ok(Proof::Taken(ends.map_or_else(|| Told::silent("GitLab does not say when it ends"), Told::of)))
    }

    /// Any call tells, in a header; without it the token has no end. So the body must be one that only
    /// GitHub sends, and to somebody whom it knows: others may ask sixty times an hour.
    /// Source: <https://docs.github.com/en/rest/rate-limit/rate-limit>
    /// Source: <https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api>
    async fn github(&self, token: &str) -> Result<Proof, CollectError> {
        let what = &say!("ask GitHub about the token");
        let answer = self.send(what, self.get("/rate_limit").bearer_auth(token)).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Ok(Proof::Refused(say!("GitHub refuses the token"))),
            status => return Err(CollectError::new(ErrorClass::of_status(status.as_u16()), say!("{}: status {}", what, status.as_u16()))),
        }
        let header = answer.headers().get("github-authentication-token-expiration").map(|header| header.to_str().ok().and_then(dates::read));
        let said: Value = serde_json::from_slice(&self.body(what, answer).await?).map_err(|_| malformed(what))?;
        if said["rate"]["limit"].as_u64().or_else(|| said["resources"]["core"]["limit"].as_u64()).is_none_or(|limit| limit <= 60) {
            return Err(malformed(what));
        }
        let Some(ends) = header else { return Ok(Proof::Taken(Told::default())) };
        Ok(Proof::Taken(ends.map_or_else(|| Told::silent("GitHub tells its end in a form that is not known"), Told::of)))
    }

    /// The identity of a token stands before its dash.
    /// Source: <https://coder.com/docs/reference/api/users#get-api-key-by-id>
    async fn coder(&self, token: &str) -> Result<Proof, CollectError> {
        let Some((id, _)) = token.split_once('-').filter(|(id, _)| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())) else {
            return Ok(Proof::Refused(say!("it is no token of Coder")));
        };
        let request = self.get(&format!("/api/v2/users/me/keys/{id}")).header("Coder-Session-Token", token);
        let what = &say!("ask Coder about the token");
        let Some(said) = self.json(what, request).await? else {
            return Ok(Proof::Refused(say!("Coder refuses the token")));
        };
        if said["id"] != id {
            return Err(malformed(what));
        }
        let ends = said.get("expires_at").and_then(dates::of_json);
        Ok(Proof::Taken(ends.map_or_else(|| Told::silent("Coder does not say when it ends"), Told::of)))
    }

    /// The licence that ends last counts: the others are those that it replaced.
    /// Source: <https://coder.com/docs/reference/api/enterprise#get-licenses>
    async fn coder_license(&self, token: &str) -> Result<Proof, CollectError> {
        let request = self.get("/api/v2/licenses").header("Coder-Session-Token", token);
        let what = &say!("ask Coder for its licences");
        let Some(said) = self.json(what, request).await? else {
            return Ok(Proof::Refused(say!("Coder refuses the token")));
        };
        let licences = said.as_array().filter(|all| all.iter().all(|own| own["claims"].is_object())).ok_or_else(|| malformed(what))?;
        if licences.is_empty() {
            return Ok(Proof::Refused(say!("Coder has no licence")));
        }
        let ends = |licence: &Value| licence["claims"].get("license_expires").or_else(|| licence["claims"].get("exp")).and_then(dates::of_json);
        let known: Option<Vec<Ends>> = licences.iter().map(ends).collect();
        let last = known.and_then(|known| known.into_iter().max_by_key(|ends| ends.at().unwrap_or(i64::MAX)));
        Ok(Proof::Taken(last.map_or_else(|| Told::silent("Coder does not say when a licence ends"), Told::of)))
    }

    /// Such a key never ends, and Coder never shows it again; what tells is how old it is.
    /// Source: <https://coder.com/docs/reference/api/enterprise#list-provisioner-key>
    async fn coder_provisioner_key(&self, key: &ProvisionerKey, token: &str) -> Result<Proof, CollectError> {
        let organization: String = url::form_urlencoded::byte_serialize(key.organization.as_bytes()).collect();
        let request = self.get(&format!("/api/v2/organizations/{organization}/provisionerkeys")).header("Coder-Session-Token", token);
        let what = &say!("ask Coder for its provisioner keys");
        let Some(said) = self.json(what, request).await? else {
            return Ok(Proof::Refused(say!("Coder refuses the token")));
        };
        let keys = said.as_array().filter(|all| all.iter().all(|own| own["name"].is_string())).ok_or_else(|| malformed(what))?;
        let Some(found) = keys.iter().find(|own| own["name"] == key.name.as_str()) else {
            return Ok(Proof::Refused(say!("Coder has no provisioner key of that name")));
        };
        Ok(Proof::Taken(Told { created: found.get("created_at").and_then(dates::of_json).and_then(Ends::at), ..Told::default() }))
    }

    /// The secret proves itself by a token for its own application, which then tells about it.
    /// Sources: <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow>,
    /// <https://learn.microsoft.com/en-us/graph/api/resources/passwordcredential>
    async fn entra(&self, application: &EntraApplication, secret: &str) -> Result<Proof, CollectError> {
        let EntraApplication { tenant, client_id, login } = application;
        let what = &say!("ask Entra for a token");
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("client_id", client_id.as_str()), ("client_secret", secret), ("grant_type", "client_credentials")])
            .append_pair("scope", &format!("{}/.default", self.api.trim_end_matches('/')))
            .finish();
        let url = format!("{}/{tenant}/oauth2/v2.0/token", login.base());
        let (status, said) = self.exchange(what, url, form).await?;
        let codes: Vec<i64> = said["error_codes"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
        // Source: <https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes>
        for (code, why) in [(7_000_222, "the secret has ended"), (7_000_215, "the secret is another one"), (700_016, "there is no such application")] {
            if codes.contains(&code) {
                return Ok(Proof::Refused(say!("Entra says that {}", why)));
            }
        }
        if status != StatusCode::OK {
            return Err(CollectError::new(ErrorClass::of_status(status.as_u16()), say!("{}: status {}", what, status.as_u16())));
        }
        let token = access_token(what, &said)?;
        let about = self.get(&format!("/v1.0/applications(appId='{client_id}')?$select=passwordCredentials")).bearer_auth(token.as_str());
        // Whether an application may read about itself is another permission than the one to get a token.
        let what = &say!("ask Graph about the application");
        let Some(said) = self.json(what, about).await? else {
            return Ok(Proof::Taken(Told::silent("Graph does not let the application read about itself")));
        };
        let all = said["passwordCredentials"].as_array().ok_or_else(|| malformed(what))?;
        let hint = |own: &&Value| own["hint"].as_str().is_some_and(|hint| !hint.is_empty() && secret.starts_with(hint));
        let mine: Vec<&Value> = all.iter().filter(hint).collect();
        let ends: Option<Vec<Ends>> = mine.iter().map(|own| own.get("endDateTime").and_then(dates::of_json)).collect();
        // Of several with the same first characters, the one that ends first may be meant.
        let first = ends.and_then(|ends| ends.into_iter().min_by_key(|ends| ends.at().unwrap_or(i64::MAX)));
        let begins = mine.iter().filter_map(|own| own.get("startDateTime").and_then(dates::of_json)?.at()).min();
        Ok(Proof::Taken(first.map_or_else(|| Told::silent("Graph does not say when the secret ends"), |ends| Told { created: begins, ..Told::of(ends) })))
    }

    /// A key may ask about itself.
    /// Source: <https://docs.litellm.ai/docs/proxy/virtual_keys>
    async fn litellm(&self, key: &str) -> Result<Proof, CollectError> {
        let what = &say!("ask LiteLLM about the key");
        let Some(said) = self.json(what, self.get("/key/info").bearer_auth(key)).await? else {
            return Ok(Proof::Refused(say!("LiteLLM refuses the key")));
        };
        // It names the key that it speaks of, as it is or by its hash.
        let hash: String = Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let own = |named: &Value| named.as_str().is_some_and(|named| named == key || named == hash);
        if !said["info"].is_object() || !(own(&said["key"]) || own(&said["info"]["token"])) {
            return Err(malformed(what));
        }
        if said["info"]["blocked"] == Value::Bool(true) {
            return Ok(Proof::Refused(say!("LiteLLM says that the key is blocked")));
        }
        let ends = said["info"].get("expires").and_then(dates::of_json);
        Ok(Proof::Taken(ends.map_or_else(|| Told::silent("LiteLLM does not say when it ends"), Told::of)))
    }
}

/// The token of a good answer.
pub(super) fn access_token(what: &Message, said: &Value) -> Result<Zeroizing<String>, CollectError> {
    // RFC 6749, section 5.1: both are required.
    let bearer = said["token_type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    let token = said["access_token"].as_str().filter(|token| bearer && !token.is_empty());
    token.map(|token| Zeroizing::new(token.to_owned())).ok_or_else(|| malformed(what))
}

pub(super) fn malformed(what: &Message) -> CollectError {
    CollectError::new(ErrorClass::Malformed, say!("{}: the answer is not what it should be", what))
}

#[cfg(test)]
mod tests {
    use readiness_lab::plain_server;

    use super::*;

    /// A proxy that signs people in, a maintenance page or somebody else's API answers 200 to everything.
    #[tokio::test]
    async fn what_anybody_can_answer_proves_nothing() {
        let yaml = "
- { name: a, kind: gitlab, from: { env: A } }
- { name: b, kind: github, from: { env: A } }
- { name: c, kind: coder, from: { env: A } }
- { name: d, kind: coder_license, from: { env: A } }
- { name: e, kind: coder_provisioner_key, from: { env: A }, provisioner: { organization: default, name: workshop } }
- { name: f, kind: litellm, from: { env: A } }
- { name: g, kind: entra_app_secret, from: { env: A }, entra: { tenant: t, client_id: c } }
";
        let credentials: Vec<Credential> = serde_saphyr::from_str(yaml).unwrap();
        let answers = [
            "{}",
            "[]",
            "null",
            "7",
            "\"x\"",
            "",
            "<html>sign in</html>",
            "{\"id\":\"other\",\"info\":{},\"active\":\"yes\",\"access_token\":\"x\",\"rate\":{\"limit\":60}}",
            "[{}]",
        ];
        for (index, body) in answers.into_iter().enumerate() {
            let address = std::net::SocketAddr::from(([127, 0, 7, 64], 20_100 + u16::try_from(index).unwrap()));
            let server = plain_server(address, Duration::ZERO, move |_, _, _| (200, Vec::new(), body.as_bytes().to_vec())).await.unwrap();
            let base = format!("http://{address}");
            let client = Client::builder().no_proxy().build().unwrap();
            let calls = AtomicU64::default();
            for mut credential in credentials.clone() {
                if let Some(entra) = &mut credential.entra {
                    entra.login = crate::config::Url::new(&base);
                }
                let issuer = Issuer { client: &client, api: &base, timeout: Duration::from_secs(20), calls: &calls };
                let proof = issuer.ask(&credential, "labkey0001-secret").await;
                assert!(!matches!(proof, Ok(Proof::Taken(_) | Proof::Unproven(_))), "{} by {body}", credential.kind.as_str());
                // A licence or a key that is not in a list is missing; nothing else can be told from such an answer.
                let empty = body == "[]" && matches!(credential.kind, Kind::CoderLicense | Kind::CoderProvisionerKey);
                assert_eq!(matches!(proof, Ok(Proof::Refused(_))), empty, "{} by {body}", credential.kind.as_str());
            }
            server.abort();
        }
    }
}
