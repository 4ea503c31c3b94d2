//! Values out of their encodings: every one that any version of Redis or Valkey wrote for strings, lists, sets, sorted sets, hashes and streams.
//!
//! Nothing is reserved on the word of a count: collections grow as their elements arrive, and a value is handed out whole or not at all.

use std::io::Read;

use rivulet_keyspace::entry::EMBEDDED_LEN_MAX;
use rivulet_keyspace::value::elem::parse_int;
use rivulet_keyspace::value::listpack::Builder;
use rivulet_keyspace::value::{Elem, Hash, IntSet, Limits, List, ListPack, Set, StrBuf, Value, ZSet};

use crate::error::Problem;
use crate::format::{self, VALKEY_VERSION, containers, parse_double, types};
use crate::input::Input;
use crate::{stream, ziplist, zipmap};

/// Scratch space for strings that are looked at and not kept.
#[derive(Default)]
pub struct Scratch {
    pub one: Vec<u8>,
    two: Vec<u8>,
    pack: Builder,
    /// Buffers that become a key and a string value.
    pub key: Vec<u8>,
    pub string: Vec<u8>,
}

/// What a scratch buffer may keep between values.
const SCRATCH_MAX: usize = 1 << 20;

impl Scratch {
    pub fn trim(&mut self) {
        for buffer in [&mut self.one, &mut self.two] {
            if buffer.capacity() > SCRATCH_MAX {
                *buffer = Vec::new();
            }
        }
    }
}

/// Reads a value of the type, which has the meaning that a file of this version gives it. [`Problem::EmptyValue`] leaves the input at the value's
/// end.
pub fn load<R: Read>(
    value_type: u8,
    version: u32,
    input: &mut Input<R>,
    scratch: &mut Scratch,
    limits: &Limits,
) -> Result<Value, Problem> {
    match value_type {
        types::STRING => string(input, std::mem::take(&mut scratch.string)),
        types::LIST => list(input, scratch, limits),
        types::SET => set(input, scratch, limits),
        types::ZSET => zset(input, scratch, limits, text_score),
        types::ZSET_2 => zset(input, scratch, limits, |input| Ok(f64::from_le_bytes(input.array()?))),
        types::HASH => hash(input, scratch, limits),
        types::VALKEY_HASH_2 if version >= VALKEY_VERSION => valkey_hash(input, scratch, limits),
        types::HASH_METADATA => timed_hash(input, scratch, limits),
        types::HASH_LISTPACK_EX => {
            let _soonest: [u8; 8] = input.array()?;
            input.string(&mut scratch.one)?;
            timed_listpack(&scratch.one, limits)
        }
        types::LIST_QUICKLIST => quicklist(input, scratch, false),
        types::LIST_QUICKLIST_2 => quicklist(input, scratch, true),
        types::HASH_ZIPMAP
        | types::LIST_ZIPLIST
        | types::SET_INTSET
        | types::ZSET_ZIPLIST
        | types::HASH_ZIPLIST
        | types::HASH_LISTPACK
        | types::ZSET_LISTPACK
        | types::SET_LISTPACK => {
            input.string(&mut scratch.one)?;
            packed(value_type, &scratch.one, limits)
        }
        types::STREAM_LISTPACKS | types::STREAM_LISTPACKS_2 | types::STREAM_LISTPACKS_3 => {
            stream::load(value_type, input, &mut scratch.one)
        }
        byte => Err(Problem::Unsupported(byte)),
    }
}

fn string<R: Read>(input: &mut Input<R>, mut bytes: Vec<u8>) -> Result<Value, Problem> {
    let int = input.string_or_int(&mut bytes)?;
    // A long string has grown as it came, and stays as it is from here on.
    if bytes.len() > EMBEDDED_LEN_MAX && bytes.capacity() - bytes.len() > bytes.len() / 8 + 8 {
        bytes.shrink_to_fit();
    }
    Ok(Value::Str(match int {
        Some(n) => StrBuf::Int(n),
        None => parse_int(&bytes).map_or(StrBuf::Bytes(bytes), StrBuf::Int),
    }))
}

fn count<R: Read>(input: &mut Input<R>) -> Result<u64, Problem> {
    match input.len()? {
        0 => Err(Problem::EmptyValue),
        count => Ok(count),
    }
}

