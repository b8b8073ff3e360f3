//! Certificates in key stores: PKCS#12, which needs a password, and Java's own format, whose
//! certificates stand in clear while its keys are encrypted, so that only of PKCS#12 it is seen whether a key belongs
//! to its certificate. Pure; keys in them are dropped at once.

use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy, PrivateKeyChain};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificates::{bundle, chain};
use super::expiry::Told;
use super::pair::{self, Unpaired};
use crate::net::Trust;

/// What a store holds: the chains of its keys, and certificates without a key.
#[derive(Default)]
struct Held {
    chains: Vec<Vec<CertificateDer<'static>>>,
    trusted: Vec<CertificateDer<'static>>,
    /// Keys of which the store does not say to which of its certificates they belong.
    strays: Vec<PrivateKeyDer<'static>>,
    /// Why a key is not seen to belong to its chain.
    unpaired: Option<Unpaired>,
}

impl Held {
    /// A store ends with its keys. What it trusts besides ends no key; a store that only trusts has
    /// nothing else that could end.
    fn told(&self, trust: &Trust, now: i64) -> Result<Told, &'static str> {
        let told: Vec<Told> = match self.chains.as_slice() {
            // Not every store says whose chain a key ends.
            [] if self.strays.is_empty() => vec![bundle(&self.trusted, trust, now)?],
            [] => vec![chain(&self.trusted, trust, now)?],
            chains => chains.iter().map(|certificates| chain(certificates, trust, now)).collect::<Result<_, _>>()?,
        };
        let told = told.into_iter().reduce(Told::and).ok_or("it holds no certificate")?;
        let told = told.paired(self.unpaired.map_or(Ok(()), Err));
        Ok(self.strays.iter().fold(told, |told, key| told.paired(self.among_trusted(key))))
    }

    /// Whether a key belongs to any of the certificates beside it.
    fn among_trusted(&self, key: &PrivateKeyDer<'static>) -> Result<(), Unpaired> {
        let found = || self.trusted.iter().map(|own| pair::of_der(own, key.clone_key()));
        if found().any(|found| found.is_ok()) {
            return Ok(());
        }
        let unknown = found().filter_map(Result::err).find(|why| matches!(why, Unpaired::Unknown(_)));
        Err(unknown.unwrap_or(Unpaired::Wrong("none of its certificates belongs to its private key")))
    }
}

/// A PKCS#12 file.
pub(super) fn pkcs12(bytes: &[u8], password: &str, trust: &Trust, now: i64) -> Result<Told, &'static str> {
    let store = KeyStore::from_pkcs12(bytes, password, Pkcs12ImportPolicy::Raw).map_err(|_| "it is no PKCS#12 file, or its password is another one")?;
    let mut held = Held::default();
    let der = |own: &p12_keystore::Certificate| CertificateDer::from(own.as_der().to_vec());
    let key = |chain: &PrivateKeyChain| PrivateKeyDer::Pkcs8(chain.key().as_der().to_vec().into());
    for (_, entry) in store.entries() {
        match entry {
            KeyStoreEntry::Certificate(own) => held.trusted.push(der(own)),
            // Not every file says which certificates belong to its key; then they stand beside it.
            KeyStoreEntry::PrivateKeyChain(chain) if chain.certs().is_empty() => held.strays.push(key(chain)),
            KeyStoreEntry::PrivateKeyChain(chain) => {
                let certificates: Vec<_> = chain.certs().iter().map(der).collect();
                // Which of them is the key's own says the store, and it stands first.
                if let Some(first) = certificates.first() {
                    held.unpaired = held.unpaired.max(pair::of_der(first, key(chain)).err());
                }
                held.chains.push(certificates);
            }
            KeyStoreEntry::Secret(_) => {}
        }
    }
    held.told(trust, now)
}

/// The first four bytes of a Java key store, and of the newer kind with other key encryption.
const MAGIC: [u32; 2] = [0xFEED_FEED, 0xCECE_CECE];
/// Entries that one store can hold; system trust stores have some hundred.
const MOST_ENTRIES: u32 = 10_000;

