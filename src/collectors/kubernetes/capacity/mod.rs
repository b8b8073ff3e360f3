//! What nodes have left, and how many workspaces fit: pure arithmetic on what was seen.
//!
//! Workspaces that fit are those that have a node, those for which nodes have room now, and those for
//! which Karpenter may still make nodes. A node counts by its scarcest resource, because half a
//! workspace is none. What is not known counts as nothing.

mod growth;
mod packing;
mod scene;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::collectors::kubernetes::capacity::growth::growth;
use crate::collectors::kubernetes::capacity::packing::{Kinds, Site, Size};
pub(super) use crate::collectors::kubernetes::capacity::scene::Scene;
use crate::collectors::kubernetes::config::Capacity;
use crate::collectors::kubernetes::kinds::namespaces;
use crate::collectors::kubernetes::kinds::node::NodeRow;
use crate::collectors::kubernetes::kinds::nodes::Nodes;
use crate::collectors::kubernetes::kinds::placement::Placement;
use crate::collectors::kubernetes::kinds::pods::Pods;
use crate::collectors::kubernetes::kinds::quotas::{Allowed, Want};
use crate::collectors::kubernetes::reading::quantity;
use crate::collectors::kubernetes::reading::resources::{Lack, NAMES};
use crate::collectors::kubernetes::reading::taints::{Open, Tolerations};
use crate::collectors::kubernetes::watching::visibility::{LOOKED_AT, seen};
use crate::metric::{Coverage, Gauge, Sample, StateSet, Unit, gauge, metrics, state_set, states};
use crate::say;
use crate::say::{Message, named};

const BOTH: Coverage = seen(&["Node", "Pod"]);
const ALL: Coverage = Coverage { seen: LOOKED_AT, ..seen(&["Node", "Pod", "Namespace", "NodePool", "NodeClaim", "EC2NodeClass", "NodeClass"]) };

states! {
    /// Which of the nodes to come are meant.
    pub(in crate::collectors::kubernetes) enum Chance {
        All => "all",
        Some => "some",
    }
}

metrics! {
    /// Families about capacity.
    pub(super) FAMILIES;

    /// Families about requests.
    pub(super) REQUEST_FAMILIES {
        static NODE_REQUESTED: Gauge<3> = gauge(
            "readiness_node_requested_ratio",
            Unit::Ratio,
            &["cluster", "node", "resource"],
            "Share of a node's allocatable resource that its pods request, from nodes and pods in the Kubernetes API.",
        )
        .covered_by(BOTH);
        static NODE_STORAGE_REQUESTED: Gauge<2> = gauge(
            "readiness_node_ephemeral_storage_requested_bytes",
            Unit::Bytes,
            &["cluster", "node"],
            "Ephemeral storage that the pods of a node request, from the Kubernetes API.",
        )
        .covered_by(BOTH);
        static REQUESTED: Gauge<2> = gauge(
            "readiness_cluster_requested_ratio",
            Unit::Ratio,
            &["cluster", "resource"],
            "Share of all nodes' allocatable resource that pods request, from nodes and pods in the Kubernetes API.",
        )
        .covered_by(BOTH);
        static LIMITS: Gauge<2> = gauge(
            "readiness_cluster_limits_ratio",
            Unit::Ratio,
            &["cluster", "resource"],
            "Sum of the limits of all pods over all nodes' allocatable resource; above 1 nodes are overcommitted, from the Kubernetes API.",
        )
        .covered_by(BOTH);
    }

    /// Families about headroom.
    pub(super) ROOM_FAMILIES {
        static FIT: Gauge<1> = gauge(
            "readiness_capacity_workspaces",
            Unit::Number,
            &["cluster"],
            "Workspaces that fit: those that have a node, room on nodes, and nodes that Karpenter may still make, from the Kubernetes API.",
        )
        .covered_by(ALL);
        static ADDABLE: Gauge<2> = gauge(
            "readiness_capacity_workspaces_addable",
            Unit::Number,
            &["cluster", "from"],
            "Workspaces that still fit, on existing_nodes and on new_nodes, from the Kubernetes API.",
        )
        .covered_by(ALL);
        static EXPECTED: Gauge<2> = gauge(
            "readiness_capacity_expected_workspaces",
            Unit::Number,
            &["cluster", "event"],
            "Workspaces that will run in a cluster while an event does: for its participants or, where that are more, for those of an event that overlaps it. From the configuration.",
        )
        .covered_by(ALL);
        static HEADROOM: Gauge<2> = gauge(
            "readiness_capacity_headroom_ratio",
            Unit::Share,
            &["cluster", "event"],
            "What is left of the workspaces that fit once all run that are expected for an event, or that run already where those are more, as a share of those that fit; at least -1, from the Kubernetes API. Not known while a pool that may grow has no max_nodes, since its own limits say nothing about the quota of the account, nor while nothing says whether workspaces tolerate the taints of a node.",
        )
        .covered_by(ALL);
        static NODES_ADDABLE: Gauge<2> = gauge(
            "readiness_capacity_nodes_addable",
            Unit::Number,
            &["cluster", "nodepool"],
            "Nodes that a Karpenter pool may still make within its limits and the configured maximum, from the karpenter.sh/v1 API.",
        )
        .covered_by(ALL);
        pub(in crate::collectors::kubernetes) static NEW_PLATFORMS: StateSet<Chance, 3> = state_set(
            "readiness_nodepool_platform_state",
            &["cluster", "nodepool", "platform"],
            "Whether new nodes for workspaces that a Karpenter pool may still make are of a platform: all of them, or some of them maybe, by what the pool and running workspaces require, from the karpenter.sh/v1 API.",
        )
        .covered_by(ALL.quiet());
        static BINDING: StateSet<Lack, 1> = state_set(
            "readiness_capacity_limit_state",
            &["cluster"],
            "What keeps more workspaces from fitting: a resource or a device of the nodes, taints that all of them have, labels that they lack, how workspaces keep away from each other or are spread, a quota or a LimitRange of their namespaces, that none of these is there, or what keeps Karpenter from making more of them.",
        )
        .covered_by(ALL);
    }
}

