//! Mutated answers to every collector, and what must hold all the time: the exporter lives, its memory
//! is bounded, no secret leaves, it is not go while something is broken, and it is go again when the
//! storm is over.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use readiness_lab::wire::{self, Wire};
use readiness_lab::{Lab, issuers, storm};
use serde_json::json;
use tokio::time::Instant;

use crate::on_a_lab::{Exporter, configuration};

/// What is broken while answers are changed, of different collectors, so that no one changed answer
/// could mend all of it.
const BROKEN: [&str; 6] = ["node-disk-pressure", "karpenter-down", "london-503", "credential-github-refused", "mirror-stale", "load-balancer-gone"];
/// Pages in which a secret could show.
const PAGES: [&str; 6] = ["/", "/metrics", "/report.md", "/report.json", "/report.txt", "/report.xml"];
/// Longest time until it is go for the first time, or red because of what is broken.
const PATIENCE: Duration = Duration::from_mins(2);
/// Longest time until it is go again: each source looks every second, is given a second to answer, and
/// counts as good after two looks; what a changed answer asked to wait is at most ten intervals.
pub(crate) const MENDED: Duration = Duration::from_secs(15);

/// How a storm is made, and what it may cost.
pub(crate) struct Plan {
    pub(crate) binary: PathBuf,
    pub(crate) seed: u64,
    pub(crate) lasts: Duration,
    /// How long each of its squalls lasts.
    pub(crate) squall: Duration,
    pub(crate) level: &'static str,
    /// Seconds between looks, and to answer one.
    pub(crate) pace: u8,
    /// The most memory that may be resident, in MiB.
    pub(crate) most: u64,
    /// Longest time until it is go again.
    pub(crate) mended: Duration,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) squalls: u32,
    pub(crate) changed: u64,
    pub(crate) slowest: Duration,
    pub(crate) peak: u64,
    pub(crate) wrong: Vec<String>,
}

