//! How large workspaces are, whom they make give way, and what bounds those of which none runs.
#![expect(clippy::needless_pass_by_value, reason = "so that cases read as what the API sends")]

use serde_json::{Value, json};

use super::*;
use crate::collectors::kubernetes::kinds::nodes::{Interests, Nodes};
use crate::collectors::kubernetes::kinds::pods::Pods;
use crate::collectors::kubernetes::kinds::workspaces::Workspaces;
use crate::collectors::kubernetes::reading::clock::Clock;
use crate::collectors::kubernetes::tests::of_kinds::filled;
use crate::collectors::kubernetes::tests::shapes::node;
use crate::collectors::kubernetes::tests::{ago, demands, headroom_of, read, says, told, words};

/// What stands in a cluster: nodes, pods and quotas.
#[derive(Default)]
struct Estate {
    nodes: Vec<Value>,
    pods: Vec<Value>,
    quotas: Vec<Value>,
    /// With the specification of its template, its limits and its claims, if there is one.
    pool: Option<(Value, Value, Vec<Value>)>,
    /// What the configuration says of its room, beside the size of a workspace.
    config: &'static str,
    /// What it says of workspaces.
    selector: &'static str,
}

impl Estate {
    /// What is told of its room for so many workspaces: how many fit, which share is left, what limits it, and why that is
    /// not known.
    fn told(&self, size: &str, participants: u32) -> [String; 4] {
        let selectors = serde_saphyr::from_str(&format!("[{{ name: ws, namespaces: [ws]{} }}]", self.selector)).unwrap();
        let mut pods = Pods::new(3600, Workspaces::new(selectors, 3600), Clock::default());
        for pod in &self.pods {
            Index::put(&mut pods, read(pod), true);
        }
        let mut nodes = Nodes::new(Interests { capacity_labels: Some([].into()), ..Interests::default() });
        for node in &self.nodes {
            Index::put(&mut nodes, read(node), true);
        }
        let (pools, claims) = match &self.pool {
            None => (filled::<karpenter::NodePool>(&[]), filled::<karpenter::NodeClaim>(&[])),
            Some((template, limits, claims)) => {
                let pool = json!({ "metadata": { "name": "ws" }, "spec": { "limits": limits, "template": { "spec": template } }, "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
                (filled::<karpenter::NodePool>(&[pool]), filled::<karpenter::NodeClaim>(claims))
            }
        };
        let (quotas, ranges) = (filled::<quotas::ResourceQuota>(&self.quotas), filled::<quotas::LimitRange>(&[]));
        let rules = Some(quotas::Rules { quotas: &quotas, ranges: &ranges });
        let demands = demands([participants]);
        let scene = capacity::Scene { rules, karpenter: Some((&pools, &claims)), ..capacity::Scene::of(&nodes, &pods, &demands) };
        let samples = headroom_of(&format!("{{ workspaces: ws, {size}{} }}", self.config), &scene);
        let of = |what: &str| samples.iter().map(words).find_map(|line| line.strip_prefix(what).map(str::to_owned)).unwrap();
        let ratio = samples.iter().find(|sample| sample.family.name == "readiness_capacity_headroom_ratio").unwrap();
        let why = if ratio.value.is_nan() { ratio.detail.as_ref().unwrap().to_string() } else { String::new() };
        [of("capacity_workspaces eu = "), of("capacity_headroom_ratio eu/w = "), of("capacity_limit_state eu = "), why]
    }

    fn fits(&self, size: &str) -> String {
        let [fits, _, _, why] = self.told(size, 1);
        if why.is_empty() { fits } else { why }
    }
}

fn plain(name: &str, cpu: &str) -> Value {
    sized(name, cpu, json!({}), json!({}))
}

fn sized(name: &str, cpu: &str, labels: Value, more: Value) -> Value {
    let mut size = json!({ "cpu": cpu, "memory": "64Gi", "pods": "110" });
    size.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    node(name, &json!({ "/metadata": { "name": name, "uid": name, "labels": labels }, "/status/capacity": size, "/status/allocatable": size }))
}

fn pod(name: &str, namespace: &str, node: &str, requests: Value, more: Value) -> Value {
    let mut spec = json!({ "nodeName": node, "containers": [{ "name": "a", "resources": { "requests": requests } }] });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "metadata": { "name": name, "namespace": namespace, "uid": name }, "spec": spec, "status": { "phase": "Running" } })
}

