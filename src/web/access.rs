//! Who may use the exporter's own HTTP surface: TLS with or without client certificates, passwords
//! and extra headers, from a file in the format that all exporters of Prometheus share.
//!
//! Source: <https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::rate::{Bucket, RateLimit};
use crate::net;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    tls_server_config: Option<Tls>,
    http_server_config: Http,
    basic_auth_users: BTreeMap<String, String>,
    rate_limit: Option<RateLimit>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
    #[serde(default)]
    client_auth_type: ClientAuth,
    client_ca_file: Option<PathBuf>,
    #[serde(default)]
    client_allowed_sans: Vec<String>,
    #[serde(default = "oldest")]
    min_version: Version,
    #[serde(default = "newest")]
    max_version: Version,
}

/// What is asked of clients. The kinds of Go that take a certificate without looking at it are not
/// offered: they protect nobody.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
enum ClientAuth {
    #[default]
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum Version {
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

fn oldest() -> Version {
    Version::Tls12
}

fn newest() -> Version {
    Version::Tls13
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Http {
    /// Taken for compatibility: this server speaks HTTP/1.1, which every scraper does.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    headers: BTreeMap<String, String>,
}

/// Headers that the file may set, as the toolkit has it.
const HEADERS: [&str; 5] = ["strict-transport-security", "content-security-policy", "x-frame-options", "x-content-type-options", "x-xss-protection"];

/// What the file said when it was last read with success.
struct Rules {
    acceptor: Option<TlsAcceptor>,
    allowed_sans: Vec<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    users: BTreeMap<String, String>,
    rate_limit: RateLimit,
}

/// The file with all files that it names, when each was last changed.
type Changed = Vec<(PathBuf, Option<SystemTime>)>;

/// Decides who may come in, by the file as it is now.
pub struct Access {
    path: PathBuf,
    rules: Mutex<(Arc<Rules>, Changed)>,
    bucket: Bucket,
    /// Passwords that were right: bcrypt is slow on purpose, and a scraper comes all the time.
    known: Mutex<BTreeSet<[u8; 32]>>,
    /// Guesses that are weighed at once.
    guesses: Semaphore,
}

/// Passwords that are remembered; more are weighed anew.
const KNOWN: usize = 128;

/// What becomes of a request.
pub(super) enum Entry {
    /// It may come in; its answer gets these headers.
    Open(Arc<Vec<(HeaderName, HeaderValue)>>),
    /// Its password is missing or wrong.
    Locked,
    /// Too many at once.
    Busy,
}

impl Access {
    /// Reads the file. Fails when it, or a file that it names, cannot be used.
    pub fn open(path: &Path) -> Result<Self, String> {
        let (rules, changed) = read(path)?;
        let bucket = Bucket::full(rules.rate_limit);
        let rules = Mutex::new((Arc::new(rules), changed));
        Ok(Self { path: path.to_owned(), rules, bucket, known: Mutex::default(), guesses: Semaphore::new(2) })
    }

    /// Whether connections are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.current().acceptor.is_some()
    }

    /// The rules as the file is now. A file that became wrong keeps the old ones and is logged once:
    /// falling back to none at all would open the door.
    fn current(&self) -> Arc<Rules> {
        let mut slot = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let now = times(slot.1.iter().map(|(path, _)| path.clone()).collect());
        if now != slot.1 {
            match read(&self.path) {
                Ok((rules, changed)) => {
                    tracing::info!(file = %self.path.display(), "web configuration read again");
                    *slot = (Arc::new(rules), changed);
                    self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
                }
                Err(error) => {
                    tracing::error!("read the web configuration again, keeping the old one: {error}");
                    slot.1 = now;
                }
            }
        }
        Arc::clone(&slot.0)
    }

    /// What a new connection is wrapped into, if into anything, and which names its client may have.
    pub(super) fn acceptor(&self) -> Option<(TlsAcceptor, Vec<String>)> {
        let rules = self.current();
        rules.acceptor.clone().map(|acceptor| (acceptor, rules.allowed_sans.clone()))
    }

    /// Whether a request may come in.
    pub(super) async fn admit(&self, headers: &HeaderMap) -> Entry {
        let rules = self.current();
        if !self.bucket.take(rules.rate_limit) {
            return Entry::Busy;
        }
        if rules.users.is_empty() || self.knows(&rules, headers).await {
            return Entry::Open(Arc::new(rules.headers.clone()));
        }
        Entry::Locked
    }

    async fn knows(&self, rules: &Rules, headers: &HeaderMap) -> bool {
        let Some((user, password)) = credentials(headers) else { return false };
        // An unknown user takes as long as a wrong password, and cannot be told from one.
        let hash = rules.users.get(&user).map_or(NOBODY, String::as_str).to_owned();
        let key = Sha256::new().chain_update(user.as_bytes()).chain_update([0]).chain_update(&hash).chain_update([0]).chain_update(password.as_bytes());
        let key: [u8; 32] = key.finalize().into();
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&key) {
            return true;
        }
        let Ok(_slot) = tokio::time::timeout(Duration::from_secs(5), self.guesses.acquire()).await else { return false };
        let right = tokio::task::spawn_blocking(move || bcrypt::verify(password.as_bytes(), &hash).unwrap_or(false)).await.unwrap_or(false);
        if right && rules.users.contains_key(&user) {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() < KNOWN {
                known.insert(key);
            }
            return true;
        }
        false
    }
}

/// The hash of a password that nobody knows.
const NOBODY: &str = "$2b$10$7EqJtq98hPqEX7fNZaFWoOa1GrmzVxBkCq0Yx0yVxpb3Q0n8l4Qyq";

/// User and password of the Basic scheme.
fn credentials(headers: &HeaderMap) -> Option<(String, Zeroizing<String>)> {
    let shown = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = shown.split_once(' ')?;
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(encoded.trim()).ok()).flatten().map(Zeroizing::new)?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), Zeroizing::new(password.to_owned())))
}

