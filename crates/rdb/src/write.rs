//! Encodes entries, and what stands around them in a file, at the end of a buffer that the caller owns.
//!
//! For the same data it appends the bytes that Redis 7.0 would, wherever an order is defined. Nothing is allocated for an entry. A value too big for
//! one buffer is handed over in pieces. There is no checksum here, as the bytes may pass through other threads before they are one stream:
//! [`Saver`](crate::Saver) adds it, or whoever sends them.

use std::convert::Infallible;

use rivulet_keyspace::value::elem::parse_int;
use rivulet_keyspace::value::{Elem, Hash, List, Set, ValueRef, ZSet};

use crate::format::{ENCODING_LZF, VALKEY_VERSION, containers, opcodes, push_int, push_len, types};
use crate::lzf::Compressor;
use crate::stream;

/// At about this size a piece of a big value is handed over.
pub const PIECE: usize = 64 * 1024;
/// Shorter strings can't get smaller.
const COMPRESS_ABOVE: usize = 20;
/// What the scratch buffer for compressed bytes may keep between strings.
const SCRATCH_MAX: usize = 1 << 20;

/// The version that a file claims, and whose types are the newest that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32);

impl Version {
    /// What every Redis from 7.0 on and every Valkey loads.
    pub const DEFAULT: Version = Version(10);

    /// The first in which small sets are listpacks: Redis 7.2.
    pub const SET_LISTPACKS: Version = Version(11);
    /// The first in which fields of hashes have deadlines: Redis 7.4.
    pub const FIELD_DEADLINES: Version = Version(12);
    /// What Valkey 9 writes, and what it needs for such fields.
    pub const VALKEY: Version = Version(VALKEY_VERSION);

    /// Versions 9 (Redis 5.0) to 12 (Redis 8.0) can be written, and 80 (Valkey 9).
    pub fn new(number: u32) -> Option<Version> {
        ((9..=12).contains(&number) || number == VALKEY_VERSION).then_some(Version(number))
    }

    /// The version that a value of this type has to be under: this one if that knows it.
    pub fn of_type(self, value_type: u8) -> Version {
        if value_type == types::HASH_METADATA { self.max(Version::FIELD_DEADLINES) } else { self }
    }

    pub fn number(self) -> u32 {
        self.0
    }

    pub(crate) fn has_listpacks(self) -> bool {
        self.0 >= 10
    }

    fn is_valkey(self) -> bool {
        self == Version::VALKEY
    }

    pub(crate) fn has_set_listpacks(self) -> bool {
        self >= Version::SET_LISTPACKS
    }
}

impl Default for Version {
    fn default() -> Version {
        Version::DEFAULT
    }
}

/// The fields at a file's start.
#[derive(Debug, Clone, Copy)]
pub struct Aux<'a> {
    /// The version of Redis whose behaviour is announced.
    pub redis_version: &'a str,
    /// Now, in Unix seconds.
    pub ctime_s: u64,
    pub used_memory: u64,
    pub replication: Option<Replication<'a>>,
    /// The file is the base of an append-only file.
    pub aof_base: bool,
    /// The data are not what the stream says: a replica's own writes, commands that it could not execute.
    pub diverged: bool,
}

/// Where in the replication stream the file stands.
#[derive(Debug, Clone, Copy)]
pub struct Replication<'a> {
    /// The database that the stream has selected, or -1.
    pub stream_db: i64,
    pub id: &'a str,
    pub offset: i64,
}

/// What is said of an entry beside its value.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meta {
    pub deadline_ms: Option<u64>,
    /// Seconds since the last use, to be given under an LRU policy only.
    pub idle_s: Option<u64>,
    /// The frequency of use, to be given under an LFU policy only.
    pub freq: Option<u8>,
}

/// Appends to buffers. It keeps only its settings and scratch space, so that one writer serves many buffers.
#[derive(Clone)]
pub struct Writer {
    version: Version,
    compress: bool,
    compressor: Option<Compressor>,
    scratch: Vec<u8>,
}

