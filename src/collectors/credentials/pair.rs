//! Whether a private key belongs to its certificate: the public key that follows from the one must stand in
//! the other. Pure; a key is dropped as soon as that is known, and nothing of it is told.
//!
//! A Secret that got the certificate of this year beside the key of the last is complete, its dates are good,
//! and the server that loads it does not start.

use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::net;
use Unpaired::{Unknown, Wrong};

/// Why a private key is not seen to belong to its certificate. The worse stands last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unpaired {
    /// Nobody can tell.
    Unknown(&'static str),
    /// It certainly does not.
    Wrong(&'static str),
}

/// Whether this is a private key, by its name in a Secret or by its form.
pub(super) fn is_key(name: &str, bytes: &[u8]) -> bool {
    std::path::Path::new(name).extension().is_some_and(|end| end.eq_ignore_ascii_case("key")) || holds_key(bytes)
}

/// Whether a text holds a private key, be it beside certificates.
pub(super) fn holds_key(bytes: &[u8]) -> bool {
    let mark = b"PRIVATE KEY-----";
    bytes.windows(mark.len()).any(|window| window == mark)
}

/// Whether a key belongs to a certificate.
pub(super) fn check(leaf: &CertificateDer<'_>, key: &[u8]) -> Result<(), Unpaired> {
    if is_encrypted(key) {
        return Err(Unknown("whether its private key belongs to it is not known: the key is encrypted"));
    }
    // Of several keys in one text servers take the first.
    let found = match PrivateKeyDer::from_pem_slice(key) {
        Ok(found) => found,
        Err(PemError::NoItemsFound) if key.first() == Some(&0x30) => {
            PrivateKeyDer::try_from(key).map_err(|_| Wrong("its private key cannot be read"))?.clone_key()
        }
        Err(PemError::NoItemsFound) => return Err(Wrong("what should be its private key is none, or is cut off")),
        Err(_) => return Err(Wrong("its private key cannot be read")),
    };
    of_der(leaf, found)
}

/// The same for a key that is no text.
pub(super) fn of_der(leaf: &CertificateDer<'_>, key: PrivateKeyDer<'static>) -> Result<(), Unpaired> {
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| Wrong("it holds something that is no certificate"))?;
    let own = certificate.public_key();
    let comparable = is_comparable(own);
    let Ok(signing) = net::crypto().key_provider.load_private_key(key) else {
        // A key that is good for such a certificate would have been read.
        return Err(if comparable { Wrong("its private key is broken, or of another kind than its certificate") } else { NOT_COMPARED });
    };
    let derived = signing.public_key();
    let Some((_, derived)) = derived.as_ref().and_then(|derived| SubjectPublicKeyInfo::from_der(derived).ok()) else { return Err(NOT_COMPARED) };
    // The bits alone: a certificate may name the same kind of key by more than one identifier.
    if derived.subject_public_key.data == own.subject_public_key.data {
        Ok(())
    } else if comparable {
        Err(Wrong("its private key belongs to another certificate"))
    } else {
        Err(NOT_COMPARED)
    }
}

const NOT_COMPARED: Unpaired = Unknown("whether its private key belongs to it is not known: keys of its kind are not compared");

/// An encrypted key of PKCS#8, or one of the older form that OpenSSL wrote.
/// Sources: RFC 7468, section 11; RFC 1421, section 4.6.1.1
fn is_encrypted(key: &[u8]) -> bool {
    [&b"BEGIN ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"].iter().any(|mark| key.windows(mark.len()).any(|window| window == *mark))
}

