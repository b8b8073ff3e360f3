//! Which lines of a check were not good, from when to when, and what was seen: whoever asks in the morning what went down
//! at night asks for that. A check that was red for one target already tells of no second one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Change, LONGEST, MOST, Verdicts};
use crate::labels::Labels;

/// What is told of a check with more lines than are followed.
pub const CROWD: &str = "not_good";
/// Lines of one check that are followed; of a crowd the check tells, and nobody reads its rows.
const MOST_OF_A_CHECK: usize = 50;
/// Lines of all checks that are followed. The state file has a bound.
const FOLLOWED: usize = 4_000;
/// Characters of a sentence, or of the name of a subject, that are kept.
const LONGEST_TEXT: usize = 240;

/// A line as it was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Its state.
    pub state: &'static str,
    /// What it is about.
    pub labels: &'a Labels,
    /// What was seen.
    pub evidence: &'a str,
}

/// A check as it was judged.
pub trait Judged: fmt::Debug {
    /// Its lines, the worst first. They are asked for one by one: of thousands that are good nothing is recorded.
    fn lines(&self) -> Box<dyn Iterator<Item = Seen<'_>> + '_>;
}

/// The lines of a check that are not good, by what they are about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Known {
    /// Whether there are too many to follow each.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    crowd: bool,
    lines: BTreeMap<String, String>,
}

/// Lines as they were last recorded, and how they came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Lines {
    last: BTreeMap<String, Known>,
    rows: VecDeque<Change>,
}

impl Lines {
    /// Records what judgements changed; whether anything did.
    pub(super) fn record(&mut self, judged: &[Verdicts<'_>]) -> bool {
        let mut before = std::mem::take(&mut self.last);
        let (mut changed, mut followed, mut told) = (false, 0, BTreeSet::new());
        for verdicts in judged {
            for (check, judged) in &verdicts.lines {
                let key = verdicts.key(Some(*check));
                let known = before.remove(&key);
                if known.is_none() && judged.lines().all(|line| !is_bad(line.state)) {
                    continue;
                }
                let most = MOST_OF_A_CHECK.min(FOLLOWED - followed);
                let named = named(*judged, known.as_ref(), most);
                let now = Known::of(&named, known.as_ref(), most);
                followed += now.lines.len();
                if known.as_ref() != Some(&now) {
                    changed = true;
                    for row in rows(verdicts, check, &named, known.as_ref(), &now) {
                        // Several events of one checklist ask the same of the same estate.
                        if told.insert((row.checklist.clone(), row.check.clone(), row.subject.clone(), row.to.clone())) {
                            self.rows.push_back(row);
                        }
                    }
                }
                if now != Known::default() {
                    self.last.insert(key, now);
                }
            }
        }
        let oldest = judged.first().map_or(0, |first| first.at.as_second() - LONGEST);
        while self.rows.len() > MOST || self.rows.front().is_some_and(|row| row.at.as_second() < oldest) {
            self.rows.pop_front();
        }
        changed
    }

    /// Puts what was recorded before it.
    pub(super) fn follow(&mut self, before: Self) {
        for (key, known) in before.last {
            self.last.entry(key).or_insert(known);
        }
        for row in before.rows.into_iter().rev() {
            self.rows.push_front(row);
        }
        while self.rows.len() > MOST {
            self.rows.pop_front();
        }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Change> {
        self.rows.iter()
    }
}

/// Lines by what they are about.
type Named<'a> = BTreeMap<String, Seen<'a>>;

/// The lines that are not good, up to one more than are followed, and those that were not good and are now.
fn named<'a>(judged: &'a dyn Judged, before: Option<&Known>, most: usize) -> Named<'a> {
    let mut named = Named::new();
    for line in judged.lines().filter(|line| is_bad(line.state)) {
        // The worst comes first.
        named.entry(subject(line.labels)).or_insert(line);
        if named.len() > most {
            return named;
        }
    }
    let was: BTreeSet<String> = before.into_iter().flat_map(|known| known.lines.keys()).filter(|own| !named.contains_key(*own)).cloned().collect();
    if !was.is_empty() {
        let now_good = judged.lines().map(|line| (subject(line.labels), line)).filter(|(own, _)| was.contains(own));
        named.extend(now_good);
    }
    named
}

