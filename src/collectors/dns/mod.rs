//! DNS names: what every resolver answers, whether they agree, and whether the answer is the one
//! that the estate expects.
//!
//! Each look asks every resolver afresh, without a cache and without search domains. A wildcard is
//! asked with a label that no cache has seen. What stands behind a proxying CDN is reported as
//! unknown, since its addresses prove nothing about the origin.

mod agreement;
pub(super) mod config;
mod origin;
mod view;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use hickory_resolver::proto::rr::RecordType as Hickory;
use ipnet::IpNet;
use tokio::time::Instant;

pub(crate) use config::is_one_name;
pub use config::{Config, Expect, LoadBalancer, Name, RecordType, Resolver};

use self::agreement::{Agreement, Alike};
use self::origin::{Origin, Records};
use self::view::{Comparison, Completeness, Goal, PART, View, compare, listed, places};
use super::kubernetes::{self, ClusterConfig, Permission};
use super::section::{Estate, Section};
use crate::cause::Cause as _;
use crate::driver::{Form, Poll, Task};
use crate::made::Made;
use crate::metric::{Coverage, Family, Gauge, Sample, StateSet, States as _, Unit, gauge, metrics, state_set};
use crate::net::{self, DnsOutcome, Resolver as Asked, normal, unusable};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, Observation, Snapshot, Source};
use crate::value::Problem;
use crate::value::names::Visit;
use crate::value::rules::References;

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

/// Addresses that rotate are asked for until this many answers brought nothing new.
const SETTLED: u32 = 3;
/// How often in all.
const MOST_QUESTIONS: u32 = 12;

/// What a resolver said for each record type.
const WHOLE: Coverage = Coverage::of(ANSWER.0.name, &[Completeness::Complete.as_str()]);
/// An answer that is whole is good or not, and so is none at all; a half may be either.
const SETTLED_ONE: Coverage = Coverage { seen: &[Completeness::Complete.as_str(), Completeness::Failed.as_str()], ..WHOLE };
/// What one record type tells as well.
const ANY: Coverage = Coverage { seen: &[Completeness::Complete.as_str(), Completeness::Partial.as_str()], ..WHOLE };
/// What every look has.
const LOOKED: Coverage = Coverage { seen: Completeness::WORDS, ..WHOLE };
/// A definite answer to one question.
const DEFINITE: Coverage = Coverage::of(LOOKUP.0.name, &[DnsOutcome::Answered.as_str(), DnsOutcome::Nodata.as_str(), DnsOutcome::Nxdomain.as_str()]);

