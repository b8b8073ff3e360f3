//! Deployments, StatefulSets and DaemonSets by selector.

pub(in crate::collectors::kubernetes) mod asked;
pub(in crate::collectors::kubernetes) mod revisions;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;

use crate::collectors::kubernetes::reading::objects::{Key, Kind, Place, Rows, flag, kind, or_default};
use crate::collectors::kubernetes::reading::selector::LabelSelector;
use crate::collectors::kubernetes::watching::visibility::{seen, seen_everywhere};
use crate::collectors::kubernetes::watching::watched::Matching;
use crate::metric::{Coverage, Family, Gauge, Sample, StateSet, Unit, gauge, metrics, state_set, states};
use crate::say;
use crate::say::Message;
use crate::snapshot::Snapshot;

/// What tells one object of a selector.
pub(super) const WORKLOAD: [&str; 5] = ["cluster", "selector", "kind", "namespace", "name"];
const WORKLOADS: Coverage = seen(&["Deployment", "StatefulSet", "DaemonSet"]);

states! {
    /// How far the rollout of a workload's present template is.
    enum Stage {
        Complete => "complete": "its present template runs everywhere",
        Running => "running": "its rollout goes on",
        Stuck => "stuck",
        Held => "held",
        Unknown => "unknown",
    }
}

const fn replicas(name: &'static str, help: &'static str) -> Gauge<5> {
    gauge(name, Unit::Number, &WORKLOAD, help).covered_by(WORKLOADS)
}

metrics! {
    /// Families about workloads.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about replicas.
    REPLICA_FAMILIES {
        static DESIRED: Gauge<5> = replicas("readiness_workload_desired_replicas", "Replicas that a workload should have, from the Kubernetes API.");
        static READY: Gauge<5> = replicas(
            "readiness_workload_ready_replicas",
            "Replicas of a workload that are ready, from the Kubernetes API; NaN where its controller has not looked at it since it was changed, or says of more than a minute that more are ready than there are ready pods of it, or its pods should be looked at and cannot be seen, or while its rollout goes on with as many as are asked for.",
        );
        static UPDATED: Gauge<5> =
            replicas("readiness_workload_updated_replicas", "Replicas of a workload that run its current template, from the Kubernetes API.");
        static AVAILABLE: Gauge<5> =
            replicas("readiness_workload_available_replicas", "Replicas of a workload that have been ready for its minimum time, from the Kubernetes API.");
        static COMPLETE: Gauge<5> = gauge(
            "readiness_workload_rollout_complete",
            Unit::Flag,
            &WORKLOAD,
            "Whether the current template of a workload was observed and all replicas run it and are available; NaN where fewer of its pods are ready than its controller says or they cannot be seen, and while that says that its rollout goes on and as many are ready as are asked for, from the Kubernetes API.",
        )
        .covered_by(WORKLOADS);
    }

    /// Families about how far rollouts are.
    pub(in crate::collectors::kubernetes) STAGE_FAMILIES {
        static STAGE: StateSet<Stage, 5> = state_set(
            "readiness_workload_rollout_state",
            &WORKLOAD,
            "How far the rollout of a workload's present template is: complete; running, as its controller says; stuck, where that says that it makes no progress; held, where the workload is paused or updated by hand (OnDelete); or not known. From the Kubernetes API.",
        )
        .covered_by(WORKLOADS);
    }
}

kind!(Deployment, "apps", "v1", "deployments", "crate::collectors::kubernetes::reading::objects::described", spec: ReplicaSpec, status: ReplicaStatus);
kind!(StatefulSet, "apps", "v1", "statefulsets", "crate::collectors::kubernetes::reading::objects::described", spec: ReplicaSpec, status: ReplicaStatus);
kind!(DaemonSet, "apps", "v1", "daemonsets", "crate::collectors::kubernetes::reading::objects::described", spec: ReplicaSpec, status: DaemonSetStatus);
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct ReplicaSpec {
    replicas: Option<u32>,
    #[serde(default, deserialize_with = "or_default")]
    update_strategy: UpdateStrategy,
    #[serde(default, deserialize_with = "or_default")]
    selector: LabelSelector,
}

/// How a StatefulSet or a DaemonSet is updated.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateStrategy {
    r#type: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    rolling_update: RollingUpdate,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct RollingUpdate {
    /// Replicas that are left as they are.
    #[serde(default, deserialize_with = "or_default")]
    partition: u32,
}

