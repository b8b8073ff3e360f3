//! An authoritative name server for lab.test, over UDP and TCP, with wildcards as RFC 4592 has
//! them: the closest existing name decides which wildcard applies.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures::FutureExt as _;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinEncodable as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

use crate::REGIONS;
use crate::estate::Estate;
use crate::faults::{Fault, Group, red, unnoticed, unseen};
use crate::part::{Ground, Part, Suffers, Tasks};
use crate::storm;
use crate::wire::{self, Wire};

pub(crate) static PART: Part = Part {
    name: "dns",
    servers: |estate| RESOLVERS.map(|(_, port)| estate.at(1, port)).to_vec(),
    suffers: Suffers::Storms,
    files: Vec::new,
    groups: &[&DOMAIN_NAMES],
    start: |ground, tasks| start(ground, tasks).boxed(),
};

/// Faults of names: the zone that all see, and what the office's name server makes of it.
static DOMAIN_NAMES: Group = Group {
    name: "domain_names",
    faults: &[
        red(
            "oregon-record-deleted",
            "the Oregon records are deleted, so its names fall to the control plane's wildcard",
            &[
                "DnsTargetMismatch",
                "DnsNameFallsToWildcard",
                "EndpointIdentityMismatch",
                "WildcardRouteBroken",
                "SubdomainRoutingDegraded",
                "EndpointUnhealthy",
            ],
        ),
        red(
            "dns-wrong-target",
            "London's names point at Ohio",
            &[
                "DnsTargetMismatch",
                "DnsNameFallsToWildcard",
                "EndpointIdentityMismatch",
                "EndpointUnhealthy",
                "WildcardRouteBroken",
                "SubdomainRoutingDegraded",
                "CertificateNotTrusted",
            ],
        ),
        red("dns-nxdomain", "the office name server does not know the Oregon wildcard", &["DnsNameUnresolved", "DnsTargetMismatch", "DnsResolversDisagree"]),
        Fault {
            name: "dns-servfail",
            what: "the office name server answers SERVFAIL",
            red: &["DnsNameUnresolved"],
            unknown: &["DnsTargetMismatch", "DnsNameFallsToWildcard", "DnsResolversDisagree"],
        },
        Fault {
            name: "dns-refused",
            what: "the office name server refuses",
            red: &["DnsNameUnresolved"],
            unknown: &["DnsTargetMismatch", "DnsNameFallsToWildcard", "DnsResolversDisagree"],
        },
        Fault {
            name: "dns-timeout",
            what: "the office name server does not answer",
            red: &["DnsNameUnresolved"],
            unknown: &["DnsTargetMismatch", "DnsNameFallsToWildcard", "DnsResolversDisagree"],
        },
        red(
            "dns-stale",
            "the office name server serves an old zone in which everything points at an unknown place",
            &["DnsTargetMismatch", "DnsNameFallsToWildcard", "DnsResolversDisagree"],
        ),
        unseen(
            "dns-half",
            "the office name server fails for AAAA and answers for A",
            &["DnsNameUnresolved", "DnsTargetMismatch", "DnsNameFallsToWildcard", "DnsResolversDisagree"],
        ),
        unnoticed("dns-without-edns", "the office name server does not know EDNS"),
        unnoticed("dns-truncated", "the name servers truncate every answer over UDP"),
    ],
};

/// The name servers with their ports; faults concern one of them, or both.
const RESOLVERS: [(&str, u16); 2] = [("public", 17_053), ("office", 17_054)];
const ZONE: &str = "lab.test";
const TTL: u32 = 1;

struct Server {
    address: SocketAddr,
    resolver: &'static str,
    estate: Arc<Estate>,
}

#[derive(Clone)]
enum Entry {
    Address(Ipv4Addr),
    Alias(String),
}

async fn start(ground: &Ground, tasks: &mut Tasks) -> anyhow::Result<()> {
    for (resolver, port) in RESOLVERS {
        let address = ground.estate.at(1, port);
        tasks.extend(start_one(Server { address, resolver, estate: Arc::clone(&ground.estate) }).await?);
    }
    Ok(())
}

async fn start_one(server: Server) -> anyhow::Result<[JoinHandle<()>; 2]> {
    let address = server.address;
    let server = Arc::new(server);
    let udp = UdpSocket::bind(address).await?;
    let tcp = TcpListener::bind(address).await?;
    let over_udp = {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer).await {
                if let Some(answer) = server.answer(&buffer[..length], server.estate.has("dns-truncated")).map(|answer| server.sent(answer)) {
                    let _ = udp.send_to(&answer, peer).await;
                }
            }
        })
    };
    let over_tcp = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut stream, _)) = tcp.accept().await {
            let server = Arc::clone(&server);
            connections.spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut question = vec![0; usize::from(length)];
                    if stream.read_exact(&mut question).await.is_err() {
                        return;
                    }
                    let Some(answer) = server.answer(&question, false).map(|answer| server.sent(answer)) else { return };
                    let Ok(length) = u16::try_from(answer.len()) else { return };
                    if stream.write_u16(length).await.is_err() || stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok([over_udp, over_tcp])
}

