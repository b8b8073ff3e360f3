//! What every collector that opens a connection shares: name lookup, trust roots, TLS settings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use crate::cause::Cause as _;
use crate::files::{self, ReadError};
use crate::room::{self, Answer, NoRoom, Overrun};
use crate::say;
use crate::say::{Message, Say, named};

/// No target is asked at more addresses than this, whatever its name resolves to.
pub const MAX_ADDRESSES: usize = 16;

/// Names that the system's resolver looks up at once.
const LOOKUPS: usize = 64;

/// The one TLS provider of the process.
pub fn crypto() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}

/// Says whether the file of trust roots that the environment names can be read at all. The libraries that
/// read it open whatever it is, and would wait for ever at a pipe. One that is not there is theirs to tell.
pub fn check_trust_file() -> Result<(), Message> {
    match std::env::var_os("SSL_CERT_FILE").map(|file| files::read_now(Path::new(&file), files::LARGEST)) {
        Some(Err(error @ (ReadError::Unusable(_) | ReadError::Failed(_)))) => Err(say!("read the file that SSL_CERT_FILE names: {}", error)),
        None | Some(Ok(_) | Err(ReadError::Absent)) => Ok(()),
    }
}

/// The system's trust roots, and the certificates of `ca_file` beside them.
pub fn trust_roots(ca_file: Option<&Path>) -> Result<RootCertStore, Message> {
    static SYSTEM: OnceLock<RootCertStore> = OnceLock::new();
    let system = SYSTEM.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        if !found.errors.is_empty() {
            tracing::warn!("read the system's trust roots: {} of its files cannot be read", found.errors.len());
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        roots
    });
    let mut roots = system.clone();
    if let Some(file) = ca_file {
        for certificate in certificates_of(file)? {
            roots.add(certificate).map_err(|error| say!("read ca_file {}: {}", file.display(), error.words()))?;
        }
    }
    Ok(roots)
}

/// The certificates of a `ca_file`; one without any is an error. Reads on this thread.
pub fn certificates_of(file: &Path) -> Result<Vec<CertificateDer<'static>>, Message> {
    let content = files::read_now(file, files::LARGEST).map_err(|error| say!("read ca_file {}: {}", file.display(), error))?;
    certificates_in(&content.bytes).map_err(|why| say!("read ca_file {}: {}", file.display(), why))
}

/// The certificates of a PEM text; one without any is an error.
pub fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Message> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| error.words())?;
    if found.is_empty() { Err(say!("it holds no certificate")) } else { Ok(found) }
}

/// Why there is no body. Holds no word of it.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection broke.
    #[error("{0}")]
    Cut(Message),
    /// It has more bytes than were wanted.
    #[error("the answer is larger than {}", Message::of_size(*.0 as u64))]
    TooLarge(usize),
    /// Too many are read at once.
    #[error(transparent)]
    NoRoom(NoRoom),
}

impl Say for BodyError {}

impl From<Overrun> for BodyError {
    fn from(why: Overrun) -> Self {
        match why {
            Overrun::TooLarge(most) => Self::TooLarge(most),
            Overrun::NoRoom(why) => Self::NoRoom(why),
        }
    }
}

/// The body of an answer, unless it is larger than `most` bytes once it is unpacked.
pub async fn bounded(mut answer: reqwest::Response, most: usize) -> Result<Vec<u8>, BodyError> {
    if answer.content_length().is_some_and(|length| length > most as u64) {
        return Err(BodyError::TooLarge(most));
    }
    let mut body = Answer::new(most, &room::ANSWERS);
    while let Some(chunk) = answer.chunk().await.map_err(|error| BodyError::Cut(error.words()))? {
        body.add(&chunk)?;
    }
    Ok(body.whole())
}

/// Whether a URL holds an address that only this machine can mean.
pub fn has_local_address(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => is_link_local(address.into()),
        Some(url::Host::Ipv6(address)) => is_link_local(address.into()),
        _ => false,
    }
}

/// A client of an API: it follows no redirect, since whatever a redirect names would be asked with our
/// credentials, or in place of the configured host; and it resolves no name to an address that only
/// this machine can mean.
pub fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(SystemNames))
        .user_agent(concat!("readiness-exporter/", env!("CARGO_PKG_VERSION")))
}

/// Sends a request of such a client, and gives it up when this is dropped.
///
/// It has another thread than everything else: the client reads interim answers for as long as they come
/// and cannot be told to stop, so a peer that sends them without an end would take the time of all looks.
pub async fn send(request: impl Future<Output = reqwest::Result<reqwest::Response>> + Send + 'static) -> reqwest::Result<reqwest::Response> {
    static PEERS: OnceLock<Option<tokio::runtime::Runtime>> = OnceLock::new();
    let peers = PEERS.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("peers").enable_all().build().ok());
    let Some(peers) = peers else { return request.await };
    match AbortOnDropHandle::new(peers.spawn(request)).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Nobody ends it but the end of the process.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The system's way to resolve names, for clients that connect by themselves.
