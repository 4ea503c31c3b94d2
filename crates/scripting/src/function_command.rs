//! FUNCTION with its subcommands. Whether it may run, and FUNCTION KILL, are the server's.

use rivulet_commands::fail::{Fail, SYNTAX};
use rivulet_commands::glob;
use rivulet_rdb::Writer;
use rivulet_resp::{Args, OwnedArgs, Reply};

use crate::dump;
use crate::host::Host;
use crate::libraries::{Function, Libraries, Library, Policy};
use crate::script_command::flush_mode;
use crate::vm::Remains;

/// What a command left to be done. Its reply is written, but for [`Answer::Kill`].
pub enum Answer {
    /// Nothing.
    Replied,
    /// Something changed: the command goes to the replicas and to the files as it came.
    Changed,
    /// As [`Answer::Changed`]; the old state is to be dropped, on another thread unless the client said SYNC (`Some(false)`).
    Flushed { remains: Remains, asynchronous: Option<bool> },
    /// The server ends what runs, or says that nothing does.
    Kill,
}

/// What runs now, for FUNCTION STATS.
pub struct Running {
    /// The function's name, or a script's SHA-1.
    pub name: Vec<u8>,
    pub command: OwnedArgs,
    pub duration_ms: u64,
}

/// Runs the command. The arity of each subcommand was checked.
pub fn run(
    libraries: &mut Libraries,
    args: Args<'_>,
    running: Option<&Running>,
    writer: &mut Writer,
    host: &mut dyn Host,
    reply: &mut Reply<'_>,
) -> Answer {
    let subcommand = args.get(1).unwrap_or_default().to_ascii_lowercase();
    let result = match subcommand.as_slice() {
        b"load" => load(libraries, args, host, reply),
        b"delete" => delete(libraries, args, reply),
        b"flush" => flush(libraries, args, reply),
        b"list" => list(libraries, args, reply),
        b"stats" => {
            write_stats(libraries.len(), libraries.functions_len(), running, reply);
            Ok(Answer::Replied)
        }
        b"dump" => {
            let mut payload = Vec::new();
            dump::write(libraries, writer, &mut payload);
            reply.bulk(&payload);
            Ok(Answer::Replied)
        }
        b"restore" => restore(libraries, args, host, reply),
        b"kill" => Ok(Answer::Kill),
        b"help" => {
            write_help(HELP, reply);
            Ok(Answer::Replied)
        }
        _ => Err(unknown(args, "unknown subcommand", "FUNCTION")),
    };
    result.unwrap_or_else(|fail| {
        reply.error(&fail.0);
        Answer::Replied
    })
}

/// What Redis says about a subcommand that it does not know, or not with so many arguments.
pub(crate) fn unknown(args: Args<'_>, what: &str, command: &str) -> Fail {
    let given = args.get(1).unwrap_or_default();
    let given = &given[..given.len().min(128)];
    Fail::bytes([format!("ERR {what} '").as_bytes(), given, format!("'. Try {command} HELP.").as_bytes()].concat())
}

pub(crate) fn unknown_or_arity(args: Args<'_>, command: &str) -> Fail {
    unknown(args, "unknown subcommand or wrong number of arguments for", command)
}

pub(crate) fn write_help(lines: &[&str], reply: &mut Reply<'_>) {
    reply.array(lines.len());
    lines.iter().for_each(|line| reply.simple(line));
}

fn load(libraries: &mut Libraries, args: Args<'_>, host: &mut dyn Host, reply: &mut Reply<'_>) -> Result<Answer, Fail> {
    let Some(last) = args.len().checked_sub(1).filter(|last| *last >= 2) else {
        return Err(Fail::arity("function|load"));
    };
    let mut replace = false;
    for at in 2..last {
        if !args.is(at, "replace") {
            return Err(Fail::bytes([b"ERR Unknown option given: ", args.at(at)].concat()));
        }
        replace = true;
    }
    let name = libraries.load(args.at(last), replace, host)?;
    reply.bulk(&name);
    Ok(Answer::Changed)
}

fn delete(libraries: &mut Libraries, args: Args<'_>, reply: &mut Reply<'_>) -> Result<Answer, Fail> {
    if !libraries.delete(args.get(2).unwrap_or_default()) {
        return Err(Fail::new("ERR Library not found"));
    }
    reply.ok();
    Ok(Answer::Changed)
}

