//! Pull secrets as kubelets read them: `kubernetes.io/dockerconfigjson`, of which they know less than docker does.
//!
//! Sources: `UnmarshalJSON` and `decodeDockerConfigFieldAuth` in `pkg/credentialprovider/config.go`, `Add` and `Lookup` in
//! `pkg/credentialprovider/keyring.go`, and `PullImage` in `pkg/kubelet/kuberuntime/kuberuntime_image.go` of Kubernetes

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::auth::Identity;
use super::docker_config::is_like;
use super::reference::{DOCKER_HUB, Reference};
use crate::encoded;
use crate::value::Secret;

/// Under which host a kubelet looks for Docker Hub when nothing else is for an image.
const HUB_OF_LOGIN: &str = "index.docker.io";

/// The names of Docker Hub that docker writes.
const HUB: [&str; 2] = [HUB_OF_LOGIN, "registry-1.docker.io"];

/// What a pull secret holds, in the order in which a kubelet tries it: by name, from the last to the first.
pub(super) struct Keyring {
    entries: Vec<Entry>,
    /// Whether programs keep passwords, which kubelets do not run.
    pub(super) has_helpers: bool,
}

/// Who asks for what is below a host and a path.
pub(super) struct Entry {
    /// The host and the path as a kubelet keeps them, without scheme and version.
    pub(super) key: String,
    /// `None` for a password that no kubelet can hand on.
    pub(super) identity: Option<Identity>,
    /// Why it is of no use to a kubelet, if it is of none.
    pub(super) flaw: Option<&'static str>,
}

impl Keyring {
    /// Reads a docker config. One entry that cannot be read spoils the whole, and the reason quotes nothing of it.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let Ok(Value::Object(config)) = serde_json::from_str(text) else { return Err("it is no docker config") };
        let auths = match field(&config, "auths") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(auths)) => auths.clone(),
            Some(_) => return Err("its auths are no map, so kubelets read none of it"),
        };
        let entries: Option<Vec<Entry>> = auths.iter().map(|(name, auth)| Entry::read(name, auth)).collect();
        let mut entries = entries.ok_or("an entry of it is none that kubelets can read, so they read none of it")?;
        entries.sort_by(|one, other| other.key.cmp(&one.key));
        let helpers = config.get("credHelpers").and_then(Value::as_object).is_some_and(|helpers| !helpers.is_empty());
        let has_helpers = helpers || config.get("credsStore").and_then(Value::as_str).is_some_and(|store| !store.is_empty());
        Ok(Self { entries, has_helpers })
    }

    /// What it holds.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What a kubelet tries for a repository until one can pull.
    pub(super) fn lookup(&self, host: &str, repository: &str) -> Vec<&Entry> {
        let own: Vec<_> = self.entries.iter().filter(|entry| is_for(&entry.key, host, repository)).collect();
        let is_hub = own.is_empty() && host == DOCKER_HUB;
        if is_hub { self.entries.iter().filter(|entry| entry.key == HUB_OF_LOGIN).collect() } else { own }
    }

    /// What it has for a host that is of no use to kubelets there, and why.
    pub(super) fn passed_over(&self, host: &str, repository: &str) -> Option<(&Entry, &'static str)> {
        let of_hub = |entry: &Entry| host == DOCKER_HUB && HUB.iter().any(|name| is_at(parts(&entry.key).0, name));
        let own = self.entries.iter().filter(|entry| is_at(parts(&entry.key).0, host) || of_hub(entry));
        let tried = self.lookup(host, repository);
        let why = |entry: &Entry| {
            let is_tried = tried.iter().any(|other| std::ptr::eq(*other, entry));
            let is_elsewhere = !format!("/{repository}").starts_with(parts(&entry.key).1);
            match entry.flaw {
                Some(flaw) => Some(flaw),
                None if is_tried => None,
                None if is_elsewhere => Some("its path is not the beginning of the repository"),
                None => Some("that is not the name by which they know Docker Hub"),
            }
        };
        // What they try for it says more than what is for other images.
        tried.iter().copied().chain(own).find_map(|entry| Some((entry, why(entry)?)))
    }

    /// Whether a kubelet tries an entry for one of these images.
    pub(super) fn is_for_any(&self, entry: &Entry, images: &[String]) -> bool {
        let of = |image: &String| Reference::parse(image).is_ok_and(|own| self.lookup(&own.host, &own.repository).iter().any(|tried| tried.key == entry.key));
        images.iter().any(of)
    }
}

