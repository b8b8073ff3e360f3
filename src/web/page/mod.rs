//! The pages for people: the status page, the one for a screen on a wall, and the runbooks.
//!
//! The word comes first, then one row for each cause, then the checklist. All of it is there without a
//! script; the small one beside it only asks for the page again without closing what a reader has opened.

mod causes;
mod checklist;
mod palette;
mod timeline;
mod wall;

use std::time::Duration;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::checklist::{CheckState, CheckVerdict, Judgement};
use crate::history::Change;
use crate::meaning::Meaning;
use crate::report::{EventTimes, Home, NO_EVENT, distance, event_times, overall, reason, refusal, word, words};
use crate::say::second;
use crate::snapshot::Snapshot;
use crate::value::Span;

/// What the page asks for again, and how it keeps what a reader has opened.
pub(super) const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

/// Seconds between two times that the page asks for itself.
const REFRESH: u64 = 10;
/// Seconds after which a page that was not refreshed says so, by itself.
const OLD: u64 = 60;
/// Age of a judgement from which on it is no word any more: it is judged every few seconds.
const STALE: Duration = Duration::from_secs(15);
/// How far back changes are listed, in seconds.
const DAY: i64 = 86_400;

/// What a page shows.
pub struct Seen<'a> {
    /// What the judge last came to.
    pub judgements: &'a [Judgement],
    /// How long ago was judged.
    pub ago: Duration,
    /// The facts, for the sources that cannot be seen.
    pub snapshot: &'a Snapshot,
    /// How verdicts changed, oldest first, at least since [`since`].
    pub changes: &'a [Change],
    /// Files of which an older content is in force.
    pub refused: &'a [&'a str],
}

impl Seen<'_> {
    fn is_stale(&self) -> bool {
        self.ago > STALE
    }

    /// The word of all, as the title and the icon show it.
    fn head(&self) -> (&'static str, &'static str) {
        if self.is_stale() { ("STALE", "stale") } else { (word(overall(self.judgements)), overall(self.judgements).as_str()) }
    }

    fn now(&self) -> Timestamp {
        self.judgements.first().map_or(Timestamp::UNIX_EPOCH, |judgement| judgement.at)
    }
}

