//! What `rivulet-check-rdb` prints of a file: the lines of `redis-check-rdb` 7.0, so that scripts that read those go on working.
//!
//! Unlike the loader it passes over values that this server doesn't have (modules' values, fields that expire), as their files may be sound.

use std::io::{self, Read, Write};

use crate::error::{Doing, Error};
use crate::format;
use crate::read::{Checksum, Event, Options, Reader, Unsupported};

#[derive(Default)]
struct Counts {
    keys: u64,
    expires: u64,
    expired: u64,
    empty: u64,
    unsupported: u64,
}

impl Counts {
    fn key(&mut self, deadline_ms: Option<u64>, now_ms: u64) {
        self.keys += 1;
        if let Some(deadline) = deadline_ms {
            self.expires += 1;
            self.expired += u64::from(deadline < now_ms);
        }
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "[info] {} keys read", self.keys)?;
        writeln!(out, "[info] {} expires", self.expires)?;
        writeln!(out, "[info] {} already expired", self.expired)?;
        if self.empty > 0 {
            writeln!(out, "[info] {} empty keys skipped", self.empty)?;
        }
        if self.unsupported > 0 {
            writeln!(out, "[info] {} keys of types that Rivulet can't load", self.unsupported)?;
        }
        Ok(())
    }
}

/// Reads the file that `name` names and prints what it holds. Answers where it ends, if it is sound: something else may follow there. The error
/// is one of writing to `out`.
pub fn check(name: &str, file: impl Read, now_ms: u64, out: &mut impl Write) -> io::Result<Option<u64>> {
    let options = Options { unsupported: Unsupported::Skip, ..Options::default() };
    let mut reader = Reader::new(file, options);
    let mut counts = Counts::default();
    writeln!(out, "[offset 0] Checking RDB file {name}")?;
    loop {
        let event = reader.next();
        let offset = reader.offset();
        match event {
            Ok(Event::Aux(name, value)) => {
                write!(out, "[offset {offset}] AUX FIELD ")?;
                out.write_all(&name)?;
                out.write_all(b" = '")?;
                out.write_all(&value)?;
                out.write_all(b"'\n")?;
            }
            Ok(Event::SelectDb(db)) => writeln!(out, "[offset {offset}] Selecting DB ID {db}")?,
            Ok(Event::ModuleAux { module, .. }) => writeln!(out, "[offset {offset}] MODULE AUX for: {module}")?,
            Ok(Event::Entry(entry)) => counts.key(entry.deadline_ms, now_ms),
            Ok(Event::Skipped { deadline_ms, .. }) => {
                counts.key(deadline_ms, now_ms);
                counts.unsupported += 1;
            }
            Ok(Event::EmptyKey(key)) => {
                counts.keys += 1;
                counts.empty += 1;
                writeln!(out, "[offset {offset}] skipping empty key: {}", key.escape_ascii())?;
            }
            Ok(Event::ResizeDb { .. } | Event::SlotInfo { .. } | Event::SlotImport | Event::Function(_)) => {}
            Ok(Event::Eof(checksum)) => {
                match checksum {
                    Checksum::Ok => writeln!(out, "[offset {offset}] Checksum OK")?,
                    Checksum::Off => writeln!(
                        out,
                        "[offset {offset}] RDB file was saved with checksum disabled: no check performed."
                    )?,
                    Checksum::None | Checksum::Unchecked => {}
                }
                writeln!(out, "[offset {offset}] \\o/ RDB looks OK! \\o/")?;
                counts.print(out)?;
                return Ok(Some(offset));
            }
            Err(error) => {
                print_error(&error, &mut counts, out)?;
                return Ok(None);
            }
        }
    }
}

fn print_error(error: &Error, counts: &mut Counts, out: &mut impl Write) -> io::Result<()> {
    let Error { offset, doing, key, value_type, problem } = error;
    writeln!(out, "--- RDB ERROR DETECTED ---")?;
    writeln!(out, "[offset {offset}] {problem}")?;
    writeln!(out, "[additional info] While doing: {}", doing.name())?;
    if let Some(key) = key {
        out.write_all(b"[additional info] Reading key '")?;
        out.write_all(key)?;
        out.write_all(b"'\n")?;
    }
    if let Some(byte) = value_type {
        writeln!(out, "[additional info] Reading type {byte} ({})", format::type_name(*byte))?;
    }
    // As in Redis, a key counts once it has been read, whatever comes of its value.
    counts.keys += u64::from(*doing == Doing::ReadValue);
    counts.print(out)
}
