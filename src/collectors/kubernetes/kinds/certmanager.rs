//! cert-manager: whether certificates are issued, when they end, and when they are renewed, which
//! may restart what uses them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use crate::collectors::kubernetes::reading::clock::now;
use crate::collectors::kubernetes::reading::objects::{Condition, ConditionStatus, Kind, Place, Rows, flag, kind, or_default};
use crate::collectors::kubernetes::watching::visibility::seen;
use crate::metric::{Coverage, Family, Gauge, Sample, Unit, gauge, metrics};
use crate::say;
use crate::say::named;
use crate::word::Word;

const COVERAGE: Coverage = seen(&["Certificate"]);
const LABELS: [&str; 3] = ["cluster", "namespace", "name"];

metrics! {
    /// Families about cert-manager.
    pub(in crate::collectors::kubernetes) FAMILIES;

    pub(in crate::collectors::kubernetes) static READY: Gauge<3> = gauge(
        "readiness_certmanager_certificate_ready",
        Unit::Flag,
        &LABELS,
        "Whether a certificate is issued and up to date, from the condition Ready in the cert-manager.io/v1 API.",
    )
    .covered_by(COVERAGE);
    pub(in crate::collectors::kubernetes) static RENEWAL: Gauge<3> = gauge(
        "readiness_certmanager_renewal_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When a certificate is renewed next, from status.renewalTime in the cert-manager.io/v1 API.",
    )
    .covered_by(COVERAGE);
    pub(in crate::collectors::kubernetes) static DEADLINE: Gauge<3> = gauge(
        "readiness_certmanager_renewal_deadline_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "By when a certificate must have been renewed: a tenth of the time between its status.renewalTime and its end after that, at least five minutes and an hour at most, but before it ends; NaN where nothing says that it is renewed before it expires, from the cert-manager.io/v1 API.",
    )
    .covered_by(COVERAGE);
    pub(in crate::collectors::kubernetes) static NOT_AFTER: Gauge<3> = gauge(
        "readiness_certmanager_not_after_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When a certificate expires, from status.notAfter in the cert-manager.io/v1 API.",
    )
    .covered_by(COVERAGE);
    pub(in crate::collectors::kubernetes) static NOT_BEFORE: Gauge<3> = gauge(
        "readiness_certmanager_not_before_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "From when on a certificate holds, from status.notBefore in the cert-manager.io/v1 API.",
    )
    .covered_by(COVERAGE.quiet());
}

/// Seconds that an issuer may take. cert-manager chooses a new moment once the renewed certificate is there.
const ISSUING: std::ops::RangeInclusive<i64> = 5 * 60..=60 * 60;
/// Seconds in which nobody wonders that a certificate that was just asked for is not there.
const FIRST_ISSUED: i64 = 10 * 60;

kind!(Certificate, "cert-manager.io", "v1", "certificates", "crate::collectors::kubernetes::reading::objects::slim", status: Status);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct Status {
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<Condition>,
    not_before: Option<Time>,
    not_after: Option<Time>,
    renewal_time: Option<Time>,
}

/// What is kept of a certificate.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Issued {
    /// Not known while its controller has not looked at its last change.
    ready: Option<bool>,
    why: Option<String>,
    /// Since when it has been issued for the first time, on the cluster's clock.
    issuing: Option<i64>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    renewal: Option<Timestamp>,
}

impl Issued {
    /// By when it must have been renewed, on the cluster's clock: one that lives for an hour cannot wait as long as
    /// one that lives for months. `None` where nothing says that it is renewed before it expires.
    fn deadline(&self) -> Option<i64> {
        let renewal = self.renewal?.as_second();
        let Some(end) = self.not_after.map(Timestamp::as_second) else { return Some(renewal.saturating_add(*ISSUING.end())) };
        let left = end.saturating_sub(renewal);
        (left > 0).then(|| renewal.saturating_add((left / 10).clamp(*ISSUING.start(), *ISSUING.end())).min(end))
    }
}

