//! The names and rules by which OpenSSL calls cipher suites (ciphers(1)), and the suites that there are here.
//!
//! A list that was written for Redis means the same here, less what is not there: key exchange without forward secrecy, CBC, and everything older.

use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite as suite;

/// A suite up to TLS 1.2, with the words that select it. In OpenSSL's order of preference.
struct Known {
    name: &'static str,
    suite: SupportedCipherSuite,
    /// Beside those of all of them.
    words: &'static [&'static str],
    bits: u16,
}

const KNOWN: &[Known] = &[
    Known {
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        suite: suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        words: &["ECDSA", "aECDSA", "AESGCM", "AES", "AES256"],
        bits: 256,
    },
    Known {
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        suite: suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        words: &["aRSA", "AESGCM", "AES", "AES256"],
        bits: 256,
    },
    Known {
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        suite: suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        words: &["ECDSA", "aECDSA", "CHACHA20"],
        bits: 256,
    },
    Known {
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        suite: suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        words: &["aRSA", "CHACHA20"],
        bits: 256,
    },
    Known {
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        suite: suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        words: &["ECDSA", "aECDSA", "AESGCM", "AES", "AES128"],
        bits: 128,
    },
    Known {
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        suite: suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        words: &["aRSA", "AESGCM", "AES", "AES128"],
        bits: 128,
    },
];

/// Words that select all suites of the table.
const WORDS_OF_ALL: &[&str] = &["ALL", "DEFAULT", "HIGH", "TLSv1.2", "ECDHE", "EECDH", "kECDHE", "kEECDH", "ECDH"];

/// Words that select none.
const WORDS_OF_NONE: &[&str] = &[
    "3DES",
    "ADH",
    "AECDH",
    "AESCCM",
    "AESCCM8",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "CBC",
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
    "DES",
    "DH",
    "DHE",
    "DSS",
    "EDH",
    "EXP",
    "EXPORT",
    "EXPORT40",
    "EXPORT56",
    "GOST",
    "GOST89MAC",
    "GOST94",
    "IDEA",
    "LOW",
    "MD5",
    "MEDIUM",
    "NULL",
    "PSK",
    "RC2",
    "RC4",
    "RSA",
    "SEED",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "SRP",
    "SSLv3",
    "TLSv1",
    "TLSv1.0",
    "aDSS",
    "aGOST",
    "aNULL",
    "aPSK",
    "eNULL",
    "kDHE",
    "kDHEPSK",
    "kECDHEPSK",
    "kEDH",
    "kGOST",
    "kPSK",
    "kRSA",
    "kRSAPSK",
    "kSRP",
];

