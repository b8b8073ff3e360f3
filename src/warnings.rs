//! What a configuration says and hardly can mean: an event that is over, a file that is not there, a
//! target that nothing judges. It is loaded all the same, since tomorrow it may be right, and told by
//! `config check`, at the start, and after a reload.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::checklist::{self, Check, Checklist, Kind};
use crate::collectors::attestations;
use crate::config::{Loaded, Problem};
use crate::event::{self, Schedule};
use crate::snapshot::Source;

/// Everything that is odd, in the order of the file. Asks the file system on this thread.
pub(crate) fn warnings<'a>(loaded: &Loaded, sources: impl Iterator<Item = &'a Source>, now: Timestamp) -> Vec<Problem> {
    let mut found = Vec::new();
    events(loaded, now, &mut found);
    clusters(loaded, &mut found);
    waivers(loaded, now, &mut found);
    confirmations(loaded, now, &mut found);
    found.extend(loaded.settings.clone().missing());
    found.extend(checklist::unjudged(&loaded.checklists, sources).into_iter().map(|unjudged| Problem::bare("checklists", unjudged.sentence())));
    found
}

fn schedules(loaded: &Loaded) -> Vec<Schedule> {
    loaded.settings.events.iter().filter_map(|event| Schedule::parse(event).ok()).collect()
}

fn events(loaded: &Loaded, now: Timestamp, found: &mut Vec<Problem>) {
    let schedules = schedules(loaded);
    for (index, schedule) in schedules.iter().enumerate() {
        if schedule.at(now).is_none() {
            found.push(Problem::bare(format!("events[{index}]"), format!("{} is over, so nothing is prepared for it", schedule.name())));
        }
    }
    let coming = event::coming(&schedules, now);
    for checklist in loaded.checklists.iter().filter(|checklist| coming.iter().all(|event| event.checklist != checklist.name)) {
        found.push(Problem::bare("events", format!("no event of checklist {} is coming, so it is judged as if one were now", checklist.name)));
    }
}

/// Clusters that no collector asks.
fn clusters(loaded: &Loaded, found: &mut Vec<Problem>) {
    if loaded.settings.collectors.kubernetes.is_some() {
        return;
    }
    let collectors = serde_json::to_value(&loaded.settings.collectors).unwrap_or_default();
    let mut used = BTreeSet::new();
    let mut waiting = vec![&collectors];
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
    for (index, cluster) in loaded.settings.clusters.iter().enumerate().filter(|(_, cluster)| !used.contains(cluster.name.as_str())) {
        let rule = format!("no collector uses cluster {}; collectors.kubernetes looks at all clusters once it is set", cluster.name);
        found.push(Problem::bare(format!("clusters[{index}]"), rule));
    }
}

fn waivers(loaded: &Loaded, now: Timestamp, found: &mut Vec<Problem>) {
    let check = |name: &str| loaded.checklists.iter().flat_map(Checklist::checks).find(|check| check.name == name);
    for (index, waiver) in loaded.settings.waivers.iter().enumerate() {
        if waiver.until.parse::<Timestamp>().is_ok_and(|until| until <= now) {
            found.push(Problem::bare(format!("waivers[{index}].until"), format!("is over, so {} is waived no longer", waiver.check)));
        }
        let Some(check) = check(&waiver.check) else { continue };
        for label in waiver.labels.keys().filter(|label| !bears(check, label)) {
            let rule = format!("no line of {} has the label {label}, so nothing is waived", waiver.check);
            found.push(Problem::bare(format!("waivers[{index}].labels"), rule));
        }
    }
}

/// Whether lines of a check may have a label. One that says that a source was not seen has those of the
/// source.
fn bears(check: &Check, label: &str) -> bool {
    matches!(&check.kind, Kind::Fact { family, .. } if family.labels.contains(&label) || ["cluster", "target", "registry", "credential"].contains(&label))
}

fn confirmations(loaded: &Loaded, now: Timestamp, found: &mut Vec<Problem>) {
    let Some(config) = &loaded.settings.attestations else { return };
    let known = attestations::Known::new(&loaded.checklists, &schedules(loaded));
    // A file that is not there is told with the others.
    if config.file.exists() {
        let told = attestations::refused(&config.file, &known, now);
        found.extend(told.into_iter().map(|why| Problem::bare("attestations.file", why.as_str())));
    }
}
