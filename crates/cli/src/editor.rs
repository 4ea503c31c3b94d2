//! The line that is typed: editing, completion and hints by `rustyline`; from a pipe, lines as they come.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, BufRead, IsTerminal};
use std::rc::Rc;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter};
use rustyline::history::{History as _, MemHistory};
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use crate::help::Help;

/// What the editor looks into while a line is typed.
#[derive(Default)]
pub struct Known {
    pub help: Option<Help>,
    pub has_hints: bool,
}

pub struct LineEditor {
    terminal: Option<Box<Editor<Assistant, MemHistory>>>,
    pub known: Rc<RefCell<Known>>,
}

/// A password is shown as so many asterisks.
struct Assistant {
    known: Rc<RefCell<Known>>,
    is_masked: bool,
}

/// Text behind the cursor that is not part of the line.
struct Shown(String);

impl LineEditor {
    /// With these lines before the first.
    ///
    /// # Errors
    /// The terminal can't be used.
    pub fn new(lines: &[String]) -> Result<LineEditor, String> {
        let known = Rc::new(RefCell::new(Known { help: None, has_hints: true }));
        let terminal = match io::stdin().is_terminal() {
            true => Some(Box::new(editor(&known, false).map_err(|error| error.to_string())?)),
            false => None,
        };
        let mut own = LineEditor { terminal, known };
        lines.iter().for_each(|line| own.remember(line));
        Ok(own)
    }

    /// Adds a line to those that can be called back.
    pub fn remember(&mut self, line: &str) {
        if let Some(terminal) = &mut self.terminal {
            // Memory takes every line.
            let _ = terminal.history_mut().add(line);
        }
    }

    /// The next line, without its end; nothing at the end of the input, or when the person at the terminal wants to leave.
    ///
    /// # Errors
    /// The input can't be read.
    pub fn line(&mut self, prompt: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(terminal) = &mut self.terminal else { return piped_line() };
        match terminal.readline(prompt) {
            Ok(line) => Ok(Some(line.into_bytes())),
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
            Err(ReadlineError::Io(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// Asks for a password, which is not shown.
///
/// # Errors
/// The input can't be read, or ends.
pub fn ask_password(question: &str) -> Result<Vec<u8>, String> {
    let line = match io::stdin().is_terminal() {
        true => {
            let known = Rc::new(RefCell::new(Known::default()));
            let mut editor = editor(&known, true).map_err(|error| error.to_string())?;
            Some(editor.readline(question).map_err(|error| error.to_string())?.into_bytes())
        }
        false => piped_line().map_err(|error| error.to_string())?,
    };
    line.ok_or_else(|| "there is no password on standard input".to_string())
}

fn editor(known: &Rc<RefCell<Known>>, is_masked: bool) -> rustyline::Result<Editor<Assistant, MemHistory>> {
    let config = Config::builder().completion_type(CompletionType::Circular).build();
    let mut editor = Editor::with_history(config, MemHistory::new())?;
    editor.set_helper(Some(Assistant { known: known.clone(), is_masked }));
    Ok(editor)
}

fn piped_line() -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if io::stdin().lock().read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    while line.last().is_some_and(|end| matches!(end, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(Some(line))
}

impl Helper for Assistant {}

impl Validator for Assistant {}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let known = self.known.borrow();
        let found = known.help.as_ref().map(|help| help.completions(&line[..position])).unwrap_or_default();
        Ok((0, found))
    }
}

impl Hinter for Assistant {
    type Hint = Shown;

    fn hint(&self, line: &str, position: usize, _: &Context<'_>) -> Option<Shown> {
        let known = self.known.borrow();
        if !known.has_hints || self.is_masked || position < line.len() {
            return None;
        }
        known.help.as_ref()?.hint(line).filter(|hint| !hint.trim().is_empty()).map(Shown)
    }
}

impl Hint for Shown {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.is_masked { "*".repeat(line.chars().count()).into() } else { line.into() }
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.is_masked
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        format!("\x1b[0;90;49m{hint}\x1b[0m").into()
    }
}
