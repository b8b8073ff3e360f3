//! Whether content is still there. What stands under a digest can never change, but it can be deleted, or
//! never have arrived.

use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap};
use reqwest::{Method, StatusCode};

use super::{CONTENT_DIGEST, Client};
use crate::collectors::registry::auth::Identity;
use crate::collectors::registry::digest::Digest;
use crate::collectors::registry::manifest::Blob;
use crate::say;
use crate::say::named;
use crate::snapshot::{CollectError, ErrorClass};

impl Client {
    /// Whether a manifest is there whose body was read before. A HEAD is enough, unless it says nothing of
    /// the digest, as whoever answers 200 to everything does: then the body is read and hashed again.
    pub(in crate::collectors::registry) async fn has_manifest(&self, identity: &Identity, repository: &str, digest: &Digest) -> Result<(), CollectError> {
        let what = say!("ask {} for {}@{}", named(&self.name), named(repository), *digest);
        let path = format!("{repository}/manifests/{digest}");
        let answer = self.ask(&what, identity, Method::HEAD, repository, &path, None).await?;
        let told = answer.headers().get(CONTENT_DIGEST);
        match answer.status() {
            StatusCode::OK if told.is_some_and(|told| told == digest.as_str()) => Self::is_api(&what, &answer),
            StatusCode::OK if told.is_some() => Err(CollectError::new(ErrorClass::Malformed, say!("{}: it answers with another digest", what))),
            StatusCode::OK | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                drop(answer);
                self.manifest(identity, repository, digest).await.map(drop)
            }
            status => Err(Self::refused(&what, status, answer.headers())),
        }
    }

    /// Whether a layer can be fetched, without fetching it: by a HEAD, and where that brings no clear yes by
    /// a GET of its first byte. A cache that is filled by pulls, or an object store whose links hold for one
    /// method, may know nothing of a HEAD, and a kubelet never sends one.
    pub(in crate::collectors::registry) async fn has_blob(&self, identity: &Identity, repository: &str, blob: &Blob) -> Result<(), CollectError> {
        let digest = &blob.digest;
        let what = say!("ask {} whether {} has blob {}", named(&self.name), named(repository), *digest);
        let path = format!("{repository}/blobs/{digest}");
        for (method, range) in [(Method::HEAD, None), (Method::GET, Some("bytes=0-0"))] {
            let is_last = range.is_some();
            let answer = self.ask(&what, identity, method, repository, &path, range).await?;
            // Nothing comes that could be checked against the digest, so whoever answers must at least know
            // how large it is: a portal to which everything is led has a page for it.
            if matches!(answer.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
                Self::is_api(&what, &answer)?;
                if size(answer.status(), answer.headers()) == Some(blob.size) {
                    return Ok(());
                }
                if is_last {
                    return Err(CollectError::new(ErrorClass::Malformed, say!("{}: the answer is not as large as the manifest says", what)));
                }
            } else if is_last || matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED) || answer.status().is_server_error() {
                return Err(Self::refused(&what, answer.status(), answer.headers()));
            }
        }
        Ok(())
    }
}

/// How large the whole is, of which the answer holds all or a part.
/// Source: RFC 9110, section 14.4: `bytes 0-0/1234`
fn size(status: StatusCode, headers: &HeaderMap) -> Option<u64> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match status {
        StatusCode::PARTIAL_CONTENT => text(CONTENT_RANGE)?.rsplit('/').next()?.trim().parse().ok(),
        _ => text(CONTENT_LENGTH)?.trim().parse().ok(),
    }
}
