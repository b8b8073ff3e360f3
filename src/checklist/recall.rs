//! What need not be judged again: the lines of a check about a source of many facts, for as long as all
//! that they rest on stays as it was.
//!
//! In a cluster of five thousand nodes most facts are the same for hours, and walking all of them for each
//! check at each judgement was most of what an idle exporter did. Nothing here decides: a judgement with
//! what is recalled is the same as one without.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::judgement::Line;
use super::rule::Lines;
use crate::snapshot::{Facts, View};

/// Facts of a source below which judging them again costs less than remembering them.
const WORTH: usize = 100;

/// What is recalled of each checklist, by its name.
#[derive(Debug, Default)]
pub struct Recalls(BTreeMap<String, Recall>);

impl Recalls {
    /// What is recalled of a checklist.
    pub fn of(&mut self, checklist: &str) -> &Recall {
        self.0.entry(checklist.to_owned()).or_default()
    }

    /// Forgets what the last judgements did not ask for.
    pub fn forget_unused(&mut self) {
        for recall in self.0.values_mut() {
            let checks = recall.0.get_mut();
            checks.retain(|_, sources| {
                sources.retain(|_, all| {
                    all.retain_mut(|own| std::mem::take(&mut own.used));
                    !all.is_empty()
                });
                !sources.is_empty()
            });
        }
    }
}

#[cfg(test)]
impl Recalls {
    pub(super) fn count(&self) -> usize {
        self.0.values().flat_map(|recall| recall.0.borrow().values().map(|sources| sources.values().map(Vec::len).sum::<usize>()).collect::<Vec<_>>()).sum()
    }
}

/// What is recalled of one checklist, by check and source. A reload needs a new one.
#[derive(Debug, Default)]
pub struct Recall(RefCell<BTreeMap<String, BTreeMap<String, Vec<Recalled>>>>);

/// The lines of a check about a source, with all that they rest on but the check itself.
#[derive(Debug)]
struct Recalled {
    rests_on: RestsOn,
    lines: Lines,
    used: bool,
}

/// What the lines of a check about a source rest on.
#[derive(Debug)]
pub(super) struct RestsOn {
    /// Every piece of facts that is read. A piece never changes, and as long as it is pointed at none
    /// other can be where it is.
    pub(super) pieces: Vec<Weak<Facts>>,
    /// The event's name and end, where they matter.
    pub(super) event: Option<(Option<String>, i64)>,
    /// Which subjects were bad before, and so have a line though they are good.
    pub(super) known: u64,
    /// How many good lines there may still be.
    pub(super) room: usize,
}

impl PartialEq for RestsOn {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Weak<Facts>, &Weak<Facts>)| Weak::ptr_eq(a, b);
        self.pieces.len() == other.pieces.len()
            && self.pieces.iter().zip(&other.pieces).all(same)
            && self.event == other.event
            && self.known == other.known
            && self.room == other.room
    }
}

/// The pieces of these views with any of these families; nothing if they hold too few facts to be remembered, which
/// is said of thousands of small sources and must cost nothing.
pub(super) fn pieces<'a>(views: &(impl Iterator<Item = (&'a View, &'a str)> + Clone)) -> Option<Vec<Weak<Facts>>> {
    if views.clone().flat_map(|(view, _)| view.facts.iter()).map(|facts| facts.samples().len()).sum::<usize>() < WORTH {
        return None;
    }
    let read = || views.clone().flat_map(|(view, family)| view.facts.iter().map(move |facts| (facts, facts.of(family).len()))).filter(|(_, count)| *count > 0);
    let is_worth = read().map(|(_, count)| count).sum::<usize>() >= WORTH;
    is_worth.then(|| read().map(|(facts, _)| Arc::downgrade(facts)).collect())
}

impl Recall {
    /// The lines of a check about a source: those of before if they rest on the same, else `made` now.
    pub(super) fn lines(&self, check: &str, view: &View, rests_on: RestsOn, made: impl FnOnce() -> Lines) -> Lines {
        let of_now = |line: &Line| Line { seen_at: view.seen_at, look: view.looks, ..line.clone() };
        let mut checks = self.0.borrow_mut();
        let before = checks.get_mut(check).and_then(|sources| sources.get_mut(&view.source.name));
        if let Some(own) = before.and_then(|all| all.iter_mut().find(|own| own.rests_on == rests_on)) {
            own.used = true;
            return Lines { shown: own.lines.shown.iter().map(of_now).collect(), good: own.lines.good };
        }
        let lines = made();
        let all = checks.entry(check.to_owned()).or_default().entry(view.source.name.clone()).or_default();
        all.push(Recalled { rests_on, lines: lines.clone(), used: true });
        lines
    }
}