/// Suites of OpenSSL that are not there: a list may name them beside others.
#[rustfmt::skip]
const MISSING: &[&str] = &[
    "ADH-AES128-GCM-SHA256", "ADH-AES128-SHA", "ADH-AES128-SHA256", "ADH-AES256-GCM-SHA384", "ADH-AES256-SHA",
    "ADH-AES256-SHA256", "ADH-CAMELLIA128-SHA", "ADH-CAMELLIA128-SHA256", "ADH-CAMELLIA256-SHA",
    "ADH-CAMELLIA256-SHA256", "AECDH-AES128-SHA", "AECDH-AES256-SHA", "AECDH-NULL-SHA", "AES128-CCM",
    "AES128-CCM8", "AES128-GCM-SHA256", "AES128-SHA", "AES128-SHA256", "AES256-CCM", "AES256-CCM8",
    "AES256-GCM-SHA384", "AES256-SHA", "AES256-SHA256", "ARIA128-GCM-SHA256", "ARIA256-GCM-SHA384",
    "CAMELLIA128-SHA", "CAMELLIA128-SHA256", "CAMELLIA256-SHA", "CAMELLIA256-SHA256", "DES-CBC3-SHA",
    "DHE-DSS-AES128-GCM-SHA256", "DHE-DSS-AES128-SHA", "DHE-DSS-AES128-SHA256", "DHE-DSS-AES256-GCM-SHA384",
    "DHE-DSS-AES256-SHA", "DHE-DSS-AES256-SHA256", "DHE-DSS-ARIA128-GCM-SHA256", "DHE-DSS-ARIA256-GCM-SHA384",
    "DHE-DSS-CAMELLIA128-SHA", "DHE-DSS-CAMELLIA128-SHA256", "DHE-DSS-CAMELLIA256-SHA",
    "DHE-DSS-CAMELLIA256-SHA256", "DHE-PSK-AES128-CBC-SHA", "DHE-PSK-AES128-CBC-SHA256", "DHE-PSK-AES128-CCM",
    "DHE-PSK-AES128-CCM8", "DHE-PSK-AES128-GCM-SHA256", "DHE-PSK-AES256-CBC-SHA", "DHE-PSK-AES256-CBC-SHA384",
    "DHE-PSK-AES256-CCM", "DHE-PSK-AES256-CCM8", "DHE-PSK-AES256-GCM-SHA384", "DHE-PSK-ARIA128-GCM-SHA256",
    "DHE-PSK-ARIA256-GCM-SHA384", "DHE-PSK-CAMELLIA128-SHA256", "DHE-PSK-CAMELLIA256-SHA384",
    "DHE-PSK-CHACHA20-POLY1305", "DHE-PSK-NULL-SHA", "DHE-PSK-NULL-SHA256", "DHE-PSK-NULL-SHA384",
    "DHE-RSA-AES128-CCM", "DHE-RSA-AES128-CCM8", "DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES128-SHA",
    "DHE-RSA-AES128-SHA256", "DHE-RSA-AES256-CCM", "DHE-RSA-AES256-CCM8", "DHE-RSA-AES256-GCM-SHA384",
    "DHE-RSA-AES256-SHA", "DHE-RSA-AES256-SHA256", "DHE-RSA-ARIA128-GCM-SHA256", "DHE-RSA-ARIA256-GCM-SHA384",
    "DHE-RSA-CAMELLIA128-SHA", "DHE-RSA-CAMELLIA128-SHA256", "DHE-RSA-CAMELLIA256-SHA",
    "DHE-RSA-CAMELLIA256-SHA256", "DHE-RSA-CHACHA20-POLY1305", "DHE-RSA-DES-CBC3-SHA", "ECDHE-ARIA128-GCM-SHA256",
    "ECDHE-ARIA256-GCM-SHA384", "ECDHE-ECDSA-AES128-CCM", "ECDHE-ECDSA-AES128-CCM8", "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-CCM", "ECDHE-ECDSA-AES256-CCM8", "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-ARIA128-GCM-SHA256", "ECDHE-ECDSA-ARIA256-GCM-SHA384",
    "ECDHE-ECDSA-CAMELLIA128-SHA256", "ECDHE-ECDSA-CAMELLIA256-SHA384", "ECDHE-ECDSA-DES-CBC3-SHA",
    "ECDHE-ECDSA-NULL-SHA", "ECDHE-ECDSA-RC4-SHA", "ECDHE-PSK-AES128-CBC-SHA", "ECDHE-PSK-AES128-CBC-SHA256",
    "ECDHE-PSK-AES256-CBC-SHA", "ECDHE-PSK-AES256-CBC-SHA384", "ECDHE-PSK-CAMELLIA128-SHA256",
    "ECDHE-PSK-CAMELLIA256-SHA384", "ECDHE-PSK-CHACHA20-POLY1305", "ECDHE-PSK-NULL-SHA", "ECDHE-PSK-NULL-SHA256",
    "ECDHE-PSK-NULL-SHA384", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA384", "ECDHE-RSA-CAMELLIA128-SHA256", "ECDHE-RSA-CAMELLIA256-SHA384",
    "ECDHE-RSA-DES-CBC3-SHA", "ECDHE-RSA-NULL-SHA", "ECDHE-RSA-RC4-SHA", "EDH-RSA-DES-CBC3-SHA", "NULL-MD5",
    "NULL-SHA", "NULL-SHA256", "PSK-AES128-CBC-SHA", "PSK-AES128-CBC-SHA256", "PSK-AES128-CCM", "PSK-AES128-CCM8",
    "PSK-AES128-GCM-SHA256", "PSK-AES256-CBC-SHA", "PSK-AES256-CBC-SHA384", "PSK-AES256-CCM", "PSK-AES256-CCM8",
    "PSK-AES256-GCM-SHA384", "PSK-ARIA128-GCM-SHA256", "PSK-ARIA256-GCM-SHA384", "PSK-CAMELLIA128-SHA256",
    "PSK-CAMELLIA256-SHA384", "PSK-CHACHA20-POLY1305", "PSK-NULL-SHA", "PSK-NULL-SHA256", "PSK-NULL-SHA384",
    "RC4-MD5", "RC4-SHA", "RSA-PSK-AES128-CBC-SHA", "RSA-PSK-AES128-CBC-SHA256", "RSA-PSK-AES128-GCM-SHA256",
    "RSA-PSK-AES256-CBC-SHA", "RSA-PSK-AES256-CBC-SHA384", "RSA-PSK-AES256-GCM-SHA384",
    "RSA-PSK-ARIA128-GCM-SHA256", "RSA-PSK-ARIA256-GCM-SHA384", "RSA-PSK-CAMELLIA128-SHA256",
    "RSA-PSK-CAMELLIA256-SHA384", "RSA-PSK-CHACHA20-POLY1305", "RSA-PSK-NULL-SHA", "RSA-PSK-NULL-SHA256",
    "RSA-PSK-NULL-SHA384", "SRP-AES-128-CBC-SHA", "SRP-AES-256-CBC-SHA", "SRP-DSS-AES-128-CBC-SHA",
    "SRP-DSS-AES-256-CBC-SHA", "SRP-RSA-AES-128-CBC-SHA", "SRP-RSA-AES-256-CBC-SHA",
];

