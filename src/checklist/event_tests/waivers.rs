//! Waivers and confirmations, of an event and of all.

use super::*;

#[test]
fn a_confirmation_that_lapses_before_the_event_is_over_warns_while_the_event_is_prepared() {
    let text = "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ attest: OnCallConfirmed, item: '1', title: t, remedy: r }] }]\n";
    let state = |lasts: i64, starts: i64| {
        let until = (now() + SignedDuration::from_hours(lasts)).as_second() as f64;
        let seen = snapshot("readiness_attestation_expiry_timestamp_seconds", &[(&["OnCallConfirmed", ""], until)]);
        let judgement = judged(text, &seen, Some(&event("course", starts, 5)));
        let check = judgement.checks().next().unwrap().clone();
        (check.state, check.lines[0].evidence.contains("before the event ends"))
    };
    assert_eq!(state(60, 24), (CheckState::Pass, false));
    assert_eq!(state(20, 24), (CheckState::Warn, true));
    assert_eq!(state(25, 24), (CheckState::Warn, true), "it lapses while the event runs");
    assert_eq!(state(20, 240), (CheckState::Pass, true), "ten days ahead it will be said again");
    assert_eq!(state(-1, 24).0, CheckState::Unknown);
    // What was said for an event counts for the occurrences after the next one as well, and who relies on one of those
    // reads that somebody must say it again.
    let later = |said_for: &str, lasts: i64| {
        let until = (now() + SignedDuration::from_hours(lasts)).as_second() as f64;
        let seen = snapshot("readiness_attestation_expiry_timestamp_seconds", &[(&["OnCallConfirmed", said_for], until)]);
        judged(text, &seen, Some(&event("course +1", 24, 5))).checks().next().unwrap().state
    };
    assert_eq!([later("course", 2), later("other", 2), later("course", -1)], [CheckState::Warn, CheckState::Unknown, CheckState::Unknown]);
}

/// A waiver of the check `Up` that lasts so many hours.
fn waiver_of_up(hours: i64) -> Waiver {
    Waiver {
        check: "Up".into(),
        checklists: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        event: None,
        who: "Ada".into(),
        why: "known.".into(),
        until: now() + SignedDuration::from_hours(hours),
    }
}

#[test]
fn a_waiver_that_ends_before_the_event_is_over_warns_while_the_event_is_prepared() {
    let checklist = parse(
        "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ name: Up, item: '1', title: t, metric: readiness_dns_success, fails: is_false, evidence: e, remedy: r }] }]\n",
    )
    .unwrap();
    let seen = snapshot("readiness_dns_success", &[(&["a.example", "public"], 0.0)]);
    let line = |lasts: i64, starts: i64| {
        let waiver = waiver_of_up(lasts);
        let (event, waivers) = (event("course", starts, 5), [waiver]);
        let judged = judge(&checklist, &Context { event: Some(&event), waivers: &waivers, ..Context::new(&seen, now()) });
        let check = judged.checks().next().unwrap();
        (check.state, check.lines[0].evidence.contains(", which is before the event ends: known (Ada)."))
    };
    assert_eq!(line(60, 24), (CheckState::Waived, false));
    assert_eq!(line(20, 24), (CheckState::Warn, true));
    assert_eq!(line(20, 240), (CheckState::Waived, false), "ten days ahead it may be mended by then");
    assert_eq!(line(-1, 24).0, CheckState::Fail);
}

/// What is said of a name look after look, with a waiver in some of them.
fn of_name(rounds: &[(f64, u64, bool)]) -> Vec<CheckState> {
    let checklist = parse(
        "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ name: Up, item: '1', title: t, metric: readiness_dns_success, fails: is_false, evidence: e, remedy: r }] }]\n",
    )
    .unwrap();
    let waiver = waiver_of_up(60);
    let mut memory = Memory::default();
    let mut state = |(value, look, is_waived): (f64, u64, bool)| {
        let mut seen = snapshot("readiness_dns_success", &[(&["a.example", "public"], value)]);
        seen.views[0].looks = look;
        let waivers = if is_waived { vec![waiver.clone()] } else { Vec::new() };
        let mut judged = judge(&checklist, &Context { waivers: &waivers, ..Context::new(&seen, now()) });
        memory.apply(&mut judged, Look { first: false, of_all: true });
        judged.checks().next().unwrap().state
    };
    rounds.iter().map(|round| state(*round)).collect()
}

