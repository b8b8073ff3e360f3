//! Tables of a board: what a state set says, coloured by what each state means, and which places should have said
//! something and did not.

use serde_json::{Map, Value, json};

use super::panel::{columns, named, panel, sorted, width};
use super::query::listed;
use crate::checklist::CheckState;
use crate::collectors;
use crate::meaning::{self, Meaning};
use crate::metric::States as _;
use crate::promql::{Compute as _, Query, call, metric, text};

/// A state in words and in its colour.
fn worded(index: usize, state: &str) -> (String, Value) {
    (state.to_owned(), json!({ "text": meaning::words(state), "color": Meaning::of(state).colour(), "index": index }))
}

/// What a cell says that holds nothing.
pub(super) fn nothing(index: usize) -> [Value; 2] {
    ["empty", "null+nan"].map(|kind| {
        json!({ "type": "special", "options": { "match": kind, "result": { "text": "not told", "color": Meaning::NotAsked.colour(), "index": index } } })
    })
}

/// The colours of states, alone in a cell or behind a digest; behind any word, "not valid" would be as good as "valid".
/// A word that is not listed has the colour of what is unknown, from the bounds of the field.
pub(super) fn mappings() -> Value {
    let other: Vec<&str> = Meaning::listed().map(|(state, _)| state).filter(|state| meaning::words(state) != *state).collect();
    let words: Map<String, Value> = other.iter().enumerate().map(|(index, state)| worded(index, state)).collect();
    let patterns = Meaning::ALL.into_iter().enumerate().map(|(index, means)| {
        let states: Vec<_> = Meaning::listed().filter(|(_, own)| *own == means).map(|(state, _)| state).collect();
        let pattern = format!("^([0-9a-f]* )?({})$", states.join("|"));
        json!({ "type": "regex", "options": { "pattern": pattern, "result": { "color": means.colour(), "index": other.len() + index } } })
    });
    [json!({ "type": "value", "options": words })].into_iter().chain(patterns).chain(nothing(other.len() + Meaning::ALL.len())).collect()
}

/// A field that holds verdicts and nothing else: there are many, and a board must fit into an object of Kubernetes.
pub(super) fn verdicts(field: &str, pixels: u32) -> Value {
    let known: Vec<&str> = CheckState::WORDS.iter().copied().chain(["more", "no data"]).collect();
    let words: Map<String, Value> = known.iter().enumerate().map(|(index, state)| worded(index, state)).collect();
    let all: Vec<Value> = [json!({ "type": "value", "options": words })].into_iter().chain(nothing(known.len())).collect();
    named(field, vec![json!({ "id": "mappings", "value": all }), background(), width(pixels)])
}

fn background() -> Value {
    json!({ "id": "custom.cellOptions", "value": { "type": "color-background", "mode": "basic" } })
}

/// What makes a field one of states.
fn state_cells() -> Vec<Value> {
    vec![json!({ "id": "mappings", "value": mappings() }), background()]
}

/// A field that holds states.
pub(super) fn coloured(field: &str) -> Value {
    named(field, [state_cells(), vec![width(130)]].concat())
}

/// The same, as wide as there is room for.
pub(super) fn wide(field: &str) -> Value {
    named(field, state_cells())
}

/// A table without its time and its number, in the order of its first column.
pub(super) fn table(title: &str, about: &str, targets: Vec<Value>, renamed: &[(&str, &str)], without: &[&str]) -> Value {
    let order = renamed.first().map(|(_, first)| sorted(first, false));
    let organized = columns(&[&["Time", "Value", "Value #A"], without].concat(), renamed);
    arranged(title, about, targets, [merge(), organized].into_iter().chain(order).collect())
}

/// A table of what is asked, arranged in these steps.
pub(super) fn arranged(title: &str, about: &str, targets: Vec<Value>, steps: Vec<Value>) -> Value {
    let mut table = panel("table", title, about, targets);
    table["options"] = json!({ "cellHeight": "sm", "showHeader": true });
    table["transformations"] = Value::Array(steps);
    table
}

/// The answers of several queries in one table.
pub(super) fn merge() -> Value {
    json!({ "id": "merge", "options": {} })
}

/// Which sources fill a state set, by their names, where a collector has several kinds of them.
const SOURCES: [(&str, &str); 8] = [
    ("readiness_registry_state", "[^ ]+"),
    ("readiness_registry_image_state", "[^ ]+"),
    ("readiness_workspace_image_state", "workspace images"),
    ("readiness_pull_secret_state", "pull secret .+"),
    ("readiness_image_pullable_state", "pull secret .+"),
    ("readiness_image_match_state", "images .+"),
    ("readiness_credential_copies_state", "reach"),
    ("readiness_credential_consumer_state", "reach"),
];

/// Sources that should fill a state set and are not seen, under the label that tells its subjects apart, as states.
pub(super) fn unseen(set: &str, label: &str) -> Query {
    let pattern = SOURCES.iter().find(|(own, _)| *own == set).map(|(_, pattern)| *pattern);
    let up = metric("readiness_collector_up").with("collector", collectors::owner(set));
    let up = pattern.into_iter().fold(up, |up, pattern| up.like("source", pattern));
    let named = call("label_replace", [up.max(&["source"]).and("==", 0), text(label), text("$1"), text("source"), text("(.*)")]);
    call("label_replace", [named, text("state"), text("not seen"), text(""), text("")]).max(&[label, "state"])
}

/// A state set, one row for each subject, its state first; and a row for each source of its collector that is not seen.
pub(super) fn states(title: &str, about: &str, name: &str, labels: &[(&str, &str)]) -> Value {
    let by: Vec<&str> = labels.iter().map(|(label, _)| *label).collect();
    let known = metric(name).ones().max(&[&by[..], &["state"]].concat());
    let query = match by.first() {
        Some(first) => known.and("or", unseen(name, first)),
        None => known,
    };
    let renamed: Vec<(&str, &str)> = [("state", "State")].into_iter().chain(labels.iter().copied()).collect();
    let mut table = table(title, about, vec![listed(query)], &renamed, &[]);
    table["fieldConfig"]["overrides"] = json!([coloured("State")]);
    table
}
