//! Clocks and meters of the benches.

#![allow(dead_code, clippy::unwrap_used, reason = "each bench uses its part")]

use std::time::Duration;

use tokio::time::Instant;

/// The median of `runs` runs.
pub(crate) fn median<T>(runs: usize, mut work: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let started = Instant::now();
            std::hint::black_box(work());
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[runs / 2]
}

/// Milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Mebibytes.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

/// The most resident memory that a process had, in bytes.
pub(crate) fn peak(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

fn status(pid: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// CPU time of a process, user and system.
pub(crate) fn cpu(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Fields 14 and 15, counted after the name in parentheses, in ticks of 10 ms.
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// What the image and the systemd unit set: without it glibc raises the size from which on memory is
/// given back at once, and large clusters leave holes that never are; and each thread has a heap of its own.
pub(crate) const ENVIRONMENT: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072:glibc.malloc.arena_max=1");

/// Starts the release binary with the `readiness.yaml` of a folder, and with the roots of the system that it holds.
pub(crate) fn start(folder: &std::path::Path, address: &str) -> std::process::Child {
    let mut command = std::process::Command::new(release());
    command.env(ENVIRONMENT.0, ENVIRONMENT.1).args(["--web.listen-address", address, "--config.file"]).arg(folder.join("readiness.yaml"));
    if let Ok(roots) = folder.join("roots.pem").canonicalize() {
        command.env("SSL_CERT_FILE", roots);
    }
    command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
}

/// A copy of the release binary: `cargo bench` replaces the original by one without link-time
/// optimisation.
pub(crate) fn release() -> std::path::PathBuf {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/measured/readiness-exporter");
    assert!(path.exists(), "{} is missing; run `make bench`", path.display());
    path
}
