//! Configuration of rotations, and its rules.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::predict::{Rule, time_zone};
use crate::say;
use crate::value::rules::{References, interval, name, once, quoted, unique};
use crate::value::{Problem, Span};

/// What rotates, renews or restarts by itself, and whether that hits an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "RotationsCollector")]
pub struct Config {
    /// Time between looks.
    pub interval: Span,
    /// How long after a rotation its consequences last.
    pub guard: Span,
    /// How long before an event something may be suspended for it.
    pub suspend_before: Span,
    /// How long one rotation may take, and how late it may begin.
    pub slow_after: Span,
    /// What rotates.
    pub rotations: Vec<Rotation>,
    /// Credentials that must be the same everywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<Copies>,
    /// Workloads that read a credential only when they start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<Consumer>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Span::mins(1),
            guard: Span::mins(8),
            suspend_before: Span::days(2),
            slow_after: Span::mins(10),
            rotations: Vec::new(),
            copies: Vec::new(),
            consumers: Vec::new(),
        }
    }
}

/// Something that rotates: exactly one of `cron_jobs`, `schedule`, `every`, `managed_secret`,
/// `node_pool` and `certificates`.
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
    /// How long the window of a `schedule` is, at some moment of which it happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// At some moment within this time after the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Every>,
    /// A secret of `secrets_manager.secrets`, by its own rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_secret: Option<String>,
    /// A NodePool of Karpenter, whose nodes are drained by force when they expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_pool: Option<String>,
    /// The credential that it renews, and that lapses while it is suspended; that of `every` need not
    /// be named again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// How long what it renews lives, where no credential tells: `8h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Span>,
    /// How long what it makes may be on its way to where the credential is read, such as `refreshInterval` of
    /// external-secrets. Without it nobody knows for an hour, and a key that comes later than `slow_after` is one that was
    /// made by somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrives_within: Option<Span>,
    /// A namespace whose certificates cert-manager renews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<String>,
}

/// Copies of one credential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Copies {
    /// Unique name, the `copies` label.
    pub name: String,
    /// The credentials that must be the same.
    pub credentials: Vec<String>,
}

/// Workloads that must be restarted when a credential has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// The credential.
    pub credential: String,
    /// A selector of `kubernetes.workloads`.
    pub workloads: String,
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
    /// A selector of `kubernetes.workloads` whose Deployment rotates; without replicas it is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workloads: Option<String>,
}

impl Config {
    /// Reports every rule that this section breaks.
    pub(crate) fn validate(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        interval(&format!("{path}.interval"), self.interval, problems);
        unique(&format!("{path}.rotations"), self.rotations.iter().map(|rotation| rotation.name.as_str()), problems);
        for (index, rotation) in self.rotations.iter().enumerate() {
            rotation.validate(&format!("{path}.rotations[{index}]"), references, problems);
        }
        unique(&format!("{path}.copies"), self.copies.iter().map(|copies| copies.name.as_str()), problems);
        for (index, copies) in self.copies.iter().enumerate() {
            let path = format!("{path}.copies[{index}]");
            name(&format!("{path}.name"), &copies.name, problems);
            // A credential is always equal to itself.
            once(&format!("{path}.credentials"), copies.credentials.iter(), problems);
            if copies.credentials.len() < 2 {
                problems.push(Problem::bare(format!("{path}.credentials"), "must name at least two credentials"));
            }
            for (position, credential) in copies.credentials.iter().enumerate() {
                references.credential(&format!("{path}.credentials[{position}]"), credential, problems);
            }
        }
        once(&format!("{path}.consumers"), self.consumers.iter().map(|consumer| format!("{} {}", consumer.credential, consumer.workloads)), problems);
        for (index, consumer) in self.consumers.iter().enumerate() {
            references.credential(&format!("{path}.consumers[{index}].credential"), &consumer.credential, problems);
            references.workload(&format!("{path}.consumers[{index}].workloads"), &consumer.workloads, problems);
        }
    }

    /// Credentials whose content is compared with that of others.
    pub(in crate::collectors) fn compared(&self) -> BTreeSet<&str> {
        self.copies.iter().flat_map(|copies| &copies.credentials).map(String::as_str).collect()
    }
}

impl Rotation {
    fn validate(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        name(&format!("{path}.name"), &self.name, problems);
        let ways = [
            self.cron_jobs.is_some(),
            self.schedule.is_some(),
            self.every.is_some(),
            self.managed_secret.is_some(),
            self.node_pool.is_some(),
            self.certificates.is_some(),
        ];
        if ways.iter().filter(|way| **way).count() != 1 {
            problems.push(Problem::bare(path, "must have exactly one of cron_jobs, schedule, every, managed_secret, node_pool and certificates"));
        }
        if self.schedule.is_none() && (self.duration.is_some() || !self.time_zone.is_empty()) {
            problems.push(Problem::bare(path, "must have duration and time_zone only with schedule"));
        }
        if !self.can_be_suspended() && (self.credential.is_some() || self.lifetime.is_some()) {
            problems.push(Problem::bare(path, "must have credential and lifetime only with what can be suspended: cron_jobs, managed_secret, every.workloads"));
        }
        if let Some(credential) = &self.credential {
            references.credential(&format!("{path}.credential"), credential, problems);
        }
        if self.arrives_within.is_some() && self.renewed_credential().is_none() {
            problems.push(Problem::bare(path, "must have arrives_within only with a credential that it renews"));
        }
        if self.lifetime.is_some_and(|lifetime| lifetime.0.is_zero()) {
            problems.push(Problem::bare(format!("{path}.lifetime"), "must be greater than 0"));
        }
        if let Some(secret) = &self.managed_secret {
            references.managed_secret(&format!("{path}.managed_secret"), secret, problems);
        }
        if let Some(selector) = &self.cron_jobs {
            references.workload(&format!("{path}.cron_jobs"), selector, problems);
        }
        self.validate_schedule(path, problems);
        if let Some(every) = &self.every {
            if every.min.0.is_zero() || every.min > every.max {
                problems.push(Problem::bare(format!("{path}.every"), "must have a min above 0 and a max that is not below it"));
            }
            references.credential(&format!("{path}.every.credential"), &every.credential, problems);
            if let Some(workloads) = &every.workloads {
                references.workload(&format!("{path}.every.workloads"), workloads, problems);
            }
        }
    }

    fn validate_schedule(&self, path: &str, problems: &mut Vec<Problem>) {
        let Some(schedule) = &self.schedule else { return };
        if let Err(why) = time_zone(&self.time_zone) {
            problems.push(Problem::new(format!("{path}.time_zone"), say!("must be an IANA time zone: {}", why), quoted(&self.time_zone)));
        }
        let wrong = match Rule::schedule(schedule, "", 0) {
            Err(why) => say!("must be a schedule that can be read: {}", why),
            // What never rotates would be told of every event as what does not hit it.
            Ok(rule) if rule.next(0).is_none() => say!("must describe a time that exists"),
            Ok(_) => return,
        };
        problems.push(Problem::new(format!("{path}.schedule"), wrong, quoted(schedule)));
    }
}
