//! Judgements as metrics, for dashboards. Alerts are written on the facts themselves, except the
//! two that are about verdicts: unknown for too long, and no-go at a lead time.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::checklist::{CheckState, CheckVerdict, Decision, Judgement, Line, Unasked};
use crate::metric::{Gauge, Sample, StateSet, Unit, gauge, metrics, state_set};

metrics! {
    /// Families about verdicts.
    pub FAMILIES;

    static CHECK: StateSet<CheckState, 2> = state_set(
        "readiness_check_state",
        &["checklist", "check"],
        "Verdict on a check of a checklist; of several events that it is judged for, the worst.",
    );
    static REQUIRED: Gauge<2> = gauge("readiness_check_required", Unit::Flag, &["checklist", "check"], "Whether a fail or an unknown of a check blocks go.");
    static INFO: Gauge<4> = gauge(
        "readiness_check_info",
        Unit::Mark,
        &["checklist", "check", "collector", "item"],
        "The collector whose facts a check of a checklist judges, and its line of the paper checklist.",
    );
    static LINES: Gauge<3> = gauge("readiness_check_lines", Unit::Number, &["checklist", "check", "verdict"], "Subjects of a check by their verdict.");
    static SINCE: Gauge<2> = gauge(
        "readiness_check_since_timestamp_seconds",
        Unit::Timestamp,
        &["checklist", "check"],
        "Since when a check of a checklist is not good, as far as this exporter has looked; without a sample while it is good.",
    );
    static PLACE: Gauge<3> = gauge(
        "readiness_check_place_info",
        Unit::Mark,
        &["checklist", "check", "place"],
        "Where a check of a checklist is worst, of all its subjects; one for each check that is not good and has subjects.",
    );
    static GO: Gauge<2> = gauge(
        "readiness_go",
        Unit::Flag,
        &["checklist", "event"],
        "1 when every required check of a checklist was seen and is good; 0 when not, or when it is not known.",
    );
    static DECISION: StateSet<Decision, 2> = state_set("readiness_decision_state", &["checklist", "event"], "The decision that a checklist comes to.");
    static ASKED: Gauge<3> = gauge(
        "readiness_checklist_lines",
        Unit::Number,
        &["checklist", "event", "asked"],
        "Lines of a checklist that were asked (yes), and those that were not, by the reason.",
    );
    static CHECKLIST: Gauge<2> = gauge(
        "readiness_checklist_info",
        Unit::Mark,
        &["checklist", "revision"],
        "Revision of the checklist that this exporter judges by; alert rules carry the revision they were generated from.",
    );
    static JUDGED: Gauge<1> = gauge("readiness_judged_timestamp_seconds", Unit::Timestamp, &["checklist"], "When a checklist was last judged.");
}

/// Judgements as samples. A checklist that is judged for several events has one state of each check,
/// the worst.
pub fn samples(judgements: &[Judgement]) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut checks: BTreeMap<(&str, &str), &CheckVerdict> = BTreeMap::new();
    let mut checklists = BTreeMap::new();
    for judgement in judgements {
        let checklist = judgement.checklist.as_str();
        let event = judgement.event.as_deref().unwrap_or("none");
        samples.push(GO.sample([checklist, event], f64::from(u8::from(judgement.decision == Decision::Go))));
        samples.push(DECISION.sample([checklist, event], judgement.decision));
        samples.push(ASKED.sample([checklist, event, "yes"], judgement.asked().0 as f64));
        samples.extend(Unasked::ALL.map(|why| ASKED.sample([checklist, event, why.as_str()], judgement.unasked(why) as f64)));
        checklists.insert(checklist, judgement);
        for check in judgement.checks() {
            let worst = checks.entry((checklist, &check.name)).or_insert(check);
            if check.state > worst.state {
                *worst = check;
            }
        }
    }
    for (checklist, judgement) in checklists {
        samples.push(CHECKLIST.sample([checklist, &judgement.revision], 1.0));
        samples.push(JUDGED.sample([checklist], judgement.at.as_second() as f64));
    }
    for ((checklist, _), check) in checks {
        samples.push(CHECK.sample([checklist, &check.name], check.state));
        samples.push(INFO.sample([checklist, &check.name, check.collector, &check.item], 1.0));
        samples.extend(since(check).map(|since| SINCE.sample([checklist, &check.name], since.as_second() as f64)));
        samples.extend(place(check).map(|place| PLACE.sample([checklist, &check.name, &place], 1.0)));
        samples.push(REQUIRED.sample([checklist, &check.name], f64::from(u8::from(check.required))));
        for state in [CheckState::Pass, CheckState::Warn, CheckState::Fail, CheckState::Unknown, CheckState::Waived] {
            let count = check.lines.iter().filter(|line| line.state == state).count();
            samples.push(LINES.sample([checklist, &check.name, state.as_str()], count as f64));
        }
    }
    samples
}

