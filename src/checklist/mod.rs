//! Checklists: what is checked, in the user's words, and the judgement of it.
//!
//! A checklist is data. The same record is judged here and turned into alert rules by
//! [`crate::generate`]; nothing in this module does I/O except reading a checklist file.

mod asked;
mod condition;
mod context;
mod evidence;
mod example;
mod judge;
mod judgement;
mod left;
mod library;
mod memory;
mod model;
mod others;
mod parse;
mod proof;
mod raw;
mod recall;
mod rule;
mod severity;
mod unjudged;

use std::path::Path;

use jiff::Timestamp;

pub use condition::{Band, Bound, Clock, Condition, Horizon, Red, Words, humanize_duration};
pub use context::{Context, Waiver};
pub use evidence::Template;
pub use example::{Example, Given, Outcome, scene};
pub use judge::{judge, judge_check as judge_one};
pub use judgement::{CheckState, CheckVerdict, Decision, Judgement, Line, SectionVerdict, Unasked};
pub use left::Left;
pub use library::forget as forget_library;
pub use memory::{Look, Memories, Memory};
pub use model::{Check, Checklist, Guard, Kind, Override, Section, Unconfigured};
pub use parse::parse;
pub use proof::unproven;
pub use recall::{Recall, Recalls};
pub use severity::Severity;
pub use unjudged::{NOT_JUDGED, Unjudged, unjudged};

use crate::files::{self, ReadError};
use crate::say;
use crate::value::Problem;
use crate::word::did_you_mean;

/// The checklists inside the binary.
pub const SHIPPED: &[(&str, &str)] = &[("workshop", include_str!("../../checklists/workshop.yaml")), ("estate", include_str!("../../checklists/estate.yaml"))];

/// Loads a shipped checklist by name, or one from a file.
pub fn load(name: &str, file: Option<&Path>) -> Result<Checklist, Vec<Problem>> {
    let text = match file {
        Some(file) => read(file).map_err(|error| vec![Problem::new("file", format!("must be readable: {error}"), say!("{}", file.display()))])?,
        None => SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| (*text).to_owned()).ok_or_else(|| {
            let shipped: Vec<_> = SHIPPED.iter().map(|(name, _)| *name).collect();
            let hint = did_you_mean(name, shipped.iter().copied());
            vec![Problem::new("name", format!("must be a shipped checklist ({}) unless file is set{hint}", shipped.join(", ")), format!("{name:?}"))]
        })?,
    };
    let (checklist, mut problems) = parse::parse_each(&text);
    let Some(checklist) = checklist else { return Err(problems) };
    // Those inside the binary are proved by its tests.
    if file.is_some() {
        problems.extend(unproven(&checklist, Timestamp::now()));
    }
    if checklist.name != name {
        problems.push(Problem::new("name", format!("must be the name in the file, {:?}", checklist.name), format!("{name:?}")));
    }
    if problems.is_empty() { Ok(checklist) } else { Err(problems) }
}

/// The lines of checklists that people confirm.
pub fn confirmed(checklists: &[Checklist]) -> Vec<String> {
    let confirmed = checklists.iter().flat_map(Checklist::checks).filter(|check| matches!(check.kind, Kind::Attestation));
    confirmed.map(|check| check.name.clone()).collect()
}

/// Reads a checklist's file on this thread: at the start and during a reload there is one for it.
fn read(file: &Path) -> Result<String, ReadError> {
    files::read_now(file, files::LARGEST)?.text().map(str::to_owned)
}

#[cfg(test)]
mod bound_tests;
#[cfg(test)]
mod coverage;
#[cfg(test)]
mod event_tests;
#[cfg(test)]
mod recall_tests;
#[cfg(test)]
mod tests;
