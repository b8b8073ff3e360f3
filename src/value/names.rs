//! Files and environment variables that a configuration names, so that one walk finds them all: to take them
//! from the folder of the file, to hide them when they are printed, and to say which are missing.

use std::path::PathBuf;

use super::SecretRef;

/// What is named, to be read or changed.
pub(crate) enum Named<'a> {
    /// A file.
    File(&'a mut PathBuf),
    /// One that holds a secret and nothing else.
    SecretFile(&'a mut PathBuf),
    /// An environment variable.
    Variable(&'a mut String),
}

/// What is done with each name, and with its path in the configuration.
pub(crate) type Visit<'a> = dyn FnMut(&str, Named<'_>) + 'a;

/// Visits a file that may be configured.
pub(crate) fn file(path: &str, named: &mut Option<PathBuf>, visit: &mut Visit<'_>) {
    if let Some(named) = named {
        visit(path, Named::File(named));
    }
}

/// Visits the place of a secret that may be configured.
pub(crate) fn secret(path: &str, reference: &mut Option<SecretRef>, visit: &mut Visit<'_>) {
    if let Some(SecretRef { file, env }) = reference {
        place(path, file, env, visit);
    }
}

/// Visits a file or a variable that holds a secret.
pub(crate) fn place(path: &str, named: &mut Option<PathBuf>, env: &mut Option<String>, visit: &mut Visit<'_>) {
    if let Some(named) = named {
        visit(&format!("{path}.file"), Named::SecretFile(named));
    }
    if let Some(name) = env {
        visit(&format!("{path}.env"), Named::Variable(name));
    }
}
