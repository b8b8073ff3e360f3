//! When a value is red: the closed set of shapes, and all that the rest of the program asks of one.
//!
//! Every part matches each shape by name, so that a new shape without one of its parts does not compile:
//! what can be asked of which metric (`fits`), the verdict (`verdict`), the same in PromQL (`promql`), the
//! words for people (`words`), and harsher bounds (here).

mod fits;
mod promql;
mod verdict;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use promql::Red;
pub use verdict::Clock;
pub(super) use verdict::Depends;
pub use words::{Words, humanize_duration};

use super::severity::Severity;
use crate::value::Span;

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
#[serde(untagged, deny_unknown_fields)]
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

impl Condition {
    /// How the shape is written. An override keeps it; a horizon belongs to it, since a span from now
    /// and one after the end of an event are two different questions.
    pub(super) fn shape(&self) -> &'static str {
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
    pub(super) fn harsher(&self, bound: BandBound) -> Option<Self> {
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
