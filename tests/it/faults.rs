//! Every fault of the lab turns exactly the right checks, names the place, and is mended.

use std::collections::BTreeSet;

use readiness_exporter::checklist::{CheckState, Decision, Kind};
use readiness_lab::{FAULTS, Fault};

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

pub(crate) fn matching(prefixes: &[&str]) -> Vec<&'static Fault> {
    let faults: Vec<_> = FAULTS.iter().filter(|fault| prefixes.iter().any(|prefix| fault.name.starts_with(prefix))).collect();
    assert!(!faults.is_empty());
    faults
}

pub(crate) const NODES: &[&str] = &["node-", "kubelet-"];
const STORAGE: &[&str] = &["storage-", "inodes-", "data-disk", "pod-storage", "summary-"];
pub(crate) const PODS: &[&str] = &[
    "image-",
    "pod-crash",
    "pod-config",
    "pod-stuck",
    "pod-init",
    "pod-waits",
    "pod-half",
    "pod-not-ready",
    "pod-failed",
    "pod-unschedulable",
    "pod-evicted",
    "pod-oom",
    "pod-restarts",
    "eviction-",
    "warning-",
];
pub(crate) const WORKSPACES: &[&str] = &["workspace-", "no-headroom", "quota-", "limit-range", "use-of", "metrics-"];
pub(crate) const KARPENTER: &[&str] = &["nodepool-", "nodeclass-", "nodeclaim-", "crd-"];
pub(crate) const CLUSTERS: &[&str] =
    &["two-default", "endpoints-", "access-", "namespace-", "role-", "prometheus-", "clock-", "rollback-", "rotation-", "backup-"];
pub(crate) const WORKLOADS: &[&str] = &["karpenter", "rollout", "proxy-", "provisioners", "litellm", "load-balancer", "selector"];
const ENDPOINTS: &[&str] = &["london-", "oregon-", "guide"];
const NAMES: &[&str] = &["dns-"];
const CERTIFICATES: &[&str] = &["certificate-"];
const API: &[&str] = &["api-", "forbidden"];
const IMAGES: &[&str] = &["mirror-", "running-"];
const REGISTRIES: &[&str] = &["registry-", "pull-secret-"];
const CREDENTIALS: &[&str] = &["credential-"];
const ECR: &[&str] = &["ecr-"];
const WATCHES: &[&str] = &["watch-"];

#[tokio::test(flavor = "multi_thread")]
async fn nodes() {
    flip(matching(NODES)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage() {
    flip(matching(STORAGE)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods() {
    flip(matching(PODS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workspaces() {
    flip(matching(WORKSPACES)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn karpenter() {
    flip(matching(KARPENTER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters() {
    flip(matching(CLUSTERS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads() {
    flip(matching(WORKLOADS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints() {
    flip(matching(ENDPOINTS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn domain_names() {
    flip(matching(NAMES)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates() {
    flip(matching(CERTIFICATES)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api_servers() {
    flip(matching(API)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images() {
    flip(matching(IMAGES)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registries() {
    flip(matching(REGISTRIES)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials() {
    flip(matching(CREDENTIALS)).await;
}

/// What a watch does must not be noticed, while changes still are.
#[tokio::test(flavor = "multi_thread")]
async fn watches_that_end() {
    for fault in matching(WATCHES) {
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

/// The groups that share an estate, or are flipped in a way of their own.
const GROUPS: [&[&str]; 16] =
    [NODES, STORAGE, PODS, WORKSPACES, KARPENTER, CLUSTERS, WORKLOADS, ENDPOINTS, NAMES, CERTIFICATES, API, IMAGES, REGISTRIES, CREDENTIALS, ECR, WATCHES];

/// The prefixes by which a fault belongs to groups, one for each group.
fn groups_of(fault: &Fault) -> Vec<&'static str> {
    GROUPS.iter().filter_map(|group| group.iter().copied().find(|prefix| fault.name.starts_with(prefix))).collect()
}

/// Whatever else can be broken.
#[tokio::test(flavor = "multi_thread")]
async fn others() {
    flip(FAULTS.iter().filter(|fault| groups_of(fault).is_empty()).collect()).await;
}

#[test]
fn no_fault_is_flipped_twice() {
    for fault in FAULTS {
        let groups = groups_of(fault);
        assert!(groups.len() <= 1, "{} begins as the faults of several groups do: {groups:?}", fault.name);
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
    let red: BTreeSet<&str> = FAULTS.iter().flat_map(|fault| fault.red).copied().chain(ELSEWHERE.iter().map(|(check, _)| *check)).collect();
    let checklist = readiness_exporter::checklist::load("workshop", None).unwrap();
    let judged = checklist.checks().filter(|check| matches!(check.kind, Kind::Fact { .. }));
    let missing: Vec<&str> = judged.map(|check| check.name.as_str()).filter(|name| !red.contains(name)).collect();
    assert_eq!(missing, [""; 0], "no fault of tests/lab/src/faults.rs turns these red, and ELSEWHERE names no test that does");
    for (check, _) in ELSEWHERE {
        assert!(FAULTS.iter().all(|fault| !fault.red.contains(check)), "{check} has a fault");
    }
}
