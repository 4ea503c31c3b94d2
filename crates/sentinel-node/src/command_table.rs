//! The commands that a Sentinel has, and COMMAND, which tells of them. Rules of users can name these, and no others.

use std::sync::LazyLock;

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_commands::spec::{Group, Handler, acl, flag};
use rivulet_commands::table::{self, Table};
use rivulet_resp::{Args, Reply};

use crate::commands::{Answered, matches};

/// Commands that servers have, too: what they are is said there.
const SHARED: [&str; 15] = [
    "acl",
    "auth",
    "client",
    "command",
    "hello",
    "info",
    "ping",
    "psubscribe",
    "publish",
    "punsubscribe",
    "role",
    "shutdown",
    "subscribe",
    "unsubscribe",
    "quit",
];

/// Subcommands of CLIENT.
const CLIENT: [&str; 18] = [
    "caching",
    "getname",
    "getredir",
    "help",
    "id",
    "info",
    "kill",
    "list",
    "no-evict",
    "no-touch",
    "pause",
    "reply",
    "setinfo",
    "setname",
    "tracking",
    "trackinginfo",
    "unblock",
    "unpause",
];

/// What Redis has not, or no longer shows: users can be allowed it, but tools that count do not see it.
const UNLISTED: [&str; 4] = ["quit", "sentinel|doctor", "client|no-touch", "client|setinfo"];

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let shared = SHARED.iter().map(|name| shared(table::find(name.as_bytes()).expect("servers have it")));
    Table::new(shared.chain(std::iter::once(sentinel())))
});

/// All of them.
pub fn table() -> &'static Table {
    &TABLE
}

fn shared(command: &Command) -> Command {
    let mut own = *command;
    own.flags = own.flags & !flag::MAY_REPLICATE | flag::SENTINEL;
    let is_here = |sub: &&Command| command.name != "client" || CLIENT.contains(&sub.name);
    let subcommands: Vec<Command> = command.subcommands.iter().filter(is_here).map(shared).collect();
    own.subcommands = subcommands.leak();
    own
}

fn sentinel() -> Command {
    let row = |name: &'static str, arity: i32| {
        let flags = flag::SENTINEL | flag::ONLY_SENTINEL;
        match name {
            "help" => Command::new(name, arity, flags | flag::LOADING | flag::STALE, Group::Server, Handler::Container),
            _ => Command::new(name, arity, flags | flag::ADMIN, Group::Server, Handler::Container),
        }
    };
    let subcommands: Vec<Command> =
        rivulet_sentinel::commands::subcommands().map(|(sub, arity)| row(sub, arity)).collect();
    row("sentinel", -2).subcommands(subcommands.leak())
}

/// The command of a line: the subcommand, where there is one of that name.
pub fn find(args: Args<'_>) -> Option<&'static Command> {
    let command = table().find(args.get(0)?)?;
    let sub = args.get(1).filter(|_| !command.subcommands.is_empty()).and_then(|sub| {
        let sub = without_alias(sub);
        command.subcommands.iter().find(|known| known.name.as_bytes() == sub)
    });
    Some(sub.unwrap_or(command))
}

/// Whether a command stands for those that it contains.
pub fn is_container(command: &Command) -> bool {
    !command.subcommands.is_empty()
}

/// The same for who asks about a line: without the subcommand that it names there is no such command.
pub fn find_whole(args: Args<'_>) -> Option<&'static Command> {
    find(args).filter(|command| !is_container(command) || args.len() < 2)
}

/// `primary` is `master` by another name: who may not call the one may not call the other.
pub fn without_alias(name: &[u8]) -> Vec<u8> {
    let name = name.to_ascii_lowercase();
    match std::str::from_utf8(&name) {
        Ok(text) => text.replace("primaries", "masters").replace("primary", "master").into_bytes(),
        Err(_) => name,
    }
}

fn is_listed(command: &&Command) -> bool {
    !UNLISTED.contains(&command.full_name)
}

fn all() -> Vec<&'static Command> {
    table().commands().filter(is_listed).collect()
}

fn subcommands(command: &Command) -> Vec<&Command> {
    command.subcommands.iter().filter(is_listed).collect()
}

fn write(reply: &mut Reply<'_>, command: &Command) {
    let names = |bits: u32, names: &[(u32, &str)], prefix: &str| -> Vec<String> {
        names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| format!("{prefix}{name}")).collect()
    };
    reply.array(10);
    reply.bulk(command.full_name.as_bytes());
    reply.int(i64::from(command.arity));
    let flags = names(command.flags, flag::NAMES, "");
    reply.set(flags.len());
    flags.iter().for_each(|name| reply.simple(name));
    (0..3).for_each(|_| reply.int(0));
    let categories = names(command.acl, acl::NAMES, "@");
    reply.set(categories.len());
    categories.iter().for_each(|name| reply.simple(name));
    reply.set(0);
    reply.set(0);
    let subcommands = subcommands(command);
    if subcommands.is_empty() {
        reply.set(0)
    } else {
        reply.array(subcommands.len())
    }
    subcommands.into_iter().for_each(|sub| write(reply, sub));
}

