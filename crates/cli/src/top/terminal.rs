//! The terminal while the picture is on it: raw, on its other screen, and as it was before after whatever ends the program.
//!
//! No crate for terminals is behind this. What is needed of one is its size, raw mode and a dozen keys; rustix and signal-hook, which the program has
//! anyway, give the first two, and ratatui with crossterm would bring some thirty crates, a second signal-hook among them.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::low_level::emulate_default_handler;

use super::line::Line;
use super::view::Key;
use crate::out::{Fatal, system_words};

/// The other screen, without a cursor; and the way back.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";
/// A terminal that does not know its size.
const SIZE: (usize, usize) = (80, 24);
/// Larger ones are drawn to this size.
const SIDE_MAX: usize = 1000;
/// Keys that are read at once.
const INPUT_BYTES: usize = 1024;

/// How the terminal was before; a panic's hook needs it, too.
static BEFORE: OnceLock<Termios> = OnceLock::new();

/// A terminal that the picture is on; given back when it is dropped.
pub struct Terminal {
    has_colour: bool,
    /// The signal that ends the program, once it has come.
    ended_by: Arc<AtomicUsize>,
    is_stopped: Arc<AtomicBool>,
    /// What was drawn last; nothing if the screen may have anything on it.
    drawn: Vec<String>,
    is_resized: Arc<AtomicBool>,
}

/// Whether standard input and output are a terminal that can move its cursor.
pub fn is_there() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    !is_dumb && io::stdin().is_terminal() && io::stdout().is_terminal()
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It is none, or the system refuses.
    pub fn open(has_colour: bool) -> Result<Terminal, Fatal> {
        let fatal = |error: io::Error| Fatal(format!("Can't use the terminal: {}", system_words(&error)));
        let (ended_by, is_stopped, is_resized) = (Arc::default(), Arc::default(), Arc::default());
        for signal in [SIGTERM, SIGHUP, SIGINT, SIGQUIT] {
            signal_hook::flag::register_usize(signal, Arc::clone(&ended_by), signal as usize).map_err(fatal)?;
        }
        signal_hook::flag::register(SIGTSTP, Arc::clone(&is_stopped)).map_err(fatal)?;
        signal_hook::flag::register(SIGWINCH, Arc::clone(&is_resized)).map_err(fatal)?;
        let before = tcgetattr(io::stdin()).map_err(|error| fatal(error.into()))?;
        BEFORE.get_or_init(|| before);
        restore_on_panic();
        let mut terminal = Terminal { has_colour, ended_by, is_stopped, drawn: Vec::new(), is_resized };
        terminal.enter().map_err(fatal)?;
        Ok(terminal)
    }

    fn enter(&mut self) -> io::Result<()> {
        let Some(before) = BEFORE.get() else { return Ok(()) };
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        self.drawn.clear();
        write(ENTER)
    }

    /// Columns and lines.
    pub fn size(&self) -> (usize, usize) {
        let size = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        let side = |n: u16| usize::from(n).min(SIDE_MAX);
        size.map_or(SIZE, |size| (side(size.ws_col), side(size.ws_row)))
    }

    /// Writes the lines that differ from those that are there.
    ///
    /// # Errors
    /// The terminal has gone.
    pub fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        if self.is_resized.swap(false, Ordering::Relaxed) || self.drawn.len() != lines.len() {
            self.drawn.clear();
            write(b"\x1b[2J")?;
        }
        let shown = lines.iter().map(|line| if self.has_colour { line.coloured() } else { line.text() });
        let shown: Vec<String> = shown.collect();
        let mut out = String::new();
        for (at, line) in shown.iter().enumerate().filter(|(at, line)| self.drawn.get(*at) != Some(line)) {
            out += &format!("\x1b[{};1H{line}\x1b[K", at + 1);
        }
        self.drawn = shown;
        write(out.as_bytes())
    }

    /// Waits for keys, at most so long. None come when a signal does, or the time is over.
    ///
    /// # Errors
    /// The terminal has gone.
    pub fn keys(&mut self, patience: Duration) -> io::Result<Vec<Key>> {
        let stdin = io::stdin();
        let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        match poll(&mut polled, Some(&patience)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; INPUT_BYTES];
        // Not by way of the standard library's buffer, in which keys could wait unseen.
        match rustix::io::read(&stdin, &mut bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => Ok(keys(&bytes[..n])),
            Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// The signal that asks the program to end.
    pub fn ended_by(&self) -> Option<i32> {
        match self.ended_by.load(Ordering::Relaxed) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }

    /// Whether somebody asked the program to stop for a while.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.swap(false, Ordering::Relaxed)
    }

    /// Stops the program as Ctrl-Z does, with the terminal as it was; returns when it goes on.
    ///
    /// # Errors
    /// The terminal has gone.
    pub fn stop(&mut self) -> io::Result<()> {
        restore();
        emulate_default_handler(SIGTSTP)?;
        self.enter()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Ends the program as the signal does that asked for it.
pub fn die_of(signal: i32) -> ! {
    let _ = emulate_default_handler(signal);
    std::process::exit(128 + signal)
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush())
}

fn restore() {
    // A terminal that has gone needs nothing.
    let _ = write(LEAVE);
    if let Some(before) = BEFORE.get() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
    }
}

/// What a panic says is to be read.
fn restore_on_panic() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        restore();
        told(info);
    }));
}

/// The keys that bytes of a terminal stand for; sequences that mean nothing here are passed over.
pub fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (0x1b, [b'[' | b'O', sequence @ ..]) => {
                let last = sequence.iter().position(|byte| byte.is_ascii_alphabetic() || *byte == b'~');
                let end = last.map_or(sequence.len(), |last| last + 1);
                keys.extend(key_of(&sequence[..end]));
                rest = &sequence[end..];
            }
            (0x1b, _) => keys.push(Key::Escape),
            (b'\r' | b'\n', _) => keys.push(Key::Enter),
            (0x03, _) => keys.push(Key::Interrupt),
            (0x1a, _) => keys.push(Key::Suspend),
            (byte, _) if byte.is_ascii_graphic() => keys.push(Key::Char(char::from(*byte))),
            _ => {}
        }
    }
    keys
}

fn key_of(sequence: &[u8]) -> Option<Key> {
    Some(match sequence {
        b"A" => Key::Up,
        b"B" => Key::Down,
        b"H" | b"1~" => Key::Home,
        b"F" | b"4~" => Key::End,
        b"5~" => Key::PageUp,
        b"6~" => Key::PageDown,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_terminal() {
        assert_eq!(keys(b"\x1b[A\x1bOBq\x1b[5~\r"), [Key::Up, Key::Down, Key::Char('q'), Key::PageUp, Key::Enter]);
        assert_eq!(keys(b"\x1b"), [Key::Escape]);
        assert_eq!(keys(b"\x1b[1;5Cx\x03\x1a"), [Key::Char('x'), Key::Interrupt, Key::Suspend]);
        assert_eq!(keys(b"\x1b[12"), []);
        assert_eq!(keys("\u{e9}\0".as_bytes()), []);
    }
}
