//! The board of credentials and windows: one timeline of everything that ends, rotates or happens
//! from now on, and below it what is known about each.
//!
//! Grafana draws the past. What lies ahead is drawn as stacked bars from now on: a gap that nobody
//! sees, and then the length of whatever it is.

use serde_json::{Value, json};

use super::dashboard::{Layout, WIDTH};
use super::listing::{CREDENTIALS, Lists};
use super::panel::{self, columns, fixed, moment, named as field, panel, sorted, width};
use super::query::listed;
use super::table::{arranged, coloured, merge, nothing, states, unseen};
use crate::checklist::{Checklist, Kind};
use crate::meaning::Meaning;
use crate::promql::{Compute as _, Metric, Query, call, metric, text, time};

/// How far the timeline reaches, in days; what ends later ends at its edge.
const HORIZON: u32 = 14;
/// Seconds of a day.
const DAY: u32 = 86_400;
/// What a credential has at least left, where no check says so.
const LEFT: f64 = 7.0 * 86_400.0;

/// The parts of the timeline: field, colour, query. All have one label, `what`.
fn parts() -> [(&'static str, &'static str, Query); 6] {
    let ahead = |metric: Metric, labels: &[&str]| {
        let days = metric.max(labels).and("-", time()).grouped().and("/", DAY);
        call("clamp", [days, 0.into(), HORIZON.into()])
    };
    let only = |query: Query| query.max(&["what"]);
    let event = |which: &str| named("event", ahead(metric(format!("readiness_event_{which}_timestamp_seconds")), &["event"]), &["event"]);
    let rotation = |bound: &str| {
        let labels = ["rotation", "subject"];
        named("rotation", ahead(metric("readiness_rotation_next_timestamp_seconds").with("bound", bound), &labels), &labels)
    };
    let credential = || named("credential", ahead(metric("readiness_credential_expiry_timestamp_seconds"), &["credential"]), &["credential"]);
    let untold = metric("readiness_credential_end_state").like("state", "unknown|untold").ones().max(&["credential"]);
    let untold = only(named("credential", untold, &["credential"])).and("*", HORIZON);
    let window = |from: Query, to: Query| only(to).and("-", only(from));
    let last = || call("max", [event("end")]);
    [
        ("gap", "transparent", only(event("start").and("or", rotation("earliest")))),
        ("event", "blue", window(event("start"), event("end"))),
        // A moment is drawn three hours wide, or nobody would see it.
        ("may rotate", Meaning::Waived.colour(), call("clamp_min", [window(rotation("earliest"), rotation("latest")), 0.125.into()])),
        ("ends within the event or before", Meaning::Bad.colour(), only(credential().and("<", call("scalar", [last()])))),
        ("lasts until", Meaning::Good.colour(), only(credential().and(">=", call("scalar", [last().and("or", call("vector", [0.into()]))])))),
        ("nobody knows its end", Meaning::Unknown.colour(), untold),
    ]
}

/// A query with the label `what`: a word, and the labels that tell one from the other.
fn named(word: &str, query: Query, labels: &[&str]) -> Query {
    let worded = call("label_replace", [query, text("k"), text(word), text(""), text("")]);
    let parts = ["what", " ", "k"].iter().chain(labels).map(|part| text(part));
    Query::Call("label_join".to_owned(), [worded].into_iter().chain(parts).collect())
}

/// The board.
pub(super) fn board(checklists: &[Checklist], runbooks: &str) -> String {
    let mut layout = Layout::with_header(None, CREDENTIALS);
    layout.place(&[(WIDTH, timeline())], 11);
    layout.place(&[(18, credentials(left(checklists))), (6, first_end(left(checklists)))], 11);
    let lists = Lists { checklists, about: CREDENTIALS, required: false, of: " with credentials", runbooks };
    layout.place(&lists.both(8), 8);
    layout.place(&[(15, rotations()), (9, conflicts())], 9);
    let small = [
        states("Copies", "Whether copies of one credential are the same.", "readiness_credential_copies_state", &[("copies", "Copies")]),
        states(
            "Workloads and their credentials",
            "Whether a workload was started after its credential changed.",
            "readiness_credential_consumer_state",
            &[("credential", "Credential"), ("selector", "Workload")],
        ),
        states("AWS Secrets Manager", "How the rotation of each secret goes.", "readiness_secretsmanager_rotation_state", &[("secret", "Secret")]),
    ];
    layout.place(&small.map(|panel| (8, panel)), 7);
    layout.finish("Credentials and windows", "readiness-credentials", "now-6h")
}

