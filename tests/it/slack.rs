//! From a broken thing to a message in Slack and back, with real Prometheus and real Alertmanager:
//! the shipped rules, the shipped Alertmanager example, one fault per collector.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use readiness_exporter::checklist::Decision;
use readiness_exporter::web::{Door, Listener, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{Estate, repository, until};

/// A process that ends with the test.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Ends it before its time.
    pub(crate) fn stop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

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

    /// The first message whose title and text have these parts.
    async fn until(&self, parts: &[&str]) -> String {
        let limit = tokio::time::Instant::now() + Duration::from_secs(90);
        loop {
            let messages = self.0.lock().unwrap().clone();
            let texts = messages.iter().map(|message| {
                let attachment = &message["attachments"][0];
                format!(
                    "{} {}\n{}",
                    message["channel"].as_str().unwrap_or_default(),
                    attachment["title"].as_str().unwrap_or_default(),
                    attachment["text"].as_str().unwrap_or_default()
                )
            });
            let texts: Vec<String> = texts.collect();
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

fn write_configuration(folder: &Path, host: &str, exporter: u16, slack: u16) {
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
        .replace("group_wait: 30s", "group_wait: 1s")
        .replace("group_interval: 1m", "group_interval: 1s");
    std::fs::write(folder.join("alertmanager.yaml"), routes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_reaches_slack_and_what_is_mended_is_resolved() {
    let estate = Estate::start().await;
    let app = estate.exporter();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let exporter = listener.address().unwrap().port();
    tokio::spawn(serve(listener, Arc::clone(&app), Door::Open, std::future::pending(), Duration::from_secs(1)));
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;

    let slack = Slack::default();
    let webhook = slack.clone().listen().await;
    let host = own_host();
    let folder = estate.folder.path();
    write_configuration(folder, &host, exporter, webhook);
    let _alertmanager = Process::start(
        Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", folder.join("alertmanager.yaml").display()))
            .arg(format!("--storage.path={}", folder.join("am").display()))
            .arg(format!("--web.listen-address={host}:9093"))
            .arg("--cluster.listen-address="),
    );
    let _prometheus = Process::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", folder.join("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address={host}:9090")),
    );

    // One thing per collector: kubernetes, http, dns, tls, attestations.
    let broken: [(&str, &str, &str); 4] = [
        ("node-disk-pressure", "NodeDiskPressure", "Node node-1 in us-east-2 reports DiskPressure, so the kubelet evicts pods there."),
        ("london-503", "EndpointUnhealthy", "london does not answer as expected at 127."),
        ("dns-nxdomain", "DnsNameUnresolved", "*.oregon-proxy.ai.lab.test does not resolve at office."),
        ("certificate-near-expiry", "CertificateExpiresSoon", "The certificate chain of london at 127."),
    ];
    for (fault, _, _) in broken {
        estate.lab.estate().set(fault, true);
    }
    for (_, alert, summary) in broken {
        let text = slack.until(&["#workshop-ops [FIRING:", alert, summary]).await;
        assert!(text.contains("What to do: "), "{text}");
    }
    estate.lab.attest(&[]).unwrap();
    slack.until(&["[FIRING:", "ReadinessCheckUnknown", "OnCallConfirmed of workshop is required and has not been known"]).await;

    for (fault, _, _) in broken {
        estate.lab.estate().set(fault, false);
    }
    estate.lab.attest(&["InternalLoginTested", "ExternalLoginTested", "OnCallConfirmed"]).unwrap();
    for (_, alert, _) in broken {
        slack.until(&["[RESOLVED]", alert]).await;
    }
    slack.until(&["[RESOLVED]", "ReadinessCheckUnknown"]).await;
}
