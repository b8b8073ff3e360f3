//! What a digest names, read from a registry down to the configs of the platforms that matter.
//!
//! A node takes the image that an index labels with its platform; without one, the first that has no label, if its
//! config says that it is for that platform. The config of a labelled one it does not look at: where the label is wrong
//! no program of it starts, and where the config is wrong all of them do. So both must say the same, and nobody knows
//! otherwise.
//! Source: `Manifest` in <https://github.com/containerd/containerd/blob/main/core/images/image.go>, and `Pull` in
//! <https://github.com/containerd/containerd/blob/main/client/pull.go>

use std::collections::{BTreeMap, BTreeSet};

use super::about::About;
use super::content::{Content, Fit, Part};
use super::digest::Digest;
use super::manifest::{Blob, Child, Manifest, taken};
use super::registries::{Backend, Registry};
use crate::say;
use crate::say::{Message, counted, named};
use crate::snapshot::{CollectError, ErrorClass};

/// Indexes inside indexes are followed this deep; nobody needs more than one.
const DEPTH: usize = 3;
/// Manifests and layers of one image; containerd takes 127 layers at most for a platform.
const MOST_PARTS: usize = 1_000;

/// A manifest that is to be read.
struct Open {
    digest: Digest,
    depth: usize,
    /// The platform that the index above says it is for.
    label: Option<String>,
    /// The platform that an index in between is for: no node of another one looks into it.
    within: Option<String>,
}

/// One image, as its manifest and its config say.
struct Image {
    digest: Digest,
    config: Digest,
    blobs: Vec<Blob>,
    layers: usize,
    unfit: Option<&'static str>,
    foreign: bool,
    about: Result<About, CollectError>,
}

impl Image {
    /// Why no node can start it, whatever it is for.
    fn flaw(&self) -> Option<Fit> {
        if let Some(why) = self.unfit {
            return Some(Fit::Fails(why.into()));
        }
        if self.foreign {
            let why =
                say!("its config is that of another artifact than an image, such as a chart or WebAssembly, and whether nodes can start that is not known");
            return Some(Fit::Unknown { why, may_pass: false });
        }
        let unpacked = self.about.as_ref().ok().and_then(About::layers).filter(|named| *named != self.layers)?;
        Some(Fit::Fails(say!("its config names {} and its manifest {}, so that it cannot be unpacked", counted(unpacked, "layer", "layers"), self.layers)))
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    content: Content,
    parts: BTreeSet<Part>,
    /// Of images without a label, by what their configs say: a node takes one where no label fits.
    unlabelled: BTreeMap<String, Fit>,
    /// Why the config of an image without a label was not read.
    unread: Option<CollectError>,
    /// Whether something may be read the next time that was not now.
    may_come: bool,
}

impl Registry {
    /// What a digest names, and whether the next look could tell no more about it.
    pub(super) async fn resolve(&self, repository: &str, digest: &Digest) -> Result<(Content, bool), CollectError> {
        let failed = |class, why: Message| CollectError::new(class, say!("ask {} for {}@{}: {}", named(&self.host), named(repository), *digest, why));
        let mut found = Found::default();
        let mut open = vec![Open { digest: digest.clone(), depth: 0, label: None, within: None }];
        let mut read = 0;
        while let Some(next) = open.pop() {
            read += 1;
            if read > MOST_PARTS || found.parts.len() > MOST_PARTS {
                return Err(failed(ErrorClass::Malformed, say!("it names more than {} manifests and layers", MOST_PARTS)));
            }
            let manifest = self.manifest(repository, &next.digest).await?;
            self.presence.saw(repository, &next.digest);
            match manifest {
                Manifest::Image { config, layers, size, count, unfit, foreign } => {
                    let within = next.within.clone().map(|platform| vec![platform]);
                    let platforms = within.as_deref().unwrap_or(&self.platforms);
                    let about = self.about(repository, &config).await;
                    let blobs = layers.into_iter().chain([Blob { digest: config.clone(), size }]).collect();
                    found.add(&next, Image { digest: next.digest.clone(), config, blobs, layers: count, unfit, foreign, about }, platforms);
                }
                Manifest::Index(_) if next.depth == DEPTH => {
                    return Err(failed(ErrorClass::Malformed, say!("indexes inside indexes, more than {} deep", DEPTH)));
                }
                Manifest::Index(children) => {
                    if next.depth == 0 {
                        found.content.is_index = true;
                    } else {
                        found.parts.insert(Part::Manifest(next.digest));
                    }
                    let within = next.label.or_else(|| next.within.clone());
                    let platforms = within.clone().map_or_else(|| self.platforms.clone(), |platform| vec![platform]);
                    let below = |child: Child| Open { digest: child.digest, depth: next.depth + 1, label: child.platform, within: within.clone() };
                    open.extend(taken(children, &platforms).map(below));
                }
            }
        }
        if !found.content.configs.is_empty() {
            return Ok(found.finish(digest, &self.platforms));
        }
        Err(found.unread.unwrap_or_else(|| {
            let platforms = Message::joined(self.platforms.iter().map(|platform| say!("{}", named(platform))), " or ");
            failed(ErrorClass::NotFound, say!("the index has no image for {}", platforms))
        }))
    }

