//! Taints: which nodes refuse which pods.
//!
//! Some taints are marks of a moment: the node is not ready yet, or is being taken away. No workspace has
//! room there, whatever it tolerates. All others are of somebody's choosing, and say for which pods a
//! node is meant.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::collectors::kubernetes::reading::objects::or_default;
use crate::collectors::kubernetes::reading::resources::is_gpu;
use crate::value::Problem;
use crate::value::rules::quoted;
use crate::word::Word;

/// Marks of what is wrong with a node.
/// Source: <https://kubernetes.io/docs/reference/labels-annotations-taints/>
const UNFIT: [&str; 8] = [
    NOT_READY,
    NETWORK_UNAVAILABLE,
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/out-of-service",
    "node.cloudprovider.kubernetes.io/shutdown",
];
/// What Kubernetes marks a node with whose `Ready` is not true.
pub(in crate::collectors::kubernetes) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(in crate::collectors::kubernetes) const NETWORK_UNAVAILABLE: &str = "node.kubernetes.io/network-unavailable";
/// The condition that Kubernetes sets that taint for.
pub(in crate::collectors::kubernetes) const NETWORK: &str = "NetworkUnavailable";
/// With what names of taints begin that the cluster autoscaler takes for passing ones.
const UNFIT_BEGINS: [&str; 2] = ["status-taint.cluster-autoscaler.kubernetes.io/", "ignore-taint.cluster-autoscaler.kubernetes.io/"];

/// With what names begin, and how they end, of taints that a node is created with and that its cloud or an
/// agent takes away once it has done its part.
/// Sources: <https://kubernetes.io/docs/reference/labels-annotations-taints/>,
/// <https://docs.cilium.io/en/stable/installation/taints/>, `pkg/apis/v1/taints.go` of Karpenter, and the FAQ of
/// the cluster autoscaler on startup taints. The endings are those of the cloud controllers (`uninitialized`), of
/// Cluster API, of the agents of Cilium, Istio and the CSI drivers of AWS, and of Karpenter (`unregistered`).
const STARTING_BEGINS: &str = "startup-taint.cluster-autoscaler.kubernetes.io/";
const STARTING_ENDS: [&str; 4] = ["/agent-not-ready", "/not-ready", "/uninitialized", "/unregistered"];

/// Marks of a node that is being taken away. `DeletionCandidateOfClusterAutoscaler` is none: it is only
/// preferred that pods go elsewhere, and it is lifted once one comes.
const LEAVING: [&str; 4] =
    ["karpenter.sh/disrupted", "karpenter.sh/disruption", "ToBeDeletedByClusterAutoscaler", "cloud.google.com/impending-node-termination"];
const LEAVING_BEGINS: &str = "aws-node-termination-handler/";

/// Of a node that is cordoned, which `spec.unschedulable` says as well.
const CORDONED: &str = "node.kubernetes.io/unschedulable";

/// A taint of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(in crate::collectors::kubernetes) struct Taint {
    #[serde(default, deserialize_with = "or_default")]
    key: String,
    #[serde(default, deserialize_with = "or_default")]
    value: String,
    #[serde(default, deserialize_with = "or_default")]
    effect: String,
}

/// What a taint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Unfit,
    Starting,
    Leaving,
    Cordoned,
    Chosen,
}

impl Taint {
    fn mark(&self) -> Mark {
        let key = self.key.as_str();
        if LEAVING.contains(&key) || key.starts_with(LEAVING_BEGINS) {
            Mark::Leaving
        } else if key == CORDONED {
            Mark::Cordoned
        } else if UNFIT.contains(&key) || UNFIT_BEGINS.iter().any(|begin| key.starts_with(begin)) {
            Mark::Unfit
        } else if key.starts_with(STARTING_BEGINS) || STARTING_ENDS.iter().any(|end| key.ends_with(end)) {
            Mark::Starting
        } else {
            Mark::Chosen
        }
    }

    /// Whether it keeps pods away, and does not only ask them to go elsewhere.
    fn keeps_away(&self) -> bool {
        matches!(self.effect.as_str(), "NoSchedule" | "NoExecute")
    }

    /// Whether it keeps pods away that ask for no GPU.
    pub(in crate::collectors::kubernetes) fn is_of_gpus(&self) -> bool {
        is_gpu(&self.key)
    }

    /// Whether nobody means it for workspaces: nodes of the control plane and of the system, and those
    /// whose devices a workspace would have to ask for.
    fn is_for_others(&self) -> bool {
        self.key.starts_with("node-role.kubernetes.io/") || self.key == "CriticalAddonsOnly" || self.is_of_gpus()
    }
}

/// What the taints of a node come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::collectors::kubernetes) struct Taints {
    /// What marks it as unfit, by name.
    pub(in crate::collectors::kubernetes) unfit: Vec<Arc<str>>,
    /// What marks it as not started yet, by name.
    pub(in crate::collectors::kubernetes) starting: Vec<Arc<str>>,
    /// Whether it is being taken away.
    pub(in crate::collectors::kubernetes) leaving: bool,
    /// Whether it is unfit for every pod.
    pub(in crate::collectors::kubernetes) closed: bool,
    /// Those by which somebody keeps pods away on purpose.
    pub(in crate::collectors::kubernetes) chosen: Box<[Taint]>,
}

