//! Whom connections are made to: the roots of the system and of files, as these are now. A root that somebody put into a
//! file, or took out of it, counts soon after, for whoever was made before that as well.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use sha2::{Digest as _, Sha256};
use x509_parser::asn1_rs::{Any, FromDer as _};

use super::chain::{Anchor, RootSet, Verified, client_verified_by};
use super::roots::{certificates_in, certificates_of, check_trust_file, crypto, system_certificates};
use crate::cause::Cause as _;
use crate::files;
use crate::say;
use crate::say::Message;

/// Time between looks at the files.
const AGAIN: Duration = Duration::from_secs(30);

/// How long nobody must have written to a file: cut off at the end of a certificate it is most often a good one.
const REST: Duration = Duration::from_secs(1);

/// How long the system's roots may take to be read.
const PATIENCE: Duration = Duration::from_secs(5);

/// The roots that a path must lead to. Those who share one share what its files say now.
#[derive(Clone, Debug)]
pub struct Trust(Arc<Live>);

#[derive(Debug)]
struct Live {
    /// Read beside those of the system.
    files: Vec<PathBuf>,
    now: ArcSwap<Said>,
    /// Whether the last look failed, which is told once.
    is_broken: AtomicBool,
}

/// What the files said at the last look at which they could be used.
#[derive(Debug)]
struct Said {
    roots: RootSet,
    /// What the roots of the system were then.
    system: Vec<u8>,
}

/// Those that follow files.
static FOLLOWED: Mutex<Vec<Weak<Live>>> = Mutex::new(Vec::new());

/// The system's roots.
static SYSTEM: OnceLock<Trust> = OnceLock::new();

/// Equal where the same roots of the same files are trusted, whatever of them lasts at the moment.
impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.files == other.0.files && self.0.now.load().roots == other.0.now.load().roots)
    }
}

impl Trust {
    /// Nothing is trusted.
    pub fn nothing() -> Self {
        Self::made(Vec::new(), Said { roots: RootSet::of(Vec::new(), Vec::new()), system: Vec::new() })
    }

    /// The system's roots.
    pub fn system() -> Self {
        SYSTEM.get_or_init(|| Self::made(Vec::new(), of_system(&system_certificates()))).clone()
    }

    /// The system's roots and those of the files.
    pub fn of_files<'a>(files: impl IntoIterator<Item = &'a Path>) -> Result<Self, Message> {
        let mut named = Vec::new();
        let files: Vec<&Path> = files.into_iter().collect();
        for file in &files {
            named.push(certificates_of(file)?);
        }
        if files.is_empty() {
            return Ok(Self::system());
        }
        let said = with_files(&Self::system().0.now.load(), &files, named)?;
        let made = Self::made(files.into_iter().map(Path::to_owned).collect(), said);
        let mut followed = FOLLOWED.lock().unwrap_or_else(PoisonError::into_inner);
        followed.retain(|other| other.strong_count() > 0);
        followed.push(Arc::downgrade(&made.0));
        drop(followed);
        Ok(made)
    }

    /// These roots, as if they stood in a file.
    #[cfg(test)]
    pub fn of_certificates(roots: &[CertificateDer<'_>]) -> Self {
        let named = roots.iter().map(|der| der.clone().into_owned()).collect();
        Self::made(Vec::new(), Said { roots: RootSet::of(roots.iter().filter_map(|der| Anchor::of(der).ok()).collect(), named), system: Vec::new() })
    }

    fn made(files: Vec<PathBuf>, said: Said) -> Self {
        Self(Arc::new(Live { files, now: ArcSwap::from_pointee(said), is_broken: AtomicBool::new(false) }))
    }

    /// The public keys of roots of a name, as DER without the head of either.
    pub fn keys_of(&self, subject: &[u8]) -> Vec<Vec<u8>> {
        self.0.now.load().roots.keys_of(subject).into_iter().map(<[u8]>::to_vec).collect()
    }

    /// Whether a root has this name, in DER.
    pub fn knows(&self, name: &[u8]) -> bool {
        Any::from_der(name).is_ok_and(|(_, name)| !self.0.now.load().roots.keys_of(name.data).is_empty())
    }

    /// The end of the path from a leaf to a root over some of the others; `None` when no path verifies
    /// at `now`, in Unix seconds, or when a certificate cannot be read. Whether the names of the leaf are
    /// the right ones is another question.
    pub fn end_of(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], now: i64) -> Option<Verified> {
        self.0.now.load().roots.end_of(leaf, others, now)
    }

    /// TLS settings of a client that trusts these roots and shows no certificate of its own.
    pub fn client_config(&self) -> Result<rustls::ClientConfig, Message> {
        client_verified_by(Arc::new(self.clone()))
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.0.now.load().roots.verify_server(leaf, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, leaf, signed, &crypto().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, leaf, signed, &crypto().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto().signature_verification_algorithms.supported_schemes()
    }
}

impl Live {
    /// Takes what the files say now, unless they cannot be used.
    async fn look_again(&self, system: &Said, rest: Duration) {
        let said = self.read(system, rest).await;
        let is_broken = said.is_err();
        let was_broken = self.is_broken.swap(is_broken, Ordering::Relaxed);
        match said {
            Ok(Some(said)) => {
                self.now.store(Arc::new(said));
                tracing::info!("the trusted roots were read again, since a file of them has changed");
            }
            Err(why) if !was_broken => tracing::warn!("{why}; the roots that were trusted before still are"),
            Ok(None) | Err(_) => {}
        }
    }

