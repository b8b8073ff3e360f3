//! The judgement of a checklist over a snapshot: pure, no I/O, no clock of its own.
//!
//! Absence is never read as fine. For every source that should have shown a fact and did not, the
//! check has a line that says so, and that line is unknown.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::asked::Whole;
use super::context::Context;
use super::judgement::{CheckState, CheckVerdict, Judgement, Line, SectionVerdict, Unasked, decide};
use super::model::{Check, Checklist, Guard, Kind, Unconfigured};
use super::rule::{Lines, Rule};
use super::unjudged;
use crate::collectors::{self, attestations};
use crate::metric::Sample;
use crate::say::{self, Message, counted, minute};
use crate::snapshot::View;
use crate::value::Span;
use crate::word;

/// Judges a checklist.
pub fn judge(checklist: &Checklist, context: &Context<'_>) -> Judgement {
    let own = checklist
        .sections
        .iter()
        .map(|section| SectionVerdict { title: section.title.clone(), checks: section.checks.iter().map(|check| judge_check(check, context)).collect() });
    let sections: Vec<_> = own.chain(not_judged(context)).collect();
    let decision = decide(&sections.iter().flat_map(|section| &section.checks).collect::<Vec<_>>());
    Judgement {
        checklist: checklist.name.clone(),
        title: checklist.title.clone(),
        revision: checklist.revision.clone(),
        decision,
        at: context.now,
        event: context.event.map(|event| event.name.clone()),
        event_start: context.event.map(|event| event.start),
        event_end: context.event.map(|event| event.end),
        event_zone: context.event.map_or(TimeZone::UTC, |event| event.zone.clone()),
        participants: context.event.and_then(|event| event.participants),
        sections,
    }
}

fn not_judged(context: &Context<'_>) -> Option<SectionVerdict> {
    let mut section = unjudged::section(context.unjudged)?;
    for check in &mut section.checks {
        let name = check.name.clone();
        check.lines.iter_mut().for_each(|line| waive(&name, line, context));
        check.settle();
    }
    Some(section)
}

/// Judges one check.
pub fn judge_check(check: &Check, context: &Context<'_>) -> CheckVerdict {
    let mut verdict = CheckVerdict {
        name: check.name.clone(),
        runbook: check.runbook.clone(),
        item: check.item.clone(),
        title: check.title(),
        state: CheckState::Unknown,
        unasked: None,
        required: check.required,
        remedy: check.remedy.clone(),
        attested: matches!(check.kind, Kind::Attestation),
        mend: None,
        collector: match &check.kind {
            Kind::Attestation => attestations::NAME,
            Kind::Promql { .. } => "prometheus",
            Kind::Fact { family, .. } => collectors::owner(family.name),
        },
        note: None,
        lines: Vec::new(),
        more_good: 0,
    };
    let outcome = match &check.kind {
        _ if !check.enabled => Err(Whole::unasked(Unasked::Disabled, "disabled in the configuration")),
        Kind::Promql { .. } => Err(Whole::unasked(Unasked::ByPrometheus, "judged by Prometheus alone")),
        Kind::Attestation => attested(check, context).map(|shown| Lines { shown, good: 1 }),
        Kind::Fact { family, condition, severity, worsens, when, evidence, .. } => {
            let rule = Rule {
                blocks: check.required,
                unconfigured: check.unconfigured,
                check: &check.name,
                owner: verdict.collector,
                family,
                condition,
                severity: *severity,
                worsens,
                evidence,
                filter: &check.filter,
            };
            // Where nothing looks, it matters neither when it would be due nor for how many people.
            rule.off(context).map_or_else(|| due(*when, check.unconfigured, context), Err).and_then(|due| match due {
                Due::Now => rule.lines(context),
                Due::In(span) => rule.early(span, context),
            })
        }
    };
    match outcome {
        Err(Whole { unasked, note, mend }) => {
            verdict.mend = mend;
            verdict.state = if unasked.is_some() { CheckState::NotApplicable } else { CheckState::Unknown };
            verdict.unasked = unasked;
            verdict.note = Some(note);
        }
        Ok(lines) => {
            verdict.more_good = lines.more_good();
            verdict.lines = lines.shown;
            verdict.lines.shrink_to_fit();
            for line in &mut verdict.lines {
                waive(&check.name, line, context);
            }
        }
    }
    // A check that is unknown as a whole can be waived as a whole.
    if verdict.lines.is_empty() && verdict.state == CheckState::Unknown {
        let mut line = Line::unknown(say::stopped(verdict.note.as_deref().unwrap_or_default()));
        waive(&check.name, &mut line, context);
        verdict.lines.push(line);
    }
    verdict.settle();
    verdict
}

