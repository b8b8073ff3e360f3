//! The web configuration file: what it says, and when a change of it is believed.
//!
//! Whoever writes a file empties it first and fills it in pieces, and each piece may be good YAML: TLS
//! without the users that follow, or nothing at all. So there are three rules:
//!
//! - A change is taken when two checks in a row saw the same, since most writers are done by then.
//! - A file that is absent, holds nothing or is wrong changes nothing.
//! - What protects ends only in words. A disk that is full leaves half a file for ever, so an absence
//!   is never meant: to end passwords takes `basic_auth_users: {}`, TLS `tls_server_config: {}`, the
//!   need for a certificate another `client_auth_type`, a list of names `client_allowed_sans: []`. A
//!   file that says nothing about a protection in force is not taken at all. Cutting off a file never
//!   makes such words, because neither `{` nor `[` nor a key without a value is one of them.
//!
//! Certificates and keys are read with the last file that was taken, so that they go on being renewed
//! while the file itself is wrong; a pair that does not fit together yet changes nothing either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hyper::header::{HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use tokio_rustls::TlsAcceptor;

use super::rate::RateLimit;
use crate::say;
use crate::say::Message;

mod file;
mod look;
#[cfg(test)]
mod tests;

use file::File;
use look::{Digest, Look};

/// What is in force.
pub(in crate::web) struct Rules {
    pub(in crate::web) acceptor: Option<TlsAcceptor>,
    pub(in crate::web) allowed_sans: Vec<String>,
    pub(in crate::web) headers: Vec<(HeaderName, HeaderValue)>,
    /// The hashes of their passwords.
    pub(in crate::web) users: BTreeMap<String, String>,
    pub(in crate::web) rate_limit: Option<RateLimit>,
}

/// Follows the file.
pub(in crate::web) struct Watch {
    path: PathBuf,
    /// The last file that was taken.
    taken: File,
    /// What was judged last, and what the last check saw.
    judged: Digest,
    seen: Digest,
}

/// What a change comes to.
#[derive(Default)]
pub(in crate::web) struct Change {
    /// The rules from now on.
    pub(in crate::web) rules: Option<Rules>,
    /// Why the file, or one that it names, was not taken.
    pub(in crate::web) kept: Option<Message>,
}

impl Watch {
    /// Reads the file for the first time. Without any content it means that there are no rules, as the
    /// toolkit has it; the caller is told.
    pub(in crate::web) fn begin(path: &Path) -> Result<(Self, Rules, bool), Message> {
        let look = Look::at(path, None);
        let failed = |why: Message| say!("read web configuration {}: {}", path.display(), why);
        let said = look.said.clone().map_err(failed)?;
        let empty = said.is_none();
        let taken = said.unwrap_or_default();
        let rules = look.rules(&taken, base(path)).map_err(failed)?;
        Ok((Self { path: path.to_owned(), taken, judged: look.digest, seen: look.digest }, rules, empty))
    }

    /// Looks again.
    pub(in crate::web) fn check(&mut self) -> Change {
        let look = Look::at(&self.path, Some(&self.taken));
        let settled = look.digest == std::mem::replace(&mut self.seen, look.digest);
        if !settled || look.digest == self.judged {
            return Change::default();
        }
        self.judged = look.digest;
        let failed = |why: &Message| say!("read web configuration {}: {}", self.path.display(), *why);
        let later = match &look.said {
            Ok(Some(file)) => match self.taken.unsaid(file) {
                None => Ok(file),
                Some((key, end)) => Err(failed(&say!("{} is in force, and the file says nothing about it; to end it, write `{}: {}`", key, key, end))),
            },
            Ok(None) => Err(failed(&"it holds nothing".into())),
            Err(why) => Err(failed(why)),
        };
        // A file that cannot be taken must not keep certificates from being renewed.
        let (file, mut kept) = match later {
            Ok(file) => (file.clone(), None),
            Err(why) => (self.taken.clone(), Some(why)),
        };
        match look.rules(&file, base(&self.path)) {
            Ok(rules) => {
                self.taken = file;
                Change { rules: Some(rules), kept }
            }
            Err(why) => {
                kept.get_or_insert_with(|| failed(&why));
                Change { rules: None, kept }
            }
        }
    }
}

fn base(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new(""))
}

/// Whether the certificate of a client has one of the names; everybody has when there are none.
pub(in crate::web) fn has_name(certificate: Option<&CertificateDer<'_>>, allowed: &[String]) -> bool {
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
