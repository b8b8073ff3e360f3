//! What is said of a time that is over or has not come, of something else, or under a name that is none.

use serde_json::{Value, json};

use super::*;
use crate::collectors::kubernetes::kinds::nodes::{Interests, Nodes};
use crate::collectors::kubernetes::kinds::podrow::short;
use crate::collectors::kubernetes::reading::objects::Key;
use crate::collectors::kubernetes::tests::shapes::node;
use crate::collectors::kubernetes::tests::{ago, read, replicas, replicas_beside, rows, says, told};

#[test]
fn what_is_used_of_a_quota_is_known_of_the_quota_as_it_was_counted() {
    let quota = |age: i64, spec: Value, status: Value| {
        let said = rows::<quotas::ResourceQuota>(&[
            json!({ "metadata": { "name": "q", "namespace": "n", "creationTimestamp": ago(age) }, "spec": { "hard": spec }, "status": status }),
        ]);
        said.into_iter().filter_map(|line| line.strip_prefix("resourcequota_used_ratio eu/n/q/").map(str::to_owned)).collect::<Vec<_>>()
    };
    let pods = |amount: &str| json!({ "pods": amount });
    assert_eq!(quota(900, pods("10"), json!({ "hard": pods("10"), "used": pods("5") })), ["pods = 0.5"]);
    for status in [json!({}), json!({ "hard": pods("10") }), json!({ "used": pods("5") }), json!({ "hard": pods("100"), "used": pods("5") })] {
        assert_eq!(quota(900, pods("10"), status.clone()), ["pods = NaN"], "{status}");
        assert_eq!(quota(5, pods("10"), status), Vec::<String>::new(), "nobody has come to it yet");
    }
    let odd = json!({ "pods": "10", "count/gone.example.com": "1" });
    assert_eq!(quota(900, odd.clone(), json!({ "hard": odd, "used": pods("5") })), ["pods = 0.5"], "nobody can count what there is no kind of");
    let written = quota(900, json!({ "cpu": "1" }), json!({ "hard": { "cpu": "1000m" }, "used": { "cpu": "500m" } }));
    assert_eq!(written, ["cpu = 0.5"], "the same amount");
    assert_eq!(
        quota(900, pods("10"), json!({ "hard": { "pods": "10", "cpu": "1" }, "used": { "pods": "1", "cpu": "1" } })),
        ["pods = 0.1"],
        "that of CPU was taken away"
    );
}

#[test]
fn numbers_of_a_workload_that_its_controller_has_not_looked_at_are_not_known() {
    let status = |observed: i64| json!({ "observedGeneration": observed, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "desiredNumberScheduled": 2, "numberReady": 2 });
    let object = |observed: i64| json!({ "metadata": { "name": "a", "generation": 9 }, "spec": { "replicas": 2 }, "status": status(observed) });
    for (observed, ready) in [(9, "2"), (3, "NaN")] {
        let line = format!("workload_ready_replicas eu/s/K//a = {ready}");
        says(&replicas::<Deployment>(&[object(observed)]), &line);
        says(&replicas::<StatefulSet>(&[object(observed)]), &line);
        says(&daemons(&object(observed), 0), &line);
    }
}

/// A controller that has stopped says for ever what was true then.
#[test]
fn replicas_that_no_pods_bear_out_are_not_known() {
    let status = json!({ "observedGeneration": 9, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2 });
    let own = [json!({ "metadata": { "name": "a", "namespace": "n", "generation": 9, "uid": "d" }, "spec": { "replicas": 2 }, "status": status })];
    let key = Key { namespace: "n".into(), name: "a".into() };
    let told = |doubts: &[u32]| {
        replicas_beside::<StatefulSet>(&own, &Beside { doubts: doubts.iter().map(|ready| (key.clone(), *ready)).collect(), ..Beside::default() })
    };
    let says_all = |told: &[String], values: [&str; 5]| {
        let names = ["ready_replicas", "available_replicas", "updated_replicas", "rollout_complete", "rollout_state"];
        for (name, value) in names.into_iter().zip(values) {
            says(told, &format!("workload_{name} eu/s/K/n/a = {value}"));
        }
    };
    says_all(&told(&[]), ["2", "2", "2", "1", "complete"]);
    says_all(&told(&[0]), ["NaN", "NaN", "NaN", "NaN", "unknown"]);
    let pod = |name: &str, namespace: &str, owner: &str, ready: &str| {
        let owners = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "a", "uid": owner, "controller": true }]);
        json!({ "metadata": { "name": name, "namespace": namespace, "uid": name, "ownerReferences": owners }, "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }] } })
    };
    let mut pods = Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default()).of_workloads(["n".to_owned()].into());
    for own in [pod("a-0", "n", "d", "True"), pod("a-1", "n", "d", "False"), pod("b-0", "n", "e", "True"), pod("c-0", "other", "d", "True")] {
        pods.put(read(&own), false);
    }
    assert_eq!(pods.ready_of(&[short("d")]), 1);
    pods.put(read(&pod("a-1", "n", "d", "True")), false);
    assert_eq!(pods.ready_of(&[short("d"), short("e")]), 3);
    pods.remove(&read(&pod("a-0", "n", "d", "True")));
    assert_eq!((pods.ready_of(&[short("d")]), pods.ready_of(&[short("f")])), (1, 0));
}

