//! The status page: the word large, then the checklist with its evidence. No script, no picture,
//! no request beside the page itself, so that it works on a phone in a basement.

use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::checklist::{CheckState, CheckVerdict, Judgement, Line};
use crate::history::Change;
use crate::report::{BAD_LINES, NO_EVENT, distance, event_line, overall, reason, refusal, word, words};
use crate::say::second;
use crate::snapshot::Snapshot;
use crate::value::Span;

const STYLE: &str = include_str!("page.css");

/// Seconds between two times that the page asks for itself.
const REFRESH: u64 = 10;
/// Seconds after which a page that was not refreshed says so, by itself.
const OLD: u64 = 60;
/// Age of a judgement from which on it is no word any more: it is judged every second or two.
const STALE: Duration = Duration::from_secs(15);

/// The status page. `ago` is how long ago was judged.
/// `refused` are the files of which an older content is in force.
pub(super) fn status(judgements: &[Judgement], ago: Duration, snapshot: &Snapshot, changes: &[Change], refused: &[&str]) -> String {
    let decision = overall(judgements);
    let stale = ago > STALE;
    let body = html! {
        @for file in refused {
            p class="notice" { (refusal(file)) }
        }
        @for (place, judgement) in judgements.iter().enumerate() {
            header class={ "verdict " (if stale { "stale" } else { judgement.decision.as_str() }) } {
                p class="title" { (judgement.title) }
                @if stale {
                    p class="word" { "STALE" }
                    p class="reason" {
                        "Last judged " (Span(Duration::from_secs(ago.as_secs()))) " ago, as " (word(judgement.decision))
                        ". The exporter does not judge any more; what this page shows may be out of date."
                    }
                } @else {
                    p class="word" { (word(judgement.decision)) }
                    p class="reason" { (reason(judgement)) }
                }
                @if let Some(event) = event_line(judgement) { p class="event" { (event) } }
                @else { p class="event" { (NO_EVENT) } }
            }
            (blockers(judgement, &anchors(place)))
        }
        @for (place, judgement) in judgements.iter().enumerate() {
            // The words of all stand at the top; below, a person must see what each list is about.
            @if judgements.len() > 1 { h1 { (judgement.title) @if let Some(event) = &judgement.event { " for " (event) } } }
            @let anchors = anchors(place);
            @for section in judgement.sections.iter().filter(|section| !section.checks.is_empty()) {
                section {
                    h2 { (section.title) }
                    @for check in &section.checks { (row(check, judgement, &anchors)) }
                }
            }
        }
        (sources(judgements, snapshot))
        (history(changes))
        footer {
            a href="/report.md" { "Markdown" } " · " a href="/report.json" { "JSON" } " · "
            a href="/report.txt" { "Text" } " · " a href="/report.xml" { "JUnit" } " · " a href="/metrics" { "Metrics" }
            @if let Some(judgement) = judgements.first() { " · judged " (judgement.at.strftime("%H:%M:%S UTC").to_string()) }
            " · readiness-exporter " (env!("CARGO_PKG_VERSION"))
        }
    };
    document(&format!("{} · readiness", if stale { "STALE" } else { word(decision) }), true, &body)
}

/// A runbook as a page.
pub(super) fn runbook(name: &str, markdown: &str) -> String {
    let mut body = String::new();
    pulldown_cmark::html::push_html(&mut body, pulldown_cmark::Parser::new_ext(markdown, pulldown_cmark::Options::ENABLE_TABLES));
    document(name, false, &html! { article { (PreEscaped(body)) p { a href="/" { "Back to the checklist" } } } })
}

/// One that is `live` asks for itself again, and turns grey when no answer comes. A browser that sleeps,
/// a frame that was frozen and a page that was saved run no script, but they run this animation.
fn document(title: &str, live: bool, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if live { meta http-equiv="refresh" content=(REFRESH); }
                title { (title) }
                style { (PreEscaped(STYLE)) @if live { ":root { --old: " (OLD) "s; }" } }
            }
            body {
                @if live { p class="old" { "This page has not been refreshed for " (OLD) " s; what it shows may be out of date." } }
                main class=[live.then_some("live")] { (body) }
            }
        }
    }
    .into_string()
}

/// What stands before the anchors of a judgement. Those of the first are the names of the checks, to
/// which links may lead from elsewhere.
fn anchors(place: usize) -> String {
    if place == 0 { String::new() } else { format!("{}-", place + 1) }
}

fn blockers(judgement: &Judgement, anchors: &str) -> Markup {
    let mut blocking: Vec<_> = judgement.checks().filter(|check| check.required && matches!(check.state, CheckState::Fail | CheckState::Unknown)).collect();
    // What is bad comes before what is not known: only the first are explained.
    blocking.sort_by_key(|check| std::cmp::Reverse(check.state));
    html! {
        @if !blocking.is_empty() {
            nav aria-label="What blocks" {
                @for (index, check) in blocking.iter().enumerate() {
                    @let chip = html! { a class={ "chip " (check.state.as_str()) } href={ "#" (anchors) (check.name) } { (check.name) } };
                    // On a wall nobody scrolls: what blocks says why where everybody looks.
                    @if let Some(line) = check.lines.first().filter(|_| index < EXPLAINED) {
                        @let more = check.lines.iter().filter(|other| other.state == line.state).count() - 1;
                        div class="reason" { (chip) span class="why" { (line.evidence) @if more > 0 { " And " (more) " more." } } }
                    } @else { (chip) }
                }
            }
        }
    }
}

