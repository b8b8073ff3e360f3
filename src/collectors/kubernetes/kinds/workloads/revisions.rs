//! The revisions that a Deployment can go back to, from the ReplicaSets that it left behind.

use std::collections::BTreeMap;

use super::{Deployment, REVISION_ANNOTATION, Rollout, WORKLOAD, labels};
use crate::collectors::kubernetes::kinds::podrow::short;
use crate::collectors::kubernetes::reading::clock::now;
use crate::collectors::kubernetes::reading::objects::{Kind, Place, Rows, kind};
use crate::collectors::kubernetes::watching::visibility::seen;
use crate::metric::{Coverage, Family, Gauge, Sample, Unit, gauge, metrics};

const DEPLOYMENTS: Coverage = seen(&["Deployment", "ReplicaSet"]);

metrics! {
    /// Families about revisions.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families that follow from several scopes.
    REVISION_FAMILIES {
        static REVISION: Gauge<5> = gauge(
            "readiness_deployment_revision",
            Unit::Number,
            &WORKLOAD,
            "Revision of a Deployment's current template, from its annotation in the Kubernetes API.",
        )
        .covered_by(DEPLOYMENTS);
        static PREVIOUS: Gauge<5> = gauge(
            "readiness_deployment_previous_revision",
            Unit::Number,
            &WORKLOAD,
            "Highest revision below a Deployment's current one that a ReplicaSet still holds; 0 when there is nothing to go back to.",
        )
        .covered_by(DEPLOYMENTS);
        static ROLLOUT: Gauge<5> = gauge(
            "readiness_deployment_rollout_duration_seconds",
            Unit::Seconds,
            &WORKLOAD,
            "How long the last rollout of a Deployment took, from the creation of its ReplicaSet to NewReplicaSetAvailable in the Kubernetes API; while one runs, how long it has. Rolling back to an older ReplicaSet has no known beginning.",
        )
        .covered_by(DEPLOYMENTS.quiet());
    }
}

kind!(ReplicaSet, "apps", "v1", "replicasets", "crate::collectors::kubernetes::reading::objects::described");

const REVISION_HISTORY_ANNOTATION: &str = "deployment.kubernetes.io/revision-history";

/// What is kept of a ReplicaSet: whose it is, and which revision.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Owned {
    /// As pods name it that are of it.
    own: u64,
    owner: String,
    revision: Option<u64>,
    created: Option<i64>,
    /// Whether a rollback took it up again.
    reused: bool,
}

impl Kind for ReplicaSet {
    type Row = Owned;
    const KIND: &'static str = "ReplicaSet";
    const FAMILIES: &'static [&'static [&'static Family]] = &[];

    fn row(self) -> Owned {
        let owners = self.metadata.owner_references.unwrap_or_default();
        let revision = self.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION_ANNOTATION)?.parse().ok());
        let created = self.metadata.creation_timestamp.map(|time| time.0.as_second());
        let reused = self.metadata.annotations.is_some_and(|annotations| annotations.contains_key(REVISION_HISTORY_ANNOTATION));
        let owner = owners.into_iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid).unwrap_or_default();
        Owned { own: short(self.metadata.uid.as_deref().unwrap_or_default()), owner, revision, created, reused }
    }

    fn facts(_: &Rows<Self>, _: &Place, _: &mut Vec<Sample>) {}
}

/// What the ReplicaSets of each Deployment are called by their pods.
pub(in crate::collectors::kubernetes) fn owners(sets: &Rows<ReplicaSet>) -> BTreeMap<String, Vec<u64>> {
    let mut owners: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (_, set) in sets.iter() {
        owners.entry(set.owner.clone()).or_default().push(set.own);
    }
    owners
}

/// Revisions of Deployments, from the ReplicaSets that they left behind.
pub(in crate::collectors::kubernetes) fn facts(deployments: &Rows<Deployment>, sets: &Rows<ReplicaSet>, place: &Place, samples: &mut Vec<Sample>) {
    let mut owned: BTreeMap<&str, Vec<&Owned>> = BTreeMap::new();
    for (_, set) in sets.iter() {
        owned.entry(&set.owner).or_default().push(set);
    }
    for (key, row) in deployments.iter() {
        let Some(revision) = row.revision else { continue };
        samples.push(REVISION.sample(labels(place, key), revision as f64));
        let own = || owned.get(&*row.uid).into_iter().flatten();
        let current = own().find(|set| set.revision == Some(revision) && !set.reused);
        let end = match row.rollout {
            Rollout::Unknown => None,
            Rollout::Running => Some(now().saturating_add(place.clock.ahead())),
            Rollout::Done(at) => Some(at),
        };
        let duration = current.and_then(|set| set.created).zip(end).map(|(start, end)| end.saturating_sub(start).max(0));
        samples.extend(duration.map(|duration| ROLLOUT.sample(labels(place, key), duration as f64)));
        let previous = own().filter_map(|set| set.revision).filter(|other| *other < revision).max();
        samples.push(PREVIOUS.sample(labels(place, key), previous.unwrap_or(0) as f64));
    }
}