fn workspace(name: &str, node: &str, cpu: &str, more: Value) -> Value {
    pod(name, "ws", node, json!({ "cpu": cpu, "memory": "1Gi" }), more)
}

fn quota(resource: &str, hard: &str, used: &str) -> Value {
    json!({ "metadata": { "name": "q", "namespace": "ws" }, "spec": { "hard": { resource: hard } }, "status": { "hard": { resource: hard }, "used": { resource: used } } })
}

#[test]
fn workspaces_are_as_large_as_they_say_to_the_last_digit() {
    let one = |hard: &str| Estate {
        nodes: vec![plain("n", "100")],
        pods: vec![workspace("w", "n", "1600m", json!({}))],
        quotas: vec![quota("requests.cpu", hard, "1600m")],
        ..Estate::default()
    };
    assert_eq!(one("24").fits("cpu: 1600m, memory: 1Gi"), "15");
    assert_eq!(one("23999m").fits("cpu: 1600m, memory: 1Gi"), "14");
    // What a LimitRange just lets start does start.
    let said = rooms::with_range(&json!({ "cpu": "2", "memory": "4300000200" }), &json!({ "memory": "4300000200" }));
    assert!(said.iter().any(|line| line.trim() == "capacity_limit_state eu = cpu"), "{said:?}");
    // And nothing is left behind of those that went.
    let mut pods = Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default());
    let all = ["100m", "200m", "1600m", "333m"].map(|cpu| workspace(cpu, "n", cpu, json!({})));
    Index::put(&mut pods, read(&workspace("stays", "n", "0", json!({}))), true);
    for pod in &all {
        Index::put(&mut pods, read(pod), true);
    }
    for pod in &all {
        Index::remove(&mut pods, &read(pod));
    }
    assert_eq!(format!("{:?}", pods.load("n").requests.0), "[0.0, 1073741824.0, 0.0, 1.0]");
}

#[test]
fn only_pods_below_the_priority_of_workspaces_give_way_to_them() {
    // Twelve have room, of which some run.
    let own = |spec: Value| Estate {
        nodes: vec![plain("n", "12")],
        pods: (0..7).map(|at| workspace(&format!("w{at}"), "n", "1", spec.clone())).collect(),
        ..Estate::default()
    };
    let size = "cpu: '1', memory: 1Gi";
    assert_eq!(own(json!({})).fits(size), "12");
    assert_eq!(own(json!({ "priority": -1 })).fits(size), "12", "they have their room, and do not give it away");
    // Nodes that are full of pods that hold a place.
    let held = |priority: i32, spec: Value| {
        let balloon = pod("balloon", "b", "n", json!({ "cpu": "10" }), json!({ "priority": priority }));
        Estate { nodes: vec![plain("n", "12")], pods: vec![balloon, workspace("w", "n", "1", spec)], ..Estate::default() }.fits(size)
    };
    assert_eq!(held(-10, json!({ "priority": 0 })), "12");
    assert_eq!(held(-10, json!({ "priority": 0, "preemptionPolicy": "PreemptLowerPriority" })), "12");
    assert_eq!(held(-10, json!({ "priority": -1 })), "12");
    assert_eq!(held(-10, json!({ "priority": -10 })), "2", "they are of the same priority");
    assert_eq!(held(-10, json!({ "priority": -20 })), "2");
    assert_eq!(held(-10, json!({ "priority": 0, "preemptionPolicy": "Never" })), "2");
    assert_eq!(held(5, json!({ "priority": 10 })), "2", "what works is not room, whoever could drive it away");
}

