//! Servers that are odd and healthy, and such as do not say who they are.

use readiness_lab::{Authority, Leaf};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::net;

/// A server that gives one answer, in bytes.
async fn answering(answer: Vec<u8>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    address
}

fn with_body(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn look(target: &str, more: &str) -> String {
    let config: Config = serde_saphyr::from_str(&format!("{{ timeout: 2s, targets: [{target}]{more} }}")).unwrap();
    let (Form::Poll(mut poll), _) = tasks(&config).unwrap().remove(0).form.split() else { unreachable!() };
    let seen = poll.look(&Snapshot::default()).await.unwrap();
    let mut text = String::new();
    for sample in seen.facts.iter().flat_map(|facts| facts.samples()) {
        crate::metric::write_samples(&mut text, std::slice::from_ref(sample));
        text += &sample.detail.as_ref().map_or_else(String::new, |detail| format!("# {}: {detail}\n", sample.family.name));
    }
    text
}

fn state(text: &str) -> &str {
    let line = text.lines().find(|line| line.starts_with("readiness_http_outcome_state{") && line.ends_with("} 1")).unwrap_or_default();
    line.rsplit_once("state=\"").map_or("", |(_, rest)| rest.trim_end_matches("\"} 1"))
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packer, content).unwrap();
    packer.finish().unwrap()
}

#[tokio::test]
async fn what_is_old_or_unusual_is_no_fault() {
    let many: String = (0..300).map(|number| format!("X-Number-{number}: {number}\r\n")).collect();
    for (what, answer, expect) in [
        ("a folded line", with_body("200 OK", "X-Long: one\r\n  two\r\n", b"OK"), "{ body_matches: '^OK$' }"),
        ("a space before the colon", with_body("200 OK", "X-Odd : one\r\n", b"OK"), "{}"),
        ("many lines", with_body("200 OK", &many, b"OK"), "{}"),
        ("gzip", with_body("200 OK", "Content-Encoding: gzip\r\n", &gzip(b"OK")), "{ body_matches: '^OK$' }"),
        ("a mark before text", with_body("200 OK", "", b"\xef\xbb\xbfOK"), "{ body_matches: '^OK$' }"),
        (
            "a mark before JSON",
            with_body("200 OK", "", b"\xef\xbb\xbf{\"a\":1}"),
            "{ json: [{ pointer: /a, equals: 1 }], identity: [{ pointer: /a, equals: 1 }] }",
        ),
        ("a coding that does not matter", with_body("200 OK", "Content-Encoding: br\r\n", b"\x01\x02"), "{}"),
    ] {
        let address = answering(answer).await;
        let text = look(&format!("{{ name: a, url: 'http://{address}/', expect: {expect} }}"), "").await;
        assert_eq!(state(&text), "ok", "{what}: {text}");
    }
}

#[tokio::test]
async fn an_answer_from_a_cache_says_how_old_it_is() {
    for (header, age) in
        [("", 0_u64), ("Age: 86400\r\n", 86_400), ("Age: soon\r\n", 0), ("Age: -5\r\n", 0), ("Age: 90, 0\r\n", 90), ("Age: 99999999999999999999\r\n", 1 << 31)]
    {
        let address = answering(with_body("200 OK", header, b"OK")).await;
        let text = look(&format!("{{ name: a, url: 'http://{address}/' }}"), "").await;
        let told = text.lines().find(|line| line.starts_with("readiness_http_answer_age_seconds{")).unwrap();
        assert!(told.ends_with(&format!("}} {age}")), "{header}: {told}");
    }
}

