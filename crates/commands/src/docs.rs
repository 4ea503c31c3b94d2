//! What COMMAND DOCS says beyond a command's own row: its arguments as a tree, and what changed since it was made.
//!
//! One file a group. The facts are those of Redis 7.0, which clients make their help and their completion from. Nothing is parsed by them:
//! handlers read their arguments themselves.

mod bitmap;
mod cluster;
mod connection;
mod generic;
mod geo;
mod hash;
mod hyperloglog;
mod list;
mod pubsub;
mod scripting;
mod server;
mod set;
mod sorted_set;
mod stream;
mod string;
mod transactions;

use crate::spec::{Command, Group};

/// The documentation of a command that is not in its [`Command`] row.
pub struct Docs {
    /// With its container: `config|get`.
    pub name: &'static str,
    /// It serves the server itself, not its users.
    pub is_system: bool,
    /// Since when it should not be used, and what replaces it.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Versions, and what changed with each.
    pub history: &'static [(&'static str, &'static str)],
    pub arguments: &'static [Argument],
}

impl Docs {
    const fn of(name: &'static str) -> Docs {
        Docs { name, is_system: false, deprecated: None, history: &[], arguments: &[] }
    }

    const fn system(mut self) -> Docs {
        self.is_system = true;
        self
    }

    const fn deprecated(mut self, since: &'static str, replaced_by: &'static str) -> Docs {
        self.deprecated = Some((since, replaced_by));
        self
    }

    const fn history(mut self, history: &'static [(&'static str, &'static str)]) -> Docs {
        self.history = history;
        self
    }

    const fn arguments(mut self, arguments: &'static [Argument]) -> Docs {
        self.arguments = arguments;
        self
    }
}

/// The documentation of a command; a command without a row has no arguments.
pub fn of(command: &'static Command) -> &'static Docs {
    static NONE: Docs = Docs::of("");
    let group = match command.group {
        Group::String => string::DOCS,
        Group::Bitmap => bitmap::DOCS,
        Group::List => list::DOCS,
        Group::Hash => hash::DOCS,
        Group::Set => set::DOCS,
        Group::SortedSet => sorted_set::DOCS,
        Group::Stream => stream::DOCS,
        Group::HyperLogLog => hyperloglog::DOCS,
        Group::Geo => geo::DOCS,
        Group::Generic => generic::DOCS,
        Group::Connection => connection::DOCS,
        Group::Transactions => transactions::DOCS,
        Group::Pubsub => pubsub::DOCS,
        Group::Scripting => scripting::DOCS,
        Group::Server => server::DOCS,
        Group::Cluster => cluster::DOCS,
    };
    let name = command.full_name;
    group.iter().find(|docs| docs.name == name).unwrap_or(&NONE)
}

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    /// A word that stands for itself.
    PureToken,
    /// One of its own arguments.
    OneOf,
    /// All of its own arguments.
    Block,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Key => "key",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::PureToken => "pure-token",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
        }
    }

    /// Whether it has arguments of its own.
    pub fn is_tree(self) -> bool {
        matches!(self, Kind::OneOf | Kind::Block)
    }
}

const OPTIONAL: u8 = 1 << 0;
const MULTIPLE: u8 = 1 << 1;
const MULTIPLE_TOKEN: u8 = 1 << 2;

/// Names of an argument's flags, in the order in which they are shown.
const FLAGS: [(u8, &str); 3] = [(OPTIONAL, "optional"), (MULTIPLE, "multiple"), (MULTIPLE_TOKEN, "multiple_token")];

/// An argument of a command, or a group of them.
pub struct Argument {
    pub name: &'static str,
    pub kind: Kind,
    flags: u8,
    /// Which of the command's key specifications finds it; negative: none.
    key_spec: i8,
    /// The word before it, or the word that it is.
    pub token: Option<&'static str>,
    pub since: Option<&'static str>,
    pub deprecated_since: Option<&'static str>,
    pub arguments: &'static [Argument],
}

