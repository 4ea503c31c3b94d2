//! The server's log, in Redis's line format: `pid:role day month year time level text`.

use std::fmt::Arguments;
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use rivulet_host::world;

use crate::clock;

pub use rivulet_config::Level;

static LEVEL: AtomicU8 = AtomicU8::new(Level::Notice as u8);
static ROLE: AtomicU8 = AtomicU8::new(b'M');
static PID: AtomicU32 = AtomicU32::new(0);
/// The file's path; empty for standard output. It is opened for each line, so that it can be moved away.
static FILE: Mutex<String> = Mutex::new(String::new());

pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// The letter of the role: `M` master, `S` replica, `C` helper, `X` sentinel.
pub fn set_role(letter: u8) {
    ROLE.store(letter, Ordering::Relaxed);
}

/// Logs to a file from now on; an empty path is standard output. The file must be writable.
pub fn set_file(path: &str) -> std::io::Result<()> {
    if !path.is_empty() {
        open(path)?;
    }
    *FILE.lock().unwrap_or_else(|e| e.into_inner()) = path.to_string();
    Ok(())
}

fn open(path: &str) -> std::io::Result<File> {
    File::options().append(true).create(true).open(path)
}

pub fn enabled(level: Level) -> bool {
    level as u8 >= LEVEL.load(Ordering::Relaxed)
}

/// Writes a line if its level is asked for.
pub fn write(level: Level, text: Arguments<'_>) {
    if !enabled(level) {
        return;
    }
    let sign = ['.', '-', '*', '#'][level as usize];
    let pid = match PID.load(Ordering::Relaxed) {
        0 => {
            let pid = std::process::id();
            PID.store(pid, Ordering::Relaxed);
            pid
        }
        pid => pid,
    };
    let role = ROLE.load(Ordering::Relaxed) as char;
    raw(format!("{pid}:{role} {} {sign} {text}\n", clock::LocalTime::now().log_format()).as_bytes());
}

/// Writes bytes as they are (the banner at start-up).
pub fn raw(bytes: &[u8]) {
    if world::with(|world| world.log(bytes)).is_some() {
        return;
    }
    let path = FILE.lock().unwrap_or_else(|e| e.into_inner());
    // A log that can't be written has nowhere to complain.
    let _ = if path.is_empty() {
        std::io::stdout().lock().write_all(bytes)
    } else {
        open(&path).and_then(|mut f| f.write_all(bytes))
    };
}

macro_rules! verbose { ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Verbose, format_args!($($arg)*)) } }
macro_rules! notice { ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Notice, format_args!($($arg)*)) } }
macro_rules! warning { ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Warning, format_args!($($arg)*)) } }
pub(crate) use {notice, verbose, warning};
