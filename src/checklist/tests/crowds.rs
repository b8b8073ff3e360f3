//! Many subjects of one check, and many sources of one kind.

use super::*;

/// A node beyond those that get a line of their own must not turn green faster than others.
#[test]
fn in_a_crowd_good_lines_are_counted_and_a_red_one_is_remembered() {
    let family = crate::collectors::family("readiness_node_schedulable").unwrap();
    let mut memory = Memory::default();
    let mut verdict = |broken: bool, look: u64| {
        let value = |node: u32| if broken && node == 900 { 0.0 } else { 1.0 };
        let given: Vec<Given> =
            (0..1000).map(|node| Given { family, labels: vec!["eu".into(), format!("n{node:04}")], state: None, value: value(node) }).collect();
        let mut snapshot = scene(&given, family, now());
        snapshot.views[0].looks = look;
        let context = Context { memory: Some(&memory), ..Context::new(&snapshot, now()) };
        let mut judgement = judge(&shipped()[0], &context);
        memory.apply(&mut judgement, Look { first: false, of_all: true });
        judgement.checks().find(|check| check.name == "NodeCordoned").unwrap().clone()
    };
    let seen = |verdict: &CheckVerdict| (verdict.state, verdict.lines.len() + verdict.more_good);
    let first = verdict(false, 1);
    assert_eq!(seen(&first), (CheckState::Pass, 1000));
    assert!(first.lines.len() < 100, "{} lines", first.lines.len());
    let second = verdict(true, 2);
    assert_eq!(seen(&second), (CheckState::Warn, 1000));
    assert_eq!(second.lines[0].labels.get("node"), Some("n0900"));
    assert_eq!(seen(&verdict(false, 3)), (CheckState::Warn, 1000), "one good look is not enough");
    assert_eq!(seen(&verdict(false, 4)), (CheckState::Pass, 1000));
}

#[test]
fn of_hundreds_of_sources_in_which_nothing_is_wrong_some_have_a_line_and_all_are_counted() {
    let family = crate::collectors::family("readiness_evictions").unwrap();
    let states = crate::collectors::family("readiness_selector_state").unwrap();
    let seen = |cluster: u32| {
        let scope =
            |kind: &str| Given { family: states, labels: vec![format!("c{cluster}"), kind.into(), kind.into()], state: Some("matched".into()), value: 1.0 };
        scene(&[scope("Pod"), scope("Event")], family, now()).views
    };
    let snapshot = Snapshot { views: (0..300).flat_map(seen).collect() };
    let verdict = verdict_of(&snapshot, "PodsEvicted");
    assert_eq!((verdict.state, verdict.lines.len(), verdict.more_good), (CheckState::Pass, 50, 250));
}
