//! What `rivulet-check-aof` does: the checks, lines and questions of `redis-check-aof` 7.0, so that scripts that read those go on working.
//!
//! Where Redis's checker passes what no server loads well, this one does not: commands without arguments, an annotation without its newline (what
//! is appended later would become part of it), and unsound [`Annotation::Own`] lines. A manifest is known by its first line, as a value may hold a
//! line that looks like one. Values are passed over: whether their commands would succeed is not known here.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rivulet_rdb::format;

use crate::annotation::Annotation;
use crate::files::lock_name;
use crate::manifest::{FileInfo, Manifest};
use crate::scan::{Item, ItemKind, Items, ItemsError, Place, Problem, ScanError};
use crate::sums::{self, Damage};
use crate::tail;

/// What to do about what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Report,
    /// After a question, cut off what is unsound at the end of the last file.
    Fix,
    /// Cut off what is later than these Unix seconds.
    TruncateTo(i64),
}

/// Checks the manifest or file at `path`; whether all is well in the end. `answers` is asked before something is cut off. The error is one of writing
/// to `out`.
pub fn check(
    path: &Path,
    mode: Mode,
    now_ms: u64,
    answers: &mut impl BufRead,
    out: &mut impl Write,
) -> io::Result<bool> {
    check_watched(path, mode, now_ms, answers, out, &mut |_, _| {})
}

/// As [`check`]; `watch` is told now and then how many bytes of a file have been looked at, and how many it has.
///
/// # Errors
/// As [`check`].
pub fn check_watched(
    path: &Path,
    mode: Mode,
    now_ms: u64,
    answers: &mut impl BufRead,
    out: &mut impl Write,
    watch: &mut dyn FnMut(u64, u64),
) -> io::Result<bool> {
    match (Checker { mode, now_ms, lines: 1, answers, out, watch }).run(path) {
        Ok(()) => Ok(true),
        Err(Stop::Told) => Ok(false),
        Err(Stop::Output(error)) => Err(error),
    }
}

/// Why a check ended early.
enum Stop {
    /// For a reason that has been printed.
    Told,
    Output(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Output(error)
    }
}

/// What became of a file.
enum Outcome {
    Valid,
    Empty,
    Truncated,
    TruncatedToTimestamp,
}

/// A file to be checked.
struct Subject<'a> {
    /// As it is called in most messages.
    name: &'a str,
    path: &'a Path,
    /// Only the last file may be cut.
    last: bool,
    rdb: bool,
}

/// Where the items of a file end.
enum End {
    Sound,
    Unsound(ScanError),
    /// Before an annotation that is too late.
    TooLate(u64),
}

struct Checker<'a, A, O> {
    mode: Mode,
    now_ms: u64,
    /// The line that is reached, counted through all files.
    lines: u64,
    answers: &'a mut A,
    out: &'a mut O,
    watch: &'a mut dyn FnMut(u64, u64),
}

/// A file on its way to who reads it, watched.
struct Watched<'a> {
    file: &'a mut File,
    done: u64,
    size: u64,
    watch: &'a mut dyn FnMut(u64, u64),
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.done += n as u64;
        (self.watch)(self.done, self.size);
        Ok(n)
    }
}

