//! Evidence templates: one sentence that becomes the status page's line and the alert's summary.
//!
//! Values are written the way Prometheus' own template functions write them, so that the page and
//! the page in Slack say the same words.
//! Source: <https://prometheus.io/docs/prometheus/latest/configuration/template_reference/>

use std::fmt::Write as _;
use std::time::Duration;

use super::model::{Bound, Condition, Horizon};
use crate::metric::{Family, Unit};
use crate::say;
use crate::value::Span;

/// A sentence with `{label}`, `{value}`, `{ends}` and `{threshold}` in it. `{ends}` is for what must last: `ends in
/// 3d`, or `ended 2h ago` when it is too late, since a span below zero is read by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Label(String),
    Value,
    Ends,
    Threshold,
}

/// What a sentence says of one subject.
#[derive(Debug)]
pub struct Words {
    value: String,
    ends: String,
    threshold: String,
}

impl Words {
    /// In the words of the metric's unit. Moments are given as the distance that the condition speaks of.
    pub fn of(family: &Family, condition: &Condition, value: f64) -> Self {
        let [future, past] = ends(condition, &humanize_duration(value.abs()));
        Self {
            value: if family.states.is_empty() { text_value(family, value) } else { String::new() },
            ends: if value < 0.0 { past } else { future },
            threshold: threshold(family, condition),
        }
    }

    /// The value as it stands behind the name of a subject with which all is well.
    pub fn of_good<'a>(&'a self, condition: &Condition, state: &'a str) -> &'a str {
        match condition {
            Condition::IsFalse => "good",
            Condition::ExpiresWithin(_) => &self.ends,
            _ if self.value.is_empty() => state,
            _ => &self.value,
        }
    }
}

/// When something ends, while that is to come and once it has passed.
fn ends(condition: &Condition, span: &str) -> [String; 2] {
    if matches!(condition, Condition::ExpiresWithin(Horizon::Event { .. })) {
        [format!("ends {span} after the event's end"), format!("ends {span} before the event's end")]
    } else {
        [format!("ends in {span}"), format!("ended {span} ago")]
    }
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
                "ends" => Part::Ends,
                "threshold" => Part::Threshold,
                label => Part::Label(label.to_owned()),
            });
            rest = tail;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { parts })
    }

    /// Whether it names neither label nor value, so that it can be said of all subjects at once.
    pub fn speaks_of_all(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_) | Part::Threshold))
    }

    /// Whether it tells the bound.
    pub fn has_threshold(&self) -> bool {
        self.parts.contains(&Part::Threshold)
    }

    /// The sentence where it is said of all subjects at once, about a metric unless nothing is measured.
    pub fn of_all(&self, asked: Option<(&Family, &Condition)>) -> String {
        let bound = asked.map_or_else(String::new, |(family, condition)| threshold(family, condition));
        let words = Words { value: String::new(), ends: String::new(), threshold: bound };
        self.render(|_| "", &words)
    }

    /// Whether it can be asked of a condition; the rule that is broken if not.
    pub fn fits(&self, condition: &Condition) -> Result<(), &'static str> {
        let expires = matches!(condition, Condition::ExpiresWithin(_));
        if expires && self.parts.contains(&Part::Value) {
            return Err("must use {ends} instead of {value}, which is below zero once something has ended");
        }
        if !expires && self.parts.contains(&Part::Ends) {
            return Err("must use {ends} only with expires_within");
        }
        Ok(())
    }

    /// The labels it speaks of.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Label(label) => Some(label.as_str()),
            _ => None,
        })
    }

    /// The sentence with everything written out.
    pub fn render<'a>(&self, label: impl Fn(&str) -> &'a str, words: &Words) -> String {
        self.parts.iter().fold(String::new(), |mut out, part| {
            match part {
                Part::Text(text) => out.push_str(text),
                // Objects and servers choose many of them, and none may begin a line of a report.
                Part::Label(name) => out.push_str(&say::plain(label(name))),
                Part::Value => out.push_str(&words.value),
                Part::Ends => out.push_str(&words.ends),
                Part::Threshold => out.push_str(&words.threshold),
            }
            out
        })
    }

    /// The sentence as a Prometheus alert template, about a metric unless the rule is an expression.
    pub fn prometheus(&self, asked: Option<(&Family, &Condition)>) -> String {
        let bound = asked.map_or_else(String::new, |(family, condition)| threshold(family, condition));
        let ends = asked.map_or_else(String::new, |(_, condition)| {
            let [future, _] = ends(condition, "{{ $value | humanizeDuration }}");
            let [_, past] = ends(condition, "{{ $value | humanizeDuration | reReplaceAll \"^-\" \"\" }}");
            format!("{{{{ if ge $value 0.0 }}}}{future}{{{{ else }}}}{past}{{{{ end }}}}")
        });
        let value = match asked.map(|(family, _)| family.unit) {
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
                Part::Ends => write!(out, "{ends}"),
                Part::Threshold => write!(out, "{bound}"),
            };
            out
        })
    }
}

