//! The pure parts: comparing an answer with what is expected, and resolvers with one another.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::agreement::Alike;
use super::metrics::{SETTLED_ONE, SUCCESS};
use super::origin::Records;
use super::view::{Comparison, Completeness, Goal, View, compare};
use super::*;
use crate::metric::Sample;
use crate::net::normal;
use crate::net::{DnsAnswer, DnsOutcome};
use crate::snapshot::Snapshot;

fn view(addresses: &[&str], chain: &[&str], state: DnsOutcome) -> View {
    let answer = DnsAnswer {
        state,
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        chain: chain.iter().map(|name| normal(name)).collect(),
        ttl: Some(30),
        why: None,
    };
    View { typed: vec![(RecordType::A, answer)], took: Duration::ZERO, aliases: Vec::new() }
}

fn answered(addresses: &[&str]) -> View {
    view(addresses, &[], DnsOutcome::Answered)
}

fn goal(names: &[&str], addresses: &[&str]) -> Goal {
    Goal {
        words: "".into(),
        names: names.iter().map(|name| normal(name)).collect(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        partial: false,
        failed: Vec::new(),
        unseen: false,
    }
}

#[test]
fn a_resolver_that_nobody_could_ask_has_not_failed() {
    let unasked = view(&[], &[], DnsOutcome::Unasked);
    assert_eq!((unasked.state(), unasked.is_answered()), (Completeness::Unasked, false));
    assert!(!SETTLED_ONE.seen.contains(&Completeness::Unasked.as_str()), "so whether the name resolves is unknown");
    assert_eq!(view(&[], &[], DnsOutcome::Timeout).state(), Completeness::Failed);
    assert_eq!(compare(&unasked, &goal(&[], &["10.0.0.1"]), false).0, Comparison::Unknown);
}

#[test]
fn an_answer_matches_by_chain_or_by_being_a_part_of_the_expected_set() {
    let nlb = goal(&["nlb-1.elb.example"], &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    for (view, proxied, state) in [
        (answered(&["10.0.0.2"]), false, "match"),
        (answered(&["10.0.0.2", "10.0.0.9"]), false, "mismatch"),
        (answered(&["10.9.9.9"]), false, "mismatch"),
        // AWS adds the prefix; names are compared without case and final dot.
        (view(&["10.9.9.9"], &["Dualstack.NLB-1.elb.example."], DnsOutcome::Answered), false, "match"),
        (answered(&["104.16.0.1"]), true, "unknown"),
        (view(&[], &[], DnsOutcome::Nxdomain), false, "mismatch"),
        (view(&[], &[], DnsOutcome::Servfail), false, "unknown"),
        (view(&[], &[], DnsOutcome::Timeout), false, "unknown"),
    ] {
        assert_eq!(compare(&view, &nlb, proxied).0.as_str(), state, "{view:?}");
    }
}

#[test]
fn what_cannot_be_seen_is_neither_right_nor_wrong() {
    let gone = Goal { unseen: true, words: "no load balancer can be seen".into(), ..goal(&[], &[]) };
    let (state, why) = compare(&answered(&["10.0.0.1"]), &gone, false);
    assert_eq!((state.as_str(), why.as_str()), ("unknown", "answers 10.0.0.1, but no load balancer can be seen"));
    assert_eq!(compare(&answered(&["10.0.0.1"]), &goal(&["gone.example"], &[]), false).0.as_str(), "unknown");
}

/// Whoever is silent answers nothing, and says so in the same words wherever that hides something.
#[test]
fn only_what_was_answered_is_called_an_answer() {
    let nlb = goal(&["nlb-1.elb.example"], &["10.0.0.1"]);
    let told = |state: DnsOutcome| compare(&view(&[], &[], state), &nlb, false).1.as_str().to_owned();
    assert_eq!(told(DnsOutcome::Timeout), "the resolver gives no answer in time");
    assert_eq!(told(DnsOutcome::Servfail), "A: the name server fails (SERVFAIL)");
    let silent = halves(&view(&[], &[], DnsOutcome::Timeout), &view(&[], &[], DnsOutcome::Servfail));
    assert_eq!(compare(&silent, &nlb, false).1, silent.words());
    assert_eq!(silent.words().as_str(), "A: no answer in time, AAAA: the name server fails (SERVFAIL)");
    assert!(told(DnsOutcome::Nxdomain).starts_with("answers A: no such name (NXDOMAIN); expected"), "which is one");
}

/// One of A and AAAA.
fn halves(a: &View, aaaa: &View) -> View {
    View { typed: vec![(RecordType::A, a.typed[0].1.clone()), (RecordType::Aaaa, aaaa.typed[0].1.clone())], took: Duration::ZERO, aliases: Vec::new() }
}

#[test]
fn a_half_proves_what_is_wrong_and_never_that_all_is_right() {
    let nlb = goal(&["nlb-1.elb.example"], &["10.0.0.1", "10.0.0.2"]);
    let failed = view(&[], &[], DnsOutcome::Servfail);
    for (half, state) in [
        (answered(&["10.0.0.1"]), "unknown"),
        (view(&["10.0.0.1"], &["nlb-1.elb.example"], DnsOutcome::Answered), "unknown"),
        (answered(&["10.9.9.9"]), "mismatch"),
        (view(&[], &[], DnsOutcome::Nodata), "unknown"),
    ] {
        let view = halves(&half, &failed);
        assert_eq!((view.state().as_str(), compare(&view, &nlb, false).0.as_str()), ("partial", state), "{view:?}");
    }
    // What the expected name has of IPv6 is not known, so no such address is a wrong one.
    let half_goal = Goal { failed: vec![RecordType::Aaaa], ..goal(&["nlb-1.elb.example"], &["10.0.0.1"]) };
    assert_eq!(compare(&halves(&answered(&["10.0.0.1"]), &answered(&["::1"])), &half_goal, false).0.as_str(), "unknown");
    assert_eq!(compare(&halves(&answered(&["10.0.0.9"]), &answered(&["::1"])), &half_goal, false).0.as_str(), "mismatch");
}

#[test]
fn a_part_of_a_pool_is_no_proof_of_another_place() {
    let pool = |range: std::ops::Range<u8>| range.map(|last| format!("10.0.0.{last}")).collect::<Vec<_>>();
    let texts = |pool: &[String]| pool.iter().map(|text| text.parse().unwrap()).collect::<BTreeSet<IpAddr>>();
    let part = Goal { partial: true, addresses: texts(&pool(0..8)), ..goal(&["lb.example"], &[]) };
    let answer = |range: std::ops::Range<u8>| answered(&pool(range).iter().map(String::as_str).collect::<Vec<_>>());
    for (range, state) in [(0..8, "match"), (2..5, "match"), (4..12, "unknown"), (8..16, "mismatch"), (9..10, "mismatch")] {
        assert_eq!(compare(&answer(range.clone()), &part, false).0.as_str(), state, "{range:?}");
    }
    // A load balancer that shows all of its addresses has no others.
    assert_eq!(compare(&answer(4..12), &Goal { partial: false, ..part }, false).0.as_str(), "mismatch");
}

#[test]
fn an_address_that_a_resolver_made_of_the_expected_one_is_the_expected_one() {
    let (single, dual) = (answered(&["203.0.113.9"]), answered(&["203.0.113.9", "64:ff9b::cb00:7109"]));
    let expected = goal(&[], &["203.0.113.9"]);
    for (view, state) in [
        (&dual, "match"),
        (&answered(&["64:ff9b::cb00:7109"]), "match"),
        (&answered(&["203.0.113.9", "64:ff9b::cb00:710a"]), "mismatch"),
        // Another prefix, and one that only looks alike.
        (&answered(&["203.0.113.9", "2001:db8::cb00:7109"]), "mismatch"),
        (&answered(&["203.0.113.9", "64:ff9b:1::cb00:7109"]), "mismatch"),
    ] {
        assert_eq!(compare(view, &expected, false).0.as_str(), state, "{view:?}");
    }
    assert!(compare(&dual, &expected, false).1.as_str().starts_with("answers 203.0.113.9, 64:ff9b::cb00:7109;"), "people see what was said");
    assert!(single.agrees(&answered(&["64:ff9b::cb00:7109"])) && !single.agrees(&answered(&["64:ff9b::cb00:710a"])));
    assert_eq!(Origin::of_one(&single, &answered(&["64:ff9b::cb00:7109"])), Some(Records::Wildcard));
}

/// Each record type is held against what is expected by itself.
#[test]
fn an_alias_of_one_record_type_proves_nothing_of_the_other() {
    let lb = goal(&["lb.example"], &["10.0.0.1", "fd00::1"]);
    let behind = |address: &str| view(&[address], &["lb.example"], DnsOutcome::Answered);
    let none = || view(&[], &[], DnsOutcome::Nodata);
    for (a, aaaa, state) in [
        (answered(&["10.9.9.9"]), behind("fd00::1"), "mismatch"),
        (behind("10.0.0.1"), answered(&["fd00::9"]), "mismatch"),
        // What was made by hand is right as long as it is what the expected name has.
        (answered(&["10.0.0.1"]), behind("fd00::1"), "match"),
        (behind("10.9.9.9"), behind("fd00::9"), "match"),
        (behind("10.9.9.9"), none(), "match"),
    ] {
        let view = halves(&a, &aaaa);
        assert_eq!(compare(&view, &lb, false).0.as_str(), state, "{view:?}");
    }
    let mixed = halves(&answered(&["10.9.9.9"]), &behind("fd00::1"));
    assert_eq!(mixed.words().as_str(), "10.9.9.9; lb.example = fd00::1");
    let half_goal = Goal { failed: vec![RecordType::Aaaa], ..goal(&["lb.example"], &["10.0.0.1"]) };
    let other = halves(&behind("10.0.0.1"), &answered(&["fd00::9"]));
    assert_eq!(compare(&other, &half_goal, false).0.as_str(), "unknown", "what the expected name has of it is not known");
}

#[tokio::test(start_paused = true)]
async fn one_family_that_is_the_same_is_no_agreement_about_the_other() {
    let both = |a: &str| halves(&answered(&[a]), &answered(&["fd00::1"]));
    let split = [both("10.0.0.1"), both("10.9.9.9")];
    let mut agreement = Agreement::default();
    assert_eq!(judged(&mut agreement, &split), "unknown");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(judged(&mut agreement, &split), "disagree");
    // One that serves no IPv6 says nothing of it.
    let single = halves(&answered(&["10.0.0.1"]), &view(&[], &[], DnsOutcome::Nodata));
    assert_eq!(judged(&mut agreement, &[both("10.0.0.1"), single]), "agree");
    assert!(!answered(&["10.0.0.1"]).agrees(&answered(&["fd00::1"])), "which have nothing in common");
    // An alias of one record type does not make the other one differ by design.
    let hand = |a: &str| halves(&answered(&[a]), &view(&["fd00::1"], &["cdn.example"], DnsOutcome::Answered));
    let mut agreement = Agreement::default();
    assert_eq!(judged(&mut agreement, &[hand("10.0.0.1"), hand("10.9.9.9")]), "unknown");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(judged(&mut agreement, &[hand("10.0.0.1"), hand("10.9.9.9")]), "disagree");
}

fn judged(agreement: &mut Agreement, views: &[View]) -> &'static str {
    let labelled: Vec<(&str, &View)> = ["one", "two", "three"].into_iter().zip(views).collect();
    agreement.judge(&labelled, false).unwrap().0.as_str()
}

#[tokio::test(start_paused = true)]
async fn a_difference_is_no_agreement_and_no_fault_within_the_time_to_live() {
    let mut agreement = Agreement::default();
    let different = [answered(&["10.0.0.1"]), answered(&["10.0.0.2"])];
    assert_eq!(judged(&mut agreement, &different), "unknown");
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(judged(&mut agreement, &different), "unknown");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(judged(&mut agreement, &different), "disagree");
    let overlapping = [answered(&["10.0.0.1", "10.0.0.3"]), answered(&["10.0.0.1"])];
    assert_eq!(judged(&mut agreement, &overlapping), "agree", "rotating answers overlap");
    assert_eq!(judged(&mut agreement, &different), "unknown", "the clock starts anew");
    assert_eq!(Agreement::default().judge(&[("one", &different[0])], false), None, "one agrees with nobody");
}

#[tokio::test(start_paused = true)]
async fn silence_is_no_agreement_and_stops_no_clock() {
    let silent = || view(&[], &[], DnsOutcome::Timeout);
    let mut agreement = Agreement::default();
    assert_eq!(judged(&mut agreement, &[answered(&["10.0.0.1"]), silent()]), "unknown");
    assert_eq!(judged(&mut agreement, &[answered(&["10.0.0.1"]), answered(&["10.0.0.1"]), silent()]), "unknown");
    let half = halves(&answered(&["10.0.0.1"]), &silent());
    assert_eq!(judged(&mut agreement, &[answered(&["10.0.0.1"]), half]), "unknown");
    let different = [answered(&["10.0.0.1"]), answered(&["10.0.0.2"]), silent()];
    assert_eq!(judged(&mut agreement, &different), "unknown");
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(judged(&mut agreement, &[answered(&["10.0.0.1"]), silent(), silent()]), "unknown");
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(judged(&mut agreement, &different), "disagree", "two are enough to differ");
}

#[tokio::test(start_paused = true)]
async fn rotating_answers_that_do_not_meet_are_no_old_zone() {
    let (low, high) = (answered(&["10.0.0.1", "10.0.0.2"]), answered(&["10.0.0.3", "10.0.0.4"]));
    let mut rotating = Agreement::default();
    assert_eq!(judged(&mut rotating, &[low.clone(), high.clone()]), "unknown");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(judged(&mut rotating, &[high.clone(), low.clone()]), "agree", "each has now said what the other said");
    let mut stale = Agreement::default();
    assert_eq!(judged(&mut stale, &[low.clone(), high.clone()]), "unknown");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(judged(&mut stale, &[low, high]), "disagree");
}

/// One of them may have an old answer for the target, and it may be by design.
#[tokio::test(start_paused = true)]
async fn an_alias_that_all_follow_to_other_addresses_is_no_agreement() {
    let at = |address: &str| view(&[address], &["cdn.example"], DnsOutcome::Answered);
    let mut agreement = Agreement::default();
    let near = [at("10.0.0.1"), at("10.0.0.2")];
    assert_eq!(judged(&mut agreement, &near), "unknown");
    tokio::time::advance(Duration::from_secs(31)).await;
    let labelled = [("one", &near[0]), ("two", &near[1])];
    let (state, words) = agreement.judge(&labelled, false).unwrap();
    assert!(state == Alike::Unknown && words.as_str().ends_with("expect.canonical_name in the configuration says that it does"), "{words}");
    assert_eq!(agreement.judge(&labelled, true).unwrap().0, Alike::Agree, "each is what the configuration expects");
    let other = [at("10.0.0.1"), view(&["10.0.0.2"], &["old.example"], DnsOutcome::Answered)];
    assert_eq!(judged(&mut agreement, &other), "unknown");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(judged(&mut agreement, &other), "disagree");
    assert_eq!(judged(&mut agreement, &[at("10.0.0.1"), at("10.0.0.1")]), "agree");
}

/// The state after these pairs of answers of a name and its neighbours.
fn origin(pairs: &[(&[&str], &[&str])]) -> &'static str {
    let mut origin = Origin::default();
    for (own, neighbour) in pairs {
        let (own, neighbour) = (answered(own), answered(neighbour));
        match Origin::of_one(&own, &neighbour) {
            Some(state) if pairs.len() == 1 => return state.as_str(),
            _ => origin.add(&own, &neighbour),
        }
    }
    origin.state().as_str()
}

