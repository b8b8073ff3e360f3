//! When a value is red, as PromQL that says what [`Condition::violates`] says.

use std::collections::BTreeMap;
use std::fmt;

use super::{Bound, Condition, Horizon};
use crate::metric::Family;
use crate::promql::{Compute as _, Query, metric, time};

/// The expression of what is red.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Red {
    /// A fact, and what is compared with it: the fact alone can be drawn, beside its bound.
    Fact {
        /// One value for each subject.
        fact: Query,
        /// The operator and the other side; a harsher bound may follow.
        compared: String,
    },
    /// The comparison lies within.
    Whole(Query),
}

impl fmt::Display for Red {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fact { fact, compared } => write!(f, "{fact} {compared}"),
            Self::Whole(query) => query.fmt(f),
        }
    }
}

impl Condition {
    /// What is red among the samples of `family` that `filter` selects. With `harsher`, values beyond that
    /// bound are left to the next band; `last_end` is when the last of the events ends.
    ///
    /// Of several replicas of the exporter one that sees red is enough. Where the worst value is red if
    /// any is, it is taken first, and chooses the band; everywhere else each replica is asked for itself,
    /// and compared with nothing but what it saw itself.
    pub fn promql(&self, family: &Family, filter: &BTreeMap<String, String>, harsher: Option<f64>, last_end: &Query) -> Red {
        let selected = |name: &str| filter.iter().fold(metric(name), |metric, (label, value)| metric.with(label, value));
        let own = || selected(family.name);
        let any = |aggregation: &str, red: Query| Red::Whole(red.by(aggregation, family.labels));
        let worst = |aggregation: &str| own().by(aggregation, family.labels);
        let compared = |fact: Query, operator: &str, bound: f64, within: &str| {
            // Values beyond a harsher bound are its own.
            let harsher = harsher.map_or_else(String::new, |bound| format!(" {within} {bound}"));
            Red::Fact { fact, compared: format!("{operator} {bound}{harsher}") }
        };
        // What no condition can be compared with is refused with the checklist.
        let other = |bound: &Bound| match bound {
            Bound::Number(number) => (*number).into(),
            Bound::Name(other) => selected(other).into(),
            Bound::States(states) => Query::Text(states.join("|")),
        };
        match self {
            Self::IsFalse => any("min", own().and("==", 0)),
            Self::Above(Bound::Number(limit)) => compared(worst("max"), ">", *limit, "<="),
            Self::Above(limit @ (Bound::Name(_) | Bound::States(_))) => any("max", own().and(">", other(limit))),
            Self::Below(Bound::Number(limit)) => compared(worst("min"), "<", *limit, ">="),
            Self::Below(limit @ (Bound::Name(_) | Bound::States(_))) => any("min", own().and("<", other(limit))),
            Self::Equals(Bound::Number(number)) => any("max", own().and("==", *number)),
            Self::Equals(states @ (Bound::Name(_) | Bound::States(_))) => {
                let names = if let Bound::Name(state) = states { state.clone() } else { other(states).to_string() };
                Red::Whole(own().like("state", &names).max(&[family.labels, &["state"]].concat()).ones())
            }
            // Not `!=`, which holds for what is no number, and that says nothing.
            Self::Differs(bound) => any("max", own().and("<", other(bound)).and("or", own().and(">", other(bound)))),
            Self::ExpiresWithin(Horizon::Now(span)) => compared(worst("min").and("-", time()), "<", span.as_secs_f64(), ">="),
            Self::ExpiresWithin(Horizon::Event { after_event_end }) => {
                compared(worst("min").and("-", last_end.clone()), "<", after_event_end.as_secs_f64(), ">=")
            }
            Self::OlderThan(span) => compared(time().and("-", worst("min")), ">", span.as_secs_f64(), "<="),
            Self::Promql(expr) => Red::Whole(Query::Text(expr.clone())),
        }
    }
}
