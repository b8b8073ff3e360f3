//! The boards that are drawn by hand from short lists: the word for the wall, clusters and capacity,
//! and the exporter's own health.

use serde_json::{Value, json};

use super::dashboard::{self, Layout};
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

const fn panel(
    title: &'static str,
    about: &'static str,
    expr: &'static str,
    legend: &'static str,
    unit: &'static str,
    empty: &'static str,
    width: u64,
) -> Panel {
    Panel { title, about, expr, legend, unit, empty, width }
}

/// The word for the wall: what stands in the way, and how it came to be.
pub(super) fn overview(checklist: &Checklist) -> String {
    let name = &checklist.name;
    let mut layout = Layout::default();
    layout.place(&[(12, dashboard::decision(checklist)), (6, dashboard::event(checklist)), (6, dashboard::counts(checklist))], 8);
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
        panel(
            "Nodes ready",
            "Ready nodes of each cluster.",
            "sum by (cluster) (max by (cluster, node) (readiness_node_condition_state{condition=\"Ready\",state=\"true\"}))",
            "{{cluster}}",
            "none",
            "no node is seen",
            6,
        ),
        panel(
            "Version",
            "What the API servers say about themselves.",
            "max by (cluster, version) (readiness_kubernetes_version_info)",
            "{{cluster}} {{version}}",
            "none",
            "no cluster is seen",
            6,
        ),
        panel(
            "Oldest kubelet, versions behind",
            "Minor versions between the oldest kubelet and its API server.",
            "max by (cluster) (readiness_kubelet_version_skew_max)",
            "{{cluster}}",
            "none",
            "no node is seen",
            6,
        ),
        panel(
            "Clock",
            "Distance between the clocks of the API server and of the exporter.",
            "max by (cluster) (readiness_kubernetes_clock_offset_seconds)",
            "{{cluster}}",
            "s",
            "no cluster is seen",
            6,
        ),
    ],
    &[
        panel(
            "Workspaces that fit",
            "Running ones, and those that nodes and pools still take.",
            "max by (cluster) (readiness_capacity_workspaces)",
            "{{cluster}}",
            "none",
            "collectors.kubernetes.capacity is not configured",
            6,
        ),
        panel(
            "Workspaces expected",
            "For the participants of the running or next event.",
            "max by (cluster) (readiness_capacity_expected_workspaces)",
            "{{cluster}}",
            "none",
            "no event with participants",
            6,
        ),
        panel(
            "Headroom",
            "What is left once all expected workspaces run.",
            "min by (cluster) (readiness_capacity_headroom_ratio)",
            "{{cluster}}",
            "percentunit",
            "no event with participants",
            6,
        ),
        panel(
            "Nodes that pools still make",
            "What the limits of NodePools leave.",
            "max by (cluster, nodepool) (readiness_capacity_nodes_addable)",
            "{{cluster}} {{nodepool}}",
            "none",
            "no NodePool is seen",
            6,
        ),
    ],
    &[
        panel(
            "Requested",
            "Share of what nodes offer that pods have requested.",
            "max by (cluster, resource) (readiness_cluster_requested_ratio)",
            "{{cluster}} {{resource}}",
            "percentunit",
            "no node is seen",
            8,
        ),
        panel(
            "NodePools: share of their limits",
            "At 100 % a pool makes no node any more.",
            "max by (cluster, nodepool, resource) (readiness_nodepool_used_ratio)",
            "{{cluster}} {{nodepool}} {{resource}}",
            "percentunit",
            "no NodePool has a limit",
            8,
        ),
        panel(
            "Quotas of namespaces",
            "The ten that are used most.",
            "topk(10, max by (cluster, namespace, resource) (readiness_resourcequota_used_ratio))",
            "{{cluster}} {{namespace}} {{resource}}",
            "percentunit",
            "no quota is seen",
            8,
        ),
    ],
    &[
        panel(
            "Pods",
            "By their phase.",
            "sum by (cluster, phase) (max by (cluster, phase) (readiness_pods))",
            "{{cluster}} {{phase}}",
            "none",
            "no pod is seen",
            8,
        ),
        panel(
            "Replicas missing",
            "Desired, and not ready.",
            "max by (cluster, selector, name) (readiness_workload_desired_replicas) - max by (cluster, selector, name) (readiness_workload_ready_replicas)",
            "{{cluster}} {{selector}} {{name}}",
            "none",
            "no workload is configured",
            8,
        ),
        panel(
            "Load balancers",
            "Whether the Services that matter have one.",
            "min by (cluster, namespace, name) (readiness_service_load_balancer_ready)",
            "{{cluster}} {{namespace}}/{{name}}",
            "none",
            "no Service is configured",
            8,
        ),
    ],
    &[
        panel(
            "Age of the last backup",
            "Per schedule of Velero.",
            "time() - max by (cluster, schedule) (readiness_velero_backup_last_completed_timestamp_seconds)",
            "{{cluster}} {{schedule}}",
            "s",
            "no backup is configured",
            8,
        ),
        panel(
            "Age of the last snapshot",
            "Per volume.",
            "time() - max by (cluster, namespace, claim) (readiness_volume_snapshot_last_ready_timestamp_seconds)",
            "{{cluster}} {{namespace}}/{{claim}}",
            "s",
            "no snapshot is configured",
            8,
        ),
        panel(
            "Warnings of the last hour",
            "By their reason.",
            "topk(10, sum by (cluster, reason) (max by (cluster, namespace, reason) (readiness_warning_events)))",
            "{{cluster}} {{reason}}",
            "none",
            "no warning",
            8,
        ),
    ],
];