/// A value in the words of its unit; moments are given as a distance by the caller.
fn text_value(family: &Family, value: f64) -> String {
    match family.unit {
        Unit::Ratio => humanize_percentage(value),
        Unit::Seconds | Unit::Timestamp => humanize_duration(value),
        Unit::Bytes => format!("{}B", humanize_1024(value)),
        Unit::Number => format!("{value}"),
    }
}

/// The bound of a condition in the words of its unit.
fn threshold(family: &Family, condition: &Condition) -> String {
    match condition {
        Condition::Above(Bound::Number(n))
        | Condition::Below(Bound::Number(n))
        | Condition::Equals(Bound::Number(n))
        | Condition::Differs(Bound::Number(n)) => match family.unit {
            Unit::Seconds => Duration::try_from_secs_f64(*n).map_or_else(|_| text_value(family, *n), |span| Span(span).to_string()),
            Unit::Number | Unit::Ratio | Unit::Timestamp | Unit::Bytes => text_value(family, *n),
        },
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

    static EXPIRY: crate::metric::Gauge<1> = crate::metric::gauge("t_timestamp_seconds", Unit::Timestamp, &["name"], "T.");
    static FAMILY: crate::metric::Gauge<2> = crate::metric::gauge("t_ratio", Unit::Ratio, &["cluster", "node"], "T.");

    #[test]
    fn a_template_speaks_two_languages() {
        let template = Template::parse("{node} in {cluster} uses {value} of its disk, more than {threshold}.").unwrap();
        let label = |name: &str| if name == "node" { "n1" } else { "eu" };
        let condition = Condition::Above(Bound::Number(0.6));
        assert_eq!(template.render(label, &Words::of(&FAMILY.0, &condition, 0.71)), "n1 in eu uses 71% of its disk, more than 60%.");
        assert_eq!(
            template.prometheus(Some((&FAMILY.0, &condition))),
            "{{ $labels.node }} in {{ $labels.cluster }} uses {{ $value | humanizePercentage }} of its disk, more than 60%."
        );
        assert!(Template::parse("{node").is_err());
    }

    #[test]
    fn what_has_ended_is_told_as_past_in_both_languages() {
        let template = Template::parse("Key {name} {ends}; needed: {threshold}.").unwrap();
        let (soon, event) =
            (Condition::ExpiresWithin(Horizon::Now(Span::days(7))), Condition::ExpiresWithin(Horizon::Event { after_event_end: Span::days(1) }));
        let said = |condition: &Condition, value: f64| template.render(|_| "k", &Words::of(&EXPIRY.0, condition, value));
        assert_eq!(said(&soon, 90.0), "Key k ends in 1m 30s; needed: 7d.");
        assert_eq!(said(&soon, -3600.0), "Key k ended 1h 0m 0s ago; needed: 7d.");
        assert_eq!(said(&event, 90.0), "Key k ends 1m 30s after the event's end; needed: 1d.");
        assert_eq!(said(&event, -3600.0), "Key k ends 1h 0m 0s before the event's end; needed: 1d.");
        assert_eq!(
            template.prometheus(Some((&EXPIRY.0, &soon))),
            "Key {{ $labels.name }} {{ if ge $value 0.0 }}ends in {{ $value | humanizeDuration }}{{ else }}ended {{ $value | humanizeDuration | reReplaceAll \"^-\" \"\" }} ago{{ end }}; needed: 7d."
        );
        assert!(template.fits(&Condition::IsFalse).is_err());
        assert!(Template::parse("{value} left").unwrap().fits(&soon).is_err());
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
