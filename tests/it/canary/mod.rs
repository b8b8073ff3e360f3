//! Words that stand for secrets are planted wherever a secret can be, whole or broken, and looked
//! for in everything that the program writes, at every level of its log.

mod kubeconfigs;
mod peers;
mod settings;

use std::collections::BTreeSet;
use std::path::Path;

use crate::common::{Running, exporter, run};

/// Every page that shows what was seen.
const PAGES: [&str; 8] = ["/", "/metrics", "/report", "/report.html", "/report.md", "/report.json", "/report.txt", "/report.xml"];

/// Everything that was planted.
#[derive(Default)]
pub(crate) struct Planted(Vec<(String, String)>);

impl Planted {
    /// A new word for a secret in a place, which nothing else holds.
    pub(crate) fn word(&mut self, place: &str) -> String {
        let word = format!("zq{}secret{:08x}", self.0.len(), fastrand::u32(..));
        self.0.push((word.clone(), place.to_owned()));
        word
    }

    /// The places whose word a text holds, as it is or as Base64 of the whole.
    pub(crate) fn found(&self, text: &str) -> Vec<&str> {
        use base64::Engine as _;
        let encoded = |word: &str| base64::engine::general_purpose::STANDARD_NO_PAD.encode(word);
        self.0.iter().filter(|(word, _)| text.contains(word.as_str()) || text.contains(&encoded(word))).map(|(_, place)| place.as_str()).collect()
    }
}

/// Where which secret was seen.
#[derive(Default)]
struct Leaks(BTreeSet<String>);

impl Leaks {
    fn look(&mut self, planted: &Planted, place: &str, text: &str) {
        for line in text.lines() {
            self.0.extend(planted.found(line).into_iter().map(|secret| format!("{secret} -> {place}")));
        }
    }

    fn none(&self) {
        assert!(self.0.is_empty(), "{} secrets leave:\n{}", self.0.len(), self.0.iter().cloned().collect::<Vec<_>>().join("\n"));
    }
}

/// Serves at a level until all has been looked at, and looks for what was planted in all that it says.
async fn serves(planted: &Planted, folder: &Path, address: &str, level: &str, environment: &[(&str, String)], leaks: &mut Leaks) {
    let mut command = exporter();
    command.args(["--log.level", level, "--config.file"]).arg(folder.join("readiness.yaml")).envs(environment.iter().map(|(name, value)| (name, value)));
    let mut running = Running::start(&command, address, &folder.join(format!("log-{level}")));
    running.until("ready", "/-/ready", |text| text.contains("ready\n") && !text.contains("not ")).await;
    // Every source once more, since a second look goes other ways than the first.
    let attempts =
        |text: &str| -> Vec<String> { text.lines().filter(|line| line.starts_with("readiness_collector_last_attempt_")).map(str::to_owned).collect() };
    let before = attempts(&running.get("/metrics").await.unwrap_or_default());
    let again = |text: &str| attempts(text).iter().filter(|line| before.contains(line)).count() * 10 <= before.len();
    running.until("looked again", "/metrics", again).await;
    for page in PAGES {
        leaks.look(planted, &format!("{level}: {page}"), &running.get(page).await.unwrap());
    }
    for expected in [200, 400] {
        let answer = running.client.post(format!("{}/-/reload", running.url)).send().await.unwrap();
        assert_eq!(answer.status(), expected);
        leaks.look(planted, &format!("{level}: answer of a reload"), &answer.text().await.unwrap());
        std::fs::rename(folder.join("readiness.yaml"), folder.join("aside.yaml")).ok();
    }
    std::fs::rename(folder.join("aside.yaml"), folder.join("readiness.yaml")).unwrap();
    let ended = running.terminate().await;
    leaks.look(planted, &format!("{level}: log"), &running.log());
    if ended.is_none() {
        leaks.0.insert(format!("{level}: it does not end when it is asked to"));
    }
    {
        let name = "state.json";
        leaks.look(planted, name, &std::fs::read_to_string(folder.join(name)).unwrap_or_default());
    }
    for entry in std::fs::read_dir(folder.join("archive")).into_iter().flatten().flatten() {
        leaks.look(planted, "archive", &std::fs::read_to_string(entry.path()).unwrap_or_default());
    }
}

/// Runs each command that looks at the configuration and ends.
fn commands(planted: &Planted, folder: &Path, environment: &[(&str, String)], leaks: &mut Leaks) {
    let file = folder.join("readiness.yaml");
    let all: [&[&str]; 9] = [
        &["check", "--timeout", "5s", "--output", "text"],
        &["check", "--timeout", "5s", "--all"],
        &["check", "--timeout", "5s", "--output", "json", "--log.level", "debug"],
        &["check", "--timeout", "5s", "--output", "markdown", "--log.level", "trace"],
        &["check", "--timeout", "5s", "--output", "junit", "--log.level", "warn", "--log.format", "json"],
        &["config", "print"],
        &["config", "check", "--log.level", "trace"],
        &["report"],
        &["generate", "--check", "--from-config"],
    ];
    for arguments in all {
        let mut command = exporter();
        command.args(arguments).arg("--config.file").arg(&file).envs(environment.iter().map(|(name, value)| (name, value)));
        let (_, said, errors) = run(&mut command);
        leaks.look(planted, &format!("{}: stdout", arguments.join(" ")), &said);
        leaks.look(planted, &format!("{}: stderr", arguments.join(" ")), &errors);
    }
}

/// A process that dies leaves no image of its memory behind.
#[tokio::test(flavor = "multi_thread")]
async fn no_core_is_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("readiness.yaml"), "{}").unwrap();
    let mut command = exporter();
    command.arg("--config.file").arg(folder.path().join("readiness.yaml"));
    let running = Running::start(&command, &format!("{}:9840", crate::slack::own_host()), &folder.path().join("log"));
    running.until("healthy", "/-/healthy", |text| text.contains("healthy")).await;
    let limits = running.proc("limits");
    let core: Vec<&str> = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().split_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"], "soft and hard limit");
}
