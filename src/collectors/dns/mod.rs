//! DNS names: what every resolver answers, whether they agree, and whether the answer is the one
//! that the estate expects.
//!
//! Each look asks every resolver afresh, without a cache and without search domains. A wildcard is
//! asked with a label that no cache has seen. What stands behind a proxying CDN is reported as
//! unknown, since its addresses prove nothing about the origin.

mod config;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType as Hickory};
use ipnet::IpNet;
use tokio::time::Instant;

pub use config::{Config, Expect, LoadBalancer, Name, RecordType, Resolver};

use super::kubernetes;
use crate::cause::Cause as _;
use crate::driver::{Form, Poll, Task};
use crate::metric::{Family, Gauge, Sample, StateSet, Unit, gauge, state_set};
use crate::net;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, Observation, Snapshot, Source};

/// The `collector` label.
pub const NAME: &str = "dns";

/// Networks of Cloudflare's proxy, as published at <https://www.cloudflare.com/ips/>.
const CLOUDFLARE: [&str; 22] = [
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

const LABELS: [&str; 2] = ["target", "resolver"];
const TYPED: [&str; 3] = ["target", "resolver", "record_type"];

static SUCCESS: Gauge<2> =
    gauge("readiness_dns_success", Unit::Number, &LABELS, "Whether a resolver answered with at least one address and without an error for any record type.");
static LOOKUP: StateSet<3> = state_set(
    "readiness_dns_lookup_state",
    &["answered", "nodata", "nxdomain", "servfail", "refused", "timeout", "error"],
    &TYPED,
    "How the last question to a resolver ended.",
);
static ANSWERS: Gauge<3> = gauge("readiness_dns_answers", Unit::Number, &TYPED, "Address records in the last answer of a resolver.");
static TTL: Gauge<3> =
    gauge("readiness_dns_ttl_seconds", Unit::Seconds, &TYPED, "Lowest time to live in the last answer of a resolver, its CNAME chain included.");
static CHAIN: Gauge<2> = gauge("readiness_dns_cname_hops", Unit::Number, &LABELS, "Length of the CNAME chain in the last answer of a resolver.");
static DURATION: Gauge<2> = gauge("readiness_dns_lookup_duration_seconds", Unit::Seconds, &LABELS, "Time that a resolver took for all record types of a name.");
static TARGET: StateSet<2> = state_set(
    "readiness_dns_target_state",
    &["match", "mismatch", "unknown"],
    &LABELS,
    "Whether a name resolves to what the configuration expects; unknown behind a proxy, without an answer, or while the expected load balancer cannot be seen.",
);
static PROXIED: Gauge<2> = gauge("readiness_dns_proxied", Unit::Number, &LABELS, "Whether an answer lies in the networks of a proxy, which hides the origin.");
static ORIGIN: StateSet<2> = state_set(
    "readiness_dns_record_state",
    &["own", "wildcard", "unknown"],
    &LABELS,
    "Whether a name has records of its own, or answers just like a random neighbour and thus from the wildcard above it.",
);
static AGREE: Gauge<1> = gauge(
    "readiness_dns_resolvers_agree",
    Unit::Number,
    &["target"],
    "Whether all resolvers answer alike; disagreement counts once it outlives the longest time to live seen.",
);

/// Families of this collector.
pub static FAMILIES: &[&Family] = &[&SUCCESS.0, &LOOKUP.0, &ANSWERS.0, &TTL.0, &CHAIN.0, &DURATION.0, &TARGET.0, &PROXIED.0, &ORIGIN.0, &AGREE.0];

/// One task per name.
pub fn tasks(config: &Config) -> Result<Vec<Task>, Message> {
    let broken = |resolver: &str, why: Message| say!("dns resolver {}: {}", named(resolver), why);
    let mut resolvers = Vec::new();
    for resolver in &config.resolvers {
        let address = resolver.address.parse().map_err(|_| broken(&resolver.name, say!("must be an IP address with a port")))?;
        let built = net::resolver_at(address, config.timeout.0).map_err(|error| broken(&resolver.name, error.words()))?;
        resolvers.push((resolver.name.clone(), built));
    }
    if config.system_resolver {
        let built = net::system_resolver(config.timeout.0).map_err(|error| broken("system", error.words()))?;
        resolvers.push(("system".to_owned(), built));
    }
    let networks: Vec<&str> = config.proxied_networks.as_ref().map_or_else(|| CLOUDFLARE.to_vec(), |own| own.iter().map(String::as_str).collect());
    let proxied: Vec<IpNet> = networks.iter().filter_map(|network| network.parse().ok()).collect();
    Ok(config.names.iter().map(|name| task(config, name, &resolvers, &proxied)).collect())
}

fn task(config: &Config, name: &Name, resolvers: &[(String, TokioResolver)], proxied: &[IpNet]) -> Task {
    let mut emits: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
    if name.expect.is_none() {
        emits.retain(|family| *family != TARGET.0.name);
    }
    if name.name.starts_with("*.") {
        emits.retain(|family| *family != ORIGIN.0.name);
    }
    if resolvers.len() < 2 {
        emits.retain(|family| *family != AGREE.0.name);
    }
    let waits = name.expect.as_ref().is_some_and(|expect| expect.load_balancer.is_some());
    Task {
        source: Source {
            collector: NAME,
            name: name.name.clone(),
            identity: [("target", name.name.as_str())].into(),
            covers: Vec::new(),
            emits,
            off: Arc::default(),
            reads: if waits { &[kubernetes::NAME] } else { &[] },
            interval: config.interval.0,
            keep: config.interval.0 * 3,
        },
        fingerprint: format!(
            "{name:?} {:?} {:?} {:?} {:?} {}",
            config.interval, config.timeout, config.resolvers, config.proxied_networks, config.system_resolver
        ),
        // Two rounds: the name, and what it is compared with.
        timeout: config.timeout.0 * 2 + Duration::from_secs(1),
        form: Form::Poll(Box::new(DnsCollector {
            name: name.clone(),
            resolvers: resolvers.to_vec(),
            proxied: proxied.to_vec(),
            timeout: config.timeout.0,
            disagreeing: None,
        })),
    }
}

struct DnsCollector {
    name: Name,
    resolvers: Vec<(String, TokioResolver)>,
    proxied: Vec<IpNet>,
    timeout: Duration,
    disagreeing: Option<Instant>,
}

/// One answer to one question.
#[derive(Debug, Clone)]
struct Answer {
    state: &'static str,
    addresses: BTreeSet<IpAddr>,
    chain: Vec<String>,
    ttl: Option<u32>,
}

/// All answers of one resolver about one name.
#[derive(Debug, Clone)]
struct View {
    typed: Vec<(RecordType, Answer)>,
    took: Duration,
}

impl View {
    fn addresses(&self) -> BTreeSet<IpAddr> {
        self.typed.iter().flat_map(|(_, answer)| answer.addresses.iter().copied()).collect()
    }

    fn chain(&self) -> &[String] {
        self.typed.iter().map(|(_, answer)| answer.chain.as_slice()).max_by_key(|chain| chain.len()).unwrap_or_default()
    }

    fn good(&self) -> bool {
        let any = self.typed.iter().any(|(_, answer)| answer.state == "answered");
        any && self.typed.iter().all(|(_, answer)| matches!(answer.state, "answered" | "nodata" | "nxdomain"))
    }

    /// A definite answer, be it that there is no such name.
    fn definite(&self) -> bool {
        self.typed.iter().all(|(_, answer)| matches!(answer.state, "answered" | "nodata" | "nxdomain"))
    }

    /// For people: the addresses, or why there are none.
    fn words(&self) -> Message {
        let addresses = self.addresses();
        if addresses.is_empty() {
            return Message::joined(self.typed.iter().map(|(kind, answer)| say!("{} {}", kind.as_str(), answer.state)), ", ");
        }
        let list = listed(&addresses);
        self.chain().last().map_or_else(|| list.clone(), |last| say!("{} = {}", named(last), list))
    }

    /// NLBs answer with one address per zone in changing order, so overlap is agreement.
    fn agrees(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.addresses(), other.addresses());
        let same_end = self.chain().last().is_some_and(|last| other.chain().last() == Some(last));
        same_end || !mine.is_disjoint(&theirs) || (mine.is_empty() && theirs.is_empty())
    }
}