fn list<R: Read>(input: &mut Input<R>, scratch: &mut Scratch, limits: &Limits) -> Result<Value, Problem> {
    let mut list = List::new();
    for _ in 0..count(input)? {
        input.string(&mut scratch.one)?;
        room(&ListPack::new(), scratch.one.len()).ok_or(TOO_LONG)?;
        list.push_back(&scratch.one, limits);
    }
    Ok(Value::List(list))
}

fn set<R: Read>(input: &mut Input<R>, scratch: &mut Scratch, limits: &Limits) -> Result<Value, Problem> {
    const TWICE: Problem = Problem::Corrupt("Duplicate set members detected");
    let count = count(input)?;
    let (member, pack) = (&mut scratch.one, &mut scratch.pack);
    pack.forget();
    let packs = count <= limits.set_max_listpack_entries as u64;
    // Nothing, as long as all members go into a listpack.
    let mut set = None;
    for _ in 0..count {
        input.string(member)?;
        let set = match &mut set {
            Some(set) => set,
            None if packs && member.len() <= limits.set_max_listpack_value && pack.has_room(member.len() + 16) => {
                pack.push(member);
                continue;
            }
            None if !packs && (count > limits.set_max_intset_entries as u64 || parse_int(member).is_none()) => {
                set.insert(Set::new_large())
            }
            None => set.insert(Set::from_listpack(pack.finish(), limits).ok_or(TWICE)?),
        };
        if !set.add(member, limits) {
            return Err(TWICE);
        }
    }
    match set {
        Some(set) => Ok(Value::Set(set)),
        None => Set::from_listpack(pack.finish(), limits).map(Value::Set).ok_or(TWICE),
    }
}

fn text_score<R: Read>(input: &mut Input<R>) -> Result<f64, Problem> {
    match input.byte()? {
        255 => Ok(f64::NEG_INFINITY),
        254 => Ok(f64::INFINITY),
        253 => Ok(f64::NAN),
        len => {
            let mut text = Vec::new();
            input.bytes(u64::from(len), &mut text)?;
            parse_double(&text).ok_or(Problem::Corrupt("a score that is not a number"))
        }
    }
}

fn zset<R: Read>(
    input: &mut Input<R>,
    scratch: &mut Scratch,
    limits: &Limits,
    score: fn(&mut Input<R>) -> Result<f64, Problem>,
) -> Result<Value, Problem> {
    let count = count(input)?;
    let large = count > limits.zset_max_listpack_entries as u64;
    let mut zset = if large { ZSet::new_large() } else { ZSet::new() };
    for _ in 0..count {
        input.string(&mut scratch.one)?;
        let score = score(input)?;
        if score.is_nan() {
            return Err(Problem::Corrupt("Zset with NAN score detected"));
        }
        if zset.insert(&scratch.one, score, limits).is_some() {
            return Err(Problem::Corrupt("Duplicate zset fields detected"));
        }
    }
    Ok(Value::ZSet(zset))
}

fn hash<R: Read>(input: &mut Input<R>, scratch: &mut Scratch, limits: &Limits) -> Result<Value, Problem> {
    const TWICE: Problem = FIELD_TWICE;
    let count = count(input)?;
    let (field, value, pack) = (&mut scratch.one, &mut scratch.two, &mut scratch.pack);
    pack.forget();
    // Nothing, as long as all pairs go into a listpack.
    let mut hash = (count > limits.hash_max_listpack_entries as u64).then(Hash::new_large);
    for _ in 0..count {
        input.string(field)?;
        input.string(value)?;
        let longest = field.len().max(value.len());
        let hash = match &mut hash {
            Some(hash) => hash,
            None if longest <= limits.hash_max_listpack_value && pack.has_room(field.len() + value.len() + 32) => {
                pack.push(field);
                pack.push(value);
                continue;
            }
            None => hash.insert(Hash::from_listpack(pack.finish(), limits).map_err(|_| TWICE)?),
        };
        if !hash.set(field, value, limits) {
            return Err(TWICE);
        }
    }
    match hash {
        Some(hash) => Ok(Value::Hash(hash)),
        None => Hash::from_listpack(pack.finish(), limits).map(Value::Hash).map_err(|_| TWICE),
    }
}

const FIELD_TWICE: Problem = Problem::Corrupt("Duplicate hash fields detected");

