//! How names become addresses: the system's way, or a name server that is asked for each record type
//! by itself, so that an answer of which a half failed is not taken for a whole one.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup as Records;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::sync::Semaphore;

use super::{is_link_local, unroutable, unusable};
use crate::cause::{Cause as _, Unasked};
use crate::files;
use crate::made::Made;
use crate::metric::states;
use crate::say;
use crate::say::{Message, named};

/// No target is asked at more addresses than this, whatever its name resolves to.
pub const MAX_ADDRESSES: usize = 16;

/// Stands for the address of a name that has none, and reads well behind "at" in evidence and alerts.
pub const NOWHERE: &str = "any address";

/// Names that the system's resolver looks up at once.
const LOOKUPS: usize = 64;

/// Aliases that are followed within one answer; resolvers give up earlier.
const MOST_HOPS: usize = 32;

/// What the system's name servers get for a question that only completes what the system itself said.
const COMPLETION: Duration = Duration::from_secs(1);

/// The families of addresses, and the record types that hold them.
const FAMILIES: [(&str, RecordType); 2] = [("ipv4", RecordType::A), ("ipv6", RecordType::AAAA)];

states! {
    /// How a question about a name ended.
    pub enum Outcome {
        /// It brought addresses.
        Answered => "answered",
        /// The name has none of this type.
        Nodata => "nodata",
        /// There is no such name.
        Nxdomain => "nxdomain",
        /// The name server fails.
        Servfail => "servfail",
        /// The name server refuses to answer.
        Refused => "refused",
        /// No answer in time.
        Timeout => "timeout",
        /// No answer that can be read.
        Error => "error",
        /// Nobody asked, as this host has no route to the name server.
        Unasked => "unasked",
    }
}

/// One answer to one question.
#[derive(Debug, Clone)]
pub struct Answer {
    /// How the question ended.
    pub state: Outcome,
    /// The addresses of the name that was asked for, and of no other.
    pub addresses: BTreeSet<IpAddr>,
    /// The names that it is an alias of, in order, in the form of [`normal`].
    pub chain: Vec<String>,
    /// The lowest time to live of all of that, in seconds.
    pub ttl: Option<u32>,
    /// Why there is no answer.
    pub why: Option<Message>,
}

impl Answer {
    fn none(state: Outcome, why: Option<Message>) -> Self {
        Self { state, addresses: BTreeSet::new(), chain: Vec::new(), ttl: None, why }
    }

    fn failed(error: &NetError) -> Self {
        let by_code = |code: &ResponseCode| match code {
            ResponseCode::NoError => Outcome::Nodata,
            ResponseCode::NXDomain => Outcome::Nxdomain,
            ResponseCode::ServFail => Outcome::Servfail,
            ResponseCode::Refused => Outcome::Refused,
            _ => Outcome::Error,
        };
        let state = match error {
            NetError::Timeout => Outcome::Timeout,
            // RFC 2308, section 2.2: name servers without an SOA are a referral, and no answer.
            NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NoError && none.soa.is_none() && none.ns.is_some() => {
                return Self::none(Outcome::Error, Some(say!("it refers to other name servers, and does not answer itself")));
            }
            NetError::Dns(DnsError::NoRecordsFound(none)) => by_code(&none.response_code),
            NetError::Dns(DnsError::ResponseCode(code)) => by_code(code),
            _ => Outcome::Error,
        };
        Self::none(state, Some(error.words()))
    }

    /// What the records say of the name that was asked for. A server may add records of other names,
    /// which are none of its business.
    fn of(records: &Records) -> Self {
        let mut answer = Self::none(Outcome::Nodata, None);
        let mut owner = records.query().name();
        let of_owner = |record: &&Record, owner: &Name| record.name == *owner;
        for _ in 0..MOST_HOPS {
            let alias = records.answers().iter().filter(|record| of_owner(record, owner)).find_map(|record| match &record.data {
                RData::CNAME(target) => Some((&target.0, record.ttl)),
                _ => None,
            });
            let Some((target, ttl)) = alias else { break };
            answer.chain.push(normal(&target.to_string()));
            answer.live(ttl);
            owner = target;
        }
        for record in records.answers().iter().filter(|record| of_owner(record, owner)) {
            let address = match &record.data {
                RData::A(address) => IpAddr::V4(address.0),
                RData::AAAA(address) => IpAddr::V6(address.0),
                _ => continue,
            };
            answer.addresses.insert(address);
            answer.live(record.ttl);
        }
        if !answer.addresses.is_empty() {
            answer.state = Outcome::Answered;
        }
        answer
    }

    fn live(&mut self, ttl: u32) {
        self.ttl = Some(self.ttl.map_or(ttl, |lowest| lowest.min(ttl)));
    }

    /// Whether it says something for certain, be it that there is nothing.
    pub fn is_definite(&self) -> bool {
        matches!(self.state, Outcome::Answered | Outcome::Nodata | Outcome::Nxdomain)
    }
}

