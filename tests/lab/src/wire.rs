//! What goes wrong between two programs whatever they speak, switched on for one server as a whole.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, LOCATION, RETRY_AFTER};
use hyper::{HeaderMap, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use crate::serve::{Body, answer};
use crate::{bomb, elsewhere};

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
    /// Status 302 to another origin, which answers well.
    Redirect,
    /// The same to an origin without TLS.
    Downgrade,
    /// A few megabytes come that are gibibytes once they are decompressed, whatever was accepted.
    Bomb,
    /// Early hints come before the answer, one after another without an end.
    Interim,
    /// Status 200 with a content type and a body that say nothing.
    Says(&'static str, &'static str),
    /// Good answers are changed on their way.
    Storm,
}

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

/// Follows the storms over a server.
pub(crate) struct Storms {
    address: SocketAddr,
    changes: watch::Receiver<u64>,
    stormy: bool,
}

impl Storms {
    pub(crate) fn over(address: SocketAddr) -> Self {
        Self { address, changes: CHANGES.subscribe(), stormy: of(address) == Some(Wire::Storm) }
    }

    /// Ends when a storm does, even if that was a while ago.
    pub(crate) async fn calm(&mut self) {
        loop {
            let was = std::mem::replace(&mut self.stormy, of(self.address) == Some(Wire::Storm));
            if was && !self.stormy {
                return;
            }
            let _ = self.changes.changed().await;
        }
    }
}

/// What a broken server answers; `None` cuts the connection.
pub(crate) async fn misbehave(wire: Wire, address: SocketAddr, path: &str) -> Option<Response<Body>> {
    let status = |status: u16| Some(answer(status, "text/plain", "not now"));
    match wire {
        // What a storm changes are the server's own answers.
        // Hints are written before a server of HTTP sees the connection.
        Wire::Refused | Wire::Reset | Wire::Storm | Wire::Interim => None,
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
        Wire::Redirect => Some(redirect(&format!("https://{}{path}", elsewhere::of(address, true)))),
        Wire::Downgrade => Some(redirect(&format!("http://{}{path}", elsewhere::of(address, false)))),
        Wire::Bomb => Some(bomb::answer()),
        Wire::Says(kind, body) => Some(answer(200, kind, body)),
    }
}

/// Sends early hints for as long as somebody reads them.
pub(crate) async fn hint(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await?;
    let hints = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n".repeat(64);
    loop {
        stream.write_all(&hints).await?;
    }
}

fn redirect(place: &str) -> Response<Body> {
    let mut response = answer(302, "text/plain", "elsewhere");
    if let Ok(place) = place.parse() {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

pub(crate) fn streamed(bytes: impl futures::Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let mut response = Response::new(StreamBody::new(bytes.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)))).boxed_unsync());
    *response.status_mut() = StatusCode::OK;
    *response.headers_mut() = HeaderMap::from_iter([(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"))]);
    response
}
