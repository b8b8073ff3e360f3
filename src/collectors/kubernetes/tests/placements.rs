//! Where workspaces may run, as those that run ask for it.

use serde_json::{Value, json};

use super::*;
use crate::collectors::kubernetes::kinds::nodes::{Interests, Nodes};
use crate::collectors::kubernetes::kinds::pods::Pods;
use crate::collectors::kubernetes::kinds::workspaces::Workspaces;
use crate::collectors::kubernetes::reading::clock::Clock;
use crate::collectors::kubernetes::tests::of_kinds::filled;
use crate::collectors::kubernetes::tests::shapes::node;
use crate::collectors::kubernetes::tests::{demands, headroom_of, read, words};

/// Workspaces that run on these nodes, with these specifications.
fn workspaces(specs: &[(&str, Value)]) -> Pods {
    let selectors = serde_saphyr::from_str("[{ name: ws, namespaces: [ws], labels: { a: w } }]").unwrap();
    let mut pods = Pods::new(3600, Workspaces::new(selectors, 3600), Clock::default());
    for (at, (node, more)) in specs.iter().enumerate() {
        let name = format!("w{at}");
        let mut spec = json!({ "nodeName": node, "containers": [{ "name": "a", "resources": { "requests": { "cpu": "2" } } }] });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let labels = json!({ "a": "w", "app": "ide", "user": name });
        let pod = json!({ "metadata": { "name": name, "namespace": "ws", "uid": name, "labels": labels }, "spec": spec, "status": { "phase": "Running" } });
        Index::put(&mut pods, read(&pod), true);
    }
    pods
}

/// Nodes of 8 cores with these names, labels and GPUs.
fn nodes(all: &[(&str, Value, &str)]) -> Nodes {
    let mut kept = Nodes::new(Interests { capacity_labels: Some([].into()), ..Interests::default() });
    for (name, labels, gpus) in all {
        let size = json!({ "cpu": "8", "memory": "320Gi", "pods": "110", "nvidia.com/gpu": gpus, "hugepages-2Mi": "0" });
        let metadata = json!({ "name": name, "uid": name, "labels": labels });
        Index::put(&mut kept, read(&node(name, &json!({ "/metadata": metadata, "/status/capacity": size, "/status/allocatable": size }))), true);
    }
    kept
}

/// How many workspaces fit, what keeps more from fitting, and why that is not known.
fn fits_with(pods: &Pods, nodes: &Nodes, pool: Option<&Value>, quotas: &[Value]) -> [String; 3] {
    let samples = room(pods, nodes, pool, quotas, &classes(&json!({}), "True"), "{}");
    let of = |what: &str| samples.iter().map(words).find_map(|line| line.strip_prefix(what).map(str::to_owned)).unwrap();
    let ratio = samples.iter().find(|sample| sample.family.name == "readiness_capacity_headroom_ratio").unwrap();
    let why = if ratio.value.is_nan() { ratio.detail.as_ref().unwrap().to_string() } else { String::new() };
    [of("capacity_workspaces eu = "), of("capacity_limit_state eu = "), why]
}

/// The one class of nodes.
fn classes(spec: &Value, ready: &str) -> nodeclasses::Classes {
    let class = json!({ "metadata": { "name": "d" }, "spec": spec, "status": { "conditions": [{ "type": "Ready", "status": ready }] } });
    nodeclasses::Classes::of(&filled::<nodeclasses::EC2NodeClass>(&[class]))
}

