//! The commands that a Sentinel has: their arity, flags and categories, and COMMAND, which tells of them.

use rivulet_commands::spec::{acl, flag};
use rivulet_commands::table;
use rivulet_resp::{Args, Reply};

use crate::commands::{Answered, matches};

/// A command, or a subcommand by its full name.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    /// With the name; negative: at least so many.
    pub arity: i32,
    pub flags: u32,
    pub categories: u32,
    pub subcommands: Vec<Row>,
}

impl Row {
    pub fn has_subcommands(&self) -> bool {
        !self.subcommands.is_empty()
    }
}

/// Commands that servers have, too: what is told of them is told there.
const SHARED: [&str; 14] = [
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

/// Subcommands of ACL, with their arity.
pub const ACL: [(&str, i32); 13] = [
    ("cat", -2),
    ("deluser", -3),
    ("dryrun", -4),
    ("genpass", -2),
    ("getuser", 3),
    ("help", 2),
    ("list", 2),
    ("load", 2),
    ("log", -2),
    ("save", 2),
    ("setuser", -3),
    ("users", 2),
    ("whoami", 2),
];

/// Subcommands of CLIENT that COMMAND tells of.
const CLIENT: [&str; 16] = [
    "caching",
    "getname",
    "getredir",
    "help",
    "id",
    "info",
    "kill",
    "list",
    "no-evict",
    "pause",
    "reply",
    "setname",
    "tracking",
    "trackinginfo",
    "unblock",
    "unpause",
];

/// The row of a command, by its name in small letters.
pub fn find(name: &str) -> Option<Row> {
    let own = |name: &str, arity: i32, subcommands: Vec<(&str, i32)>| {
        let row = |name: String, arity: i32| Row {
            name,
            arity,
            flags: flag::ADMIN,
            categories: acl::ADMIN | acl::SLOW | acl::DANGEROUS,
            subcommands: Vec::new(),
        };
        let children = subcommands.into_iter().map(|(sub, arity)| row(format!("{name}|{sub}"), arity)).collect();
        Row { subcommands: children, ..row(name.to_string(), arity) }
    };
    match name {
        "sentinel" => Some(own(name, -2, rivulet_sentinel::commands::subcommands().collect())),
        "acl" => Some(own(name, -2, ACL.to_vec())),
        name if SHARED.contains(&name) => Some(shared(name)),
        _ => None,
    }
}

fn shared(name: &str) -> Row {
    let Some(command) = table::find(name.as_bytes()) else {
        let categories = acl::FAST | acl::CONNECTION;
        return Row { name: name.into(), arity: -1, flags: flag::FAST, categories, subcommands: Vec::new() };
    };
    let row = |command: &rivulet_commands::Command| Row {
        name: command.full_name.to_string(),
        arity: command.arity,
        flags: command.flags & !flag::MAY_REPLICATE,
        categories: command.acl,
        subcommands: Vec::new(),
    };
    let is_here = |sub: &&rivulet_commands::Command| name != "client" || CLIENT.contains(&sub.name);
    let mut row_of = row(command);
    row_of.subcommands = command.subcommands.iter().filter(is_here).map(row).collect();
    // Those that this version's servers don't have yet.
    for missing in CLIENT.iter().filter(|_| name == "client") {
        let full_name = format!("client|{missing}");
        if !row_of.subcommands.iter().any(|row| row.name == full_name) {
            row_of.subcommands.push(Row {
                name: full_name,
                arity: -2,
                flags: flag::NOSCRIPT | flag::LOADING | flag::STALE,
                categories: acl::SLOW | acl::CONNECTION,
                subcommands: Vec::new(),
            });
        }
    }
    row_of
}

fn all() -> Vec<Row> {
    SHARED.iter().filter(|name| **name != "quit").chain(&["acl", "sentinel"]).filter_map(|name| find(name)).collect()
}

pub fn check_arity(row: &Row, args: Args<'_>) -> Answered {
    let count = args.len() as i32;
    if (row.arity > 0 && count != row.arity) || count < -row.arity {
        return Err(format!("ERR wrong number of arguments for '{}' command", row.name));
    }
    Ok(())
}

fn write(reply: &mut Reply<'_>, row: &Row) {
    let names = |bits: u32, names: &[(u32, &str)], prefix: &str| -> Vec<String> {
        names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| format!("{prefix}{name}")).collect()
    };
    reply.array(10);
    reply.bulk(row.name.as_bytes());
    reply.int(i64::from(row.arity));
    let flags = names(row.flags, flag::NAMES, "");
    reply.set(flags.len());
    flags.iter().for_each(|name| reply.simple(name));
    (0..3).for_each(|_| reply.int(0));
    let categories = names(row.categories, acl::NAMES, "@");
    reply.set(categories.len());
    categories.iter().for_each(|name| reply.simple(name));
    reply.set(0);
    reply.set(0);
    if row.subcommands.is_empty() {
        reply.set(0)
    } else {
        reply.array(row.subcommands.len())
    }
    row.subcommands.iter().for_each(|row| write(reply, row));
}

