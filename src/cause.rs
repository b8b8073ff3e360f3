//! Why a library failed, in our words: the only way from a foreign error to a [`Message`].
//!
//! Every error of another library is reduced to what it is a case of, and where: a kind of I/O error, a
//! line and a column, a status. Its own text is never used, since it may quote what was read or sent.

use std::error::Error;
use std::io::ErrorKind;

use hickory_resolver::net::{DnsError, NetError};
use rustls::{AlertDescription, CertificateError};

use crate::interim::Endless;
use crate::say;
use crate::say::Message;
use crate::word::did_you_mean;

/// An error of another library.
pub trait Cause {
    /// What it is a case of. Holds no text of the library and none of what it was given.
    fn words(&self) -> Message;
}

impl Cause for std::io::Error {
    fn words(&self) -> Message {
        if let Some(inner) = self.get_ref()
            && let Some(known) = known(inner)
        {
            return known;
        }
        match (self.kind(), self.raw_os_error()) {
            (ErrorKind::NotFound, _) => say!("no such file"),
            (ErrorKind::PermissionDenied, _) => say!("permission denied"),
            (ErrorKind::ConnectionRefused, _) => say!("connection refused"),
            (ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe, _) => say!("connection cut"),
            (ErrorKind::TimedOut, _) => say!("no answer in time"),
            (ErrorKind::UnexpectedEof, _) => say!("the connection ended too early"),
            (ErrorKind::HostUnreachable, _) => say!("no route to the host"),
            (ErrorKind::NetworkUnreachable, _) => say!("network unreachable"),
            (ErrorKind::AddrInUse, _) => say!("the address is in use"),
            (ErrorKind::AddrNotAvailable, _) => say!("the address is not one of this host"),
            (ErrorKind::IsADirectory, _) => say!("it is a folder"),
            (ErrorKind::NotADirectory, _) => say!("a part of its path is no folder"),
            (ErrorKind::AlreadyExists, _) => say!("something else of that name is there"),
            (ErrorKind::ReadOnlyFilesystem, _) => say!("the file system is read-only"),
            (ErrorKind::StorageFull, _) => say!("no space left"),
            (ErrorKind::QuotaExceeded, _) => say!("the disk quota is used up"),
            (ErrorKind::FileTooLarge, _) => say!("the file is too large"),
            (ErrorKind::InvalidFilename, _) => say!("the name is not valid"),
            (ErrorKind::InvalidData, _) => say!("the data is not valid"),
            (_, Some(number)) => say!("system error {}", number),
            _ => say!("the operation failed"),
        }
    }
}

impl Cause for reqwest::Error {
    fn words(&self) -> Message {
        if let Some(known) = known(self) {
            return known;
        }
        if self.is_timeout() {
            say!("no answer in time")
        } else if self.is_dns() {
            say!("the name could not be resolved")
        } else if self.is_redirect() {
            say!("it redirects to somewhere else")
        } else if self.is_decode() {
            say!("the answer cannot be decoded")
        } else if self.is_connect() {
            say!("no connection")
        } else if self.is_builder() {
            say!("the request cannot be made")
        } else {
            say!("the connection was cut")
        }
    }
}

impl Cause for hyper::Error {
    fn words(&self) -> Message {
        if self.is_parse_too_large() {
            return say!("the head of the answer is too large");
        }
        if self.is_parse() {
            return say!("it is not HTTP");
        }
        if let Some(known) = self.source().and_then(known) {
            return known;
        }
        if self.is_timeout() { say!("no answer in time") } else { say!("the connection was cut") }
    }
}

/// What is offered is what rustls has.
/// Source: <https://docs.rs/rustls/latest/rustls/manual/_04_features/index.html>
const NOTHING_IN_COMMON: &str = "no version, cipher, key exchange or signature in common with the server. This program offers TLS 1.2 and 1.3 with elliptic curves and AES-GCM or ChaCha20 alone, and takes no RSASSA-PSS key; browsers may take more";

