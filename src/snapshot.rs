//! What every source last reported, with its age, and the exporter's facts about its own looking.
//!
//! The store is the only meeting point of collectors and readers. Readers take an immutable
//! [`Snapshot`]; nothing here does I/O, and nothing here judges.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::labels::Labels;
use crate::metric::{Family, Gauge, Sample, Unit, gauge, metrics, write_samples};
use crate::say;
use crate::say::{Message, Say, named};

/// Why a look failed; the value of the `class` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorClass {
    /// No complete answer within the deadline.
    Timeout,
    /// No connection, or it was cut.
    Unreachable,
    /// The credentials were refused (401, 403).
    Denied,
    /// What was asked for does not exist (404).
    NotFound,
    /// Told to slow down (429).
    Throttled,
    /// The other side failed (5xx).
    Server,
    /// An answer that cannot be understood.
    Malformed,
    /// Something on this side: a file that cannot be read, a context that is missing.
    Local,
    /// A defect in a collector.
    Panicked,
}

impl ErrorClass {
    /// Every class, in label order.
    pub const ALL: [Self; 9] =
        [Self::Timeout, Self::Unreachable, Self::Denied, Self::NotFound, Self::Throttled, Self::Server, Self::Malformed, Self::Local, Self::Panicked];

    /// What an HTTP status that is no success means.
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Denied,
            404 => Self::NotFound,
            429 => Self::Throttled,
            408 | 504 => Self::Timeout,
            500..=599 => Self::Server,
            _ => Self::Malformed,
        }
    }

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Throttled => "throttled",
            Self::Server => "server",
            Self::Malformed => "malformed",
            Self::Local => "local",
            Self::Panicked => "panicked",
        }
    }
}

/// A look that could not be completed. One failing target inside a look is a sample, not this.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct CollectError {
    /// For the label and for the back-off.
    pub class: ErrorClass,
    /// The act that failed, then the cause. Goes to the log and the status page.
    pub message: Message,
    /// How long the other side asked us to stay away; clamped by the driver.
    pub retry_after: Option<Duration>,
}

impl Say for CollectError {}

impl CollectError {
    /// An error of `class` with the act that failed and its cause.
    pub fn new(class: ErrorClass, message: impl Into<Message>) -> Self {
        Self { class, message: message.into(), retry_after: None }
    }

    /// Whether the same look can succeed a moment later without anybody's doing, and may be repeated
    /// at once: not where the other side asked for distance, nor a refused password, which locks accounts.
    pub const fn may_pass(&self) -> bool {
        matches!(self.class, ErrorClass::Timeout | ErrorClass::Unreachable | ErrorClass::Server) && self.retry_after.is_none()
    }
}

/// From so many samples on, facts keep the text that they are scraped as. With thousands of sources
/// of a dozen facts each the texts would be a third of all memory, and gain milliseconds.
const KEPT: usize = 100;

