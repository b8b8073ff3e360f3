//! All pods of a cluster, kept so small that 150,000 of them fit: sums that are updated with every
//! change, a row of a hundred bytes for each, and more only for pods with a problem.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::collectors::kubernetes::kinds::groups::{Group, OTHERS, SERIES, most};
use crate::collectors::kubernetes::kinds::mounts::{Mounted, Mounts};
use crate::collectors::kubernetes::kinds::pod::Pod;
use crate::collectors::kubernetes::kinds::podrow::{Common, Load, Problem, Row, Storage, phase, short, uid};
use crate::collectors::kubernetes::kinds::reasons::{GATED, GATED_WORKSPACE};
use crate::collectors::kubernetes::kinds::workspaces::{Takes, Workspaces};
use crate::collectors::kubernetes::reading::clock::{Clock, now};
use crate::collectors::kubernetes::reading::objects::{Index, Place};
use crate::collectors::kubernetes::reading::resources::{Asks, Devices};
use crate::collectors::kubernetes::watching::recent::{Count, Recent, Tally};
use crate::collectors::kubernetes::watching::visibility::seen;
use crate::metric::{Coverage, Family, Gauge, Sample, Unit, gauge, metrics};

const COVERAGE: Coverage = seen(&["Pod"]);
const PROBLEM: [&str; 4] = ["cluster", "namespace", "class", "reason"];

metrics! {
    /// Families about pods.
    pub(in crate::collectors::kubernetes) FAMILIES;

    static PODS: Gauge<2> =
        gauge("readiness_pods", Unit::Number, &["cluster", "phase"], "Pods by phase, from status.phase in the Kubernetes API.").covered_by(COVERAGE);
    static WAITING: Gauge<4> = gauge(
        "readiness_containers_waiting",
        Unit::Number,
        &PROBLEM,
        "Containers that wait instead of running, init containers included, by the kubelet's reason in the Kubernetes API, and those that ended with an error beside others that run; pods that run and are not ready are counted beside them. 0 for a while after the last.",
    )
    .covered_by(COVERAGE.quiet());
    static WAITING_OLDEST: Gauge<4> = gauge(
        "readiness_containers_waiting_oldest_timestamp_seconds",
        Unit::Timestamp,
        &PROBLEM,
        "Since when the longest waiting container waits or has ended, or the pod that runs has not been ready, as far as the conditions of its pod tell, from the Kubernetes API.",
    )
    .covered_by(COVERAGE.quiet());
    static PENDING: Gauge<3> = gauge(
        "readiness_pods_unscheduled",
        Unit::Number,
        &["cluster", "namespace", "class"],
        "Pods without a node, by what the scheduler lacks according to their PodScheduled condition in the Kubernetes API; 0 for a while after the last.",
    )
    .covered_by(COVERAGE.quiet());
    static PENDING_OLDEST: Gauge<3> = gauge(
        "readiness_pods_unscheduled_oldest_timestamp_seconds",
        Unit::Timestamp,
        &["cluster", "namespace", "class"],
        "Since when the longest waiting pod has had no node, from its PodScheduled condition in the Kubernetes API; not told of pods that are gated, for which nobody looks for one, unless they are workspaces.",
    )
    .covered_by(COVERAGE.quiet());
    static OOM_KILLED: Gauge<2> = gauge(
        "readiness_containers_oom_killed",
        Unit::Number,
        &["cluster", "namespace"],
        "Containers killed for lack of memory within the window, from container statuses in the Kubernetes API; counted after their pod is gone.",
    )
    .covered_by(COVERAGE.quiet());
    static RESTARTS_RECENT: Gauge<2> = gauge(
        "readiness_container_restarts_recent",
        Unit::Number,
        &["cluster", "namespace"],
        "Restarts of containers within the window, from container statuses in the Kubernetes API; counted after their pod is replaced.",
    )
    .covered_by(COVERAGE.quiet());
    static RESTARTS: Gauge<2> = gauge(
        "readiness_container_restarts_total",
        Unit::Number,
        &["cluster", "namespace"],
        "Restarts of containers since this exporter began to watch, and those of the pods that it found then, from the Kubernetes API.",
    )
    .covered_by(COVERAGE.quiet());
    static NO_STORAGE_LIMIT: Gauge<3> = gauge(
        "readiness_pods_without_storage_limit",
        Unit::Number,
        &["cluster", "namespace", "missing"],
        "Running pods that may fill their node: no container has a limit of ephemeral storage, or an emptyDir has no size limit, from the Kubernetes API. Kubelets evict by the sum of the limits that there are.",
    )
    .covered_by(COVERAGE.quiet());
    static GPUS_REQUESTED: Gauge<1> =
        gauge("readiness_gpus_requested", Unit::Number, &["cluster"], "GPUs that pods hold, from their limits in the Kubernetes API.").covered_by(COVERAGE);
}

