//! Which bounds a check may have, its own or that of an override.

use std::collections::BTreeMap;

use super::{Override, load, parse};

#[test]
fn a_bound_that_nothing_or_everything_is_beyond_is_refused() {
    let broken = |name: &str, fails: &str| {
        let change: Override = serde_saphyr::from_str(&format!("{{ fails: {fails} }}")).unwrap();
        let mut checklist = load("workshop", None).unwrap();
        checklist.apply(&BTreeMap::from([(name.to_owned(), change)]), "o").iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let share = "must be a share, such as 0.9 for 90 %";
    for (name, fails, rule) in [
        ("NodeStorageHigh", "{ above: 60 }", share),
        ("NodeStorageHigh", "{ above: -0.1 }", "must be at least 0, because readiness_node_filesystem_used_ratio is never below it"),
        ("ProvisionersBelowBaseline", "{ below: -5 }", "must be above 0, because readiness_workload_ready_replicas is never below it"),
        ("CertificateExpiresSoon", "{ expires_within: 999999w }", "must be at most 3650d"),
    ] {
        assert_eq!(broken(name, fails), [format!("o.{name}.fails: {rule}")], "{fails}");
    }
    for (name, fails) in [("NodeStorageHigh", "{ above: 0.6 }"), ("NodeStorageHigh", "{ above: 0 }"), ("CertificateExpiresSoon", "{ expires_within: 30d }")] {
        assert_eq!(broken(name, fails), [""; 0], "{fails}");
    }
}

#[test]
fn a_check_that_can_never_be_red_or_never_be_good_is_refused() {
    let broken = |metric: &str, fails: &str| {
        let line = format!("{{ name: A, item: '1', title: t, metric: {metric}, fails: {fails}, evidence: e, remedy: r }}");
        let found = parse(&format!("checklist: mine\ntitle: t\nsections: [{{ title: s, checks: [{line}] }}]"));
        found.err().unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let flag = "must be red at 0 or at 1 and not at both, because readiness_http_success is either; write is_false where 0 is bad, and { above: 0 } where 1 is";
    let mark = "must be red at 1, because readiness_tls_protocol_info is 1 wherever it is; write { equals: 1 }";
    for (metric, fails, rule) in [
        ("readiness_http_success", "{ above: 1 }", flag),
        ("readiness_http_success", "{ above: 5 }", flag),
        ("readiness_http_success", "{ below: 2 }", flag),
        ("readiness_http_success", "{ equals: 3 }", flag),
        ("readiness_http_success", "{ differs: 0.5 }", flag),
        ("readiness_http_success", "{ below: 0 }", "must be above 0, because readiness_http_success is never below it"),
        ("readiness_tls_protocol_info", "is_false", mark),
        ("readiness_tls_protocol_info", "{ above: 1 }", mark),
        ("readiness_dns_answers", "{ below: 0 }", "must be above 0, because readiness_dns_answers is never below it"),
        ("readiness_http_success_ratio", "{ above: 1 }", "must be below 1, because readiness_http_success_ratio is never above it"),
        ("readiness_http_success_ratio", "{ below: 1.5 }", "must be at most 1, because readiness_http_success_ratio is never above it"),
        ("readiness_workload_ready_replicas", "{ below: readiness_workload_ready_replicas }", "must compare with another metric than its own"),
        (
            "readiness_tls_handshake_state",
            "{ equals: [completed, failed, unknown] }",
            "must leave a state that is good; these are all of readiness_tls_handshake_state",
        ),
    ] {
        assert_eq!(broken(metric, fails), format!("sections[0].checks[0] A.fails: {rule}"), "{metric} {fails}");
    }
    assert_eq!(
        broken("readiness_node_filesystem_used_ratio", "{ above: 0.6 }, worsens: [{ at: 80, severity: critical }]"),
        "sections[0].checks[0] A.worsens: must be a share, such as 0.9 for 90 %"
    );
    for (metric, fails) in [
        ("readiness_http_success", "is_false"),
        ("readiness_http_success", "{ below: 1 }"),
        ("readiness_http_success", "{ differs: 1 }"),
        ("readiness_dns_proxied", "{ above: 0 }"),
        ("readiness_tls_protocol_info", "{ equals: 1 }"),
        ("readiness_permission_missing", "{ above: 0 }"),
        ("readiness_http_success_ratio", "{ below: 1 }"),
        ("readiness_node_requested_ratio", "{ above: 1.2 }"),
        ("readiness_http_status_code", "{ differs: 200 }"),
    ] {
        assert_eq!(broken(metric, fails), "", "{metric} {fails}");
    }
}

#[test]
fn an_override_asks_what_the_check_asks() {
    let broken = |name: &str, fails: &str| {
        let change: Override = serde_saphyr::from_str(&format!("{{ fails: {fails} }}")).unwrap();
        let mut checklist = load("workshop", None).unwrap();
        checklist.apply(&BTreeMap::from([(name.to_owned(), change)]), "o").iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        broken("NodeNotReady", "{ equals: 'true' }"),
        ["o.NodeNotReady.fails: must keep the state false, which would count as good otherwise; to accept it in one place, use a waiver"]
    );
    assert_eq!(
        broken("RegistryUnavailable", "{ equals: down }"),
        ["o.RegistryUnavailable.fails: must keep the state throttled, which would count as good otherwise; to accept it in one place, use a waiver"]
    );
    assert_eq!(broken("NodeNotReady", "{ equals: [unknown, 'false'] }"), [""; 0]);
    assert_eq!(
        broken("WorkloadNotReady", "{ below: readiness_workload_ready_replicas }"),
        ["o.WorkloadNotReady.fails: must compare with another metric than its own"]
    );
}