impl Taints {
    /// `never_ready` says that the node has not been ready since it was created: what Kubernetes marks such a
    /// node with is the start and no fault.
    pub(in crate::collectors::kubernetes) fn of(taints: &[Taint], never_ready: bool) -> Self {
        let begins = |taint: &Taint| match taint.mark() {
            Mark::Starting => true,
            Mark::Unfit => never_ready && [NOT_READY, NETWORK_UNAVAILABLE].contains(&taint.key.as_str()),
            Mark::Leaving | Mark::Cordoned | Mark::Chosen => false,
        };
        // A name that is none is still a mark.
        let name = |taint: &Taint| Word::joined(&taint.key).map_or("other", Word::as_str).into();
        let starting: Vec<Arc<str>> = taints.iter().filter(|taint| begins(taint)).map(name).collect();
        Self {
            unfit: taints.iter().filter(|taint| taint.mark() == Mark::Unfit && !begins(taint)).map(name).collect(),
            starting: if never_ready && starting.is_empty() { vec![NOT_READY.into()] } else { starting },
            leaving: taints.iter().any(|taint| taint.mark() == Mark::Leaving),
            closed: taints.iter().any(|taint| matches!(taint.mark(), Mark::Unfit | Mark::Starting | Mark::Cordoned) && taint.keeps_away()),
            chosen: taints.iter().filter(|taint| taint.mark() == Mark::Chosen && taint.keeps_away()).cloned().collect(),
        }
    }
}

/// Those that keep pods away, whatever they are called.
pub(in crate::collectors::kubernetes) fn keeping_away(taints: &[Taint]) -> Box<[Taint]> {
    taints.iter().filter(|taint| taint.keeps_away()).cloned().collect()
}

/// How a toleration compares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TolerationOperator")]
pub enum Operator {
    /// The value is the same.
    #[default]
    Equal,
    /// Whatever the value is.
    Exists,
}

/// A taint that pods tolerate, as their specification says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Toleration {
    /// The taint's key; all when left out, which needs `operator: Exists`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// `Equal` or `Exists`.
    #[serde(default)]
    pub operator: Operator,
    /// The taint's value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule` or `NoExecute`; both when left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub effect: String,
}

impl Toleration {
    /// Reports every rule that it breaks.
    pub(in crate::collectors::kubernetes) fn validate(&self, path: &str, problems: &mut Vec<Problem>) {
        if self.key.is_empty() && self.operator == Operator::Equal {
            problems.push(Problem::bare(format!("{path}.key"), "must be set unless operator is Exists"));
        }
        if self.operator == Operator::Exists && !self.value.is_empty() {
            problems.push(Problem::bare(format!("{path}.value"), "must be left out with operator Exists"));
        }
        if !matches!(self.effect.as_str(), "" | "NoSchedule" | "NoExecute") {
            problems.push(Problem::new(format!("{path}.effect"), "must be NoSchedule or NoExecute, or left out", quoted(&self.effect)));
        }
    }

    /// Source: `ToleratesTaint` in `component-helpers/scheduling/corev1/helpers.go` of Kubernetes.
    fn tolerates(&self, taint: &Taint) -> bool {
        let same = |own: &str, other: &str| own.is_empty() || own == other;
        same(&self.effect, &taint.effect)
            && same(&self.key, &taint.key)
            && match self.operator {
                Operator::Exists => true,
                // An empty key means every taint only together with `Exists`.
                Operator::Equal => !self.key.is_empty() && self.value == taint.value,
            }
    }
}

/// A toleration as pods have it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct PodToleration {
    #[serde(default, deserialize_with = "or_default")]
    key: String,
    #[serde(default, deserialize_with = "or_default")]
    operator: String,
    #[serde(default, deserialize_with = "or_default")]
    value: String,
    #[serde(default, deserialize_with = "or_default")]
    effect: String,
    toleration_seconds: Option<i64>,
}

/// The tolerations of a pod that let it start and stay: without what every pod has by itself, and
/// without those that end.
pub(in crate::collectors::kubernetes) fn lasting(tolerations: &[PodToleration]) -> Vec<Toleration> {
    let own = tolerations.iter().filter(|own| own.toleration_seconds.is_none());
    let own = own.filter_map(|own| {
        let operator = match own.operator.as_str() {
            "" | "Equal" => Operator::Equal,
            "Exists" => Operator::Exists,
            // One of another version of Kubernetes.
            _ => return None,
        };
        Some(Toleration { key: own.key.clone(), operator, value: own.value.clone(), effect: own.effect.clone() })
    });
    own.collect()
}

/// Whether workspaces start in spite of taints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::collectors::kubernetes) enum Open {
    Yes,
    No,
    /// Neither the configuration nor a workspace says so.
    Unknown,
}

/// Whether pods with these tolerations start on a node with these taints.
pub(in crate::collectors::kubernetes) fn tolerated(taints: &[Taint], tolerations: &[Toleration]) -> bool {
    taints.iter().all(|taint| tolerations.iter().any(|own| own.tolerates(taint)))
}

/// What is known of the tolerations of workspaces: those of the configuration, or those that workspaces have.
pub(in crate::collectors::kubernetes) struct Tolerations<'a> {
    pub(in crate::collectors::kubernetes) configured: Option<&'a [Toleration]>,
    pub(in crate::collectors::kubernetes) seen: Vec<&'a [Toleration]>,
}

impl Tolerations<'_> {
    /// Whether workspaces start on a node with taints of somebody's choosing.
    pub(in crate::collectors::kubernetes) fn open(&self, taints: &[Taint]) -> Open {
        let known = |yes: bool| if yes { Open::Yes } else { Open::No };
        if let Some(configured) = self.configured {
            return known(tolerated(taints, configured));
        }
        if taints.is_empty() {
            return Open::Yes;
        }
        let mut seen = self.seen.iter().map(|own| tolerated(taints, own));
        match seen.next() {
            // Workspaces of two kinds: which of them will be started nobody says.
            Some(first) => {
                if seen.all(|other| other == first) {
                    known(first)
                } else {
                    Open::Unknown
                }
            }
            None if taints.iter().any(Taint::is_for_others) => Open::No,
            None => Open::Unknown,
        }
    }
}
