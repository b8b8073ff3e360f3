//! What changed and when: every verdict that became another one, kept small and local in the state
//! file. Pure; [`crate::state`] keeps it.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::checklist::Judgement;

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
    pub fn record(&mut self, judgements: &[Judgement]) -> bool {
        let mut changed = false;
        for judgement in judgements {
            let decision = (None, judgement.decision.as_str());
            let checks = judgement.checks().map(|check| (Some(check.name.as_str()), check.state.as_str()));
            for (check, state) in [decision].into_iter().chain(checks) {
                // Neither names of checklists nor those of checks have a space in them.
                let of_check = check.map_or_else(|| judgement.checklist.clone(), |check| format!("{} {check}", judgement.checklist));
                let key = judgement.event.as_ref().map_or_else(|| of_check.clone(), |event| format!("{of_check} for {event}"));
                let from = self.last.get(&key);
                if from.is_none_or(|from| from != state) {
                    changed = true;
                    // What a first judgement comes to is no change: only its decision is worth a line.
                    if check.is_none() || from.is_some() {
                        self.changes.push_back(Change {
                            at: judgement.at,
                            checklist: judgement.checklist.clone(),
                            event: judgement.event.clone(),
                            check: check.map(str::to_owned),
                            from: from.cloned(),
                            to: state.to_owned(),
                        });
                    }
                    self.last.insert(key, state.to_owned());
                }
            }
        }
        let oldest = judgements.first().map_or(0, |judgement| judgement.at.as_second() - LONGEST);
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
    use crate::checklist::Decision;

    fn judged(second: i64, decision: Decision) -> Judgement {
        Judgement {
            checklist: "c".into(),
            title: "T".into(),
            revision: "r".into(),
            decision,
            at: Timestamp::from_second(second).unwrap(),
            event: None,
            event_start: None,
            event_end: None,
            participants: None,
            sections: Vec::new(),
        }
    }

    #[test]
    fn what_was_recorded_before_comes_first() {
        let (mut before, mut after) = (History::default(), History::default());
        before.record(&[judged(10, Decision::Go)]);
        before.record(&[judged(11, Decision::NoGo)]);
        after.record(&[judged(20, Decision::Go)]);
        after.follow(before.clone());
        let at: Vec<_> = after.since(Timestamp::UNIX_EPOCH).map(|change| change.at.as_second()).collect();
        assert_eq!(at, [10, 11, 20]);
        assert!(!after.record(&[judged(21, Decision::Go)]), "what was seen since is what it was last");
        let mut fresh = History::default();
        fresh.follow(before);
        assert!(fresh.record(&[judged(30, Decision::Go)]) && fresh.since(Timestamp::UNIX_EPOCH).last().unwrap().from.as_deref() == Some("no_go"));
    }

    #[test]
    fn only_what_changes_is_kept_and_not_for_ever() {
        let mut history = History::default();
        assert!(history.record(&[judged(10, Decision::Undecided)]));
        assert!(!history.record(&[judged(11, Decision::Undecided)]));
        assert!(history.record(&[judged(12, Decision::Go)]));
        let told: Vec<_> = history.since(Timestamp::from_second(11).unwrap()).map(|change| (change.from.as_deref(), change.to.as_str())).collect();
        assert_eq!(told, [(Some("undecided"), "go")]);
        for second in 0..5_000 {
            history.record(&[judged(100 + second, if second % 2 == 0 { Decision::NoGo } else { Decision::Go })]);
        }
        assert_eq!(history.since(Timestamp::UNIX_EPOCH).count(), MOST);
        history.record(&[judged(100 + 5_000 + LONGEST, Decision::NoGo)]);
        assert_eq!(history.since(Timestamp::UNIX_EPOCH).count(), 1);
    }
}
