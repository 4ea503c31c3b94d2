//! What connections begin with: certificates, keys, authorities, protocols and ciphers.

use std::io;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned, SupportedProtocolVersion, version,
};

use super::certificate::Certificate;
use super::sessions::Sessions;
use super::verify::{Authorities, ByChain};
use super::{ciphers, keys};

/// A certificate with those between it and the authority, its key, and the key's password: the bytes of files.
pub struct Credentials<'a> {
    pub certificates: &'a [u8],
    pub key: &'a [u8],
    pub password: Option<&'a str>,
}

/// Everything that a context is made of.
pub struct TlsSettings<'a> {
    /// What this end shows as a server.
    pub server: Credentials<'a>,
    /// What it shows as a client, if that is another.
    pub client: Option<Credentials<'a>>,
    /// The bytes of files with the certificates of authorities.
    pub authorities: Vec<Vec<u8>>,
    /// Versions as Redis names them, between spaces; empty is all that there are.
    pub protocols: &'a str,
    /// Suites up to TLS 1.2 in OpenSSL's language; empty is all.
    pub ciphers: &'a str,
    /// Suites of TLS 1.3 by name, between colons; empty is all.
    pub ciphersuites: &'a str,
    /// The server's order counts, not the client's.
    pub prefers_own_ciphers: bool,
    /// Sessions that are kept for clients that return (0: any number), and for how many seconds.
    pub sessions: Option<(usize, u64)>,
}

/// What is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    Certificate(String),
    Key(String),
    ClientCertificate(String),
    ClientKey(String),
    Authorities(String),
    Protocols(String),
    Ciphers(String),
    Ciphersuites(String),
}

/// Whether a client must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    No,
    /// It may; a bad one is refused.
    Optional,
    Yes,
}

/// A connection with TLS that blocks.
pub type BlockingTls = StreamOwned<ClientConnection, TcpStream>;

/// What connections begin with. Those that are there keep what they began with.
#[derive(Clone, Debug)]
pub struct TlsContext {
    /// By what clients must show. Each has sessions of its own: who resumes one shows nothing.
    open: Arc<ServerConfig>,
    optional: Arc<ServerConfig>,
    strict: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

impl TlsContext {
    /// # Errors
    /// What is wrong with the settings, if something is.
    pub fn new(settings: &TlsSettings<'_>) -> Result<TlsContext, TlsError> {
        let provider = Arc::new(provider_of(settings.ciphers, settings.ciphersuites)?);
        let versions = versions(settings.protocols)?;
        let own = certified(&settings.server, &provider, TlsError::Certificate, TlsError::Key)?;
        let as_client = match &settings.client {
            Some(other) => certified(other, &provider, TlsError::ClientCertificate, TlsError::ClientKey)?,
            None => own.clone(),
        };
        let trusted = authorities(&settings.authorities)?;
        let server = |auth| server(settings, auth, &own, &trusted, &provider, &versions).map_err(protocols_error);
        let verifier =
            ByChain::new(&trusted, &provider, true).map_err(|error| TlsError::Authorities(error.to_string()))?;
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions)
            .map_err(protocols_error)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(as_client)));
        client.enable_sni = false;
        if settings.sessions.is_none() {
            client.resumption = Resumption::disabled();
        }
        Ok(TlsContext {
            open: Arc::new(server(ClientAuth::No)?),
            optional: Arc::new(server(ClientAuth::Optional)?),
            strict: Arc::new(server(ClientAuth::Yes)?),
            client: Arc::new(client),
        })
    }

    /// A client's end for who waits for each byte, on a socket that blocks.
    ///
    /// # Errors
    /// The context allows no handshake.
    pub fn blocking_client(&self, socket: TcpStream, address: IpAddr) -> io::Result<BlockingTls> {
        let name = ServerName::IpAddress(address.into());
        let session = ClientConnection::new(self.client.clone(), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(session, socket))
    }

    pub(crate) fn server(&self, auth: ClientAuth) -> Arc<ServerConfig> {
        match auth {
            ClientAuth::No => self.open.clone(),
            ClientAuth::Optional => self.optional.clone(),
            ClientAuth::Yes => self.strict.clone(),
        }
    }
}

