//! Rotations, maintenance windows and whatever else restarts by itself: when next, and whether that
//! hits an event.
//!
//! Looks at nothing itself: schedules and suspensions are what the Kubernetes collector saw, last
//! rotations what the collectors of credentials and of Secrets Manager saw. When something last rotated is
//! remembered in the state file, so that a restart does not lose it.

pub(super) mod config;
mod hand;
mod lapse;
pub(super) mod managed;
mod predict;
mod reach;
mod renewal;
mod way;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

pub use config::{Config, Consumer, Copies, Every, Rotation};
pub(in crate::collectors) use renewal::{Renewal, Renewals};

use super::kubernetes::{ClusterConfig, CronJobFacts, Permission};
use super::secrets_manager::{self, Going};
use super::section::{Estate, Part, Section, left_out};
use super::{credentials, kubernetes};
use crate::driver::{Form, Poll, Task};
use crate::event::{self, Occurrence, Schedule};
use crate::made::{Made, Shared};
use crate::metric::{Family, Gauge, Sample, StateSet, Unit, gauge, metrics, state_set, states};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, Observation, Snapshot, Source, Subject, Subjects};
use crate::state::State;
use crate::value::Problem;
use crate::value::Span;
use crate::value::names::Visit;
use crate::value::rules::References;
use predict::{Conflict, Known, Rule};

/// The `collector` label.
pub const NAME: &str = "rotations";

const LABELS: [&str; 2] = ["rotation", "subject"];

states! {
    /// Whether a rotation falls into an event.
    enum InEvent {
        None => "none": "it does not run while the event does",
        Conflict => "conflict",
        Possible => "possible",
        Unknown => "unknown",
    }
}

states! {
    /// How the rotation that was due last went.
    enum Ran {
        Idle => "idle",
        Running => "running",
        Slow => "slow",
        Failed => "failed",
        Missed => "missed",
        Unknown => "unknown",
    }
}

states! {
    /// Whether a rotation runs.
    enum Suspension {
        Running => "running",
        SuspendedForEvent => "suspended_for_event",
        Forgotten => "forgotten",
    }
}

metrics! {
    /// Families about rotations.
    pub FAMILIES;

    static CONFLICT: StateSet<InEvent, 3> = state_set(
        "readiness_rotation_conflict_state",
        &["rotation", "subject", "event"],
        "Whether a rotation falls into an event, what it stirs up included; possible when its bounds do not exclude it. From schedules in the Kubernetes API or the configuration.",
    );
    static NEXT: Gauge<3> = gauge(
        "readiness_rotation_next_timestamp_seconds",
        Unit::Timestamp,
        &["rotation", "subject", "bound"],
        "When something rotates next, at the earliest and at the latest, from its schedule or from its last rotation and its interval.",
    );
    static LAST: Gauge<2> = gauge(
        "readiness_rotation_last_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When something rotated last, from its CronJob, the change of its credential or AWS Secrets Manager, or as the state file remembers.",
    );
    static RUN: StateSet<Ran, 2> = state_set(
        "readiness_rotation_run_state",
        &LABELS,
        "How the rotation that was due last went: over, under way, under way for too long, failed, or not begun in time. From its CronJob, its credential or AWS Secrets Manager.",
    );
    static SUSPENSION: StateSet<Suspension, 2> = state_set(
        "readiness_rotation_suspension_state",
        &LABELS,
        "Whether a rotation runs, is suspended with an event at hand, or is suspended without one, which lets keys lapse. From spec.suspend or the replicas in the Kubernetes API.",
    );
}

/// Collectors whose facts are read.
const READS: &[&str] = &[kubernetes::NAME, credentials::NAME, secrets_manager::NAME];

impl Section for Config {
    const NAME: &'static str = NAME;
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES, lapse::FAMILIES, reach::FAMILIES];

    fn rules(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        self.validate(path, references, problems);
    }

    fn offers<'a>(&'a self, _: &mut References<'a>) {}

    fn names(&mut self, _: &str, _: &mut Visit<'_>) {}

    fn permissions(&self, _: &ClusterConfig) -> Vec<Permission> {
        Vec::new()
    }

    fn tasks(&self, estate: &Estate<'_>) -> Result<Vec<Task>, Message> {
        Ok(tasks(self, estate.schedules, estate.state))
    }
}

