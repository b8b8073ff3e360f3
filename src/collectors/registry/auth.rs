//! How a registry is told who asks: challenges, tokens, and where credentials are kept.
//!
//! Source: <https://distribution.github.io/distribution/spec/auth/token/>

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::cause::Cause as _;
use crate::config::{Secret, SecretRef};
use crate::files;
use crate::say;
use crate::say::Message;

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
    /// Reads a `WWW-Authenticate` header.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or_else(|| (header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        let realm = parameters.remove("realm")?;
        Some(Self::Bearer { realm, service: parameters.remove("service"), scope: parameters.remove("scope") })
    }
}

/// `a="b, c",d=e` as pairs; a comma in quotes belongs to the value.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        pairs.insert(name.trim().to_ascii_lowercase(), value.to_owned());
        rest = next.trim_start_matches([',', ' ']);
    }
    pairs
}

/// What a token endpoint answers.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl TokenAnswer {
    /// The token and how long it may be used: a tenth less than it lives, counted from when it
    /// arrived, because the clocks of the two sides may differ by minutes.
    pub(super) fn take(self) -> Option<(Secret, Duration)> {
        let token = self.token.filter(|token| !token.is_empty()).or(self.access_token)?;
        let life = self.expires_in.filter(|seconds| *seconds > 0).map_or(DEFAULT_LIFE, Duration::from_secs).min(LONGEST_LIFE);
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
}

impl Identity {
    /// From a `config.json` of Docker or the content of a `kubernetes.io/dockerconfigjson` Secret.
    /// Anonymous when it does not know the host.
    pub(crate) fn from_docker_config(text: &str, host: &str) -> Result<Self, Message> {
        let file: DockerConfig = serde_json::from_str(text).map_err(|error| say!("not a docker config: {}", error.words()))?;
        let known = |entry: &str| host_of(entry) == host || host == super::reference::DOCKER_HUB && host_of(entry) == "index.docker.io";
        let Some((_, auth)) = file.auths.iter().find(|(entry, _)| known(entry)) else { return Ok(Self::Anonymous) };
        auth.identity()
    }

    /// Hosts that a docker config knows.
    pub(crate) fn hosts(text: &str) -> Vec<String> {
        let file: DockerConfig = serde_json::from_str(text).unwrap_or_default();
        file.auths.keys().map(|entry| host_of(entry).to_owned()).collect()
    }

    /// Whether it is the very same.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Anonymous, Self::Anonymous) => true,
            (Self::User { name, password }, Self::User { name: other, password: secret }) => name == other && password.expose() == secret.expose(),
            (Self::Token(own), Self::Token(other)) => own.expose() == other.expose(),
            _ => false,
        }
    }

    /// When an ECR password expires: it is a JSON document in base64 that says so itself.
    pub(crate) fn expires_at(&self) -> Option<i64> {
        #[derive(Deserialize)]
        struct Payload {
            expiration: i64,
        }
        let Self::User { name, password } = self else { return None };
        if name != "AWS" {
            return None;
        }
        let decoded = STANDARD.decode(password.expose()).ok()?;
        Some(serde_json::from_slice::<Payload>(&decoded).ok()?.expiration)
    }
}

#[derive(Default, Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Default, Deserialize)]
struct Auth {
    #[serde(rename = "auth")]
    encoded: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Auth {
    fn identity(&self) -> Result<Identity, Message> {
        if let Some(token) = self.registrytoken.as_ref().or(self.identitytoken.as_ref()).filter(|token| !token.is_empty()) {
            return Ok(Identity::Token(Secret::new(token.clone())));
        }
        if let (Some(name), Some(password)) = (&self.username, &self.password) {
            return Ok(Identity::User { name: name.clone(), password: Secret::new(password.clone()) });
        }
        let Some(encoded) = &self.encoded else { return Err(say!("an entry without user and password; credential helpers are not run")) };
        let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (name, password) = pair.ok_or_else(|| say!("an entry whose auth is not base64 of user:password"))?;
        Ok(Identity::User { name: name.to_owned(), password: Secret::new(password.to_owned()) })
    }
}

/// `https://index.docker.io/v1/` and `ghcr.io` alike.
fn host_of(entry: &str) -> &str {
    let bare = entry.strip_prefix("https://").or_else(|| entry.strip_prefix("http://")).unwrap_or(entry);
    bare.split('/').next().unwrap_or(bare)
}

/// Reads credentials from a docker config file.
pub(super) async fn from_file(file: &Path, host: &str) -> Result<Identity, Message> {
    let content = files::read(file, files::LARGEST).await.map_err(|error| say!("read {}: {}", file.display(), error))?;
    let text = content.text().map_err(|error| say!("read {}: {}", file.display(), error))?;
    Identity::from_docker_config(text, host).map_err(|why| say!("read {}: {}", file.display(), why))
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
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned), scope: scope.map(str::to_owned) })
        };
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
            (r#"Basic realm="Registry Realm""#, Some(Challenge::Basic)),
            ("Basic", Some(Challenge::Basic)),
            ("Bearer", None),
            ("Negotiate", None),
            ("", None),
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
    fn docker_configs_are_read_in_every_form_and_never_quoted() {
        let text = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpodW50ZXIy"},"ghcr.io":{"username":"u","password":"hunter2"},"bad.io":{"auth":"hunter2"},"helper.io":{}}}"#;
        for host in ["docker.io", "ghcr.io"] {
            let Identity::User { password, .. } = Identity::from_docker_config(text, host).unwrap() else { panic!("{host}") };
            assert_eq!(password.expose(), "hunter2");
        }
        assert!(matches!(Identity::from_docker_config(text, "other.io"), Ok(Identity::Anonymous)));
        for (text, host) in [(text, "bad.io"), (text, "helper.io"), (r#"{"auths":{"a":"hunter2"}}"#, "a"), ("hunter2", "a")] {
            let said = Identity::from_docker_config(text, host).unwrap_err();
            assert!(!said.as_str().contains("hunter2"), "{said}");
        }
        assert_eq!(Identity::hosts(text), ["bad.io", "ghcr.io", "helper.io", "index.docker.io"]);
    }

    #[test]
    fn an_ecr_password_tells_when_it_expires() {
        let password = STANDARD.encode(r#"{"payload":"x","datakey":"y","version":"2","type":"DATA_KEY","expiration":1764000000}"#);
        let user = |name: &str, password: &str| Identity::User { name: name.to_owned(), password: Secret::new(password.to_owned()) };
        assert_eq!(user("AWS", &password).expires_at(), Some(1_764_000_000));
        assert_eq!(user("me", &password).expires_at(), None);
        assert_eq!(user("AWS", "no base64").expires_at(), None);
    }
}
