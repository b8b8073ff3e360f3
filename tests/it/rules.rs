//! The generated files: current, accepted by promtool, and naming only metrics that exist.

use std::collections::BTreeSet;
use std::process::Command;

use crate::common::{exporter, repository, run};

#[test]
fn generated_files_are_current() {
    let (code, _, errors) = run(exporter().args(["generate", "--check", "--out"]).arg(repository("")));
    assert_eq!(code, 0, "{errors}");
}

#[test]
fn drift_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(exporter().args(["generate", "--out"]).arg(folder.path())).0, 0);
    std::fs::write(folder.path().join("alerts/workshop.yaml"), "edited").unwrap();
    let (code, _, errors) = run(exporter().args(["generate", "--check", "--out"]).arg(folder.path()));
    assert_eq!((code, errors.as_str()), (1, "not what would be generated; run `make generate`:\n  alerts/workshop.yaml\n"));
}

#[test]
fn promtool_accepts_the_rules_and_their_tests() {
    let alerts = repository("alerts");
    let rules = ["workshop.rules.yaml", "exporter.rules.yaml"].map(|name| alerts.join(name));
    let (code, out, errors) = run(Command::new("promtool").args(["check", "rules"]).args(&rules));
    assert_eq!(code, 0, "{out}{errors}");
    let tests = ["workshop_test.yaml", "exporter_test.yaml", "promql_test.yaml"].map(|name| alerts.join("tests").join(name));
    let (code, out, errors) = run(Command::new("promtool").args(["test", "rules"]).args(&tests));
    assert_eq!(code, 0, "{out}{errors}");
}

/// A rule test that cannot fail is worth nothing: each change of a rule must be caught.
#[test]
fn promtool_catches_every_wrong_rule() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tests")).unwrap();
    let good: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(repository("alerts/workshop.rules.yaml")).unwrap()).unwrap();
    let all: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(repository("alerts/tests/workshop_test.yaml")).unwrap()).unwrap();
    for (from, to) in [
        ("(readiness_dns_success) == 0", "(readiness_dns_success) == 1"),
        ("state=~\"mismatch\"", "state=~\"match\""),
        ("< 604800 >= 86400", "< 604800"),
        ("< 604800 >= 86400", "< 172800 >= 86400"),
        ("(readiness_http_success{kind=\"healthz\"}) == 0", "(readiness_http_success) == 0"),
        ("> 0.6 <= 0.85", "> 0.6"),
        ("> 0.6 <= 0.85", "> 0.75 <= 0.85"),
        ("(readiness_containers_waiting{class=\"image_pull\"}) > 0", "(readiness_containers_waiting) > 1"),
        ("(readiness_nodeclaim_expiry_timestamp_seconds) >=", "(readiness_nodeclaim_expiry_timestamp_seconds) <="),
        ("< max by (cluster, selector, kind, namespace, name) (readiness_workload_required_replicas{selector=\"provisioners\"})", "< 6"),
        ("readiness_storageclass_defaults != 1", "readiness_storageclass_defaults > 1"),
        ("<= 86400", "<= 864000"),
        ("provisioners\"}) < 6", "provisioners\"}) <= 6"),
    ] {
        let mut wrong = good.clone();
        let groups = wrong["groups"].as_array_mut().unwrap().iter_mut();
        let rule = groups.flat_map(|group| group["rules"].as_array_mut().unwrap()).find(|rule| rule["expr"].as_str().unwrap().contains(from));
        let rule = rule.unwrap_or_else(|| panic!("{from} is in no rule"));
        rule["expr"] = rule["expr"].as_str().unwrap().replace(from, to).into();
        // Only its own tests: all of them for each change would take minutes.
        let alert = rule["alert"].clone();
        let mut tests = all.clone();
        tests["tests"].as_array_mut().unwrap().retain(|test| test["alert_rule_test"][0]["alertname"] == alert);
        std::fs::write(folder.path().join("tests/workshop_test.yaml"), tests.to_string()).unwrap();
        // JSON is YAML.
        std::fs::write(folder.path().join("workshop.rules.yaml"), wrong.to_string()).unwrap();
        let (code, ..) = run(Command::new("promtool").args(["test", "rules"]).arg(folder.path().join("tests/workshop_test.yaml")));
        assert_eq!(code, 1, "{from} -> {to} was not noticed");
    }
}

/// Every `readiness_*` word in rules, dashboards and the shipped examples is a metric of the exporter.
#[tokio::test(flavor = "multi_thread")]
async fn no_rule_or_dashboard_names_a_metric_that_does_not_exist() {
    use readiness_exporter::{app, collectors, event, snapshot, verdict};
    let families = collectors::COLLECTORS
        .iter()
        .flat_map(collectors::Collector::families)
        .chain(snapshot::FAMILIES.iter().copied())
        .chain(event::FAMILIES.iter().copied())
        .chain(verdict::FAMILIES.iter().copied());
    let known: BTreeSet<&str> = families.map(|family| family.name).chain(app::TELEMETRY.iter().map(|(name, _)| *name)).collect();
    let word = regex::Regex::new(r"readiness_[a-z_]+").unwrap();
    for folder in ["alerts", "alerts/tests", "dashboards", "deploy", "docs"] {
        for entry in std::fs::read_dir(repository(folder))
            .unwrap()
            .map(Result::unwrap)
            .filter(|entry| ["yaml", "json", "md"].iter().any(|kind| entry.path().extension().is_some_and(|found| found == *kind)))
        {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            for found in word.find_iter(&text).map(|found| found.as_str().trim_end_matches('_')) {
                assert!(known.contains(found) || found == "readiness", "{}: {found} is no metric", entry.path().display());
            }
        }
    }
}

/// And what the exporter serves is what is declared, in a form that promtool accepts.
#[tokio::test(flavor = "multi_thread")]
async fn the_scrape_is_what_is_declared() {
    let estate = crate::common::Estate::start().await;
    let app = estate.exporter();
    app.until_ready(crate::common::PATIENCE, |_, _| {}).await;
    let text = app.exposition();
    let mut child =
        Command::new("promtool").args(["check", "metrics"]).stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "promtool check metrics");
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').unwrap().0;
        assert!(seen.insert(series.to_owned()), "{series} is there twice");
    }
    for label in ["job=", "instance=", "service=", "endpoint=", "region=", "zone=", "env="] {
        assert!(!text.contains(&format!("{{{label}")) && !text.contains(&format!(",{label}")), "label {label} belongs to targets");
    }
}
