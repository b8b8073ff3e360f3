//! Whether a name has records of its own or falls to the wildcard above it.
//!
//! An answer does not say which record it comes from, so the name is held against random neighbours, which
//! nobody created. What is provable: a name answers with other addresses than the wildcard however often
//! both are asked, or it answers with the same ones. One pair of answers proves neither, since a wildcard may
//! answer with a part of its addresses at a time, and each time with another.

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
    own: BTreeSet<IpAddr>,
    neighbours: BTreeSet<IpAddr>,
    /// Whether either has given more than one answer.
    varies: bool,
    /// How many pairs of answers have brought nothing new.
    settled: u32,
}

impl Origin {
    /// What one pair of answers says for certain; `None` when more of them are needed.
    pub(super) fn of_one(own: &View, neighbour: &View) -> Option<Records> {
        if !own.is_complete() || !neighbour.is_complete() {
            return Some(Records::Unknown);
        }
        let (mine, theirs) = (own.places(), neighbour.places());
        let same_alias = own.chain().last().is_some_and(|last| neighbour.chain().last() == Some(last));
        if mine.is_empty() && theirs.is_empty() {
            // A name that leads nowhere, like its neighbours, shows no records of its own.
            Some(Records::Unknown)
        } else if mine.is_empty() || theirs.is_empty() {
            // Without a wildcard there is nothing to fall to, and what exists without addresses does not fall either.
            Some(Records::Own)
        } else if same_alias || mine == theirs {
            Some(Records::Wildcard)
        } else {
            None
        }
    }

    /// Takes one more pair of answers. What was known of the name before it answered with something new says
    /// nothing about its records now.
    pub(super) fn add(&mut self, own: &View, neighbour: &View) {
        let (mine, theirs) = (own.places(), neighbour.places());
        let is_new = !mine.is_subset(&self.own) || !theirs.is_subset(&self.neighbours);
        self.varies |= !self.own.is_empty() && (mine != self.own || theirs != self.neighbours);
        self.settled = if is_new { 0 } else { self.settled + 1 };
        self.own.extend(mine);
        self.neighbours.extend(theirs);
    }

    /// Whether a pair of answers holds nothing that is not known.
    pub(super) fn knows(&self, own: &View, neighbour: &View) -> bool {
        own.places().is_subset(&self.own) && neighbour.places().is_subset(&self.neighbours)
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
        match (self.own == self.neighbours, self.own.is_disjoint(&self.neighbours), self.varies) {
            (true, ..) => Records::Wildcard,
            // Two lists that differ and never change are two records, even if they share an address.
            (false, true, _) | (false, _, false) => Records::Own,
            (false, false, true) => Records::Unknown,
        }
    }
}
