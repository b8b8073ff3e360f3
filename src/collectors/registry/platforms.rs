//! Whether images are there for the nodes that must run them: an image of one platform is no image for a
//! node of another, and a copy that was pulled, tagged and pushed has only that of whoever pulled it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};

use super::config::Config;
use super::content::{Fit, Presence};
use super::reference::Reference;
use super::registries::Registries;
use crate::collectors::kubernetes;
use crate::driver::Poll;
use crate::metric::{Sample, StateSet, metrics, state_set};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot};

metrics! {
    /// Families of this module.
    pub(super) FAMILIES;

    static PLATFORM: StateSet<Presence, 2> = state_set(
        "readiness_image_platform_state",
        &["image", "platform"],
        "Whether an image is there for a platform that nodes have, cached from its index or its config and from status.nodeInfo of the nodes in the Kubernetes API.",
    );
}

/// An image that nodes must be able to run.
#[derive(Debug, Clone, Default)]
struct Wanted {
    /// The clusters whose nodes may run it; without one the configured platforms count.
    clusters: BTreeSet<String>,
    /// The platforms to which its pods are bound, if they are.
    bound: Option<BTreeSet<String>>,
    /// Where it is a copy: the image that it is one of, which has all platforms that there are.
    of: Option<String>,
}

impl Wanted {
    /// What only nodes that are yet to be made may be, and need not.
    fn maybe(&self, seen: &Snapshot) -> BTreeSet<String> {
        let mut maybe = BTreeSet::new();
        for cluster in &self.clusters {
            maybe.extend(kubernetes::new_platforms(seen, cluster, false));
        }
        let sure = |platform: &String| {
            let mut clusters = self.clusters.iter();
            clusters.any(|cluster| {
                let there = kubernetes::node_platforms(seen, cluster).is_ok_and(|there| there.contains(platform));
                there || kubernetes::new_platforms(seen, cluster, true).contains(platform)
            })
        };
        maybe.retain(|platform| !sure(platform));
        maybe
    }
}

/// Holds images against nodes.
pub(super) struct Platforms {
    wanted: BTreeMap<String, Wanted>,
    /// Those that matter at all, by the configuration.
    configured: BTreeSet<String>,
    /// Whether somebody said so, who then meant that others do not matter.
    chosen: bool,
    registries: Arc<Registries>,
}

impl Platforms {
    /// `clusters` are those whose nodes are watched.
    pub(super) fn new(config: &Config, registries: &Arc<Registries>, clusters: &BTreeSet<String>) -> Self {
        let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
        let watched = |names: &mut dyn Iterator<Item = &String>| names.filter(|name| clusters.contains(*name)).cloned().collect::<Vec<_>>();
        for image in &config.images {
            wanted.entry(image.clone()).or_default().clusters.extend(clusters.iter().cloned());
        }
        for group in &config.groups {
            for mirror in &group.mirrors {
                let own = wanted.entry(mirror.image.clone()).or_default();
                own.clusters.extend(watched(&mut mirror.clusters.iter()));
                own.of = Some(group.upstream.clone());
            }
        }
        for secret in &config.pull_secrets {
            for image in &secret.images {
                wanted.entry(image.clone()).or_default().clusters.extend(watched(&mut [&secret.cluster].into_iter()));
            }
        }
        for bound in &config.bound {
            for image in &bound.images {
                wanted.entry(image.clone()).and_modify(|own| own.bound = Some(bound.platforms.iter().cloned().collect()));
            }
        }
        let configured = config.platforms.iter().cloned().collect();
        let chosen = config.platforms != Config::default().platforms;
        Self { wanted, configured, chosen, registries: Arc::clone(registries) }
    }

