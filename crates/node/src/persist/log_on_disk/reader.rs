//! The log reader: a thread that reads pieces of segments for replicas that are behind the memory window.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rivulet_aof::files::{Location, other_path};
use rivulet_aof::scan::{Items, ItemsError, Place};
use rivulet_aof::sums::{self, Block};
use rivulet_engine::client_id::ClientId;
use rivulet_host::fs::{self, File};
use rivulet_host::sync::{Receiver, Sender, channel};
use rivulet_net::Waker;

use crate::{clock, helpers};

/// The executor's end.
pub struct LogReader {
    to: Sender<Wanted>,
    from: Receiver<Piece>,
}

/// A piece that a replica needs.
pub struct Wanted {
    pub client: ClientId,
    pub offset: u64,
    pub location: Location,
}

/// Bytes of the stream.
pub struct Piece {
    pub client: ClientId,
    pub offset: u64,
    /// The segment's file, as it was asked for.
    pub path: PathBuf,
    pub bytes: io::Result<Vec<u8>>,
}

impl Piece {
    /// Whether it is to be asked for once more: it is not there any more, or the file has got another name since, or none was found and
    /// `may_have_come` says that one was on its way.
    pub fn is_stale(&self, location: Option<&Location>, may_have_come: impl FnOnce(&Path) -> bool) -> bool {
        let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        location.is_none_or(|location| location.path != self.path)
            || self.bytes.as_ref().is_err_and(is_missing) && may_have_come(&self.path)
    }
}

/// Bytes read at one time.
const PIECE_BYTES: u64 = 1 << 20;

impl LogReader {
    pub fn start(waker: Waker) -> LogReader {
        let (to, wanted) = channel::<Wanted>();
        let (pieces, from) = channel();
        helpers::start("log-reader", move || {
            let mut open = OpenSegments::default();
            for Wanted { client, offset, location } in wanted {
                let bytes = open.read(&location, offset);
                // The executor is gone when the process ends.
                let _ = pieces.send(Piece { client, offset, path: location.path, bytes });
                waker.wake();
            }
        });
        LogReader { to, from }
    }

    pub fn read(&self, wanted: Wanted) {
        // The thread ends with this end of the channel only.
        let _ = self.to.send(wanted);
    }

    /// A piece that has been read.
    pub fn poll(&self) -> Option<Piece> {
        self.from.try_recv().ok()
    }
}

/// Files that were read last, so that a replica that reads on costs no new look at names.
#[derive(Default)]
struct OpenSegments {
    files: Vec<OpenSegment>,
}

struct OpenSegment {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
    /// The last unit of execution that was found in it.
    unit: Place,
    /// What is known of its bytes: a byte that has changed since it was written must not reach a replica.
    blocks: Vec<Block>,
}

/// How long a name is waited for. Then the executor says whether it is still the right one.
const RENAME_TRIES: u32 = 20;
const RENAME_WAIT: Duration = Duration::from_millis(5);
/// So many files stay open.
const OPEN_MAX: usize = 8;

impl OpenSegments {
    fn read(&mut self, location: &Location, offset: u64) -> io::Result<Vec<u8>> {
        let index = match self.opened(&location.path) {
            Some(index) => index,
            None => {
                let (found, file) = open(&location.path)?;
                if self.files.len() == OPEN_MAX {
                    self.files.remove(0);
                }
                let (path, unit) = (location.path.clone(), Place { file: 0, stream: location.start });
                // They take another name before the segment does.
                let blocks = sums::read(&found).or_else(|| sums::read(&other_path(&found))).unwrap_or_default();
                let identity = identity_of(&file.metadata()?);
                self.files.push(OpenSegment { path, file, identity, unit, blocks });
                self.files.len() - 1
            }
        };
        let read = self.files[index].read(location, offset);
        // It is opened anew when somebody asks again.
        if read.is_err() {
            self.files.remove(index);
        }
        read
    }

    /// The file of this name, if it is open. Another may have taken the name since: the first file of a rewrite has the same one each time, and a
    /// backlog can begin where an earlier one did. One that has no name any more is what was asked for, or nothing is there to be read.
    fn opened(&mut self, path: &Path) -> Option<usize> {
        let index = self.files.iter().position(|open| open.path == path)?;
        if fs::metadata(path).is_ok_and(|named| identity_of(&named) != self.files[index].identity) {
            self.files.remove(index);
            return None;
        }
        Some(index)
    }
}