/// Clusters and capacity.
pub(super) fn clusters(checklist: &Checklist) -> String {
    let mut layout = Layout::default();
    layout.place(&[(8, dashboard::decision(checklist)), (8, dashboard::counts(checklist)), (8, dashboard::event(checklist))], 5);
    rows(&mut layout, CLUSTERS);
    layout.finish(&format!("Clusters and capacity: {}", checklist.title), &format!("readiness-clusters-{}", checklist.name), "now-6h")
}

/// Whether the exporter itself is well.
const EXPORTER: &[&[Panel]] = &[
    &[
        panel(
            "Sources seen",
            "Sources whose last look succeeded and is fresh.",
            "sum by (collector) (max by (collector, source) (readiness_collector_up))",
            "{{collector}}",
            "none",
            "no exporter is scraped",
            8,
        ),
        panel(
            "Sources not seen",
            "Their checks are unknown until they are.",
            "max by (collector, source) (readiness_collector_up) == 0",
            "{{collector}} {{source}}",
            "none",
            "every source is seen",
            8,
        ),
        panel(
            "Permissions missing",
            "What the API server refused.",
            "max by (cluster, verb, resource) (readiness_permission_missing)",
            "{{cluster}} {{verb}} {{resource}}",
            "none",
            "none is missing",
            8,
        ),
    ],
    &[
        panel(
            "Age of facts",
            "The oldest of each collector, against how long they count.",
            "max by (collector) (time() - readiness_collector_last_success_timestamp_seconds)",
            "{{collector}}",
            "s",
            "no exporter is scraped",
            8,
        ),
        panel(
            "How long looks take",
            "The slowest source of each collector.",
            "max by (collector) (readiness_collector_duration_seconds)",
            "{{collector}}",
            "s",
            "no exporter is scraped",
            8,
        ),
        panel(
            "Failed looks",
            "Per minute, by collector and class.",
            "sum by (collector, class) (max by (collector, source, class) (rate(readiness_collector_errors_total[5m]))) * 60",
            "{{collector}} {{class}}",
            "none",
            "none failed",
            8,
        ),
    ],
    &[
        panel(
            "Requests to others",
            "Per second, by collector.",
            "sum by (collector) (max by (collector, source) (rate(readiness_collector_api_calls_total[5m])))",
            "{{collector}}",
            "reqps",
            "no exporter is scraped",
            8,
        ),
        panel(
            "Things found",
            "Objects in the last good look, by collector.",
            "sum by (collector) (max by (collector, source) (readiness_collector_objects))",
            "{{collector}}",
            "none",
            "no exporter is scraped",
            8,
        ),
        panel(
            "Requests to the exporter",
            "Per second, by route and status.",
            "sum by (route, code) (rate(readiness_web_requests_total[5m]))",
            "{{route}} {{code}}",
            "reqps",
            "no exporter is scraped",
            8,
        ),
    ],
    &[
        panel(
            "Configuration in force",
            "1 when the last attempt to load it succeeded.",
            "min(readiness_config_last_reload_successful)",
            "loaded",
            "none",
            "no exporter is scraped",
            6,
        ),
        panel(
            "Last judged",
            "Seconds since each checklist was judged.",
            "time() - max by (checklist) (readiness_judged_timestamp_seconds)",
            "{{checklist}}",
            "s",
            "no exporter is scraped",
            6,
        ),
        panel(
            "Memory",
            "Resident memory of the process.",
            "max by (instance) (process_resident_memory_bytes and on (job, instance) readiness_build_info)",
            "{{instance}}",
            "bytes",
            "no exporter is scraped",
            6,
        ),
        panel(
            "CPU",
            "Share of one core.",
            "max by (instance) (rate(process_cpu_seconds_total[5m]) and on (job, instance) readiness_build_info)",
            "{{instance}}",
            "percentunit",
            "no exporter is scraped",
            6,
        ),
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
        "targets": [{ "refId": "A", "expr": expr, "instant": true, "range": false, "format": "table" }],
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
