//! One registry: whether it answers, whether it has what it must have, what remains of its
//! allowance.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};

use super::content::Presence;
use super::digest::Digest;
use super::manifest::MEDIA_TYPES;
use super::reference::Reference;
use super::registries::{Registries, Registry, Tag};
use crate::collectors::kubernetes;
use crate::driver::Poll;
use crate::metric::{Coverage, Gauge, Sample, StateSet, Unit, gauge, metrics, state_set, states};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot, Subject};

const IMAGE: [&str; 3] = ["registry", "repository", "tag"];

const STATES: &str = "readiness_registry_state";

states! {
    /// How a registry answered.
    enum Answering {
        Up => "up",
        Denied => "denied",
        Throttled => "throttled",
        Down => "down",
        Unknown => "unknown",
    }
}

metrics! {
    /// All families of this module.
    pub(super) FAMILIES;

    /// Families about whether a registry answers.
    pub(super) STATE_FAMILIES {
        static STATE: StateSet<Answering, 1> = state_set(
            STATES,
            &["registry"],
            "How a registry answered last, cached from GET /v2/ of the OCI distribution API or from the ECR API; unknown where this program could not ask it.",
        );
    }

    /// Families that every registry with images fills.
    pub(super) IMAGE_FAMILIES {
        static PRESENT: StateSet<Presence, 3> = state_set(
            "readiness_registry_image_state",
            &IMAGE,
            "Whether a registry has an image with all that a pull needs, cached from HEADs of its manifests, configs and layers or from the ECR API; unknown also where it does not let this program look, which many say of what is absent.",
        );
        static DIGEST: Gauge<5> = gauge(
            "readiness_registry_digest_info",
            Unit::Mark,
            &["registry", "repository", "tag", "media_type", "digest"],
            "Which digest a tag names now, cached from a HEAD of its manifest or from the ECR API.",
        );
    }

    /// Families that only ECR fills.
    pub(super) ECR_FAMILIES {
        static PUSHED: Gauge<3> = gauge(
            "readiness_registry_image_pushed_timestamp_seconds",
            Unit::Timestamp,
            &IMAGE,
            "When the image that a tag names now was pushed, cached from the ECR API; tagging an older image again does not change it.",
        );
        static FINDINGS: Gauge<4> = gauge(
            "readiness_registry_scan_findings",
            Unit::Number,
            &["registry", "repository", "tag", "finding_severity"],
            "Findings of the last scan of the image that a tag names now, cached from the ECR API.",
        );
    }

    /// Families about how much is left of a limit.
    pub(super) REMAINING_FAMILIES {
        static REMAINING: Gauge<1> = gauge(
            "readiness_registry_rate_limit_remaining",
            Unit::Number,
            &["registry"],
            "Pulls that this program's address has left, cached from the ratelimit-remaining header of the last answer.",
        )
        .covered_by(Coverage::of(STATES, &[Answering::Up.as_str()]).quiet());
    }

    /// Families about limits, and what is remembered of answers.
    LIMIT_FAMILIES {
        static LIMIT: Gauge<1> = gauge(
            "readiness_registry_rate_limit",
            Unit::Number,
            &["registry"],
            "Pulls that an address has in all, cached from the ratelimit-limit header of the last answer.",
        );
        static RETRY_AFTER: Gauge<1> = gauge(
            "readiness_registry_retry_after_seconds",
            Unit::Seconds,
            &["registry"],
            "How long a registry asked to be left alone, cached from its Retry-After header; obeyed up to a ceiling.",
        );
        static CACHE: Gauge<3> = gauge(
            "readiness_registry_pull_through_cache_info",
            Unit::Mark,
            &["registry", "prefix", "upstream"],
            "Prefixes of repositories that a registry fills from elsewhere, cached from the ECR API; it looks for a newer image of a tag about once a day.",
        );
    }

    /// The family about images of workspaces.
    pub(super) WORKSPACE_FAMILIES {
        static WORKSPACE_IMAGE: StateSet<Presence, 1> = state_set(
            "readiness_workspace_image_state",
            &["image"],
            "Whether its registry has an image that workspaces ask for with all that a pull needs, cached from HEADs of its manifests, configs and layers or from the ECR API.",
        );
    }
}

