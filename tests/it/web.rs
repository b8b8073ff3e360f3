//! The exporter's own server: what it serves, and what bad clients get.

use std::time::Duration;

use readiness_exporter::app::App;
use readiness_exporter::checklist::Decision;
use readiness_exporter::web::{Door, Listener, Serving};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{Estate, PATIENCE, served, until};

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap()
}

async fn raw(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_formats() {
    let estate = Estate::start().await;
    let (app, address) = served(&estate).await;
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    let get = |path: &'static str, accept: &'static str| {
        let request = client().get(format!("http://{address}{path}")).header("accept", accept);
        async move {
            let response = request.send().await.unwrap();
            let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
            (response.status().as_u16(), kind, response.text().await.unwrap())
        }
    };
    let (status, kind, page) = get("/", "*/*").await;
    assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"));
    assert!(page.contains("<span class=\"word\">GO</span>") && page.matches("<script").count() == 1, "{page}");
    assert_eq!(get("/metrics", "*/*").await.1, "text/plain; version=0.0.4; charset=utf-8");
    for (accept, kind) in
        [("application/json", "application/json"), ("text/markdown", "text/markdown; charset=utf-8"), ("text/html,*/*;q=0.8", "text/html; charset=utf-8")]
    {
        assert_eq!(get("/report", accept).await.1, kind);
    }
    for extension in ["html", "md", "json", "txt", "xml"] {
        let path: &'static str = Box::leak(format!("/report.{extension}").into_boxed_str());
        assert_eq!(get(path, "*/*").await.0, 200, "{path}");
    }
    assert_eq!(get("/report.pdf", "*/*").await.0, 404);
    assert!(get("/runbooks/NodeNotReady", "*/*").await.2.contains("<h1>NodeNotReady</h1>"));
    assert_eq!(get("/runbooks/../../Cargo.toml", "*/*").await.0, 404);
    assert_eq!(get("/-/healthy", "*/*").await.0, 200);
    assert_eq!(get("/-/ready", "*/*").await.0, 200);
    assert_eq!(get("/nothing", "*/*").await.0, 404);
    assert_eq!(client().get(format!("http://{address}/-/reload")).send().await.unwrap().status(), 405);
    assert_eq!(client().post(format!("http://{address}/metrics")).send().await.unwrap().status(), 405);
    let metrics = get("/metrics", "*/*").await.2;
    assert!(metrics.contains("readiness_web_requests_total{code=\"404\",route=\"other\"}"), "paths are no labels");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_red_page_names_place_remedy_and_runbook() {
    let estate = Estate::start().await;
    let (app, address) = served(&estate).await;
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    estate.lab.estate().set("node-cordoned", true);
    estate.lab.estate().set("node-disk-pressure", true);
    until(&app, "no-go", |judgement| judgement.decision == Decision::NoGo).await;
    let page = client().get(format!("http://{address}/")).send().await.unwrap().text().await.unwrap();
    for part in [
        "NO-GO",
        "Node node-1 in us-east-2 reports DiskPressure",
        "Find the pods with the most ephemeral storage",
        "href=\"runbooks/NodeDiskPressure\"",
        "href=\"#NodeDiskPressure\"",
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_only_for_those_who_ask() {
    let estate = Estate::start().await;
    let (_app, address) = served(&estate).await;
    let plain = raw(&address, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(plain.contains("# HELP readiness_go") && !plain.contains("content-encoding"), "{plain}");
    let refused = raw(&address, b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=0\r\nConnection: close\r\n\r\n").await;
    assert!(!refused.contains("content-encoding"));
    let url = format!("http://{address}/metrics");
    let names = |text: &str| text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned).collect::<Vec<_>>();
    let limit = tokio::time::Instant::now() + PATIENCE;
    let unpacked = loop {
        let unpacked = client().get(&url).send().await.unwrap().text().await.unwrap();
        let plain = client().get(&url).header("accept-encoding", "identity").send().await.unwrap().text().await.unwrap();
        // Facts come and go between the two.
        if names(&unpacked) == names(&plain) {
            break unpacked;
        }
        assert!(tokio::time::Instant::now() < limit, "reqwest asks for gzip and unpacks it: {unpacked}");
    };
    assert!(unpacked.ends_with('\n') && unpacked.contains("readiness_build_info{"), "the last family is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_has_a_head_alone_and_an_end_for_old_clients() {
    let estate = Estate::start().await;
    let (_app, address) = served(&estate).await;
    let head = raw(&address, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n") && !head.contains("content-length: 0"), "{head}");
    let old = raw(&address, b"GET /metrics HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200") && !old.contains("chunked") && old.contains("readiness_build_info{"), "{old}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_clients_do_no_harm() {
    let estate = Estate::start().await;
    let (_app, address) = served(&estate).await;
    let huge = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Big: {}\r\n\r\n", "a".repeat(100_000));
    assert!(raw(&address, huge.as_bytes()).await.starts_with("HTTP/1.1 431"), "a head that is too large");
    assert!(raw(&address, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").await.starts_with("HTTP/1.1 400"), "TLS to a plain port");
    assert!(raw(&address, b"GET / HTTP/9.9\r\n\r\n").await.starts_with("HTTP/1.1 "), "a version that does not exist");
    // A body is not read, however long it claims to be.
    let posted = raw(&address, b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\nConnection: close\r\n\r\nx").await;
    assert!(posted.starts_with("HTTP/1.1 200"), "{posted}");
    // More clients than there are places, all of them silent; those with something to say get through.
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(&address).await.unwrap());
    }
    let answers = futures::future::join_all((0..50).map(|_| client().get(format!("http://{address}/-/healthy")).send())).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().status() == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_keeps_the_running_configuration_and_shows() {
    let estate = Estate::start().await;
    let file = estate.file();
    let (app, address) = served(&estate).await;
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    let reload = || client().post(format!("http://{address}/-/reload")).send();

    std::fs::write(&file, "colectors: {}").unwrap();
    let answer = reload().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.unwrap().contains("colectors: unknown key"));
    let metrics = app.exposition().text();
    assert!(metrics.contains("\nreadiness_config_last_reload_successful 0\n"), "{metrics}");
    assert!(metrics.contains("readiness_http_success{target=\"london\""), "the old targets are still watched");
    assert_eq!(app.judgements()[0].decision, Decision::Go);
    let page = async || client().get(format!("http://{address}/")).send().await.unwrap().text().await.unwrap();
    let notice = "The configuration was changed and refused: older settings are in force.";
    assert!(page().await.contains(notice));
    let report = async |kind: &str| client().get(format!("http://{address}/report.{kind}")).send().await.unwrap().text().await.unwrap();
    for kind in ["txt", "md"] {
        assert!(report(kind).await.starts_with(notice), "{kind}");
    }
    assert!(report("json").await.contains("\"refused_files\": [\n    \"configuration\"\n  ]"));

    // As an editor leaves it that empties a file before it writes.
    for nothing in ["", "# nothing yet\n", "{}", "collectors: {}\n"] {
        std::fs::write(&file, nothing).unwrap();
        let answer = reload().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.text().await.unwrap().as_str()),
            (400, "the configuration names nothing to watch; to run without any, restart\nThe running one goes on.\n"),
            "{nothing}"
        );
    }
    assert!(app.exposition().text().contains("readiness_http_success{target=\"london\""));

    let without_london: String =
        estate.configuration.lines().filter(|line| !line.contains("name: london, kind: healthz")).map(|line| format!("{line}\n")).collect();
    let looks_before = looks(&app, "oregon");
    std::fs::write(&file, without_london).unwrap();
    let answer = reload().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "reloaded; http london is looked at no longer\n"));
    let metrics = app.exposition().text();
    assert!(metrics.contains("\nreadiness_config_last_reload_successful 1\n"));
    assert!(!metrics.contains("collector=\"http\",source=\"london\""), "a target that is gone leaves no series");
    assert!(looks(&app, "oregon") >= looks_before, "what did not change keeps its facts");
    assert!(!page().await.contains(notice));
}

/// Whatever keeps the collectors' thread busy: this test itself, which waits on it as nothing may.
#[tokio::test]
async fn the_server_answers_while_the_collectors_cannot() {
    use std::io::{Read as _, Write as _};
    let estate = Estate::start().await;
    let app = estate.exporter();
    let [main, probes] = [Listener::bind("127.0.0.1:0").await.unwrap(), Listener::bind("127.0.0.1:0").await.unwrap()];
    let addresses = [main.address().unwrap(), probes.address().unwrap()];
    let serving = Serving::start(app, (main, Door::Open), Some(probes), Duration::from_secs(1)).unwrap();
    for address in addresses {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    assert_eq!(serving.until(async { 7 }).await, Some(7));
    for address in addresses {
        assert!(std::net::TcpStream::connect(address).is_err(), "it has ended");
    }
}

/// A page of another site, open in a browser within the network, must not use it.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_cannot_reload() {
    let estate = Estate::start().await;
    let (_app, address) = served(&estate).await;
    let own = format!("http://{address}");
    for (headers, status) in [
        (&[][..], 200),
        (&[("origin", own.as_str()), ("sec-fetch-site", "same-origin")], 200),
        (&[("origin", "http://evil.example"), ("sec-fetch-site", "cross-site"), ("content-type", "text/plain")], 403),
        (&[("origin", "http://evil.example")], 403),
        (&[("origin", "null")], 403),
    ] {
        let mut request = client().post(format!("{own}/-/reload"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{headers:?}");
        assert_eq!(answer.text().await.unwrap().contains("another site"), status == 403);
    }
}

fn looks(app: &App, source: &str) -> u64 {
    app.snapshot().views.iter().find(|view| view.source.collector == "http" && view.source.name == source).unwrap().looks
}

/// How verdicts changed is on the page, in a command, and in the folder of filled-in checklists.
#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_and_checklists_are_archived() {
    let mut estate = Estate::start().await;
    let folder = estate.folder.path().join("archive");
    estate.configuration =
        format!("archive: \"{}\"\n{}", folder.display(), estate.configuration.replacen("participants: 12", "participants: 12\n    lead_times: [60d]", 1));
    let (app, address) = served(&estate).await;
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    estate.lab.estate().set("node-disk-pressure", true);
    until(&app, "no-go", |judgement| judgement.decision == Decision::NoGo).await;
    estate.lab.estate().set("node-disk-pressure", false);
    until(&app, "go again", |judgement| judgement.decision == Decision::Go).await;
    let page = client().get(format!("http://{address}/")).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("workshop: NodeDiskPressure pass -&gt; fail") && page.contains("workshop: NodeDiskPressure fail -&gt; pass"), "{page}");
    let report = |options: &[&str]| crate::common::run(crate::common::exporter().args(["report", "--config.file"]).arg(estate.file()).args(options));
    // What changes is written once for all within a few seconds.
    let written = tokio::time::Instant::now() + Duration::from_secs(30);
    let (code, said, errors) = loop {
        let told = report(&["--since", "1h"]);
        if told.1.contains("decision no go -> go") || tokio::time::Instant::now() > written {
            break told;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(code, 0, "{errors}");
    let lines: Vec<&str> = said.lines().filter_map(|line| line.split_once("  ")).map(|(_, words)| words).collect();
    let at = |words: &str| lines.iter().position(|line| *line == words).unwrap_or_else(|| panic!("{words} is not in {lines:#?}"));
    assert!(
        lines[at("workshop for november-workshop: decision go -> no go")..].contains(&"workshop for november-workshop: decision no go -> go"),
        "{lines:#?}"
    );
    let of_line =
        said.lines().find(|line| line.contains("NodeDiskPressure of ") && line.contains("good or new -> fail. Seen: ")).unwrap_or_else(|| panic!("{said}"));
    let (at, words) = of_line.split_once(" UTC  ").unwrap();
    assert!(at.len() == "2026-11-27 02:13:05".len() && words.contains("us-east-2 / "), "{of_line}");
    assert!(said.lines().any(|line| line.contains("NodeDiskPressure of ") && line.contains(" fail -> pass. Seen: ")), "{said}");
    let json: serde_json::Value = serde_json::from_str(&report(&["--output", "json"]).1).unwrap();
    assert!(json["changes"].as_array().unwrap().iter().any(|change| change["check"] == "NodeDiskPressure" && change["to"] == "fail"));
    // What is still to be written is written by then.
    app.shutdown(PATIENCE).await;
    // The event comes every month, so one or two occurrences of it lie within sixty days, and their moment is over.
    let mut archived: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    archived.sort();
    assert!(archived.iter().all(|file| file.to_str().unwrap().ends_with("-T-60d-written-late.md")), "{archived:?}");
    let file = archived.first().unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    assert!(
        text.starts_with("Written late, at ") && text.contains("\n# Pre-workshop validation: ") && text.contains("the demo"),
        "signed by whoever confirmed it: {text}"
    );
    let without = estate.configuration.replace("state_file: ", "# ");
    std::fs::write(estate.folder.path().join("without.yaml"), without).unwrap();
    let (code, _, errors) = crate::common::run(crate::common::exporter().args(["report", "--config.file"]).arg(estate.folder.path().join("without.yaml")));
    assert_eq!((code, errors.as_str()), (2, "readiness-exporter: no state_file is configured, so nothing is remembered\n"));
}

/// Requests that are none, by chance: whatever comes, the server lives and answers the next one.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_all_the_time_waits_for_itself() {
    let estate = Estate::start().await;
    let (_app, address) = served(&estate).await;
    let (client, url) = (client(), format!("http://{address}/-/healthy"));
    let started = tokio::time::Instant::now();
    for _ in 0..1_300 {
        assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    }
    // A thousand at once, and then a hundred a second.
    assert!(started.elapsed() > Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn fuzz_requests() {
    let estate = Estate::start().await;
    let (_app, address) = served(&estate).await;
    let seeds: [&[u8]; 4] = [
        b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip;q=0.5, *;q=0\r\n\r\n",
        b"POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"HEAD /report.md HTTP/1.0\r\nAccept: text/html,*/*;q=0.8\r\n\r\n",
        b"GET /runbooks/%2e%2e/NodeNotReady?x=1#y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ];
    for round in 0..400 {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        for _ in 0..fastrand::usize(1..5) {
            let at = fastrand::usize(..bytes.len());
            match fastrand::u8(..4) {
                0 => bytes[at] = fastrand::u8(..),
                1 => drop(bytes.drain(at..(at + fastrand::usize(..8)).min(bytes.len()))),
                2 => bytes.insert(at, fastrand::u8(..)),
                _ => bytes.extend_from_within(at..),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{bytes:?}: {answer:?}");
    }
    assert_eq!(client().get(format!("http://{address}/-/healthy")).send().await.unwrap().status(), 200);
}
