//! Reading append-only files on the loader's thread: the base as a snapshot, then commands, in blocks that hold whole commands only.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use rivulet_aof::annotation::Annotation;
use rivulet_aof::recover::Replayed;
use rivulet_aof::scan::{ItemKind, Items, ItemsError, Of, Place, Problem, ScanError};
use rivulet_aof::sums::{self, Compared};
use rivulet_engine::renames::Renames;
use rivulet_host::fs::{File, OpenOptions};
use rivulet_keyspace::KeyHasher;
use rivulet_rdb::format;
use rivulet_rdb::read::Options;

use super::{Commands, Loaded, Worker};
use crate::system::os_error;

/// The files of a manifest, in order.
pub struct AppendOnlyFiles {
    pub files: Vec<AppendOnlyFile>,
    /// The last one may end in the middle of a command (`aof-load-truncated`): it is cut there.
    pub cut_allowed: bool,
    /// What no sync has covered may not be what was written: the system has been started anew since.
    pub may_have_holes: bool,
    /// Nor may what has a checksum: with `appendfsync no` these are noted without a sync.
    pub notes_unsynced: bool,
    pub renames: Renames,
    /// Bytes of all.
    pub total: u64,
}

/// One of them.
pub struct AppendOnlyFile {
    pub path: PathBuf,
    pub name: String,
    pub is_base: bool,
    /// The one file of a server before Redis 7.
    pub old_style: bool,
    pub len: u64,
}

/// What is told when a file is through.
pub struct FileEnd {
    pub name: String,
    pub is_base: bool,
    /// For an incremental file.
    pub replayed: Option<Replayed>,
    /// For the base: it is not as it was written.
    pub base_damaged: bool,
}

/// Commands are passed on in blocks of about this size.
const BLOCK_BYTES: usize = 128 << 10;

/// What was read of a file so far.
struct Passed {
    /// Commands that are not told yet.
    block: Commands,
    unit_end: Place,
    /// The last end of a unit up to which the file is what was written.
    proven: Place,
    marked: bool,
    diverged: bool,
}

impl Passed {
    fn new() -> Passed {
        let (unit_end, proven) = (Place::default(), Place::default());
        Passed { block: Commands::with_room(BLOCK_BYTES), unit_end, proven, marked: false, diverged: false }
    }

    fn take(&mut self, item: ItemKind<'_>, renames: &Renames, hasher: &KeyHasher) {
        match item {
            ItemKind::Command { args, of } => {
                self.marked |= of == Of::Own;
                // A replica's own writes, and what it could not execute, make its data others than its master's.
                self.diverged |= of == Of::Passed || of == Of::Own && !args.is(0, "select");
                if of != Of::Passed {
                    self.block.push(args, renames, hasher);
                }
            }
            ItemKind::Annotation { annotation, .. } => {
                self.marked = true;
                self.diverged |= matches!(annotation, Annotation::Passed(_));
            }
        }
    }

    /// A block is compared when it has been read to its end, which may be later than what it begins with.
    fn prove(&mut self, items: &mut Items<Compared<File>>) {
        let until = items.source().proven_until();
        let before_this = std::mem::replace(&mut self.unit_end, items.scanner().unit_end());
        if let Some(end) = [self.unit_end, before_this].into_iter().find(|end| end.file <= until) {
            self.proven = end;
        }
    }

    fn take_block(&mut self) -> Commands {
        std::mem::replace(&mut self.block, Commands::with_room(BLOCK_BYTES))
    }
}

impl Worker {
    /// Reads all files. An error is the last line that the log is told.
    pub fn load_append_only(&self, files: AppendOnlyFiles, options: Options) -> Result<(), String> {
        let count = files.files.len();
        let mut before = 0;
        for (i, file) in files.files.iter().enumerate() {
            let is_last = i + 1 == count;
            self.tell(Loaded::FileBegins);
            let replayed = self.load_one(file, is_last, &options, &files, before)?;
            before += file.len;
            let base_damaged = file.is_base && replayed.proven_bytes.is_some();
            let replayed = (!file.is_base).then_some(replayed);
            let (name, is_base) = (file.name.clone(), file.is_base);
            self.tell(Loaded::FileEnd(FileEnd { name, is_base, replayed, base_damaged }));
        }
        Ok(())
    }

