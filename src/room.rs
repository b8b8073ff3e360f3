//! Memory for what is being read, shared by all who read.
//!
//! Each answer has a bound of its own, but many come at once, and whoever sends them decides when. So
//! what is held of all of them together is bounded as well. Whoever finds no room gives up instead of
//! waiting: what waits for those who wait for it would wait for ever.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::say::Say;

/// What the answers that are being read hold together.
pub(crate) static ANSWERS: Room = Room::new(8 << 20);

/// What the bodies of HTTP targets that are being read hold together, so that they and the answers of
/// APIs take nothing from each other.
pub(crate) static PAGES: Room = Room::new(16 << 20);

/// What each reader holds without asking: most answers are smaller.
const SMALL: usize = 16 << 10;

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

#[cfg(test)]
mod tests {
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
}
