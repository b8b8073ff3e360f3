//! How many requests a server takes: a bucket that fills evenly and is emptied by requests.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::value::Span;

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
    /// Of one client: a hundred a second. A wall, its audience and two Prometheus behind one proxy ask
    /// a tenth of that; a loop that forgot to sleep waits, and takes no time that looking needs.
    pub(super) const CLIENT: Self = Self { interval: Span(Duration::from_millis(10)), burst: 1_000 };
    /// Of one client without a password, where one is needed.
    pub(super) const STRANGER: Self = Self { interval: Span(Duration::from_millis(50)), burst: 200 };
    /// Of one client with a password that was not right before: each costs a tenth of a second.
    pub(super) const GUESS: Self = Self { interval: Span(Duration::from_millis(500)), burst: 20 };
    /// Of all together, where nothing is configured.
    pub(super) const EVERYBODY: Self = Self { interval: Span(Duration::from_millis(1)), burst: 2_000 };

    /// What lets through as much as both.
    pub(super) fn widened(self, other: Self) -> Self {
        Self { interval: self.interval.min(other.interval), burst: self.burst.max(other.burst) }
    }
}

/// What is left of the requests that may come now. A new one is full.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Level(Option<(f64, Instant)>);

impl Level {
    /// How many more may come now.
    pub(super) fn left(&self, limit: RateLimit) -> f64 {
        let most = f64::from(limit.burst);
        self.0.map_or(most, |(left, since)| (left + since.elapsed().as_secs_f64() / limit.interval.0.as_secs_f64().max(1e-9)).min(most))
    }

    /// Whether one more may come.
    pub(super) fn take(&mut self, limit: RateLimit) -> bool {
        let left = self.left(limit);
        self.0 = Some((if left >= 1.0 { left - 1.0 } else { left }, Instant::now()));
        left >= 1.0
    }
}

/// A level that several share.
#[derive(Debug, Default)]
pub(super) struct Bucket(Mutex<Level>);

impl Bucket {
    /// Whether one more may come.
    pub(super) fn take(&self, limit: RateLimit) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(limit)
    }
}
