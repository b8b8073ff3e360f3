//! Conditions that the kubelet and other programs report of a node, and which states of the others say that
//! something is wrong.

use crate::collectors::kubernetes::reading::objects::ConditionStatus;
use crate::collectors::kubernetes::reading::taints::NETWORK;

/// Conditions that every kubelet reports.
/// Source: <https://kubernetes.io/docs/reference/node/node-status/#condition>
pub(in crate::collectors::kubernetes) const EXPECTED_CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// How the names of conditions end that are good while they are true, as those of the node monitoring agent of
/// EKS do, or how they are called, as what k3s and RKE2 say of members of etcd. All others name what is wrong, as
/// those of the node problem detector do.
/// Sources: <https://docs.aws.amazon.com/eks/latest/userguide/node-health.html>,
/// <https://github.com/kubernetes/node-problem-detector#problem-daemon>
const GOOD_ENDS: [&str; 3] = ["Ready", "Healthy", "EtcdIsVoter"];
/// How the names of some end that name what is wrong all the same.
const BAD_ENDS: [&str; 4] = ["NotReady", "Unready", "NotHealthy", "Unhealthy"];

/// Whether a condition in a state says that something is wrong, as the value of a fact: 1 where it does, not a
/// number where its state is not known, `None` where all is well. The kubelet's own conditions have checks of
/// their own, and so has the taint that tells that the network is missing.
pub(in crate::collectors::kubernetes) fn problem(condition: &str, state: ConditionStatus) -> Option<f64> {
    if EXPECTED_CONDITIONS.contains(&condition) {
        return None;
    }
    // Where the provider of a network sets it, it says of one that it does not know that nobody said so.
    if condition == NETWORK {
        return (state == ConditionStatus::True).then_some(1.0);
    }
    let ends = |all: &[&str]| all.iter().any(|end| condition.ends_with(end));
    let good = if ends(&GOOD_ENDS) && !ends(&BAD_ENDS) { ConditionStatus::True } else { ConditionStatus::False };
    match state {
        ConditionStatus::True | ConditionStatus::False => (state != good).then_some(1.0),
        ConditionStatus::Unknown => Some(f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::States as _;

    #[test]
    fn what_is_wrong_is_told_by_the_name_of_the_condition_and_its_state() {
        let told = |condition: &str| {
            ConditionStatus::ALL.iter().map(|state| problem(condition, *state).map_or_else(|| "-".to_owned(), |value| value.to_string())).collect::<Vec<_>>()
        };
        for agent in ["NetworkingReady", "StorageReady", "ContainerRuntimeReady", "KernelReady", "AcceleratedHardwareReady", "GpuHealthy", "EtcdIsVoter"] {
            assert_eq!(told(agent), ["-", "1", "NaN"], "{agent}");
        }
        for detector in ["KernelDeadlock", "ReadonlyFilesystem", "FrequentKubeletRestart", "CorruptDockerOverlay2", "CniNotReady", "DiskUnhealthy"] {
            assert_eq!(told(detector), ["1", "-", "NaN"], "{detector}");
        }
        for own in ["Ready", "DiskPressure", "MemoryPressure", "PIDPressure"] {
            assert_eq!(told(own), ["-", "-", "-"], "{own}");
        }
        assert_eq!(told("NetworkUnavailable"), ["1", "-", "-"]);
    }
}
