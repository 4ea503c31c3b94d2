//! Certificates that are made when a story needs them, and clients' ends of TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use crate::process::TempDir;

/// An authority with a directory, in which lie its own certificate and those that it has signed.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub dir: TempDir,
}

/// What a certificate says of its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Any,
    Client,
    Server,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let dir = TempDir::new();
        fs::write(dir.path().join("ca.crt"), issuer.pem()).expect("a file");
        Self { issuer, dir }
    }

    /// Makes `name.crt` and `name.key`, good for these years.
    pub fn sign(&self, name: &str, used: Use, years: std::ops::Range<i32>) {
        let mut params = CertificateParams::new(vec!["localhost".to_string()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        params.extended_key_usages = match used {
            Use::Any => Vec::new(),
            Use::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Use::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        };
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        fs::write(self.path(name, "crt"), certificate.pem()).expect("a file");
        fs::write(self.path(name, "key"), key.serialize_pem()).expect("a file");
    }

    /// The same for as long as any story takes.
    pub fn sign_for(&self, name: &str, used: Use) {
        self.sign(name, used, 2020..2100);
    }

    pub fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.{extension}"))
    }

    pub fn text(&self, name: &str, extension: &str) -> String {
        self.path(name, extension).display().to_string()
    }

    /// The directives of a server with this certificate, for TLS on a port.
    pub fn server_args(&self, name: &str, port: u16) -> Vec<String> {
        let pairs = [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", self.text(name, "crt")),
            ("--tls-key-file", self.text(name, "key")),
            ("--tls-ca-cert-file", self.text("ca", "crt")),
        ];
        pairs.into_iter().flat_map(|(name, value)| [name.to_string(), value]).collect()
    }

    /// A client's end that trusts this authority, and shows a certificate if it is given one.
    pub fn client(&self, shown: Option<&str>) -> Arc<ClientConfig> {
        let shown = shown.map(|name| (self.path(name, "crt"), self.path(name, "key")));
        client_config(
            shown.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path())),
            &[&rustls::version::TLS13, &rustls::version::TLS12],
        )
    }
}

/// A client's configuration with these versions.
pub fn client_config(
    shown: Option<(&Path, &Path)>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions);
    let builder = builder.expect("versions").dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)));
    Arc::new(match shown {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
            let key = PrivateKeyDer::from_pem_file(key).expect("a key");
            builder.with_client_auth_cert(vec![certificate], key).expect("they belong together")
        }
    })
}

/// A session for a connection to this machine.
pub fn session(config: &Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(config.clone(), name).expect("a configuration")
}

/// The stories are about whom the server trusts.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