/// How long a problem that is over shows as 0, so that a flapping one is no series that comes and goes.
const AFTERGLOW: i64 = 15 * 60;
/// Seconds between two searches for what is over.
const SWEEP: i64 = 60;

/// An eviction: where, and for lack of what.
pub(in crate::collectors::kubernetes) type Eviction = (Arc<str>, &'static str);

type Trouble = (Arc<str>, &'static str, &'static str);

/// All pods of a cluster.
#[derive(Debug)]
pub(in crate::collectors::kubernetes) struct Pods {
    rows: BTreeMap<u128, Row>,
    common: HashSet<Arc<Common>>,
    round: u32,
    clock: Clock,
    /// Sums over all rows.
    loads: BTreeMap<Arc<str>, Load>,
    /// By node, where pods hold some.
    devices: BTreeMap<Arc<str>, Devices>,
    namespaces: BTreeMap<Arc<str>, u32>,
    /// The namespaces of workloads that are watched, and how many pods of each owner in them are ready.
    of_workloads: BTreeSet<String>,
    ready: BTreeMap<u64, u32>,
    phases: BTreeMap<&'static str, u64>,
    unlimited: BTreeMap<(Arc<str>, &'static str), u32>,
    gpus: f64,
    restarts: BTreeMap<Arc<str>, Restarts>,
    problems: BTreeSet<u128>,
    mounted: Mounted,
    pub(in crate::collectors::kubernetes) workspaces: Workspaces,
    /// What is remembered.
    afterglow: BTreeMap<Trouble, i64>,
    pub(in crate::collectors::kubernetes) evictions: Recent<u128, Eviction>,
    oom_kills: Recent<(u128, String, i64), Arc<str>>,
    recent_restarts: Tally<Arc<str>>,
    window: i64,
    swept: i64,
}

/// Restarts in one namespace.
#[derive(Debug, Default)]
struct Restarts {
    total: u64,
    last: i64,
}

fn counted<K: Ord>(map: &mut BTreeMap<K, u32>, key: K, up: bool) {
    let count = map.entry(key).or_default();
    *count = if up { *count + 1 } else { count.saturating_sub(1) };
}

impl Pods {
    pub(in crate::collectors::kubernetes) fn new(window: i64, workspaces: Workspaces, clock: Clock) -> Self {
        Self {
            rows: BTreeMap::new(),
            common: HashSet::new(),
            round: 0,
            clock,
            loads: BTreeMap::new(),
            devices: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            of_workloads: BTreeSet::new(),
            ready: BTreeMap::new(),
            phases: BTreeMap::new(),
            unlimited: BTreeMap::new(),
            gpus: 0.0,
            restarts: BTreeMap::new(),
            problems: BTreeSet::new(),
            mounted: Mounted::default(),
            workspaces,
            afterglow: BTreeMap::new(),
            evictions: Recent::new(window),
            oom_kills: Recent::new(window),
            recent_restarts: Tally::new(window),
            window,
            swept: 0,
        }
    }

    /// The same, counting who is ready of the workloads in these namespaces.
    pub(in crate::collectors::kubernetes) fn of_workloads(self, namespaces: BTreeSet<String>) -> Self {
        Self { of_workloads: namespaces, ..self }
    }

    /// How many pods of these owners are ready.
    pub(in crate::collectors::kubernetes) fn ready_of(&self, owners: &[u64]) -> u32 {
        owners.iter().filter_map(|owner| self.ready.get(owner)).fold(0, |sum, own| sum.saturating_add(*own))
    }

    /// What the pods on a node ask for.
    pub(in crate::collectors::kubernetes) fn load(&self, node: &str) -> Load {
        self.loads.get(node).cloned().unwrap_or_default().in_cores()
    }

    /// The devices that the pods on a node hold.
    pub(in crate::collectors::kubernetes) fn devices(&self, node: &str) -> Option<&Devices> {
        self.devices.get(node)
    }

    /// The limit of a pod's ephemeral storage; `None` when there is none or the pod is not known.
    pub(in crate::collectors::kubernetes) fn storage_limit(&self, uid: u128) -> Option<f64> {
        self.rows.get(&uid)?.common.storage.limit.map(|bytes| bytes as f64)
    }

    /// What the pods on a node mount.
    pub(in crate::collectors::kubernetes) fn mounts(&self, node: &str) -> BTreeMap<u128, Mounts> {
        self.mounted.on(node)
    }

    fn row(&mut self, pod: &Pod) -> Row {
        let clock = &self.clock;
        let unready = self.rows.get(&uid(pod.metadata.uid.as_deref())).map(|before| before.unready_since().unwrap_or_else(now));
        let namespace = shared(&self.namespaces, pod.metadata.namespace.as_deref().unwrap_or_default());
        let workspaces = self.workspaces.recognise(&namespace, pod);
        // One of a priority below 0 waits in the place of whoever comes, which makes the cluster larger in time; but no
        // workspace does, whatever gives way to what.
        let pending = pod.pending(clock).filter(|_| pod.priority() >= 0 || !workspaces.is_empty());
        let mut problem = Problem { name: pod.metadata.name.as_deref().unwrap_or_default().into(), waiting: pod.waiting(clock, unready), pending };
        let well = problem.waiting.is_empty() && problem.pending.is_none();
        let over = pod.is_over();
        if let Some((class, _)) = problem.pending.as_mut().filter(|(class, _)| *class == GATED && !workspaces.is_empty()) {
            *class = GATED_WORKSPACE;
        }
        let common = self.common_of(pod, namespace, over);
        Row {
            round: self.round,
            restarts: pod.restarts(),
            workspaces,
            node: pod.spec.node_name.as_deref().filter(|_| !over).map(|node| shared(&self.loads, node)),
            common: self.kept_once(common),
            problem: (!well).then(|| Box::new(problem)),
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "GPUs and bytes are whole, and none of them is negative")]
    fn common_of(&self, pod: &Pod, namespace: Arc<str>, over: bool) -> Common {
        Common {
            phase: phase(pod),
            asks: if over { Asks::default() } else { Asks::of(pod.requests(), pod.limits()) },
            gpus: if over { 0 } else { pod.gpus() as u32 },
            devices: if over { Devices::new() } else { pod.devices() },
            comes_with_nodes: pod.comes_with_nodes(),
            below: pod.priority().min(0),
            leaving: pod.metadata.deletion_timestamp.is_some(),
            ready_of: pod.controller().filter(|_| pod.is_ready() && self.of_workloads.contains(&*namespace)).map_or(0, short),
            storage: Storage { limit: pod.storage_limit().map(|bytes| bytes as u64), unlimited_empty_dir: pod.unlimited_empty_dir() },
            namespace,
        }
    }

    fn kept_once(&mut self, common: Common) -> Arc<Common> {
        if let Some(known) = self.common.get(&common) {
            return Arc::clone(known);
        }
        let common = Arc::new(common);
        self.common.insert(Arc::clone(&common));
        common
    }

    /// Adds a row to all sums, or takes it out of them.
    fn account(&mut self, row: &Row, up: bool) {
        let pod = &row.common;
        counted(&mut self.namespaces, Arc::clone(&pod.namespace), up);
        if self.namespaces.get(&pod.namespace) == Some(&0) {
            self.namespaces.remove(&pod.namespace);
        }
        if pod.ready_of != 0 {
            counted(&mut self.ready, pod.ready_of, up);
            if self.ready.get(&pod.ready_of) == Some(&0) {
                self.ready.remove(&pod.ready_of);
            }
        }
        let phase = self.phases.entry(pod.phase).or_default();
        *phase = if up { *phase + 1 } else { phase.saturating_sub(1) };
        let sign = if up { 1.0 } else { -1.0 };
        if let Some(node) = &row.node {
            let load = self.loads.entry(Arc::clone(node)).or_default();
            load.account(pod, sign);
            if !pod.devices.is_empty() {
                let held = self.devices.entry(Arc::clone(node)).or_default();
                for (name, amount) in &pod.devices {
                    let sum = held.entry(name.clone()).or_default();
                    *sum = if up { sum.saturating_add(*amount) } else { sum.saturating_sub(*amount) };
                }
                held.retain(|_, sum| *sum > 0);
                if held.is_empty() {
                    self.devices.remove(node);
                }
            }
            if load.requests.0[3] < 0.5 {
                self.loads.remove(node);
            }
        }
        self.gpus += sign * f64::from(pod.gpus);
        if pod.phase == "running" {
            let missing = [("limit", pod.storage.limit.is_none()), ("size_limit", pod.storage.unlimited_empty_dir)];
            for (missing, _) in missing.iter().filter(|(_, is)| *is) {
                let key = (Arc::clone(&pod.namespace), *missing);
                counted(&mut self.unlimited, key.clone(), up);
                if self.unlimited.get(&key) == Some(&0) {
                    self.unlimited.remove(&key);
                }
            }
        }
        let takes = Takes { node: row.node.as_ref(), leaving: pod.leaving, asks: pod.asks };
        for workspace in &row.workspaces {
            self.workspaces.account(workspace, pod.phase, takes, up);
        }
    }

    /// What is remembered after the pod is gone.
    fn remember(&mut self, uid: u128, pod: &Pod, row: &Row, before: Option<u32>) {
        if let Some((resource, at)) = pod.evicted(&self.clock) {
            self.evictions.record(uid, at, (Arc::clone(&row.common.namespace), resource));
        }
        for kill in pod.oom_kills(&self.clock) {
            self.oom_kills.record((uid, kill.container, kill.at), kill.at, Arc::clone(&row.common.namespace));
        }
        let more = match before {
            Some(before) => row.restarts.saturating_sub(before),
            // A pod that was found: its past counts in total, and its last restart if that is recent.
            None => 0,
        };
        let found = if before.is_none() { row.restarts } else { 0 };
        if more + found > 0 {
            let restarts = self.restarts.entry(Arc::clone(&row.common.namespace)).or_default();
            *restarts = Restarts { total: restarts.total.saturating_add(u64::from(more + found)), last: now() };
            let (at, times) = if more > 0 { (now(), more) } else { (pod.last_end(&self.clock).unwrap_or(0), 1) };
            self.recent_restarts.add(Arc::clone(&row.common.namespace), at, u64::from(times));
        }
        for workspace in &row.workspaces {
            let created = pod.metadata.creation_timestamp.as_ref().map_or_else(now, |time| self.clock.ours(time));
            self.workspaces.started(workspace, uid, row.restarts, created);
        }
        if let Some(problem) = &row.problem {
            let waiting = problem.waiting.keys().map(|reason| (Arc::clone(&row.common.namespace), reason.class, reason.reason));
            let pending = problem.pending.map(|(class, _)| (Arc::clone(&row.common.namespace), class, ""));
            let now = now();
            self.afterglow.extend(waiting.chain(pending).map(|trouble| (trouble, now)));
        }
        self.sweep();
    }

    /// Forgets what is over, now and then: all that is remembered is looked at.
    fn sweep(&mut self) {
        let now = now();
        if now.saturating_sub(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        let since = now.saturating_sub(AFTERGLOW);
        self.afterglow.retain(|_, at| *at > since);
        let alive = &self.namespaces;
        self.restarts.retain(|namespace, restarts| restarts.last > since || alive.contains_key(namespace));
    }

    fn forget(&mut self, uid: u128) -> bool {
        let Some(row) = self.rows.remove(&uid) else { return false };
        self.account(&row, false);
        // Nobody else has it but the set itself.
        if Arc::strong_count(&row.common) == 2 {
            self.common.remove(&row.common);
        }
        self.problems.remove(&uid);
        if let Some(node) = &row.node {
            self.mounted.remove(node, uid);
        }
        true
    }

    /// Waiting containers and unscheduled pods: how many, since when, and a few names.
    fn troubles(&self) -> BTreeMap<Trouble, Group> {
        let mut groups: BTreeMap<Trouble, Group> = BTreeMap::new();
        let since = now().saturating_sub(AFTERGLOW);
        for trouble in self.afterglow.iter().filter(|(_, at)| **at > since).map(|(trouble, _)| trouble) {
            groups.insert(trouble.clone(), Group::default());
        }
        for row in self.problems.iter().filter_map(|uid| self.rows.get(uid)) {
            let Some(problem) = &row.problem else { continue };
            let waiting = problem.waiting.iter().map(|(reason, since)| ((Arc::clone(&row.common.namespace), reason.class, reason.reason), *since));
            let pending = problem.pending.map(|(class, since)| ((Arc::clone(&row.common.namespace), class, ""), since));
            for (trouble, since) in waiting.chain(pending) {
                groups.entry(trouble).or_default().add(&problem.name, since);
            }
        }
        if groups.len() > SERIES {
            let mut ranked: Vec<_> = groups.into_iter().collect();
            ranked.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
            groups = BTreeMap::new();
            for (at, ((namespace, class, reason), group)) in ranked.into_iter().enumerate() {
                let namespace = if at < SERIES { namespace } else { OTHERS.into() };
                groups.entry((namespace, class, reason)).or_default().merge(group);
            }
        }
        groups
    }
}

/// A key that is already there, so that thousands of rows share one text.
fn shared<V>(known: &BTreeMap<Arc<str>, V>, text: &str) -> Arc<str> {
    known.get_key_value(text).map_or_else(|| text.into(), |(key, _)| Arc::clone(key))
}

impl Index for Pods {
    type Object = Pod;
    const KIND: &'static str = "Pod";
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES];
    const WINDOWED: bool = true;

    fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    fn has_named(&self, pod: &Pod) -> bool {
        self.rows.get(&uid(pod.metadata.uid.as_deref())).is_some_and(|row| row.round == self.round)
    }

    fn put(&mut self, pod: Pod, _: bool) -> bool {
        let uid = uid(pod.metadata.uid.as_deref());
        let row = self.row(&pod);
        let before = self.rows.get(&uid).map(|old| old.restarts);
        self.remember(uid, &pod, &row, before);
        if let Some(old) = self.rows.get_mut(&uid) {
            old.round = row.round;
            if *old == row {
                return false;
            }
        }
        self.forget(uid);
        self.account(&row, true);
        if row.problem.is_some() {
            self.problems.insert(uid);
        }
        if let Some((node, mounts)) = row.node.as_ref().zip(Mounts::of(&pod, &row.common.namespace, &self.clock)) {
            self.mounted.put(node, uid, mounts);
        }
        self.rows.insert(uid, row);
        true
    }

    fn remove(&mut self, pod: &Pod) -> bool {
        self.forget(uid(pod.metadata.uid.as_deref()))
    }

    fn complete(&mut self) {
        let gone: Vec<u128> = self.rows.iter().filter(|(_, row)| row.round != self.round).map(|(uid, _)| *uid).collect();
        for uid in gone {
            self.forget(uid);
        }
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn facts(&self, place: &Place, samples: &mut Vec<Sample>) {
        let cluster = || Arc::clone(&place.cluster);
        for phase in ["pending", "running", "succeeded", "failed", "unknown"] {
            let count = self.phases.get(phase).copied().unwrap_or_default();
            samples.push(PODS.sample([&*place.cluster, phase], count as f64));
        }
        for ((namespace, class, reason), group) in self.troubles() {
            let words = group.words();
            // A pod without a node has no reason of the kubelet.
            let families = if reason.is_empty() { None } else { Some((&WAITING, &WAITING_OLDEST)) };
            let add = |sample: Sample| if words.as_str().is_empty() { sample } else { sample.with_detail(words.clone()) };
            if let Some((count, oldest)) = families {
                let labels = || [cluster(), Arc::clone(&namespace), class.into(), reason.into()];
                samples.push(add(count.sample(labels(), group.count as f64)));
                samples.extend(group.oldest.map(|since| add(oldest.sample(labels(), since as f64))));
            } else {
                let labels = || [cluster(), Arc::clone(&namespace), class.into()];
                samples.push(add(PENDING.sample(labels(), group.count as f64)));
                let oldest = group.oldest.filter(|_| class != GATED);
                samples.extend(oldest.map(|since| add(PENDING_OLDEST.sample(labels(), since as f64))));
            }
        }
        let mut killed: BTreeMap<Arc<str>, Count> = BTreeMap::new();
        for (_, at, namespace) in self.oom_kills.recent() {
            killed.entry(Arc::clone(namespace)).or_default().add(1, at);
        }
        for (family, counts) in [(&OOM_KILLED, killed), (&RESTARTS_RECENT, self.recent_restarts.totals())] {
            let counted = |(namespace, count): (_, Count)| family.sample([cluster(), namespace], count.times as f64).with_detail(count.words(self.window));
            samples.extend(most(counts.into_iter()).into_iter().map(counted));
        }
        let restarts = most(self.restarts.iter().map(|(namespace, restarts)| (Arc::clone(namespace), Count { times: restarts.total, last: restarts.last })));
        samples.extend(restarts.into_iter().map(|(namespace, count)| RESTARTS.sample([cluster(), namespace], count.times as f64)));
        for missing in ["limit", "size_limit"] {
            let unlimited = self.unlimited.iter().filter(|((_, own), _)| *own == missing);
            let unlimited = most(unlimited.map(|((namespace, _), count)| (Arc::clone(namespace), Count { times: u64::from(*count), last: 0 })));
            let sample = |(namespace, count): (_, Count)| NO_STORAGE_LIMIT.sample([cluster(), namespace, missing.into()], count.times as f64);
            samples.extend(unlimited.into_iter().map(sample));
        }
        samples.push(GPUS_REQUESTED.sample([cluster()], self.gpus));
        self.workspaces.facts(place, samples);
    }
}

#[cfg(test)]
mod tests;
