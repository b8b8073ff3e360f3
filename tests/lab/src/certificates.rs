//! A certificate authority and leaves in every state that a server can present.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

/// Issues certificates from a root that was made for this run.
pub struct Authority {
    name: String,
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// What a leaf says.
pub struct Leaf {
    names: Vec<String>,
    from: Duration,
    until: Duration,
}

impl Leaf {
    /// Valid for 90 days.
    pub fn good(names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| (*name).to_owned()).collect(), from: Duration::days(-1), until: Duration::days(90) }
    }

    /// The same with another end, in seconds from now.
    #[must_use]
    pub fn ends_in(mut self, seconds: i64) -> Self {
        self.from = Duration::days(-60);
        self.until = Duration::seconds(seconds);
        self
    }

    /// The same, valid only from then on, in seconds from now.
    #[must_use]
    pub fn begins_in(mut self, seconds: i64) -> Self {
        self.from = Duration::seconds(seconds);
        self
    }

    pub(crate) fn params(&self) -> anyhow::Result<CertificateParams> {
        let mut params = CertificateParams::new(self.names.clone())?;
        params.distinguished_name.push(DnType::CommonName, self.names.first().cloned().unwrap_or_default());
        params.not_before = OffsetDateTime::now_utc() + self.from;
        params.not_after = OffsetDateTime::now_utc() + self.until;
        Ok(params)
    }

    /// Signed by itself.
    pub fn self_signed(&self) -> anyhow::Result<Arc<CertifiedKey>> {
        let key = KeyPair::generate()?;
        let certificate = self.params()?.self_signed(&key)?;
        certified(vec![certificate.der().clone()], &key)
    }
}

impl Leaf {
    /// Signed by itself and an authority, as `openssl req -x509` makes one: PEM.
    pub fn signed_as_authority(&self) -> anyhow::Result<String> {
        let mut params = self.params()?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(params.self_signed(&KeyPair::generate()?)?.pem())
    }
}