#[test]
fn a_name_has_records_of_its_own_if_it_never_answers_like_its_neighbours() {
    let (a, b, c, ab): (&[&str], &[&str], &[&str], &[&str]) = (&["10.0.0.1"], &["10.0.0.2"], &["10.0.0.3"], &["10.0.0.1", "10.0.0.2"]);
    let none: &[&str] = &[];
    for (pairs, expected) in [
        (&[(a, a)] as &[_], "wildcard"),
        (&[(a, none)], "own"),
        (&[(none, a)], "own"),
        (&[(none, none)], "unknown"),
        // One pair proves nothing.
        (&[(a, b)], "unknown"),
        (&[(a, b), (a, b), (a, b), (a, b)], "own"),
        // The wildcard rotates, the name does not.
        (&[(c, a), (c, b), (c, a), (c, b), (c, a)], "own"),
        // Both rotate through one pool.
        (&[(a, b), (b, a), (a, b), (b, a), (a, b)], "wildcard"),
        (&[(a, b), (b, c), (b, c), (a, b), (b, c)], "unknown"),
        // Two lists that share an address and never change.
        (&[(a, ab), (a, ab), (a, ab), (a, ab)], "own"),
    ] {
        assert_eq!(origin(pairs), expected, "{pairs:?}");
    }
    let alias = |address: &str| view(&[address], &["lb.example"], DnsOutcome::Answered);
    assert_eq!(Origin::of_one(&alias("10.0.0.1"), &alias("10.0.0.2")), Some(Records::Wildcard), "one alias whose answers rotate");
    assert_eq!(Origin::of_one(&view(&[], &[], DnsOutcome::Timeout), &alias("10.0.0.2")), Some(Records::Unknown));
}

