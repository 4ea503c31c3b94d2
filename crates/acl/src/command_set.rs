//! A set of commands and subcommands, by their ids in the command table.

use rivulet_commands::Command;

/// Ids below this can be in a set; there are fewer commands.
const IDS_MAX: usize = 1024;
const WORDS: usize = IDS_MAX / 64;

/// Which commands may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandSet {
    bits: [u64; WORDS],
    /// It began as all commands: so would those be in it that a later version has. It decides how the set is written, not what is in it.
    pub with_future: bool,
}

impl CommandSet {
    pub const NONE: CommandSet = CommandSet { bits: [0; WORDS], with_future: false };
    pub const ALL: CommandSet = CommandSet { bits: [u64::MAX; WORDS], with_future: true };

    #[inline]
    pub fn has(&self, command: &Command) -> bool {
        let id = usize::from(command.id);
        self.bits.get(id / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// All commands are in it.
    pub fn is_all(&self) -> bool {
        self.bits == [u64::MAX; WORDS]
    }

    pub(crate) fn put_one(&mut self, command: &Command, allowed: bool) {
        let id = usize::from(command.id);
        if let Some(word) = self.bits.get_mut(id / 64) {
            *word = *word & !(1 << (id % 64)) | u64::from(allowed) << (id % 64);
        }
    }

    /// Puts a command with its subcommands into the set, or takes them out.
    pub(crate) fn put(&mut self, command: &Command, allowed: bool) {
        self.put_one(command, allowed);
        command.subcommands.iter().for_each(|sub| self.put_one(sub, allowed));
    }
}

#[cfg(test)]
mod tests {
    use rivulet_commands::table;

    use super::*;

    #[test]
    fn there_is_a_place_for_each_command() {
        assert!(table::by_id().len() <= IDS_MAX);
        let mut set = CommandSet::NONE;
        for command in table::by_id() {
            assert!(CommandSet::ALL.has(command) && !set.has(command), "{}", command.full_name);
            set.put_one(command, true);
            assert!(set.has(command), "{}", command.full_name);
        }
        assert!(CommandSet::ALL.is_all() && !set.is_all());
        let config = table::find(b"config").expect("a command");
        set.put(config, false);
        assert!(!set.has(config) && config.subcommands.iter().all(|sub| !set.has(sub)));
    }
}
