//! Whether a check is asked at all: what its collector lacks, and what that makes of the line.

use super::context::Context;
use super::judgement::Unasked;
use super::model::Unconfigured;
use super::rule::Rule;
use crate::collectors;

/// A whole check that cannot be judged line by line: not asked, or else unknown, and why.
pub(super) struct Whole {
    pub(super) unasked: Option<Unasked>,
    pub(super) note: String,
    /// What to do, where that follows from the reason.
    pub(super) mend: Option<String>,
}

impl Whole {
    pub(super) fn unasked(why: Unasked, note: impl Into<String>) -> Self {
        Self { unasked: Some(why), note: note.into(), mend: None }
    }

    pub(super) fn unknown(note: impl Into<String>) -> Self {
        Self { unasked: None, note: note.into(), mend: None }
    }

    /// The same, with what to do about it.
    pub(super) fn mended_by(self, mend: impl Into<String>) -> Self {
        Self { mend: Some(mend.into()), ..self }
    }
}

impl Rule<'_> {
    /// Why nothing is asked, if nothing is configured that could show the metric.
    pub(super) fn off(&self, context: &Context<'_>) -> Option<Whole> {
        let (owner, key) = (self.owner, collectors::key(self.owner));
        let unasked = |note: String| Some(Whole::unasked(Unasked::NotConfigured, note));
        let sources = context.snapshot.of_collector(owner);
        if sources.is_empty() {
            let single = if owner == collectors::memory::NAME { ", or this is a single look, which remembers nothing" } else { "" };
            return unasked(format!("{key} is not configured{single}"));
        }
        if sources.iter().any(|view| self.concerns(view)) {
            return None;
        }
        let off = sources.iter().flat_map(|view| view.source.off.iter()).find(|(family, _)| *family == self.family.name);
        match (off, self.unconfigured) {
            (Some((_, part)), _) => unasked(format!("{key}.{part} is not configured")),
            (None, Unconfigured::NotApplicable) => unasked(self.absence()),
            (None, Unconfigured::Unknown) => None,
        }
    }

    /// That a collector is configured, and nothing in it could show the metric.
    fn absence(&self) -> String {
        let wanted: Vec<_> = self.filter.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (key, name) = (collectors::key(self.owner), self.family.name);
        let what = if wanted.is_empty() { format!("shows {name}") } else { format!("has {} ({name})", wanted.join(", ")) };
        format!("{key} is configured, but nothing in it {what}")
    }

    /// What to configure, or else to disable.
    pub(super) fn missing(&self) -> Whole {
        // A selector is called by the name of its entry.
        let field = |name: &str, value: &str| format!("`{}: {value}`", if name == "selector" { "name" } else { name });
        let fields: Vec<_> = self.filter.iter().map(|(name, value)| field(name, value)).collect();
        let entry = match self.family.made_by.filter(|_| fields.is_empty()) {
            Some(made_by) => made_by.to_owned(),
            None if fields.is_empty() => "an entry that does".to_owned(),
            None => format!("an entry with {} to {}", fields.join(" and "), collectors::key(self.owner)),
        };
        Whole::unknown(self.absence()).mended_by(format!("Add {entry}, or disable this check with `enabled: false` in the overrides."))
    }
}