/// The record of the name is an alias of its own, although both lead to one load balancer in the end.
#[test]
fn an_alias_that_no_neighbour_has_is_a_record_of_its_own() {
    let at = |chain: &[&str]| view(&["10.0.0.1"], chain, DnsOutcome::Answered);
    let judged = |pairs: &[(&[&str], &[&str])]| {
        let mut origin = Origin::default();
        for (own, neighbour) in pairs.iter().cycle().take(6) {
            origin.add(&at(own), &at(neighbour));
        }
        (Origin::of_one(&at(pairs[0].0), &at(pairs[0].1)).is_some(), origin.state().as_str())
    };
    assert_eq!(judged(&[(&["paris.lb", "lb"], &["any.lb", "lb"])]), (false, "own"));
    assert_eq!(judged(&[(&["lb"], &[])]), (false, "own"), "the wildcard holds addresses");
    assert_eq!(judged(&[(&[], &["lb"])]), (false, "own"), "the name holds addresses");
    assert_eq!(judged(&[(&["any.lb", "lb"], &["any.lb", "lb"])]), (true, "wildcard"));
    // A wildcard with several aliases, of which each answer has one.
    assert_eq!(judged(&[(&["a.lb"], &["b.lb"]), (&["b.lb"], &["a.lb"])]), (false, "wildcard"));
}

