//! Which pods start on which nodes, and how long those last.

use serde_json::{Value, json};

use super::*;
use crate::collectors::kubernetes::kinds::nodes::{Interests, Nodes};
use crate::collectors::kubernetes::kinds::pods::Pods;
use crate::collectors::kubernetes::kinds::workspaces::Workspaces;
use crate::collectors::kubernetes::reading::clock::Clock;
use crate::collectors::kubernetes::tests::of_kinds::filled;
use crate::collectors::kubernetes::tests::{ago, demands, headroom_of, place, pods, read, says, told, words};
use crate::event::Occurrence;
use crate::metric::Sample;

pub(in crate::collectors::kubernetes) fn node(name: &str, more: &Value) -> Value {
    let size = json!({ "cpu": "8", "memory": "32Gi", "pods": "110" });
    let mut node = json!({ "metadata": { "name": name, "uid": name }, "spec": { "taints": [] },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }], "capacity": size, "allocatable": size } });
    for (path, value) in more.as_object().unwrap() {
        *node.pointer_mut(path).unwrap() = value.clone();
    }
    node
}

fn tainted(key: &str, effect: &str) -> Value {
    node("n", &json!({ "/spec/taints": [{ "key": key, "value": "x", "effect": effect }] }))
}

pub(in crate::collectors::kubernetes) fn kept(objects: &[Value], groups: &str) -> Nodes {
    let mut nodes = Nodes::new(Interests { groups: serde_saphyr::from_str(groups).unwrap(), ..Interests::default() });
    for object in objects {
        Index::put(&mut nodes, read(object), true);
    }
    nodes
}

/// What is told of the room on nodes, for ten participants with workspaces of these tolerations.
fn room(nodes: &[Value], configured: &str, workspaces: &[Value]) -> Vec<String> {
    let selectors = serde_saphyr::from_str("[{ name: ws, namespaces: [ws] }]").unwrap();
    let mut pods = Pods::new(3600, Workspaces::new(selectors, 3600), Clock::default());
    for (at, tolerations) in workspaces.iter().enumerate() {
        let pod = json!({ "metadata": { "name": format!("w{at}"), "namespace": "ws", "uid": format!("w{at}") },
            "spec": { "nodeName": "elsewhere", "tolerations": tolerations }, "status": { "phase": "Running" } });
        Index::put(&mut pods, read(&pod), true);
    }
    let nodes = kept(nodes, "[]");
    let config = format!("{{ workspaces: ws, cpu: '2', memory: 4Gi{configured} }}");
    headroom_of(&config, &capacity::Scene::of(&nodes, &pods, &demands([1]))).iter().map(words).collect()
}

#[test]
fn a_node_that_is_marked_is_no_room_and_not_fit() {
    let open = json!([{ "operator": "Exists" }]);
    for (key, effect, fact, leaving) in [
        ("node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule", "node_starting_created_timestamp_seconds", 0),
        ("node.cilium.io/agent-not-ready", "NoExecute", "node_starting_created_timestamp_seconds", 0),
        ("csi.example.com/agent-not-ready", "NoExecute", "node_starting_created_timestamp_seconds", 0),
        ("startup-taint.cluster-autoscaler.kubernetes.io/gpu", "NoSchedule", "node_starting_created_timestamp_seconds", 0),
        ("karpenter.sh/unregistered", "NoExecute", "node_starting_created_timestamp_seconds", 0),
        ("node.kubernetes.io/not-ready", "NoExecute", "node_problem_taint", 0),
        ("node.kubernetes.io/disk-pressure", "NoSchedule", "node_problem_taint", 0),
        ("node.kubernetes.io/unschedulable", "NoSchedule", "", 0),
        ("ToBeDeletedByClusterAutoscaler", "NoSchedule", "", 1),
        ("karpenter.sh/disrupted", "NoSchedule", "", 1),
        ("aws-node-termination-handler/spot-itn", "NoSchedule", "", 1),
    ] {
        let own = [tainted(key, effect)];
        says(&room(&own, "", std::slice::from_ref(&open)), "capacity_workspaces_addable eu/existing_nodes = 0");
        let mut samples = Vec::new();
        kept(&own, "[{ name: all, at_least: 1 }]").groups("eu", &mut samples);
        assert_eq!(words(&samples[0]), "node_group_ready_nodes eu/all = 0", "{key}");
        let said = told(Nodes::new(Interests::default()), &own);
        says(&said, &format!("node_disrupted eu/n = {leaving}"));
        let marks: Vec<&str> = said.iter().filter(|line| line.contains(&format!(" eu/n/{key} = "))).map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(marks.join(" "), fact, "{said:?}");
    }
    // Pods are only asked to go elsewhere.
    says(&room(&[tainted("DeletionCandidateOfClusterAutoscaler", "PreferNoSchedule")], "", &[]), "capacity_workspaces_addable eu/existing_nodes = 4");
}

