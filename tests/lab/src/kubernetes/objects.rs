//! The objects of a cluster as the faults want them: pure functions of what is switched on.
//!
//! Moments are those at which the lab started or a fault was switched on, never the present one:
//! an object must not change by being looked at.

mod pods;
mod pools;
mod secrets;

use std::collections::{BTreeMap, HashMap};

use hyper::Response;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::store::{Resource, Selection};
use super::{Server, Target, status};
use crate::estate::Estate;
use crate::serve::{Body, answer};

/// What the registries hold.
static IMAGES: std::sync::LazyLock<(crate::images::Blobs, [crate::images::Version; 2])> = std::sync::LazyLock::new(crate::images::versions);

/// Certificates: good, about to end, ended, not valid yet.
static CERTIFICATES: std::sync::LazyLock<[(String, String); 4]> = std::sync::LazyLock::new(|| {
    let leaf = || crate::Leaf::good(&["ai.lab.test", "*.ai.lab.test"]);
    let leaves = [leaf(), leaf().ends_in(1800), leaf().ends_in(-3600), leaf().begins_in(86_400)];
    let authority = crate::Authority::new("Lab Issuer");
    leaves.map(|leaf| authority.as_ref().ok().and_then(|authority| authority.issue_pem(&leaf).ok()).unwrap_or_default())
});

/// The label that names an application.
const NAME: &str = "app.kubernetes.io/name";

/// Resources that can be listed, with their kinds, in the order in which they can be made; all others are
/// not served. The last ones come from definitions.
pub const SERVED: &[(&str, &str)] = &[
    ("v1/namespaces", "Namespace"),
    ("v1/nodes", "Node"),
    ("v1/events", "Event"),
    ("v1/services", "Service"),
    ("v1/secrets", "Secret"),
    ("v1/serviceaccounts", "ServiceAccount"),
    ("v1/resourcequotas", "ResourceQuota"),
    ("v1/limitranges", "LimitRange"),
    ("v1/persistentvolumeclaims", "PersistentVolumeClaim"),
    ("apps/v1/deployments", "Deployment"),
    ("apps/v1/statefulsets", "StatefulSet"),
    ("apps/v1/daemonsets", "DaemonSet"),
    ("apps/v1/replicasets", "ReplicaSet"),
    // Those that they are of are made before them.
    ("v1/pods", "Pod"),
    ("batch/v1/cronjobs", "CronJob"),
    ("discovery.k8s.io/v1/endpointslices", "EndpointSlice"),
    ("storage.k8s.io/v1/storageclasses", "StorageClass"),
    ("networking.k8s.io/v1/ingressclasses", "IngressClass"),
    ("karpenter.sh/v1/nodepools", "NodePool"),
    ("karpenter.sh/v1/nodeclaims", "NodeClaim"),
    ("karpenter.k8s.aws/v1/ec2nodeclasses", "EC2NodeClass"),
    ("monitoring.coreos.com/v1/prometheuses", "Prometheus"),
    ("cert-manager.io/v1/certificates", "Certificate"),
    ("nvidia.com/v1/clusterpolicies", "ClusterPolicy"),
    ("velero.io/v1/backups", "Backup"),
    ("velero.io/v1/schedules", "Schedule"),
    ("velero.io/v1/backupstoragelocations", "BackupStorageLocation"),
    ("snapshot.storage.k8s.io/v1/volumesnapshots", "VolumeSnapshot"),
];

/// Collects objects by resource and key.
#[derive(Default)]
struct Objects(BTreeMap<Resource, BTreeMap<String, Value>>);

impl Objects {
    fn add(&mut self, resource: &str, object: Value) {
        let metadata = &object["metadata"];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = format!("{}/{}", word(&metadata["namespace"]), word(&metadata["name"]));
        self.0.entry(resource.to_owned()).or_default().insert(key, object);
    }
}

impl Server {
    pub(super) fn wanted(&self) -> BTreeMap<Resource, BTreeMap<String, Value>> {
        let mut all = Objects::default();
        for index in self.node_numbers() {
            all.add("v1/nodes", self.node(index));
            all.add("karpenter.sh/v1/nodeclaims", self.claim(index));
        }
        self.workloads(&mut all);
        self.workspaces(&mut all);
        self.troubled_pods(&mut all);
        self.events(&mut all);
        self.pools(&mut all);
        self.cluster_wide(&mut all);
        self.backups(&mut all);
        self.pull_secret(&mut all);
        self.credentials(&mut all);
        self.certificates(&mut all);
        all.0
    }

