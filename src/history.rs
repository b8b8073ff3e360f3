//! What changed and when: every verdict, and every line, that became another one, kept small and local in the state
//! file. Pure; [`crate::state`] keeps it.

mod lines;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use lines::Lines;
pub use lines::{CROWD, Judged, Seen};

/// Changes of verdicts that are kept, and as many of lines; older ones are dropped first.
const MOST: usize = 2_000;
/// How long they are kept, in seconds.
const LONGEST: i64 = 90 * 86_400;

/// One verdict that became another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// When it was judged.
    pub at: Timestamp,
    /// The checklist.
    pub checklist: String,
    /// The event that it was judged for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The check; `None` for the decision of the whole checklist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Which line of the check, by what it is about; `None` for the verdict on the check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What it was before; `None` when it was judged for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it is since then.
    pub to: String,
    /// What was seen of a line then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// What a reload took out of sight, where that is why it is another one: nothing was repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
}

/// What one judgement came to, in the words of its labels.
#[derive(Debug, Clone)]
pub struct Verdicts<'a> {
    /// When it was judged.
    pub at: Timestamp,
    /// The checklist.
    pub checklist: &'a str,
    /// The event that it was judged for.
    pub event: Option<&'a str>,
    /// The state of each check; without a name, the decision of the whole checklist.
    pub states: Vec<(Option<&'a str>, &'static str)>,
    /// Each check with its lines.
    pub lines: Vec<(&'a str, &'a dyn Judged)>,
    /// Checks that were never judged before, as far as is known; filled when they are recorded.
    pub first: BTreeSet<&'a str>,
    /// Of which of them a reload took something out of sight, in words.
    pub left: BTreeMap<Option<&'a str>, String>,
}

/// Verdicts as they were last recorded, and how they came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    last: BTreeMap<String, String>,
    changes: VecDeque<Change>,
    lines: Lines,
}

impl Verdicts<'_> {
    /// Under which name it is recorded what a check, or the whole checklist, came to.
    fn key(&self, check: Option<&str>) -> String {
        // Neither names of checklists nor those of checks have a space in them.
        let of_check = check.map_or_else(|| self.checklist.to_owned(), |check| format!("{} {check}", self.checklist));
        self.event.map_or_else(|| of_check.clone(), |event| format!("{of_check} for {event}"))
    }
}

impl History {
    /// Records what judgements changed; whether anything did.
    pub fn record(&mut self, judged: &mut [Verdicts<'_>]) -> bool {
        let mut changed = false;
        for verdicts in judged.iter_mut() {
            let of_check = |(check, _): &(Option<&str>, _)| !self.last.contains_key(&verdicts.key(*check));
            verdicts.first = verdicts.states.iter().filter(|own| of_check(own)).filter_map(|(check, _)| *check).collect();
        }
        for verdicts in judged.iter() {
            let Verdicts { at, checklist, event, states, left, .. } = verdicts;
            for (check, state) in states.iter().copied() {
                let key = verdicts.key(check);
                let from = self.last.get(&key);
                if from.is_none_or(|from| from != state) {
                    changed = true;
                    // What is good or was not asked at first is no change.
                    if check.is_none() || from.is_some() || ["fail", "warn", "unknown"].contains(&state) {
                        self.changes.push_back(Change {
                            at: *at,
                            checklist: (*checklist).to_owned(),
                            event: event.map(str::to_owned),
                            check: check.map(str::to_owned),
                            subject: None,
                            from: from.cloned(),
                            to: state.to_owned(),
                            seen: None,
                            left: left.get(&check).cloned(),
                        });
                    }
                    self.last.insert(key, state.to_owned());
                }
            }
        }
        let oldest = judged.first().map_or(0, |first| first.at.as_second() - LONGEST);
        while self.changes.len() > MOST || self.changes.front().is_some_and(|change| change.at.as_second() < oldest) {
            self.changes.pop_front();
        }
        self.lines.record(judged) || changed
    }

    /// Puts what was recorded before it.
    pub fn follow(&mut self, before: Self) {
        for (key, state) in before.last {
            self.last.entry(key).or_insert(state);
        }
        for change in before.changes.into_iter().rev() {
            self.changes.push_front(change);
        }
        while self.changes.len() > MOST {
            self.changes.pop_front();
        }
        self.lines.follow(before.lines);
    }

    /// Changes from a moment on, oldest first; of one moment, verdicts before the lines behind them.
    pub fn since(&self, from: Timestamp) -> Vec<&Change> {
        let mut all: Vec<_> = self.changes.iter().chain(self.lines.rows()).filter(|change| change.at >= from).collect();
        all.sort_by_key(|change| change.at);
        all
    }
}

#[cfg(test)]
mod tests;