/// One task for all rotations, which need one look at what others saw, and one for whether rotations
/// have reached everybody.
fn tasks(config: &Config, schedules: &[Schedule], state: &Arc<State>) -> Vec<Task> {
    let task = |name: &str, parts: &[(bool, &'static Family)], subjects: Vec<Subject>, form: Made<Form>| Task {
        source: Source {
            subjects: Subjects::Each(subjects),
            emits: parts.iter().filter(|(on, _)| *on).map(|(_, family)| family.name).collect(),
            off: off(config, schedules).into(),
            reads: READS,
            selectors: config.rotations.iter().filter_map(|rotation| rotation.cron_jobs.clone()).collect(),
            ..Source::new(NAME, name, config.interval.0)
        },
        timeout: config.interval.0,
        form,
    };
    let any = |has: fn(&Rotation) -> bool| config.rotations.iter().any(has);
    let mut tasks = Vec::new();
    if !config.rotations.is_empty() {
        let parts = [
            (!schedules.is_empty(), &CONFLICT.0),
            (true, &NEXT.0),
            (any(Rotation::has_runs), &LAST.0),
            (any(Rotation::has_runs), &RUN.0),
            (any(Rotation::can_be_suspended), &SUSPENSION.0),
            (any(Rotation::renews), &lapse::STATE.0),
            (any(Rotation::renews), &lapse::MOMENT.0),
        ];
        let forecast = Made::of((config.clone(), schedules.to_vec(), Shared(Arc::clone(state))), |(config, schedules, Shared(state))| {
            Form::poll(Forecast { config: config.clone(), schedules: schedules.clone(), state: Arc::clone(state) })
        });
        let families: Vec<_> = parts.iter().map(|(_, family)| family.name).collect();
        let subject =
            |own: &Rotation| Subject { what: format!("rotation {}", own.name), labels: [("rotation", own.name.as_str())].into(), families: families.clone() };
        tasks.push(task("rotations", &parts, config.rotations.iter().map(subject).collect(), forecast));
    }
    let parts = [(!config.copies.is_empty(), &reach::COPIES.0), (!config.consumers.is_empty(), &reach::CONSUMER.0)];
    if parts.iter().any(|(on, _)| *on) {
        let reach = Made::of((config.copies.clone(), config.consumers.clone()), |(copies, consumers)| {
            Form::poll(reach::Reach { copies: copies.clone(), consumers: consumers.clone() })
        });
        tasks.push(task("reach", &parts, reach::subjects(config), reach));
    }
    tasks
}

/// What nothing configured fills, by the key that would.
fn off(config: &Config, schedules: &[Schedule]) -> Vec<(&'static str, &'static str)> {
    let any = |has: fn(&Rotation) -> bool| config.rotations.iter().any(has);
    let rotates = !config.rotations.is_empty();
    left_out(&[
        Part { key: "rotations[].cron_jobs", on: any(Rotation::can_be_suspended), families: &[&[&SUSPENSION.0]] },
        Part { key: "rotations[].credential", on: any(Rotation::renews), families: &[lapse::FAMILIES] },
        Part { key: "rotations[].cron_jobs", on: any(Rotation::has_runs), families: &[&[&LAST.0, &RUN.0]] },
        Part { key: "rotations", on: rotates, families: &[&[&NEXT.0, &CONFLICT.0]] },
        Part { key: "events", on: !rotates || !schedules.is_empty(), families: &[&[&CONFLICT.0]] },
        Part { key: "copies", on: !config.copies.is_empty(), families: &[&[&reach::COPIES.0]] },
        Part { key: "consumers", on: !config.consumers.is_empty(), families: &[&[&reach::CONSUMER.0]] },
    ])
}

impl Rotation {
    /// Whether something tells when it last ran.
    fn has_runs(&self) -> bool {
        self.cron_jobs.is_some() || self.every.is_some() || self.managed_secret.is_some()
    }

    /// Whether something tells that it is suspended.
    fn can_be_suspended(&self) -> bool {
        self.cron_jobs.is_some() || self.every.as_ref().is_some_and(|every| every.workloads.is_some()) || self.managed_secret.is_some()
    }
}

/// Forecasts all rotations.
struct Forecast {
    config: Config,
    schedules: Vec<Schedule>,
    state: Arc<State>,
}

/// Something that rotates, as far as it is known.
struct Rotator {
    /// Which object, for rotations that mean several.
    subject: String,
    rule: Result<Rule, Message>,
    /// When it last rotated, in Unix seconds.
    last: Option<i64>,
    run: Run,
    /// When the last of its runs that succeeded was over, where its source tells.
    over: Option<i64>,
    /// Unless nothing tells.
    suspended: Option<bool>,
    /// Until when it may have been suspended, so that what was due before was not missed, and whether it surely was.
    resumed: Option<(i64, bool)>,
}

/// One rotation at one moment.
struct Look<'a> {
    config: &'a Config,
    rotation: &'a Rotation,
    state: &'a State,
    seen: &'a Snapshot,
    now: Timestamp,
    /// To when the events that come need what is renewed, in Unix seconds.
    until: i64,
}

