//! What every collector that opens a connection shares: name lookup, trust roots, TLS settings.

mod call;
mod chain;
mod each;
mod names;
mod ocsp;
mod place;
mod resolver;
mod roots;
mod trust;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

pub use call::{Call, FRESH, age_of, unanswered, within};
pub use chain::{Verified, client_verified_by};
pub use each::{Answer, Told};
pub use names::{Lookup, MAX_ADDRESSES, NOWHERE, Unresolved, random_label};
pub use ocsp::{Stapled, must_staple, read as read_staple, revoked_words};
pub use place::{is_link_local, stands_for, unroutable, unusable};
pub use resolver::{Answer as DnsAnswer, Outcome as DnsOutcome, Resolver, normal, reconcile};
pub use roots::{certificates_in, certificates_of, check_trust_file, crypto};
pub use trust::{Trust, follow_trust};

use crate::cause::Cause as _;
use crate::room::{self, NoRoom, Overrun};
use crate::say::{Message, Say};

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
    let mut body = room::Answer::new(most, &room::ANSWERS);
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

/// How long a connection waits for the next request of the same look.
const KEPT: Duration = Duration::from_secs(5);

/// A client of an API: it follows no redirect, since whatever a redirect names would be asked with our
/// credentials, or in place of the configured host; and it resolves no name to an address that only
/// this machine can mean.
pub fn client(trust: &Trust) -> Result<reqwest::ClientBuilder, Message> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(trust.client_config()?)
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(SystemNames))
        // A connection that is kept stays with whoever was trusted when it was made.
        .pool_idle_timeout(KEPT)
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[tokio::test]
    async fn an_address_of_the_configuration_is_taken_as_it_is() {
        // Whether there is a route is another question.
        for (host, address) in [("169.254.169.254", "169.254.169.254"), ("[fe80::1]", "fe80::1")] {
            assert_eq!(Lookup::System.find(host).await.unwrap().addresses, [address.parse::<IpAddr>().unwrap()]);
        }
    }
}
