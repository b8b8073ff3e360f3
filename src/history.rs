//! What changed and when: every verdict that became another one, kept small and local in the state
//! file. Pure; [`crate::state`] keeps it.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Changes that are kept; older ones are dropped first.
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
    /// What it was before; `None` when it was judged for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it is since then.
    pub to: String,
    /// What a reload took out of sight, where that is why it is another one: nothing was repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
}

/// What one judgement came to, in the words of its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdicts<'a> {
    /// When it was judged.
    pub at: Timestamp,
    /// The checklist.
    pub checklist: &'a str,
    /// The event that it was judged for.
    pub event: Option<&'a str>,
    /// The state of each check; without a name, the decision of the whole checklist.
    pub states: Vec<(Option<&'a str>, &'static str)>,
    /// Of which of them a reload took something out of sight, in words.
    pub left: BTreeMap<Option<&'a str>, String>,
}

/// Verdicts as they were last recorded, and how they came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    last: BTreeMap<String, String>,
    changes: VecDeque<Change>,
}

impl History {
    /// Records what judgements changed; whether anything did.
    pub fn record(&mut self, judged: &[Verdicts<'_>]) -> bool {
        let mut changed = false;
        for Verdicts { at, checklist, event, states, left } in judged {
            for (check, state) in states.iter().copied() {
                // Neither names of checklists nor those of checks have a space in them.
                let of_check = check.map_or_else(|| (*checklist).to_owned(), |check| format!("{checklist} {check}"));
                let key = event.map_or_else(|| of_check.clone(), |event| format!("{of_check} for {event}"));
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
                            from: from.cloned(),
                            to: state.to_owned(),
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
        changed
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
    }

    /// Changes from a moment on, oldest first.
    pub fn since(&self, from: Timestamp) -> impl DoubleEndedIterator<Item = &Change> {
        self.changes.iter().filter(move |change| change.at >= from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(second: i64, decision: &'static str) -> Verdicts<'static> {
        Verdicts { at: Timestamp::from_second(second).unwrap(), checklist: "c", event: None, states: vec![(None, decision)], left: BTreeMap::new() }
    }

    #[test]
    fn what_was_recorded_before_comes_first() {
        let (mut before, mut after) = (History::default(), History::default());
        before.record(&[judged(10, "go")]);
        before.record(&[judged(11, "no_go")]);
        after.record(&[judged(20, "go")]);
        after.follow(before.clone());
        let at: Vec<_> = after.since(Timestamp::UNIX_EPOCH).map(|change| change.at.as_second()).collect();
        assert_eq!(at, [10, 11, 20]);
        assert!(!after.record(&[judged(21, "go")]), "what was seen since is what it was last");
        let mut fresh = History::default();
        fresh.follow(before);
        assert!(fresh.record(&[judged(30, "go")]) && fresh.since(Timestamp::UNIX_EPOCH).last().unwrap().from.as_deref() == Some("no_go"));
    }

    #[test]
    fn what_is_red_when_it_is_first_judged_has_a_row() {
        let mut history = History::default();
        let states = vec![(None, "no_go"), (Some("Red"), "fail"), (Some("Unseen"), "unknown"), (Some("Good"), "pass"), (Some("Off"), "not_applicable")];
        history.record(&[Verdicts { states, ..judged(10, "no_go") }]);
        let told: Vec<_> = history.since(Timestamp::UNIX_EPOCH).map(crate::report::words).collect();
        assert_eq!(told, ["c: decision no go", "c: Red fail when it was first judged", "c: Unseen unknown when it was first judged"]);
    }

    #[test]
    fn only_what_changes_is_kept_and_not_for_ever() {
        let mut history = History::default();
        assert!(history.record(&[judged(10, "undecided")]));
        assert!(!history.record(&[judged(11, "undecided")]));
        assert!(history.record(&[judged(12, "go")]));
        let told: Vec<_> = history.since(Timestamp::from_second(11).unwrap()).map(|change| (change.from.as_deref(), change.to.as_str())).collect();
        assert_eq!(told, [(Some("undecided"), "go")]);
        for second in 0..5_000 {
            history.record(&[judged(100 + second, if second % 2 == 0 { "no_go" } else { "go" })]);
        }
        assert_eq!(history.since(Timestamp::UNIX_EPOCH).count(), MOST);
        history.record(&[judged(100 + 5_000 + LONGEST, "no_go")]);
        assert_eq!(history.since(Timestamp::UNIX_EPOCH).count(), 1);
    }
}
