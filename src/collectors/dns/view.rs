//! What resolvers say of a name, and how that compares with what is expected: pure.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::config::RecordType;
use crate::metric::states;
use crate::net::{DnsAnswer, DnsOutcome, normal, stands_for};
use crate::say;
use crate::say::{Message, counted, named};

/// An answer with so many addresses may be a part of them: load balancers and name servers that answer
/// by chance give up to eight of what they have.
/// Source: <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/routing-policy-multivalue.html>
pub(super) const PART: usize = 8;

states! {
    /// Whether every record type has a definite answer, some of them, or none, or the resolver could not be asked.
    pub(super) enum Completeness {
        Complete => "complete",
        Partial => "partial",
        Failed => "failed",
        Unasked => "unasked",
    }
}

states! {
    /// Whether a name answers as it should.
    pub(super) enum Comparison {
        Match => "match",
        Mismatch => "mismatch",
        Unknown => "unknown",
    }
}

/// All answers of one resolver about one name.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) typed: Vec<(RecordType, DnsAnswer)>,
    pub(super) took: Duration,
    /// What the name is an alias of, link by link, where that leads to no address: such answers tell only how they end.
    pub(super) aliases: Vec<String>,
}

impl View {
    pub(super) fn addresses(&self) -> BTreeSet<IpAddr> {
        self.typed.iter().flat_map(|(_, answer)| answer.addresses.iter().copied()).collect()
    }

    /// The places that they lead to, which a resolver that translates names by addresses of its own.
    pub(super) fn places(&self) -> BTreeSet<IpAddr> {
        places(self.addresses())
    }

    pub(super) fn chain(&self) -> &[String] {
        self.typed.iter().map(|(_, answer)| answer.chain.as_slice()).max_by_key(|chain| chain.len()).unwrap_or_default()
    }

    /// The answers with addresses: the others tell only how they end.
    pub(super) fn with_addresses(&self) -> impl Iterator<Item = &DnsAnswer> {
        self.typed.iter().map(|(_, answer)| answer).filter(|answer| !answer.addresses.is_empty())
    }

    /// The alias that all of its addresses stand behind; a record type may have its own.
    pub(super) fn alias(&self) -> Option<&String> {
        let mut ends = self.with_addresses().map(|answer| answer.chain.last());
        let first = ends.next()?;
        ends.all(|end| end == first).then_some(first)?
    }

    pub(super) fn state(&self) -> Completeness {
        match self.typed.iter().filter(|(_, answer)| answer.is_definite()).count() {
            0 if self.typed.iter().any(|(_, answer)| answer.state == DnsOutcome::Unasked) => Completeness::Unasked,
            0 => Completeness::Failed,
            definite if definite == self.typed.len() => Completeness::Complete,
            _ => Completeness::Partial,
        }
    }

    /// Whether the resolver gave any definite answer.
    pub(super) fn is_answered(&self) -> bool {
        matches!(self.state(), Completeness::Complete | Completeness::Partial)
    }

    /// Whether every question ended in one way.
    fn all_ended(&self, state: DnsOutcome) -> bool {
        !self.typed.is_empty() && self.typed.iter().all(|(_, answer)| answer.state == state)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.state() == Completeness::Complete
    }

    /// For people: the addresses, and of which record types there are none, and why.
    pub(super) fn words(&self) -> Message {
        // Not one type after the other: nobody has said anything of the name.
        if self.all_ended(DnsOutcome::Timeout) {
            return say!("the resolver gives no answer in time");
        }
        if let Some((_, DnsAnswer { why: Some(why), .. })) = self.typed.first().filter(|_| self.all_ended(DnsOutcome::Unasked)) {
            return why.clone();
        }
        let addresses = self.addresses();
        let without = self.typed.iter().filter(|(_, answer)| if addresses.is_empty() { true } else { !answer.is_definite() });
        let without = without.map(|(kind, answer)| say!("{}: {}", kind.as_str(), ended(answer)));
        if addresses.is_empty() {
            let ends = Message::joined(without, ", ");
            return match self.aliases.split_last() {
                Some((last, before)) if before.contains(last) => say!("its aliases lead in a circle, to {} again", named(last)),
                Some((last, _)) => say!("it is an alias of {}, which leads nowhere: {}", named(last), ends),
                None => ends,
            };
        }
        Message::joined(self.lists().into_iter().chain(without), "; ")
    }

    /// The addresses behind what they stand behind: one list where all record types say the same of that.
    fn lists(&self) -> Vec<Message> {
        let behind = |alias: Option<&String>, addresses: &BTreeSet<IpAddr>| {
            let list = listed(addresses);
            alias.map_or_else(|| list.clone(), |alias| say!("{} = {}", named(alias), list))
        };
        let is_one = self.alias().is_some() || self.with_addresses().all(|answer| answer.chain.is_empty());
        if is_one {
            return vec![behind(self.alias(), &self.addresses())];
        }
        self.with_addresses().map(|answer| behind(answer.chain.last(), &answer.addresses)).collect()
    }

    /// NLBs answer with one address per zone in changing order, so overlap is agreement. An alias that is the
    /// same is none: one of two resolvers may have an old answer for its target.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.places(), other.places());
        meet(&mine, &theirs) || (mine.is_empty() && theirs.is_empty())
    }
}

