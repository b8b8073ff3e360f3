//! The body of a scrape: made, and compressed if the client wants it, as fast as the client reads.

use std::io;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream::{self, Iter};
use http_body_util::StreamBody;
use hyper::body::Frame;

use crate::exposition::Exposition;

pub(crate) type Body = StreamBody<Iter<Frames>>;

/// A scrape as a body.
pub(super) fn body(scrape: Exposition, gzip: bool) -> Body {
    // The fastest level: a scrape is read once, over a short way.
    let out = if gzip { Out::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::fast()))) } else { Out::Plain(Vec::new()) };
    StreamBody::new(stream::iter(Frames { scrape: Some(scrape), out }))
}

/// What is left of a scrape.
pub(crate) struct Frames {
    scrape: Option<Exposition>,
    out: Out,
}

enum Out {
    Plain(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Frames {
    /// Makes more of it. Writing to memory cannot fail.
    fn advance(&mut self) -> io::Result<()> {
        let Some(scrape) = &mut self.scrape else { return Ok(()) };
        let more = match &mut self.out {
            Out::Plain(out) => scrape.write_next(out)?,
            Out::Gzip(out) => scrape.write_next(out)?,
        };
        if !more {
            self.scrape = None;
            if let Out::Gzip(out) = &mut self.out {
                out.try_finish()?;
            }
        }
        Ok(())
    }
}

impl Iterator for Frames {
    type Item = Result<Frame<Bytes>, io::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.scrape.is_some() {
            if let Err(error) = self.advance() {
                self.scrape = None;
                return Some(Err(error));
            }
            let out = match &mut self.out {
                Out::Plain(out) => out,
                Out::Gzip(out) => out.get_mut(),
            };
            // The next piece will be about as large, and need not grow to that step by step.
            let next = Vec::with_capacity(out.len());
            let made = std::mem::replace(out, next);
            if !made.is_empty() {
                return Some(Ok(Frame::data(made.into())));
            }
        }
        None
    }
}
