//! The judgement of a checklist over a snapshot: pure, no I/O, no clock of its own.
//!
//! Absence is never read as fine. For every source that should have shown a fact and did not, the
//! check has a line that says so, and that line is unknown.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::evidence::{text_value, threshold};
use super::memory::{Memory, subject};
use super::model::{Bound, Check, Checklist, Condition, Guard, Horizon, Kind, Severity};
use super::unjudged::{self, Unjudged};
use crate::collectors::{self, attestations};
use crate::event::Occurrence;
use crate::history::Verdicts;
use crate::labels::Labels;
use crate::metric::{Coverage, Family, Sample, Unit};
use crate::say::{self, Message};
use crate::snapshot::{Snapshot, View};
use crate::value::Span;

/// What the judge looks at.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The facts.
    pub snapshot: &'a Snapshot,
    /// The moment of judgement.
    pub now: Timestamp,
    /// The event that is prepared for; without one, as if it were now.
    pub event: Option<&'a Occurrence>,
    /// Red lines that somebody answers for.
    pub waivers: &'a [Waiver],
    /// What is looked at and judged by no check.
    pub unjudged: &'a [Unjudged],
    /// What was bad before. Its subjects get a line even when all is well with them.
    pub memory: Option<&'a Memory>,
}

/// How far the clock of whoever wrote a moment may be ahead, in seconds.
const AHEAD: f64 = 300.0;

/// Good subjects that get a line of their own. In a cluster of five thousand nodes the lines of a
/// check would cost more than all facts together, and nobody reads them.
const GOOD_LINES: usize = 50;

/// A red line that somebody answers for.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// Name of the check.
    pub check: String,
    /// Labels that a line must have.
    pub labels: BTreeMap<String, String>,
    /// Who and why, for the line.
    pub reason: String,
    /// When it ends.
    pub until: Timestamp,
}

/// The verdict on one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// The collector is off, the check is switched off, or its guard does not hold.
    NotApplicable,
    /// Seen, and good.
    Pass,
    /// Bad or unseen, and somebody answers for it.
    Waived,
    /// Bad, but it does not block.
    Warn,
    /// Not seen.
    Unknown,
    /// Bad.
    Fail,
}

impl CheckState {
    /// Every state, in label order.
    pub const ALL: [&'static str; 6] = ["pass", "warn", "fail", "unknown", "waived", "not_applicable"];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotApplicable => "not_applicable",
            Self::Pass => "pass",
            Self::Waived => "waived",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Fail => "fail",
        }
    }
}

/// Why a line of the checklist was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unasked {
    /// Nothing is configured that could answer it.
    NotConfigured,
    /// It is switched off in the configuration.
    SwitchedOff,
    /// It is not due yet, or this event is too small for it.
    NotDue,
    /// Only Prometheus can judge it.
    ByPrometheus,
}

impl Unasked {
    /// Every reason, in the order in which they are told.
    pub const ALL: [Self; 4] = [Self::NotConfigured, Self::SwitchedOff, Self::NotDue, Self::ByPrometheus];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotConfigured => "not_configured",
            Self::SwitchedOff => "switched_off",
            Self::NotDue => "not_due",
            Self::ByPrometheus => "by_prometheus",
        }
    }

    /// As people say it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NotConfigured => "not configured",
            Self::SwitchedOff => "switched off",
            Self::NotDue => "not due",
            Self::ByPrometheus => "judged by Prometheus alone",
        }
    }
}

/// The one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Every required check was seen and is good.
    Go,
    /// A required check is bad.
    NoGo,
    /// Nothing required is known to be bad, but something required was not seen.
    Undecided,
}

impl Decision {
    /// Every decision, in label order.
    pub const ALL: [&'static str; 3] = ["go", "no_go", "undecided"];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::NoGo => "no_go",
            Self::Undecided => "undecided",
        }
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
    /// Where.
    pub labels: Labels,
    /// When the fact was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// Since when the line has been in a bad state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The look that this line rests on.
    #[serde(skip)]
    pub look: u64,
}

