//! Moments at which clusters replace things by themselves, as other collectors read them.

use std::collections::{BTreeMap, BTreeSet};

use crate::collectors::kubernetes::kinds::certmanager;
use crate::collectors::kubernetes::kinds::karpenter;
use crate::collectors::kubernetes::kinds::lifetimes;
use crate::collectors::kubernetes::watching::visibility::seen_everywhere;
use crate::collectors::kubernetes::watching::watched::Matching;
use crate::event::Occurrence;
use crate::metric::{Gauge, Sample};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::Snapshot;

/// Moments in Unix seconds, by subject, or why those of one are not known.
pub(in crate::collectors) type Moments = BTreeMap<String, Result<Vec<i64>, Message>>;

/// When nodes of a pool expire, by cluster and pool, or why that is not known. A pool whose nodes
/// never expire has none.
pub(in crate::collectors) fn node_expiries(seen: &Snapshot, pool: &str) -> Result<Moments, Message> {
    let subject = |sample: &Sample| (sample.label("nodepool") == Some(pool)).then(|| format!("{}/{pool}", sample.label("cluster").unwrap_or_default()));
    // A pool that nobody has would never expire, and that would be a false go.
    seen_everywhere(seen, karpenter::POOL_CONDITION.0.name, "nodepools", &[Matching::Matched])?;
    let pools: BTreeSet<String> = seen.samples_of(karpenter::POOL_CONDITION.0.name).filter_map(subject).collect();
    if pools.is_empty() {
        return Err(say!("no cluster has a NodePool {}", named(pool)));
    }
    let mut found = moments(seen, &karpenter::CLAIM_EXPIRY, "nodeclaims", subject)?;
    // One without nodes is an answer, too.
    found.extend(pools.into_iter().filter(|pool| !found.contains_key(pool)).map(|pool| (pool, Ok(Vec::new()))).collect::<Vec<_>>());
    Ok(found)
}

/// Seconds between an event and the nearest expiry of a node of a pool, `cluster/pool`, which may be one that is
/// yet to be made; NaN when one of them cannot be known, or was not looked at for this event; `None` when none ever
/// expires.
pub(in crate::collectors) fn expiry_near_event(seen: &Snapshot, pool: &str, event: &Occurrence) -> Option<f64> {
    let of_pool = |sample: &&Sample| {
        let label = |name: &str| sample.label(name).unwrap_or_default();
        pool.strip_prefix(label("cluster")).and_then(|rest| rest.strip_prefix('/')) == Some(label("nodepool"))
    };
    let told = seen.views.iter().flat_map(|view| view.of(lifetimes::EXPIRY_DISTANCE.0.name).filter(of_pool).map(move |sample| (view, sample)));
    let (own, others): (Vec<_>, Vec<_>) = told.partition(|(view, sample)| sample.label("event") == event.name_at(view.seen_at));
    let nearest = own.iter().map(|(_, sample)| sample.value).reduce(|one, other| if one.is_nan() || other.is_nan() { f64::NAN } else { one.min(other) });
    nearest.or_else(|| (!others.is_empty()).then_some(f64::NAN))
}

/// The certificate of cert-manager that begins and ends then, is ready, and is renewed before that, or was renewed a moment
/// ago, as `cluster/namespace/name`. An end alone is that of many: issuers give all their certificates the same life, and so
/// what was made by hand may end in the same minute, but it was not made in the same one as well.
pub(in crate::collectors) fn renewed_certificate(seen: &Snapshot, life: [i64; 2], now: i64) -> Option<String> {
    let key = |sample: &Sample| ["cluster", "namespace", "name"].map(|label| sample.label(label).unwrap_or_default().to_owned());
    let own = |family: &'static str, wanted: &[String; 3]| seen.samples_of(family).find(|sample| key(sample) == *wanted);
    let mut named = seen.samples_of(certmanager::NOT_AFTER.0.name).map(|sample| (key(sample), sample.second()));
    named.find_map(|(certificate, ends)| {
        let moment = |family: &'static str| own(family, &certificate).filter(|sample| sample.value.is_finite()).map(Sample::second);
        let issued = Issued { begins: moment(certmanager::NOT_BEFORE.0.name)?, ends, renewal: moment(certmanager::RENEWAL.0.name)? };
        let is_ready = own(certmanager::READY.0.name, &certificate).is_some_and(|ready| ready.value > 0.5);
        let in_time = || moment(certmanager::DEADLINE.0.name).is_some_and(|deadline| deadline > now);
        let renews = issued.is(life) && in_time() || issued.has_followed(life, now);
        (is_ready && renews && issued.renewal < ends).then(|| certificate.join("/"))
    })
}

/// A certificate as cert-manager has it now.
struct Issued {
    begins: i64,
    ends: i64,
    renewal: i64,
}

