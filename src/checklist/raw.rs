//! A checklist as it was written. Where a value of it is wrong in its form, that is told with its place and what is
//! taken there, and cut out, so that it hides nothing of what is wrong elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::condition::{Band, Condition};
use super::example::RawExample;
use super::model::{Guard, Unconfigured};
use super::severity::Severity;
use crate::cause::{self, Cause as _};
use crate::value::rules::quoted;
use crate::value::{DURATION, Problem, Span};

/// Nothing is required here: what is missing is told with its place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChecklist {
    pub(super) checklist: Option<String>,
    pub(super) title: Option<String>,
    #[serde(default)]
    pub(super) unconfigured: Unconfigured,
    pub(super) sections: Option<Vec<RawSection>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSection {
    pub(super) title: Option<String>,
    #[serde(default)]
    pub(super) checks: Vec<RawCheck>,
}

/// A line of a checklist, or a record of the library: what a checklist says of a check is not in the library.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCheck {
    /// A check of the library.
    pub(super) check: Option<String>,
    pub(super) name: Option<String>,
    pub(super) attest: Option<String>,
    pub(super) item: Option<String>,
    pub(super) title: Option<String>,
    pub(super) metric: Option<String>,
    #[serde(default, rename = "where")]
    pub(super) filter: BTreeMap<String, String>,
    pub(super) fails: Option<Condition>,
    pub(super) severity: Option<Severity>,
    pub(super) worsens: Option<Vec<Band>>,
    #[serde(rename = "for")]
    pub(super) hold: Option<Span>,
    pub(super) when: Option<Guard>,
    pub(super) required: Option<bool>,
    pub(super) evidence: Option<String>,
    pub(super) remedy: Option<String>,
    #[serde(default)]
    pub(super) examples: Vec<RawExample>,
}

/// A checklist, and the lines of it that cannot be read, by section and place.
pub(super) type Read = (RawChecklist, BTreeSet<(usize, usize)>);

/// Reads a checklist; nothing where it is no YAML at all.
pub(super) fn read(text: &str, problems: &mut Vec<Problem>) -> Option<Read> {
    let error = match yaml(text) {
        Ok(raw) => return Some((raw, BTreeSet::new())),
        Err(error) => error,
    };
    let read = part_by_part(text, problems).filter(|_| !problems.is_empty());
    if read.is_none() && problems.is_empty() {
        problems.push(Problem::bare("checklist", format!("must follow the model: {}", error.words())));
    }
    read
}

fn yaml<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { with_snippet: false })
}

fn part_by_part(text: &str, problems: &mut Vec<Problem>) -> Option<Read> {
    let (mut whole, mut spoilt): (Value, _) = (yaml(text).ok()?, BTreeSet::new());
    let parts = map(&mut whole, "checklist", problems)?;
    cut_wrong_keys::<RawChecklist>(parts, "", problems);
    let sections = parts.get_mut("sections").and_then(Value::as_array_mut).into_iter().flatten();
    for (index, section) in sections.enumerate() {
        let path = format!("sections[{index}]");
        let Some(parts) = map(section, &path, problems) else { continue };
        cut_wrong_keys::<RawSection>(parts, &path, problems);
        for (position, check) in parts.get_mut("checks").and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
            let path = format!("{path}.checks[{position}]");
            if map(check, &path, problems).is_none_or(|line| spoils(line, &path, problems)) {
                spoilt.insert((index, position));
            }
        }
    }
    // From YAML again, since a number that stands for a text is one there.
    Some((yaml(&whole.to_string()).ok()?, spoilt))
}

/// A map; what is none is told, and becomes one of which nothing else is told.
fn map<'a>(value: &'a mut Value, path: &str, problems: &mut Vec<Problem>) -> Option<&'a mut Map<String, Value>> {
    if !value.is_object() {
        problems.push(Problem::new(path, "must be a map", shown(value)));
        *value = Value::Object(Map::from_iter([("title".to_owned(), path.into())]));
        return None;
    }
    value.as_object_mut()
}

/// Keys without which the rest of a line would be told to lack them.
const BEARING: [&str; 10] = ["check", "name", "attest", "item", "title", "metric", "where", "fails", "evidence", "remedy"];

/// Cuts out what is wrong by itself; whether the rest of the line can be judged no more.
fn spoils(line: &mut Map<String, Value>, path: &str, problems: &mut Vec<Problem>) -> bool {
    let name = ["name", "attest", "check"].iter().find_map(|key| line.get(*key)?.as_str()).map_or_else(String::new, |name| format!(" {name}"));
    let cut = cut_wrong_keys::<RawCheck>(line, &format!("{path}{name}"), problems);
    cut.iter().any(|key| BEARING.contains(&key.as_str()))
}

