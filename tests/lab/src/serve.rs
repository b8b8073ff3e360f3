//! One way to serve HTTP, plain or over TLS, for every part of the lab.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::server::ResolvesServerCert;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::storm::{self, Mangled};
use crate::wire::{self, Wire};

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A complete answer.
pub(crate) fn answer(status: u16, kind: &str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    }
    response
}

/// A field of a form; empty when it is not there.
pub(crate) fn field(form: &[u8], name: &str) -> String {
    url::form_urlencoded::parse(form).find(|(own, _)| own == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Serves until aborted. `None` from the handler cuts the connection without an answer.
pub(crate) async fn serve<H, F>(address: SocketAddr, certificates: Option<Arc<dyn ResolvesServerCert>>, handler: H) -> anyhow::Result<JoinHandle<()>>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<Response<Body>>> + Send + 'static,
{
    let mut listener = Some(TcpListener::bind(address).await?);
    let tls = certificates.map(acceptor).transpose()?;
    Ok(tokio::spawn(async move {
        let (mut connections, mut storms) = (tokio::task::JoinSet::new(), wire::Storms::over(address));
        loop {
            let Some(open) = &listener else {
                wire::until_refused(address, false).await;
                listener = TcpListener::bind(address).await.ok();
                continue;
            };
            let accepted = tokio::select! {
                accepted = open.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                () = wire::until_refused(address, true) => {
                    listener = None;
                    connections.abort_all();
                    continue;
                }
                // Nobody goes on with what was half broken.
                () = storms.calm() => {
                    connections.abort_all();
                    continue;
                }
            };
            let Ok((stream, _)) = accepted else { continue };
            let (handler, tls) = (handler.clone(), tls.clone());
            connections.spawn(async move {
                let service = service_fn(move |request| {
                    let handler = handler.clone();
                    async move {
                        let path = request.uri().path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default();
                        let answered = match wire::of(address) {
                            Some(Wire::Storm) => match handler(request).await {
                                Some(good) => Some(storm::answer(good).await),
                                None => None,
                            },
                            Some(wire) => wire::misbehave(wire, address, &path).await,
                            None => handler(request).await,
                        };
                        answered.ok_or_else(|| std::io::Error::other("cut"))
                    }
                });
                match tls {
                    None => converse(stream, address, service).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            converse(stream, address, service).await;
                        }
                    }
                }
            });
        }
    }))
}

async fn converse<S, H>(mut stream: S, address: SocketAddr, service: H)
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: HttpService<Incoming, ResBody = Body>,
    H::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if wire::of(address) == Some(Wire::Interim) {
        drop(wire::hint(&mut stream).await);
    } else {
        drop(http1::Builder::new().serve_connection(TokioIo::new(Mangled::new(stream, address)), service).await);
    }
}

fn acceptor(certificates: Arc<dyn ResolvesServerCert>) -> anyhow::Result<tokio_rustls::TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?.with_no_client_auth().with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tokio_rustls::TlsAcceptor::from(Arc::new(config)))
}

/// What a handler of a test answers: status, headers, body.
type Scripted = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// What the handler says stands instead of what every answer has, as often as it says it.
fn scripted((status, headers, body): Scripted) -> Response<Body> {
    let mut response = answer(status, "application/octet-stream", body);
    for (name, _) in &headers {
        response.headers_mut().remove(*name);
    }
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn target_of(uri: &hyper::Uri) -> String {
    uri.path_and_query().map(|target| target.as_str().to_owned()).unwrap_or_default()
}

/// A plain HTTP server whose answers are what the handler says (status, headers, body), after a delay.
/// It is told the method, the target and the headers.
pub async fn plain_server<H>(address: SocketAddr, delay: std::time::Duration, handler: H) -> anyhow::Result<JoinHandle<()>>
where
    H: Fn(&str, &str, &hyper::HeaderMap) -> Scripted + Clone + Send + Sync + 'static,
{
    serve(address, None, move |request| {
        let (status, headers, body) = handler(request.method().as_str(), &target_of(request.uri()), request.headers());
        let response = scripted((status, headers, if request.method() == hyper::Method::HEAD { Vec::new() } else { body }));
        async move {
            tokio::time::sleep(delay).await;
            Some(response)
        }
    })
    .await
}

/// The same at once, for a handler that is told the body as well.
pub async fn reading_server<H>(address: SocketAddr, handler: H) -> anyhow::Result<JoinHandle<()>>
where
    H: Fn(&str, &str, &hyper::HeaderMap, &[u8]) -> Scripted + Clone + Send + Sync + 'static,
{
    serve(address, None, move |request| {
        let handler = handler.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            Some(scripted(handler(head.method.as_str(), &target_of(&head.uri), &head.headers, &body)))
        }
    })
    .await
}

/// An HTTPS server that answers every request with 200, for benches.
pub async fn ok_server(address: SocketAddr, key: Arc<rustls::sign::CertifiedKey>) -> anyhow::Result<JoinHandle<()>> {
    serve(address, Some(Arc::new(One(key))), |_| async { Some(answer(200, "text/plain", "OK")) }).await
}

/// The same certificate for everybody.
#[derive(Debug)]
pub(crate) struct One(pub(crate) Arc<rustls::sign::CertifiedKey>);

impl ResolvesServerCert for One {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