metrics! {
    /// Families of this collector.
    pub FAMILIES;

    static SUCCESS: Gauge<2> = gauge(
        "readiness_dns_success",
        Unit::Flag,
        &LABELS,
        "Whether a resolver answered with addresses that servers can have, and with at least one; absent while it answers for some of the record types and fails for others, and where this program's host has no route to the resolver.",
    )
    .covered_by(SETTLED_ONE.each());
    static ANSWER: StateSet<Completeness, 2> = state_set(
        "readiness_dns_answer_state",
        &LABELS,
        "Whether a resolver gave a definite answer for every record type of a name, for some of them, or for none; unasked where this program's host has no route to it.",
    );
    static LOOKUP: StateSet<DnsOutcome, 3> = state_set(
        "readiness_dns_lookup_state",
        &TYPED,
        "How the last question to a resolver ended.",
    );
    static ANSWERS: Gauge<3> = gauge("readiness_dns_answers", Unit::Number, &TYPED, "Address records of the name in the last definite answer of a resolver.")
        .covered_by(DEFINITE.each());
    static TTL: Gauge<3> =
        gauge("readiness_dns_ttl_seconds", Unit::Seconds, &TYPED, "Lowest time to live in the last answer of a resolver, its CNAME chain included.")
            .covered_by(DEFINITE.each_in(&[DnsOutcome::Answered.as_str()]));
    static CHAIN: Gauge<2> =
        gauge("readiness_dns_cname_hops", Unit::Number, &LABELS, "Length of the CNAME chain in the last answer of a resolver.").covered_by(ANY.each());
    static DURATION: Gauge<2> =
        gauge("readiness_dns_lookup_duration_seconds", Unit::Seconds, &LABELS, "Time that a resolver took for all record types of a name, or until it failed.")
            .covered_by(LOOKED.each());
    static TARGET: StateSet<Comparison, 2> = state_set(
        "readiness_dns_target_state",
        &LABELS,
        "Whether a name resolves to what the configuration expects; unknown behind a proxy, without a whole answer, or while the expected load balancer cannot be seen.",
    )
    .covered_by(LOOKED.each())
    .made_by("`expect` to a name in collectors.dns.names");
    static PROXIED: Gauge<2> =
        gauge("readiness_dns_proxied", Unit::Flag, &LABELS, "Whether an answer lies in the networks of a proxy, which hides the origin.")
            .covered_by(WHOLE.each());
    static ORIGIN: StateSet<Records, 2> = state_set(
        "readiness_dns_record_state",
        &LABELS,
        "Whether a name has records of its own, or answers just like random neighbours and thus from the wildcard above it; unknown while both answer with parts of one pool.",
    )
    .covered_by(LOOKED.each())
    .made_by("a name that is no wildcard to collectors.dns.names");
    static AGREEMENT: StateSet<Alike, 1> = state_set(
        "readiness_dns_agreement_state",
        &["target"],
        "Whether all resolvers answer alike, or each with what the configuration expects; unknown while one of them has no whole answer, while they differ for no longer than the longest time to live seen, and where one alias answers them differently.",
    )
    .covered_by(LOOKED.each())
    .made_by("a second resolver to collectors.dns.resolvers");
}

impl Section for Config {
    const NAME: &'static str = NAME;
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES];

    fn rules(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        self.validate(path, references, problems);
    }

    fn offers<'a>(&'a self, _: &mut References<'a>) {}

    fn names(&mut self, _: &str, _: &mut Visit<'_>) {}

    fn permissions(&self, _: &ClusterConfig) -> Vec<Permission> {
        Vec::new()
    }

    fn tasks(&self, _: &Estate<'_>) -> Result<Vec<Task>, Message> {
        tasks(self)
    }
}

/// One task per name.
fn tasks(config: &Config) -> Result<Vec<Task>, Message> {
    let broken = |resolver: &str, why: Message| say!("dns resolver {}: {}", named(resolver), why);
    let mut resolvers = Vec::new();
    for resolver in &config.resolvers {
        let address = resolver.address.parse().map_err(|_| broken(&resolver.name, say!("must be an IP address with a port")))?;
        let built = Made::try_of((address, config.timeout.0), |(address, timeout)| Asked::at(*address, *timeout));
        let built = built.map_err(|error| broken(&resolver.name, error.words()))?;
        resolvers.push((resolver.name.clone(), built));
    }
    if config.system_resolver {
        let built = Made::try_of(config.timeout.0, |timeout| Asked::system(*timeout)).map_err(|error| broken(config::SYSTEM, error.words()))?;
        resolvers.push((config::SYSTEM.to_owned(), built));
    }
    let networks: Vec<&str> = config.proxied_networks.as_ref().map_or_else(|| CLOUDFLARE.to_vec(), |own| own.iter().map(String::as_str).collect());
    let proxied: Vec<IpNet> = networks.iter().filter_map(|network| network.parse().ok()).collect();
    Ok(config.names.iter().map(|name| task(config, name, &resolvers, &proxied)).collect())
}

