//! How the decision went since two days before the event, as one bar: at each time what was judged last, also while no
//! exporter ran, since nobody knows when one ended.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::checklist::{Decision, Judgement};
use crate::history::Change;
use crate::metric::States as _;
use crate::report::word;
use crate::say::minute;

/// How long before an event the bar begins, and how far back it goes where none is near, in seconds.
const AHEAD: i64 = 2 * 86_400;

/// One decision for a time; none while nothing was judged.
#[derive(Debug, PartialEq)]
struct Part {
    decision: Option<Decision>,
    from: i64,
    to: i64,
}

/// From when to when a judgement has a bar: until the event starts, or until it ends once it runs.
pub(super) fn window(judgement: &Judgement) -> (Timestamp, Timestamp) {
    let now = judgement.at.as_second();
    let second = |at| Timestamp::from_second(at).unwrap_or(judgement.at);
    match (judgement.event_start, judgement.event_end) {
        (Some(start), Some(end)) if start.as_second() - AHEAD <= now => {
            (second(start.as_second() - AHEAD), if start.as_second() > now { start } else { end.max(judgement.at) })
        }
        _ => (second(now - AHEAD), judgement.at),
    }
}

/// Where the bar begins: a distance means the same on the clocks of all.
fn begins(judgement: &Judgement) -> &'static str {
    if judgement.event_start.is_some_and(|start| start.as_second() - AHEAD <= judgement.at.as_second()) { "2 days before the start" } else { "2 days ago" }
}

/// Where it ends.
fn ends(judgement: &Judgement) -> &'static str {
    let (_, to) = window(judgement);
    match (to > judgement.at, judgement.event_start) {
        (true, Some(start)) if start > judgement.at => "start",
        (true, _) => "end",
        (false, _) => "now",
    }
}

/// The bar of a judgement, and the same in words.
pub(super) fn bar(judgement: &Judgement, changes: &[Change]) -> Markup {
    let (from, to) = window(judgement);
    let parts = parts(judgement, changes);
    let ahead = to.as_second() - judgement.at.as_second();
    let told: Vec<_> =
        parts.iter().filter_map(|part| Some(format!("{} since {}", word(part.decision?), minute(Timestamp::from_second(part.from).ok()?)))).collect();
    html! {
        div class="timeline" role="img" aria-label={ "What was judged last, since " (minute(from)) ": " (told.join(", ")) "." } {
            @for part in &parts {
                span class=(part.decision.map_or("none", Decision::as_str)) style={ "flex-grow:" (part.to - part.from) } title=[told_at(part)] {
                    b { (part.decision.map_or("", word)) }
                }
            }
            @if ahead > 0 { span class="ahead" style={ "flex-grow:" (ahead) } {} }
        }
        p class="ends" aria-hidden="true" { span { (begins(judgement)) } span { (ends(judgement)) } }
    }
}

fn told_at(part: &Part) -> Option<String> {
    Some(format!("{} from {}", word(part.decision?), minute(Timestamp::from_second(part.from).ok()?)))
}

/// What the decision was, from the beginning of the bar until now.
fn parts(judgement: &Judgement, changes: &[Change]) -> Vec<Part> {
    let (from, _) = window(judgement);
    let (from, now) = (from.as_second(), judgement.at.as_second());
    let is_own =
        |change: &&Change| change.checklist == judgement.checklist && change.event == judgement.event && change.check.is_none() && change.subject.is_none();
    let own: Vec<_> = changes.iter().filter(is_own).collect();
    // What it was before the first change that is known; without any it has not changed since.
    let before = own.first().map_or(Some(judgement.decision), |first| first.from.as_deref().and_then(decision));
    let mut parts: Vec<Part> = Vec::new();
    let mut last = (before, from);
    for change in own {
        let at = change.at.as_second().clamp(from, now);
        parts.push(Part { decision: last.0, from: last.1, to: at });
        last = (decision(&change.to), at);
    }
    parts.push(Part { decision: last.0, from: last.1, to: now });
    parts.retain(|part| part.to > part.from);
    parts
}

fn decision(word: &str) -> Option<Decision> {
    Decision::ALL.iter().copied().find(|decision| decision.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn judged(start: Option<i64>) -> Judgement {
        Judgement {
            event: start.map(|_| "w".to_owned()),
            event_start: start.map(at),
            event_end: start.map(|start| at(start + 3_600)),
            ..super::super::tests::judged(Decision::Go, at(0))
        }
    }

    fn change(second: i64, from: Option<&str>, to: &str, event: Option<&str>) -> Change {
        Change {
            at: at(second),
            checklist: "c".to_owned(),
            event: event.map(str::to_owned),
            check: None,
            subject: None,
            from: from.map(str::to_owned),
            to: to.to_owned(),
            seen: None,
            left: None,
        }
    }

    #[test]
    fn the_bar_begins_two_days_before_the_event() {
        let of = |start: Option<i64>| {
            let (from, to) = window(&judged(start));
            [from, to].map(|moment| moment.as_second() - 1_800_000_000)
        };
        assert_eq!(of(None), [-AHEAD, 0]);
        assert_eq!(of(Some(10 * AHEAD)), [-AHEAD, 0], "far ahead it is the last two days");
        assert_eq!(of(Some(3_600)), [3_600 - AHEAD, 3_600]);
        assert_eq!(of(Some(-600)), [-600 - AHEAD, 3_000], "while it runs, until its end");
    }

    #[test]
    fn each_decision_has_its_time() {
        let judged = judged(Some(3_600));
        let seconds = |changes: &[Change]| parts(&judged, changes).iter().map(|part| (part.decision.map(word), part.to - part.from)).collect::<Vec<_>>();
        let whole = AHEAD - 3_600;
        assert_eq!(seconds(&[]), [(Some("GO"), whole)]);
        let started = change(-1_000, None, "undecided", Some("w"));
        let [red, green] = [(-600, "undecided", "no_go"), (-100, "no_go", "go")].map(|(second, from, to)| change(second, Some(from), to, Some("w")));
        assert_eq!(
            seconds(&[started, red, green]),
            [(None, whole - 1_000), (Some("UNDECIDED"), 400), (Some("NO-GO"), 500), (Some("GO"), 100)],
            "before the exporter ran there was no decision"
        );
        let of_another = change(-600, Some("go"), "no_go", Some("other"));
        assert_eq!(seconds(&[of_another]), [(Some("GO"), whole)]);
        let page = bar(&judged, &[change(-100, Some("no_go"), "go", Some("w"))]).into_string();
        assert!(
            page.contains("NO-GO since") && page.contains("style=\"flex-grow:100\"") && page.contains("class=\"ahead\" style=\"flex-grow:3600\""),
            "{page}"
        );
    }
}
