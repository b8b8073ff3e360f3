//! What every collector that opens a connection shares: name lookup, trust roots, TLS settings.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// No target is asked at more addresses than this, whatever its name resolves to.
pub const MAX_ADDRESSES: usize = 16;

/// The one TLS provider of the process.
pub fn crypto() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}

/// The system's trust roots, and the certificates of `ca_file` beside them.
pub fn trust_roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    static SYSTEM: OnceLock<RootCertStore> = OnceLock::new();
    let system = SYSTEM.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!("read the system's trust roots: {error}");
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        roots
    });
    let mut roots = system.clone();
    if let Some(file) = ca_file {
        for certificate in certificates_of(file)? {
            roots.add(certificate).map_err(|error| format!("read ca_file {}: {error}", file.display()))?;
        }
    }
    Ok(roots)
}

/// The certificates of a `ca_file`; one without any is an error.
pub fn certificates_of(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |why: String| format!("read ca_file {}: {why}", file.display());
    let pem = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))?;
    if found.is_empty() { Err(failed("holds no certificate".to_owned())) } else { Ok(found) }
}

/// Why there is no body. Holds no word of it.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection broke.
    #[error("{}", root_cause(.0))]
    Cut(reqwest::Error),
    /// It has more bytes than were wanted.
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
}

/// The body of an answer, unless it is larger than `most` bytes.
pub async fn bounded(mut answer: reqwest::Response, most: usize) -> Result<Vec<u8>, BodyError> {
    if answer.content_length().is_some_and(|length| length > most as u64) {
        return Err(BodyError::TooLarge(most));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| BodyError::Cut(error.without_url()))? {
        if body.len() + chunk.len() > most {
            return Err(BodyError::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// How names of targets become addresses.
#[derive(Clone)]
pub enum Lookup {
    /// The way every other program on this host does it, hosts file included.
    System,
    /// One name server, without a cache.
    Server(Box<TokioResolver>),
}

impl Lookup {
    /// The system's way, or the given name server.
    pub fn new(server: Option<&str>, timeout: Duration) -> Result<Self, String> {
        let Some(server) = server else { return Ok(Self::System) };
        let address = server.parse().map_err(|_| format!("resolver: must be an IP address with a port (got {server:?})"))?;
        let resolver = resolver_at(address, timeout).map_err(|error| format!("resolver {server}: {error}"))?;
        Ok(Self::Server(Box::new(resolver)))
    }

    /// Every address of a host, in a stable order.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(vec![address]);
        }
        let mut found: Vec<IpAddr> = match self {
            Self::System => {
                let found = tokio::net::lookup_host((host, 0)).await.map_err(|error| format!("resolve {host}: {error}"))?;
                found.map(|address| address.ip()).collect()
            }
            Self::Server(resolver) => {
                let found = resolver.lookup_ip(format!("{}.", host.trim_end_matches('.'))).await;
                found.map_err(|error| format!("resolve {host}: {error}"))?.iter().collect()
            }
        };
        found.sort_unstable();
        found.dedup();
        found.truncate(MAX_ADDRESSES);
        if found.is_empty() { Err(format!("resolve {host}: no address")) } else { Ok(found) }
    }
}

/// A resolver that asks one server, over TCP when an answer is truncated, and remembers nothing:
/// a monitor must see the live answer.
pub fn resolver_at(server: SocketAddr, timeout: Duration) -> Result<TokioResolver, NetError> {
    // The structs are non-exhaustive, so they are built and then adjusted.
    let mut udp = ConnectionConfig::udp();
    udp.port = server.port();
    let mut tcp = ConnectionConfig::tcp();
    tcp.port = server.port();
    let config = ResolverConfig::from_parts(None, vec![], vec![NameServerConfig::new(server.ip(), true, vec![udp, tcp])]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    live(builder.options_mut(), timeout);
    builder.build()
}

/// The resolvers of the host's own configuration, without a cache.
pub fn system_resolver(timeout: Duration) -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    live(builder.options_mut(), timeout);
    builder.build()
}

fn live(options: &mut hickory_resolver::config::ResolverOpts, timeout: Duration) {
    // hickory waits (attempts + 1) times the timeout in all.
    options.attempts = 1;
    options.timeout = timeout / 2;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.edns0 = true;
}

/// The words of the first cause; those above it only say that something failed.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// `ipv4` or `ipv6`.
pub fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}

/// A label that no cache has seen.
pub fn random_label() -> String {
    format!("r-{:012x}", fastrand::u64(..) & 0xffff_ffff_ffff)
}
