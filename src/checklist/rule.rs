//! One check against the facts of all sources: a line for each subject, and one for whatever should have
//! shown the fact and did not.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::asked::Whole;
use super::condition::{Band, Condition, Depends, Words};
use super::context::Context;
use super::evidence::Template;
use super::judgement::{CheckState, Line, Unasked};
use super::memory::subject;
use super::model::Unconfigured;
use super::others::Others;
use super::recall::{self, RestsOn};
use super::severity::Severity;
use crate::collectors;
use crate::event::Occurrence;
use crate::labels::Labels;
use crate::metric::{Coverage, Family, Sample, Unit};
use crate::say::{self, Message};
use crate::snapshot::View;
use crate::value::Span;

/// Good subjects that get a line of their own. In a cluster of five thousand nodes the lines of a
/// check would cost more than all facts together, and nobody reads them.
const GOOD_LINES: usize = 50;

/// What a rule came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    pub(super) shown: Vec<Line>,
    /// How many subjects are good, shown or not.
    pub(super) good: usize,
}

impl Lines {
    /// Adds a subject that is good. It has a line while there is room, or where it was bad before, so that whoever saw
    /// it red sees it green.
    fn add_good(&mut self, room: usize, was_bad: impl FnOnce() -> bool, line: impl FnOnce() -> Line) {
        if self.good < room || was_bad() {
            self.shown.push(line());
        }
        self.good += 1;
    }

    pub(super) fn more_good(&self) -> usize {
        self.good.saturating_sub(self.shown.iter().filter(|line| line.state == CheckState::Pass).count())
    }
}

pub(super) struct Rule<'a> {
    /// Whether it blocks once it is due.
    pub(super) blocks: bool,
    pub(super) unconfigured: Unconfigured,
    pub(super) check: &'a str,
    /// The collector that fills the family.
    pub(super) owner: &'static str,
    pub(super) family: &'static Family,
    pub(super) condition: &'a Condition,
    pub(super) severity: Severity,
    pub(super) worsens: &'a [Band],
    pub(super) evidence: &'a Template,
    pub(super) filter: &'a BTreeMap<String, String>,
}

