//! What a tag names, and whether the registry that says so can be believed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use tokio::time::Instant;

use super::{CONTENT_DIGEST, Client, Named, content_type};
use crate::collectors::registry::auth::Identity;
use crate::collectors::registry::digest::Digest;
use crate::collectors::registry::manifest::{LARGEST, Manifest};
use crate::net;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass};

/// What was found out about a registry, whoever asked it.
#[derive(Default)]
pub(super) struct Learned {
    /// Which digest a tag of a repository had when the body that it names was last read and hashed.
    bodies: Mutex<BTreeMap<(String, String), Digest>>,
    /// Whether it has a repository of any name.
    every_name: Lot,
    /// Whether a repository has a tag of any name.
    every_tag: Mutex<BTreeMap<String, Arc<Lot>>>,
}

/// What came of asking for something that cannot exist, and until when that is not asked again.
type Lot = tokio::sync::Mutex<Option<(Instant, bool)>>;

/// Tags whose body is remembered for each registry.
const REMEMBERED: usize = 2_000;
/// How often a registry and each repository is asked for what cannot exist, and how soon again when it did not
/// answer. A proxy that begins to send its newest image for every tag does so at any time, and the tag that it
/// hides may be the one that was deleted.
const TRIED_AGAIN: [Duration; 2] = [Duration::from_hours(1), Duration::from_mins(10)];

impl Client {
    /// Which digest a tag names: by a HEAD, as those who pull ask, and by the body itself when that digest is new, since
    /// a header alone may say anything.
    pub(in crate::collectors::registry) async fn head(&self, identity: &Identity, repository: &str, tag: &str) -> Result<Named, CollectError> {
        let what = say!("ask {} for {}:{}", named(&self.name), named(repository), named(tag));
        let path = format!("{repository}/manifests/{tag}");
        let key = (repository.to_owned(), tag.to_owned());
        let known = self.learned.bodies.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let told = self.told(&what, identity, repository, &path).await?;
        let unchanged = told.filter(|told| known.as_ref() == Some(&told.digest));
        let read = match &unchanged {
            Some(told) => told.clone(),
            None => self.get_tag(&what, identity, repository, &path).await?,
        };
        let is_worthless = |why: &'static str| Err(CollectError::new(ErrorClass::Malformed, say!("{}: {}", what, why)));
        if self.has_every_name(identity, repository, tag).await {
            return is_worthless("it has a repository of any name, so that having this one says nothing");
        }
        if self.has_every_tag(identity, repository).await {
            return is_worthless("the repository has a tag of any name, so that having this one says nothing");
        }
        if unchanged.is_none() {
            let mut bodies = self.learned.bodies.lock().unwrap_or_else(PoisonError::into_inner);
            if bodies.len() >= REMEMBERED {
                bodies.clear();
            }
            bodies.insert(key, read.digest.clone());
        }
        Ok(read)
    }

    /// Whether it has a repository with a name that was drawn by lot a moment ago, which nobody can have made.
    async fn has_every_name(&self, identity: &Identity, repository: &str, tag: &str) -> bool {
        let beside = repository.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let odd = format!("{beside}{}", lot());
        let has = self.has_odd(&self.learned.every_name, identity, &odd, tag).await;
        self.permits.lock().unwrap_or_else(PoisonError::into_inner).remove(&odd);
        has
    }

    /// Whether a repository has a tag with such a name.
    async fn has_every_tag(&self, identity: &Identity, repository: &str) -> bool {
        let known = {
            let mut all = self.learned.every_tag.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= REMEMBERED {
                all.clear();
            }
            Arc::clone(all.entry(repository.to_owned()).or_default())
        };
        self.has_odd(&known, identity, repository, &lot()).await
    }

    async fn has_odd(&self, known: &Lot, identity: &Identity, repository: &str, tag: &str) -> bool {
        let mut known = known.lock().await;
        if let Some((_, has)) = known.filter(|(until, _)| *until > Instant::now()) {
            return has;
        }
        let what = say!("ask {} for what cannot exist", named(&self.name));
        let answer = self.ask(&what, identity, Method::HEAD, repository, &format!("{repository}/manifests/{tag}"), None).await;
        let has = answer.as_ref().is_ok_and(|answer| answer.status() == StatusCode::OK);
        let is_answered = answer.map_or_else(|error| error.class == ErrorClass::Denied, |answer| !answer.status().is_server_error());
        *known = Some((Instant::now() + TRIED_AGAIN[usize::from(!is_answered)], has));
        has
    }

    /// What a HEAD says of a tag; `None` when it says nothing of its digest.
    async fn told(&self, what: &Message, identity: &Identity, repository: &str, path: &str) -> Result<Option<Named>, CollectError> {
        let answer = self.ask(what, identity, Method::HEAD, repository, path, None).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => return Ok(None),
            status => return Err(Self::refused(what, status, answer.headers())),
        }
        Self::is_api(what, &answer)?;
        let media_type = content_type(answer.headers());
        Ok(promised(what, answer.headers())?.map(|digest| Named { digest, media_type }))
    }

    /// The body of a tag, hashed.
    async fn get_tag(&self, what: &Message, identity: &Identity, repository: &str, path: &str) -> Result<Named, CollectError> {
        let answer = self.ask(what, identity, Method::GET, repository, path, None).await?;
        if answer.status() != StatusCode::OK {
            return Err(Self::refused(what, answer.status(), answer.headers()));
        }
        Self::is_api(what, &answer)?;
        let media_type = content_type(answer.headers());
        let promised = promised(what, answer.headers())?;
        let body = self.body(what, answer, LARGEST).await?;
        let digest = Digest::of(&body);
        if promised.is_some_and(|promised| promised != digest) {
            return Err(CollectError::new(ErrorClass::Malformed, say!("{}: the body does not match its Docker-Content-Digest", what)));
        }
        // Whatever answers 200 to everything has no digests either, and would have every image.
        Manifest::parse(&body).map_err(|why| CollectError::new(ErrorClass::Malformed, say!("{}: {}", what, why)))?;
        Ok(Named { digest, media_type })
    }
}

/// The digest that a header says.
fn promised(what: &Message, headers: &HeaderMap) -> Result<Option<Digest>, CollectError> {
    let Some(header) = headers.get(CONTENT_DIGEST) else { return Ok(None) };
    let digest = header.to_str().ok().and_then(Digest::parse);
    digest.map(Some).ok_or_else(|| CollectError::new(ErrorClass::Malformed, say!("{}: its Docker-Content-Digest is no sha256 digest", what)))
}

/// A name that nobody has made.
fn lot() -> String {
    let mut lot = [0; 8];
    // Without randomness there is no TLS either, so this cannot fail in a process that got here.
    let _ = net::crypto().secure_random.fill(&mut lot);
    format!("readiness-{:016x}", u64::from_be_bytes(lot))
}
