//! What stands in the way, one row for each cause.

use maud::{Markup, html};

use super::{of_what, runbook_of, sign};
use crate::checklist::{CheckState, CheckVerdict, Judgement};
use crate::report::{Cause, causes, distance};
use crate::say::counted;

/// Causes that have a row; nobody works on more of them at once, and the checklist below has all.
const ROWS: usize = 40;
/// Lines of one cause that are told when it is opened.
const LINES: usize = 100;

/// All that is not good, the most pressing first.
pub(super) fn section(judgement: &Judgement, anchors: &str, several: bool) -> Markup {
    let causes = causes(judgement);
    let of = if several { format!(": {}", of_what(judgement)) } else { String::new() };
    let (blocking, others): (Vec<_>, Vec<_>) = causes.iter().partition(|cause| cause.blocks);
    html! {
        @for (title, own, key) in [("What keeps it from go", blocking, "blocks"), ("What does not block", others, "others")] {
            @if !own.is_empty() {
                section class="causes" aria-label={ (title) (of) } {
                    h2 { (title) (of) span class="tally" { (own.len()) } }
                    ol {
                        @for (index, cause) in own.iter().take(ROWS).enumerate() {
                            (row(cause, judgement, anchors, &format!("{anchors}{key}-{index}")))
                        }
                    }
                    @if own.len() > ROWS { p class="note" { "And " (own.len() - ROWS) " more; the checklist below has all." } }
                }
            }
        }
    }
}

fn row(cause: &Cause<'_>, judgement: &Judgement, anchors: &str, key: &str) -> Markup {
    let (check, line) = cause.head();
    let checks = cause.checks();
    let more = cause.lines.len() - 1;
    html! {
        li class={ "cause " (cause.state.as_str()) } {
            (sign(cause.state))
            div class="said" {
                p class="sentence" { (line.evidence) }
                p class="asked" {
                    a href={ "#" (anchors) (check.name) } { span class="item" { (check.item) } " " (check.title) }
                    @if checks.len() > 1 { " and " (counted(checks.len() - 1, "other line", "other lines")) }
                }
                (next(check))
                @if more > 0 {
                    details data-key=(key) {
                        summary { (folded(cause)) }
                        @for (check, line) in cause.lines.iter().skip(1).take(LINES) {
                            p class="line" {
                                a href={ "#" (anchors) (check.name) } { span class="item" { (check.item) } " " (check.title) }
                                @if line.evidence != cause.head().1.evidence { ": " (line.evidence) }
                            }
                        }
                        @if more > LINES { p class="note" { "And " (more - LINES) " more." } }
                    }
                }
            }
            (since(cause, judgement))
        }
    }
}

/// What else a cause makes bad or hides.
pub(super) fn folded(cause: &Cause<'_>) -> String {
    let (checks, more) = (cause.checks().len(), cause.lines.len() - 1);
    match (cause.state, checks) {
        (CheckState::Unknown, 2..) => format!("{} cannot be seen because of it", counted(checks, "line of the checklist", "lines of the checklist")),
        _ => format!("And {}", counted(more, "more of it", "more of it")),
    }
}

/// Since when it is so.
pub(super) fn since(cause: &Cause<'_>, judgement: &Judgement) -> Markup {
    html! {
        @if let Some((since, at_least)) = cause.since() {
            p class="since" { "for " @if at_least { "at least " } time data-for=(since.as_second()) { (distance(since, judgement.at)) } }
        }
    }
}

/// What to do next: the first thing, and where the rest stands.
fn next(check: &CheckVerdict) -> Markup {
    html! {
        p class="next" {
            @if let Some(advice) = check.advice().first() { (advice) }
            (runbook_of(check))
        }
    }
}