/// Missing counts are 0: the API omits them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct ReplicaStatus {
    /// Of every template.
    #[serde(default, deserialize_with = "or_default")]
    replicas: u32,
    #[serde(default, deserialize_with = "or_default")]
    ready_replicas: u32,
    #[serde(default, deserialize_with = "or_default")]
    updated_replicas: u32,
    #[serde(default, deserialize_with = "or_default")]
    available_replicas: u32,
    observed_generation: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<Progress>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    r#type: String,
    #[serde(default, deserialize_with = "or_default")]
    status: String,
    reason: Option<String>,
    last_update_time: Option<Time>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct DaemonSetStatus {
    #[serde(default, deserialize_with = "or_default")]
    desired_number_scheduled: u32,
    #[serde(default, deserialize_with = "or_default")]
    number_ready: u32,
    #[serde(default, deserialize_with = "or_default")]
    updated_number_scheduled: u32,
    #[serde(default, deserialize_with = "or_default")]
    number_available: u32,
    observed_generation: Option<i64>,
}

/// What is kept of a workload with replicas.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Replicas {
    desired: u32,
    pub(in crate::collectors::kubernetes) ready: u32,
    updated: u32,
    available: u32,
    complete: bool,
    /// Whether its controller has not looked at it since it was changed, so that its numbers are of what it was.
    is_outdated: bool,
    /// Whether its controller says that its rollout goes on, and that as many replicas are available as must be meanwhile.
    goes_on: bool,
    pub(in crate::collectors::kubernetes) uid: String,
    revision: Option<u64>,
    rollout: Rollout,
    stage: Stage,
    /// Why it is at that stage, where that is no good news.
    why: &'static str,
    /// The labels of its pods, as a query; empty when they cannot be told.
    pub(in crate::collectors::kubernetes) pods: String,
}

const REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";

fn row(meta: ObjectMeta, counts: [u32; 4], observed: Option<i64>, selector: &LabelSelector) -> Replicas {
    let [desired, ready, updated, available] = counts;
    // One that says nothing of what it looked at has not looked at it.
    let is_outdated = observed < meta.generation;
    let annotations = meta.annotations.unwrap_or_default();
    Replicas {
        desired,
        ready,
        updated,
        available,
        complete: !is_outdated && updated == desired && available == desired,
        is_outdated,
        goes_on: false,
        uid: meta.uid.unwrap_or_default(),
        revision: annotations.get(REVISION_ANNOTATION).and_then(|revision| revision.parse().ok()),
        rollout: Rollout::Unknown,
        stage: Stage::Unknown,
        why: "",
        pods: selector.query().unwrap_or_default(),
    }
}

/// How far the rollout of the present template is. Pods that fail later do not change that.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rollout {
    /// The controller does not say, because the Deployment has no deadline for its progress.
    Unknown,
    Running,
    /// On the cluster's clock.
    Done(i64),
}

