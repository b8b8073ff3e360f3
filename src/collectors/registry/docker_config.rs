//! Docker configs, as docker and skopeo read them: `config.json`, and the content of a pull secret where a registry is asked with it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::auth::Identity;
use super::reference::DOCKER_HUB;
use crate::cause::Cause as _;
use crate::encoded;
use crate::files;
use crate::say;
use crate::say::Message;
use crate::value::Secret;

/// Entries by host and path, with whoever each stands for, or why that cannot be read.
pub(crate) type Entries = Vec<(String, Result<Identity, Message>)>;

impl Identity {
    /// From a `config.json` of Docker or the content of a `kubernetes.io/dockerconfigjson` Secret: of the
    /// entries that match, the one with the longest path, as skopeo takes it. Anonymous when none does.
    pub(crate) fn from_docker_config(text: &str, host: &str, repository: &str) -> Result<Self, Message> {
        let file = DockerConfig::read(text)?;
        let entries = file.auths.iter().map(|(name, auth)| (Entry::parse(name), auth));
        let mut own: Vec<_> = entries.filter(|(entry, _)| entry.is_for(host, repository)).collect();
        own.sort_by_key(|(entry, _)| std::cmp::Reverse((entry.path.len(), entry.host == host)));
        if own.first().is_none_or(|(_, auth)| auth.is_empty()) && file.has_helper(host) {
            return Err(say!("its credentials are kept by a helper program, which is not run here"));
        }
        // What is empty stands for nobody, as long as another entry says more.
        if own.iter().any(|(_, auth)| !auth.is_empty()) {
            own.retain(|(_, auth)| !auth.is_empty());
        }
        own.first().map_or(Ok(Self::Anonymous), |(_, auth)| auth.identity())
    }

    /// What a docker config knows, by host and path; nobody where a program keeps it.
    pub(crate) fn entries(text: &str) -> Result<Entries, Message> {
        let file = DockerConfig::read(text)?;
        let named = |(name, auth): (&String, &Auth)| {
            let Entry { host, path } = Entry::parse(name);
            // `docker login` leaves an empty entry for each host whose password a program keeps.
            let identity = if auth.is_empty() && file.has_helper(host) { Ok(Self::Anonymous) } else { auth.identity() };
            (if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") }, identity)
        };
        Ok(file.auths.iter().map(named).collect())
    }

    /// Whether programs keep passwords for what a docker config knows.
    pub(crate) fn has_helpers(text: &str) -> bool {
        DockerConfig::read(text).is_ok_and(|file| file.helped().next().is_some())
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

    /// For whom a program is named; one without a name is none.
    fn helped(&self) -> impl Iterator<Item = &String> {
        self.cred_helpers.iter().filter(|(_, program)| **program != "").map(|(name, _)| name)
    }

    /// Whether a program keeps the credentials of a host: one for it alone, or one for all.
    /// Source: <https://docs.docker.com/reference/cli/docker/login/#credential-stores>
    fn has_helper(&self, host: &str) -> bool {
        let own = self.helped().any(|name| Entry::parse(name).is_at(host));
        own || self.creds_store.as_ref().is_some_and(|store| !store.is_empty())
    }
}

/// All of its names, as docker and skopeo read them.
/// Source: `normalizeRegistry` in <https://github.com/containers/image/blob/main/pkg/docker/config/config.go>
const HUB: [&str; 3] = [DOCKER_HUB, "index.docker.io", "registry-1.docker.io"];

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
        if self.host == host || HUB.contains(&host) && HUB.contains(&self.host) {
            return true;
        }
        let (own, other): (Vec<&str>, Vec<&str>) = (self.host.split('.').collect(), host.split('.').collect());
        self.host.contains('*') && own.len() == other.len() && own.iter().zip(&other).all(|(own, other)| is_like(own, other))
    }
}

/// Whether a part of a host is what a part with `*` in it stands for.
pub(super) fn is_like(pattern: &str, part: &str) -> bool {
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
        let decoded = encoded::padded_or_not(encoded.trim());
        let pair = decoded.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|text| text.split_once(':'));
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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

    use super::*;

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
    fn skopeo_knows_docker_hub_by_all_of_its_names() {
        for entry in ["https://index.docker.io/v1/", "docker.io/team", "registry-1.docker.io", "https://registry-1.docker.io/v2/", "index.docker.io/team"] {
            let text = format!(r#"{{"auths":{{"{entry}":{{"username":"u","password":"p"}}}}}}"#);
            assert!(matches!(Identity::from_docker_config(&text, "docker.io", "team/app"), Ok(Identity::User { .. })), "{entry}");
        }
        let text = r#"{"auths":{"*.io":{"username":"u","password":"p"},"x.io":{}}}"#;
        assert!(matches!(Identity::from_docker_config(text, "x.io", "a"), Ok(Identity::User { .. })), "an empty entry stands for nobody");
    }

    #[test]
    fn what_is_encoded_counts_and_tokens_are_of_two_kinds() {
        let of = |auth: &str| Identity::from_docker_config(&format!(r#"{{"auths":{{"r.io":{auth}}}}}"#), "r.io", "a").unwrap();
        let encoded = STANDARD.encode("user:hunter2\0\0");
        let without_padding = STANDARD_NO_PAD.encode("user:hunter2\0\0");
        let lines = format!("{}\\n{}\\n", &encoded[..8], &encoded[8..]);
        let auths = [encoded.as_str(), &without_padding, &lines].map(|encoded| format!(r#"{{"auth":"{encoded}","username":"old","password":"old"}}"#));
        for auth in auths {
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
}
