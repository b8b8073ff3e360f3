//! The parts of a cluster that only some installations have or want.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::collectors::kubernetes::reading::quantity;
use crate::collectors::kubernetes::reading::taints::Toleration;
use crate::value::Span;

/// How kubelets are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "KubeletReach")]
pub enum Reach {
    /// Each kubelet itself; needs `get` on `nodes/stats` and a way to port 10250.
    Kubelet,
    /// Through the API server; needs `get` on `nodes/proxy`, with which one can do far more than read.
    NodeProxy,
    /// Not at all; the checks on node storage are not applicable.
    Off,
}

/// File systems of nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// How kubelets are asked; when left out, directly, or through the API server for clusters of a
    /// kubeconfig, whose identity only the API server knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<Reach>,
    /// Time between rounds over all nodes.
    pub interval: Span,
    /// Deadline of one kubelet's answer.
    pub timeout: Span,
    /// Kubelets that are asked at once.
    pub concurrency: usize,
    /// Pods with the most ephemeral storage that are named.
    pub top_pods: usize,
    /// Claims of which kubelets tell nothing, as the drivers of their volumes cannot say how full they are: `NAMESPACE/CLAIM`,
    /// or `NAMESPACE` for all claims in it. They are not asked about as long as nothing is told of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_statistics: Vec<String>,
    /// PEM certificates that kubelets are verified with; the cluster's when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Accept any certificate of a kubelet, as many clusters have self-signed ones. The token is
    /// then sent to whoever answers.
    pub insecure_skip_verify: bool,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            via: None,
            interval: Span::mins(1),
            timeout: Span::secs(10),
            concurrency: 20,
            top_pods: 20,
            without_statistics: Vec::new(),
            ca_file: None,
            insecure_skip_verify: false,
        }
    }
}

impl Storage {
    /// Whether a claim of a namespace is one of which nothing need be told.
    pub(in crate::collectors::kubernetes) fn leaves_out(&self, (namespace, claim): &(String, String)) -> bool {
        self.without_statistics.iter().any(|entry| entry.split_once('/').map_or(entry == namespace, |(own, name)| own == namespace && name == claim))
    }
}

/// Use of CPU and memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Usage {
    /// Whether to ask metrics.k8s.io.
    pub enabled: bool,
    /// Time between looks; the metrics server itself looks every 15 s.
    pub interval: Span,
    /// Deadline of one look.
    pub timeout: Span,
}

impl Default for Usage {
    fn default() -> Self {
        Self { enabled: true, interval: Span::mins(1), timeout: Span::secs(20) }
    }
}

/// Pods that people work in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceSelector {
    /// Unique name, the `selector` label.
    pub name: String,
    /// Their namespaces.
    pub namespaces: Vec<String>,
    /// Labels that they have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The label that stays the same when a workspace's pod is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_label: Option<String>,
    /// Limits of CPU that their containers may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Range>,
    /// Limits of memory that their containers may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Range>,
    /// The clusters in which they are; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

impl WorkspaceSelector {
    /// Whether it means a pod.
    pub(in crate::collectors::kubernetes) fn takes(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.namespaces.iter().any(|own| own == namespace) && self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}

/// Two quantities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UsageRange")]
pub struct Range {
    /// Not less than this.
    pub min: String,
    /// Not more than this.
    pub max: String,
}

impl Range {
    /// The range in base units; `None` where it is none, which validation reports.
    pub(in crate::collectors::kubernetes) fn bounds(&self) -> Option<std::ops::RangeInclusive<f64>> {
        let (min, max) = (quantity::parse(&self.min)?, quantity::parse(&self.max)?);
        (min <= max).then_some(min..=max)
    }
}

/// Karpenter v1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Karpenter {
    /// Which node classes it has.
    pub node_classes: NodeClasses,
    /// Clusters with EKS Auto Mode beside others that run Karpenter themselves; their node classes are
    /// those of `eks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auto_mode: Vec<String>,
    /// The clusters that have it; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

/// The NVIDIA GPU Operator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GpuOperator {
    /// The clusters that have it; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

/// Nodes of which there must be a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeGroup {
    /// Unique name, the `group` label.
    pub name: String,
    /// Labels that its nodes have; all nodes when empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Whether its nodes have GPUs (`true`), have none (`false`), or either (left out).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<bool>,
    /// What the pods of these nodes tolerate. When left out, taints of somebody's choosing are taken for
    /// those of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Vec<Toleration>>,
    /// How many of them must be ready and take new pods.
    pub at_least: u32,
    /// The clusters that have them; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

/// Kinds of node classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeClasses {
    /// EC2NodeClass of a Karpenter that runs in the cluster.
    Ec2,
    /// NodeClass of EKS Auto Mode.
    Eks,
}

