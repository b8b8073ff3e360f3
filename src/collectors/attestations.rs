//! What only people can say: read from a file, never ticked by this program.
//!
//! The file is a list of `{ attest, who, at, valid_for }`. Later entries win, so that the file can
//! be appended to. Nothing here decides whether a confirmation is still good enough.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::cause::Cause as _;
use crate::config::{AttestationsConfig, Span};
use crate::driver::{Form, Poll, Task};
use crate::files;
use crate::labels::Labels;
use crate::metric::{Family, Gauge, Sample, Unit, gauge};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot, Source};

/// The `collector` label.
pub const NAME: &str = "attestations";

static SAID: Gauge<1> =
    gauge("readiness_attestation_timestamp_seconds", Unit::Timestamp, &["attestation"], "When a person confirmed an item, from the attestations file.");
/// When a confirmation ends.
pub static EXPIRY: Gauge<1> = gauge(
    "readiness_attestation_expiry_timestamp_seconds",
    Unit::Timestamp,
    &["attestation"],
    "Until when the confirmation of an item is valid, from the attestations file.",
);

/// Families of this collector.
pub static FAMILIES: &[&Family] = &[&SAID.0, &EXPIRY.0];

/// How long a confirmation is valid when it does not say: from two days before until after a day-long event.
const DEFAULT_VALIDITY: Span = Span::days(3);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    attest: String,
    who: String,
    at: Timestamp,
    valid_for: Option<Span>,
}

/// The task that reads the file.
pub fn task(config: &AttestationsConfig) -> Task {
    Task {
        source: Source {
            collector: NAME,
            name: "file".to_owned(),
            identity: Labels::default(),
            covers: Vec::new(),
            emits: vec![SAID.0.name, EXPIRY.0.name],
            off: Arc::default(),
            reads: &[],
            interval: config.interval.0,
            keep: config.interval.0 * 3,
        },
        fingerprint: format!("{config:?}"),
        timeout: config.interval.0,
        form: Form::Poll(Box::new(File(config.file.clone()))),
    }
}

struct File(PathBuf);

impl Poll for File {
    fn look<'a>(&'a mut self, _seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        async {
            let failed = |why: Message| CollectError::new(ErrorClass::Local, say!("read attestations {}: {}", self.0.display(), why));
            let content = files::read(&self.0, files::LARGEST).await.map_err(|error| failed(say!("{}", error)))?;
            let text = content.text().map_err(|error| failed(say!("{}", error)))?;
            let entries: Vec<Entry> = if text.trim().is_empty() {
                Vec::new()
            } else {
                serde_saphyr::from_str_with_options(text, serde_saphyr::options! { with_snippet: false })
                    .map_err(|error| CollectError::new(ErrorClass::Malformed, failed(error.words()).message))?
            };
            Ok(Observation::new(samples(&entries), entries.len(), 0))
        }
        .boxed()
    }
}

fn samples(entries: &[Entry]) -> Vec<Sample> {
    let latest: BTreeMap<&str, &Entry> = entries.iter().map(|entry| (entry.attest.as_str(), entry)).collect();
    latest
        .values()
        .flat_map(|entry| {
            let validity = SignedDuration::try_from(entry.valid_for.unwrap_or(DEFAULT_VALIDITY).0).unwrap_or(SignedDuration::MAX);
            let until = entry.at.checked_add(validity).unwrap_or(Timestamp::MAX);
            let said = say!("confirmed by {} at {}", named(&entry.who), named(&entry.at.strftime("%Y-%m-%d %H:%M UTC").to_string()));
            [
                SAID.sample([entry.attest.as_str()], entry.at.as_second() as f64),
                EXPIRY.sample([entry.attest.as_str()], until.as_second() as f64).with_detail(said),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_latest_entry_counts_and_its_validity_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        std::fs::write(
            &path,
            "- {attest: OnCallConfirmed, who: Ada, at: 2026-11-01T00:00:00Z}\n\
             - {attest: OnCallConfirmed, who: Grace, at: 2026-11-20T00:00:00Z, valid_for: 1d}\n",
        )
        .unwrap();
        let seen = File(path).look(&Snapshot::default()).await.unwrap();
        let expiry: Vec<_> = seen.of(EXPIRY.0.name).collect();
        assert_eq!(expiry.len(), 1);
        assert_eq!(expiry[0].value.to_string(), "1795219200");
        assert_eq!(expiry[0].detail.as_ref().map(Message::as_str), Some("confirmed by Grace at 2026-11-20 00:00 UTC"));
    }

    #[tokio::test]
    async fn a_file_that_is_missing_or_wrong_is_an_error_and_never_empty() {
        let missing = File("/no/such/file".into()).look(&Snapshot::default()).await.unwrap_err();
        assert_eq!(missing.class, ErrorClass::Local);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        std::fs::write(&path, "- {attest: X, when: now}").unwrap();
        assert_eq!(File(path).look(&Snapshot::default()).await.unwrap_err().class, ErrorClass::Malformed);
    }
}
