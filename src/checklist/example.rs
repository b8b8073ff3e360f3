//! Examples: facts and the verdict that they must get.
//!
//! They test the judge here and, as promtool unit tests, the generated rules; the two can only
//! disagree where no example looks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use super::model::{Check, Kind};
use super::severity::Severity;
use crate::collectors;
use crate::event::Occurrence;
use crate::event::default_lead_times;
use crate::labels::Labels;
use crate::metric::{Family, Unit};
use crate::snapshot::{Observation, Snapshot, Source, Store, Subjects};
use crate::value::Span;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExample {
    #[serde(default)]
    facts: Vec<BTreeMap<String, Scalar>>,
    event: Option<RawEvent>,
    expect: Outcome,
    severity: Option<Severity>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(f64),
    Text(String),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvent {
    start_in: Option<Span>,
    end_in: Span,
    participants: Option<u32>,
}

/// The verdict that an example must get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Green.
    Pass,
    /// Red.
    Fail,
    /// Red, and shown as a warning, because it does not block yet.
    Warn,
    /// Not seen.
    Unknown,
    /// The guard does not hold.
    NotApplicable,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::NotApplicable => "not_applicable",
        })
    }
}

/// Facts at one moment and their verdict.
#[derive(Debug, Clone)]
pub struct Example {
    /// The facts.
    pub given: Vec<Given>,
    /// The event, with times relative to the moment of judgement.
    pub event: Option<ExampleEvent>,
    /// The verdict.
    pub expect: Outcome,
    /// The severity of the red line, where bands exist.
    pub severity: Option<Severity>,
}

/// An event relative to the moment of judgement.
#[derive(Debug, Clone, Copy)]
pub struct ExampleEvent {
    /// Seconds until it starts; 0 or less means that it runs.
    pub start_in: f64,
    /// Seconds until it ends.
    pub end_in: f64,
    /// Expected participants.
    pub participants: Option<u32>,
}

/// One fact.
#[derive(Debug, Clone)]
pub struct Given {
    /// The metric.
    pub family: &'static Family,
    /// Label values in the family's order, without `state`.
    pub labels: Vec<String>,
    /// The state, for a state set.
    pub state: Option<String>,
    /// The value; for a moment, seconds from the moment of judgement.
    pub value: f64,
}

impl Example {
    pub(super) fn read(raw: RawExample, check: &Check) -> Result<Self, String> {
        let Kind::Fact { family, condition, .. } = &check.kind else {
            return Err("must not be given for a check that is not judged on a metric".to_owned());
        };
        let mut given: Vec<Given> = raw.facts.into_iter().map(|fact| Given::read(fact, family, check)).collect::<Result<_, _>>()?;
        if let Some(other) = condition.other()
            && !given.is_empty()
            && !given.iter().any(|fact| fact.family.name == other)
        {
            return Err(format!("must give a value of {other}, too"));
        }
        given.sort_by_key(|fact| fact.family.name);
        let event = raw.event.map(|event| ExampleEvent {
            // Without a start it has been running for an hour.
            start_in: event.start_in.map_or(-3600.0, Span::as_secs_f64),
            end_in: event.end_in.as_secs_f64(),
            participants: event.participants,
        });
        Ok(Self { given, event, expect: raw.expect, severity: raw.severity })
    }

    /// The occurrence at `now`.
    pub fn occurrence(&self, checklist: &str, now: Timestamp) -> Option<Occurrence> {
        self.event.map(|event| Occurrence {
            name: self.event_name().to_owned(),
            of: self.event_name().to_owned(),
            checklists: vec![checklist.to_owned()],
            start: after(now, event.start_in),
            zone: jiff::tz::TimeZone::UTC,
            end: after(now, event.end_in),
            participants: event.participants,
            lead_times: default_lead_times(),
            turn: None,
        })
    }

