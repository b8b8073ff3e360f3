//! What all kinds of objects share: slim types that hold only the fields that are read, and rows
//! that hold only what is kept. Everything else is skipped while parsing, so that a list of large
//! objects never stands in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference, Time};
use kube::Resource;
use kube::core::DynamicResourceScope;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::collectors::kubernetes::reading::clock::Clock;
use crate::metric::{Family, Sample, states};

/// A parser of metadata that keeps what identifies an object and the named extras. Spelled out and
/// not flattened: flattening makes serde build a tree of the whole metadata first.
macro_rules! metadata {
    ($(#[$about:meta])* $name:ident { $($extra:ident: $kind:ty),* }) => {
        $(#[$about])*
        pub(in crate::collectors::kubernetes) fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase")]
            struct Read {
                name: Option<String>,
                namespace: Option<String>,
                uid: Option<String>,
                resource_version: Option<String>,
                generation: Option<i64>,
                creation_timestamp: Option<Time>,
                deletion_timestamp: Option<Time>,
                $($extra: Option<$kind>,)*
            }
            let Read { name, namespace, uid, resource_version, generation, creation_timestamp, deletion_timestamp, $($extra),* } = Read::deserialize(deserializer)?;
            Ok(ObjectMeta {
                name,
                namespace,
                uid,
                resource_version,
                generation,
                creation_timestamp,
                deletion_timestamp,
                $($extra,)*
                ..ObjectMeta::default()
            })
        }
    };
}

metadata!(
    /// Only what identifies an object; labels, annotations and managed fields can be megabytes.
    slim {}
);
metadata!(
    /// With who wrote which part of it, of kinds whose objects are few and small.
    written { managed_fields: Vec<ManagedFieldsEntry> }
);
metadata!(
    /// With labels.
    labelled { labels: BTreeMap<String, String> }
);
metadata!(
    /// With labels and owners.
    owned { labels: BTreeMap<String, String>, owner_references: Vec<OwnerReference> }
);
metadata!(
    /// With labels, annotations and owners.
    described { labels: BTreeMap<String, String>, annotations: BTreeMap<String, String>, owner_references: Vec<OwnerReference> }
);

/// An object of a kind, with only the fields of its spec and status that are read.
macro_rules! kind {
    ($name:ident, $group:literal, $version:literal, $plural:literal, $metadata:literal $(, $field:ident: $part:ty)*) => {
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub(in crate::collectors::kubernetes) struct $name {
            #[serde(deserialize_with = $metadata)]
            pub(in crate::collectors::kubernetes) metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            $(
                #[serde(default, deserialize_with = "crate::collectors::kubernetes::reading::objects::or_default")]
                pub(in crate::collectors::kubernetes) $field: $part,
            )*
        }

        impl kube::Resource for $name {
            type DynamicType = ();
            type Scope = kube::core::DynamicResourceScope;

            fn kind(_: &()) -> std::borrow::Cow<'_, str> {
                stringify!($name).into()
            }

            fn group(_: &()) -> std::borrow::Cow<'_, str> {
                $group.into()
            }

            fn version(_: &()) -> std::borrow::Cow<'_, str> {
                $version.into()
            }

            fn plural(_: &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
pub(in crate::collectors::kubernetes) use kind;

/// `null` where something is expected, as old servers and broken webhooks send it.
pub(in crate::collectors::kubernetes) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

states! {
    /// The status of a condition; what is neither `True` nor `False`, or missing, is not known.
    /// Source: `ConditionStatus` in <https://github.com/kubernetes/apimachinery/blob/master/pkg/apis/meta/v1/types.go>
    pub(in crate::collectors::kubernetes) enum ConditionStatus {
        True => "true",
        False => "false",
        Unknown => "unknown",
    }
}

impl From<&str> for ConditionStatus {
    fn from(said: &str) -> Self {
        match said {
            "True" => Self::True,
            "False" => Self::False,
            _ => Self::Unknown,
        }
    }
}

/// A condition, as most kinds report them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct Condition {
    pub(in crate::collectors::kubernetes) r#type: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::collectors::kubernetes) status: String,
    pub(in crate::collectors::kubernetes) reason: Option<String>,
    pub(in crate::collectors::kubernetes) message: Option<String>,
    pub(in crate::collectors::kubernetes) last_transition_time: Option<Time>,
    /// The version of the object that it speaks of.
    observed_generation: Option<i64>,
}

impl Condition {
    /// Whether it speaks of the object as it is now, as far as it says.
    pub(in crate::collectors::kubernetes) fn is_current(&self, generation: Option<i64>) -> bool {
        self.observed_generation.is_none_or(|observed| generation.is_none_or(|generation| observed >= generation))
    }

    pub(in crate::collectors::kubernetes) fn state(&self) -> ConditionStatus {
        self.status.as_str().into()
    }
}

/// A kind that can be listed and watched.
pub(in crate::collectors::kubernetes) trait Object:
    Resource<DynamicType = (), Scope = DynamicResourceScope> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static
{
}
impl<K> Object for K where K: Resource<DynamicType = (), Scope = DynamicResourceScope> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static {}

/// Labels that all facts of a scope share, and how the cluster's clock differs.
#[derive(Debug, Clone)]
pub(in crate::collectors::kubernetes) struct Place {
    pub(in crate::collectors::kubernetes) cluster: Arc<str>,
    pub(in crate::collectors::kubernetes) selector: Arc<str>,
    pub(in crate::collectors::kubernetes) kind: Arc<str>,
    pub(in crate::collectors::kubernetes) clock: Clock,
}

/// What is kept of the objects of one scope.
pub(in crate::collectors::kubernetes) trait Index: Send + 'static {
    /// The slim type.
    type Object: Object;
    /// The `kind` label.
    const KIND: &'static str;
    /// Families that it fills.
    const FAMILIES: &'static [&'static [&'static Family]];
    /// Whether a number that falls to half is worth a question. Nodes, pods and events come and go.
    const LASTING: bool = false;
    /// Whether its facts change with time alone, because they speak of a window.
    const WINDOWED: bool = false;
    /// Objects that are kept at most: twice what the largest cluster has, which is 150,000 pods.
    /// Source: <https://kubernetes.io/docs/setup/best-practices/cluster-large/>
    const MOST: usize = 300_000;

    /// A list begins: what it does not name is gone when it is complete.
    fn begin(&mut self);
    /// Whether the list in progress has named an object that is kept already.
    fn has_named(&self, object: &Self::Object) -> bool;
    /// Takes an object in; whether anything that is kept changed.
    fn put(&mut self, object: Self::Object, listed: bool) -> bool;
    /// Whether anything that is kept changed.
    fn remove(&mut self, object: &Self::Object) -> bool;
    /// The list is complete.
    fn complete(&mut self);
    /// Objects that match.
    fn len(&self) -> usize;
    /// Names that were asked for and do not exist.
    fn missing(&self) -> Vec<&str> {
        Vec::new()
    }
    /// Facts that follow from these objects alone.
    fn facts(&self, place: &Place, samples: &mut Vec<Sample>);
}

/// Namespace and name; cluster-wide objects have no namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::collectors::kubernetes) struct Key {
    pub(in crate::collectors::kubernetes) namespace: Arc<str>,
    pub(in crate::collectors::kubernetes) name: Arc<str>,
}

