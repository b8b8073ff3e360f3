//! What the judge remembers between judgements: since when a line is bad, and whether it has been
//! good often enough.
//!
//! Red at once; once red, green only after two good looks, so that a flapping target does not
//! flip the verdict with it. A single `check` run has no memory and judges what it sees.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::judge::{CheckState, Judgement, Line};

/// Good looks that turn a red line green.
const GOOD_LOOKS: u32 = 2;

#[derive(Debug)]
struct Entry {
    since: Timestamp,
    was_red: bool,
    good_looks: u32,
    last_look: u64,
    seen: bool,
}

/// Remembers bad lines by checklist, check and labels.
#[derive(Debug, Default)]
pub struct Memory {
    entries: BTreeMap<String, Entry>,
}

impl Memory {
    /// Adds what is remembered to a judgement and remembers what it says.
    pub fn apply(&mut self, judgement: &mut Judgement) {
        let prefix = format!("{}\u{1f}", judgement.checklist);
        let now = judgement.at;
        for check in judgement.sections.iter_mut().flat_map(|section| &mut section.checks) {
            for line in &mut check.lines {
                let key = key(&prefix, &check.name, line);
                self.remember(key, line, now);
            }
        }
        // A line that is gone is forgotten: its object no longer exists.
        self.entries.retain(|key, entry| !key.starts_with(&prefix) || std::mem::take(&mut entry.seen));
        judgement.settle();
    }

    fn remember(&mut self, key: String, line: &mut Line, now: Timestamp) {
        let bad = line.state != CheckState::Pass;
        if bad {
            let entry = self.entries.entry(key).or_insert(Entry { since: now, was_red: false, good_looks: 0, last_look: 0, seen: true });
            entry.was_red |= line.state == CheckState::Fail;
            entry.good_looks = 0;
            entry.last_look = line.look;
            entry.seen = true;
            line.since = Some(entry.since);
            return;
        }
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if line.look != entry.last_look {
            entry.good_looks += 1;
            entry.last_look = line.look;
        }
        if !entry.was_red || entry.good_looks >= GOOD_LOOKS {
            self.entries.remove(&key);
            return;
        }
        entry.seen = true;
        line.state = CheckState::Fail;
        line.since = Some(entry.since);
        line.evidence = format!("{} Good again; one more good look turns it green.", line.evidence);
    }
}

fn key(prefix: &str, check: &str, line: &Line) -> String {
    let labels: Vec<_> = line.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{prefix}{check}\u{1f}{}", labels.join("\u{1f}"))
}
