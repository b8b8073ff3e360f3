//! The running exporter: the driver, the judge and what they came to, behind one handle.

mod judging;
mod telemetry;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use prometheus::TextEncoder;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use judging::{Active, Judged};
pub use telemetry::{TELEMETRY, Telemetry};

use crate::cause;
use crate::checklist::{Checklist, Judgement, Memories, Recalls};
use crate::config::{self, LoadError, Loaded};
use crate::driver::{Driver, Task};
use crate::event;
use crate::exposition::Exposition;
use crate::history::Change;
use crate::net;
use crate::report::Archive;
use crate::say;
use crate::say::{Message, Say, named};
use crate::snapshot::{Snapshot, Store};
use crate::state::State;
use crate::value::{Place, Problem};
use crate::verdict;
use crate::warnings::warnings;

/// How long a reload may take; a local disk needs a hundredth of it.
const RELOAD: Duration = Duration::from_secs(10);

/// How long nobody must have written to a file of the configuration that is to be reloaded.
const REST: Duration = Duration::from_secs(1);

/// How often a reload waits for that.
const WAITS: u32 = 5;

/// Why the exporter cannot start or reload.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// A file that the configuration names cannot be used.
    #[error("{0}")]
    Resource(Message),
    /// The files could not be read in time, or another reload waits for them.
    #[error("the configuration could not be read within {0} s")]
    Late(u64),
    /// The exporter's own metrics contradict one another, which is a defect.
    #[error("register metrics: two of the exporter's own contradict each other")]
    Metrics(#[from] prometheus::Error),
}

impl Say for StartError {}

/// Loads the configuration once nobody writes to it: cut off at the end of a line it is most often a
/// good one, of which targets and checks are missing. Waits on this thread.
fn load_at_rest(path: &Path) -> Result<Loaded, StartError> {
    let mut before = None;
    for _ in 0..WAITS {
        let loaded = config::load(path)?;
        let changed = loaded.changed(path);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let is_old = changed.is_none_or(|changed| now.checked_sub(changed).is_some_and(|age| age >= REST));
        // The clock of a file server may be ahead of ours.
        if is_old || before == Some(changed) {
            return Ok(loaded);
        }
        before = Some(changed);
        std::thread::sleep(REST);
    }
    Err(StartError::Resource("somebody is writing to the configuration all the time".into()))
}

/// What is odd about a configuration. Asks the file system on this thread.
fn odd(loaded: &Loaded, tasks: &[Task]) -> Vec<Problem> {
    warnings(loaded, tasks.iter().map(|task| &task.source), Timestamp::now())
}

fn warn(odd: &[Problem]) {
    for warning in odd {
        tracing::warn!("configuration: {warning}");
    }
}

/// Does blocking work on a thread of its own, one at a time, with a deadline. The turn goes with what it
/// comes to; work that hangs keeps it, so that no other hangs beside it.
async fn in_turn<T: Send + 'static>(
    turn: Arc<Mutex<()>>,
    within: Duration,
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<(T, OwnedMutexGuard<()>), StartError> {
    let run = async {
        let turn = turn.lock_owned().await;
        let done = tokio::task::spawn_blocking(move || (work(), turn)).await;
        let (done, turn) = done.map_err(|_| StartError::Resource(cause::of_panic()))?;
        Ok((done?, turn))
    };
    tokio::time::timeout(within, run).await.map_err(|_| StartError::Late(within.as_secs()))?
}

