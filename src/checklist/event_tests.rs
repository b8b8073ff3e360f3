//! Judgements for events: what is due, what is red before it is, and what no go may rest on.

mod waivers;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::event::Occurrence;
use crate::labels::Labels;
use crate::metric::Sample;
use crate::snapshot::{Observation, Snapshot, Source, Store, Subject, Subjects};
use crate::value::Span;

const PROVISIONERS: &str = "
checklist: c
title: T
sections:
  - title: S
    checks:
      - name: TooFew
        item: '1'
        title: Enough provisioners
        metric: readiness_workload_ready_replicas
        when: { lead_time_within: 1d, participants_above: 10 }
        fails: { below: 10 }
        worsens: [{ at: 3, severity: critical }]
        severity: warning
        evidence: '{name} has {value}.'
        remedy: Scale.
";

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn event(name: &str, hours: i64, participants: u32) -> Occurrence {
    let start = now() + SignedDuration::from_hours(hours);
    let end = start + SignedDuration::from_hours(2);
    Occurrence {
        name: name.into(),
        of: name.split(" +").next().unwrap().into(),
        checklists: vec!["c".into()],
        start,
        zone: jiff::tz::TimeZone::UTC,
        end,
        participants: Some(participants),
        lead_times: vec![Span::days(2), Span::hours(1)],
        turn: None,
    }
}

fn source(collector: &'static str, emits: &'static str) -> Source {
    Source {
        collector,
        name: "s".into(),
        identity: Labels::default(),
        covers: Vec::new(),
        subjects: Subjects::Whole,
        emits: vec![emits],
        off: Arc::default(),
        reads: &[],
        selectors: Vec::new(),
        interval: Duration::from_mins(1),
        keep: Duration::from_mins(3),
    }
}

fn snapshot(family: &'static str, samples: &[(&[&str], f64)]) -> Snapshot {
    let declared = crate::collectors::family(family).unwrap();
    let collector = crate::collectors::owner(family);
    let store = Store::default();
    store.add(source(collector, family));
    let samples = samples.iter().map(|(labels, value)| Sample {
        family: declared,
        labels: labels.iter().map(|label| (*label).into()).collect(),
        value: *value,
        detail: None,
    });
    store.report(collector, "s", Duration::ZERO, Ok(Observation::new(samples.collect(), 1, 0)));
    store.snapshot()
}

fn ready(count: f64) -> Snapshot {
    snapshot("readiness_workload_ready_replicas", &[(&["us", "provisioners", "Deployment", "coder", "provisioner"], count)])
}

fn judged(checklist: &str, snapshot: &Snapshot, event: Option<&Occurrence>) -> Judgement {
    judge(&parse(checklist).unwrap(), &Context { event, ..Context::new(snapshot, now()) })
}

fn line(judgement: &Judgement) -> (CheckState, String) {
    let check = judgement.checks().next().unwrap();
    let lines = check.lines.iter().map(|line| format!("{} {}", line.severity, line.evidence)).chain(check.note.clone());
    (check.state, lines.collect::<Vec<_>>().join("; "))
}

#[test]
fn what_is_red_before_it_is_due_is_a_warning_that_says_when_it_blocks() {
    let early = event("demo", 47, 20);
    assert_eq!(line(&judged(PROVISIONERS, &ready(2.0), Some(&early))), (CheckState::Warn, "warning provisioner has 2. It blocks in 23h.".into()));
    assert_eq!(line(&judged(PROVISIONERS, &ready(2.0), Some(&event("demo", 23, 20)))), (CheckState::Fail, "critical provisioner has 2.".into()));
    assert_eq!(line(&judged(PROVISIONERS, &ready(10.0), Some(&early))), (CheckState::NotApplicable, "due in 23h; good as of now".into()));
    let (state, note) = line(&judged(PROVISIONERS, &snapshot("readiness_workload_ready_replicas", &[]), Some(&early)));
    assert!(state == CheckState::NotApplicable && note.starts_with("due in 23h; cannot be told yet: "), "{note}");
    // Long before, nobody prepares it; and for few people it is never needed.
    assert_eq!(line(&judged(PROVISIONERS, &ready(2.0), Some(&event("demo", 49, 20)))), (CheckState::NotApplicable, "due 1d before the event".into()));
    let few = line(&judged(PROVISIONERS, &ready(2.0), Some(&event("demo", 47, 5))));
    assert_eq!(few, (CheckState::NotApplicable, "5 participants expected; needed above 10".into()));
}

