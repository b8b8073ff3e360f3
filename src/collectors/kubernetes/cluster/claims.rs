//! Whether what controllers say of their workloads is borne out by pods. A controller that has stopped says for ever what
//! was true then.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::collectors::kubernetes::reading::objects::Key;

/// How long a controller may say what is no longer so: it hears of its pods as others do.
const LAG: Duration = Duration::from_mins(1);

/// What controllers claimed before, by selector.
#[derive(Default)]
pub(super) struct Claims(Mutex<BTreeMap<String, BTreeMap<Key, Claim>>>);

/// How many replicas of a workload are ready.
pub(super) struct Count {
    pub(super) key: Key,
    /// As its controller says.
    pub(super) claimed: u32,
    /// As its pods say.
    pub(super) ready: u32,
}

#[derive(Debug, Clone, Copy)]
enum Claim {
    Borne,
    /// There have been fewer ready pods since then.
    Alone(Instant),
    Doubted,
}

impl Claims {
    /// How many pods are ready of those workloads whose controllers have claimed more for longer than it takes to say so.
    /// At the first look nothing is on its way.
    pub(super) fn doubts(&self, selector: &str, counts: Vec<Count>) -> BTreeMap<Key, u32> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(selector).unwrap_or_default();
        let now = Instant::now();
        let mut doubts = BTreeMap::new();
        let claims = counts.into_iter().map(|Count { key, claimed, ready }| {
            let claim = match before.get(&key) {
                _ if ready >= claimed => Claim::Borne,
                Some(Claim::Borne) => Claim::Alone(now),
                Some(Claim::Alone(since)) if now.duration_since(*since) <= LAG => Claim::Alone(*since),
                Some(Claim::Alone(_) | Claim::Doubted) | None => Claim::Doubted,
            };
            if matches!(claim, Claim::Doubted) {
                doubts.insert(key.clone(), ready);
            }
            (key, claim)
        });
        all.insert(selector.to_owned(), claims.collect());
        doubts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_pods_do_not_bear_out_is_doubted_after_a_minute_and_at_the_first_look() {
        let claims = Claims::default();
        let key = Key { namespace: "n".into(), name: "a".into() };
        let doubted = |claimed: u32, ready: u32| claims.doubts("s", vec![Count { key: key.clone(), claimed, ready }]).into_values().next();
        assert_eq!(doubted(2, 0), Some(0), "nothing is on its way");
        assert_eq!(doubted(2, 2), None);
        assert_eq!(doubted(2, 1), None, "one has just gone");
        tokio::time::advance(Duration::from_secs(50)).await;
        assert_eq!(doubted(2, 0), None);
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(doubted(2, 0), Some(0));
        assert_eq!(doubted(2, 1), Some(1));
        assert_eq!((doubted(1, 1), doubted(1, 3)), (None, None));
    }
}
