//! Whether the examples of a checklist get the verdicts that they say they must get.

use jiff::Timestamp;

use super::context::Context;
use super::example::{Example, Outcome, scene};
use super::judge::judge_check;
use super::judgement::CheckState;
use super::model::{Check, Checklist, Kind};
use super::severity::Severity;
use crate::value::Problem;

/// Every example that gets another verdict than it expects.
pub fn unproven(checklist: &Checklist, now: Timestamp) -> Vec<Problem> {
    let mut problems = Vec::new();
    for check in checklist.checks() {
        for (index, example) in check.examples.iter().enumerate() {
            let Some((got, severity)) = verdict(check, example, &checklist.name, now) else { continue };
            let path = format!("{}.examples[{index}]", check.name);
            if got != example.expect {
                problems.push(Problem::bare(path, format!("expects {}, and is judged {}", example.expect, got)));
            } else if let Some(wanted) = example.severity.filter(|wanted| severity != Some(*wanted)) {
                problems.push(Problem::bare(path, format!("expects severity {wanted}, and gets {}", severity.map_or_else(String::new, |own| own.to_string()))));
            }
        }
    }
    problems
}

/// The verdict on one example, and how loud its worst line is.
fn verdict(check: &Check, example: &Example, checklist: &str, now: Timestamp) -> Option<(Outcome, Option<Severity>)> {
    let Kind::Fact { family, .. } = &check.kind else { return None };
    let snapshot = scene(&example.given, family, now);
    let event = example.occurrence(checklist, now);
    // Whether it blocks is the checklist's affair; an example says what is bad.
    let check = Check { required: true, ..check.clone() };
    let judged = judge_check(&check, &Context { event: event.as_ref(), ..Context::new(&snapshot, now) });
    let outcome = match judged.state {
        CheckState::Pass => Outcome::Pass,
        CheckState::Fail => Outcome::Fail,
        CheckState::Warn => Outcome::Warn,
        CheckState::NotApplicable => Outcome::NotApplicable,
        CheckState::Unknown | CheckState::Waived => Outcome::Unknown,
    };
    Some((outcome, judged.lines.first().map(|line| line.severity)))
}
