//! When something rotates next, and whether that can fall into an event: pure time arithmetic.
//!
//! A schedule gives exact moments. An interval gives bounds that widen with every turn, until no
//! moment can be excluded any more: with four to five hours that is after sixteen.

use crate::collectors::cron_job::{self, JobSchedule};
use crate::say;
use crate::say::{Message, named};
use croner::Cron;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The moments of a schedule, by who reads it.
#[derive(Debug, Clone)]
pub(in crate::collectors) enum Times {
    /// A person, who writes it into a configuration, or AWS.
    Cron(Box<Cron>),
    /// Kubernetes.
    CronJob(cron_job::Times),
}

impl Times {
    /// The first occurrence after a moment. An expression that never comes true has none.
    fn after(&self, zone: &TimeZone, after: i64) -> Option<i64> {
        match self {
            Self::CronJob(times) => times.next(zone, after),
            Self::Cron(cron) => {
                let after = Timestamp::from_second(after).ok()?.to_zoned(zone.clone());
                cron.find_next_occurrence(&after, false).ok().map(|at| at.timestamp().as_second())
            }
        }
    }

    /// Seconds after which they repeat themselves while no clock changes, if they do.
    fn period(&self) -> Option<i64> {
        match self {
            Self::CronJob(times) => times.period(),
            Self::Cron(cron) => match *cron.as_str().split_whitespace().collect::<Vec<_>>().as_slice() {
                [_, _, "*", "*", "*"] => Some(DAY),
                // The second Monday and the last Friday are those of a month.
                [_, _, "*", "*", weekday] if !weekday.contains(['#', 'L', 'l']) => Some(7 * DAY),
                _ => None,
            },
        }
    }
}

/// By what something rotates.
#[derive(Debug, Clone)]
pub(in crate::collectors) enum Rule {
    /// At some moment of the windows that begin at these moments and last so many seconds; with
    /// none, at exactly these moments.
    Schedule(Times, TimeZone, i64),
    /// Between so many seconds after the last time, which was then.
    Interval { min: i64, max: i64, last: i64, known: Known },
    /// At some moment of windows that last so long and begin a period apart; the last turn that was seen was then.
    Periodic { first: i64, period: i64, lasting: i64, last: Option<i64> },
    /// At exactly these moments.
    Moments(Vec<i64>),
}

/// By what the turns of an interval are known, so that a change is told from one that anybody made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::collectors) enum Known {
    /// By themselves: the last one was seen.
    Seen,
    /// By what they change alone, which changed at that moment before it changed last, if that was seen. One change
    /// shows nothing: whoever writes a file once has made one.
    ByChanges(Option<i64>),
}

/// Whether a rotation falls into a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conflict {
    /// None can.
    None,
    /// One does, at some moment between these.
    Certain(i64, i64),
    /// One may: it happens at some moment between these, of which not all would hit.
    Possible(i64, i64),
}

impl Rule {
    /// Reads a cron expression in a time zone, each of whose moments begins a window of seconds.
    pub(super) fn schedule(cron: &str, zone: &str, lasting: i64) -> Result<Self, Message> {
        let cron: Cron = cron.parse().map_err(|_| say!("a cron expression has five fields, such as 0 9 * * MON"))?;
        Ok(Self::Schedule(Times::Cron(Box::new(cron)), time_zone(zone)?, lasting))
    }

    /// Reads the schedule of a CronJob, which was started last then.
    pub(super) fn cron_job(schedule: &str, zone: &str, last: Option<i64>) -> Result<Self, Message> {
        match JobSchedule::parse(schedule).ok_or_else(|| say!("no schedule that Kubernetes takes"))? {
            JobSchedule::Times(times) => Ok(Self::Schedule(Times::CronJob(times), time_zone(zone)?, 0)),
            JobSchedule::Every(seconds) => {
                let last = last.ok_or_else(|| say!("it runs at an interval, and when it was last started is not known"))?;
                Ok(Self::Interval { min: seconds, max: seconds.saturating_add(SHIFT), last, known: Known::Seen })
            }
        }
    }

