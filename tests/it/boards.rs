//! Every query of every dashboard, asked of a real Prometheus that scrapes the exporter on the lab,
//! while all is well and while much is broken: none may fail, and every panel must have shown data.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use readiness_lab::Process;
use serde_json::Value;

use crate::common::{Estate, PATIENCE, exporter, repository};
use crate::moto::{Moto, with_aws};
use crate::slack::own_host;

/// A query of a panel.
struct Query {
    panel: String,
    expr: String,
    /// Whether it is drawn over time, where what is not known is a gap.
    is_graph: bool,
}

fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(repository("dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let board: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for panel in board["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                // What Grafana puts in for "All".
                let expr = target["expr"].as_str().unwrap().replace("$cluster", ".*").replace("$event", ".*");
                let title = format!("{name}: {} ({})", panel["title"].as_str().unwrap(), target["refId"].as_str().unwrap());
                queries.push(Query { panel: title, expr, is_graph: panel["type"] == "timeseries" });
            }
        }
        for annotation in board["annotations"]["list"].as_array().unwrap() {
            let expr = annotation["expr"].as_str().unwrap().replace("$event", ".*");
            queries.push(Query { panel: format!("{name}: annotation {}", annotation["name"].as_str().unwrap()), expr, is_graph: false });
        }
    }
    queries
}

struct Prometheus {
    client: reqwest::Client,
    url: String,
}

impl Prometheus {
    /// Samples of a query, or why it is none.
    async fn ask(&self, expr: &str) -> Result<Vec<Value>, String> {
        let form: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", expr).finish();
        let request = self.client.post(format!("{}/api/v1/query", self.url)).header("content-type", "application/x-www-form-urlencoded").body(form);
        let said: Value = request.send().await.map_err(|error| error.to_string())?.json().await.map_err(|error| error.to_string())?;
        match said["status"].as_str() {
            Some("success") => Ok(said["data"]["result"].as_array().cloned().unwrap_or_default()),
            _ => Err(said["error"].as_str().unwrap_or("no answer").to_owned()),
        }
    }

