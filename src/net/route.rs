//! Whether this host has a route to an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::cause;
use crate::say;
use crate::say::Message;

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
}
