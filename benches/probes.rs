//! 500 HTTPS targets on loopback every 5 s: this exporter, scraped as often, against Debian's
//! blackbox exporter probing the same targets on the same schedule, one after the other.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it measured")]

use std::process::Command;
use std::time::Duration;

use readiness_lab::{Authority, Leaf, Process, ok_server};

#[path = "common/mod.rs"]
mod common;

const TARGETS: usize = 500;
const PERIOD: Duration = Duration::from_secs(5);
const PERIODS: u32 = 8;
const HOST: &str = "127.77.1.1";

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("Bench Root").unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let key = authority.issue(&Leaf::good(&[HOST])).unwrap();
    let _server = ok_server(format!("{HOST}:8443").parse().unwrap(), key).await.unwrap();
    let (ours, our_peak) = exporter(folder.path()).await;
    let (theirs, their_peak) = blackbox(folder.path()).await;
    println!("targets, period              {TARGETS}, {} s, {PERIODS} periods measured", PERIOD.as_secs());
    println!("readiness-exporter           {:.2} ms CPU per probe, {:.1} MiB at most", common::ms(ours), common::mib(our_peak));
    println!("prometheus-blackbox-exporter {:.2} ms CPU per probe, {:.1} MiB at most", common::ms(theirs), common::mib(their_peak));
    println!(
        "ratio                        {:.2} of its CPU, {:.2} of its memory",
        ours.as_secs_f64() / theirs.as_secs_f64(),
        our_peak as f64 / their_peak as f64
    );
}

/// CPU per probe, scrapes included, and the most memory.
async fn exporter(folder: &std::path::Path) -> (Duration, u64) {
    let targets: String = (0..TARGETS).map(|n| format!("      - {{ name: target-{n}, url: 'https://{HOST}:8443/t/{n}' }}\n")).collect();
    let configuration = format!("collectors:\n  http:\n    interval: 5s\n    timeout: 4s\n    ca_file: ca.pem\n    targets:\n{targets}");
    std::fs::write(folder.join("readiness.yaml"), configuration).unwrap();
    let process = Process(common::start(folder, "127.77.1.2:9840"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    tokio::time::sleep(PERIOD * 2).await;
    let calls = |text: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with("readiness_collector_api_calls_total{collector=\"http\""));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    };
    let scrape = async || client.get("http://127.77.1.2:9840/metrics").send().await.unwrap().text().await.unwrap();
    let before = (common::cpu(process.id()), calls(&scrape().await));
    for _ in 0..PERIODS {
        tokio::time::sleep(PERIOD).await;
        scrape().await;
    }
    let text = scrape().await;
    let probes = calls(&text) - before.1;
    let good = text.lines().filter(|line| line.starts_with("readiness_http_success{") && line.ends_with(" 1")).count();
    assert_eq!(good, TARGETS, "every target is good");
    (common::cpu(process.id()).saturating_sub(before.0).div_f64(probes), common::peak(process.id()))
}

/// The same for the peer, driven as Prometheus would: each target once per period, spread over it.
async fn blackbox(folder: &std::path::Path) -> (Duration, u64) {
    let module = format!("modules: {{ https: {{ prober: http, http: {{ tls_config: {{ ca_file: {}/ca.pem }} }} }} }}", folder.display());
    std::fs::write(folder.join("blackbox.yml"), module).unwrap();
    let process = Process::start(
        Command::new("prometheus-blackbox-exporter")
            .arg(format!("--config.file={}/blackbox.yml", folder.display()))
            .arg("--web.listen-address=127.77.1.3:9115"),
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    round(&client).await;
    let before = common::cpu(process.id());
    for _ in 0..PERIODS {
        round(&client).await;
    }
    let probes = f64::from(PERIODS) * TARGETS as f64;
    (common::cpu(process.id()).saturating_sub(before).div_f64(probes), common::peak(process.id()))
}

async fn round(client: &reqwest::Client) {
    let mut ticks = tokio::time::interval(PERIOD / u32::try_from(TARGETS).unwrap());
    let mut probes = tokio::task::JoinSet::new();
    for n in 0..TARGETS {
        ticks.tick().await;
        let request = client.get(format!("http://127.77.1.3:9115/probe?module=https&target=https://{HOST}:8443/t/{n}"));
        probes.spawn(async move { request.send().await.unwrap().text().await.unwrap() });
    }
    while let Some(text) = probes.join_next().await {
        assert!(text.unwrap().contains("\nprobe_success 1\n"), "every target is good");
    }
}
