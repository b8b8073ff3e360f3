//! One look at a name: every resolver is asked, and what each says is compared with the others and with what is expected.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use hickory_resolver::proto::rr::RecordType as Hickory;
use ipnet::IpNet;
use tokio::time::Instant;

use super::agreement::Agreement;
use super::config::{LoadBalancer, Name, RecordType};
use super::metrics::{AGREEMENT, ANSWER, ANSWERS, CHAIN, DURATION, LOOKUP, ORIGIN, PROXIED, SUCCESS, TARGET, TTL};
use super::origin::{Origin, Records, SETTLED};
use super::view::{Comparison, Completeness, Goal, PART, View, compare, listed, places};
use crate::collectors::kubernetes;
use crate::driver::Poll;
use crate::metric::Sample;
use crate::net::{self, DnsOutcome, Resolver as Asked, normal, unusable};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, Observation, Snapshot};

/// How often in all.
const MOST_QUESTIONS: u32 = 12;

/// Aliases that are followed one by one.
const MOST_LINKS: usize = 8;

pub(super) struct DnsCollector {
    pub(super) name: Name,
    pub(super) resolvers: Vec<(String, Asked)>,
    /// What is known of wildcards, in the order of the resolvers.
    pub(super) origins: Vec<Origin>,
    pub(super) proxied: Vec<IpNet>,
    pub(super) timeout: Duration,
    pub(super) agreement: Agreement,
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
