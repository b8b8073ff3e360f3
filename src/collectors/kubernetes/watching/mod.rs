//! What is watched of a cluster: scopes that keep a row of each object, what happened lately, and whether all of it was seen.

pub(super) mod belief;
pub(super) mod ledger;
pub(super) mod sight;
pub(super) mod watched;
