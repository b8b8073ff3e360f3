//! The pods of the configured workloads, asked for by their labels: restarts since the rollout that
//! made them, and whether they were given the role that they need.
//!
//! Asked for and not taken from the watch of all pods, which keeps neither names nor labels.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};

use super::api::{self, List};
use super::cluster::{Cluster, PodQuery, Unasked};
use super::connect::Link;
use super::pod::Pod;
use crate::driver::Poll;
use crate::metric::{Coverage, Family, Gauge, StateSet, Unit, gauge, state_set};
use crate::snapshot::{CollectError, Observation, Snapshot};

const WORKLOAD: [&str; 5] = ["cluster", "selector", "kind", "namespace", "name"];

/// Kinds of workloads that have pods of their own.
pub(super) const WORKLOAD_KINDS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet"];
const STATES: &str = "readiness_workload_pods_state";
const SEEN: Coverage = Coverage { states: STATES, seen: &["seen"], kinds: WORKLOAD_KINDS, quiet: false };

static STATE: StateSet<5> =
    state_set(STATES, &["seen", "unseen"], &WORKLOAD, "Whether the pods of a workload could be asked for; unseen as well when there is no such workload.");
static RESTARTS: Gauge<5> = gauge(
    "readiness_workload_restarts",
    Unit::Number,
    &WORKLOAD,
    "Restarts of the containers that a workload runs now, which its last rollout made, cached from the Kubernetes API.",
)
.covered_by(SEEN);
static ROLE: StateSet<5> = state_set(
    "readiness_workload_aws_role_state",
    &["given", "missing", "unknown"],
    &WORKLOAD,
    "Whether all pods of a workload that needs an AWS role were given one when they were created, cached from the Kubernetes API.",
);

/// Families about restarts, and about roles.
pub(super) static RESTART_FAMILIES: &[&Family] = &[&STATE.0, &RESTARTS.0];
pub(super) static ROLE_FAMILIES: &[&Family] = &[&ROLE.0];
/// Families about the pods of workloads.
pub(super) static FAMILIES: &[&Family] = &[&STATE.0, &RESTARTS.0, &ROLE.0];

/// Asks for the pods of the workloads of one cluster.
pub(super) struct Replicas {
    cluster: Arc<Cluster>,
    link: Link,
    timeout: Duration,
}

impl Replicas {
    pub(super) fn new(cluster: Arc<Cluster>, link: Link, timeout: Duration) -> Self {
        Self { cluster, link, timeout }
    }

    async fn ask(&self) -> Result<Observation, CollectError> {
        let client = self.link.client().await?;
        self.cluster.workloads_listed(self.timeout).await;
        let (workloads, calls) = of_each(&self.cluster, |query| {
            let client = client.clone();
            async move { list(&client, &query, self.timeout).await }
        })
        .await;
        let count = workloads.len();
        let mut samples = Vec::new();
        for (labels, pods) in workloads {
            let needs_role = self.cluster.config.workloads.iter().any(|selector| selector.aws_role && *selector.name == *labels[1]);
            let role = |state: &str, detail: &str| needs_role.then(|| ROLE.sample(labels.clone(), state).with_detail(detail));
            let pods = match pods {
                Ok(pods) => pods,
                Err(why) => {
                    samples.push(STATE.sample(labels.clone(), "unseen").with_detail(&why));
                    samples.extend(role("unknown", &why));
                    continue;
                }
            };
            samples.push(STATE.sample(labels.clone(), "seen"));
            let restarts = pods.iter().map(Pod::restarts).fold(0, u32::saturating_add);
            samples.push(RESTARTS.sample(labels.clone(), f64::from(restarts)));
            let without = pods.iter().filter(|pod| !pod.has_aws_role()).count();
            samples.extend(role(if without == 0 { "given" } else { "missing" }, &format!("{without} of {} pods have none", pods.len())));
        }
        Ok(Observation::new(samples, count, calls))
    }
}

/// Workloads that are asked about at once.
const CONCURRENCY: usize = 8;

/// Asks about every configured workload, some at once; what could not be asked has its reason, so
/// that one refusal costs one workload. With the number of workloads that were asked about.
pub(super) async fn of_each<T, F: Future<Output = Result<T, CollectError>>>(
    cluster: &Cluster,
    ask: impl Fn(PodQuery) -> F,
) -> (Vec<([Arc<str>; 5], Result<T, String>)>, u64) {
    let (mut queries, mut unasked) = (Vec::new(), Vec::new());
    for workload in cluster.workload_pods() {
        match workload {
            Ok(query) => queries.push(query),
            Err(reason) => unasked.push(reason),
        }
    }
    let calls = queries.len() as u64;
    let asked = queries.into_iter().map(|query| {
        let labels = query.labels.clone();
        ask(query).map(|answer| (labels, answer.map_err(|error| error.message)))
    });
    let mut answers: Vec<_> = futures::stream::iter(asked).buffered(CONCURRENCY).collect().await;
    answers.extend(unasked.into_iter().map(|Unasked { labels, why }| (labels, Err(why))));
    (answers, calls)
}

/// The pods of a workload.
pub(super) async fn list(client: &kube::Client, query: &PodQuery, timeout: Duration) -> Result<Vec<Pod>, CollectError> {
    let path = format!("/api/v1/{}", query.path());
    let pods: List<Pod> = api::get(client, &path, "list pods", timeout).await?;
    Ok(pods.items)
}

impl Poll for Replicas {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        self.ask().boxed()
    }
}
