//! Crash images: a server's life is played against a disk that remembers each step, and every state that a crash may leave is started from.
//!
//! What must hold of each: what comes back is a prefix of what was written and not less than what was synced; the history that it claims is true
//! byte for byte; what is served from segments is what was written. After a mere kill nothing that was written is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use rivulet_aof::files::{Directory, LogFiles};
use rivulet_aof::identity::Role;
use rivulet_aof::manifest::{BaseFormat, Kind, Manifest};
use rivulet_aof::op::{Change, Disk, FileOp, Medium};
use rivulet_aof::recover::{self, Replayed};
use rivulet_aof::scan::{ItemKind, Items, ItemsError, Of, Place};
use rivulet_aof::summed::Summed;
use rivulet_aof::sums;
use rivulet_replication::history::{History, Kinship};
use rivulet_replication::position::ReplId;

const NAME: &str = "a.aof";
/// Small, so that segments end often.
const SEGMENT_BYTES: u64 = 400;

// ---- a disk that remembers ----

/// A step as the system sees it.
#[derive(Debug, Clone)]
enum Step {
    Create { file: usize, path: PathBuf },
    Write { file: usize, bytes: Vec<u8> },
    Truncate { file: usize, len: usize },
    Sync { file: usize },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
    SyncDirectory,
}

#[derive(Default)]
struct Recorder {
    steps: Vec<Step>,
    names: BTreeMap<PathBuf, usize>,
    files: usize,
    current: Option<usize>,
    /// Files that are written whole before they take their name: a cut in them is nothing that a start would see.
    beside: BTreeSet<usize>,
}

impl Recorder {
    fn create(&mut self, path: &Path) -> usize {
        let file = self.files;
        self.files += 1;
        self.names.insert(path.to_path_buf(), file);
        self.steps.push(Step::Create { file, path: path.to_path_buf() });
        file
    }
}

