//! Where collectors report and readers look.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{CollectError, ErrorClass, Facts, Observation, Snapshot, Source, View};
use crate::say;
use crate::say::{Message, named};

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
            (Some(failure), _) => {
                let why = say!("{} {} could not be seen: {}.", *collector, named(name), failure.message);
                failure.message.fix().into_iter().fold(why, Message::fixed_by)
            }
            (None, None) => say!("{} {} has not been looked at yet.", *collector, named(name)).fixed_by("Wait: its first look is under way."),
            (None, Some(_)) => {
                say!("no look at {} {} has ended for longer than {}, so what was seen last counts no more.", *collector, named(name), crate::value::Span(*keep))
                    .fixed_by("Look whether the exporter's machine has CPU time and memory to spare, and restart the exporter.")
            }
        }
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
                    slot.succeeded = Some((ended, observation.at));
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