/// Blocking checks that are explained at the top; the rest is named.
const EXPLAINED: usize = 6;

fn mark(state: CheckState) -> (&'static str, &'static str) {
    match state {
        CheckState::Pass => ("✓", "pass"),
        CheckState::Warn => ("!", "warning"),
        CheckState::Fail => ("✗", "fail"),
        CheckState::Unknown => ("?", "unknown"),
        CheckState::Waived => ("~", "waived"),
        CheckState::NotApplicable => ("–", "not applicable"),
    }
}

fn row(check: &CheckVerdict, judgement: &Judgement, anchors: &str) -> Markup {
    let (sign, name) = mark(check.state);
    let attention = !matches!(check.state, CheckState::Pass | CheckState::NotApplicable);
    let (good, bad): (Vec<_>, Vec<_>) = check.lines.iter().partition(|line| line.state == CheckState::Pass);
    html! {
        div class={ "check " (check.state.as_str()) } id={ (anchors) (check.name) } {
            p class="head" {
                span class="mark" title=(name) { (sign) span class="sr" { (name) } }
                span class="item" { (check.item) } " "
                span class="what" { (check.title) }
                @if !check.required { span class="tag" { "does not block" } }
            }
            @for line in bad.iter().take(BAD_LINES) { (evidence(line, judgement)) }
            @if bad.len() > BAD_LINES { p class="note" { "And " (bad.len() - BAD_LINES) " more." } }
            @if let (Some(note), true) = (&check.note, check.lines.is_empty()) { p class="note" { (note) } }
            @if attention {
                @let advice = check.advice();
                @for (index, advised) in advice.iter().enumerate() {
                    p class="remedy" {
                        (advised)
                        @if index + 1 == advice.len() && crate::runbooks::runbook(&check.runbook).is_some() { " " a href={ "/runbooks/" (check.runbook) } { "Runbook" } }
                    }
                }
            }
            @if !good.is_empty() {
                details {
                    summary { (good.len() + check.more_good) " good" @if let Some(age) = oldest(&good, judgement) { ", seen within " (age) } }
                    @for line in &good { (evidence(line, judgement)) }
                    @if check.more_good > 0 { p class="note" { "And " (check.more_good) " more." } }
                }
            }
        }
    }
}

fn oldest(lines: &[&Line], judgement: &Judgement) -> Option<String> {
    let oldest = lines.iter().filter_map(|line| line.seen_at).min()?;
    Some(distance(oldest, judgement.at))
}

fn evidence(line: &Line, judgement: &Judgement) -> Markup {
    let (_, name) = mark(line.state);
    html! {
        p class={ "line " (line.state.as_str()) } {
            span class="sr" { (name) ": " }
            (line.evidence)
            span class="age" {
                @if let Some(since) = line.since { " for " @if line.since_at_least { "at least " } (distance(since, judgement.at)) }
                @if let Some(seen) = line.seen_at { " · seen " (distance(seen, judgement.at)) " ago" }
            }
        }
    }
}

/// The last changes, newest first.
fn history(changes: &[Change]) -> Markup {
    html! {
        @if !changes.is_empty() {
            section {
                details {
                    summary { "What changed within a day: " (changes.len()) }
                    @for change in changes.iter().rev().take(CHANGES) {
                        p class={ "line " (change.to) } { (second(change.at)) " · " (words(change)) }
                    }
                    @if changes.len() > CHANGES { p class="note" { "And " (changes.len() - CHANGES) " before; readiness-exporter report has them all." } }
                }
            }
        }
    }
}

/// Changes that the page has room for.
const CHANGES: usize = 50;

/// Sources whose last look failed: the reason behind most unknowns.
fn sources(judgements: &[Judgement], snapshot: &Snapshot) -> Markup {
    let failing: Vec<_> = snapshot.views.iter().filter_map(|view| view.failure.as_ref().map(|failure| (view, failure))).collect();
    let now = judgements.first().map(|judgement| judgement.at);
    html! {
        @if !failing.is_empty() {
            section {
                h2 { "Sources that cannot be seen" }
                @for (view, failure) in failing {
                    p class="line unknown" {
                        strong { (view.source.collector) " " (view.source.name) } ": " (failure.message)
                        @if let (Some(seen), Some(now)) = (view.seen_at, now) { span class="age" { " · last seen " (distance(seen, now)) " ago" } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::checklist::Decision;

    #[test]
    fn a_judgement_that_is_old_is_no_go() {
        let judged = Judgement {
            checklist: "c".into(),
            title: "T".into(),
            revision: "r".into(),
            decision: Decision::Go,
            at: Timestamp::UNIX_EPOCH,
            event: None,
            event_start: None,
            event_end: None,
            event_zone: jiff::tz::TimeZone::UTC,
            participants: None,
            sections: Vec::new(),
        };
        let page = |ago| status(std::slice::from_ref(&judged), Duration::from_secs(ago), &crate::snapshot::Store::default().snapshot(), &[], &[]);
        let fresh = page(2);
        assert!(fresh.contains("<header class=\"verdict go\">") && fresh.contains("<p class=\"word\">GO</p>") && fresh.contains("<title>GO "));
        assert!(fresh.contains("--old: 60s") && fresh.contains("has not been refreshed for 60 s"));
        let stale = page(90);
        assert!(stale.contains("<header class=\"verdict stale\">") && stale.contains("<p class=\"word\">STALE</p>") && stale.contains("<title>STALE "));
        assert!(stale.contains("Last judged 1m30s ago, as GO.") && !stale.contains("verdict go"), "{stale}");
    }
}
