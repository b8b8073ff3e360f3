//! Evidence templates: one sentence that becomes the status page's line and the alert's summary.
//!
//! Values are written the way Prometheus' own template functions write them, so that the page and
//! the page in Slack say the same words.
//! Source: <https://prometheus.io/docs/prometheus/latest/configuration/template_reference/>

use std::fmt::Write as _;

use super::model::Condition;
use crate::metric::{Family, Unit};
use crate::say;

/// A sentence with `{label}`, `{value}` and `{threshold}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Label(String),
    Value,
    Threshold,
}

impl Template {
    /// Parses a sentence; an unclosed brace is an error.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}').ok_or_else(|| format!("has an unclosed brace (got {text:?})"))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(match name {
                "value" => Part::Value,
                "threshold" => Part::Threshold,
                label => Part::Label(label.to_owned()),
            });
            rest = tail;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { parts })
    }

    /// The labels it speaks of.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Label(label) => Some(label.as_str()),
            _ => None,
        })
    }

    /// The sentence with `value` and `threshold` written out.
    pub fn render<'a>(&self, label: impl Fn(&str) -> &'a str, value: &str, threshold: &str) -> String {
        self.parts.iter().fold(String::new(), |mut out, part| {
            match part {
                Part::Text(text) => out.push_str(text),
                // Objects and servers choose many of them, and none may begin a line of a report.
                Part::Label(name) => out.push_str(&say::plain(label(name))),
                Part::Value => out.push_str(value),
                Part::Threshold => out.push_str(threshold),
            }
            out
        })
    }

    /// The sentence as a Prometheus alert template.
    pub fn prometheus(&self, family: Option<&Family>, threshold: &str) -> String {
        let value = match family.map(|family| family.unit) {
            Some(Unit::Ratio) => "{{ $value | humanizePercentage }}",
            Some(Unit::Seconds | Unit::Timestamp) => "{{ $value | humanizeDuration }}",
            Some(Unit::Bytes) => "{{ $value | humanize1024 }}B",
            Some(Unit::Number) | None => "{{ $value }}",
        };
        self.parts.iter().fold(String::new(), |mut out, part| {
            let _ = match part {
                Part::Text(text) => write!(out, "{text}"),
                Part::Label(name) => write!(out, "{{{{ $labels.{name} }}}}"),
                Part::Value => write!(out, "{value}"),
                Part::Threshold => write!(out, "{threshold}"),
            };
            out
        })
    }
}

/// A value in the words of its unit; moments are given as a distance by the caller.
pub fn text_value(family: &Family, value: f64) -> String {
    match family.unit {
        Unit::Ratio => humanize_percentage(value),
        Unit::Seconds | Unit::Timestamp => humanize_duration(value),
        Unit::Bytes => format!("{}B", humanize_1024(value)),
        Unit::Number => format!("{value}"),
    }
}

/// The bound of a condition in the words of its unit.
pub fn threshold(family: &Family, condition: &Condition) -> String {
    use super::model::{Bound, Horizon};
    match condition {
        Condition::Above(Bound::Number(n))
        | Condition::Below(Bound::Number(n))
        | Condition::Equals(Bound::Number(n))
        | Condition::Differs(Bound::Number(n)) => text_value(family, *n),
        Condition::Above(Bound::Name(name))
        | Condition::Below(Bound::Name(name))
        | Condition::Equals(Bound::Name(name))
        | Condition::Differs(Bound::Name(name)) => name.clone(),
        Condition::ExpiresWithin(Horizon::Now(span) | Horizon::Event { after_event_end: span }) | Condition::OlderThan(span) => span.to_string(),
        Condition::Equals(Bound::States(states)) => states.join(" or "),
        Condition::Above(Bound::States(_))
        | Condition::Below(Bound::States(_))
        | Condition::Differs(Bound::States(_))
        | Condition::IsFalse
        | Condition::Promql(_) => String::new(),
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

    static FAMILY: crate::metric::Gauge<2> = crate::metric::gauge("t_ratio", Unit::Ratio, &["cluster", "node"], "T.");

    #[test]
    fn a_template_speaks_two_languages() {
        let template = Template::parse("{node} in {cluster} uses {value} of its disk, more than {threshold}.").unwrap();
        let label = |name: &str| if name == "node" { "n1" } else { "eu" };
        assert_eq!(template.render(label, "71%", "60%"), "n1 in eu uses 71% of its disk, more than 60%.");
        assert_eq!(
            template.prometheus(Some(&FAMILY.0), "60%"),
            "{{ $labels.node }} in {{ $labels.cluster }} uses {{ $value | humanizePercentage }} of its disk, more than 60%."
        );
        assert!(Template::parse("{node").is_err());
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
