//! What several tests need: an estate with an exporter on it, and waiting on a condition.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use readiness_exporter::app::App;
use readiness_exporter::checklist::{CheckState, Judgement};
use readiness_exporter::config;
use readiness_lab::Lab;

/// Longest time that a condition may take; reached only when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A file of this repository.
pub(crate) fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The binary under test.
pub(crate) fn exporter() -> Command {
    Command::new(env!("CARGO_BIN_EXE_readiness-exporter"))
}

/// Runs the binary to its end: code, stdout, stderr.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap_or(-1), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A lab with the example configuration on it, looking every second.
pub(crate) struct Estate {
    pub(crate) lab: Lab,
    pub(crate) configuration: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Estate {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::anywhere(&folder.path().join("lab")).await.unwrap();
        let example = std::fs::read_to_string(repository("examples/workshop.yaml")).unwrap();
        let fast = example.replace("interval: 2s", "interval: 1s").replace("window: 20s", "window: 3s").replace("window: 1h", "window: 10s");
        let configuration = lab.localise(&fast);
        Self { lab, configuration, folder }
    }

    /// For a process that looks once: on a busy machine an answer can take longer than a second.
    pub(crate) async fn for_one_look() -> Self {
        let mut estate = Self::start().await;
        estate.configuration =
            estate.configuration.replace("timeout: 1s", "timeout: 5s").replace("interval: 1s", "interval: 5s").replace("window: 3s", "window: 15s");
        estate
    }

    /// The configuration as a file.
    pub(crate) fn file(&self) -> PathBuf {
        let path = self.folder.path().join("readiness.yaml");
        std::fs::write(&path, &self.configuration).unwrap();
        path
    }

    /// An exporter in this process.
    pub(crate) fn exporter(&self) -> Arc<App> {
        let loaded = config::load(&self.file()).unwrap_or_else(|error| panic!("{error}"));
        let app = App::start(loaded, Some(self.file()), true).unwrap();
        tokio::spawn(Arc::clone(&app).keep_judging());
        app
    }
}

/// Names of checks in one of the states.
pub(crate) fn names(judgement: &Judgement, states: &[CheckState]) -> Vec<String> {
    let mut names: Vec<String> = judgement.checks().filter(|check| states.contains(&check.state)).map(|check| check.name.clone()).collect();
    names.sort();
    names
}

/// Waits until the first judgement satisfies the condition; panics with its report if it never does.
pub(crate) async fn until(app: &App, what: &str, condition: impl Fn(&Judgement) -> bool) -> Judgement {
    let limit = tokio::time::Instant::now() + PATIENCE;
    loop {
        let judgements = app.judgements();
        if let Some(judgement) = judgements.first().filter(|judgement| condition(judgement)) {
            return judgement.clone();
        }
        let seen = || {
            let states = [("red", &[CheckState::Fail, CheckState::Warn][..]), ("unknown", &[CheckState::Unknown])];
            states.map(|(word, states)| format!("{word} {:?}", judgements.first().map(|judgement| names(judgement, states)))).join("\n")
        };
        assert!(tokio::time::Instant::now() <= limit, "never {what}:\n{}\n{}", seen(), readiness_exporter::report::text(&judgements, false));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
