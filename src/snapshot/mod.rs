//! What every source last reported, with its age, and the exporter's facts about its own looking.
//!
//! The store is the only meeting point of collectors and readers. Readers take an immutable
//! [`Snapshot`]; nothing here does I/O, and nothing here judges.

mod error;
mod facts;
mod source;
mod store;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use error::{CollectError, ErrorClass};
pub use facts::{Facts, Observation};
pub use source::{Source, Subject, Subjects};
pub use store::Store;

use crate::metric::{Family, Gauge, Sample, Unit, gauge, metrics};
use crate::say::Message;

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

    /// The sources of a collector.
    pub fn of_collector(&self, collector: &str) -> &[View] {
        let start = self.views.partition_point(|view| view.source.collector < collector);
        let from = &self.views[start..];
        &from[..from.partition_point(|view| view.source.collector == collector)]
    }

    /// One source, found without a walk over all of them: who asks for each of thousands would walk for ever.
    pub fn source(&self, collector: &str, name: &str) -> Option<&View> {
        let place = |view: &View| (view.source.collector, view.source.name.as_str()).cmp(&(collector, name));
        self.views.binary_search_by(place).ok().map(|at| &self.views[at])
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