    /// Reads one file; says what was in it.
    fn load_one(
        &self,
        file: &AppendOnlyFile,
        is_last: bool,
        options: &Options,
        files: &AppendOnlyFiles,
        before: u64,
    ) -> Result<Replayed, String> {
        let name = &file.name;
        let mut source = File::open(&file.path)
            .map_err(|e| format!("Fatal error: can't open the append log file {name} for reading: {}", os_error(&e)))?;
        let len = source.metadata().ok().map(|metadata| metadata.len);
        let mut start = 0;
        if begins_with_snapshot(&mut source).map_err(|e| unreadable(name, &e))? {
            self.tell(Loaded::Note(match file.old_style {
                true => "Reading RDB preamble from AOF file...".into(),
                false => "Reading RDB base file on AOF loading...".into(),
            }));
            let loaded = self.load_snapshot(&source, len, options.clone());
            let end = loaded.map_err(|e| match file.old_style {
                true => format!("Error reading the RDB preamble of the AOF file {name}, AOF loading aborted: {e}"),
                false => format!("Error reading the RDB base file {name}, AOF loading aborted: {e}"),
            })?;
            start = end.len;
            source.seek(SeekFrom::Start(start)).map_err(|e| unreadable(name, &e))?;
            if file.old_style {
                self.tell(Loaded::Note("Reading the remaining AOF tail...".into()));
            }
        }
        let (replayed, cut) = self.read_commands(file, source, start, before, files)?;
        if let Some(len) = cut {
            self.cut(file, is_last, len)?;
        }
        Ok(replayed)
    }

