//! What is wrong with a rule, and the forms that rules may have on a line.

use std::borrow::Cow;
use std::fmt;

/// Why a rule was refused. The text is Redis's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// No rule, or a pattern with blanks.
    Syntax,
    /// There is no such command or category.
    Unknown,
    /// A pattern of keys where all keys are allowed already.
    KeysAfterAll,
    ChannelsAfterAll,
    /// A password to remove that is not there.
    NoSuchPassword,
    BadHash,
    /// A first argument of a subcommand.
    ArgumentOfSubcommand,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleError::Syntax => "Syntax error",
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::KeysAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::ChannelsAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels"
            }
            RuleError::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            RuleError::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            RuleError::ArgumentOfSubcommand => "Allowing first-arg of a subcommand is not supported",
        })
    }
}

impl std::error::Error for RuleError {}

/// Whether a text has a blank of C's `isspace` or a NUL in it: names of users and patterns have none.
pub fn has_blanks(text: &[u8]) -> bool {
    text.iter().any(|c| matches!(c, b' ' | 9..=13 | 0))
}

/// A text as C sees it: up to its first NUL.
pub(crate) fn c_text(text: &[u8]) -> &[u8] {
    text.split(|&c| c == 0).next().unwrap_or_default()
}

/// Joins selectors that were cut at blanks: `(+get`, `~a)` are one rule.
///
/// # Errors
/// The place of a parenthesis that is not closed.
pub fn merge_selectors<'a>(rules: &[&'a [u8]]) -> Result<Vec<Cow<'a, [u8]>>, usize> {
    let mut merged: Vec<Cow<'a, [u8]>> = Vec::with_capacity(rules.len());
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (i, rule) in rules.iter().enumerate() {
        let closes = rule.last() == Some(&b')');
        if rule.first() == Some(&b'(') && !closes {
            // As in Redis, one that opens within another takes its place.
            open = Some((i, rule.to_vec()));
        } else if let Some((start, mut text)) = open.take() {
            text.push(b' ');
            text.extend_from_slice(c_text(rule));
            match closes {
                true => merged.push(text.into()),
                false => open = Some((start, text)),
            }
        } else {
            merged.push(Cow::Borrowed(rule));
        }
    }
    match open {
        Some((start, _)) => Err(start),
        None => Ok(merged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(line: &str) -> Result<String, usize> {
        let rules: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        merge_selectors(&rules).map(|m| m.iter().map(|r| String::from_utf8_lossy(r)).collect::<Vec<_>>().join("|"))
    }

    #[test]
    fn selectors_are_joined() {
        for (line, want) in [
            ("on ~a", Ok("on|~a")),
            ("(+get ~a) on", Ok("(+get ~a)|on")),
            ("( +get ~a ) (x)", Ok("( +get ~a )|(x)")),
            ("on (+get", Err(1)),
            ("(a (b c)", Ok("(b c)")),
            ("on )", Ok("on|)")),
            ("", Ok("")),
        ] {
            assert_eq!(merged(line), want.map(String::from), "{line}");
        }
    }
}
