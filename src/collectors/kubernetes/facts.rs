//! Metrics of the `kubernetes` collector, and the pure step from rows to samples.

use std::collections::BTreeMap;

use super::config::WorkloadKind;
use super::objects::Row;
use super::watch::{Scope, Seen, Wanted};
use crate::metric::{Coverage, Family, Gauge, Sample, StateSet, Unit, gauge, state_set};
use crate::snapshot::Snapshot;

const WORKLOAD: [&str; 5] = ["cluster", "selector", "kind", "namespace", "name"];
const SERVICE: [&str; 3] = ["cluster", "namespace", "name"];

const SELECTOR_STATE_NAME: &str = "readiness_selector_state";
const NODES: Coverage = Coverage { states: SELECTOR_STATE_NAME, seen: &["matched"], quiet: false, kinds: &["Node"] };
const WORKLOADS: Coverage = Coverage { states: SELECTOR_STATE_NAME, seen: &["matched"], quiet: false, kinds: &["Deployment", "StatefulSet", "DaemonSet"] };
const CRON_JOBS: Coverage = Coverage { states: SELECTOR_STATE_NAME, seen: &["matched"], quiet: false, kinds: &["CronJob"] };
const SERVICES: Coverage = Coverage { states: SELECTOR_STATE_NAME, seen: &["matched"], quiet: false, kinds: &["Service"] };

static VERSION: Gauge<2> =
    gauge("readiness_kubernetes_version_info", Unit::Number, &["cluster", "version"], "Version that the API server reports at /version.");
static SELECTOR: StateSet<3> = state_set(
    SELECTOR_STATE_NAME,
    &["matched", "empty", "unseen"],
    &["cluster", "selector", "kind"],
    "Whether a selector matched objects of the Kubernetes API, matched none, or could not be seen.",
);
static MATCHED: Gauge<3> =
    gauge("readiness_selector_matched_objects", Unit::Number, &["cluster", "selector", "kind"], "Objects of the Kubernetes API that a selector matches.");
static NODE_CONDITION: StateSet<3> = {
    let StateSet(family) = state_set::<3>(
        "readiness_node_condition_state",
        &["true", "false", "unknown"],
        &["cluster", "node", "condition"],
        "Status of each condition of a node, from the Kubernetes API; unknown when its kubelet stopped reporting.",
    );
    StateSet(Family { covered_by: Some(NODES), ..family })
};
static SCHEDULABLE: Gauge<2> = gauge::<2>(
    "readiness_node_schedulable",
    Unit::Number,
    &["cluster", "node"],
    "Whether a node takes new pods, from spec.unschedulable in the Kubernetes API.",
)
.covered_by(NODES);
static DESIRED: Gauge<5> =
    gauge::<5>("readiness_workload_desired_replicas", Unit::Number, &WORKLOAD, "Replicas that a workload should have, from the Kubernetes API.")
        .covered_by(WORKLOADS);
static READY: Gauge<5> =
    gauge::<5>("readiness_workload_ready_replicas", Unit::Number, &WORKLOAD, "Replicas of a workload that are ready, from the Kubernetes API.")
        .covered_by(WORKLOADS);
static UPDATED: Gauge<5> = gauge::<5>(
    "readiness_workload_updated_replicas",
    Unit::Number,
    &WORKLOAD,
    "Replicas of a workload that run its current template, from the Kubernetes API.",
)
.covered_by(WORKLOADS);
static AVAILABLE: Gauge<5> = gauge::<5>(
    "readiness_workload_available_replicas",
    Unit::Number,
    &WORKLOAD,
    "Replicas of a workload that have been ready for its minimum time, from the Kubernetes API.",
)
.covered_by(WORKLOADS);
static COMPLETE: Gauge<5> = gauge::<5>(
    "readiness_workload_rollout_complete",
    Unit::Number,
    &WORKLOAD,
    "Whether the current template of a workload was observed and all replicas run it and are available, from the Kubernetes API.",
)
.covered_by(WORKLOADS);
static SUSPENDED: Gauge<5> =
    gauge::<5>("readiness_cronjob_suspended", Unit::Number, &WORKLOAD, "Whether a CronJob is suspended, from spec.suspend in the Kubernetes API.")
        .covered_by(CRON_JOBS);
static LAST_SCHEDULE: Gauge<5> = gauge::<5>(
    "readiness_cronjob_last_schedule_timestamp_seconds",
    Unit::Timestamp,
    &WORKLOAD,
    "When a CronJob was last started, from status.lastScheduleTime in the Kubernetes API.",
)
.covered_by(CRON_JOBS);
static LAST_SUCCESS: Gauge<5> = gauge::<5>(
    "readiness_cronjob_last_success_timestamp_seconds",
    Unit::Timestamp,
    &WORKLOAD,
    "When a run of a CronJob last succeeded, from status.lastSuccessfulTime in the Kubernetes API.",
)
.covered_by(CRON_JOBS);
static LB_READY: Gauge<3> = gauge::<3>(
    "readiness_service_load_balancer_ready",
    Unit::Number,
    &SERVICE,
    "Whether a Service has a load balancer address, from status.loadBalancer in the Kubernetes API.",
)
.covered_by(SERVICES);
static LB_INFO: Gauge<4> = gauge::<4>(
    "readiness_service_load_balancer_info",
    Unit::Number,
    &["cluster", "namespace", "name", "address"],
    "Host name or address of a Service's load balancer, from status.loadBalancer in the Kubernetes API.",
)
.covered_by(SERVICES);

