//! The generated files: current, accepted by promtool, and naming only metrics that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::{Value, json};

use crate::boards::panels;
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
    assert_eq!((code, errors.as_str()), (1, "not what would be generated; run the same without --check:\n  alerts/workshop.yaml\n"));
}

#[test]
fn promtool_accepts_the_rules_and_their_tests() {
    let alerts = repository("alerts");
    let rules = ["workshop.rules.yaml", "estate.rules.yaml", "exporter.rules.yaml"].map(|name| alerts.join(name));
    let (code, out, errors) = run(Command::new("promtool").args(["check", "rules"]).args(&rules));
    assert_eq!(code, 0, "{out}{errors}");
    let tests = ["exporter_test.yaml", "promql_test.yaml", "estate_test.yaml"].map(|name| alerts.join("tests").join(name));
    let (code, out, errors) = run(Command::new("promtool").args(["test", "rules"]).args(&tests));
    assert_eq!(code, 0, "{out}{errors}");
    let (rules, tests) = (yaml("alerts/workshop.rules.yaml"), yaml("alerts/tests/workshop_test.yaml"));
    each_alert_by_itself(&rules, &tests);
    let by_hand = yaml("alerts/tests/promql_test.yaml");
    let named: BTreeSet<_> = [&tests, &by_hand].into_iter().flat_map(|file| file["tests"].as_array().unwrap()).flat_map(asked).collect();
    let all = rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let untested: Vec<_> = all.map(|rule| rule["alert"].as_str().unwrap()).filter(|alert| !named.contains(alert)).collect();
    assert_eq!(untested, Vec::<&str>::new(), "alerts without a test");
    two_files_do_nothing_twice(&rules, &yaml("alerts/estate.rules.yaml"));
}

/// Who loads the rules of both shipped checklists is told once of what both ask.
fn two_files_do_nothing_twice(workshop: &Value, estate: &Value) {
    let deeds = |file: &Value| -> Vec<String> {
        let rules = file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
        rules.map(|rule| [&rule["alert"], &rule["expr"], &rule["labels"]["severity"], &rule["labels"]["stage"]].map(ToString::to_string).concat()).collect()
    };
    let (known, own) = (deeds(workshop), deeds(estate));
    let twice: Vec<_> = own.iter().filter(|deed| known.contains(deed)).collect();
    assert!(twice.is_empty() && own.len() > 5, "{twice:#?}");
    // What counts from the events of a checklist, what has another bound, and the checklist itself.
    let is_own = |deed: &&String| deed.contains("checklist=\\\"estate\\\"") || deed.starts_with("\"NodeStorageHigh\"");
    assert_eq!(own.iter().filter(is_own).count(), own.len(), "{own:#?}");
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(repository(path)).unwrap()).unwrap()
}

/// The names of the alerts that a test asks for.
fn asked(test: &Value) -> BTreeSet<&str> {
    test["alert_rule_test"].as_array().unwrap().iter().map(|asked| asked["alertname"].as_str().unwrap()).collect()
}

/// Runs the tests of every alert against its own rules. A test sees no other alert, and promtool would evaluate
/// all rules for each of a thousand tests, which is a minute instead of seconds.
fn each_alert_by_itself(rules: &Value, tests: &Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut by_alerts: BTreeMap<BTreeSet<&str>, Vec<&Value>> = BTreeMap::new();
    for test in tests["tests"].as_array().unwrap() {
        by_alerts.entry(asked(test)).or_default().push(test);
    }
    let mut files = Vec::new();
    for (number, (alerts, tests)) in by_alerts.iter().enumerate() {
        let all = rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
        let own: Vec<_> = all.filter(|rule| alerts.contains(rule["alert"].as_str().unwrap())).collect();
        assert!(!own.is_empty() && !alerts.is_empty(), "{alerts:?}");
        // JSON is YAML.
        std::fs::write(folder.path().join(format!("{number}.yaml")), json!({ "groups": [{ "name": "own", "rules": own }] }).to_string()).unwrap();
        let file = folder.path().join(format!("{number}_test.yaml"));
        std::fs::write(&file, json!({ "rule_files": [format!("{number}.yaml")], "evaluation_interval": "1m", "tests": tests }).to_string()).unwrap();
        files.push(file);
    }
    let (code, out, errors) = run(Command::new("promtool").args(["test", "rules"]).args(&files));
    assert_eq!(code, 0, "{out}{errors}");
}

