//! The configuration file: its types, how it is loaded, and every rule it must keep.
//!
//! Strict on purpose: an unknown key or a dangling reference stops the start, because a check that
//! silently watches nothing would be a false go. All problems are reported in one run.

pub mod begin;
mod broken;
mod findings;
mod layers;
mod load;
mod located;
mod names;
mod origins;
mod settings;
mod shape;
mod validate;
mod variables;

pub use load::{LoadError, Loaded, check, load, load_str, schema};
pub use settings::{ChecklistConfig, Settings, WaiverConfig};
pub use variables::ENV_PREFIX;
pub(crate) use variables::misspelt;
