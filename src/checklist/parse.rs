//! From a YAML file to a [`Checklist`] that is known to be judgeable: names of checks and metrics, labels,
//! shapes and examples are checked here, so that the judge never meets a dangling name.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{Band, Condition};
use super::evidence::Template;
use super::example::{Example, RawExample};
use super::library;
use super::model::{Check, Checklist, Kind, Override, Section, Unconfigured, digest};
use super::raw::{RawCheck, read};
use super::severity::Severity;
use crate::collectors;
use crate::metric::Family;
use crate::promql;
use crate::value::rules::quoted;
use crate::value::{Problem, Span};
use crate::word::did_you_mean;

/// Parses and checks a checklist.
pub fn parse(text: &str) -> Result<Checklist, Vec<Problem>> {
    let (checklist, problems) = parse_each(text);
    checklist.filter(|_| problems.is_empty()).ok_or(problems)
}

/// The lines of a checklist that are good, and what is wrong with the others.
pub(super) fn parse_each(text: &str) -> (Option<Checklist>, Vec<Problem>) {
    let mut problems = Vec::new();
    let Some((raw, spoilt)) = read(text, &mut problems) else { return (None, problems) };
    let written = raw.sections.unwrap_or_else(|| {
        must_be_set("sections", &mut problems);
        Vec::new()
    });
    // A change of the library changes what is judged, where it is used.
    let lines = || written.iter().flat_map(|section| &section.checks);
    let shared = if lines().any(|line| line.check.is_some()) { library::files().map(|(_, text)| text).collect() } else { String::new() };
    let mut names = BTreeSet::new();
    let mut sections = Vec::new();
    let unconfigured = raw.unconfigured;
    for (index, section) in written.into_iter().enumerate() {
        let mut checks = Vec::new();
        let title = text_of(section.title, &format!("sections[{index}].title"), &mut problems);
        for (position, raw) in section.checks.into_iter().enumerate().filter(|(position, _)| !spoilt.contains(&(index, *position))) {
            let path = format!("sections[{index}].checks[{position}]");
            // What a line names itself is asked on purpose: a slip in it must not be taken for what nobody has.
            let unconfigured = if raw.filter.is_empty() { unconfigured } else { Unconfigured::Unknown };
            match line(raw, &path) {
                Ok(check) => {
                    if !names.insert(check.name.clone()) {
                        problems.push(Problem::new(format!("{path}.name"), "must be a name that no other check has", quoted(&check.name)));
                    }
                    checks.push(Check { unconfigured, ..check });
                }
                // What is wrong with the library is wrong with each line that names a check of it.
                Err(found) => problems.extend(found.into_iter().filter(|own| !problems.contains(own)).collect::<Vec<_>>()),
            }
        }
        sections.push(Section { title, checks });
    }
    let [name, title] = [("checklist", raw.checklist), ("title", raw.title)].map(|(field, value)| text_of(value, field, &mut problems));
    if !name.is_empty() && !legal_label(&name.replace('-', "_")) {
        problems.push(Problem::new("checklist", "must be a short lower-case name", quoted(&name)));
    }
    (Some(Checklist { name, title, sections, revision: digest(&format!("{text}{shared}")) }), problems)
}

/// Told once: what was cut out since it was wrong is not missing.
fn must_be_set(path: &str, problems: &mut Vec<Problem>) {
    if !problems.iter().any(|told| path == told.path) {
        problems.push(Problem::bare(path, "must be set"));
    }
}

/// A text that somebody reads, so that none at all is as good as a blank one.
fn text_of(text: Option<String>, path: &str, problems: &mut Vec<Problem>) -> String {
    let text = text.unwrap_or_default();
    if text.trim().is_empty() {
        must_be_set(path, problems);
        return String::new();
    }
    text
}

