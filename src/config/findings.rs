//! What the schema finds wrong, in words of ours, and without what may be a secret.

use std::collections::BTreeSet;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::located::locate;
use super::origins::Origins;
use super::shape::{Shape, all_keys, sections_with};
use super::variables::{Variables, name_of};
use crate::collectors;
use crate::say::Message;
use crate::value::problem::{dotted, escape, join};
use crate::value::rules::nearly;
use crate::value::{DURATION, MASKED, Problem, names_a_secret};
use crate::word::did_you_mean;

/// Reports what the schema forbids and cuts it out until the rest can be typed. Returns whether
/// everything survived that others refer to; if not, references cannot be judged.
pub(super) fn prune(value: &mut Value, schema: &Value, variables: &Variables, origins: &mut Origins, problems: &mut Vec<Problem>) -> bool {
    let Ok(validator) = jsonschema::validator_for(schema) else {
        problems.push(Problem::bare("", "the built-in schema is broken, which is a defect of this program"));
        return false;
    };
    let mut complete = true;
    loop {
        let before = problems.len();
        let mut findings = Findings { schema, variables, origins, problems, cuts: Vec::new() };
        for error in validator.iter_errors(value) {
            findings.explain(&error);
        }
        let mut cuts = findings.cuts;
        if cuts.is_empty() {
            return complete;
        }
        origins.keep(value);
        for problem in problems.iter_mut().skip(before) {
            locate(problem, origins, value, variables);
        }
        // Later elements first, so that removing one does not move the others.
        cuts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| b.cmp(a)));
        cuts.dedup();
        for cut in cuts {
            complete &= remove(value, &cut, origins);
        }
    }
}

/// Reports and cuts out what was copied from `config print`: it would be taken for the secret itself.
/// Returns whether everything survived that others refer to.
pub(super) fn cut_masked(settings: &mut Value, variables: &Variables, origins: &mut Origins, problems: &mut Vec<Problem>) -> bool {
    let (mut cuts, mut waiting) = (Vec::new(), vec![(String::new(), &*settings)]);
    while let Some((pointer, value)) = waiting.pop() {
        match value {
            Value::String(text) if text == "***" => cuts.push(pointer),
            Value::Array(items) => waiting.extend(items.iter().enumerate().map(|(index, item)| (format!("{pointer}/{index}"), item))),
            Value::Object(fields) => waiting.extend(fields.iter().map(|(key, value)| (format!("{pointer}/{}", escape(key)), value))),
            _ => {}
        }
    }
    if !cuts.is_empty() {
        origins.keep(settings);
    }
    for pointer in &cuts {
        let mut problem = Problem::bare(dotted(pointer), MASKED);
        locate(&mut problem, origins, settings, variables);
        problems.push(problem);
    }
    // In lists, later elements first; `waiting` gave them last to first.
    cuts.iter().fold(true, |complete, pointer| complete & remove(settings, pointer, origins))
}

/// What the schema forbids.
struct Findings<'a> {
    schema: &'a Value,
    variables: &'a Variables,
    origins: &'a Origins,
    problems: &'a mut Vec<Problem>,
    /// JSON pointers of what must go.
    cuts: Vec<String>,
}

