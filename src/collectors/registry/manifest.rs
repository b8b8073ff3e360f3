//! Manifests: what an index or an image names, reduced to digests.
//!
//! Source: <https://github.com/opencontainers/image-spec/blob/main/image-index.md> and
//! <https://github.com/opencontainers/image-spec/blob/main/manifest.md>; Docker's types have the same fields.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::digest::Digest;
use crate::cause::Cause as _;
use crate::say;
use crate::say::Message;

/// What is asked for. Without the types of an index a registry answers with one platform's manifest
/// or with 404: another digest for the same tag.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// The same as a list.
pub(crate) const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// The largest manifest that is read, as the specification asks of registries.
/// Source: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests>
pub(crate) const LARGEST: usize = 4 << 20;

/// A manifest, reduced.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Manifest {
    /// One manifest per platform.
    Index(Vec<Child>),
    /// One image.
    Image {
        /// The image ID, which survives a push that compresses layers anew.
        config: Digest,
        /// Those that a registry must hold.
        layers: Vec<Blob>,
        /// The size of the config in bytes.
        size: u64,
        /// All of its layers, also those that come from elsewhere.
        count: usize,
        /// Why no container can start from its layers.
        unfit: Option<&'static str>,
        /// Whether its config is that of something else than an image.
        foreign: bool,
    },
}

/// A layer or a config, as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    /// In bytes.
    pub(crate) size: u64,
}

/// A manifest that an index names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Child {
    pub(crate) digest: Digest,
    /// `linux/amd64`, `linux/arm64`; the variant is left out, as a node does not tell its own. `None` where the
    /// index does not say it, so that whoever resolves it looks inside.
    pub(crate) platform: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<u8>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: String,
    #[serde(default)]
    size: u64,
    media_type: Option<String>,
    platform: Option<Platform>,
    urls: Option<Vec<String>>,
    #[serde(default)]
    artifact_type: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

/// An architecture in the word of nodes; builders have used others for the same.
/// Source: `normalizeArch` in <https://github.com/containerd/platforms/blob/main/database.go>
pub(super) fn architecture(said: &str) -> &str {
    match said {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        own => own,
    }
}

/// The children of an index that nodes of these platforms take: by their label, and of those without one the first.
/// Source: `Manifest` in <https://github.com/containerd/containerd/blob/main/core/images/image.go>
pub(super) fn taken(children: Vec<Child>, platforms: &[String]) -> impl Iterator<Item = Child> {
    let mut has_unlabelled = false;
    children.into_iter().filter(move |child| match &child.platform {
        Some(own) => platforms.contains(own),
        None => !std::mem::replace(&mut has_unlabelled, true),
    })
}

impl Manifest {
    /// Reads a manifest of whatever type it says it is.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Message> {
        let document: Document = serde_json::from_slice(body).map_err(|error| say!("no manifest: {}", error.words()))?;
        if document.schema_version == Some(1) {
            return Err(say!("a manifest of schema 1, which names no config; push the image again"));
        }
        match (document.manifests, document.config) {
            (Some(children), None) => children.iter().filter_map(Descriptor::child).collect::<Result<_, _>>().map(Self::Index),
            (None, Some(config)) => {
                let layers = document.layers.iter().filter(|layer| !layer.is_elsewhere()).map(Descriptor::blob).collect::<Result<_, _>>()?;
                let (unfit, foreign) = (unfit(&config, &document.layers), config.is_foreign());
                Ok(Self::Image { config: config.own_digest()?, layers, size: config.size, count: document.layers.len(), unfit, foreign })
            }
            (Some(_), Some(_)) => Err(say!("a manifest that says to be an index and an image at once")),
            (None, None) => Err(say!("neither an index nor an image")),
        }
    }
}

