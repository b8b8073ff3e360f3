//! Parsing what API servers send, what is kept of it, and what a watch that fails leaves seen.

mod copies;
mod entries;
mod hostile;
mod lists;
mod of_kinds;
mod outdated;
mod packed;
mod placements;
mod pools;
mod rooms;
mod shapes;
mod sizes;
mod stalled;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use self::of_kinds::filled;
use super::client::api;
use super::kinds::{locations, namespaces, pod};
use super::reading::clock;
use super::*;
use crate::collectors::kubernetes::kinds::cronjobs::CronJob;
use crate::collectors::kubernetes::kinds::nodes::{Interests, Nodes};
use crate::collectors::kubernetes::kinds::pods::Pods;
use crate::collectors::kubernetes::kinds::workloads::{self, Beside, DaemonSet, Deployment, StatefulSet};
use crate::collectors::kubernetes::kinds::workspaces::Workspaces;
use crate::collectors::kubernetes::reading::clock::Clock;
use crate::collectors::kubernetes::reading::objects::{Index, Kind, Place, Rows};
use crate::collectors::kubernetes::watching::watched::{Query, Scope, Watched};
use crate::metric::Sample;
use crate::snapshot::{CollectError, ErrorClass};

pub(in crate::collectors::kubernetes) fn place(kind: &str) -> Place {
    Place { cluster: "eu".into(), selector: "s".into(), kind: kind.into(), clock: Clock::default() }
}

/// Workshops to which so many come, one after the other.
pub(in crate::collectors::kubernetes) fn demands<const N: usize>(participants: [u32; N]) -> [crate::event::Demand; N] {
    let names = ["w", "later"];
    let mut names = names.into_iter();
    participants.map(|participants| {
        let name = names.next().unwrap();
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let occurrence = crate::event::Occurrence {
            name: name.into(),
            of: name.into(),
            checklists: vec!["c".into()],
            start: at(0),
            end: at(3600),
            zone: jiff::tz::TimeZone::UTC,
            participants: Some(participants),
            lead_times: Vec::new(),
            turn: None,
        };
        (occurrence, Some(participants))
    })
}