/// What its source says about the last run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    Over,
    UnderWay,
    /// The source says itself that it takes too long.
    Stuck,
    Failed,
    /// The source says itself that the time for it is over.
    Missed,
    Unknown,
}

impl Rotator {
    fn unknown(why: Message) -> Self {
        Self { subject: String::new(), rule: Err(why), last: None, run: Run::Unknown, over: None, suspended: None, resumed: None }
    }
}

impl Forecast {
    fn forecast(&self, seen: &Snapshot, now: Timestamp) -> Vec<Sample> {
        let occurrences = event::foreseen(&self.schedules, now);
        let until = renewal::until(&self.config, &self.schedules, now);
        let mut samples = Vec::new();
        for rotation in &self.config.rotations {
            let look = Look { config: &self.config, rotation, state: &self.state, seen, now, until };
            look.remember_hands();
            samples.extend(look.rotators().iter().flat_map(|rotator| look.facts(rotator, &occurrences)));
        }
        samples
    }
}

impl Look<'_> {
    fn rotators(&self) -> Vec<Rotator> {
        let Self { rotation, seen, .. } = self;
        let several = |found: Result<Vec<Rotator>, Message>| found.unwrap_or_else(|why| vec![Rotator::unknown(why)]);
        if let Some(schedule) = &rotation.schedule {
            let lasting = rotation.duration.map_or(0, seconds);
            let rule = Rule::schedule(schedule, &rotation.time_zone, lasting);
            vec![Rotator { subject: String::new(), rule, last: None, run: Run::Unknown, over: None, suspended: None, resumed: None }]
        } else if let Some(every) = &rotation.every {
            vec![self.interval(every)]
        } else if let Some(secret) = &rotation.managed_secret {
            vec![self.managed(secret)]
        } else if let Some(pool) = &rotation.node_pool {
            several(kubernetes::node_expiries(seen, pool).map(moments))
        } else if let Some(namespace) = &rotation.certificates {
            several(kubernetes::certificate_renewals(seen, namespace).map(moments))
        } else {
            let jobs = kubernetes::cron_jobs(seen, rotation.cron_jobs.as_deref().unwrap_or_default());
            several(jobs.map(|jobs| jobs.into_iter().map(|job| self.cron_job(job)).collect()))
        }
    }

    fn remembered(&self, subject: &str, observed: Option<i64>) -> Option<i64> {
        self.state.last_rotation(&self.rotation.name, subject, observed, self.now)
    }

    fn cron_job(&self, job: CronJobFacts) -> Rotator {
        let run = match (job.active, job.failed) {
            (true, _) => Run::UnderWay,
            (false, true) => Run::Failed,
            (false, false) => Run::Over,
        };
        let last = self.remembered(&job.subject, job.last);
        Rotator {
            rule: Rule::cron_job(&job.schedule, &job.time_zone, last),
            last,
            subject: job.subject,
            run,
            over: job.succeeded,
            suspended: Some(job.suspended),
            resumed: job.resumed,
        }
    }

    fn interval(&self, every: &Every) -> Rotator {
        let Every { min, max, credential, workloads } = every;
        let last = self.remembered(credential, credentials::last_changed(self.seen, credential));
        let known = Known::ByChanges(self.state.rotation_before(&self.rotation.name, credential));
        let rule = last.map(|last| Rule::Interval { min: seconds(*min), max: seconds(*max), last, known });
        let rule = rule.ok_or_else(|| say!("when credential {} was last changed is not known", named(credential)));
        let suspended = workloads.as_ref().map(|workloads| kubernetes::is_scaled_to_zero(self.seen, workloads)).transpose();
        // A rotator that cannot be seen may well run.
        let (rule, suspended) = match suspended {
            Ok(suspended) => (rule, suspended),
            Err(why) => (Err(why), None),
        };
        Rotator { subject: String::new(), rule, run: if last.is_some() { Run::Over } else { Run::Unknown }, last, over: None, suspended, resumed: None }
    }

    fn managed(&self, secret: &str) -> Rotator {
        let facts = match secrets_manager::rotation_of(self.seen, secret) {
            Ok(facts) => facts,
            Err(why) => return Rotator::unknown(why),
        };
        let last = self.remembered(secret, facts.last);
        let run = match facts.run {
            Going::Rotating => Run::UnderWay,
            Going::Pending => Run::Stuck,
            Going::Overdue => Run::Missed,
            Going::Done | Going::Off | Going::Never | Going::Unknown => Run::Over,
        };
        let suspended = Some(facts.schedule.is_none());
        // Without a rule rotation is off, and nothing is predicted for what is suspended.
        let rule = managed::rule(facts.schedule.as_deref().unwrap_or_default(), &facts.window, last);
        Rotator { subject: String::new(), rule, last, run, over: None, suspended, resumed: None }
    }

    /// Whether a rotation, or what it stirs up, falls into an event.
    fn conflict(&self, rotator: &Rotator, event: &Occurrence) -> (InEvent, Option<Message>) {
        let (guard, now) = (seconds(self.config.guard), self.now.as_second());
        let who = named(if rotator.subject.is_empty() { "it" } else { &rotator.subject });
        if rotator.suspended == Some(true) {
            // What began before it was suspended goes on.
            let goes_on = matches!(rotator.run, Run::UnderWay | Run::Stuck) && event.start.as_second() - guard <= now;
            let (state, why) = if goes_on {
                (InEvent::Conflict, say!("it is suspended, and a run that began before is under way"))
            } else {
                (InEvent::None, say!("it is suspended"))
            };
            return (state, Some(why));
        }
        let rule = match &rotator.rule {
            Ok(rule) => rule,
            Err(why) => return (InEvent::Unknown, Some(why.clone())),
        };
        // What is over cannot hit any more, but what it stirred up may last.
        match rule.conflict(event.start.as_second().max(now), event.end.as_second(), guard) {
            Conflict::None => self.successors(&rotator.subject, event),
            Conflict::Certain(earliest, latest) => (InEvent::Conflict, Some(say!("{} rotates {}", who, within(earliest, latest, guard)))),
            Conflict::Possible(earliest, latest) => (InEvent::Possible, Some(say!("{} may rotate {}", who, within(earliest, latest, guard)))),
        }
    }

    /// Whether nodes expire during an event that are yet to be made; all else that rotates is there already.
    fn successors(&self, pool: &str, event: &Occurrence) -> (InEvent, Option<Message>) {
        let distance = self.rotation.node_pool.as_ref().and_then(|_| kubernetes::expiry_near_event(self.seen, pool, event));
        match distance {
            Some(distance) if distance.is_nan() => (InEvent::Unknown, Some(say!("when a node of {} expires cannot be read", named(pool)))),
            Some(distance) if distance <= self.config.guard.as_secs_f64() => {
                (InEvent::Conflict, Some(say!("a node of {} that is made before expires then", named(pool))))
            }
            Some(_) | None => (InEvent::None, None),
        }
    }

    fn facts(&self, rotator: &Rotator, occurrences: &[Occurrence]) -> Vec<Sample> {
        let Rotator { subject, rule, last, .. } = rotator;
        let (name, now_second) = (self.rotation.name.as_str(), self.now.as_second());
        let mut samples: Vec<Sample> = last.iter().map(|at| LAST.sample([name, subject], *at as f64)).collect();
        let suspended = rotator.suspended == Some(true);
        if self.rotation.has_runs() {
            samples.push(self.run(rotator, now_second));
        }
        if rotator.suspended.is_some() {
            let ahead = self.config.suspend_before.as_secs_f64();
            let at_hand = occurrences.iter().any(|event| (event.start.as_second() - now_second) as f64 <= ahead);
            let state = match (suspended, at_hand) {
                (false, _) => Suspension::Running,
                (true, true) => Suspension::SuspendedForEvent,
                (true, false) => Suspension::Forgotten,
            };
            samples.push(SUSPENSION.sample([name, subject], state));
        } else if self.rotation.can_be_suspended() {
            samples.push(SUSPENSION.unseen([name, subject]));
        }
        if self.rotation.renews() {
            let renewed = last.filter(|_| rotator.run == Run::Over);
            let lasts = seconds(self.config.slow_after);
            let rule = rule.as_ref().ok();
            let known =
                lapse::Known { rotation: self.rotation, subject, suspended: rotator.suspended, renewed, rule, lasts, now: now_second, until: self.until };
            samples.extend(lapse::facts(&known, self.seen));
        }
        let next = rule.as_ref().ok().filter(|_| !suspended).and_then(|rule| rule.next(now_second));
        if let Some((earliest, latest)) = next {
            for (bound, at) in [("earliest", earliest), ("latest", latest)] {
                samples.push(NEXT.sample([name, subject, bound], at as f64));
            }
        }
        let of_events = occurrences.iter().map(|event| {
            let (state, why) = self.conflict(rotator, event);
            let sample = CONFLICT.sample([name, subject, &event.name], state);
            if let Some(why) = why { sample.with_detail(why) } else { sample }
        });
        samples.extend(of_events);
        samples
    }

    /// How the rotation that was due last went.
    fn run(&self, rotator: &Rotator, now: i64) -> Sample {
        let labels = [self.rotation.name.as_str(), &rotator.subject];
        let late = seconds(self.config.slow_after);
        // Secrets Manager was asked by its own dates, which know when it was switched on again.
        let known = rotator.rule.as_ref().ok().zip(rotator.last).filter(|_| self.rotation.managed_secret.is_none());
        let resumed = rotator.resumed.filter(|(_, surely)| *surely).map(|(until, _)| until);
        let due = known.and_then(|(rule, last)| rule.due(resumed.map_or(last, |until| until.max(last))));
        match (rotator.run, rotator.last, &rotator.rule) {
            (_, _, Err(why)) if rotator.suspended != Some(true) => RUN.sample(labels, Ran::Unknown).with_detail(why),
            (Run::Unknown, ..) => RUN.sample(labels, Ran::Unknown),
            (Run::Missed, ..) => RUN.sample(labels, Ran::Missed).with_detail("it was not done when it was due"),
            (Run::Stuck, ..) => RUN.sample(labels, Ran::Slow).with_detail("it has begun and did not come to an end"),
            (Run::Failed, ..) => RUN.sample(labels, Ran::Failed).with_detail("the last run is over and did not succeed"),
            (Run::UnderWay, Some(last), _) if self.rotation.cron_jobs.is_some() && last + late < now => {
                RUN.sample(labels, Ran::Slow).with_detail(say!("it has run since {}", named(&moment(last))))
            }
            (Run::UnderWay, ..) => RUN.sample(labels, Ran::Running),
            (Run::Over, ..) => match due.filter(|due| rotator.suspended != Some(true) && due + late < now) {
                Some(due) if rotator.resumed.is_some_and(|(until, surely)| until >= due && !surely) => {
                    let why = say!("it did not run at {}, and was written to after that: whether it was suspended then cannot be told", named(&moment(due)));
                    RUN.sample(labels, Ran::Unknown).with_detail(why)
                }
                Some(due) => RUN.sample(labels, Ran::Missed).with_detail(say!("it was due at {}", named(&moment(due)))),
                None => RUN.sample(labels, Ran::Idle),
            },
        }
    }
}

