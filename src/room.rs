//! Memory for what is being read, shared by all who read.
//!
//! Each answer has a bound of its own, but many come at once, and whoever sends them decides when. So
//! what is held of all of them together is bounded as well. Whoever finds no room gives up instead of
//! waiting: what waits for those who wait for it would wait for ever.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt as _;
use http_body_util::{BodyStream, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use tower::BoxError;

use crate::say::Say;

/// What the answers that are being read hold together.
pub(crate) static ANSWERS: Room = Room::new(8 << 20);

/// What the bodies of HTTP targets that are being read hold together, so that they and the answers of
/// APIs take nothing from each other.
pub(crate) static PAGES: Room = Room::new(16 << 20);

/// What each reader holds without asking: most answers are smaller.
const SMALL: usize = 16 << 10;

/// What each piece of a body costs whoever keeps the pieces, however small it is.
const PIECE: usize = 64;

/// So many bytes and no more.
#[derive(Debug)]
pub(crate) struct Room {
    size: usize,
    taken: AtomicUsize,
}

/// All room is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much is being read at the same time")]
pub struct NoRoom;

impl Say for NoRoom {}

impl Room {
    /// Room for so many bytes.
    pub(crate) const fn new(size: usize) -> Self {
        Self { size, taken: AtomicUsize::new(0) }
    }

    /// A share of nothing yet.
    pub(crate) const fn share(&'static self) -> Share {
        Share { room: self, taken: 0 }
    }
}

/// What one reader holds, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    room: &'static Room,
    taken: usize,
}

impl Share {
    /// Holds so many bytes from now on.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let wanted = bytes.saturating_sub(SMALL);
        if wanted > self.taken {
            let more = wanted - self.taken;
            let fits = |taken: usize| taken.checked_add(more).filter(|taken| *taken <= self.room.size);
            self.room.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| NoRoom)?;
        } else {
            self.room.taken.fetch_sub(self.taken - wanted, Ordering::Relaxed);
        }
        self.taken = wanted;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

/// Why an answer is not read to its end. Holds no word of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Overrun {
    /// It has more bytes than were wanted.
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
    /// Too many are read at once.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

impl Say for Overrun {}

/// One answer that is read as a whole, within a bound and a room. Copied: an answer that comes byte by
/// byte would otherwise cost its head for each of them.
#[derive(Debug)]
pub(crate) struct Answer {
    bytes: Vec<u8>,
    most: usize,
    share: Share,
}

impl Answer {
    /// One of so many bytes at most.
    pub(crate) const fn new(most: usize, room: &'static Room) -> Self {
        Self { bytes: Vec::new(), most, share: room.share() }
    }

    /// Takes in what has arrived.
    pub(crate) fn add(&mut self, data: &[u8]) -> Result<(), Overrun> {
        let held = self.bytes.len() + data.len();
        if held > self.most {
            return Err(Overrun::TooLarge(self.most));
        }
        self.share.hold(held)?;
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// All of it; from here on it is whoever asked that holds it.
    pub(crate) fn whole(self) -> Vec<u8> {
        self.bytes
    }
}

/// The same body, which ends with an [`Overrun`] when it is too large, or a line of it where lines count.
pub(crate) fn bounded<R>(body: R, lines: bool, most: usize, room: &'static Room) -> impl Body<Data = Bytes, Error = BoxError>
where
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    let (mut held, mut pieces, mut share) = (0, 0, room.share());
    StreamBody::new(BodyStream::new(body).map(move |frame| {
        let frame: Frame<Bytes> = frame.map_err(Into::into)?;
        if let Some(data) = frame.data_ref() {
            (held, pieces) = match data.iter().rposition(|byte| *byte == b'\n').filter(|_| lines) {
                Some(end) => (data.len() - end - 1, 1),
                None => (held + data.len(), pieces + 1),
            };
        }
        if held > most {
            return Err(Overrun::TooLarge(most).into());
        }
        share.hold(held + pieces * PIECE).map_err(Overrun::NoRoom)?;
        Ok(frame)
    }))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::BodyExt as _;

    use super::*;

    #[test]
    fn room_is_shared_and_given_back() {
        static ROOM: Room = Room::new(100_000);
        let (mut one, mut other) = (ROOM.share(), ROOM.share());
        assert_eq!(one.hold(SMALL + 60_000), Ok(()));
        assert_eq!(other.hold(SMALL), Ok(()), "what is small needs no room");
        assert_eq!(other.hold(SMALL + 40_001), Err(NoRoom));
        assert_eq!(one.hold(usize::MAX), Err(NoRoom));
        assert_eq!((one.hold(10), other.hold(SMALL + 100_000)), (Ok(()), Ok(())));
        drop(other);
        assert_eq!((one.hold(SMALL + 100_000), ROOM.taken.load(Ordering::Relaxed)), (Ok(()), 100_000));
    }

    fn body(parts: &[&'static [u8]]) -> impl Body<Data = Bytes, Error = Infallible> + use<> {
        StreamBody::new(futures::stream::iter(parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part)))).collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn an_answer_of_many_pieces_takes_the_room_that_they_need() {
        static ROOM: Room = Room::new(8 << 20);
        let pieces = futures::stream::repeat(Bytes::from_static(b" ")).take(1 << 20).map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
        let whole = Box::pin(bounded(StreamBody::new(pieces), false, 2 << 20, &ROOM)).collect().await;
        assert_eq!(whole.err().map(|error| error.to_string()).as_deref(), Some("too much is being read at the same time"));
    }

    #[tokio::test]
    async fn a_list_is_bounded_as_a_whole_and_a_watch_by_its_lines() {
        let read = async |parts: &[&'static [u8]], lines: bool| {
            let whole = Box::pin(bounded(body(parts), lines, 8, &ANSWERS)).collect().await;
            whole.map(|whole| whole.to_bytes().len()).map_err(|error| error.to_string())
        };
        let large = || Err("the answer is larger than 0 MiB".to_owned());
        assert_eq!(read(&[b"12345", b"678"], false).await, Ok(8));
        assert_eq!(read(&[b"12345", b"6789"], false).await, large());
        assert_eq!(read(&[b"1\n2\n3\n4\n", b"5"], false).await, large(), "lines do not help a list");
        assert_eq!(read(&[b"12345\n", b"12345678", b"\n1234567\n", b"12"], true).await, Ok(25));
        assert_eq!(read(&[b"1\n23456", b"789"], true).await, Ok(10));
        assert_eq!(read(&[b"1\n23456", b"7890"], true).await, large());
    }
}
