//! The incident of the paper, seen beforehand: its five causes are told two days before the event, each
//! by the check that is about it, with its place.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use readiness_exporter::checklist::{CheckState, Decision};

use crate::common::{Estate, names, until};

const RECURRING: &str = "    cron: \"0 9 1 * *\"\n    duration: 3h\n    participants: 12\n";

/// The fault, the check that tells it, whether it blocks already, and what its line says.
const CAUSES: [(&str, &str, CheckState, &str); 4] = [
    ("storage-critical", "NodeStorageHigh", CheckState::Fail, "us-east-2"),
    ("mirror-stale", "MirrorOutOfSync", CheckState::Fail, "us-east-2"),
    ("rotation-not-suspended", "RotationHitsEvent", CheckState::Fail, "llm-keys"),
    ("dns-stale", "DnsTargetMismatch", CheckState::Fail, "office"),
];

/// An estate with one event, that many hours ahead.
async fn before(hours: i64, participants: u32) -> Estate {
    let mut estate = Estate::start().await;
    assert!(estate.configuration.contains(RECURRING), "the example has another event");
    let at = Timestamp::now() + SignedDuration::from_hours(hours);
    estate.without_maintenance_at(at);
    let start = at.to_zoned(TimeZone::get("America/Vancouver").unwrap());
    let once = format!("    start: \"{}\"\n    duration: 3h\n    participants: {participants}\n", start.strftime("%Y-%m-%dT%H:%M:%S"));
    estate.configuration = estate.configuration.replace(RECURRING, &once);
    estate
}

#[tokio::test(flavor = "multi_thread")]
async fn more_participants_than_there_is_room_for_block_from_the_day_before_on() {
    let estate = before(20, 25).await;
    let app = estate.exporter();
    let seen = until(&app, "no-go", |judgement| judgement.decision == Decision::NoGo).await;
    // The quota of the workspaces' namespace leaves room for 32, of which 30 per cent are to stay free.
    assert_eq!(names(&seen, &[CheckState::Fail]), ["CapacityHeadroomLow", "ProvisionersBelowDemand", "WorkloadBelowDemand"]);
    // The paper's line about LiteLLM does not block, since its bands are advice.
    assert_eq!(names(&seen, &[CheckState::Warn]), ["LiteLlmBelowDemand"]);
    let demand = seen.checks().find(|check| check.name == "WorkloadBelowDemand").unwrap();
    let lacking: Vec<_> = demand.lines.iter().filter(|line| line.state == CheckState::Fail).filter_map(|line| line.labels.get("selector")).collect();
    assert_eq!(lacking, ["provisioners"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_five_causes_of_the_incident_are_told_two_days_before() {
    let estate = before(47, 20).await;
    let app = estate.exporter();
    // Twenty participants need eight provisioners from the day before on, and six are there.
    let go = until(&app, "go with too few provisioners", |judgement| judgement.decision == Decision::Go).await;
    assert_eq!(names(&go, &[CheckState::Warn]), ["ProvisionersBelowDemand", "WorkloadBelowDemand"]);
    let check = go.checks().find(|check| check.name == "ProvisionersBelowDemand").unwrap();
    let told = &check.lines[0].evidence;
    assert!(told.contains("lacks 2 of the provisioners") && told.contains("6 of 8 ready") && told.contains("It blocks in 2"), "{told}");
    for (fault, ..) in CAUSES {
        estate.lab.estate().set(fault, true);
    }
    let seen = until(&app, "all causes", |judgement| {
        CAUSES.iter().all(|(_, check, state, _)| judgement.checks().any(|own| own.name == *check && own.state == *state))
    })
    .await;
    assert_eq!(seen.decision, Decision::NoGo);
    for (fault, name, _, place) in CAUSES {
        let check = seen.checks().find(|check| check.name == name).unwrap();
        assert!(check.lines.iter().any(|line| line.state == CheckState::Fail && line.evidence.contains(place)), "{fault}: {:?}", check.lines);
    }
}
