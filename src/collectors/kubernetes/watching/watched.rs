//! One scope that is watched: what is kept of it, whether it can be seen, and the loop that lists
//! and watches it.
//!
//! Our own loop and not kube's watcher, which starts a watch again at once when the server closes
//! it: a server that closes every watch would be asked thousands of times a second.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, Client, Resource as _};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::collectors::kubernetes::client::api::{api_error, status_error};
use crate::collectors::kubernetes::reading::objects::{Index, Place};
use crate::collectors::kubernetes::reading::permission::Permission;
use crate::collectors::kubernetes::watching::relist::{Next, Relist};
use crate::metric::{Family, Sample, states};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass};

mod listing;

/// Longest time for a page of a list, in deadlines of a small answer.
const PAGE_LIMIT: u32 = 3;
/// How long the server may keep a watch open. Short, because a connection that died without a word
/// is noticed only when this time has passed: until then nothing tells it from a quiet cluster, since
/// bookmarks come once a minute. Starting a watch anew from a known version costs the server a look
/// into its cache, and a cluster with thirty scopes two requests a second.
const WATCH_SECONDS: u32 = 18;
/// Time that a watch gets beyond its own. Together with the pause, a new list and the time until it is
/// published, which is a second at most, that stays below half a minute.
const WATCH_GRACE: Duration = Duration::from_secs(8);
/// Pause before the first retry; each further one is twice as long, up to an interval, so that a
/// mended server is seen within one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// What is asked of the API.
#[derive(Debug, Clone, Default)]
pub(in crate::collectors::kubernetes) struct Query {
    /// All namespaces when left out.
    pub(in crate::collectors::kubernetes) namespace: Option<String>,
    pub(in crate::collectors::kubernetes) labels: Option<String>,
    pub(in crate::collectors::kubernetes) fields: Option<String>,
}

states! {
    /// What a selector matched.
    pub(in crate::collectors::kubernetes) enum Matching {
        Matched => "matched",
        Incomplete => "incomplete",
        Empty => "empty",
        Unseen => "unseen",
    }
}

/// Whether a scope can be seen.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Visibility {
    pub(in crate::collectors::kubernetes) state: Matching,
    /// For people.
    pub(in crate::collectors::kubernetes) words: Message,
    /// Whether a permission is missing.
    pub(in crate::collectors::kubernetes) denied: bool,
}

struct Inner<T> {
    kept: T,
    /// Whether a list was complete since the last start.
    listed: bool,
    /// Why it cannot be seen, and since when.
    failure: Option<(Instant, CollectError)>,
    /// How often it could not be seen since the last start or list.
    failures: u32,
    version: u64,
    api_calls: u64,
}

/// A scope with what is kept of it.
pub(in crate::collectors::kubernetes) struct Watched<T: Index> {
    selector: Arc<str>,
    query: Query,
    /// How long the last view counts after a failure.
    keep: Duration,
    /// Longest pause between retries, and the base of what a server may ask for.
    interval: Duration,
    page_limit: Duration,
    changed: Arc<Notify>,
    inner: Mutex<Inner<T>>,
}

