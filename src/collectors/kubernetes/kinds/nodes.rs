//! Nodes: conditions, taints, sizes, versions, cached images.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::collectors::kubernetes::config::NodeGroup;
use crate::collectors::kubernetes::kinds::conditions::{self, EXPECTED_CONDITIONS};
use crate::collectors::kubernetes::kinds::node::{Heartbeat, Node, NodeCondition, NodeInfo, NodeRow, Offers};
use crate::collectors::kubernetes::reading::clock::now;
use crate::collectors::kubernetes::reading::labels::Labels;
use crate::collectors::kubernetes::reading::objects::{ConditionStatus, Index, Place, flag};
use crate::collectors::kubernetes::reading::resources::{amounts, gpus, is_gpu, offered, offered_devices, offered_gpus};
use crate::collectors::kubernetes::reading::taints::{self, Taints};
use crate::collectors::kubernetes::watching::visibility::seen;
use crate::metric::{Family, Gauge, Sample, StateSet, Unit, gauge, metrics, state_set};
use crate::say;
use crate::say::named;
use crate::word::Word;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

const COVERAGE: crate::metric::Coverage = seen(&["Node"]);
const NODE: [&str; 2] = ["cluster", "node"];

metrics! {
    /// Families about nodes.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about each node, and about all of them.
    pub(in crate::collectors::kubernetes) NODE_FAMILIES {
        static CONDITION: StateSet<ConditionStatus, 3> = state_set(
            "readiness_node_condition_state",
            &["cluster", "node", "condition"],
            "Status of each condition of a node, from the Kubernetes API; unknown when its kubelet stopped reporting, and NaN where it has written nothing for a quarter of an hour and nobody says so. A node that has not been ready since it was created has none for Ready, and one that is being taken away none that is not known, for half an hour of not being ready.",
        )
        .covered_by(COVERAGE);
        static SCHEDULABLE: Gauge<2> =
            gauge("readiness_node_schedulable", Unit::Flag, &NODE, "Whether a node takes new pods: it is not cordoned and does not offer 0 of its CPU, memory or pods, from the Kubernetes API.")
                .covered_by(COVERAGE);
        static OPEN: Gauge<1> = gauge(
            "readiness_nodes_open",
            Unit::Number,
            &["cluster"],
            "Nodes that are ready and take new pods: neither cordoned, marked as unfit nor being taken away. Not known while there is none and one starts or is being taken away. Taints of somebody's choosing do not count. From the Kubernetes API.",
        )
        .covered_by(COVERAGE);
        static DISRUPTED: Gauge<2> = gauge(
            "readiness_node_disrupted",
            Unit::Flag,
            &NODE,
            "Whether a node is being taken away: deleted, or tainted for that by Karpenter, the cluster autoscaler or a handler of terminations, from the Kubernetes API.",
        )
        .covered_by(COVERAGE);
        static TAINTED: Gauge<3> = gauge(
            "readiness_node_problem_taint",
            Unit::Mark,
            &["cluster", "node", "taint"],
            "1 for each taint by which Kubernetes or the cluster autoscaler marks a node as unfit, from spec.taints in the Kubernetes API.",
        )
        .covered_by(COVERAGE.quiet());
        static PROBLEM: Gauge<3> = gauge(
            "readiness_node_problem_condition",
            Unit::Mark,
            &["cluster", "node", "condition"],
            "1 for each condition of a node by which another program than its kubelet says that something is wrong, NaN where such a condition is not known; (others) for those whose names are none, from the Kubernetes API.",
        )
        .covered_by(COVERAGE.quiet());
        static STARTED: Gauge<3> = gauge(
            "readiness_node_starting_created_timestamp_seconds",
            Unit::Timestamp,
            &["cluster", "node", "taint"],
            "When a node was created that has not finished its start, by the taint that is left: its cloud or an agent has not done its part, or it has never been ready; from the Kubernetes API.",
        )
        .covered_by(COVERAGE.quiet());
        static ALLOCATABLE_STORAGE: Gauge<2> = gauge(
            "readiness_node_ephemeral_storage_allocatable_bytes",
            Unit::Bytes,
            &NODE,
            "Ephemeral storage of a node that pods may request, from status.allocatable in the Kubernetes API.",
        )
        .covered_by(COVERAGE);
        static CAPACITY_STORAGE: Gauge<2> = gauge(
            "readiness_node_ephemeral_storage_capacity_bytes",
            Unit::Bytes,
            &NODE,
            "Size of the file system behind a node's ephemeral storage, from status.capacity in the Kubernetes API.",
        )
        .covered_by(COVERAGE);
        static GPU_CAPACITY: Gauge<3> = gauge(
            "readiness_node_gpu_capacity",
            Unit::Number,
            &["cluster", "node", "product"],
            "GPUs of a node, from status.capacity in the Kubernetes API, or from its label nvidia.com/gpu.count where the kubelet counts none any more; the product from GPU feature discovery.",
        )
        .covered_by(COVERAGE.quiet());
        static GPU_ALLOCATABLE: Gauge<3> = gauge(
            "readiness_node_gpu_allocatable",
            Unit::Number,
            &["cluster", "node", "product"],
            "GPUs of a node that are healthy and may be requested, from status.allocatable in the Kubernetes API; NaN when it is not told, or is more than the node has.",
        )
        .covered_by(COVERAGE.quiet());
        static KUBELETS: Gauge<2> =
            gauge("readiness_kubelets", Unit::Number, &["cluster", "version"], "Nodes by the version of their kubelet, from the Kubernetes API.")
                .covered_by(COVERAGE);
        pub(in crate::collectors::kubernetes) static PLATFORMS: Gauge<2> = gauge(
            "readiness_node_platforms",
            Unit::Number,
            &["cluster", "platform"],
            "Nodes by operating system and architecture, from status.nodeInfo in the Kubernetes API.",
        )
        .covered_by(COVERAGE);
        static NODES: Gauge<4> = gauge(
            "readiness_nodes",
            Unit::Number,
            &["cluster", "nodepool", "instance_type", "capacity_type"],
            "Nodes by pool, instance type and capacity type, from their labels in the Kubernetes API.",
        )
        .covered_by(COVERAGE);
    }

    /// Families about images that nodes should have cached.
    pub(in crate::collectors::kubernetes) IMAGE_FAMILIES {
        static CACHED: Gauge<2> = gauge(
            "readiness_image_cached_nodes_ratio",
            Unit::Share,
            &["cluster", "image"],
            "Share of nodes that list a configured image among their cached ones in the Kubernetes API, which names at most the 50 largest.",
        )
        .covered_by(COVERAGE);
    }

    /// Families about groups of nodes, which only some clusters have.
    pub(in crate::collectors::kubernetes) GROUP_FAMILIES {
        static GROUP_READY: Gauge<2> = gauge(
            "readiness_node_group_ready_nodes",
            Unit::Number,
            &["cluster", "group"],
            "Nodes of a configured group that are ready, are neither marked as unfit nor being taken away, and take new pods of the configured tolerations, from the Kubernetes API.",
        )
        .covered_by(COVERAGE);
        static GROUP_REQUIRED: Gauge<2> =
            gauge("readiness_node_group_required_nodes", Unit::Number, &["cluster", "group"], "Nodes that a configured group must have.").covered_by(COVERAGE);
    }
}

