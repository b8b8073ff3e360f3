//! Spans and moments of rotations, in whole seconds and as words.

use jiff::Timestamp;

use crate::say;
use crate::say::{Message, named};
use crate::value::Span;

/// When something happens, as far as it is known, and until when what it stirs up may last: whoever moves an event has to
/// know both.
pub(super) fn within(earliest: i64, latest: i64, guard: i64) -> Message {
    let [from, until, over] = [earliest, latest, latest.saturating_add(guard)].map(moment);
    let until_when = say!("and what that stirs up may last until {}", named(&over));
    if earliest == latest {
        say!("at {}, {}", named(&from), until_when)
    } else {
        say!("at some moment between {} and {}, {}", named(&from), named(&until), until_when)
    }
}

pub(super) fn moment(at: i64) -> String {
    Timestamp::from_second(at).map_or_else(|_| at.to_string(), say::minute)
}

pub(super) fn seconds(span: Span) -> i64 {
    // Far above any span that makes sense, and far below where a sum of two overflows.
    i64::try_from(span.0.as_secs()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}
