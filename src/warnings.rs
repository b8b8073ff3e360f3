//! What a configuration says and hardly can mean: an event that is over, a file that is not there, a
//! target that nothing judges. It is loaded all the same, since tomorrow it may be right, and told by
//! `config check`, at the start, and after a reload.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::checklist::{self, Check, Checklist, Kind, Waiver};
use crate::collectors::{self, CollectorsConfig, attestations};
use crate::config::{self, Loaded};
use crate::event::{self, Schedule};
use crate::snapshot::{Source, Subject};
use crate::value::Problem;
use crate::value::rules::{quoted, repeated};
use crate::word::did_you_mean;

/// Everything that is odd, in the order of the file. Asks the file system on this thread.
pub(crate) fn warnings<'a>(loaded: &Loaded, sources: impl Iterator<Item = &'a Source>, now: Timestamp) -> Vec<Problem> {
    let mut found = of_settings(loaded, now);
    let sources: Vec<&Source> = sources.collect();
    if sources.is_empty() && loaded.settings.collectors != CollectorsConfig::default() {
        found.push(Problem::bare("collectors", "nothing is named in them that could be looked at, such as a target"));
    }
    waivers(loaded, &sources, now, &mut found);
    found.extend(
        checklist::unjudged(&loaded.checklists, sources.into_iter()).into_iter().map(|unjudged| Problem::bare("checklists", unjudged.sentence().to_owned())),
    );
    found
}

/// What can be told before anything is known of what is to be looked at.
pub(crate) fn of_settings(loaded: &Loaded, now: Timestamp) -> Vec<Problem> {
    let mut found = config::misspelt(&config::schema());
    if loaded.settings.collectors == CollectorsConfig::default() {
        found.push(Problem::bare(
            "collectors",
            "none is configured, so only what people confirm is judged; `readiness-exporter config init` prints a file with your clusters and endpoints",
        ));
    }
    let is_empty =
        |key: &String| Problem::bare(format!("collectors.{key}"), format!("nothing stands below it, so it is off; `{key}: {{}}` takes all defaults"));
    found.extend(loaded.empty.iter().map(is_empty));
    events(loaded, now, &mut found);
    clusters(loaded, &mut found);
    twins(loaded, &mut found);
    loaded.settings.collectors.odd(&loaded.settings.clusters, &mut found);
    confirmations(loaded, now, &mut found);
    found.extend(loaded.settings.clone().missing());
    found
}

fn events(loaded: &Loaded, now: Timestamp, found: &mut Vec<Problem>) {
    for (index, schedule) in loaded.schedules.iter().enumerate() {
        if schedule.at(now).is_none() {
            found.push(Problem::bare(format!("events[{index}]"), format!("{} is over, so nothing is prepared for it", schedule.name())));
        }
        if schedule.is_crowded(now) {
            let rule = format!(
                "{} happens more than {} times within its first lead time, and only the next {} are judged; shorten lead_times",
                schedule.name(),
                event::MOST_JUDGED,
                event::MOST_JUDGED
            );
            found.push(Problem::bare(format!("events[{index}]"), rule));
        }
    }
    // Whoever prepares for no event wants the verdict of now.
    if loaded.schedules.is_empty() {
        return;
    }
    let coming = event::coming(&loaded.schedules, now);
    for checklist in loaded.checklists.iter().filter(|checklist| coming.iter().all(|event| !event.checklists.contains(&checklist.name))) {
        found.push(Problem::bare("events", format!("no event of checklist {} is coming, so it is judged as if one were now", checklist.name)));
    }
}

fn clusters(loaded: &Loaded, found: &mut Vec<Problem>) {
    found.extend(loaded.settings.unused_clusters().into_iter().map(|(index, cluster)| {
        let rule = format!("no collector uses cluster {cluster}; collectors.kubernetes looks at all clusters once it is set");
        Problem::bare(format!("clusters[{index}]"), rule)
    }));
}

/// Clusters that are looked at twice under two names, so that what the other name was for is most likely not looked at.
fn twins(loaded: &Loaded, found: &mut Vec<Problem>) {
    let clusters: Vec<_> = loaded.settings.clusters.iter().map(|cluster| (&cluster.name, cluster.place_now())).collect();
    for (index, (name, _), (first, _)) in repeated(&clusters, |(_, one), (_, other)| one.is_some() && one == other) {
        let rule = format!(
            "{name} has the same server as {first}; if they are two clusters behind it, say which by the uid of the namespace kube-system of each, in collectors.kubernetes.objects",
        );
        found.push(Problem::bare(format!("clusters[{index}]"), rule));
    }
}

