//! What five thousand certificates in five thousand Secrets cost, and what it costs to forecast a
//! thousand rotations.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it measured")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use readiness_lab::{Authority, Leaf, plain_server};
use tokio::time::Instant;

#[path = "common/mod.rs"]
mod common;

const SECRETS: u32 = 5_000;
const ROTATIONS: u32 = 1_000;
const INTERVAL: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() {
    let host = format!("127.{}.{}.1", fastrand::u8(2..250), fastrand::u8(1..250));
    secrets(&host).await;
    rotations(&host).await;
}

/// The values of a metric, without the text before the last blank.
fn values<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = f64> + 'a {
    text.lines().filter(move |line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next()?.parse().ok())
}

async fn scrape(listen: &str) -> Option<String> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("http://{listen}/metrics")).send().await.ok()?.text().await.ok()
}

async fn secrets(host: &str) {
    let authority = Authority::new("Bench").unwrap();
    let (certificate, key) = authority.issue_pem(&Leaf::good(&["a.test"])).unwrap();
    let made = jiff::Timestamp::now().checked_sub(jiff::SignedDuration::from_hours(24)).unwrap();
    let body = format!(
        r#"{{"kind":"Secret","apiVersion":"v1","metadata":{{"name":"s","namespace":"n","creationTimestamp":"{made:.0}"}},"type":"kubernetes.io/tls","data":{{"tls.crt":"{}","tls.key":"{}"}}}}"#,
        STANDARD.encode(&certificate),
        STANDARD.encode(&key)
    );
    let seconds: Arc<[AtomicU64; 600]> = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
    let (counts, started) = (Arc::clone(&seconds), Instant::now());
    let server = format!("{host}:6443");
    let _server = plain_server(server.parse().unwrap(), Duration::ZERO, move |_, _, _| {
        counts[usize::try_from(started.elapsed().as_secs()).unwrap().min(599)].fetch_add(1, Ordering::Relaxed);
        (200, vec![("content-type", "application/json".to_owned())], body.clone().into_bytes())
    })
    .await
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{ name: c, cluster: {{ server: \"http://{server}\" }} }}]\nusers: [{{ name: u, user: {{ token: t }} }}]\ncontexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\n"
    );
    std::fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
    std::fs::write(folder.path().join("roots.pem"), authority.pem()).unwrap();
    let credential = |index: u32| {
        format!(
            "{{ name: c{index}, kind: certificate, from: {{ secret: {{ cluster: c, namespace: n{}, name: s{index}, key: tls.crt, keys: [tls.key] }} }} }}",
            index % 50
        )
    };
    let all: Vec<String> = (0..SECRETS).map(credential).collect();
    let configuration = format!(
        "clusters: [{{ name: c, kubeconfig: kubeconfig }}]\ncollectors: {{ credentials: {{ interval: {}s, timeout: 10s, credentials: [{}] }} }}\n",
        INTERVAL.as_secs(),
        all.join(", ")
    );
    std::fs::write(folder.path().join("readiness.yaml"), configuration).unwrap();
    let listen = format!("{host}:9840");
    let mut process = common::start(folder.path(), &listen);
    let looks = |text: &str| values(text, "readiness_collector_api_calls_total{collector=\"credentials\"").sum::<f64>();
    let mut cpu = Duration::ZERO;
    for round in 1..=4_u32 {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if scrape(&listen).await.is_some_and(|text| looks(&text) >= f64::from(SECRETS * round)) {
                break;
            }
        }
        let (now, used) = (started.elapsed(), common::cpu(process.id()));
        println!(
            "round {round} complete after {:.0} s; CPU {:.2} ms for each certificate; resident {:.1} MiB",
            now.as_secs_f64(),
            common::ms(used.saturating_sub(cpu)) / f64::from(SECRETS),
            common::mib(common::resident(process.id()))
        );
        cpu = used;
    }
    let asked: Vec<u64> = seconds.iter().map(|second| second.load(Ordering::Relaxed)).take(usize::try_from(started.elapsed().as_secs()).unwrap()).collect();
    let later = &asked[asked.len() - 60..];
    println!(
        "{SECRETS} Secrets every {} s: {} requests in all, at most {} in one second at first, at most {} in one of the last 60",
        INTERVAL.as_secs(),
        asked.iter().sum::<u64>(),
        asked.iter().max().unwrap(),
        later.iter().max().unwrap()
    );
    println!("at most resident {:.1} MiB", common::mib(common::peak(process.id())));
    process.kill().unwrap();
    process.wait().unwrap();
}

/// The event is 89 days away, and every rotation is asked whether it hits it.
async fn rotations(host: &str) {
    let start = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24 * 89)).unwrap();
    let rules = ["0 */4 * * *", "30 2 * * SUN", "0 0 1 * *", "*/5 8-18 * * MON-FRI"];
    let rotation = |index: u32| format!("{{ name: r{index}, schedule: \"{}\", time_zone: America/Vancouver }}", rules[index as usize % rules.len()]);
    let all: Vec<String> = (0..ROTATIONS).map(rotation).collect();
    let configuration = format!(
        "events: [{{ name: e, time_zone: UTC, start: {}, duration: 3h }}]\ncollectors: {{ rotations: {{ interval: 5s, rotations: [{}] }} }}\n",
        start.strftime("%Y-%m-%dT%H:%M"),
        all.join(", ")
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("readiness.yaml"), configuration).unwrap();
    let listen = format!("{host}:9841");
    let mut process = common::start(folder.path(), &listen);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        let text = scrape(&listen).await.unwrap();
        let took: f64 = values(&text, "readiness_collector_duration_seconds{collector=\"rotations\"").sum();
        let count = values(&text, "readiness_rotation_conflict_state{").count() / 4;
        println!("{count} rotations against an event in 89 days: {:.1} ms", took * 1e3);
    }
    println!("resident {:.1} MiB", common::mib(common::resident(process.id())));
    process.kill().unwrap();
    process.wait().unwrap();
}