/// Facts that were made together, grouped by family. What did not change is shared by one
/// observation after the other.
#[derive(Debug, Default)]
pub struct Facts {
    samples: Box<[Sample]>,
    /// Families in order of their names, with where their samples end.
    runs: Box<[(&'static Family, usize)]>,
    /// As they are scraped, and where each family ends; made by the first scrape if they are many. In
    /// a large cluster most facts are the same for hours, and writing them is half of what a scrape costs.
    text: OnceLock<(String, Box<[usize]>)>,
}

impl From<Vec<Sample>> for Facts {
    fn from(mut samples: Vec<Sample>) -> Self {
        samples.sort_by_key(|sample| sample.family.name);
        let mut end = 0;
        let runs = samples.chunk_by(|a, b| a.family.name == b.family.name).map(|run| {
            end += run.len();
            (run[0].family, end)
        });
        Self { runs: runs.collect(), samples: samples.into(), text: OnceLock::new() }
    }
}

impl Facts {
    /// The samples of one family.
    pub fn of(&self, family: &str) -> &[Sample] {
        let Ok(at) = self.runs.binary_search_by(|(own, _)| own.name.cmp(family)) else { return &[] };
        let start = if at == 0 { 0 } else { self.runs[at - 1].1 };
        &self.samples[start..self.runs[at].1]
    }

    /// The samples of one family as they are scraped, where that text is kept.
    pub fn text_of(&self, family: &str) -> Option<&str> {
        if self.samples.len() < KEPT {
            return None;
        }
        let Ok(at) = self.runs.binary_search_by(|(own, _)| own.name.cmp(family)) else { return Some("") };
        let (text, ends) = self.text.get_or_init(|| {
            let mut text = String::with_capacity(self.samples.len() * 128);
            let ends = self.families().map(|(_, samples)| {
                write_samples(&mut text, samples);
                text.len()
            });
            let ends = ends.collect();
            text.shrink_to_fit();
            (text, ends)
        });
        let start = if at == 0 { 0 } else { ends[at - 1] };
        Some(&text[start..ends[at]])
    }

    /// Everything, in order of the families' names.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Families with their samples.
    pub fn families(&self) -> impl Iterator<Item = (&'static Family, &[Sample])> {
        self.runs.iter().map(|(family, _)| (*family, self.of(family.name)))
    }
}

/// What one look brought home.
#[derive(Debug, Default)]
pub struct Observation {
    /// The facts.
    pub facts: Vec<Arc<Facts>>,
    /// How many things were looked at; 0 means that a selector matched nothing.
    pub objects: usize,
    /// Requests made for this look.
    pub api_calls: u64,
    /// Whether a part is missing that another look a moment later may find.
    pub incomplete: bool,
}

impl Observation {
    /// The samples of one family.
    pub fn of<'a>(&'a self, family: &'a str) -> impl Iterator<Item = &'a Sample> + 'a {
        self.facts.iter().flat_map(move |facts| facts.of(family))
    }

    /// What is scraped of it, family by family.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.facts.iter().for_each(|facts| write_samples(&mut text, facts.samples()));
        text
    }

    /// An observation whose facts were all made anew.
    pub fn new(samples: Vec<Sample>, objects: usize, api_calls: u64) -> Self {
        Self { facts: vec![Arc::new(samples.into())], objects, api_calls, incomplete: false }
    }
}

/// What of a source somebody configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subjects {
    /// The source itself, such as a target.
    Whole,
    /// Each of these, such as the workloads and node groups of a cluster.
    Each(Vec<Subject>),
    /// Nothing: facts of the exporter itself, or what follows from other sources.
    Nothing,
}

/// One thing that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// As the configuration calls it, `workload litellm`.
    pub what: String,
    /// The labels that its facts carry.
    pub labels: Labels,
    /// The families that say something about it.
    pub families: Vec<&'static str>,
}

/// One thing with a clock of its own: a target or a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The collector's name, the `collector` label.
    pub collector: &'static str,
    /// Unique within its collector, the `source` label.
    pub name: String,
    /// Labels that every sample of this source carries; a check's filter is tried against them
    /// when there are no samples to try it against.
    pub identity: Labels,
    /// Values that other labels of its samples can have, where the configuration limits them.
    pub covers: Vec<(&'static str, Vec<String>)>,
    /// Families this source fills when all is well, given its configuration.
    pub emits: Vec<&'static str>,
    /// Families that are switched off, with the key of the configuration that would switch them on.
    pub off: Arc<[(&'static str, &'static str)]>,
    /// What the configuration asks to be looked at in it, so that what no check asks about can be told.
    pub subjects: Subjects,
    /// Collectors whose facts this source reads, and whose first look it therefore waits for.
    pub reads: &'static [&'static str],
    /// Selectors of these whose facts it judges by facts of its own.
    pub selectors: Vec<String>,
    /// Time between looks.
    pub interval: Duration,
    /// How long facts outlive the last good look.
    pub keep: Duration,
}

impl Source {
    /// One that is looked at in this interval, with nothing said of what it fills. Its facts outlive two looks
    /// that fail: a third is no accident any more.
    pub fn new(collector: &'static str, name: impl Into<String>, interval: Duration) -> Self {
        Self {
            collector,
            name: name.into(),
            identity: Labels::default(),
            covers: Vec::new(),
            emits: Vec::new(),
            off: Arc::default(),
            subjects: Subjects::Whole,
            reads: &[],
            selectors: Vec::new(),
            interval,
            keep: interval * 3,
        }
    }

    /// What of it the configuration names.
    pub fn named(&self) -> Vec<Subject> {
        match &self.subjects {
            Subjects::Nothing => Vec::new(),
            Subjects::Each(subjects) => subjects.clone(),
            Subjects::Whole => {
                let kind = self.identity.get("kind").map_or_else(String::new, |kind| format!(" of kind {kind}"));
                vec![Subject { what: format!("{}{kind}", self.name), labels: self.identity.clone(), families: self.emits.clone() }]
            }
        }
    }
}

