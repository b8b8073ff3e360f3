//! Judgements as metrics, for dashboards. Alerts are written on the facts themselves, except the
//! two that are about verdicts: unknown for too long, and no-go at a lead time.

use std::collections::BTreeMap;

use crate::checklist::{CheckState, CheckVerdict, Decision, Judgement, Unasked};
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
        samples.push(REQUIRED.sample([checklist, &check.name], f64::from(u8::from(check.required))));
        for state in [CheckState::Pass, CheckState::Warn, CheckState::Fail, CheckState::Unknown, CheckState::Waived] {
            let count = check.lines.iter().filter(|line| line.state == state).count();
            samples.push(LINES.sample([checklist, &check.name, state.as_str()], count as f64));
        }
    }
    samples
}
