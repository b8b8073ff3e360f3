//! Where the pod of a workspace may run: the devices and the labels that it asks of its node, and how far it keeps from
//! others like it.
//!
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/>

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::collectors::kubernetes::config::WorkspaceSelector;
use crate::collectors::kubernetes::kinds::pod::Pod;
use crate::collectors::kubernetes::reading::labels::{self, Labels, Promised, Requirement};
use crate::collectors::kubernetes::reading::objects::or_default;
use crate::collectors::kubernetes::reading::resources::Devices;
use crate::collectors::kubernetes::reading::selector::LabelSelector;

/// What a pod says of the nodes that it may run on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::collectors::kubernetes) struct Affinity {
    #[serde(rename = "nodeAffinity", deserialize_with = "or_default")]
    nodes: Required<Option<NodeSelector>>,
    #[serde(rename = "podAffinity", deserialize_with = "or_default")]
    beside: Required<Vec<IgnoredAny>>,
    #[serde(rename = "podAntiAffinity", deserialize_with = "or_default")]
    apart: Required<Vec<PodTerm>>,
}

/// What must be; what would only be nice keeps nobody from starting.
#[derive(Debug, Clone, Default, Deserialize)]
struct Required<T: Default> {
    #[serde(default, rename = "requiredDuringSchedulingIgnoredDuringExecution", deserialize_with = "or_default", bound(deserialize = "T: Deserialize<'de>"))]
    terms: T,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeSelector {
    #[serde(default, deserialize_with = "or_default")]
    node_selector_terms: Vec<NodeTerm>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeTerm {
    #[serde(default, deserialize_with = "or_default")]
    match_expressions: Vec<Requirement>,
    #[serde(default, deserialize_with = "or_default")]
    match_fields: Vec<IgnoredAny>,
}

/// Pods that a pod keeps away from.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodTerm {
    label_selector: Option<LabelSelector>,
    #[serde(default, deserialize_with = "or_default")]
    topology_key: String,
    #[serde(default, deserialize_with = "or_default")]
    namespaces: Vec<String>,
    namespace_selector: Option<LabelSelector>,
    #[serde(default, deserialize_with = "or_default")]
    match_label_keys: Vec<IgnoredAny>,
    #[serde(default, deserialize_with = "or_default")]
    mismatch_label_keys: Vec<IgnoredAny>,
}

/// Over what pods are spread.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct Spread {
    #[serde(default, deserialize_with = "or_default")]
    max_skew: u32,
    #[serde(default, deserialize_with = "or_default")]
    topology_key: String,
    #[serde(default, deserialize_with = "or_default")]
    when_unsatisfiable: String,
    label_selector: Option<LabelSelector>,
    min_domains: Option<u32>,
    node_affinity_policy: Option<String>,
    node_taints_policy: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    match_label_keys: Vec<IgnoredAny>,
}

const HOSTNAME: &str = "kubernetes.io/hostname";

/// Those of which a node takes one at most: the pods that their own rule keeps away from each other, or that take the same
/// port of their node. Workspaces of several kinds with the same rule keep away from each other as well.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::collectors::kubernetes) enum Apart {
    Port,
    Rule {
        selector: LabelSelector,
        /// `None` where it is about pods of every namespace.
        namespace: Option<String>,
    },
}

/// The one spread that is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::collectors::kubernetes) struct Even {
    pub(in crate::collectors::kubernetes) skew: u32,
    pub(in crate::collectors::kubernetes) key: String,
}

/// What is kept of a pod; thousands share one.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::collectors::kubernetes) struct Placement {
    pub(in crate::collectors::kubernetes) devices: Devices,
    /// All of these.
    labels: Vec<Requirement>,
    /// And all that stands in one of these, if there are any.
    terms: Option<Vec<Vec<Requirement>>>,
    pub(in crate::collectors::kubernetes) apart: Option<Apart>,
    pub(in crate::collectors::kubernetes) even: Option<Even>,
    /// Whether a rule that pods keep by is about every workspace by what the configuration says of them. Else it takes two
    /// of a kind to know.
    pub(in crate::collectors::kubernetes) is_of_all: bool,
    /// What it asks for that is not counted here.
    pub(in crate::collectors::kubernetes) uncounted: Option<&'static str>,
}

impl Placement {
    pub(in crate::collectors::kubernetes) fn of(pod: &Pod, selector: &WorkspaceSelector, namespace: &str) -> Self {
        let spec = &pod.spec;
        let mut own = Self {
            devices: pod.devices(),
            labels: spec.node_selector.iter().map(|(key, value)| Requirement::equal(key, value)).collect(),
            apart: pod.takes_host_port().then_some(Apart::Port),
            is_of_all: true,
            uncounted: (!spec.resource_claims.is_empty()).then_some("for devices by resource claims"),
            ..Self::default()
        };
        own.read_nodes(&spec.affinity);
        if !spec.affinity.beside.terms.is_empty() {
            own.uncounted = Some("to run beside other pods");
        }
        let rules = Rules { labels: pod.metadata.labels.as_ref().map(Labels::of).unwrap_or_default(), selector, namespace };
        for term in &spec.affinity.apart.terms {
            own.keep_apart(term, &rules);
        }
        for spread in spec.topology_spread_constraints.iter().filter(|spread| spread.when_unsatisfiable != "ScheduleAnyway") {
            own.spread(spread, &rules);
        }
        own
    }

