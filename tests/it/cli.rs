//! The command line as a user meets it: what is printed, and the exit code.

use std::process::Stdio;
use std::time::Duration;

use readiness_lab::Lab;

use crate::common::{Estate, exporter, run};

fn check(file: &std::path::Path, output: &str) -> (i32, String, String) {
    let all = if output == "text" { &["--all"][..] } else { &[] };
    run(exporter().args(["check", "--output", output]).args(all).arg("--config.file").arg(file))
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_go_no_go_and_undecided() {
    let estate = Estate::for_one_look().await;
    let file = estate.file();
    let (code, out, errors) = check(&file, "text");
    assert_eq!((code, errors.as_str()), (0, ""), "{out}");
    assert!(out.contains("\nGO: "), "{out}");

    estate.lab.estate().set("node-disk-pressure", true);
    let (code, out, _) = check(&file, "text");
    assert_eq!(code, 1, "{out}");
    for part in [
        "FAIL    R1.4 No node is short of disk space",
        "Node node-1 in us-east-2 reports DiskPressure",
        "-> Find the pods with the most ephemeral storage",
        "runbook: NodeDiskPressure",
        "NO-GO: 1 required check failed",
    ] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }

    // On one screen, with what is worst where the eye is.
    let (code, out, _) = run(exporter().args(["check", "--config.file"]).arg(&file));
    let end = out.split_once("  FAIL    Node node-1 in us-east-2 reports DiskPressure").unwrap_or_else(|| panic!("{out}")).1;
    let told: Vec<&str> = end.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()).collect();
    assert!(code == 1 && out.lines().count() < 30 && told.len() == 4, "{out}");
    assert!(told[0] == "R1.4 No node is short of disk space" && told[1].ends_with("(runbook: NodeDiskPressure)"), "{out}");
    assert!(told[2].starts_with("NO-GO: 1 required check failed") && told[3].ends_with("check --all"), "{out}");

    estate.lab.estate().set("node-disk-pressure", false);
    estate.lab.estate().set("api-hang", true);
    let (code, out, _) = check(&file, "text");
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("kubernetes us-west-2 could not be seen: "), "{out}");
    assert!(out.contains("UNDECIDED: "), "{out}");
}

/// The files of `docs/checklists.md` are good as they stand, and say what is unknown and what nobody confirmed.
#[test]
fn the_checklist_of_the_documentation_works() {
    let text = std::fs::read_to_string(crate::common::repository("docs/checklists.md")).unwrap();
    let blocks: Vec<&str> = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    let host = crate::slack::own_host();
    for (name, block) in ["go-live.yaml", "readiness.yaml"].into_iter().zip(&blocks) {
        std::fs::write(folder.path().join(name), block.replace("shop.example.com", &host)).unwrap();
    }
    std::fs::write(folder.path().join("confirmed.yaml"), "[]").unwrap();
    let cluster = "apiVersion: v1\nkind: Config\ncurrent-context: eu\nclusters: [{ name: eu, cluster: { server: 'http://HOST:1' } }]\ncontexts: [{ name: eu, context: { cluster: eu, user: eu } }]\nusers: [{ name: eu, user: { token: t } }]\n";
    std::fs::write(folder.path().join("shop.kubeconfig"), cluster.replace("HOST", &host)).unwrap();
    let file = folder.path().join("readiness.yaml");
    let (code, out, errors) = run(exporter().args(["config", "check", "--config.file"]).arg(&file));
    assert_eq!((code, errors.as_str()), (0, ""), "{out}");
    assert!(out.ends_with("checks\n") && !out.contains("warning"), "{out}");
    let (code, out, _) = check(&file, "text");
    assert_eq!(code, 1, "{out}");
    for line in [
        "FAIL    1.1 The shop answers as expected",
        "????    1.2 The shop's certificate does not end within 14d",
        "????    2.2 At least 3 workers of the shop run",
        "????    3.1 Somebody of support",
    ] {
        assert!(out.contains(line), "{line:?} is not in\n{out}");
    }
    assert!(out.contains("Then confirm it in the attestations file, as `attest: SupportIsStaffed`."), "{out}");
    let (code, out, errors) = run(exporter().args(["generate", "--from-config", "--out"]).arg(folder.path().join("rules")).arg("--config.file").arg(&file));
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(out.starts_with("wrote ") && folder.path().join("rules/alerts/go-live.rules.yaml").exists(), "{out}");
}

#[test]
fn a_cluster_that_nobody_looks_at_is_unknown_and_what_is_odd_is_told_beside_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("readiness.yaml");
    std::fs::write(&file, "clusters: [{ name: eu, in_cluster: true }]\ncollectors: { http: { targets: [{ name: app, url: 'http://127.0.0.1:9/' }] } }\n")
        .unwrap();
    let (code, out, errors) = check(&file, "text");
    assert_ne!(code, 0, "{out}");
    let line =
        "????    - Everything that is configured is looked at and judged by a check\n            Cluster eu is configured, and no collector looks at it; ";
    assert!(out.contains(line), "{out}");
    assert!(errors.contains("warning: clusters[0]: no collector uses cluster eu"), "{errors}");
    assert!(out.contains("  n/a     not configured: "), "{out}");
}

