//! The command table: the rows of all families, found by name.

use std::fmt;
use std::sync::LazyLock;

use crate::spec::{Begin, Command, Find, KeySpec, flag, key};

/// The families, in the order of the documentation.
const FAMILIES: &[&[Command]] = &[
    crate::string::COMMANDS,
    crate::bitmap::COMMANDS,
    crate::list::COMMANDS,
    crate::hash::COMMANDS,
    crate::set::COMMANDS,
    crate::zset::COMMANDS,
    crate::stream::COMMANDS,
    crate::hyperloglog::COMMANDS,
    crate::geo::COMMANDS,
    crate::generic::COMMANDS,
    crate::connection::COMMANDS,
    crate::transactions::COMMANDS,
    crate::pubsub::COMMANDS,
    crate::scripting::COMMANDS,
    crate::server::COMMANDS,
    crate::cluster::COMMANDS,
];

const PLACES: usize = 1024;

/// Rows with their ids and full names, which they get once. A program has one table: the ids of two overlap.
pub struct Table {
    rows: &'static [Command],
    /// Rows and subcommands by id.
    by_id: Vec<&'static Command>,
    /// Open addressing over the names; at most a quarter full.
    places: Box<[Option<(Name, &'static Command)>; PLACES]>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(FAMILIES.iter().flat_map(|family| family.iter()).copied()));

/// The commands of a server.
pub fn server() -> &'static Table {
    &TABLE
}

impl Table {
    /// A table of these rows, whose names differ. It is made once in a program, and what it is made of stays.
    pub fn new(rows: impl Iterator<Item = Command>) -> Table {
        let mut rows: Vec<Command> = rows.collect();
        let mut id = 0;
        let mut next_id = || {
            id += 1;
            id - 1
        };
        for row in &mut rows {
            (row.id, row.full_name) = (next_id(), row.name);
        }
        for row in &mut rows {
            let mut subcommands = row.subcommands.to_vec();
            for sub in &mut subcommands {
                (sub.id, sub.full_name) = (next_id(), format!("{}|{}", row.name, sub.name).leak());
            }
            row.subcommands = subcommands.leak();
        }
        let rows: &'static [Command] = rows.leak();
        let by_id = rows.iter().chain(rows.iter().flat_map(|row| row.subcommands)).collect();
        Table { rows, by_id, places: placed(rows) }
    }

    /// All commands, without subcommands.
    pub fn commands(&self) -> impl Iterator<Item = &'static Command> + use<> {
        self.rows.iter()
    }

    /// The command of that name, in any case of letters.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&'static Command> {
        let wanted = Name::of(name);
        let mut at = wanted.place();
        while let Some((found, command)) = self.places[at] {
            if found == wanted && (name.len() <= COVERED_BYTES || command.name.as_bytes().eq_ignore_ascii_case(name)) {
                return Some(command);
            }
            at = (at + 1) % PLACES;
        }
        None
    }

    /// The command or subcommand (`config|get`) of that name.
    pub fn find_full(&self, name: &[u8]) -> Option<&'static Command> {
        let mut parts = name.splitn(2, |&c| c == b'|');
        let command = self.find(parts.next()?)?;
        match parts.next() {
            None => Some(command),
            Some(sub) => command.subcommands.iter().find(|s| s.name.as_bytes().eq_ignore_ascii_case(sub)),
        }
    }
}

/// Where each row is found by its name.
fn placed(rows: &'static [Command]) -> Box<[Option<(Name, &'static Command)>; PLACES]> {
    let mut places = Box::new([None; PLACES]);
    for command in rows {
        let name = Name::of(command.name.as_bytes());
        let mut at = name.place();
        while places[at].is_some() {
            at = (at + 1) % PLACES;
        }
        places[at] = Some((name, command));
    }
    places
}

impl PartialEq for Table {
    /// Two tables are never the same.
    fn eq(&self, other: &Table) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Table {}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table of {}", self.by_id.len())
    }
}

/// All commands, without subcommands.
pub fn commands() -> impl Iterator<Item = &'static Command> {
    TABLE.commands()
}

/// All commands and subcommands, each at the place that is its id.
pub fn by_id() -> &'static [&'static Command] {
    &TABLE.by_id
}

/// What a name is found by, whatever the case of its letters: its length, its first bytes and its last, which overlap in a short one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Name {
    len: usize,
    first: u64,
    last: u64,
}

/// Of longer names the bytes in the middle are in neither word.
const COVERED_BYTES: usize = 16;