impl Kind for Certificate {
    type Row = Issued;
    const KIND: &'static str = "Certificate";
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES];
    const WINDOWED: bool = true;

    fn row(self) -> Issued {
        let condition = self.status.conditions.iter().find(|condition| condition.r#type == "Ready");
        let issues = self.status.not_after.is_none()
            && self.status.conditions.iter().any(|condition| condition.r#type == "Issuing" && condition.state() == ConditionStatus::True);
        Issued {
            issuing: self.metadata.creation_timestamp.filter(|_| issues).map(|time| time.0.as_second()),
            ready: condition
                .map_or(Some(false), |condition| condition.is_current(self.metadata.generation).then(|| condition.state() == ConditionStatus::True)),
            why: condition
                .filter(|condition| condition.is_current(self.metadata.generation))
                .map_or_else(|| Some("nothing is said about it yet".to_owned()), |condition| Some(Word::of(condition.reason.as_deref()?)?.to_string())),
            not_before: self.status.not_before.map(|time| time.0),
            not_after: self.status.not_after.map(|time| time.0),
            renewal: self.status.renewal_time.map(|time| time.0),
        }
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        for (key, row) in rows.iter() {
            let labels = || [&*place.cluster, &*key.namespace, &*key.name];
            let is_new = row.issuing.is_some_and(|since| now().saturating_add(place.clock.ahead()).saturating_sub(since) < FIRST_ISSUED);
            let ready = READY.sample(labels(), row.ready.filter(|ready| *ready || !is_new).map_or(f64::NAN, flag));
            samples.push(if let Some(why) = &row.why { ready.with_detail(say!("{}", named(why))) } else { ready });
            let ours = |at: Timestamp| at.as_second().saturating_sub(place.clock.ahead()) as f64;
            samples.extend(row.renewal.map(|at| RENEWAL.sample(labels(), ours(at))));
            let ended = row.not_after.map(Timestamp::as_second).filter(|end| *end <= now().saturating_add(place.clock.ahead()));
            let deadline = row.deadline().or(ended).map(|at| DEADLINE.sample(labels(), at.saturating_sub(place.clock.ahead()) as f64));
            let unplanned = || DEADLINE.sample(labels(), f64::NAN).with_detail(say!("nothing says that it is renewed before it expires"));
            // One that was issued ends some day, whether it tells or not.
            let is_issued = row.not_after.is_some() || row.ready != Some(false);
            samples.extend(deadline.or_else(|| is_issued.then(unplanned)));
            samples.extend(row.not_after.map(|at| NOT_AFTER.sample(labels(), ours(at))));
            samples.extend(row.not_before.map(|at| NOT_BEFORE.sample(labels(), ours(at))));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::collectors::kubernetes::tests::{ago, rows, says};

    fn told(status: &Value) -> Vec<String> {
        rows::<Certificate>(&[json!({ "metadata": { "name": "w", "namespace": "n", "creationTimestamp": ago(20) }, "status": status })])
    }

    /// Seconds from now to the end of the time in which it must be renewed.
    fn left(status: &Value) -> i64 {
        let line = told(status).into_iter().find_map(|line| line.strip_prefix("certmanager_renewal_deadline_timestamp_seconds eu/n/w = ")?.parse::<i64>().ok());
        line.unwrap() - now()
    }

    #[test]
    fn a_short_lived_certificate_is_overdue_before_a_long_lived_one_is() {
        let minutes = |minutes: i64| ago(-60 * minutes);
        let renewed = |at: i64, end: i64| left(&json!({ "renewalTime": minutes(at), "notAfter": minutes(end) })) / 60;
        // To be renewed half an hour ago, and it ends in an hour.
        assert_eq!(renewed(-30, 60), -21);
        assert_eq!(renewed(-30, 30 * 24 * 60), 30, "an issuer may take an hour");
        assert_eq!(renewed(20, 60), 25);
        assert_eq!(renewed(20, 22), 22, "not beyond its end");
    }

    #[test]
    fn a_certificate_that_nothing_renews_before_it_ends_is_not_said_to_be_renewed() {
        for renewal in [json!(null), json!(ago(-7200))] {
            says(&told(&json!({ "renewalTime": renewal, "notAfter": ago(-3600) })), "certmanager_renewal_deadline_timestamp_seconds eu/n/w = NaN");
        }
        assert_eq!(left(&json!({ "notAfter": ago(60) })), -60);
        assert!(!told(&json!({})).iter().any(|line| line.contains("deadline")), "it was never issued");
        let issued = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
        says(&told(&issued), "certmanager_renewal_deadline_timestamp_seconds eu/n/w = NaN");
    }

    #[test]
    fn a_certificate_that_was_just_asked_for_is_not_known_to_be_missing() {
        let status = |issuing: &str| json!({ "conditions": [{ "type": "Ready", "status": "False", "reason": "DoesNotExist" }, { "type": "Issuing", "status": issuing }] });
        let ready = "certmanager_certificate_ready eu/n/w = ";
        says(&told(&status("True")), &format!("{ready}NaN"));
        says(&told(&status("False")), &format!("{ready}0"));
        let old = json!({ "metadata": { "name": "w", "namespace": "n", "creationTimestamp": ago(900) }, "status": status("True") });
        says(&rows::<Certificate>(&[old]), &format!("{ready}0"));
    }
}
