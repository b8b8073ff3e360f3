//! Faults of workloads: rollouts, replicas, load balancers.

use super::{Fault, Group, red, unseen};

/// Where there is no LiteLLM.
const LITELLM: &[&str] = &[
    "LiteLlmNotReady",
    "WorkloadNotReady",
    "WorkloadBelowBaseline",
    "WorkloadRolloutStuck",
    "RolloutSlow",
    "WorkloadNearItsLimit",
    "WorkloadRestarted",
    "WorkloadScaledToZero",
];

pub(super) static GROUP: Group = Group {
    name: "workloads",
    faults: &[
        red("karpenter-down", "one Karpenter replica in eu-west-2 is not ready", &["KarpenterNotReady", "WorkloadNotReady"]),
        red("rollout-stuck", "the rollout of the control plane does not finish", &["ControlPlaneNotReady", "WorkloadRolloutStuck"]),
        red("proxy-rollout-stuck", "the rollout of the Oregon proxy does not finish", &["ProxiesNotReady", "WorkloadRolloutStuck"]),
        red("provisioners-scaled-down", "provisioners are scaled to two", &["ProvisionersBelowBaseline", "WorkloadBelowBaseline"]),
        red("litellm-crash", "one LiteLLM pod crashes", &["LiteLlmNotReady", "WorkloadNotReady", "WorkloadBelowBaseline"]),
        red("litellm-restarted", "a LiteLLM container has restarted since its rollout", &["WorkloadRestarted"]),
        red("litellm-scaled-down", "LiteLLM is scaled to nothing", &["WorkloadScaledToZero", "WorkloadBelowBaseline"]),
        red("rollout-slow", "the last rollout of the control plane took over six minutes", &["RolloutSlow"]),
        red("provisioners-without-role", "a provisioner is older than the role of its service account", &["WorkloadWithoutAwsRole"]),
        Fault {
            name: "load-balancer-gone",
            what: "the London Service loses its load balancer",
            red: &["LoadBalancerMissing"],
            // Its names have nothing left to be compared with, and neither has its address.
            unknown: &["DnsTargetMismatch", "LoadBalancerAddressMismatch"],
        },
        unseen("selector-empty", "the LiteLLM deployment is deleted", LITELLM),
        unseen("litellm-being-deleted", "the LiteLLM deployment is being deleted and waits for its finalizer", LITELLM),
        Fault {
            name: "load-balancer-replaced",
            what: "the London Service has another load balancer than expected",
            red: &["LoadBalancerAddressMismatch"],
            // The new one has no name yet, so there is nothing to compare with.
            unknown: &["DnsTargetMismatch"],
        },
    ],
};
