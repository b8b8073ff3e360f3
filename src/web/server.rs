//! The accept loop: bounded connections, bounded headers, bounded time, graceful end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::handle;
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

/// Serves until `shutdown` ends, then finishes what is in flight within `grace`.
pub async fn serve(listener: Listener, app: Arc<App>, shutdown: impl Future<Output = ()>, grace: Duration) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener.0, &places) => accepted,
            () = &mut shutdown => break,
        };
        let Some((stream, place)) = accepted else { continue };
        let app = Arc::clone(&app);
        let service = service_fn(move |request| {
            let app = Arc::clone(&app);
            async move { Ok::<_, Infallible>(handle(app, request).await) }
        });
        let connection = http1::Builder::new()
            // Without a timer there is no header timeout at all.
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            let _ = tokio::time::timeout(LIFE, connection).await;
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(grace, graceful.shutdown()).await;
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
