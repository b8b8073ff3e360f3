//! From a file and the environment to typed settings, with every problem in one run.
//!
//! The file and `READINESS__*` variables are layered as untyped values, checked against the JSON
//! Schema that editors use too, and only then typed. What is structurally wrong is cut out before
//! typing, so that one typo does not hide the other problems.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use config::{Map, Source, ValueKind};
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde::Deserialize as _;
use serde_json::Value;

use super::shape::{Shape, all_keys};
use super::variables::{Variables, name_of};
use super::{MASKED, Settings, names_a_secret, validate};
use crate::cause::Cause as _;
use crate::checklist::Checklist;
use crate::files::{self, ReadError};
use crate::say;
use crate::say::{Message, Say};
use crate::word::Word;

/// Prefix of environment variables that override the file: `READINESS__COLLECTORS__HTTP__INTERVAL`.
///
/// The double underscore also keeps out the `READINESS_SERVICE_PORT` that Kubernetes injects for a
/// Service called `readiness`.
pub const ENV_PREFIX: &str = "READINESS";

/// One rule that the configuration breaks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where, as `collectors.http.targets[0].url`.
    pub path: String,
    /// The rule.
    pub rule: String,
    /// The offending value, masked where it may be a secret.
    pub got: Option<String>,
    found: Found,
}

/// Where a person finds what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    /// At its path.
    #[default]
    Path,
    /// At its path, with what the items on it are called: nobody counts to the 37th of a long list.
    Items(String),
    /// In a variable of the environment.
    Variable(String),
}

impl Say for Problem {}

impl Say for LoadError {}

impl Problem {
    /// A broken rule and the value that breaks it.
    pub fn new(path: impl Into<String>, rule: impl Into<String>, got: impl fmt::Display) -> Self {
        Self { path: path.into(), rule: rule.into(), got: Some(got.to_string()), found: Found::Path }
    }

    /// A broken rule that has no single value.
    pub fn bare(path: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { path: path.into(), rule: rule.into(), got: None, found: Found::Path }
    }

    /// The same inside what stands at a path.
    pub(super) fn within(self, path: &str) -> Self {
        Self { path: format!("{path} {}", self.path), ..self }
    }

    /// The same in a variable instead of the file.
    pub(super) fn in_variable(self, name: String) -> Self {
        Self { found: Found::Variable(name), ..self }
    }

    /// Says where it is found in the settings that it is about.
    fn locate(&mut self, settings: &Value, variables: &Variables) {
        if matches!(self.found, Found::Variable(_)) {
            return;
        }
        if variables.hold(&self.path) {
            self.found = Found::Variable(name_of(&self.path));
            return;
        }
        let named = with_names(&self.path, settings);
        if named != self.path {
            self.found = Found::Items(named);
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Found::Path if self.path.is_empty() => f.write_str("(top level)")?,
            Found::Path => f.write_str(&self.path)?,
            Found::Items(path) => f.write_str(path)?,
            Found::Variable(name) => write!(f, "from {name}")?,
        }
        write!(f, ": {}", self.rule)?;
        self.got.as_ref().map_or(Ok(()), |got| write!(f, " (got {got})"))
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("read config {path}: {cause}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        cause: ReadError,
    },
    /// The file is no YAML; the message has line and column.
    #[error("parse config {path}: {cause}")]
    NotYaml {
        /// The file.
        path: String,
        /// What is wrong, and where.
        cause: Message,
    },
    /// Every rule that is broken.
    #[error("{} {} problem{}:\n{}", holder(path, .problems), .problems.len(), if .problems.len() == 1 { "" } else { "s" }, list(.problems))]
    Invalid {
        /// The file.
        path: String,
        /// The rules, in the order of their paths.
        problems: Vec<Problem>,
    },
}

/// What has the problems: nobody should look in the file for what is in the environment.
fn holder(path: &str, problems: &[Problem]) -> String {
    let outside = problems.iter().all(|problem| matches!(problem.found, Found::Variable(_)));
    if outside { "the environment has".to_owned() } else { format!("config {path} has") }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

/// Settings that kept every rule, with the checklists they name.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The typed settings; paths are absolute or relative to the working directory.
    pub settings: Settings,
    /// The configured checklists with overrides applied.
    pub checklists: Vec<Checklist>,
}

/// Larger than the configuration of five thousand credentials.
const LARGEST: u64 = 64 << 20;

/// Loads a file and the process environment.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let name = path.display().to_string();
    let unreadable = |cause| LoadError::Unreadable { path: name.clone(), cause };
    let content = files::read_now(path, LARGEST).map_err(unreadable)?;
    load_str(content.text().map_err(unreadable)?, &name, path.parent().unwrap_or_else(|| Path::new("")), None)
}

