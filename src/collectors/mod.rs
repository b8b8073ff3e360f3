//! One module per source of facts. The list in `sections!` is the one from which everything follows: the
//! configuration, its rules, permissions, the metric names that checklists may use, documentation, and the tasks that
//! the driver runs.
//!
//! Each module holds, in this order, its configuration, its metrics, and the collector that fills
//! them. A collector does I/O and returns facts; it judges nothing and writes nothing.

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

use std::sync::Arc;

use attestations::AttestationsConfig;
use kubernetes::{ClusterConfig, Permission};
use schemars::JsonSchema;
use section::Section;
use serde::{Deserialize, Serialize};

use crate::driver::Task;
use crate::event::Schedule;
use crate::metric::Family;
use crate::say;
use crate::say::Message;
use crate::state::State;
use crate::value::Problem;
use crate::value::names::Visit;
use crate::value::rules::References;
use crate::word::did_you_mean;

/// A collector's name, the key that switches it on, the families that only it fills, and who looks.
#[derive(Debug)]
pub struct Collector {
    /// The `collector` label.
    pub name: &'static str,
    /// The key of the configuration that switches it on.
    pub key: &'static str,
    /// Its metrics, by subject.
    pub families: &'static [&'static [&'static Family]],
    tasks: fn(&Estate<'_>) -> Result<Vec<Task>, Message>,
}

impl Collector {
    /// All of its metrics.
    pub fn families(&self) -> impl Iterator<Item = &'static Family> {
        self.families.iter().copied().flatten().copied()
    }
}

/// From one line for each section: its part of the configuration, its entry among the collectors, and what is
/// asked of all sections. The line is the name of the module, which is the key in the file.
macro_rules! sections {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// One section per collector.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct CollectorsConfig {
            $(
                $(#[$about])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$name::Config>,
            )*
        }

        /// Collectors with a section of their own.
        const SECTIONS: &[Collector] = &[$(Collector {
            name: <$name::Config as Section>::NAME,
            key: concat!("collectors.", stringify!($name)),
            families: <$name::Config as Section>::FAMILIES,
            tasks: |estate| estate.collectors.$name.as_ref().map_or_else(|| Ok(Vec::new()), |section| section.tasks(estate)),
        },)*];

        impl CollectorsConfig {
            /// Reports every rule that a section breaks.
            pub(crate) fn rules(&self, references: &References<'_>, problems: &mut Vec<Problem>) {
                $(if let Some(section) = &self.$name {
                    section.rules(concat!("collectors.", stringify!($name)), references, problems);
                })*
            }

            /// Names what sections may refer to.
            pub(crate) fn offers<'a>(&'a self, references: &mut References<'a>) {
                $(if let Some(section) = &self.$name {
                    section.offers(references);
                })*
            }

            /// Visits the files and variables that sections name.
            pub(crate) fn names(&mut self, visit: &mut Visit<'_>) {
                $(if let Some(section) = &mut self.$name {
                    section.names(concat!("collectors.", stringify!($name)), visit);
                })*
            }

            /// All that the configuration makes this program ask of a cluster.
            pub fn permissions(&self, cluster: &ClusterConfig) -> Vec<Permission> {
                let mut permissions = Vec::new();
                $(permissions.extend(self.$name.iter().flat_map(|section| section.permissions(cluster)));)*
                permissions
            }
        }
    };
}

sections! {
    /// HTTP endpoints.
    http,
    /// Certificates presented by TLS servers.
    tls,
    /// DNS names.
    dns,
    /// Objects of the configured clusters.
    kubernetes,
    /// Images: what registries hold, what clusters run, and whether they agree.
    registry,
    /// Credentials: whether they are there, whether they still work, and when they end.
    credentials,
    /// Secrets of AWS Secrets Manager, and how their rotation goes.
    secrets_manager,
    /// What rotates, renews or restarts by itself, and whether that hits an event.
    rotations,
}

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
        let hint = did_you_mean(name, families().map(|family| family.name));
        say!("must name a metric of this exporter{}", hint)
    })
}

/// The key of the configuration that switches a collector on.
pub fn key(collector: &str) -> &'static str {
    all().find(|own| own.name == collector).map_or("collectors", |own| own.key)
}

/// The collector that fills a family.
pub fn owner(name: &str) -> &'static str {
    all().find(|collector| collector.families().any(|family| family.name == name)).map_or("unknown", |collector| collector.name)
}

/// What collectors work on.
#[derive(Debug, Clone, Copy)]
pub struct Estate<'a> {
    /// One section per collector.
    pub collectors: &'a CollectorsConfig,
    /// The configured clusters.
    pub clusters: &'a [ClusterConfig],
    /// Where people's confirmations are read from.
    pub attestations: Option<&'a AttestationsConfig>,
    /// The lines of checklists that people confirm.
    pub confirmed: &'a [String],
    /// When events happen.
    pub schedules: &'a [Schedule],
    /// What is remembered across restarts.
    pub state: &'a Arc<State>,
}

/// What is on, as tasks for the driver. Fails when a file that the configuration names cannot be used.
pub fn tasks(estate: &Estate<'_>) -> Result<Vec<Task>, Message> {
    let mut tasks = Vec::new();
    for collector in all() {
        tasks.extend((collector.tasks)(estate)?);
    }
    Ok(tasks)
}
