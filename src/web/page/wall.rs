//! The page for a screen that nobody touches: the word, what is wrong, how long until the event, and how it went.

use maud::{Markup, html};

use super::causes::{folded, since};
use super::{Seen, age, event, of_what, rests_on, said, sign, timeline};
use crate::checklist::Judgement;
use crate::report::{causes, refusal};

/// Causes that are told of one judgement: what a person reads in ten seconds.
const CAUSES: usize = 5;

/// So many causes have room for what to do next.
const FEW: usize = 3;

/// What the screen shows.
pub(super) fn body(seen: &Seen<'_>) -> Markup {
    // Side by side there is less room for each.
    let room = CAUSES.div_ceil(seen.judgements.len().max(1)).max(2);
    html! {
        h1 class="sr" { "Readiness: " (seen.head().0) }
        @for file in seen.refused { p class="notice" { (refusal(file)) } }
        div class={ "verdicts " @if seen.judgements.len() > 1 { "several" } } {
            @for judgement in seen.judgements { (one(judgement, seen, room)) }
        }
        p class="judged" { (age(seen)) " · " a href="./" { "The whole checklist" } }
    }
}

fn one(judgement: &Judgement, seen: &Seen<'_>, room: usize) -> Markup {
    let (said, class) = said(judgement, seen);
    let blocking: Vec<_> = causes(judgement).into_iter().filter(|cause| cause.blocks).collect();
    html! {
        section class={ "verdict " (class) } {
            h2 { span class="title" { @if seen.judgements.len() > 1 { (of_what(judgement)) } @else { (judgement.title) } } span class="word" { (said) } }
            (event(judgement))
            @if blocking.is_empty() || seen.is_stale() { p class="reason" { (rests_on(judgement, seen)) } }
            ol class={ "causes " @if blocking.len() <= FEW { "few" } } {
                @for cause in blocking.iter().take(room) {
                    li class={ "cause " (cause.state.as_str()) } {
                        (sign(cause.state))
                        div class="said" {
                            p class="sentence" { (cause.head().1.evidence) }
                            @if cause.lines.len() > 1 { p class="asked" { (folded(cause)) } }
                            @if blocking.len() <= FEW && let Some(advice) = cause.head().0.advice().first() { p class="next" { (advice) } }
                        }
                        (since(cause, judgement))
                    }
                }
            }
            @if blocking.len() > room { p class="more" { "and " (blocking.len() - room) " more" } }
            (timeline::bar(judgement, seen.changes))
        }
    }
}
