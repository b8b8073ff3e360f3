//! When something rotates next, and whether that can fall into an event: pure time arithmetic.
//!
//! A schedule gives exact moments. An interval gives bounds that widen with every turn, until no
//! moment can be excluded any more: with four to five hours that is after sixteen.

use croner::Cron;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// By what something rotates.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// At these moments.
    Schedule(Box<Cron>, TimeZone),
    /// Between so many seconds after the last time, which was then.
    Interval { min: i64, max: i64, last: i64 },
}

/// Whether a rotation falls into a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conflict {
    /// None can.
    None,
    /// One does, then.
    Certain(i64),
    /// One may, from then on.
    Possible(i64),
}

impl Rule {
    /// Reads a cron expression in a time zone.
    pub(super) fn schedule(cron: &str, zone: &str) -> Result<Self, String> {
        let zone = if zone.is_empty() { TimeZone::UTC } else { TimeZone::get(zone).map_err(|_| format!("no time zone is called {zone:?}"))? };
        let cron: Cron = cron.parse().map_err(|error| format!("no cron expression: {error}"))?;
        Ok(Self::Schedule(Box::new(cron), zone))
    }

    /// The earliest and the latest moment of the next rotation after `now`; `None` when there is none.
    pub(super) fn next(&self, now: i64) -> Option<(i64, i64)> {
        match self {
            Self::Schedule(cron, zone) => {
                let at = occurrence(cron, zone, now)?;
                Some((at, at))
            }
            Self::Interval { min, max, last } => {
                // Whatever is overdue may happen at any moment.
                let turn = (now - last).max(0) / max + 1;
                Some(((last + turn * min).max(now), (last + turn * max).max(now)))
            }
        }
    }

    /// Whether a rotation, or what it stirs up within `guard` seconds after it, falls into a window.
    pub(super) fn conflict(&self, start: i64, end: i64, guard: i64) -> Conflict {
        let from = start - guard;
        match self {
            Self::Schedule(cron, zone) => occurrence(cron, zone, from - 1).filter(|at| *at <= end).map_or(Conflict::None, Conflict::Certain),
            Self::Interval { min, max, last } => {
                // The first turn that may still be under way when the window begins.
                let mut turn = (from - last).max(max - 1) / max;
                loop {
                    let (earliest, latest) = (last + turn * min, last + turn * max);
                    if earliest > end {
                        return Conflict::None;
                    }
                    if latest >= from {
                        let inside = earliest >= from && latest <= end;
                        return if inside { Conflict::Certain(earliest) } else { Conflict::Possible(earliest.max(from)) };
                    }
                    turn += 1;
                }
            }
        }
    }
}

/// The first occurrence after a moment. An expression that never comes true has none.
fn occurrence(cron: &Cron, zone: &TimeZone, after: i64) -> Option<i64> {
    let after = Timestamp::from_second(after).ok()?.to_zoned(zone.clone());
    cron.find_next_occurrence(&after, false).ok().map(|at| at.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn a_schedule_hits_exactly_what_it_hits() {
        let rule = Rule::schedule("0 */4 * * *", "America/Vancouver").unwrap();
        // Half past eleven to one in Vancouver is hit at noon; nine to half past ten is safe.
        assert_eq!(rule.conflict(at("2026-12-01T19:30:00Z"), at("2026-12-01T21:00:00Z"), 480), Conflict::Certain(at("2026-12-01T20:00:00Z")));
        assert_eq!(rule.conflict(at("2026-12-01T17:00:00Z"), at("2026-12-01T18:30:00Z"), 480), Conflict::None);
        // What began five minutes before still stirs when the event begins.
        assert_eq!(rule.conflict(at("2026-12-01T16:05:00Z"), at("2026-12-01T17:00:00Z"), 480), Conflict::Certain(at("2026-12-01T16:00:00Z")));
        assert_eq!(rule.conflict(at("2026-12-01T16:09:00Z"), at("2026-12-01T17:00:00Z"), 480), Conflict::None);
        assert_eq!(rule.next(at("2026-12-01T16:00:00Z")), Some((at("2026-12-01T20:00:00Z"), at("2026-12-01T20:00:00Z"))));
    }

    #[test]
    fn clocks_that_change_and_expressions_that_never_come_true() {
        let night = Rule::schedule("30 2 * * *", "Europe/Berlin").unwrap();
        // The hour is skipped in spring, and the rotation happens when it is over.
        assert_eq!(night.next(at("2026-03-28T12:00:00Z")), Some((at("2026-03-29T01:00:00Z"), at("2026-03-29T01:00:00Z"))));
        assert_eq!(night.next(at("2026-10-24T12:00:00Z")), Some((at("2026-10-25T00:30:00Z"), at("2026-10-25T00:30:00Z"))));
        let never = Rule::schedule("0 0 31 2 *", "UTC").unwrap();
        assert_eq!(never.next(at("2026-01-01T00:00:00Z")), None);
        assert_eq!(never.conflict(at("2026-01-01T00:00:00Z"), at("2026-12-31T00:00:00Z"), 480), Conflict::None);
        assert!(Rule::schedule("61 * * * *", "UTC").is_err() && Rule::schedule("* * * *", "UTC").is_err() && Rule::schedule("0 * * * *", "Mars/Base").is_err());
    }

    #[test]
    fn an_interval_leaves_three_safe_gaps_and_then_none() {
        let rule = Rule::Interval { min: 4 * HOUR, max: 5 * HOUR, last: 0 };
        let hits = |from: i64, to: i64| rule.conflict(from, to, 0);
        for (from, to) in [(1, 4 * HOUR - 1), (5 * HOUR + 1, 8 * HOUR - 1), (10 * HOUR + 1, 12 * HOUR - 1), (15 * HOUR + 1, 16 * HOUR - 1)] {
            assert_eq!(hits(from, to), Conflict::None, "{from} to {to}");
        }
        assert_eq!(hits(3 * HOUR, 6 * HOUR), Conflict::Certain(4 * HOUR), "all of the first turn is inside");
        assert_eq!(hits(4 * HOUR + 1800, 5 * HOUR), Conflict::Possible(4 * HOUR + 1800));
        for hour in 16..200 {
            assert!(matches!(hits(hour * HOUR, hour * HOUR + 60), Conflict::Possible(_)), "nothing can be excluded after sixteen hours: {hour}");
        }
        assert_eq!(rule.conflict(5 * HOUR + 300, 6 * HOUR, 480), Conflict::Possible(5 * HOUR - 180), "what stirs after it counts");
    }

    #[test]
    fn the_next_turn_of_an_interval_is_bounded_and_what_is_overdue_can_come_at_once() {
        let rule = Rule::Interval { min: 4 * HOUR, max: 5 * HOUR, last: 0 };
        assert_eq!(rule.next(HOUR), Some((4 * HOUR, 5 * HOUR)));
        assert_eq!(rule.next(4 * HOUR + 60), Some((4 * HOUR + 60, 5 * HOUR)));
        assert_eq!(rule.next(5 * HOUR + 60), Some((8 * HOUR, 10 * HOUR)));
    }
}
