//! The boards that are drawn by hand from short lists: the word for the wall, clusters and capacity,
//! and the exporter's own health.

use serde_json::{Value, json};

use super::dashboard::{self, Layout};
use super::query::{listed, over_time};
use crate::checklist::Checklist;
use crate::promql::{Compute as _, Metric, Query, call, metric, time};

/// A panel: title, what it means, query, legend, unit, what an empty one means, width.
struct Panel {
    title: &'static str,
    about: &'static str,
    query: fn() -> Query,
    legend: &'static str,
    unit: &'static str,
    empty: &'static str,
    width: u64,
}

/// The word for the wall: what stands in the way, and how it came to be.
pub(super) fn overview(checklist: &Checklist) -> String {
    let name = &checklist.name;
    let mut layout = Layout::default();
    layout.place(&[(12, dashboard::decision(checklist)), (6, dashboard::event(Some(checklist))), (6, dashboard::counts(Some(checklist)))], 8);
    let own = |metric: Metric| metric.with("checklist", name);
    let blocking = |state: &str| {
        let required = own(metric("readiness_check_required")).max(&["check"]).ones();
        let such = own(metric("readiness_check_state")).with("state", state).ones().max(&["check"]).and("and on (check)", required);
        own(metric("readiness_check_info")).max(&["check", "item"]).and("* on (check) group_left ()", such.grouped())
    };
    let decided = own(metric("readiness_decision_state")).max(&["checklist", "state"]).ones().sum(&["state"]);
    let not_good = own(metric("readiness_check_state")).like("state", "fail|unknown|warn|waived").sum(&["state"]);
    layout.place(
        &[
            (
                12,
                listing(
                    "What is wrong and blocks",
                    "Checks that failed and must not; the checklist board and the status page have the evidence.",
                    blocking("fail"),
                    "nothing blocks",
                ),
            ),
            (12, listing("What is not known and blocks", "Unknown is never go: find out why it cannot be seen.", blocking("unknown"), "everything is known")),
        ],
        9,
    );
    layout.place(
        &[
            (12, history("The decision", decided)),
            (12, series("Checks that are not good", "How many checks stand in each verdict, over time.", not_good, "{{state}}", "none", "none")),
        ],
        8,
    );
    layout.finish(&format!("Go or no-go: {}", checklist.title), &format!("readiness-overview-{name}"), "now-24h")
}

