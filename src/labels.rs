//! What something is about: label names and values, shared by all who speak of it, since a checklist
//! over thousands of subjects has tens of thousands of lines while nothing was seen yet.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// Labels in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Arc<[(&'static str, Arc<str>)]>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| &**value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, &**value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<V: Into<Arc<str>>> FromIterator<(&'static str, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (&'static str, V)>>(labels: I) -> Self {
        let mut labels: Vec<(&'static str, Arc<str>)> = labels.into_iter().map(|(name, value)| (name, value.into())).collect();
        labels.sort_unstable_by_key(|(name, _)| *name);
        Self(labels.into())
    }
}

impl<const N: usize> From<[(&'static str, &str); N]> for Labels {
    fn from(labels: [(&'static str, &str); N]) -> Self {
        labels.into_iter().collect()
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
