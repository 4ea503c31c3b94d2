//! What a node gives up when it follows a master whose history it has left: commands that it executed, and that are no part of the data which take the
//! place of its own. The log says how many, and a copy stays in `diverged-<epoch>.aof`, which `rivulet-check-aof` reads and `redis-cli --pipe` would send.

use std::io::{self, Cursor};
use std::path::PathBuf;

use rivulet_aof::scan::{ItemKind, Items, Place};
use rivulet_host::fs::{self, File};
use rivulet_replication::position::{Position, ReplId};
use rivulet_resp::Args;
use rivulet_resp::append_command;

use crate::node::Node;
use crate::system::os_error;
use crate::{helpers, log};

/// So far back in the stream is looked for the database that the first of these commands is for.
const LOOK_BACK_BYTES: u64 = 1 << 20;
/// No more of it is copied: the rest is only counted in bytes.
const COPY_BYTES_MAX: u64 = 256 << 20;
/// So many files of one epoch stand beside each other.
const FILES_MAX: u32 = 100;

/// A part of the stream that is about to go.
struct GivenUp {
    /// In which this node was a master last.
    epoch: u64,
    node: ReplId,
    /// Where this node stands.
    own: Position,
    /// Up to here its history is its master's.
    fork: u64,
    /// The first byte of `bytes`; later than `fork` if what stood before it is not in memory.
    from: u64,
    /// What comes before, as far as it is there.
    before: Vec<u8>,
    bytes: Vec<u8>,
    /// The database that the stream is in at its end.
    db_at_end: Option<u32>,
}

impl Node {
    /// The master's history and this node's are one up to `fork` only. What is behind it is copied before the data are replaced.
    pub(super) fn keep_what_is_given_up(&mut self, fork: u64) {
        let r = &self.replication;
        let own = r.history.position_at(r.offset());
        let first = r.log.first_offset().unwrap_or(own.offset);
        if own.offset <= fork || r.given_up == Some(own) {
            // There is nothing, or it was copied when a full sync was tried before.
            return;
        }
        let read = |from: u64, until: u64| {
            let slices = r.log.read(from, usize::try_from(until - from).unwrap_or(usize::MAX));
            slices.map(|slices| slices.flatten().copied().collect::<Vec<u8>>()).unwrap_or_default()
        };
        let from = fork.max(first);
        let given_up = GivenUp {
            epoch: r.kept.promises.epoch,
            node: r.kept.promises.node_id,
            own,
            fork,
            from,
            before: read(first.max(from.saturating_sub(LOOK_BACK_BYTES)), from),
            bytes: read(from, own.offset.min(from.saturating_add(COPY_BYTES_MAX))),
            db_at_end: r.encoder.db(),
        };
        self.replication.given_up = Some(own);
        helpers::start("given-up", move || given_up.keep());
    }
}

impl GivenUp {
    fn keep(self) {
        let (text, commands) = self.to_file();
        let all = self.own.offset - self.fork;
        let what = format!(
            "This node gives up {all} bytes of {} that its master does not have, from offset {} on",
            self.own.id, self.fork
        );
        if commands == 0 && all == self.bytes.len() as u64 {
            return log::notice!("{what}: they change no data.");
        }
        match self.write(&text) {
            Ok(path) => log::warning!("{what}: {commands} commands are kept in {}.", path.display()),
            Err(e) => log::warning!("{what}: {commands} commands, of which no copy could be kept: {}", os_error(&e)),
        }
    }

    fn write(&self, text: &[u8]) -> io::Result<PathBuf> {
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for n in 1..=FILES_MAX {
            let path = match n {
                1 => PathBuf::from(format!("diverged-{}.aof", self.epoch)),
                n => PathBuf::from(format!("diverged-{}-{n}.aof", self.epoch)),
            };
            let file = match File::options().write(true).create_new(true).open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    last = e;
                    continue;
                }
                Err(e) => return Err(e),
            };
            file.write_all_at(text, 0)?;
            file.sync_all()?;
            fs::sync_directory_of(&path)?;
            return Ok(fs::canonicalize(&path).unwrap_or(path));
        }
        Err(last)
    }

    /// The file, and how many commands that change data are in it. A part of a command at the beginning or the end is left out.
    fn to_file(&self) -> (Vec<u8>, u64) {
        let mut out = format!(
            "#Given up by node {} in epoch {}: bytes {} to {} of {}\r\n",
            self.node,
            self.epoch,
            self.fork + 1,
            self.own.offset,
            self.own.id
        )
        .into_bytes();
        let missing = (self.own.offset - self.fork) - self.bytes.len() as u64;
        if missing > 0 {
            out.extend_from_slice(format!("#{missing} bytes of these are missing here\r\n").as_bytes());
        }
        // Where the beginning is missing, what is here need not begin with a command.
        let start = if self.from == self.fork { 0 } else { first_command(&self.bytes) };
        let db = last_select(&self.before).or(self.db_at_end.filter(|_| last_select(&self.bytes).is_none()));
        match db {
            Some(db) => append_command(&mut out, [b"SELECT".as_slice(), db.to_string().as_bytes()].into_iter()),
            None => out.extend_from_slice(b"#The database before the first SELECT is not known\r\n"),
        }
        let mut commands = 0;
        let mut items = Items::new(Cursor::new(&self.bytes[start..]), Place::default());
        while let Ok(Some(item)) = items.next() {
            if let ItemKind::Command { args, .. } = item.kind
                && !is_only_talk(args)
            {
                let changes = !["select", "multi", "exec"].iter().any(|name| args.is(0, name));
                commands += u64::from(changes);
                append_command(&mut out, args.iter());
            }
        }
        (out, commands)
    }
}

