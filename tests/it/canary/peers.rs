//! Servers that repeat what they are sent, files that are no credentials, and an estate whose every
//! fault and every broken answer is seen at the most talkative level.

use std::path::Path;

use readiness_lab::echo::{self, Echo, WAYS};
use readiness_lab::troubles::TROUBLES;
use readiness_lab::wire::{self, Wire};
use readiness_lab::{Authority, GoogleKey, Leaf, faults};

use super::{Leaks, PAGES, Planted, commands, serves};
use crate::common::{Estate, Running, exporter, wall_clock};
use crate::moto::with_aws;
use crate::slack::own_host;

/// Servers for each way to repeat, one after the other from this port on, over TLS and in the clear.
const PORTS: [u16; 2] = [5100, 5200];

/// What is asked at servers of one way: clusters, and entries of the collectors.
#[derive(Default)]
struct Entries {
    clusters: String,
    targets: String,
    credentials: String,
    registries: String,
    images: String,
}

/// Keeps a secret in a file.
fn keep(folder: &Path, planted: &mut Planted, name: &str, content: &str) -> String {
    let word = planted.word(name);
    let file = name.replace([' ', ',', ':'], "-");
    std::fs::write(folder.join(&file), content.replace('W', &word)).unwrap();
    file
}

impl Entries {
    fn ask(&mut self, folder: &Path, planted: &mut Planted, way: Echo, host: &str, index: u16) {
        let [secure, plain] = PORTS.map(|port| format!("{host}:{}", port + index));
        let name = format!("{way:?}").to_lowercase();
        let mut file = |what: &str, content: &str| keep(folder, planted, &format!("{what} at {name}"), content);
        let token = file("token", "W\n");
        let encoded = file(
            "kubeconfig token",
            &format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{ name: c, cluster: {{ server: \"http://{plain}\" }} }}]\ncontexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\nusers: [{{ name: u, user: {{ token: W }} }}]\n"
            ),
        );
        let basic = file(
            "kubeconfig password",
            &format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{ name: c, cluster: {{ server: \"http://{plain}\" }} }}]\ncontexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\nusers: [{{ name: u, user: {{ username: u, password: W }} }}]\n"
            ),
        );
        self.clusters += &format!(
            "  - {{ name: {name}-token, server: \"https://{secure}\", ca_file: ca.pem, token: {{ file: {token} }} }}\n  - {{ name: {name}-kubeconfig, kubeconfig: {encoded} }}\n  - {{ name: {name}-basic, kubeconfig: {basic} }}\n"
        );
        for (address, scheme) in [(&secure, "https"), (&plain, "http")] {
            let header = file(&format!("header over {scheme}"), "W\n");
            self.targets += &format!(
                "      - {{ name: {name}-{scheme}, url: \"{scheme}://{address}/\", follow_redirects: 2, headers: [{{ name: Authorization, value_from: {{ file: {header} }} }}, {{ name: X-Api-Key, value_from: {{ file: {header} }} }}], expect: {{ json: [{{ pointer: /status, equals: ok }}], identity: [{{ pointer: /token, equals: 1 }}] }} }}\n"
            );
            let password = file(&format!("password of a registry over {scheme}"), "W\n");
            let plain = if scheme == "http" { ", plain_http: true" } else { ", ca_file: ca.pem" };
            self.registries += &format!("      - {{ host: \"{address}\", username: u, password: {{ file: {password} }}{plain} }}\n");
            self.images += &format!("\"{address}/a/b:c\", ");
        }
        for kind in ["gitlab", "github", "coder", "coder_license", "litellm"] {
            let from = file(kind, if kind == "coder" { "labkey-W\n" } else { "W\n" });
            self.credentials += &format!("      - {{ name: {name}-{kind}, kind: {kind}, api: \"https://{secure}\", from: {{ file: {from} }} }}\n");
        }
        let from = file("coder_provisioner_key", "W\n");
        self.credentials += &format!(
            "      - {{ name: {name}-provisioner, kind: coder_provisioner_key, api: \"https://{secure}\", provisioner: {{ organization: o, name: n }}, from: {{ file: {from} }} }}\n"
        );
        let from = file("entra_app_secret", "W\n");
        self.credentials += &format!(
            "      - {{ name: {name}-entra, kind: entra_app_secret, api: \"https://{secure}\", entra: {{ tenant: t, client_id: c, login: \"https://{secure}\" }}, from: {{ file: {from} }} }}\n"
        );
        self.credentials += &format!(
            "      - {{ name: {name}-google, kind: gcp_service_account, api: \"https://{secure}\", google: {{ oauth: \"https://{secure}\", iam: \"https://{secure}\" }}, from: {{ file: google.json }} }}\n"
        );
    }
}

/// Files that are no credentials of their kind, as entries.
fn broken_files(folder: &Path, planted: &mut Planted) -> (String, String) {
    let mut credentials = String::new();
    for (index, (kind, content)) in [
        ("certificate", "-----BEGIN CERTIFICATE-----\nW\n-----END CERTIFICATE-----\n"),
        ("certificate", "-----BEGIN PRIVATE KEY-----\nW\n"),
        ("certificate", "W"),
        ("jwt", "W.W.W"),
        ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOiJXIn0.W"),
        ("docker_config", "{\"auths\":{\"h\":{\"auth\":\"W\"}}}"),
        ("docker_config", "{\"auths\":{\"h\":\"W\"}}"),
        ("docker_config", "{\"auths\":\"W\""),
        ("kubeconfig", "users: [{ name: u, user: { token: W } }]\nx: [y"),
        ("kubeconfig", "users:\n- name: u\n  user: W\n"),
        ("kubeconfig", "W"),
        ("artifactory", "W.W.W"),
        ("artifactory", "W"),
        (
            "gcp_service_account",
            "{\"client_email\":\"a@b\",\"private_key_id\":\"1\",\"private_key\":\"-----BEGIN PRIVATE KEY-----\\nW\\n-----END PRIVATE KEY-----\"}",
        ),
        ("gcp_service_account", "{\"private_key\":[\"W\"]}"),
        ("gcp_service_account", "{\"private_key\":\"W\""),
        ("jks", "W"),
        ("date", "W"),
        ("opaque", "W"),
    ]
    .into_iter()
    .enumerate()
    {
        let file = keep(folder, planted, &format!("file {index} that is no {kind}"), content);
        credentials += &format!("      - {{ name: broken-{index}, kind: {kind}, from: {{ file: {file} }} }}\n");
    }
    let (store, password) = (keep(folder, planted, "keystore", "W"), keep(folder, planted, "password of a keystore", "W\n"));
    credentials += &format!("      - {{ name: broken-pkcs12, kind: pkcs12, password: {{ file: {password} }}, from: {{ file: {store} }} }}\n");
    credentials += "      - { name: variable, kind: jwt, from: { env: LAB_CANARY_TOKEN } }\n";
    credentials += "      - { name: access-key, kind: aws_access_key, aws: { region: us-east-2 }, from: { env: AWS_ACCESS_KEY_ID } }\n";
    credentials += "      - { name: managed, kind: opaque, from: { secrets_manager: { region: us-east-2, id: i, field: f } } }\n";
    let mut targets = String::new();
    for (name, content) in [("two lines", "W\nW\n"), ("control characters", "W\u{1}"), ("no text", "W")] {
        let file = keep(folder, planted, &format!("header of {name}"), content);
        if name == "no text" {
            let whole = [std::fs::read(folder.join(&file)).unwrap(), vec![0xff, 0xfe]].concat();
            std::fs::write(folder.join(&file), whole).unwrap();
        }
        let target = name.replace(' ', "-");
        targets +=
            &format!("      - {{ name: {target}, url: \"http://127.0.0.1:9/\", headers: [{{ name: Authorization, value_from: {{ file: {file} }} }}] }}\n");
    }
    (credentials, targets)
}

/// Everything that asks somebody, at servers that repeat.
async fn write(folder: &Path, host: &str, planted: &mut Planted) -> (Vec<tokio::task::JoinHandle<()>>, Vec<(&'static str, String)>) {
    let authority = Authority::new("Root").unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    std::fs::create_dir(folder.join("archive")).unwrap();
    let google = GoogleKey::new().unwrap();
    std::fs::write(folder.join("google.json"), google.file()).unwrap();
    let key = authority.issue(&Leaf::good(&[host])).unwrap();
    let (mut servers, mut entries) = (Vec::new(), Entries::default());
    for (index, way) in (0..).zip(WAYS) {
        let [secure, plain] = PORTS.map(|port| format!("{host}:{}", port + index).parse().unwrap());
        servers.push(echo::start(secure, Some(key.clone()), way).await.unwrap());
        servers.push(echo::start(plain, None, way).await.unwrap());
        entries.ask(folder, planted, way, host, index);
    }
    let aws = format!("{host}:5300");
    servers.push(echo::start(aws.parse().unwrap(), None, Echo::Each).await.unwrap());
    let (credentials, targets) = broken_files(folder, planted);
    let configuration = format!(
        "events: [{{ name: e, time_zone: UTC, start: 2030-01-01T09:00, duration: 1h }}]\nstate_file: state.json\narchive: archive\nclusters:\n{}  - {{ name: eks, eks: {{ name: c, region: us-east-2 }} }}\n\
         collectors:\n  kubernetes: {{ interval: 3s, timeout: 2s }}\n  http:\n    interval: 3s\n    timeout: 2s\n    ca_file: ca.pem\n    targets:\n{}{targets}\
         \x20 registry:\n    interval: 3s\n    timeout: 2s\n    registries:\n{}    images: [{}]\n\
         \x20 credentials:\n    interval: 3s\n    timeout: 2s\n    ca_file: ca.pem\n    credentials:\n{}{credentials}\
         \x20 secrets_manager: {{ interval: 3s, timeout: 2s, secrets: [{{ name: database, region: us-east-2, id: database }}] }}\n",
        entries.clusters,
        entries.targets,
        entries.registries,
        entries.images.trim_end_matches(", "),
        entries.credentials
    );
    std::fs::write(folder.join("readiness.yaml"), configuration).unwrap();
    let environment = vec![
        ("AWS_ENDPOINT_URL", format!("http://{aws}")),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", planted.word("secret access key of AWS")),
        ("AWS_SESSION_TOKEN", planted.word("session token of AWS")),
        ("LAB_CANARY_TOKEN", planted.word("variable of a credential")),
    ];
    (servers, environment)
}

async fn nothing_leaves_at(level: &str) {
    let (folder, host, mut planted, mut leaks) = (tempfile::tempdir().unwrap(), own_host(), Planted::default(), Leaks::default());
    let (_servers, environment) = write(folder.path(), &host, &mut planted).await;
    serves(&planted, folder.path(), &format!("{host}:9840"), level, &environment, &mut leaks).await;
    leaks.none();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_server_repeats_is_repeated_by_default() {
    nothing_leaves_at("info").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_server_repeats_is_repeated_at_debug() {
    nothing_leaves_at("debug").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_server_repeats_is_repeated_at_trace() {
    nothing_leaves_at("trace").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_server_repeats_is_repeated_by_a_command() {
    let (folder, host, mut planted) = (tempfile::tempdir().unwrap(), own_host(), Planted::default());
    let (_servers, environment) = write(folder.path(), &host, &mut planted).await;
    let leaks = tokio::task::spawn_blocking(move || {
        let mut leaks = Leaks::default();
        commands(&planted, folder.path(), &environment, &mut leaks);
        leaks
    });
    leaks.await.unwrap().none();
}

/// Every fault of the lab and every way in which its servers go wrong, at the most talkative level.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_whatever_breaks_at_the_most_talkative_level() {
    let mut estate = Estate::unhurried().await;
    let mut leaks: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
    let header = estate.lab.dir().join("header.key");
    std::fs::write(&header, format!("{}-header\n", readiness_lab::issuers::CANARY)).unwrap();
    let target = format!(
        "    targets:\n      - {{ name: with-key, kind: document, url: \"https://ai.lab.test:17080/docs/onboarding\", headers: [{{ name: X-Lab-Key, value_from: {{ file: {} }} }}], follow_redirects: 2 }}\n",
        header.display()
    );
    estate.configuration = estate.configuration.replacen("    targets:\n", &target, 1);
    let mut command = exporter();
    command.args(["--log.level", "trace", "--config.file"]).arg(estate.file());
    let (aws, offset) = (estate.lab.aws(), estate.folder.path().join("offset"));
    std::fs::write(&offset, "+0").unwrap();
    command.envs(wall_clock(&offset));
    let running = Running::start(with_aws(&mut command, &aws), &format!("{}:9840", estate.lab.free_host()), &estate.folder.path().join("log"));
    running.until("ready", "/-/ready", |text| text.starts_with("ready")).await;
    let secrets = readiness_lab::issuers::secrets();
    let held = |text: &str| secrets.iter().any(|secret| text.contains(secret.as_str())) || text.contains("token-of-");
    let look = async |what: &str, leaks: &mut std::collections::BTreeSet<String>| {
        let looks = |text: &str| {
            text.lines()
                .find(|line| line.starts_with("readiness_collector_last_attempt_timestamp_seconds{collector=\"credentials\",source=\"bedrock\"}"))
                .map(str::to_owned)
        };
        for _ in 0..2 {
            let before = looks(&running.get("/metrics").await.unwrap());
            running.until("another look", "/metrics", |text| looks(text) != before).await;
        }
        for page in PAGES {
            if held(&running.get(page).await.unwrap()) {
                leaks.insert(format!("{what}: {page}"));
            }
        }
    };
    // Those of the API as a whole hide all others of their cluster.
    let (alone, together): (Vec<_>, Vec<_>) = faults().partition(|fault| fault.name.starts_with("api-"));
    let groups = alone.chunks(1).chain(together.chunks(12));
    for group in groups {
        for fault in group {
            assert!(estate.lab.estate().set(fault.name, true));
        }
        look(group[0].name, &mut leaks).await;
        for fault in group {
            assert!(estate.lab.estate().set(fault.name, false));
        }
    }
    let servers = estate.lab.servers();
    for trouble in TROUBLES.iter().filter(|trouble| ![Wire::Huge, Wire::Bomb].contains(&trouble.wire)) {
        for server in &servers {
            wire::set(*server, Some(trouble.wire));
        }
        look(trouble.name, &mut leaks).await;
        for server in &servers {
            wire::set(*server, None);
        }
    }
    for jump in ["+3456000", "-3456000"] {
        std::fs::write(&offset, jump).unwrap();
        look("the clock jumps by forty days", &mut leaks).await;
    }
    let state = std::fs::read_to_string(estate.lab.dir().join("state.json")).unwrap_or_default();
    leaks.extend(held(&state).then(|| "state file".to_owned()));
    let log = running.log();
    assert!(log.contains(" WARN readiness_exporter::driver"), "looks that failed are logged: {log}");
    let lines: Vec<&str> = log.lines().filter(|line| held(line)).collect();
    leaks.extend(lines.iter().take(5).map(|line| format!("log, {} lines: {}", lines.len(), line.chars().take(300).collect::<String>())));
    assert!(leaks.is_empty(), "{}", leaks.into_iter().collect::<Vec<_>>().join("\n"));
}
