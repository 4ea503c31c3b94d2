//! COMMAND: what the command table says.

use rivulet_commands::docs::{self, Argument};
use rivulet_commands::fail::{Fail, SYNTAX};
use rivulet_commands::spec::{Begin, Find, KeySpec, acl, flag, key};
use rivulet_commands::{Command, glob, places, table};
use rivulet_engine::asker::Asker;
use rivulet_resp::{Args, Reply};

use crate::node::Node;

/// The lines of COMMAND HELP.
const HELP: &[&str] = &[
    "(no subcommand)",
    "    Facts about all commands.",
    "COUNT",
    "    How many commands there are.",
    "DOCS [<command-name> ...]",
    "    What commands are for.",
    "GETKEYS <full-command>",
    "    The keys of a command line.",
    "GETKEYSANDFLAGS <full-command>",
    "    The keys of a command line, and what is done to them.",
    "INFO [<command-name> ...]",
    "    Facts about commands.",
    "LIST [FILTERBY (MODULE <module-name>|ACLCAT <category>|PATTERN <pattern>)]",
    "    Names of commands.",
];

impl Node {
    pub fn command_command(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
        match (command.name, args.len()) {
            ("command", _) => {
                let reply = &mut by.reply;
                reply.array(table::commands().count());
                table::commands().for_each(|c| write_info(reply, c));
            }
            ("info", 2) => {
                let reply = &mut by.reply;
                reply.array(table::commands().count());
                table::commands().for_each(|c| write_info(reply, c));
            }
            ("info", count) => {
                let reply = &mut by.reply;
                reply.array(count - 2);
                for name in args.iter().skip(2) {
                    match table::find_full(name) {
                        Some(c) => write_info(reply, c),
                        None => reply.null_array(),
                    }
                }
            }
            ("count", _) => by.reply.int(table::commands().count() as i64),
            ("docs", count) => {
                let found: Vec<&'static Command> = if count == 2 {
                    table::commands().collect()
                } else {
                    args.iter().skip(2).filter_map(table::find_full).collect()
                };
                let reply = &mut by.reply;
                reply.map(found.len());
                for c in found {
                    reply.bulk(c.full_name.as_bytes());
                    write_docs(reply, c);
                }
            }
            ("list", _) => self.command_list(by, args)?,
            ("getkeys", _) => self.command_getkeys(by, args.from(2), false)?,
            ("getkeysandflags", _) => self.command_getkeys(by, args.from(2), true)?,
            _ => self.help(by, "COMMAND", HELP),
        }
        Ok(())
    }

    fn command_list(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let all = || table::commands().flat_map(|c| std::iter::once(c).chain(c.subcommands));
        let names: Vec<&str> = match args.len() {
            2 => all().map(|c| c.full_name).collect(),
            5 if args.is(2, "filterby") => {
                let wanted = args.at(4);
                if args.is(3, "module") {
                    Vec::new()
                } else if args.is(3, "aclcat") {
                    let category = acl::NAMES
                        .iter()
                        .find(|(_, name)| name.as_bytes().eq_ignore_ascii_case(wanted))
                        .map_or(0, |(bit, _)| *bit);
                    all().filter(|c| c.acl & category != 0).map(|c| c.full_name).collect()
                } else if args.is(3, "pattern") {
                    all().map(|c| c.full_name).filter(|n| glob::matches_nocase(wanted, n.as_bytes())).collect()
                } else {
                    return Err(SYNTAX);
                }
            }
            _ => return Err(SYNTAX),
        };
        let reply = &mut by.reply;
        reply.array(names.len());
        names.iter().for_each(|n| reply.bulk(n.as_bytes()));
        Ok(())
    }

    fn command_getkeys(&mut self, by: &mut Asker<'_>, line: Args<'_>, with_flags: bool) -> Result<(), Fail> {
        let invalid = Fail::new("ERR Invalid command specified");
        let command = line.get(0).and_then(table::find).ok_or(invalid.clone())?;
        let command = match line.get(1) {
            Some(word) if !command.subcommands.is_empty() => {
                command.subcommands.iter().find(|s| s.name.as_bytes().eq_ignore_ascii_case(word)).ok_or(invalid)?
            }
            _ => command,
        };
        if !places::has_keys(command) {
            return Err(Fail::new("ERR The command has no key arguments"));
        }
        if !command.arity_fits(line.len()) {
            return Err(Fail::new("ERR Invalid number of arguments specified for command"));
        }
        let keys = places::keys_of(command, line);
        if keys.is_empty() && !command.is(flag::NO_MANDATORY_KEYS) {
            return Err(Fail::new("ERR Invalid arguments specified for command"));
        }
        let reply = &mut by.reply;
        reply.array(keys.iter().count());
        for (at, flags) in keys.iter() {
            if with_flags {
                reply.array(2);
                reply.bulk(line.at(at));
                write_names(reply, flags, key::NAMES, "");
            } else {
                reply.bulk(line.at(at));
            }
        }
        Ok(())
    }
}

/// The names of the bits that are set, as a set of simple strings.
fn write_names(reply: &mut Reply<'_>, bits: u32, names: &[(u32, &str)], prefix: &str) {
    let set: Vec<&str> = names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    reply.set(set.len());
    set.iter().for_each(|name| reply.simple(&format!("{prefix}{name}")));
}

