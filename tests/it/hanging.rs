//! Disks that hang and clients that flood, against the binary: its one thread goes on judging and
//! answering.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use readiness_lab::Process;
use reqwest::{Client, ClientBuilder, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::common::{PATIENCE, exporter, run};
use crate::slack::own_host;

/// The binary, looking at nothing but itself.
struct Running {
    process: Process,
    host: String,
    folder: tempfile::TempDir,
}

impl Running {
    async fn start(folder: tempfile::TempDir, configuration: &str, web: &str) -> Self {
        let host = own_host();
        std::fs::write(folder.path().join("readiness.yaml"), configuration).unwrap();
        std::fs::write(folder.path().join("web.yaml"), web).unwrap();
        let mut command = exporter();
        command.arg("--config.file").arg(folder.path().join("readiness.yaml"));
        if !web.is_empty() {
            command.arg("--web.config.file").arg(folder.path().join("web.yaml"));
        }
        command.args(["--web.listen-address", &format!("{host}:9840"), "--web.probe-address", &format!("{host}:9841")]);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Process(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let running = Self { process, host, folder };
        let client = from(1).build().unwrap();
        running.until("it listens", async || client.get(running.probe("/-/healthy")).send().await.is_ok_and(|answer| answer.status() == 200)).await;
        running
    }

    async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let limit = Instant::now() + PATIENCE;
        while !condition().await {
            assert!(Instant::now() < limit, "never: {what}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}:9840{path}", self.host)
    }

    fn probe(&self, path: &str) -> String {
        format!("http://{}:9841{path}", self.host)
    }

    /// A connection from one of the addresses of this host.
    async fn connect(&self, from: u8) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, from], 0)))?;
        socket.connect(format!("{}:9840", self.host).parse().unwrap()).await
    }
}

/// A client at an address of this host, with a new connection for each request.
fn from(last: u8) -> ClientBuilder {
    Client::builder().no_proxy().pool_max_idle_per_host(0).local_address(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))).timeout(Duration::from_secs(20))
}

fn pipe(path: &Path) {
    let _ = std::fs::remove_file(path);
    let (code, _, errors) = run(Command::new("mkfifo").arg(path));
    assert_eq!(code, 0, "{errors}");
}

