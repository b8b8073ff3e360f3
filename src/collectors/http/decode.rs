//! Bodies as they were before a server packed them: without `Accept-Encoding` it may choose any coding
//! (RFC 9110, section 12.5.3), and some do. Bounded: a small body can unpack to a huge one.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use hyper::HeaderMap;
use hyper::header::CONTENT_ENCODING;

use crate::room::{self, Answer, Overrun};
use crate::say;
use crate::say::Message;

/// Codings on top of one another; nobody needs more than one.
const MOST_CODINGS: usize = 4;

/// Why the content of a body is not known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is packed in a way that this program cannot undo.
    Unknown(Message),
    /// It is larger than it may be once it is unpacked.
    TooLarge(Message),
    /// It is not packed as its header says.
    Broken(Message),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
}

/// The content of a body of at most `most` bytes. Unpacks on a thread of its own.
pub(super) async fn unpacked(body: Vec<u8>, headers: &HeaderMap, most: usize) -> Result<Vec<u8>, Unreadable> {
    let codings = codings(headers)?;
    if codings.is_empty() || body.is_empty() {
        return Ok(body);
    }
    let unpack = move || codings.into_iter().rev().try_fold(body, |packed, coding| undo(coding, &packed, most));
    tokio::task::spawn_blocking(unpack).await.unwrap_or_else(|_| Err(Unreadable::Unknown(say!("its body could not be unpacked"))))
}

/// In the order in which they were applied (RFC 9110, section 8.4).
fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, Unreadable> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let text = value.to_str().map_err(|_| Unreadable::Unknown(say!("its Content-Encoding cannot be read")))?;
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            codings.push(match name.to_ascii_lowercase().as_str() {
                "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => return Err(unknown("br")),
                "zstd" => return Err(unknown("zstd")),
                "compress" | "x-compress" => return Err(unknown("compress")),
                _ => return Err(unknown("a coding that is not known")),
            });
        }
    }
    if codings.len() > MOST_CODINGS { Err(unknown("too many codings on top of one another")) } else { Ok(codings) }
}

fn unknown(coding: &'static str) -> Unreadable {
    Unreadable::Unknown(say!("its body is packed with {} although nobody asked for that, and cannot be judged", coding))
}

fn undo(coding: Coding, packed: &[u8], most: usize) -> Result<Vec<u8>, Unreadable> {
    match coding {
        Coding::Gzip => read(MultiGzDecoder::new(packed), most),
        // Some servers leave out the zlib format around it (RFC 9110, section 8.4.1.2).
        Coding::Deflate if has_zlib_header(packed) => read(ZlibDecoder::new(packed), most),
        Coding::Deflate => read(DeflateDecoder::new(packed), most),
    }
}

/// Source: RFC 1950, section 2.2
fn has_zlib_header(packed: &[u8]) -> bool {
    matches!(packed, [method, flags, ..] if method & 0x0f == 8 && (u16::from(*method) * 256 + u16::from(*flags)) % 31 == 0)
}

fn read(mut from: impl Read, most: usize) -> Result<Vec<u8>, Unreadable> {
    let mut content = Answer::new(most, &room::PAGES);
    let mut piece = [0; 16 << 10];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(content.whole()),
            Ok(length) => content.add(&piece[..length]).map_err(|why| match why {
                Overrun::TooLarge(most) => Unreadable::TooLarge(say!("its body is larger than {} bytes once it is unpacked", most)),
                Overrun::NoRoom(why) => Unreadable::Unknown(say!("its body was not unpacked: {}", why)),
            })?,
            Err(_) => return Err(Unreadable::Broken(say!("its body is not packed as its Content-Encoding says"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = b"{\"workspace_proxy\":true}";

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(content).unwrap();
        packer.finish().unwrap()
    }

    async fn of(body: Vec<u8>, coding: &str) -> Result<Vec<u8>, Unreadable> {
        let headers = [(CONTENT_ENCODING, coding.parse().unwrap())].into_iter().collect();
        unpacked(body, &headers, 1_000).await
    }

    #[tokio::test]
    async fn what_nobody_asked_to_be_packed_is_read_all_the_same() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(TEXT).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::best());
        raw.write_all(TEXT).unwrap();
        for (body, coding) in [
            (TEXT.to_vec(), "identity"),
            (gzip(TEXT), "gzip"),
            (gzip(TEXT), "X-GZip"),
            (gzip(&gzip(TEXT)), "gzip, gzip"),
            (zlib.finish().unwrap(), "deflate"),
            (raw.finish().unwrap(), "deflate"),
            ([gzip(&TEXT[..5]), gzip(&TEXT[5..])].concat(), "gzip"),
        ] {
            assert_eq!(of(body, coding).await.as_deref(), Ok(TEXT), "{coding}");
        }
        assert_eq!(of(Vec::new(), "gzip").await, Ok(Vec::new()), "as 304 and HEAD have it");
    }

    #[tokio::test]
    async fn what_cannot_be_unpacked_is_told_apart() {
        for coding in ["br", "zstd", "compress", "secret-word", "gzip, br", "gzip,gzip,gzip,gzip,gzip"] {
            let Err(Unreadable::Unknown(why)) = of(gzip(TEXT), coding).await else { panic!("{coding}") };
            assert!(!why.as_str().contains("secret-word"), "a text of the server");
        }
        for body in [TEXT.to_vec(), gzip(TEXT)[..15].to_vec(), gzip(&TEXT[..1])[..18].to_vec()] {
            assert!(matches!(of(body, "gzip").await, Err(Unreadable::Broken(_))));
        }
        assert!(matches!(of(gzip(&[0; 1_001]), "gzip").await, Err(Unreadable::TooLarge(_))));
        assert_eq!(of(gzip(&[0; 1_000]), "gzip").await.map(|content| content.len()), Ok(1_000));
    }
}
