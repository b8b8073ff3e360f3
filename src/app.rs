//! The running exporter: the driver, the judge and what they came to, behind one handle.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use prometheus::{Gauge as PromGauge, IntCounterVec, Opts, Registry, TextEncoder};
use tokio::sync::Mutex;

use crate::checklist::{Checklist, Context, Judgement, Memory, Waiver, judge};
use crate::collectors;
use crate::config::{self, LoadError, Loaded};
use crate::driver::Driver;
use crate::event::{self, Occurrence, Schedule};
use crate::exposition::Exposition;
use crate::history::Change;
use crate::report;
use crate::snapshot::{Snapshot, Store};
use crate::state::State;
use crate::verdict;

/// How long after a change the judge waits for more of them: with hundreds of sources something
/// changes all the time, and judging is the dearest thing that this program does.
const SETTLE: Duration = Duration::from_millis(500);
/// How often it judges without any change: time passes, and facts go stale.
const TICK: Duration = Duration::from_secs(1);

/// Why the exporter cannot start or reload.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// A file that the configuration names cannot be used.
    #[error("{0}")]
    Resource(String),
    /// The exporter's own metrics contradict one another, which is a defect.
    #[error("register metrics: two of the exporter's own contradict each other")]
    Metrics(#[from] prometheus::Error),
}

/// The parts of the configuration that the judge uses; the collectors have theirs.
struct Active {
    checklists: Vec<Checklist>,
    archive: Option<PathBuf>,
    schedules: Vec<Schedule>,
    waivers: Vec<Waiver>,
}

impl Active {
    fn new(loaded: Loaded) -> Self {
        let schedules = loaded.settings.events.iter().filter_map(|event| Schedule::parse(event).ok()).collect();
        let waivers = loaded.settings.waivers.iter().filter_map(|waiver| {
            Some(Waiver {
                check: waiver.check.clone(),
                labels: waiver.labels.clone(),
                reason: format!("{} ({})", waiver.why, waiver.who),
                until: waiver.until.parse().ok()?,
            })
        });
        Self { schedules, waivers: waivers.collect(), checklists: loaded.checklists, archive: loaded.settings.archive }
    }

    /// The running or next occurrence of a checklist's events.
    fn occurrence(&self, checklist: &str, now: Timestamp) -> Option<Occurrence> {
        event::by_checklist(&self.schedules, now).remove(checklist)
    }

    fn judge(&self, snapshot: &Snapshot, now: Timestamp, memories: &BTreeMap<String, Memory>) -> Vec<Judgement> {
        let judged = self.checklists.iter().map(|checklist| {
            let event = self.occurrence(&checklist.name, now);
            let memory = memories.get(&checklist.name);
            judge(checklist, &Context { snapshot, now, event: event.as_ref(), waivers: &self.waivers, memory })
        });
        judged.collect()
    }
}

/// The exporter's counters about itself.
pub struct Telemetry {
    registry: Registry,
    /// Requests by route and status.
    pub requests: IntCounterVec,
    reload_success: PromGauge,
    reload_time: PromGauge,
}

impl Telemetry {
    fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("readiness_web_requests_total", "Requests to this exporter's own server by route and status code."),
            &["route", "code"],
        )?;
        let reload_success = PromGauge::new("readiness_config_last_reload_successful", "Whether the last attempt to load the configuration succeeded.")?;
        let reload_time = PromGauge::new("readiness_config_last_reload_success_timestamp_seconds", "When the configuration was last loaded with success.")?;
        let build = prometheus::GaugeVec::new(Opts::new("readiness_build_info", "Version of this exporter."), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(reload_success.clone()))?;
        registry.register(Box::new(reload_time.clone()))?;
        registry.register(Box::new(build))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry, requests, reload_success, reload_time })
    }

    fn loaded(&self) {
        self.reload_success.set(1.0);
        self.reload_time.set(Timestamp::now().as_second() as f64);
    }
}

/// Names and help of the exporter's own counters, for the documentation.
pub const TELEMETRY: &[(&str, &str)] = &[
    ("readiness_web_requests_total", "Requests to this exporter's own server by route and status code."),
    ("readiness_config_last_reload_successful", "Whether the last attempt to load the configuration succeeded."),
    ("readiness_config_last_reload_success_timestamp_seconds", "When the configuration was last loaded with success."),
    ("readiness_build_info", "Version of this exporter."),
];

/// The running exporter.
pub struct App {
    path: Option<PathBuf>,
    store: Arc<Store>,
    driver: Mutex<Option<Driver>>,
    state: ArcSwap<State>,
    active: ArcSwap<Active>,
    judged: ArcSwap<Vec<Judgement>>,
    /// The exporter's counters about itself.
    pub telemetry: Telemetry,
}

