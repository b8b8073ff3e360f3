//! An answer of three megabytes that are three gibibytes once they are decompressed.

use std::sync::LazyLock;

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};
use futures::{StreamExt as _, stream};
use hyper::Response;
use hyper::header::{CONTENT_ENCODING, HeaderValue};

use crate::serve::Body;
use crate::wire::streamed;

const BLOCK: usize = 1 << 20;
const BLOCKS: usize = 3 * 1024;

/// The parts of a gzip file: its beginning, a block that is repeated, its end.
static PARTS: LazyLock<[Bytes; 3]> = LazyLock::new(|| {
    // Blank space inside of a JSON object, so that a reader who parses as it reads goes on as well.
    let (first, block) = ([b"{".as_slice(), &[b' '; BLOCK - 1]].concat(), vec![b' '; BLOCK]);
    let mut sum = Crc::new();
    sum.update(&first);
    let mut one = Crc::new();
    one.update(&block);
    (1..BLOCKS).for_each(|_| sum.combine(&one));
    sum.update(b"}");
    // Magic, deflate, no flags, no time, no hints, Unix (RFC 1952).
    let mut beginning = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    beginning.extend(deflated(&first, FlushCompress::Full));
    let mut end = deflated(b"}", FlushCompress::Finish);
    end.extend(sum.sum().to_le_bytes());
    end.extend(sum.amount().to_le_bytes());
    [beginning, deflated(&block, FlushCompress::Full), end].map(Bytes::from)
});

/// A piece of a raw deflate stream. After a full flush nothing refers to what came before, so that
/// pieces can follow each other in any number.
fn deflated(bytes: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 * 1024);
    // Cannot fail on a fresh stream with room for its output.
    let _ = Compress::new(Compression::best(), false).compress_vec(bytes, &mut out, flush);
    out
}

pub(crate) fn answer() -> Response<Body> {
    let [beginning, block, end] = PARTS.clone();
    let mut response = streamed(stream::iter([beginning]).chain(stream::repeat(block).take(BLOCKS - 1)).chain(stream::iter([end])));
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn it_is_small_and_becomes_large() {
        let [beginning, block, end] = PARTS.clone();
        assert!(beginning.len() + block.len() * (BLOCKS - 1) + end.len() < 4 << 20);
        // Decompressing all of it takes long without optimisation; four blocks tell as much.
        let short = [&beginning[..], &block, &block, &block].concat();
        let mut decoder = flate2::bufread::GzDecoder::new(&short[..]);
        let mut out = vec![0; 4 * BLOCK];
        decoder.read_exact(&mut out).unwrap();
        assert!(out[0] == b'{' && out[1..].iter().all(|byte| *byte == b' '));
    }
}
