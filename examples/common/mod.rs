//! The real exporter as a process on a lab: what it says, and what it holds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use readiness_lab::Process;
use serde_json::Value;

/// The process, which ends with this.
pub(crate) struct Exporter {
    process: Process,
    /// `http://ADDRESS`
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    log: PathBuf,
}

/// What the process holds now.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) resident: u64,
    pub(crate) files: usize,
    pub(crate) threads: u64,
}

impl Exporter {
    /// Starts a binary with the `readiness.yaml` of a folder, where its log goes as well.
    pub(crate) fn start(binary: &Path, folder: &Path, address: &str, level: &str, environment: &[(&str, String)]) -> Self {
        let log = folder.join("log");
        let mut command = Command::new(binary);
        command.args(["--log.level", level, "--web.listen-address", address, "--config.file"]).arg(folder.join("readiness.yaml"));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let file = std::fs::File::create(&log).unwrap();
        let process = Process(command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap());
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        Self { process, url: format!("http://{address}"), client, log }
    }

    /// A page; `None` when there is no answer.
    pub(crate) async fn get(&self, path: &str) -> Option<String> {
        self.client.get(format!("{}{path}", self.url)).send().await.ok()?.text().await.ok()
    }

    /// What it wrote so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Names of red and of unknown checks.
    pub(crate) async fn judged(&self) -> Option<[BTreeSet<String>; 2]> {
        let report: Value = serde_json::from_str(&self.get("/report.json").await?).ok()?;
        let checks: Vec<Value> =
            report["judgements"][0]["sections"].as_array()?.iter().flat_map(|section| section["checks"].as_array().cloned().unwrap_or_default()).collect();
        let named = |states: &[&str]| {
            let own = checks.iter().filter(|check| states.contains(&check["state"].as_str().unwrap_or_default()));
            own.map(|check| check["name"].as_str().unwrap_or_default().to_owned()).collect::<BTreeSet<_>>()
        };
        Some([named(&["fail", "warn"]), named(&["unknown"])])
    }

    /// What it holds; `None` when it has ended.
    pub(crate) fn held(&mut self) -> Option<Held> {
        if self.process.try_wait().ok()?.is_some() {
            return None;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.trim().trim_end_matches(" kB").parse::<u64>().ok());
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).ok()?.count();
        Some(Held { resident: field("VmRSS:")? * 1024, files, threads: field("Threads:")? })
    }

    /// The most memory that was resident since it started, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or_default() * 1024
    }
}

/// The example's configuration for a lab, with looks every second.
pub(crate) fn configuration(lab: &readiness_lab::Lab) -> String {
    let example = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/workshop.yaml")).unwrap();
    let fast = example.replace("interval: 2s", "interval: 1s").replace("window: 20s", "window: 3s").replace("window: 1h", "window: 10s");
    lab.localise(&fast)
}
