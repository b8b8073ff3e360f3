//! What has no watch and is asked for at an interval of its own: kubelets, the metrics API, pods of workloads, access.

pub(super) mod kubelets;
pub(super) mod replicas;
pub(super) mod reviews;
pub(super) mod summary;
pub(super) mod usage;

/// What to do where the nodes must be known first.
const NODES_FIRST: &str = "Fix what the lines about its nodes say, such as NodeNotReady: until the nodes are seen, nobody knows whom to ask.";
