//! The segments of the log, and what happens to them.
//!
//! [`LogFiles`] is a value that the executor owns. It is told where the stream stands and what is to happen (a rewrite, a promotion, a full sync,
//! the end), and answers with the [`Change`]s that make it so, in an order in which a crash between any two steps leaves a log that is right
//! (docs/log.md). Offsets that it is given are ends: the caller has handed all bytes before them to the writer.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use rivulet_replication::history::History;

use crate::identity::{Identity, Place, Role, SegmentLine, State};
use crate::manifest::{self, BaseFormat, FileInfo, Manifest};
use crate::op::{Change, FileOp};
use crate::tail;

/// The log on disk.
#[derive(Debug)]
pub struct LogFiles {
    /// Oldest first; each begins where the one before it ends.
    segments: VecDeque<Segment>,
    mode: Mode,
    history: History,
    role: Role,
    /// A segment ends when it has so many bytes.
    segment_bytes_max: u64,
    /// While data are rewritten: the first segment that follows the new base.
    rewrite_from: Option<PathBuf>,
    /// The last rewrite has named files that the disk may not have yet.
    naming: bool,
    /// These are about to go; until that is done the manifest names them as history.
    retiring: Option<Retiring>,
    /// So many first files of rewrites were begun.
    first_files: u64,
    /// Appended bytes go to the last segment.
    open: bool,
    /// Where segments lie that were never more than backlog.
    backlog: Option<PathBuf>,
}

/// A file that holds a part of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub path: PathBuf,
    /// The offsets of its bytes.
    pub start: u64,
    pub end: u64,
    /// Bytes of the file, with what is not the stream's.
    pub file_bytes: u64,
    /// There is such.
    pub marked: bool,
    pub kind: Kind,
    /// Its file is not removed when it serves nobody any more: something else names it.
    pub stays: bool,
    /// It can't be read, or holds other bytes than were written: neither it nor what comes before it is served.
    pub damaged: bool,
    /// It was begun as the first file of a rewrite, which has not ended.
    pub first: Option<FirstFile>,
}

/// The first file of a rewrite, as it was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstFile {
    /// No other one has this number.
    pub number: u64,
    pub path: PathBuf,
}

/// Files that the manifest of a directory names as history, and that are to go.
#[derive(Debug)]
struct Retiring {
    directory: PathBuf,
    names: Vec<String>,
}

/// What a segment is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The manifest names it: it is replayed at a restart.
    Data,
    /// It will be data when the first rewrite ends.
    Pending,
    /// Older than the base: for replicas only.
    Backlog,
}

/// What the files are for.
#[derive(Debug)]
enum Mode {
    /// Nothing, beyond what is still needed of them.
    Off,
    /// They only serve replicas.
    Backlog { directory: Directory },
    /// They are append-only files. Until a rewrite has begun the first of them, segments may go on that only serve replicas.
    Aof { directory: Directory, filename: String, manifest: Manifest },
}

/// A directory of segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    pub path: PathBuf,
    pub place: Place,
    /// The run of the system, where that is known.
    pub boot: Option<u128>,
}

/// Where bytes of the stream lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub path: PathBuf,
    /// The offset of the segment's first byte.
    pub start: u64,
    /// The segment's last offset.
    pub end: u64,
    pub marked: bool,
}

/// The name of the identity file of append-only files.
pub fn identity_name(filename: &str) -> String {
    format!("{filename}.identity")
}

/// The name of the file that a server keeps locked while such files of a directory may be its own.
pub fn lock_name(filename: &str) -> String {
    format!("{filename}.lock")
}

/// The name of the identity file of a backlog directory.
pub const BACKLOG_IDENTITY: &str = "backlog.identity";
const BACKLOG_SUFFIX: &str = ".backlog";

impl LogFiles {
    pub fn new(history: History, role: Role, segment_bytes_max: u64) -> LogFiles {
        LogFiles {
            segments: VecDeque::new(),
            mode: Mode::Off,
            history,
            role,
            segment_bytes_max,
            rewrite_from: None,
            naming: false,
            retiring: None,
            first_files: 0,
            open: false,
            backlog: None,
        }
    }

