//! What registries answer, good and bad, and how often they are asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use readiness_lab::images::{self, Blobs, Version};
use readiness_lab::plain_server;

use super::auth::Identity;
use super::config::RegistryConfig;
use super::digest::Digest;
use super::reference::Running;
use super::registries::Registries;
use super::*;
use crate::driver::Poll as _;
use crate::snapshot::{CollectError, ErrorClass};
use crate::value::{Secret, Span};

mod lies;
mod platforms;
mod presence;
mod tokens;

/// Status, headers, body.
type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// What a registry was asked.
struct Asked<'a> {
    method: &'a str,
    target: &'a str,
    /// The credentials that came with it.
    shown: Option<&'a str>,
    address: SocketAddr,
}

/// A registry of which every answer is what the test says, and what it was asked.
struct Stage {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stage {
    async fn new(answer: impl Fn(&Asked<'_>) -> Answer + Clone + Send + Sync + 'static) -> Self {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        let task = plain_server(address, Duration::ZERO, move |method, target, headers| {
            log.lock().unwrap().push(format!("{method} {target}"));
            answer(&Asked { method, target, shown: headers.get("authorization").and_then(|value| value.to_str().ok()), address })
        })
        .await
        .unwrap();
        Self { address, asked, task }
    }

    /// With one slot, so that whoever keeps it while it wants another one is found.
    fn registries(&self, more: impl FnOnce(&mut RegistryConfig)) -> Registries {
        let mut settings = RegistryConfig { plain_http: true, ..RegistryConfig::at(&self.address.to_string()) };
        more(&mut settings);
        let config = Config { interval: Span::secs(60), timeout: Span::secs(2), concurrency: 1, registries: vec![settings], ..Config::default() };
        let roots = config.registries.iter().map(|own| Trust::of_files(own.ca_file.as_deref()).unwrap()).collect::<Vec<_>>();
        Registries::new(&config, &[], &roots).unwrap()
    }

    fn registry(&self) -> Arc<registries::Registry> {
        self.registries(|_| {}).at(&self.address.to_string()).unwrap()
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// What names begin with that no registry has.
const NOWHERE: &str = "/readiness-";

/// Serves what is stored under a digest, and one tag.
fn store(blobs: Blobs, tag: String) -> impl Fn(&Asked<'_>) -> Answer + Clone {
    move |asked| {
        let reference = asked.target.rsplit('/').next().unwrap_or_default();
        if asked.target == "/v2/" {
            return (200, Vec::new(), b"{}".to_vec());
        }
        if asked.target.contains(NOWHERE) {
            return (404, Vec::new(), Vec::new());
        }
        let digest = if reference.starts_with("sha256:") { reference } else { &tag };
        match blobs.get(digest) {
            Some(blob) => {
                let mut headers = vec![("content-type", blob.media_type.to_owned()), ("docker-content-digest", digest.to_owned())];
                if asked.method == "HEAD" {
                    headers.push(("content-length", blob.bytes.len().to_string()));
                }
                (200, headers, blob.bytes.clone())
            }
            None => (404, Vec::new(), Vec::new()),
        }
    }
}

/// Asks for a bearer token first.
fn guarded(inner: impl Fn(&Asked<'_>) -> Answer + Clone, token: impl Fn(&Asked<'_>) -> Answer + Clone) -> impl Fn(&Asked<'_>) -> Answer + Clone {
    move |asked| {
        if asked.target.starts_with("/token?") {
            return token(asked);
        }
        match asked.shown {
            Some("Bearer t") => inner(asked),
            _ => (401, vec![("www-authenticate", format!("Bearer realm=\"http://{}/token\",service=\"s\"", asked.address))], Vec::new()),
        }
    }
}

fn granted(_: &Asked<'_>) -> Answer {
    (200, Vec::new(), br#"{"token":"t","expires_in":300}"#.to_vec())
}

fn manifest(blobs: &mut Blobs, json: &serde_json::Value) -> String {
    let bytes = json.to_string().into_bytes();
    let digest = images::digest(&bytes);
    blobs.insert(digest.clone(), images::Blob { media_type: "application/vnd.oci.image.index.v1+json", bytes });
    digest
}

async fn content(stage: &Stage, digest: &str) -> Result<Arc<content::Content>, CollectError> {
    stage.registry().content("a/b", &Digest::parse(digest).unwrap()).await
}

fn error<T: std::fmt::Debug>(found: Result<T, CollectError>) -> (ErrorClass, String) {
    let error = found.unwrap_err();
    (error.class, error.message.into())
}

#[tokio::test]
async fn an_unchanged_tag_costs_one_request_a_round_and_its_manifests_are_read_once() {
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let stage = Stage::new(store(blobs, index.clone())).await;
    let registry = stage.registry();
    let tag = registry.tag("a/b", "v1").await.unwrap();
    assert_eq!((tag.digest.as_str(), tag.media_type.as_str()), (index.as_str(), "application/vnd.oci.image.index.v1+json"));
    // The tag, the body that it names, which is new, and once a name and a tag that cannot exist.
    let asked = stage.asked();
    assert_eq!(asked[..2], ["HEAD /v2/a/b/manifests/v1", "GET /v2/a/b/manifests/v1"]);
    assert!(asked.len() == 4 && asked[2].starts_with("HEAD /v2/a/readiness-") && asked[3].starts_with("HEAD /v2/a/b/manifests/readiness-"), "{asked:?}");
    let found = registry.content("a/b", &tag.digest).await.unwrap();
    assert_eq!((found.manifests.len(), found.configs.len(), found.created), (2, 2, Some(1_768_636_800)));
    // The index, two manifests, two configs; the attestation is left alone.
    assert_eq!(stage.asked().len(), 5);
    for _ in 0..3 {
        registry.content("a/b", &tag.digest).await.unwrap();
        registry.tag("a/b", "v1").await.unwrap();
    }
    assert_eq!(stage.asked(), [""; 0], "what is known within a round is not asked again");
    after(registry.fresh).await;
    registry.tag("a/b", "v1").await.unwrap();
    assert_eq!(stage.asked(), ["HEAD /v2/a/b/manifests/v1"]);
}

/// A request is open until its body has come.
#[tokio::test]
async fn no_more_requests_are_open_than_may_be() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let (open, most) = (Arc::new(Mutex::new(0_usize)), Arc::new(Mutex::new(0_usize)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (counted, seen) = (Arc::clone(&open), Arc::clone(&most));
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (open, most, bytes) = (Arc::clone(&counted), Arc::clone(&seen), blobs[&index].bytes.clone());
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap_or_default();
                let now = {
                    let mut open = open.lock().unwrap();
                    *open += 1;
                    *open
                };
                {
                    let mut most = most.lock().unwrap();
                    *most = now.max(*most);
                }
                let is_head = head[..length].starts_with(b"HEAD");
                let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", bytes.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                // The body comes later than the headers.
                tokio::time::sleep(Duration::from_millis(20)).await;
                *open.lock().unwrap() -= 1;
                let _ = stream.write_all(if is_head { b"" } else { &bytes }).await;
            });
        }
    });
    let config = Config {
        interval: Span::secs(60),
        timeout: Span::secs(5),
        concurrency: 2,
        registries: vec![RegistryConfig { plain_http: true, ..RegistryConfig::at(&address.to_string()) }],
        ..Config::default()
    };
    let registry = Registries::new(&config, &[], &[Trust::system()]).unwrap().at(&address.to_string()).unwrap();
    let digests: Vec<Digest> = (0..20).map(|n| Digest::of(&[n])).collect();
    futures::future::join_all(digests.iter().map(|digest| registry.manifest("a/b", digest))).await;
    server.abort();
    assert_eq!(*most.lock().unwrap(), 2);
}

#[tokio::test]
async fn what_many_tags_name_is_read_once() {
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let stage = Stage::new(store(blobs, index)).await;
    let registry = stage.registry();
    let tags: Vec<Reference> = (0..50).map(|n| Reference::parse(&format!("{}/a/b:v{n}", stage.address)).unwrap()).collect();
    for found in futures::future::join_all(tags.iter().map(|tag| registry.current(tag))).await {
        assert_eq!(found.unwrap().manifests.len(), 2);
    }
    let asked: Vec<String> = stage.asked().into_iter().filter(|line| !line.contains("readiness-")).collect();
    // Fifty tags; the index, two manifests and two configs; and whether two layers are there, with the manifest and
    // the blob whose turn it is.
    assert_eq!(asked.len(), 2 * 50 + 5 + 2 + 2, "{asked:#?}");
}

/// Whoever pulls asks by HEAD first, and goes no further when that is refused.
#[tokio::test]
async fn a_tag_that_only_a_get_finds_is_absent_each_time() {
    for status in [404, 403] {
        let (blobs, [_, Version { index, .. }]) = images::versions();
        let good = store(blobs, index);
        let stage = Stage::new(
            move |asked: &Asked<'_>| if asked.method == "HEAD" && asked.target.ends_with("/v1") { (status, Vec::new(), Vec::new()) } else { good(asked) },
        )
        .await;
        let registry = stage.registry();
        for _ in 0..2 {
            assert_eq!(error(registry.tag("a/b", "v1").await).0, ErrorClass::of_status(status));
            assert_eq!(stage.asked(), ["HEAD /v2/a/b/manifests/v1"]);
            after(registry.fresh).await;
        }
    }
}

/// A single look, which stops a pipeline, asks once more after a second what failed for a reason that may pass.
#[tokio::test]
async fn what_may_pass_is_asked_again_within_a_second() {
    let (blobs, [_, Version { index, platforms, .. }]) = images::versions();
    let odd = [format!("/manifests/{}", platforms[0]), "/manifests/v1".to_owned()];
    for odd in odd {
        let good = store(blobs.clone(), index.clone());
        let left = Arc::new(Mutex::new(1));
        let stage = Stage::new(move |asked: &Asked<'_>| {
            let mut left = left.lock().unwrap();
            if asked.target.ends_with(&odd) && *left > 0 {
                *left -= 1;
                return (503, Vec::new(), Vec::new());
            }
            good(asked)
        })
        .await;
        let registry = stage.registry();
        let tag = Reference::parse(&format!("{}/a/b:v1", stage.address)).unwrap();
        assert_eq!(error(registry.current(&tag).await.map(drop)).0, ErrorClass::Server);
        assert_eq!(error(registry.current(&tag).await.map(drop)).0, ErrorClass::Server, "those of one look share it");
        after(Duration::from_secs(1)).await;
        assert!(registry.current(&tag).await.is_ok());
    }
}