impl Findings<'_> {
    fn explain(&mut self, error: &ValidationError<'_>) {
        let pointer = error.instance_path().as_str().to_owned();
        let path = dotted(&pointer);
        let scalar = match error.kind() {
            ValidationErrorKind::Type { kind } => !matches!(type_name(kind).as_str(), "a map" | "a list" | "a map or a list"),
            _ => true,
        };
        let got = shown(&path, error.instance(), scalar);
        let rule = match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                for key in unexpected {
                    self.unknown(&pointer, key);
                    self.cuts.push(format!("{pointer}/{}", escape(key)));
                }
                return;
            }
            ValidationErrorKind::Required { property } => {
                let missing = join(&path, property.as_str().unwrap_or_default());
                // What was cut out for another reason is not missing.
                let first = self.origins.path(&missing);
                if self.problems.iter().all(|problem| problem.path != first) {
                    self.problems.push(Problem::bare(missing, "must be set"));
                }
                self.cuts.push(pointer);
                return;
            }
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                if let Some(options) = alternatives(context) {
                    one_of(&options, error.instance())
                } else if self.tagged(error, context) {
                    return;
                } else {
                    // The branch that got furthest is the one that was meant.
                    let is_null_branch = |errors: &&Vec<ValidationError<'_>>| errors.iter().any(|e| e.to_string().contains("is not of type \"null\""));
                    let meant = context.iter().filter(|errors| !is_null_branch(errors)).min_by_key(|errors| errors.len());
                    for nested in meant.into_iter().flatten() {
                        self.explain(nested);
                    }
                    return;
                }
            }
            ValidationErrorKind::Enum { options } => one_of(&names(options.as_array().into_iter().flatten()), error.instance()),
            ValidationErrorKind::Constant { expected_value } => format!("must be {expected_value}"),
            ValidationErrorKind::Type { .. } if Shape::at(self.schema, &pointer).is_duration() => DURATION.to_owned(),
            ValidationErrorKind::Type { kind } => of_type(&type_name(kind), &Shape::at(self.schema, &pointer), error.instance()),
            ValidationErrorKind::Pattern { .. } | ValidationErrorKind::MinLength { .. } => format!("{DURATION}{}", unfilled(&path, error.instance())),
            ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
            ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
            _ => "must be what the schema says".to_owned(),
        };
        self.problems.push(Problem::new(path, rule, got));
        self.cuts.push(pointer);
    }

    /// A value whose one key says which of several forms it has, as the condition of a check: what is
    /// wrong is told about the form that was meant. False where the schema has no such choice.
    fn tagged(&mut self, error: &ValidationError<'_>, context: &[Vec<ValidationError<'_>>]) -> bool {
        let pointer = error.instance_path().as_str();
        let shape = Shape::at(self.schema, pointer);
        let (words, keys) = shape.tags();
        if words.is_empty() || keys.is_empty() || !matches!(error.kind(), ValidationErrorKind::OneOfNotValid { .. }) {
            return false;
        }
        self.cuts.push(pointer.to_owned());
        match error.instance().as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.keys().next()) {
            Some(key) if keys.contains(key.as_str()) => {
                let is_inside = |own: &ValidationError<'_>| own.instance_path().as_str().len() > pointer.len();
                let meant = context.iter().find(|errors| !errors.is_empty() && errors.iter().all(is_inside));
                for nested in meant.into_iter().flatten() {
                    self.explain(nested);
                }
            }
            Some(key) => {
                self.unknown(pointer, key);
                // Other answers list what is known already.
                if let Some(problem) = self.problems.last_mut().filter(|problem| problem.rule.ends_with('?')) {
                    problem.rule.push_str(&format!(" ({})", listed(&keys)));
                }
            }
            None => {
                let [words, keys] = [words, keys].map(|all| all.into_iter().collect::<Vec<_>>().join(", "));
                let path = dotted(pointer);
                self.problems.push(Problem::bare(path, format!("must be {words}, or a map with one of {keys}")));
            }
        }
        true
    }

    /// A key that is not known where it stands. Whoever writes a secret where a file or a variable is
    /// to be named may write it as a key, and a secret can be made of letters alone. So the key is
    /// shown only if it is nearly one that is known there, is one of another place, or is what a label is called. One that
    /// has all the words of a known one and others, as one that was renamed, stays hidden and is told what it may mean.
    fn unknown(&mut self, pointer: &str, key: &str) {
        let path = dotted(pointer);
        let known = Shape::at(self.schema, pointer).keys();
        let last = path.rsplit('.').next().unwrap_or(&path);
        let of_secret = names_a_secret(last) || last.ends_with("from");
        let near = known.iter().filter(|own| !of_secret && nearly(key, own)).min_by_key(|own| strsim::osa_distance(key, own));
        let rule = match near {
            Some(near) => format!("unknown key; did you mean {near}?"),
            None if !of_secret && (all_keys(self.schema).contains(key) || collectors::is_label(key)) => {
                format!("unknown key; {}", belongs(&path, &sections_with(self.schema, key)).unwrap_or_else(|| listed(&known)))
            }
            None => {
                let alike = known.iter().filter(|own| !of_secret && is_worded_like(key, own)).max_by_key(|own| own.len());
                let told = alike.map_or_else(|| listed(&known), |own| format!("did you mean {own}?"));
                format!("unknown key, hidden since it may be a secret; {told}")
            }
        };
        let shown = if rule.contains("hidden") { "***" } else { key };
        let problem = Problem::bare(join(&path, shown), rule);
        let is_variable = self.variables.set(&join(&path, key));
        self.problems.push(if is_variable { problem.in_variable(name_of(&join(&path, shown))) } else { problem });
    }
}

