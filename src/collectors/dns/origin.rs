//! Whether a name has records of its own or falls to the wildcard above it.
//!
//! An answer does not say which record it comes from, so the name is held against random neighbours, which
//! nobody created. What is provable: a name answers with other addresses than the wildcard however often
//! both are asked, or it answers with the same ones. One pair of answers proves neither, since a wildcard may
//! answer with a part of its addresses at a time, and each time with another. An alias that no neighbour has is a
//! record as well, wherever both lead in the end. Where each neighbour has an alias of its own (DNAME), aliases tell nothing.

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
    places: Steady,
    hops: Steady,
}

/// How one side of the answers has changed from pair to pair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Steady {
    /// Whether the name or its neighbours have given more than one answer.
    varies: bool,
    /// How many pairs of answers have brought nothing new.
    settled: u32,
}

impl Steady {
    const fn add(&mut self, varies: bool, is_new: bool) {
        self.varies |= varies;
        self.settled = if is_new { 0 } else { self.settled + 1 };
    }

    const fn is_settled(self) -> bool {
        self.settled >= SETTLED
    }
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
        let is_first = self.own.places.is_empty();
        self.places.add(!is_first && (mine.places != self.own.places || theirs.places != self.neighbours.places), !self.knows_places(&mine, &theirs));
        self.hops.add(!is_first && (mine.hops != self.own.hops || theirs.hops != self.neighbours.hops), !self.knows_hops(&mine, &theirs));
        self.own.extend(mine);
        self.neighbours.extend(theirs);
    }

    fn knows_places(&self, own: &Answers, neighbour: &Answers) -> bool {
        own.places.is_subset(&self.own.places) && neighbour.places.is_subset(&self.neighbours.places)
    }

    fn knows_hops(&self, own: &Answers, neighbour: &Answers) -> bool {
        own.hops.is_subset(&self.own.hops) && neighbour.hops.is_subset(&self.neighbours.hops)
    }

    /// Whether a pair of answers holds nothing that is not known, of what the state comes from.
    pub(super) fn knows(&self, own: &View, neighbour: &View) -> bool {
        let (mine, theirs) = (Answers::of(own), Answers::of(neighbour));
        let places = self.has_own_alias() || self.knows_places(&mine, &theirs);
        places && (self.is_aliased_by_name() || self.knows_hops(&mine, &theirs))
    }

    /// Whether asking again brings nothing new that counts.
    pub(super) fn is_settled(&self) -> bool {
        self.has_own_alias() || (self.places.is_settled() && (self.hops.is_settled() || self.is_aliased_by_name()))
    }

    /// Whether the name is an alias that no neighbour is, whatever addresses are behind those.
    fn has_own_alias(&self) -> bool {
        self.hops.is_settled() && self.own.hops.is_disjoint(&self.neighbours.hops)
    }

    /// Whether the neighbours go on having other aliases, as where a DNAME or a name server makes one for each name. Then
    /// only the places tell names apart.
    fn is_aliased_by_name(&self) -> bool {
        !self.hops.is_settled() && self.neighbours.hops.len() > SETTLED as usize
    }

    /// What all pairs together say.
    pub(super) fn state(&self) -> Records {
        if !self.is_settled() {
            return Records::Unknown;
        }
        if self.has_own_alias() {
            return Records::Own;
        }
        let varies = self.places.varies || (self.hops.varies && !self.is_aliased_by_name());
        let (own, neighbours) = (&self.own.places, &self.neighbours.places);
        match (own == neighbours, own.is_disjoint(neighbours), varies) {
            (true, ..) => Records::Wildcard,
            // Two lists that differ and never change are two records, even if they share an address.
            (false, true, _) | (false, _, false) => Records::Own,
            (false, false, true) => Records::Unknown,
        }
    }
}
