//! Rotations, maintenance windows and whatever else restarts by itself: when next, and whether that
//! hits an event.
//!
//! Looks at nothing itself: schedules and suspensions are what the Kubernetes collector saw, last
//! rotations what the collectors of credentials and of Secrets Manager saw. When something last rotated is
//! remembered in the state file, so that a restart does not lose it.

pub(super) mod config;
mod forecast;
mod hand;
mod lapse;
pub(super) mod managed;
mod metrics;
mod predict;
mod reach;
mod renewal;
mod times;
mod way;

use std::sync::Arc;

pub use config::{Config, Consumer, Copies, Every, Rotation};
pub(in crate::collectors) use renewal::{Renewal, Renewals};

use self::forecast::Forecast;
use self::metrics::{CONFLICT, FAMILIES, LAST, NEXT, RUN, SUSPENSION};
use super::kubernetes::{ClusterConfig, Permission};
use super::section::{Estate, Part, Section, left_out};
use super::{credentials, kubernetes, secrets_manager};
use crate::driver::{Form, Task};
use crate::event::Schedule;
use crate::made::{Made, Shared};
use crate::metric::Family;
use crate::say::Message;
use crate::snapshot::{Source, Subject, Subjects};
use crate::state::State;
use crate::value::Problem;
use crate::value::names::Visit;
use crate::value::rules::References;

/// The `collector` label.
pub const NAME: &str = "rotations";

/// Collectors whose facts are read.
const READS: &[&str] = &[kubernetes::NAME, credentials::NAME, secrets_manager::NAME];

impl Section for Config {
    const NAME: &'static str = NAME;
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES, lapse::FAMILIES, reach::FAMILIES];

    fn rules(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        self.validate(path, references, problems);
    }

    fn odd(&self, _: &str, _: &[ClusterConfig], _: &mut Vec<Problem>) {}

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

#[cfg(test)]
mod tests;