/// Who answers there now, and whether the router knows addresses of now, an old answer cannot tell.
#[tokio::test]
async fn an_old_answer_shows_neither_who_serves_nor_that_a_name_is_routed() {
    let identity = "kind: identity, expect: { identity: [{ pointer: /a, equals: 1 }] }";
    for (target, age, body, expected) in [
        (identity, "60", "{\"a\":1}", ("ok", Some("1"))),
        (identity, "86400", "{\"a\":1}", ("unknown", None)),
        (identity, "86400", "{\"a\":2}", ("identity", Some("0"))),
        ("kind: wildcard", "60", "OK", ("ok", None)),
        ("kind: wildcard", "86400", "OK", ("unknown", None)),
        ("kind: wildcard, expect: { body_contains: READY }", "86400", "OK", ("body", None)),
        // These have a line that says how old an answer may be, or need none.
        ("kind: healthz", "86400", "OK", ("ok", None)),
        ("kind: document", "86400", "OK", ("ok", None)),
    ] {
        let address = answering(with_body("200 OK", &format!("Age: {age}\r\n"), body.as_bytes())).await;
        let text = look(&format!("{{ name: a, url: 'http://{address}/', {target} }}"), "").await;
        let told = text.lines().find(|line| line.starts_with("readiness_http_identity_match{"));
        assert_eq!((state(&text), told.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value)), expected, "{target}: {text}");
        if expected.0 == "unknown" {
            assert!(text.contains("status 200, but a cache gave the answer, with what its server said 1d ago"), "{text}");
            assert!(!text.contains("readiness_http_success{"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_body_that_says_two_things_is_not_believed() {
    let address = answering(with_body("200 OK", "", br#"{"status":"down","status":"ok"}"#)).await;
    for rule in ["json", "identity"] {
        let text = look(&format!("{{ name: a, url: 'http://{address}/', expect: {{ {rule}: [{{ pointer: /status, equals: ok }}] }} }}"), "").await;
        assert!(state(&text) != "ok" && text.contains("says something twice"), "{text}");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_neither_good_nor_bad() {
    let address = answering(with_body("200 OK", "Content-Encoding: br\r\n", b"\x01\x02")).await;
    let text = look(&format!("{{ name: a, url: 'http://{address}/', expect: {{ body_contains: OK, identity: [{{ pointer: /a, equals: 1 }}] }} }}"), "").await;
    assert_eq!(state(&text), "unknown", "{text}");
    for absent in ["readiness_http_success{", "readiness_http_identity_match{", "readiness_http_success_ratio{"] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
    assert!(text.contains("packed with br although nobody asked for that"), "{text}");
    let address = answering(with_body("200 OK", "Content-Encoding: gzip\r\n", b"OK")).await;
    let text = look(&format!("{{ name: a, url: 'http://{address}/', expect: {{ body_contains: OK }} }}"), "").await;
    assert_eq!(state(&text), "body", "no client can read it: {text}");
}

/// Whoever refuses, hangs or is down is not somebody else.
#[tokio::test]
async fn only_who_answers_can_be_another_service() {
    let refused = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_at = silent.local_addr().unwrap();
    let page = b"<html>no JSON</html>";
    for (address, told) in [
        (refused, None),
        (silent_at, None),
        (answering(with_body("503 Busy", "", page)).await, None),
        (answering(with_body("502 Bad Gateway", "", page)).await, None),
        (answering(with_body("429 Slow Down", "", page)).await, None),
        (answering(b"\x00\x01".to_vec()).await, None),
        (answering(with_body("404 Not Found", "", page)).await, Some("0")),
        (answering(with_body("200 OK", "", page)).await, Some("0")),
        (answering(with_body("200 OK", "", b"{\"a\":2}")).await, Some("0")),
        (answering(with_body("200 OK", "", b"{\"a\":1}")).await, Some("1")),
        (answering(with_body("503 Busy", "", b"{\"a\":1}")).await, Some("1")),
    ] {
        let text =
            look(&format!("{{ name: a, url: 'http://{address}/', timeout: 1s, interval: 5s, expect: {{ identity: [{{ pointer: /a, equals: 1 }}] }} }}"), "")
                .await;
        let line = text.lines().find(|line| line.starts_with("readiness_http_identity_match{"));
        assert_eq!(line.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value), told, "{text}");
    }
}

fn server_config(authority: &Authority, name: &str) -> rustls::ServerConfig {
    let key = authority.issue(&Leaf::good(&[name])).unwrap();
    rustls::ServerConfig::builder_with_provider(net::crypto())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)))
}

/// A TLS server that gives one answer in bytes and closes its connection without an end of TLS.
async fn closing(authority: &Authority, answer: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server_config(authority, "127.0.0.1")));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut tls) = acceptor.accept(stream).await else { continue };
            let _ = tls.read(&mut [0; 4096]).await;
            let _ = tls.write_all(answer.as_bytes()).await;
            let _ = tls.flush().await;
            // Only what is below TLS is closed, and in order.
            let (mut tcp, _) = tls.into_inner();
            let _ = tcp.shutdown().await;
        }
    });
    address
}

