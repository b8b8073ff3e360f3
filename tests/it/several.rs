//! Several checklists in one program: one event for all of them, one alert for what they share.

use std::process::Command;

use serde_json::Value;

use crate::common::{exporter, run};

const ONE: &str = "checklist: one
title: One
sections:
- title: S
  checks:
  - { check: EndpointUnhealthy, item: '1', title: It answers }
  - { check: CertificateExpiresSoon, item: '2', title: Its certificate lasts }
  - { check: CertificateExpiresBeforeEventEnd, item: '3', title: Its certificate outlives the event }
";

/// The first check is the same, the second has another bound, the third asks about events of its own checklist.
const TWO: &str = "checklist: two
title: Two
sections:
- title: S
  checks:
  - { check: EndpointUnhealthy, item: A, title: The shop answers }
  - { check: CertificateExpiresSoon, item: B, title: The certificate lasts, worsens: [{ at: 2d, severity: critical }] }
  - { check: CertificateExpiresBeforeEventEnd, item: C, title: The certificate outlives the event }
";

fn folder(configuration: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("one.yaml", ONE), ("two.yaml", TWO), ("readiness.yaml", configuration)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn configuration(event: &str, waiver: &str) -> String {
    let host = crate::slack::own_host();
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(48);
    format!(
        "checklists: [{{ name: one, file: one.yaml }}, {{ name: two, file: two.yaml }}]
events: [{{ name: launch, {event}, time_zone: UTC, start: 2031-01-01T09:00, duration: 1h }}]
waivers: [{{ check: EndpointUnhealthy, {waiver}, who: Ada, why: it is not up yet, until: {until} }}]
collectors: {{ http: {{ targets: [{{ name: shop, kind: healthz, url: 'http://{host}:1/' }}] }} }}
"
    )
}

#[test]
fn an_event_of_two_checklists_has_a_word_from_each_and_a_waiver_can_be_for_one() {
    let folder = folder(&configuration("checklist: [one, two]", "checklists: [one]"));
    let file = folder.path().join("readiness.yaml");
    let (code, out, errors) = run(exporter().args(["check", "--output", "json", "--config.file"]).arg(&file));
    assert_eq!(code, 1, "{out}{errors}");
    let said: Value = serde_json::from_str(&out).unwrap();
    let words = said["judgements"].as_array().unwrap().iter().map(|judgement| {
        let check = &judgement["sections"][0]["checks"][0];
        [&judgement["checklist"], &judgement["event"], &check["state"]].map(|value| value.as_str().unwrap()).join(" ")
    });
    assert_eq!(words.collect::<Vec<_>>(), ["one launch waived", "two launch fail"]);
    for (event, waiver, problem) in [
        ("checklist: []", "labels: {}", "events[0] (launch).checklist: must name at least one checklist"),
        ("checklist: [one, on]", "labels: {}", "events[0] (launch).checklist: must name a configured checklist; did you mean one?"),
        ("checklist: [one, one]", "labels: {}", "events[0] (launch).checklist[1]: must have a name that events[0].checklist[0] does not have"),
        ("checklist: one", "checklists: [twoo]", "waivers[0].checklists: must name a configured checklist; did you mean two?"),
    ] {
        std::fs::write(&file, configuration(event, waiver)).unwrap();
        let (code, _, errors) = run(exporter().args(["config", "check", "--config.file"]).arg(&file));
        assert!(code == 2 && errors.contains(problem), "{problem}:\n{errors}");
    }
}

#[test]
fn what_checklists_share_is_one_alert() {
    let folder = folder(&configuration("checklist: [one, two]", "labels: {}"));
    let file = folder.path().join("readiness.yaml");
    let (code, out, errors) = run(exporter().args(["generate", "--from-config", "--config.file"]).arg(&file).arg("--out").arg(folder.path()));
    assert_eq!(code, 0, "{out}{errors}");
    let mut written: Vec<String> = ["alerts", "dashboards"]
        .iter()
        .flat_map(|part| std::fs::read_dir(folder.path().join(part)).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("json"))
        .collect();
    written.sort();
    // Nothing that these checklists ask about is in a cluster or a registry.
    assert_eq!(written, ["exporter.json", "one-overview.json", "one.json", "two-overview.json", "two.json"]);
    assert!(!folder.path().join("deploy").exists(), "the chart is that of the repository");
    let alerts = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(folder.path().join(format!("alerts/{name}.rules.yaml"))).unwrap();
        let rules: Value = serde_saphyr::from_str(&text).unwrap();
        let groups = rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
        groups.map(|rule| format!("{} {}", rule["alert"].as_str().unwrap(), rule["labels"]["severity"].as_str().unwrap())).collect()
    };
    let soon = ["CertificateExpiresSoon warning", "CertificateExpiresSoon critical"];
    let others = ["CertificateExpiresBeforeEventEnd critical", "CertificateExpiresBeforeEventEnd warning", "ReadinessChecklistRevisionDiffers warning"];
    assert_eq!(alerts("one"), [&["EndpointUnhealthy critical"][..], &soon, &others].concat());
    assert_eq!(alerts("two"), [&soon[..], &others].concat(), "the first has an alert in the other file");
    // Both files together are what Prometheus loads; the tests of each are about its own.
    let tests = ["one", "two"].map(|name| folder.path().join(format!("alerts/tests/{name}_test.yaml")));
    let (code, out, errors) = run(Command::new("promtool").args(["test", "rules"]).args(&tests));
    assert_eq!(code, 0, "{out}{errors}");
}