impl Issued {
    /// Whether it lives as long as another one. Both ends are read by the same clock, so that their difference is exact.
    fn lives_as(&self, [begins, ends]: [i64; 2]) -> bool {
        (self.ends - self.begins).abs_diff(ends - begins) <= 1
    }

    /// Whether it is that one.
    fn is(&self, life: [i64; 2]) -> bool {
        self.lives_as(life) && self.ends.abs_diff(life[1]) <= CLOCKS
    }

    /// Whether it was made in the place of that one a moment ago, so that a server may still present the old one: kubelets
    /// bring a new Secret within two minutes, and who presents it has to notice. Nothing names its predecessor, but
    /// cert-manager renews all of them at the same age, so that one came due when this was made, or up to an hour later as
    /// issuers date back. Of another certificate that lives as long, an hour in four days would be the right one.
    fn has_followed(&self, life: [i64; 2], now: i64) -> bool {
        let slack = ((life[1] - life[0]) / 10).min(FOLLOWING);
        let due = life[0].saturating_add(self.renewal - self.begins);
        let at = |from: i64, until: i64| due >= from.saturating_sub(slack) && due <= until;
        self.lives_as(life) && self.begins > life[0] && at(self.begins, self.begins + slack + CLOCKS.cast_signed()) && at(now, now + CLOCKS.cast_signed())
    }
}

/// Seconds that may pass until a server presents what was renewed, and by which issuers date back.
/// Source: <https://letsencrypt.org/docs/profiles/>
const FOLLOWING: i64 = 3600;

/// Seconds by which the clock of a cluster may be read wrongly.
const CLOCKS: u64 = 60;

/// When certificates of a namespace are renewed, by cluster, namespace and name, or why that is not
/// known. One of which nothing says it may be renewed at any moment.
pub(in crate::collectors) fn certificate_renewals(seen: &Snapshot, namespace: &str) -> Result<Moments, Message> {
    let subject = |sample: &Sample| {
        let label = |name: &str| sample.label(name).unwrap_or_default();
        (label("namespace") == namespace).then(|| format!("{}/{namespace}/{}", label("cluster"), label("name")))
    };
    let mut found = moments(seen, &certmanager::RENEWAL, "certificates", subject)?;
    for certificate in seen.samples_of(certmanager::READY.0.name).filter_map(subject) {
        found.entry(certificate).or_insert_with(|| Err(say!("nothing says when it is renewed")));
    }
    if found.is_empty() { Err(say!("no certificate of {} was seen", named(namespace))) } else { Ok(found) }
}

