//! Certificates and private keys, out of the files' bytes.

use pkcs8::EncryptedPrivateKeyInfo;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::Kdf;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::pem;

/// What a password's hash may cost: rounds of PBKDF2, and bytes and lanes of scrypt. More than anybody needs would only keep everybody waiting.
const ROUNDS_MAX: u32 = 5_000_000;
const SCRYPT_BYTES_MAX: u64 = 256 << 20;
const SCRYPT_LANES_MAX: u16 = 16;

/// The certificates of a file, in its order.
///
/// # Errors
/// There is none, or the file is broken.
pub fn certificates(file: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let is_one = |label: &str| matches!(label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE");
    let found: Vec<_> = pem::sections(file)?
        .into_iter()
        .filter(|section| is_one(section.label))
        .map(|section| CertificateDer::from(section.content))
        .collect();
    if found.is_empty() { Err("there is no certificate in it".to_string()) } else { Ok(found) }
}

/// The private key of a file: PKCS #8, encrypted or not, or the older forms of RSA and elliptic curves.
///
/// # Errors
/// There is none, the password is missing or wrong, or the key is encrypted in a way that can't be read here.
pub fn private_key(file: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, String> {
    for section in pem::sections(file)? {
        if section.has_headers && section.label.ends_with("PRIVATE KEY") {
            return Err("it is encrypted in the traditional way of OpenSSL, which is not supported: convert it with `openssl pkcs8 -topk8 -v2 aes256`".to_string());
        }
        match section.label {
            "PRIVATE KEY" => return Ok(PrivateKeyDer::Pkcs8(section.content.into())),
            "RSA PRIVATE KEY" => return Ok(PrivateKeyDer::Pkcs1(section.content.into())),
            "EC PRIVATE KEY" => return Ok(PrivateKeyDer::Sec1(section.content.into())),
            "ENCRYPTED PRIVATE KEY" => {
                let password = password.ok_or("it is encrypted, and there is no password for it")?;
                return decrypted(&section.content, password);
            }
            _ => {}
        }
    }
    Err("there is no private key in it".to_string())
}

fn decrypted(content: &[u8], password: &str) -> Result<PrivateKeyDer<'static>, String> {
    const SUPPORTED: &str = "supported are PBES2 with AES-CBC, and PBKDF2 with SHA-2 or scrypt";
    let info = EncryptedPrivateKeyInfo::try_from(content)
        .map_err(|error| format!("its encryption can't be read ({error}): {SUPPORTED}"))?;
    let scheme = match &info.encryption_algorithm {
        EncryptionScheme::Pbes2(scheme) => scheme,
        _ => return Err(format!("its encryption is not supported: {SUPPORTED}")),
    };
    if !is_affordable(&scheme.kdf) {
        return Err("its password is hashed more often, or in more memory, than anybody needs".to_string());
    }
    let document = info
        .decrypt(password)
        .map_err(|_| format!("the password is wrong, or its encryption is not supported: {SUPPORTED}"))?;
    Ok(PrivateKeyDer::Pkcs8(document.as_bytes().to_vec().into()))
}

fn is_affordable(kdf: &Kdf<'_>) -> bool {
    match kdf {
        Kdf::Pbkdf2(parameters) => parameters.iteration_count <= ROUNDS_MAX,
        Kdf::Scrypt(parameters) => {
            let bytes = parameters.cost_parameter.saturating_mul(u64::from(parameters.block_size)).saturating_mul(128);
            bytes <= SCRYPT_BYTES_MAX && parameters.parallelization <= SCRYPT_LANES_MAX
        }
        _ => false,
    }
}
