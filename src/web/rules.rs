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

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::rate::RateLimit;
use crate::cause::Cause as _;
use crate::say;
use crate::say::{Message, named};
use crate::value::rules::nearly;
use crate::{files, net};

/// The file. What it does not mention is `None`, and so is a key without a value.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    tls_server_config: Option<Tls>,
    http_server_config: Option<Http>,
    basic_auth_users: Option<BTreeMap<String, String>>,
    rate_limit: Option<RateLimit>,
}

/// A key without a value is an error here: a section that says nothing is a section in words.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tls {
    #[serde(deserialize_with = "value")]
    cert_file: Option<PathBuf>,
    #[serde(deserialize_with = "value")]
    key_file: Option<PathBuf>,
    #[serde(deserialize_with = "value")]
    client_auth_type: Option<ClientAuth>,
    #[serde(deserialize_with = "value")]
    client_ca_file: Option<PathBuf>,
    #[serde(deserialize_with = "value")]
    client_allowed_sans: Option<Vec<String>>,
    #[serde(deserialize_with = "value")]
    min_version: Option<Version>,
    #[serde(deserialize_with = "value")]
    max_version: Option<Version>,
}

fn value<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(source: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(source)?.map(Some).ok_or_else(|| serde::de::Error::custom("a key has no value"))
}

/// What is asked of clients. The kinds of Go that take a certificate without looking at it are not
/// offered: they protect nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum ClientAuth {
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

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Http {
    /// Taken for compatibility: this server speaks HTTP/1.1, which every scraper does.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    headers: BTreeMap<String, String>,
}

/// Headers that the file may set, as the toolkit has it.
const HEADERS: [&str; 5] = ["strict-transport-security", "content-security-policy", "x-frame-options", "x-content-type-options", "x-xss-protection"];

impl File {
    /// The section on TLS, unless it says that there is none.
    fn tls(&self) -> Option<&Tls> {
        self.tls_server_config.as_ref().filter(|tls| **tls != Tls::default())
    }

    /// What protects here and is not mentioned by a later file.
    fn unsaid(&self, later: &Self) -> Option<(&'static str, &'static str)> {
        if self.basic_auth_users.as_ref().is_some_and(|users| !users.is_empty()) && later.basic_auth_users.is_none() {
            return Some(("basic_auth_users", "{}"));
        }
        let tls = self.tls()?;
        if later.tls_server_config.is_none() {
            return Some(("tls_server_config", "{}"));
        }
        let later = later.tls()?;
        if tls.min_version == Some(Version::Tls13) && later.min_version.is_none() {
            return Some(("tls_server_config.min_version", "TLS12"));
        }
        let typed = later.client_auth_type.is_some();
        let released = typed && later.client_auth_type != tls.client_auth_type && !later.needs_certificate();
        let nameless = typed && later.client_allowed_sans.as_ref().is_some_and(Vec::is_empty);
        if tls.needs_certificate() && !later.needs_certificate() && !released && !nameless {
            return Some(("tls_server_config.client_auth_type", "NoClientCert"));
        }
        (!tls.names().is_empty() && later.client_allowed_sans.is_none() && !released).then_some(("tls_server_config.client_allowed_sans", "[]"))
    }
}

impl Tls {
    fn names(&self) -> &[String] {
        self.client_allowed_sans.as_deref().unwrap_or_default()
    }

    /// Whether a client without a certificate is turned away.
    fn needs_certificate(&self) -> bool {
        match self.client_auth_type {
            None | Some(ClientAuth::NoClientCert) => false,
            Some(ClientAuth::VerifyClientCertIfGiven) => !self.names().is_empty(),
            Some(ClientAuth::RequireAndVerifyClientCert) => true,
        }
    }

    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.cert_file.iter().chain(&self.key_file).chain(&self.client_ca_file)
    }
}

