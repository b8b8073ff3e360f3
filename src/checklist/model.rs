//! The types of a checklist, after it has been checked.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::Template;
use super::example::Example;
use crate::metric::{Family, Unit};
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

    fn number(self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Time(_) => None,
        }
    }

    fn time(self) -> Option<Span> {
        match self {
            Self::Number(_) => None,
            Self::Time(span) => Some(span),
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
                let hint = crate::value::rules::did_you_mean(name, names.iter().map(String::as_str));
                let of_item: Vec<&str> = self.checks().filter(|check| check.item == *name).map(|check| check.name.as_str()).collect();
                if !of_item.is_empty() {
                    let rule = format!("must name a check; {name} is the item of {}", of_item.join(", "));
                    problems.push(Problem::bare(format!("{path}.{name}"), rule));
                    continue;
                }
                // What is like no check at all may be a secret in the place of a name.
                let shown = if hint.as_str().is_empty() { "***" } else { name };
                problems.push(Problem::bare(format!("{path}.{shown}"), format!("must name a check of this checklist{hint}")));
            }
        }
        if !overrides.is_empty() {
            self.revision = super::parse::digest(&format!("{}{}", self.revision, serde_json::json!(overrides)));
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

    fn change(&mut self, change: &Override, path: &str, problems: &mut Vec<Problem>) {
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
            } else if let Err(rule) = fails.fits(family).and_then(|()| fails.means(condition, family)) {
                problems.push(Problem::bare(format!("{path}.fails"), rule));
            } else {
                *condition = fails.clone();
            }
        }
        if let Some(harsher) = harsher {
            worsens.clone_from(harsher);
            problems.extend(condition.check_bands(*severity, worsens).err().map(|rule| Problem::bare(format!("{path}.worsens"), rule)));
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

/// The longest time that a check can speak of: certificates of authorities live as long.
const LONGEST: Span = Span::days(3650);

/// Use can be above its limit for a while, by far less than this; whoever writes more means a percentage.
const HIGHEST_SHARE: f64 = 5.0;

impl Condition {
    /// How the shape is written. An override keeps it; a horizon belongs to it, since a span from now
    /// and one after the end of an event are two different questions.
    fn shape(&self) -> &'static str {
        match self {
            Self::IsFalse => "is_false",
            Self::Above(_) => "above",
            Self::Below(_) => "below",
            Self::Equals(_) => "equals",
            Self::Differs(_) => "differs",
            Self::ExpiresWithin(Horizon::Now(_)) => "expires_within with a duration",
            Self::ExpiresWithin(Horizon::Event { .. }) => "expires_within with after_event_end",
            Self::OlderThan(_) => "older_than",
            Self::Promql(_) => "promql",
        }
    }

    /// Whether this shape can be asked of the family; the rule that is broken if not.
    pub fn fits(&self, family: &Family) -> Result<(), String> {
        let is_moment = family.unit == Unit::Timestamp;
        match self {
            Self::Promql(_) => Err("must stand without metric, because the expression names its own".to_owned()),
            Self::Equals(Bound::States(states)) if states.is_empty() => Err("must name a state".to_owned()),
            Self::Equals(Bound::Name(state)) if !family.states.is_empty() => known_state(family, state),
            Self::Equals(Bound::States(states)) if !family.states.is_empty() => states.iter().try_for_each(|state| known_state(family, state)),
            Self::IsFalse | Self::Above(_) | Self::Below(_) | Self::Equals(_) | Self::Differs(_) | Self::ExpiresWithin(_) | Self::OlderThan(_)
                if !family.states.is_empty() =>
            {
                Err("must be `equals` with states, because the metric is a state set".to_owned())
            }
            Self::IsFalse | Self::Above(Bound::Number(_)) | Self::Below(Bound::Number(_)) if is_moment => {
                Err("must be expires_within or older_than, because the metric is a moment".to_owned())
            }
            Self::IsFalse => Ok(()),
            Self::Above(bound) | Self::Below(bound) | Self::Differs(bound) | Self::Equals(bound @ Bound::Number(_)) => {
                bound.fits(family).and_then(|()| self.can_fail_and_pass(family))
            }
            Self::Equals(Bound::Name(_) | Bound::States(_)) => Err("must be a number, because the metric has no states".to_owned()),
            Self::ExpiresWithin(_) | Self::OlderThan(_) if is_moment => self.can_fail_and_pass(family),
            Self::ExpiresWithin(_) | Self::OlderThan(_) => Err("needs a metric whose name ends in _timestamp_seconds".to_owned()),
        }
    }

    /// Whether there are values that it calls good and others that it calls bad, as far as the unit tells:
    /// no metric is ever below 0, and a share is written as one, not as a percentage.
    fn can_fail_and_pass(&self, family: &Family) -> Result<(), String> {
        let number = match self {
            Self::Above(Bound::Number(number))
            | Self::Below(Bound::Number(number))
            | Self::Equals(Bound::Number(number))
            | Self::Differs(Bound::Number(number)) => *number,
            Self::ExpiresWithin(Horizon::Now(span) | Horizon::Event { after_event_end: span }) | Self::OlderThan(span) if span.0 > LONGEST.0 => {
                return Err(format!("must be at most {LONGEST}"));
            }
            Self::Above(Bound::Name(_) | Bound::States(_))
            | Self::Below(Bound::Name(_) | Bound::States(_))
            | Self::Equals(Bound::Name(_) | Bound::States(_))
            | Self::Differs(Bound::Name(_) | Bound::States(_))
            | Self::ExpiresWithin(_)
            | Self::OlderThan(_)
            | Self::IsFalse
            | Self::Promql(_) => return Ok(()),
        };
        let below = matches!(self, Self::Below(_));
        if !number.is_finite() || number < 0.0 || (below && number == 0.0) {
            return Err(format!("must be {} 0, because {} is never below it", if below { "above" } else { "at least" }, family.name));
        }
        if family.unit == Unit::Ratio && number > HIGHEST_SHARE {
            return Err("must be a share, such as 0.9 for 90 %".to_owned());
        }
        Ok(())
    }

    /// Whether it still asks what another condition of its shape asks; the rule that is broken if not.
    fn means(&self, before: &Self, family: &Family) -> Result<(), String> {
        let states = |condition: &Self| match condition {
            Self::Equals(Bound::Name(state)) => vec![state.clone()],
            Self::Equals(Bound::States(states)) => states.clone(),
            _ => Vec::new(),
        };
        let (own, before) = (states(self), states(before));
        // Whatever is taken out would be called good from then on, and nobody would see it.
        if let Some(lost) = before.iter().find(|state| !own.contains(state)) {
            return Err(format!("must keep the state {lost}, which would count as good otherwise; to accept it in one place, use a waiver"));
        }
        if self.other() == Some(family.name) {
            return Err("must compare with another metric than its own".to_owned());
        }
        Ok(())
    }

    /// The metric that the value is compared with.
    pub fn other(&self) -> Option<&str> {
        match self {
            Self::Above(Bound::Name(other)) | Self::Below(Bound::Name(other)) | Self::Differs(Bound::Name(other)) => Some(other),
            Self::Above(Bound::Number(_) | Bound::States(_))
            | Self::Below(Bound::Number(_) | Bound::States(_))
            | Self::Differs(Bound::Number(_) | Bound::States(_))
            | Self::IsFalse
            | Self::Equals(_)
            | Self::ExpiresWithin(_)
            | Self::OlderThan(_)
            | Self::Promql(_) => None,
        }
    }

    /// The bound in base units where it is a constant that bands can lie beyond.
    pub fn bound(&self) -> Option<f64> {
        match self {
            Self::Above(Bound::Number(bound)) | Self::Below(Bound::Number(bound)) => Some(*bound),
            Self::ExpiresWithin(Horizon::Now(span) | Horizon::Event { after_event_end: span }) | Self::OlderThan(span) => Some(span.as_secs_f64()),
            Self::Above(Bound::Name(_) | Bound::States(_))
            | Self::Below(Bound::Name(_) | Bound::States(_))
            | Self::IsFalse
            | Self::Equals(_)
            | Self::Differs(_)
            | Self::Promql(_) => None,
        }
    }

    /// The same shape with the bound of a band, if the band is in the terms of the condition.
    pub fn with_bound(&self, bound: BandBound) -> Option<Self> {
        match self {
            Self::Above(Bound::Number(_)) => bound.number().map(|at| Self::Above(Bound::Number(at))),
            Self::Below(Bound::Number(_)) => bound.number().map(|at| Self::Below(Bound::Number(at))),
            Self::OlderThan(_) => bound.time().map(Self::OlderThan),
            Self::ExpiresWithin(Horizon::Now(_)) => bound.time().map(|at| Self::ExpiresWithin(Horizon::Now(at))),
            Self::ExpiresWithin(Horizon::Event { .. }) => bound.time().map(|after_event_end| Self::ExpiresWithin(Horizon::Event { after_event_end })),
            Self::Above(Bound::Name(_) | Bound::States(_))
            | Self::Below(Bound::Name(_) | Bound::States(_))
            | Self::IsFalse
            | Self::Equals(_)
            | Self::Differs(_)
            | Self::Promql(_) => None,
        }
    }

    /// The condition of a band, if its bound is reached after this condition's own.
    fn harsher(&self, bound: BandBound) -> Option<Self> {
        let rises = match self {
            Self::Above(_) | Self::OlderThan(_) => true,
            Self::Below(_) | Self::ExpiresWithin(_) => false,
            Self::IsFalse | Self::Equals(_) | Self::Differs(_) | Self::Promql(_) => return None,
        };
        let harsher = self.with_bound(bound)?;
        let (own, at) = (self.bound()?, harsher.bound()?);
        (if rises { at > own } else { at < own }).then_some(harsher)
    }

    /// Bands must lie beyond the condition and beyond one another, each louder than the one before:
    /// one object raises one alert, and Alertmanager could not tell two of one severity apart.
    pub fn check_bands(&self, severity: Severity, bands: &[Band]) -> Result<(), String> {
        let (mut condition, mut severity) = (self.clone(), severity);
        for band in bands {
            if self.with_bound(band.at).is_none() {
                return Err("must stand beside a bound, and be a number or a duration as that is".to_owned());
            }
            condition = condition.harsher(band.at).ok_or_else(|| "must list harsher bounds than fails, mildest first".to_owned())?;
            if band.severity <= severity {
                return Err(format!("must each be louder than the one before (got {} after {severity})", band.severity));
            }
            severity = band.severity;
        }
        Ok(())
    }
}

