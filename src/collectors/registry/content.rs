//! What a digest stands for, and how deeply two of them agree: pure.
//!
//! The digest of an index, that of one platform's manifest and that of its config can all mean the
//! same bits. `docker pull`, `tag` and `push` drops the index and compresses layers anew, so that
//! only the config stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::digest::Digest;
use super::manifest::Blob;
use crate::metric::states;
use crate::say::Message;

/// What a digest names.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Content {
    /// The digest itself; `None` when only the config is known.
    pub(super) digest: Option<Digest>,
    /// Whether it is an index.
    pub(super) is_index: bool,
    /// Manifests of the platforms that matter.
    pub(super) manifests: BTreeSet<Digest>,
    /// Their configs.
    pub(super) configs: BTreeSet<Digest>,
    /// What they are for: `linux/amd64`. Empty when that cannot be read.
    pub(super) platforms: BTreeMap<String, Fit>,
    /// When the youngest of them was made, in Unix seconds.
    pub(super) created: Option<i64>,
    /// What a pull needs beside the digest itself.
    pub(super) parts: Arc<[Part]>,
}

/// What becomes of the image that a node of a platform takes, the worst last.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fit {
    /// It is for that platform.
    Runs,
    /// Nobody knows, and whether the next look may.
    Unknown { why: Message, may_pass: bool },
    /// No container can start from it.
    Fails(Message),
}

impl Fit {
    /// The worse of two: which of them a node takes is its own business.
    pub(super) fn worst(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Runs, _) | (Self::Unknown { .. }, Self::Fails(_)) => other,
            _ => self,
        }
    }
}

/// What a pull fetches by a digest of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// That of one platform, or an index in between.
    Manifest(Digest),
    /// A config or a layer.
    Blob(Blob),
}

impl Part {
    pub(super) const fn digest(&self) -> &Digest {
        match self {
            Self::Manifest(digest) => digest,
            Self::Blob(blob) => &blob.digest,
        }
    }
}

states! {
    /// How deeply two contents agree, the deepest first; the deeper, the higher its rank.
    #[derive(PartialOrd, Ord)]
    pub(super) enum Level {
        /// The same index.
        Index = 4 => "index",
        /// The same manifests of the platforms that it has.
        Platform = 3 => "platform",
        /// The same images, pushed again.
        Config = 2 => "config",
        /// Not at all.
        None = 1 => "none",
        /// One of them was not seen.
        Unknown = 0 => "unknown",
    }
}

states! {
    /// Whether an image is there.
    pub(super) enum Presence {
        Present => "present",
        Absent => "absent",
        Unknown => "unknown",
    }
}

impl Content {
    /// A container of which only the image ID is known.
    pub(super) fn of_config(config: Digest) -> Self {
        Self { configs: BTreeSet::from([config]), ..Self::default() }
    }

    /// How far what runs is what its mirror has, whichever of the two has more platforms: whether nodes find
    /// theirs is another question.
    pub(super) fn level_of_running(&self, mirror: &Self) -> Level {
        self.level(mirror).max(mirror.level(self))
    }

    /// How far all of this is what the reference names. What has fewer platforms agrees when all
    /// that it has does: one right platform beside a stale one is not right.
    pub(super) fn level(&self, reference: &Self) -> Level {
        let within = |own: &BTreeSet<Digest>, other: &BTreeSet<Digest>| !own.is_empty() && own.is_subset(other);
        if self.digest.is_some() && self.digest == reference.digest {
            if self.is_index { Level::Index } else { Level::Platform }
        } else if within(&self.manifests, &reference.manifests) {
            Level::Platform
        } else if within(&self.configs, &reference.configs) {
            Level::Config
        } else {
            Level::None
        }
    }
}

/// The one cluster without which all would run the same, if there is one.
pub(super) fn odd_one<'a>(seen: &[(&'a str, Vec<&Content>)], known: &[&Content]) -> Option<&'a str> {
    let agree_without = |left_out: &str| {
        let others = seen.iter().filter(|(cluster, _)| *cluster != left_out).flat_map(|(_, contents)| contents);
        distinct(&others.copied().collect::<Vec<_>>(), known) == 1
    };
    let mut odd = seen.iter().map(|(cluster, _)| *cluster).filter(|cluster| agree_without(cluster));
    odd.next().filter(|_| odd.next().is_none())
}

