//! What a check compares its facts with.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::memory::subject;
use crate::metric::Sample;
use crate::snapshot::{Snapshot, View};

/// The values of another metric, to compare with. Whichever source shows them: in what Prometheus
/// scrapes, nothing tells the sources of one exporter apart.
pub(super) struct Others<'a> {
    pub(super) family: &'a str,
    pub(super) snapshot: &'a Snapshot,
    /// Made when the first is not where it most often is.
    by_subject: OnceCell<BTreeMap<u64, f64>>,
}

impl<'a> Others<'a> {
    pub(super) const fn new(family: &'a str, snapshot: &'a Snapshot) -> Self {
        Self { family, snapshot, by_subject: OnceCell::new() }
    }

    /// The value with the same labels. Most often it stands at the same place among its kind, since
    /// both were made from the same objects.
    pub(super) fn of(&self, view: &View, sample: &Sample, index: usize) -> Option<f64> {
        let same = |other: &&Sample| sample.label_pairs().all(|(name, value)| other.label(name) == Some(value));
        let near = view.facts.iter().filter_map(|facts| facts.of(self.family).get(index)).find(same);
        let elsewhere = || {
            let by_subject = self.by_subject.get_or_init(|| {
                let all = self.snapshot.samples_of(self.family);
                all.map(|other| (subject(other.label_pairs()), other.value)).collect()
            });
            by_subject.get(&subject(sample.label_pairs())).copied()
        };
        near.map(|other| other.value).or_else(elsewhere)
    }
}
