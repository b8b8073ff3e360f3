//! Name servers that answer a half, a part, too little or too much.

use readiness_lab::{NameServer, Question, Reply};

use super::*;

const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;

fn records(lines: &[&str]) -> Reply {
    Reply::Records(lines.iter().map(|line| (*line).to_owned()).collect())
}

async fn find(answer: impl FnMut(&Question) -> Reply + Send + 'static) -> Result<Found, Unresolved> {
    find_host("a.test", answer).await
}

async fn find_host(host: &str, answer: impl FnMut(&Question) -> Reply + Send + 'static) -> Result<Found, Unresolved> {
    let server = NameServer::start(60, answer).await.unwrap();
    Lookup::new(Some(&server.address.to_string()), Duration::from_millis(1_500)).unwrap().find(host).await
}

/// Who asks there asks himself, and most often gets a good answer.
#[tokio::test]
async fn no_name_of_others_leads_to_this_machine() {
    for (host, address, is_found) in [
        ("app.example.com", "127.0.0.1", false),
        ("app.example.com", "127.9.9.9", false),
        ("app.example.com", "240.0.0.1", true),
        ("app.example.com", "10.0.0.1", true),
        ("app.test", "127.0.0.1", true),
        ("app.localhost", "127.0.0.1", true),
    ] {
        let found = find_host(host, move |question| if question.ipv6 { records(&[]) } else { Reply::Records(vec![format!("{host} {address}")]) }).await;
        assert_eq!(found.is_ok(), is_found, "{host} {address}: {found:?}");
        if let Err(why) = found {
            let told = format!("resolve {host}: it leads to {address}, which is ");
            assert!(why.to_string().starts_with(&told) && why.to_string().ends_with("only where the configuration holds the address itself"), "{why}");
        }
    }
    let by_address = Lookup::System.find("127.0.0.1").await.unwrap();
    assert_eq!(by_address.addresses.len(), 1, "which the configuration means");
    assert!(Lookup::System.is_of_this_host("localhost").await && !Lookup::System.is_of_this_host("app.example.com").await);
}

#[tokio::test]
async fn a_half_that_failed_is_said_and_an_empty_one_is_none() {
    for (ipv4, ipv6, addresses, unseen) in [
        (records(&["a.test 10.0.0.1"]), records(&["a.test fd00::1"]), 2, None),
        (records(&["a.test 10.0.0.1"]), records(&[]), 1, None),
        (
            records(&["a.test 10.0.0.1"]),
            Reply::Code(NXDOMAIN),
            1,
            Some(("ipv6", "whether it has IPv6 addresses (AAAA) is not known: the name server says that there is no such name (NXDOMAIN), and has")),
        ),
        (records(&["a.test 10.0.0.1"]), Reply::Code(SERVFAIL), 1, Some(("ipv6", "whether it has IPv6 addresses (AAAA) is not known: the name server answers"))),
        (records(&["a.test 10.0.0.1"]), Reply::Code(REFUSED), 1, Some(("ipv6", "whether it has IPv6 addresses (AAAA) is not known: the name server answers"))),
        (records(&["a.test 10.0.0.1"]), Reply::Silence, 1, Some(("ipv6", "whether it has IPv6 addresses (AAAA) is not known: no answer in time"))),
        (Reply::Code(SERVFAIL), records(&["a.test fd00::1"]), 1, Some(("ipv4", "whether it has IPv4 addresses (A) is not known: the name server answers"))),
    ] {
        let told = format!("{ipv4:?} {ipv6:?}");
        let found = find(move |question| if question.ipv6 { ipv6.clone() } else { ipv4.clone() }).await.unwrap();
        assert_eq!(found.addresses.len(), addresses, "{told}");
        match unseen {
            None => assert_eq!(found.unseen, [], "{told}"),
            Some((family, why)) => {
                assert_eq!((found.unseen.len(), found.unseen[0].family), (1, family), "{told}");
                assert!(found.unseen[0].why.as_str().starts_with(why), "{}", found.unseen[0].why);
            }
        }
    }
    for (code, why) in [(SERVFAIL, "the name server answers"), (NXDOMAIN, "there is no such name")] {
        let why_not = find(move |question| if question.ipv6 { records(&[]) } else { Reply::Code(code) }).await.unwrap_err();
        assert!(why_not.to_string().contains(why), "{why_not}");
    }
}

