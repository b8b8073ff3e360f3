//! What the panels of a board ask, each within the clusters and events that are chosen at its top.

use serde_json::{Value, json};

use crate::promql::Query;

/// Labels by which people choose, and what stands for their choice.
const CHOICES: [(&str, &str); 2] = [("cluster", "$cluster"), ("event", "$event")];

/// A query within the chosen clusters and events: those of each metric that has such a label.
fn chosen(mut query: Query) -> String {
    for metric in query.metrics() {
        let labels = labels_of(metric.name());
        let choices: Vec<_> = CHOICES.into_iter().filter(|(label, _)| labels.contains(label)).collect();
        metric.within(&choices);
    }
    query.to_string()
}

fn labels_of(name: &str) -> &'static [&'static str] {
    let own = crate::verdict::FAMILIES.iter().chain(crate::event::FAMILIES).find(|family| family.name == name).copied();
    own.or_else(|| crate::collectors::family(name).ok()).map_or(&[], |family| family.labels)
}

/// What is drawn over time.
pub(super) fn over_time(query: Query, legend: &str) -> Value {
    json!({ "refId": "A", "expr": chosen(query), "legendFormat": legend })
}

/// One value as of now.
pub(super) fn now(query: Query) -> Value {
    json!({ "refId": "A", "expr": chosen(query), "instant": true, "range": false })
}

/// Values as of now, each with its name.
pub(super) fn named(query: Query, legend: &str) -> Value {
    let mut target = now(query);
    target["legendFormat"] = json!(legend);
    target
}

/// Values as of now, each with its name, in one of Grafana's formats.
pub(super) fn formatted(query: Query, format: &str, legend: &str) -> Value {
    let mut target = named(query, legend);
    target["format"] = json!(format);
    target
}

/// Rows of a table as of now.
pub(super) fn listed(query: Query) -> Value {
    json!({ "refId": "A", "expr": chosen(query), "instant": true, "range": false, "format": "table" })
}
