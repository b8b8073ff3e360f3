//! What stands in the way, one row for each cause: a cluster that cannot be seen makes sixty lines unknown,
//! and a certificate that expires makes two checks red at two names, but a person has to do one thing.
//!
//! Groups what the judge said and decides nothing: every line that is not good is in exactly one cause.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::checklist::{CheckState, CheckVerdict, Judgement, Line, Severity};

/// The shortest name of a place that is looked for in sentences: shorter ones stand in other words.
const SHORTEST_PLACE: usize = 3;

/// A line with the check that it is of.
pub(crate) type Of<'a> = (&'a CheckVerdict, &'a Line);

/// What lines are about: whose facts they are, and their labels.
type Subject<'a> = (&'a str, Vec<(&'a str, &'a str)>);

/// One thing that is bad, or that cannot be seen.
#[derive(Debug)]
pub(crate) struct Cause<'a> {
    /// Fail, warn or unknown.
    pub(crate) state: CheckState,
    /// Whether it keeps the event from going.
    pub(crate) blocks: bool,
    /// All lines that it makes so, the one that says it best first.
    pub(crate) lines: Vec<Of<'a>>,
}

impl<'a> Cause<'a> {
    fn new(lines: Vec<Of<'a>>) -> Self {
        let state = lines.iter().map(counted_as).max().unwrap_or(CheckState::Unknown);
        let blocks = lines.iter().any(|own| counted_as(own) == state && own.0.required && state != CheckState::Warn);
        Self { state, blocks, lines }
    }

    /// The check and the line that say it best.
    pub(crate) fn head(&self) -> Of<'a> {
        self.lines[0]
    }

    /// The lines of the checklist that it concerns, in their order.
    pub(crate) fn checks(&self) -> Vec<&'a CheckVerdict> {
        let mut names = BTreeSet::new();
        self.lines.iter().map(|(check, _)| *check).filter(|check| names.insert(check.name.as_str())).collect()
    }

    /// Since when it has been so, and whether it was so before the exporter looked.
    pub(crate) fn since(&self) -> Option<(Timestamp, bool)> {
        let of_state = self.lines.iter().filter(|own| counted_as(own) == self.state);
        of_state.filter_map(|(_, line)| Some((line.since?, line.since_at_least))).min()
    }

    fn severity(&self) -> Severity {
        self.lines.iter().map(|(_, line)| line.severity).max().unwrap_or(Severity::Warning)
    }

    /// What blocks comes first, and of that what is known to be bad.
    fn rank(&self) -> u8 {
        match (self.blocks, self.state) {
            (true, CheckState::Fail) => 0,
            (true, _) => 1,
            (false, CheckState::Unknown) => 3,
            (false, _) => 2,
        }
    }
}

/// As what a line counts: a check that does not block is never worse than a warning.
fn counted_as((check, line): &Of<'_>) -> CheckState {
    if line.state == CheckState::Fail && !check.required { CheckState::Warn } else { line.state }
}

/// The causes of all that is not good, the most pressing first.
pub(crate) fn causes(judgement: &Judgement) -> Vec<Cause<'_>> {
    let all = judgement.checks().flat_map(|check| check.lines.iter().map(move |line| (check, line)));
    let (unknown, bad): (Vec<Of<'_>>, Vec<Of<'_>>) = all
        .filter(|(_, line)| matches!(line.state, CheckState::Fail | CheckState::Warn | CheckState::Unknown))
        .partition(|(_, line)| line.state == CheckState::Unknown);
    let mut causes: Vec<_> = by_subject(bad).into_iter().chain(by_reason(unknown)).map(Cause::new).collect();
    causes.sort_by_key(|cause| (cause.rank(), std::cmp::Reverse((cause.severity(), cause.lines.len()))));
    causes
}

