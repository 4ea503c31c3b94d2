//! What servers say of themselves, in pairs of English and Chinese. Servers say it in English; the page's script finds the pair and puts in what differs each
//! time (`document/sentences.js`). What has no pair is shown as it was said.

/// Pairs as JSON. `{name}` is what differs each time.
pub const SENTENCES: &str = include_str!("../document/sentences.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Where sentences of the page come from, beside the doctor.
    const SOURCES: &[&str] = &[
        "node/src",
        "replication/src/syncs.rs",
        "replication/src/failover.rs",
        "topology/src",
        "page/src",
        "client/src",
    ];
    /// What stands before a reason that the page shows.
    const MARKS: &[&str] = &["note_diverged(|| ", "made_failed(", "replica_gone(id, ", "Outcome::Failed("];
    /// The same in REPLICATION VERIFY's reply.
    const VERDICT_MARKS: &[&str] = &["(\"yes\", ", "(\"no\", ", "(\"unverifiable\", ", "(\"timeout\", "];
    /// Words of the system, which no source has.
    const OF_THE_SYSTEM: &[&str] = &["Connection refused"];

    fn pairs() -> Vec<(String, String)> {
        serde_json::from_str(SENTENCES).expect("pairs of texts")
    }

    fn crates() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// A source without its tests and comments.
    fn source(path: &Path) -> String {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
    }

    fn sources(at: &Path) -> Vec<String> {
        if !at.is_dir() {
            return vec![source(at)];
        }
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(at).expect("a directory").map(|e| e.expect("an entry").path()).collect();
        entries.retain(|path| path.is_dir() || path.extension().is_some_and(|end| end == "rs"));
        entries.sort();
        entries.iter().flat_map(|path| sources(path)).collect()
    }

    /// The text of a literal whose quote was read, and what comes after it.
    fn literal(mut code: &str) -> (String, &str) {
        let mut text = String::new();
        while let Some(at) = code.find(['"', '\\']) {
            text += &code[..at];
            let mut rest = code[at..].chars();
            if rest.next() == Some('"') {
                return (text, rest.as_str());
            }
            let escaped = rest.next();
            text.extend(escaped.filter(|c| *c != '\n'));
            code = if escaped == Some('\n') { rest.as_str().trim_start() } else { rest.as_str() };
        }
        (text, "")
    }

    fn literals(code: &str) -> Vec<String> {
        // A quote as a character begins no text.
        let code = code.replace("'\"'", "' '").replace("b'\"'", "' '");
        let mut rest = code.as_str();
        let mut found = Vec::new();
        while let Some((_, after)) = rest.split_once('"') {
            let (text, after) = literal(after);
            found.push(text);
            rest = after;
        }
        found
    }

    /// The literals that follow one of these marks, also within `format!`.
    fn literals_after(code: &str, marks: &[&str]) -> Vec<String> {
        let after = marks.iter().flat_map(|mark| code.match_indices(mark).map(|(at, mark)| &code[at + mark.len()..]));
        let begun = after.filter_map(|rest| rest.strip_prefix("format!(").unwrap_or(rest).strip_prefix('"'));
        begun.map(|rest| literal(rest).0).collect()
    }

    /// A text without the names of what differs. What stands at its beginning, or beside another one, is left out: in a source several values may
    /// come together to a clause, which is one in a pair.
    fn skeleton(text: &str) -> String {
        let mut out = String::new();
        for (i, piece) in text.split('{').enumerate() {
            let fixed = if i == 0 { piece } else { piece.split_once('}').map_or(piece, |(_, fixed)| fixed) };
            if i > 0 && !out.is_empty() && !out.ends_with("{}") {
                out += "{}";
            }
            out += fixed;
        }
        out
    }

    fn names(text: &str) -> Vec<&str> {
        text.split('{').skip(1).filter_map(|piece| piece.split_once('}')).map(|(name, _)| name).collect()
    }

    fn is_words(text: &str) -> bool {
        skeleton(text).replace("{}", "").chars().any(|c| c.is_ascii_alphabetic())
    }

    fn translated() -> BTreeSet<String> {
        pairs().iter().map(|(english, _)| skeleton(english)).collect()
    }

    #[test]
    fn each_sentence_of_the_doctor_has_a_translation() {
        let found = literals(&source(&crates().join("replication/src/doctor.rs")));
        assert!(found.iter().filter(|text| text.len() > 60).count() > 15, "they are found: {found:#?}");
        let translated = translated();
        let missing: Vec<&String> =
            found.iter().filter(|text| is_words(text) && !translated.contains(&skeleton(text))).collect();
        assert!(missing.is_empty(), "sentences.json has no pair for {missing:#?}");
    }

    #[test]
    fn each_reason_of_a_failed_sync_of_other_data_and_of_a_proof_has_one() {
        let code = sources(&crates().join("node/src"))
            .into_iter()
            .chain(sources(&crates().join("replication/src")))
            .collect::<String>();
        let verify = source(&crates().join("node/src/replication/verify/driver.rs"));
        let (reasons, verdicts) = (literals_after(&code, MARKS), literals_after(&verify, VERDICT_MARKS));
        assert!(reasons.len() >= 8 && verdicts.len() >= 8, "they are found: {reasons:#?} {verdicts:#?}");
        let translated = translated();
        let missing: Vec<&String> =
            reasons.iter().chain(&verdicts).filter(|text| !translated.contains(&skeleton(text))).collect();
        assert!(missing.is_empty(), "sentences.json has no pair for {missing:#?}");
    }

    #[test]
    fn no_pair_is_left_over() {
        let doctor = source(&crates().join("replication/src/doctor.rs"));
        let code = SOURCES.iter().flat_map(|at| sources(&crates().join(at))).chain([doctor]);
        let said: BTreeSet<String> = code.flat_map(|code| literals(&code)).map(|text| skeleton(&text)).collect();
        let left: Vec<String> = translated().into_iter().filter(|text| !said.contains(text)).collect();
        assert_eq!(left, OF_THE_SYSTEM, "nothing says these");
    }

    #[test]
    fn pairs_agree_in_what_differs() {
        for (english, chinese) in pairs() {
            let known = names(&english);
            assert_eq!(known.iter().collect::<BTreeSet<_>>().len(), known.len(), "a name comes twice: {english}");
            assert!(!english.contains("}{"), "nothing tells where the first value ends: {english}");
            assert!(names(&chinese).iter().all(|name| known.contains(name)), "{english}: {chinese}");
            assert!(chinese.chars().any(|c| c > '\u{2e7f}') || english.starts_with("{n} "), "{chinese}");
        }
    }

    /// The names in an object of the page's script that stands on one line.
    fn names_in(object: &str) -> BTreeSet<String> {
        let script = include_str!("../document/panels.js");
        let (_, rest) = script.split_once(&format!("const {object} = {{")).expect("the object");
        let (list, _) = rest.split_once('}').expect("its end");
        list.split(',')
            .filter_map(|pair| pair.split_once(':'))
            .map(|(name, _)| name.trim().trim_matches('"').into())
            .collect()
    }

    #[test]
    fn each_reason_of_a_sync_and_each_event_has_words() {
        let syncs = source(&crates().join("replication/src/syncs.rs"));
        let (_, rest) = syncs.split_once("FULL_REASONS: [&str; ").expect("the reasons");
        let mut reasons = literals(rest.split_once("];").expect("their end").0);
        assert!(reasons.len() >= 8, "they are found: {reasons:?}");
        reasons.extend(["continued".into(), "not-continued".into()]);
        let known = names_in("WHY");
        assert!(reasons.iter().all(|reason| known.contains(reason)), "{reasons:?} {known:?}");
        let events = source(&crates().join("topology/src/event.rs"));
        let (_, rest) = events.split_once("pub enum EventKind {").expect("the events");
        let variants =
            rest.split_once('}').expect("their end").0.split(',').map(str::trim).filter(|name| !name.is_empty());
        let known = names_in("EVENT_WORDS");
        for variant in variants.filter(|name| *name != "Sync") {
            let kind = variant.char_indices().map(|(i, c)| match c.is_ascii_uppercase() {
                true if i > 0 => format!("_{}", c.to_ascii_lowercase()),
                _ => c.to_ascii_lowercase().to_string(),
            });
            let kind: String = kind.collect();
            assert!(known.contains(&kind), "{kind}: {known:?}");
        }
    }

    #[test]
    fn literals_are_read_as_the_compiler_reads_them() {
        let code = "let a = \"one \\\"two\\\" \\\n        three\"; f('\"', \"four\");";
        assert_eq!(literals(code), ["one \"two\" three", "four"]);
        assert_eq!(literals_after("f(format!(\"a {}\", b)); f(\"c\"); f(d)", &["f("]), ["a {}", "c"]);
        assert_eq!((skeleton("{a} b {c:.1}{d} e"), skeleton("x {y}")), (" b {} e".to_string(), "x {}".to_string()));
    }
}