/// Redis's form of a hash whose fields have deadlines.
fn timed_hash<R: Read>(input: &mut Input<R>, scratch: &mut Scratch, limits: &Limits) -> Result<Value, Problem> {
    let soonest = u64::from_le_bytes(input.array()?);
    let count = count(input)?;
    let mut hash = empty_for(count, limits);
    for _ in 0..count {
        // 0 is none, 1 is the soonest.
        let from_soonest = input.len()?;
        input.string(&mut scratch.one)?;
        input.string(&mut scratch.two)?;
        let deadline = from_soonest.checked_sub(1).map(|ms| ms.saturating_add(soonest));
        add_row(&mut hash, &scratch.one, &scratch.two, deadline, limits)?;
    }
    Ok(Value::Hash(hash))
}

/// Valkey's form.
fn valkey_hash<R: Read>(input: &mut Input<R>, scratch: &mut Scratch, limits: &Limits) -> Result<Value, Problem> {
    let count = count(input)?;
    let mut hash = empty_for(count, limits);
    for _ in 0..count {
        input.string(&mut scratch.one)?;
        input.string(&mut scratch.two)?;
        let deadline = format::deadline(i64::from_le_bytes(input.array()?));
        add_row(&mut hash, &scratch.one, &scratch.two, deadline, limits)?;
    }
    Ok(Value::Hash(hash))
}

/// Redis's form of a small one.
fn timed_listpack(bytes: &[u8], limits: &Limits) -> Result<Value, Problem> {
    let broken = Problem::Corrupt("Hash listpack integrity check failed.");
    let pack = listpack_of(bytes, &broken)?;
    let count = pack.len();
    if !count.is_multiple_of(3) {
        return Err(broken);
    }
    if count == 0 {
        return Err(Problem::EmptyValue);
    }
    let mut hash = empty_for((count / 3) as u64, limits);
    let mut elems = pack.iter();
    while let (Some(field), Some(value), Some(ms)) = (elems.next(), elems.next(), elems.next()) {
        let Elem::Int(ms) = ms else { return Err(broken) };
        let deadline = (ms != 0).then(|| ms.try_into().unwrap_or(0));
        field.with(|field| value.with(|value| add_row(&mut hash, field, value, deadline, limits)))?;
    }
    Ok(Value::Hash(hash))
}

fn empty_for(count: u64, limits: &Limits) -> Hash {
    if count > limits.hash_max_listpack_entries as u64 { Hash::new_large() } else { Hash::new() }
}

fn add_row(hash: &mut Hash, field: &[u8], value: &[u8], deadline: Option<u64>, limits: &Limits) -> Result<(), Problem> {
    room(&ListPack::new(), field.len().max(value.len())).ok_or(TOO_LONG)?;
    if !hash.set(field, value, limits) {
        return Err(FIELD_TWICE);
    }
    if deadline.is_some() {
        hash.set_deadline(field, deadline, limits);
    }
    Ok(())
}

/// A list in nodes. The first form has ziplists, the second says of each node whether it is a listpack or one plain element.
fn quicklist<R: Read>(input: &mut Input<R>, scratch: &mut Scratch, second: bool) -> Result<Value, Problem> {
    let mut nodes = Vec::new();
    for _ in 0..count(input)? {
        let container = if second { input.len()? } else { containers::PACKED };
        if container != containers::PACKED && container != containers::PLAIN {
            return Err(Problem::Corrupt("Quicklist integrity check failed."));
        }
        let bytes = &mut scratch.one;
        input.string(bytes)?;
        if bytes.is_empty() {
            return Err(Problem::Corrupt("an empty quicklist node"));
        }
        let node = if container == containers::PLAIN {
            let mut node = ListPack::new();
            push(&mut node, Elem::Bytes(bytes)).ok_or(TOO_LONG)?;
            node
        } else if second {
            listpack(bytes)?
        } else {
            let mut node = ListPack::new();
            ziplist::decode(bytes, |elem| push(&mut node, elem))
                .ok_or(Problem::Corrupt("Ziplist integrity check failed."))?;
            node
        };
        if !node.is_empty() {
            nodes.push(node);
        }
    }
    if nodes.is_empty() {
        return Err(Problem::EmptyValue);
    }
    Ok(Value::List(List::from_listpacks(nodes)))
}

/// A listpack's length is 32 bits, while a string in a file may be any.
const TOO_LONG: Problem = Problem::Corrupt("a listpack of 4 GiB or more");

