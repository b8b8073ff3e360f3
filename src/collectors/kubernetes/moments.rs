//! Moments at which clusters replace things by themselves, as other collectors read them.

use std::collections::BTreeMap;

use super::sight::seen_everywhere;
use super::{certmanager, karpenter};
use crate::metric::{Gauge, Sample};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::Snapshot;

/// Moments in Unix seconds, by subject.
pub(in crate::collectors) type Moments = BTreeMap<String, Vec<i64>>;

/// When nodes of a pool expire, by cluster and pool, or why that is not known. A pool whose nodes
/// never expire has none.
pub(in crate::collectors) fn node_expiries(seen: &Snapshot, pool: &str) -> Result<Moments, Message> {
    let subject = |sample: &Sample| (sample.label("nodepool") == Some(pool)).then(|| format!("{}/{pool}", sample.label("cluster").unwrap_or_default()));
    // A pool that nobody has would never expire, and that would be a false go.
    seen_everywhere(seen, karpenter::POOL_CONDITION.0.name, "nodepools", &["matched"])?;
    if !seen.samples_of(karpenter::POOL_CONDITION.0.name).any(|sample| sample.label("nodepool") == Some(pool)) {
        return Err(say!("no cluster has a NodePool {}", named(pool)));
    }
    moments(seen, &karpenter::CLAIM_EXPIRY, "nodeclaims", subject)
}

/// When certificates of a namespace are renewed, by cluster, namespace and name, or why that is not
/// known.
pub(in crate::collectors) fn certificate_renewals(seen: &Snapshot, namespace: &str) -> Result<Moments, Message> {
    let subject = |sample: &Sample| {
        let label = |name: &str| sample.label(name).unwrap_or_default();
        (label("namespace") == namespace).then(|| format!("{}/{namespace}/{}", label("cluster"), label("name")))
    };
    let moments = moments(seen, &certmanager::RENEWAL, "certificates", subject)?;
    if moments.is_empty() { Err(say!("no certificate of {} says when it is renewed", named(namespace))) } else { Ok(moments) }
}

fn moments(seen: &Snapshot, family: &'static Gauge<3>, selector: &str, subject: impl Fn(&Sample) -> Option<String>) -> Result<Moments, Message> {
    seen_everywhere(seen, family.0.name, selector, &["matched", "empty"])?;
    let mut moments = Moments::new();
    for sample in seen.samples_of(family.0.name) {
        if let Some(subject) = subject(sample) {
            moments.entry(subject).or_default().push(sample.second());
        }
    }
    Ok(moments)
}
