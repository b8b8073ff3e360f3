//! Runs collectors: a clock, a deadline, back-off and panic isolation for each source.
//!
//! A collector never times itself and never retries; the next tick is the retry. One source can
//! not delay another because each has a task of its own and no lock is held while it looks.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cause;
use crate::made::Made;
use crate::say;
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot, Source, Store};

/// The longest wait that a `Retry-After` can impose on a source: ten of its intervals, at most five
/// minutes. A registry once asked for 485,009 hours.
pub fn ceiling(interval: Duration) -> Duration {
    (interval * 10).min(Duration::from_mins(5))
}

/// How soon a first look that failed or is incomplete for a reason that may pass is repeated: a pod's network is often
/// not ready when its process is, and a pipeline waits for the answer.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// A collector that looks when it is asked to.
pub trait Poll: Send {
    /// Looks once. `seen` is what other collectors last reported, if the task waits for any.
    fn look<'a>(&'a mut self, seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>>;
}

/// A collector that keeps a connection and publishes when something changes.
pub trait Watch: Send {
    /// Watches until it cannot. It publishes at least once per interval while all is well, since
    /// silence is taken for failure.
    fn watch<'a>(&'a mut self, publisher: &'a Publisher) -> BoxFuture<'a, CollectError>;
}

/// How a collector works.
pub enum Form {
    /// Asked at every tick.
    Poll(Box<dyn Poll>),
    /// Runs by itself.
    Watch(Box<dyn Watch>),
}

impl Form {
    /// A collector that is asked at every tick.
    pub fn poll(poll: impl Poll + 'static) -> Self {
        Self::Poll(Box::new(poll))
    }
}

/// One source with the collector that looks at it. One whose source and parts are equal to those of a running
/// one is not started: what did not change survives a reload untouched.
pub struct Task {
    /// Who it is.
    pub source: Source,
    /// Deadline of one look, or of the first view for the watch form.
    pub timeout: Duration,
    /// The collector, with all that it was made from.
    pub form: Made<Form>,
}

/// Where a watching collector publishes.
#[derive(Debug, Clone)]
pub struct Publisher {
    store: Arc<Store>,
    collector: &'static str,
    name: String,
}

impl Publisher {
    /// Publishes a whole new view of the source, or why there is none.
    pub fn publish(&self, took: Duration, outcome: Result<Observation, CollectError>) {
        if let Err(error) = &outcome {
            log_failure(self.collector, &self.name, error);
        }
        self.store.report(self.collector, &self.name, took, outcome);
    }
}

struct Running {
    source: Arc<Source>,
    timeout: Duration,
    parts: Made<()>,
    cancel: CancellationToken,
    handle: JoinHandle<()>,
}

/// Owns the task of every source.
pub struct Driver {
    store: Arc<Store>,
    running: BTreeMap<(&'static str, String), Running>,
    spread: bool,
}

impl Driver {
    /// A driver that reports to `store`. With `spread`, first looks are spread over a second so
    /// that a thousand targets do not start in one instant.
    pub fn new(store: Arc<Store>, spread: bool) -> Self {
        Self { store, running: BTreeMap::new(), spread }
    }

    /// Whether there is nothing to look at.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Makes the running sources equal to `tasks`; what did not change keeps its facts. Returns the
    /// sources that are watched no longer.
    pub fn apply(&mut self, tasks: Vec<Task>) -> Vec<(&'static str, String)> {
        let mut wanted: BTreeMap<_, _> = tasks.into_iter().map(|task| ((task.source.collector, task.source.name.clone()), task)).collect();
        let store = &self.store;
        let gone = self.running.keys().filter(|key| !wanted.contains_key(key)).cloned().collect();
        self.running.retain(|key, running| {
            let unchanged = wanted.get(key).is_some_and(|task| task.is(&running.source, running.timeout, &running.parts));
            if unchanged {
                wanted.remove(key);
            } else {
                running.cancel.cancel();
                store.remove(key.0, &key.1);
            }
            unchanged
        });
        // All are announced before any starts: a source that waits for others must see them.
        let announced: Vec<_> = wanted.into_iter().map(|(key, task)| (key, self.store.add(task.source), task.timeout, task.form)).collect();
        for (key, source, timeout, form) in announced {
            let (cancel, (form, parts)) = (CancellationToken::new(), form.split());
            let work = run(Arc::clone(&self.store), Arc::clone(&source), Work { timeout, form, spread: self.spread }, cancel.clone());
            self.running.insert(key, Running { source, timeout, parts, cancel, handle: tokio::spawn(work) });
        }
        gone
    }