fn protocols_error(error: rustls::Error) -> TlsError {
    TlsError::Protocols(error.to_string())
}

fn server(
    settings: &TlsSettings<'_>,
    auth: ClientAuth,
    own: &Arc<CertifiedKey>,
    trusted: &Authorities,
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
    let builder = match auth {
        ClientAuth::No => builder.with_no_client_auth(),
        _ => builder.with_client_cert_verifier(Arc::new(ByChain::new(trusted, provider, auth == ClientAuth::Yes)?)),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own.clone())));
    config.ignore_client_order = settings.prefers_own_ciphers;
    match settings.sessions {
        Some((count, keep_s)) => config.session_storage = Arc::new(Sessions::new(count, keep_s)),
        None => {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
    }
    Ok(config)
}

pub(super) fn provider_of(list: &str, list13: &str) -> Result<CryptoProvider, TlsError> {
    let mut suites = match list13 {
        "" => ciphers::tls13_default(),
        list => ciphers::tls13(list).map_err(TlsError::Ciphersuites)?,
    };
    let list = if list.is_empty() { "DEFAULT" } else { list };
    suites.extend(ciphers::tls12(list).map_err(TlsError::Ciphers)?);
    Ok(CryptoProvider { cipher_suites: suites, ..ring::default_provider() })
}

/// The versions of a list. Those before TLS 1.2 may be named beside others.
pub(super) fn versions(list: &str) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let mut versions: Vec<&'static SupportedProtocolVersion> = Vec::new();
    let words: Vec<&str> = list.split(' ').filter(|word| !word.is_empty()).collect();
    for word in &words {
        match word.to_ascii_lowercase().as_str() {
            "tlsv1.3" => versions.push(&version::TLS13),
            "tlsv1.2" => versions.push(&version::TLS12),
            "tlsv1" | "tlsv1.1" => {}
            _ => {
                return Err(TlsError::Protocols(format!(
                    "there is no '{word}': use 'TLSv1.2', 'TLSv1.3' or both of them"
                )));
            }
        }
    }
    match (words.is_empty(), versions.is_empty()) {
        (true, _) => Ok(vec![&version::TLS13, &version::TLS12]),
        (false, true) => Err(TlsError::Protocols(format!("'{list}' is no longer safe, and not supported"))),
        (false, false) => Ok(versions),
    }
}

pub(super) fn certified(
    credentials: &Credentials<'_>,
    provider: &CryptoProvider,
    of_certificate: fn(String) -> TlsError,
    of_key: fn(String) -> TlsError,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let certificates = keys::certificates(credentials.certificates).map_err(of_certificate)?;
    let key = keys::private_key(credentials.key, credentials.password).map_err(of_key)?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| of_key(error.to_string()))?;
    let own = Certificate::parse(&certificates[0]).ok_or_else(|| of_certificate("it is no certificate".to_string()))?;
    if key.public_key().is_some_and(|of_key| of_key.as_ref() != own.public_key) {
        return Err(of_key("it is not the key of the certificate".to_string()));
    }
    Ok(Arc::new(CertifiedKey::new(certificates, key)))
}

pub(super) fn authorities(files: &[Vec<u8>]) -> Result<Authorities, TlsError> {
    let (mut roots, mut all) = (RootCertStore::empty(), Vec::new());
    for file in files {
        for certificate in keys::certificates(file).map_err(TlsError::Authorities)? {
            roots.add(certificate.clone()).map_err(|error| TlsError::Authorities(error.to_string()))?;
            all.push(certificate);
        }
    }
    Ok(Authorities { roots: Arc::new(roots), certificates: all.into() })
}
