//! The full syncs that a replica was given, as its log tells them, and whether each had a reason.
//!
//! The log outlives a kill, and ours and that of Redis say it in the same words. What the master counts is not asked: it is what is proven here.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// What may cost a node a full sync, until it stands where the others do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Excuse {
    /// It has nothing to go on from.
    pub blank: bool,
    /// It went on after the others took another way here.
    pub fork: Option<u64>,
}

impl Excuse {
    /// What it asked for: an id and the number of a byte.
    fn covers(&self, asked: Option<&(String, u64)>) -> bool {
        // The first byte of all: a new node asks so.
        let has_nothing = asked.is_none_or(|(_, byte)| *byte == 1);
        self.blank && has_nothing || self.is_past_fork(asked)
    }

    fn is_past_fork(&self, asked: Option<&(String, u64)>) -> bool {
        asked.zip(self.fork).is_some_and(|((_, byte), fork)| *byte > fork + 1)
    }
}

/// Reads a node's log as it grows.
#[derive(Debug)]
pub struct Syncs {
    log: PathBuf,
    read: u64,
    asked: Option<(String, u64)>,
    pub counted: Counted,
}

/// The syncs that it was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    pub partial: u64,
    /// Full ones, because it had nothing.
    pub blank: u64,
    /// Full ones, because it had gone on past a fork.
    pub past_fork: u64,
}

impl Syncs {
    pub fn of(log: PathBuf) -> Syncs {
        Syncs { log, read: 0, asked: None, counted: Counted::default() }
    }

    /// Counts what is new. After a full sync that was excused, what it had is gone: a second attempt may begin from nothing. An
    /// error is a full sync without a reason.
    pub fn judge(&mut self, excuse: &mut Option<Excuse>) -> Result<(), String> {
        for line in self.new_lines() {
            if let Some((_, request)) = line.split_once("Trying a partial resynchronization (request ") {
                let (id, byte) = request.split_once(':').unwrap_or_default();
                let byte = byte.trim_end_matches(").").parse().map_err(|_| line.clone())?;
                self.asked = Some((id.to_string(), byte));
            } else if line.contains("Partial resynchronization not possible") {
                self.asked = None;
            } else if line.contains("Master accepted a Partial Resynchronization") {
                self.counted.partial += 1;
            } else if line.contains("Full resync from master:") {
                match excuse {
                    Some(excuse) if excuse.covers(self.asked.as_ref()) => {
                        let blank = excuse.blank && !excuse.is_past_fork(self.asked.as_ref());
                        *(if blank { &mut self.counted.blank } else { &mut self.counted.past_fork }) += 1;
                        excuse.blank = true;
                    }
                    _ => return Err(format!("it asked for {:?} under {excuse:?}: {line}", self.asked)),
                }
            }
        }
        Ok(())
    }

    fn new_lines(&mut self) -> Vec<String> {
        let mut text = Vec::new();
        let read = std::fs::File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.read))?;
            file.read_to_end(&mut text)
        });
        read.expect("a server has a log");
        // A line that is not whole yet is read the next time.
        text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        self.read += text.len() as u64;
        String::from_utf8_lossy(&text).lines().map(str::to_string).collect()
    }
}