/// What is in force.
pub(super) struct Rules {
    pub(super) acceptor: Option<TlsAcceptor>,
    pub(super) allowed_sans: Vec<String>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The hashes of their passwords.
    pub(super) users: BTreeMap<String, String>,
    pub(super) rate_limit: Option<RateLimit>,
}

type Bytes = Result<Zeroizing<Vec<u8>>, Message>;
type Digest = [u8; 32];

/// The file and those that it names, at one moment.
struct Look {
    /// What the file says; `None` when it holds nothing.
    said: Result<Option<File>, Message>,
    named: BTreeMap<PathBuf, Bytes>,
    digest: Digest,
}

impl Look {
    /// Reads the file, and those that it, or else the last one that was taken, names.
    fn at(path: &Path, taken: Option<&File>) -> Self {
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

    fn rules(&self, file: &File, base: &Path) -> Result<Rules, Message> {
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

fn read(path: &Path) -> Bytes {
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

fn parse(text: &[u8]) -> Result<Option<File>, Message> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8 text")?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    // Snippets would show hashes of passwords.
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        // A key, or one of the few words that a key takes: what somebody misspelt must be named.
        let wrong = match error.without_snippet() {
            serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => Some((field, expected)),
            serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => Some((variant, expected)),
            _ => None,
        };
        // Anything else may be a secret, or the first line of a file that holds one.
        let shown = wrong.filter(|(text, expected)| expected.iter().any(|known| nearly(text, known)));
        shown.map_or_else(|| error.words(), |(text, _)| say!("{}: {}", named(text), error.words()))
    })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| "it is not PEM")?;
    if found.is_empty() { Err("it holds no certificate") } else { Ok(found) }
}

/// Follows the file.
pub(super) struct Watch {
    path: PathBuf,
    /// The last file that was taken.
    taken: File,
    /// What was judged last, and what the last check saw.
    judged: Digest,
    seen: Digest,
}

/// What a change comes to.
#[derive(Default)]
pub(super) struct Change {
    /// The rules from now on.
    pub(super) rules: Option<Rules>,
    /// Why the file, or one that it names, was not taken.
    pub(super) kept: Option<Message>,
}

impl Watch {
    /// Reads the file for the first time. Without any content it means that there are no rules, as the
    /// toolkit has it; the caller is told.
    pub(super) fn begin(path: &Path) -> Result<(Self, Rules, bool), Message> {
        let look = Look::at(path, None);
        let failed = |why: Message| say!("read web configuration {}: {}", path.display(), why);
        let said = look.said.clone().map_err(failed)?;
        let empty = said.is_none();
        let taken = said.unwrap_or_default();
        let rules = look.rules(&taken, base(path)).map_err(failed)?;
        Ok((Self { path: path.to_owned(), taken, judged: look.digest, seen: look.digest }, rules, empty))
    }

