//! Pods with the same trouble, in so many groups as one reads: the largest, and all others together.

use std::sync::Arc;

use crate::collectors::kubernetes::watching::recent::Count;
use crate::say;
use crate::say::Message;

/// Series of one kind of problem; the rest is summed up under one name.
pub(in crate::collectors::kubernetes) const SERIES: usize = 500;
pub(in crate::collectors::kubernetes) const OTHERS: &str = "(others)";

/// Pods with the same trouble.
#[derive(Debug, Default)]
pub(in crate::collectors::kubernetes) struct Group {
    pub(in crate::collectors::kubernetes) count: u64,
    pub(in crate::collectors::kubernetes) oldest: Option<i64>,
    names: Vec<Box<str>>,
}

impl Group {
    const NAMES: usize = 3;

    pub(in crate::collectors::kubernetes) fn add(&mut self, name: &str, since: i64) {
        self.count += 1;
        self.oldest = Some(self.oldest.map_or(since, |oldest| oldest.min(since)));
        if self.names.len() < Self::NAMES {
            self.names.push(name.into());
        }
    }

    pub(in crate::collectors::kubernetes) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.oldest = self.oldest.into_iter().chain(other.oldest).min();
        self.names.extend(other.names.into_iter().take(Self::NAMES - self.names.len().min(Self::NAMES)));
    }

    pub(in crate::collectors::kubernetes) fn words(&self) -> Message {
        let names = Message::of_names(self.names.iter().map(AsRef::as_ref));
        match self.count.saturating_sub(self.names.len() as u64) {
            0 => names,
            more => say!("{} and {} more", names, more),
        }
    }
}

/// The namespaces with the highest counts; the others are summed up, so that none goes unseen.
pub(in crate::collectors::kubernetes) fn most(counts: impl Iterator<Item = (Arc<str>, Count)>) -> Vec<(Arc<str>, Count)> {
    let mut counts: Vec<_> = counts.collect();
    if counts.len() > SERIES {
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut others = Count::default();
        counts.drain(SERIES..).for_each(|(_, count)| others.add(count.times, count.last));
        counts.push((OTHERS.into(), others));
    }
    counts
}
