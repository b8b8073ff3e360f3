//! The board of the exporter itself: what it sees, how fresh that is, and what it costs.

use serde_json::{Value, json};

use super::dashboard::Layout;
use super::graphs::{self, Graph};
use super::header;
use super::listing;
use super::panel::{stat, steps, words};
use super::query::{listed, now};
use super::table::{coloured, table};
use crate::checklist::Checklist;
use crate::meaning::Meaning;
use crate::promql::{Compute as _, Query, call, metric, text, time};

/// How the exporter does, in the order in which a person asks.
const GRAPHS: &[&[Graph]] = &[
    &[
        Graph {
            title: "Age of facts",
            about: "The oldest of each collector, against how long they count.",
            query: || time().and("-", metric("readiness_collector_last_success_timestamp_seconds")).max(&["collector"]),
            legend: "{{collector}}",
            unit: "s",
            check: None,
            width: 8,
        },
        Graph {
            title: "How long looks take",
            about: "The slowest source of each collector.",
            query: || metric("readiness_collector_duration_seconds").max(&["collector"]),
            legend: "{{collector}}",
            unit: "s",
            check: None,
            width: 8,
        },
        Graph {
            title: "Failed looks",
            about: "Per minute, by collector and class.",
            query: || metric("readiness_collector_errors_total").rate("5m").max(&["collector", "source", "class"]).sum(&["collector", "class"]).and("*", 60),
            legend: "{{collector}} {{class}}",
            unit: "none",
            check: None,
            width: 8,
        },
    ],
    &[
        Graph {
            title: "Requests to others",
            about: "Per second, by collector.",
            query: || metric("readiness_collector_api_calls_total").rate("5m").max(&["collector", "source"]).sum(&["collector"]),
            legend: "{{collector}}",
            unit: "reqps",
            check: None,
            width: 8,
        },
        Graph {
            title: "Things found",
            about: "Objects in the last good look, by collector.",
            query: || metric("readiness_collector_objects").max(&["collector", "source"]).sum(&["collector"]),
            legend: "{{collector}}",
            unit: "none",
            check: None,
            width: 8,
        },
        Graph {
            title: "Requests to the exporter",
            about: "Per second, by route and status.",
            query: || metric("readiness_web_requests_total").rate("5m").sum(&["route", "code"]),
            legend: "{{route}} {{code}}",
            unit: "reqps",
            check: None,
            width: 8,
        },
    ],
    &[
        Graph {
            title: "Sources seen",
            about: "Sources whose last look succeeded and is fresh.",
            query: || metric("readiness_collector_up").max(&["collector", "source"]).sum(&["collector"]),
            legend: "{{collector}}",
            unit: "none",
            check: None,
            width: 8,
        },
        Graph {
            title: "Memory",
            about: "Resident memory of the process.",
            query: || metric("process_resident_memory_bytes").and("and on (job, instance)", metric("readiness_build_info")).max(&["instance"]),
            legend: "{{instance}}",
            unit: "bytes",
            check: None,
            width: 8,
        },
        Graph {
            title: "CPU",
            about: "Share of one core.",
            query: || metric("process_cpu_seconds_total").rate("5m").and("and on (job, instance)", metric("readiness_build_info")).max(&["instance"]),
            legend: "{{instance}}",
            unit: "percentunit",
            check: None,
            width: 8,
        },
    ],
];

/// The board.
pub(super) fn board(checklists: &[Checklist]) -> String {
    let mut layout = Layout::with_header(None, &[]);
    let up = metric("readiness_collector_up").max(&["collector", "source"]);
    let sources = header::seen("Sources seen", "Sources whose last look succeeded and is fresh, of all that are configured.", up);
    layout.place(&[(4, sources), (10, listing::sources("Sources that are not seen")), (6, permissions()), (4, configuration())], 7);
    let rows = graphs::rows(GRAPHS, checklists);
    for row in &rows {
        layout.place(row, 7);
    }
    layout.finish("readiness-exporter", "readiness-exporter", "now-1h")
}

/// What API servers refused; where all is granted a row says so of each cluster.
fn permissions() -> Value {
    let told = |query: Query, word: &str| call("label_replace", [query, text("state"), text(word), text(""), text("")]);
    let missing = || metric("readiness_permission_missing").max(&["cluster", "verb", "resource"]).ones().grouped();
    let granted = header::cluster_states(1, "granted").and("unless on (cluster)", missing()).grouped();
    let query = told(missing(), "missing").and("or", granted).and("or", header::cluster_states(0, "not seen"));
    let mut table = table(
        "Permissions",
        "What the API server of a cluster refused; its checks are unknown until it is granted.",
        vec![listed(query)],
        &[("state", "State"), ("cluster", "Cluster"), ("verb", "Verb"), ("resource", "Resource")],
        &[],
    );
    table["fieldConfig"]["overrides"] = json!([coloured("State")]);
    table
}

/// Whether the last change of the configuration is in force.
fn configuration() -> Value {
    let query = call("min", [metric("readiness_config_last_reload_successful").into()]);
    let mut panel = stat("Configuration", "Whether the last attempt to load it succeeded; if not, the one before is in force.", vec![now(query)], true);
    panel["options"]["textMode"] = json!("value");
    let defaults = &mut panel["fieldConfig"]["defaults"];
    defaults["mappings"] = words(&[(0, "refused"), (1, "in force")]);
    defaults["thresholds"] = steps(&[(0.0, Meaning::Bad), (1.0, Meaning::Good)]);
    panel
}
