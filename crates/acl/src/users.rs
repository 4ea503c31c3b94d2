//! All users, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rivulet_commands::table::{self, Table};

use crate::password::PasswordHash;
use crate::rule::{RuleError, merge_selectors};
use crate::user::User;

/// The user that clients are before they log in. It is always there.
pub const DEFAULT: &[u8] = b"default";

/// The users. Who has one of them keeps it as it was when it changes here.
#[derive(Clone, Debug)]
pub struct Users {
    /// The commands that rules can name.
    table: &'static Table,
    by_name: BTreeMap<Box<[u8]>, Arc<User>>,
    /// `acl-pubsub-default`: what new users, and those that are reset, may do with channels.
    pub all_channels: bool,
}

/// Why a user was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// The rule that opens a parenthesis.
    Unmatched(Vec<u8>),
    Rule(Vec<u8>, RuleError),
}

/// The text of the error reply, without its code; what a client gave is shown as far as it is text.
impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unmatched(rule) => {
                write!(f, "Unmatched parenthesis in acl selector starting at '{}'.", String::from_utf8_lossy(rule))
            }
            SetError::Rule(rule, error) => {
                write!(f, "Error in ACL SETUSER modifier '{}': {error}", String::from_utf8_lossy(rule))
            }
        }
    }
}

impl std::error::Error for SetError {}

/// The default user is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// So many users.
    Some(usize),
    RefusedDefault,
}

impl Users {
    /// Only the default user, which may do all.
    pub fn new(all_channels: bool) -> Users {
        Users::of(table::server(), all_channels)
    }

    /// The same where there are other commands than a server's.
    pub fn of(table: &'static Table, all_channels: bool) -> Users {
        let mut users = Users::none(table, all_channels);
        users.put_first();
        users
    }

    /// The default user as it is when nobody has changed it.
    pub(crate) fn put_first(&mut self) {
        self.put(User::first_of(self.table, DEFAULT));
    }

    /// A user that may nothing yet.
    pub(crate) fn new_user(&self, name: &[u8]) -> User {
        User::of(self.table, name, self.all_channels)
    }

    /// No user, not even the default one: what a file is read into.
    pub(crate) fn none(table: &'static Table, all_channels: bool) -> Users {
        Users { table, by_name: BTreeMap::new(), all_channels }
    }

    pub(crate) fn put(&mut self, user: User) -> Arc<User> {
        let user = Arc::new(user);
        self.by_name.insert(user.name.clone(), user.clone());
        user
    }

    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<User>> {
        self.by_name.values()
    }

    pub fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// The default user.
    pub fn default_user(&self) -> &Arc<User> {
        self.get(DEFAULT).expect("it is always there")
    }

    /// The user that this pair lets in.
    pub fn log_in(&self, name: &[u8], password: &[u8]) -> Option<&Arc<User>> {
        // Also where there is no such user, so that the time says less of that.
        let password = PasswordHash::of(password);
        self.get(name).filter(|user| user.accepts(password))
    }

    /// Makes or changes a user: all of the rules, or none. Answers the user as it is now.
    ///
    /// # Errors
    /// The first rule that is refused.
    pub fn set(&mut self, name: &[u8], rules: &[&[u8]]) -> Result<Arc<User>, SetError> {
        let user = match self.get(name) {
            Some(user) => (**user).clone(),
            None => self.new_user(name),
        };
        self.set_from(user, rules)
    }

    /// [`Users::set`] for a user of the configuration, which begins with nothing.
    ///
    /// # Errors
    /// The first rule that is refused.
    pub fn set_anew(&mut self, name: &[u8], rules: &[&[u8]]) -> Result<Arc<User>, SetError> {
        let mut user = self.new_user(name);
        if name == DEFAULT {
            user.apply(b"reset", self.all_channels).expect("it is a rule");
        }
        self.set_from(user, rules)
    }

    fn set_from(&mut self, mut user: User, rules: &[&[u8]]) -> Result<Arc<User>, SetError> {
        let rules = merge_selectors(rules).map_err(|at| SetError::Unmatched(rules[at].to_vec()))?;
        for rule in rules {
            let applied = user.apply(&rule, self.all_channels);
            applied.map_err(|error| SetError::Rule(rule.into_owned(), error))?;
        }
        Ok(self.put(user))
    }

    /// A user that is as it was among others is the very same.
    pub fn keep_unchanged(&mut self, before: &Users) {
        for (name, user) in &mut self.by_name {
            if let Some(was) = before.by_name.get(name).filter(|was| *was == user) {
                *user = was.clone();
            }
        }
    }

    /// `requirepass`: the one password of the default user; empty for none.
    pub fn set_default_password(&mut self, password: &[u8]) {
        let mut user = (**self.default_user()).clone();
        (user.nopass, user.passwords) = match password {
            [] => (true, Vec::new()),
            _ => (false, vec![PasswordHash::of(password)]),
        };
        self.put(user);
    }

    /// Deletes users; with the default one among the names, nobody.
    pub fn delete<'n>(&mut self, names: impl Iterator<Item = &'n [u8]> + Clone) -> Deleted {
        if names.clone().any(|name| name == DEFAULT) {
            return Deleted::RefusedDefault;
        }
        Deleted::Some(names.filter(|name| self.by_name.remove(*name).is_some()).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_changes_as_a_whole() {
        let mut users = Users::new(false);
        users.set(b"a", &[b"on", b">p", b"+get"]).expect("rules");
        let was = users.get(b"a").cloned();
        let error = users.set(b"a", &[b"off", b"nonsense", b"(+get"]).expect_err("no rule");
        assert_eq!(error.to_string(), "Unmatched parenthesis in acl selector starting at '(+get'.");
        let error = users.set(b"a", &[b"off", b"nonsense"]).expect_err("no rule");
        assert_eq!(error.to_string(), "Error in ACL SETUSER modifier 'nonsense': Syntax error");
        assert_eq!(users.get(b"a").cloned(), was);
        assert!(users.set(b"b", &[b"nonsense"]).is_err() && users.get(b"b").is_none());
        assert!(
            users.log_in(b"a", b"p").is_some()
                && users.log_in(b"a", b"q").is_none()
                && users.log_in(b"c", b"p").is_none()
        );
    }

    #[test]
    fn the_default_user_stays() {
        let mut users = Users::new(false);
        users.set(b"a", &[]).expect("rules");
        assert!(users.default_user().is_open() && users.default_user().allows_all());
        assert_eq!(users.delete([b"a".as_slice(), DEFAULT].into_iter()), Deleted::RefusedDefault);
        assert_eq!(users.delete([b"a".as_slice(), b"b"].into_iter()), Deleted::Some(1));
        users.set_default_password(b"p");
        assert!(!users.default_user().is_open() && users.log_in(DEFAULT, b"p").is_some());
        users.set_default_password(b"");
        assert!(users.default_user().is_open());
        users.set_anew(DEFAULT, &[b"on"]).expect("rules");
        assert_eq!(users.default_user().rules(), b"on sanitize-payload resetchannels -@all");
    }
}
