//! Answers that all who ask within a round share: fifty tags may name one image, and it is read once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Answers of each kind that are remembered for each registry.
const REMEMBERED: usize = 2_000;

/// Answers by what they are about, each asked for by the first who wants it.
pub(super) struct Answers<K, A> {
    known: Mutex<BTreeMap<K, Look<A>>>,
}

/// Since when an answer is awaited or there.
type Look<A> = (Instant, Arc<OnceCell<A>>);

impl<K, A> Default for Answers<K, A> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl<K: Ord, A: Clone> Answers<K, A> {
    /// The answer that is there, otherwise that of `ask`, which all wait for who want it meanwhile. It is
    /// asked for again when it is no longer `fresh`, unless it is one that `lasts`.
    pub(super) async fn get<F: Future<Output = A>>(&self, key: K, fresh: Duration, lasts: impl Fn(&A) -> bool, ask: impl FnOnce() -> F) -> A {
        let cell = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= REMEMBERED {
                known.clear();
            }
            let now = Instant::now();
            let look = known.entry(key).or_insert_with(|| (now, Arc::default()));
            if now.duration_since(look.0) >= fresh && !look.1.get().is_some_and(lasts) {
                *look = (now, Arc::default());
            }
            Arc::clone(&look.1)
        };
        // Those who wait need not have room for all that asking takes.
        cell.get_or_init(|| Box::pin(ask())).await.clone()
    }

    /// The answer that is there, however old.
    pub(super) fn known(&self, key: &K) -> Option<A> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key)?.1.get().cloned()
    }
}