/// A field by its name, whose letters Go takes in any case.
pub(super) fn field<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    map.get(name).or_else(|| map.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// The key of an entry: `https://index.docker.io/v1/`, `ghcr.io` and `ghcr.io/team` alike. A version is one only before
/// another slash, and a path is kept as it stands.
fn key(name: &str) -> String {
    let bare = ["https://", "http://"].into_iter().find_map(|scheme| name.strip_prefix(scheme)).unwrap_or(name);
    let bare = bare.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = bare.find('/').map_or((bare, ""), |at| bare.split_at(at));
    let host = host.rsplit('@').next().unwrap_or_default();
    let versions = ["/v1/", "/v2/"];
    let path = if versions.iter().any(|version| path.starts_with(version)) { &path[3..] } else { path };
    if path == "/" { host.to_owned() } else { format!("{host}{path}") }
}

/// Whether a key is for a repository: its path is the beginning of that one, be it in the middle of a name, and each part
/// of its host is like that of the other.
fn is_for(key: &str, host: &str, repository: &str) -> bool {
    let (own, path) = parts(key);
    is_at(own, host) && format!("/{repository}").starts_with(path)
}

/// The host of a key, and its path.
fn parts(key: &str) -> (&str, &str) {
    key.find('/').map_or((key, ""), |at| key.split_at(at))
}

fn is_at(own: &str, host: &str) -> bool {
    let ((own, own_port), (other, port)) = (port(own), port(host));
    let (own, other): (Vec<&str>, Vec<&str>) = (own.split('.').collect(), other.split('.').collect());
    own_port == port && own.len() == other.len() && own.iter().zip(&other).all(|(own, other)| is_like(own, other))
}

fn port(host: &str) -> (&str, &str) {
    host.rsplit_once(':').unwrap_or((host, ""))
}

impl Entry {
    /// `None` where kubelets cannot read it. It stands for nobody where it names nobody, as they know neither tokens nor
    /// helper programs.
    fn read(name: &str, auth: &Value) -> Option<Self> {
        let (user, password) = login(auth)?;
        let is_there = |token: &&str| auth.as_object().and_then(|auth| field(auth, token)).and_then(Value::as_str).is_some_and(|token| !token.is_empty());
        let (identity, flaw) = match (std::str::from_utf8(&user), std::str::from_utf8(&password)) {
            (Ok(""), _) => {
                let has_token = ["identitytoken", "registrytoken"].iter().any(is_there);
                (Some(Identity::Anonymous), Some(if has_token { "it has a token and no password" } else { "it names no user" }))
            }
            (Ok(name), Ok(password)) => (Some(Identity::User { name: name.to_owned(), password: Secret::new(password.to_owned()) }), None),
            // What they hand on to whoever pulls is text.
            _ => (None, Some("its user or password is no text (UTF-8)")),
        };
        Some(Self { key: key(name), identity, flaw })
    }
}

/// What may be a part of a login.
type Bytes = Zeroizing<Vec<u8>>;

/// The user and the password of an entry, in the bytes that Go reads; `None` where it reads none.
fn login(auth: &Value) -> Option<(Bytes, Bytes)> {
    let none = Map::new();
    let auth = match auth {
        Value::Null => &none,
        Value::Object(auth) => auth,
        _ => return None,
    };
    let text = |name: &str| match field(auth, name) {
        None | Some(Value::Null) => Some(""),
        Some(Value::String(text)) => Some(text.as_str()),
        Some(_) => None,
    };
    let (name, password, encoded) = (text("username")?, text("password")?, text("auth")?);
    // Read by nobody, but it must be one.
    text("email")?;
    let bytes = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
    if encoded.is_empty() {
        return Some((bytes(name.as_bytes()), bytes(password.as_bytes())));
    }
    // What is not padded may not be padded in part. Blanks are no part of it, and zeros at its end are.
    let decoded = if encoded.trim().ends_with('=') { encoded::padded(encoded)? } else { encoded::padded_or_not(encoded)? };
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((bytes(&decoded[..colon]), bytes(&decoded[colon + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is tried for a repository with these entries.
    fn tried(auths: &str, image: &str) -> Vec<String> {
        let keyring = Keyring::read(&format!(r#"{{"auths":{auths}}}"#)).unwrap();
        let own = Reference::parse(image).unwrap();
        let name = |entry: &&Entry| match &entry.identity {
            Some(Identity::User { name, password }) => format!("{name}:{}", password.expose()),
            Some(other) => format!("{other:?}"),
            None => "unreadable".to_owned(),
        };
        keyring.lookup(&own.host, &own.repository).iter().map(name).collect()
    }

    /// The same with an entry for each of these names.
    fn of(names: &[&str], image: &str) -> Vec<String> {
        let entries: Vec<String> = names.iter().map(|name| format!(r#""{name}":{{"username":"{name}","password":""}}"#)).collect();
        tried(&format!("{{{}}}", entries.join(",")), image).iter().map(|own| own.trim_end_matches(':').to_owned()).collect()
    }

    #[test]
    fn a_kubelet_takes_the_beginning_of_a_path_and_a_version_only_before_a_slash() {
        let matches = |entry: &str, image: &str| !of(&[entry], image).is_empty();
        for (entry, image, expected) in [
            ("r.io", "r.io/team/app", true),
            ("https://r.io", "r.io/team/app", true),
            ("http://r.io/", "r.io/team/app", true),
            ("https://r.io/v1/", "r.io/team/app", true),
            ("https://r.io/v2/", "r.io/team/app", true),
            ("r.io/v2/team", "r.io/team/app", true),
            ("https://r.io/v2", "r.io/team/app", false),
            ("r.io/v1", "r.io/v1/app", true),
            ("r.io/tea", "r.io/team/app", true),
            ("r.io/team", "r.io/team/app", true),
            ("r.io/team/app", "r.io/team/app", true),
            ("r.io/team/app/", "r.io/team/app", false),
            ("r.io/other", "r.io/team/app", false),
            ("r.io:5000", "r.io/team/app", false),
            ("r.io:5000", "r.io:5000/team/app", true),
            ("*.io:5000", "r.io:5000/team/app", true),
            ("r.*", "r.io:5000/team/app", false),
            ("*.io", "r.io/team/app", true),
            ("*.io", "a.r.io/team/app", false),
            ("ftp://r.io", "r.io/team/app", false),
            // To Go the first is a question of a URL, and the other no host at all.
            ("r.i?", "r.io/team/app", false),
            ("r.[a-z]o", "r.io/team/app", false),
            ("R.io", "r.io/team/app", false),
        ] {
            assert_eq!(matches(entry, image), expected, "{entry} for {image}");
        }
    }

    #[test]
    fn entries_are_tried_from_the_last_name_to_the_first() {
        assert_eq!(of(&["*.io", "r.io", "r.io/a"], "r.io/a/b"), ["r.io/a", "r.io", "*.io"]);
        assert_eq!(of(&["*.io", "r.io", "r.io/a"], "r.io/b"), ["r.io", "*.io"]);
        assert_eq!(of(&["*.io", "r.io", "r.io/a"], "r.com/b"), Vec::<String>::new());
    }

    #[test]
    fn docker_hub_has_a_second_name_where_nothing_is_for_the_first() {
        let hub = "https://index.docker.io/v1/";
        for entry in [hub, "index.docker.io", "docker.io", "docker.io/team"] {
            assert_eq!(of(&[entry], "team/app").len(), 1, "{entry}");
        }
        for entry in ["registry-1.docker.io", "https://registry-1.docker.io/v2/", "index.docker.io/team", "https://index.docker.io/v1"] {
            assert_eq!(of(&[entry], "team/app").len(), 0, "{entry}");
        }
        assert_eq!(of(&[hub, "docker.io"], "team/app"), ["docker.io"], "the other one is not tried");
        assert_eq!(of(&[hub, "docker.io/other"], "team/app"), [hub]);
        let keyring = Keyring::read(r#"{"auths":{"https://index.docker.io/v1/":{},"registry-1.docker.io":{}}}"#).unwrap();
        let needed: Vec<_> = keyring.entries().iter().map(|entry| (entry.key.as_str(), keyring.is_for_any(entry, &["team/app:1".to_owned()]))).collect();
        assert_eq!(needed, [("registry-1.docker.io", false), ("index.docker.io", true)]);
    }

    #[test]
    fn a_kubelet_knows_a_name_and_a_password_and_nothing_else() {
        let own = |auth: &str| tried(&format!(r#"{{"r.io":{auth}}}"#), "r.io/a");
        assert_eq!(own(r#"{"auth":"dTpw","username":"old","password":"old"}"#), ["u:p"]);
        assert_eq!(own(r#"{"username":"u","password":"p","email":"e","other":1}"#), ["u:p"]);
        assert_eq!(own(r#"{"Username":"u","PASSWORD":"p"}"#), ["u:p"]);
        assert_eq!(own(r#"{"auth":"dTpw","identitytoken":"t"}"#), ["u:p"], "that is a name and a password to it");
        assert_eq!(own(r#"{"auth":"dTpwAAA="}"#), ["u:p\0\0"], "docker leaves these zeros out");
        assert_eq!(own("{\"auth\":\"dT\\npw\\n\"}"), ["u:p"]);
        for nobody in [r#"{"identitytoken":"t"}"#, r#"{"registrytoken":"t"}"#, r#"{"password":"p"}"#, "{}", "null"] {
            assert_eq!(own(nobody), ["Anonymous"], "{nobody}");
        }
    }

    #[test]
    fn what_kubelets_pass_over_says_why() {
        let told = |auths: &str, image: &str| {
            let keyring = Keyring::read(&format!(r#"{{"auths":{auths}}}"#)).unwrap();
            let own = Reference::parse(image).unwrap();
            keyring.passed_over(&own.host, &own.repository).map(|(entry, why)| format!("{}: {why}", entry.key))
        };
        for (auths, image, why) in [
            (r#"{"r.io":{"identitytoken":"t"}}"#, "r.io/team/app", Some("r.io: it has a token and no password")),
            (r#"{"r.io":{"registrytoken":"t"}}"#, "r.io/team/app", Some("r.io: it has a token and no password")),
            (r#"{"r.io":{"password":"p"}}"#, "r.io/team/app", Some("r.io: it names no user")),
            (r#"{"https://r.io/v2":{"auth":"dTpw"}}"#, "r.io/team/app", Some("r.io/v2: its path is not the beginning of the repository")),
            (r#"{"r.io/team/app/":{"auth":"dTpw"}}"#, "r.io/team/app", Some("r.io/team/app/: its path is not the beginning of the repository")),
            (r#"{"r.io":{"auth":"dTpw"}}"#, "r.io/team/app", None),
            (r#"{"other.io":{"identitytoken":"t"}}"#, "r.io/team/app", None),
            (r#"{"r.io":{"identitytoken":"t"},"r.io/x":{"auth":"dTpw"}}"#, "r.io/team/app", Some("r.io: it has a token and no password")),
            (r#"{"registry-1.docker.io":{"auth":"dTpw"}}"#, "team/app", Some("registry-1.docker.io: that is not the name by which they know Docker Hub")),
            (r#"{"https://index.docker.io/v1":{"auth":"dTpw"}}"#, "team/app", Some("index.docker.io/v1: its path is not the beginning of the repository")),
            (r#"{"https://index.docker.io/v1/":{"auth":"dTpw"}}"#, "team/app", None),
        ] {
            assert_eq!(told(auths, image).as_deref(), why, "{auths}");
        }
    }

    #[test]
    fn a_password_that_is_no_text_counts_for_its_own_entry_alone() {
        // "u:" and two bytes that are no UTF-8.
        let auths = r#"{"r.io":{"auth":"dTr//g=="},"other.io":{"auth":"dTpw"}}"#;
        assert_eq!((tried(auths, "r.io/a"), tried(auths, "other.io/a")), (vec!["unreadable".to_owned()], vec!["u:p".to_owned()]));
    }

    #[test]
    fn one_entry_that_cannot_be_read_spoils_the_whole() {
        for bad in
            [r#"{"auth":"hunter2"}"#, r#"{"auth":" dTpw"}"#, r#"{"auth":"dTpwYQ="}"#, r#"{"auth":"dXA="}"#, r#"{"auth":1}"#, r#"{"email":[]}"#, r#""hunter2""#]
        {
            let said = Keyring::read(&format!(r#"{{"auths":{{"r.io":{{"auth":"dTpw"}},"other.io":{bad}}}}}"#)).err();
            assert_eq!(said, Some("an entry of it is none that kubelets can read, so they read none of it"), "{bad}");
        }
        assert!(Keyring::read("hunter2").is_err() && Keyring::read(r#"{"auths":[]}"#).is_err());
        for empty in ["{}", r#"{"auths":null}"#, r#"{"credHelpers":{"r.io":"ecr-login"}}"#] {
            assert_eq!(Keyring::read(empty).map(|own| own.entries().len()).ok(), Some(0), "{empty}");
        }
    }
}
