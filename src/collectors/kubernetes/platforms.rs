//! What nodes of clusters are, as other collectors read it: those that are there, and those that Karpenter may make.

use std::collections::BTreeSet;

use crate::collectors::kubernetes::capacity::{Chance, NEW_PLATFORMS};
use crate::collectors::kubernetes::kinds::nodes::PLATFORMS;
use crate::metric::Sample;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::Snapshot;

/// What the nodes of a cluster are, as operating system and architecture, or why that is not known.
pub(in crate::collectors) fn node_platforms(seen: &Snapshot, cluster: &str) -> Result<BTreeSet<String>, Message> {
    let own: Vec<&Sample> = seen.samples_of(PLATFORMS.0.name).filter(|sample| sample.label("cluster") == Some(cluster)).collect();
    if own.is_empty() {
        return Err(say!("the nodes of {} are not known", named(cluster)));
    }
    let named_platform = |sample: &&Sample| sample.label("platform").filter(|platform| !platform.is_empty()).map(str::to_owned);
    own.iter().map(named_platform).collect::<Option<_>>().ok_or_else(|| say!("what a node of {} is, is not known", named(cluster)))
}

/// What new nodes for workspaces may be, `surely` where all that a pool makes are so, or else where some may be.
pub(in crate::collectors) fn new_platforms(seen: &Snapshot, cluster: &str, surely: bool) -> BTreeSet<String> {
    let wanted = if surely { Chance::All } else { Chance::Some };
    let own = seen.samples_of(NEW_PLATFORMS.0.name).filter(|sample| sample.label("cluster") == Some(cluster) && sample.state() == Some(wanted.as_str()));
    own.filter_map(|sample| sample.label("platform").map(str::to_owned)).collect()
}

/// What a cluster tells whose nodes are of these platforms, and whose new ones surely or maybe are of others.
#[cfg(test)]
pub(in crate::collectors) fn nodes_of_platforms(cluster: &str, there: &[&str], surely: &[&str], maybe: &[&str]) -> Snapshot {
    let store = crate::snapshot::Store::default();
    store.add(crate::snapshot::Source::new("kubernetes", cluster, std::time::Duration::from_mins(1)));
    let there = there.iter().map(|platform| PLATFORMS.sample([cluster, platform], 1.0));
    let new = |chance: Chance| move |platform: &&str| NEW_PLATFORMS.sample([cluster, "ws", platform], chance);
    let samples = there.chain(surely.iter().map(new(Chance::All))).chain(maybe.iter().map(new(Chance::Some))).collect();
    store.report("kubernetes", cluster, std::time::Duration::ZERO, Ok(crate::snapshot::Observation::new(samples, 1, 0)));
    store.snapshot()
}
