//! Commands on the bits of strings. Bit 0 is the highest bit of the first byte.

use std::borrow::Cow;

use rivulet_keyspace::{Deadline, Elem, Key, bits};
use rivulet_resp::{Args, Reply};

use crate::ctx::{Ctx, Data};
use crate::effects::class;
use crate::fail::{Fail, SYNTAX, WRONG_TYPE};
use crate::keys::with_read;
use crate::parse;
use crate::places::{KeyRange, Keys};
use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, acl, flag::*, key};
use crate::string::{edit, len_for_write};

const fn at(index: i32, last: i32, flags: u32) -> KeySpec {
    KeySpec::new(flags, Begin::Index(index), Find::Range { last, step: 1, limit: 0 })
}

const KEY_READ: &[KeySpec] = &[at(1, 0, key::RO | key::ACCESS)];

const fn row(name: &'static str, arity: i32, flags: u32, run: fn(&mut Ctx<'_>) -> Result<(), Fail>) -> Command {
    Command::new(name, arity, flags, Group::Bitmap, Handler::Data(run)).acl(acl::BITMAP)
}

pub const COMMANDS: &[Command] = &[
    row("bitcount", -2, READONLY, bitcount)
        .since("2.6.0")
        .complexity("O(N)")
        .summary("Counts the bits that are set")
        .keys(KEY_READ),
    row("bitfield", -2, WRITE | DENYOOM, bitfield)
        .since("3.2.0")
        .complexity("O(1) for each subcommand")
        .summary("Reads, sets and adds to integers of any width within a string")
        .keys(&[at(1, 0, key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS)
            .notes("This command allows both access and modification of the key")])
        .get_keys(bitfield_keys),
    row("bitfield_ro", -2, READONLY | FAST, bitfield_ro)
        .since("6.0.0")
        .complexity("O(1) for each subcommand")
        .summary("Reads integers of any width within a string")
        .keys(KEY_READ),
    row("bitop", -4, WRITE | DENYOOM, bitop)
        .since("2.6.0")
        .complexity("O(N)")
        .summary("Stores the AND, OR, XOR or NOT of strings")
        .keys(&[at(2, 0, key::OW | key::UPDATE), at(3, -1, key::RO | key::ACCESS)]),
    row("bitpos", -3, READONLY, bitpos)
        .since("2.8.7")
        .complexity("O(N)")
        .summary("Finds the first bit that is set, or clear")
        .keys(KEY_READ),
    row("getbit", 3, READONLY | FAST, getbit)
        .since("2.2.0")
        .complexity("O(1)")
        .summary("Answers one bit")
        .keys(KEY_READ),
    row("setbit", 4, WRITE | DENYOOM, setbit)
        .since("2.2.0")
        .complexity("O(1)")
        .summary("Sets or clears one bit and answers what it was")
        .keys(&[at(1, 0, key::RW | key::ACCESS | key::UPDATE)]),
];

/// A bit's position from an argument; with `width`, `#n` is the `n`th integer of that width.
fn bit_offset(data: &Data<'_>, text: &[u8], width: Option<u32>) -> Result<u64, Fail> {
    let number = match (text, width) {
        ([b'#', index @ ..], Some(width)) => parse::int(index).ok().map(|n| n.wrapping_mul(i64::from(width))),
        _ => parse::int(text).ok(),
    };
    number
        .and_then(|n| u64::try_from(n).ok())
        .filter(|n| data.call.from_master || n >> 3 < data.settings.bulk_len_max)
        .ok_or(Fail::new("ERR bit offset is not an integer or out of range"))
}

/// Calls `f` with the bytes of the string at the key, or with nothing when the key is not there.
fn with_string<R>(data: &mut Data<'_>, key: Key<'_>, f: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, Fail> {
    with_read(data, key, |entry| match entry {
        None => Ok(f(None)),
        Some(entry) => Ok(entry.string().ok_or(WRONG_TYPE)?.with(|bytes| f(Some(bytes)))),
    })
}

fn bit_of(bytes: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset >> 3).ok().and_then(|at| bytes.get(at));
    byte.is_some_and(|byte| byte >> (7 - (offset & 7)) & 1 == 1)
}

