//! Pods that get no further, and nodes that take none.

use super::*;

/// A pod that was made so many seconds ago and whose containers are in these states.
fn pod(age: i64, spec: &Value, status: &Value) -> Value {
    let mut pod = json!({ "metadata": { "name": "p", "namespace": "n", "uid": "p", "creationTimestamp": ago(age) },
        "spec": { "nodeName": "n1", "containers": [{ "name": "c" }] }, "status": { "phase": "Pending", "startTime": ago(age) } });
    for (part, more) in [("spec", spec), ("status", status)] {
        pod[part].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    pod
}

/// What a pod waits for, and for how many seconds.
fn waits(pod: Value) -> Option<(String, i64)> {
    let told = pods(&[pod]);
    let oldest = told.iter().find_map(|line| line.strip_prefix("containers_waiting_oldest_timestamp_seconds eu/n/"))?;
    let (class, at) = oldest.split_once(" = ").unwrap();
    Some((class.to_owned(), clock::now() - at.parse::<i64>().unwrap()))
}

#[track_caller]
fn is(found: Option<(String, i64)>, class: &str, seconds: i64) {
    let (own, ago) = found.unwrap();
    assert!(own == class && (ago - seconds).abs() <= 2, "{own} for {ago} seconds");
}

#[test]
fn a_network_that_is_made_anew_again_and_again_pulls_no_image() {
    let creating = |age: i64, there: i64| {
        let conditions = json!([{ "type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": ago(there) }]);
        let status = json!({ "conditions": conditions, "containerStatuses": [{ "name": "c", "state": { "waiting": { "reason": "ContainerCreating" } } }] });
        waits(pod(age, &json!({}), &status))
    };
    is(creating(86_400, 60), "initializing/ContainerCreating", 86_400 - 1800);
    // A large volume took its time, and the image is being pulled now.
    is(creating(1200, 60), "initializing/ContainerCreating", 60);
}

#[test]
fn what_follows_an_init_container_has_its_own_time() {
    let after = |restarts: u32, code: i32| {
        let ended = json!({ "terminated": { "exitCode": code, "finishedAt": ago(60) } });
        let status = json!({ "initContainerStatuses": [{ "name": "i", "restartCount": restarts, "state": ended }],
            "containerStatuses": [{ "name": "c", "state": { "waiting": { "reason": "PodInitializing" } } }] });
        waits(pod(1500, &json!({ "initContainers": [{ "name": "i" }] }), &status))
    };
    is(after(0, 0), "initializing/PodInitializing", 60);
    is(after(0, 1), "initializing/PodInitializing", 1500);
    is(after(9, 0), "initializing/PodInitializing", 1500);
}

#[test]
fn a_container_that_ended_and_should_start_again_is_waited_for() {
    let ended = |policy: &str, code: i32| {
        let conditions = json!([{ "type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": ago(86_000) }]);
        let status = json!({ "phase": "Running", "conditions": conditions,
            "containerStatuses": [{ "name": "c", "restartCount": 3, "state": { "terminated": { "exitCode": code, "finishedAt": ago(86_000) } } }] });
        waits(pod(90_000, &json!({ "restartPolicy": policy }), &status))
    };
    is(ended("Always", 1), "unready/NotReady", 86_000);
    is(ended("Always", 0), "unready/NotReady", 86_000);
    is(ended("OnFailure", 1), "unready/NotReady", 86_000);
    // It is done, or has failed for good.
    assert_eq!(ended("OnFailure", 0), None);
    is(ended("Never", 1), "ended/Error", 86_000);
}

fn node(name: &str, spec: &Value, status: &Value) -> Value {
    let mut node = json!({ "metadata": { "name": name, "uid": name }, "spec": spec,
        "status": { "conditions": [{ "type": "Ready", "status": "True" }], "capacity": {}, "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" } } });
    node["status"].as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
    node
}

#[test]
fn a_cluster_has_a_node_that_takes_pods() {
    let cordoned = || node("cordoned", &json!({ "unschedulable": true }), &json!({}));
    let none = json!({ "capacity": { "pods": "0" }, "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "0" } });
    let empty = || node("empty", &json!({}), &none);
    let leaving = || node("leaving", &json!({ "taints": [{ "key": "karpenter.sh/disrupted", "effect": "NoSchedule" }] }), &json!({}));
    let open = |nodes: &[Value]| told_nodes(nodes).into_iter().find_map(|line| line.strip_prefix("nodes_open eu = ").map(str::to_owned));
    let dedicated = || node("own", &json!({ "taints": [{ "key": "dedicated", "effect": "NoSchedule" }] }), &json!({}));
    assert_eq!(open(&[cordoned(), empty(), leaving(), dedicated()]).as_deref(), Some("1"));
    assert_eq!(open(&[cordoned(), empty()]).as_deref(), Some("0"));
    assert_eq!(open(&[cordoned(), leaving()]).as_deref(), Some("NaN"));
    assert_eq!(open(&[]), None);
    says(&told_nodes(&[empty()]), "node_schedulable eu/empty = 0");
    says(&told_nodes(&[dedicated()]), "node_schedulable eu/own = 1");
}

#[test]
fn a_node_whose_gpus_have_all_gone_has_lost_them() {
    let gpus = |count: Value, label: &str| {
        let mut node = node("g", &json!({}), &json!({ "capacity": count, "allocatable": count }));
        node["metadata"]["labels"] = json!({ "nvidia.com/gpu.count": label });
        told_nodes(&[node]).into_iter().filter(|line| line.contains("gpu")).collect::<Vec<_>>()
    };
    assert_eq!(gpus(json!({ "nvidia.com/gpu": "0" }), "4"), ["node_gpu_capacity eu/g/ = 4", "node_gpu_allocatable eu/g/ = 0"]);
    // Each is divided, or is given out as a claim of a device.
    assert_eq!(gpus(json!({ "nvidia.com/gpu": "0", "nvidia.com/mig-1g.5gb": "7" }), "1"), ["node_gpu_capacity eu/g/ = 7", "node_gpu_allocatable eu/g/ = 7"]);
    assert!(gpus(json!({}), "4").is_empty() && gpus(json!({ "nvidia.com/gpu": "0" }), "0").is_empty());
}