impl Poll for DnsCollector {
    fn look<'a>(&'a mut self, seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        async {
            let this = &*self;
            let wildcard = this.name.name.strip_prefix("*.");
            let asked = wildcard.map_or_else(|| this.name.name.clone(), |parent| format!("{}.{parent}", net::random_label()));
            let parent = this.name.name.split_once('.').map_or("", |(_, parent)| parent);
            // A neighbour that nobody created answers only if there is a wildcard.
            let neighbour = format!("{}.{parent}", net::random_label());
            let expected = this.expected(seen);
            let views = join_all(this.resolvers.iter().map(|(label, resolver)| {
                let (asked, neighbour, expected) = (&asked, &neighbour, &expected);
                async move {
                    let own = this.ask(resolver, asked);
                    let other = async move { if wildcard.is_none() { Some(this.ask(resolver, neighbour).await) } else { None } };
                    let goal = this.goal(resolver, expected.as_ref());
                    let (own, other, goal) = futures::join!(own, other, goal);
                    (label.as_str(), own, other, goal)
                }
            }))
            .await;
            let mut samples = Vec::new();
            for (label, view, neighbour, goal) in &views {
                this.view_samples(label, view, neighbour.as_ref(), goal.as_ref(), &mut samples);
            }
            let (name, views): (String, Vec<View>) = (self.name.name.clone(), views.into_iter().map(|(_, view, ..)| view).collect());
            if let Some((agree, words)) = self.agreement(&views) {
                samples.push(AGREE.sample([name.as_str()], f64::from(u8::from(agree))).with_detail(words));
            }
            let questions = self.resolvers.len() * self.name.record_types.len();
            Ok(Observation::new(samples, self.resolvers.len(), questions as u64))
        }
        .boxed()
    }
}

