//! What TLS needs of the configuration: the files that it names are read, and a context is made of them that new connections begin with.

use std::path::Path;

use rivulet_host::fs;
use rivulet_net::{ClientAuth, Credentials, TlsContext, TlsError, TlsSettings};

use crate::{Config, os_reason};

/// A file that is larger is none of certificates or keys.
const FILE_BYTES_MAX: u64 = 16 << 20;
const CERTIFICATE_BEGINS: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The bytes of the files that the directives name.
struct Files {
    certificates: Vec<u8>,
    key: Vec<u8>,
    client: Option<(Vec<u8>, Vec<u8>)>,
    authorities: Vec<Vec<u8>>,
}

impl Config {
    /// Whether a directive asks for TLS.
    pub fn uses_tls(&self) -> bool {
        self.tls_port != 0 || self.tls_replication || self.tls_cluster
    }

    /// What clients that come by TLS must show.
    pub fn client_auth(&self) -> ClientAuth {
        match self.tls_auth_clients.as_str() {
            "no" => ClientAuth::No,
            "optional" => ClientAuth::Optional,
            _ => ClientAuth::Yes,
        }
    }

    /// Reads the files that the directives name, and makes a context of them.
    ///
    /// # Errors
    /// What is wrong, as a line for the log.
    pub fn tls_context(&self) -> Result<TlsContext, String> {
        for (file, name) in [(&self.tls_cert_file, "tls-cert-file"), (&self.tls_key_file, "tls-key-file")] {
            if file.is_empty() {
                return Err(format!("No {name} configured!"));
            }
        }
        let verifies = self.tls_auth_clients != "no" || self.tls_cluster || self.tls_replication;
        if verifies && self.tls_ca_cert_file.is_empty() && self.tls_ca_cert_dir.is_empty() {
            return Err("Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or tls-auth-clients are enabled!".to_string());
        }
        let files = read_files(self)?;
        let sessions = (self.tls_session_cache_size as usize, self.tls_session_cache_timeout);
        TlsContext::new(&TlsSettings {
            server: credentials(&files.certificates, &files.key, &self.tls_key_file_pass),
            client: files.client.as_ref().map(|(own, key)| credentials(own, key, &self.tls_client_key_file_pass)),
            authorities: files.authorities,
            protocols: &self.tls_protocols,
            ciphers: &self.tls_ciphers,
            ciphersuites: &self.tls_ciphersuites,
            prefers_own_ciphers: self.tls_prefer_server_ciphers,
            sessions: self.tls_session_caching.then_some(sessions),
        })
        .map_err(|error| complaint(self, &error))
    }
}

fn credentials<'a>(certificates: &'a [u8], key: &'a [u8], password: &'a str) -> Credentials<'a> {
    Credentials { certificates, key, password: (!password.is_empty()).then_some(password) }
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
        let paths = fs::list(path).map_err(|e| format!("{path}: {}", os_reason(&e)))?;
        let is_one = |file: &Vec<u8>| file.windows(CERTIFICATE_BEGINS.len()).any(|at| at == CERTIFICATE_BEGINS);
        authorities.extend(paths.iter().filter_map(|path| read(path).ok()).filter(is_one));
    }
    Ok(authorities)
}

fn read(path: impl AsRef<Path>) -> Result<Vec<u8>, String> {
    let len = fs::metadata(&path).map_err(|e| os_reason(&e))?.len;
    if len > FILE_BYTES_MAX {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    fs::read(path).map_err(|e| os_reason(&e))
}
