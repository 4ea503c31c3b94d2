//! The one document, with its style and its script inside, and the policy that lets a browser run just these.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::sentences::SENTENCES;

const HTML: &str = include_str!("../document/page.html");
const STYLE: &str = include_str!("../document/page.css");
/// The parts of the script in their order; they share one scope.
const SCRIPT: &[&str] = &[
    include_str!("../document/words.js"),
    "const SENTENCES = ",
    SENTENCES,
    ";\n",
    include_str!("../document/sentences.js"),
    include_str!("../document/format.js"),
    include_str!("../document/layout.js"),
    include_str!("../document/picture.js"),
    include_str!("../document/panels.js"),
    include_str!("../document/session.js"),
    include_str!("../document/page.js"),
];

struct Document {
    html: Bytes,
    policy: String,
}

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
    let script = format!("\"use strict\";\n(() => {{\n{}}})();\n", SCRIPT.concat());
    let html = HTML.replace("/* style */", STYLE).replace("/* script */", &script);
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        source(&script),
        source(STYLE)
    );
    Document { html: html.into(), policy }
});

/// How a policy names a script or a style by what is in it.
fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

pub fn html() -> Bytes {
    DOCUMENT.html.clone()
}

/// The value of `Content-Security-Policy`.
pub fn policy() -> &'static str {
    &DOCUMENT.policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_whole_and_needs_nothing_from_elsewhere() {
        let html = String::from_utf8(html().to_vec()).expect("UTF-8");
        assert!(!html.contains("/* style */") && !html.contains("/* script */"));
        for foreign in ["src=\"http", "href=\"http", "@import", "url(http", "url(//"] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        // The policy lets no attribute be a style or a handler.
        for inline in [" style=\"", " onclick=", " onload="] {
            assert!(!HTML.contains(inline), "{inline}");
        }
        assert_eq!(html.matches("<script>").count(), 1);
    }

    #[test]
    fn the_policy_names_what_the_browser_hashes() {
        let html = String::from_utf8(html().to_vec()).expect("UTF-8");
        for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
            let (_, rest) = html.split_once(&format!("<{tag}>")).expect("it is there");
            let (text, _) = rest.split_once(&format!("</{tag}>")).expect("it ends");
            assert!(policy().contains(&format!("{directive} '{}'", source(text))), "{tag}");
        }
    }
}
