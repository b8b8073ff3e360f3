//! Value types of the configuration: durations as Prometheus writes them, and secrets that can
//! not be printed.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper::header::HeaderValue;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize as _, Zeroizing};

use crate::files::{self, ReadError};
use crate::say;
use crate::say::{Message, Say, named};
use crate::word::Word;

/// A length of time, written like Prometheus does: `90s`, `10m`, `1h30m`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// How a [`Span`] is written.
pub(crate) const DURATION: &str = "must be a duration such as 30s, 10m, 1h30m or 7d";

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

    /// So many seconds, without those that make no whole minute; nothing for a time that lies before.
    pub fn whole_minutes(seconds: i64) -> Self {
        Self::mins(u64::try_from(seconds).unwrap_or_default() / 60)
    }

    /// Whole and fractional seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{DURATION} (got {text:?})");
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

impl Say for Span {
    /// For people its units stand apart, as they do where Prometheus writes a time.
    fn say(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, mut after_unit) = (self.to_string(), false);
        for character in text.chars() {
            if after_unit && character.is_ascii_digit() {
                f.write_str(" ")?;
            }
            after_unit = !character.is_ascii_digit();
            f.write_char(character)?;
        }
        Ok(())
    }
}

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
    /// An environment variable; one trailing line break is dropped.
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
                let text = without_line_break(content.text().map_err(failed)?);
                if text.is_empty() { Err(say!("read secret: {}: it is empty", file.display())) } else { Ok(Secret(text.to_owned())) }
            }
            (None, Some(name)) => of_variable(name, std::env::var_os(name)),
            _ => Err(say!("read secret: needs exactly one of file and env")),
        }
    }

    /// Reads the secret as the value of a header, which holds no line break.
    pub async fn read_for_header(&self) -> Result<HeaderValue, Message> {
        let secret = self.read().await?;
        let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| {
            let place = self.file.as_ref().map_or_else(|| variable(self.env.as_deref().unwrap_or_default(), true), |file| say!("{}", file.display()));
            say!("read secret: {}: it has characters that a header can not hold, such as the end of a line", place)
        })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// Editors and `kubectl create secret` leave a line break at the end, and those of Windows another.
fn without_line_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// What a variable holds, by the rules for a file.
fn of_variable(name: &str, value: Option<OsString>) -> Result<Secret, Message> {
    let place = variable(name, value.is_some());
    let value = value.ok_or_else(|| say!("read secret: {} is not set", place))?;
    let text = Zeroizing::new(value.into_string().map_err(|_| say!("read secret: {}: it is not UTF-8 text", place))?);
    let text = without_line_break(&text);
    if text.is_empty() { Err(say!("read secret: {}: it is empty", place)) } else { Ok(Secret(text.to_owned())) }
}

/// How a variable is called in a message. One that is not set, and is not written as variables are by
/// custom, may be the secret itself.
fn variable(name: &str, is_set: bool) -> Message {
    let is_shown = is_set || Word::variable(name).is_some();
    if is_shown { say!("environment variable {}", named(name)) } else { say!("environment variable {}", files::HIDDEN) }
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

    #[tokio::test]
    async fn a_secret_ends_before_its_last_line_break_and_is_never_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let reference = SecretRef { file: Some(path.clone()), env: None };
        for content in ["hunter2", "hunter2\n", "hunter2\r\n", "hunter2\r"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(reference.read().await.unwrap().expose(), "hunter2", "{content:?}");
        }
        for content in ["", "\n", "\r\n"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(reference.read().await.unwrap_err().as_str(), format!("read secret: {}: it is empty", path.display()), "{content:?}");
        }
        std::fs::write(&path, "hunter2\nhunter2\n").unwrap();
        let why = reference.read_for_header().await.unwrap_err();
        assert_eq!(why.as_str(), format!("read secret: {}: it has characters that a header can not hold, such as the end of a line", path.display()));
    }

    #[test]
    fn an_empty_variable_is_an_error_as_an_empty_file_is() {
        let said = |value| of_variable("TOKEN", value).map(|secret| secret.expose().to_owned()).map_err(|why| why.to_string());
        assert_eq!(said(Some("hunter2\r\n".into())), Ok("hunter2".to_owned()));
        assert_eq!(said(Some(String::new().into())), Err("read secret: environment variable TOKEN: it is empty".to_owned()));
        assert_eq!(said(None), Err("read secret: environment variable TOKEN is not set".to_owned()));
    }

    #[test]
    fn a_secret_in_the_place_of_a_variable_is_not_printed() {
        for name in ["hunter2", "correcthorse", "AKIAIOSFODNN7EXAMPLE", "JBSWY3DPEHPK3PXP", "AbCdEf"] {
            let why = of_variable(name, None).unwrap_err();
            assert_eq!(why.as_str(), "read secret: environment variable (a name that is hidden, since it may be a secret) is not set");
        }
        for name in ["T", "GITHUB_TOKEN", "K8S_TOKEN_2", "PGPASSWORD"] {
            assert!(of_variable(name, None).unwrap_err().as_str().contains(name), "{name}");
        }
        assert!(of_variable("my_token", Some("".into())).unwrap_err().as_str().contains(" my_token: "));
    }
}
