//! Servers that behave badly on one connection after another, for tests of bad input.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::wire;

/// How a server behaves badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rough {
    /// Accepts and says nothing.
    Hang,
    /// Closes with a reset as soon as something arrives.
    Reset,
    /// Sends a good head and then a byte each second.
    Drip,
    /// Sends a gibibyte.
    Huge,
    /// Sends bytes that are no protocol.
    Garbage,
    /// Redirects to itself for ever.
    RedirectLoop,
    /// Promises more than it sends.
    Truncate,
    /// Sends a head that never ends.
    EndlessHead,
    /// Sends early hints before an answer that never comes.
    EndlessHints,
}

/// A server that ends when this is dropped.
pub struct RoughServer {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for RoughServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a server.
pub async fn start(rough: Rough) -> std::io::Result<RoughServer> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(async move { drop(misbehave(stream, rough).await) });
        }
    });
    Ok(RoughServer { address, task })
}

async fn misbehave(mut stream: TcpStream, rough: Rough) -> std::io::Result<()> {
    if rough == Rough::EndlessHints {
        return wire::hint(&mut stream).await;
    }
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await?;
    match rough {
        Rough::Hang | Rough::EndlessHints => std::future::pending().await,
        Rough::Reset => {
            // Unread input at close makes the kernel send a reset; zero linger makes sure.
            drop(stream.into_std().map(drop));
            Ok(())
        }
        Rough::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await?;
            loop {
                stream.write_all(b"x").await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Rough::Huge => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n").await?;
            let block = vec![b'x'; 64 * 1024];
            for _ in 0..16_384 {
                stream.write_all(&block).await?;
            }
            Ok(())
        }
        Rough::Garbage => stream.write_all(&[0x16, 0xff, 0x00, 0x7f, b'\r', b'\n', 0x00, 0x01, 0xfe, b'\n', b'\n']).await,
        Rough::RedirectLoop => stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await,
        Rough::Truncate => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort").await,
        Rough::EndlessHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            // A reader begins a head anew with every piece, so line by line its own work would be
            // what is measured, and on a busy machine its deadline would come before its limit.
            let lines = format!("X-More: {}\r\n", "a".repeat(64)).repeat(64);
            loop {
                stream.write_all(lines.as_bytes()).await?;
            }
        }
    }
}
