//! A bound on interim answers (1xx): a server may send as many as it likes before the answer itself, and
//! the client reads on for as long as they come, which costs a whole core.
//!
//! Source: RFC 9110, section 15.2.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Request;
use tokio::sync::Notify;

/// More than any server sends: there are four kinds, and early hints come a few times at most.
const MOST: usize = 32;

/// Too many interim answers came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server sends one interim answer after another")]
pub(crate) struct Endless;

impl crate::say::Say for Endless {}

/// Counts the interim answers to one request.
pub(crate) struct Interim(Arc<Notify>);

impl Interim {
    /// Counts those to this request from now on.
    pub(crate) fn of<B>(request: &mut Request<B>) -> Self {
        let enough = Arc::new(Notify::new());
        let (seen, told) = (AtomicUsize::new(0), Arc::clone(&enough));
        hyper::ext::on_informational(request, move |_| {
            if seen.fetch_add(1, Ordering::Relaxed) == MOST {
                told.notify_one();
            }
        });
        Self(enough)
    }

    /// Ends once there are too many; whoever waits for the answer gives up then.
    pub(crate) async fn endless(self) -> Endless {
        self.0.notified().await;
        Endless
    }
}
