//! What is watched of a cluster: scopes that keep a row of each object, what happened lately, and whether all of it was seen.

pub(super) mod recent;
pub(super) mod relist;
pub(super) mod visibility;
pub(super) mod watched;
