//! What makes nodes, what a whole cluster has, and its backups.

use jiff::ToSpan as _;
use serde_json::{Value, json};

use super::{Objects, Server};
use crate::estate::Estate;

impl Server {
    pub(super) fn claim(&self, index: u32) -> Value {
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

    pub(super) fn pools(&self, all: &mut Objects) {
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

    pub(super) fn cluster_wide(&self, all: &mut Objects) {
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

    pub(super) fn backups(&self, all: &mut Objects) {
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
}
