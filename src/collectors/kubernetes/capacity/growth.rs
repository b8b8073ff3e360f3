//! What Karpenter may still make of nodes for workspaces.

use crate::collectors::kubernetes::capacity::packing::{Kinds, Site};
use crate::collectors::kubernetes::capacity::scene::Scene;
use crate::collectors::kubernetes::config::{Capacity, PoolTemplate};
use crate::collectors::kubernetes::kinds::karpenter::{Claim, LIMITED, Pool};
use crate::collectors::kubernetes::kinds::node::NodeRow;
use crate::collectors::kubernetes::kinds::nodes::Nodes;
use crate::collectors::kubernetes::kinds::pods::Pods;
use crate::collectors::kubernetes::reading::labels::{self, Promised, Requirement};
use crate::collectors::kubernetes::reading::quantity;
use crate::collectors::kubernetes::reading::resources::{Devices, Lack, largest, times};
use crate::collectors::kubernetes::reading::taints::{Open, Tolerations};
use crate::say;
use crate::say::{Message, named};

/// What Karpenter can still do.
pub(super) struct Growth<'a> {
    pub(super) nodes: f64,
    /// Nothing where it makes none that workspaces could use.
    pub(super) site: Option<Site<'a>>,
    pub(super) limit: Lack,
    /// What its nodes may be.
    pub(super) platforms: Vec<String>,
    /// Why it is not known, if it is not.
    pub(super) unclear: Option<Message>,
}

impl Growth<'_> {
    fn none(limit: Lack) -> Self {
        Self { nodes: 0.0, site: None, limit, platforms: Vec::new(), unclear: None }
    }
}

/// What is taken of each new node of a pool before anybody starts a workspace there: the most that comes with one
/// of its nodes. While it has none, the least that comes with any node: what runs everywhere runs there as well,
/// and what runs on nodes of some pools only may be for those.
fn taken_by_daemons(pool: &str, nodes: &Nodes, pods: &Pods) -> [f64; 4] {
    let loads =
        |own: &dyn Fn(&NodeRow) -> bool| -> Vec<[f64; 4]> { nodes.iter().filter(|(_, node)| own(node)).map(|(name, _)| pods.load(name).with_node.0).collect() };
    let each = |loads: Vec<[f64; 4]>, of: fn(f64, f64) -> f64| loads.into_iter().reduce(|one, other| [0, 1, 2, 3].map(|at| of(one[at], other[at])));
    each(loads(&|node| node.pool() == pool), f64::max).or_else(|| each(loads(&|_| true), f64::min)).unwrap_or_default()
}

/// A node that a pool makes.
struct Made {
    /// What it offers.
    size: [Option<f64>; 4],
    /// What its machine has beside that, of CPU, memory and ephemeral storage.
    beside: [f64; 3],
    /// The devices that the pool's nodes have had so far.
    devices: Devices,
}

/// The claims of a pool.
fn claims<'a>(pool: &'a str, scene: &Scene<'a>) -> impl Iterator<Item = &'a Claim> {
    scene.karpenter.into_iter().flat_map(|(_, claims)| claims.iter()).map(|(_, claim)| claim).filter(move |claim| claim.pool() == pool)
}

const MEBIBYTE: f64 = 1_048_576.0;
const GIBIBYTE: f64 = 1024.0 * MEBIBYTE;

/// What a kubelet keeps back of a machine, as far as nobody has seen one: the rest of a core; the memory that EKS reserves for
/// a node of 110 pods, and what is left before pods are evicted; and of the disk a tenth and a GiB.
/// Source: `templates/al2/runtime/bootstrap.sh` of the Amazon EKS AMI, and
/// <https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/>
fn kept_back(size: [Option<f64>; 4]) -> [f64; 3] {
    let [cpu, _, storage, _] = size.map(Option::unwrap_or_default);
    [cpu.ceil() - cpu, (255.0 + 11.0 * 110.0 + 100.0) * MEBIBYTE, storage / 9.0 + GIBIBYTE]
}

