//! The checklist in the order of the paper, section by section: open where something is not good.

use maud::{Markup, html};

use super::{mark, runbook_of, sign};
use crate::checklist::{CheckState, CheckVerdict, Judgement, Line, SectionVerdict};
use crate::report::{BAD_LINES, distance};

/// Every section that has a line.
pub(super) fn sections(judgement: &Judgement, anchors: &str) -> Markup {
    html! {
        @for (index, section) in judgement.sections.iter().enumerate().filter(|(_, section)| !section.checks.is_empty()) {
            (one(section, judgement, anchors, &format!("{anchors}section-{index}")))
        }
    }
}

fn one(section: &SectionVerdict, judgement: &Judgement, anchors: &str, key: &str) -> Markup {
    let is_open = section.checks.iter().any(|check| is_bad(check.state));
    let (quiet, bad): (Vec<_>, Vec<_>) = section.checks.iter().partition(|check| is_open && !is_bad(check.state));
    html! {
        details class="section" data-key=(key) open[is_open] {
            summary { h2 { (section.title) } (tally(section)) }
            @for check in &bad { (row(check, judgement, anchors)) }
            @if !quiet.is_empty() {
                details class="quiet" data-key={ (key) "-rest" } {
                    summary { "The other " (quiet.len()) " of this section" }
                    @for check in &quiet { (row(check, judgement, anchors)) }
                }
            }
        }
    }
}

const fn is_bad(state: CheckState) -> bool {
    matches!(state, CheckState::Fail | CheckState::Warn | CheckState::Unknown)
}

/// How many lines of a section are good, of those that were asked, and what the others are.
fn tally(section: &SectionVerdict) -> Markup {
    let count = |state| section.checks.iter().filter(|check| check.state == state).count();
    let unasked = count(CheckState::NotApplicable);
    let asked = section.checks.len() - unasked;
    let others = [CheckState::Fail, CheckState::Unknown, CheckState::Warn, CheckState::Waived].map(|state| (state, count(state)));
    html! {
        span class="tally" {
            @if asked > 0 { (count(CheckState::Pass)) " of " (asked) }
            @for (state, count) in others.into_iter().filter(|(_, count)| *count > 0) {
                " · " span class=(state.as_str()) { (count) " " (mark(state).1) }
            }
            @if unasked > 0 { @if asked > 0 { " · " } (unasked) " not asked" }
        }
    }
}

fn row(check: &CheckVerdict, judgement: &Judgement, anchors: &str) -> Markup {
    let (good, bad): (Vec<_>, Vec<_>) = check.lines.iter().partition(|line| line.state == CheckState::Pass);
    html! {
        div class={ "check " (check.state.as_str()) } id={ (anchors) (check.name) } {
            p class="head" {
                (sign(check.state))
                span class="item" { (check.item) } " "
                span class="what" { (check.title) }
                @if !check.required { span class="tag" { "does not block" } }
            }
            @for line in bad.iter().take(BAD_LINES) { (evidence(line, judgement)) }
            @if bad.len() > BAD_LINES { p class="note" { "And " (bad.len() - BAD_LINES) " more." } }
            @if let (Some(note), true) = (&check.note, check.lines.is_empty()) { p class="note" { (note) } }
            @if !matches!(check.state, CheckState::Pass | CheckState::NotApplicable) { (advice(check)) }
            @if !good.is_empty() {
                details data-key={ (anchors) (check.name) "-good" } {
                    summary { (good.len() + check.more_good) " good" @if let Some(age) = oldest(&good, judgement) { ", seen within " (age) } }
                    @for line in &good { (evidence(line, judgement)) }
                    @if check.more_good > 0 { p class="note" { "And " (check.more_good) " more." } }
                }
            }
        }
    }
}

fn advice(check: &CheckVerdict) -> Markup {
    let advice = check.advice();
    html! {
        @for (index, advised) in advice.iter().enumerate() {
            p class="remedy" {
                (advised)
                @if index + 1 == advice.len() { (runbook_of(check)) }
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
