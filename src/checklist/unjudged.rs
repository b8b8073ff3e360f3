//! What is configured to be looked at, and judged by no check: a target of a kind that no check asks
//! for would be red for ever, and nobody would know.

use super::judge::{CheckState, CheckVerdict, Line, SectionVerdict};
use super::model::{Check, Checklist, Kind};
use crate::collectors::{self, attestations, memory};
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
/// and confirmations are nothing that somebody configured to be looked at.
pub fn unjudged<'a>(checklists: &[Checklist], sources: impl Iterator<Item = &'a Source>) -> Vec<Unjudged> {
    let checks: Vec<&Check> = checklists.iter().flat_map(Checklist::checks).filter(|check| check.enabled).collect();
    let mut found = Vec::new();
    for source in sources.filter(|source| ![attestations::NAME, memory::NAME].contains(&source.collector)) {
        let labels = || source.identity.clone();
        if source.covers.is_empty() {
            // The parts of a cluster, such as its kubelets, are configured with the cluster.
            let is_part = source.collector == collectors::kubernetes::NAME;
            let kind = source.identity.get("kind").map_or_else(String::new, |kind| format!(" of kind {kind}"));
            if !is_part && !checks.iter().any(|check| selects(check, source, None)) {
                found.push(Unjudged { collector: source.collector, labels: labels(), what: format!("{}{kind}", source.name) });
            }
        }
        for (label, value) in source.covers.iter().flat_map(|(label, values)| values.iter().map(|value| (*label, value.as_str()))) {
            if !checks.iter().any(|check| selects(check, source, Some((label, value)))) {
                found.push(Unjudged { collector: source.collector, labels: labels(), what: format!("{label} {value} of {}", source.name) });
            }
        }
    }
    found
}

/// Whether a check asks about a source, or about one of the subjects that it covers.
fn selects(check: &Check, source: &Source, subject: Option<(&str, &str)>) -> bool {
    let Kind::Fact { family, .. } = &check.kind else { return false };
    let identity_fits = check.filter.iter().all(|(name, value)| source.identity.get(name).is_none_or(|own| own == value));
    let subject_fits = subject.is_none_or(|(label, value)| family.labels.contains(&label) && check.filter.get(label).is_none_or(|wanted| wanted == value));
    source.emits.contains(&family.name) && identity_fits && subject_fits
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
