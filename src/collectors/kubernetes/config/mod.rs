//! Configuration of clusters and of what is watched in them, and its rules.

mod once;
mod parts;
mod rules;

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::collectors::kubernetes::reading::version;
use crate::value::rules::{References, name, pace, quoted, secret, unique};
use crate::value::{Problem, SecretRef, Span, Url, UrlRule};

pub use crate::collectors::kubernetes::reading::taints::{Operator, Toleration};
pub use parts::{
    Access, Backups, Capacity, CertManager, ClientVersion, GpuOperator, Karpenter, NodeClasses, NodeGroup, ObjectRef, PoolTemplate, Prometheus, Range, Reach,
    Storage, Usage, WorkspaceSelector,
};

/// How a cluster is reached: in-cluster, by kubeconfig, or by server, CA and token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterConfig {
    /// Unique name, the `cluster` label.
    pub name: String,
    /// Use the service account of the pod that this program runs in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_cluster: bool,
    /// A kubeconfig file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; its current one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// URL of the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Url>,
    /// PEM certificates that the API server's is verified with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A bearer token; a file is read again every minute, so that it may rotate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
    /// An EKS cluster by name and region; its token is signed by this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eks: Option<Eks>,
    /// The version that it should have: `1.33` for any patch of it, or `v1.33.4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// URL of a proxy to the API server; with `kubeconfig` the one that the file names is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Url>,
}

/// An EKS cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Eks {
    /// The cluster's name in AWS.
    pub name: String,
    /// Its region.
    pub region: String,
    /// A role to assume first, for clusters of other accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// A profile of the files of AWS that is asked with, whatever the environment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// What to watch. What every cluster can answer is on; what only some have is off until it is named
/// here, and the checks on it are not applicable until then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the file")]
#[schemars(rename = "KubernetesCollector")]
pub struct Config {
    /// How often an unchanged view is confirmed.
    pub interval: Span,
    /// Deadline of the first view and of each confirmation.
    pub timeout: Span,
    /// How far back evictions, restarts, kills, warnings and image pulls are counted.
    pub window: Span,
    /// Whether to watch nodes.
    pub nodes: bool,
    /// Whether to watch pods.
    pub pods: bool,
    /// Whether to watch warning events and image pulls.
    pub events: bool,
    /// Whether to watch ResourceQuotas and LimitRanges.
    pub quotas: bool,
    /// Whether to watch StorageClasses.
    pub storage_classes: bool,
    /// Whether to watch IngressClasses.
    pub ingress_classes: bool,
    /// File systems of nodes, from their kubelets; needs nodes and pods.
    pub storage: Storage,
    /// Use of CPU and memory, from metrics.k8s.io; needs nodes.
    pub usage: Usage,
    /// Workloads by selector.
    pub workloads: Vec<Selector>,
    /// Services whose load balancers matter.
    pub services: Vec<ServiceRef>,
    /// Pods that people work in.
    pub workspaces: Vec<WorkspaceSelector>,
    /// Nodes of which there must be a number.
    pub node_groups: Vec<NodeGroup>,
    /// Images that every node should have cached.
    pub images: Vec<String>,
    /// Karpenter or EKS Auto Mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub karpenter: Option<Karpenter>,
    /// The NVIDIA GPU Operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_operator: Option<GpuOperator>,
    /// How many workspaces fit; needs nodes, pods and a workspace selector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// The Prometheus Operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
    /// cert-manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_manager: Option<CertManager>,
    /// Velero and VolumeSnapshots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backups: Option<Backups>,
    /// What somebody must be allowed to do.
    pub access: Vec<Access>,
    /// Single objects that must exist.
    pub objects: Vec<ObjectRef>,
    /// Versions of client programs, compared with the servers'.
    pub clients: Vec<ClientVersion>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Span::secs(15),
            timeout: Span::secs(10),
            window: Span::hours(1),
            nodes: true,
            pods: true,
            events: true,
            quotas: true,
            storage_classes: true,
            ingress_classes: true,
            storage: Storage::default(),
            usage: Usage::default(),
            workloads: Vec::new(),
            services: Vec::new(),
            workspaces: Vec::new(),
            node_groups: Vec::new(),
            images: Vec::new(),
            karpenter: None,
            gpu_operator: None,
            capacity: None,
            prometheus: None,
            cert_manager: None,
            backups: None,
            access: Vec::new(),
            objects: Vec::new(),
            clients: Vec::new(),
        }
    }
}

