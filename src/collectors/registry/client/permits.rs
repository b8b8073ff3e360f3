//! What a repository wants to see, found out once: nothing, a password, or a token from its realm.

use hyper::header::{ACCEPT as ACCEPT_HEADER, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use std::sync::{Arc, PoisonError};
use tokio::time::Instant;

use super::{Answer, Client};
use crate::collectors::registry::auth::{Challenge, Identity, TokenAnswer};
use crate::collectors::registry::manifest::ACCEPT;
use crate::net;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass};
use crate::value::Secret;

/// Where the tokens of registries come from that have another host for them.
/// Sources: <https://docs.docker.com/reference/api/registry/auth/>,
/// <https://docs.gitlab.com/administration/packages/container_registry/>
const ISSUERS: [(&str, &str); 2] = [("registry-1.docker.io", "auth.docker.io"), ("registry.gitlab.com", "gitlab.com")];

/// How requests to a repository are authorized, once that is known.
#[derive(Clone)]
pub(super) enum Permit {
    /// The registry asked for nothing.
    None,
    Header(HeaderValue),
    /// Until when the token may be used.
    Token(HeaderValue, Instant),
}

impl Client {
    /// Sends a request with what the repository wants to see; asks once more when that is not known
    /// or not accepted any longer. `range` is the part of the content that is wanted.
    pub(super) async fn ask(
        &self,
        what: &Message,
        identity: &Identity,
        method: Method,
        repository: &str,
        path: &str,
        range: Option<&str>,
    ) -> Result<Answer<'_>, CollectError> {
        let slot = Arc::clone(self.permits.lock().unwrap_or_else(PoisonError::into_inner).entry(repository.to_owned()).or_default());
        let url = format!("{}/v2/{path}", self.base);
        let request = |permit: &Permit| {
            let mut request = self.http.request(method.clone(), &url).header(ACCEPT_HEADER, ACCEPT);
            if let Some(range) = range {
                request = request.header(RANGE, range);
            }
            match permit {
                Permit::None => request.build(),
                Permit::Header(header) | Permit::Token(header, _) => request.header(AUTHORIZATION, header).build(),
            }
            .map_err(|error| Self::local(what, &error))
        };
        let known = {
            let mut permit = slot.lock().await;
            match &*permit {
                Some(Permit::Token(_, until)) if *until <= Instant::now() => None,
                None => None,
                Some(permit) => Some(permit.clone()),
            }
            .or_else(|| {
                permit.take();
                None
            })
        };
        let mut refused = known.clone();
        if let Some(permit) = known {
            let answer = self.send(what, request(&permit)?).await?;
            if answer.status() != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
        } else {
            refused = None;
        }
        // One at a time finds out; the others then find what it found.
        let mut permit = slot.lock().await;
        if let Some(found) = permit.as_ref().filter(|found| refused.as_ref().is_none_or(|refused| !refused.is(found))) {
            let found = found.clone();
            drop(permit);
            return self.send(what, request(&found)?).await;
        }
        let answer = self.send(what, request(&Permit::None)?).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            *permit = Some(Permit::None);
            return Ok(answer);
        }
        let headers = answer.headers().clone();
        drop(answer);
        let found = self.permit(what, identity, repository, &headers).await?;
        *permit = Some(found.clone());
        drop(permit);
        self.send(what, request(&found)?).await
    }

    /// What a 401 asks for.
    async fn permit(&self, what: &Message, identity: &Identity, repository: &str, headers: &HeaderMap) -> Result<Permit, CollectError> {
        let denied = |why: &'static str| CollectError::new(ErrorClass::Denied, say!("{}: {}", what, why));
        let challenges: Vec<Challenge> =
            headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|header| header.to_str().ok()).flat_map(Challenge::parse).collect();
        // Of several each is enough. A token is to be had by everybody, and a password then goes to the
        // realm alone.
        let bearer = challenges.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        let challenge = bearer.or_else(|| challenges.first()).ok_or_else(|| denied("status 401 without a challenge that can be met"))?;
        match (challenge, identity) {
            (_, Identity::Token(token)) => {
                Ok(Permit::Header(secret_header(&format!("Bearer {}", token.expose())).ok_or_else(|| denied("the token is no token"))?))
            }
            (Challenge::Basic, Identity::User { name, password }) => {
                Ok(Permit::Header(basic(name, password).ok_or_else(|| denied("the password is no password"))?))
            }
            (Challenge::Basic, Identity::Anonymous) => Err(denied("status 401; it wants a user, and none is configured")),
            (Challenge::Basic, Identity::Refresh(_)) => Err(denied("status 401; it wants a password, and an identity token is configured")),
            (Challenge::Bearer { realm, service, scope }, _) => {
                let scope = scope.clone().unwrap_or_else(|| format!("repository:{repository}:pull"));
                let what = &say!("{}: get a token for {}", what, named(repository));
                self.token(what, identity, realm, service.as_deref(), &scope).await
            }
        }
    }

    async fn token(&self, what: &Message, identity: &Identity, realm: &str, service: Option<&str>, scope: &str) -> Result<Permit, CollectError> {
        let malformed = |why: &'static str| CollectError::new(ErrorClass::Malformed, say!("{}: {}", what, why));
        let mut url = url::Url::parse(realm).map_err(|_| malformed("the realm is no URL"))?;
        if url.scheme() != "https" && !(self.trust.plain_http && url.scheme() == "http") {
            return Err(malformed("the realm is not https, and a password would be sent there"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(malformed("the realm holds a user or a password"));
        }
        self.may_issue(what, identity, &url)?;
        let asked = service.map(|service| ("service", service)).into_iter().chain([("scope", scope)]);
        let request = if let Identity::Refresh(token) = identity {
            // Source: <https://distribution.github.io/distribution/spec/auth/oauth/>
            let own = [("grant_type", "refresh_token"), ("client_id", "readiness-exporter"), ("refresh_token", token.expose())];
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(asked.chain(own)).finish();
            self.http.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
        } else {
            url.query_pairs_mut().extend_pairs(asked);
            let request = self.http.get(url);
            if let Identity::User { name, password } = identity { request.basic_auth(name, Some(password.expose())) } else { request }
        };
        let answer = self.send(what, request.build().map_err(|error| Self::local(what, &error))?).await?;
        if answer.status() != StatusCode::OK {
            return Err(Self::refused(what, answer.status(), answer.headers()));
        }
        let body = self.body(what, answer, 1 << 20).await?;
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| malformed("the answer is no token"))?;
        let (token, life) = answer.take().ok_or_else(|| malformed("the answer holds no token"))?;
        let header = secret_header(&format!("Bearer {}", token.expose())).ok_or_else(|| malformed("the token is no token"))?;
        Ok(Permit::Token(header, Instant::now() + life))
    }

    /// Whether a realm may be asked. A registry can name any, and would be given the password there.
    fn may_issue(&self, what: &Message, identity: &Identity, realm: &url::Url) -> Result<(), CollectError> {
        let own = url::Url::parse(&self.base).ok().and_then(|base| base.host().map(|host| host.to_owned()));
        if own == realm.host().map(|host| host.to_owned()) {
            return Ok(());
        }
        let refused = |why: Message| Err(CollectError::new(ErrorClass::Denied, say!("{}: {}", *what, why)));
        if net::has_local_address(realm) {
            return refused(say!("the realm is a link-local or metadata address, which is not asked"));
        }
        let (own, host) = (own.map(|own| own.to_string()).unwrap_or_default(), realm.host_str().unwrap_or_default());
        let is_known = ISSUERS.contains(&(own.as_str(), host)) || self.trust.token_hosts.iter().any(|known| known.eq_ignore_ascii_case(host));
        if is_known || matches!(identity, Identity::Anonymous) {
            return Ok(());
        }
        // Not named: it may be called like the password, which the registry has had.
        refused(say!("its realm wants the password at another host; name that host in token_hosts if it is right"))
    }
}

impl Permit {
    /// Whether it is the very same.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Header(own) | Self::Token(own, _), Self::Header(other) | Self::Token(other, _)) => own == other,
            _ => false,
        }
    }
}

fn basic(name: &str, password: &Secret) -> Option<HeaderValue> {
    use base64::Engine as _;
    secret_header(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{}", password.expose()))))
}

/// A header that no log prints.
fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}
