//! When nodes of Karpenter expire, and how far from events that is.
//!
//! Expiry matters most: a claim's node is drained as soon as its age passes `spec.expireAfter`,
//! whatever budgets and `karpenter.sh/do-not-disrupt` say.
//! Source: <https://karpenter.sh/docs/concepts/disruption/#expiration>

use std::sync::Arc;

use jiff::Timestamp;

use crate::collectors::kubernetes::kinds::karpenter::{NodeClaim, NodePool};
use crate::collectors::kubernetes::reading::go::seconds;
use crate::collectors::kubernetes::reading::objects::{Place, Rows};
use crate::collectors::kubernetes::watching::visibility::looked_at;
use crate::event::Occurrence;
use crate::metric::{Gauge, Sample, Unit, gauge, metrics};
use crate::say;
use crate::say::{Message, minute, named};
use crate::value::Span;

metrics! {
    /// Families of this module.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// What is filled only while events are configured.
    pub(in crate::collectors::kubernetes) EVENT_FAMILIES {
        pub(in crate::collectors::kubernetes) static EXPIRY_DISTANCE: Gauge<4> = gauge(
            "readiness_nodeclaim_expiry_event_distance_seconds",
            Unit::Seconds,
            &["cluster", "nodepool", "nodeclaim", "event"],
            "Time between a configured event and the expiry nearest to it, before or after: of a NodeClaim or of what will stand in its place by then; 0 when that is while the event runs. For (new nodes) it is that of a node that its NodePool makes when the event begins, and NaN, once people prepare it, where one that is made meanwhile may expire in it. NaN as well when expireAfter cannot be read, and of a claim that should have expired and may go at any moment; of that it is 0 while the event runs. From spec.expireAfter in the karpenter.sh/v1 API.",
        )
        .covered_by(looked_at(&["NodePool", "NodeClaim"]));
    }
}

/// Seconds before which a node should have gone that is past its time: Karpenter deletes it at once.
const GOES: i64 = 10 * 60;
/// Seconds around an event in which a node had better not go.
const AROUND: i64 = 15 * 60;
/// Seconds in which people prepare an event of which nothing else is said.
const PREPARES: i64 = 24 * 60 * 60;

/// In place of the name of a claim that is yet to be made.
const NEW: &str = "(new nodes)";

/// How old a node may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::collectors::kubernetes) enum Lifetime {
    Endless,
    Seconds(i64),
    /// Something else stands there.
    Unreadable,
}

impl Lifetime {
    /// From `expireAfter`: a duration as Go writes it, or `Never`; nothing means that there is no end.
    pub(in crate::collectors::kubernetes) fn of(text: Option<&str>) -> Self {
        match text {
            None | Some("Never") => Self::Endless,
            Some(text) => seconds(text).map_or(Self::Unreadable, Self::Seconds),
        }
    }
}

