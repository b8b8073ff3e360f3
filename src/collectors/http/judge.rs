//! What an answer is worth: whether its body is whole and new, and what it says is what is expected.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::http::response::Parts;
use hyper::{Response, Version, header};
use url::Url;

use super::Outcome;
use super::decode::{self, Unreadable};
use super::expectation::holds;
use super::probe::{Failure, Probe, Prober};
use crate::cause;
use crate::document;
use crate::net::{self, FRESH};
use crate::room::{self, Answer, Overrun};
use crate::say;
use crate::say::{Message, named};
use crate::value::Span;

impl Prober {
    /// The body, within its bound and the room of all that are read at the same time, and whether its end is known.
    async fn read(&self, mut body: Incoming, is_framed: bool, probe: &mut Probe) -> Result<(Vec<u8>, bool), Failure> {
        let mut read = Answer::new(self.max_body, &room::PAGES);
        while let Some(frame) = body.frame().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) if !is_framed && is_early_end(&error) => return Ok((read.whole(), false)),
                Err(error) => {
                    let why = cause::of_chain(&error).unwrap_or_else(|| say!("the connection was cut"));
                    return Err(Failure(Outcome::Reset, say!("read body: {}", why)));
                }
            };
            let Some(data) = frame.data_ref() else { continue };
            read.add(data).map_err(|why| match why {
                Overrun::TooLarge(most) => {
                    probe.body_bytes = Some(most);
                    Failure(Outcome::TooLarge, say!("the body is larger than {} bytes", most))
                }
                Overrun::NoRoom(why) => Failure(Outcome::TooLarge, say!("read body: {}", why)),
            })?;
        }
        Ok((read.whole(), true))
    }

    pub(super) async fn judge(&self, response: Response<Incoming>, configured: &Url, asked: &Url, probe: &mut Probe) -> Result<Message, Failure> {
        // `head` keeps the connection alive until the body is read.
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        // Whatever it says, it is not what the target says.
        if !self.answers_for(configured, asked) {
            let host = asked.host_str().unwrap_or_default();
            return Err(Failure(
                Outcome::Redirect,
                say!("status {} from another host, {}; name it in redirect_hosts if it answers for the target", status, named(host)),
            ));
        }
        probe.age = Some(net::age_of(&head.headers));
        let (body, is_whole) = self.read(body, is_framed(&head), probe).await?;
        probe.body_bytes = Some(body.len());
        let judged = self.judge_body(&head, body, is_whole, probe).await;
        // What is missing may be what a rule asks for, or what a pattern must not meet.
        let is_open = match &judged {
            Ok(_) => self.matches.is_some(),
            Err(Failure(outcome, _)) => matches!(outcome, Outcome::Body | Outcome::Identity),
        };
        if !is_whole {
            probe.identity = probe.identity.filter(|told| *told);
        }
        if is_whole || !is_open {
            return judged;
        }
        let why = "the connection ended without a word that the body is whole: no Content-Length, and no end of TLS (close_notify)";
        Err(Failure(Outcome::Unknown, say!("status {}, but {}", status, why)))
    }

    /// What the status says, and a body of which the end may be missing.
    async fn judge_body(&self, head: &Parts, body: Vec<u8>, is_whole: bool, probe: &mut Probe) -> Result<Message, Failure> {
        let status = head.status.as_u16();
        // Without rules on the body it does not matter how it is packed.
        let body = if self.expect.is_of_body() {
            decode::unpacked(body, &head.headers, self.max_body).await.map_err(|why| match why {
                Unreadable::Unknown(why) => Failure(Outcome::Unknown, say!("status {}, but {}", status, why)),
                Unreadable::TooLarge(why) => Failure(Outcome::TooLarge, say!("status {}, but {}", status, why)),
                Unreadable::Broken(why) => Failure(Outcome::Body, say!("status {}, but {}", status, why)),
            })?
        } else {
            body
        };
        // A mark of the encoding and no part of the text (RFC 8259, section 8.1; the Encoding Standard, section 6).
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
        let json = if self.expect.json.is_empty() && self.expect.identity.is_empty() { None } else { document::read(body) };
        // Every other document shows its end; after a number there may be more digits.
        let json = json.filter(|json| is_whole || !json.is_number());
        if self.has_identity() {
            let told = holds(&self.expect.identity, json.as_ref()).is_ok();
            // A service that is down or busy does not say which one it is, and often something before it speaks.
            let is_stale = self.is_stale(probe);
            let says_who = if told { !is_stale } else { self.expect.status.contains(&status) || !(status >= 500 || matches!(status, 408 | 429)) };
            probe.identity = says_who.then_some(told);
        }
        self.judge_status(head)?;
        let text = String::from_utf8_lossy(body);
        if self.expect.body_contains.as_ref().is_some_and(|needle| !text.contains(needle)) {
            return Err(Failure(Outcome::Body, say!("status {}, but the body lacks the expected text", status)));
        }
        if self.matches.as_ref().is_some_and(|pattern| !pattern.is_match(&text)) {
            return Err(Failure(Outcome::Body, say!("status {}, but the body does not match the expected pattern", status)));
        }
        holds(&self.expect.json, json.as_ref()).map_err(|why| Failure(Outcome::Body, say!("status {}, but {}", status, why)))?;
        holds(&self.expect.identity, json.as_ref()).map_err(|why| Failure(Outcome::Identity, say!("status {} from another service: {}", status, why)))?;
        if self.is_stale(probe) {
            let ago = Span(Duration::from_secs(probe.age.unwrap_or_default()));
            return Err(Failure(Outcome::Unknown, say!("status {}, but a cache gave the answer, with what its server said {} ago", status, ago)));
        }
        Ok(say!("status {}", status))
    }

    fn judge_status(&self, head: &Parts) -> Result<(), Failure> {
        let status = head.status.as_u16();
        if self.expect.status.contains(&status) {
            return Ok(());
        }
        let wanted = Message::joined(self.expect.status.iter().map(|status| say!("{}", *status)), " or ");
        let nowhere = head.status.is_redirection() && self.redirects > 0 && !head.headers.contains_key(header::LOCATION);
        let why = if nowhere { ", and it does not say where to go" } else { "" };
        Err(Failure(Outcome::Status, say!("status {}, expected {}{}", status, wanted, why)))
    }

    /// Whether a cache gave an answer that proves something only while it is new.
    fn is_stale(&self, probe: &Probe) -> bool {
        self.is_live && probe.age.is_some_and(|age| age > FRESH)
    }
}

/// Whether an answer says itself where its body ends. One of HTTP/1 that does not ends with its connection, which many
/// servers close without the word that TLS has for that.
/// Source: RFC 9112, sections 6.3 and 9.8
fn is_framed(head: &Parts) -> bool {
    head.version > Version::HTTP_11 || head.headers.contains_key(header::CONTENT_LENGTH) || head.headers.contains_key(header::TRANSFER_ENCODING)
}

/// Whether a connection was closed in order, and TLS was not.
fn is_early_end(error: &hyper::Error) -> bool {
    let causes = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source());
    causes.filter_map(|error| error.downcast_ref::<std::io::Error>()).any(|error| error.kind() == std::io::ErrorKind::UnexpectedEof)
}
