//! The checklist for a pipeline's test view: a suite per section, a case per check.

use maud::{Markup, PreEscaped, html};

use super::wording::{Home, address_of, shown};
use crate::checklist::{CheckState, CheckVerdict, Judgement};
use crate::runbooks::runbook;

/// Judgements as JUnit XML. Unknown is an error, not a failure; not applicable is skipped.
pub fn junit(judgements: &[Judgement], home: Home<'_>) -> String {
    let body: Markup = html! {
        testsuites {
            @for judgement in judgements {
                @for section in judgement.sections.iter().filter(|section| !section.checks.is_empty()) {
                    testsuite
                        name={ (judgement.checklist) @if let Some(event) = &judgement.event { ", " (event) } ": " (section.title) }
                        tests=(section.checks.len())
                        failures=(section.checks.iter().filter(|check| check.state == CheckState::Fail).count())
                        errors=(section.checks.iter().filter(|check| check.state == CheckState::Unknown && check.required).count())
                        skipped=(section.checks.iter().filter(|check| check.state == CheckState::NotApplicable).count()) {
                        @if let Some(home) = home { properties { property name="url" value=(home.page("")) {} } }
                        @for check in &section.checks {
                            testcase name={ (check.item) " " (check.title) } classname=(check.name) {
                                @let told = told(check, home);
                                @match check.state {
                                    CheckState::Fail => failure message=(clean(&check.advice().join(" "))) { (told) },
                                    CheckState::Unknown if check.required => error message="not known" { (told) },
                                    CheckState::NotApplicable => skipped message=(clean(check.note.as_deref().unwrap_or_default())) {},
                                    CheckState::Pass => {},
                                    CheckState::Warn | CheckState::Waived | CheckState::Unknown => system-out { (told) },
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    format!("{}{}\n", PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").0, body.into_string())
}

/// What is to be said of a check, and where to read on.
fn told(check: &CheckVerdict, home: Home<'_>) -> String {
    let mut told = shown(check).0;
    let address = home.filter(|_| runbook(&check.runbook).is_some()).map(|home| address_of(&check.runbook, home));
    told.extend(address.map(|address| format!("Runbook: {address}")));
    clean(&told.join("\n"))
}

/// XML 1.0 has no way to write control characters.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').collect()
}