fn waivers(loaded: &Loaded, sources: &[&Source], now: Timestamp, found: &mut Vec<Problem>) {
    let named: Vec<Subject> = sources.iter().flat_map(|source| source.named()).collect();
    let check = |waiver: &Waiver| {
        let own = loaded.checklists.iter().filter(|checklist| waiver.is_for(&checklist.name));
        own.flat_map(Checklist::checks).find(|check| check.name == waiver.check)
    };
    for (index, waiver) in loaded.waivers.iter().enumerate() {
        if waiver.until <= now {
            found.push(Problem::bare(format!("waivers[{index}].until"), format!("is over, so {} is waived no longer", waiver.check)));
        }
        if let Some(event) = waiver.event.as_ref().filter(|own| is_elsewhere(own, waiver, &loaded.schedules)) {
            let rule = format!("no checklist in which the waiver holds decides about {event}, so nothing is waived");
            found.push(Problem::bare(format!("waivers[{index}].event"), rule));
        }
        found.extend(short(waiver, &loaded.schedules, now).map(|rule| Problem::bare(format!("waivers[{index}].until"), rule)));
        if let Some(value) = waiver.labels.get("cluster") {
            let clusters = loaded.settings.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
            found.extend(unnamed((index, waiver), ("cluster", value), value, &clusters));
        }
        let Some(check) = check(waiver) else { continue };
        if !check.enabled {
            found.push(Problem::bare(format!("waivers[{index}].check"), format!("{} is disabled in the overrides, so nothing is waived", waiver.check)));
        } else if matches!(check.kind, Kind::Promql { .. }) {
            let rule = format!("{} is judged by Prometheus alone, which no waiver reaches; silence its alert instead", waiver.check);
            found.push(Problem::bare(format!("waivers[{index}].check"), rule));
        } else if let Kind::Fact { family, .. } = &check.kind {
            let owner = collectors::owner(family.name);
            if sources.iter().all(|source| source.collector != owner) {
                let rule = format!("{} judges what the {owner} collector sees, which is not configured, so nothing is waived", waiver.check);
                found.push(Problem::bare(format!("waivers[{index}].check"), rule));
            }
        }
        for label in waiver.labels.keys().filter(|label| !bears(check, label)) {
            let instead = if label == "event" { "; write event beside labels" } else { "" };
            let rule = format!("no line of {} has the label {label}, so nothing is waived{instead}", waiver.check);
            found.push(Problem::bare(format!("waivers[{index}].labels"), rule));
        }
        for (label, value) in waiver.labels.iter().filter(|(label, _)| *label != "cluster" && bears(check, label)) {
            let is_event = label == "event";
            // Only of what the configuration names itself it is known now which values there are.
            let subjects = named.iter().filter(|subject| !is_event && is_about(check, subject)).filter_map(|subject| subject.labels.get(label));
            let known: BTreeSet<&str> = subjects.chain(loaded.schedules.iter().filter(|_| is_event).map(Schedule::name)).collect();
            // Later occurrences of a recurring event are called after it.
            let name = if is_event { value.split(" +").next().unwrap_or_default() } else { value };
            if !known.is_empty() {
                found.extend(unnamed((index, waiver), (label, value), name, &known));
            }
        }
    }
}

/// That a label of a waiver names what is not there, be it a target, an event or a cluster. It is told and refused nowhere:
/// who takes one of these out of the configuration must not have to find each waiver of it first, and one that reaches
/// nothing hides nothing.
fn unnamed((index, waiver): (usize, &Waiver), (label, value): (&str, &str), name: &str, known: &BTreeSet<&str>) -> Option<Problem> {
    let rule = || format!("no {label} that {} asks about is called so, and nothing is waived{}", waiver.check, did_you_mean(name, known.iter().copied()));
    (!known.contains(name)).then(|| Problem::new(format!("waivers[{index}].labels.{label}"), rule(), quoted(value)))
}

/// Whether an event is judged by none of the checklists in which a waiver holds.
fn is_elsewhere(event: &str, waiver: &Waiver, schedules: &[Schedule]) -> bool {
    let own = schedules.iter().find(|schedule| schedule.name() == event);
    own.is_some_and(|schedule| !schedule.checklists().iter().any(|checklist| waiver.is_for(checklist)))
}

/// That a waiver ends before the first event that it could be for is over.
fn short(waiver: &Waiver, schedules: &[Schedule], now: Timestamp) -> Option<String> {
    let coming = schedules.iter().filter_map(|schedule| schedule.at(now)).filter(|event| event.checklists.iter().any(|checklist| waiver.is_for(checklist)));
    let named = waiver.event.as_ref().or_else(|| waiver.labels.get("event"));
    let first = coming.filter(|event| named.is_none_or(|own| *own == event.of)).min_by_key(|event| event.end)?;
    (now < waiver.until && waiver.until < first.end).then(|| format!("is before {} is over, at {}", first.of, first.end.strftime("%Y-%m-%dT%H:%M:%SZ")))
}

fn is_about(check: &Check, subject: &Subject) -> bool {
    matches!(&check.kind, Kind::Fact { family, .. } if subject.families.contains(&family.name))
}

/// Whether lines of a check may have a label. One that says that a source was not seen has those of the
/// source.
fn bears(check: &Check, label: &str) -> bool {
    matches!(&check.kind, Kind::Fact { family, .. } if family.labels.contains(&label) || ["cluster", "target", "registry", "credential"].contains(&label))
}

fn confirmations(loaded: &Loaded, now: Timestamp, found: &mut Vec<Problem>) {
    let Some(config) = &loaded.settings.attestations else { return };
    let known = attestations::Known::new(&checklist::confirmed(&loaded.checklists), &loaded.schedules);
    // A file that is not there is told with the others.
    if config.file.exists() {
        let told = attestations::refused(&config.file, &known, now);
        found.extend(told.into_iter().map(|why| Problem::bare("attestations.file", why.as_str())));
    }
}

#[cfg(test)]
mod tests;
