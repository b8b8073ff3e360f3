//! How long the watches of a scope are believed before all is listed again: pure.
//!
//! A server whose cache is stuck ends its watches in time and tells nothing, while a list is answered from etcd. So
//! every list is repeated, and at least every five minutes, since checks that must be red during an event wait no
//! longer than that. But a list of 150,000 pods costs an API server half a minute of a core. One that takes long is
//! therefore repeated seldom, and in between the newest version is asked for, which costs a look at one object: a watch
//! that lives gets there.

use std::time::Duration;

use tokio::time::Instant;

/// How long watches are believed that nothing else is known of.
const BELIEVED: Duration = Duration::from_mins(5);
/// Lists that take less are repeated each time.
const LONG: Duration = Duration::from_secs(3);
/// Of the time that lists take, so many times as much lies between two of them.
const REST: u32 = 100;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::collectors::kubernetes) enum Next {
    /// Watch on.
    Watch,
    /// Ask for the newest version, and tell it.
    Ask,
    /// List anew.
    List,
}

/// What is known of the watches since a list.
#[derive(Debug)]
pub(in crate::collectors::kubernetes) struct Relist {
    list: Instant,
    ask: Option<Instant>,
    /// What a watch must have got to when it is asked the next time.
    mark: Option<u64>,
}

impl Relist {
    /// After a list that took so long.
    pub(in crate::collectors::kubernetes) fn after(took: Duration) -> Self {
        let now = Instant::now();
        let is_long = took >= LONG;
        let list = now + if is_long { BELIEVED.max(took * REST) } else { BELIEVED };
        Self { list, ask: is_long.then(|| now + BELIEVED / 2), mark: None }
    }

    pub(in crate::collectors::kubernetes) fn next(&self) -> Next {
        let now = Instant::now();
        match self.ask {
            _ if now >= self.list => Next::List,
            Some(ask) if now >= ask => Next::Ask,
            Some(_) | None => Next::Watch,
        }
    }

    /// Whether a watch that got to one version is believed, when the newest is another. Versions are numbers that grow.
    /// Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>
    pub(in crate::collectors::kubernetes) fn holds(&mut self, watched: &str, newest: &str) -> bool {
        let (Ok(watched), Ok(newest)) = (watched.parse::<u64>(), newest.parse()) else { return false };
        let reached = self.mark.is_none_or(|mark| watched >= mark);
        (self.ask, self.mark) = (Some(Instant::now() + BELIEVED / 2), Some(newest));
        reached
    }
}