/// Device and inode: no other file has them while this one is open.
fn identity_of(file: &rivulet_host::world::Metadata) -> (u64, u64) {
    (file.device, file.inode)
}

impl OpenSegment {
    fn read(&mut self, location: &Location, offset: u64) -> io::Result<Vec<u8>> {
        let OpenSegment { file, unit, .. } = self;
        let (position, len) = if location.marked {
            if unit.stream > offset {
                *unit = Place { file: 0, stream: location.start };
            }
            find_run(file, unit, offset)?
        } else {
            (offset - location.start, location.end - offset)
        };
        let mut bytes = Vec::with_capacity(len.min(location.end - offset).min(PIECE_BYTES) as usize);
        // The segment's end is what was given to the writer: the last of it may still be on its way.
        let there = file.read_into_room(&mut bytes, position)?;
        if there == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the segment ends too early"));
        }
        self.compare(position, &bytes)?;
        Ok(bytes)
    }

    /// Compares the blocks that have a part in a piece with their checksums, as far as these are known.
    fn compare(&self, position: u64, piece: &[u8]) -> io::Result<()> {
        let until = position + piece.len() as u64;
        let first = self.blocks.partition_point(|block| block.end <= position);
        let mut start = first.checked_sub(1).map_or(0, |before| self.blocks[before].end);
        let mut whole = Vec::new();
        for block in &self.blocks[first..] {
            if start >= until {
                break;
            }
            let bytes = if start >= position && block.end <= until {
                &piece[(start - position) as usize..(block.end - position) as usize]
            } else {
                whole.resize((block.end - start) as usize, 0);
                self.file.read_exact_at(&mut whole, start)?;
                &whole
            };
            if rivulet_rdb::crc64::checksum(bytes) != block.sum {
                let text =
                    format!("bytes {start} to {} of {} are not what was written", block.end, self.path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            start = block.end;
        }
        Ok(())
    }
}

/// Opens a segment, under its own name or the one that it had before it was backlog, or has since it is. At the end of a first rewrite it may be about
/// to be given another.
fn open(path: &Path) -> io::Result<(PathBuf, File)> {
    let names = [path.to_path_buf(), other_path(path)];
    for _ in 0..RENAME_TRIES {
        for name in &names {
            match File::open(name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return opened.map(|file| (name.clone(), file)),
            }
        }
        clock::sleep(RENAME_WAIT);
    }
    Err(io::ErrorKind::NotFound.into())
}

/// In a file that has lines of its own: where the byte after `offset` lies, and how many of the stream's bytes stand together there. The file is
/// gone through from `unit`, the beginning of a unit of execution at or before `offset`, which is brought forward.
fn find_run(file: &File, unit: &mut Place, offset: u64) -> io::Result<(u64, u64)> {
    let mut items = Items::new(At { file, position: unit.file }, *unit);
    let mut run: Option<(u64, u64)> = None;
    loop {
        let before = items.scanner().place();
        let found = match items.next() {
            Ok(found) => found.is_some(),
            // What follows the last whole unit is a crash's remainder, or still being written.
            Err(ItemsError::Scan(error)) if error.is_cut() => false,
            Err(ItemsError::Scan(error)) => return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
            Err(ItemsError::Io(error)) => return Err(error),
        };
        let after = items.scanner().place();
        let grown = after.stream - before.stream;
        if items.scanner().unit_end().stream <= offset {
            *unit = items.scanner().unit_end();
        }
        run = match run {
            Some((position, len)) if grown > 0 => Some((position, len + grown)),
            None if after.stream > offset => Some((before.file + (offset - before.stream), after.stream - offset)),
            run => run,
        };
        match run {
            Some((position, len)) if !found || grown == 0 || len >= PIECE_BYTES => return Ok((position, len)),
            None if !found => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the segment ends too early")),
            _ => {}
        }
    }
}

/// A file from a position on.
struct At<'a> {
    file: &'a File,
    position: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_yet_is_left_for_the_next_piece() {
        let path = std::env::temp_dir().join(format!("rivulet-reader-{}", std::process::id()));
        std::fs::write(&path, b"PING\r\nPING\r\n").unwrap();
        let location = Location { path: path.clone(), start: 100, end: 1000, marked: false };
        let mut open = OpenSegments::default();
        assert_eq!(open.read(&location, 106).unwrap(), b"PING\r\n");
        assert_eq!(open.read(&location, 112).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_took_the_name_of_another_is_the_one_that_is_read() {
        let directory = std::env::temp_dir().join(format!("rivulet-reader-name-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (path, moved) = (directory.join("temp-incr"), directory.join("1.incr"));
        std::fs::write(&path, b"first").unwrap();
        let location = Location { path: path.clone(), start: 100, end: 105, marked: false };
        let mut open = OpenSegments::default();
        assert_eq!(open.read(&location, 100).unwrap(), b"first");
        // A rewrite has ended, and the next one writes to a file of the same name.
        std::fs::rename(&path, &moved).unwrap();
        assert_eq!(open.read(&location, 100).unwrap(), b"first", "who was on his way to it finds it");
        std::fs::write(&path, b"other bytes").unwrap();
        let location = Location { start: 200, end: 211, ..location };
        assert_eq!(open.read(&location, 200).unwrap(), b"other bytes");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_that_is_on_its_way_to_another_name_is_found() {
        let directory = std::env::temp_dir().join(format!("rivulet-reader-way-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (data, backlog) = (directory.join("1.incr"), directory.join("1.incr.backlog"));
        for (asked, there) in [(&data, &backlog), (&backlog, &data)] {
            std::fs::write(there, b"bytes").unwrap();
            let (mut records, mut notes) = (sums::Records::default(), sums::Records::head().to_vec());
            records.append(Block { end: 5, sum: 1 }, &mut notes);
            let location = Location { path: asked.clone(), start: 100, end: 105, marked: false };
            assert_eq!(OpenSegments::default().read(&location, 100).unwrap(), b"bytes");
            // Its checksums may have one name or the other.
            for sums in [&data, &backlog].map(|path| sums::path_of(path)) {
                std::fs::write(&sums, &notes).unwrap();
                let read = OpenSegments::default().read(&location, 100);
                assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidData);
                std::fs::remove_file(sums).unwrap();
            }
            std::fs::remove_file(there).unwrap();
        }
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_piece_of_a_file_that_got_another_name_is_asked_for_again() {
        let location = |path: &str| Location { path: path.into(), start: 0, end: 9, marked: false };
        let piece = |bytes| Piece { client: 1, offset: 4, path: "temp.200".into(), bytes };
        let missing = || piece(Err(io::ErrorKind::NotFound.into()));
        let (here, there) = (location("temp.200"), location("200.backlog"));
        for (piece, location, has_come, is_stale) in [
            (piece(Ok(Vec::new())), Some(&here), true, false),
            (piece(Ok(Vec::new())), Some(&there), false, true),
            (piece(Ok(Vec::new())), None, false, true),
            (missing(), Some(&here), true, true),
            (missing(), Some(&here), false, false),
            (missing(), Some(&there), false, true),
            (piece(Err(io::ErrorKind::InvalidData.into())), Some(&here), true, false),
        ] {
            assert_eq!(piece.is_stale(location, |_| has_come), is_stale, "{:?} in {location:?}", piece.bytes);
        }
    }

    #[test]
    fn a_byte_that_has_changed_is_not_read() {
        let path = std::env::temp_dir().join(format!("rivulet-reader-changed-{}", std::process::id()));
        let mut content: Vec<u8> = (0..700_000u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let (mut records, mut notes) = (sums::Records::default(), sums::Records::head().to_vec());
        for range in [0..200_000, 200_000..400_000, 400_000..600_000] {
            let (end, sum) = (range.end as u64, rivulet_rdb::crc64::checksum(&content[range]));
            records.append(Block { end, sum }, &mut notes);
        }
        std::fs::write(sums::path_of(&path), notes).unwrap();
        let location = Location { path: path.clone(), start: 0, end: 700_000, marked: false };
        let mut open = OpenSegments::default();
        assert!(open.read(&location, 0).unwrap() == content);
        content[399_999] ^= 1;
        std::fs::write(&path, &content).unwrap();
        for (offset, is_whole) in [(0, false), (200_000, false), (399_999, false), (400_000, true), (650_000, true)] {
            let read = open.read(&location, offset);
            assert_eq!(read.is_ok(), is_whole, "from {offset} on: {:?}", read.err());
        }
        std::fs::remove_file(sums::path_of(&path)).unwrap();
        std::fs::remove_file(path).unwrap();
    }
}
