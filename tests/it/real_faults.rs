//! The faults of the lab once more, with a real API server in place of the lab's: the lab says what
//! the objects are, the real one stores, lists and watches them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use readiness_lab::SERVED;
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::Estate;
use crate::faults::{flip_on, group};
use crate::real_cluster::{ADMIN, ApiServer};

/// How many of the lab's resources come from definitions, the last ones.
const CUSTOM: usize = 10;

/// Faults that a real API server does not let happen: it writes the time of creation itself, and
/// whoever asks it for a version or a review is told the truth.
const IMPOSSIBLE: [&str; 5] = ["rollout-slow", "access-denied", "namespace-of-another-cluster", "backup-snapshot-old", "backup-volume-without-snapshot"];

/// Shows the lab's objects through a real API server.
struct Bridge {
    server: ApiServer,
    /// What was made, by path, with the identity that the real server gave it.
    made: Mutex<BTreeMap<String, (Value, String)>>,
}

fn paths(resource: &str, object: &Value) -> (String, String) {
    let (version, plural) = resource.rsplit_once('/').unwrap();
    let root = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
    let scope = object["metadata"]["namespace"].as_str().map_or_else(String::new, |namespace| format!("/namespaces/{namespace}"));
    let collection = format!("{root}{scope}/{plural}");
    (collection.clone(), format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap()))
}

/// Fills in what a real server demands and nobody reads.
fn complete(kind: &str, version: &str, object: &mut Value) {
    object["apiVersion"] = json!(version);
    object["kind"] = json!(kind);
    let metadata = object["metadata"].as_object_mut().unwrap();
    for own in ["uid", "creationTimestamp", "managedFields", "generation"] {
        metadata.remove(own);
    }
    let template = |labels: &Value| json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "main", "image": "example" }] } });
    match kind {
        "Deployment" => object["spec"]["template"] = template(&object["spec"]["selector"]["matchLabels"].clone()),
        "ReplicaSet" => object["spec"] = json!({ "selector": { "matchLabels": { "set": "own" } }, "template": template(&json!({ "set": "own" })) }),
        "CronJob" => {
            let mut job = template(&json!({}));
            job["spec"]["restartPolicy"] = json!("Never");
            object["spec"]["jobTemplate"] = json!({ "spec": { "template": job } });
        }
        "Service" => object["spec"]["ports"] = json!([{ "name": "https", "port": 443 }]),
        "EndpointSlice" => object["addressType"] = json!("IPv4"),
        _ => {}
    }
}

