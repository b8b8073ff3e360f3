//! Images as registries hold them: two versions, each as the index that was built and as the copy
//! that `docker pull`, `tag` and `push` leave behind.

use std::collections::BTreeMap;

use serde_json::json;
use sha2::{Digest as _, Sha256};

/// What is stored under a digest.
#[derive(Debug, Clone)]
pub struct Blob {
    /// As it is sent.
    pub media_type: &'static str,
    /// The content.
    pub bytes: Vec<u8>,
}

/// Everything that is stored, by digest.
pub type Blobs = BTreeMap<String, Blob>;

/// A version of the image.
#[derive(Debug, Clone)]
pub struct Version {
    /// What the build pushed.
    pub index: String,
    /// Manifests of its platforms: amd64, arm64.
    pub platforms: [String; 2],
    /// The amd64 image after `docker pull`, `tag` and `push`: the same config, another manifest.
    pub copy: String,
    /// The image ID of amd64.
    pub config: String,
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_PARTS: [&str; 2] = ["application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"];
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The digest of some bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn put(blobs: &mut Blobs, media_type: &'static str, bytes: Vec<u8>) -> String {
    let digest = digest(&bytes);
    blobs.insert(digest.clone(), Blob { media_type, bytes });
    digest
}

/// A manifest around a config and one layer.
fn image(blobs: &mut Blobs, media_type: &'static str, config: &str, layer: &[u8]) -> String {
    let (size, length) = (blobs[config].bytes.len(), layer.len());
    let [config_type, layer_type] = if media_type == DOCKER { DOCKER_PARTS } else { [CONFIG, LAYER] };
    let layer = put(blobs, layer_type, layer.to_vec());
    let manifest = json!({ "schemaVersion": 2, "mediaType": media_type,
        "config": { "mediaType": config_type, "digest": config, "size": size },
        "layers": [{ "mediaType": layer_type, "digest": layer, "size": length }] });
    put(blobs, media_type, manifest.to_string().into_bytes())
}

/// Builds a version that was made at `created`.
pub fn version(blobs: &mut Blobs, name: &str, created: &str) -> Version {
    let mut platforms = Vec::new();
    let mut configs = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let config = json!({ "created": created, "architecture": architecture, "os": "linux", "config": { "Labels": { "org.opencontainers.image.version": name } },
            "rootfs": { "type": "layers", "diff_ids": [digest(format!("{name} {architecture}").as_bytes())] } });
        let config = put(blobs, CONFIG, config.to_string().into_bytes());
        platforms.push(image(blobs, MANIFEST, &config, format!("layer of {name} for {architecture}").as_bytes()));
        configs.push(config);
    }
    let attestation = put(blobs, CONFIG, format!("{{\"attests\":\"{name}\"}}").into_bytes());
    let attestation = image(blobs, MANIFEST, &attestation, b"in-toto");
    let size = |blobs: &Blobs, digest: &str| blobs[digest].bytes.len();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [
        { "mediaType": MANIFEST, "digest": platforms[0], "size": size(blobs, &platforms[0]), "platform": { "os": "linux", "architecture": "amd64" } },
        { "mediaType": MANIFEST, "digest": platforms[1], "size": size(blobs, &platforms[1]), "platform": { "os": "linux", "architecture": "arm64", "variant": "v8" } },
        { "mediaType": MANIFEST, "digest": attestation, "size": size(blobs, &attestation), "platform": { "os": "unknown", "architecture": "unknown" },
          "annotations": { "vnd.docker.reference.type": "attestation-manifest" } } ] });
    let index = put(blobs, INDEX, index.to_string().into_bytes());
    let copy = image(blobs, DOCKER, &configs[0], format!("layer of {name} for amd64, compressed anew").as_bytes());
    let [amd, arm] = [platforms.remove(0), platforms.remove(0)];
    Version { index, platforms: [amd, arm], copy, config: configs.remove(0) }
}

/// The two versions, the older first.
pub fn versions() -> (Blobs, [Version; 2]) {
    let mut blobs = Blobs::new();
    let old = version(&mut blobs, "2.17.0", "2026-01-10T08:00:00Z");
    let new = version(&mut blobs, "2.18.0", "2026-01-17T08:00:00Z");
    (blobs, [old, new])
}