/// The most of a place that becomes a label.
const LONGEST_PLACE: usize = 128;

/// Lines of a check that are not good, worst first; none of one that is good.
fn not_good(check: &CheckVerdict) -> impl Iterator<Item = &Line> {
    let is_bad = |state| matches!(state, CheckState::Fail | CheckState::Warn | CheckState::Unknown);
    check.lines.iter().filter(move |line| is_bad(check.state) && is_bad(line.state))
}

/// Since when a check is not good: the oldest of its lines that are not.
fn since(check: &CheckVerdict) -> Option<Timestamp> {
    not_good(check).filter_map(|line| line.since).min()
}

/// Where a check is worst, in the labels of its facts.
fn place(check: &CheckVerdict) -> Option<String> {
    let place: String = not_good(check).next()?.place().chars().take(LONGEST_PLACE).collect();
    (!place.is_empty()).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{check, judged, line as line_of};

    fn line(state: CheckState, node: &str, since: Option<i64>) -> Line {
        let line = if node.is_empty() { line_of(state, "e", []) } else { line_of(state, "e", [("cluster", "eu"), ("node", node)]) };
        Line { since: since.map(|at| Timestamp::from_second(at).unwrap()), ..line }
    }

    /// Samples of a judgement of some checks, of the metrics about since when and where.
    fn told(checks: Vec<CheckVerdict>) -> Vec<String> {
        let samples = samples(&[Judgement { checklist: "c".to_owned(), ..judged(checks) }]);
        let own = samples.iter().filter(|sample| [SINCE.0.name, PLACE.0.name].contains(&sample.family.name));
        own.map(|sample| format!("{} {:?} {}", sample.family.name, sample.labels, sample.value)).collect()
    }

    #[test]
    fn since_when_and_where_are_told_of_what_is_not_good_and_of_nothing_else() {
        let bad = vec![line(CheckState::Fail, "b", Some(20)), line(CheckState::Unknown, "a", Some(10)), line(CheckState::Pass, "c", Some(1))];
        let said = told(vec![
            check("Bad", true, bad),
            check("Good", true, vec![line(CheckState::Pass, "a", None)]),
            check("Waived", true, vec![line(CheckState::Waived, "a", Some(5))]),
            check("Unseen", true, vec![line(CheckState::Unknown, "", None)]),
        ]);
        assert_eq!(said, [r#"readiness_check_since_timestamp_seconds ["c", "Bad"] 10"#, r#"readiness_check_place_info ["c", "Bad", "eu / b"] 1"#]);
    }

    /// One series for each check, however many subjects are bad, and none longer than a label should be.
    #[test]
    fn a_place_is_bounded() {
        let lines = (0..1000).map(|index| line(CheckState::Fail, &format!("{index}{}", "x".repeat(500)), Some(1))).collect();
        let said = told(vec![check("Bad", true, lines)]);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[1].len() < 128 + 60, "{}", said[1].len());
    }
}
