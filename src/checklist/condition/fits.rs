//! What can be asked of which metric, and what an override may ask instead.

use super::{Band, Bound, Clock, Condition, Horizon};
use crate::metric::{Family, Unit};
use crate::value::Span;

/// The longest time that a check can speak of: certificates of authorities live as long.
const LONGEST: Span = Span::days(3650);

/// Use can be above its limit for a while, by far less than this; whoever writes more means a percentage.
const HIGHEST_SHARE: f64 = 5.0;

/// What moments are called at which something ends, and those that are past whenever they are seen. What lies on either
/// side, such as when something is due, is called otherwise.
const ENDS: &[&str] = &["_expiry_", "_not_after_", "_lapse_"];
const PAST: &[&str] = &["_last_", "_made_", "_changed_", "_created_", "_oldest_", "_pushed_"];

fn has_one_of(name: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| name.contains(part))
}

impl Condition {
    /// Whether this shape can be asked of the family; the rule that is broken if not.
    pub fn fits(&self, family: &Family) -> Result<(), String> {
        let is_moment = family.unit == Unit::Timestamp;
        match self {
            Self::Promql(_) => Err("must stand without metric, because the expression names its own".to_owned()),
            Self::Equals(Bound::States(states)) if states.is_empty() => Err("must name a state".to_owned()),
            Self::Equals(Bound::Name(state)) if !family.states.is_empty() => known_state(family, state),
            Self::Equals(Bound::States(states)) if !family.states.is_empty() => {
                states.iter().try_for_each(|state| known_state(family, state))?;
                let is_left = family.states.iter().any(|state| !self.takes(state));
                if is_left { Ok(()) } else { Err(format!("must leave a state that is good; these are all of {}", family.name)) }
            }
            Self::IsFalse | Self::Above(_) | Self::Below(_) | Self::Equals(_) | Self::Differs(_) | Self::ExpiresWithin(_) | Self::OlderThan(_)
                if !family.states.is_empty() =>
            {
                Err("must be `equals` with states, because the metric is a state set".to_owned())
            }
            Self::IsFalse | Self::Above(Bound::Number(_)) | Self::Below(Bound::Number(_)) if is_moment => {
                Err("must be expires_within or older_than, because the metric is a moment".to_owned())
            }
            Self::IsFalse => self.divides_its_values(family),
            Self::Above(bound) | Self::Below(bound) | Self::Differs(bound) | Self::Equals(bound @ Bound::Number(_)) => {
                bound.fits(family).and_then(|()| self.can_fail_and_pass(family)).and_then(|()| self.divides_its_values(family))
            }
            Self::Equals(Bound::Name(_) | Bound::States(_)) => Err("must be a number, because the metric has no states".to_owned()),
            Self::ExpiresWithin(_) | Self::OlderThan(_) if is_moment => self.looks_the_right_way(family).and_then(|()| self.can_fail_and_pass(family)),
            Self::ExpiresWithin(_) | Self::OlderThan(_) => Err("needs a metric whose name ends in _timestamp_seconds".to_owned()),
        }
    }

    /// Whether it looks to where the moment lies: the age of an end is nothing until long after it, and what is past is never
    /// far ahead.
    fn looks_the_right_way(&self, family: &Family) -> Result<(), String> {
        let name = family.name;
        match self {
            Self::OlderThan(_) if has_one_of(name, ENDS) => {
                Err(format!("must be expires_within, because {name} is an end, which lies ahead while all is well"))
            }
            Self::ExpiresWithin(_) if has_one_of(name, PAST) => {
                Err(format!("must be older_than, because {name} lies in the past, and would be red at all times"))
            }
            _ => Ok(()),
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
        if matches!(family.unit, Unit::Ratio | Unit::Share) && number > HIGHEST_SHARE {
            return Err("must be a share, such as 0.9 for 90 %".to_owned());
        }
        let above = matches!(self, Self::Above(_));
        if family.unit == Unit::Share && (number > 1.0 || (above && number >= 1.0)) {
            return Err(format!("must be {} 1, because {} is never above it", if above { "below" } else { "at most" }, family.name));
        }
        Ok(())
    }

    /// Whether it tells the values of a metric that has only one or two from each other: a slip such as `above: 1` would
    /// be good for ever, and nobody would see it.
    fn divides_its_values(&self, family: &Family) -> Result<(), String> {
        // The other side of a comparison is known to nobody yet.
        let red = |value: f64| self.violates(value, None, Clock { now: 0.0, event_end: 0.0 });
        let name = family.name;
        match (family.unit, red(0.0), red(1.0)) {
            (Unit::Flag, Some(zero), Some(one)) if zero == one => {
                Err(format!("must be red at 0 or at 1 and not at both, because {name} is either; write is_false where 0 is bad, and {{ above: 0 }} where 1 is"))
            }
            (Unit::Mark, _, Some(false)) => Err(format!("must be red at 1, because {name} is 1 wherever it is; write {{ equals: 1 }}")),
            _ => Ok(()),
        }
    }

    /// Whether the bounds of all bands can be asked of the family, too.
    pub fn bands_fit(&self, family: &Family, bands: &[Band]) -> Result<(), String> {
        bands.iter().filter_map(|band| self.with_bound(band.at)).try_for_each(|harsher| harsher.fits(family))
    }

    /// Whether it still asks what another condition of its shape asks; the rule that is broken if not.
    pub(in crate::checklist) fn means(&self, before: &Self) -> Result<(), String> {
        self.compares_as(before)?;
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
        Ok(())
    }

    /// That another condition of its shape is held against the same: whoever puts a number in the place of a metric, or
    /// another metric, asks something else.
    fn compares_as(&self, before: &Self) -> Result<(), String> {
        match (self.other(), before.other()) {
            (own, other) if own == other => Ok(()),
            (_, Some(other)) => Err(format!("must be held against {other}, as it is; write a check of your own to ask something else")),
            (_, None) => Err("must be a number, as it is; write a check of your own to ask something else".to_owned()),
        }
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
                if other.name == family.name {
                    return Err("must compare with another metric than its own".to_owned());
                }
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
    let hint = crate::word::did_you_mean(state, family.states.iter().copied());
    Err(format!("must be a state of {} ({}){hint} (got {state:?})", family.name, family.states.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A moment that is called otherwise can be asked about both ways, which is right for few.
    #[test]
    fn the_name_of_a_moment_says_on_which_side_it_lies() {
        let families = crate::collectors::all().flat_map(crate::collectors::Collector::families);
        let moments: Vec<&str> = families.filter(|family| family.unit == Unit::Timestamp).map(|family| family.name).collect();
        let (mut on_either_side, mut on_both) = (Vec::new(), Vec::new());
        for name in moments {
            match (has_one_of(name, ENDS), has_one_of(name, PAST)) {
                (true, true) => on_both.push(name),
                (false, false) => on_either_side.push(name),
                _ => {}
            }
        }
        assert_eq!(on_both, [""; 0]);
        let due_or_valid = [
            "readiness_attestation_timestamp_seconds",
            "readiness_certmanager_not_before_timestamp_seconds",
            "readiness_certmanager_renewal_deadline_timestamp_seconds",
            "readiness_certmanager_renewal_timestamp_seconds",
            "readiness_cronjob_resumed_timestamp_seconds",
            "readiness_rotation_next_timestamp_seconds",
            "readiness_secretsmanager_next_rotation_timestamp_seconds",
        ];
        on_either_side.sort_unstable();
        assert_eq!(on_either_side, due_or_valid);
    }
}
