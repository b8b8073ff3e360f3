//! Debian's docker-registry with token authentication, filled by skopeo, beside what skopeo says.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use readiness_lab::images::{self, Blobs, Version};
use serde_json::{Value, json};

use readiness_exporter::checklist::{CheckState, Judgement};
use readiness_lab::Process;

use crate::common::{exporter, names, run, until};
use crate::slack::own_host;

const REGISTRY: u16 = 5000;
const TOKENS: u16 = 5001;
const PASSWORD: &str = "canary-of-the-registry";

/// An OCI layout of one version, as a build leaves it.
fn layout(folder: &Path, blobs: &Blobs, index: &str) {
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    for (digest, blob) in blobs {
        std::fs::write(folder.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap()), &blob.bytes).unwrap();
    }
    let blob = &blobs[index];
    let entry =
        json!({ "mediaType": blob.media_type, "digest": index, "size": blob.bytes.len(), "annotations": { "org.opencontainers.image.ref.name": "v1" } });
    std::fs::write(folder.join("index.json"), json!({ "schemaVersion": 2, "manifests": [entry] }).to_string()).unwrap();
}

/// Signs tokens as a token server does, for whoever knows the password.
/// Source: <https://distribution.github.io/distribution/spec/auth/jwt/>
fn token(folder: &Path, query: &str) -> String {
    let query: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let access: Vec<Value> = query
        .get("scope")
        .into_iter()
        .flat_map(|scope| scope.split(' '))
        .filter_map(|scope| {
            let mut parts = scope.splitn(3, ':');
            let (kind, name, actions) = (parts.next()?, parts.next()?, parts.next()?);
            Some(json!({ "type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>() }))
        })
        .collect();
    let certificate = std::fs::read_to_string(folder.join("token.crt")).unwrap();
    let der: String = certificate.lines().filter(|line| !line.starts_with("-----")).collect();
    let now = jiff::Timestamp::now().as_second();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(&json!({ "typ": "JWT", "alg": "RS256", "x5c": [der] }));
    let claims = encode(
        &json!({ "iss": "lab", "sub": "alice", "aud": query.get("service"), "exp": now + 300, "nbf": now - 10, "iat": now, "jti": fastrand::u64(..).to_string(), "access": access }),
    );
    let unsigned = folder.join(format!("unsigned-{}", fastrand::u64(..)));
    std::fs::write(&unsigned, format!("{header}.{claims}")).unwrap();
    let signed = Command::new("openssl").args(["dgst", "-sha256", "-sign"]).arg(folder.join("token.key")).arg(&unsigned).output().unwrap();
    assert!(signed.status.success());
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(signed.stdout))
}

struct RealRegistry {
    folder: tempfile::TempDir,
    host: String,
    registry: Process,
    tokens: tokio::task::JoinHandle<()>,
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        self.tokens.abort();
    }
}

impl RealRegistry {
    async fn start() -> Self {
        let (folder, host) = (tempfile::tempdir().unwrap(), own_host());
        let path = folder.path().to_owned();
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lab"])
            .arg("-keyout")
            .arg(path.join("token.key"))
            .arg("-out")
            .arg(path.join("token.crt"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let address = format!("{host}:{TOKENS}").parse().unwrap();
        let basic = format!("Basic {}", STANDARD.encode(format!("alice:{PASSWORD}")));
        let tokens = readiness_lab::plain_server(address, std::time::Duration::ZERO, move |_, target, headers| {
            if headers.get("authorization").is_none_or(|shown| shown != basic.as_str()) {
                return (401, vec![("www-authenticate", "Basic realm=\"tokens\"".to_owned())], Vec::new());
            }
            let query = target.split_once('?').map_or("", |(_, query)| query);
            (200, vec![("content-type", "application/json".to_owned())], json!({ "token": token(&path, query), "expires_in": 300 }).to_string().into_bytes())
        })
        .await
        .unwrap();
        let configuration = json!({ "version": 0.1, "log": { "level": "error" }, "storage": { "filesystem": { "rootdirectory": folder.path().join("store") }, "delete": { "enabled": true } },
            "http": { "addr": format!("{host}:{REGISTRY}") },
            "auth": { "token": { "realm": format!("http://{host}:{TOKENS}/token"), "service": "registry", "issuer": "lab", "rootcertbundle": folder.path().join("token.crt") } } });
        std::fs::write(folder.path().join("registry.yml"), configuration.to_string()).unwrap();
        let registry = Process::start(Command::new("docker-registry").arg("serve").arg(folder.path().join("registry.yml")));
        for _ in 0..200 {
            if std::net::TcpStream::connect((host.as_str(), REGISTRY)).is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        Self { folder, host, registry, tokens }
    }

    fn image(&self, name: &str) -> String {
        format!("{}:{REGISTRY}/{name}", self.host)
    }

    async fn skopeo(&self, arguments: &[&str]) -> String {
        let (arguments, credentials): (Vec<String>, _) = (arguments.iter().map(|part| (*part).to_owned()).collect(), format!("alice:{PASSWORD}"));
        // In a thread of its own: the token server of this test must answer meanwhile.
        tokio::task::spawn_blocking(move || {
            let mut command = Command::new("skopeo");
            let copies = arguments.iter().any(|part| part == "copy");
            command.arg("--insecure-policy").args(&arguments);
            if copies {
                command.args(["--dest-tls-verify=false", "--dest-creds", &credentials, "--src-tls-verify=false"]);
                if arguments.iter().any(|part| part.starts_with("docker://")) && arguments.iter().filter(|part| part.starts_with("docker://")).count() == 2 {
                    command.args(["--src-creds", &credentials]);
                }
            } else {
                command.args(["--tls-verify=false", "--creds", &credentials]);
            }
            let (code, out, errors) = run(&mut command);
            assert_eq!(code, 0, "skopeo {arguments:?}: {out}{errors}");
            out
        })
        .await
        .unwrap()
    }

    /// Pushes a version with all that belongs to it.
    async fn push(&self, blobs: &Blobs, version: &Version, name: &str) {
        let folder = self.folder.path().join(format!("layout-{}", fastrand::u64(..)));
        layout(&folder, blobs, &version.index);
        self.skopeo(&["copy", "--all", "--preserve-digests", &format!("oci:{}:v1", folder.display()), &format!("docker://{}", self.image(name))]).await;
    }

    /// What the exporter says of the mirrors: exit code, and the evidence of each line by mirror.
    async fn look(&self) -> (i32, BTreeMap<String, String>) {
        let mirror = |name: &str| format!("{{ name: {name}, image: \"{}\" }}", self.image(&format!("mirror/{name}:v1")));
        let configuration = format!(
            "events: [{{ name: e, time_zone: UTC, start: 2030-01-01T09:00, duration: 1h }}]\ncollectors:\n  registry:\n    registries: [{{ host: \"{0}:{REGISTRY}\", plain_http: true, username: alice, password: {{ file: password }} }}]\n    groups:\n      - name: app\n        upstream: \"{0}:{REGISTRY}/team/app:v1\"\n        mirrors: [{1}, {2}]\n",
            self.host,
            mirror("same"),
            mirror("copy")
        );
        let file = self.folder.path().join("readiness.yaml");
        std::fs::write(&file, configuration).unwrap();
        let (code, out, log) =
            tokio::task::spawn_blocking(move || run(exporter().args(["check", "--output", "json", "--config.file"]).arg(file))).await.unwrap();
        assert!(!out.contains(PASSWORD) && !log.contains(PASSWORD), "a secret left");
        let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{log}"));
        let sections = report["judgements"][0]["sections"].as_array().unwrap().iter();
        let checks = sections.flat_map(|section| section["checks"].as_array().unwrap());
        let check = checks.clone().find(|check| check["name"] == "MirrorOutOfSync").unwrap();
        let lines = check["lines"].as_array().unwrap().iter();
        let said = lines.map(|line| {
            let subject = line["labels"]["subject"].as_str().unwrap_or_default().to_owned();
            (subject, format!("{}: {}", line["state"].as_str().unwrap(), line["evidence"].as_str().unwrap()))
        });
        (code, said.collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_in_a_real_registry_are_compared_as_deep_as_they_agree() {
    let mut estate = RealRegistry::start().await;
    let (blobs, [old, new]) = images::versions();
    estate.push(&blobs, &old, "team/app:v1").await;
    let upstream = format!("docker://{}", estate.image("team/app:v1"));
    let mirror = |name: &str| format!("docker://{}", estate.image(&format!("mirror/{name}:v1")));
    estate.skopeo(&["copy", "--all", "--preserve-digests", &upstream, &mirror("same")]).await;
    // What pulling, tagging and pushing leaves: one platform, in Docker's format.
    estate.skopeo(&["--override-os", "linux", "--override-arch", "amd64", "copy", "--format", "v2s2", &upstream, &mirror("copy")]).await;

    let (_, said) = estate.look().await;
    assert!(said["same"].starts_with("pass: app / mirror / same: index, not none."), "{said:?}");
    assert!(said["copy"].starts_with("pass: app / mirror / copy: config, not none."), "{said:?}");
    for name in ["same", "copy"] {
        let raw = estate.skopeo(&["inspect", "--raw", &mirror(name)]).await;
        let digest = images::digest(raw.as_bytes());
        assert!(said[name].contains(&digest[7..19]), "{digest}: {said:?}");
    }

    // Upstream moves on, and nobody refreshes the mirrors.
    estate.push(&blobs, &new, "team/app:v1").await;
    let (code, said) = estate.look().await;
    assert_eq!(code, 1);
    for name in ["same", "copy"] {
        assert!(said[name].starts_with(&format!("fail: Mirror {name} of app does not have the image that it should.")), "{said:?}");
        assert!(said[name].contains("made 2026-01-10T08:00:00Z; upstream has") && said[name].contains("made 2026-01-17T08:00:00Z"), "{said:?}");
    }

    // One is refreshed as it should be.
    estate.skopeo(&["copy", "--all", "--preserve-digests", &upstream, &mirror("same")]).await;
    let (_, said) = estate.look().await;
    assert!(said["same"].starts_with("pass") && said["copy"].starts_with("fail"), "{said:?}");

    // Upstream goes back, which is no less a difference.
    estate.push(&blobs, &old, "team/app:v1").await;
    let (_, said) = estate.look().await;
    assert!(said["same"].starts_with("fail") && said["copy"].starts_with("pass"), "{said:?}");

    // Nobody answers any more, and nothing is in sync that was not seen.
    estate.registry.kill().unwrap();
    estate.registry.wait().unwrap();
    let (_, said) = estate.look().await;
    assert!(said.values().all(|line| line.starts_with("unknown")) && said.len() == 2, "{said:?}");
}

/// A manifest with its blobs, as `skopeo copy dir:` takes it.
fn directory(folder: &Path, blobs: &Blobs, manifest: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    std::fs::write(folder.join("manifest.json"), &blobs[manifest].bytes).unwrap();
    for (digest, blob) in blobs {
        std::fs::write(folder.join(digest.strip_prefix("sha256:").unwrap()), &blob.bytes).unwrap();
    }
}

/// The lab's clusters, with what they run in a real registry: an index, a copy that was pushed
/// again, and single platforms on mixed nodes.
#[tokio::test(flavor = "multi_thread")]
async fn clusters_are_compared_through_a_real_registry() {
    let (registry, mut estate) = (RealRegistry::start().await, crate::common::Estate::start().await);
    let (blobs, [old, new]) = images::versions();
    for name in ["coder/coder-preview:v2.18.0", "us-east-2/coder/coder-preview:v2.18.0", "eu-west-2/coder/coder-preview:v2.18.0"] {
        registry.push(&blobs, &new, name).await;
    }
    for (version, tag) in [(&old, "old"), (&new, "v2.18.0")] {
        let folder = registry.folder.path().join(format!("copy-{tag}"));
        directory(&folder, &blobs, &version.copy);
        let target = format!("docker://{}", registry.image(&format!("us-west-2/coder/coder-preview:{tag}")));
        registry.skopeo(&["copy", "--preserve-digests", &format!("dir:{}", folder.display()), &target]).await;
    }
    let real = format!("{}:{REGISTRY}", registry.host);
    let lab = estate.lab.host();
    for repository in ["coder/coder-preview", "us-east-2/coder/coder-preview", "us-west-2/coder/coder-preview", "eu-west-2/coder/coder-preview"] {
        for port in [17_061, 17_062] {
            estate.configuration = estate.configuration.replace(&format!(": \"{lab}:{port}/{repository}:"), &format!(": \"{real}/{repository}:"));
        }
    }
    let password = registry.folder.path().join("password");
    let known =
        format!("    registries:\n      - {{ host: \"{real}\", plain_http: true, username: alice, password: {{ file: \"{}\" }} }}\n", password.display());
    estate.configuration = estate.configuration.replacen("    registries:\n", &known, 1);
    let app = estate.exporter();
    let own = ["ImageMismatchAcrossClusters", "ClusterImageStale", "MirrorOutOfSync", "ImageMissing"];
    let all = |judgement: &Judgement, state: CheckState| own.iter().all(|name| judgement.checks().any(|check| check.name == *name && check.state == state));
    until(&app, "every image check passes", |judgement| all(judgement, CheckState::Pass)).await;
    estate.lab.estate().set("running-older-digest", true);
    until(&app, "one cluster is stale", |judgement| {
        let red = names(judgement, &[CheckState::Fail]);
        red.contains(&own[0].to_owned()) && red.contains(&own[1].to_owned()) && !red.contains(&own[2].to_owned())
    })
    .await;
    estate.lab.estate().set("running-older-digest", false);
    until(&app, "every image check passes again", |judgement| all(judgement, CheckState::Pass)).await;
    app.shutdown(std::time::Duration::from_secs(1)).await;
}