/// A kind of workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    /// apps/v1
    Deployment,
    /// apps/v1
    StatefulSet,
    /// apps/v1
    DaemonSet,
    /// batch/v1
    CronJob,
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Workloads that belong together; checks select by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WorkloadSelector")]
pub struct Selector {
    /// Unique name, the `selector` label.
    pub name: String,
    /// Kind of the objects.
    pub kind: WorkloadKind,
    /// Their namespace.
    pub namespace: String,
    /// A label selector, as `kubectl -l` takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// Their names; all that the label selector finds when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The clusters in which they must exist; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    /// Whether its pods must have been given an AWS role, by their service account's annotation or
    /// by EKS Pod Identity. Pods that are older than the annotation have none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aws_role: bool,
    /// Replicas by the number of participants: the band with the highest `above` that is passed
    /// counts, so the first is usually `{ above: 0, .. }`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaBand>,
}

/// Replicas for more than this many participants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicaBand {
    /// Participants above this number.
    pub above: u32,
    /// Replicas that must be ready then.
    pub replicas: u32,
    /// Whether that is advice: fewer are told by checks that ask about advice as well, such as `LiteLlmBelowDemand`, and do not
    /// fail `WorkloadBelowDemand`, which asks for the highest band below it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advice: bool,
}

impl Selector {
    /// Replicas that it has even when nobody comes: those of a band above 0, none without one.
    pub(super) fn baseline(&self) -> u32 {
        self.replicas.first().filter(|band| band.above == 0 && !band.advice).map_or(0, |band| band.replicas)
    }

    /// Reports bands that nothing could miss.
    fn validate_bands(&self, path: &str, problems: &mut Vec<Problem>) {
        let path = format!("{path}.replicas");
        if !self.replicas.is_sorted_by(|a, b| a.above < b.above) {
            problems.push(Problem::bare(&path, "must list bands by rising above"));
        }
        if matches!(self.kind, WorkloadKind::CronJob) && !self.replicas.is_empty() {
            problems.push(Problem::bare(&path, "must be left out for a CronJob, which has no replicas"));
        }
        for (at, _) in self.replicas.iter().enumerate().filter(|(_, band)| band.replicas == 0) {
            problems.push(Problem::new(format!("{path}[{at}].replicas"), "must be above 0, because no workload has fewer", 0));
        }
    }

    /// Replicas that this many participants ask for, with bands that are advice and without them.
    pub(super) fn required(&self, participants: u32) -> [u32; 2] {
        let passed = |advice: bool| self.replicas.iter().rev().find(move |band| participants > band.above && (advice || !band.advice));
        [true, false].map(|advice| passed(advice).map_or(0, |band| band.replicas))
    }
}

/// A Service whose load balancer matters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The address that its load balancer must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The clusters in which it must exist; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

