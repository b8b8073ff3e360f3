//! What is told about a checklist that is wrong.

use super::*;

#[test]
fn a_wrong_checklist_names_every_mistake_and_a_suggestion() {
    let text = r"
checklist: mine
title: Mine
sections:
  - title: S
    checks:
      - { name: A, item: '1', title: t, metric: readiness_http_succes, fails: is_false, remedy: r }
      - { name: B, item: '2', title: t, metric: readiness_http_success, fails: is_false, evidence: '{targt} is down', remedy: r }
      - { name: C, item: '3', title: t, metric: readiness_http_success, where: { kin: x }, fails: { expires_within: 1d }, remedy: r }
      - { name: D, item: '4', title: t, metric: readiness_tls_verification_state, fails: { equals: expird }, remedy: r }
      - { name: E, item: '5', title: t, metric: readiness_http_success_ratio, fails: { above: 0.6 }, worsens: [{ at: 0.5, severity: critical }], remedy: r }
      - { name: B, item: '6', title: t, metric: readiness_http_success, fails: is_false, remedy: r, examples: [{ facts: [{ vlue: 1 }], expect: pass }] }
";
    let found = problems(text);
    let all = found.join("\n");
    for part in [
        "must name a metric that a collector fills; did you mean readiness_http_success?",
        "must use labels of readiness_http_success (target, kind, family, address); did you mean target? (got \"targt\")",
        "did you mean kind? (got \"kin\")",
        "needs a metric whose name ends in _timestamp_seconds",
        "did you mean expired? (got \"expird\")",
        "must list harsher bounds than fails, mildest first",
        "must give a value",
    ] {
        assert!(all.contains(part), "{part:?} is not in\n{all}");
    }
}

/// A metric that is there and of which no check can be asked is not called one that is not there.
#[test]
fn a_metric_that_no_check_can_ask_about_says_why() {
    let text = r"
checklist: mine
title: Mine
sections:
  - title: S
    checks:
      - { name: A, item: '1', title: t, metric: readiness_collector_up, fails: is_false, evidence: e, remedy: r }
      - { name: B, item: '2', title: t, metric: readiness_credential_expiry_timestamp_seconds, fails: { below: readiness_event_end_timestamp_seconds }, evidence: e, remedy: r }
";
    let found = problems(text).join("\n");
    for part in [
        "must name a metric that a collector fills; readiness_collector_up is about looking itself, and what cannot be seen is unknown anyway (got",
        "must name a metric that a collector fills; readiness_event_end_timestamp_seconds is about events, against which expires_within can judge",
    ] {
        assert!(found.contains(part), "{part:?} is not in\n{found}");
    }
}

#[test]
fn a_name_that_is_given_twice_and_an_unknown_shape_are_refused() {
    let check = "{ name: A, item: '1', title: t, metric: readiness_http_success, fails: is_false, remedy: r }";
    let text = format!("checklist: mine\ntitle: t\nsections: [{{ title: s, checks: [{check}, {check}] }}]");
    assert!(problems(&text)[0].contains("must be a name that no other check has"));
    let text = text.replace("is_false", "is_wrong");
    assert!(problems(&text)[0].contains("a value is not known; known are is_false, above, "), "{:?}", problems(&text));
}

#[test]
fn no_mistake_of_an_own_checklist_hides_another() {
    let text = "checklist: mine
title: t
sections:
- title: s
  checks:
  - { name: A, title: t, metric: readiness_http_sucess, fails: is_false, remedy: r }
  - { name: B, item: '2', title: t, metric: readiness_http_success, fails: is_false, severity: criticl, evidence: '{targt}', remedy: r }
  - { name: C, item: '3', title: t, metric: readiness_http_success, fails: { abov: 1 }, remedy: r }
  - { name: D, item: '4', title: t, metric: readiness_http_success, fails: is_false, remdy: r }
  - { check: CertificateExpiresSoon, item: '6', title: '{what' }
  - { name: E, item: '5', title: t, metric: readiness_http_success, fails: is_false, remedy: r, examples: [{ facts: [{ value: 1 }], expect: fail }] }
";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.yaml");
    std::fs::write(&file, text).unwrap();
    let told: Vec<_> = load("mine", Some(&file)).unwrap_err().iter().map(ToString::to_string).collect();
    for part in [
        "sections[0].checks[0] A.item: must be set",
        "sections[0].checks[0] A.metric: ",
        "sections[0].checks[1] B.severity: a value is not known; did you mean critical?; known are ",
        "sections[0].checks[1] B.evidence: must use labels of readiness_http_success",
        "sections[0].checks[2] C.fails: ",
        "sections[0].checks[3] D: a key is not known; did you mean remedy?; known are ",
        "sections[0].checks[3] D.remedy: must be set",
        "sections[0].checks[4] CertificateExpiresSoon.title: has an unclosed brace",
        "E.examples[0]: expects fail, and is judged pass",
    ] {
        assert!(told.iter().any(|own| own.starts_with(part)), "{part:?} is not in\n{told:#?}");
    }
    assert_eq!(told.len(), 9, "{told:#?}");
}

