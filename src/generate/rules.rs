//! From a check to a Prometheus alert rule.
//!
//! Rules are written on the facts, so that a stranger can read and tune them. Each aggregates by
//! the metric's own labels, which drops the labels of the scrape: a rollout of the exporter must
//! not restart `for`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::events::{Events, Stage};
use super::published::Published;
use crate::checklist::{Check, Checklist, Condition, Kind, Severity};
use crate::metric::Family;
use crate::promql::Query;
use crate::value::Span;

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

/// What a rule does, whichever checklist it is of: alert, expression, `for` and the labels but the checklist.
type Deed = (String, String, Span, BTreeMap<String, String>);

impl Rule {
    fn deed(&self) -> Deed {
        let mut labels = self.labels.clone();
        labels.remove(CHECKLIST);
        (self.alert.clone(), self.expr.clone(), self.hold, labels)
    }
}

/// The label that says which checklist a rule is of.
const CHECKLIST: &str = "checklist";

/// The custom resource of the Prometheus Operator that holds `groups`.
pub(super) fn prometheus_rule(name: &str, groups: &[Group]) -> impl Serialize {
    serde_json::json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": { "name": format!("readiness-{name}"), "labels": { "app.kubernetes.io/name": "readiness-exporter" } },
        "spec": { "groups": groups },
    })
}

/// The rules of one check that no earlier checklist has: two that do the same would page twice for one thing.
pub(super) fn own_rules(checklist: &Checklist, earlier: &[Checklist], check: &Check, published: &Published) -> Vec<Rule> {
    let same = |other: &Checklist| {
        other.checks().filter(|other| other.enabled && other.name == check.name).flat_map(|own| rules(other, own, published)).collect::<Vec<_>>()
    };
    let known: BTreeSet<Deed> = earlier.iter().flat_map(same).map(|rule| rule.deed()).collect();
    rules(checklist, check, published).into_iter().filter(|rule| !known.contains(&rule.deed())).collect()
}

/// One group per section that has rules of its own, and one about the checklist itself.
pub(super) fn groups(checklist: &Checklist, earlier: &[Checklist], published: &Published) -> Vec<Group> {
    let own = |check: &Check| own_rules(checklist, earlier, check, published);
    let mut groups: Vec<Group> = checklist
        .sections
        .iter()
        .map(|section| Group {
            name: format!("{} / {}", checklist.name, section.title),
            rules: section.checks.iter().filter(|check| check.enabled).flat_map(own).collect(),
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
            published,
            None,
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
fn rules(checklist: &Checklist, check: &Check, published: &Published) -> Vec<Rule> {
    let rule = |expr: String, hold: Span, severity: Severity, summary: &str| Rule {
        alert: check.name.clone(),
        expr,
        hold,
        keep_firing_for: Some(KEEP_FIRING),
        labels: labels(severity, &checklist.name),
        annotations: annotations(published, Some(&check.name), &check.runbook, summary, &check.remedy),
    };
    match &check.kind {
        Kind::Attestation => Vec::new(),
        Kind::Promql { expr, severity, hold, evidence } => vec![rule(expr.clone(), *hold, *severity, &evidence.prometheus(None))],
        Kind::Fact { family, condition, severity, worsens, hold, when, evidence } => {
            let mut bands = vec![(condition.clone(), *severity)];
            bands.extend(worsens.iter().filter_map(|band| Some((condition.with_bound(band.at)?, band.severity))));
            let due = Events { checklist: &checklist.name, when: *when, stage: Stage::Due };
            let of_band = |(index, (condition, severity)): (usize, &(Condition, Severity))| {
                let harsher = bands.get(index + 1).and_then(|(condition, _)| condition.bound());
                let expr = expression(family, &check.filter, condition, harsher, &due);
                rule(expr, *hold, *severity, &evidence.prometheus(Some((family, condition))))
            };
            let mut rules: Vec<Rule> = bands.iter().enumerate().map(of_band).collect();
            if let Some(lead) = when.lead_time_within {
                let own = |stage| expression(family, &check.filter, condition, None, &Events { stage, ..due });
                let by = family.labels.iter().copied().chain((!family.states.is_empty()).then_some("state")).collect::<Vec<_>>().join(", ");
                let expr = format!("({}) unless on ({by}) ({})", own(Stage::Early), own(Stage::Due));
                let summary = evidence.prometheus(Some((family, condition)));
                let mut early = rule(expr, *hold, (*severity).min(Severity::Warning), &early_summary(&summary, check.required, lead));
                // Another alert than the one that follows it, which Alertmanager could not tell from it.
                early.labels.extend([("stage".to_owned(), "early".to_owned())]);
                rules.push(early);
            }
            rules
        }
    }
}

/// What is said of what is red before it blocks.
pub(super) fn early_summary(summary: &str, blocks: bool, lead: Span) -> String {
    let then = if blocks { "blocks" } else { "is due" };
    format!("{summary} It {then} from {lead} before the event on.")
}

pub(super) fn labels(severity: Severity, checklist: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("severity".to_owned(), severity.to_string()), (CHECKLIST.to_owned(), checklist.to_owned())])
}

/// What is said of an alert, which is about a check or about the exporter itself.
pub(super) fn annotations(published: &Published, check: Option<&str>, runbook: &str, summary: &str, description: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([("summary".to_owned(), summary.to_owned()), ("description".to_owned(), description.to_owned())]);
    all.extend(published.runbook(runbook).map(|url| ("runbook_url".to_owned(), url)));
    all.extend(published.page(check).map(|url| ("page_url".to_owned(), url)));
    all
}

/// The PromQL of a condition where the check applies. With `harsher`, values beyond that bound are left to
/// the next band.
pub(super) fn expression(family: &Family, filter: &BTreeMap<String, String>, condition: &Condition, harsher: Option<f64>, events: &Events<'_>) -> String {
    let red = condition.promql(family, filter, harsher, &events.last_end());
    events.guarded(Query::Text(red.to_string()), family.is_of_events() && !filter.contains_key("event")).to_string()
}
