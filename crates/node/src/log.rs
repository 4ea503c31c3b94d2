//! The server's log, in Redis's line format: `pid:role day month year time level text`, or in Valkey's others (`log-format`,
//! `log-timestamp-format`); also the system's log.

use std::ffi::{CStr, CString};
use std::fmt::Arguments;
use std::fs::File;
use std::io::{StdoutLock, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use rivulet_config::{Config, LogFormat, LogTime};
use rivulet_host::world;

use crate::clock::{self, LocalTime};
use crate::process::syslog::Syslog;

pub use rivulet_config::Level;

static LEVEL: AtomicU8 = AtomicU8::new(Level::Notice as u8);
static ROLE: AtomicU8 = AtomicU8::new(b'M');
static PID: AtomicU32 = AtomicU32::new(0);
static FORMAT: AtomicU8 = AtomicU8::new(LogFormat::Legacy as u8);
static TIME: AtomicU8 = AtomicU8::new(LogTime::Legacy as u8);
/// The file's path; empty for standard output. It is opened for each line, so that it can be moved away.
static FILE: Mutex<String> = Mutex::new(String::new());
/// The path again, for handlers of signals, which take no lock.
static FILE_IN_CRASH: OnceLock<CString> = OnceLock::new();
static SYSLOG: Mutex<Option<Syslog>> = Mutex::new(None);

pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// Takes the form of lines from the configuration.
pub fn set_format(config: &Config) {
    FORMAT.store(config.log_format as u8, Ordering::Relaxed);
    TIME.store(config.log_timestamp_format as u8, Ordering::Relaxed);
}

/// The letter of the role: `M` master, `S` replica, `C` helper, `X` sentinel.
pub fn set_role(letter: u8) {
    ROLE.store(letter, Ordering::Relaxed);
}

pub fn role() -> u8 {
    ROLE.load(Ordering::Relaxed)
}

/// Logs to a file from now on, by its absolute path or one from the present directory; an empty path is standard output. The file must be writable.
pub fn set_file(path: &str) -> std::io::Result<()> {
    if !path.is_empty() {
        open(path)?;
    }
    // A process has one log; the nodes of a simulation do not crash.
    let _ = CString::new(path).map(|path| FILE_IN_CRASH.set(path));
    *FILE.lock().unwrap_or_else(|e| e.into_inner()) = path.to_string();
    Ok(())
}

/// Logs to the system's log, too, if the configuration wants it.
pub fn begin_syslog(config: &Config) {
    if config.syslog_enabled && !world::is_simulated() {
        let syslog = Syslog::open(&config.syslog_ident, &config.syslog_facility);
        *SYSLOG.lock().unwrap_or_else(|e| e.into_inner()) = Some(syslog);
    }
}

/// The file's path for handlers of signals; nothing for standard output.
pub fn file_in_crash() -> Option<&'static CStr> {
    FILE_IN_CRASH.get().map(CString::as_c_str).filter(|path| !path.is_empty())
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
    let (pid, now) = (pid(), LocalTime::now());
    let time = match TIME.load(Ordering::Relaxed) {
        time if time == LogTime::Iso8601 as u8 => now.iso8601(),
        time if time == LogTime::Milliseconds as u8 => clock::unix_ms().to_string(),
        _ => now.log_format(),
    };
    let line = match FORMAT.load(Ordering::Relaxed) {
        form if form == LogFormat::Logfmt as u8 => logfmt(pid, role(), &time, level, &text.to_string()),
        form if form == LogFormat::Json as u8 => json(pid, role(), &time, level, &text.to_string()),
        _ => format!("{pid}:{} {time} {} {text}\n", role() as char, ['.', '-', '*', '#'][level as usize]),
    };
    raw(line.as_bytes());
    if !world::is_simulated()
        && let Some(syslog) = &mut *SYSLOG.lock().unwrap_or_else(|e| e.into_inner())
    {
        syslog.send(level, pid, &text.to_string());
    }
}

/// The process's id, asked for once.
fn pid() -> u32 {
    match PID.load(Ordering::Relaxed) {
        0 => {
            let pid = std::process::id();
            PID.store(pid, Ordering::Relaxed);
            pid
        }
        pid => pid,
    }
}

/// The process has another id: it is a child.
pub fn pid_changed() {
    PID.store(0, Ordering::Relaxed);
}

/// A line of `name=value` pairs.
fn logfmt(pid: u32, role: u8, time: &str, level: Level, text: &str) -> String {
    let (role, level) = (role_word(role), level_word(level));
    // A value ends at a quotation mark, and a line at its end.
    let text: String = text
        .chars()
        .map(|c| match c {
            '"' => '\'',
            '\n' | '\r' => ' ',
            c => c,
        })
        .collect();
    format!("pid={pid} role={role} timestamp=\"{time}\" level={level} message=\"{text}\"\n")
}

/// A line that is an object of JSON.
fn json(pid: u32, role: u8, time: &str, level: Level, text: &str) -> String {
    let (role, level) = (role_word(role), level_word(level));
    let mut message = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => message.push_str("\\\""),
            '\\' => message.push_str("\\\\"),
            '\n' => message.push_str("\\n"),
            '\r' => message.push_str("\\r"),
            '\t' => message.push_str("\\t"),
            '\u{8}' => message.push_str("\\b"),
            '\u{c}' => message.push_str("\\f"),
            '\0'..='\u{1f}' => message.push_str(&format!("\\u{:04x}", c as u32)),
            c => message.push(c),
        }
    }
    format!(
        "{{\"pid\":{pid},\"role\":\"{role}\",\"timestamp\":\"{time}\",\"level\":\"{level}\",\"message\":\"{message}\"}}\n"
    )
}

/// What Valkey's structured forms call a role.
fn role_word(role: u8) -> &'static str {
    match role {
        b'M' => "primary",
        b'S' => "replica",
        b'X' => "sentinel",
        _ => "RDB/AOF",
    }
}

/// What Valkey's structured forms call a level.
fn level_word(level: Level) -> &'static str {
    ["debug", "info", "notice", "warning"][level as usize]
}

/// Nobody else writes while this lives: for a fork, whose child must be able to.
pub fn hold() -> impl Drop {
    struct Held(
        #[expect(dead_code, reason = "held until the end")]
        (MutexGuard<'static, String>, MutexGuard<'static, Option<Syslog>>, StdoutLock<'static>),
    );
    impl Drop for Held {
        fn drop(&mut self) {}
    }
    let file = FILE.lock().unwrap_or_else(|e| e.into_inner());
    let syslog = SYSLOG.lock().unwrap_or_else(|e| e.into_inner());
    Held((file, syslog, std::io::stdout().lock()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_pairs_stays_one() {
        let line = logfmt(7, b'M', "12", Level::Warning, "a \"b\"\r\nc=d \\ ü");
        assert_eq!(line, "pid=7 role=primary timestamp=\"12\" level=warning message=\"a 'b'  c=d \\ ü\"\n");
    }

    #[test]
    fn what_json_forbids_in_a_text_is_escaped() {
        let line = json(7, b'S', "12", Level::Verbose, "a \"b\"\r\n\t\u{8}\u{c}\u{0}\u{1f}\u{7f}c/d \\ ü");
        let message = "a \\\"b\\\"\\r\\n\\t\\b\\f\\u0000\\u001f\u{7f}c/d \\\\ ü";
        let rest = r#"{"pid":7,"role":"replica","timestamp":"12","level":"info","message":""#;
        assert_eq!(line, format!("{rest}{message}\"}}\n"));
    }
}
