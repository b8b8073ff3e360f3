//! Faults of workspaces and of the room for them: limits, quotas, what is used.

use super::{Group, red, unseen};

/// Checks that the metrics API answers.
const USE: &[&str] = &["NodeCpuHigh", "NodeMemoryHigh", "WorkloadNearItsLimit"];

pub(super) static GROUP: Group = Group {
    name: "workspaces",
    faults: &[
        red("workspace-flaps", "a workspace in us-east-2 is replaced again and again", &["WorkspaceFlapping"]),
        red("workspace-without-limit", "a workspace in us-east-2 has no limit of storage", &["WorkspaceWithoutStorageLimit"]),
        red("workspace-without-cpu-limit", "a workspace in us-east-2 has no limit of CPU", &["WorkspaceWithoutCpuLimit"]),
        red("workspace-without-memory-limit", "a workspace in us-east-2 has no limit of memory", &["WorkspaceWithoutMemoryLimit"]),
        red("workspace-too-large", "a workspace in us-east-2 may use 16 cores", &["WorkspaceLimitOutOfRange"]),
        red("no-headroom", "the nodes of us-east-2 are full and Karpenter may make no more", &["CapacityHeadroomLow", "NodePoolNearLimit"]),
        red("use-of-cpu-high", "a node in us-east-2 is busy", &["NodeCpuHigh"]),
        red("use-of-memory-high", "a node in us-east-2 has little memory left", &["NodeMemoryHigh"]),
        red("use-of-limit-high", "LiteLLM is close to its memory limit", &["WorkloadNearItsLimit"]),
        unseen("metrics-api-gone", "the metrics API of us-west-2 is not available", USE),
        unseen("metrics-of-a-node-old", "the metrics API tells of a node of us-east-2 what it used an hour ago", &["NodeCpuHigh", "NodeMemoryHigh"]),
        unseen("metrics-of-a-node-missing", "the metrics API leaves a node of us-east-2 out", &["NodeCpuHigh", "NodeMemoryHigh"]),
        unseen("metrics-of-a-pod-missing", "the metrics API leaves a LiteLLM pod out", &["WorkloadNearItsLimit"]),
        red("quota-nearly-used", "a quota in us-east-2 is at 95 %", &["ResourceQuotaNearlyUsed", "CapacityHeadroomLow"]),
        red("limit-range-too-small", "the LimitRange of the workspaces lets no container have as much as they want", &["CapacityHeadroomLow"]),
        red("workspace-namespace-terminating", "the namespace of the workspaces is being deleted", &["CapacityHeadroomLow"]),
        red("limit-range-gone", "the namespace of the workspaces has no LimitRange", &["WorkspaceNamespaceUnbounded"]),
    ],
};
