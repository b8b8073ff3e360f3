//! When credentials end for good: at their own end, unless a rotation was seen to renew them before.
//!
//! Looks at nothing itself: ends are what the collector of credentials found, and renewals what that of
//! rotations did.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::rotations::{self, Renewal, Renewals};
use super::section::{Collector, Estate};
use super::{credentials, kubernetes, secrets_manager};
use crate::driver::{Form, Poll, Task};
use crate::made::{Made, Shared};
use crate::metric::{Coverage, Gauge, Sample, StateSet, Unit, gauge, metrics, state_set, states};
use crate::say;
use crate::say::Message;
use crate::snapshot::{CollectError, Observation, Snapshot, Source, Subjects};
use crate::value::Span;

/// The `collector` label.
pub const NAME: &str = "lapses";

const LABELS: [&str; 2] = ["credential", "kind"];
const STATES: &str = "readiness_credential_lapse_state";

states! {
    /// Whether a credential expires for good.
    enum Lapse {
        At => "at",
        Renewed => "renewed",
        Never => "never",
        Unknown => "unknown",
    }
}

metrics! {
    /// Families of this collector.
    pub FAMILIES;

    static STATE: StateSet<Lapse, 2> = state_set(
        STATES,
        &LABELS,
        "Whether a credential expires for good, from the facts of credentials and rotations; renewed where a rotation was seen to work, and no pause of it until the last event is over is longer than a credential lives.",
    );
    static MOMENT: Gauge<2> = gauge(
        "readiness_credential_lapse_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When a credential expires, or the first that comes after it and is not renewed before the last event is over, from the facts of credentials and rotations; nothing while a rotation that was seen to work renews each in time.",
    )
    .covered_by(Coverage { kinds: credentials::KINDS, ..Coverage::of(STATES, &[Lapse::At.as_str(), Lapse::Renewed.as_str(), Lapse::Never.as_str()]).quiet() });
}

/// Time between looks, unless credentials are looked at more often.
const INTERVAL: Span = Span::mins(1);

/// This collector.
pub(super) const COLLECTOR: Collector = Collector {
    name: NAME,
    key: "collectors.credentials",
    families: &[FAMILIES],
    tasks: |estate| Ok(estate.collectors.credentials.iter().filter_map(|credentials| task(credentials, estate)).collect()),
};

/// One task for all credentials; none without any.
fn task(credentials: &credentials::Config, estate: &Estate<'_>) -> Option<Task> {
    if credentials.credentials.is_empty() {
        return None;
    }
    let all: Vec<[String; 2]> = credentials.credentials.iter().map(|credential| [credential.name.clone(), credential.kind.as_str().to_owned()]).collect();
    let rotations = estate.collectors.rotations.clone().unwrap_or_default();
    let interval = credentials.interval.0.min(INTERVAL.0);
    Some(Task {
        source: Source {
            subjects: Subjects::Nothing,
            emits: FAMILIES.iter().map(|family| family.name).collect(),
            reads: &[kubernetes::NAME, secrets_manager::NAME, credentials::NAME, rotations::NAME],
            ..Source::new(NAME, "credentials", interval)
        },
        timeout: interval,
        form: Made::of((all, rotations, estate.schedules.to_vec(), Shared(Arc::clone(estate.state))), |(credentials, config, schedules, Shared(state))| {
            let renewals = Renewals { config: config.clone(), schedules: schedules.clone(), state: Arc::clone(state) };
            Form::poll(Lapses { credentials: credentials.clone(), renewals })
        }),
    })
}

struct Lapses {
    /// By name and kind.
    credentials: Vec<[String; 2]>,
    renewals: Renewals,
}

impl Lapses {
    fn facts(&self, credential: &[String; 2], seen: &Snapshot) -> Vec<Sample> {
        let labels = || credential.each_ref().map(String::as_str);
        let at = |ends: i64, why: Message| vec![STATE.sample(labels(), Lapse::At).with_detail(&why), MOMENT.sample(labels(), ends as f64).with_detail(why)];
        let ends = match credentials::end_of(seen, &credential[0]) {
            // Of several parts one may be known to end, whatever the others do.
            Err(why) => {
                let known = credentials::first_end_of(seen, &credential[0]).map(|ends| MOMENT.sample(labels(), ends as f64).with_detail(&why));
                return [STATE.sample(labels(), Lapse::Unknown).with_detail(why)].into_iter().chain(known).collect();
            }
            Ok(None) => return vec![STATE.sample(labels(), Lapse::Never)],
            Ok(Some(ends)) => ends,
        };
        match self.renewals.of(&credential[0], ends, seen, Timestamp::now()) {
            Renewal::Nobody => {
                let why = credentials::words_of_end(seen, &credential[0]);
                vec![STATE.sample(labels(), Lapse::At), Sample { detail: why, ..MOMENT.sample(labels(), ends as f64) }]
            }
            Renewal::Proven(how) => vec![STATE.sample(labels(), Lapse::Renewed).with_detail(how)],
            Renewal::Refuted(why) => at(ends, say!("its end counts, since {}", why)),
            Renewal::Lapses(ends, why) => at(ends, say!("one that is made later expires unrenewed, since {}", why)),
            Renewal::Unseen(why) => vec![STATE.sample(labels(), Lapse::Unknown).with_detail(why)],
        }
    }
}

impl Poll for Lapses {
    fn look<'a>(&'a mut self, seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        let samples = self.credentials.iter().flat_map(|credential| self.facts(credential, seen)).collect();
        async { Ok(Observation::new(samples, self.credentials.len(), 0)) }.boxed()
    }
}
