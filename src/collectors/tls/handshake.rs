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
    let mut config = net::client_verified_by(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)?;
    config.resumption = rustls::client::Resumption::disabled();
    let tcp = TcpStream::connect(address).await.map_err(|error| say!("connect: {}", error.words()))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let asked = name.to_str().into_owned();
    let stream = connector.connect(name, tcp).await.map_err(|error| say!("TLS handshake: {}", error.words()))?;
    let (_, connection) = stream.get_ref();
    let (verdict, stapled) = verifier.seen();
    Ok(Presented {
        asked,
        chain: connection.peer_certificates().unwrap_or_default().iter().map(|der| der.clone().into_owned()).collect(),
        verdict,
        stapled,
        protocol: connection.protocol_version(),
    })
}

/// Asks the real verifier, remembers what it says, and lets the handshake go on either way.
#[derive(Debug)]
struct Recording {
    real: Trust,
    /// What it says, and the OCSP answer that the server presented.
    seen: Mutex<(Result<(), rustls::Error>, Vec<u8>)>,
}

impl Recording {
    fn new(trust: &Trust) -> Self {
        let not_asked = Err(rustls::Error::General("the certificate was never verified".to_owned()));
        Self { real: trust.clone(), seen: Mutex::new((not_asked, Vec::new())) }
    }

    fn seen(&self) -> (Result<(), rustls::Error>, Vec<u8>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = (verdict, ocsp.to_vec());
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
