//! Rules by which AWS Secrets Manager rotates: pure.
//!
//! Source: <https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html>

use super::predict::{Known, Rule};
use crate::say;
use crate::say::{Message, named};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Reads a rule and its window, with the last rotation in Unix seconds, on which rules in days count.
pub(in crate::collectors) fn rule(schedule: &str, window: &str, last: Option<i64>) -> Result<Rule, Message> {
    let hours = |text: &str| text.strip_suffix('h')?.parse::<i64>().ok().filter(|hours| (1..=24).contains(hours)).map(|hours| hours * HOUR);
    let lasting = |default: i64| if window.is_empty() { Ok(default) } else { hours(window).ok_or_else(|| say!("no window: {:?}", named(window))) };
    let unknown = || say!("no rule of Secrets Manager: {:?}", named(schedule));
    let inner = |name: &str| schedule.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    if let Some(cron) = inner("cron") {
        // The window of a day ends with that day; one of hours lasts an hour.
        let default = if cron.split_whitespace().nth(1).is_some_and(|hour| hour.contains(['/', ',', '-', '*'])) { HOUR } else { DAY };
        return Rule::schedule(&five_fields(cron).ok_or_else(unknown)?, "UTC", lasting(default)?);
    }
    let (count, unit) = inner("rate").and_then(|rate| rate.trim().split_once(' ')).ok_or_else(unknown)?;
    let count: i64 = count.parse().ok().filter(|count| (1..=1_000).contains(count)).ok_or_else(unknown)?;
    match unit.trim() {
        // Windows in hours begin at midnight, UTC, and again each so many hours where that divides the day.
        "hour" | "hours" if DAY % (count * HOUR) == 0 => Ok(Rule::Periodic { first: 0, period: count * HOUR, lasting: lasting(HOUR)?, last }),
        "hour" | "hours" => {
            let last = last.ok_or("it was never rotated, so nothing tells when it is next")?;
            Ok(Rule::Interval { min: count * HOUR, max: count * HOUR + lasting(HOUR)?, last, known: Known::Seen })
        }
        "day" | "days" => {
            let last = last.ok_or("it was never rotated, so nothing tells when it is next")?;
            let midnight = last.div_euclid(DAY).saturating_mul(DAY);
            Ok(Rule::Periodic { first: midnight.saturating_add(count * DAY), period: count * DAY, lasting: lasting(DAY)?, last: Some(last) })
        }
        _ => Err(unknown()),
    }
}

/// Turns the six fields of AWS into the five that everybody else knows. The year is always `*`, `?`
/// means any, and days of the week count from 1, which is Sunday.
fn five_fields(cron: &str) -> Option<String> {
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let &[minute, hour, day, month, weekday, "*"] = fields.as_slice() else { return None };
    let any = |field: &str| if field == "?" { "*".to_owned() } else { field.to_owned() };
    Some(format!("{minute} {hour} {} {month} {}", any(day), weekday_from_zero(&any(weekday))?))
}

/// Days of the week from 0: every number but the one behind `#`, which counts weeks, or `/`, which
/// is a step.
fn weekday_from_zero(field: &str) -> Option<String> {
    let mut shifted = String::with_capacity(field.len());
    let mut before = ' ';
    for character in field.chars() {
        match character.to_digit(10) {
            Some(_) if matches!(before, '#' | '/') => shifted.push(character),
            Some(day @ 1..=7) => shifted.push(char::from_digit(day - 1, 10)?),
            Some(_) => return None,
            None => shifted.push(character),
        }
        before = character;
    }
    Some(shifted)
}

#[cfg(test)]
mod tests {
    use super::super::predict::Conflict;
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_second()
    }

    #[test]
    fn rates_in_hours_are_windows_from_midnight() {
        let four = rule("rate(4 hours)", "", None).unwrap();
        assert_eq!(
            four.conflict(at("2026-12-01T16:30:00Z"), at("2026-12-01T18:00:00Z"), 0),
            Conflict::Possible(at("2026-12-01T16:00:00Z"), at("2026-12-01T17:00:00Z"))
        );
        assert_eq!(four.conflict(at("2026-12-01T17:10:00Z"), at("2026-12-01T19:59:00Z"), 0), Conflict::None);
        let three = rule("rate(4 hours)", "3h", None).unwrap();
        assert!(matches!(three.conflict(at("2026-12-01T17:10:00Z"), at("2026-12-01T19:59:00Z"), 0), Conflict::Possible(..)));
        let five = rule("rate(5 hours)", "", Some(0)).unwrap();
        assert_eq!(five.next(0), Some((5 * HOUR, 6 * HOUR)));
        assert!(rule("rate(5 hours)", "", None).is_err());
    }

    #[test]
    fn rates_in_days_count_from_the_last_rotation() {
        let thirty = rule("rate(30 days)", "", Some(at("2026-11-03T15:00:00Z"))).unwrap();
        assert_eq!(thirty.next(at("2026-11-04T00:00:00Z")), Some((at("2026-12-03T00:00:00Z"), at("2026-12-04T00:00:00Z"))));
        assert!(rule("rate(30 days)", "", None).is_err());
    }

    #[test]
    fn cron_expressions_of_aws_become_everybody_elses() {
        let next = |schedule: &str| rule(schedule, "1h", None).unwrap().next(at("2026-12-02T12:00:00Z")).unwrap().0;
        assert_eq!(next("cron(0 8 * * ? *)"), at("2026-12-03T08:00:00Z"));
        assert_eq!(next("cron(0 8 1 * ? *)"), at("2027-01-01T08:00:00Z"));
        assert_eq!(next("cron(0 8 ? * 1 *)"), at("2026-12-06T08:00:00Z"), "1 is Sunday");
        assert_eq!(next("cron(0 8 ? * 2#1 *)"), at("2026-12-07T08:00:00Z"), "the first Monday");
        assert_eq!(next("cron(0 8 ? * MON-FRI *)"), at("2026-12-03T08:00:00Z"));
        for schedule in ["cron(0 8 * * ? 2027)", "cron(0 8 * * *)", "cron(0 8 ? * 8 *)", "rate(0 days)", "rate(x hours)", "rate(4 weeks)", "every 4 hours", ""]
        {
            assert!(rule(schedule, "", Some(0)).is_err(), "{schedule}");
        }
        assert!(rule("rate(4 hours)", "25h", None).is_err() && rule("rate(4 hours)", "h", None).is_err());
    }

    #[test]
    fn fuzz_rules_of_aws() {
        for window in ["", "3h"] {
            for last in [1_764_000_000, i64::MIN, i64::MAX] {
                crate::fuzz::survive_text(&["rate(4 hours)", "rate(30 days)", "cron(0 8 ? * 2#1 *)"], |text| rule(text, window, Some(last)));
            }
        }
    }
}