    /// What the files say, if that is not known yet and nobody writes to them.
    async fn read(&self, system: &Said, rest: Duration) -> Result<Option<Said>, Message> {
        let mut named = Vec::new();
        for file in &self.files {
            let content = files::read(file, files::LARGEST).await.map_err(|error| say!("read ca_file {}: {}", file.display(), error))?;
            let age = content.about.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            if age.is_some_and(|age| age < rest) {
                return Ok(None);
            }
            named.push(certificates_in(&content.bytes).map_err(|why| say!("read ca_file {}: {}", file.display(), why))?);
        }
        let known = self.now.load();
        if known.system == system.system && named.iter().flatten().eq(known.roots.named.iter()) {
            return Ok(None);
        }
        let files: Vec<&Path> = self.files.iter().map(PathBuf::as_path).collect();
        with_files(system, &files, named).map(Some)
    }
}

fn of_system(certificates: &[CertificateDer<'_>]) -> Said {
    let anchors = certificates.iter().filter_map(|der| Anchor::of(der).ok()).collect();
    Said { roots: RootSet::of(anchors, Vec::new()), system: digest(certificates) }
}

fn digest(certificates: &[CertificateDer<'_>]) -> Vec<u8> {
    certificates.iter().fold(Sha256::new(), Sha256::chain_update).finalize().to_vec()
}

/// The roots of the system, and what each of the files holds.
fn with_files(system: &Said, files: &[&Path], named: Vec<Vec<CertificateDer<'static>>>) -> Result<Said, Message> {
    let mut own = Vec::new();
    for (file, certificates) in files.iter().zip(&named) {
        for der in certificates {
            own.push(Anchor::of(der).map_err(|error| say!("read ca_file {}: {}", file.display(), error.words()))?);
        }
    }
    let anchors = system.roots.anchors.iter().cloned().chain(own).collect();
    Ok(Said { roots: RootSet::of(anchors, named.into_iter().flatten().collect()), system: system.system.clone() })
}

/// Looks at the files of all roots from time to time, for ever.
pub async fn follow_trust() {
    loop {
        tokio::time::sleep(AGAIN).await;
        look_again(REST).await;
    }
}

/// Looks at the files of all roots, which nobody must have written to for some time.
pub(crate) async fn look_again(rest: Duration) {
    let Some(system) = SYSTEM.get() else { return };
    system_again(&system.0).await;
    let system = system.0.now.load_full();
    let followed: Vec<_> = FOLLOWED.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    for live in followed {
        live.look_again(&system, rest).await;
    }
}

/// Takes the roots that the system has now, if there are any.
async fn system_again(live: &Live) {
    // One that hangs keeps the place, so that no other hangs beside it.
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let Ok(turn) = TURN.try_lock() else { return };
    let known = live.now.load().system.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        check_trust_file().ok()?;
        let found = rustls_native_certs::load_native_certs().certs;
        (!found.is_empty() && digest(&found) != known).then(|| of_system(&found))
    });
    if let Ok(Ok(Some(said))) = tokio::time::timeout(PATIENCE, reading).await {
        live.now.store(Arc::new(said));
        tracing::info!("the trusted roots of the system were read again, since they have changed");
    }
}

#[cfg(test)]
mod tests {
    use readiness_lab::{Authority, Leaf};
    use rustls::pki_types::UnixTime;

    use super::*;

    fn ders(pem: &str) -> Vec<CertificateDer<'static>> {
        certificates_in(pem.as_bytes()).unwrap()
    }

    #[tokio::test]
    async fn who_was_made_before_a_root_was_changed_trusts_what_the_file_says_now() {
        let (old, new) = (Authority::new("Old").unwrap(), Authority::new("New").unwrap());
        let leaf = |authority: &Authority| ders(&authority.issue_pem(&Leaf::good(&["a.test"])).unwrap().0).remove(0);
        let leaves = [leaf(&old), leaf(&new)];
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, old.pem()).unwrap();
        let trust = Trust::of_files([file.as_path()]).unwrap();
        let made: Arc<dyn ServerCertVerifier> = Arc::new(trust.clone());
        let trusted = || {
            let name = ServerName::try_from("a.test").unwrap();
            leaves.each_ref().map(|leaf| made.verify_server_cert(leaf, &[], &name, &[], UnixTime::now()).is_ok())
        };
        assert_eq!(trusted(), [true, false]);
        look_again(Duration::ZERO).await;
        assert_eq!(trusted(), [true, false], "nothing has changed");
        std::fs::write(&file, old.pem() + &new.pem()).unwrap();
        look_again(Duration::from_hours(1)).await;
        assert_eq!(trusted(), [true, false], "somebody may still write to it");
        look_again(Duration::ZERO).await;
        assert_eq!(trusted(), [true, true]);
        let before = Trust::of_files([file.as_path()]).unwrap();
        assert!(before == trust, "a reload keeps what follows the same file");
        std::fs::write(&file, new.pem()).unwrap();
        look_again(Duration::ZERO).await;
        assert_eq!(trusted(), [false, true], "the one that was taken out");
        for unusable in [Some(""), Some("-----BEGIN CERTIFICATE-----\nx"), None] {
            match unusable {
                Some(text) => std::fs::write(&file, text).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            look_again(Duration::ZERO).await;
            assert_eq!(trusted(), [false, true], "what cannot be used changes nothing");
        }
        let other = folder.path().join("other.pem");
        std::fs::write(&other, new.pem()).unwrap();
        assert!(Trust::of_files([other.as_path()]).unwrap() != trust, "which follows another file");
    }
}
