//! When a chain of certificates ends: with the first certificate of the path that verifies, its root included.
//!
//! Servers and Secrets hold certificates that no path needs, such as cross-signatures by a root that
//! ended years ago. The verifier does not hand out the path that it found, so it is asked again without
//! the certificates that end first, until it finds none any more.
//!
//! The TLS library of this program trusts a root for ever: for it a root is a name and a key. OpenSSL, which
//! curl, Python and nginx use, holds a root to its dates (`X509_verify_cert(3)`), and so does Go, of which kubelets
//! and containerd are made (`isValid` in crypto/x509/verify.go). What they refuse is not good here either,
//! whether the root is one of the system or of a `ca_file`, and from the second on in which it ends.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, RootCertStore};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::roots::crypto;
use crate::cause::Cause as _;
use crate::say;
use crate::say::Message;

/// The roots that a path must lead to, each for as long as it lasts.
#[derive(Clone, Debug)]
pub(super) struct RootSet {
    pub(super) anchors: Arc<[Anchor]>,
    /// Certificates of files, which a server may present itself, as one does that signed its own: for the TLS
    /// library one of an authority is never that of a server. OpenSSL, and curl with it, take it.
    pub(super) named: Arc<[CertificateDer<'static>]>,
    /// Those that last at the moment of loading, and how long these are all that do, in Unix seconds.
    lasting: Arc<Roots>,
    unchanged: Range<i64>,
}

/// Equal where the same roots are trusted, whatever of them lasts at the moment.
impl PartialEq for RootSet {
    fn eq(&self, other: &Self) -> bool {
        (Arc::ptr_eq(&self.anchors, &other.anchors) || self.anchors == other.anchors) && self.named == other.named
    }
}

/// A root with its dates, in Unix seconds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Anchor {
    root: TrustAnchor<'static>,
    begins: i64,
    ends: i64,
}

/// Some of the roots, without dates.
#[derive(Debug)]
struct Roots {
    count: usize,
    store: Arc<RootCertStore>,
    /// None of them fails without any root, and then nothing verifies.
    servers: Option<Arc<WebPkiServerVerifier>>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// A path that verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// When the first certificate of the path that lasts longest ends, its root included, in Unix seconds. In
    /// the past when only a root has ended.
    pub ends: i64,
    /// Certificates that have ended and that it does without.
    pub spare: usize,
    /// Whether its root ends before all of its other certificates.
    pub by_root: bool,
}

impl RootSet {
    /// The public keys of roots of a name, as DER without the head of either.
    pub(super) fn keys_of(&self, subject: &[u8]) -> Vec<&[u8]> {
        let named = self.anchors.iter().filter(|anchor| anchor.root.subject.as_ref() == subject);
        named.map(|anchor| anchor.root.subject_public_key_info.as_ref()).collect()
    }

    /// These roots, and certificates that a server may present itself.
    pub(super) fn of(anchors: Vec<Anchor>, named: Vec<CertificateDer<'static>>) -> Self {
        let now = Timestamp::now().as_second();
        let lasting = Arc::new(Roots::of(anchors.iter().filter(|anchor| anchor.lasts(now))));
        // Whatever ends or begins first changes what is trusted.
        let changes = anchors.iter().flat_map(|anchor| [anchor.begins, anchor.ends.saturating_add(1)]);
        let until = changes.filter(|change| *change > now).min().unwrap_or(i64::MAX);
        Self { anchors: anchors.into(), named: named.into(), lasting, unchanged: now..until }
    }

    /// Those that have begun now and last until `bound`, in Unix seconds.
    fn at(&self, now: i64, bound: i64) -> Arc<Roots> {
        let kept = || self.anchors.iter().filter(|anchor| anchor.begins <= now && anchor.ends >= bound);
        // Whichever of the two lasts longer, one holds all of the other, so that as many are the same.
        if self.unchanged.contains(&now) && kept().count() == self.lasting.count { Arc::clone(&self.lasting) } else { Arc::new(Roots::of(kept())) }
    }

