//! What goes wrong between two programs whatever they speak, switched on for one server as a whole,
//! and what the exporter says of it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, RETRY_AFTER};
use hyper::{HeaderMap, Response, StatusCode};
use tokio::sync::watch;

use crate::serve::{Body, answer};

/// One way to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Nothing listens, and nobody answers on connections from before.
    Refused,
    /// Requests are taken and never answered.
    Hang,
    /// Connections are cut when a request comes.
    Reset,
    /// Status 401.
    Unauthorized,
    /// Status 403.
    Forbidden,
    /// Status 404.
    NotFound,
    /// Status 429 with a `Retry-After` of a year.
    Throttled,
    /// Status 500.
    Error,
    /// Less comes than was promised.
    Truncated,
    /// Noise comes as if all were well.
    Garbage,
    /// A gibibyte comes.
    Huge,
    /// A byte comes each second.
    Drip,
}

/// One kind of trouble with what each collector says of it.
#[derive(Debug)]
pub struct Trouble {
    /// What goes wrong.
    pub wire: Wire,
    /// For people.
    pub name: &'static str,
    /// What is said, in the order of [`COLLECTORS`]; one of two where it depends on who is faster.
    pub said: [&'static str; 6],
}

/// The collectors whose server goes wrong, and what of their facts is told.
pub const COLLECTORS: [(&str, &str); 6] = [
    ("kubernetes", "class of the error"),
    ("kubernetes: kubelets", "state of a node's summary"),
    ("registry", "state of an image"),
    ("credentials", "whether a token is valid"),
    ("secrets_manager", "class of the error, or state of the secret"),
    ("http", "outcome of the probe"),
];

const fn trouble(wire: Wire, name: &'static str, said: [&'static str; 6]) -> Trouble {
    Trouble { wire, name, said }
}

/// Every kind of trouble.
pub const TROUBLES: [Trouble; 12] = [
    trouble(Wire::Refused, "connections refused", ["unreachable", "unseen", "unknown", "unknown", "unreachable", "refused"]),
    trouble(Wire::Hang, "no answer", ["timeout", "unseen", "unknown", "unknown", "timeout", "timeout"]),
    trouble(Wire::Reset, "connections cut", ["unreachable", "unseen", "unknown", "unknown", "unreachable", "reset"]),
    trouble(Wire::Unauthorized, "401", ["denied", "unseen", "denied", "invalid", "unknown", "status"]),
    trouble(Wire::Forbidden, "403", ["denied", "unseen", "denied", "invalid", "unknown", "status"]),
    trouble(Wire::NotFound, "404", ["not_found", "unseen", "absent", "unknown", "malformed", "status"]),
    trouble(Wire::Throttled, "429, wait a year", ["throttled", "unseen", "unknown", "unknown", "throttled", "status"]),
    trouble(Wire::Error, "500", ["server", "unseen", "unknown", "unknown", "server", "status"]),
    trouble(Wire::Truncated, "half an answer", ["unreachable", "unseen", "unknown", "unknown", "unreachable", "reset"]),
    trouble(Wire::Garbage, "noise", ["malformed", "unseen", "unknown", "unknown", "malformed", "body"]),
    trouble(Wire::Huge, "a gibibyte", ["malformed or timeout", "unseen", "unknown", "unknown", "timeout", "too_large"]),
    trouble(Wire::Drip, "a byte each second", ["timeout", "unseen", "unknown", "unknown", "timeout", "timeout"]),
];

static BROKEN: Mutex<BTreeMap<SocketAddr, Wire>> = Mutex::new(BTreeMap::new());
/// Counts the changes of the above.
static CHANGES: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// Breaks every server of the lab at an address, or mends it.
pub fn set(address: SocketAddr, wire: Option<Wire>) {
    let mut broken = BROKEN.lock().unwrap_or_else(PoisonError::into_inner);
    match wire {
        Some(wire) => drop(broken.insert(address, wire)),
        None => drop(broken.remove(&address)),
    }
    drop(broken);
    CHANGES.send_modify(|version| *version += 1);
}

/// What is wrong with a server.
pub(crate) fn of(address: SocketAddr) -> Option<Wire> {
    BROKEN.lock().unwrap_or_else(PoisonError::into_inner).get(&address).copied()
}

/// Ends when a server is refused from then on, or no longer.
pub(crate) async fn until_refused(address: SocketAddr, is: bool) {
    let mut changes = CHANGES.subscribe();
    let _ = changes.wait_for(|_| (of(address) == Some(Wire::Refused)) == is).await;
}

/// What a broken server answers; `None` cuts the connection.
pub(crate) async fn misbehave(wire: Wire) -> Option<Response<Body>> {
    let status = |status: u16| Some(answer(status, "text/plain", "not now"));
    match wire {
        Wire::Refused | Wire::Reset => None,
        Wire::Hang => std::future::pending().await,
        Wire::Unauthorized => status(401),
        Wire::Forbidden => status(403),
        Wire::NotFound => status(404),
        Wire::Error => status(500),
        Wire::Throttled => status(429).map(|mut response| {
            response.headers_mut().insert(RETRY_AFTER, 31_536_000.into());
            response
        }),
        Wire::Truncated => {
            let mut response = streamed(stream::iter([Bytes::from_static(b"{")]));
            response.headers_mut().insert(CONTENT_LENGTH, 4_096.into());
            Some(response)
        }
        Wire::Garbage => Some(answer(200, "application/json", vec![0x5a; 512])),
        Wire::Huge => Some(streamed(stream::repeat(Bytes::from(vec![b' '; 65_536])).take(16_384))),
        Wire::Drip => {
            let ticks = tokio::time::interval(Duration::from_secs(1));
            Some(streamed(stream::unfold(ticks, |mut ticks| async move {
                ticks.tick().await;
                Some((Bytes::from_static(b" "), ticks))
            })))
        }
    }
}

fn streamed(bytes: impl futures::Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let mut response = Response::new(StreamBody::new(bytes.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)))).boxed_unsync());
    *response.status_mut() = StatusCode::OK;
    *response.headers_mut() = HeaderMap::from_iter([(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"))]);
    response
}
