//! Workspaces: pods that a person works in, told from others by namespace and labels.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::collectors::kubernetes::config::{Range, WorkspaceSelector};
use crate::collectors::kubernetes::kinds::claims::Claims;
use crate::collectors::kubernetes::kinds::placement::Placement;
use crate::collectors::kubernetes::kinds::pod::{Pod, Volume};
use crate::collectors::kubernetes::kinds::shape::Shape;
use crate::collectors::kubernetes::reading::clock;
use crate::collectors::kubernetes::reading::objects::Place;
use crate::collectors::kubernetes::reading::resources::Asks;
use crate::collectors::kubernetes::reading::taints::{self, Toleration};
use crate::collectors::kubernetes::watching::recent::{Count, Recent};
use crate::collectors::kubernetes::watching::visibility::{STATES, seen};
use crate::collectors::kubernetes::watching::watched::Matching;
use crate::metric::{Coverage, Gauge, Sample, States as _, Unit, gauge, metrics};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::Snapshot;

const COVERAGE: Coverage = seen(&["Pod"]);

metrics! {
    /// Families about workspaces.
    pub(in crate::collectors::kubernetes) FAMILIES;

    static WORKSPACES: Gauge<3> = gauge(
        "readiness_workspaces",
        Unit::Number,
        &["cluster", "selector", "phase"],
        "Pods of workspaces by phase, from the Kubernetes API: how many people work at once.",
    )
    .covered_by(COVERAGE);
    static WITHOUT_LIMIT: Gauge<3> = gauge(
        "readiness_workspace_containers_without_limit",
        Unit::Number,
        &["cluster", "selector", "resource"],
        "Containers of pending and running workspaces without a limit of a resource, where there is such a workspace, from the Kubernetes API.",
    )
    .covered_by(COVERAGE.sparse());
    static OUT_OF_RANGE: Gauge<3> = gauge(
        "readiness_workspace_containers_outside_range",
        Unit::Number,
        &["cluster", "selector", "resource"],
        "Containers of pending and running workspaces whose limit is not within the configured range, where there is such a workspace, from the Kubernetes API.",
    )
    .covered_by(COVERAGE.sparse());
    static STARTS: Gauge<2> = gauge(
        "readiness_workspace_starts_max",
        Unit::Number,
        &["cluster", "selector"],
        "The most starts of one workspace within the window, replaced pods and restarted containers alike, from the Kubernetes API.",
    )
    .covered_by(COVERAGE);
    static IMAGES: Gauge<3> = gauge(
        "readiness_workspace_image_containers",
        Unit::Number,
        &["cluster", "selector", "image"],
        "Containers of pending and running workspaces by the image that they ask for, from the Kubernetes API.",
    )
    .covered_by(COVERAGE.quiet());
}

const PHASES: [&str; 3] = ["pending", "running", "failed"];
const LIMITS: [&str; 3] = ["cpu", "memory", "ephemeral_storage"];

/// What is kept of a workspace's pod.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Workspace {
    /// Position of its selector.
    selector: usize,
    /// Which workspace, across replaced pods.
    id: u64,
    without: [u16; 3],
    outside: [u16; 2],
    images: Box<[Arc<str>]>,
    /// Shared by all that have the same.
    tolerations: Arc<[Toleration]>,
    shape: Arc<Shape>,
    placement: Arc<Placement>,
    /// Claims that it mounts by name, with their namespace.
    claims: Box<[Box<str>]>,
    /// Whether it has more than one container.
    several: bool,
}

/// What the pod of a workspace takes.
#[derive(Debug, Clone, Copy)]
pub(in crate::collectors::kubernetes) struct Takes<'a> {
    pub(in crate::collectors::kubernetes) node: Option<&'a Arc<str>>,
    /// Whether it is being deleted.
    pub(in crate::collectors::kubernetes) leaving: bool,
    /// Where a container without a limit counts with its request.
    pub(in crate::collectors::kubernetes) asks: Asks,
}