/// What pods ask of nodes.
pub(super) fn requests(cluster: &Arc<str>, nodes: &Nodes, pods: &Pods, samples: &mut Vec<Sample>) {
    let mut sums = [[0.0; 3]; 4];
    let resources = NAMES.map(Arc::<str>::from);
    for (name, node) in nodes.iter() {
        let load = pods.load(name);
        samples.push(NODE_STORAGE_REQUESTED.sample([Arc::clone(cluster), Arc::clone(name)], load.requests.0[2]));
        for (at, resource) in resources.iter().enumerate() {
            let Some(allocatable) = node.allocatable[at].filter(|amount| *amount > 0.0) else { continue };
            let ratio = load.requests.0[at] / allocatable;
            samples.push(NODE_REQUESTED.sample([Arc::clone(cluster), Arc::clone(name), Arc::clone(resource)], ratio));
            for (sum, amount) in sums[at].iter_mut().zip([allocatable, load.requests.0[at], load.limits.0[at]]) {
                *sum += amount;
            }
        }
    }
    for (resource, [allocatable, requested, limits]) in resources.iter().zip(sums).filter(|(_, sums)| sums[0] > 0.0) {
        let labels = || [Arc::clone(cluster), Arc::clone(resource)];
        samples.push(REQUESTED.sample(labels(), requested / allocatable));
        samples.push(LIMITS.sample(labels(), limits / allocatable));
    }
}

/// What one workspace needs, in the order of [`NAMES`].
fn need(config: &Capacity) -> [f64; 4] {
    let amount = |text: &str| quantity::parse(text).unwrap_or(f64::INFINITY);
    [amount(&config.cpu), amount(&config.memory), config.ephemeral_storage.as_deref().map_or(0.0, amount), 1.0]
}

/// Different sets of tolerations of workspaces that are looked at; templates have a handful.
const MOST_SHAPES: usize = 64;

