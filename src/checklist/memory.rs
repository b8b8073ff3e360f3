//! What the judge remembers between judgements: since when a line is bad, and whether it has been
//! good often enough.
//!
//! Red at once; once red, green only after two good looks, so that a flapping target does not
//! flip the verdict with it. A single `check` run has no memory and judges what it sees.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::Timestamp;

use super::judgement::{CheckState, Judgement, Line};
use super::model::{Check, Checklist};
use crate::lasting::{Lines, Since};

/// Good looks that turn a red line green.
const GOOD_LOOKS: u32 = 2;

#[derive(Debug, Clone)]
struct Entry {
    since: Timestamp,
    /// Whether it was bad already when the exporter began to look.
    at_least: bool,
    /// Once it was red, as what it counts until it is surely good: as what it was when it was last seen to be bad, so
    /// that one for which somebody answered does not block because it was repaired.
    holds_as: Option<CheckState>,
    /// Whether this was seen for another event, of which nobody knows whether it says anything about this one.
    of_other: bool,
    good_looks: u32,
    last_look: u64,
    seen: bool,
}

impl Entry {
    fn new(since: Timestamp) -> Self {
        Self { since, at_least: false, holds_as: None, of_other: false, good_looks: 0, last_look: 0, seen: true }
    }
}

/// How much a judgement rests on.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Whether nothing was judged before that rests on all.
    pub first: bool,
    /// Whether everything has been looked at.
    pub of_all: bool,
}

/// A line of a check, by its labels in any order. Two subjects of one check that share a hash would
/// share a memory; at 64 bits that does not happen.
pub(super) fn subject<'a, 'b>(labels: impl Iterator<Item = (&'a str, &'b str)>) -> u64 {
    labels.fold(0_u64, |sum, pair| {
        let mut hasher = DefaultHasher::new();
        pair.hash(&mut hasher);
        sum.wrapping_add(hasher.finish())
    })
}

/// What is remembered of every checklist, for each event that it is judged for.
#[derive(Debug, Default)]
pub struct Memories {
    of: BTreeMap<(String, Option<String>), Memory>,
    /// Whether everything has been seen once. Until then nobody knows of a line that is bad since when it is, and one that is
    /// absent may only not have been seen yet.
    begun: bool,
}

impl Memories {
    /// What is remembered for a checklist and an event. When an event comes into sight, or the last one
    /// is over, the estate is the same as before, so what is known of it for another event counts.
    pub fn of(&self, checklist: &str, event: Option<&str>) -> Option<&Memory> {
        let own = self.of.get(&(checklist.to_owned(), event.map(str::to_owned)));
        own.or_else(|| self.of.iter().find(|((name, _), _)| name == checklist).map(|(_, memory)| memory))
    }

    /// What was remembered when the exporter ran before.
    pub fn again(kept: Vec<Lines>) -> Self {
        let mut memories = Self::default();
        for Lines { checklist, event, check, since } in kept {
            let memory = memories.of.entry((checklist, event)).or_default();
            // Whether another bound turns it green nobody knows: whoever changes one restarts as well.
            let entry = |since: Since| Some(Entry { at_least: since.at_least, seen: false, ..Entry::new(Timestamp::from_second(since.at).ok()?) });
            memory.entries.insert(check, since.into_iter().filter_map(|(subject, since)| Some((subject, entry(since)?))).collect());
        }
        memories
    }

    /// Whether something is red, or was so until its next good look.
    pub fn hold(&self) -> bool {
        self.of.values().flat_map(|memory| memory.entries.values()).flat_map(BTreeMap::values).any(|entry| entry.holds_as.is_some())
    }

    /// Since when lines are bad, to be kept.
    pub fn lasting(&self) -> Vec<Lines> {
        let of_check = |(checklist, event): &(String, Option<String>), check: &String, entries: &BTreeMap<u64, Entry>| Lines {
            checklist: checklist.clone(),
            event: event.clone(),
            check: check.clone(),
            since: entries.iter().map(|(subject, entry)| (*subject, Since { at: entry.since.as_second(), at_least: entry.at_least })).collect(),
        };
        self.of.iter().flat_map(|(key, memory)| memory.entries.iter().map(move |(check, entries)| of_check(key, check, entries))).collect()
    }

    /// Takes over other checklists. A line that was red by another bound has not flapped.
    pub fn reloaded(&mut self, before: &[Checklist], after: &[Checklist]) {
        for ((name, _), memory) in &mut self.of {
            let [Some(before), Some(after)] = [before, after].map(|all| all.iter().find(|own| own.name == *name)) else { continue };
            let asks_otherwise = |check: &&Check| before.checks().any(|old| old.name == check.name && !old.asks_the_same(check));
            for check in after.checks().filter(asks_otherwise) {
                memory.entries.get_mut(&check.name).into_iter().flat_map(BTreeMap::values_mut).for_each(|entry| entry.holds_as = None);
            }
        }
    }

