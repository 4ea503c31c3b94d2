//! A set of permissions: commands, keys and channels. A user has one, and may have others beside it.

use std::collections::BTreeMap;

use rivulet_commands::places::{self, Channels, Keys};
use rivulet_commands::spec::{acl, flag};
use rivulet_commands::table::{self, Table};
use rivulet_commands::{Command, glob};
use rivulet_resp::Args;

use crate::check::Denied;
use crate::command_set::CommandSet;
use crate::pattern::{Access, KeyPattern};
use crate::rule::{RuleError, c_text, has_blanks};

/// What may be done: a command may run that one selector of a user lets through as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The commands that rules can name.
    table: &'static Table,
    pub commands: CommandSet,
    /// The rules that made the set since it was all or none, in lower case, but for those that a later one has replaced.
    pub rules: Vec<Box<[u8]>>,
    /// Commands that are not in the set and may run with these first arguments all the same.
    pub first_args: BTreeMap<u16, Vec<Box<[u8]>>>,
    pub all_keys: bool,
    /// Empty where all keys are allowed.
    pub keys: Vec<KeyPattern>,
    pub all_channels: bool,
    /// Glob patterns; empty where all channels are allowed.
    pub channels: Vec<Box<[u8]>>,
}

impl Selector {
    /// Nothing is allowed, but for channels if the configuration says so (`acl-pubsub-default`).
    pub fn new(all_channels: bool) -> Selector {
        Selector::of(table::server(), all_channels)
    }

    /// The same where there are other commands than a server's.
    pub fn of(table: &'static Table, all_channels: bool) -> Selector {
        Selector {
            table,
            commands: CommandSet::NONE,
            rules: Vec::new(),
            first_args: BTreeMap::new(),
            all_keys: false,
            keys: Vec::new(),
            all_channels,
            channels: Vec::new(),
        }
    }

    pub(crate) fn table(&self) -> &'static Table {
        self.table
    }

    /// Whether there is nothing that it denies.
    pub fn allows_all(&self) -> bool {
        self.commands.is_all() && self.all_keys && self.all_channels
    }

    /// Changes the selector as a rule says.
    ///
    /// # Errors
    /// The rule is none, or it makes no sense here; nothing was changed.
    pub fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let word = c_text(rule);
        match word.to_ascii_lowercase().as_slice() {
            b"allkeys" | b"~*" => self.set_all_keys(true),
            b"resetkeys" => self.set_all_keys(false),
            b"allchannels" | b"&*" => self.set_all_channels(true),
            b"resetchannels" => self.set_all_channels(false),
            b"allcommands" | b"+@all" => self.set_all_commands(CommandSet::ALL),
            b"nocommands" | b"-@all" => self.set_all_commands(CommandSet::NONE),
            lower @ [b'+' | b'-', ..] => {
                self.change_commands(&word[1..], lower)?;
                self.note_rule(lower);
            }
            [b'~', ..] => self.add_keys(&rule[1..], Access::ALL)?,
            [b'%', ..] => self.add_keys_with_access(rule)?,
            [b'&', ..] => self.add_channels(&rule[1..])?,
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    /// Allows or denies what `lower` says; `name` is what follows its sign, as it was given.
    fn change_commands(&mut self, name: &[u8], lower: &[u8]) -> Result<(), RuleError> {
        match lower {
            [sign, b'@', category @ ..] => self.put_category(category, *sign == b'+')?,
            [b'+', ..] if name.contains(&b'|') => self.allow_part(name)?,
            _ => {
                let command = self.table.find_full(name).ok_or(RuleError::Unknown)?;
                self.put(command, lower[0] == b'+');
            }
        }
        Ok(())
    }

    /// A rule takes the place of the one before about the same, and of those about parts of it.
    fn note_rule(&mut self, rule: &[u8]) {
        let name = &rule[1..];
        let is_of_part = |known: &[u8]| known.strip_prefix(name).is_some_and(|rest| matches!(rest, [] | [b'|', ..]));
        self.rules.retain(|known| !is_of_part(&known[1..]));
        self.rules.push(rule.into());
    }

    fn set_all_keys(&mut self, allowed: bool) {
        self.all_keys = allowed;
        self.keys.clear();
    }

    fn set_all_channels(&mut self, allowed: bool) {
        self.all_channels = allowed;
        self.channels.clear();
    }

    fn set_all_commands(&mut self, commands: CommandSet) {
        self.commands = commands;
        self.rules.clear();
        self.first_args.clear();
    }

    fn put(&mut self, command: &Command, allowed: bool) {
        self.commands.put(command, allowed);
        self.first_args.remove(&command.id);
    }

    fn put_category(&mut self, name: &[u8], allowed: bool) -> Result<(), RuleError> {
        let named = acl::NAMES.iter().find(|(_, known)| known.as_bytes() == name);
        let category = named.ok_or(RuleError::Unknown)?.0;
        for command in self.table.commands() {
            if command.acl & category != 0 {
                self.put(command, allowed);
            }
            command.subcommands.iter().filter(|sub| sub.acl & category != 0).for_each(|sub| self.put(sub, allowed));
        }
        Ok(())
    }

    /// `command|subcommand`, or `command|argument` of a command without subcommands.
    fn allow_part(&mut self, text: &[u8]) -> Result<(), RuleError> {
        let at = text.iter().rposition(|&c| c == b'|').ok_or(RuleError::Syntax)?;
        let (name, part) = (&text[..at], &text[at + 1..]);
        let command = self.table.find_full(name).ok_or(RuleError::Unknown)?;
        if name.contains(&b'|') {
            return Err(RuleError::ArgumentOfSubcommand);
        }
        // With blanks it could not be read back from a file.
        if part.is_empty() || has_blanks(part) {
            return Err(RuleError::Syntax);
        }
        if !command.subcommands.is_empty() {
            let sub = self.table.find_full(text).ok_or(RuleError::Unknown)?;
            self.put(sub, true);
            return Ok(());
        }
        let arguments = self.first_args.entry(command.id).or_default();
        if !arguments.iter().any(|known| known.eq_ignore_ascii_case(part)) {
            arguments.push(part.into());
        }
        Ok(())
    }

    fn add_keys_with_access(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeysAfterAll);
        }
        let mut access = Access::default();
        for (i, c) in rule.iter().enumerate().skip(1) {
            match c.to_ascii_uppercase() {
                b'R' if !access.reads => access.reads = true,
                b'W' if !access.writes => access.writes = true,
                b'~' if access != Access::default() => return self.add_keys(&rule[i + 1..], access),
                _ => return Err(RuleError::Syntax),
            }
        }
        match access == Access::default() {
            true => Err(RuleError::Syntax),
            // As in Redis, without a `~` it is the empty key.
            false => self.add_keys(b"", access),
        }
    }

    fn add_keys(&mut self, glob: &[u8], access: Access) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeysAfterAll);
        }
        if has_blanks(glob) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|known| *known.glob == *glob) {
            Some(known) => known.access = known.access.and(access),
            None => self.keys.push(KeyPattern { glob: glob.into(), access }),
        }
        Ok(())
    }

    fn add_channels(&mut self, glob: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::ChannelsAfterAll);
        }
        if has_blanks(glob) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| **known == *glob) {
            self.channels.push(glob.into());
        }
        Ok(())
    }

    /// Whether a command line may run. `keys` are those of the line, which are looked for only if they matter.
    pub(crate) fn check(&self, command: &Command, args: Args<'_>, keys: &mut Option<Keys>) -> Result<(), Denied> {
        if !self.lets_command(command, args) {
            return Err(Denied::Command);
        }
        if !self.all_keys && places::has_keys(command) {
            let keys = keys.get_or_insert_with(|| places::keys_of(command, args));
            let denied = keys.iter().find(|&(at, flags)| !self.lets_key(args.at(at), Access::of(flags)));
            if let Some((at, _)) = denied {
                return Err(Denied::Key(at));
            }
        }
        if !self.all_channels && command.channels != Channels::None {
            let is_pattern = command.channels == Channels::SubscribePatterns;
            let mut places = command.channels.places(args);
            if let Some(at) = places.find(|&at| !self.lets_channel(args.at(at), is_pattern)) {
                return Err(Denied::Channel(at));
            }
        }
        Ok(())
    }

    fn lets_command(&self, command: &Command, args: Args<'_>) -> bool {
        let by_argument = || {
            let allowed = self.first_args.get(&command.id)?;
            let first = c_text(args.get(1)?);
            Some(allowed.iter().any(|known| known.eq_ignore_ascii_case(first)))
        };
        // Whoever is here may log in, and leave.
        self.commands.has(command) || command.is(flag::NO_AUTH) || by_argument() == Some(true)
    }

    pub fn lets_key(&self, key: &[u8], done: Access) -> bool {
        self.all_keys || self.keys.iter().any(|pattern| pattern.lets(key, done))
    }

    /// Whether there is no key to which this may not be done.
    pub fn lets_any_key(&self, done: Access) -> bool {
        self.all_keys || self.keys.iter().any(|pattern| pattern.access.covers(done) && *pattern.glob == *b"*")
    }

    /// A channel must match a pattern; a pattern that a client subscribes to must be one of those.
    pub fn lets_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_channels || self.channels.iter().any(|known| matches_channel(known, channel, is_pattern))
    }
}