/// What the cluster needs to know of a scope, whatever its kind.
pub(in crate::collectors::kubernetes) trait Scope: Send + Sync {
    /// The `selector` label.
    fn selector(&self) -> &Arc<str>;
    /// The `kind` label.
    fn kind(&self) -> &'static str;
    /// `resource.group` as people write it.
    fn resource(&self) -> String;
    /// What it needs to be allowed to do.
    fn permission(&self) -> Permission;
    /// Families that it fills.
    fn families(&self) -> &'static [&'static [&'static Family]];
    /// Whether it can be seen.
    fn visibility(&self) -> Visibility;
    /// Whether it was seen, or is known not to be: a failure that may pass says so only the second time.
    fn settled(&self) -> bool;
    /// Changes whenever facts may have changed.
    fn version(&self) -> u64;
    /// Objects that match, if it was seen.
    fn len(&self) -> Option<usize>;
    /// Whether its facts change with time alone.
    fn windowed(&self) -> bool;
    /// Whether their number is one that should last.
    fn lasting(&self) -> bool;
    /// The cluster cannot be reached, so that what is kept grows old.
    fn lost(&self, error: &CollectError);
    /// Requests since the last question.
    fn take_api_calls(&self) -> u64;
    /// Facts of the scope; none when it cannot be seen.
    fn facts(&self, place: &Place) -> Vec<Sample>;
    /// Lists and watches for ever.
    fn follow(self: Arc<Self>, client: Client) -> BoxFuture<'static, ()>;
}

impl<T: Index> Watched<T> {
    /// `timeout` is the deadline of a small answer.
    pub(in crate::collectors::kubernetes) fn new(selector: &str, query: Query, kept: T, interval: Duration, timeout: Duration, changed: &Arc<Notify>) -> Self {
        let inner = Inner { kept, listed: false, failure: None, failures: 0, version: 0, api_calls: 0 };
        Self {
            selector: selector.into(),
            query,
            keep: interval * 3,
            interval,
            page_limit: timeout * PAGE_LIMIT,
            changed: Arc::clone(changed),
            inner: Mutex::new(inner),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        // A panic in between leaves at worst one object half counted, and the next list mends it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is kept, if it can be seen.
    pub(in crate::collectors::kubernetes) fn seen<R>(&self, read: impl FnOnce(&T) -> R) -> Option<R> {
        let inner = self.inner();
        inner.visible(self.keep).then(|| read(&inner.kept))
    }

    fn update(&self, change: impl FnOnce(&mut Inner<T>) -> bool) {
        let changed = change(&mut self.inner());
        if changed {
            self.inner().version += 1;
            self.changed.notify_one();
        }
    }

    /// Something was really seen, so that an earlier failure is over.
    fn proven(inner: &mut Inner<T>) -> bool {
        inner.failure.take().is_some()
    }

    pub(in crate::collectors::kubernetes) fn fail(&self, error: CollectError) {
        self.fail_since(Instant::now(), error);
    }

    /// Nothing was really seen after a moment.
    fn fail_since(&self, moment: Instant, error: CollectError) {
        self.update(|inner| {
            // The clock of a failure runs on until something was really seen again.
            let since = inner.failure.take().map_or(moment, |(since, _)| since);
            inner.failure = Some((since, error));
            inner.failures += 1;
            true
        });
    }

    pub(in crate::collectors::kubernetes) fn begin(&self) {
        self.update(|inner| {
            inner.api_calls += 1;
            inner.kept.begin();
            false
        });
    }

    pub(in crate::collectors::kubernetes) fn put(&self, object: T::Object, listed: bool) {
        self.update(|inner| {
            let changed = inner.kept.put(object, listed);
            // An object of a list that may yet fail proves nothing.
            let proven = !listed && Self::proven(inner);
            proven || (changed && inner.listed)
        });
    }

    fn remove(&self, object: &T::Object) {
        self.update(|inner| inner.kept.remove(object) | Self::proven(inner));
    }

    pub(in crate::collectors::kubernetes) fn complete(&self) {
        self.update(|inner| {
            inner.kept.complete();
            (inner.listed, inner.failures) = (true, 0);
            Self::proven(inner);
            true
        });
    }

    async fn run(&self, client: &Client, api: Api<T::Object>) {
        {
            let mut inner = self.inner();
            (inner.listed, inner.failure, inner.failures) = (false, None, 0);
        }
        let mut pause = FIRST_PAUSE;
        let mut version: Option<String> = None;
        let mut relist = Relist::after(Duration::ZERO);
        loop {
            let started = Instant::now();
            let mut blind_since = None;
            let from = match version.take() {
                Some(from) if self.believes(&mut relist, &from, client, &api).await => Some(from),
                Some(_) | None => None,
            };
            let outcome = match from {
                None => match self.whole_list(client, &api).await {
                    // The watch starts at once: nothing may happen unseen in between.
                    Ok(listed) => {
                        (version, relist) = (Some(listed), Relist::after(started.elapsed()));
                        continue;
                    }
                    Err(error) => {
                        // While it was read no event was.
                        blind_since = Some(started);
                        Err(error)
                    }
                },
                Some(from) => {
                    let limit = Duration::from_secs(u64::from(WATCH_SECONDS)) + WATCH_GRACE;
                    let watched = tokio::time::timeout(limit, self.watch(&api, from)).await;
                    watched.unwrap_or_else(|_| Err(CollectError::new(ErrorClass::Timeout, say!("{}: the watch fell silent", self.act("watch")))))
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
                    tracing::warn!(selector = &*self.selector, class = error.class.as_str(), "{error}");
                    self.fail_since(blind_since.unwrap_or_else(Instant::now), error);
                }
            }
            tokio::time::sleep(asked.unwrap_or(pause)).await;
            pause = (pause * 2).min(self.interval);
        }
    }

    /// Whether the watch that got to a version may go on from there.
    async fn believes(&self, relist: &mut Relist, from: &str, client: &Client, api: &Api<T::Object>) -> bool {
        match relist.next() {
            Next::Watch => true,
            Next::List => false,
            // What cannot be told is found out by the list.
            Next::Ask => self.newest(client, api).await.is_ok_and(|newest| relist.holds(from, &newest)),
        }
    }

    /// Forgets what would fill the memory.
    fn too_many(&self, verb: &'static str) -> CollectError {
        self.update(|inner| {
            inner.kept.begin();
            inner.kept.complete();
            std::mem::take(&mut inner.listed)
        });
        CollectError::new(ErrorClass::Malformed, say!("{}: there are more than {}, which no cluster has", self.act(verb), T::MOST))
    }

    fn act(&self, verb: &'static str) -> Message {
        say!("{} {}", verb, named(&self.resource()))
    }

    /// Until the watch ends; the version to resume from, or `None` when that version is gone.
    async fn watch(&self, api: &Api<T::Object>, from: String) -> Result<Option<String>, CollectError> {
        let Query { labels, fields, .. } = &self.query;
        let mut params = WatchParams { label_selector: labels.clone(), field_selector: fields.clone(), ..WatchParams::default() };
        params.timeout = Some(WATCH_SECONDS);
        let failed = |error: kube::Error| api_error(&self.act("watch"), &error);
        self.inner().api_calls += 1;
        let events = match api.watch(&params, &from).await {
            Err(kube::Error::Api(status)) if status.code == 410 => return Ok(None),
            started => started.map_err(failed)?,
        };
        tokio::pin!(events);
        let mut version = from;
        while let Some(event) = events.next().await {
            let seen = |object: &T::Object, version: &mut String| {
                if let Some(newer) = object.meta().resource_version.clone() {
                    *version = newer;
                }
            };
            match event.map_err(failed)? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    seen(&object, &mut version);
                    self.put(object, false);
                    if self.inner().kept.len() > T::MOST {
                        return Err(self.too_many("watch"));
                    }
                }
                WatchEvent::Deleted(object) => {
                    seen(&object, &mut version);
                    self.remove(&object);
                }
                WatchEvent::Bookmark(bookmark) => {
                    version = bookmark.metadata.resource_version;
                    self.update(Self::proven);
                }
                WatchEvent::Error(status) if status.code == 410 => return Ok(None),
                WatchEvent::Error(status) => return Err(status_error(&self.act("watch"), &status)),
            }
        }
        Ok(Some(version))
    }
}

impl<T> Inner<T> {
    /// A refusal is definite, and so is a kind that is not served; anything else may be a hiccup
    /// and has until `keep`.
    fn visible(&self, keep: Duration) -> bool {
        let definite = |error: &CollectError| matches!(error.class, ErrorClass::Denied | ErrorClass::NotFound);
        self.listed && !self.failure.as_ref().is_some_and(|(since, error)| definite(error) || since.elapsed() > keep)
    }
}

impl<T: Index> Scope for Watched<T> {
    fn selector(&self) -> &Arc<str> {
        &self.selector
    }

