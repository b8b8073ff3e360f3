//! Names of images: references as people write them, and `imageID` as container runtimes report it.
//!
//! Grammar: <https://pkg.go.dev/github.com/distribution/reference>, whose defaults every runtime shares.

use std::fmt;

use super::digest::Digest;
use crate::say;
use crate::say::Message;

/// An image by tag, by digest, or by both; then the digest counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    /// Host with its port, as in the reference; `docker.io` where it names none.
    pub(crate) host: String,
    /// Path below the host; `library/` is filled in for Docker Hub.
    pub(crate) repository: String,
    /// `latest` where neither tag nor digest is given.
    pub(crate) tag: Option<String>,
    pub(crate) digest: Option<Digest>,
}

impl Reference {
    /// Reads `ghcr.io/coder/coder:latest`, `nginx`, `10.0.0.1:5000/a/b@sha256:...`.
    pub(crate) fn parse(text: &str) -> Result<Self, Message> {
        let wrong = |why: &'static str| say!("must be an image reference such as ghcr.io/coder/coder:v2.18.0: {}", why);
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest).ok_or_else(|| wrong("its digest is no sha256 digest"))?)),
            None => (text, None),
        };
        // A colon after the last slash is a tag's; one before it is a port's.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if tag.as_ref().is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("its tag has characters that no tag has"));
        }
        let (host, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path.to_owned()),
            Some(_) => (DOCKER_HUB, name.to_owned()),
            None => (DOCKER_HUB, format!("library/{name}")),
        };
        let host = if host == "index.docker.io" { DOCKER_HUB } else { host };
        if !is_repository(&path) {
            return Err(wrong("its repository must be in small letters, digits, and . _ - /"));
        }
        let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Ok(Self { host: host.to_owned(), repository: path, tag, digest })
    }

    /// Host and repository, without tag and digest.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// Whether the same words can mean another image tomorrow: a tag without a digest that is not a
    /// version.
    pub(crate) fn is_mutable(&self) -> bool {
        let version = |tag: &str| tag.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit()) && tag.contains('.');
        self.digest.is_none() && !self.tag.as_deref().is_some_and(version)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// What people call Docker Hub; its API is at `registry-1.docker.io`.
pub(crate) const DOCKER_HUB: &str = "docker.io";

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=128).contains(&tag.len()) && tag.starts_with(word) && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

fn is_repository(path: &str) -> bool {
    let part = |part: &str| {
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(letter) && part.ends_with(letter) && part.chars().all(|c| letter(c) || matches!(c, '.' | '_' | '-'))
    };
    path.len() <= 255 && path.split('/').all(part)
}

/// What a container runs, from its `imageID`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Running {
    /// The digest of a manifest or of an index: of whatever was pulled.
    Manifest(Digest),
    /// An image ID, which is the digest of a config: the runtime does not know where it came from.
    Config(Digest),
    /// Not started yet, or nothing that can be read.
    Unknown,
}

impl Running {
    /// Reads every form: `repo@sha256:..`, `docker-pullable://repo@sha256:..`, `docker://sha256:..`
    /// and `sha256:..`. The repository is left out on purpose: where a node has the same image from
    /// two of them, containerd names whichever it finds first.
    pub(crate) fn parse(image_id: &str) -> Self {
        let text = image_id.strip_prefix("docker-pullable://").or_else(|| image_id.strip_prefix("docker://")).unwrap_or(image_id);
        let (digest, of): (_, fn(Digest) -> Self) = match text.rsplit_once('@') {
            Some((_, digest)) => (digest, Self::Manifest),
            None => (text, Self::Config),
        };
        Digest::parse(digest).map_or(Self::Unknown, of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_are_read_as_container_runtimes_read_them() {
        for (text, whole) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("codercom/example-universal:ubuntu", "docker.io/codercom/example-universal:ubuntu"),
            ("index.docker.io/a/b", "docker.io/a/b:latest"),
            ("ghcr.io/coder/coder-preview", "ghcr.io/coder/coder-preview:latest"),
            ("127.0.0.1:5000/a/b:v1.2", "127.0.0.1:5000/a/b:v1.2"),
            ("localhost/a", "localhost/a:latest"),
            ("123456789012.dkr.ecr.us-east-2.amazonaws.com/ghcr/coder/coder:1", "123456789012.dkr.ecr.us-east-2.amazonaws.com/ghcr/coder/coder:1"),
        ] {
            assert_eq!(Reference::parse(text).unwrap().to_string(), whole, "{text}");
        }
        let pinned = Reference::parse(&format!("r.io/a:v1@sha256:{HEX}")).unwrap();
        assert_eq!(pinned.to_string(), format!("r.io/a:v1@sha256:{HEX}"));
        assert_eq!(Reference::parse(&format!("r.io/a@sha256:{HEX}")).unwrap().tag, None);
        for text in [
            "",
            "/a",
            "r.io/",
            "r.io/A",
            "r.io/a:",
            "r.io/a:-x",
            "r.io/a@sha256:12",
            "r.io/a@md5:12",
            "r.io/a b",
            "r.io/a//b",
            &format!("r.io/{}", "a/".repeat(200)),
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_tag_that_is_no_version_can_move() {
        for (text, mutable) in [("a/b", true), ("a/b:latest", true), ("a/b:main", true), ("a/b:v2.18.0", false), ("a/b:2.18.0-rc.1", false), ("a/b:v2", true)] {
            assert_eq!(Reference::parse(text).unwrap().is_mutable(), mutable, "{text}");
        }
        assert!(!Reference::parse(&format!("a/b:latest@sha256:{HEX}")).unwrap().is_mutable());
    }

    #[test]
    fn every_form_of_an_image_id_is_read() {
        let digest = Digest::parse(&format!("sha256:{HEX}")).unwrap();
        for (text, running) in [
            (format!("ghcr.io/coder/coder-preview@sha256:{HEX}"), Running::Manifest(digest.clone())),
            (format!("docker-pullable://r:5000/a@sha256:{HEX}"), Running::Manifest(digest.clone())),
            (format!("docker://sha256:{HEX}"), Running::Config(digest.clone())),
            (format!("sha256:{HEX}"), Running::Config(digest)),
            (String::new(), Running::Unknown),
            ("ghcr.io/a@sha256:short".to_owned(), Running::Unknown),
            ("nonsense".to_owned(), Running::Unknown),
        ] {
            assert_eq!(Running::parse(&text), running, "{text}");
        }
    }
}
