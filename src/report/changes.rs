//! How verdicts changed, for people: one line for each.

use std::fmt::Write as _;

use crate::history::{CROWD, Change};
use crate::say::second;

/// Changes as text, oldest first.
pub fn changes(changes: &[Change]) -> String {
    let mut out = String::new();
    for change in changes {
        let _ = writeln!(out, "{}  {}", second(change.at), words(change));
    }
    if out.is_empty() {
        out.push_str("nothing has changed\n");
    }
    out
}

/// What became what.
pub(crate) fn words(change: &Change) -> String {
    let state = |state: &str| state.replace('_', " ");
    let checklist = change.event.as_ref().map_or_else(|| change.checklist.clone(), |event| format!("{} for {event}", change.checklist));
    let of = change.subject.as_ref().filter(|subject| !subject.is_empty()).map_or_else(String::new, |subject| format!(" of {subject}"));
    let what = format!("{checklist}: {}{of}", change.check.as_deref().unwrap_or("decision"));
    let seen = change.seen.as_ref().filter(|seen| !seen.is_empty()).map_or_else(String::new, |seen| format!(". Seen: {seen}"));
    let turned = match &change.from {
        Some(from) if let Some(left) = &change.left => format!("{what}: {left} (was {}, is {})", state(from), state(&change.to)),
        Some(from) => format!("{what} {} -> {}", state(from), state(&change.to)),
        None if change.check.is_some() && change.to != CROWD => format!("{what} {} when it was first judged", state(&change.to)),
        None => format!("{what} {}", state(&change.to)),
    };
    turned + &seen
}
