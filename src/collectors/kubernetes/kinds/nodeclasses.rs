//! Classes by which Karpenter and EKS Auto Mode make nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::collectors::kubernetes::reading::objects::{Condition, ConditionStatus, Key, Kind, Place, Rows, kind, or_default};
use crate::collectors::kubernetes::watching::visibility::seen;
use crate::metric::{Coverage, Family, Sample, StateSet, metrics, state_set};
use crate::word::Word;

const CLASSES: Coverage = seen(&["EC2NodeClass", "NodeClass"]);

metrics! {
    /// Families about classes of nodes.
    pub(in crate::collectors::kubernetes) FAMILIES;

    static CLASS_CONDITION: StateSet<ConditionStatus, 4> = state_set(
        "readiness_nodeclass_condition_state",
        &["cluster", "kind", "name", "condition"],
        "Status of each condition of a node class, from the karpenter.k8s.aws/v1 or eks.amazonaws.com/v1 API.",
    )
    .covered_by(CLASSES);
}

kind!(EC2NodeClass, "karpenter.k8s.aws", "v1", "ec2nodeclasses", "crate::collectors::kubernetes::reading::objects::slim", spec: ClassSpec, status: ClassStatus);
kind!(NodeClass, "eks.amazonaws.com", "v1", "nodeclasses", "crate::collectors::kubernetes::reading::objects::slim", spec: ClassSpec, status: ClassStatus);

/// How a pool names its class.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(in crate::collectors::kubernetes) struct ClassRef {
    #[serde(default, deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct ClassSpec {
    #[serde(default, deserialize_with = "or_default")]
    kubelet: KubeletSpec,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KubeletSpec {
    max_pods: Option<u32>,
    pods_per_core: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct ClassStatus {
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<Condition>,
}

/// Conditions by name.
pub(in crate::collectors::kubernetes) type Conditions = Vec<(String, ConditionStatus)>;

/// Those that speak of an object as it is; of one that speaks of an older version nothing is known.
pub(in crate::collectors::kubernetes) fn conditions(reported: Vec<Condition>, generation: Option<i64>) -> Conditions {
    let named = reported.into_iter().filter(|condition| Word::joined(&condition.r#type).is_some());
    let mut conditions: Conditions = named
        .map(|condition| (condition.r#type.clone(), if condition.is_current(generation) { condition.state() } else { ConditionStatus::Unknown }))
        .collect();
    // One that no controller has looked at yet is not known to be ready.
    if !conditions.iter().any(|(name, _)| name == "Ready") {
        conditions.push(("Ready".to_owned(), ConditionStatus::Unknown));
    }
    conditions
}

/// What is kept of a class.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Class {
    conditions: Conditions,
    kubelet: KubeletSpec,
}

impl Class {
    fn of(status: ClassStatus, generation: Option<i64>, spec: ClassSpec) -> Self {
        Self { conditions: conditions(status.conditions, generation), kubelet: spec.kubelet }
    }

    fn is_ready(&self) -> bool {
        self.conditions.iter().any(|(name, state)| name == "Ready" && *state == ConditionStatus::True)
    }

    /// The pods that a node with so many cores takes, as far as the class says so.
    /// Source: <https://karpenter.sh/docs/concepts/nodeclasses/#speckubelet>
    pub(in crate::collectors::kubernetes) fn most_pods(&self, cores: Option<f64>) -> Option<f64> {
        let KubeletSpec { max_pods, pods_per_core } = &self.kubelet;
        let by_cores = pods_per_core.filter(|each| *each > 0).zip(cores).map(|(each, cores)| f64::from(each) * cores.ceil());
        max_pods.map(f64::from).into_iter().chain(by_cores).reduce(f64::min)
    }
}

/// The classes of the kind that is watched.
pub(in crate::collectors::kubernetes) struct Classes {
    kind: &'static str,
    by_name: BTreeMap<Arc<str>, Class>,
}

impl Classes {
    pub(in crate::collectors::kubernetes) fn of<K: Kind<Row = Class>>(rows: &Rows<K>) -> Self {
        Self { kind: K::KIND, by_name: rows.iter().map(|(key, class)| (Arc::clone(&key.name), class.clone())).collect() }
    }

    /// The class of a pool, if it is there and ready.
    pub(in crate::collectors::kubernetes) fn ready(&self, named: &ClassRef) -> Option<&Class> {
        self.by_name.get(named.name.as_str()).filter(|class| self.knows(named) && class.is_ready())
    }

    /// Whether a class is of the kind that is watched. Of others Karpenter says in the state of the pool whether they are ready.
    pub(in crate::collectors::kubernetes) fn knows(&self, named: &ClassRef) -> bool {
        named.kind == self.kind
    }
}

fn class_facts<'a>(rows: impl Iterator<Item = (&'a Key, &'a Class)>, place: &Place, samples: &mut Vec<Sample>) {
    for (key, class) in rows {
        let labels = |condition: &str| [Arc::clone(&place.cluster), Arc::clone(&place.kind), Arc::clone(&key.name), condition.into()];
        samples.extend(class.conditions.iter().map(|(condition, state)| CLASS_CONDITION.sample(labels(condition), *state)));
    }
}

/// Classes of nodes, which are alike as far as they are read.
macro_rules! node_class {
    ($($kind:ident),*) => {$(
        impl Kind for $kind {
            type Row = Class;
            const KIND: &'static str = stringify!($kind);
            const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES];

            fn row(self) -> Class {
                Class::of(self.status, self.metadata.generation, self.spec)
            }

            fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
                class_facts(rows.iter(), place, samples);
            }
        }
    )*};
}

node_class!(EC2NodeClass, NodeClass);