/// The verdict on one check with its lines, worst first.
#[derive(Debug, Clone, Serialize)]
pub struct CheckVerdict {
    /// Name of check, alert and runbook.
    pub name: String,
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
        Verdicts { at: self.at, checklist: &self.checklist, event: self.event.as_deref(), states }
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

/// Judges a checklist.
pub fn judge(checklist: &Checklist, context: &Context<'_>) -> Judgement {
    let own = checklist
        .sections
        .iter()
        .map(|section| SectionVerdict { title: section.title.clone(), checks: section.checks.iter().map(|check| judge_check(check, context)).collect() });
    let sections: Vec<_> = own.chain(not_judged(context)).collect();
    let decision = decide(&sections.iter().flat_map(|section| &section.checks).collect::<Vec<_>>());
    Judgement {
        checklist: checklist.name.clone(),
        title: checklist.title.clone(),
        revision: checklist.revision.clone(),
        decision,
        at: context.now,
        event: context.event.map(|event| event.name.clone()),
        event_start: context.event.map(|event| event.start),
        event_end: context.event.map(|event| event.end),
        participants: context.event.and_then(|event| event.participants),
        sections,
    }
}

fn not_judged(context: &Context<'_>) -> Option<SectionVerdict> {
    let mut section = unjudged::section(context.unjudged)?;
    for check in &mut section.checks {
        let name = check.name.clone();
        check.lines.iter_mut().for_each(|line| waive(&name, line, context));
        check.settle();
    }
    Some(section)
}

fn decide(checks: &[&CheckVerdict]) -> Decision {
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

/// Judges one check.
pub fn judge_check(check: &Check, context: &Context<'_>) -> CheckVerdict {
    let mut verdict = CheckVerdict {
        name: check.name.clone(),
        item: check.item.clone(),
        title: check.title.clone(),
        state: CheckState::Unknown,
        unasked: None,
        required: check.required,
        remedy: check.remedy.clone(),
        attested: matches!(check.kind, Kind::Attestation),
        collector: match &check.kind {
            Kind::Attestation => attestations::NAME,
            Kind::Promql { .. } => "prometheus",
            Kind::Fact { family, .. } => collectors::owner(family.name),
        },
        note: None,
        lines: Vec::new(),
        more_good: 0,
    };
    let outcome = match &check.kind {
        _ if !check.enabled => Err(Whole::unasked(Unasked::SwitchedOff, "switched off in the configuration")),
        Kind::Promql { .. } => Err(Whole::unasked(Unasked::ByPrometheus, "judged by Prometheus alone")),
        Kind::Attestation => attested(check, context).map(|shown| Lines { shown, good: 1 }),
        Kind::Fact { family, condition, severity, worsens, when, evidence, .. } => {
            let rule = Rule { check: &check.name, owner: verdict.collector, family, condition, severity: *severity, worsens, evidence, filter: &check.filter };
            // Where nothing looks, it matters neither when it would be due nor for how many people.
            rule.off(context).map_or_else(|| due(*when, context), Err).and_then(|due| match due {
                Due::Now => rule.lines(context),
                Due::In(span) => rule.early(span, context),
            })
        }
    };
    match outcome {
        Err(Whole { unasked, note }) => {
            verdict.state = if unasked.is_some() { CheckState::NotApplicable } else { CheckState::Unknown };
            verdict.unasked = unasked;
            verdict.note = Some(note);
        }
        Ok(lines) => {
            verdict.more_good = lines.more_good();
            verdict.lines = lines.shown;
            verdict.lines.shrink_to_fit();
            for line in &mut verdict.lines {
                waive(&check.name, line, context);
            }
        }
    }
    // A check that is unknown as a whole can be waived as a whole.
    if verdict.lines.is_empty() && verdict.state == CheckState::Unknown {
        let mut line = Line::unknown(format!("{}.", verdict.note.as_deref().unwrap_or_default().trim_end_matches('.')));
        waive(&check.name, &mut line, context);
        verdict.lines.push(line);
    }
    verdict.settle();
    verdict
}

impl CheckVerdict {
    /// What to do next. What cannot be seen must first be seen: mending it blindly would be wrong.
    pub fn advice(&self) -> &str {
        if self.state == CheckState::Unknown && !self.attested { "Find out why it cannot be seen; the reason stands above." } else { &self.remedy }
    }

    fn settle(&mut self) {
        if self.state == CheckState::NotApplicable {
            return;
        }
        self.lines.sort_by_key(|line| std::cmp::Reverse(line.state));
        let worst = self.lines.first().map_or(CheckState::Unknown, |line| line.state);
        self.state = if worst == CheckState::Fail && !self.required { CheckState::Warn } else { worst };
    }
}

impl Line {
    pub(super) fn unknown(evidence: impl Into<Arc<str>>) -> Self {
        Self {
            state: CheckState::Unknown,
            severity: Severity::Warning,
            evidence: evidence.into(),
            labels: Labels::default(),
            seen_at: None,
            since: None,
            look: 0,
        }
    }
}

fn waive(check: &str, line: &mut Line, context: &Context<'_>) {
    if !matches!(line.state, CheckState::Fail | CheckState::Warn | CheckState::Unknown) {
        return;
    }
    let found = context.waivers.iter().find(|waiver| {
        waiver.check == check && waiver.until > context.now && waiver.labels.iter().all(|(name, value)| line.labels.get(name) == Some(value.as_str()))
    });
    if let Some(waiver) = found {
        line.state = CheckState::Waived;
        line.evidence = format!("{} Waived until {}: {}.", line.evidence, waiver.until, waiver.reason.trim_end_matches('.')).into();
    }
}

/// A whole check that cannot be judged line by line: not asked, or else unknown, and why.
struct Whole {
    unasked: Option<Unasked>,
    note: String,
}

impl Whole {
    fn unasked(why: Unasked, note: impl Into<String>) -> Self {
        Self { unasked: Some(why), note: note.into() }
    }

    fn unknown(note: impl Into<String>) -> Self {
        Self { unasked: None, note: note.into() }
    }
}

/// From when on a check blocks.
enum Due {
    Now,
    /// So much later. People prepare the event already, so they see now what will block then.
    In(Span),
}

fn due(guard: Guard, context: &Context<'_>) -> Result<Due, Whole> {
    let not_due = |note: String| Err(Whole::unasked(Unasked::NotDue, note));
    let start = context.event.map_or(context.now, |event| event.start);
    let ahead = (start.as_second() - context.now.as_second()) as f64;
    let early = guard.lead_time_within.filter(|lead| ahead > lead.as_secs_f64());
    if guard.event_active && start > context.now {
        return not_due("judged while the event runs".to_owned());
    }
    if let Some(lead) = early.filter(|_| !context.event.is_some_and(|event| event.prepared_for(context.now))) {
        return not_due(format!("due {lead} before the event"));
    }
    if let Some(minimum) = guard.participants_above {
        match context.event.map(|event| event.participants) {
            Some(Some(participants)) if participants <= minimum => {
                return not_due(format!("{participants} participants expected; needed above {minimum}"));
            }
            Some(Some(_)) => {}
            Some(None) => return Err(Whole::unknown("the number of participants is not known; set it in events[].participants")),
            None => return Err(Whole::unknown("no event of this checklist is coming, so nobody knows for how many participants there must be room")),
        }
    }
    Ok(early.map_or(Due::Now, |lead| Due::In(Span(Duration::from_secs_f64((ahead - lead.as_secs_f64()).ceil())))))
}

fn attested(check: &Check, context: &Context<'_>) -> Result<Vec<Line>, Whole> {
    let sources: Vec<_> = context.snapshot.views.iter().filter(|view| view.source.collector == attestations::NAME).collect();
    let Some(view) = sources.first() else {
        return Err(Whole::unknown("nobody can confirm this yet; set attestations.file"));
    };
    if let Some(why) = &view.unseen {
        return Err(Whole::unknown(why.as_str()));
    }
    let is_ours = |sample: &&Sample| sample.label("attestation") == Some(&check.name);
    let event = context.event.map_or("", |event| event.name.as_str());
    let for_it = |sample: &&Sample| sample.label("for_event").is_some_and(|own| own.is_empty() || own == event);
    // The one that lasts longest: a person may have said it for this event and for all.
    let latest = view.of(attestations::EXPIRY.0.name).filter(is_ours).filter(for_it).max_by(|a, b| a.value.total_cmp(&b.value));
    let Some(sample) = latest else {
        let refused = view.of(attestations::REFUSED.0.name).find(is_ours).and_then(|sample| sample.detail.as_ref());
        return Err(Whole::unknown(
            refused.map_or_else(|| "nobody has confirmed this yet".to_owned(), |why| format!("what was written down does not count: {why}")),
        ));
    };
    let said = sample.detail.as_ref().map_or("confirmed", Message::as_str);
    let valid = sample.value > context.now.as_second() as f64;
    let until = Timestamp::from_second(sample.second()).unwrap_or(Timestamp::MAX).strftime("%Y-%m-%d %H:%M UTC");
    // Somebody may rely on it for the whole event.
    let short = if sample.value < event_end(context) { ", which is before the event ends" } else { "" };
    Ok(vec![Line {
        state: if valid { CheckState::Pass } else { CheckState::Unknown },
        seen_at: view.seen_at,
        look: view.looks,
        ..Line::unknown(if valid { format!("{said}; it counts until {until}{short}.") } else { format!("{said}; it counted until {until}.") })
    }])
}

/// What a rule came to.
#[derive(Default)]
struct Lines {
    shown: Vec<Line>,
    /// How many subjects are good, shown or not.
    good: usize,
}

impl Lines {
    fn more_good(&self) -> usize {
        self.good.saturating_sub(self.shown.iter().filter(|line| line.state == CheckState::Pass).count())
    }
}

struct Rule<'a> {
    check: &'a str,
    /// The collector that fills the family.
    owner: &'static str,
    family: &'static Family,
    condition: &'a Condition,
    severity: Severity,
    worsens: &'a [super::model::Band],
    evidence: &'a super::evidence::Template,
    filter: &'a BTreeMap<String, String>,
}

impl Rule<'_> {
    /// What is red before the check is due, as warnings; nothing else is asked yet.
    fn early(self, due: Span, context: &Context<'_>) -> Result<Lines, Whole> {
        let severity = self.severity.min(Severity::Warning);
        let cannot = |why: &str| Whole::unasked(Unasked::NotDue, format!("due in {due}; cannot be told yet: {why}"));
        let mut lines =
            Rule { severity, worsens: &[], ..self }.lines(context).map_err(|whole| if whole.unasked.is_some() { whole } else { cannot(&whole.note) })?;
        let unknown = lines.shown.iter().find(|line| line.state == CheckState::Unknown).map(|line| Arc::clone(&line.evidence));
        lines.shown.retain_mut(|line| {
            let is_red = line.state == CheckState::Fail;
            if is_red {
                line.state = CheckState::Warn;
                line.evidence = format!("{} It blocks in {due}.", line.evidence).into();
            }
            is_red
        });
        lines.good = 0;
        match unknown {
            _ if !lines.shown.is_empty() => Ok(lines),
            Some(why) => Err(cannot(&why)),
            None => Err(Whole::unasked(Unasked::NotDue, format!("due in {due}; good as of now"))),
        }
    }

