//! The checklist for a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::wording::{Home, NO_EVENT, address_of, event_line, needs_attention, reason, shown, state_word, word};
use crate::checklist::{CheckState, Decision, Judgement, Unasked};
use crate::runbooks::runbook;

/// Judgements as text, with colour if wanted.
pub fn text(judgements: &[Judgement], colour: bool, home: Home<'_>) -> String {
    let mut out = String::new();
    for judgement in judgements {
        one(&mut out, judgement, colour, home);
    }
    out
}

/// Whether nothing is to be said of a check but its name.
const fn is_left_out(why: Unasked) -> bool {
    match why {
        Unasked::NotConfigured | Unasked::Disabled | Unasked::ByPrometheus => true,
        Unasked::NotDue => false,
    }
}

fn one(out: &mut String, judgement: &Judgement, colour: bool, home: Home<'_>) {
    let paint = |code: &str, text: &str| paint(colour, code, text);
    let _ = writeln!(out, "{} ({})", judgement.title, judgement.checklist);
    let _ = writeln!(out, "{}", event_line(judgement).unwrap_or_else(|| NO_EVENT.to_owned()));
    if let Some(home) = home {
        let _ = writeln!(out, "{}", home.page(""));
    }
    // What one cause hides is hidden from many checks; its reason stands at the first of them.
    let mut hidden: BTreeMap<Vec<String>, &str> = BTreeMap::new();
    for section in judgement.sections.iter().filter(|section| !section.checks.is_empty()) {
        let _ = writeln!(out, "\n{}", paint("1", &section.title));
        let (left_out, told): (Vec<_>, Vec<_>) = section.checks.iter().partition(|check| check.unasked.is_some_and(is_left_out));
        for check in told {
            let code = colour_of(check.state);
            let optional = if check.required { "" } else { " (does not block)" };
            let (bad, good) = shown(check);
            let count = if good > 1 { format!(" [{good} good]") } else { String::new() };
            let _ = writeln!(out, "  {}  {} {}{optional}{count}", paint(code, &format!("{:6}", state_word(check.state))), check.item, check.title);
            if check.state == CheckState::Unknown && !check.attested && !bad.is_empty() {
                let first = *hidden.entry(bad.clone()).or_insert(&check.name);
                if first != check.name {
                    let _ = writeln!(out, "            For the same reason as {first}, above. (check: {})", check.name);
                    continue;
                }
            }
            for line in bad {
                let _ = writeln!(out, "            {line}");
            }
            if let (Some(note), true) = (&check.note, check.lines.is_empty()) {
                let _ = writeln!(out, "            {note}");
            }
            // Who signed it, and until when that counts, is what a confirmation is worth.
            for line in check.lines.iter().filter(|_| check.attested && check.state == CheckState::Pass) {
                let _ = writeln!(out, "            {}", line.evidence);
            }
            if needs_attention(check.state) {
                let unnamed = || if check.attested { String::new() } else { format!(" (check: {})", check.name) };
                let runbook = runbook(&check.runbook).map_or_else(unnamed, |_| format!(" (runbook: {})", called(&check.runbook, home)));
                let _ = writeln!(out, "            -> {}{runbook}", check.advice().join("\n            -> "));
            }
        }
        for why in Unasked::ALL.into_iter().filter(|why| is_left_out(*why)) {
            let names: Vec<_> = left_out.iter().filter(|check| check.unasked == Some(why)).map(|check| check.name.as_str()).collect();
            if !names.is_empty() {
                let _ = writeln!(out, "  {}  {}: {}", paint("2", "n/a   "), why.words(), names.join(", "));
            }
        }
    }
    let _ = writeln!(out, "\n{}: {}\n", decision(judgement.decision, colour), reason(judgement));
}

/// A runbook by its address, or by its name where nobody knows that.
pub(super) fn called(runbook: &str, home: Home<'_>) -> String {
    home.map_or_else(|| runbook.to_owned(), |home| address_of(runbook, home))
}

/// A text in a colour of the terminal, where colours are wanted.
pub(super) fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// The terminal's colour of a state.
pub(super) const fn colour_of(state: CheckState) -> &'static str {
    match state {
        CheckState::Pass => "32",
        CheckState::Fail => "1;31",
        CheckState::NotApplicable => "2",
        CheckState::Warn | CheckState::Unknown | CheckState::Waived => "33",
    }
}

/// The word, in its colour.
pub(super) fn decision(decision: Decision, colour: bool) -> String {
    let code = match decision {
        Decision::Go => "1;32",
        Decision::NoGo => "1;31",
        Decision::Undecided => "1;33",
    };
    paint(colour, code, word(decision))
}
