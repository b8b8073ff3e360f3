//! What the judge says: the verdict on each check with its lines, and the one word.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::severity::Severity;
use super::unjudged::NOT_JUDGED;
use crate::history::{Judged, Seen, Verdicts};
use crate::labels::Labels;
use crate::metric::states;
use crate::say::{self, Message};

states! {
    /// The verdict on one check; the worse, the higher its rank.
    #[derive(PartialOrd, Ord, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum CheckState {
        /// Seen, and good.
        Pass = 1 => "pass",
        /// Bad, but it does not block.
        Warn = 3 => "warn",
        /// Bad.
        Fail = 5 => "fail",
        /// Not seen.
        Unknown = 4 => "unknown",
        /// Bad or unseen, and somebody answers for it.
        Waived = 2 => "waived",
        /// The collector is off, the check is disabled, or its guard does not hold.
        NotApplicable = 0 => "not_applicable",
    }
}

/// Why a line of the checklist was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unasked {
    /// Nothing is configured that could answer it.
    NotConfigured,
    /// It is disabled in the configuration.
    Disabled,
    /// It is not due yet, or this event is too small for it.
    NotDue,
    /// Only Prometheus can judge it.
    ByPrometheus,
}

impl Unasked {
    /// Every reason, in the order in which they are told.
    pub const ALL: [Self; 4] = [Self::NotConfigured, Self::Disabled, Self::NotDue, Self::ByPrometheus];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotConfigured => "not_configured",
            Self::Disabled => "disabled",
            Self::NotDue => "not_due",
            Self::ByPrometheus => "by_prometheus",
        }
    }

    /// As people say it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NotConfigured => "not configured",
            Self::Disabled => "disabled",
            Self::NotDue => "not due",
            Self::ByPrometheus => "judged by Prometheus alone",
        }
    }
}

states! {
    /// The one word.
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Decision {
        /// Every required check was seen and is good.
        Go => "go",
        /// A required check is bad.
        NoGo => "no_go",
        /// Nothing required is known to be bad, but something required was not seen.
        Undecided => "undecided",
    }
}

/// One subject of a check: what was seen, where, since when.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Pass, warn, fail, unknown or waived.
    pub state: CheckState,
    /// How loud, when red.
    pub severity: Severity,
    /// The sentence. Shared, because a source that was not seen is one for many checks.
    pub evidence: Arc<str>,
    /// What to do about the very cause, where that is known.
    #[serde(rename = "remedy", skip_serializing_if = "Option::is_none")]
    pub fix: Option<&'static str>,
    /// Where.
    pub labels: Labels,
    /// When the fact was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// Since when the line has been in a bad state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Whether it was so already when the exporter began to look, so that it may have been so for longer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub since_at_least: bool,
    /// Whether it is red only until a second good look.
    #[serde(skip)]
    pub mended: bool,
    /// The look that this line rests on.
    #[serde(skip)]
    pub look: u64,
}

/// The verdict on one check with its lines, worst first.
#[derive(Debug, Clone, Serialize)]
pub struct CheckVerdict {
    /// Name of check and alert.
    pub name: String,
    /// Whose runbook it has.
    pub runbook: String,
    /// Line of the source checklist.
    pub item: String,
    /// What must be true.
    pub title: String,
    /// The verdict.
    pub state: CheckState,
    /// Why it was not asked, if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unasked: Option<Unasked>,
    /// Whether it blocks.
    pub required: bool,
    /// What to do, when it is not good.
    pub remedy: String,
    /// Whether only a person can confirm it.
    pub attested: bool,
    /// What to do instead, where that follows from why nothing can be seen.
    #[serde(skip)]
    pub mend: Option<String>,
    /// The collector whose facts it judges.
    pub collector: &'static str,
    /// Why it is not applicable or unknown as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What was seen.
    pub lines: Vec<Line>,
    /// How many more subjects are good, without a line of their own.
    pub more_good: usize,
}

/// A section with its verdicts.
#[derive(Debug, Clone, Serialize)]
pub struct SectionVerdict {
    /// Heading.
    pub title: String,
    /// Verdicts in the order of the checklist.
    pub checks: Vec<CheckVerdict>,
}

/// The judgement of a checklist.
#[derive(Debug, Clone, Serialize)]
pub struct Judgement {
    /// The checklist's name.
    pub checklist: String,
    /// Its title.
    pub title: String,
    /// Its revision.
    pub revision: String,
    /// The word.
    pub decision: Decision,
    /// When it was judged.
    pub at: Timestamp,
    /// The event's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// When the event starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_start: Option<Timestamp>,
    /// When the event ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_end: Option<Timestamp>,
    /// Whose clocks the event's people read.
    #[serde(skip)]
    pub event_zone: TimeZone,
    /// Expected participants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participants: Option<u32>,
    /// Verdicts by section.
    pub sections: Vec<SectionVerdict>,
}

