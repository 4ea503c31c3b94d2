//! A snapshot that a master sends, as its bytes come: decoded, stored, or gone through while it is stored.
//!
//! What is only stored is taken apart too, so that a snapshot that can't be loaded, or never ends, is known while the old data are still there.

use std::io::{self, Read, Write};
use std::path::Path;

use rivulet_host::fs::File;
use rivulet_rdb::read::{Event, Options, Reader};

use super::decode::{BLOCK_BYTES, BLOCK_ENTRIES, said};
use super::store::{self, Store, Storing};
use super::{Bytes, Framing, Worker};

/// What Redis says when something else stands where the mark should.
const BROKEN_MARK: &str = "Replication stream EOF marker is broken";

impl Worker {
    /// Decodes what comes. The end is told when the transfer has ended too, which may be a moment after the last entry.
    pub(super) fn load_stream(&self, bytes: &mut Bytes, framing: Framing, options: Options) -> Result<(), String> {
        let end = self.load_snapshot(&mut *bytes, None, options)?;
        take_rest(bytes, end.ahead, framing, &mut io::sink())
    }

    /// Decodes what comes, which is stored meanwhile.
    pub(super) fn load_and_store(
        &self,
        bytes: &mut Bytes,
        path: &Path,
        framing: Framing,
        options: Options,
    ) -> Result<(), String> {
        bytes.storing = Some(Storing::start(self.temporary.clone(), path).map_err(|e| store::failure(&e))?);
        let loaded = self.load_stream(bytes, framing, options);
        let stored = bytes.storing.take().map_or(Ok(()), |storing| storing.end(loaded.is_ok()));
        // If it can't be stored, that is why it could not be loaded.
        stored.map_err(|e| store::failure(&e)).and(loaded)
    }

    /// Writes what comes to a file, and goes through it. Answers the file, whoever has its name by then.
    pub(super) fn store(
        &self,
        bytes: &mut Bytes,
        path: &Path,
        framing: Framing,
        options: Options,
    ) -> Result<File, String> {
        let mut store = Store::create(self.temporary.clone(), path, true).map_err(|e| store::failure(&e))?;
        let mut passing = Passing { from: bytes, to: &mut store, failure: None };
        let end = go_through(Reader::new(&mut passing, options));
        if let Some(e) = passing.failure {
            return Err(store::failure(&e));
        }
        take_rest(bytes, end?, framing, &mut store)?;
        store.finish().map_err(|e| store::failure(&e))
    }
}

/// Reads a snapshot for what keeps it from being loaded; says how many bytes behind its end were read with it. Values that are cut out whole are
/// not looked into.
fn go_through(mut reader: Reader<impl Read>) -> Result<usize, String> {
    loop {
        while reader.skip_block(BLOCK_ENTRIES, BLOCK_BYTES) > 0 {}
        match reader.next().map_err(|e| e.to_string())? {
            Event::Eof(_) => return Ok(reader.into_rest().1.len()),
            // No room is made for what is not loaded.
            event => drop(said(event, 0)?),
        }
    }
}

/// What follows the snapshot until the transfer ends. Behind one that a mark ends nothing may follow: were its mark another one, all of the stream
/// would be taken for a part of the transfer.
fn take_rest(bytes: &mut Bytes, ahead: usize, framing: Framing, to: &mut impl Write) -> Result<(), String> {
    match framing {
        Framing::Marked if ahead > 0 => Err(BROKEN_MARK.to_string()),
        Framing::Marked => match bytes.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(BROKEN_MARK.to_string()),
            Err(e) => Err(e.to_string()),
        },
        Framing::Counted => io::copy(bytes, to).map(|_| ()).map_err(|e| e.to_string()),
    }
}

/// Bytes that are stored as they are read.
struct Passing<'a> {
    from: &'a mut Bytes,
    to: &'a mut Store,
    failure: Option<io::Error>,
}

