//! What a reload took out of sight or asks in another way: a line that is gone with it is no repair, and whoever reads
//! how verdicts changed is told so.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::judgement::{CheckState, CheckVerdict, Judgement, Line};
use super::memory::subject;
use super::model::{Check, Checklist};
use crate::history::Verdicts;

/// Subjects that are named; the others are counted.
const NAMED: usize = 2;

/// What was judged last before a reload, until everything was looked at after it.
#[derive(Debug)]
pub struct Left {
    judged: Arc<Vec<Judgement>>,
    /// Checks with other bounds or other subjects since then, by checklist.
    asked_otherwise: BTreeSet<(String, String)>,
}

impl Left {
    /// What was judged by the checklists that a reload replaced.
    pub fn new(judged: Arc<Vec<Judgement>>, before: &[Checklist], after: &[Checklist]) -> Self {
        let old = |list: &Checklist, check: &Check| before.iter().find(|own| own.name == list.name)?.checks().find(|own| own.name == check.name);
        let otherwise = |list: &Checklist, check: &Check| old(list, check).is_some_and(|own| !own.asks_the_same(check));
        let of = |list| move |check: &&Check| otherwise(list, check);
        let changed = after.iter().flat_map(|list| list.checks().filter(of(list)).map(|check| (list.name.clone(), check.name.clone())));
        Self { asked_otherwise: changed.collect(), judged }
    }

    /// Adds to what is to be recorded why it is not as bad any more, where that is so since the reload.
    pub fn explain<'a>(&'a self, judged: &[Judgement], verdicts: &mut [Verdicts<'a>]) {
        for verdicts in verdicts {
            let is_it = |own: &&Judgement| own.checklist == verdicts.checklist && own.event.as_deref() == verdicts.event;
            let (Some(before), Some(after)) = (self.judged.iter().find(is_it), judged.iter().find(is_it)) else { continue };
            for was in before.checks().filter(|check| is_not_good(check.state)) {
                let Some(why) = self.why(&before.checklist, was, after.checks().find(|check| check.name == was.name)) else { continue };
                if after.checks().all(|check| check.name != was.name) {
                    verdicts.states.push((Some(&was.name), CheckState::NotApplicable.as_str()));
                }
                verdicts.left.insert(Some(&was.name), why);
                if was.required {
                    verdicts.left.insert(None, "the configuration was changed for what was not good".to_owned());
                }
            }
        }
    }

    fn why(&self, checklist: &str, was: &CheckVerdict, is: Option<&CheckVerdict>) -> Option<String> {
        let Some(is) = is.filter(|is| is.state != CheckState::NotApplicable) else { return Some("it is asked no longer".to_owned()) };
        let known: BTreeSet<u64> = is.lines.iter().map(|line| subject(line.labels.iter())).collect();
        let gone: Vec<String> = was.lines.iter().filter(|line| is_not_good(line.state) && !known.contains(&subject(line.labels.iter()))).map(place).collect();
        if self.asked_otherwise.contains(&(checklist.to_owned(), was.name.clone())) {
            return Some("it asks something else since the configuration was changed".to_owned());
        }
        match gone.len() {
            0 if was.required && !is.required => Some("it does not block since the configuration was changed".to_owned()),
            0 => None,
            1 => Some(format!("{} is looked at no longer", gone[0])),
            2 => Some(format!("{} are looked at no longer", gone.join(" and "))),
            many => Some(format!("{} and {} more are looked at no longer", gone[..NAMED].join(", "), many - NAMED)),
        }
    }
}

fn is_not_good(state: CheckState) -> bool {
    matches!(state, CheckState::Fail | CheckState::Warn | CheckState::Unknown)
}

fn place(line: &Line) -> String {
    let place: Vec<_> = line.labels.iter().map(|(_, value)| value).filter(|value| !value.is_empty()).collect();
    if place.is_empty() { "what it asked about".to_owned() } else { place.join(" / ") }
}
