//! Good answers, changed on their way: in their bytes, in their JSON, in their headers, and in what is
//! sent beneath HTTP. One seed makes the same changes in the same order; which answer gets which of
//! them depends on who asks first.

use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::body::Body as _;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::serve::Body;
use crate::wire::{self, Wire};

static DICE: LazyLock<Mutex<fastrand::Rng>> = LazyLock::new(|| Mutex::new(fastrand::Rng::with_seed(0)));
static CHANGED: AtomicU64 = AtomicU64::new(0);

/// Begins the sequence of changes that belongs to a seed.
pub fn seed(seed: u64) {
    *DICE.lock().unwrap_or_else(PoisonError::into_inner) = fastrand::Rng::with_seed(seed);
}

/// How many answers, and pieces of answers, were changed so far.
pub fn changed() -> u64 {
    CHANGED.load(Ordering::Relaxed)
}

fn dice() -> fastrand::Rng {
    DICE.lock().unwrap_or_else(PoisonError::into_inner).fork()
}

/// Numbers at which something may end.
const NUMBERS: [&str; 14] = [
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "-9223372036854775808",
    "-1",
    "0",
    "-0",
    "1e308",
    "1e309",
    "-1e308",
    "1e-324",
    "NaN",
    "Infinity",
    "0x10",
];
/// Texts that mean something to somebody.
const TEXTS: [&str; 9] = [
    "",
    "\u{0}",
    "NaN",
    "18446744073709551615",
    "9999-12-31T23:59:59Z",
    "-0001-01-01T00:00:00Z",
    "<script>alert(1)</script>",
    "\u{1b}[31m\r\n",
    "\u{202e}true",
];
/// How deep is too deep.
const DEEP: usize = 100_000;

/// The bytes, changed in one way.
pub(crate) fn bytes(dice: &mut fastrand::Rng, good: &[u8]) -> Vec<u8> {
    let mut changed = good.to_vec();
    if good.is_empty() {
        return vec![dice.u8(..); dice.usize(..64)];
    }
    let range = |dice: &mut fastrand::Rng| {
        let start = dice.usize(..good.len());
        start..(start + 1 + dice.usize(..64)).min(good.len())
    };
    match dice.u8(..8) {
        0 => (0..=dice.usize(..8)).for_each(|_| changed[dice.usize(..good.len())] ^= 1 << dice.u8(..8)),
        1 => changed.truncate(dice.usize(..good.len())),
        2 => {
            let (part, at) = (range(dice), dice.usize(..good.len()));
            changed.splice(at..at, good[part].iter().copied());
        }
        3 => drop(changed.drain(range(dice))),
        4 => changed[range(dice)].iter_mut().for_each(|byte| *byte = dice.u8(..)),
        5 => changed.extend_from_slice(good),
        6 => replace_number(dice, &mut changed),
        _ => {
            let at = dice.usize(..good.len());
            let open = if dice.bool() { b"[".repeat(DEEP) } else { b"{\"a\":".repeat(DEEP) };
            changed.splice(at..at, open);
        }
    }
    changed
}

fn replace_number(dice: &mut fastrand::Rng, text: &mut Vec<u8>) {
    let starts: Vec<usize> = (1..text.len()).filter(|at| text[*at].is_ascii_digit() && !text[at - 1].is_ascii_alphanumeric()).collect();
    let Some(start) = dice.choice(starts) else { return };
    let end = (start..text.len()).find(|at| !text[*at].is_ascii_digit()).unwrap_or(text.len());
    let number = NUMBERS[dice.usize(..NUMBERS.len())];
    text.splice(start..end, number.bytes());
}

/// A document with one value of another kind.
fn document(dice: &mut fastrand::Rng, good: &[u8]) -> Option<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(good).ok()?;
    let mut places = Vec::new();
    collect(&document, String::new(), &mut places);
    let place = dice.choice(places)?;
    let value = document.pointer_mut(&place)?;
    *value = match dice.u8(..10) {
        0 => Value::Null,
        1 => json!(dice.bool()),
        2 => json!({}),
        3 => json!([]),
        4 => json!(u64::MAX),
        5 => json!(-1),
        6 => json!(1e308),
        7 => json!(TEXTS[dice.usize(..TEXTS.len())]),
        8 => json!("x".repeat(1 << 16)),
        _ => json!([value.take()]),
    };
    Some(document.to_string().into_bytes())
}

fn collect(value: &Value, place: String, places: &mut Vec<String>) {
    if places.len() > 20_000 {
        return;
    }
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| collect(item, format!("{place}/{index}"), places)),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| collect(field, format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")), places));
        }
        _ => {}
    }
    places.push(place);
}

