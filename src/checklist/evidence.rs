//! Evidence templates: one sentence that becomes the status page's line and the alert's summary.

use std::fmt::Write as _;

use super::condition::{Condition, Words};
use crate::metric::{Family, Unit};
use crate::say;

/// A sentence with `{label}`, `{value}`, `{ends}` and `{threshold}` in it, and with `{container|containers}`, of which the
/// first is said where the value is 1. `{ends}` is for what must last: `expires in
/// 3d`, or `expired 2h ago` when it is too late, since a span below zero is read by nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// What is said of one thing, and of any other number of them.
    Number(String, String),
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
                label => match label.split_once('|') {
                    Some((one, several)) => Part::Number(one.to_owned(), several.to_owned()),
                    None => Part::Label(label.to_owned()),
                },
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
        let bound = asked.map_or_else(String::new, |(family, condition)| condition.threshold(family));
        self.render(|_| "", &Words::of_all(bound))
    }

    /// Whether it can be said of a metric and a condition; the rule that is broken if not.
    pub fn fits(&self, family: &Family, condition: &Condition) -> Result<(), &'static str> {
        if !family.states.is_empty() && self.parts.contains(&Part::Value) {
            return Err("must use {state} instead of {value}, since this metric is one of several states");
        }
        if family.unit != Unit::Number && self.parts.iter().any(|part| matches!(part, Part::Number(..))) {
            return Err("must use {one|several} only with a metric that counts");
        }
        let expires = matches!(condition, Condition::ExpiresWithin(_));
        if expires && self.parts.contains(&Part::Value) {
            return Err("must use {ends} instead of {value}, which is below zero once something has expired");
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

    /// The label behind a space between two labels, of which the second may be empty: what is one of its kind has no name
    /// beside that of its kind.
    fn gap(&self, index: usize) -> Option<&str> {
        let before = self.parts.get(index.checked_sub(1)?)?;
        match (before, self.parts.get(index)?, self.parts.get(index + 1)?) {
            (Part::Label(_), Part::Text(text), Part::Label(next)) if text == " " => Some(next),
            _ => None,
        }
    }

    /// The sentence with everything written out.
    pub fn render<'a>(&self, label: impl Fn(&str) -> &'a str, words: &Words) -> String {
        self.parts.iter().enumerate().fold(String::new(), |mut out, (index, part)| {
            match part {
                Part::Text(_) if self.gap(index).is_some_and(|next| label(next).is_empty()) => {}
                Part::Text(text) => out.push_str(text),
                // Objects and servers choose many of them, and none may begin a line of a report.
                Part::Label(name) => out.push_str(&say::plain(label(name))),
                Part::Value => out.push_str(&words.value),
                Part::Ends => out.push_str(&words.ends),
                Part::Threshold => out.push_str(&words.threshold),
                Part::Number(one, several) => out.push_str(if words.value == "1" { one } else { several }),
            }
            out
        })
    }

    /// The sentence as a Prometheus alert template, about a metric unless the rule is an expression.
    pub fn prometheus(&self, asked: Option<(&Family, &Condition)>) -> String {
        let bound = asked.map_or_else(String::new, |(family, condition)| condition.threshold(family));
        let ends = asked.map_or_else(String::new, |(_, condition)| {
            let [future, _] = condition.ends("{{ $value | humanizeDuration }}");
            let [_, past] = condition.ends("{{ $value | humanizeDuration | reReplaceAll \"^-\" \"\" }}");
            format!("{{{{ if ge $value 0.0 }}}}{future}{{{{ else }}}}{past}{{{{ end }}}}")
        });
        let value = match asked.map(|(family, _)| family.unit) {
            Some(Unit::Ratio | Unit::Share) => "{{ $value | humanizePercentage }}",
            Some(Unit::Seconds | Unit::Timestamp) => "{{ $value | humanizeDuration }}",
            Some(Unit::Bytes) => "{{ $value | humanize1024 }}B",
            Some(Unit::Number | Unit::Flag | Unit::Mark) | None => "{{ $value }}",
        };
        self.parts.iter().enumerate().fold(String::new(), |mut out, (index, part)| {
            let _ = match part {
                Part::Text(text) if let Some(next) = self.gap(index) => write!(out, "{{{{ if $labels.{next} }}}}{text}{{{{ end }}}}"),
                Part::Text(text) => write!(out, "{text}"),
                Part::Label(name) => write!(out, "{{{{ $labels.{name} }}}}"),
                Part::Value => write!(out, "{value}"),
                Part::Ends => write!(out, "{ends}"),
                Part::Threshold => write!(out, "{bound}"),
                Part::Number(one, several) => write!(out, "{{{{ if eq $value 1.0 }}}}{one}{{{{ else }}}}{several}{{{{ end }}}}"),
            };
            out
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::condition::{Bound, Horizon};
    use super::*;
    use crate::value::Span;

    static EXPIRY: crate::metric::Gauge<1> = crate::metric::gauge("t_timestamp_seconds", Unit::Timestamp, &["name"], "T.");
    crate::metric::states! {
        /// How a thing is.
        enum Is {
            Here => "here",
            Gone => "gone",
        }
    }
    static STATE: crate::metric::StateSet<Is, 1> = crate::metric::state_set("t_state", &["name"], "T.");
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

    static COUNT: crate::metric::Gauge<1> = crate::metric::gauge("t_pods", Unit::Number, &["node"], "T.");

    #[test]
    fn what_is_counted_is_said_of_one_and_of_several() {
        let template = Template::parse("{value} {pod|pods} of {node} {is|are} bad.").unwrap();
        let condition = Condition::Above(Bound::Number(0.0));
        let said = |value: f64| template.render(|_| "n1", &Words::of(&COUNT.0, &condition, value));
        assert_eq!([said(1.0), said(0.0), said(21.0)], ["1 pod of n1 is bad.", "0 pods of n1 are bad.", "21 pods of n1 are bad."]);
        let rule = template.prometheus(Some((&COUNT.0, &condition)));
        let expected =
            "{{ $value }} {{ if eq $value 1.0 }}pod{{ else }}pods{{ end }} of {{ $labels.node }} {{ if eq $value 1.0 }}is{{ else }}are{{ end }} bad.";
        assert_eq!(rule, expected);
        assert!(template.fits(&COUNT.0, &condition).is_ok() && template.fits(&FAMILY.0, &condition).is_err());
    }

    #[test]
    fn a_label_that_is_empty_leaves_no_second_space() {
        let template = Template::parse("What {rotation} {subject} renews, {rotation}.").unwrap();
        let said =
            |subject: &'static str| template.render(|name| if name == "subject" { subject } else { "keys" }, &Words::of(&FAMILY.0, &Condition::IsFalse, 1.0));
        assert_eq!((said("us/a").as_str(), said("").as_str()), ("What keys us/a renews, keys.", "What keys renews, keys."));
        let rule = "What {{ $labels.rotation }}{{ if $labels.subject }} {{ end }}{{ $labels.subject }} renews, {{ $labels.rotation }}.";
        assert_eq!(template.prometheus(None), rule);
    }

    #[test]
    fn what_has_ended_is_told_as_past_in_both_languages() {
        let template = Template::parse("Key {name} {ends}; needed: {threshold}.").unwrap();
        let (soon, event) =
            (Condition::ExpiresWithin(Horizon::Now(Span::days(7))), Condition::ExpiresWithin(Horizon::Event { after_event_end: Span::days(1) }));
        let said = |condition: &Condition, value: f64| template.render(|_| "k", &Words::of(&EXPIRY.0, condition, value));
        assert_eq!(said(&soon, 90.0), "Key k expires in 1m 30s; needed: 7d.");
        assert_eq!(said(&soon, -3600.0), "Key k expired 1h 0m 0s ago; needed: 7d.");
        assert_eq!(said(&event, 90.0), "Key k expires 1m 30s after the event's end; needed: 1d.");
        assert_eq!(said(&event, -3600.0), "Key k expires 1h 0m 0s before the event's end; needed: 1d.");
        assert_eq!(
            template.prometheus(Some((&EXPIRY.0, &soon))),
            "Key {{ $labels.name }} {{ if ge $value 0.0 }}expires in {{ $value | humanizeDuration }}{{ else }}expired {{ $value | humanizeDuration | reReplaceAll \"^-\" \"\" }} ago{{ end }}; needed: 7d."
        );
        assert!(template.fits(&EXPIRY.0, &Condition::IsFalse).is_err());
        assert!(Template::parse("{value} left").unwrap().fits(&EXPIRY.0, &soon).is_err());
        assert!(Template::parse("{name} is {value}.").unwrap().fits(&STATE.0, &Condition::Equals(Bound::Name("gone".to_owned()))).is_err());
    }
}