#[test]
fn the_time_at_which_it_blocks_can_be_overridden_where_there_is_one() {
    let mut checklist = parse(PROVISIONERS).unwrap();
    let change = serde_saphyr::from_str("TooFew: { lead_time_within: 2d }").unwrap();
    assert_eq!(checklist.apply(&change, "o"), []);
    let (snapshot, event) = (ready(2.0), event("demo", 47, 20));
    let state = judge(&checklist, &Context { event: Some(&event), ..Context::new(&snapshot, now()) });
    assert_eq!(line(&state).0, CheckState::Fail);
    let mut shipped = load("workshop", None).unwrap();
    let change = serde_saphyr::from_str("NodeNotReady: { lead_time_within: 2d }").unwrap();
    let problems: Vec<_> = shipped.apply(&change, "o").iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["o.NodeNotReady.lead_time_within: can not be set, because this check is due at all times"]);
}

#[test]
fn a_fact_about_one_event_is_no_verdict_on_another() {
    let text = "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ name: Hits, item: '1', title: t, metric: readiness_rotation_conflict_state, fails: { equals: conflict }, evidence: '{rotation}', remedy: r }] }]\n";
    let none = 0.0;
    let states = crate::collectors::family("readiness_rotation_conflict_state").unwrap().states;
    let conflict = states.iter().position(|state| *state == "conflict").unwrap() as f64;
    let seen = snapshot("readiness_rotation_conflict_state", &[(&["keys", "", "course"], conflict), (&["keys", "", "demo"], none)]);
    assert_eq!(line(&judged(text, &seen, Some(&event("course", 5, 20)))).0, CheckState::Fail);
    assert_eq!(line(&judged(text, &seen, Some(&event("demo", 5, 20)))).0, CheckState::Pass);
    assert_eq!(line(&judged(text, &seen, Some(&event("other", 5, 20)))).0, CheckState::Unknown);
    assert_eq!(line(&judged(text, &seen, None)), (CheckState::NotApplicable, "no event of this checklist is coming".into()));
}

/// One optional line that is good says nothing about what must be true.
#[test]
fn a_go_needs_a_required_line_that_passed() {
    let check = |name: &str, required: bool, kind: &str| {
        format!(
            "{{ name: {name}, item: '1', title: t, metric: readiness_http_success, where: {{ kind: {kind} }}, fails: is_false, required: {required}, evidence: e, remedy: r }}"
        )
    };
    let list = |checks: &[String]| format!("checklist: c\ntitle: T\nsections: [{{ title: S, checks: [{}] }}]\n", checks.join(", "));
    let seen = snapshot("readiness_http_success", &[(&["a", "healthz", "ipv4", "10.0.0.1"], 1.0)]);
    let decision = |text: &str| judged(text, &seen, None).decision;
    assert_eq!(decision(&list(&[check("Optional", false, "healthz")])), Decision::Undecided);
    assert_eq!(decision(&list(&[check("Needed", true, "healthz")])), Decision::Go);
    assert_eq!(decision(&list(&[check("Optional", false, "document"), check("Needed", true, "healthz")])), Decision::Go, "optional ones may be unknown");
}

#[test]
fn where_nothing_looks_neither_the_event_nor_its_participants_matter() {
    let text = "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ name: Room, item: '1', title: t, metric: readiness_node_group_ready_nodes, when: { participants_above: 5 }, fails: { below: 1 }, evidence: e, remedy: r }, { name: Soon, item: '2', title: t, metric: readiness_node_group_ready_nodes, when: { lead_time_within: 1h }, fails: { below: 1 }, evidence: e, remedy: r }] }]\n";
    let seen = snapshot("readiness_http_success", &[(&["a", "healthz", "ipv4", "10.0.0.1"], 1.0)]);
    for event in [None, Some(event("course", 240, 3))] {
        let judgement = judged(text, &seen, event.as_ref());
        for check in judgement.checks() {
            assert_eq!((check.unasked, check.note.as_deref()), (Some(Unasked::NotConfigured), Some("collectors.kubernetes is not configured")), "{check:#?}");
        }
    }
}