fn room(pods: &Pods, nodes: &Nodes, pool: Option<&Value>, quotas: &[Value], classes: &nodeclasses::Classes, labels: &str) -> Vec<Sample> {
    let (pools, claims) = (filled::<karpenter::NodePool>(&pool.cloned().into_iter().collect::<Vec<_>>()), filled::<karpenter::NodeClaim>(&[]));
    let (quotas, ranges) = (filled::<quotas::ResourceQuota>(quotas), filled::<quotas::LimitRange>(&[]));
    let rules = Some(quotas::Rules { quotas: &quotas, ranges: &ranges });
    let demands = demands([1]);
    let scene = capacity::Scene { karpenter: Some((&pools, &claims)), classes: Some(classes), rules, ..capacity::Scene::of(nodes, pods, &demands) };
    let config = if pool.is_some() { ", nodepools: [{ name: ws, cpu: '8', memory: 320Gi, max_nodes: 2 }]" } else { "" };
    headroom_of(&format!("{{ workspaces: ws, cpu: '2', memory: 4Gi, node_labels: {labels}{config} }}"), &scene)
}

fn fits(pods: &Pods, nodes: &Nodes) -> [String; 3] {
    fits_with(pods, nodes, None, &[])
}

fn is(count: &str, limit: &str) -> [String; 3] {
    [count.to_owned(), limit.to_owned(), String::new()]
}

fn four(labels: &Value, gpus: &str) -> Nodes {
    nodes(&["n0", "n1", "n2", "n3"].map(|name| (name, labels.clone(), gpus)))
}

fn gpus(resource: &str, count: &str) -> Value {
    json!({ "containers": [{ "name": "a", "resources": { "requests": { "cpu": "2", resource: count }, "limits": { resource: count } } }] })
}

#[test]
fn workspaces_that_hold_a_device_fit_where_one_is_left() {
    let with_gpu = |count: &str| workspaces(&[("n1", gpus("nvidia.com/gpu", count))]);
    assert_eq!(fits(&with_gpu("1"), &four(&json!({}), "1")), is("4", "device"));
    assert_eq!(fits(&with_gpu("1"), &four(&json!({}), "8")), is("16", "cpu"));
    assert_eq!(fits(&with_gpu("2"), &four(&json!({}), "3")), is("4", "device"));
    assert_eq!(fits(&workspaces(&[("n1", gpus("hugepages-2Mi", "64Mi"))]), &four(&json!({}), "0")), is("1", "device"));
    assert_eq!(fits(&workspaces(&[("n1", gpus("example.com/fuse", "1"))]), &four(&json!({}), "0")), is("1", "device"));
    assert_eq!(fits(&workspaces(&[("n1", json!({}))]), &four(&json!({}), "1")), is("16", "cpu"), "who asks for none needs none");
    let quota = |hard: &str| json!({ "metadata": { "name": "q", "namespace": "ws" }, "spec": { "hard": { "requests.nvidia.com/gpu": hard } }, "status": { "hard": { "requests.nvidia.com/gpu": hard }, "used": { "requests.nvidia.com/gpu": "1" } } });
    assert_eq!(fits_with(&with_gpu("1"), &four(&json!({}), "8"), None, &[quota("3")]), is("3", "quota"));
    assert_eq!(fits_with(&with_gpu("1"), &four(&json!({}), "8"), None, &[quota("300")]), is("16", "cpu"));
}

#[test]
fn workspaces_of_two_kinds_fit_in_the_shares_in_which_they_run() {
    let both = |with: usize, without: usize| {
        let with = (0..with).map(|_| ("n0", gpus("nvidia.com/gpu", "1")));
        workspaces(&with.chain((0..without).map(|_| ("n1", json!({})))).collect::<Vec<_>>())
    };
    let some_gpus = |gpus: &'static str| nodes(&[("n0", json!({}), gpus), ("n1", json!({}), "0"), ("n2", json!({}), "0"), ("n3", json!({}), "0")]);
    // Two have a node; of four GPUs three are left, and each second workspace takes one.
    assert_eq!(fits(&both(1, 1), &some_gpus("4"))[0], "8");
    // Few need one, so that what other nodes have left is no loss.
    assert_eq!(fits(&both(1, 3), &some_gpus("4"))[0], "16");
}