    /// The name of the event: the one that the facts speak of.
    pub fn event_name(&self) -> &str {
        let named = self.given.iter().find_map(|fact| Some(fact.labels[fact.family.labels.iter().position(|label| *label == "event")?].as_str()));
        named.unwrap_or("example")
    }
}

fn after(now: Timestamp, seconds: f64) -> Timestamp {
    now.checked_add(jiff::SignedDuration::from_secs_f64(seconds)).unwrap_or(now)
}

impl Given {
    fn read(mut fact: BTreeMap<String, Scalar>, family: &'static Family, check: &Check) -> Result<Self, String> {
        let family = match fact.remove("metric") {
            Some(Scalar::Text(name)) => collectors::family(&name)?,
            Some(Scalar::Number(_)) => return Err("must name a metric in metric".to_owned()),
            None => family,
        };
        let state = match (fact.remove("state"), family.states.is_empty()) {
            (Some(Scalar::Text(state)), false) if family.states.contains(&state.as_str()) => Some(state),
            (None, true) => None,
            _ => return Err(format!("must give a state of {} exactly if it is a state set", family.name)),
        };
        let value = match fact.remove("value") {
            Some(Scalar::Number(value)) => value,
            Some(Scalar::Text(text)) if family.unit == Unit::Timestamp => relative(&text)?,
            None if state.is_some() => 1.0,
            _ => return Err("must give a value: a number, or now+7d for a moment".to_owned()),
        };
        let labels = family
            .labels
            .iter()
            .map(|label| match fact.remove(*label) {
                Some(Scalar::Text(text)) => text,
                Some(Scalar::Number(number)) => number.to_string(),
                None => check.filter.get(*label).cloned().unwrap_or_else(|| format!("some-{label}")),
            })
            .collect();
        match fact.into_keys().next() {
            Some(stray) => Err(format!("must use labels of {} ({}) (got {stray:?})", family.name, family.labels.join(", "))),
            None => Ok(Self { family, labels, state, value }),
        }
    }

    /// This fact at `now`.
    fn sample(&self, now: Timestamp) -> crate::metric::Sample {
        let value = match &self.state {
            Some(current) => self.family.states.iter().position(|state| state == current).map_or(f64::NAN, |at| at as f64),
            None if self.family.unit == Unit::Timestamp => self.value + now.as_second() as f64,
            None => self.value,
        };
        crate::metric::Sample { family: self.family, labels: self.labels.iter().map(|label| label.as_str().into()).collect(), value, detail: None }
    }
}

/// `now+7d` or `now-2h` in seconds.
fn relative(text: &str) -> Result<f64, String> {
    let wrong = || format!("must be a moment such as now+7d or now-2h (got {text:?})");
    let rest = text.strip_prefix("now").ok_or_else(wrong)?;
    let (sign, span) = match rest.as_bytes().first() {
        None => return Ok(0.0),
        Some(b'+') => (1.0, &rest[1..]),
        Some(b'-') => (-1.0, &rest[1..]),
        Some(_) => return Err(wrong()),
    };
    Ok(sign * span.parse::<Span>()?.as_secs_f64())
}

/// The facts of an example as a snapshot of one source per collector, for the judge.
pub fn scene(given: &[Given], family: &'static Family, now: Timestamp) -> Snapshot {
    let store = Store::default();
    let samples: Vec<_> = given.iter().map(|fact| fact.sample(now)).collect();
    let source = Source {
        collector: collectors::owner(family.name),
        name: "example".to_owned(),
        identity: Labels::default(),
        covers: Vec::new(),
        subjects: Subjects::Whole,
        emits: vec![family.name],
        off: Arc::default(),
        reads: &[],
        selectors: Vec::new(),
        interval: std::time::Duration::from_mins(1),
        keep: std::time::Duration::from_mins(3),
    };
    let collector = source.collector;
    store.add(source);
    store.report(collector, "example", std::time::Duration::ZERO, Ok(Observation::new(samples, given.len(), 0)));
    store.snapshot()
}
