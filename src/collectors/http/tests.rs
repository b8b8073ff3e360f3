//! One look at servers that answer exactly what a test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A server that gives these answers in turn (the last one for ever) and keeps the requests.
async fn canned(answers: &'static [&'static str]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    tokio::spawn(async move {
        for turn in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            kept.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = stream.write_all(answers[turn.min(answers.len() - 1)].as_bytes()).await;
        }
    });
    (address, requests)
}

async fn look(target: &str) -> Vec<String> {
    let config: Config = serde_saphyr::from_str(&format!("targets: [{target}]")).unwrap();
    let mut tasks = tasks(&config).unwrap();
    let (Form::Poll(mut poll), _) = tasks.remove(0).form.split() else { unreachable!() };
    let seen = poll.look(&Snapshot::default()).await.unwrap();
    seen.text().lines().filter(|line| !line.contains("phase_duration")).map(str::to_owned).collect()
}

fn has(lines: &[String], wanted: &str) -> bool {
    lines.iter().any(|line| line == wanted)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";
const JSON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 42\r\nConnection: close\r\n\r\n{\"workspace_proxy\":true,\"region\":\"london\"}\n";

#[tokio::test]
async fn a_good_answer_is_a_get_with_all_its_facts() {
    let (address, requests) = canned(&[OK]).await;
    let lines = look(&format!("{{ name: a, kind: healthz, url: 'http://{address}/healthz?x=1', expect: {{ body_matches: '^OK$' }} }}")).await;
    assert!(has(&lines, "readiness_http_success{target=\"a\",kind=\"healthz\",family=\"ipv4\",address=\"127.0.0.1\"} 1"), "{lines:#?}");
    assert!(has(&lines, "readiness_http_status_code{target=\"a\",kind=\"healthz\",family=\"ipv4\",address=\"127.0.0.1\"} 200"));
    assert!(has(&lines, "readiness_http_body_bytes{target=\"a\",kind=\"healthz\",family=\"ipv4\",address=\"127.0.0.1\"} 2"));
    assert!(has(&lines, "readiness_http_success_ratio{target=\"a\",kind=\"healthz\"} 1"));
    let request = requests.lock().unwrap()[0].to_lowercase();
    assert!(request.starts_with("get /healthz?x=1 http/1.1\r\n") && request.contains(&format!("host: {address}\r\n")), "{request}");
}

#[tokio::test]
async fn every_localhost_address_is_asked_and_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let lines = look(&format!("{{ name: a, url: 'http://localhost:{port}/' }}")).await;
    assert!(lines.iter().any(|line| line.starts_with("readiness_http_success{") && line.contains("family=\"ipv4\"") && line.ends_with(" 0")), "{lines:#?}");
}

#[tokio::test]
async fn an_answer_that_is_not_the_expected_one_says_how() {
    for (answer, expect, state) in [
        ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "{}", "status"),
        (OK, "{ body_contains: READY }", "body"),
        (OK, "{ body_matches: '^$' }", "body"),
        (OK, "{ json: [{ pointer: /a, equals: 1 }] }", "body"),
        (JSON, "{ json: [{ pointer: /region, equals: oregon }] }", "body"),
        (JSON, "{ identity: [{ pointer: /region, equals: oregon }] }", "identity"),
        (JSON, "{ identity: [{ pointer: /workspace_proxy, equals: true }] }", "ok"),
        ("HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "{}", "status"),
    ] {
        let (address, _) = canned(Box::leak(Box::new([answer]))).await;
        let lines = look(&format!("{{ name: a, url: 'http://{address}/', expect: {expect} }}")).await;
        assert!(lines.iter().any(|line| line.contains(&format!("state=\"{state}\"}} 1"))), "{expect}: {lines:#?}");
    }
}

#[tokio::test]
async fn an_answer_from_another_service_is_no_identity() {
    let (address, _) = canned(&[OK]).await;
    let lines = look(&format!("{{ name: a, url: 'http://{address}/', expect: {{ identity: [{{ pointer: /region, equals: london }}] }} }}")).await;
    assert!(lines.iter().any(|line| line.starts_with("readiness_http_identity_match{") && line.ends_with(" 0")), "{lines:#?}");
}

#[tokio::test]
async fn a_redirect_is_followed_as_far_as_it_may_be() {
    let (address, requests) = canned(&["HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", OK]).await;
    let lines = look(&format!("{{ name: a, url: 'http://{address}/first', follow_redirects: 1 }}")).await;
    assert!(lines.iter().any(|line| line.contains("state=\"ok\"} 1")), "{lines:#?}");
    assert!(requests.lock().unwrap()[1].starts_with("GET /next "));
}

#[tokio::test]
async fn a_secret_header_is_sent_and_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "Bearer hunter2\n").unwrap();
    let (address, requests) = canned(&["HTTP/1.1 401 No\r\nContent-Length: 14\r\nConnection: close\r\n\r\nBearer hunter2"]).await;
    let target =
        format!("{{ name: a, url: 'http://{address}/', headers: [{{ name: Authorization, value_from: {{ file: {}/token }} }}] }}", folder.path().display());
    let config: Config = serde_saphyr::from_str(&format!("targets: [{target}]")).unwrap();
    let (Form::Poll(mut poll), _) = tasks(&config).unwrap().remove(0).form.split() else { unreachable!() };
    let seen = poll.look(&Snapshot::default()).await.unwrap();
    assert!(requests.lock().unwrap()[0].contains("Bearer hunter2"));
    assert!(!format!("{seen:?}").contains("hunter2"), "not even when the server sends it back");
    std::fs::remove_file(folder.path().join("token")).unwrap();
    let error = poll.look(&Snapshot::default()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Local);
}