    /// The earliest and the latest moment of the next rotation after `now`; `None` when there is none.
    pub(super) fn next(&self, now: i64) -> Option<(i64, i64)> {
        match self {
            Self::Schedule(_, _, lasting) | Self::Periodic { lasting, .. } => {
                // A window that is open may still see it.
                let at = self.window(now - lasting)?;
                Some((at.max(now), at + lasting))
            }
            Self::Interval { min, max, last, .. } => {
                // Whatever is overdue may happen at any moment.
                let turn = (now - last).max(0) / max + 1;
                Some(((last + turn * min).max(now), (last + turn * max).max(now)))
            }
            Self::Moments(moments) => moments.iter().copied().filter(|at| *at >= now).min().map(|at| (at, at)),
        }
    }

    /// The earliest and the latest moment of the rotation that follows one at a moment.
    pub(super) fn after(&self, turn: i64) -> Option<(i64, i64)> {
        match self {
            Self::Interval { min, max, .. } => Some((turn.saturating_add(*min), turn.saturating_add(*max))),
            _ => self.from(turn.saturating_add(1)),
        }
    }

    /// The same of the first one that begins at a moment or after it.
    pub(super) fn from(&self, at: i64) -> Option<(i64, i64)> {
        match self {
            Self::Schedule(_, _, lasting) | Self::Periodic { lasting, .. } => self.window(at.saturating_sub(1)).map(|at| (at, at + lasting)),
            Self::Interval { max, .. } => Some((at, at.saturating_add(*max))),
            Self::Moments(moments) => moments.iter().copied().filter(|own| *own >= at).min().map(|at| (at, at)),
        }
    }

    /// Whether a change between two moments may be of one of its turns, which take no longer than `slow`.
    pub(super) fn may_have_made(&self, earliest: i64, latest: i64, slow: i64) -> bool {
        let in_time = |begins: i64, ends: i64| begins <= latest && ends.saturating_add(slow) >= earliest;
        match self {
            Self::Schedule(_, _, lasting) | Self::Periodic { lasting, last: None, .. } => {
                self.window(earliest.saturating_sub(lasting + slow + 1)).is_some_and(|begins| begins <= latest)
            }
            Self::Periodic { last: Some(last), .. } => in_time(*last, *last),
            Self::Interval { min, max, last, known: Known::Seen } => {
                // The latest turn that may have begun by then; those before it are over sooner.
                let back = (last.saturating_sub(latest).max(0) + max - 1) / max;
                in_time(last.saturating_sub(back.saturating_mul(*max)), last.saturating_sub(back.saturating_mul(*min)))
            }
            Self::Interval { min, max, known: Known::ByChanges(before), .. } => {
                before.is_some_and(|before| in_time(before.saturating_add(*min), before.saturating_add(*max)))
            }
            // Those that are over are not among them any more.
            Self::Moments(_) => false,
        }
    }

    /// Seconds after which its turns repeat themselves while no clock changes, if they do.
    pub(super) fn period(&self) -> Option<i64> {
        match self {
            Self::Schedule(times, ..) => times.period(),
            Self::Periodic { period, .. } => (DAY % period == 0).then_some(DAY),
            Self::Interval { .. } | Self::Moments(_) => None,
        }
    }

    /// When the clocks by which it runs change next.
    pub(super) fn clocks_change(&self, after: i64) -> Option<i64> {
        let Self::Schedule(_, zone, _) = self else { return None };
        Some(zone.following(Timestamp::from_second(after).ok()?).next()?.timestamp().as_second())
    }

    /// Whether what it changes is all that could tell of its turns, and did not tell of two.
    pub(super) fn is_unconfirmed(&self) -> bool {
        matches!(self, Self::Interval { known: Known::ByChanges(None), .. })
    }

