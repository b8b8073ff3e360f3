//! What only people can say: read from a file, never ticked by this program.
//!
//! The file is a list of `{ attest, who, at, valid_for, event }`. Of several entries for one line
//! the latest of each person counts, be it for an event or for all, and of those of several people the one that lasts longest:
//! whoever says less than before takes that back, but not what another one stands for. What is told for an event holds what
//! was said for all as well, so that it stands instead of that. An entry that nobody can stand for (no name, a date in the future, a
//! line that no checklist has) counts as if it were not there, and is told. Nothing here decides whether a
//! confirmation is still good enough.

pub(super) mod config;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

pub use config::AttestationsConfig;

use super::section::Collector;
use crate::cause::Cause as _;
use crate::driver::{Form, Poll, Task};
use crate::event::{Occurrence, Schedule};
use crate::files::{self, Content, ReadError};
use crate::made::Made;
use crate::metric::{Gauge, Sample, Unit, gauge, metrics};
use crate::say;
use crate::say::{Message, minute, named};
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot, Source, Subjects};
use crate::value::Span;
use crate::word::Word;
use crate::word::did_you_mean;

/// The `collector` label.
pub const NAME: &str = "attestations";

metrics! {
    /// Families of this collector.
    pub FAMILIES;

    static SAID: Gauge<2> = gauge(
        "readiness_attestation_timestamp_seconds",
        Unit::Timestamp,
        &["attestation", "for_event"],
        "When a person confirmed an item, for one event or for all (empty), from the attestations file.",
    );
    /// When a confirmation ends.
    pub static EXPIRY: Gauge<2> = gauge(
        "readiness_attestation_expiry_timestamp_seconds",
        Unit::Timestamp,
        &["attestation", "for_event"],
        "Until when the confirmation of an item is valid, for one event or for all (empty), from the attestations file.",
    );
    /// What was written down and does not count.
    pub static REFUSED: Gauge<1> = gauge(
        "readiness_attestations_refused",
        Unit::Number,
        &["attestation"],
        "Entries of the attestations file that do not count: without a name, dated in the future or too long before their event, or for a line or an event that there is not.",
    );
}

/// How long a confirmation is valid when it does not say: from two days before until after a day-long event.
const DEFAULT_VALIDITY: Span = Span::days(3);

/// How long one is valid at most that names no event.
const LONGEST: Span = Span::days(30);

/// How long before an event starts it can be confirmed for it, as a waiver may last: who was on call when the
/// event stood at another date says nothing.
const EARLIEST: Span = Span::days(90);

/// How far the clock of whoever wrote the file may be ahead.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A row of the file. Each stands for itself: one that is no entry costs no other.
#[derive(Debug)]
struct Row {
    /// Which line it is for, as far as it says.
    attest: String,
    entry: Result<Entry, Message>,
}

#[derive(Debug)]
struct Entry {
    attest: String,
    who: String,
    at: String,
    valid_for: Option<String>,
    /// The event that it is for; it ends with it.
    event: Option<String>,
}

impl Entry {
    /// The event that it is for; empty for all.
    fn for_event(&self) -> &str {
        self.event.as_deref().unwrap_or_default()
    }

    /// Who says it, however it is spaced and whatever letters are large.
    fn person(&self) -> String {
        self.who.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
    }
}

/// When something was confirmed, and until when that counts.
#[derive(Debug, Clone, Copy)]
struct Term {
    at: Timestamp,
    until: Timestamp,
}

/// What entries may speak of.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    lines: Vec<String>,
    schedules: Vec<Schedule>,
}

impl Known {
    /// The lines that people confirm, and the events.
    pub fn new(lines: &[String], schedules: &[Schedule]) -> Self {
        Self { lines: lines.to_vec(), schedules: schedules.to_vec() }
    }
}

/// This collector.
pub(super) const COLLECTOR: Collector = Collector {
    name: NAME,
    key: "attestations",
    families: &[FAMILIES],
    tasks: |estate| Ok(estate.attestations.iter().map(|config| task(config, Known::new(estate.confirmed, estate.schedules))).collect()),
};

/// The task that reads the file.
pub fn task(config: &AttestationsConfig, known: Known) -> Task {
    Task {
        source: Source { subjects: Subjects::Nothing, emits: vec![SAID.0.name, EXPIRY.0.name, REFUSED.0.name], ..Source::new(NAME, "file", config.interval.0) },
        timeout: config.interval.0,
        form: Made::of((config.file.clone(), known), |(path, known)| Form::poll(File { path: path.clone(), known: known.clone() })),
    }
}