/// A Java key store. Its digest is not checked: that needs the password, and says nothing about
/// when a certificate ends.
/// Source: `sun.security.provider.JavaKeyStore.engineLoad` of Java's own sources, which are the specification.
pub(super) fn java(bytes: &[u8], trust: &Trust, now: i64) -> Result<Told, &'static str> {
    let mut rest = Rest(bytes);
    if !MAGIC.contains(&rest.number()?) {
        return Err("it is no Java key store");
    }
    let version = rest.number()?;
    let entries = rest.number()?;
    if !(1..=2).contains(&version) || entries > MOST_ENTRIES {
        return Err("it is a Java key store of an unknown version, or a broken one");
    }
    let mut held = Held::default();
    for _ in 0..entries {
        let tag = rest.number()?;
        rest.text()?;
        rest.take(8)?;
        let certificates = match tag {
            1 => {
                rest.block()?;
                rest.number()?
            }
            2 => 1,
            _ => return Err("it holds an entry of an unknown kind"),
        };
        let mut chain = Vec::new();
        for _ in 0..certificates {
            if version == 2 {
                rest.text()?;
            }
            chain.push(CertificateDer::from(rest.block()?.to_vec()));
        }
        if tag == 1 { held.chains.push(chain) } else { held.trusted.extend(chain) }
    }
    held.told(trust, now)
}

