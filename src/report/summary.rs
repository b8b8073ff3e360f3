//! The checklist for a person at a terminal, on one screen: what is not good, the worst last, where the eye is.

use std::fmt::Write as _;

use super::causes::{Cause, causes};
use super::text::{called, colour_of, decision, paint};
use super::wording::{Home, NO_EVENT, event_line, reason, state_word};
use crate::checklist::{CheckVerdict, Judgement};
use crate::runbooks::runbook;
use crate::say::minute;

/// Causes that fit on a screen.
const CAUSES: usize = 8;
/// Lines of the checklist that are named for one cause.
const NAMED: usize = 3;

/// Judgements as text, with colour if wanted: each cause once.
pub fn summary(judgements: &[Judgement], colour: bool, home: Home<'_>) -> String {
    let mut out = String::new();
    for judgement in judgements {
        let _ = writeln!(out, "{} ({})", judgement.title, judgement.checklist);
        let _ = writeln!(out, "{}\n", event_line(judgement).unwrap_or_else(|| NO_EVENT.to_owned()));
        let all = causes(judgement);
        if let Some(more) = all.len().checked_sub(CAUSES).filter(|more| *more > 0) {
            let _ = writeln!(out, "  and {more} more that are less pressing\n");
        }
        for cause in all.iter().take(CAUSES).rev() {
            one(&mut out, cause, colour, home);
        }
        let _ = writeln!(out, "{}: {}", decision(judgement.decision, colour), reason(judgement));
    }
    if let Some(home) = home {
        let _ = writeln!(out, "The page: {}", home.page(""));
    }
    out.push_str("Each line of the checklist: readiness-exporter check --all\n");
    out
}

fn one(out: &mut String, cause: &Cause<'_>, colour: bool, home: Home<'_>) {
    let (check, line) = cause.head();
    let since = cause.since().map_or_else(String::new, |(since, at_least)| {
        let word = if at_least { "At least since" } else { "Since" };
        format!(" {word} {}.", minute(since))
    });
    let _ = writeln!(out, "  {}  {}{since}", paint(colour, colour_of(cause.state), &format!("{:6}", state_word(cause.state))), line.evidence);
    let more = cause.lines.len() - 1;
    let others = match cause.checks().as_slice() {
        [_] if more > 0 => format!(", and {more} more of it"),
        checks => named(checks),
    };
    let optional = if cause.blocks { "" } else { " (does not block)" };
    let _ = writeln!(out, "          {} {}{others}{optional}", check.item, check.title);
    let runbook = if runbook(&check.runbook).is_some() { format!("runbook: {}", called(&check.runbook, home)) } else { format!("check: {}", check.name) };
    if let Some(advice) = check.advice().first() {
        let _ = writeln!(out, "          -> {advice} ({runbook})");
    }
    out.push('\n');
}

/// The other lines of the checklist that a cause concerns, as far as a person reads them.
fn named(checks: &[&CheckVerdict]) -> String {
    let names: Vec<_> = checks.iter().skip(1).take(NAMED).map(|check| check.name.as_str()).collect();
    match checks.len() - 1 {
        0 => String::new(),
        count if count > NAMED => format!("; also {} and {} more", names.join(", "), count - NAMED),
        _ => format!("; also {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checklist::{CheckState, Decision, Line};
    use crate::report::tests::{check, judged, line};

    #[test]
    fn what_is_worst_stands_last_and_each_cause_once() {
        let unseen = || line(CheckState::Unknown, "eu could not be seen: no answer.", [("cluster", "eu")]);
        let node =
            |name: &str| Line { since: "2026-11-21T11:00:00Z".parse().ok(), ..line(CheckState::Fail, &format!("Node {name} is full."), [("node", name)]) };
        let hidden = ["A", "B", "C", "D", "E", "F"].map(|name| check(name, true, vec![unseen()]));
        let checks = [check("Full", true, vec![node("n1"), node("n2")])].into_iter().chain(hidden).chain([check(
            "Soon",
            false,
            vec![line(CheckState::Fail, "It ends soon.", [("x", "y")])],
        )]);
        let text = summary(&[Judgement { decision: Decision::NoGo, ..judged(checks.collect()) }], false, None);
        let told: Vec<&str> = text.lines().filter(|line| !line.is_empty()).map(str::trim_end).collect();
        assert_eq!(
            told,
            [
                "Pre-workshop validation (workshop)",
                NO_EVENT,
                "  warn    It ends soon.",
                "          W1 Soon is good (does not block)",
                "          -> Do it. (check: Soon)",
                "  ????    eu could not be seen: no answer.",
                "          W1 A is good; also B, C, D and 2 more",
                "          -> Ask for it yourself from where the exporter runs: until it can be seen, nobody knows whether it is good. (check: A)",
                "  FAIL    Node n1 is full. Since 2026-11-21 11:00 UTC.",
                "          W1 Full is good, and 1 more of it",
                "          -> Do it. (check: Full)",
                "NO-GO: 1 required check failed, 6 not known, 1 warning; 8 of 8 lines asked",
                "Each line of the checklist: readiness-exporter check --all",
            ],
            "{text}"
        );
    }

    #[test]
    fn so_many_causes_fit_on_a_screen() {
        let node =
            |index: usize| check(&format!("C{index}"), true, vec![line(CheckState::Fail, &format!("n{index} is full."), [("node", &*format!("n{index}"))])]);
        let text = summary(&[judged((0..20).map(node).collect())], false, None);
        assert!(text.contains("  and 12 more that are less pressing\n") && text.matches("FAIL").count() == CAUSES && text.lines().count() < 50, "{text}");
    }
}