fn getbit(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let offset = bit_offset(&ctx.db, ctx.args.at(2), None)?;
    let key = ctx.key(1);
    let bit = with_string(&mut ctx.db, key, |bytes| bytes.is_some_and(|b| bit_of(b, offset)))?;
    ctx.reply.int(i64::from(bit));
    Ok(())
}

fn setbit(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let offset = bit_offset(&ctx.db, ctx.args.at(2), None)?;
    let on = match ctx.int(3) {
        Ok(bit @ (0 | 1)) => bit == 1,
        _ => return Err(Fail::new("ERR bit is not an integer or out of range")),
    };
    let key = ctx.key(1);
    let created = len_for_write(&mut ctx.db, key)?.is_none();
    let at = (offset >> 3) as usize;
    let (before, grown) = edit(&mut ctx.db, key, |bytes| {
        let grown = grow(bytes, at + 1);
        let before = bit_of(bytes, offset);
        let mask = 0x80 >> (offset & 7);
        bytes[at] = if on { bytes[at] | mask } else { bytes[at] & !mask };
        (before, grown)
    });
    if created || grown || before != on {
        ctx.db.changed(key.bytes, class::STRING, "setbit");
        ctx.db.dirty(1);
    }
    ctx.reply.int(i64::from(before));
    Ok(())
}

/// Pads with zeros up to `len` bytes; answers whether that changed anything.
fn grow(bytes: &mut Vec<u8>, len: usize) -> bool {
    let short = bytes.len() < len;
    if short {
        bytes.resize(len, 0);
    }
    short
}

// ---- BITOP ----

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

fn bitop(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    const WORDS: [(&str, Operation); 4] =
        [("and", Operation::And), ("or", Operation::Or), ("xor", Operation::Xor), ("not", Operation::Not)];
    let operation = WORDS.iter().find(|(word, _)| ctx.args.is(1, word)).ok_or(SYNTAX)?.1;
    if operation == Operation::Not && ctx.args.len() != 4 {
        return Err(Fail::new("ERR BITOP NOT must be called with a single source key."));
    }
    let mut len = 0;
    for i in 3..ctx.args.len() {
        let key = ctx.key(i);
        len = len.max(with_string(&mut ctx.db, key, |bytes| bytes.map_or(0, <[u8]>::len))?);
    }
    let result = combined(ctx, operation, len);
    let to = ctx.key(2);
    if len > 0 {
        ctx.db.expire_if_due(to);
        ctx.db.put_string(to, b"", Deadline::Set(None));
        edit(&mut ctx.db, to, |bytes| *bytes = result);
        ctx.db.changed(to.bytes, class::STRING, "set");
        ctx.db.dirty(1);
    } else if ctx.db.delete(to, ctx.db.settings.lazyfree_lazy_server_del) {
        ctx.db.changed(to.bytes, class::GENERIC, "del");
        ctx.db.dirty(1);
    }
    ctx.reply.int(len as i64);
    Ok(())
}

/// Bytes that are combined at a time, so that what was combined is still near when the next source comes.
const BLOCK: usize = 16 * 1024;

/// All sources combined into `len` bytes; each counts as padded with zeros.
fn combined(ctx: &Ctx<'_>, operation: Operation, len: usize) -> Vec<u8> {
    let sources: Vec<Cow<'_, [u8]>> = (3..ctx.args.len())
        .map(|i| match ctx.db.get(ctx.key(i)).and_then(|entry| entry.string()) {
            Some(Elem::Bytes(bytes)) => Cow::Borrowed(bytes),
            Some(number) => Cow::Owned(number.to_vec()),
            None => Cow::Borrowed(&[][..]),
        })
        .collect();
    let mut result = Vec::with_capacity(len);
    while result.len() < len {
        let (from, upto) = (result.len(), len.min(result.len() + BLOCK));
        let part = |source: &'_ Cow<'_, [u8]>| from.min(source.len())..upto.min(source.len());
        result.extend_from_slice(&sources[0][part(&sources[0])]);
        result.resize(upto, 0);
        let block = &mut result[from..];
        if operation == Operation::Not {
            block.iter_mut().for_each(|byte| *byte = !*byte);
        }
        for source in &sources[1..] {
            combine(block, &source[part(source)], operation);
        }
    }
    result
}

