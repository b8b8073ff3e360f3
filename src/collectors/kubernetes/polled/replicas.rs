//! The pods of the configured workloads, asked for by their labels: restarts since the rollout that
//! made them, and whether they were given the role that they need.
//!
//! Asked for and not taken from the watch of all pods, which keeps neither names nor labels.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};

use crate::collectors::kubernetes::client::api;
use crate::collectors::kubernetes::client::connect::Link;
use crate::collectors::kubernetes::cluster::{Cluster, PodQuery, Unasked};
use crate::collectors::kubernetes::kinds::pod::Pod;
use crate::collectors::kubernetes::watching::visibility::Look;
use crate::collectors::registry::digest::Digest;
use crate::collectors::registry::reference::Running;
use crate::driver::Poll;
use crate::metric::{Coverage, Gauge, Sample, StateSet, States as _, Unit, gauge, metrics, state_set, states};
use crate::say;
use crate::say::{Message, counted, named};
use crate::snapshot::{CollectError, Observation, Snapshot};

const WORKLOAD: [&str; 5] = ["cluster", "selector", "kind", "namespace", "name"];

/// Kinds of workloads that have pods of their own.
pub(in crate::collectors::kubernetes) const WORKLOAD_KINDS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet"];
const STATES: &str = "readiness_workload_pods_state";
const SEEN: Coverage = Coverage { kinds: WORKLOAD_KINDS, ..Coverage::of(STATES, &[Look::Seen.as_str()]) };

states! {
    /// Whether the pods of a workload have a role of AWS.
    enum Role {
        Given => "given",
        Missing => "missing",
        Unknown => "unknown",
    }
}

metrics! {
    /// Families about the pods of workloads.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about restarts and images, and about roles.
    pub(in crate::collectors::kubernetes) RESTART_FAMILIES {
        static STATE: StateSet<Look, 5> = state_set(
            STATES,
            &WORKLOAD,
            "Whether the pods of a workload could be asked for; unseen as well when there is no such workload.",
        );
        static RESTARTS: Gauge<5> = gauge(
            "readiness_workload_restarts",
            Unit::Number,
            &WORKLOAD,
            "Restarts of the containers that a workload runs now, which its last rollout made, cached from the Kubernetes API.",
        )
        .covered_by(SEEN);
        static OLDEST_START: Gauge<5> = gauge(
            "readiness_workload_oldest_start_timestamp_seconds",
            Unit::Timestamp,
            &WORKLOAD,
            "When the container of a workload that runs longest was started, cached from the Kubernetes API; nothing while none runs.",
        )
        .covered_by(Coverage { quiet: true, ..SEEN });
        pub(in crate::collectors) static IMAGES: Gauge<9> = gauge(
            "readiness_workload_image_pods",
            Unit::Number,
            &["cluster", "selector", "kind", "namespace", "name", "container", "image", "digest", "digest_of"],
            "Pods of a workload by what a container runs, cached from status.containerStatuses[].imageID in the Kubernetes API; digest_of says whether that names a manifest or only a config, and is unknown until the container has started.",
        )
        .covered_by(SEEN);
    }

    /// Families about roles of AWS.
    pub(in crate::collectors::kubernetes) ROLE_FAMILIES {
        static ROLE: StateSet<Role, 5> = state_set(
            "readiness_workload_aws_role_state",
            &WORKLOAD,
            "Whether all pods of a workload that needs an AWS role were given one when they were created, cached from the Kubernetes API.",
        );
    }
}

/// Asks for the pods of the workloads of one cluster.
pub(in crate::collectors::kubernetes) struct Replicas {
    cluster: Arc<Cluster>,
    link: Link,
    timeout: Duration,
}

impl Replicas {
    pub(in crate::collectors::kubernetes) fn new(cluster: Arc<Cluster>, link: Link, timeout: Duration) -> Self {
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
            let role = |state: Role, detail: Message| needs_role.then(|| ROLE.sample(labels.clone(), state).with_detail(detail));
            let pods = match pods {
                Ok(pods) => pods,
                Err(why) => {
                    samples.push(STATE.sample(labels.clone(), Look::Unseen).with_detail(&why));
                    samples.extend(role(Role::Unknown, why));
                    continue;
                }
            };
            samples.push(STATE.sample(labels.clone(), Look::Seen));
            let restarts = pods.iter().map(Pod::restarts).fold(0, u32::saturating_add);
            samples.push(RESTARTS.sample(labels.clone(), f64::from(restarts)));
            let oldest = pods.iter().filter(|pod| !pod.is_over()).filter_map(Pod::oldest_start).min();
            samples.extend(oldest.map(|at| OLDEST_START.sample(labels.clone(), at.saturating_sub(self.cluster.clock.ahead()) as f64)));
            for ((container, image, running), count) in images(&pods) {
                let (digest, of) = match &running {
                    Running::Manifest(digest) => (digest.as_str(), "manifest"),
                    Running::Config(digest) => (digest.as_str(), "config"),
                    Running::Unknown => ("", "unknown"),
                };
                let [cluster, selector, kind, namespace, name] = labels.each_ref().map(|label| &**label);
                samples.push(IMAGES.sample([cluster, selector, kind, namespace, name, container, image, digest, of], count as f64));
            }
            let without = pods.iter().filter(|pod| !pod.has_aws_role()).count();
            samples.extend(role(
                if without == 0 { Role::Given } else { Role::Missing },
                say!("{} of {} without a role of AWS", without, counted(pods.len(), "pod", "pods")),
            ));
        }
        Ok(Observation::new(samples, count, calls))
    }
}

