//! The boards that are drawn by hand from short lists: the word for the wall, clusters and capacity,
//! and the exporter's own health.

use serde_json::{Value, json};

use super::dashboard::{self, Layout};
use super::table::target;
use crate::checklist::Checklist;

/// A panel: title, what it means, expression, legend, unit, what an empty one means, width.
struct Panel {
    title: &'static str,
    about: &'static str,
    expr: &'static str,
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
    let blocking = |state: &str| {
        format!(
            "max by (check, item) (readiness_check_info{{checklist=\"{name}\"}}) * on (check) group_left () (max by (check) (readiness_check_state{{checklist=\"{name}\",state=\"{state}\"}} == 1) and on (check) max by (check) (readiness_check_required{{checklist=\"{name}\"}}) == 1)"
        )
    };
    layout.place(
        &[
            (
                12,
                listing(
                    "What is wrong and blocks",
                    "Checks that failed and must not; the checklist board and the status page have the evidence.",
                    &blocking("fail"),
                    "nothing blocks",
                ),
            ),
            (12, listing("What is not known and blocks", "Unknown is never go: find out why it cannot be seen.", &blocking("unknown"), "everything is known")),
        ],
        9,
    );
    layout.place(
        &[
            (12, history("The decision", &format!("sum by (state) (max by (checklist, state) (readiness_decision_state{{checklist=\"{name}\"}}) == 1)"))),
            (
                12,
                series(
                    "Checks that are not good",
                    "How many checks stand in each verdict, over time.",
                    &format!("sum by (state) (readiness_check_state{{checklist=\"{name}\",state=~\"fail|unknown|warn|waived\"}})"),
                    "{{state}}",
                    "none",
                    "none",
                ),
            ),
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
            expr: "sum by (cluster) (max by (cluster, node) (readiness_node_condition_state{condition=\"Ready\",state=\"true\"}))",
            legend: "{{cluster}}",
            unit: "none",
            empty: "no node is seen",
            width: 6,
        },
        Panel {
            title: "Version",
            about: "What the API servers say about themselves.",
            expr: "max by (cluster, version) (readiness_kubernetes_version_info)",
            legend: "{{cluster}} {{version}}",
            unit: "none",
            empty: "no cluster is seen",
            width: 6,
        },
        Panel {
            title: "Oldest kubelet, versions behind",
            about: "Minor versions between the oldest kubelet and its API server.",
            expr: "max by (cluster) (readiness_kubelet_version_skew_max)",
            legend: "{{cluster}}",
            unit: "none",
            empty: "no node is seen",
            width: 6,
        },
        Panel {
            title: "Clock",
            about: "Distance between the clocks of the API server and of the exporter.",
            expr: "max by (cluster) (readiness_kubernetes_clock_offset_seconds)",
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
            expr: "max by (cluster) (readiness_capacity_workspaces)",
            legend: "{{cluster}}",
            unit: "none",
            empty: "collectors.kubernetes.capacity is not configured",
            width: 6,
        },
        Panel {
            title: "Workspaces expected",
            about: "For the participants of each event, and of those that overlap it.",
            expr: "max by (cluster, event) (readiness_capacity_expected_workspaces)",
            legend: "{{cluster}} {{event}}",
            unit: "none",
            empty: "no event with participants",
            width: 6,
        },
        Panel {
            title: "Headroom",
            about: "What is left once all expected workspaces run.",
            expr: "min by (cluster, event) (readiness_capacity_headroom_ratio)",
            legend: "{{cluster}} {{event}}",
            unit: "percentunit",
            empty: "no event with participants",
            width: 6,
        },
        Panel {
            title: "Nodes that pools still make",
            about: "What the limits of NodePools leave.",
            expr: "max by (cluster, nodepool) (readiness_capacity_nodes_addable)",
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
            expr: "max by (cluster, resource) (readiness_cluster_requested_ratio)",
            legend: "{{cluster}} {{resource}}",
            unit: "percentunit",
            empty: "no node is seen",
            width: 8,
        },
        Panel {
            title: "NodePools: share of their limits",
            about: "At 100 % a pool makes no node any more.",
            expr: "max by (cluster, nodepool, resource) (readiness_nodepool_used_ratio)",
            legend: "{{cluster}} {{nodepool}} {{resource}}",
            unit: "percentunit",
            empty: "no NodePool has a limit",
            width: 8,
        },
        Panel {
            title: "Quotas of namespaces",
            about: "The ten that are used most.",
            expr: "topk(10, max by (cluster, namespace, resource) (readiness_resourcequota_used_ratio))",
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
            expr: "sum by (cluster, phase) (max by (cluster, phase) (readiness_pods))",
            legend: "{{cluster}} {{phase}}",
            unit: "none",
            empty: "no pod is seen",
            width: 8,
        },
        Panel {
            title: "Replicas missing",
            about: "Desired, and not ready.",
            expr: "max by (cluster, selector, name) (readiness_workload_desired_replicas) - max by (cluster, selector, name) (readiness_workload_ready_replicas)",
            legend: "{{cluster}} {{selector}} {{name}}",
            unit: "none",
            empty: "no workload is configured",
            width: 8,
        },
        Panel {
            title: "Load balancers",
            about: "Whether the Services that matter have one.",
            expr: "min by (cluster, namespace, name) (readiness_service_load_balancer_ready)",
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
            expr: "time() - max by (cluster, schedule) (readiness_velero_backup_last_completed_timestamp_seconds)",
            legend: "{{cluster}} {{schedule}}",
            unit: "s",
            empty: "no backup is configured",
            width: 8,
        },
        Panel {
            title: "Age of the last snapshot",
            about: "Per volume.",
            expr: "time() - max by (cluster, namespace, claim) (readiness_volume_snapshot_last_ready_timestamp_seconds)",
            legend: "{{cluster}} {{namespace}}/{{claim}}",
            unit: "s",
            empty: "no snapshot is configured",
            width: 8,
        },
        Panel {
            title: "Warnings of the last hour",
            about: "By their reason.",
            expr: "topk(10, sum by (cluster, reason) (max by (cluster, namespace, reason) (readiness_warning_events)))",
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
            expr: "sum by (collector) (max by (collector, source) (readiness_collector_up))",
            legend: "{{collector}}",
            unit: "none",
            empty: "no exporter is scraped",
            width: 8,
        },
        Panel {
            title: "Sources not seen",
            about: "Their checks are unknown until they are.",
            expr: "max by (collector, source) (readiness_collector_up) == 0",
            legend: "{{collector}} {{source}}",
            unit: "none",
            empty: "every source is seen",
            width: 8,
        },
        Panel {
            title: "Permissions missing",
            about: "What the API server refused.",
            expr: "max by (cluster, verb, resource) (readiness_permission_missing)",
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
            expr: "max by (collector) (time() - readiness_collector_last_success_timestamp_seconds)",
            legend: "{{collector}}",
            unit: "s",
            empty: "no exporter is scraped",
            width: 8,
        },
        Panel {
            title: "How long looks take",
            about: "The slowest source of each collector.",
            expr: "max by (collector) (readiness_collector_duration_seconds)",
            legend: "{{collector}}",
            unit: "s",
            empty: "no exporter is scraped",
            width: 8,
        },
        Panel {
            title: "Failed looks",
            about: "Per minute, by collector and class.",
            expr: "sum by (collector, class) (max by (collector, source, class) (rate(readiness_collector_errors_total[5m]))) * 60",
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
            expr: "sum by (collector) (max by (collector, source) (rate(readiness_collector_api_calls_total[5m])))",
            legend: "{{collector}}",
            unit: "reqps",
            empty: "no exporter is scraped",
            width: 8,
        },
        Panel {
            title: "Things found",
            about: "Objects in the last good look, by collector.",
            expr: "sum by (collector) (max by (collector, source) (readiness_collector_objects))",
            legend: "{{collector}}",
            unit: "none",
            empty: "no exporter is scraped",
            width: 8,
        },
        Panel {
            title: "Requests to the exporter",
            about: "Per second, by route and status.",
            expr: "sum by (route, code) (rate(readiness_web_requests_total[5m]))",
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
            expr: "min(readiness_config_last_reload_successful)",
            legend: "loaded",
            unit: "none",
            empty: "no exporter is scraped",
            width: 6,
        },
        Panel {
            title: "Last judged",
            about: "Seconds since each checklist was judged.",
            expr: "time() - max by (checklist) (readiness_judged_timestamp_seconds)",
            legend: "{{checklist}}",
            unit: "s",
            empty: "no exporter is scraped",
            width: 6,
        },
        Panel {
            title: "Memory",
            about: "Resident memory of the process.",
            expr: "max by (instance) (process_resident_memory_bytes and on (job, instance) readiness_build_info)",
            legend: "{{instance}}",
            unit: "bytes",
            empty: "no exporter is scraped",
            width: 6,
        },
        Panel {
            title: "CPU",
            about: "Share of one core.",
            expr: "max by (instance) (rate(process_cpu_seconds_total[5m]) and on (job, instance) readiness_build_info)",
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
            row.iter().map(|panel| (panel.width, series(panel.title, panel.about, panel.expr, panel.legend, panel.unit, panel.empty))).collect();
        layout.place(&panels, 8);
    }
}

fn series(title: &str, about: &str, expr: &str, legend: &str, unit: &str, empty: &str) -> Value {
    json!({ "type": "timeseries", "title": title, "description": about, "targets": [{ "refId": "A", "expr": expr, "legendFormat": legend }],
        "fieldConfig": { "defaults": { "unit": unit, "noValue": empty }, "overrides": [] } })
}

/// Names of checks with their lines of the paper checklist.
fn listing(title: &str, about: &str, expr: &str, empty: &str) -> Value {
    json!({ "type": "table", "title": title, "description": about,
        "targets": [target("A", expr)],
        "transformations": [{ "id": "organize", "options": { "excludeByName": { "Time": true, "Value": true }, "indexByName": { "item": 0, "check": 1 }, "renameByName": { "item": "Line", "check": "Check" } } }],
        "fieldConfig": { "defaults": { "noValue": empty }, "overrides": [{ "matcher": { "id": "byName", "options": "Line" }, "properties": [{ "id": "custom.width", "value": 110 }] }] } })
}

fn history(title: &str, expr: &str) -> Value {
    let colours = [("go", "green"), ("no_go", "red"), ("undecided", "orange")];
    let overrides: Vec<Value> = colours
        .iter()
        .map(|(state, colour)| json!({ "matcher": { "id": "byName", "options": state }, "properties": [{ "id": "color", "value": { "mode": "fixed", "fixedColor": colour } }] }))
        .collect();
    json!({ "type": "state-timeline", "title": title, "description": "When it was which.",
        "targets": [{ "refId": "A", "expr": expr, "legendFormat": "{{state}}" }],
        "options": { "showValue": "never", "mergeValues": true, "legend": { "showLegend": false } },
        "fieldConfig": { "defaults": { "noValue": "no data: not go" }, "overrides": overrides } })
}
