//! What a server says of its own certificate in the OCSP answer that it presents with it ("stapling", RFC 6066 section 8).
//! Pure. Nobody else is asked: authorities give up their responders, and whoever connects does not ask them either.
//!
//! That a certificate is revoked needs no proof, since its own server says so. Anything better counts only if the
//! authority, or a responder that it certified for this, has signed it (RFC 6960 section 4.2.2.2). An answer about another
//! certificate, and one in which the authority says that it does not know this one, are good for nobody: Firefox refuses
//! the certificate for either, as does whoever asks for an answer, such as `curl --cert-status`.
//! Source: `CheckRevocation` in `security/certverifier/NSSCertDBTrustDomain.cpp` of Firefox, and RFC 6960 sections 2.2 and 4.1.1.

use aws_lc_rs::digest;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, FromDer as _};
use x509_parser::prelude::X509Certificate;

use super::roots::crypto;
use super::trust::Trust;
use crate::say;
use crate::say::Message;

/// What an answer comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Stapled {
    /// The certificate is good, by its authority.
    Good,
    /// The certificate is revoked, since a moment in Unix seconds.
    Revoked(i64),
    /// The answer counted until a moment in Unix seconds, and whoever holds a server to it refuses the certificate.
    Late(i64),
    /// It speaks against the certificate, and whoever holds a server to it refuses that.
    Against(Message),
    /// It is no proof of anything.
    Unproven(Message),
}

/// How far clocks may be apart, in seconds.
const APART: i64 = 300;

/// `id-pe-tlsfeature` (RFC 7633), and the feature that is an OCSP answer.
const TLS_FEATURE: &str = "1.3.6.1.5.5.7.1.24";
const STATUS_REQUEST: &[u8] = &[5];

/// Whether a certificate is good only together with an answer.
pub fn must_staple(leaf: &X509Certificate<'_>) -> bool {
    let own = leaf.extensions().iter().find(|extension| extension.oid.to_id_string() == TLS_FEATURE);
    let features = own.and_then(|extension| Part::list(extension.value)?.first()?.parts()).unwrap_or_default();
    features.iter().any(|feature| feature.content == STATUS_REQUEST)
}

/// What the answer of a server says of the first certificate of its chain at a moment, in Unix seconds.
pub fn read(answer: &[u8], chain: &[CertificateDer<'_>], trust: &Trust, now: i64) -> Stapled {
    let unproven = |why: &'static str| Stapled::Unproven(why.into());
    let parsed: Vec<_> = chain.iter().filter_map(|der| X509Certificate::from_der(der).ok()).map(|(_, certificate)| certificate).collect();
    let Some((leaf, others)) = parsed.split_first() else { return unproven("its certificate cannot be read") };
    let Some(answer) = Answer::read(answer) else { return unproven("it is no answer of an authority") };
    let roots = Part::list(leaf.issuer().as_raw()).and_then(|name| Some(trust.keys_of(name.first()?.content))).unwrap_or_default();
    let keys = keys_of_issuer(leaf, others, &roots);
    let against = |why: &'static str| Stapled::Against(why.into());
    let Some(single) = answer.singles.iter().find(|single| single.about.names(leaf, &keys)) else { return against("is about another certificate") };
    let is_signed = || answer.is_signed_by(&keys, now);
    match (single.status, single.until) {
        (Status::Revoked(at), _) => Stapled::Revoked(at),
        (_, Some(until)) if until + APART < now => Stapled::Late(until),
        _ if single.from - APART > now => unproven("it is dated in the future"),
        _ if !is_signed() => unproven("it is signed by nobody who may speak for the authority"),
        (Status::Unknown, _) => against("says that its authority does not know the certificate"),
        (Status::Good, _) => Stapled::Good,
    }
}

/// The keys of the authority of a certificate, as far as they are presented, or trusted as `roots` of its name.
fn keys_of_issuer<'a>(leaf: &X509Certificate<'_>, others: &'a [X509Certificate<'a>], roots: &'a [Vec<u8>]) -> Vec<Key<'a>> {
    let issuer = leaf.issuer().as_raw();
    let issuers = others.iter().filter(|other| other.subject().as_raw() == issuer).filter_map(Key::of_certificate);
    issuers.chain(roots.iter().filter_map(|key| Key::of(key))).collect()
}

