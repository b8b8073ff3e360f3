//! Questions to an API server beside lists and watches, and what its refusals mean.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::header::HeaderValue;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListMeta;
use kube::client::Body;
use kube::{Api, Client};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cause::Cause as _;
use crate::collectors::kubernetes::client::bounded::Streamed;
use crate::collectors::kubernetes::client::connect::Link;
use crate::collectors::kubernetes::client::packed::Packed;
use crate::collectors::kubernetes::client::stream::{Elements, LONGEST, Unread};
use crate::collectors::kubernetes::reading::clock::Clock;
use crate::collectors::kubernetes::reading::objects::or_default;
use crate::collectors::kubernetes::reading::protobuf;
use crate::net;
use crate::room::{self, Answer, Overrun};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass};
use crate::word::Word;

/// Asks `/version`, which any identity may, and learns the server's time from the answer.
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles>
pub(in crate::collectors::kubernetes) async fn server_version(client: &Client, timeout: Duration, clock: &Clock) -> Result<String, CollectError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        git_version: String,
    }
    let what = &say!("ask for /version");
    let ask = async {
        let request = Request::get("/version").body(Vec::new()).map_err(kube::Error::HttpError)?;
        let answer = client.send(streamed(request)).await?;
        if answer.status().is_success()
            && let Some(date) = answer.headers().get(hyper::header::DATE).and_then(|date| date.to_str().ok())
            && let Ok(date) = jiff::fmt::rfc2822::parse(date)
        {
            clock.learn(date.timestamp());
        }
        body(answer).await
    };
    let version: Version = within(timeout, what, ask).await?;
    // It becomes a label.
    let version = Word::joined(&version.git_version).map(|version| version.to_string());
    version.ok_or_else(|| CollectError::new(ErrorClass::Malformed, say!("{}: the answer is no version", what)))
}

async fn body<T: DeserializeOwned>(answer: hyper::Response<Body>) -> kube::Result<T> {
    if answer.status() != hyper::StatusCode::OK {
        return Err(refusal(answer).await);
    }
    serde_json::from_slice(&held(answer.into_body(), LARGEST).await?).map_err(kube::Error::SerdeError)
}

/// What an answer says that is none; its status alone where that is too much or breaks off.
async fn refusal(answer: hyper::Response<Body>) -> kube::Error {
    let code = answer.status().as_u16();
    let bytes = held(answer.into_body(), LARGEST_REFUSAL).await.unwrap_or_default();
    let said = serde_json::from_slice::<kube::core::Status>(&bytes).unwrap_or_default();
    kube::Error::Api(Box::new(kube::core::Status { code, ..said }))
}

/// Of a document that is read as a whole.
const LARGEST: usize = 2 << 20;
/// A Status of some lines; the pages for people that proxies send instead are not read.
const LARGEST_REFUSAL: usize = 64 << 10;

async fn held(mut body: Body, most: usize) -> kube::Result<Vec<u8>> {
    let mut read = Answer::new(most, &room::ANSWERS);
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            read.add(data).map_err(|why| kube::Error::Service(why.into()))?;
        }
    }
    Ok(read.whole())
}

/// A request whose answer is bounded here.
fn streamed(request: Request<Vec<u8>>) -> Request<Body> {
    let mut request = request.map(Body::from);
    request.extensions_mut().insert(Streamed);
    request
}

/// A GET of a path that no typed API covers, in some representation, within a deadline.
pub(in crate::collectors::kubernetes) async fn get_as<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    accept: &str,
    what: &Message,
    timeout: Duration,
) -> Result<T, CollectError> {
    let request = Request::get(path).header(hyper::header::ACCEPT, accept).body(Vec::new());
    let request = request.map_err(|_| CollectError::new(ErrorClass::Local, say!("{}: the path cannot be asked for", what)))?;
    // Not the client's way to read an answer: that logs what it cannot parse.
    within(timeout, what, async { body(client.send(streamed(request)).await?).await }).await
}

