//! A Kubernetes API server: bearer tokens, paged lists, selectors, watches with bookmarks and 410
//! Gone, metadata-only reads, access reviews, the node proxy and the metrics API, and the ways in
//! which real ones fail.

mod crowd;
mod kubelet;
mod objects;
mod store;

pub use objects::SERVED;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::REGIONS;
use crate::estate::Estate;
use crate::part::{Ground, Tasks};
use crate::serve::{Body, One, answer, serve};
use crate::wire;
use store::{Selection, Store};

/// Ports of the API servers, by region.
const API: [u16; 3] = [17_441, 17_442, 17_443];
/// Port of every kubelet.
pub(crate) const KUBELET: u16 = 17_250;
/// Nodes of a cluster that have a kubelet of their own.
const NODES: u32 = 3;

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

/// The API server of a region.
pub(crate) struct Server {
    region: String,
    estate: Arc<Estate>,
    store: Mutex<Store>,
    /// The state of the estate that the store shows.
    shown: AtomicU64,
    changed: watch::Sender<u64>,
}

/// The API server of a region, by its place in [`REGIONS`].
pub(crate) fn api(estate: &Estate, region: usize) -> SocketAddr {
    estate.at(1, API[region])
}

/// The kubelets of a region.
pub(crate) fn kubelets(estate: &Estate, region: &str) -> Vec<SocketAddr> {
    (1..=NODES).map(|node| estate.kubelet(region, node)).collect()
}

/// A kubeconfig with a context for each region.
pub(crate) fn kubeconfig(estate: &Estate) -> String {
    let list = |name: &str, entry: &dyn Fn(usize, &str) -> String| {
        REGIONS.iter().enumerate().fold(format!("{name}:\n"), |text, (index, region)| text + &entry(index, region))
    };
    let clusters = list("clusters", &|index, region| {
        format!("- name: {region}\n  cluster: {{ server: \"https://{}\", certificate-authority: ca.pem }}\n", api(estate, index))
    });
    let users = list("users", &|_, region| format!("- name: {region}\n  user: {{ token: {} }}\n", estate.token(region)));
    let contexts = list("contexts", &|_, region| format!("- name: {region}\n  context: {{ cluster: {region}, user: {region} }}\n"));
    format!("apiVersion: v1\nkind: Config\ncurrent-context: us-east-2\n{clusters}{users}{contexts}")
}

/// Starts the API servers and kubelets of all regions. They are no part of the lab like others, since it keeps hold of
/// the servers: whoever tests with many objects adds them there.
pub(crate) async fn start(ground: &Ground, tasks: &mut Tasks) -> anyhow::Result<Vec<Arc<Server>>> {
    let mut servers = Vec::new();
    for (index, region) in REGIONS.iter().enumerate() {
        let (server, task) = start_one(api(&ground.estate, index), &ground.key, region, &ground.estate).await?;
        servers.push(server);
        tasks.push(task);
        for (node, address) in (1..).zip(kubelets(&ground.estate, region)) {
            let key = ground.key_of(address.ip())?;
            tasks.push(kubelet::start(address, &key, region, &format!("node-{node}"), &ground.estate).await?);
        }
    }
    Ok(servers)
}

/// Starts the API server of a region.
async fn start_one(address: SocketAddr, key: &Arc<CertifiedKey>, region: &str, estate: &Arc<Estate>) -> anyhow::Result<(Arc<Server>, JoinHandle<()>)> {
    let server = Arc::new(Server {
        region: region.to_owned(),
        estate: Arc::clone(estate),
        store: Mutex::new(Store::new()),
        shown: AtomicU64::new(u64::MAX),
        changed: watch::Sender::new(0),
    });
    server.refresh();
    let serving = serve(address, Some(Arc::new(One(Arc::clone(key)))), {
        let server = Arc::clone(&server);
        move |request| Arc::clone(&server).handle(request)
    })
    .await?;
    let running = Arc::clone(&server);
    let task = tokio::spawn(async move {
        let (mut changes, mut storms) = (running.estate.changes(), wire::Storms::over(address));
        tokio::pin!(serving);
        loop {
            tokio::select! {
                _ = &mut serving => return,
                // What it said in a storm is taken back: it begins anew, and nobody goes on from before.
                () = storms.calm() => running.store().restart(),
                changed = changes.changed() => if changed.is_err() { return },
            }
            running.refresh();
        }
    });
    Ok((server, task))
}

/// A path, taken apart: `/apis/apps/v1/namespaces/coder/deployments/coder`.
struct Target {
    /// `apps/v1/deployments`
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
    /// What follows the name.
    rest: String,
}

impl Target {
    fn parse(path: &str) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/').peekable();
        let group_version = match parts.next()? {
            "api" => parts.next()?.to_owned(),
            "apis" => format!("{}/{}", parts.next()?, parts.next()?),
            _ => return None,
        };
        let mut rest: Vec<&str> = parts.collect();
        // `namespaces/NAME` alone is the namespace itself.
        let namespace = (rest.len() > 2 && rest[0] == "namespaces").then(|| rest[1].to_owned());
        if namespace.is_some() {
            rest.drain(..2);
        }
        let mut rest = rest.into_iter();
        let resource = format!("{group_version}/{}", rest.next()?);
        Some(Self { resource, namespace, name: rest.next().map(str::to_owned), rest: rest.collect::<Vec<_>>().join("/") })
    }
}

