//! What the release binary weighs: its size, idle memory with the example configuration, and the
//! time from start to ready in the demo's estate.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it measured")]

use std::time::Duration;

use readiness_lab::Lab;
use tokio::time::Instant;

#[path = "common/mod.rs"]
mod common;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::anywhere(&folder.path().join("lab")).await.unwrap();
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workshop.yaml")).unwrap();
    std::fs::write(folder.path().join("readiness.yaml"), lab.localise(&example)).unwrap();
    let address = format!("{}:9840", lab.host());
    let started = Instant::now();
    let mut process = common::start(folder.path(), &address);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = async || client.get(format!("http://{address}/-/ready")).send().await.is_ok_and(|answer| answer.status() == 200);
    while !ready().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let to_ready = started.elapsed();
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
    }
    let resident = common::resident(process.id());
    let cpu = common::cpu(process.id());
    process.kill().unwrap();
    process.wait().unwrap();
    println!("release binary               {:.1} MiB", common::mib(std::fs::metadata(common::release()).unwrap().len()));
    println!("start to ready in the demo   {:.2} s", to_ready.as_secs_f64());
    println!("resident after 30 s          {:.1} MiB (every source of the example every 2 s, scraped twice a second)", common::mib(resident));
    println!("CPU over those 30 s          {:.2} s", cpu.as_secs_f64());
}
