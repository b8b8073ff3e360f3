//! The board of credentials and windows: one timeline of everything that ends, rotates or happens
//! from now on, and below it what is known about each.
//!
//! Grafana draws the past. What lies ahead is drawn as stacked bars from now on: a gap that nobody
//! sees, and then the length of whatever it is.

use serde_json::{Value, json};

use super::dashboard::{self, Layout};
use super::query::{self, listed};
use super::table::{coloured, states};
use crate::promql::{Compute as _, Metric, Query, call, metric, text, time};

/// How far the timeline reaches, in seconds; what ends later ends at its edge.
const HORIZON: u32 = 14 * 86_400;

/// The parts of the timeline: field, colour, query. All have one label, `what`.
fn parts() -> [(&'static str, &'static str, Query); 5] {
    let ahead = |metric: Metric, labels: &[&str]| call("clamp", [metric.max(labels).and("-", time()), 0.into(), HORIZON.into()]);
    let only = |query: Query| query.max(&["what"]);
    let event = |which: &str| named("event", ahead(metric(format!("readiness_event_{which}_timestamp_seconds")), &["event"]), &["event"]);
    let rotation = |bound: &str| {
        let labels = ["rotation", "subject"];
        named("rotation", ahead(metric("readiness_rotation_next_timestamp_seconds").with("bound", bound), &labels), &labels)
    };
    let credential = || named("credential", ahead(metric("readiness_credential_expiry_timestamp_seconds"), &["credential"]), &["credential"]);
    let window = |from: Query, to: Query| only(to).and("-", only(from));
    let last = || call("max", [event("end")]);
    [
        ("gap", "transparent", only(event("start").and("or", rotation("earliest")))),
        ("event", "blue", window(event("start"), event("end"))),
        // A moment is drawn half an hour wide, or nobody would see it.
        ("may rotate", "orange", call("clamp_min", [window(rotation("earliest"), rotation("latest")), 1800.into()])),
        ("ends within the event or before", "red", only(credential().and("<", call("scalar", [last()])))),
        ("lasts until", "green", only(credential().and(">=", call("scalar", [last().and("or", call("vector", [0.into()]))])))),
    ]
}

/// A query with the label `what`: a word, and the labels that tell one from the other.
fn named(word: &str, query: Query, labels: &[&str]) -> Query {
    let worded = call("label_replace", [query, text("k"), text(word), text(""), text("")]);
    let parts = ["what", " ", "k"].iter().chain(labels).map(|part| text(part));
    Query::Call("label_join".to_owned(), [worded].into_iter().chain(parts).collect())
}

/// The board.
pub(super) fn board() -> String {
    let mut layout = Layout::default();
    layout.place(&[(8, dashboard::decisions()), (8, first_end()), (8, dashboard::event(None))], 5);
    layout.place(&[(24, timeline())], 14);
    layout.place(&[(24, credentials())], 12);
    layout.place(&[(14, rotations()), (10, conflicts())], 9);
    let small = [
        states("Copies", "Whether copies of one credential are the same.", "readiness_credential_copies_state", &["copies"]),
        states(
            "Workloads and their credentials",
            "Whether a workload was started after its credential changed.",
            "readiness_credential_consumer_state",
            &["credential", "selector"],
        ),
        states("AWS Secrets Manager", "How the rotation of each secret goes.", "readiness_secretsmanager_rotation_state", &["secret"]),
    ];
    layout.place(&small.map(|panel| (8, panel)), 7);
    layout.finish("Credentials and windows", "readiness-credentials", "now-6h")
}

fn colour(name: &str) -> Value {
    json!({ "id": "color", "value": { "mode": "fixed", "fixedColor": name } })
}

fn timeline() -> Value {
    let parts = parts();
    let references = ["A", "B", "C", "D", "E"];
    let targets: Vec<Value> = references.iter().zip(&parts).map(|(reference, (_, _, query))| listed(reference, query.clone())).collect();
    let names: serde_json::Map<String, Value> =
        references.iter().zip(&parts).map(|(reference, (name, ..))| (format!("Value #{reference}"), json!(name))).collect();
    let mut overrides: Vec<Value> =
        parts.iter().map(|(name, own, _)| json!({ "matcher": { "id": "byName", "options": name }, "properties": [colour(own)] })).collect();
    overrides.push(json!({ "matcher": { "id": "byName", "options": "gap" }, "properties": [
        { "id": "custom.hideFrom", "value": { "legend": true, "tooltip": true, "viz": false } }, { "id": "custom.fillOpacity", "value": 0 }] }));
    json!({ "type": "barchart", "title": "From now on: events, rotations, and until when credentials last",
        "description": "Each bar lies where it lies in time, from now on the left to fourteen days on the right. Red credentials end before the event does; an orange bar that stands over or under the blue one hits the event.",
        "targets": targets,
        "transformations": [
            { "id": "joinByField", "options": { "byField": "what", "mode": "outer" } },
            { "id": "organize", "options": { "excludeByName": { "Time": true, "Time 1": true, "Time 2": true, "Time 3": true, "Time 4": true, "Time 5": true }, "renameByName": names } },
            { "id": "sortBy", "options": { "sort": [{ "field": "what" }] } }],
        "options": { "orientation": "horizontal", "stacking": "normal", "xField": "what", "showValue": "never", "barWidth": 0.7, "legend": { "showLegend": true, "placement": "bottom", "displayMode": "list" }, "tooltip": { "mode": "multi" } },
        "fieldConfig": { "defaults": { "unit": "s", "min": 0, "max": HORIZON, "noValue": "nothing is known to end, rotate or happen", "custom": { "fillOpacity": 80, "lineWidth": 0 } }, "overrides": overrides } })
}

