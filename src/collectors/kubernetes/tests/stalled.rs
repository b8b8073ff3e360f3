//! Pods that get no further.

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
