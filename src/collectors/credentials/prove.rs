//! Calls that cost nothing and prove a credential: each issuer's own word about it.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::config::Kind;
use super::dates::{self, Ends};
use super::expiry::{Told, certificates};
use crate::net;
use crate::snapshot::{CollectError, ErrorClass};

/// What an issuer said.
pub(super) enum Proof {
    /// It takes the credential.
    Taken(Told),
    /// It does not, and why.
    Refused(String),
}

/// Answers are small; more is none.
const LARGEST: usize = 1 << 20;

/// Asks the issuer of a credential.
pub(super) struct Issuer<'a> {
    pub(super) client: &'a Client,
    pub(super) api: &'a str,
    pub(super) timeout: Duration,
}

impl Issuer<'_> {
    /// Whether the issuer takes a credential, and what it says about its end.
    pub(super) async fn ask(&self, kind: Kind, text: &str) -> Result<Proof, CollectError> {
        match kind {
            Kind::Gitlab => self.gitlab(text.trim()).await,
            Kind::Github => self.github(text.trim()).await,
            Kind::Coder => self.coder(text.trim()).await,
            Kind::Litellm => self.litellm(text.trim()).await,
            Kind::GcpServiceAccount => self.google(text).await,
            _ => Err(CollectError::new(ErrorClass::Local, "no call proves this kind")),
        }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.api.trim_end_matches('/')))
    }

    async fn send(&self, what: &str, request: RequestBuilder) -> Result<Response, CollectError> {
        let late = |_| CollectError::new(ErrorClass::Timeout, format!("{what}: no answer within {}", crate::config::Span(self.timeout)));
        let answer = tokio::time::timeout(self.timeout, request.send()).await.map_err(late)?;
        answer.map_err(|error| CollectError::new(ErrorClass::Unreachable, format!("{what}: {}", net::root_cause(&error.without_url()))))
    }

    /// The document of a good answer, `None` when the credential was refused. No word of the answer
    /// goes into an error: issuers echo what they were sent.
    async fn json(&self, what: &str, request: RequestBuilder) -> Result<Option<Value>, CollectError> {
        let mut answer = self.send(what, request).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(None),
            status => return Err(CollectError::new(ErrorClass::of_status(status.as_u16()), format!("{what}: status {}", status.as_u16()))),
        }
        let malformed = || CollectError::new(ErrorClass::Malformed, format!("{what}: the answer is not what it should be"));
        let mut body = Vec::new();
        while let Some(chunk) = tokio::time::timeout(self.timeout, answer.chunk()).await.map_err(|_| malformed())?.map_err(|_| malformed())? {
            if body.len() + chunk.len() > LARGEST {
                return Err(malformed());
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map(Some).map_err(|_| malformed())
    }

    /// Source: <https://docs.gitlab.com/api/personal_access_tokens/#self-inform>
    async fn gitlab(&self, token: &str) -> Result<Proof, CollectError> {
        let what = "ask GitLab about the token";
        let Some(said) = self.json(what, self.get("/api/v4/personal_access_tokens/self").header("PRIVATE-TOKEN", token)).await? else {
            return Ok(Proof::Refused("GitLab refuses the token".to_owned()));
        };
        if said["active"] == Value::Bool(false) || said["revoked"] == Value::Bool(true) {
            return Ok(Proof::Refused("GitLab says that the token is not active".to_owned()));
        }
        let ends = said.get("expires_at").and_then(dates::of_json);
        Ok(Proof::Taken(ends.map_or_else(|| Told::silent("GitLab does not say when it ends"), Told::of)))
    }

    /// Any call tells, in a header; without it the token has no end.
    /// Source: <https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api>
    async fn github(&self, token: &str) -> Result<Proof, CollectError> {
        let what = "ask GitHub about the token";
        let answer = self.send(what, self.get("/rate_limit").bearer_auth(token)).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Ok(Proof::Refused("GitHub refuses the token".to_owned())),
            status => return Err(CollectError::new(ErrorClass::of_status(status.as_u16()), format!("{what}: status {}", status.as_u16()))),
        }
        let Some(header) = answer.headers().get("github-authentication-token-expiration") else { return Ok(Proof::Taken(Told::default())) };
        let ends = header.to_str().ok().and_then(dates::read);
        Ok(Proof::Taken(ends.map_or_else(|| Told::silent("GitHub tells its end in a form that is not known"), Told::of)))
    }

    /// The identity of a token stands before its dash.
    /// Source: <https://coder.com/docs/reference/api/users#get-api-key-by-id>
    async fn coder(&self, token: &str) -> Result<Proof, CollectError> {
        let Some((id, _)) = token.split_once('-').filter(|(id, _)| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())) else {
            return Ok(Proof::Refused("it is no token of Coder".to_owned()));
        };
        let request = self.get(&format!("/api/v2/users/me/keys/{id}")).header("Coder-Session-Token", token);
        let Some(said) = self.json("ask Coder about the token", request).await? else {
            return Ok(Proof::Refused("Coder refuses the token".to_owned()));
        };
        let ends = said.get("expires_at").and_then(dates::of_json);
        Ok(Proof::Taken(ends.map_or_else(|| Told::silent("Coder does not say when it ends"), Told::of)))
    }

    /// A key may ask about itself.
    /// Source: <https://docs.litellm.ai/docs/proxy/virtual_keys>
    async fn litellm(&self, key: &str) -> Result<Proof, CollectError> {
        let Some(said) = self.json("ask LiteLLM about the key", self.get("/key/info").bearer_auth(key)).await? else {
            return Ok(Proof::Refused("LiteLLM refuses the key".to_owned()));
        };
        if said["info"]["blocked"] == Value::Bool(true) {
            return Ok(Proof::Refused("LiteLLM says that the key is blocked".to_owned()));
        }
        let ends = said["info"].get("expires").and_then(dates::of_json);
        Ok(Proof::Taken(ends.map_or_else(|| Told::silent("LiteLLM does not say when it ends"), Told::of)))
    }

    /// The certificates of all keys of an account are public; a key that is not among them is gone.
    /// Source: <https://cloud.google.com/iam/docs/keys-list-get>
    async fn google(&self, text: &str) -> Result<Proof, CollectError> {
        let file: Value = serde_json::from_str(text).unwrap_or_default();
        let (Some(account), Some(id)) = (file["client_email"].as_str(), file["private_key_id"].as_str()) else {
            return Ok(Proof::Refused("it is no key of a service account".to_owned()));
        };
        let encoded: String = url::form_urlencoded::byte_serialize(account.as_bytes()).collect();
        let asked = self.json("ask Google for the certificates of the account", self.get(&format!("/service_accounts/v1/metadata/x509/{encoded}"))).await;
        let keys = match asked {
            Ok(Some(keys)) => keys,
            Ok(None) => return Ok(Proof::Refused("Google does not know the account".to_owned())),
            Err(error) if error.class == ErrorClass::NotFound => return Ok(Proof::Refused("Google does not know the account".to_owned())),
            Err(error) => return Err(error),
        };
        let Some(pem) = keys.get(id).and_then(Value::as_str) else {
            return Ok(Proof::Refused("the key is no longer among those of the account".to_owned()));
        };
        let told = certificates(pem.as_bytes())
            .map_err(|why| CollectError::new(ErrorClass::Malformed, format!("ask Google for the certificate of the key: {why}")))?;
        // Google writes the last second of the year 9999 for keys without an end.
        let never = told.ends.is_some_and(|at| dates::number_of(at).is_some_and(|_| at >= NEVER));
        Ok(Proof::Taken(if never { Told::of(Ends::Never) } else { told }))
    }
}

/// The first second of the year 9999.
const NEVER: i64 = 253_370_764_800;
