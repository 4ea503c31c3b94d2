//! Rules that make a user again: what ACL LIST, ACL GETUSER and the files show.
//!
//! The rules that made a selector are not kept. Of its commands those categories are named, one after the other, that fit best, and then the single
//! commands that remain, as Redis 7.0 does it.

use std::sync::LazyLock;

use rivulet_commands::spec::acl;
use rivulet_commands::{Command, table};

use crate::command_set::CommandSet;
use crate::selector::Selector;
use crate::user::User;

impl Selector {
    /// Rules for just these commands, from `+@all` or `-@all` on.
    pub fn command_rules(&self) -> Vec<u8> {
        let subtracts = self.commands.with_future;
        let mut rules = if subtracts { b"+@all".to_vec() } else { b"-@all".to_vec() };
        // What the rules so far make.
        let mut made = if subtracts { CommandSet::ALL } else { CommandSet::NONE };
        // What they have still to make, with the categories that were named taken out.
        let mut rest = self.commands;
        let mut unnamed: Vec<&Category> = CATEGORIES.iter().collect();
        while let Some(at) = best_category(&rest, &unnamed, subtracts) {
            let category = unnamed.remove(at);
            rules.extend(if subtracts { b" -@" } else { b" +@" });
            rules.extend_from_slice(category.name.as_bytes());
            category.each(|command| {
                made.put(command, !subtracts);
                rest.put(command, subtracts);
            });
        }
        for command in table::commands() {
            self.push_difference(&mut made, command, &mut rules);
        }
        rules
    }

    /// Names a command and its subcommands where they are not what the rules so far make of them, and its first arguments.
    fn push_difference(&self, made: &mut CommandSet, command: &Command, rules: &mut Vec<u8>) {
        for command in std::iter::once(command).chain(command.subcommands) {
            let allowed = self.commands.has(command);
            if allowed != made.has(command) {
                rules.extend(if allowed { b" +" } else { b" -" });
                rules.extend_from_slice(command.full_name.as_bytes());
                made.put(command, allowed);
            }
        }
        let arguments = self.first_args.get(&command.id).filter(|_| !self.commands.has(command));
        for argument in arguments.into_iter().flatten() {
            rules.extend(b" +");
            rules.extend_from_slice(command.full_name.as_bytes());
            rules.push(b'|');
            rules.extend_from_slice(argument);
        }
    }

    /// `~…` for each pattern, with blanks between.
    pub fn key_rules(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let mut rules = Vec::new();
        for (i, pattern) in self.keys.iter().enumerate() {
            if i > 0 {
                rules.push(b' ');
            }
            // As `~*` it would take the place of the others when it is read back.
            match pattern.is_all() && self.keys.len() > 1 {
                true => rules.extend(b"%RW~*"),
                false => pattern.push_text(&mut rules),
            }
        }
        rules
    }

    /// `&…` for each pattern, with blanks between.
    pub fn channel_rules(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let rules: Vec<Vec<u8>> = self.channels.iter().map(|glob| [b"&", &**glob].concat()).collect();
        rules.join(&b' ')
    }

    fn push_rules(&self, out: &mut Vec<u8>) {
        let keys = self.key_rules();
        out.extend_from_slice(&keys);
        if self.all_keys || !self.keys.is_empty() {
            out.push(b' ');
        }
        if !self.all_channels {
            out.extend(b"resetchannels ");
        }
        out.extend(self.channel_rules());
        if self.all_channels || !self.channels.is_empty() {
            out.push(b' ');
        }
        out.extend(self.command_rules());
    }
}

impl User {
    /// Words for what is said of the user itself, in the order in which they are shown.
    pub fn flag_words(&self) -> Vec<&'static str> {
        let enabled = if self.enabled { "on" } else { "off" };
        let nopass = self.nopass.then_some("nopass");
        std::iter::once(enabled).chain(nopass).chain(self.sanitize.word()).collect()
    }

    /// Rules that make this user from one that was just made.
    pub fn rules(&self) -> Vec<u8> {
        let mut rules = Vec::new();
        for word in self.flag_words() {
            rules.extend_from_slice(word.as_bytes());
            rules.push(b' ');
        }
        for password in &self.passwords {
            rules.extend_from_slice(format!("#{password} ").as_bytes());
        }
        self.root.push_rules(&mut rules);
        for selector in &self.others {
            rules.extend(b" (");
            selector.push_rules(&mut rules);
            rules.push(b')');
        }
        rules
    }

    /// The user as a line of a file, which `user` and the name begin.
    pub fn line(&self) -> Vec<u8> {
        [b"user ", &*self.name, b" ", &self.rules()].concat()
    }
}

/// A category, with its commands and subcommands.
struct Category {
    bit: u32,
    name: &'static str,
    commands: CommandSet,
    count: u32,
}

static CATEGORIES: LazyLock<Vec<Category>> = LazyLock::new(|| acl::NAMES.iter().copied().map(Category::of).collect());

impl Category {
    fn of((bit, name): (u32, &'static str)) -> Category {
        let mut category = Category { bit, name, commands: CommandSet::NONE, count: 0 };
        for command in table::by_id().iter().filter(|command| command.acl & bit != 0) {
            category.commands.put_one(command, true);
            category.count += 1;
        }
        category
    }

    /// Calls `f` with each command and subcommand, a container before its subcommands.
    fn each(&self, mut f: impl FnMut(&'static Command)) {
        for command in table::commands() {
            let all = std::iter::once(command).chain(command.subcommands);
            all.filter(|command| command.acl & self.bit != 0).for_each(&mut f);
        }
    }
}

/// The category that has more commands of the right kind than of the wrong; the fewest of the wrong kind, and then the most of the right.
fn best_category(rest: &CommandSet, unnamed: &[&Category], subtracts: bool) -> Option<usize> {
    let mut best = None;
    let (mut least_wrong, mut most_right) = (u32::MAX, 0);
    for (i, category) in unnamed.iter().enumerate() {
        let left = rest.common(&category.commands);
        let (right, wrong) = if subtracts { (category.count - left, left) } else { (left, category.count - left) };
        let is_better = wrong < least_wrong || wrong == least_wrong && right > most_right;
        if right > wrong && is_better {
            best = Some(i);
            (least_wrong, most_right) = (wrong, right);
        }
    }
    best
}
