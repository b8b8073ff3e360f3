//! A crowd: as many nodes and pods as Kubernetes documents as its limit, for benches.
//!
//! Pods are as large as real ones: most of the text of a pod is what nobody here reads.

use serde_json::{Value, json};

use super::Server;
use super::store::CROWD;

impl Server {
    /// Adds nodes and pods beside those of the estate.
    pub(crate) fn crowd(&self, nodes: u32, pods: u32) {
        let mut store = self.store();
        for index in 0..nodes {
            let mut node = self.node(index + 1_000_000);
            node["metadata"]["name"] = json!(node_name(index));
            node["metadata"]["uid"] = json!(uid(1, index));
            store.put("v1/nodes", &format!("{CROWD}{}", node_name(index)), &node);
        }
        for index in 0..pods {
            store.put("v1/pods", &key(index), &pod(index, nodes.max(1), 0));
        }
        // What was there before anybody listened needs no log.
        store.compact();
        self.changed.send_replace(store.version);
    }

    /// Changes these pods: a container has restarted once more.
    pub(crate) fn churn(&self, pods: impl Iterator<Item = u32>, nodes: u32, restarts: u32) {
        let mut store = self.store();
        for index in pods {
            store.put("v1/pods", &key(index), &pod(index, nodes.max(1), restarts));
        }
        self.changed.send_replace(store.version);
    }
}

fn key(index: u32) -> String {
    format!("{CROWD}team-{:03}/pod-{index:06}", index % 200)
}

fn node_name(index: u32) -> String {
    format!("ip-10-{}-{}-{}.us-east-2.compute.internal", index >> 16, index >> 8 & 255, index & 255)
}

fn uid(kind: u32, index: u32) -> String {
    // Spread over the whole range, as random ones are.
    let spread = u128::from(index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) ^ u128::from(kind);
    let hex = format!("{spread:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn pod(index: u32, nodes: u32, restarts: u32) -> Value {
    let name = format!("workspace-{index:06}-7d9c5b4f6d-x2x{:02}", index % 100);
    let environment: Vec<Value> =
        (0..20).map(|n| json!({ "name": format!("SETTING_NUMBER_{n}"), "value": format!("a-value-of-ordinary-length-{index}-{n}") })).collect();
    let mounts = json!([{ "name": "home", "mountPath": "/home/coder" }, { "name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true }]);
    let managed = json!([{ "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T08:00:00Z", "fieldsType": "FieldsV1",
        "fieldsV1": { "f:metadata": { "f:generateName": {}, "f:labels": { ".": {}, "f:app": {}, "f:pod-template-hash": {} }, "f:ownerReferences": { ".": {}, "k:{\"uid\":\"11111111-2222-3333-4444-555555555555\"}": {} } },
            "f:spec": { "f:containers": { "k:{\"name\":\"dev\"}": { ".": {}, "f:env": { ".": {} }, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:resources": { ".": {}, "f:limits": { ".": {}, "f:cpu": {}, "f:memory": {} }, "f:requests": { ".": {}, "f:cpu": {}, "f:memory": {} } }, "f:terminationMessagePath": {}, "f:terminationMessagePolicy": {} } }, "f:dnsPolicy": {}, "f:enableServiceLinks": {}, "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {}, "f:terminationGracePeriodSeconds": {} } } },
        { "manager": "kubelet", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T08:00:20Z", "fieldsType": "FieldsV1", "subresource": "status",
          "fieldsV1": { "f:status": { "f:conditions": { "k:{\"type\":\"ContainersReady\"}": { ".": {}, "f:lastProbeTime": {}, "f:lastTransitionTime": {}, "f:status": {}, "f:type": {} }, "k:{\"type\":\"Ready\"}": { ".": {}, "f:lastProbeTime": {}, "f:lastTransitionTime": {}, "f:status": {}, "f:type": {} } }, "f:containerStatuses": {}, "f:hostIP": {}, "f:phase": {}, "f:podIP": {}, "f:podIPs": {}, "f:startTime": {} } } }]);
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-01-01T08:00:20Z" });
    json!({
        "metadata": { "name": name, "namespace": format!("team-{:03}", index % 200), "uid": uid(2, index), "creationTimestamp": "2026-01-01T08:00:00Z", "generateName": "workspace-",
            "labels": { "app": "workspace", "pod-template-hash": "7d9c5b4f6d", "app.kubernetes.io/name": "workspace", "app.kubernetes.io/instance": format!("workspace-{index}") },
            "annotations": { "kubernetes.io/config.seen": "2026-01-01T08:00:00Z", "checksum/config": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "workspace-7d9c5b4f6d", "uid": "11111111-2222-3333-4444-555555555555", "controller": true, "blockOwnerDeletion": true }],
            "managedFields": managed },
        "spec": { "nodeName": node_name(index % nodes), "restartPolicy": "Always", "serviceAccountName": "default", "schedulerName": "default-scheduler",
            "containers": [{ "name": "dev", "image": "123456789012.dkr.ecr.us-east-2.amazonaws.com/claude-ws:latest", "env": environment, "volumeMounts": mounts,
                "resources": { "requests": { "cpu": "250m", "memory": "512Mi", "ephemeral-storage": "1Gi" }, "limits": { "cpu": "1", "memory": "1Gi", "ephemeral-storage": "4Gi" } } }],
            "volumes": [{ "name": "home", "persistentVolumeClaim": { "claimName": "home" } }, { "name": "kube-api-access", "projected": { "sources": [{ "serviceAccountToken": { "path": "token" } }] } }],
            "tolerations": [{ "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 }] },
        "status": { "phase": "Running", "hostIP": "10.0.0.1", "podIP": "10.1.2.3", "startTime": "2026-01-01T08:00:01Z", "qosClass": "Burstable",
            "conditions": [condition("PodScheduled"), condition("Initialized"), condition("ContainersReady"), condition("Ready")],
            "containerStatuses": [{ "name": "dev", "restartCount": restarts, "ready": true, "started": true, "image": "123456789012.dkr.ecr.us-east-2.amazonaws.com/claude-ws:latest",
                "imageID": "123456789012.dkr.ecr.us-east-2.amazonaws.com/claude-ws@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "containerID": "containerd://9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "state": { "running": { "startedAt": "2026-01-01T08:00:19Z" } } }] },
    })
}
