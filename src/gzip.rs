//! Gzip that is put together from chunks, so that what did not change is compressed once and sent many times.
//!
//! Deflate is a row of blocks. A chunk that was compressed for itself refers to nothing before it and ends on a whole byte,
//! and so may stand anywhere in the stream of whoever asks for it; only the checksum at the end needs to know of all of them.
//! Formats: RFC 1951 section 3.2 (blocks), RFC 1952 section 2.3 (what stands before and behind them)

use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Magic number, deflate, no flags, no time, no word on the level, an unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The least room that is made for what comes out.
const ROOM: usize = 4 * 1024;

/// Compressed text that may stand anywhere in a stream.
#[derive(Debug)]
pub struct Chunk {
    bytes: Bytes,
    crc: Crc,
}

/// Compresses text, chunk by chunk.
#[derive(Debug)]
pub struct Deflate {
    compress: Compress,
    out: Vec<u8>,
    crc: Crc,
}

impl Default for Deflate {
    fn default() -> Self {
        // The fastest level: a scrape is read once, over a short way.
        Self { compress: Compress::new(Compression::fast(), false), out: Vec::new(), crc: Crc::new() }
    }
}

impl Deflate {
    /// Ends the chunk that everything was written to since the last one.
    ///
    /// # Errors
    /// Where compressing fails, which text in memory cannot cause.
    pub fn chunk(&mut self) -> io::Result<Chunk> {
        self.end()?;
        Ok(Chunk { bytes: std::mem::take(&mut self.out).into_boxed_slice().into(), crc: std::mem::take(&mut self.crc) })
    }

    /// Ends on a whole byte; what follows refers to nothing before it.
    fn end(&mut self) -> io::Result<()> {
        if self.compress.total_in() > 0 {
            self.push(&[], FlushCompress::Sync)?;
            self.compress.reset();
        }
        Ok(())
    }

    fn push(&mut self, mut text: &[u8], flush: FlushCompress) -> io::Result<()> {
        loop {
            self.out.reserve(ROOM);
            let before = self.compress.total_in();
            let status = self.compress.compress_vec(text, &mut self.out, flush).map_err(|_| io::Error::other("text could not be compressed"))?;
            let taken = usize::try_from(self.compress.total_in() - before).unwrap_or(usize::MAX);
            text = text.get(taken..).unwrap_or_default();
            // What had room left has nothing more to give.
            if status == Status::StreamEnd || (text.is_empty() && self.out.len() < self.out.capacity()) {
                return Ok(());
            }
        }
    }
}

impl Write for Deflate {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.crc.update(text);
        self.push(text, FlushCompress::None)?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A gzip stream of text that is written and of chunks that others compressed.
#[derive(Debug)]
pub struct Gzip {
    deflate: Deflate,
    /// Of everything before what the compressor works on.
    crc: Crc,
    ready: Vec<Bytes>,
}

impl Default for Gzip {
    fn default() -> Self {
        Self { deflate: Deflate { out: HEADER.to_vec(), ..Deflate::default() }, crc: Crc::new(), ready: Vec::new() }
    }
}

impl Gzip {
    /// Puts a chunk behind what was written.
    ///
    /// # Errors
    /// As [`Deflate::chunk`].
    pub fn add(&mut self, chunk: &Chunk) -> io::Result<()> {
        let written = self.deflate.chunk()?;
        self.crc.combine(&written.crc);
        self.crc.combine(&chunk.crc);
        self.ready.extend([written.bytes, chunk.bytes.clone()]);
        Ok(())
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// As [`Deflate::chunk`].
    pub fn finish(&mut self) -> io::Result<()> {
        self.crc.combine(&self.deflate.crc);
        self.deflate.push(&[], FlushCompress::Finish)?;
        self.deflate.out.extend(self.crc.sum().to_le_bytes());
        self.deflate.out.extend(self.crc.amount().to_le_bytes());
        Ok(())
    }

    /// What can be sent by now.
    pub fn take(&mut self) -> impl Iterator<Item = Bytes> + use<> {
        // The next piece will be about as large, and need not grow to that step by step.
        let next = Vec::with_capacity(self.deflate.out.len());
        self.ready.push(std::mem::replace(&mut self.deflate.out, next).into());
        std::mem::take(&mut self.ready).into_iter().filter(|bytes| !bytes.is_empty())
    }
}

impl Write for Gzip {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.deflate.write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    /// One member, read to its end by a reader that checks sum and length.
    fn read(bytes: &[u8]) -> Vec<u8> {
        let (mut text, mut reader) = (Vec::new(), GzDecoder::new(bytes));
        reader.read_to_end(&mut text).unwrap();
        assert!(reader.into_inner().is_empty(), "something stands behind the member");
        text
    }

    fn chunk(text: &[u8]) -> Chunk {
        let mut deflate = Deflate::default();
        deflate.write_all(text).unwrap();
        deflate.chunk().unwrap()
    }

    #[test]
    fn chunks_are_compressed_once_and_stand_in_every_stream() {
        let line = b"readiness_pod_ready{cluster=\"demo\",pod=\"workspace\"} 1\n".repeat(10_000);
        let chunk = chunk(&line);
        assert!(chunk.bytes.len() < line.len() / 50, "{}", chunk.bytes.len());
        for before in [&b""[..], b"# HELP\n", &line] {
            let mut gzip = Gzip::default();
            gzip.write_all(before).unwrap();
            gzip.add(&chunk).unwrap();
            gzip.add(&chunk).unwrap();
            gzip.write_all(before).unwrap();
            gzip.finish().unwrap();
            let sent: Vec<Bytes> = gzip.take().collect();
            assert_eq!(read(&sent.concat()), [before, &line, &line, before].concat());
            assert!(sent.iter().filter(|bytes| bytes.as_ptr() == chunk.bytes.as_ptr()).count() == 2, "a chunk was copied");
        }
        assert_eq!(Gzip::default().take().collect::<Vec<_>>().concat(), HEADER);
    }

    proptest! {
        #[test]
        fn whatever_is_written_and_added_is_read_in_that_order(
            parts in prop::collection::vec((any::<bool>(), "[ab \n]{0,80}|[a-z]{0,4000}|.{0,40}", 0..3_usize), 0..12)
        ) {
            let (mut gzip, mut sent, mut expected) = (Gzip::default(), Vec::new(), Vec::<u8>::new());
            for (kept, text, times) in &parts {
                let text = text.repeat(times * times * 20);
                if *kept {
                    gzip.add(&chunk(text.as_bytes())).unwrap();
                } else {
                    gzip.write_all(text.as_bytes()).unwrap();
                }
                expected.extend(text.as_bytes());
                if times % 2 == 1 {
                    sent.extend(gzip.take());
                }
            }
            gzip.finish().unwrap();
            sent.extend(gzip.take());
            prop_assert_eq!(read(&sent.concat()), expected);
        }
    }
}
