//! Where confirmations of people are read from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Span;

/// The file in which people confirm what no machine can see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttestationsConfig {
    /// A YAML list of `{ attest, who, at, valid_for, event }`.
    pub file: PathBuf,
    /// Time between reads.
    #[serde(default = "default_attestations_interval")]
    pub interval: Span,
}

fn default_attestations_interval() -> Span {
    Span::secs(15)
}