#[test]
fn what_workspaces_take_of_a_quota_is_not_known_while_none_runs() {
    let bounded = |resource: &str, hard: &str, selector: &'static str| {
        let nodes = vec![plain("n", "100")];
        Estate { nodes, quotas: vec![quota(resource, hard, "0")], selector, ..Estate::default() }.told("cpu: '1', memory: 1Gi", 10)
    };
    let why = "a quota of their namespaces bounds what workspaces may have, and none runs that shows how much of it one takes; start one";
    for (resource, hard) in [
        ("persistentvolumeclaims", "5"),
        ("count/persistentvolumeclaims", "5"),
        ("requests.storage", "5Gi"),
        ("gold.storageclass.storage.k8s.io/requests.storage", "5Gi"),
        ("limits.cpu", "20"),
    ] {
        assert_eq!(bounded(resource, hard, "")[3], why, "{resource}");
    }
    // What is configured tells of requests, and of limits how large they may be.
    assert_eq!(bounded("requests.cpu", "20", "")[..3], ["20", "0.5", "quota"]);
    let range = ", cpu: { min: '1', max: '2' }";
    assert_eq!(bounded("limits.cpu", "40", range)[3], why);
    assert_eq!(bounded("limits.cpu", "200", range)[..3], ["64", "0.84375", "memory"]);
    assert_eq!(bounded("services.loadbalancers", "0", "")[..3], ["64", "0.84375", "memory"]);
}

#[test]
fn a_quota_of_objects_that_workspaces_may_make_has_to_leave_as_many_as_are_expected() {
    let run = |count: usize, resource: &str, hard: &str, used: &str| {
        let pods = (0..count).map(|at| workspace(&format!("w{at}"), "n", "1", json!({}))).collect();
        let nodes = vec![plain("n", "60")];
        let [_, ratio, _, why] = Estate { nodes, pods, quotas: vec![quota(resource, hard, used)], ..Estate::default() }.told("cpu: '1', memory: 1Gi", 10);
        if why.is_empty() { ratio } else { why }
    };
    let free = "0.8333333333333334";
    for resource in ["count/deployments.apps", "count/secrets", "secrets", "services", "configmaps", "count/statefulsets.apps"] {
        let name = resource.trim_start_matches("count/");
        let why = format!("a quota leaves room for 4 more {name} in their namespaces, and nobody sees how many of them a workspace makes");
        assert_eq!(run(1, resource, "5", "1"), why);
        assert_eq!(run(1, resource, "10", "1"), free, "one for each");
        assert_eq!(run(2, resource, "5", "0"), free, "those that run have none");
        assert_eq!(run(0, resource, "5", "0"), why.replace('4', "5"));
    }
    assert_eq!(run(10, "count/deployments.apps", "11", "10"), free, "all that are expected have theirs");
    assert_eq!(run(1, "resourcequotas", "1", "1"), free);
    assert_eq!(run(1, "services.nodeports", "0", "0"), free);
    assert_eq!(run(1, "count/pods", "5", "1"), "-1");
}

fn with_gpu(cpu: &str, more: Value) -> Value {
    let mut spec = json!({ "nodeSelector": { "gpu": "y" }, "containers": [{ "name": "a", "resources": { "requests": { "cpu": cpu, "memory": "1Gi" }, "limits": { "nvidia.com/gpu": "1" } } }] });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    workspace("g", "g0", cpu, spec)
}

#[test]
fn workspaces_of_each_kind_fit_by_their_own_size() {
    let gpus = |nodes: usize, count: &str| {
        (0..nodes).map(|at| sized(&format!("g{at}"), "16", json!({ "gpu": "y" }), json!({ "nvidia.com/gpu": count }))).collect::<Vec<_>>()
    };
    let plains = |nodes: usize, cpu: &str| (0..nodes).map(|at| sized(&format!("n{at}"), cpu, json!({ "kind": "cpu" }), json!({}))).collect::<Vec<_>>();
    // One that is large on each node with GPUs, and as many small ones.
    let few = Estate {
        nodes: [gpus(4, "8"), plains(4, "16")].concat(),
        pods: vec![with_gpu("9", json!({})), workspace("p", "n0", "500m", json!({}))],
        ..Estate::default()
    };
    assert_eq!(few.fits("cpu: 500m, memory: 1Gi"), "8");
    // Nodes with GPUs are just large enough for one, and no small one may run there.
    let own = json!({ "nodeSelector": { "kind": "cpu" } });
    let many =
        Estate { nodes: [gpus(9, "1"), plains(20, "4")].concat(), pods: vec![with_gpu("14", json!({})), workspace("p", "n0", "1", own)], ..Estate::default() };
    assert_eq!(many.fits("cpu: 500m, memory: 1Gi"), "18");
    // Of different sizes alone: nodes that are too small for the large ones take none of them.
    let sizes = |cpu: &str| Estate {
        nodes: plains(4, cpu),
        pods: vec![workspace("l", "gone", "9", json!({})), workspace("s", "gone", "3", json!({}))],
        ..Estate::default()
    };
    assert_eq!(sizes("6").fits("cpu: '3', memory: 1Gi"), "2", "only those that run");
    assert_eq!(sizes("12").fits("cpu: '3', memory: 1Gi"), "10", "one of each on every node");
    assert_eq!(sizes("12").fits("cpu: '6', memory: 1Gi"), "10", "what is written down is what they have on average");
    // New nodes take what is left of them as well.
    let new =
        Estate { config: ", nodepools: [{ name: ws, cpu: '12', memory: 32Gi, max_nodes: 4 }]", pool: Some((json!({}), json!({}), Vec::new())), ..sizes("1") };
    assert_eq!(new.fits("cpu: '3', memory: 1Gi"), "10");
}

