//! One exchange over a connection that exists: HTTP/1.1, HTTP/2, and the tunnel of a proxy.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use url::Url;

use super::Outcome;
use super::probe::Failure;
use crate::cause::Cause as _;
use crate::interim::Interim;
use crate::say;

/// Header lines that one answer can have; they fit into the buffer of the connection all the same.
const MOST_HEADERS: usize = 1_000;

pub(super) fn connection_failed(act: &'static str, error: &std::io::Error) -> Failure {
    use std::io::ErrorKind;
    let outcome = match error.kind() {
        ErrorKind::TimedOut => Outcome::Timeout,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => Outcome::Reset,
        _ => Outcome::Refused,
    };
    Failure(outcome, say!("{}: {}", act, error.words()))
}

fn exchange_failed(error: &hyper::Error) -> Failure {
    let outcome = if error.is_parse() { Outcome::Protocol } else { Outcome::Reset };
    Failure(outcome, say!("read response: {}", error.words()))
}

/// The answer to a request, unless interim ones come without an end.
async fn answer(asking: impl Future<Output = hyper::Result<Response<Incoming>>>, interim: Interim) -> Result<Response<Incoming>, Failure> {
    tokio::select! {
        response = asking => response.map_err(|error| exchange_failed(&error)),
        endless = interim.endless() => Err(Failure(Outcome::Protocol, say!("read response: {}", endless))),
    }
}

/// Ends the connection's task with the look.
struct Abort(tokio::task::AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends a request over HTTP/1.1, and takes its answer as browsers and proxies do: folded lines, spaces
/// before a colon and many of them are old or odd, and no reason to call a service broken.
/// Source: RFC 9112, sections 5.1 and 5.2
pub(super) async fn send<S>(stream: S, mut request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(64 * 1024)
        .max_headers(MOST_HEADERS)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| exchange_failed(&error))?;
    let driver = Abort(tokio::spawn(async move { drop(connection.await) }).abort_handle());
    let interim = Interim::of(&mut request);
    let mut response = answer(sender.send_request(request), interim).await?;
    // The connection must outlive the call: the body is still to be read.
    response.extensions_mut().insert(Arc::new(driver));
    Ok(response)
}

/// Sends a request over HTTP/2, to servers that speak nothing else.
pub(super) async fn send_h2<S>(stream: S, mut request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // These two say of an HTTP/1.1 connection what HTTP/2 says by itself (RFC 9113, section 8.2.2).
    request.headers_mut().remove(header::CONNECTION);
    request.headers_mut().remove(header::HOST);
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await.map_err(|error| exchange_failed(&error))?;
    let driver = Abort(tokio::spawn(async move { drop(connection.await) }).abort_handle());
    let interim = Interim::of(&mut request);
    let mut response = answer(sender.send_request(request), interim).await?;
    response.extensions_mut().insert(Arc::new((driver, sender)));
    Ok(response)
}

/// Asks the proxy for a tunnel to the URL's host (RFC 9110, section 9.3.6).
pub(super) async fn tunnel(tcp: TcpStream, url: &Url) -> Result<TokioIo<hyper::upgrade::Upgraded>, Failure> {
    let authority = format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
    let failed = |error: &hyper::Error| Failure(Outcome::Refused, say!("ask the proxy for a tunnel: {}", error.words()));
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.map_err(|error| failed(&error))?;
    tokio::spawn(async move { drop(connection.with_upgrades().await) });
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(&authority)
        .header(header::HOST, &authority)
        .body(Empty::<Bytes>::new())
        .map_err(|_| Failure(Outcome::Protocol, say!("the request cannot be made")))?;
    let interim = Interim::of(&mut request);
    let response = tokio::select! {
        response = sender.send_request(request) => response.map_err(|error| failed(&error))?,
        endless = interim.endless() => return Err(Failure(Outcome::Protocol, say!("ask the proxy for a tunnel: {}", endless))),
    };
    if !response.status().is_success() {
        return Err(Failure(Outcome::Refused, say!("ask the proxy for a tunnel: status {}", response.status().as_u16())));
    }
    hyper::upgrade::on(response).await.map(TokioIo::new).map_err(|error| failed(&error))
}
