//! Use of CPU and memory, from metrics.k8s.io: of nodes as a share of what they offer, of the
//! configured workloads as a share of their limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;

use super::api;
use super::cluster::{Cluster, PodQuery};
use super::connect::Link;
use super::objects::or_default;
use super::pod::Pod;
use super::resources::{Listed, largest, named};
use crate::driver::Poll;
use crate::metric::{Family, Gauge, Sample, Unit, gauge};
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot};

static NODE_CPU: Gauge<2> = gauge(
    "readiness_node_cpu_used_ratio",
    Unit::Ratio,
    &["cluster", "node"],
    "CPU that a node uses, as a share of its allocatable, cached from the metrics.k8s.io API.",
);
static NODE_MEMORY: Gauge<2> = gauge(
    "readiness_node_memory_used_ratio",
    Unit::Ratio,
    &["cluster", "node"],
    "Working set of a node, as a share of its allocatable memory, cached from the metrics.k8s.io API.",
);
static CONTAINER_CPU: Gauge<5> = gauge(
    "readiness_workload_cpu_limit_used_ratio",
    Unit::Ratio,
    &["cluster", "selector", "kind", "namespace", "name"],
    "CPU of the busiest container of a workload, as a share of its limit, cached from the metrics.k8s.io API.",
);
static CONTAINER_MEMORY: Gauge<5> = gauge(
    "readiness_workload_memory_limit_used_ratio",
    Unit::Ratio,
    &["cluster", "selector", "kind", "namespace", "name"],
    "Working set of the fullest container of a workload, as a share of its limit, cached from the metrics.k8s.io API.",
);

/// Families about nodes, and about workloads.
pub(super) static NODE_FAMILIES: &[&Family] = &[&NODE_CPU.0, &NODE_MEMORY.0];
pub(super) static WORKLOAD_FAMILIES: &[&Family] = &[&CONTAINER_CPU.0, &CONTAINER_MEMORY.0];
/// Families about use.
pub(super) static FAMILIES: &[&Family] = &[&NODE_CPU.0, &NODE_MEMORY.0, &CONTAINER_CPU.0, &CONTAINER_MEMORY.0];

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Meta {
    name: String,
}

#[derive(Deserialize)]
struct NodeMetrics {
    metadata: Meta,
    #[serde(default)]
    usage: Listed,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: Meta,
    #[serde(default, deserialize_with = "or_default")]
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    #[serde(default)]
    usage: Listed,
}

/// Asks the metrics API of one cluster.
pub(super) struct Metrics {
    cluster: Arc<Cluster>,
    link: Link,
    interval: Duration,
    timeout: Duration,
}

impl Metrics {
    pub(super) fn new(cluster: Arc<Cluster>, link: Link, interval: Duration, timeout: Duration) -> Self {
        Self { cluster, link, interval, timeout }
    }

    async fn ask(&self) -> Result<Observation, CollectError> {
        self.cluster.nodes_listed(self.interval).await;
        let allocatable = self.cluster.allocatable();
        let allocatable = allocatable.ok_or_else(|| CollectError::new(ErrorClass::NotFound, "ask metrics.k8s.io: the nodes of the cluster are not known"))?;
        let client = self.link.client().await?;
        let what = "list nodes.metrics.k8s.io";
        let nodes: List<NodeMetrics> = api::get(&client, "/apis/metrics.k8s.io/v1beta1/nodes", what, self.timeout).await?;
        let mut samples = Vec::new();
        let cluster = self.cluster.name();
        for NodeMetrics { metadata, usage } in &nodes.items {
            let Some((name, amounts)) = allocatable.get_key_value(metadata.name.as_str()) else { continue };
            let used = named(usage);
            for (family, at) in [(&NODE_CPU, 0), (&NODE_MEMORY, 1)] {
                let ratio = used[at].zip(amounts[at].filter(|amount| *amount > 0.0)).map(|(used, all)| used / all);
                samples.extend(ratio.map(|ratio| family.sample([Arc::clone(cluster), Arc::clone(name)], ratio)));
            }
        }
        if samples.is_empty() && !allocatable.is_empty() {
            return Err(CollectError::new(ErrorClass::Malformed, format!("{what}: it names none of the cluster's nodes")));
        }
        let queries = self.cluster.workload_pods();
        let calls = 1 + 2 * queries.len() as u64;
        let objects = nodes.items.len();
        for query in queries {
            self.workload(&client, &query, &mut samples).await?;
        }
        Ok(Observation::new(samples, objects, calls))
    }

    /// The fullest container of a workload. Limits are asked for here and not taken from the watch,
    /// which keeps none by container.
    async fn workload(&self, client: &kube::Client, query: &PodQuery, samples: &mut Vec<Sample>) -> Result<(), CollectError> {
        let selector: String = url::form_urlencoded::byte_serialize(query.labels.as_bytes()).collect();
        let namespace = &query.key.namespace;
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods?labelSelector={selector}");
        let used: List<PodMetrics> = api::get(client, &path, "list pods.metrics.k8s.io", self.timeout).await?;
        let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}");
        let pods: List<Pod> = api::get(client, &path, "list pods", self.timeout).await?;
        let limits: BTreeMap<(&str, &str), [Option<f64>; 4]> = pods
            .items
            .iter()
            .flat_map(|pod| pod.spec.containers.iter().map(move |container| (pod, container)))
            .map(|(pod, container)| ((pod.metadata.name.as_deref().unwrap_or_default(), container.name.as_str()), named(&container.resources.limits)))
            .collect();
        let shares = used.items.iter().flat_map(|pod| pod.containers.iter().map(move |container| (pod, container))).filter_map(|(pod, container)| {
            let limits = limits.get(&(pod.metadata.name.as_str(), container.name.as_str()))?;
            let used = named(&container.usage);
            Some([0, 1].map(|at| used[at].zip(limits[at].filter(|limit| *limit > 0.0)).map(|(used, limit)| used / limit)))
        });
        let most = shares.fold([None, None], largest);
        for (family, ratio) in [(&CONTAINER_CPU, most[0]), (&CONTAINER_MEMORY, most[1])] {
            let labels = [self.cluster.name(), &query.selector, &query.kind, namespace, &query.key.name].map(Arc::clone);
            samples.extend(ratio.map(|ratio| family.sample(labels, ratio)));
        }
        Ok(())
    }
}

impl Poll for Metrics {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        self.ask().boxed()
    }
}
