//! The objects of a cluster as the faults want them: pure functions of what is switched on.
//!
//! Moments are those at which the lab started or a fault was switched on, never the present one:
//! an object must not change by being looked at.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
        let (address, port) = self.estate.kubelet(&self.region, index);
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
            "addresses": [{ "type": "InternalIP", "address": address.to_string() }, { "type": "Hostname", "address": format!("node-{index}") }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": port } },
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
        let repository = format!("{}:{}/{}/coder/coder-preview", self.estate.host(), crate::REGISTRIES[1], self.region);
        let asked = if self.on("us-east-2", "running-from-elsewhere") { "docker.io/someone/coder-preview".to_owned() } else { repository.clone() };
        let tag = if self.on("us-east-2", "running-mutable-tag") { "latest" } else { "v2.18.0" };
        pod["spec"]["containers"][0]["image"] = json!(format!("{asked}:{tag}"));
        let not_started = index == 0 && self.on("eu-west-2", "running-not-started");
        // Older runtimes write a scheme before it.
        let scheme = if index == 1 { "docker-pullable://" } else { "" };
        pod["status"]["containerStatuses"][0]["imageID"] = json!(if not_started { String::new() } else { format!("{scheme}{repository}@{digest}") });
    }

    /// The pull secret of the control plane.
    fn pull_secret(&self, all: &mut Objects) {
        if self.region != "us-east-2" || self.estate.has("pull-secret-gone") {
            return;
        }
        let [user, password] = crate::registry::USER;
        let text = if self.estate.has("pull-secret-expires-soon") {
            let expiration = self.since("pull-secret-expires-soon").as_second() + 1800;
            let token = STANDARD.encode(json!({ "payload": "lab", "version": "2", "type": "DATA_KEY", "expiration": expiration }).to_string());
            crate::docker_config(&self.estate.host(), "AWS", &token)
        } else {
            let password = if self.estate.has("pull-secret-wrong-password") { "wrong" } else { password };
            crate::docker_config(&self.estate.host(), user, password)
        };
        let text = if self.estate.has("pull-secret-encoded-twice") { STANDARD.encode(text) } else { text };
        all.add(
            "v1/secrets",
            json!({ "kind": "Secret", "apiVersion": "v1", "metadata": { "namespace": "coder", "name": "pull", "uid": "pull" }, "type": "kubernetes.io/dockerconfigjson",
                "data": { ".dockerconfigjson": STANDARD.encode(text) } }),
        );
    }

    /// Secrets with credentials.
    fn credentials(&self, all: &mut Objects) {
        if self.region != "us-east-2" {
            return;
        }
        let rotated = self.estate.has("credential-changed-under-provisioners");
        let mut secret = |namespace: &str, name: &str, data: Value| {
            let mut encoded: BTreeMap<String, String> =
                data.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), STANDARD.encode(value.as_str().unwrap_or_default()))).collect();
            let renewed = self.estate.renewed();
            let changed = match name {
                "llm-key-copy" if rotated => self.since("credential-changed-under-provisioners"),
                "llm-key" if self.estate.has("rotation-changes-another-key") => renewed.checked_sub(48.hours()).unwrap_or_default(),
                "llm-key" => renewed,
                _ => self.estate.rolled_out(),
            };
            let writer = |manager: &str, at: Timestamp, keys: Vec<&String>| {
                let keys: serde_json::Map<String, Value> = keys.into_iter().map(|key| (format!("f:{key}"), json!({}))).collect();
                json!({ "manager": manager, "operation": "Update", "apiVersion": "v1", "time": at.to_string(), "fieldsType": "FieldsV1", "fieldsV1": { "f:data": keys } })
            };
            // Beside the keys of models somebody notes something now and then, which changes none of them.
            let (note, noted) = ("note".to_owned(), renewed.max(self.estate.started().checked_sub(1.minute()).unwrap_or_default()));
            let mut owners = vec![writer("rotate-key", changed, encoded.keys().collect())];
            if name.starts_with("llm-key") {
                encoded.insert(note.clone(), STANDARD.encode(noted.to_string()));
                owners.push(writer("notes", noted, vec![&note]));
            }
            all.add(
                "v1/secrets",
                json!({ "kind": "Secret", "apiVersion": "v1", "type": "Opaque", "data": encoded,
                "metadata": { "namespace": namespace, "name": name, "uid": name, "creationTimestamp": "2024-01-01T00:00:00Z", "managedFields": owners } }),
            );
        };
        let [good, soon, ended, early] = &*CERTIFICATES;
        let faults = [("credential-certificate-ends-soon", soon), ("credential-certificate-ended", ended), ("credential-certificate-not-yet-valid", early)];
        let broken = "-----BEGIN CERTIFICATE-----\nlab-canary\n-----END CERTIFICATE-----\n".to_owned();
        let pair = faults.iter().find(|(fault, _)| self.estate.has(fault)).map_or(good, |(_, pair)| pair);
        let (mut certificate, key) = (&pair.0, pair.1.as_str());
        // What stands before a key in PEM is for people.
        let key = match () {
            () if self.estate.has("credential-key-of-another-certificate") => &soon.1,
            () if self.estate.has("credential-key-encrypted") => "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            () if self.estate.has("credential-key-cut-off") => key.get(..60).unwrap_or_default(),
            () => key,
        };
        let key = format!("{}-key\n{key}", crate::issuers::CANARY);
        if self.estate.has("credential-certificate-broken") {
            certificate = &broken;
        }
        if !self.estate.has("credential-secret-gone") {
            secret("coder", "wildcard", json!({ "tls.crt": certificate, "tls.key": key }));
        }
        let key = if self.estate.has("credential-key-missing") { "api-key-old" } else { "api-key" };
        secret("litellm", "llm-key", json!({ key: crate::issuers::LITELLM }));
        let copy = if self.estate.has("credential-copy-stale") { "sk-lab-canary-of-yesterday" } else { crate::issuers::LITELLM };
        secret("coder-ws", "llm-key-copy", json!({ "api-key": copy }));
        let google = crate::google::KEY.as_ref().map(crate::google::GoogleKey::file);
        secret("litellm", "gcloud-auth", json!({ "service_account.json": google }));
    }

    fn cron_job(&self) -> Value {
        let suspended = ["rotation-forgotten", "rotation-suspended-key-lapses"].iter().any(|fault| self.estate.has(fault));
        let failed = self.estate.has("rotation-run-failed");
        let (hour, due) = self.estate.last_rotation();
        let slow = self.estate.has("rotation-slow");
        let (schedule, last) = match () {
            () if self.estate.has("rotation-not-suspended") => ("* * * * *".to_owned(), self.since("rotation-not-suspended")),
            // Every minute of this month, which is not the event's, and it has not run since last night.
            () if self.estate.has("rotation-missed") => (format!("* * * {} *", due.strftime("%-m")), due),
            () if slow => (format!("0 {hour} * * *"), self.estate.started().checked_sub(1.hour()).unwrap_or_default()),
            () => (format!("0 {hour} * * *"), due),
        };
        let succeeded = last.checked_add(9.seconds()).unwrap_or_default();
        let succeeded = if failed || slow { last.checked_sub(24.hours()).unwrap_or_default() } else { succeeded };
        let active = if slow { json!([{ "kind": "Job", "name": "rotate-key-1" }]) } else { json!([]) };
        json!({
            "metadata": metadata("coder-ws", "rotate-key", (NAME, "rotate-key")),
            "spec": { "schedule": schedule, "timeZone": "America/Vancouver", "suspend": suspended },
            "status": { "lastScheduleTime": last.to_string(), "lastSuccessfulTime": succeeded.to_string(), "active": active },
        })
    }

    /// What cert-manager has issued.
    fn certificates(&self, all: &mut Objects) {
        if self.region != "us-east-2" {
            return;
        }
        let failing = self.estate.has("credential-renewal-fails");
        let condition = if failing {
            json!({ "type": "Ready", "status": "False", "reason": "Expired" })
        } else {
            json!({ "type": "Ready", "status": "True", "reason": "Ready" })
        };
        let renewal = if self.estate.has("credential-renewal-forgotten") {
            self.estate.started().checked_sub(72.hours()).unwrap_or_default()
        } else if self.estate.has("rotation-renewal-hits-event") {
            Estate::during_next_event()
        } else {
            self.estate.started().checked_add((24 * 60).hours()).unwrap_or_default()
        };
        let begins = renewal.checked_sub((24 * 60).hours()).unwrap_or_default();
        let ends = renewal.checked_add((24 * 30).hours()).unwrap_or_default();
        all.add(
            "cert-manager.io/v1/certificates",
            json!({ "metadata": { "namespace": "coder", "name": "wildcard", "uid": "cert-wildcard" }, "spec": { "secretName": "wildcard" },
                "status": { "conditions": [condition], "notBefore": begins.to_string(), "notAfter": ends.to_string(), "renewalTime": renewal.to_string() } }),
        );
    }

    fn workspaces(&self, all: &mut Objects) {
        if self.region != "us-east-2" {
            return;
        }
        for index in 1..=2 {
            let name = format!("workspace-{index}");
            let mut workspace = self.workspace(&name, &name, &format!("node-{index}"), &self.estate.started().to_string());
            let limits = &mut workspace["spec"]["containers"][0]["resources"]["limits"];
            if index == 1 && self.estate.has("workspace-without-limit") {
                limits.as_object_mut().map(|limits| limits.remove("ephemeral-storage"));
            }
            for resource in ["cpu", "memory"] {
                if index == 1 && self.estate.has(&format!("workspace-without-{resource}-limit")) {
                    limits.as_object_mut().map(|limits| limits.remove(resource));
                }
            }
            if index == 1 && self.estate.has("workspace-too-large") {
                limits["cpu"] = json!("16");
            }
            all.add("v1/pods", workspace);
        }
        if self.estate.has("workspace-flaps") {
            for index in 0..5 {
                all.add("v1/pods", self.workspace(&format!("flapping-{index}"), "flapping", "node-3", &self.ago("workspace-flaps", 0)));
            }
        }
        if self.estate.has("no-headroom") {
            for node in 1..=3 {
                let mut hog = pod("batch", &format!("hog-{node}"), ("app", "hog"), &format!("node-{node}"), &self.estate.started().to_string());
                hog["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "24", "memory": "4Gi" }, "limits": { "ephemeral-storage": "1Gi" } });
                all.add("v1/pods", hog);
            }
        }
    }

    fn workspace(&self, name: &str, id: &str, node: &str, created: &str) -> Value {
        let mut pod = pod("coder-ws", name, (NAME, "coder-workspace"), node, created);
        pod["metadata"]["uid"] = json!(name);
        pod["spec"]["containers"][0]["image"] = json!(format!("{}:{}/claude-ws:latest", self.estate.host(), crate::REGISTRIES[1]));
        pod["metadata"]["labels"]["com.coder.workspace.id"] = json!(id);
        pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "2", "memory": "4Gi", "ephemeral-storage": "10Gi" }, "limits": { "cpu": "4", "memory": "8Gi", "ephemeral-storage": "20Gi" } });
        pod
    }

    /// Pods with one trouble each, in us-east-2.
    fn troubled_pods(&self, all: &mut Objects) {
        if self.region != "us-east-2" {
            return;
        }
        let waiting = [
            ("image-pull-fails", "ImagePullBackOff"),
            ("pod-crash-loops", "CrashLoopBackOff"),
            ("pod-config-broken", "CreateContainerConfigError"),
            ("pod-stuck-creating", "ContainerCreating"),
            ("pod-stuck-initializing", "PodInitializing"),
            ("pod-init-runs-long", "PodInitializing"),
            ("pod-waits-for-something", "SomethingOfTheNextVersion"),
        ];
        for (fault, reason) in waiting.into_iter().filter(|(fault, _)| self.estate.has(fault)) {
            let minutes = if reason == "PodInitializing" { 180 } else { 10 };
            let mut pod = pod("exercises", fault, ("app", fault), "node-1", &self.ago(fault, minutes));
            pod["status"] = json!({ "phase": "Pending", "startTime": self.ago(fault, minutes), "containerStatuses": [{ "name": "main", "restartCount": 0, "imageID": "", "ready": false, "state": { "waiting": { "reason": reason, "message": "by the lab" } } }] });
            if fault == "pod-init-runs-long" {
                let running = json!({ "running": { "startedAt": self.ago(fault, minutes) } });
                pod["status"]["initContainerStatuses"] = json!([{ "name": "wait", "restartCount": 0, "imageID": "", "ready": false, "state": running }]);
            }
            all.add("v1/pods", pod);
        }
        if self.estate.has("pod-half-ended") {
            let mut pod = pod("exercises", "pod-half-ended", ("app", "half"), "node-1", &self.ago("pod-half-ended", 20));
            pod["spec"]["restartPolicy"] = json!("Never");
            pod["status"] = json!({ "phase": "Running", "startTime": self.ago("pod-half-ended", 20), "containerStatuses": [
                { "name": "main", "restartCount": 0, "imageID": "", "ready": true, "state": { "running": { "startedAt": self.ago("pod-half-ended", 20) } } },
                { "name": "helper", "restartCount": 0, "imageID": "", "ready": false, "state": { "terminated": { "exitCode": 1, "reason": "Error", "finishedAt": self.ago("pod-half-ended", 10) } } } ] });
            all.add("v1/pods", pod);
        }
        if self.estate.has("pod-not-ready") {
            let at = self.ago("pod-not-ready", 20);
            let mut pod = pod("exercises", "pod-not-ready", ("app", "deaf"), "node-1", &at);
            let condition = |name: &str, state: &str| json!({ "type": name, "status": state, "lastTransitionTime": at });
            pod["status"]["conditions"] = json!([condition("PodScheduled", "True"), condition("Ready", "False"), condition("ContainersReady", "False")]);
            pod["status"]["containerStatuses"][0]["ready"] = json!(false);
            all.add("v1/pods", pod);
        }
        if self.estate.has("pod-unschedulable") {
            let mut pod = pod("exercises", "pod-unschedulable", ("app", "big"), "", &self.ago("pod-unschedulable", 10));
            pod["spec"].as_object_mut().map(|spec| spec.remove("nodeName"));
            pod["status"] = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": self.ago("pod-unschedulable", 10),
                "message": "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available." }] });
            all.add("v1/pods", pod);
        }
        if self.estate.has("summary-without-a-claim") {
            let mut pod = pod("exercises", "mounts", ("app", "mounts"), "node-2", &self.ago("summary-without-a-claim", 20));
            pod["spec"]["volumes"] = json!([{ "name": "home", "persistentVolumeClaim": { "claimName": "untold" } }]);
            pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "home", "mountPath": "/home" }]);
            all.add("v1/pods", pod);
        }
        if self.estate.has("pod-evicted") {
            let mut pod = pod("exercises", "pod-evicted", ("app", "full"), "node-1", &self.ago("pod-evicted", 10));
            // Another pod each time, as after every eviction.
            pod["metadata"]["uid"] = json!(format!("pod-evicted-{}", self.ago("pod-evicted", 0)));
            pod["status"] = json!({ "phase": "Failed", "reason": "Evicted", "startTime": self.ago("pod-evicted", 0), "message": "The node was low on resource: ephemeral-storage. Threshold quantity: 2139512454, available: 1800Ki. Container dev was using 9Gi, request is 0, has larger consumption of ephemeral-storage. " });
            all.add("v1/pods", pod);
        }
        if self.estate.has("pod-failed") {
            let mut pod = pod("exercises", "pod-failed", ("app", "failed"), "node-1", &self.ago("pod-failed", 10));
            pod["status"] = json!({ "phase": "Failed", "startTime": self.ago("pod-failed", 10) });
            all.add("v1/pods", pod);
        }
        if self.estate.has("pod-oom-killed") {
            let mut pod = pod("exercises", "pod-oom-killed", ("app", "hungry"), "node-1", &self.ago("pod-oom-killed", 60));
            pod["status"]["containerStatuses"] = json!([{ "name": "main", "restartCount": 1, "ready": true, "state": { "running": {} }, "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled", "finishedAt": self.ago("pod-oom-killed", 0) } } }]);
            all.add("v1/pods", pod);
        }
        let mut steady = pod("exercises", "steady", ("app", "steady"), "node-2", &self.estate.started().to_string());
        let restarts = if self.estate.has("pod-restarts-often") { 30 } else { 0 };
        steady["status"]["containerStatuses"] = json!([{ "name": "main", "restartCount": restarts, "ready": true, "state": { "running": {} } }]);
        all.add("v1/pods", steady);
    }

    fn events(&self, all: &mut Objects) {
        if self.region != "us-east-2" {
            return;
        }
        let mut event = |fault: &str, name: &str, kind: &str, reason: &str, message: &str, count: u32| {
            let (about, own) = if reason == "InsufficientCapacityError" { ("NodeClaim", "coder-ws-x7k2p") } else { ("Pod", name) };
            let at = if fault.is_empty() { self.estate.started().to_string() } else { self.ago(fault, 0) };
            all.add("v1/events", json!({ "metadata": { "namespace": "exercises", "name": name, "uid": name, "creationTimestamp": at }, "type": kind, "reason": reason, "message": message, "count": count,
                "firstTimestamp": at, "lastTimestamp": at, "involvedObject": { "kind": about, "namespace": "exercises", "name": own, "uid": format!("pod-of-{name}") } }));
        };
        event(
            "",
            "pulled",
            "Normal",
            "Pulled",
            "Successfully pulled image \"r.lab.test/claude-ws:latest\" in 2.1s (3.4s including waiting). Image size: 4000000000 bytes.",
            1,
        );
        event("", "cached", "Normal", "Pulled", "Container image \"r.lab.test/base-ws:latest\" already present on machine", 1);
        event("", "mount", "Warning", "FailedMount", "MountVolume.SetUp failed for volume \"home\"", 1);
        if self.estate.has("image-pull-slow") {
            event(
                "image-pull-slow",
                "slow",
                "Normal",
                "Pulled",
                "Successfully pulled image \"r.lab.test/claude-ws:latest\" in 41.2s (1m35.5s including waiting). Image size: 4000000000 bytes.",
                1,
            );
        }
        if self.estate.has("eviction-seen-only-as-event") {
            event(
                "eviction-seen-only-as-event",
                "evicted",
                "Warning",
                "Evicted",
                "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. ",
                1,
            );
        }
        if self.estate.has("nodeclaim-no-capacity") {
            let message = "NodeClaim coder-ws-x event: creating instance, insufficient capacity, with fleet error(s), InsufficientInstanceCapacity";
            event("nodeclaim-no-capacity", "no-capacity", "Warning", "InsufficientCapacityError", message, 1);
        }
        if self.estate.has("warning-events-burst") {
            event("warning-events-burst", "burst", "Warning", "FailedMount", "MountVolume.SetUp failed for volume \"home\"", 250);
        }
    }

    fn claim(&self, index: u32) -> Value {
        let first = |region: &str, fault: &str| index == 1 && self.on(region, fault);
        let started = self.estate.started();
        let mut conditions: Vec<Value> = ["Launched", "Registered", "Initialized", "Ready"]
            .iter()
            .map(|kind| json!({ "type": kind, "status": "True", "lastTransitionTime": started.checked_add(50.seconds()).unwrap_or_default().to_string() }))
            .collect();
        let (mut created, mut expire_after) = (started.to_string(), "Never".to_owned());
        if first("eu-west-2", "nodeclaim-stuck") {
            conditions.truncate(1);
            created = self.ago("nodeclaim-stuck", 20);
        }
        if first("eu-west-2", "nodeclaim-drifted") {
            conditions.push(json!({ "type": "Drifted", "status": "True", "reason": "AMIDrift" }));
        }
        if first("eu-west-2", "nodeclaim-launched-slowly") {
            created = started.checked_sub(20.minutes()).unwrap_or_default().to_string();
        }
        if first("eu-west-2", "nodeclaim-expires-in-event") {
            // The event of the example begins at nine on the first of each month in Vancouver.
            let (age, at) = (8, Estate::during_next_event());
            created = at.checked_sub(age.hours()).unwrap_or_default().to_string();
            expire_after = format!("{age}h0m0s");
        }
        json!({ "metadata": { "name": format!("coder-ws-{index}"), "uid": format!("claim-{index}"), "creationTimestamp": created, "labels": { "karpenter.sh/nodepool": "coder-ws" } },
            "spec": { "expireAfter": expire_after },
            "status": { "nodeName": format!("node-{index}"), "conditions": conditions, "allocatable": { "cpu": "31750m", "memory": "61Gi", "ephemeral-storage": "193273528320", "pods": "234" } } })
    }

    fn pools(&self, all: &mut Objects) {
        let flag = |bad: bool| if bad { "False" } else { "True" };
        let used = if self.on("us-east-2", "no-headroom") || self.on("us-east-2", "nodepool-exhausted") { "1980" } else { "96" };
        let conditions = json!([
            { "type": "ValidationSucceeded", "status": "True" },
            { "type": "NodeClassReady", "status": "True" },
            { "type": "NodeRegistrationHealthy", "status": flag(self.on("eu-west-2", "nodepool-registration-fails")) },
            { "type": "Ready", "status": flag(self.on("eu-west-2", "nodepool-not-ready")) },
        ]);
        let lives = if self.on("eu-west-2", "nodepool-nodes-live-short") { "30m" } else { "Never" };
        let template = json!({
            "metadata": { "labels": { "node.coder.io/used-for": "workspaces" } },
            "spec": {
                "expireAfter": lives,
                "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "coder-ws-class" },
                "requirements": [{ "key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"] }],
            },
        });
        all.add(
            "karpenter.sh/v1/nodepools",
            json!({ "metadata": { "name": "coder-ws", "uid": "pool-1" }, "spec": { "limits": { "cpu": "2000", "memory": "4000Gi" }, "template": template },
            "status": { "conditions": conditions, "resources": { "cpu": used, "memory": "192Gi", "nodes": "3" }, "nodes": 3 } }),
        );
        all.add(
            "karpenter.sh/v1/nodepools",
            json!({ "metadata": { "name": "coder-workspace-static", "uid": "pool-2" }, "spec": { "replicas": 2 },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }, { "type": "NodeRegistrationHealthy", "status": "Unknown" }], "nodes": 2 } }),
        );
        all.add("karpenter.k8s.aws/v1/ec2nodeclasses", json!({ "metadata": { "name": "coder-ws-class", "uid": "class-1" },
            "status": { "conditions": [{ "type": "SubnetsReady", "status": "True" }, { "type": "AMIsReady", "status": flag(self.on("eu-west-2", "nodeclass-not-ready")) }, { "type": "Ready", "status": flag(self.on("eu-west-2", "nodeclass-not-ready")) }] } }));
    }

    fn cluster_wide(&self, all: &mut Objects) {
        let is_default = |is: bool| json!({ "storageclass.kubernetes.io/is-default-class": is.to_string() });
        let class = |name: &str, default: bool| json!({ "metadata": { "name": name, "uid": name, "annotations": is_default(default) }, "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true });
        all.add("storage.k8s.io/v1/storageclasses", class("gp3", true));
        all.add("storage.k8s.io/v1/storageclasses", class("gp2", self.on("us-west-2", "two-default-classes")));
        all.add("networking.k8s.io/v1/ingressclasses", json!({ "metadata": { "name": "alb", "uid": "alb" }, "spec": { "controller": "ingress.k8s.aws/alb" } }));
        let identity = if self.on("us-east-2", "namespace-of-another-cluster") { "another" } else { &*self.region };
        for namespace in ["coder", "coder-ws", "litellm", "karpenter", "kube-system"] {
            if !(namespace == "litellm" && self.on("us-east-2", "namespace-gone")) {
                let uid = format!("{namespace}-of-{identity}");
                let mut object = json!({ "metadata": { "name": namespace, "uid": uid }, "status": { "phase": "Active" } });
                let fault = if namespace == "coder-ws" { "workspace-namespace-terminating" } else { "namespace-terminating" };
                if matches!(namespace, "litellm" | "coder-ws") && self.on("us-east-2", fault) {
                    object["metadata"]["deletionTimestamp"] = json!(self.ago(fault, 60));
                    object["status"]["phase"] = json!("Terminating");
                }
                all.add("v1/namespaces", object);
            }
        }
        let gpus = if self.on("us-east-2", "node-gpu-operator-not-ready") { "notReady" } else { "ready" };
        all.add("nvidia.com/v1/clusterpolicies", json!({ "metadata": { "name": "cluster-policy", "uid": "policy" }, "status": { "state": gpus } }));
        let role = if self.on("us-east-2", "role-annotation-gone") {
            json!({})
        } else {
            json!({ "eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/coder" })
        };
        all.add("v1/serviceaccounts", json!({ "metadata": { "namespace": "coder-ws", "name": "coder", "uid": "sa", "annotations": role } }));
        let used = if self.on("us-east-2", "quota-nearly-used") { "95" } else { "40" };
        all.add(
            "v1/resourcequotas",
            json!({ "metadata": { "namespace": "coder-ws", "name": "workspaces", "uid": "quota" },
            "status": { "hard": { "requests.cpu": "100", "pods": "60" }, "used": { "requests.cpu": used, "pods": "12" } } }),
        );
        if !self.on("us-east-2", "limit-range-gone") {
            let (most, unsaid) = if self.on("us-east-2", "limit-range-too-small") { ("1", "1") } else { ("4", "2") };
            all.add("v1/limitranges", json!({ "metadata": { "namespace": "coder-ws", "name": "workspaces", "uid": "range" },
                "spec": { "limits": [{ "type": "Container", "max": { "cpu": most, "memory": "8Gi" }, "default": { "cpu": unsaid, "memory": "4Gi", "ephemeral-storage": "20Gi" } }] } }));
        }
        let selector = if self.on("us-east-2", "prometheus-selects-nothing") { Value::Null } else { json!({ "matchLabels": { "release": "prometheus" } }) };
        all.add("monitoring.coreos.com/v1/prometheuses", json!({ "metadata": { "namespace": "monitoring", "name": "k8s", "uid": "prom" }, "spec": { "serviceMonitorSelector": selector, "serviceMonitorNamespaceSelector": {} } }));
    }

    fn backups(&self, all: &mut Objects) {
        let started = self.estate.started();
        let before = |hours: i64| started.checked_sub(hours.hours()).unwrap_or_default().to_string();
        let taken = |fault: &str| before(if self.on("us-east-2", fault) { 60 } else { 5 });
        let backup = |name: &str, phase: &str, at: String| json!({ "metadata": { "namespace": "velero", "name": name, "uid": name, "labels": { "velero.io/schedule-name": "daily" } }, "status": { "phase": phase, "startTimestamp": at, "completionTimestamp": at } });
        if !self.on("us-east-2", "backup-never-made") {
            all.add("velero.io/v1/backups", backup("daily-1", "Completed", taken("backup-too-old")));
        }
        if self.on("us-east-2", "backup-failed") {
            all.add("velero.io/v1/backups", backup("daily-2", "PartiallyFailed", before(1)));
        }
        // A full one once a week, made three days ago.
        let mut weekly = backup("weekly-1", "Completed", before(72));
        weekly["metadata"]["labels"]["velero.io/schedule-name"] = json!("weekly");
        if !self.on("us-east-2", "backup-never-made") {
            all.add("velero.io/v1/backups", weekly);
        }
        let day = started.checked_sub(72.hours()).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
        let once = format!("0 {} * * {}", day.hour(), day.weekday().to_sunday_zero_offset());
        all.add(
            "velero.io/v1/schedules",
            json!({ "metadata": { "namespace": "velero", "name": "weekly", "uid": "weekly" }, "spec": { "schedule": once }, "status": { "phase": "Enabled" } }),
        );
        let enabled = if self.on("us-east-2", "backup-schedule-paused") {
            json!({ "schedule": "0 2 * * *", "paused": true })
        } else {
            json!({ "schedule": "0 2 * * *" })
        };
        all.add(
            "velero.io/v1/schedules",
            json!({ "metadata": { "namespace": "velero", "name": "daily", "uid": "daily" }, "spec": enabled, "status": { "phase": "Enabled" } }),
        );
        let location = if self.on("us-east-2", "backup-location-gone") { "Unavailable" } else { "Available" };
        all.add(
            "velero.io/v1/backupstoragelocations",
            json!({ "metadata": { "namespace": "velero", "name": "default", "uid": "bsl" }, "status": { "phase": location } }),
        );
        let claim = |name: &str| {
            json!({ "metadata": { "namespace": "coder", "name": name, "uid": name },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "10Gi" } }, "volumeName": format!("pvc-{name}") }, "status": { "phase": "Bound" } })
        };
        all.add("v1/persistentvolumeclaims", claim("db"));
        if self.on("us-east-2", "backup-volume-without-snapshot") {
            all.add("v1/persistentvolumeclaims", claim("uploads"));
        }
        all.add("snapshot.storage.k8s.io/v1/volumesnapshots", json!({ "metadata": { "namespace": "coder", "name": "db-1", "uid": "snap", "creationTimestamp": before(1) },
            "spec": { "source": { "persistentVolumeClaimName": "db" } }, "status": { "readyToUse": true, "creationTime": taken("backup-snapshot-old"), "restoreSize": "10Gi" } }));
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
