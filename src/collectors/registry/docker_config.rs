//! Docker configs, as kubelets and skopeo read them: `config.json` and `kubernetes.io/dockerconfigjson`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::auth::Identity;
use super::reference::{DOCKER_HUB, Reference};
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
    /// entries that match, the one with the longest path, which skopeo takes and kubelets try first. Anonymous
    /// when none does.
    pub(crate) fn from_docker_config(text: &str, host: &str, repository: &str) -> Result<Self, Message> {
        let all = Self::of_docker_config(text, host, |entry| entry.is_for(host, repository))?;
        Ok(all.into_iter().next().unwrap_or(Self::Anonymous))
    }

    /// All of them, in the order in which a kubelet tries them until one can pull: those with the longest path first.
    /// Sources: `Lookup` in `pkg/credentialprovider/keyring.go` and `PullImage` in
    /// `pkg/kubelet/kuberuntime/kuberuntime_image.go` of Kubernetes
    pub(crate) fn all_of_docker_config(text: &str, host: &str, repository: &str) -> Result<Vec<Self>, Message> {
        Self::of_docker_config(text, host, |entry| entry.is_taken_by_kubelets(host, repository))
    }

    fn of_docker_config(text: &str, host: &str, takes: impl Fn(&Entry<'_>) -> bool) -> Result<Vec<Self>, Message> {
        let file = DockerConfig::read(text)?;
        let entries = file.auths.iter().map(|(name, auth)| (Entry::parse(name), auth));
        let mut own: Vec<_> = entries.filter(|(entry, _)| takes(entry)).collect();
        own.sort_by_key(|(entry, _)| std::cmp::Reverse((entry.path.len(), entry.host == host)));
        if own.first().is_none_or(|(_, auth)| auth.is_empty()) && file.has_helper(host) {
            return Err(say!("its credentials are kept by a helper program, which is not run here and by no kubelet"));
        }
        // What is empty stands for nobody, as long as another entry says more.
        if own.iter().any(|(_, auth)| !auth.is_empty()) {
            own.retain(|(_, auth)| !auth.is_empty());
        }
        own.into_iter().map(|(_, auth)| auth.identity()).collect()
    }

    /// Whether kubelets take an entry, as a host and a path, for one of these images.
    pub(crate) fn is_entry_for_any(entry: &str, images: &[String]) -> bool {
        let of = |image: &String| Reference::parse(image).is_ok_and(|own| Entry::parse(entry).is_taken_by_kubelets(&own.host, &own.repository));
        images.iter().any(of)
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

/// Under which name `docker login` keeps what is for Docker Hub.
const HUB_OF_LOGIN: &str = "index.docker.io";
/// All of its names, as docker and skopeo read them.
/// Source: `normalizeRegistry` in <https://github.com/containers/image/blob/main/pkg/docker/config/config.go>
const HUB: [&str; 3] = [DOCKER_HUB, HUB_OF_LOGIN, "registry-1.docker.io"];

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

    /// The same as kubelets see it, who know Docker Hub by two names, and by that of `docker login` only as a whole.
    /// Source: `Lookup` in `pkg/credentialprovider/keyring.go` of Kubernetes
    fn is_taken_by_kubelets(&self, host: &str, repository: &str) -> bool {
        let is_hub_of_login = host == DOCKER_HUB && self.host == HUB_OF_LOGIN && self.path.is_empty();
        let is_other_name = self.host != host && HUB.contains(&self.host);
        is_hub_of_login || !is_other_name && self.is_for(host, repository)
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
    fn all_entries_that_match_are_tried_the_longest_path_first() {
        let text = r#"{"auths":{"*.io":{"username":"glob","password":"p"},"r.io":{"username":"host","password":"p"},"r.io/a":{"username":"path","password":"p"},"x.io":{},"y.com":{},"r.io/bad":{"auth":"hunter2"}}}"#;
        let of = |host: &str, repository: &str| {
            let all = Identity::all_of_docker_config(text, host, repository)?;
            Ok::<_, Message>(all.into_iter().filter_map(|own| if let Identity::User { name, .. } = own { Some(name) } else { None }).collect::<Vec<_>>())
        };
        assert_eq!(of("r.io", "a/b").unwrap(), ["path", "host", "glob"]);
        assert_eq!(of("r.io", "b").unwrap(), ["host", "glob"]);
        assert_eq!(of("r.com", "b").unwrap(), Vec::<String>::new());
        assert_eq!(of("x.io", "b").unwrap(), ["glob"], "an empty entry stands for nobody");
        // One that kubelets cannot read spoils the whole.
        assert!(of("y.com", "b").is_err() && of("r.io", "bad").is_err());
    }

    #[test]
    fn kubelets_know_docker_hub_by_fewer_names_than_skopeo() {
        let read = |entry: &str, image: &str| {
            let text = format!(r#"{{"auths":{{"{entry}":{{"username":"u","password":"p"}}}}}}"#);
            let skopeo = matches!(Identity::from_docker_config(&text, "docker.io", image), Ok(Identity::User { .. }));
            [skopeo, !Identity::all_of_docker_config(&text, "docker.io", image).unwrap().is_empty()]
        };
        for entry in ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "docker.io/team"] {
            assert_eq!(read(entry, "team/app"), [true; 2], "{entry}");
        }
        for entry in ["registry-1.docker.io", "https://registry-1.docker.io/v2/", "index.docker.io/team"] {
            assert_eq!(read(entry, "team/app"), [true, false], "{entry}");
        }
        assert!(
            !Identity::is_entry_for_any("registry-1.docker.io", &["team/app:1".to_owned()]) && Identity::is_entry_for_any("ghcr.io", &["ghcr.io/a".to_owned()])
        );
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