/// Whether one of two keys has all the words of the other, in their order. One word alone may stand anywhere.
fn is_worded_like(key: &str, known: &str) -> bool {
    let words = |text: &'_ str| text.split(['_', '-']).map(str::to_owned).collect::<Vec<_>>();
    let has_all = |longer: &[String], shorter: &[String]| {
        let mut left = longer.iter();
        shorter.len() > 1 && shorter.iter().all(|word| left.any(|own| own == word))
    };
    let (key, known) = (words(key), words(known));
    has_all(&key, &known) || has_all(&known, &key)
}

/// The keys of a place; of many the first, since the documentation has them all.
fn listed(known: &BTreeSet<&str>) -> String {
    const MOST: usize = 8;
    let first = known.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    let more = known.len().saturating_sub(MOST);
    if more == 0 { format!("known are {first}") } else { format!("known are {first} and {more} more") }
}

/// Whoever expects that a variable is put in is told how one is set.
fn unfilled(path: &str, written: &Value) -> String {
    let expects = written.as_str().is_some_and(|text| text.contains("${")) && !path.contains('[');
    if expects { format!("; nothing is put in for ${{...}} here: set {} in the environment", name_of(path)) } else { String::new() }
}

/// Where a key of the outermost sections belongs that is known elsewhere. What is known in many places belongs in none.
fn belongs(path: &str, sections: &[String]) -> Option<String> {
    const FEW: usize = 3;
    (["", "collectors"].contains(&path) && (1..=FEW).contains(&sections.len())).then(|| format!("it belongs in {}", sections.join(" or ")))
}

/// What belongs where something of another kind stands, as somebody writes it.
fn of_type(wanted: &str, shape: &Shape<'_>, written: &Value) -> String {
    match wanted {
        "a map" => format!("must be a map{}", with_keys(shape)),
        "a list" => {
            let item = shape.step("0");
            let keys = with_keys(&item);
            match written {
                _ if !keys.is_empty() => format!("must be a list, each entry a map{keys}, with a dash before it"),
                Value::Number(_) | Value::Bool(_) => format!("must be a list, such as [{written}]"),
                _ => "must be a list, in brackets or with a dash before each entry".to_owned(),
            }
        }
        _ => {
            let bare = written.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
            let is_it = bare.is_some_and(|bare| match wanted {
                "a whole number" => bare.is_u64(),
                "true or false" => bare.is_boolean(),
                _ => false,
            });
            format!("must be {wanted}{}", if is_it { ", without quotes" } else { "" })
        }
    }
}

/// The keys of a map: those that must be there, or else what there is.
fn with_keys(shape: &Shape<'_>) -> String {
    let (needed, known) = (shape.required(), shape.keys());
    match needed.as_slice() {
        [] if known.is_empty() => String::new(),
        [] => format!(" of settings; {}", listed(&known)),
        [only] => format!(" with {only}"),
        [others @ .., last] => format!(" with {} and {last}", others.join(", ")),
    }
}