    async fn ask(&self, seen: &Snapshot) -> Observation {
        let all: Vec<(String, Wanted)> = self.wanted.iter().map(|(image, wanted)| (image.clone(), wanted.clone())).collect();
        let looks = all.into_iter().map(|(image, wanted)| self.look_for(image, wanted, seen));
        let found: Vec<_> = futures::stream::iter(looks).buffer_unordered(super::AT_ONCE).collect().await;
        let incomplete = found.iter().any(|(_, incomplete)| *incomplete);
        let samples = found.into_iter().flat_map(|(samples, _)| samples).collect();
        Observation { incomplete, ..Observation::new(samples, self.wanted.len(), 0) }
    }

    /// Facts about one image, and whether what is missing of them may be there the next time.
    async fn look_for(&self, image: String, wanted: Wanted, seen: &Snapshot) -> (Vec<Sample>, bool) {
        let image = image.as_str();
        let (nodes, others) = match self.of_nodes(&wanted, seen) {
            Ok((nodes, others)) => (nodes, others),
            Err(why) => return (vec![PLATFORM.sample([image, ""], Presence::Unknown).with_detail(why)], false),
        };
        let (samples, incomplete) = self.look_on(image, &wanted, nodes, if self.chosen { &others[..] } else { &[] }).await;
        let mut samples = unsure(samples, &wanted.maybe(seen));
        if !self.chosen {
            samples.extend(others.iter().map(|platform| {
                let why = say!(
                    "nodes are {}, which registry.platforms does not name, so that the image was not looked at for these; name it there, or say in registry.bound to which nodes its pods are bound",
                    named(platform)
                );
                PLATFORM.sample([image, platform], Presence::Unknown).with_detail(why)
            }));
        }
        (samples, incomplete)
    }

    /// The same for nodes of platforms that are named; `others` are those of which somebody said that they do not matter.
    async fn look_on(&self, image: &str, wanted: &Wanted, nodes: Option<BTreeSet<String>>, others: &[String]) -> (Vec<Sample>, bool) {
        let unknown = |why: &Message| vec![PLATFORM.sample([image, ""], Presence::Unknown).with_detail(why)];
        let upstream = match &wanted.of {
            Some(of) => Some(self.platforms_of(of).await),
            None => None,
        };
        let (own, upstream) = match (self.platforms_of(image).await, upstream.transpose()) {
            (Ok(own), Ok(upstream)) => (own, upstream),
            (Err(error), _) | (_, Err(error)) => return (unknown(&error.message), error.may_pass()),
        };
        let keys = |platforms: &BTreeMap<String, Fit>| platforms.keys().cloned().collect::<BTreeSet<_>>();
        let needed = needed(nodes.as_ref(), &self.configured, upstream.as_ref().map(keys).as_ref(), &keys(&own));
        let incomplete = needed.iter().any(|platform| matches!(own.get(platform), Some(Fit::Unknown { may_pass: true, .. })));
        let state = |platform: &String| {
            let (state, why) = state(&own, platform);
            PLATFORM.sample([image, platform], state).with_detail(if others.is_empty() {
                why
            } else {
                let left_out = Message::joined(others.iter().map(|platform| say!("{}", named(platform))), ", ");
                say!("{}; nodes that are {} were left out, since registry.platforms does not name these", why, left_out)
            })
        };
        (needed.iter().map(state).collect(), incomplete)
    }

    /// What the nodes are that may run an image, `None` when no cluster is watched for it and nothing says to what it is
    /// bound; and of those to which it is not bound what the configuration does not name.
    fn of_nodes(&self, wanted: &Wanted, seen: &Snapshot) -> Result<(Option<BTreeSet<String>>, Vec<String>), Message> {
        if wanted.clusters.is_empty() {
            return Ok((wanted.bound.clone(), Vec::new()));
        }
        let mut all = BTreeSet::new();
        for cluster in &wanted.clusters {
            all.extend(kubernetes::node_platforms(seen, cluster)?);
            all.extend(kubernetes::new_platforms(seen, cluster, true));
        }
        all.extend(wanted.maybe(seen).into_iter().filter(|platform| self.configured.contains(platform)));
        let meant: BTreeSet<String> = all.intersection(wanted.bound.as_ref().unwrap_or(&self.configured)).cloned().collect();
        if meant.is_empty() && wanted.bound.is_some() {
            return Err(say!("no node is of a platform that registry.bound names for it"));
        }
        if meant.is_empty() {
            let have = Message::joined(all.iter().map(|platform| say!("{}", named(platform))), ", ");
            return Err(say!("nodes are {}, and registry.platforms names none of these", have));
        }
        let others = if wanted.bound.is_some() { Vec::new() } else { all.difference(&self.configured).cloned().collect() };
        Ok((Some(meant), others))
    }