    /// The nodes that this cluster has.
    fn node_numbers(&self) -> impl Iterator<Item = u32> {
        let gone = self.on("us-east-2", "node-gone");
        (1..=self.estate.nodes()).filter(move |index| !(gone && *index == 3))
    }

    /// When a fault was switched on.
    fn since(&self, fault: &str) -> Timestamp {
        self.estate.since(fault)
    }

    fn ago(&self, fault: &str, minutes: i64) -> String {
        self.since(fault).checked_sub(minutes.minutes()).unwrap_or_default().to_string()
    }

    pub(super) fn node(&self, index: u32) -> Value {
        let first = |region: &str, fault: &str| index == 1 && self.on(region, fault);
        // As a kubelet does: `Ready` is false from its registration on, and changes for the first time when it is up.
        let starting = starting(&self.estate, &self.region).filter(|_| index == 1);
        let created = match starting {
            Some("node-starting") => self.ago("node-starting", 0),
            Some(fault) => self.ago(fault, 30),
            None if first("eu-west-2", "node-not-started") => self.ago("node-not-started", 30),
            None => "2026-01-01T08:00:00Z".to_owned(),
        };
        let turned = if starting.is_some() { created.clone() } else { self.ago("node-not-ready", 1) };
        let ready = if first("us-west-2", "node-silent") {
            "Unknown"
        } else if first("us-west-2", "node-not-ready") || starting.is_some() {
            "False"
        } else {
            "True"
        };
        // When a kubelet stops reporting, nothing that it said is known any more.
        let silent = first("us-west-2", "node-silent");
        let flag = |on: bool| {
            if silent {
                "Unknown"
            } else if on {
                "True"
            } else {
                "False"
            }
        };
        let mut taints = Vec::new();
        if first("eu-west-2", "node-unfit") {
            taints.push(json!({ "key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule" }));
        }
        if starting.is_some() {
            taints.push(json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" }));
        }
        if first("eu-west-2", "node-not-started") || starting.is_some() {
            taints.push(json!({ "key": "node.cilium.io/agent-not-ready", "effect": "NoExecute" }));
        }
        if first("eu-west-2", "node-disrupted") {
            taints.push(json!({ "key": "karpenter.sh/disrupted", "effect": "NoSchedule" }));
        }
        let disk = if first("us-east-2", "data-disk-small") { "50Gi" } else { "200Gi" };
        let image = if first("us-east-2", "image-not-cached") {
            json!([])
        } else {
            json!([{ "names": ["r.lab.test/claude-ws:latest", "r.lab.test/claude-ws@sha256:1"], "sizeBytes": 4_000_000_000_u64 }])
        };
        let gpus = if first("us-east-2", "node-gpu-broken") { Some(("4", "3")) } else { None };
        let architecture = if first("us-west-2", "node-of-another-platform") { "arm64" } else { "amd64" };
        let kubelet = if first("us-west-2", "kubelet-old") { "v1.28.3" } else { "v1.33.4" };
        let place = self.estate.kubelet(&self.region, index);
        let mut node = json!({
            "metadata": { "name": format!("node-{index}"), "uid": format!("{}-{index}", self.region), "creationTimestamp": created,
                "labels": { "topology.kubernetes.io/region": self.region, "karpenter.sh/nodepool": "coder-ws", "karpenter.sh/capacity-type": "on-demand", "node.kubernetes.io/instance-type": "c6a.8xlarge", "node.coder.io/used-for": "workspaces" },
                "managedFields": [{ "manager": "kubelet", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": { "f:status": {} } }] },
            "spec": { "providerID": format!("aws:///{}/i-{index}", self.region), "taints": taints },
            "status": { "conditions": [
                { "type": "MemoryPressure", "status": flag(first("us-east-2", "node-memory-pressure")) },
                { "type": "DiskPressure", "status": flag(first("us-east-2", "node-disk-pressure")) },
                { "type": "PIDPressure", "status": flag(first("us-east-2", "node-pid-pressure")) },
                { "type": "Ready", "status": ready, "lastTransitionTime": turned },
            ],
            "capacity": { "cpu": "32", "memory": "64Gi", "ephemeral-storage": disk, "pods": "234" },
            "allocatable": { "cpu": "31750m", "memory": "61Gi", "ephemeral-storage": "193273528320", "pods": "234" },
            "addresses": [{ "type": "InternalIP", "address": place.ip().to_string() }, { "type": "Hostname", "address": format!("node-{index}") }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": place.port() } },
            "nodeInfo": { "kubeletVersion": kubelet, "osImage": "Bottlerocket", "operatingSystem": "linux", "architecture": architecture }, "images": image },
        });
        // Of the agents that most clusters run beside the kubelet; one node has them, so that large estates stay small.
        if index == 1 {
            let bad = self.on("eu-west-2", "node-problem-reported");
            let agents =
                [json!({ "type": "KernelDeadlock", "status": if bad { "True" } else { "False" } }), json!({ "type": "NetworkingReady", "status": "True" })];
            if let Some(all) = node["status"]["conditions"].as_array_mut() {
                all.extend(agents);
            }
        }
        if first("us-west-2", "node-without-conditions") {
            node["status"]["conditions"] = json!([{ "type": "Ready", "status": ready }]);
        }
        if let Some((capacity, allocatable)) = gpus {
            node["status"]["capacity"]["nvidia.com/gpu"] = json!(capacity);
            node["status"]["allocatable"]["nvidia.com/gpu"] = json!(allocatable);
        }
        if first("eu-west-2", "node-cordoned") || self.on("eu-west-2", "node-all-cordoned") {
            node["spec"]["unschedulable"] = json!(true);
        }
        node
    }

    fn workloads(&self, all: &mut Objects) {
        let down = |fault: bool, desired: u32, left: u32| if fault { (desired, left) } else { (desired, desired) };
        let mut deployment = |namespace: &str, name: &str, label: (&str, &str), (desired, ready): (u32, u32), updated: u32| {
            let mut object = replicated(namespace, name, label, [desired, ready, updated], &self.estate.rolled_out().to_string());
            if updated != desired && !self.estate.has("running-rollout") {
                let progress = &mut object["status"]["conditions"][1];
                (progress["status"], progress["reason"]) = (json!("False"), json!("ProgressDeadlineExceeded"));
            }
            if name == "litellm" && self.estate.has("litellm-being-deleted") {
                object["metadata"]["deletionTimestamp"] = json!(self.ago("litellm-being-deleted", 5));
                object["metadata"]["finalizers"] = json!(["readiness-exporter.test/wait"]);
            }
            all.add("apps/v1/deployments", object);
            let revisions = if self.on("us-east-2", "rollback-gone") { vec![3] } else { vec![2, 3] };
            for revision in revisions {
                let slow = name == "coder" && self.on("us-east-2", "rollout-slow");
                let took = if slow { 400.seconds() } else { 40.seconds() };
                let stuck = ["rollout-stuck", "running-rollout", "proxy-rollout-stuck"].into_iter().find(|fault| self.estate.has(fault));
                let begun = stuck.filter(|_| updated != desired).map_or_else(|| self.estate.rolled_out(), |fault| self.since(fault));
                let created = begun.checked_sub(took).unwrap_or_default();
                all.add("apps/v1/replicasets", replica_set(namespace, name, revision, &created.to_string()));
            }
            for index in 0..desired {
                let node = format!("node-{}", index % 3 + 1);
                let mut pod = pod(namespace, &format!("{name}-{index}"), (label.0, label.1), &node, &self.estate.rolled_out().to_string());
                let owner = format!("{name}-3");
                pod["metadata"]["ownerReferences"] =
                    json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": format!("{namespace}-{owner}"), "controller": true }]);
                if let Some(conditions) = pod["status"]["conditions"].as_array_mut() {
                    conditions.push(json!({ "type": "Ready", "status": "True" }));
                }
                if name == "coder" {
                    self.run_image(&mut pod, index);
                }
                if !(name == "coder-provisioner" && index == 1 && self.estate.has("provisioners-without-role")) {
                    // What EKS adds to a pod whose service account has a role.
                    pod["spec"]["containers"][0]["env"] = json!([{ "name": "AWS_ROLE_ARN", "value": "arn:aws:iam::123456789012:role/coder" },
                        { "name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/var/run/secrets/eks.amazonaws.com/serviceaccount/token" }]);
                }
                if name == "litellm" && index == 0 && self.estate.has("litellm-restarted") {
                    pod["status"]["containerStatuses"][0]["restartCount"] = json!(1);
                }
                pod["spec"]["containers"][0]["resources"] =
                    json!({ "requests": { "cpu": "1", "memory": "2Gi" }, "limits": { "cpu": "2", "memory": "4Gi", "ephemeral-storage": "2Gi" } });
                all.add("v1/pods", pod);
            }
        };
        deployment("karpenter", "karpenter", (NAME, "karpenter"), down(self.on("eu-west-2", "karpenter-down"), 2, 1), 2);
        if self.region == "us-east-2" {
            let updated = if self.estate.has("rollout-stuck") || self.estate.has("running-rollout") { 1 } else { 2 };
            deployment("coder", "coder", (NAME, "coder"), (2, 2), updated);
            let provisioners = if self.estate.has("provisioners-scaled-down") { 2 } else { 6 };
            deployment("coder-ws", "coder-provisioner", (NAME, "coder-provisioner"), (provisioners, provisioners), provisioners);
            for organisation in ["coder-provisioner-experimental", "coder-provisioner-demo"] {
                deployment("coder-ws", organisation, (NAME, organisation), (2, 2), 2);
            }
            if !self.estate.has("selector-empty") {
                let replicas = if self.estate.has("litellm-scaled-down") { 0 } else { 4 };
                deployment("litellm", "litellm", ("app", "litellm"), down(self.estate.has("litellm-crash"), replicas, 3), replicas);
            }
            if !self.estate.has("rotation-deleted") {
                all.add("batch/v1/cronjobs", self.cron_job());
            }
        } else {
            let updated = if self.on("us-west-2", "proxy-rollout-stuck") { 1 } else { 2 };
            deployment("coder-proxy", "coder", (NAME, "coder"), (2, 2), updated);
        }
        let namespace = if self.region == "us-east-2" { "coder" } else { "coder-proxy" };
        let gone = self.on("eu-west-2", "load-balancer-gone");
        let other = self.on("eu-west-2", "load-balancer-replaced");
        let host = if other { "nlb-other.elb.lab.test".to_owned() } else { format!("nlb-{}.elb.lab.test", self.region) };
        let ingress = if gone { json!({}) } else { json!({ "ingress": [{ "hostname": host }] }) };
        all.add(
            "v1/services",
            json!({ "metadata": metadata(namespace, "coder", (NAME, "coder")), "spec": { "type": "LoadBalancer", "ports": [{ "name": "https", "port": 443, "protocol": "TCP" }] }, "status": { "loadBalancer": ingress } }),
        );
        let ready = !self.on("eu-west-2", "endpoints-not-ready");
        let endpoint = |index: u32| json!({ "addresses": [format!("10.1.0.{index}")], "conditions": { "ready": ready, "serving": ready } });
        all.add(
            "discovery.k8s.io/v1/endpointslices",
            json!({ "metadata": metadata(namespace, "coder-x1", ("kubernetes.io/service-name", "coder")), "addressType": "IPv4", "ports": [{ "name": "https", "port": 8443, "protocol": "TCP" }], "endpoints": [endpoint(1), endpoint(2)] }),
        );
    }

    /// What the control plane and the proxies run: the index where it was mirrored as it is, the
    /// copy where it was pulled, tagged and pushed, and single platforms where nodes are mixed.
    fn run_image(&self, pod: &mut Value, index: u32) {
        let (_, [old, new]) = &*IMAGES;
        let digest = match (&*self.region, index) {
            ("us-east-2", _) if self.estate.has("mirror-stale") => &old.index,
            ("us-east-2", 0) if self.estate.has("running-rollout") => &old.index,
            ("us-east-2", _) => &new.index,
            ("us-west-2", _) if self.estate.has("running-older-digest") => &old.copy,
            ("us-west-2", _) => &new.copy,
            (_, 0) => &new.platforms[0],
            _ => &new.platforms[1],
        };
        let repository = format!("{}:{}/{}/coder/coder-preview", self.estate.host(), crate::registry::MIRRORS, self.region);
        let asked = if self.on("us-east-2", "running-from-elsewhere") { "docker.io/someone/coder-preview".to_owned() } else { repository.clone() };
        let tag = if self.on("us-east-2", "running-mutable-tag") { "latest" } else { "v2.18.0" };
        pod["spec"]["containers"][0]["image"] = json!(format!("{asked}:{tag}"));
        let not_started = index == 0 && self.on("eu-west-2", "running-not-started");
        // Older runtimes write a scheme before it.
        let scheme = if index == 1 { "docker-pullable://" } else { "" };
        pod["status"]["containerStatuses"][0]["imageID"] = json!(if not_started { String::new() } else { format!("{scheme}{repository}@{digest}") });
    }

    /// The metrics API.
    pub(super) fn metrics(&self, target: &Target, query: &HashMap<String, String>) -> Response<Body> {
        let list = |items: Vec<Value>| answer(200, "application/json", json!({ "kind": "List", "items": items }).to_string());
        let usage = |cpu: &str, memory: &str| json!({ "cpu": cpu, "memory": memory });
        if target.resource.ends_with("/nodes") {
            let silent = self.on("us-east-2", "metrics-of-a-node-missing") || starting(&self.estate, &self.region).is_some();
            let reported = |index: &u32| !(*index == 1 && silent);
            let nodes = self.node_numbers().filter(reported).map(|index| {
                let first = |fault: &str| index == 1 && self.on("us-east-2", fault);
                let cpu = if first("use-of-cpu-high") { "29000m" } else { "8123456789n" };
                let memory = if first("use-of-memory-high") { "60817408Ki" } else { "20000000Ki" };
                let measured = if first("metrics-of-a-node-old") { self.ago("metrics-of-a-node-old", 60) } else { Timestamp::now().to_string() };
                json!({ "metadata": { "name": format!("node-{index}") }, "timestamp": measured, "window": "20.05s", "usage": usage(cpu, memory) })
            });
            return list(nodes.collect());
        }
        if !target.resource.ends_with("/pods") {
            return status(404);
        }
        let full = target.namespace.as_deref() == Some("litellm") && self.on("us-east-2", "use-of-limit-high");
        let memory = if full { "3900Mi" } else { "1200Mi" };
        let labels = query.get("labelSelector").cloned();
        let selection = Selection { resource: "v1/pods".to_owned(), namespace: target.namespace.clone(), labels, fields: None };
        let (running, _) = self.store().page(&selection, "", usize::MAX);
        let running: Vec<Value> = serde_json::from_str(&format!("[{running}]")).unwrap_or_default();
        let reported = |name: &&Value| !(**name == "litellm-1" && self.on("us-east-2", "metrics-of-a-pod-missing"));
        let names = running.iter().map(|pod| &pod["metadata"]["name"]).filter(reported);
        list(names.map(|name| json!({ "metadata": { "name": name }, "timestamp": Timestamp::now().to_string(), "containers": [{ "name": "main", "usage": usage("300m", memory) }] })).collect())
    }
}

/// Where `kubectl apply` keeps what it was given, secrets included.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn metadata(namespace: &str, name: &str, (label, value): (&str, &str)) -> Value {
    json!({ "namespace": namespace, "name": name, "uid": format!("{namespace}-{name}"), "generation": 3, "labels": { label: value },
        "annotations": { "deployment.kubernetes.io/revision": "3", "kubernetes.io/change-cause": "helm upgrade", APPLIED: "{\"password\":\"lab-canary-applied\"}" } })
}

fn replicated(namespace: &str, name: &str, label: (&str, &str), [desired, ready, updated]: [u32; 3], rolled_out: &str) -> Value {
    json!({
        "metadata": metadata(namespace, name, label),
        "spec": { "replicas": desired, "selector": { "matchLabels": { label.0: label.1 } }, "template": { "spec": { "containers": [{ "name": "main", "image": "example" }] } } },
        "status": { "observedGeneration": 3, "replicas": desired, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": updated,
            "conditions": [{ "type": "Available", "status": "True", "reason": "MinimumReplicasAvailable" },
                { "type": "Progressing", "status": "True", "reason": if updated == desired { "NewReplicaSetAvailable" } else { "ReplicaSetUpdated" }, "lastUpdateTime": rolled_out }] },
    })
}

fn replica_set(namespace: &str, name: &str, revision: u32, created: &str) -> Value {
    json!({ "metadata": { "namespace": namespace, "name": format!("{name}-{revision}"), "uid": format!("{namespace}-{name}-{revision}"), "creationTimestamp": created,
        "annotations": { "deployment.kubernetes.io/revision": revision.to_string() },
        "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": format!("{namespace}-{name}"), "controller": true }] } })
}

fn pod(namespace: &str, name: &str, (label, value): (&str, &str), node: &str, created: &str) -> Value {
    json!({
        "metadata": { "namespace": namespace, "name": name, "uid": format!("pod-{namespace}-{name}"), "creationTimestamp": created, "labels": { label: value },
            "annotations": { APPLIED: "{\"password\":\"lab-canary-applied\"}" } },
        "spec": { "nodeName": node, "containers": [{ "name": "main", "image": "example", "env": [{ "name": "PASSWORD", "value": "lab-canary-environment" }], "resources": { "requests": { "cpu": "100m", "memory": "128Mi" }, "limits": { "ephemeral-storage": "1Gi" } } }],
            "volumes": [{ "name": "token", "projected": {} }] },
        "status": { "phase": "Running", "startTime": created, "conditions": [{ "type": "PodScheduled", "status": "True" }, { "type": "ContainersReady", "status": "True" }],
            "containerStatuses": [{ "name": "main", "restartCount": 0, "ready": true, "state": { "running": { "startedAt": created } } }] },
    })
}

/// By which fault the first node of a region has not been ready since it was created.
pub(super) fn starting(estate: &Estate, region: &str) -> Option<&'static str> {
    ["node-never-ready", "node-starting"].into_iter().find(|fault| region == "eu-west-2" && estate.has(fault))
}