/// Loads from text. `environment` replaces the process environment when given; relative paths are
/// taken from `base`.
pub fn load_str(text: &str, name: &str, base: &Path, environment: Option<BTreeMap<String, String>>) -> Result<Loaded, LoadError> {
    let path = || name.to_owned();
    // Secrets must not show in the parser's source excerpt.
    // `n` and `off` are names here, as YAML 1.2 has it.
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    let file: Value = if text.trim().is_empty() {
        Value::Object(serde_json::Map::new())
    } else {
        serde_saphyr::from_str_with_options(text, options).map_err(|error| LoadError::NotYaml { path: path(), cause: error.words() })?
    };
    let file = if file.is_null() { Value::Object(serde_json::Map::new()) } else { file };
    if !file.is_object() {
        let problem = Problem::new("", "must be a map of settings", kind_of(&file));
        return Err(LoadError::Invalid { path: path(), problems: vec![problem] });
    }
    let schema = schema();
    let mut problems = Vec::new();
    let variables = Variables::take(environment, &schema, &mut problems);
    let mut merged = layer(file, &variables, &schema)
        .map_err(|_| LoadError::NotYaml { path: path(), cause: say!("its keys and the variables {}__* do not fit together", ENV_PREFIX) })?;
    let untouched = cut_masked(&mut merged, &variables, &mut problems);
    let complete = untouched & prune(&mut merged, &schema, &variables, &mut problems);
    match Settings::deserialize(&merged) {
        Ok(mut settings) => {
            let mut further = Vec::new();
            settings.resolve_names(base, &mut further);
            let checklists = validate::validate(&settings, complete, &mut further);
            let all = [problems.as_slice(), &further].concat();
            further.retain(|problem| !problems.iter().any(|known| follows(problem, known)) && !all.iter().any(|known| is_measured_by(problem, known)));
            for problem in &mut further {
                problem.locate(&merged, &variables);
            }
            problems.append(&mut further);
            if problems.is_empty() {
                return Ok(Loaded { settings, checklists });
            }
        }
        Err(_) => problems.push(Problem::bare("", "a value is out of range, although it has the right form")),
    }
    problems.sort();
    problems.dedup();
    Err(LoadError::Invalid { path: path(), problems })
}

/// Whether a problem only measures a value by one that is wrong itself, or by a default in its place.
fn is_measured_by(problem: &Problem, known: &Problem) -> bool {
    let section = ["interval", "timeout"].iter().find_map(|key| known.path.strip_suffix(key)).filter(|section| section.ends_with('.'));
    let is_paced = [".timeout", ".window"].iter().any(|key| problem.path.ends_with(key));
    is_paced && section.is_some_and(|section| problem.path.starts_with(section)) && problem.path != known.path
}

/// Whether a problem only says that something is gone which was cut out for the known one: the same
/// key, an element of the list, or a key of the map.
fn follows(problem: &Problem, known: &Problem) -> bool {
    let is_key = |rest: &str| rest.strip_prefix('.').is_some_and(|key| !key.contains(['.', '[']));
    known.path.strip_prefix(&problem.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('[') || is_key(rest))
}

/// The JSON Schema of the configuration file.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Settings).to_value();
    schema["title"] = "readiness-exporter configuration".into();
    schema
}

#[derive(Debug, Clone)]
struct FileLayer(Map<String, config::Value>);

impl Source for FileLayer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, config::Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

fn layer(file: Value, variables: &Variables, schema: &Value) -> Result<Value, config::ConfigError> {
    let mut lists = Vec::new();
    let ValueKind::Table(table) = to_config(file, &mut lists).kind else { unreachable!("checked by the caller to be a map") };
    let merged = config::Config::builder().add_source(FileLayer(table)).add_source(variables.layer()).build()?;
    Ok(from_config(merged.cache, Some(schema), schema, &mut lists))
}

/// Stands for a list while the layers are merged. Lists are set in the file only, and thousands of
/// targets would be copied by every layer.
const LIST: &str = "\u{0}list ";

fn to_config(value: Value, lists: &mut Vec<Value>) -> config::Value {
    let kind = match value {
        Value::Null => ValueKind::Nil,
        Value::Bool(flag) => ValueKind::Boolean(flag),
        Value::Number(number) => number.as_i64().map_or_else(|| ValueKind::Float(number.as_f64().unwrap_or(f64::NAN)), ValueKind::I64),
        Value::String(text) => ValueKind::String(text),
        Value::Array(_) => {
            lists.push(value);
            ValueKind::String(format!("{LIST}{}", lists.len() - 1))
        }
        Value::Object(fields) => ValueKind::Table(fields.into_iter().map(|(key, value)| (key, to_config(value, lists))).collect()),
    };
    config::Value::new(None, kind)
}