/// A rule test that cannot fail is worth nothing: each change of a rule must be caught.
#[test]
fn promtool_catches_every_wrong_rule() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tests")).unwrap();
    let (good, all) = (yaml("alerts/workshop.rules.yaml"), yaml("alerts/tests/workshop_test.yaml"));
    for (from, to) in [
        ("(readiness_dns_success == 0)", "(readiness_dns_success == 1)"),
        ("state=~\"mismatch\"", "state=~\"match\""),
        ("< 604800 >= 86400", "< 604800"),
        ("< 604800 >= 86400", "< 172800 >= 86400"),
        ("(readiness_http_success{kind=\"healthz\"} == 0)", "(readiness_http_success == 0)"),
        ("> 0.6 <= 0.85", "> 0.6"),
        ("> 0.6 <= 0.85", "> 0.75 <= 0.85"),
        ("(readiness_containers_waiting{class=\"image_pull\"}) > 0", "(readiness_containers_waiting) > 1"),
        ("(readiness_nodeclaim_expiry_event_distance_seconds) < 900", "(readiness_nodeclaim_expiry_event_distance_seconds) < 0"),
        (
            "and on (event) ((max by (event) (readiness_event_start_timestamp_seconds",
            "unless on (event) ((max by (event) (readiness_event_start_timestamp_seconds",
        ),
        (" - time() > 86400", " - time() > 864000"),
        ("(readiness_workload_missing_replicas{selector=\"provisioners\"}) > 0", "(readiness_workload_missing_replicas) > 2"),
        ("readiness_storageclass_defaults < 1 or readiness_storageclass_defaults > 1", "readiness_storageclass_defaults > 1"),
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
    let families = collectors::all()
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
    app.until_settled(crate::common::PATIENCE, |_, _| {}).await;
    let text = app.exposition().text();
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

/// Every query of every dashboard, with the title of its panel.
fn queries() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(repository("dashboards")).unwrap().map(Result::unwrap) {
        let board: Value = serde_json::from_str(&std::fs::read_to_string(entry.path()).unwrap()).unwrap();
        for panel in panels(&board) {
            for target in panel["targets"].as_array().unwrap() {
                found
                    .push((format!("{}: {}", board["title"].as_str().unwrap(), panel["title"].as_str().unwrap()), target["expr"].as_str().unwrap().to_owned()));
            }
        }
    }
    assert!(found.len() > 50, "{}", found.len());
    found
}

#[test]
fn every_query_of_a_dashboard_is_promql() {
    let folder = tempfile::tempdir().unwrap();
    let rules: Vec<_> =
        queries().iter().enumerate().map(|(index, (_, expr))| serde_json::json!({ "record": format!("query:{index}"), "expr": expr })).collect();
    let file = folder.path().join("queries.yaml");
    std::fs::write(&file, serde_json::json!({ "groups": [{ "name": "queries", "rules": rules }] }).to_string()).unwrap();
    let (code, out, errors) = run(Command::new("promtool").args(["check", "rules"]).arg(&file));
    assert_eq!(code, 0, "{out}{errors}");
}

/// The cells of the images board say where an image parts from the place before it.
#[test]
fn the_images_board_shows_each_place_and_where_it_parts() {
    let (_, expr) = queries().into_iter().find(|(title, _)| title.ends_with(": Which image stands where")).unwrap();
    let info = |hop: &str, subject: &str, short: &str| serde_json::json!({ "series": format!("readiness_image_digest_info{{instance=\"a\",group=\"coder\",hop=\"{hop}\",subject=\"{subject}\",image=\"r/a:v1\",digest=\"sha256:{short}\",short=\"{short}\"}}"), "values": "1x10" });
    let agrees = |hop: &str, subject: &str, state: &str, is: u8| serde_json::json!({ "series": format!("readiness_image_match_state{{instance=\"a\",group=\"coder\",hop=\"{hop}\",subject=\"{subject}\",state=\"{state}\"}}"), "values": format!("{is}x10") });
    let cell = |hop: &str, subject: &str, order: u8, place: &str, short: &str, state: &str| {
        let short_label = if short.is_empty() { String::new() } else { format!("short=\"{short}\",") };
        serde_json::json!({ "labels": format!("{{group=\"coder\",hop=\"{hop}\",subject=\"{subject}\",{short_label}state=\"{state}\",order=\"{order}\",place=\"{place}\",cell=\"{short} {state}\"}}"), "value": 1 })
    };
    let test = serde_json::json!({ "evaluation_interval": "1m", "tests": [{ "interval": "1m",
        "input_series": [info("upstream", "upstream", "bbb"), info("mirror", "us", "aaa"), agrees("mirror", "us", "none", 1), agrees("mirror", "us", "index", 0),
            info("cluster", "us", "aaa"), agrees("cluster", "us", "index", 1), agrees("cluster", "us", "none", 0),
            // A cluster that is silent has no digest, and its column all the same.
            agrees("cluster", "eu", "unknown", 1)],
        "promql_expr_test": [{ "expr": expr, "eval_time": "5m", "exp_samples": [
            cell("mirror", "us", 3, "mirror us", "aaa", "differs"), cell("cluster", "us", 4, "cluster us", "aaa", "same index"),
            cell("upstream", "upstream", 1, "upstream", "bbb", "source"), cell("cluster", "eu", 4, "cluster eu", "", "unknown")] }] }] });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cells.yaml");
    std::fs::write(&file, test.to_string()).unwrap();
    let (code, out, errors) = run(Command::new("promtool").args(["test", "rules"]).arg(&file));
    assert_eq!(code, 0, "{out}{errors}");
}