#[derive(Debug)]
struct Slot {
    source: Arc<Source>,
    facts: Arc<[Arc<Facts>]>,
    looks: u64,
    objects: usize,
    api_calls: u64,
    attempted: Option<Timestamp>,
    succeeded: Option<(Instant, Timestamp)>,
    duration: Duration,
    failure: Option<CollectError>,
    errors: BTreeMap<ErrorClass, u64>,
    settled: Option<Instant>,
}

impl Slot {
    /// Why nothing is known, for people.
    fn unseen(&self) -> Message {
        let Source { collector, name, keep, .. } = &*self.source;
        match (&self.failure, self.attempted) {
            (Some(failure), _) => say!("{} {} could not be seen: {}.", *collector, named(name), failure.message),
            (None, None) => say!("{} {} has not been looked at yet.", *collector, named(name)),
            (None, Some(_)) => say!("{} {} has not answered for longer than {}.", *collector, named(name), crate::value::Span(*keep)),
        }
    }
}

/// The latest state of one source, as readers see it.
#[derive(Debug, Clone)]
pub struct View {
    /// Who looked.
    pub source: Arc<Source>,
    /// Facts no older than `keep`; empty once they are.
    pub facts: Arc<[Arc<Facts>]>,
    /// Why `facts` may not be judged, for people; `None` when they may.
    pub unseen: Option<Message>,
    /// Counts good looks, so that a reader can tell two looks apart.
    pub looks: u64,
    /// When the facts were seen.
    pub seen_at: Option<Timestamp>,
    /// When a look was last tried.
    pub attempted_at: Option<Timestamp>,
    /// Why the last look failed; `None` after a good one.
    pub failure: Option<CollectError>,
    /// Whether this is what there is to know: see [`Snapshot::settled`].
    pub settled: bool,
    objects: usize,
    api_calls: u64,
    duration: Duration,
    errors: BTreeMap<ErrorClass, u64>,
}

/// An immutable picture of everything known at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Ordered by collector and name.
    pub views: Vec<View>,
}

impl Snapshot {
    /// All fresh samples of one family.
    pub fn samples_of<'a>(&'a self, family: &'a str) -> impl Iterator<Item = &'a Sample> + 'a {
        self.views.iter().flat_map(move |view| view.of(family))
    }

    /// Whether every source has tried at least once.
    pub fn all_attempted(&self) -> bool {
        self.views.iter().all(|view| view.attempted_at.is_some())
    }

    /// Whether looking again at once would not say more. One lost packet must not decide for a whole
    /// pipeline: a source whose first look failed or is incomplete for a reason that may pass gets a
    /// second one, and a source that reads what others saw is asked again once those have settled.
    pub fn settled(&self) -> bool {
        self.views.iter().all(|view| view.settled)
    }
}

/// Where collectors report and readers look.
#[derive(Debug)]
pub struct Store {
    slots: Mutex<Slots>,
    version: watch::Sender<u64>,
}

impl Default for Store {
    fn default() -> Self {
        Self { slots: Mutex::default(), version: watch::Sender::new(0) }
    }
}

impl Store {
    /// Announces a source, so that it has series from the first scrape on.
    pub fn add(&self, source: Source) -> Arc<Source> {
        let key = (source.collector, source.name.clone());
        let source = Arc::new(source);
        let slot = Slot {
            source: Arc::clone(&source),
            facts: Arc::default(),
            looks: 0,
            objects: 0,
            api_calls: 0,
            attempted: None,
            succeeded: None,
            duration: Duration::ZERO,
            failure: None,
            errors: BTreeMap::new(),
            settled: None,
        };
        self.slots().insert(key, slot);
        self.bump();
        source
    }

    /// Forgets a source and its facts.
    pub fn remove(&self, collector: &'static str, name: &str) {
        self.slots().remove(&(collector, name.to_owned()));
        self.bump();
    }