    /// The latest moment at which the first rotation after `last` should have begun.
    pub(in crate::collectors) fn due(&self, last: i64) -> Option<i64> {
        match self {
            Self::Schedule(_, _, lasting) | Self::Periodic { lasting, .. } => self.window(last).map(|at| at + lasting),
            Self::Interval { max, .. } => Some(last + max),
            // What is over is not among them any more, so nothing tells that it was missed.
            Self::Moments(_) => None,
        }
    }

    /// The beginning of the first window that begins after a moment.
    fn window(&self, after: i64) -> Option<i64> {
        match self {
            Self::Schedule(times, zone, _) => times.after(zone, after),
            Self::Periodic { first, period, .. } => Some(first + ((after - first).div_euclid(*period) + 1).max(0) * period),
            Self::Interval { .. } | Self::Moments(_) => None,
        }
    }

    /// Whether a rotation, or what it stirs up within `guard` seconds after it, falls into a window.
    pub(super) fn conflict(&self, start: i64, end: i64, guard: i64) -> Conflict {
        let from = start - guard;
        match self.turn(from, end) {
            Some((earliest, latest)) if earliest >= from && latest <= end => Conflict::Certain(earliest, latest),
            Some((earliest, latest)) => Conflict::Possible(earliest, latest),
            None => Conflict::None,
        }
    }

    /// The bounds of the first turn that may happen between two moments. One whose window is open already when that begins
    /// counts as well.
    fn turn(&self, from: i64, end: i64) -> Option<(i64, i64)> {
        match self {
            Self::Schedule(_, _, lasting) | Self::Periodic { lasting, .. } => {
                self.window(from - lasting - 1).filter(|at| *at <= end).map(|at| (at, at + lasting))
            }
            Self::Interval { min, max, last, .. } => {
                let mut turn = (from - last).max(max - 1) / max;
                loop {
                    let (earliest, latest) = (last + turn * min, last + turn * max);
                    if earliest > end {
                        return None;
                    }
                    if latest >= from {
                        return Some((earliest, latest));
                    }
                    turn += 1;
                }
            }
            Self::Moments(moments) => moments.iter().copied().filter(|at| (from..=end).contains(at)).min().map(|at| (at, at)),
        }
    }
}

const DAY: i64 = 24 * 3600;

/// Seconds by which a CronJob with `@every` may shift at each turn: its controller counts on from the last
/// start, unless it was away for longer than the deadline for starting, and then from there.
const SHIFT: i64 = 60;

