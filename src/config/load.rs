//! From a file and the environment to typed settings, with every problem in one run.
//!
//! The file and `READINESS__*` variables are layered as untyped values, checked against the JSON
//! Schema that editors use too, and only then typed. What is structurally wrong is cut out before
//! typing, so that one typo does not hide the other problems.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::Value;

use super::broken::explained;
use super::findings::{cut_masked, kind_of, prune};
use super::layers::layer;
use super::located::locate;
use super::origins::Origins;
use super::settings::Settings;
use super::shape::all_keys;
use super::validate::{Parsed, validate};
use super::variables::{ENV_PREFIX, Variables};
use crate::checklist::{self, Checklist, Waiver};
use crate::collectors::{self, Estate, kubernetes};
use crate::driver::Task;
use crate::event::Schedule;
use crate::files::{self, ReadError};
use crate::say;
use crate::say::{Message, Say};
use crate::state::State;
use crate::value::Problem;

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
    let outside = problems.iter().all(Problem::is_of_a_variable);
    if outside { "the environment has".to_owned() } else { format!("config {path} has") }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

impl Say for LoadError {}

/// Settings that kept every rule, with the checklists they name.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The typed settings; paths are absolute or relative to the working directory.
    pub settings: Settings,
    /// The configured checklists with overrides applied.
    pub checklists: Vec<Checklist>,
    /// The events of the settings, in their order.
    pub schedules: Vec<Schedule>,
    /// The waivers of the settings, in their order.
    pub waivers: Vec<Waiver>,
    /// Keys below `collectors` with nothing behind them, which switch nothing on.
    pub empty: Vec<String>,
}

impl Loaded {
    /// What is on, as tasks for the driver. Fails when a file that the configuration names cannot be used.
    pub fn tasks(&self, state: &Arc<State>) -> Result<Vec<Task>, Message> {
        let Settings { collectors, clusters, attestations, .. } = &self.settings;
        collectors::tasks(&Estate {
            collectors,
            clusters,
            attestations: attestations.as_ref(),
            confirmed: &checklist::confirmed(&self.checklists),
            schedules: &self.schedules,
            state,
        })
    }
}

impl Loaded {
    /// When one of the files was last changed that this was read from, `path` among them, in Unix time and
    /// by the clock of whoever stores it. Asks the file system on this thread.
    pub fn changed(&self, path: &Path) -> Option<Duration> {
        use std::os::unix::fs::MetadataExt as _;
        let own = self.settings.checklists.iter().filter_map(|checklist| checklist.file.as_deref());
        // Not when it was written to, which whoever copies it may set.
        let changed = |file: &Path| {
            let about = std::fs::metadata(file).ok()?;
            Some(Duration::new(about.ctime().try_into().ok()?, about.ctime_nsec().try_into().ok()?))
        };
        own.chain([path]).filter_map(changed).max()
    }
}

/// Larger than the configuration of five thousand credentials.
const LARGEST: u64 = 64 << 20;

/// Loads a file and the process environment.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    read(path, |_, _| {})
}

/// The same, where what could be mended while the exporter runs, and so stops no start, is a problem as well.
pub fn check(path: &Path) -> Result<Loaded, LoadError> {
    read(path, |settings, problems| kubernetes::init::unusable(&settings.clusters, problems))
}

/// What is asked of settings beside the rules.
type Further = fn(&Settings, &mut Vec<Problem>);

fn read(path: &Path, also: Further) -> Result<Loaded, LoadError> {
    let name = path.display().to_string();
    let unreadable = |cause| LoadError::Unreadable { path: name.clone(), cause };
    let content = files::read_now(path, LARGEST).map_err(unreadable)?;
    parse(content.text().map_err(unreadable)?, &name, path.parent().unwrap_or_else(|| Path::new("")), None, also)
}

/// Loads from text. `environment` replaces the process environment when given; relative paths are
/// taken from `base`.
pub fn load_str(text: &str, name: &str, base: &Path, environment: Option<BTreeMap<String, String>>) -> Result<Loaded, LoadError> {
    parse(text, name, base, environment, |_, _| {})
}