/// Families of this collector.
pub static FAMILIES: &[&Family] = &[
    &VERSION.0,
    &SELECTOR.0,
    &MATCHED.0,
    &NODE_CONDITION.0,
    &SCHEDULABLE.0,
    &DESIRED.0,
    &READY.0,
    &UPDATED.0,
    &AVAILABLE.0,
    &COMPLETE.0,
    &SUSPENDED.0,
    &LAST_SCHEDULE.0,
    &LAST_SUCCESS.0,
    &LB_READY.0,
    &LB_INFO.0,
];

/// Families that a cluster fills, given what is watched in it.
pub(super) fn emitted(wanted: &Wanted) -> Vec<&'static str> {
    let watches = |coverage: Coverage| wanted.scopes.iter().any(|scope| coverage.kinds.contains(&scope.kind()));
    FAMILIES.iter().filter(|family| family.covered_by.is_none_or(watches)).map(|family| family.name).collect()
}

/// Addresses of a Service's load balancer, from what was last seen.
pub fn load_balancers(seen: &Snapshot, cluster: &str, namespace: &str, service: &str) -> Vec<String> {
    let wanted = [("cluster", cluster), ("namespace", namespace), ("name", service)];
    seen.samples_of(LB_INFO.0.name)
        .filter(|sample| wanted.iter().all(|(label, value)| sample.label(label) == Some(value)))
        .filter_map(|sample| sample.label("address").map(str::to_owned))
        .collect()
}

/// All facts about a cluster.
pub(super) fn samples(cluster: &str, version: &str, scopes: &[(Scope, Seen)]) -> Vec<Sample> {
    let mut samples = vec![VERSION.sample([cluster, version], 1.0)];
    for (scope, seen) in scopes {
        let labels = [cluster, scope.selector(), scope.kind()];
        let (state, why) = seen.state();
        samples.push(SELECTOR.sample(labels, state).with_detail(&why));
        let Some(rows) = seen.rows() else { continue };
        samples.push(MATCHED.sample(labels, rows.len() as f64));
        for ((namespace, name), row) in rows {
            row_samples(labels, namespace, name, row, &mut samples);
        }
    }
    samples
}

fn row_samples([cluster, selector, kind]: [&str; 3], namespace: &str, name: &str, row: &Row, samples: &mut Vec<Sample>) {
    let flag = |is: bool| f64::from(u8::from(is));
    let workload = [cluster, selector, kind, namespace, name];
    match row {
        Row::Node { schedulable, conditions } => {
            samples.push(SCHEDULABLE.sample([cluster, name], flag(*schedulable)));
            samples.extend(node_conditions(cluster, name, conditions));
        }
        Row::Replicas { desired, ready, updated, available, complete } => {
            let words = format!("{ready} of {desired} ready, {updated} up to date, {available} available");
            for (family, value) in [(&DESIRED, desired), (&READY, ready), (&UPDATED, updated), (&AVAILABLE, available)] {
                samples.push(family.sample(workload, f64::from(*value)).with_detail(&words));
            }
            samples.push(COMPLETE.sample(workload, flag(*complete)).with_detail(&words));
        }
        Row::CronJob { suspended, last_schedule, last_success } => {
            samples.push(SUSPENDED.sample(workload, flag(*suspended)));
            let moments = [(&LAST_SCHEDULE, last_schedule), (&LAST_SUCCESS, last_success)];
            samples.extend(moments.iter().filter_map(|(family, at)| at.map(|at| family.sample(workload, at.as_second() as f64))));
        }
        Row::Service { addresses } => {
            let words = if addresses.is_empty() { "no address yet".to_owned() } else { addresses.join(", ") };
            samples.push(LB_READY.sample([cluster, namespace, name], flag(!addresses.is_empty())).with_detail(&words));
            samples.extend(addresses.iter().map(|address| LB_INFO.sample([cluster, namespace, name, address], 1.0)));
        }
    }
}

fn node_conditions(cluster: &str, node: &str, conditions: &BTreeMap<String, &'static str>) -> Vec<Sample> {
    // A node that has not registered has no conditions, and one without Ready is not ready.
    let missing = (!conditions.contains_key("Ready")).then_some(("Ready", "unknown"));
    let reported = conditions.iter().map(|(condition, status)| (condition.as_str(), *status));
    reported.chain(missing).map(|(condition, status)| NODE_CONDITION.sample([cluster, node, condition], status)).collect()
}

impl Scope {
    /// The `kind` label.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nodes => "Node",
            Self::Service { .. } => "Service",
            Self::Workloads(selector) => match selector.kind {
                WorkloadKind::Deployment => "Deployment",
                WorkloadKind::StatefulSet => "StatefulSet",
                WorkloadKind::DaemonSet => "DaemonSet",
                WorkloadKind::CronJob => "CronJob",
            },
        }
    }
}
