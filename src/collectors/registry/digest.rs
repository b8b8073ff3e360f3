//! Digests of content.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

/// A sha256 digest, `sha256:` and 64 hexadecimal digits.
/// Source: <https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests>
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(Arc<str>);

impl Digest {
    /// `None` for anything else, other algorithms included: no registry that we know uses them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        (hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))).then(|| Self(text.into()))
    }

    /// The digest of some bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("sha256:{hex}").into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Twelve digits, as people compare them.
    pub(crate) fn short(&self) -> &str {
        &self.0[7..19]
    }
}

impl crate::say::Say for Digest {}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
