//! A certificate authority and leaves in every state that a server can present.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

/// Issues certificates from a root that was made for this run.
pub struct Authority {
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

impl Authority {
    /// A new root.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self { issuer: Issuer::new(params, key), certificate })
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

    /// A leaf and its key as PEM files' content.
    pub fn issue_pem(&self, leaf: &Leaf) -> anyhow::Result<(String, String)> {
        let key = KeyPair::generate()?;
        let certificate = leaf.params()?.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

fn certified(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> anyhow::Result<Arc<CertifiedKey>> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider)?))
}
