//! `config init`: a configuration to begin with, on stdout; what is in it and what to do next on stderr.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::flags::Init;
use super::{fail, print};
use crate::collectors::kubernetes::init::{Found, add};
use crate::config::begin::{Endpoints, configuration, counts};
use crate::files;
use crate::say;
use crate::say::{Message, Say, counted};

pub(super) fn init(wanted: Init) -> ExitCode {
    let endpoints = match Endpoints::of(&wanted.urls) {
        Ok(endpoints) => endpoints,
        Err(problems) => {
            let told = problems.iter().map(|problem| say!("\n  {}", problem));
            return fail(say!("{}:{}", counted(problems.len(), "URL cannot be taken", "URLs cannot be taken"), Message::joined(told, "")));
        }
    };
    let mut found = Found::of(wanted.contexts);
    match kubeconfigs(wanted.kubeconfig) {
        None if found.is_choosy() => return fail("there is no ~/.kube/config, so there is no context; --kubeconfig names another file"),
        None => note("there is no ~/.kube/config, so no cluster is named; --kubeconfig names another file"),
        Some(files) => {
            if let Err(why) = read(&files, &mut found) {
                // Endpoints do not wait for a cluster; one that was asked for by its name is not left out.
                if endpoints.is_empty() || found.is_choosy() {
                    return fail(why);
                }
                note(say!("left out: {}", why));
            }
        }
    }
    if let Some(absent) = found.absent().next() {
        return fail(absent);
    }
    print(&configuration(&found, &endpoints));
    if found.clusters.is_empty() && endpoints.is_empty() {
        note("nothing is named yet: `readiness-exporter config init --url https://app.example.com/healthz > readiness.yaml` names an endpoint");
    } else {
        note(say!("named: {}", counts(&found, &endpoints)));
        note("next, once this is in readiness.yaml: readiness-exporter check");
    }
    ExitCode::SUCCESS
}

/// The files to read. `KUBECONFIG` may list several, of which kubectl leaves out those that are not there.
fn kubeconfigs(named: Option<OsString>) -> Option<Vec<PathBuf>> {
    let listed = |files: OsString| {
        // Profiles append to it, so that one may stand there twice.
        let mut listed = BTreeSet::new();
        let all = std::env::split_paths(&files).filter(|file| !file.as_os_str().is_empty() && listed.insert(file.clone()));
        let all: Vec<PathBuf> = all.collect();
        let there: Vec<PathBuf> = all.iter().filter(|file| file.exists()).cloned().collect();
        if there.is_empty() { vec![all.into_iter().next().unwrap_or_default()] } else { there }
    };
    let own = || Some(vec![std::env::home_dir()?.join(".kube/config")]).filter(|files| files[0].exists());
    // One that is set to nothing is none to kubectl.
    named.filter(|files| !files.is_empty()).map(listed).or_else(own)
}

fn read(files: &[PathBuf], found: &mut Found) -> Result<(), Message> {
    let mut failures = Vec::new();
    for file in files {
        files::remember(file);
        failures.extend(add(found, file).err());
    }
    match failures.first() {
        Some(why) if found.clusters.is_empty() => return Err(say!("{}; name another kubeconfig with --kubeconfig", why)),
        _ => {}
    }
    for why in failures {
        note(say!("left out: {}", why));
    }
    Ok(())
}

/// Beside what is printed, so that it is in no file.
fn note(what: impl Say) {
    let _ = writeln!(std::io::stderr(), "{what}");
}