fn waive(check: &str, line: &mut Line, context: &Context<'_>) {
    if !matches!(line.state, CheckState::Fail | CheckState::Warn | CheckState::Unknown) {
        return;
    }
    let about_it = || context.waivers.iter().filter(|waiver| waiver.is_about(check, &line.labels, context.event));
    if let Some(waiver) = about_it().filter(|waiver| waiver.until > context.now).max_by_key(|waiver| waiver.until) {
        let lapses = ends_early(context, waiver.until);
        let early = if lapses { BEFORE_THE_END } else { "" };
        let until = minute(waiver.until);
        line.evidence = format!("{} Waived until {until}{early}: {} ({}).", line.evidence, shortened(&waiver.why), waiver.who).into();
        line.state = if lapses { CheckState::Warn } else { CheckState::Waived };
    } else if let Some(waiver) = about_it().max_by_key(|waiver| waiver.until) {
        // Who is called at night learns who knows about it.
        let until = minute(waiver.until);
        line.evidence = format!("{} It was waived by {} until {until}: {}.", line.evidence, waiver.who, shortened(&waiver.why)).into();
    }
}

/// What somebody wrote, without the full stop, and no longer than a line can bear.
fn shortened(why: &str) -> String {
    const MOST: usize = 300;
    let whole = why.trim().trim_end_matches('.');
    if whole.chars().count() <= MOST { whole.to_owned() } else { whole.chars().take(MOST).chain(['\u{2026}']).collect() }
}

const BEFORE_THE_END: &str = ", which is before the event ends";

/// Whether what people have said until a moment must be said again before the event is over. Weeks ahead that goes
/// without saying.
fn ends_early(context: &Context<'_>, until: Timestamp) -> bool {
    context.event.is_some_and(|event| until < event.end && event.prepared_for(context.now))
}

/// From when on a check blocks.
enum Due {
    Now,
    /// So much later. People prepare the event already, so they see now what will block then.
    In(Span),
}

fn due(guard: Guard, unconfigured: Unconfigured, context: &Context<'_>) -> Result<Due, Whole> {
    let not_due = |note: String| Err(Whole::unasked(Unasked::NotDue, note));
    let start = context.event.map_or(context.now, |event| event.start);
    let ahead = (start.as_second() - context.now.as_second()) as f64;
    let early = guard.lead_time_within.filter(|lead| ahead > lead.as_secs_f64());
    if guard.event_active && start > context.now {
        return not_due("judged while the event runs".to_owned());
    }
    if let Some(lead) = early.filter(|_| !context.event.is_some_and(|event| event.prepared_for(context.now))) {
        return not_due(format!("due {lead} before the event"));
    }
    if let Some(minimum) = guard.participants_above {
        match context.event.map(|event| event.participants) {
            Some(Some(participants)) if participants <= minimum => {
                return not_due(format!("{} expected; needed above {minimum}", counted(participants as usize, "participant", "participants")));
            }
            Some(Some(_)) => {}
            Some(None) => return Err(Whole::unknown("the number of participants is not known; set it in events[].participants")),
            None => {
                let note = "no event of this checklist is coming, so nobody knows for how many participants there must be room";
                return Err(match unconfigured {
                    Unconfigured::Unknown => Whole::unknown(note),
                    Unconfigured::NotApplicable => Whole::unasked(Unasked::NotConfigured, note),
                });
            }
        }
    }
    Ok(early.map_or(Due::Now, |lead| Due::In(Span(Duration::from_secs_f64((ahead - lead.as_secs_f64()).ceil())))))
}

