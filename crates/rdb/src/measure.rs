//! How large values are, without making them: for who wants to know what a file holds and not what it says.
//!
//! Of a packed value only the head is looked at, of a string only its length. What is inside is not checked; the file's checksum is.

use std::io::Read;

use rivulet_keyspace::value::ListPack;

use crate::error::Problem;
use crate::format::{VALKEY_VERSION, containers, types};
use crate::input::Input;
use crate::{skip, ziplist, zipmap};

/// How large a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Members, fields, items or entries; 1 for a string, 0 for what can't be looked into.
    pub elements: u64,
    /// Bytes of what the value holds when nothing is compressed: its strings, or the packed form as it is. A file may claim anything here.
    pub content_bytes: u64,
    /// All of it lies in one packed piece, or in several.
    pub is_packed: bool,
}

/// A key, and the size of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasuredEntry {
    pub key: Vec<u8>,
    /// The type byte that the value has in the file.
    pub value_type: u8,
    /// When it expires, in Unix milliseconds.
    pub deadline_ms: Option<u64>,
    /// Bytes that the entry takes in the file, with its key and what is said of it.
    pub file_bytes: u64,
    pub measure: Measure,
}

/// Bytes of a listpack's, an intset's and a ziplist's head.
const LISTPACK_HEAD: usize = 6;
const INTSET_HEAD: usize = 8;
const ZIPLIST_HEAD: usize = 10;
/// A packed value with as many elements does not know how many more it has.
const COUNT_UNKNOWN: u16 = u16::MAX;
/// The same for zipmaps.
const ZIPMAP_COUNT_UNKNOWN: u8 = 254;

/// Passes over a value. [`Problem::EmptyValue`] leaves the input at the value's end.
pub fn measure<R: Read>(
    value_type: u8,
    version: u32,
    input: &mut Input<R>,
    scratch: &mut Vec<u8>,
) -> Result<Measure, Problem> {
    let is_valkey = version >= VALKEY_VERSION;
    match value_type {
        types::STRING => Ok(Measure { elements: 1, content_bytes: input.pass_string()?, is_packed: false }),
        types::LIST | types::SET => each(input, Input::pass_string),
        types::ZSET => each(input, |input| {
            let member = input.pass_string()?;
            match input.byte()? {
                253.. => {}
                text => input.skip(u64::from(text))?,
            }
            Ok(member.saturating_add(8))
        }),
        types::ZSET_2 => each(input, |input| {
            let member = input.pass_string()?;
            input.skip(8)?;
            Ok(member.saturating_add(8))
        }),
        types::HASH => each(input, pair),
        types::VALKEY_HASH_2 if is_valkey => each(input, |input| {
            let content = pair(input)?;
            input.skip(8)?;
            Ok(content.saturating_add(8))
        }),
        types::HASH_METADATA => {
            input.skip(8)?;
            each(input, |input| {
                input.len()?;
                Ok(pair(input)?.saturating_add(8))
            })
        }
        types::HASH_LISTPACK_EX => {
            input.skip(8)?;
            packed(value_type, input, scratch)
        }
        types::LIST_QUICKLIST | types::LIST_QUICKLIST_2 => quicklist(value_type, input, scratch),
        types::STREAM_LISTPACKS | types::STREAM_LISTPACKS_2 | types::STREAM_LISTPACKS_3 => stream(value_type, input),
        types::HASH_ZIPMAP
        | types::LIST_ZIPLIST
        | types::SET_INTSET
        | types::ZSET_ZIPLIST
        | types::HASH_ZIPLIST
        | types::HASH_LISTPACK
        | types::ZSET_LISTPACK
        | types::SET_LISTPACK => packed(value_type, input, scratch),
        _ => {
            let begin = input.offset();
            skip::skip(value_type, is_valkey, input)?;
            Ok(Measure { elements: 0, content_bytes: input.offset() - begin, is_packed: false })
        }
    }
}

/// A count, and so many elements that say how many bytes they hold.
fn each<R: Read>(
    input: &mut Input<R>,
    one: impl Fn(&mut Input<R>) -> Result<u64, Problem>,
) -> Result<Measure, Problem> {
    let elements = input.len()?;
    let mut content_bytes = 0u64;
    for _ in 0..elements {
        content_bytes = content_bytes.saturating_add(one(input)?);
    }
    Measure { elements, content_bytes, is_packed: false }.not_empty()
}

impl Measure {
    fn not_empty(self) -> Result<Measure, Problem> {
        if self.elements == 0 { Err(Problem::EmptyValue) } else { Ok(self) }
    }
}

fn pair<R: Read>(input: &mut Input<R>) -> Result<u64, Problem> {
    Ok(input.pass_string()?.saturating_add(input.pass_string()?))
}

