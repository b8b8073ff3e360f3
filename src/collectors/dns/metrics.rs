//! What is exported about names.

use super::agreement::Alike;
use super::origin::Records;
use super::view::{Comparison, Completeness};
use crate::metric::{Coverage, Gauge, StateSet, States as _, Unit, gauge, metrics, state_set};
use crate::net::DnsOutcome;

const LABELS: [&str; 2] = ["target", "resolver"];
const TYPED: [&str; 3] = ["target", "resolver", "record_type"];

/// What a resolver said for each record type.
const WHOLE: Coverage = Coverage::of(ANSWER.0.name, &[Completeness::Complete.as_str()]);
/// An answer that is whole is good or not, and so is none at all; a half may be either.
pub(super) const SETTLED_ONE: Coverage = Coverage { seen: &[Completeness::Complete.as_str(), Completeness::Failed.as_str()], ..WHOLE };
/// What one record type tells as well.
const ANY: Coverage = Coverage { seen: &[Completeness::Complete.as_str(), Completeness::Partial.as_str()], ..WHOLE };
/// What every look has.
const LOOKED: Coverage = Coverage { seen: Completeness::WORDS, ..WHOLE };
/// How a question ends without a definite answer.
const UNDEFINED: &[&str] =
    &[DnsOutcome::Servfail.as_str(), DnsOutcome::Refused.as_str(), DnsOutcome::Timeout.as_str(), DnsOutcome::Error.as_str(), DnsOutcome::Unasked.as_str()];
/// A definite answer to one question.
const DEFINITE: Coverage = Coverage::of(LOOKUP.0.name, &[DnsOutcome::Answered.as_str(), DnsOutcome::Nodata.as_str(), DnsOutcome::Nxdomain.as_str()]);

metrics! {
    /// Families of this collector.
    pub(super) FAMILIES;

    pub(super) static SUCCESS: Gauge<2> = gauge(
        "readiness_dns_success",
        Unit::Flag,
        &LABELS,
        "Whether a resolver answered with addresses that servers can have, and with at least one; absent while it answers for some of the record types and fails for others, and where this program's host has no route to the resolver.",
    )
    .covered_by(SETTLED_ONE.each());
    pub(super) static ANSWER: StateSet<Completeness, 2> = state_set(
        "readiness_dns_answer_state",
        &LABELS,
        "Whether a resolver gave a definite answer for every record type of a name, for some of them, or for none; unasked where this program's host has no route to it.",
    )
    .unseen_in(&[Completeness::Unasked.as_str()]);
    pub(super) static LOOKUP: StateSet<DnsOutcome, 3> = state_set(
        "readiness_dns_lookup_state",
        &TYPED,
        "How the last question to a resolver ended.",
    )
    .unseen_in(UNDEFINED);
    pub(super) static ANSWERS: Gauge<3> = gauge("readiness_dns_answers", Unit::Number, &TYPED, "Address records of the name in the last definite answer of a resolver.")
        .covered_by(DEFINITE.each());
    pub(super) static TTL: Gauge<3> =
        gauge("readiness_dns_ttl_seconds", Unit::Seconds, &TYPED, "Lowest time to live in the last answer of a resolver, its CNAME chain included.")
            .covered_by(DEFINITE.each_in(&[DnsOutcome::Answered.as_str()]));
    pub(super) static CHAIN: Gauge<2> =
        gauge("readiness_dns_cname_hops", Unit::Number, &LABELS, "Length of the CNAME chain in the last answer of a resolver.").covered_by(ANY.each());
    pub(super) static DURATION: Gauge<2> =
        gauge("readiness_dns_lookup_duration_seconds", Unit::Seconds, &LABELS, "Time that a resolver took for all record types of a name, or until it failed.")
            .covered_by(LOOKED.each());
    pub(super) static TARGET: StateSet<Comparison, 2> = state_set(
        "readiness_dns_target_state",
        &LABELS,
        "Whether a name resolves to what the configuration expects; unknown behind a proxy, without a whole answer, or while the expected load balancer cannot be seen.",
    )
    .covered_by(LOOKED.each())
    .made_by("`expect` to a name in collectors.dns.names");
    pub(super) static PROXIED: Gauge<2> =
        gauge("readiness_dns_proxied", Unit::Flag, &LABELS, "Whether an answer lies in the networks of a proxy, which hides the origin.")
            .covered_by(WHOLE.each());
    pub(super) static ORIGIN: StateSet<Records, 2> = state_set(
        "readiness_dns_record_state",
        &LABELS,
        "Whether a name has records of its own, or answers just like random neighbours and thus from the wildcard above it; unknown while both answer with parts of one pool.",
    )
    .covered_by(LOOKED.each())
    .made_by("a name that is no wildcard to collectors.dns.names");
    pub(super) static AGREEMENT: StateSet<Alike, 1> = state_set(
        "readiness_dns_agreement_state",
        &["target"],
        "Whether all resolvers answer alike, or each with what the configuration expects; unknown while one of them has no whole answer, while they differ for no longer than the longest time to live seen, and where one alias answers them differently.",
    )
    .covered_by(LOOKED.each())
    .made_by("a second resolver to collectors.dns.resolvers");
}