/// What a reload ended: checks, and collectors with the names of their sources.
type Gone = Vec<(&'static str, String)>;

fn checks_gone(before: &[Checklist], now: &[Checklist]) -> Gone {
    let names = |all: &[Checklist]| -> BTreeSet<String> {
        all.iter().flat_map(|checklist| checklist.checks().map(|check| format!("{} of {}", check.name, checklist.name))).collect()
    };
    names(before).difference(&names(now)).map(|name| ("check", name.clone())).collect()
}

fn gone_words(gone: &Gone) -> Option<Message> {
    let (collector, name) = gone.first()?;
    let more = gone.len() - 1;
    Some(if more == 0 {
        say!("{} {} is looked at no longer", *collector, named(name))
    } else {
        say!("{} {} and {} more are looked at no longer", *collector, named(name), more)
    })
}

/// The running exporter.
pub struct App {
    place: Place,
    odd: Vec<Problem>,
    path: Option<PathBuf>,
    store: Arc<Store>,
    driver: Mutex<Option<Driver>>,
    state: ArcSwap<State>,
    active: ArcSwap<Active>,
    judged: ArcSwap<Judged>,
    archive: Archive,
    reloading: Arc<Mutex<()>>,
    /// Who looks at the files of trusted roots, as long as this runs.
    _following: Option<AbortOnDropHandle<()>>,
    /// Where the collectors run; whoever asks for a reload may run elsewhere.
    runtime: Handle,
    /// The exporter's counters about itself.
    pub telemetry: Telemetry,
}

impl App {
    /// Starts every collector on the runtime that this is called in. With `spread`, first looks are
    /// spread over a second. `path` is what a reload reads.
    pub fn start(loaded: Loaded, path: Option<PathBuf>, spread: bool) -> Result<Arc<Self>, StartError> {
        Self::start_at(Place::default(), loaded, path, spread)
    }

    /// The same, reached at a place.
    pub fn start_at(place: Place, loaded: Loaded, path: Option<PathBuf>, spread: bool) -> Result<Arc<Self>, StartError> {
        let store = Arc::new(Store::default());
        let mut driver = Driver::new(Arc::clone(&store), spread);
        // Only who reloads goes on running, and may write what others remember.
        let file = loaded.settings.state_file.clone();
        let state = Arc::new(if path.is_some() { State::open(file) } else { State::glance(file.as_deref()) });
        let tasks = loaded.tasks(&state).map_err(StartError::Resource)?;
        let odd = odd(&loaded, &tasks);
        // A single look is asked for them.
        if path.is_some() {
            warn(&odd);
        }
        let active = Active::new(loaded, &tasks);
        driver.apply(tasks);
        let judged = active.judge(&store.snapshot(), Timestamp::now(), &Memories::default(), &mut Recalls::default());
        let telemetry = Telemetry::new()?;
        telemetry.loaded();
        let follows = path.is_some();
        Ok(Arc::new(Self {
            place,
            odd,
            path,
            store,
            driver: Mutex::new(Some(driver)),
            state: ArcSwap::new(state),
            active: ArcSwap::from_pointee(active),
            judged: ArcSwap::from_pointee(Judged { judgements: Arc::new(judged), since: Instant::now() }),
            archive: Archive::default(),
            reloading: Arc::default(),
            _following: follows.then(|| AbortOnDropHandle::new(tokio::spawn(net::follow_trust()))),
            runtime: Handle::current(),
            telemetry,
        }))
    }

    /// Where it is reached.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What was odd about the configuration at the start.
    pub(crate) fn odd(&self) -> &[Problem] {
        &self.odd
    }

    /// How verdicts changed from a moment on, oldest first.
    pub fn changes(&self, since: Timestamp) -> Vec<Change> {
        self.state.load().changes(since)
    }

    /// What the judge last came to.
    pub fn judgements(&self) -> Arc<Vec<Judgement>> {
        Arc::clone(&self.judged.load().judgements)
    }

    /// How long ago that was.
    pub fn judged_ago(&self) -> Duration {
        self.judged.load().since.elapsed()
    }

    /// The facts.
    pub fn snapshot(&self) -> Snapshot {
        self.store.snapshot()
    }

    /// Whether every source has been looked at once.
    pub fn ready(&self) -> bool {
        self.store.snapshot().all_attempted()
    }

    /// Ends when looking again at once would not say more ([`Snapshot::settled`]), or after `at_most`.
    pub async fn until_settled(&self, at_most: Duration, mut progress: impl FnMut(usize, usize)) {
        let wait = self.store.until(|store| {
            let snapshot = store.snapshot();
            let settled = snapshot.views.iter().filter(|view| view.settled).count();
            progress(settled, snapshot.views.len());
            snapshot.settled()
        });
        let _ = tokio::time::timeout(at_most, wait).await;
    }

    /// Reads the configuration again, one reload at a time. A bad file keeps the running one, and so
    /// does one that cannot be read in time.
    /// Returns what is watched no longer, in words: a check whose target is gone fails no longer, so
    /// whoever reloads is told.
    pub async fn reload(self: &Arc<Self>) -> Result<Option<Message>, StartError> {
        let result = self.try_reload().await.map(|gone| gone_words(&gone));
        match &result {
            Ok(gone) => {
                self.telemetry.loaded();
                tracing::info!("configuration reloaded");
                if let Some(gone) = gone {
                    tracing::warn!("after the reload {gone}");
                }
            }
            Err(error) => {
                self.telemetry.reload_success.set(0.0);
                tracing::error!("reload configuration, keeping the running one: {error}");
            }
        }
        result
    }

    async fn try_reload(self: &Arc<Self>) -> Result<Gone, StartError> {
        let path = self.path.clone().ok_or_else(|| StartError::Resource("there is no file to read".into()))?;
        let app = Arc::clone(self);
        let read = move || {
            let loaded = load_at_rest(&path)?;
            // Two that write the same file would undo what the other remembers.
            let state = app.state.load_full();
            let same = loaded.settings.state_file.as_deref() == state.path();
            let state = if same { state } else { Arc::new(State::open(loaded.settings.state_file.clone())) };
            let tasks = loaded.tasks(&state).map_err(StartError::Resource)?;
            warn(&odd(&loaded, &tasks));
            Ok((Active::new(loaded, &tasks), tasks, state))
        };
        let (app, turn) = (Arc::clone(self), Arc::clone(&self.reloading));
        // In a task of its own: whoever asked may go away in the middle of it.
        let reload = self.runtime.spawn(async move {
            let ((active, tasks, state), _turn) = in_turn(turn, RELOAD, read).await?;
            let mut gone = checks_gone(&app.active.load().checklists, &active.checklists);
            if let Some(driver) = app.driver.lock().await.as_mut() {
                // A file that was emptied, most often to be written to next.
                if tasks.is_empty() && !driver.is_idle() {
                    return Err(StartError::Resource("the configuration names nothing to watch; to run without any, restart".into()));
                }
                gone.extend(driver.apply(tasks));
            }
            app.state.store(state);
            app.active.store(Arc::new(active));
            Ok(gone)
        });
        reload.await.unwrap_or_else(|_| Err(StartError::Resource(cause::of_panic())))
    }

    /// Stops every collector within `grace`, in which what was not written yet is written as well.
    pub async fn shutdown(&self, grace: Duration) {
        let end = Instant::now() + grace;
        if let Some(driver) = self.driver.lock().await.take() {
            driver.shutdown(grace).await;
        }
        while !(self.state.load().settle(Duration::ZERO) && self.archive.settle(Duration::ZERO)) && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Everything that Prometheus scrapes.
    pub fn exposition(&self) -> Exposition {
        let now = Timestamp::now();
        let active = self.active.load();
        let mut own = verdict::samples(&self.judgements());
        own.extend(event::samples(&active.schedules, now));
        let counters = TextEncoder::new().encode_to_string(&self.telemetry.registry.gather());
        let counters = counters.unwrap_or_else(|_| "# the exporter's own counters are missing\n".to_owned());
        Exposition::new(self.store.snapshot(), own, counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_hangs_is_answered_in_time_and_not_done_twice() {
        let turn = Arc::new(Mutex::new(()));
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let soon = Duration::from_millis(20);
        let hung = in_turn(Arc::clone(&turn), soon, move || ended.recv().map_err(|_| StartError::Resource("gone".into()))).await;
        assert!(matches!(hung, Err(StartError::Late(_))));
        let second = in_turn(Arc::clone(&turn), soon, || Ok(())).await;
        assert!(matches!(second, Err(StartError::Late(_))), "the first one still hangs");
        end.send(()).unwrap();
        let third = in_turn(turn, Duration::from_mins(1), || Ok(7)).await;
        assert_eq!(third.unwrap().0, 7);
    }

    #[test]
    fn a_configuration_that_is_still_written_is_loaded_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("readiness.yaml");
        let target = |name: &str| format!("      - {{ name: {name}, url: 'http://127.0.0.1:1/' }}\n");
        let half = format!("collectors:\n  http:\n    targets:\n{}", target("a"));
        std::fs::write(&file, &half).unwrap();
        let writer = std::thread::spawn({
            let (file, whole) = (file.clone(), half + &target("b"));
            move || {
                std::thread::sleep(REST / 4);
                std::fs::write(file, whole).unwrap();
            }
        });
        let loaded = load_at_rest(&file).unwrap();
        assert_eq!(loaded.settings.collectors.http.map(|http| http.targets.len()), Some(2));
        writer.join().unwrap();
    }
}
