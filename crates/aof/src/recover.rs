//! What a restart finds, and what it makes of it (docs/log.md, rule 41).
//!
//! First [`find`] reads manifest and identity. The caller loads the base and replays the incremental files, and tells with [`Replayed`] what each
//! held. Then [`resume`] says where the node stands: in which history, at which offset, and what of it is still on disk.

use std::io;
use std::path::{Path, PathBuf};

use rivulet_host::fs;
use rivulet_replication::history::History;
use rivulet_replication::position::ReplId;

use crate::disk::{boot, place};
use crate::files::{self, BACKLOG_IDENTITY, Directory, Kind, Segment, backlog_path, identity_name};
use crate::identity::{Identity, SegmentLine};
use crate::manifest::{self, Manifest, ManifestError};
use crate::sums;

/// What lies in a directory of append-only files.
#[derive(Debug)]
pub struct Found {
    pub directory: Directory,
    /// Empty when there is none.
    pub manifest: Manifest,
    pub identity: Option<Identity>,
    /// To be told when the base is loaded: it is not as it was written.
    pub base_damaged: bool,
}

impl Found {
    /// Whether bytes may be others than were written where no sync has covered them.
    pub fn may_lack_what_was_not_synced(&self) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.may_lack_what_was_not_synced(self.directory.boot))
    }
}

/// Why the files can't be used.
#[derive(Debug)]
pub enum FindError {
    Io(PathBuf, io::Error),
    Manifest(ManifestError),
}

/// An incremental file that was replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    pub name: String,
    /// Bytes of whole units of execution that are the stream's.
    pub stream_bytes: u64,
    /// The end of the last unit in the file.
    pub file_bytes: u64,
    /// There was something that is not the stream's.
    pub marked: bool,
    /// The data are not what the stream says: there were writes of the node's own, or commands that it passed over.
    pub diverged: bool,
    /// The file has, or may have, bytes that are not those which were written: of the stream's, so many come before them.
    pub proven_bytes: Option<u64>,
}

/// Where a restarted node stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Resumed {
    /// `None`: nothing is known of where the data come from.
    pub history: Option<History>,
    pub offset: u64,
    pub segments: Vec<Segment>,
}

/// Looks at the directory, which is made if it is not there.
pub fn find(directory: &Path, filename: &str) -> Result<Found, FindError> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |error| FindError::Io(path, error)
    };
    let directory = open_directory(directory).map_err(at(directory))?;
    let path = directory.path.join(manifest::file_name(filename));
    let manifest = match read_if_there(&path).map_err(at(&path))? {
        Some(bytes) => Manifest::parse(&bytes).map_err(FindError::Manifest)?,
        None => Manifest::default(),
    };
    let path = directory.path.join(identity_name(filename));
    let identity = read_if_there(&path).map_err(at(&path))?.and_then(|bytes| Identity::parse(&bytes));
    Ok(Found { directory, manifest, identity, base_damaged: false })
}

