//! Configuration of clusters and of what is watched in them, and its rules.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::validate::{References, name, pace, quoted, secret, unique};
use crate::config::{Problem, SecretRef, Span};

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
    pub server: Option<String>,
    /// PEM certificates that the API server's is verified with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A bearer token; a file is read again when the token is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
}

/// What to watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often an unchanged view is confirmed.
    pub interval: Span,
    /// Deadline of the first view and of each confirmation.
    pub timeout: Span,
    /// Whether to watch nodes.
    pub nodes: bool,
    /// Workloads by selector.
    pub workloads: Vec<Selector>,
    /// Services whose load balancers matter.
    pub services: Vec<ServiceRef>,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: Span::secs(15), timeout: Span::secs(10), nodes: true, workloads: Vec::new(), services: Vec::new() }
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
}

/// A Service whose load balancer matters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The clusters in which it must exist; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

impl ClusterConfig {
    /// Reports every rule that this cluster breaks.
    pub(crate) fn validate(&self, path: &str, problems: &mut Vec<Problem>) {
        name(&format!("{path}.name"), &self.name, problems);
        let ways = [self.in_cluster, self.kubeconfig.is_some(), self.server.is_some()];
        if ways.iter().filter(|way| **way).count() != 1 {
            problems.push(Problem::bare(path, "must have exactly one of in_cluster: true, kubeconfig and server"));
        }
        if self.context.is_some() && self.kubeconfig.is_none() {
            problems.push(Problem::bare(format!("{path}.context"), "must come with kubeconfig"));
        }
        if let Some(server) = &self.server {
            if url::Url::parse(server).is_ok_and(|url| url.scheme() == "https") {
                if self.token.is_none() {
                    problems.push(Problem::bare(format!("{path}.token"), "must be set with server"));
                }
            } else {
                problems.push(Problem::new(format!("{path}.server"), "must be an https URL", quoted(server)));
            }
        } else if self.token.is_some() || self.ca_file.is_some() {
            problems.push(Problem::bare(path, "must have token and ca_file only with server"));
        }
        if let Some(token) = &self.token {
            secret(&format!("{path}.token"), token, problems);
        }
    }
}

impl Config {
    /// Reports every rule that this section breaks.
    pub(crate) fn validate(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        pace(path, self.interval, self.timeout, problems);
        unique(&format!("{path}.workloads"), self.workloads.iter().map(|selector| selector.name.as_str()), problems);
        for (index, selector) in self.workloads.iter().enumerate() {
            let path = format!("{path}.workloads[{index}]");
            name(&format!("{path}.name"), &selector.name, problems);
            name(&format!("{path}.namespace"), &selector.namespace, problems);
            if selector.labels.is_none() && selector.names.is_empty() {
                problems.push(Problem::bare(&path, "must have labels or names"));
            }
            for (position, cluster) in selector.clusters.iter().enumerate() {
                references.cluster(&format!("{path}.clusters[{position}]"), cluster, problems);
            }
        }
        let services: Vec<String> = self.services.iter().map(|service| format!("{}/{}", service.namespace, service.name)).collect();
        unique(&format!("{path}.services"), services.iter().map(String::as_str), problems);
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