/// Whether a private key of such a public one can be read here, and is written in one way alone: RSA of 2048 to
/// 8192 bits, Ed25519, and uncompressed points of the curves P-256, P-384 and P-521.
/// Sources: RFC 5480, sections 2.1.1.1 and 2.2; RFC 8410, section 3; for the sizes `load_private_key` of rustls
fn is_comparable(own: &SubjectPublicKeyInfo<'_>) -> bool {
    let algorithm = own.algorithm.algorithm.to_id_string();
    let curve = own.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok()).map(|curve| curve.to_id_string());
    match own.parsed() {
        Ok(PublicKey::RSA(rsa)) => (2_048..=8_192).contains(&rsa.key_size()),
        Ok(PublicKey::EC(_)) => {
            let is_known = curve.is_some_and(|curve| ["1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"].contains(&curve.as_str()));
            is_known && own.subject_public_key.data.first() == Some(&4)
        }
        _ => algorithm == "1.3.101.112",
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use readiness_lab::Pair;

    use super::*;

    fn der(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    fn pem(label: &str, bytes: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(bytes))
    }

    /// The key inside of PKCS#8, as the kind of it had its own form before: RFC 8017 for RSA, RFC 5915 for curves.
    fn inner(key: &str) -> Vec<u8> {
        let PrivateKeyDer::Pkcs8(whole) = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap() else { panic!("PKCS#8") };
        let body = |bytes: &[u8]| {
            let long = usize::from(bytes[1]).saturating_sub(0x80);
            let length = if long == 0 { usize::from(bytes[1]) } else { bytes[2..2 + long].iter().fold(0, |all, byte| all << 8 | usize::from(*byte)) };
            (bytes[2 + long..2 + long + length].to_vec(), bytes[2 + long + length..].to_vec())
        };
        // Version, algorithm, key.
        let rest = body(&body(&body(whole.secret_pkcs8_der()).0).1).1;
        body(&rest).0
    }

    #[test]
    fn a_key_belongs_to_its_own_certificate_and_to_no_other() {
        let (pairs, others) = (Pair::of_every_kind().unwrap(), Pair::of_every_kind().unwrap());
        for pair in &pairs {
            let leaf = der(&pair.certificate);
            assert_eq!(check(&leaf, pair.key.as_bytes()), Ok(()), "{}", pair.kind);
            for other in pairs.iter().chain(&others).filter(|other| other.key != pair.key) {
                let found = check(&leaf, other.key.as_bytes());
                assert_eq!(found, Err(Wrong("its private key belongs to another certificate")), "{} and {}", pair.kind, other.kind);
            }
        }
    }

    #[test]
    fn older_forms_of_a_key_are_read_as_well() {
        for pair in Pair::of_every_kind().unwrap() {
            let label = match pair.kind {
                "RSA" => "RSA PRIVATE KEY",
                "Ed25519" => continue,
                _ => "EC PRIVATE KEY",
            };
            let key = pem(label, &inner(&pair.key));
            assert_eq!(check(&der(&pair.certificate), key.as_bytes()), Ok(()), "{}", pair.kind);
            // As OpenSSL writes it, with the curve before it.
            let with_curve = format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{key}");
            assert_eq!(check(&der(&pair.certificate), with_curve.as_bytes()), Ok(()), "{}", pair.kind);
        }
    }

    #[test]
    fn a_key_that_is_cut_off_is_none() {
        for pair in Pair::of_every_kind().unwrap() {
            let leaf = der(&pair.certificate);
            let PrivateKeyDer::Pkcs8(whole) = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap() else { panic!("PKCS#8") };
            let whole = whole.secret_pkcs8_der();
            assert_eq!(check(&leaf, whole), Ok(()), "DER");
            for cut in [
                pair.key.as_bytes()[..pair.key.len() / 2].to_vec(),
                pair.key.replace("-----BEGIN PRIVATE KEY-----", "").into_bytes(),
                pem("PRIVATE KEY", &whole[..whole.len() - 1]).into_bytes(),
                pem("PRIVATE KEY", b"").into_bytes(),
                whole[..whole.len() / 2].to_vec(),
                b"x".to_vec(),
                pair.certificate.clone().into_bytes(),
            ] {
                assert!(matches!(check(&leaf, &cut), Err(Wrong(_))), "{}: {}", pair.kind, String::from_utf8_lossy(&cut));
            }
        }
    }

    #[test]
    fn a_key_that_cannot_be_looked_into_is_neither_right_nor_wrong() {
        let pair = Pair::of_every_kind().unwrap().remove(1);
        let leaf = der(&pair.certificate);
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        for key in [pem("ENCRYPTED PRIVATE KEY", b"x"), old.to_owned()] {
            assert_eq!(check(&leaf, key.as_bytes()), Err(Unknown("whether its private key belongs to it is not known: the key is encrypted")));
        }
    }

    #[test]
    fn fuzz_private_keys() {
        let pairs = Pair::of_every_kind().unwrap();
        let leaf = der(&pairs[1].certificate);
        let texts: Vec<&[u8]> = pairs[1..].iter().map(|pair| pair.key.as_bytes()).collect();
        crate::fuzz::survive(&texts, |bytes| check(&leaf, bytes));
    }
}
