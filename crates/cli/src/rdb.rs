//! `rivulet-cli rdb FILE`: what a snapshot holds. It needs no server.
//!
//! In order: `kind` (types as users know them), `memory` (what a key takes, about), `contents` (the sums), `report` (how they are shown). The file
//! is read once, values are passed over where their size is enough; what is wrong with a file is said as `rivulet-check-rdb` says it.

mod contents;
mod kind;
mod memory;
mod report;

use std::fs::File;
use std::io::{self, Read, Write};

use rivulet_progress::ProgressReader;
use rivulet_rdb::{Error, Event, Measured, Options, Reader};

use contents::{Contents, Grouping};

use crate::clock;
use crate::out::{self, Fatal, system_words};
use crate::program::Rdb;

/// What the checker's report of an error begins with.
const ERROR: &str = "--- RDB ERROR DETECTED ---";

/// Reads the file and prints what it holds.
///
/// # Errors
/// It can't be read, or is damaged.
pub fn run(asked: &Rdb) -> Result<(), Fatal> {
    let name = asked.file.display();
    let unreadable = |error: io::Error| Fatal(format!("Cannot open {name}: {}", system_words(&error)));
    let file = File::open(&asked.file).map_err(unreadable)?;
    let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    let file = ProgressReader::new(file, "RDB", size, clock::now);
    let grouping = Grouping { separator: asked.separator.clone(), depth: asked.depth, biggest: asked.rows };
    let contents = read(file, Contents::new(grouping, clock::wall_ms())).map_err(|error| fault(asked, &error))?;
    let text = match asked.is_json {
        true => report::json(&contents, &name.to_string(), asked.rows),
        false => report::text(&contents, &name.to_string(), asked.rows),
    };
    out::write(text.as_bytes());
    Ok(())
}

/// Adds up a whole file.
fn read(file: impl Read, mut contents: Contents) -> Result<Contents, Error> {
    let mut reader = Reader::new(file, Options::default());
    loop {
        match reader.next_measured()? {
            Measured::Entry(entry) => {
                contents.add(&entry);
                reader.give_back(entry.key, Vec::new());
            }
            Measured::Other(Event::Aux(name, value)) => contents.add_header(&name, &value),
            Measured::Other(Event::SelectDb(database)) => contents.select(database),
            Measured::Other(Event::Function(_)) => contents.functions += 1,
            Measured::Other(Event::EmptyKey(_)) => contents.empty_keys += 1,
            Measured::Other(Event::Eof(_)) => break,
            Measured::Other(_) => {}
        }
    }
    contents.version = reader.version();
    contents.file_bytes = reader.offset();
    Ok(contents)
}

/// What is wrong with a file, as the checker says it: that looks into values, and so finds a damage where it is and not only in the sum.
fn fault(asked: &Rdb, error: &Error) -> Fatal {
    let mut said = Tail::default();
    let is_file = asked.file.metadata().is_ok_and(|metadata| metadata.is_file());
    if is_file && let Ok(file) = File::open(&asked.file) {
        // The report goes into memory, which takes it.
        let _ = rivulet_rdb::check::check("", file, clock::wall_ms(), &mut said);
    }
    let said = String::from_utf8_lossy(&said.0);
    match said.find(ERROR) {
        Some(at) => Fatal(said[at..].trim_end().to_string()),
        None => Fatal(error.to_string()),
    }
}

/// The end of what is written: a damaged file may have much to tell before its error, which names a key of any length.
#[derive(Default)]
struct Tail(Vec<u8>);

/// Bytes of it that are kept at least.
const TAIL_BYTES: usize = 64 << 10;

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() > 2 * TAIL_BYTES && !contains_error(&self.0) {
            self.0.drain(..self.0.len() - TAIL_BYTES);
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn contains_error(said: &[u8]) -> bool {
    said.windows(ERROR.len()).any(|window| window == ERROR.as_bytes())
}