async fn after(span: Duration) {
    tokio::time::pause();
    tokio::time::advance(span).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_registry_that_does_not_tell_the_digest_is_read_and_hashed() {
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let silent = |with: Option<&'static str>, head: u16| {
        let good = store(blobs.clone(), index.clone());
        move |asked: &Asked<'_>| {
            let (status, mut headers, body) = good(asked);
            headers.retain(|(name, _)| *name != "docker-content-digest");
            headers.extend(with.map(|digest| ("docker-content-digest", digest.to_owned())));
            (if asked.method == "HEAD" && status == 200 { head } else { status }, headers, body)
        }
    };
    for head in [200, 405] {
        let stage = Stage::new(silent(None, head)).await;
        assert_eq!(stage.registry().tag("a/b", "v1").await.unwrap().digest.as_str(), index);
        assert_eq!(stage.asked()[..2], ["HEAD /v2/a/b/manifests/v1", "GET /v2/a/b/manifests/v1"]);
    }
    let stage = Stage::new(silent(Some("sha256:short"), 200)).await;
    assert!(error(stage.registry().tag("a/b", "v1").await).1.contains("Docker-Content-Digest is no sha256 digest"));
    let other: &'static str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let stage = Stage::new(silent(Some(other), 405)).await;
    assert!(error(stage.registry().tag("a/b", "v1").await).1.contains("does not match its Docker-Content-Digest"));
}

