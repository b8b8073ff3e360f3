//! How an event is configured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Broken, Schedule};
use crate::value::rules::{name, once, quoted, unique};
use crate::value::{Problem, Span};

/// An event: one-off (`start`) or recurring (`cron`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventConfig {
    /// Unique name, the `event` label.
    pub name: String,
    /// The checklist that decides about it, or a list of several, each of which gives its own word; when left out, the one
    /// that is configured, or `workshop` where that is one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checklist: Option<Checklists>,
    /// IANA time zone of all times of this event.
    pub time_zone: String,
    /// Start of a one-off event, local time: `2026-12-01T09:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// End of a one-off event, local time; or give `duration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Starts of a recurring event as a cron expression, local time. Each one whose first lead time has come is
    /// judged, the later ones as `NAME +1`, `NAME +2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// Length of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// Expected participants, 1 or more; checks about capacity need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participants: Option<u32>,
    /// How long before the start a no-go pages.
    #[serde(default = "default_lead_times")]
    pub lead_times: Vec<Span>,
}

/// The checklist that is judged where none is named.
pub(crate) const SHIPPED: &str = "workshop";

/// One checklist by its name, or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Checklists {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Checklists {
    /// Their names.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// Two days, one day and one hour before the start.
pub(crate) fn default_lead_times() -> Vec<Span> {
    vec![Span::days(2), Span::days(1), Span::hours(1)]
}

impl EventConfig {
    /// The checklists that decide about it.
    pub(crate) fn checklists(&self) -> &[String] {
        self.checklist.as_ref().map_or(&[], Checklists::names)
    }

    /// Names the checklist that decides about it where the file does not, if there is no doubt about it.
    pub(crate) fn name_checklist(&mut self, configured: &[&str]) {
        let only = || if let [only] = configured { Some(*only) } else { None };
        let meant = configured.iter().copied().find(|name| *name == SHIPPED).or_else(only);
        self.checklist = self.checklist.take().or_else(|| Some(Checklists::One(meant?.to_owned())));
    }

    /// Reports every rule that its times break.
    pub(crate) fn validate(&self, path: &str, problems: &mut Vec<Problem>) -> Option<Schedule> {
        name(&format!("{path}.name"), &self.name, problems);
        if self.name.rsplit_once(" +").is_some_and(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit())) {
            let rule = "must not end in + and a number, as later occurrences of a recurring event are called";
            problems.push(Problem::new(format!("{path}.name"), rule, quoted(&self.name)));
        }
        if self.checklists().is_empty() {
            problems.push(Problem::bare(format!("{path}.checklist"), "must name at least one checklist"));
        }
        if self.participants == Some(0) {
            let rule = "must be at least 1; leave it out where nobody knows how many will come";
            problems.push(Problem::new(format!("{path}.participants"), rule, 0));
        }
        once(&format!("{path}.lead_times"), self.lead_times.iter().map(ToString::to_string), problems);
        unique(&format!("{path}.checklist"), self.checklists().iter().map(String::as_str), problems);
        let broken = Schedule::broken(self);
        let are_values_good = broken.is_empty();
        problems.extend(broken.into_iter().map(|(field, rule, got)| Problem::new(format!("{path}.{field}"), rule, quoted(&got))));
        match (&self.start, &self.cron) {
            (Some(_), Some(_)) => problems.push(Problem::bare(path, "must have one of start and cron, not both")),
            (None, None) => problems.push(Problem::bare(path, "must have start (one-off) or cron (recurring)")),
            (Some(_), None) if self.end.is_some() == self.duration.is_some() => {
                problems.push(Problem::bare(path, "must have exactly one of end and duration"));
            }
            (None, Some(_)) if self.duration.is_none() => {
                problems.push(Problem::bare(path, "must have a duration, because it recurs"));
            }
            (None, Some(_)) if self.end.is_some() => {
                problems.push(Problem::bare(format!("{path}.end"), "must not be set on a recurring event; use duration"));
            }
            _ if are_values_good => {
                let wrong = |(field, rule, got): Broken| problems.push(Problem::new(format!("{path}.{field}"), rule, quoted(&got)));
                return Schedule::parse(self).map_err(wrong).ok();
            }
            _ => {}
        }
        None
    }
}