    /// Takes the outcome of one look.
    pub fn report(&self, collector: &'static str, name: &str, took: Duration, outcome: Result<Observation, CollectError>) {
        let now = Timestamp::now();
        let mut slots = self.slots();
        let key = (collector, name.to_owned());
        let reads = slots.get(&key).map_or(&[][..], |slot| slot.source.reads);
        let ended = Instant::now();
        let informed = settled(&slots, reads, ended.checked_sub(took).unwrap_or(ended));
        if let Some(slot) = slots.get_mut(&key) {
            slot.attempted = Some(now);
            slot.duration = took;
            let last = match outcome {
                Ok(observation) => {
                    slot.facts = observation.facts.into();
                    slot.objects = observation.objects;
                    slot.api_calls += observation.api_calls;
                    slot.looks += 1;
                    slot.succeeded = Some((ended, now));
                    slot.failure = None;
                    informed && !observation.incomplete
                }
                Err(error) => {
                    *slot.errors.entry(error.class).or_default() += 1;
                    let first = slot.errors.values().sum::<u64>() == 1;
                    let last = !(first && error.may_pass());
                    slot.failure = Some(error);
                    last
                }
            };
            if last {
                slot.settled.get_or_insert(ended);
            }
        }
        drop(slots);
        self.bump();
    }

    /// A picture of this moment; facts past their `keep` are left out.
    pub fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        let mut slots = self.slots();
        let views = slots.values_mut().map(|slot| {
            let fresh = slot.succeeded.is_some_and(|(at, _)| now.duration_since(at) <= slot.source.keep);
            if !fresh && !slot.facts.is_empty() {
                slot.facts = Arc::default();
            }
            View {
                source: Arc::clone(&slot.source),
                facts: Arc::clone(&slot.facts),
                unseen: (!fresh).then(|| slot.unseen()),
                looks: slot.looks,
                seen_at: slot.succeeded.map(|(_, at)| at),
                attempted_at: slot.attempted,
                failure: slot.failure.clone(),
                settled: slot.settled.is_some(),
                objects: slot.objects,
                api_calls: slot.api_calls,
                duration: slot.duration,
                errors: slot.errors.clone(),
            }
        });
        Snapshot { views: views.collect() }
    }

    /// Whether any source of these collectors has not tried yet.
    pub fn waiting_for(&self, collectors: &[&str]) -> bool {
        self.slots().values().any(|slot| collectors.contains(&slot.source.collector) && slot.attempted.is_none())
    }

    /// Whether all sources of these collectors have settled: see [`Snapshot::settled`].
    pub fn settled(&self, collectors: &[&str]) -> bool {
        settled(&self.slots(), collectors, Instant::now())
    }

    /// Ends when a condition holds, which is asked whenever anything was reported.
    pub async fn until(&self, mut condition: impl FnMut(&Self) -> bool) {
        let mut version = self.subscribe();
        while !condition(self) && version.changed().await.is_ok() {}
    }

    /// Wakes whenever anything was reported.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn bump(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // A panic while holding the lock cannot leave a half-written slot that matters.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Slots = BTreeMap<(&'static str, String), Slot>;

/// Whether all sources of these collectors had settled at a moment.
fn settled(slots: &Slots, collectors: &[&str], at: Instant) -> bool {
    let mut read = slots.values().filter(|slot| collectors.contains(&slot.source.collector));
    collectors.is_empty() || read.all(|slot| slot.settled.is_some_and(|settled| settled <= at))
}

metrics! {
    /// Families of the exporter's facts about its own looking.
    pub FAMILIES;

    static UP: Gauge<2> =
        gauge("readiness_collector_up", Unit::Flag, &["collector", "source"], "Whether the last look of a source succeeded; 0 also before its first look.");
    static LAST_ATTEMPT: Gauge<2> = gauge(
        "readiness_collector_last_attempt_timestamp_seconds",
        Unit::Timestamp,
        &["collector", "source"],
        "When a source was last looked at, with or without success.",
    );
    static LAST_SUCCESS: Gauge<2> =
        gauge("readiness_collector_last_success_timestamp_seconds", Unit::Timestamp, &["collector", "source"], "When the cached facts of a source were seen.");
    static KEEP: Gauge<2> = gauge(
        "readiness_collector_keep_seconds",
        Unit::Seconds,
        &["collector", "source"],
        "How long the facts of a source outlive its last good look, as configured.",
    );
    static DURATION: Gauge<2> =
        gauge("readiness_collector_duration_seconds", Unit::Seconds, &["collector", "source"], "How long the last look of a source took.");
    static OBJECTS: Gauge<2> = gauge(
        "readiness_collector_objects",
        Unit::Number,
        &["collector", "source"],
        "How many things the last good look of a source found; 0 means that it matched nothing.",
    );
    static API_CALLS: Gauge<2> =
        gauge("readiness_collector_api_calls_total", Unit::Number, &["collector", "source"], "Requests made on behalf of a source since the exporter started.");
    static ERRORS: Gauge<3> = gauge(
        "readiness_collector_errors_total",
        Unit::Number,
        &["collector", "source", "class"],
        "Failed looks of a source by class since the exporter started.",
    );
}