    /// The end of the path from a leaf to a root over some of the others; `None` when no path verifies
    /// at `now`, in Unix seconds, or when a certificate cannot be read. Whether the names of the leaf are
    /// the right ones is another question.
    pub(super) fn end_of(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], now: i64) -> Option<Verified> {
        let own = not_after(leaf)?;
        if self.named.contains(leaf) && is_for_servers(leaf, now) {
            return Some(Verified { ends: own, spare: 0, by_root: false });
        }
        let ends: Vec<i64> = others.iter().map(not_after).collect::<Option<_>>()?;
        let of_roots = self.anchors.iter().map(|anchor| anchor.ends);
        // Latest first. What lasts as long as the leaf or longer ends no path.
        let mut bounds: Vec<i64> = ends.iter().copied().chain(of_roots).filter(|end| *end < own).chain([own]).collect();
        bounds.sort_unstable_by(|one, other| other.cmp(one));
        bounds.dedup();
        let kept = |bound: i64| others.iter().zip(&ends).filter(|(_, end)| **end >= bound).map(|(der, _)| der.clone()).collect::<Vec<_>>();
        // With more certificates at hand a path stays a path, so the first bound that has one is the latest.
        let place = bounds.partition_point(|bound| !self.at(now, *bound).verify(leaf, &kept(*bound), now));
        let ends_at = *bounds.get(place)?;
        let by_root = ends_at != own && !ends.contains(&ends_at);
        Some(Verified { ends: ends_at, spare: ends.iter().filter(|end| **end < now).count(), by_root })
    }
}

/// TLS settings of a client that asks this verifier and shows no certificate of its own.
pub fn client_verified_by(verifier: Arc<dyn ServerCertVerifier>) -> Result<rustls::ClientConfig, Message> {
    let builder =
        rustls::ClientConfig::builder_with_provider(crypto()).with_safe_default_protocol_versions().map_err(|error| say!("set up TLS: {}", error.words()))?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    // Whoever resumes a session is not verified again, though its root may have been taken away since.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// The library's own verification, with the roots that last at the moment.
impl RootSet {
    pub(super) fn verify_server(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let second = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if self.named.iter().any(|own| own == leaf) && is_for_servers(leaf, second) {
            verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let by = |roots: &Roots| roots.servers.as_ref().ok_or_else(|| unknown.clone())?.verify_server_cert(leaf, intermediates, name, ocsp, now);
        by(&self.at(second, second)).map_err(|error| {
            // A root that has ended is another thing than one that nobody knows.
            let ended = self.anchors.iter().any(|anchor| !anchor.lasts(second)) && by(&self.at(second, i64::MIN)).is_ok();
            if ended { rustls::Error::InvalidCertificate(CertificateError::Expired) } else { error }
        })
    }
}

impl Anchor {
    pub(super) fn of(der: &CertificateDer<'_>) -> Result<Self, rustls::Error> {
        let mut store = RootCertStore::empty();
        store.add(der.clone().into_owned())?;
        let unreadable = || rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
        let root = store.roots.pop().ok_or_else(unreadable)?;
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| unreadable())?;
        let validity = certificate.validity();
        Ok(Self { root, begins: validity.not_before.timestamp(), ends: validity.not_after.timestamp() })
    }

    /// RFC 5280, section 4.1.2.5: both dates belong to it.
    const fn lasts(&self, now: i64) -> bool {
        self.begins <= now && now <= self.ends
    }
}

impl Roots {
    fn of<'a>(anchors: impl Iterator<Item = &'a Anchor>) -> Self {
        let mut store = RootCertStore::empty();
        store.roots.extend(anchors.map(|anchor| anchor.root.clone()));
        let (count, store) = (store.len(), Arc::new(store));
        let servers = WebPkiServerVerifier::builder_with_provider(Arc::clone(&store), crypto()).build().ok();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&store), crypto()).build().ok();
        Self { count, store, servers, clients }
    }

    fn verify(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], now: i64) -> bool {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or_default()));
        let algorithms = crypto().signature_verification_algorithms.all;
        let as_server =
            || ParsedCertificate::try_from(leaf).and_then(|leaf| verify_server_cert_signed_by_trust_anchor(&leaf, &self.store, others, now, algorithms));
        let as_client = || self.clients.as_ref().is_some_and(|clients| clients.verify_client_cert(leaf, others, now).is_ok());
        as_server().is_ok() || as_client()
    }
}

/// Whether a certificate is valid at a second and not meant for something else than servers.
fn is_for_servers(der: &CertificateDer<'_>, now: i64) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    let validity = certificate.validity();
    let lasts = validity.not_before.timestamp() <= now && now <= validity.not_after.timestamp();
    let usage = certificate.extended_key_usage();
    lasts && usage.is_ok_and(|usage| usage.is_none_or(|usage| usage.value.any || usage.value.server_auth))
}

fn not_after(der: &CertificateDer<'_>) -> Option<i64> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then(|| certificate.validity().not_after.timestamp())
}

#[cfg(test)]
mod tests {
    use readiness_lab::CrossSigned;

