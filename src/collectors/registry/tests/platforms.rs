//! For which nodes an image is: what its index says, and what the image itself says.

use serde_json::{Value, json};

use super::super::platforms::Platforms;
use super::*;
use crate::snapshot::Snapshot;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

fn put(blobs: &mut Blobs, media_type: &'static str, json: &Value) -> String {
    let bytes = json.to_string().into_bytes();
    let digest = images::digest(&bytes);
    blobs.insert(digest.clone(), images::Blob { media_type, bytes });
    digest
}

/// An image around a config, with a layer or without.
fn image(blobs: &mut Blobs, config: &Value, has_layer: bool) -> String {
    let config = put(blobs, "application/vnd.oci.image.config.v1+json", config);
    let layer = put(blobs, "application/octet-stream", &json!({ "of": config }));
    let layers = if has_layer { json!([{ "digest": layer, "size": blobs[&layer].bytes.len() }]) } else { json!([]) };
    put(blobs, IMAGE, &json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": { "digest": config, "size": blobs[&config].bytes.len() }, "layers": layers }))
}

fn for_platform(architecture: &str) -> Value {
    json!({ "os": "linux", "architecture": architecture })
}

/// A child of an index, with a label or without.
fn child(digest: &str, label: Option<&str>) -> Value {
    let mut child = json!({ "mediaType": IMAGE, "digest": digest, "size": 1 });
    if let Some(architecture) = label {
        child["platform"] = for_platform(architecture);
    }
    child
}

fn index(blobs: &mut Blobs, children: &[Value]) -> String {
    manifest(blobs, &json!({ "schemaVersion": 2, "manifests": children }))
}

/// What is said of each platform of the image that a tag names.
async fn told(blobs: Blobs, top: &str) -> Vec<String> {
    let stage = Stage::new(store(blobs, top.to_owned())).await;
    let registries = Arc::new(stage.registries(|_| {}));
    let config = Config { images: vec![format!("{}/a/b:v1", stage.address)], ..Config::default() };
    let seen = Platforms::new(&config, &registries, &BTreeSet::new()).look(&Snapshot::default()).await.unwrap();
    let line = |sample: &crate::metric::Sample| format!("{} {}: {}", sample.labels[1], sample.state().unwrap(), sample.detail.as_ref().unwrap());
    seen.of("readiness_image_platform_state").map(line).collect()
}

#[tokio::test]
async fn label_and_config_of_an_image_must_both_fit() {
    let mut blobs = Blobs::new();
    let [amd, arm] = ["amd64", "arm64"].map(|own| image(&mut blobs, &for_platform(own), true));
    let good = index(&mut blobs, &[child(&amd, Some("amd64")), child(&arm, Some("arm64"))]);
    let there = "it is there for linux/amd64, linux/arm64";
    assert_eq!(told(blobs.clone(), &good).await, [format!("linux/amd64 present: {there}"), format!("linux/arm64 present: {there}")]);
    let wrong = index(&mut blobs, &[child(&arm, Some("amd64"))]);
    let differ = "linux/amd64 unknown: its index says that it is for linux/amd64, and the image itself that it is for linux/arm64; one of them is wrong";
    assert_eq!(told(blobs.clone(), &wrong).await, [differ]);
    // Both labels are there, and one of them lies.
    let half = index(&mut blobs, &[child(&arm, Some("amd64")), child(&arm, Some("arm64"))]);
    assert_eq!(told(blobs.clone(), &half).await, [differ, "linux/arm64 present: it is there for linux/arm64"]);
    // Builders that call it otherwise.
    let other_word = image(&mut blobs, &for_platform("x86_64"), true);
    let same = index(&mut blobs, &[child(&other_word, Some("amd64"))]);
    assert_eq!(told(blobs.clone(), &same).await, ["linux/amd64 present: it is there for linux/amd64"]);
    // What says nothing of itself may be anything.
    let silent = image(&mut blobs, &json!({ "created": "2026-01-10T08:00:00Z" }), true);
    let unsaid = index(&mut blobs, &[child(&silent, Some("amd64"))]);
    assert_eq!(told(blobs, &unsaid).await, ["linux/amd64 unknown: for which platform it is cannot be read from its config"]);
}

#[tokio::test]
async fn an_image_without_a_label_is_what_its_config_says() {
    let mut blobs = Blobs::new();
    let [amd, arm, power] = ["amd64", "arm64", "ppc64le"].map(|own| image(&mut blobs, &for_platform(own), true));
    let plain = index(&mut blobs, &[child(&amd, None)]);
    assert_eq!(told(blobs.clone(), &plain).await, ["linux/amd64 present: it is there for linux/amd64"]);
    // Of several without a label nodes look at the first, and one with their label comes before it.
    let told_of = async |blobs: &Blobs, top: &str| {
        let lines = told(blobs.clone(), top).await;
        lines.iter().map(|line| line.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let several = index(&mut blobs, &[child(&amd, None), child(&arm, None)]);
    assert_eq!(told_of(&blobs, &several).await, ["linux/amd64 present"]);
    let mixed = index(&mut blobs, &[child(&amd, None), child(&arm, Some("amd64")), child(&arm, Some("arm64"))]);
    assert_eq!(told_of(&blobs, &mixed).await, ["linux/amd64 unknown", "linux/arm64 present"]);
    // A signature and an image for other nodes are none of ours, and nobody has to pull them.
    let signature = image(&mut blobs, &json!({}), true);
    let signed = index(&mut blobs, &[child(&amd, Some("amd64")), child(&signature, None), child(&power, None)]);
    let stage = Stage::new(store(blobs.clone(), signed.clone())).await;
    let found = content(&stage, &signed).await.unwrap();
    assert_eq!((found.manifests.len(), found.configs.len(), found.parts.len()), (1, 1, 3));
    let foreign = index(&mut blobs, &[child(&signature, None), child(&power, None)]);
    let stage = Stage::new(store(blobs.clone(), foreign.clone())).await;
    assert_eq!(error(content(&stage, &foreign).await).0, ErrorClass::NotFound);
    // Of one whose config cannot be read nobody knows what it is.
    let gone = put(
        &mut blobs,
        IMAGE,
        &json!({ "schemaVersion": 2, "config": { "digest": images::digest(b"gone"), "size": 4 }, "layers": [{ "digest": images::digest(b"l"), "size": 1 }] }),
    );
    let unread = index(&mut blobs, &[child(&amd, Some("amd64")), child(&gone, None)]);
    let told = told(blobs, &unread).await;
    assert_eq!((told[0].as_str(), told[1].starts_with("linux/arm64 unknown")), ("linux/amd64 present: it is there for linux/amd64", true), "{told:?}");
}

#[tokio::test]
async fn an_index_inside_an_index_is_for_whom_its_label_says() {
    let mut blobs = Blobs::new();
    let [amd, arm] = ["amd64", "arm64"].map(|own| image(&mut blobs, &for_platform(own), true));
    let inner = |blobs: &mut Blobs, children: &[Value], label: Option<&str>| {
        let mut child = child(&index(blobs, children), label);
        child["mediaType"] = "application/vnd.oci.image.index.v1+json".into();
        child
    };
    for label in [Some("amd64"), None] {
        let within = inner(&mut blobs, &[child(&amd, label)], Some("amd64"));
        let good = index(&mut blobs, &[within, child(&arm, Some("arm64"))]);
        let there = "it is there for linux/amd64, linux/arm64";
        assert_eq!(told(blobs.clone(), &good).await, [format!("linux/amd64 present: {there}"), format!("linux/arm64 present: {there}")]);
        // No node for amd64 looks into an index for arm64, and a node for arm64 finds nothing in it.
        let within = inner(&mut blobs, &[child(&amd, label)], Some("arm64"));
        let hidden = index(&mut blobs, &[within]);
        assert!(told(blobs.clone(), &hidden).await[0].ends_with("the index has no image for linux/amd64 or linux/arm64"));
        let within = inner(&mut blobs, &[child(&amd, label)], None);
        let open = index(&mut blobs, &[within]);
        assert_eq!(told(blobs.clone(), &open).await, ["linux/amd64 present: it is there for linux/amd64"]);
    }
}

#[tokio::test]
async fn an_image_without_layers_starts_nowhere() {
    let mut blobs = Blobs::new();
    let bare = image(&mut blobs, &for_platform("amd64"), false);
    let why = "linux/amd64 absent: it has no layers, so that there is no program in it to start";
    assert_eq!(told(blobs.clone(), &bare).await, [why]);
    for label in [Some("amd64"), None] {
        let top = index(&mut blobs, &[child(&bare, label)]);
        assert_eq!(told(blobs.clone(), &top).await, [why]);
    }
}

#[tokio::test]
async fn an_image_that_cannot_be_unpacked_starts_nowhere() {
    let mut blobs = Blobs::new();
    let mut of_layers = |ids: usize| {
        let mut config = for_platform("amd64");
        config["rootfs"] = json!({ "type": "layers", "diff_ids": vec![images::digest(b"l"); ids] });
        let made = image(&mut blobs, &config, true);
        (blobs.clone(), made)
    };
    let ((good, whole), (more, torn)) = (of_layers(1), of_layers(2));
    assert_eq!(told(good, &whole).await, ["linux/amd64 present: it is there for linux/amd64"]);
    assert_eq!(told(more, &torn).await, ["linux/amd64 absent: its config names 2 layers and its manifest 1, so that it cannot be unpacked"]);
}

#[tokio::test]
async fn an_image_must_be_there_for_the_nodes_that_karpenter_will_make() {
    let mut blobs = Blobs::new();
    let amd = image(&mut blobs, &for_platform("amd64"), true);
    let stage = Stage::new(store(blobs, amd)).await;
    let registries = Arc::new(stage.registries(|_| {}));
    let config = Config { images: vec![format!("{}/a/b:v1", stage.address)], ..Config::default() };
    let told = async |surely: &[&str], maybe: &[&str]| {
        let seen = kubernetes::nodes_of_platforms("eu", &["linux/amd64"], surely, maybe);
        let seen = Platforms::new(&config, &registries, &["eu".to_owned()].into()).look(&seen).await.unwrap();
        let states = seen.of("readiness_image_platform_state").map(|sample| format!("{} {}", sample.labels[1], sample.state().unwrap()));
        states.collect::<Vec<_>>()
    };
    assert_eq!(told(&[], &[]).await, ["linux/amd64 present"]);
    assert_eq!(told(&["linux/amd64"], &[]).await, ["linux/amd64 present"]);
    assert_eq!(told(&["linux/arm64"], &[]).await, ["linux/amd64 present", "linux/arm64 absent"]);
    // What they only may be is no proof that the image is missed.
    assert_eq!(told(&[], &["linux/amd64", "linux/arm64"]).await, ["linux/amd64 present", "linux/arm64 unknown"]);
}

#[tokio::test]
async fn an_artifact_that_is_no_image_is_there_for_nobody_knows_whom() {
    let mut blobs = Blobs::new();
    let artifact = |blobs: &mut Blobs, kind: &'static str| {
        let config = put(blobs, kind, &for_platform("amd64"));
        let layer = put(blobs, "application/octet-stream", &json!({ "of": config }));
        let [config, layer] =
            [config, layer].map(|digest| (blobs[&digest].bytes.len(), digest)).map(|(size, digest)| json!({ "digest": digest, "size": size }));
        let config = json!({ "mediaType": kind, "digest": config["digest"], "size": config["size"] });
        put(blobs, IMAGE, &json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer] }))
    };
    let why = "its config is that of another artifact than an image, such as a chart or WebAssembly, and whether nodes can start that is not known";
    let program = artifact(&mut blobs, "application/vnd.wasm.config.v1+json");
    let alone = told(blobs.clone(), &program).await;
    assert!(alone.iter().any(|line| line.as_str() == format!("linux/amd64 unknown: {why}")), "{alone:?}");
    let inside = index(&mut blobs, &[child(&program, Some("amd64"))]);
    assert_eq!(told(blobs.clone(), &inside).await, [format!("linux/amd64 unknown: {why}")]);
    let old = artifact(&mut blobs, "application/octet-stream");
    let inside = index(&mut blobs, &[child(&old, Some("amd64"))]);
    assert_eq!(told(blobs, &inside).await, ["linux/amd64 present: it is there for linux/amd64"], "as old versions of Docker called it");
}
