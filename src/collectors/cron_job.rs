//! When Kubernetes starts a CronJob. Its controller reads schedules as robfig/cron v3 does, which differs
//! from other readers of cron on three points: `0/20` means from 0 on in steps of 20, `@every 6h` counts
//! from the last start, and on nights on which clocks change a time that does not exist is left out and
//! one that comes twice counts twice.
//!
//! Sources: `pkg/controller/cronjob/utils.go` of Kubernetes, the documentation of
//! <https://pkg.go.dev/github.com/robfig/cron/v3>, and a table that it produced (`tests/data/cron_job.tsv`).

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A schedule as the controller reads it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum JobSchedule {
    /// At the minutes that match.
    Times(Times),
    /// So many seconds after the last start.
    Every(i64),
}

/// The minutes, hours, days, months and weekdays that match, each a set of bits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Times {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether one of the two kinds of days is left open, so that the other alone decides.
    any_day: bool,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Years after which the controller stops looking for a time that matches.
const YEARS: i16 = 5;

impl JobSchedule {
    /// Reads a schedule; `None` for what the API server refuses.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let standard = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        if let Some(duration) = standard.strip_prefix("@every ") {
            return seconds(duration).map(Self::Every);
        }
        let fields: Vec<&str> = standard.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = *fields.as_slice() else { return None };
        let (days, any_date) = field(days, 1, 31, 1, &[])?;
        let (weekdays, any_weekday) = field(weekdays, 0, 6, 0, &WEEKDAYS)?;
        Some(Self::Times(Times {
            minutes: field(minutes, 0, 59, 0, &[])?.0,
            hours: field(hours, 0, 23, 0, &[])?.0,
            days,
            months: field(months, 1, 12, 1, &MONTHS)?.0,
            weekdays,
            any_day: any_date || any_weekday,
        }))
    }
}

impl Times {
    /// Seconds after which its times repeat themselves while no clock changes, if they do: those of a date do not.
    pub(super) fn period(&self) -> Option<i64> {
        let has_all = |set: u64, range: std::ops::RangeInclusive<i8>| range.into_iter().all(|value| has(set, value));
        let is_daily = has_all(self.weekdays, 0..=6);
        (has_all(self.months, 1..=12) && has_all(self.days, 1..=31)).then_some(if is_daily { 24 * 3600 } else { 7 * 24 * 3600 })
    }

    /// The first time that matches after a moment, both in Unix seconds.
    pub(super) fn next(&self, zone: &TimeZone, after: i64) -> Option<i64> {
        let mut at = after.checked_add(1)?;
        let local = |at: i64| Some(Timestamp::from_second(at).ok()?.to_zoned(zone.clone()));
        let last_year = local(at)?.year().saturating_add(YEARS);
        // Whether an hour or a day was passed over. From then on the controller goes on in whole hours,
        // which end at half past where a clock is changed by half an hour.
        let mut stepped = false;
        loop {
            let now = local(at)?;
            if now.year() > last_year {
                return None;
            }
            let (minute, second) = (i64::from(now.minute()), i64::from(now.second()));
            if !has(self.months, now.month()) || !self.has_day(now.day(), now.weekday().to_sunday_zero_offset()) {
                let tomorrow = now.tomorrow().ok()?;
                let tomorrow = if stepped && tomorrow.hour() == 0 { tomorrow } else { tomorrow.start_of_day().ok()? };
                (at, stepped) = (tomorrow.timestamp().as_second(), true);
            } else if !has(self.hours, now.hour()) {
                at += if stepped { 3600 } else { 3600 - minute * 60 - second };
                stepped = true;
            } else if has(self.minutes, now.minute()) {
                if second == 0 {
                    return Some(at);
                }
                at += 60 - second;
            } else {
                // Up to the next full hour minutes alone are looked at, and with such a change there is none.
                at += 60 - second;
                let mut now = local(at)?;
                while now.minute() != 0 && !has(self.minutes, now.minute()) {
                    at += 60;
                    now = local(at)?;
                }
                if now.minute() != 0 {
                    return Some(at);
                }
            }
        }
    }

    /// When both a date and a weekday are given, either is enough.
    fn has_day(&self, day: i8, weekday: i8) -> bool {
        let (date, weekday) = (has(self.days, day), has(self.weekdays, weekday));
        if self.any_day { date && weekday } else { date || weekday }
    }
}