/// Why no container can start from these layers. Where the config is that of an image, what unpacks it takes no layer of
/// another type, such as a chart.
/// Source: `GetCompression` and `DiffCompression` in <https://github.com/containerd/containerd/blob/main/core/images/mediatypes.go>
fn unfit(config: &Descriptor, layers: &[Descriptor]) -> Option<&'static str> {
    let is_of = |own: &Descriptor, prefixes: &[&str]| own.media_type.as_deref().map(|kind| prefixes.iter().any(|prefix| kind.starts_with(prefix)));
    let is_image = is_of(config, &["application/vnd.oci.image.config.", "application/vnd.docker.container.image."]) == Some(true);
    let is_layer = |layer: &Descriptor| is_of(layer, &["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."]) != Some(false);
    if layers.is_empty() {
        Some("it has no layers, so that there is no program in it to start")
    } else if is_image && !layers.iter().all(is_layer) {
        Some("one of its layers is no part of a file system, so that it cannot be unpacked")
    } else {
        None
    }
}

impl Descriptor {
    /// Whether a config is that of another artifact, such as a chart or a program of WebAssembly, which a container starts only
    /// from nodes that are made for it. What says nothing, or what old versions of Docker said, is an image.
    /// Source: `ImageTypes` in `distribution/registry.go` of <https://github.com/moby/moby>
    fn is_foreign(&self) -> bool {
        let images =
            ["application/vnd.oci.image.config.", "application/vnd.docker.container.image.", "application/octet-stream", "application/json", "text/html"];
        self.media_type.as_deref().is_some_and(|kind| !kind.is_empty() && !images.iter().any(|own| kind.starts_with(own)))
    }

    fn own_digest(&self) -> Result<Digest, Message> {
        Digest::parse(&self.digest).ok_or_else(|| say!("a descriptor whose digest is none"))
    }

    fn blob(&self) -> Result<Blob, Message> {
        Ok(Blob { digest: self.own_digest()?, size: self.size })
    }

    /// Whether registries do not have to hold it: base layers of Windows come from where its vendor says. One that says
    /// no place comes from the registry.
    /// Source: <https://github.com/opencontainers/image-spec/blob/main/layer.md#non-distributable-layers>
    fn is_elsewhere(&self) -> bool {
        let has_place = self.urls.as_ref().is_some_and(|urls| !urls.is_empty());
        has_place && self.media_type.as_deref().is_some_and(|kind| kind.contains(".nondistributable.") || kind.contains(".foreign."))
    }