impl Authority {
    /// A new root.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        Self::with_key(name, KeyPair::generate()?)
    }

    /// One whose key is of another kind than that of all others.
    pub fn of_another_kind(name: &str) -> anyhow::Result<Self> {
        Self::with_key(name, KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)?)
    }

    fn with_key(name: &str, key: KeyPair) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Ok(Self { name: name.to_owned(), issuer: Issuer::new(params, key), certificate })
    }

    /// The root, to be trusted.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A leaf with the root behind it.
    pub fn issue(&self, leaf: &Leaf) -> anyhow::Result<Arc<CertifiedKey>> {
        let key = KeyPair::generate()?;
        let certificate = leaf.params()?.signed_by(&key, &self.issuer)?;
        certified(vec![certificate.der().clone()], &key)
    }

    /// The same with this root behind it, as another one signed it until 100 days ago.
    pub(crate) fn issue_crossed(&self, leaf: &Leaf, other: &Self) -> anyhow::Result<Arc<CertifiedKey>> {
        let key = KeyPair::generate()?;
        let certificate = leaf.params()?.signed_by(&key, &self.issuer)?;
        let cross = authority(&self.name, -100)?.signed_by(self.issuer.key(), &other.issuer)?;
        certified(vec![certificate.der().clone(), cross.der().clone()], &key)
    }

    /// A leaf and its key as PEM files' content.
    pub fn issue_pem(&self, leaf: &Leaf) -> anyhow::Result<(String, String)> {
        let key = KeyPair::generate()?;
        let certificate = leaf.params()?.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// A certificate that signed itself, and its key.
#[derive(Debug)]
pub struct Pair {
    /// The kind of its key.
    pub kind: &'static str,
    /// PEM.
    pub certificate: String,
    /// PKCS#8 in PEM.
    pub key: String,
}

impl Pair {
    /// One of each kind of key that servers have.
    pub fn of_every_kind() -> anyhow::Result<Vec<Self>> {
        let kinds: [(&str, &rcgen::SignatureAlgorithm); 5] = [
            ("RSA", &rcgen::PKCS_RSA_SHA256),
            ("P-256", &rcgen::PKCS_ECDSA_P256_SHA256),
            ("P-384", &rcgen::PKCS_ECDSA_P384_SHA384),
            ("P-521", &rcgen::PKCS_ECDSA_P521_SHA512),
            ("Ed25519", &rcgen::PKCS_ED25519),
        ];
        let made = kinds.into_iter().map(|(kind, algorithm)| {
            let key = KeyPair::generate_for(algorithm)?;
            let certificate = Leaf::good(&["a.test"]).params()?.self_signed(&key)?;
            Ok(Self { kind, certificate: certificate.pem(), key: key.serialize_pem() })
        });
        made.collect()
    }
}

/// A chain with more than one way up, of which some have ended: PEM of each.
#[derive(Debug)]
pub struct CrossSigned {
    /// The root, to be trusted.
    pub root: String,
    /// The same name and key with an end 10 days from now, before the leaf's.
    pub short_root: String,
    /// The same, ended 5 days ago.
    pub ended_root: String,
    /// Signed by the intermediate, valid for 60 days.
    pub leaf: String,
    /// The key of the leaf.
    pub key: String,
    /// Signed by the root.
    pub intermediate: String,
    /// The same with its end 10 days from now, before the leaf's.
    pub short_intermediate: String,
    /// The same, ended 100 days ago.
    pub ended_intermediate: String,
    /// The root as an older one signed it, ended 100 days ago.
    pub cross: String,
    /// The older root, to be trusted.
    pub old_root: String,
}

impl CrossSigned {
    /// Made for this run, for these names.
    pub fn new(names: &[&str]) -> anyhow::Result<Self> {
        let (root_key, old_key, middle_key, leaf_key) = (KeyPair::generate()?, KeyPair::generate()?, KeyPair::generate()?, KeyPair::generate()?);
        let (root, old, middle) = (authority("Lab Root", 3_000)?, authority("Old Root", 3_000)?, authority("Lab Intermediate", 900)?);
        let by_root = Issuer::from_params(&root, &root_key);
        let mut leaf = Leaf::good(names);
        leaf.until = Duration::days(60);
        let signed = |days: i64| -> anyhow::Result<String> { Ok(authority("Lab Intermediate", days)?.signed_by(&middle_key, &by_root)?.pem()) };
        Ok(Self {
            root: root.self_signed(&root_key)?.pem(),
            short_root: authority("Lab Root", 10)?.self_signed(&root_key)?.pem(),
            ended_root: authority("Lab Root", -5)?.self_signed(&root_key)?.pem(),
            leaf: leaf.params()?.signed_by(&leaf_key, &Issuer::from_params(&middle, &middle_key))?.pem(),
            key: leaf_key.serialize_pem(),
            intermediate: signed(900)?,
            short_intermediate: signed(10)?,
            ended_intermediate: signed(-100)?,
            cross: authority("Lab Root", -100)?.signed_by(&root_key, &Issuer::from_params(&old, &old_key))?.pem(),
            old_root: old.self_signed(&old_key)?.pem(),
        })
    }
}

impl CrossSigned {
    /// What a server presents that shows the leaf and these.
    pub fn presented(&self, others: &[&str]) -> anyhow::Result<Arc<CertifiedKey>> {
        let chain = [self.leaf.as_str()]
            .into_iter()
            .chain(others.iter().copied())
            .map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).map_err(anyhow::Error::from));
        certified(chain.collect::<Result<_, _>>()?, &KeyPair::from_pem(&self.key)?)
    }
}

fn authority(name: &str, days: i64) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = OffsetDateTime::now_utc() - Duration::days(400);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(days);
    Ok(params)
}

fn certified(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> anyhow::Result<Arc<CertifiedKey>> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider)?))
}