/// Clusters and what fits into them, in the order in which a person asks.
const CLUSTERS: &[&[Panel]] = &[
    &[
        Panel {
            title: "Nodes ready",
            about: "Ready nodes of each cluster.",
            query: || metric("readiness_node_condition_state").with("condition", "Ready").with("state", "true").max(&["cluster", "node"]).sum(&["cluster"]),
            legend: "{{cluster}}",
            unit: "none",
            empty: "no node is seen",
            width: 6,
        },
        Panel {
            title: "Version",
            about: "What the API servers say about themselves.",
            query: || metric("readiness_kubernetes_version_info").max(&["cluster", "version"]),
            legend: "{{cluster}} {{version}}",
            unit: "none",
            empty: "no cluster is seen",
            width: 6,
        },
        Panel {
            title: "Oldest kubelet, versions behind",
            about: "Minor versions between the oldest kubelet and its API server.",
            query: || metric("readiness_kubelet_version_skew_max").max(&["cluster"]),
            legend: "{{cluster}}",
            unit: "none",
            empty: "no node is seen",
            width: 6,
        },
        Panel {
            title: "Clock",
            about: "Distance between the clocks of the API server and of the exporter.",
            query: || metric("readiness_kubernetes_clock_offset_seconds").max(&["cluster"]),
            legend: "{{cluster}}",
            unit: "s",
            empty: "no cluster is seen",
            width: 6,
        },
    ],
    &[
        Panel {
            title: "Workspaces that fit",
            about: "Running ones, and those that nodes and pools still take.",
            query: || metric("readiness_capacity_workspaces").max(&["cluster"]),
            legend: "{{cluster}}",
            unit: "none",
            empty: "collectors.kubernetes.capacity is not configured",
            width: 6,
        },
        Panel {
            title: "Workspaces expected",
            about: "For the participants of each event, and of those that overlap it.",
            query: || metric("readiness_capacity_expected_workspaces").max(&["cluster", "event"]),
            legend: "{{cluster}} {{event}}",
            unit: "none",
            empty: "no event with participants",
            width: 6,
        },
        Panel {
            title: "Headroom",
            about: "What is left once all expected workspaces run.",
            query: || metric("readiness_capacity_headroom_ratio").min(&["cluster", "event"]),
            legend: "{{cluster}} {{event}}",
            unit: "percentunit",
            empty: "no event with participants",
            width: 6,
        },
        Panel {
            title: "Nodes that pools still make",
            about: "What the limits of NodePools leave.",
            query: || metric("readiness_capacity_nodes_addable").max(&["cluster", "nodepool"]),
            legend: "{{cluster}} {{nodepool}}",
            unit: "none",
            empty: "no NodePool is seen",
            width: 6,
        },
    ],
    &[
        Panel {
            title: "Requested",
            about: "Share of what nodes offer that pods have requested.",
            query: || metric("readiness_cluster_requested_ratio").max(&["cluster", "resource"]),
            legend: "{{cluster}} {{resource}}",
            unit: "percentunit",
            empty: "no node is seen",
            width: 8,
        },
        Panel {
            title: "NodePools: share of their limits",
            about: "At 100 % a pool makes no node any more.",
            query: || metric("readiness_nodepool_used_ratio").max(&["cluster", "nodepool", "resource"]),
            legend: "{{cluster}} {{nodepool}} {{resource}}",
            unit: "percentunit",
            empty: "no NodePool has a limit",
            width: 8,
        },
        Panel {
            title: "Quotas of namespaces",
            about: "The ten that are used most.",
            query: || metric("readiness_resourcequota_used_ratio").max(&["cluster", "namespace", "resource"]).top(),
            legend: "{{cluster}} {{namespace}} {{resource}}",
            unit: "percentunit",
            empty: "no quota is seen",
            width: 8,
        },
    ],
    &[
        Panel {
            title: "Pods",
            about: "By their phase.",
            query: || metric("readiness_pods").max(&["cluster", "phase"]).sum(&["cluster", "phase"]),
            legend: "{{cluster}} {{phase}}",
            unit: "none",
            empty: "no pod is seen",
            width: 8,
        },
        Panel {
            title: "Replicas missing",
            about: "Desired, and not ready.",
            query: || {
                metric("readiness_workload_desired_replicas")
                    .max(&["cluster", "selector", "name"])
                    .and("-", metric("readiness_workload_ready_replicas").max(&["cluster", "selector", "name"]))
            },
            legend: "{{cluster}} {{selector}} {{name}}",
            unit: "none",
            empty: "no workload is configured",
            width: 8,
        },
        Panel {
            title: "Load balancers",
            about: "Whether the Services that matter have one.",
            query: || metric("readiness_service_load_balancer_ready").min(&["cluster", "namespace", "name"]),
            legend: "{{cluster}} {{namespace}}/{{name}}",
            unit: "none",
            empty: "no Service is configured",
            width: 8,
        },
    ],
    &[
        Panel {
            title: "Age of the last backup",
            about: "Per schedule of Velero.",
            query: || time().and("-", metric("readiness_velero_backup_last_completed_timestamp_seconds").max(&["cluster", "schedule"])),
            legend: "{{cluster}} {{schedule}}",
            unit: "s",
            empty: "no backup is configured",
            width: 8,
        },
        Panel {
            title: "Age of the last snapshot",
            about: "Per volume.",
            query: || time().and("-", metric("readiness_volume_snapshot_last_ready_timestamp_seconds").max(&["cluster", "namespace", "claim"])),
            legend: "{{cluster}} {{namespace}}/{{claim}}",
            unit: "s",
            empty: "no snapshot is configured",
            width: 8,
        },
        Panel {
            title: "Warnings of the last hour",
            about: "By their reason.",
            query: || metric("readiness_warning_events").max(&["cluster", "namespace", "reason"]).sum(&["cluster", "reason"]).top(),
            legend: "{{cluster}} {{reason}}",
            unit: "none",
            empty: "no warning",
            width: 8,
        },
    ],
];

/// Clusters and capacity.
pub(super) fn clusters() -> String {
    let mut layout = Layout::default();
    layout.place(&[(8, dashboard::decisions()), (8, dashboard::counts(None)), (8, dashboard::event(None))], 5);
    rows(&mut layout, CLUSTERS);
    layout.finish("Clusters and capacity", "readiness-clusters", "now-6h")
}