impl Name {
    #[inline]
    fn of(name: &[u8]) -> Name {
        let word = |bytes: &[u8; 8]| lowercase(u64::from_le_bytes(*bytes));
        let half = |bytes: &[u8; 4]| lowercase(u64::from(u32::from_le_bytes(*bytes)));
        let (first, last) = if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            (word(first), word(last))
        } else if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            (half(first), half(last))
        } else {
            (name.iter().fold(0, |all, byte| all << 8 | u64::from(byte.to_ascii_lowercase())), 0)
        };
        Name { len: name.len(), first, last }
    }

    #[inline]
    fn place(self) -> usize {
        let mixed = (self.first ^ self.last.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (u64::BITS - PLACES.ilog2())) as usize
    }
}

/// Eight bytes of text with its ASCII letters made small.
#[inline]
fn lowercase(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7f * EACH);
    // The highest bit of a byte tells whether what is below it is at least `A`, and whether it is above `Z`.
    let from_a = low + (0x80 - u64::from(b'A')) * EACH;
    let above_z = low + (0x7f - u64::from(b'Z')) * EACH;
    let is_capital = !word & (from_a ^ above_z) & (0x80 * EACH);
    word | is_capital >> 2
}

/// The command of that name, in any case of letters.
#[inline]
pub fn find(name: &[u8]) -> Option<&'static Command> {
    TABLE.find(name)
}

/// The command or subcommand (`config|get`) of that name.
pub fn find_full(name: &[u8]) -> Option<&'static Command> {
    TABLE.find_full(name)
}

/// (first, last, step) of COMMAND INFO's old form: the one rule that is a range by index, or several that follow each other.
pub fn legacy_range(command: &Command) -> (i32, i32, i32) {
    let absolute = |first: i32, last: i32| if last >= 0 { first + last } else { last };
    if let [KeySpec { begin: Begin::Index(first), find: Find::Range { last, step, .. }, .. }] = *command.keys {
        return (first, absolute(first, last), step);
    }
    let mut joined: Option<(i32, i32)> = None;
    for spec in command.keys {
        if let (Begin::Index(at), Find::Range { last, step: 1, .. }) = (spec.begin, spec.find)
            && joined.is_none_or(|(_, last)| last == at - 1)
        {
            joined = Some((joined.map_or(at, |(first, _)| first), absolute(at, last)));
        }
    }
    joined.map_or((0, 0, 0), |(first, last)| (first, last, 1))
}

/// Whether COMMAND INFO shows `movablekeys`: the old form does not find all keys.
pub fn has_movable_keys(command: &Command) -> bool {
    // What only the flags depend on is no place.
    let has_finder = command.get_keys.is_some() && command.keys.iter().all(|s| s.flags & key::VARIABLE_FLAGS == 0);
    has_finder
        || command.keys.iter().any(|s| {
            s.flags & (key::INCOMPLETE | key::NOT_KEY) == key::INCOMPLETE
                || !matches!((s.begin, s.find), (Begin::Index(_), Find::Range { .. }))
        })
}

/// Whether a command may change data.
pub fn may_write(command: &Command) -> bool {
    command.is(flag::WRITE) || command.is(flag::MAY_REPLICATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_name() {
        for command in commands() {
            assert!(
                find(command.name.to_uppercase().as_bytes()).is_some_and(|c| std::ptr::eq(c, command)),
                "{}",
                command.name
            );
            for sub in command.subcommands {
                assert!(find_full(sub.full_name.as_bytes()).is_some_and(|c| std::ptr::eq(c, sub)), "{}", sub.full_name);
            }
        }
        assert!(by_id().iter().enumerate().all(|(id, command)| usize::from(command.id) == id));
        assert!(find(b"nonsense").is_none() && find(b"").is_none());
    }

    #[test]
    fn what_only_looks_like_a_name_is_none() {
        for command in commands() {
            let name = command.name.as_bytes();
            for at in 0..name.len() {
                for wrong in [0x00, 0x7f, 0x80, b'@', b'[', b'`', b'{', name[at] | 0x80, name[at] ^ 0x40] {
                    let mut other = name.to_vec();
                    other[at] = wrong;
                    assert!(find(&other).is_none(), "{}", String::from_utf8_lossy(&other));
                }
            }
            assert!(find(&[name, b"x"].concat()).is_none_or(|found| found.name.len() == name.len() + 1));
            assert!(find(&name[1..]).is_none_or(|found| found.name.as_bytes() == &name[1..]));
        }
    }

    #[test]
    fn letters_become_small_and_nothing_else_does() {
        for byte in 0..=u8::MAX {
            let word = u64::from_le_bytes([byte, b'A', byte, 0xff, b'z', byte, 0, byte]);
            let expected = u64::from_le_bytes(word.to_le_bytes().map(|b| b.to_ascii_lowercase()));
            assert_eq!(lowercase(word), expected, "{byte:#x}");
        }
    }
}