fn find_full(name: &[u8]) -> Option<Row> {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let (parent, sub) = name.split_once('|').map_or((name.as_str(), None), |(parent, sub)| (parent, Some(sub)));
    let row = find(parent)?;
    match sub {
        None => Some(row),
        Some(_) => row.subcommands.into_iter().find(|row| row.name == name),
    }
}

/// COMMAND, COMMAND COUNT, INFO, LIST and DOCS.
pub fn command(args: Args<'_>, reply: &mut Reply<'_>) -> Answered {
    let sub = args.get(1).map(|sub| String::from_utf8_lossy(sub).to_ascii_lowercase());
    match (sub.as_deref(), args.len()) {
        (None, _) | (Some("info"), 2) => {
            let all = all();
            reply.array(all.len());
            all.iter().for_each(|row| write(reply, row));
        }
        (Some("info"), count) => {
            reply.array(count - 2);
            for name in args.iter().skip(2) {
                match find_full(name) {
                    Some(row) => write(reply, &row),
                    None => reply.null_array(),
                }
            }
        }
        (Some("count"), 2) => reply.int(all().len() as i64),
        (Some("list"), count) => list(args, count, reply)?,
        (Some("docs"), count) => {
            let rows = if count == 2 { all() } else { args.iter().skip(2).filter_map(find_full).collect() };
            reply.map(rows.len());
            for row in rows {
                let summary = table::find_full(row.name.as_bytes()).map_or("", |command| command.summary);
                reply.bulk(row.name.as_bytes());
                reply.map(1);
                reply.bulk(b"summary");
                reply.bulk(summary.as_bytes());
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
    let mut rows: Vec<Row> = all();
    rows = rows.into_iter().flat_map(|row| std::iter::once(row.clone()).chain(row.subcommands)).collect();
    if count == 5 && args.is(2, "filterby") && args.is(3, "pattern") {
        rows.retain(|row| matches(args.at(4), &row.name));
    } else if count == 5 && args.is(2, "filterby") && args.is(3, "aclcat") {
        let bits = category(args.at(4)).unwrap_or(0);
        rows.retain(|row| row.categories & bits != 0);
    } else if count != 2 {
        return Err("ERR syntax error".into());
    }
    reply.array(rows.len());
    rows.iter().for_each(|row| reply.bulk(row.name.as_bytes()));
    Ok(())
}

/// The bit of a category, by its name.
pub fn category(name: &[u8]) -> Option<u32> {
    acl::NAMES.iter().find(|(_, known)| name.eq_ignore_ascii_case(known.as_bytes())).map(|(bit, _)| *bit)
}

/// The names of the commands of a category.
pub fn names_in(bit: u32) -> Vec<String> {
    let rows = all().into_iter().flat_map(|row| std::iter::once(row.clone()).chain(row.subcommands));
    rows.filter(|row| row.categories & bit != 0).map(|row| row.name).collect()
}