const STATUSES: [u16; 17] = [200, 201, 204, 206, 301, 302, 304, 400, 401, 403, 404, 409, 410, 418, 500, 503, 999];
const HEADERS: [&str; 10] = [
    "content-type",
    "content-length",
    "content-encoding",
    "date",
    "docker-content-digest",
    "github-authentication-token-expiration",
    "location",
    "ratelimit-remaining",
    "transfer-encoding",
    "www-authenticate",
];

/// A good answer, changed.
pub(crate) async fn answer(good: Response<Body>) -> Response<Body> {
    let mut dice = dice();
    let (mut head, body) = good.into_parts();
    // What has no end known before is a watch, or another stream: its pieces are changed one by one.
    if body.size_hint().exact().is_none() {
        let pieces = body.map_frame(move |frame| match frame.into_data() {
            Ok(piece) if dice.u8(..4) == 0 => {
                CHANGED.fetch_add(1, Ordering::Relaxed);
                let changed = if dice.bool() { document(&mut dice, &piece).map(|text| [text, vec![b'\n']].concat()) } else { None };
                hyper::body::Frame::data(Bytes::from(changed.unwrap_or_else(|| bytes(&mut dice, &piece))))
            }
            Ok(piece) => hyper::body::Frame::data(piece),
            Err(frame) => frame,
        });
        return Response::from_parts(head, pieces.boxed_unsync());
    }
    let mut body = body.collect().await.map(Collected::to_bytes).unwrap_or_default().to_vec();
    CHANGED.fetch_add(1, Ordering::Relaxed);
    head.headers.remove(CONTENT_LENGTH);
    match dice.u8(..10) {
        0..=3 => body = document(&mut dice, &body).unwrap_or_else(|| bytes(&mut dice, &body)),
        4..=6 => body = bytes(&mut dice, &body),
        7 => {
            // Compressed, and then a little of it is not.
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            let _ = gzip.write_all(&body);
            body = gzip.finish().unwrap_or_default();
            if dice.u8(..4) > 0 {
                body = bytes(&mut dice, &body);
            }
            head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        8 => head.status = StatusCode::from_u16(STATUSES[dice.usize(..STATUSES.len())]).unwrap_or(StatusCode::OK),
        _ => {
            let name = HeaderName::from_static(HEADERS[dice.usize(..HEADERS.len())]);
            let text = if dice.bool() { NUMBERS[dice.usize(..NUMBERS.len())] } else { TEXTS[dice.usize(..TEXTS.len())] };
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                head.headers.insert(name, value);
            }
        }
    }
    Response::from_parts(head, Full::new(Bytes::from(body)).boxed_unsync())
}

/// A datagram, or a message over TCP.
pub(crate) fn message(good: Vec<u8>) -> Vec<u8> {
    let mut dice = dice();
    if dice.u8(..3) == 0 {
        return good;
    }
    CHANGED.fetch_add(1, Ordering::Relaxed);
    let mut changed = bytes(&mut dice, &good);
    changed.truncate(4_096);
    changed
}

/// A stream whose written bytes are changed now and then while its server is in a storm: chunks lie
/// about their sizes, heads and records are broken.
pub(crate) struct Mangled<S> {
    stream: S,
    server: SocketAddr,
    /// What is to be written for how many bytes of the writer.
    pending: Option<(Vec<u8>, usize, usize)>,
}

impl<S> Mangled<S> {
    pub(crate) fn new(stream: S, server: SocketAddr) -> Self {
        Self { stream, server, pending: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Mangled<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Mangled<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, good: &[u8]) -> Poll<std::io::Result<usize>> {
        if self.pending.is_none() {
            if wire::of(self.server) != Some(Wire::Storm) {
                return Pin::new(&mut self.stream).poll_write(context, good);
            }
            let mut dice = dice();
            if dice.u8(..8) > 0 {
                return Pin::new(&mut self.stream).poll_write(context, good);
            }
            CHANGED.fetch_add(1, Ordering::Relaxed);
            self.pending = Some((bytes(&mut dice, good), 0, good.len()));
        }
        let this = &mut *self;
        let Some((changed, written, stands_for)) = &mut this.pending else { return Poll::Ready(Ok(0)) };
        while *written < changed.len() {
            match ready!(Pin::new(&mut this.stream).poll_write(context, &changed[*written..]))? {
                0 => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                count => *written += count,
            }
        }
        let stands_for = *stands_for;
        this.pending = None;
        Poll::Ready(Ok(stands_for))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