/// How long a credential must last, in seconds, by the check that asks.
fn left(checklists: &[Checklist]) -> f64 {
    let asked = checklists.iter().flat_map(Checklist::checks).find(|check| check.name == "CredentialExpiresSoon");
    asked.and_then(|check| if let Kind::Fact { condition, .. } = &check.kind { condition.bound() } else { None }).unwrap_or(LEFT)
}

/// What the time means that is left: gone, shorter than is asked for, or long enough.
fn remaining(left: f64) -> Value {
    panel::steps(&[(-1e12, Meaning::Bad), (0.0, Meaning::Warning), (left, Meaning::Good)])
}

fn timeline() -> Value {
    let parts = parts();
    let targets: Vec<Value> = parts.iter().map(|(_, _, query)| listed(query.clone())).collect();
    let values: Vec<String> = ('A'..).take(parts.len()).map(|letter| format!("Value #{letter}")).collect();
    let names: Vec<(&str, &str)> = [("what", "what")].into_iter().chain(values.iter().map(String::as_str).zip(parts.iter().map(|(name, ..)| *name))).collect();
    let mut overrides: Vec<Value> = parts.iter().map(|(name, own, _)| field(name, vec![fixed(own)])).collect();
    overrides.push(field(
        "gap",
        vec![json!({ "id": "custom.hideFrom", "value": { "legend": true, "tooltip": true, "viz": false } }), json!({ "id": "custom.fillOpacity", "value": 0 })],
    ));
    let mut chart = panel(
        "barchart",
        "From now on: events, rotations, and until when credentials last",
        "Each bar lies where it lies in time, from now on the left to fourteen days on the right. Red credentials end before the event does; a rotation that stands over or under an event hits it.",
        targets,
    );
    chart["transformations"] = json!([{ "id": "merge", "options": {} }, columns(&["Time"], &names), sorted("what", false)]);
    chart["options"] = json!({ "orientation": "horizontal", "stacking": "normal", "xField": "what", "xTickLabelMaxLength": 60, "showValue": "never", "barWidth": 0.7,
        "legend": { "showLegend": true, "placement": "bottom", "displayMode": "list" }, "tooltip": { "mode": "multi" } });
    let defaults = &mut chart["fieldConfig"]["defaults"];
    defaults["unit"] = json!("suffix: days");
    (defaults["min"], defaults["max"], defaults["decimals"]) = (json!(0), json!(HORIZON), json!(1));
    defaults["custom"] = json!({ "fillOpacity": 80, "lineWidth": 0 });
    chart["fieldConfig"]["overrides"] = overrides.into();
    chart
}

/// The credentials that end first.
fn first_end(left: f64) -> Value {
    let ends = metric("readiness_credential_expiry_timestamp_seconds").max(&["credential"]).and("-", time());
    let first = call("bottomk", [3.into(), ends]);
    let mut stat = panel::stat("The next to end", "Credentials, and how long they still last.", vec![super::query::named(first, "{{credential}}")], false);
    let defaults = &mut stat["fieldConfig"]["defaults"];
    defaults["unit"] = json!("s");
    defaults["thresholds"] = remaining(left);
    stat
}

/// The states of a set, as a label of its own; and sources of its collector that are not seen, which the set does not have.
fn state_of(set: &str, by: &[&str], name: &str) -> Query {
    let unseen = by.first().map(|first| unseen(set, first).and(&format!("unless on ({first})"), metric(set)));
    let known = metric(set).ones();
    let all = unseen.map_or_else(|| known.clone(), |unseen| known.clone().and("or", unseen.grouped()));
    call("label_replace", [all, text(name), text("$1"), text("state"), text("(.*)")]).max(&[by, &[name]].concat())
}

