//! CONFIG GET and CONFIG SET.

use std::fmt;

use rivulet_commands::glob;

use super::directive::{DENY_LOADING, HIDDEN, IMMUTABLE, MULTI_ARG, NO_MEANING, PROTECTED, SENSITIVE, VOLATILE};
use super::{Config, Directive};

/// CONFIG SET makes no smaller backlog, though a file may ask for one.
const BACKLOG_SIZE_MIN: u64 = 16 << 10;

/// What counts beside the values when a client sets some.
#[derive(Clone, Copy, Debug)]
pub struct SetBy {
    /// The client comes from this machine: a loopback address or the Unix socket.
    pub local: bool,
    /// The server loads data.
    pub loading: bool,
}

/// What CONFIG SET changed, and the way back.
pub struct Change {
    /// Directives whose values differ now, or are to be looked at again, in the order in which the client gave them.
    pub directives: Vec<&'static Directive>,
    /// To be logged.
    pub warnings: Vec<String>,
    before: Box<Config>,
}

impl Change {
    /// The configuration before.
    pub fn before(&self) -> &Config {
        &self.before
    }
}

/// Why nothing was set. The text is the error reply, with its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    Unknown(String),
    Loading,
    Failed { argument: String, reason: String },
}

impl SetError {
    /// A value that can't be applied.
    pub fn failed(name: &str, reason: impl Into<String>) -> SetError {
        SetError::Failed { argument: name.into(), reason: reason.into() }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unknown(name) => {
                write!(f, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            SetError::Loading => write!(f, "LOADING Redis is loading the dataset in memory"),
            SetError::Failed { argument, reason } => {
                write!(f, "ERR CONFIG SET failed (possibly related to argument '{argument}') - {reason}")
            }
        }
    }
}

impl std::error::Error for SetError {}

/// Whether the directive's value is a secret, to be kept out of the slow log and of MONITOR.
pub fn is_sensitive(name: &[u8]) -> bool {
    Directive::find(name).is_some_and(|(directive, _)| directive.has(SENSITIVE))
}

impl Config {
    /// CONFIG GET: names with values. A pattern matches old names, too; without `*`, `?` and `[` it is a name, and the only way to see a
    /// hidden directive.
    pub fn get<P: AsRef<[u8]>>(&self, patterns: &[P]) -> Vec<(String, Vec<u8>)> {
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        let mut add = |name: &str, directive: &Directive| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_string(), directive.text(self)));
            }
        };
        for pattern in patterns.iter().map(AsRef::as_ref) {
            if !pattern.iter().any(|c| b"[*?".contains(c)) {
                if let Some((directive, _)) = Directive::find(pattern) {
                    add(&String::from_utf8_lossy(pattern), directive);
                }
                continue;
            }
            for directive in super::DIRECTIVES.iter().filter(|d| !d.has(HIDDEN)) {
                for name in directive.names().filter(|name| glob::matches_nocase(pattern, name.as_bytes())) {
                    add(name, directive);
                }
            }
        }
        found
    }

    /// CONFIG SET: all of the values or none. The server applies what changed; if that fails, [`Config::rollback`] takes it back.
    pub fn set<B: AsRef<[u8]>>(&mut self, pairs: &[(B, B)], by: SetBy) -> Result<Change, SetError> {
        let directives = self.settable(pairs, by)?;
        let before = Box::new(self.clone());
        for ((directive, name), (_, value)) in directives.iter().zip(pairs) {
            if let Err(reason) = directive.assign(self, &words_of(directive, value.as_ref())) {
                *self = *before;
                return Err(SetError::failed(name, reason));
            }
        }
        if self.repl_backlog_size != before.repl_backlog_size {
            self.repl_backlog_size = self.repl_backlog_size.at_least(BACKLOG_SIZE_MIN);
        }
        let changed: Vec<_> =
            directives.iter().map(|(d, _)| *d).filter(|d| d.has(VOLATILE) || !d.is_same(self, &before)).collect();
        let warnings = changed.iter().filter_map(|d| d.warning(self)).collect();
        let mut directives: Vec<&'static Directive> = Vec::new();
        for directive in changed {
            // It may have been given by two of its names.
            if !directives.iter().any(|known| known.name == directive.name) {
                directives.push(directive);
            }
        }
        Ok(Change { directives, warnings, before })
    }

    /// Takes back what [`Config::set`] changed.
    pub fn rollback(&mut self, change: Change) {
        *self = *change.before;
    }

    /// The directives of the pairs, if all may be set. The first that may not decides the error.
    fn settable<B: AsRef<[u8]>>(
        &self,
        pairs: &[(B, B)],
        by: SetBy,
    ) -> Result<Vec<(&'static Directive, &'static str)>, SetError> {
        let mut found: Vec<(&'static Directive, &'static str)> = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            let given = || String::from_utf8_lossy(name.as_ref()).into_owned();
            let refused = |reason: &str| Err(SetError::failed(&given(), reason));
            let (directive, known) = Directive::find(name.as_ref()).ok_or_else(|| SetError::Unknown(given()))?;
            if directive.has(IMMUTABLE) {
                return refused("can't set immutable config");
            }
            if directive.has(PROTECTED) && !allows(&self.enable_protected_configs, by.local) {
                return refused("can't set protected config");
            }
            if directive.has(DENY_LOADING) && by.loading {
                return Err(SetError::Loading);
            }
            if found.iter().any(|(_, other)| *other == known) {
                return refused("duplicate parameter");
            }
            found.push((directive, known));
        }
        Ok(found)
    }
}

/// What `no`, `yes` or `local` in one of the `enable-…` directives means for a client.
pub fn allows(word: &str, is_local: bool) -> bool {
    word == "yes" || word == "local" && is_local
}

/// The value's words: a directive that takes several has them between single spaces, without quotes.
fn words_of(directive: &Directive, value: &[u8]) -> Vec<Vec<u8>> {
    match directive.has(MULTI_ARG) {
        true if value.is_empty() => Vec::new(),
        true => value.split(|c| *c == b' ').map(<[u8]>::to_vec).collect(),
        false => vec![value.to_vec()],
    }
}

impl Directive {
    /// What the log should say of a value that changes nothing here.
    pub(super) fn warning(&self, config: &Config) -> Option<String> {
        let idle = self.has(NO_MEANING) && !self.is_same(config, &Config::default());
        let why = match self.name {
            "io-threads" | "io-threads-do-reads" => {
                " One thread serves all sockets and executes commands; threads of their own load, save, log and free."
            }
            "crash-memcheck-enabled" => " A crash report has no test of the memory.",
            _ => "",
        };
        idle.then(|| format!("The directive '{}' is accepted, but it has no effect in this release.{why}", self.name))
    }
}
