//! The types of a checklist, after it has been checked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::condition::{Band, Condition};
use super::evidence::Template;
use super::example::Example;
use super::severity::Severity;
use crate::metric::Family;
use crate::value::{Problem, Span};

/// A checklist: sections of checks in the order of the paper one.
#[derive(Debug, Clone)]
pub struct Checklist {
    /// Name, the `checklist` label.
    pub name: String,
    /// Heading.
    pub title: String,
    /// Sections in order.
    pub sections: Vec<Section>,
    /// Identifies the content; rules carry the revision that they were generated from.
    pub revision: String,
}

/// A part of a checklist.
#[derive(Debug, Clone)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// Checks in order.
    pub checks: Vec<Check>,
}

/// One line of a checklist.
#[derive(Debug, Clone)]
pub struct Check {
    /// Alert name, runbook file name, anchor.
    pub name: String,
    /// Whose runbook it has: its own name, or that of the check of the library that it is a variant of.
    pub runbook: String,
    /// Line of the source checklist.
    pub item: String,
    /// What must be true, with the bound that an override may change: see [`Check::title`].
    pub title: Template,
    /// Which samples it judges, by label.
    pub filter: BTreeMap<String, String>,
    /// How it is decided.
    pub kind: Kind,
    /// Whether a fail or an unknown blocks go.
    pub required: bool,
    /// What to do about a red line, in a sentence or two.
    pub remedy: String,
    /// What it is where nothing is configured that it could ask about.
    pub unconfigured: Unconfigured,
    /// Switched off in this installation.
    pub enabled: bool,
    /// Facts and the verdict they must get.
    pub examples: Vec<Example>,
}

/// What a line is of which nothing is configured, although its collector is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unconfigured {
    /// Whoever wrote the line wants it asked, so that it is missing is no good news.
    #[default]
    Unknown,
    /// The line is there for whoever has what it asks about.
    NotApplicable,
}

impl Check {
    /// Whether another version of it holds the same facts against the same bounds.
    pub(super) fn asks_the_same(&self, other: &Self) -> bool {
        let asks = |check: &Self| match &check.kind {
            Kind::Fact { condition, worsens, when, .. } => Some((condition.clone(), worsens.clone(), *when)),
            Kind::Promql { .. } | Kind::Attestation => None,
        };
        self.filter == other.filter && asks(self) == asks(other)
    }
}

/// How a check is decided.
#[derive(Debug, Clone)]
pub enum Kind {
    /// From a fact.
    Fact {
        /// The metric.
        family: &'static Family,
        /// When a sample of it is red.
        condition: Condition,
        /// Severity of a red line.
        severity: Severity,
        /// Harsher bounds, mildest first.
        worsens: Vec<Band>,
        /// How long it must be red before the alert fires.
        hold: Span,
        /// When the check applies at all.
        when: Guard,
        /// The line that a person reads.
        evidence: Template,
    },
    /// From a PromQL expression that only Prometheus can evaluate: an alert without a verdict.
    Promql {
        /// The expression.
        expr: String,
        /// Severity of the alert.
        severity: Severity,
        /// How long it must hold before the alert fires.
        hold: Span,
        /// The alert's summary.
        evidence: Template,
    },
    /// From a person's confirmation.
    Attestation,
}

/// When a check applies. All parts must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// Only for events with more participants than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participants_above: Option<u32>,
    /// Only from this long before the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lead_time_within: Option<Span>,
    /// Only while the event runs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub event_active: bool,
}

/// What an installation changes about a check.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Override {
    /// `false` takes the check out; it stays visible as not applicable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether it blocks go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Another bound; the shape must stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fails: Option<Condition>,
    /// Other harsher bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worsens: Option<Vec<Band>>,
    /// Another severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Another time before the event from which on it blocks, for a check that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lead_time_within: Option<Span>,
    /// Another hold time of the alert.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub hold: Option<Span>,
}

