//! Unit tests of the rules for promtool, from the examples of the checks.
//!
//! What must fire is taken from the built-in judge on the same facts, so promtool fails wherever
//! PromQL and the judge disagree. Tests that must stay silent name the alert and the time: an empty
//! list of alert tests would assert nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::published::Published;
use super::rules::{annotations, early_summary, labels, own_rules};
use crate::checklist::{Check, CheckState, Checklist, Condition, Context, Example, Given, Horizon, Kind, Words, judge_one, scene};
use crate::event::default_lead_times;
use crate::metric::Unit;
use crate::promql::quoted;
use crate::value::Span;

#[derive(Serialize)]
pub(super) struct File {
    rule_files: Vec<String>,
    evaluation_interval: Span,
    tests: Vec<Test>,
}

#[derive(Serialize)]
struct Test {
    name: String,
    interval: Span,
    input_series: Vec<Series>,
    #[serde(rename = "alert_rule_test")]
    alerts: Vec<AlertTest>,
}

#[derive(Serialize)]
struct Series {
    series: String,
    values: String,
}

#[derive(Serialize)]
struct AlertTest {
    eval_time: Span,
    alertname: String,
    exp_alerts: Vec<Alert>,
}

#[derive(Serialize)]
struct Alert {
    exp_labels: BTreeMap<String, String>,
    exp_annotations: BTreeMap<String, String>,
}

/// Tests of every rule in the file of a checklist; what earlier ones have is tested there.
pub(super) fn tests(checklist: &Checklist, earlier: &[Checklist], published: &Published) -> File {
    let nothing = Example { given: Vec::new(), event: None, expect: crate::checklist::Outcome::Unknown, severity: None };
    let mut tests = Vec::new();
    for check in checklist.checks().filter(|check| check.enabled && matches!(check.kind, Kind::Fact { .. })) {
        let own = own_rules(checklist, earlier, check, published);
        for (index, example) in check.examples.iter().chain([&nothing]).enumerate().filter(|_| !own.is_empty()) {
            let name = format!("{}: example {}, {:?}", check.name, index + 1, example.expect);
            let mut found = test(checklist, check, example, name, published);
            let is_own =
                |alert: &Alert| own.iter().any(|rule| ["severity", "stage"].iter().all(|label| rule.labels.get(*label) == alert.exp_labels.get(*label)));
            found.iter_mut().flat_map(|test| &mut test.alerts).for_each(|alert| alert.exp_alerts.retain(is_own));
            tests.extend(found);
        }
    }
    tests.push(revision_test(checklist));
    File { rule_files: vec![format!("../{}.rules.yaml", checklist.name)], evaluation_interval: Span::mins(1), tests }
}