/// Whoever reads a runbook at three in the morning finds its parts, the board, and nothing that is
/// not there.
#[test]
fn every_runbook_is_whole_and_names_a_board_that_exists() {
    let boards: BTreeSet<String> =
        std::fs::read_dir(repository("dashboards")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let alerts: BTreeSet<String> = ["workshop", "estate", "exporter"]
        .iter()
        .flat_map(|name| {
            let text = std::fs::read_to_string(repository(&format!("alerts/{name}.rules.yaml"))).unwrap();
            text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ").map(str::to_owned)).collect::<Vec<_>>()
        })
        .collect();
    let rules = std::fs::read_to_string(repository("alerts/workshop.rules.yaml")).unwrap();
    let (mut written, mut said) = (BTreeSet::new(), Vec::new());
    for entry in std::fs::read_dir(repository("docs/runbooks")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&format!("# {name}\n")), "{name}");
        for part in ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation", "## Dashboard"] {
            let body = text.split_once(part).unwrap_or_else(|| panic!("{name} has no {part}")).1;
            let body = body.split("\n## ").next().unwrap().trim();
            assert!(body.len() > 10, "{name}: {part} is empty");
        }
        let (diagnosis, mitigation) = text.split_once("## Diagnosis").unwrap().1.split_once("## Mitigation").unwrap();
        assert!(
            !commands(mitigation).is_empty(),
            "{name} has nothing to copy and paste: no `code` of its mitigation is a command of PROGRAMS with what follows it"
        );
        said.extend(commands(diagnosis).into_iter().chain(commands(mitigation)).map(|command| (name.clone(), command)));
        let board = text.split_once("`dashboards/").unwrap_or_else(|| panic!("{name} names no `dashboards/BOARD.json`")).1.split('`').next().unwrap();
        assert!(boards.contains(board), "{name} names {board}");
        // Unlike the others it has no list of the lines that are not good.
        if board == "live.json" {
            let drawn = std::fs::read_to_string(repository("dashboards/live.json")).unwrap();
            let rule = rules.split_once(&format!("- alert: {name}\n")).unwrap_or_else(|| panic!("no alert {name}")).1;
            let rule = rule.split("\n        labels:").next().unwrap();
            let metrics: Vec<&str> = rule.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| word.starts_with("readiness_")).collect();
            assert!(metrics.iter().any(|metric| drawn.contains(metric)), "{name} names {board}, which draws none of {metrics:?}");
        }
        written.insert(name);
    }
    let missing: Vec<&String> = alerts.difference(&written).collect();
    assert!(missing.is_empty(), "alerts without a runbook: {missing:?}");
    assert!(said.len() > 200, "{}", said.len());
    for (name, command) in &said {
        let (code, _, errors) = run(Command::new("bash").args(["-n", "-c", command]));
        assert_eq!((code, errors.as_str()), (0, ""), "{name}: {command}");
        // A command for one cluster that is sent to another one breaks what is good; the exporter's own is where people look from.
        let sent = command.split("kubectl ").skip(1).filter(|rest| rest.split_whitespace().nth(2).is_some() && !rest.starts_with("-n readiness "));
        let other = sent.filter(|rest| !rest.starts_with("--context CLUSTER ")).collect::<Vec<_>>();
        assert!(other.is_empty(), "{name}: kubectl without `--context CLUSTER`, which the reader fills in from the line: {other:?}");
        for flag in [" --context ", " -n ", " --namespace "] {
            let names = command.split(flag).skip(1).filter_map(|rest| rest.split_whitespace().next());
            let own = names.filter(|own| !own.starts_with(char::is_uppercase) && !INSTALLED.contains(own)).collect::<Vec<_>>();
            assert!(own.is_empty(), "{name}: names of somebody's own estate, which the reader has under others: {own:?}: {command}");
        }
    }
}

/// Namespaces that what is installed in a cluster chooses for itself.
const INSTALLED: [&str; 6] = ["gpu-operator", "karpenter", "kube-system", "monitoring", "readiness", "velero"];
/// What people type. Anything else in the same letters is a name.
const PROGRAMS: &[&str] = &[
    "amtool",
    "aws",
    "chmod",
    "chronyc",
    "cmctl",
    "coder",
    "crane",
    "curl",
    "df",
    "dig",
    "for",
    "jq",
    "kubectl",
    "ls",
    "nc",
    "openssl",
    "readiness-exporter",
    "skopeo",
    "velero",
];

/// The commands in a text: code of more than one word that begins with a program.
fn commands(text: &str) -> Vec<String> {
    let code = text.split('`').skip(1).step_by(2);
    let is_command = |code: &&str| {
        let first = code.split_whitespace().next().unwrap_or_default();
        PROGRAMS.contains(&first) || (code.starts_with("TOKEN=") && code.contains("curl "))
    };
    code.filter(is_command).filter(|code| code.contains(' ')).map(str::to_owned).collect()
}
