//! One look at one address: connect, handshake, request, answer, judged against the expectation.
//!
//! Speaks HTTP/1.1 over hyper's own connection instead of a pooling client, because a probe wants
//! a chosen address, a fresh connection each time and the time of each phase.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use url::{Host, Url};

use super::Outcome;
use super::config::{Expect, Target};
use super::wire::{connection_failed, send, send_h2, tunnel};
use crate::cause::{Cause as _, Unasked};
use crate::net::{self, Answer, Lookup, Unresolved};
use crate::say;
use crate::say::{Message, named};
use crate::value::SecretRef;

/// The kind of targets of which each look asks for an address that nobody asked for before.
const ROUTED: &str = "wildcard";

/// The kind of what is there to be read.
const DOCUMENT: &str = "document";

/// Why there is no address to ask.
pub(super) fn unresolved(why: Unresolved) -> Failure {
    match why {
        Unresolved::Failed(why) => Failure(Outcome::Dns, why),
        Unresolved::Unasked(Unasked(why)) => Failure(Outcome::Unknown, why),
    }
}

/// Who was asked, in the labels of what came of it.
pub(super) struct Place {
    pub(super) family: &'static str,
    /// Or what stands where an address would stand.
    pub(super) address: String,
}

/// What one look at one address found.
pub(super) struct Probe {
    pub(super) outcome: Outcome,
    /// For people; holds no part of a body or header.
    pub(super) detail: Message,
    pub(super) status: Option<u16>,
    /// How long a cache has kept the answer, in seconds.
    pub(super) age: Option<u64>,
    pub(super) body_bytes: Option<usize>,
    pub(super) identity: Option<bool>,
    pub(super) phases: Vec<(&'static str, Duration)>,
}

/// A failed step.
pub(super) struct Failure(pub(super) Outcome, pub(super) Message);

impl Probe {
    /// One that holds nothing of an answer.
    const fn without_answer(outcome: Outcome, detail: Message) -> Self {
        Self { outcome, detail, status: None, age: None, body_bytes: None, identity: None, phases: Vec::new() }
    }
}

/// What is spoken over TLS.
#[derive(Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
}

/// Why a request did not get its answer.
enum Unanswered {
    Failed(Failure),
    /// The server speaks no HTTP/1.1, and may speak HTTP/2.
    NotHttp1,
    /// Its certificate is for another name.
    OtherName(Failure),
}

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Failure {
    /// The same, which names who was asked where that is not the configured server.
    pub(super) fn at(self, configured: &Url, asked: &Url) -> Self {
        if asked.origin() == configured.origin() {
            return self;
        }
        Self(self.0, say!("after a redirect to {}: {}", origin(asked), self.1).fixed_as(&self.1))
    }
}

