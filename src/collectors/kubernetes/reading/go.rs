//! What programs in Go write into objects.

/// A duration as Go reads it: numbers with units in any order, as `720h0m0s`, `1m24h` and `1.5h`.
/// Source: `ParseDuration` of Go's package `time`.
pub(in crate::collectors::kubernetes) fn seconds(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 8] = [("ns", 1e-9), ("us", 1e-6), ("\u{b5}s", 1e-6), ("\u{3bc}s", 1e-6), ("ms", 1e-3), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
    let (mut rest, mut seconds) = (text, 0.0);
    if rest == "0" {
        return Some(0);
    }
    while !rest.is_empty() || text.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, unit) = rest.split_at(end);
        let (name, factor) = UNITS.iter().find(|(name, _)| unit.starts_with(name))?;
        seconds += number.parse::<f64>().ok()? * factor;
        rest = &unit[name.len()..];
    }
    // Go's own durations end after 292 years.
    let whole = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?.as_secs();
    Some(whole).filter(|whole| *whole < 292 * 366 * 86_400)
}