/// A node that was created `age` seconds ago, whose `Ready` has had its state since `since` seconds.
fn aged(age: i64, ready: &str, since: i64, taints: &Value) -> Value {
    let condition = json!([{ "type": "Ready", "status": ready, "lastTransitionTime": ago(since) }]);
    node("n", &json!({ "/metadata": { "name": "n", "uid": "n", "creationTimestamp": ago(age) }, "/spec/taints": taints, "/status/conditions": condition }))
}

#[test]
fn a_node_that_starts_is_no_fault_until_it_has_taken_too_long() {
    let not_ready = json!([{ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" }]);
    let agent = json!([{ "key": "node.cilium.io/agent-not-ready", "effect": "NoExecute" }]);
    let created = |age: i64, taint: &str| format!("node_starting_created_timestamp_seconds eu/n/{taint} = {}", clock::now() - age);
    let said = |age, ready, since, taints: &Value| told(Nodes::new(Interests::default()), &[aged(age, ready, since, taints)]);
    for taints in [&not_ready, &json!([])] {
        let starts = said(60, "False", 58, taints);
        assert!(!starts.iter().any(|line| line.starts_with("node_condition_state eu/n/Ready")), "{starts:?}");
        says(&starts, &created(60, "node.kubernetes.io/not-ready"));
        assert!(!starts.iter().any(|line| line.contains("problem_taint")), "{starts:?}");
    }
    // Its kubelet is up, and the network's agent is not.
    let agent_missing = said(60, "True", 20, &agent);
    says(&agent_missing, "node_condition_state eu/n/Ready = true");
    says(&agent_missing, &created(60, "node.cilium.io/agent-not-ready"));
    // One that was ready before, one that is silent, and one of whose age nothing is known are faults at once.
    for (age, ready, since, state) in [(600, "False", 60, "false"), (60, "Unknown", 58, "unknown")] {
        let broken = said(age, ready, since, &not_ready);
        says(&broken, &format!("node_condition_state eu/n/Ready = {state}"));
        says(&broken, "node_problem_taint eu/n/node.kubernetes.io/not-ready = 1");
    }
    let mut ageless = aged(60, "False", 58, &not_ready);
    ageless["metadata"] = json!({ "name": "n", "uid": "n" });
    says(&told(Nodes::new(Interests::default()), &[ageless]), "node_condition_state eu/n/Ready = false");
}

#[test]
fn whether_workspaces_tolerate_a_taint_is_configured_or_seen_and_else_not_known() {
    let own = [tainted("tenant", "NoSchedule")];
    let fits = |configured: &str, workspaces: &[Value]| {
        let said = room(&own, configured, workspaces);
        let of = |what: &str| said.iter().find_map(|line| line.strip_prefix(what)).map(str::to_owned);
        (
            of("capacity_workspaces_addable eu/existing_nodes = ").unwrap(),
            of("capacity_headroom_ratio eu/w = ").is_some_and(|ratio| ratio != "NaN"),
            of("capacity_limit_state eu = ").unwrap(),
        )
    };
    let is = |room: &str, known: bool, limit: &str| (room.to_owned(), known, limit.to_owned());
    let equal = json!([{ "key": "tenant", "operator": "Equal", "value": "x", "effect": "NoSchedule" }]);
    assert_eq!(fits(", tolerations: [{ key: tenant, value: x }]", &[]), is("4", true, "cpu"));
    assert_eq!(fits(", tolerations: [{ key: tenant, operator: Exists, effect: NoSchedule }]", &[]), is("4", true, "cpu"));
    assert_eq!(fits(", tolerations: [{ operator: Exists }]", &[]), is("4", true, "cpu"));
    for other in ["", "{ key: tenant, value: y }", "{ key: tenant, value: x, effect: NoExecute }", "{ key: other, operator: Exists }"] {
        assert_eq!(fits(&format!(", tolerations: [{other}]"), std::slice::from_ref(&equal)), is("0", true, "taints"), "{other}");
    }
    assert_eq!(fits("", std::slice::from_ref(&equal)), is("4", true, "cpu"), "as running ones do");
    assert_eq!(fits("", &[json!([])]), is("0", true, "taints"));
    assert_eq!(fits("", &[equal.clone(), json!([])]), is("0", false, "taints"), "some do");
    assert_eq!(fits("", &[]), is("0", false, "taints"), "nobody says so");
    let ends = json!([{ "key": "tenant", "operator": "Exists", "tolerationSeconds": 300 }]);
    assert_eq!(fits("", &[ends]), is("0", true, "taints"), "it may not stay");
    let control_plane = room(&[tainted("node-role.kubernetes.io/control-plane", "NoSchedule")], "", &[]);
    assert!(control_plane.iter().any(|line| line == "capacity_headroom_ratio eu/w = -1"), "{control_plane:?}");
}

#[test]
fn a_group_has_the_taints_that_it_has_unless_the_configuration_says_what_is_tolerated() {
    let own = [tainted("tenant", "NoSchedule")];
    let ready = |tolerations: &str| {
        let mut samples = Vec::new();
        kept(&own, &format!("[{{ name: all, at_least: 1{tolerations} }}]")).groups("eu", &mut samples);
        samples[0].value
    };
    let counts = [ready(""), ready(", tolerations: []"), ready(", tolerations: [{ key: tenant, operator: Exists }]")];
    assert_eq!(counts.map(|count| count.to_string()), ["1", "0", "1"]);
}

#[test]
fn a_toleration_that_cannot_be_is_refused() {
    let kubernetes = "{ node_groups: [{ name: a, at_least: 1, tolerations: [{ value: x }, { key: a, operator: Exists, value: x }, { key: a, effect: PreferNoSchedule }] }] }";
    let text = format!("clusters: [{{ name: eu, in_cluster: true }}]\ncollectors: {{ kubernetes: {kubernetes} }}");
    let error = crate::config::load_str(&text, "wrong", std::path::Path::new("."), None).err().unwrap().to_string();
    for wrong in ["tolerations[0].key: must be set", "tolerations[1].value: must be left out", "tolerations[2].effect: must be NoSchedule or NoExecute"] {
        assert!(error.contains(wrong), "{error}");
    }
}

#[test]
fn a_pool_whose_taints_workspaces_do_not_tolerate_makes_no_room() {
    let pool = json!({ "metadata": { "name": "ws" }, "spec": { "limits": { "cpu": "80" }, "template": { "spec": { "taints": [{ "key": "tenant", "effect": "NoSchedule" }] } } },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    let (pools, claims) = (filled::<karpenter::NodePool>(&[pool]), filled::<karpenter::NodeClaim>(&[]));
    let (nodes, pods) = (Nodes::new(Interests::default()), Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default()));
    let addable = |tolerations: &str| {
        let config = format!("{{ workspaces: ws, cpu: '2', memory: 4Gi, nodepools: [{{ name: ws, cpu: '8', memory: 32Gi, max_nodes: 9 }}]{tolerations} }}");
        let samples = headroom_of(&config, &capacity::Scene { karpenter: Some((&pools, &claims)), ..capacity::Scene::of(&nodes, &pods, &demands([1])) });
        samples.iter().map(words).find(|line| line.contains("eu/new_nodes")).unwrap()
    };
    assert_eq!(addable(", tolerations: []"), "capacity_workspaces_addable eu/new_nodes = 0");
    assert_eq!(addable(", tolerations: [{ key: tenant, operator: Exists }]"), "capacity_workspaces_addable eu/new_nodes = 36");
    assert_eq!(addable(""), "capacity_workspaces_addable eu/new_nodes = 36", "the configuration names it as one for workspaces");
}

#[test]
fn a_node_does_not_offer_more_than_it_has() {
    let gpu = "nvidia.com/gpu";
    let own = |name: &str, capacity: Value, allocatable: Value| node(name, &json!({ "/status/capacity": capacity, "/status/allocatable": allocatable }));
    let all = [
        own("untold", json!({ gpu: "8" }), json!({})),
        own("more", json!({ gpu: "4" }), json!({ gpu: "9" })),
        own("without", json!({}), json!({ gpu: "9" })),
        own("good", json!({ gpu: "4" }), json!({ gpu: "4" })),
        own("mixed", json!({ gpu: "8", "nvidia.com/mig-1g.5gb": "7" }), json!({ gpu: "8", "nvidia.com/mig-1g.5gb": "9" })),
        own("none", json!({ gpu: "0" }), json!({ gpu: "0" })),
    ];
    let said = told(Nodes::new(Interests::default()), &all);
    for (name, capacity, offered) in [("untold", "8", "NaN"), ("more", "4", "NaN"), ("without", "NaN", "NaN"), ("good", "4", "4"), ("mixed", "15", "NaN")] {
        says(&said, &format!("node_gpu_capacity eu/{name}/ = {capacity}"));
        says(&said, &format!("node_gpu_allocatable eu/{name}/ = {offered}"));
    }
    assert!(!said.iter().any(|line| line.contains("gpu") && line.contains("eu/none")), "{said:?}");
    let mut samples = Vec::new();
    kept(&all, "[{ name: gpus, at_least: 1, gpus: true }, { name: plain, at_least: 1, gpus: false }]").groups("eu", &mut samples);
    let groups: Vec<String> = samples.iter().map(words).collect();
    says(&groups, "node_group_ready_nodes eu/gpus = 1");
    says(&groups, "node_group_ready_nodes eu/plain = 1");
    let boast = node("n", &json!({ "/status/allocatable": { "cpu": "99999999", "memory": "32Gi", "pods": "110" } }));
    says(&room(&[boast], "", &[]), "capacity_workspaces_addable eu/existing_nodes = 0");
}

const HOUR: i64 = 3600;

/// What is told of nodes of a pool with this lifetime, one of them so many hours old, and an event in 24 hours that lasts 3.
fn distances(pool: &str, claims: &[(i64, &str)]) -> Vec<String> {
    distances_of(&json!({ "template": { "spec": { "expireAfter": pool } } }), claims)
}

/// The same of a pool with this specification.
pub(in crate::collectors::kubernetes) fn distances_of(pool: &Value, claims: &[(i64, &str)]) -> Vec<String> {
    let samples = distances_before(24, pool, claims);
    let own = samples.iter().map(|sample| words(sample).replace("nodeclaim_expiry_event_distance_seconds eu/ws/", ""));
    own.filter(|line| claims.is_empty() || !line.starts_with("(new nodes)")).collect()
}

/// The same so many hours before the event.
fn distances_before(hours: i64, pool: &Value, claims: &[(i64, &str)]) -> Vec<Sample> {
    let now = clock::now();
    let at = |seconds: i64| jiff::Timestamp::from_second(now + seconds).unwrap();
    let pool = json!({ "metadata": { "name": "ws" }, "spec": pool });
    let claims: Vec<Value> = claims
        .iter()
        .enumerate()
        .map(|(number, (hours, after))| json!({ "metadata": { "name": format!("c{number}"), "labels": { "karpenter.sh/nodepool": "ws" }, "creationTimestamp": at(-hours * HOUR).to_string() }, "spec": { "expireAfter": after } }))
        .collect();
    let event = Occurrence {
        name: "e".into(),
        of: "e".into(),
        checklists: vec!["c".into()],
        start: at(hours * HOUR),
        zone: jiff::tz::TimeZone::UTC,
        end: at((hours + 3) * HOUR),
        participants: None,
        lead_times: Vec::new(),
        turn: None,
    };
    let mut samples: Vec<Sample> = Vec::new();
    lifetimes::distances(&filled(&[pool]), &filled(&claims), &[event], now, &place("NodeClaim"), &mut samples);
    samples
}

/// Before it is prepared nobody makes nodes for an event, and nobody could do anything.
#[test]
fn when_nodes_are_made_for_an_event_matters_once_it_is_prepared() {
    let pool = json!({ "template": { "spec": { "expireAfter": "24h" } } });
    for (hours, distance) in [(7 * 24, "75600"), (25, "75600"), (24, "NaN"), (21, "NaN"), (20, "75600")] {
        let told = distances_before(hours, &pool, &[]);
        assert_eq!(words(&told[0]).rsplit(' ').next(), Some(distance), "{hours} hours before");
    }
    let told = distances_before(22, &pool, &[]);
    let now = clock::now();
    let said = told[0].detail.as_ref().unwrap().to_string();
    let made = |from: i64| [-1, 0].map(|late| crate::say::minute(jiff::Timestamp::from_second(now + late + from).unwrap()));
    assert!(said.starts_with("it depends on when they are made: each lives for ") && said.ends_with(" would go in the event"), "{said}");
    for from in [-2 * HOUR - 900, HOUR + 900] {
        assert!(made(from).iter().any(|at| said.contains(at)), "{said}");
    }
}

#[test]
fn the_node_that_takes_the_place_of_an_expired_one_expires_as_well() {
    // In one hour, and then in 25 hours.
    assert_eq!(distances("24h", &[(23, "24h")]), ["c0/e = 0"]);
    assert_eq!(distances("1m24h", &[(23, "1m24h")]), ["c0/e = 0"]);
    // Every 5 hours from now on in 3: in 23 and 28.
    assert_eq!(distances("5h", &[(2, "5h")]), ["c0/e = 3600"]);
    assert_eq!(distances("720h0m0s", &[(23, "24h")]), [format!("c0/e = {}", 23 * HOUR)], "the pool makes longer ones now");
    assert_eq!(distances("24h", &[(0, "240h")]), [format!("c0/e = {}", 213 * HOUR)]);
    assert_eq!(distances("Never", &[(23, "24h"), (23, "Never")]), [format!("c0/e = {}", 23 * HOUR)]);
}

#[test]
fn a_claim_that_is_past_its_time_may_go_at_any_moment() {
    // Two hours ago; its successors are none of those that would have been made then.
    assert_eq!(distances("5h", &[(7, "5h")]), ["c0/e = NaN"]);
    assert_eq!(distances("720h", &[(7, "5h")]), ["c0/e = NaN"]);
    let now = clock::now();
    let at = |seconds: i64| jiff::Timestamp::from_second(now + seconds).unwrap();
    let claim = |age: i64| json!({ "metadata": { "name": "c", "labels": { "karpenter.sh/nodepool": "ws" }, "creationTimestamp": at(-age).to_string() }, "spec": { "expireAfter": "5h" } });
    let (name, zone) = (String::from("e"), jiff::tz::TimeZone::UTC);
    let running = Occurrence {
        of: name.clone(),
        name,
        checklists: Vec::new(),
        start: at(-HOUR),
        zone,
        end: at(30 * HOUR),
        participants: None,
        lead_times: Vec::new(),
        turn: None,
    };
    let mut samples: Vec<Sample> = Vec::new();
    lifetimes::distances(&Rows::only(&[]), &filled(&[claim(7 * HOUR)]), &[running], now, &place("NodeClaim"), &mut samples);
    assert_eq!(samples.iter().map(words).collect::<Vec<_>>(), ["nodeclaim_expiry_event_distance_seconds eu/ws/c/e = 0"]);
    assert!(samples[0].detail.as_ref().unwrap().as_str().ends_with("and may go at any moment"));
}

#[test]
fn nodes_that_live_no_longer_than_the_event_end_in_it_before_any_is_made() {
    assert_eq!(distances("3h", &[]), ["(new nodes)/e = 0"]);
    assert_eq!(distances("2h59m", &[]), ["(new nodes)/e = 0"]);
    // Whether one of them is made four hours before the end nobody knows; people prepare for a day.
    for depends in ["3h10m", "4h", "26h"] {
        assert_eq!(distances(depends, &[]), ["(new nodes)/e = NaN"], "{depends}");
    }
    assert_eq!(distances("28h", &[]), [format!("(new nodes)/e = {}", 25 * HOUR)], "one that is made now outlives it");
    assert_eq!(distances("Never", &[]), Vec::<String>::new());
    assert_eq!(distances("soon", &[(1, "Never"), (1, "soon"), (23, "24h")]), ["c1/e = NaN", "c2/e = NaN"], "what cannot be read is no promise");
    assert_eq!(distances("soon", &[]), ["(new nodes)/e = NaN"]);
}

#[test]
fn a_container_that_runs_beside_one_that_is_done_tells_itself_whether_it_takes_requests() {
    let pod = |ready: Value, state: Value| {
        json!({ "metadata": { "name": "p", "namespace": "ws", "uid": "p" }, "spec": { "nodeName": "n", "restartPolicy": "OnFailure", "containers": [{ "name": "a" }, { "name": "b" }] },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "False", "lastTransitionTime": ago(9000) }],
                "containerStatuses": [{ "name": "a", "ready": ready, "state": state }, { "name": "b", "ready": false, "state": { "terminated": { "exitCode": 0 } } }] } })
    };
    let running = json!({ "running": { "startedAt": ago(7200) } });
    let told = pods(&[pod(json!(false), running.clone())]);
    let oldest = told.iter().find(|line| line.starts_with("containers_waiting_oldest_timestamp_seconds eu/ws/"));
    assert!(oldest.is_some_and(|line| line.ends_with(&format!(" = {}", clock::now() - 7200))), "{told:?}");
    for fine in [json!(true), json!(null)] {
        assert!(!pods(&[pod(fine, running.clone())]).iter().any(|line| line.starts_with("containers_waiting")), "what is done is never ready again");
    }
    // One of which nothing is said waits.
    says(&pods(&[pod(json!(false), json!({}))]), "containers_waiting eu/ws/other/Other = 1");
    // One that was well before has been like that since it was first seen so, and not since it started.
    let mut kept = Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default());
    let unready = |kept: &Pods| {
        let told: Vec<String> = facts(kept).iter().map(words).collect();
        let oldest = told.iter().find_map(|line| line.strip_prefix("containers_waiting_oldest_timestamp_seconds eu/ws/unready/NotReady = "));
        oldest.map(|at| at.parse::<i64>().unwrap())
    };
    kept.put(read(&pod(json!(true), running.clone())), true);
    assert_eq!(unready(&kept), None);
    kept.put(read(&pod(json!(false), running.clone())), false);
    let first = unready(&kept);
    assert!(first.is_some_and(|at| clock::now() - at < 60), "{first:?}");
    std::thread::sleep(Duration::from_millis(1100));
    kept.put(read(&pod(json!(false), running)), false);
    assert_eq!(unready(&kept), first, "it goes on");
}