impl Judgement {
    /// All verdicts in order.
    pub fn checks(&self) -> impl Iterator<Item = &CheckVerdict> {
        self.sections.iter().flat_map(|section| &section.checks)
    }

    /// How many checks are in `state`.
    pub fn count(&self, state: CheckState) -> usize {
        self.checks().filter(|check| check.state == state).count()
    }

    /// What it came to, to be recorded.
    pub fn verdicts(&self) -> Verdicts<'_> {
        let checks = self.checks().map(|check| (Some(check.name.as_str()), check.state.as_str()));
        let states = [(None, self.decision.as_str())].into_iter().chain(checks).collect();
        Verdicts {
            at: self.at,
            checklist: &self.checklist,
            event: self.event.as_deref(),
            states,
            lines: self.checks().map(|check| (check.name.as_str(), check as &dyn Judged)).collect(),
            first: BTreeSet::new(),
            left: BTreeMap::new(),
        }
    }

    /// How many lines of the checklist were asked, and how many it has.
    pub fn asked(&self) -> (usize, usize) {
        (self.checks().filter(|check| check.unasked.is_none()).count(), self.checks().count())
    }

    /// How many lines were not asked for a reason.
    pub fn unasked(&self, why: Unasked) -> usize {
        self.checks().filter(|check| check.unasked == Some(why)).count()
    }

    /// States and the decision again, after lines were changed.
    pub(super) fn settle(&mut self) {
        for check in self.sections.iter_mut().flat_map(|section| &mut section.checks) {
            check.settle();
        }
        self.decision = decide(&self.checks().collect::<Vec<_>>());
    }
}

pub(super) fn decide(checks: &[&CheckVerdict]) -> Decision {
    let any = |state| checks.iter().any(|check| check.required && check.state == state);
    if any(CheckState::Fail) {
        Decision::NoGo
    } else if any(CheckState::Unknown) || !any(CheckState::Pass) {
        // A checklist on which nothing that matters could be ticked says nothing, and nothing is not go.
        Decision::Undecided
    } else {
        Decision::Go
    }
}

impl Judged for CheckVerdict {
    fn lines(&self) -> Box<dyn Iterator<Item = Seen<'_>> + '_> {
        Box::new(self.lines.iter().map(Line::seen))
    }
}

impl CheckVerdict {
    /// What to do next, one thing after the other. What cannot be seen must first be seen: mending it blindly would be wrong.
    pub fn advice(&self) -> Vec<Cow<'_, str>> {
        match self.state {
            // Mending again what is good already would only disturb it.
            _ if self.lines.iter().any(|line| line.mended) && self.lines.iter().all(|line| line.mended || line.state == CheckState::Pass) => {
                vec!["Nothing: it is good again, and turns green with the next good look.".into()]
            }
            // Here the reason is the remedy's own business.
            CheckState::Unknown if self.name == NOT_JUDGED => vec![self.remedy.as_str().into()],
            CheckState::Unknown if let Some(mend) = &self.mend => vec![mend.as_str().into()],
            _ if let Some(fixes) = self.fixes() => fixes,
            CheckState::Warn if self.attested => {
                vec![format!("Confirm it again as `attest: {}`, so that it lasts until the event is over.", self.name).into()]
            }
            CheckState::Unknown if self.attested => {
                vec![format!("{} Then confirm it in the attestations file, as `attest: {}`.", say::stopped(&self.remedy), self.name).into()]
            }
            CheckState::Unknown | CheckState::NotApplicable | CheckState::Pass | CheckState::Waived | CheckState::Warn | CheckState::Fail => {
                vec![self.general().into()]
            }
        }
    }

    /// What to do where nothing is known of the cause.
    fn general(&self) -> &str {
        if self.state == CheckState::Unknown {
            "Ask for it yourself from where the exporter runs: until it can be seen, nobody knows whether it is good."
        } else {
            &self.remedy
        }
    }

    /// What to do about the very causes of the lines that are not good, where one is known: each once, worst first, and
    /// with its place where it is not the only one.
    fn fixes(&self) -> Option<Vec<Cow<'_, str>>> {
        /// Sentences that a person reads to their end.
        const MOST: usize = 3;
        let is_bad = |line: &&Line| matches!(line.state, CheckState::Fail | CheckState::Warn | CheckState::Unknown) && !line.mended;
        let worst = self.lines.iter().filter(is_bad).map(|line| line.state).max()?;
        let mut fixes: Vec<(CheckState, &str, Vec<String>)> = Vec::new();
        for (fix, line) in self.lines.iter().filter(is_bad).filter_map(|line| Some((line.fix?, line))) {
            match fixes.iter_mut().find(|(_, own, _)| *own == fix) {
                Some((.., places)) => places.push(line.place()),
                None => fixes.push((line.state, fix, vec![line.place()])),
            }
        }
        // What is worst and has no cause that is known has the remedy of the check.
        let is_whole = self.lines.iter().filter(is_bad).all(|line| line.fix.is_some() || line.state != worst);
        match fixes.as_slice() {
            [] => None,
            [(_, fix, _)] if is_whole => Some(vec![(*fix).into()]),
            all => {
                let told = |is_worst: bool| {
                    let own = all.iter().take(MOST).filter(move |(state, ..)| (*state == worst) == is_worst);
                    own.map(|(_, fix, places)| format!("{}: {fix}", some_of(places)).into())
                };
                let others = if all.iter().any(|(state, ..)| *state == worst) { "Others: " } else { "" };
                let rest = (!is_whole).then(|| format!("{others}{}", self.general()).into());
                Some(told(true).chain(rest).chain(told(false)).collect())
            }
        }
    }

    pub(super) fn settle(&mut self) {
        if self.state == CheckState::NotApplicable {
            return;
        }
        self.lines.sort_by_key(|line| std::cmp::Reverse((line.state, line.severity)));
        let worst = self.lines.first().map_or(CheckState::Unknown, |line| line.state);
        self.state = if worst == CheckState::Fail && !self.required { CheckState::Warn } else { worst };
    }
}

