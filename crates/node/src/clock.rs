//! The clock: the machine's, and what its time is called where the server is.

use std::fmt::Write;
use std::sync::OnceLock;

use rivulet_host::cycles::Cycles;

pub use rivulet_host::time::{machine_us, monotonic_ms, monotonic_ns, monotonic_us, sleep, unix_ms, unix_us};

/// The time that the executor goes by.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Us of [`machine_us`], read before and after each command: what the server's own affairs go by.
    pub now_us: u64,
    /// How far the wall clock is ahead of that: keys and people go by the sum.
    wall_ahead_us: i64,
    cycles: Cycles,
    /// When both clocks were looked at.
    looked_us: u64,
}

/// What has been read off the clocks is good for so long where something cheaper tells how the time goes on.
const LOOK_US: u64 = 1000;

impl Clock {
    pub fn new(now_us: u64) -> Clock {
        Clock { now_us, wall_ahead_us: 0, cycles: Cycles::default(), looked_us: 0 }
    }

    /// Ms on the machine's own clock, which nobody sets: for deadlines and intervals of the server's affairs.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    /// Unix us on the wall clock, which may leap: for what keys and people know as the time.
    #[inline]
    pub fn unix_us(&self) -> u64 {
        self.now_us.saturating_add_signed(self.wall_ahead_us)
    }

    /// What the wall clock says now for a moment of the machine's clock.
    pub fn shown_ms(&self, machine_ms: u64) -> u64 {
        machine_ms.saturating_add_signed(self.wall_ahead_us / 1000)
    }

    /// Us of the machine's clock now, whatever the server goes by.
    #[inline]
    pub fn read_us(&self) -> u64 {
        self.cycles.read()
    }

    /// The time goes on; answers what it is.
    #[inline]
    pub fn go_on(&mut self) -> u64 {
        self.now_us = self.now_us.max(self.cycles.read());
        self.now_us
    }

    /// A turn begins: the time goes on, and both clocks are looked at if that is due.
    pub fn look(&mut self) {
        if self.cycles.is_set() && self.go_on() < self.looked_us + LOOK_US {
            return;
        }
        self.now_us = self.now_us.max(self.cycles.set());
        self.looked_us = self.now_us;
        self.wall_ahead_us = unix_us() as i64 - self.now_us as i64;
    }
}

/// A moment in the local time zone, for the log.
pub struct LocalTime {
    year: i64,
    month: usize,
    day: u32,
    second_of_day: u32,
    ms: u32,
    /// Seconds ahead of UTC.
    offset: i64,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds that local time is ahead of UTC. Asked once: the time zone of a server does not change while it runs.
fn offset_seconds() -> i64 {
    if rivulet_host::world::is_simulated() {
        return 0;
    }
    static OFFSET: OnceLock<i64> = OnceLock::new();
    *OFFSET.get_or_init(|| local_offset(unix_ms() as i64 / 1000))
}

/// The local offset at `now` by the `TZ` file that the system uses; UTC when there is none.
fn local_offset(now: i64) -> i64 {
    let path = match std::env::var("TZ") {
        Ok(zone) if !zone.is_empty() => {
            let zone = zone.trim_start_matches(':').to_string();
            if zone.starts_with('/') { zone } else { format!("/usr/share/zoneinfo/{zone}") }
        }
        _ => "/etc/localtime".to_string(),
    };
    std::fs::read(path).ok().and_then(|bytes| tzif_offset(&bytes, now)).unwrap_or(0)
}

/// The offset in force at `now` by a version 2 TZif file (RFC 8536); its footer rule is not read.
fn tzif_offset(bytes: &[u8], now: i64) -> Option<i64> {
    let counts = |at: usize| -> Option<[usize; 6]> {
        let mut out = [0; 6];
        for (i, out) in out.iter_mut().enumerate() {
            *out = u32::from_be_bytes(bytes.get(at + 20 + i * 4..at + 24 + i * 4)?.try_into().ok()?) as usize;
        }
        Some(out)
    };
    if bytes.get(..4)? != b"TZif" || *bytes.get(4)? < b'2' {
        return None;
    }
    let [isut, isstd, leap, times, types, chars] = counts(0)?;
    let second = 44 + times * 5 + types * 6 + chars + leap * 8 + isstd + isut;
    let [_, _, _, times, _, _] = counts(second)?;
    let data = second + 44;
    let mut kind = 0;
    for i in 0..times {
        let at = i64::from_be_bytes(bytes.get(data + i * 8..data + i * 8 + 8)?.try_into().ok()?);
        if at <= now {
            kind = *bytes.get(data + times * 8 + i)? as usize;
        }
    }
    let at = data + times * 9 + kind * 6;
    Some(i64::from(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)))
}