impl Cause for rustls::Error {
    fn words(&self) -> Message {
        match self {
            Self::InvalidCertificate(reason) => reason.words(),
            // Said in TLS 1.2 and 1.3 alike. What is not offered, the TLS library does not have.
            Self::AlertReceived(AlertDescription::HandshakeFailure) => say!("{} (alert HandshakeFailure)", NOTHING_IN_COMMON),
            Self::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                say!("the server speaks none of the protocols that it was offered (alert NoApplicationProtocol)")
            }
            // Names of the protocol's own list (RFC 8446, section 6).
            Self::AlertReceived(alert) => match alert.as_str() {
                Some(alert) => say!("the server sent the alert {}", alert),
                None => say!("the server sent an alert that is not known"),
            },
            Self::NoCertificatesPresented => say!("the server presented no certificate"),
            Self::InvalidMessage(_) | Self::InappropriateMessage { .. } | Self::InappropriateHandshakeMessage { .. } => say!("the server does not speak TLS"),
            Self::NoApplicationProtocol => say!("no protocol in common with the server"),
            Self::PeerIncompatible(_) => say!("{}", NOTHING_IN_COMMON),
            Self::PeerMisbehaved(_) | Self::PeerSentOversizedRecord => say!("the server breaks the rules of TLS"),
            Self::DecryptError => say!("a message of the server cannot be decrypted"),
            _ => say!("the TLS connection failed"),
        }
    }
}

/// What to do about a certificate that nobody here can verify.
const UNTRUSTED: &str = "Name the certificate of its authority where the connection is configured: `ca_file`, or `certificate-authority` in a kubeconfig. Where the authority is a known one, let the server send the certificates between as well.";

const OTHER_NAME: &str =
    "Ask for it by a name that its certificate has, or have a certificate issued for this name; `openssl s_client -connect HOST:PORT` shows which it has.";

const OWN_AUTHORITY: &str = "Issue a certificate for the server from an authority, be it the very one that it presents now, and name that in `ca_file`. For a certificate that is its own authority: make it with `-addext basicConstraints=critical,CA:FALSE`, and name it in `ca_file`.";

impl Cause for CertificateError {
    fn words(&self) -> Message {
        match self {
            Self::Expired | Self::ExpiredContext { .. } => say!("a certificate has expired"),
            Self::NotValidYet | Self::NotValidYetContext { .. } => say!("a certificate is not valid yet"),
            Self::NotValidForName | Self::NotValidForNameContext { .. } => say!("the certificate is for another name").fixed_by(OTHER_NAME),
            Self::UnknownIssuer => say!("the certificate is from an authority that is not trusted").fixed_by(UNTRUSTED),
            Self::BadSignature => say!("the signature of a certificate is wrong"),
            Self::UnsupportedSignatureAlgorithmContext { .. } | Self::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                say!("a certificate is signed in a way that is not accepted")
            }
            Self::BadEncoding => say!("a certificate cannot be read"),
            Self::Revoked => say!("a certificate is revoked"),
            Self::InvalidPurpose | Self::InvalidPurposeContext { .. } => say!("the certificate is not for this purpose"),
            // What `openssl req -x509` makes.
            Self::Other(other) if other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) => {
                say!("the server presents the certificate of an authority as its own, as self-signed ones are").fixed_by(OWN_AUTHORITY)
            }
            Self::UnhandledCriticalExtension => say!("a certificate has a critical extension that is not known"),
            _ => say!("the certificate is not valid"),
        }
    }
}

impl Cause for rustls::pki_types::pem::Error {
    fn words(&self) -> Message {
        match self {
            Self::MissingSectionEnd { .. } => say!("a PEM section has no end"),
            Self::IllegalSectionStart { .. } => say!("the first line of a PEM section is wrong"),
            Self::Base64Decode(_) => say!("a PEM section is not base64"),
            Self::NoItemsFound => say!("it holds no such PEM section"),
            Self::SectionTooLarge => say!("a PEM section is too large"),
            Self::Io(error) => error.words(),
            _ => say!("it is not PEM"),
        }
    }
}

impl Cause for serde_json::Error {
    fn words(&self) -> Message {
        if self.line() == 0 {
            return say!("it is not the JSON that was expected");
        }
        let what = match self.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Data => "it is not the JSON that was expected",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
        };
        say!("{} (line {}, column {})", what, self.line(), self.column())
    }
}

