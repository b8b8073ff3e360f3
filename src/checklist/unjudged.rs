//! What is configured to be looked at, and judged by no check: a target of a kind that no check asks
//! for would be red for ever, and nobody would know.

use std::collections::BTreeSet;

use super::judgement::{CheckState, CheckVerdict, Line, SectionVerdict};
use super::model::{Check, Checklist, Kind};
use crate::collectors;
use crate::labels::Labels;
use crate::snapshot::{Source, Subject};

/// The name of the line that says what is judged by no check. It is in no file, since it is true of
/// every checklist, and can be waived as any other.
pub const NOT_JUDGED: &str = "ReadinessSourceNotJudged";

/// One thing that is configured and judged by nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unjudged {
    labels: Labels,
    sentence: String,
}

impl Unjudged {
    /// In a sentence.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// A cluster that no collector looks at.
    pub fn cluster(name: &str) -> Self {
        let sentence = format!("Cluster {name} is configured, and no collector looks at it; collectors.kubernetes looks at all clusters once it is set.");
        Self { labels: [("cluster", name)].into(), sentence }
    }
}

/// Why nothing judges a subject that is looked at.
struct Why<'a> {
    /// The kinds that checks ask for, where the kind is what does not fit.
    kinds: BTreeSet<String>,
    /// What it lacks for a check that would ask about it, and that check.
    lacks: Option<(&'static str, String)>,
    /// A check that would ask about it and is disabled.
    disabled: Option<&'a str>,
}

impl Why<'_> {
    fn sentence(&self, collector: &str, what: &str) -> String {
        let kinds: Vec<_> = self.kinds.iter().map(String::as_str).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!("; checks ask about kind {}", kinds.join(", ")) };
        let lacks = self.lacks.as_ref().map_or_else(String::new, |(lacks, check)| format!(" {check} asks about it once you add {lacks}."));
        let disabled = self.disabled.map_or_else(String::new, |check| format!(" {check} would, and is disabled."));
        format!("{collector} {what} is looked at, but no check of a configured checklist asks about it{kinds}.{lacks}{disabled}")
    }
}

/// What the configuration names and no enabled check of any of the checklists asks about.
pub fn unjudged<'a>(checklists: &[Checklist], sources: impl Iterator<Item = &'a Source>) -> Vec<Unjudged> {
    let (checks, disabled): (Vec<&Check>, Vec<&Check>) = checklists.iter().flat_map(Checklist::checks).partition(|check| check.enabled);
    let sources: Vec<&Source> = sources.collect();
    let mut found = Vec::new();
    for source in &sources {
        // A cluster has several sources, and a workload of it is judged by what any of them sees.
        let beside = sources.iter().filter(|other| other.collector == source.collector && other.identity == source.identity);
        let emits: BTreeSet<&str> = beside.flat_map(|other| &other.emits).copied().collect();
        // A cluster may be there for what others read in it: which images it runs, when its jobs rotate keys.
        let readers = sources.iter().filter(|other| other.reads.contains(&source.collector));
        let read: BTreeSet<&str> = readers.clone().flat_map(|other| &other.emits).copied().collect();
        let is_read = checks.iter().any(|check| matches!(&check.kind, Kind::Fact { family, .. } if read.contains(family.name)));
        let is_judged = |subject: &Subject| {
            // What a CronJob makes is judged where a rotation names its selector.
            let named = readers.clone().flat_map(|other| &other.selectors).any(|selector| subject.labels.get("selector") == Some(selector));
            let serves = is_read && (subject.labels == source.identity || named);
            serves || checks.iter().any(|check| asks(check, source, subject, &emits))
        };
        let told = source.named().into_iter().filter(|subject| !is_judged(subject));
        found.extend(told.map(|subject| {
            let why = Why {
                kinds: kinds(&checks, &subject),
                lacks: lacks(&checks, source, &subject, &emits),
                disabled: disabled.iter().find(|check| asks(check, source, &subject, &emits)).map(|check| check.name.as_str()),
            };
            Unjudged { sentence: why.sentence(source.collector, &subject.what), labels: subject.labels }
        }));
    }
    found
}

/// The kinds of which checks ask what can be seen of a subject.
fn kinds(checks: &[&Check], subject: &Subject) -> BTreeSet<String> {
    let asking = checks.iter().filter(|check| matches!(&check.kind, Kind::Fact { family, .. } if subject.families.contains(&family.name)));
    let wanted = asking.filter_map(|check| check.filter.get("kind").cloned());
    if subject.labels.get("kind").is_some() { wanted.collect() } else { BTreeSet::new() }
}

/// What a subject that is a source by itself lacks for a check that would ask about it.
fn lacks(checks: &[&Check], source: &Source, subject: &Subject, emits: &BTreeSet<&str>) -> Option<(&'static str, String)> {
    let mut asking = checks.iter().filter(|check| subject.labels == source.identity && fits(check, subject));
    asking.find_map(|check| {
        let Kind::Fact { family, .. } = &check.kind else { return None };
        let is_missing = collectors::owner(family.name) == source.collector && !emits.contains(family.name);
        Some((family.made_by.filter(|_| is_missing)?, check.name.clone()))
    })
}

/// Whether what a check asks about is of the kind of a subject.
fn fits(check: &Check, subject: &Subject) -> bool {
    check.filter.iter().all(|(name, value)| subject.labels.get(name).is_none_or(|own| own == value))
}

/// Whether a check asks about a subject of a source, where `emits` are the families that can be seen there.
fn asks(check: &Check, source: &Source, subject: &Subject, emits: &BTreeSet<&str>) -> bool {
    let Kind::Fact { family, .. } = &check.kind else { return false };
    let is_of_it = subject.families.contains(&family.name);
    // What is asked for each event is filled by nothing while none is configured.
    let waits_for_an_event = family.is_of_events() && collectors::owner(family.name) == source.collector && (is_of_it || subject.labels == source.identity);
    fits(check, subject) && (is_of_it && emits.contains(family.name) || waits_for_an_event)
}

/// The line, if there is anything to say.
pub(super) fn section(found: &[Unjudged]) -> Option<SectionVerdict> {
    if found.is_empty() {
        return None;
    }
    let lines = found.iter().map(|unjudged| Line { labels: unjudged.labels.clone(), ..Line::unknown(unjudged.sentence()) });
    let check = CheckVerdict {
        name: NOT_JUDGED.to_owned(),
        runbook: NOT_JUDGED.to_owned(),
        item: "-".to_owned(),
        title: "Everything that is configured is looked at and judged by a check".to_owned(),
        state: CheckState::Unknown,
        unasked: None,
        required: true,
        remedy: "Give it the kind or the name that a check asks for, enable or add a check for it, or take it out of the configuration. A CronJob is judged once a rotation names it in cron_jobs.".to_owned(),
        attested: false,
        mend: None,
        collector: "checklist",
        note: None,
        lines: lines.collect(),
        more_good: 0,
    };
    Some(SectionVerdict { title: "Configured, but not judged".to_owned(), checks: vec![check] })
}