/// What users get of a name whose server answers in this way, and how many questions that took.
async fn seen_origin(name: &str, zone: impl Fn(&readiness_lab::Question, usize) -> Vec<String> + Send + Sync + 'static) -> (&'static str, usize) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answer = move |question: &readiness_lab::Question| readiness_lab::Reply::Records(zone(question, count.fetch_add(1, SeqCst)));
    let server = readiness_lab::NameServer::start(60, answer).await.unwrap();
    let text = format!(
        "{{ timeout: 10s, system_resolver: false, resolvers: [{{ name: own, address: '{}' }}], names: [{{ name: {name}, record_types: [A] }}] }}",
        server.address
    );
    let config: Config = serde_saphyr::from_str(&text).unwrap();
    let (Form::Poll(mut poll), _) = tasks(&config).unwrap().remove(0).form.split() else { unreachable!() };
    let seen = poll.look(&Snapshot::default()).await.unwrap();
    let state = seen.of(ORIGIN.0.name).next().and_then(Sample::state).unwrap_or_default();
    (state, asked.load(SeqCst))
}

/// Each name is an alias of its own, which proves nothing, so that the addresses tell.
#[tokio::test]
async fn where_each_name_has_an_alias_of_its_own_the_addresses_tell() {
    let zone = |question: &readiness_lab::Question, _| {
        let label = question.name.split('.').next().unwrap_or_default();
        let last = if label == "app" { 9 } else { 8 };
        vec![format!("{label}.dn.test CNAME {label}.to.test"), format!("{label}.to.test 127.0.0.{last}")]
    };
    for (name, expected) in [("app.dn.test", "own"), ("other.dn.test", "wildcard")] {
        let (state, asked) = seen_origin(name, zone).await;
        assert_eq!(state, expected, "{name}");
        assert!(asked <= 10, "{name}: {asked} questions");
    }
}