#[test]
fn workspaces_fit_on_nodes_with_the_labels_that_they_ask_for() {
    let selects = json!({ "nodeSelector": { "disk": "fast" } });
    let affinity =
        |terms: Value| json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } } });
    let one = nodes(&[("n0", json!({ "disk": "fast", "cpus": "8" }), "0"), ("n1", json!({}), "0"), ("n2", json!({}), "0"), ("n3", json!({}), "0")]);
    let all = four(&json!({ "disk": "fast" }), "0");
    let on = |spec: &Value, nodes: &Nodes| fits(&workspaces(&[("n0", spec.clone())]), nodes);
    assert_eq!(on(&selects, &one), is("4", "node_affinity"));
    assert_eq!(on(&selects, &all), is("16", "cpu"));
    let fast = json!({ "key": "disk", "operator": "In", "values": ["fast"] });
    assert_eq!(on(&affinity(json!([{ "matchExpressions": [fast] }])), &one), is("4", "node_affinity"));
    assert_eq!(
        on(&affinity(json!([{ "matchExpressions": [fast] }, { "matchExpressions": [{ "key": "x", "operator": "DoesNotExist" }] }])), &one),
        is("16", "cpu")
    );
    assert_eq!(on(&affinity(json!([{ "matchExpressions": [{ "key": "cpus", "operator": "Gt", "values": ["4"] }] }])), &one)[0], "4");
    let preferred = json!({ "affinity": { "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "preference": {} }] } } });
    assert_eq!(on(&preferred, &one), is("16", "cpu"));
    let [.., why] = on(&affinity(json!([{ "matchExpressions": [{ "key": "disk", "operator": "Sometimes" }] }])), &one);
    assert_eq!(why, "workspaces that run ask for nodes by an operator that is not known here");
    let [.., why] = on(&affinity(json!([{ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n0"] }] }])), &one);
    assert_eq!(why, "workspaces that run ask for nodes by name, which is not counted here");
}

#[test]
fn workspaces_that_keep_apart_fit_once_on_each_node() {
    let apart = |labels: Value, key: &str| json!({ "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{ "labelSelector": { "matchLabels": labels }, "topologyKey": key }] } } });
    let host = "kubernetes.io/hostname";
    let one = |spec: Value| fits(&workspaces(&[("n0", spec)]), &four(&json!({}), "0"));
    assert_eq!(one(apart(json!({ "a": "w" }), host)), is("4", "anti_affinity"));
    assert_eq!(one(json!({ "containers": [{ "name": "a", "ports": [{ "hostPort": 80 }] }] })), is("4", "anti_affinity"));
    // Two that run have the same rule and both keep by it, so that others do as well.
    let ides = [("n0", apart(json!({ "app": "ide" }), host)), ("n1", apart(json!({ "app": "ide" }), host))];
    assert_eq!(fits(&workspaces(&ides), &four(&json!({}), "0")), is("4", "anti_affinity"));
    // Each keeps only its own kind away, and all are of different ones.
    let users = [("n0", apart(json!({ "user": "w0" }), host)), ("n0", apart(json!({ "user": "w1" }), host))];
    let why = "a workspace that runs keeps away from others by labels of which nobody knows whether the next ones have them";
    assert_eq!(fits(&workspaces(&users), &four(&json!({}), "0"))[2], why);
    for (labels, key) in [(json!({ "a": "w" }), "topology.kubernetes.io/zone"), (json!({ "app": "db" }), host)] {
        assert!(one(apart(labels.clone(), key))[2].ends_with("which is not counted here"), "{labels} {key}");
    }
    let beside = json!({ "affinity": { "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{ "topologyKey": host }] } } });
    assert_eq!(one(beside)[2], "workspaces that run ask to run beside other pods, which is not counted here");
    assert_eq!(one(json!({ "resourceClaims": [{ "name": "gpu" }] }))[2], "workspaces that run ask for devices by resource claims, which is not counted here");
}

#[test]
fn workspaces_that_are_spread_fill_no_place_far_above_the_others() {
    let spread = |when: &str| json!({ "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": when, "labelSelector": { "matchLabels": { "a": "w" } } }] });
    let zones = |of_last: &str| nodes(&[("n0", json!({ "zone": "a" }), "0"), ("n1", json!({ "zone": "a" }), "0"), ("n2", json!({ "zone": of_last }), "0")]);
    let on = |when: &str, nodes: &Nodes| fits(&workspaces(&[("n0", spread(when))]), nodes);
    assert_eq!(on("DoNotSchedule", &zones("b")), is("9", "topology_spread"), "5 and 4");
    assert_eq!(on("DoNotSchedule", &zones("a")), is("12", "cpu"));
    assert_eq!(on("ScheduleAnyway", &zones("b")), is("12", "cpu"));
    // A node without the label is in no place.
    assert_eq!(on("DoNotSchedule", &nodes(&[("n0", json!({ "zone": "a" }), "0"), ("n1", json!({}), "0")]))[0], "4");
}

fn pool(template: &Value) -> Value {
    json!({ "metadata": { "name": "ws" }, "spec": { "limits": { "cpu": "1000" }, "template": template }, "status": { "conditions": [{ "type": "Ready", "status": "True" }] } })
}

#[test]
fn new_nodes_are_room_for_workspaces_that_may_run_there() {
    let with = |spec: &Value, template: Value| fits_with(&workspaces(&[("gone", spec.clone())]), &nodes(&[]), Some(&pool(&template)), &[]);
    let selects = json!({ "nodeSelector": { "disk": "fast" } });
    assert_eq!(with(&json!({}), json!({})), is("9", "nodepool_nodes"));
    assert_eq!(with(&selects, json!({})), is("1", "nodepool_of_other_nodes"));
    assert_eq!(with(&selects, json!({ "metadata": { "labels": { "disk": "slow" } } })), is("1", "nodepool_of_other_nodes"));
    assert_eq!(with(&selects, json!({ "metadata": { "labels": { "disk": "fast" } } })), is("9", "nodepool_nodes"));
    let requires = |values: &[&str]| json!({ "spec": { "requirements": [{ "key": "disk", "operator": "In", "values": values }] } });
    assert_eq!(with(&selects, requires(&["slow", "fast"])), is("9", "nodepool_nodes"));
    assert_eq!(with(&selects, requires(&["slow"])), is("1", "nodepool_of_other_nodes"));
    let [.., why] = with(&gpus("nvidia.com/gpu", "1"), json!({}));
    assert_eq!(why, "workspaces that run ask for nvidia.com/gpu, and no node of the pool ws that is there tells how many a new one has");
}

/// What is told of room on new nodes of a pool, for workspaces of which none runs.
fn new_room(template: &Value, class: &nodeclasses::Classes, there: &Nodes, labels: &str) -> [String; 2] {
    let samples = room(&workspaces(&[]), there, Some(&pool(template)), &[], class, labels);
    let fit = samples.iter().map(words).find_map(|line| line.strip_prefix("capacity_workspaces_addable eu/new_nodes = ").map(str::to_owned)).unwrap();
    let ratio = samples.iter().find(|sample| sample.family.name == "readiness_capacity_headroom_ratio").unwrap();
    [fit, if ratio.value.is_nan() { ratio.detail.as_ref().unwrap().to_string() } else { String::new() }]
}

#[test]
fn new_nodes_count_where_they_will_have_the_labels_of_nodes_for_workspaces() {
    let of = |template: Value, there: &Nodes| new_room(&template, &classes(&json!({}), "True"), there, "{ used: ws }");
    let labelled = |labels: Value| json!({ "metadata": { "labels": labels } });
    let requires = |values: &[&str]| json!({ "spec": { "requirements": [{ "key": "used", "operator": "In", "values": values }] } });
    let count = |count: &str| [count.to_owned(), String::new()];
    let why = "neither the pool ws nor a node of it tells whether new ones have the labels of capacity.node_labels";
    assert_eq!(of(labelled(json!({ "used": "ws" })), &nodes(&[])), count("8"));
    assert_eq!(of(labelled(json!({ "used": "other" })), &nodes(&[])), count("0"));
    assert_eq!(of(requires(&["ws"]), &nodes(&[])), count("8"));
    assert_eq!(of(requires(&["other"]), &nodes(&[])), count("0"));
    assert_eq!(of(requires(&["other", "ws"]), &nodes(&[]))[1], why);
    assert_eq!(of(json!({}), &nodes(&[]))[1], why);
    // Nodes may get it from their class or an agent, and then those that are there have it.
    let with = |labels: Value| {
        let mut kept = Nodes::new(Interests { capacity_labels: Some([("used".to_owned(), "ws".to_owned())].into()), ..Interests::default() });
        Index::put(&mut kept, read(&node("n0", &json!({ "/metadata": { "name": "n0", "uid": "n0", "labels": labels } }))), true);
        kept
    };
    assert_eq!(of(json!({}), &with(json!({ "karpenter.sh/nodepool": "ws", "used": "ws" }))), count("8"));
    assert_eq!(of(json!({}), &with(json!({ "karpenter.sh/nodepool": "ws" }))), count("0"));
    let by_name = |labels: &str| new_room(&json!({}), &classes(&json!({}), "True"), &nodes(&[]), labels);
    assert_eq!(by_name("{ karpenter.sh/nodepool: ws, kubernetes.io/os: linux }"), count("8"));
    assert_eq!(by_name("{ kubernetes.io/arch: amd64 }")[1], why);
}

#[test]
fn new_nodes_are_made_by_a_class_that_is_ready_and_take_the_pods_that_it_says() {
    let named = |kind: &str, name: &str| json!({ "spec": { "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": kind, "name": name } } });
    let of = |template: &Value, class: &nodeclasses::Classes| new_room(template, class, &nodes(&[]), "{}")[0].clone();
    let own = named("EC2NodeClass", "d");
    assert_eq!(of(&own, &classes(&json!({}), "True")), "8");
    assert_eq!(of(&own, &classes(&json!({}), "False")), "0");
    assert_eq!(of(&named("EC2NodeClass", "gone"), &classes(&json!({}), "True")), "0");
    assert_eq!(of(&named("AKSNodeClass", "other"), &classes(&json!({}), "True")), "8", "the pool says that it is ready");
    assert_eq!(of(&own, &classes(&json!({ "kubelet": { "maxPods": 3 } }), "True")), "6");
    assert_eq!(of(&own, &classes(&json!({ "kubelet": { "maxPods": 300 } }), "True")), "8");
    assert_eq!(of(&own, &classes(&json!({ "kubelet": { "podsPerCore": 0, "maxPods": null } }), "True")), "8");
    let few = json!({ "spec": { "nodeClassRef": own["spec"]["nodeClassRef"], "taints": [] } });
    assert_eq!(of(&few, &classes(&json!({ "kubelet": { "podsPerCore": 1 } }), "True")), "8", "8 pods on 8 cores");
}

#[test]
fn new_nodes_are_of_the_platforms_that_their_pool_and_workspaces_ask_for() {
    let told = |requirements: Value, selects: Value| {
        let template = json!({ "spec": { "requirements": requirements } });
        let samples =
            room(&workspaces(&[("n", json!({ "nodeSelector": selects }))]), &nodes(&[]), Some(&pool(&template)), &[], &classes(&json!({}), "True"), "{}");
        samples.iter().map(words).filter_map(|line| line.strip_prefix("nodepool_platform_state eu/ws/").map(str::to_owned)).collect::<Vec<_>>()
    };
    let arch = |values: &[&str]| json!([{ "key": "kubernetes.io/arch", "operator": "In", "values": values }]);
    assert_eq!(told(arch(&["arm64"]), json!({})), ["linux/arm64 = all"]);
    assert_eq!(told(json!([]), json!({})), ["linux/amd64 = some", "linux/arm64 = some"]);
    assert_eq!(told(json!([]), json!({ "kubernetes.io/arch": "amd64" })), ["linux/amd64 = all"]);
    assert!(told(arch(&["arm64"]), json!({ "kubernetes.io/arch": "amd64" })).is_empty());
}
