//! Keeps a compact view of one cluster: paged lists, then watches that resume after a disconnect
//! and list again after 410 Gone, confirmed by a question to `/version` every interval.
//!
//! The confirmation is what tells a quiet cluster from a dead connection: an idle watch says
//! nothing for minutes even when all is well.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::config::{ClusterConfig, Config, Selector, WorkloadKind};
use super::objects::{CronJob, DaemonSet, Deployment, Node, Row, Service, Slim, StatefulSet};
use super::{connect, facts};
use crate::driver::{Publisher, Watch};
use crate::snapshot::{CollectError, ErrorClass, Observation};

/// Objects per page of a list.
const PAGE: u32 = 500;
/// Changes within this time are published together.
const SETTLE: Duration = Duration::from_millis(200);
/// Longest time for a page of a list.
const PAGE_LIMIT: Duration = Duration::from_secs(30);
/// How long the server may keep a watch open. Short, because a connection that died without a word
/// is noticed only when this time has passed: until then nothing tells it from a quiet cluster.
const WATCH_SECONDS: u32 = 60;
/// Time that a watch gets beyond its own.
const WATCH_GRACE: Duration = Duration::from_secs(10);
/// Pause before the first retry; each further one is twice as long, up to an interval, so that a
/// mended server is seen within one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Changes that may wait to be taken in. A list of 150,000 objects must not pile up here.
const BACKLOG: usize = 256;

type Indexed = (usize, Result<Change, CollectError>);

/// A set of objects that is watched as one.
#[derive(Debug, Clone)]
pub(super) enum Scope {
    Nodes,
    Workloads(Selector),
    Service { key: String, namespace: String, name: String },
}

impl Scope {
    /// The `selector` label.
    pub(super) fn selector(&self) -> &str {
        match self {
            Self::Nodes => "nodes",
            Self::Workloads(selector) => &selector.name,
            Self::Service { key, .. } => key,
        }
    }

    fn wants(&self, name: &str) -> bool {
        match self {
            Self::Workloads(selector) => selector.names.is_empty() || selector.names.iter().any(|wanted| wanted == name),
            Self::Nodes | Self::Service { .. } => true,
        }
    }
}

/// Everything that is watched in one cluster.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) scopes: Vec<Scope>,
}

impl Wanted {
    pub(super) fn of(config: &Config, cluster: &str) -> Self {
        let here = |clusters: &[String]| clusters.is_empty() || clusters.iter().any(|name| name == cluster);
        let nodes = config.nodes.then_some(Scope::Nodes);
        let workloads = config.workloads.iter().filter(|selector| here(&selector.clusters)).cloned().map(Scope::Workloads);
        let services = config.services.iter().filter(|service| here(&service.clusters)).map(|service| Scope::Service {
            key: format!("{}/{}", service.namespace, service.name),
            namespace: service.namespace.clone(),
            name: service.name.clone(),
        });
        Self { scopes: nodes.into_iter().chain(workloads).chain(services).collect() }
    }
}

type Key = (String, String);

/// What was seen of a scope.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) rows: Option<BTreeMap<Key, Row>>,
    pub(super) listing: BTreeMap<Key, Row>,
    /// Why it cannot be seen, and since when.
    pub(super) failure: Option<(Instant, CollectError)>,
    pub(super) keep: Duration,
}

impl Seen {
    /// Rows that may be judged.
    pub(super) fn rows(&self) -> Option<&BTreeMap<Key, Row>> {
        // A refusal is definite; anything else may be a hiccup and has until `keep`.
        let gone = self.failure.as_ref().is_some_and(|(since, error)| error.class == ErrorClass::Denied || since.elapsed() > self.keep);
        self.rows.as_ref().filter(|_| !gone)
    }

    /// State and words for people.
    pub(super) fn state(&self) -> (&'static str, String) {
        match (self.rows(), &self.failure) {
            (Some(rows), _) if rows.is_empty() => ("empty", "nothing matches".to_owned()),
            (Some(rows), _) => ("matched", format!("{} found", rows.len())),
            (None, Some((_, error))) => ("unseen", error.message.clone()),
            (None, None) => ("unseen", "not listed yet".to_owned()),
        }
    }

    fn settled(&self) -> bool {
        self.rows.is_some() || self.failure.is_some()
    }

