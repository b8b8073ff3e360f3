//! What is kept of changes, and how it is told.

use super::*;
use crate::labels::Labels;

fn judged(second: i64, decision: &'static str) -> Verdicts<'static> {
    Verdicts {
        at: Timestamp::from_second(second).unwrap(),
        checklist: "c",
        event: None,
        states: vec![(None, decision)],
        lines: Vec::new(),
        first: BTreeSet::new(),
        left: BTreeMap::new(),
    }
}

#[test]
fn what_was_recorded_before_comes_first() {
    let (mut before, mut after) = (History::default(), History::default());
    before.record(&mut [judged(10, "go")]);
    before.record(&mut [judged(11, "no_go")]);
    after.record(&mut [judged(20, "go")]);
    after.follow(before.clone());
    let at: Vec<_> = after.since(Timestamp::UNIX_EPOCH).iter().map(|change| change.at.as_second()).collect();
    assert_eq!(at, [10, 11, 20]);
    assert!(!after.record(&mut [judged(21, "go")]), "what was seen since is what it was last");
    let mut fresh = History::default();
    fresh.follow(before);
    assert!(fresh.record(&mut [judged(30, "go")]) && fresh.since(Timestamp::UNIX_EPOCH).last().unwrap().from.as_deref() == Some("no_go"));
}

#[test]
fn what_is_red_when_it_is_first_judged_has_a_row() {
    let mut history = History::default();
    let states = vec![(None, "no_go"), (Some("Red"), "fail"), (Some("Unseen"), "unknown"), (Some("Good"), "pass"), (Some("Off"), "not_applicable")];
    history.record(&mut [Verdicts { states, ..judged(10, "no_go") }]);
    let told: Vec<_> = history.since(Timestamp::UNIX_EPOCH).into_iter().map(crate::report::words).collect();
    assert_eq!(told, ["c: decision no go", "c: Red fail when it was first judged", "c: Unseen unknown when it was first judged"]);
}

#[test]
fn only_what_changes_is_kept_and_not_for_ever() {
    let mut history = History::default();
    assert!(history.record(&mut [judged(10, "undecided")]));
    assert!(!history.record(&mut [judged(11, "undecided")]));
    assert!(history.record(&mut [judged(12, "go")]));
    let told: Vec<_> = history.since(Timestamp::from_second(11).unwrap()).into_iter().map(|change| (change.from.as_deref(), change.to.as_str())).collect();
    assert_eq!(told, [(Some("undecided"), "go")]);
    for second in 0..5_000 {
        history.record(&mut [judged(100 + second, if second % 2 == 0 { "no_go" } else { "go" })]);
    }
    assert_eq!(history.since(Timestamp::UNIX_EPOCH).len(), MOST);
    history.record(&mut [judged(100 + 5_000 + LONGEST, "no_go")]);
    assert_eq!(history.since(Timestamp::UNIX_EPOCH).len(), 1);
}

impl Judged for Vec<Seen<'_>> {
    fn lines(&self) -> Box<dyn Iterator<Item = Seen<'_>> + '_> {
        Box::new(self.iter().cloned())
    }
}

/// The state of a check, and its lines: of each a subject, a state and a sentence.
type Look<'a> = (&'static str, &'a [(&'a str, &'static str, &'a str)]);

/// What is told of a check after each of these looks.
fn told(looks: &[Look<'_>]) -> Vec<String> {
    let mut history = History::default();
    for (second, (state, lines)) in looks.iter().enumerate() {
        let labels: Vec<Labels> = lines.iter().map(|(subject, ..)| subject.split(' ').zip(["a", "b"]).map(|(value, name)| (name, value)).collect()).collect();
        let seen: Vec<_> = lines.iter().zip(&labels).map(|((_, state, evidence), labels)| Seen { state, labels, evidence }).collect();
        let states = vec![(None, "no_go"), (Some("Down"), *state)];
        let at = i64::try_from(second).unwrap();
        let own = Verdicts { states, lines: vec![("Down", &seen)], ..judged(at, "no_go") };
        // The next one of the same event asks the same.
        let next = Verdicts { event: Some("e +1"), ..own.clone() };
        history.record(&mut [own, next]);
    }
    let of_lines = history.since(Timestamp::UNIX_EPOCH).into_iter().filter(|change| change.subject.is_some());
    of_lines.map(|change| format!("{} {}", change.at.as_second(), crate::report::words(change))).collect()
}

#[test]
fn each_line_that_turns_has_a_row_with_what_was_seen() {
    assert_eq!(
        told(&[
            ("fail", &[("old x", "fail", "old is down.")]),
            ("fail", &[("old x", "fail", "old is down for longer."), ("shop y", "fail", "shop answers 503.")]),
            ("fail", &[("old x", "fail", "old is down."), ("shop y", "unknown", "shop was not seen.")]),
            ("fail", &[("old x", "fail", "old is down."), ("shop y", "pass", "shop: as it should be.")]),
            ("pass", &[]),
        ]),
        [
            "0 c: Down of old / x fail when it was first judged. Seen: old is down.",
            "1 c: Down of shop / y good or new -> fail. Seen: shop answers 503.",
            "2 c: Down of shop / y fail -> unknown. Seen: shop was not seen.",
            "3 c: Down of shop / y unknown -> pass. Seen: shop: as it should be.",
            "4 c: Down of old / x fail -> no longer there",
        ]
    );
    assert_eq!(told(&[("pass", &[("shop y", "pass", "as it should be.")]), ("pass", &[])]), [""; 0], "what was good all the time has no row");
}

/// A node of a cluster that is not seen has not been repaired.
#[test]
fn what_is_hidden_by_something_unseen_is_unknown_and_not_gone() {
    assert_eq!(
        told(&[
            ("fail", &[("eu n1", "fail", "n1 is down."), ("us n2", "fail", "n2 is down.")]),
            ("unknown", &[("eu", "unknown", "eu does not answer.")]),
            ("unknown", &[("eu", "unknown", "eu does not answer.")]),
            ("fail", &[("eu n1", "fail", "n1 is down.")]),
        ])[2..],
        [
            "1 c: Down of eu good or new -> unknown. Seen: eu does not answer.",
            "1 c: Down of eu / n1 fail -> unknown",
            "1 c: Down of us / n2 fail -> no longer there",
            "3 c: Down of eu / n1 unknown -> fail. Seen: n1 is down.",
            "3 c: Down of eu unknown -> no longer there",
        ]
    );
}

#[test]
fn a_crowd_has_one_row_and_no_sentence_is_kept_without_end() {
    let names: Vec<String> = (0..80).map(|number| format!("n{number:02}")).collect();
    let crowd: Vec<_> = names.iter().map(|name| (name.as_str(), "fail", "down.")).collect();
    let long = "x".repeat(1_000);
    let rows =
        told(&[("pass", &[]), ("fail", &crowd), ("fail", &crowd[..60]), ("fail", &crowd[..3]), ("fail", &[("n00", "fail", ""), ("late", "fail", &long)])]);
    assert_eq!(rows[0], "1 c: Down of more subjects than are told one by one not good");
    assert!(rows[1].starts_with("4 c: Down of late good or new -> fail. Seen: xxx") && rows[1].chars().count() < 320, "{rows:?}");
    assert_eq!(rows[2..], ["4 c: Down of n01 fail -> no longer there", "4 c: Down of n02 fail -> no longer there"]);
}