/// What was not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, &'static str> {
        Ok(self.take(4)?.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
    }

    /// Its length stands before it in four bytes.
    fn block(&mut self) -> Result<&'a [u8], &'static str> {
        let length = self.number()? as usize;
        self.take(length)
    }

    /// Its length stands before it in two bytes.
    fn text(&mut self) -> Result<&'a [u8], &'static str> {
        let length = self.take(2)?.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use readiness_lab::{Authority, Leaf};
    use rustls::pki_types::pem::PemObject as _;

    use super::super::certificates::certificate;
    use super::*;

    fn ders() -> [Vec<u8>; 2] {
        let authority = Authority::new("Root").unwrap();
        [Leaf::good(&["a.test"]), Leaf::good(&["b.test"]).ends_in(3 * 86_400)].map(|leaf| {
            let (pem, _) = authority.issue_pem(&leaf).unwrap();
            CertificateDer::pem_slice_iter(pem.as_bytes()).next().unwrap().unwrap().to_vec()
        })
    }

    #[test]
    fn a_pkcs12_file_ends_with_the_first_of_its_certificates() {
        let [long, short] = ders();
        let mut store = KeyStore::new();
        for (name, der) in [("long", &long), ("short", &short)] {
            store.add_entry(name, KeyStoreEntry::Certificate(p12_keystore::Certificate::from_der(der).unwrap()));
        }
        let bytes = store.writer("password").write().unwrap();
        assert_eq!(pkcs12(&bytes, "password", &Trust::nothing(), 0).unwrap().ends, certificate(&short).unwrap().ends);
        assert_eq!(pkcs12(&bytes, "another", &Trust::nothing(), 0), Err("it is no PKCS#12 file, or its password is another one"));
        assert!(pkcs12(&bytes[..100], "password", &Trust::nothing(), 0).is_err() && pkcs12(b"", "", &Trust::nothing(), 0).is_err());
        let empty = KeyStore::new().writer("password").write().unwrap();
        assert_eq!(pkcs12(&empty, "password", &Trust::nothing(), 0), Err("it holds no certificate"));
    }

    #[test]
    fn a_key_of_a_pkcs12_file_belongs_to_one_of_its_certificates() {
        let pairs = readiness_lab::Pair::of_every_kind().unwrap();
        let key = |pem: &str| PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        for (own, other) in pairs.iter().zip(pairs.iter().cycle().skip(1)) {
            let seen = |private: &str| {
                let certificate = CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap();
                let certificate = p12_keystore::Certificate::from_der(&certificate).unwrap();
                let private = p12_keystore::PrivateKey::from_der(key(private).secret_der()).unwrap();
                let mut store = KeyStore::new();
                store.add_entry("own", KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(vec![1], private, [certificate])));
                let bytes = store.writer("password").encryption_iterations(1).mac_iterations(1).write().unwrap();
                pkcs12(&bytes, "password", &Trust::nothing(), 0).unwrap().unpaired
            };
            assert_eq!(seen(&own.key), None, "{}", own.kind);
            assert_eq!(seen(&other.key), Some(Unpaired::Wrong("none of its certificates belongs to its private key")), "{}", own.kind);
        }
    }

    /// A store as `keytool -storetype JKS` writes it, without its digest.
    fn java_store(entries: &[(u32, &[&[u8]])]) -> Vec<u8> {
        let number = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
        let text = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
        let mut bytes = [&MAGIC[0].to_be_bytes()[..], &number(2), &number(entries.len())].concat();
        for (tag, certificates) in entries {
            bytes.extend([&tag.to_be_bytes()[..], &text("alias"), &[0; 8]].concat());
            if *tag == 1 {
                bytes.extend([&number(3)[..], b"key", &number(certificates.len())].concat());
            }
            for der in *certificates {
                bytes.extend([&text("X.509")[..], &number(der.len()), der].concat());
            }
        }
        [bytes, vec![0; 20]].concat()
    }

    #[test]
    fn a_java_key_store_ends_with_the_first_of_its_certificates() {
        let [long, short] = ders();
        let bytes = java_store(&[(2, &[&long]), (1, &[&long, &short])]);
        assert_eq!(java(&bytes, &Trust::nothing(), 0).unwrap().ends, certificate(&short).unwrap().ends);
        for length in 0..bytes.len() - 20 {
            assert!(java(&bytes[..length], &Trust::nothing(), 0).is_err(), "cut off after {length} bytes");
        }
        assert_eq!(java(&java_store(&[]), &Trust::nothing(), 0), Err("it holds no certificate"));
        assert_eq!(java(&java_store(&[(3, &[])]), &Trust::nothing(), 0), Err("it holds an entry of an unknown kind"));
        assert_eq!(java(b"PK\x03\x04", &Trust::nothing(), 0), Err("it is no Java key store"));
    }

    #[test]
    fn what_a_store_trusts_ends_no_key_of_it() {
        let [long, short] = ders();
        let ends = |entries: &[(u32, &[&[u8]])]| java(&java_store(entries), &Trust::nothing(), 0).unwrap().ends;
        let end = |der: &[u8]| certificate(der).unwrap().ends;
        assert_eq!(ends(&[(2, &[&short]), (1, &[&long])]), end(&long));
        assert_eq!(ends(&[(1, &[&short]), (2, &[&long]), (1, &[&long])]), end(&short), "each key counts");
        assert_eq!(ends(&[(2, &[&short]), (2, &[&long])]), end(&short), "nothing else could end");
        let own = readiness_lab::CrossSigned::new(&["a.test"]).unwrap();
        let [root, ended] = [&own.root, &own.ended_root].map(|pem| CertificateDer::pem_slice_iter(pem.as_bytes()).next().unwrap().unwrap().to_vec());
        assert_eq!(ends(&[(2, &[&ended]), (2, &[&root])]), end(&root), "of authorities alone each is enough");
        assert_eq!(ends(&[(1, &[&root, &ended])]), end(&ended), "which one with a key is not");
    }

    #[test]
    fn fuzz_key_stores() {
        let [long, short] = ders();
        let mut store = KeyStore::new();
        store.add_entry("long", KeyStoreEntry::Certificate(p12_keystore::Certificate::from_der(&long).unwrap()));
        // The fewest rounds, so that breaking it takes the time and not deriving its key.
        let bytes = store.writer("password").encryption_iterations(1).mac_iterations(1).write().unwrap();
        crate::fuzz::survive(&[&bytes], |bytes| pkcs12(bytes, "password", &Trust::nothing(), 0));
        crate::fuzz::survive(&[&java_store(&[(2, &[&long]), (1, &[&long, &short])])], |bytes| java(bytes, &Trust::nothing(), 0));
    }
}