impl Disk for Recorder {
    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let beside = rivulet_aof::disk::beside(path);
        let file = self.create(&beside);
        self.beside.insert(file);
        self.steps.push(Step::Write { file, bytes: bytes.to_vec() });
        self.steps.push(Step::Sync { file });
        self.rename(&beside, path)
    }

    fn begin(&mut self, path: &Path) -> io::Result<()> {
        self.current = Some(self.create(path));
        self.steps.push(Step::SyncDirectory);
        Ok(())
    }

    fn resume(&mut self, path: &Path, len: u64) -> io::Result<()> {
        let file = *self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        self.steps.push(Step::Truncate { file, len: len as usize });
        self.steps.push(Step::Sync { file });
        self.current = Some(file);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self.current.ok_or(io::ErrorKind::NotFound)?;
        self.steps.push(Step::Write { file, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.steps.extend(self.current.map(|file| Step::Sync { file }));
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.names.insert(to.to_path_buf(), file);
        self.steps.push(Step::Rename { from: from.to_path_buf(), to: to.to_path_buf() });
        self.steps.push(Step::SyncDirectory);
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.names.remove(path);
        self.steps.push(Step::Remove { path: path.to_path_buf() });
        Ok(())
    }

    fn close(&mut self) {
        self.current = None;
    }
}

impl Medium for Recorder {
    fn note(&mut self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        let there = self.names.get(path).copied().filter(|_| at > 0);
        let file = there.unwrap_or_else(|| self.create(path));
        self.beside.insert(file);
        self.steps.push(Step::Write { file, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync_note(&mut self, path: &Path) -> io::Result<()> {
        self.steps.push(Step::Sync { file: self.names[path] });
        Ok(())
    }

    fn rename_note(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.names.insert(to.to_path_buf(), file);
        self.steps.push(Step::Rename { from: from.to_path_buf(), to: to.to_path_buf() });
        Ok(())
    }

    fn len(&mut self, _: &Path) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read(&mut self, _: &Path, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn overwrite(&mut self, _: &Path, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What a crash leaves of unsynced steps.
trait Fate {
    /// Whether a name that was not synced is as it was changed.
    fn keeps_name(&mut self) -> bool;
    /// How many of so many unsynced bytes of a file are there.
    fn keeps_bytes(&mut self, unsynced: usize) -> usize;
}

/// The process is killed: the system keeps all.
struct Killed;

impl Fate for Killed {
    fn keeps_name(&mut self) -> bool {
        true
    }

    fn keeps_bytes(&mut self, unsynced: usize) -> usize {
        unsynced
    }
}

/// The power goes: of what was not synced anything may be there, in any order.
struct PowerLost<'a>(&'a mut Rng);

impl Fate for PowerLost<'_> {
    fn keeps_name(&mut self) -> bool {
        self.0.bool()
    }

    fn keeps_bytes(&mut self, unsynced: usize) -> usize {
        match self.0.u32(..) % 3 {
            0 => 0,
            1 => unsynced,
            _ => self.0.u32(..) as usize % (unsynced + 1),
        }
    }
}

/// The files after a crash that follows these steps, the last of which may be cut.
fn image(steps: &[Step], fate: &mut dyn Fate) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut contents: BTreeMap<usize, (Vec<u8>, usize)> = BTreeMap::new();
    let mut names: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let synced = steps.iter().rposition(|step| matches!(step, Step::SyncDirectory)).map_or(0, |at| at + 1);
    for (i, step) in steps.iter().enumerate() {
        match step {
            Step::Write { file, bytes } => contents.entry(*file).or_default().0.extend_from_slice(bytes),
            Step::Truncate { file, len } => contents.entry(*file).or_default().0.truncate(*len),
            Step::Sync { file } => {
                let (bytes, durable) = contents.entry(*file).or_default();
                *durable = bytes.len();
            }
            Step::Create { file, path } => {
                contents.entry(*file).or_default();
                if i < synced || fate.keeps_name() {
                    names.insert(path.clone(), *file);
                }
            }
            Step::Rename { from, to } if i < synced || fate.keeps_name() => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Step::Remove { path } if i < synced || fate.keeps_name() => {
                names.remove(path);
            }
            Step::Rename { .. } | Step::Remove { .. } | Step::SyncDirectory => {}
        }
    }
    names
        .into_iter()
        .map(|(path, file)| {
            let (bytes, durable) = &contents[&file];
            let kept = durable + fate.keeps_bytes(bytes.len().saturating_sub(*durable));
            (path, bytes[..kept.min(bytes.len())].to_vec())
        })
        .collect()
}

// ---- a server's life ----

/// What a server has done so far. A stream begins anew with each full sync.
struct Life {
    disk: Summed<Recorder>,
    files: LogFiles,
    history: History,
    role: Role,
    /// All bytes of each stream; the last one grows.
    streams: Vec<Vec<u8>>,
    /// Each id that there was: whose stream it is.
    ids: BTreeMap<ReplId, usize>,
    handed: usize,
    rewriting: Option<(PathBuf, usize)>,
    next_id: u8,
    /// After each step of the disk: what was handed and what was synced by then, if the files hold the last stream.
    marks: Vec<Mark>,
    directory: Directory,
    base_count: usize,
    clean: bool,
}

/// How far the stream was at a step.
#[derive(Debug, Clone, Copy)]
struct Mark {
    steps: usize,
    stream: usize,
    written: usize,
    synced: usize,
}

fn id(n: u8) -> ReplId {
    ReplId::from_random(&[n; 20])
}

/// A base in this test says what it stands for: stream and offset.
fn base_bytes(stream: usize, offset: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let words = ["BASE".to_string(), stream.to_string(), offset.to_string()];
    rivulet_replication::stream::encode_command(&words, &mut bytes);
    bytes
}

impl Life {
    fn begin(directory: Directory) -> Life {
        let history = History::new(id(1));
        let files = LogFiles::new(history.clone(), Role::Master, SEGMENT_BYTES);
        let mut life = Life {
            disk: Summed::marking_from(Recorder::default(), 1),
            files,
            history,
            role: Role::Master,
            streams: vec![Vec::new()],
            ids: BTreeMap::from([(id(1), 0)]),
            handed: 0,
            rewriting: None,
            next_id: 2,
            marks: Vec::new(),
            directory: directory.clone(),
            base_count: 0,
            clean: false,
        };
        let change = life.files.create_aof(directory, NAME, base_bytes(0, 0), BaseFormat::Aof, 0);
        life.carry_out(change);
        life.mark(0, 0);
        life
    }

    fn carry_out(&mut self, change: Change) {
        change.carry_out(&mut self.disk).expect("the recorder takes all");
    }

    fn mark(&mut self, written: usize, synced: usize) {
        let stream = self.streams.len() - 1;
        self.marks.push(Mark { steps: self.disk.disk().steps.len(), stream, written, synced });
    }

    fn end(&self) -> usize {
        self.streams.last().unwrap().len()
    }

    fn has_base(&self) -> bool {
        !self.files.is_waiting_for_base()
    }

    /// As the executor does before it sleeps: all bytes go to the writer.
    fn hand_over(&mut self) {
        let end = self.end();
        if self.files.is_open() && self.handed < end {
            let bytes = self.streams.last().unwrap()[self.handed..].to_vec();
            self.disk.append(&bytes).unwrap();
            self.files.appended(bytes.len() as u64);
            self.handed = end;
            if self.has_base() {
                let synced = self.last_synced();
                self.mark(end, synced);
            }
        }
    }

    fn last_synced(&self) -> usize {
        let stream = self.streams.len() - 1;
        self.marks.iter().rev().find(|mark| mark.stream == stream).map_or(0, |mark| mark.synced)
    }

    fn sync(&mut self) {
        self.disk.mark();
        self.disk.sync_written().unwrap();
        if self.has_base() {
            self.mark(self.handed, self.handed);
        }
    }

    fn write(&mut self, rng: &mut Rng) {
        let stream = self.streams.last_mut().unwrap();
        let value = "v".repeat(rng.u32(..) as usize % 40);
        let one = |out: &mut Vec<u8>, n: usize| {
            rivulet_replication::stream::encode_command(&["SET", &format!("k{n}"), &value], out);
        };
        let n = stream.len();
        match rng.u32(..) % 4 {
            0 => {
                stream.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
                one(stream, n);
                one(stream, n + 1);
                stream.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
            }
            1 => stream.extend_from_slice(rivulet_replication::stream::PING),
            _ => one(stream, n),
        }
    }

    fn own_line(&mut self) {
        if !self.files.is_open() {
            return;
        }
        self.hand_over();
        let command = b"*1\r\n$4\r\nPING\r\n";
        let mut bytes = Vec::new();
        rivulet_aof::annotation::Annotation::Own(command.len() as u64).append_to(&mut bytes);
        bytes.extend_from_slice(command);
        if let Some(change) = self.files.mark(bytes.len() as u64) {
            self.carry_out(change);
        }
        self.disk.append(&bytes).unwrap();
    }

    fn promote(&mut self) {
        self.hand_over();
        let new = id(self.next_id);
        self.next_id += 1;
        self.ids.insert(new, self.streams.len() - 1);
        self.history.promote(new, self.end() as u64);
        self.role = Role::Master;
        if let Some(change) = self.files.set_history(&self.history, self.role) {
            self.carry_out(change);
        }
    }

    fn full_sync(&mut self, rng: &mut Rng) {
        self.give_up_rewrite();
        self.hand_over();
        let new = id(self.next_id);
        self.next_id += 1;
        let len = rng.u32(..) as usize % 1000;
        self.streams.push((0..len).map(|i| (i % 251) as u8).collect());
        self.ids.insert(new, self.streams.len() - 1);
        self.history.adopt(new);
        self.role = Role::Replica;
        let change = self.files.reset(&self.history, self.role);
        self.carry_out(change);
        self.handed = len;
    }

    fn begin_rewrite(&mut self) {
        if self.rewriting.is_some() {
            return;
        }
        self.hand_over();
        let end = self.end();
        self.handed = end;
        let change = self.files.begin_rewrite(end as u64);
        self.carry_out(change);
        let path = self.directory.path.join(format!("temp-base-{}", self.base_count));
        self.base_count += 1;
        self.disk.replace(&path, &base_bytes(self.streams.len() - 1, end)).unwrap();
        self.rewriting = Some((path, end));
    }

    fn end_rewrite(&mut self, rng: &mut Rng) {
        let Some((path, _)) = self.rewriting.take() else { return };
        self.hand_over();
        let (change, _) = self.files.end_rewrite(&path, BaseFormat::Aof);
        self.carry_out(change);
        self.files.rewrite_ended();
        self.mark(self.handed, self.handed);
        let change = self.files.remove_history(rng.u8(..3) > 0);
        self.carry_out(change);
        self.files.history_removed();
    }

    fn give_up_rewrite(&mut self) {
        if self.rewriting.take().is_some() {
            let change = self.files.fail_rewrite();
            self.carry_out(change);
        }
    }

    fn rotate(&mut self) {
        self.hand_over();
        if self.files.is_full() {
            let change = self.files.rotate(self.end() as u64);
            self.carry_out(change);
        }
    }

    fn trim(&mut self) {
        let change = self.files.trim(SEGMENT_BYTES, None);
        self.carry_out(change);
    }

    fn live(&mut self, rng: &mut Rng) {
        match rng.u32(..) % 24 {
            0 => self.promote(),
            1 => self.full_sync(rng),
            2..=3 => self.begin_rewrite(),
            4..=6 => self.end_rewrite(rng),
            7 => self.give_up_rewrite(),
            8..=10 => self.sync(),
            11 => self.own_line(),
            12 => self.trim(),
            _ => {
                self.write(rng);
                self.rotate();
            }
        }
    }

    fn end_clean(&mut self) {
        self.give_up_rewrite();
        self.hand_over();
        let change = self.files.end_clean(self.end() as u64);
        self.carry_out(change);
        self.clean = self.has_base();
        if self.clean {
            self.mark(self.handed, self.handed);
        }
    }
}

// ---- a start from an image ----

/// What a start finds.
struct Started {
    stream: usize,
    offset: usize,
    resumed: recover::Resumed,
    /// A file holds other bytes than were written.
    damaged: bool,
}

/// Loads what is in the directory as a server does.
fn start(directory: &Path, as_replica: bool) -> Started {
    try_to_start(directory, as_replica).expect("it can be started from")
}

fn try_to_start(directory: &Path, as_replica: bool) -> Result<Started, String> {
    let found = recover::find(directory, NAME).expect("a crash leaves a manifest that can be read");
    let mut damaged = false;
    let mut base = None;
    let mut replayed = Vec::new();
    let mut content = Vec::new();
    let files: Vec<_> = found.manifest.data().cloned().collect();
    for (i, file) in files.iter().enumerate() {
        let damage = sums::compare(&found.directory.path.join(&file.name)).unwrap();
        damaged |= damage.is_some();
        let mut proven = Place::default();
        let bytes = fs::read(found.directory.path.join(&file.name)).expect("the manifest names files that are there");
        let mut items = Items::new(&bytes[..], Place::default());
        let mut stream = Vec::new();
        let (mut marked, mut position) = (false, 0usize);
        let cut = loop {
            match items.next() {
                Ok(Some(item)) => {
                    let end = position + item.range.len();
                    match item.kind {
                        ItemKind::Command { args, of } => {
                            if file.kind == Kind::Base {
                                let number = |at: usize| str::from_utf8(args.at(at)).unwrap().parse::<usize>().unwrap();
                                base = Some((number(1), number(2)));
                            }
                            marked |= of == Of::Own;
                            if of != Of::Own {
                                stream.extend_from_slice(&bytes[position..end]);
                            }
                        }
                        ItemKind::Annotation { .. } => marked = true,
                    }
                    position = end;
                    let unit_end = items.scanner().unit_end();
                    if damage.as_ref().is_some_and(|damage| unit_end.file <= damage.bytes.start) {
                        proven = unit_end;
                    }
                }
                Ok(None) => break false,
                Err(ItemsError::Scan(error)) if error.is_cut() => break true,
                Err(error) => return Err(format!("{}: {error:?}", file.name)),
            }
        };
        if cut && i + 1 != files.len() {
            return Err(format!("{} is cut and not the last", file.name));
        }
        let end = items.scanner().unit_end();
        if file.kind == Kind::Incr {
            stream.truncate(end.stream as usize);
            content.extend_from_slice(&stream);
            let name = file.name.clone();
            let (proven_bytes, diverged) = (damage.map(|_| proven.stream), false);
            let (stream_bytes, file_bytes) = (end.stream, end.file);
            replayed.push(Replayed { name, stream_bytes, file_bytes, marked, diverged, proven_bytes });
        }
    }
    let resumed = recover::resume(&found, &replayed, as_replica, id(200));
    let (stream, from) = base.expect("there is a base");
    CONTENT.with(|cell| cell.replace(content.clone()));
    Ok(Started { stream, offset: from + content.len(), resumed, damaged })
}

thread_local! {
    static CONTENT: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Checks a start from an image that a crash at `steps` left.
fn check(life: &Life, steps: usize, files: &BTreeMap<PathBuf, Vec<u8>>, killed: bool, as_replica: bool) {
    let scratch = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        fs::write(scratch.path().join(path.file_name().unwrap()), bytes).unwrap();
    }
    if !files.keys().any(|path| path.ends_with(format!("{NAME}.manifest"))) {
        assert!(life.marks[0].steps > steps, "the manifest is gone");
        return;
    }
    let Started { stream, offset, resumed, damaged } = start(scratch.path(), as_replica);
    assert!(!damaged, "a crash looks like damage");
    let content = CONTENT.with(|cell| cell.take());
    // A prefix of what was written.
    let written = &life.streams[stream];
    assert!(offset <= written.len(), "more came back than was ever written");
    let from = offset - content.len();
    assert!(content == written[from..offset], "other bytes came back at {from} than were written, after {steps} steps");
    // Not less than was synced; after a kill not less than was written, but for a unit that is not whole.
    let known = life.marks.iter().rev().find(|mark| mark.steps <= steps);
    if let Some(mark) = known.filter(|mark| mark.stream == stream) {
        let least = if killed { mark.written } else { mark.synced };
        assert!(offset >= least, "{offset} came back, {least} was safe, {mark:?}");
    } else if let Some(mark) = known {
        assert!(stream >= mark.stream, "an older stream came back than was safe");
    }
    // What is claimed is true.
    if let Some(history) = &resumed.history {
        assert_eq!(resumed.offset as usize, offset);
        for (known, of) in &life.ids {
            let asked_max =
                (1..=offset as i64 + 1).rev().find(|asked| history.kinship(*known, *asked) == Kinship::Shared);
            let shared = asked_max.map_or(0, |asked| asked as usize - 1);
            let theirs = &life.streams[*of];
            assert!(*of == stream || shared == 0, "an id of another stream is claimed");
            assert!(shared <= theirs.len(), "{shared} bytes of an id that has {}", theirs.len());
        }
        let clean = life.clean && steps == life.disk.disk().steps.len();
        if !as_replica && !clean {
            assert_eq!(history.id(), id(200), "an unclean end takes a new id");
            assert_eq!(history.kinship(id(200), offset as i64 + 2), Kinship::Shared);
        }
        for segment in &resumed.segments {
            let bytes = read_segment(segment);
            let theirs = &written[segment.start as usize..segment.end as usize];
            assert!(bytes.starts_with(theirs), "a segment holds other bytes than the stream");
        }
    }
}

fn read_segment(segment: &rivulet_aof::files::Segment) -> Vec<u8> {
    let bytes = fs::read(&segment.path).unwrap();
    if !segment.marked {
        return bytes;
    }
    let mut items = Items::new(&bytes[..], Place::default());
    let (mut stream, mut position) = (Vec::new(), 0usize);
    while let Ok(Some(item)) = items.next() {
        let end = position + item.range.len();
        if let ItemKind::Command { of: Of::Stream, .. } = item.kind {
            stream.extend_from_slice(&bytes[position..end]);
        }
        position = end;
    }
    stream
}

fn one_life(seed: u64, events: usize) {
    let scratch = tempfile::tempdir().unwrap();
    let directory = recover::open_directory(scratch.path()).unwrap();
    let mut random = Rng::with_seed(seed);
    let mut life = Life::begin(directory);
    for _ in 0..events {
        life.live(&mut random);
    }
    if random.bool() {
        life.end_clean();
    }
    let steps = life.disk.disk().steps.clone();
    for n in 0..=steps.len() {
        let as_replica = random.bool();
        check(&life, n, &image(&steps[..n], &mut Killed), true, as_replica);
        check(&life, n, &image(&steps[..n], &mut PowerLost(&mut random)), false, as_replica);
        // The last write is cut at each byte.
        if let Some(Step::Write { file, bytes }) = n.checked_sub(1).map(|last| &steps[last])
            && !life.disk.disk().beside.contains(file)
        {
            for len in 0..bytes.len() {
                let mut cut = steps[..n - 1].to_vec();
                cut.push(Step::Write { file: *file, bytes: bytes[..len].to_vec() });
                check(&life, n - 1, &image(&cut, &mut Killed), true, as_replica);
            }
        }
    }
}

/// `RIVULET_SEED=n` plays one life again, `RIVULET_LIVES=n` so many.
#[test]
fn every_crash_leaves_a_log_that_is_right() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("RIVULET_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RIVULET_LIVES").unwrap_or(6),
    };
    for seed in seeds {
        let played = std::panic::catch_unwind(|| one_life(seed, 40));
        if let Err(panic) = played {
            eprintln!("play it again with RIVULET_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// After a clean end one byte is changed. Either the start is refused, or no history is claimed behind that byte, or the file that replicas would be
/// sent is known to be damaged.
#[test]
fn a_changed_byte_is_noticed() {
    let seed = std::env::var("RIVULET_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut random = Rng::with_seed(seed);
    let (mut changes, mut silent) = (0, 0);
    while changes < 1000 {
        let scratch = tempfile::tempdir().unwrap();
        let mut life = Life::begin(recover::open_directory(scratch.path()).unwrap());
        (0..60).for_each(|_| life.live(&mut random));
        life.end_clean();
        let steps = life.disk.disk().steps.clone();
        let files = image(&steps, &mut Killed);
        if !life.clean || life.end() == 0 {
            continue;
        }
        let segments: Vec<_> = files
            .iter()
            .filter(|(path, bytes)| path.to_string_lossy().contains(".incr.") && !bytes.is_empty())
            .collect();
        for _ in 0..100 {
            let (path, bytes) = segments[random.usize(..segments.len())];
            let (at, mask) = (random.usize(..bytes.len()), random.u8(1..));
            let mut changed = files.clone();
            changed.get_mut(path).unwrap()[at] ^= mask;
            changes += 1;
            silent += usize::from(!is_noticed(&life, &changed, path, random.bool()));
        }
    }
    // Only what is neither loaded nor claimed may be changed unnoticed: what an own line says, or checksums.
    assert_eq!(silent, 0, "of {changes}; play it again with RIVULET_SEED={seed}");
}

fn is_noticed(life: &Life, files: &BTreeMap<PathBuf, Vec<u8>>, path: &Path, as_replica: bool) -> bool {
    let scratch = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        fs::write(scratch.path().join(path.file_name().unwrap()), bytes).unwrap();
    }
    let Ok(Started { stream, offset, resumed, .. }) = try_to_start(scratch.path(), as_replica) else { return true };
    let content = CONTENT.with(|cell| cell.take());
    let written = &life.streams[stream];
    let from = offset - content.len();
    let right = content.iter().zip(&written[from..]).take_while(|(a, b)| a == b).count() + from;
    let Some(history) = resumed.history else { return true };
    for (known, of) in life.ids.iter().filter(|(_, of)| **of == stream) {
        let asked_max = (1..=offset as i64 + 1).rev().find(|asked| history.kinship(*known, *asked) == Kinship::Shared);
        let shared = asked_max.map_or(0, |asked| asked as usize - 1);
        assert!(
            shared <= right || shared <= life.streams[*of].len() && shared <= from,
            "{known}: {shared} bytes, {right} are right"
        );
    }
    let is_checksum = sums::segment_of(path).is_some();
    let served = scratch.path().join(path.file_name().unwrap());
    let segment = resumed.segments.iter().find(|segment| segment.path == served);
    is_checksum
        || right < offset
        || segment.is_none_or(|segment| segment.damaged || sums::compare(&segment.path).unwrap().is_some())
}

#[test]
fn an_upgraded_manifest_is_gone_on_with() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = recover::open_directory(scratch.path()).unwrap();
    let mut files = LogFiles::new(History::new(id(1)), Role::Master, SEGMENT_BYTES);
    fs::write(scratch.path().join(NAME), base_bytes(0, 0)).unwrap();
    let change = files.resume_aof(directory, NAME, Manifest::for_upgrade(NAME), Vec::new(), 7);
    let mut disk = rivulet_aof::disk::SystemDisk::default();
    change.carry_out(&mut disk).unwrap();
    assert!(change.ops.iter().any(|op| matches!(op, FileOp::Begin { .. })));
    let started = start(scratch.path(), false);
    assert_eq!((started.stream, started.resumed.offset), (0, 7));
}