pub(in crate::collectors::kubernetes) fn read<T: serde::de::DeserializeOwned>(json: &Value) -> T {
    serde_json::from_str(&json.to_string()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

pub(in crate::collectors::kubernetes) fn facts(kept: &impl Index) -> Vec<Sample> {
    let mut samples = Vec::new();
    kept.facts(&place("K"), &mut samples);
    samples
}

/// Facts of objects, as text without the names of the labels.
pub(in crate::collectors::kubernetes) fn told<T: Index>(mut kept: T, objects: &[Value]) -> Vec<String> {
    kept.begin();
    for object in objects {
        kept.put(read(object), true);
    }
    kept.complete();
    facts(&kept).iter().map(words).collect()
}

/// What is told of the room for workspaces in a scene.
pub(in crate::collectors::kubernetes) fn headroom_of(config: &str, scene: &capacity::Scene<'_>) -> Vec<Sample> {
    let mut samples = Vec::new();
    capacity::headroom(&"eu".into(), &serde_saphyr::from_str(config).unwrap(), scene, &mut samples);
    samples
}

pub(in crate::collectors::kubernetes) fn words(sample: &Sample) -> String {
    let labels: Vec<&str> = sample.label_pairs().map(|(_, value)| value).collect();
    let value = sample.state().map_or_else(|| sample.value.to_string(), str::to_owned);
    format!("{} {} = {value}", sample.family.name.trim_start_matches("readiness_"), labels.join("/"))
}

pub(in crate::collectors::kubernetes) fn rows<K: Kind>(objects: &[Value]) -> Vec<String> {
    told(Rows::<K>::only(&[]), objects)
}

/// Facts of workloads with replicas, with what is known beside them.
pub(in crate::collectors::kubernetes) fn replicas_beside<K: Kind<Row = workloads::Replicas>>(objects: &[Value], beside: &Beside) -> Vec<String> {
    let mut samples = Vec::new();
    workloads::facts(&filled::<K>(objects), beside, &place("K"), &mut samples);
    samples.iter().map(words).collect()
}

pub(in crate::collectors::kubernetes) fn replicas<K: Kind<Row = workloads::Replicas>>(objects: &[Value]) -> Vec<String> {
    replicas_beside::<K>(objects, &Beside::default())
}

pub(in crate::collectors::kubernetes) fn pods(objects: &[Value]) -> Vec<String> {
    told(Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default()), objects)
}

#[track_caller]
pub(in crate::collectors::kubernetes) fn says(told: &[String], line: &str) {
    assert!(told.iter().any(|own| own == line), "{line} is not in\n{}", told.join("\n"));
}

#[test]
fn fields_that_are_missing_or_null_are_what_the_api_means_by_that() {
    let looked_at = [json!({ "observedGeneration": 1 }), json!({ "observedGeneration": 1, "readyReplicas": null })].map(|status| (status, "0"));
    for (status, ready) in looked_at.into_iter().chain([(json!({}), "NaN"), (json!(null), "NaN")]) {
        let told = replicas::<Deployment>(&[json!({ "metadata": { "name": "a", "generation": 1 }, "spec": { "replicas": 3 }, "status": status })]);
        says(&told, &format!("workload_ready_replicas eu/s/K//a = {ready}"));
        says(&told, "workload_rollout_complete eu/s/K//a = 0");
    }
    let told = rows::<services::Service>(&[json!({ "metadata": { "name": "a" }, "status": { "loadBalancer": { "ingress": null } } })]);
    says(&told, "service_load_balancer_ready eu//a = 0");
    let told = told_nodes(&[
        json!({ "metadata": { "name": "a", "labels": null }, "spec": null, "status": { "conditions": null, "allocatable": null, "images": null } }),
    ]);
    says(&told, "node_schedulable eu/a = 1");
    for condition in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        says(&told, &format!("node_condition_state eu/a/{condition} = unknown"));
    }
    assert!(!told.iter().any(|line| line.contains("bytes")), "absent is not zero: {told:?}");
    let told = rows::<CronJob>(&[json!({ "metadata": { "name": "a" }, "spec": {} })]);
    says(&told, "cronjob_suspended eu/s/K//a = 0");
    assert!(!told.iter().any(|line| line.contains("timestamp")));
    // Jobs that are made suspended run only where a queue starts them.
    for (labels, suspended) in [(json!(null), 1), (json!({ "kueue.x-k8s.io/queue-name": "team" }), 0)] {
        let template = json!({ "metadata": { "labels": labels }, "spec": { "suspend": true } });
        let told = rows::<CronJob>(&[json!({ "metadata": { "name": "a" }, "spec": { "suspend": false, "jobTemplate": template } })]);
        says(&told, &format!("cronjob_suspended eu/s/K//a = {suspended}"));
    }
    for status in [json!(null), json!({}), json!({ "containerStatuses": null, "conditions": null, "phase": null })] {
        says(
            &pods(&[json!({ "metadata": { "name": "p", "namespace": "n" }, "spec": { "containers": null, "volumes": null }, "status": status })]),
            "pods eu/unknown = 1",
        );
    }
}

fn told_nodes(nodes: &[Value]) -> Vec<String> {
    told(Nodes::new(Interests { images: vec!["r/a:1".to_owned()], ..Interests::default() }), nodes)
}

#[test]
fn a_rollout_is_complete_only_when_its_generation_was_observed() {
    let status = json!({ "observedGeneration": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2 });
    let deployment = |generation: i64| json!({ "metadata": { "name": "a", "generation": generation, "managedFields": [{ "fieldsV1": { "f:spec": {} } }] }, "spec": { "replicas": 2 }, "status": status });
    says(&replicas::<Deployment>(&[deployment(2)]), "workload_rollout_complete eu/s/K//a = 1");
    says(&replicas::<Deployment>(&[deployment(3)]), "workload_rollout_complete eu/s/K//a = 0");
    says(&replicas::<StatefulSet>(&[deployment(2)]), "workload_rollout_complete eu/s/K//a = 1");
    let daemon = json!({ "metadata": { "name": "a", "generation": 1 }, "status": { "observedGeneration": 1, "desiredNumberScheduled": 5, "numberReady": 5, "updatedNumberScheduled": 5, "numberAvailable": 5 } });
    says(&replicas::<DaemonSet>(&[daemon]), "workload_rollout_complete eu/s/K//a = 1");
}