#[derive(Debug, Default)]
struct Sums {
    phases: BTreeMap<&'static str, u64>,
    without: [u64; 3],
    outside: [u64; 2],
    images: BTreeMap<Arc<str>, u64>,
    /// Those that have a node, whether they run there already or are about to, and those of them that are being deleted.
    placed: BTreeMap<Arc<str>, [u64; 2]>,
    /// Those that run or are about to, and what they request of CPU, in thousandths of cores, memory and ephemeral storage together.
    asking: u64,
    requests: [f64; 3],
    limits: [f64; 3],
    shapes: BTreeMap<Arc<Shape>, u64>,
    placements: BTreeMap<Arc<Placement>, u64>,
    /// How large they are: CPU in thousandths of cores, memory and ephemeral storage.
    sizes: BTreeMap<(Arc<Placement>, [u64; 3]), u64>,
    /// By node, those of them that mind where others are.
    neighbours: BTreeMap<(Arc<Placement>, Arc<str>), u64>,
    /// How many of them mount each claim.
    claims: BTreeMap<Box<str>, u64>,
    /// Those of them that have more than one container.
    several: u64,
    /// Of running pods.
    tolerations: BTreeMap<Arc<[Toleration]>, u64>,
}

impl Sums {
    /// What one pod has of it on average, in cores and bytes; nothing where there is none.
    fn mean(&self, [cpu, memory, storage]: [f64; 3]) -> [f64; 3] {
        let each = |sum: f64| if self.asking > 0 { sum / self.asking as f64 } else { 0.0 };
        [each(cpu) / 1000.0, each(memory), each(storage)]
    }
}

/// Counts one more of a key, or one less.
fn counted<K: Ord + Clone>(counts: &mut BTreeMap<K, u64>, key: &K, up: bool) {
    let count = counts.entry(key.clone()).or_default();
    *count = if up { *count + 1 } else { count.saturating_sub(1) };
    if *count == 0 {
        counts.remove(key);
    }
}

/// All selectors with their sums.
#[derive(Debug)]
pub(in crate::collectors::kubernetes) struct Workspaces {
    selectors: Vec<WorkspaceSelector>,
    sums: Vec<Sums>,
    starts: Recent<(usize, u64, u128, u32), ()>,
    window: i64,
}

impl Workspaces {
    pub(in crate::collectors::kubernetes) fn new(selectors: Vec<WorkspaceSelector>, window: i64) -> Self {
        let sums = selectors.iter().map(|_| Sums::default()).collect();
        Self { selectors, sums, starts: Recent::new(window), window }
    }

    fn named(&self, name: &str) -> Option<(&WorkspaceSelector, &Sums)> {
        self.selectors.iter().zip(&self.sums).find(|(selector, _)| selector.name == name)
    }

    /// By node, the pods of a selector that have it, whether they run there already or are about to, and those of them
    /// that are being deleted.
    pub(in crate::collectors::kubernetes) fn placed(&self, name: &str) -> impl Iterator<Item = (&Arc<str>, [u64; 2])> {
        self.named(name).into_iter().flat_map(|(_, sums)| &sums.placed).map(|(node, counts)| (node, *counts))
    }

    /// How many pods of a selector run or are about to.
    pub(in crate::collectors::kubernetes) fn running(&self, name: &str) -> u64 {
        self.named(name).map_or(0, |(_, sums)| sums.asking)
    }

    /// Whether the pods of a selector have one container each; `None` where there is none.
    pub(in crate::collectors::kubernetes) fn is_single(&self, name: &str) -> Option<bool> {
        self.named(name).filter(|(_, sums)| sums.asking > 0).map(|(_, sums)| sums.several == 0)
    }

    /// The limits of CPU and memory that pods of a selector may have, at least and at most.
    pub(in crate::collectors::kubernetes) fn ranges(&self, name: &str) -> [Option<[f64; 2]>; 2] {
        let both = |range: &Option<Range>| range.as_ref().and_then(Range::bounds).map(|bounds| [*bounds.start(), *bounds.end()]);
        self.named(name).map_or([None; 2], |(selector, _)| [both(&selector.cpu), both(&selector.memory)])
    }

    /// Where the pods of a selector are.
    pub(in crate::collectors::kubernetes) fn namespaces(&self, name: &str) -> &[String] {
        self.named(name).map_or(&[], |(selector, _)| &selector.namespaces)
    }

