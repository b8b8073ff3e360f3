//! Judgements for people and pipelines: text, Markdown, JSON and JUnit.
//!
//! All formats say the same, in the order of the checklist. Pure: strings in, strings out.

mod archive;
mod causes;
mod changes;
mod junit;
mod markdown;
mod summary;
mod text;
mod wording;

use crate::checklist::{Decision, Judgement};
use crate::runbooks::runbook;
use wording::address_of;

pub use archive::Archive;
pub(crate) use causes::{Cause, causes};
pub use changes::changes;
pub(crate) use changes::words;
pub use junit::junit;
pub use markdown::markdown;
pub use summary::summary;
pub use text::text;
pub use wording::{BAD_LINES, Home, NO_EVENT, distance, event_line, reason, state_word, word};
pub(crate) use wording::{EventTimes, event_times};

/// Judgements as JSON, with the files that were changed and refused.
pub fn json(judgements: &[Judgement], refused: &[&str], home: Home<'_>) -> String {
    let mut document = serde_json::json!({ "judgements": judgements, "refused_files": refused });
    if let Some(home) = home {
        document["url"] = home.page("").into();
        for check in document["judgements"].as_array_mut().into_iter().flatten().flat_map(checks_in) {
            let address = check["runbook"].as_str().filter(|name| runbook(name).is_some()).map(|name| address_of(name, home));
            if let (Some(check), Some(address)) = (check.as_object_mut(), address) {
                check.insert("runbook_url".to_owned(), address.into());
            }
        }
    }
    json_of(&document)
}

fn checks_in(judgement: &mut serde_json::Value) -> impl Iterator<Item = &mut serde_json::Value> {
    let sections = judgement["sections"].as_array_mut().into_iter().flatten();
    sections.flat_map(|section| section["checks"].as_array_mut().into_iter().flatten())
}

/// What everybody must know who reads a judgement after a file was refused.
pub fn refusals(refused: &[&str]) -> String {
    refused.iter().map(|file| format!("{}\n\n", refusal(file))).collect()
}

/// That an older content of a file is in force.
pub fn refusal(file: &str) -> String {
    format!("The {file} was changed and refused: older settings are in force. The log says why.")
}

/// A document for pipelines, with a line break at its end.
pub fn json_of(document: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

/// The worst decision: no-go before undecided before go.
pub fn overall(judgements: &[Judgement]) -> Decision {
    let any = |decision| judgements.iter().any(|judgement| judgement.decision == decision);
    if any(Decision::NoGo) {
        Decision::NoGo
    } else if any(Decision::Undecided) || judgements.is_empty() {
        Decision::Undecided
    } else {
        Decision::Go
    }
}

#[cfg(test)]
pub(crate) mod tests;