/// How many pods run what in which container.
fn images(pods: &[Pod]) -> BTreeMap<(&str, &str, Running), usize> {
    let mut counts = BTreeMap::new();
    // What is over may have run anything; what has not started yet will run something.
    for (container, image, id) in pods.iter().filter(|pod| !pod.is_over()).flat_map(Pod::images) {
        *counts.entry((container, image, Running::parse(id))).or_default() += 1;
    }
    counts
}

/// Workloads that are asked about at once.
const CONCURRENCY: usize = 8;

/// Asks about every configured workload, some at once; what could not be asked has its reason, so
/// that one refusal costs one workload. With the number of workloads that were asked about.
pub(in crate::collectors::kubernetes) async fn of_each<T, F: Future<Output = Result<T, CollectError>>>(
    cluster: &Cluster,
    ask: impl Fn(PodQuery) -> F,
) -> (Vec<([Arc<str>; 5], Result<T, Message>)>, u64) {
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
pub(in crate::collectors::kubernetes) async fn list(client: &kube::Client, query: &PodQuery, timeout: Duration) -> Result<Vec<Pod>, CollectError> {
    let path = format!("/api/v1/{}", query.path());
    api::list(client, &path, &say!("list pods"), timeout).await
}

/// When the container of a selector's workloads that runs longest was started, in Unix seconds, or
/// why that is not known. `None` while none runs.
pub(in crate::collectors) fn oldest_start(seen: &Snapshot, selector: &str) -> Result<Option<i64>, Message> {
    let own = |sample: &&Sample| sample.label("selector") == Some(selector);
    let mut states = seen.samples_of(STATE.0.name).filter(own).peekable();
    if states.peek().is_none() {
        return Err(say!("the pods of {} are not known", named(selector)));
    }
    if let Some(unseen) = states.find(|state| Look::of(state) != Some(Look::Seen)) {
        return Err(unseen.detail.clone().unwrap_or_else(|| say!("its pods could not be asked for")));
    }
    let starts = seen.samples_of(OLDEST_START.0.name).filter(own).map(Sample::second);
    Ok(starts.min())
}

/// A container of a configured workload, and what it runs.
pub(in crate::collectors) struct RunningContainer<'a> {
    pub(in crate::collectors) name: &'a str,
    /// As its pod asks for it.
    pub(in crate::collectors) image: &'a str,
    pub(in crate::collectors) running: Running,
}

/// Containers of a selector's workloads in a cluster, or why they are not all known.
pub(in crate::collectors) fn running_containers<'a>(seen: &'a Snapshot, cluster: &str, selector: &str) -> Result<Vec<RunningContainer<'a>>, Message> {
    let own = |sample: &&Sample| sample.label("cluster") == Some(cluster) && sample.label("selector") == Some(selector);
    let mut states = seen.samples_of(STATE.0.name).filter(own).peekable();
    if states.peek().is_none() {
        return Err(say!("the pods of {} are not known", named(cluster)));
    }
    if let Some(unseen) = states.find(|state| Look::of(state) != Some(Look::Seen)) {
        return Err(unseen.detail.clone().unwrap_or_else(|| say!("its pods could not be asked for")));
    }
    let container = |sample: &'a Sample| {
        let label = |name: &str| sample.label(name).unwrap_or_default();
        let digest = Digest::parse(label("digest"));
        let running = match (label("digest_of"), digest) {
            ("manifest", Some(digest)) => Running::Manifest(digest),
            ("config", Some(digest)) => Running::Config(digest),
            _ => Running::Unknown,
        };
        RunningContainer { name: label("container"), image: label("image"), running }
    };
    let samples = seen.views.iter().flat_map(|view| view.facts.iter()).flat_map(|facts| facts.of(IMAGES.0.name));
    Ok(samples.filter(own).map(container).collect())
}

impl Poll for Replicas {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        self.ask().boxed()
    }
}
