//! Facts about looking itself: which scopes were seen, and which permissions are missing.

use std::sync::Arc;

use super::watched::Scope;
use crate::metric::{Coverage, Family, Gauge, Sample, StateSet, Unit, gauge, state_set};

pub(super) const STATES: &str = "readiness_selector_state";

static SELECTOR: StateSet<3> = state_set(
    STATES,
    &["matched", "incomplete", "empty", "unseen"],
    &["cluster", "selector", "kind"],
    "Whether a selector matched objects of the Kubernetes API, only some of the names that it asks for, none, or could not be seen.",
);
static MATCHED: Gauge<3> =
    gauge("readiness_selector_matched_objects", Unit::Number, &["cluster", "selector", "kind"], "Objects of the Kubernetes API that a selector matches.");
pub(super) static MISSING: Gauge<3> = gauge(
    "readiness_permission_missing",
    Unit::Number,
    &["cluster", "verb", "resource"],
    "1 for each request that the API server refused because the exporter's identity may not make it.",
);

/// Families about looking.
pub(super) static FAMILIES: &[&Family] = &[&SELECTOR.0, &MATCHED.0, &MISSING.0];

/// The metric can be judged once objects of these kinds were found.
pub(super) const fn seen(kinds: &'static [&'static str]) -> Coverage {
    Coverage { states: STATES, seen: &["matched"], kinds, quiet: false }
}

/// The metric can be judged once these kinds were looked at, even if there are none.
pub(super) const fn looked_at(kinds: &'static [&'static str]) -> Coverage {
    Coverage { states: STATES, seen: &["matched", "empty"], kinds, quiet: true }
}

/// What one scope says about itself.
pub(super) fn facts(cluster: &Arc<str>, scope: &dyn Scope, samples: &mut Vec<Sample>) {
    let labels = || [Arc::clone(cluster), Arc::clone(scope.selector()), scope.kind().into()];
    let sight = scope.sight();
    samples.push(SELECTOR.sample(labels(), sight.state).with_detail(&sight.words));
    samples.extend(scope.len().map(|count| MATCHED.sample(labels(), count as f64)));
    if sight.denied {
        samples.push(MISSING.sample([&**cluster, "list and watch", &scope.resource()], 1.0));
    }
}