/// A directory of segments; it is made if it is not there.
pub fn open_directory(path: &Path) -> io::Result<Directory> {
    if let Err(error) = fs::create_dir(path)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    let path = fs::canonicalize(path)?;
    Ok(Directory { place: place(&path)?, boot: boot().ok(), path })
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where the node stands after the manifest's files were loaded. `new` is the id that it takes if it must. Behind a byte that was changed nothing is
/// claimed.
pub fn resume(found: &Found, replayed: &[Replayed], as_replica: bool, new: ReplId) -> Resumed {
    let stream_bytes: u64 = replayed.iter().map(|file| file.stream_bytes).sum();
    let known = found.identity.as_ref().filter(|_| !found.base_damaged).and_then(|identity| {
        let start = start_of(identity, replayed)?;
        let (end, proven) = (start + stream_bytes, start + proven_bytes(replayed));
        let history = identity.resume(end, proven, as_replica, found.directory.place, new)?;
        Some((identity, start, history))
    });
    let start = known.as_ref().map_or(0, |(_, start, _)| *start);
    let mut segments = Vec::new();
    if let Some((identity, ..)) = &known {
        segments = backlog(&found.directory.path, &identity.segments, start);
        // Another program, or an operator, may want what the manifest still names (`aof-disable-auto-gc`).
        let history = &found.manifest.history;
        let is_named =
            |path: &Path| history.iter().any(|file| path.file_name().is_some_and(|name| name == &*file.name));
        segments.iter_mut().for_each(|segment| segment.stays = is_named(&segment.path));
    }
    let mut end = start;
    for file in replayed {
        segments.push(Segment {
            path: found.directory.path.join(&file.name),
            start: end,
            end: end + file.stream_bytes,
            file_bytes: file.file_bytes,
            marked: file.marked,
            kind: Kind::Data,
            stays: false,
            damaged: file.proven_bytes.is_some(),
            first: None,
        });
        end += file.stream_bytes;
    }
    Resumed { history: known.map(|(.., history)| history), offset: end, segments }
}

/// Bytes of the stream before the first that was changed.
fn proven_bytes(replayed: &[Replayed]) -> u64 {
    let whole = replayed.iter().take_while(|file| file.proven_bytes.is_none());
    let damaged = replayed.iter().find_map(|file| file.proven_bytes);
    whole.map(|file| file.stream_bytes).sum::<u64>() + damaged.unwrap_or(0)
}

/// The offset at which the first of the files begins, if the identity knows all of them and they follow each other.
fn start_of(identity: &Identity, replayed: &[Replayed]) -> Option<u64> {
    let start = identity.segment(&replayed.first()?.name)?.start;
    let mut at = start;
    for file in replayed {
        let line = identity.segment(&file.name)?;
        if line.start != at || file.marked && !line.marked {
            return None;
        }
        at += file.stream_bytes;
    }
    Some(start)
}

/// The files before `end` that are whole and reach up to it without a gap.
fn backlog(directory: &Path, lines: &[SegmentLine], end: u64) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut wanted = end;
    for line in lines.iter().rev().filter(|line| line.start < end) {
        let path = directory.join(&line.name);
        let found = [path.clone(), backlog_path(&path)].into_iter().find_map(|path| {
            let bytes = fs::metadata(&path).ok()?.len;
            let whole = if line.marked { bytes > wanted - line.start } else { bytes >= wanted - line.start };
            whole.then_some((path, bytes))
        });
        let Some((path, file_bytes)) = found else { break };
        let (start, marked) = (line.start, line.marked);
        let kind = Kind::Backlog;
        segments.push(Segment {
            path,
            start,
            end: wanted,
            file_bytes,
            marked,
            kind,
            stays: false,
            damaged: false,
            first: None,
        });
        wanted = line.start;
    }
    segments.reverse();
    segments
}

/// The segments of a backlog directory that hold the history of `history` before `offset`, where the data stand; also the history with all of
/// its ancestors. Files that are of no use are removed.
pub fn find_backlog(directory: &Directory, id: ReplId, offset: u64) -> (Vec<Segment>, Option<History>) {
    let identity = fs::read(directory.path.join(BACKLOG_IDENTITY)).ok().and_then(|bytes| Identity::parse(&bytes));
    let shared = identity.filter(|identity| {
        use rivulet_replication::history::Kinship;
        identity.history.kinship(id, offset as i64 + 1) == Kinship::Shared
    });
    let segments = shared.as_ref().map_or_else(Vec::new, |found| backlog(&directory.path, &found.segments, offset));
    remove_others(&directory.path, &segments);
    (segments, shared.map(|identity| identity.history))
}

/// What earlier servers with this `appendfilename` have left in a directory of append-only files: backlog that nobody knows of any more, and first
/// files of a rewrite that never ended. None of them may be at work there.
pub fn leftovers<'a>(
    directory: &Path,
    filename: &str,
    kept: impl IntoIterator<Item = &'a Segment> + Clone,
) -> Vec<PathBuf> {
    let is_theirs = |segment: &Path| {
        let name = segment.file_name().unwrap_or_default().to_string_lossy();
        manifest::is_temp_incr(&name, filename) || files::is_backlog_of(&name, filename)
    };
    unknown(directory, is_theirs, kept)
}

/// Files of a backlog directory that nobody knows of any more go. One that can't be removed is overwritten when its name comes up again.
pub fn remove_others<'a>(directory: &Path, kept: impl IntoIterator<Item = &'a Segment> + Clone) {
    let is_segment = |segment: &Path| segment.extension().is_some_and(|extension| extension == "backlog");
    for path in unknown(directory, is_segment, kept) {
        let _ = fs::remove_file(path);
    }
}

/// Such segments, and checksums of such, that are not among those which are kept.
fn unknown<'a>(
    directory: &Path,
    is_such: impl Fn(&Path) -> bool,
    kept: impl IntoIterator<Item = &'a Segment> + Clone,
) -> Vec<PathBuf> {
    let mut paths = fs::list(directory).unwrap_or_default();
    paths.retain(|path| {
        let segment = sums::segment_of(path).unwrap_or_else(|| path.clone());
        is_such(&segment) && !kept.clone().into_iter().any(|kept| kept.path == segment)
    });
    paths
}