/// An element of DER: what stands in it, and with its head.
#[derive(Debug, Clone)]
struct Part<'a> {
    tag: u32,
    content: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Part<'a> {
    /// All elements that stand one after the other.
    fn list(mut bytes: &'a [u8]) -> Option<Vec<Self>> {
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            let (rest, any) = Any::from_der(bytes).ok()?;
            let whole = bytes.get(..bytes.len() - rest.len())?;
            parts.push(Self { tag: any.tag().0, content: any.data, whole });
            bytes = rest;
        }
        Some(parts)
    }

    fn parts(&self) -> Option<Vec<Self>> {
        Self::list(self.content)
    }

    /// A `GeneralizedTime` as DER has it, in Unix seconds.
    fn moment(&self) -> Option<i64> {
        let text = std::str::from_utf8(self.content).ok()?.strip_suffix('Z')?;
        let at: DateTime = DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
        at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp().as_second())
    }
}

/// Something with its signature: a certificate, or an answer. Both begin with what is signed, the algorithm and the signature.
struct Signed<'a> {
    what: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    fn of(parts: &[Part<'a>]) -> Option<Self> {
        let [what, algorithm, signature, ..] = parts else { return None };
        Some(Self { what: what.whole, algorithm: algorithm.content, signature: bits(signature)? })
    }

    fn is_by(&self, key: &Key<'_>) -> bool {
        let all = crypto().signature_verification_algorithms.all;
        let fitting = all.iter().filter(|own| own.signature_alg_id().as_ref() == self.algorithm && own.public_key_alg_id().as_ref() == key.algorithm);
        fitting.into_iter().any(|own| own.verify_signature(key.bits, self.what, self.signature).is_ok())
    }
}

/// A public key with its algorithm.
struct Key<'a> {
    algorithm: &'a [u8],
    bits: &'a [u8],
}

impl<'a> Key<'a> {
    /// From what stands in a `SubjectPublicKeyInfo`.
    fn of(content: &'a [u8]) -> Option<Self> {
        let parts = Part::list(content)?;
        let [algorithm, key] = parts.as_slice() else { return None };
        Some(Self { algorithm: algorithm.content, bits: bits(key)? })
    }

    fn of_certificate(certificate: &X509Certificate<'a>) -> Option<Self> {
        Self::of(Part::list(certificate.tbs_certificate.subject_pki.raw)?.first()?.content)
    }
}

/// The whole bytes of a bit string.
fn bits<'a>(part: &Part<'a>) -> Option<&'a [u8]> {
    part.content.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bits)| bits)
}

#[derive(Debug, Clone, Copy)]
enum Status {
    Good,
    Revoked(i64),
    Unknown,
}

/// The certificate that is meant (RFC 6960 section 4.1.1). A serial number alone is that of one certificate of every
/// authority.
struct CertId<'a> {
    algorithm: &'a [u8],
    issuer_name: &'a [u8],
    issuer_key: &'a [u8],
    serial: &'a [u8],
}

/// The digests by which an issuer is named (RFC 8017 appendix B.1), each by its object identifier. RFC 5019 wants the first.
const DIGESTS: [(&[u8], &digest::Algorithm); 4] = [
    (&[0x2b, 0x0e, 0x03, 0x02, 0x1a], &digest::SHA1_FOR_LEGACY_USE_ONLY),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01], &digest::SHA256),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02], &digest::SHA384),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03], &digest::SHA512),
];

impl<'a> CertId<'a> {
    fn read(part: &Part<'a>) -> Option<Self> {
        let parts = part.parts()?;
        let [algorithm, issuer_name, issuer_key, serial] = parts.as_slice() else { return None };
        let [issuer_name, issuer_key, serial] = [issuer_name, issuer_key, serial].map(|part| part.content);
        Some(Self { algorithm: algorithm.parts()?.first()?.content, issuer_name, issuer_key, serial })
    }

    /// Whether it names a certificate, whose authority has one of these keys. By a digest that is not known here the serial
    /// number must do, and so must the name of an authority of which no key is known.
    fn names(&self, certificate: &X509Certificate<'_>, keys: &[Key<'_>]) -> bool {
        let known = DIGESTS.iter().find(|(own, _)| *own == self.algorithm);
        let is_of_issuer = known.is_none_or(|(_, algorithm)| {
            let is = |bytes: &[u8], said: &[u8]| digest::digest(algorithm, bytes).as_ref() == said;
            is(certificate.issuer().as_raw(), self.issuer_name) && (keys.is_empty() || keys.iter().any(|key| is(key.bits, self.issuer_key)))
        });
        self.serial == certificate.raw_serial() && is_of_issuer
    }
}

