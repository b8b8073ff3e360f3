//! Mutated answers to every collector of the real exporter, for a long time.
//!
//! `make storm MINUTES=60 SEED=7`. Ends with 1 when anything of what must hold did not.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a script that prints what it sees and stops at what it does not expect")]

#[path = "common/mod.rs"]
#[expect(dead_code, reason = "what a soak needs is there as well")]
mod on_a_lab;
#[path = "common/storm.rs"]
mod storm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use storm::{Outcome, Plan};

#[tokio::main]
async fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "a script, not the program")]
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let number = |name: &str| variable(name).and_then(|text| text.parse::<u64>().ok());
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let level = match variable("LEVEL").as_deref() {
        Some("trace") => "trace",
        Some("debug") => "debug",
        _ => "info",
    };
    let plan = Plan {
        binary: variable("EXPORTER").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/readiness-exporter"), PathBuf::from),
        seed,
        lasts: Duration::from_mins(number("MINUTES").unwrap_or(10)),
        squall: Duration::from_secs(8),
        level,
        pace: 1,
        most: 64,
        mended: storm::MENDED,
    };
    println!("SEED={seed} LEVEL={level}");
    let Outcome { squalls, changed, slowest, peak, wrong } = storm::run(&plan, |line| println!("{line}")).await;
    println!("SEED={seed}: {squalls} squalls, {changed} answers changed, {peak} MiB at most, go again within {:.1} s", slowest.as_secs_f64());
    for why in &wrong {
        println!("{why}");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
