//! Tests over the shipped checklists as lists, and of the judge.

mod crowds;
mod estate;
mod overrides;
mod own;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;

use super::*;
use crate::event::Occurrence;
use crate::snapshot::tests::source;
use crate::snapshot::{Snapshot, Source, Store};

fn shipped() -> Vec<Checklist> {
    SHIPPED.iter().map(|(name, _)| load(name, None).unwrap_or_else(|problems| panic!("{problems:#?}"))).collect()
}

fn problems(text: &str) -> Vec<String> {
    parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

#[test]
fn every_example_gets_its_verdict() {
    for checklist in shipped() {
        assert_eq!(unproven(&checklist, now()).iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    }
    let text = "checklist: mine\ntitle: t\nsections: [{ title: s, checks: [{ name: A, item: '1', title: t, metric: readiness_http_success_ratio, fails: { below: 0.5 }, evidence: e, remedy: r, examples: [{ facts: [{ value: 0.4 }], expect: pass }, { facts: [{ value: 0.4 }], expect: fail, severity: critical }] }] }]";
    let found: Vec<_> = unproven(&parse(text).unwrap(), now()).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["A.examples[0]: expects pass, and is judged fail", "A.examples[1]: expects severity critical, and gets warning"]);
}

/// What an own check comes to, with one fact or several.
fn own_verdicts(check: &str, facts: &[&str]) -> Vec<String> {
    let examples: Vec<_> = facts.iter().map(|facts| format!("{{ facts: [{facts}], expect: pass }}")).collect();
    let text = format!(
        "checklist: mine\ntitle: t\nsections: [{{ title: s, checks: [{{ name: A, item: '1', title: t, {check}, evidence: e, remedy: r, examples: [{}] }}] }}]",
        examples.join(", ")
    );
    let checklist = parse(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let check = checklist.checks().next().unwrap();
    let Kind::Fact { family, .. } = &check.kind else { panic!("{text}") };
    let of = |example: &Example| {
        let verdict = judge_one(check, &Context::new(&scene(&example.given, family, now()), now()));
        format!("{}: {}", verdict.state.as_str(), verdict.lines[0].evidence)
    };
    check.examples.iter().map(of).collect()
}

#[test]
fn where_nothing_was_seen_nothing_is_good() {
    let looked = |state: &str| format!("{{ target: app, kind: healthz, family: ipv4, address: 10.0.0.1, state: {state} }}");
    let (ok, body, refused) = (looked("ok"), looked("body"), looked("refused"));
    let asked = "metric: readiness_http_outcome_state, fails: { equals: [status, body] }";
    let told = own_verdicts(asked, &[&ok, &body, &refused]);
    assert!(told[0].starts_with("pass: ") && told[1].starts_with("fail: "), "{told:?}");
    assert_eq!(told[2], "unknown: Cannot tell for app / healthz / ipv4 / 10.0.0.1: nothing was seen of what is asked.");
    assert!(own_verdicts("metric: readiness_http_outcome_state, fails: { equals: [refused] }", &[&refused])[0].starts_with("fail: "));
}

#[test]
fn what_bears_another_mark_is_good() {
    let seen = "{ metric: readiness_tls_handshake_state, target: app, address: 10.0.0.1, state: completed }";
    let of = |version: &str| format!("{{ target: app, address: 10.0.0.1, version: {version}, value: 1 }}, {seen}");
    let asked = "metric: readiness_tls_protocol_info, where: { version: TLS 1.2 }, fails: { equals: 1 }";
    let told = own_verdicts(asked, &[&of("TLS 1.3"), &of("TLS 1.2"), seen]);
    assert_eq!(told[0], "pass: app / 10.0.0.1: it was seen, without version=TLS 1.2.");
    assert!(told[1].starts_with("fail: ") && told[2].starts_with("unknown: "), "{told:?}");
    let wrong = problems(
        "checklist: mine\ntitle: t\nsections: [{ title: s, checks: [{ name: A, item: '1', title: t, metric: readiness_tls_protocol_info, where: { version: TLSv1.2 }, fails: { equals: 1 }, evidence: e, remedy: r }] }]",
    );
    assert_eq!(wrong, ["sections[0].checks[0] A.where.version: must be one of TLS 1.2, TLS 1.3, other (got \"TLSv1.2\")"]);
}

#[test]
fn every_check_shows_a_pass_and_a_fail_and_is_unknown_without_facts() {
    for checklist in shipped() {
        for check in checklist.checks() {
            let Kind::Fact { family, .. } = &check.kind else { continue };
            let outcomes: BTreeSet<_> = check.examples.iter().map(|example| format!("{:?}", example.expect)).collect();
            assert!(outcomes.contains("Pass") && outcomes.contains("Fail"), "{} shows only {outcomes:?}", check.name);
            let mut check = check.clone();
            if let Kind::Fact { when, .. } = &mut check.kind {
                *when = Guard::default();
            }
            let snapshot = scene(&[], family, now());
            let event = family.is_of_events().then(|| check.examples[0].occurrence(&checklist.name, now())).flatten();
            let verdict = judge_one(&check, &Context { event: event.as_ref(), ..Context::new(&snapshot, now()) });
            assert_eq!(verdict.state, CheckState::Unknown, "{}", check.name);
        }
    }
}

#[test]
fn every_alert_has_a_runbook_with_the_four_headings() {
    let checklists = shipped();
    let checks = checklists.iter().flat_map(Checklist::checks).filter(|check| !matches!(check.kind, Kind::Attestation));
    let own = crate::generate::exporter_alerts().chain(["ReadinessChecklistRevisionDiffers", NOT_JUDGED]);
    let alerts: BTreeSet<String> = checks.map(|check| check.name.clone()).chain(own.map(str::to_owned)).collect();
    for name in &alerts {
        let text = crate::runbooks::runbook(name).unwrap_or_else(|| panic!("docs/runbooks/{name}.md is missing"));
        assert!(text.starts_with(&format!("# {name}\n")), "{name}: the title is the alert's name");
        for heading in ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"] {
            assert!(text.contains(heading), "{name}: {heading} is missing");
        }
    }
    let written: BTreeSet<String> = crate::runbooks::runbooks().map(str::to_owned).collect();
    assert_eq!(written, alerts, "runbooks without an alert");
}

#[test]
fn evidence_and_remedy_are_sentences() {
    for checklist in shipped() {
        for check in checklist.checks() {
            assert!(check.remedy.ends_with('.'), "{}", check.name);
            assert!(!check.title().ends_with('.'), "{}", check.name);
        }
    }
}

fn verdict_of(snapshot: &Snapshot, name: &str) -> CheckVerdict {
    let checklists = shipped();
    let check = checklists[0].checks().find(|check| check.name == name).unwrap();
    judge_one(check, &Context::new(snapshot, now()))
}

#[test]
fn without_any_source_nothing_is_go() {
    let snapshot = Snapshot::default();
    let judgement = judge(&shipped()[0], &Context::new(&snapshot, now()));
    assert_eq!(judgement.decision, Decision::Undecided);
    assert_eq!(verdict_of(&snapshot, "EndpointUnhealthy").state, CheckState::NotApplicable);
    assert_eq!(verdict_of(&snapshot, "OnCallConfirmed").state, CheckState::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_collector_is_unknown_and_says_which() {
    use crate::snapshot::{Observation, Source, Store, Subjects};
    use std::time::Duration;
    let store = Store::default();
    store.add(Source {
        collector: "http",
        name: "london".into(),
        identity: [("target", "london"), ("kind", "healthz")].into(),
        covers: Vec::new(),
        subjects: Subjects::Whole,
        emits: vec!["readiness_http_success"],
        off: Arc::default(),
        reads: &[],
        selectors: Vec::new(),
        interval: Duration::from_secs(10),
        keep: Duration::from_secs(30),
    });
    assert_eq!(verdict_of(&store.snapshot(), "EndpointUnhealthy").lines[0].evidence.as_ref(), "http london has not been looked at yet.");
    let family = crate::collectors::family("readiness_http_success").unwrap();
    let sample = crate::metric::Sample { family, labels: ["london", "healthz", "ipv4", "10.0.0.1"].map(Into::into).into(), value: 1.0, detail: None };
    store.report("http", "london", Duration::ZERO, Ok(Observation::new(vec![sample], 1, 1)));
    assert_eq!(verdict_of(&store.snapshot(), "EndpointUnhealthy").state, CheckState::Pass);
    tokio::time::advance(Duration::from_secs(31)).await;
    let verdict = verdict_of(&store.snapshot(), "EndpointUnhealthy");
    assert_eq!(verdict.state, CheckState::Unknown);
    assert_eq!(verdict.lines[0].evidence.as_ref(), "no look at http london has ended for longer than 30s, so what was seen last counts no more.");
}

fn red(checklist: &Checklist, value: f64, look: u64, memory: &mut Memory) -> CheckState {
    let family = crate::collectors::family("readiness_service_load_balancer_ready").unwrap();
    let given = [Given { family, labels: vec!["eu".into(), "coder".into(), "coder".into()], state: None, value }];
    let mut snapshot = scene(&given, family, now());
    snapshot.views[0].looks = look;
    let mut judgement = judge(checklist, &Context::new(&snapshot, now()));
    memory.apply(&mut judgement, Look { first: false, of_all: true });
    judgement.checks().find(|check| check.name == "LoadBalancerMissing").unwrap().state
}

#[test]
fn red_at_once_and_green_only_after_two_good_looks() {
    let checklist = &shipped()[0];
    let mut memory = Memory::default();
    assert_eq!(red(checklist, 1.0, 1, &mut memory), CheckState::Pass, "a first good look is green");
    assert_eq!(red(checklist, 0.0, 2, &mut memory), CheckState::Fail);
    assert_eq!(red(checklist, 1.0, 3, &mut memory), CheckState::Fail, "one good look is not enough");
    assert_eq!(red(checklist, 1.0, 3, &mut memory), CheckState::Fail, "the same look does not count twice");
    assert_eq!(red(checklist, 1.0, 4, &mut memory), CheckState::Pass);
}

/// What is said of a file system that is 70 % full.
fn seventy(memories: &mut Memories, checklists: &[Checklist], look: u64) -> (CheckState, String) {
    let family = crate::collectors::family("readiness_node_filesystem_used_ratio").unwrap();
    let given = [Given { family, labels: vec!["eu".into(), "n1".into(), "nodefs".into()], state: None, value: 0.7 }];
    let mut snapshot = scene(&given, family, now());
    snapshot.views[0].looks = look;
    let mut judged = [judge(&checklists[0], &Context::new(&snapshot, now()))];
    memories.apply(&mut judged, true);
    let line = judged[0].checks().find(|check| check.name == "NodeStorageHigh").unwrap().lines[0].clone();
    let again = line.evidence.find("Good again").map(|at| line.evidence[at..].to_owned());
    (line.state, again.unwrap_or_default())
}

#[test]
fn what_is_good_by_another_bound_is_green_at_once() {
    let (before, mut after) = (shipped(), shipped());
    let check = after[0].sections.iter_mut().flat_map(|section| &mut section.checks).find(|check| check.name == "NodeStorageHigh").unwrap();
    let Kind::Fact { condition, .. } = &mut check.kind else { panic!("a fact") };
    *condition = serde_saphyr::from_str("{ above: 0.8 }").unwrap();
    let mut memories = Memories::default();
    assert_eq!(seventy(&mut memories, &before, 1).0, CheckState::Fail);
    memories.reloaded(&before, &before);
    // As if the file had been emptied.
    let again = |words: &str| (CheckState::Fail, format!("Good again; {words} it green."));
    assert_eq!(seventy(&mut memories, &after, 1), again("two more good looks turn"));
    assert_eq!(seventy(&mut memories, &after, 2), again("one more good look turns"));
    memories.reloaded(&before, &after);
    assert_eq!(seventy(&mut memories, &after, 2), (CheckState::Pass, String::new()));
}

#[test]
fn what_was_bad_stays_known_when_another_event_comes_or_ends() {
    let family = crate::collectors::family("readiness_service_load_balancer_ready").unwrap();
    let event = |name: &str| Occurrence {
        name: name.into(),
        of: name.into(),
        checklists: vec!["workshop".into()],
        start: now(),
        zone: jiff::tz::TimeZone::UTC,
        end: now(),
        participants: None,
        lead_times: Vec::new(),
        turn: None,
    };
    let mut memories = Memories::default();
    let mut round = |value: f64, look: u64, events: &[Option<Occurrence>]| {
        let given = [Given { family, labels: vec!["eu".into(), "coder".into(), "coder".into()], state: None, value }];
        let mut snapshot = scene(&given, family, now());
        snapshot.views[0].looks = look;
        let judged = events.iter().map(|event| judge(&shipped()[0], &Context { event: event.as_ref(), ..Context::new(&snapshot, now()) }));
        let mut judged: Vec<_> = judged.collect();
        memories.apply(&mut judged, true);
        judged.iter().map(|judgement| judgement.checks().find(|check| check.name == "LoadBalancerMissing").unwrap().state).collect::<Vec<_>>()
    };
    assert_eq!(round(0.0, 1, &[None]), [CheckState::Fail]);
    let both = [Some(event("course")), Some(event("demo"))];
    assert_eq!(round(1.0, 2, &both), [CheckState::Fail; 2], "one good look is not enough, whichever event comes");
    assert_eq!(round(1.0, 3, &[Some(event("demo"))]), [CheckState::Pass]);
    assert_eq!(round(1.0, 4, &[None]), [CheckState::Pass]);
}

#[test]
fn what_is_still_to_come_has_no_age() {
    let checklist = &shipped()[0];
    let check = checklist.checks().find(|check| check.name == "VolumeSnapshotTooOld").unwrap();
    let Kind::Fact { family, .. } = check.kind else { panic!("it judges a fact") };
    // Moments of a scene are given as distances from now.
    let state = |value: f64| {
        let given = [Given { family, labels: vec!["eu".into(), "coder".into(), "db".into()], state: None, value }];
        let verdict = judge_one(check, &Context::new(&scene(&given, family, now()), now()));
        verdict.lines.iter().find(|line| line.labels.get("claim") == Some("db")).unwrap().state
    };
    assert_eq!([state(-3600.0), state(60.0), state(86_400.0)], [CheckState::Pass, CheckState::Pass, CheckState::Unknown]);
}

#[test]
fn a_waiver_covers_its_lines_until_it_ends() {
    let family = crate::collectors::family("readiness_service_load_balancer_ready").unwrap();
    let given = [Given { family, labels: vec!["eu".into(), "coder".into(), "coder".into()], state: None, value: 0.0 }];
    let snapshot = scene(&given, family, now());
    let checklist = &shipped()[0];
    let check = checklist.checks().find(|check| check.name == "LoadBalancerMissing").unwrap();
    let mut waiver = Waiver {
        check: check.name.clone(),
        checklists: Vec::new(),
        labels: BTreeMap::from([("cluster".into(), "eu".into())]),
        event: None,
        who: "Ada".into(),
        why: "no users there".into(),
        until: "2026-11-22T00:00:00Z".parse().unwrap(),
    };
    let state = |waiver: &Waiver| judge_one(check, &Context { waivers: std::slice::from_ref(waiver), ..Context::new(&snapshot, now()) });
    let waived = state(&waiver);
    assert_eq!(waived.state, CheckState::Waived);
    assert!(waived.lines[0].evidence.contains("Waived until 2026-11-22 00:00 UTC: no users there (Ada)"), "{:?}", waived.lines);
    waiver.until = "2026-11-21T00:00:00Z".parse().unwrap();
    let over = state(&waiver);
    assert_eq!(over.state, CheckState::Fail);
    assert!(over.lines[0].evidence.ends_with(". It was waived by Ada until 2026-11-21 00:00 UTC: no users there."), "{:?}", over.lines);
    waiver.why = "x".repeat(1000);
    assert!(state(&waiver).lines[0].evidence.ends_with("xx\u{2026}."));
    waiver.until = "2026-11-22T00:00:00Z".parse().unwrap();
    waiver.labels = BTreeMap::from([("cluster".into(), "us".into())]);
    let elsewhere = state(&waiver);
    assert_eq!((elsewhere.state, elsewhere.lines[0].evidence.contains("waived")), (CheckState::Fail, false));
}

#[test]
fn a_value_that_is_no_number_is_unknown() {
    let family = crate::collectors::family("readiness_http_success_ratio").unwrap();
    let given = [Given { family, labels: vec!["t".into(), "wildcard".into()], state: None, value: f64::NAN }];
    let snapshot = scene(&given, family, now());
    assert_eq!(verdict_of(&snapshot, "SubdomainRoutingDegraded").state, CheckState::Unknown);
}

#[test]
fn what_only_one_side_could_answer_is_refused() {
    let refused = |metric: &str, rest: &str| {
        let text =
            format!("checklist: mine\ntitle: t\nsections: [{{ title: s, checks: [{{ name: A, item: '1', title: t, metric: {metric}, remedy: r, {rest} }}] }}]");
        problems(&text).concat()
    };
    let expiry = "readiness_credential_expiry_timestamp_seconds";
    for (metric, rest, why) in [
        ("readiness_http_success", "fails: { promql: up == 0 }", "must stand without metric"),
        ("readiness_http_success", "fails: { below: readiness_http_status_code }, worsens: [{ at: 1, severity: critical }]", "must stand beside a bound"),
        ("readiness_http_success", "fails: { differs: .nan }", "a number must be finite"),
        ("readiness_http_success", "fails: { above: 1e999 }", "a number must be finite"),
        ("readiness_http_success", "fails: { above: readiness_http_phase_duration_seconds }", "has phase beside them"),
        ("readiness_workload_restarts", "fails: { above: readiness_workload_pods_state }", "is a state set"),
        ("readiness_tls_verification_state", "fails: { equals: [] }", "must name a state"),
        (expiry, "fails: { expires_within: 7d }, worsens: [{ at: 3600, severity: critical }]", "a number or a duration as that is"),
        (expiry, "fails: { expires_within: 7d }, severity: warning, worsens: [{ at: 1d, severity: warning }]", "must each be louder"),
        ("readiness_http_success_ratio", "fails: { below: 1 }, worsens: [{ at: 1h, severity: critical }]", "a number or a duration as that is"),
    ] {
        let found = refused(metric, rest);
        assert!(found.contains(why), "{metric} {rest}: {found:?}");
    }
}

/// Prometheus cannot tell which source of an exporter a fact came from, so the judge does not either.
#[test]
fn what_a_value_is_compared_with_may_come_from_another_source() {
    let fact = |name: &str, value| {
        let family = crate::collectors::family(name).unwrap();
        let labels = ["eu", "karpenter", "Deployment", "karpenter", "karpenter"].map(str::to_owned).to_vec();
        Given { family, labels, state: None, value }
    };
    let ready = fact("readiness_workload_ready_replicas", 1.0);
    let desired = fact("readiness_workload_desired_replicas", 2.0);
    let mut snapshot = scene(std::slice::from_ref(&ready), ready.family, now());
    assert_eq!(verdict_of(&snapshot, "KarpenterNotReady").state, CheckState::Unknown, "nothing to compare with");
    snapshot.views.extend(scene(std::slice::from_ref(&desired), desired.family, now()).views);
    assert_eq!(verdict_of(&snapshot, "KarpenterNotReady").state, CheckState::Fail);
}

/// Who restarts the exporter hides nothing, and what it cannot know it does not say.
#[test]
fn since_when_a_line_is_red_outlives_the_process_and_is_a_bound_where_it_was_red_from_the_start() {
    let family = crate::collectors::family("readiness_service_load_balancer_ready").unwrap();
    let round = |memories: &mut Memories, second: i64, value: Option<f64>| {
        let given: Vec<_> =
            value.map(|value| Given { family, labels: vec!["eu".into(), "coder".into(), "coder".into()], state: None, value }).into_iter().collect();
        let mut snapshot = scene(&given, family, now());
        snapshot.views[0].looks = u64::try_from(second).unwrap();
        let at = now() + SignedDuration::from_secs(second);
        let context = Context::new(&snapshot, at);
        let mut judged = [judge(&shipped()[0], &context)];
        memories.apply(&mut judged, value.is_some());
        let check = judged[0].checks().find(|check| check.name == "LoadBalancerMissing").unwrap();
        let line = check.lines.iter().find(|line| line.labels.get("namespace").is_some());
        line.and_then(|line| line.since.map(|since| (since.as_second() - now().as_second(), line.since_at_least)))
    };
    let mut memories = Memories::default();
    assert_eq!(round(&mut memories, 0, None), None, "nothing was seen yet");
    assert_eq!(round(&mut memories, 1, Some(0.0)), Some((1, true)), "red from the start");
    let kept = memories.lasting();
    assert_eq!(round(&mut memories, 2, Some(1.0)), Some((1, true)), "it waits for a second good look");
    assert_eq!(round(&mut memories, 3, Some(1.0)), None);
    assert_eq!(round(&mut memories, 4, Some(0.0)), Some((4, false)), "it was seen to turn red");
    let mut again = Memories::again(memories.lasting());
    assert_eq!(round(&mut again, 60, None), None, "what was not seen yet is not forgotten");
    assert_eq!(round(&mut again, 61, Some(0.0)), Some((4, false)));
    assert_eq!(round(&mut Memories::again(kept), 61, Some(0.0)), Some((1, true)), "a bound stays a bound");
    let mut good = Memories::again(memories.lasting());
    assert_eq!(round(&mut good, 61, Some(1.0)), None, "good at the first look, as after every start");
    assert_eq!(round(&mut good, 62, Some(0.0)), Some((62, false)));
}

#[test]
fn what_is_switched_off_is_not_applicable_and_says_by_which_key() {
    let family = crate::collectors::family("readiness_nodepool_limit").unwrap();
    let mut snapshot = scene(&[], family, now());
    let source = Arc::make_mut(&mut snapshot.views[0].source);
    source.emits.clear();
    assert_eq!(verdict_of(&snapshot, "NodePoolNearLimit").state, CheckState::Unknown, "nothing says that it is off");
    let source = Arc::make_mut(&mut snapshot.views[0].source);
    source.off = [("readiness_nodepool_used_ratio", "karpenter")].into();
    let verdict = verdict_of(&snapshot, "NodePoolNearLimit");
    assert_eq!((verdict.state, verdict.note.as_deref()), (CheckState::NotApplicable, Some("collectors.kubernetes.karpenter is not configured")));
}

/// No series is good news only where the scope was seen, and only for metrics of what is wrong.
#[test]
fn silence_is_good_news_only_from_what_was_seen() {
    let family = crate::collectors::family("readiness_evictions").unwrap();
    let states = crate::collectors::family("readiness_selector_state").unwrap();
    let scope = |kind: &str, state: &str| Given { family: states, labels: vec!["eu".into(), kind.into(), kind.into()], state: Some(state.into()), value: 1.0 };
    let verdict = |given: &[Given]| verdict_of(&scene(given, family, now()), "PodsEvicted").state;
    assert_eq!(verdict(&[]), CheckState::Unknown, "nobody speaks for it");
    assert_eq!(verdict(&[scope("Pod", "matched"), scope("Event", "empty")]), CheckState::Pass);
    assert_eq!(verdict(&[scope("Pod", "matched"), scope("Event", "unseen")]), CheckState::Unknown);
    assert_eq!(verdict(&[scope("Node", "matched")]), CheckState::Unknown, "nodes do not speak for evictions");
}

/// A cluster in which nothing bears the fact must not hide behind another in which something does.
#[test]
fn a_source_that_yields_nothing_has_a_line_beside_one_that_does() {
    let family = crate::collectors::family("readiness_kubelet_version_skew_max").unwrap();
    let states = crate::collectors::family("readiness_selector_state").unwrap();
    let nodes =
        |cluster: &str| Given { family: states, labels: vec![cluster.into(), "nodes".into(), "Node".into()], state: Some("matched".into()), value: 1.0 };
    let mut snapshot = scene(&[Given { family, labels: vec!["eu".into()], state: None, value: 0.0 }, nodes("eu")], family, now());
    snapshot.views.extend(scene(&[nodes("us")], family, now()).views);
    let verdict = verdict_of(&snapshot, "KubeletTooOld");
    assert_eq!(verdict.state, CheckState::Unknown, "{:?}", verdict.lines);
}
