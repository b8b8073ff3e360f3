//! The messages of the kinds of which a cluster has thousands, with those of their fields that are read.
//!
//! Sources: `core/v1/generated.proto` of <https://github.com/kubernetes/api>, and
//! `pkg/apis/meta/v1/generated.proto` of <https://github.com/kubernetes/apimachinery>. Numbers never change.

use super::{Field, Message, Shape};

/// The message of a kind; `None` for those that are read as JSON.
pub(in crate::collectors::kubernetes) fn of(group: &str, plural: &str) -> Option<&'static Message> {
    match (group, plural) {
        ("", "pods") => Some(&POD),
        ("", "nodes") => Some(&NODE),
        ("", "events") => Some(&EVENT),
        ("apps", "replicasets") => Some(&REPLICA_SET),
        _ => None,
    }
}

const fn field(number: u64, name: &'static str, shape: Shape) -> Field {
    Field { number, name, shape, many: false, stays: false }
}

const fn text(number: u64, name: &'static str) -> Field {
    field(number, name, Shape::Text)
}

const fn whole(number: u64, name: &'static str) -> Field {
    field(number, name, Shape::Whole)
}

const fn message(number: u64, name: &'static str, own: &'static Message) -> Field {
    field(number, name, Shape::Message(own))
}

const fn messages(number: u64, name: &'static str, own: &'static Message) -> Field {
    Field { many: true, ..message(number, name, own) }
}

const fn texts(number: u64, name: &'static str) -> Field {
    Field { many: true, ..text(number, name) }
}

const fn labels(number: u64, name: &'static str) -> Field {
    Field { many: true, ..field(number, name, Shape::Map(&Shape::Text)) }
}

const fn amounts(number: u64, name: &'static str) -> Field {
    Field { many: true, ..field(number, name, Shape::Map(&Shape::Quantity)) }
}

const fn time(number: u64, name: &'static str) -> Field {
    field(number, name, Shape::Time)
}

impl Field {
    /// One that JSON has while it is empty, too.
    const fn stays(self) -> Self {
        Self { stays: true, ..self }
    }
}

/// Of which only is read that they are there.
static ANYTHING: Message = Message(&[]);

static META: Message = Message(&[
    text(1, "name"),
    text(3, "namespace"),
    text(5, "uid"),
    text(6, "resourceVersion"),
    whole(7, "generation"),
    time(8, "creationTimestamp"),
    time(9, "deletionTimestamp"),
    labels(11, "labels"),
    labels(12, "annotations"),
    messages(13, "ownerReferences", &OWNER),
]);

static OWNER: Message = Message(&[
    text(1, "kind").stays(),
    text(3, "name").stays(),
    text(4, "uid").stays(),
    text(5, "apiVersion").stays(),
    field(6, "controller", Shape::Flag).stays(),
    field(7, "blockOwnerDeletion", Shape::Flag).stays(),
]);

/// A condition of a pod.
static CONDITION: Message = Message(&[
    text(1, "type").stays(),
    text(2, "status").stays(),
    time(4, "lastTransitionTime"),
    text(5, "reason"),
    text(6, "message"),
    whole(7, "observedGeneration"),
]);

static POD: Message = Message(&[message(1, "metadata", &META), message(2, "spec", &POD_SPEC), message(3, "status", &POD_STATUS)]);

static POD_SPEC: Message = Message(&[
    messages(1, "volumes", &VOLUME),
    messages(2, "containers", &CONTAINER),
    text(3, "restartPolicy"),
    whole(5, "activeDeadlineSeconds").stays(),
    labels(7, "nodeSelector"),
    text(10, "nodeName"),
    message(18, "affinity", &AFFINITY),
    messages(20, "initContainers", &CONTAINER),
    messages(22, "tolerations", &TOLERATION),
    text(24, "priorityClassName"),
    whole(25, "priority").stays(),
    text(31, "preemptionPolicy").stays(),
    amounts(32, "overhead"),
    messages(33, "topologySpreadConstraints", &SPREAD),
    messages(39, "resourceClaims", &ANYTHING),
    message(40, "resources", &RESOURCES),
]);

static CONTAINER: Message = Message(&[
    text(1, "name").stays(),
    text(2, "image"),
    messages(6, "ports", &PORT),
    messages(7, "env", &NAMED),
    message(8, "resources", &RESOURCES),
    messages(9, "volumeMounts", &NAMED),
    text(24, "restartPolicy").stays(),
]);

static PORT: Message = Message(&[whole(2, "hostPort")]);
/// Only the name: values may be secrets.
static NAMED: Message = Message(&[text(1, "name").stays()]);
static RESOURCES: Message = Message(&[amounts(1, "limits"), amounts(2, "requests")]);

static VOLUME: Message = Message(&[text(1, "name").stays(), field(2, "", Shape::Inline(&VOLUME_SOURCE))]);
static VOLUME_SOURCE: Message =
    Message(&[message(2, "emptyDir", &EMPTY_DIR), message(10, "persistentVolumeClaim", &CLAIM_NAME), message(29, "ephemeral", &EPHEMERAL)]);
static EMPTY_DIR: Message = Message(&[text(1, "medium"), field(2, "sizeLimit", Shape::Quantity)]);
static CLAIM_NAME: Message = Message(&[text(1, "claimName").stays()]);
static EPHEMERAL: Message = Message(&[message(1, "volumeClaimTemplate", &CLAIM_TEMPLATE)]);
static CLAIM_TEMPLATE: Message = Message(&[message(2, "spec", &CLAIM_SPEC)]);
static CLAIM_SPEC: Message = Message(&[message(2, "resources", &RESOURCES), text(5, "storageClassName").stays()]);

