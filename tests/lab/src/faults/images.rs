//! Faults of the images that clusters run.

use super::{Group, red, unseen};

pub(super) static GROUP: Group = Group {
    name: "images",
    faults: &[
        red("mirror-stale", "the mirror of us-east-2 was not refreshed, and its cluster pulled from it", &["MirrorOutOfSync", "ImageMismatchAcrossClusters"]),
        red("running-older-digest", "us-west-2 still runs the older image behind the same tag", &["ClusterImageStale", "ImageMismatchAcrossClusters"]),
        unseen(
            "running-rollout",
            "us-east-2 is being rolled out, so that two images run there",
            &["ClusterImageStale", "ControlPlaneNotReady", "ImageMismatchAcrossClusters"],
        ),
        unseen(
            "running-not-started",
            "a proxy in eu-west-2 has not started, so nobody knows what it will run",
            &["ClusterImageStale", "ImageMismatchAcrossClusters"],
        ),
        red("running-mutable-tag", "us-east-2 asks for a tag that can move", &["ImageTagMutable"]),
        red("running-from-elsewhere", "us-east-2 takes the image from somebody else", &["ImageRepositoryUnexpected"]),
    ],
};
