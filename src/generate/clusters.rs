//! The board of clusters and capacity: whether each is seen and what it says of itself, what is not good in them, and
//! below it how full they are.

use serde_json::{Value, json};

use super::dashboard::{Layout, WIDTH};
use super::graphs::{self, Graph, HEADROOM, or_zero};
use super::header;
use super::listing::{CLUSTERS, Lists};
use super::panel::{named, steps, width};
use super::query::listed;
use super::table::{coloured, table};
use crate::checklist::Checklist;
use crate::meaning::Meaning;
use crate::promql::{Compute as _, Query, metric, time};

/// How full clusters are, in the order in which a person asks.
const GRAPHS: &[&[Graph]] = &[
    &[
        HEADROOM,
        Graph {
            title: "Requested",
            about: "Share of what nodes offer that pods have requested.",
            query: || metric("readiness_cluster_requested_ratio").max(&["cluster", "resource"]),
            legend: "{{cluster}} {{resource}}",
            unit: "percentunit",
            check: None,
            width: 8,
        },
        Graph {
            title: "Warnings of the last hour",
            about: "By their reason.",
            query: || or_zero(metric("readiness_warning_events").max(&["cluster", "namespace", "reason"]).sum(&["cluster", "reason"]).top()),
            legend: "{{cluster}} {{reason}}",
            unit: "none",
            check: None,
            width: 8,
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
            width: 8,
        },
        Graph {
            title: "Quotas of namespaces",
            about: "The ten that are used most.",
            query: || metric("readiness_resourcequota_used_ratio").max(&["cluster", "namespace", "resource"]).top(),
            legend: "{{cluster}} {{namespace}} {{resource}}",
            unit: "percentunit",
            check: None,
            width: 8,
        },
        Graph {
            title: "Nodes that pools still make",
            about: "What the limits of NodePools leave.",
            query: || metric("readiness_capacity_nodes_addable").max(&["cluster", "nodepool"]),
            legend: "{{cluster}} {{nodepool}}",
            unit: "none",
            check: None,
            width: 8,
        },
    ],
    &[
        Graph {
            title: "Nodes ready",
            about: "Ready nodes of each cluster.",
            query: || metric("readiness_node_condition_state").with("condition", "Ready").with("state", "true").max(&["cluster", "node"]).sum(&["cluster"]),
            legend: "{{cluster}}",
            unit: "none",
            check: None,
            width: 8,
        },
        Graph {
            title: "Replicas missing",
            about: "Desired, and not ready.",
            query: || {
                metric("readiness_workload_desired_replicas")
                    .max(&["cluster", "selector", "name"])
                    .and("-", metric("readiness_workload_ready_replicas").max(&["cluster", "selector", "name"]))
            },
            legend: "{{cluster}} {{selector}} {{name}}",
            unit: "none",
            check: None,
            width: 8,
        },
        Graph {
            title: "Pods",
            about: "By their phase.",
            query: || metric("readiness_pods").max(&["cluster", "phase"]).sum(&["cluster", "phase"]),
            legend: "{{cluster}} {{phase}}",
            unit: "none",
            check: None,
            width: 8,
        },
    ],
    &[
        Graph {
            title: "Load balancers",
            about: "Whether the Services that matter have one.",
            query: || metric("readiness_service_load_balancer_ready").min(&["cluster", "namespace", "name"]),
            legend: "{{cluster}} {{namespace}}/{{name}}",
            unit: "none",
            check: None,
            width: 8,
        },
        Graph {
            title: "Age of the last backup",
            about: "Per schedule of Velero.",
            query: || time().and("-", metric("readiness_velero_backup_last_completed_timestamp_seconds").max(&["cluster", "schedule"])),
            legend: "{{cluster}} {{schedule}}",
            unit: "s",
            check: None,
            width: 8,
        },
        Graph {
            title: "Age of the last snapshot",
            about: "Per volume.",
            query: || time().and("-", metric("readiness_volume_snapshot_last_ready_timestamp_seconds").max(&["cluster", "namespace", "claim"])),
            legend: "{{cluster}} {{namespace}}/{{claim}}",
            unit: "s",
            check: None,
            width: 8,
        },
    ],
];

/// The board.
pub(super) fn board(checklists: &[Checklist], runbooks: &str) -> String {
    let mut layout = Layout::with_header(None, CLUSTERS);
    layout.place(&[(WIDTH, clusters())], 6);
    let lists = Lists { checklists, about: CLUSTERS, required: false, of: " in clusters", runbooks };
    layout.place(&lists.both(8), 8);
    let rows = graphs::rows(GRAPHS, checklists);
    let (first, rest) = rows.split_at(1);
    for row in first {
        layout.place(row, 8);
    }
    layout.fold("More of nodes, pods and backups", rest, 8);
    layout.finish("Clusters and capacity", "readiness-clusters", "now-6h")
}

/// Each configured cluster, seen or not, with what it says of itself and how much fits into it.
fn clusters() -> Value {
    let ready = metric("readiness_node_condition_state").with("condition", "Ready").with("state", "true").max(&["cluster", "node"]);
    let versions = Query::Call("topk by (cluster) ".to_owned(), vec![1.into(), metric("readiness_kubernetes_version_info").max(&["cluster", "version"])]);
    let targets = vec![
        listed(header::cluster_states(1, "seen").and("or", header::cluster_states(0, "not seen"))),
        listed(versions),
        listed(ready.clone().sum(&["cluster"])),
        listed(ready.by("count", &["cluster"])),
        listed(metric("readiness_kubelet_version_skew_max").max(&["cluster"])),
        listed(metric("readiness_kubernetes_clock_offset_seconds").max(&["cluster"])),
        listed(metric("readiness_capacity_workspaces").max(&["cluster"])),
        listed(metric("readiness_capacity_expected_workspaces").max(&["cluster"])),
    ];
    let renamed = [
        ("state", "State"),
        ("cluster", "Cluster"),
        ("version", "Version"),
        ("Value #C", "Nodes ready"),
        ("Value #D", "Nodes"),
        ("Value #E", "Oldest kubelet, versions behind"),
        ("Value #F", "Clock is off by"),
        ("Value #G", "Workspaces that fit"),
        ("Value #H", "Workspaces expected"),
    ];
    let mut table =
        table("Clusters", "Every configured cluster, also one that cannot be seen: what it said before is not repeated.", targets, &renamed, &["Value #B"]);
    let whole = json!({ "id": "decimals", "value": 0 });
    table["fieldConfig"]["overrides"] = json!([
        coloured("State"),
        named("Clock is off by", vec![json!({ "id": "unit", "value": "s" })]),
        named("Nodes ready", vec![whole.clone(), width(110)]),
        named("Nodes", vec![whole, width(90)]),
    ]);
    table["fieldConfig"]["defaults"]["thresholds"] = steps(&[(0.0, Meaning::NotAsked)]);
    table
}
