//! Secrets of AWS Secrets Manager: whether they are there, when they were rotated, when next, and
//! whether a rotation is stuck. Descriptions only; no value is read here.
//!
//! Source: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html>

pub(super) mod config;
mod rotating;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::primitives::DateTime;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

pub use config::{Config, ManagedSecret};

use super::kubernetes::{ClusterConfig, Permission};
use super::section::{Estate, Section};
use crate::aws::{self, Caller, Callers};
use crate::driver::{Form, Poll, Task};
use crate::made::Made;
use crate::metric::{Family, Gauge, Sample, StateSet, States as _, Unit, gauge, metrics, state_set, states};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot, Source};
use crate::value::names::Visit;
use crate::value::rules::References;
use crate::value::{Problem, Span};

/// The `collector` label.
pub const NAME: &str = "secrets_manager";

states! {
    /// Whether a secret can be read.
    enum Presence {
        Present => "present",
        Empty => "empty",
        Deleted => "deleted",
        Absent => "absent",
        Unknown => "unknown",
    }
}

states! {
    /// How the rotation of a secret goes.
    pub(in crate::collectors) enum Going {
        Done => "done",
        Off => "off",
        Never => "never",
        Rotating => "rotating",
        Pending => "pending",
        Overdue => "overdue",
        Unknown => "unknown",
    }
}

metrics! {
    /// Families of this collector.
    pub FAMILIES;

    static STATE: StateSet<Presence, 1> = state_set(
        "readiness_secretsmanager_secret_state",
        &["secret"],
        "Whether a secret is there, there without a version that is current, so that nobody can read it, or scheduled for deletion; from DescribeSecret of AWS Secrets Manager.",
    );
    static ROTATION: StateSet<Going, 1> = state_set(
        "readiness_secretsmanager_rotation_state",
        &["secret"],
        "How the rotation of a secret goes: done and waiting for the next, off, on but never done, rotating with a version that is not current yet, pending with one for longer than a rotation may take, or overdue; from DescribeSecret of AWS Secrets Manager.",
    );
    static LAST_ROTATED: Gauge<1> = gauge(
        "readiness_secretsmanager_last_rotated_timestamp_seconds",
        Unit::Timestamp,
        &["secret"],
        "When a secret was last rotated, from LastRotatedDate of AWS Secrets Manager; nothing when it never was.",
    );
    static LAST_CHANGED: Gauge<1> = gauge(
        "readiness_secretsmanager_last_changed_timestamp_seconds",
        Unit::Timestamp,
        &["secret"],
        "When a secret was last changed, by rotation or by hand, from LastChangedDate of AWS Secrets Manager.",
    );
    static NEXT: Gauge<1> = gauge(
        "readiness_secretsmanager_next_rotation_timestamp_seconds",
        Unit::Timestamp,
        &["secret"],
        "When a secret is rotated next at the latest, from NextRotationDate of AWS Secrets Manager.",
    );
    static RULE: Gauge<3> = gauge(
        "readiness_secretsmanager_rotation_rule_info",
        Unit::Mark,
        &["secret", "schedule", "window"],
        "By what rule a secret is rotated and how long its window is, from RotationRules of AWS Secrets Manager; nothing while rotation is off.",
    );
}

impl Section for Config {
    const NAME: &'static str = NAME;
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES];

    fn rules(&self, path: &str, _: &References<'_>, problems: &mut Vec<Problem>) {
        self.validate(path, problems);
    }

    fn odd(&self, _: &str, _: &[ClusterConfig], _: &mut Vec<Problem>) {}

    fn offers<'a>(&'a self, references: &mut References<'a>) {
        references.managed_secrets.extend(self.secrets.iter().map(|secret| secret.name.as_str()));
    }

    fn names(&mut self, _: &str, _: &mut Visit<'_>) {}

    fn permissions(&self, _: &ClusterConfig) -> Vec<Permission> {
        Vec::new()
    }

    fn tasks(&self, _: &Estate<'_>) -> Result<Vec<Task>, Message> {
        Ok(tasks(self))
    }
}

/// One task for each secret.
fn tasks(config: &Config) -> Vec<Task> {
    let mut callers = Callers::default();
    let task = |secret: &ManagedSecret| Task {
        source: Source {
            identity: [("secret", secret.name.as_str())].into(),
            emits: FAMILIES.iter().map(|family| family.name).collect(),
            ..Source::new(NAME, &secret.name, config.interval.0)
        },
        timeout: config.timeout.0 * 2,
        form: Made::of(
            (callers.of(&secret.region, secret.role_arn.as_deref()), secret.clone(), config.timeout.0, config.slow_after),
            |(caller, secret, timeout, slow)| {
                Form::poll(Looker { caller: Arc::clone(caller), secret: secret.clone(), timeout: *timeout, slow: *slow, pending: None })
            },
        ),
    };
    config.secrets.iter().map(task).collect()
}

/// A client. The next look is the retry; the SDK's own would eat up the deadline.
pub(in crate::collectors) async fn client(caller: &Caller) -> Result<aws_sdk_secretsmanager::Client, Message> {
    let config = aws_sdk_secretsmanager::config::Builder::from(caller.settings().await?).retry_config(RetryConfig::disabled());
    Ok(aws_sdk_secretsmanager::Client::from_conf(config.build()))
}

/// Whether an answer is about the secret that was asked for: by its name, or by its ARN, of which the
/// random end may be left out. Whatever answers in the place of AWS knows neither.
pub(in crate::collectors) fn is_about(id: &str, name: Option<&str>, arn: Option<&str>) -> bool {
    if id.starts_with("arn:") { arn.is_some_and(|arn| arn.starts_with(id)) } else { name == Some(id) }
}

