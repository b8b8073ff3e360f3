//! A Kubernetes API server: bearer tokens, paged lists, label selectors, watches with bookmarks
//! and 410 Gone, and the ways in which real ones fail.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::estate::Estate;
use crate::serve::{Body, One, answer, serve};

/// The label that names an application.
const NAME: &str = "app.kubernetes.io/name";
/// Events that a watch can still be resumed from.
const LOG: usize = 512;

/// The token of a region's cluster.
pub(crate) fn token(region: &str) -> String {
    format!("token-of-{region}")
}

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// As it should be.
    Good,
    /// Never.
    Hang,
    /// By cutting the connection.
    Reset,
    /// With this status.
    Status(u16),
    /// With a page for people.
    Html,
    /// With half an object.
    Half,
}

#[derive(Clone)]
struct Event {
    version: u64,
    plural: String,
    kind: &'static str,
    object: Value,
}

struct Objects {
    version: u64,
    current: BTreeMap<(String, String), Value>,
    log: VecDeque<Event>,
}

struct Server {
    region: String,
    estate: Arc<Estate>,
    objects: Mutex<Objects>,
    changed: watch::Sender<u64>,
}

/// Starts the API server of a region.
pub(crate) async fn start(address: SocketAddr, key: &Arc<CertifiedKey>, region: &str, estate: &Arc<Estate>) -> anyhow::Result<JoinHandle<()>> {
    let server = Arc::new(Server {
        region: region.to_owned(),
        estate: Arc::clone(estate),
        objects: Mutex::new(Objects { version: 1000, current: BTreeMap::new(), log: VecDeque::new() }),
        changed: watch::Sender::new(0),
    });
    server.refresh();
    let serving = serve(address, Some(Arc::new(One(Arc::clone(key)))), {
        let server = Arc::clone(&server);
        move |request| Arc::clone(&server).handle(request)
    })
    .await?;
    Ok(tokio::spawn(async move {
        let mut changes = server.estate.changes();
        tokio::pin!(serving);
        loop {
            tokio::select! {
                _ = &mut serving => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            server.refresh();
        }
    }))
}

impl Server {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on(&self, region: &str, fault: &str) -> bool {
        self.region == region && self.estate.has(fault)
    }

    /// Makes the stored objects what the faults say, as events.
    fn refresh(&self) {
        let wanted: BTreeMap<(String, String), Value> = self.wanted().into_iter().collect();
        let mut objects = self.objects();
        let before = std::mem::take(&mut objects.current);
        let mut events = Vec::new();
        for (key, object) in &wanted {
            match before.get(key) {
                Some(old) if bare(old) == *object => {}
                old => events.push((key.clone(), if old.is_some() { "MODIFIED" } else { "ADDED" }, object.clone())),
            }
        }
        for (key, old) in &before {
            if !wanted.contains_key(key) {
                events.push((key.clone(), "DELETED", old.clone()));
            }
        }
        objects.current = before.into_iter().filter(|(key, _)| wanted.contains_key(key)).collect();
        for (key, kind, mut object) in events {
            objects.version += 1;
            let version = objects.version;
            object["metadata"]["resourceVersion"] = json!(version.to_string());
            if kind != "DELETED" {
                objects.current.insert(key.clone(), object.clone());
            }
            objects.log.push_back(Event { version, plural: key.0, kind, object });
            if objects.log.len() > LOG {
                objects.log.pop_front();
            }
        }
        let version = objects.version;
        drop(objects);
        self.changed.send_replace(version);
    }

    fn wanted(&self) -> Vec<((String, String), Value)> {
        let mut all = Vec::new();
        for index in 1..=self.estate.nodes() {
            all.push((("nodes".to_owned(), format!("/node-{index}")), self.node(index)));
        }
        let down = |fault: bool, desired: u32, left: u32| if fault { (desired, left) } else { (desired, desired) };
        let mut deployment = |namespace: &str, name: &str, label: (&str, &str), (desired, ready): (u32, u32), updated: u32| {
            let key = ("deployments".to_owned(), format!("{namespace}/{name}"));
            all.push((key, replicated(namespace, name, label, desired, ready, updated)));
        };
        deployment("karpenter", "karpenter", (NAME, "karpenter"), down(self.on("eu-west-2", "karpenter-down"), 2, 1), 2);
        if self.region == "us-east-2" {
            let updated = if self.estate.has("rollout-stuck") { 1 } else { 2 };
            deployment("coder", "coder", (NAME, "coder"), (2, 2), updated);
            let provisioners = if self.estate.has("provisioners-scaled-down") { 2 } else { 6 };
            deployment("coder-ws", "coder-provisioner", (NAME, "coder-provisioner"), (provisioners, provisioners), provisioners);
            if !self.estate.has("selector-empty") {
                deployment("litellm", "litellm", ("app", "litellm"), down(self.estate.has("litellm-crash"), 4, 3), 4);
            }
            all.push((("cronjobs".to_owned(), "coder-ws/rotate-key".to_owned()), cron_job()));
        } else {
            let updated = if self.on("us-west-2", "proxy-rollout-stuck") { 1 } else { 2 };
            deployment("coder-proxy", "coder", (NAME, "coder"), (2, 2), updated);
        }
        let namespace = if self.region == "us-east-2" { "coder" } else { "coder-proxy" };
        let gone = self.on("eu-west-2", "load-balancer-gone");
        let ingress = if gone { json!({}) } else { json!({ "ingress": [{ "hostname": format!("nlb-{}.elb.lab.test", self.region) }] }) };
        let service =
            json!({ "metadata": metadata(namespace, "coder", (NAME, "coder")), "spec": { "type": "LoadBalancer" }, "status": { "loadBalancer": ingress } });
        all.push((("services".to_owned(), format!("{namespace}/coder")), service));
        all
    }

    fn node(&self, index: u32) -> Value {
        let first = |region: &str, fault: &str| index == 1 && self.on(region, fault);
        let ready = if first("us-west-2", "node-silent") {
            "Unknown"
        } else if first("us-west-2", "node-not-ready") {
            "False"
        } else {
            "True"
        };
        let flag = |on: bool| if on { "True" } else { "False" };
        let mut node = json!({
            "metadata": { "name": format!("node-{index}"), "uid": format!("{}-{index}", self.region), "labels": { "topology.kubernetes.io/region": self.region },
                "managedFields": [{ "manager": "kubelet", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": { "f:status": {} } }] },
            "spec": { "providerID": format!("aws:///{}/i-{index}", self.region) },
            "status": { "conditions": [
                { "type": "MemoryPressure", "status": flag(first("us-east-2", "node-memory-pressure")) },
                { "type": "DiskPressure", "status": flag(first("us-east-2", "node-disk-pressure")) },
                { "type": "PIDPressure", "status": "False" },
                { "type": "Ready", "status": ready },
            ] },
        });
        if first("eu-west-2", "node-cordoned") {
            node["spec"]["unschedulable"] = json!(true);
        }
        node
    }

    fn behaviour(&self, plural: &str) -> Behaviour {
        let faults = [
            ("api-hang", Behaviour::Hang),
            ("api-reset", Behaviour::Reset),
            ("api-unauthorized", Behaviour::Status(401)),
            ("api-error", Behaviour::Status(500)),
            ("api-not-found", Behaviour::Status(404)),
            ("api-throttled", Behaviour::Status(429)),
            ("api-html", Behaviour::Html),
            ("api-half", Behaviour::Half),
        ];
        if plural == "deployments" && self.on("us-west-2", "forbidden-deployments") {
            return Behaviour::Status(403);
        }
        faults.iter().find(|(fault, _)| self.on("us-west-2", fault)).map_or(Behaviour::Good, |(_, behaviour)| *behaviour)
    }

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Option<Response<Body>> {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let plural = parts.last().copied().unwrap_or_default();
        match self.behaviour(plural) {
            Behaviour::Good => {}
            Behaviour::Hang => {
                // For as long as the fault is on; then the connection is of no more use.
                let mut changes = self.estate.changes();
                while self.behaviour(plural) == Behaviour::Hang && changes.changed().await.is_ok() {}
                return None;
            }
            Behaviour::Reset => return None,
            Behaviour::Status(code) => return Some(status(code)),
            Behaviour::Html => return Some(answer(200, "text/html", "<html><body>Welcome to nginx!</body></html>")),
            Behaviour::Half => return Some(answer(200, "application/json", "{\"kind\":\"List\",\"metadata\":{\"resourceVer")),
        }
        let bearer = request.headers().get(hyper::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if bearer != Some(&format!("Bearer {}", token(&self.region))) {
            return Some(status(401));
        }
        if path == "/version" {
            return Some(answer(200, "application/json", json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.4" }).to_string()));
        }
        let namespace = parts.iter().position(|part| *part == "namespaces").and_then(|at| parts.get(at + 1)).copied();
        let query: HashMap<String, String> = url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
        let selection = Selection {
            plural: plural.to_owned(),
            namespace: namespace.map(str::to_owned),
            labels: query.get("labelSelector").cloned(),
            name: query.get("fieldSelector").and_then(|field| field.strip_prefix("metadata.name=")).map(str::to_owned),
        };
        if query.get("watch").is_some_and(|value| value == "true" || value == "1") {
            return Some(self.watch(selection, &query));
        }
        Some(self.list(&selection, &query))
    }

    fn list(&self, selection: &Selection, query: &HashMap<String, String>) -> Response<Body> {
        // Faults reach the server through a channel; whoever switched one may list right after.
        self.refresh();
        let objects = self.objects();
        let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
        let after = query.get("continue").cloned().unwrap_or_default();
        let matching: Vec<(&String, &Value)> = objects
            .current
            .iter()
            .filter(|((plural, key), object)| *plural == selection.plural && *key > after && selection.takes(object))
            .map(|((_, key), object)| (key, object))
            .collect();
        let page: Vec<&Value> = matching.iter().take(limit).map(|(_, object)| *object).collect();
        let next = if matching.len() > limit { matching[limit - 1].0.as_str() } else { "" };
        let body =
            json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": objects.version.to_string(), "continue": next }, "items": page });
        answer(200, "application/json", body.to_string())
    }

    fn watch(self: Arc<Self>, selection: Selection, query: &HashMap<String, String>) -> Response<Body> {
        let from: u64 = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        let oldest = self.objects().log.front().map_or(0, |event| event.version);
        let too_old = from + 1 < oldest && from != self.objects().version;
        if self.on("us-west-2", "watch-gone") || too_old {
            let gone = json!({ "type": "ERROR", "object": { "kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old resource version" } });
            return answer(200, "application/json", format!("{gone}\n"));
        }
        if self.on("us-west-2", "watch-close") {
            return answer(200, "application/json", self.since(&selection, from).0);
        }
        let seconds = query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(290);
        let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
        let changes = self.changed.subscribe();
        let events = futures::stream::unfold((self, selection, from, changes), move |(server, selection, from, mut changes)| async move {
            loop {
                let (lines, newest) = server.since(&selection, from);
                if !lines.is_empty() {
                    return Some((lines, (server, selection, newest, changes)));
                }
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return None },
                    () = tokio::time::sleep(Duration::from_secs(1)) => {
                        // Like the real one, tell a quiet client where it stands.
                        let bookmark = json!({ "type": "BOOKMARK", "object": { "kind": kind_of(&selection.plural), "apiVersion": "v1", "metadata": { "resourceVersion": newest.to_string() } } });
                        return Some((format!("{bookmark}\n"), (server, selection, newest, changes)));
                    }
                    () = tokio::time::sleep_until(end) => return None,
                }
                if server.behaviour(&selection.plural) != Behaviour::Good || ["watch-gone", "watch-close"].iter().any(|fault| server.on("us-west-2", fault)) {
                    return None;
                }
            }
        });
        let frames = events.map(|text| Ok::<_, Infallible>(Frame::data(Bytes::from(text))));
        let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)));
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
        response
    }

    fn since(&self, selection: &Selection, from: u64) -> (String, u64) {
        let objects = self.objects();
        let events = objects.log.iter().filter(|event| event.version > from && event.plural == selection.plural && selection.takes(&event.object));
        let lines = events.map(|event| format!("{}\n", json!({ "type": event.kind, "object": event.object }))).collect();
        (lines, objects.version)
    }
}

struct Selection {
    plural: String,
    namespace: Option<String>,
    labels: Option<String>,
    name: Option<String>,
}

impl Selection {
    fn takes(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let namespace = self.namespace.as_ref().is_none_or(|namespace| metadata["namespace"] == **namespace);
        let name = self.name.as_ref().is_none_or(|name| metadata["name"] == **name);
        let labels = self
            .labels
            .iter()
            .flat_map(|labels| labels.split(','))
            .all(|pair| pair.split_once('=').is_some_and(|(label, value)| metadata["labels"][label] == value));
        namespace && name && labels
    }
}

fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    object
}

fn kind_of(plural: &str) -> &'static str {
    match plural {
        "nodes" => "Node",
        "deployments" => "Deployment",
        "statefulsets" => "StatefulSet",
        "daemonsets" => "DaemonSet",
        "cronjobs" => "CronJob",
        _ => "Service",
    }
}