fn find_listed(name: &[u8]) -> Option<&'static Command> {
    table().find_full(name).filter(is_listed)
}

/// COMMAND, COMMAND COUNT, INFO, LIST and DOCS.
pub fn command(args: Args<'_>, reply: &mut Reply<'_>) -> Answered {
    let sub = args.get(1).map(|sub| String::from_utf8_lossy(sub).to_ascii_lowercase());
    match (sub.as_deref(), args.len()) {
        (None, _) | (Some("info"), 2) => {
            let all = all();
            reply.array(all.len());
            all.into_iter().for_each(|command| write(reply, command));
        }
        (Some("info"), count) => {
            reply.array(count - 2);
            for name in args.iter().skip(2) {
                match find_listed(name) {
                    Some(command) => write(reply, command),
                    None => reply.null_array(),
                }
            }
        }
        (Some("count"), 2) => reply.int(all().len() as i64),
        (Some("list"), count) => list(args, count, reply)?,
        (Some("docs"), count) => {
            let found = if count == 2 { all() } else { args.iter().skip(2).filter_map(find_listed).collect() };
            reply.map(found.len());
            for command in found {
                reply.bulk(command.full_name.as_bytes());
                reply.map(1);
                reply.bulk(b"summary");
                reply.bulk(command.summary.as_bytes());
            }
        }
        (Some("help"), 2) => {
            let lines = [
                "COMMAND <subcommand> [<arg> ...]. Subcommands are:",
                "COUNT",
                "DOCS [<name> ...]",
                "HELP",
                "INFO [<name> ...]",
                "LIST [FILTERBY (ACLCAT <category>|PATTERN <pattern>)]",
            ];
            reply.array(lines.len());
            lines.iter().for_each(|line| reply.simple(line));
        }
        (Some("getkeys" | "getkeysandflags"), count) if count > 2 => {
            return Err("ERR The command has no key arguments".into());
        }
        (Some(sub), _) => return Err(format!("ERR unknown subcommand '{sub}'. Try COMMAND HELP.")),
    }
    Ok(())
}

fn list(args: Args<'_>, count: usize, reply: &mut Reply<'_>) -> Answered {
    let mut found: Vec<&Command> =
        all().into_iter().flat_map(|command| std::iter::once(command).chain(subcommands(command))).collect();
    if count == 5 && args.is(2, "filterby") && args.is(3, "pattern") {
        found.retain(|command| matches(args.at(4), command.full_name));
    } else if count == 5 && args.is(2, "filterby") && args.is(3, "aclcat") {
        let named = acl::NAMES.iter().find(|(_, known)| args.at(4).eq_ignore_ascii_case(known.as_bytes()));
        let bits = named.map_or(0, |(bit, _)| *bit);
        found.retain(|command| command.acl & bits != 0);
    } else if count != 2 {
        return Err("ERR syntax error".into());
    }
    reply.array(found.len());
    found.iter().for_each(|command| reply.bulk(command.full_name.as_bytes()));
    Ok(())
}

/// Whether a line has as many arguments as its command takes.
pub fn check_arity(command: &Command, args: Args<'_>) -> Answered {
    match command.arity_fits(args.len()) {
        true => Ok(()),
        false => Err(text(&Fail::arity(command.full_name))),
    }
}

/// The text of an error.
pub fn text(fail: &Fail) -> String {
    String::from_utf8_lossy(&fail.0).into_owned()
}

#[cfg(test)]
mod tests {
    use rivulet_resp::OwnedArgs;

    use super::*;

    #[test]
    fn a_line_names_a_command_or_what_it_contains() {
        let name = |words: &[&str]| find(OwnedArgs::from_slices(words).as_args()).map(|command| command.full_name);
        for (words, want) in [
            (&["PING"][..], Some("ping")),
            (&["sentinel", "PRIMARIES"], Some("sentinel|masters")),
            (&["SENTINEL", "is-primary-down-by-addr"], Some("sentinel|is-master-down-by-addr")),
            (&["sentinel", "doctor"], Some("sentinel|doctor")),
            (&["sentinel", "nonsense"], Some("sentinel")),
            (&["acl", "LIST"], Some("acl|list")),
            (&["client", "capa"], Some("client")),
            (&["get", "a"], None),
        ] {
            assert_eq!(name(words), want, "{words:?}");
        }
        let whole = |words: &[&str]| find_whole(OwnedArgs::from_slices(words).as_args()).is_some();
        assert!(whole(&["sentinel"]) && whole(&["sentinel", "masters"]) && !whole(&["sentinel", "nonsense"]));
    }
}