struct SystemNames;

impl reqwest::dns::Resolve for SystemNames {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let found = Lookup::System.addresses(name.as_str()).await?;
            let sockets: reqwest::dns::Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(sockets)
        })
    }
}

/// Whether an address is of this machine's own link, or where clouds tell a machine its credentials.
/// No name may lead there: only a configuration that holds the address itself.
/// Source: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>,
/// <https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>,
/// <https://www.alibabacloud.com/help/ecs/user-guide/view-instance-metadata>
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let metadata = [[168, 63, 129, 16], [100, 100, 100, 200], [192, 0, 0, 192]];
            // Nobody has 0.0.0.0, and whoever asks it asks this machine.
            address.is_link_local() || address.is_unspecified() || metadata.contains(&address.octets())
        }
        IpAddr::V6(address) => {
            let parts = address.segments();
            // Where an address that stands for one of IPv4 has it: as it is, translated, through NAT64 or 6to4.
            let inner = match parts {
                [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] | [0x64, 0xff9b, .., high, low] | [0x2002, high, low, ..] => {
                    Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
                }
                _ => None,
            };
            // Link-local, its predecessor, AWS, Google.
            let own = matches!(parts, [0xfe80..=0xfeff, ..] | [0xfd00, 0xec2, ..] | [0xfd20, 0xce, ..]);
            // The loopback address looks like one of IPv4 with all its high bits unset.
            own || (!address.is_loopback() && inner.is_some_and(|v4| is_link_local(v4.into())))
        }
    }
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
    pub fn new(server: Option<&str>, timeout: Duration) -> Result<Self, Message> {
        let Some(server) = server else { return Ok(Self::System) };
        let address = server.parse().map_err(|_| say!("resolver: must be an IP address with a port"))?;
        let resolver = resolver_at(address, timeout).map_err(|error| say!("resolver {}: {}", address, error.words()))?;
        Ok(Self::Server(Box::new(resolver)))
    }

    /// Every address of a host, in a stable order; none that [`is_link_local`], unless the host is one.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Message> {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(vec![address]);
        }
        let mut found: Vec<IpAddr> = match self {
            Self::System => {
                // Each is a thread that waits for the system's resolver, and others need threads, too.
                static SLOTS: Semaphore = Semaphore::const_new(LOOKUPS);
                let _slot = SLOTS.acquire().await;
                let found = tokio::net::lookup_host((host, 0)).await;
                found.map_err(|_| say!("resolve {}: the system's resolver finds no address", named(host)))?.map(|address| address.ip()).collect()
            }
            Self::Server(resolver) => {
                let found = resolver.lookup_ip(format!("{}.", host.trim_end_matches('.'))).await;
                found.map_err(|error| say!("resolve {}: {}", named(host), error.words()))?.iter().collect()
            }
        };
        found.sort_unstable();
        found.dedup();
        let all = found.len();
        found.retain(|address| !is_link_local(*address));
        if found.len() < all {
            return Err(say!(
                "resolve {}: it leads to a link-local or metadata address, which is asked only where the configuration holds the address itself",
                named(host)
            ));
        }
        found.truncate(MAX_ADDRESSES);
        if found.is_empty() { Err(say!("resolve {}: no address", named(host))) } else { Ok(found) }
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

/// `ipv4` or `ipv6`.
pub fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}

/// A label that no cache has seen.
pub fn random_label() -> String {
    format!("r-{:012x}", fastrand::u64(..) & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_only_this_machine_can_mean() {
        for local in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "0.0.0.0",
            "::",
            "fd00:ec2::23",
            "fd20:ce::254",
            "2002:a9fe:a9fe::1",
            "::ffff:0:a9fe:a9fe",
            "fec0::1",
        ] {
            assert!(is_link_local(local.parse().unwrap()), "{local}");
        }
        for other in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "2002:a00:1::1", "2001:db8::a9fe:a9fe", "::ffff:10.0.0.1", "169.253.255.255"] {
            assert!(!is_link_local(other.parse().unwrap()), "{other}");
        }
    }

    #[tokio::test]
    async fn an_address_of_the_configuration_is_taken_as_it_is() {
        assert_eq!(Lookup::System.addresses("169.254.169.254").await, Ok(vec!["169.254.169.254".parse().unwrap()]));
        assert_eq!(Lookup::System.addresses("[fe80::1]").await, Ok(vec!["fe80::1".parse().unwrap()]));
    }
}
