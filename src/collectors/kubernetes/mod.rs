//! Objects of Kubernetes clusters, watched live: nodes, workloads by selector, Services.
//!
//! One source per cluster, so that a cluster that hangs delays no other. Reads only what the
//! configuration names, keeps a few numbers per object and never a whole object. Needs `list` and
//! `watch` on the kinds that are selected, and nothing else.

mod config;
mod connect;
mod facts;
mod objects;
mod watch;

pub use config::{ClusterConfig, Config, Selector, ServiceRef, WorkloadKind};
pub use facts::{FAMILIES, load_balancers};

use crate::driver::{Form, Task};
use crate::snapshot::Source;

/// The `collector` label.
pub const NAME: &str = "kubernetes";

/// One task per cluster.
pub fn tasks(config: &Config, clusters: &[ClusterConfig]) -> Vec<Task> {
    clusters
        .iter()
        .map(|cluster| {
            let wanted = watch::Wanted::of(config, &cluster.name);
            Task {
                source: Source {
                    collector: NAME,
                    name: cluster.name.clone(),
                    identity: vec![("cluster", cluster.name.clone())],
                    covers: vec![("selector", wanted.scopes.iter().map(|scope| scope.selector().to_owned()).collect())],
                    emits: facts::emitted(&wanted),
                    interval: config.interval.0,
                    keep: config.interval.0 * 3,
                },
                fingerprint: format!("{cluster:?} {config:?}"),
                timeout: config.timeout.0,
                after: &[],
                form: Form::Watch(Box::new(watch::ClusterWatch::new(cluster.clone(), wanted, config.interval.0, config.timeout.0))),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