/// The `tag` label of an image: what it is asked for by.
fn tag_label(image: &Reference) -> &str {
    image.digest.as_ref().map_or_else(|| image.tag.as_deref().unwrap_or("latest"), Digest::as_str)
}

/// What the configuration names at one registry: the registry itself, and each of `images` that lies there.
pub(super) fn subjects(host: &str, emits: &[&'static str], images: &[Reference]) -> Vec<Subject> {
    let itself = Subject { what: host.to_owned(), labels: [("registry", host)].into(), families: emits.to_vec() };
    let own = images.iter().filter(|image| image.host == host).map(|image| Subject {
        what: format!("image {host}/{}, {}", image.repository, tag_label(image)),
        labels: [("registry", host), ("repository", &image.repository), ("tag", tag_label(image))].into(),
        families: [IMAGE_FAMILIES, ECR_FAMILIES].concat().iter().map(|family| family.name).collect(),
    });
    std::iter::once(itself).chain(own).collect()
}

/// Asks one registry about its tags.
pub(super) struct Host {
    registry: Arc<Registry>,
    images: Vec<Reference>,
}

impl Host {
    pub(super) fn new(registry: Arc<Registry>, images: BTreeSet<Reference>) -> Self {
        Self { registry, images: images.into_iter().collect() }
    }

    async fn ask(&self) -> Result<Observation, CollectError> {
        let registry = &self.registry;
        let host = &*registry.host;
        let alive = registry.ping().await;
        // One that is silent is not asked again for each of a thousand tags.
        let silent = alive.as_ref().and_then(|alive| alive.as_ref().err()).filter(|error| error.class != ErrorClass::Denied);
        let asked = self.images.iter().cloned().map(|image| self.look_for(image, silent.cloned()));
        let answers: Vec<_> = futures::stream::iter(asked).buffer_unordered(super::AT_ONCE).collect().await;
        let caches = registry.pull_through_caches().await;
        let alive = alive.unwrap_or_else(|| {
            let failures = || answers.iter().map(|(_, failure)| failure.as_ref()).chain([caches.as_ref().err()]);
            // An image that is not there is an answer.
            if failures().any(|failure| failure.is_none_or(|error| error.class == ErrorClass::NotFound)) {
                return Ok(());
            }
            failures().flatten().next().cloned().map_or(Ok(()), Err)
        });
        let state = match &alive {
            Ok(()) => STATE.sample([host], Answering::Up),
            Err(error) => STATE.sample([host], Self::state_after(error)).with_detail(&error.message),
        };
        let mut failures = answers.iter().filter_map(|(_, failure)| failure.as_ref()).chain(alive.as_ref().err());
        let incomplete = failures.any(CollectError::may_pass);
        let mut samples = vec![state];
        samples.extend(answers.into_iter().flat_map(|(samples, _)| samples));
        if let Some(allowance) = registry.allowance() {
            samples.push(REMAINING.sample([host], allowance.remaining));
            samples.extend(allowance.limit.map(|limit| LIMIT.sample([host], limit)));
        }
        samples.extend(registry.asked_to_wait().map(|wait| RETRY_AFTER.sample([host], wait.as_secs_f64())));
        samples.extend(caches.iter().flatten().map(|(prefix, upstream)| CACHE.sample([host, prefix, upstream], 1.0)));
        Ok(Observation { incomplete, ..Observation::new(samples, self.images.len().max(1), registry.take_calls()) })
    }

    /// Facts about an image, and why there are none.
    async fn look_for(&self, image: Reference, silent: Option<CollectError>) -> (Vec<Sample>, Option<CollectError>) {
        // What is asked for by digest is there or not, whatever tags say.
        let label = tag_label(&image);
        let named = match (silent, &image.digest) {
            (Some(error), _) => Err(error),
            (None, Some(digest)) => Ok(Tag::of(digest)),
            (None, None) => self.registry.tag(&image.repository, label).await,
        };
        let found = match named {
            // A tag that names what cannot be pulled is no image.
            Ok(tag) => self.registry.whole(&image.repository, &tag.digest, image.digest.is_none()).await.map(|_| tag),
            Err(error) => Err(error),
        };
        (image_samples([&self.registry.host, &image.repository, label], &found), found.err())
    }

    fn state_after(error: &CollectError) -> Answering {
        match error.class {
            ErrorClass::Denied => Answering::Denied,
            ErrorClass::Throttled => Answering::Throttled,
            // Whatever is wrong is wrong here, and nobody asked.
            ErrorClass::Local => Answering::Unknown,
            _ => Answering::Down,
        }
    }
}

fn image_samples(labels: [&str; 3], found: &Result<Tag, CollectError>) -> Vec<Sample> {
    let [registry, repository, tag] = labels;
    match found {
        Err(error) => vec![PRESENT.sample(labels, absence(error)).with_detail(unseen(error))],
        Ok(found) => {
            let mut samples = vec![
                PRESENT.sample(labels, Presence::Present),
                DIGEST.sample(
                    [registry, repository, tag, MEDIA_TYPES.into_iter().find(|own| *own == found.media_type).unwrap_or_default(), found.digest.as_str()],
                    1.0,
                ),
            ];
            samples.extend(found.pushed.map(|at| PUSHED.sample(labels, at as f64)));
            let findings = found.findings.iter().flatten();
            samples.extend(findings.map(|(severity, count)| FINDINGS.sample([registry, repository, tag, severity], f64::from(*count))));
            samples
        }
    }
}

/// What an image is when a look for it failed: only a clear no is absence. Docker Hub answers 401 and GHCR
/// 403 to whoever asks for what is not there, and to whoever may not see what is; ECR tells the two apart.
/// Sources: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>,
/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/common-errors-docker.html>
fn absence(error: &CollectError) -> Presence {
    if error.class == ErrorClass::NotFound { Presence::Absent } else { Presence::Unknown }
}

/// Why it is not known whether an image is there.
fn unseen(error: &CollectError) -> Message {
    match error.class {
        ErrorClass::Denied => say!("{}; it is absent, or may not be seen with these credentials", error.message),
        _ => error.message.clone(),
    }
}

impl Poll for Host {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        self.ask().boxed()
    }
}