/// Back to JSON; text from the environment takes the type that the schema wants.
fn from_config(value: config::Value, schema: Option<&Value>, root: &Value, lists: &mut [Value]) -> Value {
    let from_environment = value.origin().is_some();
    let mut list = |text: &str| text.strip_prefix(LIST)?.parse::<usize>().ok().and_then(|index| lists.get_mut(index)).map(Value::take);
    match value.kind {
        ValueKind::Nil => Value::Null,
        ValueKind::Boolean(flag) => flag.into(),
        ValueKind::I64(number) => number.into(),
        ValueKind::I128(number) => number.to_string().into(),
        ValueKind::U64(number) => number.into(),
        ValueKind::U128(number) => number.to_string().into(),
        ValueKind::Float(number) => number.into(),
        ValueKind::String(text) if from_environment && !wants_text(schema) => {
            // A map in one variable would bring its lists with it.
            serde_json::from_str(&text)
                .ok()
                .filter(|parsed: &Value| !parsed.is_string() && !parsed.is_object() && !parsed.is_array())
                .unwrap_or(Value::String(text))
        }
        ValueKind::String(text) => list(&text).unwrap_or(Value::String(text)),
        ValueKind::Array(items) => {
            let schema = schema.and_then(|schema| schema.get("items")).map(|schema| resolve(schema, root));
            items.into_iter().map(|item| from_config(item, schema, root, lists)).collect()
        }
        ValueKind::Table(fields) => {
            let mut object = serde_json::Map::new();
            let fields: BTreeMap<String, config::Value> = fields.into_iter().collect();
            for (key, value) in fields {
                let property = schema.and_then(|schema| schema.get("properties").and_then(|all| all.get(&key)).or_else(|| schema.get("additionalProperties")));
                let value = from_config(value, property.map(|schema| resolve(schema, root)), root, lists);
                object.insert(key, value);
            }
            Value::Object(object)
        }
    }
}

fn wants_text(schema: Option<&Value>) -> bool {
    match schema.and_then(|schema| schema.get("type")) {
        Some(Value::String(kind)) => kind == "string",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "string"),
        _ => true,
    }
}

/// Follows `$ref`, and the one branch of an optional section that is not null.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        return target.strip_prefix('#').and_then(|pointer| root.pointer(pointer)).map_or(schema, |found| resolve(found, root));
    }
    let branches = schema.get("anyOf").and_then(Value::as_array);
    branches
        .and_then(|branches| branches.iter().find(|branch| branch.get("type").is_none_or(|kind| kind != "null")))
        .map_or(schema, |branch| resolve(branch, root))
}

/// Reports what the schema forbids and cuts it out until the rest can be typed. Returns whether
/// everything survived that others refer to; if not, references cannot be judged.
fn prune(value: &mut Value, schema: &Value, variables: &Variables, problems: &mut Vec<Problem>) -> bool {
    let Ok(validator) = jsonschema::validator_for(schema) else {
        problems.push(Problem::bare("", "the built-in schema is broken, which is a defect of this program"));
        return false;
    };
    let mut complete = true;
    loop {
        let before = problems.len();
        let mut findings = Findings { schema, variables, problems, cuts: Vec::new() };
        for error in validator.iter_errors(value) {
            findings.explain(&error);
        }
        let mut cuts = findings.cuts;
        for problem in problems.iter_mut().skip(before) {
            problem.locate(value, variables);
        }
        if cuts.is_empty() {
            return complete;
        }
        // Later elements first, so that removing one does not move the others.
        cuts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| b.cmp(a)));
        cuts.dedup();
        for cut in cuts {
            complete &= remove(value, &cut);
        }
    }
}

/// Reports and cuts out what was copied from `config print`: it would be taken for the secret itself.
/// Returns whether everything survived that others refer to.
fn cut_masked(settings: &mut Value, variables: &Variables, problems: &mut Vec<Problem>) -> bool {
    let (mut cuts, mut waiting) = (Vec::new(), vec![(String::new(), &*settings)]);
    while let Some((pointer, value)) = waiting.pop() {
        match value {
            Value::String(text) if text == "***" => cuts.push(pointer),
            Value::Array(items) => waiting.extend(items.iter().enumerate().map(|(index, item)| (format!("{pointer}/{index}"), item))),
            Value::Object(fields) => waiting.extend(fields.iter().map(|(key, value)| (format!("{pointer}/{}", escape(key)), value))),
            _ => {}
        }
    }
    for pointer in &cuts {
        let mut problem = Problem::bare(dotted(pointer), MASKED);
        problem.locate(settings, variables);
        problems.push(problem);
    }
    // In lists, later elements first; `waiting` gave them last to first.
    cuts.iter().fold(true, |complete, pointer| complete & remove(settings, pointer))
}

const DURATION: &str = "must be a duration such as 30s, 10m, 1h30m or 7d";

