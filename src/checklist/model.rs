//! The types of a checklist, after it has been checked.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::Template;
use super::example::Example;
use crate::config::{Problem, Span};
use crate::metric::Family;

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
    /// Line of the source checklist.
    pub item: String,
    /// What must be true.
    pub title: String,
    /// Which samples it judges, by label.
    pub filter: BTreeMap<String, String>,
    /// How it is decided.
    pub kind: Kind,
    /// Whether a fail or an unknown blocks go.
    pub required: bool,
    /// What to do about a red line, in a sentence or two.
    pub remedy: String,
    /// Switched off in this installation.
    pub enabled: bool,
    /// Facts and the verdict they must get.
    pub examples: Vec<Example>,
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

/// The closed set of shapes. What does not fit becomes a 0/1 fact in its collector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Red when the value is 0.
    IsFalse,
    /// Red when the value is above the bound.
    Above(Bound),
    /// Red when the value is below the bound.
    Below(Bound),
    /// Red when the value, or the state of a state set, is one of these.
    Equals(Bound),
    /// Red when the value is not the bound.
    Differs(Bound),
    /// Red when the moment is near or past.
    ExpiresWithin(Horizon),
    /// Red when the moment is longer ago than this.
    OlderThan(Span),
    /// Red when the expression returns anything.
    Promql(String),
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Bound {
    /// A constant.
    Number(f64),
    /// The value of another metric with the same labels; for `equals`, a state.
    Name(String),
    /// Any of these states.
    States(Vec<String>),
}

/// Until when something must last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Horizon {
    /// From now.
    Now(Span),
    /// From the end of the next event, or from now without one.
    Event {
        /// Margin after the end.
        after_event_end: Span,
    },
    /// Only what ends while the event runs is bad: before it, it is renewed in time.
    During {
        /// Margin before the start and after the end.
        during_event: Span,
    },
}

/// A harsher bound with its severity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// The bound, in the terms of the condition.
    pub at: BandBound,
    /// Severity from there on.
    pub severity: Severity,
}

/// A bound of a band: a number, or a duration for moments.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum BandBound {
    /// For `above` and `below`.
    Number(f64),
    /// For `expires_within` and `older_than`.
    Time(Span),
}

impl BandBound {
    /// The bound in base units.
    pub fn base(self) -> f64 {
        match self {
            Self::Number(number) => number,
            Self::Time(span) => span.as_secs_f64(),
        }
    }
}

/// How loudly a red line is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Needs somebody before the event.
    Warning,
    /// Needs somebody now.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
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
            let path = format!("{path}.{name}");
            let check = self.sections.iter_mut().flat_map(|section| &mut section.checks).find(|check| check.name == *name);
            if let Some(check) = check {
                check.change(change, &path, &mut problems);
            } else {
                let hint = crate::config::validate::did_you_mean(name, names.iter().map(String::as_str));
                problems.push(Problem::bare(path, format!("must name a check of this checklist{hint}")));
            }
        }
        if !overrides.is_empty() {
            self.revision = super::parse::digest(&format!("{}{}", self.revision, serde_json::json!(overrides)));
        }
        problems
    }
}

impl Check {
    fn change(&mut self, change: &Override, path: &str, problems: &mut Vec<Problem>) {
        let Override { enabled, required, fails, worsens: harsher, severity: louder, hold: longer } = change;
        self.enabled = enabled.unwrap_or(self.enabled);
        self.required = required.unwrap_or(self.required);
        let Kind::Fact { family, condition, severity, worsens, hold, .. } = &mut self.kind else {
            if fails.is_some() || harsher.is_some() || louder.is_some() || longer.is_some() {
                problems.push(Problem::bare(path, "can only change enabled and required, because it is not judged on a metric"));
            }
            return;
        };
        if let Some(fails) = fails {
            if std::mem::discriminant(fails) != std::mem::discriminant(condition) {
                problems.push(Problem::bare(format!("{path}.fails"), "must keep the shape of the condition, because the evidence speaks of it"));
            } else if let Err(rule) = fails.fits(family) {
                problems.push(Problem::bare(format!("{path}.fails"), rule));
            } else {
                *condition = fails.clone();
                // Bounds that no longer lie beyond the new one would make the bands overlap.
                if harsher.is_none() {
                    worsens.retain(|band| condition.is_harsher(band.at.base()));
                }
            }
        }
        if let Some(harsher) = harsher {
            worsens.clone_from(harsher);
            problems.extend(condition.check_bands(worsens).err().map(|rule| Problem::bare(format!("{path}.worsens"), rule)));
        }
        *severity = louder.unwrap_or(*severity);
        *hold = longer.unwrap_or(*hold);
    }
}