#[test]
fn a_rollout_that_does_not_go_on_is_told_from_one_that_does() {
    let own = |strategy: &str, counts: [u32; 3], conditions: Value| {
        let [ready, updated, available] = counts;
        json!({ "metadata": { "name": "a", "generation": 9 }, "spec": { "replicas": 3, "updateStrategy": { "type": strategy } },
            "status": { "observedGeneration": 9, "replicas": 3, "readyReplicas": ready, "updatedReplicas": updated, "availableReplicas": available,
                "desiredNumberScheduled": 3, "numberReady": ready, "updatedNumberScheduled": updated, "numberAvailable": available, "conditions": conditions } })
    };
    let stage = |told: Vec<String>| told.iter().find_map(|line| Some(line.strip_prefix("workload_rollout_state eu/s/K//a = ")?.to_owned())).unwrap();
    let deployment = |counts: [u32; 3], available: &str, progress: &str, reason: &str| {
        let conditions = json!([{ "type": "Available", "status": available }, { "type": "Progressing", "status": progress, "reason": reason }]);
        stage(replicas::<Deployment>(&[own("", counts, conditions)]))
    };
    assert_eq!(deployment([3, 3, 3], "True", "True", "NewReplicaSetAvailable"), "complete");
    assert_eq!(deployment([3, 1, 3], "True", "True", "ReplicaSetUpdated"), "running");
    assert_eq!(deployment([3, 1, 3], "True", "False", "ProgressDeadlineExceeded"), "stuck");
    assert_eq!(deployment([3, 0, 3], "True", "False", "ReplicaSetCreateError"), "stuck");
    assert_eq!(deployment([3, 1, 3], "True", "Unknown", "DeploymentPaused"), "held");
    assert_eq!(deployment([3, 3, 3], "True", "Unknown", "DeploymentPaused"), "complete", "nothing is held back");
    assert_eq!(deployment([3, 3, 0], "False", "True", "NewReplicaSetAvailable"), "unknown");
    assert_eq!(deployment([3, 3, 2], "True", "True", "NewReplicaSetAvailable"), "running", "one is ready since a moment");
    assert_eq!(stage(replicas::<Deployment>(&[own("", [3, 1, 3], json!([]))])), "unknown", "it has no deadline for its progress");
    let others = |strategy: &str, counts: [u32; 3]| {
        let own = [own(strategy, counts, json!([]))];
        [stage(replicas::<StatefulSet>(&own)), stage(replicas::<DaemonSet>(&own))]
    };
    assert_eq!(others("OnDelete", [3, 0, 3]), ["held", "held"]);
    assert_eq!(others("OnDelete", [3, 3, 3]), ["complete", "complete"]);
    assert_eq!(others("RollingUpdate", [2, 1, 2]), ["unknown", "unknown"]);
    // Nobody has looked at it, or nobody says so.
    for observed in [json!(8), json!(null)] {
        let mut own = own("", [3, 3, 3], json!([{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }]));
        own["status"]["observedGeneration"] = observed;
        let told = replicas::<Deployment>(&[own]);
        says(&told, "workload_ready_replicas eu/s/K//a = NaN");
        assert_eq!(stage(told), "unknown");
    }
}