/// How many different images these are. Two platforms of one index are one image, which only the
/// index can tell; `known` are indexes beside those that run.
pub(super) fn distinct(running: &[&Content], known: &[&Content]) -> usize {
    let all: Vec<&Content> = running.iter().chain(known).copied().collect();
    let mut class: Vec<usize> = (0..all.len()).collect();
    for (at, one) in all.iter().enumerate() {
        for (other_at, other) in all.iter().enumerate().skip(at + 1) {
            if one.level(other) > Level::None || other.level(one) > Level::None {
                let (from, to) = (class[other_at], class[at]);
                class.iter_mut().filter(|class| **class == from).for_each(|class| *class = to);
            }
        }
    }
    class[..running.len()].iter().collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u8) -> Digest {
        Digest::of(&[n])
    }

    fn set(numbers: &[u8]) -> BTreeSet<Digest> {
        numbers.iter().map(|n| digest(*n)).collect()
    }

    fn index(top: u8, manifests: &[u8], configs: &[u8]) -> Content {
        Content { digest: Some(digest(top)), is_index: true, manifests: set(manifests), configs: set(configs), ..Content::default() }
    }

    fn image(manifest: u8, config: u8) -> Content {
        Content { digest: Some(digest(manifest)), is_index: false, manifests: set(&[manifest]), configs: set(&[config]), ..Content::default() }
    }

    #[test]
    fn the_deepest_agreement_counts() {
        let upstream = index(1, &[11, 12], &[21, 22]);
        for (subject, level) in [
            (index(1, &[11, 12], &[21, 22]), Level::Index),
            (index(2, &[11, 12], &[21, 22]), Level::Platform),
            (image(11, 21), Level::Platform),
            // Pulled, tagged and pushed: another manifest around the same config.
            (image(31, 21), Level::Config),
            (Content::of_config(digest(22)), Level::Config),
            (image(31, 41), Level::None),
            // One platform was refreshed, the other forgotten.
            (index(3, &[11, 13], &[21, 23]), Level::None),
            (Content::default(), Level::None),
        ] {
            assert_eq!(subject.level(&upstream), level, "{subject:?}");
        }
        assert_eq!(image(11, 21).level(&image(11, 21)), Level::Platform);
        assert_eq!(Content::default().level(&Content::default()), Level::None, "nothing agrees with nothing");
    }

    #[test]
    fn what_runs_is_the_same_whichever_hop_dropped_the_index() {
        let (whole, copy, stale) = (index(1, &[11, 12], &[21, 22]), image(31, 21), image(13, 23));
        for (running, mirror, level) in [
            // The node pulled from upstream, and the mirror got a copy afterwards.
            (&whole, &copy, Level::Config),
            (&copy, &whole, Level::Config),
            (&image(11, 21), &copy, Level::Config),
            (&Content::of_config(digest(21)), &copy, Level::Config),
            (&Content::of_config(digest(21)), &whole, Level::Config),
            (&stale, &whole, Level::None),
            (&whole, &stale, Level::None),
            (&Content::default(), &whole, Level::None),
        ] {
            assert_eq!(running.level_of_running(mirror), level, "{running:?} {mirror:?}");
        }
    }

    #[test]
    fn of_three_clusters_the_one_that_differs_is_named() {
        let (own, other, third) = (image(1, 11), image(2, 12), image(3, 13));
        let odd = |contents: [&Content; 3]| odd_one(&["eu", "us", "asia"].into_iter().zip(contents.map(|own| vec![own])).collect::<Vec<_>>(), &[]);
        assert_eq!([odd([&own, &other, &own]), odd([&own, &other, &third]), odd([&own, &own, &own])], [Some("us"), None, None]);
        let two = [("eu", vec![&own]), ("us", vec![&other])];
        assert_eq!(odd_one(&two, &[]), None, "nobody knows which of two is right");
    }

    #[test]
    fn platforms_of_one_index_are_one_image_if_the_index_is_known() {
        let (amd, arm, whole) = (image(11, 21), image(12, 22), index(1, &[11, 12], &[21, 22]));
        assert_eq!(distinct(&[&amd, &arm], &[]), 2);
        assert_eq!(distinct(&[&amd, &arm], &[&whole]), 1);
        assert_eq!(distinct(&[&amd, &arm, &whole], &[]), 1);
        let stale = image(13, 23);
        assert_eq!(distinct(&[&amd, &stale, &arm], &[&whole]), 2);
        assert_eq!(distinct(&[], &[&whole]), 0);
    }
}
