//! Rules that a schema cannot say: uniqueness, references, times and expressions.

use jiff::{SignedDuration, Timestamp};

use super::settings::Settings;
use crate::checklist::{self, Checklist, Waiver};
use crate::collectors::kubernetes::ClusterConfig;
use crate::event::Schedule;
use crate::value::Problem;
use crate::value::rules::{References, interval, quoted, unique};
use crate::word::did_you_mean;

type Problems = Vec<Problem>;

/// What texts of the settings stand for, in their order, as far as they keep the rules.
pub(super) struct Parsed {
    pub(super) checklists: Vec<Checklist>,
    pub(super) schedules: Vec<Schedule>,
    pub(super) waivers: Vec<Waiver>,
}

/// Checks every rule, and reads what the settings name or write as text: nobody reads it a second time. With `complete` false, something was cut out before
/// and a missing reference may be a consequence of that, so references are not judged.
pub(super) fn validate(settings: &Settings, complete: bool, problems: &mut Problems) -> Parsed {
    let clusters = settings.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    let mut references = References { clusters, complete, ..References::default() };
    settings.collectors.offers(&mut references);
    let checklists = load_checklists(settings, problems);
    let schedules = events(settings, &checklists, &references, problems);
    for (index, cluster) in settings.clusters.iter().enumerate() {
        cluster.validate(&format!("clusters[{index}]"), problems);
    }
    unique("clusters", settings.clusters.iter().map(|cluster| cluster.name.as_str()), problems);
    one_cluster(settings, problems);
    settings.collectors.rules(&references, problems);
    if let Some(attestations) = &settings.attestations {
        interval("attestations.interval", attestations.interval, problems);
    }
    let waivers = waivers(settings, &checklists, &references, problems);
    Parsed { checklists, schedules, waivers }
}

/// Two names for one cluster: the other one, whose entry was copied, would never be looked at.
fn one_cluster(settings: &Settings, problems: &mut Problems) {
    let way = |cluster: &ClusterConfig| ClusterConfig { name: String::new(), version: None, ..cluster.clone() };
    for (index, cluster) in settings.clusters.iter().enumerate() {
        if let Some(first) = settings.clusters[..index].iter().position(|other| way(other) == way(cluster)) {
            let rule = format!("must not be reached in the very same way as clusters[{first}], which makes both one cluster");
            problems.push(Problem::new(format!("clusters[{index}]"), rule, quoted(&cluster.name)));
        }
    }
}

fn load_checklists(settings: &Settings, problems: &mut Problems) -> Vec<Checklist> {
    let mut loaded = Vec::new();
    let configured = settings.checklists_or_default();
    unique("checklists", configured.iter().map(|checklist| checklist.name.as_str()), problems);
    for (index, wanted) in configured.iter().enumerate() {
        let path = format!("checklists[{index}]");
        match checklist::load(&wanted.name, wanted.file.as_deref()) {
            Err(found) => problems.extend(found.into_iter().map(|problem| problem.within(&path, wanted.file.as_deref()))),
            Ok(mut checklist) => {
                problems.extend(checklist.apply(&wanted.overrides, &format!("{path}.overrides")));
                loaded.push(checklist);
            }
        }
    }
    loaded
}

fn events(settings: &Settings, checklists: &[Checklist], references: &References<'_>, problems: &mut Problems) -> Vec<Schedule> {
    unique("events", settings.events.iter().map(|event| event.name.as_str()), problems);
    let names: Vec<_> = settings.checklists_or_default().iter().map(|checklist| checklist.name.clone()).collect();
    let mut schedules = Vec::new();
    for (index, event) in settings.events.iter().enumerate() {
        let path = format!("events[{index}]");
        schedules.extend(event.validate(&path, problems));
        for wanted in event.checklists() {
            known_checklist(&format!("{path}.checklist"), wanted, &names, references, problems);
        }
        for (position, lead) in event.lead_times.iter().enumerate() {
            if lead.0.is_zero() {
                problems.push(Problem::new(format!("{path}.lead_times[{position}]"), "must be greater than 0", lead));
            }
        }
    }
    for checklist in checklists {
        for check in checklist.checks() {
            if let Some(cluster) = check.filter.get("cluster") {
                let path = format!("checklists.{}.{}.where.cluster", checklist.name, check.name);
                references.cluster(&path, cluster, problems);
            }
        }
    }
    schedules
}

