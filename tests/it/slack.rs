//! From a broken thing to a message in Slack and back, with real Prometheus and real Alertmanager:
//! the shipped rules, the shipped Alertmanager example, one fault per collector.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use readiness_exporter::app::App;
use readiness_exporter::checklist::Decision;
use readiness_exporter::web::{Door, Listener, serve};
use readiness_lab::Process;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{Estate, repository, until};

/// A loopback address that no other test is likely to use, so that ports on it need not be free elsewhere.
pub(crate) fn own_host() -> String {
    format!("127.{}.{}.250", fastrand::u8(2..250), fastrand::u8(1..250))
}

/// Everything that was posted to the webhook.
#[derive(Clone, Default)]
struct Slack(Arc<Mutex<Vec<serde_json::Value>>>);

impl Slack {
    async fn listen(self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(self.clone().take(stream));
            }
        });
        port
    }

    async fn take(self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let mut block = [0; 16 * 1024];
        loop {
            let Ok(length @ 1..) = stream.read(&mut block).await else { return };
            request.extend_from_slice(&block[..length]);
            let text = String::from_utf8_lossy(&request);
            let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
            if let Ok(message) = serde_json::from_str(body) {
                self.0.lock().unwrap().push(message);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
                return;
            }
        }
    }

    /// Messages with their channel, title and text.
    fn texts(&self) -> Vec<String> {
        let messages = self.0.lock().unwrap();
        let text = |message: &serde_json::Value| {
            let attachment = &message["attachments"][0];
            let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            format!("{} {}\n{}", word(&message["channel"]), word(&attachment["title"]), word(&attachment["text"]))
        };
        messages.iter().filter(|message| message["attachments"].is_array()).map(text).collect()
    }

    /// How often a checklist's firing alerts were told, hints left out.
    fn firing(&self, checklist: &str) -> usize {
        let is_hint = |text: &String| text.contains("(info)") && !text.contains("(critical)");
        self.texts().iter().filter(|text| text.contains("[FIRING:") && text.lines().next().unwrap().contains(checklist) && !is_hint(text)).count()
    }

    /// How often the watchdog came.
    fn watchdogs(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|message| message["receiver"] == "watchdog").count()
    }

    /// The first message whose title and text have these parts.
    async fn until(&self, parts: &[&str]) -> String {
        let limit = tokio::time::Instant::now() + Duration::from_secs(90);
        loop {
            let texts = self.texts();
            if let Some(text) = texts.iter().find(|text| parts.iter().all(|part| text.contains(part))) {
                return text.clone();
            }
            assert!(tokio::time::Instant::now() <= limit, "no message with {parts:?} among {texts:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The shipped rules with short waits: a test cannot wait ten minutes for `for`.
fn hurried(rules: &str) -> String {
    let hold = regex::Regex::new(r"(?m)^(\s+for:) \S+$").unwrap();
    let keep = regex::Regex::new(r"(?m)^(\s+keep_firing_for:) \S+$").unwrap();
    keep.replace_all(&hold.replace_all(rules, "$1 1s"), "$1 1s").into_owned()
}

/// With `patience` in seconds between messages of one group.
fn write_configuration(folder: &Path, host: &str, exporter: u16, slack: u16, patience: u32) {
    for name in ["workshop.rules.yaml", "exporter.rules.yaml"] {
        let rules = std::fs::read_to_string(repository("alerts").join(name)).unwrap();
        std::fs::write(folder.join(name), hurried(&rules)).unwrap();
    }
    let scrape = std::fs::read_to_string(repository("deploy/prometheus.yaml")).unwrap();
    let scrape = scrape
        .replace("scrape_interval: 15s", "scrape_interval: 1s")
        .replace("evaluation_interval: 15s", "evaluation_interval: 1s")
        .replace("readiness-exporter:9840", &format!("127.0.0.1:{exporter}"))
        .replace("alertmanager:9093", &format!("{host}:9093"))
        .replace("/etc/prometheus/rules/", &format!("{}/", folder.display()));
    std::fs::write(folder.join("prometheus.yaml"), scrape).unwrap();
    std::fs::write(folder.join("webhook"), format!("http://127.0.0.1:{slack}/services/T/B/x")).unwrap();
    let routes = std::fs::read_to_string(repository("deploy/alertmanager.yaml")).unwrap();
    let routes = routes
        .replace("/etc/alertmanager/slack-webhook-url", &folder.join("webhook").display().to_string())
        .replace("/etc/alertmanager/readiness.tmpl", &repository("deploy/readiness.tmpl").display().to_string())
        .replace("http://dead-mans-switch:8080", &format!("http://127.0.0.1:{slack}"))
        .replace("group_wait: 30s", &format!("group_wait: {patience}s"))
        .replace("group_wait: 10m", &format!("group_wait: {patience}s"))
        .replace("group_interval: 5m", "group_interval: 1s")
        .replace("group_interval: 1d", "group_interval: 1s");
    std::fs::write(folder.join("alertmanager.yaml"), routes).unwrap();
}

/// The exporter on an estate, Prometheus, Alertmanager, and what reaches Slack.
struct Way {
    estate: Estate,
    app: Arc<App>,
    slack: Slack,
    _processes: [Process; 2],
}

impl Way {
    async fn start(estate: Estate, patience: u32) -> Self {
        let app = estate.exporter();
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let exporter = listener.address().unwrap().port();
        tokio::spawn(serve(listener, Arc::clone(&app), Door::Open, std::future::pending(), Duration::from_secs(1)));
        until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
        let slack = Slack::default();
        let webhook = slack.clone().listen().await;
        let host = own_host();
        let folder = estate.folder.path();
        write_configuration(folder, &host, exporter, webhook, patience);
        let alertmanager = Process::start(
            Command::new("prometheus-alertmanager")
                .arg(format!("--config.file={}", folder.join("alertmanager.yaml").display()))
                .arg(format!("--storage.path={}", folder.join("am").display()))
                .arg(format!("--web.listen-address={host}:9093"))
                .arg("--cluster.listen-address="),
        );
        let prometheus = Process::start(
            Command::new("prometheus")
                .arg(format!("--config.file={}", folder.join("prometheus.yaml").display()))
                .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
                // What fired before Alertmanager listened is sent again.
                .arg("--rules.alert.resend-delay=1s")
                .arg(format!("--web.listen-address={host}:9090")),
        );
        Self { estate, app, slack, _processes: [alertmanager, prometheus] }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_reaches_slack_and_what_is_mended_is_resolved() {
    let mut estate = Estate::start().await;
    // Within the lead time, so that warnings are not held back.
    estate.configuration = estate.configuration.replacen("participants: 12", "participants: 12\n    lead_times: [60d]", 1);
    let Way { estate, app: _app, slack, _processes } = Way::start(estate, 1).await;
    // One thing per collector: kubernetes, http, dns, tls, attestations.
    let broken: [(&str, &str, &str); 4] = [
        ("node-disk-pressure", "NodeDiskPressure", "Node node-1 in us-east-2 reports DiskPressure, so the kubelet evicts pods there."),
        ("london-503", "EndpointUnhealthy", "london does not answer as expected at 127."),
        ("dns-nxdomain", "DnsNameUnresolved", "*.oregon-proxy.ai.lab.test resolves to no server at office."),
        ("certificate-near-expiry", "CertificateExpiresSoon", "The certificate chain of london at 127."),
    ];
    for (fault, _, _) in broken {
        estate.lab.estate().set(fault, true);
    }
    for (_, alert, summary) in broken {
        let text = slack.until(&["#workshop-ops [FIRING:", "workshop", alert, summary]).await;
        assert!(
            text.contains("What to do: ") && text.contains(&format!("runbooks/{alert}.md|Runbook>")) && text.contains("/d/readiness-workshop|Dashboard>"),
            "{text}"
        );
    }
    slack.until(&["[FIRING:", "*ReadinessNoGo* (critical) november-workshop (checklist workshop) is not ready; it starts at "]).await;
    estate.lab.attest(&[]).unwrap();
    slack.until(&["[FIRING:", "ReadinessCheckUnknown", "OnCallConfirmed of workshop is required and has not been known"]).await;

    for (fault, _, _) in broken {
        estate.lab.estate().set(fault, false);
    }
    estate.lab.attest(&["InternalLoginTested", "ExternalLoginTested", "OnCallConfirmed"]).unwrap();
    for (_, alert, _) in broken {
        slack.until(&["Good again: ", alert]).await;
    }
    slack.until(&["Good again: ", "ReadinessCheckUnknown"]).await;
    slack.until(&["[RESOLVED] workshop"]).await;
    assert!(slack.watchdogs() > 0, "the watchdog comes all the time");
}

/// Ten things at once are one incident: one message, with the word first and every place in it.
#[tokio::test(flavor = "multi_thread")]
async fn ten_faults_at_once_are_one_message() {
    let mut estate = Estate::start().await;
    estate.configuration = estate.configuration.replacen("participants: 12", "participants: 12\n    lead_times: [60d]", 1);
    let Way { estate, app, slack, _processes } = Way::start(estate, 20).await;
    let faults = [
        "node-disk-pressure",
        "node-memory-pressure",
        "node-cordoned",
        "karpenter-down",
        "litellm-crash",
        "provisioners-scaled-down",
        "london-503",
        "mirror-stale",
        "credential-github-refused",
        "rotation-not-suspended",
    ];
    for fault in faults {
        estate.lab.estate().set(fault, true);
    }
    until(&app, "no-go with all of it", |judgement| crate::common::names(judgement, &[readiness_exporter::checklist::CheckState::Fail]).len() >= 8).await;
    let text = slack
        .until(&[
            "[FIRING:",
            "*ReadinessNoGo*",
            "NodeDiskPressure",
            "NodeMemoryPressure",
            "KarpenterNotReady",
            "LiteLlmNotReady",
            "EndpointUnhealthy",
            "CredentialInvalid",
            "RotationHitsEvent",
        ])
        .await;
    let first = text.lines().nth(1).unwrap();
    assert!(first.starts_with("*ReadinessNoGo* (critical)"), "the word comes first: {first}");
    let firing = slack.firing("workshop");
    assert_eq!(firing, 1, "one message of what must be acted on: {text}");
}

/// Between events warnings are held back, and what is critical is not.
#[tokio::test(flavor = "multi_thread")]
async fn between_events_only_what_is_critical_is_worth_a_message() {
    let mut estate = Estate::start().await;
    estate.configuration = estate.configuration.replacen("participants: 12", "participants: 12\n    lead_times: [1s]", 1);
    let Way { estate, app, slack, _processes } = Way::start(estate, 5).await;
    estate.lab.estate().set("rotation-run-failed", true);
    until(&app, "a warning", |judgement| !crate::common::names(judgement, &[readiness_exporter::checklist::CheckState::Fail]).is_empty()).await;
    estate.lab.estate().set("node-disk-pressure", true);
    let text = slack.until(&["[FIRING:", "NodeDiskPressure"]).await;
    assert!(!text.contains("RotationNotDone"), "{text}");
    assert!(!slack.texts().iter().any(|text| text.contains("RotationNotDone")), "{:#?}", slack.texts());
}

/// The shipped files, as the programs themselves read them.
#[test]
fn amtool_and_promtool_accept_the_shipped_files() {
    let folder = tempfile::tempdir().unwrap();
    write_configuration(folder.path(), "127.0.0.1", 9840, 9, 1);
    let file = folder.path().join("alertmanager.yaml");
    let (code, out, errors) = crate::common::run(Command::new("amtool").arg("check-config").arg(&file));
    assert_eq!(code, 0, "{out}{errors}");
    let (code, out, errors) = crate::common::run(Command::new("promtool").args(["check", "config"]).arg(folder.path().join("prometheus.yaml")));
    assert_eq!(code, 0, "{out}{errors}");
    for (labels, receiver) in [
        (&["alertname=ReadinessNoGo", "checklist=workshop", "severity=critical"][..], "slack"),
        (&["alertname=NodeCordoned", "checklist=workshop", "severity=warning"], "slack"),
        (&["alertname=CredentialTooOld", "checklist=workshop", "severity=info"], "slack"),
        (&["alertname=ReadinessExporterAbsent", "severity=critical"], "slack"),
        (&["alertname=ReadinessQuiet", "checklist=workshop", "severity=none"], "nobody"),
        (&["alertname=ReadinessWatchdog", "severity=none"], "watchdog"),
    ] {
        let (code, out, errors) = crate::common::run(
            Command::new("amtool").args(["config", "routes", "test", "--verify.receivers", receiver, "--config.file"]).arg(&file).args(labels),
        );
        assert_eq!(code, 0, "{labels:?} must reach {receiver}: {out}{errors}");
    }
}
