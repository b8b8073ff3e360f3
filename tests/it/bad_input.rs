//! Targets that misbehave: each ends in a typed outcome within its deadline, its neighbours stay
//! as they are, and none is ever good.

use std::time::Duration;

use readiness_exporter::app::App;
use readiness_exporter::config;
use readiness_lab::rough::{Rough, RoughServer, start};

const MISBEHAVIOURS: [(Rough, &str, &str); 9] = [
    (Rough::Hang, "hang", "timeout"),
    (Rough::Reset, "reset", "reset"),
    (Rough::Drip, "drip", "timeout"),
    (Rough::Huge, "huge", "too_large"),
    (Rough::Garbage, "garbage", "protocol"),
    (Rough::RedirectLoop, "redirects", "redirect"),
    (Rough::Truncate, "truncate", "reset"),
    (Rough::EndlessHead, "endless-head", "protocol"),
    (Rough::EndlessHints, "endless-hints", "protocol"),
];

async fn look(configuration: &str) -> std::sync::Arc<App> {
    let loaded = config::load_str(configuration, "test.yaml", std::path::Path::new(""), Some(std::collections::BTreeMap::new()))
        .unwrap_or_else(|error| panic!("{error}"));
    let app = App::start(loaded, None, false).unwrap();
    app.until_settled(Duration::from_secs(20), |_, _| {}).await;
    assert!(app.ready());
    app
}

fn series<'a>(text: &'a str, parts: &[&str]) -> Vec<&'a str> {
    text.lines().filter(|line| parts.iter().all(|part| line.contains(part))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn http_targets_that_misbehave() {
    let mut servers: Vec<RoughServer> = Vec::new();
    let mut targets = String::new();
    for (rough, name, _) in MISBEHAVIOURS {
        let server = start(rough).await.unwrap();
        targets += &format!("      - {{ name: {name}, url: 'http://{}/', follow_redirects: 3 }}\n", server.address);
        servers.push(server);
    }
    let refused = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    targets += &format!("      - {{ name: refused, url: 'http://{refused}/' }}\n      - {{ name: no-tls, url: 'https://{}/' }}\n", servers[4].address);
    targets += "      - { name: nowhere, url: 'http://does-not-exist.invalid/' }\n";
    let app = look(&format!("collectors:\n  http:\n    interval: 5s\n    timeout: 4s\n    targets:\n{targets}")).await;
    let text = app.exposition().text();
    let expected = MISBEHAVIOURS.iter().map(|(_, name, outcome)| (*name, *outcome)).chain([("refused", "refused"), ("no-tls", "tls"), ("nowhere", "dns")]);
    for (name, outcome) in expected {
        let target = format!("target=\"{name}\"");
        let states = series(&text, &["readiness_http_outcome_state{", &target, "} 1"]);
        assert_eq!(states.len(), 1, "{name}: {states:?}");
        assert!(states[0].contains(&format!("state=\"{outcome}\"")), "{name}: {}", states[0]);
        assert_eq!(series(&text, &["readiness_http_success{", &target, "} 0"]).len(), 1, "{name}");
        assert_eq!(
            series(&text, &["readiness_collector_up{", &format!("source=\"{name}\""), "} 1"]).len(),
            1,
            "a target that fails is a fact, not a failed look"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_targets_that_misbehave() {
    let mut servers = Vec::new();
    let mut targets = String::new();
    for rough in [Rough::Hang, Rough::Reset, Rough::Garbage, Rough::Huge] {
        let server = start(rough).await.unwrap();
        targets += &format!("      - {{ name: {rough:?}, address: '{}', server_name: a.test }}\n", server.address);
        servers.push(server);
    }
    let app = look(&format!("collectors:\n  tls:\n    interval: 5s\n    timeout: 1s\n    targets:\n{targets}")).await;
    let text = app.exposition().text();
    assert_eq!(series(&text, &["readiness_tls_handshake_success{", "} 0"]).len(), 4, "{text}");
    assert_eq!(series(&text, &["readiness_tls_leaf_not_after"]).len(), 0, "what was not presented has no expiry");
}

/// A resolver that lies about the question, and one that answers with garbage.
#[tokio::test(flavor = "multi_thread")]
async fn resolvers_that_misbehave() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let liar = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (silent_at, liar_at) = (silent.local_addr().unwrap(), liar.local_addr().unwrap());
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = liar.recv_from(&mut buffer).await {
            // The right size, the wrong transaction, and a body of noise.
            let answer: Vec<u8> = buffer[..length].iter().map(|byte| byte ^ 0x5a).collect();
            let _ = liar.send_to(&answer, peer).await;
        }
    });
    let configuration = format!(
        "collectors:\n  dns:\n    interval: 10s\n    timeout: 1s\n    system_resolver: false\n    resolvers: [{{ name: silent, address: '{silent_at}' }}, {{ name: liar, address: '{liar_at}' }}]\n    names: [{{ name: a.lab.test, expect: {{ addresses: [127.0.0.1] }} }}]\n"
    );
    let app = look(&configuration).await;
    let text = app.exposition().text();
    assert_eq!(series(&text, &["readiness_dns_success{", "} 0"]).len(), 2, "{text}");
    for resolver in ["silent", "liar"] {
        let states = series(&text, &["readiness_dns_target_state{", &format!("resolver=\"{resolver}\""), "} 1"]);
        assert!(states[0].contains("state=\"unknown\""), "no answer proves nothing: {states:?}");
    }
    drop(silent);
}

/// One target that hangs for its whole deadline does not hold up the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_target_does_not_delay_its_neighbours() {
    let hanging = start(Rough::Hang).await.unwrap();
    let quick = start(Rough::Truncate).await.unwrap();
    let configuration = format!(
        "collectors:\n  http:\n    interval: 60s\n    timeout: 50s\n    targets: [{{ name: slow, url: 'http://{}/' }}, {{ name: quick, url: 'http://{}/' }}]\n",
        hanging.address, quick.address
    );
    let loaded = config::load_str(&configuration, "t", std::path::Path::new(""), Some(std::collections::BTreeMap::new())).unwrap();
    let app = App::start(loaded, None, false).unwrap();
    let attempted = |name: &str| app.snapshot().views.iter().any(|view| view.source.name == name && view.attempted_at.is_some());
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while !attempted("quick") && tokio::time::Instant::now() < limit {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(attempted("quick") && !attempted("slow"));
}