fn times(paths: Vec<PathBuf>) -> Changed {
    paths.into_iter().map(|path| (path.clone(), std::fs::metadata(&path).and_then(|about| about.modified()).ok())).collect()
}

fn read(path: &Path) -> Result<(Rules, Changed), String> {
    let failed = |why: &dyn std::fmt::Display| format!("read web configuration {}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    // An empty file is one without rules. Snippets would show hashes of passwords.
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    let file: File =
        if text.trim().is_empty() { File::default() } else { serde_saphyr::from_str_with_options(&text, options).map_err(|error| failed(&error))? };
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let mut named = vec![path.to_owned()];
    let (mut acceptor, mut allowed_sans) = (None, Vec::new());
    if let Some(tls) = file.tls_server_config {
        named.extend([&tls.cert_file, &tls.key_file].into_iter().chain(&tls.client_ca_file).map(|file| base.join(file)));
        acceptor = Some(tls_acceptor(&tls, base).map_err(|why| failed(&why))?);
        allowed_sans = tls.client_allowed_sans;
    }
    for (user, hash) in &file.basic_auth_users {
        if !hash.parse::<bcrypt::HashParts>().is_ok_and(|_| hash.starts_with("$2")) {
            return Err(failed(&format!("basic_auth_users.{user}: must be a bcrypt hash, as `htpasswd -nBC 10` prints it")));
        }
    }
    let mut headers = Vec::new();
    for (name, value) in &file.http_server_config.headers {
        if !HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(failed(&format!("http_server_config.headers.{name}: must be one of {}", HEADERS.join(", "))));
        }
        let parsed = name.parse().ok().zip(value.parse().ok());
        headers.push(parsed.ok_or_else(|| failed(&format!("http_server_config.headers.{name}: must have a value that a header can have")))?);
    }
    if file.rate_limit.is_some_and(|limit| limit.burst == 0 || limit.interval.0.is_zero()) {
        return Err(failed(&"rate_limit: must have an interval and a burst above 0"));
    }
    let rules = Rules { acceptor, allowed_sans, headers, users: file.basic_auth_users, rate_limit: file.rate_limit.unwrap_or(RateLimit::DEFAULT) };
    Ok((rules, times(named)))
}

