//! The cluster's clock: how far it is from ours, so that the ages of its objects are not measured
//! with a wrong one.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use crate::value::Span;

/// What is known of the API server's clock; shared by all who look at one cluster.
#[derive(Debug, Clone, Default)]
pub(in crate::collectors::kubernetes) struct Clock(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Seconds that it is ahead of ours.
    ahead: AtomicI64,
    /// Its second at our [`uptime`] 0; 0 while it has told nothing. Our own clock may be set meanwhile, and what
    /// the cluster says is no older for that.
    base: AtomicI64,
}

/// Seconds since this was first asked, by a clock that nobody sets.
fn uptime() -> i64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    i64::try_from(START.elapsed().as_secs()).unwrap_or(i64::MAX)
}

impl Clock {
    /// Takes the `Date` header of an answer, which has a resolution of a second.
    pub(in crate::collectors::kubernetes) fn learn(&self, date: Timestamp) {
        let ahead = date.as_second().saturating_sub(now());
        // A second is what rounding and the way of the answer make.
        self.0.ahead.store(if ahead.abs() <= 1 { 0 } else { ahead }, Ordering::Relaxed);
        self.0.base.store(date.as_second().saturating_sub(uptime()), Ordering::Relaxed);
    }

    /// Seconds that the cluster is ahead.
    pub(in crate::collectors::kubernetes) fn ahead(&self) -> i64 {
        self.0.ahead.load(Ordering::Relaxed)
    }

    /// The age of numbers that were taken at a moment of the cluster, where that is too old to speak of now.
    pub(in crate::collectors::kubernetes) fn stale(&self, taken: Timestamp) -> Option<Span> {
        let base = self.0.base.load(Ordering::Relaxed);
        let cluster = if base == 0 { now() } else { base.saturating_add(uptime()) };
        let age = cluster.saturating_sub(taken.as_second());
        let age = Duration::from_secs(u64::try_from(age).unwrap_or_default());
        (age > FRESH).then_some(Span(age))
    }

    /// A moment of the cluster on our clock, in Unix seconds.
    pub(in crate::collectors::kubernetes) fn ours(&self, time: &Time) -> i64 {
        time.0.as_second().saturating_sub(self.ahead())
    }

    /// The same of what the cluster may not tell, and which counts as now then.
    pub(in crate::collectors::kubernetes) fn ours_or_now(&self, time: Option<&Time>) -> i64 {
        time.map_or_else(now, |time| self.ours(time))
    }
}

/// How old numbers may be that a kubelet or the metrics API tells as those of now. Kubelets and metrics servers look
/// four times a minute to once a minute, and the clock of a node may be off by minutes.
const FRESH: Duration = Duration::from_mins(10);

/// Now, in Unix seconds.
pub(in crate::collectors::kubernetes) fn now() -> i64 {
    Timestamp::now().as_second()
}
