//! A name server that answers exactly what a test says, over UDP.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinEncodable as _};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

/// A question to a [`NameServer`].
#[derive(Debug, Clone)]
pub struct Question {
    /// Lower case, without the final dot.
    pub name: String,
    /// Whether it asks for AAAA, and not for A.
    pub ipv6: bool,
    /// Whether it asks for CNAME.
    pub alias: bool,
    /// Whether it comes with EDNS.
    pub extended: bool,
}

/// What the server does with a question.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Nothing.
    Silence,
    /// A response code by its number, and no record.
    Code(u16),
    /// Twelve bytes that say FORMERR and repeat no question.
    Bare,
    /// Records, as `name address` or `name CNAME name`; addresses of the other family are left out.
    Records(Vec<String>),
}

/// Ends with its handle.
#[derive(Debug)]
pub struct NameServer {
    /// Where it answers.
    pub address: SocketAddr,
    task: AbortHandle,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NameServer {
    /// Starts one whose records live for `ttl` seconds.
    pub async fn start(ttl: u32, mut answer: impl FnMut(&Question) -> Reply + Send + 'static) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let task = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let Ok(request) = Message::from_bytes(&buffer[..length]) else { continue };
                let Some(query) = request.queries.first() else { continue };
                let question = Question {
                    name: query.name().to_utf8().trim_end_matches('.').to_lowercase(),
                    ipv6: query.query_type() == RecordType::AAAA,
                    alias: query.query_type() == RecordType::CNAME,
                    extended: request.edns.is_some(),
                };
                let reply = answer(&question);
                if let Some(bytes) = bytes(&request, &reply, ttl) {
                    let _ = socket.send_to(&bytes, peer).await;
                }
            }
        });
        Ok(Self { address, task: task.abort_handle() })
    }
}

fn bytes(request: &Message, reply: &Reply, ttl: u32) -> Option<Vec<u8>> {
    let query = request.queries.first()?;
    let mut response = Message::new(request.metadata.id, MessageType::Response, OpCode::Query);
    response.metadata.recursion_desired = true;
    response.metadata.recursion_available = true;
    match reply {
        Reply::Silence => return None,
        Reply::Bare => response.metadata.response_code = ResponseCode::FormErr,
        Reply::Code(code) => {
            response.add_query(query.clone());
            response.metadata.response_code = ResponseCode::from(0, u8::try_from(*code).ok()?);
        }
        Reply::Records(lines) => {
            response.add_query(query.clone());
            for record in lines.iter().filter_map(|line| record(line, query.query_type(), ttl)) {
                response.add_answer(record);
            }
        }
    }
    response.to_bytes().ok()
}

fn record(line: &str, asked: RecordType, ttl: u32) -> Option<Record> {
    let name = |text: &str| Name::from_utf8(format!("{text}.")).ok();
    let mut words = line.split(' ');
    let (owner, what) = (name(words.next()?)?, words.next()?);
    let data = match (what, what.parse()) {
        ("CNAME", _) => RData::CNAME(CNAME(name(words.next()?)?)),
        (_, Ok(IpAddr::V4(address))) if asked == RecordType::A => RData::A(A(address)),
        (_, Ok(IpAddr::V6(address))) if asked == RecordType::AAAA => RData::AAAA(AAAA(address)),
        _ => return None,
    };
    Some(Record::from_rdata(owner, ttl, data))
}