fn metadata(namespace: &str, name: &str, (label, value): (&str, &str)) -> Value {
    json!({ "namespace": namespace, "name": name, "uid": format!("{namespace}-{name}"), "generation": 3, "labels": { label: value } })
}

fn replicated(namespace: &str, name: &str, label: (&str, &str), desired: u32, ready: u32, updated: u32) -> Value {
    json!({
        "metadata": metadata(namespace, name, label),
        "spec": { "replicas": desired, "template": { "spec": { "containers": [{ "name": "main", "image": "example" }] } } },
        "status": { "observedGeneration": 3, "replicas": desired, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": updated },
    })
}

fn cron_job() -> Value {
    json!({
        "metadata": metadata("coder-ws", "rotate-key", ("app.kubernetes.io/name", "rotate-key")),
        "spec": { "schedule": "0 */4 * * *", "timeZone": "America/Vancouver", "suspend": true },
        "status": { "lastScheduleTime": "2026-01-01T20:00:00Z", "lastSuccessfulTime": "2026-01-01T20:00:09Z" },
    })
}

fn status(code: u16) -> Response<Body> {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let details = if code == 429 { json!({ "retryAfterSeconds": 31_536_000 }) } else { json!({}) };
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": format!("{reason} by the lab"), "details": details });
    answer(code, "application/json", body.to_string())
}