impl<A: BufRead, O: Write> Checker<'_, A, O> {
    fn run(&mut self, path: &Path) -> Result<(), Stop> {
        let head = self.head(path)?;
        if is_manifest(&head) {
            return self.multi_part(path);
        }
        writeln!(self.out, "Start checking Old-Style AOF")?;
        let name = path.to_string_lossy();
        let subject = Subject { name: &name, path, last: true, rdb: is_rdb(&head) };
        let outcome = self.single(&subject)?;
        self.tell_outcome("", &name, outcome)
    }

    fn multi_part(&mut self, path: &Path) -> Result<(), Stop> {
        writeln!(self.out, "Start checking Multi Part AOF")?;
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return self.stop(&cannot_open(path, &error)),
        };
        let manifest = match Manifest::parse(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => return self.stop(&error.log_lines().join("\n")),
        };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Until the end of the check.
        let _lock = self.take_over(directory, path, manifest.incr.last())?;
        if let Some(base) = &manifest.base {
            let rdb = is_rdb(&self.head(&directory.join(&base.name))?);
            let format = if rdb { "RDB" } else { "RESP" };
            writeln!(self.out, "Start to check BASE AOF ({format} format).")?;
            self.part(directory, base, "BASE ", manifest.incr.is_empty(), rdb)?;
        }
        if let Some((last, others)) = manifest.incr.split_last() {
            writeln!(self.out, "Start to check INCR files.")?;
            for file in others {
                self.part(directory, file, "INCR ", false, false)?;
            }
            self.part(directory, last, "INCR ", true, false)?;
        }
        Ok(writeln!(self.out, "All AOF files and manifest are valid")?)
    }

    /// Before anything is cut: no server may use the files, and what a killed one had not written to the last of them belongs to it.
    fn take_over(
        &mut self,
        directory: &Path,
        manifest: &Path,
        last: Option<&FileInfo>,
    ) -> Result<Option<rivulet_host::fs::File>, Stop> {
        let name = manifest.file_name().and_then(|name| name.to_str()?.strip_suffix(".manifest"));
        let Some(name) = name.filter(|_| self.mode != Mode::Report) else { return Ok(None) };
        let lock = rivulet_host::fs::File::open(directory.join(lock_name(name))).ok();
        if lock.as_ref().is_some_and(|lock| lock.lock().is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)) {
            return self.stop("A server uses these files. Shut it down before they are changed, aborting...");
        }
        let Some(last) = last else { return Ok(lock) };
        match tail::recover(directory, name, &last.name) {
            Ok(0) => {}
            Ok(count) => {
                let name = &last.name;
                writeln!(
                    self.out,
                    "Added the last {count} bytes to AOF {name}, which were not written before the server was killed"
                )?;
            }
            Err(error) => return self.stop(&format!("What a killed server has left can't be added: {error}")),
        }
        Ok(lock)
    }

    fn part(&mut self, directory: &Path, file: &FileInfo, kind: &str, last: bool, rdb: bool) -> Result<(), Stop> {
        let outcome = self.single(&Subject { name: &file.name, path: &directory.join(&file.name), last, rdb })?;
        self.tell_outcome(kind, &file.name, outcome)
    }

    fn tell_outcome(&mut self, kind: &str, name: &str, outcome: Outcome) -> Result<(), Stop> {
        match (outcome, self.mode) {
            (Outcome::Valid, _) => writeln!(self.out, "{kind}AOF {name} is valid")?,
            (Outcome::Empty, _) => writeln!(self.out, "{kind}AOF {name} is empty")?,
            (Outcome::TruncatedToTimestamp, Mode::TruncateTo(time)) => {
                writeln!(self.out, "Successfully truncated AOF {name} to timestamp {time}")?;
            }
            (Outcome::Truncated | Outcome::TruncatedToTimestamp, _) => {
                writeln!(self.out, "Successfully truncated AOF {name}")?;
            }
        }
        Ok(())
    }

    fn single(&mut self, subject: &Subject<'_>) -> Result<Outcome, Stop> {
        let mut file = match OpenOptions::new().read(true).write(true).open(subject.path) {
            Ok(file) => file,
            Err(error) => return self.stop(&format!("{}, aborting...", cannot_open(subject.path, &error))),
        };
        let Ok(size) = file.metadata().map(|metadata| metadata.len()) else {
            return self.stop(&format!("Cannot stat file: {}, aborting...", subject.name));
        };
        if size == 0 {
            return Ok(Outcome::Empty);
        }
        let start = if subject.rdb { self.rdb(&mut file, size, subject)? } else { 0 };
        let (end, ok_up_to) = self.items(&file, start, size, subject)?;
        match end {
            End::TooLate(at) => return self.cut_too_late(&file, at, subject),
            End::Sound => {}
            End::Unsound(error) => self.tell_problem(&error, subject)?,
        }
        let excess = size.saturating_sub(ok_up_to);
        let name = subject.name;
        if let (0, Mode::TruncateTo(time)) = (excess, self.mode) {
            writeln!(self.out, "Truncate nothing in AOF {name} to timestamp {time}")?;
            return Ok(Outcome::Valid);
        }
        let lines = self.lines;
        writeln!(
            self.out,
            "AOF analyzed: filename={name}, size={size}, ok_up_to={ok_up_to}, ok_up_to_line={lines}, diff={excess}"
        )?;
        if excess > 0 {
            return self.fix(&file, size, ok_up_to, subject);
        }
        self.compare(subject)?;
        Ok(Outcome::Valid)
    }

    /// Looks whether the bytes are those that were written, as far as there are checksums of them.
    fn compare(&mut self, subject: &Subject<'_>) -> Result<(), Stop> {
        let name = subject.name;
        match sums::compare(subject.path) {
            Ok(Some(Damage { bytes, expected, found: Some(found) })) => self.stop(&format!(
                "AOF {name} is not as it was written: bytes {} to {} had the checksum {expected:016x}, now it is {found:016x}",
                bytes.start, bytes.end
            )),
            // One that ends before was cut.
            Ok(_) => Ok(()),
            Err(_) => self.stop(&format!("Failed to read from AOF {name}, aborting...")),
        }
    }

    /// Checks the snapshot at the file's start; answers where it ends.
    fn rdb(&mut self, file: &mut File, size: u64, subject: &Subject<'_>) -> Result<u64, Stop> {
        let watched = Watched { file: &mut *file, done: 0, size, watch: &mut *self.watch };
        match rivulet_rdb::check::check(subject.name, watched, self.now_ms, self.out)? {
            Some(end) if file.seek(SeekFrom::Start(end)).is_ok() => {
                writeln!(self.out, "RDB preamble is OK, proceeding with AOF tail...")?;
                Ok(end)
            }
            _ => self.stop("RDB preamble of AOF file is not sane, aborting."),
        }
    }

    /// Goes through the items from `start` on; answers how that ended, and the end of the last whole unit.
    fn items(&mut self, file: &File, start: u64, size: u64, subject: &Subject<'_>) -> Result<(End, u64), Stop> {
        /// The watcher is told every so many bytes.
        const STEP_BYTES: u64 = 1 << 20;
        let mut told = start;
        let mut items = Items::new(file, Place { file: start, stream: 0 });
        let end = loop {
            let at = items.scanner().place().file;
            if at >= told + STEP_BYTES {
                told = at;
                (self.watch)(at, size);
            }
            match items.next() {
                Ok(Some(item)) => {
                    if self.is_too_late(&item)? {
                        break End::TooLate(at);
                    }
                }
                Ok(None) => break End::Sound,
                Err(ItemsError::Scan(error)) => break End::Unsound(error),
                Err(ItemsError::Io(_)) => {
                    return self.stop(&format!("Failed to read from AOF {}, aborting...", subject.name));
                }
            }
        };
        self.lines += items.scanner().lines();
        Ok((end, items.scanner().unit_end().file))
    }

    fn is_too_late(&mut self, item: &Item<'_>) -> Result<bool, Stop> {
        let (Mode::TruncateTo(limit), ItemKind::Annotation { line, annotation }) = (self.mode, &item.kind) else {
            return Ok(false);
        };
        match annotation {
            Annotation::Timestamp(time) => Ok(*time > limit),
            _ if line.starts_with(b"#TS:") => self.stop("Invalid timestamp annotation"),
            _ => Ok(false),
        }
    }

    fn cut_too_late(&mut self, file: &File, at: u64, subject: &Subject<'_>) -> Result<Outcome, Stop> {
        let path = subject.path.display();
        let Mode::TruncateTo(time) = self.mode else { return Ok(Outcome::Valid) };
        if at == 0 {
            return self.stop(&format!("AOF {path} has nothing before timestamp {time}, aborting..."));
        }
        if !subject.last {
            return self.stop(&format!(
                "Failed to truncate AOF {path} to timestamp {time} to offset {at} because it is not the last file.\n\
                 If you insist, please delete all files after this file according to the manifest file and delete the \
                 corresponding records in manifest file manually. Then re-run rivulet-check-aof."
            ));
        }
        match file.set_len(at) {
            Ok(()) => Ok(Outcome::TruncatedToTimestamp),
            Err(_) => self.stop(&format!("Failed to truncate AOF {path} to timestamp {time}")),
        }
    }

    fn tell_problem(&mut self, error: &ScanError, subject: &Subject<'_>) -> Result<(), Stop> {
        let path = subject.path.display();
        let text = match error.problem {
            Problem::NoItem(_) => return Ok(writeln!(self.out, "AOF {} format error", subject.name)?),
            // Redis's checker has no words for it.
            Problem::CutCommand => return Ok(()),
            Problem::UnexpectedMulti | Problem::UnexpectedExec => format!("{} in AOF {path}", error.problem),
            problem => problem.to_string(),
        };
        Ok(writeln!(self.out, "0x{:16x}: {text}", error.at)?)
    }

    fn fix(&mut self, file: &File, size: u64, ok_up_to: u64, subject: &Subject<'_>) -> Result<Outcome, Stop> {
        let name = subject.name;
        if self.mode != Mode::Fix {
            return self.stop(&format!("AOF {name} is not valid. Use the --fix option to try fixing it."));
        }
        if !subject.last {
            return self.stop(&format!("Failed to truncate AOF {name} because it is not the last file"));
        }
        let excess = size - ok_up_to;
        writeln!(
            self.out,
            "This will shrink the AOF {name} from {size} bytes, with {excess} bytes, to {ok_up_to} bytes"
        )?;
        write!(self.out, "Continue? [y/N]: ")?;
        self.out.flush()?;
        let mut answer = Vec::new();
        let read = self.answers.read_until(b'\n', &mut answer);
        if read.is_err() || !matches!(answer.first(), Some(b'y' | b'Y')) {
            return self.stop("Aborting...");
        }
        match file.set_len(ok_up_to) {
            Ok(()) => Ok(Outcome::Truncated),
            Err(_) => self.stop(&format!("Failed to truncate AOF {name}")),
        }
    }

    /// The first bytes of a file: enough to know what it is.
    fn head(&mut self, path: &Path) -> Result<Vec<u8>, Stop> {
        let mut head = Vec::new();
        match File::open(path).and_then(|file| file.take(64 * 1024).read_to_end(&mut head)) {
            Ok(_) => Ok(head),
            Err(error) => self.stop(&cannot_open(path, &error)),
        }
    }

    fn stop<T>(&mut self, text: &str) -> Result<T, Stop> {
        writeln!(self.out, "{text}")?;
        Err(Stop::Told)
    }
}

/// Whether the first line that is no comment is that of a manifest.
fn is_manifest(head: &[u8]) -> bool {
    head.split(|&c| c == b'\n').find(|line| line.first() != Some(&b'#')).is_some_and(|line| line.starts_with(b"file"))
}

fn is_rdb(head: &[u8]) -> bool {
    head.len() >= 8 && format::is_snapshot(head)
}

fn cannot_open(path: &Path, error: &io::Error) -> String {
    let text = error.to_string();
    // Without Rust's suffix.
    let text = text.split(" (os error").next().unwrap_or(&text);
    format!("Cannot open file {}: {text}", path.display())
}

#[cfg(test)]
mod tests;
