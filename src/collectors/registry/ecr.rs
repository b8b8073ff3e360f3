//! ECR through its own API: which digest a tag names now, when that was pushed, what scans found.
//!
//! Never "the last that was pushed": that may be another tag, an untagged image, a child of an
//! index or an attestation.
//! Source: <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html>

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_ecr::config::retry::RetryConfig;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ecr::types::{FindingSeverity, ImageFailureCode, ImageIdentifier};
use tokio::sync::{OnceCell, Semaphore};

use super::digest::Digest;
use super::manifest::{LARGEST, MEDIA_TYPES, Manifest};
use super::registries::Tag;
use crate::aws::{self, Caller};
use crate::net::Call;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass};
use crate::word::Word;

/// One registry of an account in a region.
pub(super) struct Ecr {
    /// Its host, for messages.
    name: String,
    caller: Box<Caller>,
    /// The account; that of the credentials when the host names none.
    account: Option<String>,
    client: OnceCell<aws_sdk_ecr::Client>,
    http: reqwest::Client,
    timeout: Duration,
    slots: Semaphore,
    calls: AtomicU64,
}

/// `123456789012.dkr.ecr.us-east-2.amazonaws.com` as account and region.
pub(super) fn account_and_region(host: &str) -> Option<(String, String)> {
    let (account, rest) = host.split_once(".dkr.ecr.").or_else(|| host.split_once(".dkr.ecr-fips."))?;
    let region = rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn"))?;
    (account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())).then(|| (account.to_owned(), region.to_owned()))
}

impl Ecr {
    pub(super) fn new(name: &str, caller: Caller, account: Option<String>, http: reqwest::Client, timeout: Duration, concurrency: usize) -> Self {
        let (name, slots) = (name.to_owned(), Semaphore::new(concurrency));
        Self { name, caller: Box::new(caller), account, client: OnceCell::new(), http, timeout, slots, calls: AtomicU64::new(0) }
    }

    async fn client(&self) -> Result<&aws_sdk_ecr::Client, CollectError> {
        let make = || async {
            let settings = self.caller.settings().await?;
            // The next look is the retry; the SDK's own would eat up the deadline and hide its reason.
            let config = aws_sdk_ecr::config::Builder::from(settings).retry_config(RetryConfig::disabled());
            Ok(aws_sdk_ecr::Client::from_conf(config.build()))
        };
        self.client.get_or_try_init(make).await.map_err(|why: Message| CollectError::new(ErrorClass::Local, why))
    }

    /// Requests since the last time this was asked.
    pub(super) fn take_calls(&self) -> u64 {
        self.calls.swap(0, Ordering::Relaxed)
    }

    /// Which digest a tag names.
    pub(super) async fn describe(&self, repository: &str, tag: &str) -> Result<Tag, CollectError> {
        let what = say!("describe {}:{} in {}", named(repository), named(tag), named(&self.name));
        let call = self.client().await?.describe_images().set_registry_id(self.account.clone()).repository_name(repository);
        let answer = self.within(&what, call.image_ids(ImageIdentifier::builder().image_tag(tag).build()).send()).await?;
        let malformed = || CollectError::new(ErrorClass::Malformed, say!("{}: an answer without the image", what));
        let detail = answer.image_details().first().ok_or_else(malformed)?;
        let digest = detail.image_digest().and_then(Digest::parse).ok_or_else(malformed)?;
        let counts = detail.image_scan_findings_summary().and_then(|summary| summary.finding_severity_counts());
        let named = |severity: &FindingSeverity| Word::of(severity.as_str()).map_or_else(|| "other".to_owned(), |severity| severity.as_str().to_lowercase());
        let findings = counts.map(|counts| counts.iter().map(|(severity, count)| (named(severity), *count)).collect());
        Ok(Tag {
            digest,
            media_type: detail.image_manifest_media_type().unwrap_or_default().to_owned(),
            pushed: detail.image_pushed_at().map(aws_sdk_ecr::primitives::DateTime::secs),
            findings,
        })
    }

    /// Whether an image is there whose manifest was read before. Fetching it again would count as a pull, by
    /// which rules of life cycle decide what to delete.
    /// Source: <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html>, lastRecordedPullTime
    pub(super) async fn has_image(&self, repository: &str, digest: &Digest) -> Result<(), CollectError> {
        let what = say!("describe {}@{} in {}", named(repository), *digest, named(&self.name));
        let call = self.client().await?.describe_images().set_registry_id(self.account.clone()).repository_name(repository);
        let answer = self.within(&what, call.image_ids(ImageIdentifier::builder().image_digest(digest.as_str()).build()).send()).await?;
        if answer.image_details().iter().any(|detail| detail.image_digest() == Some(digest.as_str())) {
            return Ok(());
        }
        Err(CollectError::new(ErrorClass::Malformed, say!("{}: an answer without the image", what)))
    }