#[test]
fn a_rotation_waits_for_an_event_and_is_judged_then() {
    let checklist = load("workshop", None).unwrap();
    let rotation = Source { name: "rotations".into(), identity: Labels::default(), ..source("rotations", "readiness_rotation_next_timestamp_seconds") };
    assert_eq!(unjudged(std::slice::from_ref(&checklist), [rotation].iter()), []);
}

#[test]
fn what_no_check_asks_about_is_a_line_that_is_unknown() {
    let text = "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ name: Up, item: '1', title: t, metric: readiness_http_success, where: { kind: healthz }, fails: is_false, evidence: e, remedy: r }] }]\n";
    let mut checklist = parse(text).unwrap();
    let target = |name: &str, kind: &str| Source {
        name: name.into(),
        identity: [("target", name), ("kind", kind)].into_iter().collect(),
        ..source("http", "readiness_http_success")
    };
    let sources = [target("app", "healthz"), target("guide", "document")];
    let told =
        |checklist: &Checklist| unjudged(std::slice::from_ref(checklist), sources.iter()).iter().map(|own| own.sentence().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        told(&checklist),
        ["http guide of kind document is looked at, but no check of a configured checklist asks about it; checks ask about kind healthz."]
    );
    let seen = snapshot("readiness_http_success", &[(&["app", "healthz", "ipv4", "10.0.0.1"], 1.0)]);
    let found = unjudged(std::slice::from_ref(&checklist), sources.iter());
    let waiver = Waiver {
        check: NOT_JUDGED.into(),
        checklists: Vec::new(),
        labels: [("target".to_owned(), "guide".to_owned())].into(),
        event: None,
        who: "Ada".into(),
        why: "only a graph".into(),
        until: now() + SignedDuration::from_hours(1),
    };
    let judged = |waivers: &[Waiver]| judge(&checklist, &Context { waivers, unjudged: &found, ..Context::new(&seen, now()) });
    let undecided = judged(&[]);
    assert_eq!((undecided.decision, undecided.asked()), (Decision::Undecided, (2, 2)));
    assert_eq!(judged(&[waiver]).decision, Decision::Go);
    // A check that is switched off asks about nothing.
    checklist.apply(&serde_saphyr::from_str("Up: { enabled: false }").unwrap(), "o");
    assert_eq!(told(&checklist).len(), 2);
}

#[test]
fn every_kind_that_a_shipped_checklist_knows_is_judged_by_it() {
    for (checklist, kind) in ["workshop", "estate"].into_iter().flat_map(|list| ["healthz", "wildcard", "document", "identity"].map(|kind| (list, kind))) {
        let checklist = load(checklist, None).unwrap();
        let target = Source { identity: [("target", "t"), ("kind", kind)].into_iter().collect(), ..source("http", "readiness_http_success") };
        let is_identity = kind == "identity";
        let target =
            Source { emits: if is_identity { vec!["readiness_http_success", "readiness_http_identity_match"] } else { target.emits.clone() }, ..target };
        assert_eq!(unjudged(std::slice::from_ref(&checklist), [&target].into_iter()), [], "{kind}");
    }
}

#[test]
fn what_is_red_for_one_event_is_green_at_once_for_another_that_is_added() {
    let checklist = parse(
        "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ name: Ends, item: '1', title: t, metric: readiness_credential_expiry_timestamp_seconds, fails: { expires_within: { after_event_end: 1h } }, evidence: e, remedy: r }] }]\n",
    )
    .unwrap();
    let (soon, late) = (event("soon", 24, 5), event("late", 480, 5));
    let end = (now() + SignedDuration::from_hours(240)).as_second() as f64;
    let round = |memories: &mut Memories, look: u64, events: &[&Occurrence]| {
        let mut seen = snapshot("readiness_credential_expiry_timestamp_seconds", &[(&["key", "jwt"], end)]);
        seen.views[0].looks = look;
        let mut judged: Vec<_> = events.iter().map(|event| judge(&checklist, &Context { event: Some(event), ..Context::new(&seen, now()) })).collect();
        memories.apply(&mut judged, true);
        judged.iter().map(|judgement| judgement.checks().next().unwrap().state).collect::<Vec<_>>()
    };
    // By the look that is there already, and by a new one, since a reload may start looks anew.
    for look in [1, 2] {
        let mut memories = Memories::default();
        assert_eq!(round(&mut memories, 1, &[&late]), [CheckState::Fail]);
        assert_eq!(round(&mut memories, look, &[&soon, &late]), [CheckState::Pass, CheckState::Fail]);
    }
    let mut memories = Memories::default();
    assert_eq!(round(&mut memories, 1, &[&late]), [CheckState::Fail]);
    assert_eq!(round(&mut memories, 1, &[&soon]), [CheckState::Pass], "the other one is over");
}