/// TLS settings for probes: verified, HTTP/1.1, and a full handshake every time.
pub(super) fn client_config(trust: &net::Trust) -> Result<Arc<rustls::ClientConfig>, Message> {
    let mut config = trust.client_config()?;
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A target, parsed once.
pub(super) struct Prober {
    url: Url,
    wildcard: Option<String>,
    method: Method,
    headers: Vec<(HeaderName, HeaderSource)>,
    pub(super) expect: Expect,
    /// Whether an answer proves something only while it is new.
    pub(super) is_live: bool,
    pub(super) matches: Option<regex::Regex>,
    pub(super) redirects: u8,
    pub(super) redirect_hosts: Vec<String>,
    pub(super) max_body: usize,
    pub(super) proxy: Option<Url>,
    tls: Arc<rustls::ClientConfig>,
    pub(super) lookup: Lookup,
    timeout: Duration,
}

enum HeaderSource {
    Plain(HeaderValue),
    Secret(SecretRef),
}

/// What is sent in this look.
pub(super) struct Prepared {
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Prober {
    pub(super) fn new(target: &Target, tls: Arc<rustls::ClientConfig>, lookup: Lookup, timeout: Duration) -> Result<Self, Message> {
        let broken = |what: &'static str, why: &'static str| say!("http target {}: {}: {}", named(&target.name), what, why);
        let wildcard = target.url.expose().contains("://*.").then(|| target.url.expose().to_owned());
        let mut headers = Vec::new();
        for configured in &target.headers {
            let name = HeaderName::from_bytes(configured.name.as_bytes()).map_err(|_| broken("header", "not a header"))?;
            let source = match (&configured.value, &configured.value_from) {
                (Some(value), _) => HeaderSource::Plain(HeaderValue::from_str(value).map_err(|_| broken("header", "not a header"))?),
                (None, Some(reference)) => HeaderSource::Secret(reference.clone()),
                (None, None) => continue,
            };
            headers.push((name, source));
        }
        Ok(Self {
            url: target.url.parse().map_err(|_| broken("url", "must be a URL"))?,
            wildcard,
            method: Method::from_bytes(target.method.as_bytes()).map_err(|_| broken("method", "must be an HTTP method"))?,
            headers,
            matches: target
                .expect
                .body_matches
                .as_deref()
                .map(regex::Regex::new)
                .transpose()
                .map_err(|_| broken("body_matches", "must be a regular expression"))?,
            expect: target.expect.clone(),
            // Documents are kept by caches on purpose.
            is_live: target.kind == ROUTED || (target.kind != DOCUMENT && !target.expect.identity.is_empty()),
            redirects: target.follow_redirects,
            redirect_hosts: target.redirect_hosts.clone(),
            max_body: usize::try_from(target.max_body_bytes).unwrap_or(usize::MAX),
            proxy: target.proxy.as_ref().map(crate::value::Url::parse).transpose().map_err(|_| broken("proxy", "must be a URL"))?,
            tls,
            lookup,
            timeout,
        })
    }

    pub(super) fn has_identity(&self) -> bool {
        !self.expect.identity.is_empty()
    }

    /// Reads secrets and draws the random label of this look.
    pub(super) async fn prepare(&self) -> Result<Prepared, Message> {
        let url = match &self.wildcard {
            Some(pattern) => {
                let concrete = pattern.replacen("://*.", &format!("://{}.", net::random_label()), 1);
                Url::parse(&concrete).map_err(|_| say!("the pattern of the target makes no URL"))?
            }
            None => self.url.clone(),
        };
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, source) in &self.headers {
            let value = match source {
                HeaderSource::Plain(value) => value.clone(),
                HeaderSource::Secret(reference) => reference.read_for_header().await?,
            };
            headers.push((name.clone(), value));
        }
        Ok(Prepared { url, headers })
    }

    /// Asks every address of the host, or of the proxy.
    pub(super) async fn look(&self, request: &Prepared) -> Vec<(Place, Probe)> {
        let host = self.proxy.as_ref().unwrap_or(&request.url).host_str().unwrap_or_default();
        let (told, took) = self.lookup.each(host, self.timeout, |address, took| self.probe(request, address, took)).await;
        let nameless = |outcome, why| Probe { phases: vec![("dns", took), ("total", took)], ..Probe::without_answer(outcome, why) };
        let probes = told.into_iter().map(|told| {
            let probe = match told.answer {
                Answer::Asked(probe) => probe,
                Answer::Unresolved(why) => nameless(Outcome::Dns, why),
                Answer::Late(why) => nameless(Outcome::Timeout, why),
                Answer::Unseen(why) => Probe::without_answer(Outcome::Unknown, why),
            };
            (Place { family: told.family, address: told.place }, probe)
        });
        probes.collect()
    }

    /// Asks one address, within the deadline.
    pub(super) async fn probe(&self, request: &Prepared, address: IpAddr, dns: Duration) -> Probe {
        let mut probe = Probe { phases: vec![("dns", dns)], ..Probe::without_answer(Outcome::Ok, say!("")) };
        let started = Instant::now();
        let left = self.timeout.saturating_sub(dns);
        let result = tokio::time::timeout(left, self.exchange(request, address, &mut probe)).await;
        let result = result.unwrap_or_else(|_| {
            let reached = probe.phases.last().map_or("dns", |(phase, _)| *phase);
            Err(Failure(Outcome::Timeout, say!("no complete answer within {} (got as far as {})", crate::value::Span(self.timeout), reached)))
        });
        match result {
            Ok(detail) => probe.detail = detail,
            // Whoever asks again needs the port as well.
            Err(Failure(outcome, detail)) => {
                let through = self.proxy.as_ref().map_or_else(|| say!(""), |proxy| say!(" through the proxy {}", origin(proxy)));
                (probe.outcome, probe.detail) = (outcome, say!("{}{}: {}", origin(&request.url), through, detail).fixed_as(&detail));
            }
        }
        probe.phases.push(("total", started.elapsed() + dns));
        probe
    }

    pub(super) async fn ask(
        &self,
        url: &Url,
        address: IpAddr,
        headers: &[(HeaderName, HeaderValue)],
        probe: &mut Probe,
    ) -> Result<Response<Incoming>, Failure> {
        let first = self.ask_over(url, address, headers, probe, Protocol::Http1).await;
        let settled = match first {
            Err(Unanswered::NotHttp1) => self.ask_over(url, address, headers, probe, Protocol::Http2).await,
            settled => settled,
        };
        settled.map_err(|why| match why {
            Unanswered::Failed(failure) => failure,
            Unanswered::OtherName(failure) => {
                // Who says so is another service, unless a redirect led to it.
                probe.identity = (self.has_identity() && probe.status.is_none()).then_some(false);
                failure
            }
            Unanswered::NotHttp1 => Failure(Outcome::Tls, say!("TLS handshake: the server speaks neither HTTP/1.1 nor HTTP/2")),
        })
    }

    async fn ask_over(
        &self,
        url: &Url,
        address: IpAddr,
        headers: &[(HeaderName, HeaderValue)],
        probe: &mut Probe,
        protocol: Protocol,
    ) -> Result<Response<Incoming>, Unanswered> {
        let secure = url.scheme() == "https";
        let port = self.proxy.as_ref().unwrap_or(url).port_or_known_default().unwrap_or(80);
        let mut at = Instant::now();
        let place = SocketAddr::new(address, port);
        let failed = |error| net::unroutable(place).map_or_else(|| connection_failed("connect", &error), |why| Failure(Outcome::Unknown, why));
        let tcp = TcpStream::connect(place).await.map_err(failed)?;
        let _ = tcp.set_nodelay(true);
        lap(probe, "connect", &mut at);
        let whole = matches!((protocol, &self.proxy, secure), (Protocol::Http2, ..) | (_, Some(_), false));
        let request = self.request(url, headers, whole)?;
        let response = match (&self.proxy, secure) {
            (_, false) => send(tcp, request).await?,
            (None, true) => self.ask_securely(url, tcp, request, protocol, probe, &mut at).await?,
            (Some(_), true) => self.ask_securely(url, tunnel(tcp, url).await?, request, protocol, probe, &mut at).await?,
        };
        lap(probe, "first_byte", &mut at);
        Ok(response)
    }

    async fn ask_securely<S>(
        &self,
        url: &Url,
        stream: S,
        request: Request<Empty<Bytes>>,
        protocol: Protocol,
        probe: &mut Probe,
        at: &mut Instant,
    ) -> Result<Response<Incoming>, Unanswered>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let tls = self.handshake(url, stream, protocol).await?;
        lap(probe, "tls", at);
        let response = match protocol {
            Protocol::Http1 => send(tls, request).await,
            Protocol::Http2 => send_h2(tls, request).await,
        };
        Ok(response?)
    }

    async fn handshake<S>(&self, url: &Url, stream: S, protocol: Protocol) -> Result<tokio_rustls::client::TlsStream<S>, Unanswered>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = server_name(url)?;
        let config = match protocol {
            Protocol::Http1 => Arc::clone(&self.tls),
            Protocol::Http2 => {
                let mut config = rustls::ClientConfig::clone(&self.tls);
                config.alpn_protocols = vec![b"h2".to_vec()];
                Arc::new(config)
            }
        };
        tokio_rustls::TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
            let why = error.words();
            let told = say!("TLS handshake: {}", why).fixed_as(&why);
            let tls = error.get_ref().and_then(<dyn std::error::Error + Send + Sync>::downcast_ref::<rustls::Error>);
            match tls {
                Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => Unanswered::NotHttp1,
                Some(rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })) => {
                    Unanswered::OtherName(Failure(Outcome::Tls, told))
                }
                Some(_) => Failure(Outcome::Tls, told).into(),
                None => connection_failed("TLS handshake", &error).into(),
            }
        })
    }

    fn request(&self, url: &Url, headers: &[(HeaderName, HeaderValue)], whole: bool) -> Result<Request<Empty<Bytes>>, Failure> {
        let bad = || Failure(Outcome::Protocol, say!("the request cannot be made"));
        let target = if whole { &url[..url::Position::AfterQuery] } else { &url[url::Position::BeforePath..url::Position::AfterQuery] };
        let uri: Uri = target.parse().map_err(|_| bad())?;
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(uri)
            .header(header::HOST, host)
            .header(header::USER_AGENT, concat!("readiness-exporter/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "*/*")
            .header(header::CONNECTION, "close")
            .body(Empty::new())
            .map_err(|_| bad())?;
        for (name, value) in headers {
            request.headers_mut().insert(name, value.clone());
        }
        Ok(request)
    }
}

/// Scheme, host and port of a URL: the path may be a secret.
fn origin(url: &Url) -> Message {
    let host = url.host_str().unwrap_or_default();
    let host = match url.port() {
        Some(port) => say!("{}:{}", named(host), port),
        None => say!("{}", named(host)),
    };
    if url.scheme() == "https" { say!("https://{}", host) } else { say!("http://{}", host) }
}

fn lap(probe: &mut Probe, phase: &'static str, since: &mut Instant) {
    let now = Instant::now();
    let took = now - *since;
    *since = now;
    // Redirects pass a phase several times; its time is the sum.
    match probe.phases.iter_mut().find(|(name, _)| *name == phase) {
        Some((_, sum)) => *sum += took,
        None => probe.phases.push((phase, took)),
    }
}

fn server_name(url: &Url) -> Result<ServerName<'static>, Failure> {
    match url.host() {
        Some(Host::Ipv4(address)) => Ok(ServerName::from(IpAddr::V4(address))),
        Some(Host::Ipv6(address)) => Ok(ServerName::from(IpAddr::V6(address))),
        host => ServerName::try_from(host.map(|host| host.to_string()).unwrap_or_default())
            .map_err(|_| Failure(Outcome::Tls, say!("the host has no name that a certificate could have"))),
    }
}
