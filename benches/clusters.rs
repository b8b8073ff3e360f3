//! What a cluster costs, from a thousand pods to what Kubernetes documents as its limit: memory,
//! time to the first full view, CPU under change, and how soon a change can be scraped.
//!
//! The release binary watches the lab's API server over TLS; both share the machine.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it measured")]

use std::time::Duration;

use readiness_lab::{Lab, Process};
use tokio::time::Instant;

#[path = "common/mod.rs"]
mod common;

/// Nodes and pods, up to the limits that Kubernetes documents for one cluster.
const SIZES: [(u32, u32); 4] = [(34, 1_000), (334, 10_000), (1_667, 50_000), (5_000, 150_000)];
const CHANGES_PER_SECOND: u32 = 200;

#[tokio::main]
async fn main() {
    let largest = std::env::args().skip_while(|argument| argument != "--pods").nth(1).and_then(|pods| pods.parse().ok()).unwrap_or(u32::MAX);
    println!(
        "{:>8} {:>7} {:>10} {:>10} {:>9} {:>10} {:>8} {:>10} {:>10}",
        "pods", "nodes", "first view", "resident", "per pod", "peak", "series", "scrape p50", "scrape p99"
    );
    let mut last = None;
    for (nodes, pods) in SIZES.into_iter().filter(|(_, pods)| *pods <= largest) {
        drop(last.take());
        last = Some(size(nodes, pods).await);
    }
    let Some((watched, nodes, pods)) = last else { return };
    changes(&watched, nodes, pods).await;
    storm(&watched, nodes, pods).await;
}

