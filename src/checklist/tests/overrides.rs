//! What overrides change, and what they keep.

use super::*;

#[test]
fn an_override_changes_the_bound_and_the_revision() {
    let mut checklist = shipped().remove(0);
    let before = checklist.revision.clone();
    let change: BTreeMap<String, Override> = serde_saphyr::from_str("CertificateExpiresSoon: { fails: { expires_within: 14d }, required: false }").unwrap();
    assert_eq!(checklist.apply(&change, "o"), vec![]);
    assert_ne!(checklist.revision, before);
    let check = checklist.checks().find(|check| check.name == "CertificateExpiresSoon").unwrap();
    assert!(!check.required);
    let wrong: BTreeMap<String, Override> = serde_saphyr::from_str(
        "{ CertificateExpireSoon: {}, NodeNotReady: { fails: { above: 3 } }, NodeStorageFillsUp: { required: true }, OnCallConfirmed: { severity: info } }",
    )
    .unwrap();
    let problems: Vec<_> = checklist.apply(&wrong, "o").iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "o.CertificateExpireSoon: must name a check of this checklist; did you mean CertificateExpiresSoon?",
            "o.NodeNotReady.fails: must keep the shape of the condition, equals, because the evidence speaks of it",
            "o.NodeStorageFillsUp.required: must be false, because Prometheus alone judges an expression",
            "o.OnCallConfirmed: can only change enabled and required, because it is not judged on a metric",
        ]
    );
}

#[test]
fn an_override_of_a_check_of_another_checklist_is_named_and_what_may_be_a_secret_is_not() {
    let mut checklist = parse("checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ attest: Ready, item: '1', title: t, remedy: r }] }]\n").unwrap();
    let wrong: BTreeMap<String, Override> = serde_saphyr::from_str("{ ProvisionersBelowBaseline: { enabled: false }, hunter2: {} }").unwrap();
    let problems: Vec<_> = checklist.apply(&wrong, "o").iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["o.ProvisionersBelowBaseline: must name a check of this checklist", "o.***: must name a check of this checklist"]);
}

/// A certificate that must outlast the event must not come to be asked for two weeks from now.
#[test]
fn an_override_keeps_the_horizon() {
    let mut checklist = shipped().remove(0);
    let mut change = |text: &str| {
        let change: BTreeMap<String, Override> = serde_saphyr::from_str(text).unwrap();
        let problems = checklist.apply(&change, "o").iter().map(ToString::to_string).collect::<Vec<_>>();
        let check = checklist.checks().find(|check| check.name == "CertificateExpiresBeforeEventEnd").unwrap();
        let Kind::Fact { condition, .. } = &check.kind else { unreachable!() };
        (problems, condition.clone())
    };
    let days = |days| Condition::ExpiresWithin(Horizon::Event { after_event_end: crate::value::Span::days(days) });
    let refused = "o.CertificateExpiresBeforeEventEnd.fails: must keep the shape of the condition, expires_within with after_event_end, because the evidence speaks of it";
    assert_eq!(change("CertificateExpiresBeforeEventEnd: { fails: { expires_within: 14d } }"), (vec![refused.to_owned()], days(1)));
    assert_eq!(change("CertificateExpiresBeforeEventEnd: { fails: { expires_within: { after_event_end: 14d } } }"), (vec![], days(14)));
}

/// Bands of one severity would raise alerts that nothing tells apart.
#[test]
fn an_override_that_is_as_loud_as_a_band_takes_its_place() {
    let mut checklist = shipped().remove(0);
    let change: BTreeMap<String, Override> = serde_saphyr::from_str("CredentialExpiresSoon: { severity: warning }").unwrap();
    assert_eq!(checklist.apply(&change, "o"), vec![]);
    let check = checklist.checks().find(|check| check.name == "CredentialExpiresSoon").unwrap();
    let Kind::Fact { severity, worsens, .. } = &check.kind else { unreachable!() };
    assert_eq!((*severity, worsens.iter().map(|band| band.severity).collect::<Vec<_>>()), (Severity::Warning, vec![Severity::Critical]));
    let change: BTreeMap<String, Override> =
        serde_saphyr::from_str("CredentialExpiresSoon: { severity: critical, worsens: [{ at: 1d, severity: warning }] }").unwrap();
    assert_eq!(
        checklist.apply(&change, "o").iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["o.CredentialExpiresSoon.worsens: must each be louder than the one before (got warning after critical)"]
    );
}

#[test]
fn an_override_is_held_against_what_it_was_held_against() {
    let wrong = |check: &str, fails: &str| {
        let overrides = format!("{{ {check}: {{ fails: {fails} }} }}");
        let problems = shipped().remove(0).apply(&serde_saphyr::from_str(&overrides).unwrap(), "o");
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let own = "; write a check of your own to ask something else";
    assert_eq!(
        wrong("LiteLlmNotReady", "{ below: 1 }"),
        [format!("o.LiteLlmNotReady.fails: must be held against readiness_workload_desired_replicas, as it is{own}")]
    );
    let compared = wrong("EndpointAnswerStale", "{ above: readiness_http_body_bytes }");
    assert_eq!(compared, [format!("o.EndpointAnswerStale.fails: must be a number, as it is{own}")]);
    assert_eq!(wrong("EndpointAnswerStale", "{ above: 30 }"), [""; 0]);
}