/// The checklist of the estate beside that of a workshop: the same target is red in both, what nobody configured is
/// unknown in the one and not asked in the other, and each by itself has whole rules.
#[test]
fn the_estate_stands_beside_a_workshop_and_by_itself() {
    let host = crate::slack::own_host();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("readiness.yaml");
    let with = |checklists: &str| {
        let target = format!("{{ name: shop, url: 'http://{host}:1/' }}");
        std::fs::write(&file, format!("checklists: [{checklists}]\ncollectors: {{ http: {{ targets: [{target}] }} }}\n")).unwrap();
    };
    with("{ name: workshop }, { name: estate }");
    let (code, out, errors) = run(exporter().args(["check", "--output", "json", "--config.file"]).arg(&file));
    assert_eq!(code, 1, "{out}{errors}");
    let said: Value = serde_json::from_str(&out).unwrap();
    let states = |name: &str| {
        let of = |judgement: &Value| {
            let checks = judgement["sections"].as_array().unwrap().iter().flat_map(|section| section["checks"].as_array().unwrap());
            let check = checks.into_iter().find(|check| check["name"] == name).unwrap();
            format!("{} {}", judgement["checklist"], check["state"]).replace('"', "")
        };
        said["judgements"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(states("EndpointUnhealthy"), ["workshop fail", "estate fail"]);
    assert_eq!(states("WildcardRouteBroken"), ["workshop unknown", "estate not_applicable"]);

    with("{ name: estate }");
    let (code, out, errors) = run(exporter().args(["generate", "--from-config", "--config.file"]).arg(&file).arg("--out").arg(folder.path()));
    assert_eq!(code, 0, "{out}{errors}");
    let rules = folder.path().join("alerts/estate.rules.yaml");
    let read = std::fs::read_to_string(&rules).unwrap();
    assert!(read.contains("alert: NodeNotReady") && !read.contains("checklist: workshop") && !read.contains("LiteLlm"), "{read}");
    assert!(!folder.path().join("alerts/workshop.rules.yaml").exists() && folder.path().join("dashboards/estate.json").exists());
    let (code, out, errors) = run(Command::new("promtool").args(["check", "rules"]).arg(&rules));
    assert_eq!(code, 0, "{out}{errors}");
}

const DAILY: &str = "checklist: daily
title: Daily
sections:
- title: S
  checks:
  - { check: RotationHitsEvent, item: '1', title: Nothing rotates }
";

#[test]
fn what_hits_the_occurrence_of_tomorrow_is_told_today() {
    let at = |hours: i64| jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC) + jiff::SignedDuration::from_hours(hours);
    let said = |rotation: i64| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("daily.yaml"), DAILY).unwrap();
        let (start, hit) = (at(2), at(rotation));
        let text = format!(
            "checklists: [{{ name: daily, file: daily.yaml }}]
events: [{{ name: class, checklist: daily, time_zone: UTC, cron: '{} {} * * *', duration: 3h, lead_times: [30h] }}]
collectors: {{ rotations: {{ rotations: [{{ name: upgrade, schedule: '{} {} {} {} *', duration: 30m }}] }} }}
",
            start.minute(),
            start.hour(),
            hit.minute(),
            hit.hour(),
            hit.day(),
            hit.month()
        );
        let file = folder.path().join("readiness.yaml");
        std::fs::write(&file, text).unwrap();
        let (_, out, errors) = run(exporter().args(["check", "--output", "json", "--config.file"]).arg(&file));
        let said: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{errors}"));
        let words = said["judgements"].as_array().unwrap().iter().map(|judgement| format!("{} {}", judgement["event"], judgement["decision"]));
        words.collect::<Vec<_>>().join(", ").replace('"', "")
    };
    assert_eq!(said(27), "class go, class +1 no_go");
    assert_eq!(said(3), "class no_go, class +1 go");
    assert_eq!(said(10), "class go, class +1 go");
}
