//! What a judgement rests on.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::condition::Clock;
use super::memory::Memory;
use super::recall::Recall;
use super::unjudged::Unjudged;
use crate::event::Occurrence;
use crate::labels::Labels;
use crate::snapshot::Snapshot;

/// What the judge looks at.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The facts.
    pub snapshot: &'a Snapshot,
    /// The moment of judgement.
    pub now: Timestamp,
    /// The event that is prepared for; without one, as if it were now.
    pub event: Option<&'a Occurrence>,
    /// Red lines that somebody answers for.
    pub waivers: &'a [Waiver],
    /// What is looked at and judged by no check.
    pub unjudged: &'a [Unjudged],
    /// What was bad before. Its subjects get a line even when all is well with them.
    pub memory: Option<&'a Memory>,
    /// What was judged before and rests on the same.
    pub recall: Option<&'a Recall>,
}

impl<'a> Context<'a> {
    /// Facts at a moment, and nothing else: no event, no waivers, nothing remembered.
    pub const fn new(snapshot: &'a Snapshot, now: Timestamp) -> Self {
        Self { snapshot, now, event: None, waivers: &[], unjudged: &[], memory: None, recall: None }
    }

    pub(super) fn clock(&self) -> Clock {
        let second = |at: Timestamp| at.as_second() as f64;
        Clock { now: second(self.now), event_end: second(self.event.map_or(self.now, |event| event.end)) }
    }
}

/// A red line that somebody answers for.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// Name of the check.
    pub check: String,
    /// Only in these checklists; in all that have the check when empty.
    pub checklists: Vec<String>,
    /// Labels that a line must have.
    pub labels: BTreeMap<String, String>,
    /// The event that it is for, in all of its occurrences; for all events, and for when none is coming, if there is none.
    pub event: Option<String>,
    /// Who takes responsibility.
    pub who: String,
    /// Why it is acceptable.
    pub why: String,
    /// When it ends.
    pub until: Timestamp,
}

impl Waiver {
    /// Whether it holds in a checklist.
    pub fn is_for(&self, checklist: &str) -> bool {
        self.checklists.is_empty() || self.checklists.iter().any(|own| own == checklist)
    }

    /// Whether it is about a line of a check, judged for an event, whatever time it is.
    pub(super) fn is_about(&self, check: &str, labels: &Labels, event: Option<&Occurrence>) -> bool {
        let is_for = self.event.as_ref().is_none_or(|own| event.is_some_and(|event| event.of == *own));
        self.check == check && is_for && self.labels.iter().all(|(name, value)| labels.get(name) == Some(value.as_str()))
    }
}
