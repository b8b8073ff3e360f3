//! How many requests a server takes: a bucket that fills evenly and is emptied by requests.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::config::Span;

/// How many requests, as Prometheus' exporters configure it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimit {
    /// Time until one more may come.
    pub(super) interval: Span,
    /// How many may come at once.
    pub(super) burst: u32,
}

impl RateLimit {
    /// Where nothing is configured: a hundred a second. A wall, its audience and two Prometheus ask a
    /// tenth of that; a loop that forgot to sleep must not take the time that looking needs.
    pub(super) const DEFAULT: Self = Self { interval: Span(Duration::from_millis(10)), burst: 1_000 };
}

/// What is left of the requests that may come now.
#[derive(Debug)]
pub struct Bucket(Mutex<(f64, Instant)>);

impl Bucket {
    /// One that is full.
    pub(super) fn full(limit: RateLimit) -> Self {
        Self(Mutex::new((f64::from(limit.burst), Instant::now())))
    }

    /// Whether one more may come.
    pub(super) fn take(&self, limit: RateLimit) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, since) = *bucket;
        let now = Instant::now();
        let more = (now - since).as_secs_f64() / limit.interval.as_secs_f64().max(1e-9);
        let left = (left + more).min(f64::from(limit.burst));
        *bucket = (if left >= 1.0 { left - 1.0 } else { left }, now);
        left >= 1.0
    }
}