    pub(super) fn apply(&mut self, scope: &Scope, change: Result<Change, CollectError>) {
        match change {
            Err(error) => {
                // The clock of a failure runs on until something was really seen again.
                let since = self.failure.take().map_or_else(Instant::now, |(since, _)| since);
                self.failure = Some((since, error));
            }
            Ok(Change::Restart) => self.listing.clear(),
            Ok(Change::Listed(key, row)) => {
                if scope.wants(&key.1) {
                    self.listing.insert(key, row);
                }
            }
            Ok(Change::Complete) => {
                self.rows = Some(std::mem::take(&mut self.listing));
                self.failure = None;
            }
            Ok(Change::Put(key, row)) => {
                if scope.wants(&key.1) {
                    self.rows.get_or_insert_default().insert(key, row);
                }
                self.failure = None;
            }
            Ok(Change::Removed(key)) => {
                self.rows.get_or_insert_default().remove(&key);
                self.failure = None;
            }
            Ok(Change::Alive) => self.failure = None,
        }
    }
}

pub(super) enum Change {
    /// A bookmark: nothing changed, and the watch lives.
    Alive,
    /// A list begins, which proves nothing yet.
    Restart,
    Listed(Key, Row),
    Complete,
    Put(Key, Row),
    Removed(Key),
}

/// The watching collector of one cluster.
pub(super) struct ClusterWatch {
    cluster: ClusterConfig,
    wanted: Wanted,
    interval: Duration,
    timeout: Duration,
}

impl ClusterWatch {
    pub(super) fn new(cluster: ClusterConfig, wanted: Wanted, interval: Duration, timeout: Duration) -> Self {
        Self { cluster, wanted, interval, timeout }
    }
}

impl Watch for ClusterWatch {
    fn watch<'a>(&'a mut self, publisher: &'a Publisher) -> BoxFuture<'a, CollectError> {
        async move {
            match self.run(publisher).await {
                Ok(never) => match never {},
                Err(error) => error,
            }
        }
        .boxed()
    }
}

impl ClusterWatch {
    async fn run(&self, publisher: &Publisher) -> Result<std::convert::Infallible, CollectError> {
        let client = connect::client(&self.cluster, self.timeout).await?;
        let started = Instant::now();
        let mut version = server_version(&client, self.timeout).await?;
        let (sender, mut changes) = mpsc::channel(BACKLOG);
        let mut followers: FuturesUnordered<_> =
            self.wanted.scopes.iter().enumerate().map(|(index, scope)| self.follow(&client, index, scope, &sender)).collect();
        let keep = self.interval * 3;
        let mut scopes: Vec<(Scope, Seen)> = self.wanted.scopes.iter().map(|scope| (scope.clone(), Seen { keep, ..Seen::default() })).collect();
        let mut confirm = tokio::time::interval_at(Instant::now() + self.interval, self.interval);
        let mut confirmation = None;
        let mut publish_at: Option<Instant> = scopes.is_empty().then(Instant::now);
        let mut api_calls = 1;
        loop {
            tokio::select! {
                Some(()) = followers.next() => {}
                Some((index, change)) = changes.recv() => {
                    api_calls += u64::from(matches!(change, Ok(Change::Restart) | Err(_)));
                    if let Err(error) = &change {
                        tracing::warn!(cluster = self.cluster.name, selector = scopes[index].0.selector(), class = error.class.as_str(), "{error}");
                    }
                    let (scope, seen) = &mut scopes[index];
                    seen.apply(scope, change);
                    if scopes.iter().all(|(_, seen)| seen.settled()) {
                        publish_at.get_or_insert_with(|| Instant::now() + SETTLE);
                    }
                }
                _ = confirm.tick(), if confirmation.is_none() => {
                    confirmation = Some(server_version(&client, self.timeout).boxed());
                }
                confirmed = async { match confirmation.as_mut() { Some(answer) => answer.await, None => std::future::pending().await } } => {
                    confirmation = None;
                    version = confirmed?;
                    api_calls += 1;
                    if scopes.iter().all(|(_, seen)| seen.settled()) {
                        publish_at = Some(Instant::now());
                    }
                }
                () = sleep_until(publish_at) => {
                    publish_at = None;
                    let objects = scopes.iter().filter_map(|(_, seen)| seen.rows()).map(BTreeMap::len).sum();
                    let samples = facts::samples(&self.cluster.name, &version, &scopes);
                    publisher.publish(started.elapsed().min(self.timeout), Ok(Observation::new(samples, objects, std::mem::take(&mut api_calls))));
                }
            }
        }
    }

