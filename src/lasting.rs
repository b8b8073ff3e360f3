//! Since when lines have not been good, as it outlives the process: whoever restarts the exporter must not hide for how
//! long something has been red. Small and local in the state file. Pure; [`crate::state`] keeps it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Lines that are kept. Of more, those that have lasted longest.
const MOST: usize = 4_000;
/// How long nobody may have judged, in seconds, for what is kept to hold: after that nobody knows what was between.
const GAP: i64 = 86_400;
/// How often it is noted, in seconds, that lines were judged, without any other change.
const NOTED: i64 = 3_600;

/// Lines of one check that are not good, for one event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// The checklist.
    pub checklist: String,
    /// The event that it was judged for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The check.
    pub check: String,
    /// Since when, by the hash of the line's labels. One that another version makes otherwise is met
    /// nowhere, and its line begins anew.
    pub since: BTreeMap<u64, Since>,
}

/// Since when a line is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// In Unix seconds.
    pub at: i64,
    /// Whether it was so already when somebody began to look.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
}

/// What is kept of lines that are not good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lasting {
    /// When they were judged last, as far as that was noted, in Unix seconds.
    at: i64,
    lines: Vec<Lines>,
}

impl Lasting {
    /// Keeps what was judged; whether that is worth writing.
    pub fn record(&mut self, at: Timestamp, lines: Vec<Lines>) -> bool {
        let (at, lines) = (at.as_second(), longest(lines, MOST));
        let changed = lines != self.lines || (!lines.is_empty() && (at - self.at).abs() >= NOTED);
        if changed {
            *self = Self { at, lines };
        }
        changed
    }

    /// What still holds at a moment.
    pub fn at(&self, now: Timestamp) -> Vec<Lines> {
        let now = now.as_second();
        let mut lines = if (now - self.at).abs() <= GAP + NOTED { self.lines.clone() } else { Vec::new() };
        // A clock that was wrong.
        for own in &mut lines {
            own.since.retain(|_, since| since.at <= now);
        }
        lines
    }

    /// Takes what was kept before, unless something was judged since.
    pub fn follow(&mut self, before: Self) {
        if *self == Self::default() {
            *self = before;
        }
    }
}

/// The lines that have lasted longest.
fn longest(mut lines: Vec<Lines>, most: usize) -> Vec<Lines> {
    lines.sort_unstable();
    let mut all: Vec<_> = lines.iter().flat_map(|own| own.since.values().map(|since| since.at)).collect();
    if all.len() > most {
        all.sort_unstable();
        let bound = all[most];
        for own in &mut lines {
            own.since.retain(|_, since| since.at < bound);
        }
    }
    lines.retain(|own| !own.since.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(since: impl IntoIterator<Item = (u64, i64)>) -> Vec<Lines> {
        vec![Lines {
            checklist: "c".to_owned(),
            event: None,
            check: "Red".to_owned(),
            since: since.into_iter().map(|(subject, at)| (subject, Since { at, at_least: false })).collect(),
        }]
    }

    fn second(at: i64) -> Timestamp {
        Timestamp::from_second(at).unwrap()
    }

    #[test]
    fn what_lasts_is_kept_until_it_is_good_or_nobody_has_looked_for_a_day() {
        let mut kept = Lasting::default();
        assert!(!kept.record(second(10), Vec::new()), "all is well");
        assert!(kept.record(second(100), lines([(7, 90)])));
        assert!(!kept.record(second(101), lines([(7, 90)])), "nothing to write");
        assert!(kept.record(second(100 + NOTED), lines([(7, 90)])), "that somebody looks is noted now and then");
        assert_eq!(kept.at(second(4_000)), lines([(7, 90)]));
        assert_eq!(kept.at(second(100 + 2 * NOTED + GAP + 1)), []);
        assert_eq!(kept.at(second(80)), lines([]), "a clock that was wrong");
        assert!(kept.record(second(5_000), Vec::new()) && kept.at(second(5_001)).is_empty(), "good again");
    }

    #[test]
    fn of_too_many_those_are_kept_that_last_longest() {
        let mut kept = Lasting::default();
        kept.record(second(9_000), lines((0_u64..5_000).zip((0..8_000).rev())));
        let left = kept.at(second(9_000));
        assert_eq!(left[0].since.len(), MOST);
        assert!(left[0].since.contains_key(&4_999) && !left[0].since.contains_key(&0));
    }

    #[test]
    fn what_is_read_late_undoes_nothing() {
        let (mut own, mut fresh, mut before) = (Lasting::default(), Lasting::default(), Lasting::default());
        before.record(second(10), lines([(1, 5)]));
        own.record(second(20), lines([(2, 20)]));
        own.follow(before.clone());
        fresh.follow(before.clone());
        assert_eq!((own.at(second(20)), fresh), (lines([(2, 20)]), before));
    }
}