/// From when on a page needs changes.
pub fn since(judgements: &[Judgement], now: Timestamp) -> Timestamp {
    let day = now.as_second() - DAY;
    let first = judgements.iter().map(|judgement| timeline::window(judgement).0.as_second()).min().unwrap_or(day);
    Timestamp::from_second(first.min(day)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The status page.
pub fn status(seen: &Seen<'_>) -> String {
    let several = seen.judgements.len() > 1;
    let body = html! {
        a class="skip" href="#checklist" { "Skip to the checklist" }
        @for file in seen.refused {
            p class="notice" { (refusal(file)) }
        }
        @if several { h1 class="sr" { "Readiness: " (seen.head().0) } }
        div class=[several.then_some("verdicts")] {
            @for judgement in seen.judgements { (verdict(judgement, seen, several)) }
        }
        @for (place, judgement) in seen.judgements.iter().enumerate() {
            (causes::section(judgement, &anchors(place), several))
        }
        div id="checklist" {
            @for (place, judgement) in seen.judgements.iter().enumerate() {
                // The words of all stand at the top; below, a person must see what each list is about.
                @if several { h2 class="of" { (judgement.title) @if let Some(event) = &judgement.event { " for " (event) } } }
                (checklist::sections(judgement, &anchors(place)))
            }
        }
        (sources(seen))
        (history(seen))
        footer {
            a href="wall" { "For a screen on the wall" } " · "
            a href="report.md" { "Markdown" } " · " a href="report.json" { "JSON" } " · "
            a href="report.txt" { "Text" } " · " a href="report.xml" { "JUnit" } " · " a href="metrics" { "Metrics" }
            " · readiness-exporter " (env!("CARGO_PKG_VERSION"))
        }
    };
    document(&Head::of(seen), &body)
}

/// A page that somebody keeps: what leads away from it leads to where the exporter is, if that is known. What
/// is shown is escaped, so that nothing but a link has this form.
pub(super) fn kept(page: String, home: Home<'_>) -> String {
    let Some(home) = home else { return page };
    let mut parts = page.split(" href=\"");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut out, part| {
        let is_here = part.starts_with('#') || part.starts_with("data:");
        out.push_str(" href=\"");
        out.push_str(&if is_here { String::new() } else { home.page("") });
        out.push_str(part);
        out
    })
}

/// The page for a screen on a wall.
pub fn wall(seen: &Seen<'_>) -> String {
    document(&Head { class: "wall", ..Head::of(seen) }, &wall::body(seen))
}

/// A runbook as a page.
pub(super) fn runbook(name: &str, markdown: &str) -> String {
    let mut body = String::new();
    pulldown_cmark::html::push_html(&mut body, pulldown_cmark::Parser::new_ext(markdown, pulldown_cmark::Options::ENABLE_TABLES));
    let body = html! { article { (PreEscaped(body)) p { a href="../" { "Back to the checklist" } } } };
    document(&Head { title: name.to_owned(), state: "none", class: "runbook", live: None }, &body)
}

/// What stands around the body of a page.
struct Head {
    title: String,
    /// The state that the icon shows.
    state: &'static str,
    class: &'static str,
    /// The moment that a page shows, if it asks for itself again.
    live: Option<Timestamp>,
}

impl Head {
    fn of(seen: &Seen<'_>) -> Self {
        let (word, state) = seen.head();
        Self { title: format!("{word} · readiness"), state, class: "status", live: Some(seen.now()) }
    }
}

/// One that is live asks for itself again, and turns grey when no answer comes. A browser that sleeps,
/// a frame that was frozen and a page that was saved run no script, but they run this animation.
fn document(head: &Head, body: &Markup) -> String {
    let live = head.live;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (head.title) }
                link rel="icon" href=(icon(head.state));
                style { (PreEscaped(palette::VARIABLES.as_str())) (PreEscaped(STYLE)) @if live.is_some() { ":root { --old: " (OLD) "s; }" } }
                @if live.is_some() {
                    script src="page.js" defer {}
                    noscript { meta http-equiv="refresh" content=(REFRESH); }
                }
            }
            body class=(head.class) {
                @if live.is_some() { p class="old" { "This page has not been refreshed for " (OLD) " s; what it shows may be out of date." } }
                @match live {
                    Some(at) => main class="live" data-at=(at.as_second()) data-every=(REFRESH) { (body) },
                    None => main { (body) },
                }
            }
        }
    }
    .into_string()
}

/// A small picture of a state, by shape and by colour.
fn icon(state: &str) -> String {
    let (meaning, shape) = match state {
        "go" => (Meaning::Good, "M4 9l3 3 5-7"),
        "no_go" => (Meaning::Bad, "M5 5l6 6M11 5l-6 6"),
        "undecided" | "stale" => (Meaning::Unknown, "M8 4v5M8 11.5v.5"),
        _ => (Meaning::NotAsked, "M5 8h6"),
    };
    let ink = palette::ink(meaning);
    let colour = ink.trim_start_matches('#');
    format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%23{colour}'/%3E%3Cpath d='{shape}' fill='none' stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E"
    )
}

/// What stands before the anchors of a judgement. Those of the first are the names of the checks, to
/// which links may lead from elsewhere.
fn anchors(place: usize) -> String {
    if place == 0 { String::new() } else { format!("{}-", place + 1) }
}

/// What was judged: a checklist, and for which event.
fn of_what(judgement: &Judgement) -> String {
    match &judgement.event {
        None => judgement.title.clone(),
        Some(event) => format!("{} for {event}", judgement.title),
    }
}

/// The word of a judgement, and what it rests on.
fn verdict(judgement: &Judgement, seen: &Seen<'_>, several: bool) -> Markup {
    let (said, class) = said(judgement, seen);
    html! {
        header class={ "verdict " (class) } {
            @if several { h2 { span class="title" { (of_what(judgement)) } span class="word" { (said) } } }
            @else { h1 { span class="title" { (judgement.title) } span class="word" { (said) } } }
            p class="reason" { (rests_on(judgement, seen)) }
            (event(judgement))
            (timeline::bar(judgement, seen.changes))
            p class="judged" { (age(seen)) }
        }
    }
}