fn tls_acceptor(tls: &Tls, base: &Path) -> Result<TlsAcceptor, String> {
    let cert_file = base.join(&tls.cert_file);
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(&cert_file).and_then(Iterator::collect).map_err(|error| format!("{}: {error}", cert_file.display()))?;
    let key_file = base.join(&tls.key_file);
    let key = PrivateKeyDer::from_pem_file(&key_file).map_err(|error| format!("{}: {error}", key_file.display()))?;
    if tls.min_version > tls.max_version {
        return Err("tls_server_config.min_version: must not be above max_version".to_owned());
    }
    let versions: Vec<_> = [(Version::Tls12, &rustls::version::TLS12), (Version::Tls13, &rustls::version::TLS13)]
        .into_iter()
        .filter(|(version, _)| (tls.min_version..=tls.max_version).contains(version))
        .map(|(_, version)| version)
        .collect();
    let builder = ServerConfig::builder_with_provider(net::crypto()).with_protocol_versions(&versions).map_err(|error| error.to_string())?;
    let builder = match (tls.client_auth_type, &tls.client_ca_file) {
        (ClientAuth::NoClientCert, None) if tls.client_allowed_sans.is_empty() => builder.with_no_client_auth(),
        (ClientAuth::NoClientCert, _) => {
            return Err("tls_server_config.client_auth_type: must ask for a certificate where client_ca_file or client_allowed_sans is set".to_owned());
        }
        (_, None) => return Err("tls_server_config.client_ca_file: must be set to verify certificates of clients".to_owned()),
        (kind, Some(file)) => {
            let mut roots = RootCertStore::empty();
            for certificate in net::certificates_of(&base.join(file))? {
                roots.add(certificate).map_err(|error| error.to_string())?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), net::crypto());
            let optional = kind == ClientAuth::VerifyClientCertIfGiven && tls.client_allowed_sans.is_empty();
            let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
        }
    };
    let mut config = builder.with_single_cert(certificates, key).map_err(|error| format!("{}: {error}", cert_file.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Whether the certificate of a client has one of the names; everybody has when there are none.
pub(super) fn has_name(certificate: Option<&CertificateDer<'_>>, allowed: &[String]) -> bool {
    use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
    if allowed.is_empty() {
        return true;
    }
    let Some((_, parsed)) = certificate.and_then(|der| X509Certificate::from_der(der).ok()) else { return false };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return false };
    let named = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => allowed.iter().any(|own| own == text),
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from).or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from));
            address.is_ok_and(|address| allowed.iter().any(|own| own.parse() == Ok(address)))
        }
        _ => false,
    };
    names.value.general_names.iter().any(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_nobody_is_weighed_like_any_other() {
        assert!(NOBODY.parse::<bcrypt::HashParts>().is_ok());
        assert_eq!(bcrypt::verify("", NOBODY).ok(), Some(false));
    }

    #[test]
    fn fuzz_credentials_and_files() {
        crate::fuzz::survive_text(&["Basic cHJvbWV0aGV1czpzM2NyZXQ=", "basic Og=="], |text| {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(AUTHORIZATION, value);
            }
            credentials(&headers).is_some()
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yaml");
        let seed = format!(
            "basic_auth_users: {{ a: \"{NOBODY}\" }}\nhttp_server_config: {{ headers: {{ X-Frame-Options: deny }} }}\nrate_limit: {{ interval: 1s, burst: 3 }}\n"
        );
        crate::fuzz::survive(&[seed.as_bytes()], |bytes| {
            std::fs::write(&path, bytes).unwrap();
            read(&path).is_ok()
        });
    }
}
