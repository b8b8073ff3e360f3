//! Where is listened: addresses, and the sockets that systemd has opened.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, socket_acceptconn};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream, lookup_host};
use tokio_util::either::Either;

/// Connections that the system keeps until they are accepted.
const BACKLOG: u32 = 1_024;

/// A connection that was accepted.
pub(super) type Stream = Either<TcpStream, UnixStream>;

/// Sockets that are served alike. Whoever serves them may have another event loop than whoever opened them.
#[derive(Debug, Default)]
pub struct Listener(Vec<Socket>);

#[derive(Debug)]
enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Listener {
    /// Binds an address; `:9840` means every interface.
    pub async fn bind(address: &str) -> Result<Self, io::Error> {
        let mut listener = Self::default();
        listener.add(address, false).await?;
        Ok(listener)
    }

    /// Binds several addresses; with the one that cannot be bound, why: `NotFound` of a host that has no address.
    pub async fn bind_all<'a>(addresses: &[&'a str]) -> Result<Self, (&'a str, io::Error)> {
        let mut listener = Self::default();
        for (place, address) in addresses.iter().enumerate().filter(|(place, address)| !addresses[..*place].contains(address)) {
            // Beside a socket of its own for IPv4, that for IPv6 must leave it alone.
            let of_v4 = |other: &&str| other.strip_prefix("0.0.0.0") == Some(port_of(address)) && port_of(address) != ":0";
            let alone = addresses.iter().enumerate().any(|(other, own)| other != place && of_v4(own));
            listener.add(address, alone).await.map_err(|error| (*address, error))?;
        }
        Ok(listener)
    }

    /// Binds every address that a host has here.
    async fn add(&mut self, address: &str, only_v6: bool) -> io::Result<()> {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let port = port.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let host = host.trim_matches(['[', ']']);
        if host.is_empty() {
            let every = open((Ipv6Addr::UNSPECIFIED, port).into(), only_v6);
            // A host without IPv6 has every interface all the same.
            let every = every.or_else(|error| if is_nowhere(&error) { open((Ipv4Addr::UNSPECIFIED, port).into(), false) } else { Err(error) })?;
            self.0.push(Socket::Tcp(every));
            return Ok(());
        }
        let (mut bound, mut nowhere) = (None, None);
        // The system's error of a lookup has no kind that would tell it from others.
        let all = lookup_host((host, port)).await.map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        for mut found in all {
            if let (Some(first), 0) = (bound, port) {
                found.set_port(SocketAddr::port(&first));
            }
            match open(found, only_v6) {
                Ok(listener) => {
                    bound = bound.or_else(|| listener.local_addr().ok());
                    self.0.push(Socket::Tcp(listener));
                }
                // A name may have addresses of other machines as well.
                Err(error) if is_nowhere(&error) => nowhere = Some(error),
                Err(error) => return Err(error),
            }
        }
        match (bound, nowhere) {
            (Some(_), _) => Ok(()),
            (None, error) => Err(error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())),
        }
    }

    /// The sockets that whoever started this process has opened for it, if there are any.
    /// Source: <https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html>
    pub fn inherited() -> Result<Option<Self>, io::Error> {
        let mut given = listenfd::ListenFd::from_env();
        let mut sockets = Vec::new();
        for at in 0..given.len() {
            let socket = match given.take_tcp_listener(at) {
                Ok(tcp) => tcp.map(Socket::Tcp),
                Err(_) => given.take_unix_listener(at)?.map(Socket::Unix),
            };
            sockets.extend(socket);
        }
        for socket in &sockets {
            let listens = match socket {
                Socket::Tcp(tcp) => tcp.set_nonblocking(true).and_then(|()| Ok(socket_acceptconn(tcp)?)),
                Socket::Unix(unix) => unix.set_nonblocking(true).and_then(|()| Ok(socket_acceptconn(unix)?)),
            };
            // With `Accept=yes` systemd hands on one connection and not the socket.
            if !listens? {
                return Err(io::ErrorKind::InvalidInput.into());
            }
        }
        Ok((!sockets.is_empty()).then_some(Self(sockets)))
    }

    /// The first address at which it listens.
    pub fn address(&self) -> Result<SocketAddr, io::Error> {
        let first = self.0.iter().find_map(|socket| match socket {
            Socket::Tcp(tcp) => Some(tcp.local_addr()),
            Socket::Unix(_) => None,
        });
        first.unwrap_or_else(|| Err(io::ErrorKind::AddrNotAvailable.into()))
    }

    /// Where it listens, as people write it.
    pub fn addresses(&self) -> Vec<String> {
        let address = |socket: &Socket| match socket {
            Socket::Tcp(tcp) => tcp.local_addr().map(|address| address.to_string()).ok(),
            Socket::Unix(unix) => unix.local_addr().ok().and_then(|address| Some(address.as_pathname()?.display().to_string())),
        };
        self.0.iter().map(|socket| address(socket).unwrap_or_else(|| "a socket without a name".to_owned())).collect()
    }

    /// The same on the event loop of whoever serves it.
    pub(super) fn serving(self) -> io::Result<Accepting> {
        let open = |socket| match socket {
            Socket::Tcp(tcp) => TcpListener::from_std(tcp).map(Open::Tcp),
            Socket::Unix(unix) => UnixListener::from_std(unix).map(Open::Unix),
        };
        Ok(Accepting { sockets: self.0.into_iter().map(open).collect::<io::Result<_>>()?, next: 0 })
    }
}

