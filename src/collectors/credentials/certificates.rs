//! What certificates tell about their life, alone, in chains and beside their private keys: pure.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use super::expiry::Told;
use super::pair::{self, Unpaired};
use crate::net::{Trust, Verified};

/// Certificates that one credential can hold; more is no credential but a bundle of authorities.
const MOST_CERTIFICATES: usize = 1_000;

/// One certificate in DER.
pub(super) fn certificate(der: &[u8]) -> Result<Told, &'static str> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| "it holds something that is no certificate")?;
    if !rest.is_empty() {
        return Err("something stands behind its certificate");
    }
    let [begins, ends] = [certificate.validity().not_before, certificate.validity().not_after].map(|at| at.timestamp());
    // Authorities are meant to be old.
    let made = (!certificate.is_ca()).then_some(begins);
    Ok(Told { ends: Some(ends), begins: Some(begins), made, ..Told::default() })
}

/// Certificates, in PEM or DER, in any order: each that is no authority is as good as the path to a root
/// that lasts longest, or as the first of all that ends while no path verifies at `now`, in Unix seconds.
pub(super) fn certificates(bytes: &[u8], trust: &Trust, now: i64) -> Result<Told, &'static str> {
    let pem: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(bytes).take(MOST_CERTIFICATES + 1).collect::<Result<_, _>>().map_err(|_| "its PEM is broken")?;
    if pem.len() > MOST_CERTIFICATES {
        return Err("it holds more than a thousand certificates");
    }
    if pem.is_empty() {
        // DER begins with a sequence; anything else was never meant as one.
        return if bytes.first() == Some(&0x30) { bundle(&[CertificateDer::from(bytes)], trust, now) } else { Err("it holds no certificate") };
    }
    // Load balancers take both in one file.
    if pair::holds_key(bytes) { Ok(chain(&pem, trust, now)?.paired(key_of(&pem, bytes))) } else { bundle(&pem, trust, now) }
}