impl Rule<'_> {
    /// What is red before the check is due, as warnings; nothing else is asked yet.
    pub(super) fn early(self, due: Span, context: &Context<'_>) -> Result<Lines, Whole> {
        let severity = self.severity.min(Severity::Warning);
        let cannot = |why: &str| Whole::unasked(Unasked::NotDue, format!("due in {due}; cannot be told yet: {why}"));
        // Another rule than the one that will be due, so nothing of it may be recalled then.
        let apart = Context { recall: None, ..*context };
        let mut lines =
            Rule { severity, worsens: &[], ..self }.lines(&apart).map_err(|whole| if whole.unasked.is_some() { whole } else { cannot(&whole.note) })?;
        let unknown = lines.shown.iter().find(|line| line.state == CheckState::Unknown).map(|line| Arc::clone(&line.evidence));
        lines.shown.retain_mut(|line| {
            let is_red = line.state == CheckState::Fail;
            if is_red {
                line.state = CheckState::Warn;
                let then = if self.blocks { "blocks" } else { "is due" };
                line.evidence = format!("{} It {then} in {due}.", line.evidence).into();
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

    pub(super) fn lines(&self, context: &Context<'_>) -> Result<Lines, Whole> {
        let owner = self.owner;
        if self.is_of_events() && context.event.is_none() {
            return Err(Whole::unasked(Unasked::NotConfigured, "no event of this checklist is coming"));
        }
        let mut lines = Lines::default();
        let others = self.condition.other().map(|family| Others::new(family, context.snapshot));
        let mut concerned = false;
        for view in context.snapshot.of_collector(owner).iter().filter(|view| self.concerns(view)) {
            concerned = true;
            let own = self.lines_of(view, others.as_ref(), GOOD_LINES.saturating_sub(lines.good), context);
            lines.good += own.good;
            lines.shown.extend(own.shown);
        }
        if lines.shown.is_empty() {
            if concerned {
                return Err(Whole::unasked(Unasked::NotConfigured, format!("{} holds nothing of which this can be asked", collectors::key(owner))));
            }
            return Err(self.missing());
        }
        Ok(lines)
    }

    /// Whether this source should show something that the check is about.
    pub(super) fn concerns(&self, view: &View) -> bool {
        let emits = view.source.emits.contains(&self.family.name);
        let identity_fits = self.filter.iter().all(|(name, value)| view.source.identity.get(name).is_none_or(|own| own == value));
        let covered = view.source.covers.iter().all(|(label, values)| self.filter.get(*label).is_none_or(|wanted| values.contains(wanted)));
        emits && identity_fits && covered
    }

    /// The lines about one source, with at most so many about what is good and was before: those of the last
    /// judgement, where nothing that they rest on has changed.
    fn lines_of(&self, view: &View, others: Option<&Others<'_>>, room: usize, context: &Context<'_>) -> Lines {
        let made = || self.judge_view(view, others, room, context);
        let Some((recall, rests_on)) = context.recall.zip(self.rests_on(view, others, room, context)) else { return made() };
        recall.lines(self.check, view, rests_on, made)
    }

    /// What the lines about a source rest on; nothing where that is the moment, too.
    fn rests_on(&self, view: &View, others: Option<&Others<'_>>, room: usize, context: &Context<'_>) -> Option<RestsOn> {
        let depends = self.condition.depends_on(self.family);
        let of_event = self.is_of_events() || depends == Depends::EventEnd;
        let event = context.event.filter(|_| of_event);
        if view.unseen.is_some() || depends == Depends::Now || (depends == Depends::EventEnd && event.is_none()) {
            return None;
        }
        let own = [Some(self.family.name), self.family.covered_by.map(|coverage| coverage.states)].into_iter().flatten();
        let compared = others.into_iter().flat_map(|others| others.snapshot.views.iter().map(|view| (view, others.family)));
        let pieces = recall::pieces(&own.map(|family| (view, family)).chain(compared))?;
        let known = context.memory.map_or(0, |memory| memory.known(self.check));
        Some(RestsOn { pieces, event: event.map(|event| (event.name_at(view.seen_at).map(str::to_owned), event.end.as_second())), known, room })
    }

    fn judge_view(&self, view: &View, others: Option<&Others<'_>>, room: usize, context: &Context<'_>) -> Lines {
        let mut lines = Lines::default();
        let about_all = |line: Line| Line { labels: view.source.identity.clone(), seen_at: view.seen_at, look: view.looks, ..line };
        if let Some(why) = &view.unseen {
            lines.shown.push(about_all(Line::unknown(why.as_str()).because_of(Some(why))));
            return lines;
        }
        let mut judged = false;
        let unseen: Vec<&Sample> = self.family.covered_by.map_or_else(Vec::new, |coverage| unseen_subjects(coverage, view));
        for facts in view.facts.iter() {
            for (index, sample) in facts.of(self.family.name).iter().enumerate().filter(|(_, sample)| self.selects(sample, context.event, view)) {
                let bad = self.is_bad(sample, index, view, others, context);
                // What was told before the answer broke off makes a subject red, and never good.
                if bad != Some(true) && unseen.iter().any(|subject| is_about(|name| sample.label(name), subject)) {
                    continue;
                }
                judged = true;
                let sample = self.called_now(sample, context.event);
                let line = || Line { seen_at: view.seen_at, look: view.looks, ..self.line(&sample, bad, context) };
                if bad == Some(false) {
                    lines.add_good(room, || self.was_bad(sample.label_pairs(), context), line);
                } else {
                    lines.shown.push(line());
                }
            }
        }
        let what = || format!("{} ({}) was looked at, and showed nothing of what this check asks about.", view.source.name, view.source.collector);
        let Some(coverage) = self.family.covered_by else {
            if !judged {
                lines.shown.push(about_all(Line::unknown(what())));
            }
            return lines;
        };
        let red: Vec<_> = lines.shown.iter().filter(|line| line.state == CheckState::Fail).collect();
        let unseen = self.uncovered(coverage, view, &red, context.event);
        let all_seen = unseen.as_ref().is_some_and(Vec::is_empty);
        for line in self.excused(coverage, view).into_iter().chain(self.marked_otherwise(coverage, view)) {
            judged = true;
            let labels = line.labels.clone();
            lines.add_good(room, || self.was_bad(labels.iter(), context), || line);
        }
        if !judged && coverage.quiet && all_seen {
            let none = || about_all(Line { state: CheckState::Pass, ..Line::unknown(format!("{}: none.", view.source.name)) });
            lines.add_good(room, || self.was_bad(view.source.identity.iter(), context), none);
        } else if !judged && unseen.as_ref().is_none_or(Vec::is_empty) && !(coverage.sparse && all_seen) {
            // Objects that were seen and do not bear the fact say no more than none at all.
            lines.shown.push(about_all(Line::unknown(what())));
        }
        lines.shown.extend(unseen.unwrap_or_default());
        lines
    }

    fn was_bad<'n, 'v>(&self, labels: impl Iterator<Item = (&'n str, &'v str)>, context: &Context<'_>) -> bool {
        context.memory.is_some_and(|memory| memory.knows(self.check, || subject(labels)))
    }

    /// Whether a sample is of those that are asked about: of the event that is judged, by the name that this had when
    /// the source looked. Once an occurrence of a recurring event is over, the next one is called as it was.
    fn selects(&self, sample: &Sample, event: Option<&Occurrence>, view: &View) -> bool {
        let is_ours = !self.is_of_events() || sample.label("event") == event.and_then(|event| event.name_at(view.seen_at));
        is_ours && self.filter.iter().all(|(name, value)| sample.label(name) == Some(value))
    }

    /// A sample with the name that its event has now.
    fn called_now<'s>(&self, sample: &'s Sample, event: Option<&Occurrence>) -> Cow<'s, Sample> {
        let at = sample.family.labels.iter().position(|label| *label == "event").filter(|_| self.is_of_events());
        match (at, event) {
            (Some(at), Some(event)) if *sample.labels[at] != *event.name => {
                let mut own = sample.clone();
                own.labels =
                    own.labels.iter().enumerate().map(|(index, label)| if index == at { event.name.as_str().into() } else { Arc::clone(label) }).collect();
                Cow::Owned(own)
            }
            _ => Cow::Borrowed(sample),
        }
    }

    /// Whether each sample is about one event: then only those about the event that is judged count.
    fn is_of_events(&self) -> bool {
        self.family.is_of_events() && !self.filter.contains_key("event")
    }

    /// What was seen and need not bear the fact, where it is told why: a certificate that ends in three days is good since it
    /// is renewed in two, and a line that says "none" would hide it.
    fn excused(&self, coverage: Coverage, view: &View) -> Vec<Line> {
        if !coverage.quiet || coverage.borne_in.is_empty() {
            return Vec::new();
        }
        let states = |state: &str| coverage.seen.contains(&state) && !coverage.borne_in.contains(&state);
        let is_excused = |sample: &&Sample| {
            sample.state().is_some_and(states)
                && self.filter.iter().all(|(name, value)| sample.label(name).is_none_or(|own| own == value))
                && !view.of(self.family.name).any(|fact| is_about(|name| fact.label(name), sample))
        };
        let told = view.of(coverage.states).filter(is_excused).filter_map(|sample| Some((sample, sample.detail.as_ref()?)));
        told.map(|(sample, why)| Line { state: CheckState::Pass, ..of_subject(sample, view, why.as_str()) }).collect()
    }

    /// What bears a mark, and not the one that is asked about: a server of TLS 1.3 has no mark of TLS 1.2.
    fn marked_otherwise(&self, coverage: Coverage, view: &View) -> Vec<Line> {
        if self.family.unit != Unit::Mark {
            return Vec::new();
        }
        let speaking = view.of(coverage.states).filter(|sample| self.is_marked_otherwise(coverage, sample, view));
        let wanted: Vec<_> = self.filter.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let without = format!("it was seen, without {}", wanted.join(", "));
        speaking.map(|sample| Line { state: CheckState::Pass, ..of_subject(sample, view, &without) }).collect()
    }

    fn is_marked_otherwise(&self, coverage: Coverage, subject: &Sample, view: &View) -> bool {
        let fits = |sample: &Sample| self.filter.iter().all(|(name, value)| sample.label(name).is_none_or(|own| own == value));
        let mut own = view.of(self.family.name).filter(|fact| is_about(|name| fact.label(name), subject)).peekable();
        // Of a label whose values nobody lists a misspelt one would be good for ever.
        let is_known = |(label, values): (&str, &[&str])| self.filter.get(label).is_some_and(|wanted| values.contains(&wanted.as_str()));
        self.family.unit == Unit::Mark
            && self.family.values.is_some_and(is_known)
            && subject.state().is_some_and(|state| coverage.borne_in.contains(&state))
            && fits(subject)
            && own.peek().is_some()
            && !own.any(|fact| self.filter.iter().all(|(name, value)| fact.label(name) == Some(value)))
    }

    /// What speaks for the metric and was not seen, or matched nothing; `None` when nothing speaks for it.
    /// What is red already has its line.
    fn uncovered(&self, coverage: Coverage, view: &View, red: &[&Line], event: Option<&Occurrence>) -> Option<Vec<Line>> {
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
                if !coverage.borne_in.is_empty() && red.iter().any(|line| is_about(|name| line.labels.get(name), sample)) {
                    continue;
                }
                let why = sample.detail.as_ref().map_or(state, Message::as_str);
                lines.push(of_subject(sample, view, why).because_of(sample.detail.as_ref()));
            } else if coverage.borne_in.contains(&state)
                && !self.is_marked_otherwise(coverage, sample, view)
                && !view.of(self.family.name).any(|fact| self.selects(fact, event, view) && is_about(|name| fact.label(name), sample))
            {
                lines.push(of_subject(sample, view, &format!("it was seen ({state}), and showed nothing of what this check asks about")));
            }
        }
        spoken.then_some(lines)
    }

    /// Whether a sample is bad; `None` when that cannot be told. `index` is its place among its kind.
    fn is_bad(&self, sample: &Sample, index: usize, view: &View, others: Option<&Others<'_>>, context: &Context<'_>) -> Option<bool> {
        if !self.family.states.is_empty() {
            let red = |state: &str| self.condition.takes(state);
            // Where nothing was seen, nothing is good; whether that is bad, the check says.
            let is_seen = |state: &str| state != "unknown" && !self.family.unseen.contains(&state);
            return sample.state().and_then(|state| (is_seen(state) || red(state)).then(|| red(state)));
        }
        let compared = others.and_then(|others| others.of(view, sample, index));
        self.condition.violates(sample.value, compared, context.clock())
    }

    fn line(&self, sample: &Sample, bad: Option<bool>, context: &Context<'_>) -> Line {
        let mut harsher = self.worsens.iter().rev().filter(|band| {
            let beyond = self.condition.with_bound(band.at);
            beyond.is_some_and(|beyond| beyond.violates(sample.value, None, context.clock()) == Some(true))
        });
        let severity = harsher.next().map_or(self.severity, |band| band.severity);
        let words = Words::of(self.family, self.condition, self.condition.distance(self.family, sample.value, context.clock()));
        let state = match bad {
            Some(true) => CheckState::Fail,
            Some(false) => CheckState::Pass,
            None => CheckState::Unknown,
        };
        let label = |name: &str| sample.label(name).unwrap_or_default();
        let detail = sample.detail.as_ref().map(|detail| say::stopped(detail.as_str()));
        let evidence = match (state, &detail) {
            // The sentence says what is wrong, so it stands only on lines that are.
            (CheckState::Fail, _) => self.evidence.render(label, &words),
            // The reason alone, so that whatever else the same cause hides has the same line.
            (CheckState::Unknown, Some(why)) if !self.family.states.is_empty() => return self.unseen(sample, why).because_of(sample.detail.as_ref()),
            (CheckState::Unknown, Some(_)) if sample.value.is_nan() => format!("Cannot tell for {}.", place(sample)),
            (CheckState::Unknown, _) => format!("Cannot tell for {}: {}.", place(sample), self.no_answer(sample)),
            (CheckState::Pass | CheckState::Warn | CheckState::Waived | CheckState::NotApplicable, _) => {
                about(sample, &words.of_good(self.family, self.condition, label("state")))
            }
        };
        let evidence = detail.map_or_else(|| evidence.clone(), |detail| format!("{evidence} Seen: {detail}"));
        let bad = sample.detail.as_ref().filter(|_| state != CheckState::Pass);
        Line { state, severity, labels: labels_of(sample), ..Line::unknown(evidence).because_of(bad) }
    }

    /// Why nobody can tell, where the fact itself does not say: the line must have a reason that somebody can fix.
    fn no_answer(&self, sample: &Sample) -> &'static str {
        match self.condition {
            _ if sample.state().is_some_and(|state| self.family.unseen.contains(&state)) => "nothing was seen of what is asked",
            _ if !self.family.states.is_empty() => "whoever was asked says that it is unknown, and not why",
            _ if sample.value.is_nan() => "it was looked at, and showed no value",
            Condition::OlderThan(_) => "it is still to come, so it has no age",
            _ => "what it is compared with was not seen",
        }
    }

    fn unseen(&self, sample: &Sample, why: &str) -> Line {
        Line { severity: self.severity, labels: labels_of(sample), ..Line::unknown(about(sample, why)) }
    }
}