    /// What a pod of a selector requests on average, of CPU, memory and ephemeral storage; nothing where there is none.
    pub(in crate::collectors::kubernetes) fn requests(&self, name: &str) -> [f64; 3] {
        self.named(name).map_or([0.0; 3], |(_, sums)| sums.mean(sums.requests))
    }

    /// The same of limits.
    pub(in crate::collectors::kubernetes) fn limits(&self, name: &str) -> [f64; 3] {
        self.named(name).map_or([0.0; 3], |(_, sums)| sums.mean(sums.limits))
    }

    /// The shapes of pods of a selector, each once.
    pub(in crate::collectors::kubernetes) fn shapes(&self, name: &str) -> Option<&BTreeMap<Arc<Shape>, u64>> {
        self.named(name).map(|(_, sums)| &sums.shapes)
    }

    /// The priority below which pods give way to all pods of a selector. Those of which none is there are taken for pods
    /// without a priority of their own.
    pub(in crate::collectors::kubernetes) fn drive_away(&self, name: &str) -> i32 {
        let each = self.shapes(name).into_iter().flatten().map(|(shape, _)| shape.drives_away.unwrap_or(i32::MIN));
        each.min().unwrap_or_default()
    }

    /// The placements of pods of a selector, each once, with how many have it.
    pub(in crate::collectors::kubernetes) fn placements(&self, name: &str) -> impl Iterator<Item = (&Arc<Placement>, u64)> {
        self.named(name).into_iter().flat_map(|(_, sums)| &sums.placements).map(|(placement, count)| (placement, *count))
    }

    /// The same by what they request as well, of CPU, memory and ephemeral storage; the smaller ones of a placement first.
    pub(in crate::collectors::kubernetes) fn sizes(&self, name: &str) -> impl Iterator<Item = (&Placement, [f64; 3], u64)> {
        let in_cores = |[cpu, memory, storage]: [u64; 3]| [cpu as f64 / 1000.0, memory as f64, storage as f64];
        let all = self.named(name).into_iter().flat_map(|(_, sums)| &sums.sizes);
        all.map(move |((placement, size), count)| (&**placement, in_cores(*size), *count))
    }

    /// The devices that a pod of a selector asks for on average.
    pub(in crate::collectors::kubernetes) fn devices(&self, name: &str) -> BTreeMap<String, f64> {
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        let all: u64 = self.placements(name).map(|(_, count)| count).sum();
        for (placement, count) in self.placements(name) {
            for (device, amount) in &placement.devices {
                *sums.entry(device.clone()).or_default() += *amount as f64 / 1000.0 * count as f64 / all as f64;
            }
        }
        sums
    }

    /// The pods of a selector that have a node and mind where others are, by their placement and their node.
    pub(in crate::collectors::kubernetes) fn neighbours(&self, name: &str) -> impl Iterator<Item = (&Placement, &Arc<str>, u64)> {
        self.named(name).into_iter().flat_map(|(_, sums)| &sums.neighbours).map(|((placement, node), count)| (&**placement, node, *count))
    }

    /// The claims of pods of a selector.
    pub(in crate::collectors::kubernetes) fn claims(&self, name: &str) -> Claims {
        let Some((_, sums)) = self.named(name).filter(|(_, sums)| sums.asking > 0) else { return Claims::default() };
        let all = sums.asking as f64;
        let own = sums.claims.values().filter(|pods| **pods == 1).count() as f64;
        let sure = if sums.asking > 1 { own } else { 0.0 };
        let passing = sums.shapes.iter().flat_map(|(shape, count)| shape.own_claims.iter().map(move |claim| (claim.clone(), *count as f64 / all)));
        Claims { named: [sure, own].map(|named| named / all), passing: passing.collect(), mounted: own, is_known: true }
    }

    /// The tolerations that running pods of a selector have, each once.
    pub(in crate::collectors::kubernetes) fn tolerations(&self, name: &str) -> impl Iterator<Item = &[Toleration]> {
        self.named(name).into_iter().flat_map(|(_, sums)| sums.tolerations.keys()).map(AsRef::as_ref)
    }