impl Bridge {
    async fn start(server: ApiServer) -> Self {
        for (resource, kind) in &SERVED[SERVED.len() - CUSTOM..] {
            let mut parts = resource.split('/');
            let (group, version, plural) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            let scope = if ["certificates", "prometheuses", "backups", "schedules", "backupstoragelocations", "volumesnapshots"].contains(&plural) {
                "Namespaced"
            } else {
                "Cluster"
            };
            let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
            let definition = json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": format!("{plural}.{group}"),
                // Groups of Kubernetes itself are protected.
                "annotations": { "api-approved.kubernetes.io": "https://github.com/kubernetes-csi/external-snapshotter/pull/419" } },
                "spec": { "group": group, "scope": scope, "names": { "plural": plural, "kind": kind }, "versions": [{ "name": version, "served": true, "storage": true, "schema": schema }] } });
            let (status, said) =
                server.ask(Method::POST, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "application/json", definition.to_string()).await;
            assert_eq!(status, 201, "{said}");
        }
        for namespace in ["monitoring", "velero", "exercises", "batch"] {
            let object = json!({ "metadata": { "name": namespace } });
            server.ask(Method::POST, "/api/v1/namespaces", "application/json", object.to_string()).await;
        }
        Self { server, made: Mutex::default() }
    }

    /// Makes the real objects what the lab's are now.
    async fn show(&self, objects: BTreeMap<String, Vec<Value>>) {
        let mut made = std::mem::take(&mut *self.made.lock().unwrap());
        let mut wanted: Vec<(&str, &str, Value)> = Vec::new();
        for (resource, kind) in SERVED {
            wanted.extend(objects.get(*resource).into_iter().flatten().map(|object| (*resource, *kind, object.clone())));
        }
        let paths_of: Vec<String> = wanted.iter().map(|(resource, _, object)| paths(resource, object).1).collect();
        let gone: Vec<String> = made.keys().filter(|path| !paths_of.contains(path)).cloned().collect();
        for path in gone {
            made.remove(&path);
            self.delete(&path).await;
        }
        let mut identities: BTreeMap<String, String> = made.values().map(|(object, uid)| (object["metadata"]["uid"].to_string(), uid.clone())).collect();
        // What is made anew has another identity, by which those that it owns must know it.
        let mut anew: BTreeSet<String> = BTreeSet::new();
        for ((resource, kind, object), path) in wanted.into_iter().zip(paths_of) {
            let mut owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            if !owners.any(|owner| anew.contains(&owner["uid"].to_string())) && made.get(&path).is_some_and(|(old, _)| *old == object) {
                continue;
            }
            if made.contains_key(&path) {
                self.delete(&path).await;
            }
            let uid = self.make(resource, kind, object.clone(), &path, &identities).await;
            anew.insert(object["metadata"]["uid"].to_string());
            identities.insert(object["metadata"]["uid"].to_string(), uid.clone());
            made.insert(path, (object, uid));
        }
        *self.made.lock().unwrap() = made;
    }

    async fn make(&self, resource: &str, kind: &str, mut object: Value, path: &str, identities: &BTreeMap<String, String>) -> String {
        let (version, _) = resource.rsplit_once('/').unwrap();
        let writers = object["metadata"]["managedFields"].take();
        complete(kind, version, &mut object);
        for owner in object["metadata"]["ownerReferences"].as_array_mut().into_iter().flatten() {
            owner["uid"] = json!(identities[&owner["uid"].to_string()]);
        }
        let custom = SERVED[SERVED.len() - CUSTOM..].iter().any(|(own, _)| *own == resource);
        let status = if custom { None } else { object.as_object_mut().unwrap().remove("status") };
        let ends = object["metadata"].as_object_mut().unwrap().remove("deletionTimestamp").is_some();
        let (collection, _) = paths(resource, &object);
        let mut answer = self.server.ask(Method::POST, &collection, "application/json", object.to_string()).await;
        // A definition is served a moment after it is made.
        for _ in 0..100 {
            if answer.0 != 404 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            answer = self.server.ask(Method::POST, &collection, "application/json", object.to_string()).await;
        }
        if answer.0 == 409 && kind == "Namespace" {
            answer = self.server.ask(Method::GET, path, "application/json", String::new()).await;
        }
        assert!(matches!(answer.0, 200 | 201), "{path}: {answer:?}");
        let uid = answer.1["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        if let Some(status) = status.filter(|_| kind != "Namespace") {
            let patch = json!({ "status": status }).to_string();
            let said = self.server.ask(Method::PATCH, &format!("{path}/status"), "application/merge-patch+json", patch).await;
            assert_eq!(said.0, 200, "{path}/status: {said:?}");
        }
        if kind == "Secret" && writers.is_array() {
            self.sign(path, writers).await;
        }
        // The time of a deletion is the server's own; a finalizer keeps the object.
        if ends {
            self.server.ask(Method::DELETE, path, "application/json", String::new()).await;
        }
        uid
    }

    /// Says who wrote which field and when: an update that changes nothing else may name all writers.
    async fn sign(&self, path: &str, writers: Value) {
        let (_, mut object) = self.server.ask(Method::GET, path, "application/json", String::new()).await;
        object["metadata"]["managedFields"] = writers.clone();
        let (status, said) = self.server.ask(Method::PUT, path, "application/json", object.to_string()).await;
        assert_eq!(status, 200, "{path}: {said:?}");
        assert_eq!(said["metadata"]["managedFields"].as_array().map(Vec::len), writers.as_array().map(Vec::len), "{path}: {said:?}");
    }

    async fn delete(&self, path: &str) {
        // Namespaces end only with a controller; without one they stay for ever, and are finished off here.
        let now = json!({ "gracePeriodSeconds": 0, "propagationPolicy": "Background" }).to_string();
        let unheld = json!({ "metadata": { "finalizers": null } }).to_string();
        self.server.ask(Method::PATCH, path, "application/merge-patch+json", unheld).await;
        self.server.ask(Method::DELETE, path, "application/json", now).await;
        if path.starts_with("/api/v1/namespaces/") && path.matches('/').count() == 4 {
            let (_, mut object) = self.server.ask(Method::GET, path, "application/json", String::new()).await;
            object["spec"]["finalizers"] = json!([]);
            self.server.ask(Method::PUT, &format!("{path}/finalize"), "application/json", object.to_string()).await;
        }
        for _ in 0..200 {
            if self.server.ask(Method::GET, path, "application/json", String::new()).await.0 == 404 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("{path} is not gone");
    }
}