impl Cause for serde_saphyr::Error {
    fn words(&self) -> Message {
        let what = of_yaml(self);
        match self.location() {
            Some(at) if at.line() > 0 => say!("{} (line {}, column {})", what, at.line(), at.column()),
            _ => what,
        }
    }
}

/// What is wrong with a YAML text, for whoever tells the place in words of its own.
pub(crate) fn of_yaml(error: &serde_saphyr::Error) -> Message {
    use serde_saphyr::Error;
    match error.without_snippet() {
        Error::Eof { .. } => say!("it ends too early"),
        Error::MultipleDocuments { .. } => say!("it holds more than one document"),
        Error::DuplicateMappingKey { .. } => say!("a key is given twice"),
        Error::UnknownAnchor { .. } => say!("an alias refers to nothing"),
        Error::SerdeUnknownField { field, expected, .. } => not_known("key", field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => not_known("value", variant, expected),
        Error::SerdeMissingField { field, .. } => say!("the key {} is missing", *field),
        Error::SerdeInvalidType { .. }
        | Error::SerdeInvalidValue { .. }
        | Error::SerdeInvalidLength { .. }
        | Error::Unexpected { .. }
        | Error::InvalidScalar { .. } => {
            say!("a value is of another kind than expected")
        }
        Error::NonFiniteFloat { .. } => say!("a number must be finite"),
        Error::InvalidUtf8Input => say!("it is not UTF-8 text"),
        Error::Budget { .. } => say!("it is too large or too deep"),
        // What types of ours say when they refuse a value; it may quote that value.
        Error::Message { .. } => say!("a value is not accepted"),
        _ => say!("it is not YAML"),
    }
}

impl Cause for NetError {
    fn words(&self) -> Message {
        match self {
            Self::Timeout => say!("no answer in time"),
            Self::Io(error) => error.words(),
            Self::NoConnections | Self::Busy => say!("no connection to the name server"),
            Self::Dns(DnsError::NoRecordsFound(none)) if none.response_code == hickory_resolver::proto::op::ResponseCode::NXDomain => {
                say!("there is no such name")
            }
            Self::Dns(DnsError::NoRecordsFound(none)) if none.response_code == hickory_resolver::proto::op::ResponseCode::NoError => say!("it has no address"),
            Self::Dns(DnsError::NoRecordsFound(none)) => say!("the name server answers {}", none.response_code.to_str()),
            Self::Dns(DnsError::ResponseCode(code)) => say!("the name server answers {}", code.to_str()),
            Self::Proto(_) => say!("the answer of the name server cannot be read"),
            _ => say!("the name server cannot be asked"),
        }
    }
}

impl Cause for kube::Error {
    fn words(&self) -> Message {
        match self {
            Self::Api(status) => say!("status {}", status.code),
            Self::HyperError(error) => error.words(),
            Self::SerdeError(error) => error.words(),
            Self::ProxyProtocolUnsupported { .. } | Self::ProxyProtocolDisabled { .. } => say!("the proxy must be http or https"),
            Self::FromUtf8(_) => say!("the answer is not UTF-8 text"),
            Self::LinesCodecMaxLineLengthExceeded => say!("a line of the answer is too long"),
            Self::Auth(_) => say!("the login of the kubeconfig cannot be used"),
            Self::RustlsTls(_) => say!("the certificates or keys cannot be used"),
            other => known(other).unwrap_or_else(|| say!("the API server does not answer as it should")),
        }
    }
}

/// The first cause of an error that has words here.
fn known(error: &(dyn Error + 'static)) -> Option<Message> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls.words());
        }
        if let Some(endless) = error.downcast_ref::<Endless>() {
            return Some(say!("{}", endless));
        }
        if let Some(Unasked(why)) = error.downcast_ref() {
            return Some(why.clone());
        }
        if let Some(http) = error.downcast_ref::<hyper::Error>()
            && (http.is_parse() || http.is_timeout() || http.is_incomplete_message())
        {
            return Some(http.words());
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            // One that wraps another error has its words from that one.
            return match io.get_ref() {
                Some(inner) => known(inner),
                None => Some(io.words()),
            };
        }
        next = error.source();
    }
    None
}

