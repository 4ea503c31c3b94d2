//! The users with which a server, or a Sentinel, starts: lines of the configuration, or a file of their own, but not both.

use std::collections::HashSet;

use rivulet_acl::{RuleError, SetError, Users, has_blanks};
use rivulet_config::{Config, ConfigError, Line};

use crate::acl::all_channels;
use crate::log;
use crate::node::Node;

/// Looks at the `user` lines of a configuration: what is wrong with them whatever commands there are. `set` gives rules to a user of that name who has none.
///
/// # Errors
/// A user stands there twice, or a rule is none.
pub fn check_lines(
    lines: &[Line],
    mut set: impl FnMut(&[u8], &[&[u8]]) -> Result<(), SetError>,
) -> Result<(), ConfigError> {
    let mut seen = HashSet::new();
    for line in lines {
        let (name, rules) = name_and_rules(line);
        let failed = |word: &[u8], reason: &str| {
            let word = String::from_utf8_lossy(word);
            Err(ConfigError::at(line, format!("Error in user declaration '{word}': {reason}")))
        };
        if !seen.insert(name) {
            return failed(name, "Duplicate user found. A user can only be defined once in config files");
        }
        match set(name, &rules) {
            // It will be told when the users are made.
            Ok(()) | Err(SetError::Rule(_, RuleError::Unknown)) => {}
            Err(SetError::Rule(rule, error)) => return failed(&rule, &error.to_string()),
            Err(SetError::Unmatched(rule)) => return failed(&rule, "Unmatched parenthesis in acl selector"),
        }
    }
    Ok(())
}

/// The same for a server.
///
/// # Errors
/// As [`check_lines`].
pub fn check_users(config: &Config, lines: &[Line]) -> Result<(), ConfigError> {
    check_lines(lines, |name, rules| Users::new(all_channels(config)).set_anew(name, rules).map(|_| ()))
}

fn name_and_rules(line: &Line) -> (&[u8], Vec<&[u8]>) {
    let mut words = line.words.iter().skip(1).map(Vec::as_slice);
    (words.next().unwrap_or_default(), words.collect())
}

/// Whether a file of their own has the users.
///
/// # Errors
/// Lines of the configuration have some as well: what the log says at last.
pub fn are_in_file(config: &Config, lines: &[Line]) -> Result<bool, String> {
    match (config.aclfile.is_empty(), lines.is_empty()) {
        (true, _) => Ok(false),
        (false, true) => Ok(true),
        (false, false) => Err("Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This setup is very likely to lead to configuration errors and security holes, please define either an ACL file or declare users directly in your redis.conf, but not both.".into()),
    }
}

/// Makes the users of the lines. `set` gives rules to one, and answers whether that one is enabled.
///
/// # Errors
/// What the log says at last.
pub fn take_lines(
    lines: &[Line],
    mut set: impl FnMut(&[u8], &[&[u8]]) -> Result<bool, SetError>,
) -> Result<(), String> {
    for line in lines {
        if let Err(text) = take_line(line, &mut set) {
            log::warning!("{text}");
            return Err("Critical error while loading ACLs. Exiting.".into());
        }
    }
    Ok(())
}

fn take_line(line: &Line, set: &mut impl FnMut(&[u8], &[&[u8]]) -> Result<bool, SetError>) -> Result<(), String> {
    let (name, rules) = name_and_rules(line);
    if has_blanks(name) {
        return Err("Spaces not allowed in ACL usernames".into());
    }
    let shown = String::from_utf8_lossy(name);
    let is_enabled = set(name, &rules).map_err(|error| match error {
        SetError::Rule(rule, error) => {
            let rule = String::from_utf8_lossy(&rule);
            format!("Error loading ACL rule '{rule}' for the user named '{shown}': {error}")
        }
        error => error.to_string(),
    })?;
    if !is_enabled {
        log::notice!(
            "The user '{shown}' is disabled (there is no 'on' modifier in the user description). Make sure this is not a configuration error."
        );
    }
    Ok(())
}

/// How the log tells of a file that can't be taken.
pub fn file_failed(why: &[u8]) -> String {
    format!("Aborting Redis startup because of ACL errors: {}", String::from_utf8_lossy(why))
}

impl Node {
    /// Makes the users that the server starts with.
    ///
    /// # Errors
    /// What the log says at last.
    pub fn take_users(&mut self, lines: &[Line]) -> Result<(), String> {
        if are_in_file(&self.config, lines)? {
            return self.load_users().map_err(|fail| file_failed(&fail.0));
        }
        take_lines(lines, |name, rules| self.acl.users.set_anew(name, rules).map(|user| user.enabled))
    }
}