/// Combines the next source with the block.
fn combine(block: &mut [u8], source: &[u8], operation: Operation) {
    let (head, tail) = block.split_at_mut(source.len());
    let pairs = head.iter_mut().zip(source);
    match operation {
        Operation::And => {
            pairs.for_each(|(r, s)| *r &= s);
            tail.fill(0);
        }
        Operation::Or => pairs.for_each(|(r, s)| *r |= s),
        Operation::Xor => pairs.for_each(|(r, s)| *r ^= s),
        Operation::Not => {}
    }
}

// ---- BITCOUNT and BITPOS ----

/// Whether argument `i`, if there is one, counts in bits.
fn in_bits(args: Args<'_>, i: usize) -> Result<bool, Fail> {
    match args.get(i) {
        None => Ok(false),
        Some(_) if args.is(i, "bit") => Ok(true),
        Some(_) if args.is(i, "byte") => Ok(false),
        Some(_) => Err(SYNTAX),
    }
}

/// The first and last bit of a range within `len` bytes, or nothing when it is empty. Negative positions count from the end.
fn bit_range(start: i64, end: i64, bits: bool, len: usize) -> Option<(usize, usize)> {
    let unit = if bits { 1 } else { 8 };
    let total = len as i64 * 8 / unit;
    let from_start = |at: i64| if at < 0 { (total + at).max(0) } else { at };
    let (start, end) = (from_start(start), from_start(end).min(total - 1));
    (start <= end).then(|| ((start * unit) as usize, (end * unit + unit - 1) as usize))
}

fn bitcount(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (args, key) = (ctx.args, ctx.key(1));
    // The range is looked at only when the key is there, as Redis does.
    let count = with_string(&mut ctx.db, key, |bytes| {
        let Some(bytes) = bytes else { return Ok(0) };
        let range = match args.len() {
            2 => bit_range(0, -1, false, bytes.len()),
            4 | 5 => {
                let (start, end) = (parse::int(args.at(2))?, parse::int(args.at(3))?);
                if start < 0 && end < 0 && start > end {
                    return Ok(0);
                }
                bit_range(start, end, in_bits(args, 4)?, bytes.len())
            }
            _ => return Err(SYNTAX),
        };
        Ok(range.map_or(0, |(first, last)| count_bits(bytes, first, last)))
    })??;
    ctx.reply.int(count as i64);
    Ok(())
}

/// The set bits from `first` to `last`.
fn count_bits(bytes: &[u8], first: usize, last: usize) -> u64 {
    let part = &bytes[first / 8..=last / 8];
    let count = bits::count_ones(part);
    let before = !(0xff_u8 >> (first % 8));
    let after = !(0xff_u8 << (7 - last % 8));
    count - u64::from((bytes[first / 8] & before).count_ones()) - u64::from((bytes[last / 8] & after).count_ones())
}

fn bitpos(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let bit = match ctx.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(Fail::new("ERR The bit argument must be 1 or 0.")),
    };
    let (args, key) = (ctx.args, ctx.key(1));
    let position = with_string(&mut ctx.db, key, |bytes| {
        // A key that is not there is zeros without end.
        let Some(bytes) = bytes else { return Ok(if bit { -1 } else { 0 }) };
        if args.len() > 6 {
            return Err(SYNTAX);
        }
        let start = args.get(3).map_or(Ok(0), parse::int)?;
        let bits = in_bits(args, 5)?;
        let end = args.get(4).map(parse::int).transpose()?;
        let Some((first, last)) = bit_range(start, end.unwrap_or(-1), bits, bytes.len()) else { return Ok(-1) };
        Ok(match find_bit(bytes, first, last, bit) {
            Some(position) => position as i64,
            // Without an end the zeros go on behind the string.
            None if !bit && end.is_none() => bytes.len() as i64 * 8,
            None => -1,
        })
    })??;
    ctx.reply.int(position);
    Ok(())
}