/// How far the expiry of each claim is from each event that is running or coming, and of those nodes that
/// will stand in its place by then: whatever expires before the event is made again, and ages anew.
pub(in crate::collectors::kubernetes) fn distances(
    pools: &Rows<NodePool>,
    claims: &Rows<NodeClaim>,
    events: &[Occurrence],
    now: i64,
    place: &Place,
    samples: &mut Vec<Sample>,
) {
    let pool = |name: &str| pools.iter().find(|(key, _)| *key.name == *name).map(|(_, pool)| pool);
    for (key, claim) in claims.iter().filter(|(_, claim)| claim.phase != "deleting") {
        let next = pool(claim.pool()).map_or(claim.lifetime, |pool| pool.lifetime);
        for event in events {
            let labels = [Arc::clone(&place.cluster), claim.pool().into(), Arc::clone(&key.name), event.name.as_str().into()];
            let expiry = claim.expiry().map(|at| at.saturating_sub(place.clock.ahead()));
            let distance = match expiry {
                Some(at) => Some(nearest(at, next, event)),
                None if claim.lifetime == Lifetime::Endless => None,
                None => Some((f64::NAN, false)),
            };
            let Some((distance, of_successor)) = distance else { continue };
            if let Some(at) = expiry.filter(|at| *at < now.saturating_sub(GOES)) {
                samples.push(overdue(EXPIRY_DISTANCE.sample(labels, if event.start.as_second() <= now { 0.0 } else { f64::NAN }), at));
                continue;
            }
            let sample = EXPIRY_DISTANCE.sample(labels, distance);
            let at = expiry.and_then(|at| Timestamp::from_second(at).ok());
            samples.push(match at {
                Some(at) if of_successor => sample.with_detail(say!("it expires at {}, and the node in its place does then", at)),
                Some(at) => sample.with_detail(say!("it expires at {}", at)),
                None => sample,
            });
        }
    }
    // Nodes that are made for the event: at best when it begins, and then they live as long as they may. Of those that live
    // hardly longer than the event it depends on when they are made, and nobody makes any for it before it is prepared.
    for (key, pool) in pools.iter().filter(|(_, pool)| !pool.is_off()) {
        for event in events {
            let labels = [Arc::clone(&place.cluster), Arc::clone(&key.name), NEW.into(), event.name.as_str().into()];
            let lasts = event.end.as_second().saturating_sub(event.start.as_second());
            let prepares = event.lead_times.iter().map(|lead| lead.0.as_secs()).max().map_or(PREPARES, |lead| i64::try_from(lead).unwrap_or(i64::MAX));
            let is_prepared = now >= event.start.as_second().saturating_sub(prepares);
            let distance = match pool.lifetime {
                Lifetime::Seconds(after)
                    if is_prepared
                        && after > lasts
                        && after < lasts.saturating_add(prepares).saturating_add(AROUND)
                        && now.saturating_add(after) < event.end.as_second().saturating_add(AROUND) =>
                {
                    samples.push(EXPIRY_DISTANCE.sample(labels, f64::NAN).with_detail(depends(after, event)));
                    continue;
                }
                Lifetime::Seconds(after) => after.saturating_sub(lasts).max(0) as f64,
                Lifetime::Unreadable => f64::NAN,
                Lifetime::Endless => continue,
            };
            samples.push(EXPIRY_DISTANCE.sample(labels, distance));
        }
    }
}

/// Words for nodes that would go in an event if they are made at the wrong time, and which time that is.
fn depends(after: i64, event: &Occurrence) -> Message {
    let made = |expires: i64| Timestamp::from_second(expires.saturating_sub(after)).ok();
    let (first, last) = (made(event.start.as_second().saturating_sub(AROUND)), made(event.end.as_second().saturating_add(AROUND)));
    let lives = Span::secs(after.unsigned_abs());
    match first.zip(last) {
        Some((first, last)) => {
            let [first, last] = [first, last].map(minute);
            say!(
                "it depends on when they are made: each lives for {}, so that one made between {} and {} would go in the event",
                lives,
                named(&first),
                named(&last)
            )
        }
        None => say!("it depends on when they are made: each lives for {}", lives),
    }
}

/// With the words for a claim that is past its time and is still there.
fn overdue(sample: Sample, at: i64) -> Sample {
    match Timestamp::from_second(at) {
        Ok(at) => sample.with_detail(say!("it should have expired at {}, and may go at any moment", named(&minute(at)))),
        Err(_) => sample,
    }
}

/// The distance from an event of the expiry nearest to it, and whether that is one of a node that is yet to be made.
fn nearest(at: i64, next: Lifetime, event: &Occurrence) -> (f64, bool) {
    let (start, end) = (event.start.as_second(), event.end.as_second());
    let distance = |at: i64| start.saturating_sub(at).max(at.saturating_sub(end)).max(0);
    let own = distance(at);
    if at >= start {
        return (own as f64, false);
    }
    let every = match next {
        Lifetime::Endless => return (own as f64, false),
        Lifetime::Unreadable => return (f64::NAN, true),
        Lifetime::Seconds(every) => every.max(1),
    };
    // The last successor that expires before the event begins, and the one after it.
    let last = at.saturating_add((start - at) / every * every);
    let of_successors = distance(last.max(at.saturating_add(every))).min(distance(last.saturating_add(every)));
    if of_successors < own { (of_successors as f64, true) } else { (own as f64, false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_read_as_go_writes_it() {
        let good = [("8h", 28_800), ("720h0m0s", 2_592_000), ("1h30m", 5_400), ("1m24h", 86_460), ("1.5h", 5_400), ("86400000ms", 86_400), ("0", 0)];
        for (text, seconds) in good {
            assert_eq!(Lifetime::of(Some(text)), Lifetime::Seconds(seconds), "{text}");
        }
        assert_eq!((Lifetime::of(None), Lifetime::of(Some("Never"))), (Lifetime::Endless, Lifetime::Endless));
        for text in ["", "soon", "24", "h", "1d", "-1h", "1..5h", "9999999999999h"] {
            assert_eq!(Lifetime::of(Some(text)), Lifetime::Unreadable, "{text}");
        }
    }
}
