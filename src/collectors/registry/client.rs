//! A registry that speaks the OCI distribution API.
//!
//! Tags are asked for with HEAD, which Docker Hub does not count as a pull; a manifest is fetched
//! once per digest, checked against it, and remembered, since it can never change.
//! Source: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

mod permits;
mod presence;
mod tags;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::auth::Identity;
use super::digest::Digest;
use super::manifest::{LARGEST, Manifest};
use super::reference::DOCKER_HUB;
use crate::cause::Cause as _;
use crate::net::{self, Call};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass};
use permits::Permit;
use tags::Learned;

/// Redirects that are followed; registries send blobs from elsewhere, hardly ever manifests.
const REDIRECTS: usize = 5;

/// What a tag names now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
}

/// What remains of a registry's allowance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Allowance {
    pub(super) limit: Option<f64>,
    pub(super) remaining: f64,
}

/// How fast a registry is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Deadline of one request.
    pub(super) timeout: Duration,
    /// Requests at once.
    pub(super) concurrency: usize,
    /// The longest wait that a `Retry-After` can impose.
    pub(super) longest_wait: Duration,
}

/// Where a password may go, beside the registry itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Trust {
    /// In the clear.
    pub(super) plain_http: bool,
    /// To these hosts, for tokens.
    pub(super) token_hosts: Vec<String>,
}

/// One registry of the OCI API.
pub(super) struct Client {
    name: String,
    base: String,
    trust: Trust,
    http: reqwest::Client,
    timeout: Duration,
    longest_wait: Duration,
    concurrency: usize,
    slots: Semaphore,
    /// By repository; the lock lets one request at a time find out what a repository wants.
    permits: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Option<Permit>>>>>,
    calls: AtomicU64,
    allowance: Mutex<Option<Allowance>>,
    asked_to_wait: Mutex<Option<(Duration, Instant)>>,
    learned: Arc<Learned>,
}

/// An answer of which the body may yet come: until it is dropped its request is one of those that are open. Whoever asks
/// for something else because of it lets go of it first, since there may be one slot.
struct Answer<'a> {
    response: Response,
    slot: Option<SemaphorePermit<'a>>,
}

impl std::ops::Deref for Answer<'_> {
    type Target = Response;

    fn deref(&self) -> &Response {
        &self.response
    }
}

impl Client {
    pub(super) fn new(name: &str, base: String, http: reqwest::Client, pace: Pace, trust: Trust) -> Self {
        let Pace { timeout, concurrency, longest_wait } = pace;
        Self {
            name: name.to_owned(),
            base,
            trust,
            http,
            timeout,
            longest_wait,
            concurrency,
            slots: Semaphore::new(concurrency),
            permits: Mutex::default(),
            calls: AtomicU64::new(0),
            allowance: Mutex::default(),
            asked_to_wait: Mutex::default(),
            learned: Arc::default(),
        }
    }

    /// One for the same registry that knows nothing yet of what its repositories want.
    pub(super) fn sibling(&self) -> Self {
        let pace = Pace { timeout: self.timeout, concurrency: self.concurrency, longest_wait: self.longest_wait };
        let own = Self::new(&self.name, self.base.clone(), self.http.clone(), pace, self.trust.clone());
        Self { learned: Arc::clone(&self.learned), ..own }
    }

    /// `https://HOST` and what comes before `/v2/`.
    pub(super) fn base(host: &str, prefix: Option<&str>, plain: bool) -> String {
        let scheme = if plain { "http" } else { "https" };
        let host = if host == DOCKER_HUB { "registry-1.docker.io" } else { host };
        match prefix.map(|prefix| prefix.trim_matches('/')).filter(|prefix| !prefix.is_empty()) {
            Some(prefix) => format!("{scheme}://{host}/{prefix}"),
            None => format!("{scheme}://{host}"),
        }
    }

    /// A client that follows few redirects and sends no credentials to where they lead.
    pub(super) fn http(roots: &net::Trust, plain: bool) -> Result<reqwest::Client, Message> {
        let builder = net::client(roots)?.no_gzip().redirect(reqwest::redirect::Policy::custom(follow)).https_only(!plain);
        builder.build().map_err(|error| error.words())
    }