impl Read for Passing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failure.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = self.from.read(buffer)?;
        if let Err(e) = self.to.write_all(&buffer[..count]) {
            self.failure = Some(e);
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rivulet_commands::settings::ClockUse;
    use rivulet_keyspace::value::StrBuf;
    use rivulet_keyspace::{KeyHasher, Value};
    use rivulet_net::Waker;
    use rivulet_rdb::write::{Aux, Meta, Version, Writer};

    use super::super::{Beginning, Loaded, Loader, Source};
    use super::*;

    /// A snapshot of two keys, and of one of a type that this server does not have if `unreadable` says so.
    fn snapshot(unreadable: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(Version::DEFAULT, false);
        let aux = Aux {
            redis_version: "7.0.15",
            ctime_s: 0,
            used_memory: 0,
            replication: None,
            aof_base: false,
            diverged: false,
        };
        writer.header(&mut bytes, &aux);
        writer.select_db(&mut bytes, 0);
        for key in [b"one", b"two"] {
            writer.entry(&mut bytes, key, &Value::Str(StrBuf::Int(7)).as_ref(), &Meta::default());
        }
        if unreadable {
            bytes.extend_from_slice(&[15, 1, b's', 0]);
        }
        writer.eof(&mut bytes);
        bytes.extend_from_slice(&[0; 8]);
        bytes
    }

    /// What a loader says at last of these pieces, which come and then no more; `ends` says that the transfer ends.
    fn load(source: Source, pieces: &[&[u8]], ends: bool) -> Result<(), String> {
        let stored = if let Source::Early { path, .. } = &source { path.clone() } else { None };
        let waker = Waker::new().expect("an eventfd");
        let (hasher, options) = (KeyHasher::new([1, 2]), Options::default());
        let mut loader =
            Loader::start(source, options, hasher, ClockUse::Lru, Arc::default(), waker, Beginning::default())
                .expect("it starts");
        pieces.iter().for_each(|piece| loader.push(piece.to_vec()));
        if ends {
            loader.end_of_bytes();
        }
        let result = loop {
            if let Loaded::End(result) = loader.wait() {
                break result;
            }
        };
        if let Some(stored) = stored {
            assert_eq!(std::fs::remove_file(stored).is_ok(), result.is_ok(), "only what is whole has its name");
        }
        result
    }

    fn path(name: &str) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        std::env::temp_dir().join(format!("rivulet-receive-{}-{name}-{count}.rdb", std::process::id()))
    }

    fn sources(framing: Framing) -> [Source; 4] {
        [
            Source::Stream { framing },
            Source::Early { path: None, framing },
            Source::Early { path: Some(path("early")), framing },
            Source::Stored { path: path("stored"), remove: true, framing },
        ]
    }

    #[test]
    fn what_follows_the_end_is_no_part_of_a_marked_snapshot() {
        let whole = snapshot(false);
        for source in sources(Framing::Marked) {
            assert_eq!(load(source, &[&whole], true), Ok(()));
        }
        // The transfer does not end here: that is what the end must not wait for.
        let more = [&whole[..], b"*1\r\n"].concat();
        for split in [whole.len(), whole.len() + 1, more.len()] {
            for source in sources(Framing::Marked) {
                let end = load(source, &[&more[..split], &more[split..]], false);
                assert_eq!(end, Err(BROKEN_MARK.to_string()), "split at {split}");
            }
        }
        for source in sources(Framing::Counted) {
            assert_eq!(load(source, &[&more], true), Ok(()), "its length says where it ends");
        }
    }

    #[test]
    fn what_can_not_be_loaded_is_known_before_the_transfer_has_ended() {
        for source in sources(Framing::Marked) {
            // What would be its value, and more, comes a little later.
            let pieces = [&snapshot(true)[..], &[0; 100]];
            let error = load(source, &pieces, false).expect_err("it can't be loaded");
            assert!(error.contains("15"), "{error}");
        }
    }
}
