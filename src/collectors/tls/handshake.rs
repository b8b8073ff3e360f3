//! A handshake that goes on whatever the certificate says, and what the server presented in it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;

use super::Presented;
use crate::cause::Cause as _;
use crate::net::{self, Trust};
use crate::say;
use crate::say::Message;

pub(super) async fn present(address: SocketAddr, name: ServerName<'static>, trust: &Trust) -> Result<Presented, Message> {
    let verifier = Arc::new(Recording::new(trust));
    let mut config = rustls::ClientConfig::builder_with_provider(net::crypto())
        .with_safe_default_protocol_versions()
        .map_err(|error| say!("set up TLS: {}", error.words()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    let tcp = TcpStream::connect(address).await.map_err(|error| say!("connect: {}", error.words()))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let asked = name.to_str().into_owned();
    let stream = connector.connect(name, tcp).await.map_err(|error| say!("TLS handshake: {}", error.words()))?;
    let (_, connection) = stream.get_ref();
    Ok(Presented {
        asked,
        chain: connection.peer_certificates().unwrap_or_default().iter().map(|der| der.clone().into_owned()).collect(),
        verdict: verifier.verdict(),
        stapled: verifier.stapled(),
        protocol: connection.protocol_version(),
    })
}

/// Asks the real verifier, remembers what it says, and lets the handshake go on either way.
#[derive(Debug)]
struct Recording {
    real: Trust,
    verdict: Mutex<Result<(), rustls::Error>>,
    stapled: Mutex<Vec<u8>>,
}

impl Recording {
    fn new(trust: &Trust) -> Self {
        let not_asked = Err(rustls::Error::General("the certificate was never verified".to_owned()));
        Self { real: trust.clone(), verdict: Mutex::new(not_asked), stapled: Mutex::default() }
    }

    fn stapled(&self) -> Vec<u8> {
        self.stapled.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn verdict(&self) -> Result<(), rustls::Error> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Recording {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.real.verify_server_cert(leaf, intermediates, name, ocsp, now).map(|_| ());
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = verdict;
        *self.stapled.lock().unwrap_or_else(PoisonError::into_inner) = ocsp.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.real.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.real.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.real.supported_verify_schemes()
    }
}
