//! What happened within a window of time, remembered after its object is gone.
//!
//! A pod that was evicted, killed or replaced soon has no object any more, and an event lives an
//! hour. Counting only what exists would forget the very thing that the count is for.

use std::collections::{BTreeMap, BTreeSet};

use crate::collectors::kubernetes::reading::clock::now;
use crate::say::{Message, forgotten};

/// The most entries that are kept; beyond it the oldest are forgotten first, so that a storm
/// cannot fill the memory.
const LIMIT: usize = 20_000;

/// How often something happened within a window, and when last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::collectors::kubernetes) struct Count {
    pub(in crate::collectors::kubernetes) times: u64,
    /// In Unix seconds.
    pub(in crate::collectors::kubernetes) last: i64,
}

impl Count {
    /// Adds what happened at a moment.
    pub(in crate::collectors::kubernetes) fn add(&mut self, times: u64, at: i64) {
        *self = Self { times: self.times.saturating_add(times), last: self.last.max(at) };
    }

    /// Until when it counts: somebody who has mended the cause wants to know when the line clears.
    pub(in crate::collectors::kubernetes) fn words(self, window: i64) -> Message {
        forgotten(self.last, window)
    }
}

/// Happenings with their time, each counted once.
#[derive(Debug)]
pub(in crate::collectors::kubernetes) struct Recent<K, V> {
    window: i64,
    entries: BTreeMap<K, (i64, V)>,
    /// The same by time, so that what is old is found without a look at all the rest.
    order: BTreeSet<(i64, K)>,
}