fn labels_of(sample: &Sample) -> Labels {
    sample.family.labels.iter().copied().zip(sample.labels.iter().cloned()).collect()
}

/// A line about a subject of a source, which is not known unless somebody says otherwise.
fn of_subject(sample: &Sample, view: &View, clause: &str) -> Line {
    Line { labels: labels_of(sample), seen_at: view.seen_at, look: view.looks, ..Line::unknown(about(sample, clause)) }
}

/// Subjects of which nothing good can be told, where each is to bear the fact itself.
fn unseen_subjects(coverage: Coverage, view: &View) -> Vec<&Sample> {
    if coverage.borne_in.is_empty() {
        return Vec::new();
    }
    view.of(coverage.states).filter(|sample| !coverage.seen.contains(&sample.state().unwrap_or("unknown"))).collect()
}

/// Whether what has these labels, a fact or a line, is about the subject of a fact: what both are labelled with is the same.
fn is_about<'a>(label: impl Fn(&str) -> Option<&'a str>, subject: &Sample) -> bool {
    subject.label_pairs().all(|(name, value)| label(name).is_none_or(|own| own == value))
}

fn place(sample: &Sample) -> String {
    let values: Vec<_> = sample.label_pairs().filter(|(_, value)| !value.is_empty()).map(|(_, value)| say::plain(value)).collect();
    values.join(" / ")
}

/// A clause about a subject as a sentence. What there is but one of has no name.
fn about(sample: &Sample, clause: &str) -> String {
    let (place, clause) = (place(sample), say::stopped(clause));
    if !place.is_empty() {
        return format!("{place}: {clause}");
    }
    let mut rest = clause.chars();
    let first = rest.next().map(char::to_uppercase);
    format!("{}{}", first.into_iter().flatten().collect::<String>(), rest.as_str())
}