fn task(config: &Config, name: &Name, resolvers: &[(String, Made<Asked>)], proxied: &[IpNet]) -> Task {
    let mut emits: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
    if name.expect.is_none() {
        emits.retain(|family| *family != TARGET.0.name);
    }
    if name.name.starts_with("*.") {
        emits.retain(|family| *family != ORIGIN.0.name);
    }
    if resolvers.len() < 2 {
        emits.retain(|family| *family != AGREEMENT.0.name);
    }
    let waits = name.expect.as_ref().is_some_and(|expect| expect.load_balancer.is_some());
    Task {
        source: Source {
            identity: [("target", name.name.as_str())].into(),
            emits,
            reads: if waits { &[kubernetes::NAME] } else { &[] },
            ..Source::new(NAME, &name.name, config.interval.0)
        },
        // Two rounds: the name, and what it is compared with.
        timeout: config.timeout.0 * 2 + Duration::from_secs(1),
        form: Made::of((name.clone(), resolvers.to_vec(), proxied.to_vec(), config.timeout.0), |(name, resolvers, proxied, timeout)| {
            Form::poll(DnsCollector {
                name: name.clone(),
                resolvers: resolvers.iter().map(|(name, asked)| (name.clone(), Asked::clone(asked))).collect(),
                origins: vec![Origin::default(); resolvers.len()],
                proxied: proxied.clone(),
                timeout: *timeout,
                agreement: Agreement::default(),
            })
        }),
    }
}

/// Aliases that are followed one by one.
const MOST_LINKS: usize = 8;

struct DnsCollector {
    name: Name,
    resolvers: Vec<(String, Asked)>,
    /// What is known of wildcards, in the order of the resolvers.
    origins: Vec<Origin>,
    proxied: Vec<IpNet>,
    timeout: Duration,
    agreement: Agreement,
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
            let views = join_all(this.resolvers.iter().zip(&this.origins).map(|((label, resolver), origin)| {
                let (asked, neighbour, expected) = (&asked, &neighbour, &expected);
                async move {
                    let own = this.ask(resolver, asked);
                    let other = async move { if wildcard.is_none() { Some(this.ask(resolver, neighbour).await) } else { None } };
                    let goal = this.goal(resolver, expected.as_ref());
                    let (mut own, other, mut goal) = futures::join!(own, other, goal);
                    own.aliases = this.aliases(resolver, asked, &own).await;
                    let mut origin = origin.clone();
                    // Whatever they have found by then is compared.
                    let completed = async {
                        if let Some(goal) = &mut goal {
                            let _ = tokio::time::timeout(this.timeout, this.complete(resolver, &own, goal)).await;
                        }
                    };
                    let origin_state = async {
                        let other = other.as_ref()?;
                        let settled = tokio::time::timeout(this.timeout, this.settle(resolver, &own, other, &mut origin)).await;
                        Some(settled.unwrap_or(Records::Unknown))
                    };
                    let ((), origin_state) = futures::join!(completed, origin_state);
                    let found = other.zip(origin_state);
                    (Answered { resolver: label.clone(), view: own, neighbour: found, goal }, origin)
                }
            }))
            .await;
            let (answered, origins): (Vec<Answered>, Vec<Origin>) = views.into_iter().unzip();
            let mut samples = Vec::new();
            // Whoever says what a name must lead to has said that it may lead there by different addresses.
            let mut is_expected = this.name.expect.is_some();
            for answered in &answered {
                is_expected &= this.view_samples(answered, &mut samples) == Some(Comparison::Match);
            }
            let name = this.name.name.clone();
            self.origins = origins;
            let answers: Vec<(&str, &View)> = answered.iter().map(|answered| (answered.resolver.as_str(), &answered.view)).collect();
            if let Some((state, words)) = self.agreement.judge(&answers, is_expected) {
                samples.push(AGREEMENT.sample([name.as_str()], state).with_detail(words));
            }
            let questions = self.resolvers.len() * self.name.record_types.len();
            Ok(Observation::new(samples, self.resolvers.len(), questions as u64))
        }
        .boxed()
    }
}

/// All that one resolver said in a look.
struct Answered {
    resolver: String,
    view: View,
    /// What a random neighbour answered, and what follows for the name.
    neighbour: Option<(View, Records)>,
    goal: Option<Goal>,
}

/// What the answer is compared with.
enum Expected {
    Addresses(BTreeSet<IpAddr>),
    Names(Vec<String>),
    Unseen(Message),
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

