//! The checklist for a pipeline's test view: a suite per section, a case per check.

use maud::{Markup, PreEscaped, html};

use super::wording::shown;
use crate::checklist::{CheckState, Judgement};

/// Judgements as JUnit XML. Unknown is an error, not a failure; not applicable is skipped.
pub fn junit(judgements: &[Judgement]) -> String {
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
                        @for check in &section.checks {
                            testcase name={ (check.item) " " (check.title) } classname=(check.name) {
                                @let told = clean(&shown(check).0.join("\n"));
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

/// XML 1.0 has no way to write control characters.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').collect()
}