fn made(template: &PoolTemplate, scene: &Scene<'_>) -> Made {
    let (mut size, mut devices, mut beside) = ([None; 4], Devices::new(), [None; 4]);
    for claim in claims(&template.name, scene) {
        size = largest(size, claim.allocatable);
        beside = largest(beside, [0, 1, 2, 3].map(|at| Some((claim.capacity[at]? - claim.allocatable[at]?).max(0.0))));
        for (name, count) in &claim.devices {
            let most = devices.entry(name.clone()).or_default();
            *most = (*most).max(*count);
        }
    }
    for (own, configured) in size.iter_mut().zip([&template.cpu, &template.memory, &template.ephemeral_storage]) {
        *own = configured.as_deref().and_then(quantity::parse).or(*own);
    }
    // Nobody limits the pods of a node in a configuration; kubelets take 110 unless told otherwise.
    size[3] = size[3].or(Some(110.0));
    let kept_back = kept_back(size);
    Made { size, beside: [0, 1, 2].map(|at| beside[at].unwrap_or(kept_back[at])), devices }
}

/// How many nodes like this a pool may still make, and by which limit; `None` where nothing limits it. Its own limits count
/// what machines have.
/// Source: <https://karpenter.sh/docs/concepts/nodepools/#speclimits>
fn nodes(template: &PoolTemplate, pool: &Pool, made: &Made, scene: &Scene<'_>) -> Option<(f64, Lack)> {
    let machine = [0, 1, 2].map(|at| made.size[at].map(|size| size + made.beside[at]));
    let limits =
        [(Lack::NodepoolCpu, machine[0]), (Lack::NodepoolMemory, machine[1]), (Lack::NodepoolEphemeralStorage, machine[2]), (Lack::NodepoolNodes, Some(1.0))];
    let by_limit = limits.into_iter().zip(LIMITED).filter_map(|((limit, size), resource)| Some((times(pool.left(resource)?, size?), limit)));
    // A limit of 0 of what is not counted here, such as GPUs.
    let by_switch = pool.is_off().then_some((0.0, Lack::NodepoolNodes));
    // One that is on its way is still to come, and one that leaves has its machine until it is gone.
    let there = claims(&template.name, scene).filter(|claim| !matches!(claim.phase, "pending" | "launched")).count();
    let by_quota = template.max_nodes.map(|most| ((f64::from(most) - there as f64).max(0.0), Lack::NodepoolNodes));
    by_limit.chain(by_quota).chain(by_switch).min_by(|(a, _), (b, _)| a.total_cmp(b))
}

/// Whether the cloud had no machine for a pool when it was last asked, and the pool has got none since.
fn lacks_machines(pool: &str, scene: &Scene<'_>) -> bool {
    let Some((pools, _)) = scene.karpenter else { return false };
    let is_pool = |name: &str| pools.iter().any(|(key, _)| *key.name == *name);
    let last = scene.shortages.and_then(|shortages| shortages.last(pool, is_pool));
    last.is_some_and(|last| !claims(pool, scene).any(|claim| claim.has_machine() && claim.created.is_some_and(|created| created > last)))
}

/// Whether new nodes of a pool have the labels that nodes for workspaces have: as the pool says or, of labels that it does
/// not know, as its nodes that are there have them. `None` where neither tells.
fn is_labelled(config: &Capacity, pool: &Pool, name: &str, scene: &Scene<'_>, kinds: &Kinds<'_>) -> Option<bool> {
    let has = |(key, value): (&String, &String)| {
        let asked = Requirement::equal(key, value);
        match pool.nodes_to_come.values(key) {
            Some(values) if values.iter().all(|own| own == value) => Some(true),
            Some(values) if !values.contains(&value.as_str()) => Some(false),
            // Karpenter makes what its pods ask for.
            _ if kinds.all_ask(&asked) => Some(true),
            Some(_) => None,
            None if Promised::is_given(key) || pool.nodes_to_come.knows(key) => pool.nodes_to_come.can(&asked).filter(|can| !can),
            None => scene.nodes.iter().filter(|(_, node)| node.pool() == name).map(|(_, node)| node.counts).reduce(|all, counts| all && counts),
        }
    };
    labels::all(config.node_labels.iter().map(has))
}

/// What new nodes may be, by what their pool requires and the workspaces that run.
fn platforms(pool: &Pool, kinds: &Kinds<'_>) -> Vec<String> {
    let all = pool.nodes_to_come.platforms().into_iter();
    let wanted = all.filter(|(system, arch)| kinds.may_run_on(&pool.nodes_to_come.of_platform(system, arch)));
    wanted.map(|(system, arch)| format!("{system}/{arch}")).collect()
}