    /// Looks again.
    pub(super) fn check(&mut self) -> Change {
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

    const HASH: &str = "$2b$10$7EqJtq98hPqEX7fNZaFWoOa1GrmzVxBkCq0Yx0yVxpb3Q0n8l4Qyq";

    fn file(text: &str) -> Option<File> {
        parse(text.as_bytes()).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    /// Writes a text and looks until it was judged.
    fn written(watch: &mut Watch, text: &str) -> Change {
        std::fs::write(&watch.path, text).unwrap();
        assert!(watch.check().rules.is_none(), "the first look at {text:?} is not believed");
        watch.check()
    }

    fn begun(text: &str) -> (tempfile::TempDir, Watch) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yaml");
        std::fs::write(&path, text).unwrap();
        let watch = Watch::begin(&path).unwrap().0;
        (folder, watch)
    }

    fn users() -> String {
        format!("basic_auth_users:\n  ada: \"{HASH}\"\n")
    }

    #[test]
    fn what_holds_nothing_is_told_from_what_says_nothing() {
        for text in ["", " \n", "# just a comment\n", "null\n", "~", "---\n", "--- # \n...\n"] {
            assert!(file(text).is_none(), "{text:?}");
        }
        assert!(file("{}").is_some());
        assert!(file("basic_auth_users:\n").unwrap().basic_auth_users.is_none());
        assert!(file("basic_auth_users: {}\n").unwrap().basic_auth_users.is_some());
    }

    #[test]
    fn a_file_without_content_keeps_what_is_in_force() {
        let (folder, mut watch) = begun(&users());
        for text in ["", "# a comment\n", "null\n", "{}\n", "http_server_config: {}\n", "basic_auth_users:\n", "nonsense: 1\n", "a: [\n"] {
            let change = written(&mut watch, text);
            assert!(change.kept.is_some(), "{text:?} is said");
            assert!(change.rules.is_none_or(|rules| rules.users.contains_key("ada")), "{text:?} opens the door");
            let again = watch.check();
            assert!(again.kept.is_none() && again.rules.is_none(), "{text:?} is said once");
        }
        std::fs::remove_file(&watch.path).unwrap();
        watch.check();
        assert!(watch.check().kept.unwrap().as_str().contains("web.yaml"));
        assert!(written(&mut watch, &users()).rules.unwrap().users.contains_key("ada"));
        assert!(written(&mut watch, "basic_auth_users: {}\n").rules.unwrap().users.is_empty(), "in words it ends");
        drop(folder);
    }

    /// However far a writer has come, the door is as closed as before.
    #[test]
    fn no_part_of_a_file_loses_a_protection() {
        let full = "tls_server_config:\n  cert_file: a.pem\n  key_file: a.key\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans:\n    - prometheus\n  min_version: TLS13\nbasic_auth_users:\n  ada: x\nrate_limit:\n  interval: 1s\n  burst: 3\n";
        let flow = "tls_server_config: { cert_file: a.pem, key_file: a.key, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem, client_allowed_sans: [prometheus] }\nbasic_auth_users: { ada: x }\n";
        let users_first = "basic_auth_users:\n  ada: x\ntls_server_config:\n  client_allowed_sans: [a]\n  client_ca_file: ca.pem\n  key_file: a.key\n  cert_file: a.pem\n  client_auth_type: VerifyClientCertIfGiven\n";
        for text in [full, flow, users_first] {
            let whole = file(text).unwrap();
            assert_eq!(whole.unsaid(&whole), None);
            for end in 0..text.len() {
                let Ok(Some(part)) = parse(&text.as_bytes()[..end]) else { continue };
                if whole.unsaid(&part).is_some() {
                    continue;
                }
                let tls = part.tls().unwrap_or_else(|| panic!("without TLS: {}", &text[..end]));
                assert!(tls.needs_certificate() && !tls.names().is_empty(), "no certificate: {}", &text[..end]);
                assert!(part.basic_auth_users.is_some_and(|users| !users.is_empty()), "no password: {}", &text[..end]);
            }
        }
    }

    #[test]
    fn a_protection_ends_in_words() {
        let tls = |more: &str| file(&format!("tls_server_config: {{ cert_file: a, key_file: b{more} }}")).unwrap();
        let named = tls(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: c, client_allowed_sans: [p]");
        let required = tls(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: c");
        let asked = tls(", client_auth_type: VerifyClientCertIfGiven, client_ca_file: c");
        let none = tls(", client_auth_type: NoClientCert");
        let off = file("tls_server_config: {}").unwrap();
        for (before, after, lost) in [
            (&named, &required, Some("tls_server_config.client_allowed_sans")),
            (&named, &tls(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: c, client_allowed_sans: []"), None),
            (&named, &asked, None),
            (&named, &none, None),
            (&named, &tls(""), Some("tls_server_config.client_auth_type")),
            (&required, &tls(""), Some("tls_server_config.client_auth_type")),
            (&required, &named, None),
            (&asked, &tls(""), None),
            (&tls(""), &off, None),
            (&named, &off, None),
            (&tls(""), &File::default(), Some("tls_server_config")),
            (&off, &File::default(), None),
        ] {
            assert_eq!(before.unsaid(after).map(|(key, _)| key), lost, "{before:?} -> {after:?}");
        }
    }

    #[test]
    fn half_a_certificate_changes_nothing_and_a_wrong_file_renews_it() {
        let folder = tempfile::tempdir().unwrap();
        let pair = |file: &str| {
            let (cert, key) = (folder.path().join(format!("{file}.pem")), folder.path().join(format!("{file}.key")));
            let made = std::process::Command::new("openssl")
                .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a", "-keyout"])
                .arg(&key)
                .arg("-out")
                .arg(&cert)
                .output();
            assert!(made.unwrap().status.success());
            (std::fs::read_to_string(cert).unwrap(), std::fs::read_to_string(key).unwrap())
        };
        let ((_, _), (cert, key)) = (pair("s"), pair("new"));
        let path = folder.path().join("web.yaml");
        std::fs::write(&path, "tls_server_config: { cert_file: s.pem, key_file: s.key }").unwrap();
        let mut watch = Watch::begin(&path).unwrap().0;
        let served = folder.path().join("s.pem");
        for half in [&cert[..cert.len() / 2], "", &cert] {
            std::fs::write(&served, half).unwrap();
            watch.check();
            let change = watch.check();
            assert!(change.rules.is_none() && change.kept.is_some(), "the key is of the old one");
        }
        std::fs::write(folder.path().join("s.key"), key).unwrap();
        std::fs::write(&path, "nonsense: 1").unwrap();
        watch.check();
        let change = watch.check();
        assert!(change.rules.unwrap().acceptor.is_some() && change.kept.unwrap().as_str().contains("a key is not known"));
    }

    #[test]
    fn what_is_no_regular_file_is_not_read() {
        let (folder, mut watch) = begun(&users());
        std::fs::remove_file(&watch.path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&watch.path).status().unwrap().success());
        watch.check();
        assert!(watch.check().kept.unwrap().as_str().contains("it is no regular file"));
        std::fs::remove_file(&watch.path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &watch.path).unwrap();
        assert!(read(&watch.path).is_err());
        drop(folder);
    }

    #[test]
    fn what_is_wrong_is_named_and_no_hash_is() {
        for (text, said) in [
            ("hunter2: 1\n", "a key is not known; known are tls_server_config, "),
            ("rate_limits: 1\n", "rate_limits: a key is not known"),
            ("tls_server_config: { client_auth_type: NoClientCrt }", "NoClientCrt: a value is not known"),
            ("tls_server_config: { client_auth_type: hunter2 }", "known are NoClientCert, "),
            ("basic_auth_users: [hunter2]\n", "line 1"),
            ("basic_auth_users: hunter2\n", "line 1"),
            ("basic_auth_users: {a: b}\nrate_limit: hunter2\n", "line 2"),
        ] {
            let why = parse(text.as_bytes()).unwrap_err();
            assert!(why.as_str().contains(said) && !why.as_str().contains("hunter2"), "{text}: {why}");
        }
    }

    #[test]
    fn the_documented_file_is_one() {
        let text = include_str!("../../docs/web-configuration.md").split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let file = parse(text.as_bytes()).unwrap().unwrap();
        assert!(file.tls().is_some_and(Tls::needs_certificate) && file.rate_limit.is_some());
        let names: Vec<String> = file.http_server_config.unwrap().headers.keys().map(|name| name.to_ascii_lowercase()).collect();
        assert!(names.len() == HEADERS.len() && names.iter().all(|name| HEADERS.contains(&name.as_str())));
    }

    #[test]
    fn fuzz_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yaml");
        let seed = format!(
            "basic_auth_users: {{ a: \"{HASH}\" }}\nhttp_server_config: {{ headers: {{ X-Frame-Options: deny }} }}\nrate_limit: {{ interval: 1s, burst: 3 }}\n"
        );
        crate::fuzz::survive(&[seed.as_bytes()], |bytes| {
            std::fs::write(&path, bytes).unwrap();
            Watch::begin(&path).is_ok()
        });
    }
}
