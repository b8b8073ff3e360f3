//! Machines that a cloud did not have when Karpenter asked for them, by the pool that they were for.

use std::collections::BTreeMap;

/// Pools that are told apart; who may create events may name any.
const MOST: usize = 64;

/// When a machine was last missing, by pool, in Unix seconds.
#[derive(Debug, Clone, Default)]
pub(in crate::collectors::kubernetes) struct Shortages(BTreeMap<Box<str>, i64>);

impl Shortages {
    /// A claim whose machine was missing then. It is deleted at once and leaves nothing but its name, which is that of its pool
    /// and five letters.
    /// Source: `ToNodeClaim` in `pkg/controllers/provisioning/scheduling/nodeclaimtemplate.go` of Karpenter.
    pub(in crate::collectors::kubernetes) fn add(&mut self, claim: &str, at: i64) {
        let pool = claim.rsplit_once('-').map_or("", |(pool, _)| pool);
        let pool = if self.0.len() < MOST || self.0.contains_key(pool) { pool } else { "" };
        let last = self.0.entry(pool.into()).or_insert(at);
        *last = at.max(*last);
    }

    /// Those after a moment of the exporter's clock, on one that is so many seconds ahead.
    pub(in crate::collectors::kubernetes) fn since(&self, oldest: i64, ahead: i64) -> Self {
        let recent = self.0.iter().filter(|(_, at)| **at > oldest);
        Self(recent.map(|(pool, at)| (pool.clone(), at.saturating_add(ahead))).collect())
    }

    /// The last one of a pool. One that is of none of these pools may be of any.
    pub(in crate::collectors::kubernetes) fn last(&self, pool: &str, is_pool: impl Fn(&str) -> bool) -> Option<i64> {
        self.0.iter().filter(|(own, _)| &***own == pool || !is_pool(own)).map(|(_, at)| *at).max()
    }
}