/// What the schema forbids.
struct Findings<'a> {
    schema: &'a Value,
    variables: &'a Variables,
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
                if self.problems.iter().all(|problem| problem.path != missing) {
                    self.problems.push(Problem::bare(missing, "must be set"));
                }
                self.cuts.push(pointer);
                return;
            }
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                if let Some(options) = alternatives(context) {
                    format!("must be one of {options}")
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
            ValidationErrorKind::Enum { options } => format!("must be one of {}", names(options.as_array().into_iter().flatten())),
            ValidationErrorKind::Constant { expected_value } => format!("must be {expected_value}"),
            ValidationErrorKind::Type { .. } if Shape::at(self.schema, &pointer).is_duration() => DURATION.to_owned(),
            ValidationErrorKind::Type { kind } => format!("must be {}", type_name(kind)),
            ValidationErrorKind::Pattern { .. } | ValidationErrorKind::MinLength { .. } => DURATION.to_owned(),
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
                self.problems.push(Problem::bare(dotted(pointer), format!("must be {words}, or a map with one of {keys}")));
            }
        }
        true
    }

    /// A key that is not known where it stands. Whoever writes a secret where a file or a variable is
    /// to be named may write it as a key, and a secret can be made of letters alone. So the key is
    /// shown only if it is nearly one that is known there, or is one of another place.
    fn unknown(&mut self, pointer: &str, key: &str) {
        let path = dotted(pointer);
        let known = Shape::at(self.schema, pointer).keys();
        let last = path.rsplit('.').next().unwrap_or(&path);
        let of_secret = names_a_secret(last) || last.ends_with("from");
        let near = known.iter().filter(|own| !of_secret && nearly(key, own)).min_by_key(|own| strsim::osa_distance(key, own));
        let rule = match near {
            Some(near) => format!("unknown key; did you mean {near}?"),
            None if !of_secret && all_keys(self.schema).contains(key) => format!("unknown key; {}", listed(&known)),
            None => format!("unknown key, hidden since it may be a secret; {}", listed(&known)),
        };
        let shown = if rule.contains("hidden") { "***" } else { key };
        let problem = Problem::bare(join(&path, shown), rule);
        let is_variable = self.variables.set(&join(&path, key));
        self.problems.push(if is_variable { problem.in_variable(name_of(&join(&path, shown))) } else { problem });
    }
}

/// Whether a word is another with a slip or two; of a short one two slips would leave nothing.
fn nearly(word: &str, known: &str) -> bool {
    strsim::osa_distance(word, known) <= if known.len() > 4 { 2 } else { 1 } && misspelt(word) == word
}

/// The keys of a place; of many the first, since the documentation has them all.
fn listed(known: &BTreeSet<&str>) -> String {
    const MOST: usize = 8;
    let first = known.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    let more = known.len().saturating_sub(MOST);
    if more == 0 { format!("known are {first}") } else { format!("known are {first} and {more} more") }
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
fn remove(value: &mut Value, pointer: &str) -> bool {
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
                items.remove(index);
            }
            !REFERRED.contains(&parent)
        }
        _ => true,
    }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// `/collectors/http/targets/0/url` as `collectors.http.targets[0].url`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for key in pointer.split('/').skip(1) {
        if key.parse::<usize>().is_ok() {
            path.push_str(&format!("[{key}]"));
        } else {
            path = join(&path, &key.replace("~1", "/").replace("~0", "~"));
        }
    }
    path
}

/// `targets[37].url` as `targets[37] (oregon-health).url`.
fn with_names(path: &str, settings: &Value) -> String {
    let (mut shown, mut rest, mut here) = (String::new(), path, Some(settings));
    while !rest.is_empty() {
        let end = rest.char_indices().skip(1).find(|(_, c)| matches!(c, '.' | '[')).map_or(rest.len(), |(at, _)| at);
        let (part, after) = rest.split_at(end);
        shown.push_str(part);
        let index = part.strip_prefix('[').and_then(|part| part.strip_suffix(']')?.parse::<usize>().ok());
        here = match index {
            Some(index) => here.and_then(|list| list.get(index)),
            None => here.and_then(|map| map.get(part.trim_start_matches('.'))),
        };
        let name = here.filter(|_| index.is_some()).and_then(|item| Word::label(item.get("name")?.as_str()?));
        shown.extend(name.map(|name| format!(" ({name})")));
        rest = after;
    }
    shown
}

/// A key or a word that is not known, unless it is written like none of this program's.
pub(crate) fn misspelt(word: &str) -> &str {
    let is_word = word.len() <= 40 && word.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'));
    if is_word { word } else { "***" }
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

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
        Value::Null => "nothing",
        _ => "a single value",
    }
}

#[cfg(test)]
mod tests;
