//! Events: when the thing that is being prepared for happens.
//!
//! Pure time arithmetic in the event's own zone, so that a workshop at nine stays at nine when the
//! clocks change. Cron follows croner's reading: a start that falls into the hour that a spring
//! change skips happens when that hour is over.

mod config;

use croner::Cron;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

pub use config::EventConfig;
pub(crate) use config::{SHIPPED, default_lead_times};

use crate::metric::{Gauge, Sample, Unit, gauge, metrics};
use crate::say;
use crate::say::{Message, named};
use crate::value::Span;
use crate::word::did_you_mean;

metrics! {
    /// Families about events.
    pub FAMILIES;

    static COMING: Gauge<2> =
        gauge("readiness_event_coming", Unit::Flag, &["checklist", "event"], "Whether a configured event is running or will come; 0 once all of it is over.");
    static START: Gauge<2> = gauge(
        "readiness_event_start_timestamp_seconds",
        Unit::Timestamp,
        &["checklist", "event"],
        "When an occurrence of a configured event starts: the running or next one, and those after it that are prepared for (+1, +2).",
    );
    static END: Gauge<2> = gauge(
        "readiness_event_end_timestamp_seconds",
        Unit::Timestamp,
        &["checklist", "event"],
        "When an occurrence of a configured event ends: the running or next one, and those after it that are prepared for (+1, +2).",
    );
    static LEAD: Gauge<3> = gauge(
        "readiness_event_lead_timestamp_seconds",
        Unit::Timestamp,
        &["checklist", "event", "lead"],
        "When a lead time of an occurrence of a configured event begins: the running or next one, and those after it that are prepared for (+1, +2).",
    );
    static PARTICIPANTS: Gauge<2> =
        gauge("readiness_event_participants", Unit::Number, &["checklist", "event"], "Expected participants of a configured event.");
}

/// When an event happens, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    name: String,
    checklists: Vec<String>,
    participants: Option<u32>,
    lead_times: Vec<Span>,
    zone: TimeZone,
    times: Times,
}

#[derive(Debug, Clone, PartialEq)]
enum Times {
    Once { start: Timestamp, end: Timestamp },
    Recurring { cron: Box<Cron>, duration: SignedDuration },
}

/// Occurrences of one event that are judged at a time: those of a daily one with lead times of a week.
pub const MOST_JUDGED: usize = 8;

/// How long before an occurrence is judged facts about it are gathered, so that it has them then.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// One occurrence of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// What it is called, the `event` label: the event's name, followed by ` +1`, ` +2` for those after the
    /// one that runs or comes next. A date in its place would make series that nobody needs again.
    pub name: String,
    /// The event's name.
    pub of: String,
    /// The checklists that decide about it.
    pub checklists: Vec<String>,
    /// When it starts.
    pub start: Timestamp,
    /// When it ends.
    pub end: Timestamp,
    /// Whose clocks its people read.
    pub zone: TimeZone,
    /// Expected participants.
    pub participants: Option<u32>,
    /// How long before the start a no-go pages.
    pub lead_times: Vec<Span>,
    /// When it took its name, where it had another one.
    pub turn: Option<Turn>,
}

/// The end of an occurrence, at which all that come after it move up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The moment.
    pub at: Timestamp,
    /// What one was called until then.
    pub before: String,
    /// Since when it was called so: the end of the occurrence before.
    pub since: Timestamp,
}