#[tokio::test]
async fn what_is_no_image_is_refused_with_its_reason() {
    let (mut blobs, [_, Version { index, platforms, .. }]) = images::versions();
    let child = |digest: &str, media_type: &str| serde_json::json!({ "mediaType": media_type, "digest": digest });
    let nested =
        |blobs: &mut Blobs, inner: &str| manifest(blobs, &serde_json::json!({ "manifests": [child(inner, "application/vnd.oci.image.index.v1+json")] }));
    let twice = nested(&mut blobs, &index);
    let mut deep = twice.clone();
    for _ in 0..3 {
        deep = nested(&mut blobs, &deep);
    }
    let foreign =
        manifest(&mut blobs, &serde_json::json!({ "manifests": [{ "digest": platforms[0], "platform": { "os": "windows", "architecture": "amd64" } }] }));
    let empty = manifest(&mut blobs, &serde_json::json!({ "manifests": [] }));
    let old = manifest(&mut blobs, &serde_json::json!({ "schemaVersion": 1, "name": "a/b", "tag": "v1", "fsLayers": [] }));
    let dangling = manifest(
        &mut blobs,
        &serde_json::json!({ "manifests": [{ "digest": images::digest(b"gone"), "platform": { "os": "linux", "architecture": "amd64" } }] }),
    );
    let liar = images::digest(b"something else");
    blobs.insert(liar.clone(), images::Blob { media_type: "application/json", bytes: b"{}".to_vec() });
    let huge = vec![b' '; 50 << 20];
    let large = images::digest(&huge);
    blobs.insert(large.clone(), images::Blob { media_type: "application/json", bytes: huge });

    let stage = Stage::new(store(blobs, index.clone())).await;
    assert_eq!(content(&stage, &twice).await.unwrap().manifests.len(), 2, "an index in an index is followed");
    for (digest, class, words) in [
        (deep, ErrorClass::Malformed, "more than 3 deep"),
        (foreign, ErrorClass::NotFound, "no image for linux/amd64 or linux/arm64"),
        (empty, ErrorClass::NotFound, "no image for"),
        (old, ErrorClass::Malformed, "schema 1"),
        (dangling, ErrorClass::NotFound, "status 404"),
        (liar, ErrorClass::Malformed, "the body is another one"),
        (large, ErrorClass::Malformed, "larger than 4 MiB"),
    ] {
        let found = error(content(&stage, &digest).await);
        assert_eq!(found.0, class, "{}", found.1);
        assert!(found.1.contains(words), "{}", found.1);
    }
}