/// A line that names a check of the library, or one that says all itself.
fn line(mut raw: RawCheck, path: &str) -> Result<Check, Vec<Problem>> {
    let Some(wanted) = raw.check.take() else { return check(raw, path) };
    let library = library::records()?;
    let Some(record) = library.get(&wanted) else {
        let hint = did_you_mean(&wanted, library.keys().map(String::as_str));
        return Err(vec![Problem::new(format!("{path}.check"), format!("must name a check of the library{hint}"), quoted(&wanted))]);
    };
    let path = format!("{path} {wanted}");
    if raw.attest.is_some() || raw.metric.is_some() || raw.evidence.is_some() || raw.when.is_some() {
        return Err(vec![Problem::bare(
            path,
            "must have none of attest, metric, evidence and when, because the check of the library brings its own; write one with a name of your own instead",
        )]);
    }
    let change = Override { fails: raw.fails, worsens: raw.worsens, severity: raw.severity, hold: raw.hold, ..Override::default() };
    let as_it_is = change == Override::default() && raw.filter.is_empty();
    let mut filter = record.filter.clone();
    filter.extend(raw.filter);
    let own = RawCheck {
        name: raw.name.or_else(|| record.name.clone()),
        item: raw.item,
        title: raw.title,
        filter,
        required: raw.required.or(record.required),
        remedy: raw.remedy.or_else(|| record.remedy.clone()),
        // With another bound or other subjects they need not hold.
        examples: if as_it_is && raw.examples.is_empty() { record.examples.clone() } else { Vec::new() },
        ..record.clone()
    };
    let mut check = check(own, &path)?;
    check.runbook = wanted;
    let mut problems = Vec::new();
    check.change(&change, &path, &mut problems);
    check.read_examples(raw.examples, &path, &mut problems);
    if problems.is_empty() { Ok(check) } else { Err(problems) }
}

fn check(raw: RawCheck, path: &str) -> Result<Check, Vec<Problem>> {
    let mut problems = Vec::new();
    let (name, is_attestation) = match (raw.name, raw.attest) {
        (Some(name), None) => (name, false),
        (None, Some(name)) => (name, true),
        _ => return Err(vec![Problem::bare(path, "must have one of check, name and attest")]),
    };
    // That of a check of the library stands there already.
    let path = if path.ends_with(&format!(" {name}")) { path.to_owned() } else { format!("{path} {name}") };
    if is_attestation && (raw.when.is_some() || raw.severity.is_some() || raw.hold.is_some() || raw.evidence.is_some() || !raw.filter.is_empty()) {
        problems.push(Problem::bare(&path, "must have none of when, where, severity, for and evidence, because a person attests it"));
    }
    let [item, title, remedy] =
        [("item", raw.item), ("title", raw.title), ("remedy", raw.remedy)].map(|(field, value)| text_of(value, &format!("{path}.{field}"), &mut problems));
    let worsens = raw.worsens.unwrap_or_default();
    if !name.starts_with(|c: char| c.is_ascii_uppercase()) || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        problems.push(Problem::new(format!("{path}.name"), "must be CamelCase, because it names an alert", quoted(&name)));
    }
    let evidence = raw.evidence.unwrap_or_default();
    let [evidence, title] = [("evidence", evidence), ("title", title)].map(|(field, text)| {
        Template::parse(&text).unwrap_or_else(|rule| {
            problems.push(Problem::bare(format!("{path}.{field}"), rule));
            Template::default()
        })
    });
    if !title.speaks_of_all() || (title.has_threshold() && raw.fails.as_ref().is_none_or(|condition| matches!(condition, Condition::Promql(_)))) {
        problems.push(Problem::bare(format!("{path}.title"), "may use {threshold} alone, where the check has one, because it is about all subjects"));
    }
    let severity = raw.severity.unwrap_or(Severity::Warning);
    let hold = raw.hold.unwrap_or(Span::mins(5));
    let mut wrong = |problem: Problem| {
        problems.push(problem);
        Err(std::mem::take(&mut problems))
    };
    let kind = match (is_attestation, raw.metric, raw.fails) {
        (true, None, None) => Kind::Attestation,
        (true, ..) => return wrong(Problem::bare(path, "must have neither metric nor fails, because a person attests it")),
        (false, None, Some(Condition::Promql(expr))) => {
            if let Err(rule) = promql::read(&expr) {
                problems.push(Problem::bare(format!("{path}.fails.promql"), rule));
            }
            Kind::Promql { expr, severity, hold, evidence }
        }
        (false, Some(metric), Some(condition)) => {
            let family = match collectors::family(&metric) {
                Ok(family) => family,
                Err(rule) => return wrong(Problem::new(format!("{path}.metric"), rule, quoted(&metric))),
            };
            let parts = Parts { family, condition: &condition, severity, bands: &worsens, filter: &raw.filter, evidence: &evidence };
            parts.check(&path, &mut problems);
            Kind::Fact { family, condition, severity, worsens, hold, when: raw.when.unwrap_or_default(), evidence }
        }
        (false, ..) => return wrong(Problem::bare(path, "must have metric and fails, or fails: { promql: ... }")),
    };
    if is_of_another(&name, &kind)? {
        let rule = "must be a name of its own, because a check of the library with another metric has it, and its runbook and its alerts";
        problems.push(Problem::new(format!("{path}.name"), rule, quoted(&name)));
    }
    // The verdict would wait for ever for what only Prometheus can say.
    let can_block = !matches!(kind, Kind::Promql { .. });
    if raw.required == Some(true) && !can_block {
        problems.push(Problem::bare(format!("{path}.required"), "must be false, because Prometheus alone judges an expression"));
    }
    let mut check = Check {
        runbook: name.clone(),
        name,
        item,
        title,
        filter: raw.filter,
        kind,
        required: raw.required.unwrap_or(can_block),
        remedy,
        unconfigured: Unconfigured::default(),
        enabled: true,
        examples: Vec::new(),
    };
    check.read_examples(raw.examples, &path, &mut problems);
    if problems.is_empty() { Ok(check) } else { Err(problems) }
}