/// The first bit of this value from `first` to `last`.
fn find_bit(bytes: &[u8], first: usize, last: usize, bit: bool) -> Option<usize> {
    let flip = if bit { 0 } else { 0xff };
    let wanted = |byte: u8, at: usize| (byte != 0).then(|| at * 8 + byte.leading_zeros() as usize);
    let at = first / 8;
    let in_first = wanted((bytes[at] ^ flip) & (0xff >> (first % 8)), at);
    let position = in_first.or_else(|| {
        let rest = &bytes[at + 1..=(last / 8).max(at)];
        let offset = bits::first_other(rest, flip)?;
        wanted(rest[offset] ^ flip, at + 1 + offset)
    });
    position.filter(|&position| position <= last)
}

// ---- BITFIELD ----

/// The type of an integer within a string: `i16`, `u8`.
#[derive(Clone, Copy)]
struct IntType {
    signed: bool,
    bits: u32,
}

/// What happens to a result that does not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

enum FieldAction {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

/// A subcommand of BITFIELD.
struct FieldOperation {
    int: IntType,
    offset: u64,
    action: FieldAction,
}

impl IntType {
    fn parse(text: &[u8]) -> Result<IntType, Fail> {
        let (signed, bits) = match text {
            [b'i', bits @ ..] => (true, bits),
            [b'u', bits @ ..] => (false, bits),
            _ => (true, b"".as_slice()),
        };
        let max = if signed { 64 } else { 63 };
        match parse::int(bits) {
            Ok(bits) if (1..=max).contains(&bits) => Ok(IntType { signed, bits: bits as u32 }),
            _ => Err(Fail::new(
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            )),
        }
    }

    /// The low bits of a word as a number of this type.
    fn number(self, word: u128) -> i128 {
        let shift = 128 - self.bits;
        if self.signed { (word << shift) as i128 >> shift } else { (word << shift >> shift) as i128 }
    }

    fn range(self) -> (i128, i128) {
        if self.signed { (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) } else { (0, (1 << self.bits) - 1) }
    }

    /// Redis takes numbers far below the range for numbers above it, as a difference wraps there; replicas must agree with it.
    fn as_redis_sees(self, value: i64, overflow: Overflow) -> i128 {
        let (value, max) = (i128::from(value), self.range().1);
        let wraps = max - value > i128::from(i64::MAX);
        if overflow == Overflow::Saturate && wraps && self.bits < 64 { max } else { value }
    }

    /// The number that is stored for a result; nothing when it does not fit and must.
    fn fit(self, value: i128, overflow: Overflow) -> Option<i128> {
        let (min, max) = self.range();
        if (min..=max).contains(&value) {
            return Some(value);
        }
        match overflow {
            Overflow::Wrap => Some(self.number(value as u128)),
            Overflow::Saturate => Some(value.clamp(min, max)),
            Overflow::Fail => None,
        }
    }
}

impl FieldOperation {
    fn writes(&self) -> bool {
        !matches!(self.action, FieldAction::Get)
    }

    /// The bytes that it looks at, zeros behind the end, as the top of a word.
    fn window(&self, bytes: &[u8]) -> u128 {
        let mut window = [0; 16];
        let at = usize::try_from(self.offset >> 3).unwrap_or(usize::MAX).min(bytes.len());
        let there = &bytes[at..bytes.len().min(at.saturating_add(9))];
        window[..there.len()].copy_from_slice(there);
        u128::from_be_bytes(window)
    }

    /// How far the number's lowest bit is above that of the window.
    fn shift(&self) -> u32 {
        128 - self.int.bits - (self.offset & 7) as u32
    }

    fn get(&self, bytes: &[u8]) -> i128 {
        self.int.number(self.window(bytes) >> self.shift())
    }

    fn put(&self, bytes: &mut [u8], value: i128) {
        let mask = ((1u128 << self.int.bits) - 1) << self.shift();
        let window = (self.window(bytes) & !mask) | ((value as u128) << self.shift() & mask);
        let at = (self.offset >> 3) as usize;
        let len = ((self.offset & 7) as usize + self.int.bits as usize).div_ceil(8);
        bytes[at..at + len].copy_from_slice(&window.to_be_bytes()[..len]);
    }

