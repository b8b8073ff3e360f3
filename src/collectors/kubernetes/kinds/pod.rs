//! What is read of one pod: what its containers wait for, since when it has no node, when it was evicted.

mod waits;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::collectors::kubernetes::kinds::placement::{Affinity, Spread};
use crate::collectors::kubernetes::kinds::reasons::{GATED, starved_resource, unschedulable_class};
use crate::collectors::kubernetes::reading::clock::Clock;
use crate::collectors::kubernetes::reading::objects::{Condition, ConditionStatus, kind, or_default};
use crate::collectors::kubernetes::reading::quantity::Quantity;
use crate::collectors::kubernetes::reading::resources::Listed;
use crate::collectors::kubernetes::reading::taints::PodToleration;

kind!(Pod, "", "v1", "pods", "crate::collectors::kubernetes::reading::objects::owned", spec: PodSpec, status: PodStatus);

impl Pod {
    /// Whether its node runs it.
    pub(in crate::collectors::kubernetes) fn is_running(&self) -> bool {
        self.status.phase == "Running"
    }

    /// Whether it takes requests.
    pub(in crate::collectors::kubernetes) fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|ready| ready.state() == ConditionStatus::True)
    }

    /// The identity of what made it and keeps it.
    pub(in crate::collectors::kubernetes) fn controller(&self) -> Option<&str> {
        let owner = self.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
        Some(owner.uid.as_str())
    }

    /// Those with one below 0 give way to all pods without one.
    /// Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/>
    pub(in crate::collectors::kubernetes) fn priority(&self) -> i32 {
        self.spec.priority.unwrap_or_default()
    }

    /// Whether pods of a lower priority give way to it.
    /// Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/#non-preempting-priority-class>
    pub(in crate::collectors::kubernetes) fn drives_away(&self) -> bool {
        self.spec.preemption_policy.as_deref() != Some("Never")
    }

    /// Whether it takes a port of its node, of which each node has one.
    pub(in crate::collectors::kubernetes) fn takes_host_port(&self) -> bool {
        self.spec.containers.iter().chain(&self.spec.init_containers).flat_map(|container| &container.ports).any(|port| port.host_port > 0)
    }

    /// Whether no container of it asks for CPU or memory, or bounds them.
    /// Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/#besteffort>
    pub(in crate::collectors::kubernetes) fn is_best_effort(&self) -> bool {
        let own = self.spec.containers.iter().chain(&self.spec.init_containers).map(|container| &container.resources).chain(&self.spec.resources);
        let mut amounts = own.flat_map(|resources| [&resources.requests, &resources.limits]).flatten();
        !amounts.any(|(name, amount)| matches!(name.as_str(), "cpu" | "memory") && amount.0 != Some(0.0))
    }

    /// Whether each new node gets one like it: it is of a DaemonSet, or its kubelet made it from a file.
    pub(in crate::collectors::kubernetes) fn comes_with_nodes(&self) -> bool {
        let owners = self.metadata.owner_references.iter().flatten();
        owners.filter(|owner| owner.controller == Some(true)).any(|owner| matches!(owner.kind.as_str(), "DaemonSet" | "Node"))
    }

    /// Its containers, those that initialize it included: name, image as asked for, and the
    /// `imageID` of what runs, empty until it does.
    pub(in crate::collectors::kubernetes) fn images(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let containers = self.spec.init_containers.iter().chain(&self.spec.containers);
        containers.map(|container| {
            let status = self.statuses().find(|status| status.name == container.name);
            (container.name.as_str(), container.image.as_str(), status.map_or("", |status| status.image_id.as_str()))
        })
    }

    /// Whether its containers were given an AWS role, by a service account's annotation or by EKS
    /// Pod Identity, when it was created.
    pub(in crate::collectors::kubernetes) fn has_aws_role(&self) -> bool {
        let has = |name: &str| self.spec.containers.iter().flat_map(|container| &container.env).any(|variable| variable.name == name);
        has("AWS_ROLE_ARN") && has("AWS_WEB_IDENTITY_TOKEN_FILE") || has("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct PodSpec {
    pub(in crate::collectors::kubernetes) node_name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) containers: Vec<Container>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) init_containers: Vec<Container>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) volumes: Vec<Volume>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) overhead: Listed,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) tolerations: Vec<PodToleration>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) node_selector: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) affinity: Affinity,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) topology_spread_constraints: Vec<Spread>,
    /// Devices that are not counted as resources are.
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) resource_claims: Vec<IgnoredAny>,
    restart_policy: Option<String>,
    priority: Option<i32>,
    preemption_policy: Option<String>,
    pub(in crate::collectors::kubernetes) priority_class_name: Option<String>,
    pub(in crate::collectors::kubernetes) active_deadline_seconds: Option<i64>,
    /// Of all its containers together.
    pub(in crate::collectors::kubernetes) resources: Option<Resources>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct Container {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) image: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) resources: Resources,
    #[serde(default, deserialize_with = "or_default")]
    env: Vec<Named>,
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<Port>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) volume_mounts: Vec<Named>,
    restart_policy: Option<String>,
}