impl LocalTime {
    pub fn now() -> LocalTime {
        LocalTime::at(unix_ms(), offset_seconds())
    }

    fn at(unix_ms: u64, offset: i64) -> LocalTime {
        let seconds = (unix_ms / 1000) as i64 + offset;
        let (days, second_of_day) = (seconds.div_euclid(86400), seconds.rem_euclid(86400) as u32);
        // Civil date from days, counting years from March so that the leap day is the last.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * from_march + 2) / 5 + 1) as u32;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        LocalTime { year, month: month as usize, day, second_of_day, ms: (unix_ms % 1000) as u32, offset }
    }

    /// `22 Nov 2026 14:05:56.123`.
    pub fn log_format(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = self.write_log_format(&mut text);
        text
    }

    /// The same, with no memory of its own.
    pub fn write_log_format(&self, out: &mut impl Write) -> std::fmt::Result {
        let (month, year) = (MONTHS[self.month - 1], self.year);
        let (h, m, s) = (self.second_of_day / 3600, self.second_of_day / 60 % 60, self.second_of_day % 60);
        write!(out, "{:02} {month} {year} {h:02}:{m:02}:{s:02}.{:03}", self.day, self.ms)
    }

    /// `2026-11-22T14:05:56.123+01:00`.
    pub fn iso8601(&self) -> String {
        let (date, time) = (format_args!("{}-{:02}-{:02}", self.year, self.month, self.day), self.time_of_day());
        let (sign, minutes) = (if self.offset < 0 { '-' } else { '+' }, self.offset.abs() / 60);
        format!("{date}T{time}.{:03}{sign}{:02}:{:02}", self.ms, minutes / 60, minutes % 60)
    }

    /// `Nov 22 14:05:56`, with a day of one digit behind two spaces: RFC 3164.
    pub fn syslog_format(&self) -> String {
        format!("{} {:2} {}", MONTHS[self.month - 1], self.day, self.time_of_day())
    }

    fn time_of_day(&self) -> String {
        let (h, m, s) = (self.second_of_day / 3600, self.second_of_day / 60 % 60, self.second_of_day % 60);
        format!("{h:02}:{m:02}:{s:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "01 Jan 1970 00:00:00.000"),
            (951_782_400_123, "29 Feb 2000 00:00:00.123"),
            (1_795_356_356_999, "22 Nov 2026 14:05:56.999"),
        ] {
            assert_eq!(LocalTime::at(ms, 0).log_format(), text);
        }
        assert_eq!(LocalTime::at(0, -3600).log_format(), "31 Dec 1969 23:00:00.000");
    }

    #[test]
    fn other_formats_say_the_same() {
        assert_eq!(LocalTime::at(951_782_400_023, 0).iso8601(), "2000-02-29T00:00:00.023+00:00");
        assert_eq!(LocalTime::at(0, 19800).iso8601(), "1970-01-01T05:30:00.000+05:30");
        assert_eq!(LocalTime::at(0, -12600).iso8601(), "1969-12-31T20:30:00.000-03:30");
        assert_eq!(LocalTime::at(0, 0).syslog_format(), "Jan  1 00:00:00");
        assert_eq!(LocalTime::at(1_795_356_356_999, 0).syslog_format(), "Nov 22 14:05:56");
    }
}