fn parse(text: &str, name: &str, base: &Path, environment: Option<BTreeMap<String, String>>, also: Further) -> Result<Loaded, LoadError> {
    let path = || name.to_owned();
    let schema = schema();
    // Secrets must not show in the parser's source excerpt.
    // `n` and `off` are names here, as YAML 1.2 has it.
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    let file: Value = if text.trim().is_empty() {
        Value::Object(serde_json::Map::new())
    } else {
        serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| LoadError::NotYaml { path: path(), cause: explained(text, &error, &all_keys(&schema)) })?
    };
    let file = if file.is_null() { Value::Object(serde_json::Map::new()) } else { file };
    if !file.is_object() {
        let problem = Problem::new("", "must be a map of settings, such as `collectors:` with what to look at below it", kind_of(&file));
        return Err(LoadError::Invalid { path: path(), problems: vec![problem] });
    }
    let mut problems = Vec::new();
    let variables = Variables::take(environment, &schema, &mut problems);
    let mut merged = layer(file, &variables, &schema)
        .map_err(|_| LoadError::NotYaml { path: path(), cause: say!("its keys and the variables {}__* do not fit together", ENV_PREFIX) })?;
    let empty = empty_sections(&merged);
    let mut origins = Origins::default();
    let untouched = cut_masked(&mut merged, &variables, &mut origins, &mut problems);
    let complete = untouched & prune(&mut merged, &schema, &variables, &mut origins, &mut problems);
    match Settings::deserialize(&merged) {
        Ok(mut settings) => {
            let mut further = Vec::new();
            settings.resolve_names(base, &mut further);
            settings.name_checklists();
            let Parsed { checklists, schedules, waivers } = validate(&settings, complete, &mut further);
            also(&settings, &mut further);
            for problem in &mut further {
                locate(problem, &origins, &merged, &variables);
            }
            let all = [problems.as_slice(), &further].concat();
            further.retain(|problem| !problems.iter().any(|known| follows(problem, known)) && !all.iter().any(|known| is_measured_by(problem, known)));
            problems.append(&mut further);
            if problems.is_empty() {
                return Ok(Loaded { settings, checklists, schedules, waivers, empty });
            }
        }
        Err(_) => problems.push(Problem::bare("", "a value is out of range, although it has the right form")),
    }
    let all = problems.clone();
    problems.retain(|problem| !all.iter().any(|known| is_meant_by(problem, known)));
    problems.sort_by_cached_key(|problem| (problem.place(), problem.clone()));
    problems.dedup();
    Err(LoadError::Invalid { path: path(), problems })
}

/// Collectors that somebody named without a word of what is to be looked at, not even `{}`.
fn empty_sections(settings: &Value) -> Vec<String> {
    let sections = settings.get("collectors").and_then(Value::as_object).into_iter().flatten();
    sections.filter(|(_, section)| section.is_null()).map(|(key, _)| key.clone()).collect()
}

/// Whether a problem only measures a value by one that is wrong itself, or by a default in its place.
fn is_measured_by(problem: &Problem, known: &Problem) -> bool {
    let section = ["interval", "timeout"].iter().find_map(|key| known.path.strip_suffix(key)).filter(|section| section.ends_with('.'));
    let is_paced = [".timeout", ".window"].iter().any(|key| problem.path.ends_with(key));
    is_paced && section.is_some_and(|section| problem.path.starts_with(section)) && problem.path != known.path
}

/// Whether a key is missing that another one beside it was meant for.
fn is_meant_by(problem: &Problem, known: &Problem) -> bool {
    let [(place, key), (other, _)] = [problem, known].map(|problem| problem.path.rsplit_once('.').unwrap_or(("", &problem.path)));
    problem.rule == "must be set" && place == other && known.rule == format!("unknown key; did you mean {key}?")
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

#[cfg(test)]
mod estate_tests;
#[cfg(test)]
mod pointless_tests;
#[cfg(test)]
mod reload_tests;
#[cfg(test)]
mod tests;