    fn follow(&self, client: &Client, index: usize, scope: &Scope, changes: &mpsc::Sender<Indexed>) -> BoxFuture<'static, ()> {
        let what = format!("watch {} {} in {}", scope.kind(), scope.selector(), self.cluster.name);
        let follower = Follower { what, index, interval: self.interval, changes: changes.clone(), labels: None, fields: None };
        let client = client.clone();
        match scope {
            Scope::Nodes => follower.run::<Node>(Api::all(client)).boxed(),
            Scope::Service { namespace, name, .. } => {
                let follower = Follower { fields: Some(format!("metadata.name={name}")), ..follower };
                follower.run::<Service>(Api::namespaced(client, namespace)).boxed()
            }
            Scope::Workloads(selector) => {
                let (namespace, follower) = (selector.namespace.as_str(), Follower { labels: selector.labels.clone(), ..follower });
                match selector.kind {
                    WorkloadKind::Deployment => follower.run::<Deployment>(Api::namespaced(client, namespace)).boxed(),
                    WorkloadKind::StatefulSet => follower.run::<StatefulSet>(Api::namespaced(client, namespace)).boxed(),
                    WorkloadKind::DaemonSet => follower.run::<DaemonSet>(Api::namespaced(client, namespace)).boxed(),
                    WorkloadKind::CronJob => follower.run::<CronJob>(Api::namespaced(client, namespace)).boxed(),
                }
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Lists and watches one scope for ever.
///
/// Our own loop and not kube's watcher, which starts a watch again at once when the server closes
/// it: a server that closes every watch would be asked thousands of times a second.
struct Follower {
    what: String,
    index: usize,
    interval: Duration,
    changes: mpsc::Sender<Indexed>,
    labels: Option<String>,
    fields: Option<String>,
}

impl Follower {
    async fn run<K: Slim>(self, api: Api<K>) {
        let mut pause = FIRST_PAUSE;
        let mut version = None;
        loop {
            let started = Instant::now();
            let outcome = match version.take() {
                None => match self.list(&api).await {
                    // The watch starts at once: nothing may happen unseen in between.
                    Ok(listed) => {
                        version = Some(listed);
                        continue;
                    }
                    Err(error) => Err(error),
                },
                Some(from) => {
                    let limit = Duration::from_secs(u64::from(WATCH_SECONDS)) + WATCH_GRACE;
                    let watched = tokio::time::timeout(limit, self.watch(&api, from)).await;
                    watched.unwrap_or_else(|_| Err(CollectError::new(ErrorClass::Timeout, format!("{}: the watch fell silent", self.what))))
                }
            };
            let mut asked = None;
            match outcome {
                // It lived as a watch should; the next one may start at once.
                Ok(next) if started.elapsed() >= FIRST_PAUSE => {
                    (version, pause) = (next, FIRST_PAUSE);
                    continue;
                }
                Ok(next) => version = next,
                Err(error) => {
                    asked = error.retry_after.map(|asked| asked.min(crate::driver::ceiling(self.interval)));
                    if self.send(Err(error)).await.is_err() {
                        return;
                    }
                }
            }
            tokio::time::sleep(asked.unwrap_or(pause)).await;
            pause = (pause * 2).min(self.interval);
            if self.changes.is_closed() {
                return;
            }
        }
    }

    /// All pages; the version to watch from.
    async fn list<K: Slim>(&self, api: &Api<K>) -> Result<String, CollectError> {
        let mut page = ListParams { label_selector: self.labels.clone(), field_selector: self.fields.clone(), limit: Some(PAGE), ..ListParams::default() };
        self.tell(Change::Restart).await?;
        loop {
            // A list that hangs must become a failure: until then the old rows count as seen.
            let answer = tokio::time::timeout(PAGE_LIMIT, api.list(&page)).await;
            let answer = answer.map_err(|_| CollectError::new(ErrorClass::Timeout, format!("{}: a page of the list did not come in time", self.what)))?;
            let list = answer.map_err(|error| api_error(&self.what, &error))?;
            for object in list.items {
                self.tell(Change::Listed(key(&object), object.row())).await?;
            }
            if let Some(token) = list.metadata.continue_.filter(|token| !token.is_empty()) {
                page.continue_token = Some(token);
                continue;
            }
            let version = list.metadata.resource_version.filter(|version| !version.is_empty());
            let version = version.ok_or_else(|| CollectError::new(ErrorClass::Malformed, format!("{}: a list without resourceVersion", self.what)))?;
            self.tell(Change::Complete).await?;
            return Ok(version);
        }
    }

    /// Until the watch ends; the version to resume from, or `None` when that version is gone.
    async fn watch<K: Slim>(&self, api: &Api<K>, from: String) -> Result<Option<String>, CollectError> {
        let mut params = WatchParams { label_selector: self.labels.clone(), field_selector: self.fields.clone(), ..WatchParams::default() };
        params.timeout = Some(WATCH_SECONDS);
        let failed = |error: kube::Error| api_error(&self.what, &error);
        let events = match api.watch(&params, &from).await {
            Err(kube::Error::Api(status)) if status.code == 410 => return Ok(None),
            started => started.map_err(failed)?,
        };
        tokio::pin!(events);
        let mut version = from;
        while let Some(event) = events.next().await {
            let seen = |object: &K, version: &mut String| {
                if let Some(newer) = object.meta().resource_version.clone() {
                    *version = newer;
                }
            };
            match event.map_err(failed)? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    seen(&object, &mut version);
                    self.tell(Change::Put(key(&object), object.row())).await?;
                }
                WatchEvent::Deleted(object) => {
                    seen(&object, &mut version);
                    self.tell(Change::Removed(key(&object))).await?;
                }
                WatchEvent::Bookmark(bookmark) => {
                    version = bookmark.metadata.resource_version;
                    self.tell(Change::Alive).await?;
                }
                WatchEvent::Error(status) if status.code == 410 => return Ok(None),
                WatchEvent::Error(status) => return Err(status_error(&self.what, &status)),
            }
        }
        Ok(Some(version))
    }

    async fn tell(&self, change: Change) -> Result<(), CollectError> {
        self.send(Ok(change)).await.map_err(|()| CollectError::new(ErrorClass::Local, format!("{}: nobody listens any more", self.what)))
    }

    async fn send(&self, change: Result<Change, CollectError>) -> Result<(), ()> {
        self.changes.send((self.index, change)).await.map_err(drop)
    }
}

fn key<K: Slim>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.meta().name.clone().unwrap_or_default())
}