    /// A segment ends when it has so many bytes.
    pub fn set_segment_bytes_max(&mut self, bytes: u64) {
        self.segment_bytes_max = bytes;
    }

    // ---- what is there ----

    pub fn segments(&self) -> std::collections::vec_deque::Iter<'_, Segment> {
        self.segments.iter()
    }

    /// Whether appended bytes go to a file now.
    pub fn is_open(&self) -> bool {
        self.open
    }

    pub fn is_aof(&self) -> bool {
        matches!(self.mode, Mode::Aof { .. })
    }

    /// Append-only is on, but its files do not hold the data yet: the first rewrite has not ended.
    pub fn is_waiting_for_base(&self) -> bool {
        self.is_aof() && !(self.open && self.segments.back().is_some_and(|last| last.kind == Kind::Data))
    }

    /// What is written, if anything is, is for replicas only: append-only is off, or no rewrite has begun the first file.
    pub fn is_backlog(&self) -> bool {
        !self.is_aof() || !self.open || self.segments.back().is_some_and(|last| last.kind == Kind::Backlog)
    }

    /// Whether a restart begins with the segments that are data.
    fn is_data(&self) -> bool {
        self.is_aof() && !self.is_waiting_for_base()
    }

    /// The lowest offset that can be read from disk, with all that follows.
    pub fn first_offset(&self) -> Option<u64> {
        let damaged = self.segments.iter().rev().find(|segment| segment.damaged).map(|segment| segment.end);
        damaged.or_else(|| self.segments.front().map(|first| first.start))
    }

    /// The segment with the byte after `offset` can't be read, or holds other bytes than were written.
    pub fn set_damaged(&mut self, offset: u64) {
        if let Some(segment) = self.segments.iter_mut().find(|s| s.start <= offset && offset < s.end) {
            segment.damaged = true;
        }
    }

    /// The offset after the last byte given to a file.
    pub fn end_offset(&self) -> Option<u64> {
        self.segments.back().map(|last| last.end)
    }

    /// Bytes in incremental files that a restart would replay.
    pub fn data_bytes(&self) -> u64 {
        self.segments.iter().filter(|segment| segment.kind != Kind::Backlog).map(|segment| segment.file_bytes).sum()
    }

    /// Bytes in files that only serve replicas.
    pub fn backlog_bytes(&self) -> u64 {
        self.segments.iter().filter(|segment| segment.kind == Kind::Backlog).map(|segment| segment.file_bytes).sum()
    }

    /// There are files that only serve replicas.
    pub fn has_backlog(&self) -> bool {
        self.segments.iter().any(|segment| segment.kind == Kind::Backlog)
    }

    /// A first rewrite has begun a file.
    pub fn has_pending(&self) -> bool {
        self.segments.back().is_some_and(|last| last.kind == Kind::Pending)
    }

    /// Where the tail of append-only files lies.
    pub fn tail_path(&self) -> Option<PathBuf> {
        match &self.mode {
            Mode::Aof { directory, filename, .. } => Some(directory.path.join(tail::file_name(filename))),
            _ => None,
        }
    }

    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.mode {
            Mode::Aof { manifest, .. } => Some(manifest),
            _ => None,
        }
    }

    /// Where the byte after `offset` lies.
    pub fn locate(&self, offset: u64) -> Option<Location> {
        let index = self.segments.partition_point(|segment| segment.end <= offset);
        let segment = self.segments.get(index).filter(|segment| segment.start <= offset && !segment.damaged)?;
        Some(Location { path: segment.path.clone(), start: segment.start, end: segment.end, marked: segment.marked })
    }

    // ---- beginning ----

    /// Takes over append-only files after a restart: `segments` are those of the manifest and the backlog before them, if they are known to be of
    /// this history. The last one of the manifest is written on, cut to its `file_bytes`.
    pub fn resume_aof(
        &mut self,
        directory: Directory,
        filename: &str,
        manifest: Manifest,
        segments: Vec<Segment>,
        end: u64,
    ) -> Change {
        self.segments = segments.into();
        let last = manifest.incr.last().map(|file| directory.path.join(&file.name));
        self.mode = Mode::Aof { directory, filename: filename.to_string(), manifest };
        self.open = true;
        // What was loaded is what the data are made of: from now on that is what the bytes should be.
        let mut sums = Vec::new();
        for segment in self.segments.iter_mut().filter(|segment| segment.damaged) {
            segment.damaged = false;
            sums.push(FileOp::Sum { path: segment.path.clone() });
        }
        let mut change = match (last, self.segments.back_mut()) {
            (Some(path), Some(segment)) if segment.path == path => {
                let resume = FileOp::Resume { path, len: segment.file_bytes };
                // Checksums are made anew with it: before that the history must be the new one.
                Change { ops: vec![self.identity_op(State::Open), resume], must: true }
            }
            _ => self.begin_data_segment(end),
        };
        change.ops.extend(sums);
        change
    }

    /// Begins append-only files where there are none: `base` is a file that holds the present data.
    pub fn create_aof(
        &mut self,
        directory: Directory,
        filename: &str,
        base: Vec<u8>,
        format: BaseFormat,
        end: u64,
    ) -> Change {
        let mut manifest = Manifest::default();
        let base_path = directory.path.join(&manifest.next_base(filename, format).name);
        self.mode = Mode::Aof { directory, filename: filename.to_string(), manifest };
        self.open = true;
        let mut change = self.begin_data_segment(end);
        change.ops.insert(0, FileOp::Replace { path: base_path, bytes: base });
        change
    }

    /// `appendonly` was switched on: data are written from the beginning of the first rewrite on, and until then what replicas may need is as before.
    /// `manifest` is that of earlier files, if any.
    pub fn enable_aof(&mut self, directory: Directory, filename: &str, mut manifest: Manifest) {
        // Old files that serve replicas keep their names.
        for segment in &self.segments {
            let name = segment.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            let name = name.strip_suffix(BACKLOG_SUFFIX).unwrap_or(&name);
            manifest.skip_incr(manifest::incr_seq(name, filename).unwrap_or(0));
        }
        self.mode = Mode::Aof { directory, filename: filename.to_string(), manifest };
        self.naming = false;
    }

    /// Bytes go to files that only serve replicas, from `end` on. What is on disk stays if it reaches to there.
    pub fn begin_backlog(&mut self, directory: Directory, end: u64) -> Change {
        let mut change = self.close();
        self.backlog = Some(directory.path.clone());
        if !self.is_aof() {
            self.mode = Mode::Backlog { directory };
        }
        change.ops.extend(self.forget_unless_at(end));
        change.ops.extend(self.begin_segment(end, Kind::Backlog));
        change.must = false;
        change
    }

    /// What a backlog directory holds of the node's history before `end` is served again.
    pub fn restore_backlog(&mut self, segments: Vec<Segment>) {
        self.segments = segments.into();
    }

    // ---- going on ----

    /// So many bytes of the stream were given to the writer.
    pub fn appended(&mut self, stream_bytes: u64) {
        if let Some(last) = self.segments.back_mut() {
            last.end += stream_bytes;
            last.file_bytes += stream_bytes;
        }
    }

    /// Bytes that are not the stream's are about to be given to the writer. The change comes before them.
    pub fn mark(&mut self, bytes: u64) -> Option<Change> {
        // The identity file of append-only files says nothing of what only serves replicas.
        let is_named = !(self.is_aof() && self.is_backlog());
        let last = self.segments.back_mut()?;
        last.file_bytes += bytes;
        (!std::mem::replace(&mut last.marked, true) && is_named)
            .then(|| Change { ops: vec![self.identity_op(State::Open)], must: true })
    }

    /// The segment that is written has all the bytes that it should have, and another one may begin.
    pub fn is_full(&self) -> bool {
        // One that is pending takes its name when the rewrite ends, and there is one name only.
        let full = |last: &Segment| last.end - last.start >= self.segment_bytes_max && last.kind != Kind::Pending;
        // A manifest must not name another file while those that the last rewrite named may never be there, and those that go may still be.
        self.is_open() && !self.naming && self.retiring.is_none() && self.segments.back().is_some_and(full)
    }

    /// Another segment begins at `end`.
    pub fn rotate(&mut self, end: u64) -> Change {
        match self.is_backlog() {
            true => {
                let mut ops = vec![FileOp::Sync];
                ops.extend(self.begin_segment(end, Kind::Backlog));
                Change { ops, must: false }
            }
            false => self.begin_data_segment(end),
        }
    }

    /// The ids changed, or the role: bytes that are given to the writer later belong to this history.
    pub fn set_history(&mut self, history: &History, role: Role) -> Option<Change> {
        if self.history == *history && self.role == role {
            return None;
        }
        (self.history, self.role) = (history.clone(), role);
        // Until the first rewrite ends the files hold something else.
        (self.is_open() && !self.is_waiting_for_base())
            .then(|| Change { ops: vec![self.identity_op(State::Open)], must: true })
    }

    /// A full sync brought other data, which stand at `end`. Append-only files of the old data stay until a rewrite has made new ones.
    pub fn reset(&mut self, history: &History, role: Role) -> Change {
        (self.history, self.role) = (history.clone(), role);
        // What goes at once need not be durable before.
        let mut change = if self.is_backlog() { self.drop_backlog() } else { self.close() };
        change.ops.extend(self.forget());
        change
    }

    // ---- rewriting ----

    /// A snapshot is made of the data at `end`: what follows goes to a new segment.
    pub fn begin_rewrite(&mut self, end: u64) -> Change {
        let change = self.begin_rewrite_segment(end);
        self.rewrite_from = self.segments.back().map(|last| last.path.clone());
        change
    }

    fn begin_rewrite_segment(&mut self, end: u64) -> Change {
        if !self.is_waiting_for_base() {
            return self.begin_data_segment(end);
        }
        let mut ops = self.give_up_pending();
        ops.extend(self.forget_unless_at(end));
        let Mode::Aof { directory, filename, .. } = &self.mode else { return Change::default() };
        self.open = true;
        let path = directory.path.join(manifest::temp_incr_at(filename, end));
        ops.push(FileOp::Begin { path: path.clone() });
        self.first_files += 1;
        let first = Some(FirstFile { number: self.first_files, path: path.clone() });
        self.segments.push_back(Segment { first, ..Segment::empty(path, end, Kind::Pending) });
        Change { ops, must: false }
    }

    /// The number of the first file that a rewrite has begun last.
    pub fn first_file(&self) -> u64 {
        self.first_files
    }

    /// The first incremental file with this number could not be made: what was meant for it is nowhere. What lies before it serves on if it is the
    /// last, as the stream may be gone on with from there.
    pub fn first_file_failed(&mut self, number: u64) -> Change {
        let is_meant = |segment: &Segment| segment.first.as_ref().is_some_and(|first| first.number == number);
        let Some(index) = self.segments.iter().rposition(is_meant) else { return Change::default() };
        if index + 1 < self.segments.len() {
            let ops = self.segments.drain(..=index).flat_map(|segment| segment.removals()).collect();
            return Change { ops, must: false };
        }
        (self.rewrite_from, self.naming) = (None, false);
        let mut ops = if std::mem::take(&mut self.open) { vec![FileOp::Close] } else { Vec::new() };
        // Something of it may be there.
        ops.extend(self.segments.pop_back().into_iter().flat_map(|segment| segment.removals()));
        Change { ops, must: false }
    }

    /// The snapshot is in the file `base`, durably. The old files are history, until [`LogFiles::remove_history`]. Also says the base's new name.
    /// Until the disk is known to have all of it ([`LogFiles::rewrite_ended`]), nothing may rely on these names.
    pub fn end_rewrite(&mut self, base: &Path, format: BaseFormat) -> (Change, String) {
        let Mode::Aof { directory, filename, manifest, .. } = &mut self.mode else {
            return (Change::default(), String::new());
        };
        let mut next = manifest.clone();
        let name = next.next_base(filename, format).name.clone();
        let mut ops = vec![FileOp::Rename { from: base.to_path_buf(), to: directory.path.join(&name) }];
        let last = self.segments.back_mut().filter(|last| last.kind == Kind::Pending);
        if let Some(pending) = last {
            let path = directory.path.join(&next.next_incr(filename).name);
            ops.push(FileOp::Rename { from: pending.path.clone(), to: path.clone() });
            (pending.path, pending.kind, pending.first) = (path, Kind::Data, None);
        }
        let from = self.rewrite_from.take();
        let from = self.segments.iter().position(|segment| Some(&segment.path) == from.as_ref());
        let from = from.unwrap_or(self.segments.len().saturating_sub(1));
        next.retire_incr(self.segments.len() - from);
        let named = manifest_op(&directory.path, filename, &next);
        *manifest = next;
        self.naming = true;
        ops.extend([FileOp::Sync, self.identity_op(State::Open), named]);
        for segment in self.segments.iter_mut().take(from).filter(|segment| segment.kind == Kind::Data) {
            // As history the manifest still names it, or that of another directory does.
            (segment.kind, segment.stays) = (Kind::Backlog, true);
        }
        (Change { ops, must: false }, name)
    }

    /// The disk has all that [`LogFiles::end_rewrite`] has named.
    pub fn rewrite_ended(&mut self) {
        self.naming = false;
    }

    /// What becomes of files that the manifest is about to name no more. Until this is done it names them as history, so that a start removes what a
    /// crash has left of them.
    fn retire(&mut self, directory: &Path, retired: Vec<FileInfo>, serves: bool) -> Vec<FileOp> {
        let mut ops = Vec::new();
        for file in retired {
            let path = directory.join(&file.name);
            match self.segments.iter().position(|segment| segment.path == path) {
                Some(index) if serves => {
                    let segment = &mut self.segments[index];
                    (segment.path, segment.kind, segment.stays) = (backlog_path(&path), Kind::Backlog, false);
                    ops.push(FileOp::Rename { from: path, to: segment.path.clone() });
                    continue;
                }
                // What comes before it leads to nothing any more.
                Some(index) => ops.extend(self.segments.drain(..=index).flat_map(|segment| segment.removals())),
                None => {}
            }
            ops.push(FileOp::Remove { path });
        }
        ops
    }

    /// What rewrites have made history goes, if it does not serve replicas. Its end is told by [`LogFiles::history_removed`] or
    /// [`LogFiles::history_stays`].
    pub fn remove_history(&mut self, serves: bool) -> Change {
        let Mode::Aof { directory, filename, manifest } = &self.mode else { return Change::default() };
        if self.naming {
            return Change::default();
        }
        let (directory, filename, named) = (directory.path.clone(), filename.clone(), manifest.clone());
        self.remove_history_alone(&directory, &filename, named, serves)
    }

    /// The same while append-only is off: `manifest` is what `directory` has.
    pub fn remove_history_alone(
        &mut self,
        directory: &Path,
        filename: &str,
        mut manifest: Manifest,
        serves: bool,
    ) -> Change {
        let retired = std::mem::take(&mut manifest.history);
        if retired.is_empty() || self.retiring.is_some() {
            return Change::default();
        }
        let names = retired.iter().map(|file| file.name.clone()).collect();
        self.retiring = Some(Retiring { directory: directory.to_path_buf(), names });
        let mut ops = self.retire(directory, retired, serves);
        ops.push(manifest_op(directory, filename, &manifest));
        Change { ops, must: false }
    }

    /// The history that was to go is gone, and the manifest on disk does not name it.
    /// Answers in which directory.
    pub fn history_removed(&mut self) -> Option<PathBuf> {
        let Retiring { directory, names } = self.retiring.take()?;
        if let Mode::Aof { directory: own, manifest, .. } = &mut self.mode
            && own.path == directory
        {
            manifest.history.retain(|file| !names.contains(&file.name));
        }
        Some(directory)
    }

    /// Not all of it is gone. What is there stays history, and segments have the name under which there is a file.
    pub fn history_stays(&mut self, is_there: impl Fn(&Path) -> bool) {
        let Some(Retiring { directory, names }) = self.retiring.take() else { return };
        for segment in self.segments.iter_mut().filter(|segment| segment.path.parent() == Some(&directory)) {
            let plain = plain_path(&segment.path);
            let name = plain.file_name().unwrap_or_default().to_string_lossy();
            if names.iter().any(|file| *file == name) && !is_there(&segment.path) && is_there(&plain) {
                (segment.path, segment.stays) = (plain, true);
            }
        }
        if let Mode::Aof { directory: own, manifest, .. } = &mut self.mode
            && own.path == directory
        {
            manifest.history.retain(|file| is_there(&directory.join(&file.name)));
            // What can't be removed does not keep the others the next time.
            let at_most = manifest.history.len().min(1);
            manifest.history.rotate_left(at_most);
        }
    }

    /// A rewrite while append-only is off: the snapshot in the file `base` becomes all that `directory` has; `manifest` is what it had, and is
    /// history then. Also says the base's new name.
    pub fn rewrite_alone(
        directory: &Path,
        filename: &str,
        mut manifest: Manifest,
        (base, format): (&Path, BaseFormat),
    ) -> (Change, String) {
        let name = manifest.next_base(filename, format).name.clone();
        manifest.retire_incr(0);
        let ops = vec![
            FileOp::Rename { from: base.to_path_buf(), to: directory.join(&name) },
            // They tell of files that are replaced: another program may give their names to others.
            FileOp::Remove { path: directory.join(identity_name(filename)) },
            FileOp::Remove { path: directory.join(tail::file_name(filename)) },
            manifest_op(directory, filename, &manifest),
        ];
        (Change { ops, must: false }, name)
    }

    /// The rewrite failed or was given up. What the first one had begun is no data, but may be all that there is of the stream.
    pub fn fail_rewrite(&mut self) -> Change {
        self.rewrite_from = None;
        let ops = self.give_up_pending();
        Change { ops, must: false }
    }

    fn give_up_pending(&mut self) -> Vec<FileOp> {
        if !self.has_pending() {
            return Vec::new();
        }
        let Some(mut pending) = self.segments.pop_back() else { return Vec::new() };
        let path = pending.path.clone();
        if pending.start == pending.end {
            self.open = false;
            return vec![FileOp::Close, FileOp::Remove { path }];
        }
        let Mode::Aof { filename, .. } = &self.mode else { return Vec::new() };
        let name = path.with_file_name(given_up_name(filename, pending.start));
        // One without a byte may have had the name.
        self.segments.retain(|segment| segment.path != name);
        (pending.path, pending.kind) = (name.clone(), Kind::Backlog);
        self.segments.push_back(pending);
        vec![FileOp::Rename { from: path, to: name }]
    }

    // ---- ending ----

    /// Bytes go nowhere any more. The files stay.
    pub fn disable(&mut self) -> Change {
        let mut change = self.close();
        change.ops.extend(self.give_up_pending());
        (self.mode, self.naming) = (Mode::Off, false);
        change
    }

    /// What was appended is durable, as far as the disk takes it: to be done before [`LogFiles::abandon`] where a restart may begin with the file that is
    /// written, as nothing else has what is in it.
    pub fn sync_last(&self) -> Change {
        Change { ops: if self.open { vec![FileOp::Sync] } else { Vec::new() }, must: false }
    }

    /// As [`LogFiles::disable`], where it is not known what the files hold: nobody is served from them, and what can't be synced is not.
    pub fn abandon(&mut self) -> Change {
        let mut ops = if std::mem::take(&mut self.open) { vec![FileOp::Close] } else { Vec::new() };
        ops.extend(self.forget());
        (self.mode, self.naming, self.rewrite_from) = (Mode::Off, false, None);
        Change { ops, must: false }
    }

    /// The server ends well, with all bytes given to the writer and none that a replica has and the log has not.
    pub fn end_clean(&mut self, end: u64) -> Change {
        if !self.is_open() || self.is_waiting_for_base() {
            return self.close();
        }
        let ops = vec![FileOp::Sync, self.identity_op(State::Clean { offset: end }), FileOp::Close];
        Change { ops, must: false }
    }

    /// The lowest offset that is on disk whether a replica needs it or not: what a restart replays, and the last `limit` bytes.
    pub fn kept_from(&self, limit: u64) -> Option<u64> {
        let end = self.end_offset()?;
        let is_data = self.is_data();
        let goes = |s: &&Segment| (s.kind == Kind::Backlog || !is_data) && end - s.end >= limit;
        let before_last = self.segments.len() - 1;
        let first = self.segments.iter().take(before_last).take_while(goes).count();
        self.segments.get(first).map(|segment| segment.start)
    }

    /// Old segments go until no more than `limit` bytes lie before the end, but none that a replica needs.
    pub fn trim(&mut self, limit: u64, needed_from: Option<u64>) -> Change {
        let mut ops = Vec::new();
        let Some(kept_from) = self.kept_from(limit) else { return Change::default() };
        while let Some(first) = self.segments.front()
            && first.start < kept_from
            && needed_from.is_none_or(|needed| needed >= first.end)
        {
            ops.extend(first.removals());
            self.segments.pop_front();
        }
        Change { ops, must: false }
    }

    /// The directory of segments that were never more than backlog has another name. Nothing is written there, and no step on files is on its way.
    pub fn move_backlog(&mut self, to: Directory) {
        let Some(from) = self.backlog.replace(to.path.clone()) else { return };
        for segment in self.segments.iter_mut().filter(|segment| segment.path.parent() == Some(&from)) {
            segment.path = to.path.join(segment.path.file_name().unwrap_or_default());
        }
        if let Mode::Backlog { directory } = &mut self.mode {
            *directory = to;
        }
    }

    /// That directory is left for good: nothing stays in it that a later server could take for its own.
    pub fn leave_backlog(&mut self) -> Change {
        let mut change = self.drop_backlog();
        let own = self.backlog.take().map(|directory| directory.join(BACKLOG_IDENTITY));
        change.ops.extend(own.map(|path| FileOp::Remove { path }));
        if matches!(self.mode, Mode::Backlog { .. }) {
            self.mode = Mode::Off;
        }
        change
    }

    /// Nothing on disk serves replicas any more, but for what is data.
    pub fn drop_backlog(&mut self) -> Change {
        let mut ops = Vec::new();
        if self.is_backlog() && self.open {
            self.open = false;
            ops.push(FileOp::Close);
        }
        // What comes before them leads to nothing then.
        let count = self.segments.iter().rposition(|segment| segment.kind == Kind::Backlog).map_or(0, |last| last + 1);
        ops.extend(self.segments.drain(..count).flat_map(|segment| segment.removals()));
        Change { ops, must: false }
    }

    /// Nothing is written any more to files that only serve replicas. They serve on.
    pub fn close_backlog(&mut self) -> Change {
        if self.is_backlog() { self.close() } else { Change::default() }
    }

    fn close(&mut self) -> Change {
        match std::mem::take(&mut self.open) {
            true => Change { ops: vec![FileOp::Sync, FileOp::Close], must: false },
            false => Change::default(),
        }
    }

    /// All segments are of no use any more.
    fn forget(&mut self) -> Vec<FileOp> {
        std::mem::take(&mut self.segments).into_iter().flat_map(|segment| segment.removals()).collect()
    }

    fn forget_unless_at(&mut self, end: u64) -> Vec<FileOp> {
        if self.end_offset() == Some(end) { Vec::new() } else { self.forget() }
    }

    /// A new incremental file that the manifest names.
    fn begin_data_segment(&mut self, end: u64) -> Change {
        let mut ops = vec![FileOp::Sync];
        ops.extend(self.forget_unless_at(end));
        ops.extend(self.begin_segment(end, Kind::Data));
        if let Mode::Aof { directory, filename, manifest, .. } = &self.mode {
            ops.push(manifest_op(&directory.path, filename, manifest));
        }
        Change { ops, must: true }
    }

    fn begin_segment(&mut self, start: u64, kind: Kind) -> Vec<FileOp> {
        let (path, identity) = match (&mut self.mode, kind, &self.backlog) {
            (Mode::Aof { directory, filename, manifest }, Kind::Data, _) => {
                (directory.path.join(&manifest.next_incr(filename).name), true)
            }
            // The identity file of append-only files says nothing of what is elsewhere.
            (mode, Kind::Backlog, Some(backlog)) => {
                (backlog.join(format!("{start}{BACKLOG_SUFFIX}")), matches!(mode, Mode::Backlog { .. }))
            }
            // What a rewrite had begun goes on beside it.
            (Mode::Aof { filename, .. }, Kind::Backlog, None) => {
                let Some(last) = self.segments.back() else { return Vec::new() };
                (last.path.with_file_name(given_up_name(filename, start)), false)
            }
            _ => return Vec::new(),
        };
        self.open = true;
        // One without a byte may have had the name.
        self.segments.retain(|segment| segment.path != path);
        self.segments.push_back(Segment::empty(path.clone(), start, kind));
        let identity = identity.then(|| self.identity_op(State::Open));
        identity.into_iter().chain([FileOp::Begin { path }]).collect()
    }

    fn identity_op(&self, state: State) -> FileOp {
        let (directory, name) = match &self.mode {
            Mode::Off => return FileOp::Sync,
            Mode::Backlog { directory } => (directory, BACKLOG_IDENTITY.to_string()),
            Mode::Aof { directory, filename, .. } => (directory, identity_name(filename)),
        };
        let is_aof = self.is_aof();
        let lines = self.segments.iter().filter_map(|segment| {
            let inside = segment.path.parent() == Some(&directory.path) && segment.kind != Kind::Pending;
            // Beside a manifest it may not have got its name as backlog yet: a start looks for both.
            let path = if is_aof { plain_path(&segment.path) } else { segment.path.clone() };
            let name = path.file_name()?.to_string_lossy().into_owned();
            inside.then_some(SegmentLine { name, start: segment.start, marked: segment.marked })
        });
        let identity = Identity {
            history: self.history.clone(),
            role: self.role,
            state,
            place: directory.place,
            boot: directory.boot,
            segments: lines.collect(),
        };
        FileOp::Replace { path: directory.path.join(name), bytes: identity.to_bytes() }
    }
}