/// Certificates without a private key: a chain, or authorities alone, of which each is enough for whom it has signed. An
/// old one that was left there ends nothing.
pub(super) fn bundle(certificates: &[CertificateDer<'_>], trust: &Trust, now: i64) -> Result<Told, &'static str> {
    if certificates.iter().all(is_authority) { last_of(certificates, now) } else { chain(certificates, trust, now) }
}

/// What authorities tell of which each is enough: the last end of those that have begun.
pub(super) fn last_of(authorities: &[CertificateDer<'_>], now: i64) -> Result<Told, &'static str> {
    let told: Vec<Told> = authorities.iter().map(|der| certificate(der)).collect::<Result<_, _>>()?;
    let last = told.into_iter().max_by_key(|told| (told.begins.is_some_and(|begins| begins <= now), told.ends));
    last.map(|last| Told { made: None, ..last }).ok_or("it holds no certificate")
}

/// Whether a private key belongs to the certificates: to the first, which is the one that servers show.
fn key_of(certificates: &[CertificateDer<'_>], key: &[u8]) -> Result<(), Unpaired> {
    let Some((first, others)) = certificates.split_first() else { return Ok(()) };
    pair::check(first, key).map_err(|why| {
        let is_behind = others.iter().any(|other| pair::check(other, key).is_ok());
        if is_behind { Unpaired::Wrong("the certificate of its private key is not the first, so that servers do not take the two") } else { why }
    })
}

/// Certificates with the private keys that are kept beside them.
pub(super) fn certificates_and_keys(bytes: &[u8], keys: &[Zeroizing<Vec<u8>>], trust: &Trust, now: i64) -> Result<Told, &'static str> {
    let mut told = certificates(bytes, trust, now)?;
    let mut all: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(bytes).filter_map(Result::ok).collect();
    if all.is_empty() {
        all.push(CertificateDer::from(bytes));
    }
    if !keys.is_empty() && all.iter().all(is_authority) {
        // Whoever has the key of an authority signs with it, and needs the whole chain.
        told = Told { unpaired: told.unpaired, ..chain(&all, trust, now)? };
    }
    Ok(keys.iter().fold(told, |told, key| told.paired(key_of(&all, key))))
}

/// The same for certificates that are read already.
pub(super) fn chain(certificates: &[CertificateDer<'_>], trust: &Trust, now: i64) -> Result<Told, &'static str> {
    let told: Vec<Told> = certificates.iter().map(|der| certificate(der)).collect::<Result<_, _>>()?;
    let all = told.iter().copied().reduce(Told::and).ok_or("it holds no certificate")?;
    let (authorities, leaves): (Vec<_>, Vec<_>) = certificates.iter().cloned().partition(is_authority);
    let paths: Option<Vec<Verified>> = leaves.iter().map(|leaf| trust.end_of(leaf, &authorities, now)).collect();
    let Some(ends) = paths.and_then(|paths| paths.iter().map(|path| path.ends).min()) else { return Ok(all) };
    // A path that verifies has begun.
    let begins = told.iter().zip(certificates).filter(|(_, der)| !is_authority(der)).filter_map(|(told, _)| told.begins).max();
    Ok(Told { ends: Some(ends), begins, ..all })
}

/// Source: RFC 5280, section 4.2.1.9
fn is_authority(der: &CertificateDer<'_>) -> bool {
    let parsed = X509Certificate::from_der(der).ok();
    parsed.is_some_and(|(_, certificate)| certificate.basic_constraints().ok().flatten().is_some_and(|constraints| constraints.value.ca))
}

#[cfg(test)]
mod tests {
    use readiness_lab::{Authority, CrossSigned, Leaf};

    use super::*;

    const NOW: i64 = 1_764_000_000;

    #[test]
    fn a_chain_ends_with_the_first_of_it_in_any_order() {
        let authority = Authority::new("Root").unwrap();
        let (long, key) = authority.issue_pem(&Leaf::good(&["a.test"])).unwrap();
        let (short, _) = authority.issue_pem(&Leaf::good(&["b.test"]).ends_in(3 * 86_400)).unwrap();
        let ends = |text: &str| certificates(text.as_bytes(), &Trust::nothing(), NOW).unwrap().ends.unwrap();
        assert!(ends(&long) > ends(&short));
        for chain in [format!("{long}{short}"), format!("{short}{long}"), format!("{key}\ncomment\n{long}{short}")] {
            assert_eq!(ends(&chain), ends(&short));
        }
        let der = CertificateDer::pem_slice_iter(short.as_bytes()).next().unwrap().unwrap();
        assert_eq!(certificates(&der, &Trust::nothing(), NOW).unwrap().ends, Some(ends(&short)), "DER where PEM was meant");
        for (bytes, why) in [
            (key.as_bytes(), "no certificate"),
            (b"".as_slice(), "no certificate"),
            (&short.as_bytes()[..200], "no certificate"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate"),
            (&der[..40], "no certificate"),
        ] {
            let said = certificates(bytes, &Trust::nothing(), NOW).unwrap_err();
            assert!(said.contains(why) || said.contains("broken"), "{said}");
        }
        let huge = format!("{short}\n").repeat(1_001);
        assert_eq!(certificates(huge.as_bytes(), &Trust::nothing(), NOW), Err("it holds more than a thousand certificates"));
    }

    #[test]
    fn the_private_key_that_servers_take_is_that_of_the_first_certificate() {
        let authority = Authority::new("Root").unwrap();
        let [(own, key), (other, _)] = [authority.issue_pem(&Leaf::good(&["a.test"])).unwrap(), authority.issue_pem(&Leaf::good(&["b.test"])).unwrap()];
        let beside =
            |chain: &str| certificates_and_keys(chain.as_bytes(), &[Zeroizing::new(key.clone().into_bytes())], &Trust::nothing(), NOW).unwrap().unpaired;
        let within = |chain: &str| certificates(format!("{chain}{key}").as_bytes(), &Trust::nothing(), NOW).unwrap().unpaired;
        let wrong = |why| Some(Unpaired::Wrong(why));
        for (chain, expected) in [
            (format!("{own}{other}"), None),
            (format!("{other}{own}"), wrong("the certificate of its private key is not the first, so that servers do not take the two")),
            (other.clone(), wrong("its private key belongs to another certificate")),
        ] {
            assert_eq!((beside(&chain), within(&chain)), (expected, expected));
        }
    }

    /// DER, alone and beside its key, ends with its root as PEM does.
    #[test]
    fn a_root_that_ends_ends_what_it_signed_in_every_form() {
        let now = jiff::Timestamp::now().as_second();
        let authority = Authority::new("Root").unwrap();
        let (pem, key) = authority.issue_pem(&Leaf::good(&["a.test"]).ends_in(3_000 * 365 * 86_400)).unwrap();
        let der = CertificateDer::pem_slice_iter(pem.as_bytes()).next().unwrap().unwrap();
        let trust = trusting(&authority.pem());
        let root = certificates(authority.pem().as_bytes(), &trust, now).unwrap().ends;
        let keys = [Zeroizing::new(key.into_bytes())];
        for bytes in [pem.as_bytes(), &der[..]] {
            assert_eq!(certificates(bytes, &trust, now).unwrap().ends, root);
            assert_eq!(certificates_and_keys(bytes, &keys, &trust, now).unwrap().ends, root);
            assert_ne!(certificates(bytes, &Trust::nothing(), now).unwrap().ends, root, "the leaf outlives its root");
        }
    }

    fn trusting(pem: &str) -> Trust {
        Trust::of_certificates(&[CertificateDer::pem_slice_iter(pem.as_bytes()).next().unwrap().unwrap()])
    }

    #[test]
    fn what_no_path_needs_ends_nothing() {
        let own = CrossSigned::new(&["a.test"]).unwrap();
        let (trust, now) = (trusting(&own.root), jiff::Timestamp::now().as_second());
        let leaf_end = certificates(own.leaf.as_bytes(), &Trust::nothing(), now).unwrap().ends;
        let chain = format!("{}{}{}", own.leaf, own.intermediate, own.cross);
        let told = certificates(chain.as_bytes(), &trust, now).unwrap();
        assert_eq!(told.ends, leaf_end);
        assert!(told.begins.unwrap() < now);
        assert_eq!(certificates(format!("{}{}{}", own.cross, own.intermediate, own.leaf).as_bytes(), &trust, now).unwrap().ends, leaf_end, "in any order");
        // As long as no path verifies, nothing says which of them is needed.
        let ended = |chain: &str, trust: &Trust| certificates(chain.as_bytes(), trust, now).unwrap().ends.unwrap() < now;
        assert!(ended(&chain, &Trust::nothing()));
        assert!(ended(&format!("{}{}", own.leaf, own.ended_intermediate), &trust));
        // A second leaf is no part of the path of the first, and needed all the same.
        let other = Authority::new("Other").unwrap();
        let (second, _) = other.issue_pem(&Leaf::good(&["b.test"]).ends_in(-86_400)).unwrap();
        assert!(ended(&format!("{}{}{second}", own.leaf, own.intermediate), &trust));
    }

    #[test]
    fn an_authority_is_no_old_credential_and_the_oldest_part_counts() {
        let authority = Authority::new("Root").unwrap();
        let of = |days: i64| authority.issue_pem(&Leaf::good(&["a.test"]).begins_in(-days * 86_400)).unwrap().0;
        let made = |pem: &str| certificates(pem.as_bytes(), &Trust::nothing(), NOW).unwrap().made;
        let (old, young) = (of(100), of(10));
        assert!(made(&old) < made(&young));
        assert_eq!(made(&format!("{young}{old}{}", authority.pem())), made(&old));
        assert_eq!(made(&format!("{young}{}", authority.pem())), made(&young));
        assert_eq!(made(&authority.pem()), None);
    }

    /// Each of them is enough, as those who trust them take any.
    #[test]
    fn authorities_alone_end_with_the_last_of_them() {
        let own = CrossSigned::new(&["a.test"]).unwrap();
        let now = jiff::Timestamp::now().as_second();
        let ends = |text: &str| certificates(text.as_bytes(), &Trust::nothing(), now).unwrap().ends;
        assert_eq!(ends(&format!("{}{}", own.ended_root, own.root)), ends(&own.root), "an old root was left there");
        assert_eq!(ends(&format!("{}{}", own.root, own.short_root)), ends(&own.root));
        assert!(ends(&own.ended_root) < Some(now));
        // Beside a leaf, or with the key of one of them, all are needed.
        assert_eq!(ends(&format!("{}{}", own.leaf, own.ended_root)), ends(&own.ended_root));
        let bundle = format!("{}{}", own.root, own.ended_root);
        let with_key = certificates_and_keys(bundle.as_bytes(), &[Zeroizing::new(own.key.clone().into_bytes())], &Trust::nothing(), now).unwrap();
        assert_eq!(with_key.ends, ends(&own.ended_root));
        assert_eq!(ends(&format!("{bundle}{}", own.key)), ends(&own.ended_root));
    }

    #[test]
    fn fuzz_certificates() {
        let (pem, _) = Authority::new("Root").unwrap().issue_pem(&Leaf::good(&["a.test"])).unwrap();
        let der = CertificateDer::pem_slice_iter(pem.as_bytes()).next().unwrap().unwrap();
        crate::fuzz::survive(&[pem.as_bytes(), &der], |bytes| certificates(bytes, &Trust::nothing(), NOW));
    }
}