    async fn platforms_of(&self, image: &str) -> Result<BTreeMap<String, Fit>, CollectError> {
        let failed = |why: Message| CollectError::new(ErrorClass::Malformed, say!("ask for {}: {}", named(image), why));
        let reference = Reference::parse(image).map_err(failed)?;
        let registry = self.registries.at(&reference.host).map_err(failed)?;
        let content = registry.content(&reference.repository, &registry.digest(&reference).await?).await?;
        if content.platforms.is_empty() {
            return Err(failed(say!("for which platform it is cannot be read from its config")));
        }
        Ok(content.platforms.clone())
    }
}

/// An image that is absent for what new nodes only may be is not known to be missed.
fn unsure(samples: Vec<Sample>, maybe: &BTreeSet<String>) -> Vec<Sample> {
    let of_maybe = |sample: &Sample| {
        let platform = sample.label("platform").filter(|platform| maybe.contains(*platform));
        platform.filter(|_| sample.state() == Some(Presence::Absent.as_str())).map(str::to_owned)
    };
    let told = |sample: Sample| match of_maybe(&sample) {
        Some(platform) => {
            let why = say!(
                "it is not there for {}, which new nodes of Karpenter may be; let the NodePool require another kubernetes.io/arch, or let the workspaces do so",
                named(&platform)
            );
            PLATFORM.sample([sample.label("image").unwrap_or_default(), &platform], Presence::Unknown).with_detail(why)
        }
        None => sample,
    };
    samples.into_iter().map(told).collect()
}

/// Whether nodes of a platform can run an image, and why.
fn state(own: &BTreeMap<String, Fit>, platform: &str) -> (Presence, Message) {
    match own.get(platform) {
        Some(Fit::Fails(why)) => (Presence::Absent, why.clone()),
        Some(Fit::Unknown { why, .. }) => (Presence::Unknown, why.clone()),
        runs => {
            let has = own.iter().filter(|(_, fit)| **fit == Fit::Runs).map(|(platform, _)| say!("{}", named(platform)));
            (if runs.is_some() { Presence::Present } else { Presence::Absent }, say!("it is there for {}", Message::joined(has, ", ")))
        }
    }
}

/// The platforms that an image must have. Nodes need it for what they are; a copy is held to what there is
/// upstream, where an image for one kind of nodes was never meant for the others.
fn needed(nodes: Option<&BTreeSet<String>>, configured: &BTreeSet<String>, upstream: Option<&BTreeSet<String>>, own: &BTreeSet<String>) -> BTreeSet<String> {
    let wanted = nodes.unwrap_or(configured);
    let some = |of: &BTreeSet<String>| Some(wanted.intersection(of).cloned().collect::<BTreeSet<_>>()).filter(|both| !both.is_empty());
    // Without nodes nobody knows which of the configured platforms are used, beside those of upstream.
    let limit = upstream.or_else(|| nodes.is_none().then_some(own));
    limit.and_then(some).unwrap_or_else(|| wanted.clone())
}

