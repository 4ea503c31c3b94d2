//! A whole RDB file into a `Write`: header, databases, entries, checksum.
//!
//! It opens, syncs and renames nothing.

use std::io::{self, Write};

use rivulet_keyspace::value::ValueRef;

use crate::crc64::Digest;
use crate::write::{Aux, Meta, PIECE, Writer};

/// Writes a file from its first byte to its last; [`finish`](Saver::finish) makes it whole.
pub struct Saver<W> {
    writer: Writer,
    buffer: Vec<u8>,
    sink: Sink<W>,
}

/// The file behind the buffer.
struct Sink<W> {
    file: W,
    digest: Option<Digest>,
    written: u64,
}

impl<W: Write> Sink<W> {
    fn take(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        if let Some(digest) = &mut self.digest {
            digest.update(buffer);
        }
        self.file.write_all(buffer)?;
        self.written += buffer.len() as u64;
        buffer.clear();
        Ok(())
    }
}

impl<W: Write> Saver<W> {
    /// Starts a file. Without `checksum` it ends in eight zeros, which loaders take for "none computed".
    pub fn new(file: W, mut writer: Writer, checksum: bool, aux: &Aux<'_>) -> Saver<W> {
        let mut buffer = Vec::with_capacity(2 * PIECE);
        writer.header(&mut buffer, aux);
        Saver { writer, buffer, sink: Sink { file, digest: checksum.then(Digest::new), written: 0 } }
    }

    /// How many bytes the file has so far.
    pub fn written(&self) -> u64 {
        self.sink.written + self.buffer.len() as u64
    }

    /// A function library's code; these come before the databases.
    pub fn function(&mut self, code: &[u8]) -> io::Result<()> {
        self.writer.function(&mut self.buffer, code);
        self.flush_full()
    }

    /// Starts a database. The counts may be estimates.
    pub fn database(&mut self, db: u64, keys: u64, expires: u64) -> io::Result<()> {
        self.writer.select_db(&mut self.buffer, db);
        self.writer.resize_db(&mut self.buffer, keys, expires);
        self.flush_full()
    }

    pub fn entry(&mut self, key: &[u8], value: &ValueRef<'_>, meta: &Meta) -> io::Result<()> {
        let Saver { writer, buffer, sink } = self;
        writer.entry_in_pieces(buffer, key, value, meta, &mut |buffer| sink.take(buffer))?;
        self.flush_full()
    }

    /// Bytes that a [`Writer`] of the same version made elsewhere: whole entries or pieces of one, in order.
    pub fn encoded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.flush_full()
    }

    /// Ends the file and gives back the `Write`, which is not flushed.
    pub fn finish(mut self) -> io::Result<W> {
        self.writer.eof(&mut self.buffer);
        self.sink.take(&mut self.buffer)?;
        let checksum = self.sink.digest.as_ref().map_or(0, Digest::value);
        self.sink.file.write_all(&checksum.to_le_bytes())?;
        Ok(self.sink.file)
    }

    fn flush_full(&mut self) -> io::Result<()> {
        if self.buffer.len() < PIECE { Ok(()) } else { self.sink.take(&mut self.buffer) }
    }
}