    /// Forgets what repositories granted, because whoever asks is somebody else now.
    pub(super) fn forget_permits(&self) {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Requests since the last time this was asked.
    pub(super) fn take_calls(&self) -> u64 {
        self.calls.swap(0, Ordering::Relaxed)
    }

    /// What the last answer that spoke of it said.
    pub(super) fn allowance(&self) -> Option<Allowance> {
        *self.allowance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the registry asked us to stay away with its last answer.
    pub(super) fn asked_to_wait(&self) -> Option<Duration> {
        self.asked_to_wait.lock().unwrap_or_else(PoisonError::into_inner).map(|(wait, _)| wait)
    }

    /// The rest of the wait that the registry asked for, of which no more than the ceiling is obeyed.
    fn held_back(&self) -> Option<Duration> {
        let (wait, at) = (*self.asked_to_wait.lock().unwrap_or_else(PoisonError::into_inner))?;
        wait.min(self.longest_wait).checked_sub(at.elapsed()).filter(|rest| !rest.is_zero())
    }

    /// Whether the API answers at all: 200, or 401 from one that wants to know who asks.
    pub(super) async fn ping(&self) -> Result<(), CollectError> {
        let what = say!("ask {} for /v2/", named(&self.name));
        let request = self.http.get(format!("{}/v2/", self.base)).build().map_err(|error| Self::local(&what, &error))?;
        let answer = self.send(&what, request).await?;
        match answer.status() {
            StatusCode::OK | StatusCode::UNAUTHORIZED => Self::is_api(&what, &answer),
            // Where there is no registry, no image is known to be absent.
            StatusCode::NOT_FOUND => Err(CollectError::new(ErrorClass::Malformed, say!("{}: status 404; no registry answers at this address", what))),
            status => Err(Self::refused(&what, status, answer.headers())),
        }
    }

    /// A page for people instead of an answer, as proxies and captive portals send it.
    fn is_api(what: &Message, answer: &Response) -> Result<(), CollectError> {
        if ["text/html", "application/xhtml+xml"].contains(&content_type(answer.headers()).to_ascii_lowercase().as_str()) {
            return Err(CollectError::new(ErrorClass::Malformed, say!("{}: it answers with a page for people", what)));
        }
        Ok(())
    }

    /// The manifest of a digest, checked against it.
    pub(super) async fn manifest(&self, identity: &Identity, repository: &str, digest: &Digest) -> Result<Manifest, CollectError> {
        let what = say!("ask {} for {}@{}", named(&self.name), named(repository), *digest);
        let body = self.checked(&what, identity, repository, &format!("{repository}/manifests/{digest}"), digest).await?;
        Manifest::parse(&body).map_err(|why| CollectError::new(ErrorClass::Malformed, say!("{}: {}", what, why)))
    }

    /// A small blob, such as the config of an image.
    pub(super) async fn blob(&self, identity: &Identity, repository: &str, digest: &Digest) -> Result<Vec<u8>, CollectError> {
        let what = say!("ask {} for blob {} of {}", named(&self.name), *digest, named(repository));
        self.checked(&what, identity, repository, &format!("{repository}/blobs/{digest}"), digest).await
    }

    async fn checked(&self, what: &Message, identity: &Identity, repository: &str, path: &str, digest: &Digest) -> Result<Vec<u8>, CollectError> {
        let answer = self.ask(what, identity, Method::GET, repository, path, None).await?;
        if answer.status() != StatusCode::OK {
            return Err(Self::refused(what, answer.status(), answer.headers()));
        }
        let body = self.body(what, answer, LARGEST).await?;
        if Digest::of(&body) != *digest {
            return Err(CollectError::new(ErrorClass::Malformed, say!("{}: the body is another one", what)));
        }
        Ok(body)
    }

    async fn send(&self, what: &Message, request: reqwest::Request) -> Result<Answer<'_>, CollectError> {
        // Nobody closes it.
        let slot = self.slots.acquire().await.ok();
        if let Some(rest) = self.held_back() {
            let rest = crate::value::Span(Duration::from_secs(rest.as_secs() + 1));
            return Err(CollectError::new(ErrorClass::Throttled, say!("{}: it asked to be left alone; it is asked again in {}", what, rest)));
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = Call { what, limit: self.timeout }.send(self.http.execute(request)).await?;
        self.learn(answer.status(), answer.headers());
        Ok(Answer { response: answer, slot })
    }

    /// A body of bounded size, within the deadline.
    async fn body(&self, what: &Message, answer: Answer<'_>, most: usize) -> Result<Vec<u8>, CollectError> {
        let Answer { response, slot } = answer;
        let body = Call { what, limit: self.timeout }.body(response, most).await;
        drop(slot);
        body
    }

    /// Allowances that Docker Hub tells: `ratelimit-limit: 100;w=21600`.
    /// Source: <https://docs.docker.com/docker-hub/usage/pulls/>
    fn learn(&self, status: StatusCode, headers: &HeaderMap) {
        let wait = (status == StatusCode::TOO_MANY_REQUESTS).then(|| retry_after(headers)).flatten();
        *self.asked_to_wait.lock().unwrap_or_else(PoisonError::into_inner) = wait.map(|wait| (wait, Instant::now()));
        let number = |name: &str| headers.get(name)?.to_str().ok()?.split(';').next()?.trim().parse::<u32>().ok().map(f64::from);
        if let Some(remaining) = number("ratelimit-remaining") {
            let allowance = Allowance { limit: number("ratelimit-limit"), remaining };
            *self.allowance.lock().unwrap_or_else(PoisonError::into_inner) = Some(allowance);
        }
    }

    fn refused(what: &Message, status: StatusCode, headers: &HeaderMap) -> CollectError {
        let weak = headers.get_all(WWW_AUTHENTICATE).iter().any(|header| header.to_str().is_ok_and(|text| text.contains("insufficient_scope")));
        let why = if weak { " (the token does not reach this repository)" } else { "" };
        let error = CollectError::new(ErrorClass::of_status(status.as_u16()), say!("{}: status {}{}", what, status.as_u16(), why));
        CollectError { retry_after: retry_after(headers), ..error }
    }

    fn local(what: &Message, error: &reqwest::Error) -> CollectError {
        CollectError::new(ErrorClass::Local, say!("{}: {}", what, error.words()))
    }
}

/// Content is checked against its digest wherever it comes from, as from the object store of a
/// registry. What a tag names is the word of the registry alone, and only its own host may say it.
/// The client itself drops credentials at another host.
fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let Some(first) = attempt.previous().first() else { return attempt.stop() };
    let to = attempt.url();
    let own = to.host() == first.host();
    let checked = first.path().contains("/blobs/sha256:") || first.path().contains("/manifests/sha256:");
    let downgraded = first.scheme() == "https" && to.scheme() != "https";
    let local = net::has_local_address(to) && !own;
    if downgraded || local || !(own || checked) || attempt.previous().len() > REDIRECTS {
        return attempt.error(Refused);
    }
    attempt.follow()
}

/// A redirect that is not followed.
#[derive(Debug, thiserror::Error)]
#[error("it redirects to where no answer of this registry can come from")]
struct Refused;

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

const CONTENT_DIGEST: &str = "docker-content-digest";

fn content_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|header| header.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_owned()
}
