//! The events of a checklist in PromQL: which of them a check is due for, and when they end.
//!
//! Several may come, and each is judged by itself. A rule fires if the judge sees red for any of them.

use crate::checklist::Guard;
use crate::promql::{Compute, Metric, Query, call, metric, time};

/// The events that a rule is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Events<'a> {
    /// The checklist.
    pub(super) checklist: &'a str,
    /// When the check applies.
    pub(super) when: Guard,
    /// Which part of the time before an event.
    pub(super) stage: Stage,
}

/// A part of the time before an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// From the moment on at which the check blocks.
    Due,
    /// Before that moment, from the first lead time on.
    Early,
}

impl Events<'_> {
    fn own(&self, what: &str) -> Metric {
        metric(format!("readiness_event_{what}")).with("checklist", self.checklist)
    }

    fn start(&self) -> Query {
        self.own("start_timestamp_seconds").max(&["event"])
    }

    /// The events for which the check applies, by name; everything where the check has no guard.
    fn that_count(&self) -> Vec<Query> {
        let Guard { participants_above, lead_time_within, event_active } = self.when;
        let mut conditions = Vec::new();
        match (lead_time_within, self.stage) {
            (Some(lead), Stage::Due) => conditions.push(self.start().and("-", time()).and("<=", lead.as_secs_f64())),
            (Some(lead), Stage::Early) => {
                conditions.push(self.start().and("-", time()).and(">", lead.as_secs_f64()));
                conditions.push(self.own("lead_timestamp_seconds").min(&["event"]).and("<=", time()));
            }
            (None, _) => {}
        }
        if event_active {
            conditions.push(self.start().and("<=", time()));
        }
        if let Some(participants) = participants_above {
            conditions.push(self.own("participants").max(&["event"]).and(">", participants));
        }
        conditions
    }

    /// What stands in for an event where none is coming, if the check applies then: it is judged as if
    /// one were now, but nobody knows how many would take part.
    fn instead(&self, value: Query) -> Option<Query> {
        let applies = self.when.participants_above.is_none() && self.stage == Stage::Due;
        applies.then(|| value.and("unless on ()", self.own("start_timestamp_seconds")).grouped())
    }

    /// The last end of an event for which the check applies, else now: what lasts until then outlives
    /// all of them.
    pub(super) fn last_end(&self) -> Query {
        let end = self.own("end_timestamp_seconds");
        let last = match joined(self.that_count()) {
            None => call("max", [end.into()]).and("or", call("vector", [time()])),
            Some(guards) => {
                let counted = end.max(&["event"]).and("and on (event)", guards).grouped();
                call(
                    "max",
                    [match self.instead(call("vector", [time()])) {
                        Some(now) => counted.and("or", now),
                        None => counted,
                    }],
                )
            }
        };
        call("scalar", [last])
    }

    /// `body` where the check applies. With `own_event` each of its results is about one event, which
    /// must be coming and count.
    pub(super) fn guarded(&self, body: Query, own_event: bool) -> Query {
        let mut guards = self.that_count();
        if own_event {
            guards.insert(0, self.start());
        }
        let Some(guards) = joined(guards) else { return body };
        if own_event {
            return body.grouped().and("and on (event)", guards);
        }
        let applies = match self.instead(call("vector", [1.into()])) {
            Some(now) => guards.and("or", now).grouped(),
            None => guards,
        };
        body.grouped().and("and on ()", applies)
    }
}

/// Conditions on events, all of which must hold for the same one.
fn joined(guards: Vec<Query>) -> Option<Query> {
    guards.into_iter().map(Compute::grouped).reduce(|all, guard| all.and("and on (event)", guard)).map(Compute::grouped)
}