fn has(set: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| set >> value & 1 == 1)
}

/// A list of ranges as a set, and whether one of them leaves the field open.
fn field(text: &str, min: u32, max: u32, first: u32, names: &[&str]) -> Option<(u64, bool)> {
    let number = |text: &str| {
        let named = names.iter().zip(first..).find(|(name, _)| text.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value).or_else(|| text.parse().ok())
    };
    let (mut set, mut open) = (0_u64, false);
    for range in text.split(',').filter(|range| !range.is_empty()) {
        let (range, step) = match range.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
            None => (range, None),
        };
        let (low, high) = range.split_once('-').map_or((range, None), |(low, high)| (low, Some(high)));
        let (low, high) = if matches!(low, "*" | "?") {
            // A step takes away that the field is open, unless it skips nothing.
            open |= step.is_none_or(|step| step == 1);
            (min, max)
        } else {
            let low = number(low)?;
            let high = match (high, step) {
                (Some(high), _) => number(high)?,
                (None, Some(_)) => max,
                (None, None) => low,
            };
            (low, high)
        };
        if low < min || high > max || low > high {
            return None;
        }
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        set |= (low..=high).step_by(step).fold(0, |set, value| set | 1 << value);
    }
    // A field that names nothing never comes true.
    (set != 0).then_some((set, open))
}

/// Whole seconds of a duration such as `1h30m` or `1.5h`, at least one.
fn seconds(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 8] = [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    if text == "0" {
        return Some(1);
    }
    let (mut left, mut all) = (text, 0.0);
    while !left.is_empty() {
        let digits = left.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = left.split_at(digits);
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(end);
        all += number.parse::<f64>().ok()? * UNITS.iter().find(|(name, _)| *name == unit)?.1;
        left = rest;
    }
    // What Go can hold is 292 years.
    let whole = (all + 1e-6).floor().max(1.0);
    #[expect(clippy::cast_possible_truncation, reason = "bounded right before")]
    (!text.is_empty() && whole < 9.2e9).then_some(whole as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What robfig/cron v3.0.1 answers: expression, zone, moment, and the eight times after it.
    const TABLE: &str = include_str!("../../tests/data/cron_job.tsv");

    #[test]
    fn every_time_is_that_of_the_library_that_kubernetes_uses() {
        let (mut compared, mut refused, mut others) = (0, 0, Vec::new());
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let [expression, zone, start, expected] = *line.split('\t').collect::<Vec<_>>() else { panic!("{line}") };
            let Some(schedule) = JobSchedule::parse(expression) else {
                assert_eq!(expected, "refused", "{line}");
                refused += 1;
                continue;
            };
            assert_ne!(expected, "refused", "{line}");
            let zone = TimeZone::get(zone).unwrap();
            let mut at = start.parse::<Timestamp>().unwrap().as_second();
            for expected in expected.split_whitespace() {
                let next = match &schedule {
                    JobSchedule::Every(seconds) => Some(at + seconds),
                    JobSchedule::Times(times) => times.next(&zone, at),
                };
                if next.map_or_else(|| "never".to_owned(), |at| at.to_string()) != expected {
                    others.push(format!("{next:?} after {at} of {line}"));
                }
                at = expected.parse().unwrap_or(at);
                compared += 1;
            }
        }
        assert!(others.is_empty(), "{others:#?}");
        assert!(compared > 2500 && refused > 100, "{compared} {refused}");
    }

    #[test]
    fn fuzz_job_schedules() {
        let seeds = ["0 */4 * * *", "0/20 * * * ?", "@every 1h30m", "@daily", "0 8-18/2 1,15 JAN-MAR MON-FRI"];
        let zone = TimeZone::get("Australia/Lord_Howe").unwrap();
        crate::fuzz::survive_text(&seeds, |text| match JobSchedule::parse(text) {
            Some(JobSchedule::Every(seconds)) => assert!(seconds > 0, "{text}"),
            Some(JobSchedule::Times(times)) => {
                let now = 1_800_000_000;
                assert!(times.next(&zone, now).is_none_or(|at| at > now && at % 60 == 0), "{text}");
            }
            None => {}
        });
    }
}