    fn read_nodes(&mut self, affinity: &Affinity) {
        let Some(required) = &affinity.nodes.terms else { return };
        let terms = &required.node_selector_terms;
        if terms.iter().any(|term| !term.match_fields.is_empty()) {
            self.uncounted = Some("for nodes by name");
        }
        // An empty term takes no node.
        self.terms = Some(terms.iter().map(|term| term.match_expressions.clone()).filter(|term| !term.is_empty()).collect());
    }

    fn keep_apart(&mut self, term: &PodTerm, rules: &Rules<'_>) {
        // One without a selector is about no pod.
        let Some(selector) = &term.label_selector else { return };
        let has_keys = !term.match_label_keys.is_empty() || !term.mismatch_label_keys.is_empty();
        if has_keys || !rules.is_about_own(term) || selector.selects(&rules.labels) != Some(true) {
            self.uncounted = Some("to run away from other pods");
        } else if term.topology_key != HOSTNAME || self.apart.is_some() {
            self.uncounted = Some("to run apart from each other by more than their nodes");
        } else {
            self.is_of_all &= rules.is_of_all(selector);
            let namespace = term.namespace_selector.is_none().then(|| rules.namespace.to_owned());
            self.apart = Some(Apart::Rule { selector: selector.clone(), namespace });
        }
    }

    fn spread(&mut self, spread: &Spread, rules: &Rules<'_>) {
        let is_plain = spread.min_domains.is_none()
            && spread.match_label_keys.is_empty()
            && spread.node_affinity_policy.as_deref().is_none_or(|policy| policy == "Honor")
            && spread.node_taints_policy.as_deref().is_none_or(|policy| policy == "Ignore");
        let selector = spread.label_selector.as_ref().filter(|selector| selector.selects(&rules.labels) == Some(true));
        match selector.filter(|_| is_plain && self.even.is_none() && rules.selector.namespaces.len() == 1) {
            Some(selector) => {
                self.is_of_all &= rules.is_of_all(selector);
                self.even = Some(Even { skew: spread.max_skew.max(1), key: spread.topology_key.clone() });
            }
            None => self.uncounted = Some("to be spread in a way"),
        }
    }

    /// Whether it may run on a node with these labels; `None` where nobody knows.
    pub(in crate::collectors::kubernetes) fn takes(&self, node: &Labels) -> Option<bool> {
        // A node without the label is in none of the places that pods are spread over.
        let has_place = self.even.iter().map(|even| Some(node.get(&even.key).is_some()));
        labels::all(has_place.chain([self.asks(|own| own.holds(node))]))
    }

    /// The same of nodes that are yet to be made.
    pub(in crate::collectors::kubernetes) fn takes_new(&self, nodes: &Promised) -> Option<bool> {
        self.asks(|own| nodes.can(own))
    }

    /// Whether it asks for a label of its own accord.
    pub(in crate::collectors::kubernetes) fn asks_for(&self, label: &Requirement) -> bool {
        self.labels.contains(label)
    }

    fn asks(&self, holds: impl Fn(&Requirement) -> Option<bool>) -> Option<bool> {
        let one_of = self.terms.as_ref().map(|terms| {
            let known: Vec<Option<bool>> = terms.iter().map(|term| labels::all(term.iter().map(&holds))).collect();
            if known.contains(&Some(true)) { Some(true) } else { known.iter().all(Option::is_some).then_some(false) }
        });
        labels::all(self.labels.iter().map(&holds).chain(one_of))
    }

    /// Whether how many fit on a node depends on which others are there.
    pub(in crate::collectors::kubernetes) fn minds_others(&self) -> bool {
        self.apart.is_some() || self.even.is_some()
    }
}

/// The pod whose rules are read.
struct Rules<'a> {
    labels: Labels,
    selector: &'a WorkspaceSelector,
    namespace: &'a str,
}

impl Rules<'_> {
    /// Whether a rule is about every workspace, since it asks for nothing but what all of them have.
    fn is_of_all(&self, selector: &LabelSelector) -> bool {
        selector.keys().all(|key| self.selector.labels.contains_key(key))
    }

    /// Whether a term is about pods of the own namespace, or of every one.
    fn is_about_own(&self, term: &PodTerm) -> bool {
        match &term.namespace_selector {
            Some(selector) => selector.is_open(),
            None => term.namespaces.is_empty() || term.namespaces == [self.namespace],
        }
    }
}
