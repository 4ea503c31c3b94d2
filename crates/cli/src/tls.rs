//! What TLS begins with, out of the files that the options name.

use std::fs;
use std::path::Path;

use rivulet_client::{ClientTls, ClientTlsSettings, Credentials, TlsError, system_authorities};

use crate::options::TlsFiles;
use crate::out::system_words;

/// No more of a directory's files is looked at.
const AUTHORITIES_MAX: usize = 10_000;

/// Reads the files.
///
/// # Errors
/// One can't be read, or is not what it should be; said in words.
pub fn context(files: &TlsFiles) -> Result<ClientTls, String> {
    let authorities = if files.trusts_anybody { Vec::new() } else { authorities(files)? };
    let credentials = match (&files.certificate, &files.key) {
        (Some(certificate), key) => Some((read(certificate)?, read(key.as_ref().unwrap_or(certificate))?)),
        (None, Some(_)) => return Err("--key needs --cert".into()),
        (None, None) => None,
    };
    let settings = ClientTlsSettings {
        authorities,
        trusts_anybody: files.trusts_anybody,
        credentials: credentials.as_ref().map(|(certificates, key)| Credentials { certificates, key, password: None }),
        ciphers: &files.ciphers,
        ciphersuites: &files.ciphersuites,
        server_name: files.server_name.as_deref(),
    };
    ClientTls::new(&settings).map_err(|error| match error {
        TlsError::Certificate(why) | TlsError::ClientCertificate(why) => format!("Invalid client certificate: {why}"),
        TlsError::Key(why) | TlsError::ClientKey(why) => format!("Invalid private key: {why}"),
        TlsError::Authorities(why) => format!("Invalid CA Certificate File/Directory: {why}"),
        TlsError::Ciphers(why) | TlsError::Ciphersuites(why) => format!("Error while configuring ciphers: {why}"),
        TlsError::Protocols(why) => format!("Invalid protocol: {why}"),
    })
}

fn authorities(files: &TlsFiles) -> Result<Vec<Vec<u8>>, String> {
    let mut found = Vec::new();
    if let Some(file) = &files.authority {
        found.push(read(file)?);
    }
    if let Some(dir) = &files.authority_dir {
        let entries = fs::read_dir(dir).map_err(|error| format!("{}: {}", dir.display(), system_words(&error)))?;
        for entry in entries.take(AUTHORITIES_MAX).flatten() {
            // Whatever else lies there is no matter.
            let bytes = fs::read(entry.path()).unwrap_or_default();
            if bytes.windows(11).any(|part| part == b"-----BEGIN ") && contains(&bytes, b"CERTIFICATE-----") {
                found.push(bytes);
            }
        }
    }
    if found.is_empty() {
        found.push(system_authorities().map_err(|error| system_words(&error))?);
    }
    Ok(found)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {}", path.display(), system_words(&error)))
}
