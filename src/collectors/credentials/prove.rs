//! Calls that cost nothing and prove a credential: each issuer's own word about it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use zeroize::Zeroizing;

use super::config::{Credential, EntraApplication, Kind, ProvisionerKey};
use super::dates::{self, Ends};
use super::expiry::Told;
use super::fixes;
use super::said;
use crate::document;
use crate::net::{self, Call, FRESH};
use crate::say;
use crate::say::Message;
use crate::snapshot::{CollectError, ErrorClass};
use crate::value::Span;

/// What an issuer said.
pub(super) enum Proof {
    /// It takes the credential.
    Taken(Told),
    /// It proved nothing, and why not; but the credential tells about itself.
    Unproven(Told, Message),
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

    fn call<'b>(&self, what: &'b Message) -> Call<'b> {
        Call { what, limit: self.timeout }
    }

    async fn send(&self, what: &Message, request: RequestBuilder) -> Result<Response, CollectError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = self.call(what).send(request.send()).await?;
        match net::age_of(answer.headers()) {
            age if age > FRESH => {
                let ago = Span(Duration::from_secs(age));
                Err(CollectError::new(ErrorClass::Malformed, say!("{}: a cache gave the answer, with what its issuer said {} ago", what, ago)))
            }
            _ => Ok(answer),
        }
    }

    /// What an issuer answers. No word of it goes into an error: issuers echo what they were sent.
    pub(super) async fn json(&self, what: &Message, request: RequestBuilder) -> Result<Answer, CollectError> {
        let answer = self.send(what, request).await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if !matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(failed(what, status));
        }
        let said = document::read(&self.body(what, answer).await?);
        match (status, said) {
            (StatusCode::OK, Some(said)) => Ok(Answer::Said(said, headers)),
            // A proxy that wants somebody to sign in refuses as well, with a page or with nothing.
            (StatusCode::UNAUTHORIZED, Some(said)) if said.is_object() => Ok(Answer::Refused(said)),
            (StatusCode::FORBIDDEN, Some(said)) if said.is_object() => Ok(Answer::NotAllowed(said)),
            (StatusCode::BAD_REQUEST, Some(said)) if said.is_object() => Ok(Answer::Odd(said)),
            (StatusCode::OK | StatusCode::BAD_REQUEST, _) => Err(malformed(what)),
            (status, _) => Err(CollectError::new(ErrorClass::Malformed, say!("{}: status {}, and not in the words of its issuer", what, status.as_u16()))),
        }
    }

    /// What an issuer says to whoever it knows; else the proof that it does not, or why nobody knows.
    async fn said(&self, what: &Message, request: RequestBuilder, refused: &'static str) -> Result<Result<(Value, HeaderMap), Proof>, CollectError> {
        match self.json(what, request).await? {
            Answer::Said(said, headers) => Ok(Ok((said, headers))),
            Answer::Refused(_) => Ok(Err(Proof::Refused(refused.into()))),
            Answer::NotAllowed(_) => Err(not_allowed(what)),
            Answer::Odd(_) => Err(malformed(what)),
        }
    }

    /// Posts a form for a token: the status and the document of the answer, since issuers say in it why
    /// they refuse; null when it is none.
    pub(super) async fn exchange(&self, what: &Message, url: String, form: String) -> Result<(StatusCode, Value), CollectError> {
        let request = self.client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = self.send(what, request).await?;
        let status = answer.status();
        Ok((status, document::read(&self.body(what, answer).await?).unwrap_or_default()))
    }

    async fn body(&self, what: &Message, answer: Response) -> Result<Vec<u8>, CollectError> {
        self.call(what).body(answer, LARGEST).await
    }

    /// Only tokens that stand for somebody may ask about themselves; GitLab refuses all others there, whether or not
    /// they work.
    async fn gitlab(&self, token: &str) -> Result<Proof, CollectError> {
        if said::is_for_no_api_of_gitlab(token) {
            let why = say!("GitLab was not asked, since it tells about no token of this kind").fixed_by(fixes::TELLS_NOTHING);
            return Ok(Proof::Unproven(Told::silent("GitLab tells about no token of this kind; declare its end with expires"), why));
        }
        let what = &say!("ask GitLab about the token");
        let request = self.get("/api/v4/personal_access_tokens/self").header("PRIVATE-TOKEN", token);
        match self.said(what, request, "GitLab refuses the token").await? {
            Ok((document, _)) => said::gitlab(&document).ok_or_else(|| malformed(what)),
            Err(refused) => Ok(refused),
        }
    }

    /// Any call tells when a token ends, in a header; without it the token has no end. So the rest of the
    /// answer must be GitHub's, with the identifier that each of its answers has: what takes headers away on
    /// the way takes that as well.
    /// Source: <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api>
    async fn github(&self, token: &str) -> Result<Proof, CollectError> {
        let what = &say!("ask GitHub about the token");
        let ask = async |path: &str| self.said(what, self.get(path).bearer_auth(token), "GitHub refuses the token").await;
        let (said, read): (_, fn(&Value) -> bool) = match ask("/rate_limit").await {
            // An Enterprise Server without limits has nothing to tell of them.
            // Source: <https://docs.github.com/en/enterprise-server@latest/rest/rate-limit/rate-limit>
            Err(error) if error.class == ErrorClass::NotFound => (ask("/user").await?, said::is_user_of_github),
            said => (said?, said::is_limit_of_github),
        };
        let (document, headers) = match said {
            Ok(said) => said,
            Err(refused) => return Ok(refused),
        };
        let ends: Vec<Option<Ends>> =
            headers.get_all("github-authentication-token-expiration").iter().map(|header| header.to_str().ok().and_then(dates::read)).collect();
        let is_own = headers.get("x-github-request-id").is_some_and(|id| !id.is_empty());
        if is_own && read(&document) { Ok(said::github(token, &ends)) } else { Err(malformed(what)) }
    }

    /// The identity of a token stands before its dash.
    async fn coder(&self, token: &str) -> Result<Proof, CollectError> {
        let Some((id, _)) = token.split_once('-').filter(|(id, _)| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())) else {
            return Ok(Proof::Refused(say!("it is no token of Coder").fixed_by(fixes::BROKEN)));
        };
        let what = &say!("ask Coder about the token");
        match self.of_coder(what, &format!("users/me/keys/{id}"), token).await? {
            Ok((document, _)) => said::coder(&document, id).ok_or_else(|| malformed(what)),
            Err(refused) => Ok(refused),
        }
    }

    async fn coder_license(&self, token: &str) -> Result<Proof, CollectError> {
        let what = &say!("ask Coder for its licences");
        match self.of_coder(what, "licenses", token).await? {
            Ok((document, _)) => said::coder_license(&document, Timestamp::now().as_second()).ok_or_else(|| malformed(what)),
            Err(refused) => Ok(refused),
        }
    }

    async fn coder_provisioner_key(&self, key: &ProvisionerKey, token: &str) -> Result<Proof, CollectError> {
        let organization: String = url::form_urlencoded::byte_serialize(key.organization.as_bytes()).collect();
        let what = &say!("ask Coder for its provisioner keys");
        match self.of_coder(what, &format!("organizations/{organization}/provisionerkeys"), token).await? {
            Ok((document, _)) => said::coder_provisioner_key(&document, key).ok_or_else(|| malformed(what)),
            Err(refused) => Ok(refused),
        }
    }

    async fn of_coder(&self, what: &Message, path: &str, token: &str) -> Result<Result<(Value, HeaderMap), Proof>, CollectError> {
        let request = self.get(&format!("/api/v2/{path}")).header("Coder-Session-Token", token);
        self.said(what, request, "Coder refuses the token").await
    }

    /// Whether Bedrock takes a key, by the call that lists models and costs nothing; else why it does not.
    /// Source: <https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html>
    pub(super) async fn bedrock(&self, key: &str) -> Result<Result<(), Message>, CollectError> {
        let what = &say!("ask Bedrock for its models");
        match self.json(what, self.get("/foundation-models").bearer_auth(key)).await? {
            Answer::Said(document, _) if said::bedrock_models(&document) => Ok(Ok(())),
            // One status stands for a key that is not known and for one that may not list models.
            Answer::Refused(why) | Answer::NotAllowed(why) => match said::bedrock_refusal(&why) {
                Some(why) => Ok(Err(why.into())),
                None => Err(not_allowed(what)),
            },
            Answer::Said(..) | Answer::Odd(_) => Err(malformed(what)),
        }
    }

    /// The secret proves itself by a token for its own application, which then tells about it.
    /// Source: <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
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
        for (code, why, fix) in [
            (7_000_222, "the secret has expired", fixes::OVER),
            (7_000_215, "the secret is another one", fixes::REFUSED),
            (700_016, "there is no such application", fixes::NO_APPLICATION),
        ] {
            if codes.contains(&code) {
                return Ok(Proof::Refused(say!("Entra says that {}", why).fixed_by(fix)));
            }
        }
        if status != StatusCode::OK {
            return Err(failed(what, status));
        }
        let token = access_token(what, &said)?;
        let about = self.get(&format!("/v1.0/applications(appId='{client_id}')?$select=passwordCredentials")).bearer_auth(token.as_str());
        let what = &say!("ask Graph about the application");
        match self.json(what, about).await? {
            Answer::Said(document, _) => said::entra_passwords(&document, secret).ok_or_else(|| malformed(what)),
            // Whether an application may read about itself is another permission than the one to get a token.
            Answer::NotAllowed(why) if why["error"]["code"].is_string() => {
                Ok(Proof::Taken(Told::silent("Graph does not let the application read about itself")))
            }
            // Graph takes no token that Entra did not give, so whoever gave this one was somebody else.
            Answer::Refused(_) | Answer::NotAllowed(_) | Answer::Odd(_) => Err(malformed(what)),
        }
    }

    /// A key may ask about itself.
    async fn litellm(&self, key: &str) -> Result<Proof, CollectError> {
        let what = &say!("ask LiteLLM about the key");
        match self.json(what, self.get("/key/info").bearer_auth(key)).await? {
            Answer::Said(document, _) => said::litellm(&document, key).ok_or_else(|| malformed(what)),
            Answer::Refused(why) => Ok(said::litellm_refusal(&why).unwrap_or_else(|| Proof::Refused(say!("LiteLLM refuses the key")))),
            Answer::Odd(why) => said::litellm_refusal(&why).ok_or_else(|| malformed(what)),
            // A key that may call models and nothing else.
            Answer::NotAllowed(_) => Err(not_allowed(what)),
        }
    }
}

/// An answer of an issuer, in its own words.
pub(super) enum Answer {
    Said(Value, HeaderMap),
    /// It does not know whoever asks: status 401.
    Refused(Value),
    /// It knows them and does not let them ask: status 403.
    NotAllowed(Value),
    /// Status 400.
    Odd(Value),
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

pub(super) fn not_allowed(what: &Message) -> CollectError {
    CollectError::new(ErrorClass::Denied, say!("{}: status 403; whoever shows it may not ask about it", what))
}

fn failed(what: &Message, status: StatusCode) -> CollectError {
    CollectError::new(ErrorClass::of_status(status.as_u16()), say!("{}: status {}", what, status.as_u16()))
}
