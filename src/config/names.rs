//! The names of files and variables in the settings: taken from the folder of the file, refused where
//! they can be none, and hidden where they may be a secret that somebody wrote in their place.

use std::path::{Component, Path, PathBuf};

use super::{CollectorsConfig, Settings};
use crate::collectors::{http, kubernetes, tls};
use crate::files;
use crate::say;
use crate::value::{Problem, SecretRef};
use crate::word::Word;

/// What is named, to be read or changed.
enum Named<'a> {
    File(&'a mut PathBuf),
    /// One that holds a secret and nothing else.
    SecretFile(&'a mut PathBuf),
    Variable(&'a mut String),
}

type Visit<'a> = dyn FnMut(&str, Named<'_>) + 'a;

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

impl CollectorsConfig {
    fn names(&mut self, visit: &mut Visit<'_>) {
        let Self { http, tls, dns: _, kubernetes, registry, credentials, secrets_manager: _, rotations: _ } = self;
        if let Some(http::Config { ca_file, targets, .. }) = http {
            file("collectors.http.ca_file", ca_file, visit);
            for (index, target) in targets.iter_mut().enumerate() {
                for (position, header) in target.headers.iter_mut().enumerate() {
                    secret(&format!("collectors.http.targets[{index}].headers[{position}].value_from"), &mut header.value_from, visit);
                }
            }
        }
        if let Some(tls::Config { ca_file, .. }) = tls {
            file("collectors.tls.ca_file", ca_file, visit);
        }
        if let Some(kubernetes) = kubernetes {
            file("collectors.kubernetes.storage.ca_file", &mut kubernetes.storage.ca_file, visit);
        }
        for (index, registry) in registry.iter_mut().flat_map(|registry| &mut registry.registries).enumerate() {
            let path = format!("collectors.registry.registries[{index}]");
            file(&format!("{path}.ca_file"), &mut registry.ca_file, visit);
            file(&format!("{path}.docker_config"), &mut registry.docker_config, visit);
            secret(&format!("{path}.password"), &mut registry.password, visit);
            secret(&format!("{path}.token"), &mut registry.token, visit);
        }
        if let Some(credentials) = credentials {
            file("collectors.credentials.ca_file", &mut credentials.ca_file, visit);
            for (index, credential) in credentials.credentials.iter_mut().enumerate() {
                let path = format!("collectors.credentials.credentials[{index}]");
                place(&format!("{path}.from"), &mut credential.from.file, &mut credential.from.env, visit);
                secret(&format!("{path}.password"), &mut credential.password, visit);
            }
        }
    }
}

fn file(path: &str, named: &mut Option<PathBuf>, visit: &mut Visit<'_>) {
    if let Some(named) = named {
        visit(path, Named::File(named));
    }
}

fn secret(path: &str, reference: &mut Option<SecretRef>, visit: &mut Visit<'_>) {
    if let Some(SecretRef { file, env }) = reference {
        place(path, file, env, visit);
    }
}

fn place(path: &str, named: &mut Option<PathBuf>, env: &mut Option<String>, visit: &mut Visit<'_>) {
    if let Some(named) = named {
        visit(&format!("{path}.file"), Named::SecretFile(named));
    }
    if let Some(name) = env {
        visit(&format!("{path}.env"), Named::Variable(name));
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
