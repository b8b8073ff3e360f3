//! Tables of a board: what a state set says, coloured by how good it is.

use serde_json::{Value, json};

use super::query::listed;
use crate::promql::{Compute as _, metric};

/// Which states are good and which are not, for all sets that a table shows.
const COLOURS: [(&str, &str); 4] = [
    ("up|present|pullable|valid|at|match|identical|current|none|idle|running|rotating|done|suspended_for_event", "green"),
    (
        "absent|empty|deleted|denied|down|malformed|throttled|incomplete|invalid|differs|different|stale|conflict|possible|failed|slow|missed|forgotten|pending|overdue",
        "red",
    ),
    // Good or bad by what else is known.
    ("consistent|unproven|never|off", "blue"),
    ("unknown|untold", "orange"),
];

/// The colour of a state, if it has one.
#[cfg(test)]
pub(super) fn colour_of(state: &str) -> Option<&'static str> {
    COLOURS.iter().find(|(states, _)| states.split('|').any(|own| own == state)).map(|(_, colour)| *colour)
}

/// A field that holds states.
pub(super) fn coloured(field: &str) -> Value {
    let mappings: Vec<Value> = COLOURS
        .iter()
        .enumerate()
        .map(|(index, (states, colour))| json!({ "type": "regex", "options": { "pattern": format!("^({states})$"), "result": { "color": colour, "index": index } } }))
        .collect();
    json!({ "matcher": { "id": "byName", "options": field },
        "properties": [{ "id": "mappings", "value": mappings }, { "id": "custom.cellOptions", "value": { "type": "color-background" } }] })
}

/// A state set, one row for each subject.
pub(super) fn states(title: &str, description: &str, name: &str, labels: &[&str]) -> Value {
    let query = metric(name).ones().max(&[labels, &["state"]].concat());
    json!({ "type": "table", "title": title, "description": description, "targets": [listed("A", query)],
        "transformations": [{ "id": "organize", "options": { "excludeByName": { "Time": true, "Value": true } } }],
        "fieldConfig": { "defaults": { "noValue": "not configured" }, "overrides": [coloured("state")] } })
}
