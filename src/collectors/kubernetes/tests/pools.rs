//! What Karpenter will make, and what it takes away.

use serde_json::{Value, json};

use super::*;
use crate::collectors::kubernetes::kinds::events::{Counted, Warnings};
use crate::collectors::kubernetes::kinds::nodes::{Interests, Nodes};
use crate::collectors::kubernetes::kinds::pods::Pods;
use crate::collectors::kubernetes::kinds::workspaces::Workspaces;
use crate::collectors::kubernetes::reading::clock::Clock;
use crate::collectors::kubernetes::tests::of_kinds::filled;
use crate::collectors::kubernetes::tests::shapes::{distances_of, node};
use crate::collectors::kubernetes::tests::{ago, headroom_of, read, says, told, words};

#[test]
fn a_pool_is_off_where_it_may_have_none_of_what_all_of_its_nodes_have() {
    let gpus = json!({ "requirements": [{ "key": "karpenter.k8s.aws/instance-gpu-count", "operator": "Gt", "values": ["0"] }] });
    let none = json!({ "requirements": [{ "key": "karpenter.k8s.aws/instance-gpu-count", "operator": "DoesNotExist" }] });
    let tainted = json!({ "taints": [{ "key": "nvidia.com/gpu", "effect": "NoSchedule" }] });
    let of = |limits: Value, template: &Value| {
        let mut spec = json!({ "limits": limits, "template": { "spec": { "expireAfter": "2h" } } });
        spec["template"]["spec"].as_object_mut().unwrap().extend(template.as_object().unwrap().clone());
        let pool = json!({ "metadata": { "name": "ws" }, "spec": spec.clone(), "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
        let (pools, claims) = (filled::<karpenter::NodePool>(&[pool]), filled::<karpenter::NodeClaim>(&[]));
        let (nodes, pods) = (Nodes::new(Interests::default()), Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default()));
        let config =
            "{ workspaces: ws, cpu: '2', memory: 4Gi, tolerations: [{ operator: Exists }], nodepools: [{ name: ws, cpu: '8', memory: 32Gi, max_nodes: 9 }] }";
        let samples = headroom_of(config, &capacity::Scene { karpenter: Some((&pools, &claims)), ..capacity::Scene::of(&nodes, &pods, &demands([1])) });
        let makes = samples.iter().map(words).find_map(|line| line.strip_prefix("capacity_workspaces_addable eu/new_nodes = ").map(str::to_owned)).unwrap();
        (makes, distances_of(&spec, &[]).len())
    };
    let makes = |limits: Value, template: &Value| of(limits, template) == ("36".to_owned(), 1);
    let off = |limits: Value, template: &Value| of(limits, template) == ("0".to_owned(), 0);
    let no_gpu = || json!({ "cpu": "1000", "nvidia.com/gpu": "0" });
    assert!(makes(json!({ "cpu": "1000" }), &json!({})));
    assert!(makes(no_gpu(), &json!({})), "nodes without a GPU come all the same");
    assert!(makes(no_gpu(), &none));
    assert!(makes(json!({ "cpu": "1000", "vpc.amazonaws.com/efa": "0" }), &gpus));
    assert!(off(no_gpu(), &gpus));
    assert!(off(no_gpu(), &tainted));
    for everywhere in ["cpu", "memory", "ephemeral-storage", "pods", "nodes"] {
        assert!(off(json!({ everywhere: "0" }), &json!({})), "{everywhere}");
    }
}

#[test]
fn a_pool_for_which_the_cloud_had_no_machine_makes_no_sure_nodes() {
    let pool = |name: &str| json!({ "metadata": { "name": name }, "spec": { "limits": { "cpu": "1000" } }, "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    let claim = |made: i64| {
        json!({ "metadata": { "name": "ws-1", "creationTimestamp": ago(made), "labels": { "karpenter.sh/nodepool": "ws" } },
            "status": { "conditions": [{ "type": "Launched", "status": "True", "lastTransitionTime": ago(made) }] } })
    };
    let event = |claim: &str, seconds: i64| {
        json!({ "metadata": { "name": claim, "namespace": "default", "uid": claim }, "type": "Warning", "reason": "InsufficientCapacityError",
            "lastTimestamp": ago(seconds), "count": 20, "involvedObject": { "kind": "NodeClaim", "name": claim, "uid": "u" } })
    };
    let is_known = |events: &[Value], claims: &[Value]| {
        let mut warnings = Counted::new(Warnings::new(3600), Clock::default());
        for event in events {
            Index::put(&mut warnings, read(event), true);
        }
        let shortages = warnings.digest.shortages(0);
        let (pools, claims) = (filled::<karpenter::NodePool>(&[pool("ws"), pool("other")]), filled::<karpenter::NodeClaim>(claims));
        let (nodes, pods) = (Nodes::new(Interests::default()), Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default()));
        let config =
            "{ workspaces: ws, cpu: '2', memory: 4Gi, tolerations: [{ operator: Exists }], nodepools: [{ name: ws, cpu: '8', memory: 32Gi, max_nodes: 9 }] }";
        let demands = demands([1]);
        let scene = capacity::Scene { karpenter: Some((&pools, &claims)), shortages: Some(&shortages), ..capacity::Scene::of(&nodes, &pods, &demands) };
        let said: Vec<String> = headroom_of(config, &scene).iter().map(words).collect();
        !said.iter().any(|line| line == "capacity_headroom_ratio eu/w = NaN")
    };
    assert!(is_known(&[], &[]));
    assert!(!is_known(&[event("ws-x7k2p", 30)], &[]));
    assert!(!is_known(&[event("ws-x7k2p", 30)], &[claim(600)]), "of a node that was made before");
    assert!(is_known(&[event("ws-x7k2p", 600)], &[claim(60)]), "the cloud has machines again");
    assert!(is_known(&[event("other-x7k2p", 30)], &[]), "of another pool");
    assert!(!is_known(&[event("gone-x7k2p", 30)], &[]), "of a pool that nobody knows");
    assert!(is_known(&[event("ws-x7k2p", 4000)], &[]), "long ago");
}

#[test]
fn a_node_that_is_taken_away_is_excused_for_half_an_hour_of_silence() {
    let leaving = |ready: &str, since: i64, taints: Value, more: Value| {
        let conditions = json!([{ "type": "Ready", "status": ready, "lastTransitionTime": ago(since) }, { "type": "DiskPressure", "status": ready }]);
        let mut node = node("n", &json!({ "/spec/taints": taints, "/status/conditions": conditions }));
        node["metadata"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        node
    };
    let said = |node: &Value| told(Nodes::new(Interests::default()), std::slice::from_ref(node));
    let marked = |key: &str| json!([{ "key": key, "effect": "NoSchedule" }, { "key": "node.kubernetes.io/unreachable", "effect": "NoExecute" }]);
    let deleted = || json!({ "deletionTimestamp": ago(3 * 86_400) });
    for (taints, more) in [(marked("ToBeDeletedByClusterAutoscaler"), json!({})), (marked("karpenter.sh/disrupted"), json!({})), (marked("other"), deleted())] {
        let old = leaving("Unknown", 3 * 86_400, taints.clone(), more.clone());
        says(&said(&old), "node_condition_state eu/n/Ready = unknown");
        says(&said(&old), "node_condition_state eu/n/DiskPressure = unknown");
        says(&said(&old), "node_problem_taint eu/n/node.kubernetes.io/unreachable = 1");
        says(&said(&old), "node_disrupted eu/n = 1");
        // However long its pods have taken to leave: what is silent now is about to be gone.
        let new = said(&leaving("Unknown", 120, taints, more));
        assert!(!new.iter().any(|line| line.contains("condition_state") || line.contains("problem_taint")), "{new:?}");
    }
    let off = leaving("False", 1900, json!([]), deleted());
    says(&said(&off), "node_condition_state eu/n/Ready = false");
    // One that drains for days and works is neither silent nor broken.
    let drains = said(&leaving("True", 9 * 86_400, json!([]), deleted()));
    says(&drains, "node_condition_state eu/n/Ready = true");
    let mut kept = Nodes::new(Interests::default());
    Index::put(&mut kept, read(&leaving("Unknown", 1900, json!([]), deleted())), true);
    assert!(!kept.iter().any(|(_, node)| node.is_changing(clock::now())), "its DaemonSets lack pods for no good reason");
}