    /// `None` for what no node runs: attestations, signatures, artifacts of unknown platforms.
    fn child(&self) -> Option<Result<Child, Message>> {
        if self.annotations.as_ref().is_some_and(|own| own.contains_key("vnd.docker.reference.type")) {
            return None;
        }
        // What lies beside an image for its platform, as the index of SOCI does, says what it is.
        // Source: <https://github.com/opencontainers/image-spec/blob/main/descriptor.md#properties>
        if self.artifact_type.as_deref().is_some_and(|kind| !kind.is_empty()) {
            return None;
        }
        let platform = match &self.platform {
            Some(platform) if platform.os == "unknown" || platform.architecture == "unknown" => return None,
            Some(platform) => Some(format!("{}/{}", platform.os, architecture(&platform.architecture))),
            // The field is optional: a node looks into an index, or reads the config of an image.
            None if self.media_type.as_deref().is_some_and(|kind| MEDIA_TYPES.contains(&kind)) => None,
            None => return None,
        };
        Some(self.own_digest().map(|digest| Child { digest, platform }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u8) -> String {
        format!("sha256:{}", format!("{n:02x}").repeat(32))
    }

    #[test]
    fn an_index_names_its_platforms_and_not_its_attestations() {
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[
              {{"digest":"{}","platform":{{"os":"linux","architecture":"amd64"}}}},
              {{"digest":"{}","platform":{{"os":"linux","architecture":"arm64","variant":"v8"}}}},
              {{"digest":"{}","platform":{{"os":"linux","architecture":"amd64"}},"artifactType":"application/vnd.amazon.soci.index.v2+json"}},
              {{"digest":"{}","platform":{{"os":"unknown","architecture":"unknown"}},"annotations":{{"vnd.docker.reference.type":"attestation-manifest"}}}},
              {{"digest":"{}","mediaType":"application/vnd.oci.image.index.v1+json"}},
              {{"digest":"{}"}},
              {{"digest":"{}","mediaType":"application/vnd.oci.image.manifest.v1+json"}},
              {{"digest":"{}","platform":{{"os":"linux","architecture":"aarch64"}}}}]}}"#,
            digest(1),
            digest(2),
            digest(8),
            digest(3),
            digest(4),
            digest(5),
            digest(6),
            digest(7)
        );
        let Manifest::Index(children) = Manifest::parse(text.as_bytes()).unwrap() else { panic!("no index") };
        let told: Vec<_> = children.iter().map(|child| (child.digest.short(), child.platform.as_deref().unwrap_or("unsaid"))).collect();
        let platforms = [("01", "linux/amd64"), ("02", "linux/arm64"), ("04", "unsaid"), ("06", "unsaid"), ("07", "linux/arm64")];
        assert_eq!(told.len(), platforms.len());
        for ((digest, platform), (start, expected)) in told.into_iter().zip(platforms) {
            assert!(digest.starts_with(start) && platform == expected, "{digest} {platform}");
        }
    }

    #[test]
    fn an_image_names_its_config_and_its_layers() {
        let text = format!(r#"{{"schemaVersion":2,"config":{{"digest":"{}"}},"layers":[{{"digest":"{}","size":7}}]}}"#, digest(1), digest(2));
        let read = Manifest::parse(text.as_bytes()).unwrap();
        let layers = vec![Blob { digest: Digest::parse(&digest(2)).unwrap(), size: 7 }];
        assert_eq!(
            read,
            Manifest::Image { config: Digest::parse(&digest(1)).unwrap(), layers: layers.clone(), size: 0, count: 1, unfit: None, foreign: false }
        );
        let windows = text.replace(
            "\"layers\":[",
            &format!(r#""layers":[{{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"{}","urls":["https://a"]}},"#, digest(3)),
        );
        let Manifest::Image { layers: held, .. } = Manifest::parse(windows.as_bytes()).unwrap() else { panic!("no image") };
        assert_eq!(held, layers, "what comes from elsewhere is missing in no registry");
        let placeless = windows.replace(r#","urls":["https://a"]"#, "");
        assert!(matches!(Manifest::parse(placeless.as_bytes()), Ok(Manifest::Image { layers, .. }) if layers.len() == 2), "the registry must have it");
        let typed = |layer: &str| {
            text.replace(r#""config":{"#, r#""config":{"mediaType":"application/vnd.oci.image.config.v1+json","#)
                .replace(r#""layers":[{"#, &format!(r#""layers":[{{"mediaType":"{layer}","#))
        };
        let unfit =
            |layer: &str| if let Manifest::Image { unfit, .. } = Manifest::parse(typed(layer).as_bytes()).unwrap() { unfit } else { panic!("no image") };
        assert_eq!(unfit("application/vnd.oci.image.layer.v1.tar+zstd"), None);
        assert!(unfit("application/vnd.cncf.helm.chart.content.v1.tar+gzip").is_some());
        let foreign = |kind: &str| {
            let text = text.replace(r#""config":{"#, &format!(r#""config":{{"mediaType":"{kind}","#));
            matches!(Manifest::parse(text.as_bytes()), Ok(Manifest::Image { foreign: true, .. }))
        };
        assert!(foreign("application/vnd.wasm.config.v0+json") && foreign("application/vnd.cncf.helm.config.v1+json"));
        for kind in ["", "application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json", "application/octet-stream"] {
            assert!(!foreign(kind), "{kind}");
        }
        let bare = format!(r#"{{"schemaVersion":2,"config":{{"digest":"{}"}},"layers":[]}}"#, digest(1));
        assert!(matches!(Manifest::parse(bare.as_bytes()), Ok(Manifest::Image { count: 0, unfit: Some(_), .. })));
    }

    #[test]
    fn what_is_no_manifest_says_why() {
        for (text, why) in [
            ("<html>", "no manifest"),
            ("{}", "neither an index nor an image"),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, "schema 1"),
            (r#"{"config":{"digest":"md5:1"}}"#, "digest is none"),
            (r#"{"manifests":[],"config":{"digest":"x"}}"#, "at once"),
            (r#"{"manifests":null,"config":null}"#, "neither"),
            (r#"{"manifests":[{"digest":"x","platform":{"os":"linux","architecture":"amd64"}}]}"#, "digest is none"),
        ] {
            let said = Manifest::parse(text.as_bytes()).unwrap_err();
            assert!(said.as_str().contains(why), "{text}: {said}");
        }
    }
}