async fn server_version(client: &Client, timeout: Duration) -> Result<String, CollectError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        git_version: String,
    }
    let what = "ask for /version";
    let request = http_get("/version").map_err(|why| CollectError::new(ErrorClass::Local, format!("{what}: {why}")))?;
    match tokio::time::timeout(timeout, client.request::<Version>(request)).await {
        Err(_) => Err(CollectError::new(ErrorClass::Timeout, format!("{what}: no answer within {}", crate::config::Span(timeout)))),
        Ok(answer) => answer.map(|version| version.git_version).map_err(|error| api_error(what, &error)),
    }
}

fn http_get(path: &str) -> Result<hyper::Request<Vec<u8>>, String> {
    hyper::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())
}

fn api_error(what: &str, error: &kube::Error) -> CollectError {
    let class = match error {
        kube::Error::Api(status) => return status_error(what, status),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) | kube::Error::LinesCodecMaxLineLengthExceeded => ErrorClass::Malformed,
        kube::Error::Auth(_) => ErrorClass::Denied,
        _ => ErrorClass::Unreachable,
    };
    CollectError::new(class, format!("{what}: {}", root_cause(error)))
}

fn status_error(what: &str, status: &kube::core::Status) -> CollectError {
    let class = match status.code {
        401 | 403 => ErrorClass::Denied,
        404 => ErrorClass::NotFound,
        429 => ErrorClass::Throttled,
        408 | 504 => ErrorClass::Timeout,
        500..=599 => ErrorClass::Server,
        _ => ErrorClass::Malformed,
    };
    // `Display` of the status prints everything twice, and an HTML body in full.
    let reason = if status.reason.is_empty() || status.reason.len() > 80 { "no reason given" } else { &status.reason };
    let asked = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
    let retry_after = asked.map(|seconds| Duration::from_secs(u64::from(seconds)));
    CollectError { class, message: format!("{what}: status {} ({reason})", status.code), retry_after }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