/// What stands where only some names may. What was written is not said, since it may be a secret in the wrong place,
/// but which name it is like.
fn not_known(what: &'static str, written: &str, known: &[&'static str]) -> Message {
    say!("a {} is not known{}; known are {}", what, did_you_mean(written, known.iter().copied()), Message::of_names(known.iter().copied()))
}

/// Why a call failed of which only the chain of causes is at hand, as of the SDKs of AWS.
pub fn of_chain(error: &(dyn Error + 'static)) -> Option<Message> {
    known(error)
}

/// The only reason why a call failed: this host has no way to any address of whom it was to ask. That says nothing
/// about them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unasked(pub Message);

/// Whether a call failed since nobody was asked.
pub fn unasked<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Unasked> {
    match error.downcast_ref() {
        Some(own) => Some(own),
        None => unasked(error.source()?),
    }
}

/// Whether a connection failed for what may be a lack of this host's own: a route, or the family of addresses, which a
/// kernel without IPv6 does not know (EAFNOSUPPORT). A router on the way may say the same.
pub fn may_lack_route(error: &(dyn Error + 'static)) -> bool {
    let lacks =
        |error: &std::io::Error| matches!(error.kind(), ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable) || error.raw_os_error() == Some(97);
    error.downcast_ref().is_some_and(lacks) || error.source().is_some_and(may_lack_route)
}

/// Why a panic ended a task: never its words, which may hold what was worked on.
pub fn of_panic() -> Message {
    say!("a defect of this program")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Own {
        #[expect(dead_code, reason = "only its name counts")]
        timeout: u32,
    }

    #[test]
    fn what_to_do_about_a_certificate_follows_from_why_it_is_not_taken() {
        let own = CertificateError::Other(rustls::OtherError(std::sync::Arc::new(webpki::Error::CaUsedAsEndEntity)));
        for (error, words, fix) in [
            (CertificateError::UnknownIssuer, "the certificate is from an authority that is not trusted", Some(UNTRUSTED)),
            (CertificateError::NotValidForName, "the certificate is for another name", Some(OTHER_NAME)),
            (own, "the server presents the certificate of an authority as its own, as self-signed ones are", Some(OWN_AUTHORITY)),
            (CertificateError::BadEncoding, "a certificate cannot be read", None),
        ] {
            let told = rustls::Error::InvalidCertificate(error).words();
            assert_eq!((told.as_str(), told.fix()), (words, fix));
        }
    }

    #[test]
    fn no_cause_quotes_what_was_read() {
        let secret = "hunter2";
        let yaml = |text: &str| serde_saphyr::from_str::<std::collections::BTreeMap<String, u32>>(text).unwrap_err().words().to_string();
        assert_eq!(yaml("a: 1\ntoken: hunter2"), "a value is of another kind than expected (line 2, column 8)");
        assert_eq!(yaml("a: 1\na: 2"), "a key is given twice (line 2, column 1)");
        let own = |text: &str| serde_saphyr::from_str::<Own>(text).unwrap_err().words().to_string();
        assert_eq!(own("timout: 1"), "a key is not known; did you mean timeout?; known are timeout (line 1, column 1)");
        assert_eq!(own("hunter2: 1"), "a key is not known; known are timeout (line 1, column 1)");
        let json = serde_json::from_str::<Vec<u32>>("[1,\n \"hunter2\"]").unwrap_err().words();
        assert_eq!(json.as_str(), "it is not the JSON that was expected (line 2, column 10)");
        let pem = format!("-----BEGIN {secret}\nabc\n-----END CERTIFICATE-----");
        let pem = <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(pem.as_bytes()).unwrap_err().words();
        assert!(!pem.as_str().contains(secret), "{pem}");
        let io = std::io::Error::other(secret);
        assert_eq!(io.words().as_str(), "the operation failed");
        let wrapped = std::io::Error::other(rustls::Error::General(secret.to_owned()));
        assert_eq!(wrapped.words().as_str(), "the TLS connection failed");
    }

    #[test]
    fn a_cause_says_what_happened() {
        let refused = std::io::Error::from_raw_os_error(111);
        assert_eq!(refused.words().as_str(), "connection refused");
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert_eq!(std::io::Error::other(expired).words().as_str(), "a certificate has expired");
    }
}
