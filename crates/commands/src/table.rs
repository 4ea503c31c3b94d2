//! The command table: the rows of all families, found by name.

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

/// The rows of all families with their ids and full names, which they get once.
struct Table {
    rows: &'static [Command],
    /// Rows and subcommands by id.
    by_id: Vec<&'static Command>,
    /// Open addressing over the names; at most a quarter full.
    places: Box<[Option<&'static Command>; PLACES]>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut rows: Vec<Command> = FAMILIES.iter().flat_map(|family| family.iter()).copied().collect();
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
    let mut places = Box::new([None; PLACES]);
    for command in rows {
        let mut at = place(command.name.as_bytes());
        while places[at].is_some() {
            at = (at + 1) % PLACES;
        }
        places[at] = Some(command);
    }
    let by_id = rows.iter().chain(rows.iter().flat_map(|row| row.subcommands)).collect();
    Table { rows, by_id, places }
});

/// All commands, without subcommands.
pub fn commands() -> impl Iterator<Item = &'static Command> {
    TABLE.rows.iter()
}

/// All commands and subcommands, each at the place that is its id.
pub fn by_id() -> &'static [&'static Command] {
    &TABLE.by_id
}

fn place(name: &[u8]) -> usize {
    let hash = name.iter().fold(0u32, |h, c| h.wrapping_mul(31).wrapping_add(u32::from(c | 0x20)));
    (hash.wrapping_mul(0x9e37_79b1) >> 22) as usize
}

/// The command of that name, in any case of letters.
#[inline]
pub fn find(name: &[u8]) -> Option<&'static Command> {
    let places = &TABLE.places;
    let mut at = place(name);
    while let Some(command) = places[at] {
        if command.name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(command);
        }
        at = (at + 1) % PLACES;
    }
    None
}

/// The command or subcommand (`config|get`) of that name.
pub fn find_full(name: &[u8]) -> Option<&'static Command> {
    let mut parts = name.splitn(2, |&c| c == b'|');
    let command = find(parts.next()?)?;
    match parts.next() {
        None => Some(command),
        Some(sub) => command.subcommands.iter().find(|s| s.name.as_bytes().eq_ignore_ascii_case(sub)),
    }
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
}
