//! The accept loop: bounded connections, bounded headers, bounded time, graceful end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::rate::{Bucket, RateLimit};
use super::rules::has_name;
use super::{Access, handle};
use crate::app::App;

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 256;
/// Time for a request's head, and for an idle connection.
const HEAD: Duration = Duration::from_secs(10);
/// Longest life of a connection: a client that never reads its answer must not hold it for ever.
const LIFE: Duration = Duration::from_mins(2);
/// Largest head of a request.
const HEAD_BYTES: usize = 16 * 1024;

/// A bound address.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Binds an address; `:9840` means every interface.
    pub async fn bind(address: &str) -> Result<Self, std::io::Error> {
        let address = if address.starts_with(':') { format!("[::]{address}") } else { address.to_owned() };
        let bound = TcpListener::bind(&address).await;
        // A host without IPv6 cannot bind [::].
        match (bound, address.strip_prefix("[::]")) {
            (Err(_), Some(port)) => TcpListener::bind(format!("0.0.0.0{port}")).await.map(Self),
            (bound, _) => bound.map(Self),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr, std::io::Error> {
        self.0.local_addr()
    }
}

/// What is behind an address, and for whom.
#[derive(Clone)]
pub enum Door {
    /// Everything, for everybody.
    Open(Arc<Bucket>),
    /// Everything, for those whom a file lets in.
    Guarded(Arc<Access>),
    /// Only whether the process is alive and ready, for everybody.
    Probes(Arc<Bucket>),
}

impl Door {
    /// To everything, for everybody.
    pub fn open() -> Self {
        Self::Open(Arc::new(Bucket::full(RateLimit::DEFAULT)))
    }

    /// To what a kubelet asks.
    pub fn probes() -> Self {
        Self::Probes(Arc::new(Bucket::full(RateLimit::DEFAULT)))
    }
}

/// Serves until `shutdown` ends, then finishes what is in flight within `grace`.
pub async fn serve(listener: Listener, app: Arc<App>, door: Door, shutdown: impl Future<Output = ()>, grace: Duration) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let following = async {
        match &door {
            Door::Guarded(access) => access.follow().await,
            Door::Open(_) | Door::Probes(_) => std::future::pending().await,
        }
    };
    tokio::pin!(shutdown, following);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener.0, &places) => accepted,
            () = &mut following => continue,
            () = &mut shutdown => break,
        };
        let Some((stream, place)) = accepted else { continue };
        let (app, door, watcher) = (Arc::clone(&app), door.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            let life = async {
                let acceptor = if let Door::Guarded(access) = &door { access.acceptor() } else { None };
                let Some((acceptor, allowed)) = acceptor else { return converse(stream, app, door, watcher).await };
                // A client that says nothing must not hold its place for as long as one that talks.
                if let Ok(Ok(stream)) = tokio::time::timeout(HEAD, acceptor.accept(stream)).await {
                    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                    if has_name(certificate, &allowed) {
                        converse(stream, app, door, watcher).await;
                    }
                }
            };
            let _ = tokio::time::timeout(LIFE, life).await;
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(grace, graceful.shutdown()).await;
}

/// Answers the requests of one connection.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: Arc<App>, door: Door, watcher: Watcher) {
    let service = service_fn(move |request| {
        let (app, door) = (Arc::clone(&app), door.clone());
        async move { Ok::<_, Infallible>(handle(app, &door, request).await) }
    });
    let connection = http1::Builder::new()
        // Without a timer there is no header timeout at all.
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let _ = watcher.watch(connection).await;
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            // Out of file descriptors and the like: neither spin nor give up.
            tracing::warn!("accept a connection: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