    /// Runs on the string and replies; answers whether the number changed.
    fn run(&self, bytes: &mut [u8], reply: &mut Reply<'_>) -> Option<bool> {
        let before = self.get(bytes);
        let (after, overflow) = match self.action {
            FieldAction::Get => {
                reply.int(before as i64);
                return None;
            }
            FieldAction::Add(by, overflow) => (before + i128::from(by), overflow),
            FieldAction::Set(value, overflow) if self.int.signed => (self.int.as_redis_sees(value, overflow), overflow),
            // A negative number counts as a very large one.
            FieldAction::Set(value, overflow) => (i128::from(value as u64), overflow),
        };
        let Some(after) = self.int.fit(after, overflow) else {
            reply.null();
            return None;
        };
        self.put(bytes, after);
        reply.int(if matches!(self.action, FieldAction::Set(..)) { before } else { after } as i64);
        Some(before != after)
    }
}

fn parse_operations(data: &Data<'_>, args: Args<'_>) -> Result<Vec<FieldOperation>, Fail> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut i = 2;
    while i < args.len() {
        let left = args.len() - i - 1;
        if args.is(i, "overflow") && left >= 1 {
            overflow = match () {
                () if args.is(i + 1, "wrap") => Overflow::Wrap,
                () if args.is(i + 1, "sat") => Overflow::Saturate,
                () if args.is(i + 1, "fail") => Overflow::Fail,
                () => return Err(Fail::new("ERR Invalid OVERFLOW type specified")),
            };
            i += 2;
            continue;
        }
        let (is_get, is_set) = (args.is(i, "get") && left >= 2, args.is(i, "set") && left >= 3);
        let is_add = args.is(i, "incrby") && left >= 3;
        if !(is_get || is_set || is_add) {
            return Err(SYNTAX);
        }
        let int = IntType::parse(args.at(i + 1))?;
        let offset = bit_offset(data, args.at(i + 2), Some(int.bits))?;
        let action = match (is_get, is_set) {
            (true, _) => FieldAction::Get,
            (_, true) => FieldAction::Set(parse::int(args.at(i + 3))?, overflow),
            _ => FieldAction::Add(parse::int(args.at(i + 3))?, overflow),
        };
        i += if is_get { 3 } else { 4 };
        operations.push(FieldOperation { int, offset, action });
    }
    Ok(operations)
}

fn bitfield(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let operations = parse_operations(&ctx.db, ctx.args)?;
    let end_bit = |o: &FieldOperation| o.offset + u64::from(o.int.bits);
    let Some(end) = operations.iter().filter(|o| o.writes()).map(end_bit).max() else {
        return read_fields(ctx, &operations);
    };
    let key = ctx.key(1);
    let created = len_for_write(&mut ctx.db, key)?.is_none();
    let reply = &mut ctx.reply;
    reply.array(operations.len());
    let (grown, changes) = edit(&mut ctx.db, key, |bytes| {
        let grown = grow(bytes, end.div_ceil(8) as usize) || created;
        let ran = operations.iter().filter_map(|operation| operation.run(bytes, reply));
        (grown, ran.filter(|changed| grown || *changed).count())
    });
    if changes > 0 {
        ctx.db.changed(key.bytes, class::STRING, "setbit");
        ctx.db.dirty(changes as u64);
    } else if grown {
        // All writes failed, but the string is longer: the replicas' must be, too.
        ctx.db.touch(key.bytes);
        ctx.db.dirty(1);
    }
    Ok(())
}

