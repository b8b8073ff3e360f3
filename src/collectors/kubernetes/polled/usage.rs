//! Use of CPU and memory, from metrics.k8s.io: of nodes as a share of what they offer, of the
//! configured workloads as a share of their limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::Deserialize;

use super::NODES_FIRST;
use crate::collectors::kubernetes::client::api;
use crate::collectors::kubernetes::client::connect::Link;
use crate::collectors::kubernetes::cluster::{Cluster, PodQuery, Size};
use crate::collectors::kubernetes::polled::replicas::{self, WORKLOAD_KINDS};
use crate::collectors::kubernetes::reading::clock::now;
use crate::collectors::kubernetes::reading::objects::or_default;
use crate::collectors::kubernetes::reading::resources::{Listed, amounts, largest};
use crate::driver::Poll;
use crate::metric::{Coverage, Gauge, StateSet, Unit, gauge, metrics, state_set, states};
use crate::say;
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot};

const NODE_STATES: &str = "readiness_node_usage_state";
const NODE_SEEN: Coverage = Coverage::of(NODE_STATES, &[NodeUse::Reported.as_str(), NodeUse::Starting.as_str()]);
const WORKLOAD_STATES: &str = "readiness_workload_usage_state";
const WORKLOAD_SEEN: Coverage = Coverage {
    kinds: WORKLOAD_KINDS,
    ..Coverage::of(WORKLOAD_STATES, &[WorkloadUse::Reported.as_str(), WorkloadUse::Unlimited.as_str(), WorkloadUse::Starting.as_str()]).quiet()
};
const WORKLOAD: [&str; 5] = ["cluster", "selector", "kind", "namespace", "name"];

/// For how long a node or a pod may be without metrics: the metrics server needs two looks, at
/// most 15 s apart by default, at a kubelet that must have registered first.
const START: i64 = 120;

states! {
    /// Whether the use of a node is reported.
    enum NodeUse {
        Reported => "reported",
        Starting => "starting",
        Missing => "missing",
    }
}

states! {
    /// Whether the use of a workload is reported.
    enum WorkloadUse {
        Reported => "reported",
        Unlimited => "unlimited",
        Starting => "starting",
        Missing => "missing",
    }
}

metrics! {
    /// Families about use.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about what nodes use.
    pub(in crate::collectors::kubernetes) NODE_FAMILIES {
        static NODE_STATE: StateSet<NodeUse, 2> = state_set(
            NODE_STATES,
            &["cluster", "node"],
            "Whether the metrics.k8s.io API reports the use of a node; starting while the node is younger than two minutes.",
        );
        static NODE_CPU: Gauge<2> = gauge(
            "readiness_node_cpu_used_ratio",
            Unit::Ratio,
            &["cluster", "node"],
            "CPU that a node uses, as a share of its allocatable, cached from the metrics.k8s.io API.",
        )
        .covered_by(NODE_SEEN);
        static NODE_MEMORY: Gauge<2> = gauge(
            "readiness_node_memory_used_ratio",
            Unit::Ratio,
            &["cluster", "node"],
            "Working set of a node, as a share of its allocatable memory, cached from the metrics.k8s.io API.",
        )
        .covered_by(NODE_SEEN);
    }

    /// Families about what containers of workloads use.
    pub(in crate::collectors::kubernetes) WORKLOAD_FAMILIES {
        static WORKLOAD_STATE: StateSet<WorkloadUse, 5> = state_set(
            WORKLOAD_STATES,
            &WORKLOAD,
            "Whether the metrics.k8s.io API reports the use of all running containers of a workload; unlimited when none has a limit to compare it with.",
        );
        static CONTAINER_CPU: Gauge<5> = gauge(
            "readiness_workload_cpu_limit_used_ratio",
            Unit::Ratio,
            &WORKLOAD,
            "CPU of the busiest container of a workload, or of all in a pod with a limit of its own, as a share of the limit, cached from the metrics.k8s.io API.",
        )
        .covered_by(WORKLOAD_SEEN);
        static CONTAINER_MEMORY: Gauge<5> = gauge(
            "readiness_workload_memory_limit_used_ratio",
            Unit::Ratio,
            &WORKLOAD,
            "Working set of the fullest container of a workload, or of all in a pod with a limit of its own, as a share of the limit, cached from the metrics.k8s.io API.",
        )
        .covered_by(WORKLOAD_SEEN);
    }
}

#[derive(Deserialize)]
struct Meta {
    name: String,
}

#[derive(Deserialize)]
struct NodeMetrics {
    metadata: Meta,
    /// When its use was measured.
    timestamp: Option<Timestamp>,
    #[serde(default)]
    usage: Listed,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: Meta,
    timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "or_default")]
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    #[serde(default)]
    usage: Listed,
}

/// What the containers of a workload use.
struct Use {
    state: WorkloadUse,
    /// The largest shares of their limits of CPU and memory.
    most: [Option<f64>; 2],
}

/// Asks the metrics API of one cluster.
pub(in crate::collectors::kubernetes) struct Metrics {
    cluster: Arc<Cluster>,
    link: Link,
    interval: Duration,
    timeout: Duration,
}

/// What to do where nobody has it.
const NOT_INSTALLED: &str = "Install the metrics server, or set `usage: { enabled: false }` in collectors.kubernetes.";

impl Metrics {
    pub(in crate::collectors::kubernetes) fn new(cluster: Arc<Cluster>, link: Link, interval: Duration, timeout: Duration) -> Self {
        Self { cluster, link, interval, timeout }
    }

