//! One module per source of facts. The list in `section.rs` is the one from which everything follows: the
//! configuration, its rules, permissions, the metric names that checklists may use, documentation, and the tasks that
//! the driver runs.
//!
//! Each module holds its metrics and the collector that fills them; its configuration has a file of its own, which knows
//! neither. A collector does I/O and returns facts; it judges nothing and writes nothing.

pub mod attestations;
pub mod credentials;
mod cron_job;
pub mod dns;
pub mod http;
pub mod kubernetes;
pub mod lapses;
pub mod memory;
pub mod registry;
pub mod rotations;
pub mod secrets_manager;
mod section;
pub mod tls;

pub use section::{Collector, CollectorsConfig, Estate};

use crate::driver::Task;
use crate::event;
use crate::metric::Family;
use crate::say;
use crate::say::Message;
use crate::snapshot;
use crate::word::did_you_mean;
use section::SECTIONS;

/// Collectors that follow from other parts of the configuration.
const OTHERS: &[Collector] = &[attestations::COLLECTOR, lapses::COLLECTOR, memory::COLLECTOR];

/// Every collector.
pub fn all() -> impl Iterator<Item = &'static Collector> {
    SECTIONS.iter().chain(OTHERS)
}

/// A family by name, or the rule that the name breaks.
pub fn family(name: &str) -> Result<&'static Family, Message> {
    let families = || all().flat_map(Collector::families);
    families().find(|family| family.name == name).ok_or_else(|| {
        let of_looks = snapshot::FAMILIES.iter().find(|family| family.name == name);
        if let Some(family) = of_looks {
            return say!("must name a metric that a collector fills; {} is about looking itself, and what cannot be seen is unknown anyway", family.name);
        }
        let of_events = event::FAMILIES.iter().find(|family| family.name == name);
        if let Some(family) = of_events {
            return say!("must name a metric that a collector fills; {} is about events, against which expires_within can judge", family.name);
        }
        let hint = did_you_mean(name, families().map(|family| family.name));
        say!("must name a metric that a collector fills{}", hint)
    })
}

/// Whether a metric has a label of this name.
pub fn is_label(name: &str) -> bool {
    all().flat_map(Collector::families).any(|family| family.labels.contains(&name))
}

/// The key of the configuration that switches a collector on.
pub fn key(collector: &str) -> &'static str {
    all().find(|own| own.name == collector).map_or("collectors", |own| own.key)
}

/// The collector that fills a family.
pub fn owner(name: &str) -> &'static str {
    all().find(|collector| collector.families().any(|family| family.name == name)).map_or("unknown", |collector| collector.name)
}

/// What is on, as tasks for the driver. Fails when a file that the configuration names cannot be used.
pub fn tasks(estate: &Estate<'_>) -> Result<Vec<Task>, Message> {
    let mut tasks = Vec::new();
    for collector in all() {
        tasks.extend((collector.tasks)(estate).map_err(|why| say!("{}: {}", collector.key, why))?);
    }
    Ok(tasks)
}