/// The lab's estate, with its first cluster behind the real API server.
fn configuration(estate: &Estate, server: &ApiServer) -> String {
    let token = server.folder.path().join("admin.token");
    std::fs::write(&token, ADMIN).unwrap();
    let (before, rest) = estate.configuration.split_once("  - name: us-east-2\n    kubeconfig:").unwrap();
    let (_, after) = rest.split_once("context: us-east-2\n").unwrap();
    let (ca, url) = (server.folder.path().join("ca.pem"), &server.url);
    let real = format!("  - name: us-east-2\n    server: \"{url}\"\n    ca_file: {}\n    token: {{ file: {} }}\n", ca.display(), token.display());
    let text = format!("{before}{real}{after}");
    // No kubelets and no metrics server stand behind it, and its identity is its own.
    let lines = text.lines().map(|line| match line.trim_start() {
        line if line.starts_with("storage: {") => "    storage: { via: off }",
        line if line.starts_with("usage: {") => "    usage: { enabled: false }",
        line if line.starts_with("- { resource: namespaces, name: kube-system") => "",
        _ => line,
    });
    // Its version and who may do what in it are as they are, its Secrets are younger than the pods, and its claims
    // than their snapshots.
    let off: String = ["VolumeWithoutSnapshot", "VolumeSnapshotTooOld", "AccessMissing", "ClientVersionSkew", "KubeletTooOld", "WorkloadOlderThanCredential"]
        .iter()
        .map(|check| format!("      {check}: {{ enabled: false }}\n"))
        .collect();
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    // What only those ask about is looked at all the same.
    let waived = format!("waivers:\n  - {{ check: ReadinessSourceNotJudged, who: lab, why: another cluster, until: {until} }}\n");
    format!("{}\n{waived}checklists:\n  - name: workshop\n    overrides:\n{off}", lines.collect::<Vec<_>>().join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_faults_are_noticed_through_a_real_api_server() {
    let mut estate = Estate::start().await;
    let server = ApiServer::start().await;
    estate.configuration = configuration(&estate, &server);
    let bridge = Bridge::start(server).await;
    bridge.show(estate.lab.objects()).await;
    let groups = ["nodes", "pods", "workspaces", "karpenter", "clusters", "rotations", "backups", "workloads"];
    let before = estate.lab.objects();
    // Those that change an object of the first cluster.
    let mut tried = Vec::new();
    for fault in groups.iter().flat_map(|name| group(name).faults) {
        estate.lab.estate().set(fault.name, true);
        if estate.lab.objects() != before && !IMPOSSIBLE.contains(&fault.name) {
            tried.push(fault);
        }
        estate.lab.estate().set(fault.name, false);
    }
    assert!(tried.len() > 40, "{}", tried.len());
    flip_on(&estate, tried, &["WorkloadNearItsLimit"], async || bridge.show(estate.lab.objects()).await).await;
}
