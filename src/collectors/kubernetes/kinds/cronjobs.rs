//! CronJobs by selector: when they run, ran and succeeded, and whether they are suspended.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use crate::collectors::kubernetes::kinds::resumed::written;
use crate::collectors::kubernetes::kinds::workloads::{WORKLOAD, labels};
use crate::collectors::kubernetes::reading::objects::{Kind, Place, Rows, flag, kind, or_default};
use crate::collectors::kubernetes::watching::visibility::{seen, seen_everywhere};
use crate::collectors::kubernetes::watching::watched::Matching;
use crate::metric::{Coverage, Family, Gauge, Sample, Unit, gauge, metrics};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::Snapshot;

const CRON_JOBS: Coverage = seen(&["CronJob"]);

metrics! {
    /// Families about CronJobs.
    pub(in crate::collectors::kubernetes) FAMILIES;

    static SUSPENDED: Gauge<5> =
        gauge("readiness_cronjob_suspended", Unit::Flag, &WORKLOAD, "Whether a CronJob is suspended, from spec.suspend in the Kubernetes API, or from spec.jobTemplate.spec.suspend where no queue of Kueue starts its Jobs.")
            .covered_by(CRON_JOBS);
    static SCHEDULE: Gauge<7> = gauge(
        "readiness_cronjob_schedule_info",
        Unit::Mark,
        &["cluster", "selector", "kind", "namespace", "name", "schedule", "time_zone"],
        "When a CronJob runs, from spec.schedule and spec.timeZone in the Kubernetes API; without a zone in that of the control plane, which is UTC on managed clusters.",
    )
    .covered_by(CRON_JOBS);
    static LAST_SCHEDULE: Gauge<5> = gauge(
        "readiness_cronjob_last_schedule_timestamp_seconds",
        Unit::Timestamp,
        &WORKLOAD,
        "When a CronJob was last started, from status.lastScheduleTime in the Kubernetes API.",
    )
    .covered_by(CRON_JOBS);
    static CREATED: Gauge<5> = gauge(
        "readiness_cronjob_created_timestamp_seconds",
        Unit::Timestamp,
        &WORKLOAD,
        "When a CronJob was made, from when on the first of its runs is due, from metadata.creationTimestamp in the Kubernetes API.",
    )
    .covered_by(CRON_JOBS);
    static LAST_SUCCESS: Gauge<5> = gauge(
        "readiness_cronjob_last_success_timestamp_seconds",
        Unit::Timestamp,
        &WORKLOAD,
        "When a run of a CronJob last succeeded, from status.lastSuccessfulTime in the Kubernetes API.",
    )
    .covered_by(CRON_JOBS);
    static RESUMED: Gauge<6> = gauge(
        "readiness_cronjob_resumed_timestamp_seconds",
        Unit::Timestamp,
        &["cluster", "selector", "kind", "namespace", "name", "writer"],
        "Until when a CronJob with spec.startingDeadlineSeconds, which does not make up for what was due before, may have been suspended: when whoever owns spec.suspend last wrote, which is that one alone (suspend) or a larger part of the CronJob (more). From managedFields in the Kubernetes API.",
    )
    .covered_by(CRON_JOBS.quiet());
    static ACTIVE: Gauge<5> =
        gauge("readiness_cronjob_active_jobs", Unit::Number, &WORKLOAD, "Jobs of a CronJob that run now, from status.active in the Kubernetes API.")
            .covered_by(CRON_JOBS);
    static RUN_FAILED: Gauge<5> = gauge(
        "readiness_cronjob_last_run_failed",
        Unit::Flag,
        &WORKLOAD,
        "Whether the last run of a CronJob is over and did not succeed: started later than the last success, and none active, from the Kubernetes API.",
    )
    .covered_by(CRON_JOBS);
}