    /// Why nothing is asked, if no source of the metric's collector is configured.
    fn off(&self, context: &Context<'_>) -> Option<Whole> {
        let owner = self.owner;
        let is_on = context.snapshot.views.iter().any(|view| view.source.collector == owner);
        (!is_on).then(|| Whole::unasked(Unasked::NotConfigured, format!("the {owner} collector is off")))
    }

    fn lines(&self, context: &Context<'_>) -> Result<Lines, Whole> {
        let owner = self.owner;
        if self.is_of_events() && context.event.is_none() {
            return Err(Whole::unasked(Unasked::NotConfigured, "no event of this checklist is coming"));
        }
        let mut lines = Lines::default();
        let others = self.condition.other().map(|family| Others { family, snapshot: context.snapshot, by_subject: OnceCell::new() });
        for view in context.snapshot.views.iter().filter(|view| view.source.collector == owner) {
            if self.concerns(view) {
                self.judge_view(view, others.as_ref(), context, &mut lines);
            }
        }
        if lines.shown.is_empty() {
            let views = context.snapshot.views.iter().filter(|view| view.source.collector == owner);
            let off = views.flat_map(|view| view.source.off.iter()).find(|(family, _)| *family == self.family.name);
            if let Some((_, key)) = off {
                return Err(Whole::unasked(Unasked::NotConfigured, format!("collectors.{owner}.{key} is not configured")));
            }
            let wanted: Vec<_> = self.filter.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let which = if wanted.is_empty() { String::new() } else { format!(" with {}", wanted.join(", ")) };
            let name = self.family.name;
            return Err(Whole::unknown(format!(
                "nothing is configured for the {owner} collector that shows {name}{which}; add it, or disable this check with `enabled: false` in the overrides"
            )));
        }
        Ok(lines)
    }

