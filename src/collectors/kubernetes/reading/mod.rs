//! What Kubernetes writes, as it means it: objects, quantities, moments, labels, selectors, taints. Nothing here knows a cluster.

pub(super) mod clock;
pub(super) mod go;
pub(super) mod labels;
pub(super) mod objects;
pub(in crate::collectors) mod permission;
pub(super) mod protobuf;
pub(super) mod quantity;
pub(super) mod resources;
pub(super) mod selector;
pub(super) mod taints;
pub(super) mod version;