fn moments(seen: &Snapshot, family: &'static Gauge<3>, selector: &str, subject: impl Fn(&Sample) -> Option<String>) -> Result<Moments, Message> {
    seen_everywhere(seen, family.0.name, selector, &[Matching::Matched, Matching::Empty])?;
    let mut moments = Moments::new();
    for sample in seen.samples_of(family.0.name) {
        if let Some(subject) = subject(sample)
            && let Ok(own) = moments.entry(subject).or_insert_with(|| Ok(Vec::new()))
        {
            own.push(sample.second());
        }
    }
    Ok(moments)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::event::Turn;
    use crate::snapshot::{Observation, Source, Store, Subjects};

    const DAY: i64 = 24 * 3600;

    /// By which certificate one that began then and lives for six days is renewed, while cert-manager has that one, which
    /// began then and is due after four.
    fn renewed(begins: i64, issued: i64, now: i64) -> Option<String> {
        let labels = ["eu", "coder", "web"];
        let moments = [
            (&certmanager::READY, 1),
            (&certmanager::NOT_BEFORE, issued),
            (&certmanager::NOT_AFTER, issued + 6 * DAY),
            (&certmanager::RENEWAL, issued + 4 * DAY),
            (&certmanager::DEADLINE, issued + 4 * DAY + 3600),
        ];
        let samples = moments.map(|(family, at)| family.sample(labels, at as f64)).into();
        let store = Store::default();
        store.add(Source { subjects: Subjects::Nothing, ..Source::new("kubernetes", "eu", Duration::from_mins(1)) });
        store.report("kubernetes", "eu", Duration::ZERO, Ok(Observation::new(samples, 1, 0)));
        renewed_certificate(&store.snapshot(), [begins, begins + 6 * DAY], now)
    }

    #[test]
    fn one_certificate_says_nothing_of_another_one() {
        let store = Store::default();
        let covers = vec![("selector", vec!["certificates".to_owned()])];
        let source = Source::new("kubernetes", "eu", Duration::from_mins(1));
        store.add(Source { subjects: Subjects::Nothing, emits: vec![certmanager::RENEWAL.0.name], covers, ..source });
        let [a, b, other] = [["eu", "coder", "a"], ["eu", "coder", "b"], ["eu", "other", "c"]];
        let found = crate::collectors::kubernetes::watching::visibility::SELECTOR.sample(["eu", "certificates", "Certificate"], Matching::Matched);
        let ready = [a, b, other].map(|labels| certmanager::READY.sample(labels, 1.0));
        let samples = [found, certmanager::RENEWAL.sample(a, 900.0)].into_iter().chain(ready).collect();
        store.report("kubernetes", "eu", Duration::ZERO, Ok(Observation::new(samples, 1, 0)));
        let told = certificate_renewals(&store.snapshot(), "coder").unwrap();
        assert_eq!(told["eu/coder/a"], Ok(vec![900]));
        assert!(told["eu/coder/b"].as_ref().is_err_and(|why| why.as_str() == "nothing says when it is renewed"), "{told:?}");
        assert_eq!(told.len(), 2);
        assert!(certificate_renewals(&store.snapshot(), "third").is_err());
    }

    /// After the end of an occurrence the next one has its name, and a distance that was told before is that of the old one.
    #[test]
    fn a_distance_is_that_of_the_event_which_had_the_name_when_it_was_told() {
        let store = Store::default();
        store.add(Source { subjects: Subjects::Nothing, ..Source::new("kubernetes", "eu", Duration::from_mins(1)) });
        let told =
            [("weekly", 9_000.0), ("weekly +1", 60.0)].map(|(event, distance)| lifetimes::EXPIRY_DISTANCE.sample(["eu", "gpu", "gpu-1", event], distance));
        store.report("kubernetes", "eu", Duration::ZERO, Ok(Observation::new(told.into(), 1, 0)));
        let seen = store.snapshot();
        let at = |seconds: i64| Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        let event = |name: &str, turn: Option<i64>| Occurrence {
            name: name.to_owned(),
            of: "weekly".to_owned(),
            checklists: Vec::new(),
            start: at(0),
            end: at(0),
            zone: jiff::tz::TimeZone::UTC,
            participants: None,
            lead_times: Vec::new(),
            turn: turn.map(|seconds| Turn { at: at(seconds), before: "weekly +1".to_owned(), since: Timestamp::MIN }),
        };
        let distance = |event: &Occurrence| expiry_near_event(&seen, "eu/gpu", event);
        assert_eq!(distance(&event("weekly", None)), Some(9_000.0));
        assert_eq!(distance(&event("weekly", Some(-60))), Some(9_000.0), "told after the turn");
        assert_eq!(distance(&event("weekly", Some(60))), Some(60.0), "told before it");
        assert!(distance(&event("another", None)).is_some_and(f64::is_nan), "nobody has looked");
        assert_eq!(expiry_near_event(&seen, "eu/other", &event("weekly", None)), None);
    }

    #[test]
    fn a_certificate_is_renewed_before_and_while_and_shortly_after_that_happens() {
        let due = 4 * DAY;
        assert_eq!(renewed(0, 0, due - 60).as_deref(), Some("eu/coder/web"));
        assert!(renewed(0, 0, due + 120).is_some(), "it is being issued");
        assert!(renewed(0, 0, due + 3700).is_none(), "nobody issues it");
        assert!(renewed(0, due, due + 60).is_some(), "the server presents the old one still");
        assert!(renewed(0, due, due + 3700).is_none(), "the server never noticed");
        assert!(renewed(DAY, due, due + 60).is_none(), "that is another one");
    }

    #[test]
    fn the_one_before_is_renewed_for_an_hour_after_the_next_was_made() {
        let (old, due) = ([0, 6 * DAY], 4 * DAY);
        let made = |begins: i64, age: i64| Issued { begins, ends: begins + 6 * DAY, renewal: begins + age };
        let follows = |begins: i64, now: i64| made(begins, 4 * DAY).has_followed(old, now);
        assert!(follows(due + 5, due + 60) && follows(due + 5, due + 3000), "the server takes its time");
        assert!(follows(due + 240 - 3600, due + 300), "dated back by an hour");
        assert!(!follows(due + 5, due + 3700), "the server should have taken it");
        assert!(!follows(due - 2 * 3600, due + 60) && !follows(DAY, due), "that is another one");
        assert!(!follows(0, due - 60), "it is that one itself");
        // One that is renewed when half of its life is over.
        assert!(made(3 * DAY, 3 * DAY).has_followed(old, 3 * DAY + 60) && !made(due, 3 * DAY).has_followed(old, due + 60));
        assert!(!Issued { begins: due, ends: due + 7 * DAY, renewal: due + 4 * DAY }.has_followed(old, due + 60), "it lives longer");
        // One of an hour has six minutes.
        let hourly = |now: i64| Issued { begins: 2400, ends: 6000, renewal: 4800 }.has_followed([0, 3600], now);
        assert!(hourly(2500) && !hourly(2800));
    }
}
