//! cert-manager: whether certificates are issued, when they end, and when they are renewed, which
//! may restart what uses them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use super::objects::{Condition, Kind, Place, Rows, flag, kind, or_default};
use super::sight::seen;
use crate::metric::{Coverage, Family, Gauge, Sample, Unit, gauge};
use crate::say;
use crate::say::named;
use crate::word::Word;

const COVERAGE: Coverage = seen(&["Certificate"]);
const LABELS: [&str; 3] = ["cluster", "namespace", "name"];

static READY: Gauge<3> = gauge(
    "readiness_certmanager_certificate_ready",
    Unit::Number,
    &LABELS,
    "Whether a certificate is issued and up to date, from the condition Ready in the cert-manager.io/v1 API.",
)
.covered_by(COVERAGE);
pub(super) static RENEWAL: Gauge<3> = gauge(
    "readiness_certmanager_renewal_timestamp_seconds",
    Unit::Timestamp,
    &LABELS,
    "When a certificate is renewed next, from status.renewalTime in the cert-manager.io/v1 API.",
)
.covered_by(COVERAGE);
static NOT_AFTER: Gauge<3> = gauge(
    "readiness_certmanager_not_after_timestamp_seconds",
    Unit::Timestamp,
    &LABELS,
    "When a certificate ends, from status.notAfter in the cert-manager.io/v1 API.",
)
.covered_by(COVERAGE);

static DEADLINE: Gauge<3> = gauge(
    "readiness_certmanager_renewal_deadline_timestamp_seconds",
    Unit::Timestamp,
    &LABELS,
    "By when a certificate must have been renewed: an hour after its status.renewalTime, or when it ends if that is before, from the cert-manager.io/v1 API.",
)
.covered_by(COVERAGE);

/// Seconds that an issuer may take. cert-manager chooses a new moment once the renewed certificate is there.
const ISSUING: i64 = 60 * 60;

/// Families about cert-manager.
pub(super) static FAMILIES: &[&Family] = &[&READY.0, &RENEWAL.0, &DEADLINE.0, &NOT_AFTER.0];

kind!(Certificate, "cert-manager.io", "v1", "certificates", "super::objects::slim", status: Status);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<Condition>,
    not_after: Option<Time>,
    renewal_time: Option<Time>,
}

/// What is kept of a certificate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Issued {
    /// Not known while its controller has not looked at its last change.
    ready: Option<bool>,
    why: Option<String>,
    not_after: Option<Timestamp>,
    renewal: Option<Timestamp>,
}

impl Kind for Certificate {
    type Row = Issued;
    const KIND: &'static str = "Certificate";
    const FAMILIES: &'static [&'static Family] = FAMILIES;

    fn row(self) -> Issued {
        let condition = self.status.conditions.iter().find(|condition| condition.r#type == "Ready");
        Issued {
            ready: condition.map_or(Some(false), |condition| condition.is_current(self.metadata.generation).then(|| condition.state() == "true")),
            why: condition
                .filter(|condition| condition.is_current(self.metadata.generation))
                .map_or_else(|| Some("nothing is said about it yet".to_owned()), |condition| Some(Word::of(condition.reason.as_deref()?)?.to_string())),
            not_after: self.status.not_after.map(|time| time.0),
            renewal: self.status.renewal_time.map(|time| time.0),
        }
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        for (key, row) in rows.iter() {
            let labels = || [&*place.cluster, &*key.namespace, &*key.name];
            let ready = READY.sample(labels(), row.ready.map_or(f64::NAN, flag));
            samples.push(if let Some(why) = &row.why { ready.with_detail(say!("{}", named(why))) } else { ready });
            let ours = |at: Timestamp| at.as_second().saturating_sub(place.clock.ahead()) as f64;
            samples.extend(row.renewal.map(|at| RENEWAL.sample(labels(), ours(at))));
            let late = row.renewal.map(|at| at.as_second().saturating_add(ISSUING));
            let deadline = late.into_iter().chain(row.not_after.map(Timestamp::as_second)).min();
            samples.extend(deadline.map(|at| DEADLINE.sample(labels(), at.saturating_sub(place.clock.ahead()) as f64)));
            samples.extend(row.not_after.map(|at| NOT_AFTER.sample(labels(), ours(at))));
        }
    }
}
