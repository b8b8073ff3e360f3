//! What a registry with a thousand tags costs: the time of a round, and how often it is asked.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it measured")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use readiness_lab::{images, plain_server};

#[path = "common/mod.rs"]
mod common;

const REPOSITORIES: u32 = 20;
const TAGS: u32 = 50;
/// As far as a registry is away.
const DELAY: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() {
    let (blobs, [_, version]) = images::versions();
    let host = format!("127.{}.{}.1", fastrand::u8(2..250), fastrand::u8(1..250));
    let address = format!("{host}:5000");
    let (tokens, heads, others) = <(Arc<AtomicU64>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
    let counts = [Arc::clone(&tokens), Arc::clone(&heads), Arc::clone(&others)];
    let realm = format!("Bearer realm=\"http://{address}/token\",service=\"bench\"");
    let _server = plain_server(address.parse().unwrap(), DELAY, move |method, target, headers| {
        if target.starts_with("/token") {
            tokens.fetch_add(1, Ordering::Relaxed);
            return (200, Vec::new(), br#"{"token":"t","expires_in":3600}"#.to_vec());
        }
        if target == "/v2/" {
            return (200, Vec::new(), Vec::new());
        }
        if target.starts_with("/v2/") && !headers.contains_key("authorization") {
            others.fetch_add(1, Ordering::Relaxed);
            return (401, vec![("www-authenticate", realm.clone())], Vec::new());
        }
        let count = if method == "HEAD" { &heads } else { &others };
        count.fetch_add(1, Ordering::Relaxed);
        let reference = target.rsplit('/').next().unwrap_or_default();
        let digest = if reference.starts_with("v1.") { version.index.as_str() } else { reference };
        let Some(blob) = blobs.get(digest).filter(|_| target.starts_with("/v2/team/app-")) else { return (404, Vec::new(), Vec::new()) };
        let length = (method == "HEAD").then(|| ("content-length", blob.bytes.len().to_string()));
        let headers = [("content-type", blob.media_type.to_owned()), ("docker-content-digest", digest.to_owned())].into_iter().chain(length);
        (200, headers.collect(), blob.bytes.clone())
    })
    .await
    .unwrap();
    let names = |repository: u32| (0..TAGS).map(move |tag| (repository, tag));
    let images: Vec<String> = (0..REPOSITORIES).flat_map(names).map(|(repository, tag)| format!("\"{address}/team/app-{repository}:v1.{tag}\"")).collect();
    let folder = tempfile::tempdir().unwrap();
    let configuration = format!(
        "collectors: {{ registry: {{ interval: 20s, timeout: 10s, concurrency: 8, registries: [{{ host: \"{address}\", plain_http: true }}], images: [{}] }} }}\n",
        images.join(", ")
    );
    std::fs::write(folder.path().join("readiness.yaml"), configuration).unwrap();
    let listen = format!("{host}:9840");
    let mut process = common::start(folder.path(), &listen);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    println!("{} tags in {REPOSITORIES} repositories, 8 requests at once, each answered after {} ms", images.len(), DELAY.as_millis());
    let mut before = 0.0;
    for round in 1..=3 {
        let took = loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let Ok(answer) = client.get(format!("http://{listen}/metrics")).send().await else { continue };
            let text = answer.text().await.unwrap();
            let value = |name: &str| {
                let own = format!("readiness_collector_{name}{{collector=\"registry\",source=\"{address}\"}} ");
                text.lines().find_map(|line| line.strip_prefix(&own)?.parse::<f64>().ok())
            };
            // With every image in its state, a round is over when the next success is told.
            let seen = value("last_success_timestamp_seconds").unwrap_or_default();
            if seen > before {
                before = seen;
                break value("duration_seconds").unwrap();
            }
        };
        let [tokens, heads, others] = counts.each_ref().map(|count| count.swap(0, Ordering::Relaxed));
        println!("round {round}: {took:.1} s, {heads} HEADs, {tokens} tokens, {others} other requests");
    }
    println!("resident {:.1} MiB", common::mib(common::resident(process.id())));
    process.kill().unwrap();
    process.wait().unwrap();
}
