//! Rules about the exporter itself, and the two rules that are written on verdicts.

use super::published::Published;
use super::rules::{Group, Rule, annotations};
use crate::checklist::Severity;
use crate::value::Span;
use std::collections::BTreeMap;

/// Seconds after which a judgement is out of date: more than two scrapes at the slowest usual interval.
pub(super) const STALE_AFTER: u32 = 180;

/// What always fires, where rules are evaluated.
pub(super) const WATCHDOG: &str = "ReadinessWatchdog";

struct Record {
    name: &'static str,
    expr: &'static str,
    hold: Span,
    /// None for what is no trouble by itself.
    severity: Option<Severity>,
    summary: &'static str,
    description: &'static str,
}

const RECORDS: &[Record] = &[
    Record {
        name: "ReadinessExporterAbsent",
        expr: "absent(readiness_build_info)",
        hold: Span::mins(5),
        severity: Some(Severity::Critical),
        summary: "No readiness-exporter is being scraped, so nothing about the event is known.",
        description: "Check that the exporter runs and that Prometheus finds its target.",
    },
    Record {
        name: "ReadinessCollectorFailing",
        expr: "max by (collector, source) (readiness_collector_up) == 0",
        hold: Span::mins(15),
        severity: Some(Severity::Warning),
        summary: "{{ $labels.collector }} has not been able to look at {{ $labels.source }} for 15 minutes.",
        description: "Read the reason on the status page or in the exporter's log; checks on this source are unknown.",
    },
    Record {
        name: "ReadinessFactsStale",
        expr: "time() - max by (collector, source) (readiness_collector_last_success_timestamp_seconds) > max by (collector, source) (readiness_collector_keep_seconds)",
        hold: Span::mins(1),
        severity: Some(Severity::Warning),
        summary: "Facts of {{ $labels.collector }} about {{ $labels.source }} are {{ $value | humanizeDuration }} old and were dropped.",
        description: "Find out why the source can no longer be seen; its checks are unknown until it is.",
    },
    Record {
        name: "ReadinessJudgementStale",
        // The oldest: a second exporter that judges makes the word of the first one no newer. Three
        // minutes are more than two scrapes at the slowest usual interval.
        expr: "time() - min by (checklist) (readiness_judged_timestamp_seconds) > 180",
        hold: Span::mins(1),
        severity: Some(Severity::Critical),
        summary: "{{ $labels.checklist }} was last judged {{ $value | humanizeDuration }} ago, so its go or no-go is out of date.",
        description: "Look at the exporter's log and CPU, compare its clock with that of Prometheus, and restart it if it hangs.",
    },
    Record {
        name: "ReadinessConfigReloadFailed",
        expr: "min(readiness_config_last_reload_successful) == 0 or min(readiness_web_config_last_reload_successful) == 0",
        hold: Span::mins(5),
        severity: Some(Severity::Warning),
        summary: "The exporter could not load its changed configuration and runs with the old one.",
        description: "Run `readiness-exporter config check` on the file; every problem is listed with its path.",
    },
    Record {
        name: "ReadinessPermissionMissing",
        expr: "max by (cluster, verb, resource) (readiness_permission_missing) == 1",
        hold: Span::mins(5),
        severity: Some(Severity::Warning),
        summary: "The exporter may not {{ $labels.verb }} {{ $labels.resource }} in {{ $labels.cluster }}.",
        description: "Grant it, or switch off the part of the configuration that needs it; its checks are unknown until then.",
    },
    Record {
        name: "ReadinessLabelsRenamed",
        expr: "count by (job) ({__name__=~\"readiness_.+\",exported_cluster!=\"\"} or {__name__=~\"readiness_.+\",exported_namespace!=\"\"}) > 0",
        hold: Span::mins(5),
        severity: Some(Severity::Warning),
        summary: "Prometheus renames labels of the exporter in job {{ $labels.job }}, so alerts name the wrong place.",
        description: "Set honor_labels: true (honorLabels in a ServiceMonitor) for this scrape.",
    },
    Record {
        name: "ReadinessScopeShrank",
        expr: "max by (collector, source) (readiness_collector_objects) < 0.5 * max by (collector, source) (max_over_time(readiness_collector_objects[6h]))",
        hold: Span::mins(10),
        severity: Some(Severity::Warning),
        summary: "{{ $labels.collector }} finds only {{ $value }} objects in {{ $labels.source }}, less than half of what it found within six hours.",
        description: "Check whether the objects are really gone, or a selector or a permission changed.",
    },
    Record {
        name: "ReadinessCheckUnknown",
        expr: "(max by (checklist, check) (readiness_check_state{state=\"unknown\"}) == 1 and on (checklist, check) (max by (checklist, check) (readiness_check_required) == 1)) * on (checklist, check) group_left (collector) max by (checklist, check, collector) (readiness_check_info)",
        hold: Span::mins(15),
        severity: Some(Severity::Warning),
        summary: "{{ $labels.check }} of {{ $labels.checklist }} is required and has not been known for 15 minutes.",
        description: "Unknown is never go. The status page says what could not be seen and why.",
    },
    Record {
        name: "ReadinessNoGo",
        // Of the lead times that have come the last one, so that each pages anew and none of them stands beside another.
        expr: "topk by (checklist, event) (1, max by (checklist, event, lead) (readiness_event_lead_timestamp_seconds) <= time()) and on (checklist, event) (min by (checklist, event) (readiness_go) == 0)",
        hold: Span::mins(1),
        severity: Some(Severity::Critical),
        summary: "{{ $labels.event }} (checklist {{ $labels.checklist }}) is not ready{{ with printf \"max(readiness_event_start_timestamp_seconds{checklist=%q,event=%q})\" $labels.checklist $labels.event | query }}; it starts at {{ . | first | value | humanizeTimestamp }}{{ end }}.",
        description: "Open the status page: every red line names the place and the remedy.{{ with printf \"max(readiness_checklist_lines{checklist=%q,event=%q,asked='yes'})\" $labels.checklist $labels.event | query }} {{ . | first | value }} lines were asked{{ end }}{{ with printf \"max(readiness_checklist_lines{checklist=%q,event=%q,asked='not_configured'})\" $labels.checklist $labels.event | query }}, {{ . | first | value }} are not configured.{{ end }}",
    },
    Record {
        name: "ReadinessNoEvent",
        expr: "max by (checklist) (readiness_event_coming) == 0",
        hold: Span::mins(5),
        severity: Some(Severity::Warning),
        summary: "All events of {{ $labels.checklist }} are over, so it is judged as if one were now.",
        description: "Configure the next event, or take those that are over out of the configuration.",
    },
    Record {
        name: "ReadinessConfirmationRefused",
        expr: "max by (attestation) (readiness_attestations_refused) > 0",
        hold: Span::mins(5),
        severity: Some(Severity::Warning),
        summary: "A confirmation of {{ $labels.attestation }} does not count.",
        description: "`readiness-exporter config check` says why: no name, a date in the future or too long before the event, or a line or an event that there is not.",
    },
    Record {
        name: "ReadinessQuiet",
        expr: "min by (checklist) (readiness_event_lead_timestamp_seconds) > time()",
        hold: Span::mins(1),
        severity: None,
        summary: "No event of {{ $labels.checklist }} is within its lead times.",
        description: "Not a problem: Alertmanager holds back what is not critical while this fires.",
    },
    Record {
        name: WATCHDOG,
        expr: "vector(1)",
        hold: Span(std::time::Duration::ZERO),
        severity: None,
        summary: "Alerts reach whoever counts these messages.",
        description: "Not a problem: when these messages stop, the way from Prometheus to people is broken.",
    },
];

/// Alert names, in order.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    RECORDS.iter().map(|record| record.name)
}

/// The rules as one group.
pub(super) fn groups(published: &Published) -> Vec<Group> {
    let rules = RECORDS.iter().map(|record| Rule {
        alert: record.name.to_owned(),
        expr: record.expr.to_owned(),
        hold: record.hold,
        keep_firing_for: None,
        labels: BTreeMap::from([("severity".to_owned(), record.severity.map_or_else(|| "none".to_owned(), |severity| severity.to_string()))]),
        annotations: annotations(published, None, record.name, record.summary, record.description),
    });
    vec![Group { name: "readiness-exporter".to_owned(), rules: rules.collect() }]
}
