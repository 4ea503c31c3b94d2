//! The users with which a server starts: lines of the configuration, or a file of their own, but not both.

use std::collections::HashSet;

use rivulet_acl::{RuleError, SetError, Users, has_blanks};
use rivulet_config::{Config, ConfigError, Line};

use crate::acl::all_channels;
use crate::log;
use crate::node::Node;

/// Looks at the `user` lines of a configuration: what is wrong with them whatever commands there are.
///
/// # Errors
/// A user stands there twice, or a rule is none.
pub fn check_lines(config: &Config, lines: &[Line]) -> Result<(), ConfigError> {
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
        match Users::new(all_channels(config)).set_anew(name, &rules) {
            // It will be told when the users are made.
            Ok(_) | Err(SetError::Rule(_, RuleError::Unknown)) => {}
            Err(SetError::Rule(rule, error)) => return failed(&rule, &error.to_string()),
            Err(SetError::Unmatched(rule)) => return failed(&rule, "Unmatched parenthesis in acl selector"),
        }
    }
    Ok(())
}

fn name_and_rules(line: &Line) -> (&[u8], Vec<&[u8]>) {
    let mut words = line.words.iter().skip(1).map(Vec::as_slice);
    (words.next().unwrap_or_default(), words.collect())
}

impl Node {
    /// Makes the users that the server starts with.
    ///
    /// # Errors
    /// What the log says at last.
    pub fn take_users(&mut self, lines: &[Line]) -> Result<(), String> {
        if !self.config.aclfile.is_empty() {
            if !lines.is_empty() {
                return Err("Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This setup is very likely to lead to configuration errors and security holes, please define either an ACL file or declare users directly in your redis.conf, but not both.".into());
            }
            return self.load_users().map_err(|fail| {
                format!("Aborting Redis startup because of ACL errors: {}", String::from_utf8_lossy(&fail.0))
            });
        }
        for line in lines {
            if let Err(text) = self.take_user(line) {
                log::warning!("{text}");
                return Err("Critical error while loading ACLs. Exiting.".into());
            }
        }
        Ok(())
    }

    fn take_user(&mut self, line: &Line) -> Result<(), String> {
        let (name, rules) = name_and_rules(line);
        if has_blanks(name) {
            return Err("Spaces not allowed in ACL usernames".into());
        }
        let shown = String::from_utf8_lossy(name);
        let user = self.acl.users.set_anew(name, &rules).map_err(|error| match error {
            SetError::Rule(rule, error) => {
                let rule = String::from_utf8_lossy(&rule);
                format!("Error loading ACL rule '{rule}' for the user named '{shown}': {error}")
            }
            error => error.to_string(),
        })?;
        if !user.enabled {
            log::notice!(
                "The user '{shown}' is disabled (there is no 'on' modifier in the user description). Make sure this is not a configuration error."
            );
        }
        Ok(())
    }
}