    async fn goal(&self, resolver: &Asked, expected: Option<&Expected>) -> Option<Goal> {
        let known = Goal { words: say!(""), names: Vec::new(), addresses: BTreeSet::new(), partial: false, failed: Vec::new(), unseen: false };
        Some(match expected? {
            Expected::Unseen(why) => Goal { words: why.clone(), unseen: true, ..known },
            Expected::Addresses(addresses) => Goal { words: listed(addresses), addresses: places(addresses.iter().copied()), ..known },
            Expected::Names(names) => {
                let views = join_all(names.iter().map(|name| self.ask(resolver, name))).await;
                let words = names.iter().zip(&views).map(|(name, view)| say!("{} = {}", named(name), view.words()));
                let answers = || views.iter().flat_map(|view| &view.typed);
                Goal {
                    words: Message::joined(words, "; "),
                    names: names.iter().map(|name| normal(name)).collect(),
                    addresses: views.iter().flat_map(View::places).collect(),
                    partial: answers().any(|(_, answer)| answer.addresses.len() >= PART),
                    failed: answers().filter(|(_, answer)| !answer.is_definite()).map(|(kind, _)| *kind).collect(),
                    ..known
                }
            }
        })
    }

    /// Asks for the expected names again while the answer holds addresses of which they said nothing, and
    /// each time brings others: they may have more than they answer with at a time.
    async fn complete(&self, resolver: &Asked, view: &View, goal: &mut Goal) {
        let mut settled = 0;
        for _ in 0..MOST_QUESTIONS {
            if goal.names.is_empty() || goal.is_reached(view) || goal.strays(view) == 0 || settled == SETTLED {
                return;
            }
            let again = join_all(goal.names.iter().map(|name| self.ask(resolver, name))).await;
            let before = goal.addresses.len();
            goal.addresses.extend(again.iter().flat_map(View::places));
            if goal.addresses.len() == before {
                settled += 1;
            } else {
                (settled, goal.partial) = (0, true);
                goal.words = say!("{} = {}", Message::of_names(goal.names.iter().map(String::as_str)), listed(&goal.addresses));
            }
        }
    }

    /// Whether the name has records of its own. Asked again, with a neighbour that is new each time, while the
    /// answers differ and are not known yet.
    async fn settle(&self, resolver: &Asked, own: &View, neighbour: &View, origin: &mut Origin) -> Records {
        if let Some(state) = Origin::of_one(own, neighbour) {
            *origin = Origin::default();
            return state;
        }
        if origin.state() == Records::Own && origin.knows(own, neighbour) {
            return Records::Own;
        }
        *origin = Origin::default();
        origin.add(own, neighbour);
        let parent = self.name.name.split_once('.').map_or("", |(_, parent)| parent);
        for _ in 0..MOST_QUESTIONS {
            if origin.is_settled() {
                break;
            }
            let odd = format!("{}.{parent}", net::random_label());
            let (own, neighbour) = futures::join!(self.ask(resolver, &self.name.name), self.ask(resolver, &odd));
            // A record that changes at this moment, or a resolver that fell silent.
            if matches!(Origin::of_one(&own, &neighbour), Some(Records::Own | Records::Unknown)) {
                return Records::Unknown;
            }
            origin.add(&own, &neighbour);
        }
        origin.state()
    }

    async fn ask(&self, resolver: &Asked, name: &str) -> View {
        let started = Instant::now();
        let name = format!("{}.", name.trim_end_matches('.'));
        let mut typed = join_all(self.name.record_types.iter().map(|kind| {
            let asked = match kind {
                RecordType::A => Hickory::A,
                RecordType::Aaaa => Hickory::AAAA,
            };
            resolver.ask(&name, asked).map(|answer| (*kind, answer))
        }))
        .await;
        net::reconcile(typed.iter_mut().map(|(_, answer)| answer));
        View { typed, took: started.elapsed(), aliases: Vec::new() }
    }

