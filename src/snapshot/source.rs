//! Who looks: one thing with a clock of its own, and what of it the configuration names.

use std::sync::Arc;
use std::time::Duration;

use crate::labels::Labels;

/// What of a source somebody configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subjects {
    /// The source itself, such as a target.
    Whole,
    /// Each of these, such as the workloads and node groups of a cluster.
    Each(Vec<Subject>),
    /// Nothing: facts of the exporter itself, or what follows from other sources.
    Nothing,
}

/// One thing that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// As the configuration calls it, `workload litellm`.
    pub what: String,
    /// The labels that its facts carry.
    pub labels: Labels,
    /// The families that say something about it.
    pub families: Vec<&'static str>,
}

/// One thing with a clock of its own: a target or a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The collector's name, the `collector` label.
    pub collector: &'static str,
    /// Unique within its collector, the `source` label.
    pub name: String,
    /// Labels that every sample of this source carries; a check's filter is tried against them
    /// when there are no samples to try it against.
    pub identity: Labels,
    /// Values that other labels of its samples can have, where the configuration limits them.
    pub covers: Vec<(&'static str, Vec<String>)>,
    /// Families this source fills when all is well, given its configuration.
    pub emits: Vec<&'static str>,
    /// Families that are switched off, with the key of the configuration that would switch them on.
    pub off: Arc<[(&'static str, &'static str)]>,
    /// What the configuration asks to be looked at in it, so that what no check asks about can be told.
    pub subjects: Subjects,
    /// Collectors whose facts this source reads, and whose first look it therefore waits for.
    pub reads: &'static [&'static str],
    /// Selectors of those collectors of which it tells more than they do: what a CronJob makes is judged by its rotation.
    pub selectors: Vec<String>,
    /// Time between looks.
    pub interval: Duration,
    /// How long facts outlive the last good look.
    pub keep: Duration,
}

impl Source {
    /// One that is looked at in this interval, with nothing said of what it fills. Its facts outlive two looks
    /// that fail: a third is no accident any more.
    pub fn new(collector: &'static str, name: impl Into<String>, interval: Duration) -> Self {
        Self {
            collector,
            name: name.into(),
            identity: Labels::default(),
            covers: Vec::new(),
            emits: Vec::new(),
            off: Arc::default(),
            subjects: Subjects::Whole,
            reads: &[],
            selectors: Vec::new(),
            interval,
            keep: interval * 3,
        }
    }

    /// What of it the configuration names.
    pub fn named(&self) -> Vec<Subject> {
        match &self.subjects {
            Subjects::Nothing => Vec::new(),
            Subjects::Each(subjects) => subjects.clone(),
            Subjects::Whole => {
                let kind = self.identity.get("kind").map_or_else(String::new, |kind| format!(" of kind {kind}"));
                vec![Subject { what: format!("{}{kind}", self.name), labels: self.identity.clone(), families: self.emits.clone() }]
            }
        }
    }
}
