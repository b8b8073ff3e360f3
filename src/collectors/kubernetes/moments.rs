//! Moments at which clusters replace things by themselves, as other collectors read them.

use std::collections::{BTreeMap, BTreeSet};

use crate::collectors::kubernetes::kinds::certmanager;
use crate::collectors::kubernetes::kinds::karpenter;
use crate::collectors::kubernetes::kinds::lifetimes;
use crate::collectors::kubernetes::watching::sight::seen_everywhere;
use crate::collectors::kubernetes::watching::watched::Matching;
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
    seen_everywhere(seen, karpenter::POOL_CONDITION.0.name, "nodepools", &[Matching::Matched])?;
    let pools: BTreeSet<String> = seen.samples_of(karpenter::POOL_CONDITION.0.name).filter_map(subject).collect();
    if pools.is_empty() {
        return Err(say!("no cluster has a NodePool {}", named(pool)));
    }
    let mut found = moments(seen, &karpenter::CLAIM_EXPIRY, "nodeclaims", subject)?;
    // One without nodes is an answer, too.
    found.extend(pools.into_iter().filter(|pool| !found.contains_key(pool)).map(|pool| (pool, Vec::new())).collect::<Vec<_>>());
    Ok(found)
}

/// Seconds between an event and the nearest expiry of a node of a pool, `cluster/pool`, which may be one that is
/// yet to be made; NaN when one of them cannot be known, `None` when none ever expires.
pub(in crate::collectors) fn expiry_near_event(seen: &Snapshot, pool: &str, event: &str) -> Option<f64> {
    let of_pool = |sample: &&Sample| {
        let label = |name: &str| sample.label(name).unwrap_or_default();
        label("event") == event && pool.strip_prefix(label("cluster")).and_then(|rest| rest.strip_prefix('/')) == Some(label("nodepool"))
    };
    let distances = seen.samples_of(lifetimes::EXPIRY_DISTANCE.0.name).filter(of_pool).map(|sample| sample.value);
    distances.reduce(|one, other| if one.is_nan() || other.is_nan() { f64::NAN } else { one.min(other) })
}

/// The certificate of cert-manager that begins and ends then, is ready, and is renewed before that, as
/// `cluster/namespace/name`. An end alone is that of many: issuers give all their certificates the same life, and so what
/// was made by hand may end in the same minute, but it was not made in the same one as well.
pub(in crate::collectors) fn renewed_certificate(seen: &Snapshot, [begins, ends]: [i64; 2], now: i64) -> Option<String> {
    let key = |sample: &Sample| ["cluster", "namespace", "name"].map(|label| sample.label(label).unwrap_or_default().to_owned());
    let own = |family: &'static str, wanted: &[String; 3]| seen.samples_of(family).find(|sample| key(sample) == *wanted).map(|sample| sample.value);
    let mut named =
        seen.samples_of(certmanager::NOT_AFTER.0.name).filter(|sample| sample.second().abs_diff(ends) <= CLOCKS).map(|sample| (key(sample), sample.second()));
    named.find_map(|(certificate, end)| {
        // Both are read by the same clock, so that their difference is exact.
        let begin = own(certmanager::NOT_BEFORE.0.name, &certificate)?;
        if (end as f64 - begin - (ends - begins) as f64).abs() > 1.0 {
            return None;
        }
        let is_ready = own(certmanager::READY.0.name, &certificate).is_some_and(|ready| ready > 0.5);
        let renewal = own(certmanager::RENEWAL.0.name, &certificate)?;
        (is_ready && renewal > now as f64 && renewal < ends as f64).then(|| certificate.join("/"))
    })
}

/// Seconds by which the clock of a cluster may be read wrongly.
const CLOCKS: u64 = 60;

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
    seen_everywhere(seen, family.0.name, selector, &[Matching::Matched, Matching::Empty])?;
    let mut moments = Moments::new();
    for sample in seen.samples_of(family.0.name) {
        if let Some(subject) = subject(sample) {
            moments.entry(subject).or_default().push(sample.second());
        }
    }
    Ok(moments)
}