impl Rollout {
    /// The time of the last update, since that of the last transition is of the first rollout ever.
    /// Source: `pkg/controller/deployment/progress.go` of Kubernetes.
    fn of(conditions: &[Progress]) -> Self {
        let Some(progress) = conditions.iter().find(|condition| condition.r#type == "Progressing") else { return Self::Unknown };
        match &progress.last_update_time {
            _ if progress.reason.as_deref() != Some("NewReplicaSetAvailable") => Self::Running,
            Some(time) => Self::Done(time.0.as_second()),
            None => Self::Unknown,
        }
    }
}

fn replicated(meta: ObjectMeta, spec: &ReplicaSpec, status: &ReplicaStatus) -> Replicas {
    // `replicas` defaults to 1 on the server; an object without it was never defaulted.
    let counts = [spec.replicas.unwrap_or(1), status.ready_replicas, status.updated_replicas, status.available_replicas];
    let all = Replicas { rollout: Rollout::of(&status.conditions), ..row(meta, counts, status.observed_generation, &spec.selector) };
    let kept = spec.update_strategy.rolling_update.partition.min(all.desired);
    let complete = if kept == 0 {
        // A new pod that never gets ready stands beside an old one that still serves.
        all.complete && status.replicas <= all.updated
    } else {
        !all.is_outdated && all.updated >= all.desired - kept && all.available == all.desired
    };
    Replicas { complete, ..all }.staged(&spec.update_strategy, &status.conditions)
}

impl Replicas {
    /// The same with the stage of its rollout. The controller of a Deployment says when one makes no progress, within a
    /// deadline of its own (ten minutes unless told otherwise), so that one that goes on is no fault. Nobody says it of
    /// others: one that is not over may go on or not.
    /// Source: <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status>
    fn staged(self, strategy: &UpdateStrategy, conditions: &[Progress]) -> Self {
        let condition = |name: &str| conditions.iter().find(|condition| condition.r#type == name);
        let progress = condition("Progressing");
        let is = |reason: &str| progress.is_some_and(|progress| progress.reason.as_deref() == Some(reason));
        let lags = self.updated < self.desired;
        let (stage, why) = if self.is_outdated {
            (Stage::Unknown, "its controller has not looked at it since it was changed")
        } else if self.complete {
            (Stage::Complete, "")
        } else if lags && strategy.r#type.as_deref() == Some("OnDelete") {
            (Stage::Held, "its update strategy is OnDelete, so each pod must be deleted by hand")
        } else if lags && is("DeploymentPaused") {
            (Stage::Held, "it is paused")
        } else if progress.is_some_and(|progress| progress.status == "False") {
            (Stage::Stuck, "its controller says that it makes no progress")
        } else if progress.is_some_and(|progress| progress.status == "True") && !is("NewReplicaSetAvailable") {
            (Stage::Running, "")
        } else if lags {
            (Stage::Unknown, "its rollout is not over, and nothing tells whether it goes on")
        } else if self.available == 0 || condition("Available").is_some_and(|available| available.status == "False") {
            (Stage::Unknown, "too few replicas have been ready for its minimum time")
        } else {
            (Stage::Running, "")
        };
        // After a rollout that is over the same is said of replicas that were added and of those that crash.
        let is_available = condition("Available").is_some_and(|available| available.status == "True");
        let goes_on = stage == Stage::Running && is_available && !is("NewReplicaSetAvailable");
        Self { goes_on, stage, why, ..self }
    }
}

/// What is known of the workloads of a selector beside what their controllers say.
#[derive(Default)]
pub(in crate::collectors::kubernetes) struct Beside {
    /// Nodes that are starting or being taken away, of which what runs on every node may lack as many pods.
    pub(in crate::collectors::kubernetes) changing: usize,
    /// The most replicas that are asked for, always or for an event.
    pub(in crate::collectors::kubernetes) needed: u32,
    /// Whether their pods should be looked at and cannot be seen.
    pub(in crate::collectors::kubernetes) is_hidden: bool,
    /// How many pods are ready of workloads whose controllers have claimed more for longer than it takes to say so.
    pub(in crate::collectors::kubernetes) doubts: BTreeMap<Key, u32>,
}

impl Beside {
    /// Why nobody knows how many replicas of a workload are ready.
    fn doubt(&self, key: &Key, row: &Replicas) -> Option<Message> {
        if row.is_outdated {
            return Some(say!("its controller has not looked at it since it was changed"));
        }
        // That none are ready is bad news, which nothing need bear out.
        if self.is_hidden && row.ready > 0 {
            return Some(say!("its controller says that {} are ready, and whether its pods bear that out cannot be seen", row.ready));
        }
        let ready = self.doubts.get(key)?;
        Some(say!("its controller says that {} are ready, and {} of its pods are", row.ready, *ready))
    }

    /// Whether a rollout goes on as it should, with as many replicas as are asked for.
    const fn lets_roll(&self, row: &Replicas) -> bool {
        row.goes_on && row.ready >= self.needed
    }