pub(crate) fn matches_channel(known: &[u8], channel: &[u8], is_pattern: bool) -> bool {
    if is_pattern { known == c_text(channel) } else { glob::matches(known, channel) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_are_refused() {
        for (before, rule, want) in [
            ("", "nonsense", RuleError::Syntax),
            ("", "+nonsense", RuleError::Unknown),
            ("", "-nonsense", RuleError::Unknown),
            ("", "+@nonsense", RuleError::Unknown),
            ("", "+", RuleError::Unknown),
            ("", "+@", RuleError::Unknown),
            ("", "-select|1", RuleError::Unknown),
            ("", "+config|nonsense", RuleError::Unknown),
            ("", "+config|get|x", RuleError::ArgumentOfSubcommand),
            ("", "+config|nonsense|x", RuleError::Unknown),
            ("", "+select|", RuleError::Syntax),
            ("", "+config|", RuleError::Syntax),
            ("", "+select|a\nb", RuleError::Syntax),
            ("", "+|x", RuleError::Unknown),
            ("", "~a b", RuleError::Syntax),
            ("", "&a\tb", RuleError::Syntax),
            ("", "%~a", RuleError::Syntax),
            ("", "%RR~a", RuleError::Syntax),
            ("", "%", RuleError::Syntax),
            ("", "%X~a", RuleError::Syntax),
            ("allkeys", "~a", RuleError::KeysAfterAll),
            ("~*", "%R~a", RuleError::KeysAfterAll),
            ("allchannels", "&a", RuleError::ChannelsAfterAll),
        ] {
            let mut selector = Selector::new(false);
            if !before.is_empty() {
                selector.apply(before.as_bytes()).expect("a rule");
            }
            let was = selector.clone();
            assert_eq!(selector.apply(rule.as_bytes()), Err(want), "{before} {rule}");
            assert_eq!(selector, was, "{before} {rule}");
        }
    }
}
