//! The commands of a session.

use super::input::{Parsed, leading_number, parse};
use super::{Received, Session, console, end, send_said, show};
use crate::api;
use crate::lua::{Kind, Lua, Raise};

/// A client that sends more without a command in it is no debugger.
const INPUT_BYTES_MAX: usize = 1 << 20;
const BREAKPOINTS_MAX: usize = 64;
/// What is shown is cut at no less.
const SHOWN_LEN_MIN: i64 = 60;
/// `list` shows so many lines on each side.
const LIST_LINES: i64 = 5;

/// How a command goes on.
enum Then {
    /// The next one is awaited.
    Converse,
    /// The script goes on.
    GoOn,
    /// The script ends with this error.
    End(&'static str),
}

/// Carries out commands until one lets the script go on; answers whether the client is still there.
///
/// # Errors
/// The script ends.
pub(super) fn converse(lua: &mut Lua<'_>) -> Result<bool, Raise> {
    loop {
        let words = match next(lua)? {
            Some(words) => words,
            None => {
                lua.context().debugger.let_go();
                return Ok(false);
            }
        };
        match run(lua, &words) {
            Then::Converse => send_said(lua),
            Then::GoOn => return Ok(true),
            Then::End(text) => return Err(end(lua, text)),
        }
        // What `eval` ran was ended by the host.
        if lua.shared().killed.get() {
            return Err(lua.raise(""));
        }
    }
}

/// The next command; nothing when the client has gone.
fn next(lua: &mut Lua<'_>) -> Result<Option<Vec<Vec<u8>>>, Raise> {
    loop {
        let mut input = lua.context().debugger.with(|session| std::mem::take(&mut session.input)).unwrap_or_default();
        match parse(&input) {
            Parsed::Command(words, len) => {
                input.drain(..len);
                lua.context().debugger.with(|session| session.input = input);
                return Ok(Some(words));
            }
            Parsed::Malformed => return Err(end(lua, "protocol error")),
            Parsed::Incomplete if input.len() > INPUT_BYTES_MAX => return Err(end(lua, "max client buffer reached")),
            Parsed::Incomplete => {}
        }
        let received = console(lua, |console| console.receive(&mut input)).unwrap_or(Received::Gone);
        lua.context().debugger.with(|session| session.input = input);
        match received {
            Received::Bytes => {}
            Received::Gone => return Ok(None),
            Received::End(text) => return Err(end(lua, text)),
        }
    }
}

fn run(lua: &mut Lua<'_>, words: &[Vec<u8>]) -> Then {
    let (name, rest) =
        words.split_first().map_or((Vec::new(), words), |(name, rest)| (name.to_ascii_lowercase(), rest));
    match name.as_slice() {
        b"s" | b"step" | b"n" | b"next" => {
            lua.context().debugger.steps.set(true);
            return Then::GoOn;
        }
        b"c" | b"continue" => return Then::GoOn,
        b"a" | b"abort" => return Then::End("script aborted for user request"),
        b"h" | b"help" => in_session(lua, |session| HELP.iter().for_each(|line| session.say(*line))),
        b"t" | b"trace" => trace(lua),
        b"m" | b"maxlen" => in_session(lua, |session| session.set_shown_len(rest)),
        b"b" | b"break" => in_session(lua, |session| session.change_breakpoints(rest)),
        b"e" | b"eval" => eval(lua, &rest.join(&b' ')),
        b"r" | b"redis" if !rest.is_empty() => redis(lua, rest),
        b"p" | b"print" => match rest {
            [variable] => print(lua, variable),
            _ => print_all(lua),
        },
        b"l" | b"list" => in_session(lua, |session| session.list_asked(rest)),
        b"w" | b"whole" => in_session(lua, |session| session.list(1, i64::MAX)),
        _ => in_session(lua, |session| {
            session.say("<error> Unknown Redis Lua debugger command or wrong number of arguments.");
        }),
    }
    Then::Converse
}

fn in_session(lua: &Lua<'_>, f: impl FnOnce(&mut Session)) {
    lua.context().debugger.with(f);
}

impl Session {
    /// Says the lines around one, or all for a line of 0.
    fn list(&mut self, around: i64, context: i64) {
        for line in 1..=self.lines.len() as i64 {
            if around == 0 || (around - line).abs() <= context {
                self.say_source(line as i32);
            }
        }
    }

