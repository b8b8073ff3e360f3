//! What happened within a window of time, remembered after its object is gone.
//!
//! A pod that was evicted, killed or replaced soon has no object any more, and an event lives an
//! hour. Counting only what exists would forget the very thing that the count is for.

use std::collections::BTreeMap;

use super::clock::now;

/// The most entries that are kept; beyond it the oldest are forgotten first, so that a storm
/// cannot fill the memory.
const LIMIT: usize = 20_000;

/// Happenings with their time, each counted once.
#[derive(Debug)]
pub(super) struct Ledger<K, V> {
    window: i64,
    entries: BTreeMap<K, (i64, V)>,
}

impl<K: Ord + Clone, V> Ledger<K, V> {
    /// Remembers for `window` seconds.
    pub(super) fn new(window: i64) -> Self {
        Self { window, entries: BTreeMap::new() }
    }

    /// Whether it is new and within the window.
    pub(super) fn record(&mut self, key: K, at: i64, what: V) -> bool {
        let now = now();
        let within = |at: i64| at > now - self.window;
        if !within(at) || self.entries.get(&key).is_some_and(|(at, _)| within(*at)) {
            return false;
        }
        self.entries.insert(key, (at, what));
        self.entries.retain(|_, (at, _)| *at > now - self.window);
        if self.entries.len() > LIMIT
            && let Some(oldest) = self.entries.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone())
        {
            self.entries.remove(&oldest);
        }
        true
    }

    /// What lies within the window now.
    pub(super) fn recent(&self) -> impl Iterator<Item = (&K, &V)> {
        let since = now() - self.window;
        self.entries.iter().filter(move |(_, (at, _))| *at > since).map(|(key, (_, what))| (key, what))
    }
}

/// How often things happened within a window, in sixtieths of it.
#[derive(Debug)]
pub(super) struct Tally<K> {
    window: i64,
    step: i64,
    steps: BTreeMap<i64, BTreeMap<K, u64>>,
}

impl<K: Ord + Clone> Tally<K> {
    /// Counts over `window` seconds, to a sixtieth of them.
    pub(super) fn new(window: i64) -> Self {
        Self { window, step: (window / 60).max(1), steps: BTreeMap::new() }
    }

    /// Adds `times` happenings at a moment; what lies before the window does not count.
    pub(super) fn add(&mut self, key: K, at: i64, times: u64) {
        let now = now();
        if times > 0 && at > now - self.window {
            let counts = self.steps.entry(at.min(now) / self.step).or_default();
            if counts.len() < LIMIT || counts.contains_key(&key) {
                let count = counts.entry(key).or_default();
                *count = count.saturating_add(times);
            }
        }
        let first = (now - self.window) / self.step;
        self.steps = self.steps.split_off(&first);
    }

    /// Counts within the window now.
    pub(super) fn totals(&self) -> BTreeMap<K, u64> {
        let first = (now() - self.window) / self.step;
        let mut totals: BTreeMap<K, u64> = BTreeMap::new();
        for (key, count) in self.steps.range(first..).flat_map(|(_, counts)| counts) {
            *totals.entry(key.clone()).or_default() += count;
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_happening_counts_once_and_only_within_the_window() {
        let mut ledger = Ledger::new(3600);
        assert!(ledger.record("pod-1", now() - 10, "memory"));
        assert!(!ledger.record("pod-1", now(), "memory"), "the same pod again");
        assert!(!ledger.record("pod-2", now() - 4000, "memory"), "before the window");
        assert_eq!(ledger.recent().count(), 1);
        ledger.entries.insert("pod-3", (now() - 4000, "disk"));
        assert!(ledger.record("pod-3", now(), "memory"), "what has left the window is forgotten");
        assert_eq!(ledger.recent().count(), 2);
    }

    #[test]
    fn a_storm_does_not_fill_the_memory() {
        let mut ledger = Ledger::new(3600);
        for pod in 0..200 {
            ledger.record(pod, now() - 100 + pod, ());
        }
        assert_eq!(ledger.recent().count(), 200);
        let mut tally = Tally::new(3600);
        for _ in 0..1_000 {
            tally.add("BackOff", now() - 7200, 5);
            tally.add("BackOff", now() - 60, 1);
        }
        assert_eq!(tally.totals()["BackOff"], 1_000);
    }
}
