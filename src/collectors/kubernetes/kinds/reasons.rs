//! The words of kubelets and of the scheduler for what keeps a pod from running, as closed lists.

use crate::collectors::kubernetes::reading::resources::is_gpu;

/// Why a container waits: a class that checks select by, and the kubelet's own reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::collectors::kubernetes) struct Reason {
    pub(in crate::collectors::kubernetes) class: &'static str,
    pub(in crate::collectors::kubernetes) reason: &'static str,
}

/// Reasons of the kubelet; a closed list, because a label must not grow with its next version.
/// Source: `pkg/kubelet/images/types.go` and `pkg/kubelet/container/sync_result.go` of Kubernetes.
const REASONS: &[(&str, &[&str])] = &[
    (
        "image_pull",
        &["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"],
    ),
    ("crash_loop", &["CrashLoopBackOff"]),
    ("config", &["CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError", "PostStartHookError"]),
    ("creating", &["ContainerCreating"]),
    ("initializing", &["PodInitializing"]),
];

/// Of a container whose pod has its volumes and its network, so that all that is left to do is to pull its image.
pub(in crate::collectors::kubernetes) const PULLING: Reason = Reason { class: "initializing", reason: "ContainerCreating" };

/// Of containers that wait for an init container that runs.
pub(in crate::collectors::kubernetes) const INIT_RUNS: Reason = Reason { class: "init_running", reason: "PodInitializing" };

/// Of a container that ended with an error and is not started again, although its pod still runs.
pub(in crate::collectors::kubernetes) const ENDED: Reason = Reason { class: "ended", reason: "Error" };

/// Of a pod whose containers all run and which is not ready.
pub(in crate::collectors::kubernetes) const UNREADY: Reason = Reason { class: "unready", reason: "NotReady" };

/// Why a pod without a node that is gated has none: nobody looks for one until the gate is lifted, and
/// whoever set it meant that.
pub(in crate::collectors::kubernetes) const GATED: &str = "gated";
/// The same of a workspace, for which somebody waits.
pub(in crate::collectors::kubernetes) const GATED_WORKSPACE: &str = "gated_workspace";

impl Reason {
    pub(in crate::collectors::kubernetes) fn of(reason: &str) -> Self {
        let known = REASONS.iter().find_map(|(class, reasons)| Some(Self { class, reason: reasons.iter().copied().find(|known| *known == reason)? }));
        known.unwrap_or(Self { class: "other", reason: "Other" })
    }
}

/// Something of which the kubelet kills for lack.
pub(in crate::collectors::kubernetes) fn starved_resource(message: &str) -> &'static str {
    // In the order in which the words decide: a pod's own limit is no shortage of the node.
    const WORDS: [(&str, &str); 8] = [
        ("ephemeral local storage usage exceeds", "storage_limit"),
        ("exceeded its local ephemeral storage limit", "storage_limit"),
        ("Usage of EmptyDir volume", "storage_limit"),
        ("low on resource: ephemeral-storage", "ephemeral_storage"),
        ("low on resource: memory", "memory"),
        ("low on resource: inodes", "inodes"),
        ("low on resource: pids", "pids"),
        ("The node had condition", "node_condition"),
    ];
    WORDS.iter().find(|(words, _)| message.contains(words)).map_or("other", |(_, resource)| resource)
}

/// Why the scheduler finds no node.
/// Source: the messages of the plugins in `pkg/scheduler/framework/plugins` of Kubernetes.
pub(in crate::collectors::kubernetes) fn unschedulable_class(message: &str) -> &'static str {
    // Affinity and taints stand in almost every message, so what is scarce comes first.
    const WORDS: [(&str, &str); 10] = [
        ("Insufficient cpu", "insufficient_cpu"),
        ("Insufficient memory", "insufficient_memory"),
        ("Insufficient ephemeral-storage", "insufficient_ephemeral_storage"),
        ("Too many pods", "insufficient_pods"),
        ("Insufficient ", "insufficient_other"),
        ("volume", "volume"),
        ("PersistentVolumeClaim", "volume"),
        ("untolerated taint", "taint"),
        ("affinity", "affinity"),
        ("topology spread", "affinity"),
    ];
    // A message names the resource in full: "0/3 nodes are available: 3 Insufficient nvidia.com/mig-1g.5gb."
    let scarce = message.split("Insufficient ").skip(1).filter_map(|rest| rest.split([' ', ',']).next());
    let no_gpu = scarce.map(|name| name.trim_end_matches('.')).any(is_gpu);
    let found = WORDS.iter().find(|(words, _)| message.contains(words)).map_or("other", |(_, class)| class);
    if no_gpu && found == "insufficient_other" { "insufficient_gpu" } else { found }
}
