//! Whose requests are answered, and what each answer tells the browser.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::document;

/// Which way a connection has come.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// From where.
    pub peer: IpAddr,
    /// It is to a listener on a loopback address.
    pub is_to_loopback: bool,
    /// It is from one: whoever asks is on this machine.
    pub is_from_loopback: bool,
}

/// Whether a request's `Host` may be meant for this machine, where only this machine may ask. Another name means that somebody else's name was
/// given a local address, so that a page from there could read this one (DNS rebinding). An address as such belongs to no name.
pub fn is_local_host(host: Option<&str>) -> bool {
    let Some(host) = host else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

/// Whether a request that changes something comes from the page itself: what browsers say of where it comes from must not speak against it.
pub fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let is_own_origin = match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host)),
        (Some(_), None) => false,
    };
    is_own_origin && site.is_none_or(|site| site == "same-origin" || site == "none")
}

/// What every answer says: nothing may be loaded from elsewhere, nobody may frame it, nothing is guessed or passed on.
pub fn secure(headers: &mut HeaderMap) {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(document::policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.:1",
            "a.localhost",
            "127.0.0.1:80",
            "[::1]:80",
            "[::1]",
            "10.0.0.1",
        ] {
            assert!(is_local_host(Some(host)), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "[", "::1"]
        {
            assert!(!is_local_host(Some(host)), "{host}");
        }
        assert!(!is_local_host(None));
    }

    #[test]
    fn where_a_request_comes_from() {
        let request = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            is_same_origin(&headers)
        };
        assert!(request(&[("host", "a:1")]), "no browser");
        assert!(request(&[("host", "a:1"), ("origin", "http://a:1"), ("sec-fetch-site", "same-origin")]));
        assert!(!request(&[("host", "a:1"), ("origin", "http://a:2")]));
        assert!(!request(&[("host", "a:1"), ("origin", "null")]));
        assert!(!request(&[("origin", "http://a:1")]));
        assert!(!request(&[("host", "a:1"), ("sec-fetch-site", "cross-site")]));
        assert!(!request(&[("host", "a:1"), ("sec-fetch-site", "same-site")]));
    }

    #[test]
    fn every_answer_is_secured() {
        let mut headers = HeaderMap::new();
        secure(&mut headers);
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("ascii");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    }
}