    fn list_asked(&mut self, rest: &[Vec<u8>]) {
        let asked = rest.first().map_or(0, |word| leading_number(word));
        let context = rest.get(1).map_or(LIST_LINES, |word| leading_number(word));
        self.list(if asked > 0 { asked } else { i64::from(self.line) }, context);
    }

    fn set_shown_len(&mut self, rest: &[Vec<u8>]) {
        if let [len] = rest {
            let len = leading_number(len);
            // Who knows the command needs no hint.
            self.has_told_of_cut = true;
            self.shown_len = if len == 0 { 0 } else { len.max(SHOWN_LEN_MIN) as usize };
        }
        match self.shown_len {
            0 => self.say("<value> replies are unlimited."),
            len => self.say(format!("<value> replies are truncated at {len} bytes.")),
        }
    }

    fn change_breakpoints(&mut self, rest: &[Vec<u8>]) {
        if !rest.is_empty() {
            return rest.iter().for_each(|word| self.change_breakpoint(word));
        }
        if self.breakpoints.is_empty() {
            return self.say("No breakpoints set. Use 'b <line>' to add one.");
        }
        self.say(format!("{} breakpoints set:", self.breakpoints.len()));
        self.breakpoints.clone().into_iter().for_each(|line| self.say_source(line));
    }

    fn change_breakpoint(&mut self, word: &[u8]) {
        match rivulet_commands::parse::int(word) {
            Err(_) => self.say([b"Invalid argument:'", word, b"'"].concat()),
            Ok(0) => {
                self.breakpoints.clear();
                self.say("All breakpoints removed.");
            }
            Ok(line @ 1..) => self.add_breakpoint(line),
            Ok(line) => {
                let before = self.breakpoints.len();
                self.breakpoints.retain(|known| i64::from(*known) != line.saturating_neg());
                let is_removed = self.breakpoints.len() < before;
                self.say(if is_removed { "Breakpoint removed." } else { "No breakpoint in the specified line." });
            }
        }
    }

