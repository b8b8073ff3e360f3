//! One module per source of facts. [`COLLECTORS`] is the list from which everything follows:
//! metric names that checklists may use, documentation, and the tasks that the driver runs.
//!
//! Each module holds, in this order, its configuration, its metrics, and the collector that fills
//! them. A collector does I/O and returns facts; it judges nothing and writes nothing.

pub mod attestations;
pub mod credentials;
pub mod dns;
pub mod http;
pub mod kubernetes;
pub mod lapses;
pub mod memory;
pub mod registry;
pub mod rotations;
pub mod secrets_manager;
pub mod tls;

use std::sync::Arc;

use crate::config::Loaded;
use crate::config::validate::did_you_mean;
use crate::driver::Task;
use crate::event;
use crate::metric::Family;
use crate::say;
use crate::say::Message;
use crate::state::State;

/// A collector's name and the families that only it fills.
#[derive(Debug)]
pub struct Collector {
    /// The `collector` label.
    pub name: &'static str,
    /// Its metrics, by subject.
    pub families: &'static [&'static [&'static Family]],
}

impl Collector {
    /// All of its metrics.
    pub fn families(&self) -> impl Iterator<Item = &'static Family> {
        self.families.iter().copied().flatten().copied()
    }
}

/// Every collector.
pub static COLLECTORS: &[Collector] = &[
    Collector { name: attestations::NAME, families: &[attestations::FAMILIES] },
    Collector { name: credentials::NAME, families: &[credentials::FAMILIES] },
    Collector { name: dns::NAME, families: &[dns::FAMILIES] },
    Collector { name: http::NAME, families: &[http::FAMILIES] },
    Collector { name: kubernetes::NAME, families: kubernetes::FAMILIES },
    Collector { name: lapses::NAME, families: &[lapses::FAMILIES] },
    Collector { name: memory::NAME, families: &[memory::FAMILIES] },
    Collector { name: registry::NAME, families: registry::FAMILIES },
    Collector { name: rotations::NAME, families: &[rotations::FAMILIES] },
    Collector { name: secrets_manager::NAME, families: &[secrets_manager::FAMILIES] },
    Collector { name: tls::NAME, families: &[tls::FAMILIES] },
];

/// A family by name, or the rule that the name breaks.
pub fn family(name: &str) -> Result<&'static Family, Message> {
    let families = || COLLECTORS.iter().flat_map(Collector::families);
    families().find(|family| family.name == name).ok_or_else(|| {
        let hint = did_you_mean(name, families().map(|family| family.name));
        say!("must name a metric of this exporter{}", hint)
    })
}

/// The collector that fills a family.
pub fn owner(name: &str) -> &'static str {
    let found = COLLECTORS.iter().find(|collector| collector.families().any(|family| family.name == name));
    found.map_or("unknown", |collector| collector.name)
}

/// What is on, as tasks for the driver. Fails when a file that the configuration names cannot be used.
pub fn tasks(loaded: &Loaded, state: &Arc<State>) -> Result<Vec<Task>, Message> {
    // No `..`: a new section that nobody wires must not compile.
    let crate::config::CollectorsConfig { http, tls, dns, kubernetes, registry, credentials, secrets_manager, rotations } = &loaded.settings.collectors;
    let mut tasks = Vec::new();
    let schedules = event::schedules(&loaded.settings.events);
    if let Some(config) = &loaded.settings.attestations {
        tasks.push(attestations::task(config, attestations::Known::new(&loaded.checklists, &schedules)));
    }
    if let Some(config) = http {
        tasks.extend(http::tasks(config)?);
    }
    if let Some(config) = tls {
        tasks.extend(tls::tasks(config)?);
    }
    if let Some(config) = dns {
        tasks.extend(dns::tasks(config)?);
    }
    if let Some(config) = kubernetes {
        tasks.extend(kubernetes::tasks(config, &loaded.settings.clusters, &schedules));
    }
    if let Some(config) = registry {
        tasks.extend(registry::tasks(config, kubernetes.as_ref(), &loaded.settings.clusters)?);
    }
    let compared = rotations.iter().flat_map(rotations::Config::compared).collect();
    if let Some(config) = credentials {
        // The chain that a server shows is the one that lies in a Secret.
        let trusted: Vec<_> =
            [http.as_ref().and_then(|http| http.ca_file.as_deref()), tls.as_ref().and_then(|tls| tls.ca_file.as_deref())].into_iter().flatten().collect();
        tasks.extend(credentials::tasks(config, &loaded.settings.clusters, &compared, &trusted)?);
        tasks.extend(lapses::task(config, rotations.as_ref()));
    }
    if let Some(config) = secrets_manager {
        tasks.extend(secrets_manager::tasks(config));
    }
    if let Some(config) = rotations {
        tasks.extend(rotations::tasks(config, &schedules, state));
    }
    tasks.extend(memory::task(state));
    Ok(tasks)
}