fn alternatives(context: &[Vec<ValidationError<'_>>]) -> Option<String> {
    let mut options = Vec::new();
    for errors in context {
        match errors.iter().map(ValidationError::kind).next() {
            Some(ValidationErrorKind::Constant { expected_value }) => options.push(expected_value.as_ref().clone()),
            Some(ValidationErrorKind::Enum { options: more }) => options.extend(more.as_array().cloned().unwrap_or_default()),
            _ => return None,
        }
    }
    Some(names(options.iter()))
}

/// What a value may be, and which of these is meant where that shows.
fn one_of(options: &str, written: &Value) -> String {
    let meant = written.as_str().map(|wrong| did_you_mean(wrong, options.split(", ")));
    format!("must be one of {options}{}", meant.as_ref().map_or("", Message::as_str))
}

fn names<'a>(options: impl Iterator<Item = &'a Value>) -> String {
    options.map(|option| option.as_str().map_or_else(|| option.to_string(), str::to_owned)).collect::<Vec<_>>().join(", ")
}

fn type_name(kind: &jsonschema::error::TypeKind) -> String {
    use jsonschema::error::TypeKind;
    let words = match kind {
        TypeKind::Single(one) => vec![one.to_string()],
        TypeKind::Multiple(several) => several.iter().map(|one| one.to_string()).filter(|one| one != "null").collect(),
    };
    let named: Vec<_> = words
        .iter()
        .map(|word| match word.as_str() {
            "string" => "text (put numbers that are names in quotes)",
            "object" => "a map",
            "array" => "a list",
            "integer" => "a whole number",
            "boolean" => "true or false",
            other => other,
        })
        .collect();
    named.join(" or ")
}

/// Lists whose elements other sections refer to.
const REFERRED: [&str; 3] = ["/clusters", "/checklists", "/collectors/kubernetes/services"];

/// Removes what `pointer` names; true unless something was lost that others may refer to.
fn remove(value: &mut Value, pointer: &str, origins: &mut Origins) -> bool {
    let Some((parent, key)) = pointer.rsplit_once('/') else {
        *value = Value::Object(serde_json::Map::new());
        return false;
    };
    match value.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.remove(&key.replace("~1", "/").replace("~0", "~"));
            !REFERRED.contains(&pointer)
        }
        Some(Value::Array(items)) => {
            if let Some(index) = key.parse().ok().filter(|index: &usize| *index < items.len()) {
                origins.removed(&dotted(parent), items.len(), index);
                items.remove(index);
            }
            !REFERRED.contains(&parent)
        }
        _ => true,
    }
}

/// The value that breaks a rule, unless it may be a secret: where it stands, or by what it looks like.
fn shown(path: &str, value: &Value, scalar: bool) -> String {
    let last = path.rsplit('.').next().unwrap_or(path);
    // Where a file or a variable is to be named, the secret itself may stand.
    let names_one = ["file", "env", "kubeconfig", "docker_config"].contains(&last) || last.ends_with("_file");
    if names_a_secret(last) || names_one || last.eq_ignore_ascii_case("value") || path.to_lowercase().contains("headers") {
        return "***".to_owned();
    }
    match value {
        Value::Array(_) | Value::Object(_) => kind_of(value).to_owned(),
        // A secret itself, where it was to be told where the secret is kept.
        Value::String(_) if !scalar => "a text".to_owned(),
        Value::String(text) if text.contains("://") || text.contains('@') => "***".to_owned(),
        other => {
            let text = other.to_string();
            if text.chars().count() > 60 { text.chars().take(60).chain(['…']).collect() } else { text }
        }
    }
}

pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
        Value::Null => "nothing",
        _ => "a single value",
    }
}
