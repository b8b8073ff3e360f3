//! Labels of nodes, and what pods and pools of nodes require of them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Deserialize;

use crate::collectors::kubernetes::reading::objects::or_default;

/// Labels, each as two numbers: which of them a workspace will ask for is not known when nodes are listed, and the texts
/// of thousands of nodes would be megabytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::collectors::kubernetes) struct Labels(Box<[(u64, u64)]>);

/// What marks the number that stands for a number, so that numbers can still be compared.
const IS_NUMBER: u64 = 1 << 63;

fn hashed(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish() & !IS_NUMBER
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| *number < IS_NUMBER)
}

fn digest(value: &str) -> u64 {
    let canonical = number(value).filter(|number| number.to_string() == value);
    canonical.map_or_else(|| hashed(value), |number| number | IS_NUMBER)
}

impl Labels {
    pub(in crate::collectors::kubernetes) fn of(labels: &BTreeMap<String, String>) -> Self {
        Self(labels.iter().map(|(name, value)| (hashed(name), digest(value))).collect())
    }

    /// What stands for the value of a label: equal where the values are.
    pub(in crate::collectors::kubernetes) fn get(&self, name: &str) -> Option<u64> {
        let name = hashed(name);
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }
}

/// What a label must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(in crate::collectors::kubernetes) struct Requirement {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) key: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) operator: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) values: Vec<String>,
}

impl Requirement {
    pub(in crate::collectors::kubernetes) fn equal(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), operator: "In".to_owned(), values: vec![value.to_owned()] }
    }

    /// Whether labels are as required; `None` for an operator of another version of Kubernetes.
    pub(in crate::collectors::kubernetes) fn holds(&self, labels: &Labels) -> Option<bool> {
        self.holds_for(labels.get(&self.key))
    }

    /// The same for one value, if the label is there.
    /// Source: `Requirement.Matches` in `pkg/labels/selector.go` of apimachinery; `Gte` and `Lte` are Karpenter's.
    fn holds_for(&self, value: Option<u64>) -> Option<bool> {
        let is_one = || value.is_some_and(|value| self.values.iter().any(|own| digest(own) == value));
        let bound = || self.values.first().and_then(|text| number(text));
        let found = || value.filter(|value| value & IS_NUMBER != 0).map(|value| value & !IS_NUMBER);
        let compares = |holds: fn(u64, u64) -> bool| found().zip(bound()).is_some_and(|(found, bound)| holds(found, bound));
        Some(match self.operator.as_str() {
            "In" => is_one(),
            "NotIn" => !is_one(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => compares(|found, bound| found > bound),
            "Lt" => compares(|found, bound| found < bound),
            "Gte" => compares(|found, bound| found >= bound),
            "Lte" => compares(|found, bound| found <= bound),
            _ => return None,
        })
    }
}

/// Whether all requirements hold; `None` where nobody knows.
pub(in crate::collectors::kubernetes) fn all(mut each: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    each.try_fold(Some(true), |known, holds| match holds {
        Some(false) => Err(()),
        Some(true) => Ok(known),
        None => Ok(None),
    })
    .unwrap_or(Some(false))
}

/// Labels that nodes will have that are not there yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::collectors::kubernetes) struct Promised {
    fixed: BTreeMap<String, String>,
    requirements: Vec<Requirement>,
}

/// With what names of labels begin that every new node gets from its cloud or its kubelet, whatever its pool says.
/// Source: <https://karpenter.sh/docs/concepts/scheduling/#well-known-labels>
const FROM_ELSEWHERE: [&str; 9] = [
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "topology.",
    "node.kubernetes.io/",
    "karpenter.sh/capacity-type",
    "karpenter.k8s.aws/",
    "eks.amazonaws.com/",
    "karpenter.azure.com/",
    "failure-domain.beta.kubernetes.io/",
];

const SYSTEM: &str = "kubernetes.io/os";
const ARCH: &str = "kubernetes.io/arch";

/// Whether machines of a type of AWS are of ARM: `g` stands among the letters after the generation, as in `c7gn.large`.
/// Source: <https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html>
fn is_arm(machine: &str) -> bool {
    let family = machine.split('.').next().unwrap_or_default();
    let after = family.trim_start_matches(|c: char| !c.is_ascii_digit()).trim_start_matches(|c: char| c.is_ascii_digit());
    family == "a1" || after.contains('g')
}

