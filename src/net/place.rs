//! Addresses: which of them a server of a name can have, what they stand for, and whether there is a way to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::cause;
use crate::say;
use crate::say::Message;

/// Whether an address is of this machine's own link, or where clouds tell a machine its credentials.
/// No name may lead there: only a configuration that holds the address itself.
/// Source: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>,
/// <https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>,
/// <https://www.alibabacloud.com/help/ecs/user-guide/view-instance-metadata>
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let metadata = [[168, 63, 129, 16], [100, 100, 100, 200], [192, 0, 0, 192]];
            // Nobody has 0.0.0.0, and whoever asks it asks this machine.
            address.is_link_local() || address.is_unspecified() || metadata.contains(&address.octets())
        }
        IpAddr::V6(address) => {
            let parts = address.segments();
            // Where an address that stands for one of IPv4 has it: as it is, translated, through NAT64 or 6to4.
            let inner = match parts {
                [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] | [0x64, 0xff9b, .., high, low] | [0x2002, high, low, ..] => {
                    Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
                }
                _ => None,
            };
            // Link-local, its predecessor, AWS, Google.
            let own = matches!(parts, [0xfe80..=0xfeff, ..] | [0xfd00, 0xec2, ..] | [0xfd20, 0xce, ..]);
            // The loopback address looks like one of IPv4 with all its high bits unset.
            own || (!address.is_loopback() && inner.is_some_and(|v4| is_link_local(v4.into())))
        }
    }
}

/// The address that an answer stands for. Where only IPv6 is spoken a resolver makes addresses for what has none of
/// it: a well-known prefix before the address of IPv4.
/// Source: RFC 6147, section 5.1.7, and RFC 6052, section 2.1
pub fn stands_for(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(own) => match own.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)).into(),
            _ => own.to_canonical(),
        },
        IpAddr::V4(_) => address,
    }
}

/// Why no server of a name can have an address; `None` if one can. What is reserved (240.0.0.0/4) is in use within networks
/// and meshes of services. Filters answer with such addresses for names
/// that they block, and records with them were forgotten.
/// Source: <https://www.iana.org/assignments/iana-ipv4-special-registry>,
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
pub fn unusable(address: IpAddr, name: &str) -> Option<&'static str> {
    let address = stands_for(address);
    let first = match address {
        IpAddr::V4(address) => address.octets()[0],
        IpAddr::V6(_) => 1,
    };
    if address.is_unspecified() || first == 0 {
        Some("is the address of nobody")
    } else if address.is_multicast() {
        Some("is the address of a group and of no server")
    } else if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("is everybody on a network and no server")
    } else if address.is_loopback() && !is_local_name(name) {
        Some("is whoever asks, and no server of others")
    } else if is_link_local(address) {
        Some("is a link-local or metadata address, which each machine has for itself")
    } else {
        None
    }
}

/// Why this host cannot ask an address, whoever is there: it has no route to it, as one without IPv6 has none to any
/// address of that family. That says nothing about the address. Nothing is sent: a datagram socket that is connected
/// only looks up the route.
pub fn unroutable(address: SocketAddr) -> Option<Message> {
    let any = if address.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let routed = std::net::UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address));
    without_route(address.ip(), routed)
}

fn without_route(address: IpAddr, routed: std::io::Result<()>) -> Option<Message> {
    let error = routed.err()?;
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    cause::may_lack_route(&error).then(|| say!("this exporter's host has no route to this {} address, so nobody asked there", family))
}

/// Whether a name is kept for this machine, or for tests.
/// Source: RFC 6761, sections 6.2 and 6.3
fn is_local_name(name: &str) -> bool {
    let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    ["localhost", "test"].iter().any(|local| last.eq_ignore_ascii_case(local))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn an_address_without_a_route_was_asked_by_nobody() {
        let told = |address: &str, kind: ErrorKind| without_route(address.parse().unwrap(), Err(kind.into())).map(|why| why.to_string());
        let why = |family: &str| Some(format!("this exporter's host has no route to this {family} address, so nobody asked there"));
        assert_eq!(told("2001:db8::1", ErrorKind::NetworkUnreachable), why("IPv6"));
        assert_eq!(told("2001:db8::1", ErrorKind::AddrNotAvailable), why("IPv6"));
        assert_eq!(told("10.0.0.1", ErrorKind::NetworkUnreachable), why("IPv4"));
        let unknown_family = std::io::Error::from_raw_os_error(97);
        assert!(without_route("2001:db8::1".parse().unwrap(), Err(unknown_family)).is_some());
        assert_eq!(told("10.0.0.1", ErrorKind::PermissionDenied), None);
        assert_eq!(unroutable("127.0.0.1:9".parse().unwrap()), None, "nobody listens there, which is another question");
    }

    #[test]
    fn addresses_that_no_server_has() {
        for nowhere in ["0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "169.254.1.1", "fe80::1", "::ffff:0.0.0.0", "64:ff9b::e000:1"] {
            assert!(unusable(nowhere.parse().unwrap(), "a.test").is_some(), "{nowhere}");
        }
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let of = |name: &str| unusable(own.parse().unwrap(), name).is_some();
            assert_eq!(["a.test", "LocalHost.", "a.localhost", "a.example.com", "test.example.com"].map(of), [false, false, false, true, true], "{own}");
        }
        for some in
            ["240.0.0.1", "240.240.0.7", "10.0.0.1", "192.168.1.1", "100.64.0.1", "203.0.113.1", "198.18.0.1", "fd00::1", "2001:db8::1", "64:ff9b::a00:1"]
        {
            assert_eq!(unusable(some.parse().unwrap(), "a.example.com"), None, "{some}");
        }
    }

    #[test]
    fn addresses_that_only_this_machine_can_mean() {
        for local in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "0.0.0.0",
            "::",
            "fd00:ec2::23",
            "fd20:ce::254",
            "2002:a9fe:a9fe::1",
            "::ffff:0:a9fe:a9fe",
            "fec0::1",
        ] {
            assert!(is_link_local(local.parse().unwrap()), "{local}");
        }
        for other in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "2002:a00:1::1", "2001:db8::a9fe:a9fe", "::ffff:10.0.0.1", "169.253.255.255"] {
            assert!(!is_link_local(other.parse().unwrap()), "{other}");
        }
    }
}
