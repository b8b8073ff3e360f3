//! Configuration of rotations, and its rules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::predict::Rule;
use crate::config::validate::{References, interval, name, quoted, unique};
use crate::config::{Problem, Span};

/// What rotates, renews or restarts by itself, and whether that hits an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Time between looks.
    pub interval: Span,
    /// How long after a rotation its consequences last.
    pub guard: Span,
    /// How long before an event something may be suspended for it.
    pub suspend_before: Span,
    /// What rotates.
    pub rotations: Vec<Rotation>,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: Span::mins(1), guard: Span::mins(8), suspend_before: Span::days(2), rotations: Vec::new() }
    }
}

/// Something that rotates: exactly one of `cron_jobs`, `schedule` and `every`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Unique name, the `rotation` label.
    pub name: String,
    /// A selector of `kubernetes.workloads` of kind CronJob; each of its objects rotates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_jobs: Option<String>,
    /// A cron expression, such as that of a maintenance window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Its IANA time zone; UTC when left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub time_zone: String,
    /// At some moment within this time after the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Every>,
}

/// An interval that is only known by its bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Every {
    /// Not before this.
    pub min: Span,
    /// Not after this.
    pub max: Span,
    /// The credential whose last change was the last rotation.
    pub credential: String,
}

impl Config {
    /// Reports every rule that this section breaks.
    pub(crate) fn validate(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        interval(&format!("{path}.interval"), self.interval, problems);
        unique(&format!("{path}.rotations"), self.rotations.iter().map(|rotation| rotation.name.as_str()), problems);
        for (index, rotation) in self.rotations.iter().enumerate() {
            rotation.validate(&format!("{path}.rotations[{index}]"), references, problems);
        }
    }
}

impl Rotation {
    fn validate(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        name(&format!("{path}.name"), &self.name, problems);
        let ways = [self.cron_jobs.is_some(), self.schedule.is_some(), self.every.is_some()];
        if ways.iter().filter(|way| **way).count() != 1 {
            problems.push(Problem::bare(path, "must have exactly one of cron_jobs, schedule and every"));
        }
        if let Some(selector) = &self.cron_jobs {
            references.workload(&format!("{path}.cron_jobs"), selector, problems);
        }
        if let Some(Err(why)) = self.schedule.as_ref().map(|schedule| Rule::schedule(schedule, &self.time_zone)) {
            problems.push(Problem::new(
                format!("{path}.schedule"),
                format!("must be a cron expression in a time zone: {why}"),
                quoted(self.schedule.as_deref().unwrap_or_default()),
            ));
        }
        if let Some(every) = &self.every {
            if every.min.0.is_zero() || every.min > every.max {
                problems.push(Problem::bare(format!("{path}.every"), "must have a min above 0 and a max that is not below it"));
            }
            references.credential(&format!("{path}.every.credential"), &every.credential, problems);
        }
    }
}