fn known_checklist(path: &str, wanted: &String, names: &[String], references: &References<'_>, problems: &mut Problems) {
    if references.complete && !names.contains(wanted) {
        let hint = did_you_mean(wanted, names.iter().map(String::as_str));
        problems.push(Problem::new(path, format!("must name a configured checklist{hint}"), quoted(wanted)));
    }
}

fn known_event(path: &str, wanted: &str, settings: &Settings, references: &References<'_>, problems: &mut Problems) {
    if references.complete && settings.events.iter().all(|event| event.name != wanted) {
        let hint = did_you_mean(wanted, settings.events.iter().map(|event| event.name.as_str()));
        problems.push(Problem::new(path, format!("must name a configured event{hint}"), quoted(wanted)));
    }
}

/// A name of a person or a team stands in each line that is waived.
const LONGEST_NAME: usize = 100;

/// How far ahead a waiver may end.
const LONGEST_WAIVER: SignedDuration = SignedDuration::from_hours(90 * 24);

fn waivers(settings: &Settings, checklists: &[Checklist], references: &References<'_>, problems: &mut Problems) -> Vec<Waiver> {
    let mut granted = Vec::new();
    let names: Vec<_> = settings.checklists_or_default().iter().map(|checklist| checklist.name.clone()).collect();
    for (index, waiver) in settings.waivers.iter().enumerate() {
        let path = format!("waivers[{index}]");
        for wanted in &waiver.checklists {
            known_checklist(&format!("{path}.checklists"), wanted, &names, references, problems);
        }
        let own = checklists
            .iter()
            .filter(|own| waiver.checklists.is_empty() || waiver.checklists.contains(&own.name))
            .flat_map(Checklist::checks)
            .map(|check| check.name.as_str());
        let checks: Vec<&str> = own.chain([checklist::NOT_JUDGED]).collect();
        // Of a checklist that is not known nobody knows the checks.
        let all_known = waiver.checklists.iter().all(|wanted| names.contains(wanted));
        if !checklists.is_empty() && all_known && !checks.contains(&waiver.check.as_str()) {
            let elsewhere = checklists.iter().find(|own| own.checks().any(|check| check.name == waiver.check));
            let rule = elsewhere.map_or_else(
                || format!("must name a check{}", did_you_mean(&waiver.check, checks.iter().copied())),
                |other| format!("must be a check of {}; this is one of {}", waiver.checklists.join(" or "), other.name),
            );
            problems.push(Problem::new(format!("{path}.check"), rule, quoted(&waiver.check)));
        }
        match waiver.until.parse::<Timestamp>() {
            Err(_) => {
                problems.push(Problem::new(format!("{path}.until"), "must be a moment with an offset such as 2026-12-02T00:00:00Z", quoted(&waiver.until)));
            }
            Ok(until) if until.duration_since(Timestamp::now()) > LONGEST_WAIVER => {
                problems.push(Problem::new(format!("{path}.until"), "must be within 90 days, so that somebody looks at it again", quoted(&waiver.until)));
            }
            Ok(until) => granted.push(waiver.until(until)),
        }
        for (field, text, says) in [("who", &waiver.who, "who answers for it"), ("why", &waiver.why, "why it is acceptable")] {
            if !text.contains(char::is_alphanumeric) {
                problems.push(Problem::bare(format!("{path}.{field}"), format!("must say {says}")));
            }
        }
        if waiver.who.chars().count() > LONGEST_NAME {
            problems.push(Problem::bare(format!("{path}.who"), format!("must be at most {LONGEST_NAME} characters")));
        }
        if let Some(event) = &waiver.event {
            known_event(&format!("{path}.event"), event, settings, references, problems);
        }
    }
    granted
}
