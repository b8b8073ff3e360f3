//! The accept loop: bounded connections, bounded headers, bounded time, graceful end.
//!
//! It has a thread and an event loop of its own. Whatever a peer makes a collector do, and however long
//! the judge thinks, a kubelet's probe and a scrape are answered.

use std::convert::Infallible;
use std::net::SocketAddr;
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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::clients::{Answering, Clients, Visitor};
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

/// A bound address.
#[derive(Debug)]
pub struct Listener(std::net::TcpListener);

impl Listener {
    /// Binds an address; `:9840` means every interface.
    pub async fn bind(address: &str) -> Result<Self, std::io::Error> {
        let address = if address.starts_with(':') { format!("[::]{address}") } else { address.to_owned() };
        let bound = TcpListener::bind(&address).await;
        // A host without IPv6 cannot bind [::].
        let bound = match (bound, address.strip_prefix("[::]")) {
            (Err(_), Some(port)) => TcpListener::bind(format!("0.0.0.0{port}")).await,
            (bound, _) => bound,
        };
        // Whoever serves it may have another event loop.
        bound?.into_std().map(Self)
    }

    /// The first socket that whoever started this process has opened for it, if there is one.
    /// Source: <https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html>
    pub fn inherited() -> Result<Option<Self>, std::io::Error> {
        let found = listenfd::ListenFd::from_env().take_tcp_listener(0)?;
        found.iter().try_for_each(|listener| listener.set_nonblocking(true))?;
        Ok(found.map(Self))
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr, std::io::Error> {
        self.0.local_addr()
    }
}

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
    let listener = match TcpListener::from_std(listener.0) {
        Ok(listener) => listener,
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
            accepted = accept(&listener) => accepted,
            () = &mut following => continue,
            () = &mut shutdown => break,
        };
        let Some((stream, peer)) = accepted else { continue };
        let acceptor = if let Door::Guarded(access) = &door { access.acceptor() } else { None };
        let Some(visitor) = clients.enter(peer.ip()) else {
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
    drop(listener);
    let _ = tokio::time::timeout(grace, graceful.shutdown()).await;
}

/// Says why, if that can be said without waiting.
fn turn_away(stream: TcpStream) {
    use std::io::Write as _;
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(NO_PLACE);
    }
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

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            // The end of an answer must not wait for its client to acknowledge what came before.
            let _ = stream.set_nodelay(true);
            Some((stream, peer))
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// With Nagle's algorithm the last piece of a scrape waits for the client to acknowledge the one before,
    /// which it may put off for 40 ms.
    #[tokio::test]
    async fn the_end_of_an_answer_waits_for_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = accept(&listener).await.unwrap();
        assert!(stream.nodelay().unwrap());
    }
}
