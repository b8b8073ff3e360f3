//! The live board: what a team watches on the wall while the event runs. Drawn by hand, panel by
//! panel, but every threshold in it is a check's.

use super::dashboard::Layout;
use super::graphs::{self, Graph, HEADROOM, or_zero};
use super::listing::CLUSTERS;
use crate::checklist::Checklist;
use crate::promql::{Compute as _, metric};

/// Rows that are in view from the first screen on.
const OPEN: usize = 3;

/// Rows of graphs, in the order in which a person on the wall asks.
const ROWS: &[&[Graph]] = &[
    &[
        Graph {
            title: "Storage: the ten fullest file systems",
            about: "Of nodes, by what is used.",
            query: || metric("readiness_node_filesystem_used_ratio").max(&["cluster", "node", "filesystem"]).top(),
            legend: "{{cluster}} {{node}} {{filesystem}}",
            unit: "percentunit",
            check: Some("NodeStorageHigh"),
            width: 12,
        },
        Graph {
            title: "Storage: pods closest to their limit",
            about: "Share of the limit of ephemeral storage.",
            query: || metric("readiness_pod_ephemeral_storage_used_ratio").max(&["cluster", "namespace", "pod"]).top(),
            legend: "{{cluster}} {{namespace}}/{{pod}}",
            unit: "percentunit",
            check: Some("PodStorageNearLimit"),
            width: 12,
        },
    ],
    &[
        Graph {
            title: "Workspaces",
            about: "By their phase.",
            query: || metric("readiness_workspaces").max(&["cluster", "selector", "phase"]).sum(&["phase"]),
            legend: "{{phase}}",
            unit: "none",
            check: None,
            width: 8,
        },
        Graph { title: "Headroom with all expected workspaces", ..HEADROOM },
        Graph {
            title: "Containers that wait",
            about: "By why they do.",
            query: || or_zero(metric("readiness_containers_waiting").max(&["cluster", "namespace", "class", "reason"]).sum(&["cluster", "class"])),
            legend: "{{cluster}} {{class}}",
            unit: "none",
            check: None,
            width: 8,
        },
    ],
    &[
        Graph {
            title: "Evictions and kills for lack of memory",
            about: "Within the window.",
            query: || {
                or_zero(
                    metric("readiness_evictions")
                        .max(&["cluster", "namespace", "resource"])
                        .sum(&["cluster", "resource"])
                        .and("or", metric("readiness_containers_oom_killed").max(&["cluster", "namespace"]).sum(&["cluster"])),
                )
            },
            legend: "{{cluster}} {{resource}}",
            unit: "none",
            check: Some("PodsEvicted"),
            width: 8,
        },
        Graph {
            title: "Restarts within the window",
            about: "Of containers, by namespace.",
            query: || or_zero(metric("readiness_container_restarts_recent").max(&["cluster", "namespace"]).sum(&["cluster", "namespace"])),
            legend: "{{cluster}} {{namespace}}",
            unit: "none",
            check: None,
            width: 8,
        },
        Graph {
            title: "Pods without a node",
            about: "By why they have none.",
            query: || or_zero(metric("readiness_pods_unscheduled").max(&["cluster", "namespace", "class"]).sum(&["cluster", "class"])),
            legend: "{{cluster}} {{class}}",
            unit: "none",
            check: None,
            width: 8,
        },
    ],
    &[
        Graph {
            title: "Storage: the ten largest pods",
            about: "By their ephemeral storage.",
            query: || metric("readiness_pod_ephemeral_storage_used_bytes").max(&["cluster", "namespace", "pod"]).top(),
            legend: "{{cluster}} {{namespace}}/{{pod}}",
            unit: "bytes",
            check: None,
            width: 12,
        },
        Graph {
            title: "Starts of the busiest workspace",
            about: "Within the window.",
            query: || metric("readiness_workspace_starts_max").max(&["cluster", "selector"]),
            legend: "{{cluster}} {{selector}}",
            unit: "none",
            check: Some("WorkspaceFlapping"),
            width: 12,
        },
    ],
    &[
        Graph {
            title: "Image pulls: slowest, including the wait for others",
            about: "Within the window.",
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
            about: "How many, by image.",
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
            about: "Share of what a node has.",
            query: || metric("readiness_node_cpu_used_ratio").max(&["cluster", "node"]).top(),
            legend: "{{cluster}} {{node}}",
            unit: "percentunit",
            check: Some("NodeCpuHigh"),
            width: 12,
        },
        Graph {
            title: "Memory: the ten fullest nodes",
            about: "Share of what a node has.",
            query: || metric("readiness_node_memory_used_ratio").max(&["cluster", "node"]).top(),
            legend: "{{cluster}} {{node}}",
            unit: "percentunit",
            check: Some("NodeMemoryHigh"),
            width: 12,
        },
    ],
    &[
        Graph {
            title: "NodePools: share of their limits",
            about: "At 100 % a pool makes no node any more.",
            query: || metric("readiness_nodepool_used_ratio").max(&["cluster", "nodepool", "resource"]),
            legend: "{{cluster}} {{nodepool}} {{resource}}",
            unit: "percentunit",
            check: Some("NodePoolNearLimit"),
            width: 12,
        },
        Graph {
            title: "Requested of all nodes",
            about: "Share of what nodes offer that pods have requested.",
            query: || metric("readiness_cluster_requested_ratio").max(&["cluster", "resource"]),
            legend: "{{cluster}} {{resource}}",
            unit: "percentunit",
            check: None,
            width: 12,
        },
    ],
    &[
        Graph {
            title: "NodeClaims",
            about: "By their phase.",
            query: || metric("readiness_nodeclaims").max(&["cluster", "nodepool", "phase"]).sum(&["phase"]),
            legend: "{{phase}}",
            unit: "none",
            check: None,
            width: 12,
        },
        Graph {
            title: "Time to launch a node",
            about: "The slowest of each pool.",
            query: || metric("readiness_nodeclaim_launch_duration_seconds").with("statistic", "max").max(&["cluster", "nodepool"]),
            legend: "{{cluster}} {{nodepool}}",
            unit: "s",
            check: Some("NodeLaunchSlow"),
            width: 12,
        },
    ],
];

/// The board, with the thresholds that the checklists have.
pub(super) fn board(checklists: &[Checklist]) -> String {
    let mut layout = Layout::with_header(None, CLUSTERS);
    let rows = graphs::rows(ROWS, checklists);
    let (open, folded) = rows.split_at(OPEN);
    for row in open {
        layout.place(row, 7);
    }
    layout.fold("Pods, images, nodes and pools", folded, 8);
    layout.finish("Live", "readiness-live", "now-1h")
}

/// Checks whose thresholds are drawn.
#[cfg(test)]
pub(super) fn checks() -> impl Iterator<Item = &'static str> {
    ROWS.iter().flat_map(|row| row.iter()).filter_map(|graph| graph.check)
}
