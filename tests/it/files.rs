//! Files that block, files that do not end, and plugins that do either: one source is not seen, and
//! nothing else notices.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::StreamExt as _;
use readiness_lab::troubles::{Blocking, FILES};
use tokio::time::Instant;

use crate::common::{Running, exporter};
use crate::slack::own_host;

/// Deadline of a look in these configurations.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The longest that half of the probes may take.
const PROMPT: Duration = Duration::from_millis(100);
/// The most memory, in MiB, that a file may cost.
const MOST: u64 = 32;

/// Puts what blocks to a path.
fn put(path: &Path, blocking: Blocking) {
    match blocking {
        Blocking::Pipe => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        Blocking::Endless => std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
    }
}

fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{ name: c, cluster: {{ server: \"https://127.0.0.1:9\"{cluster} }} }}]\ncontexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\nusers: [{{ name: u, user: {{ {user} }} }}]\n"
    )
}

/// A configuration in which this file is `blocked`, beside a target that is `neighbour`.
fn configuration(place: &str, folder: &Path, neighbour: &str) -> String {
    let kubernetes = "  kubernetes: { interval: 2s, timeout: 1s }\n";
    let pace = "interval: 2s, timeout: 1s";
    let (top, collector, targets) = match place {
        "credential" => (String::new(), format!("  credentials: {{ {pace}, credentials: [{{ name: c, kind: opaque, from: {{ file: blocked }} }}] }}\n"), ""),
        "password of a keystore" => {
            std::fs::write(folder.join("store"), "no store").unwrap();
            (
                String::new(),
                format!("  credentials: {{ {pace}, credentials: [{{ name: c, kind: pkcs12, password: {{ file: blocked }}, from: {{ file: store }} }}] }}\n"),
                "",
            )
        }
        "secret of a header" => {
            (String::new(), String::new(), ", { name: c, url: \"http://127.0.0.1:9/\", headers: [{ name: X-Key, value_from: { file: blocked } }] }")
        }
        "kubeconfig" => ("clusters: [{ name: c, kubeconfig: blocked }]\n".to_owned(), kubernetes.to_owned(), ""),
        "token" => ("clusters: [{ name: c, server: \"https://127.0.0.1:9\", token: { file: blocked } }]\n".to_owned(), kubernetes.to_owned(), ""),
        "ca_file of a cluster" => {
            std::fs::write(folder.join("token"), "t").unwrap();
            let cluster = "clusters: [{ name: c, server: \"https://127.0.0.1:9\", ca_file: blocked, token: { file: token } }]\n";
            (cluster.to_owned(), kubernetes.to_owned(), "")
        }
        "certificate-authority of a kubeconfig" => {
            std::fs::write(folder.join("kc"), kubeconfig(", certificate-authority: blocked", "token: t")).unwrap();
            ("clusters: [{ name: c, kubeconfig: kc }]\n".to_owned(), kubernetes.to_owned(), "")
        }
        "docker_config" => {
            let registry = format!("registries: [{{ host: \"{neighbour}\", plain_http: true, docker_config: blocked }}], images: [\"{neighbour}/a/b:c\"]");
            (String::new(), format!("  registry: {{ {pace}, {registry} }}\n"), "")
        }
        _ if place.starts_with("AWS_") => (String::new(), format!("  secrets_manager: {{ {pace}, secrets: [{{ name: s, region: us-east-2, id: s }}] }}\n"), ""),
        "attestations" => ("attestations: { file: blocked, interval: 2s }\n".to_owned(), String::new(), ""),
        // Programs instead of files.
        _ => {
            let path = folder.join("blocked").display().to_string();
            let exec = format!("exec: {{ apiVersion: client.authentication.k8s.io/v1, command: \"{path}\", interactiveMode: Never }}");
            std::fs::write(folder.join("kc"), kubeconfig("", &exec)).unwrap();
            ("clusters: [{ name: c, kubeconfig: kc }]\n".to_owned(), kubernetes.to_owned(), "")
        }
    };
    format!("{top}collectors:\n  http: {{ {pace}, targets: [{{ name: neighbour, url: \"http://{neighbour}/\" }}{targets}] }}\n{collector}")
}

/// What is wrong with an exporter that reads `blocked` in a folder.
async fn blocked(what: &str, place: &str, collector: &str, prepare: impl FnOnce(&Path)) -> Vec<String> {
    let (folder, host) = (tempfile::tempdir().unwrap(), own_host());
    let neighbour = format!("{host}:5400");
    let _server = readiness_lab::plain_server(neighbour.parse().unwrap(), Duration::ZERO, |_, _, _| (200, Vec::new(), b"OK".to_vec())).await.unwrap();
    std::fs::write(folder.path().join("readiness.yaml"), configuration(place, folder.path(), &neighbour)).unwrap();
    let mut command = exporter();
    command.args(["--log.level", "info", "--config.file"]).arg(folder.path().join("readiness.yaml"));
    command.args(["--web.probe-address", &format!("{host}:9841")]);
    if place.starts_with("AWS_") {
        command.envs([("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")]);
        command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/").env(place, folder.path().join("blocked"));
    }
    // With something good in its place first: how much memory it takes then.
    let good = Running::start(&command, &format!("{host}:9840"), &folder.path().join("log"));
    good.until("healthy", "/-/healthy", |text| text.contains("healthy")).await;
    let most = good.peak().unwrap() + MOST;
    drop(good);
    prepare(&folder.path().join("blocked"));
    let mut running = Running::start(&command, &format!("{host}:9840"), &folder.path().join("log"));
    let mut wrong: Vec<String> = Vec::new();
    // Time for a process to start on a busy machine, the first look, and its deadline.
    let (started, mut seen, mut probes) = (Instant::now(), false, Vec::new());
    while started.elapsed() < Duration::from_secs(20) && !(seen && probes.len() >= 20) {
        let text = tokio::time::timeout(TIMEOUT, running.get("/metrics")).await.ok().flatten().unwrap_or_default();
        let own = |family: &str, ends: &str| {
            let start = format!("{family}{{collector=\"{collector}\",");
            text.lines().any(|line| line.starts_with(&start) && line.ends_with(ends) && !line.contains("neighbour"))
        };
        // A registry is seen, and its images are not.
        let image = text.lines().any(|line| line.starts_with("readiness_registry_image_state{") && line.ends_with("state=\"unknown\"} 1"));
        let unseen = own("readiness_collector_up", "} 0") && own("readiness_collector_errors_total", "") || image;
        seen = unseen && text.contains("readiness_collector_up{collector=\"http\",source=\"neighbour\"} 1\n");
        for address in [format!("{}/-/healthy", running.url), format!("http://{host}:9841/-/healthy")] {
            let asked = Instant::now();
            let answered = tokio::time::timeout(Duration::from_secs(2), running.client.get(address).send()).await.is_ok_and(|answer| answer.is_ok());
            if answered || seen || started.elapsed() > Duration::from_secs(5) {
                probes.push(if answered { asked.elapsed() } else { Duration::from_secs(2) });
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if !seen {
        wrong.push("it is never said that the source is not seen, and that its neighbour is".to_owned());
    }
    probes.sort();
    match probes.get(probes.len() / 2) {
        Some(half) if *half < PROMPT => {}
        half => wrong.push(format!("half of the probes take {half:?} and longer")),
    }
    match running.peak() {
        None => wrong.push(format!("the process has ended: {}", running.log().lines().last().unwrap_or_default())),
        Some(peak) if peak > most => wrong.push(format!("{peak} of {most} MiB were resident")),
        Some(_) => match running.terminate().await {
            Some((took, status)) if took < Duration::from_secs(6) && status.success() => {}
            ended => wrong.push(format!("asked to end: {ended:?}")),
        },
    }
    wrong.into_iter().map(|why| format!("{what}: {why}")).collect()
}

/// Some at a time, because what is measured is not the machine.
async fn none_of(cases: Vec<futures::future::BoxFuture<'static, Vec<String>>>) {
    let wrong: Vec<Vec<String>> = futures::stream::iter(cases).buffer_unordered(3).collect().await;
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_blocks_or_does_not_end_is_one_source_that_is_not_seen() {
    let mut cases: Vec<futures::future::BoxFuture<'static, Vec<String>>> = Vec::new();
    for place in FILES {
        for blocking in [Blocking::Pipe, Blocking::Endless] {
            cases.push(Box::pin(async move {
                let what = format!("{} is {blocking:?}", place.name);
                blocked(&what, place.name, place.collector, |path| put(path, blocking)).await
            }));
        }
    }
    none_of(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_hangs_or_prints_for_ever_is_one_source_that_is_not_seen() {
    let scripts = [
        ("a plugin hangs", "exec sleep 30"),
        ("a plugin hangs and ignores signals", "trap '' TERM INT HUP; sleep 30; sleep 1"),
        ("a plugin leaves a child with its output", "sleep 30 & echo '{}'"),
        ("a plugin prints for ever", "exec timeout 30 yes"),
        ("a plugin complains for ever", "exec timeout 30 yes >&2"),
    ];
    none_of(
        scripts
            .into_iter()
            .map(|(what, script)| {
                let case: futures::future::BoxFuture<'static, Vec<String>> = Box::pin(blocked(what, "plugin", "kubernetes", move |path| {
                    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
                    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
                }));
                case
            })
            .collect(),
    )
    .await;
}

/// What is read at the start: the program says so and ends, instead of never starting.
#[test]
fn a_file_of_the_start_that_blocks_or_does_not_end_is_an_error() {
    let settings = [
        ("configuration", None),
        ("checklist", Some("checklists: [{ name: c, file: blocked }]")),
        ("ca_file of http", Some("collectors: { http: { ca_file: blocked, targets: [{ name: a, url: \"https://h.test\" }] } }")),
        ("ca_file of tls", Some("collectors: { tls: { ca_file: blocked, targets: [{ name: a, address: \"h.test:443\" }] } }")),
        ("ca_file of credentials", Some("collectors: { credentials: { ca_file: blocked, credentials: [{ name: a, kind: gitlab, from: { file: x } }] } }")),
        ("ca_file of a registry", Some("collectors: { registry: { registries: [{ host: h.test, ca_file: blocked }] } }")),
    ];
    let mut wrong = Vec::new();
    for (what, text) in settings {
        for blocking in [Blocking::Pipe, Blocking::Endless] {
            let folder = tempfile::tempdir().unwrap();
            put(&folder.path().join("blocked"), blocking);
            let file = match text {
                None => folder.path().join("blocked"),
                Some(text) => {
                    std::fs::write(folder.path().join("readiness.yaml"), text).unwrap();
                    folder.path().join("readiness.yaml")
                }
            };
            let mut command = Command::new("sh");
            command.args([
                "-c",
                "ulimit -v 2000000; exec timeout -k 1 15 \"$0\" \"$@\"",
                env!("CARGO_BIN_EXE_readiness-exporter"),
                "config",
                "check",
                "--config.file",
            ]);
            let (code, _, errors) = crate::common::run(command.arg(&file));
            if code != 2 || !errors.contains("blocked") {
                wrong.push(format!("{what} is {blocking:?}: code {code}, {}", errors.lines().last().unwrap_or_default()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
