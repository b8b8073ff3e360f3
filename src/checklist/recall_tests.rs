//! A judgement with what is recalled is the same as one without, whatever changes between them.

use std::time::Duration;

use super::*;
use crate::collectors;
use crate::event::Occurrence;
use crate::snapshot::{Snapshot, Source, Store};

const SUBJECTS: usize = 130;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn event(name: &str, hours: i64) -> Occurrence {
    let start = now() + jiff::SignedDuration::from_hours(hours);
    Occurrence {
        name: name.to_owned(),
        of: name.to_owned(),
        checklists: vec!["workshop".into()],
        start,
        end: start + jiff::SignedDuration::from_hours(3),
        participants: Some(20),
        lead_times: Vec::new(),
        turn: None,
        zone: jiff::tz::TimeZone::UTC,
    }
}

/// Facts of a check: many subjects, of which those given are as odd as their number.
fn facts(check: &Check, odd: &[(usize, usize)]) -> Vec<Given> {
    let Kind::Fact { family, condition, .. } = &check.kind else { return Vec::new() };
    let label =
        |name: &str, subject: usize| check.filter.get(name).cloned().unwrap_or_else(|| if name == "event" { "a".into() } else { format!("s{subject}") });
    let of = |family: &'static crate::metric::Family, subject: usize, kind: usize| Given {
        family,
        labels: family.labels.iter().map(|name| label(name, subject)).collect(),
        state: (!family.states.is_empty()).then(|| family.states[kind % family.states.len()].to_owned()),
        value: [1.0, 0.0, 1e12, f64::NAN, -5.0, 1.795e9][kind % 6],
    };
    let kind = |subject: usize| odd.iter().find(|(own, _)| *own == subject).map_or(0, |(_, kind)| *kind);
    let mut given: Vec<_> = (0..SUBJECTS).map(|subject| of(family, subject, kind(subject))).collect();
    let speaker = family.covered_by.and_then(|coverage| collectors::family(coverage.states).ok());
    given.extend(
        speaker.into_iter().flat_map(|speaker| (0..3).map(move |subject| (speaker, subject))).map(|(speaker, subject)| of(speaker, subject, kind(subject))),
    );
    let other = condition.other().and_then(|other| collectors::family(other).ok());
    given.extend(other.into_iter().flat_map(|other| (0..SUBJECTS).map(move |subject| (other, subject))).map(|(other, subject)| of(other, subject, 0)));
    given
}

fn looked(snapshot: &Snapshot, looks: u64) -> Snapshot {
    let mut snapshot = snapshot.clone();
    snapshot.views[0].looks = looks;
    snapshot.views[0].seen_at = Some(now() + jiff::SignedDuration::from_secs(i64::try_from(looks).unwrap()));
    snapshot
}

fn told(judgement: &Judgement) -> String {
    let looks: Vec<u64> = judgement.checks().flat_map(|check| &check.lines).map(|line| line.look).collect();
    format!("{} {looks:?}", serde_json::to_string(judgement).unwrap())
}

#[test]
fn a_judgement_with_what_is_recalled_is_the_same_as_one_without() {
    let events = [event("a", 40), event("b", 2)];
    for (_, text) in SHIPPED {
        let whole = parse(text).unwrap();
        for check in whole.checks().filter(|check| matches!(check.kind, Kind::Fact { .. })) {
            let Kind::Fact { family, .. } = &check.kind else { continue };
            let section = Section { title: "s".into(), checks: vec![check.clone()] };
            let checklist = Checklist { sections: vec![section], ..whole.clone() };
            let scene_of = |odd: &[(usize, usize)]| scene(&facts(check, odd), family, now());
            let (good, bad, other) = (scene_of(&[]), scene_of(&[(3, 1), (100, 1), (120, 2)]), scene_of(&[(0, 3), (100, 4), (7, 5)]));
            let (mut memory, mut recalls) = (Memory::default(), Recalls::default());
            for (look, (snapshot, event)) in [&good, &good, &bad, &bad, &bad, &good, &good, &good, &other, &good, &good, &good, &good]
                .into_iter()
                .zip([None, None, None, Some(&events[0]), Some(&events[1]), Some(&events[0]), Some(&events[0])].into_iter().cycle())
                .enumerate()
            {
                let look = look as u64;
                let (snapshot, now) = (looked(snapshot, look), now() + Duration::from_mins(20 * look));
                let context = Context { event, memory: Some(&memory), ..Context::new(&snapshot, now) };
                let without = judge(&checklist, &context);
                let mut with = judge(&checklist, &Context { recall: Some(recalls.of("workshop")), ..context });
                recalls.forget_unused();
                assert_eq!(told(&with), told(&without), "{} at look {look}", check.name);
                memory.apply(&mut with, Look { first: false, of_all: true });
            }
        }
    }
}

#[test]
fn only_what_changed_is_judged_again() {
    let checklist = parse(SHIPPED[0].1).unwrap();
    let check = checklist.checks().find(|check| check.name == "NodeCordoned").unwrap();
    let Kind::Fact { family, .. } = &check.kind else { unreachable!("it is about a fact") };
    let snapshot = scene(&facts(check, &[]), family, now());
    let pieces = |snapshot: &Snapshot| recall::pieces(&[(&snapshot.views[0], family.name)].into_iter());
    let rests_on = |snapshot: &Snapshot| recall::RestsOn { pieces: pieces(snapshot).unwrap(), event: None, known: 0, room: 50 };
    let recalled = Recall::default();
    let mut made = 0;
    let mut lines = |snapshot: &Snapshot| {
        recalled.lines("NodeCordoned", &snapshot.views[0], rests_on(snapshot), || {
            made += 1;
            rule::Lines::default()
        });
        made
    };
    assert_eq!([lines(&snapshot), lines(&looked(&snapshot, 5)), lines(&scene(&facts(check, &[]), family, now()))], [1, 1, 2]);
    // A few facts are judged each time.
    let few = scene(&facts(check, &[])[..20], family, now());
    assert!(pieces(&few).is_none());
}

#[test]
fn what_nobody_asks_for_any_more_is_forgotten() {
    let checklist = parse(SHIPPED[0].1).unwrap();
    let check = checklist.checks().find(|check| check.name == "NodeCordoned").unwrap();
    let Kind::Fact { family, .. } = &check.kind else { unreachable!("it is about a fact") };
    let mut recalls = Recalls::default();
    for _ in 0..3 {
        let snapshot = scene(&facts(check, &[]), family, now());
        judge(&checklist, &Context { recall: Some(recalls.of("workshop")), ..Context::new(&snapshot, now()) });
        recalls.forget_unused();
        assert_eq!(recalls.count(), 1, "one for the facts of now");
    }
    let store = Store::default();
    store.add(Source::new("kubernetes", "another", Duration::from_secs(1)));
    judge(&checklist, &Context { recall: Some(recalls.of("workshop")), ..Context::new(&store.snapshot(), now()) });
    recalls.forget_unused();
    assert_eq!(recalls.count(), 0);
}
