//! How a registry is told who asks: challenges, tokens, and where credentials are kept.
//!
//! Source: <https://distribution.github.io/distribution/spec/auth/token/>

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::reference::DOCKER_HUB;
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
    text.split_at(text.find(|c: char| matches!(c, ' ' | '\t' | ',' | '=' | '"')).unwrap_or(text.len()))
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
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                // Bare values with slashes and colons are not what the grammar has, and are sent all the same.
                let (value, after) = value.split_at(value.find(',').unwrap_or(value.len()));
                (value.trim().to_owned(), after)
            }
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
    /// From a `config.json` of Docker or the content of a `kubernetes.io/dockerconfigjson` Secret: of the
    /// entries that match, the one with the longest path, as kubelets and skopeo try them. Anonymous when
    /// none does.
    pub(crate) fn from_docker_config(text: &str, host: &str, repository: &str) -> Result<Self, Message> {
        let file = DockerConfig::read(text)?;
        let entries = file.auths.iter().map(|(name, auth)| (Entry::parse(name), auth));
        let best = entries.filter(|(entry, _)| entry.is_for(host, repository)).max_by_key(|(entry, _)| (entry.path.len(), entry.host == host));
        match best {
            Some((_, auth)) if !auth.is_empty() => auth.identity(),
            _ if file.has_helper(host) => Err(say!("its credentials are kept by a helper program, which is not run here and by no kubelet")),
            Some((_, auth)) => auth.identity(),
            None => Ok(Self::Anonymous),
        }
    }

    /// What a docker config knows, by host and path.
    pub(crate) fn entries(text: &str) -> Result<Vec<(String, Result<Self, Message>)>, Message> {
        let file = DockerConfig::read(text)?;
        let named = |(name, auth): (&String, &Auth)| {
            let Entry { host, path } = Entry::parse(name);
            (if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") }, auth.identity())
        };
        Ok(file.auths.iter().map(named).collect())
    }

    /// Whether it is the very same.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Anonymous, Self::Anonymous) => true,
            (Self::User { name, password }, Self::User { name: other, password: secret }) => name == other && password.expose() == secret.expose(),
            (Self::Token(own), Self::Token(other)) | (Self::Refresh(own), Self::Refresh(other)) => own.expose() == other.expose(),
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
#[serde(rename_all = "camelCase")]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, serde_json::Value>,
}

impl DockerConfig {
    fn read(text: &str) -> Result<Self, Message> {
        serde_json::from_str(text).map_err(|error| say!("not a docker config: {}", error.words()))
    }

    /// Whether a program keeps the credentials of a host: one for it alone, or one for all.
    /// Source: <https://docs.docker.com/reference/cli/docker/login/#credential-stores>
    fn has_helper(&self, host: &str) -> bool {
        let own = self.cred_helpers.keys().any(|name| Entry::parse(name).is_at(host));
        own || self.creds_store.as_ref().is_some_and(|store| !store.is_empty())
    }
}

/// What the name of an entry stands for.
/// Sources: <https://kubernetes.io/docs/concepts/containers/images/#config-json>,
/// <https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md>
struct Entry<'a> {
    host: &'a str,
    /// Without slashes around it; empty for all of a host.
    path: &'a str,
}

impl<'a> Entry<'a> {
    /// `https://index.docker.io/v1/`, `ghcr.io` and `ghcr.io/team` alike: scheme and version are left out.
    fn parse(name: &'a str) -> Self {
        let bare = name.split_once("://").map_or(name, |(_, bare)| bare);
        let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
        let path = path.trim_matches('/');
        let rest = ["v1", "v2"].into_iter().find_map(|version| path.strip_prefix(version)).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        Self { host, path: rest.map_or(path, |rest| rest.trim_matches('/')) }
    }

    fn is_for(&self, host: &str, repository: &str) -> bool {
        let within = repository.strip_prefix(self.path).is_some_and(|rest| self.path.is_empty() || rest.is_empty() || rest.starts_with('/'));
        within && self.is_at(host)
    }

    /// Whether it is this host, under any of its names; `*` stands for what has no dot.
    fn is_at(&self, host: &str) -> bool {
        let is_hub = |name: &str| [DOCKER_HUB, "index.docker.io", "registry-1.docker.io"].contains(&name);
        if self.host == host || is_hub(host) && is_hub(self.host) {
            return true;
        }
        let (own, other): (Vec<&str>, Vec<&str>) = (self.host.split('.').collect(), host.split('.').collect());
        self.host.contains('*') && own.len() == other.len() && own.iter().zip(&other).all(|(own, other)| is_like(own, other))
    }
}

