//! One question to one name server, or to the system's: how it ended, and what it brought.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup as Records;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::time::Instant;

use super::place::unroutable;
use crate::cause::Cause as _;
use crate::files;
use crate::metric::states;
use crate::say;
use crate::say::Message;

/// Aliases that are followed within one answer; resolvers give up earlier.
const MOST_HOPS: usize = 32;

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
    /// Where the servers are from, if they may change.
    followed: Option<Arc<Followed>>,
}

/// This host's own configuration, which whoever joins another network writes anew.
const SYSTEM: &str = "/etc/resolv.conf";

/// Larger than any such file.
const LARGEST: u64 = 1 << 20;

/// Time between two looks at it.
const AGAIN: Duration = Duration::from_secs(5);

/// A file of name servers, and what it said last.
struct Followed {
    file: PathBuf,
    timeout: Duration,
    last: Mutex<Said>,
}

struct Said {
    looked: Instant,
    text: Vec<u8>,
    /// One that follows nothing itself.
    servers: Resolver,
}

impl Followed {
    fn last(&self) -> MutexGuard<'_, Said> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The servers of now. A file that cannot be used leaves those that were.
    async fn servers(&self) -> Resolver {
        {
            let mut last = self.last();
            if last.looked.elapsed() < AGAIN {
                return last.servers.clone();
            }
            last.looked = Instant::now();
        }
        let read = files::read(&self.file, LARGEST).await;
        let mut last = self.last();
        if let Ok(content) = read
            && *content.bytes != last.text
        {
            last.text = content.bytes.to_vec();
            match Resolver::said(&last.text, self.timeout) {
                Ok(servers) => last.servers = servers,
                Err(error) => tracing::warn!("read the name servers of this host, keeping those that were: {}", error.words()),
            }
        }
        last.servers.clone()
    }
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

    /// One that asks those of the host's own configuration, as it is at each question.
    pub fn system(timeout: Duration) -> Result<Self, NetError> {
        Self::following(Path::new(SYSTEM), timeout)
    }

    fn following(file: &Path, timeout: Duration) -> Result<Self, NetError> {
        let text = std::fs::read(file)?;
        let servers = Self::said(&text, timeout)?;
        let last = Mutex::new(Said { looked: Instant::now(), text, servers: servers.clone() });
        Ok(Self { followed: Some(Arc::new(Followed { file: file.to_owned(), timeout, last })), ..servers })
    }

    /// Format: resolv.conf(5)
    fn said(text: &[u8], timeout: Duration) -> Result<Self, NetError> {
        let (config, options) = hickory_resolver::system_conf::parse_resolv_conf(text)?;
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
        Ok(Self { extended: build(true)?, plain: build(false)?, servers, half, followed: None })
    }

    /// Asks one question, and once more without EDNS when the first brought nothing: servers that do
    /// not know it answer FORMERR or NOTIMP, some of them so briefly that nobody takes it for an answer
    /// (RFC 6891, section 7). A lost packet gets its second chance by the same rule.
    pub async fn ask(&self, name: &str, kind: RecordType) -> Answer {
        match &self.followed {
            Some(followed) => followed.servers().await.ask_these(name, kind).await,
            None => self.ask_these(name, kind).await,
        }
    }

    async fn ask_these(&self, name: &str, kind: RecordType) -> Answer {
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
    pub(super) fn unasked(&self, error: &NetError, lacks_route: impl Fn(SocketAddr) -> Option<Message>) -> Option<Answer> {
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

#[cfg(test)]
mod tests;
