//! How names become addresses: the system's way, or a name server that is asked for each record type
//! by itself, so that an answer of which a half failed is not taken for a whole one.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use hickory_resolver::proto::rr::RecordType;
use tokio::sync::Semaphore;

use super::place::{unroutable, unusable};
use super::resolver::{Outcome, Resolver, reconcile};
use crate::cause::{Cause as _, Unasked};
use crate::files;
use crate::made::Made;
use crate::say;
use crate::say::{Message, named};

/// No target is asked at more addresses than this, whatever its name resolves to.
pub const MAX_ADDRESSES: usize = 16;

/// Stands for the address of a name that has none, and reads well behind "at" in evidence and alerts.
pub const NOWHERE: &str = "any address";

/// Names that the system's resolver looks up at once.
const LOOKUPS: usize = 64;

/// What the system's name servers get for a question that only completes what the system itself said.
const COMPLETION: Duration = Duration::from_secs(1);

/// The families of addresses, and the record types that hold them.
const FAMILIES: [(&str, RecordType); 2] = [("ipv4", RecordType::A), ("ipv6", RecordType::AAAA)];

/// The addresses of a name, and what of it was not seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In a stable order, at most [`MAX_ADDRESSES`].
    pub addresses: Vec<IpAddr>,
    /// What else there is or may be.
    pub unseen: Vec<Unseen>,
}

/// Addresses that are not asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Unseen {
    /// `ipv4` or `ipv6`.
    pub family: &'static str,
    /// Stands where an address would stand.
    pub place: &'static str,
    /// Why they are not.
    pub why: Message,
}

/// Why there is no address to ask.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The name has none, or whoever should know did not answer.
    #[error("{0}")]
    Failed(Message),
    /// This host has a route neither to whoever should know nor to where the name leads.
    #[error(transparent)]
    Unasked(Unasked),
}

/// How names of targets become addresses.
#[derive(Clone)]
pub enum Lookup {
    /// The way every other program on this host does it, hosts file included.
    System,
    /// One name server, without a cache.
    Server(Box<Resolver>),
}

impl Lookup {
    /// The system's way, or the given name server; `timeout` is that of the whole look, of which names take two
    /// thirds at most, so that a half of an answer that never comes leaves time to ask the addresses of the other.
    pub fn new(server: Option<&str>, timeout: Duration) -> Result<Self, Message> {
        let Some(server) = server else { return Ok(Self::System) };
        let address = server.parse().map_err(|_| say!("resolver: must be an IP address with a port"))?;
        let resolver = Resolver::at(address, timeout * 2 / 3).map_err(|error| say!("resolver {}: {}", address, error.words()))?;
        Ok(Self::Server(Box::new(resolver)))
    }

    /// The same, to be compared with another.
    pub fn made(server: Option<&str>, timeout: Duration) -> Result<Made<Self>, Message> {
        Made::try_of((server.map(str::to_owned), timeout), |(server, timeout)| Self::new(server.as_deref(), *timeout))
    }

    /// Some addresses of a host, for who is content with any of them: those that this host has a route to, since whoever
    /// tries several tells what the last one said.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let found = self.look_up(host, false).await?.addresses;
        // Which port it is does not matter.
        with_route(host, found, |address| unroutable(SocketAddr::new(address, 443)))
    }

    /// Whether this host's own file leads a name to an address: whoever wrote it there means this machine.
    async fn is_of_this_host(&self, host: &str) -> bool {
        matches!(self, Self::System) && is_in_hosts_file(host.trim_end_matches('.')).await
    }

    /// Every address of a host; none that is [`unusable`], unless the host is one.
    pub async fn find(&self, host: &str) -> Result<Found, Unresolved> {
        self.look_up(host, true).await
    }

    async fn look_up(&self, host: &str, whole: bool) -> Result<Found, Unresolved> {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(Found { addresses: vec![address], unseen: Vec::new() });
        }
        let mut found = match self {
            Self::System => {
                let mut found = Found { addresses: by_system(host).await?, unseen: Vec::new() };
                if whole && let Some(family) = single_family(&found.addresses) {
                    found.unseen.extend(half_of_system(host, family).await);
                }
                found
            }
            Self::Server(resolver) => by_server(resolver, host).await?,
        };
        found.addresses.sort_unstable();
        found.addresses.dedup();
        let useless = found.addresses.iter().find_map(|address| Some((*address, unusable(*address, host)?)));
        if let Some((address, why)) = useless
            && !(address.is_loopback() && self.is_of_this_host(host).await)
        {
            return Err(Unresolved::Failed(say!(
                "resolve {}: it leads to {}, which {}; that is asked only where the configuration holds the address itself",
                named(host),
                address,
                why
            )));
        }
        if found.addresses.is_empty() {
            return Err(Unresolved::Failed(say!("resolve {}: no address", named(host))));
        }
        let rest = found.addresses.split_off(found.addresses.len().min(MAX_ADDRESSES));
        for ((family, _), place) in FAMILIES.into_iter().zip(["more-ipv4", "more-ipv6"]) {
            let more = rest.iter().filter(|address| family_of(**address) == family).count();
            if more > 0 {
                let why = say!("{} more {} not probed, beyond the {} that are", more, if more == 1 { "address is" } else { "addresses are" }, MAX_ADDRESSES);
                found.unseen.push(Unseen { family, place, why });
            }
        }
        Ok(found)
    }
}