/// What the answer is compared with, resolved by one resolver.
pub(super) struct Goal {
    pub(super) words: Message,
    pub(super) names: Vec<String>,
    /// The places of all that were seen; of a pool of which each answer holds a part, those of several answers.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// Whether there may be more addresses than these.
    pub(super) partial: bool,
    /// Record types that the expected names gave no definite answer for.
    pub(super) failed: Vec<RecordType>,
    pub(super) unseen: bool,
}

impl Goal {
    /// Addresses of an answer that are none of the expected ones, as far as those are known.
    pub(super) fn strays(&self, view: &View) -> usize {
        let known = view.typed.iter().filter(|(kind, answer)| !self.failed.contains(kind) && !self.is_behind(answer));
        known.flat_map(|(_, answer)| &answer.addresses).filter(|address| !self.addresses.contains(&stands_for(**address))).count()
    }

    /// Whether the answer reaches one of the expected names, with every record type that has addresses: a record of
    /// one type that somebody made by hand stands beside an alias of the other.
    pub(super) fn is_reached(&self, view: &View) -> bool {
        view.typed.iter().any(|(_, answer)| self.is_behind(answer)) && view.with_addresses().all(|answer| self.is_behind(answer))
    }

    /// Whether one record type leads over one of the expected names.
    fn is_behind(&self, answer: &DnsAnswer) -> bool {
        answer.chain.iter().any(|hop| self.names.contains(&normal(hop)))
    }

    /// The places that an answer leads to past the expected names.
    fn beside(&self, view: &View) -> BTreeSet<IpAddr> {
        places(view.with_addresses().filter(|answer| !self.is_behind(answer)).flat_map(|answer| answer.addresses.iter().copied()))
    }
}

/// Whether a view is what is expected. Only what cannot be otherwise is a mismatch, and only what is
/// seen as a whole a match.
pub(super) fn compare(view: &View, goal: &Goal, proxied: bool) -> (Comparison, Message) {
    // Where nothing was answered, that alone is the reason, in the words that all it hides have in common.
    if !view.is_answered() {
        return (Comparison::Unknown, view.words());
    }
    let why = if goal.unseen { say!("answers {}, but {}", view.words(), goal.words) } else { say!("answers {}; expected {}", view.words(), goal.words) };
    let addresses = goal.beside(view);
    let shared = addresses.intersection(&goal.addresses).count();
    let whole = if view.is_complete() { Comparison::Match } else { Comparison::Unknown };
    let mut note = say!("");
    let state = if goal.unseen {
        Comparison::Unknown
    } else if goal.is_reached(view) {
        whole
    } else if proxied {
        note = say!("; behind a proxy, which hides the origin");
        Comparison::Unknown
    } else if addresses.is_empty() {
        if view.is_complete() { Comparison::Mismatch } else { Comparison::Unknown }
    } else if goal.addresses.is_empty() {
        // The expected name itself does not resolve here, so nothing can be compared.
        Comparison::Unknown
    } else if goal.strays(view) == 0 {
        if addresses.len() == shared { whole } else { Comparison::Unknown }
    } else if goal.partial && shared > 0 {
        note = say!(
            "; {} of {} expected, and the expected name may have more than it answers with at a time",
            shared,
            counted(addresses.len(), "address is", "addresses are")
        );
        Comparison::Unknown
    } else {
        Comparison::Mismatch
    };
    (state, say!("{}{}", why, note))
}

/// How a question ended that brought no address, for people, with the word that tools print for it.
fn ended(answer: &DnsAnswer) -> Message {
    match (answer.state, &answer.why) {
        (DnsOutcome::Nxdomain, _) => say!("no such name (NXDOMAIN)"),
        (DnsOutcome::Answered | DnsOutcome::Nodata, _) => say!("no such record (NODATA)"),
        (DnsOutcome::Servfail, _) => say!("the name server fails (SERVFAIL)"),
        (DnsOutcome::Refused, _) => say!("the name server refuses to answer (REFUSED)"),
        (DnsOutcome::Timeout, _) => say!("no answer in time"),
        (DnsOutcome::Error | DnsOutcome::Unasked, Some(why)) => why.clone(),
        (DnsOutcome::Error | DnsOutcome::Unasked, None) => say!("no answer that can be read"),
    }
}

/// Whether two sets share a place of every family that both have. One of the families says nothing for the other: of
/// two zones that differ in one record the rest is the same.
pub(super) fn meet(one: &BTreeSet<IpAddr>, other: &BTreeSet<IpAddr>) -> bool {
    let of = |set: &BTreeSet<IpAddr>, is_ipv4: bool| set.iter().copied().filter(|address| address.is_ipv4() == is_ipv4).collect::<BTreeSet<_>>();
    let families = [true, false].map(|is_ipv4| (of(one, is_ipv4), of(other, is_ipv4)));
    let mut both = families.iter().filter(|(own, theirs)| !own.is_empty() && !theirs.is_empty()).peekable();
    both.peek().is_some() && both.all(|(own, theirs)| !own.is_disjoint(theirs))
}

/// What addresses stand for.
pub(super) fn places(addresses: impl IntoIterator<Item = IpAddr>) -> BTreeSet<IpAddr> {
    addresses.into_iter().map(stands_for).collect()
}

pub(super) fn listed(addresses: &BTreeSet<IpAddr>) -> Message {
    Message::joined(addresses.iter().map(|address| say!("{}", *address)), ", ")
}