    /// What a pod is to each selector that takes it; most take no pod of another.
    pub(in crate::collectors::kubernetes) fn recognise(&self, namespace: &str, pod: &Pod) -> Box<[Workspace]> {
        let empty = BTreeMap::new();
        let labels = pod.metadata.labels.as_ref().unwrap_or(&empty);
        let own = self.selectors.iter().enumerate().filter(|(_, selector)| selector.takes(namespace, labels));
        own.map(|(at, selector)| self.workspace(at, selector, namespace, labels, pod)).collect()
    }

    fn workspace(&self, at: usize, selector: &WorkspaceSelector, namespace: &str, labels: &BTreeMap<String, String>, pod: &Pod) -> Workspace {
        let identity = selector.id_label.as_ref().and_then(|label| labels.get(label));
        let owner = identity.map(String::as_str).or(pod.metadata.name.as_deref()).unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        (namespace, owner).hash(&mut hasher);
        let known = &self.sums[at].images;
        let shared = |image: &str| known.get_key_value(image).map_or_else(|| image.into(), |(known, _)| Arc::clone(known));
        let images = pod.images().map(|(_, image, _)| shared(image)).collect();
        let own: Arc<[Toleration]> = taints::lasting(&pod.spec.tolerations).into();
        let tolerations = self.sums[at].tolerations.get_key_value(&own).map_or_else(|| Arc::clone(&own), |(known, _)| Arc::clone(known));
        let sidecars = || pod.spec.init_containers.iter().filter(|container| container.is_sidecar());
        let several = pod.spec.containers.len() + sidecars().count() > 1;
        let own = Arc::new(Shape::of(pod));
        let shape = self.sums[at].shapes.get_key_value(&own).map_or_else(|| Arc::clone(&own), |(known, _)| Arc::clone(known));
        let own = Arc::new(Placement::of(pod, selector, namespace));
        let placement = self.sums[at].placements.get_key_value(&own).map_or_else(|| Arc::clone(&own), |(known, _)| Arc::clone(known));
        let claims = pod.spec.volumes.iter().filter_map(Volume::claim).map(|claim| format!("{namespace}/{claim}").into()).collect();
        let mut workspace =
            Workspace { selector: at, id: hasher.finish(), without: [0; 3], outside: [0; 2], images, tolerations, shape, placement, claims, several };
        let ranges = [selector.cpu.as_ref().and_then(Range::bounds), selector.memory.as_ref().and_then(Range::bounds)];
        let whole = pod.whole_limits();
        // What bounds all containers together bounds each of them. A limit of 0 is none: runtimes take it so.
        let bound = |container| {
            [0, 1, 2]
                .map(|at: usize| [pod.container_limits(container)[at], whole[at]].into_iter().flatten().filter(|limit| *limit > 0.0).min_by(f64::total_cmp))
        };
        for limit in pod.spec.containers.iter().chain(sidecars()).map(bound) {
            for (count, limit) in workspace.without.iter_mut().zip(limit) {
                *count = count.saturating_add(u16::from(limit.is_none()));
            }
        }
        for limit in pod.spec.containers.iter().map(bound) {
            for ((count, range), limit) in workspace.outside.iter_mut().zip(&ranges).zip(limit) {
                // No limit is counted above; here only a limit that is not allowed.
                let outside = range.as_ref().zip(limit).is_some_and(|(range, limit)| !range.contains(&limit));
                *count = count.saturating_add(u16::from(outside));
            }
        }
        workspace
    }