/// A claim of the pool of which the machine has more than its node offers.
fn claim(name: &str, phase: &str, capacity: &Value, allocatable: &Value) -> Value {
    let condition = json!({ "type": phase, "status": "True" });
    json!({ "metadata": { "name": name, "labels": { "karpenter.sh/nodepool": "ws" } },
        "status": { "nodeName": name, "conditions": [condition], "capacity": capacity, "allocatable": allocatable } })
}

const POOL: &str = ", tolerations: [], nodepools: [{ name: ws, max_nodes: 100 }]";

#[test]
fn the_limits_of_a_pool_count_what_its_machines_have() {
    let (whole, offered) = (json!({ "cpu": "2", "memory": "1862Mi", "pods": "11" }), json!({ "cpu": "1930m", "memory": "1419Mi", "pods": "11" }));
    let own =
        |config: &'static str, claims: Vec<Value>| Estate { config, pool: Some((json!({}), json!({ "memory": "22528Mi" }), claims)), ..Estate::default() };
    let size = "cpu: '1', memory: 1300Mi";
    assert_eq!(own(POOL, vec![claim("c", "Ready", &whole, &offered)]).fits(size), "12");
    // Before there is a machine its kubelet keeps back what kubelets do.
    let written = ", tolerations: [], nodepools: [{ name: ws, cpu: 1930m, memory: 1419Mi, max_nodes: 100 }]";
    assert_eq!(own(written, Vec::new()).fits(size), "7");
    let cores = |limit: &str| Estate {
        config: ", nodepools: [{ name: ws, cpu: 15890m, memory: 60Gi, max_nodes: 100 }]",
        pool: Some((json!({}), json!({ "cpu": limit }), Vec::new())),
        ..Estate::default()
    };
    assert_eq!([cores("32").fits("cpu: '10', memory: 1Gi"), cores("31900m").fits("cpu: '10', memory: 1Gi")], ["2", "1"]);
}