/// How many workspaces fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// The workspace selector whose running pods count as used.
    pub workspaces: String,
    /// CPU that one workspace requests.
    pub cpu: String,
    /// Memory that one workspace requests.
    pub memory: String,
    /// Ephemeral storage that one workspace needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<String>,
    /// Labels of the nodes that workspaces run on; all nodes when empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_labels: BTreeMap<String, String>,
    /// What workspaces tolerate. When left out, what running workspaces of the selector tolerate counts;
    /// while none runs, whether there is room on a node that somebody tainted is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Vec<Toleration>>,
    /// Karpenter pools that make more of these nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodepools: Vec<PoolTemplate>,
    /// Workspaces that one participant starts.
    #[serde(default = "one")]
    pub per_participant: f64,
    /// The share of all participants that each cluster must be able to take.
    #[serde(default = "one")]
    pub share: f64,
    /// The clusters that hold workspaces; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

fn one() -> f64 {
    1.0
}

/// A pool of nodes and what one of its nodes offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolTemplate {
    /// The NodePool's name.
    pub name: String,
    /// Allocatable CPU of a node; that of the pool's largest node when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Allocatable memory of a node; that of the pool's largest node when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Allocatable ephemeral storage of a node; that of the pool's largest node when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<String>,
    /// The most nodes that the pool may have by the quotas of the cloud, with those that it has.
    /// Without it a pool without limits counts for nothing, since nobody knows what it could grow to,
    /// and with a pool that may grow within its limits the headroom is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_nodes: Option<u32>,
}

/// The Prometheus Operator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prometheus {
    /// The clusters that have it; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

/// Backups.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backups {
    /// The namespace of Velero; off when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub velero: Option<String>,
    /// Namespaces of which each volume must have a VolumeSnapshot; off when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_snapshots: Vec<String>,
    /// The clusters that have them; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

/// Something that somebody must be allowed to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// `get`, `create`, `patch`, ...
    pub verb: String,
    /// Plural name, with a subresource after a slash: `deployments`, `pods/log`.
    pub resource: String,
    /// API group; the core group when left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// All namespaces when left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// A user, or `system:serviceaccount:NAMESPACE:NAME`; this program's own identity when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Groups of the subject; those of a service account are added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The clusters in which it is asked; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

/// An object that must exist. Only its metadata is asked for, so the content of a Secret never
/// reaches this program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectRef {
    /// `v1`, `storage.k8s.io/v1`, ...
    #[serde(default = "core")]
    pub api_version: String,
    /// Plural name: `namespaces`, `secrets`, `serviceaccounts`, `customresourcedefinitions`.
    pub resource: String,
    /// Its namespace; left out for cluster-wide kinds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// An annotation that it must have, such as the role of a service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotation: Option<String>,
    /// The uid that it must have. That of the namespace `kube-system` tells which cluster this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The clusters in which it must exist; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

fn core() -> String {
    "v1".to_owned()
}

/// cert-manager, whose certificates are watched in all namespaces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertManager {
    /// Only in these clusters; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

/// The version of a client program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientVersion {
    /// Unique name, the `client` label.
    pub name: String,
    /// Its version: `v1.33.1`.
    pub version: String,
}