#[test]
fn a_container_that_ended_for_good_is_seen_beside_one_that_runs() {
    let pod = |policy: &str, state: Value| {
        json!({ "metadata": { "name": "p", "namespace": "ws", "uid": "p" }, "spec": { "nodeName": "n", "restartPolicy": policy, "containers": [{ "name": "a" }, { "name": "b" }] },
            "status": { "phase": "Running", "containerStatuses": [{ "name": "a", "state": { "running": {} } }, { "name": "b", "state": state }] } })
    };
    let ended = |code: i32| json!({ "terminated": { "exitCode": code, "reason": "Error", "finishedAt": ago(600) } });
    says(&pods(&[pod("Never", ended(1))]), "containers_waiting eu/ws/ended/Error = 1");
    says(&pods(&[pod("Never", ended(1))]), &format!("containers_waiting_oldest_timestamp_seconds eu/ws/ended/Error = {}", clock::now() - 600));
    let mut own = pod("Always", ended(137));
    own["spec"]["containers"][1]["restartPolicy"] = json!("Never");
    says(&pods(&[own]), "containers_waiting eu/ws/ended/Error = 1");
    let mut deleted = pod("Never", ended(1));
    deleted["metadata"]["deletionTimestamp"] = json!(ago(60));
    for fine in [pod("Never", ended(0)), pod("OnFailure", ended(1)), pod("Always", ended(1)), deleted] {
        assert!(!pods(&[fine]).iter().any(|line| line.starts_with("containers_waiting")));
    }
}

