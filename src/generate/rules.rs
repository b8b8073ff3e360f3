//! From a check to a Prometheus alert rule.
//!
//! Rules are written on the facts, so that a stranger can read and tune them. Each aggregates by
//! the metric's own labels, which drops the labels of the scrape: a rollout of the exporter must
//! not restart `for`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::checklist::{Bound, Check, Checklist, Condition, Guard, Horizon, Kind, Severity};
use crate::config::Span;
use crate::metric::Family;

/// Facts vanish when their source cannot be seen; an alert must not end because of that.
const KEEP_FIRING: Span = Span::mins(5);

#[derive(Debug, Serialize)]
pub(super) struct File {
    pub(super) groups: Vec<Group>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Rule {
    pub(super) alert: String,
    pub(super) expr: String,
    #[serde(rename = "for")]
    pub(super) hold: Span,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) keep_firing_for: Option<Span>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// The custom resource of the Prometheus Operator that holds `groups`.
pub(super) fn prometheus_rule(name: &str, groups: &[Group]) -> impl Serialize {
    serde_json::json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": { "name": format!("readiness-{name}"), "labels": { "app.kubernetes.io/name": "readiness-exporter" } },
        "spec": { "groups": groups },
    })
}

/// One group per section that has rules, and one about the checklist itself.
pub(super) fn groups(checklist: &Checklist, runbook_url: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = checklist
        .sections
        .iter()
        .map(|section| Group {
            name: format!("{} / {}", checklist.name, section.title),
            rules: section.checks.iter().filter(|check| check.enabled).flat_map(|check| rules(checklist, check, runbook_url)).collect(),
        })
        .filter(|group| !group.rules.is_empty())
        .collect();
    let revision = Rule {
        alert: "ReadinessChecklistRevisionDiffers".to_owned(),
        expr: format!("max by (checklist, revision) (readiness_checklist_info{{checklist=\"{}\",revision!=\"{}\"}}) == 1", checklist.name, checklist.revision),
        hold: Span::mins(15),
        keep_firing_for: None,
        labels: labels(Severity::Warning, &checklist.name),
        annotations: annotations(
            runbook_url,
            "ReadinessChecklistRevisionDiffers",
            &format!(
                "The exporter judges {{{{ $labels.checklist }}}} by revision {{{{ $labels.revision }}}}; these rules are of revision {}.",
                checklist.revision
            ),
            "Generate the rules again from the checklist that the exporter uses, and apply them.",
        ),
    };
    groups.push(Group { name: format!("{} / about this checklist", checklist.name), rules: vec![revision] });
    groups
}

/// The rules of one check, one per band.
pub(super) fn rules(checklist: &Checklist, check: &Check, runbook_url: &str) -> Vec<Rule> {
    let rule = |expr: String, hold: Span, severity: Severity, summary: &str| Rule {
        alert: check.name.clone(),
        expr,
        hold,
        keep_firing_for: Some(KEEP_FIRING),
        labels: labels(severity, &checklist.name),
        annotations: annotations(runbook_url, &check.name, summary, &check.remedy),
    };
    match &check.kind {
        Kind::Attestation => Vec::new(),
        Kind::Promql { expr, severity, hold, evidence } => vec![rule(expr.clone(), *hold, *severity, &evidence.prometheus(None, ""))],
        Kind::Fact { family, condition, severity, worsens, hold, when, evidence } => {
            let mut bands = vec![(condition.clone(), *severity)];
            bands.extend(worsens.iter().filter_map(|band| Some((condition.with_bound(band.at)?, band.severity))));
            (0..bands.len())
                .map(|index| {
                    let (condition, severity) = &bands[index];
                    let harsher = bands.get(index + 1).and_then(|(condition, _)| condition.bound());
                    let expr = expression(&checklist.name, family, &check.filter, condition, harsher, *when);
                    let summary = evidence.prometheus(Some(family), &crate::checklist::threshold(family, condition));
                    rule(expr, *hold, *severity, &summary)
                })
                .collect()
        }
    }
}

pub(super) fn labels(severity: Severity, checklist: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("severity".to_owned(), severity.to_string()), ("checklist".to_owned(), checklist.to_owned())])
}

