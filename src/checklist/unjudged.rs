//! What is configured to be looked at, and judged by no check: a target of a kind that no check asks
//! for would be red for ever, and nobody would know.

use super::judge::{CheckState, CheckVerdict, Line, SectionVerdict};
use super::model::{Check, Checklist, Kind};
use crate::collectors::{self, attestations, kubernetes, lapses, memory};
use crate::labels::Labels;
use crate::snapshot::Source;

/// The name of the line that says what is judged by no check. It is in no file, since it is true of
/// every checklist, and can be waived as any other.
pub const NOT_JUDGED: &str = "ReadinessSourceNotJudged";

/// One thing that is looked at and judged by nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unjudged {
    collector: &'static str,
    labels: Labels,
    what: String,
}

impl Unjudged {
    /// In a sentence.
    pub fn sentence(&self) -> String {
        format!("{} {} is looked at, but no check of a configured checklist asks about it.", self.collector, self.what)
    }
}

/// What of the sources no enabled check of any of the checklists selects. Facts of the exporter itself
/// (what follows from others among them) and confirmations are nothing that somebody configured to be looked at. What a cluster holds is
/// configured as a whole, and the checks on workloads ask about each of them.
pub fn unjudged<'a>(checklists: &[Checklist], sources: impl Iterator<Item = &'a Source>) -> Vec<Unjudged> {
    let checks: Vec<&Check> = checklists.iter().flat_map(Checklist::checks).filter(|check| check.enabled).collect();
    let is_subject = |source: &&Source| ![attestations::NAME, memory::NAME, kubernetes::NAME, lapses::NAME].contains(&source.collector);
    let found = sources.filter(is_subject).filter(|source| !checks.iter().any(|check| selects(check, source)));
    let told = found.map(|source| {
        let kind = source.identity.get("kind").map_or_else(String::new, |kind| format!(" of kind {kind}"));
        Unjudged { collector: source.collector, labels: source.identity.clone(), what: format!("{}{kind}", source.name) }
    });
    told.collect()
}

/// Whether a check asks about a source.
fn selects(check: &Check, source: &Source) -> bool {
    let Kind::Fact { family, .. } = &check.kind else { return false };
    let fits = check.filter.iter().all(|(name, value)| source.identity.get(name).is_none_or(|own| own == value));
    // What is asked for each event is asked of nothing while none is configured.
    let waits_for_an_event = family.is_of_events() && collectors::owner(family.name) == source.collector;
    fits && (source.emits.contains(&family.name) || waits_for_an_event)
}

/// The line, if there is anything to say.
pub(super) fn section(found: &[Unjudged]) -> Option<SectionVerdict> {
    if found.is_empty() {
        return None;
    }
    let lines = found.iter().map(|unjudged| Line { labels: unjudged.labels.clone(), ..Line::unknown(unjudged.sentence()) });
    let check = CheckVerdict {
        name: NOT_JUDGED.to_owned(),
        item: "-".to_owned(),
        title: "Everything that is looked at is judged by a check".to_owned(),
        state: CheckState::Unknown,
        unasked: None,
        required: true,
        remedy: "Give it the kind or the name that a check asks for, add a check for it, or take it out of the configuration.".to_owned(),
        attested: false,
        collector: "checklist",
        note: None,
        lines: lines.collect(),
        more_good: 0,
    };
    Some(SectionVerdict { title: "Looked at, but not judged".to_owned(), checks: vec![check] })
}