/// Field, rule and offending value.
type Broken = (&'static str, String, String);

impl Schedule {
    /// Every value of an event that is wrong by itself, so that none hides another.
    pub fn broken(event: &EventConfig) -> Vec<Broken> {
        let zone = zone(event);
        let moment = |field, text: &String| match &zone {
            Ok(zone) => local(field, text, zone).err(),
            Err(_) => civil(field, text).err(),
        };
        let duration = event.duration.filter(|span| span.0.is_zero()).map(|_| too_short());
        let start = event.start.as_ref().and_then(|start| moment("start", start));
        let end = event.end.as_ref().and_then(|end| moment("end", end));
        let cron = event.cron.as_ref().and_then(|cron| recurring(cron, zone.as_ref().unwrap_or(&TimeZone::UTC)).err());
        zone.as_ref().err().cloned().into_iter().chain([start, end, cron, duration].into_iter().flatten()).collect()
    }

    /// Parses the times of a configured event.
    pub fn parse(event: &EventConfig) -> Result<Self, Broken> {
        let zone = zone(event)?;
        let duration = event.duration.map(|span| SignedDuration::try_from(span.0).unwrap_or(SignedDuration::MAX));
        if duration.is_some_and(|duration| duration.is_zero()) {
            return Err(too_short());
        }
        let times = match (&event.start, &event.cron, duration) {
            (Some(start), None, duration) => once(start, event.end.as_deref(), duration, &zone)?,
            (None, Some(cron), Some(duration)) => Times::Recurring { cron: Box::new(recurring(cron, &zone)?), duration },
            _ => return Err(("start", "must be set, or cron with a duration".to_owned(), String::new())),
        };
        Ok(Self {
            name: event.name.clone(),
            checklists: event.checklists().to_vec(),
            participants: event.participants,
            lead_times: event.lead_times.clone(),
            zone,
            times,
        })
    }

    /// The checklists that decide about it.
    pub fn checklists(&self) -> &[String] {
        &self.checklists
    }

    /// Its name, which all of its occurrences share.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The occurrence that is running at `now`, else the next one.
    pub fn at(&self, now: Timestamp) -> Option<Occurrence> {
        self.ends_after(now).next()
    }

    /// Those that people work for at `now`: the one that runs or comes next, and each one after it whose first
    /// lead time has come.
    fn judged(&self, now: Timestamp) -> impl Iterator<Item = Occurrence> {
        self.due(now, now).take(MOST_JUDGED)
    }

    /// Whether there are more of them than are judged.
    pub fn is_crowded(&self, now: Timestamp) -> bool {
        self.due(now, now).nth(MOST_JUDGED).is_some()
    }

    /// The first one that ends after `now`, and those after it that are prepared for by `then` or come next then.
    fn due(&self, now: Timestamp, then: Timestamp) -> impl Iterator<Item = Occurrence> {
        let before_that = |at: Timestamp| at.checked_sub(SignedDuration::from_secs(1)).ok().and_then(|earlier| self.turned(earlier));
        let turned = self.turned(now).map(|at| (at, before_that(at).unwrap_or(Timestamp::MIN)));
        let mut before = None;
        let is_due = move |(_, event): &(usize, Occurrence)| {
            let comes_next = before.replace(event.end).is_none_or(|end| end <= then);
            comes_next || event.prepared_for(then)
        };
        self.ends_after(now).enumerate().take_while(is_due).map(move |(index, event)| {
            let called = |index| if index == 0 { event.of.clone() } else { format!("{} +{index}", event.of) };
            let turn = turned.map(|(at, since)| Turn { at, before: called(index + 1), since });
            Occurrence { name: called(index), turn, ..event }
        })
    }

    /// When the last one ended that is over.
    fn turned(&self, now: Timestamp) -> Option<Timestamp> {
        let Times::Recurring { cron, duration } = &self.times else { return None };
        let latest = now.checked_sub(*duration).ok()?.to_zoned(self.zone.clone());
        let start: Zoned = cron.find_previous_occurrence(&latest, true).ok()?;
        start.timestamp().checked_add(*duration).ok()
    }

    /// All that end after `now`, by their start.
    fn ends_after(&self, now: Timestamp) -> impl Iterator<Item = Occurrence> {
        let mut after = Some(now);
        std::iter::from_fn(move || {
            let (start, end) = match &self.times {
                Times::Once { start, end } => (*start, *end),
                Times::Recurring { cron, duration } => {
                    // An occurrence that started up to `duration` ago is still running.
                    let from = after?.checked_sub(*duration).ok()?.to_zoned(self.zone.clone());
                    let start: Zoned = cron.find_next_occurrence(&from, false).ok()?;
                    (start.timestamp(), start.timestamp().checked_add(*duration).ok()?)
                }
            };
            let is_later = after.is_some_and(|after| end > after);
            after = matches!(self.times, Times::Recurring { .. }).then_some(end);
            is_later.then(|| self.occurrence(start, end))
        })
    }

    /// Its participants where they are more than `own` and it runs, from now on, at the same time as an occurrence.
    fn beside(&self, occurrence: &Occurrence, own: u32, now: Timestamp) -> Option<u32> {
        let participants = self.participants.filter(|participants| *participants > own)?;
        self.at(occurrence.start.max(now)).is_some_and(|other| other.start < occurrence.end).then_some(participants)
    }

    fn occurrence(&self, start: Timestamp, end: Timestamp) -> Occurrence {
        Occurrence {
            name: self.name.clone(),
            of: self.name.clone(),
            checklists: self.checklists.clone(),
            start,
            end,
            zone: self.zone.clone(),
            participants: self.participants,
            lead_times: self.lead_times.clone(),
            turn: None,
        }
    }
}

/// Every event that is running or will come, each with that occurrence of it and with the later ones that are
/// prepared for already, the soonest first.
pub fn coming(schedules: &[Schedule], now: Timestamp) -> Vec<Occurrence> {
    by_start(schedules.iter().flat_map(|schedule| schedule.judged(now)))
}

/// The same with those that will be judged soon, for whoever gathers facts about each.
pub fn foreseen(schedules: &[Schedule], now: Timestamp) -> Vec<Occurrence> {
    let then = now.checked_add(AHEAD).unwrap_or(now);
    by_start(schedules.iter().flat_map(|schedule| schedule.due(now, then).take(MOST_JUDGED + 1)))
}

fn by_start(occurrences: impl Iterator<Item = Occurrence>) -> Vec<Occurrence> {
    let mut occurrences: Vec<_> = occurrences.collect();
    occurrences.sort_by(|a, b| (a.start, a.end, &a.name).cmp(&(b.start, b.end, &b.name)));
    occurrences
}

/// Events as facts: of each configured one whether it comes, and of those that do, when.
pub fn samples(schedules: &[Schedule], now: Timestamp) -> Vec<Sample> {
    let mut samples = Vec::new();
    for schedule in schedules {
        let coming = f64::from(u8::from(schedule.at(now).is_some()));
        samples.extend(schedule.checklists.iter().map(|checklist| COMING.sample([checklist.as_str(), &schedule.name], coming)));
        samples.extend(schedule.judged(now).flat_map(|occurrence| occurrence.samples()));
    }
    samples
}

/// An occurrence, and the participants that there must be room for while it runs.
pub type Demand = (Occurrence, Option<u32>);

/// The occurrences that are foreseen, each with the participants that there must be room for while it runs: those of
/// the largest event among itself and what overlaps it from now on, since they need the room at the same time. Not
/// known where nobody has said how many come to it.
pub fn demands(schedules: &[Schedule], now: Timestamp) -> Vec<Demand> {
    let with_demand = |occurrence: Occurrence| {
        let demand = occurrence.participants.map(|own| schedules.iter().filter_map(|other| other.beside(&occurrence, own, now)).fold(own, u32::max));
        (occurrence, demand)
    };
    foreseen(schedules, now).into_iter().map(with_demand).collect()
}

fn zone(event: &EventConfig) -> Result<TimeZone, Broken> {
    let wanted = &event.time_zone;
    let rule = || format!("must be an IANA time zone such as Europe/London{}", near_zone(wanted));
    TimeZone::get(wanted).map_err(|_| ("time_zone", rule(), wanted.clone()))
}

/// The zone that was most likely meant: that of a city, or one of nearly that name.
fn near_zone(wanted: &str) -> Message {
    let all: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
    let city = wanted.rsplit('/').next().unwrap_or_default().replace(' ', "_");
    let of_city = all.iter().find(|name| name.split_once('/').is_some_and(|(_, own)| own.eq_ignore_ascii_case(&city)));
    match of_city {
        Some(name) => say!("; did you mean {}?", named(name)),
        None => did_you_mean(wanted, all.iter().map(String::as_str)),
    }
}

fn too_short() -> Broken {
    ("duration", "must be greater than 0".to_owned(), "0s".to_owned())
}

fn recurring(cron: &str, zone: &TimeZone) -> Result<Cron, Broken> {
    let rule = |rule: &str| ("cron", rule.to_owned(), cron.to_owned());
    let parsed: Cron = cron.parse().map_err(|_| rule("must be a cron expression of five fields, such as 0 9 * * MON"))?;
    let next = parsed.find_next_occurrence(&Timestamp::UNIX_EPOCH.to_zoned(zone.clone()), false);
    next.map(|_| parsed).map_err(|_| rule("must describe a time that exists"))
}

fn civil(field: &'static str, text: &str) -> Result<DateTime, Broken> {
    // The parser passes over an offset, and an event would be judged hours beside its time.
    let has_zone = text.parse::<Timestamp>().is_ok() || text.contains('[') || text.ends_with(['Z', 'z']);
    let zone = if has_zone { ", without an offset, since time_zone says where" } else { "" };
    let rule = || (field, format!("must be a local time such as 2026-12-01T09:00{zone}"), text.to_owned());
    // A day alone would mean its first moment, and an event that ends on a day lasts until its evening.
    if text.contains(':') && !has_zone { text.parse().map_err(|_| rule()) } else { Err(rule()) }
}

/// A moment on the clocks of a zone. One that they skip in spring is meant by nobody, and who comes then finds that it began
/// an hour ago, or will in an hour.
fn local(field: &'static str, text: &str, zone: &TimeZone) -> Result<Timestamp, Broken> {
    let rule = |rule: &str| (field, rule.to_owned(), text.to_owned());
    let moment = zone.to_ambiguous_timestamp(civil(field, text)?);
    if matches!(moment.offset(), AmbiguousOffset::Gap { .. }) {
        return Err(rule("must be a time that exists: the clocks of its time zone are put forward past it"));
    }
    moment.compatible().map_err(|_| rule("must be a local time such as 2026-12-01T09:00"))
}

fn once(start: &str, end: Option<&str>, duration: Option<SignedDuration>, zone: &TimeZone) -> Result<Times, Broken> {
    let begins = local("start", start, zone)?;
    let ends = match (end, duration) {
        (Some(end), _) => local("end", end, zone)?,
        (None, Some(duration)) => begins.checked_add(duration).map_err(|_| ("duration", "must end before the year 10000".to_owned(), start.to_owned()))?,
        (None, None) => return Err(("end", "must be set, or duration".to_owned(), String::new())),
    };
    if ends <= begins {
        return Err(("end", format!("must be after the start, {start}"), end.unwrap_or_default().to_owned()));
    }
    Ok(Times::Once { start: begins, end: ends })
}

impl Occurrence {
    /// What it was called at a moment, which facts of that moment name it by; nothing where that is more than one
    /// occurrence ago.
    pub fn name_at(&self, moment: Option<Timestamp>) -> Option<&str> {
        match (&self.turn, moment) {
            (Some(turn), Some(moment)) if moment < turn.since => None,
            (Some(turn), Some(moment)) if moment < turn.at => Some(&turn.before),
            _ => Some(&self.name),
        }
    }

    /// Whether the first lead time has come, so that people work on it. Without lead times that is the start.
    pub fn prepared_for(&self, now: Timestamp) -> bool {
        let first = self.lead_times.iter().max().map_or(0.0, |lead| lead.as_secs_f64());
        self.start.as_second() as f64 - now.as_second() as f64 <= first
    }

    /// This occurrence as facts, for each of its checklists.
    pub fn samples(&self) -> Vec<Sample> {
        self.checklists.iter().flat_map(|checklist| self.samples_for(checklist)).collect()
    }

    fn samples_for(&self, checklist: &str) -> Vec<Sample> {
        let labels = [checklist, self.name.as_str()];
        let mut samples = vec![START.sample(labels, self.start.as_second() as f64), END.sample(labels, self.end.as_second() as f64)];
        for lead in &self.lead_times {
            let begins = self.start.as_second() as f64 - lead.as_secs_f64();
            samples.push(LEAD.sample([labels[0], labels[1], &lead.to_string()], begins));
        }
        if let Some(participants) = self.participants {
            samples.push(PARTICIPANTS.sample(labels, f64::from(participants)));
        }
        samples
    }
}

#[cfg(test)]
mod tests;
