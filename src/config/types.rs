//! Value types of the configuration: durations as Prometheus writes them, and secrets that can
//! not be printed.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize as _;

use crate::files::{self, ReadError};
use crate::say;
use crate::say::{Message, Say, named};

/// A length of time, written like Prometheus does: `90s`, `10m`, `1h30m`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// Units in the order in which they must appear.
const UNITS: [(&str, u64); 6] = [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    /// `n` seconds.
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// `n` minutes.
    pub const fn mins(n: u64) -> Self {
        Self(Duration::from_mins(n))
    }

    /// `n` hours.
    pub const fn hours(n: u64) -> Self {
        Self(Duration::from_hours(n))
    }

    /// `n` days of 24 hours.
    pub const fn days(n: u64) -> Self {
        Self(Duration::from_hours(24 * n))
    }

    /// Whole and fractional seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("must be a duration such as 30s, 10m, 1h30m or 7d (got {text:?})");
        let mut rest = text;
        let mut millis: u64 = 0;
        let mut units = UNITS.iter();
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0).ok_or_else(wrong)?;
            let letters = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            let (_, unit) = units.find(|(name, _)| *name == &rest[digits..letters]).ok_or_else(wrong)?;
            millis = number.checked_mul(*unit).and_then(|more| millis.checked_add(more)).ok_or_else(wrong)?;
            rest = &rest[letters..];
        }
        if text.is_empty() { Err(wrong()) } else { Ok(Self(Duration::from_millis(millis))) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        // Weeks are read but never written: "14d" is what people say.
        for (name, unit) in &UNITS[1..] {
            let count = millis / unit;
            if count > 0 {
                write!(f, "{count}{name}")?;
                millis -= count * unit;
            }
        }
        Ok(())
    }
}

impl Say for Span {}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "duration",
            "pattern": "^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
            "minLength": 2,
        })
    }
}

/// Where a secret is kept. The configuration never holds the secret itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// A file; one trailing line break is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// An environment variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

impl SecretRef {
    /// Reads the secret now, so that a rotated file is picked up by the next look.
    pub async fn read(&self) -> Result<Secret, Message> {
        match (&self.file, &self.env) {
            (Some(file), None) => {
                let failed = |error: ReadError| say!("read secret: {}: {}", file.display(), error);
                let content = files::read(file, files::LARGEST).await.map_err(failed)?;
                let text = content.text().map_err(failed)?;
                let text = text.strip_suffix('\n').unwrap_or(text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                if text.is_empty() { Err(say!("read secret: {}: it is empty", file.display())) } else { Ok(Secret(text.to_owned())) }
            }
            #[expect(clippy::disallowed_methods, reason = "the one place where a secret is taken from the environment")]
            (None, Some(name)) => std::env::var(name).map(Secret).map_err(|_| say!("read secret: environment variable {} is not set", named(name))),
            _ => Err(say!("read secret: needs exactly one of file and env")),
        }
    }
}

/// A secret that neither `Debug` nor `Display` nor serde can print.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret that did not come from the configuration, such as a token.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_prometheus_reads_them() {
        for (text, millis) in [("30s", 30_000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("1w", 604_800_000), ("250ms", 250)] {
            assert_eq!(text.parse::<Span>(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", "5", "s", "30m1h", "1.5h", "-1s", "99999999999999999d", "1y", "5 s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["30s", "1h30m", "14d", "1d1ms"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_secret_cannot_be_printed() {
        assert_eq!(format!("{:?}", Some(Secret("hunter2".into()))), "Some(Secret(***))");
    }

    #[tokio::test]
    async fn a_missing_secret_names_its_place_and_nothing_else() {
        let reference = SecretRef { file: Some("/no/such/token".into()), env: None };
        let message = reference.read().await.unwrap_err();
        assert_eq!(message.as_str(), "read secret: /no/such/token: no such file");
    }
}