    async fn ask(&self) -> Result<Observation, CollectError> {
        self.cluster.nodes_listed(self.interval).await;
        let sizes = self.cluster.sizes();
        let sizes =
            sizes.ok_or_else(|| CollectError::new(ErrorClass::NotFound, "ask metrics.k8s.io: the nodes of the cluster are not known").fixed_by(NODES_FIRST))?;
        let client = self.link.client().await?;
        let what = &say!("list nodes.metrics.k8s.io");
        let nodes: Result<Vec<NodeMetrics>, _> = api::list(&client, "/apis/metrics.k8s.io/v1beta1/nodes", what, self.timeout).await;
        // Nothing else answers so: an API that is installed and down is a 503.
        let absent = |error: CollectError| match error.class {
            ErrorClass::NotFound => {
                CollectError::new(ErrorClass::NotFound, say!("{}: metrics.k8s.io is not installed in this cluster", what).fixed_by(NOT_INSTALLED))
            }
            _ => error,
        };
        let nodes = nodes.map_err(absent)?;
        let used: BTreeMap<&str, &NodeMetrics> = nodes.iter().map(|node| (node.metadata.name.as_str(), node)).collect();
        if !sizes.is_empty() && !sizes.keys().any(|name| used.contains_key(&**name)) {
            return Err(CollectError::new(ErrorClass::Malformed, say!("{}: it names none of the cluster's nodes", what)));
        }
        let mut samples = Vec::new();
        for (name, Size { created, never_ready, leaving, offered }) in &sizes {
            let labels = || [Arc::clone(&self.cluster.name), Arc::clone(name)];
            let told = used.get(&**name);
            let stale = told.and_then(|node| self.cluster.clock.stale(node.timestamp?));
            let used = told.filter(|_| stale.is_none()).map(|node| amounts(&node.usage)).unwrap_or_default();
            let ratio = |at: usize| Some(used[at]? / offered[at].filter(|amount| *amount > 0.0)?);
            let state = match (ratio(0), ratio(1)) {
                (Some(cpu), Some(memory)) => {
                    samples.extend([NODE_CPU.sample(labels(), cpu), NODE_MEMORY.sample(labels(), memory)]);
                    NodeUse::Reported
                }
                _ if *leaving => continue,
                _ if *never_ready || now().saturating_sub(*created) < START => NodeUse::Starting,
                _ => NodeUse::Missing,
            };
            let told = NODE_STATE.sample(labels(), state);
            samples.push(match (state, stale) {
                (NodeUse::Missing, Some(age)) => told.with_detail(say!("what the metrics API reports of it is {} old", age)),
                (NodeUse::Missing, None) => told.with_detail("the metrics API does not report its use"),
                (NodeUse::Reported | NodeUse::Starting, _) => told,
            });
        }
        let (workloads, calls) = replicas::of_each(&self.cluster, |query| self.workload(&client, query)).await;
        for (labels, uses) in workloads {
            match uses {
                Err(why) => samples.push(WORKLOAD_STATE.sample(labels, WorkloadUse::Missing).with_detail(&why)),
                Ok(Use { state, most }) => {
                    samples.push(WORKLOAD_STATE.sample(labels.clone(), state));
                    for (family, ratio) in [(&CONTAINER_CPU, most[0]), (&CONTAINER_MEMORY, most[1])] {
                        samples.extend(ratio.map(|ratio| family.sample(labels.clone(), ratio)));
                    }
                }
            }
        }
        let objects = nodes.len();
        Ok(Observation::new(samples, objects, 1 + 2 * calls))
    }

    /// The fullest container of a workload. Limits are asked for here and not taken from the watch,
    /// which keeps none by container.
    async fn workload(&self, client: &kube::Client, query: PodQuery) -> Result<Use, CollectError> {
        let path = format!("/apis/metrics.k8s.io/v1beta1/{}", query.path());
        let used: Vec<PodMetrics> = api::list(client, &path, &say!("list pods.metrics.k8s.io"), self.timeout).await?;
        let pods = replicas::list(client, &query, self.timeout).await?;
        let uses: BTreeMap<(&str, &str), [Option<f64>; 4]> = used
            .iter()
            .filter(|pod| pod.timestamp.is_none_or(|taken| self.cluster.clock.stale(taken).is_none()))
            .flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)))
            .map(|(pod, container)| ((pod.metadata.name.as_str(), container.name.as_str()), amounts(&container.usage)))
            .collect();
        let (mut most, mut missing, mut starting) = ([None, None], false, false);
        for pod in pods.iter().filter(|pod| pod.is_running()) {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let young = pod.metadata.creation_timestamp.as_ref().is_some_and(|time| now().saturating_sub(self.cluster.clock.ours(time)) < START);
            let sidecars = pod.spec.init_containers.iter().filter(|container| container.is_sidecar());
            let (whole, mut together) = (pod.whole_limits(), [Some(0.0); 4]);
            for container in pod.spec.containers.iter().chain(sidecars) {
                let limits = pod.container_limits(container);
                match uses.get(&(name, container.name.as_str())) {
                    Some(used) => {
                        most = largest(most, [0, 1].map(|at| Some(used[at]? / limits[at].filter(|limit| *limit > 0.0)?)));
                        let silent = |at: usize| used[at].is_none() && limits[at].or(whole[at]).is_some();
                        together = [0, 1, 2, 3].map(|at| Some(together[at]? + used[at]?));
                        missing |= silent(0) || silent(1);
                    }
                    None if young => starting = true,
                    None => missing = true,
                }
            }
            most = largest(most, [0, 1].map(|at| Some(together[at]? / whole[at].filter(|limit| *limit > 0.0)?)));
        }
        let state = match most {
            _ if missing => WorkloadUse::Missing,
            _ if starting => WorkloadUse::Starting,
            [None, None] => WorkloadUse::Unlimited,
            _ => WorkloadUse::Reported,
        };
        Ok(Use { state, most })
    }
}

impl Poll for Metrics {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        self.ask().boxed()
    }
}
