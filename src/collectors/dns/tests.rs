//! The pure parts: comparing an answer with what is expected, and resolvers with one another.

use super::*;

fn view(addresses: &[&str], chain: &[&str], state: &'static str) -> View {
    let answer = Answer {
        state,
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        chain: chain.iter().map(|name| normal(name)).collect(),
        ttl: Some(30),
    };
    View { typed: vec![(RecordType::A, answer)], took: Duration::ZERO }
}

fn answered(addresses: &[&str]) -> View {
    view(addresses, &[], "answered")
}

fn goal(names: &[&str], addresses: &[&str]) -> Goal {
    Goal {
        words: "".into(),
        names: names.iter().map(|name| normal(name)).collect(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        unseen: false,
    }
}

#[test]
fn an_answer_matches_by_chain_or_by_being_a_part_of_the_expected_set() {
    let nlb = goal(&["nlb-1.elb.example"], &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    for (view, proxied, state) in [
        (answered(&["10.0.0.2"]), false, "match"),
        (answered(&["10.0.0.2", "10.0.0.9"]), false, "mismatch"),
        (answered(&["10.9.9.9"]), false, "mismatch"),
        // AWS adds the prefix; names are compared without case and final dot.
        (view(&["10.9.9.9"], &["Dualstack.NLB-1.elb.example."], "answered"), false, "match"),
        (answered(&["104.16.0.1"]), true, "unknown"),
        (view(&[], &[], "nxdomain"), false, "mismatch"),
        (view(&[], &[], "servfail"), false, "unknown"),
        (view(&[], &[], "timeout"), false, "unknown"),
    ] {
        assert_eq!(compare(&view, &nlb, proxied).0, state, "{view:?}");
    }
}

#[test]
fn what_cannot_be_seen_is_neither_right_nor_wrong() {
    let gone = Goal { unseen: true, words: "no load balancer can be seen".into(), ..goal(&[], &[]) };
    let (state, why) = compare(&answered(&["10.0.0.1"]), &gone, false);
    assert_eq!((state, why.as_str()), ("unknown", "answers 10.0.0.1, but no load balancer can be seen"));
    assert_eq!(compare(&answered(&["10.0.0.1"]), &goal(&["gone.example"], &[]), false).0, "unknown");
}

fn collector() -> DnsCollector {
    let name: Name = serde_saphyr::from_str("{ name: a.example.test }").unwrap();
    let resolvers = ["one", "two"].map(|label| (label.to_owned(), net::resolver_at("127.0.0.1:53".parse().unwrap(), Duration::from_secs(1)).unwrap()));
    DnsCollector { name, resolvers: resolvers.to_vec(), proxied: Vec::new(), timeout: Duration::from_secs(1), disagreeing: None }
}

#[tokio::test(start_paused = true)]
async fn disagreement_is_tolerated_for_the_time_to_live() {
    let mut collector = collector();
    let different = [answered(&["10.0.0.1"]), answered(&["10.0.0.2"])];
    assert_eq!(collector.agreement(&different).map(|(agree, _)| agree), Some(true));
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(collector.agreement(&different).map(|(agree, _)| agree), Some(true));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(collector.agreement(&different).map(|(agree, _)| agree), Some(false));
    let overlapping = [answered(&["10.0.0.1", "10.0.0.3"]), answered(&["10.0.0.1"])];
    assert_eq!(collector.agreement(&overlapping).map(|(agree, _)| agree), Some(true), "rotating answers overlap");
    assert_eq!(collector.agreement(&different).map(|(agree, _)| agree), Some(true), "the clock starts anew");
}

#[tokio::test]
async fn one_answer_agrees_with_nobody() {
    let mut collector = collector();
    assert_eq!(collector.agreement(&[answered(&["10.0.0.1"]), view(&[], &[], "timeout")]), None);
}

#[test]
fn the_networks_of_the_proxy_are_networks() {
    assert!(CLOUDFLARE.iter().all(|network| network.parse::<IpNet>().is_ok()));
}