#[tokio::test]
async fn a_wait_of_a_year_is_told_and_obeyed_up_to_the_ceiling() {
    let throttled = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let (good, is) = (store(blobs, index), Arc::clone(&throttled));
    let stage =
        Stage::new(
            move |asked: &Asked<'_>| {
                if is.load(std::sync::atomic::Ordering::SeqCst) { (429, vec![("retry-after", "31536000".to_owned())], Vec::new()) } else { good(asked) }
            },
        )
        .await;
    let registry = stage.registry();
    assert_eq!(error(registry.tag("a/b", "v1").await).0, ErrorClass::Throttled);
    assert_eq!(registry.asked_to_wait(), Some(Duration::from_hours(8760)));
    let held = error(registry.tag("a/b", "v2").await);
    assert!(held.1.contains("it is asked again in 5m"), "{}", held.1);
    assert_eq!(stage.asked().len(), 1, "it is left alone meanwhile");
    throttled.store(false, std::sync::atomic::Ordering::SeqCst);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(301)).await;
    tokio::time::resume();
    registry.tag("a/b", "v3").await.unwrap();
    assert_eq!(registry.asked_to_wait(), None);
}

#[tokio::test]
async fn the_allowance_of_pulls_is_what_the_last_answer_said() {
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let good = store(blobs, index);
    let stage = Stage::new(move |asked: &Asked<'_>| {
        let (status, mut headers, body) = good(asked);
        headers.extend([("ratelimit-limit", "100;w=21600".to_owned()), ("ratelimit-remaining", "76;w=21600".to_owned())]);
        (status, headers, body)
    })
    .await;
    let registry = stage.registry();
    assert!(registry.allowance().is_none());
    registry.tag("a/b", "v1").await.unwrap();
    let allowance = registry.allowance().unwrap();
    assert_eq!((allowance.limit, allowance.remaining), (Some(100.0), 76.0));
}

#[tokio::test]
async fn an_image_that_is_named_by_its_digest_is_looked_for_by_that() {
    let (blobs, [old, new]) = images::versions();
    let mut fewer = blobs.clone();
    fewer.remove(&old.index);
    let stage = Stage::new(store(fewer, new.index.clone())).await;
    let host = stage.address.to_string();
    let look = async |digest: &str| {
        let image = Reference::parse(&format!("{host}/a/b:v1@{digest}")).unwrap();
        let mut asked = hosts::Host::new(stage.registry(), BTreeSet::from([image]));
        let seen = asked.look(&crate::snapshot::Snapshot::default()).await.unwrap();
        let state = seen.of("readiness_registry_image_state").next().unwrap();
        (state.label("tag").unwrap().to_owned(), state.state().unwrap().to_owned())
    };
    assert_eq!(look(&new.index).await, (new.index.clone(), "present".to_owned()));
    assert_eq!(look(&old.index).await, (old.index.clone(), "absent".to_owned()), "the tag is there, the digest is not");
}