#[test]
fn what_is_set_for_the_server_may_stand_behind_its_command() {
    for flags in [["serve", "--web.listen-address", "9999"], ["--web.listen-address", "9999", "serve"]] {
        let (code, _, errors) = run(exporter().args(flags));
        assert_eq!(code, 2, "{errors}");
        assert!(errors.contains("must be ADDRESS:PORT, such as 127.0.0.1:9840"), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_says_the_same() {
    let estate = Estate::for_one_look().await;
    estate.lab.estate().set("litellm-crash", true);
    let file = estate.file();
    let (code, json, _) = check(&file, "json");
    assert_eq!(code, 1);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["judgements"][0]["decision"], "no_go");
    let (_, markdown, _) = run(exporter().args(["check", "--format", "markdown", "--config.file"]).arg(&file));
    assert!(markdown.starts_with("# Pre-workshop validation: NO-GO\n"), "{markdown}");
    assert!(markdown.contains("- [ ] W3.9 All LiteLLM replicas are ready **fail**\n"), "{markdown}");
    assert!(markdown.contains("- [x] W3.4 Karpenter runs in all regions\n"), "{markdown}");
    let (_, junit, _) = check(&file, "junit");
    assert!(junit.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>"), "{junit}");
    assert!(junit.contains("classname=\"LiteLlmNotReady\"><failure message="), "{junit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_confirmation_is_undecided() {
    let estate = Estate::for_one_look().await;
    estate.lab.attest(&["InternalLoginTested", "ExternalLoginTested"]).unwrap();
    let (code, out, _) = check(&estate.file(), "text");
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("????    W5.5 The on-call rotation covers the event\n            nobody has confirmed this yet"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_estate_is_never_go() {
    let estate = Estate::for_one_look().await;
    let file = estate.file();
    let Estate { lab, folder, .. } = estate;
    drop::<Lab>(lab);
    let (code, out, _) = check(&file, "text");
    assert_ne!(code, 0, "{out}");
    drop(folder);
}

#[test]
fn a_wrong_file_is_exit_code_2_with_every_problem() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::write(&file, "colectors: {}\nevents: [{ name: w, time_zone: Mars/Base, start: 2026-12-01T09:00, duration: 1h }]\n").unwrap();
    let (code, out, errors) = run(exporter().args(["config", "check", "--config.file"]).arg(&file));
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        errors,
        format!(
            "readiness-exporter: config {} has 2 problems:\n  colectors: unknown key; did you mean collectors?\n  events[0] (w).time_zone: must be an IANA time zone such as Europe/London (got \"Mars/Base\")\n",
            file.display()
        )
    );
    assert_eq!(run(exporter().args(["check", "--config.file"]).arg(&file)).0, 2);
    assert_eq!(run(exporter().arg("--config.file").arg(&file)).0, 2);
    let (code, _, errors) = run(exporter().args(["check", "--config.file", "/no/such/file"]));
    assert_eq!(
        (code, errors.as_str()),
        (
            2,
            "readiness-exporter: read config /no/such/file: no such file; `readiness-exporter config init` prints one to begin with, and --config.file names another\n"
        )
    );
    assert_eq!(run(exporter().arg("--no-such-flag")).0, 2);
}

#[test]
fn what_is_missing_is_told_by_its_key_beside_what_else_is_odd_and_a_variable_that_is_not_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::write(
        &file,
        "collectors: { http: { ca_file: nope.pem, targets: [{ name: a, url: 'https://a.example/' }] } }\nattestations: { file: gone.yaml }\n",
    )
    .unwrap();
    let mut command = exporter();
    command.args(["config", "check", "--config.file"]).arg(&file).env("READINESS_COLLECTORS__HTTP__INTERVAL", "1m");
    let (code, out, _) = run(&mut command);
    assert_eq!(code, 2, "{out}");
    for told in [
        "warning: environment: a variable is called almost like READINESS__COLLECTORS__HTTP__INTERVAL and is not read; ",
        "warning: collectors.http.ca_file: ",
        "warning: attestations.file: ",
    ] {
        assert!(out.contains(told), "{told} is not in {out}");
    }
}

#[test]
fn trust_roots_that_are_no_file_end_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, file) = (folder.path().join("roots"), folder.path().join("readiness.yaml"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::write(&file, "http: { targets: [{ name: a, url: \"https://127.0.0.1:1/\" }] }\n").unwrap();
    for roots in [pipe.as_path(), "/dev/zero".as_ref(), folder.path()] {
        let (code, _, errors) = run(exporter().env("SSL_CERT_FILE", roots).arg("check").arg("--config.file").arg(&file));
        assert_eq!((code, errors.trim()), (2, "readiness-exporter: read the file that SSL_CERT_FILE names: it is no regular file"), "{}", roots.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn config_print_is_complete_and_can_be_loaded_again() {
    let estate = Estate::start().await;
    let (code, printed, _) = run(exporter().args(["config", "print", "--config.file"]).arg(estate.file()));
    assert_eq!(code, 0);
    assert!(printed.contains("max_body_bytes: 1048576"), "defaults are shown: {printed}");
    let again = estate.folder.path().join("again.yaml");
    std::fs::write(&again, &printed).unwrap();
    let (code, out, errors) = run(exporter().args(["config", "check", "--config.file"]).arg(&again));
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains("is good: "), "{out}");
}

#[test]
fn version_schema_and_completions() {
    assert!(run(exporter().arg("--version")).1.starts_with("readiness-exporter 0."));
    let schema: serde_json::Value = serde_json::from_str(&run(exporter().args(["config", "schema"])).1).unwrap();
    assert_eq!(schema["title"], "readiness-exporter configuration");
    assert!(run(exporter().args(["completions", "bash"])).1.contains("complete -F"));
    let manual = run(exporter().arg("manual")).1;
    assert!(manual.contains(".TH readiness-exporter 1") && manual.contains("config.file"), "{manual}");
}

/// A running exporter and where it listens.
async fn running(estate: &Estate, environment: &[(&str, &std::ffi::OsStr)]) -> (tokio::process::Child, String) {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_readiness-exporter"))
        .args(["--web.listen-address", "127.0.0.1:0", "--log.format", "json", "--config.file"])
        .arg(estate.file())
        .envs(environment.iter().copied())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stderr.take().unwrap()));
    let address = loop {
        let line: serde_json::Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        if let Some(address) = line["fields"]["address"].as_str() {
            break address.to_owned();
        }
    };
    // The pipe must be read on, or a full one would block the log.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, address)
}

fn signal(child: &tokio::process::Child, name: &str) {
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
}

async fn until_text(address: &str, path: &str, wanted: impl Fn(&str) -> bool) -> String {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
    let limit = tokio::time::Instant::now() + crate::common::PATIENCE;
    loop {
        let text = client.get(format!("http://{address}{path}")).send().await.unwrap().text().await.unwrap();
        if wanted(&text) {
            return text;
        }
        assert!(tokio::time::Instant::now() < limit, "never in {path}: {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// SIGTERM, with a hanging cluster and an open connection, ends the process within five seconds.
#[tokio::test(flavor = "multi_thread")]
async fn it_stops_when_it_is_told_to() {
    let estate = Estate::start().await;
    estate.lab.estate().set("api-hang", true);
    estate.lab.estate().set("london-hang", true);
    let (mut child, address) = running(&estate, &[]).await;
    let _open = tokio::net::TcpStream::connect(&address).await.unwrap();
    signal(&child, "-TERM");
    let ended = tokio::time::timeout(Duration::from_secs(5), child.wait()).await.expect("within five seconds").unwrap();
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads() {
    let estate = Estate::start().await;
    let (child, address) = running(&estate, &[]).await;
    std::fs::write(estate.file(), "colectors: {}").unwrap();
    signal(&child, "-HUP");
    until_text(&address, "/metrics", |text| text.contains("\nreadiness_config_last_reload_successful 0\n")).await;
    estate.file();
    signal(&child, "-HUP");
    until_text(&address, "/metrics", |text| text.contains("\nreadiness_config_last_reload_successful 1\n")).await;
}

/// The wall clock jumps by two hours while it runs: ages are measured on the monotonic clock, so
/// nothing becomes stale, and what is judged against the wall clock follows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_makes_nothing_stale() {
    // On a busy machine a look may come late, and nothing but the clock is to be blamed here.
    let mut estate = Estate::for_one_look().await;
    // Google refuses what is signed two hours off, and is right.
    let lines = estate.configuration.lines().filter(|line| !line.trim_start().starts_with("google: {"));
    estate.configuration = lines.map(|line| format!("{line}\n")).collect();
    let offset = estate.folder.path().join("offset");
    std::fs::write(&offset, "+0").unwrap();
    let (_child, address) = running(&estate, &crate::common::wall_clock(&offset)).await;
    let go = |text: &str| text.contains("\"decision\": \"go\"");
    until_text(&address, "/report.json", go).await;
    for (jump, hours) in [("+7200", 2), ("-7200", -2)] {
        std::fs::write(&offset, jump).unwrap();
        let judged_at = |text: &str| -> jiff::Timestamp {
            let report: serde_json::Value = serde_json::from_str(text).unwrap();
            report["judgements"][0]["at"].as_str().unwrap().parse().unwrap()
        };
        let jumped = |text: &str| (judged_at(text).as_second() - jiff::Timestamp::now().as_second() - hours * 3600).abs() < 60;
        let text = until_text(&address, "/report.json", jumped).await;
        assert!(go(&text), "the clock jumped by {hours} h: {text}");
        let ages = until_text(&address, "/metrics", |text| text.contains("readiness_collector_up{")).await;
        assert!(!ages.lines().any(|line| line.starts_with("readiness_collector_up{") && line.ends_with(" 0")), "{ages}");
    }
}
