//! The table `redis` of scripts, which is also `server`.

use rivulet_resp::Args;
use rivulet_resp::args::Span;
use sha1::{Digest, Sha1};

use crate::context::{Buffers, Identity};
use crate::host::{LogLevel, Replication};
use crate::lua::{Kind, LIMIT_BYTES_MAX, Lua, Outcome, Raise, View};
use crate::{debugger, number, value};

const NO_ARGUMENTS: &str = "Please specify at least one argument for this redis lib call";
const OUTSIDE: &str = "redis.call/pcall can only be called inside a script invocation";

/// Which parts of the table there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// For scripts.
    Script,
    /// For functions that run.
    Function,
    /// For a library while it is loaded.
    Load,
}

/// Pushes the table.
pub(crate) fn push(lua: &mut Lua<'_>, part: Part, identity: &Identity) {
    lua.push_table(0, 32);
    push_log(lua);
    lua.push_bytes(identity.redis_version.as_bytes());
    lua.raw_set_field(-2, b"REDIS_VERSION");
    lua.push_number(f64::from(identity.version_number()));
    lua.raw_set_field(-2, b"REDIS_VERSION_NUM");
    match part {
        Part::Load => add(lua, "register_function", crate::libraries::register_function),
        Part::Function => push_calls(lua),
        Part::Script => {
            push_calls(lua);
            add(lua, "breakpoint", |lua| {
                let is_debugged = lua.context().debugger.ask();
                lua.push_bool(is_debugged);
                Ok(1)
            });
            add(lua, "debug", |lua| {
                debugger::show_arguments(lua);
                Ok(0)
            });
            add(lua, "replicate_commands", |lua| {
                lua.push_bool(true);
                Ok(1)
            });
        }
    }
}