#[tokio::test]
async fn a_path_before_the_api_is_kept() {
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let stage = Stage::new(store(blobs, index)).await;
    let registries = stage.registries(|settings| settings.path_prefix = Some("/artifactory/api/docker/team/".to_owned()));
    registries.at(&stage.address.to_string()).unwrap().tag("a/b", "v1").await.unwrap();
    assert!(stage.asked().iter().all(|line| line.contains(" /artifactory/api/docker/team/v2/a/")));
}

#[test]
fn every_wrong_word_about_registries_is_named() {
    let text = r#"
collectors:
  registry:
    concurrency: 0
    platforms: [linux]
    registries: [{ host: "https://r.io/a", username: u, token: { env: A }, ecr: { region: "" } }]
    images: ["UPPER", "r.io/a:1", "r.io/a:1"]
    groups: [{ name: g, upstream: "r.io/a b", mirrors: [{ name: m, image: "r.io/", clusters: [eu] }], workloads: [w], pin: latest }]
    pull_secrets: [{ cluster: eu, namespace: "", name: p, images: ["x@sha256:1"] }, { cluster: eu, namespace: "", name: p }]
"#;
    let error = crate::config::load_str(text, "wrong", std::path::Path::new("."), None).err().unwrap().to_string();
    for part in [
        "registry.concurrency: must be between 1 and 64",
        "registry.platforms: must name platforms",
        "registries[0].host: must be a host, with a port if it needs one, and without scheme, user and path",
        "registries[0]: must have username and password, or neither",
        "registries[0]: must have at most one of",
        "registry.images[0]: must be an image reference",
        "registry.images[2]: must not be the same as collectors.registry.images[1]",
        "pull_secrets[1] (p): must not be the same as",
        "groups[0] (g).upstream: must be an image reference",
        "groups[0] (g).mirrors[0] (m).image: must be an image reference",
        "groups[0] (g).mirrors[0] (m).clusters[0]: must name a configured cluster",
        "groups[0] (g).workloads[0]: must name a selector",
        "groups[0] (g).pin: must be a digest",
        "pull_secrets[0] (p).cluster: must name a configured cluster",
        "pull_secrets[0] (p).images[0]: must be an image reference",
    ] {
        assert!(error.contains(part), "{part} is not in\n{error}");
    }
}

#[test]
fn an_identity_is_not_printed() {
    let identity = Identity::User { name: "u".to_owned(), password: Secret::new("hunter2".to_owned()) };
    assert!(!format!("{identity:?} {:?}", Identity::Token(Secret::new("hunter2".to_owned()))).contains("hunter2"));
}

/// Whatever a registry, a pod or a pull secret holds.
#[test]
fn fuzz_what_registries_say() {
    let (blobs, [_, version]) = images::versions();
    let bodies: Vec<&[u8]> = blobs.values().map(|blob| blob.bytes.as_slice()).collect();
    crate::fuzz::survive(&bodies, manifest::Manifest::parse);
    let references = ["ghcr.io/coder/coder:v2.18.0", "127.0.0.1:5000/a/b@sha256:0123456789012345678901234567890123456789012345678901234567890123", "alpine"];
    crate::fuzz::survive_text(&references, |text| {
        // What is read can be written and read again, and is the same.
        if let Ok(reference) = Reference::parse(text) {
            let name = reference.name();
            assert_eq!(Reference::parse(&name).map(|again| again.name()), Ok(name));
        }
    });
    let pullable = format!("docker-pullable://ghcr.io/a/b@{}", version.index);
    crate::fuzz::survive_text(&[&pullable, &version.index], Running::parse);
    let challenge = r#"Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull,push""#;
    crate::fuzz::survive_text(&[challenge, r#"Basic realm="x""#], auth::Challenge::parse);
    crate::fuzz::survive_text(&[r#"{"auths":{"a":{"auth":"dTpw"}}}"#], |text| {
        drop((super::Identity::from_docker_config(text, "a", "b/c"), super::Identity::entries(text)));
        if let Ok(keyring) = keyring::Keyring::read(text) {
            assert!(keyring.lookup("a", "b/c").len() <= keyring.entries().len());
        }
    });
}
