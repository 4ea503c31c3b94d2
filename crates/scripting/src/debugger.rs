//! The debugger of scripts: where it stops, what it says, and what its client asks.
//!
//! ```text
//!   a line of the script ──► reached ──► a reason to stop? ──► "* Stopped at 3, …" ──► Console::send
//!                                                                 Console::receive ──► a command: print, break … are answered, and the next is awaited;
//!                                                                                      step and continue let the script go on
//!   redis.call, redis.debug ──► lines that are said at the next stop, or with `<endsession>` behind the last one
//! ```
//!
//! A session is in its state's `Place` while its script runs. What is said, and when, is as with Redis 7.0.

mod commands;
mod console;
mod input;
mod show;

use std::cell::Cell;

use rivulet_resp::Args;

use crate::lua::{Lua, Raise};

pub use console::{Console, Received};

/// Longer values and replies are cut, until the client says otherwise.
const SHOWN_LEN: usize = 256;
/// So many arguments of a command are shown.
const ARGUMENTS_MAX: usize = 10;
/// Events in other chunks than this one are passed by.
const CHUNK: &[u8] = b"user_script";

/// Why the debugger is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A line begins.
    Line,
    /// So many instructions were executed.
    Count,
}

/// Where a state has its session, if a script is being debugged.
#[derive(Default)]
pub(crate) struct Place {
    session: Cell<Option<Box<Session>>>,
    /// It stops at the next line; until then the commands of the script are shown.
    steps: Cell<bool>,
}

/// A script that is being debugged.
pub(crate) struct Session {
    lines: Vec<Vec<u8>>,
    breakpoints: Vec<i32>,
    /// `redis.breakpoint()` was called: it stops at the next line.
    is_asked: bool,
    /// The line that was reached last.
    line: i32,
    /// Longer values are cut; 0 for none.
    shown_len: usize,
    has_told_of_cut: bool,
    /// What was said and not sent.
    said: Vec<Vec<u8>>,
    /// What was received and not understood yet.
    input: Vec<u8>,
}

impl Session {
    /// A session with the text of a script as the client gave it.
    pub(crate) fn new(text: &[u8]) -> Session {
        let len = text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        let lines = match &text[..len] {
            [] => Vec::new(),
            text => text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect(),
        };
        Session {
            lines,
            breakpoints: Vec::new(),
            is_asked: false,
            line: 0,
            shown_len: SHOWN_LEN,
            has_told_of_cut: false,
            said: Vec::new(),
            input: Vec::new(),
        }
    }

    fn say(&mut self, line: impl Into<Vec<u8>>) {
        self.said.push(line.into());
    }

    /// Says a line that may be cut.
    fn say_shown(&mut self, mut line: Vec<u8>) {
        let is_cut = self.shown_len > 0 && line.len() > self.shown_len;
        if is_cut {
            line.truncate(self.shown_len);
            line.extend_from_slice(b" ...");
        }
        self.say(line);
        if is_cut && !self.has_told_of_cut {
            self.has_told_of_cut = true;
            self.say("<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.");
        }
    }

    fn say_source(&mut self, line: i32) {
        let mark = match (self.line == line, self.breakpoints.contains(&line)) {
            (true, true) => "->#",
            (true, false) => "-> ",
            (false, true) => "  #",
            (false, false) => "   ",
        };
        let at = usize::try_from(line).ok().and_then(|line| line.checked_sub(1));
        let source = at.and_then(|at| self.lines.get(at)).map_or(b"<out of range source code line>".as_slice(), |l| l);
        self.say([format!("{mark}{line:<3} ").as_bytes(), source].concat());
    }