    /// Whether this source should show something that the check is about.
    fn concerns(&self, view: &View) -> bool {
        let emits = view.source.emits.contains(&self.family.name);
        let identity_fits = self.filter.iter().all(|(name, value)| view.source.identity.get(name).is_none_or(|own| own == value));
        let covered = view.source.covers.iter().all(|(label, values)| self.filter.get(*label).is_none_or(|wanted| values.contains(wanted)));
        emits && identity_fits && covered
    }

    fn judge_view(&self, view: &View, others: Option<&Others<'_>>, context: &Context<'_>, lines: &mut Lines) {
        let about_all = |line: Line| Line { labels: view.source.identity.clone(), seen_at: view.seen_at, look: view.looks, ..line };
        if let Some(why) = &view.unseen {
            lines.shown.push(about_all(Line::unknown(why.as_str())));
            return;
        }
        let mut judged = false;
        for facts in view.facts.iter() {
            for (index, sample) in facts.of(self.family.name).iter().enumerate().filter(|(_, sample)| self.selects(sample, context.event)) {
                judged = true;
                let bad = self.is_bad(sample, index, view, others, context);
                let remembered = || context.memory.is_some_and(|memory| memory.knows(self.check, subject(sample.label_pairs())));
                if bad == Some(false) && lines.good >= GOOD_LINES && !remembered() {
                    lines.good += 1;
                    continue;
                }
                lines.good += usize::from(bad == Some(false));
                lines.shown.push(Line { seen_at: view.seen_at, look: view.looks, ..self.line(sample, bad, context) });
            }
        }
        let what = || format!("{} ({}) was looked at, and showed nothing of what this check asks about.", view.source.name, view.source.collector);
        let Some(coverage) = self.family.covered_by else {
            if !judged {
                lines.shown.push(about_all(Line::unknown(what())));
            }
            return;
        };
        let unseen = self.uncovered(coverage, view, context.event);
        let all_seen = unseen.as_ref().is_some_and(Vec::is_empty);
        if !judged && coverage.quiet && all_seen {
            let name = &view.source.name;
            lines.good += 1;
            lines.shown.push(about_all(Line { state: CheckState::Pass, ..Line::unknown(format!("{name}: none.")) }));
        } else if !judged && unseen.as_ref().is_none_or(Vec::is_empty) {
            // Objects that were seen and do not bear the fact say no more than none at all.
            lines.shown.push(about_all(Line::unknown(what())));
        }
        lines.shown.extend(unseen.unwrap_or_default());
    }

