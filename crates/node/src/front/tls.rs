//! What TLS needs of the configuration: the files that it names are read here, and a context is made of them that new connections begin with.

use std::path::Path;

use rivulet_config::Config;
use rivulet_net::{ClientAuth, Credentials, TlsContext, TlsError, TlsSettings};

use crate::log;
use crate::node::Node;
use crate::system::os_error;

/// A file that is larger is none of certificates or keys.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The bytes of the files that the directives name.
struct Files {
    certificates: Vec<u8>,
    key: Vec<u8>,
    client: Option<(Vec<u8>, Vec<u8>)>,
    authorities: Vec<Vec<u8>>,
}

impl Node {
    /// Reads certificates and keys again. New connections begin with them; those that are there stay as they are. If anything is wrong the log
    /// is told, and what was there before is kept.
    pub fn configure_tls(&mut self) -> Result<(), ()> {
        match context(&self.config) {
            Ok(context) => {
                self.front.tls = Some(context);
                Ok(())
            }
            Err(text) => {
                log::warning!("{text}");
                Err(())
            }
        }
    }

    /// A directive of TLS was changed.
    ///
    /// # Errors
    /// What the client is told: the log has the reason.
    pub fn tls_changed(&mut self) -> Result<(), String> {
        if is_used(&self.config) {
            self.configure_tls().map_err(|()| UPDATE_FAILED.to_string())?;
        }
        Ok(())
    }

    /// `tls-port` was changed: there must be something to listen with.
    ///
    /// # Errors
    /// As above.
    pub fn need_tls(&mut self) -> Result<(), String> {
        if self.front.tls.is_none() {
            self.configure_tls().map_err(|()| UPDATE_FAILED.to_string())?;
        }
        Ok(())
    }

    /// At the start.
    ///
    /// # Errors
    /// The last line of the log.
    pub fn begin_tls(&mut self) -> Result<(), String> {
        if is_used(&self.config) {
            self.configure_tls().map_err(|()| "Failed to configure TLS. Check logs for more info.".to_string())?;
        }
        Ok(())
    }

    /// What clients must show.
    pub fn client_auth(&self) -> ClientAuth {
        match self.config.tls_auth_clients.as_str() {
            "no" => ClientAuth::No,
            "optional" => ClientAuth::Optional,
            _ => ClientAuth::Yes,
        }
    }
}

const UPDATE_FAILED: &str = "Unable to update TLS configuration. Check server logs.";

/// Whether a directive asks for TLS.
fn is_used(config: &Config) -> bool {
    config.tls_port != 0 || config.tls_replication || config.tls_cluster
}

/// Makes a context of what the configuration says; the error is a line for the log.
fn context(config: &Config) -> Result<TlsContext, String> {
    for (file, name) in [(&config.tls_cert_file, "tls-cert-file"), (&config.tls_key_file, "tls-key-file")] {
        if file.is_empty() {
            return Err(format!("No {name} configured!"));
        }
    }
    let verifies = config.tls_auth_clients != "no" || config.tls_cluster || config.tls_replication;
    if verifies && config.tls_ca_cert_file.is_empty() && config.tls_ca_cert_dir.is_empty() {
        return Err("Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or tls-auth-clients are enabled!".to_string());
    }
    let files = read_files(config)?;
    let credentials = |certificates, key, password| Credentials { certificates, key, password };
    let given = |password: &'_ String| (!password.is_empty()).then_some(password.as_str()).map(str::to_owned);
    let (own, other) = (given(&config.tls_key_file_pass), given(&config.tls_client_key_file_pass));
    TlsContext::new(&TlsSettings {
        server: credentials(&files.certificates, &files.key, own.as_deref()),
        client: files.client.as_ref().map(|(certificate, key)| credentials(certificate, key, other.as_deref())),
        authorities: files.authorities,
        protocols: &config.tls_protocols,
        ciphers: &config.tls_ciphers,
        ciphersuites: &config.tls_ciphersuites,
        prefers_own_ciphers: config.tls_prefer_server_ciphers,
        sessions: config
            .tls_session_caching
            .then_some((config.tls_session_cache_size as usize, config.tls_session_cache_timeout)),
    })
    .map_err(|error| complaint(config, &error))
}

fn complaint(config: &Config, error: &TlsError) -> String {
    match error {
        TlsError::Certificate(reason) => format!("Failed to load certificate: {}: {reason}", config.tls_cert_file),
        TlsError::Key(reason) => format!("Failed to load private key: {}: {reason}", config.tls_key_file),
        TlsError::ClientCertificate(reason) => {
            format!("Failed to load certificate: {}: {reason}", config.tls_client_cert_file)
        }
        TlsError::ClientKey(reason) => format!("Failed to load private key: {}: {reason}", config.tls_client_key_file),
        TlsError::Authorities(reason) => format!("Failed to configure CA certificate(s) file/directory: {reason}"),
        TlsError::Protocols(reason) => format!("Invalid tls-protocols specified: {reason}"),
        TlsError::Ciphers(reason) => format!("Failed to configure ciphers: {}: {reason}", config.tls_ciphers),
        TlsError::Ciphersuites(reason) => {
            format!("Failed to configure ciphersuites: {}: {reason}", config.tls_ciphersuites)
        }
    }
}

fn read_files(config: &Config) -> Result<Files, String> {
    let of = |what: &'static str, path: &str| {
        read(path).map_err(|reason| format!("Failed to load {what}: {path}: {reason}"))
    };
    let client = match (config.tls_client_cert_file.as_str(), config.tls_client_key_file.as_str()) {
        ("", _) | (_, "") => None,
        (certificate, key) => Some((of("certificate", certificate)?, of("private key", key)?)),
    };
    Ok(Files {
        certificates: of("certificate", &config.tls_cert_file)?,
        key: of("private key", &config.tls_key_file)?,
        client,
        authorities: read_authorities(config)
            .map_err(|reason| format!("Failed to configure CA certificate(s) file/directory: {reason}"))?,
    })
}

/// The file of authorities, and of the directory those files that hold certificates: others may lie beside them.
fn read_authorities(config: &Config) -> Result<Vec<Vec<u8>>, String> {
    let mut authorities = Vec::new();
    if !config.tls_ca_cert_file.is_empty() {
        let path = &config.tls_ca_cert_file;
        authorities.push(read(path).map_err(|reason| format!("{path}: {reason}"))?);
    }
    if !config.tls_ca_cert_dir.is_empty() {
        let path = &config.tls_ca_cert_dir;
        let paths = rivulet_host::fs::list(path).map_err(|e| format!("{path}: {}", os_error(&e)))?;
        let is_one = |file: &Vec<u8>| file.windows(CERTIFICATE_BEGINS.len()).any(|at| at == CERTIFICATE_BEGINS);
        authorities.extend(paths.iter().filter_map(|path| read(path).ok()).filter(is_one));
    }
    Ok(authorities)
}

const CERTIFICATE_BEGINS: &[u8] = b"-----BEGIN CERTIFICATE-----";

fn read(path: impl AsRef<Path>) -> Result<Vec<u8>, String> {
    let len = rivulet_host::fs::metadata(&path).map_err(|e| os_error(&e))?.len;
    if len > FILE_BYTES_MAX {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    rivulet_host::fs::read(path).map_err(|e| os_error(&e))
}
