//! What is wrong with a configuration, and where a person finds it.

use std::fmt;
use std::path::Path;

use crate::say;
use crate::say::Say;

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

impl Problem {
    /// A broken rule and the value that breaks it.
    pub fn new(path: impl Into<String>, rule: impl Into<String>, got: impl fmt::Display) -> Self {
        Self { path: path.into(), rule: rule.into(), got: Some(got.to_string()), found: Found::Path }
    }

    /// A broken rule that has no single value.
    pub fn bare(path: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { path: path.into(), rule: rule.into(), got: None, found: Found::Path }
    }

    /// The same inside what stands at a path, or in a file that is named there.
    pub(crate) fn within(self, path: &str, file: Option<&Path>) -> Self {
        let path = match file.filter(|_| self.path != "file") {
            Some(file) => format!("{path}, in {}: {}", say!("{}", file.display()), self.path),
            None => join(path, &self.path),
        };
        Self { path, ..self }
    }

    /// The same in a variable instead of the file.
    pub(crate) fn in_variable(self, name: String) -> Self {
        Self { found: Found::Variable(name), ..self }
    }

    /// Its path for sorting, so that the tenth of a list comes after the second.
    pub(crate) fn place(&self) -> String {
        let mut parts = self.path.split('[');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |path, part| format!("{path}[{part:0>width$}", width = part.len() + 8usize.saturating_sub(part.find(']').unwrap_or(8))))
    }

    /// Whether nobody finds it in the file.
    pub(crate) const fn is_of_a_variable(&self) -> bool {
        matches!(self.found, Found::Variable(_))
    }

    /// The same, with what the items on its path are called.
    pub(crate) fn with_items(&mut self, path: String) {
        self.found = Found::Items(path);
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

pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// `/collectors/http/targets/0/url` as `collectors.http.targets[0].url`.
pub(crate) fn dotted(pointer: &str) -> String {
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
