//! A long run: the lab with a thousand objects and random faults, the real exporter on it, and at
//! every step the verdict against the lab's own truth, with memory, file descriptors and threads.
//!
//! `make soak MINUTES=60`. Ends with 1 at the first wrong verdict, or when something grew.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a script that prints what it sees and stops at what it does not expect")]

#[expect(dead_code, reason = "what a storm needs is there as well")]
mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use common::{Exporter, Held};
use readiness_lab::{Fault, Lab, groups};
use tokio::time::Instant;

/// Groups that the example does not notice.
const UNNOTICED: [&str; 2] = ["watches", "ecr"];
/// A fault whose verdict others blur: a rotation that the state file remembers from an earlier one is none that was missed.
const BLURRED: &str = "rotation-missed";
/// Longest time until a fault, or its end, must be seen.
const PATIENCE: Duration = Duration::from_mins(2);
/// Faults before anything is counted.
const WARM_UP: u32 = 40;
/// Pods of the first cluster beside its own.
const CROWD: u32 = 1_000;

/// Waits until exactly these checks are red and unknown.
async fn until(exporter: &Exporter, what: &str, red: &BTreeSet<String>, unknown: &BTreeSet<String>) -> Result<Duration, String> {
    let started = Instant::now();
    loop {
        let judged = exporter.judged().await;
        if judged.as_ref().is_some_and(|[own, unseen]| own == red && unseen == unknown) {
            return Ok(started.elapsed());
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("{what}: expected red {red:?} and unknown {unknown:?}, and it says {judged:?}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn held(exporter: &mut Exporter) -> Result<Held, String> {
    exporter.held().ok_or_else(|| "the exporter has ended".to_owned())
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::main]
async fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "a script, not the program")]
    let minutes: u64 = std::env::var("MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::anywhere(&folder.path().join("lab")).await.unwrap();
    std::fs::write(folder.path().join("readiness.yaml"), common::configuration(&lab)).unwrap();
    lab.crowd(0, CROWD);
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/readiness-exporter");
    let mut exporter = Exporter::start(&binary, folder.path(), &format!("{}:9840", lab.host()), "error", &[]);
    let none = BTreeSet::new();
    let outcome = soak(&lab, &mut exporter, &none, Duration::from_mins(minutes)).await;
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn soak(lab: &Lab, exporter: &mut Exporter, none: &BTreeSet<String>, lasts: Duration) -> Result<(), String> {
    until(exporter, "at the start", none, none).await?;
    let noticed = groups().filter(|group| !UNNOTICED.contains(&group.name));
    let faults: Vec<&Fault> = noticed.flat_map(|group| group.faults).filter(|fault| fault.name != BLURRED).collect();
    // Some of them first: what is made on first use is no growth.
    for _ in 0..WARM_UP {
        flip(lab, exporter, faults[fastrand::usize(..faults.len())], none).await?;
    }
    let (started, first) = (Instant::now(), held(exporter)?);
    let (mut steps, mut slowest) = (0_u32, Duration::ZERO);
    while started.elapsed() < lasts {
        let fault = faults[fastrand::usize(..faults.len())];
        slowest = slowest.max(flip(lab, exporter, fault, none).await?);
        steps += 1;
        if steps % 20 == 0 {
            let held = held(exporter)?;
            println!(
                "{:4.0} s, {steps} faults: resident {:.1} MiB, {} files, {} threads",
                started.elapsed().as_secs_f64(),
                held.resident as f64 / 1_048_576.0,
                held.files,
                held.threads
            );
        }
    }
    let last = held(exporter)?;
    println!(
        "{steps} faults in {:.0} s, every verdict right within {:.1} s; resident {:.1} MiB at first and {:.1} at last, files {} and {}, threads {} and {}",
        started.elapsed().as_secs_f64(),
        slowest.as_secs_f64(),
        first.resident as f64 / 1_048_576.0,
        last.resident as f64 / 1_048_576.0,
        first.files,
        last.files,
        first.threads,
        last.threads
    );
    if last.resident > first.resident + first.resident / 4 || last.files > first.files + 20 || last.threads > first.threads + 4 {
        return Err("something grew".to_owned());
    }
    Ok(())
}

/// Breaks one thing, waits for the verdict, mends it, waits for the good one.
async fn flip(lab: &Lab, exporter: &Exporter, fault: &Fault, none: &BTreeSet<String>) -> Result<Duration, String> {
    lab.estate().set(fault.name, true);
    let seen = until(exporter, fault.name, &names(fault.red), &names(fault.unknown)).await?;
    lab.estate().set(fault.name, false);
    let mended = until(exporter, &format!("after {}", fault.name), none, none).await?;
    Ok(seen.max(mended))
}
