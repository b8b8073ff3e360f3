//! When a chain of certificates ends: with the first certificate of the path that verifies.
//!
//! Servers and Secrets hold certificates that no path needs, such as cross-signatures by a root that
//! ended years ago. The verifier does not hand out the path that it found, so it is asked again without
//! the certificates that end first, until it finds none any more.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{certificates_of, crypto, trust_roots};
use crate::cause::Cause as _;
use crate::say;
use crate::say::Message;

/// The roots that a path must lead to.
#[derive(Clone)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// A path that verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// When the first certificate of the path that lasts longest ends, in Unix seconds.
    pub ends: i64,
    /// Certificates that have ended and that it does without.
    pub spare: usize,
}

impl Trust {
    /// Nothing is trusted.
    pub fn nothing() -> Self {
        Self::of(Arc::new(RootCertStore::empty()))
    }

    /// The system's roots and those of the files.
    pub fn of_files<'a>(files: impl IntoIterator<Item = &'a Path>) -> Result<Self, Message> {
        let mut roots = trust_roots(None)?;
        for file in files {
            for certificate in certificates_of(file)?.into_iter().filter(lasts) {
                roots.add(certificate).map_err(|error| say!("read ca_file {}: {}", file.display(), error.words()))?;
            }
        }
        Ok(Self::of(Arc::new(roots)))
    }

    /// These roots.
    pub fn of(roots: Arc<RootCertStore>) -> Self {
        // Fails without any root, and then nothing verifies.
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), crypto()).build().ok();
        Self { roots, clients }
    }

    /// The roots.
    pub const fn roots(&self) -> &Arc<RootCertStore> {
        &self.roots
    }

    /// The end of the path from a leaf to a root over some of the others; `None` when no path verifies
    /// at `now`, in Unix seconds, or when a certificate cannot be read. Whether the names of the leaf are
    /// the right ones is another question.
    pub fn end_of(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], now: i64) -> Option<Verified> {
        let own = not_after(leaf)?;
        let ends: Vec<i64> = others.iter().map(not_after).collect::<Option<_>>()?;
        // Latest first. What lasts as long as the leaf or longer ends no path.
        let mut bounds: Vec<i64> = ends.iter().copied().filter(|end| *end < own).chain([own]).collect();
        bounds.sort_unstable_by(|one, other| other.cmp(one));
        bounds.dedup();
        let kept = |bound: i64| others.iter().zip(&ends).filter(|(_, end)| **end >= bound).map(|(der, _)| der.clone()).collect::<Vec<_>>();
        // With more certificates at hand a path stays a path, so the first bound that has one is the latest.
        let place = bounds.partition_point(|bound| !self.verifies(leaf, &kept(*bound), now));
        let ends_at = *bounds.get(place)?;
        Some(Verified { ends: ends_at, spare: ends.iter().filter(|end| **end < now).count() })
    }

    fn verifies(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], now: i64) -> bool {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or_default()));
        let algorithms = crypto().signature_verification_algorithms.all;
        let as_server =
            || ParsedCertificate::try_from(leaf).and_then(|leaf| verify_server_cert_signed_by_trust_anchor(&leaf, &self.roots, others, now, algorithms));
        let as_client = || self.clients.as_ref().is_some_and(|clients| clients.verify_client_cert(leaf, others, now).is_ok());
        as_server().is_ok() || as_client()
    }
}

/// Whether a certificate has not ended; one that cannot be read is left to the TLS library.
pub(super) fn lasts(der: &CertificateDer<'_>) -> bool {
    not_after(der).is_none_or(|end| end > Timestamp::now().as_second())
}

fn not_after(der: &CertificateDer<'_>) -> Option<i64> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then(|| certificate.validity().not_after.timestamp())
}

#[cfg(test)]
mod tests {
    use readiness_lab::CrossSigned;

    use super::super::certificates_in;
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn a_root_that_has_ended_is_trusted_no_longer() {
        let made = CrossSigned::new(&["localhost"]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let roots = |pem: &str| {
            let file = folder.path().join("ca.pem");
            std::fs::write(&file, pem).unwrap();
            [trust_roots(Some(&file)).unwrap().len(), Trust::of_files([&*file]).unwrap().roots().len()].map(|with| with - trust_roots(None).unwrap().len())
        };
        assert_eq!((roots(&made.root), roots(&made.ended_intermediate)), ([1, 1], [0, 0]));
    }

    fn der(pem: &str) -> CertificateDer<'static> {
        certificates_in(pem.as_bytes()).unwrap().remove(0)
    }

    fn trusting(pem: &str) -> Trust {
        let mut roots = RootCertStore::empty();
        roots.add(der(pem)).unwrap();
        Trust::of(Arc::new(roots))
    }

    /// Whole days until the end of the path, and how many certificates it does without.
    fn end(trust: &Trust, chain: &CrossSigned, others: &[&str]) -> Option<(i64, usize)> {
        let now = Timestamp::now().as_second();
        let others: Vec<_> = others.iter().map(|pem| der(pem)).collect();
        trust.end_of(&der(&chain.leaf), &others, now).map(|path| ((path.ends - now + DAY / 2) / DAY, path.spare))
    }

    #[test]
    fn a_chain_ends_with_the_path_that_lasts_longest() {
        let chain = CrossSigned::new(&["a.test"]).unwrap();
        let CrossSigned { root, old_root, intermediate, short_intermediate, ended_intermediate, cross, .. } = &chain;
        let trust = trusting(root);
        for (others, expected) in [
            (&[intermediate.as_str()] as &[&str], Some((60, 0))),
            (&[intermediate, cross], Some((60, 1))),
            (&[cross, ended_intermediate, intermediate], Some((60, 2))),
            (&[short_intermediate], Some((10, 0))),
            (&[short_intermediate, intermediate], Some((60, 0))),
            (&[short_intermediate, cross], Some((10, 1))),
            (&[intermediate, root], Some((60, 0))),
            (&[ended_intermediate], None),
            (&[cross], None),
            (&[], None),
        ] {
            assert_eq!(end(&trust, &chain, others), expected, "{} others", others.len());
        }
        // Who trusts the older root alone needs the cross-signature that has ended.
        assert_eq!(end(&trusting(old_root), &chain, &[intermediate, cross]), None);
        assert_eq!(end(&Trust::nothing(), &chain, &[intermediate]), None);
    }
}