fn flush(libraries: &mut Libraries, args: Args<'_>, reply: &mut Reply<'_>) -> Result<Answer, Fail> {
    if args.len() > 3 {
        return Err(unknown_or_arity(args, "FUNCTION"));
    }
    let error = "ERR FUNCTION FLUSH only supports SYNC|ASYNC option";
    let asynchronous = flush_mode(args, error)?;
    let remains = libraries.flush();
    reply.ok();
    Ok(Answer::Flushed { remains, asynchronous })
}

fn restore(
    libraries: &mut Libraries,
    args: Args<'_>,
    host: &mut dyn Host,
    reply: &mut Reply<'_>,
) -> Result<Answer, Fail> {
    if args.len() > 4 {
        return Err(unknown_or_arity(args, "FUNCTION"));
    }
    let policy = match args.get(3).map(<[u8]>::to_ascii_lowercase).as_deref() {
        None | Some(b"append") => Policy::Append,
        Some(b"replace") => Policy::Replace,
        Some(b"flush") => Policy::Flush,
        Some(_) => {
            return Err(Fail::new("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."));
        }
    };
    let codes = dump::read(args.get(2).ok_or(SYNTAX)?)?;
    libraries.load_all(codes, policy, host)?;
    reply.ok();
    Ok(Answer::Changed)
}

fn list(libraries: &Libraries, args: Args<'_>, reply: &mut Reply<'_>) -> Result<Answer, Fail> {
    let mut pattern = None;
    let mut with_code = false;
    let mut at = 2;
    while at < args.len() {
        if !with_code && args.is(at, "withcode") {
            with_code = true;
        } else if pattern.is_none() && args.is(at, "libraryname") {
            at += 1;
            pattern = Some(args.get(at).ok_or(Fail::new("ERR library name argument was not given"))?);
        } else {
            return Err(Fail::bytes([b"ERR Unknown argument ", args.at(at)].concat()));
        }
        at += 1;
    }
    let matching = libraries.iter().filter(|(name, _)| pattern.is_none_or(|p| glob::matches_nocase(p, name)));
    let mark = reply.begin();
    let mut count = 0;
    for (name, library) in matching {
        write_library(libraries, name, library, with_code, reply);
        count += 1;
    }
    reply.end(mark, count);
    Ok(Answer::Replied)
}

fn write_library(libraries: &Libraries, name: &[u8], library: &Library, with_code: bool, reply: &mut Reply<'_>) {
    reply.map(3 + usize::from(with_code));
    reply.bulk(b"library_name");
    reply.bulk(name);
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    let functions = libraries.functions_of(library);
    reply.array(functions.len());
    functions.for_each(|f| write_function(f, reply));
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(library.code());
    }
}

fn write_function(function: &Function, reply: &mut Reply<'_>) {
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(function.name());
    reply.bulk(b"description");
    match function.description() {
        Some(text) => reply.bulk(text),
        None => reply.null(),
    }
    reply.bulk(b"flags");
    reply.set(function.flags().iter().count());
    function.flags().iter().for_each(|flag| reply.simple(flag.name()));
}

/// The reply of FUNCTION STATS, which may be asked for while the libraries are in use.
pub fn write_stats(libraries: usize, functions: usize, running: Option<&Running>, reply: &mut Reply<'_>) {
    reply.map(2);
    reply.bulk(b"running_script");
    match running {
        None => reply.null(),
        Some(running) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(&running.name);
            reply.bulk(b"command");
            let command = running.command.as_args();
            reply.array(command.len());
            command.iter().for_each(|arg| reply.bulk(arg));
            reply.bulk(b"duration_ms");
            reply.int(running.duration_ms as i64);
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.int(libraries as i64);
    reply.bulk(b"functions_count");
    reply.int(functions as i64);
}

const HELP: &[&str] = &[
    "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Load a library; its first line has its name.",
    "DELETE <LIBRARY NAME>",
    "    Delete a library.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Show the libraries, those of a name alone, with their code.",
    "STATS",
    "    Show what runs and for how long, and how many functions there are.",
    "KILL",
    "    End the function that runs, unless it has written.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all libraries.",
    "DUMP",
    "    Return all libraries as a payload for FUNCTION RESTORE.",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Load the libraries of a payload, all or none; APPEND is the default.",
    "HELP",
    "    Print this help.",
];