#[test]
fn a_pod_that_runs_and_is_not_ready_is_seen() {
    let pod = |ready: &str, reason: &str, more: Value| {
        let since = |name: &str, state: &str| json!({ "type": name, "status": state, "reason": reason, "lastTransitionTime": ago(900) });
        let mut pod = json!({ "metadata": { "name": "p", "namespace": "dns", "uid": "p" }, "spec": { "nodeName": "n", "containers": [{ "name": "a" }] },
            "status": { "phase": "Running", "conditions": [since("PodScheduled", "True"), since("ContainersReady", ready), since("Ready", ready)],
                "containerStatuses": [{ "name": "a", "state": { "running": {} } }] } });
        pod.as_object_mut().unwrap()["metadata"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        pod
    };
    let said = pods(&[pod("False", "ContainersNotReady", json!({}))]);
    says(&said, "containers_waiting eu/dns/unready/NotReady = 1");
    says(&said, &format!("containers_waiting_oldest_timestamp_seconds eu/dns/unready/NotReady = {}", clock::now() - 900));
    for fine in
        [pod("True", "", json!({})), pod("False", "PodCompleted", json!({})), pod("False", "ContainersNotReady", json!({ "deletionTimestamp": ago(60) }))]
    {
        assert!(!pods(&[fine]).iter().any(|line| line.starts_with("containers_waiting")));
    }
    // A step of a pipeline that is done beside one that runs, as in Tekton: such a pod is never ready again.
    let mut step = pod("False", "ContainersNotReady", json!({}));
    step["status"]["containerStatuses"] = json!([{ "name": "a", "state": { "running": {} } }, { "name": "b", "state": { "terminated": { "exitCode": 0 } } }]);
    assert!(!pods(&[step]).iter().any(|line| line.starts_with("containers_waiting")));
    // What crashes is told as that, once.
    let mut crashes = pod("False", "ContainersNotReady", json!({}));
    crashes["status"]["containerStatuses"][0]["state"] = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
    let said = pods(&[crashes]);
    assert!(said.iter().any(|line| line.contains("/crash_loop/")) && !said.iter().any(|line| line.contains("/unready/")), "{said:?}");
}

#[test]
fn problems_that_agents_report_of_a_node_are_told_once_it_has_started() {
    let conditions = json!([{ "type": "Ready", "status": "True" }, { "type": "KernelDeadlock", "status": "True" }, { "type": "StorageReady", "status": "True" },
        { "type": "ReadonlyFilesystem", "status": "False" }, { "type": "NetworkingReady", "status": "Unknown" }]);
    let problems = |node: Value| {
        let said = told(Nodes::new(Interests::default()), &[node]);
        said.into_iter().filter(|line| line.starts_with("node_problem_condition")).collect::<Vec<_>>()
    };
    let own = node("n", &json!({ "/status/conditions": conditions }));
    assert_eq!(problems(own), ["node_problem_condition eu/n/KernelDeadlock = 1", "node_problem_condition eu/n/NetworkingReady = NaN"]);
    let mut starts = aged(60, "False", 58, &json!([]));
    starts["status"]["conditions"].as_array_mut().unwrap().push(json!({ "type": "NetworkingReady", "status": "False" }));
    assert_eq!(problems(starts), Vec::<String>::new());
}

#[test]
fn what_comes_with_every_node_is_taken_of_the_new_ones_as_well() {
    let pool =
        json!({ "metadata": { "name": "ws" }, "spec": { "limits": { "cpu": "1000" } }, "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    let (pools, claims) = (filled::<karpenter::NodePool>(&[pool]), filled::<karpenter::NodeClaim>(&[]));
    let addable = |pool_of_node: &str, owner: &str| {
        let labels = json!({ "name": "n", "uid": "n", "labels": { "karpenter.sh/nodepool": pool_of_node } });
        let nodes = kept(&[node("n", &json!({ "/metadata": labels })), node("other", &json!({}))], "[]");
        let mut pods = Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default());
        for name in ["logs", "network"] {
            let pod = json!({ "metadata": { "name": name, "namespace": "system", "uid": name, "ownerReferences": [{ "apiVersion": "apps/v1", "kind": owner, "name": "d", "uid": "d", "controller": true }] },
                "spec": { "nodeName": "n", "containers": [{ "name": "a", "resources": { "requests": { "cpu": "150m" } } }] }, "status": { "phase": "Running" } });
            Index::put(&mut pods, read(&pod), true);
        }
        let config = "{ workspaces: ws, cpu: '2', memory: 4Gi, nodepools: [{ name: ws, cpu: '4', memory: 32Gi, max_nodes: 9 }] }";
        let samples = headroom_of(config, &capacity::Scene { karpenter: Some((&pools, &claims)), ..capacity::Scene::of(&nodes, &pods, &demands([1])) });
        samples.iter().map(words).find_map(|line| line.strip_prefix("capacity_workspaces_addable eu/new_nodes = ").map(str::to_owned)).unwrap()
    };
    // Two of 2 cores fit on 4, and one on 3.7.
    assert_eq!(addable("ws", "ReplicaSet"), "18");
    assert_eq!(addable("ws", "DaemonSet"), "9");
    assert_eq!(addable("ws", "Node"), "9", "from files of the kubelet");
    assert_eq!(addable("other", "DaemonSet"), "18", "the pool has no node yet, and another node does without them");
}

#[test]
fn pods_that_hold_a_place_give_it_to_workspaces() {
    let fits = |priority: Value| {
        let mut pods = Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default());
        let pod = json!({ "metadata": { "name": "balloon", "namespace": "b", "uid": "b" },
            "spec": { "nodeName": "n", "priority": priority, "containers": [{ "name": "a", "resources": { "requests": { "cpu": "7" } } }] }, "status": { "phase": "Running" } });
        Index::put(&mut pods, read(&pod), true);
        let nodes = kept(&[node("n", &json!({}))], "[]");
        let samples = headroom_of("{ workspaces: ws, cpu: '2', memory: 4Gi }", &capacity::Scene::of(&nodes, &pods, &demands([1])));
        samples.iter().map(words).find_map(|line| line.strip_prefix("capacity_workspaces eu = ").map(str::to_owned)).unwrap()
    };
    assert_eq!([fits(json!(-10)), fits(json!(0)), fits(json!(null))], ["4", "0", "0"]);
    let waits = |priority: i32| {
        json!({ "metadata": { "name": "p", "namespace": "b", "uid": "p" }, "spec": { "priority": priority, "containers": [] },
        "status": { "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu", "lastTransitionTime": ago(900) }] } })
    };
    assert!(!pods(&[waits(-10)]).iter().any(|line| line.starts_with("pods_unscheduled")));
    says(&pods(&[waits(0)]), "pods_unscheduled eu/b/insufficient_cpu = 1");
}