impl Server {
    fn office(&self, fault: &str) -> bool {
        self.resolver == "office" && self.estate.has(fault)
    }

    /// What becomes of an answer on its way.
    fn sent(&self, answer: Vec<u8>) -> Vec<u8> {
        if wire::of(self.address) == Some(Wire::Storm) { storm::message(answer) } else { answer }
    }

    /// The answer, or nothing to stay silent.
    fn answer(&self, question: &[u8], truncate: bool) -> Option<Vec<u8>> {
        let request = Message::from_bytes(question).ok()?;
        let query = request.queries.first()?.clone();
        if self.office("dns-timeout") {
            return None;
        }
        let mut response = Message::new(request.metadata.id, MessageType::Response, OpCode::Query);
        response.metadata.recursion_desired = request.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.add_query(query.clone());
        let name = query.name().to_utf8().trim_end_matches('.').to_lowercase();
        let code = if self.office("dns-servfail") || (self.office("dns-half") && query.query_type() == RecordType::AAAA) {
            ResponseCode::ServFail
        } else if self.office("dns-without-edns") && request.edns.is_some() {
            ResponseCode::FormErr
        } else if self.office("dns-refused") || !name.ends_with(ZONE) {
            ResponseCode::Refused
        } else if truncate {
            response.metadata.truncation = true;
            ResponseCode::NoError
        } else {
            response.metadata.authoritative = true;
            self.resolve(&name, query.query_type(), &mut response)
        };
        response.metadata.response_code = code;
        response.to_bytes().ok()
    }

    fn resolve(&self, name: &str, kind: RecordType, response: &mut Message) -> ResponseCode {
        let zone = self.zone();
        let mut name = name.to_owned();
        for _ in 0..8 {
            let Some(entry) = find(&zone, &name) else {
                let exists = zone.iter().any(|(owner, _)| owner.ends_with(&format!(".{name}")));
                response.add_authority(soa());
                return if exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
            };
            let owner = Name::from_utf8(format!("{name}.")).unwrap_or_default();
            match entry {
                Entry::Address(address) => {
                    if kind == RecordType::A {
                        response.add_answer(Record::from_rdata(owner, TTL, RData::A(A(address))));
                    } else {
                        response.add_authority(soa());
                    }
                    return ResponseCode::NoError;
                }
                Entry::Alias(target) => {
                    let canonical = Name::from_utf8(format!("{target}.")).unwrap_or_default();
                    response.add_answer(Record::from_rdata(owner, TTL, RData::CNAME(CNAME(canonical))));
                    if kind == RecordType::CNAME {
                        return ResponseCode::NoError;
                    }
                    name = target;
                }
            }
        }
        ResponseCode::ServFail
    }

    fn zone(&self) -> Vec<(String, Entry)> {
        let stale = self.office("dns-stale");
        let balancer = |region: usize| Entry::Alias(format!("nlb-{}.elb.{ZONE}", REGIONS[region]));
        let place = |region: usize| if stale { Entry::Address(Ipv4Addr::new(192, 0, 2, 1)) } else { balancer(region) };
        let london = if self.estate.has("dns-wrong-target") { 0 } else { 2 };
        let names = [("ai", 0), ("*.ai", 0), ("oregon-proxy.ai", 1), ("*.oregon-proxy.ai", 1), ("emea-proxy.ai", london), ("*.emea-proxy.ai", london)];
        let mut zone: Vec<(String, Entry)> = names
            .into_iter()
            .filter(|(name, _)| !(name.contains("oregon") && self.estate.has("oregon-record-deleted")))
            .filter(|(name, _)| !(*name == "*.oregon-proxy.ai" && self.office("dns-nxdomain")))
            .map(|(name, region)| (format!("{name}.{ZONE}"), place(region)))
            .collect();
        for (index, region) in REGIONS.iter().enumerate() {
            zone.push((format!("nlb-{region}.elb.{ZONE}"), Entry::Address(self.estate.endpoint(index))));
        }
        zone
    }
}

/// RFC 4592: an exact match, else the wildcard right below the closest encloser.
fn find(zone: &[(String, Entry)], name: &str) -> Option<Entry> {
    let exact = |wanted: &str| zone.iter().find(|(owner, _)| owner == wanted).map(|(_, entry)| entry.clone());
    let exists = |wanted: &str| zone.iter().any(|(owner, _)| owner == wanted || owner.ends_with(&format!(".{wanted}")));
    if let Some(entry) = exact(name) {
        return Some(entry);
    }
    if exists(name) {
        return None;
    }
    let mut rest = name;
    while let Some((_, parent)) = rest.split_once('.') {
        if exists(parent) {
            return exact(&format!("*.{parent}"));
        }
        rest = parent;
    }
    None
}

fn soa() -> Record {
    let zone = Name::from_utf8(format!("{ZONE}.")).unwrap_or_default();
    let data = SOA::new(zone.clone(), zone.clone(), 1, 3600, 600, 86_400, 1);
    Record::from_rdata(zone, TTL, RData::SOA(data))
}