#[test]
fn what_was_waived_and_is_repaired_does_not_block_until_it_is_surely_good() {
    use CheckState::{Fail, Pass, Waived};
    assert_eq!(of_name(&[(0.0, 1, false), (0.0, 2, true), (1.0, 3, true), (1.0, 4, true)]), [Fail, Waived, Waived, Pass]);
    // It breaks again after the waiver is gone.
    assert_eq!(of_name(&[(0.0, 1, false), (0.0, 2, true), (1.0, 3, true), (0.0, 4, false), (1.0, 5, false)]), [Fail, Waived, Waived, Fail, Fail]);
    assert_eq!(of_name(&[(0.0, 1, false), (1.0, 2, false), (1.0, 3, false)]), [Fail, Fail, Pass]);
}

#[test]
fn what_was_confirmed_for_another_event_is_told() {
    let text = "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ attest: OnCallConfirmed, item: '1', title: t, remedy: r }] }]\n";
    let (family, until) = ("readiness_attestation_expiry_timestamp_seconds", now().as_second() as f64 - 60.0);
    let evidence =
        |said: &[(&[&str], f64)]| judged(text, &snapshot(family, said), Some(&event("course", 24, 5))).checks().next().unwrap().lines[0].evidence.to_string();
    assert_eq!(evidence(&[]), "nobody has confirmed this yet.");
    let other = evidence(&[(&["OnCallConfirmed", "demo"], until)]);
    assert_eq!(other, "nobody has confirmed this for this event; for demo it was confirmed, which counted until 2026-11-21 11:59 UTC.");
    let none = judged(text, &snapshot(family, &[(&["OnCallConfirmed", "demo"], until)]), None);
    let line = &none.checks().next().unwrap().lines[0];
    assert!(line.evidence.starts_with("nobody has confirmed this for now, while no event is coming; for demo it was confirmed"), "{line:?}");
}

#[test]
fn a_confirmation_whose_line_is_misspelt_is_told_where_it_is_missed() {
    let text = "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ attest: OnCallConfirmed, item: '1', title: t, remedy: r }] }]\n";
    let family = "readiness_attestations_refused";
    let evidence =
        |name: &str| judged(text, &snapshot(family, &[(&[name], 1.0)]), Some(&event("course", 24, 5))).checks().next().unwrap().lines[0].evidence.to_string();
    for wrong in ["OnCalConfirmed", "oncallconfirmed", "on-call-confirmed", "OnCallConfirmd"] {
        assert_eq!(evidence(wrong), format!("nobody has confirmed this yet; the file has an entry for {wrong}, which is no line of a checklist."));
    }
    for other in ["", "RoomBooked", "AgendaShared"] {
        assert_eq!(evidence(other), "nobody has confirmed this yet.");
    }
}

#[test]
fn a_waiver_of_one_event_holds_in_its_occurrences_alone() {
    let checklist = parse(
        "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ name: Up, item: '1', title: t, metric: readiness_dns_success, fails: is_false, evidence: e, remedy: r }] }]\n",
    )
    .unwrap();
    let seen = snapshot("readiness_dns_success", &[(&["a.example", "public"], 0.0)]);
    let waivers = [Waiver { event: Some("course".into()), ..waiver_of_up(60) }];
    let state = |of: Option<&str>| {
        let coming = of.map(|name| event(name, 24, 5));
        let judged = judge(&checklist, &Context { event: coming.as_ref(), waivers: &waivers, ..Context::new(&seen, now()) });
        judged.checks().next().unwrap().state
    };
    assert_eq!([state(Some("course")), state(Some("course +1"))], [CheckState::Waived; 2]);
    assert_eq!([state(Some("demo")), state(None)], [CheckState::Fail; 2]);
}

#[test]
fn of_several_waivers_the_one_that_lasts_longest_counts() {
    let seen = snapshot("readiness_http_success", &[(&["app", "healthz", "ipv4", "10.0.0.1"], 0.0)]);
    let waivers = [1, 200].map(waiver_of_up);
    let event = event("launch", 24, 20);
    let text = "checklist: c\ntitle: T\nsections: [{ title: S, checks: [{ name: Up, item: '1', title: t, metric: readiness_http_success, fails: is_false, evidence: e, remedy: r }] }]\n";
    let checklist = parse(text).unwrap();
    for waivers in [waivers.clone().to_vec(), waivers.into_iter().rev().collect()] {
        let judged = judge(&checklist, &Context { event: Some(&event), waivers: &waivers, ..Context::new(&seen, now()) });
        assert_eq!(line(&judged).0, CheckState::Waived, "{:?}", line(&judged));
    }
}