#[test]
fn a_pod_that_waited_for_a_node_has_been_created_since_it_has_one() {
    let pod = json!({ "metadata": { "name": "p", "namespace": "ws", "uid": "p", "creationTimestamp": ago(600) }, "spec": { "nodeName": "n", "containers": [] },
        "status": { "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "True", "lastTransitionTime": ago(2) }] } });
    says(&pods(&[pod]), &format!("containers_waiting_oldest_timestamp_seconds eu/ws/creating/ContainerCreating = {}", clock::now() - 2));
}

#[test]
fn a_node_that_is_being_taken_away_may_be_silent() {
    let leaving = |more: Value| {
        let conditions = json!([{ "type": "Ready", "status": "Unknown", "lastTransitionTime": ago(60) }, { "type": "DiskPressure", "status": "Unknown" }]);
        let taints = json!([{ "key": "node.kubernetes.io/unreachable", "effect": "NoExecute" }]);
        let mut node = node("n", &json!({ "/spec/taints": taints, "/status/conditions": conditions }));
        node["metadata"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        told(Nodes::new(Interests::default()), &[node])
    };
    let gone = leaving(json!({ "deletionTimestamp": ago(30) }));
    says(&gone, "node_disrupted eu/n = 1");
    assert!(!gone.iter().any(|line| line.contains("condition_state") || line.contains("problem_taint")), "{gone:?}");
    let silent = leaving(json!({}));
    says(&silent, "node_condition_state eu/n/Ready = unknown");
    says(&silent, "node_problem_taint eu/n/node.kubernetes.io/unreachable = 1");
}

#[test]
fn workspaces_that_are_larger_than_configured_count_as_they_are() {
    let said = |cpu: &str| rooms::with_quotas(&json!({ "cpu": cpu, "memory": "4Gi" }), &[]);
    says(&said("2").iter().map(|line| line.trim().to_owned()).collect::<Vec<_>>(), "capacity_workspaces eu = 4");
    says(&said("100m").iter().map(|line| line.trim().to_owned()).collect::<Vec<_>>(), "capacity_workspaces eu = 4");
    let large = said("5");
    says(&large.iter().map(|line| line.trim().to_owned()).collect::<Vec<_>>(), "capacity_workspaces eu = 1");
    assert!(large.iter().any(|line| line.ends_with("; those that are there request more than is configured, and count as they are")), "{large:?}");
}

#[test]
fn a_workspace_that_has_its_node_counts_before_it_runs() {
    let fits = |phase: &str, node_name: Value| {
        let selectors = serde_saphyr::from_str("[{ name: ws, namespaces: [ws] }]").unwrap();
        let mut pods = Pods::new(3600, Workspaces::new(selectors, 3600), Clock::default());
        let pod = json!({ "metadata": { "name": "w", "namespace": "ws", "uid": "w" }, "spec": { "nodeName": node_name, "containers": [{ "name": "a", "resources": { "requests": { "cpu": "2" } } }] }, "status": { "phase": phase } });
        Index::put(&mut pods, read(&pod), true);
        let nodes = kept(&[node("n", &json!({}))], "[]");
        let samples = headroom_of("{ workspaces: ws, cpu: '2', memory: 4Gi }", &capacity::Scene::of(&nodes, &pods, &demands([1])));
        samples.iter().map(words).find_map(|line| line.strip_prefix("capacity_workspaces eu = ").map(str::to_owned)).unwrap()
    };
    assert_eq!(fits("Running", json!("n")), "4");
    assert_eq!(fits("Pending", json!("n")), "4", "its image is being pulled");
    assert_eq!(fits("Pending", json!(null)), "4", "it takes no room yet and will");
    assert_eq!(fits("Failed", json!("n")), "4", "it is over");
}

#[test]
fn a_gated_pod_is_meant_to_have_no_node_unless_somebody_waits_for_it() {
    let gated = json!({ "metadata": { "name": "p", "namespace": "ws", "uid": "p" }, "spec": { "containers": [] },
        "status": { "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "lastTransitionTime": ago(7200) }] } });
    let said = pods(std::slice::from_ref(&gated));
    says(&said, "pods_unscheduled eu/ws/gated = 1");
    assert!(!said.iter().any(|line| line.starts_with("pods_unscheduled_oldest")), "{said:?}");
    let selectors = serde_saphyr::from_str("[{ name: ws, namespaces: [ws] }]").unwrap();
    let said = told(Pods::new(3600, Workspaces::new(selectors, 3600), Clock::default()), &[gated]);
    says(&said, &format!("pods_unscheduled_oldest_timestamp_seconds eu/ws/gated_workspace = {}", clock::now() - 7200));
}
