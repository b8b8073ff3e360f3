//! What the web configuration file says, and which of it a later file must not pass over in silence.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::super::rate::RateLimit;
use crate::cause::Cause as _;
use crate::say;
use crate::say::{Message, named};
use crate::value::rules::nearly;

/// The file. What it does not mention is `None`, and so is a key without a value.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) tls_server_config: Option<Tls>,
    pub(super) http_server_config: Option<Http>,
    pub(super) basic_auth_users: Option<BTreeMap<String, String>>,
    pub(super) rate_limit: Option<RateLimit>,
}

/// A key without a value is an error here: a section that says nothing is a section in words.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tls {
    #[serde(deserialize_with = "value")]
    pub(super) cert_file: Option<PathBuf>,
    #[serde(deserialize_with = "value")]
    pub(super) key_file: Option<PathBuf>,
    #[serde(deserialize_with = "value")]
    pub(super) client_auth_type: Option<ClientAuth>,
    #[serde(deserialize_with = "value")]
    pub(super) client_ca_file: Option<PathBuf>,
    #[serde(deserialize_with = "value")]
    pub(super) client_allowed_sans: Option<Vec<String>>,
    #[serde(deserialize_with = "value")]
    pub(super) min_version: Option<Version>,
    #[serde(deserialize_with = "value")]
    pub(super) max_version: Option<Version>,
}

fn value<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(source: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(source)?.map(Some).ok_or_else(|| serde::de::Error::custom("a key has no value"))
}

/// What is asked of clients. The kinds of Go that take a certificate without looking at it are not
/// offered: they protect nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum ClientAuth {
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) enum Version {
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    /// Taken for compatibility: this server speaks HTTP/1.1, which every scraper does.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    pub(super) headers: BTreeMap<String, String>,
}

/// Headers that the file may set, as the toolkit has it.
pub(super) const HEADERS: [&str; 5] = ["strict-transport-security", "content-security-policy", "x-frame-options", "x-content-type-options", "x-xss-protection"];

impl File {
    /// The section on TLS, unless it says that there is none.
    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls_server_config.as_ref().filter(|tls| **tls != Tls::default())
    }

    /// What protects here and is not mentioned by a later file.
    pub(super) fn unsaid(&self, later: &Self) -> Option<(&'static str, &'static str)> {
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
    pub(super) fn names(&self) -> &[String] {
        self.client_allowed_sans.as_deref().unwrap_or_default()
    }

    /// Whether a client without a certificate is turned away.
    pub(super) fn needs_certificate(&self) -> bool {
        match self.client_auth_type {
            None | Some(ClientAuth::NoClientCert) => false,
            Some(ClientAuth::VerifyClientCertIfGiven) => !self.names().is_empty(),
            Some(ClientAuth::RequireAndVerifyClientCert) => true,
        }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.cert_file.iter().chain(&self.key_file).chain(&self.client_ca_file)
    }
}

/// Reads it; `None` when it holds nothing.
pub(super) fn parse(text: &[u8]) -> Result<Option<File>, Message> {
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