/// The credential that ends first.
fn first_end() -> Value {
    let left = metric("readiness_credential_expiry_timestamp_seconds").max(&["credential"]).and("-", time());
    let first = call("bottomk", [1.into(), left]);
    json!({ "type": "stat", "title": "The next credential to end",
        "description": "Its name and how long it still lasts.",
        "targets": [query::named(first, "{{credential}}")],
        "options": { "textMode": "value_and_name", "colorMode": "value", "reduceOptions": { "calcs": ["lastNotNull"] } },
        "fieldConfig": { "defaults": { "unit": "s", "noValue": "no end is known",
            "thresholds": { "mode": "absolute", "steps": [{ "value": null, "color": "red" }, { "value": 86_400, "color": "orange" }, { "value": 604_800, "color": "green" }] } }, "overrides": [] } })
}

fn moment(field: &str) -> Value {
    json!({ "matcher": { "id": "byName", "options": field }, "properties": [{ "id": "unit", "value": "dateTimeFromNow" }] })
}

fn state_of(set: &str, by: &[&str], name: &str) -> Query {
    call("label_replace", [metric(set).ones(), text(name), text("$1"), text("state"), text("(.*)")]).max(&[by, &[name]].concat())
}

/// A moment as Grafana counts.
fn millis(moment: Metric, by: &[&str]) -> Query {
    moment.max(by).and("*", 1000)
}

fn credentials() -> Value {
    let key = &["credential", "kind"];
    let targets = json!([
        listed("A", state_of("readiness_credential_state", key, "present")),
        listed("B", state_of("readiness_credential_valid_state", key, "valid")),
        listed("C", state_of("readiness_credential_end_state", key, "end")),
        listed("D", millis(metric("readiness_credential_expiry_timestamp_seconds"), key)),
        listed("E", millis(metric("readiness_credential_changed_timestamp_seconds"), key)),
        listed("F", millis(metric("readiness_credential_last_used_timestamp_seconds"), key)),
    ]);
    json!({ "type": "table", "title": "Credentials: there, working, until when",
        "description": "Three facts about each. Unproven means that no free call exists to prove it; an end of unknown is not never.",
        "targets": targets,
        "transformations": [{ "id": "joinByField", "options": { "byField": "credential", "mode": "outer" } },
            { "id": "organize", "options": { "excludeByName": { "Time 1": true, "Time 2": true, "Time 3": true, "Time 4": true, "Time 5": true, "Time 6": true, "kind 2": true, "kind 3": true, "kind 4": true, "kind 5": true, "kind 6": true, "Value #A": true, "Value #B": true, "Value #C": true },
                "renameByName": { "credential": "Credential", "kind 1": "Kind", "present": "There", "valid": "Working", "end": "Ends", "Value #D": "When", "Value #E": "Last changed", "Value #F": "Last used" } } }],
        "fieldConfig": { "defaults": { "noValue": "" }, "overrides": [coloured("There"), coloured("Working"), coloured("Ends"), moment("When"), moment("Last changed"), moment("Last used")] } })
}

fn rotations() -> Value {
    let key = &["rotation", "subject"];
    let targets = json!([
        listed("A", state_of("readiness_rotation_run_state", key, "run")),
        listed("B", state_of("readiness_rotation_suspension_state", key, "suspension")),
        listed("C", millis(metric("readiness_rotation_last_timestamp_seconds"), key)),
        listed("D", millis(metric("readiness_rotation_next_timestamp_seconds").with("bound", "earliest"), key)),
        listed("E", millis(metric("readiness_rotation_next_timestamp_seconds").with("bound", "latest"), key)),
        listed("F", millis(metric("readiness_rotation_lapse_timestamp_seconds"), key)),
    ]);
    json!({ "type": "table", "title": "Rotations: last, next, and how the last one went",
        "description": "What has only an interval has an earliest and a latest moment. What is suspended renews nothing, and its key lapses.",
        "targets": targets,
        "transformations": [{ "id": "merge", "options": {} },
            { "id": "organize", "options": { "excludeByName": { "Time": true, "Value #A": true, "Value #B": true },
                "renameByName": { "rotation": "Rotation", "subject": "What", "run": "Last run", "suspension": "Suspended", "Value #C": "Last", "Value #D": "Next, earliest", "Value #E": "Next, latest", "Value #F": "Key lapses" } } }],
        "fieldConfig": { "defaults": { "noValue": "" }, "overrides": [coloured("Last run"), coloured("Suspended"), moment("Last"), moment("Next, earliest"), moment("Next, latest"), moment("Key lapses")] } })
}

fn conflicts() -> Value {
    states(
        "Rotations against events",
        "Possible means that the bounds do not exclude it, which is as bad.",
        "readiness_rotation_conflict_state",
        &["rotation", "subject", "event"],
    )
}
