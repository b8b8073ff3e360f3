//! What is seen only in part: one address of several, one half of a lookup, one resolver of two, sixteen
//! addresses of twenty. None of it is go, whichever metric a check is about, and its line says what is
//! missing.

use std::time::Duration;

use readiness_lab::{Authority, CrossSigned, Leaf, NameServer, Question, Reply, ok_server, plain_server};
use tempfile::TempDir;

use super::common::{exporter, run};

/// One look of the command: the exit code and what it prints.
async fn check(folder: &TempDir, checks: &[(&str, &str)], collectors: &str) -> (i32, String) {
    let checks = checks.iter().enumerate().map(|(index, (metric, fails))| {
        format!("      - {{ name: C{index}, item: '{index}', title: t, metric: {metric}, {fails}, evidence: 'this is bad', remedy: r }}\n")
    });
    let checklist = format!("checklist: t\ntitle: T\nsections:\n  - title: S\n    checks:\n{}", checks.collect::<String>());
    std::fs::write(folder.path().join("t.yaml"), checklist).unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::write(&file, format!("checklists: [{{ name: t, file: t.yaml }}]\ncollectors:\n{collectors}")).unwrap();
    let (code, out, errors) =
        tokio::task::spawn_blocking(move || run(exporter().args(["check", "--format", "json", "--config.file"]).arg(&file))).await.unwrap();
    (code, format!("{out}{errors}"))
}

fn records(lines: &[&str]) -> Reply {
    Reply::Records(lines.iter().map(|line| (*line).to_owned()).collect())
}

/// Both families where none is said: an answer without records.
async fn names(answer: impl FnMut(&Question) -> Reply + Send + 'static) -> NameServer {
    NameServer::start(60, answer).await.unwrap()
}

/// A port of 127.0.0.1 at which nobody listens on 127.0.0.2 and further either.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

const EVERY_TLS: [(&str, &str); 4] = [
    ("readiness_tls_chain_not_after_timestamp_seconds", "fails: { expires_within: 7d }"),
    ("readiness_tls_leaf_not_after_timestamp_seconds", "fails: { expires_within: 7d }"),
    ("readiness_tls_verification_state", "fails: { equals: [expired, wrong_name, untrusted] }"),
    ("readiness_tls_chain_due_not_after_timestamp_seconds", "fails: { expires_within: 7d }"),
];

