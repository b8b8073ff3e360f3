//! Every query of every dashboard, asked of a real Prometheus that scrapes the exporter on the lab,
//! while all is well and while much is broken: none may fail, and every panel must have shown data.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use readiness_lab::{Fault, Process, faults};
use serde_json::Value;
use tokio::time::Instant;

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

/// The panels of a board, also those below headings that are closed.
pub(crate) fn panels(board: &Value) -> Vec<&Value> {
    let (rows, open): (Vec<_>, Vec<_>) = board["panels"].as_array().unwrap().iter().partition(|panel| panel["type"] == "row");
    open.into_iter().chain(rows.into_iter().flat_map(|row| row["panels"].as_array().unwrap())).collect()
}

fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(repository("dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let board: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for panel in panels(&board) {
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

/// How long no further check turns red until none is expected to.
const QUIET: Duration = Duration::from_secs(10);

/// Panels that have shown nothing yet.
fn missing<'a>(queries: &'a [Query], shown: &BTreeSet<String>) -> Vec<&'a str> {
    queries.iter().map(|query| query.panel.as_str()).filter(|panel| !shown.contains(*panel)).collect()
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
        let limit = Instant::now() + PATIENCE;
        while !self.ask(expr).await.is_ok_and(|samples| !samples.is_empty()) {
            assert!(Instant::now() < limit, "never {what}: {expr}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Notes panels that show something, until all have that are missing, or no further check turns red: checks that were.
    async fn follow(&self, queries: &[Query], shown: &mut BTreeSet<String>) -> BTreeSet<String> {
        let (mut red, mut grown) = (BTreeSet::new(), Instant::now());
        loop {
            let before = red.len();
            let bad = self.ask("readiness_check_state{state=~\"fail|warn\"} == 1").await.unwrap();
            red.extend(bad.iter().map(|sample| sample["metric"]["check"].as_str().unwrap().to_owned()));
            shown.extend(self.shown(queries).await);
            if red.len() > before {
                grown = Instant::now();
            }
            let is_quiet = grown.elapsed() > if red.is_empty() { PATIENCE } else { QUIET };
            if is_quiet || missing(queries, shown).is_empty() {
                return red;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
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

/// As many faults as can be on at once so that none hides what another one turns red, and the others.
fn together(faults: Vec<&'static Fault>) -> [Vec<&'static Fault>; 2] {
    let hides = |one: &Fault, other: &Fault| one.unknown.iter().any(|check| other.red.contains(check));
    let [mut chosen, mut rest] = [const { Vec::<&'static Fault>::new() }; 2];
    for fault in faults {
        let fits = chosen.iter().all(|other| !hides(fault, other) && !hides(other, fault));
        if fits { chosen.push(fault) } else { rest.push(fault) }
    }
    [chosen, rest]
}

fn turn(estate: &Estate, faults: &[&str], on: bool) {
    for fault in faults {
        assert!(estate.lab.estate().set(fault, on), "there is no fault {fault}");
    }
}

/// Breaks whatever turns something red, as much of it as shows at once, until every panel has shown something.
async fn break_all(estate: &Estate, prometheus: &Prometheus, queries: &[Query], mut shown: BTreeSet<String>) {
    let mut left: Vec<&'static Fault> = faults().filter(|fault| !fault.red.is_empty()).collect();
    while !missing(queries, &shown).is_empty() {
        prometheus.until("go, with nothing to say", "readiness_go == 1 unless on() (readiness_check_state{state=~\"fail|warn|unknown\"} == 1)").await;
        let [round, rest] = together(left);
        let names: Vec<&str> = round.iter().map(|fault| fault.name).collect();
        turn(estate, &names, true);
        let red = prometheus.follow(queries, &mut shown).await;
        turn(estate, &names, false);
        // What another one was in the way of is tried again, after all others.
        let (seen, hidden): (Vec<_>, Vec<_>) = round.into_iter().partition(|fault| fault.red.iter().all(|check| red.contains(*check)));
        let missing = missing(queries, &shown);
        assert!(missing.is_empty() || !seen.is_empty(), "panels that never showed anything, whatever was broken: {missing:#?}");
        left = [rest, hidden].concat();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_shows_data() {
    let host = own_host();
    let moto = Moto::start();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let script = "sm = client('secretsmanager')\nsm.create_secret(Name='database', SecretString='x')\nsm.rotate_secret(SecretId='database', RotationRules={'AutomaticallyAfterDays': 30}, RotateImmediately=False)";
    moto.boto(script);
    let key = moto.boto("iam = client('iam')\niam.create_user(UserName='llm')\nkey = iam.create_access_key(UserName='llm')['AccessKey']\nprint('aws_access_key_id=' + key['AccessKeyId'])\nprint('aws_secret_access_key=' + key['SecretAccessKey'])");
    let mut estate = Estate::start().await;
    // Each checklist has boards of its own.
    let both = "checklist: [workshop, estate]";
    assert!(estate.configuration.contains("checklist: workshop"));
    estate.configuration = format!("checklists: [{{ name: workshop }}, {{ name: estate }}]\n{}", estate.configuration.replace("checklist: workshop", both));
    let file = estate.folder.path().join("llm.key");
    std::fs::write(&file, key).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
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
    let mut shown = prometheus.shown(&queries).await;
    turn(&estate, &["forbidden-quotas"], true);
    prometheus.until("a permission is missing", "readiness_permission_missing == 1").await;
    shown.extend(prometheus.shown(&queries).await);
    // Only now: once nothing of a cluster can be seen, its permissions cannot either.
    turn(&estate, &["api-error"], true);
    prometheus.until("looks fail", "rate(readiness_collector_errors_total[5m]) > 0").await;
    prometheus.until("a source is not seen", "readiness_collector_up == 0").await;
    shown.extend(prometheus.shown(&queries).await);
    turn(&estate, &["forbidden-quotas", "api-error"], false);
    break_all(&estate, &prometheus, &queries, shown).await;
}