fn test(checklist: &Checklist, check: &Check, example: &Example, name: String, published: &Published) -> Option<Test> {
    let Kind::Fact { family, condition, worsens, hold, when, evidence, .. } = &check.kind else { return None };
    // promtool's clock starts at the epoch; the moment of judgement is a little after `for`.
    let at = Span(hold.0 + Span::mins(5).0);
    let now = Timestamp::from_second(i64::try_from(at.0.as_secs()).ok()?).ok()?;
    let snapshot = scene(&example.given, family, now);
    let occurrence = example.occurrence(&checklist.name, now);
    let verdict = judge_one(check, &Context { event: occurrence.as_ref(), ..Context::new(&snapshot, now) });
    let alerts = verdict.lines.iter().filter(|line| matches!(line.state, CheckState::Fail | CheckState::Warn)).filter_map(|line| {
        let given = example.given.iter().find(|given| {
            given.family.name == family.name && family.labels.iter().zip(&given.labels).all(|(label, value)| line.labels.get(label) == Some(value))
        })?;
        let early = when.lead_time_within.filter(|_| line.state == CheckState::Warn);
        let band = worsens.iter().find(|band| early.is_none() && band.severity == line.severity).and_then(|band| condition.with_bound(band.at));
        let bound = band.unwrap_or_else(|| condition.clone());
        let label = |wanted: &str| match (wanted, &given.state) {
            ("state", Some(state)) => state.as_str(),
            _ => family.labels.iter().position(|label| *label == wanted).map_or("", |at| given.labels[at].as_str()),
        };
        let summary = evidence.render(label, &Words::of(family, &bound, value(given, condition, example)));
        let summary = early.map_or_else(|| summary.clone(), |lead| early_summary(&summary, check.required, lead));
        let mut exp_labels = labels(line.severity, &checklist.name);
        exp_labels.extend(line.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        exp_labels.extend(given.state.as_ref().map(|state| ("state".to_owned(), state.clone())));
        exp_labels.extend(early.map(|_| ("stage".to_owned(), "early".to_owned())));
        exp_labels.retain(|_, value| !value.is_empty());
        Some(Alert { exp_labels, exp_annotations: annotations(published, Some(&check.name), &check.runbook, &summary, &check.remedy) })
    });
    let exp_alerts = alerts.collect();
    Some(Test {
        name,
        interval: Span::mins(1),
        input_series: series(&checklist.name, example, at),
        alerts: vec![AlertTest { eval_time: at, alertname: check.name.clone(), exp_alerts }],
    })
}

/// What the rule's expression evaluates to.
fn value(given: &Given, condition: &Condition, example: &Example) -> f64 {
    match condition {
        Condition::ExpiresWithin(Horizon::Event { .. }) => given.value - example.event.map_or(0.0, |event| event.end_in),
        Condition::OlderThan(_) => -given.value,
        Condition::IsFalse
        | Condition::Above(_)
        | Condition::Below(_)
        | Condition::Equals(_)
        | Condition::Differs(_)
        | Condition::Promql(_)
        | Condition::ExpiresWithin(Horizon::Now(_)) => given.value,
    }
}

fn series(checklist: &str, example: &Example, at: Span) -> Vec<Series> {
    let minutes = at.0.as_secs() / 60 + 10;
    let constant = |value: f64| format!("{value}x{minutes}");
    let mut series = Vec::new();
    for given in &example.given {
        let moment = if given.family.unit == Unit::Timestamp { at.as_secs_f64() } else { 0.0 };
        let mut pairs: Vec<(&str, &str)> = given.family.labels.iter().copied().zip(given.labels.iter().map(String::as_str)).collect();
        match &given.state {
            None => series.push(Series { series: selector(given.family.name, &pairs), values: constant(given.value + moment) }),
            Some(current) => {
                for state in given.family.states {
                    pairs.push(("state", *state));
                    series.push(Series { series: selector(given.family.name, &pairs), values: constant(f64::from(u8::from(state == current))) });
                    pairs.pop();
                }
            }
        }
    }
    if let Some(event) = &example.event {
        let pairs = [("checklist", checklist), ("event", example.event_name())];
        for (name, offset) in [("readiness_event_start_timestamp_seconds", event.start_in), ("readiness_event_end_timestamp_seconds", event.end_in)] {
            series.push(Series { series: selector(name, &pairs), values: constant(at.as_secs_f64() + offset) });
        }
        for lead in default_lead_times() {
            let name = lead.to_string();
            let pairs = [pairs[0], pairs[1], ("lead", name.as_str())];
            let begins = at.as_secs_f64() + event.start_in - lead.as_secs_f64();
            series.push(Series { series: selector("readiness_event_lead_timestamp_seconds", &pairs), values: constant(begins) });
        }
        if let Some(participants) = event.participants {
            series.push(Series { series: selector("readiness_event_participants", &pairs), values: constant(f64::from(participants)) });
        }
    }
    series
}

/// A series with the labels of a scrape, which the rules must drop.
fn selector(name: &str, pairs: &[(&str, &str)]) -> String {
    let scrape = [("instance", "10.0.0.1:9840"), ("job", "readiness")];
    let pairs: Vec<String> = pairs.iter().chain(&scrape).map(|(label, value)| format!("{label}={}", quoted(value))).collect();
    format!("{name}{{{}}}", pairs.join(","))
}

fn revision_test(checklist: &Checklist) -> Test {
    let info = |revision: &str| Series {
        series: selector("readiness_checklist_info", &[("checklist", &checklist.name), ("revision", revision)]),
        values: "1x40".to_owned(),
    };
    Test {
        name: "ReadinessChecklistRevisionDiffers stays silent for its own revision".to_owned(),
        interval: Span::mins(1),
        input_series: vec![info(&checklist.revision)],
        alerts: vec![AlertTest { eval_time: Span::mins(30), alertname: "ReadinessChecklistRevisionDiffers".to_owned(), exp_alerts: Vec::new() }],
    }
}
