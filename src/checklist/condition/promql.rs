//! When a value is red, as PromQL that says what [`Condition::violates`] says.

use std::collections::BTreeMap;
use std::fmt;

use super::{Bound, Condition, Horizon};
use crate::metric::Family;

/// The expression of what is red.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Red {
    /// A fact, and what is compared with it: the fact alone can be drawn, beside its bound.
    Fact {
        /// One value for each subject.
        fact: String,
        /// The operator and the other side; a harsher bound may follow.
        compared: String,
    },
    /// The comparison lies within.
    Whole(String),
}

impl fmt::Display for Red {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fact { fact, compared } => write!(f, "{fact} {compared}"),
            Self::Whole(expr) => f.write_str(expr),
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
    pub fn promql(&self, family: &Family, filter: &BTreeMap<String, String>, harsher: Option<f64>, last_end: &str) -> Red {
        let by = family.labels.join(", ");
        let own = selected(family.name, filter, "");
        let any = |aggregate: &str, comparison: String| Red::Whole(format!("{aggregate} by ({by}) ({own} {comparison})"));
        let worst = |aggregate: &str| format!("{aggregate} by ({by}) ({own})");
        let compared = |fact: String, operator: &str, bound: f64, within: &str| {
            // Values beyond a harsher bound are its own.
            let harsher = harsher.map_or_else(String::new, |bound| format!(" {within} {bound}"));
            Red::Fact { fact, compared: format!("{operator} {bound}{harsher}") }
        };
        // What no condition can be compared with is refused with the checklist.
        let other = |bound: &Bound| match bound {
            Bound::Number(number) => number.to_string(),
            Bound::Name(other) => selected(other, filter, ""),
            Bound::States(states) => states.join("|"),
        };
        match self {
            Self::IsFalse => any("min", "== 0".to_owned()),
            Self::Above(Bound::Number(limit)) => compared(worst("max"), ">", *limit, "<="),
            Self::Above(limit @ (Bound::Name(_) | Bound::States(_))) => any("max", format!("> {}", other(limit))),
            Self::Below(Bound::Number(limit)) => compared(worst("min"), "<", *limit, ">="),
            Self::Below(limit @ (Bound::Name(_) | Bound::States(_))) => any("min", format!("< {}", other(limit))),
            Self::Equals(Bound::Number(number)) => any("max", format!("== {number}")),
            Self::Equals(states @ (Bound::Name(_) | Bound::States(_))) => {
                let names = if let Bound::Name(state) = states { state.clone() } else { other(states) };
                let by = if by.is_empty() { "state".to_owned() } else { format!("{by}, state") };
                Red::Whole(format!("max by ({by}) ({}) == 1", selected(family.name, filter, &format!("state=~\"{names}\""))))
            }
            // Not `!=`, which holds for what is no number, and that says nothing.
            Self::Differs(bound) => any("max", format!("< {0} or {own} > {0}", other(bound))),
            Self::ExpiresWithin(Horizon::Now(span)) => compared(format!("{} - time()", worst("min")), "<", span.as_secs_f64(), ">="),
            Self::ExpiresWithin(Horizon::Event { after_event_end }) => {
                compared(format!("{} - {last_end}", worst("min")), "<", after_event_end.as_secs_f64(), ">=")
            }
            Self::OlderThan(span) => compared(format!("time() - {}", worst("min")), ">", span.as_secs_f64(), "<="),
            Self::Promql(expr) => Red::Whole(expr.clone()),
        }
    }
}

fn selected(name: &str, filter: &BTreeMap<String, String>, more: &str) -> String {
    let mut matchers: Vec<String> = filter.iter().map(|(label, value)| format!("{label}={}", quoted(value))).collect();
    if !more.is_empty() {
        matchers.push(more.to_owned());
    }
    if matchers.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", matchers.join(",")) }
}

/// A string of PromQL, which knows the escapes of Go and not those of Rust.
pub fn quoted(text: &str) -> String {
    let escaped = text.chars().fold(String::new(), |mut out, character| {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            // Its reader takes the replacement character for a mistake in the encoding.
            char::REPLACEMENT_CHARACTER => out.push_str("\\ufffd"),
            other => out.push(other),
        }
        out
    });
    format!("\"{escaped}\"")
}