/// Cuts out each key that is not accepted by itself, and returns them. Whatever stands in the parts of a checklist
/// that are read one by one is not looked into.
fn cut_wrong_keys<T: for<'de> Deserialize<'de>>(parts: &mut Map<String, Value>, path: &str, problems: &mut Vec<Problem>) -> Vec<String> {
    let mut cut = Vec::new();
    parts.retain(|key, value| {
        let is_read_apart = ["sections", "checks"].contains(&key.as_str()) && value.is_array();
        let looked_at = if is_read_apart { Value::Array(Vec::new()) } else { value.clone() };
        let Err(error) = alone::<T>(key, &looked_at) else { return true };
        for found in places::<T>(key, &looked_at, &error) {
            problems.push(found.problem(path));
        }
        cut.push(key.clone());
        false
    });
    cut
}

/// Whether a key is accepted by itself.
fn alone<T: for<'de> Deserialize<'de>>(key: &str, value: &Value) -> Result<T, serde_saphyr::Error> {
    yaml(&Value::Object(Map::from_iter([(key.to_owned(), value.clone())])).to_string())
}

/// A value that is not accepted.
struct Wrong<'a> {
    /// Where it stands, from its line on; nothing where its key is not known.
    place: String,
    /// What is known there, where a name is not.
    known: Option<String>,
    value: &'a Value,
}

impl<'a> Wrong<'a> {
    fn new(place: &str, parent: &str, value: &'a Value, error: &serde_saphyr::Error) -> Self {
        use serde_saphyr::Error;
        let error_of_name = error.without_snippet();
        let is_key = matches!(error_of_name, Error::SerdeUnknownField { .. });
        let is_name = is_key || matches!(error_of_name, Error::SerdeUnknownVariant { .. });
        let of_parent = is_key || (is_name && !parent.is_empty());
        let place = if of_parent { parent } else { place };
        Self { place: place.to_owned(), known: is_name.then(|| cause::of_yaml(error).as_str().to_owned()), value }
    }

    fn problem(self, path: &str) -> Problem {
        let place = [path, &self.place].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
        let place = if place.is_empty() { "checklist".to_owned() } else { place };
        match self.known {
            Some(known) => Problem::bare(place, known),
            None => Problem::new(place, taken(&self.place), shown(self.value)),
        }
    }
}

/// What is wrong inside a value, one by one, or else the value itself.
fn places<'a, T: for<'de> Deserialize<'de>>(key: &str, value: &'a Value, error: &serde_saphyr::Error) -> Vec<Wrong<'a>> {
    let inside: Vec<Wrong<'a>> = match value {
        Value::Object(parts) if ["when", "fails", "where"].contains(&key) => {
            let own = |sub: &str, value: &Value| Value::Object(Map::from_iter([(sub.to_owned(), value.clone())]));
            let wrong = |(sub, value): (&String, &'a Value)| Some(Wrong::new(&format!("{key}.{sub}"), key, value, &alone::<T>(key, &own(sub, value)).err()?));
            parts.iter().filter_map(wrong).collect()
        }
        Value::Array(entries) => {
            let own = |entry: &Value| Value::Array(vec![entry.clone()]);
            let wrong = |(index, entry): (usize, &'a Value)| {
                let place = format!("{key}[{index}]");
                Some(Wrong::new(&place, &place, entry, &alone::<T>(key, &own(entry)).err()?))
            };
            entries.iter().enumerate().filter_map(wrong).collect()
        }
        _ => Vec::new(),
    };
    if inside.is_empty() { vec![Wrong::new(key, "", value, error)] } else { inside }
}

/// What is taken at a place of a line.
fn taken(place: &str) -> &'static str {
    match place.split('[').next().unwrap_or(place) {
        "sections" => "must be a list of sections, each with title and checks",
        "checks" => "must be a list of lines",
        "unconfigured" => "must be unknown or not_applicable",
        "where" => "must be a map of labels, such as { kind: shop }",
        "for" | "when.lead_time_within" | "fails.older_than" => DURATION,
        "required" | "when.event_active" => "must be true or false",
        "severity" => "must be info, warning or critical",
        "worsens" => "must be a list of harsher bounds, such as [{ at: 0.9, severity: critical }] or [{ at: 3d, severity: critical }]",
        "examples" => "must be a list of examples, such as [{ facts: [{ value: 1 }], expect: pass }]",
        "when" => "must be a map of lead_time_within, participants_above and event_active",
        "when.participants_above" => "must be a whole number that is not below 0",
        "fails" => "must be is_false, or a map with one of above, below, equals, differs, expires_within, older_than and promql",
        "fails.above" | "fails.below" | "fails.differs" => "must be a number, such as 90 or 0.9, or the name of a metric",
        "fails.equals" => "must be a state, a list of states, or one number",
        "fails.expires_within" => "must be a duration such as 12h or 7d, or { after_event_end: 1h }",
        _ => "must be a text",
    }
}

/// A value as it is told; a long one by its beginning.
fn shown(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let told = quoted(&text);
    let told = if value.is_string() || told == "***" { told } else { text };
    if told.chars().count() > MOST { told.chars().take(MOST).chain(['…']).collect() } else { told }
}