/// What people have confirmed.
fn sayings<'a>(context: &Context<'a>) -> Option<&'a View> {
    context.snapshot.views.iter().find(|view| view.source.collector == attestations::NAME)
}

/// That nobody has confirmed something for this event, and for which other one somebody has.
fn nobody(view: &View, check: &str, context: &Context<'_>) -> String {
    let all = view.of(attestations::EXPIRY.0.name).filter(|sample| sample.label("attestation") == Some(check));
    let other = all
        .max_by(|a, b| a.value.total_cmp(&b.value))
        .and_then(|sample| Some((sample, sample.label("for_event")?, sample.detail.as_ref().map_or("confirmed", Message::as_str))));
    let here = if context.event.is_some() { "for this event" } else { "for now, while no event is coming" };
    other.map_or_else(
        || "nobody has confirmed this yet".to_owned(),
        |(sample, event, said)| {
            // One for an event ends with it.
            let over = if sample.value > context.now.as_second() as f64 { String::new() } else { format!(", which counted until {}", minute(moment(sample))) };
            format!("nobody has confirmed this {here}; for {event} it was {said}{over}")
        },
    )
}

/// What somebody wrote who most likely meant this line: nothing else tells him while the file is followed.
fn misspelt(view: &View, check: &str) -> String {
    let refused = view.of(attestations::REFUSED.0.name).filter_map(|sample| sample.label("attestation"));
    let close = refused.filter(|name| !name.is_empty() && word::resembles(name, check)).min();
    close.map_or_else(String::new, |name| format!("; the file has an entry for {name}, which is no line of a checklist"))
}

fn moment(sample: &Sample) -> Timestamp {
    Timestamp::from_second(sample.second()).unwrap_or(Timestamp::MAX)
}

/// What to do about an attestations file that cannot be read.
const UNREAD: &str = "Fix the attestations file: what people have confirmed stands there and counts again once it can be read.";

fn attested(check: &Check, context: &Context<'_>) -> Result<Vec<Line>, Whole> {
    let Some(view) = sayings(context) else {
        return Err(Whole::unknown("nobody can confirm this yet; set attestations.file"));
    };
    if let Some(why) = &view.unseen {
        return Err(Whole::unknown(why.as_str()).mended_by(UNREAD));
    }
    let is_ours = |sample: &&Sample| sample.label("attestation") == Some(&check.name);
    let event = context.event.map_or("", |event| event.of.as_str());
    let said = |wanted: &str| view.of(attestations::EXPIRY.0.name).filter(is_ours).find(|sample| sample.label("for_event") == Some(wanted));
    // What is told for the event holds what was said for all.
    let Some(sample) = said(event).or_else(|| said("")) else {
        let refused = view.of(attestations::REFUSED.0.name).find(is_ours).and_then(|sample| sample.detail.as_ref());
        let nobody = || format!("{}{}", nobody(view, &check.name, context), misspelt(view, &check.name));
        return Err(Whole::unknown(refused.map_or_else(nobody, |why| format!("what was written down does not count: {why}"))));
    };
    let said = sample.detail.as_ref().map_or("confirmed", Message::as_str);
    let valid = sample.value > context.now.as_second() as f64;
    let until = minute(moment(sample));
    // Somebody may rely on it for the whole event.
    let short = if sample.value < context.clock().event_end { BEFORE_THE_END } else { "" };
    let state = match (valid, ends_early(context, moment(sample))) {
        (true, false) => CheckState::Pass,
        (true, true) => CheckState::Warn,
        (false, _) => CheckState::Unknown,
    };
    Ok(vec![Line {
        state,
        seen_at: view.seen_at,
        look: view.looks,
        ..Line::unknown(if valid { format!("{said}; it counts until {until}{short}.") } else { format!("{said}; it counted until {until}.") })
    }])
}