/// Whether the exporter itself is well.
const EXPORTER: &[&[Panel]] = &[
    &[
        Panel {
            title: "Sources seen",
            about: "Sources whose last look succeeded and is fresh.",
            query: || metric("readiness_collector_up").max(&["collector", "source"]).sum(&["collector"]),
            legend: "{{collector}}",
            unit: "none",
            empty: "no exporter is scraped",
            width: 8,
        },
        Panel {
            title: "Sources not seen",
            about: "Their checks are unknown until they are.",
            query: || metric("readiness_collector_up").max(&["collector", "source"]).and("==", 0),
            legend: "{{collector}} {{source}}",
            unit: "none",
            empty: "every source is seen",
            width: 8,
        },
        Panel {
            title: "Permissions missing",
            about: "What the API server refused.",
            query: || metric("readiness_permission_missing").max(&["cluster", "verb", "resource"]),
            legend: "{{cluster}} {{verb}} {{resource}}",
            unit: "none",
            empty: "none is missing",
            width: 8,
        },
    ],
    &[
        Panel {
            title: "Age of facts",
            about: "The oldest of each collector, against how long they count.",
            query: || time().and("-", metric("readiness_collector_last_success_timestamp_seconds")).max(&["collector"]),
            legend: "{{collector}}",
            unit: "s",
            empty: "no exporter is scraped",
            width: 8,
        },
        Panel {
            title: "How long looks take",
            about: "The slowest source of each collector.",
            query: || metric("readiness_collector_duration_seconds").max(&["collector"]),
            legend: "{{collector}}",
            unit: "s",
            empty: "no exporter is scraped",
            width: 8,
        },
        Panel {
            title: "Failed looks",
            about: "Per minute, by collector and class.",
            query: || metric("readiness_collector_errors_total").rate("5m").max(&["collector", "source", "class"]).sum(&["collector", "class"]).and("*", 60),
            legend: "{{collector}} {{class}}",
            unit: "none",
            empty: "none failed",
            width: 8,
        },
    ],
    &[
        Panel {
            title: "Requests to others",
            about: "Per second, by collector.",
            query: || metric("readiness_collector_api_calls_total").rate("5m").max(&["collector", "source"]).sum(&["collector"]),
            legend: "{{collector}}",
            unit: "reqps",
            empty: "no exporter is scraped",
            width: 8,
        },
        Panel {
            title: "Things found",
            about: "Objects in the last good look, by collector.",
            query: || metric("readiness_collector_objects").max(&["collector", "source"]).sum(&["collector"]),
            legend: "{{collector}}",
            unit: "none",
            empty: "no exporter is scraped",
            width: 8,
        },
        Panel {
            title: "Requests to the exporter",
            about: "Per second, by route and status.",
            query: || metric("readiness_web_requests_total").rate("5m").sum(&["route", "code"]),
            legend: "{{route}} {{code}}",
            unit: "reqps",
            empty: "no exporter is scraped",
            width: 8,
        },
    ],
    &[
        Panel {
            title: "Configuration in force",
            about: "1 when the last attempt to load it succeeded.",
            query: || call("min", [metric("readiness_config_last_reload_successful").into()]),
            legend: "loaded",
            unit: "none",
            empty: "no exporter is scraped",
            width: 6,
        },
        Panel {
            title: "Last judged",
            about: "Seconds since each checklist was judged.",
            query: || time().and("-", metric("readiness_judged_timestamp_seconds").max(&["checklist"])),
            legend: "{{checklist}}",
            unit: "s",
            empty: "no exporter is scraped",
            width: 6,
        },
        Panel {
            title: "Memory",
            about: "Resident memory of the process.",
            query: || metric("process_resident_memory_bytes").and("and on (job, instance)", metric("readiness_build_info")).max(&["instance"]),
            legend: "{{instance}}",
            unit: "bytes",
            empty: "no exporter is scraped",
            width: 6,
        },
        Panel {
            title: "CPU",
            about: "Share of one core.",
            query: || metric("process_cpu_seconds_total").rate("5m").and("and on (job, instance)", metric("readiness_build_info")).max(&["instance"]),
            legend: "{{instance}}",
            unit: "percentunit",
            empty: "no exporter is scraped",
            width: 6,
        },
    ],
];

/// The exporter's own health.
pub(super) fn exporter() -> String {
    let mut layout = Layout::default();
    rows(&mut layout, EXPORTER);
    layout.finish("readiness-exporter", "readiness-exporter", "now-1h")
}

fn rows(layout: &mut Layout, rows: &[&[Panel]]) {
    for row in rows {
        let panels: Vec<(u64, Value)> =
            row.iter().map(|panel| (panel.width, series(panel.title, panel.about, (panel.query)(), panel.legend, panel.unit, panel.empty))).collect();
        layout.place(&panels, 8);
    }
}

fn series(title: &str, about: &str, query: Query, legend: &str, unit: &str, empty: &str) -> Value {
    json!({ "type": "timeseries", "title": title, "description": about, "targets": [over_time(query, legend)],
        "fieldConfig": { "defaults": { "unit": unit, "noValue": empty }, "overrides": [] } })
}

/// Names of checks with their lines of the paper checklist.
fn listing(title: &str, about: &str, query: Query, empty: &str) -> Value {
    json!({ "type": "table", "title": title, "description": about,
        "targets": [listed("A", query)],
        "transformations": [{ "id": "organize", "options": { "excludeByName": { "Time": true, "Value": true }, "indexByName": { "item": 0, "check": 1 }, "renameByName": { "item": "Line", "check": "Check" } } }],
        "fieldConfig": { "defaults": { "noValue": empty }, "overrides": [{ "matcher": { "id": "byName", "options": "Line" }, "properties": [{ "id": "custom.width", "value": 110 }] }] } })
}

fn history(title: &str, query: Query) -> Value {
    let colours = [("go", "green"), ("no_go", "red"), ("undecided", "orange")];
    let overrides: Vec<Value> = colours
        .iter()
        .map(|(state, colour)| json!({ "matcher": { "id": "byName", "options": state }, "properties": [{ "id": "color", "value": { "mode": "fixed", "fixedColor": colour } }] }))
        .collect();
    json!({ "type": "state-timeline", "title": title, "description": "When it was which.",
        "targets": [over_time(query, "{{state}}")],
        "options": { "showValue": "never", "mergeValues": true, "legend": { "showLegend": false } },
        "fieldConfig": { "defaults": { "noValue": "no data: not go" }, "overrides": overrides } })
}