/// A check on a fact that is off, stopped, or matches nothing.
/// A slip in one scalar costs no look at the others, and each is told with its value and with what is taken there.
#[test]
fn a_value_of_the_wrong_form_is_told_with_what_is_taken_and_hides_no_other() {
    let text = r#"
checklist: mine
title: on
sections:
  - { title: S, chekcs: [] }
  - 5
  - title: T
    checks:
      - { name: A, item: 1.10, title: on, metric: readiness_tls_verification_state, fails: { equals: [418] }, remedy: no }
      - { name: B, item: 7, title: t, metric: readiness_http_success, fails: is_false, remedy: r, when: { participants_above: -1, lead_time_within: 5, event_activ: true }, for: 5 }
      - { name: C, item: '3', title: "", metric: readiness_http_success, fails: is_false, remedy: " ", where: { kind: [a] }, required: maybe }
      - 7
      - { name: D, item: '4', title: t, fails: { promql: "up{job=" }, remedy: r }
      - { name: E, item: '5', title: t, metric: readiness_tls_leaf_not_after_timestamp_seconds, fails: { older_than: 1d }, remedy: r }
      - { name: F, item: '6', title: t, metric: readiness_velero_backup_last_completed_timestamp_seconds, fails: { expires_within: 1d }, remedy: r }
      - { name: G, item: '7', title: "", metric: readiness_http_success, fails: is_false, remedy: " " }
      - { name: H, item: '8', title: t, metric: readiness_http_success_ratio, fails: { below: [1] }, worsens: [{ at: 0.5, severity: loud }], examples: [7], remedy: r }
"#;
    assert_eq!(
        problems(text),
        [
            "sections[0]: a key is not known; did you mean checks?; known are title, checks",
            "sections[1]: must be a map (got 5)",
            "sections[2].checks[0] A.fails.equals: must be a state, a list of states, or one number (got [418])",
            "sections[2].checks[1] B.for: must be a duration such as 30s, 10m, 1h30m or 7d (got 5)",
            "sections[2].checks[1] B.when: a key is not known; did you mean event_active?; known are participants_above, lead_time_within, event_active",
            "sections[2].checks[1] B.when.lead_time_within: must be a duration such as 30s, 10m, 1h30m or 7d (got 5)",
            "sections[2].checks[1] B.when.participants_above: must be a whole number that is not below 0 (got -1)",
            "sections[2].checks[2] C.required: must be true or false (got \"maybe\")",
            "sections[2].checks[2] C.where.kind: must be a text (got [\"a\"])",
            "sections[2].checks[3]: must be a map (got 7)",
            "sections[2].checks[8] H.examples[0]: must be a list of examples, such as [{ facts: [{ value: 1 }], expect: pass }] (got 7)",
            "sections[2].checks[8] H.fails.below: must be a number, such as 90 or 0.9, or the name of a metric (got [1])",
            "sections[2].checks[8] H.worsens[0]: a value is not known; known are info, warning, critical",
            "sections[2].checks[4] D.fails.promql: must be PromQL; } is missing",
            "sections[2].checks[5] E.fails: must be expires_within, because readiness_tls_leaf_not_after_timestamp_seconds is an end, which lies ahead while all is well",
            "sections[2].checks[6] F.fails: must be older_than, because readiness_velero_backup_last_completed_timestamp_seconds lies in the past, and would be red at all times",
            "sections[2].checks[7] G.title: must be set",
            "sections[2].checks[7] G.remedy: must be set",
        ]
    );
    let good = "checklist: mine\ntitle: on\nsections: [{ title: s, checks: [{ name: A, item: 1.10, title: on, metric: readiness_http_success, fails: is_false, remedy: no }] }]";
    let good = parse(good).unwrap();
    let check = good.checks().next().unwrap();
    assert_eq!((good.title.as_str(), check.item.as_str(), check.title(), check.remedy.as_str()), ("on", "1.10", "on".to_owned(), "no"));
}

#[test]
fn fuzz_checklists() {
    let text = "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ name: A, item: '1', title: t, metric: readiness_http_success, fails: is_false, severity: critical, for: 1m, evidence: '{target} fails.', remedy: Look., examples: [{ facts: [{ value: 1 }], expect: pass }, { facts: [{ value: 0 }], expect: fail }] }] }]\n";
    crate::fuzz::survive_text(&[text], parse);
}