struct File {
    path: PathBuf,
    known: Known,
}

impl Poll for File {
    fn look<'a>(&'a mut self, _seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        async {
            let rows = rows(&self.path, files::read(&self.path, files::LARGEST).await)?;
            Ok(Observation::new(self.known.samples(&rows, Timestamp::now()), rows.len(), 0))
        }
        .boxed()
    }
}

fn rows(path: &Path, read: Result<Content, ReadError>) -> Result<Vec<Row>, CollectError> {
    let failed = |why: Message| CollectError::new(ErrorClass::Local, say!("read attestations {}: {}", path.display(), why));
    let content = read.map_err(|error| failed(say!("{}", error)))?;
    let text = content.text().map_err(|error| failed(say!("{}", error)))?;
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let malformed = |why: Message| CollectError::new(ErrorClass::Malformed, failed(why).message);
    let read = serde_saphyr::from_str_with_options(text, serde_saphyr::options! { with_snippet: false });
    match read.map_err(|error| malformed(error.words()))? {
        Value::Null => Ok(Vec::new()),
        Value::Array(rows) => Ok(rows.iter().map(row).collect()),
        _ => Err(malformed("it must be a list of { attest, who, at, valid_for, event }".into())),
    }
}

fn row(value: &Value) -> Row {
    let said = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let entry = value.as_object().ok_or_else(|| "it must be a map of attest, who and at".into()).and_then(entry);
    Row { attest: said("attest"), entry }
}

const KEYS: [&str; 5] = ["attest", "who", "at", "valid_for", "event"];

fn entry(row: &Map<String, Value>) -> Result<Entry, Message> {
    if let Some(unknown) = row.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(say!("a key of it is none of attest, who, at, valid_for and event{}", did_you_mean(unknown, KEYS.into_iter())));
    }
    let text = |key: &'static str| match row.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(say!("{} must be text", key)),
    };
    let needed = |key: &'static str| text(key)?.ok_or_else(|| say!("{} must be set", key));
    Ok(Entry { attest: needed("attest")?, who: needed("who")?, at: needed("at")?, valid_for: text("valid_for")?, event: text("event")? })
}

/// Why entries of a file do not count, or why it cannot be read. Reads on this thread.
pub(crate) fn refused(path: &Path, known: &Known, now: Timestamp) -> Vec<Message> {
    match rows(path, files::read_now(path, files::LARGEST)) {
        Err(error) => vec![error.message],
        Ok(rows) => {
            let why = |row: &Row| known.counts(row, now).err();
            let told = rows.iter().enumerate().filter_map(|(index, row)| Some(say!("entry {}{}: {}", index + 1, shown(&row.attest), why(row)?)));
            told.collect()
        }
    }
}

/// Of the latest entry of each person the one that lasts longest.
fn said_longest<'a>(entries: impl Iterator<Item = (&'a Entry, Term)>) -> Option<(&'a Entry, Term)> {
    let mut latest: BTreeMap<String, (&Entry, Term)> = BTreeMap::new();
    for own in entries {
        let slot = latest.entry(own.0.person()).or_insert(own);
        if slot.1.at <= own.1.at {
            *slot = own;
        }
    }
    latest.into_values().max_by_key(|(_, term)| (term.until, term.at))
}

/// Whoever writes a secret in the place of a name must not find it on a page.
fn shown(attest: &str) -> Message {
    Word::joined(attest).map_or_else(|| "".into(), |_| say!(" ({})", named(attest)))
}

