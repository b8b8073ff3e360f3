//! What is read of one node, and what is kept of it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use crate::collectors::kubernetes::reading::labels::Labels;
use crate::collectors::kubernetes::reading::objects::{ConditionStatus, kind, or_default};
use crate::collectors::kubernetes::reading::resources::{Devices, Listed};
use crate::collectors::kubernetes::reading::taints::{Taint, Taints};

/// Seconds in which the pods of a new node may be starting: kubelets have pulled their images by then.
const YOUNG: i64 = 10 * 60;
/// Seconds after which nobody believes what a kubelet wrote last: it writes every five minutes at least.
/// Source: <https://kubernetes.io/docs/reference/node/node-status/#heartbeats>
const BEATS: i64 = 15 * 60;
/// Seconds for which a node that is being taken away may be silent or not ready: its machine has stopped by then, and
/// whoever deletes the node has come to it.
const LEAVES: i64 = 30 * 60;

kind!(Node, "", "v1", "nodes", "crate::collectors::kubernetes::reading::objects::labelled", spec: NodeSpec, status: NodeStatus);

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct NodeSpec {
    #[serde(default)]
    pub(in crate::collectors::kubernetes) unschedulable: Option<bool>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) taints: Vec<Taint>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct NodeStatus {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) conditions: Vec<NodeCondition>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) allocatable: Listed,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) capacity: Listed,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) node_info: NodeInfo,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) addresses: Vec<Address>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) daemon_endpoints: DaemonEndpoints,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) images: Vec<Image>,
}

/// A condition of a node, which says when it was last written.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct NodeCondition {
    pub(in crate::collectors::kubernetes) r#type: String,
    #[serde(default, deserialize_with = "or_default")]
    status: String,
    pub(in crate::collectors::kubernetes) last_heartbeat_time: Option<Time>,
    pub(in crate::collectors::kubernetes) last_transition_time: Option<Time>,
}

impl NodeCondition {
    pub(in crate::collectors::kubernetes) fn state(&self) -> ConditionStatus {
        self.status.as_str().into()
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct NodeInfo {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) kubelet_version: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) operating_system: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) architecture: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(in crate::collectors::kubernetes) struct Address {
    pub(in crate::collectors::kubernetes) r#type: String,
    pub(in crate::collectors::kubernetes) address: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct DaemonEndpoints {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) kubelet_endpoint: Endpoint,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct Endpoint {
    #[serde(default, rename = "Port")]
    pub(in crate::collectors::kubernetes) port: Option<u16>,
}

#[derive(Debug, Clone, Deserialize)]
pub(in crate::collectors::kubernetes) struct Image {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) names: Vec<String>,
}

/// What is kept of a node.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct NodeRow {
    /// On the cluster's clock.
    pub(in crate::collectors::kubernetes) created: Option<i64>,
    pub(in crate::collectors::kubernetes) schedulable: bool,
    pub(in crate::collectors::kubernetes) disrupted: bool,
    /// Since when it has not been ready, on the cluster's clock; `None` of one that is, or that does not tell.
    pub(in crate::collectors::kubernetes) unready_since: Option<i64>,
    /// When its kubelet last wrote that it is ready.
    pub(in crate::collectors::kubernetes) heartbeat: Heartbeat,
    /// `Ready` is `None` while the node has not been ready since it was created. That is no state of the metric: one
    /// more for each condition of each node would be a tenth of all that a large cluster shows.
    pub(in crate::collectors::kubernetes) conditions: Vec<(Arc<str>, Option<ConditionStatus>)>,
    /// Whether a condition that is not kept says that something is wrong, or may; `None` where all of them are well.
    pub(in crate::collectors::kubernetes) hidden: Option<bool>,
    pub(in crate::collectors::kubernetes) taints: Taints,
    pub(in crate::collectors::kubernetes) allocatable: [Option<f64>; 4],
    pub(in crate::collectors::kubernetes) storage: Option<f64>,
    /// What it has and what it offers, where one of both says that there are some.
    pub(in crate::collectors::kubernetes) gpus: Option<[Option<f64>; 2]>,
    pub(in crate::collectors::kubernetes) gpu_product: Arc<str>,
    pub(in crate::collectors::kubernetes) kubelet: Arc<str>,
    /// `linux/amd64`; empty when the kubelet does not tell.
    pub(in crate::collectors::kubernetes) platform: Arc<str>,
    pub(in crate::collectors::kubernetes) address: Option<(IpAddr, u16)>,
    pub(in crate::collectors::kubernetes) pool: [Arc<str>; 3],
    /// Which of the configured images it has, by their positions.
    pub(in crate::collectors::kubernetes) images: BTreeSet<usize>,
    /// Which of the configured groups it is in, by their positions.
    pub(in crate::collectors::kubernetes) groups: BTreeSet<usize>,
    /// Whether it has all labels that a capacity is counted on.
    pub(in crate::collectors::kubernetes) counts: bool,
    /// What workspaces may ask for beside room, kept where their room is counted.
    pub(in crate::collectors::kubernetes) offers: Offers,
}

/// When a kubelet last wrote its conditions, on the cluster's clock. Another one is no other node: kubelets write every five
/// minutes though nothing has changed.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::collectors::kubernetes) struct Heartbeat(pub(in crate::collectors::kubernetes) Option<i64>);

impl PartialEq for Heartbeat {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What a node has that only some pods ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::collectors::kubernetes) struct Offers {
    pub(in crate::collectors::kubernetes) labels: Labels,
    pub(in crate::collectors::kubernetes) devices: Devices,
}

impl NodeRow {
    /// Whether its kubelet has not been ready since the node was created.
    pub(in crate::collectors::kubernetes) fn never_ready(&self) -> bool {
        self.conditions.iter().any(|(_, state)| state.is_none())
    }

    /// Whether it is being taken away, and no longer silent or not ready than that takes: one that nobody deletes in the
    /// end is a broken node like any other. How long its pods take to leave it before is up to them.
    pub(in crate::collectors::kubernetes) fn is_leaving(&self, now: i64) -> bool {
        let lately = self.unready_since.is_some_and(|since| since > now.saturating_sub(LEAVES));
        self.disrupted && (self.is_ready() || lately)
    }

    /// When its kubelet last wrote, where that is too long ago for one that runs.
    pub(in crate::collectors::kubernetes) fn silent_since(&self, now: i64) -> Option<i64> {
        self.heartbeat.0.filter(|at| *at < now.saturating_sub(BEATS))
    }

    pub(in crate::collectors::kubernetes) fn is_ready(&self) -> bool {
        self.conditions.iter().any(|(condition, state)| &**condition == "Ready" && *state == Some(ConditionStatus::True))
    }

    /// Whether it has not started yet or is being taken away, so that nobody asks it anything.
    pub(in crate::collectors::kubernetes) fn is_passing(&self, now: i64) -> bool {
        self.never_ready() || self.is_leaving(now)
    }

    /// Whether what runs on every node may still be starting on it, or have stopped: it is young, or is being taken away.
    pub(in crate::collectors::kubernetes) fn is_changing(&self, now: i64) -> bool {
        self.is_passing(now) || self.created.is_some_and(|at| at > now.saturating_sub(YOUNG))
    }

    /// The Karpenter pool that it is of; empty for none.
    pub(in crate::collectors::kubernetes) fn pool(&self) -> &str {
        &self.pool[0]
    }

    /// Whether pods can start here now.
    pub(in crate::collectors::kubernetes) fn usable(&self) -> bool {
        self.is_ready() && self.schedulable && !self.disrupted && !self.taints.closed
    }
}