impl Bound {
    /// Whether a value of the family can be compared with this.
    fn fits(&self, family: &Family) -> Result<(), String> {
        match self {
            Self::Number(_) => Ok(()),
            Self::States(_) => Err("must be a number or the name of a metric".to_owned()),
            Self::Name(other) => {
                // Nothing else is called so: a number was meant.
                if !other.starts_with("readiness_") {
                    return Err("must be a number, such as 90 or 0.9, or the name of a metric".to_owned());
                }
                let other = crate::collectors::family(other)?;
                if let Some(label) = family.labels.iter().find(|label| !other.labels.contains(label)) {
                    return Err(format!("must compare with a metric that has the label {label}, too"));
                }
                // Of several values for one subject, which one is meant?
                if let Some(label) = other.labels.iter().find(|label| !family.labels.contains(label)) {
                    return Err(format!("must compare with a metric of the same labels; {} has {label} beside them", other.name));
                }
                if other.states.is_empty() { Ok(()) } else { Err(format!("must compare with a number; {} is a state set", other.name)) }
            }
        }
    }
}

fn known_state(family: &Family, state: &str) -> Result<(), String> {
    if family.states.contains(&state) {
        return Ok(());
    }
    let hint = crate::value::rules::did_you_mean(state, family.states.iter().copied());
    Err(format!("must be a state of {} ({}){hint} (got {state:?})", family.name, family.states.join(", ")))
}
