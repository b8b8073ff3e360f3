//! The variables of the environment that override the file.

use std::collections::BTreeMap;
use std::ffi::OsString;

use config::Environment;
use serde_json::Value;

use super::shape::{Shape, all_keys};
use crate::value::Problem;

/// Prefix of environment variables that override the file: `READINESS__COLLECTORS__HTTP__INTERVAL`.
///
/// The double underscore also keeps out the `READINESS_SERVICE_PORT` that Kubernetes injects for a
/// Service called `readiness`.
pub const ENV_PREFIX: &str = "READINESS";

/// The variables that are taken, by the path of what they set.
#[derive(Default)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of the process, or the given ones. What cannot be taken is reported and left out: it would
    /// stand in the place of what the file has.
    pub(super) fn take(given: Option<BTreeMap<String, String>>, schema: &Value, problems: &mut Vec<Problem>) -> Self {
        let all: Vec<(OsString, OsString)> = match given {
            Some(given) => given.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            None => std::env::vars_os().collect(),
        };
        let mut taken = BTreeMap::new();
        for (name, value) in all {
            let Some(path) = name.to_str().and_then(path_of).filter(|_| !value.is_empty()) else { continue };
            match (list_above(&path, schema), value.into_string()) {
                (Some(list), _) => problems.push(Problem::bare(list, "lists are set in the file only").in_variable(name_of(&shown(&path, schema)))),
                (None, Err(_)) => problems.push(Problem::bare(path.as_str(), "must be UTF-8 text").in_variable(name_of(&shown(&path, schema)))),
                (None, Ok(value)) => {
                    taken.insert(path, value);
                }
            }
        }
        Self(taken)
    }

    /// As a layer above the file.
    pub(super) fn layer(&self) -> Environment {
        let named = self.0.iter().map(|(path, value)| (name_of(path), value.clone()));
        Environment::with_prefix(ENV_PREFIX).prefix_separator("__").separator("__").source(Some(named.collect()))
    }

    /// Whether what stands at a path was set by a variable, or what stands below it.
    pub(super) fn set(&self, path: &str) -> bool {
        let path = path.to_lowercase();
        self.0.keys().any(|own| own.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }

    /// Whether the value at a path is that of a variable.
    pub(super) fn hold(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }
}

/// The path that a variable sets, if it is one of ours.
fn path_of(name: &str) -> Option<String> {
    Some(name.to_lowercase().strip_prefix(&format!("{}__", ENV_PREFIX.to_lowercase()))?.replace("__", "."))
}

/// The variable that sets a path.
pub(super) fn name_of(path: &str) -> String {
    format!("{ENV_PREFIX}__{}", path.replace('.', "__").to_uppercase())
}

/// Variables that are called almost like one of ours, and are therefore not read.
pub(crate) fn misspelt(schema: &Value) -> Vec<Problem> {
    almost(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()), schema)
}

fn almost(names: impl Iterator<Item = String>, schema: &Value) -> Vec<Problem> {
    let top: Vec<&str> = schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let meant = |name: String| {
        let name = name.to_lowercase();
        if path_of(&name).is_some() {
            return None;
        }
        // Kubernetes injects READINESS_SERVICE_PORT for a Service called readiness; none of its names has two underscores.
        let one = name.strip_prefix("readiness_").filter(|rest| rest.contains("__"));
        let other = || name.split_once("__").filter(|(prefix, _)| strsim::osa_distance(prefix, "readiness") <= 2).map(|(_, rest)| rest);
        let rest = one.or_else(other)?;
        let path = rest.replace("__", ".");
        let is_ours = path.split('.').next().is_some_and(|first| top.contains(&first));
        is_ours.then(|| name_of(&shown(&path, schema)))
    };
    let rule = |name: String| format!("a variable is called almost like {name} and is not read; only names that begin with {ENV_PREFIX}__ are");
    names.filter_map(meant).map(|name| Problem::bare("environment", rule(name))).collect()
}

/// A path without what is no key of the file: it may be a secret.
fn shown(path: &str, schema: &Value) -> String {
    let keys = all_keys(schema);
    let known = |key: &&str| keys.contains(key) || (key.len() <= 3 && key.parse::<u16>().is_ok());
    path.split('.').map(|key| Some(key).filter(known).unwrap_or("***")).collect::<Vec<_>>().join(".")
}

/// The list that a path names or leads through.
fn list_above<'a>(path: &'a str, schema: &Value) -> Option<&'a str> {
    let mut shape = Shape::of(schema);
    let mut end = 0;
    for key in path.split('.') {
        shape = shape.step(key);
        end += key.len();
        if shape.is_list() {
            return path.get(..end);
        }
        end += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_called_almost_like_one_of_ours_is_told_and_no_other() {
        let schema = crate::config::schema();
        let told = |name: &str| almost([name.to_owned()].into_iter(), &schema).iter().map(ToString::to_string).collect::<Vec<_>>();
        let rule = |name: &str| [format!("environment: a variable is called almost like {name} and is not read; only names that begin with READINESS__ are")];
        for name in ["READINESS_COLLECTORS__HTTP__INTERVAL", "READYNESS__COLLECTORS__HTTP__INTERVAL", "readines__collectors__http__interval"] {
            assert_eq!(told(name), rule("READINESS__COLLECTORS__HTTP__INTERVAL"), "{name}");
        }
        assert_eq!(told("READINESS_COLLECTORS__hunter2"), rule("READINESS__COLLECTORS__***"), "what is no key may be a secret");
        for name in
            ["READINESS__COLLECTORS__HTTP__INTERVAL", "READINESS_SERVICE_PORT", "READINESS_SCREENSHOTS", "OTHER__COLLECTORS__HTTP", "READINESS_COLLECTORS_PORT"]
        {
            assert!(told(name).is_empty(), "{name}");
        }
    }
}