/// Seconds after its creation in which a kubelet reports `Ready` for the first time; a change after that is one of
/// a node that was ready before.
const FIRST_REPORT: u64 = 30;

/// In place of the name of a condition that is none, or that is one too many.
const HIDDEN: &str = "(others)";
/// Conditions of a node that are kept; node-problem-detector adds a dozen to the five of the kubelet.
const MOST_CONDITIONS: usize = 64;

/// What the configuration wants to know about nodes.
#[derive(Debug, Clone, Default)]
pub(in crate::collectors::kubernetes) struct Interests {
    pub(in crate::collectors::kubernetes) images: Vec<String>,
    /// Labels of nodes that workspaces run on, where their room is counted.
    pub(in crate::collectors::kubernetes) capacity_labels: Option<BTreeMap<String, String>>,
    pub(in crate::collectors::kubernetes) groups: Vec<NodeGroup>,
}

/// All nodes of a cluster.
#[derive(Debug, Default)]
pub(in crate::collectors::kubernetes) struct Nodes {
    interests: Interests,
    rows: BTreeMap<Arc<str>, (u32, NodeRow)>,
    round: u32,
    /// Texts that thousands of nodes share.
    texts: BTreeSet<Arc<str>>,
}

impl Nodes {
    pub(in crate::collectors::kubernetes) fn new(interests: Interests) -> Self {
        Self { interests, ..Self::default() }
    }

