//! OpenMetrics on `/metrics`: for those who ask for it, as its own parser reads it, and as a real Prometheus scrapes it.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use readiness_exporter::checklist::Decision;
use readiness_lab::Process;
use serde_json::Value;

use crate::common::{Estate, PATIENCE, repository, run, served, until};
use crate::slack::own_host;

/// What Prometheus 3.5 sends.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

/// Reads a scrape with the parser of the client library, which holds it against the specification, and tells each family.
const PARSER: &str = "import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed
print(json.dumps([[f.name, f.type, f.unit, f.documentation, len(f.samples)] for f in parsed(sys.stdin.read())]))";

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().gzip(false).timeout(Duration::from_secs(10)).build().unwrap()
}

/// The families of a scrape: name, type, unit, help and how many samples.
fn families(text: &str) -> Vec<(String, String, String, String, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics");
    std::fs::write(&file, text).unwrap();
    let (code, out, errors) = run(Command::new(repository("target/peers/bin/python3")).args(["-c", PARSER]).stdin(std::fs::File::open(&file).unwrap()));
    assert_eq!(code, 0, "{errors}");
    serde_json::from_str(&out).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_ask_get_it_and_its_own_parser_takes_it() {
    let estate = Estate::start().await;
    let (app, address) = served(&estate).await;
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    let get = async |accept: &str, coding: &str| {
        let request = client().get(format!("http://{address}/metrics")).header("accept", accept).header("accept-encoding", coding);
        let answer = request.send().await.unwrap();
        let head = ["content-type", "content-encoding", "vary"].map(|name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()));
        (head, answer.bytes().await.unwrap())
    };
    let (head, body) = get(ACCEPT, "identity").await;
    assert_eq!(
        head.each_ref().map(Option::as_deref),
        [Some("application/openmetrics-text; version=1.0.0; charset=utf-8"), None, Some("accept, accept-encoding")]
    );
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1, "{}", &text[text.len() - 500..]);
    let found = families(&text);
    let of = |name: &str| found.iter().find(|family| family.0 == name).unwrap_or_else(|| panic!("{name} is not in {found:?}"));
    let kind = |name: &str| (of(name).1.as_str(), of(name).2.as_str());
    assert_eq!(kind("readiness_collector_api_calls"), ("counter", ""));
    assert_eq!(kind("process_cpu_seconds"), ("counter", "seconds"));
    assert_eq!(kind("readiness_judged_timestamp_seconds"), ("gauge", "seconds"));
    assert_eq!(kind("readiness_build"), ("info", ""));
    assert_eq!(kind("readiness_decision_state"), ("gauge", ""));
    assert!(found.len() > 150 && found.iter().all(|family| family.4 > 0 && !family.3.is_empty()), "{found:?}");

    // The same samples are in the other format; what is counted and timed may differ by the time between.
    let names = |text: &str| -> BTreeSet<String> {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.filter(|line| !line.contains("readiness_web_requests_total")).map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
    };
    let limit = tokio::time::Instant::now() + PATIENCE;
    loop {
        let [open, plain] = [get(ACCEPT, "identity").await.1, get("text/plain", "identity").await.1].map(|body| String::from_utf8(body.to_vec()).unwrap());
        if names(&open) == names(&plain) {
            assert!(!plain.contains("# EOF") && plain.contains("# TYPE readiness_build_info gauge\n"), "{plain}");
            break;
        }
        assert!(tokio::time::Instant::now() < limit, "{:?}", names(&open).symmetric_difference(&names(&plain)).collect::<Vec<_>>());
    }
    let (head, packed) = get(ACCEPT, "gzip").await;
    assert_eq!(head[1].as_deref(), Some("gzip"));
    assert!(packed.len() * 4 < text.len(), "{} of {}", packed.len(), text.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_scrapes_it() {
    let estate = Estate::start().await;
    let (app, exporter) = served(&estate).await;
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    let (folder, host) = (estate.folder.path(), own_host());
    let file = folder.join("prometheus.yaml");
    std::fs::write(
        &file,
        format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs: [{{ job_name: e, honor_labels: true, static_configs: [{{ targets: ['{exporter}'] }}] }}]\n"
        ),
    )
    .unwrap();
    let _prometheus = Process::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address={host}:9090")),
    );
    let ask = async |path: &str| -> Option<Value> { client().get(format!("http://{host}:9090/api/v1/{path}")).send().await.ok()?.json().await.ok() };
    let limit = tokio::time::Instant::now() + PATIENCE;
    let scraped = loop {
        let found =
            ask("query?query=readiness_collector_api_calls_total").await.filter(|found| found["data"]["result"].as_array().is_some_and(|all| !all.is_empty()));
        if let Some(found) = found {
            break found;
        }
        assert!(tokio::time::Instant::now() < limit, "{:?}", ask("targets").await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(scraped["data"]["result"][0]["metric"]["__name__"], "readiness_collector_api_calls_total");
    let target = ask("targets").await.unwrap()["data"]["activeTargets"][0].clone();
    assert_eq!((target["health"].as_str(), target["lastError"].as_str()), (Some("up"), Some("")), "{target}");
    // Only in OpenMetrics a counter is called so, and a gauge has a unit.
    for (name, kind, unit) in
        [("readiness_collector_api_calls", "counter", ""), ("readiness_judged_timestamp_seconds", "gauge", "seconds"), ("readiness_build", "info", "")]
    {
        let known = ask(&format!("targets/metadata?metric={name}")).await.unwrap();
        assert_eq!((known["data"][0]["type"].as_str(), known["data"][0]["unit"].as_str()), (Some(kind), Some(unit)), "{name}: {known}");
    }
}
