//! Dates as issuers of credentials write them: pure.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The last day of the year 9999, in seconds, which stands for never as its date does.
const LAST_DAY: std::ops::RangeInclusive<i64> = 253_402_214_400..=253_402_300_800;
/// Seconds up to the year 5138.
const FAR: i64 = 100_000_000_000;
/// From here on a number counts milliseconds: those of 2001.
const MILLISECONDS: i64 = 1_000_000_000_000;
/// From here on it is neither: the year 5138 in milliseconds. Microseconds that were taken for them
/// would end in many thousand years.
const TOO_LARGE: i64 = FAR * 1000;
/// Below this a number is a count of days or a year rather than a moment, which was in 2001.
const TOO_SMALL: i64 = 1_000_000_000;

/// How far clocks may differ, in seconds: what has just been made may begin a little after now.
pub(super) const CLOCKS: i64 = 300;

/// When something ends, as far as its issuer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// Unix seconds.
    At(i64),
    /// The issuer says that it does not end.
    Never,
}

impl Ends {
    /// The moment, if there is one.
    pub(super) fn at(self) -> Option<i64> {
        match self {
            Self::At(at) => Some(at),
            Self::Never => None,
        }
    }
}

/// Reads a date in any form that issuers use, or says that it cannot: RFC 3339, a date alone (its
/// first second, UTC), a time with a zone abbreviation or an offset, Unix seconds or milliseconds,
/// and the last day of the year 9999 for never.
pub(super) fn read(text: &str) -> Option<Ends> {
    let text = text.trim();
    // No library knows that day in every zone, so the rest of it is held against another year.
    if let Some(rest) = text.strip_prefix("9999-12-31") {
        return at(&format!("2000-12-31{rest}")).map(|_| Ends::Never);
    }
    // Eight digits are a day without its dashes.
    match text.parse::<i64>() {
        Ok(number) if text.len() != 8 => number_of(number),
        _ => at(text).map(Ends::At),
    }
}

fn at(text: &str) -> Option<i64> {
    let at = text.parse::<Timestamp>().ok();
    // GitHub: `2026-06-01 00:00:00 UTC`, `2027-03-31 00:00:00 +0900`.
    let at = at.or_else(|| utc(text.strip_suffix(" UTC")?.trim()));
    let at = at.or_else(|| Zoned::strptime("%Y-%m-%d %H:%M:%S %z", text).ok().map(|zoned| zoned.timestamp()));
    let at = at.or_else(|| utc(text));
    at.or_else(|| text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())).map(Timestamp::as_second)
}

/// A time without a zone, which issuers mean in UTC.
fn utc(text: &str) -> Option<Timestamp> {
    // A date alone is read elsewhere, so that it means the same everywhere.
    if !text.contains(':') || text.contains('[') {
        return None;
    }
    text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// Unix seconds or milliseconds. What can be no moment of these days is none; so is 0, which some write for never and
/// others where they know nothing.
pub(super) fn number_of(number: i64) -> Option<Ends> {
    match number {
        last if LAST_DAY.contains(&last) => Some(Ends::Never),
        ..TOO_SMALL | FAR..MILLISECONDS | TOO_LARGE.. => None,
        MILLISECONDS.. => Some(Ends::At(number / 1000)),
        _ => Some(Ends::At(number)),
    }
}

/// A date in a JSON value. `null` is none: whether it stands for never is for the issuer's own
/// documentation to say.
pub(super) fn of_json(value: &serde_json::Value) -> Option<Ends> {
    match value {
        serde_json::Value::String(text) => read(text),
        #[expect(clippy::cast_possible_truncation, reason = "a moment needs no fractions of a second, and what is out of range is no moment")]
        serde_json::Value::Number(number) => {
            number_of(number.as_i64().or_else(|| number.as_f64().filter(|number| number.abs() < 1e15).map(|number| number as i64))?)
        }
        _ => None,
    }
}

/// A moment in a JSON value of an issuer that has no way to say never.
pub(super) fn moment(value: &serde_json::Value) -> Option<i64> {
    of_json(value).and_then(Ends::at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_issuers_use_is_read() {
        let at = |text: &str| Some(Ends::At(text.parse::<Timestamp>().unwrap().as_second()));
        for (text, ends) in [
            ("2026-05-01", at("2026-05-01T00:00:00Z")),
            ("2026-05-01T12:30:00Z", at("2026-05-01T12:30:00Z")),
            ("2026-05-01T12:30:00.123456789+02:00", at("2026-05-01T10:30:00Z")),
            ("2026-05-01T12:30:00", at("2026-05-01T12:30:00Z")),
            ("2026-06-01 00:00:00 UTC", at("2026-06-01T00:00:00Z")),
            ("2027-03-31 00:00:00 +0900", at("2027-03-30T15:00:00Z")),
            (" 1764000000\n", Some(Ends::At(1_764_000_000))),
            ("1764000000000", Some(Ends::At(1_764_000_000))),
            ("2016-12-31T23:59:60Z", at("2016-12-31T23:59:59Z")),
            ("9999-12-31T23:59:59Z", Some(Ends::Never)),
            ("9999-12-31", Some(Ends::Never)),
            ("9999-12-31 00:00:00 UTC", Some(Ends::Never)),
            ("9999-12-31, or when the contract ends", None),
            ("9999-12-310", None),
            ("0", None),
            ("20260501", at("2026-05-01T00:00:00Z")),
            // A year, days that are left, and microseconds, of which none is a moment in seconds.
            ("2026", None),
            ("90", None),
            ("1764000000000000", None),
            ("1764000000000000000", None),
            ("-1", None),
            ("", None),
            ("soon", None),
            ("2026-13-01", None),
            ("2026-02-30T00:00:00Z", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(read(text), ends, "{text}");
        }
    }

    #[test]
    fn dates_in_json_are_text_numbers_or_nothing() {
        let of = |text: &str| of_json(&serde_json::from_str(text).unwrap());
        assert_eq!(of("null"), None);
        assert_eq!(of("\"2026-05-01\""), Some(Ends::At(1_777_593_600)));
        assert_eq!(of("1764000000.9"), Some(Ends::At(1_764_000_000)));
        assert_eq!(of("1e300"), None);
        assert_eq!(of("true"), None);
        assert_eq!((of("0"), of("\"0\"")), (None, None), "which is neither");
        assert_eq!(of("{}"), None);
    }

    #[test]
    fn fuzz_dates() {
        let seeds = ["2026-05-01", "2026-05-01T12:30:00.123456789+02:00", "2027-03-31 00:00:00 +0900", "2026-06-01 00:00:00 UTC", "1764000000000"];
        crate::fuzz::survive_text(&seeds, |text| {
            // Whatever is read as a moment is one that can be written again.
            if let Some(Ends::At(at)) = read(text) {
                assert!(Timestamp::from_second(at).is_ok() || text.trim().parse::<i64>().is_ok(), "{text}");
            }
        });
    }
}
