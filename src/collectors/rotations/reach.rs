//! Whether a rotation has reached everybody: copies of a credential that should be the same, and
//! workloads that still run with what they read before it changed.

use std::collections::BTreeSet;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::config::{Config, Consumer, Copies};
use crate::collectors::{credentials, kubernetes};
use crate::driver::Poll;
use crate::metric::{StateSet, metrics, state_set, states};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, Observation, Snapshot, Subject};

states! {
    /// Whether copies have the same content.
    pub(super) enum Likeness {
        Identical => "identical",
        Different => "different",
        Unknown => "unknown",
    }
}

states! {
    /// Whether a workload was started after a credential changed.
    pub(super) enum Freshness {
        Current => "current",
        Stale => "stale",
        Unknown => "unknown",
    }
}

metrics! {
    /// Families about what a rotation has reached.
    pub(super) FAMILIES;

    pub(super) static COPIES: StateSet<Likeness, 1> = state_set(
        "readiness_credential_copies_state",
        &["copies"],
        "Whether copies of one credential have the same content, from short salted hashes of what the credentials collector read.",
    );
    pub(super) static CONSUMER: StateSet<Freshness, 2> = state_set(
        "readiness_credential_consumer_state",
        &["credential", "selector"],
        "Whether the containers of a workload were started after its credential last changed, cached from the Kubernetes API; stale while any is older.",
    );
}

/// What the configuration asks to be compared.
pub(super) fn subjects(config: &Config) -> Vec<Subject> {
    let copies = config.copies.iter().map(|own| Subject {
        what: format!("copies {}", own.name),
        labels: [("copies", own.name.as_str())].into(),
        families: vec![COPIES.0.name],
    });
    let consumers = config.consumers.iter().map(|own| Subject {
        what: format!("consumer {} of {}", own.workloads, own.credential),
        labels: [("credential", own.credential.as_str()), ("selector", &own.workloads)].into(),
        families: vec![CONSUMER.0.name],
    });
    copies.chain(consumers).collect()
}

/// Compares.
pub(super) struct Reach {
    pub(super) copies: Vec<Copies>,
    pub(super) consumers: Vec<Consumer>,
}

impl Reach {
    fn look_at(&self, seen: &Snapshot) -> Observation {
        let fingerprints = credentials::fingerprints(seen);
        let mut samples = Vec::new();
        for Copies { name, credentials } in &self.copies {
            let missing: Vec<&str> = credentials.iter().map(String::as_str).filter(|own| !fingerprints.contains_key(own)).collect();
            let distinct: BTreeSet<&str> = credentials.iter().filter_map(|own| fingerprints.get(own.as_str()).copied()).collect();
            // Two that differ are different whatever a third one is.
            samples.push(if distinct.len() > 1 {
                let words = credentials.iter().filter_map(|own| Some(say!("{} is {}", named(own), named(fingerprints.get(own.as_str())?))));
                COPIES.sample([name.as_str()], Likeness::Different).with_detail(Message::joined(words, ", "))
            } else if missing.is_empty() {
                COPIES.sample([name.as_str()], Likeness::Identical)
            } else {
                COPIES.sample([name.as_str()], Likeness::Unknown).with_detail(say!("{} could not be read", Message::of_names(missing)))
            });
        }
        for Consumer { credential, workloads } in &self.consumers {
            let labels = [credential.as_str(), workloads.as_str()];
            let latest = credentials::last_changed(seen, credential).ok_or_else(|| say!("when {} was last changed is not known", named(credential)));
            let earliest = credentials::changed_not_before(seen, credential);
            let judged = latest.and_then(|latest| Ok((latest, kubernetes::oldest_start(seen, workloads)?)));
            samples.push(match (judged, earliest) {
                (Err(why), _) => CONSUMER.sample(labels, Freshness::Unknown).with_detail(why),
                (Ok((_, Some(started))), Some(earliest)) if started < earliest => {
                    CONSUMER.sample(labels, Freshness::Stale).with_detail(say!("a container was started {} before the change", span(earliest - started)))
                }
                (Ok((latest, Some(started))), _) if started < latest => CONSUMER.sample(labels, Freshness::Unknown).with_detail(say!(
                    "a container was started {} before something was written where {} is kept, and whether that changed it is not known",
                    span(latest - started),
                    named(credential)
                )),
                (Ok(_), _) => CONSUMER.sample(labels, Freshness::Current),
            });
        }
        Observation::new(samples, self.copies.len() + self.consumers.len(), 0)
    }
}

fn span(seconds: i64) -> crate::value::Span {
    crate::value::Span::secs(u64::try_from(seconds).unwrap_or_default())
}

impl Poll for Reach {
    fn look<'a>(&'a mut self, seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        async { Ok(self.look_at(seen)) }.boxed()
    }
}
