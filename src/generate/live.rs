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

const fn graph(title: &'static str, expr: &'static str, legend: &'static str, unit: &'static str, check: Option<&'static str>, width: u64) -> Graph {
    Graph { title, expr, legend, unit, check, width }
}

/// Rows of graphs, in the order in which a person on the wall asks.
const ROWS: &[&[Graph]] = &[
    &[
        graph(
            "Storage: the ten fullest file systems",
            "topk(10, max by (cluster, node, filesystem) (readiness_node_filesystem_used_ratio))",
            "{{cluster}} {{node}} {{filesystem}}",
            "percentunit",
            Some("NodeStorageHigh"),
            12,
        ),
        graph(
            "Storage: the ten largest pods",
            "topk(10, max by (cluster, namespace, pod) (readiness_pod_ephemeral_storage_used_bytes))",
            "{{cluster}} {{namespace}}/{{pod}}",
            "bytes",
            None,
            6,
        ),
        graph(
            "Storage: pods closest to their limit",
            "topk(10, max by (cluster, namespace, pod) (readiness_pod_ephemeral_storage_used_ratio))",
            "{{cluster}} {{namespace}}/{{pod}}",
            "percentunit",
            Some("PodStorageNearLimit"),
            6,
        ),
    ],
    &[
        graph("Workspaces", "sum by (phase) (max by (cluster, selector, phase) (readiness_workspaces))", "{{phase}}", "none", None, 8),
        graph(
            "Headroom with all expected workspaces",
            "min by (cluster) (readiness_capacity_headroom_ratio)",
            "{{cluster}}",
            "percentunit",
            Some("CapacityHeadroomLow"),
            8,
        ),
        graph(
            "Starts of the busiest workspace",
            "max by (cluster, selector) (readiness_workspace_starts_max)",
            "{{cluster}} {{selector}}",
            "none",
            Some("WorkspaceFlapping"),
            8,
        ),
    ],
    &[
        graph(
            "Restarts within the window",
            "sum by (cluster, namespace) (max by (cluster, namespace) (readiness_container_restarts_recent))",
            "{{cluster}} {{namespace}}",
            "none",
            None,
            8,
        ),
        graph(
            "Containers that wait",
            "sum by (cluster, class) (max by (cluster, namespace, class, reason) (readiness_containers_waiting))",
            "{{cluster}} {{class}}",
            "none",
            None,
            8,
        ),
        graph(
            "Evictions and kills for lack of memory",
            "sum by (cluster, resource) (max by (cluster, namespace, resource) (readiness_evictions)) or sum by (cluster) (max by (cluster, namespace) (readiness_containers_oom_killed))",
            "{{cluster}} {{resource}}",
            "none",
            Some("PodsEvicted"),
            8,
        ),
    ],
    &[
        graph(
            "Image pulls: slowest, including the wait for others",
            "topk(10, max by (cluster, image) (readiness_image_pull_duration_seconds{duration=\"including_waiting\",statistic=\"max\"}))",
            "{{cluster}} {{image}}",
            "s",
            Some("ImagePullSlow"),
            12,
        ),
        graph("Image pulls within the window", "topk(10, max by (cluster, image) (readiness_image_pulls))", "{{cluster}} {{image}}", "none", None, 12),
    ],
    &[
        graph(
            "CPU: the ten busiest nodes",
            "topk(10, max by (cluster, node) (readiness_node_cpu_used_ratio))",
            "{{cluster}} {{node}}",
            "percentunit",
            Some("NodeCpuHigh"),
            8,
        ),
        graph(
            "Memory: the ten fullest nodes",
            "topk(10, max by (cluster, node) (readiness_node_memory_used_ratio))",
            "{{cluster}} {{node}}",
            "percentunit",
            Some("NodeMemoryHigh"),
            8,
        ),
        graph("Requested of all nodes", "max by (cluster, resource) (readiness_cluster_requested_ratio)", "{{cluster}} {{resource}}", "percentunit", None, 8),
    ],
    &[
        graph(
            "Pods without a node",
            "sum by (cluster, class) (max by (cluster, namespace, class) (readiness_pods_unscheduled))",
            "{{cluster}} {{class}}",
            "none",
            None,
            6,
        ),
        graph("NodeClaims", "sum by (phase) (max by (cluster, nodepool, phase) (readiness_nodeclaims))", "{{phase}}", "none", None, 6),
        graph(
            "NodePools: share of their limits",
            "max by (cluster, nodepool, resource) (readiness_nodepool_used_ratio)",
            "{{cluster}} {{nodepool}} {{resource}}",
            "percentunit",
            Some("NodePoolNearLimit"),
            6,
        ),
        graph(
            "Time to launch a node",
            "max by (cluster, nodepool) (readiness_nodeclaim_launch_duration_seconds{statistic=\"max\"})",
            "{{cluster}} {{nodepool}}",
            "s",
            Some("NodeLaunchSlow"),
            6,
        ),
    ],
];

/// The board of a checklist.
pub(super) fn board(checklist: &Checklist) -> String {
    let mut layout = Layout::default();
    let running = json!({ "type": "stat", "title": "Workspaces running", "description": "In all clusters.",
        "targets": [{ "refId": "A", "expr": "sum(max by (cluster, selector) (readiness_workspaces{phase=\"running\"}))", "instant": true, "range": false }],
        "options": { "colorMode": "none", "reduceOptions": { "calcs": ["lastNotNull"] } }, "fieldConfig": { "defaults": { "noValue": "not known" }, "overrides": [] } });
    layout.place(&[(8, dashboard::decision(checklist)), (8, running), (8, dashboard::event(checklist))], 5);
    for row in ROWS {
        let panels: Vec<(u64, Value)> = row.iter().map(|graph| (graph.width, panel(checklist, graph))).collect();
        layout.place(&panels, 8);
    }
    layout.finish(&format!("Live: {}", checklist.title), &format!("readiness-live-{}", checklist.name), "now-1h")
}

fn panel(checklist: &Checklist, graph: &Graph) -> Value {
    let check: Option<&Check> = graph.check.and_then(|name| checklist.checks().find(|check| check.name == name));
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