    use super::super::{Trust, certificates_in};
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn a_root_ends_a_path_like_any_other_certificate() {
        let made = CrossSigned::new(&["localhost"]).unwrap();
        let roots = |pems: &[&str]| Trust::of_certificates(&pems.iter().map(|pem| der(pem)).collect::<Vec<_>>());
        let CrossSigned { root, short_root, ended_root, intermediate, .. } = &made;
        for (trust, expected) in [
            (roots(&[root]), Some((60, 0))),
            (roots(&[short_root]), Some((10, 0))),
            // Renewed with the same key: the newer one carries the path.
            (roots(&[short_root, root]), Some((60, 0))),
            (roots(&[ended_root, short_root]), Some((10, 0))),
            (roots(&[ended_root]), Some((-5, 0))),
            (roots(&[]), None),
        ] {
            assert_eq!(end(&trust, &made, &[intermediate]), expected);
        }
        // Nothing is loaded again, and time goes on.
        let now = Timestamp::now().as_second();
        let trust = roots(&[short_root]);
        let at = |now: i64| trust.end_of(&der(&made.leaf), &[der(intermediate)], now).map(|path| path.ends < now);
        assert_eq!([now, now + 9 * DAY, now + 11 * DAY].map(at), [Some(false), Some(false), Some(true)]);
    }

    #[test]
    fn what_is_trusted_changes_with_the_time() {
        let made = CrossSigned::new(&["localhost"]).unwrap();
        let verdict = |roots: &[&String], days: i64| {
            let trust = Trust::of_certificates(&roots.iter().map(|pem| der(pem)).collect::<Vec<_>>());
            let at = u64::try_from(Timestamp::now().as_second() + days * DAY).unwrap();
            let (leaf, name) = (der(&made.leaf), ServerName::try_from("localhost").unwrap());
            trust.verify_server_cert(&leaf, &[der(&made.intermediate)], &name, &[], UnixTime::since_unix_epoch(Duration::from_secs(at))).map(drop)
        };
        let failed = |error: CertificateError| Err(rustls::Error::InvalidCertificate(error));
        assert_eq!(verdict(&[&made.short_root], 0), Ok(()));
        assert_eq!(verdict(&[&made.short_root], 11), failed(CertificateError::Expired));
        assert_eq!(verdict(&[&made.short_root, &made.root], 11), Ok(()));
        assert_eq!(verdict(&[&made.ended_root], 0), failed(CertificateError::Expired), "ended before it was loaded");
        assert_eq!(verdict(&[&made.old_root], 0), failed(CertificateError::UnknownIssuer));
        assert_eq!(verdict(&[], 0), failed(CertificateError::UnknownIssuer));
        assert!(verdict(&[&made.root], -401).is_err(), "a root that has not begun");
    }

    #[test]
    fn a_server_may_present_the_certificate_that_a_file_names() {
        let own = readiness_lab::Leaf::good(&["a.test"]).signed_as_authority().unwrap();
        let other = readiness_lab::Leaf::good(&["a.test"]).signed_as_authority().unwrap();
        let verdict = |trusted: &str, name: &'static str, days: i64| {
            let at = u64::try_from(Timestamp::now().as_second() + days * DAY).unwrap();
            let name = ServerName::try_from(name).unwrap();
            trusting(trusted).verify_server_cert(&der(&own), &[], &name, &[], UnixTime::since_unix_epoch(Duration::from_secs(at))).is_ok()
        };
        assert!(verdict(&own, "a.test", 0));
        assert!(!verdict(&own, "b.test", 0), "for another name");
        assert!(!verdict(&own, "a.test", 91), "ended");
        assert!(!verdict(&other, "a.test", 0), "another one of that name");
        let now = Timestamp::now().as_second();
        let days = |trusted: &str| trusting(trusted).end_of(&der(&own), &[], now).map(|path| (path.ends - now + DAY / 2).div_euclid(DAY));
        assert_eq!((days(&own), days(&other)), (Some(90), None));
    }

    fn der(pem: &str) -> CertificateDer<'static> {
        certificates_in(pem.as_bytes()).unwrap().remove(0)
    }

    fn trusting(pem: &str) -> Trust {
        Trust::of_certificates(&[der(pem)])
    }

    /// Whole days until the end of the path, and how many certificates it does without.
    fn end(trust: &Trust, chain: &CrossSigned, others: &[&str]) -> Option<(i64, usize)> {
        let now = Timestamp::now().as_second();
        let others: Vec<_> = others.iter().map(|pem| der(pem)).collect();
        trust.end_of(&der(&chain.leaf), &others, now).map(|path| ((path.ends - now + DAY / 2).div_euclid(DAY), path.spare))
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
