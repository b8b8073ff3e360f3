//! The words that all formats share.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use crate::checklist::{CheckState, CheckVerdict, Decision, Judgement, Unasked};
use crate::say::{counted, minute};
use crate::value::ExternalUrl;

/// The decision as a person says it.
pub fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Go => "GO",
        Decision::NoGo => "NO-GO",
        Decision::Undecided => "UNDECIDED",
    }
}

/// Why the decision is what it is, in one line, and how much of the checklist it rests on.
pub fn reason(judgement: &Judgement) -> String {
    let of = |required: bool, state| judgement.checks().filter(|check| check.required == required && check.state == state).count();
    let (failed, unknown) = (of(true, CheckState::Fail), of(true, CheckState::Unknown));
    let mut parts = vec![match judgement.decision {
        Decision::Go => counted(judgement.count(CheckState::Pass), "check passed", "checks passed").into(),
        Decision::NoGo if unknown > 0 => format!("{}, {unknown} not known", counted(failed, "required check failed", "required checks failed")),
        Decision::NoGo => counted(failed, "required check failed", "required checks failed").into(),
        Decision::Undecided if unknown > 0 => counted(unknown, "required check is not known", "required checks are not known").into(),
        Decision::Undecided => "no required check could be ticked".to_owned(),
    }];
    let more = [
        (judgement.count(CheckState::Warn), "warning", "warnings"),
        (of(false, CheckState::Unknown), "optional one is not known", "optional ones are not known"),
        (judgement.count(CheckState::Waived), "waived", "waived"),
    ];
    parts.extend(more.into_iter().filter(|(count, ..)| *count > 0).map(|(count, one, several)| counted(count, one, several).into()));
    format!("{}; {}", parts.join(", "), asked(judgement))
}

/// How much of the checklist was asked, so that nobody takes a go for more than it is.
fn asked(judgement: &Judgement) -> String {
    let (asked, all) = judgement.asked();
    let not = Unasked::ALL.map(|why| (judgement.unasked(why), why)).into_iter().filter(|(count, _)| *count > 0);
    let not: Vec<_> = not.map(|(count, why)| format!(", {count} {}", why.words())).collect();
    format!("{asked} of {} asked{}", counted(all, "line", "lines"), not.concat())
}

/// What is said where no event is coming.
pub const NO_EVENT: &str = "No event is coming: judged as of now.";

/// The event, if there is one.
pub fn event_line(judgement: &Judgement) -> Option<String> {
    let EventTimes { name, people, start, end, .. } = event_times(judgement)?;
    let zone = &judgement.event_zone;
    let when = if start <= judgement.at {
        format!("running, from {}", local(&[start, end], zone))
    } else {
        format!("{}, in {}", local(&[start, end], zone), distance(judgement.at, start))
    };
    Some(format!("{name}: {when}{people}"))
}

/// An event on the clocks of its people.
pub(crate) struct EventTimes<'a> {
    pub(crate) name: &'a str,
    /// When, as they read it.
    pub(crate) when: String,
    /// When, in UTC.
    pub(crate) utc: String,
    /// How many come, behind a comma; empty where nobody has said so.
    pub(crate) people: String,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

/// The event that a judgement is for.
pub(crate) fn event_times(judgement: &Judgement) -> Option<EventTimes<'_>> {
    let (name, start, end) = (judgement.event.as_deref()?, judgement.event_start?, judgement.event_end?);
    let people = judgement.participants.map_or_else(String::new, |n| format!(", {}", counted(n as usize, "participant", "participants")));
    let [from, to] = [start, end].map(|at| at.to_zoned(judgement.event_zone.clone()));
    // The day is said once where it is the same.
    let until = if from.date() == to.date() { "%H:%M %Z" } else { "%a %-d %b %H:%M %Z" };
    let when = format!("{} to {}", from.strftime("%a %-d %b %Y, %H:%M"), to.strftime(until));
    Some(EventTimes { name, when, utc: format!("{} to {}", minute(start), minute(end)), people, start, end })
}

/// Moments of an event on the clocks of its people, and in UTC as all other times are told.
fn local(moments: &[Timestamp], zone: &TimeZone) -> String {
    let utc = moments.iter().copied().map(minute).collect::<Vec<_>>().join(" to ");
    if moments.iter().all(|at| zone.to_offset(*at) == Offset::UTC) {
        return utc;
    }
    let own = moments.iter().map(|at| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string());
    format!("{} ({utc})", own.collect::<Vec<_>>().join(" to "))
}

/// The distance between two moments in its two largest units.
pub fn distance(from: Timestamp, to: Timestamp) -> String {
    let seconds = (to.as_second() - from.as_second()).unsigned_abs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// The state as a short word.
pub fn state_word(state: CheckState) -> &'static str {
    match state {
        CheckState::Pass => "pass",
        CheckState::Warn => "warn",
        CheckState::Fail => "FAIL",
        CheckState::Unknown => "????",
        CheckState::Waived => "waived",
        CheckState::NotApplicable => "n/a",
    }
}

/// Bad lines of one check that are printed; a person who sees so many needs no more.
pub const BAD_LINES: usize = 50;

/// Where an exporter is reached that has the page and the runbooks, if that is known: a report is read elsewhere.
pub type Home<'a> = Option<&'a ExternalUrl>;

/// Where an exporter has a runbook.
pub(super) fn address_of(runbook: &str, home: &ExternalUrl) -> String {
    home.page(&format!("runbooks/{runbook}"))
}

/// Lines worth showing: the bad ones, and a count of the good.
pub(super) fn shown(check: &CheckVerdict) -> (Vec<String>, usize) {
    let bad: Vec<_> = check.lines.iter().filter(|line| line.state != CheckState::Pass).collect();
    let more = bad.len().saturating_sub(BAD_LINES);
    let told = bad.into_iter().take(BAD_LINES).map(|line| {
        // Within a red check, what could not be seen would read as one more red line.
        let unseen = if line.state == CheckState::Unknown && check.state != CheckState::Unknown { "Not known: " } else { "" };
        let word = if line.since_at_least { "At least since" } else { "Since" };
        let since = line.since.map_or_else(String::new, |since| format!(" {word} {}.", minute(since)));
        format!("{unseen}{}{since}", line.evidence)
    });
    let told = told.chain((more > 0).then(|| format!("And {more} more.")));
    (told.collect(), check.lines.iter().filter(|line| line.state == CheckState::Pass).count() + check.more_good)
}

/// Whether a person has to read on.
pub(super) fn needs_attention(state: CheckState) -> bool {
    matches!(state, CheckState::Fail | CheckState::Warn | CheckState::Unknown)
}