impl<K: Ord + Clone, V> Recent<K, V> {
    /// Remembers for `window` seconds.
    pub(in crate::collectors::kubernetes) fn new(window: i64) -> Self {
        Self { window, entries: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// Whether it is new and within the window.
    pub(in crate::collectors::kubernetes) fn record(&mut self, key: K, at: i64, what: V) -> bool {
        let (now, since) = (now(), self.since());
        while self.order.first().is_some_and(|(at, _)| *at <= since) {
            self.forget_oldest();
        }
        if at <= since || self.entries.contains_key(&key) {
            return false;
        }
        // What a wrong clock puts into the future would be the last to be forgotten.
        self.insert(key, at.min(now), what);
        if self.entries.len() > LIMIT {
            self.forget_oldest();
        }
        true
    }

    /// What lies within the window now, with its time.
    pub(in crate::collectors::kubernetes) fn recent(&self) -> impl Iterator<Item = (&K, i64, &V)> {
        let since = self.since();
        self.entries.iter().filter(move |(_, (at, _))| *at > since).map(|(key, (at, what))| (key, *at, what))
    }

    fn since(&self) -> i64 {
        now().saturating_sub(self.window)
    }

    fn insert(&mut self, key: K, at: i64, what: V) {
        self.order.insert((at, key.clone()));
        self.entries.insert(key, (at, what));
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_first() {
            self.entries.remove(&key);
        }
    }
}

/// How often things happened within a window, in sixtieths of it.
#[derive(Debug)]
pub(in crate::collectors::kubernetes) struct Tally<K> {
    window: i64,
    step: i64,
    steps: BTreeMap<i64, BTreeMap<K, u64>>,
    /// Counts in all steps together.
    held: usize,
}

impl<K: Ord + Clone> Tally<K> {
    /// Counts over `window` seconds, to a sixtieth of them.
    pub(in crate::collectors::kubernetes) fn new(window: i64) -> Self {
        Self { window, step: (window / 60).max(1), steps: BTreeMap::new(), held: 0 }
    }

    /// Adds `times` happenings at a moment; what lies before the window does not count.
    pub(in crate::collectors::kubernetes) fn add(&mut self, key: K, at: i64, times: u64) {
        let now = now();
        let first = self.first();
        while self.steps.first_key_value().is_some_and(|(step, _)| *step < first) {
            self.held -= self.steps.pop_first().map_or(0, |(_, counts)| counts.len());
        }
        if times > 0 && at > now.saturating_sub(self.window) {
            let counts = self.steps.entry(at.min(now) / self.step).or_default();
            if let Some(count) = counts.get_mut(&key) {
                *count = count.saturating_add(times);
            } else if self.held < LIMIT {
                counts.insert(key, times);
                self.held += 1;
            }
        }
    }

    /// Counts within the window now.
    pub(in crate::collectors::kubernetes) fn totals(&self) -> BTreeMap<K, Count> {
        let mut totals: BTreeMap<K, Count> = BTreeMap::new();
        for (step, counts) in self.steps.range(self.first()..) {
            for (key, count) in counts {
                // The end of its step, until which it may have happened.
                totals.entry(key.clone()).or_default().add(*count, (step + 1).saturating_mul(self.step).min(now()));
            }
        }
        totals
    }

    /// The first step that is not over.
    fn first(&self) -> i64 {
        now().saturating_sub(self.window) / self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_happening_counts_once_and_only_within_the_window() {
        let mut recent = Recent::new(3600);
        assert!(recent.record("pod-1", now() - 10, "memory"));
        assert!(!recent.record("pod-1", now(), "memory"), "the same pod again");
        assert!(!recent.record("pod-2", now() - 4000, "memory"), "before the window");
        assert_eq!(recent.recent().count(), 1);
        recent.insert("pod-3", now() - 4000, "disk");
        assert!(recent.record("pod-3", now(), "memory"), "what has left the window is forgotten");
        assert_eq!(recent.recent().count(), 2);
    }

    #[test]
    fn a_storm_does_not_fill_the_memory() {
        let mut recent = Recent::new(3600);
        for pod in 0..200 {
            recent.record(pod, now() - 100 + pod, ());
        }
        assert_eq!(recent.recent().count(), 200);
        let mut tally = Tally::new(3600);
        for _ in 0..1_000 {
            tally.add("BackOff", now() - 7200, 5);
            tally.add("BackOff", now() - 60, 1);
        }
        let total = tally.totals()["BackOff"];
        assert!(total.times == 1_000 && (now() - 60..=now()).contains(&total.last), "{total:?}");
        assert_eq!(
            forgotten(1_795_000_000, 3600).as_str(),
            "the last was at 2026-11-18 11:06 UTC, and none counts after 2026-11-18 12:06 UTC unless more follow"
        );
    }

    #[test]
    fn a_storm_is_recorded_in_time_that_grows_with_it() {
        crate::fuzz::grows_evenly(|count| {
            let mut recent = Recent::new(3600);
            for pod in 0..count {
                assert!(recent.record(pod, now() - 100, ()));
            }
            assert_eq!(recent.recent().count(), count.min(LIMIT));
        });
    }

    #[test]
    fn beyond_the_limit_the_oldest_are_forgotten_first() {
        let mut recent = Recent::new(1_000_000);
        let (count, begin) = (i64::try_from(LIMIT).unwrap() + 10, now() - 500_000);
        for pod in 0..count {
            recent.record(pod, begin + pod, ());
        }
        assert_eq!((recent.recent().count(), recent.recent().next().map(|(pod, ..)| *pod)), (LIMIT, Some(10)));
        recent.record(-1, i64::MAX, ());
        for pod in count..count * 2 {
            recent.record(pod, begin + 600_000, ());
        }
        assert!(recent.entries.len() <= LIMIT && recent.entries.len() == recent.order.len());
    }

    #[test]
    fn a_tally_holds_so_many_counts_and_no_more_however_they_are_spread() {
        let mut tally = Tally::new(3600);
        for key in 0..i64::try_from(LIMIT).unwrap() * 2 {
            tally.add(key, now() - key % 3000, u64::MAX);
            tally.add(key, now() - key % 3000, 1);
        }
        assert!(tally.totals().len() <= LIMIT && tally.steps.values().map(BTreeMap::len).sum::<usize>() == tally.held);
    }
}