/// What the answer is compared with.
enum Expected {
    Addresses(BTreeSet<IpAddr>),
    Names(Vec<String>),
    Unseen(Message),
}

/// What the answer is compared with, resolved by one resolver.
struct Goal {
    words: Message,
    names: Vec<String>,
    addresses: BTreeSet<IpAddr>,
    unseen: bool,
}

impl DnsCollector {
    fn expected(&self, seen: &Snapshot) -> Option<Expected> {
        let expect = self.name.expect.as_ref()?;
        if let Some(name) = &expect.canonical_name {
            return Some(Expected::Names(vec![name.clone()]));
        }
        let Some(LoadBalancer { cluster, namespace, service }) = &expect.load_balancer else {
            return Some(Expected::Addresses(expect.addresses.iter().filter_map(|address| address.parse().ok()).collect()));
        };
        let found = kubernetes::load_balancers(seen, cluster, namespace, service);
        if found.is_empty() {
            return Some(Expected::Unseen(say!("no load balancer of {}/{} in {} can be seen", named(namespace), named(service), named(cluster))));
        }
        let addresses: BTreeSet<IpAddr> = found.iter().filter_map(|address| address.parse().ok()).collect();
        Some(if addresses.len() == found.len() { Expected::Addresses(addresses) } else { Expected::Names(found) })
    }

    async fn goal(&self, resolver: &TokioResolver, expected: Option<&Expected>) -> Option<Goal> {
        match expected? {
            Expected::Unseen(why) => Some(Goal { words: why.clone(), names: Vec::new(), addresses: BTreeSet::new(), unseen: true }),
            Expected::Addresses(addresses) => Some(Goal { words: listed(addresses), names: Vec::new(), addresses: addresses.clone(), unseen: false }),
            Expected::Names(names) => {
                let views = join_all(names.iter().map(|name| self.ask(resolver, name))).await;
                let words = names.iter().zip(&views).map(|(name, view)| say!("{} = {}", named(name), view.words()));
                Some(Goal {
                    words: Message::joined(words, "; "),
                    names: names.iter().map(|name| normal(name)).collect(),
                    addresses: views.iter().flat_map(View::addresses).collect(),
                    unseen: false,
                })
            }
        }
    }

    async fn ask(&self, resolver: &TokioResolver, name: &str) -> View {
        let started = Instant::now();
        let name = format!("{}.", name.trim_end_matches('.'));
        let typed = join_all(self.name.record_types.iter().map(|kind| {
            let name = name.clone();
            async move { (*kind, question(resolver, name, *kind, self.timeout).await) }
        }))
        .await;
        View { typed, took: started.elapsed() }
    }

    fn view_samples(&self, resolver: &str, view: &View, neighbour: Option<&View>, goal: Option<&Goal>, samples: &mut Vec<Sample>) {
        let labels = [self.name.name.as_str(), resolver];
        let words = view.words();
        let hint = self.wildcard_hint(view);
        samples.push(SUCCESS.sample(labels, f64::from(u8::from(view.good()))).with_detail(say!("{}{}", words, hint)));
        for (kind, answer) in &view.typed {
            let labels = [labels[0], labels[1], kind.as_str()];
            samples.push(LOOKUP.sample(labels, answer.state));
            samples.push(ANSWERS.sample(labels, answer.addresses.len() as f64));
            if let Some(ttl) = answer.ttl {
                samples.push(TTL.sample(labels, f64::from(ttl)));
            }
        }
        samples.push(CHAIN.sample(labels, view.chain().len() as f64));
        samples.push(DURATION.sample(labels, view.took.as_secs_f64()));
        let proxied = view.addresses().iter().any(|address| self.proxied.iter().any(|network| network.contains(address)));
        samples.push(PROXIED.sample(labels, f64::from(u8::from(proxied))));
        if let Some(goal) = goal {
            let (state, why) = compare(view, goal, proxied);
            samples.push(TARGET.sample(labels, state).with_detail(why));
        }
        if let Some(neighbour) = neighbour {
            let state = match (view.definite(), neighbour.definite()) {
                (true, true) if !neighbour.addresses().is_empty() && !view.addresses().is_empty() && view.addresses() == neighbour.addresses() => "wildcard",
                (true, true) => "own",
                _ => "unknown",
            };
            samples.push(ORIGIN.sample(labels, state).with_detail(say!("{}; a random neighbour answers {}", words, neighbour.words())));
        }
    }

