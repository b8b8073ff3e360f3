//! Every fault of the lab turns exactly the right checks, names the place, and is mended.

use std::collections::BTreeSet;

use readiness_exporter::checklist::{CheckState, Decision, Kind};
use readiness_lab::{Fault, Group, faults, groups};

use crate::common::{Estate, names, until};

/// Faults that run on one estate, one after the other.
async fn flip(faults: Vec<&'static Fault>) {
    let estate = Estate::start().await;
    flip_on(&estate, faults, &[], async || {}).await;
}

/// The same on an estate on which these checks are off, and of which something else must be told
/// about every change.
pub(crate) async fn flip_on(estate: &Estate, faults: Vec<&'static Fault>, off: &[&str], tell: impl AsyncFn()) {
    let app = estate.exporter();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    for fault in faults {
        let on = |names: &[&'static str]| sorted(&names.iter().copied().filter(|name| !off.contains(name)).collect::<Vec<_>>());
        let (red, unknown) = (on(fault.red), on(fault.unknown));
        estate.lab.estate().set(fault.name, true);
        tell().await;
        let what = format!("{}: red {red:?}, unknown {unknown:?}", fault.name);
        let judgement = until(&app, &what, |judgement| {
            names(judgement, &[CheckState::Fail, CheckState::Warn]) == red && names(judgement, &[CheckState::Unknown]) == unknown
        })
        .await;
        let blocks = |state| judgement.checks().any(|check| check.required && check.state == state);
        let expected = match (blocks(CheckState::Fail), blocks(CheckState::Unknown)) {
            (true, _) => Decision::NoGo,
            (false, true) => Decision::Undecided,
            (false, false) => Decision::Go,
        };
        assert_eq!(judgement.decision, expected, "{}", fault.name);
        for check in judgement.checks().filter(|check| check.state == CheckState::Fail) {
            let line = &check.lines[0];
            assert!(!line.labels.is_empty() && !line.evidence.is_empty() && line.since.is_some(), "{}: {line:?}", fault.name);
        }
        estate.lab.estate().set(fault.name, false);
        tell().await;
        until(&app, &format!("go after {}", fault.name), |judgement| {
            judgement.decision == Decision::Go && names(judgement, &[CheckState::Fail, CheckState::Warn, CheckState::Unknown]).is_empty()
        })
        .await;
    }
    app.shutdown(std::time::Duration::from_secs(1)).await;
}

fn sorted(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
}

pub(crate) fn group(name: &str) -> &'static Group {
    groups().find(|group| group.name == name).unwrap_or_else(|| panic!("there is no group of faults {name}"))
}

/// Tests by the names of the groups that they flip, each on an estate of its own.
macro_rules! flipped {
    ($($group:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $group() {
                flip(group(stringify!($group)).faults.iter().collect()).await;
            }
        )*

        /// The groups that have a test of their own.
        const FLIPPED: &[&str] = &[$(stringify!($group)),*];
    };
}

flipped! {
    nodes storage pods workspaces karpenter clusters workloads api_servers rotations backups secrets images
    endpoints certificates domain_names registries credentials
}

/// The groups that no check of the example notices, with the test that flips them.
const UNNOTICED: [(&str, &str); 2] = [("watches", "watches_that_end"), ("ecr", "real_ecr: an account of its own")];

/// Whatever else can be broken: a group that is new needs no test of its own.
#[tokio::test(flavor = "multi_thread")]
async fn others() {
    let tested = |name| FLIPPED.contains(&name) || UNNOTICED.iter().any(|(own, _)| *own == name);
    flip(groups().filter(|group| !tested(group.name)).flat_map(|group| group.faults).collect()).await;
}

/// What a watch does must not be noticed, while changes still are.
#[tokio::test(flavor = "multi_thread")]
async fn watches_that_end() {
    for fault in group("watches").faults {
        let estate = Estate::start().await;
        let app = estate.exporter();
        until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
        estate.lab.estate().set(fault.name, true);
        estate.lab.estate().set("node-not-ready", true);
        until(&app, "NodeNotReady is red", |judgement| names(judgement, &[CheckState::Fail]) == ["NodeNotReady"]).await;
        estate.lab.estate().set("node-not-ready", false);
        until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    }
}

/// Lists longer than a page are seen whole, and so is what changes afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_many_pages() {
    let mut estate = Estate::start().await;
    // Only a few nodes of the lab have a kubelet of their own.
    estate.configuration = estate.configuration.replace("storage: { interval", "storage: { via: off, interval");
    estate.lab.estate().grow(1_234);
    let app = estate.exporter();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    let matched = |count: &str| format!("readiness_selector_matched_objects{{cluster=\"us-west-2\",selector=\"nodes\",kind=\"Node\"}} {count}\n");
    assert!(app.exposition().text().contains(&matched("1234")));
    estate.lab.estate().grow(1_100);
    let limit = tokio::time::Instant::now() + crate::common::PATIENCE;
    while !app.exposition().text().contains(&matched("1100")) {
        assert!(tokio::time::Instant::now() < limit, "134 nodes are gone");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[test]
fn no_name_stands_for_two() {
    let twice = |names: Vec<&'static str>| names.iter().copied().filter(|name| names.iter().filter(|own| own == &name).count() > 1).collect::<Vec<_>>();
    assert_eq!(twice(faults().map(|fault| fault.name).collect()), [""; 0], "faults");
    assert_eq!(twice(groups().map(|group| group.name).collect()), [""; 0], "groups");
}

#[test]
fn no_noticed_fault_is_left_out() {
    for fault in UNNOTICED.iter().flat_map(|(name, _)| group(name).faults) {
        assert!(fault.red.is_empty() && fault.unknown.is_empty(), "{} is flipped by no test that looks for what it turns", fault.name);
    }
}

#[test]
fn the_table_of_faults_is_current() {
    let shipped = std::fs::read_to_string(crate::common::repository("docs/reliability.md")).unwrap();
    assert!(shipped == readiness_lab::table(), "docs/reliability.md is not what the faults say; run `make generate`");
}

/// Checks that no fault of the lab turns red, with the test that does.
const ELSEWHERE: &[(&str, &str)] = &[
    ("ProvisionersBelowDemand", "incident: twenty participants are more than the provisioners there are"),
    ("LiteLlmBelowDemand", "incident: so are they for the replicas of LiteLLM"),
    ("WorkloadBelowDemand", "incident: so are they for whatever workload has bands"),
    ("StateFileUnusable", "secrets: a state file that cannot be written"),
    ("SecretsManagerSecretMissing", "real_secrets: a secret that moto does not have"),
    ("SecretsManagerRotationStuck", "real_secrets: a version of moto that stays pending"),
    ("PullSecretNotRenewed", "registry::renewed: a token whose renewal stopped"),
    ("ImageScanCritical", "images: a scan in ECR found something"),
];

#[test]
fn every_check_is_turned_red_by_a_test() {
    let red: BTreeSet<&str> = faults().flat_map(|fault| fault.red).copied().chain(ELSEWHERE.iter().map(|(check, _)| *check)).collect();
    let checklist = readiness_exporter::checklist::load("workshop", None).unwrap();
    let judged = checklist.checks().filter(|check| matches!(check.kind, Kind::Fact { .. }));
    let missing: Vec<&str> = judged.map(|check| check.name.as_str()).filter(|name| !red.contains(name)).collect();
    assert_eq!(missing, [""; 0], "no fault of tests/lab turns these red, and ELSEWHERE names no test that does");
    for (check, _) in ELSEWHERE {
        assert!(faults().all(|fault| !fault.red.contains(check)), "{check} has a fault");
    }
}
