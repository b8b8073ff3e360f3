//! How a cluster is reached: kubeconfigs, tokens, plugins, connections, and lists that are read element by element.

pub(super) mod api;
pub(super) mod bounded;
pub(super) mod connect;
pub(super) mod eks;
pub(super) mod kubeconfig;
pub(super) mod packed;
pub(super) mod plugin;
pub(super) mod stream;