/// Two servers beside the lab: one of AWS, and one without TLS.
async fn neighbours(lab: &Lab) -> [(SocketAddr, tokio::task::JoinHandle<()>); 2] {
    let [plain, aws]: [SocketAddr; 2] = [5010, 5011].map(|port| format!("{}:{port}", lab.free_host()).parse().unwrap());
    let page = readiness_lab::plain_server(plain, Duration::ZERO, |_, _, _| (200, Vec::new(), br#"{"status":"ok"}"#.to_vec())).await.unwrap();
    let secret = json!({ "ARN": "arn:aws:secretsmanager:us-east-2:123456789012:secret:database-AbCdEf", "Name": "database", "RotationEnabled": false,
        "LastChangedDate": 1_760_000_000.0, "VersionIdsToStages": { "a": ["AWSCURRENT"] }, "SecretString": format!("{{\"password\":\"{}\"}}", issuers::CANARY) })
    .to_string();
    let kind = vec![("content-type", "application/x-amz-json-1.1".to_owned())];
    let describes = readiness_lab::plain_server(aws, Duration::ZERO, move |_, _, _| (200, kind.clone(), secret.clone().into_bytes())).await.unwrap();
    [(plain, page), (aws, describes)]
}

fn write(lab: &Lab, folder: &Path, plain: SocketAddr, pace: u8) {
    let key = lab.dir().join("header.key");
    std::fs::write(&key, format!("{}-header\n", issuers::CANARY)).unwrap();
    let target = format!(
        "    targets:\n      - {{ name: plain, kind: healthz, url: \"http://{plain}/\", follow_redirects: 2, headers: [{{ name: X-Lab-Key, value_from: {{ file: {} }} }}], expect: {{ json: [{{ pointer: /status, equals: ok }}] }} }}\n",
        key.display()
    );
    let secrets = "  secrets_manager: { interval: 1s, timeout: 1s, secrets: [{ name: database, region: us-east-2, id: database }] }\n\n  rotations:";
    let value = "    credentials:\n      - { name: database, kind: opaque, expires: \"2099-12-31\", from: { secrets_manager: { region: us-east-2, id: database, field: password } } }\n";
    let settings = configuration(lab).replacen("    targets:\n", &target, 1).replacen("  rotations:", secrets, 1).replacen("    credentials:\n", value, 1);
    let paced = settings.replace("interval: 1s", &format!("interval: {pace}s")).replace("timeout: 1s", &format!("timeout: {pace}s"));
    std::fs::write(folder.join("readiness.yaml"), paced.replace("window: 3s", &format!("window: {}s", 3 * pace))).unwrap();
}

async fn decision(exporter: &Exporter) -> Option<bool> {
    let text = exporter.get("/metrics").await?;
    let line = text.lines().find(|line| line.starts_with("readiness_go{"))?;
    Some(line.ends_with(" 1"))
}

async fn until_go(exporter: &mut Exporter, is: bool, at_most: Duration) -> Result<Duration, String> {
    let started = Instant::now();
    while decision(exporter).await != Some(is) {
        if exporter.held().is_none() {
            return Err("the exporter has ended".to_owned());
        }
        if started.elapsed() > at_most {
            let judged = exporter.judged().await;
            return Err(format!("go is not {is} within {:.0} s; red and unknown: {judged:?}", at_most.as_secs_f64()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(started.elapsed())
}

/// Makes a storm on an estate of its own.
pub(crate) async fn run(plan: &Plan, say: impl Fn(&str)) -> Outcome {
    let (folder, mut outcome) = (tempfile::tempdir().unwrap(), Outcome::default());
    let lab = Lab::anywhere(&folder.path().join("lab")).await.unwrap();
    let [(plain, _page), (aws, _describes)] = neighbours(&lab).await;
    write(&lab, folder.path(), plain, plan.pace);
    let environment = [
        ("AWS_ENDPOINT_URL", format!("http://{aws}")),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", format!("{}-aws", issuers::CANARY)),
    ];
    let mut exporter = Exporter::start(&plan.binary, folder.path(), &format!("{}:9840", lab.free_host()), plan.level, &environment);
    let mut servers = lab.servers();
    servers.extend(lab.servers_in_storms());
    servers.extend([plain, aws]);
    storm::seed(plan.seed);
    let mut dice = fastrand::Rng::with_seed(plan.seed);
    let mut weather = async || -> Result<(), String> {
        until_go(&mut exporter, true, PATIENCE).await.map_err(|why| format!("at the start: {why}"))?;
        let started = Instant::now();
        while started.elapsed() < plan.lasts {
            outcome.squalls += 1;
            let number = outcome.squalls;
            let broken: Vec<&str> = if number % 2 == 0 { Vec::new() } else { dice.choose_multiple(BROKEN, 3) };
            for fault in &broken {
                assert!(lab.estate().set(fault, true));
            }
            if !broken.is_empty() {
                until_go(&mut exporter, false, PATIENCE).await.map_err(|why| format!("{broken:?}: {why}"))?;
            }
            // All of them at once, or a few, so that the others are seen.
            let hit: Vec<SocketAddr> = servers.iter().copied().filter(|_| number % 3 == 1 || dice.u8(..3) == 0).collect();
            for server in &hit {
                wire::set(*server, Some(Wire::Storm));
            }
            let since = Instant::now();
            while since.elapsed() < plan.squall {
                let held = exporter.held().ok_or_else(|| format!("squall {number}: the exporter has ended"))?;
                if held.resident > plan.most << 20 {
                    outcome.wrong.push(format!("squall {number}: {} MiB are resident", held.resident >> 20));
                }
                if !broken.is_empty() && decision(&exporter).await == Some(true) {
                    outcome.wrong.push(format!("squall {number}: go, while {broken:?} are broken"));
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            for page in PAGES {
                if exporter.get(page).await.is_some_and(|text| leaks(&text)) {
                    outcome.wrong.push(format!("squall {number}: {page} holds a secret"));
                }
            }
            for server in &hit {
                wire::set(*server, None);
            }
            for fault in &broken {
                assert!(lab.estate().set(fault, false));
            }
            match until_go(&mut exporter, true, plan.mended).await {
                Ok(took) => outcome.slowest = outcome.slowest.max(took),
                Err(why) => {
                    outcome.wrong.push(format!("after squall {number} over {} servers: {why}", hit.len()));
                    until_go(&mut exporter, true, PATIENCE).await.map_err(|why| format!("after squall {number}: {why}"))?;
                }
            }
            say(&format!(
                "{:4.0} s, {number} squalls, {} answers changed, {} MiB at most, go again after {:.1} s at most, {} wrong",
                started.elapsed().as_secs_f64(),
                storm::changed(),
                exporter.peak() >> 20,
                outcome.slowest.as_secs_f64(),
                outcome.wrong.len()
            ));
        }
        Ok(())
    };
    let ended = weather().await;
    outcome.wrong.extend(ended.err());
    outcome.changed = storm::changed();
    outcome.peak = exporter.peak() >> 20;
    outcome.wrong.extend(afterwards(&exporter, folder.path(), &lab).await);
    outcome
}

fn leaks(text: &str) -> bool {
    text.contains("token-of-") || issuers::secrets().iter().any(|secret| text.contains(secret.as_str()))
}

/// What is looked at once, in the end.
async fn afterwards(exporter: &Exporter, folder: &Path, lab: &Lab) -> Vec<String> {
    let mut wrong = Vec::new();
    let log = exporter.log();
    let mut lines: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in log.lines() {
        if line.contains("panicked") {
            lines.entry("a panic").or_default().push(line);
        }
        if leaks(line) {
            lines.entry("a secret in the log").or_default().push(line);
        }
    }
    wrong.extend(lines.into_iter().map(|(what, lines)| format!("{what}, {} lines: {}", lines.len(), lines[0].chars().take(400).collect::<String>())));
    let state = std::fs::read_to_string(lab.dir().join("state.json")).unwrap_or_default();
    wrong.extend(leaks(&state).then(|| "a secret in the state file".to_owned()));
    let scrape = folder.join("metrics");
    std::fs::write(&scrape, exporter.get("/metrics").await.unwrap_or_default()).unwrap();
    let checked = Command::new("promtool").args(["check", "metrics"]).stdin(std::fs::File::open(scrape).unwrap()).output();
    match checked {
        Ok(checked) if checked.status.success() => {}
        Ok(checked) => wrong.push(format!("promtool: {}", String::from_utf8_lossy(&checked.stderr))),
        Err(error) => wrong.push(format!("promtool: {error}")),
    }
    wrong
}
