//! Who may use the exporter's own HTTP surface: TLS with or without client certificates, passwords
//! and extra headers, from a file in the format that all exporters of Prometheus share.
//!
//! Source: <https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>
//!
//! The file is followed in the background, since it may lie on a mount whose server is gone: requests
//! and connections only look at the rules that are in force.

use crate::app::Telemetry;
use crate::say;
use crate::say::Message;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::clients::{Kind, Visitor};
use super::rate::{Bucket, RateLimit};
use super::rules::{Change, Rules, Watch};

/// Time between two looks at the files; a change is in force after two of them.
const CHECK: Duration = Duration::from_secs(2);
/// Time within which the files are read, or something is wrong with where they lie.
const PATIENCE: Duration = Duration::from_secs(5);

/// Decides who may come in, by the file as it is now.
pub struct Access {
    path: PathBuf,
    rules: ArcSwap<Rules>,
    /// Held by the one check that is under way, if it hangs for ever.
    watch: Arc<Mutex<Watch>>,
    /// What is left of the limit that the file sets for all together.
    bucket: Bucket,
    /// Passwords that were right: bcrypt is slow on purpose, and a scraper comes all the time. The hash
    /// is a part of each, so that none outlives its user.
    known: Mutex<BTreeSet<[u8; 32]>>,
    /// Guesses that are weighed at once.
    guesses: Semaphore,
}

/// Passwords that are remembered.
const KNOWN: usize = 128;

/// What becomes of a request.
pub(super) enum Entry {
    /// It may come in; its answer gets these headers.
    Open(Vec<(HeaderName, HeaderValue)>),
    /// Its password is missing or wrong.
    Locked,
    /// Too many at once.
    Busy,
}

impl Access {
    /// Reads the file. Fails when it, or a file that it names, cannot be used.
    pub async fn open(path: &Path) -> Result<Self, Message> {
        let (mut watch, mut rules, empty) = begin(path).await?;
        if empty {
            // Whoever writes the file now has emptied it first.
            tokio::time::sleep(CHECK).await;
            let still_empty;
            (watch, rules, still_empty) = begin(path).await?;
            if still_empty {
                tracing::warn!(file = %path.display(), "the web configuration holds nothing: everybody may use this server");
            }
        }
        Ok(Self {
            path: path.to_owned(),
            rules: ArcSwap::from_pointee(rules),
            watch: Arc::new(Mutex::new(watch)),
            bucket: Bucket::default(),
            known: Mutex::default(),
            guesses: Semaphore::new(2),
        })
    }

    /// Follows the file for ever. What is wrong with it is logged once.
    pub(super) async fn follow(&self, telemetry: &Telemetry) {
        let mut taken = true;
        loop {
            telemetry.web_read(taken);
            tokio::time::sleep(CHECK).await;
            let watch = Arc::clone(&self.watch);
            let mut check = tokio::task::spawn_blocking(move || watch.lock().unwrap_or_else(PoisonError::into_inner).check());
            let done = if let Ok(done) = tokio::time::timeout(PATIENCE, &mut check).await {
                done
            } else {
                // It cannot be ended, and a second one would hang as well.
                tracing::error!(file = %self.path.display(), "the web configuration could not be read within {} s; what is in force stays", PATIENCE.as_secs());
                telemetry.web_read(false);
                check.await
            };
            let Change { rules, kept } = done.unwrap_or_default();
            match kept {
                Some(why) => {
                    tracing::error!("read the web configuration again, keeping the old one: {why}");
                    taken = false;
                }
                None if rules.is_some() => {
                    tracing::info!(file = %self.path.display(), "web configuration read again");
                    taken = true;
                }
                None => {}
            }
            // With rules that were kept, their certificates are read again all the same.
            if let Some(rules) = rules {
                self.rules.store(Arc::new(rules));
            }
        }
    }

    /// What a new connection is wrapped into, if into anything, and which names its client may have.
    pub(super) fn acceptor(&self) -> Option<(TlsAcceptor, Vec<String>)> {
        let rules = self.rules.load();
        rules.acceptor.clone().map(|acceptor| (acceptor, rules.allowed_sans.clone()))
    }