/// What the rules of their namespaces let start of more workspaces.
fn rules(workspaces: &str, scene: &Scene<'_>, need: [f64; 4]) -> Allowed {
    let own = &scene.pods.workspaces;
    let is_there = |name: &&str| scene.namespaces.is_none_or(|all| namespaces::is_there(all, name));
    let named_ones = own.namespaces(workspaces).iter().map(String::as_str);
    let (there, gone): (Vec<&str>, Vec<&str>) = named_ones.partition(is_there);
    // Every cluster has some.
    if scene.namespaces.is_some_and(|all| all.iter().next().is_none()) {
        return Allowed::Unclear(say!("the cluster tells of no namespace at all"));
    }
    if let (true, Some(gone)) = (there.is_empty(), gone.first()) {
        return Allowed::Refused(Lack::Namespace, say!("the namespace {} is gone or being deleted", named(gone)));
    }
    let ranges = own.ranges(workspaces);
    let limits = ranges.map(|range| range.map(|[least, _]| least));
    // A limit is at least what is requested, and at least what all of them are asked to have.
    let seen = own.limits(workspaces);
    let least = [0, 1, 2].map(|at| need[at].max(seen[at]).max(limits.get(at).copied().flatten().unwrap_or_default()));
    // Of those of which none is there nobody knows how much more they may use than they request, unless that is configured.
    let is_known = own.running(workspaces) > 0;
    let most = [0, 1, 2].map(|at| if is_known { least[at] } else { ranges.get(at).copied().flatten().map_or(f64::INFINITY, |[_, most]| most.max(least[at])) });
    let none = BTreeMap::new();
    let shapes = own.shapes(workspaces).unwrap_or(&none);
    let (devices, claims) = (&own.devices(workspaces), &own.claims(workspaces));
    let want = Want { need, devices, limits, uses: [least, most], shapes, claims, is_single: own.is_single(workspaces) };
    scene.rules.map_or(Allowed::Most([f64::INFINITY; 2]), |rules| rules.allowed(&there, want))
}

/// Workspaces that have their room: those that have a node. A node that is being taken away takes their room along,
/// and one that takes no new pods that of those which are being deleted there.
fn placed(workspaces: &str, scene: &Scene<'_>) -> f64 {
    let nodes: BTreeMap<&Arc<str>, &NodeRow> = scene.nodes.iter().collect();
    let stays = |(node, [all, leaving]): (&Arc<str>, [u64; 2])| match nodes.get(node) {
        Some(node) if node.disrupted => 0,
        Some(node) if !node.usable() => all.saturating_sub(leaving),
        _ => all,
    };
    scene.pods.workspaces.placed(workspaces).map(stays).sum::<u64>() as f64
}

/// The nodes on which workspaces have room.
struct Existing<'a> {
    sites: Vec<Site<'a>>,
    /// How many refuse workspaces, and of how many nobody knows whether they do.
    refusing: usize,
    unclear: usize,
    /// How many nodes lack what first.
    scarce: BTreeMap<&'static str, (usize, Lack)>,
    /// Of each place that workspaces are spread over, how many are there and how many more it has room for.
    domains: BTreeMap<u64, [f64; 2]>,
}

fn existing<'a>(below: i32, scene: &Scene<'_>, tolerations: &Tolerations<'_>, kinds: &mut Kinds<'a>) -> Existing<'a> {
    let mut found = Existing { sites: Vec::new(), refusing: 0, unclear: 0, scarce: BTreeMap::new(), domains: BTreeMap::new() };
    for (name, node) in scene.nodes.iter() {
        let mut room = 0.0;
        if node.counts && node.usable() {
            let site = site(below, name, node, scene, kinds);
            match tolerations.open(&node.taints.chosen) {
                Open::No => found.refusing += 1,
                Open::Unknown => found.unclear += usize::from(kinds.fits_any(&site)),
                Open::Yes => {
                    let (times, lack) = kinds.fits_mainly(&site);
                    room = times;
                    found.scarce.entry(lack.as_str()).or_insert((0, lack)).0 += 1;
                    found.sites.push(site);
                }
            }
        }
        let place = kinds.even().filter(|_| kinds.main().takes(&node.offers.labels) == Some(true)).and_then(|even| node.offers.labels.get(&even.key));
        if let Some(place) = place {
            let domain = found.domains.entry(place).or_default();
            *domain = [domain[0] + kinds.spread_on(name), domain[1] + room];
        }
    }
    found
}

