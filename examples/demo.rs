//! The lab and the real exporter in one command: `make demo`, or `make demo STORY=1` for a walk
//! through go, a few faults, no-go, and go again.
//!
//! Where Prometheus and Alertmanager are installed, they run as well, with the shipped rules, and
//! what would have reached Slack is printed.

#![expect(clippy::print_stdout, reason = "a demo talks to the person who started it")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use readiness_lab::{Lab, faults};
use tokio::process::{Child, Command};

const EXPORTER: &str = "127.0.0.1:9840";
const CONFIGURATION: &str = "examples/workshop.yaml";
/// How long the first looks may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_mins(3);
/// What the story breaks, and what a person would see first.
const STORY: [&str; 4] = ["node-disk-pressure", "certificate-near-expiry", "oregon-record-deleted", "api-hang"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let tells = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [story] if story == "--story" => true,
        _ => bail!("the only argument is --story, which walks through faults by itself"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("examples/lab");
    let lab = Lab::start([0, 0], &folder).await.context("start the lab; is another demo running?")?;
    // Alerts of an earlier demo are none of this one's.
    for kept in ["prometheus", "alertmanager"] {
        let _ = std::fs::remove_dir_all(folder.join(kept));
    }
    let _ = std::fs::remove_file(folder.join("state.json"));
    let mut exporter =
        start(&beside("readiness-exporter")?, &["--config.file", CONFIGURATION, "--web.listen-address", EXPORTER, "--log.level", "error"], root)?;
    println!("Looking at everything for the first time: about half a minute, more on a busy machine. Until the word is GO, a line");
    println!("may be unknown (not looked at yet) or red (no answer while all starts at once, or its second good look is still to come).");
    let began = tokio::time::Instant::now();
    until_ready().await.context("wait for the exporter")?;
    until_go(began).await?;
    println!("\nStatus page   http://{EXPORTER}/");
    println!("For a wall    http://{EXPORTER}/wall");
    println!("Metrics       http://{EXPORTER}/metrics");
    println!("Report        http://{EXPORTER}/report.md");
    let monitoring = monitoring::start(&folder, root).await?;
    println!("\nBreak and fix things ({} faults, `curl {}/faults` lists them):", faults().count(), lab.control());
    for name in STORY {
        println!("  curl -X POST   {}/faults/{name}", lab.control());
    }
    println!("  curl -X DELETE {}/faults/{}\n", lab.control(), STORY[0]);
    if tells {
        tokio::select! {
            told = story(&lab, root, if monitoring.is_empty() { Duration::ZERO } else { Duration::from_secs(10) }) => told?,
            () = ended_by_hand() => {}
        }
    } else {
        println!("Press Ctrl-C to end.");
        tokio::select! {
            () = ended_by_hand() => {}
            ended = exporter.wait() => bail!("the exporter ended: {}", ended?),
        }
    }
    exporter.start_kill()?;
    exporter.wait().await?;
    Ok(())
}

/// Ctrl-C, or a kill: without this the exporter, Prometheus and Alertmanager would go on.
async fn ended_by_hand() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut kill) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = kill.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

/// Go, faults one after the other, no-go, mended, go. Each fault stays for `linger`, so that its
/// alert can fire.
async fn story(lab: &Lab, root: &Path, linger: Duration) -> anyhow::Result<()> {
    for name in STORY {
        let fault = faults().find(|fault| fault.name == name).context("a fault of the story")?;
        println!("\n== {}", fault.what);
        lab.estate().set(name, true);
        let expected = fault.red.first().or_else(|| fault.unknown.first()).context("a check of the fault")?;
        until_check(expected).await?;
        println!("{}", blockers(root).await?);
        tokio::time::sleep(linger).await;
        lab.estate().set(name, false);
        println!("-- fixed");
        until("\"decision\": \"go\"").await?;
        println!("{}", headline().await?);
    }
    Ok(())
}

async fn get(path: &str) -> anyhow::Result<String> {
    Ok(client()?.get(format!("http://{EXPORTER}{path}")).send().await?.error_for_status()?.text().await?)
}

fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build()?)
}

async fn until_ready() -> anyhow::Result<()> {
    let limit = tokio::time::Instant::now() + PATIENCE;
    while get("/-/ready").await.is_err() {
        if tokio::time::Instant::now() > limit {
            bail!("not everything was looked at within {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Waits until all is well for the first time, and tells now and then how far it is.
async fn until_go(began: tokio::time::Instant) -> anyhow::Result<()> {
    let mut told = String::new();
    loop {
        let now = headline().await?;
        if now != told {
            println!("{:>4} s  {now}", began.elapsed().as_secs());
        }
        if now.starts_with("GO") {
            return Ok(());
        }
        told = now;
        if began.elapsed() > PATIENCE {
            bail!("no GO within {} s:\n{}", PATIENCE.as_secs(), get("/report.txt").await?);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn until(text: &str) -> anyhow::Result<()> {
    let limit = tokio::time::Instant::now() + PATIENCE;
    while !get("/report.json").await?.contains(text) {
        if tokio::time::Instant::now() > limit {
            bail!("no {text} within {} s:\n{}", PATIENCE.as_secs(), get("/report.txt").await?);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn until_check(name: &str) -> anyhow::Result<()> {
    let limit = tokio::time::Instant::now() + PATIENCE;
    loop {
        let report: serde_json::Value = serde_json::from_str(&get("/report.json").await?)?;
        let sections = report["judgements"][0]["sections"].as_array().context("sections")?;
        let checks = sections.iter().flat_map(|section| section["checks"].as_array().into_iter().flatten());
        if checks.into_iter().any(|check| check["name"] == name && ["fail", "warn", "unknown"].iter().any(|state| check["state"] == *state)) {
            return Ok(());
        }
        if tokio::time::Instant::now() > limit {
            bail!("{name} noticed nothing within {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn headline() -> anyhow::Result<String> {
    Ok(get("/report.txt").await?.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned())
}

/// What stands in the way, as whoever runs `check` sees it.
async fn blockers(root: &Path) -> anyhow::Result<String> {
    let look = Command::new(beside("readiness-exporter")?).args(["check", "--config.file", CONFIGURATION]).current_dir(root).output();
    Ok(String::from_utf8(look.await.context("look once more")?.stdout)?)
}

fn start(program: &Path, arguments: &[&str], folder: &Path) -> anyhow::Result<Child> {
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {}", program.display()))
}

/// A program of this build, which lies one folder above the examples.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.parent().and_then(Path::parent).context("the build folder")?.join(name);
    if !path.exists() {
        bail!("{} is missing; run `cargo build` first", path.display());
    }
    Ok(path)
}

mod monitoring {
    //! Prometheus and Alertmanager on the demo's own ports, and a place for their messages.

    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const SLACK: &str = "127.0.0.1:17070";

    /// Starts what is installed; nothing is no error.
    pub(super) async fn start(folder: &Path, root: &Path) -> anyhow::Result<Vec<Child>> {
        let installed = |name: &str| std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|place| place.join(name).exists()));
        if !installed("prometheus") || !installed("prometheus-alertmanager") {
            println!("\nPrometheus and Alertmanager are not installed; alerts are not shown.");
            return Ok(Vec::new());
        }
        std::fs::create_dir_all(folder)?;
        let alertmanager = std::fs::read_to_string(root.join("deploy/alertmanager.yaml"))?
            .replace("http://dead-mans-switch:8080", &format!("http://{SLACK}"))
            .replace("/etc/alertmanager/readiness.tmpl", &root.join("deploy/readiness.tmpl").display().to_string())
            .replace("api_url_file: /etc/alertmanager/slack-webhook-url", &format!("api_url: http://{SLACK}/services/T/B/x"))
            .replace("group_wait: 30s", "group_wait: 1s")
            .replace("group_interval: 1m", "group_interval: 2s");
        std::fs::write(folder.join("alertmanager.yaml"), alertmanager)?;
        let mut rules = Vec::new();
        for name in ["workshop.rules.yaml", "exporter.rules.yaml"] {
            let text = std::fs::read_to_string(root.join("alerts").join(name))?;
            std::fs::write(folder.join(name), hurried(&text))?;
            rules.push(folder.join(name).display().to_string());
        }
        let prometheus = format!(
            "global: {{ scrape_interval: 2s, evaluation_interval: 2s }}\nrule_files: [{:?}, {:?}]\n\
             alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: ['127.0.0.1:17093'] }}] }}] }}\n\
             scrape_configs: [{{ job_name: readiness-exporter, honor_labels: true, static_configs: [{{ targets: ['{EXPORTER}'] }}] }}]\n",
            rules[0], rules[1],
        );
        std::fs::write(folder.join("prometheus.yaml"), prometheus)?;
        let listener = tokio::net::TcpListener::bind(SLACK).await.context("listen for Slack messages")?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(message(stream));
            }
        });
        let place = |name: &str| folder.join(name).display().to_string();
        let mut children = Vec::new();
        for (program, arguments) in [
            (
                "prometheus-alertmanager",
                vec![
                    format!("--config.file={}", place("alertmanager.yaml")),
                    format!("--storage.path={}", place("alertmanager")),
                    "--web.listen-address=127.0.0.1:17093".into(),
                    "--cluster.listen-address=".into(),
                    "--log.level=error".into(),
                ],
            ),
            (
                "prometheus",
                vec![
                    format!("--config.file={}", place("prometheus.yaml")),
                    format!("--storage.tsdb.path={}", place("prometheus")),
                    "--web.listen-address=127.0.0.1:17090".into(),
                    "--log.level=error".into(),
                ],
            ),
        ] {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            children.push(super::start(Path::new(program), &arguments, folder)?);
        }
        println!("Prometheus    {} (alerts wait 4 s instead of their minutes)", page().await?);
        println!("Alertmanager  http://127.0.0.1:17093/");
        Ok(children)
    }

    /// Where its alerts are shown: a build without the newer interface has them elsewhere.
    async fn page() -> anyhow::Result<String> {
        let (client, limit) = (client()?, tokio::time::Instant::now() + PATIENCE);
        while tokio::time::Instant::now() < limit {
            for path in ["alerts", "classic/alerts"] {
                let url = format!("http://127.0.0.1:17090/{path}");
                if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                    return Ok(url);
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        bail!("Prometheus did not answer within {} s", PATIENCE.as_secs())
    }

    /// The shipped rules with short waits: nobody watches a demo for ten minutes.
    fn hurried(rules: &str) -> String {
        // Prometheus itself takes some seconds until it scrapes for the first time.
        let mut wait = "4s";
        let line = |line: &str| match line.split_once(':') {
            Some((key, _)) if ["for", "keep_firing_for"].contains(&key.trim()) => format!("{key}: {wait}\n"),
            Some((key, name)) if key.trim() == "- alert" => {
                wait = if name.trim() == "ReadinessExporterAbsent" { "20s" } else { "4s" };
                format!("{line}\n")
            }
            _ => format!("{line}\n"),
        };
        rules.lines().map(line).collect()
    }

    async fn message(mut stream: tokio::net::TcpStream) {
        let mut request = vec![0; 64 * 1024];
        let Ok(length) = stream.read(&mut request).await else { return };
        let text = String::from_utf8_lossy(&request[..length]);
        let body = text.split("\r\n\r\n").nth(1).and_then(|body| serde_json::from_str::<serde_json::Value>(body).ok());
        // The watchdog comes here as well, and says nothing that anybody would read.
        if let Some(attachment) = body.as_ref().and_then(|body| body.get("attachments")?.get(0)) {
            println!(
                "\nSlack <- {}\n         {}",
                attachment["title"].as_str().unwrap_or_default(),
                attachment["text"].as_str().unwrap_or_default().replace('\n', "\n         ")
            );
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
    }
}