impl App {
    /// Starts every collector. With `spread`, first looks are spread over a second. `path` is what
    /// a reload reads.
    pub fn start(loaded: Loaded, path: Option<PathBuf>, spread: bool) -> Result<Arc<Self>, StartError> {
        let store = Arc::new(Store::default());
        let mut driver = Driver::new(Arc::clone(&store), spread);
        // Only who reloads goes on running, and may write what others remember.
        let file = loaded.settings.state_file.clone();
        let state = Arc::new(if path.is_some() { State::open(file) } else { State::glance(file.as_deref()) });
        driver.apply(collectors::tasks(&loaded, &state).map_err(|why| StartError::Resource(why.into()))?);
        let active = Active::new(loaded);
        let judged = active.judge(&store.snapshot(), Timestamp::now(), &BTreeMap::new());
        let telemetry = Telemetry::new()?;
        telemetry.loaded();
        Ok(Arc::new(Self {
            path,
            store,
            driver: Mutex::new(Some(driver)),
            state: ArcSwap::new(state),
            active: ArcSwap::from_pointee(active),
            judged: ArcSwap::from_pointee(judged),
            telemetry,
        }))
    }

    /// Judges for ever: after each change, and every second.
    pub async fn keep_judging(self: Arc<Self>) {
        let mut memories: BTreeMap<String, Memory> = BTreeMap::new();
        let mut version = self.store.subscribe();
        let mut unarchived = None;
        loop {
            let now = Timestamp::now();
            let mut judged = self.active.load().judge(&self.store.snapshot(), now, &memories);
            for judgement in &mut judged {
                memories.entry(judgement.checklist.clone()).or_default().apply(judgement);
            }
            // Before everything was looked at once, most is unknown, which is no change of anything.
            if self.ready() {
                self.state.load().record(&judged);
                let failed = self.archive(&judged);
                // It is tried again at every judgement, and said once.
                if let Some(error) = failed.as_ref().filter(|_| failed != unarchived) {
                    tracing::error!("archive the checklist: {error}");
                }
                unarchived = failed;
            }
            self.judged.store(Arc::new(judged));
            tokio::select! {
                changed = version.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(TICK) => {}
            }
            tokio::time::sleep(SETTLE).await;
        }
    }

    /// Judges what is known now, without memory: for a single run.
    pub fn judge_once(&self) -> Vec<Judgement> {
        self.active.load().judge(&self.store.snapshot(), Timestamp::now(), &BTreeMap::new())
    }

    /// Writes the filled-in checklist at the moments that matter, if there is a folder for it. Returns
    /// why one could not be written.
    fn archive(&self, judged: &[Judgement]) -> Option<String> {
        let active = self.active.load();
        let folder = active.archive.as_ref()?;
        let write = |judgement: &Judgement| {
            let event = active.occurrence(&judgement.checklist, judgement.at)?;
            report::archive(folder, judgement, &event).err()
        };
        // Every one is written, whatever becomes of the others.
        judged.iter().filter_map(write).fold(None, |_, error| Some(error))
    }

    /// How verdicts changed from a moment on, oldest first.
    pub fn changes(&self, since: Timestamp) -> Vec<Change> {
        self.state.load().changes(since)
    }

    /// What the judge last came to.
    pub fn judgements(&self) -> Arc<Vec<Judgement>> {
        self.judged.load_full()
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

    /// Reads the configuration again. A bad file keeps the running one.
    pub async fn reload(&self) -> Result<(), StartError> {
        let result = self.try_reload().await;
        match &result {
            Ok(()) => {
                self.telemetry.loaded();
                tracing::info!("configuration reloaded");
            }
            Err(error) => {
                self.telemetry.reload_success.set(0.0);
                tracing::error!("reload configuration, keeping the running one: {error}");
            }
        }
        result
    }

    async fn try_reload(&self) -> Result<(), StartError> {
        let path = self.path.clone().ok_or_else(|| StartError::Resource("there is no file to read".to_owned()))?;
        let state = self.state.load_full();
        let (loaded, tasks, state) = tokio::task::spawn_blocking(move || {
            let loaded = config::load(&path)?;
            // Two that write the same file would undo what the other remembers.
            let same = loaded.settings.state_file.as_deref() == state.path();
            let state = if same { state } else { Arc::new(State::open(loaded.settings.state_file.clone())) };
            let tasks = collectors::tasks(&loaded, &state).map_err(|why| StartError::Resource(why.into()))?;
            Ok::<_, StartError>((loaded, tasks, state))
        })
        .await
        .map_err(|_| StartError::Resource("read the configuration: a defect of this program".to_owned()))??;
        if let Some(driver) = self.driver.lock().await.as_mut() {
            driver.apply(tasks);
        }
        self.state.store(state);
        self.active.store(Arc::new(Active::new(loaded)));
        Ok(())
    }

    /// Stops every collector within `grace`.
    pub async fn shutdown(&self, grace: Duration) {
        if let Some(driver) = self.driver.lock().await.take() {
            driver.shutdown(grace).await;
        }
    }

    /// Everything that Prometheus scrapes.
    pub fn exposition(&self) -> Exposition {
        let now = Timestamp::now();
        let active = self.active.load();
        let judged = self.judgements();
        let own = judged.iter().flat_map(|judgement| {
            let event = active.occurrence(&judgement.checklist, now);
            verdict::samples(judgement).into_iter().chain(event.into_iter().flat_map(|event| event.samples()))
        });
        let counters = TextEncoder::new().encode_to_string(&self.telemetry.registry.gather());
        let counters = counters.unwrap_or_else(|_| "# the exporter's own counters are missing\n".to_owned());
        Exposition::new(self.store.snapshot(), own.collect(), counters)
    }
}