/// What is left on a node for pods to which those below a priority give way.
fn site<'a>(below: i32, name: &str, node: &NodeRow, scene: &Scene<'_>, kinds: &mut Kinds<'a>) -> Site<'a> {
    let load = scene.pods.load(name);
    let mut left = node.allocatable;
    left.iter_mut().zip(load.without_giving_way(below)).for_each(|(left, used)| *left = left.map(|left| left - used));
    let held = scene.pods.devices(name);
    let of_device = |(device, all): (&String, &u64)| (device.clone(), all.saturating_sub(held.and_then(|held| held.get(device)).copied().unwrap_or(0)));
    let devices = node.offers.devices.iter().map(of_device).collect();
    kinds.node(name, left, devices, |placement| placement.takes(&node.offers.labels))
}

/// How many workspaces fit, and what is left once all expected ones run.
pub(super) fn headroom(cluster: &Arc<str>, config: &Capacity, scene: &Scene<'_>, samples: &mut Vec<Sample>) {
    let configured = need(config);
    // Those that are there may be larger than somebody once wrote down.
    let size = Size { configured, mean: scene.pods.workspaces.requests(&config.workspaces) };
    let need = size.most();
    let tolerations =
        Tolerations { configured: config.tolerations.as_deref(), seen: scene.pods.workspaces.tolerations(&config.workspaces).take(MOST_SHAPES).collect() };
    let plain = Placement::default();
    let mut kinds = Kinds::of(&scene.pods.workspaces, &config.workspaces, size, &plain);
    let Existing { mut sites, refusing, unclear, scarce, domains } =
        existing(scene.pods.workspaces.drive_away(&config.workspaces), scene, &tolerations, &mut kinds);
    let mut by_account = true;
    let nodes_lack = scarce.into_values().max_by_key(|(nodes, _)| *nodes).map(|(_, lack)| lack);
    let mut limit = nodes_lack.unwrap_or(if refusing + unclear > 0 { Lack::Taints } else { Lack::Cpu });
    let (mut of_new, mut most) = (None, -1.0);
    for template in &config.nodepools {
        let growth = growth(config, template, scene, &tolerations, &mut kinds);
        samples.push(NODES_ADDABLE.sample([&**cluster, &template.name], growth.nodes));
        let chance = if growth.platforms.len() == 1 { Chance::All } else { Chance::Some };
        samples.extend(growth.platforms.iter().map(|platform| NEW_PLATFORMS.sample([&**cluster, &template.name, platform], chance)));
        of_new = of_new.or(growth.unclear);
        let workspaces = growth.site.as_ref().map_or(0.0, |site| site.nodes * kinds.fits_mainly(site).0);
        // The limits of a pool are what its owner allows; what the account allows is another question.
        by_account &= template.max_nodes.is_some() || !growth.site.as_ref().is_some_and(|site| site.nodes > 0.0 && kinds.fits_any(site));
        // More nodes are what more workspaces would need, so the pool that can grow most decides.
        if workspaces > most {
            (most, limit) = (workspaces, growth.limit);
        }
        sites.extend(growth.site);
    }
    let [mut room, new] = kinds.room(&sites);
    if let Some(even) = kinds.even() {
        let spread = packing::spread(domains.into_values(), even.skew);
        if spread < room {
            (room, limit) = (spread, Lack::TopologySpread);
        }
        if new > 0.0 {
            of_new = of_new.or_else(|| Some(say!("where new nodes will be is not known, and workspaces are spread over {}", named(&even.key))));
        }
    }
    let mut rules = rules(&config.workspaces, scene, need);
    if let Allowed::Most([least, most]) = rules
        && least < most.min(room + new)
    {
        rules = Allowed::Unclear(if scene.pods.workspaces.running(&config.workspaces) == 0 {
            say!("a quota of their namespaces bounds what workspaces may have, and none runs that shows how much of it one takes; start one")
        } else {
            say!(
                "a quota of their namespaces may leave room for only {} more; those that run do not tell whether it is about workspaces, or whose the claims are that it counts",
                least
            )
        });
    }
    let allowed = match rules {
        Allowed::Most([least, _]) => least,
        Allowed::Refused(..) => 0.0,
        Allowed::Unclear(_) => f64::INFINITY,
    };
    if allowed < room + new {
        limit = if let Allowed::Refused(lack, _) = rules { lack } else { Lack::Quota };
    }
    let placed = placed(&config.workspaces, scene);
    let total = placed + (room + new).min(allowed);
    let own = || [Arc::clone(cluster)];
    samples.push(FIT.sample(own(), total));
    samples.push(ADDABLE.sample([&**cluster, "existing_nodes"], room));
    samples.push(ADDABLE.sample([&**cluster, "new_nodes"], new));
    samples.push(BINDING.sample(own(), limit));
    let unknown = match &rules {
        Allowed::Unclear(why) => Some(why.clone()),
        _ if kinds.unclear.is_some() => kinds.unclear.clone(),
        _ if of_new.is_some() => of_new,
        _ if unclear > 0 => Some(say!("whether workspaces tolerate the taints of {} nodes is told by none that runs; set capacity.tolerations", unclear)),
        // Whether an account has room for the nodes is not known then, and so is what would be left.
        _ if !by_account => Some(say!("a pool may grow without max_nodes, so nobody knows how many nodes the account has room for")),
        _ => None,
    };
    let ends_at = match rules {
        Allowed::Refused(_, why) => say!(": {}", why),
        _ if allowed < room + new => say!(", which leaves room for {} more", allowed),
        _ => say!(""),
    };
    let is_as_configured = need.iter().zip(configured).all(|(need, configured)| *need <= configured);
    let sizes = if is_as_configured { "" } else { "; those that are there request more than is configured, and count as they are" };
    let objects = scene.rules.and_then(|rules| {
        let own = &scene.pods.workspaces;
        let namespaces: Vec<&str> = own.namespaces(&config.workspaces).iter().map(String::as_str).collect();
        let (more, object) = rules.allowed_by_objects(&namespaces, own.running(&config.workspaces))?;
        Some((more, object.to_owned()))
    });
    let found = Room { total, placed, existing: room, new, limit, objects, remark: say!("{}{}", ends_at, sizes), unknown };
    for (event, participants) in scene.demands {
        let Some(participants) = participants else { continue };
        let expected = (f64::from(*participants) * config.per_participant * config.share).ceil();
        let own = || [Arc::clone(cluster), event.name.as_str().into()];
        samples.push(EXPECTED.sample(own(), expected));
        let (ratio, words) = found.left(expected);
        samples.push(HEADROOM.sample(own(), ratio).with_detail(words));
    }
}

