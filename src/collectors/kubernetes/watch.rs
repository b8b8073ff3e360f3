//! The loop that keeps one cluster's view: connects, lets every scope list and watch, confirms with
//! `/version` once per interval, and publishes what changed.
//!
//! The confirmation is what tells a quiet cluster from a dead connection: an idle watch says
//! nothing for minutes even when all is well.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::collectors::kubernetes::client::api;
use crate::collectors::kubernetes::client::connect::Link;
use crate::collectors::kubernetes::cluster::{CLOCK, Cluster, SETTLE, VERSION};
use crate::collectors::kubernetes::watching::visibility;
use crate::driver::{Publisher, Watch};
use crate::say;
use crate::snapshot::{CollectError, Facts, Observation};

/// A change must be visible within two seconds.
const SETTLE_MOST: Duration = Duration::from_secs(1);

/// A part of the facts, and what it was made from.
#[derive(Default)]
struct Part {
    made: Option<(u64, Instant)>,
    facts: Arc<Facts>,
}

/// The watching collector of one cluster.
pub(super) struct ClusterWatch {
    cluster: Arc<Cluster>,
    link: Link,
    timeout: Duration,
    parts: Vec<Part>,
}

impl ClusterWatch {
    pub(super) fn new(cluster: Arc<Cluster>, link: Link, timeout: Duration) -> Self {
        let parts = cluster.scopes.iter().map(|_| Part::default()).collect();
        Self { cluster, link, timeout, parts }
    }

    async fn run(&mut self, publisher: &Publisher) -> Result<std::convert::Infallible, CollectError> {
        let started = Instant::now();
        let client = self.link.fresh().await?;
        let cluster = Arc::clone(&self.cluster);
        let interval = cluster.config.interval.0;
        let mut server = api::server_version(&client, self.timeout, &cluster.clock).await?;
        let mut followers: FuturesUnordered<_> = cluster.scopes.iter().map(|scope| Arc::clone(scope).follow(client.clone())).collect();
        let mut confirm = tokio::time::interval_at(Instant::now() + interval, interval);
        let mut confirmation: Option<BoxFuture<'_, _>> = None;
        // What cannot be listed in time is shown as not seen, instead of holding up all the rest.
        let patience = started + self.timeout / 2;
        let mut publish_at = Some(patience);
        let mut settle = SETTLE;
        loop {
            let settled = || cluster.scopes.iter().all(|scope| scope.settled()) || Instant::now() >= patience;
            tokio::select! {
                Some(()) = followers.next() => {}
                () = cluster.changed.notified() => {
                    if settled() {
                        let soon = Instant::now() + settle;
                        publish_at = Some(publish_at.map_or(soon, |at| at.min(soon)));
                    }
                }
                _ = confirm.tick(), if confirmation.is_none() => {
                    let (link, client, timeout) = (self.link.clone(), client.clone(), self.timeout);
                    let clock = cluster.clock.clone();
                    confirmation = Some(async move {
                        link.keep_token().await?;
                        api::server_version(&client, timeout, &clock).await
                    }.boxed());
                }
                confirmed = async { match confirmation.as_mut() { Some(answer) => answer.await, None => std::future::pending().await } } => {
                    confirmation = None;
                    server = confirmed?;
                    if settled() {
                        publish_at = Some(Instant::now());
                    }
                }
                () = sleep_until(publish_at) => {
                    publish_at = None;
                    let before = own_time();
                    let observation = self.observe(&server);
                    publisher.publish(started.elapsed().min(self.timeout), Ok(observation));
                    // A twentieth of the time at most goes into publishing.
                    settle = (own_time().saturating_sub(before) * 20).clamp(SETTLE, SETTLE_MOST);
                }
            }
        }
    }

    fn observe(&mut self, server: &str) -> Observation {
        let cluster = &self.cluster;
        let (mut objects, mut api_calls, mut looking) = (0, 1, vec![VERSION.sample([&*cluster.name, server], 1.0)]);
        let ahead = cluster.clock.ahead();
        let offset = CLOCK.sample([Arc::clone(&cluster.name)], ahead.unsigned_abs() as f64);
        looking.push(match ahead {
            0 => offset,
            1.. => offset.with_detail(say!("that of the cluster is ahead")),
            _ => offset.with_detail(say!("that of the cluster is behind")),
        });
        for (scope, part) in cluster.scopes.iter().zip(&mut self.parts) {
            let version = scope.version();
            let old = |at: Instant| scope.windowed() && at.elapsed() >= cluster.config.interval.0;
            if part.made.is_none_or(|(made, at)| made != version || old(at)) {
                let place = cluster.place(scope.selector(), scope.kind());
                *part = Part { made: Some((version, Instant::now())), facts: Arc::new(scope.facts(&place).into()) };
            }
            objects += scope.len().filter(|_| scope.lasting()).unwrap_or_default();
            api_calls += scope.take_api_calls();
            visibility::facts(&cluster.name, scope.as_ref(), &mut looking);
        }
        let at = Timestamp::now();
        let derived = cluster.derived(server, at);
        let facts = self.parts.iter().map(|part| Arc::clone(&part.facts)).chain([Arc::new(looking.into()), Arc::new(derived.into())]);
        let incomplete = !cluster.scopes.iter().all(|scope| scope.settled());
        Observation { at, facts: facts.collect(), objects, api_calls, incomplete }
    }
}

impl Watch for ClusterWatch {
    fn watch<'a>(&'a mut self, publisher: &'a Publisher) -> BoxFuture<'a, CollectError> {
        async move {
            match self.run(publisher).await {
                Ok(never) => match never {},
                Err(error) => {
                    // Kubelets and the metrics API are asked about these nodes by others.
                    self.cluster.scopes.iter().for_each(|scope| scope.lost(&error));
                    error
                }
            }
        }
        .boxed()
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// CPU time of this thread. By the clock on the wall, work takes longer while another thread has the core.
fn own_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}