impl Poll for Platforms {
    fn look<'a>(&'a mut self, seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        async { Ok(self.ask(seen).await) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::registries::Registries;
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn an_image_is_held_against_the_nodes_that_its_pods_are_bound_to() {
        let text = "images: [r.io/work:1, r.io/both:1]\nbound: [{ platforms: [linux/amd64], images: [r.io/work:1] }]";
        let config: Config = serde_saphyr::from_str(text).unwrap();
        let registries = Arc::new(Registries::new(&config, &[], &[]).unwrap());
        let of = |image: &str, platforms: &[&str]| {
            let watched = if platforms.is_empty() { BTreeSet::new() } else { set(&["eu"]) };
            let own = Platforms::new(&config, &registries, &watched);
            own.of_nodes(&own.wanted[image], &kubernetes::nodes_of_platforms("eu", platforms, &[], &[])).map(|(nodes, _)| nodes).map_err(|why| why.to_string())
        };
        let (amd, both) = (set(&["linux/amd64"]), set(&["linux/amd64", "linux/arm64"]));
        assert_eq!(of("r.io/work:1", &["linux/amd64", "linux/arm64"]), Ok(Some(amd.clone())));
        assert_eq!(of("r.io/both:1", &["linux/amd64", "linux/arm64"]), Ok(Some(both)));
        assert_eq!(of("r.io/work:1", &["linux/arm64"]), Err("no node is of a platform that registry.bound names for it".to_owned()));
        assert_eq!((of("r.io/work:1", &[]), of("r.io/both:1", &[])), (Ok(Some(amd)), Ok(None)));
    }

    #[tokio::test]
    async fn nodes_that_registry_platforms_does_not_name_are_not_dropped_in_silence() {
        let told = async |text: &str, platforms: &[&str]| {
            let config: Config = serde_saphyr::from_str(text).unwrap();
            let registries = Arc::new(Registries::new(&config, &[], &[]).unwrap());
            let mut own = Platforms::new(&config, &registries, &set(&["eu"]));
            let seen = own.look(&kubernetes::nodes_of_platforms("eu", platforms, &[], &[])).await.unwrap();
            let unnamed = seen.of("readiness_image_platform_state").filter(|sample| sample.label("platform") == Some("windows/amd64"));
            unnamed.map(|sample| format!("{} {}", sample.state().unwrap(), sample.detail.as_ref().unwrap())).collect::<Vec<_>>()
        };
        let mixed = ["linux/amd64", "windows/amd64"];
        let why = "unknown nodes are windows/amd64, which registry.platforms does not name, so that the image was not looked at for these; name it there, or say in registry.bound to which nodes its pods are bound";
        assert_eq!(told("images: [r.invalid/work:1]", &mixed).await, [why]);
        assert!(told("images: [r.invalid/work:1]\nplatforms: [linux/amd64]", &mixed).await.is_empty(), "somebody said that they do not matter");
        assert!(told("images: [r.invalid/work:1]\nbound: [{ platforms: [linux/amd64], images: [r.invalid/work:1] }]", &mixed).await.is_empty());
        assert!(told("images: [r.invalid/work:1]", &["linux/amd64"]).await.is_empty());
    }

    #[test]
    fn an_image_must_be_there_for_all_nodes_that_may_run_it() {
        let (amd, arm, both) = (set(&["linux/amd64"]), set(&["linux/arm64"]), set(&["linux/amd64", "linux/arm64"]));
        let of = |nodes: Option<&BTreeSet<String>>, upstream: Option<&BTreeSet<String>>, own: &BTreeSet<String>| needed(nodes, &both, upstream, own);
        // A copy from a laptop of another kind, with nodes and without.
        assert_eq!(of(Some(&amd), Some(&both), &arm), amd);
        assert_eq!(of(None, Some(&both), &arm), both);
        // Mixed nodes need both, unless upstream has one alone.
        assert_eq!(of(Some(&both), Some(&both), &amd), both);
        assert_eq!(of(Some(&both), None, &amd), both);
        assert_eq!(of(Some(&both), Some(&amd), &amd), amd);
        // What upstream has for no node is of no use.
        assert_eq!(of(Some(&arm), Some(&amd), &amd), arm);
        // Without nodes an image of one of the platforms is enough.
        assert_eq!(of(None, None, &amd), amd);
        assert_eq!(needed(None, &amd, None, &arm), amd);
    }
}