/// Whether a check bears the name of one of the library that asks about something else.
fn is_of_another(name: &str, kind: &Kind) -> Result<bool, Vec<Problem>> {
    let library = library::records()?;
    let Some(record) = library.get(name) else { return Ok(false) };
    let own = if let Kind::Fact { family, .. } = kind { Some(family.name) } else { None };
    let is_promql = matches!(kind, Kind::Promql { .. }) && record.metric.is_none();
    Ok(!is_promql && record.metric.as_deref() != own)
}

impl Check {
    fn read_examples(&mut self, examples: Vec<RawExample>, path: &str, problems: &mut Vec<Problem>) {
        for (index, raw) in examples.into_iter().enumerate() {
            match Example::read(raw, self) {
                Ok(example) => self.examples.push(example),
                Err(rule) => problems.push(Problem::bare(format!("{path}.examples[{index}]"), rule)),
            }
        }
    }
}

struct Parts<'a> {
    family: &'static Family,
    condition: &'a Condition,
    severity: Severity,
    bands: &'a [Band],
    filter: &'a BTreeMap<String, String>,
    evidence: &'a Template,
}

impl Parts<'_> {
    fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        if let Err(rule) = self.condition.fits(self.family) {
            problems.push(Problem::bare(format!("{path}.fails"), rule));
        }
        if let Err(rule) = self.evidence.fits(self.family, self.condition) {
            problems.push(Problem::bare(format!("{path}.evidence"), rule));
        }
        if let Err(rule) = self.condition.check_bands(self.severity, self.bands).and_then(|()| self.condition.bands_fit(self.family, self.bands)) {
            problems.push(Problem::bare(format!("{path}.worsens"), rule));
        }
        for (label, wanted) in self.filter {
            self.known(&format!("{path}.where"), label, problems);
            let values = self.family.values.filter(|(own, values)| own == label && !values.contains(&wanted.as_str()));
            problems.extend(
                values.map(|(_, values)| Problem::new(format!("{path}.where.{label}"), format!("must be one of {}", values.join(", ")), quoted(wanted))),
            );
        }
        for label in self.evidence.labels() {
            let is_state = label == "state" && !self.family.states.is_empty();
            if !is_state {
                self.known(&format!("{path}.evidence"), label, problems);
            }
        }
    }

    fn known(&self, path: &str, label: &str, problems: &mut Vec<Problem>) {
        if !self.family.labels.contains(&label) {
            let hint = did_you_mean(label, self.family.labels.iter().copied());
            let rule = format!("must use labels of {} ({}){hint}", self.family.name, self.family.labels.join(", "));
            problems.push(Problem::new(path, rule, quoted(label)));
        }
    }
}

fn legal_label(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
