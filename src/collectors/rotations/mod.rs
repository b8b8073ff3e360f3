//! Rotations, maintenance windows and whatever else restarts by itself: when next, and whether that
//! hits an event.
//!
//! Looks at nothing itself: schedules and suspensions are what the Kubernetes collector saw, last
//! rotations what the credentials collector saw.

mod config;
mod predict;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

pub use config::{Config, Every, Rotation};

use super::{credentials, kubernetes};
use crate::driver::{Form, Poll, Task};
use crate::event::{self, Schedule};
use crate::metric::{Family, Gauge, Sample, StateSet, Unit, gauge, state_set};
use crate::snapshot::{CollectError, Observation, Snapshot, Source};
use predict::{Conflict, Rule};

/// The `collector` label.
pub const NAME: &str = "rotations";

const LABELS: [&str; 2] = ["rotation", "subject"];

static CONFLICT: StateSet<3> = state_set(
    "readiness_rotation_conflict_state",
    &["none", "conflict", "possible", "unknown"],
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
    "When something rotated last, from its CronJob or from the change of its credential.",
);
static SUSPENSION: StateSet<2> = state_set(
    "readiness_rotation_suspension_state",
    &["running", "suspended_for_event", "forgotten"],
    &LABELS,
    "Whether a rotation runs, is suspended with an event at hand, or is suspended without one, which lets keys lapse. From spec.suspend in the Kubernetes API.",
);

/// Families of this collector.
pub static FAMILIES: &[&Family] = &[&CONFLICT.0, &NEXT.0, &LAST.0, &SUSPENSION.0];

/// One task for each rotation.
pub fn tasks(config: &Config, schedules: &[Schedule]) -> Vec<Task> {
    let one = |rotation: &Rotation| {
        let mut emits = vec![CONFLICT.0.name, NEXT.0.name];
        if rotation.schedule.is_none() {
            emits.push(LAST.0.name);
        }
        if rotation.cron_jobs.is_some() {
            emits.push(SUSPENSION.0.name);
        }
        if schedules.is_empty() {
            emits.retain(|name| *name != CONFLICT.0.name);
        }
        let interval = config.interval.0;
        Task {
            source: Source {
                collector: NAME,
                name: rotation.name.clone(),
                identity: vec![("rotation", rotation.name.clone())],
                covers: Vec::new(),
                emits,
                off: off(config),
                interval,
                keep: interval * 3,
            },
            fingerprint: format!("{config:?} {schedules:?} {}", rotation.name),
            timeout: interval,
            after: &[kubernetes::NAME, credentials::NAME],
            form: Form::Poll(Box::new(Forecast { config: config.clone(), rotation: rotation.clone(), schedules: schedules.to_vec() })),
        }
    };
    config.rotations.iter().map(one).collect()
}

fn off(config: &Config) -> Vec<(&'static str, &'static str)> {
    let has_cron_jobs = config.rotations.iter().any(|rotation| rotation.cron_jobs.is_some());
    let suspends = (!has_cron_jobs).then_some((SUSPENSION.0.name, "rotations[].cron_jobs"));
    suspends.into_iter().collect()
}

/// Forecasts one rotation.
struct Forecast {
    config: Config,
    rotation: Rotation,
    schedules: Vec<Schedule>,
}

/// Something that rotates, as far as it is known.
struct Rotator {
    /// Which object, for rotations that mean several.
    subject: String,
    rule: Result<Rule, String>,
    last: Option<i64>,
    suspended: Option<bool>,
}

impl Forecast {
    fn forecast(&self, seen: &Snapshot, now: Timestamp) -> Vec<Sample> {
        let rotators = self.rotators(seen);
        rotators.iter().flat_map(|rotator| self.facts(rotator, now)).collect()
    }

    fn rotators(&self, seen: &Snapshot) -> Vec<Rotator> {
        let Rotation { cron_jobs, schedule, time_zone, every, .. } = &self.rotation;
        let single = |rule: Result<Rule, String>, last: Option<i64>| vec![Rotator { subject: String::new(), rule, last, suspended: None }];
        if let Some(schedule) = schedule {
            return single(Rule::schedule(schedule, time_zone), None);
        }
        if let Some(Every { min, max, credential }) = every {
            let last = credentials::last_changed(seen, credential);
            let seconds = |span: &crate::config::Span| i64::try_from(span.0.as_secs()).unwrap_or(i64::MAX / 4);
            let rule = last.map(|last| Rule::Interval { min: seconds(min), max: seconds(max), last });
            return single(rule.ok_or_else(|| format!("when credential {credential} was last changed is not known")), last);
        }
        let selector = cron_jobs.as_deref().unwrap_or_default();
        match kubernetes::cron_jobs(seen, selector) {
            Err(why) => vec![Rotator { subject: String::new(), rule: Err(why), last: None, suspended: None }],
            Ok(jobs) => jobs
                .into_iter()
                .map(|job| Rotator {
                    rule: Rule::schedule(&job.schedule, &job.time_zone),
                    subject: job.subject,
                    last: job.last,
                    suspended: Some(job.suspended),
                })
                .collect(),
        }
    }

    fn facts(&self, rotator: &Rotator, now: Timestamp) -> Vec<Sample> {
        let Rotator { subject, rule, last, suspended } = rotator;
        let (name, now_second) = (self.rotation.name.as_str(), now.as_second());
        let mut samples: Vec<Sample> = last.iter().map(|at| LAST.sample([name, subject], *at as f64)).collect();
        let occurrences = event::by_checklist(&self.schedules, now);
        let suspended = *suspended == Some(true);
        if rotator.suspended.is_some() {
            let ahead = self.config.suspend_before.as_secs_f64();
            let at_hand = occurrences.values().any(|event| (event.start.as_second() - now_second) as f64 <= ahead);
            let state = match (suspended, at_hand) {
                (false, _) => "running",
                (true, true) => "suspended_for_event",
                (true, false) => "forgotten",
            };
            samples.push(SUSPENSION.sample([name, subject], state));
        }
        let next = rule.as_ref().ok().filter(|_| !suspended).and_then(|rule| rule.next(now_second));
        if let Some((earliest, latest)) = next {
            for (bound, at) in [("earliest", earliest), ("latest", latest)] {
                samples.push(NEXT.sample([name, subject, bound], at as f64));
            }
        }
        let guard = i64::try_from(self.config.guard.0.as_secs()).unwrap_or_default();
        for event in occurrences.values() {
            let labels = [name, subject, &event.name];
            let moment = |at: i64| Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.to_string());
            samples.push(match rule {
                _ if suspended => CONFLICT.sample(labels, "none").with_detail("it is suspended"),
                Err(why) => CONFLICT.sample(labels, "unknown").with_detail(why),
                // What is over cannot hit any more, but what it stirred up may last.
                Ok(rule) => match rule.conflict(event.start.as_second().max(now_second), event.end.as_second(), guard) {
                    Conflict::None => CONFLICT.sample(labels, "none"),
                    Conflict::Certain(at) => CONFLICT.sample(labels, "conflict").with_detail(&format!("it rotates at {}", moment(at))),
                    Conflict::Possible(at) => CONFLICT.sample(labels, "possible").with_detail(&format!("from {} on it may rotate", moment(at))),
                },
            });
        }
        samples
    }
}

impl Poll for Forecast {
    fn look<'a>(&'a mut self, seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        async { Ok(Observation::new(self.forecast(seen, Timestamp::now()), 1, 0)) }.boxed()
    }
}