/// Nobody would wait for a rollout that turned everything red, and none must be green before it is over.
#[test]
fn a_rollout_that_goes_on_is_no_fault_while_enough_replicas_are_ready() {
    let told = |needed: u32, [desired, ready, updated]: [u32; 3], progress: [&str; 2], available: &str| {
        let conditions = json!([{ "type": "Available", "status": available }, { "type": "Progressing", "status": progress[0], "reason": progress[1] }]);
        let own = json!({ "metadata": { "name": "a", "generation": 9 }, "spec": { "replicas": desired },
            "status": { "observedGeneration": 9, "replicas": desired, "readyReplicas": ready, "updatedReplicas": updated, "availableReplicas": ready, "conditions": conditions } });
        let told = replicas_beside::<Deployment>(&[own], &Beside { needed, ..Beside::default() });
        ["ready_replicas", "rollout_complete"]
            .map(|name| told.iter().find_map(|line| Some(line.strip_prefix(&format!("workload_{name} eu/s/K//a = "))?.to_owned())).unwrap())
    };
    let is = |ready: &str, complete: &str| [ready.to_owned(), complete.to_owned()];
    let goes_on = ["True", "ReplicaSetUpdated"];
    assert_eq!(told(0, [4, 3, 2], goes_on, "True"), is("NaN", "NaN"));
    assert_eq!(told(3, [4, 3, 2], goes_on, "True"), is("NaN", "NaN"));
    assert_eq!(told(4, [4, 3, 2], goes_on, "True"), is("3", "0"), "too few are ready for those who come");
    assert_eq!(told(0, [4, 4, 2], goes_on, "True"), is("4", "NaN"));
    assert_eq!(told(0, [4, 2, 2], goes_on, "False"), is("2", "0"), "more are missing than may be");
    assert_eq!(told(0, [4, 3, 2], ["False", "ProgressDeadlineExceeded"], "True"), is("3", "0"));
    assert_eq!(told(0, [4, 3, 4], ["True", "NewReplicaSetAvailable"], "True"), is("3", "0"), "it was over, and one has crashed");
    assert_eq!(told(0, [4, 4, 4], ["True", "NewReplicaSetAvailable"], "True"), is("4", "1"));
}

/// Who marks nodes whose kubelets are silent may be as silent.
#[test]
fn what_a_kubelet_wrote_long_ago_is_not_known() {
    let of = |beat: Value, ready: &str| {
        let conditions = json!([{ "type": "Ready", "status": ready, "lastHeartbeatTime": beat, "lastTransitionTime": ago(90_000) }, { "type": "DiskPressure", "status": "False" }, { "type": "KernelDeadlock", "status": "False" }]);
        told(Nodes::new(Interests::default()), &[node("n", &json!({ "/status/conditions": conditions }))])
    };
    let unseen = of(json!(ago(86_400)), "True");
    for (condition, state) in [("Ready", "true"), ("DiskPressure", "false")] {
        says(&of(json!(ago(600)), "True"), &format!("node_condition_state eu/n/{condition} = {state}"));
        says(&of(json!(null), "True"), &format!("node_condition_state eu/n/{condition} = {state}"));
        says(&unseen, &format!("node_condition_state eu/n/{condition} = NaN"));
    }
    says(&unseen, "node_condition_state eu/n/KernelDeadlock = false");
    says(&of(json!(ago(86_400)), "Unknown"), "node_condition_state eu/n/Ready = unknown");
    // It writes though nothing has changed, and then nothing has.
    let mut nodes = Nodes::new(Interests::default());
    let own = |beat: String| read(&node("n", &json!({ "/status/conditions": [{ "type": "Ready", "status": "True", "lastHeartbeatTime": beat }] })));
    assert!(nodes.put(own(ago(900)), false) && !nodes.put(own(ago(0)), false));
}

/// How many pods of a DaemonSet are ready, while so many nodes are changing.
fn daemons(own: &Value, changing: usize) -> Vec<String> {
    replicas_beside::<DaemonSet>(std::slice::from_ref(own), &Beside { changing, ..Beside::default() })
}