impl Container {
    /// Whether it starts before the others and then runs beside them.
    pub(in crate::collectors::kubernetes) fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    #[serde(default, deserialize_with = "or_default")]
    host_port: u16,
}

/// Only the name: values may be secrets.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::collectors::kubernetes) struct Named {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct Resources {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) requests: Listed,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) limits: Listed,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct Volume {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) name: String,
    pub(in crate::collectors::kubernetes) empty_dir: Option<EmptyDir>,
    persistent_volume_claim: Option<ClaimRef>,
    pub(in crate::collectors::kubernetes) ephemeral: Option<Ephemeral>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct Ephemeral {
    #[serde(default, deserialize_with = "or_default")]
    volume_claim_template: ClaimTemplate,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ClaimTemplate {
    #[serde(default, deserialize_with = "or_default")]
    spec: ClaimSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSpec {
    storage_class_name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    resources: Resources,
}

/// A volume that is made for a pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::collectors::kubernetes) struct OwnClaim {
    /// `None` for the default one.
    pub(in crate::collectors::kubernetes) class: Option<String>,
    pub(in crate::collectors::kubernetes) bytes: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimRef {
    #[serde(default, deserialize_with = "or_default")]
    claim_name: String,
}

impl Volume {
    /// The claim that is made for this pod alone, and deleted with it.
    /// Source: <https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#generic-ephemeral-volumes>
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes are whole and not negative")]
    pub(in crate::collectors::kubernetes) fn own_claim(&self) -> Option<OwnClaim> {
        let spec = &self.ephemeral.as_ref()?.volume_claim_template.spec;
        let bytes = spec.resources.requests.get("storage").and_then(|bytes| bytes.0).unwrap_or_default();
        Some(OwnClaim { class: spec.storage_class_name.clone(), bytes: bytes as u64 })
    }

    /// The claim that it mounts.
    pub(in crate::collectors::kubernetes) fn claim(&self) -> Option<&str> {
        self.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.as_str())
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct EmptyDir {
    medium: Option<String>,
    #[serde(default)]
    pub(in crate::collectors::kubernetes) size_limit: Quantity,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct PodStatus {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) phase: String,
    #[serde(default, deserialize_with = "or_default")]
    reason: String,
    #[serde(default, deserialize_with = "or_default")]
    message: String,
    pub(in crate::collectors::kubernetes) start_time: Option<Time>,
    /// How a resize goes, as servers before 1.33 said it.
    pub(in crate::collectors::kubernetes) resize: Option<String>,
    /// What all its containers together have.
    pub(in crate::collectors::kubernetes) resources: Option<Resources>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) allocated_resources: Listed,
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<Condition>,
    #[serde(default, deserialize_with = "or_default")]
    container_statuses: Vec<ContainerStatus>,
    #[serde(default, deserialize_with = "or_default")]
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct ContainerStatus {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) name: String,
    /// What it has, which differs from what is asked for until a resize is done.
    pub(in crate::collectors::kubernetes) resources: Option<Resources>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) allocated_resources: Listed,
    #[serde(default, rename = "imageID", deserialize_with = "or_default")]
    image_id: String,
    /// Whether its probe says that it takes requests.
    ready: Option<bool>,
    #[serde(default, deserialize_with = "or_default")]
    restart_count: u32,
    #[serde(default, deserialize_with = "or_default")]
    state: State,
    #[serde(default, deserialize_with = "or_default")]
    last_state: State,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct State {
    running: Option<Started>,
    waiting: Option<Waiting>,
    terminated: Option<Terminated>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    started_at: Option<Time>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Waiting {
    #[serde(default, deserialize_with = "or_default")]
    reason: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminated {
    #[serde(default, deserialize_with = "or_default")]
    reason: String,
    exit_code: Option<i32>,
    finished_at: Option<Time>,
}

/// A restart of a container that ended for lack of memory, by container and time.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct OomKill {
    pub(in crate::collectors::kubernetes) container: String,
    pub(in crate::collectors::kubernetes) at: i64,
}

impl Pod {
    /// Whether it has a disk-backed emptyDir that may grow without end.
    pub(in crate::collectors::kubernetes) fn unlimited_empty_dir(&self) -> bool {
        let dirs = self.spec.volumes.iter().filter_map(|volume| volume.empty_dir.as_ref());
        dirs.filter(|dir| dir.medium.as_deref() != Some("Memory")).any(|dir| dir.size_limit.0.is_none())
    }

    /// Whether it takes nothing of a node any more.
    pub(in crate::collectors::kubernetes) fn is_over(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    pub(in crate::collectors::kubernetes) fn condition(&self, name: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.r#type == name)
    }

    /// Whether an init container runs beside the others for as long as they do.
    fn is_sidecar(&self, name: &str) -> bool {
        self.spec.init_containers.iter().any(|container| container.name == name && container.is_sidecar())
    }

    /// Why it has no node, and since when.
    pub(in crate::collectors::kubernetes) fn pending(&self, clock: &Clock) -> Option<(&'static str, i64)> {
        if self.status.phase != "Pending" || self.spec.node_name.is_some() || self.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let scheduled = self.condition("PodScheduled").filter(|condition| condition.state() != ConditionStatus::True);
        let class = scheduled.map_or("unseen_by_scheduler", |condition| match condition.reason.as_deref() {
            Some("SchedulingGated") => GATED,
            _ => unschedulable_class(condition.message.as_deref().unwrap_or_default()),
        });
        let since = scheduled.and_then(|condition| condition.last_transition_time.as_ref()).or(self.metadata.creation_timestamp.as_ref());
        Some((class, clock.ours_or_now(since)))
    }

    /// The resource for lack of which it was evicted, and when.
    pub(in crate::collectors::kubernetes) fn evicted(&self, clock: &Clock) -> Option<(&'static str, i64)> {
        if self.status.phase != "Failed" || self.status.reason != "Evicted" {
            return None;
        }
        let target = self.condition("DisruptionTarget").and_then(|condition| condition.last_transition_time.as_ref());
        let at = clock.ours_or_now(target.or(self.status.start_time.as_ref()));
        Some((starved_resource(&self.status.message), at))
    }

    pub(in crate::collectors::kubernetes) fn statuses(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.status.init_container_statuses.iter().chain(&self.status.container_statuses)
    }

    /// Restarts of all containers, as its kubelet counts them.
    pub(in crate::collectors::kubernetes) fn restarts(&self) -> u32 {
        self.statuses().map(|status| status.restart_count).fold(0, u32::saturating_add)
    }

    /// When the container that runs longest was started, sidecars included, on the cluster's clock. What a
    /// container read at its start is as old as that.
    pub(in crate::collectors::kubernetes) fn oldest_start(&self) -> Option<i64> {
        let sidecars = self.status.init_container_statuses.iter().filter(|status| self.is_sidecar(&status.name));
        let starts = self.status.container_statuses.iter().chain(sidecars).filter_map(|status| status.state.running.as_ref()?.started_at.as_ref());
        starts.map(|time| time.0.as_second()).min()
    }

    /// When a container last ended.
    pub(in crate::collectors::kubernetes) fn last_end(&self, clock: &Clock) -> Option<i64> {
        self.statuses().filter_map(|status| status.last_state.terminated.as_ref()?.finished_at.as_ref()).map(|time| clock.ours(time)).max()
    }

    /// Ends for lack of memory that its status still names.
    pub(in crate::collectors::kubernetes) fn oom_kills(&self, clock: &Clock) -> Vec<OomKill> {
        let ends = self.statuses().flat_map(|status| [&status.state, &status.last_state].map(|state| (&status.name, &state.terminated)));
        let killed = ends.filter_map(|(name, end)| Some((name, end.as_ref().filter(|end| end.reason == "OOMKilled")?)));
        killed.map(|(name, end)| OomKill { container: name.clone(), at: clock.ours_or_now(end.finished_at.as_ref()) }).collect()
    }
}