    /// Answers what was in the file, and where it is to be cut.
    fn read_commands(
        &self,
        file: &AppendOnlyFile,
        source: File,
        start: u64,
        before: u64,
        files: &AppendOnlyFiles,
    ) -> Result<(Replayed, Option<u64>), String> {
        // What follows a snapshot has no checksums.
        let blocks = if start == 0 { sums::read(&file.path) } else { None };
        let noted_until = blocks.as_ref().map(|blocks| blocks.last().map_or(0, |block| block.end));
        let mut source = Compared::new(source, blocks.unwrap_or_default());
        if files.may_have_holes && !file.is_base && start == 0 {
            source.look_for_holes();
        }
        let mut items = Items::new(source, Place { file: start, stream: 0 });
        let mut passed = Passed::new();
        let mut keys = 0u64;
        let outcome = loop {
            match items.next() {
                Ok(Some(item)) => passed.take(item.kind, &files.renames, &self.hasher),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
            passed.prove(&mut items);
            keys += 1;
            let delay = self.key_delay.load(Ordering::Relaxed);
            if delay != 0 {
                self.delay(delay, keys);
            }
            if passed.block.bytes_len() >= BLOCK_BYTES || delay > 0 {
                self.read.store(before + items.scanner().place().file, Ordering::Relaxed);
                self.tell(Loaded::Commands(passed.take_block()));
                if self.stop.load(Ordering::Relaxed) {
                    return Err("the load was given up".into());
                }
            }
        };
        self.tell(Loaded::Commands(passed.take_block()));
        let end = items.scanner().unit_end();
        let replayed = Replayed {
            name: file.name.clone(),
            stream_bytes: end.stream,
            file_bytes: end.file,
            marked: passed.marked,
            diverged: passed.diverged,
            proven_bytes: self.is_damaged(file, items.source())?.then_some(passed.proven.stream),
        };
        let damage = items.source().damage().filter(|_| files.may_have_holes && files.notes_unsynced);
        let noted_until = damage.map_or(noted_until, |damage| noted_until.map(|until| until.min(damage.bytes.start)));
        let cut = match outcome {
            Ok(()) => None,
            Err(error) => {
                self.may_be_cut(file, error, noted_until, files.cut_allowed)?;
                Some(end.file)
            }
        };
        Ok((replayed, cut))
    }

    /// What to do about a file that can't be read to its end: it is cut after the last whole unit, where that loses nothing that was promised and is
    /// allowed.
    fn may_be_cut(
        &self,
        file: &AppendOnlyFile,
        error: ItemsError,
        noted_until: Option<u64>,
        cut_allowed: bool,
    ) -> Result<(), String> {
        let name = &file.name;
        let error = match error {
            ItemsError::Io(error) => return Err(unreadable(name, &error)),
            ItemsError::Scan(error) => error,
        };
        if !error.is_cut() && !was_never_safe(&error, noted_until) {
            return Err(format!(
                "Bad file format reading the append only file {name}: make a backup of your AOF file, then use ./rivulet-check-aof --fix <filename.manifest>"
            ));
        }
        if matches!(error.problem, Problem::OpenMulti) {
            self.tell(Loaded::Warning(format!("Revert incomplete MULTI/EXEC transaction in AOF file {name}")));
        }
        if !cut_allowed {
            return Err(format!(
                "Unexpected end of file reading the append only file {name}. You can: 1) Make a backup of your AOF file, then use ./rivulet-check-aof --fix <filename.manifest>. 2) Alternatively you can set the 'aof-load-truncated' configuration option to yes and restart the server."
            ));
        }
        Ok(())
    }

    /// Whether the file does not hold what was written to it. It is loaded all the same, as a value has no checksum for Redis either, but what
    /// follows can't be claimed to be what replicas have.
    fn is_damaged(&self, file: &AppendOnlyFile, read: &mut Compared<File>) -> Result<bool, String> {
        read.finish().map_err(|e| unreadable(&file.name, &e))?;
        let Some(damage) = read.damage() else { return Ok(self.has_hole(file, read)) };
        let found = damage.found.map_or("the file ends before".to_string(), |found| format!("it is {found:016x}"));
        let who = if file.is_base { "all replicas" } else { "replicas that are behind these bytes" };
        self.tell(Loaded::Warning(format!(
            "The AOF file {} is not as it was written: bytes {} to {} had the checksum {:016x}, now {found}. It is loaded as it is; {who} get a full sync.",
            file.name, damage.bytes.start, damage.bytes.end, damage.expected
        )));
        Ok(true)
    }

    fn has_hole(&self, file: &AppendOnlyFile, read: &Compared<File>) -> bool {
        let Some(at) = read.hole() else { return false };
        self.tell(Loaded::Warning(format!(
            "The AOF file {} may not be as it was written: no sync has covered its bytes from {at} on, zeros up to the end of a page, and the system has been started anew since. It is loaded as it is; replicas that are behind these bytes get a full sync.",
            file.name
        )));
        true
    }

    /// Cuts off what is no whole unit of execution. A file that others follow is left as it is: cut, the next start would take it for whole.
    fn cut(&self, file: &AppendOnlyFile, is_last: bool, len: u64) -> Result<(), String> {
        let name = &file.name;
        self.tell(Loaded::Warning(format!("!!! Warning: short read while loading the AOF file {name}!!!")));
        if !is_last {
            return Err("Fatal error: the truncated file is not the last file".into());
        }
        self.tell(Loaded::Warning(format!("!!! Truncating the AOF {name} at offset {len} !!!")));
        let cut = OpenOptions::new().write(true).open(&file.path).and_then(|file| {
            file.set_len(len)?;
            file.sync_all()
        });
        cut.map_err(|e| format!("Error truncating the AOF file {name}: {}", os_error(&e)))?;
        self.tell(Loaded::Warning(format!("AOF {name} loaded anyway because aof-load-truncated is enabled")));
        Ok(())
    }
}

/// Whether what can't be read stands behind everything that a sync has covered. A loss of power may leave anything there, as nothing was promised of
/// it: that is an end like one in the middle of a command.
fn was_never_safe(error: &ScanError, noted_until: Option<u64>) -> bool {
    noted_until.is_some_and(|until| error.at >= until)
}

fn begins_with_snapshot(file: &mut File) -> io::Result<bool> {
    let mut magic = Vec::new();
    (&mut *file).take(format::MAGIC_BYTES as u64).read_to_end(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(format::is_snapshot(&magic))
}

fn unreadable(name: &str, error: &io::Error) -> String {
    format!("Unrecoverable error reading the append only file {name}: {}", os_error(error))
}
