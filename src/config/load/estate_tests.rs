//! What the checklist of any estate comes to with a configuration, before anybody has looked: what nobody configured is not
//! asked, and what somebody did is unknown until it is seen.

use super::*;
use crate::checklist::{CheckState, CheckVerdict, Context, Decision, Judgement, NOT_JUDGED, Unasked, judge, unjudged};
use crate::event;
use crate::snapshot::Store;

const NOW: &str = "2026-11-21T12:00:00Z";

fn judged(checklist: &str, text: &str) -> Judgement {
    let text = format!("checklists: [{{ name: {checklist} }}]\n{text}");
    let loaded = load_str(&text, "readiness.yaml", Path::new("/nowhere"), Some(BTreeMap::new())).unwrap_or_else(|error| panic!("{error}"));
    let tasks = loaded.tasks(&Arc::new(State::open(None))).unwrap();
    let unjudged = unjudged(&loaded.checklists, tasks.iter().map(|task| &task.source));
    let store = Store::default();
    for task in tasks {
        store.add(task.source);
    }
    let now = NOW.parse().unwrap();
    let coming = event::coming(&loaded.schedules, now);
    judge(&loaded.checklists[0], &Context { event: coming.first(), unjudged: &unjudged, ..Context::new(&store.snapshot(), now) })
}

fn of<'a>(judgement: &'a Judgement, name: &str) -> &'a CheckVerdict {
    judgement.checks().find(|check| check.name == name).unwrap_or_else(|| panic!("{name}"))
}

/// Names of the lines that are asked.
fn asked(judgement: &Judgement) -> Vec<&str> {
    judgement.checks().filter(|check| check.unasked.is_none()).map(|check| check.name.as_str()).collect()
}

const TARGET: &str = "collectors: { http: { targets: [{ name: app, url: 'https://app.example/' }] } }\n";
const CLUSTER: &str = "clusters: [{ name: eu, in_cluster: true }]\n";
const EVENT: &str = "events: [{ name: fair, time_zone: UTC, start: '2026-11-25T09:00', duration: 2h }]\n";

#[test]
fn nothing_is_asked_where_nothing_is_configured_and_that_is_no_go() {
    let judgement = judged("estate", "");
    assert_eq!((asked(&judgement), judgement.decision), (vec![], Decision::Undecided));
    assert!(judgement.checks().all(|check| check.unasked == Some(Unasked::NotConfigured)));
}

#[test]
fn what_is_configured_is_unknown_until_it_is_seen_and_nothing_else_is_asked() {
    let judgement = judged("estate", TARGET);
    assert_eq!((asked(&judgement), judgement.decision), (vec!["EndpointUnhealthy", "EndpointAnswerStale"], Decision::Undecided));
    assert_eq!(of(&judgement, "EndpointUnhealthy").lines[0].evidence.as_ref(), "http app has not been looked at yet.");
    assert!(of(&judged("workshop", TARGET), "WildcardRouteBroken").unasked.is_none(), "a workshop has a wildcard");
}

#[test]
fn a_cluster_is_asked_for_what_every_cluster_has() {
    let judgement = judged("estate", &format!("{CLUSTER}collectors: {{ kubernetes: {{}} }}\n"));
    assert_eq!(of(&judgement, "NodeNotReady").state, CheckState::Unknown);
    for (name, note) in [
        ("WorkloadNotReady", "collectors.kubernetes is configured, but nothing in it shows readiness_workload_ready_replicas"),
        ("NodePoolNotReady", "collectors.kubernetes.karpenter is not configured"),
        ("ImageNotCached", "collectors.kubernetes.images is not configured"),
        ("CapacityHeadroomLow", "collectors.kubernetes.capacity is not configured"),
    ] {
        let check = of(&judgement, name);
        assert_eq!((check.unasked, check.note.as_deref()), (Some(Unasked::NotConfigured), Some(note)), "{name}");
    }
}

/// Of whom nobody has said that they come, nobody asks whether there is room; of whom somebody has, how many they are.
#[test]
fn room_is_asked_for_those_who_come() {
    let capacity =
        "collectors: { kubernetes: { workspaces: [{ name: people, namespaces: [coder] }], capacity: { workspaces: people, cpu: '1', memory: 1Gi } } }\n";
    let room = |checklist: &str, event: &str| {
        let judgement = judged(checklist, &format!("{CLUSTER}{event}{capacity}"));
        let check = of(&judgement, "CapacityHeadroomLow");
        (check.state, check.lines.first().map_or_else(|| check.note.clone().unwrap(), |line| line.evidence.to_string()))
    };
    let nobody = "no event of this checklist is coming, so nobody knows for how many participants there must be room";
    assert_eq!(room("estate", ""), (CheckState::NotApplicable, nobody.to_owned()));
    assert_eq!(room("workshop", "").0, CheckState::Unknown);
    assert_eq!(room("estate", EVENT), (CheckState::Unknown, "the number of participants is not known; set it in events[].participants.".to_owned()));
    assert_eq!(room("estate", &EVENT.replace("2h", "2h, participants: 20")), (CheckState::Unknown, "kubernetes eu has not been looked at yet.".to_owned()));
}

/// A kind that no line asks about, most often a slip, is told and keeps the word back.
#[test]
fn what_is_configured_and_not_asked_about_blocks() {
    let judgement = judged("estate", &TARGET.replace("name: app", "name: app, kind: helthz"));
    assert_eq!((asked(&judgement), judgement.decision), (vec![NOT_JUDGED], Decision::Undecided));
}

/// An event that names no checklist is of the one that is configured; where there are several, of the workshop's.
#[test]
fn an_event_without_a_checklist_is_of_the_one_that_is_configured() {
    let of = |checklists: &str| {
        let text = format!("{checklists}{EVENT}");
        load_str(&text, "readiness.yaml", Path::new("/nowhere"), Some(BTreeMap::new()))
            .map(|loaded| loaded.schedules[0].checklists().join(" "))
            .map_err(|error| error.to_string())
    };
    assert_eq!(of("").unwrap(), "workshop");
    assert_eq!(of("checklists: [{ name: estate }]\n").unwrap(), "estate");
    assert_eq!(of("checklists: [{ name: estate }, { name: workshop }]\n").unwrap(), "workshop");
}
