//! The file of the users (`aclfile`): a line for each.
//!
//! ```text
//! user <name> <rule> <rule> …
//! ```
//!
//! Words are between single blanks; there are no quotes and no comments. A file is taken as a whole or not at all.

use rivulet_commands::fail::Fail;
use rivulet_commands::table::{self, Table};

use crate::rule::{RuleError, has_blanks, merge_selectors};
use crate::user::User;
use crate::users::{DEFAULT, Users};

/// The users of a file. Without a line for it the default user may do all.
///
/// # Errors
/// What is wrong, of all lines. `name` is how the file is called in it.
pub fn parse(text: &[u8], name: &str, all_channels: bool) -> Result<Users, Fail> {
    parse_of(table::server(), text, name, all_channels)
}

/// The same where there are other commands than a server's.
///
/// # Errors
/// As above.
pub fn parse_of(table: &'static Table, text: &[u8], name: &str, all_channels: bool) -> Result<Users, Fail> {
    let mut users = Users::none(table, all_channels);
    let mut errors = Vec::new();
    for (i, line) in text.split(|&c| c == b'\n').enumerate() {
        let line = trim(line, b" \t\r\n");
        if !line.is_empty() {
            add_line(&mut users, line, &format!("{name}:{}", i + 1), i + 1, &mut errors);
        }
    }
    if !errors.is_empty() {
        errors.extend(b"WARNING: ACL errors detected, no change to the previously active ACL rules was performed");
        return Err(Fail::bytes(errors));
    }
    if users.get(DEFAULT).is_none() {
        users.put_first();
    }
    Ok(users)
}

/// The file of these users.
pub fn render(users: &Users) -> Vec<u8> {
    let lines = users.iter().map(|user| user.line());
    lines.flat_map(|line| line.into_iter().chain([b'\n'])).collect()
}

fn trim<'a>(text: &'a [u8], blanks: &[u8]) -> &'a [u8] {
    let start = text.iter().position(|c| !blanks.contains(c)).unwrap_or(text.len());
    let end = text.iter().rposition(|c| !blanks.contains(c)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// Reads one line; `place` says where it is, as errors begin.
fn add_line(users: &mut Users, line: &[u8], place: &str, number: usize, errors: &mut Vec<u8>) {
    let words: Vec<&[u8]> = line.split(|&c| c == b' ').collect();
    let [b"user", name, rules @ ..] = words.as_slice() else {
        errors.extend(format!("{place} should start with user keyword followed by the username. ").bytes());
        return;
    };
    if has_blanks(name) {
        let name = String::from_utf8_lossy(name);
        errors.extend(format!("'{place}: username '{name}' contains invalid characters. ").bytes());
        return;
    }
    if users.get(name).is_some() {
        let name = String::from_utf8_lossy(name);
        errors.extend(format!("WARNING: Duplicate user '{name}' found on line {number}. ").bytes());
        return;
    }
    let mut user = users.new_user(name);
    match merge_selectors(rules) {
        Ok(rules) => rules
            .iter()
            .fold(false, |told, rule| apply(&mut user, trim(rule, b"\t\r\n"), users.all_channels, place, told, errors)),
        Err(_) => {
            errors.extend(format!("{place}: Unmatched parenthesis in selector definition.").bytes());
            return;
        }
    };
    users.put(user);
}

/// Applies one rule; answers whether an error of this line that may lead to others was told.
fn apply(user: &mut User, rule: &[u8], all_channels: bool, place: &str, told: bool, errors: &mut Vec<u8>) -> bool {
    match user.apply(rule, all_channels) {
        Ok(()) => told,
        // It names no secret.
        Err(error @ RuleError::Unknown) => {
            let rule = String::from_utf8_lossy(rule);
            errors.extend(format!("{place}: Error in applying operation '{rule}': {error}. ").bytes());
            told
        }
        Err(error) => {
            if !told {
                errors.extend(format!("{place}: {error}. ").bytes());
            }
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        String::from_utf8(parse(text.as_bytes(), "f", false).expect_err("it is wrong").0.into_owned()).expect("text")
    }

    #[test]
    fn a_file_is_what_was_written() {
        let mut users = Users::new(false);
        users.set(b"a", &[b"on", b">p", b"~k*", b"+@read", b"(+set ~w &c)"]).expect("rules");
        users.set(b"b", &[b"reset"]).expect("rules");
        let text = render(&users);
        let again = parse(&text, "f", false).expect("it was written");
        assert_eq!(render(&again), text);
        assert_eq!(again.len(), 3);
        assert_eq!(render(&parse(b"", "f", false).expect("no users")), b"user default on nopass ~* &* +@all\n");
        assert_eq!(parse(b"\n  user  on\r\n\n", "f", false).expect("the empty name").len(), 2);
        assert!(!parse(b"user default on", "f", false).expect("valid").default_user().allows_all());
    }

    #[test]
    fn errors_of_all_lines_are_told() {
        let end = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
        for (text, want) in [
            ("nonsense", "f:1 should start with user keyword followed by the username. "),
            ("user a on\nuser a off", "WARNING: Duplicate user 'a' found on line 2. "),
            ("user a\tb on", "'f:1: username 'a\tb' contains invalid characters. "),
            (
                "user a +nonsense x y\n\nuser b ~a b",
                "f:1: Error in applying operation '+nonsense': Unknown command or category name in ACL. f:1: Syntax error. f:3: Syntax error. ",
            ),
            ("user a (+get", "f:1: Unmatched parenthesis in selector definition."),
        ] {
            assert_eq!(error(text), format!("{want}{end}"), "{text}");
        }
    }
}
