//! The checklist for a ticket.

use std::fmt::Write as _;

use super::wording::{Home, NO_EVENT, address_of, event_line, needs_attention, reason, shown, word};
use crate::checklist::{CheckState, Judgement};
use crate::runbooks::runbook;
use crate::say::minute;

/// Judgements as Markdown.
pub fn markdown(judgements: &[Judgement], home: Home<'_>) -> String {
    let mut out = String::new();
    for judgement in judgements {
        let _ = writeln!(out, "# {}: {}\n", judgement.title, word(judgement.decision));
        let page = home.map_or_else(String::new, |home| format!(" The page: <{}>.", home.page("")));
        let _ = writeln!(out, "{}. Judged at {}.{page}", reason(judgement), minute(judgement.at));
        let event = event_line(judgement).map_or_else(|| NO_EVENT.to_owned(), |event| format!("Event {}.", escape(&event)));
        let _ = writeln!(out, "\n{event}");
        for section in judgement.sections.iter().filter(|section| !section.checks.is_empty()) {
            let _ = writeln!(out, "\n## {}\n", section.title);
            for check in &section.checks {
                let tick = if check.state == CheckState::Pass { "x" } else { " " };
                let state = if check.state == CheckState::Pass { String::new() } else { format!(" **{}**", check.state.as_str().replace('_', " ")) };
                let optional = if check.required { "" } else { " (does not block)" };
                let _ = writeln!(out, "- [{tick}] {} {}{optional}{state}", check.item, escape(&check.title));
                for line in shown(check).0 {
                    let _ = writeln!(out, "  - {}", escape(&line));
                }
                if let (Some(note), true) = (&check.note, check.lines.is_empty()) {
                    let _ = writeln!(out, "  - {}", escape(note));
                }
                // Who signed it is what a confirmation is worth.
                if check.attested && check.state == CheckState::Pass {
                    for line in &check.lines {
                        let _ = writeln!(out, "  - {}", escape(&line.evidence));
                    }
                }
                if needs_attention(check.state) {
                    let name = &check.runbook;
                    let led = || home.map_or_else(|| format!("`{name}`"), |home| format!("[{name}]({})", address_of(name, home)));
                    let runbook = runbook(name).map_or_else(String::new, |_| format!(" Runbook: {}.", led()));
                    let advice: Vec<_> = check.advice().iter().map(|advice| escape(advice)).collect();
                    let _ = writeln!(out, "  - {}{runbook}", advice.join("\n  - "));
                }
            }
        }
        out.push('\n');
    }
    out
}

/// Names from clusters and servers must not become markup.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if matches!(c, '*' | '_' | '[' | ']' | '<' | '>' | '`' | '\\' | '|' | '#') {
            out.push('\\');
        }
        out.push(if c == '\n' || c == '\r' { ' ' } else { c });
        out
    })
}