/// A value of a source, once it has one.
type OfView = fn(&View) -> Option<f64>;

/// Facts about looking, each with its value.
static LOOKING: [(&Gauge<2>, OfView); 7] = [
    (&UP, |view| Some(f64::from(u8::from(view.failure.is_none() && view.unseen.is_none())))),
    (&LAST_ATTEMPT, |view| Some(view.attempted_at?.as_second() as f64)),
    (&LAST_SUCCESS, |view| Some(view.seen_at?.as_second() as f64)),
    (&KEEP, |view| Some(view.source.keep.as_secs_f64())),
    (&DURATION, |view| view.attempted_at.map(|_| view.duration.as_secs_f64())),
    (&OBJECTS, |view| view.seen_at.map(|_| view.objects as f64)),
    (&API_CALLS, |view| Some(view.api_calls as f64)),
];

impl View {
    /// The fresh samples of one family.
    pub fn of<'a>(&'a self, family: &'a str) -> impl Iterator<Item = &'a Sample> + 'a {
        self.facts.iter().flat_map(move |facts| facts.of(family))
    }

    /// How many things the last good look found.
    pub fn objects(&self) -> usize {
        self.objects
    }

    /// One family of the exporter's facts about looking at this source.
    pub fn looking(&self, family: &Family) -> Vec<Sample> {
        let labels = [self.source.collector, self.source.name.as_str()];
        if family.name == ERRORS.0.name {
            return self.errors.iter().map(|(class, count)| ERRORS.sample([labels[0], labels[1], class.as_str()], *count as f64)).collect();
        }
        let known = LOOKING.iter().find(|(gauge, _)| gauge.0.name == family.name);
        known.and_then(|(gauge, value)| Some(gauge.sample(labels, value(self)?))).into_iter().collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    static FACT: Gauge<1> = gauge("t_fact", Unit::Number, &["target"], "A fact.");

    pub(crate) fn source(collector: &'static str, name: &str) -> Source {
        Source {
            collector,
            name: name.to_owned(),
            identity: [("target", name)].into(),
            covers: Vec::new(),
            subjects: Subjects::Whole,
            emits: vec!["t_fact"],
            off: Arc::default(),
            reads: &[],
            selectors: Vec::new(),
            interval: Duration::from_secs(10),
            keep: Duration::from_secs(30),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the outcome of a look")]
    fn observed(value: f64) -> Result<Observation, CollectError> {
        Ok(Observation::new(vec![FACT.sample(["a"], value)], 1, 2))
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_look_keeps_the_facts_and_keep_drops_them() {
        let store = Store::default();
        store.add(source("http", "a"));
        assert!(!store.snapshot().all_attempted());
        store.report("http", "a", Duration::ZERO, observed(1.0));
        tokio::time::advance(Duration::from_secs(20)).await;
        store.report("http", "a", Duration::ZERO, Err(CollectError::new(ErrorClass::Timeout, "list nodes: no answer")));
        let view = &store.snapshot().views[0];
        assert!(view.unseen.is_none() && view.of("t_fact").count() == 1 && view.failure.is_some());
        tokio::time::advance(Duration::from_secs(11)).await;
        let view = &store.snapshot().views[0];
        assert!(view.unseen.is_some() && view.facts.is_empty());
    }

    #[test]
    fn a_source_has_series_before_its_first_look() {
        let store = Store::default();
        store.add(source("http", "a"));
        let snapshot = store.snapshot();
        let up = snapshot.views[0].looking(&UP.0);
        assert_eq!(up.iter().map(|sample| sample.value).collect::<Vec<_>>(), [0.0]);
    }

    #[test]
    fn a_removed_source_leaves_no_series_and_late_reports_are_dropped() {
        let store = Store::default();
        store.add(source("http", "a"));
        store.remove("http", "a");
        store.report("http", "a", Duration::ZERO, observed(1.0));
        assert!(store.snapshot().views.is_empty());
    }
}