    pub(in crate::collectors::kubernetes) fn account(&mut self, workspace: &Workspace, phase: &'static str, takes: Takes<'_>, up: bool) {
        let sums = &mut self.sums[workspace.selector];
        let step = |sum: &mut u64, by: u64| *sum = if up { *sum + by } else { sum.saturating_sub(by) };
        step(sums.phases.entry(phase).or_default(), 1);
        if let Some(node) = takes.node {
            let counts = sums.placed.entry(Arc::clone(node)).or_default();
            step(&mut counts[0], 1);
            step(&mut counts[1], u64::from(takes.leaving));
            if counts[0] == 0 {
                sums.placed.remove(node);
            }
        }
        if phase == "running" {
            counted(&mut sums.tolerations, &workspace.tolerations, up);
        }
        // A pod that is over limits nothing.
        if matches!(phase, "pending" | "running") {
            step(&mut sums.asking, 1);
            step(&mut sums.several, u64::from(workspace.several));
            let sign = if up { 1.0 } else { -1.0 };
            sums.requests.iter_mut().zip(takes.asks.requests()).for_each(|(sum, own)| *sum += sign * own);
            sums.limits.iter_mut().zip(takes.asks.limits()).for_each(|(sum, own)| *sum += sign * own);
            counted(&mut sums.shapes, &workspace.shape, up);
            counted(&mut sums.placements, &workspace.placement, up);
            counted(&mut sums.sizes, &(Arc::clone(&workspace.placement), takes.asks.size()), up);
            if let Some(node) = takes.node.filter(|_| workspace.placement.minds_others()) {
                counted(&mut sums.neighbours, &(Arc::clone(&workspace.placement), Arc::clone(node)), up);
            }
            for claim in &workspace.claims {
                counted(&mut sums.claims, claim, up);
            }
            sums.without.iter_mut().zip(workspace.without).for_each(|(sum, by)| step(sum, u64::from(by)));
            sums.outside.iter_mut().zip(workspace.outside).for_each(|(sum, by)| step(sum, u64::from(by)));
            for image in &workspace.images {
                counted(&mut sums.images, image, up);
            }
        }
    }

    /// A start is a new pod, or another restart of a container in one.
    pub(in crate::collectors::kubernetes) fn started(&mut self, workspace: &Workspace, pod: u128, restarts: u32, created: i64) {
        let at = if restarts == 0 { created } else { clock::now() };
        self.starts.record((workspace.selector, workspace.id, pod, restarts), at, ());
    }

    pub(in crate::collectors::kubernetes) fn facts(&self, place: &Place, samples: &mut Vec<Sample>) {
        let mut starts: BTreeMap<(usize, u64), Count> = BTreeMap::new();
        for ((selector, id, ..), at, ()) in self.starts.recent() {
            starts.entry((*selector, *id)).or_default().add(1, at);
        }
        for (at, (selector, sums)) in self.selectors.iter().zip(&self.sums).enumerate() {
            let labels = |last: &str| [Arc::clone(&place.cluster), selector.name.as_str().into(), last.into()];
            let phases = PHASES.iter().map(|phase| WORKSPACES.sample(labels(phase), sums.phases.get(phase).copied().unwrap_or_default() as f64));
            samples.extend(phases);
            // Of none that is there nobody knows whether it has limits.
            if sums.asking > 0 {
                samples.extend(LIMITS.iter().zip(sums.without).map(|(resource, count)| WITHOUT_LIMIT.sample(labels(resource), count as f64)));
                let ranges = [("cpu", &selector.cpu), ("memory", &selector.memory)];
                let ranged = ranges.iter().zip(sums.outside).filter(|((_, range), _)| range.is_some());
                samples.extend(ranged.map(|((resource, _), count)| OUT_OF_RANGE.sample(labels(resource), count as f64)));
            }
            let images = sums.images.iter().map(|(image, count)| IMAGES.sample([&*place.cluster, &*selector.name, image], *count as f64));
            samples.extend(images);
            let most = starts.iter().filter(|((own, _), _)| *own == at).map(|(_, count)| *count).max().unwrap_or_default();
            let most_often = STARTS.sample([&*place.cluster, &selector.name], most.times as f64);
            samples.push(if most.times > 0 { most_often.with_detail(most.words(self.window)) } else { most_often });
        }
    }
}

/// The images of all workspaces, or why they are not all known: what one cluster shows says nothing
/// about another whose pods cannot be seen.
pub(in crate::collectors) fn images(seen: &Snapshot) -> Result<BTreeSet<String>, Message> {
    for view in seen.views.iter().filter(|view| view.source.emits.contains(&IMAGES.0.name)) {
        let pods = view.of(STATES).find(|state| state.label("kind") == Some("Pod"));
        if view.unseen.is_some() || !pods.is_some_and(|state| matches!(Matching::of(state), Some(Matching::Matched | Matching::Empty))) {
            return Err(say!("the pods of {} are not known", named(&view.source.name)));
        }
    }
    Ok(seen.samples_of(IMAGES.0.name).filter_map(|sample| sample.label("image")).map(str::to_owned).collect())
}