const TLS13: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
];

const TLS13_MISSING: &[&str] = &["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"];

/// The suites up to TLS 1.2 that a list in OpenSSL's language selects, the preferred one first.
///
/// # Errors
/// The list has an unknown name, or selects nothing that is there.
pub fn tls12(list: &str) -> Result<Vec<SupportedCipherSuite>, String> {
    let mut selected: Vec<usize> = Vec::new();
    let mut banned = [false; KNOWN.len()];
    for rule in list.split([':', ',', ' ', ';']).filter(|rule| !rule.is_empty()) {
        if rule == "@STRENGTH" {
            selected.sort_by_key(|i| std::cmp::Reverse(KNOWN[*i].bits));
            continue;
        }
        if rule.starts_with("@SECLEVEL=") {
            // All that is there has the strength of any level that can be asked for, or is refused by its own measure.
            continue;
        }
        let (sign, words) = match rule.strip_prefix(['-', '!', '+']) {
            Some(words) => (rule.as_bytes()[0], words),
            None => (b' ', rule),
        };
        let matching = matching(words)?;
        let is_matching = |i: &usize| matching.contains(i);
        match sign {
            b'-' => selected.retain(|i| !is_matching(i)),
            b'!' => {
                selected.retain(|i| !is_matching(i));
                matching.iter().for_each(|i| banned[*i] = true);
            }
            b'+' => selected.sort_by_key(is_matching),
            _ => {
                let new: Vec<usize> = matching.into_iter().filter(|i| !selected.contains(i) && !banned[*i]).collect();
                selected.extend(new);
            }
        }
    }
    if selected.is_empty() {
        return Err(format!("none of '{list}' is supported"));
    }
    Ok(selected.into_iter().map(|i| KNOWN[i].suite).collect())
}

