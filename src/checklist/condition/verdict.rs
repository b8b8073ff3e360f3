//! Whether a value is red, as of a moment.

use super::{Bound, Condition, Horizon};
use crate::metric::{Family, Unit};

/// The moments that a verdict depends on, in Unix seconds.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Now.
    pub now: f64,
    /// The end of the event that is prepared for; now without one.
    pub event_end: f64,
}

/// The moment that a verdict and its words depend on, beside the facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depends {
    /// None.
    Nothing,
    /// The end of the event, or now without one.
    EventEnd,
    /// Now.
    Now,
}

/// How far the clock of whoever wrote a moment may be ahead, in seconds.
const AHEAD: f64 = 300.0;

impl Condition {
    /// Whether a state counts as red.
    pub fn takes(&self, state: &str) -> bool {
        match self {
            Self::Equals(Bound::Name(one)) => one == state,
            Self::Equals(Bound::States(several)) => several.iter().any(|one| one == state),
            Self::Equals(Bound::Number(_))
            | Self::IsFalse
            | Self::Above(_)
            | Self::Below(_)
            | Self::Differs(_)
            | Self::ExpiresWithin(_)
            | Self::OlderThan(_)
            | Self::Promql(_) => false,
        }
    }

    /// Whether a value is bad; `None` when the other side of the comparison was not seen or the value
    /// is not a number.
    pub fn violates(&self, value: f64, compared: Option<f64>, clock: Clock) -> Option<bool> {
        if value.is_nan() {
            return None;
        }
        let bound = |bound: &Bound| match bound {
            Bound::Number(number) => Some(*number),
            Bound::Name(_) | Bound::States(_) => compared.filter(|value| !value.is_nan()),
        };
        let Clock { now, event_end } = clock;
        #[expect(clippy::float_cmp, reason = "exactly what PromQL's == and != do")]
        match self {
            Self::IsFalse => Some(value == 0.0),
            Self::Above(limit) => bound(limit).map(|limit| value > limit),
            Self::Below(limit) => bound(limit).map(|limit| value < limit),
            Self::Equals(other) => bound(other).map(|other| value == other),
            Self::Differs(other) => bound(other).map(|other| value != other),
            Self::ExpiresWithin(Horizon::Now(span)) => Some(value - now < span.as_secs_f64()),
            Self::ExpiresWithin(Horizon::Event { after_event_end }) => Some(value - event_end < after_event_end.as_secs_f64()),
            // What is still to come has no age.
            Self::OlderThan(_) if value - now > AHEAD => None,
            Self::OlderThan(span) => Some(now - value > span.as_secs_f64()),
            Self::Promql(_) => None,
        }
    }

    /// Which moment the verdict on a value, and the distance that is told with it, depend on.
    pub fn depends_on(&self, family: &Family) -> Depends {
        match self {
            Self::ExpiresWithin(Horizon::Event { .. }) => Depends::EventEnd,
            Self::ExpiresWithin(Horizon::Now(_)) | Self::OlderThan(_) => Depends::Now,
            Self::IsFalse | Self::Above(_) | Self::Below(_) | Self::Equals(_) | Self::Differs(_) | Self::Promql(_) if family.unit == Unit::Timestamp => {
                Depends::Now
            }
            Self::IsFalse | Self::Above(_) | Self::Below(_) | Self::Equals(_) | Self::Differs(_) | Self::Promql(_) => Depends::Nothing,
        }
    }

    /// What a person wants to read: for a moment, the distance that the condition speaks of.
    pub fn distance(&self, family: &Family, value: f64, clock: Clock) -> f64 {
        match self {
            _ if family.unit != Unit::Timestamp => value,
            Self::OlderThan(_) => clock.now - value,
            Self::ExpiresWithin(Horizon::Event { .. }) => value - clock.event_end,
            Self::ExpiresWithin(Horizon::Now(_)) | Self::IsFalse | Self::Above(_) | Self::Below(_) | Self::Equals(_) | Self::Differs(_) | Self::Promql(_) => {
                value - clock.now
            }
        }
    }
}