/// After the end of an occurrence the next one has its name, and what is there was seen while it had another one.
#[test]
fn facts_of_an_occurrence_that_is_over_say_nothing_of_the_next_one() {
    let checklist = parse("checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ name: Hits, item: '1', title: t, metric: readiness_rotation_conflict_state, fails: { equals: conflict }, evidence: '{rotation} hits {event}', remedy: r }] }]\n").unwrap();
    let states = crate::collectors::family("readiness_rotation_conflict_state").unwrap().states;
    let of = |state: &str| states.iter().position(|own| *own == state).unwrap() as f64;
    let (none, conflict) = (of("none"), of("conflict"));
    let turn = |before: &str| Some(crate::event::Turn { at: now(), before: before.into(), since: Timestamp::MIN });
    let second = SignedDuration::from_secs(1);
    let (running, next) = (event("daily", -2, 20), Occurrence { turn: turn("daily +1"), ..event("daily", 22, 20) });
    let after = Occurrence { turn: turn("daily +2"), ..event("daily +1", 46, 20) };
    let later = Occurrence { name: "daily +1".into(), turn: None, ..next.clone() };
    for (first, second_one) in [(none, conflict), (conflict, none)] {
        let seen = |look: u64, at: Timestamp, states: &[(&str, f64)]| {
            let own: Vec<_> = states.iter().map(|(event, state)| (["keys", "", *event], *state)).collect();
            let all: Vec<(&[&str], f64)> = own.iter().map(|(labels, state)| (labels.as_slice(), *state)).collect();
            let mut seen = snapshot("readiness_rotation_conflict_state", &all);
            (seen.views[0].looks, seen.views[0].seen_at) = (look, Some(at));
            seen
        };
        let mut memories = Memories::default();
        let mut round = |seen: &Snapshot, events: &[&Occurrence]| {
            let mut judged: Vec<_> = events.iter().map(|event| judge(&checklist, &Context { event: Some(event), ..Context::new(seen, now()) })).collect();
            memories.apply(&mut judged, true);
            judged.iter().map(line).collect::<Vec<_>>()
        };
        let old = seen(1, now() - second, &[("daily", first), ("daily +1", second_one)]);
        let before = round(&old, &[&running, &later]);
        let told = round(&old, &[&next, &after]);
        let state = |value: f64| if (value - conflict).abs() < 0.5 { CheckState::Fail } else { CheckState::Pass };
        assert_eq!((before[0].0, before[1].0), (state(first), state(second_one)));
        assert_eq!(told[0].0, state(second_one), "{told:?}");
        assert!(told[0].1.contains("daily") && !told[0].1.contains("daily +1"), "by the name that it has now: {told:?}");
        assert_eq!(told[1].0, CheckState::Unknown, "nobody has looked at that one yet");
        let new = seen(2, now() + second, &[("daily", second_one), ("daily +1", none)]);
        assert_eq!(round(&new, &[&next])[0].0, state(second_one));
    }
}

#[test]
fn who_cannot_tell_says_why() {
    let family = "readiness_credential_last_used_timestamp_seconds";
    let text = format!(
        "checklist: c\ntitle: T\nsections: [{{ title: S, checks: [{{ name: Old, item: '1', title: t, metric: {family}, fails: {{ older_than: 24h }}, evidence: e, remedy: r }}] }}]\n"
    );
    let said = |value: f64| judged(&text, &snapshot(family, &[(&["good", "127.0.0.1"], value)]), None).checks().next().unwrap().lines[0].evidence.to_string();
    assert_eq!(said(now().as_second() as f64 + 1e6), "Cannot tell for good / 127.0.0.1: it is still to come, so it has no age.");
    assert_eq!(said(f64::NAN), "Cannot tell for good / 127.0.0.1: it was looked at, and showed no value.");
    assert!(said(now().as_second() as f64 - 60.0).starts_with("good / 127.0.0.1: "), "good");
}