impl Known {
    /// What is not good of these, and what was not and cannot be told any more.
    fn of(named: &Named<'_>, before: Option<&Self>, most: usize) -> Self {
        let bad = named.iter().filter(|(_, line)| is_bad(line.state));
        let mut lines: BTreeMap<String, String> = bad.map(|(own, line)| (own.clone(), line.state.to_owned())).collect();
        let unseen: Vec<&str> = named.iter().filter(|(_, line)| line.state == "unknown").map(|(own, _)| own.as_str()).collect();
        for own in before.into_iter().flat_map(|known| known.lines.keys()) {
            if !named.contains_key(own) && unseen.iter().any(|whole| is_part(whole, own)) {
                lines.insert(own.clone(), "unknown".to_owned());
            }
        }
        let crowd = lines.len() > most;
        Self { crowd, lines: if crowd { BTreeMap::new() } else { lines } }
    }
}

/// What became of each line between two judgements.
fn rows(verdicts: &Verdicts<'_>, check: &str, named: &Named<'_>, before: Option<&Known>, now: &Known) -> Vec<Change> {
    let was_crowd = before.is_some_and(|known| known.crowd);
    if now.crowd {
        let subject = "more subjects than are told one by one".to_owned();
        return if was_crowd { Vec::new() } else { vec![verdicts.row(check, subject, None, CROWD, None)] };
    }
    // When each of a crowd became what it is nobody followed.
    if was_crowd {
        return Vec::new();
    }
    let nothing = BTreeMap::new();
    let was = before.map_or(&nothing, |known| &known.lines);
    let evidence = |own: &String| named.get(own).map(|line| line.evidence);
    let mut rows = Vec::new();
    for (own, to) in now.lines.iter().filter(|(own, to)| was.get(*own) != Some(*to)) {
        // Of what was not looked at before nobody knows that it was good.
        let from = was.get(own).map(String::as_str).or_else(|| (!verdicts.first.contains(check)).then_some("good_or_new"));
        rows.push(verdicts.row(check, own.clone(), from, to, evidence(own)));
    }
    for (own, from) in was.iter().filter(|(own, _)| !now.lines.contains_key(*own)) {
        let found = evidence(own);
        let to = if found.is_some() { "pass" } else { "no_longer_there" };
        rows.push(verdicts.row(check, own.clone(), Some(from), to, found));
    }
    rows
}

impl Verdicts<'_> {
    fn row(&self, check: &str, subject: String, from: Option<&str>, to: &str, seen: Option<&str>) -> Change {
        let is_over = !is_bad(to);
        Change {
            at: self.at,
            checklist: self.checklist.to_owned(),
            event: self.event.map(str::to_owned),
            check: Some(check.to_owned()),
            subject: Some(subject),
            from: from.map(str::to_owned),
            to: to.to_owned(),
            seen: seen.map(short),
            left: self.left.get(&Some(check)).filter(|_| is_over).cloned(),
        }
    }
}

fn is_bad(state: &str) -> bool {
    ["fail", "warn", "unknown", "waived", CROWD].contains(&state)
}

/// What a line is about: the values of its labels.
fn subject(labels: &Labels) -> String {
    short(&labels.iter().map(|(_, value)| value).filter(|value| !value.is_empty()).collect::<Vec<_>>().join(PART))
}

const PART: &str = " / ";

/// Whether whatever bears the parts of one subject is within it: a cluster that is not seen hides its nodes.
fn is_part(whole: &str, own: &str) -> bool {
    whole.is_empty() || whole.split(PART).all(|part| own.split(PART).any(|own| own == part))
}

fn short(text: &str) -> String {
    if text.chars().count() <= LONGEST_TEXT { text.to_owned() } else { text.chars().take(LONGEST_TEXT).chain(['…']).collect() }
}
