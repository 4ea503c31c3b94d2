//! `--rdb` and `--functions-rdb`: a snapshot, fetched as a replica fetches it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use rivulet_progress::Progress;

use crate::clock;
use crate::out::{Fatal, system_words};
use crate::session::Session;

/// Writes the snapshot to a file, or to standard output if that is `-`.
///
/// # Errors
/// The master refuses, the link is lost, or the file can't be written.
pub fn run(session: &mut Session, to: &OsStr, only_functions: bool) -> Result<(), Fatal> {
    session.replconf("capa", "eof")?;
    session.replconf("rdb-only", "1")?;
    if only_functions && !session.replconf("rdb-filter-only", "functions")? {
        return Err("Failed requesting functions only RDB from server, aborting".into());
    }
    let shown = to.to_string_lossy();
    let mut payload = session.sync()?;
    let total = payload.len();
    match total {
        Some(bytes) => eprintln!("SYNC sent to master, writing {bytes} bytes to '{shown}'"),
        None => eprintln!("SYNC sent to master, writing bytes of bulk transfer until EOF marker to '{shown}'"),
    }
    let mut target = Target::open(to)?;
    let (mut bytes, mut progress) = (0, Progress::new("RDB", total, clock::now()));
    while let Some(piece) =
        payload.next_piece().map_err(|_| Fatal::from("I/O Error reading RDB payload from socket"))?
    {
        let written = target.write(&piece);
        written.map_err(|error| Fatal(format!("Error writing data to file: {}", system_words(&error))))?;
        bytes += piece.len() as u64;
        progress.set(bytes, clock::now());
    }
    drop(progress);
    match total {
        Some(_) => eprintln!("Transfer finished with success."),
        None => eprintln!("Transfer finished with success after {bytes} bytes"),
    }
    // Closed at once: the file's way to the disk may take long.
    session.connection = None;
    target.end(bytes).map_err(|error| Fatal(format!("Fail to fsync '{shown}': {}", system_words(&error))))
}

enum Target {
    Output(io::Stdout),
    File(File),
}

impl Target {
    fn open(name: &OsStr) -> Result<Target, Fatal> {
        if name == "-" {
            return Ok(Target::Output(io::stdout()));
        }
        // A file that is there keeps its bytes until others have come.
        let file = File::options().write(true).create(true).truncate(false).mode(0o644).open(name);
        let error = |error| Fatal(format!("Error opening '{}': {}", name.to_string_lossy(), system_words(&error)));
        file.map(Target::File).map_err(error)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Target::Output(out) => out.write_all(bytes),
            Target::File(file) => file.write_all(bytes),
        }
    }

    fn end(self, bytes: u64) -> io::Result<()> {
        match self {
            Target::Output(mut out) => out.flush(),
            Target::File(file) => {
                // What is no file of the disk's, as a pipe, has neither length nor disk.
                if !file.metadata()?.is_file() {
                    return Ok(());
                }
                file.set_len(bytes)?;
                file.sync_all()
            }
        }
    }
}