fn with_authority() -> (TempDir, Authority) {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("Root").unwrap());
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    (folder, authority)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_address_of_a_name_makes_every_check_of_tls_unknown() {
    let (folder, authority) = with_authority();
    let port = free_port();
    let server = ok_server(format!("127.0.0.1:{port}").parse().unwrap(), authority.issue(&Leaf::good(&["multi.test"])).unwrap()).await.unwrap();
    let dns = names(|_| records(&["multi.test 127.0.0.1", "multi.test 127.0.0.2"])).await;
    let tls = |dns: &NameServer| {
        format!("  tls: {{ ca_file: ca.pem, timeout: 2s, resolver: '{}', targets: [{{ name: a, address: 'multi.test:{port}' }}] }}\n", dns.address)
    };
    let (code, out) = check(&folder, &EVERY_TLS, &tls(&dns)).await;
    assert_eq!(code, 3, "{out}");
    assert_eq!(out.matches("a / 127.0.0.2: connect: connection refused").count(), EVERY_TLS.len(), "{out}");
    let alone = names(|_| records(&["multi.test 127.0.0.1"])).await;
    let (code, out) = check(&folder, &EVERY_TLS, &tls(&alone)).await;
    assert_eq!(code, 0, "{out}");
    // Nobody answered, so nothing says that somebody did.
    let gone = names(|_| Reply::Code(3)).await;
    let (code, out) = check(&folder, &EVERY_TLS, &tls(&gone)).await;
    assert_eq!((code, out.matches("a / any address: resolve multi.test: there is no such name").count()), (3, EVERY_TLS.len()), "{out}");
    assert!(!out.contains("showed nothing of what this check asks"), "{out}");
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_address_of_a_name_makes_every_check_of_http_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = plain_server(format!("127.0.0.1:{port}").parse().unwrap(), Duration::ZERO, |_, _, _| (200, Vec::new(), b"OK".to_vec())).await.unwrap();
    let checks = [
        ("readiness_http_status_code", "fails: { above: 499 }"),
        ("readiness_http_body_bytes", "fails: { above: 499 }"),
        ("readiness_http_phase_duration_seconds", "where: { phase: first_byte }, fails: { above: 9 }"),
    ];
    let dns = names(|_| records(&["multi.test 127.0.0.1", "multi.test 127.0.0.2"])).await;
    let http =
        |dns: &NameServer| format!("  http: {{ timeout: 2s, resolver: '{}', targets: [{{ name: a, url: 'http://multi.test:{port}/' }}] }}\n", dns.address);
    let (code, out) = check(&folder, &checks, &http(&dns)).await;
    assert_eq!(
        (code, out.matches(&format!("a / healthz / ipv4 / 127.0.0.2: http://multi.test:{port}: connect: connection refused")).count()),
        (3, checks.len()),
        "{out}"
    );
    // A half that failed is unknown, and says which.
    let success = [("readiness_http_success", "fails: is_false"), ("readiness_http_success_ratio", "fails: { below: 1 }")];
    for (reply, why) in [(Reply::Code(2), "the name server answers"), (Reply::Silence, "no answer in time")] {
        let half = names(move |question| if question.ipv6 { reply.clone() } else { records(&["multi.test 127.0.0.1"]) }).await;
        let (code, out) = check(&folder, &success, &http(&half)).await;
        assert_eq!(code, 3, "{out}");
        assert_eq!(out.matches(&format!("whether it has IPv6 addresses (AAAA) is not known: {why}")).count(), 2, "{out}");
    }
    let whole = names(|question| records(if question.ipv6 { &[] } else { &["multi.test 127.0.0.1"] })).await;
    let (code, out) = check(&folder, &success, &http(&whole)).await;
    assert_eq!(code, 0, "{out}");
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_nobody_asked_are_no_go() {
    let (folder, authority) = with_authority();
    let port = free_port();
    let mut servers = Vec::new();
    for last in 1..=16 {
        let key = authority.issue(&Leaf::good(&["many.test"])).unwrap();
        servers.push(ok_server(format!("127.0.0.{last}:{port}").parse().unwrap(), key).await.unwrap());
    }
    let dns = |count: u8| names(move |_| Reply::Records((1..=count).map(|last| format!("many.test 127.0.0.{last}")).collect()));
    let checks = [
        ("readiness_http_success", "fails: is_false"),
        ("readiness_http_success_ratio", "fails: { below: 1 }"),
        ("readiness_tls_handshake_success", "fails: is_false"),
        ("readiness_tls_chain_not_after_timestamp_seconds", "fails: { expires_within: 7d }"),
    ];
    let collectors = |dns: &NameServer| {
        let resolver = format!("ca_file: ca.pem, timeout: 4s, resolver: '{}'", dns.address);
        format!(
            "  http: {{ {resolver}, targets: [{{ name: a, url: 'https://many.test:{port}/' }}] }}\n  tls: {{ {resolver}, targets: [{{ name: a, address: 'many.test:{port}' }}] }}\n"
        )
    };
    let (code, out) = check(&folder, &checks, &collectors(&dns(20).await)).await;
    assert_eq!((code, out.matches("4 more addresses are not probed, beyond the 16 that are").count()), (3, checks.len()), "{out}");
    let (code, out) = check(&folder, &checks, &collectors(&dns(16).await)).await;
    assert_eq!(code, 0, "{out}");
    servers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_resolver_and_a_failed_half_are_no_go() {
    let folder = tempfile::tempdir().unwrap();
    let checks = [
        ("readiness_dns_success", "fails: is_false"),
        ("readiness_dns_ttl_seconds", "fails: { above: 300 }"),
        ("readiness_dns_answers", "fails: { above: 9 }"),
        ("readiness_dns_proxied", "fails: { equals: 1 }"),
        ("readiness_dns_agreement_state", "fails: { equals: disagree }"),
    ];
    let good = names(|question| if question.ipv6 { records(&[]) } else { records(&["multi.test 127.0.0.1"]) }).await;
    let half = names(|question| if question.ipv6 { Reply::Code(2) } else { records(&["multi.test 127.0.0.1"]) }).await;
    let silent = names(|_| Reply::Silence).await;
    let dns = |second: &NameServer| {
        format!(
            "  dns: {{ timeout: 1s, interval: 5s, system_resolver: false, resolvers: [{{ name: one, address: '{}' }}, {{ name: two, address: '{}' }}], names: [{{ name: multi.test }}] }}\n",
            good.address, second.address
        )
    };
    let (code, out) = check(&folder, &checks, &dns(&good)).await;
    assert_eq!(code, 0, "{out}");
    let (code, out) = check(&folder, &checks, &dns(&half)).await;
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("multi.test / two: 127.0.0.1; AAAA: the name server fails (SERVFAIL)"), "{out}");
    assert!(!out.contains("is bad"), "an answer with an address is not called none: {out}");
    // Silence is red for the check that asks for an answer and unknown for the others.
    let (code, out) = check(&folder, &checks[1..], &dns(&silent)).await;
    assert_eq!(code, 3, "{out}");
    let (code, out) = check(&folder, &checks, &dns(&silent)).await;
    assert_eq!(code, 1, "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_cannot_tell_whether_resolvers_differ_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let checks = [("readiness_dns_agreement_state", "fails: { equals: disagree }")];
    let one = names(|question| if question.ipv6 { records(&[]) } else { records(&["multi.test 192.0.2.1"]) }).await;
    let other = names(|question| if question.ipv6 { records(&[]) } else { records(&["multi.test 198.51.100.9"]) }).await;
    let dns = format!(
        "  dns: {{ timeout: 1s, interval: 5s, system_resolver: false, resolvers: [{{ name: one, address: '{}' }}, {{ name: two, address: '{}' }}], names: [{{ name: multi.test }}] }}\n",
        one.address, other.address
    );
    let (code, out) = check(&folder, &checks, &dns).await;
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("one: 192.0.2.1; two: 198.51.100.9; they differ, as they may for the time to live of 60 s after a change"), "{out}");
}

/// Two names for the same pool, of which each answer holds eight addresses by chance.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_answers_by_chance_is_one_place() {
    let folder = tempfile::tempdir().unwrap();
    let checks = [("readiness_dns_target_state", "fails: { equals: mismatch }")];
    let mut turn = 0_usize;
    let rotating = names(move |question| {
        turn += 5;
        let first = turn;
        let part = |name: &str| (0..8).map(|index| format!("{name} 127.0.2.{}", (first + index) % 16 + 1)).collect();
        if question.ipv6 { records(&[]) } else { Reply::Records(part(&question.name)) }
    })
    .await;
    let dns = |expect: &str| {
        format!(
            "  dns: {{ timeout: 2s, system_resolver: false, resolvers: [{{ name: one, address: '{}' }}], names: [{{ name: app.pool.test, expect: {expect} }}] }}\n",
            rotating.address
        )
    };
    let (code, out) = check(&folder, &checks, &dns("{ canonical_name: lb.pool.test }")).await;
    assert_eq!(code, 0, "{out}");
    let (code, out) = check(&folder, &checks, &dns("{ addresses: [10.0.0.1] }")).await;
    assert_eq!(code, 1, "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_certificate_that_no_path_needs_is_information() {
    let (folder, own) = (tempfile::tempdir().unwrap(), CrossSigned::new(&["cross.test"]).unwrap());
    std::fs::write(folder.path().join("ca.pem"), &own.root).unwrap();
    let port = free_port();
    let server = ok_server(format!("127.0.0.1:{port}").parse().unwrap(), own.presented(&[&own.intermediate, &own.cross]).unwrap()).await.unwrap();
    std::fs::write(folder.path().join("tls.crt"), format!("{}{}{}", own.leaf, own.intermediate, own.cross)).unwrap();
    let checks = [
        EVERY_TLS[0],
        EVERY_TLS[2],
        ("readiness_credential_expiry_timestamp_seconds", "fails: { expires_within: 7d }"),
        ("readiness_credential_valid_state", "fails: { equals: invalid }"),
    ];
    let tls = format!("  tls: {{ ca_file: ca.pem, timeout: 2s, targets: [{{ name: a, address: '127.0.0.1:{port}', server_name: cross.test }}] }}\n");
    let (code, out) = check(&folder, &checks[..2], &tls).await;
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("cross.test; a certificate that it does without has expired"), "{out}");
    let credentials = "  credentials: { credentials: [{ name: a, kind: certificate, from: { file: tls.crt } }] }\n";
    let (code, out) = check(&folder, &checks, &format!("{tls}{credentials}")).await;
    assert_eq!(code, 0, "{out}");
    // Nobody trusts its root, so nothing says which of them is needed.
    let (code, out) = check(&folder, &checks[2..], credentials).await;
    assert_eq!(code, 1, "{out}");
    server.abort();
}
