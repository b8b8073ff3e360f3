//! Whether all that a pull needs is still in a registry. Content under a digest never changes, so it is read
//! once; that it is there can end at any time, by a clean-up, a retention rule or a copy that broke off.
//!
//! An image counts as there once each of its manifests, configs and layers was. From then on each round asks
//! for the top, and for the manifest and the blob that were seen longest ago: an image of two platforms with
//! ten layers each is gone through every twenty-two rounds, at the cost of three requests a round.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use tokio::time::Instant;

use super::answers::{Answers, Lasts};
use super::content::{Content, Part};
use super::digest::Digest;
use super::reference::Reference;
use super::registries::{Backend, Registry};
use crate::snapshot::{CollectError, ErrorClass};

/// Parts that are remembered for each registry.
const REMEMBERED: usize = 100_000;
/// Parts of one image that are asked for at once, as far as the registry lets us.
const AT_ONCE: usize = 8;

/// What was seen of a registry's content, by repository and digest.
#[derive(Default)]
pub(super) struct Presence {
    /// Whether all of an image is there.
    images: Answers<(String, Digest), Result<(), CollectError>>,
    /// When parts were last there.
    parts: Mutex<BTreeMap<(String, Digest), Instant>>,
}

impl Presence {
    /// Some content was there a moment ago.
    pub(super) fn saw(&self, repository: &str, digest: &Digest) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert((repository.to_owned(), digest.clone()), Instant::now());
    }
}

impl Registry {
    /// What a reference names now, if all that a pull of it needs is there.
    pub(super) async fn current(&self, reference: &Reference) -> Result<Arc<Content>, CollectError> {
        let digest = self.digest(reference).await?;
        self.whole(&reference.repository, &digest, reference.digest.is_none()).await
    }

    /// What a digest names, if all that a pull of it needs is there. `was_named`: a tag has just named it, so
    /// that the top itself need not be asked for. All who ask within a round share the requests.
    pub(super) async fn whole(&self, repository: &str, digest: &Digest, was_named: bool) -> Result<Arc<Content>, CollectError> {
        let is_known = self.remembers(repository, digest);
        let content = self.content(repository, digest).await?;
        let top = (is_known && !was_named).then(|| Part::Manifest(digest.clone()));
        let has_all = || self.has_all(repository, &content, top);
        self.presence.images.get((repository.to_owned(), digest.clone()), self.fresh, Lasts::of, has_all).await?;
        Ok(content)
    }

    async fn has_all(&self, repository: &str, content: &Content, top: Option<Part>) -> Result<(), CollectError> {
        let due: Vec<Part> = top.into_iter().chain(self.due(repository, content)).collect();
        let asked = due.into_iter().map(|part| async move {
            let found = self.has(repository, &part).await;
            match &found {
                Ok(()) => self.presence.saw(repository, part.digest()),
                // It stays due until it is seen again.
                Err(_) => {
                    self.presence.parts.lock().unwrap_or_else(PoisonError::into_inner).remove(&(repository.to_owned(), part.digest().clone()));
                }
            }
            found
        });
        let failures = futures::stream::iter(asked).buffer_unordered(AT_ONCE).filter_map(async |found| found.err());
        // What is certainly gone says more than what could not be asked.
        failures.collect::<Vec<_>>().await.into_iter().max_by_key(|error| error.class == ErrorClass::NotFound).map_or(Ok(()), Err)
    }

    /// The parts that were never there, and of the others the manifest and the blob seen longest ago.
    fn due(&self, repository: &str, content: &Content) -> Vec<Part> {
        let mut parts = self.presence.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.len() >= REMEMBERED {
            parts.clear();
        }
        let last = |part: &Part| parts.get(&(repository.to_owned(), part.digest().clone())).copied();
        // ECR refuses an image whose layers it does not have, and deletes a layer with the last image that
        // needs it, so that they are there as long as the image is.
        // Source: <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html>, LayersNotFoundException
        let askable: Vec<&Part> = content.parts.iter().filter(|part| matches!((&self.backend, part), (Backend::Oci(_), _) | (_, Part::Manifest(_)))).collect();
        let mut due: Vec<Part> = askable.iter().filter(|part| last(part).is_none()).map(|part| (*part).clone()).collect();
        for kind in [|part: &Part| matches!(part, Part::Manifest(_)), |part: &Part| matches!(part, Part::Blob(_))] {
            let oldest = askable.iter().filter(|part| kind(part)).filter_map(|part| Some((last(part)?, part))).min_by_key(|(at, _)| *at);
            due.extend(oldest.map(|(_, part)| (**part).clone()));
        }
        due
    }

    async fn has(&self, repository: &str, part: &Part) -> Result<(), CollectError> {
        match (&self.backend, part) {
            (Backend::Oci(client), Part::Manifest(digest)) => client.has_manifest(&self.identity(repository).await?, repository, digest).await,
            (Backend::Oci(client), Part::Blob(blob)) => client.has_blob(&self.identity(repository).await?, repository, blob).await,
            (Backend::Ecr(ecr), part) => ecr.has_image(repository, part.digest()).await,
        }
    }
}