impl Writer {
    pub fn new(version: Version, compress: bool) -> Writer {
        Writer { version, compress, compressor: None, scratch: Vec::new() }
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// The magic and the auxiliary fields.
    pub fn header(&mut self, out: &mut Vec<u8>, aux: &Aux<'_>) {
        let magic = if self.version.is_valkey() {
            format!("VALKEY{:03}", self.version.0)
        } else {
            format!("REDIS{:04}", self.version.0)
        };
        out.extend_from_slice(magic.as_bytes());
        let mut number = itoa::Buffer::new();
        self.aux(out, b"redis-ver", aux.redis_version.as_bytes());
        self.aux(out, b"redis-bits", b"64");
        self.aux(out, b"ctime", number.format(aux.ctime_s).as_bytes());
        self.aux(out, b"used-mem", number.format(aux.used_memory).as_bytes());
        if let Some(replication) = &aux.replication {
            self.aux(out, b"repl-stream-db", number.format(replication.stream_db).as_bytes());
            self.aux(out, b"repl-id", replication.id.as_bytes());
            self.aux(out, b"repl-offset", number.format(replication.offset).as_bytes());
        }
        self.aux(out, b"aof-base", if aux.aof_base { b"1" } else { b"0" });
        if aux.diverged {
            // Redis passes over fields that it does not know.
            self.aux(out, b"rivulet-diverged", b"1");
        }
    }

    /// One auxiliary field; a loader ignores those that it doesn't know.
    pub fn aux(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        out.push(opcodes::AUX);
        self.string(out, name);
        self.string(out, value);
    }

    /// A function library's code. Version 9 has no functions, so that nothing is written there.
    pub fn function(&mut self, out: &mut Vec<u8>, code: &[u8]) {
        if self.version.has_listpacks() {
            out.push(opcodes::FUNCTION_2);
            self.string(out, code);
        }
    }

    pub fn select_db(&mut self, out: &mut Vec<u8>, db: u64) {
        out.push(opcodes::SELECT_DB);
        push_len(out, db);
    }

    /// How many entries follow, and how many of them have a deadline: a hint for the loader, which need not be exact.
    pub fn resize_db(&mut self, out: &mut Vec<u8>, keys: u64, expires: u64) {
        out.push(opcodes::RESIZE_DB);
        push_len(out, keys);
        push_len(out, expires);
    }

    /// A whole entry.
    #[inline]
    pub fn entry(&mut self, out: &mut Vec<u8>, key: &[u8], value: &ValueRef<'_>, meta: &Meta) {
        out.reserve(key.len() + 32);
        self.entry_head(out, key, value, meta);
        self.value(out, value);
    }

    /// A whole entry, in pieces: each time that `out` has [`PIECE`] bytes or little more, `full` gets it and has to leave room in it. What is in `out` at the end
    /// remains there. Ends at the first error of `full`.
    pub fn entry_in_pieces<E>(
        &mut self,
        out: &mut Vec<u8>,
        key: &[u8],
        value: &ValueRef<'_>,
        meta: &Meta,
        full: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.entry_head(out, key, value, meta);
        self.emit(out, value, &mut |out| if out.len() < PIECE { Ok(()) } else { full(out) })
    }

    /// The mark of the end; eight bytes of checksum have to follow, or eight zeros.
    pub fn eof(&mut self, out: &mut Vec<u8>) {
        out.push(opcodes::EOF);
    }

    #[inline]
    fn entry_head(&mut self, out: &mut Vec<u8>, key: &[u8], value: &ValueRef<'_>, meta: &Meta) {
        if let Some(deadline) = meta.deadline_ms {
            out.push(opcodes::EXPIRE_MS);
            out.extend_from_slice(&deadline.to_le_bytes());
        }
        if let Some(idle) = meta.idle_s {
            out.push(opcodes::IDLE);
            push_len(out, idle);
        }
        if let Some(freq) = meta.freq {
            out.extend_from_slice(&[opcodes::FREQ, freq]);
        }
        out.push(self.value_type(value));
        self.string(out, key);
    }

    /// The type byte under which the value is written.
    #[inline]
    pub fn value_type(&self, value: &ValueRef<'_>) -> u8 {
        let packs = self.version.has_listpacks();
        match value {
            ValueRef::Str(_) => types::STRING,
            ValueRef::List(_) if packs => types::LIST_QUICKLIST_2,
            ValueRef::List(_) => types::LIST,
            ValueRef::Set(Set::Ints(_)) => types::SET_INTSET,
            ValueRef::Set(Set::Packed(_)) if self.version.has_set_listpacks() => types::SET_LISTPACK,
            ValueRef::Set(_) => types::SET,
            ValueRef::ZSet(zset) if packs && zset.packed().is_some() => types::ZSET_LISTPACK,
            ValueRef::ZSet(_) => types::ZSET_2,
            ValueRef::Hash(hash) if packs && hash.packed().is_some() => types::HASH_LISTPACK,
            // Whatever the version: fields that stayed for ever would be other data.
            ValueRef::Hash(hash) if hash.has_deadlines() => {
                if self.version.is_valkey() {
                    types::VALKEY_HASH_2
                } else {
                    types::HASH_METADATA
                }
            }
            ValueRef::Hash(_) => types::HASH,
            ValueRef::Stream(_) => stream::value_type(self.version),
        }
    }

    /// A value without its type and key.
    #[inline]
    pub fn value(&mut self, out: &mut Vec<u8>, value: &ValueRef<'_>) {
        match self.emit(out, value, &mut |_| Ok::<(), Infallible>(())) {
            Ok(()) => {}
        }
    }

    /// A value; `room` is called after each element, and after each piece of a long string.
    #[inline]
    fn emit<E>(
        &mut self,
        out: &mut Vec<u8>,
        value: &ValueRef<'_>,
        room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        match value {
            ValueRef::Str(elem) => self.elem(out, *elem, room),
            ValueRef::List(list) => self.list(out, list, room),
            ValueRef::Set(set) => self.set(out, set, room),
            ValueRef::ZSet(zset) => self.zset(out, zset, room),
            ValueRef::Hash(hash) => self.hash(out, hash, room),
            ValueRef::Stream(value) => stream::write(self, out, value, room),
        }
    }

    fn list<E>(
        &mut self,
        out: &mut Vec<u8>,
        list: &List,
        room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.version.has_listpacks() {
            push_len(out, list.nodes().count() as u64);
            for node in list.nodes() {
                push_len(out, containers::PACKED);
                self.bytes(out, node, room)?;
            }
            return Ok(());
        }
        push_len(out, list.len() as u64);
        for elem in list.iter() {
            self.elem(out, elem, room)?;
        }
        Ok(())
    }

    fn set<E>(
        &mut self,
        out: &mut Vec<u8>,
        set: &Set,
        room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        match set {
            Set::Ints(ints) => self.bytes(out, ints.as_bytes(), room),
            Set::Packed(pack) if self.version.has_set_listpacks() => self.bytes(out, pack.as_bytes(), room),
            _ => {
                push_len(out, set.len() as u64);
                for member in set.iter() {
                    self.elem(out, member, room)?;
                }
                Ok(())
            }
        }
    }

    fn zset<E>(
        &mut self,
        out: &mut Vec<u8>,
        zset: &ZSet,
        room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let (true, Some(pack)) = (self.version.has_listpacks(), zset.packed()) {
            return self.bytes(out, pack.as_bytes(), room);
        }
        push_len(out, zset.len() as u64);
        // From the greatest to the smallest, which is the order in which Redis builds a skip list fastest.
        for (member, score) in zset.iter_rev_from(zset.len().saturating_sub(1)) {
            self.elem(out, member, &mut |_| Ok(()))?;
            out.extend_from_slice(&score.to_le_bytes());
            room(out)?;
        }
        Ok(())
    }

    fn hash<E>(
        &mut self,
        out: &mut Vec<u8>,
        hash: &Hash,
        room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let (true, Some(pack)) = (self.version.has_listpacks(), hash.packed()) {
            return self.bytes(out, pack.as_bytes(), room);
        }
        if hash.has_deadlines() {
            return self.timed_hash(out, hash, room);
        }
        push_len(out, hash.len() as u64);
        for (field, value) in hash.iter() {
            self.elem(out, field, room)?;
            self.elem(out, value, room)?;
        }
        Ok(())
    }

    fn timed_hash<E>(
        &mut self,
        out: &mut Vec<u8>,
        hash: &Hash,
        room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let soonest = hash.soonest();
        let valkey = self.version.is_valkey();
        if !valkey {
            out.extend_from_slice(&soonest.to_le_bytes());
        }
        push_len(out, hash.len() as u64);
        for (field, value, deadline) in hash.rows() {
            if !valkey {
                push_len(out, deadline.map_or(0, |ms| ms - soonest + 1));
            }
            self.elem(out, field, room)?;
            self.elem(out, value, room)?;
            if valkey {
                out.extend_from_slice(&deadline.map_or(-1, |ms| ms as i64).to_le_bytes());
            }
        }
        Ok(())
    }

    #[inline]
    fn elem<E>(
        &mut self,
        out: &mut Vec<u8>,
        elem: Elem<'_>,
        room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        match elem {
            Elem::Bytes(bytes) => self.bytes(out, bytes, room),
            Elem::Int(n) => {
                if !push_int(out, n) {
                    let mut text = itoa::Buffer::new();
                    let text = text.format(n).as_bytes();
                    push_len(out, text.len() as u64);
                    out.extend_from_slice(text);
                }
                room(out)
            }
        }
    }

    #[inline]
    fn string(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        match self.bytes(out, bytes, &mut |_| Ok::<(), Infallible>(())) {
            Ok(()) => {}
        }
    }

    /// A string: as an integer if it is the text of one, compressed if that helps, else as it is.
    #[inline]
    pub(crate) fn bytes<E>(
        &mut self,
        out: &mut Vec<u8>,
        bytes: &[u8],
        room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if bytes.len() <= 11
            && matches!(bytes.first(), Some(b'0'..=b'9' | b'-'))
            && let Some(n) = parse_int(bytes)
            && push_int(out, n)
        {
            return room(out);
        }
        if self.compress && bytes.len() > COMPRESS_ABOVE {
            return self.compressed(out, bytes, room);
        }
        push_len(out, bytes.len() as u64);
        in_pieces(out, bytes, room)
    }

    fn compressed<E>(
        &mut self,
        out: &mut Vec<u8>,
        bytes: &[u8],
        room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.scratch.clear();
        if self.compressor.get_or_insert_default().compress(bytes, &mut self.scratch) {
            out.push(0xc0 | ENCODING_LZF);
            push_len(out, self.scratch.len() as u64);
            push_len(out, bytes.len() as u64);
            in_pieces(out, &self.scratch, room)?;
        } else {
            push_len(out, bytes.len() as u64);
            in_pieces(out, bytes, room)?;
        }
        if self.scratch.capacity() > SCRATCH_MAX {
            self.scratch = Vec::new();
        }
        Ok(())
    }
}

/// Appends `bytes`; `room` is called after each [`PIECE`] of them.
#[inline]
pub fn in_pieces<E>(
    out: &mut Vec<u8>,
    bytes: &[u8],
    room: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    if bytes.len() <= PIECE {
        out.extend_from_slice(bytes);
        return room(out);
    }
    for piece in bytes.chunks(PIECE) {
        out.extend_from_slice(piece);
        room(out)?;
    }
    Ok(())
}
