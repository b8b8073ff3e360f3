//! The live board: what a team watches on the wall while the event runs. Drawn by hand, panel by
//! panel, but every threshold in it is a check's.

use serde_json::{Value, json};

use super::dashboard::{self, Layout, steps, unit};
use crate::checklist::{Check, Checklist};

/// A graph: title, expression, legend, and the check whose thresholds it shows.
struct Graph {
    title: &'static str,
    expr: &'static str,
    legend: &'static str,
    unit: &'static str,
    check: Option<&'static str>,
    width: u64,
}

/// Rows of graphs, in the order in which a person on the wall asks.
const ROWS: &[&[Graph]] = &[
    &[
        Graph {
            title: "Storage: the ten fullest file systems",
            expr: "topk(10, max by (cluster, node, filesystem) (readiness_node_filesystem_used_ratio))",
            legend: "{{cluster}} {{node}} {{filesystem}}",
            unit: "percentunit",
            check: Some("NodeStorageHigh"),
            width: 12,
        },
        Graph {
            title: "Storage: the ten largest pods",
            expr: "topk(10, max by (cluster, namespace, pod) (readiness_pod_ephemeral_storage_used_bytes))",
            legend: "{{cluster}} {{namespace}}/{{pod}}",
            unit: "bytes",
            check: None,
            width: 6,
        },
        Graph {
            title: "Storage: pods closest to their limit",
            expr: "topk(10, max by (cluster, namespace, pod) (readiness_pod_ephemeral_storage_used_ratio))",
            legend: "{{cluster}} {{namespace}}/{{pod}}",
            unit: "percentunit",
            check: Some("PodStorageNearLimit"),
            width: 6,
        },
    ],
    &[
        Graph {
            title: "Workspaces",
            expr: "sum by (phase) (max by (cluster, selector, phase) (readiness_workspaces))",
            legend: "{{phase}}",
            unit: "none",
            check: None,
            width: 8,
        },
        Graph {
            title: "Headroom with all expected workspaces",
            expr: "min by (cluster, event) (readiness_capacity_headroom_ratio)",
            legend: "{{cluster}} {{event}}",
            unit: "percentunit",
            check: Some("CapacityHeadroomLow"),
            width: 8,
        },
        Graph {
            title: "Starts of the busiest workspace",
            expr: "max by (cluster, selector) (readiness_workspace_starts_max)",
            legend: "{{cluster}} {{selector}}",
            unit: "none",
            check: Some("WorkspaceFlapping"),
            width: 8,
        },
    ],
    &[
        Graph {
            title: "Restarts within the window",
            expr: "sum by (cluster, namespace) (max by (cluster, namespace) (readiness_container_restarts_recent))",
            legend: "{{cluster}} {{namespace}}",
            unit: "none",
            check: None,
            width: 8,
        },
        Graph {
            title: "Containers that wait",
            expr: "sum by (cluster, class) (max by (cluster, namespace, class, reason) (readiness_containers_waiting))",
            legend: "{{cluster}} {{class}}",
            unit: "none",
            check: None,
            width: 8,
        },
        Graph {
            title: "Evictions and kills for lack of memory",
            expr: "sum by (cluster, resource) (max by (cluster, namespace, resource) (readiness_evictions)) or sum by (cluster) (max by (cluster, namespace) (readiness_containers_oom_killed))",
            legend: "{{cluster}} {{resource}}",
            unit: "none",
            check: Some("PodsEvicted"),
            width: 8,
        },
    ],
    &[
        Graph {
            title: "Image pulls: slowest, including the wait for others",
            expr: "topk(10, max by (cluster, image) (readiness_image_pull_duration_seconds{duration=\"including_waiting\",statistic=\"max\"}))",
            legend: "{{cluster}} {{image}}",
            unit: "s",
            check: Some("ImagePullSlow"),
            width: 12,
        },
        Graph {
            title: "Image pulls within the window",
            expr: "topk(10, max by (cluster, image) (readiness_image_pulls))",
            legend: "{{cluster}} {{image}}",
            unit: "none",
            check: None,
            width: 12,
        },
    ],
    &[
        Graph {
            title: "CPU: the ten busiest nodes",
            expr: "topk(10, max by (cluster, node) (readiness_node_cpu_used_ratio))",
            legend: "{{cluster}} {{node}}",
            unit: "percentunit",
            check: Some("NodeCpuHigh"),
            width: 8,
        },
        Graph {
            title: "Memory: the ten fullest nodes",
            expr: "topk(10, max by (cluster, node) (readiness_node_memory_used_ratio))",
            legend: "{{cluster}} {{node}}",
            unit: "percentunit",
            check: Some("NodeMemoryHigh"),
            width: 8,
        },
        Graph {
            title: "Requested of all nodes",
            expr: "max by (cluster, resource) (readiness_cluster_requested_ratio)",
            legend: "{{cluster}} {{resource}}",
            unit: "percentunit",
            check: None,
            width: 8,
        },
    ],
    &[
        Graph {
            title: "Pods without a node",
            expr: "sum by (cluster, class) (max by (cluster, namespace, class) (readiness_pods_unscheduled))",
            legend: "{{cluster}} {{class}}",
            unit: "none",
            check: None,
            width: 6,
        },
        Graph {
            title: "NodeClaims",
            expr: "sum by (phase) (max by (cluster, nodepool, phase) (readiness_nodeclaims))",
            legend: "{{phase}}",
            unit: "none",
            check: None,
            width: 6,
        },
        Graph {
            title: "NodePools: share of their limits",
            expr: "max by (cluster, nodepool, resource) (readiness_nodepool_used_ratio)",
            legend: "{{cluster}} {{nodepool}} {{resource}}",
            unit: "percentunit",
            check: Some("NodePoolNearLimit"),
            width: 6,
        },
        Graph {
            title: "Time to launch a node",
            expr: "max by (cluster, nodepool) (readiness_nodeclaim_launch_duration_seconds{statistic=\"max\"})",
            legend: "{{cluster}} {{nodepool}}",
            unit: "s",
            check: Some("NodeLaunchSlow"),
            width: 6,
        },
    ],
];