/// Appends an element, if there is room.
fn push(pack: &mut ListPack, elem: Elem<'_>) -> Option<()> {
    elem.with(|bytes| {
        room(pack, bytes.len())?;
        pack.push_back(bytes);
        Some(())
    })
}

/// Is there room for an element with as many bytes, and what stands around it?
fn room(pack: &ListPack, bytes: usize) -> Option<()> {
    (pack.bytes_len() + bytes + 16 <= u32::MAX as usize).then_some(())
}

fn listpack(bytes: &[u8]) -> Result<ListPack, Problem> {
    ListPack::from_bytes(bytes).map_err(|_| Problem::Corrupt("Listpack integrity check failed."))
}

/// A value that is one string: a listpack, intset, ziplist or zipmap.
fn packed(value_type: u8, bytes: &[u8], limits: &Limits) -> Result<Value, Problem> {
    match value_type {
        types::HASH_LISTPACK => {
            let broken = Problem::Corrupt("Hash listpack integrity check failed.");
            pairs(listpack_of(bytes, &broken)?, &broken, |pack| Hash::from_listpack(pack, limits).ok().map(Value::Hash))
        }
        types::ZSET_LISTPACK => {
            let broken = Problem::Corrupt("Zset listpack integrity check failed.");
            pairs(listpack_of(bytes, &broken)?, &broken, |pack| ZSet::from_listpack(pack, limits).ok().map(Value::ZSet))
        }
        types::SET_LISTPACK => {
            let pack = listpack_of(bytes, &Problem::Corrupt("Set listpack integrity check failed."))?;
            if pack.is_empty() {
                return Err(Problem::EmptyValue);
            }
            Set::from_listpack(pack, limits).map(Value::Set).ok_or(Problem::Corrupt("Duplicate set members detected"))
        }
        types::SET_INTSET => match IntSet::from_bytes(bytes) {
            Ok(ints) if !ints.is_empty() => Ok(Value::Set(Set::from_intset(ints, limits))),
            _ => Err(Problem::Corrupt("Intset integrity check failed.")),
        },
        types::HASH_ZIPLIST => {
            let broken = Problem::Corrupt("Hash ziplist integrity check failed.");
            pairs(ziplist_of(bytes, &broken)?, &broken, |pack| Hash::from_listpack(pack, limits).ok().map(Value::Hash))
        }
        types::ZSET_ZIPLIST => {
            let broken = Problem::Corrupt("Zset ziplist integrity check failed.");
            pairs(ziplist_of(bytes, &broken)?, &broken, |pack| ZSet::from_listpack(pack, limits).ok().map(Value::ZSet))
        }
        types::HASH_ZIPMAP => {
            let mut hash = Hash::new();
            let mut duplicate = false;
            zipmap::decode(bytes, |field, value| {
                duplicate = !hash.set(field, value, limits);
                (!duplicate).then_some(())
            })
            .ok_or(Problem::Corrupt(if duplicate {
                "Hash zipmap with dup elements"
            } else {
                "Zipmap integrity check failed."
            }))?;
            Ok(Value::Hash(hash))
        }
        _ => {
            let mut list = List::new();
            let mut empty = true;
            ziplist::decode(bytes, |elem| {
                empty = false;
                elem.with(|bytes| list.push_back(bytes, limits));
                Some(())
            })
            .ok_or(Problem::Corrupt("List ziplist integrity check failed."))?;
            if empty { Err(Problem::EmptyValue) } else { Ok(Value::List(list)) }
        }
    }
}

fn listpack_of(bytes: &[u8], broken: &Problem) -> Result<ListPack, Problem> {
    ListPack::from_bytes(bytes).map_err(|_| broken.clone())
}

fn ziplist_of(bytes: &[u8], broken: &Problem) -> Result<ListPack, Problem> {
    let mut pack = ListPack::new();
    ziplist::decode(bytes, |elem| push(&mut pack, elem)).ok_or_else(|| broken.clone())?;
    Ok(pack)
}

/// Makes a value of a listpack of pairs; `make` refuses what is no pair or there twice.
fn pairs(pack: ListPack, broken: &Problem, make: impl FnOnce(ListPack) -> Option<Value>) -> Result<Value, Problem> {
    if pack.is_empty() {
        return Err(Problem::EmptyValue);
    }
    make(pack).ok_or_else(|| broken.clone())
}