fn port_of(address: &str) -> &str {
    &address[address.rfind(':').unwrap_or(address.len())..]
}

/// Whether this host has no such address, or nothing of its kind.
fn is_nowhere(error: &io::Error) -> bool {
    [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn open(address: SocketAddr, only_v6: bool) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() && address.ip().is_unspecified() {
        // Whatever `net.ipv6.bindv6only` says.
        set_ipv6_v6only(&socket, only_v6)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Sockets that accept connections.
pub(super) struct Accepting {
    sockets: Vec<Open>,
    /// The one that is asked first.
    next: usize,
}

enum Open {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Open {
    fn poll(&self, context: &mut Context<'_>) -> Poll<io::Result<(Stream, IpAddr)>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_accept(context).map_ok(|(stream, peer)| {
                // The end of an answer must not wait for its client to acknowledge what came before.
                let _ = stream.set_nodelay(true);
                (Either::Left(stream), peer.ip())
            }),
            // Whoever asks is on this machine, most often a proxy.
            Self::Unix(unix) => unix.poll_accept(context).map_ok(|(stream, _)| (Either::Right(stream), Ipv4Addr::LOCALHOST.into())),
        }
    }
}

impl Accepting {
    /// The next connection, and the address of who asks. The sockets take turns: clients of one keep none of another waiting.
    pub(super) async fn accept(&mut self) -> io::Result<(Stream, IpAddr)> {
        poll_fn(|context| {
            for _ in 0..self.sockets.len() {
                self.next = (self.next + 1) % self.sockets.len();
                if let Poll::Ready(accepted) = self.sockets[self.next].poll(context) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Says a word to every address, and hears how many were heard.
    async fn heard(listener: Listener, at: &[SocketAddr]) -> usize {
        let mut accepting = listener.serving().unwrap();
        let mut heard = 0;
        for address in at {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"a").await.unwrap();
            let (mut accepted, _) = accepting.accept().await.unwrap();
            heard += accepted.read(&mut [0]).await.unwrap();
        }
        heard
    }

    /// With Nagle's algorithm the last piece of a scrape waits for the client to acknowledge the one before,
    /// which it may put off for 40 ms.
    #[tokio::test]
    async fn the_end_of_an_answer_waits_for_nobody() {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.address().unwrap()).await.unwrap();
        let (stream, _) = listener.serving().unwrap().accept().await.unwrap();
        assert!(matches!(stream, Either::Left(stream) if stream.nodelay().unwrap()));
    }

    #[tokio::test]
    async fn every_interface_is_every_one_of_both_families() {
        let listener = Listener::bind(":0").await.unwrap();
        let port = listener.address().unwrap().port();
        let own = [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
        assert_eq!(heard(listener, &own).await, 2);
    }

    #[tokio::test]
    async fn both_families_may_be_named() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let [four, six] = [format!("0.0.0.0:{free}"), format!("[::]:{free}")];
        for order in [[four.as_str(), &six], [six.as_str(), &four]] {
            let listener = Listener::bind_all(&order).await.unwrap();
            assert_eq!(listener.addresses(), order);
            let own = [SocketAddr::from((Ipv4Addr::LOCALHOST, free)), SocketAddr::from((Ipv6Addr::LOCALHOST, free))];
            assert_eq!(heard(listener, &own).await, 2);
        }
        let twice = Listener::bind_all(&[&four, &four]).await.unwrap();
        assert_eq!(twice.addresses(), [four.as_str()], "said twice is said once");
        let (address, error) = Listener::bind_all(&["127.0.0.1:0", &four]).await.err().unwrap();
        assert_eq!((address, error.kind()), (four.as_str(), io::ErrorKind::AddrInUse));
    }

    /// A name is listened at wherever it leads, so that whoever asks by any of its addresses is heard.
    #[tokio::test]
    async fn a_name_has_all_of_its_addresses() {
        let listener = Listener::bind("localhost:0").await.unwrap();
        let port = listener.address().unwrap().port();
        let mut expected: Vec<String> = lookup_host(("localhost", port)).await.unwrap().map(|address| address.to_string()).collect();
        expected.dedup();
        assert_eq!(listener.addresses(), expected);
        let bound = Listener::bind("[::1%1]:0").await.unwrap();
        assert!(bound.address().unwrap().is_ipv6(), "with a zone");
    }
}
