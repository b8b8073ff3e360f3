//! The parts of a cluster that only some installations have or want, and their rules.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use crate::collectors::kubernetes::reading::quantity;
use crate::collectors::kubernetes::reading::taints::Toleration;
use crate::collectors::kubernetes::reading::version;
use crate::value::rules::{References, name, pace, quoted, unique};
use crate::value::{Problem, Span};

/// How kubelets are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
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

/// Whether this names a namespace, or a claim in one.
fn is_claim(entry: &str) -> bool {
    let is_name = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
    entry.splitn(2, '/').all(is_name)
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

impl Config {
    /// What of it concerns a cluster.
    pub(in crate::collectors::kubernetes) fn of(&self, cluster: &str) -> Self {
        let here = |clusters: &[String]| clusters.is_empty() || clusters.iter().any(|name| name == cluster);
        let mut own = self.clone();
        own.workloads.retain(|part| here(&part.clusters));
        own.services.retain(|part| here(&part.clusters));
        own.workspaces.retain(|part| here(&part.clusters));
        own.node_groups.retain(|part| here(&part.clusters));
        own.access.retain(|part| here(&part.clusters));
        own.objects.retain(|part| here(&part.clusters));
        own.karpenter = own.karpenter.filter(|part| here(&part.clusters)).map(|part| {
            let auto = part.auto_mode.iter().any(|name| name == cluster);
            Karpenter { node_classes: if auto { NodeClasses::Eks } else { part.node_classes }, ..part }
        });
        own.gpu_operator = own.gpu_operator.filter(|part| here(&part.clusters));
        own.capacity = own.capacity.filter(|part| here(&part.clusters));
        own.prometheus = own.prometheus.filter(|part| here(&part.clusters));
        own.cert_manager = own.cert_manager.filter(|part| here(&part.clusters));
        own.backups = own.backups.filter(|part| here(&part.clusters));
        own
    }

    /// Reports every rule that the parts break.
    pub(super) fn validate_parts(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        if self.window.0 < Span::secs(10).0 || self.window.0 > Span::days(7).0 {
            problems.push(Problem::new(format!("{path}.window"), "must be between 10s and 7d", self.window));
        }
        pace(&format!("{path}.storage"), self.storage.interval, self.storage.timeout, problems);
        pace(&format!("{path}.usage"), self.usage.interval, self.usage.timeout, problems);
        if !(1..=200).contains(&self.storage.concurrency) {
            problems.push(Problem::new(format!("{path}.storage.concurrency"), "must be between 1 and 200", self.storage.concurrency));
        }
        if self.storage.top_pods > 200 {
            problems.push(Problem::new(format!("{path}.storage.top_pods"), "must be at most 200", self.storage.top_pods));
        }
        let unmeasured = &self.storage.without_statistics;
        unique(&format!("{path}.storage.without_statistics"), unmeasured.iter().map(String::as_str), problems);
        for (at, entry) in unmeasured.iter().enumerate().filter(|(_, entry)| !is_claim(entry)) {
            problems.push(Problem::new(format!("{path}.storage.without_statistics[{at}]"), "must be NAMESPACE or NAMESPACE/CLAIM", quoted(entry)));
        }
        self.validate_workspaces(path, references, problems);
        self.validate_clusters(path, references, problems);
        unique(&format!("{path}.node_groups"), self.node_groups.iter().map(|group| group.name.as_str()), problems);
        unique(&format!("{path}.clients"), self.clients.iter().map(|client| client.name.as_str()), problems);
        for (index, client) in self.clients.iter().enumerate() {
            if version::minor(&client.version).is_none() {
                problems.push(Problem::new(format!("{path}.clients[{index}].version"), "must be a version such as v1.33.1", quoted(&client.version)));
            }
        }
        let groups = self.node_groups.iter().enumerate().map(|(at, group)| (format!("{path}.node_groups[{at}]"), &group.tolerations));
        for (path, tolerations) in groups.chain(self.capacity.iter().map(|part| (format!("{path}.capacity"), &part.tolerations))) {
            for (at, toleration) in tolerations.iter().flatten().enumerate() {
                toleration.validate(&format!("{path}.tolerations[{at}]"), problems);
            }
        }
        for (index, object) in self.objects.iter().enumerate() {
            let path = format!("{path}.objects[{index}]");
            name(&format!("{path}.resource"), &object.resource, problems);
            name(&format!("{path}.name"), &object.name, problems);
        }
    }

    fn validate_workspaces(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        unique(&format!("{path}.workspaces"), self.workspaces.iter().map(|selector| selector.name.as_str()), problems);
        let amount = |path: String, text: &str, problems: &mut Vec<Problem>| {
            if quantity::parse(text).is_none_or(|amount| amount <= 0.0) {
                problems.push(Problem::new(path, "must be a quantity above 0 such as 500m or 4Gi", quoted(text)));
            }
        };
        for (index, selector) in self.workspaces.iter().enumerate() {
            let path = format!("{path}.workspaces[{index}]");
            name(&format!("{path}.name"), &selector.name, problems);
            if selector.namespaces.is_empty() {
                problems.push(Problem::bare(format!("{path}.namespaces"), "must name at least one namespace"));
            }
            for (field, range) in [("cpu", &selector.cpu), ("memory", &selector.memory)] {
                if range.as_ref().is_some_and(|range| range.bounds().is_none()) {
                    problems.push(Problem::bare(format!("{path}.{field}"), "must have min and max that are quantities, min first"));
                }
            }
        }
        let Some(capacity) = &self.capacity else { return };
        let path = format!("{path}.capacity");
        let own =
            [Some(("cpu", &capacity.cpu)), Some(("memory", &capacity.memory)), capacity.ephemeral_storage.as_ref().map(|text| ("ephemeral_storage", text))];
        for (field, text) in own.into_iter().flatten() {
            amount(format!("{path}.{field}"), text, problems);
        }
        for (index, pool) in capacity.nodepools.iter().enumerate() {
            let sizes = [("cpu", &pool.cpu), ("memory", &pool.memory), ("ephemeral_storage", &pool.ephemeral_storage)];
            for (field, text) in sizes {
                if let Some(text) = text {
                    amount(format!("{path}.nodepools[{index}].{field}"), text, problems);
                }
            }
        }
        if references.complete() && !self.workspaces.iter().any(|selector| selector.name == capacity.workspaces) {
            let known = self.workspaces.iter().map(|selector| selector.name.as_str());
            let hint = crate::word::did_you_mean(&capacity.workspaces, known);
            problems.push(Problem::new(format!("{path}.workspaces"), format!("must name a selector of workspaces{hint}"), quoted(&capacity.workspaces)));
        }
        for (field, value) in [("per_participant", capacity.per_participant), ("share", capacity.share)] {
            if !(value > 0.0 && value <= 100.0) {
                problems.push(Problem::new(format!("{path}.{field}"), "must be above 0 and at most 100", value));
            }
        }
        if !(self.nodes && self.pods) {
            problems.push(Problem::bare(path, "needs nodes and pods"));
        }
    }

    fn validate_clusters(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        let mut named: Vec<(String, &[String])> = Vec::new();
        let parts = [
            ("karpenter", self.karpenter.as_ref().map(|part| &part.clusters)),
            ("capacity", self.capacity.as_ref().map(|part| &part.clusters)),
            ("gpu_operator", self.gpu_operator.as_ref().map(|part| &part.clusters)),
            ("prometheus", self.prometheus.as_ref().map(|part| &part.clusters)),
            ("cert_manager", self.cert_manager.as_ref().map(|part| &part.clusters)),
            ("backups", self.backups.as_ref().map(|part| &part.clusters)),
        ];
        named.extend(parts.into_iter().filter_map(|(part, clusters)| Some((format!("{path}.{part}"), clusters?.as_slice()))));
        named.extend(self.workspaces.iter().enumerate().map(|(at, part)| (format!("{path}.workspaces[{at}]"), part.clusters.as_slice())));
        named.extend(self.node_groups.iter().enumerate().map(|(at, part)| (format!("{path}.node_groups[{at}]"), part.clusters.as_slice())));
        named.extend(self.access.iter().enumerate().map(|(at, part)| (format!("{path}.access[{at}]"), part.clusters.as_slice())));
        named.extend(self.objects.iter().enumerate().map(|(at, part)| (format!("{path}.objects[{at}]"), part.clusters.as_slice())));
        if let Some(part) = &self.karpenter {
            for (position, cluster) in part.auto_mode.iter().enumerate() {
                let path = format!("{path}.karpenter.auto_mode[{position}]");
                references.cluster(&path, cluster, problems);
                if !part.clusters.is_empty() && !part.clusters.contains(cluster) {
                    problems.push(Problem::new(path, "must be one of karpenter.clusters", quoted(cluster)));
                }
            }
        }
        for (path, clusters) in named {
            for (position, cluster) in clusters.iter().enumerate() {
                references.cluster(&format!("{path}.clusters[{position}]"), cluster, problems);
            }
        }
    }
}