/// The board, with the thresholds that the checklists have.
pub(super) fn board(checklists: &[Checklist]) -> String {
    let mut layout = Layout::default();
    let running = json!({ "type": "stat", "title": "Workspaces running", "description": "In all clusters.",
        "targets": [{ "refId": "A", "expr": "sum(max by (cluster, selector) (readiness_workspaces{phase=\"running\"}))", "instant": true, "range": false }],
        "options": { "colorMode": "none", "reduceOptions": { "calcs": ["lastNotNull"] } }, "fieldConfig": { "defaults": { "noValue": "not known" }, "overrides": [] } });
    layout.place(&[(8, dashboard::decisions()), (8, running), (8, dashboard::event(None))], 5);
    for row in ROWS {
        let panels: Vec<(u64, Value)> = row.iter().map(|graph| (graph.width, panel(checklists, graph))).collect();
        layout.place(&panels, 8);
    }
    layout.finish("Live", "readiness-live", "now-1h")
}

fn panel(checklists: &[Checklist], graph: &Graph) -> Value {
    let check: Option<&Check> = graph.check.and_then(|name| checklists.iter().flat_map(Checklist::checks).find(|check| check.name == name));
    let title = check.map_or_else(|| graph.title.to_owned(), |check| format!("{} ({})", graph.title, check.item));
    let mut defaults = json!({ "unit": check.and_then(unit).unwrap_or(graph.unit), "noValue": "none seen" });
    if let Some(steps) = check.and_then(steps) {
        defaults["thresholds"] = json!({ "mode": "absolute", "steps": steps });
        defaults["custom"] = json!({ "thresholdsStyle": { "mode": "line" } });
    }
    json!({ "type": "timeseries", "title": title, "description": check.map_or_else(|| "Context for the others.".to_owned(), |check| format!("{} When it is red: {}", check.name, check.remedy)), "targets": [{ "refId": "A", "expr": graph.expr, "legendFormat": graph.legend }],
        "fieldConfig": { "defaults": defaults, "overrides": [] } })
}

/// Checks whose thresholds are drawn.
#[cfg(test)]
pub(super) fn checks() -> impl Iterator<Item = &'static str> {
    ROWS.iter().flat_map(|row| row.iter()).filter_map(|graph| graph.check)
}