fn packed<R: Read>(value_type: u8, input: &mut Input<R>, scratch: &mut Vec<u8>) -> Result<Measure, Problem> {
    input.string(scratch)?;
    let (items, items_each) = match value_type {
        types::SET_INTSET => (intset_len(scratch)?, 1),
        types::HASH_ZIPMAP => (zipmap_len(scratch)?, 1),
        types::LIST_ZIPLIST => (ziplist_len(scratch)?, 1),
        types::HASH_ZIPLIST | types::ZSET_ZIPLIST => (ziplist_len(scratch)?, 2),
        types::HASH_LISTPACK_EX => (listpack_len(scratch)?, 3),
        types::SET_LISTPACK => (listpack_len(scratch)?, 1),
        _ => (listpack_len(scratch)?, 2),
    };
    Measure { elements: items / items_each, content_bytes: scratch.len() as u64, is_packed: true }.not_empty()
}

fn quicklist<R: Read>(value_type: u8, input: &mut Input<R>, scratch: &mut Vec<u8>) -> Result<Measure, Problem> {
    let mut all = Measure { is_packed: true, ..Measure::default() };
    for _ in 0..input.len()? {
        let is_plain = value_type == types::LIST_QUICKLIST_2
            && match input.len()? {
                containers::PLAIN => true,
                containers::PACKED => false,
                _ => return Err(Problem::Corrupt("Quicklist integrity check failed.")),
            };
        let (items, bytes) = if is_plain {
            (1, input.pass_string()?)
        } else {
            input.string(scratch)?;
            let is_listpack = value_type == types::LIST_QUICKLIST_2;
            let items = if is_listpack { listpack_len(scratch)? } else { ziplist_len(scratch)? };
            (items, scratch.len() as u64)
        };
        all.elements = all.elements.saturating_add(items);
        all.content_bytes = all.content_bytes.saturating_add(bytes);
    }
    all.not_empty()
}

/// Nodes, how many entries there are, positions, and the groups with what is pending.
fn stream<R: Read>(value_type: u8, input: &mut Input<R>) -> Result<Measure, Problem> {
    let has_counters = value_type != types::STREAM_LISTPACKS;
    let consumer_times = if value_type == types::STREAM_LISTPACKS_3 { 16 } else { 8 };
    let mut content_bytes = 0u64;
    for _ in 0..input.len()? {
        content_bytes = content_bytes.saturating_add(pair(input)?);
    }
    let elements = input.len()?;
    lens(input, if has_counters { 7 } else { 2 })?;
    for _ in 0..input.len()? {
        content_bytes = content_bytes.saturating_add(input.pass_string()?);
        lens(input, if has_counters { 3 } else { 2 })?;
        for _ in 0..input.len()? {
            // Its id and the time of its delivery, and how often it was delivered.
            input.skip(16 + 8)?;
            input.len()?;
            content_bytes = content_bytes.saturating_add(16 + 8 + 8);
        }
        for _ in 0..input.len()? {
            content_bytes = content_bytes.saturating_add(input.pass_string()?);
            input.skip(consumer_times)?;
            for _ in 0..input.len()? {
                input.skip(16)?;
            }
        }
    }
    Ok(Measure { elements, content_bytes, is_packed: true })
}

fn lens<R: Read>(input: &mut Input<R>, count: usize) -> Result<(), Problem> {
    for _ in 0..count {
        input.len()?;
    }
    Ok(())
}

fn listpack_len(bytes: &[u8]) -> Result<u64, Problem> {
    const BROKEN: Problem = Problem::Corrupt("Listpack integrity check failed.");
    if bytes.len() <= LISTPACK_HEAD {
        return Err(BROKEN);
    }
    match u16::from_le_bytes([bytes[4], bytes[5]]) {
        COUNT_UNKNOWN => ListPack::<0>::from_bytes(bytes).map(|pack| pack.len() as u64).map_err(|_| BROKEN),
        count => Ok(u64::from(count)),
    }
}

fn ziplist_len(bytes: &[u8]) -> Result<u64, Problem> {
    const BROKEN: Problem = Problem::Corrupt("Ziplist integrity check failed.");
    if bytes.len() <= ZIPLIST_HEAD {
        return Err(BROKEN);
    }
    match u16::from_le_bytes([bytes[8], bytes[9]]) {
        COUNT_UNKNOWN => {
            let mut count = 0;
            ziplist::decode(bytes, |_| {
                count += 1;
                Some(())
            })
            .map(|()| count)
            .ok_or(BROKEN)
        }
        count => Ok(u64::from(count)),
    }
}

fn zipmap_len(bytes: &[u8]) -> Result<u64, Problem> {
    const BROKEN: Problem = Problem::Corrupt("Zipmap integrity check failed.");
    match bytes.first() {
        None => Err(BROKEN),
        Some(&count) if count < ZIPMAP_COUNT_UNKNOWN => Ok(u64::from(count)),
        Some(_) => {
            let mut count = 0;
            zipmap::decode(bytes, |_, _| {
                count += 1;
                Some(())
            })
            .map(|()| count)
            .ok_or(BROKEN)
        }
    }
}

fn intset_len(bytes: &[u8]) -> Result<u64, Problem> {
    if bytes.len() < INTSET_HEAD {
        return Err(Problem::Corrupt("Intset integrity check failed."));
    }
    Ok(u64::from(u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])))
}