    fn selects(&self, sample: &Sample, event: Option<&Occurrence>) -> bool {
        let is_ours = !self.is_of_events() || sample.label("event") == event.map(|event| event.name.as_str());
        is_ours && self.filter.iter().all(|(name, value)| sample.label(name) == Some(value))
    }

    /// Whether each sample is about one event: then only those about the event that is judged count.
    fn is_of_events(&self) -> bool {
        self.family.is_of_events() && !self.filter.contains_key("event")
    }

    /// What speaks for the metric and was not seen, or matched nothing; `None` when nothing speaks for it.
    fn uncovered(&self, coverage: Coverage, view: &View, event: Option<&Occurrence>) -> Option<Vec<Line>> {
        let mut spoken = false;
        let mut lines = Vec::new();
        for sample in view.of(coverage.states) {
            let speaks = coverage.kinds.is_empty() || sample.label("kind").is_none_or(|kind| coverage.kinds.contains(&kind));
            let concerns = self.filter.iter().all(|(name, value)| sample.label(name).is_none_or(|own| own == value));
            if !speaks || !concerns {
                continue;
            }
            spoken = true;
            let state = sample.state().unwrap_or("unknown");
            if !coverage.seen.contains(&state) {
                let evidence = format!("{}: {}.", place(sample), sample.detail.as_ref().map_or(state, Message::as_str));
                lines.push(Line { labels: labels_of(sample), seen_at: view.seen_at, look: view.looks, ..Line::unknown(evidence) });
            } else if coverage.borne_in.contains(&state) && !view.of(self.family.name).any(|fact| self.selects(fact, event) && is_about(fact, sample)) {
                let evidence = format!("{}: it was seen ({state}), and showed nothing of what this check asks about.", place(sample));
                lines.push(Line { labels: labels_of(sample), seen_at: view.seen_at, look: view.looks, ..Line::unknown(evidence) });
            }
        }
        spoken.then_some(lines)
    }