impl Argument {
    const fn new(name: &'static str, kind: Kind) -> Argument {
        Argument {
            name,
            kind,
            flags: 0,
            key_spec: -1,
            token: None,
            since: None,
            deprecated_since: None,
            arguments: &[],
        }
    }

    pub fn key_spec_index(&self) -> Option<i64> {
        (self.key_spec >= 0).then_some(i64::from(self.key_spec))
    }

    pub fn flag_names(&self) -> impl Iterator<Item = &'static str> {
        FLAGS.iter().filter(|(flag, _)| self.flags & flag != 0).map(|(_, name)| *name)
    }

    const fn key_spec(mut self, index: i8) -> Argument {
        self.key_spec = index;
        self
    }

    const fn after(mut self, token: &'static str) -> Argument {
        self.token = Some(token);
        self
    }

    const fn since(mut self, version: &'static str) -> Argument {
        self.since = Some(version);
        self
    }

    const fn deprecated(mut self, version: &'static str) -> Argument {
        self.deprecated_since = Some(version);
        self
    }

    const fn optional(mut self) -> Argument {
        self.flags |= OPTIONAL;
        self
    }

    const fn multiple(mut self) -> Argument {
        self.flags |= MULTIPLE;
        self
    }

    const fn multiple_token(mut self) -> Argument {
        self.flags |= MULTIPLE_TOKEN;
        self
    }
}

const fn string(name: &'static str) -> Argument {
    Argument::new(name, Kind::String)
}

const fn integer(name: &'static str) -> Argument {
    Argument::new(name, Kind::Integer)
}

const fn double(name: &'static str) -> Argument {
    Argument::new(name, Kind::Double)
}

const fn pattern(name: &'static str) -> Argument {
    Argument::new(name, Kind::Pattern)
}

const fn unix_time(name: &'static str) -> Argument {
    Argument::new(name, Kind::UnixTime)
}

/// A key that the key specification of that index finds.
const fn key(name: &'static str, spec: i8) -> Argument {
    Argument::new(name, Kind::Key).key_spec(spec)
}

const fn token(name: &'static str, word: &'static str) -> Argument {
    Argument::new(name, Kind::PureToken).after(word)
}

const fn one_of(name: &'static str, arguments: &'static [Argument]) -> Argument {
    Argument { arguments, ..Argument::new(name, Kind::OneOf) }
}

const fn block(name: &'static str, arguments: &'static [Argument]) -> Argument {
    Argument { arguments, ..Argument::new(name, Kind::Block) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn every_row_is_of_a_command_of_its_group() {
        let mut used = 0;
        for command in table::commands().flat_map(|c| std::iter::once(c).chain(c.subcommands)) {
            let docs = of(command);
            if !docs.name.is_empty() {
                assert_eq!(docs.name, command.full_name);
                used += 1;
            }
        }
        let groups = [
            string::DOCS,
            bitmap::DOCS,
            cluster::DOCS,
            list::DOCS,
            hash::DOCS,
            set::DOCS,
            sorted_set::DOCS,
            stream::DOCS,
            hyperloglog::DOCS,
            geo::DOCS,
            generic::DOCS,
            connection::DOCS,
            transactions::DOCS,
            pubsub::DOCS,
            scripting::DOCS,
            server::DOCS,
        ];
        assert_eq!(used, groups.iter().map(|group| group.len()).sum::<usize>());
    }

    #[test]
    fn keys_name_a_specification_that_is_there() {
        fn check(command: &Command, arguments: &[Argument]) {
            for argument in arguments {
                assert_eq!(argument.kind.is_tree(), !argument.arguments.is_empty(), "{}", command.name);
                if let Some(index) = argument.key_spec_index() {
                    assert!((index as usize) < command.keys.len(), "{}: {}", command.name, argument.name);
                }
                check(command, argument.arguments);
            }
        }
        for command in table::commands().flat_map(|c| std::iter::once(c).chain(c.subcommands)) {
            check(command, of(command).arguments);
        }
    }
}