    fn add_breakpoint(&mut self, line: i64) {
        let known = i32::try_from(line).ok().filter(|line| !self.breakpoints.contains(line));
        match known.filter(|line| *line as usize <= self.lines.len()) {
            _ if self.breakpoints.len() >= BREAKPOINTS_MAX => self.say("Too many breakpoints set."),
            None => self.say("Wrong line number."),
            Some(new) => {
                self.breakpoints.push(new);
                self.list(line, 1);
            }
        }
    }
}

/// Shows the variable of this name in the innermost call that has one; of those that all see, KEYS and ARGV.
fn print(lua: &mut Lua<'_>, name: &[u8]) {
    for level in 0.. {
        if lua.frame(level).is_none() {
            break;
        }
        for variable in 1.. {
            let Some(found) = lua.push_local(level, variable) else { break };
            if found == name {
                say_value(lua, b"<value> ");
                return lua.pop(1);
            }
            lua.pop(1);
        }
    }
    if name != b"KEYS" && name != b"ARGV" {
        return in_session(lua, |session| session.say("No such variable."));
    }
    lua.push_index_function();
    lua.push_globals();
    lua.push_bytes(name);
    // What is there can be read.
    let _ = lua.call(2, 1, None);
    say_value(lua, b"<value> ");
    lua.pop(1);
}

/// Shows the variables of the innermost call.
fn print_all(lua: &mut Lua<'_>) {
    let mut is_any = false;
    for variable in 1.. {
        let Some(name) = lua.push_local(0, variable) else { break };
        if name != b"(*temporary)" {
            is_any = true;
            say_value(lua, &[b"<value> ", name.as_slice(), b" = "].concat());
        }
        lua.pop(1);
    }
    if !is_any {
        in_session(lua, |session| session.say("No local variables in the current context."));
    }
}

/// Says the value on top, which stays there.
fn say_value(lua: &mut Lua<'_>, before: &[u8]) {
    let mut line = before.to_vec();
    show::value(lua, &mut line);
    in_session(lua, |session| session.say_shown(line));
}

fn trace(lua: &mut Lua<'_>) {
    for level in 0.. {
        let Some(frame) = lua.frame(level) else { break };
        if !frame.short_source.windows(super::CHUNK.len()).any(|part| part == super::CHUNK) {
            continue;
        }
        let mut line = if level == 0 { b"In ".to_vec() } else { b"From ".to_vec() };
        line.extend(frame.name.as_deref().unwrap_or(b"top level"));
        line.push(b':');
        in_session(lua, |session| {
            session.say(line);
            session.say_source(frame.line);
        });
    }
}

/// Runs a piece of Lua, as an expression if it is one.
fn eval(lua: &mut Lua<'_>, code: &[u8]) {
    let expression = [b"return ", code].concat();
    if lua.compile(&expression, c"@ldb_eval").is_err() {
        lua.pop(1);
        if lua.compile(code, c"@ldb_eval").is_err() {
            return say_error(lua);
        }
    }
    if lua.call_apart().is_err() {
        return say_error(lua);
    }
    say_value(lua, b"<retval> ");
    lua.pop(1);
}

/// Says the error on top, and takes it.
fn say_error(lua: &mut Lua<'_>) {
    let mut line = b"<error> ".to_vec();
    // An error of a command is a table with its text.
    if lua.kind(-1) == Kind::Table {
        lua.raw_get_field(-1, b"err");
        lua.remove(-2);
    }
    line.extend_from_slice(lua.bytes(-1).unwrap_or(b"(error object)"));
    lua.pop(1);
    in_session(lua, |session| session.say(line));
}

/// Runs a command, which shows itself and its reply.
fn redis(lua: &mut Lua<'_>, words: &[Vec<u8>]) {
    lua.context().debugger.steps.set(true);
    let top = lua.top();
    api::call_words(lua, words);
    lua.set_top(top);
    lua.context().debugger.steps.set(false);
}

const HELP: &[&str] = &[
    "Redis Lua debugger help:",
    "[h]elp               Show this help.",
    "[s]tep               Run current line and stop again.",
    "[n]ext               Alias for step.",
    "[c]ontinue           Run till next breakpoint.",
    "[l]ist               List source code around current line.",
    "[l]ist [line]        List source code around [line].",
    "                     line = 0 means: current position.",
    "[l]ist [line] [ctx]  In this form [ctx] specifies how many lines",
    "                     to show before/after [line].",
    "[w]hole              List all source code. Alias for 'list 1 1000000'.",
    "[p]rint              Show all the local variables.",
    "[p]rint <var>        Show the value of the specified variable.",
    "                     Can also show global vars KEYS and ARGV.",
    "[b]reak              Show all breakpoints.",
    "[b]reak <line>       Add a breakpoint to the specified line.",
    "[b]reak -<line>      Remove breakpoint from the specified line.",
    "[b]reak 0            Remove all breakpoints.",
    "[t]race              Show a backtrace.",
    "[e]val <code>        Execute some Lua code (in a different callframe).",
    "[r]edis <cmd>        Execute a Redis command.",
    "[m]axlen [len]       Trim logged Redis replies and Lua var dumps to len.",
    "                     Specifying zero as <len> means unlimited.",
    "[a]bort              Stop the execution of the script. In sync",
    "                     mode dataset changes will be retained.",
    "",
    "Debugger functions you can call from Lua scripts:",
    "redis.debug()        Produce logs in the debugger console.",
    "redis.breakpoint()   Stop execution like if there was a breakpoint in the",
    "                     next line of code.",
];