/// The cores that a machine of a type or a size of AWS has at most: two, or four for each `xlarge`. `None` where its name does
/// not tell, as of bare metal and of other clouds.
/// Source: <https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-type-specifications.html>
fn cores(machine: &str) -> Option<f64> {
    match machine.rsplit('.').next()? {
        "nano" | "micro" | "small" | "medium" | "large" => Some(2.0),
        "xlarge" => Some(4.0),
        size => Some(4.0 * number(size.strip_suffix("xlarge")?)? as f64),
    }
}

impl Promised {
    /// Of nodes of a pool: its name, the labels of its template and what it requires.
    pub(in crate::collectors::kubernetes) fn of(pool: &str, labels: BTreeMap<String, String>, requirements: Vec<Requirement>) -> Self {
        let mut fixed = labels;
        fixed.insert("karpenter.sh/nodepool".to_owned(), pool.to_owned());
        Self { fixed, requirements }
    }

    fn of_key<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Requirement> {
        self.requirements.iter().filter(move |own| own.key == key)
    }

    /// The values among which those of a label are, as far as the pool names them.
    pub(in crate::collectors::kubernetes) fn values<'a>(&'a self, key: &'a str) -> Option<Vec<&'a str>> {
        if let Some(value) = self.fixed.get(key) {
            return Some(vec![value]);
        }
        // Nodes for Windows are made only where somebody asks for them.
        if key == SYSTEM && !self.knows(key) {
            return Some(vec!["linux"]);
        }
        let named = self.of_key(key).find(|own| own.operator == "In")?;
        let fits = |value: &&String| self.of_key(key).all(|own| own.holds_for(Some(digest(value))) != Some(false));
        Some(named.values.iter().filter(fits).map(String::as_str).collect())
    }

    /// Whether every new node has such a label from elsewhere.
    pub(in crate::collectors::kubernetes) fn is_given(key: &str) -> bool {
        FROM_ELSEWHERE.iter().any(|begin| key.starts_with(begin))
    }

    /// Whether the pool says anything of a label.
    pub(in crate::collectors::kubernetes) fn knows(&self, key: &str) -> bool {
        self.fixed.contains_key(key) || self.of_key(key).next().is_some()
    }

    /// The same nodes, if they are of one platform.
    pub(in crate::collectors::kubernetes) fn of_platform(&self, system: &str, arch: &str) -> Self {
        let mut own = self.clone();
        own.fixed.extend([(SYSTEM.to_owned(), system.to_owned()), (ARCH.to_owned(), arch.to_owned())]);
        own
    }

    /// What nodes may be, as operating system and architecture. Without a word of either they are for Linux, and for what
    /// the named types of machines are.
    pub(in crate::collectors::kubernetes) fn platforms(&self) -> Vec<(&'static str, &'static str)> {
        let may_be = |key: &str, value: &str| self.can(&Requirement::equal(key, value)) != Some(false);
        let systems = ["linux", "windows"].into_iter().filter(|system| may_be(SYSTEM, system));
        let arm = self.machines_are_arm();
        let archs: Vec<_> = ["amd64", "arm64"].into_iter().filter(|arch| may_be(ARCH, arch) && arm.is_none_or(|arm| arm == (*arch == "arm64"))).collect();
        systems.flat_map(|system| archs.iter().map(move |arch| (system, *arch))).collect()
    }

    /// Whether any node can be as all of the requirements say.
    pub(in crate::collectors::kubernetes) fn is_possible(&self) -> bool {
        self.requirements.iter().all(|own| {
            let key = own.key.as_str();
            let holds = |value: &str| self.of_key(key).all(|own| own.holds_for(Some(digest(value))) != Some(false));
            let is_there = self.of_key(key).any(|own| matches!(own.operator.as_str(), "Exists" | "Gt" | "Gte" | "Lt" | "Lte"));
            let is_absent = self.of_key(key).any(|own| own.operator == "DoesNotExist");
            let least = self.bounds(key, "Gt", "Gte", 1.0).reduce(f64::max);
            let most = self.bounds(key, "Lt", "Lte", -1.0).reduce(f64::min);
            let is_empty = least.zip(most).is_some_and(|(least, most)| least > most);
            self.values(key).is_none_or(|values| values.into_iter().any(holds)) && !(is_there && is_absent) && !is_empty
        })
    }