    fn kind(&self) -> &'static str {
        T::KIND
    }

    fn resource(&self) -> String {
        let (plural, group) = (T::Object::plural(&()), T::Object::group(&()));
        if group.is_empty() { plural.into_owned() } else { format!("{plural}.{group}") }
    }

    fn permission(&self) -> Permission {
        Permission {
            group: T::Object::group(&()).into_owned(),
            resource: T::Object::plural(&()).into_owned(),
            verbs: &["list", "watch"],
            names: Vec::new(),
            namespace: self.query.namespace.clone(),
        }
    }

    fn families(&self) -> &'static [&'static [&'static Family]] {
        T::FAMILIES
    }

    fn visibility(&self) -> Visibility {
        let inner = self.inner();
        let denied = inner.failure.as_ref().is_some_and(|(_, error)| error.class == ErrorClass::Denied);
        let (state, words) = match (inner.visible(self.keep), &inner.failure) {
            (true, _) if inner.kept.len() == 0 => (Matching::Empty, say!("nothing matches")),
            (true, _) => match inner.kept.missing() {
                missing if missing.is_empty() => (Matching::Matched, say!("{} found", inner.kept.len())),
                missing => (Matching::Incomplete, say!("{} found, but not {}", inner.kept.len(), Message::of_names(missing.iter().map(AsRef::as_ref)))),
            },
            (false, Some((_, error))) => (Matching::Unseen, error.message.clone()),
            (false, None) => (Matching::Unseen, say!("not listed yet")),
        };
        Visibility { state, words, denied }
    }

    fn settled(&self) -> bool {
        let inner = self.inner();
        inner.listed || inner.failures > 1 || inner.failure.as_ref().is_some_and(|(_, error)| !error.may_pass())
    }

    fn version(&self) -> u64 {
        let inner = self.inner();
        inner.version * 2 + u64::from(inner.visible(self.keep))
    }

    fn len(&self) -> Option<usize> {
        self.seen(Index::len)
    }

    fn windowed(&self) -> bool {
        T::WINDOWED
    }

    fn lasting(&self) -> bool {
        T::LASTING
    }

    fn lost(&self, error: &CollectError) {
        self.fail(error.clone());
    }

    fn take_api_calls(&self) -> u64 {
        std::mem::take(&mut self.inner().api_calls)
    }

    fn facts(&self, place: &Place) -> Vec<Sample> {
        let mut samples = Vec::new();
        self.seen(|kept| kept.facts(place, &mut samples));
        samples
    }

    fn follow(self: Arc<Self>, client: Client) -> BoxFuture<'static, ()> {
        async move {
            let api = match &self.query.namespace {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &()),
                None => Api::all_with(client.clone(), &()),
            };
            self.run(&client, api).await;
        }
        .boxed()
    }
}
