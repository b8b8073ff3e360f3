//! The live board: what a team watches on the wall while the event runs. Drawn by hand, panel by
//! panel, but every threshold in it is a check's.

use serde_json::{Value, json};

use super::dashboard::{self, Layout, steps, unit};
use super::query::{now, over_time};
use crate::checklist::{Check, Checklist};
use crate::promql::{Compute as _, Query, call, metric};

/// A graph: title, query, legend, and the check whose thresholds it shows.
struct Graph {
    title: &'static str,
    query: fn() -> Query,
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
            query: || metric("readiness_node_filesystem_used_ratio").max(&["cluster", "node", "filesystem"]).top(),
            legend: "{{cluster}} {{node}} {{filesystem}}",
            unit: "percentunit",
            check: Some("NodeStorageHigh"),
            width: 12,
        },
        Graph {
            title: "Storage: the ten largest pods",
            query: || metric("readiness_pod_ephemeral_storage_used_bytes").max(&["cluster", "namespace", "pod"]).top(),
            legend: "{{cluster}} {{namespace}}/{{pod}}",
            unit: "bytes",
            check: None,
            width: 6,
        },
        Graph {
            title: "Storage: pods closest to their limit",
            query: || metric("readiness_pod_ephemeral_storage_used_ratio").max(&["cluster", "namespace", "pod"]).top(),
            legend: "{{cluster}} {{namespace}}/{{pod}}",
            unit: "percentunit",
            check: Some("PodStorageNearLimit"),
            width: 6,
        },
    ],
    &[
        Graph {
            title: "Workspaces",
            query: || metric("readiness_workspaces").max(&["cluster", "selector", "phase"]).sum(&["phase"]),
            legend: "{{phase}}",
            unit: "none",
            check: None,
            width: 8,
        },
        Graph {
            title: "Headroom with all expected workspaces",
            query: || metric("readiness_capacity_headroom_ratio").min(&["cluster", "event"]),
            legend: "{{cluster}} {{event}}",
            unit: "percentunit",
            check: Some("CapacityHeadroomLow"),
            width: 8,
        },
        Graph {
            title: "Starts of the busiest workspace",
            query: || metric("readiness_workspace_starts_max").max(&["cluster", "selector"]),
            legend: "{{cluster}} {{selector}}",
            unit: "none",
            check: Some("WorkspaceFlapping"),
            width: 8,
        },
    ],
    &[
        Graph {
            title: "Restarts within the window",
            query: || metric("readiness_container_restarts_recent").max(&["cluster", "namespace"]).sum(&["cluster", "namespace"]),
            legend: "{{cluster}} {{namespace}}",
            unit: "none",
            check: None,
            width: 8,
        },
        Graph {
            title: "Containers that wait",
            query: || metric("readiness_containers_waiting").max(&["cluster", "namespace", "class", "reason"]).sum(&["cluster", "class"]),
            legend: "{{cluster}} {{class}}",
            unit: "none",
            check: None,
            width: 8,
        },
        Graph {
            title: "Evictions and kills for lack of memory",
            query: || {
                metric("readiness_evictions")
                    .max(&["cluster", "namespace", "resource"])
                    .sum(&["cluster", "resource"])
                    .and("or", metric("readiness_containers_oom_killed").max(&["cluster", "namespace"]).sum(&["cluster"]))
            },
            legend: "{{cluster}} {{resource}}",
            unit: "none",
            check: Some("PodsEvicted"),
            width: 8,
        },
    ],
    &[
        Graph {
            title: "Image pulls: slowest, including the wait for others",
            query: || {
                metric("readiness_image_pull_duration_seconds").with("duration", "including_waiting").with("statistic", "max").max(&["cluster", "image"]).top()
            },
            legend: "{{cluster}} {{image}}",
            unit: "s",
            check: Some("ImagePullSlow"),
            width: 12,
        },
        Graph {
            title: "Image pulls within the window",
            query: || metric("readiness_image_pulls").max(&["cluster", "image"]).top(),
            legend: "{{cluster}} {{image}}",
            unit: "none",
            check: None,
            width: 12,
        },
    ],
    &[
        Graph {
            title: "CPU: the ten busiest nodes",
            query: || metric("readiness_node_cpu_used_ratio").max(&["cluster", "node"]).top(),
            legend: "{{cluster}} {{node}}",
            unit: "percentunit",
            check: Some("NodeCpuHigh"),
            width: 8,
        },
        Graph {
            title: "Memory: the ten fullest nodes",
            query: || metric("readiness_node_memory_used_ratio").max(&["cluster", "node"]).top(),
            legend: "{{cluster}} {{node}}",
            unit: "percentunit",
            check: Some("NodeMemoryHigh"),
            width: 8,
        },
        Graph {
            title: "Requested of all nodes",
            query: || metric("readiness_cluster_requested_ratio").max(&["cluster", "resource"]),
            legend: "{{cluster}} {{resource}}",
            unit: "percentunit",
            check: None,
            width: 8,
        },
    ],
    &[
        Graph {
            title: "Pods without a node",
            query: || metric("readiness_pods_unscheduled").max(&["cluster", "namespace", "class"]).sum(&["cluster", "class"]),
            legend: "{{cluster}} {{class}}",
            unit: "none",
            check: None,
            width: 6,
        },
        Graph {
            title: "NodeClaims",
            query: || metric("readiness_nodeclaims").max(&["cluster", "nodepool", "phase"]).sum(&["phase"]),
            legend: "{{phase}}",
            unit: "none",
            check: None,
            width: 6,
        },
        Graph {
            title: "NodePools: share of their limits",
            query: || metric("readiness_nodepool_used_ratio").max(&["cluster", "nodepool", "resource"]),
            legend: "{{cluster}} {{nodepool}} {{resource}}",
            unit: "percentunit",
            check: Some("NodePoolNearLimit"),
            width: 6,
        },
        Graph {
            title: "Time to launch a node",
            query: || metric("readiness_nodeclaim_launch_duration_seconds").with("statistic", "max").max(&["cluster", "nodepool"]),
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
    let all = call("sum", [metric("readiness_workspaces").with("phase", "running").max(&["cluster", "selector"])]);
    let running = json!({ "type": "stat", "title": "Workspaces running", "description": "In all clusters.",
        "targets": [now(all)],
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
    json!({ "type": "timeseries", "title": title, "description": check.map_or_else(|| "Context for the others.".to_owned(), |check| format!("{} When it is red: {}", check.name, check.remedy)), "targets": [over_time((graph.query)(), graph.legend)],
        "fieldConfig": { "defaults": defaults, "overrides": [] } })
}

/// Checks whose thresholds are drawn.
#[cfg(test)]
pub(super) fn checks() -> impl Iterator<Item = &'static str> {
    ROWS.iter().flat_map(|row| row.iter()).filter_map(|graph| graph.check)
}