impl Known {
    /// What a row says, if it counts.
    fn counts<'a>(&self, row: &'a Row, now: Timestamp) -> Result<(&'a Entry, Term), Message> {
        let entry = row.entry.as_ref().map_err(Clone::clone)?;
        Ok((entry, self.term(entry, now)?))
    }

    fn samples(&self, rows: &[Row], now: Timestamp) -> Vec<Sample> {
        let mut counted: BTreeMap<&str, Vec<(&Entry, Term)>> = BTreeMap::new();
        let mut refused: BTreeMap<&str, (usize, Message)> = BTreeMap::new();
        for row in rows {
            match self.counts(row, now) {
                Ok((entry, term)) => counted.entry(&entry.attest).or_default().push((entry, term)),
                Err(why) => {
                    let name = if Word::joined(&row.attest).is_some() { row.attest.as_str() } else { "" };
                    let (count, _) = refused.entry(name).or_insert((0, why));
                    *count += 1;
                }
            }
        }
        let of_line = |(attest, said): (&str, Vec<(&Entry, Term)>)| {
            let events: BTreeSet<&str> = said.iter().map(|(entry, _)| entry.for_event()).collect();
            let longest = |event: &str| said_longest(said.iter().copied().filter(|(entry, _)| ["", event].contains(&entry.for_event())));
            let told = events.into_iter().filter_map(|event| Some((event, longest(event)?)));
            told.flat_map(|(event, (entry, term))| {
                let said = say!("confirmed by {} at {}", named(&entry.who), named(&minute(term.at)));
                [SAID.sample([attest, event], term.at.as_second() as f64), EXPIRY.sample([attest, event], term.until.as_second() as f64).with_detail(said)]
            })
            .collect::<Vec<_>>()
        };
        let confirmed: Vec<Sample> = counted.into_iter().flat_map(of_line).collect();
        confirmed.into_iter().chain(refused.into_iter().map(|(attest, (count, why))| REFUSED.sample([attest], count as f64).with_detail(why))).collect()
    }

    /// When an entry was made and ends; why it does not count at all.
    fn term(&self, entry: &Entry, now: Timestamp) -> Result<Term, Message> {
        if !self.lines.contains(&entry.attest) {
            return Err(say!(
                "no checklist has a line of this name that a person confirms{}",
                did_you_mean(&entry.attest, self.lines.iter().map(String::as_str))
            ));
        }
        if !entry.who.contains(char::is_alphanumeric) {
            return Err("who must say who confirmed it".into());
        }
        let at: Timestamp = entry.at.parse().map_err(|_| say!("at must be a moment with its time zone, such as 2026-11-30T16:00:00Z"))?;
        if at.duration_since(now) > SKEW {
            return Err(say!("it is dated {}, which is in the future", named(&minute(at))));
        }
        let valid_for = entry.valid_for.as_deref().map(str::parse::<Span>).transpose().map_err(|_| say!("valid_for must be a duration, such as 2d"))?;
        let after = |span: Span| at.checked_add(SignedDuration::try_from(span.0).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX);
        let Some(event) = &entry.event else {
            return Ok(Term { at, until: after(valid_for.unwrap_or(DEFAULT_VALIDITY).min(LONGEST)) });
        };
        let known = self.schedules.iter().find(|schedule| schedule.name() == event);
        let schedule = known.ok_or_else(|| say!("no event is called {}{}", named(event), did_you_mean(event, self.schedules.iter().map(Schedule::name))))?;
        // The occurrence that came when it was written, not the one of next week.
        let Occurrence { start, end, .. } = schedule.at(at).ok_or("its event was over already")?;
        if start.as_second().saturating_sub(at.as_second()) as f64 > EARLIEST.as_secs_f64() {
            let [at, start] = [at, start].map(minute);
            return Err(say!(
                "it was confirmed at {}, more than {} before the event starts at {}; confirm it again",
                named(&at),
                named(&EARLIEST.to_string()),
                named(&start)
            ));
        }
        Ok(Term { at, until: valid_for.map_or(end, |span| after(span).min(end)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-21T00:00:00Z";

    fn known() -> Known {
        let events = [
            "{ name: weekly, checklist: c, time_zone: UTC, cron: '0 9 * * MON', duration: 2h }",
            "{ name: moved, checklist: c, time_zone: UTC, start: 2027-02-10T09:00, duration: 2h }",
            "{ name: past, checklist: c, time_zone: UTC, start: 2026-11-01T09:00, duration: 2h }",
        ];
        let schedules = events.map(|event| Schedule::parse(&serde_saphyr::from_str(event).unwrap()).unwrap());
        Known::new(&["OnCallConfirmed".to_owned()], &schedules)
    }

    fn moment(second: f64) -> String {
        (Timestamp::UNIX_EPOCH + SignedDuration::from_secs_f64(second)).to_string()
    }

    /// What a file says, as it is scraped, with the reason of what is refused.
    fn told(text: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        std::fs::write(&path, text).unwrap();
        let rows = rows(&path, files::read_now(&path, files::LARGEST)).unwrap();
        let samples = known().samples(&rows, NOW.parse().unwrap());
        let told = samples.iter().filter(|sample| sample.family.name != SAID.0.name).map(|sample| {
            let value = if sample.family.name == EXPIRY.0.name { moment(sample.value) } else { sample.value.to_string() };
            format!("{} {value}: {}", sample.labels.join("/"), sample.detail.as_ref().unwrap())
        });
        told.collect()
    }

    #[test]
    fn the_entry_that_lasts_longest_counts_and_takes_nothing_from_another() {
        let text = "- {attest: OnCallConfirmed, who: Ada, at: 2026-11-01T00:00:00Z}\n- {attest: OnCallConfirmed, who: Grace, at: 2026-11-20T00:00:00Z, valid_for: 1d}\n";
        assert_eq!(told(text), ["OnCallConfirmed/ 2026-11-21T00:00:00Z: confirmed by Grace at 2026-11-20 00:00 UTC"]);
        // Who says less than before takes that back, and an older entry that stands below revives nothing.
        let own = "- {attest: OnCallConfirmed, who: Ada, at: 2026-11-20T00:00:00Z, valid_for: 1d}\n- {attest: OnCallConfirmed, who: Ada, at: 2026-11-01T00:00:00Z, valid_for: 30d}\n";
        assert_eq!(told(own), ["OnCallConfirmed/ 2026-11-21T00:00:00Z: confirmed by Ada at 2026-11-20 00:00 UTC"]);
        // Another one who says less takes nothing back, in whatever order they stand.
        let rows = [
            "- {attest: OnCallConfirmed, who: Ada, at: 2026-11-20T00:00:00Z, event: weekly}\n",
            "- {attest: OnCallConfirmed, who: Bob, at: 2026-11-20T01:00:00Z, event: weekly, valid_for: 30m}\n",
        ];
        for text in [rows.concat(), rows[1].to_owned() + rows[0]] {
            assert_eq!(told(&text), ["OnCallConfirmed/weekly 2026-11-23T11:00:00Z: confirmed by Ada at 2026-11-20 00:00 UTC"]);
        }
    }

    #[test]
    fn a_person_takes_back_what_was_said_for_an_event_or_for_all_and_however_the_name_is_written() {
        let row = |who: &str, at: &str, more: &str| format!("- {{attest: OnCallConfirmed, who: '{who}', at: 2026-11-{at}:00Z{more}}}\n");
        let short = "confirmed by Ada at 2026-11-20 12:00 UTC";
        let for_all_later = row("Ada", "19T00:00", ", event: weekly") + &row("Ada", "20T12:00", ", valid_for: 1m");
        assert_eq!(
            told(&for_all_later),
            [format!("OnCallConfirmed/ 2026-11-20T12:01:00Z: {short}"), format!("OnCallConfirmed/weekly 2026-11-20T12:01:00Z: {short}")]
        );
        let for_it_later = row("Ada", "19T00:00", "") + &row("Ada", "20T12:00", ", event: weekly, valid_for: 1m");
        assert_eq!(
            told(&for_it_later),
            [
                "OnCallConfirmed/ 2026-11-22T00:00:00Z: confirmed by Ada at 2026-11-19 00:00 UTC".to_owned(),
                format!("OnCallConfirmed/weekly 2026-11-20T12:01:00Z: {short}")
            ]
        );
        let spaced = row("ada  Lovelace", "19T00:00", "") + &row("Ada Lovelace ", "20T12:00", ", valid_for: 1m");
        assert!(told(&spaced)[0].starts_with("OnCallConfirmed/ 2026-11-20T12:01:00Z"), "{:?}", told(&spaced));
        let another = for_it_later + &row("Bob", "19T00:00", "");
        assert!(told(&another)[1].starts_with("OnCallConfirmed/weekly 2026-11-22T00:00:00Z: confirmed by Bob"), "{:?}", told(&another));
    }

    #[test]
    fn no_confirmation_is_for_ever_and_one_for_an_event_ends_with_it() {
        let entry =
            |more: &str| told(&format!("- {{attest: OnCallConfirmed, who: Ada, at: 2026-11-20T00:00:00Z{more}}}"))[0].split(": ").next().unwrap().to_owned();
        assert_eq!(entry(""), "OnCallConfirmed/ 2026-11-23T00:00:00Z");
        assert_eq!(entry(", valid_for: 99999w"), "OnCallConfirmed/ 2026-12-20T00:00:00Z");
        assert_eq!(entry(", event: weekly"), "OnCallConfirmed/weekly 2026-11-23T11:00:00Z");
        assert_eq!(entry(", event: weekly, valid_for: 90d"), "OnCallConfirmed/weekly 2026-11-23T11:00:00Z");
        assert_eq!(entry(", event: weekly, valid_for: 1d"), "OnCallConfirmed/weekly 2026-11-21T00:00:00Z");
        // That of last week says nothing about this week.
        let before = told("- {attest: OnCallConfirmed, who: Ada, at: 2026-11-13T00:00:00Z, event: weekly}");
        assert!(before[0].starts_with("OnCallConfirmed/weekly 2026-11-16T11:00:00Z"), "{before:?}");
    }

    #[test]
    fn what_was_confirmed_long_before_an_event_was_confirmed_for_another_date() {
        let entry = |at: &str| told(&format!("- {{attest: OnCallConfirmed, who: Ada, at: {at}, event: moved}}"));
        assert_eq!(
            entry("2026-05-05T00:00:00Z"),
            ["OnCallConfirmed 1: it was confirmed at 2026-05-05 00:00 UTC, more than 90d before the event starts at 2027-02-10 09:00 UTC; confirm it again"]
        );
        assert_eq!(entry("2026-11-12T10:00:00Z"), ["OnCallConfirmed/moved 2027-02-10T11:00:00Z: confirmed by Ada at 2026-11-12 10:00 UTC"]);
    }

    #[test]
    fn what_nobody_can_stand_for_does_not_count_and_is_told() {
        let good = "- {attest: OnCallConfirmed, who: Ada, at: 2026-11-20T00:00:00Z}\n";
        for (entry, why) in [
            ("{attest: OnCallConfirmed, who: Ada, at: 2062-11-20T00:00:00Z}", "OnCallConfirmed 1: it is dated 2062-11-20 00:00 UTC, which is in the future"),
            ("{attest: OnCallConfirmed, who: Ada, at: yesterday}", "OnCallConfirmed 1: at must be a moment with its time zone, such as 2026-11-30T16:00:00Z"),
            ("{attest: OnCallConfirmed, who: Ada, at: 2026-11-20T00:00:00Z, valid_for: long}", "OnCallConfirmed 1: valid_for must be a duration, such as 2d"),
            ("{attest: OnCallConfirmed, who: '-', at: 2026-11-20T00:00:00Z}", "OnCallConfirmed 1: who must say who confirmed it"),
            ("{attest: OnCallConfirmed, who: ' ', at: 2026-11-20T00:00:00Z}", "OnCallConfirmed 1: who must say who confirmed it"),
            (
                "{attest: OnCalConfirmed, who: Ada, at: 2026-11-20T00:00:00Z}",
                "OnCalConfirmed 1: no checklist has a line of this name that a person confirms; did you mean OnCallConfirmed?",
            ),
            (
                "{attest: OnCallConfirmed, who: Ada, at: 2026-11-20T00:00:00Z, event: weekl}",
                "OnCallConfirmed 1: no event is called weekl; did you mean weekly?",
            ),
            ("{attest: OnCallConfirmed, who: Ada, at: 2026-11-20T00:00:00Z, event: past}", "OnCallConfirmed 1: its event was over already"),
        ] {
            assert_eq!(told(&format!("- {entry}")), [why]);
            let both = told(&format!("{good}- {entry}"));
            assert_eq!(both.len(), 2, "what stood before it counts still: {both:?}");
        }
        for (row, why) in [
            (
                "{attest: OnCallConfirmed, whoo: Ada, at: 2026-11-20T00:00:00Z}",
                "OnCallConfirmed 1: a key of it is none of attest, who, at, valid_for and event; did you mean who?",
            ),
            ("{attest: OnCallConfirmed, who: Ada}", "OnCallConfirmed 1: at must be set"),
            ("{attest: OnCallConfirmed, who: [Ada], at: 2026-11-20T00:00:00Z}", "OnCallConfirmed 1: who must be text"),
            ("Ada", " 1: it must be a map of attest, who and at"),
        ] {
            assert_eq!(told(&format!("- {row}")), [why]);
            let both = told(&format!("- {row}\n{good}"));
            assert_eq!(both, [told(good), vec![why.to_owned()]].concat(), "a broken row costs no other");
        }
        // A clock that is a little ahead is no lie.
        assert!(told("- {attest: OnCallConfirmed, who: Ada, at: 2026-11-21T00:04:00Z}")[0].contains("confirmed by Ada"));
        assert!(told("- {attest: 'hunter2 s3cret!', who: Ada, at: 2026-11-20T00:00:00Z}")[0].starts_with(" 1: "), "what is no name is not shown");
    }

    #[tokio::test]
    async fn a_file_that_is_missing_or_wrong_is_an_error_and_never_empty() {
        let look = async |path: PathBuf| File { path, known: known() }.look(&Snapshot::default()).await.unwrap_err();
        assert_eq!(look("/no/such/file".into()).await.class, ErrorClass::Local);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        for text in ["{attest: X}", "- {attest: X", "Ada", "- {attest: X, attest: Y}"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(look(path.clone()).await.class, ErrorClass::Malformed, "{text}");
        }
    }
}