/// A time zone by its name; UTC where it has none.
pub(super) fn time_zone(zone: &str) -> Result<TimeZone, Message> {
    if zone.is_empty() { Ok(TimeZone::UTC) } else { TimeZone::get(zone).map_err(|_| say!("no time zone is called {:?}", named(zone))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    /// At exactly this moment.
    fn certain(at: i64) -> Conflict {
        Conflict::Certain(at, at)
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn a_schedule_hits_exactly_what_it_hits() {
        let rule = Rule::schedule("0 */4 * * *", "America/Vancouver", 0).unwrap();
        // Half past eleven to one in Vancouver is hit at noon; nine to half past ten is safe.
        assert_eq!(rule.conflict(at("2026-12-01T19:30:00Z"), at("2026-12-01T21:00:00Z"), 480), certain(at("2026-12-01T20:00:00Z")));
        assert_eq!(rule.conflict(at("2026-12-01T17:00:00Z"), at("2026-12-01T18:30:00Z"), 480), Conflict::None);
        // What began five minutes before still stirs when the event begins.
        assert_eq!(rule.conflict(at("2026-12-01T16:05:00Z"), at("2026-12-01T17:00:00Z"), 480), certain(at("2026-12-01T16:00:00Z")));
        assert_eq!(rule.conflict(at("2026-12-01T16:09:00Z"), at("2026-12-01T17:00:00Z"), 480), Conflict::None);
        assert_eq!(rule.next(at("2026-12-01T16:00:00Z")), Some((at("2026-12-01T20:00:00Z"), at("2026-12-01T20:00:00Z"))));
    }

    #[test]
    fn clocks_that_change_and_expressions_that_never_come_true() {
        let night = Rule::schedule("30 2 * * *", "Europe/Berlin", 0).unwrap();
        // The hour is skipped in spring, and the rotation happens when it is over.
        assert_eq!(night.next(at("2026-03-28T12:00:00Z")), Some((at("2026-03-29T01:00:00Z"), at("2026-03-29T01:00:00Z"))));
        assert_eq!(night.next(at("2026-10-24T12:00:00Z")), Some((at("2026-10-25T00:30:00Z"), at("2026-10-25T00:30:00Z"))));
        let never = Rule::schedule("0 0 31 2 *", "UTC", 0).unwrap();
        assert_eq!(never.next(at("2026-01-01T00:00:00Z")), None);
        assert_eq!(never.conflict(at("2026-01-01T00:00:00Z"), at("2026-12-31T00:00:00Z"), 480), Conflict::None);
        assert!(
            Rule::schedule("61 * * * *", "UTC", 0).is_err()
                && Rule::schedule("* * * *", "UTC", 0).is_err()
                && Rule::schedule("0 * * * *", "Mars/Base", 0).is_err()
        );
    }

    #[test]
    fn a_cron_job_runs_when_kubernetes_runs_it() {
        let job = |schedule: &str, zone: &str| Rule::cron_job(schedule, zone, Some(at("2027-10-30T12:00:00Z"))).unwrap();
        let night = |rule: &Rule| rule.conflict(at("2027-10-31T01:15:00Z"), at("2027-10-31T01:45:00Z"), 0);
        // Half past one comes twice, at half past midnight and at half past one of UTC.
        assert_eq!(night(&job("30 1 * * *", "Europe/London")), certain(at("2027-10-31T01:30:00Z")));
        assert_eq!(night(&job("0/20 * * * *", "")), certain(at("2027-10-31T01:20:00Z")));
        // In spring it does not come at all.
        let spring = job("30 2 * * *", "Europe/Berlin").conflict(at("2027-03-28T00:45:00Z"), at("2027-03-28T02:00:00Z"), 0);
        assert_eq!(spring, Conflict::None);
        let every = job("@every 6h", "");
        assert_eq!(
            every.conflict(at("2027-10-30T17:30:00Z"), at("2027-10-30T18:30:00Z"), 0),
            Conflict::Certain(at("2027-10-30T18:00:00Z"), at("2027-10-30T18:01:00Z"))
        );
        assert_eq!(every.conflict(at("2027-10-30T18:30:00Z"), at("2027-10-30T23:30:00Z"), 0), Conflict::None);
        // A year later nobody knows.
        assert!(matches!(every.conflict(at("2028-10-30T15:00:00Z"), at("2028-10-30T15:30:00Z"), 0), Conflict::Possible(..)));
        assert!(Rule::cron_job("@every 6h", "", None).is_err() && Rule::cron_job("0 0 L * *", "", None).is_err());
    }

    #[test]
    fn an_interval_leaves_three_safe_gaps_and_then_none() {
        let rule = Rule::Interval { min: 4 * HOUR, max: 5 * HOUR, last: 0, known: Known::Seen };
        let hits = |from: i64, to: i64| rule.conflict(from, to, 0);
        for (from, to) in [(1, 4 * HOUR - 1), (5 * HOUR + 1, 8 * HOUR - 1), (10 * HOUR + 1, 12 * HOUR - 1), (15 * HOUR + 1, 16 * HOUR - 1)] {
            assert_eq!(hits(from, to), Conflict::None, "{from} to {to}");
        }
        assert_eq!(hits(3 * HOUR, 6 * HOUR), Conflict::Certain(4 * HOUR, 5 * HOUR), "all of the first turn is inside");
        assert_eq!(hits(4 * HOUR + 1800, 5 * HOUR), Conflict::Possible(4 * HOUR, 5 * HOUR));
        for hour in 16..200 {
            assert!(matches!(hits(hour * HOUR, hour * HOUR + 60), Conflict::Possible(..)), "nothing can be excluded after sixteen hours: {hour}");
        }
        assert_eq!(rule.conflict(5 * HOUR + 300, 6 * HOUR, 480), Conflict::Possible(4 * HOUR, 5 * HOUR), "what stirs after it counts");
    }

    #[test]
    fn the_next_turn_of_an_interval_is_bounded_and_what_is_overdue_can_come_at_once() {
        let rule = Rule::Interval { min: 4 * HOUR, max: 5 * HOUR, last: 0, known: Known::Seen };
        assert_eq!(rule.next(HOUR), Some((4 * HOUR, 5 * HOUR)));
        assert_eq!(rule.next(4 * HOUR + 60), Some((4 * HOUR + 60, 5 * HOUR)));
        assert_eq!(rule.next(5 * HOUR + 60), Some((8 * HOUR, 10 * HOUR)));
    }

    #[test]
    fn a_window_that_only_touches_an_event_may_hit_it() {
        let weekly = Rule::schedule("30 3 * * SUN", "UTC", 2 * HOUR).unwrap();
        let event = |start: &str, end: &str| weekly.conflict(at(start), at(end), 0);
        assert_eq!(
            event("2026-12-06T05:00:00Z", "2026-12-06T08:00:00Z"),
            Conflict::Possible(at("2026-12-06T03:30:00Z"), at("2026-12-06T05:30:00Z")),
            "still open when it begins"
        );
        assert_eq!(event("2026-12-06T03:00:00Z", "2026-12-06T08:00:00Z"), Conflict::Certain(at("2026-12-06T03:30:00Z"), at("2026-12-06T05:30:00Z")));
        assert_eq!(event("2026-12-06T02:00:00Z", "2026-12-06T04:00:00Z"), Conflict::Possible(at("2026-12-06T03:30:00Z"), at("2026-12-06T05:30:00Z")));
        assert_eq!(event("2026-12-06T05:31:00Z", "2026-12-06T08:00:00Z"), Conflict::None);
        assert_eq!(weekly.next(at("2026-12-05T00:00:00Z")), Some((at("2026-12-06T03:30:00Z"), at("2026-12-06T05:30:00Z"))));
    }

    #[test]
    fn windows_a_period_apart_and_single_moments() {
        let rule = Rule::Periodic { first: 0, period: 4 * HOUR, lasting: HOUR, last: None };
        assert_eq!(rule.conflict(5 * HOUR + 1, 8 * HOUR - 1, 0), Conflict::None);
        assert_eq!(rule.conflict(4 * HOUR + 60, 8 * HOUR - 1, 0), Conflict::Possible(4 * HOUR, 5 * HOUR));
        assert_eq!(rule.conflict(3 * HOUR, 6 * HOUR, 0), Conflict::Certain(4 * HOUR, 5 * HOUR));
        assert_eq!(rule.next(HOUR), Some((4 * HOUR, 5 * HOUR)));
        let later = Rule::Periodic { first: 100 * HOUR, period: 4 * HOUR, lasting: HOUR, last: None };
        assert_eq!(later.next(0), Some((100 * HOUR, 101 * HOUR)), "nothing before the first");
        let rule = Rule::Moments(vec![900, 100, 500]);
        assert_eq!((rule.conflict(400, 600, 0), rule.conflict(600, 800, 0), rule.conflict(600, 800, 100)), (certain(500), Conflict::None, certain(500)));
        assert_eq!((rule.next(501), rule.next(901)), (Some((900, 900)), None));
    }

    #[test]
    fn what_should_have_begun_is_known_for_what_has_a_rule() {
        let hourly = Rule::schedule("0 * * * *", "UTC", 0).unwrap();
        assert_eq!(hourly.due(at("2026-12-01T10:00:02Z")), Some(at("2026-12-01T11:00:00Z")));
        assert_eq!(hourly.due(at("2026-12-01T10:00:00Z")), Some(at("2026-12-01T11:00:00Z")), "the one that is on record is not due again");
        assert_eq!(Rule::Interval { min: 4 * HOUR, max: 5 * HOUR, last: 0, known: Known::Seen }.due(0), Some(5 * HOUR));
        assert_eq!(Rule::Moments(vec![5]).due(0), None);
    }

    #[test]
    fn a_change_is_of_a_turn_of_an_interval_only_if_one_was_seen_that_fits() {
        let made = |rule: &Rule, at: i64| rule.may_have_made(at - 60, at + 60, 600);
        let every = Rule::cron_job("@every 4h", "", Some(100 * HOUR)).unwrap();
        for (at, expected) in [
            (100 * HOUR + 300, true),
            (100 * HOUR + 1200, false),
            (98 * HOUR, false),
            (96 * HOUR + 20, true),
            (92 * HOUR, true),
            (93 * HOUR, false),
            (103 * HOUR, false),
        ] {
            assert_eq!(made(&every, at), expected, "{at}");
        }
        let by_changes = |before| Rule::Interval { min: 4 * HOUR, max: 5 * HOUR, last: 100 * HOUR, known: Known::ByChanges(before) };
        for (before, expected) in [(None, false), (Some(96 * HOUR), true), (Some(95 * HOUR), true), (Some(98 * HOUR), false), (Some(90 * HOUR), false)] {
            assert_eq!(made(&by_changes(before), 100 * HOUR), expected, "{before:?}");
        }
        assert!(by_changes(None).is_unconfirmed() && !by_changes(Some(0)).is_unconfirmed() && !every.is_unconfirmed());
        let days = Rule::Periodic { first: 120 * HOUR, period: 24 * HOUR, lasting: 24 * HOUR, last: Some(100 * HOUR) };
        assert_eq!((made(&days, 100 * HOUR + 60), made(&days, 104 * HOUR)), (true, false), "not all of its day");
    }

    #[test]
    fn fuzz_schedules() {
        let seeds = ["0 */4 * * *", "30 2 29 2 *", "*/5 * * * * *", "0 0 L * 5#2", "@daily", "0 8-18/2 1,15 JAN-MAR MON-FRI"];
        crate::fuzz::survive_text(&seeds, |text| {
            let Ok(rule) = Rule::schedule(text, "Europe/Berlin", 0) else { return };
            let now = at("2026-12-01T00:00:00Z");
            // What comes next is what hits the first event that is long enough.
            if let Some((next, _)) = rule.next(now).filter(|(next, _)| *next < now + 90 * 24 * HOUR) {
                assert!(next > now, "{text}");
                assert_eq!(rule.conflict(now + 1, next, 0), certain(next), "{text}");
                assert_eq!(rule.conflict(now + 1, next - 1, 0), Conflict::None, "{text}");
            }
        });
    }

    /// No moment at which an interval rotates may lie in a window that was called free.
    #[test]
    fn fuzz_intervals() {
        use proptest::prelude::*;
        proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }, |(min in 1..10_000_i64, more in 0..5_000_i64, start in 0..100_000_i64, length in 0..20_000_i64, steps in prop::collection::vec(0.0..=1.0_f64, 60))| {
            let rule = Rule::Interval { min, max: min + more, last: 0, known: Known::Seen };
            let mut turn = 0;
            let mut hit = false;
            for step in steps {
                #[expect(clippy::cast_possible_truncation, reason = "seconds of a test")]
                let after = min + (more as f64 * step) as i64;
                turn += after;
                hit |= (start..=start + length).contains(&turn);
            }
            let said = rule.conflict(start, start + length, 0);
            prop_assert!(!hit || said != Conflict::None, "{rule:?} {start}..{} was hit", start + length);
            let all = turn > start + length;
            prop_assert!(!matches!(said, Conflict::Certain(..)) || hit || !all, "{rule:?} {start}..{} was not hit", start + length);
        });
    }
}
