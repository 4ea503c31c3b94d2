//! DEBUG DIGEST: a SHA-1 digest of data that does not depend on order or encoding, and equals that of Redis 7.0
//! (`computeDatasetDigest` and `xorObjectDigest` in debug.c).

use rivulet_keyspace::value::stream::Id;
use rivulet_keyspace::{EntryRef, Keyspace, Type, View};
use rivulet_resp::double::format_g17;
use sha1::{Digest as _, Sha1};

pub type Digest = [u8; 20];

/// SHA-1; on a simulated machine, where nodes are compared all the time and with nobody else, a quick hash.
fn hash(bytes: &[u8]) -> Digest {
    if !rivulet_host::world::is_simulated() {
        return Sha1::digest(bytes).into();
    }
    let mut digest = Digest::default();
    digest[..8].copy_from_slice(&quick_hash(bytes).to_le_bytes());
    digest
}

/// Eight bytes at a time; its halves are mixed in the end, as a product's low bits know nothing of its factors' high ones.
fn quick_hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
    let hash =
        words.fold(bytes.len() as u64, |hash, word| (hash.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// Adds bytes in a way that order does not matter to.
fn xor(digest: &mut Digest, bytes: &[u8]) {
    digest.iter_mut().zip(hash(bytes)).for_each(|(d, h)| *d ^= h);
}

/// Adds bytes in a way that order matters to.
fn mix(digest: &mut Digest, bytes: &[u8]) {
    xor(digest, bytes);
    *digest = hash(digest);
}

fn type_number(kind: Type) -> u32 {
    match kind {
        Type::String => 0,
        Type::List => 1,
        Type::Set => 2,
        Type::ZSet => 3,
        Type::Hash => 4,
        Type::Stream => 6,
    }
}

/// Adds an entry's value and whether it has a deadline.
fn add_value(digest: &mut Digest, entry: EntryRef<'_>) {
    mix(digest, &type_number(entry.value_type()).to_be_bytes());
    match entry.value() {
        View::Str(v) => v.with(|b| mix(digest, b)),
        View::List(v) => v.iter_from(0).for_each(|e| e.with(|b| mix(digest, b))),
        View::Set(v) => v.iter().for_each(|e| e.with(|b| xor(digest, b))),
        View::ZSet(v) => {
            for (member, score) in v.iter_from(0) {
                let mut item = Digest::default();
                member.with(|b| mix(&mut item, b));
                mix(&mut item, format_g17(score).as_bytes());
                xor(digest, &item);
            }
        }
        View::Hash(v) => {
            for (field, value, deadline) in v.rows() {
                let mut item = Digest::default();
                field.with(|b| mix(&mut item, b));
                value.with(|b| mix(&mut item, b));
                // Two servers with one digest have one data set; Redis 8 only says that there is a deadline.
                if let Some(ms) = deadline {
                    mix(&mut item, &ms.to_be_bytes());
                }
                xor(digest, &item);
            }
        }
        // As in Redis: without groups.
        View::Stream(v) => {
            for entry in v.entries().range(Id::MIN, Id::MAX) {
                mix(digest, format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                for (name, value) in entry.fields() {
                    name.with(|b| mix(digest, b));
                    value.with(|b| mix(digest, b));
                }
            }
        }
    }
    if entry.deadline().is_some() {
        xor(digest, b"!!expire!!");
    }
}

/// The digest of one value; zeros when there is none.
pub fn of_value(entry: Option<EntryRef<'_>>) -> Digest {
    let mut digest = Digest::default();
    if let Some(entry) = entry {
        add_value(&mut digest, entry);
    }
    digest
}

/// The digest of everything; zeros when there is nothing.
pub fn of_keyspace(keyspace: &Keyspace) -> Digest {
    let mut all = Digest::default();
    for (i, db) in keyspace.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        mix(&mut all, &(i as u32).to_be_bytes());
        db.for_each(|entry| {
            let mut digest = Digest::default();
            mix(&mut digest, entry.key());
            add_value(&mut digest, entry);
            xor(&mut all, &digest);
        });
    }
    all
}

pub fn hex(digest: &Digest) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}