    /// Whether a sample is bad; `None` when that cannot be told. `index` is its place among its kind.
    fn is_bad(&self, sample: &Sample, index: usize, view: &View, others: Option<&Others<'_>>, context: &Context<'_>) -> Option<bool> {
        if !self.family.states.is_empty() {
            let red = |state: &str| match self.condition {
                Condition::Equals(Bound::Name(one)) => one == state,
                Condition::Equals(Bound::States(several)) => several.iter().any(|one| one == state),
                Condition::Equals(Bound::Number(_))
                | Condition::IsFalse
                | Condition::Above(_)
                | Condition::Below(_)
                | Condition::Differs(_)
                | Condition::ExpiresWithin(_)
                | Condition::OlderThan(_)
                | Condition::Promql(_) => false,
            };
            // A state called unknown is not seen, unless the check says that it is bad.
            return sample.state().and_then(|state| (state != "unknown" || red(state)).then(|| red(state)));
        }
        let compared = others.and_then(|others| others.of(view, sample, index));
        violates(self.condition, sample.value, compared, context)
    }

    fn line(&self, sample: &Sample, bad: Option<bool>, context: &Context<'_>) -> Line {
        let is_state_set = !self.family.states.is_empty();
        let mut harsher = self.worsens.iter().rev().filter(|band| {
            let beyond = self.condition.with_bound(band.at);
            beyond.is_some_and(|beyond| violates(&beyond, sample.value, None, context) == Some(true))
        });
        let severity = harsher.next().map_or(self.severity, |band| band.severity);
        let value = if is_state_set { String::new() } else { text_value(self.family, shown(self.family, self.condition, sample.value, context)) };
        let state = match bad {
            Some(true) => CheckState::Fail,
            Some(false) => CheckState::Pass,
            None => CheckState::Unknown,
        };
        let label = |name: &str| sample.label(name).unwrap_or_default();
        let bound = threshold(self.family, self.condition);
        let mut evidence = match state {
            // The sentence says what is wrong, so it stands only on lines that are.
            CheckState::Fail => self.evidence.render(label, &value, &bound),
            CheckState::Unknown => format!("Cannot tell for {}.", place(sample)),
            _ if value.is_empty() => format!("{}: {}.", place(sample), label("state")),
            // A yes or no is told as such: 1 is no word of a person.
            _ if matches!(self.condition, Condition::IsFalse) => format!("{}: as it should be.", place(sample)),
            _ => format!("{}: {value}.", place(sample)),
        };
        if let Some(detail) = &sample.detail {
            evidence = format!("{evidence} Seen: {}.", detail.as_str().trim_end_matches('.'));
        }
        Line { state, severity, labels: labels_of(sample), ..Line::unknown(evidence) }
    }
}