fn bitfield_ro(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let operations = parse_operations(&ctx.db, ctx.args)?;
    if operations.iter().any(FieldOperation::writes) {
        return Err(Fail::new("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read_fields(ctx, &operations)
}

fn read_fields(ctx: &mut Ctx<'_>, operations: &[FieldOperation]) -> Result<(), Fail> {
    let key = ctx.key(1);
    let reply = &mut ctx.reply;
    with_string(&mut ctx.db, key, |bytes| {
        reply.array(operations.len());
        operations.iter().for_each(|operation| reply.int(operation.get(bytes.unwrap_or_default()) as i64));
    })
}

/// The key of BITFIELD, which is only read where nothing but GET is asked for.
fn bitfield_keys(args: Args<'_>) -> Keys {
    let mut i = 2;
    while i < args.len() {
        let left = args.len() - i - 1;
        i += match () {
            () if args.is(i, "get") && left >= 2 => 3,
            () if args.is(i, "overflow") && left >= 1 => 2,
            () => return Keys::of(KeyRange::one(1, key::RW | key::ACCESS | key::UPDATE)),
        };
    }
    Keys::of(KeyRange::one(1, key::RO | key::ACCESS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generic;
    use crate::string;
    use crate::testing::Bench;

    fn bench() -> Bench {
        Bench::new(&[COMMANDS, string::COMMANDS, generic::COMMANDS])
    }

    #[test]
    fn single_bits() {
        let mut b = bench();
        assert_eq!(b.run("SETBIT k 7 1"), ":0\r\n");
        assert_eq!(b.effects().events, ["setbit k"]);
        assert_eq!(b.run("SETBIT k 7 1"), ":1\r\n");
        assert_eq!(b.effects().dirty, 0);
        assert_eq!(b.run("SETBIT k 20 0"), ":0\r\n");
        assert_eq!(b.effects().dirty, 1);
        assert_eq!(b.run_bytes(&[b"GET", b"k"]), b"$3\r\n\x01\0\0\r\n");
        assert_eq!(b.run("GETBIT k 7"), ":1\r\n");
        assert_eq!(b.run("GETBIT k 4294967295"), ":0\r\n");
        assert_eq!(b.run("GETBIT k 4294967296"), "-ERR bit offset is not an integer or out of range\r\n");
        assert_eq!(b.run("SETBIT k #1 1"), "-ERR bit offset is not an integer or out of range\r\n");
        assert_eq!(b.run("SETBIT k 1 2"), "-ERR bit is not an integer or out of range\r\n");
        b.run("SET n 10");
        assert_eq!(b.run("GETBIT n 3"), ":1\r\n");
        assert_eq!(b.run("SETBIT n 7 0"), ":1\r\n");
        assert_eq!(b.run("GET n"), "$2\r\n00\r\n");
        assert_eq!(b.run("OBJECT ENCODING n"), "$3\r\nraw\r\n");
    }

    #[test]
    fn operations_pad_with_zeros() {
        let mut b = bench();
        b.run("MSET a abc b ab e 1");
        b.run_args(&[b"SET", b"e", b""]);
        for (line, len, want) in [
            ("BITOP AND t a b", 3, b"ab\0".as_slice()),
            ("BITOP OR t b a none", 3, b"abc"),
            ("BITOP XOR t a b", 3, b"\0\0c"),
            ("BITOP NOT t b", 2, &[!b'a', !b'b']),
            ("BITOP AND t a none", 3, b"\0\0\0"),
            ("BITOP XOR a a a", 3, b"\0\0\0"),
        ] {
            assert_eq!(b.run(line), format!(":{len}\r\n"), "{line}");
            let to = line.split(' ').nth(2).expect("a target").as_bytes();
            assert_eq!(
                b.run_bytes(&[b"GET", to]),
                [format!("${len}\r\n").as_bytes(), want, b"\r\n"].concat(),
                "{line}"
            );
        }
        assert_eq!(b.run("BITOP OR t none e"), ":0\r\n");
        assert_eq!(b.effects().events, ["del t"]);
        assert_eq!(b.run("BITOP NOT t a b"), "-ERR BITOP NOT must be called with a single source key.\r\n");
        assert_eq!(b.run("BITOP NAND t a b"), "-ERR syntax error\r\n");
    }

    #[test]
    fn counts() {
        let mut b = bench();
        b.run("SET k foobar");
        for (line, want) in [
            ("BITCOUNT k", 26),
            ("BITCOUNT k 0 0", 4),
            ("BITCOUNT k 1 1", 6),
            ("BITCOUNT k 5 30 BIT", 17),
            ("BITCOUNT k -2 -1 BYTE", 7),
            ("BITCOUNT k 3 2", 0),
            ("BITCOUNT k -1 -2 nonsense", 0),
            ("BITCOUNT k 0 -1000", 4),
            ("BITCOUNT none 1", 0),
            ("BITCOUNT k 9 9 BIT", 1),
        ] {
            assert_eq!(b.run(line), format!(":{want}\r\n"), "{line}");
        }
        assert_eq!(b.run("BITCOUNT k 1"), "-ERR syntax error\r\n");
        assert_eq!(b.run("BITCOUNT k 0 1 WORD"), "-ERR syntax error\r\n");
    }

    #[test]
    fn positions() {
        let mut b = bench();
        b.run_args(&[b"SET", b"ones", b"\xff\xff\xff"]);
        b.run_args(&[b"SET", b"k", b"\x00\xff\xf0"]);
        b.run_args(&[b"SET", b"empty", b""]);
        for (line, want) in [
            ("BITPOS ones 0", 24),
            ("BITPOS ones 0 0", 24),
            ("BITPOS ones 0 0 -1", -1),
            ("BITPOS ones 0 3", -1),
            ("BITPOS ones 1", 0),
            ("BITPOS k 1", 8),
            ("BITPOS k 1 2", 16),
            ("BITPOS k 0 1", 20),
            ("BITPOS k 1 7 15 BIT", 8),
            ("BITPOS k 1 0 7 BIT", -1),
            ("BITPOS k 0 8 19 BIT", -1),
            ("BITPOS k 0 8 20 BIT", 20),
            ("BITPOS k 0 -4 -1 BIT", 20),
            ("BITPOS empty 0", -1),
            ("BITPOS none 0", 0),
            ("BITPOS none 1", -1),
        ] {
            assert_eq!(b.run(line), format!(":{want}\r\n"), "{line}");
        }
        assert_eq!(b.run("BITPOS k 2"), "-ERR The bit argument must be 1 or 0.\r\n");
        assert_eq!(b.run("BITPOS k 0 0 1 WORD"), "-ERR syntax error\r\n");
    }

    #[test]
    fn fields() {
        let mut b = bench();
        for (line, want) in [
            ("BITFIELD k INCRBY i5 100 1 GET u4 0", "*2 :1 :0"),
            ("BITFIELD k SET u8 0 255 GET i8 0 SET i8 #1 -128", "*3 :0 :-1 :0"),
            ("BITFIELD k OVERFLOW SAT INCRBY u8 0 10 OVERFLOW FAIL INCRBY u8 0 1", "*2 :255 $-1"),
            ("BITFIELD k OVERFLOW SAT SET u8 0 -1 SET i8 0 1000 GET i8 0", "*3 :255 :-1 :127"),
            ("BITFIELD k INCRBY i8 0 1 INCRBY u8 0 -129", "*2 :-128 :255"),
            ("BITFIELD k SET i64 3 -1 GET i64 3 GET u63 4", "*3 :-288230376151711744 :-1 :9223372036854775807"),
            (
                "BITFIELD k OVERFLOW SAT INCRBY i64 3 -9223372036854775808 INCRBY i64 3 -1",
                "*2 :-9223372036854775808 :-9223372036854775808",
            ),
            ("BITFIELD_RO k GET u1 1000", "*1 :0"),
            ("BITFIELD s OVERFLOW SAT SET i8 0 -9223372036854775808 GET i8 0", "*2 :0 :127"),
            ("BITFIELD k", "*0"),
            ("BITFIELD_RO k SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand"),
            (
                "BITFIELD k GET u64 0",
                "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            ),
            ("BITFIELD k GET u8 -1", "-ERR bit offset is not an integer or out of range"),
            ("BITFIELD k OVERFLOW x", "-ERR Invalid OVERFLOW type specified"),
            ("BITFIELD k SET u8 0", "-ERR syntax error"),
        ] {
            let got = b.run(line);
            let got = if got.starts_with('-') {
                got.trim().to_string()
            } else {
                got.split_whitespace().collect::<Vec<_>>().join(" ")
            };
            assert_eq!(got, want, "{line}");
        }
    }
}
