//! What has no watch and is asked for at an interval of its own: kubelets, the metrics API, pods of workloads, access.

pub(super) mod kubelets;
pub(super) mod replicas;
pub(super) mod reviews;
pub(super) mod summary;
pub(super) mod usage;
