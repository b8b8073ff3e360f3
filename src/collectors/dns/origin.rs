//! Whether a name has records of its own or falls to the wildcard above it.
//!
//! An answer does not say which record it comes from, so the name is held against random neighbours, which
//! nobody created. What is provable: a name answers with other addresses than the wildcard however often
//! both are asked, or it answers with the same ones. One pair of answers proves neither, since a wildcard may
//! answer with a part of its addresses at a time, and each time with another. An alias that no neighbour has is a
//! record as well, wherever both lead in the end.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::view::View;
use crate::metric::states;

/// Addresses that rotate are asked for until this many answers brought nothing new.
pub(super) const SETTLED: u32 = 3;

states! {
    /// Whose records a name answers with.
    pub(super) enum Records {
        Own => "own": "it has records of its own",
        Wildcard => "wildcard",
        Unknown => "unknown",
    }
}

/// What a name and its neighbours have answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Origin {
    own: Answers,
    neighbours: Answers,
    /// Whether either has given more than one answer.
    varies: bool,
    /// How many pairs of answers have brought nothing new.
    settled: u32,
}

/// Where answers have led.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Answers {
    places: BTreeSet<IpAddr>,
    /// The aliases that the records themselves name, before whatever those are aliases of; `None` for addresses without.
    hops: BTreeSet<Option<String>>,
}

impl Answers {
    fn of(view: &View) -> Self {
        Self { places: view.places(), hops: view.with_addresses().map(|answer| answer.chain.first().cloned()).collect() }
    }

    fn holds(&self, other: &Self) -> bool {
        other.places.is_subset(&self.places) && other.hops.is_subset(&self.hops)
    }

    fn extend(&mut self, other: Self) {
        self.places.extend(other.places);
        self.hops.extend(other.hops);
    }
}

impl Origin {
    /// What one pair of answers says for certain; `None` when more of them are needed.
    pub(super) fn of_one(own: &View, neighbour: &View) -> Option<Records> {
        if !own.is_complete() || !neighbour.is_complete() {
            return Some(Records::Unknown);
        }
        let (mine, theirs) = (Answers::of(own), Answers::of(neighbour));
        let same_alias = own.alias().is_some_and(|last| neighbour.alias() == Some(last));
        if mine.places.is_empty() && theirs.places.is_empty() {
            // A name that leads nowhere, like its neighbours, shows no records of its own.
            Some(Records::Unknown)
        } else if mine.places.is_empty() || theirs.places.is_empty() {
            // Without a wildcard there is nothing to fall to, and what exists without addresses does not fall either.
            Some(Records::Own)
        } else if !mine.hops.is_disjoint(&theirs.hops) && (same_alias || mine.places == theirs.places) {
            Some(Records::Wildcard)
        } else {
            // Name servers that answer by chance may have several wildcards, each with an alias of its own.
            None
        }
    }

    /// Takes one more pair of answers. What was known of the name before it answered with something new says
    /// nothing about its records now.
    pub(super) fn add(&mut self, own: &View, neighbour: &View) {
        let (mine, theirs) = (Answers::of(own), Answers::of(neighbour));
        let is_new = !self.own.holds(&mine) || !self.neighbours.holds(&theirs);
        self.varies |= !self.own.places.is_empty() && (mine != self.own || theirs != self.neighbours);
        self.settled = if is_new { 0 } else { self.settled + 1 };
        self.own.extend(mine);
        self.neighbours.extend(theirs);
    }

    /// Whether a pair of answers holds nothing that is not known.
    pub(super) fn knows(&self, own: &View, neighbour: &View) -> bool {
        self.own.holds(&Answers::of(own)) && self.neighbours.holds(&Answers::of(neighbour))
    }

    /// Whether asking again brings nothing new.
    pub(super) const fn is_settled(&self) -> bool {
        self.settled >= SETTLED
    }

    /// What all pairs together say.
    pub(super) fn state(&self) -> Records {
        if !self.is_settled() {
            return Records::Unknown;
        }
        if self.own.hops.is_disjoint(&self.neighbours.hops) {
            return Records::Own;
        }
        let (own, neighbours) = (&self.own.places, &self.neighbours.places);
        match (own == neighbours, own.is_disjoint(neighbours), self.varies) {
            (true, ..) => Records::Wildcard,
            // Two lists that differ and never change are two records, even if they share an address.
            (false, true, _) | (false, _, false) => Records::Own,
            (false, false, true) => Records::Unknown,
        }
    }
}