/// The workspaces that fit, whoever comes.
struct Room {
    total: f64,
    placed: f64,
    existing: f64,
    new: f64,
    limit: Lack,
    /// How many more a quota may allow by objects that they may make, and by which.
    objects: Option<(f64, String)>,
    /// What else is to be said of it.
    remark: Message,
    /// Why it is not known, if it is not.
    unknown: Option<Message>,
}

impl Room {
    /// The share that is left once so many run, and why. Nothing tells whose those are that run already: as many as are
    /// expected may be the participants' own, and the others keep their room.
    fn left(&self, expected: f64) -> (f64, Message) {
        let Self { total, placed, existing, new, limit, objects, remark, unknown } = self;
        if let Some(why) = unknown {
            return (f64::NAN, why.clone());
        }
        let running = expected.max(*placed);
        let ratio = if *total > 0.0 { ((total - running) / total).max(-1.0) } else { -1.0 };
        if let Some((more, object)) = objects.as_ref().filter(|(more, _)| ratio >= 0.0 && *more < expected - placed) {
            let why = say!("a quota leaves room for {} more {} in their namespaces, and nobody sees how many of them a workspace makes", *more, named(object));
            return (f64::NAN, why);
        }
        let whose = if *placed > 0.0 { say!(", {} of them taken for the participants' own", placed.min(expected)) } else { say!("") };
        let fit = say!(
            "{} fit ({} have a node{}, {} more on existing nodes, {} on new ones), {} expected, limited by {}",
            *total,
            *placed,
            whose,
            *existing,
            *new,
            expected,
            limit.as_str()
        );
        (ratio, say!("{}{}", fit, remark.clone()))
    }
}
