//! What the panels of a board say while nothing is known, by the queries that they ask: promtool evaluates them on the
//! series of an exporter that is gone, one that hangs, two that differ, and one that sees everything.

use std::process::Command;

use serde_json::{Value, json};

use crate::boards::panels;
use crate::common::{repository, run};

/// The first query of a panel of the board for the wall, with everything chosen.
fn query(title: &str) -> String {
    let board: Value = serde_json::from_str(&std::fs::read_to_string(repository("dashboards/workshop-overview.json")).unwrap()).unwrap();
    let panel = panels(&board).into_iter().find(|panel| panel["title"] == title).unwrap_or_else(|| panic!("no {title}"));
    panel["targets"][0]["expr"].as_str().unwrap().replace("$cluster", ".*").replace("$event", ".*")
}

fn series(name: &str, labels: &str, value: i64) -> Value {
    json!({ "series": format!("{name}{{checklist=\"workshop\",{labels}}}"), "values": format!("{value}x20") })
}

/// Asserts what a query gives ten minutes after the epoch: labels and values.
fn assert_said(title: &str, input: &[Value], expected: &[(&str, f64)]) {
    let samples: Vec<Value> = expected.iter().map(|(labels, value)| json!({ "labels": labels, "value": value })).collect();
    let asked = json!([{ "expr": query(title), "eval_time": "10m", "exp_samples": samples }]);
    let test = json!({ "evaluation_interval": "1m", "tests": [{ "interval": "1m", "input_series": input, "promql_expr_test": asked }] });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("words.yaml");
    std::fs::write(&file, test.to_string()).unwrap();
    let (code, out, errors) = run(Command::new("promtool").args(["test", "rules"]).arg(&file));
    assert_eq!(code, 0, "{title}: {out}{errors}");
}

fn judged(instance: &str, at: i64) -> Value {
    series("readiness_judged_timestamp_seconds", &format!("instance=\"{instance}\""), at)
}

fn decided(instance: &str, state: &str) -> Value {
    series("readiness_decision_state", &format!("instance=\"{instance}\",event=\"e\",state=\"{state}\""), 1)
}

const NO_DATA: (&str, f64) = ("{event=\"nothing is judged, or nothing is scraped\"}", -1.0);
const GO: (&str, f64) = ("{checklist=\"workshop\",event=\"e\"}", 1.0);

#[test]
fn a_decision_that_is_not_fresh_is_no_data() {
    assert_said("Decision", &[], &[NO_DATA]);
    assert_said("Decision", &[decided("a", "go"), judged("a", 599)], &[GO]);
    // It was judged five minutes ago: whatever it came to then is told no longer.
    assert_said("Decision", &[decided("a", "go"), judged("a", 300)], &[NO_DATA]);
    assert_said("Decision", &[decided("a", "go")], &[NO_DATA]);
}

#[test]
fn of_two_exporters_the_worse_word_counts() {
    let both = |one: &str, other: &str| [decided("a", one), judged("a", 599), decided("b", other), judged("b", 599)];
    assert_said("Decision", &both("go", "no_go"), &[(GO.0, 2.0)]);
    assert_said("Decision", &both("undecided", "go"), &[(GO.0, 3.0)]);
    assert_said("Decision", &[decided("a", "go"), judged("a", 599), decided("b", "go"), judged("b", 1)], &[NO_DATA]);
}

#[test]
fn a_list_says_when_there_is_nothing_to_list_and_when_nobody_knows() {
    let title = "What is wrong and blocks";
    let blind = r#"{board="readiness-exporter",check="nothing is judged, or nothing is scraped",runbook="ReadinessExporterAbsent",state="no data"}"#;
    let well = r#"{board="readiness-workshop",check="nothing is wrong",runbook="ReadinessNoGo",state="pass"}"#;
    assert_said(title, &[], &[(blind, 0.0)]);
    assert_said(title, &[judged("a", 300)], &[(blind, 0.0)]);
    assert_said(title, &[judged("a", 599)], &[(well, 0.0)]);
}

#[test]
fn a_list_has_the_latest_and_counts_the_rest() {
    let check = |index: i64| {
        let own = format!("check=\"Check{index:02}\"");
        [
            series("readiness_check_state", &format!("{own},state=\"fail\""), 1),
            series("readiness_check_required", &own, 1),
            series("readiness_check_info", &format!("{own},collector=\"kubernetes\",item=\"1\""), 1),
            series("readiness_check_since_timestamp_seconds", &own, 100 + index),
        ]
    };
    let input: Vec<Value> = (0..14).flat_map(check).chain([judged("a", 599)]).collect();
    let row = |index: i64| {
        let labels = format!("{{board=\"readiness-clusters\",check=\"Check{index:02}\",runbook=\"Check{index:02}\",state=\"fail\"}}");
        (labels, (100 + index) as f64 * 1000.0)
    };
    let rows: Vec<(String, f64)> = (3..14).map(row).collect();
    let more = (r#"{board="readiness-workshop",check="and 3 more",runbook="ReadinessNoGo",state="more"}"#, 0.0);
    let expected: Vec<(&str, f64)> = rows.iter().map(|(labels, value)| (labels.as_str(), *value)).chain([more]).collect();
    assert_said("What is wrong and blocks", &input, &expected);
}

#[test]
fn clusters_are_seen_of_those_that_are_configured() {
    let up = |source: &str, is: u8| json!({ "series": format!("readiness_collector_up{{collector=\"kubernetes\",source=\"{source}\"}}"), "values": format!("{is}x20") });
    let title = "Clusters seen";
    assert_said(title, &[], &[("{what=\"nothing is scraped\"}", -1.0)]);
    let some = [up("us", 1), up("eu", 0), up("us kubelets", 0)];
    assert_said(title, &some, &[("{configured=\"2\",seen=\"1\",what=\"1 of 2\"}", 0.5)]);
}

#[test]
fn no_alert_is_good_news_only_where_rules_are_evaluated() {
    let alert = |name: &str, severity: &str| json!({ "series": format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\",severity=\"{severity}\"}}"), "values": "1x20" });
    let title = "Alerts that fire";
    assert_said(title, &[], &[("{why=\"no rules\"}", -1.0)]);
    assert_said(title, &[alert("ReadinessWatchdog", "none")], &[("{}", 0.0)]);
    assert_said(title, &[alert("ReadinessWatchdog", "none"), alert("NodeNotReady", "critical")], &[("{}", 1.0)]);
}