    /// Adds what is remembered to judgements, remembers what they say, and forgets what is not judged any more.
    /// `of_all` says whether everything has been looked at.
    pub fn apply(&mut self, judged: &mut [Judgement], of_all: bool) {
        let mut before = std::mem::take(self);
        let look = Look { first: !before.begun, of_all };
        self.begun = before.begun || of_all;
        let key = |judgement: &Judgement| (judgement.checklist.clone(), judgement.event.clone());
        // Those that come into sight are compared with what was just seen of the others.
        let (known, new): (Vec<_>, Vec<_>) = judged.iter_mut().partition(|judgement| before.of.contains_key(&key(judgement)));
        for judgement in known.into_iter().chain(new) {
            let key = key(judgement);
            let own = before.of.remove(&key).map(|own| {
                // Once an occurrence is over, the next one is called as it was, and what is known of that has its former name.
                let is_of_other = own.start.is_some() && own.start != judgement.event_start;
                if is_of_other { before.moved_up(judgement).unwrap_or_else(|| own.for_another()) } else { own }
            });
            let mut memory = own.or_else(|| self.of(&key.0, None).or_else(|| before.of(&key.0, None)).map(Memory::for_another)).unwrap_or_default();
            memory.apply(judgement, look);
            memory.start = judgement.event_start;
            self.of.insert(key, memory);
        }
    }

    /// What is remembered of an occurrence that had another name before.
    fn moved_up(&mut self, judgement: &Judgement) -> Option<Memory> {
        let event = |name: &str| name.split(" +").next().map(str::to_owned);
        let own = judgement.event.as_deref().and_then(event);
        let is_it = |(checklist, name): &(String, Option<String>), memory: &Memory| {
            *checklist == judgement.checklist && name.as_deref().and_then(event) == own && memory.start == judgement.event_start
        };
        let key = self.of.iter().find(|(key, memory)| is_it(key, memory)).map(|(key, _)| key.clone())?;
        self.of.remove(&key)
    }
}

/// Remembers the bad lines of one checklist, by check and subject.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// When the event starts that it was judged for; not known of what was kept from the last run.
    start: Option<Timestamp>,
    entries: BTreeMap<String, BTreeMap<u64, Entry>>,
}

impl Memory {
    /// What is taken over for another event.
    fn for_another(&self) -> Self {
        let mut own = self.clone();
        own.entries.values_mut().flat_map(BTreeMap::values_mut).for_each(|entry| entry.of_other = true);
        own
    }

    /// Whether a subject was bad.
    pub(super) fn knows(&self, check: &str, subject: impl FnOnce() -> u64) -> bool {
        self.entries.get(check).is_some_and(|subjects| !subjects.is_empty() && subjects.contains_key(&subject()))
    }

    /// Which subjects of a check were bad, as one number.
    pub(super) fn known(&self, check: &str) -> u64 {
        self.entries.get(check).map_or(0, |subjects| {
            let mut hasher = DefaultHasher::new();
            for subject in subjects.keys() {
                subject.hash(&mut hasher);
            }
            hasher.finish()
        })
    }

    /// Adds what is remembered to a judgement and remembers what it says.
    pub fn apply(&mut self, judgement: &mut Judgement, look: Look) {
        let now = judgement.at;
        for check in judgement.sections.iter_mut().flat_map(|section| &mut section.checks) {
            // Most often all is well, and there is nothing to remember.
            let asked = self.entries.contains_key(&check.name);
            for line in check.lines.iter_mut().filter(|line| asked || line.state != CheckState::Pass) {
                let subject = subject(line.labels.iter());
                self.remember(&check.name, subject, line, (now, look.first));
            }
        }
        // A line that is gone is forgotten: its object no longer exists.
        self.entries.retain(|_, subjects| {
            subjects.retain(|_, entry| std::mem::take(&mut entry.seen) || !look.of_all);
            !subjects.is_empty()
        });
        judgement.settle();
    }

    fn remember(&mut self, check: &str, subject: u64, line: &mut Line, (now, first): (Timestamp, bool)) {
        let bad = line.state != CheckState::Pass;
        if bad {
            let subjects = self.entries.entry(check.to_owned()).or_default();
            let entry = subjects.entry(subject).or_insert_with(|| Entry { at_least: first, ..Entry::new(now) });
            // What is not seen says nothing new.
            if line.state == CheckState::Fail || entry.holds_as.is_some() && line.state != CheckState::Unknown {
                entry.holds_as = Some(line.state);
            }
            entry.of_other = false;
            entry.good_looks = 0;
            entry.last_look = line.look;
            entry.seen = true;
            (line.since, line.since_at_least) = (Some(entry.since), entry.at_least);
            return;
        }
        let Some(subjects) = self.entries.get_mut(check) else { return };
        let Some(entry) = subjects.get_mut(&subject) else { return };
        // Bad for one event and good for another by the very same look: it has not flapped, the two ask for something else.
        let asks_otherwise = std::mem::take(&mut entry.of_other) && entry.good_looks == 0 && line.look == entry.last_look;
        if line.look != entry.last_look {
            entry.good_looks += 1;
            entry.last_look = line.look;
        }
        let Some(holds_as) = entry.holds_as.filter(|_| !asks_otherwise && entry.good_looks < GOOD_LOOKS) else {
            subjects.remove(&subject);
            return;
        };
        entry.seen = true;
        line.state = holds_as;
        line.mended = true;
        (line.since, line.since_at_least) = (Some(entry.since), entry.at_least);
        let missing = if entry.good_looks == 0 { "two more good looks turn" } else { "one more good look turns" };
        line.evidence = format!("{} Good again; {missing} it green.", line.evidence).into();
    }
}