/// A summary quotes the first line and counts the others.
#[test]
fn of_lines_that_are_red_the_loudest_comes_first() {
    let text = "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ name: Slow, item: '1', title: t, metric: readiness_dns_cname_hops, fails: { above: 3 }, worsens: [{ at: 8, severity: critical }], evidence: '{target} {value}', remedy: r }] }]\n";
    let hops = snapshot("readiness_dns_cname_hops", &[(&["a", "public"], 5.0), (&["b", "public"], 9.0), (&["c", "public"], 1.0)]);
    let judged = judged(text, &hops, None);
    let told: Vec<_> = judged.checks().next().unwrap().lines.iter().map(|line| line.evidence.to_string()).collect();
    assert_eq!(told[..2], ["b 9", "a 5"], "{told:?}");
}

/// A tick beside an end that is near would be taken for a mistake, or for one that lasts.
#[test]
fn what_is_good_although_it_ends_soon_says_when_and_why() {
    let due = "readiness_tls_chain_due_not_after_timestamp_seconds";
    let [due_family, renewal] = [due, "readiness_tls_renewal_state"].map(|name| crate::collectors::family(name).unwrap());
    let text = format!(
        "checklist: c\ntitle: T\nsections: [{{ title: S, checks: [{{ name: Soon, item: '1', title: t, metric: {due}, fails: {{ expires_within: 7d }}, evidence: e, remedy: r }}] }}]\n"
    );
    let sample = |family, address: &str, value: f64, detail: Option<&'static str>| Sample {
        family,
        labels: ["shop", address].into_iter().map(Into::into).collect(),
        value,
        detail: detail.map(Into::into),
    };
    let is = |state: &str| renewal.states.iter().position(|own| *own == state).unwrap() as f64;
    let said = |samples: Vec<Sample>| {
        let store = Store::default();
        store.add(source("tls", due));
        store.report("tls", "s", Duration::ZERO, Ok(Observation::new(samples, 1, 0)));
        let judged = judged(&text, &store.snapshot(), None);
        let check = judged.checks().next().unwrap();
        (check.state, check.lines.iter().map(|line| line.evidence.to_string()).collect::<Vec<_>>(), check.more_good)
    };
    let young = || sample(renewal, "10.0.0.1", is("young"), Some("it expires at noon, and its renewal is due in the morning"));
    let why = "shop / 10.0.0.1: it expires at noon, and its renewal is due in the morning.".to_owned();
    assert_eq!(said(vec![young()]), (CheckState::Pass, vec![why.clone()], 0));
    let in_days = |days: i64| sample(due_family, "10.0.0.2", (now().as_second() + days * 86_400) as f64, None);
    let beside = |days: i64| said(vec![young(), sample(renewal, "10.0.0.2", is("due"), None), in_days(days)]);
    assert_eq!(beside(3), (CheckState::Fail, vec!["e".to_owned(), why.clone()], 0), "it excuses no other");
    let (state, lines, _) = beside(30);
    assert!(state == CheckState::Pass && lines.len() == 2 && lines.contains(&why), "{lines:?}");
    assert_eq!(said(vec![sample(renewal, "10.0.0.1", is("unknown"), Some("no answer"))]).0, CheckState::Unknown);
}

#[test]
fn what_nothing_in_a_collector_shows_is_told_with_what_makes_it() {
    let text = "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ name: Target, item: '1', title: t, metric: readiness_dns_target_state, fails: { equals: mismatch }, evidence: e, remedy: r }] }]\n";
    let store = Store::default();
    store.add(source("dns", "readiness_dns_success"));
    let judged = judged(text, &store.snapshot(), None);
    let check = judged.checks().next().unwrap();
    assert_eq!(
        (check.state, check.lines[0].evidence.as_ref(), check.advice().join(" ").as_str()),
        (
            CheckState::Unknown,
            "collectors.dns is configured, but nothing in it shows readiness_dns_target_state.",
            "Add `expect` to a name in collectors.dns.names, or disable this check with `enabled: false` in the overrides."
        )
    );
}

#[test]
fn what_only_a_person_knows_is_due_at_no_time_of_its_own() {
    let text = "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ attest: A, item: '1', title: t, remedy: r, when: { lead_time_within: 1d } }] }]\n";
    let problems = parse(text).unwrap_err();
    assert!(problems[0].to_string().contains("must have none of when"), "{problems:?}");
}