/// The word that is shown for a judgement, and the class of its colour.
fn said(judgement: &Judgement, seen: &Seen<'_>) -> (&'static str, &'static str) {
    if seen.is_stale() { ("STALE", "stale") } else { (word(judgement.decision), judgement.decision.as_str()) }
}

fn rests_on(judgement: &Judgement, seen: &Seen<'_>) -> String {
    if seen.is_stale() {
        let ago = Span(Duration::from_secs(seen.ago.as_secs()));
        let was = word(judgement.decision);
        return format!(
            "Last judged {ago} ago, as {was}. The exporter answers, but does not judge any more: read its log and restart it. What stands here may be out of date."
        );
    }
    reason(judgement)
}

/// When was judged. The script counts on, and without it the page comes again.
fn age(seen: &Seen<'_>) -> Markup {
    let at = seen.now();
    html! { "Judged " time data-since=(at.as_second()) datetime=(at.to_string()) { (Span(Duration::from_secs(seen.ago.as_secs()))) " ago" } ", at " (second(at)) }
}

/// The event on the clocks of its people, and how far away it is.
fn event(judgement: &Judgement) -> Markup {
    let Some(EventTimes { name, when, utc, people, start, end }) = event_times(judgement) else {
        return html! { p class="event" { (NO_EVENT) } };
    };
    html! {
        p class="event" {
            strong { (name) } " "
            @if start <= judgement.at {
                "runs for another " time class="count" data-until=(end.as_second()) { (distance(judgement.at, end)) }
            } @else {
                "in " time class="count" data-until=(start.as_second()) { (distance(judgement.at, start)) }
            }
            span class="when" title=(utc) { (when) (people) }
        }
    }
}

/// The sign and the word of a state.
fn mark(state: CheckState) -> (&'static str, &'static str) {
    match state {
        CheckState::Pass => ("✓", "pass"),
        CheckState::Warn => ("!", "warning"),
        CheckState::Fail => ("✗", "fail"),
        CheckState::Unknown => ("?", "unknown"),
        CheckState::Waived => ("~", "waived"),
        CheckState::NotApplicable => ("–", "not asked"),
    }
}

/// The sign of a state, read aloud as its word.
fn sign(state: CheckState) -> Markup {
    let (sign, name) = mark(state);
    html! { span class="mark" title=(name) { span aria-hidden="true" { (sign) } span class="sr" { (name) ": " } } }
}

/// A link to the runbook of a check, if it has one.
fn runbook_of(check: &CheckVerdict) -> Markup {
    html! {
        @if crate::runbooks::runbook(&check.runbook).is_some() {
            " " a href={ "runbooks/" (check.runbook) } { "Runbook" span class="sr" { " of " (check.name) } }
        }
    }
}

/// The last changes, newest first.
fn history(seen: &Seen<'_>) -> Markup {
    let from = seen.now().as_second() - DAY;
    let changes: Vec<_> = seen.changes.iter().filter(|change| change.at.as_second() >= from).collect();
    html! {
        @if !changes.is_empty() {
            details class="section" data-key="history" {
                summary { h2 { "What changed within a day" } span class="tally" { (changes.len()) } }
                @for change in changes.iter().rev().take(CHANGES) {
                    p class={ "line " (change.to) } { (second(change.at)) " · " (words(change)) }
                }
                @if changes.len() > CHANGES { p class="note" { "And " (changes.len() - CHANGES) " before; readiness-exporter report has them all." } }
            }
        }
    }
}

/// Changes that the page has room for.
const CHANGES: usize = 50;

/// Sources whose last look failed: the reason behind most unknowns.
fn sources(seen: &Seen<'_>) -> Markup {
    let failing: Vec<_> = seen.snapshot.views.iter().filter_map(|view| view.failure.as_ref().map(|failure| (view, failure))).collect();
    html! {
        @if !failing.is_empty() {
            details class="section" data-key="sources" {
                summary { h2 { "Sources that cannot be seen" } span class="tally" { (failing.len()) " of " (seen.snapshot.views.len()) } }
                @for (view, failure) in failing {
                    p class="line unknown" {
                        strong { (view.source.collector) " " (view.source.name) } ": " (failure.message)
                        @if let Some(at) = view.seen_at { span class="age" { " · last seen " (distance(at, seen.now())) " ago" } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
