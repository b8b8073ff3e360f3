//! How many workspaces fit into what is left on nodes: pure arithmetic.
//!
//! Workspaces that run show what those to come will ask for. Where they are of several kinds, such as some with a GPU and
//! some without, or large and small ones, as many fit as can be placed in the shares in which they run now.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::collectors::kubernetes::kinds::placement::{Apart, Even, Placement};
use crate::collectors::kubernetes::kinds::workspaces::Workspaces;
use crate::collectors::kubernetes::reading::labels::{Promised, Requirement};
use crate::collectors::kubernetes::reading::resources::{Devices, Lack, times};
use crate::say;
use crate::say::{Message, named};

/// The limits of the resources of nodes, in the order of [`NAMES`](crate::collectors::kubernetes::reading::resources::NAMES).
const RESOURCES: [Lack; 4] = [Lack::Cpu, Lack::Memory, Lack::EphemeralStorage, Lack::Pods];

/// Kinds of workspaces that are looked at; the nodes that they take are marks in one number.
const MOST_KINDS: usize = 64;

/// Kinds that are told apart by nothing but their size. Where there are more, those of nearly the same size are one.
const MOST_SIZES: usize = 16;

/// How often a need fits into what is left, and what runs out first.
fn fit(left: [Option<f64>; 4], need: [f64; 4]) -> (f64, Lack) {
    let by_resource = left.into_iter().zip(need).zip(RESOURCES).filter(|((_, need), _)| *need > 0.0);
    by_resource.map(|((left, need), lack)| (times(left.unwrap_or(0.0), need), lack)).min_by(|(a, _), (b, _)| a.total_cmp(b)).unwrap_or((0.0, Lack::Cpu))
}

/// What one workspace requests: as it was written down, and as those that run have it on average.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) configured: [f64; 4],
    pub(super) mean: [f64; 3],
}

impl Size {
    /// The larger of both.
    pub(super) fn most(&self) -> [f64; 4] {
        let [cpu, memory, storage] = self.mean;
        let own = [cpu, memory, storage, 0.0];
        [0, 1, 2, 3].map(|at| own[at].max(self.configured[at]))
    }

    /// That of a kind of them. Where all of them together are as large as somebody wrote down, each is as large as it is.
    fn of_kind(&self, own: [f64; 3]) -> [f64; 4] {
        let mut need = self.configured;
        for (at, own) in own.into_iter().enumerate() {
            need[at] = if self.mean[at] >= self.configured[at] { own } else { own.max(self.configured[at]) };
        }
        need
    }
}

/// Workspaces that ask for the same.
struct Kind<'a> {
    placement: &'a Placement,
    /// What each of them needs of a node.
    need: [f64; 4],
    /// How many there are.
    count: u64,
}

/// Nodes alike, and what is left on each.
#[derive(Clone)]
pub(super) struct Site<'a> {
    pub(super) left: [Option<f64>; 4],
    pub(super) devices: Devices,
    pub(super) nodes: f64,
    /// The kinds that it takes, as marks.
    takes: u64,
    /// Rules by which somebody there keeps others away.
    occupied: BTreeSet<&'a Apart>,
    is_new: bool,
}

impl Site<'_> {
    /// Whether any workspace may run there, if there is room.
    pub(super) fn takes_any(&self) -> bool {
        self.takes != 0
    }
}

/// All that workspaces ask for.
pub(super) struct Kinds<'a> {
    /// The most frequent one first; never empty.
    all: Vec<Kind<'a>>,
    /// By node, the rules by which a workspace there keeps others away.
    occupied: BTreeMap<&'a str, BTreeSet<&'a Apart>>,
    /// By node, how many are there that are spread.
    spread: BTreeMap<&'a str, f64>,
    /// Why it is not known what they ask for, if it is not.
    pub(super) unclear: Option<Message>,
}