/// Why it is not known how many workspaces the nodes of a pool take, by what it requires of them.
fn contradiction(name: &str, pool: &Pool, size: [Option<f64>; 4], kinds: &Kinds<'_>) -> Option<Message> {
    let own = &pool.nodes_to_come;
    if own.is_of_windows() && !kinds.all_ask(&Promised::windows()) {
        return Some(say!("the pool {} makes nodes for Windows, and no workspace that runs asks for such a node", named(name)));
    }
    let [cpu, memory, ..] = size;
    let larger = |size: Option<f64>, most: Option<f64>| size.zip(most).filter(|(size, most)| size > most);
    if let Some((size, most)) = larger(cpu, own.most_cores()) {
        return Some(say!("nodes of the pool {} count with {} CPU, and it makes none with more than {}", named(name), size, most));
    }
    let (size, most) = larger(memory.map(|bytes| bytes / GIBIBYTE), own.most_memory())?;
    Some(say!("nodes of the pool {} count with {} GiB of memory, and it makes none with more than {}", named(name), size, most))
}

pub(super) fn growth<'a>(config: &Capacity, template: &PoolTemplate, scene: &Scene<'_>, tolerations: &Tolerations<'_>, kinds: &mut Kinds<'a>) -> Growth<'a> {
    let Some((pools, _)) = scene.karpenter else { return Growth::none(Lack::NodepoolNotReady) };
    let pool = pools.iter().find(|(key, _)| *key.name == *template.name).map(|(_, pool)| pool);
    let Some(pool) = pool.filter(|pool| pool.ready() && !pool.is_static()) else { return Growth::none(Lack::NodepoolNotReady) };
    // A class that is gone makes no node, although the pool may still say that it is ready.
    let class = scene.classes.and_then(|classes| classes.ready(&pool.class));
    if class.is_none() && scene.classes.is_some_and(|classes| classes.knows(&pool.class)) {
        return Growth::none(Lack::NodepoolNotReady);
    }
    let labelled = is_labelled(config, pool, &template.name, scene, kinds);
    if labelled == Some(false) || !pool.nodes_to_come.is_possible() {
        return Growth::none(Lack::NodepoolOfOtherNodes);
    }
    // The configuration names the pool as one for workspaces, so only what is known to be refused counts for nothing.
    if tolerations.open(&pool.taints) == Open::No {
        return Growth::none(Lack::Taints);
    }
    let mut made = made(template, scene);
    if let Some(most) = class.and_then(|class| class.most_pods(made.size[0])) {
        made.size[3] = made.size[3].map(|pods| pods.min(most));
    }
    if made.size.iter().zip(kinds.need()).any(|(size, need)| need > 0.0 && size.is_none()) {
        return Growth::none(Lack::NodepoolOfUnknownSize);
    }
    let Some((nodes, limit)) = nodes(template, pool, &made, scene) else { return Growth::none(Lack::NodepoolWithoutLimit) };
    let Made { size, devices, .. } = made;
    let mut left = size;
    for (left, taken) in left.iter_mut().zip(taken_by_daemons(&template.name, scene.nodes, scene.pods)) {
        *left = left.map(|left| left - taken);
    }
    let untold = kinds.devices().find(|name| !devices.contains_key(*name));
    let site = kinds.new_nodes(nodes, left, devices, |placement| placement.takes_new(&pool.nodes_to_come));
    // Whoever asks for no such device may be all that its nodes are for.
    let unclear = untold.filter(|_| nodes > 0.0 && kinds.would_ask(&site)).map(|name| {
        say!("workspaces that run ask for {}, and no node of the pool {} that is there tells how many a new one has", named(&name), named(&template.name))
    });
    let of_labels = (labelled.is_none() && nodes > 0.0)
        .then(|| say!("neither the pool {} nor a node of it tells whether new ones have the labels of capacity.node_labels", named(&template.name)));
    let unclear = unclear.or(of_labels).or_else(|| contradiction(&template.name, pool, size, kinds).filter(|_| nodes > 0.0));
    let is_short = nodes > 0.0 && kinds.fits_any(&site) && lacks_machines(&template.name, scene);
    let of_cloud = is_short.then(|| say!("the cloud had no machine for a node of the pool {} when Karpenter last asked for one", named(&template.name)));
    let unclear = unclear.or(of_cloud);
    let limit = if site.takes_any() { limit } else { Lack::NodepoolOfOtherNodes };
    let platforms = if nodes > 0.0 { platforms(pool, kinds) } else { Vec::new() };
    Growth { nodes, site: Some(site), limit, platforms, unclear }
}
