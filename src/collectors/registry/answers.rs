//! Answers that all who ask within a round share: fifty tags may name one image, and it is read once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::snapshot::CollectError;

/// Answers of each kind that are remembered for each registry.
const REMEMBERED: usize = 2_000;
/// How long one is shared that may be another one soon: less than the second after which a single look, which stops a
/// pipeline, asks once more.
const BRIEFLY: Duration = Duration::from_millis(500);

/// Answers by what they are about, each asked for by the first who wants it.
pub(super) struct Answers<K, A> {
    known: Mutex<BTreeMap<K, Look<A>>>,
}

/// For how long an answer serves those who ask after it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasts {
    Ever,
    ARound,
    Briefly,
}

impl Lasts {
    /// What failed for a reason that may pass is asked again soon.
    pub(super) fn of<T>(answer: &Result<T, CollectError>) -> Self {
        if answer.as_ref().is_err_and(CollectError::may_pass) { Self::Briefly } else { Self::ARound }
    }
}

/// One question.
struct Look<A> {
    began: Instant,
    /// With the moment when it came.
    answer: Arc<OnceCell<(Instant, A)>>,
}

impl<A> Look<A> {
    fn begin() -> Self {
        Self { began: Instant::now(), answer: Arc::default() }
    }

    fn is_over(&self, round: Duration, lasts: impl Fn(&A) -> Lasts) -> bool {
        match self.answer.get().map(|(came, answer)| (came, lasts(answer))) {
            Some((_, Lasts::Ever)) => false,
            Some((came, Lasts::Briefly)) => came.elapsed() >= BRIEFLY,
            Some((_, Lasts::ARound)) | None => self.began.elapsed() >= round,
        }
    }
}

impl<K, A> Default for Answers<K, A> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl<K: Ord, A: Clone> Answers<K, A> {
    /// The answer that is there, as long as it `lasts`, otherwise that of `ask`, which all wait for who want it
    /// meanwhile. `round` is how long those who ask in one round need.
    pub(super) async fn get<F: Future<Output = A>>(&self, key: K, round: Duration, lasts: impl Fn(&A) -> Lasts, ask: impl FnOnce() -> F) -> A {
        let cell = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= REMEMBERED {
                known.clear();
            }
            let look = known.entry(key).or_insert_with(Look::begin);
            if look.is_over(round, lasts) {
                *look = Look::begin();
            }
            Arc::clone(&look.answer)
        };
        // Those who wait need not have room for all that asking takes.
        let asked = || async {
            let answer = Box::pin(ask()).await;
            (Instant::now(), answer)
        };
        cell.get_or_init(asked).await.1.clone()
    }

    /// The answer that is there, however old.
    pub(super) fn known(&self, key: &K) -> Option<A> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key)?.answer.get().map(|(_, answer)| answer.clone())
    }
}