static AFFINITY: Message = Message(&[
    message(1, "nodeAffinity", &NODE_AFFINITY),
    message(2, "podAffinity", &POD_AFFINITY),
    // Its numbers are those of the affinity.
    message(3, "podAntiAffinity", &POD_AFFINITY),
]);
static NODE_AFFINITY: Message = Message(&[message(1, "requiredDuringSchedulingIgnoredDuringExecution", &NODE_SELECTOR)]);
static NODE_SELECTOR: Message = Message(&[messages(1, "nodeSelectorTerms", &NODE_TERM)]);
static NODE_TERM: Message = Message(&[messages(1, "matchExpressions", &REQUIREMENT), messages(2, "matchFields", &ANYTHING)]);
static REQUIREMENT: Message = Message(&[text(1, "key").stays(), text(2, "operator").stays(), texts(3, "values")]);
static POD_AFFINITY: Message = Message(&[messages(1, "requiredDuringSchedulingIgnoredDuringExecution", &POD_TERM)]);
static POD_TERM: Message = Message(&[
    message(1, "labelSelector", &SELECTOR),
    texts(2, "namespaces"),
    text(3, "topologyKey").stays(),
    message(4, "namespaceSelector", &SELECTOR),
    texts(5, "matchLabelKeys"),
    texts(6, "mismatchLabelKeys"),
]);
static SELECTOR: Message = Message(&[labels(1, "matchLabels"), messages(2, "matchExpressions", &REQUIREMENT)]);

static TOLERATION: Message = Message(&[text(1, "key"), text(2, "operator"), text(3, "value"), text(4, "effect"), whole(5, "tolerationSeconds").stays()]);

static SPREAD: Message = Message(&[
    whole(1, "maxSkew").stays(),
    text(2, "topologyKey").stays(),
    text(3, "whenUnsatisfiable").stays(),
    message(4, "labelSelector", &SELECTOR),
    whole(5, "minDomains").stays(),
    text(6, "nodeAffinityPolicy").stays(),
    text(7, "nodeTaintsPolicy").stays(),
    texts(8, "matchLabelKeys"),
]);

static POD_STATUS: Message = Message(&[
    text(1, "phase"),
    messages(2, "conditions", &CONDITION),
    text(3, "message"),
    text(4, "reason"),
    time(7, "startTime"),
    messages(8, "containerStatuses", &CONTAINER_STATUS),
    messages(10, "initContainerStatuses", &CONTAINER_STATUS),
    text(14, "resize"),
    amounts(19, "allocatedResources"),
    message(20, "resources", &RESOURCES),
]);

static CONTAINER_STATUS: Message = Message(&[
    text(1, "name").stays(),
    message(2, "state", &STATE),
    message(3, "lastState", &STATE),
    field(4, "ready", Shape::Flag).stays(),
    whole(5, "restartCount").stays(),
    text(7, "imageID").stays(),
    amounts(10, "allocatedResources"),
    message(11, "resources", &RESOURCES),
]);

static STATE: Message = Message(&[message(1, "waiting", &WAITING), message(2, "running", &RUNNING), message(3, "terminated", &TERMINATED)]);
static WAITING: Message = Message(&[text(1, "reason")]);
static RUNNING: Message = Message(&[time(1, "startedAt")]);
static TERMINATED: Message = Message(&[whole(1, "exitCode").stays(), text(3, "reason"), time(6, "finishedAt")]);

static NODE: Message = Message(&[message(1, "metadata", &META), message(2, "spec", &NODE_SPEC), message(3, "status", &NODE_STATUS)]);
static NODE_SPEC: Message = Message(&[field(4, "unschedulable", Shape::Flag), messages(5, "taints", &TAINT)]);
static TAINT: Message = Message(&[text(1, "key").stays(), text(2, "value"), text(3, "effect").stays()]);
static NODE_STATUS: Message = Message(&[
    amounts(1, "capacity"),
    amounts(2, "allocatable"),
    messages(4, "conditions", &NODE_CONDITION),
    messages(5, "addresses", &ADDRESS),
    message(6, "daemonEndpoints", &DAEMON_ENDPOINTS),
    message(7, "nodeInfo", &NODE_INFO),
    messages(8, "images", &IMAGE),
]);
static NODE_CONDITION: Message = Message(&[text(1, "type").stays(), text(2, "status").stays(), time(3, "lastHeartbeatTime"), time(4, "lastTransitionTime")]);
static ADDRESS: Message = Message(&[text(1, "type").stays(), text(2, "address").stays()]);
static DAEMON_ENDPOINTS: Message = Message(&[message(1, "kubeletEndpoint", &DAEMON_ENDPOINT)]);
static DAEMON_ENDPOINT: Message = Message(&[whole(1, "Port").stays()]);
static NODE_INFO: Message = Message(&[text(7, "kubeletVersion").stays(), text(9, "operatingSystem").stays(), text(10, "architecture").stays()]);
static IMAGE: Message = Message(&[texts(1, "names")]);

static EVENT: Message = Message(&[
    message(1, "metadata", &META),
    message(2, "involvedObject", &REFERENCE),
    text(3, "reason"),
    text(4, "message"),
    time(6, "firstTimestamp"),
    time(7, "lastTimestamp"),
    whole(8, "count"),
    time(10, "eventTime"),
    message(11, "series", &SERIES),
]);
static REFERENCE: Message = Message(&[text(1, "kind"), text(2, "namespace"), text(3, "name"), text(4, "uid")]);
static SERIES: Message = Message(&[whole(1, "count"), time(2, "lastObservedTime")]);

static REPLICA_SET: Message = Message(&[message(1, "metadata", &META)]);
