//! The cluster's clock: how far it is from ours, so that the ages of its objects are not measured
//! with a wrong one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::value::Span;

/// Seconds that the API server's clock is ahead of ours; shared by all who look at one cluster.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock(Arc<AtomicI64>);

impl Clock {
    /// Takes the `Date` header of an answer, which has a resolution of a second.
    pub(super) fn learn(&self, date: Timestamp) {
        let ahead = date.as_second().saturating_sub(now());
        // A second is what rounding and the way of the answer make.
        self.0.store(if ahead.abs() <= 1 { 0 } else { ahead }, Ordering::Relaxed);
    }

    /// Seconds that the cluster is ahead.
    pub(super) fn ahead(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The age of numbers that were taken at a moment of the cluster, where that is too old to speak of now.
    pub(super) fn stale(&self, taken: Timestamp) -> Option<Span> {
        let age = now().saturating_add(self.ahead()).saturating_sub(taken.as_second());
        let age = Duration::from_secs(u64::try_from(age).unwrap_or_default());
        (age > FRESH).then_some(Span(age))
    }

    /// A moment of the cluster on our clock, in Unix seconds.
    pub(super) fn ours(&self, time: &Time) -> i64 {
        time.0.as_second().saturating_sub(self.ahead())
    }
}

/// How old numbers may be that a kubelet or the metrics API tells as those of now. Kubelets and metrics servers look
/// four times a minute to once a minute, and the clock of a node may be off by minutes.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// Now, in Unix seconds.
pub(super) fn now() -> i64 {
    Timestamp::now().as_second()
}
