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
}

impl About {
    /// Reproducible builds say 1970, which is no age.
    pub(super) fn created(&self) -> Option<i64> {
        self.created.map(jiff::Timestamp::as_second).filter(|at| *at > 0)
    }

    pub(super) fn platform(&self) -> Option<String> {
        let (os, architecture) = (Word::of(self.os.as_deref()?)?, Word::of(architecture(self.architecture.as_deref()?))?);
        Some(format!("{os}/{architecture}"))
    }
}