/// What is said of one certificate (RFC 6960 section 4.2.1).
struct Single<'a> {
    about: CertId<'a>,
    status: Status,
    from: i64,
    until: Option<i64>,
}

impl<'a> Single<'a> {
    fn read(part: &Part<'a>) -> Option<Self> {
        let parts = part.parts()?;
        let [certificate, status, from, more @ ..] = parts.as_slice() else { return None };
        let about = CertId::read(certificate)?;
        let status = match status.tag {
            0 => Status::Good,
            1 => Status::Revoked(status.parts()?.first()?.moment()?),
            _ => Status::Unknown,
        };
        let until = more.iter().find(|part| part.tag == 0).map(|part| part.parts()?.first()?.moment());
        Some(Self { about, status, from: from.moment()?, until: if let Some(until) = until { Some(until?) } else { None } })
    }
}

/// An answer (RFC 6960 section 4.2.1).
struct Answer<'a> {
    signed: Signed<'a>,
    singles: Vec<Single<'a>>,
    /// Certificates of responders.
    sent: Vec<Part<'a>>,
}

impl<'a> Answer<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let response = Part::list(bytes)?.into_iter().next()?.parts()?;
        let [status, wrapped] = response.as_slice() else { return None };
        // Anything but 0 is a refusal to answer.
        if status.content != [0] {
            return None;
        }
        let inner = wrapped.parts()?.first()?.parts()?;
        let basic = Part::list(inner.get(1)?.content)?.into_iter().next()?.parts()?;
        let signed = Signed::of(&basic)?;
        let data = basic.first()?.parts()?;
        // The version may stand before the responder, the time and the list, which is the only sequence.
        let list = data.iter().rev().find(|part| part.tag == SEQUENCE)?;
        let singles = list.parts()?.iter().map(Single::read).collect::<Option<_>>()?;
        let sent = basic.get(3).map_or(Some(Vec::new()), |sent| sent.parts()?.first()?.parts())?;
        Some(Self { signed, singles, sent })
    }

    /// Whether an authority with these keys has signed it, or somebody whom it certified for this.
    fn is_signed_by(&self, keys: &[Key<'_>], now: i64) -> bool {
        let is_by_issuer = |signed: &Signed<'_>| keys.iter().any(|key| signed.is_by(key));
        is_by_issuer(&self.signed) || self.sent.iter().any(|sent| self.is_by_responder(sent, now, &is_by_issuer) == Some(true))
    }

    fn is_by_responder(&self, sent: &Part<'_>, now: i64, is_by_issuer: &impl Fn(&Signed<'_>) -> bool) -> Option<bool> {
        let (_, responder) = X509Certificate::from_der(sent.whole).ok()?;
        let may_speak = responder.extended_key_usage().ok()??.value.ocsp_signing;
        let validity = responder.validity();
        let is_valid = validity.not_before.timestamp() <= now && now <= validity.not_after.timestamp();
        Some(may_speak && is_valid && is_by_issuer(&Signed::of(&sent.parts()?)?) && self.signed.is_by(&Key::of_certificate(&responder)?))
    }
}

/// The tag of a sequence.
const SEQUENCE: u32 = 16;