/// The elements of a list, such as one finds at a path that no typed API covers.
pub(in crate::collectors::kubernetes) async fn list<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    what: &Message,
    timeout: Duration,
) -> Result<Vec<T>, CollectError> {
    let request = Request::get(path).header(hyper::header::ACCEPT, "application/json").body(Vec::new());
    let request = request.map_err(|_| CollectError::new(ErrorClass::Local, say!("{}: the path cannot be asked for", what)))?;
    let (mut found, mut many) = (Vec::new(), false);
    let each = |element| {
        many |= found.len() >= MOST_ELEMENTS;
        if !many {
            found.push(element);
        }
    };
    let around: Around<ListMeta> = elements(client, request, Form::json("items"), what, Bounds::page(timeout), each).await?;
    // Nobody asked for pages.
    let whole = around.metadata.continue_.is_none_or(|token| token.is_empty()) && around.metadata.remaining_item_count.is_none_or(|left| left == 0);
    if !whole {
        return Err(CollectError::new(ErrorClass::Malformed, say!("{}: the answer is not the whole list", what)));
    }
    if many { Err(CollectError::new(ErrorClass::Malformed, say!("{}: there are more than {}", what, MOST_ELEMENTS))) } else { Ok(found) }
}

/// What such a list may hold: several times what the largest cluster has of anything that is asked for.
const MOST_ELEMENTS: usize = 20_000;

/// What stands around the items of a list.
#[derive(Deserialize)]
pub(in crate::collectors::kubernetes) struct Around<M> {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    pub(in crate::collectors::kubernetes) metadata: M,
    #[expect(dead_code, reason = "a list without items is none")]
    #[serde(deserialize_with = "or_default")]
    items: Vec<NoItem>,
}

impl<M> Around<M> {
    /// Whether it says that it is a list of a kind, or one of any kind, as what stands before an API
    /// server may.
    pub(in crate::collectors::kubernetes) fn is_of(&self, kind: &str) -> bool {
        self.kind.strip_suffix("List").is_some_and(|own| own.is_empty() || own.eq_ignore_ascii_case(kind))
    }
}

/// The items were taken before; nothing can be one here.
#[derive(Deserialize)]
enum NoItem {}

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const PROTOBUF_OR_JSON: &str = "application/vnd.kubernetes.protobuf, application/json";

/// In which form a long list may be written.
#[derive(Debug, Clone, Copy)]
pub(in crate::collectors::kubernetes) struct Form {
    /// The name of the array in JSON.
    array: &'static str,
    /// What its elements are in protobuf, where they are asked for in that.
    message: Option<&'static protobuf::Message>,
}

impl Form {
    /// A document in JSON with the array that has this name.
    pub(in crate::collectors::kubernetes) fn json(array: &'static str) -> Self {
        Self { array, message: None }
    }

    /// A list of objects of a kind, in protobuf where the server has that.
    pub(in crate::collectors::kubernetes) fn objects(group: &str, plural: &str) -> Self {
        Self { array: "items", message: protobuf::messages::of(group, plural) }
    }
}

enum Parts {
    Json(Elements),
    Packed(Packed),
}

impl Parts {
    fn feed<T: DeserializeOwned>(&mut self, bytes: &[u8], each: &mut impl FnMut(T)) -> Result<(), Unread> {
        match self {
            Self::Json(elements) => elements.feed(bytes, each),
            Self::Packed(packed) => packed.feed(bytes, each),
        }
    }

    fn rest<R: DeserializeOwned>(&self) -> Result<R, Unread> {
        match self {
            Self::Json(elements) => elements.rest(),
            Self::Packed(packed) => packed.rest(),
        }
    }
}

/// Asks for a document that is a long list, and hands over the elements of an array of it as they
/// arrive; what stands around them.
pub(in crate::collectors::kubernetes) async fn elements<T: DeserializeOwned, R: DeserializeOwned>(
    client: &Client,
    mut request: Request<Vec<u8>>,
    form: Form,
    what: &Message,
    bounds: Bounds,
    mut each: impl FnMut(T),
) -> Result<R, CollectError> {
    if form.message.is_some() {
        // In this order: what the server does not have in the first it sends in the second.
        request.headers_mut().insert(hyper::header::ACCEPT, HeaderValue::from_static(PROTOBUF_OR_JSON));
    }
    let read = async {
        let failed = |error: kube::Error| api_error(what, &error);
        let answer = client.send(streamed(request)).await.map_err(failed)?;
        // Every other success, such as 206, is a part of the answer or none.
        if answer.status() != hyper::StatusCode::OK {
            return Err(failed(refusal(answer).await));
        }
        let said = answer.headers().get(hyper::header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let packed = form.message.filter(|_| said.is_some_and(|said| said.starts_with(PROTOBUF.as_bytes())));
        let mut elements =
            packed.map_or_else(|| Parts::Json(Elements::of(form.array).up_to(bounds.longest)), |own| Parts::Packed(Packed::of(own, bounds.longest)));
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame.map_err(failed)?.data_ref() {
                elements.feed(data, &mut each).map_err(|why| unread(what, why))?;
            }
        }
        elements.rest().map_err(|why| unread(what, why))
    };
    net::within(what, bounds.time, read).await?
}