impl<'a> Kinds<'a> {
    /// `plain` stands for workspaces of which none is there.
    pub(super) fn of(workspaces: &'a Workspaces, selector: &str, size: Size, plain: &'a Placement) -> Self {
        let mut all = of_sizes(workspaces, selector, size);
        all.sort_by_key(|kind| Reverse(kind.count));
        if all.is_empty() {
            all.push(Kind { placement: plain, need: size.most(), count: 1 });
        }
        let unclear = unclear(&workspaces.placements(selector).map(|(placement, count)| (placement.as_ref(), count)).collect::<Vec<_>>(), all.len());
        all.truncate(MOST_KINDS);
        let mut occupied: BTreeMap<&str, BTreeSet<&Apart>> = BTreeMap::new();
        let mut spread: BTreeMap<&str, f64> = BTreeMap::new();
        for (placement, node, count) in workspaces.neighbours(selector) {
            occupied.entry(node).or_default().extend(&placement.apart);
            if placement.even.is_some() {
                *spread.entry(node).or_default() += count as f64;
            }
        }
        Self { all, occupied, spread, unclear }
    }

    /// The kind that most are of.
    pub(super) fn main(&self) -> &'a Placement {
        self.all[0].placement
    }

    /// The devices that any of them asks for.
    pub(super) fn devices(&self) -> impl Iterator<Item = &'a str> {
        self.all.iter().flat_map(|kind| kind.placement.devices.keys()).map(String::as_str)
    }

    fn marks(&mut self, takes: impl Fn(&Placement) -> Option<bool>) -> u64 {
        let mut marks = 0;
        for (at, kind) in self.all.iter().enumerate() {
            match takes(kind.placement) {
                Some(true) => marks |= 1 << at,
                Some(false) => {}
                None if self.unclear.is_some() => {}
                None => self.unclear = Some(say!("workspaces that run ask for nodes by an operator that is not known here")),
            }
        }
        marks
    }

    /// A node that is there.
    pub(super) fn node(&mut self, name: &str, left: [Option<f64>; 4], devices: Devices, takes: impl Fn(&Placement) -> Option<bool>) -> Site<'a> {
        let occupied = self.occupied.get(name).cloned().unwrap_or_default();
        Site { left, devices, nodes: 1.0, takes: self.marks(takes), occupied, is_new: false }
    }

    /// Nodes that are yet to be made.
    pub(super) fn new_nodes(&mut self, nodes: f64, left: [Option<f64>; 4], devices: Devices, takes: impl Fn(&Placement) -> Option<bool>) -> Site<'a> {
        Site { left, devices, nodes, takes: self.marks(takes), occupied: BTreeSet::new(), is_new: true }
    }

    /// How many workspaces of one kind fit on one node of a site, and what runs out first.
    fn fits(&self, site: &Site<'a>, kind: usize) -> (f64, Lack) {
        let Kind { placement, need, .. } = &self.all[kind];
        if site.takes & (1 << kind) == 0 {
            return (0.0, Lack::NodeAffinity);
        }
        let of_devices = placement.devices.iter().map(|(name, each)| ((site.devices.get(name).unwrap_or(&0) / each) as f64, Lack::Device));
        let of_others = placement.apart.iter().map(|apart| (if site.occupied.contains(apart) { 0.0 } else { 1.0 }, Lack::AntiAffinity));
        [fit(site.left, *need)].into_iter().chain(of_devices).chain(of_others).min_by(|(a, _), (b, _)| a.total_cmp(b)).unwrap_or((0.0, Lack::Cpu))
    }

    /// The same of the kind that most are of.
    pub(super) fn fits_mainly(&self, site: &Site<'a>) -> (f64, Lack) {
        self.fits(site, 0)
    }

    /// Whether any of them fits.
    pub(super) fn fits_any(&self, site: &Site<'a>) -> bool {
        (0..self.all.len()).any(|kind| self.fits(site, kind).0 > 0.0)
    }

    /// Whether any of those that may run there asks for a device that is not known to be there.
    pub(super) fn would_ask(&self, site: &Site<'a>) -> bool {
        let takes = |kind: &usize| site.takes & (1 << kind) != 0;
        let mut kinds = (0..self.all.len()).filter(takes).map(|kind| &self.all[kind].placement.devices);
        kinds.any(|devices| devices.keys().any(|name| !site.devices.contains_key(name)))
    }

    /// Whether all of them ask for a label by themselves.
    pub(super) fn all_ask(&self, label: &Requirement) -> bool {
        self.all.iter().all(|kind| kind.placement.asks_for(label))
    }

    /// Whether any of them may run on nodes like these.
    pub(super) fn may_run_on(&self, nodes: &Promised) -> bool {
        self.all.iter().any(|kind| kind.placement.takes_new(nodes) != Some(false))
    }

    /// The most that any of them needs of a node.
    pub(super) fn need(&self) -> [f64; 4] {
        self.all.iter().fold([0.0; 4], |most, kind| [0, 1, 2, 3].map(|at| kind.need[at].max(most[at])))
    }

    fn alone(&self, sites: &[Site<'a>], kind: usize) -> [f64; 2] {
        sites.iter().fold([0.0; 2], |mut room, site| {
            room[usize::from(site.is_new)] += self.fits(site, kind).0 * site.nodes;
            room
        })
    }

    /// How many workspaces fit on nodes that are there, and on new ones.
    pub(super) fn room(&self, sites: &[Site<'a>]) -> [f64; 2] {
        if self.all.len() == 1 {
            return self.alone(sites, 0);
        }
        let of_each: Vec<f64> = (0..self.all.len()).map(|kind| self.alone(sites, kind).iter().sum()).collect();
        let (mut fit, mut beyond) = (0.0, of_each.iter().sum::<f64>() + 1.0);
        let mut room = [0.0; 2];
        while beyond - fit > 1.0 {
            let some = f64::midpoint(fit, beyond).floor();
            match self.placed(sites, some, &of_each) {
                Some(found) => (fit, room) = (some, found),
                None => beyond = some,
            }
        }
        room
    }

    /// Where so many are if they are placed one kind after the other, those first that have the least choice.
    fn placed(&self, sites: &[Site<'a>], count: f64, of_each: &[f64]) -> Option<[f64; 2]> {
        let (mut sites, mut rest, mut room) = (sites.to_vec(), count, [0.0; 2]);
        let all = self.all.iter().map(|kind| kind.count).sum::<u64>() as f64;
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by(|one, other| of_each[*one].total_cmp(&of_each[*other]));
        for kind in order {
            let mut wanted = (count * self.all[kind].count as f64 / all).ceil().min(rest);
            rest -= wanted;
            for at in 0..sites.len() {
                let (times, _) = self.fits(&sites[at], kind);
                let taken = wanted.min(times * sites[at].nodes);
                if taken > 0.0 {
                    wanted -= taken;
                    room[usize::from(sites[at].is_new)] += taken;
                    let begun = self.take(&mut sites[at], kind, taken, times);
                    sites.extend(begun);
                }
            }
            if wanted > 0.0 {
                return None;
            }
        }
        Some(room)
    }

    /// Takes room of nodes of which each has it so many times. Of nodes alike those that are begun are told apart from then
    /// on: the full ones, and one that may have some left.
    fn take(&self, site: &mut Site<'a>, kind: usize, taken: f64, times: f64) -> Vec<Site<'a>> {
        if site.nodes <= 1.0 {
            self.fill(site, kind, taken);
            return Vec::new();
        }
        let full = (taken / times).floor();
        let rest = taken - full * times;
        let parts = [(full, times), (if rest > 0.0 { 1.0 } else { 0.0 }, rest)];
        site.nodes -= parts[0].0 + parts[1].0;
        let begun = parts.into_iter().filter(|(nodes, _)| *nodes > 0.0).map(|(nodes, each)| {
            let mut own = Site { nodes, ..site.clone() };
            self.fill(&mut own, kind, each);
            own
        });
        begun.collect()
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of workspaces on one node")]
    fn fill(&self, site: &mut Site<'a>, kind: usize, taken: f64) {
        site.left.iter_mut().zip(self.all[kind].need).for_each(|(left, need)| *left = left.map(|left| left - need * taken));
        for (name, each) in &self.all[kind].placement.devices {
            if let Some(left) = site.devices.get_mut(name) {
                *left = left.saturating_sub(each * taken as u64);
            }
        }
        site.occupied.extend(&self.all[kind].placement.apart);
    }

    /// How many are on a node that are spread.
    pub(super) fn spread_on(&self, node: &str) -> f64 {
        self.spread.get(node).copied().unwrap_or_default()
    }

    /// The spread that all of them keep, if there is one.
    pub(super) fn even(&self) -> Option<&'a Even> {
        self.main().even.as_ref()
    }
}

/// Workspaces that are there, by where they may run and by their size.
fn of_sizes<'a>(workspaces: &'a Workspaces, selector: &str, size: Size) -> Vec<Kind<'a>> {
    let (sizes, placements) = (workspaces.sizes(selector).count(), workspaces.placements(selector).count());
    let alike = if sizes > MOST_SIZES.max(placements) { sizes.div_ceil(MOST_SIZES) } else { 1 };
    let mut all: Vec<(Kind<'a>, usize)> = Vec::new();
    for (placement, own, count) in workspaces.sizes(selector) {
        match all.last_mut().filter(|(last, merged)| last.placement == placement && *merged < alike) {
            Some((last, merged)) => {
                let both = (last.count + count) as f64;
                let mean = [0, 1, 2].map(|at| (last.need[at] * last.count as f64 + own[at] * count as f64) / both);
                last.need = [mean[0], mean[1], mean[2], 1.0];
                last.count += count;
                *merged += 1;
            }
            None => all.push((Kind { placement, need: [own[0], own[1], own[2], 1.0], count }, 1)),
        }
    }
    let sized = |(kind, _): (Kind<'a>, usize)| Kind { need: size.of_kind([kind.need[0], kind.need[1], kind.need[2]]), ..kind };
    all.into_iter().map(sized).collect()
}

/// Why it is not known what workspaces of so many kinds ask for: with their sizes there may be more than placements.
fn unclear(all: &[(&Placement, u64)], kinds: usize) -> Option<Message> {
    if kinds > MOST_KINDS {
        return Some(say!("workspaces that run ask for nodes in more than {} ways", MOST_KINDS));
    }
    if let Some(what) = all.iter().find_map(|(placement, _)| placement.uncounted) {
        return Some(say!("workspaces that run ask {}, which is not counted here", what));
    }
    if all.iter().any(|(placement, count)| *count < 2 && !placement.is_of_all && placement.minds_others()) {
        return Some(say!("a workspace that runs keeps away from others by labels of which nobody knows whether the next ones have them"));
    }
    let even = all.iter().find_map(|(placement, _)| placement.even.as_ref()).filter(|_| kinds > 1)?;
    Some(say!("workspaces of several kinds are spread over {}, which is not counted here", named(&even.key)))
}

/// How many fit on nodes that are there if they are spread: no place of a domain may have more than so many above the
/// domain with the fewest. `domains` are those that have a workspace and those that may have one: how many each has, and
/// how many it has room for.
/// Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/>
pub(super) fn spread(domains: impl Iterator<Item = [f64; 2]>, skew: u32) -> f64 {
    let all: Vec<[f64; 2]> = domains.collect();
    let least = all.iter().map(|[has, room]| has + room).reduce(f64::min).unwrap_or_default();
    all.iter().map(|[has, room]| (least + f64::from(skew) - has).clamp(0.0, *room)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_workspace_is_none_and_the_scarcest_resource_is_named() {
        let need = [2.0, 4.0, 0.0, 1.0];
        assert_eq!(fit([Some(7.0), Some(100.0), None, Some(50.0)], need), (3.0, Lack::Cpu));
        assert_eq!(fit([Some(70.0), Some(7.9), None, Some(50.0)], need), (1.0, Lack::Memory));
        assert_eq!(fit([Some(70.0), Some(100.0), None, Some(2.0)], need), (2.0, Lack::Pods));
        assert_eq!(fit([Some(-3.0), Some(100.0), None, Some(2.0)], need), (0.0, Lack::Cpu), "an overcommitted node");
        assert_eq!(fit([None, Some(100.0), None, Some(2.0)], need), (0.0, Lack::Cpu), "what is not known counts as nothing");
        assert_eq!(fit([Some(3.9), Some(100.0), None, Some(9.0)], [1.3, 1.0, 0.0, 1.0]), (3.0, Lack::Cpu));
    }
}