async fn leads_to(location: &str) -> SocketAddr {
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    canned(Box::leak(Box::new([&*answer.leak()]))).await.0
}

/// Looks at a target with two headers, a secret one and another, whose server redirects to `location`.
async fn redirected(location: String, more: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "hunter2").unwrap();
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let (address, requests) = canned(Box::leak(Box::new([&*answer.leak()]))).await;
    let headers = format!("[{{ name: X-Own, value_from: {{ file: {}/token }} }}, {{ name: X-Plain, value: hunter3 }}]", folder.path().display());
    let lines = look(&format!("{{ name: a, url: 'http://{address}/', follow_redirects: 3, headers: {headers}{more} }}")).await;
    assert!(requests.lock().unwrap()[0].contains("hunter2") && requests.lock().unwrap()[0].contains("hunter3"), "the target itself gets them");
    lines
}

#[tokio::test]
async fn headers_go_to_the_configured_origin_and_another_host_does_not_count() {
    let state = |lines: &[String], state: &str| lines.iter().any(|line| line.contains(&format!("state=\"{state}\"}} 1")));
    // Another host.
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let elsewhere = listener.local_addr().unwrap();
    drop(listener);
    let seen = readiness_lab::plain_server(elsewhere, Duration::ZERO, move |_, path, headers| {
        let leaked = headers.iter().any(|(_, value)| value.to_str().is_ok_and(|value| value.contains("hunter")));
        (if leaked || path != "/there" { 500 } else { 200 }, Vec::new(), b"OK".to_vec())
    })
    .await
    .unwrap();
    let lines = redirected(format!("http://{elsewhere}/there"), "").await;
    assert!(state(&lines, "redirect"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("readiness_http_status_code{") && line.ends_with(" 302")), "the target's own: {lines:#?}");
    let lines = look(&format!("{{ name: a, url: 'http://{}/', follow_redirects: 1 }}", leads_to(&format!("http://{elsewhere}/there")).await)).await;
    assert!(state(&lines, "redirect"), "{lines:#?}");
    for own in ["readiness_http_status_code{", "readiness_http_body_bytes{"] {
        assert!(!lines.iter().any(|line| line.starts_with(own)), "the other host's, not the target's: {lines:#?}");
    }
    let lines = redirected(format!("http://{elsewhere}/there"), ", redirect_hosts: [127.0.0.2]").await;
    assert!(state(&lines, "ok"), "{lines:#?}");
    seen.abort();
    // Another port of the same host answers for the target, and gets no header either.
    let (other, requests) = canned(&[OK]).await;
    let lines = redirected(format!("http://{other}/"), "").await;
    assert!(state(&lines, "ok") && !requests.lock().unwrap()[0].contains("hunter"), "{lines:#?}");
    // Where clouds tell a machine its credentials.
    for metadata in ["http://169.254.169.254/latest/", "http://[fd00:ec2::254]/", "http://[::ffff:169.254.169.254]/"] {
        let lines = redirected(metadata.to_owned(), "").await;
        assert!(state(&lines, "redirect") && !lines.iter().any(|line| line.ends_with(" 200")), "{lines:#?}");
    }
}

