//! A condition in words. Values are written the way Prometheus' own template functions write them, so that
//! the page and the message in Slack say the same.
//! Source: <https://prometheus.io/docs/prometheus/latest/configuration/template_reference/>

use std::time::Duration;

use super::{Bound, Condition, Horizon};
use crate::metric::{Family, Unit};
use crate::value::Span;

/// What a sentence says of one subject.
#[derive(Debug)]
pub struct Words {
    pub(in crate::checklist) value: String,
    pub(in crate::checklist) ends: String,
    pub(in crate::checklist) threshold: String,
}

impl Words {
    /// In the words of the metric's unit. Moments are given as the distance that the condition speaks of.
    pub fn of(family: &Family, condition: &Condition, value: f64) -> Self {
        let [future, past] = condition.ends(&humanize_duration(value.abs()));
        Self {
            value: if family.states.is_empty() { text_value(family, value) } else { String::new() },
            ends: if value < 0.0 { past } else { future },
            threshold: condition.threshold(family),
        }
    }

    /// The clause that stands behind the name of a subject with which all is well: what was seen, and what would be bad.
    pub fn of_good(&self, family: &Family, condition: &Condition, state: &str) -> String {
        let Self { value, ends, threshold } = self;
        match condition {
            Condition::IsFalse => "as it should be".to_owned(),
            Condition::ExpiresWithin(_) => format!("it {ends}"),
            Condition::OlderThan(_) if value.starts_with('-') => "just now".to_owned(),
            Condition::OlderThan(_) => format!("{value} ago, which is within {threshold}"),
            Condition::Equals(Bound::Name(_) | Bound::States(_)) => family
                .sayings
                .iter()
                .find(|(own, _)| *own == state)
                .map_or_else(|| format!("{}, not {}", state.replace('_', " "), threshold.replace('_', " ")), |(_, saying)| (*saying).to_owned()),
            Condition::Above(Bound::Number(_)) => format!("{value}, not above {threshold}"),
            Condition::Below(Bound::Number(_)) => format!("{value}, not below {threshold}"),
            Condition::Equals(Bound::Number(_)) => format!("{value}, not {threshold}"),
            Condition::Above(Bound::Name(_) | Bound::States(_)) | Condition::Below(Bound::Name(_) | Bound::States(_)) => format!("{value}, within its limit"),
            Condition::Differs(_) => format!("{value}, as it must be"),
            Condition::Promql(_) => value.clone(),
        }
    }

    /// What is said of all subjects at once: the bound alone.
    pub(in crate::checklist) fn of_all(threshold: String) -> Self {
        Self { value: String::new(), ends: String::new(), threshold }
    }
}

impl Condition {
    /// When something ends, while that is to come and once it has passed.
    pub fn ends(&self, span: &str) -> [String; 2] {
        if matches!(self, Self::ExpiresWithin(Horizon::Event { .. })) {
            [format!("expires {span} after the event's end"), format!("expires {span} before the event's end")]
        } else {
            [format!("expires in {span}"), format!("expired {span} ago")]
        }
    }

    /// The bound of a condition in the words of its unit.
    pub fn threshold(&self, family: &Family) -> String {
        match self {
            Self::Above(Bound::Number(n)) | Self::Below(Bound::Number(n)) | Self::Equals(Bound::Number(n)) | Self::Differs(Bound::Number(n)) => {
                match family.unit {
                    Unit::Seconds => Duration::try_from_secs_f64(*n).map_or_else(|_| text_value(family, *n), |span| Span(span).to_string()),
                    Unit::Number | Unit::Flag | Unit::Mark | Unit::Ratio | Unit::Share | Unit::Timestamp | Unit::Bytes => text_value(family, *n),
                }
            }
            Self::Above(Bound::Name(name)) | Self::Below(Bound::Name(name)) | Self::Equals(Bound::Name(name)) | Self::Differs(Bound::Name(name)) => {
                name.clone()
            }
            Self::ExpiresWithin(Horizon::Now(span) | Horizon::Event { after_event_end: span }) | Self::OlderThan(span) => span.to_string(),
            Self::Equals(Bound::States(states)) => states.join(" or "),
            Self::Above(Bound::States(_)) | Self::Below(Bound::States(_)) | Self::Differs(Bound::States(_)) | Self::IsFalse | Self::Promql(_) => String::new(),
        }
    }
}

/// A value in the words of its unit; moments are given as a distance by the caller.
fn text_value(family: &Family, value: f64) -> String {
    match family.unit {
        Unit::Ratio | Unit::Share => humanize_percentage(value),
        Unit::Seconds | Unit::Timestamp => humanize_duration(value),
        Unit::Bytes => format!("{}B", humanize_1024(value)),
        Unit::Number | Unit::Flag | Unit::Mark => format!("{value}"),
    }
}

