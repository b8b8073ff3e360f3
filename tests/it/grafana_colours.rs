//! What the boards look like where it matters: Grafana's own package applies the field configuration of every panel to
//! no data, empty cells, words that nobody listed, every state, and values at each bound. Green must be earned.

use std::io::Write as _;
use std::process::{Command, Stdio};

use readiness_exporter::checklist::{Check, Checklist, Condition, Kind};
use readiness_exporter::generate;
use readiness_exporter::meaning::{self, Meaning};
use readiness_exporter::metric::Unit;
use serde_json::{Map, Value, json};

use crate::boards::panels;
use crate::common::repository;

/// Every board, by its name.
fn boards() -> Map<String, Value> {
    let files = std::fs::read_dir(repository("dashboards")).unwrap().map(|entry| entry.unwrap().path());
    let read = |file: std::path::PathBuf| {
        (file.file_stem().unwrap().to_string_lossy().into_owned(), serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap())
    };
    files.map(read).collect()
}

/// What values beside the bounds of a check mean, by its own condition.
fn around(check: &Check) -> Option<Value> {
    let Kind::Fact { family, condition, worsens, .. } = &check.kind else { return None };
    let bound = condition.bound()?;
    let rises = matches!(condition, Condition::Above(_) | Condition::OlderThan(_));
    // What is counted has no values between one and the next; at the bound itself it is still good.
    let is_counted = matches!(family.unit, Unit::Number | Unit::Flag | Unit::Mark);
    let step = if is_counted { 1.0 } else { (bound.abs() * 1e-6).max(1e-6) };
    let beyond = |at: f64, by: f64| if rises { at + by } else { at - by };
    let within = if is_counted && rises { bound } else { beyond(bound, -step) };
    let mild = if check.required && worsens.is_empty() { Meaning::Bad } else { Meaning::Warning };
    let mut values = vec![json!({ "value": within, "means": Meaning::Good.word() }), json!({ "value": beyond(bound, step), "means": mild.word() })];
    values.extend(worsens.iter().map(|band| json!({ "value": beyond(band.at.base(), step), "means": Meaning::Bad.word() })));
    Some(values.into())
}

/// Values at the bounds of all checks, by the titles of the graphs of their facts.
fn bounds() -> Map<String, Value> {
    let checklists = generate::shipped().unwrap();
    let checks = checklists.iter().flat_map(Checklist::checks);
    checks.filter_map(|check| Some((format!("{} {}", check.item, check.title()), around(check)?))).collect()
}

/// What is wrong with boards, one line each.
fn problems(boards: &Map<String, Value>) -> Vec<String> {
    let meanings: Map<String, Value> = Meaning::ALL.into_iter().map(|means| (means.word().to_owned(), json!(means.colour()))).collect();
    let both = |(state, means): (&str, Meaning)| [state.to_owned(), meaning::words(state)].map(|word| (word, json!(means.word())));
    let texts: Map<String, Value> = Meaning::listed().flat_map(both).collect();
    let states: Vec<&str> = Meaning::listed().map(|(state, _)| state).collect();
    let request = json!({ "boards": boards, "meanings": meanings, "states": states, "texts": texts, "bounds": bounds() }).to_string();
    let mut node = Command::new("node")
        .arg(repository("tests/grafana/boards.mjs"))
        .arg(repository("target/peers/grafana"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    node.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    let out = node.wait_with_output().unwrap();
    assert!(out.status.success(), "the script itself failed");
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn green_is_earned_and_every_state_has_its_colour() {
    let boards = boards();
    assert!(boards.values().map(|board| panels(board).len()).sum::<usize>() > 100);
    let problems = problems(&boards);
    assert!(problems.is_empty(), "{} things that boards show wrongly:\n{}", problems.len(), problems.join("\n"));
}

/// What boards did before, each of which made somebody believe that all was well.
#[test]
fn what_misleads_is_seen() {
    let boards = boards();
    let find = |board: &str, title: &str| {
        let all = boards[board]["panels"].as_array().unwrap();
        format!("/{board}/panels/{}", all.iter().position(|panel| panel["title"] == title).unwrap_or_else(|| panic!("{board} has no {title}")))
    };
    let decision = find("workshop-overview", "Decision");
    let counts = find("workshop-overview", "Checks by verdict");
    let registries = find("images", "Registries");
    let history = find("workshop-overview", "Checks that are not good");
    let storage = find("live", "Storage: the ten fullest file systems (W3.2)");
    for (at, value, expected) in [
        (format!("{decision}/fieldConfig/defaults/thresholds"), Value::Null, "no series is green"),
        (format!("{decision}/fieldConfig/defaults/noValue"), json!("nothing blocks"), "must begin with \"no data\""),
        (format!("{decision}/options/textMode"), json!("name"), "no series shows no word"),
        (format!("{decision}/fieldConfig/defaults/mappings/0/options/-1/color"), json!("green"), "is green"),
        (format!("{counts}/fieldConfig/overrides"), json!([]), "a series called fail means bad and is not drawn as that"),
        (
            format!("{registries}/fieldConfig/defaults/thresholds"),
            json!({ "mode": "absolute", "steps": [{ "value": null, "color": "green" }] }),
            "\"a_new_state\" is green",
        ),
        (format!("{registries}/fieldConfig/overrides/0/properties/0/value"), json!([]), "\"fail\" means bad and is not drawn as that"),
        (format!("{history}/fieldConfig/overrides"), json!([]), "a series called fail means bad and is not drawn as that"),
        (format!("{storage}/fieldConfig/defaults/custom/thresholdsStyle/mode"), json!("line"), "draws its bounds like series"),
        (format!("{storage}/fieldConfig/defaults/color"), Value::Null, "leaves the way of its colours to Grafana"),
    ] {
        let mut wrong = Value::Object(boards.clone());
        *wrong.pointer_mut(&at).unwrap_or_else(|| panic!("{at} is nowhere")) = value;
        let said = problems(wrong.as_object().unwrap());
        assert!(said.iter().any(|line| line.contains(expected)), "{at}: {said:#?}");
    }
}

/// The bounds in the graph of a check are those that the check judges by.
#[test]
fn a_bound_that_is_no_checks_is_seen() {
    let mut boards = boards();
    let rows = boards["workshop"]["panels"].as_array_mut().unwrap();
    let graphs = rows.iter_mut().filter(|row| row["type"] == "row").flat_map(|row| row["panels"].as_array_mut().unwrap());
    let storage = graphs.into_iter().find(|panel| panel["title"].as_str().unwrap().starts_with("W3.2 ")).unwrap();
    storage["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"] = json!(0.7);
    let said = problems(&boards);
    assert!(said.iter().any(|line| line.contains("W3.2") && line.contains("by its check")), "{said:#?}");
}
