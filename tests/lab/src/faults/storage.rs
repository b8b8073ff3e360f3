//! Faults of disks and volumes, and of the kubelets that tell of them.

use super::{Group, red, unseen};

/// Checks that kubelets answer.
const SUMMARY: &[&str] = &["NodeStorageHigh", "NodeInodesHigh", "PodStorageNearLimit", "VolumeNearlyFull"];

pub(super) static GROUP: Group = Group {
    name: "storage",
    faults: &[
        red("storage-high", "a disk in us-east-2 is at 71 %", &["NodeStorageHigh"]),
        red("storage-critical", "a disk in us-east-2 is at 90 %", &["NodeStorageHigh"]),
        red("storage-high-in-london", "a disk in eu-west-2, whose kubelets are asked directly, is at 71 %", &["NodeStorageHigh"]),
        red("storage-volume-full", "a claimed volume in us-east-2 is at 96 %", &["VolumeNearlyFull"]),
        red("inodes-high", "a disk in us-east-2 has few inodes left", &["NodeInodesHigh"]),
        red("pod-storage-full", "a workspace in us-east-2 uses nearly all of its storage limit", &["PodStorageNearLimit"]),
        red("data-disk-small", "the data disk of a node in us-east-2 has only 50 GiB", &["NodeStorageSmall"]),
        unseen("summary-hang", "a kubelet in us-west-2 does not answer", SUMMARY),
        unseen("summary-html", "the node proxy of us-west-2 answers with HTML", SUMMARY),
        unseen("summary-old", "the kubelets in us-west-2 tell numbers of an hour ago", SUMMARY),
        unseen("summary-empty", "a kubelet in us-west-2 answers without what was asked for", SUMMARY),
        unseen("summary-without-a-claim", "a kubelet in us-east-2 tells nothing of a claim that a pod mounts", &["VolumeNearlyFull"]),
        unseen("forbidden-summary", "the node proxy of us-west-2 may not be used", SUMMARY),
    ],
};