/// That of a host without a route to some places.
fn without(places: &'static [&'static str]) -> impl Fn(IpAddr) -> Option<Message> {
    move |address| places.iter().any(|place| place.parse() == Ok(address)).then(|| "no route".into())
}

#[test]
fn whoever_tries_several_addresses_tries_those_with_a_route() {
    let all: Vec<IpAddr> = ["10.0.0.1", "2001:db8::1"].map(|address| address.parse().unwrap()).into();
    let left = |places| with_route("a.test", all.clone(), without(places));
    assert_eq!(left(&[]), Ok(all.clone()));
    assert_eq!(left(&["2001:db8::1"]), Ok(vec![all[0]]), "what it says is said by the one that was asked");
    assert_eq!(left(&["10.0.0.1", "2001:db8::1"]), Err(Unresolved::Unasked(Unasked("a.test: no route".into()))));
}

/// An address to which this machine has no route, if there is one.
fn beyond() -> Option<SocketAddr> {
    ["[2001:db8::1]:53", "198.51.100.1:53"].iter().map(|place| place.parse().unwrap()).find(|place| unroutable(*place).is_some())
}

#[tokio::test]
async fn a_name_is_not_asked_for_where_there_is_no_route() {
    let Some(server) = beyond() else { return };
    let answer = Resolver::at(server, Duration::from_secs(1)).unwrap().ask("a.test.", RecordType::A).await;
    assert_eq!(answer.state, Outcome::Unasked);
    let found = Lookup::new(Some(&server.to_string()), Duration::from_secs(1)).unwrap().find("a.test").await;
    assert!(matches!(found, Err(Unresolved::Unasked(_))), "{found:?}");
}

#[tokio::test]
async fn addresses_beyond_the_bound_are_counted() {
    let of = |count: usize| (1..=count).map(|last| format!("a.test 10.0.0.{last}")).collect::<Vec<_>>();
    let found = find(move |_| Reply::Records(of(MAX_ADDRESSES))).await.unwrap();
    assert_eq!((found.addresses.len(), found.unseen), (MAX_ADDRESSES, vec![]));
    let all: Vec<_> = of(MAX_ADDRESSES + 1).into_iter().chain((1..=3).map(|last| format!("a.test fd00::{last}"))).collect();
    let found = find(move |_| Reply::Records(all.clone())).await.unwrap();
    let told: Vec<_> = found.unseen.iter().map(|part| (part.family, part.why.as_str())).collect();
    assert_eq!(found.addresses.len(), MAX_ADDRESSES);
    assert_eq!(told, [("ipv4", "1 more address is not probed, beyond the 16 that are"), ("ipv6", "3 more addresses are not probed, beyond the 16 that are")]);
}

#[test]
fn names_of_the_hosts_file_are_found_as_it_has_them() {
    let hosts = "127.0.0.1 localhost\n10.0.0.1\tdb.lab.test db # main.lab.test\n# 10.0.0.2 old.lab.test\nfd00::1 six.lab.test.\n";
    for (host, known) in [
        ("db.lab.test", true),
        ("DB", true),
        ("six.lab.test", true),
        ("main.lab.test", false),
        ("old.lab.test", false),
        ("10.0.0.1", false),
        ("lab.test", false),
    ] {
        assert_eq!(has_host(hosts, host), known, "{host}");
    }
}

#[test]
fn a_half_is_looked_for_only_where_the_system_found_none() {
    let of = |texts: &[&str]| single_family(&texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>());
    assert_eq!(of(&["10.0.0.1", "10.0.0.2"]), Some("ipv4"));
    assert_eq!(of(&["fd00::1"]), Some("ipv6"));
    assert_eq!((of(&["10.0.0.1", "fd00::1"]), of(&[])), (None, None));
}
