//! The accept loop: bounded connections, bounded headers, bounded time, graceful end.
//!
//! It has a thread and an event loop of its own. Whatever a peer makes a collector do, and however long
//! the judge thinks, a kubelet's probe and a scrape are answered.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_util::either::Either;

use super::clients::{Answering, Clients, Visitor};
use super::listen::{Accepting, Listener, Stream};
use super::rules::has_name;
use super::{Access, Body, handle};
use crate::app::App;
use crate::cause::Cause as _;

/// Time for a request's head, and for an idle connection.
const HEAD: Duration = Duration::from_secs(5);
/// Longest life of a connection: a client that never reads its answer must not hold it for ever.
const LIFE: Duration = Duration::from_mins(2);
/// Largest head of a request.
const HEAD_BYTES: usize = 16 * 1024;

/// What is said to a client that has no place left, before anything of it is read.
const NO_PLACE: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: text/plain\r\ncontent-length: 21\r\nconnection: close\r\n\r\ntoo many connections\n";

/// What is behind an address, and for whom.
#[derive(Clone)]
pub enum Door {
    /// Everything, for everybody.
    Open,
    /// Everything, for those whom a file lets in.
    Guarded(Arc<Access>),
    /// Only whether the process is alive and ready, for everybody.
    Probes,
}

/// The server on its own thread.
pub struct Serving {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Serving {
    /// Serves the main door, and the one for probes beside it, until [`Serving::until`] says that it is over.
    pub fn start(app: Arc<App>, main: (Listener, Door), probes: Option<Listener>, grace: Duration) -> Result<Self, std::io::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let work = async move {
            let probing = probes.map(|listener| tokio::spawn(serve(listener, Arc::clone(&app), Door::Probes, std::future::pending(), grace)));
            let (listener, door) = main;
            serve(listener, app, door, async { drop(stopped.await) }, grace).await;
            // Until here: a kubelet that misses it would kill what is about to end anyway.
            if let Some(probing) = probing {
                probing.abort();
            }
            // Nobody listens any longer if the process is already past waiting.
            let _ = end.send(());
        };
        std::thread::Builder::new().name("web".to_owned()).spawn(move || {
            runtime.block_on(work);
            runtime.shutdown_background();
        })?;
        Ok(Self { stop, ended })
    }

    /// Serves until `over` is, then finishes what is in flight within the grace; `None` when the server
    /// ended by itself, which is a defect.
    pub async fn until<T>(mut self, over: impl Future<Output = T>) -> Option<T> {
        let over = tokio::select! {
            over = over => over,
            _ = &mut self.ended => return None,
        };
        let _ = self.stop.send(());
        let _ = self.ended.await;
        Some(over)
    }
}

/// Serves until `shutdown` ends, then finishes what is in flight within `grace`.
pub async fn serve(listener: Listener, app: Arc<App>, door: Door, shutdown: impl Future<Output = ()>, grace: Duration) {
    let mut sockets = match listener.serving() {
        Ok(sockets) => sockets,
        Err(error) => return tracing::error!("serve: {}", error.words()),
    };
    let graceful = GracefulShutdown::new();
    let clients = Arc::new(Clients::default());
    let following = async {
        match &door {
            Door::Guarded(access) => access.follow(&app.telemetry).await,
            Door::Open | Door::Probes => std::future::pending().await,
        }
    };
    tokio::pin!(shutdown, following);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&mut sockets) => accepted,
            () = &mut following => continue,
            () = &mut shutdown => break,
        };
        let Some((stream, peer)) = accepted else { continue };
        let acceptor = if let Door::Guarded(access) = &door { access.acceptor() } else { None };
        let Some(visitor) = clients.enter(peer) else {
            if acceptor.is_none() {
                turn_away(stream);
            }
            continue;
        };
        let (app, door, watcher) = (Arc::clone(&app), door.clone(), graceful.watcher());
        tokio::spawn(async move {
            let life = async {
                let visitor = Arc::clone(&visitor);
                let Some((acceptor, allowed)) = acceptor else { return converse(stream, app, door, visitor, watcher).await };
                // A client that says nothing must not hold its place for as long as one that talks.
                if let Ok(Ok(stream)) = tokio::time::timeout(HEAD, acceptor.accept(stream)).await {
                    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                    if has_name(certificate, &allowed) {
                        converse(stream, app, door, visitor, watcher).await;
                    }
                }
            };
            tokio::select! {
                _ = tokio::time::timeout(LIFE, life) => {}
                () = visitor.gave_way() => {}
            }
        });
    }
    drop(sockets);
    let _ = tokio::time::timeout(grace, graceful.shutdown()).await;
}

/// Says why, if that can be said without waiting.
fn turn_away(stream: Stream) {
    use std::io::Write as _;
    let _ = match stream {
        Either::Left(stream) => stream.into_std().and_then(|mut stream| stream.write(NO_PLACE)),
        Either::Right(stream) => stream.into_std().and_then(|mut stream| stream.write(NO_PLACE)),
    };
}

/// Answers the requests of one connection.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: Arc<App>, door: Door, visitor: Arc<Visitor>, watcher: Watcher) {
    let service = service_fn(move |request| {
        let (app, door, visitor) = (Arc::clone(&app), door.clone(), Arc::clone(&visitor));
        async move {
            let answering = visitor.answers();
            Ok::<_, Infallible>(handle(app, &door, &visitor, request).await.map(|body| Held::new(body, answering)))
        }
    });
    let connection = http1::Builder::new()
        // Without a timer there is no header timeout at all.
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let _ = watcher.watch(connection).await;
}

async fn accept(sockets: &mut Accepting) -> Option<(Stream, IpAddr)> {
    match sockets.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            // Out of file descriptors and the like: neither spin nor give up.
            tracing::warn!("accept a connection: {}", error.words());
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// A body that tells when it was sent.
struct Held {
    body: Body,
    _answering: Answering,
}

impl Held {
    fn new(body: Body, answering: Answering) -> Self {
        Self { body, _answering: answering }
    }
}

impl hyper::body::Body for Held {
    type Data = <Body as hyper::body::Body>::Data;
    type Error = <Body as hyper::body::Body>::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