fn labels_of(sample: &Sample) -> Labels {
    sample.family.labels.iter().copied().zip(sample.labels.iter().cloned()).collect()
}

/// Whether a fact is about the subject of another: what both are labelled with is the same.
fn is_about(fact: &Sample, subject: &Sample) -> bool {
    subject.label_pairs().all(|(name, value)| fact.label(name).is_none_or(|own| own == value))
}

fn place(sample: &Sample) -> String {
    let values: Vec<_> = sample.label_pairs().filter(|(_, value)| !value.is_empty()).map(|(_, value)| say::plain(value)).collect();
    values.join(" / ")
}

/// The values of another metric, to compare with. Whichever source shows them: in what Prometheus
/// scrapes, nothing tells the sources of one exporter apart.
struct Others<'a> {
    family: &'a str,
    snapshot: &'a Snapshot,
    /// Made when the first is not where it most often is.
    by_subject: OnceCell<BTreeMap<u64, f64>>,
}

impl Others<'_> {
    /// The value with the same labels. Most often it stands at the same place among its kind, since
    /// both were made from the same objects.
    fn of(&self, view: &View, sample: &Sample, index: usize) -> Option<f64> {
        let same = |other: &&Sample| sample.label_pairs().all(|(name, value)| other.label(name) == Some(value));
        let near = view.facts.iter().filter_map(|facts| facts.of(self.family).get(index)).find(same);
        let elsewhere = || {
            let by_subject = self.by_subject.get_or_init(|| {
                let all = self.snapshot.samples_of(self.family);
                all.map(|other| (subject(other.label_pairs()), other.value)).collect()
            });
            by_subject.get(&subject(sample.label_pairs())).copied()
        };
        near.map(|other| other.value).or_else(elsewhere)
    }
}

/// What a person wants to read: for a moment, the distance that the condition speaks of.
fn shown(family: &Family, condition: &Condition, value: f64, context: &Context<'_>) -> f64 {
    match condition {
        _ if family.unit != Unit::Timestamp => value,
        Condition::OlderThan(_) => context.now.as_second() as f64 - value,
        Condition::ExpiresWithin(Horizon::Event { .. }) => value - event_end(context),
        Condition::ExpiresWithin(Horizon::Now(_))
        | Condition::IsFalse
        | Condition::Above(_)
        | Condition::Below(_)
        | Condition::Equals(_)
        | Condition::Differs(_)
        | Condition::Promql(_) => value - context.now.as_second() as f64,
    }
}

fn event_end(context: &Context<'_>) -> f64 {
    context.event.map_or(context.now, |event| event.end).as_second() as f64
}

/// Whether a value is bad; `None` when the other side of the comparison was not seen or the value
/// is not a number.
fn violates(condition: &Condition, value: f64, compared: Option<f64>, context: &Context<'_>) -> Option<bool> {
    if value.is_nan() {
        return None;
    }
    let bound = |bound: &Bound| match bound {
        Bound::Number(number) => Some(*number),
        Bound::Name(_) | Bound::States(_) => compared.filter(|value| !value.is_nan()),
    };
    let now = context.now.as_second() as f64;
    #[expect(clippy::float_cmp, reason = "exactly what PromQL's == and != do")]
    match condition {
        Condition::IsFalse => Some(value == 0.0),
        Condition::Above(limit) => bound(limit).map(|limit| value > limit),
        Condition::Below(limit) => bound(limit).map(|limit| value < limit),
        Condition::Equals(other) => bound(other).map(|other| value == other),
        Condition::Differs(other) => bound(other).map(|other| value != other),
        Condition::ExpiresWithin(Horizon::Now(span)) => Some(value - now < span.as_secs_f64()),
        Condition::ExpiresWithin(Horizon::Event { after_event_end }) => Some(value - event_end(context) < after_event_end.as_secs_f64()),
        // What is still to come has no age.
        Condition::OlderThan(_) if value - now > AHEAD => None,
        Condition::OlderThan(span) => Some(now - value > span.as_secs_f64()),
        Condition::Promql(_) => None,
    }
}
