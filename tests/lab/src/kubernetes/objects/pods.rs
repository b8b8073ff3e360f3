//! Workspaces, pods with a trouble of their own, and events.

use serde_json::{Value, json};

use super::{NAME, Objects, Server, pod};

impl Server {
    pub(super) fn workspaces(&self, all: &mut Objects) {
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

    pub(super) fn workspace(&self, name: &str, id: &str, node: &str, created: &str) -> Value {
        let mut pod = pod("coder-ws", name, (NAME, "coder-workspace"), node, created);
        pod["metadata"]["uid"] = json!(name);
        pod["spec"]["containers"][0]["image"] = json!(format!("{}:{}/claude-ws:latest", self.estate.host(), crate::registry::MIRRORS));
        pod["metadata"]["labels"]["com.coder.workspace.id"] = json!(id);
        pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "2", "memory": "4Gi", "ephemeral-storage": "10Gi" }, "limits": { "cpu": "4", "memory": "8Gi", "ephemeral-storage": "20Gi" } });
        pod
    }

    /// Pods with one trouble each, in us-east-2.
    pub(super) fn troubled_pods(&self, all: &mut Objects) {
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

    pub(super) fn events(&self, all: &mut Objects) {
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
}