/// A sign-in elsewhere that leads back: each address of the target answers for itself, to the end.
#[tokio::test]
async fn a_redirect_that_comes_back_comes_back_to_the_same_address() {
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut servers = Vec::new();
    for (address, location, home) in [
        ("127.0.0.1", "/home".to_owned(), 200),
        ("127.0.0.2", format!("http://127.0.0.3:{port}/"), 500),
        ("127.0.0.3", format!("http://localhost:{port}/home"), 404),
    ] {
        let answer = move |_: &_, path: &str, _: &_| {
            if path == "/home" { (home, Vec::new(), b"OK".to_vec()) } else { (302, vec![("location", location.clone())], Vec::new()) }
        };
        servers.push(readiness_lab::plain_server(format!("{address}:{port}").parse().unwrap(), Duration::ZERO, answer).await.unwrap());
    }
    let config: Config = serde_saphyr::from_str(&format!("targets: [{{ name: a, url: 'http://localhost:{port}/', follow_redirects: 3 }}]")).unwrap();
    let prober = Prober::new(&config.targets[0], probe::client_config(&Trust::system()).unwrap(), Lookup::System, Duration::from_secs(5)).unwrap();
    let request = prober.prepare().await.unwrap();
    for (address, said) in [([127, 0, 0, 1], "status 200".to_owned()), ([127, 0, 0, 2], format!("http://localhost:{port}: status 500, expected 200"))] {
        let seen = prober.probe(&request, address.into(), Duration::ZERO).await;
        assert_eq!(seen.detail.as_str(), said);
    }
    servers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// A server can lead to a host that is called like what it was sent, in any form.
#[tokio::test]
async fn what_was_sent_is_not_looked_up_as_a_name() {
    let address = leads_to("http://x.hunter2-decoded.test/").await;
    let headers = "[{ name: Authorization, value: 'Bearer aHVudGVyMi1kZWNvZGVk' }]";
    let config: Config =
        serde_saphyr::from_str(&format!("targets: [{{ name: a, url: 'http://{address}/', follow_redirects: 1, headers: {headers} }}]")).unwrap();
    let prober = Prober::new(&config.targets[0], probe::client_config(&Trust::system()).unwrap(), Lookup::System, Duration::from_secs(5)).unwrap();
    let seen = prober.probe(&prober.prepare().await.unwrap(), address.ip(), Duration::ZERO).await;
    assert!(seen.detail.as_str().contains(": redirected to another host, which a request with headers does not follow"), "{}", seen.detail);
}

#[test]
fn https_is_never_left_for_http() {
    let config: Config = serde_saphyr::from_str("targets: [{ name: a, url: 'https://a.example.com/', follow_redirects: 1 }]").unwrap();
    let tls = probe::client_config(&Trust::system()).unwrap();
    let prober = Prober::new(&config.targets[0], tls, Lookup::System, Duration::from_secs(1)).unwrap();
    let url = |text: &str| url::Url::parse(text).unwrap();
    let own = url("https://a.example.com/");
    assert!(prober.may_follow(&own, &own, &url("https://a.example.com/b")).is_ok());
    assert!(prober.may_follow(&own, &own, &url("http://a.example.com/b")).is_err());
    assert!(prober.may_follow(&own, &url("https://b.example.com/"), &url("http://a.example.com/b")).is_err());
}

#[tokio::test]
async fn a_proxy_is_used_only_when_it_is_configured() {
    let (proxy, requests) = canned(&[OK]).await;
    let lines = look(&format!("{{ name: a, url: 'http://unresolvable.invalid/x', proxy: 'http://{proxy}' }}")).await;
    assert!(lines.iter().any(|line| line.contains("state=\"ok\"} 1")), "{lines:#?}");
    assert!(requests.lock().unwrap()[0].starts_with("GET http://unresolvable.invalid/x HTTP/1.1\r\n"), "the absolute form");
    let (proxy, requests) = canned(&["HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"]).await;
    let lines = look(&format!("{{ name: a, url: 'https://unresolvable.invalid/', proxy: 'http://{proxy}' }}")).await;
    assert!(lines.iter().any(|line| line.contains("state=\"refused\"} 1")), "{lines:#?}");
    assert!(requests.lock().unwrap()[0].starts_with("CONNECT unresolvable.invalid:443 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn the_ratio_remembers_the_window() {
    let (address, _) = canned(&[OK, "HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", OK]).await;
    let config: Config = serde_saphyr::from_str(&format!("targets: [{{ name: a, url: 'http://{address}/' }}]")).unwrap();
    let (Form::Poll(mut poll), _) = tasks(&config).unwrap().remove(0).form.split() else { unreachable!() };
    let mut last = None;
    for _ in 0..4 {
        let seen = poll.look(&Snapshot::default()).await.unwrap();
        last = seen.of(RATIO.0.name).next().cloned();
    }
    let ratio = last.unwrap();
    let words = ratio.detail.as_ref().map(Message::as_str).unwrap_or_default();
    assert!(ratio.value.to_string() == "0.75" && words.starts_with("3 of 4 looks; failed at 127.0.0.1 (1 time); the last was at "), "{words}");
}