#[test]
fn a_cluster_that_others_read_is_there_for_them_and_its_workloads_are_not() {
    let text = "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ name: Same, item: '1', title: t, metric: readiness_image_clusters_state, fails: { equals: different }, evidence: e, remedy: r }] }]\n";
    let subject = |what: &str, labels: Labels| Subject { what: what.into(), labels, families: vec!["readiness_workload_ready_replicas"] };
    let cluster: Labels = [("cluster", "eu")].into();
    let subjects = Subjects::Each(vec![subject("cluster eu", cluster.clone()), subject("workload app", [("cluster", "eu"), ("selector", "app")].into())]);
    let watched = Source { identity: cluster, subjects, ..source("kubernetes", "readiness_workload_ready_replicas") };
    let group = Source { reads: &["kubernetes"], ..source("registry", "readiness_image_clusters_state") };
    let told = |sources: &[Source]| unjudged(&[parse(text).unwrap()], sources.iter()).iter().map(|own| own.sentence().to_owned()).collect::<Vec<_>>();
    let line = |what: &str| format!("kubernetes {what} is looked at, but no check of a configured checklist asks about it.");
    assert_eq!(told(&[watched.clone(), group.clone()]), [line("workload app")]);
    // Who names its selector judges what comes of it.
    assert_eq!(told(&[watched.clone(), Source { selectors: vec!["app".into()], ..group }]), [""; 0]);
    assert_eq!(told(&[watched]), [line("cluster eu"), line("workload app")]);
}

#[test]
fn what_a_reload_took_out_of_sight_is_no_repair() {
    let list = |bound: &str, more: &str| {
        parse(&format!(
            "checklist: c\ntitle: T\nsections: [{{ title: S, checks: [{{ name: Slow, item: '1', title: t, metric: readiness_dns_cname_hops, fails: {{ above: {bound} }}, evidence: e, remedy: r }}{more}] }}]\n"
        ))
        .unwrap()
    };
    let (both, one) = ([(&["a", "public"][..], 1.0), (&["b", "public"][..], 9.0)], [(&["a", "public"][..], 1.0)]);
    let repaired = [(&["a", "public"][..], 1.0), (&["b", "public"][..], 1.0)];
    // What is told of how the verdict changed, by the checklists and the facts before and after a reload.
    let told = |before: &Checklist, after: &Checklist, facts: &[(&[&str], f64)]| {
        let judged = |list: &Checklist, facts: &[(&[&str], f64)]| vec![judge(list, &Context::new(&snapshot("readiness_dns_cname_hops", facts), now()))];
        let mut history = crate::history::History::default();
        let was = Arc::new(judged(before, &both));
        history.record(&mut was.iter().map(Judgement::verdicts).collect::<Vec<_>>());
        let is = judged(after, facts);
        let left = Left::new(Arc::clone(&was), std::slice::from_ref(before), std::slice::from_ref(after));
        let mut verdicts: Vec<_> = is.iter().map(Judgement::verdicts).collect();
        left.explain(&is, &mut verdicts);
        history.record(&mut verdicts);
        history.since(jiff::Timestamp::UNIX_EPOCH).into_iter().filter(|change| change.subject.is_none()).skip(2).map(crate::report::words).collect::<Vec<_>>()
    };
    let same = list("3", "");
    let decision = "c: decision: the configuration was changed for what was not good (was no go, is go)";
    assert_eq!(told(&same, &same, &one), [decision, "c: Slow: public / b is looked at no longer (was fail, is pass)"]);
    assert_eq!(told(&same, &list("20", ""), &both), [decision, "c: Slow: it asks something else since the configuration was changed (was fail, is pass)"]);
    let mut optional = same.clone();
    optional.sections[0].checks[0].required = false;
    let blocked = decision.replace("is go", "is undecided");
    assert_eq!(told(&same, &optional, &both), [blocked.as_str(), "c: Slow: it does not block since the configuration was changed (was fail, is warn)"]);
    let other = ", { name: Other, item: '2', title: t, metric: readiness_dns_cname_hops, fails: { above: 30 }, evidence: e, remedy: r }";
    let without = |text: Checklist| {
        let mut without = text;
        without.sections[0].checks.remove(0);
        without
    };
    assert_eq!(told(&list("3", other), &without(list("3", other)), &both), [decision, "c: Slow: it is asked no longer (was fail, is not applicable)"]);
    assert_eq!(told(&same, &same, &repaired), ["c: decision no go -> go", "c: Slow fail -> pass"]);
}
