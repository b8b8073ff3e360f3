//! The shape of a workspace's pod: what it asks of the rules of its namespace beside amounts, and which pods give way to it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::collectors::kubernetes::kinds::pod::{OwnClaim, Pod, Volume};
use crate::collectors::kubernetes::reading::objects::or_default;

/// What is kept of a pod; thousands share one.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::collectors::kubernetes) struct Shape {
    /// Whether it ends by itself.
    has_deadline: bool,
    /// Whether it asks for nothing.
    is_best_effort: bool,
    /// Its priority class, empty without one; `None` where no pod is there to say.
    class: Option<String>,
    /// The priority below which pods give way to it; `None` where none does.
    pub(in crate::collectors::kubernetes) drives_away: Option<i32>,
    /// Volumes of it that are claimed for this pod alone, and go with it.
    pub(in crate::collectors::kubernetes) own_claims: Vec<OwnClaim>,
}

impl Shape {
    pub(in crate::collectors::kubernetes) fn of(pod: &Pod) -> Self {
        Self {
            has_deadline: pod.spec.active_deadline_seconds.is_some(),
            is_best_effort: pod.is_best_effort(),
            class: Some(pod.spec.priority_class_name.clone().unwrap_or_default()),
            drives_away: pod.drives_away().then(|| pod.priority()),
            own_claims: pod.spec.volumes.iter().filter_map(Volume::own_claim).collect(),
        }
    }
}

/// What a quota says of the pods that it is about.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) enum Scope {
    Deadline(bool),
    BestEffort(bool),
    Class(Operator, Vec<String>),
    /// About pods that stand by pods of other namespaces, as no workspace does.
    Elsewhere,
    /// One of another version of Kubernetes.
    Other,
}

/// How a scope compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::collectors::kubernetes) enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// A requirement of `scopeSelector`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct ScopeTerm {
    #[serde(default, deserialize_with = "or_default")]
    scope_name: String,
    #[serde(default, deserialize_with = "or_default")]
    operator: String,
    #[serde(default, deserialize_with = "or_default")]
    values: Vec<String>,
}

impl Scope {
    /// Source: <https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-scopes>
    pub(in crate::collectors::kubernetes) fn named(name: &str) -> Self {
        match name {
            "Terminating" => Self::Deadline(true),
            "NotTerminating" => Self::Deadline(false),
            "BestEffort" => Self::BestEffort(true),
            "NotBestEffort" => Self::BestEffort(false),
            "PriorityClass" => Self::Class(Operator::Exists, Vec::new()),
            "CrossNamespacePodAffinity" | "VolumeAttributesClass" => Self::Elsewhere,
            _ => Self::Other,
        }
    }

    pub(in crate::collectors::kubernetes) fn of(term: ScopeTerm) -> Self {
        let operator = match term.operator.as_str() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => return Self::Other,
        };
        match (Self::named(&term.scope_name), operator) {
            (Self::Class(..), operator) => Self::Class(operator, term.values),
            (scope, Operator::Exists) => scope,
            _ => Self::Other,
        }
    }

    /// Whether it takes a pod; `None` where nobody knows.
    fn takes(&self, shape: &Shape) -> Option<bool> {
        match self {
            Self::Deadline(wanted) => Some(shape.has_deadline == *wanted),
            Self::BestEffort(wanted) => Some(shape.is_best_effort == *wanted),
            Self::Class(operator, values) => match (&shape.class, operator) {
                // Those of Kubernetes itself are for what runs a cluster.
                (None, Operator::In) if values.iter().all(|class| class.starts_with("system-")) => Some(false),
                (None, _) => None,
                (Some(own), Operator::In) => Some(values.contains(own)),
                (Some(own), Operator::NotIn) => Some(!values.contains(own)),
                (Some(own), Operator::Exists) => Some(!own.is_empty()),
                (Some(own), Operator::DoesNotExist) => Some(own.is_empty()),
            },
            Self::Elsewhere => Some(false),
            Self::Other => None,
        }
    }
}

/// Whether a quota with all of these scopes is about pods of these shapes; `None` where nobody knows, or where it is
/// about some of them. Without a pod, those to come are taken for pods that ask for something and do not end.
pub(in crate::collectors::kubernetes) fn taken(scopes: &[Scope], shapes: &BTreeMap<std::sync::Arc<Shape>, u64>) -> Option<bool> {
    let takes = |shape: &Shape| {
        let mut unknown = false;
        for scope in scopes {
            match scope.takes(shape) {
                Some(false) => return Some(false),
                Some(true) => {}
                None => unknown = true,
            }
        }
        (!unknown).then_some(true)
    };
    let mut all = shapes.keys().map(|shape| takes(shape));
    let Some(first) = all.next() else { return takes(&Shape::default()) };
    first.filter(|_| all.all(|other| other == first))
}