    /// Whether a request may come in. What one client guesses, or asks without a password, takes
    /// nothing from those who have one, even where a proxy makes them one client.
    pub(super) async fn admit(&self, headers: &HeaderMap, visitor: &Visitor) -> Entry {
        let rules = self.rules.load_full();
        if !rules.users.is_empty() {
            let Some(shown) = credentials(headers) else {
                return if visitor.may(Kind::Stranger, RateLimit::STRANGER) { Entry::Locked } else { Entry::Busy };
            };
            match self.weigh(&rules, shown, visitor).await {
                Some(true) => {}
                Some(false) => return Entry::Locked,
                None => return Entry::Busy,
            }
        }
        // Whoever allows more to all allows it to one, who may be a proxy.
        let limit = rules.rate_limit.map_or(RateLimit::CLIENT, |all| all.widened(RateLimit::CLIENT));
        let may = visitor.turn(limit).await && rules.rate_limit.map_or_else(|| visitor.may_among_all(limit), |all| self.bucket.take(all));
        if may { Entry::Open(rules.headers.clone()) } else { Entry::Busy }
    }

    /// Whether a password is right; `None` where there were too many guesses.
    async fn weigh(&self, rules: &Rules, (user, password): (String, Zeroizing<String>), visitor: &Visitor) -> Option<bool> {
        // An unknown user takes as long as a wrong password, and cannot be told from one.
        let hash = rules.users.get(&user).map_or(NOBODY, String::as_str).to_owned();
        let key = Sha256::new().chain_update(user.as_bytes()).chain_update([0]).chain_update(&hash).chain_update([0]).chain_update(password.as_bytes());
        let key: [u8; 32] = key.finalize().into();
        let is_known = || self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&key);
        if is_known() {
            return Some(true);
        }
        if !visitor.may(Kind::Guess, RateLimit::GUESS) {
            return None;
        }
        let weighing = visitor.weighing();
        let slots = async { (weighing.acquire().await, self.guesses.acquire().await) };
        let _slots = tokio::time::timeout(PATIENCE, slots).await.ok()?;
        // A browser opens several connections at once.
        if is_known() {
            return Some(true);
        }
        let right = tokio::task::spawn_blocking(move || bcrypt::verify(password.as_bytes(), &hash).unwrap_or(false)).await.unwrap_or(false);
        let right = right && rules.users.contains_key(&user);
        if right {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= KNOWN {
                known.pop_first();
            }
            known.insert(key);
        }
        Some(right)
    }
}

async fn begin(path: &Path) -> Result<(Watch, Rules, bool), Message> {
    let file = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || Watch::begin(&file));
    let late = || say!("read web configuration {}: it could not be read within {} s", path.display(), PATIENCE.as_secs());
    tokio::time::timeout(PATIENCE, reading).await.map_err(|_| late())?.map_err(|_| late())?
}

/// The hash of a password that nobody knows.
const NOBODY: &str = "$2b$10$7EqJtq98hPqEX7fNZaFWoOa1GrmzVxBkCq0Yx0yVxpb3Q0n8l4Qyq";

/// User and password of the Basic scheme.
fn credentials(headers: &HeaderMap) -> Option<(String, Zeroizing<String>)> {
    let shown = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = shown.split_once(' ')?;
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(encoded.trim()).ok()).flatten().map(Zeroizing::new)?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), Zeroizing::new(password.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_nobody_is_weighed_like_any_other() {
        assert!(NOBODY.parse::<bcrypt::HashParts>().is_ok());
        assert_eq!(bcrypt::verify("", NOBODY).ok(), Some(false));
    }

    #[test]
    fn fuzz_credentials() {
        crate::fuzz::survive_text(&["Basic cHJvbWV0aGV1czpzM2NyZXQ=", "basic Og=="], |text| {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(AUTHORIZATION, value);
            }
            credentials(&headers).is_some()
        });
    }
}
