//! Files of certificates and keys, and the lists of protocols and ciphers: they make a context or are refused with a reason.

use rcgen::{CertificateParams, KeyPair};
use rivulet_net::{Credentials, TlsContext, TlsSettings};

/// Two lines of lists, and then the files.
pub fn run(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |&c| c == b'\n');
    let mut line = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (first, second) = (line(), line());
    let file = parts.next().unwrap_or_default();
    let own = || Credentials { certificates: file, key: file, password: None };
    let settings = TlsSettings {
        server: own(),
        client: Some(own()),
        authorities: vec![file.to_vec()],
        protocols: if first.starts_with("TLS_") { "" } else { &first },
        ciphers: &second,
        ciphersuites: if first.starts_with("TLS_") { &first } else { "" },
        prefers_own_ciphers: false,
        sessions: None,
    };
    if let Err(error) = TlsContext::new(&settings) {
        assert!(!format!("{error:?}").is_empty());
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::default().self_signed(&key).expect("a certificate");
    let file = format!("{}{}", certificate.pem(), key.serialize_pem());
    ["TLSv1.2 TLSv1.3\nDEFAULT:!AES128:@STRENGTH", "\nECDHE+AESGCM:CHACHA20", "TLS_AES_128_GCM_SHA256\n"]
        .map(|lists| format!("{lists}\n{file}").into_bytes())
        .to_vec()
}
