//! A client's end for tools: it may show nothing, trust the machine's authorities, or trust anybody.

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};

use super::context::{BlockingTls, Credentials, TlsError, authorities, certified, provider_of, versions};
use super::verify::ByChain;

/// What a tool's connections begin with.
#[derive(Default)]
pub struct ClientTlsSettings<'a> {
    /// The bytes of files with the certificates of authorities.
    pub authorities: Vec<Vec<u8>>,
    /// Whoever answers is taken for the server.
    pub trusts_anybody: bool,
    pub credentials: Option<Credentials<'a>>,
    /// Suites up to TLS 1.2 in OpenSSL's language; empty is all.
    pub ciphers: &'a str,
    /// Suites of TLS 1.3 by name, between colons; empty is all.
    pub ciphersuites: &'a str,
    /// The name that the server is told (SNI), if any.
    pub server_name: Option<&'a str>,
}

/// A tool's end of TLS: connections are made of it.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    name: Option<String>,
}

impl ClientTls {
    /// # Errors
    /// What is wrong with the settings, if something is.
    pub fn new(settings: &ClientTlsSettings<'_>) -> Result<ClientTls, TlsError> {
        let provider = Arc::new(provider_of(settings.ciphers, settings.ciphersuites)?);
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions("")?)
            .map_err(|error| TlsError::Protocols(error.to_string()))?
            .dangerous();
        let builder = builder.with_custom_certificate_verifier(verifier(settings, &provider)?);
        let mut config = match &settings.credentials {
            Some(own) => {
                let own = certified(own, &provider, TlsError::ClientCertificate, TlsError::ClientKey)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)))
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        config.enable_sni = settings.server_name.is_some();
        Ok(ClientTls { config: Arc::new(config), name: settings.server_name.map(str::to_string) })
    }

    /// TLS on a socket that blocks, its handshake done.
    ///
    /// # Errors
    /// The handshake failed, or the socket did; the server's name is none.
    pub fn connect(&self, mut socket: TcpStream) -> io::Result<BlockingTls> {
        let name = match &self.name {
            Some(name) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
            // Nobody is told, and a certificate is not compared with it.
            None => ServerName::IpAddress(IpAddr::from(Ipv4Addr::UNSPECIFIED).into()),
        };
        let mut session = ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(StreamOwned::new(session, socket))
    }
}

fn verifier(
    settings: &ClientTlsSettings<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    if settings.trusts_anybody {
        return Ok(Arc::new(Anybody(ring::default_provider().signature_verification_algorithms)));
    }
    let trusted = authorities(&settings.authorities)?;
    let by_chain = ByChain::new(&trusted, provider, true).map_err(|error| TlsError::Authorities(error.to_string()))?;
    Ok(Arc::new(by_chain))
}

/// Takes every certificate, but only from who has its key.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        end_entity: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, end_entity, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        end_entity: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, end_entity, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