    /// What was said, as it is sent: an array of status lines.
    fn take_said(&mut self) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", self.said.len()).into_bytes();
        for line in self.said.drain(..) {
            bytes.push(b'+');
            bytes.extend(line.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    /// What is sent when the script has ended, before its reply.
    pub(crate) fn into_farewell(mut self) -> Vec<u8> {
        self.say("<endsession>");
        self.take_said()
    }
}

/// The end of a session whose script did not run.
pub fn farewell() -> Vec<u8> {
    Session::new(b"").into_farewell()
}

impl Place {
    /// A session begins: it stops at the first line.
    pub(crate) fn begin(&self, session: Session) {
        self.session.set(Some(Box::new(session)));
        self.steps.set(true);
    }

    /// The session has ended.
    pub(crate) fn end(&self) -> Option<Session> {
        self.steps.set(false);
        self.session.take().map(|session| *session)
    }

    /// Whether the commands of the script, and errors, are shown.
    #[inline]
    pub(crate) fn steps(&self) -> bool {
        self.steps.get()
    }

    fn with<R>(&self, f: impl FnOnce(&mut Session) -> R) -> Option<R> {
        let mut session = self.session.take()?;
        let result = f(&mut session);
        self.session.set(Some(session));
        Some(result)
    }

    /// `redis.breakpoint()`: answers whether somebody debugs.
    pub(crate) fn ask(&self) -> bool {
        self.with(|session| session.is_asked = true).is_some()
    }

    /// An error, as scripts get it, is shown.
    pub(crate) fn show_error(&self, text: &[u8]) {
        if self.steps() {
            self.with(|session| session.say([b"<error> ", text].concat()));
        }
    }

    /// A command of the script is shown.
    pub(crate) fn show_command(&self, args: Args<'_>) {
        let mut line = b"<redis>".to_vec();
        for word in args.iter().take(ARGUMENTS_MAX) {
            line.push(b' ');
            line.extend_from_slice(word);
        }
        if args.len() > ARGUMENTS_MAX {
            line.extend(format!(" ... ({} more)", args.len() - ARGUMENTS_MAX - 1).bytes());
        }
        self.with(|session| session.say(line));
    }

    /// Its reply is shown.
    pub(crate) fn show_reply(&self, reply: &[u8]) {
        let mut line = b"<reply> ".to_vec();
        show::reply(&mut line, reply);
        self.with(|session| session.say_shown(line));
    }

    /// Runs `f`, of which nothing is shown.
    pub(crate) fn unseen<R>(&self, f: impl FnOnce() -> R) -> R {
        let steps = self.steps.replace(false);
        let result = f();
        self.steps.set(steps);
        result
    }

    /// Whoever debugs has gone: the script runs on as if nobody had asked.
    fn let_go(&self) {
        self.steps.set(false);
        self.with(|session| session.breakpoints.clear());
    }
}

/// `redis.debug(…)`: its arguments are shown.
pub(crate) fn show_arguments(lua: &mut Lua<'_>) {
    let place = &lua.context().debugger;
    let Some(line) = place.with(|session| session.line) else { return };
    let mut out = format!("<debug> line {line}: ").into_bytes();
    for argument in 1..=lua.arguments() {
        if argument > 1 {
            out.extend_from_slice(b", ");
        }
        lua.push_copy(argument);
        show::value(lua, &mut out);
        lua.pop(1);
    }
    place.with(|session| session.say(out));
}

/// The script has reached a line, or has executed so many instructions.
///
/// # Errors
/// It ends.
pub(crate) fn reached(lua: &mut Lua<'_>, moment: Moment) -> Result<(), Raise> {
    if lua.shared().killed.get() {
        return Err(lua.raise(""));
    }
    let Some(place) = lua.place(0) else { return Ok(()) };
    let Some(is_breakpoint) = note_line(lua, place.line) else {
        // Nobody debugs: a coroutine has outlived its session.
        return if moment == Moment::Count { lua.check_interrupt() } else { Ok(()) };
    };
    if !place.short_source.windows(CHUNK.len()).any(|part| part == CHUNK) {
        return Ok(());
    }
    let debugger = &lua.context().debugger;
    let is_late = moment == Moment::Count && !debugger.steps() && is_breakpoint.is_none();
    if is_late && !console(lua, |console| console.has_run_long()).unwrap_or(false) {
        return Ok(());
    }
    let reason = match is_breakpoint {
        Some(reason) => reason,
        None if is_late => "timeout reached, infinite loop?",
        None if debugger.steps() => "step over",
        None => return Ok(()),
    };
    stop(lua, place.line, reason);
    let has_client = commands::converse(lua)?;
    if !has_client && is_late {
        return Err(end(lua, "timeout during Lua debugging with client closing connection"));
    }
    console(lua, |console| console.resumed());
    Ok(())
}

/// Notes the line that was reached; answers, in a session, whether something stops it there, and what.
fn note_line(lua: &Lua<'_>, line: i32) -> Option<Option<&'static str>> {
    lua.context().debugger.with(|session| {
        session.line = line;
        match (session.is_asked, session.breakpoints.contains(&line)) {
            (true, _) => Some("redis.breakpoint() called"),
            (false, true) => Some("break point"),
            (false, false) => None,
        }
    })
}

/// Says where the script stands, and why.
fn stop(lua: &Lua<'_>, line: i32, reason: &str) {
    let debugger = &lua.context().debugger;
    debugger.steps.set(false);
    debugger.with(|session| {
        session.is_asked = false;
        session.say(format!("* Stopped at {line}, stop reason = {reason}"));
        session.say_source(line);
    });
    send_said(lua);
}

/// Sends what was said.
fn send_said(lua: &Lua<'_>) {
    if let Some(bytes) = lua.context().debugger.with(Session::take_said) {
        console(lua, |console| console.send(&bytes));
    }
}

/// Uses the session's client.
pub(crate) fn console<R>(lua: &Lua<'_>, f: impl FnOnce(&mut dyn Console) -> R) -> Option<R> {
    lua.context().host.with(|host| host.console().map(f)).flatten()
}

/// The error that ends the script, whatever it does.
fn end(lua: &mut Lua<'_>, text: &str) -> Raise {
    lua.shared().killed.set(true);
    lua.raise(text)
}