/// A moment as Grafana counts.
fn millis(moment: Metric, by: &[&str]) -> Query {
    moment.max(by).and("*", 1000)
}

fn credentials(left: f64) -> Value {
    let key = &["credential", "kind"];
    let ends = metric("readiness_credential_expiry_timestamp_seconds").max(key).and("-", time());
    let targets = vec![
        listed(state_of("readiness_credential_state", key, "present")),
        listed(metric("readiness_credential_valid_state").ones().max(&["credential", "kind", "state"])),
        listed(ends),
        listed(millis(metric("readiness_credential_changed_timestamp_seconds"), key)),
        listed(millis(metric("readiness_credential_last_used_timestamp_seconds"), key)),
    ];
    let renamed = [
        ("credential", "Credential"),
        ("kind", "Kind"),
        ("present", "There"),
        ("state", "Working"),
        ("Value #C", "Lasts for"),
        ("Value #D", "Last changed"),
        ("Value #E", "Last used"),
    ];
    let mut table = arranged(
        "Credentials: there, working, for how long",
        "The one that ends first stands on top. Unproven means that no free call exists to prove it; without a time left its end is not known, or never comes.",
        targets,
        vec![merge(), columns(&["Time", "Value #A", "Value #B"], &renamed), sorted("Lasts for", false)],
    );
    let lasts = vec![
        json!({ "id": "unit", "value": "s" }),
        json!({ "id": "mappings", "value": nothing(0) }),
        json!({ "id": "thresholds", "value": remaining(left) }),
        json!({ "id": "custom.cellOptions", "value": { "type": "color-background", "mode": "basic" } }),
        width(130),
    ];
    table["fieldConfig"]["overrides"] =
        json!([coloured("There"), coloured("Working"), field("Lasts for", lasts), field("Last changed", moment()), field("Last used", moment())]);
    table
}

fn rotations() -> Value {
    let key = &["rotation", "subject"];
    let targets = vec![
        listed(state_of("readiness_rotation_run_state", key, "run")),
        listed(metric("readiness_rotation_suspension_state").ones().max(&["rotation", "subject", "state"])),
        listed(millis(metric("readiness_rotation_last_timestamp_seconds"), key)),
        listed(millis(metric("readiness_rotation_next_timestamp_seconds").with("bound", "earliest"), key)),
        listed(millis(metric("readiness_rotation_next_timestamp_seconds").with("bound", "latest"), key)),
        listed(millis(metric("readiness_rotation_lapse_timestamp_seconds"), key)),
    ];
    let renamed = [
        ("rotation", "Rotation"),
        ("subject", "What"),
        ("run", "Last run"),
        ("state", "Suspended"),
        ("Value #C", "Last"),
        ("Value #D", "Next, earliest"),
        ("Value #E", "Next, latest"),
        ("Value #F", "Key lapses"),
    ];
    let mut table = arranged(
        "Rotations: last, next, and how the last one went",
        "What has only an interval has an earliest and a latest moment. What is suspended renews nothing, and its key lapses.",
        targets,
        vec![merge(), columns(&["Time", "Value #A", "Value #B"], &renamed), sorted("Next, earliest", false)],
    );
    let moments = ["Last", "Next, earliest", "Next, latest", "Key lapses"].map(|name| field(name, moment()));
    table["fieldConfig"]["overrides"] =
        [coloured("Last run"), coloured("Suspended")].into_iter().chain(moments).chain([field("What", vec![panel::blank()])]).collect();
    table
}

fn conflicts() -> Value {
    states(
        "Rotations against events",
        "None is well; possible means that the bounds do not exclude it, which is as bad.",
        "readiness_rotation_conflict_state",
        &[("rotation", "Rotation"), ("subject", "What"), ("event", "Event")],
    )
}
