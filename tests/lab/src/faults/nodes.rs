//! Faults of nodes, and of what runs on each of them.

use super::{Fault, Group, red, unnoticed, unseen};

pub(super) static GROUP: Group = Group {
    name: "nodes",
    faults: &[
        red("node-not-ready", "a node in us-west-2 reports Ready=False", &["NodeNotReady"]),
        Fault {
            name: "node-silent",
            what: "the kubelet of a node in us-west-2 stops reporting",
            red: &["NodeNotReady"],
            unknown: &["NodeDiskPressure", "NodeMemoryPressure", "NodePidPressure"],
        },
        red("node-of-another-platform", "a node of us-west-2 is arm64, and the mirror there has the image for amd64 alone", &["ImagePlatformMissing"]),
        red("node-gone", "a node of us-east-2 is gone", &["NodesMissing"]),
        unseen(
            "node-without-conditions",
            "the kubelet of a node in us-west-2 does not say what it is short of",
            &["NodeDiskPressure", "NodeMemoryPressure", "NodePidPressure"],
        ),
        red("node-gpu-operator-not-ready", "the GPU operator of us-east-2 is not ready", &["GpuOperatorNotReady"]),
        red("node-disk-pressure", "a node in us-east-2 runs out of disk", &["NodeDiskPressure"]),
        red("node-memory-pressure", "a node in us-east-2 runs out of memory", &["NodeMemoryPressure"]),
        red("node-cordoned", "a node in eu-west-2 is cordoned", &["NodeCordoned"]),
        red("node-all-cordoned", "every node in eu-west-2 is cordoned", &["NodeCordoned", "NoNodeTakesPods"]),
        red("node-pid-pressure", "a node in us-east-2 runs out of process numbers", &["NodePidPressure"]),
        red("node-unfit", "a node in eu-west-2 is tainted for lack of a network", &["NodeUnfit"]),
        red("node-not-started", "the network's agent on a node in eu-west-2 has not started for half an hour", &["NodeStartsSlowly"]),
        red("node-never-ready", "a node in eu-west-2 was created half an hour ago and has never been ready", &["NodeStartsSlowly"]),
        unnoticed("node-starting", "a node in eu-west-2 was created a moment ago and starts"),
        red("node-disrupted", "Karpenter takes a node in eu-west-2 away", &["NodeBeingDisrupted"]),
        red("node-gpu-broken", "a GPU of a node in us-east-2 is not healthy", &["GpuUnhealthy"]),
        red("kubelet-old", "a kubelet in us-west-2 is five versions behind", &["KubeletTooOld"]),
        red("node-problem-reported", "the node problem detector reports a deadlock of the kernel of a node in eu-west-2", &["NodeProblemReported"]),
    ],
};
