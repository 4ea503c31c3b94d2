//! Whether the other end's certificate comes from an authority that is trusted.
//!
//! As in Redis a certificate is not compared with a name: whoever has one of these authorities is served, or is taken for the master. For a server
//! of the same installation, which is found by its address, that is what such a certificate means. An authority may also come itself, with its own
//! certificate: where there is one server, or a handful, nobody makes two.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::certificate::Certificate;

/// Who is trusted.
#[derive(Clone, Debug)]
pub struct Authorities {
    pub roots: Arc<RootCertStore>,
    /// Their certificates, in the same order.
    pub certificates: Arc<[CertificateDer<'static>]>,
}

/// Verifies by the chain alone.
#[derive(Debug)]
pub struct ByChain {
    authorities: Authorities,
    algorithms: WebPkiSupportedAlgorithms,
    /// For clients' certificates, if any can be good.
    clients: Option<Arc<dyn ClientCertVerifier>>,
    is_mandatory: bool,
}

impl ByChain {
    /// Of servers' certificates and of clients', which must have one if `is_mandatory`.
    ///
    /// # Errors
    /// There can be no such verification.
    pub fn new(
        authorities: &Authorities,
        provider: &Arc<CryptoProvider>,
        is_mandatory: bool,
    ) -> Result<ByChain, Error> {
        let roots = &authorities.roots;
        // Without any authority nobody's certificate is good.
        let clients = match roots.is_empty() {
            true => None,
            false => {
                let builder = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
                Some(builder.build().map_err(|error| Error::General(error.to_string()))?)
            }
        };
        Ok(ByChain {
            authorities: authorities.clone(),
            algorithms: provider.signature_verification_algorithms,
            clients,
            is_mandatory,
        })
    }

    /// Verifies a certificate that `rustls` would not take: one of version 1, or an authority's own. Nothing for any other.
    fn verify_uncommon(&self, end_entity: &CertificateDer<'_>, now: UnixTime) -> Option<Result<(), Error>> {
        if let Some(certificate) = version_1(end_entity) {
            return Some(certificate.verify(&self.authorities.roots, now, &self.algorithms));
        }
        if !self.authorities.certificates.contains(end_entity) {
            return None;
        }
        let certificate = Certificate::parse(end_entity).filter(Certificate::is_its_own_issuer)?;
        Some(certificate.check_time(now))
    }

    fn verify_tls12(
        &self,
        message: &[u8],
        end_entity: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match version_1(end_entity) {
            None => verify_tls12_signature(message, end_entity, signed, &self.algorithms),
            Some(old) if old.has_signed(message, signed.signature(), signed.scheme, &self.algorithms) => {
                Ok(HandshakeSignatureValid::assertion())
            }
            Some(_) => Err(Error::InvalidCertificate(CertificateError::BadSignature)),
        }
    }

    fn verify_tls13(
        &self,
        message: &[u8],
        end_entity: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match version_1(end_entity) {
            None => verify_tls13_signature(message, end_entity, signed, &self.algorithms),
            Some(old) => verify_tls13_signature_with_raw_key(message, &old.public_key(), signed, &self.algorithms),
        }
    }
}

fn version_1<'a>(end_entity: &'a CertificateDer<'_>) -> Option<Certificate<'a>> {
    Certificate::parse(end_entity).filter(|certificate| certificate.is_version_1)
}

impl ServerCertVerifier for ByChain {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(verified) = self.verify_uncommon(end_entity, now) {
            return verified.map(|()| ServerCertVerified::assertion());
        }
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.authorities.roots,
            intermediates,
            now,
            algorithms,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        end_entity: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls12(message, end_entity, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        end_entity: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls13(message, end_entity, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for ByChain {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.clients.as_ref().map_or(&[], |clients| clients.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(verified) = self.verify_uncommon(end_entity, now) {
            return verified.map(|()| ClientCertVerified::assertion());
        }
        match &self.clients {
            Some(clients) => clients.verify_client_cert(end_entity, intermediates, now),
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        end_entity: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls12(message, end_entity, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        end_entity: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls13(message, end_entity, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