impl Server {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that the faults want, by resource.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<Value>> {
        self.wanted().into_iter().map(|(resource, objects)| (resource, objects.into_values().collect())).collect()
    }

    fn on(&self, region: &str, fault: &str) -> bool {
        self.region == region && self.estate.has(fault)
    }

    /// Makes the stored objects what the faults say, as events.
    fn refresh(&self) {
        let version = self.estate.version();
        let mut store = self.store();
        if self.shown.swap(version, Ordering::SeqCst) == version {
            return;
        }
        store.turn_into(&self.wanted());
        self.changed.send_replace(store.version);
    }

    fn behaviour(&self, resource: &str) -> Behaviour {
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
        let forbidden = [("apps/v1/deployments", "forbidden-deployments"), ("v1/pods", "forbidden-pods"), ("v1/resourcequotas", "forbidden-quotas")];
        if resource == "v1/secrets" && (self.on("us-east-2", "pull-secret-forbidden") || self.on("us-east-2", "credential-secrets-forbidden")) {
            return Behaviour::Status(403);
        }
        if forbidden.iter().any(|(own, fault)| resource == *own && self.on("us-west-2", fault)) {
            return Behaviour::Status(403);
        }
        if resource.starts_with("metrics.k8s.io/") && self.on("us-west-2", "metrics-api-gone") {
            return Behaviour::Status(503);
        }
        // What an older version of the operator serves.
        if resource.starts_with("karpenter.sh/v1/") && self.on("us-west-2", "crd-of-another-version") {
            return Behaviour::Status(404);
        }
        faults.iter().find(|(fault, _)| self.on("us-west-2", fault)).map_or(Behaviour::Good, |(_, behaviour)| *behaviour)
    }

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Option<Response<Body>> {
        let path = request.uri().path().to_owned();
        let target = Target::parse(&path);
        let resource = target.as_ref().map(|target| target.resource.clone()).unwrap_or_default();
        match self.behaviour(&resource) {
            Behaviour::Good => {}
            Behaviour::Hang => {
                // For as long as the fault is on; then the connection is of no more use.
                let mut changes = self.estate.changes();
                while self.behaviour(&resource) == Behaviour::Hang && changes.changed().await.is_ok() {}
                return None;
            }
            Behaviour::Reset => return None,
            Behaviour::Status(code) => return Some(status(code)),
            Behaviour::Html => return Some(answer(200, "text/html", "<html><body>Welcome to nginx!</body></html>")),
            Behaviour::Half => return Some(answer(200, "application/json", "{\"kind\":\"List\",\"metadata\":{\"resourceVer")),
        }
        let bearer = request.headers().get(hyper::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let expected = format!("Bearer {}", self.estate.token(&self.region));
        if !bearer.is_some_and(|bearer| bearer == expected || crate::aws::is_token_for(bearer, &self.region)) {
            return Some(status(401));
        }
        if path == "/version" {
            return Some(self.version());
        }
        let Some(target) = target else { return Some(status(404)) };
        if request.method() == Method::POST {
            let body = request.into_body().collect().await.ok()?.to_bytes();
            return Some(self.review(&target, &serde_json::from_slice(&body).unwrap_or_default()));
        }
        self.read(target, &request).await
    }

    async fn read(self: Arc<Self>, target: Target, request: &Request<Incoming>) -> Option<Response<Body>> {
        let query: HashMap<String, String> = url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
        if target.resource == "v1/nodes" && target.rest == "proxy/stats/summary" {
            return kubelet::proxied(&self.estate, &self.region, target.name.as_deref().unwrap_or_default()).await;
        }
        if target.resource.starts_with("metrics.k8s.io/") {
            return Some(self.metrics(&target, &query));
        }
        let Some((_, kind)) = SERVED.iter().find(|(resource, _)| *resource == target.resource) else { return Some(status(404)) };
        if let Some(name) = &target.name {
            let key = format!("{}/{name}", target.namespace.as_deref().unwrap_or_default());
            // Faults reach the server through a channel; whoever switched one may ask right after.
            self.refresh();
            return Some(match self.store().get(&target.resource, &key) {
                Some(text) => answer(200, "application/json", partial(text, request)),
                None => status(404),
            });
        }
        // Nobody may list Secrets.
        if target.resource == "v1/secrets" {
            return Some(status(403));
        }
        let watches = query.get("watch").is_some_and(|value| value == "true" || value == "1");
        let hangs = || target.resource == "v1/pods" && self.on("us-west-2", "api-lists-hang");
        if !watches && hangs() {
            let mut changes = self.estate.changes();
            while hangs() && changes.changed().await.is_ok() {}
            return None;
        }
        let selection = Selection {
            resource: target.resource,
            namespace: target.namespace,
            labels: query.get("labelSelector").cloned(),
            fields: query.get("fieldSelector").cloned(),
        };
        if watches {
            return Some(self.watch(selection, &query));
        }
        Some(self.list(kind, &selection, &query))
    }

    fn version(&self) -> Response<Body> {
        let version = if self.on("us-west-2", "api-upgraded") { ("36", "v1.36.0") } else { ("33", "v1.33.4") };
        let mut response = answer(200, "application/json", json!({ "major": "1", "minor": version.0, "gitVersion": version.1 }).to_string());
        if self.on("us-west-2", "clock-ahead") {
            let ahead = jiff::Timestamp::now().as_second() + 300;
            let date = jiff::Timestamp::from_second(ahead).unwrap_or_default().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            if let Ok(date) = date.parse() {
                response.headers_mut().insert(hyper::header::DATE, date);
            }
        }
        response
    }

    /// Access reviews: everything is allowed but what a fault forbids.
    fn review(&self, target: &Target, review: &Value) -> Response<Body> {
        if !target.resource.starts_with("authorization.k8s.io/v1/") {
            return status(405);
        }
        let allowed = !self.on("us-east-2", "access-denied");
        let mut review = review.clone();
        review["status"] = if allowed { json!({ "allowed": true, "reason": "RBAC: allowed by the lab" }) } else { json!({ "allowed": false }) };
        answer(201, "application/json", review.to_string())
    }

    fn list(&self, kind: &str, selection: &Selection, query: &HashMap<String, String>) -> Response<Body> {
        // Faults reach the server through a channel; whoever switched one may list right after.
        self.refresh();
        let store = self.store();
        let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
        let after = query.get("continue").cloned().unwrap_or_default();
        if !after.is_empty() && self.on("us-west-2", "watch-gone") {
            // The token of a page expires like a version does.
            return status(410);
        }
        let (items, next) = store.page(selection, &after, limit);
        let metadata = json!({ "resourceVersion": store.version.to_string(), "continue": next.unwrap_or_default() });
        answer(200, "application/json", format!("{{\"kind\":\"{kind}List\",\"apiVersion\":\"v1\",\"metadata\":{metadata},\"items\":[{items}]}}"))
    }

    fn watch(self: Arc<Self>, selection: Selection, query: &HashMap<String, String>) -> Response<Body> {
        let from: u64 = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        if self.on("us-west-2", "watch-compacted") {
            self.store().compact();
        }
        let too_old = from < self.store().oldest();
        let lists_hang = selection.resource == "v1/pods" && self.on("us-west-2", "api-lists-hang");
        if self.on("us-west-2", "watch-gone") || lists_hang || too_old {
            let gone = json!({ "type": "ERROR", "object": { "kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old resource version" } });
            return answer(200, "application/json", format!("{gone}\n"));
        }
        if self.on("us-west-2", "watch-close") {
            return answer(200, "application/json", self.store().since(&selection, from));
        }
        let seconds = query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(290);
        let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
        let changes = self.changed.subscribe();
        let events = futures::stream::unfold((self, selection, from, changes), move |(server, selection, from, mut changes)| async move {
            loop {
                let (lines, newest) = {
                    let store = server.store();
                    (store.since(&selection, from), store.version)
                };
                if !lines.is_empty() {
                    return Some((lines, (server, selection, newest, changes)));
                }
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return None },
                    () = tokio::time::sleep(Duration::from_secs(1)) => {
                        // Like the real one, tell a quiet client where it stands.
                        let bookmark = json!({ "type": "BOOKMARK", "object": { "kind": "Any", "apiVersion": "v1", "metadata": { "resourceVersion": newest.to_string() } } });
                        return Some((format!("{bookmark}\n"), (server, selection, newest, changes)));
                    }
                    () = tokio::time::sleep_until(end) => return None,
                }
                let ends = ["watch-gone", "watch-close", "watch-compacted", "api-lists-hang"];
                if server.behaviour(&selection.resource) != Behaviour::Good || ends.iter().any(|fault| server.on("us-west-2", fault)) {
                    return None;
                }
            }
        });
        let frames = events.map(|text| Ok::<_, Infallible>(Frame::data(Bytes::from(text))));
        let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)));
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
        response
    }
}

/// Only the metadata, for a client that asks for no more.
fn partial(text: &str, request: &Request<Incoming>) -> String {
    let accept = request.headers().get(hyper::header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !accept.contains("as=PartialObjectMetadata") {
        return text.to_owned();
    }
    let object: Value = serde_json::from_str(text).unwrap_or_default();
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] }).to_string()
}

fn status(code: u16) -> Response<Body> {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let details = if code == 429 { json!({ "retryAfterSeconds": 31_536_000 }) } else { json!({}) };
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": format!("{reason} by the lab"), "details": details });
    let mut response = answer(code, "application/json", body.to_string());
    if code == 429 {
        // As Priority and Fairness sends them.
        for (name, value) in [("retry-after", "31536000"), ("x-kubernetes-pf-flowschema-uid", "lab"), ("x-kubernetes-pf-prioritylevel-uid", "lab")] {
            response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
        }
    }
    response
}