fn write_info(reply: &mut Reply<'_>, command: &'static Command) {
    let (first, last, step) = table::legacy_range(command);
    reply.array(10);
    reply.bulk(command.full_name.as_bytes());
    reply.int(i64::from(command.arity));
    let mut names: Vec<&str> =
        flag::NAMES.iter().filter(|(bit, _)| command.flags & bit != 0).map(|(_, name)| *name).collect();
    if table::has_movable_keys(command) {
        names.push("movablekeys");
    }
    reply.set(names.len());
    names.iter().for_each(|n| reply.simple(n));
    [first, last, step].iter().for_each(|&n| reply.int(i64::from(n)));
    write_names(reply, command.acl, acl::NAMES, "@");
    reply.set(command.tips.len());
    command.tips.iter().for_each(|t| reply.bulk(t.as_bytes()));
    reply.set(command.keys.len());
    command.keys.iter().for_each(|spec| write_key_spec(reply, spec));
    // An array, though Redis answers an empty set where there are none.
    if command.subcommands.is_empty() {
        reply.set(0)
    } else {
        reply.array(command.subcommands.len())
    }
    command.subcommands.iter().for_each(|s| write_info(reply, s));
}

fn write_key_spec(reply: &mut Reply<'_>, spec: &KeySpec) {
    reply.map(3 + usize::from(spec.notes.is_some()));
    if let Some(notes) = spec.notes {
        reply.bulk(b"notes");
        reply.bulk(notes.as_bytes());
    }
    reply.bulk(b"flags");
    write_names(reply, spec.flags, key::NAMES, "");
    let numbers = |reply: &mut Reply<'_>, kind: &str, pairs: &[(&str, i32)]| {
        reply.map(2);
        reply.bulk(b"type");
        reply.bulk(kind.as_bytes());
        reply.bulk(b"spec");
        reply.map(pairs.len());
        for (name, n) in pairs {
            reply.bulk(name.as_bytes());
            reply.int(i64::from(*n));
        }
    };
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(at) => numbers(reply, "index", &[("index", at)]),
        Begin::Keyword(word, from) => {
            reply.map(2);
            reply.bulk(b"type");
            reply.bulk(b"keyword");
            reply.bulk(b"spec");
            reply.map(2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            reply.bulk(b"startfrom");
            reply.int(i64::from(from));
        }
        Begin::Unknown => numbers(reply, "unknown", &[]),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            numbers(reply, "range", &[("lastkey", last), ("keystep", step), ("limit", limit)])
        }
        Find::Count { at, first, step } => {
            numbers(reply, "keynum", &[("keynumidx", at), ("firstkey", first), ("keystep", step)])
        }
        Find::Unknown => numbers(reply, "unknown", &[]),
    }
}

fn write_docs(reply: &mut Reply<'_>, command: &'static Command) {
    let docs = docs::of(command);
    let mut texts = vec![("summary", command.summary), ("since", command.since), ("group", command.group.name())];
    if !command.complexity.is_empty() {
        texts.push(("complexity", command.complexity));
    }
    let (deprecated, has_subcommands) = (docs.deprecated.is_some(), !command.subcommands.is_empty());
    let others = usize::from(docs.is_system) + 3 * usize::from(deprecated) + usize::from(has_subcommands);
    let lists = usize::from(!docs.history.is_empty()) + usize::from(!docs.arguments.is_empty());
    reply.map(texts.len() + others + lists);
    write_texts(reply, &texts);
    if deprecated || docs.is_system {
        reply.bulk(b"doc_flags");
        reply.set(1);
        reply.simple(if deprecated { "deprecated" } else { "syscmd" });
    }
    if let Some((since, replaced_by)) = docs.deprecated {
        write_texts(reply, &[("deprecated_since", since), ("replaced_by", replaced_by)]);
    }
    if !docs.history.is_empty() {
        reply.bulk(b"history");
        reply.set(docs.history.len());
        for (version, change) in docs.history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    if !docs.arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(reply, docs.arguments);
    }
    if has_subcommands {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        for sub in command.subcommands {
            reply.bulk(sub.full_name.as_bytes());
            write_docs(reply, sub);
        }
    }
}

fn write_texts(reply: &mut Reply<'_>, texts: &[(&str, &str)]) {
    for (name, text) in texts {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
}

fn write_arguments(reply: &mut Reply<'_>, arguments: &[Argument]) {
    reply.array(arguments.len());
    for argument in arguments {
        let versions =
            [("token", argument.token), ("since", argument.since), ("deprecated_since", argument.deprecated_since)];
        let texts: Vec<(&str, &str)> = versions.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
        let flags = argument.flag_names().count();
        let (has_key, is_tree) = (argument.key_spec_index().is_some(), argument.kind.is_tree());
        reply.map(2 + texts.len() + usize::from(has_key) + usize::from(flags > 0) + usize::from(is_tree));
        write_texts(reply, &[("name", argument.name), ("type", argument.kind.name())]);
        if let Some(index) = argument.key_spec_index() {
            reply.bulk(b"key_spec_index");
            reply.int(index);
        }
        write_texts(reply, &texts);
        if flags > 0 {
            reply.bulk(b"flags");
            reply.set(flags);
            argument.flag_names().for_each(|name| reply.simple(name));
        }
        if is_tree {
            reply.bulk(b"arguments");
            write_arguments(reply, argument.arguments);
        }
    }
}