/// What is bad about one subject is one cause, and so are subjects of which the very same is bad.
fn by_subject(bad: Vec<Of<'_>>) -> Vec<Vec<Of<'_>>> {
    let mut subjects: BTreeMap<Subject<'_>, Vec<Of<'_>>> = BTreeMap::new();
    for (check, line) in bad {
        let labels: Vec<_> = line.labels.iter().collect();
        // What is said of a cluster as a whole may be as many things as there are checks.
        let is_whole = matches!(labels.as_slice(), [] | [("cluster", _)]);
        subjects.entry((if is_whole { &check.name } else { check.collector }, labels)).or_default().push((check, line));
    }
    let mut alike: BTreeMap<Vec<(&str, CheckState)>, Vec<Of<'_>>> = BTreeMap::new();
    for mut lines in subjects.into_values() {
        lines.sort_by_key(|own| std::cmp::Reverse((counted_as(own), own.1.severity)));
        alike.entry(lines.iter().map(|own| (own.0.name.as_str(), counted_as(own))).collect()).or_default().extend(lines);
    }
    alike.into_values().collect()
}

/// What is not known for the same reason is one cause, with all that is not known because of it.
fn by_reason(unknown: Vec<Of<'_>>) -> Vec<Vec<Of<'_>>> {
    let mut reasons: BTreeMap<Arc<str>, Vec<Of<'_>>> = BTreeMap::new();
    for (check, line) in unknown {
        reasons.entry(Arc::clone(&line.evidence)).or_default().push((check, line));
    }
    let mut groups: Vec<Vec<Of<'_>>> = reasons.into_values().collect();
    groups.sort_by_key(|lines| std::cmp::Reverse(lines.len()));
    let mut causes: Vec<Vec<Of<'_>>> = Vec::new();
    for group in groups {
        // The largest come first, and thousands may be as small as this one.
        match causes.iter_mut().take_while(|cause| cause.len() > group.len()).find(|cause| is_behind(cause[0].1, &group)) {
            Some(cause) => cause.extend(group),
            None => causes.push(group),
        }
    }
    causes
}

/// Whether the place that a line is about is also what these lines are about, or what their reason names.
fn is_behind(line: &Line, lines: &[Of<'_>]) -> bool {
    let mut place = line.labels.iter().filter(|(_, value)| value.len() >= SHORTEST_PLACE).peekable();
    // What is said of no place in particular is behind nothing.
    place.peek().is_some() && place.all(|(name, value)| lines.iter().all(|(_, other)| other.labels.get(name) == Some(value) || names(&other.evidence, value)))
}

/// Whether a sentence has a name in it, as a word.
fn names(sentence: &str, name: &str) -> bool {
    let is_within = |other: Option<char>| other.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    sentence.match_indices(name).any(|(at, _)| {
        let (before, after) = (sentence[..at].chars().next_back(), &sentence[at + name.len()..]);
        // A full stop ends a sentence, or stands within a name.
        let mut after = after.chars();
        let next = after.next();
        !is_within(before) && !(is_within(next) && (next != Some('.') || is_within(after.next())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{check, judged, line};

    const FAIL: CheckState = CheckState::Fail;
    const UNKNOWN: CheckState = CheckState::Unknown;

    /// Each cause in a line: how it counts, its sentence, and the checks that it concerns.
    fn told(judgement: &Judgement) -> Vec<String> {
        let blocks = |cause: &Cause<'_>| if cause.blocks { "blocks" } else { "may be" };
        let checks = |cause: &Cause<'_>| cause.checks().iter().map(|check| check.name.clone()).collect::<Vec<_>>().join(" ");
        causes(judgement).iter().map(|cause| format!("{} {}: {} [{}]", blocks(cause), cause.state.as_str(), cause.head().1.evidence, checks(cause))).collect()
    }

    #[test]
    fn what_is_bad_comes_before_what_is_not_known_and_what_blocks_before_both() {
        let judgement = judged(vec![
            check("A", false, vec![line(FAIL, "a is bad", [("x", "a")])]),
            check("B", true, vec![line(UNKNOWN, "b was not seen", [("x", "b")]), line(CheckState::Pass, "b2 is good", [("x", "b2")])]),
            check("C", true, vec![line(FAIL, "c is bad", [("x", "c")])]),
            check("D", false, vec![line(UNKNOWN, "d was not seen", [("x", "d")])]),
            check("E", true, vec![line(CheckState::Waived, "e is waived", [("x", "e")])]),
        ]);
        assert_eq!(
            told(&judgement),
            ["blocks fail: c is bad [C]", "blocks unknown: b was not seen [B]", "may be warn: a is bad [A]", "may be unknown: d was not seen [D]"]
        );
    }

    #[test]
    fn what_one_source_hides_is_one_cause_with_all_that_names_its_place() {
        let eu = || line(UNKNOWN, "eu-1 could not be seen: no answer", [("cluster", "eu-1")]);
        let judgement = judged(vec![
            check("A", true, vec![eu(), line(UNKNOWN, "us could not be seen", [("cluster", "us")])]),
            check("B", true, vec![eu()]),
            check("C", true, vec![line(UNKNOWN, "its kubelets could not be seen", [("cluster", "eu-1")])]),
            check("D", true, vec![line(UNKNOWN, "the name leads to a load balancer of eu-1.", [("target", "a")])]),
            check("E", true, vec![line(UNKNOWN, "the name leads to eu-10, or to eu-1.example", [("target", "b")])]),
        ]);
        assert_eq!(
            told(&judgement),
            [
                "blocks unknown: eu-1 could not be seen: no answer [A B C D]",
                "blocks unknown: the name leads to eu-10, or to eu-1.example [E]",
                "blocks unknown: us could not be seen [A]",
            ]
        );
    }

    #[test]
    fn what_is_said_of_no_place_hides_nothing() {
        let nobody = || line(UNKNOWN, "nobody has confirmed this yet", []);
        let judgement = judged(vec![
            check("A", true, vec![nobody()]),
            check("B", true, vec![nobody()]),
            check("C", true, vec![line(UNKNOWN, "eu was not seen", [("cluster", "eu")])]),
        ]);
        assert_eq!(told(&judgement), ["blocks unknown: nobody has confirmed this yet [A B]", "blocks unknown: eu was not seen [C]"]);
    }

    #[test]
    fn what_is_bad_about_one_subject_is_one_cause_and_so_are_subjects_of_which_the_same_is() {
        let lines =
            |what: &str, names: &[&'static str]| names.iter().map(|name| line(FAIL, &format!("{name} {what}"), [("target", *name)])).collect::<Vec<_>>();
        let judgement =
            judged(vec![check("Soon", false, lines("ends in 3 d", &["a", "b", "c"])), check("BeforeEvent", true, lines("ends before the event", &["a", "b"]))]);
        assert_eq!(told(&judgement), ["blocks fail: a ends before the event [BeforeEvent Soon]", "may be warn: c ends in 3 d [Soon]"]);
        assert_eq!(causes(&judgement)[0].lines.len(), 4);
        let cluster = |what: &str| vec![line(FAIL, what, [("cluster", "eu")])];
        let judgement = judged(vec![check("Karpenter", true, cluster("Karpenter is down")), check("Headroom", true, cluster("there is no room"))]);
        assert_eq!(told(&judgement), ["blocks fail: there is no room [Headroom]", "blocks fail: Karpenter is down [Karpenter]"]);
    }

    #[test]
    fn a_cause_is_as_old_as_its_oldest_line() {
        let at = |second: i64| Timestamp::from_second(second).ok();
        let of = |second: i64, at_least: bool| Line { since: at(second), since_at_least: at_least, ..line(FAIL, "e", [("x", "a")]) };
        let judgement = judged(vec![check("A", true, vec![of(200, false)]), check("B", true, vec![of(100, true)])]);
        assert_eq!(causes(&judgement)[0].since(), at(100).map(|at| (at, true)));
    }
}