kind!(CronJob, "batch", "v1", "cronjobs", "crate::collectors::kubernetes::reading::objects::written", spec: CronJobSpec, status: CronJobStatus);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct CronJobSpec {
    suspend: Option<bool>,
    #[serde(default, deserialize_with = "or_default")]
    schedule: String,
    time_zone: Option<String>,
    starting_deadline_seconds: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    job_template: Template,
}

/// What each of its Jobs is made from.
#[derive(Debug, Clone, Default, Deserialize)]
struct Template {
    #[serde(default, deserialize_with = "or_default")]
    metadata: TemplateMetadata,
    #[serde(default, deserialize_with = "or_default")]
    spec: TemplateSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct TemplateMetadata {
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct TemplateSpec {
    suspend: Option<bool>,
}

/// The label by which a queue takes a suspended Job, and starts it.
/// Source: <https://kueue.sigs.k8s.io/docs/tasks/run/jobs/>
const QUEUE: &str = "kueue.x-k8s.io/queue-name";

impl CronJobSpec {
    /// Whether it starts nothing: no Job, or Jobs that nobody starts.
    fn is_suspended(&self) -> bool {
        let Template { metadata, spec } = &self.job_template;
        self.suspend == Some(true) || spec.suspend == Some(true) && !metadata.labels.contains_key(QUEUE)
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct CronJobStatus {
    last_schedule_time: Option<Time>,
    last_successful_time: Option<Time>,
    #[serde(default, deserialize_with = "or_default")]
    active: Vec<serde::de::IgnoredAny>,
}

/// What is kept of a CronJob.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Schedule {
    suspended: bool,
    /// The expression and the zone.
    times: (String, String),
    created: Option<i64>,
    started: Option<i64>,
    succeeded: Option<i64>,
    active: usize,
    /// When it may have been resumed, and whether its writer writes nothing else.
    resumed: Option<(i64, bool)>,
}

impl Kind for CronJob {
    type Row = Schedule;
    const KIND: &'static str = "CronJob";
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES];

    fn row(self) -> Schedule {
        let second = |time: Option<Time>| time.map(|time| time.0.as_second());
        Schedule {
            suspended: self.spec.is_suspended(),
            resumed: self.spec.starting_deadline_seconds.and_then(|_| written(&self.metadata)),
            times: (self.spec.schedule, self.spec.time_zone.unwrap_or_default()),
            created: second(self.metadata.creation_timestamp),
            started: second(self.status.last_schedule_time),
            succeeded: second(self.status.last_successful_time),
            active: self.status.active.len(),
        }
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        for (key, row) in rows.iter() {
            samples.push(SUSPENDED.sample(labels(place, key), flag(row.suspended)));
            let [cluster, selector, kind, namespace, name] = labels(place, key);
            let (schedule, zone) = (row.times.0.as_str().into(), row.times.1.as_str().into());
            let moment = |at: i64| at.saturating_sub(place.clock.ahead()) as f64;
            if let Some((at, is_alone)) = row.resumed.filter(|_| !row.suspended) {
                let writer = if is_alone { "suspend" } else { "more" };
                let labels = [&cluster, &selector, &kind, &namespace, &name].map(Arc::clone);
                let [cluster, selector, kind, namespace, name] = labels;
                samples.push(RESUMED.sample([cluster, selector, kind, namespace, name, writer.into()], moment(at)));
            }
            samples.push(SCHEDULE.sample([cluster, selector, kind, namespace, name, schedule, zone], 1.0));
            samples.push(ACTIVE.sample(labels(place, key), row.active as f64));
            // A Job that ended and was cleaned up leaves only the two times behind.
            let failed = row.active == 0 && row.started > row.succeeded;
            samples.push(RUN_FAILED.sample(labels(place, key), flag(failed)));
            let moments = [(&CREATED, row.created), (&LAST_SCHEDULE, row.started), (&LAST_SUCCESS, row.succeeded)];
            samples.extend(moments.iter().filter_map(|(family, at)| at.map(|at| family.sample(labels(place, key), moment(at)))));
        }
    }
}

/// A CronJob as others read of it.
pub(in crate::collectors) struct CronJobFacts {
    /// Cluster, namespace and name.
    pub(in crate::collectors) subject: String,
    pub(in crate::collectors) schedule: String,
    pub(in crate::collectors) time_zone: String,
    pub(in crate::collectors) suspended: bool,
    /// When it was made, in Unix seconds.
    pub(in crate::collectors) created: Option<i64>,
    /// When it was last started, in Unix seconds.
    pub(in crate::collectors) last: Option<i64>,
    /// When a run of it last succeeded, in Unix seconds.
    pub(in crate::collectors) succeeded: Option<i64>,
    /// Whether a run of it is under way.
    pub(in crate::collectors) active: bool,
    /// Whether its last run is over and did not succeed.
    pub(in crate::collectors) failed: bool,
    /// Until when it may have been suspended, if it does not make up for what was due before, and whether it surely was.
    pub(in crate::collectors) resumed: Option<(i64, bool)>,
}

/// The facts of one CronJob that a selector finds: its schedule, when it was last started, and when it last succeeded.
#[cfg(test)]
pub(in crate::collectors) fn cron_job_facts(selector: &str, schedule: &str, started: i64, succeeded: Option<i64>) -> Vec<Sample> {
    let labels = ["eu", selector, "CronJob", "ws", "rotate-key"];
    let [cluster, selector, kind, namespace, name] = labels;
    let found = crate::collectors::kubernetes::watching::visibility::SELECTOR.sample([cluster, selector, kind], Matching::Matched);
    let times = SCHEDULE.sample([cluster, selector, kind, namespace, name, schedule, ""], 1.0);
    let last = LAST_SCHEDULE.sample(labels, started as f64);
    [found, times, last].into_iter().chain(succeeded.map(|at| LAST_SUCCESS.sample(labels, at as f64))).collect()
}

/// The CronJobs of a selector in all clusters, or why they are not all known.
pub(in crate::collectors) fn cron_jobs(seen: &Snapshot, selector: &str) -> Result<Vec<CronJobFacts>, Message> {
    let own = |sample: &&Sample| sample.label("selector") == Some(selector);
    seen_everywhere(seen, SCHEDULE.0.name, selector, &[Matching::Matched])?;
    let jobs: Vec<_> = seen
        .samples_of(SCHEDULE.0.name)
        .filter(own)
        .map(|sample| {
            let label = |name: &str| sample.label(name).unwrap_or_default();
            let same = |other: &&Sample| ["cluster", "namespace", "name", "selector"].iter().all(|name| other.label(name) == sample.label(name));
            let number = |family: &Family| seen.samples_of(family.name).find(same).map(|sample| sample.value);
            CronJobFacts {
                subject: format!("{}/{}/{}", label("cluster"), label("namespace"), label("name")),
                schedule: label("schedule").to_owned(),
                time_zone: label("time_zone").to_owned(),
                suspended: number(&SUSPENDED.0).is_some_and(|suspended| suspended > 0.0),
                created: seen.samples_of(CREATED.0.name).find(same).map(Sample::second),
                last: seen.samples_of(LAST_SCHEDULE.0.name).find(same).map(Sample::second),
                succeeded: seen.samples_of(LAST_SUCCESS.0.name).find(same).map(Sample::second),
                active: number(&ACTIVE.0).is_some_and(|active| active > 0.0),
                failed: number(&RUN_FAILED.0).is_some_and(|failed| failed > 0.0),
                resumed: seen.samples_of(RESUMED.0.name).find(same).map(|sample| (sample.second(), sample.label("writer") == Some("suspend"))),
            }
        })
        .collect();
    if jobs.is_empty() { Err(say!("no CronJob of {} was seen", named(selector))) } else { Ok(jobs) }
}