/// Asks some times; the answers are good, and how long each took, shortest first.
async fn times(client: &Client, url: &str, often: usize, password: Option<&str>) -> Vec<Duration> {
    let mut took = Vec::new();
    for turn in 0..often {
        let begun = Instant::now();
        let request = client.get(url);
        let request = if let Some(password) = password { request.basic_auth("prometheus", Some(password)) } else { request };
        let answer = request.send().await.unwrap_or_else(|error| panic!("{url}, {turn}: {error:?}"));
        assert_eq!(answer.status(), StatusCode::OK, "{url}, {turn}");
        answer.bytes().await.unwrap();
        took.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    took.sort_unstable();
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_answers_while_every_file_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let start = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 30);
    // A pipe that nobody reads, beside the file, where its next content is written first.
    std::fs::create_dir(at("archive")).unwrap();
    let (state, report): (PathBuf, PathBuf) = (at("state.new"), at(&format!("archive/t-demo-{}-T-60d-written-late.new", start.strftime("%Y%m%dT%H%MZ"))));
    pipe(&state);
    pipe(&report);
    std::fs::write(at("t.yaml"), "checklist: t\ntitle: T\nsections: [{ title: S, checks: [] }]\n").unwrap();
    let event = format!("{{ name: demo, checklist: t, time_zone: UTC, start: \"{}\", duration: 1h, lead_times: [60d] }}", start.strftime("%Y-%m-%dT%H:%M:00"));
    let configuration = format!("state_file: state.json\narchive: archive\nchecklists: [{{ name: t, file: t.yaml }}]\nevents: [{event}]\n");
    let hash = bcrypt::hash("s3cret", 4).unwrap();
    let mut running = Running::start(folder, &configuration, &format!("basic_auth_users: {{ prometheus: \"{hash}\" }}\n")).await;
    let client = from(1).build().unwrap();
    for file in ["web.yaml", "readiness.yaml"] {
        pipe(&running.folder.path().join(file));
    }
    let reload = client.post(running.url("/-/reload")).basic_auth("prometheus", Some("s3cret")).send();
    let reload = tokio::spawn(reload);
    running.until("the archive hangs", async || running.log().contains("thread=\"archive\"")).await;
    assert!(running.log().contains("it is no regular file"), "the web configuration: {}", running.log());
    for (url, password) in [(running.probe("/-/healthy"), None), (running.probe("/-/ready"), None), (running.url("/-/healthy"), Some("s3cret"))] {
        let took = times(&client, &url, 20, password).await;
        assert!(took[15] < Duration::from_millis(100), "{url}: {took:?}");
    }
    for path in ["/", "/metrics", "/report.json"] {
        times(&client, &running.url(path), 1, Some("s3cret")).await;
    }
    let reload = reload.await.unwrap().unwrap();
    assert!(reload.status().is_client_error() || reload.status() == StatusCode::GATEWAY_TIMEOUT, "{}", reload.status());
    let metrics = client.get(running.url("/metrics")).basic_auth("prometheus", Some("s3cret")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\nreadiness_config_last_reload_successful 0\n"), "{metrics}");
    let judged =
        |metrics: &str| metrics.lines().find_map(|line| line.strip_prefix("readiness_judged_timestamp_seconds{checklist=\"t\"} ")?.parse::<f64>().ok());
    let age = jiff::Timestamp::now().as_second() as f64 - judged(&metrics).unwrap();
    assert!(age < 10.0, "it was judged {age} s ago");
    running
        .until("the state file is said", async || {
            let metrics = client.get(running.url("/metrics")).basic_auth("prometheus", Some("s3cret")).send().await.unwrap().text().await.unwrap();
            metrics.contains("readiness_state_file_state{state=\"unwritable\"} 1")
        })
        .await;
    let (code, _, errors) = run(Command::new("kill").arg(running.process.id().to_string()));
    assert_eq!(code, 0, "{errors}");
    let asked = Instant::now();
    while running.process.try_wait().unwrap().is_none() {
        assert!(asked.elapsed() < Duration::from_secs(8), "it does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What was remembered last is written before the end.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_pending_is_written_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (pending, file) = (folder.path().join("state.new"), folder.path().join("state.json"));
    pipe(&pending);
    let mut running = Running::start(folder, "state_file: state.json\n", "").await;
    running.until("the disk hangs", async || running.log().contains("thread=\"state-file\"")).await;
    let (code, _, errors) = run(Command::new("kill").arg(running.process.id().to_string()));
    assert_eq!(code, 0, "{errors}");
    // The disk is back: whoever reads the pipe lets the write end, and its place is free for the next one.
    let aside = running.folder.path().join("pipe");
    std::fs::rename(&pending, &aside).unwrap();
    assert!(!std::fs::read(aside).unwrap().is_empty());
    running.process.wait().unwrap();
    assert!(file.exists(), "{}", running.log());
}

/// Whatever one address does, a scraper at another one is served, and soon, and so is one at the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_keeps_no_scrape_out() {
    let running = Arc::new(Running::start(tempfile::tempdir().unwrap(), "", "").await);
    let (asked, halves) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut floods = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (running, asked) = (Arc::clone(&running), Arc::clone(&asked));
        floods.spawn(async move {
            loop {
                let Ok(mut stream) = running.connect(2).await else { continue };
                let mut answer = [0; 4096];
                while stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n").await.is_ok() && stream.read(&mut answer).await.is_ok_and(|read| read > 0)
                {
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    let (flooded, counted) = (Arc::clone(&running), Arc::clone(&halves));
    floods.spawn(async move {
        let mut held = std::collections::VecDeque::new();
        loop {
            if let Ok(mut stream) = flooded.connect(2).await {
                let _ = stream.write_all(b"GET / HTTP/1.1\r\nX: ").await;
                held.push_back(stream);
                counted.fetch_add(1, Ordering::Relaxed);
            }
            if held.len() > 300 {
                held.pop_front();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    running.until("a flood", async || asked.load(Ordering::Relaxed) > 1_200 && halves.load(Ordering::Relaxed) > 300).await;
    let (before, begun) = (asked.load(Ordering::Relaxed), Instant::now());
    for scraper in [1, 2] {
        let took = times(&from(scraper).build().unwrap(), &running.url("/metrics"), 20, None).await;
        assert!(took[19] < Duration::from_secs(3), "{scraper}: {took:?}");
    }
    let rate = (asked.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    assert!(rate < 150.0, "the flood is slowed down to a hundred requests a second, not {rate}");
    floods.shutdown().await;
}

/// Behind a proxy everybody has one address: who guesses there keeps out nobody who has a password.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_keep_nobody_out_who_knows_the_password() {
    let users = format!("basic_auth_users: {{ prometheus: \"{}\" }}\n", bcrypt::hash("s3cret", 10).unwrap());
    let running = Arc::new(Running::start(tempfile::tempdir().unwrap(), "", &users).await);
    let (client, url) = (from(1).build().unwrap(), running.url("/metrics"));
    times(&client, &url, 1, Some("s3cret")).await;
    let mut floods = tokio::task::JoinSet::new();
    let seen = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].map(|status| (status, Arc::new(AtomicUsize::new(0))));
    for guess in 0..8 {
        let (running, seen) = (Arc::clone(&running), seen.clone());
        floods.spawn(async move {
            let client = from(1).build().unwrap();
            for turn in 0.. {
                let request = client.get(running.url("/metrics"));
                let request = if guess % 2 == 0 { request.basic_auth("prometheus", Some(format!("{guess}-{turn}"))) } else { request };
                if let Ok(answer) = request.send().await {
                    assert_ne!(answer.status(), StatusCode::OK);
                    if let Some((_, count)) = seen.iter().find(|(status, _)| *status == answer.status()) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
    }
    running.until("guesses are turned away", async || seen.iter().all(|(_, count)| count.load(Ordering::Relaxed) > 20)).await;
    let took = times(&client, &url, 20, Some("s3cret")).await;
    assert!(took[19] < Duration::from_secs(3), "{took:?}");
    floods.shutdown().await;
}
