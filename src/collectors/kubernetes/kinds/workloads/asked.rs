//! What the configuration asks of workloads: always, and for events.

use super::{Beside, Replicas, WORKLOADS, labels, replicas};
use crate::collectors::kubernetes::reading::objects::{Key, Place};
use crate::metric::{Gauge, Sample, Unit, gauge, metrics};
use crate::say;
use crate::say::Message;

const fn of_event(name: &'static str, help: &'static str) -> Gauge<6> {
    gauge(name, Unit::Number, &["cluster", "selector", "kind", "namespace", "name", "event"], help).covered_by(WORKLOADS)
}

metrics! {
    /// Families about what is asked of workloads.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about what workloads must have for events.
    pub(in crate::collectors::kubernetes) REQUIRED_FAMILIES {
        static REQUIRED: Gauge<6> = of_event(
            "readiness_workload_required_replicas",
            "Replicas that the configuration asks of a workload for the participants of an event or, where that are more, for those of an event that overlaps it.",
        );
        static MISSING: Gauge<6> = of_event(
            "readiness_workload_missing_replicas",
            "Ready replicas that a workload lacks of those that the configuration asks of it for an event, as readiness_workload_required_replicas; NaN where it is not known how many are ready or how many participants come. From the Kubernetes API.",
        );
        static OWED: Gauge<6> = of_event(
            "readiness_workload_owed_replicas",
            "The same as readiness_workload_missing_replicas, without bands of the configuration that are advice.",
        );
    }

    /// Families about what workloads were before.
    pub(in crate::collectors::kubernetes) BASELINE_FAMILIES {
        static BASELINE: Gauge<5> = replicas(
            "readiness_workload_baseline_replicas",
            "The fewest replicas that the configuration asks of a workload, however few participants come; 0 where it asks for none.",
        );
    }
}

/// The replicas that an event asks of each workload of a selector, with those that are advice and without, and how many of
/// them are not ready; `None` where nobody knows how many participants come.
pub(in crate::collectors::kubernetes) fn required(
    rows: &[(&Key, &Replicas)],
    beside: &Beside,
    event: &str,
    replicas: Option<[u32; 2]>,
    place: &Place,
    samples: &mut Vec<Sample>,
) {
    for (key, row) in rows {
        let own = || {
            let [cluster, selector, kind, namespace, name] = labels(place, key);
            [cluster, selector, kind, namespace, name, event.into()]
        };
        let Some(replicas) = replicas else {
            let unknown = |family: &'static Gauge<6>| {
                family.sample(own(), f64::NAN).with_detail("the number of participants is not known; set it in events[].participants")
            };
            samples.extend([unknown(&MISSING), unknown(&OWED)]);
            continue;
        };
        samples.push(REQUIRED.sample(own(), f64::from(replicas[0])));
        samples.extend([&MISSING, &OWED].into_iter().zip(replicas).map(|(family, replicas)| {
            let (missing, words) = missing(key, row, replicas, beside);
            family.sample(own(), missing).with_detail(words)
        }));
    }
}

/// How many of so many replicas are not ready. What runs on every node may lack as many as nodes are changing.
fn missing(key: &Key, row: &Replicas, of: u32, beside: &Beside) -> (f64, Message) {
    let missing = of.saturating_sub(row.ready);
    if let Some(why) = beside.doubt(key, row) {
        (f64::NAN, why)
    } else if beside.may_excuse(missing) {
        (f64::NAN, say!("{} of {} ready; nodes that are starting or being taken away: {}", row.ready, of, beside.changing as u64))
    } else {
        (f64::from(missing), say!("{} of {} ready", row.ready, of))
    }
}

/// The replicas that each workload of a selector always has.
pub(in crate::collectors::kubernetes) fn baseline(rows: &[(&Key, &Replicas)], replicas: u32, place: &Place, samples: &mut Vec<Sample>) {
    samples.extend(rows.iter().map(|(key, _)| BASELINE.sample(labels(place, key), f64::from(replicas))));
}