/// Both are answered with other addresses each time.
#[tokio::test]
async fn an_alias_that_no_neighbour_has_is_a_record_whatever_addresses_are_behind_it() {
    let zone = |question: &readiness_lab::Question, at: usize| {
        let (name, alias) = (&question.name, if question.name == "app.test" { "cdn.test" } else { "any.test" });
        vec![format!("{name} CNAME {alias}"), format!("{alias} 127.0.0.{}", at + 1)]
    };
    assert_eq!(seen_origin("app.test", zone).await.0, "own");
    let (state, asked) = seen_origin("other.test", zone).await;
    assert_eq!((state, asked), ("wildcard", 2), "one alias is one record");
}

/// What is known already is not asked for again.
#[test]
fn a_name_that_was_told_apart_stays_so_without_more_questions() {
    let (app, other) = (view(&["10.0.0.9"], &["app.to"], DnsOutcome::Answered), |at: u8| view(&["10.0.0.8"], &[&format!("{at}.to")], DnsOutcome::Answered));
    let mut origin = Origin::default();
    for at in 0..4 {
        assert_eq!((Origin::of_one(&app, &other(at)), origin.state()), (None, Records::Unknown));
        origin.add(&app, &other(at));
    }
    assert_eq!((origin.state(), origin.knows(&app, &other(9))), (Records::Own, true));
    assert!(!origin.knows(&view(&["10.0.0.8"], &["app.to"], DnsOutcome::Answered), &other(9)), "other addresses of the name are news");
}