/// Takes back what contradicts itself: where there are addresses of one type, no type can bring that there is no such
/// name (RFC 8020, section 2), and a resolver that remembers that denies the addresses as well.
pub fn reconcile<'a>(answers: impl Iterator<Item = &'a mut Answer>) {
    let mut answers: Vec<_> = answers.collect();
    if answers.iter().any(|answer| answer.state == Outcome::Answered) {
        for answer in answers.iter_mut().filter(|answer| answer.state == Outcome::Nxdomain) {
            answer.state = Outcome::Error;
            answer.why = Some(say!("the name server says that there is no such name (NXDOMAIN), and has addresses of it all the same"));
        }
    }
}

/// Lower case, without the final dot and the prefix that AWS adds for dual-stack names.
pub fn normal(name: &str) -> String {
    let name = name.trim_end_matches('.').to_lowercase();
    name.strip_prefix("dualstack.").unwrap_or(&name).to_owned()
}

/// Asks name servers, over TCP when an answer is truncated, and remembers nothing: a monitor must see
/// the live answer.
#[derive(Clone)]
pub struct Resolver {
    extended: TokioResolver,
    /// The same servers, asked as before 1999.
    plain: TokioResolver,
    servers: Vec<SocketAddr>,
    half: Duration,
}

impl Resolver {
    /// One that asks one server.
    pub fn at(server: SocketAddr, timeout: Duration) -> Result<Self, NetError> {
        // The structs are non-exhaustive, so they are built and then adjusted.
        let mut udp = ConnectionConfig::udp();
        udp.port = server.port();
        let mut tcp = ConnectionConfig::tcp();
        tcp.port = server.port();
        let config = ResolverConfig::from_parts(None, vec![], vec![NameServerConfig::new(server.ip(), true, vec![udp, tcp])]);
        Self::of(timeout, &config, &ResolverOpts::default())
    }

    /// One that asks those of the host's own configuration.
    pub fn system(timeout: Duration) -> Result<Self, NetError> {
        let (config, options) = hickory_resolver::system_conf::read_system_conf()?;
        Self::of(timeout, &config, &options)
    }

    fn of(timeout: Duration, config: &ResolverConfig, options: &ResolverOpts) -> Result<Self, NetError> {
        let half = timeout / 2;
        let build = |extended: bool| {
            let mut builder = TokioResolver::builder_with_config(config.clone(), TokioRuntimeProvider::default()).with_options(options.clone());
            live(builder.options_mut(), half, extended);
            builder.build()
        };
        let port = |server: &NameServerConfig| server.connections.first().map_or(53, |connection| connection.port);
        let servers = config.name_servers().iter().map(|server| SocketAddr::new(server.ip, port(server))).collect();
        Ok(Self { extended: build(true)?, plain: build(false)?, servers, half })
    }

    /// Asks one question, and once more without EDNS when the first brought nothing: servers that do
    /// not know it answer FORMERR or NOTIMP, some of them so briefly that nobody takes it for an answer
    /// (RFC 6891, section 7). A lost packet gets its second chance by the same rule.
    pub async fn ask(&self, name: &str, kind: RecordType) -> Answer {
        let first = self.once(&self.extended, name, kind).await;
        let found = match first {
            Err(error) if may_lack_extensions(&error) => self.once(&self.plain, name, kind).await,
            settled => settled,
        };
        match found {
            Ok(records) => Answer::of(&records),
            Err(error) => self.unasked(&error, unroutable).unwrap_or_else(|| Answer::failed(&error)),
        }
    }

    /// A question that reached nobody, where this host has a route to none of the servers.
    fn unasked(&self, error: &NetError, lacks_route: impl Fn(SocketAddr) -> Option<Message>) -> Option<Answer> {
        if matches!(error, NetError::Dns(_) | NetError::Proto(_)) {
            return None;
        }
        let whys: Option<Vec<_>> = self.servers.iter().map(|server| Some(say!("name server {}: {}", server.ip(), lacks_route(*server)?))).collect();
        let why = whys?.into_iter().next()?;
        Some(Answer::none(Outcome::Unasked, Some(why)))
    }

    async fn once(&self, resolver: &TokioResolver, name: &str, kind: RecordType) -> Result<Records, NetError> {
        tokio::time::timeout(self.half, resolver.lookup(name, kind)).await.unwrap_or(Err(NetError::Timeout))
    }
}

fn may_lack_extensions(error: &NetError) -> bool {
    let unknown = |code: &ResponseCode| matches!(code, ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS);
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => unknown(&none.response_code),
        NetError::Dns(DnsError::ResponseCode(code)) => unknown(code),
        _ => true,
    }
}

fn live(options: &mut ResolverOpts, timeout: Duration, extended: bool) {
    options.attempts = 0;
    options.timeout = timeout;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.edns0 = extended;
}

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

    /// Every address of a host; none that [`is_link_local`], unless the host is one.
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
        let useless = found.addresses.iter().find(|address| is_link_local(**address)).and_then(|address| Some((*address, unusable(*address, host)?)));
        if let Some((address, why)) = useless {
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
    static SERVERS: OnceLock<Option<Resolver>> = OnceLock::new();
    let host = host.trim_end_matches('.');
    if host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost") || is_in_hosts_file(host).await {
        return None;
    }
    let servers = SERVERS.get_or_init(|| Resolver::system(COMPLETION).ok()).as_ref()?;
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
pub fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}

/// A label that no cache has seen.
pub fn random_label() -> String {
    format!("r-{:012x}", fastrand::u64(..) & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests;