/// That a certificate is revoked, and since when.
pub fn revoked_words(at: i64) -> Message {
    let since = Timestamp::from_second(at).map_or_else(|_| say!("long ago"), |at| say!("{}", at));
    say!("its authority revoked it at {}, as the server itself says in the OCSP answer that it presents", since)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    /// When the answers in `tests/data/ocsp` were made, by `openssl ocsp`; they count for a week.
    const MADE: i64 = 1_795_779_700;
    const WEEK: i64 = 7 * 86_400;

    fn pem(text: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(text.as_bytes()).unwrap()
    }

    fn root() -> CertificateDer<'static> {
        pem(include_str!("../../tests/data/ocsp/root.pem"))
    }

    fn leaf() -> CertificateDer<'static> {
        pem(include_str!("../../tests/data/ocsp/a.test.pem"))
    }

    fn said(answer: &[u8], now: i64) -> Stapled {
        read(answer, &[leaf()], &Trust::of_certificates(&[root()]), now)
    }

    const GOOD: &[u8] = include_bytes!("../../tests/data/ocsp/good.der");
    const REVOKED: &[u8] = include_bytes!("../../tests/data/ocsp/revoked.der");
    const DELEGATED: &[u8] = include_bytes!("../../tests/data/ocsp/delegated.der");
    const FORGED: &[u8] = include_bytes!("../../tests/data/ocsp/forged.der");

    #[test]
    fn an_answer_says_whether_a_certificate_is_revoked() {
        assert_eq!(said(GOOD, MADE), Stapled::Good);
        assert_eq!(said(DELEGATED, MADE), Stapled::Good);
        assert_eq!(read(GOOD, &[leaf(), root()], &Trust::nothing(), MADE), Stapled::Good, "by the authority that is presented");
        let at = "2026-11-20T00:00:00Z".parse::<Timestamp>().unwrap().as_second();
        assert_eq!([said(REVOKED, MADE), said(REVOKED, MADE + 2 * WEEK)], [Stapled::Revoked(at), Stapled::Revoked(at)]);
        assert_eq!(read(REVOKED, &[leaf()], &Trust::nothing(), MADE), Stapled::Revoked(at), "the server's own word is enough");
    }

    #[test]
    fn an_answer_that_is_late_or_of_nobody_is_no_proof() {
        assert!(matches!(said(GOOD, MADE + WEEK + 600), Stapled::Late(until) if (MADE + WEEK - until).abs() < 3600));
        let why = |answer: &[u8], now: i64| if let Stapled::Unproven(why) = said(answer, now) { why.as_str().to_owned() } else { panic!("it is a proof") };
        assert_eq!(why(FORGED, MADE), "it is signed by nobody who may speak for the authority");
        assert_eq!(why(GOOD, MADE - WEEK), "it is dated in the future");
        assert_eq!(why(&[48, 3, 10, 1, 3], MADE), "it is no answer of an authority", "tryLater");
        let mut changed = GOOD.to_vec();
        let year = changed.windows(4).position(|bytes| bytes == b"2026").unwrap();
        changed[year + 3] = b'5';
        assert!(matches!(said(&changed, MADE), Stapled::Unproven(_)), "when it was made is signed as well");
    }

    #[test]
    fn an_answer_about_another_certificate_or_an_unknown_one_is_good_for_nobody() {
        let another = || Stapled::Against("is about another certificate".into());
        assert_eq!(said(include_bytes!("../../tests/data/ocsp/good-must.der"), MADE), another());
        assert_eq!(read(include_bytes!("../../tests/data/ocsp/unheard.der"), &[leaf()], &Trust::nothing(), MADE), another());
        // Another authority has given the same serial number.
        let same = pem(include_str!("../../tests/data/ocsp/same-serial.test.pem"));
        let trust = Trust::of_certificates(&[pem(include_str!("../../tests/data/ocsp/other-root.pem"))]);
        assert_eq!([read(GOOD, std::slice::from_ref(&same), &trust, MADE), read(REVOKED, std::slice::from_ref(&same), &trust, MADE)], [another(), another()]);
        let unknown = |trust: &Trust, now: i64| read(include_bytes!("../../tests/data/ocsp/unknown.der"), std::slice::from_ref(&same), trust, now);
        let now = MADE + 36_000;
        assert_eq!(unknown(&trust, now), Stapled::Against("says that its authority does not know the certificate".into()));
        assert!(matches!(unknown(&Trust::nothing(), now), Stapled::Unproven(_)), "nobody knows who says so");
        assert!(matches!(unknown(&trust, now + 2 * WEEK), Stapled::Late(_)));
    }

    #[test]
    fn a_certificate_may_demand_an_answer() {
        let demands = |der: &CertificateDer<'_>| must_staple(&X509Certificate::from_der(der).unwrap().1);
        assert!(demands(&pem(include_str!("../../tests/data/ocsp/must.test.pem"))) && !demands(&leaf()));
    }

    #[test]
    fn fuzz_an_answer() {
        let trust = Trust::of_certificates(&[root()]);
        crate::fuzz::survive(&[GOOD, REVOKED, DELEGATED], |bytes| {
            let _ = read(bytes, &[leaf()], &trust, MADE);
        });
    }
}