impl Checklist {
    /// All checks in order.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.sections.iter().flat_map(|section| &section.checks)
    }

    /// Applies an installation's overrides and renews the revision.
    pub fn apply(&mut self, overrides: &BTreeMap<String, Override>, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let names: Vec<String> = self.checks().map(|check| check.name.clone()).collect();
        for (name, change) in overrides {
            let check = self.sections.iter_mut().flat_map(|section| &mut section.checks).find(|check| check.name == *name);
            if let Some(check) = check {
                check.change(change, &format!("{path}.{name}"), &mut problems);
            } else {
                let hint = crate::word::did_you_mean(name, names.iter().map(String::as_str));
                let of_item: Vec<&str> = self.checks().filter(|check| check.item == *name).map(|check| check.name.as_str()).collect();
                if !of_item.is_empty() {
                    let rule = format!("must name a check; {name} is the item of {}", of_item.join(", "));
                    problems.push(Problem::bare(format!("{path}.{name}"), rule));
                    continue;
                }
                // What is like no check at all may be a secret in the place of a name; one of another checklist is none.
                let is_known = !hint.as_str().is_empty() || crate::runbooks::runbook(name).is_some();
                let shown = if is_known { name } else { "***" };
                problems.push(Problem::bare(format!("{path}.{shown}"), format!("must name a check of this checklist{hint}")));
            }
        }
        if !overrides.is_empty() {
            self.revision = digest(&format!("{}{}", self.revision, serde_json::json!(overrides)));
        }
        problems
    }
}

impl Check {
    /// What must be true, in the words of the bound that is in force.
    pub fn title(&self) -> String {
        let asked = if let Kind::Fact { family, condition, .. } = &self.kind { Some((*family, condition)) } else { None };
        self.title.of_all(asked)
    }

    /// Changes what an installation, or a line of a checklist, changes about it.
    pub(super) fn change(&mut self, change: &Override, path: &str, problems: &mut Vec<Problem>) {
        let Override { enabled, required, fails, worsens: harsher, severity: louder, lead_time_within: due, hold: longer } = change;
        self.enabled = enabled.unwrap_or(self.enabled);
        self.required = required.unwrap_or(self.required);
        let Kind::Fact { family, condition, severity, worsens, hold, when, .. } = &mut self.kind else {
            if matches!(self.kind, Kind::Promql { .. }) && self.required {
                problems.push(Problem::bare(format!("{path}.required"), "must be false, because Prometheus alone judges an expression"));
            }
            if fails.is_some() || harsher.is_some() || louder.is_some() || due.is_some() || longer.is_some() {
                problems.push(Problem::bare(path, "can only change enabled and required, because it is not judged on a metric"));
            }
            return;
        };
        *severity = louder.unwrap_or(*severity);
        if let Some(fails) = fails {
            if fails.shape() != condition.shape() {
                let rule = format!("must keep the shape of the condition, {}, because the evidence speaks of it", condition.shape());
                problems.push(Problem::bare(format!("{path}.fails"), rule));
            } else if let Err(rule) = fails.fits(family).and_then(|()| fails.means(condition)) {
                problems.push(Problem::bare(format!("{path}.fails"), rule));
            } else {
                *condition = fails.clone();
            }
        }
        if let Some(harsher) = harsher {
            worsens.clone_from(harsher);
            problems.extend(
                condition
                    .check_bands(*severity, worsens)
                    .and_then(|()| condition.bands_fit(family, worsens))
                    .err()
                    .map(|rule| Problem::bare(format!("{path}.worsens"), rule)),
            );
        } else {
            // What no longer lies beyond the new bound, or is no longer louder, would overlap with it.
            worsens.retain(|band| band.severity > *severity && condition.harsher(band.at).is_some());
        }
        match (due, &mut when.lead_time_within) {
            (Some(due), Some(own)) => *own = *due,
            (Some(_), None) => problems.push(Problem::bare(format!("{path}.lead_time_within"), "can not be set, because this check is due at all times")),
            (None, _) => {}
        }
        *hold = longer.unwrap_or(*hold);
    }
}

/// The first twelve hex digits of a SHA-256.
pub(super) fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