/// Heartbeats and the like, which are in the stream and not in the data.
fn is_only_talk(args: Args<'_>) -> bool {
    args.is(0, "ping") || args.is(0, "replconf")
}

/// Where the first thing stands that looks like the beginning of a command.
fn first_command(bytes: &[u8]) -> usize {
    let begins = |at: &usize| {
        let rest = &bytes[*at..];
        let digits = rest.iter().skip(1).take_while(|c| c.is_ascii_digit()).count();
        rest[0] == b'*' && digits > 0 && rest[1 + digits..].starts_with(b"\r\n$") && bytes[..*at].ends_with(b"\r\n")
    };
    (0..bytes.len()).find(begins).unwrap_or(bytes.len())
}

/// The database of the last SELECT in a part of the stream.
fn last_select(bytes: &[u8]) -> Option<u32> {
    const SELECT: &[u8] = b"*2\r\n$6\r\nSELECT\r\n$";
    let at = bytes.windows(SELECT.len()).rposition(|window| window == SELECT)? + SELECT.len();
    let mut lines = bytes[at..].split(|c| *c == b'\n');
    let (_len, db) = (lines.next()?, lines.next()?);
    str::from_utf8(db.strip_suffix(b"\r")?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(commands: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in commands {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            append_command(&mut out, words.into_iter());
        }
        out
    }

    fn given_up(before: Vec<u8>, bytes: Vec<u8>, lacks: u64, db_at_end: Option<u32>) -> GivenUp {
        let id = ReplId::from_random(&[1; 20]);
        let own = Position { id, offset: 1000 + lacks + bytes.len() as u64 };
        GivenUp { epoch: 3, node: id, own, fork: 1000, from: 1000 + lacks, before, bytes, db_at_end }
    }

    fn shown(given_up: &GivenUp) -> (String, u64) {
        let (text, commands) = given_up.to_file();
        let text = String::from_utf8(text).expect("ascii");
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
        (lines[1..].join(" "), commands)
    }

    #[test]
    fn the_file_has_the_commands_and_their_database() {
        let lost = stream(&["PING", "SET a 1", "REPLCONF GETACK *", "MULTI", "SET b 2", "DEL c", "EXEC"]);
        let in_7 = stream(&["SELECT 7", "SET x 1"]);
        let expected = "SELECT 7 SET a 1 MULTI SET b 2 DEL c EXEC";
        assert_eq!(shown(&given_up(in_7.clone(), lost.clone(), 0, Some(9))), (expected.to_string(), 3));
        assert_eq!(
            shown(&given_up(Vec::new(), lost.clone(), 0, Some(7))),
            (expected.to_string(), 3),
            "no SELECT since"
        );
        let (text, _) = shown(&given_up(Vec::new(), [lost.clone(), in_7].concat(), 0, Some(7)));
        assert!(text.starts_with("#The database before the first SELECT is not known SET a"), "{text}");
        // Half a command at the end, and at a beginning that is not the fork.
        let (text, commands) = shown(&given_up(Vec::new(), lost[20..lost.len() - 3].to_vec(), 20, Some(0)));
        assert_eq!((text.as_str(), commands), ("#20 bytes of these are missing here SELECT 0 MULTI SET b 2 DEL c", 2));
    }

    #[test]
    fn bytes_that_make_no_sense_are_left_out() {
        for bytes in [
            &b""[..],
            b"*",
            b"*1\r\n$",
            b"\r\n*9999999\r\n$1\r\na",
            b"\xff\xfe*2\r\n$-1\r\n",
            b"*2\r\n$6\r\nSELECT\r\n$",
        ] {
            let (_, commands) = given_up(bytes.to_vec(), bytes.to_vec(), 0, None).to_file();
            assert_eq!(commands, 0);
            let (_, commands) = given_up(bytes.to_vec(), bytes.to_vec(), 7, None).to_file();
            assert_eq!(commands, 0);
        }
    }
}
