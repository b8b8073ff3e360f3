//! When everything rotates next, how its last run went, and whether it hits an event.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::config::{Config, Every, Rotation};
use super::metrics::{CONFLICT, InEvent, LAST, NEXT, RUN, Ran, SUSPENSION, Suspension};
use super::predict::{Conflict, Known, Rule};
use super::times::{moment, seconds, within};
use super::{lapse, managed, renewal};
use crate::collectors::kubernetes::CronJobFacts;
use crate::collectors::secrets_manager::Going;
use crate::collectors::{credentials, kubernetes, secrets_manager};
use crate::driver::Poll;
use crate::event::{self, Occurrence, Schedule};
use crate::metric::Sample;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, Observation, Snapshot};
use crate::state::State;

/// Forecasts all rotations.
pub(super) struct Forecast {
    pub(super) config: Config,
    pub(super) schedules: Vec<Schedule>,
    pub(super) state: Arc<State>,
}

/// Something that rotates, as far as it is known.
pub(super) struct Rotator {
    /// Which object, for rotations that mean several.
    pub(super) subject: String,
    pub(super) rule: Result<Rule, Message>,
    /// When it last rotated, in Unix seconds.
    pub(super) last: Option<i64>,
    pub(super) run: Run,
    /// When the last of its runs that succeeded was over, where its source tells.
    pub(super) over: Option<i64>,
    /// Unless nothing tells.
    pub(super) suspended: Option<bool>,
    /// Until when it may have been suspended, so that what was due before was not missed, and whether it surely was.
    pub(super) resumed: Option<(i64, bool)>,
    /// When it was made, which is from when on the first of its turns was due.
    pub(super) made: Option<i64>,
}

/// One rotation at one moment.
pub(super) struct Look<'a> {
    pub(super) config: &'a Config,
    pub(super) rotation: &'a Rotation,
    pub(super) state: &'a State,
    pub(super) seen: &'a Snapshot,
    pub(super) now: Timestamp,
    /// To when the events that come need what is renewed, in Unix seconds.
    pub(super) until: i64,
}

/// What its source says about the last run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
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
        Self { subject: String::new(), rule: Err(why), last: None, run: Run::Unknown, over: None, suspended: None, resumed: None, made: None }
    }
}

impl Forecast {
    pub(super) fn forecast(&self, seen: &Snapshot, now: Timestamp) -> Vec<Sample> {
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
    pub(super) fn rotators(&self) -> Vec<Rotator> {
        let Self { rotation, seen, .. } = self;
        let several = |found: Result<Vec<Rotator>, Message>| found.unwrap_or_else(|why| vec![Rotator::unknown(why)]);
        if let Some(schedule) = &rotation.schedule {
            let lasting = rotation.duration.map_or(0, seconds);
            let rule = Rule::schedule(schedule, &rotation.time_zone, lasting);
            vec![Rotator { subject: String::new(), rule, last: None, run: Run::Unknown, over: None, suspended: None, resumed: None, made: None }]
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

    pub(super) fn remembered(&self, subject: &str, observed: Option<i64>) -> Option<i64> {
        self.state.last_rotation(&self.rotation.name, subject, observed, self.now)
    }

    pub(super) fn cron_job(&self, job: CronJobFacts) -> Rotator {
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
            made: job.created,
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
        Rotator {
            subject: String::new(),
            rule,
            run: if last.is_some() { Run::Over } else { Run::Unknown },
            last,
            over: None,
            suspended,
            resumed: None,
            made: None,
        }
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
        Rotator { subject: String::new(), rule, last, run, over: None, suspended, resumed: None, made: None }
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

    /// Whether nodes expire during an event that are yet to be made, or are past their time; all else that rotates is there
    /// already.
    fn successors(&self, pool: &str, event: &Occurrence) -> (InEvent, Option<Message>) {
        let distance = self.rotation.node_pool.as_ref().and_then(|_| kubernetes::expiry_near_event(self.seen, pool, event));
        match distance {
            Some(distance) if distance.is_nan() => (InEvent::Unknown, Some(say!("when a node of {} expires cannot be told", named(pool)))),
            Some(distance) if distance <= self.config.guard.as_secs_f64() => {
                (InEvent::Conflict, Some(say!("a node of {} that is made before expires then, or one goes that should have gone", named(pool))))
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
    pub(super) fn run(&self, rotator: &Rotator, now: i64) -> Sample {
        let labels = [self.rotation.name.as_str(), &rotator.subject];
        let late = seconds(self.config.slow_after);
        // Secrets Manager was asked by its own dates, which know when it was switched on again.
        let since = rotator.last.or(rotator.over).or(rotator.made);
        let known = rotator.rule.as_ref().ok().zip(since).filter(|_| self.rotation.managed_secret.is_none());
        let resumed = rotator.resumed.filter(|(_, surely)| *surely).map(|(until, _)| until);
        let due = known.and_then(|(rule, since)| rule.due(resumed.map_or(since, |until| until.max(since))));
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
                None if since.is_none() && self.rotation.cron_jobs.is_some() && rotator.suspended != Some(true) => {
                    RUN.sample(labels, Ran::Unknown).with_detail("neither when it last ran nor when it was made is known")
                }
                None => RUN.sample(labels, Ran::Idle),
            },
        }
    }
}

fn moments(found: kubernetes::Moments) -> Vec<Rotator> {
    let rotator = |(subject, moments): (String, Result<Vec<i64>, Message>)| {
        let rule = moments.map(Rule::Moments);
        Rotator { subject, rule, last: None, run: Run::Unknown, over: None, suspended: None, resumed: None, made: None }
    };
    found.into_iter().map(rotator).collect()
}

impl Poll for Forecast {
    fn look<'a>(&'a mut self, seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        let at = Timestamp::now();
        async move { Ok(Observation { at, ..Observation::new(self.forecast(seen, at), self.config.rotations.len(), 0) }) }.boxed()
    }
}
