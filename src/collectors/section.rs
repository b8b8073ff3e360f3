//! What a collector is made of, beside its metrics and its looks: one record, of which no part can be left out; the
//! list of those that have a section in the configuration; and what they work on.
//!
//! Of a collector it knows the types of its configuration and nothing else, so that each can know this.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attestations::config::AttestationsConfig;
use super::kubernetes::config::ClusterConfig;
use super::kubernetes::reading::permission::Permission;
use crate::driver::Task;
use crate::event::Schedule;
use crate::metric::Family;
use crate::say::Message;
use crate::state::State;
use crate::value::Problem;
use crate::value::names::Visit;
use crate::value::rules::References;

/// The section of a collector in the configuration, and all that follows from it. Nothing has a default, so
/// that a part that nobody thought of does not compile.
pub(super) trait Section {
    /// The `collector` label, and the key of the section.
    const NAME: &'static str;
    /// Its metrics, by subject; nobody else fills them.
    const FAMILIES: &'static [&'static [&'static Family]];

    /// Reports every rule that the section breaks.
    fn rules(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>);

    /// Tells what it says and hardly can mean; it is taken all the same.
    fn odd(&self, path: &str, clusters: &[ClusterConfig], found: &mut Vec<Problem>);

    /// Names what other sections may refer to.
    fn offers<'a>(&'a self, references: &mut References<'a>);

    /// Visits the files and variables that it names.
    fn names(&mut self, path: &str, visit: &mut Visit<'_>);

    /// What it asks of a cluster.
    fn permissions(&self, cluster: &ClusterConfig) -> Vec<Permission>;

    /// Who looks. Fails when a file that the configuration names cannot be used.
    fn tasks(&self, estate: &Estate<'_>) -> Result<Vec<Task>, Message>;
}

/// A part of a section that its configuration may leave out.
pub(super) struct Part<'a> {
    /// The key that brings it in.
    pub key: &'static str,
    /// Whether it is there.
    pub on: bool,
    /// What is filled only where it is.
    pub families: &'a [&'a [&'static Family]],
}

/// The families of the parts that are left out, each with the key that would bring it in.
pub(super) fn left_out(parts: &[Part<'_>]) -> Vec<(&'static str, &'static str)> {
    let out = parts.iter().filter(|part| !part.on);
    out.flat_map(|part| part.families.iter().copied().flatten().map(|family| (family.name, part.key))).collect()
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

/// A collector's name, the key that switches it on, the families that only it fills, and who looks.
#[derive(Debug)]
pub struct Collector {
    /// The `collector` label.
    pub name: &'static str,
    /// The key of the configuration that switches it on.
    pub key: &'static str,
    /// Its metrics, by subject.
    pub families: &'static [&'static [&'static Family]],
    pub(super) tasks: fn(&Estate<'_>) -> Result<Vec<Task>, Message>,
}

impl Collector {
    /// All of its metrics.
    pub fn families(&self) -> impl Iterator<Item = &'static Family> {
        self.families.iter().copied().flatten().copied()
    }
}

/// From one line for each section: its part of the configuration, its entry among the collectors, and what is
/// asked of all sections. The line is the key in the file, which is the name of the module, and its configuration.
macro_rules! sections {
    ($($(#[$about:meta])* $name:ident: $config:ty,)*) => {
        /// One section per collector.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct CollectorsConfig {
            $(
                $(#[$about])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$config>,
            )*
        }

        /// Collectors with a section of their own.
        pub(super) const SECTIONS: &[Collector] = &[$(Collector {
            name: <$config as Section>::NAME,
            key: concat!("collectors.", stringify!($name)),
            families: <$config as Section>::FAMILIES,
            tasks: |estate| estate.collectors.$name.as_ref().map_or_else(|| Ok(Vec::new()), |section| section.tasks(estate)),
        },)*];

        impl CollectorsConfig {
            /// Reports every rule that a section breaks.
            pub(crate) fn rules(&self, references: &References<'_>, problems: &mut Vec<Problem>) {
                $(if let Some(section) = &self.$name {
                    section.rules(concat!("collectors.", stringify!($name)), references, problems);
                })*
            }

            /// Tells what sections say and hardly can mean.
            pub(crate) fn odd(&self, clusters: &[ClusterConfig], found: &mut Vec<Problem>) {
                $(if let Some(section) = &self.$name {
                    section.odd(concat!("collectors.", stringify!($name)), clusters, found);
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
    http: super::http::config::Config,
    /// Certificates presented by TLS servers.
    tls: super::tls::config::Config,
    /// DNS names.
    dns: super::dns::config::Config,
    /// Objects of the configured clusters.
    kubernetes: super::kubernetes::config::Config,
    /// Images: what registries hold, what clusters run, and whether they agree.
    registry: super::registry::config::Config,
    /// Credentials: whether they are there, whether they still work, and when they end.
    credentials: super::credentials::config::Config,
    /// Secrets of AWS Secrets Manager, and how their rotation goes.
    secrets_manager: super::secrets_manager::config::Config,
    /// What rotates, renews or restarts by itself, and whether that hits an event.
    rotations: super::rotations::config::Config,
}
