//! How a snapshot is written down: as an RDB file, as commands that make the data (a rewrite with `aof-use-rdb-preamble no`), or flat, to be
//! digested.

use rivulet_aof::rewrite;
use rivulet_keyspace::value::ValueRef;
use rivulet_rdb::write::{Aux, Meta, Writer};

use super::summing;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Rdb {
        version: u32,
        compress: bool,
        aof_base: bool,
    },
    /// With the time at the head, in Unix seconds, if files are told it (`aof-timestamp-enabled`).
    Commands {
        timestamp_s: Option<i64>,
    },
    /// For a digest only.
    Flat,
}

/// What writes it.
#[derive(Clone)]
pub enum Encoder {
    Rdb(Writer),
    Commands,
    Flat,
}

impl Encoder {
    pub fn header(&mut self, out: &mut Vec<u8>, aux: &Aux<'_>) {
        if let Encoder::Rdb(writer) = self {
            writer.header(out, aux);
        }
    }

    /// A library of functions.
    pub fn function(&mut self, out: &mut Vec<u8>, code: &[u8]) {
        match self {
            Encoder::Rdb(writer) => writer.function(out, code),
            Encoder::Commands => {
                rivulet_resp::encode::append_command(out, [b"FUNCTION".as_slice(), b"LOAD", code].into_iter());
            }
            Encoder::Flat => summing::append_function(out, code),
        }
    }

    /// A database, and how many entries it has.
    pub fn database(&mut self, out: &mut Vec<u8>, db: u64, keys: u64, expires: u64) {
        match self {
            Encoder::Rdb(writer) => {
                writer.select_db(out, db);
                writer.resize_db(out, keys, expires);
            }
            // Captured entries name their database themselves.
            Encoder::Commands | Encoder::Flat => {}
        }
    }

    pub fn select_db(&mut self, out: &mut Vec<u8>, db: u64) {
        match self {
            Encoder::Rdb(writer) => writer.select_db(out, db),
            Encoder::Commands => rewrite::select_db(out, db),
            Encoder::Flat => summing::append_db(out, db),
        }
    }

    #[inline]
    pub fn entry(&mut self, out: &mut Vec<u8>, key: &[u8], value: &ValueRef<'_>, meta: &Meta) {
        match self {
            Encoder::Rdb(writer) => writer.entry(out, key, value, meta),
            Encoder::Commands => rewrite::entry(out, key, value, meta.deadline_ms),
            Encoder::Flat => summing::append_entry(out, key, value, meta.deadline_ms),
        }
    }

    /// A big entry, in pieces that `full` takes.
    pub fn entry_in_pieces<E>(
        &mut self,
        out: &mut Vec<u8>,
        key: &[u8],
        value: &ValueRef<'_>,
        meta: &Meta,
        full: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Encoder::Rdb(writer) => writer.entry_in_pieces(out, key, value, meta, full),
            Encoder::Commands => rewrite::entry_in_pieces(out, key, value, meta.deadline_ms, full),
            Encoder::Flat => {
                summing::append_entry(out, key, value, meta.deadline_ms);
                Ok(())
            }
        }
    }

    /// What closes it; a checksum of all before is added by the caller if this says so.
    pub fn end(&mut self, out: &mut Vec<u8>) -> bool {
        match self {
            Encoder::Rdb(writer) => {
                writer.eof(out);
                true
            }
            Encoder::Commands | Encoder::Flat => false,
        }
    }
}
