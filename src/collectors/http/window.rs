//! The looks of the last minutes: how many were good, and where the others failed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::say;
use crate::say::{Message, counted, forgotten, named};

/// As many addresses are named.
const SHOWN: usize = 5;

/// One look that was good or bad.
struct Look {
    at: Instant,
    second: i64,
    /// At which addresses it failed, or what stands where an address would.
    failed: Vec<String>,
}

/// The looks within a length of time.
pub(super) struct Window {
    length: Duration,
    looks: VecDeque<Look>,
}

impl Window {
    pub(super) const fn new(length: Duration) -> Self {
        Self { length, looks: VecDeque::new() }
    }

    /// Adds a look that failed nowhere, or at these addresses.
    pub(super) fn add(&mut self, failed: Vec<String>) {
        self.looks.push_back(Look { at: Instant::now(), second: Timestamp::now().as_second(), failed });
    }

    /// Drops what is too old.
    pub(super) fn forget(&mut self) {
        let now = Instant::now();
        while self.looks.front().is_some_and(|look| now.duration_since(look.at) > self.length) {
            self.looks.pop_front();
        }
    }

    /// The share of good looks, with what they were; nothing without any.
    pub(super) fn ratio(&self) -> Option<(f64, Message)> {
        let good = self.looks.iter().filter(|look| look.failed.is_empty()).count();
        let all = self.looks.len();
        let counts = say!("{} of {}", good, counted(all, "look", "looks"));
        let last = self.looks.iter().rfind(|look| !look.failed.is_empty());
        let words = match last {
            None => counts,
            // Whoever has fixed the cause wants to know when the line clears.
            Some(last) => say!("{}; {}; {}", counts, self.places(), forgotten(last.second, i64::try_from(self.length.as_secs()).unwrap_or(i64::MAX))),
        };
        (all > 0).then(|| (good as f64 / all as f64, words))
    }

    /// Which addresses failed, and how often, the worst first.
    fn places(&self) -> Message {
        let mut counts = BTreeMap::<&str, usize>::new();
        for place in self.looks.iter().flat_map(|look| &look.failed) {
            *counts.entry(place).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        let rest = counts.len().saturating_sub(SHOWN);
        let more = (rest > 0).then(|| say!("{} more", rest));
        let told = counts.into_iter().take(SHOWN).map(|(place, times)| say!("{} ({})", named(place), counted(times, "time", "times")));
        say!("failed at {}", Message::joined(told.chain(more), ", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net;

    #[tokio::test(start_paused = true)]
    async fn a_window_says_where_looks_failed_and_when_it_forgets_that() {
        let at = |last: u8| format!("10.0.0.{last}");
        let mut window = Window::new(Duration::from_mins(10));
        assert!(window.ratio().is_none());
        window.add(Vec::new());
        assert_eq!(window.ratio().unwrap().1.as_str(), "1 of 1 look");
        window.add(vec![at(1)]);
        window.add(vec![at(2), at(1), net::NOWHERE.to_owned()]);
        let (ratio, words) = window.ratio().unwrap();
        assert!((ratio - 1.0 / 3.0).abs() < f64::EPSILON, "{ratio}");
        assert!(words.as_str().starts_with("1 of 3 looks; failed at 10.0.0.1 (2 times), 10.0.0.2 (1 time), any address (1 time); the last was at "), "{words}");
        let last = window.looks.back().unwrap().second;
        assert!(words.as_str().ends_with(forgotten(last, 600).as_str()), "{words}");
        window.add((1..=9).map(at).collect());
        assert!(window.ratio().unwrap().1.as_str().contains("10.0.0.5 (1 time), 5 more; "), "{}", window.ratio().unwrap().1);
        tokio::time::advance(Duration::from_secs(601)).await;
        window.add(Vec::new());
        window.forget();
        assert_eq!(window.ratio().unwrap().1.as_str(), "1 of 1 look");
    }
}
