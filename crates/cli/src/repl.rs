//! The interactive program: a line, a command, its reply.

use std::fs;
use std::io::{self, IsTerminal};
use std::time::Duration;

use rivulet_client::Address;
use rivulet_resp::inline::split_words;

use crate::clock;
use crate::editor::LineEditor;
use crate::format::Output;
use crate::help::{self, Help};
use crate::history::{History, dotfile, is_secret};
use crate::out::{self, Fatal, say};
use crate::session::{Debugger, Lost, Session, Words};

/// How long a command took is shown from here on.
const SLOW: Duration = Duration::from_millis(500);
/// A file of preferences has a few lines.
const PREFERENCES_BYTES_MAX: u64 = 1 << 20;

pub struct Repl<'a> {
    session: &'a mut Session,
    editor: LineEditor,
    /// Without a terminal there is none.
    history: Option<History>,
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Quit,
    /// The script is to be debugged again from its beginning.
    Restart,
}

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Nothing,
    Invalid,
    InvalidRepeat,
    Quit,
    Restart,
    Clear,
    Preference(Vec<Vec<u8>>),
    Connect { host: String, port: Option<u16> },
    Command { args: Vec<Vec<u8>>, repeat: i64 },
}

impl<'a> Repl<'a> {
    /// # Errors
    /// The terminal can't be used.
    pub fn new(session: &'a mut Session) -> Result<Repl<'a>, Fatal> {
        session.is_interactive = true;
        let has_terminal = io::stdin().is_terminal();
        let home = || std::env::var_os("HOME");
        let history = has_terminal
            .then(|| History::load(dotfile(std::env::var_os("REDISCLI_HISTFILE"), home(), ".rediscli_history")));
        let editor = LineEditor::new(history.as_ref().map_or(&[], |history| history.lines()))?;
        let repl = Repl { session, editor, history };
        if has_terminal {
            if repl.session.debugger == Debugger::Off {
                repl.learn();
            }
            let file = dotfile(std::env::var_os("REDISCLI_RCFILE"), home(), ".redisclirc");
            let is_small =
                |path: &std::path::PathBuf| fs::metadata(path).is_ok_and(|m| m.len() <= PREFERENCES_BYTES_MAX);
            let text = file.filter(is_small).and_then(|path| fs::read(path).ok()).unwrap_or_default();
            for line in text.split(|byte| *byte == b'\n') {
                if let Some(words) = split_words(line).filter(|words| !words.is_empty()) {
                    repl.prefer(&words, ".redisclirc: ");
                }
            }
        }
        Ok(repl)
    }

    /// Asks the server for its commands, if there is one.
    fn learn(&self) {
        // What is asked here is nobody's command: it must neither be shown nor be waited for.
        let help = self.session.aside().map_or_else(Help::own, |mut server| {
            let docs = server.ask(&["COMMAND", "DOCS"]).ok().and_then(|reply| Help::of_docs(&reply));
            docs.unwrap_or_else(|| match server.ask(&["COMMAND"]) {
                Ok(reply) => Help::own().with_commands(&reply),
                Err(_) => Help::own(),
            })
        });
        self.editor.known.borrow_mut().help = Some(help);
    }

    /// Runs until the input ends or the person leaves.
    ///
    /// # Errors
    /// The program is to end with a failure.
    pub fn run(&mut self) -> Result<Left, Fatal> {
        while let Some(line) = self.next_line()? {
            let is_debugging = self.session.debugger == Debugger::On;
            let asked = parse(&line, is_debugging);
            self.remember(&line, &asked);
            match asked {
                Line::Nothing => {}
                Line::Invalid => say!("Invalid argument(s)\n"),
                Line::InvalidRepeat => say!("Invalid redis-cli repeat command option value.\n"),
                Line::Quit => return Ok(Left::Quit),
                Line::Restart if self.session.options.eval.is_some() => return Ok(Left::Restart),
                Line::Restart => say!("Use 'restart' only in Lua debugging mode.\n"),
                Line::Clear => say!("\x1b[H\x1b[2J"),
                Line::Preference(words) => self.prefer(&words, ""),
                Line::Connect { host, port } => self.connect(host, port),
                Line::Command { args, repeat } => self.command(&args, repeat)?,
            }
        }
        Ok(Left::Quit)
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>, Fatal> {
        let prompt = self.session.prompt();
        let line = self.editor.line(&prompt);
        line.map_err(|error| Fatal(format!("Error reading from stdin: {}", out::system_words(&error))))
    }

    fn remember(&mut self, line: &[u8], asked: &Line) {
        let Some(history) = &mut self.history else { return };
        let is_kept = match asked {
            Line::Nothing | Line::InvalidRepeat => false,
            Line::Command { args, .. } => !is_secret(args),
            _ => true,
        };
        let line = String::from_utf8_lossy(line);
        if is_kept && history.add(&line) {
            self.editor.remember(&line);
        }
    }

    fn prefer(&self, words: &[Vec<u8>], place: &str) {
        let asked = Words(words);
        let text = |at: usize| String::from_utf8_lossy(&words[at]).into_owned();
        if !asked.is(0, ":set") || words.len() < 2 {
            say!("{place}unknown redis-cli internal command '{}'\n", text(0));
        } else if asked.is(1, "hints") {
            self.editor.known.borrow_mut().has_hints = true;
        } else if asked.is(1, "nohints") {
            self.editor.known.borrow_mut().has_hints = false;
        } else {
            say!("{place}unknown redis-cli preference '{}'\n", text(1));
        }
    }

    fn connect(&mut self, host: String, port: Option<u16>) {
        let Some(port) = port else { return say!("Invalid port\n") };
        self.session.address = Address::tcp(host, port);
        // Standard error was told; the next command tries again.
        let _ = self.session.reconnect(false);
    }

    fn command(&mut self, args: &[Vec<u8>], repeat: i64) -> Result<(), Fatal> {
        let words = Words(args);
        if self.session.debugger != Debugger::On && (words.is(0, "help") || words.is(0, "?")) {
            let topic: Vec<String> = args[1..].iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
            self.help(&topic);
            return Ok(());
        }
        let begun = clock::now();
        if let Err(Lost::Program(fatal)) = self.session.run(args, repeat) {
            return Err(fatal);
        }
        if self.session.debugger == Debugger::Ended {
            self.end_debugging()?;
        }
        let taken = clock::now().duration_since(begun);
        if taken >= SLOW && self.session.output == Output::Standard {
            say!("({:.2}s)\n", taken.as_millis() as f64 / 1000.0);
        }
        Ok(())
    }

    fn help(&self, topic: &[String]) {
        if topic.is_empty() {
            return out::write(help::general().as_bytes());
        }
        if self.editor.known.borrow().help.is_none() {
            self.learn();
        }
        if let Some(help) = &self.editor.known.borrow().help {
            out::write(help.text(topic).as_bytes());
        }
    }

    fn end_debugging(&mut self) -> Result<(), Fatal> {
        self.session.debugger = Debugger::Off;
        if let Err(Lost::Program(fatal)) = self.session.read_last() {
            return Err(fatal);
        }
        let undone = if self.session.options.debugs_in_sync { "" } else { " -- dataset changes rolled back" };
        say!("\n(Lua debugging session ended{undone})\n\n");
        // The debugger's connection ends with it; who can't be reached now is tried again by the next command.
        let _ = self.session.reconnect(true);
        Ok(())
    }
}

/// What `rivulet-cli help …` shows.
pub fn show_help(session: &Session, topic: &[String]) {
    if topic.is_empty() {
        return out::write(help::general().as_bytes());
    }
    let docs = session.aside().and_then(|mut server| Help::of_docs(&server.ask(&["COMMAND", "DOCS"]).ok()?));
    out::write(docs.unwrap_or_else(Help::own).text(topic).as_bytes());
}

fn parse(line: &[u8], is_debugging: bool) -> Line {
    let words = match (is_debugging, script_of_debugger(line)) {
        (true, Some(words)) => Some(words),
        _ => split_words(line),
    };
    let Some(mut args) = words else { return Line::Invalid };
    if args.is_empty() {
        return Line::Nothing;
    }
    let mut repeat = 1;
    if let (Some(times), true) = (whole_number(&args[0]), args.len() > 1) {
        let Some(times) = times.filter(|times| *times > 0) else { return Line::InvalidRepeat };
        repeat = times;
    }
    let words = Words(&args);
    if words.is(0, "quit") || words.is(0, "exit") {
        Line::Quit
    } else if args[0].first() == Some(&b':') {
        Line::Preference(args)
    } else if words.is(0, "restart") {
        Line::Restart
    } else if args.len() == 3 && words.is(0, "connect") {
        let text = |at: usize| String::from_utf8_lossy(&args[at]).into_owned();
        Line::Connect { host: text(1), port: text(2).parse().ok() }
    } else if args.len() == 1 && words.is(0, "clear") {
        Line::Clear
    } else {
        if args.len() > 1 && whole_number(&args[0]).is_some() {
            args.remove(0);
        }
        Line::Command { args, repeat }
    }
}

/// A whole number of any size; the inner value is missing if it is too large.
fn whole_number(word: &[u8]) -> Option<Option<i64>> {
    let digits = word.strip_prefix(b"-").or_else(|| word.strip_prefix(b"+")).unwrap_or(word);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(word).ok()?.parse().ok())
}

/// In the debugger what follows `eval` is one argument, a piece of Lua.
fn script_of_debugger(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let at = [b"eval ".as_slice(), b"e "].iter().find(|word| line.starts_with(word))?.len();
    Some(vec![line[..at - 1].to_vec(), line[at..].to_vec()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str], repeat: i64) -> Line {
        Line::Command { args: words.iter().map(|word| word.as_bytes().to_vec()).collect(), repeat }
    }

    #[test]
    fn lines() {
        for (line, expected) in [
            ("", Line::Nothing),
            ("   ", Line::Nothing),
            ("get \"x", Line::Invalid),
            ("get \"a b\"", command(&["get", "a b"], 1)),
            ("5 incr x", command(&["incr", "x"], 5)),
            ("5", command(&["5"], 1)),
            ("0 incr x", Line::InvalidRepeat),
            ("-1 incr x", Line::InvalidRepeat),
            ("99999999999999999999 incr x", Line::InvalidRepeat),
            ("5x incr", command(&["5x", "incr"], 1)),
            ("QUIT now", Line::Quit),
            ("exit", Line::Quit),
            ("restart", Line::Restart),
            ("clear", Line::Clear),
            ("clear x", command(&["clear", "x"], 1)),
            ("connect h 7", Line::Connect { host: "h".into(), port: Some(7) }),
            ("connect h x", Line::Connect { host: "h".into(), port: None }),
            (":set hints", Line::Preference(vec![b":set".to_vec(), b"hints".to_vec()])),
        ] {
            assert_eq!(parse(line.as_bytes(), false), expected, "{line:?}");
        }
    }

    #[test]
    fn the_debugger_gets_lua_as_it_is() {
        assert_eq!(parse(b"e return \"x", true), command(&["e", "return \"x"], 1));
        assert_eq!(parse(b"print x", true), command(&["print", "x"], 1));
    }
}
