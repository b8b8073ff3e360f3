//! Faults of pods: what keeps them from running, and what events say of them.

use super::{Group, red};

pub(super) static GROUP: Group = Group {
    name: "pods",
    faults: &[
        red("image-pull-fails", "a pod in us-east-2 cannot pull its image", &["ImagePullFailing"]),
        red("image-pull-slow", "a pull in us-east-2 took a minute and a half", &["ImagePullSlow"]),
        red("image-not-cached", "a node in us-east-2 lacks the image of the workspaces", &["ImageNotCached"]),
        red("pod-crash-loops", "a container in us-east-2 crashes again and again", &["ContainerCrashLooping"]),
        red("pod-config-broken", "a container in us-east-2 lacks a key of its Secret", &["ContainerConfigBroken"]),
        red("pod-stuck-creating", "a container in us-east-2 has been in ContainerCreating for ten minutes", &["ContainerStuckCreating"]),
        red("pod-stuck-initializing", "a pod in us-east-2 has been initializing for hours", &["ContainerStuckInitializing"]),
        red("pod-init-runs-long", "an init container in us-east-2 has been running for hours", &["InitContainerRunsLong"]),
        red("pod-waits-for-something", "a container in us-east-2 has been waiting for a reason that no list has", &["ContainerStuckWaiting"]),
        red("pod-half-ended", "a container of a pod in us-east-2 ended with an error while another one runs", &["ContainerEnded"]),
        red("pod-not-ready", "a pod in us-east-2 has been running for twenty minutes and is not ready", &["PodsNotReady"]),
        red("pod-failed", "a pod in us-east-2 has failed", &["PodsFailed"]),
        red("pod-unschedulable", "a pod in us-east-2 has found no node for ten minutes", &["PodsUnschedulable"]),
        red("pod-evicted", "a pod in us-east-2 was evicted for lack of storage", &["PodsEvicted", "PodsFailed"]),
        red("eviction-seen-only-as-event", "a pod in us-east-2 was evicted for lack of memory and is gone", &["PodsEvicted"]),
        red("pod-oom-killed", "a container in us-east-2 was killed for lack of memory", &["ContainersOomKilled"]),
        red("pod-restarts-often", "a container in us-east-2 restarted thirty times", &["ContainerRestartsHigh"]),
        red("warning-events-burst", "us-east-2 reports one warning 250 times", &["WarningEventsBurst"]),
    ],
};