struct Looker {
    secret: ManagedSecret,
    caller: Arc<Caller>,
    timeout: Duration,
    /// How long a rotation may take.
    slow: Span,
    /// The version that was pending at the last look, and when that was first seen.
    pending: Option<(String, i64)>,
}

impl Looker {
    async fn ask(&mut self) -> Result<Observation, CollectError> {
        let ManagedSecret { region, id, .. } = &self.secret.clone();
        let client = client(&self.caller).await.map_err(|why| CollectError::new(ErrorClass::Local, why))?;
        let what = say!("describe secret {} of Secrets Manager in {}", named(id), named(region));
        let samples = match aws::within(&what, self.timeout, client.describe_secret().secret_id(id).send()).await {
            Ok(said) if !is_about(id, said.name(), said.arn()) => {
                return Err(CollectError::new(ErrorClass::Malformed, say!("{}: the answer is about no such secret", what)));
            }
            Ok(said) => self.facts(&said, Timestamp::now().as_second()),
            Err(error) if error.class == ErrorClass::NotFound => self.without(Presence::Absent, error.message),
            Err(error) if error.class == ErrorClass::Denied => self.without(Presence::Unknown, error.message),
            Err(error) => return Err(error),
        };
        Ok(Observation::new(samples, 1, 1))
    }

    fn without(&self, state: Presence, why: Message) -> Vec<Sample> {
        let name = [self.secret.name.as_str()];
        vec![STATE.sample(name, state).with_detail(&why), ROTATION.sample(name, Going::Unknown).with_detail(why)]
    }

    fn facts(&mut self, said: &DescribeSecretOutput, now: i64) -> Vec<Sample> {
        self.pending = rotating::pending_since(self.pending.take(), said, now);
        let run = rotating::state(said, self.pending.as_ref().map(|(_, since)| *since), self.slow, now);
        let name = [self.secret.name.as_str()];
        let mut samples = vec![STATE.sample(name, state(said)), ROTATION.sample(name, run)];
        let dates = [(&LAST_ROTATED, said.last_rotated_date()), (&LAST_CHANGED, said.last_changed_date()), (&NEXT, said.next_rotation_date())];
        samples.extend(dates.into_iter().filter_map(|(family, at)| Some(family.sample(name, at.map(DateTime::secs)? as f64))));
        if let Some(rule) = rotating::rule(said) {
            samples.push(RULE.sample([name[0], &rule.schedule, &rule.window], 1.0));
        }
        samples
    }
}

/// Whether a secret can be read. One that was created without a value, or whose last version lost its label, cannot.
/// Source: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
fn state(said: &DescribeSecretOutput) -> Presence {
    match said.deleted_date() {
        Some(_) => Presence::Deleted,
        None if rotating::versions(said, rotating::CURRENT).next().is_none() => Presence::Empty,
        None => Presence::Present,
    }
}

/// What the description of a secret says about its rotation.
pub(in crate::collectors) struct RotationFacts {
    /// `rate(4 hours)`, `cron(...)`; `None` while rotation is off.
    pub(in crate::collectors) schedule: Option<String>,
    /// `3h`; empty for the default.
    pub(in crate::collectors) window: String,
    pub(in crate::collectors) last: Option<i64>,
    pub(in crate::collectors) run: Going,
}

/// The rotation of a secret as it was last seen, or why it is not known.
pub(in crate::collectors) fn rotation_of(seen: &Snapshot, secret: &str) -> Result<RotationFacts, Message> {
    let own = |family: &'static str| seen.samples_of(family).find(move |sample| sample.label("secret") == Some(secret));
    let run = own(ROTATION.0.name).ok_or_else(|| say!("secret {} is not known", named(secret)))?;
    let run = Going::of(run).filter(|state| *state != Going::Unknown).ok_or_else(|| run.detail.clone().unwrap_or_else(|| say!("it could not be seen")))?;
    let rule = own(RULE.0.name);
    let last = own(LAST_ROTATED.0.name).map(Sample::second);
    let label = |name: &str| rule.and_then(|rule| rule.label(name)).map(str::to_owned);
    Ok(RotationFacts { schedule: label("schedule"), window: label("window").unwrap_or_default(), last, run })
}

impl Poll for Looker {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        self.ask().boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_about_the_secret_that_was_asked_for() {
        let arn = "arn:aws:secretsmanager:us-east-2:123456789012:secret:database-a1b2c3";
        for id in ["database", arn, &arn[..arn.len() - 7]] {
            assert!(is_about(id, Some("database"), Some(arn)), "{id}");
            assert!(
                !is_about(id, None, None) && !is_about(id, Some("other"), Some("arn:aws:secretsmanager:us-east-2:123456789012:secret:other-a1b2c3")),
                "{id}"
            );
        }
    }

    #[test]
    fn a_secret_without_a_current_version_is_empty() {
        let stages = |labels: &[&str]| Some(labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>());
        let of = |labels: &[&str]| DescribeSecretOutput::builder().version_ids_to_stages("v1", stages(labels).unwrap_or_default());
        assert_eq!(state(&of(&["AWSCURRENT"]).build()), Presence::Present);
        assert_eq!(state(&of(&["AWSCURRENT"]).deleted_date(DateTime::from_secs(1)).build()), Presence::Deleted);
        for said in [DescribeSecretOutput::builder(), of(&[]), of(&["AWSPREVIOUS"]), of(&["AWSPENDING"])] {
            assert_eq!(state(&said.build()), Presence::Empty);
        }
    }
}