    /// What a name is an alias of, beginning with itself, where resolvers say for certain that it has no address: the load
    /// balancer that it names may be gone, and the name itself is there. The last one stands there twice if they lead in
    /// a circle. Takes a quarter of the deadline at most, as it explains what is red without it.
    async fn aliases(&self, resolver: &Asked, name: &str, view: &View) -> Vec<String> {
        let mut links = vec![normal(name)];
        if !view.is_complete() || !view.addresses().is_empty() {
            return Vec::new();
        }
        let follow = async {
            while links.len() <= MOST_LINKS {
                let asked = format!("{}.", links.last().map_or("", String::as_str));
                let Some(next) = resolver.ask(&asked, Hickory::CNAME).await.chain.into_iter().next() else { break };
                let is_circle = links.contains(&next);
                links.push(next);
                if is_circle {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(self.timeout / 4, follow).await;
        if links.len() > 1 { links } else { Vec::new() }
    }

    /// Adds the facts about what a resolver said, and returns whether that is what is expected.
    fn view_samples(&self, answered: &Answered, samples: &mut Vec<Sample>) -> Option<Comparison> {
        let Answered { resolver, view, neighbour, goal } = answered;
        let labels = [self.name.name.as_str(), resolver];
        let words = view.words();
        let hint = self.wildcard_hint(view);
        let (state, addresses) = (view.state(), view.addresses());
        samples.push(ANSWER.sample(labels, state).with_detail(&words));
        let useless =
            addresses.iter().filter(|address| !self.is_configured(address)).find_map(|address| Some((*address, unusable(*address, &self.name.name)?)));
        if let Some((address, why)) = useless {
            // Whoever draws this one gets nowhere, whatever else there is.
            samples.push(SUCCESS.sample(labels, 0.0).with_detail(say!("{}; {} {}", words, address, why)));
        } else if matches!(state, Completeness::Complete | Completeness::Failed) {
            samples.push(SUCCESS.sample(labels, f64::from(u8::from(!addresses.is_empty()))).with_detail(say!("{}{}", words, hint)));
        }
        for (kind, answer) in &view.typed {
            let labels = [labels[0], labels[1], kind.as_str()];
            let told = LOOKUP.sample(labels, answer.state);
            samples.push(match &answer.why {
                Some(why) if !answer.is_definite() => told.with_detail(why),
                _ => told,
            });
            if answer.is_definite() {
                samples.push(ANSWERS.sample(labels, answer.addresses.len() as f64));
            }
            if let Some(ttl) = answer.ttl {
                samples.push(TTL.sample(labels, f64::from(ttl)));
            }
        }
        if view.is_answered() {
            samples.push(CHAIN.sample(labels, view.chain().len() as f64));
        }
        samples.push(DURATION.sample(labels, view.took.as_secs_f64()));
        let proxied = view.places().iter().any(|address| self.proxied.iter().any(|network| network.contains(address)));
        if proxied || state == Completeness::Complete {
            samples.push(PROXIED.sample(labels, f64::from(u8::from(proxied))));
        }
        let reached = goal.as_ref().map(|goal| {
            let (state, why) = compare(view, goal, proxied);
            samples.push(TARGET.sample(labels, state).with_detail(why));
            state
        });
        if let Some((neighbour, state)) = neighbour {
            let told = match (view.is_answered(), neighbour.is_answered()) {
                (false, _) => words,
                (_, false) => say!("{}; for a random neighbour: {}", words, neighbour.words()),
                _ => say!("{}; a random neighbour answers {}", words, neighbour.words()),
            };
            samples.push(ORIGIN.sample(labels, *state).with_detail(told));
        }
        reached
    }

    /// Whether the configuration itself names an address, and so means it.
    fn is_configured(&self, address: &IpAddr) -> bool {
        self.name.expect.iter().flat_map(|expect| &expect.addresses).any(|own| own.parse() == Ok(*address))
    }

    /// RFC 4592, section 3.3.1: the closest existing name decides which wildcard applies.
    fn wildcard_hint(&self, view: &View) -> Message {
        let absent = view.typed.iter().all(|(_, answer)| answer.state == DnsOutcome::Nxdomain);
        match self.name.name.strip_prefix("*.") {
            Some(parent) if absent => say!("; a wildcard above does not cover this one, because {} exists", named(parent)),
            _ => say!(""),
        }
    }
}

#[cfg(test)]
mod tests;