/// Old servers end a body with the connection, and TLS with nothing; curl takes it.
#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_whole_as_far_as_anybody_knows() {
    let authority = Authority::new("Root").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    let more = format!(", ca_file: {}", file.path().display());
    for (answer, expect, outcome) in [
        ("HTTP/1.1 200 OK\r\n\r\nOK", "{}", "ok"),
        ("HTTP/1.0 200 OK\r\n\r\nOK", "{}", "ok"),
        // What is there is there, whatever comes after it.
        ("HTTP/1.1 200 OK\r\n\r\nOK", "{ body_contains: OK }", "ok"),
        ("HTTP/1.1 200 OK\r\n\r\n{\"a\":1}", "{ json: [{ pointer: /a, equals: 1 }] }", "ok"),
        ("HTTP/1.1 200 OK\r\n\r\n{\"a\":1}", "{ identity: [{ pointer: /a, equals: 1 }] }", "ok"),
        // What is not there may be in what is missing.
        ("HTTP/1.1 200 OK\r\n\r\n{\"a\":1", "{ json: [{ pointer: /a, equals: 1 }] }", "unknown"),
        ("HTTP/1.1 200 OK\r\n\r\n{\"a\":2}", "{ identity: [{ pointer: /a, equals: 1 }] }", "unknown"),
        ("HTTP/1.1 200 OK\r\n\r\n12", "{ json: [{ pointer: '', equals: 12 }] }", "unknown"),
        ("HTTP/1.1 200 OK\r\n\r\nOK", "{ body_matches: '^OK$' }", "unknown"),
        ("HTTP/1.1 200 OK\r\n\r\nOK", "{ body_matches: NO }", "unknown"),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nOK", "{ body_contains: OK }", "unknown"),
        ("HTTP/1.1 200 OK\r\n\r\nO", "{ body_contains: OK }", "unknown"),
        ("HTTP/1.1 503 Busy\r\n\r\nOK", "{ body_contains: OK }", "status"),
        ("HTTP/1.1 503 Busy\r\n\r\nOK", "{}", "status"),
        // These say how long they are, and are cut.
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK", "{}", "reset"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nOK", "{}", "reset"),
    ] {
        let address = closing(&authority, answer).await;
        let text = look(&format!("{{ name: a, url: 'https://{address}/', expect: {expect} }}"), &more).await;
        assert_eq!(state(&text), outcome, "{answer:?} {expect}: {text}");
    }
}

/// A TLS server that takes only this protocol.
async fn serving(authority: &Authority, name: &str, protocol: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = server_config(authority, name);
    config.alpn_protocols = vec![protocol.to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(tls) = acceptor.accept(stream).await else { continue };
            let answer = hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                let known = request.version() == hyper::Version::HTTP_2 && request.uri().authority().is_some() && request.headers().contains_key("x-own");
                Ok::<_, std::convert::Infallible>(hyper::Response::new(http_body_util::Full::new(bytes::Bytes::from(if known { "OK" } else { "?" }))))
            });
            let executor = hyper_util::rt::TokioExecutor::new();
            tokio::spawn(hyper::server::conn::http2::Builder::new(executor).serve_connection(hyper_util::rt::TokioIo::new(tls), answer));
        }
    });
    address
}