fn moments(found: BTreeMap<String, Vec<i64>>) -> Vec<Rotator> {
    let rotator =
        |(subject, moments)| Rotator { subject, rule: Ok(Rule::Moments(moments)), last: None, run: Run::Unknown, over: None, suspended: None, resumed: None };
    found.into_iter().map(rotator).collect()
}

/// When something happens, as far as it is known, and until when what it stirs up may last: whoever moves an event has to
/// know both.
fn within(earliest: i64, latest: i64, guard: i64) -> Message {
    let [from, until, over] = [earliest, latest, latest.saturating_add(guard)].map(moment);
    let until_when = say!("and what that stirs up may last until {}", named(&over));
    if earliest == latest {
        say!("at {}, {}", named(&from), until_when)
    } else {
        say!("at some moment between {} and {}, {}", named(&from), named(&until), until_when)
    }
}

fn moment(at: i64) -> String {
    Timestamp::from_second(at).map_or_else(|_| at.to_string(), say::minute)
}

fn seconds(span: Span) -> i64 {
    // Far above any span that makes sense, and far below where a sum of two overflows.
    i64::try_from(span.0.as_secs()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

impl Poll for Forecast {
    fn look<'a>(&'a mut self, seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        let at = Timestamp::now();
        async move { Ok(Observation { at, ..Observation::new(self.forecast(seen, at), self.config.rotations.len(), 0) }) }.boxed()
    }
}

#[cfg(test)]
mod tests;
