//! What Karpenter may still make of nodes for workspaces.

use crate::collectors::kubernetes::capacity::packing::{Kinds, Site};
use crate::collectors::kubernetes::capacity::scene::Scene;
use crate::collectors::kubernetes::config::{Capacity, PoolTemplate};
use crate::collectors::kubernetes::kinds::karpenter::{LIMITED, Pool};
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

/// What a new node offers, and the devices that its pool's nodes have had so far.
fn size(template: &PoolTemplate, scene: &Scene<'_>) -> ([Option<f64>; 4], Devices) {
    let claims = scene.karpenter.iter().flat_map(|(_, claims)| claims.iter()).map(|(_, claim)| claim);
    let (mut size, mut devices) = ([None; 4], Devices::new());
    for claim in claims.filter(|claim| claim.pool() == template.name) {
        size = largest(size, claim.allocatable);
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
    (size, devices)
}

/// How many nodes of this size a pool may still make, and by which limit; `None` where nothing limits it.
fn nodes(template: &PoolTemplate, pool: &Pool, size: [Option<f64>; 4]) -> Option<(f64, Lack)> {
    let limits = [(Lack::NodepoolCpu, size[0]), (Lack::NodepoolMemory, size[1]), (Lack::NodepoolEphemeralStorage, size[2]), (Lack::NodepoolNodes, Some(1.0))];
    let by_limit = limits.into_iter().zip(LIMITED).filter_map(|((limit, size), resource)| Some((times(pool.left(resource)?, size?), limit)));
    // A limit of 0 of what is not counted here, such as GPUs.
    let by_switch = pool.is_off().then_some((0.0, Lack::NodepoolNodes));
    let by_quota = template.max_new_nodes.map(|most| (f64::from(most), Lack::NodepoolNodes));
    by_limit.chain(by_quota).chain(by_switch).min_by(|(a, _), (b, _)| a.total_cmp(b))
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
    if labelled == Some(false) {
        return Growth::none(Lack::NodepoolOfOtherNodes);
    }
    // The configuration names the pool as one for workspaces, so only what is known to be refused counts for nothing.
    if tolerations.open(&pool.taints) == Open::No {
        return Growth::none(Lack::Taints);
    }
    let (mut size, devices) = size(template, scene);
    if let Some(most) = class.and_then(|class| class.most_pods(size[0])) {
        size[3] = size[3].map(|pods| pods.min(most));
    }
    if size.iter().zip(kinds.need()).any(|(size, need)| need > 0.0 && size.is_none()) {
        return Growth::none(Lack::NodepoolOfUnknownSize);
    }
    let Some((nodes, limit)) = nodes(template, pool, size) else { return Growth::none(Lack::NodepoolWithoutLimit) };
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
    let (limit, unclear) = (if site.takes_any() { limit } else { Lack::NodepoolOfOtherNodes }, unclear.or(of_labels));
    let platforms = if nodes > 0.0 { platforms(pool, kinds) } else { Vec::new() };
    Growth { nodes, site: Some(site), limit, platforms, unclear }
}