    /// RFC 4592, section 3.3.1: the closest existing name decides which wildcard applies.
    fn wildcard_hint(&self, view: &View) -> Message {
        let absent = view.typed.iter().all(|(_, answer)| answer.state == "nxdomain");
        match self.name.name.strip_prefix("*.") {
            Some(parent) if absent => say!("; a wildcard above does not cover this one, because {} exists", named(parent)),
            _ => say!(""),
        }
    }

    fn agreement(&mut self, views: &[View]) -> Option<(bool, Message)> {
        let definite: Vec<&View> = views.iter().filter(|view| view.definite()).collect();
        if views.len() < 2 || definite.len() < 2 {
            self.disagreeing = None;
            return None;
        }
        let words = self.resolvers.iter().zip(views).map(|((label, _), view)| say!("{}: {}", named(label), view.words()));
        let words = Message::joined(words, "; ");
        if definite.iter().all(|view| view.agrees(definite[0])) {
            self.disagreeing = None;
            return Some((true, words));
        }
        let since = *self.disagreeing.get_or_insert_with(Instant::now);
        let longest = definite.iter().flat_map(|view| &view.typed).filter_map(|(_, answer)| answer.ttl).max().unwrap_or(0);
        let tolerated = since.elapsed() <= Duration::from_secs(u64::from(longest));
        Some((tolerated, if tolerated { say!("{}; tolerated for the time to live of {} s", words, longest) } else { words }))
    }
}

fn compare(view: &View, goal: &Goal, proxied: bool) -> (&'static str, Message) {
    let why = if goal.unseen { say!("answers {}, but {}", view.words(), goal.words) } else { say!("answers {}; expected {}", view.words(), goal.words) };
    let addresses = view.addresses();
    let state = if goal.unseen || !view.definite() {
        "unknown"
    } else if view.chain().iter().any(|hop| goal.names.contains(&normal(hop))) {
        "match"
    } else if proxied {
        "unknown"
    } else if addresses.is_empty() {
        "mismatch"
    } else if goal.addresses.is_empty() {
        // The expected name itself does not resolve here, so nothing can be compared.
        "unknown"
    } else if addresses.is_subset(&goal.addresses) {
        "match"
    } else {
        "mismatch"
    };
    let note = if proxied && state == "unknown" { "; behind a proxy, which hides the origin" } else { "" };
    (state, say!("{}{}", why, note))
}

fn listed(addresses: &BTreeSet<IpAddr>) -> Message {
    Message::joined(addresses.iter().map(|address| say!("{}", *address)), ", ")
}

/// Lower case, without the final dot and the prefix that AWS adds for dual-stack names.
fn normal(name: &str) -> String {
    let name = name.trim_end_matches('.').to_lowercase();
    name.strip_prefix("dualstack.").unwrap_or(&name).to_owned()
}

async fn question(resolver: &TokioResolver, name: String, kind: RecordType, timeout: Duration) -> Answer {
    let record_type = match kind {
        RecordType::A => Hickory::A,
        RecordType::Aaaa => Hickory::AAAA,
    };
    let none = |state| Answer { state, addresses: BTreeSet::new(), chain: Vec::new(), ttl: None };
    let found = match tokio::time::timeout(timeout, resolver.lookup(name, record_type)).await {
        Err(_) => return none("timeout"),
        Ok(Err(error)) => return none(failure(&error)),
        Ok(Ok(found)) => found,
    };
    let mut answer = none("nodata");
    for record in found.answers() {
        match &record.data {
            RData::A(address) => answer.addresses.insert(IpAddr::V4(address.0)),
            RData::AAAA(address) => answer.addresses.insert(IpAddr::V6(address.0)),
            RData::CNAME(target) => {
                answer.chain.push(normal(&target.0.to_string()));
                true
            }
            _ => continue,
        };
        answer.ttl = Some(answer.ttl.map_or(record.ttl, |ttl| ttl.min(record.ttl)));
    }
    if !answer.addresses.is_empty() {
        answer.state = "answered";
    }
    answer
}

fn failure(error: &NetError) -> &'static str {
    let by_code = |code: &ResponseCode| match code {
        ResponseCode::NoError => "nodata",
        ResponseCode::NXDomain => "nxdomain",
        ResponseCode::ServFail => "servfail",
        ResponseCode::Refused => "refused",
        _ => "error",
    };
    match error {
        NetError::Timeout => "timeout",
        NetError::Dns(DnsError::NoRecordsFound(none)) => by_code(&none.response_code),
        NetError::Dns(DnsError::ResponseCode(code)) => by_code(code),
        _ => "error",
    }
}

#[cfg(test)]
mod tests;
