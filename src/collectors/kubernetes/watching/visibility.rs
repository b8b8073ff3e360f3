//! Facts about looking itself: which scopes were seen, and which permissions are missing.

use std::sync::Arc;

use crate::collectors::kubernetes::watching::watched::{Matching, Scope};
use crate::metric::{Coverage, Gauge, Sample, StateSet, States as _, Unit, gauge, metrics, state_set, states};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{Snapshot, View};

pub(in crate::collectors::kubernetes) const STATES: &str = "readiness_selector_state";

states! {
    /// Whether something could be seen.
    pub(in crate::collectors::kubernetes) enum Look {
        Seen => "seen",
        Unseen => "unseen",
    }
}

metrics! {
    /// Families about looking.
    pub(in crate::collectors::kubernetes) FAMILIES;

    pub(in crate::collectors::kubernetes) static SELECTOR: StateSet<Matching, 3> = state_set(
        STATES,
        &["cluster", "selector", "kind"],
        "Whether a selector matched objects of the Kubernetes API, only some of the names that it asks for, none, or could not be seen.",
    )
    .unseen_in(&[Matching::Unseen.as_str()]);
    static MATCHED: Gauge<3> =
        gauge("readiness_selector_matched_objects", Unit::Number, &["cluster", "selector", "kind"], "Objects of the Kubernetes API that a selector matches.");
    pub(in crate::collectors::kubernetes) static MISSING: Gauge<3> = gauge(
        "readiness_permission_missing",
        Unit::Mark,
        &["cluster", "verb", "resource"],
        "1 for each request that the API server refused because the exporter's identity may not make it.",
    );
}

const FOUND: &[&str] = &[Matching::Matched.as_str()];
pub(in crate::collectors::kubernetes) const LOOKED_AT: &[&str] = &[Matching::Matched.as_str(), Matching::Empty.as_str()];

/// The metric can be judged once objects of these kinds were found.
pub(in crate::collectors::kubernetes) const fn seen(kinds: &'static [&'static str]) -> Coverage {
    Coverage { kinds, ..Coverage::of(STATES, FOUND) }
}

/// The metric can be judged once these kinds were looked at, even if there are none.
pub(in crate::collectors::kubernetes) const fn looked_at(kinds: &'static [&'static str]) -> Coverage {
    Coverage { kinds, ..Coverage::of(STATES, LOOKED_AT).quiet() }
}

/// Whether every cluster that should fill a family for a selector has seen it in one of the states,
/// or which has not, and why.
pub(in crate::collectors::kubernetes) fn seen_everywhere(all: &Snapshot, family: &str, selector: &str, states: &[Matching]) -> Result<(), Message> {
    let covers = |(label, values): &(&str, Vec<String>)| *label == "selector" && values.iter().any(|value| value == selector);
    let watches = |view: &&View| view.source.emits.contains(&family) && view.source.covers.iter().any(covers);
    let mut any = false;
    for view in all.views.iter().filter(watches) {
        any = true;
        let found = || view.of(STATES).filter(|state| state.label("selector") == Some(selector));
        if view.unseen.is_some() || found().next().is_none() {
            return Err(say!("{} is not known", named(&view.source.name)));
        }
        if let Some(state) = found().find(|state| Matching::of(state).is_none_or(|state| !states.contains(&state))) {
            return Err(say!(
                "{}: {}",
                named(&view.source.name),
                state.detail.clone().unwrap_or_else(|| say!("{}", named(state.state().unwrap_or("not seen"))))
            ));
        }
    }
    if any { Ok(()) } else { Err(say!("{} is watched in no cluster", named(selector))) }
}

/// What one scope says about itself.
pub(in crate::collectors::kubernetes) fn facts(cluster: &Arc<str>, scope: &dyn Scope, samples: &mut Vec<Sample>) {
    let labels = || [Arc::clone(cluster), Arc::clone(scope.selector()), scope.kind().into()];
    let visibility = scope.visibility();
    samples.push(SELECTOR.sample(labels(), visibility.state).with_detail(visibility.words));
    samples.extend(scope.len().map(|count| MATCHED.sample(labels(), count as f64)));
    if visibility.denied {
        samples.push(MISSING.sample([&**cluster, "list and watch", &scope.resource()], 1.0));
    }
}