/// How long a long document may take, and how many bytes it may have.
#[derive(Debug, Clone, Copy)]
pub(in crate::collectors::kubernetes) struct Bounds {
    pub(in crate::collectors::kubernetes) time: Duration,
    pub(in crate::collectors::kubernetes) longest: usize,
}

impl Bounds {
    /// Of a page of a list, and of other documents of that size.
    pub(in crate::collectors::kubernetes) fn page(time: Duration) -> Self {
        Self { time, longest: LONGEST }
    }
}

/// The class and the words of a document that could not be read.
pub(in crate::collectors::kubernetes) fn unread(what: &Message, why: Unread) -> CollectError {
    let class = if matches!(why, Unread::NoRoom(_)) { ErrorClass::Local } else { ErrorClass::Malformed };
    CollectError::new(class, say!("{}: {}", what, why))
}

/// A call within a deadline, with its errors classified.
pub(in crate::collectors::kubernetes) async fn within<T>(
    timeout: Duration,
    what: &Message,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, CollectError> {
    net::within(what, timeout, call).await?.map_err(|error| api_error(what, &error))
}

/// A Secret by its name; `None` when there is none.
pub(in crate::collectors) async fn secret(link: &Link, namespace: &str, name: &str, what: &Message, timeout: Duration) -> Result<Option<Secret>, CollectError> {
    let secrets: Api<Secret> = Api::namespaced(link.client().await?, namespace);
    match net::within(what, timeout, secrets.get_opt(name)).await? {
        // One that is being deleted is as good as gone.
        Ok(found) => Ok(found.filter(|secret| secret.metadata.deletion_timestamp.is_none())),
        Err(error) => Err(api_error(what, &error)),
    }
}

/// The class and the words of an error of the client.
pub(in crate::collectors::kubernetes) fn api_error(what: &Message, error: &kube::Error) -> CollectError {
    let overrun = overrun_in(error);
    let class = match error {
        kube::Error::Api(status) => return status_error(what, status),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) | kube::Error::LinesCodecMaxLineLengthExceeded => ErrorClass::Malformed,
        kube::Error::Auth(_) => ErrorClass::Denied,
        _ => match overrun {
            Some(Overrun::TooLarge(_)) => ErrorClass::Malformed,
            Some(Overrun::NoRoom(_)) => ErrorClass::Local,
            None => ErrorClass::Unreachable,
        },
    };
    let why = overrun.map_or_else(|| error.words(), |why| say!("{}", why));
    CollectError::new(class, say!("{}: {}", what, why).fixed_as(&why))
}

fn overrun_in(error: &(dyn std::error::Error + 'static)) -> Option<Overrun> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref().copied())
}

/// Reasons of an API server; what answers in its place may say anything.
/// Source: `staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/types.go` of Kubernetes.
const REASONS: [&str; 19] = [
    "AlreadyExists",
    "BadRequest",
    "Conflict",
    "Expired",
    "Forbidden",
    "Gone",
    "InternalError",
    "Invalid",
    "MethodNotAllowed",
    "NotAcceptable",
    "NotFound",
    "RequestEntityTooLarge",
    "ServerTimeout",
    "ServiceUnavailable",
    "StoreReadError",
    "Timeout",
    "TooManyRequests",
    "Unauthorized",
    "UnsupportedMediaType",
];

/// The class and the words of a refusal.
pub(in crate::collectors::kubernetes) fn status_error(what: &Message, status: &kube::core::Status) -> CollectError {
    // `Display` of the status prints everything twice, and an HTML body in full.
    let reason = REASONS.iter().find(|reason| **reason == status.reason).map_or("no reason given", |reason| reason);
    let asked = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
    let retry_after = asked.map(|seconds| Duration::from_secs(u64::from(seconds)));
    let error = CollectError::new(ErrorClass::of_status(status.code), say!("{}: status {} ({})", what, status.code, named(reason)));
    CollectError { retry_after, ..error }
}