#[test]
fn the_revision_to_go_back_to_is_the_highest_below_the_present_one() {
    let annotated = |name: &str, uid: &str, owner: &str, revision: &str| {
        json!({ "metadata": { "name": name, "uid": uid, "annotations": { "deployment.kubernetes.io/revision": revision },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": owner, "controller": true }] } })
    };
    let mut deployments = Rows::<Deployment>::only(&[]);
    deployments.put(read(&annotated("d", "d1", "", "7")), true);
    let mut sets = Rows::<workloads::revisions::ReplicaSet>::only(&[]);
    let told = |sets: &Rows<workloads::revisions::ReplicaSet>| {
        let mut samples = Vec::new();
        workloads::revisions::facts(&deployments, sets, &place("Deployment"), &mut samples);
        samples.iter().map(words).collect::<Vec<_>>()
    };
    says(&told(&sets), "deployment_previous_revision eu/s/Deployment//d = 0");
    for (name, owner, revision) in [("d-1", "d1", "3"), ("d-2", "d1", "5"), ("d-3", "d1", "7"), ("x-1", "other", "6")] {
        sets.put(read(&annotated(name, name, owner, revision)), true);
    }
    says(&told(&sets), "deployment_previous_revision eu/s/Deployment//d = 5");
    says(&told(&sets), "deployment_revision eu/s/Deployment//d = 7");
}

pub(in crate::collectors::kubernetes) fn ago(seconds: i64) -> String {
    jiff::Timestamp::from_second(clock::now() - seconds).unwrap().to_string()
}

#[test]
fn what_containers_wait_for_is_told_by_namespace_and_reason() {
    let waiting = |name: &str, reason: &str, statuses: &str| {
        json!({ "metadata": { "name": name, "namespace": "ws", "uid": name, "creationTimestamp": ago(900) },
            "spec": { "nodeName": "n1", "containers": [{ "name": "c" }] },
            "status": { "phase": "Pending", "startTime": ago(600), statuses: [{ "name": "c", "state": { "waiting": { "reason": reason } } }] } })
    };
    let told = pods(&[
        waiting("a", "ImagePullBackOff", "containerStatuses"),
        waiting("b", "ImagePullBackOff", "initContainerStatuses"),
        waiting("c", "ContainerCreating", "containerStatuses"),
        waiting("d", "SomethingNew", "containerStatuses"),
    ]);
    says(&told, "containers_waiting eu/ws/image_pull/ImagePullBackOff = 2");
    says(&told, "containers_waiting eu/ws/creating/ContainerCreating = 1");
    says(&told, "containers_waiting eu/ws/other/Other = 1");
    says(&told, &format!("containers_waiting_oldest_timestamp_seconds eu/ws/creating/ContainerCreating = {}", clock::now() - 600));
}

#[test]
fn an_unscheduled_pod_is_told_by_what_the_scheduler_lacks() {
    let pending = |name: &str, message: &str| {
        json!({ "metadata": { "name": name, "namespace": "ws", "uid": name, "creationTimestamp": ago(30) }, "spec": { "containers": [] },
            "status": { "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message, "lastTransitionTime": ago(20) }] } })
    };
    let told = pods(&[
        pending("a", "0/5 nodes are available: 2 Insufficient cpu, 3 node(s) had untolerated taint {dedicated: x}."),
        pending("b", "0/5 nodes are available: 5 node(s) had untolerated taint {dedicated: x}."),
        pending("c", "0/5 nodes are available: 5 node(s) didn't match Pod's node affinity/selector."),
        pending("d", ""),
    ]);
    for (class, line) in [("insufficient_cpu", 1), ("taint", 1), ("affinity", 1), ("other", 1)] {
        says(&told, &format!("pods_unscheduled eu/ws/{class} = {line}"));
    }
}

#[test]
fn evictions_kills_and_restarts_are_counted_after_their_pod_is_gone() {
    let message =
        "The node was low on resource: ephemeral-storage. Threshold quantity: 2139512454, available: 1800Ki. Container dev was using 9Gi, request is 0.";
    let evicted = json!({ "metadata": { "name": "a", "namespace": "ws", "uid": "u1" }, "spec": { "containers": [] },
        "status": { "phase": "Failed", "reason": "Evicted", "message": message, "startTime": ago(60) } });
    let restarted = |count: u32| {
        json!({ "metadata": { "name": "b", "namespace": "ws", "uid": "u2" }, "spec": { "containers": [{ "name": "c" }] },
            "status": { "phase": "Running", "containerStatuses": [{ "name": "c", "restartCount": count, "state": { "running": {} },
                "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled", "finishedAt": ago(10) } } }] } })
    };
    let mut kept = Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default());
    kept.begin();
    kept.put(read(&evicted), true);
    kept.put(read(&restarted(2)), true);
    kept.complete();
    kept.put(read(&restarted(5)), false);
    kept.remove(&read(&evicted));
    kept.remove(&read(&restarted(5)));
    let told: Vec<String> = facts(&kept).iter().map(words).collect();
    says(&told, "containers_oom_killed eu/ws = 1");
    says(&told, "container_restarts_total eu/ws = 5");
    says(&told, "container_restarts_recent eu/ws = 4");
    assert_eq!(kept.evictions.recent().map(|(_, _, (namespace, resource))| (&**namespace, *resource)).collect::<Vec<_>>(), [("ws", "ephemeral_storage")]);
    assert_eq!(kept.len(), 0);
}

#[test]
fn what_a_pod_asks_for_is_summed_by_node_and_taken_back() {
    let pod = |name: &str, node: &str, phase: &str| {
        json!({ "metadata": { "name": name, "namespace": "ws", "uid": name },
            "spec": { "nodeName": node,
                "containers": [{ "name": "a", "resources": { "requests": { "cpu": "500m", "memory": "1Gi" }, "limits": { "cpu": "2", "ephemeral-storage": "5Gi" } } }, { "name": "b", "resources": { "requests": { "cpu": "nonsense" } } }],
                "initContainers": [{ "name": "big", "resources": { "requests": { "cpu": 2, "memory": "100Mi" } } }, { "name": "sidecar", "restartPolicy": "Always", "resources": { "requests": { "memory": "24Mi" } } }],
                "volumes": [{ "name": "v", "emptyDir": {} }, { "name": "ram", "emptyDir": { "medium": "Memory" } }] },
            "status": { "phase": phase } })
    };
    let mut kept = Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default());
    kept.begin();
    kept.put(read(&pod("a", "n1", "Running")), true);
    kept.put(read(&pod("b", "n1", "Running")), true);
    kept.complete();
    let load = kept.load("n1").requests.0;
    assert_eq!(format!("{load:?}"), format!("{:?}", [4.0, 2.0 * (1024.0 + 24.0) * 1024.0 * 1024.0, 0.0, 2.0]), "the largest step counts, and a sidecar stays");
    assert_eq!(format!("{:?}", kept.load("n1").limits.0[0]), "4.0");
    let told: Vec<String> = facts(&kept).iter().map(words).collect();
    assert!(!told.iter().any(|line| line.contains("without_storage_limit eu/ws/limit")), "one limit bounds all containers: {told:?}");
    says(&told, "pods_without_storage_limit eu/ws/size_limit = 2");
    kept.put(read(&pod("a", "n1", "Succeeded")), false);
    assert_eq!(format!("{:?}", kept.load("n1").requests.0[3]), "1.0");
    kept.remove(&read(&pod("b", "n1", "Running")));
    assert_eq!(format!("{:?}", kept.load("n1").requests.0), "[0.0, 0.0, 0.0, 0.0]");
    // A list that no longer names a pod sweeps it out.
    kept.begin();
    kept.complete();
    assert_eq!(kept.len(), 0);
}

#[test]
fn a_claim_expires_by_its_age_and_never_when_it_never_does() {
    let claim = |name: &str, after: &str| {
        json!({ "metadata": { "name": name, "creationTimestamp": "2026-01-01T08:00:00Z", "labels": { "karpenter.sh/nodepool": "ws" } }, "spec": { "expireAfter": after },
            "status": { "nodeName": name, "conditions": [{ "type": "Initialized", "status": "True", "lastTransitionTime": "2026-01-01T08:01:30Z" }, { "type": "Drifted", "status": "True", "reason": "AMIDrift" }] } })
    };
    let told = rows::<karpenter::NodeClaim>(&[claim("a", "8h"), claim("b", "Never")]);
    says(&told, "nodeclaim_expiry_timestamp_seconds eu/ws/a = 1767283200");
    assert_eq!(told.iter().filter(|line| line.contains("expiry")).count(), 1);
    says(&told, "nodeclaims eu/ws/ready = 2");
    says(&told, "nodeclaims eu/ws/drifted = 2");
    says(&told, "nodeclaim_launch_duration_seconds eu/ws/max = 90");
}

#[test]
fn a_claim_is_as_far_from_each_event_as_its_expiry_is() {
    let claim = |name: &str, after: &str| json!({ "metadata": { "name": name, "creationTimestamp": "2026-01-01T08:00:00Z", "labels": { "karpenter.sh/nodepool": "ws" } }, "spec": { "expireAfter": after } });
    let mut kept = Rows::<karpenter::NodeClaim>::only(&[]);
    kept.begin();
    // At 16:00, at 19:30 and never.
    for object in [claim("before", "8h"), claim("within", "11h30m"), claim("never", "Never")] {
        kept.put(read(&object), true);
    }
    kept.complete();
    let event = |name: &str, start: &str, end: &str| crate::event::Occurrence {
        name: name.into(),
        of: name.into(),
        checklists: vec!["c".into()],
        start: start.parse().unwrap(),
        zone: jiff::tz::TimeZone::UTC,
        end: end.parse().unwrap(),
        participants: None,
        lead_times: Vec::new(),
        turn: None,
    };
    let events = [event("today", "2026-01-01T17:00:00Z", "2026-01-01T20:00:00Z"), event("earlier", "2026-01-01T09:00:00Z", "2026-01-01T15:00:00Z")];
    let mut samples = Vec::new();
    let now = events[0].start.as_second() - 9 * 3600;
    lifetimes::distances(&Rows::only(&[]), &kept, &events, now, &place("NodeClaim"), &mut samples);
    let mut told: Vec<String> = samples.iter().map(words).collect();
    told.sort();
    let distance = |rest: &str| format!("nodeclaim_expiry_event_distance_seconds eu/ws/{rest}");
    assert_eq!(told, [distance("before/earlier = 3600"), distance("before/today = 3600"), distance("within/earlier = 16200"), distance("within/today = 0")]);
}

#[test]
fn labels_of_any_legal_text_survive() {
    let name = "a".repeat(253);
    let told = rows::<quotas::ResourceQuota>(&[json!({ "metadata": { "name": name, "namespace": "ü\"\\\n" },
        "status": { "hard": { "requests.cpu": "10", "pods": "0", "strange": "-5" }, "used": { "requests.cpu": "9" } } })]);
    says(&told, &format!("resourcequota_used_ratio eu/ü\"\\\n/{name}/requests.cpu = 0.9"));
    says(&told, &format!("resourcequota_used_ratio eu/ü\"\\\n/{name}/pods = NaN"));
    assert!(!told.iter().any(|line| line.contains("strange")), "{told:?}");
}

#[test]
fn a_cluster_promises_only_what_is_watched_in_it_and_says_what_is_off() {
    let text = "{ nodes: false, workloads: [{ name: w, kind: CronJob, namespace: n, names: [a], clusters: [eu] }] }";
    let config: Config = serde_saphyr::from_str(text).unwrap();
    let promised = |name: &str| {
        let settings: ClusterConfig = serde_saphyr::from_str(&format!("{{ name: {name}, in_cluster: true }}")).unwrap();
        cluster::Cluster::new(&settings, &config.of(name), &[]).emitted()
    };
    assert!(promised("eu").contains(&"readiness_cronjob_suspended") && !promised("eu").contains(&"readiness_node_schedulable"));
    assert!(!promised("us").contains(&"readiness_cronjob_suspended"));
    let off = |config: &Config| left_out(&parts::parts(config));
    assert!(off(&config).contains(&("readiness_node_schedulable", "nodes")) && off(&config).contains(&("readiness_nodepool_limit", "karpenter")));
}

#[test]
fn every_wrong_part_is_named_in_one_run() {
    let text = r#"
clusters:
  - { name: eu, eks: { name: x, region: eu-west-2, role_arn: reader }, proxy: "http://user:hunter2@proxy" }
  - { name: us, server: "https://us.example.com", version: new }
collectors:
  kubernetes:
    window: 1s
    storage: { concurrency: 0, top_pods: 1000, without_statistics: [jupyter, "jupyter/claim-*", a/b/c] }
    workloads: [{ name: a, kind: Deployment, namespace: n, names: [a], replicas: [{ above: 9, replicas: 2 }, { above: 3, replicas: 1 }] }]
    services: [{ namespace: n, name: a }, { namespace: n, name: a, clusters: [eu] }]
    workspaces: [{ name: w, namespaces: [], cpu: { min: "4", max: "2" } }]
    capacity: { workspaces: wrong, cpu: ten, memory: "0", share: 0, nodepools: [{ name: p, memory: lots }, { name: p }] }
    images: [r.io/a:1, r.io/a:1]
    access: [{ verb: get, resource: pods, clusters: [eu] }, { verb: get, resource: pods, clusters: [us] }, { verb: get, resource: pods }]
    objects: [{ resource: secrets, namespace: n, name: o }, { resource: secrets, namespace: n, name: o, annotation: a }, { resource: secrets, namespace: n, name: o, clusters: [us] }]
    backups: { volume_snapshots: [n, n] }
    karpenter: { node_classes: ec2, clusters: [eo] }
    gpu_operator: { clusters: [gpu] }
    node_groups: [{ name: g, at_least: 1 }, { name: g, at_least: 2 }]
    clients: [{ name: kubectl, version: latest }]
"#;
    let error = crate::config::load_str(text, "wrong", std::path::Path::new("."), None).err().unwrap().to_string();
    for part in [
        "clusters[0] (eu).eks.role_arn: must be the ARN of a role",
        "clusters[0] (eu).proxy: must not hold credentials",
        "clusters[1] (us).token: must be set with server",
        "kubernetes.window: must be between 10s and 7d",
        "storage.concurrency: must be between 1 and 200",
        "storage.top_pods: must be at most 200",
        "storage.without_statistics[1]: must be NAMESPACE or NAMESPACE/CLAIM",
        "storage.without_statistics[2]: must be NAMESPACE or NAMESPACE/CLAIM",
        "workloads[0] (a).replicas: must list bands by rising above",
        "services[1] (a): must not name the Service",
        "workspaces[0] (w).namespaces: must name at least one namespace",
        "workspaces[0] (w).cpu: must have min and max",
        "capacity.cpu: must be a quantity",
        "capacity.memory: must be a quantity",
        "capacity.nodepools[0] (p).memory: must be a quantity",
        "capacity.nodepools[1] (p): must have a name that",
        "kubernetes.images[1]: must not be the same as",
        "kubernetes.access[2]: must not ask the same as collectors.kubernetes.access[0] in the same cluster again",
        "kubernetes.objects[2] (o): must not ask the same as collectors.kubernetes.objects[0] in the same cluster again",
        "backups.volume_snapshots[1]: must not be the same as",
        "capacity.workspaces: must name a selector of workspaces",
        "capacity.share: must be above 0",
        "karpenter.clusters[0]: must name a configured cluster",
        "gpu_operator.clusters[0]: must name a configured cluster",
        "node_groups[1]",
        "clusters[1] (us).version: must be a version",
        "clients[0] (kubectl).version: must be a version",
    ] {
        assert!(error.contains(part), "{part} is not in\n{error}");
    }
    assert!(!error.contains("hunter2") && !error.contains("access[1]") && !error.contains("objects[1]"), "{error}");
}

/// What can never be red is good whatever is there.
#[test]
fn what_nothing_could_miss_is_refused() {
    let problems = |part: &str| {
        let text = format!("clusters: [{{ name: eu, in_cluster: true }}]\ncollectors: {{ kubernetes: {{ {part} }} }}\n");
        crate::config::load_str(&text, "wrong", std::path::Path::new("."), None).err().map_or_else(String::new, |error| error.to_string())
    };
    let workload = |kind: &str, bands: &str| format!("workloads: [{{ name: w, kind: {kind}, namespace: n, names: [a], replicas: {bands} }}]");
    let room = |memory: &str| format!("workspaces: [{{ name: w, namespaces: [n] }}], capacity: {{ workspaces: w, cpu: '1', memory: '{memory}' }}");
    for (part, words) in [
        ("node_groups: [{ name: g, at_least: 0 }]".to_owned(), "node_groups[0] (g).at_least: must be above 0, because no group has fewer nodes"),
        (workload("Deployment", "[{ above: 0, replicas: 0 }]"), "workloads[0] (w).replicas[0].replicas: must be above 0, because no workload has fewer"),
        (workload("CronJob", "[{ above: 0, replicas: 1 }]"), "workloads[0] (w).replicas: must be left out for a CronJob, which has no replicas"),
        ("backups: {}".to_owned(), "kubernetes.backups: must name velero or volume_snapshots, because nothing is looked at without"),
        ("objects: [{ resource: secrets, namespace: n, name: o, annotation: '' }]".to_owned(), "objects[0] (o).annotation: must not be empty"),
        (room("4"), "capacity.memory: must be at least 1Mi, because it counts bytes"),
    ] {
        let told = problems(&part);
        assert!(told.contains(words), "{part}: {told}");
    }
    for good in [room("4Gi"), workload("Deployment", "[{ above: 0, replicas: 1 }]"), "backups: { volume_snapshots: [n] }".to_owned()] {
        assert_eq!(problems(&good), "", "{good}");
    }
}