#[test]
fn a_name_that_no_name_server_is_asked_about_is_refused() {
    let refused = |name: &str, more: &str| {
        let text = format!("collectors: {{ dns: {{ names: [{{ name: {name}{more} }}] }} }}");
        let error = crate::config::load_str(&text, "wrong", std::path::Path::new("."), None).err().map(|error| error.to_string()).unwrap_or_default();
        error.contains("must not end in localhost, invalid or onion")
    };
    assert!(["shop.localhost", "a.Invalid.", "'*.hidden.onion'"].iter().all(|name| refused(name, "")));
    assert!(refused("shop.example", ", expect: { canonical_name: lb.localhost }"));
    assert!(!["shop.test", "localhost.example", "a.internal"].iter().any(|name| refused(name, "")));
}

#[test]
fn the_networks_of_the_proxy_are_networks() {
    assert!(CLOUDFLARE.iter().all(|network| network.parse::<IpNet>().is_ok()));
}

/// What was deleted is the load balancer, and not the name that people see.
#[tokio::test]
async fn an_alias_that_leads_nowhere_says_where() {
    use readiness_lab::{NameServer, Reply};
    let zone = |question: &readiness_lab::Question| match (question.name.as_str(), question.alias) {
        ("dangling.test", true) => Reply::Records(vec!["dangling.test CNAME lb.test".into()]),
        ("loop.test", true) => Reply::Records(vec!["loop.test CNAME loop2.test".into()]),
        ("loop2.test", true) => Reply::Records(vec!["loop2.test CNAME loop.test".into()]),
        ("loop.test" | "loop2.test", false) => Reply::Records(Vec::new()),
        ("good.test", _) => Reply::Records(vec!["good.test CNAME lb2.test".into(), "lb2.test 127.0.0.9".into()]),
        _ => Reply::Code(3),
    };
    let server = NameServer::start(60, zone).await.unwrap();
    for (name, said) in [
        ("dangling.test", "it is an alias of lb.test, which leads nowhere: A: no such name (NXDOMAIN)"),
        ("loop.test", "its aliases lead in a circle, to loop.test again"),
        ("bare.test", "A: no such name (NXDOMAIN)"),
        ("good.test", "lb2.test = 127.0.0.9"),
    ] {
        let text = format!(
            "{{ timeout: 2s, system_resolver: false, resolvers: [{{ name: own, address: '{}' }}], names: [{{ name: {name}, record_types: [A] }}] }}",
            server.address
        );
        let config: Config = serde_saphyr::from_str(&text).unwrap();
        let (Form::Poll(mut poll), _) = tasks(&config).unwrap().remove(0).form.split() else { unreachable!() };
        let seen = poll.look(&Snapshot::default()).await.unwrap();
        let success = seen.of(SUCCESS.0.name).next().unwrap();
        assert_eq!(success.detail.as_ref().map(Message::as_str), Some(said));
    }
}