    /// The bounds of a number: those that it must not reach, moved by a step, and those that it may.
    fn bounds<'a>(&'a self, key: &'a str, beyond: &'a str, within: &'a str, step: f64) -> impl Iterator<Item = f64> {
        let bound = |own: &Requirement| own.values.first().and_then(|text| number(text)).map(|bound| bound as f64);
        let of = move |own: &'a Requirement| {
            let step = if own.operator == beyond { Some(step) } else { (own.operator == within).then_some(0.0) };
            Some(bound(own)? + step?)
        };
        self.of_key(key).filter_map(of)
    }

    /// The most that a number of a machine may be, if that is bounded: under any of these names.
    fn most(&self, keys: &[&str], of: fn(&str) -> Option<f64>) -> Option<f64> {
        let each = keys.iter().filter_map(|key| match self.values(key) {
            Some(values) => values.into_iter().map(of).collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max),
            None => self.bounds(key, "Lt", "Lte", -1.0).reduce(f64::min),
        });
        each.reduce(f64::min)
    }

    /// The most cores that a node may have.
    /// Source: <https://karpenter.sh/docs/concepts/scheduling/#well-known-labels>
    pub(in crate::collectors::kubernetes) fn most_cores(&self) -> Option<f64> {
        let counted = self.most(&["karpenter.k8s.aws/instance-cpu", "eks.amazonaws.com/instance-cpu"], |text| text.parse().ok());
        let by_name = self.most(&["node.kubernetes.io/instance-type", "karpenter.k8s.aws/instance-size", "eks.amazonaws.com/instance-size"], cores);
        counted.into_iter().chain(by_name).reduce(f64::min)
    }

    /// The most memory that a node may have, in GiB; labels tell it in MiB.
    pub(in crate::collectors::kubernetes) fn most_memory(&self) -> Option<f64> {
        self.most(&["karpenter.k8s.aws/instance-memory", "eks.amazonaws.com/instance-memory"], |text| text.parse().ok()).map(|mebibytes| mebibytes / 1024.0)
    }

    /// Whether nodes are for Windows alone.
    pub(in crate::collectors::kubernetes) fn is_of_windows(&self) -> bool {
        self.values(SYSTEM).is_some_and(|systems| !systems.is_empty() && systems.iter().all(|system| *system == "windows"))
    }

    /// What pods ask for that need such nodes.
    pub(in crate::collectors::kubernetes) fn windows() -> Requirement {
        Requirement::equal(SYSTEM, "windows")
    }

    /// Whether all machines of the types that are named are of ARM, or none is; `None` where that differs, or none is named.
    fn machines_are_arm(&self) -> Option<bool> {
        let keys = ["node.kubernetes.io/instance-type", "karpenter.k8s.aws/instance-family", "eks.amazonaws.com/instance-family"];
        let values = keys.iter().filter_map(|key| self.values(key)).find(|values| !values.is_empty())?;
        let mut all = values.iter().map(|machine| is_arm(machine));
        let first = all.next()?;
        all.all(|other| other == first).then_some(first)
    }

    /// Whether a node can be made as required, since who makes one looks at what its pods ask for.
    /// Source: <https://karpenter.sh/docs/concepts/scheduling/#user-defined-labels>
    pub(in crate::collectors::kubernetes) fn can(&self, asked: &Requirement) -> Option<bool> {
        let key = asked.key.as_str();
        if key == "kubernetes.io/hostname" {
            return Some(!matches!(asked.operator.as_str(), "In" | "DoesNotExist"));
        }
        if let Some(values) = self.values(key) {
            let mut held = values.iter().map(|value| asked.holds_for(Some(digest(value))));
            return Some(held.any(|holds| holds != Some(false)));
        }
        if self.of_key(key).any(|own| own.operator == "DoesNotExist") {
            return asked.holds_for(None);
        }
        if !Self::is_given(key) && !self.knows(key) {
            return asked.holds_for(None);
        }
        Some(match asked.operator.as_str() {
            "In" => asked.values.iter().any(|value| self.of_key(key).all(|own| own.holds_for(Some(digest(value))) != Some(false))),
            _ => true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(operator: &str, values: &[&str]) -> Requirement {
        Requirement { key: "k".into(), operator: operator.into(), values: values.iter().map(|value| (*value).to_owned()).collect() }
    }

    #[test]
    fn labels_are_compared_as_kubernetes_does() {
        let labels = |value: &str| Labels::of(&[("k".to_owned(), value.to_owned())].into());
        let none = Labels::default();
        for (operator, values, value, holds) in [
            ("In", &["a", "b"][..], "b", true),
            ("In", &["a"], "b", false),
            ("NotIn", &["a"], "b", true),
            ("NotIn", &["b"], "b", false),
            ("Exists", &[], "b", true),
            ("DoesNotExist", &[], "b", false),
            ("Gt", &["4"], "8", true),
            ("Gt", &["8"], "8", false),
            ("Lt", &["10"], "8", true),
            ("Gt", &["4"], "many", false),
            ("In", &["08"], "8", false),
        ] {
            assert_eq!(asks(operator, values).holds(&labels(value)), Some(holds), "{operator} {values:?} {value}");
        }
        assert_eq!(asks("In", &["a"]).holds(&none), Some(false));
        assert_eq!((asks("NotIn", &["a"]).holds(&none), asks("DoesNotExist", &[]).holds(&none)), (Some(true), Some(true)));
        assert_eq!(asks("Sometimes", &["a"]).holds(&none), None);
    }

    #[test]
    fn a_node_is_made_as_its_pods_ask_where_its_pool_lets_it() {
        let pool = |key: &str, own: &[Requirement]| {
            let own = own.iter().map(|own| Requirement { key: key.into(), ..own.clone() }).collect();
            Promised::of("ws", [("fixed".to_owned(), "a".to_owned())].into(), own)
        };
        let can = |promised: &Promised, key: &str, asked: &Requirement| promised.can(&Requirement { key: key.into(), ..asked.clone() });
        let some = pool("k", &[asks("In", &["a", "b"])]);
        assert_eq!(can(&some, "k", &asks("In", &["b", "c"])), Some(true));
        assert_eq!(can(&some, "k", &asks("In", &["c"])), Some(false));
        assert_eq!(can(&some, "fixed", &asks("In", &["a"])), Some(true));
        assert_eq!(can(&some, "fixed", &asks("In", &["b"])), Some(false));
        assert_eq!(can(&some, "karpenter.sh/nodepool", &asks("In", &["ws"])), Some(true));
        // Of what a pool says nothing, nodes have only what their cloud gives them.
        assert_eq!(can(&some, "other", &asks("In", &["a"])), Some(false));
        assert_eq!(can(&some, "other", &asks("NotIn", &["a"])), Some(true));
        assert_eq!(can(&some, "topology.kubernetes.io/zone", &asks("In", &["eu-1a"])), Some(true));
        assert_eq!(can(&some, "kubernetes.io/hostname", &asks("In", &["n"])), Some(false));
        let of = |key: &str, own: Requirement| pool(key, &[own]).platforms().iter().map(|(system, arch)| format!("{system}/{arch}")).collect::<Vec<_>>();
        assert_eq!(of("k", asks("Exists", &[])), ["linux/amd64", "linux/arm64"]);
        assert_eq!(of("kubernetes.io/arch", asks("In", &["arm64"])), ["linux/arm64"]);
        assert_eq!(of("kubernetes.io/arch", asks("NotIn", &["arm64"])), ["linux/amd64"]);
        assert_eq!(of("kubernetes.io/os", asks("In", &["windows"])), ["windows/amd64", "windows/arm64"]);
        assert_eq!(of("node.kubernetes.io/instance-type", asks("In", &["m5.large", "g5.xlarge"])), ["linux/amd64"]);
        assert_eq!(of("node.kubernetes.io/instance-type", asks("In", &["m7g.large", "t4g.small"])), ["linux/arm64"]);
        assert_eq!(of("karpenter.k8s.aws/instance-family", asks("In", &["c7gn", "m5"])).len(), 2);
        let not = pool("k", &[asks("NotIn", &["a"])]);
        assert_eq!((can(&not, "k", &asks("In", &["a"])), can(&not, "k", &asks("In", &["b"]))), (Some(false), Some(true)));
        assert_eq!(can(&pool("k", &[asks("DoesNotExist", &[])]), "k", &asks("In", &["a"])), Some(false));
    }
}