/// The suites that all words between `+` select.
fn matching(words: &str) -> Result<Vec<usize>, String> {
    let mut matching: Vec<usize> = (0..KNOWN.len()).collect();
    for word in words.split('+') {
        if KNOWN.iter().any(|known| known.name == word || known.words.contains(&word)) {
            matching.retain(|i| KNOWN[*i].name == word || KNOWN[*i].words.contains(&word));
        } else if WORDS_OF_NONE.contains(&word) || MISSING.contains(&word) {
            matching.clear();
        } else if !WORDS_OF_ALL.contains(&word) {
            return Err(format!("there is no cipher '{word}'"));
        }
    }
    Ok(matching)
}

/// The suites of TLS 1.3 that a list names, the preferred one first.
///
/// # Errors
/// The list has an unknown name, or names nothing that is there.
pub fn tls13(list: &str) -> Result<Vec<SupportedCipherSuite>, String> {
    let mut selected = Vec::new();
    for name in list.split(':').filter(|name| !name.is_empty()) {
        match TLS13.iter().find(|(known, _)| *known == name) {
            Some((_, suite)) if !selected.contains(suite) => selected.push(*suite),
            Some(_) => {}
            None if TLS13_MISSING.contains(&name) => {}
            None => return Err(format!("there is no ciphersuite '{name}'")),
        }
    }
    if selected.is_empty() { Err(format!("none of '{list}' is supported")) } else { Ok(selected) }
}

/// All suites of TLS 1.3.
pub fn tls13_default() -> Vec<SupportedCipherSuite> {
    TLS13.iter().map(|(_, suite)| *suite).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of what is selected, as `openssl ciphers` shows them.
    fn names(list: &str) -> Result<Vec<&'static str>, String> {
        let name = |suite| KNOWN.iter().find(|known| known.suite == suite).map(|known| known.name);
        Ok(tls12(list)?.into_iter().filter_map(name).collect())
    }

    #[test]
    fn rules_are_those_of_openssl() {
        let all: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        assert_eq!(names("DEFAULT").as_deref(), Ok(&all[..]));
        assert_eq!(names("DEFAULT:-AES128-SHA256:@SECLEVEL=1").as_deref(), Ok(&all[..]));
        assert_eq!(
            names("ECDHE+AESGCM:!AES256").as_deref(),
            Ok(&["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"][..])
        );
        assert_eq!(
            names("aRSA:+CHACHA20").as_deref(),
            Ok(&["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"][..])
        );
        assert_eq!(
            names("AES128+aRSA:AES256+aRSA:@STRENGTH").as_deref(),
            Ok(&["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"][..])
        );
        // What was taken out may come back; what was banned may not.
        assert_eq!(names("CHACHA20+aRSA:-ALL:CHACHA20+aRSA").map(|found| found.len()), Ok(1));
        assert!(names("!CHACHA20:CHACHA20").is_err());
        assert_eq!(names("AES128-SHA256:ECDHE-RSA-AES128-GCM-SHA256").map(|found| found.len()), Ok(1));
    }

    #[test]
    fn what_is_not_there_is_refused() {
        assert_eq!(tls12("DEFAULT:nonsense"), Err("there is no cipher 'nonsense'".to_string()));
        assert!(tls12("AES128-SHA256:AES256-SHA256").is_err(), "neither is there");
        assert!(tls12("").is_err());
        assert!(tls13("TLS_NONSENSE").is_err());
        assert!(tls13("TLS_AES_128_CCM_SHA256").is_err());
        let only = tls13("TLS_AES_128_CCM_SHA256:TLS_AES_128_GCM_SHA256").expect("one is there");
        assert_eq!(only, [suite::TLS13_AES_128_GCM_SHA256]);
    }

    #[test]
    fn no_name_stands_in_two_lists() {
        for name in MISSING {
            assert!(KNOWN.iter().all(|known| known.name != *name) && !WORDS_OF_NONE.contains(name), "{name}");
        }
    }
}
