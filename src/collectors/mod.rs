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

use attestations::AttestationsConfig;
use kubernetes::ClusterConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::driver::Task;
use crate::event::Schedule;
use crate::metric::Family;
use crate::say;
use crate::say::Message;
use crate::state::State;
use crate::value::rules::did_you_mean;

/// One section per collector.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CollectorsConfig {
    /// HTTP endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<http::Config>,
    /// Certificates presented by TLS servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<tls::Config>,
    /// DNS names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<dns::Config>,
    /// Objects of the configured clusters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<kubernetes::Config>,
    /// Images: what registries hold, what clusters run, and whether they agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<registry::Config>,
    /// Credentials: whether they are there, whether they still work, and when they end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<credentials::Config>,
    /// Secrets of AWS Secrets Manager, and how their rotation goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets_manager: Option<secrets_manager::Config>,
    /// What rotates, renews or restarts by itself, and whether that hits an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotations: Option<rotations::Config>,
}

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

/// The key of the configuration that switches a collector on.
pub fn key(collector: &str) -> String {
    match collector {
        attestations::NAME => "attestations".to_owned(),
        memory::NAME => "state_file".to_owned(),
        // What lapses is worked out from what the credentials are.
        lapses::NAME => format!("collectors.{}", credentials::NAME),
        other => format!("collectors.{other}"),
    }
}

/// The collector that fills a family.
pub fn owner(name: &str) -> &'static str {
    let found = COLLECTORS.iter().find(|collector| collector.families().any(|family| family.name == name));
    found.map_or("unknown", |collector| collector.name)
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
    let Estate { collectors, clusters, schedules, state, .. } = *estate;
    // No `..`: a new section that nobody wires must not compile.
    let CollectorsConfig { http, tls, dns, kubernetes, registry, credentials, secrets_manager, rotations } = collectors;
    let mut tasks = Vec::new();
    if let Some(config) = estate.attestations {
        tasks.push(attestations::task(config, attestations::Known::new(estate.confirmed, schedules)));
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
        tasks.extend(kubernetes::tasks(config, clusters, schedules));
    }
    if let Some(config) = registry {
        tasks.extend(registry::tasks(config, kubernetes.as_ref(), clusters)?);
    }
    let compared = rotations.iter().flat_map(rotations::Config::compared).collect();
    if let Some(config) = credentials {
        // The chain that a server shows is the one that lies in a Secret.
        let trusted: Vec<_> =
            [http.as_ref().and_then(|http| http.ca_file.as_deref()), tls.as_ref().and_then(|tls| tls.ca_file.as_deref())].into_iter().flatten().collect();
        tasks.extend(credentials::tasks(config, clusters, &compared, &trusted)?);
        tasks.extend(lapses::task(config, rotations.as_ref()));
    }
    if let Some(config) = secrets_manager {
        tasks.extend(secrets_manager::tasks(config));
    }
    if let Some(config) = rotations {
        tasks.extend(rotations::tasks(config, schedules, state));
    }
    tasks.extend(memory::task(state));
    Ok(tasks)
}