impl Condition {
    /// Whether this shape can be asked of the family; the rule that is broken if not.
    pub fn fits(&self, family: &Family) -> Result<(), String> {
        use crate::metric::Unit;
        let is_state_set = !family.states.is_empty();
        let is_moment = family.unit == Unit::Timestamp;
        match self {
            Self::Equals(Bound::Name(state)) if is_state_set => known_state(family, state),
            Self::Equals(Bound::States(states)) if is_state_set => states.iter().try_for_each(|state| known_state(family, state)),
            Self::Equals(Bound::Number(_)) if !is_state_set => Ok(()),
            _ if is_state_set => Err("must be `equals` with states, because the metric is a state set".to_owned()),
            Self::Equals(_) => Err("must be a number, because the metric has no states".to_owned()),
            Self::ExpiresWithin(_) | Self::OlderThan(_) if !is_moment => Err("needs a metric whose name ends in _timestamp_seconds".to_owned()),
            Self::IsFalse | Self::Above(Bound::Number(_)) | Self::Below(Bound::Number(_)) if is_moment => {
                Err("must be expires_within or older_than, because the metric is a moment".to_owned())
            }
            Self::Above(Bound::Name(other)) | Self::Below(Bound::Name(other)) | Self::Differs(Bound::Name(other)) => {
                let other = crate::collectors::family(other)?;
                let missing = family.labels.iter().find(|label| !other.labels.contains(label));
                missing.map_or(Ok(()), |label| Err(format!("must compare with a metric that has the label {label}, too")))
            }
            Self::Above(Bound::States(_)) | Self::Below(Bound::States(_)) | Self::Differs(Bound::States(_)) => {
                Err("must be a number or the name of a metric".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The bound in base units where it is a constant.
    pub fn bound(&self) -> Option<f64> {
        match self {
            Self::Above(Bound::Number(bound)) | Self::Below(Bound::Number(bound)) => Some(*bound),
            Self::ExpiresWithin(Horizon::Now(span) | Horizon::Event { after_event_end: span }) | Self::OlderThan(span) => Some(span.as_secs_f64()),
            _ => None,
        }
    }

    /// Whether `bound` is reached after this condition's own.
    pub fn is_harsher(&self, bound: f64) -> bool {
        match self {
            Self::Above(_) | Self::OlderThan(_) => self.bound().is_some_and(|own| bound > own),
            _ => self.bound().is_some_and(|own| bound < own),
        }
    }

    /// Bands must lie beyond the condition and beyond one another, so that one object raises one alert.
    pub fn check_bands(&self, bands: &[Band]) -> Result<(), String> {
        let mut condition = self.clone();
        for band in bands {
            if !condition.is_harsher(band.at.base()) {
                return Err("must list harsher bounds than fails, mildest first".to_owned());
            }
            condition = condition.with_bound(band.at);
        }
        Ok(())
    }

    /// The same shape with the bound of a band.
    #[must_use]
    pub fn with_bound(&self, bound: BandBound) -> Self {
        match (self, bound) {
            (Self::Above(_), BandBound::Number(at)) => Self::Above(Bound::Number(at)),
            (Self::Below(_), BandBound::Number(at)) => Self::Below(Bound::Number(at)),
            (Self::OlderThan(_), BandBound::Time(at)) => Self::OlderThan(at),
            (Self::ExpiresWithin(Horizon::Now(_)), BandBound::Time(at)) => Self::ExpiresWithin(Horizon::Now(at)),
            (Self::ExpiresWithin(Horizon::Event { .. }), BandBound::Time(after_event_end)) => Self::ExpiresWithin(Horizon::Event { after_event_end }),
            _ => self.clone(),
        }
    }
}

fn known_state(family: &Family, state: &str) -> Result<(), String> {
    if family.states.contains(&state) {
        return Ok(());
    }
    let hint = crate::config::validate::did_you_mean(state, family.states.iter().copied());
    Err(format!("must be a state of {} ({}){hint} (got {state:?})", family.name, family.states.join(", ")))
}