    /// In order of their names.
    pub(in crate::collectors::kubernetes) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &NodeRow)> {
        self.rows.iter().map(|(name, (_, row))| (name, row))
    }

    /// What they are called.
    pub(in crate::collectors::kubernetes) fn names(&self) -> BTreeSet<Arc<str>> {
        self.rows.keys().cloned().collect()
    }

    /// How many nodes of each configured group can be used.
    pub(in crate::collectors::kubernetes) fn groups(&self, cluster: &str, samples: &mut Vec<Sample>) {
        for (at, group) in self.interests.groups.iter().enumerate() {
            // The taints of a group that says nothing of them are its own.
            let takes = |row: &NodeRow| group.tolerations.as_ref().is_none_or(|own| taints::tolerated(&row.taints.chosen, own));
            let ready = self.iter().filter(|(_, row)| row.groups.contains(&at) && row.usable() && takes(row)).count();
            let labels = || [cluster, &group.name];
            samples.extend([
                GROUP_READY.sample(labels(), ready as f64).with_detail(say!("{} are needed", group.at_least)),
                GROUP_REQUIRED.sample(labels(), f64::from(group.at_least)),
            ]);
        }
    }

    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&text));
        text
    }

    fn row(&mut self, node: Node) -> NodeRow {
        let Node { metadata, spec, status } = node;
        let never_ready = never_ready(&metadata, &status.conditions);
        let labels = metadata.labels.unwrap_or_default();
        let label = |name: &str| labels.get(name).map_or("", String::as_str);
        let taints = Taints::of(&spec.taints, never_ready);
        let (mut capacity_gpus, usable_gpus) = (gpus(&status.capacity), offered_gpus(&status.allocatable, &status.capacity));
        let mut has_gpus = [&status.capacity, &status.allocatable].into_iter().flatten().any(|(name, count)| is_gpu(name) && count.0 != Some(0.0));
        // A kubelet whose device plugin has gone tells 0 of what it told of before; one that never had a plugin tells nothing.
        // Source: `GetCapacity` in `pkg/kubelet/cm/devicemanager/manager.go` of Kubernetes.
        if let Some(discovered) = label("nvidia.com/gpu.count").parse::<u32>().ok().filter(|count| *count > 0 && !has_gpus && capacity_gpus.is_some()) {
            (has_gpus, capacity_gpus) = (true, Some(f64::from(discovered)));
        }
        let internal = status.addresses.iter().find(|address| address.r#type == "InternalIP").and_then(|address| address.address.parse().ok());
        let port = status.daemon_endpoints.kubelet_endpoint.port.filter(|port| *port > 0).unwrap_or(10_250);
        let wanted = |image: &str| status.images.iter().flat_map(|cached| &cached.names).any(|name| name == image);
        let images = self.interests.images.iter().enumerate().filter(|(_, image)| wanted(image)).map(|(at, _)| at).collect();
        let labelled = |wanted: &BTreeMap<String, String>| wanted.iter().all(|(name, value)| labels.get(name) == Some(value));
        let counts = self.interests.capacity_labels.as_ref().is_none_or(labelled);
        let offered_to_few = || Offers { labels: Labels::of(&labels), devices: offered_devices(&status.allocatable, &status.capacity) };
        let offers = self.interests.capacity_labels.as_ref().map(|_| offered_to_few()).unwrap_or_default();
        let some = |count: Option<f64>| count.is_some_and(|count| count > 0.0);
        // One whose GPUs are all broken is neither a node with GPUs nor one that was meant to have none.
        let of_kind = |wanted: bool| if wanted { some(usable_gpus) } else { !has_gpus };
        let belongs = |group: &NodeGroup| labelled(&group.labels) && group.gpus.is_none_or(of_kind);
        let groups = self.interests.groups.iter().enumerate().filter(|(_, group)| belongs(group)).map(|(at, _)| at).collect();
        // A node writes its own conditions, as many as it likes; what every node has comes first.
        let (own, others): (Vec<_>, Vec<_>) = status.conditions.iter().partition(|condition| EXPECTED_CONDITIONS.contains(&condition.r#type.as_str()));
        let (mut shown, mut hidden): (Vec<_>, Vec<_>) = own.into_iter().chain(others).partition(|condition| Word::joined(&condition.r#type).is_some());
        hidden.extend(shown.split_off(shown.len().min(MOST_CONDITIONS)));
        let problems = hidden.into_iter().filter_map(|condition| conditions::problem(&condition.r#type, condition.state()));
        let hidden = problems.map(|problem| problem > 0.0).max();
        let mut conditions: Vec<(Arc<str>, Option<ConditionStatus>)> = shown
            .into_iter()
            .map(|condition| (self.shared(&condition.r#type), (!never_ready || condition.r#type != "Ready").then(|| condition.state())))
            .collect();
        // A node that has not registered has no conditions, and nobody knows what it is short of.
        for expected in EXPECTED_CONDITIONS {
            if !conditions.iter().any(|(condition, _)| &**condition == expected) {
                conditions.push((self.shared(expected), Some(ConditionStatus::Unknown)));
            }
        }
        let NodeInfo { operating_system, architecture, .. } = &status.node_info;
        let platform = Word::of(operating_system).zip(Word::of(architecture)).map(|(system, architecture)| format!("{system}/{architecture}"));
        let (pool, instance, capacity) = (label("karpenter.sh/nodepool"), label("node.kubernetes.io/instance-type"), label("karpenter.sh/capacity-type"));
        let allocatable = offered(&status.allocatable, &status.capacity);
        NodeRow {
            created: metadata.creation_timestamp.map(|time| time.0.as_second()),
            schedulable: !spec.unschedulable.unwrap_or(false) && nothing_of(&allocatable).is_none(),
            disrupted: metadata.deletion_timestamp.is_some() || taints.leaving,
            unready_since: unready_since(&status.conditions),
            heartbeat: heartbeat(&status.conditions),
            conditions,
            hidden,
            taints,
            allocatable,
            storage: amounts(&status.capacity)[2],
            gpus: has_gpus.then_some([capacity_gpus, usable_gpus]),
            gpu_product: self.shared(label("nvidia.com/gpu.product")),
            kubelet: self.shared(Word::joined(&status.node_info.kubelet_version).map_or("", Word::as_str)),
            platform: self.shared(&platform.unwrap_or_default()),
            address: internal.map(|address| (address, port)),
            pool: [self.shared(pool), self.shared(instance), self.shared(capacity)],
            images,
            groups,
            counts,
            offers,
        }
    }
}

/// What a kubelet offers nothing of that every pod needs.
fn nothing_of(allocatable: &[Option<f64>; 4]) -> Option<&'static str> {
    let [cpu, memory, _, pods] = *allocatable;
    [("CPU", cpu), ("memory", memory), ("pods", pods)].into_iter().find(|(_, amount)| *amount == Some(0.0)).map(|(name, _)| name)
}

/// Whether `Ready` has been false since the node was created. A node whose age is not told is none of these:
/// nobody could say when its start has taken too long.
fn never_ready(metadata: &ObjectMeta, conditions: &[NodeCondition]) -> bool {
    let ready = conditions.iter().find(|condition| condition.r#type == "Ready");
    let (Some(created), Some(since)) = (&metadata.creation_timestamp, ready.and_then(|ready| ready.last_transition_time.as_ref())) else { return false };
    ready.is_some_and(|ready| ready.state() == ConditionStatus::False) && since.0.as_second().abs_diff(created.0.as_second()) <= FIRST_REPORT
}

/// When `Ready` was last written while it is true: of one that is not ready it matters to nobody.
fn heartbeat(conditions: &[NodeCondition]) -> Heartbeat {
    let ready = conditions.iter().find(|condition| condition.r#type == "Ready" && condition.state() == ConditionStatus::True);
    Heartbeat(ready.and_then(|ready| Some(ready.last_heartbeat_time.as_ref()?.0.as_second())))
}

/// When `Ready` ceased to be true.
fn unready_since(conditions: &[NodeCondition]) -> Option<i64> {
    let ready = conditions.iter().find(|condition| condition.r#type == "Ready" && condition.state() != ConditionStatus::True)?;
    Some(ready.last_transition_time.as_ref()?.0.as_second())
}

impl Index for Nodes {
    type Object = Node;
    const KIND: &'static str = "Node";
    const FAMILIES: &'static [&'static [&'static Family]] = &[NODE_FAMILIES, IMAGE_FAMILIES];
    // What is taken away is excused for a while.
    const WINDOWED: bool = true;
    /// The largest cluster has 5,000.
    const MOST: usize = 10_000;

    fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    fn has_named(&self, node: &Node) -> bool {
        self.rows.get(node.metadata.name.as_deref().unwrap_or_default()).is_some_and(|(round, _)| *round == self.round)
    }

    fn put(&mut self, node: Node, _: bool) -> bool {
        let name = node.metadata.name.as_deref().unwrap_or_default().into();
        let row = self.row(node);
        let changed = self.rows.get(&name).is_none_or(|(_, old)| *old != row);
        self.rows.insert(name, (self.round, row));
        changed
    }

    fn remove(&mut self, node: &Node) -> bool {
        self.rows.remove(node.metadata.name.as_deref().unwrap_or_default()).is_some()
    }

    fn complete(&mut self) {
        let round = self.round;
        self.rows.retain(|_, (seen, _)| *seen == round);
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn facts(&self, place: &Place, samples: &mut Vec<Sample>) {
        let cluster = || Arc::clone(&place.cluster);
        let now = now().saturating_add(place.clock.ahead());
        let mut kubelets: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        let mut platforms: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        let mut pools: BTreeMap<&[Arc<str>; 3], usize> = BTreeMap::new();
        let mut cached = vec![0_usize; self.interests.images.len()];
        for (name, row) in self.iter() {
            let node = || [cluster(), Arc::clone(name)];
            let schedulable = SCHEDULABLE.sample(node(), flag(row.schedulable));
            samples.push(match nothing_of(&row.allocatable) {
                Some(resource) => schedulable.with_detail(say!("its kubelet offers 0 of its {}", resource)),
                None => schedulable,
            });
            samples.push(DISRUPTED.sample(node(), flag(row.disrupted)));
            // Of one that is being taken away it is no fault that it is silent or not ready.
            let (is_leaving, is_passing) = (row.is_leaving(now), row.is_passing(now));
            let silent =
                |condition: &str, state| is_leaving && (state == ConditionStatus::Unknown || (condition == "Ready" && state == ConditionStatus::False));
            let told = row.conditions.iter().filter_map(|(condition, state)| Some((condition, (*state)?)));
            let told = told.filter(|(condition, state)| !silent(condition, *state));
            // Whoever marks nodes whose kubelets are silent may have stopped as well.
            let stopped = row.silent_since(now).filter(|_| !is_leaving).and_then(|at| Timestamp::from_second(at.saturating_sub(place.clock.ahead())).ok());
            let conditions = told.map(|(condition, state)| {
                let labels = [cluster(), Arc::clone(name), Arc::clone(condition)];
                match stopped.filter(|_| EXPECTED_CONDITIONS.contains(&&**condition)) {
                    Some(at) => CONDITION.unseen(labels).with_detail(say!("its kubelet has written nothing since {}", at)),
                    None => CONDITION.sample(labels, state),
                }
            });
            samples.extend(conditions);
            // Agents report what they can once the node has started.
            let is_tainted = row.taints.unfit.iter().any(|taint| &**taint == taints::NETWORK_UNAVAILABLE);
            let problems = row.conditions.iter().filter(|(condition, _)| !is_passing && (!is_tainted || &**condition != taints::NETWORK));
            samples.extend(row.hidden.filter(|_| !is_passing).map(|is_bad| {
                let hidden = PROBLEM.sample([&*place.cluster, name, HIDDEN], if is_bad { 1.0 } else { f64::NAN });
                hidden.with_detail(if is_bad {
                    say!("a condition whose name is not shown says so")
                } else {
                    say!("the state of a condition whose name is not shown is not known")
                })
            }));
            samples.extend(problems.filter_map(|(condition, state)| {
                let state = (*state)?;
                let problem = PROBLEM.sample([cluster(), Arc::clone(name), Arc::clone(condition)], conditions::problem(condition, state)?);
                Some(problem.with_detail(say!("{} is {}", named(&condition), state.as_str())))
            }));
            let created = row.created.unwrap_or(0).saturating_sub(place.clock.ahead());
            samples.extend(row.taints.starting.iter().map(|taint| STARTED.sample([cluster(), Arc::clone(name), Arc::clone(taint)], created as f64)));
            samples.extend(row.taints.unfit.iter().filter(|_| !is_leaving).map(|taint| TAINTED.sample([cluster(), Arc::clone(name), Arc::clone(taint)], 1.0)));
            samples.extend(row.allocatable[2].map(|bytes| ALLOCATABLE_STORAGE.sample(node(), bytes)));
            samples.extend(row.storage.map(|bytes| CAPACITY_STORAGE.sample(node(), bytes)));
            // Most nodes have none, and a thousand zeros say nothing.
            if let Some([capacity, offered]) = row.gpus {
                let gpu = || [cluster(), Arc::clone(name), Arc::clone(&row.gpu_product)];
                // What one side leaves out is not known, and never none.
                for (family, count) in [(&GPU_CAPACITY, capacity), (&GPU_ALLOCATABLE, offered)] {
                    samples.push(family.sample(gpu(), count.unwrap_or(f64::NAN)));
                }
            }
            *kubelets.entry(&row.kubelet).or_default() += 1;
            *platforms.entry(&row.platform).or_default() += 1;
            *pools.entry(&row.pool).or_default() += 1;
            for image in &row.images {
                cached[*image] += 1;
            }
        }
        if !self.rows.is_empty() {
            let open = self.iter().filter(|(_, row)| row.usable()).count();
            let is_changing = open == 0 && self.iter().any(|(_, row)| row.is_passing(now) || !row.taints.starting.is_empty());
            let sample = OPEN.sample([cluster()], if is_changing { f64::NAN } else { open as f64 });
            samples.push(if is_changing {
                sample.with_detail("none takes pods now; one of them starts or is being taken away, and another may be on its way")
            } else {
                sample
            });
        }
        samples.extend(kubelets.into_iter().map(|(version, count)| KUBELETS.sample([cluster(), Arc::clone(version)], count as f64)));
        samples.extend(platforms.into_iter().map(|(platform, count)| PLATFORMS.sample([cluster(), Arc::clone(platform)], count as f64)));
        let pools = pools
            .into_iter()
            .map(|([pool, instance, capacity], count)| NODES.sample([cluster(), Arc::clone(pool), Arc::clone(instance), Arc::clone(capacity)], count as f64));
        samples.extend(pools);
        if !self.rows.is_empty() {
            let images = self.interests.images.iter().zip(cached);
            samples.extend(images.map(|(image, count)| CACHED.sample([&*place.cluster, image], count as f64 / self.rows.len() as f64)));
        }
    }
}