fn add<F: Fn(&mut Lua<'_>) -> Outcome + Copy + 'static>(lua: &mut Lua<'_>, name: &str, function: F) {
    lua.push_function(function);
    lua.raw_set_field(-2, name.as_bytes());
}

fn push_log(lua: &mut Lua<'_>) {
    add(lua, "log", log);
    for (name, level) in [("LOG_DEBUG", 0.0), ("LOG_VERBOSE", 1.0), ("LOG_NOTICE", 2.0), ("LOG_WARNING", 3.0)] {
        lua.push_number(level);
        lua.raw_set_field(-2, name.as_bytes());
    }
}

fn push_calls(lua: &mut Lua<'_>) {
    add(lua, "call", call);
    add(lua, "pcall", pcall);
    add(lua, "setresp", set_resp);
    add(lua, "sha1hex", sha1_hex);
    add(lua, "error_reply", error_reply);
    add(lua, "status_reply", status_reply);
    add(lua, "set_repl", set_replication);
    add(lua, "acl_check_cmd", acl_check_command);
    let targets =
        [("REPL_NONE", 0.0), ("REPL_AOF", 1.0), ("REPL_SLAVE", 2.0), ("REPL_REPLICA", 2.0), ("REPL_ALL", 3.0)];
    for (name, bits) in targets {
        lua.push_number(bits);
        lua.raw_set_field(-2, name.as_bytes());
    }
}

/// Pushes an error as scripts see it: a table with its text. A text with a code begins with `-`, others get `ERR`.
pub(crate) fn push_error(lua: &mut Lua<'_>, text: &[u8]) {
    lua.context().debugger.show_error(text);
    let (code, message) = match text.strip_prefix(b"-") {
        None => (b"ERR".as_slice(), text),
        Some(rest) => match rest.iter().position(|&c| c == b' ') {
            None => (b"ERR".as_slice(), rest),
            Some(at) => (&rest[..at], &rest[at + 1..]),
        },
    };
    let is_end = |c: &u8| *c == b'\r' || *c == b'\n';
    let start = message.iter().take_while(|c| is_end(c)).count();
    let message = &message[start..];
    let end = message.iter().rev().take_while(|c| is_end(c)).count();
    lua.push_table(0, 0);
    lua.push_bytes(&[code, b" ", &message[..message.len() - end]].concat());
    lua.raw_set_field(-2, b"err");
}

fn raise(lua: &mut Lua<'_>, text: &str) -> Raise {
    push_error(lua, text.as_bytes());
    lua.raise_top()
}

/// Why a command was not run or what it said.
enum Called {
    Value,
    /// The value on top is an error.
    Error,
}

fn call(lua: &mut Lua<'_>) -> Outcome {
    match run(lua)? {
        Called::Value => Ok(1),
        Called::Error => Err(lua.raise_top()),
    }
}

fn pcall(lua: &mut Lua<'_>) -> Outcome {
    run(lua).map(|_| 1)
}

/// Runs the command that the arguments are, and pushes its reply's value.
fn run(lua: &mut Lua<'_>) -> Result<Called, Raise> {
    let mut buffers = lua.context().buffers.take();
    let called = match write_command(lua, &mut buffers) {
        Ok(()) => run_written(lua, &mut buffers),
        Err(text) => {
            push_error(lua, text.as_bytes());
            Ok(Called::Error)
        }
    };
    buffers.keep_small();
    lua.context().buffers.set(buffers);
    called
}

fn run_written(lua: &mut Lua<'_>, buffers: &mut Buffers) -> Result<Called, Raise> {
    let Buffers { command, spans, reply } = buffers;
    reply.clear();
    let context = lua.context();
    let args = Args::new(command, spans, false);
    let resp3 = context.resp3.get();
    let is_shown = context.debugger.steps();
    if is_shown {
        context.debugger.show_command(args);
    }
    if context.host.with(|host| host.call(args, resp3, reply)).is_none() {
        push_error(lua, OUTSIDE.as_bytes());
        return Ok(Called::Error);
    }
    if is_shown {
        push_shown(lua, reply)?;
    } else {
        value::push(lua, reply)?;
    }
    Ok(if reply.first() == Some(&b'-') { Called::Error } else { Called::Value })
}

/// Pushes the value of a reply that the debugger shows.
fn push_shown(lua: &mut Lua<'_>, reply: &[u8]) -> Result<(), Raise> {
    let debugger = &lua.context().debugger;
    let was_refused = debugger::console(lua, |console| console.was_refused()).unwrap_or(false);
    if was_refused {
        let line = reply.split(|byte| *byte == b'\r').next().unwrap_or_default();
        debugger.show_error(line.strip_prefix(b"-ERR ").unwrap_or(line));
        return debugger.unseen(|| value::push(lua, reply));
    }
    value::push(lua, reply)?;
    debugger.show_reply(reply);
    Ok(())
}

/// Runs a command of who debugs; its reply, or the error, is pushed.
pub(crate) fn call_words(lua: &mut Lua<'_>, words: &[Vec<u8>]) {
    let mut buffers = Buffers::default();
    for word in words {
        // They are few and short: the debugger's input is bounded.
        let span = Span { start: buffers.command.len() as u32, len: word.len() as u32 };
        buffers.command.extend_from_slice(word);
        buffers.spans.push(span);
    }
    // An error was shown.
    let _ = run_written(lua, &mut buffers);
}

impl Buffers {
    /// What one large value needed is given back.
    fn keep_small(&mut self) {
        const KEPT_BYTES_MAX: usize = 64 * 1024;
        for buffer in [&mut self.command, &mut self.reply] {
            if buffer.capacity() > KEPT_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
        if self.spans.capacity() > KEPT_BYTES_MAX / size_of::<Span>() {
            self.spans = Vec::new();
        }
    }
}

/// Writes the arguments one after the other. Most commands of scripts read, and go nowhere: who sends one on writes it as an array then.
fn write_command(lua: &mut Lua<'_>, buffers: &mut Buffers) -> Result<(), &'static str> {
    let Buffers { command, spans, .. } = buffers;
    command.clear();
    spans.clear();
    let count = lua.top();
    if count == 0 {
        return Err(NO_ARGUMENTS);
    }
    for arg in 1..=count {
        let start = command.len();
        match lua.view(arg) {
            View::String(bytes) => command.extend_from_slice(bytes),
            View::Number(number) => number::push_argument(command, number),
            View::Other(_) => return Err("Lua redis lib command arguments must be strings or integers"),
        }
        if command.len() > LIMIT_BYTES_MAX {
            return Err("the command is too large");
        }
        // Both fit: the whole is checked after each argument.
        spans.push(Span { start: start as u32, len: (command.len() - start) as u32 });
    }
    Ok(())
}

fn acl_check_command(lua: &mut Lua<'_>) -> Outcome {
    let mut buffers = lua.context().buffers.take();
    let written = write_command(lua, &mut buffers);
    let args = Args::new(&buffers.command, &buffers.spans, false);
    let allowed = written.map(|()| lua.context().host.with(|host| host.may_run(args)));
    buffers.keep_small();
    lua.context().buffers.set(buffers);
    match allowed {
        Ok(Some(Some(allowed))) => {
            lua.push_bool(allowed);
            Ok(1)
        }
        Ok(Some(None)) => Err(raise(lua, "Invalid command passed to redis.acl_check_cmd()")),
        Ok(None) => Err(raise(lua, "redis.acl_check_cmd can only be called inside a script invocation")),
        Err(text) => Err(raise(lua, text)),
    }
}

fn log(lua: &mut Lua<'_>) -> Outcome {
    let count = lua.top();
    if count < 2 {
        return Err(raise(lua, "redis.log() requires two arguments or more."));
    }
    let Some(level) = lua.to_number(1) else {
        return Err(raise(lua, "First argument must be a number (log level)."));
    };
    let level = match level as i64 {
        0 => LogLevel::Debug,
        1 => LogLevel::Verbose,
        2 => LogLevel::Notice,
        3 => LogLevel::Warning,
        _ => return Err(raise(lua, "Invalid log level.")),
    };
    let mut text = Vec::new();
    for arg in 2..=count {
        let Some(bytes) = lua.arg_bytes(arg) else { continue };
        if arg > 2 {
            text.push(b' ');
        }
        text.extend_from_slice(bytes);
        lua.check_text(text.len())?;
    }
    lua.context().host.with(|host| host.log(level, &text));
    Ok(0)
}

fn set_resp(lua: &mut Lua<'_>) -> Outcome {
    if lua.top() != 1 {
        return Err(raise(lua, "redis.setresp() requires one argument."));
    }
    match lua.to_number(1).map(|n| n as i64) {
        Some(2) => lua.context().resp3.set(false),
        Some(3) => lua.context().resp3.set(true),
        _ => return Err(raise(lua, "RESP version must be 2 or 3.")),
    }
    Ok(0)
}

fn set_replication(lua: &mut Lua<'_>) -> Outcome {
    if lua.top() != 1 {
        return Err(raise(lua, "redis.set_repl() requires one argument."));
    }
    let bits = lua.to_number(1).map_or(0, |n| n as i64);
    if bits & !3 != 0 {
        let text = "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return Err(raise(lua, text));
    }
    let to = Replication { to_aof: bits & 1 != 0, to_replicas: bits & 2 != 0 };
    lua.context().host.with(|host| host.set_replication(to));
    Ok(0)
}

fn sha1_hex(lua: &mut Lua<'_>) -> Outcome {
    if lua.top() != 1 {
        return Err(raise(lua, "wrong number of arguments"));
    }
    let digest = Sha1::digest(lua.arg_bytes(1).unwrap_or_default());
    lua.push_bytes(&hexadecimal(&digest));
    Ok(1)
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| b"0123456789abcdef"[usize::from(d)]).collect()
}

/// The one argument of the functions that make replies; with any other an error was pushed.
fn reply_text<'a>(lua: &mut Lua<'a>) -> Option<&'a [u8]> {
    if lua.top() == 1 && lua.kind(1) == Kind::String {
        return lua.arg_bytes(1);
    }
    push_error(lua, b"wrong number or type of arguments");
    None
}

fn error_reply(lua: &mut Lua<'_>) -> Outcome {
    if let Some(text) = reply_text(lua) {
        let text = text.split(|&c| c == 0).next().unwrap_or_default();
        push_error(lua, &[b"-", text.strip_prefix(b"-").unwrap_or(text)].concat());
    }
    Ok(1)
}

fn status_reply(lua: &mut Lua<'_>) -> Outcome {
    if let Some(text) = reply_text(lua) {
        lua.push_table(0, 0);
        lua.push_bytes(text);
        lua.raw_set_field(-2, b"ok");
    }
    Ok(1)
}
