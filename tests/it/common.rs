//! What several tests need: an estate with an exporter on it, and waiting on a condition.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use readiness_exporter::app::App;
use readiness_exporter::checklist::{CheckState, Judgement};
use readiness_exporter::config;
use readiness_exporter::value::Place;
use readiness_exporter::web::{Door, Listener, serve};
use readiness_lab::{Lab, Process};

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

/// The environment of a process whose wall clock differs by as many seconds as a file says.
pub(crate) fn wall_clock(offset: &Path) -> [(&'static str, &std::ffi::OsStr); 4] {
    [
        // The loader replaces $LIB by this host's library folder.
        ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1".as_ref()),
        ("FAKETIME_TIMESTAMP_FILE", offset.as_os_str()),
        ("FAKETIME_NO_CACHE", "1".as_ref()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".as_ref()),
    ]
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

    /// Looks every two seconds, for processes of their own beside whatever else the machine does.
    pub(crate) async fn unhurried() -> Self {
        let mut estate = Self::start().await;
        estate.configuration =
            estate.configuration.replace("timeout: 1s", "timeout: 2s").replace("interval: 1s", "interval: 2s").replace("window: 3s", "window: 6s");
        estate
    }

    /// For a process that looks once, or must not be late: on a busy machine an answer can take longer than a second.
    pub(crate) async fn for_one_look() -> Self {
        let mut estate = Self::start().await;
        estate.configuration =
            estate.configuration.replace("timeout: 1s", "timeout: 5s").replace("interval: 1s", "interval: 5s").replace("window: 3s", "window: 15s");
        estate
    }

    /// Moves the example's weekly maintenance away from an event that starts then: on some days it is right in it.
    pub(crate) fn without_maintenance_at(&mut self, start: Timestamp) {
        let weekly = "schedule: \"30 3 * * SUN\", time_zone: America/Vancouver";
        assert!(self.configuration.contains(weekly), "the example has another maintenance");
        let daily = (start - SignedDuration::from_hours(6)).strftime("%-M %-H * * *").to_string();
        self.configuration = self.configuration.replacen(weekly, &format!("schedule: \"{daily}\""), 1);
    }

    /// The configuration as a file.
    pub(crate) fn file(&self) -> PathBuf {
        let path = self.folder.path().join("readiness.yaml");
        std::fs::write(&path, &self.configuration).unwrap();
        path
    }

    /// An exporter in this process.
    pub(crate) fn exporter(&self) -> Arc<App> {
        self.exporter_at(Place::default())
    }

    /// The same, reached at a place.
    pub(crate) fn exporter_at(&self, place: Place) -> Arc<App> {
        let loaded = config::load(&self.file()).unwrap_or_else(|error| panic!("{error}"));
        let app = App::start_at(place, loaded, Some(self.file()), true).unwrap();
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
        assert!(tokio::time::Instant::now() <= limit, "never {what}:\n{}\n{}", seen(), readiness_exporter::report::text(&judgements, false, None));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The binary as a process of its own that serves, with what it writes kept in a file.
pub(crate) struct Running {
    child: Process,
    /// `http://ADDRESS`
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    log: PathBuf,
}

impl Running {
    /// Starts it with what the command has beside the listen address. It may have two gigabytes of
    /// address space, so that one that takes all memory ends by itself, and cores of any size.
    pub(crate) fn start(command: &Command, address: &str, log: &Path) -> Self {
        let mut bounded = Command::new("sh");
        bounded.args(["-c", "ulimit -v 2000000; ulimit -c unlimited 2>/dev/null; exec \"$0\" \"$@\""]).arg(command.get_program());
        bounded.args(command.get_args()).args(["--web.listen-address", address]);
        for (name, value) in command.get_envs() {
            bounded.env(name, value.unwrap_or_default());
        }
        if let Some(folder) = command.get_current_dir() {
            bounded.current_dir(folder);
        }
        let file = std::fs::File::create(log).unwrap();
        bounded.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = Process(bounded.spawn().unwrap());
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        Self { child, url: format!("http://{address}"), client, log: log.to_owned() }
    }

    /// The body of a page; `None` when there is no answer.
    pub(crate) async fn get(&self, path: &str) -> Option<String> {
        self.client.get(format!("{}{path}", self.url)).send().await.ok()?.text().await.ok()
    }

    /// Waits until a page satisfies a condition, and returns it.
    pub(crate) async fn until(&self, what: &str, path: &str, condition: impl Fn(&str) -> bool) -> String {
        let limit = tokio::time::Instant::now() + PATIENCE;
        loop {
            let seen = self.get(path).await;
            if let Some(text) = seen.as_ref().filter(|text| condition(text)) {
                return text.clone();
            }
            assert!(tokio::time::Instant::now() < limit, "never {what}; log:\n{}", self.log().lines().rev().take(20).collect::<Vec<_>>().join("\n"));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What it wrote to stdout and stderr.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// A file of the kernel about the process.
    pub(crate) fn proc(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default()
    }

    /// The most memory that was resident since the peak was forgotten, in MiB; `None` when it has ended.
    pub(crate) fn peak(&self) -> Option<u64> {
        let status = self.proc("status");
        let kib: u64 = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())?;
        Some(kib / 1024)
    }

    pub(crate) fn forget_peak(&self) {
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    /// Asks it to end: how long that took, and how it ended; `None` if it did not within ten seconds.
    pub(crate) async fn terminate(&mut self) -> Option<(Duration, ExitStatus)> {
        let asked = tokio::time::Instant::now();
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        while asked.elapsed() < Duration::from_secs(10) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some((asked.elapsed(), status));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }
}

/// The exporter of an estate, and where its own server listens.
pub(crate) async fn served(estate: &Estate) -> (Arc<App>, String) {
    let app = estate.exporter();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.address().unwrap().to_string();
    tokio::spawn(serve(listener, Arc::clone(&app), Door::Open, std::future::pending(), Duration::from_secs(1)));
    (app, address)
}