/// Whether a part of a host is what a part with `*` in it stands for.
fn is_like(pattern: &str, part: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == part };
    let Some(mut left) = part.strip_prefix(start) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return left.ends_with(piece);
        }
        match left.find(piece) {
            Some(at) => left = &left[at + piece.len()..],
            None => return false,
        }
    }
    true
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
    /// Whether it says nothing at all, as where a helper keeps what belongs here.
    fn is_empty(&self) -> bool {
        let all = [&self.encoded, &self.username, &self.password, &self.identitytoken, &self.registrytoken];
        all.into_iter().flatten().all(String::is_empty)
    }

    fn identity(&self) -> Result<Identity, Message> {
        let said = |text: &'_ Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = said(&self.registrytoken) {
            return Ok(Identity::Token(Secret::new(token)));
        }
        if let Some(token) = said(&self.identitytoken) {
            return Ok(Identity::Refresh(Secret::new(token)));
        }
        // What is encoded counts, whatever stands beside it.
        let Some(encoded) = said(&self.encoded) else {
            return match (said(&self.username), said(&self.password)) {
                (Some(name), Some(password)) => Ok(Identity::User { name, password: Secret::new(password) }),
                _ => Err(say!("an entry without user and password; credential helpers are not run")),
            };
        };
        let encoded = encoded.trim();
        let decoded = STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (name, password) = pair.ok_or_else(|| say!("an entry whose auth is not base64 of user:password"))?;
        // Docker fills what it encodes with zeros.
        Ok(Identity::User { name: name.to_owned(), password: Secret::new(password.trim_matches('\0').to_owned()) })
    }
}

/// Reads a docker config file, which must be one.
pub(super) async fn from_file(file: &Path) -> Result<Zeroizing<String>, Message> {
    let content = files::read(file, files::LARGEST).await.map_err(|error| say!("read {}: {}", file.display(), error))?;
    let text = content.text().map_err(|error| say!("read {}: {}", file.display(), error))?;
    DockerConfig::read(text).map_err(|why| say!("read {}: {}", file.display(), why))?;
    Ok(Zeroizing::new(text.to_owned()))
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
    fn docker_configs_are_read_in_every_form_and_never_quoted() {
        let text = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpodW50ZXIy"},"ghcr.io":{"username":"u","password":"hunter2"},"bad.io":{"auth":"hunter2"},"helper.io":{}}}"#;
        for host in ["docker.io", "ghcr.io"] {
            let Identity::User { password, .. } = Identity::from_docker_config(text, host, "a/b").unwrap() else { panic!("{host}") };
            assert_eq!(password.expose(), "hunter2");
        }
        assert!(matches!(Identity::from_docker_config(text, "other.io", "a"), Ok(Identity::Anonymous)));
        for (text, host) in [(text, "bad.io"), (text, "helper.io"), (r#"{"auths":{"a":"hunter2"}}"#, "a"), ("hunter2", "a")] {
            let said = Identity::from_docker_config(text, host, "a").unwrap_err();
            assert!(!said.as_str().contains("hunter2"), "{said}");
        }
        let entries: Vec<String> = Identity::entries(text).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(entries, ["bad.io", "ghcr.io", "helper.io", "index.docker.io"]);
    }

    #[test]
    fn the_entry_with_the_longest_path_counts() {
        let user = |name: &str| format!(r#"{{"username":"{name}","password":"p"}}"#);
        let names = ["r.io", "r.io/team-a", "https://r.io/team-a/app/", "r.io/v2/team-b", "*.cr.io", "http://p.io:5000/v1/", "a-*-z.b.io"];
        let auths: Vec<String> = names.iter().map(|name| format!("{name:?}:{}", user(name))).collect();
        let text = format!(r#"{{"auths":{{{}}}}}"#, auths.join(","));
        for (host, repository, expected) in [
            ("r.io", "team-a/app", "https://r.io/team-a/app/"),
            ("r.io", "team-a/app/v1", "https://r.io/team-a/app/"),
            ("r.io", "team-a/other", "r.io/team-a"),
            ("r.io", "team-ab/app", "r.io"),
            ("r.io", "team-b/app", "r.io/v2/team-b"),
            ("r.io", "other", "r.io"),
            ("x.cr.io", "a", "*.cr.io"),
            ("x.y.cr.io", "a", ""),
            ("p.io:5000", "a", "http://p.io:5000/v1/"),
            ("p.io", "a", ""),
            ("a-1-z.b.io", "a", "a-*-z.b.io"),
            ("a-1.b.io", "a", ""),
        ] {
            let found = match Identity::from_docker_config(&text, host, repository).unwrap() {
                Identity::User { name, .. } => name,
                _ => String::new(),
            };
            assert_eq!(found, expected, "{host}/{repository}");
        }
    }

    #[test]
    fn what_is_encoded_counts_and_tokens_are_of_two_kinds() {
        let of = |auth: &str| Identity::from_docker_config(&format!(r#"{{"auths":{{"r.io":{auth}}}}}"#), "r.io", "a").unwrap();
        let encoded = STANDARD.encode("user:hunter2\0\0");
        for auth in [format!(r#"{{"auth":"{encoded}","username":"old","password":"old"}}"#), format!(r#"{{"auth":"{}"}}"#, encoded.trim_end_matches('='))] {
            let Identity::User { name, password } = of(&auth) else { panic!("{auth}") };
            assert_eq!((name.as_str(), password.expose()), ("user", "hunter2"));
        }
        assert!(matches!(of(r#"{"auth":"dTpw","identitytoken":"t"}"#), Identity::Refresh(_)));
        assert!(matches!(of(r#"{"auth":"","registrytoken":"t","identitytoken":"u"}"#), Identity::Token(_)));
        for text in [
            r#"{"credHelpers":{"r.io":"ecr-login"}}"#,
            r#"{"auths":{"r.io":{}},"credsStore":"desktop"}"#,
            r#"{"auths":{"other.io":{"auth":"dTpw"}},"credHelpers":{"https://r.io":"x"}}"#,
        ] {
            let said = Identity::from_docker_config(text, "r.io", "a").unwrap_err();
            assert!(said.as_str().contains("helper program"), "{said}");
        }
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
