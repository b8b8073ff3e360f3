//! The configuration file, typed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::checklist::{Override, Waiver};
use crate::collectors::attestations::AttestationsConfig;
use crate::collectors::{CollectorsConfig, kubernetes};
use crate::event::{EventConfig, SHIPPED};

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
    /// for its start, and for the time shortly before its end. A folder that cannot be written to is told in the log
    /// when the exporter starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<PathBuf>,
    /// A file that remembers across restarts when things last rotated, how verdicts changed and since when lines
    /// are not good; without it a restart forgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_file: Option<PathBuf>,
    /// Kubernetes clusters, by the name that becomes the `cluster` label.
    pub clusters: Vec<kubernetes::ClusterConfig>,
    /// What to look at. A collector that is left out is off, and its checks are not applicable.
    pub collectors: CollectorsConfig,
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

/// A red line that does not block, because somebody said so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiverConfig {
    /// Name of the check.
    pub check: String,
    /// Only in these checklists; in all that have the check when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklists: Vec<String>,
    /// Only lines with these labels; all lines of the check when empty.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Only for this event, in all of its occurrences; for every event when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Who takes responsibility.
    pub who: String,
    /// Why it is acceptable.
    pub why: String,
    /// When it ends, with an offset: `2026-12-02T00:00:00Z`; within 90 days.
    pub until: String,
}

impl WaiverConfig {
    /// What the judge needs of it, with the moment that `until` says.
    pub(super) fn until(&self, until: Timestamp) -> Waiver {
        let Self { check, checklists, labels, event, who, why, until: _ } = self.clone();
        Waiver { check, checklists, labels, event, who, why, until }
    }
}

impl Settings {
    /// The configured checklists, or the shipped one when none is named.
    pub fn checklists_or_default(&self) -> Vec<ChecklistConfig> {
        if self.checklists.is_empty() {
            vec![ChecklistConfig { name: SHIPPED.to_owned(), file: None, overrides: BTreeMap::new() }]
        } else {
            self.checklists.clone()
        }
    }

    /// Names the checklist of each event that names none, where there is no doubt about it.
    pub(super) fn name_checklists(&mut self) {
        let configured = self.checklists_or_default();
        let names: Vec<&str> = configured.iter().map(|checklist| checklist.name.as_str()).collect();
        self.events.iter_mut().for_each(|event| event.name_checklist(&names));
    }

    /// Clusters that no collector looks at, by their place.
    pub fn unused_clusters(&self) -> Vec<(usize, &str)> {
        if self.collectors.kubernetes.is_some() {
            return Vec::new();
        }
        let collectors = serde_json::to_value(&self.collectors).unwrap_or_default();
        let (mut used, mut waiting) = (BTreeSet::new(), vec![&collectors]);
        while let Some(value) = waiting.pop() {
            match value {
                serde_json::Value::Object(fields) => {
                    used.extend(fields.get("cluster").and_then(serde_json::Value::as_str));
                    waiting.extend(fields.values());
                }
                serde_json::Value::Array(items) => waiting.extend(items),
                _ => {}
            }
        }
        let named = self.clusters.iter().enumerate().map(|(index, cluster)| (index, cluster.name.as_str()));
        named.filter(|(_, cluster)| !used.contains(cluster)).collect()
    }
}
