//! What Karpenter will make, and what it takes away.

use serde_json::{Value, json};

use super::*;
use crate::collectors::kubernetes::kinds::nodes::{Interests, Nodes};
use crate::collectors::kubernetes::kinds::pods::Pods;
use crate::collectors::kubernetes::kinds::workspaces::Workspaces;
use crate::collectors::kubernetes::reading::clock::Clock;
use crate::collectors::kubernetes::tests::of_kinds::filled;
use crate::collectors::kubernetes::tests::shapes::distances_of;
use crate::collectors::kubernetes::tests::words;

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
        let config = "{ workspaces: ws, cpu: '2', memory: 4Gi, tolerations: [{ operator: Exists }], nodepools: [{ name: ws, cpu: '8', memory: 32Gi, max_new_nodes: 9 }] }";
        let scene = capacity::Scene { nodes: &nodes, pods: &pods, karpenter: Some((&pools, &claims)), rules: None, namespaces: None, participants: Some(1) };
        let mut samples = Vec::new();
        capacity::headroom(&"eu".into(), &serde_saphyr::from_str(config).unwrap(), &scene, &mut samples);
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