#[tokio::test]
async fn a_server_that_speaks_http2_alone_is_asked_in_it() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("Root").unwrap());
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let trust = format!(", ca_file: {}/ca.pem", folder.path().display());
    let address = serving(&authority, "localhost", b"h2").await;
    let target =
        |expect: &str| format!("{{ name: a, url: 'https://localhost:{}/x?y=1', headers: [{{ name: X-Own, value: v }}], expect: {expect} }}", address.port());
    let text = look(&target("{ body_matches: '^OK$' }"), &trust).await;
    assert!(text.contains("address=\"127.0.0.1\",state=\"ok\"} 1"), "{text}");
    let text = look(&target("{ body_matches: '^No$' }"), &trust).await;
    assert!(text.contains("address=\"127.0.0.1\",state=\"body\"} 1"), "{text}");
    let other = serving(&authority, "localhost", b"spdy/3").await;
    let text = look(&format!("{{ name: a, url: 'https://localhost:{}/' }}", other.port()), &trust).await;
    assert!(text.contains("the server speaks neither HTTP/1.1 nor HTTP/2"), "{text}");
}

/// A certificate for another name is what another service has.
#[tokio::test]
async fn a_certificate_for_another_name_is_another_service_and_a_bad_one_is_nobody() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("Root").unwrap());
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let trust = format!(", ca_file: {}/ca.pem", folder.path().display());
    let expect = "expect: { identity: [{ pointer: /a, equals: 1 }] }";
    let identity = |text: &str| {
        text.lines().find(|line| line.starts_with("readiness_http_identity_match{") && line.contains("127.0.0.1")).map(|line| line.ends_with(" 1"))
    };
    let other = serving(&authority, "other.test", b"http/1.1").await;
    let target = |address: std::net::SocketAddr| format!("{{ name: a, url: 'https://localhost:{}/', {expect} }}", address.port());
    assert_eq!(identity(&look(&target(other), &trust).await), Some(false));
    let stranger = serving(&Authority::new("Stranger").unwrap(), "localhost", b"http/1.1").await;
    assert_eq!(identity(&look(&target(stranger), &trust).await), None);
}

/// Of the host that a redirect leads to one address is asked, and the evidence says so.
#[tokio::test]
async fn a_redirect_to_several_addresses_says_which_one_was_asked() {
    let end = answering(with_body("200 OK", "", b"OK")).await;
    let start = answering(with_body("302 Found", &format!("Location: http://end.test:{}/\r\n", end.port()), b"")).await;
    for (addresses, said) in [(2, "status 200; of end.test, to which it redirects, only 127.0.0.1 was asked"), (1, "status 200\n")] {
        let names = readiness_lab::NameServer::start(60, move |_| {
            readiness_lab::Reply::Records((1..=addresses).map(|last| format!("end.test 127.0.0.{last}")).collect())
        });
        let names = names.await.unwrap();
        let target = format!("{{ name: a, url: 'http://{start}/', follow_redirects: 1, redirect_hosts: [end.test] }}");
        let text = look(&target, &format!(", resolver: '{}'", names.address)).await;
        assert!(state(&text) == "ok" && text.contains(said), "{text}");
    }
}

/// Whoever reads that a connection was refused must know by whom.
#[tokio::test]
async fn a_failure_names_who_was_asked() {
    // Nobody listens there any more.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let asked = answering(with_body("302 Found", &format!("Location: http://{silent}/\r\n"), b"")).await;
    let text = look(&format!("{{ name: a, url: 'http://{asked}/', follow_redirects: 1 }}"), "").await;
    let words = format!("http://{asked}: after a redirect to http://{silent}: connect: connection refused");
    assert!(text.contains(&words), "{text}");
    let text = look(&format!("{{ name: a, url: 'http://{asked}/', proxy: 'http://{silent}' }}"), "").await;
    let words = format!("http://{asked} through the proxy http://{silent}: connect: connection refused");
    assert!(text.contains(&words), "{text}");
}

/// Whoever follows redirects and reads of one that was not followed must know why.
#[tokio::test]
async fn a_redirect_that_leads_nowhere_says_so() {
    let asked = answering(with_body("302 Found", "", b"")).await;
    let text = look(&format!("{{ name: a, url: 'http://{asked}/', follow_redirects: 2 }}"), "").await;
    assert!(state(&text) == "status" && text.contains("status 302, expected 200, and it does not say where to go\n"), "{text}");
    let text = look(&format!("{{ name: a, url: 'http://{asked}/' }}"), "").await;
    assert!(text.contains("status 302, expected 200\n"), "nobody asked to follow it: {text}");
}
