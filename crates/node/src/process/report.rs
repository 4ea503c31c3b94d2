//! What is written to the log from a handler of a signal: without memory from the allocator and without a lock, as the thread that was interrupted may
//! hold either.

use std::ffi::c_int;
use std::fmt::{self, Write};

use crate::clock::{self, LocalTime};
use crate::log;

/// Bytes that are gathered before they are written.
const BUFFER: usize = 2048;

/// Text on its way to the log. What does not fit into the buffer is written at once; the rest when this ends.
pub struct Report {
    file: c_int,
    bytes: [u8; BUFFER],
    len: usize,
}

impl Report {
    /// Opens the log. One that can't be opened is standard output.
    pub fn begin() -> Report {
        let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC;
        let file = log::file_in_crash().map_or(-1, |path| {
            // SAFETY: the path ends with a NUL, and lives as long as the process.
            unsafe { libc::open(path.as_ptr(), flags, 0o644) }
        });
        Report { file: if file < 0 { libc::STDOUT_FILENO } else { file }, bytes: [0; BUFFER], len: 0 }
    }

    /// Text as it is.
    pub fn text(&mut self, text: fmt::Arguments<'_>) {
        // Writing here can't fail.
        let _ = self.write_fmt(text);
    }

    /// A line as the log has them.
    pub fn line(&mut self, text: fmt::Arguments<'_>) {
        let now = LocalTime::now();
        self.text(format_args!("{}:{} ", std::process::id(), log::role() as char));
        let _ = now.write_log_format(self);
        self.text(format_args!(" # {text}\n"));
    }

    /// A line of a report of a server that lives.
    pub fn signal_line(&mut self, text: &str) {
        self.text(format_args!("{}:signal-handler ({}) {text}\n", std::process::id(), clock::unix_ms() / 1000));
    }

    /// The head of a part; everything before it is written by now, whatever comes next.
    pub fn section(&mut self, name: &str) {
        self.text(format_args!("\n------ {name} ------\n"));
        self.flush();
    }

    /// Writes what is gathered.
    pub fn flush(&mut self) {
        let mut from = 0;
        while from < self.len {
            let rest = &self.bytes[from..self.len];
            // SAFETY: the pointer and the length are those of `rest`.
            let written = unsafe { libc::write(self.file, rest.as_ptr().cast(), rest.len()) };
            // A log that takes nothing has nowhere to complain.
            let Ok(written @ 1..) = usize::try_from(written) else { break };
            from += written;
        }
        self.len = 0;
    }
}

impl Write for Report {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.as_bytes().chunks(BUFFER) {
            if self.len + piece.len() > BUFFER {
                self.flush();
            }
            self.bytes[self.len..self.len + piece.len()].copy_from_slice(piece);
            self.len += piece.len();
        }
        Ok(())
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.flush();
        if self.file > libc::STDERR_FILENO {
            // SAFETY: the descriptor was opened by `begin`, and nobody else knows it.
            unsafe { libc::close(self.file) };
        }
    }
}