impl ClusterConfig {
    /// Reports every rule that this cluster breaks.
    pub(crate) fn validate(&self, path: &str, problems: &mut Vec<Problem>) {
        name(&format!("{path}.name"), &self.name, problems);
        let ways = [self.in_cluster, self.kubeconfig.is_some(), self.server.is_some(), self.eks.is_some()];
        if ways.iter().filter(|way| **way).count() != 1 {
            problems.push(Problem::bare(path, "must have exactly one of in_cluster: true, kubeconfig, server and eks"));
        }
        if let Some(version) = self.version.as_ref().filter(|version| version::minor(version).is_none()) {
            problems.push(Problem::new(format!("{path}.version"), "must be a version such as 1.33 or v1.33.4", quoted(version)));
        }
        if let Some(eks) = &self.eks {
            eks.validate(&format!("{path}.eks"), problems);
        }
        if let Some(proxy) = &self.proxy {
            proxy.validate(&format!("{path}.proxy"), UrlRule { schemes: &["http", "https"], wildcard: false }, problems);
        }
        if self.context.is_some() && self.kubeconfig.is_none() {
            problems.push(Problem::bare(format!("{path}.context"), "must come with kubeconfig"));
        }
        if let Some(server) = &self.server {
            server.validate(&format!("{path}.server"), UrlRule::HTTPS, problems);
            if self.token.is_none() {
                problems.push(Problem::bare(format!("{path}.token"), "must be set with server"));
            }
        } else if self.token.is_some() || self.ca_file.is_some() {
            problems.push(Problem::bare(path, "must have token and ca_file only with server"));
        }
        if let Some(token) = &self.token {
            secret(&format!("{path}.token"), token, problems);
        }
    }
}

impl Eks {
    fn validate(&self, path: &str, problems: &mut Vec<Problem>) {
        name(&format!("{path}.name"), &self.name, problems);
        name(&format!("{path}.region"), &self.region, problems);
        if let Some(role) = self.role_arn.as_ref().filter(|role| !(role.starts_with("arn:") && role.contains(":iam::") && role.contains(":role/"))) {
            problems.push(Problem::new(format!("{path}.role_arn"), "must be the ARN of a role, arn:aws:iam::123456789012:role/name", quoted(role)));
        }
    }
}

impl Config {
    /// Reports every rule that this section breaks.
    pub(crate) fn validate(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        if references.complete() && references.clusters.is_empty() {
            problems.push(Problem::bare("clusters", "must name at least one cluster while collectors.kubernetes is on"));
        }
        pace(path, self.interval, self.timeout, problems);
        unique(&format!("{path}.workloads"), self.workloads.iter().map(|selector| selector.name.as_str()), problems);
        for (index, selector) in self.workloads.iter().enumerate() {
            let path = format!("{path}.workloads[{index}]");
            name(&format!("{path}.name"), &selector.name, problems);
            name(&format!("{path}.namespace"), &selector.namespace, problems);
            if selector.labels.is_none() && selector.names.is_empty() {
                problems.push(Problem::bare(&path, "must have labels or names"));
            }
            selector.validate_bands(&path, problems);
            for (position, cluster) in selector.clusters.iter().enumerate() {
                references.cluster(&format!("{path}.clusters[{position}]"), cluster, problems);
            }
        }
        self.validate_parts(path, references, problems);
        self.validate_once(path, problems);
        let overlap = |a: &[String], b: &[String]| a.is_empty() || b.is_empty() || a.iter().any(|cluster| b.contains(cluster));
        let same = |a: &ServiceRef, b: &ServiceRef| a.namespace == b.namespace && a.name == b.name && overlap(&a.clusters, &b.clusters);
        for (index, service) in self.services.iter().enumerate() {
            if let Some(first) = self.services[..index].iter().position(|other| same(other, service)) {
                let rule = format!("must not name the Service of {path}.services[{first}] in the same cluster again");
                problems.push(Problem::new(format!("{path}.services[{index}]"), rule, quoted(&format!("{}/{}", service.namespace, service.name))));
            }
        }
        for (index, service) in self.services.iter().enumerate() {
            let path = format!("{path}.services[{index}]");
            name(&format!("{path}.namespace"), &service.namespace, problems);
            name(&format!("{path}.name"), &service.name, problems);
            for (position, cluster) in service.clusters.iter().enumerate() {
                references.cluster(&format!("{path}.clusters[{position}]"), cluster, problems);
            }
        }
    }
}
