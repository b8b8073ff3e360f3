//! What the config of an image says of it: pure.

use serde::Deserialize;

use super::manifest::architecture;
use crate::word::Word;

/// The config of an image.
/// Source: <https://github.com/opencontainers/image-spec/blob/main/config.md>
#[derive(Default, Deserialize)]
pub(super) struct About {
    created: Option<jiff::Timestamp>,
    architecture: Option<String>,
    os: Option<String>,
    rootfs: Option<RootFs>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Option<Vec<serde::de::IgnoredAny>>,
}

impl About {
    /// Reproducible builds say 1970, which is no age.
    pub(super) fn created(&self) -> Option<i64> {
        self.created.map(jiff::Timestamp::as_second).filter(|at| *at > 0)
    }

    /// How many layers it is made of, where it says so. Whoever unpacks it wants as many.
    /// Source: `Unpack` in <https://github.com/containerd/containerd/blob/main/client/image.go>
    pub(super) fn layers(&self) -> Option<usize> {
        self.rootfs.as_ref()?.diff_ids.as_ref().map(Vec::len)
    }

    pub(super) fn platform(&self) -> Option<String> {
        let (os, architecture) = (Word::of(self.os.as_deref()?)?, Word::of(architecture(self.architecture.as_deref()?))?);
        Some(format!("{os}/{architecture}"))
    }
}