    /// What the config of an image says of it.
    async fn about(&self, repository: &str, config: &Digest) -> Result<About, CollectError> {
        let body = match &self.backend {
            Backend::Oci(client) => client.blob(&self.identity(repository).await?, repository, config).await?,
            Backend::Ecr(ecr) => ecr.config(repository, config).await?,
        };
        self.presence.saw(repository, config);
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }
}

impl Found {
    fn add(&mut self, place: &Open, image: Image, platforms: &[String]) {
        let is_top = place.depth == 0;
        let said = image.about.as_ref().map(About::platform);
        self.may_come |= said.as_ref().is_err_and(|error| error.may_pass());
        match (&place.label, said) {
            (Some(label), said) => {
                let fit = image.flaw().unwrap_or_else(|| labelled(label, said));
                let before = self.content.platforms.remove(label).unwrap_or(Fit::Runs);
                self.content.platforms.insert(label.clone(), before.worst(fit));
            }
            (None, Ok(Some(own))) if is_top || platforms.contains(&own) => {
                self.unlabelled.insert(own, image.flaw().unwrap_or(Fit::Runs));
            }
            // One image alone is what it is, also where its config does not tell.
            (None, _) if is_top => {}
            // What is for no platform of ours, or for none, like a signature.
            (None, Ok(_)) => return,
            (None, Err(error)) => {
                self.unread = Some(error.clone());
                return;
            }
        }
        if !is_top {
            self.parts.insert(Part::Manifest(image.digest.clone()));
        }
        self.parts.extend(image.blobs.into_iter().map(Part::Blob));
        self.content.created = self.content.created.max(image.about.ok().and_then(|about| about.created()));
        self.content.manifests.insert(image.digest);
        self.content.configs.insert(image.config);
    }

    fn finish(self, digest: &Digest, platforms: &[String]) -> (Content, bool) {
        let Self { mut content, parts, unlabelled, unread, may_come } = self;
        for (platform, fit) in unlabelled {
            content.platforms.entry(platform).or_insert(fit);
        }
        if let Some(error) = unread {
            for platform in platforms {
                content.platforms.entry(platform.clone()).or_insert_with(|| unknown(&error));
            }
        }
        (Content { digest: Some(digest.clone()), parts: parts.into_iter().collect(), ..content }, !may_come)
    }
}

/// What becomes of an image that an index labels with a platform.
fn labelled(label: &str, said: Result<Option<String>, &CollectError>) -> Fit {
    match said {
        Ok(Some(own)) if own == label => Fit::Runs,
        Ok(Some(own)) => {
            let why = say!("its index says that it is for {}, and the image itself that it is for {}; one of them is wrong", named(label), named(&own));
            Fit::Unknown { why, may_pass: false }
        }
        Ok(None) => Fit::Unknown { why: say!("for which platform it is cannot be read from its config"), may_pass: false },
        Err(error) => unknown(error),
    }
}

fn unknown(error: &CollectError) -> Fit {
    Fit::Unknown { why: error.message.clone(), may_pass: error.may_pass() }
}