/// Those of the addresses of a host that can be asked from here.
fn with_route(host: &str, mut found: Vec<IpAddr>, lacks_route: impl Fn(IpAddr) -> Option<Message>) -> Result<Vec<IpAddr>, Unresolved> {
    let mut last = None;
    found.retain(|address| {
        let why = lacks_route(*address);
        let is_routed = why.is_none();
        last = why.or_else(|| last.take());
        is_routed
    });
    match last.filter(|_| found.is_empty()) {
        Some(why) => Err(Unresolved::Unasked(Unasked(say!("{}: {}", named(host), why)))),
        None => Ok(found),
    }
}

async fn by_system(host: &str) -> Result<Vec<IpAddr>, Unresolved> {
    // Each is a thread that waits for the system's resolver, and others need threads, too.
    static SLOTS: Semaphore = Semaphore::const_new(LOOKUPS);
    let _slot = SLOTS.acquire().await;
    let found = tokio::net::lookup_host((host, 0)).await;
    let failed = |_| Unresolved::Failed(say!("resolve {}: the system's resolver finds no address", named(host)));
    Ok(found.map_err(failed)?.map(|address| address.ip()).collect())
}

async fn by_server(resolver: &Resolver, host: &str) -> Result<Found, Unresolved> {
    let name = format!("{}.", host.trim_end_matches('.'));
    let mut answers = futures::future::join_all(FAMILIES.map(|(_, kind)| resolver.ask(&name, kind))).await;
    reconcile(answers.iter_mut());
    let mut found = Found::default();
    let mut failed = None;
    let is_unasked = answers.iter().all(|answer| answer.state == Outcome::Unasked);
    for ((family, _), answer) in FAMILIES.into_iter().zip(answers) {
        found.addresses.extend(&answer.addresses);
        if !answer.is_definite() {
            found.unseen.push(half(family, answer.why.as_ref()));
            failed = answer.why;
        } else if answer.addresses.is_empty() {
            failed = failed.or(answer.why);
        }
    }
    if found.addresses.is_empty() {
        let why = say!("resolve {}: {}", named(host), failed.unwrap_or_else(|| say!("it has no address")));
        return Err(if is_unasked { Unresolved::Unasked(Unasked(why)) } else { Unresolved::Failed(why) });
    }
    Ok(found)
}

fn half(family: &'static str, why: Option<&Message>) -> Unseen {
    let why = why.cloned().unwrap_or_else(|| say!("no answer"));
    let (place, words) = if family == "ipv4" { ("unknown-ipv4", "IPv4 addresses (A)") } else { ("unknown-ipv6", "IPv6 addresses (AAAA)") };
    Unseen { family, place, why: say!("whether it has {} is not known: {}", words, why) }
}

/// The family of all addresses, if they have one.
fn single_family(addresses: &[IpAddr]) -> Option<&'static str> {
    let first = family_of(*addresses.first()?);
    addresses.iter().all(|address| family_of(*address) == first).then_some(first)
}

/// The system takes an answer of which one half failed for a whole one, so its name servers are asked
/// for the half that it has nothing of. What they have of it and the system does not want is no loss:
/// no other program on this host would go there.
async fn half_of_system(host: &str, seen: &str) -> Option<Unseen> {
    static SERVERS: OnceLock<Resolver> = OnceLock::new();
    let host = host.trim_end_matches('.');
    if host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost") || is_in_hosts_file(host).await {
        return None;
    }
    let servers = if let Some(servers) = SERVERS.get() {
        servers
    } else {
        let found = Resolver::system(COMPLETION).ok()?;
        SERVERS.get_or_init(|| found)
    };
    let (family, kind) = FAMILIES.into_iter().find(|(family, _)| *family != seen)?;
    let answer = servers.ask(host, kind).await;
    (!answer.is_definite()).then(|| half(family, answer.why.as_ref()))
}

/// Whether the system knows the name from its own file and never asks a name server for it.
async fn is_in_hosts_file(host: &str) -> bool {
    let Ok(content) = files::read(Path::new("/etc/hosts"), files::LARGEST).await else { return false };
    let text = String::from_utf8_lossy(&content.bytes);
    has_host(&text, host)
}

/// Format: hosts(5)
fn has_host(hosts: &str, host: &str) -> bool {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(|line| line.split_ascii_whitespace().skip(1)).any(|name| name.trim_end_matches('.').eq_ignore_ascii_case(host))
}

/// `ipv4` or `ipv6`.
pub(super) fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}

/// A label that no cache has seen.
pub fn random_label() -> String {
    format!("r-{:012x}", fastrand::u64(..) & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests;