    /// Whether nodes that are changing may be why so many replicas are missing.
    fn may_excuse(&self, missing: u32) -> bool {
        (1..=self.changing).contains(&(missing as usize))
    }
}

/// What is told of each workload of a selector.
pub(in crate::collectors::kubernetes) fn facts<K: Kind<Row = Replicas>>(rows: &Rows<K>, beside: &Beside, place: &Place, samples: &mut Vec<Sample>) {
    for (key, row) in rows.iter() {
        let Replicas { desired, ready, updated, available, complete, .. } = row;
        let doubt = beside.doubt(key, row);
        let words = doubt.clone().unwrap_or_else(|| say!("{} of {} ready, {} up to date, {} available", *ready, *desired, *updated, *available));
        let told = |family: &'static Gauge<5>, value: Option<f64>| family.sample(labels(place, key), value.unwrap_or(f64::NAN)).with_detail(words.clone());
        let known = |value: f64| Some(value).filter(|_| doubt.is_none());
        let rolls = doubt.is_none() && beside.lets_roll(row);
        let rolling = || say!("its rollout goes on; {} of {} ready, {} up to date", *ready, *desired, *updated);
        samples.push(told(&DESIRED, Some(f64::from(*desired))));
        samples.push(told(&UPDATED, known(f64::from(*updated))));
        samples.push(told(&AVAILABLE, known(f64::from(*available))));
        // What was not looked at is not rolled out.
        samples.push(if rolls {
            COMPLETE.sample(labels(place, key), f64::NAN).with_detail(rolling())
        } else {
            told(&COMPLETE, known(flag(*complete)).or_else(|| row.is_outdated.then_some(0.0)))
        });
        samples.push(if doubt.is_none() && beside.may_excuse(desired.saturating_sub(*ready)) {
            let words = say!("{} of {} ready; nodes that are starting or being taken away: {}", *ready, *desired, beside.changing as u64);
            READY.sample(labels(place, key), f64::NAN).with_detail(words)
        } else if rolls && ready < desired {
            READY.sample(labels(place, key), f64::NAN).with_detail(rolling())
        } else {
            told(&READY, known(f64::from(*ready)))
        });
        samples.push(match doubt {
            Some(why) if matches!(row.stage, Stage::Complete | Stage::Running) => STAGE.sample(labels(place, key), Stage::Unknown).with_detail(why),
            _ if row.why.is_empty() => STAGE.sample(labels(place, key), row.stage),
            _ => {
                let words = say!("{}; {} of {} up to date, {} available", row.why, *updated, *desired, *available);
                STAGE.sample(labels(place, key), row.stage).with_detail(words)
            }
        });
    }
}

pub(super) fn labels(place: &Place, key: &Key) -> [Arc<str>; 5] {
    [&place.cluster, &place.selector, &place.kind, &key.namespace, &key.name].map(Arc::clone)
}

/// Kinds that are told how many replicas they should have.
macro_rules! replicated {
    ($($kind:ident),*) => {$(
        impl Kind for $kind {
            type Row = Replicas;
            const KIND: &'static str = stringify!($kind);
            const FAMILIES: &'static [&'static [&'static Family]] = &[REPLICA_FAMILIES, STAGE_FAMILIES];

            fn row(self) -> Replicas {
                replicated(self.metadata, &self.spec, &self.status)
            }

            /// They can be told only together with pods and nodes.
            fn facts(_: &Rows<Self>, _: &Place, _: &mut Vec<Sample>) {}
        }
    )*};
}

replicated!(Deployment, StatefulSet);

impl Kind for DaemonSet {
    type Row = Replicas;
    const KIND: &'static str = "DaemonSet";
    const FAMILIES: &'static [&'static [&'static Family]] = &[REPLICA_FAMILIES, STAGE_FAMILIES];

    fn row(self) -> Replicas {
        let status = self.status;
        let counts = [status.desired_number_scheduled, status.number_ready, status.updated_number_scheduled, status.number_available];
        row(self.metadata, counts, status.observed_generation, &self.spec.selector).staged(&self.spec.update_strategy, &[])
    }

    fn facts(_: &Rows<Self>, _: &Place, _: &mut Vec<Sample>) {}
}

/// Whether a workload of a selector is being rolled out, as far as that is known.
pub(in crate::collectors) fn rolls_out(seen: &Snapshot, cluster: &str, selector: &str) -> bool {
    let own = |sample: &&Sample| sample.label("cluster") == Some(cluster) && sample.label("selector") == Some(selector);
    seen.samples_of(COMPLETE.0.name).filter(own).any(|sample| sample.value.is_nan() || sample.value < 1.0)
}

/// Whether no workload of a selector has any replicas, or why that is not known.
pub(in crate::collectors) fn is_scaled_to_zero(seen: &Snapshot, selector: &str) -> Result<bool, Message> {
    seen_everywhere(seen, DESIRED.0.name, selector, &[Matching::Matched])?;
    Ok(seen.samples_of(DESIRED.0.name).filter(|sample| sample.label("selector") == Some(selector)).all(|sample| sample.value <= 0.0))
}
