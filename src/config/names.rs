//! The names of files and variables in the settings: taken from the folder of the file, refused where
//! they can be none, and hidden where they may be a secret that somebody wrote in their place.

use std::path::{Component, Path, PathBuf};

use super::settings::Settings;
use crate::collectors::kubernetes;
use crate::files;
use crate::say;
use crate::value::Problem;
use crate::value::names::{Named, Visit, file, secret};
use crate::word::Word;

impl Settings {
    /// Takes relative paths from the folder of the configuration file, and reports what can be no name.
    /// Nothing is quoted: who did not understand what belongs there wrote the secret itself.
    pub(super) fn resolve_names(&mut self, base: &Path, problems: &mut Vec<Problem>) {
        self.names(&mut |path, named| match named {
            Named::File(file) => resolve(path, base, file, false, problems),
            Named::SecretFile(file) => resolve(path, base, file, true, problems),
            Named::Variable(name) if !can_name_a_variable(name) => {
                problems.push(Problem::bare(path, "must be the name of an environment variable"));
            }
            Named::Variable(_) => {}
        });
    }

    /// Puts `***` in the place of every name that may be a secret, to be printed. Looks for the files on
    /// this thread.
    pub(crate) fn hide_names(&mut self) {
        self.names(&mut |_, named| match named {
            Named::File(file) | Named::SecretFile(file) => {
                files::look(file);
                if files::shown(&file.to_string_lossy()) == files::HIDDEN {
                    *file = "***".into();
                }
            }
            Named::Variable(name) => {
                if Word::variable(name).is_none() && std::env::var_os(&*name).is_none() {
                    "***".clone_into(name);
                }
            }
        });
    }

    /// Files and variables that are named and not there. Asks the file system on this thread.
    pub(crate) fn missing(mut self) -> Vec<Problem> {
        let mut missing = Vec::new();
        self.names(&mut |path, named| {
            // These are made when they are first written.
            let is_written = ["state_file", "archive"].contains(&path);
            match named {
                Named::File(file) | Named::SecretFile(file) => {
                    let wanted = if is_written { file.parent().filter(|folder| !folder.as_os_str().is_empty()) } else { Some(file.as_path()) };
                    if wanted.is_some_and(|wanted| !wanted.exists()) {
                        let rule = if is_written { "its folder is not there" } else { "there is no such file" };
                        missing.push(Problem::new(path, rule, say!("{}", file.display())));
                    }
                }
                Named::Variable(name) => {
                    if std::env::var_os(&*name).is_none() {
                        let shown = Word::variable(name).map_or_else(String::new, |_| format!(" {name}"));
                        missing.push(Problem::bare(path, format!("environment variable{shown} is not set")));
                    }
                }
            }
        });
        missing
    }

    fn names(&mut self, visit: &mut Visit<'_>) {
        for (index, checklist) in self.checklists.iter_mut().enumerate() {
            file(&format!("checklists[{index}].file"), &mut checklist.file, visit);
        }
        file("state_file", &mut self.state_file, visit);
        file("archive", &mut self.archive, visit);
        if let Some(attestations) = &mut self.attestations {
            visit("attestations.file", Named::File(&mut attestations.file));
        }
        for (index, kubernetes::ClusterConfig { kubeconfig, ca_file, token, .. }) in self.clusters.iter_mut().enumerate() {
            let path = format!("clusters[{index}]");
            file(&format!("{path}.kubeconfig"), kubeconfig, visit);
            file(&format!("{path}.ca_file"), ca_file, visit);
            secret(&format!("{path}.token"), token, visit);
        }
        self.collectors.names(visit);
    }
}

fn resolve(path: &str, base: &Path, file: &mut PathBuf, of_secret: bool, problems: &mut Vec<Problem>) {
    if file.starts_with("~") || file.to_string_lossy().starts_with('$') {
        problems.push(Problem::bare(path, "must be the name of a file as it is: ~ and variables are not replaced"));
    } else if !can_name_a_file(file) {
        problems.push(Problem::bare(path, "must be the name of a file"));
    }
    let full = base.join(&*file);
    files::allow(file, &full, of_secret);
    *file = full;
}

/// Whether a text can be the name of a file: no PEM, JSON or YAML, and nothing that no system takes.
fn can_name_a_file(path: &Path) -> bool {
    const LONGEST: usize = 255;
    let text = path.to_string_lossy();
    let is_content = text.contains(char::is_control) || text.contains('{') || text.contains(": ") || text.contains("-----BEGIN");
    let fits = path.components().all(|part| !matches!(part, Component::Normal(part) if part.len() > LONGEST));
    !text.is_empty() && !is_content && fits
}

fn can_name_a_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