    /// Stops every source; those that do not stop within `grace` are abandoned.
    pub async fn shutdown(self, grace: Duration) {
        for running in self.running.values() {
            running.cancel.cancel();
        }
        let aborts: Vec<_> = self.running.values().map(|running| running.handle.abort_handle()).collect();
        let all = futures::future::join_all(self.running.into_values().map(|running| running.handle));
        if tokio::time::timeout(grace, all).await.is_err() {
            tracing::warn!("some collectors did not stop in time and were abandoned");
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}

impl Task {
    /// Whether it would do what is done already: the same source in the same time, with a collector of equal parts.
    pub(crate) fn is<T>(&self, source: &Source, timeout: Duration, collector: &Made<T>) -> bool {
        self.source == *source && self.timeout == timeout && self.form.equals(collector)
    }
}

/// What is to be done for a source.
struct Work {
    timeout: Duration,
    form: Form,
    spread: bool,
}

/// Works until it is cancelled. With thousands of sources the size of this future counts, and most
/// of the time it sleeps: what is not needed for that is on the heap while it lasts.
async fn run(store: Arc<Store>, source: Arc<Source>, work: Work, cancel: CancellationToken) {
    let work = async {
        if work.spread {
            let window = source.interval.min(Duration::from_secs(1));
            tokio::time::sleep(window.mul_f64(fastrand::f64())).await;
        }
        if !source.reads.is_empty() {
            Box::pin(wait_for(&store, source.reads, work.timeout)).await;
        }
        match work.form {
            Form::Poll(poll) => run_poll(&store, &source, work.timeout, work.spread, poll).await,
            Form::Watch(watch) => Box::pin(run_watch(&store, &source, work.timeout, watch)).await,
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = work => {}
    }
}

async fn wait_for(store: &Store, collectors: &[&str], at_most: Duration) {
    let all_tried = store.until(|store| !store.waiting_for(collectors));
    let _ = tokio::time::timeout(at_most, all_tried).await;
}

async fn run_poll(store: &Store, source: &Source, timeout: Duration, spread: bool, mut poll: Box<dyn Poll>) {
    let mut due = Instant::now();
    let mut first = true;
    let mut informed = true;
    let mut overloads = 0;
    // First looks come at once, for a verdict; the second ones come early, each at another time, so
    // that from then on thousands of sources are spread over their interval.
    let mut early = if spread { 0.5 + fastrand::f64() / 2.0 } else { 1.0 };
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            // What was said without having seen everything is said again as soon as it can be.
            () = store.until(|store| store.settled(source.reads)), if !informed => {}
        }
        informed = store.settled(source.reads);
        let started = Instant::now();
        // A picture of everything for every look of every target would cost more than the look.
        let seen = if source.reads.is_empty() { Snapshot::default() } else { store.snapshot() };
        let mut outcome = Box::pin(guarded(timeout, poll.look(&seen))).await;
        let mut delay = source.interval;
        match &mut outcome {
            Ok(seen) => {
                overloads = 0;
                delay = delay.mul_f64(std::mem::replace(&mut early, 1.0));
                seen.incomplete &= first;
                if seen.incomplete {
                    delay = delay.min(SECOND_LOOK);
                }
            }
            Err(error) => {
                log_failure(source.collector, &source.name, error);
                delay = delay.max(backoff(error, source.interval, &mut overloads));
                if first && error.may_pass() {
                    delay = delay.min(SECOND_LOOK);
                }
                // It keeps its distance, whatever others saw meanwhile.
                informed = true;
            }
        }
        first = false;
        store.report(source.collector, &source.name, started.elapsed(), outcome);
        due = (due + jittered(delay)).max(Instant::now());
    }
}

async fn run_watch(store: &Arc<Store>, source: &Source, timeout: Duration, mut watch: Box<dyn Watch>) {
    let publisher = Publisher { store: Arc::clone(store), collector: source.collector, name: source.name.clone() };
    let mut overloads = 0;
    let mut pause = Duration::from_millis(500);
    loop {
        let started = Instant::now();
        let looks_before = looks(store, source);
        let ended = async { Err::<Observation, _>(watch.watch(&publisher).await) };
        let outcome = AssertUnwindSafe(ended).catch_unwind();
        // The first view has the deadline of a look; after that, silence is judged by `keep`.
        tokio::pin!(outcome);
        let result = loop {
            tokio::select! {
                result = &mut outcome => break result,
                () = wait_for_first_view(store, source, looks_before, timeout) => {
                    publisher.publish(started.elapsed(), Err(CollectError::new(ErrorClass::Timeout, "first view: no complete answer in time")));
                }
            }
        };
        let error = match result {
            Ok(Ok(_)) => continue,
            Ok(Err(error)) => error,
            Err(_) => panicked(),
        };
        pause = if looks(store, source) > looks_before { Duration::from_millis(500) } else { (pause * 2).min(source.interval) };
        let delay = pause.max(backoff(&error, source.interval, &mut overloads));
        // A watch that ends after an hour has not looked for an hour.
        publisher.publish(started.elapsed().min(timeout), Err(error));
        tokio::time::sleep(jittered(delay)).await;
    }
}

fn looks(store: &Store, source: &Source) -> u64 {
    let snapshot = store.snapshot();
    let view = snapshot.views.iter().find(|v| v.source.collector == source.collector && v.source.name == source.name);
    view.map_or(0, |view| view.looks)
}

/// Ends when the deadline passes without a view; stays pending for ever once there is one.
async fn wait_for_first_view(store: &Store, source: &Source, before: u64, timeout: Duration) {
    let seen = store.until(|store| looks(store, source) != before);
    if tokio::time::timeout(timeout, seen).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

async fn guarded<F>(timeout: Duration, look: F) -> Result<Observation, CollectError>
where
    F: Future<Output = Result<Observation, CollectError>>,
{
    match tokio::time::timeout(timeout, AssertUnwindSafe(look).catch_unwind()).await {
        Err(_) => Err(CollectError::new(ErrorClass::Timeout, say!("look: not finished within {}", crate::value::Span(timeout)))),
        Ok(Err(_)) => Err(panicked()),
        Ok(Ok(outcome)) => outcome,
    }
}

/// Where a panic happened stands in the log; its words may hold what was worked on.
fn panicked() -> CollectError {
    CollectError::new(ErrorClass::Panicked, say!("look: {}", cause::of_panic()))
}

/// How long to stay away after an error: what the other side asked for, or twice as long each
/// time when it is overloaded and did not say. Other errors keep the interval, so that a mended
/// target is seen within one.
fn backoff(error: &CollectError, interval: Duration, overloads: &mut u32) -> Duration {
    if let Some(asked) = error.retry_after {
        return asked.min(ceiling(interval));
    }
    if matches!(error.class, ErrorClass::Throttled) {
        *overloads = (*overloads + 1).min(6);
        return (interval * 2_u32.pow(*overloads)).min(ceiling(interval));
    }
    *overloads = 0;
    Duration::ZERO
}

/// Within 5 % of `delay`, so that sources started together drift apart.
fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(0.95 + fastrand::f64() * 0.1)
}

fn log_failure(collector: &str, source: &str, error: &CollectError) {
    tracing::warn!(collector, source, class = error.class.as_str(), "{error}");
}

#[cfg(test)]
mod tests;
