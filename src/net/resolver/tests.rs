//! Name servers without a route, without EDNS, and with records of other names.

use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_resolver::net::DnsError;
use readiness_lab::{NameServer, Question, Reply};

use super::*;

const REFUSED: u16 = 5;

fn records(lines: &[&str]) -> Reply {
    Reply::Records(lines.iter().map(|line| (*line).to_owned()).collect())
}

async fn ask(answer: impl FnMut(&Question) -> Reply + Send + 'static) -> Answer {
    let server = NameServer::start(60, answer).await.unwrap();
    Resolver::at(server.address, Duration::from_secs(1)).unwrap().ask("a.test.", RecordType::A).await
}

#[test]
fn a_name_server_without_a_route_was_asked_by_nobody() {
    let resolver = Resolver::at("[2001:db8::53]:53".parse().unwrap(), Duration::from_secs(1)).unwrap();
    let lacks_route = |server: SocketAddr| (server.ip().to_string() == "2001:db8::53").then(|| "no route".into());
    let state = |error: &NetError, resolver: &Resolver| resolver.unasked(error, lacks_route).map(|answer| (answer.state, answer.why.unwrap().to_string()));
    let lost = || NetError::from(std::io::Error::from(std::io::ErrorKind::NetworkUnreachable));
    for error in [lost(), NetError::Timeout, NetError::NoConnections] {
        assert_eq!(state(&error, &resolver), Some((Outcome::Unasked, "name server 2001:db8::53: no route".to_owned())), "{error}");
    }
    assert_eq!(state(&NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)), &resolver), None, "whoever answers was asked");
    let both = Resolver { servers: vec!["[2001:db8::53]:53".parse().unwrap(), "192.0.2.53:53".parse().unwrap()], ..resolver };
    assert_eq!(state(&lost(), &both), None, "one of them was asked");
}

/// A laptop that joins another network, or a cluster whose name server was moved.
#[tokio::test(start_paused = true)]
async fn whoever_asks_the_servers_of_this_host_asks_those_of_now() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resolv.conf");
    let of = |last: u8| format!("nameserver 127.0.0.{last}\n");
    std::fs::write(&file, of(53)).unwrap();
    let resolver = Resolver::following(&file, Duration::from_secs(1)).unwrap();
    let followed = Arc::clone(resolver.clone().followed.as_ref().unwrap());
    let asked = async || followed.servers().await.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(asked().await, "127.0.0.53:53");
    for (content, expected) in [(of(54), "127.0.0.54:53"), ("search a.test\n".to_owned(), "127.0.0.54:53"), (of(55) + &of(56), "127.0.0.55:53 127.0.0.56:53")] {
        std::fs::write(&file, content).unwrap();
        tokio::time::advance(AGAIN).await;
        assert_eq!(asked().await, expected);
    }
    std::fs::remove_file(&file).unwrap();
    tokio::time::advance(AGAIN).await;
    assert_eq!(asked().await, "127.0.0.55:53 127.0.0.56:53", "until there are others");
}

#[tokio::test]
async fn a_server_without_edns_is_asked_without() {
    for refusal in [Reply::Code(1), Reply::Code(4), Reply::Bare, Reply::Silence] {
        let told = format!("{refusal:?}");
        let answer = ask(move |question| if question.extended { refusal.clone() } else { records(&["a.test 10.0.0.9"]) }).await;
        assert_eq!((answer.state.as_str(), answer.addresses.len()), ("answered", 1), "{told}");
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let answer = ask(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Reply::Code(1)
    })
    .await;
    assert_eq!((answer.state.as_str(), asked.load(Ordering::Relaxed)), ("error", 2), "asked again once and no more");
    let answer = ask(|question| if question.extended { Reply::Code(REFUSED) } else { records(&["a.test 10.0.0.9"]) }).await;
    assert_eq!(answer.state.as_str(), "refused", "which is no matter of EDNS");
}

#[tokio::test]
async fn records_of_other_names_are_no_addresses_of_this_one() {
    for (lines, addresses, chain) in [
        (&["a.test 10.0.0.1", "other.test 10.0.0.66"] as &[&str], &["10.0.0.1"] as &[&str], &[] as &[&str]),
        (&["other.test 10.0.0.66"], &[], &[]),
        (&["b.test 10.0.0.2", "a.test CNAME B.test", "a.test 10.0.0.66"], &["10.0.0.2"], &["b.test"]),
        (&["a.test CNAME b.test", "b.test CNAME c.test", "c.test 10.0.0.3", "x.test CNAME y.test", "y.test 10.0.0.66"], &["10.0.0.3"], &["b.test", "c.test"]),
        (&["A.TEST 10.0.0.1"], &["10.0.0.1"], &[]),
    ] {
        let own: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let answer = ask(move |_| Reply::Records(own.clone())).await;
        assert_eq!(answer.addresses, addresses.iter().map(|address| address.parse().unwrap()).collect::<BTreeSet<IpAddr>>(), "{lines:?}");
        if !addresses.is_empty() {
            assert_eq!(answer.chain, chain, "{lines:?}");
        }
    }
}
