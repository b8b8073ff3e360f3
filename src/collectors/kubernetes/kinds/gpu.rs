//! The NVIDIA GPU Operator: whether all that it installs is ready.

use std::sync::Arc;

use serde::Deserialize;

use crate::collectors::kubernetes::reading::objects::{Kind, Place, Rows, kind, or_default};
use crate::collectors::kubernetes::watching::visibility::seen;
use crate::metric::{Family, Sample, StateSet, metrics, state_set, states};

states! {
    /// State of a `ClusterPolicy`.
    pub(in crate::collectors::kubernetes) enum PolicyState {
        Ready => "ready",
        NotReady => "not_ready",
        Ignored => "ignored",
        Disabled => "disabled",
        Unknown => "unknown",
    }
}

metrics! {
    /// Families about the GPU Operator.
    pub(in crate::collectors::kubernetes) FAMILIES;

    static STATE: StateSet<PolicyState, 2> = state_set(
        "readiness_gpu_operator_state",
        &["cluster", "name"],
        "State of a ClusterPolicy of the GPU Operator, from status.state in the nvidia.com/v1 API; unknown until the operator has written one, and where all are ignored.",
    )
    .covered_by(seen(&["ClusterPolicy"]));
}

kind!(ClusterPolicy, "nvidia.com", "v1", "clusterpolicies", "crate::collectors::kubernetes::reading::objects::slim", status: Status);

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct Status {
    #[serde(default, deserialize_with = "or_default")]
    state: String,
}

/// Source: `api/nvidia/v1/clusterpolicy_types.go` of the GPU Operator.
impl From<&str> for PolicyState {
    fn from(said: &str) -> Self {
        match said {
            "ready" => Self::Ready,
            "notReady" => Self::NotReady,
            "ignored" => Self::Ignored,
            "disabled" => Self::Disabled,
            _ => Self::Unknown,
        }
    }
}

impl Kind for ClusterPolicy {
    type Row = PolicyState;
    const KIND: &'static str = "ClusterPolicy";
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES];

    fn row(self) -> PolicyState {
        self.status.state.as_str().into()
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        // One is ignored because another one is in charge.
        let is_any_in_charge = rows.iter().any(|(_, state)| *state != PolicyState::Ignored);
        samples.extend(rows.iter().map(|(key, state)| {
            let labels = [Arc::clone(&place.cluster), Arc::clone(&key.name)];
            if is_any_in_charge {
                STATE.sample(labels, *state)
            } else {
                STATE.sample(labels, PolicyState::Unknown).with_detail("it is ignored, and no other one is there that could be in charge")
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::collectors::kubernetes::tests::rows;

    #[test]
    fn a_policy_is_ignored_for_another_one_and_never_alone() {
        let told = |states: &[&str]| {
            let all: Vec<_> = states.iter().map(|state| json!({ "metadata": { "name": state }, "status": { "state": state } })).collect();
            rows::<ClusterPolicy>(&all)
        };
        assert_eq!(told(&["ignored", "ready"]), ["gpu_operator_state eu/ignored = ignored", "gpu_operator_state eu/ready = ready"]);
        assert_eq!(told(&["ignored"]), ["gpu_operator_state eu/ignored = unknown"]);
    }
}