impl Key {
    pub(in crate::collectors::kubernetes) fn of(meta: &ObjectMeta) -> Self {
        Self { namespace: meta.namespace.as_deref().unwrap_or_default().into(), name: meta.name.as_deref().unwrap_or_default().into() }
    }
}

/// A kind of which every object becomes a row.
pub(in crate::collectors::kubernetes) trait Kind: Object {
    /// What is kept of an object.
    type Row: PartialEq + std::fmt::Debug + Send;
    /// The `kind` label.
    const KIND: &'static str;
    /// Families that its rows fill.
    const FAMILIES: &'static [&'static [&'static Family]];
    /// See [`Index::LASTING`].
    const LASTING: bool = true;
    /// See [`Index::WINDOWED`].
    const WINDOWED: bool = false;
    /// Whether an object counts while it is being deleted. It still stands in lists then, often with all
    /// its fields, and is as good as gone.
    const COUNTS_WHILE_DELETED: bool = false;

    /// Reduces an object to its row.
    fn row(self) -> Self::Row;
    /// Facts that follow from these rows alone.
    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>);
}

/// A row, and whether the list in progress has named it yet.
#[derive(Debug)]
struct Entry<R> {
    row: R,
    round: u32,
}

/// The rows of a kind. A list updates them in place and sweeps out what it did not name, so that a
/// second list of a large cluster needs no second copy.
#[derive(Debug)]
pub(in crate::collectors::kubernetes) struct Rows<K: Kind> {
    entries: BTreeMap<Key, Entry<K::Row>>,
    round: u32,
    only: Vec<String>,
}

impl<K: Kind> Rows<K> {
    /// Rows of objects with these names; of all when there are none.
    pub(in crate::collectors::kubernetes) fn only(names: &[String]) -> Self {
        Self { entries: BTreeMap::new(), round: 0, only: names.to_vec() }
    }

    /// In order of their keys.
    pub(in crate::collectors::kubernetes) fn iter(&self) -> impl Iterator<Item = (&Key, &K::Row)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.row))
    }
}

impl<K: Kind> Index for Rows<K> {
    type Object = K;
    const KIND: &'static str = K::KIND;
    const FAMILIES: &'static [&'static [&'static Family]] = K::FAMILIES;
    const LASTING: bool = K::LASTING;
    const WINDOWED: bool = K::WINDOWED;

    fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    fn has_named(&self, object: &K) -> bool {
        self.entries.get(&Key::of(object.meta())).is_some_and(|entry| entry.round == self.round)
    }

    fn put(&mut self, object: K, _: bool) -> bool {
        let key = Key::of(object.meta());
        if !self.only.is_empty() && !self.only.iter().any(|name| **name == *key.name) {
            return false;
        }
        if object.meta().deletion_timestamp.is_some() && !K::COUNTS_WHILE_DELETED {
            return self.entries.remove(&key).is_some();
        }
        let entry = Entry { row: object.row(), round: self.round };
        let changed = self.entries.get(&key).is_none_or(|old| old.row != entry.row);
        self.entries.insert(key, entry);
        changed
    }

    fn remove(&mut self, object: &K) -> bool {
        self.entries.remove(&Key::of(object.meta())).is_some()
    }

    fn complete(&mut self) {
        let round = self.round;
        self.entries.retain(|_, entry| entry.round == round);
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn missing(&self) -> Vec<&str> {
        self.only.iter().map(String::as_str).filter(|name| !self.entries.keys().any(|key| &*key.name == *name)).collect()
    }

    fn facts(&self, place: &Place, samples: &mut Vec<Sample>) {
        K::facts(self, place, samples);
    }
}

/// 1 or 0.
pub(in crate::collectors::kubernetes) fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}
