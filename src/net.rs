//! What every collector that opens a connection shares: name lookup, trust roots, TLS settings.

mod call;
mod chain;
mod names;
mod ocsp;
mod resolver;
mod route;
mod trust;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio_util::task::AbortOnDropHandle;

pub use call::{Call, FRESH, age_of, unanswered, within};
pub use chain::{Verified, client_verified_by};
pub use names::{Found, Lookup, MAX_ADDRESSES, NOWHERE, Unresolved, Unseen, family_of, random_label};
pub use ocsp::{Stapled, must_staple, read as read_staple, revoked_words};
pub use resolver::{Answer as DnsAnswer, Outcome as DnsOutcome, Resolver, normal, reconcile};
pub use route::unroutable;
pub use trust::{Trust, follow_trust};

use crate::cause::Cause as _;
use crate::files::{self, ReadError};
use crate::room::{self, Answer, NoRoom, Overrun};
use crate::say;
use crate::say::{Message, Say};

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

/// The system's trust roots, as they are in its files.
fn system_certificates() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    if !found.errors.is_empty() {
        tracing::warn!("read the system's trust roots: {} of its files cannot be read", found.errors.len());
    }
    found.certs
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
pub fn client(trust: &Trust) -> Result<reqwest::ClientBuilder, Message> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(trust.client_config()?)
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(SystemNames))
        .user_agent(concat!("readiness-exporter/", env!("CARGO_PKG_VERSION")));
    Ok(builder)
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

/// The address that an answer stands for. Where only IPv6 is spoken a resolver makes addresses for what has none of
/// it: a well-known prefix before the address of IPv4.
/// Source: RFC 6147, section 5.1.7, and RFC 6052, section 2.1
pub fn stands_for(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(own) => match own.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)).into(),
            _ => own.to_canonical(),
        },
        IpAddr::V4(_) => address,
    }
}

/// Why no server of a name can have an address; `None` if one can. Filters answer with such addresses for names
/// that they block, and records with them were forgotten.
/// Source: <https://www.iana.org/assignments/iana-ipv4-special-registry>,
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
pub fn unusable(address: IpAddr, name: &str) -> Option<&'static str> {
    let address = stands_for(address);
    let first = match address {
        IpAddr::V4(address) => address.octets()[0],
        IpAddr::V6(_) => 1,
    };
    if address.is_unspecified() || first == 0 {
        Some("is the address of nobody")
    } else if address.is_multicast() {
        Some("is the address of a group and of no server")
    } else if first >= 240 {
        Some("is reserved and of no server")
    } else if address.is_loopback() && !is_local_name(name) {
        Some("is whoever asks, and no server of others")
    } else if is_link_local(address) {
        Some("is a link-local or metadata address, which each machine has for itself")
    } else {
        None
    }
}

/// Whether a name is kept for this machine, or for tests.
/// Source: RFC 6761, sections 6.2 and 6.3
fn is_local_name(name: &str) -> bool {
    let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    ["localhost", "test"].iter().any(|local| last.eq_ignore_ascii_case(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_no_server_has() {
        for nowhere in
            ["0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "240.0.0.1", "255.255.255.255", "169.254.1.1", "fe80::1", "::ffff:0.0.0.0", "64:ff9b::e000:1"]
        {
            assert!(unusable(nowhere.parse().unwrap(), "a.test").is_some(), "{nowhere}");
        }
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let of = |name: &str| unusable(own.parse().unwrap(), name).is_some();
            assert_eq!(["a.test", "LocalHost.", "a.localhost", "a.example.com", "test.example.com"].map(of), [false, false, false, true, true], "{own}");
        }
        for some in ["10.0.0.1", "192.168.1.1", "100.64.0.1", "203.0.113.1", "198.18.0.1", "fd00::1", "2001:db8::1", "64:ff9b::a00:1"] {
            assert_eq!(unusable(some.parse().unwrap(), "a.example.com"), None, "{some}");
        }
    }

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
        // Whether there is a route is another question.
        for (host, address) in [("169.254.169.254", "169.254.169.254"), ("[fe80::1]", "fe80::1")] {
            assert_eq!(Lookup::System.find(host).await.unwrap().addresses, [address.parse::<IpAddr>().unwrap()]);
        }
    }
}