#[test]
fn pods_of_every_node_may_be_starting_on_new_ones() {
    let own = json!({ "metadata": { "name": "a", "generation": 1 }, "status": { "observedGeneration": 1, "desiredNumberScheduled": 5, "numberReady": 3 } });
    for (changing, count) in [(0, "3"), (1, "3"), (2, "NaN"), (3, "NaN")] {
        says(&daemons(&own, changing), &format!("workload_ready_replicas eu/s/K//a = {count}"));
    }
    let mut nodes = Nodes::new(Interests::default());
    for (name, age, taints) in
        [("old", 900, json!([])), ("young", 300, json!([])), ("leaving", 900, json!([{ "key": "karpenter.sh/disrupted", "effect": "NoSchedule" }]))]
    {
        let own = node(name, &json!({ "/metadata": { "name": name, "uid": name, "creationTimestamp": ago(age) }, "/spec/taints": taints }));
        Index::put(&mut nodes, read(&own), true);
    }
    let changing: Vec<&str> = nodes.iter().filter(|(_, node)| node.is_changing(clock::now())).map(|(name, _)| &**name).collect();
    assert_eq!(changing, ["leaving", "young"]);
}

#[test]
fn a_claim_waits_while_its_node_is_gone_or_not_ready_any_more() {
    let claim = |node_name: Value, ready: &str| {
        let condition = |name: &str, status: &str, age: i64| json!({ "type": name, "status": status, "lastTransitionTime": ago(age) });
        let conditions = [
            condition("Launched", "True", 9000),
            condition("Registered", "True", 9000),
            condition("Initialized", "True", 9000),
            condition("Ready", ready, 3600),
        ];
        let own = json!({ "metadata": { "name": "c", "creationTimestamp": ago(9100), "labels": { "karpenter.sh/nodepool": "ws" } },
            "status": { "nodeName": node_name, "conditions": conditions } });
        let said = rows::<karpenter::NodeClaim>(&[own]);
        said.into_iter().find_map(|line| line.strip_prefix("nodeclaim_oldest_pending_timestamp_seconds eu/ws = ").map(str::to_owned))
    };
    let is = |age: i64| Some((clock::now() - age).to_string());
    assert_eq!(claim(json!("n"), "True"), None);
    assert_eq!(claim(json!("n"), "Unknown"), None, "it was initialized, and nothing says that it is not ready");
    assert_eq!(claim(json!("n"), "False"), is(3600));
    assert_eq!(claim(json!(null), "True"), is(9100));
}

fn problems(conditions: &Value, taints: &Value) -> Vec<String> {
    let mut all = vec![json!({ "type": "Ready", "status": "True" })];
    all.extend(conditions.as_array().unwrap().iter().cloned());
    let said = told(Nodes::new(Interests::default()), &[node("n", &json!({ "/status/conditions": all, "/spec/taints": taints }))]);
    said.into_iter().filter_map(|line| line.strip_prefix("node_problem_condition eu/n/").map(str::to_owned)).collect()
}

#[test]
fn a_network_that_is_missing_is_told_once_whether_the_node_is_tainted_or_not() {
    let missing = json!([{ "type": "NetworkUnavailable", "status": "True" }]);
    assert_eq!(problems(&missing, &json!([])), ["NetworkUnavailable = 1"]);
    assert_eq!(problems(&missing, &json!([{ "key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule" }])), Vec::<String>::new());
    assert_eq!(problems(&json!([{ "type": "NetworkUnavailable", "status": "False" }]), &json!([])), Vec::<String>::new());
}

#[test]
fn a_condition_under_a_name_that_is_none_counts_and_is_not_shown() {
    let named = |name: &str, status: &str| problems(&json!([{ "type": name, "status": status }]), &json!([]));
    assert_eq!(named("Kernel Deadlock (hunter2)", "True"), ["(others) = 1"]);
    assert_eq!(named("Kernel Deadlock (hunter2)", "Unknown"), ["(others) = NaN"]);
    assert_eq!(named("Kernel Deadlock (hunter2)", "False"), Vec::<String>::new());
    let mut many: Vec<Value> = (0..80).map(|number| json!({ "type": format!("Problem{number}"), "status": "False" })).collect();
    assert_eq!(problems(&json!(many), &json!([])), Vec::<String>::new());
    many.push(json!({ "type": "KernelDeadlock", "status": "True" }));
    assert_eq!(problems(&json!(many), &json!([])), ["(others) = 1"], "there are too many to show");
}