/// An exporter on a lab.
struct Watched {
    lab: Lab,
    process: Process,
    address: String,
    client: reqwest::Client,
    raw: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Watched {
    async fn start(nodes: u32, pods: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::anywhere(&folder.path().join("lab")).await.unwrap();
        lab.crowd(nodes, pods);
        let configuration = "clusters: [{ name: us-east-2, kubeconfig: lab/kubeconfig, context: us-east-2 }]\n\
             collectors: { kubernetes: { interval: 15s, timeout: 10s, karpenter: { node_classes: ec2 }, storage: { via: node_proxy } } }\n";
        std::fs::write(folder.path().join("readiness.yaml"), lab.localise(configuration)).unwrap();
        let address = format!("{}:9840", lab.host());
        let process = Process(common::start(folder.path(), &address));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let raw = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
        Self { lab, process, address, client, raw, _folder: folder }
    }

    /// The whole exposition, and how long it took.
    async fn scrape(&self) -> (String, Duration) {
        let started = Instant::now();
        let request = self.client.get(format!("http://{}/metrics", self.address)).header("accept-encoding", "gzip");
        let text = match request.send().await {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        (text, started.elapsed())
    }

    /// The time until the last byte of a compressed scrape is here, as a server is measured: not
    /// with what this process needs to unpack and read it.
    async fn scrape_time(&self) -> Duration {
        let started = Instant::now();
        let request = self.raw.get(format!("http://{}/metrics", self.address)).header("accept-encoding", "gzip");
        request.send().await.unwrap().bytes().await.unwrap();
        started.elapsed()
    }

    async fn until(&self, line: &str) {
        while !self.scrape().await.0.contains(line) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn size(nodes: u32, pods: u32) -> (Watched, u32, u32) {
    let started = Instant::now();
    let watched = Watched::start(nodes, pods).await;
    let made = started.elapsed();
    let started = Instant::now();
    watched.until("readiness_selector_state{cluster=\"us-east-2\",selector=\"pods\",kind=\"Pod\",state=\"matched\"} 1").await;
    let first_view = started.elapsed();
    // The round over the kubelets is part of the whole.
    watched.until("readiness_node_kubelet_state").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let pid = watched.process.id();
    let (resident, peak) = (common::resident(pid), common::peak(pid));
    let (text, _) = watched.scrape().await;
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    let (p50, p99) = scrapes(&watched, 100).await;
    println!(
        "{pods:>8} {nodes:>7} {:>8.1} s {:>6.0} MiB {:>7.0} B {:>6.0} MiB {series:>8} {:>7.1} ms {:>7.1} ms   (the lab took {:.0} s to make them)",
        first_view.as_secs_f64(),
        common::mib(resident),
        resident as f64 / f64::from(pods),
        common::mib(peak),
        common::ms(p50),
        common::ms(p99),
        made.as_secs_f64(),
    );
    (watched, nodes, pods)
}

async fn scrapes(watched: &Watched, count: usize) -> (Duration, Duration) {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        times.push(watched.scrape_time().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    times.sort_unstable();
    (times[count / 2], times[count * 99 / 100])
}

/// CPU at a steady rate of changes, and how soon one of them can be scraped.
async fn changes(watched: &Watched, nodes: u32, pods: u32) {
    let pid = watched.process.id();
    let step = Duration::from_millis(50);
    let each = CHANGES_PER_SECOND / 20;
    let mut next = 0;
    let mut restarts = 1;
    let mut burst = |lab: &Lab| {
        if next + each > pods {
            (next, restarts) = (0, restarts + 1);
        }
        lab.churn(next..next + each, nodes, restarts);
        next += each;
    };
    let (before, started) = (common::cpu(pid), Instant::now());
    let mut beat = tokio::time::interval(step);
    while started.elapsed() < Duration::from_secs(30) {
        beat.tick().await;
        burst(&watched.lab);
    }
    let share = common::cpu(pid).saturating_sub(before).as_secs_f64() / started.elapsed().as_secs_f64();
    println!("\nCPU at {CHANGES_PER_SECOND} changes a second    {:.1} % of one core (no scrapes)", share * 100.0);
    let (before, started) = (common::cpu(pid), Instant::now());
    // Once in a minute every kubelet is asked.
    tokio::time::sleep(Duration::from_mins(1)).await;
    println!(
        "CPU without changes             {:.1} % of one core",
        common::cpu(pid).saturating_sub(before).as_secs_f64() / started.elapsed().as_secs_f64() * 100.0
    );
    let mut delays = Vec::new();
    let mut total = count_of(&watched.scrape().await.0);
    for round in 0..20 {
        watched.lab.churn(round..=round, nodes, 1_000 + round);
        let started = Instant::now();
        loop {
            let now = count_of(&watched.scrape().await.0);
            if now > total {
                total = now;
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        delays.push(started.elapsed());
    }
    delays.sort_unstable();
    println!("a change can be scraped after   {:.0} ms (median), {:.0} ms (worst of 20)", common::ms(delays[10]), common::ms(delays[19]));
}

/// All restarts in the exposition.
fn count_of(text: &str) -> u64 {
    let lines = text.lines().filter(|line| line.starts_with("readiness_container_restarts_total"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Memory over a million changes.
async fn storm(watched: &Watched, nodes: u32, pods: u32) {
    let pid = watched.process.id();
    let started = Instant::now();
    let before = common::resident(pid);
    let mut marks = Vec::new();
    let mut seen = 0;
    for round in 0..1_000_u32 {
        let first = round * 1_000 % (pods - 1_000);
        watched.lab.churn(first..first + 1_000, nodes, 10_000 + round);
        if round % 100 == 99 {
            watched.until(&format!("restarts_total{{cluster=\"us-east-2\",namespace=\"team-{:03}\"}}", first % 200)).await;
            let total = count_of(&watched.scrape().await.0);
            seen += u32::from(total > 0);
            marks.push(common::mib(common::resident(pid)));
        } else {
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    }
    let marks: Vec<String> = marks.iter().map(|mib| format!("{mib:.0}")).collect();
    println!(
        "resident over a million changes {:.0} MiB before, then at each hundred thousand {} MiB ({seen} looks, {:.0} s)",
        common::mib(before),
        marks.join(" "),
        started.elapsed().as_secs_f64()
    );
}
