//! The body of a scrape: made, and compressed if the client wants it, as fast as the client reads.

use std::{io, vec};

use bytes::Bytes;
use futures::stream::{self, Iter};
use http_body_util::StreamBody;
use hyper::body::Frame;

use crate::exposition::{Exposition, Out};

pub(crate) type Body = StreamBody<Iter<Frames>>;

/// A scrape as a body.
pub(super) fn body(scrape: Exposition, gzip: bool) -> Body {
    StreamBody::new(stream::iter(Frames { scrape: Some(scrape), out: Out::new(gzip), made: Vec::new().into_iter() }))
}

/// What is left of a scrape.
pub(crate) struct Frames {
    scrape: Option<Exposition>,
    out: Out,
    made: vec::IntoIter<Bytes>,
}

impl Iterator for Frames {
    type Item = Result<Frame<Bytes>, io::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(bytes) = self.made.next() {
                return Some(Ok(Frame::data(bytes)));
            }
            match self.scrape.as_mut()?.write_next(&mut self.out) {
                Ok(true) => {}
                Ok(false) => self.scrape = None,
                Err(error) => {
                    self.scrape = None;
                    return Some(Err(error));
                }
            }
            self.made = self.out.take().into_iter();
        }
    }
}
