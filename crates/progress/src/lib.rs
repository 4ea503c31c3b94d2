//! A bar on standard error for whatever takes long. Where that is no terminal nothing is written.
//!
//! The time is a parameter: who calls knows it. A bar is drawn ten times a second at most, and is gone when it is dropped.

use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

/// Between two drawings.
const PAUSE: Duration = Duration::from_millis(100);
/// Characters of the bar itself.
const WIDTH: usize = 30;

/// How far something is, as a line that is drawn over itself.
pub struct Progress {
    what: String,
    /// Bytes in all, if that is known.
    total: Option<u64>,
    begun: Instant,
    drawn: Option<Instant>,
    has_terminal: bool,
}

impl Progress {
    /// Of `total` bytes, or of an unknown number. `what` stands before the bar.
    pub fn new(what: impl Into<String>, total: Option<u64>, now: Instant) -> Progress {
        Progress { what: what.into(), total, begun: now, drawn: None, has_terminal: io::stderr().is_terminal() }
    }

    /// So many bytes are done. What standard error does not take is not shown.
    pub fn set(&mut self, done: u64, now: Instant) {
        let is_soon = self.drawn.is_some_and(|drawn| now.duration_since(drawn) < PAUSE);
        // What takes no time needs no bar.
        let is_young = now.duration_since(self.begun) < PAUSE;
        if !self.has_terminal || is_soon || is_young {
            return;
        }
        self.drawn = Some(now);
        let line = line(&self.what, done, self.total, now.duration_since(self.begun));
        let _ = write!(io::stderr(), "\r\x1b[2K{line}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

/// Reads on, and shows how far it is.
pub struct ProgressReader<R, C> {
    inner: R,
    progress: Progress,
    done: u64,
    clock: C,
}

impl<R: Read, C: FnMut() -> Instant> ProgressReader<R, C> {
    /// Of a source with so many bytes.
    pub fn new(inner: R, what: impl Into<String>, total: Option<u64>, mut clock: C) -> Self {
        let progress = Progress::new(what, total, clock());
        ProgressReader { inner, progress, done: 0, clock }
    }
}

impl<R: Read, C: FnMut() -> Instant> Read for ProgressReader<R, C> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.done += n as u64;
        if self.progress.has_terminal {
            self.progress.set(self.done, (self.clock)());
        }
        Ok(n)
    }
}

fn line(what: &str, done: u64, total: Option<u64>, taken: Duration) -> String {
    let rate = done as f64 / taken.as_secs_f64().max(0.001);
    let speed = format!("{}/s", bytes(rate as u64));
    let Some(total) = total.filter(|total| *total > 0) else {
        return format!("{what} {} {speed}", bytes(done));
    };
    let share = (done as f64 / total as f64).min(1.0);
    let filled = (share * WIDTH as f64) as usize;
    let left = (total.saturating_sub(done) as f64 / rate.max(1.0)).ceil() as u64;
    let bar = format!("{}{}", "#".repeat(filled), ".".repeat(WIDTH - filled));
    format!("{what} [{bar}] {:3.0}% {} of {} {speed} {left} s left", share * 100.0, bytes(done), bytes(total))
}

/// A number of bytes for readers: `512B`, `1.50K`, `2.00G`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["K", "M", "G", "T", "P", "E"];
    if n < 1024 {
        return format!("{n}B");
    }
    let (mut value, mut unit) = (n as f64 / 1024.0, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_with_their_unit() {
        for (n, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1536, "1.50K"),
            (1 << 20, "1.00M"),
            (5 << 30, "5.00G"),
            (u64::MAX, "16.00E"),
        ] {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn a_line_has_bar_percent_speed_and_what_is_left() {
        let second = Duration::from_secs(1);
        assert_eq!(
            line("RDB", 1024, Some(4096), second),
            "RDB [#######.......................]  25% 1.00K of 4.00K 1.00K/s 3 s left"
        );
        assert_eq!(line("RDB", 2048, None, second), "RDB 2.00K 2.00K/s");
        assert!(line("RDB", 9, Some(3), second).contains("100%"), "more than was said");
        assert_eq!(line("RDB", 0, Some(0), Duration::ZERO), "RDB 0B 0B/s");
    }
}
