//! The configuration file: its types, how it is loaded, and every rule it must keep.
//!
//! Strict on purpose: an unknown key or a dangling reference stops the start, because a check that
//! silently watches nothing would be a false go. All problems are reported in one run.

mod findings;
mod layers;
mod load;
mod names;
mod origins;
mod problem;
mod shape;
mod types;
mod url;
pub(crate) mod validate;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use findings::{misspelt, nearly};
pub use load::{ENV_PREFIX, LoadError, Loaded, load, load_str, schema};
pub use problem::Problem;
pub use types::{Secret, SecretRef, Span};
pub(crate) use url::names_a_secret;
pub use url::{Url, UrlRule};

use crate::checklist::Override;
use crate::collectors::{credentials, dns, http, kubernetes, registry, rotations, secrets_manager, tls};

/// What is wrong with a value that `config print` wrote in place of a secret.
const MASKED: &str = "holds ***, which config print writes in place of a secret";

/// The whole configuration file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What is being prepared for. Without one, checklists are judged as if the event were now.
    pub events: Vec<EventConfig>,
    /// Checklists to judge; the shipped `workshop` when empty.
    pub checklists: Vec<ChecklistConfig>,
    /// Where people's confirmations are read from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestations: Option<AttestationsConfig>,
    /// Red lines that somebody has taken responsibility for.
    pub waivers: Vec<WaiverConfig>,
    /// A folder in which the filled-in checklist is kept: one file for each lead time of an event,
    /// for its start, and for the time shortly before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<PathBuf>,
    /// A file that remembers across restarts when things last rotated and how verdicts changed;
    /// without it a restart forgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_file: Option<PathBuf>,
    /// Kubernetes clusters, by the name that becomes the `cluster` label.
    pub clusters: Vec<kubernetes::ClusterConfig>,
    /// What to look at. A collector that is left out is off, and its checks are not applicable.
    pub collectors: CollectorsConfig,
}

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

/// An event: one-off (`start`) or recurring (`cron`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventConfig {
    /// Unique name, the `event` label.
    pub name: String,
    /// The checklist that decides about it.
    #[serde(default = "default_checklist")]
    pub checklist: String,
    /// IANA time zone of all times of this event.
    pub time_zone: String,
    /// Start of a one-off event, local time: `2026-12-01T09:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// End of a one-off event, local time; or give `duration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Starts of a recurring event as a cron expression, local time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// Length of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// Expected participants; checks about capacity need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participants: Option<u32>,
    /// How long before the start a no-go pages.
    #[serde(default = "default_lead_times")]
    pub lead_times: Vec<Span>,
}

fn default_checklist() -> String {
    "workshop".to_owned()
}

/// Two days, one day and one hour before the start.
pub(crate) fn default_lead_times() -> Vec<Span> {
    vec![Span::days(2), Span::days(1), Span::hours(1)]
}

/// A checklist to judge, with this installation's changes to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChecklistConfig {
    /// Name of a shipped checklist, or of the one in `file`.
    pub name: String,
    /// A checklist of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Changes by check name.
    #[serde(default)]
    pub overrides: BTreeMap<String, Override>,
}

/// The file in which people confirm what no machine can see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttestationsConfig {
    /// A YAML list of `{ attest, who, at, valid_for, event }`.
    pub file: PathBuf,
    /// Time between reads.
    #[serde(default = "default_attestations_interval")]
    pub interval: Span,
}

fn default_attestations_interval() -> Span {
    Span::secs(15)
}

/// A red line that does not block, because somebody said so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiverConfig {
    /// Name of the check.
    pub check: String,
    /// Only lines with these labels; all lines of the check when empty.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Who takes responsibility.
    pub who: String,
    /// Why it is acceptable.
    pub why: String,
    /// When it ends, with an offset: `2026-12-02T00:00:00Z`; within 90 days.
    pub until: String,
}

impl Settings {
    /// The configured checklists, or the shipped one when none is named.
    pub fn checklists_or_default(&self) -> Vec<ChecklistConfig> {
        if self.checklists.is_empty() {
            vec![ChecklistConfig { name: default_checklist(), file: None, overrides: BTreeMap::new() }]
        } else {
            self.checklists.clone()
        }
    }
}