#[test]
fn a_pool_makes_only_what_it_requires_of_its_nodes() {
    let with = |key: &str, operator: &str, values: &[&str]| json!({ "requirements": [{ "key": key, "operator": operator, "values": values }] });
    let of = |template: Value| {
        let config = ", tolerations: [], nodepools: [{ name: ws, cpu: '15', memory: 60Gi, max_nodes: 4 }]";
        Estate { config, pool: Some((template, json!({ "cpu": "1000" }), Vec::new())), ..Estate::default() }.fits("cpu: '5', memory: 1Gi")
    };
    let large = |most: &str| format!("nodes of the pool ws count with 15 CPU, and it makes none with more than {most}");
    let aws = |name: &str| format!("karpenter.k8s.aws/{name}");
    assert_eq!(of(json!({})), "12");
    assert_eq!(of(with(&aws("instance-cpu"), "Lt", &["3"])), large("2"));
    assert_eq!(of(with(&aws("instance-cpu"), "Lte", &["4"])), large("4"));
    assert_eq!(of(with("eks.amazonaws.com/instance-cpu", "In", &["4", "8"])), large("8"));
    assert_eq!(of(with(&aws("instance-cpu"), "Lt", &["17"])), "12");
    assert_eq!(of(with(&aws("instance-cpu"), "Gt", &["3"])), "12");
    assert_eq!(of(with(&aws("instance-size"), "In", &["medium"])), large("2"));
    assert_eq!(of(with("node.kubernetes.io/instance-type", "In", &["m5.large", "m5.2xlarge"])), large("8"));
    assert_eq!(of(with("node.kubernetes.io/instance-type", "In", &["m5.large", "m5.4xlarge"])), "12");
    assert_eq!(of(with("node.kubernetes.io/instance-type", "In", &["m5.metal"])), "12");
    assert_eq!(of(with("node.kubernetes.io/instance-type", "In", &["Standard_D4s_v5"])), "12", "nobody knows how large those are");
    assert_eq!(of(with(&aws("instance-memory"), "Lt", &["32769"])), "nodes of the pool ws count with 60 GiB of memory, and it makes none with more than 32");
    assert_eq!(of(with("kubernetes.io/os", "In", &["windows"])), "the pool ws makes nodes for Windows, and no workspace that runs asks for such a node");
    let both = |one: Value, other: Value| json!({ "requirements": [one["requirements"][0], other["requirements"][0]] });
    let zone = "topology.kubernetes.io/zone";
    assert_eq!(of(both(with(zone, "In", &["a"]), with(zone, "NotIn", &["a"]))), "0");
    assert_eq!(of(both(with(zone, "In", &["a", "b"]), with(zone, "NotIn", &["a"]))), "12");
    assert_eq!(of(both(with("x", "Exists", &[]), with("x", "DoesNotExist", &[]))), "0");
    assert_eq!(of(both(with(&aws("instance-cpu"), "Gt", &["32"]), with(&aws("instance-cpu"), "Lt", &["17"]))), "0");
    // What a pool taints for good stays, whatever it is called.
    for key in ["example.com/not-ready", "node.kubernetes.io/not-ready", "other"] {
        let tainted = |effect: &str| json!({ "taints": [{ "key": key, "effect": effect }] });
        assert_eq!([of(tainted("NoSchedule")), of(tainted("PreferNoSchedule"))], ["0", "12"], "{key}");
        assert_eq!(of(json!({ "startupTaints": [{ "key": key, "effect": "NoSchedule" }] })), "12", "{key}");
    }
}

#[test]
fn a_pool_may_have_no_more_nodes_than_the_account_allows() {
    let size = json!({ "cpu": "15", "memory": "60Gi", "pods": "110" });
    let with = |claims: Vec<Value>| {
        let config = ", tolerations: [], nodepools: [{ name: ws, cpu: '15', memory: 60Gi, max_nodes: 3 }]";
        Estate { config, pool: Some((json!({}), json!({ "cpu": "100000" }), claims)), ..Estate::default() }.fits("cpu: '10', memory: 1Gi")
    };
    let made = |phase: &'static str, count: usize| (0..count).map(|at| claim(&format!("c{at}"), phase, &size, &size)).collect::<Vec<_>>();
    assert_eq!(with(Vec::new()), "3");
    assert_eq!(with(made("Ready", 2)), "1");
    assert_eq!(with(made("Registered", 3)), "0");
    assert_eq!(with(made("Ready", 4)), "0");
    assert_eq!(with(made("Launched", 2)), "3", "these are still to come");
}

#[test]
fn a_workspace_without_a_node_is_told_whatever_its_priority() {
    let said = |namespace: &str| {
        let waits =
            json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu", "lastTransitionTime": ago(900) });
        let own = json!({ "metadata": { "name": "w", "namespace": namespace, "uid": "w" }, "spec": { "priority": -1, "containers": [] },
            "status": { "phase": "Pending", "conditions": [waits] } });
        let selectors = serde_saphyr::from_str("[{ name: ws, namespaces: [ws] }]").unwrap();
        told(Pods::new(3600, Workspaces::new(selectors, 3600), Clock::default()), &[own])
    };
    says(&said("ws"), "pods_unscheduled eu/ws/insufficient_cpu = 1");
    assert!(!said("b").iter().any(|line| line.starts_with("pods_unscheduled")), "it holds a place");
}