    async fn until(&self, what: &str, expr: &str) {
        let limit = tokio::time::Instant::now() + PATIENCE;
        while !self.ask(expr).await.is_ok_and(|samples| !samples.is_empty()) {
            assert!(tokio::time::Instant::now() < limit, "never {what}: {expr}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Panels that show something now. Outside of graphs a value that is no number is no sensible one.
    async fn shown(&self, queries: &[Query]) -> BTreeSet<String> {
        let mut shown = BTreeSet::new();
        for Query { panel, expr, is_graph } in queries {
            let mut samples = self.ask(expr).await.unwrap_or_else(|error| panic!("{panel}: {error}\n{expr}"));
            samples.retain(|sample| !is_graph || sample["value"][1] != "NaN");
            for sample in &samples {
                let value: f64 = sample["value"][1].as_str().unwrap().parse().unwrap();
                assert!(value.is_finite(), "{panel}: {sample}");
            }
            // A table with one row for each subject must not have two for the same.
            let labels: BTreeMap<String, usize> = samples.iter().fold(BTreeMap::new(), |mut counts, sample| {
                *counts.entry(sample["metric"].to_string()).or_default() += 1;
                counts
            });
            assert!(labels.values().all(|count| *count == 1), "{panel}: {labels:?}");
            if !samples.is_empty() {
                shown.insert(panel.clone());
            }
        }
        shown
    }
}

/// Faults that fill the panels of what is wrong.
const FAULTS: [&str; 34] = [
    "node-disk-pressure",
    "pod-oom-killed",
    "pod-crash-loops",
    "pod-config-broken",
    "pod-unschedulable",
    "pod-evicted",
    "pod-restarts-often",
    "image-pull-slow",
    "image-pull-fails",
    "nodeclaim-stuck",
    "nodeclaim-launched-slowly",
    "nodeclaim-no-capacity",
    "forbidden-quotas",
    "dns-nxdomain",
    "london-cached",
    "running-older-digest",
    "mirror-stale",
    "credential-github-refused",
    "rollout-slow",
    "warning-events-burst",
    "pull-secret-expires-soon",
    "node-cordoned",
    "credential-coder-ends-soon",
    "node-unfit",
    "node-not-started",
    "pod-stuck-creating",
    "pod-stuck-initializing",
    "pod-init-runs-long",
    "pod-waits-for-something",
    "pod-half-ended",
    "pod-not-ready",
    "node-problem-reported",
    "nodeclaim-expires-in-event",
    "rotation-suspended-key-lapses",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_shows_data() {
    let host = own_host();
    let moto = Moto::start();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let script = "sm = client('secretsmanager')\nsm.create_secret(Name='database', SecretString='x')\nsm.rotate_secret(SecretId='database', RotationRules={'AutomaticallyAfterDays': 30}, RotateImmediately=False)";
    moto.boto(script);
    let key = moto.boto("iam = client('iam')\niam.create_user(UserName='llm')\nkey = iam.create_access_key(UserName='llm')['AccessKey']\nprint('aws_access_key_id=' + key['AccessKeyId'])\nprint('aws_secret_access_key=' + key['SecretAccessKey'])");
    let mut estate = Estate::start().await;
    std::fs::write(estate.folder.path().join("llm.key"), key).unwrap();
    let credential = "    credentials:\n      - { name: llm, kind: aws_access_key, aws: { region: us-east-2 }, from: { file: llm.key } }\n";
    estate.configuration = estate.configuration.replacen("    credentials:\n", credential, 1);
    let ecr = "123456789012.dkr.ecr.us-east-2.amazonaws.com";
    let registry = format!("    registries:\n      - {{ host: {ecr}, ecr: {{ region: us-east-2 }} }}\n");
    estate.configuration = estate.configuration.replacen("    registries:\n", &registry, 1);
    let image = format!("    groups:\n      - {{ name: scanned, upstream: \"{ecr}/ghcr/coder/coder-preview:v2.18.0\" }}\n");
    estate.configuration = estate.configuration.replacen("    groups:\n", &image, 1);
    let own = "  secrets_manager: { interval: 1s, timeout: 1s, secrets: [{ name: database, region: us-east-2, id: database }] }\n\n  rotations:";
    estate.configuration = estate.configuration.replacen("  rotations:", own, 1);
    let address = format!("{host}:9840");
    let mut command = exporter();
    command.args(["--web.listen-address", &address, "--config.file"]).arg(estate.file());
    let _exporter = Process::start(with_aws(&mut command, &moto.endpoint).env("AWS_ENDPOINT_URL_ECR", estate.lab.aws()));
    let scrape = format!(
        "global: {{ scrape_interval: 2s }}\nscrape_configs: [{{ job_name: readiness, honor_labels: true, static_configs: [{{ targets: ['{address}'] }}] }}]\n"
    );
    std::fs::write(estate.folder.path().join("prometheus.yaml"), scrape).unwrap();
    let _prometheus = Process::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", estate.folder.path().join("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", estate.folder.path().join("tsdb").display()))
            .arg(format!("--web.listen-address={host}:9090")),
    );
    let prometheus = Prometheus { client, url: format!("http://{host}:9090") };
    let queries = queries();
    assert!(queries.len() > 100, "{}", queries.len());
    prometheus.until("go", "readiness_go == 1").await;
    // The first look proves the key, which uses it; the second one sees that.
    prometheus.until("a key was used", "readiness_credential_last_used_timestamp_seconds{credential=\"llm\"}").await;
    let well = prometheus.shown(&queries).await;
    for fault in FAULTS {
        assert!(estate.lab.estate().set(fault, true), "there is no fault {fault}");
    }
    prometheus.until("no-go", "count(readiness_check_state{state=\"fail\"} == 1) > 8").await;
    prometheus.until("a permission is missing", "readiness_permission_missing == 1").await;
    let forbidden = prometheus.shown(&queries).await;
    // Only now: once nothing of a cluster can be seen, its permissions cannot either.
    assert!(estate.lab.estate().set("api-error", true));
    prometheus.until("looks fail", "rate(readiness_collector_errors_total[5m]) > 0").await;
    prometheus.until("a source is not seen", "readiness_collector_up == 0").await;
    prometheus.until("an image is behind", "readiness_image_behind_seconds").await;
    let broken = prometheus.shown(&queries).await;
    let shown = [well, forbidden, broken];
    let never: Vec<&str> = queries.iter().map(|query| query.panel.as_str()).filter(|panel| !shown.iter().any(|shown| shown.contains(*panel))).collect();
    assert!(never.is_empty(), "panels that never showed anything, whether all was well or FAULTS were on: {never:#?}");
}