    /// The manifest of a digest, checked against it.
    pub(super) async fn manifest(&self, repository: &str, digest: &Digest) -> Result<Manifest, CollectError> {
        let what = say!("get {}@{} from {}", named(repository), *digest, named(&self.name));
        let malformed = |why: Message| CollectError::new(ErrorClass::Malformed, say!("{}: {}", what, why));
        // Without the list ECR converts to what it believes that we understand.
        let call = self.client().await?.batch_get_image().set_registry_id(self.account.clone()).repository_name(repository);
        let call = call.image_ids(ImageIdentifier::builder().image_digest(digest.as_str()).build());
        let call = call.set_accepted_media_types(Some(MEDIA_TYPES.map(str::to_owned).to_vec()));
        let answer = self.within(&what, call.send()).await?;
        let Some(text) = answer.images().first().and_then(|image| image.image_manifest()) else {
            let code = answer.failures().first().and_then(|failure| failure.failure_code());
            return Err(match code {
                Some(ImageFailureCode::ImageNotFound) => CollectError::new(ErrorClass::NotFound, say!("{}: there is no such image", what)),
                _ => malformed(say!("the answer holds no image")),
            });
        };
        if text.len() > LARGEST {
            return Err(malformed(say!("the answer is larger than {} MiB", LARGEST >> 20)));
        }
        if Digest::of(text.as_bytes()) != *digest {
            return Err(malformed(say!("the body is another one")));
        }
        Manifest::parse(text.as_bytes()).map_err(malformed)
    }

    /// The config of an image.
    pub(super) async fn config(&self, repository: &str, digest: &Digest) -> Result<Vec<u8>, CollectError> {
        let what = say!("get blob {} of {} from {}", *digest, named(repository), named(&self.name));
        let call = self.client().await?.get_download_url_for_layer().set_registry_id(self.account.clone());
        let answer = self.within(&what, call.repository_name(repository).layer_digest(digest.as_str()).send()).await?;
        let failed = |why: Message| CollectError::new(ErrorClass::Malformed, say!("{}: {}", what, why));
        let url = answer.download_url().ok_or_else(|| failed(say!("an answer without a URL")))?;
        let call = Call { what: &what, limit: self.timeout };
        // Open until its body has come, as those of other registries.
        let _slot = self.slots.acquire().await;
        let answer = call.send(self.http.get(url).send()).await?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(failed(say!("status {}", answer.status().as_u16())));
        }
        let body = call.body(answer, LARGEST).await?;
        if Digest::of(&body) == *digest { Ok(body) } else { Err(failed(say!("the body is another one"))) }
    }

    /// Prefixes of repositories that ECR fills from elsewhere, with where from. It looks there for a
    /// newer image of a tag once a day at most.
    /// Source: <https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html>
    pub(super) async fn pull_through_caches(&self) -> Result<Vec<(String, String)>, CollectError> {
        let what = say!("describe pull-through caches of {}", named(&self.name));
        let answer = self.within(&what, self.client().await?.describe_pull_through_cache_rules().set_registry_id(self.account.clone()).send()).await?;
        let rules = answer.pull_through_cache_rules().iter();
        Ok(rules.map(|rule| [rule.ecr_repository_prefix(), rule.upstream_registry_url()].map(|text| text.unwrap_or_default().to_owned()).into()).collect())
    }

    async fn within<T, E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static>(
        &self,
        what: &Message,
        call: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, CollectError> {
        let _slot = self.slots.acquire().await;
        self.calls.fetch_add(1, Ordering::Relaxed);
        aws::within(what, self.timeout, call).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_registry_names_its_account_and_region() {
        let pair = |account: &str, region: &str| Some((account.to_owned(), region.to_owned()));
        for (host, read) in [
            ("123456789012.dkr.ecr.us-east-2.amazonaws.com", pair("123456789012", "us-east-2")),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", pair("123456789012", "us-gov-west-1")),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", pair("123456789012", "cn-north-1")),
            ("public.ecr.aws", None),
            ("1.dkr.ecr.us-east-2.amazonaws.com", None),
            ("ghcr.io", None),
        ] {
            assert_eq!(account_and_region(host), read, "{host}");
        }
    }
}