impl Segment {
    fn empty(path: PathBuf, start: u64, kind: Kind) -> Segment {
        let (marked, stays, damaged) = (false, false, false);
        Segment { path, start, end: start, file_bytes: 0, marked, kind, stays, damaged, first: None }
    }

    /// What is to be done with the file of a segment that serves nobody any more. Data may still be what a restart begins with.
    fn removals(&self) -> Vec<FileOp> {
        if self.kind == Kind::Data || self.stays {
            return Vec::new();
        }
        // It may not have got the name of one that was given up.
        let first = self.first.as_ref().map(|first| &first.path).filter(|first| **first != self.path);
        std::iter::once(&self.path).chain(first).map(|path| FileOp::Remove { path: path.clone() }).collect()
    }
}

/// The name of the file that a rewrite had begun at `start` and that goes on for replicas only.
fn given_up_name(filename: &str, start: u64) -> String {
    format!("{filename}.{start}{BACKLOG_SUFFIX}")
}

/// Whether a file in a directory of append-only files is, by its name, one that only serves replicas of the server with this `appendfilename`.
pub fn is_backlog_of(name: &str, filename: &str) -> bool {
    let Some(plain) = name.strip_suffix(BACKLOG_SUFFIX) else { return false };
    let start = plain.strip_prefix(filename).and_then(|rest| rest.strip_prefix('.'));
    manifest::incr_seq(plain, filename).is_some() || start.is_some_and(|start| start.parse::<u64>().is_ok())
}

fn manifest_op(directory: &Path, filename: &str, manifest: &Manifest) -> FileOp {
    FileOp::Replace { path: directory.join(manifest::file_name(filename)), bytes: manifest.to_bytes() }
}

/// The name that a segment had, or would have, as data.
fn plain_path(path: &Path) -> PathBuf {
    match path.to_string_lossy().strip_suffix(BACKLOG_SUFFIX) {
        Some(plain) => plain.into(),
        None => path.to_path_buf(),
    }
}

/// The other name that a segment may have: as backlog, or as data.
pub fn other_path(path: &Path) -> PathBuf {
    let plain = plain_path(path);
    if plain == path { backlog_path(path) } else { plain }
}

/// The name of a segment that is data no more.
pub fn backlog_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(BACKLOG_SUFFIX);
    name.into()
}