/// Asks for every image that workspaces ask for.
pub(super) struct WorkspaceImages {
    registries: Arc<Registries>,
}

impl WorkspaceImages {
    pub(super) fn new(registries: Arc<Registries>) -> Self {
        Self { registries }
    }

    async fn ask(&self, seen: &Snapshot) -> Result<Observation, CollectError> {
        let images = kubernetes::workspace_images(seen);
        let images = images.map_err(|why| CollectError::new(ErrorClass::NotFound, say!("ask for the images of workspaces: {}", why)))?;
        let count = images.len();
        let asked = images.into_iter().map(|image| self.look_for(image));
        let samples: Vec<_> = futures::stream::iter(asked).buffer_unordered(super::AT_ONCE).collect().await;
        Ok(Observation::new(samples, count, count as u64))
    }

    async fn look_for(&self, image: String) -> Sample {
        match self.find(&image).await {
            Ok(()) => WORKSPACE_IMAGE.sample([image.as_str()], Presence::Present),
            Err(error) => WORKSPACE_IMAGE.sample([image.as_str()], absence(&error)).with_detail(unseen(&error)),
        }
    }

    async fn find(&self, image: &str) -> Result<(), CollectError> {
        let failed = |why: Message| CollectError::new(ErrorClass::Malformed, say!("ask for {}: {}", named(image), why));
        let reference = Reference::parse(image).map_err(failed)?;
        let registry = self.registries.at(&reference.host).map_err(failed)?;
        registry.current(&reference).await.map(drop)
    }
}

impl Poll for WorkspaceImages {
    fn look<'a>(&'a mut self, seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        self.ask(seen).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_nobody_could_ask_is_not_down() {
        let after = |class| Host::state_after(&CollectError::new(class, "ask it: no"));
        assert_eq!(after(ErrorClass::Local), Answering::Unknown);
        for class in [ErrorClass::Unreachable, ErrorClass::Timeout, ErrorClass::Server, ErrorClass::Malformed] {
            assert_eq!(after(class), Answering::Down, "{class:?}");
        }
    }
}