/// Places, as far as a person reads them.
fn some_of(places: &[String]) -> String {
    const MOST: usize = 3;
    let more = places.len().saturating_sub(MOST);
    let told = places.iter().take(MOST).cloned().chain((more > 0).then(|| format!("{more} more")));
    told.collect::<Vec<_>>().join(", ")
}

impl Line {
    /// Where it is, in words.
    pub fn place(&self) -> String {
        self.labels.iter().map(|(_, value)| value).filter(|value| !value.is_empty()).map(say::plain).collect::<Vec<_>>().join(" / ")
    }

    /// The same, with what to do about a cause.
    pub(super) fn because_of(self, cause: Option<&Message>) -> Self {
        Self { fix: cause.and_then(Message::fix), ..self }
    }

    fn seen(&self) -> Seen<'_> {
        Seen { state: self.state.as_str(), labels: &self.labels, evidence: &self.evidence }
    }

    pub(super) fn unknown(evidence: impl Into<Arc<str>>) -> Self {
        Self {
            state: CheckState::Unknown,
            severity: Severity::Warning,
            evidence: evidence.into(),
            fix: None,
            labels: Labels::default(),
            seen_at: None,
            since: None,
            since_at_least: false,
            mended: false,
            look: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::say;

    #[test]
    fn what_to_do_is_told_of_each_cause_once_and_the_rest_has_the_remedy() {
        let line = |state: CheckState, name: &str, fix: Option<&'static str>| {
            let why = fix.into_iter().fold(say!("seen"), Message::fixed_by);
            Line { state, labels: [("credential", name)].into(), ..Line::unknown("e").because_of(Some(&why)) }
        };
        let said = |lines: Vec<Line>| {
            let mut check = CheckVerdict {
                name: "A".to_owned(),
                runbook: "A".to_owned(),
                item: "1".to_owned(),
                title: "t".to_owned(),
                state: CheckState::Unknown,
                unasked: None,
                required: true,
                remedy: "Do it.".to_owned(),
                attested: false,
                mend: None,
                collector: "credentials",
                note: None,
                lines,
                more_good: 0,
            };
            check.settle();
            check.advice().join(" ")
        };
        let (fail, unknown) = (CheckState::Fail, CheckState::Unknown);
        assert_eq!(said(vec![line(fail, "a", None)]), "Do it.");
        assert_eq!(
            said(vec![line(fail, "a", Some("Mount it.")), line(fail, "b", Some("Mount it.")), line(unknown, "c", Some("Wait."))]),
            "a, b: Mount it. c: Wait."
        );
        assert_eq!(said(vec![line(fail, "a", None), line(unknown, "b", Some("Wait."))]), "Do it. b: Wait.");
        assert_eq!(said(vec![line(fail, "a", Some("Mount it.")), line(unknown, "b", None)]), "Mount it.");
        assert_eq!(said(vec![line(fail, "a", Some("Mount it.")), line(fail, "b", Some("Issue one."))]), "a: Mount it. b: Issue one.");
        assert_eq!(said(vec![line(fail, "a", Some("Mount it.")), line(fail, "b", None)]), "a: Mount it. Others: Do it.");
        assert_eq!(said(vec![line(unknown, "a", Some("Wait.")), line(CheckState::Pass, "b", None)]), "Wait.");
        let many = ["1", "2", "3", "4", "5"].map(|name| line(fail, name, Some("Mount it."))).into_iter().chain([line(fail, "x", None)]).collect();
        assert_eq!(said(many), "1, 2, 3, 2 more: Mount it. Others: Do it.");
    }
}
