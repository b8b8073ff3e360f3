//! What a pod waits for that has a node, and since when: its containers, its init containers, its probes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::collectors::kubernetes::kinds::pod::{ContainerStatus, Pod, Started, State};
use crate::collectors::kubernetes::kinds::reasons::{ENDED, INIT_RUNS, PULLING, Reason, UNREADY};
use crate::collectors::kubernetes::reading::clock::Clock;
use crate::collectors::kubernetes::reading::objects::ConditionStatus;

/// Seconds after which the volumes and the network of a pod are there or never will be, even of large volumes that move
/// between nodes.
const PREPARES: i64 = 30 * 60;

impl ContainerStatus {
    /// Why it waits. One of which nothing is said waits.
    /// Source: `ContainerState` in <https://github.com/kubernetes/api/blob/master/core/v1/types.go>
    fn waits_for(&self) -> Option<&str> {
        let State { running, waiting, terminated } = &self.state;
        let is_unsaid = running.is_none() && terminated.is_none();
        waiting.as_ref().map(|waiting| waiting.reason.as_str()).or_else(|| is_unsaid.then_some(""))
    }
}

impl Pod {
    /// What its containers wait for, and since when. `seen` is since when one that was looked at before has been seen
    /// to take no requests: now, where it was well.
    pub(in crate::collectors::kubernetes) fn waiting(&self, clock: &Clock, seen: Option<i64>) -> BTreeMap<Reason, i64> {
        // One that is being deleted waits for nothing that anybody would mend.
        if self.is_over() || self.metadata.deletion_timestamp.is_some() {
            return BTreeMap::new();
        }
        // The API does not say since when a container waits. The last change of ContainersReady is
        // the best witness: the start of a pod that never ran, the crash of one that did.
        let unready = self.condition("ContainersReady").filter(|condition| condition.state() == ConditionStatus::False);
        let since = unready.and_then(|condition| condition.last_transition_time.as_ref());
        // A pod that waited for a node has had one only since then.
        let placed = self
            .condition("PodScheduled")
            .filter(|condition| condition.state() == ConditionStatus::True)
            .and_then(|condition| condition.last_transition_time.as_ref());
        let since = since.or(self.status.start_time.as_ref()).or(placed).or(self.metadata.creation_timestamp.as_ref());
        let since = clock.ours_or_now(since);
        let all = self.status.init_container_statuses.iter().chain(&self.status.container_statuses);
        let waits = all.filter_map(ContainerStatus::waits_for).map(|reason| self.waits(Reason::of(reason), since, clock));
        let mut waiting: BTreeMap<_, _> = waits.collect();
        // Its kubelet has said nothing of it yet, and may be one that never will.
        if self.status.phase == "Pending" && self.spec.node_name.is_some() && self.statuses().next().is_none() {
            waiting.insert(Reason::of("ContainerCreating"), since);
        }
        if let Some(at) = self.ended(clock) {
            waiting.insert(ENDED, at);
        }
        if let Some(at) = self.unready(clock, seen).filter(|_| waiting.is_empty()) {
            waiting.insert(UNREADY, at);
        }
        waiting
    }

    /// What a container really waits for, and since when. A kubelet that pulls an image says only that it creates the
    /// container, but it has said before that all else is there; and of init containers each has its own time.
    /// Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-has-network>
    fn waits(&self, reason: Reason, since: i64, clock: &Clock) -> (Reason, i64) {
        let has_all_else = || self.condition("PodReadyToStartContainers").filter(|condition| condition.state() == ConditionStatus::True);
        let ours = |time: &Option<Time>| time.as_ref().map_or(since, |time| clock.ours(time).max(since));
        match reason.class {
            // One whose network is made anew again and again pulls nothing for long.
            "creating" => {
                has_all_else().map_or((reason, since), |condition| (PULLING, ours(&condition.last_transition_time).min(since.saturating_add(PREPARES))))
            }
            "initializing" => self.init_runs().map_or_else(
                || (reason, ours(&self.initialized())),
                |(status, started)| {
                    // One that failed and was started again has been waited for since its pod began.
                    (INIT_RUNS, if status.restart_count > 0 { since } else { ours(&started.started_at) })
                },
            ),
            _ => (reason, since),
        }
    }

    /// When the last init container did what it is for, where each of them did so at once.
    fn initialized(&self) -> Option<Time> {
        let own = self.status.init_container_statuses.iter().filter(|status| !self.is_sidecar(&status.name));
        let ends = own.map(|status| status.state.terminated.as_ref().filter(|end| end.exit_code == Some(0) && status.restart_count == 0));
        ends.map(|end| end?.finished_at.clone()).collect::<Option<Vec<_>>>()?.into_iter().max_by_key(|time| time.0)
    }

    /// The init container that runs and that the others wait for.
    fn init_runs(&self) -> Option<(&ContainerStatus, &Started)> {
        let own = self.status.init_container_statuses.iter().filter(|status| !self.is_sidecar(&status.name));
        own.filter_map(|status| Some((status, status.state.running.as_ref()?))).next_back()
    }

    /// Since when it runs and takes no requests, by its probes or its readiness gates, or since a container of it ended
    /// that should start again. Where one is done, as in a Job or a step of a pipeline, the pod is never ready again, so that
    /// only a container that runs tells by itself whether it takes requests; but nothing tells since when it does not. At the
    /// first look that may be since it has started.
    fn unready(&self, clock: &Clock, seen: Option<i64>) -> Option<i64> {
        let goes_on = |status: &ContainerStatus| status.state.running.is_some() || self.starts_again(status);
        if !self.status.container_statuses.iter().all(goes_on) {
            let unready = self.status.container_statuses.iter().filter(|status| self.is_running() && status.ready == Some(false));
            let started = unready.filter_map(|status| status.state.running.as_ref()).map(|started| clock.ours_or_now(started.started_at.as_ref()));
            return started.min().map(|started| seen.unwrap_or(started).max(started));
        }
        let ready = self
            .condition("Ready")
            .filter(|ready| self.is_running() && ready.state() == ConditionStatus::False && ready.reason.as_deref() != Some("PodCompleted"))?;
        let since = ready.last_transition_time.as_ref().or(self.status.start_time.as_ref());
        Some(clock.ours_or_now(since))
    }

    /// When its kubelet starts a container again: by the container's own policy, or by that of the pod.
    fn policy_of(&self, name: &str) -> Option<&str> {
        let own = self.spec.containers.iter().find(|container| container.name == name).and_then(|own| own.restart_policy.as_deref());
        own.or(self.spec.restart_policy.as_deref())
    }

    /// Whether a container has ended and its kubelet owes a new start.
    fn starts_again(&self, status: &ContainerStatus) -> bool {
        let Some(end) = &status.state.terminated else { return false };
        match self.policy_of(&status.name) {
            Some("Always") => true,
            Some("OnFailure") => end.exit_code != Some(0),
            _ => false,
        }
    }

    /// When the first of its containers ended with an error for good. With the usual policy one that ended is
    /// about to start again, and with `OnFailure` one that failed is.
    fn ended(&self, clock: &Clock) -> Option<i64> {
        let for_good = |status: &&ContainerStatus| self.policy_of(&status.name) == Some("Never");
        // Of an init container that fails for good the whole pod has failed, and a sidecar is always started again.
        let ends = self.status.container_statuses.iter().filter(for_good).filter_map(|status| status.state.terminated.as_ref());
        let failed = ends.filter(|end| end.exit_code != Some(0));
        failed.map(|end| clock.ours_or_now(end.finished_at.as_ref())).min()
    }
}