/// Like Prometheus' `humanizePercentage`: four significant digits.
fn humanize_percentage(ratio: f64) -> String {
    format!("{}%", significant(ratio * 100.0, 4))
}

/// Like Prometheus' `humanizeDuration`: days, hours, minutes and seconds; below a second, SI prefixes.
pub fn humanize_duration(seconds: f64) -> String {
    if seconds.is_nan() || seconds.is_infinite() {
        return if seconds.is_nan() { "NaN".into() } else { format!("{}Inf", if seconds > 0.0 { '+' } else { '-' }) };
    }
    let (sign, magnitude) = if seconds < 0.0 { ("-", -seconds) } else { ("", seconds) };
    if magnitude == 0.0 {
        return "0s".to_owned();
    }
    if magnitude < 1.0 {
        let mut value = magnitude;
        for prefix in ["m", "u", "n", "p", "f", "a", "z", "y"] {
            value *= 1000.0;
            if value >= 1.0 {
                return format!("{sign}{}{prefix}s", significant(value, 4));
            }
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "durations of more than 10^18 s do not occur")]
    let whole = magnitude as i64;
    let (days, hours, minutes, rest) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    if days > 0 {
        format!("{sign}{days}d {hours}h {minutes}m {rest}s")
    } else if hours > 0 {
        format!("{sign}{hours}h {minutes}m {rest}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m {rest}s")
    } else {
        format!("{sign}{}s", significant(magnitude, 4))
    }
}

fn humanize_1024(value: f64) -> String {
    let mut value = value;
    let mut prefix = "";
    for next in ["Ki", "Mi", "Gi", "Ti", "Pi"] {
        if value.abs() < 1024.0 {
            break;
        }
        prefix = next;
        value /= 1024.0;
    }
    format!("{}{prefix}", significant(value, 4))
}

/// Go's `%.4g` for the range that these functions are given.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both are small and clamped")]
    let decimals = (digits as f64 - 1.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Gauge, StateSet, gauge, state_set, states};

    static MADE: Gauge<0> = gauge("t_timestamp_seconds", Unit::Timestamp, &[], "T.");
    static USED: Gauge<0> = gauge("t_ratio", Unit::Ratio, &[], "T.");
    static END: StateSet<End, 0> = state_set("t_state", &[], "T.");

    states! {
        /// Whether it ends.
        enum End {
            At => "at": "it is known when it expires",
            NotYet => "not_yet",
            TooLate => "too_late",
        }
    }

    #[test]
    fn what_is_good_is_told_in_a_clause() {
        let good = |family: &Family, condition: Condition, value: f64| Words::of(family, &condition, value).of_good(family, &condition, "");
        let state = |state: &str| {
            let condition = Condition::Equals(Bound::Name("too_late".to_owned()));
            Words::of(&END.0, &condition, 0.0).of_good(&END.0, &condition, state)
        };
        assert_eq!(good(&MADE.0, Condition::OlderThan(Span::days(90)), 360.0), "6m 0s ago, which is within 90d");
        assert_eq!(good(&MADE.0, Condition::OlderThan(Span::days(90)), -5.0), "just now");
        assert_eq!(good(&MADE.0, Condition::ExpiresWithin(Horizon::Now(Span::days(7))), 864_000.0), "it expires in 10d 0h 0m 0s");
        assert_eq!(good(&USED.0, Condition::Above(Bound::Number(0.6)), 0.25), "25%, not above 60%");
        assert_eq!(good(&USED.0, Condition::Below(Bound::Number(0.1)), 0.25), "25%, not below 10%");
        assert_eq!(good(&USED.0, Condition::Above(Bound::Name("readiness_t".to_owned())), 0.25), "25%, within its limit");
        assert_eq!((state("at"), state("not_yet")), ("it is known when it expires".to_owned(), "not yet, not too late".to_owned()));
    }

    #[test]
    fn durations_are_written_as_prometheus_writes_them() {
        for (seconds, text) in
            [(0.0, "0s"), (59.5, "59.5s"), (60.0, "1m 0s"), (899.0, "14m 59s"), (86_400.0, "1d 0h 0m 0s"), (-90.0, "-1m 30s"), (0.25, "250ms")]
        {
            assert_eq!(humanize_duration(seconds), text);
        }
    }

    #[test]
    fn percentages_have_four_digits() {
        for (ratio, text) in [(0.6, "60%"), (0.123_456, "12.35%"), (1.0, "100%"), (0.0, "0%")] {
            assert_eq!(humanize_percentage(ratio), text);
        }
    }
}
