//! INFO's text as fields. Sections are not looked at: no two have a field of the same name.

use std::collections::BTreeMap;

/// More of a text is not read: a real one has some 20 KiB, one of `INFO everything` with many commands some 100.
pub const TEXT_LEN_MAX: usize = 4 << 20;
/// Of a text that is kept and shown not more is taken: findings are the longest that there are.
const BRIEF_LEN_MAX: usize = 4 << 10;
const WORD_LEN_MAX: usize = 256;

/// The fields of INFO, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Info(BTreeMap<String, String>);

impl Info {
    /// Reads lines of `name:value`. What is no such line, as a section's title, is passed over. A name that comes twice has its last value.
    pub fn parse(text: &str) -> Info {
        let lines = beginning(text, TEXT_LEN_MAX).lines().filter(|line| !line.starts_with('#'));
        // Other blanks at the end belong to the value: a Sentinel's master may have any name.
        let pairs = lines.filter_map(|line| line.strip_suffix('\r').unwrap_or(line).split_once(':'));
        Info(pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number that is not negative; servers write -1 for what is not known.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    pub fn float(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok().filter(|f: &f64| f.is_finite())
    }

    /// Whether a field is 1.
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name) == Some("1")
    }

    /// A text that is not empty.
    pub fn some_text(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All fields, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Fields that begin with `prefix`: what follows it, and the value.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from = self.0.range(prefix.to_string()..);
        from.map_while(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    /// Fields named by a word and a number, as `slave0`, in the order of the numbers, with their values.
    pub fn numbered<'a>(&'a self, word: &'a str) -> Vec<(u64, &'a str)> {
        let numbered = self.with_prefix(word).filter_map(|(rest, value)| Some((digits(rest)?, value)));
        let mut found: Vec<(u64, &str)> = numbered.collect();
        found.sort_unstable();
        found
    }
}

/// What somebody else has said, as much of it as is worth keeping.
pub fn brief(text: &str) -> String {
    beginning(text, BRIEF_LEN_MAX).to_string()
}

/// The same of what should be a word: a state, an id, the name of a set.
pub fn word(text: &str) -> String {
    beginning(text, WORD_LEN_MAX).to_string()
}

fn beginning(text: &str, len_max: usize) -> &str {
    let end = (0..=text.len().min(len_max)).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A part of a value such as `ip=127.0.0.1,port=6380,lag=0`.
pub fn part<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The same as a number.
pub fn part_count(value: &str, name: &str) -> Option<u64> {
    part(value, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Replication\r\nrole:master\r\nslave0:ip=::1,port=6380,lag=0\r\nslave10:ip=b,port=2,lag=1\r\nslave2:ip=c,port=3,lag=x\r\nslave_priority:100\r\nsecond_repl_offset:-1\r\nfile:a:b\r\nempty:\r\nnonsense\r\nfraction:0.50\r\nnan:NaN\r\n";

    #[test]
    fn fields_have_the_types_that_they_are_asked_for() {
        let info = Info::parse(TEXT);
        assert_eq!(info.text("role"), Some("master"));
        assert_eq!(info.text("file"), Some("a:b"));
        assert_eq!((info.text("empty"), info.some_text("empty")), (Some(""), None));
        assert_eq!((info.count("second_repl_offset"), info.count("slave_priority")), (None, Some(100)));
        assert_eq!((info.float("fraction"), info.float("nan"), info.float("nonsense")), (Some(0.5), None, None));
    }

    #[test]
    fn numbered_fields_come_in_the_order_of_their_numbers() {
        let info = Info::parse(TEXT);
        let numbers: Vec<u64> = info.numbered("slave").iter().map(|(n, _)| *n).collect();
        assert_eq!(numbers, [0, 2, 10]);
        assert_eq!(part(info.numbered("slave")[0].1, "ip"), Some("::1"));
        assert_eq!(part_count(info.numbered("slave")[1].1, "lag"), None);
        assert_eq!(part("port=1", "por"), None);
    }

    #[test]
    fn blanks_at_the_end_belong_to_the_value() {
        let info = Info::parse("a:x \r\nb:y\t\nc: \r\nd:z\r");
        assert_eq!(["a", "b", "c", "d"].map(|name| info.text(name)), [Some("x "), Some("y\t"), Some(" "), Some("z")]);
    }

    #[test]
    fn what_is_kept_is_brief() {
        assert_eq!(brief("ä"), "ä");
        assert_eq!(brief(&"ä".repeat(BRIEF_LEN_MAX)).len(), BRIEF_LEN_MAX);
        assert_eq!(word(&format!("x{}", "ä".repeat(WORD_LEN_MAX))).len(), WORD_LEN_MAX - 1);
    }

    #[test]
    fn any_text_can_be_read() {
        for text in ["", ":", "\r\n\r\n", "::::", "# :", "ä:ö", "slave99999999999999999999:x"] {
            let info = Info::parse(text);
            assert!(info.numbered("slave").is_empty());
        }
        let long = "ä:".repeat(TEXT_LEN_MAX);
        assert_eq!(Info::parse(&long).iter().count(), 1);
    }
}