pub(super) fn annotations(runbook_url: &str, name: &str, summary: &str, description: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("summary".to_owned(), summary.to_owned()),
        ("description".to_owned(), description.to_owned()),
        ("runbook_url".to_owned(), format!("{}/{name}.md", runbook_url.trim_end_matches('/'))),
    ])
}

/// The PromQL of a condition. With `harsher`, values beyond that bound are left to the next band.
pub fn expression(checklist: &str, family: &Family, filter: &BTreeMap<String, String>, condition: &Condition, harsher: Option<f64>, when: Guard) -> String {
    let by = family.labels.join(", ");
    let selected = |name: &str, more: &str| {
        let mut matchers: Vec<String> = filter.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
        if !more.is_empty() {
            matchers.push(more.to_owned());
        }
        if matchers.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", matchers.join(",")) }
    };
    let worst = |aggregate: &str| format!("{aggregate} by ({by}) ({})", selected(family.name, ""));
    let other = |aggregate: &str, bound: &Bound| match bound {
        Bound::Name(name) => format!("{aggregate} by ({by}) ({})", selected(name, "")),
        Bound::Number(number) => number.to_string(),
        Bound::States(_) => String::new(),
    };
    let states = |names: &str| {
        let by = if by.is_empty() { "state".to_owned() } else { format!("{by}, state") };
        format!("max by ({by}) ({}) == 1", selected(family.name, &format!("state=~\"{names}\"")))
    };
    let beyond = |operator: &str| harsher.map_or_else(String::new, |bound| format!(" {operator} {bound}"));
    let body = match condition {
        Condition::IsFalse => format!("{} == 0", worst("min")),
        Condition::Above(bound) => format!("{} > {}{}", worst("max"), other("min", bound), beyond("<=")),
        Condition::Below(bound) => format!("{} < {}{}", worst("min"), other("max", bound), beyond(">=")),
        Condition::Equals(Bound::Name(state)) => states(state),
        Condition::Equals(Bound::States(several)) => states(&several.join("|")),
        // Filtered before it is aggregated, so that one of two replicas is enough.
        Condition::Equals(Bound::Number(number)) => format!("max by ({by}) ({} == {number})", selected(family.name, "")),
        Condition::Differs(bound @ Bound::Name(_)) => format!("{} != {}", worst("max"), other("max", bound)),
        Condition::Differs(bound) => format!("max by ({by}) ({} != {})", selected(family.name, ""), other("max", bound)),
        Condition::ExpiresWithin(Horizon::Now(span)) => {
            format!("{} - time() < {}{}", worst("min"), span.as_secs_f64(), beyond(">="))
        }
        Condition::ExpiresWithin(Horizon::Event { after_event_end }) => {
            format!("{} - {} < {}{}", worst("min"), event(checklist, "end"), after_event_end.as_secs_f64(), beyond(">="))
        }
        Condition::ExpiresWithin(Horizon::During { during_event: margin }) => {
            let (start, end, margin) = (event(checklist, "start"), event(checklist, "end"), margin.as_secs_f64());
            format!("({} >= ({start} - {margin}) <= ({end} + {margin})) - time()", worst("min"))
        }
        Condition::OlderThan(span) => format!("time() - {} > {}{}", worst("min"), span.as_secs_f64(), beyond("<=")),
        Condition::Promql(expr) => expr.clone(),
    };
    guarded(checklist, body, when)
}

/// A moment of the next event, or now without one.
fn event(checklist: &str, moment: &str) -> String {
    format!("scalar(min(readiness_event_{moment}_timestamp_seconds{{checklist={checklist:?}}}) or vector(time()))")
}

fn guarded(checklist: &str, body: String, when: Guard) -> String {
    let Guard { participants_above, lead_time_within, event_active } = when;
    let mut guards = Vec::new();
    if let Some(participants) = participants_above {
        guards.push(format!("max(readiness_event_participants{{checklist={checklist:?}}}) > {participants}"));
    }
    if let Some(lead) = lead_time_within {
        guards.push(format!("vector({}) - time() <= {}", event(checklist, "start"), lead.as_secs_f64()));
    }
    if event_active {
        guards.push(format!("vector({}) <= time()", event(checklist, "start")));
    }
    if guards.is_empty() {
        return body;
    }
    guards.into_iter().fold(format!("({body})"), |expr, guard| format!("{expr} and on () ({guard})"))
}
