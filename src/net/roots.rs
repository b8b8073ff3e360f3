//! What TLS rests on: its provider, and certificates as files hold them.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::cause::Cause as _;
use crate::files::{self, ReadError};
use crate::say;
use crate::say::Message;

/// The one TLS provider of the process.
pub fn crypto() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}

/// Says whether the file of trust roots that the environment names can be read at all. The libraries that
/// read it open whatever it is, and would wait for ever at a pipe. One that is not there is theirs to tell.
pub fn check_trust_file() -> Result<(), Message> {
    match std::env::var_os("SSL_CERT_FILE").map(|file| files::read_now(Path::new(&file), files::LARGEST)) {
        Some(Err(error @ (ReadError::Unusable(_) | ReadError::Failed(_)))) => Err(say!("read the file that SSL_CERT_FILE names: {}", error)),
        None | Some(Ok(_) | Err(ReadError::Absent)) => Ok(()),
    }
}

/// The system's trust roots, as they are in its files.
pub(super) fn system_certificates() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    if !found.errors.is_empty() {
        tracing::warn!("read the system's trust roots: {} of its files cannot be read", found.errors.len());
    }
    found.certs
}

/// The certificates of a `ca_file`; one without any is an error. Reads on this thread.
pub fn certificates_of(file: &Path) -> Result<Vec<CertificateDer<'static>>, Message> {
    let content = files::read_now(file, files::LARGEST).map_err(|error| say!("read ca_file {}: {}", file.display(), error))?;
    certificates_in(&content.bytes).map_err(|why| say!("read ca_file {}: {}", file.display(), why))
}

/// The certificates of a PEM text; one without any is an error.
pub fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Message> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| error.words())?;
    if found.is_empty() { Err(say!("it holds no certificate")) } else { Ok(found) }
}
