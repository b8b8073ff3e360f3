//! The events of a checklist in PromQL: which of them a check is due for, and when they end.
//!
//! Several may come, and each is judged by itself. A rule fires if the judge sees red for any of them.

use crate::checklist::{Guard, quoted};

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
    fn own(&self, what: &str) -> String {
        format!("readiness_event_{what}{{checklist={}}}", quoted(self.checklist))
    }

    /// The events for which the check applies, by name; everything where the check has no guard.
    fn that_count(&self) -> Vec<String> {
        let Guard { participants_above, lead_time_within, event_active } = self.when;
        let start = format!("max by (event) ({})", self.own("start_timestamp_seconds"));
        let mut conditions = Vec::new();
        match (lead_time_within, self.stage) {
            (Some(lead), Stage::Due) => conditions.push(format!("{start} - time() <= {}", lead.as_secs_f64())),
            (Some(lead), Stage::Early) => {
                conditions.push(format!("{start} - time() > {}", lead.as_secs_f64()));
                conditions.push(format!("min by (event) ({}) <= time()", self.own("lead_timestamp_seconds")));
            }
            (None, _) => {}
        }
        if event_active {
            conditions.push(format!("{start} <= time()"));
        }
        if let Some(participants) = participants_above {
            conditions.push(format!("max by (event) ({}) > {participants}", self.own("participants")));
        }
        conditions
    }

    /// What stands in for an event where none is coming, if the check applies then: it is judged as if
    /// one were now, but nobody knows how many would take part.
    fn instead(&self, value: &str) -> Option<String> {
        let applies = self.when.participants_above.is_none() && self.stage == Stage::Due;
        applies.then(|| format!("({value} unless on () {})", self.own("start_timestamp_seconds")))
    }

    /// The last end of an event for which the check applies, else now: what lasts until then outlives
    /// all of them.
    pub(super) fn last_end(&self) -> String {
        let end = self.own("end_timestamp_seconds");
        let guards = self.that_count();
        if guards.is_empty() {
            return format!("scalar(max({end}) or vector(time()))");
        }
        let counted = format!("(max by (event) ({end}) and on (event) {})", joined(&guards));
        format!("scalar(max({}))", self.instead("vector(time())").map_or_else(|| counted.clone(), |now| format!("{counted} or {now}")))
    }

    /// `body` where the check applies. With `own_event` each of its results is about one event, which
    /// must be coming and count.
    pub(super) fn guarded(&self, body: String, own_event: bool) -> String {
        let mut guards = self.that_count();
        if own_event {
            guards.insert(0, format!("max by (event) ({})", self.own("start_timestamp_seconds")));
            return format!("({body}) and on (event) {}", joined(&guards));
        }
        if guards.is_empty() {
            return body;
        }
        let counted = joined(&guards);
        let applies = self.instead("vector(1)").map_or_else(|| counted.clone(), |now| format!("({counted} or {now})"));
        format!("({body}) and on () {applies}")
    }
}

/// Conditions on events, all of which must hold for the same one.
fn joined(guards: &[String]) -> String {
    format!("({})", guards.iter().map(|guard| format!("({guard})")).collect::<Vec<_>>().join(" and on (event) "))
}
