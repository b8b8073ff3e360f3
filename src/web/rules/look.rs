//! One look at the web configuration file and the files that it names, and the rules that come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::Rules;
use super::file::{ClientAuth, File, HEADERS, Tls, Version, parse};
use crate::say::{Message, named};
use crate::value::rules::nearly;
use crate::{files, net, say};

type Bytes = Result<Zeroizing<Vec<u8>>, Message>;
pub(super) type Digest = [u8; 32];

/// The file and those that it names, at one moment.
pub(super) struct Look {
    /// What the file says; `None` when it holds nothing.
    pub(super) said: Result<Option<File>, Message>,
    named: BTreeMap<PathBuf, Bytes>,
    pub(super) digest: Digest,
}

impl Look {
    /// Reads the file, and those that it, or else the last one that was taken, names.
    pub(super) fn at(path: &Path, taken: Option<&File>) -> Self {
        let text = read(path);
        let mut digest = Sha256::new();
        add(&mut digest, path, &text);
        let said = text.and_then(|text| parse(&text));
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        let files = [said.as_ref().ok().and_then(Option::as_ref), taken].into_iter().flatten().filter_map(File::tls).flat_map(Tls::files);
        let paths: BTreeSet<PathBuf> = files.map(|file| base.join(file)).collect();
        let named: BTreeMap<_, _> = paths.into_iter().map(|path| (path.clone(), read(&path))).collect();
        for (path, bytes) in &named {
            add(&mut digest, path, bytes);
        }
        Self { said, named, digest: digest.finalize().into() }
    }

    pub(super) fn rules(&self, file: &File, base: &Path) -> Result<Rules, Message> {
        let users = file.basic_auth_users.clone().unwrap_or_default();
        for (index, hash) in users.values().enumerate() {
            // With a cost that bcrypt does not have, or that takes it minutes, nobody could come in any more.
            if !hash.parse::<bcrypt::HashParts>().is_ok_and(|parts| hash.starts_with("$2") && (4..=16).contains(&parts.get_cost())) {
                // The user is not named: who mixes up the two has written the password in its place.
                return Err(say!("basic_auth_users: user {} in the order of names must have a bcrypt hash, as `htpasswd -nBC 10` prints it", index + 1));
            }
        }
        let mut headers = Vec::new();
        for (name, value) in file.http_server_config.iter().flat_map(|http| &http.headers) {
            if !HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                let shown = if HEADERS.iter().any(|known| nearly(&name.to_ascii_lowercase(), known)) { name } else { "***" };
                return Err(say!("http_server_config.headers.{}: must be one of {}", named(shown), Message::of_names(HEADERS)));
            }
            let parsed = name.parse().ok().zip(value.parse().ok());
            headers.push(parsed.ok_or_else(|| say!("http_server_config.headers.{}: must have a value that a header can have", named(name)))?);
        }
        if file.rate_limit.is_some_and(|limit| limit.burst == 0 || limit.interval.0.is_zero()) {
            return Err("rate_limit: must have an interval and a burst above 0".into());
        }
        let acceptor = file.tls().map(|tls| self.acceptor(tls, base)).transpose()?;
        let allowed_sans = file.tls().map(|tls| tls.names().to_vec()).unwrap_or_default();
        Ok(Rules { acceptor, allowed_sans, headers, users, rate_limit: file.rate_limit })
    }

    fn bytes(&self, base: &Path, file: Option<&PathBuf>, key: &'static str) -> Result<(PathBuf, &[u8]), Message> {
        let file = file.ok_or_else(|| say!("tls_server_config.{}: must be set", key))?;
        let path = base.join(file);
        files::allow(file, &path, false);
        match self.named.get(&path) {
            Some(Ok(bytes)) => Ok((path, bytes)),
            Some(Err(why)) => Err(say!("tls_server_config.{}: {}: {}", key, path.display(), why)),
            None => Err(say!("tls_server_config.{}: {}: it was not read", key, path.display())),
        }
    }

    fn acceptor(&self, tls: &Tls, base: &Path) -> Result<TlsAcceptor, Message> {
        let (cert_file, pem) = self.bytes(base, tls.cert_file.as_ref(), "cert_file")?;
        let chain = certificates(pem).map_err(|why| say!("{}: {}", cert_file.display(), why))?;
        let (key_file, pem) = self.bytes(base, tls.key_file.as_ref(), "key_file")?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| say!("{}: it holds no private key", key_file.display()))?;
        let (oldest, newest) = (tls.min_version.unwrap_or(Version::Tls12), tls.max_version.unwrap_or(Version::Tls13));
        if oldest > newest {
            return Err("tls_server_config.min_version: must not be above max_version".into());
        }
        let versions: Vec<_> = [(Version::Tls12, &rustls::version::TLS12), (Version::Tls13, &rustls::version::TLS13)]
            .into_iter()
            .filter(|(version, _)| (oldest..=newest).contains(version))
            .map(|(_, version)| version)
            .collect();
        let builder = ServerConfig::builder_with_provider(net::crypto()).with_protocol_versions(&versions);
        let builder = builder.map_err(|_| "tls_server_config: these versions cannot be served")?;
        let builder = match (tls.client_auth_type.unwrap_or(ClientAuth::NoClientCert), &tls.client_ca_file) {
            (ClientAuth::NoClientCert, None) if tls.names().is_empty() => builder.with_no_client_auth(),
            (ClientAuth::NoClientCert, _) => {
                return Err("tls_server_config.client_auth_type: must ask for a certificate where client_ca_file or client_allowed_sans is set".into());
            }
            (_, None) => return Err("tls_server_config.client_ca_file: must be set to verify certificates of clients".into()),
            (_, file) => {
                let (ca_file, pem) = self.bytes(base, file.as_ref(), "client_ca_file")?;
                let failed = |why: &'static str| say!("{}: {}", ca_file.display(), why);
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem).map_err(failed)? {
                    roots.add(certificate).map_err(|_| failed("a certificate of it cannot be read"))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), net::crypto());
                let verifier = if tls.needs_certificate() { verifier } else { verifier.allow_unauthenticated() };
                builder.with_client_cert_verifier(verifier.build().map_err(|_| failed("certificates of clients cannot be verified with it"))?)
            }
        };
        let fits = builder.with_single_cert(chain, key);
        let mut config = fits.map_err(|_| say!("{}: it and {} are no pair that can be served", cert_file.display(), key_file.display()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

pub(super) fn read(path: &Path) -> Bytes {
    files::read_now(path, files::LARGEST).map(|content| content.bytes).map_err(|error| say!("{}", error))
}

fn add(digest: &mut Sha256, path: &Path, bytes: &Bytes) {
    digest.update(path.as_os_str().as_encoded_bytes());
    match bytes {
        Ok(bytes) => {
            digest.update([0, 1]);
            digest.update(bytes.len().to_le_bytes());
            digest.update(bytes.as_slice());
        }
        Err(why) => {
            digest.update([0, 0]);
            digest.update(why.as_str().as_bytes());
        }
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| "it is not PEM")?;
    if found.is_empty() { Err("it holds no certificate") } else { Ok(found) }
}
