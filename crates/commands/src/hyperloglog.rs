//! HyperLogLogs: how many different elements were added, to within a percent, in at most 12 KiB.
//!
//! A value is a string of the keyspace, byte for byte as Redis stores it. The rows and the commands are here; `hyperloglog/` knows the bytes:
//! `header`, `element` (which register an element is for), `dense` and `sparse` (the registers), `estimate`, and `debug` (PFDEBUG, PFSELFTEST).

mod debug;
mod dense;
mod element;
mod estimate;
mod header;
mod sparse;

use rivulet_keyspace::value::StrBuf;
use rivulet_keyspace::{Elem, EntryRef, Key, SlotMut, Value};
use rivulet_resp::Args;

use crate::ctx::{Ctx, Data};
use crate::effects::class;
use crate::fail::{Fail, WRONG_TYPE};
use crate::keys::{with_read, with_write};
use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, acl, flag::*, key};

use header::{Encoding, REGISTERS};
use sparse::{Raised, Raiser};

const fn row(name: &'static str, arity: i32, flags: u32, run: fn(&mut Ctx<'_>) -> Result<(), Fail>) -> Command {
    Command::new(name, arity, flags, Group::HyperLogLog, Handler::Data(run)).acl(acl::HYPERLOGLOG).since("2.8.9")
}

const fn keys(from: i32, last: i32, flags: u32) -> KeySpec {
    KeySpec::new(flags, Begin::Index(from), Find::Range { last, step: 1, limit: 0 })
}

pub const COMMANDS: &[Command] = &[
    row("pfadd", -2, WRITE | DENYOOM | FAST, pfadd)
        .complexity("O(1) an element")
        .summary("Adds elements to a HyperLogLog, which is made if it is not there")
        .keys(&[keys(1, 0, key::RW | key::INSERT)]),
    row("pfcount", -2, READONLY | MAY_REPLICATE, pfcount)
        .complexity("O(1) with one key, O(N) with N keys and a much larger constant")
        .summary("Answers about how many different elements were added to any of several HyperLogLogs")
        .keys(&[keys(1, -1, key::RW | key::ACCESS)
            .notes("RW because it may change the internal representation of the key, and propagate to replicas")]),
    row("pfdebug", 3, WRITE | DENYOOM | ADMIN, debug::pfdebug)
        .complexity("N/A")
        .summary("Shows the inside of a HyperLogLog")
        .keys(&[keys(2, 0, key::RW | key::ACCESS)]),
    row("pfmerge", -2, WRITE | DENYOOM, pfmerge)
        .complexity("O(N) for N HyperLogLogs, with a large constant")
        .summary("Merges HyperLogLogs into one")
        .keys(&[keys(1, 0, key::RW | key::ACCESS | key::INSERT), keys(2, -1, key::RO | key::ACCESS)]),
    row("pfselftest", 1, ADMIN, debug::pfselftest)
        .complexity("N/A")
        .summary("Tests the registers and the estimate of HyperLogLogs"),
];

/// The bytes of an entry that is a HyperLogLog, with its encoding.
fn registers_of(entry: EntryRef<'_>) -> Result<(&[u8], Encoding), Fail> {
    match entry.string().ok_or(WRONG_TYPE)? {
        Elem::Bytes(bytes) => header::encoding_of(bytes).map(|encoding| (bytes, encoding)),
        Elem::Int(_) => Err(header::not_valid()),
    }
}

// ---- PFADD ----

fn pfadd(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, args) = (ctx.key(1), ctx.args);
    let len_max = ctx.db.settings.hll_sparse_max_bytes;
    let raised = with_write(&mut ctx.db, key, |slot| slot.map(|slot| add_to_slot(slot, args, len_max)).transpose())?;
    let updated = match raised {
        Some(raised) => raised,
        None => {
            let mut bytes = sparse::empty();
            let raised = add(&mut bytes, args, 2, len_max)?;
            header::note_changed(&mut bytes);
            ctx.db.add(key, Value::Str(StrBuf::Raw(bytes)), None);
            raised + 1
        }
    };
    if updated > 0 {
        ctx.db.changed(key.bytes, class::STRING, "pfadd");
        ctx.db.dirty(updated);
    }
    ctx.reply.int(i64::from(updated > 0));
    Ok(())
}

/// Adds elements to a value that is there; answers how many registers rose. Nothing is changed, and no shared value copied, before one must.
fn add_to_slot(mut slot: SlotMut<'_>, args: Args<'_>, len_max: u64) -> Result<u64, Fail> {
    let (bytes, encoding) = registers_of(slot.as_ref())?;
    let mut first = args.len();
    for at in 2..args.len() {
        let (register, rank) = element::place(args.at(at));
        let present = match encoding {
            Encoding::Dense => dense::get(bytes, register),
            Encoding::Sparse => sparse::get(bytes, register)?,
        };
        if present < rank {
            first = at;
            break;
        }
    }
    if first == args.len() {
        return Ok(0);
    }
    let may_fail_late = encoding == Encoding::Sparse && first + 1 < args.len();
    slot.entry().edit_string(|bytes| {
        // With runs that are corrupt, an element may be refused when others have changed the value.
        let before = may_fail_late.then(|| bytes.clone());
        let raised = add(bytes, args, first, len_max);
        if let (Err(_), Some(before)) = (&raised, before) {
            *bytes = before;
        }
        raised
    })
}

/// Adds the elements from an argument on.
fn add(bytes: &mut Vec<u8>, args: Args<'_>, first: usize, len_max: u64) -> Result<u64, Fail> {
    let mut encoding = header::encoding_of(bytes)?;
    let mut raised = 0;
    for at in first..args.len() {
        let (register, rank) = element::place(args.at(at));
        if encoding == Encoding::Sparse {
            match sparse::raise(bytes, register, rank, len_max)? {
                Raised::Not => continue,
                Raised::Yes => {
                    raised += 1;
                    continue;
                }
                Raised::TooLarge => {
                    *bytes = sparse::to_dense(bytes)?;
                    encoding = Encoding::Dense;
                }
            }
        }
        if dense::get(bytes, register) < rank {
            dense::set(bytes, register, rank);
            header::note_changed(bytes);
            raised += 1;
        }
    }
    Ok(raised)
}

// ---- PFCOUNT ----

fn pfcount(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    if ctx.args.len() > 2 {
        return count_many(ctx);
    }
    let key = ctx.key(1);
    let (count, is_cached) = with_read(&mut ctx.db, key, |entry| match entry {
        None => Ok((0, true)),
        Some(entry) => {
            let (bytes, encoding) = registers_of(entry)?;
            match header::cached(bytes) {
                Some(count) => Ok((count, true)),
                None => count_of(bytes, encoding).map(|count| (count, false)),
            }
        }
    })?;
    // A replica's value is its master's to change.
    if !is_cached && (!ctx.db.call.is_replica || ctx.db.call.from_master) {
        if let Some(mut slot) = ctx.db.db_mut().find_mut(key) {
            slot.entry().edit_string(|bytes| header::set_cached(bytes, count));
        }
        ctx.db.touch(key.bytes);
        ctx.db.dirty(1);
    }
    ctx.reply.int(count as i64);
    Ok(())
}

fn count_of(bytes: &[u8], encoding: Encoding) -> Result<u64, Fail> {
    let mut histogram = [0; 64];
    match encoding {
        Encoding::Dense => dense::count(bytes, &mut histogram),
        Encoding::Sparse => sparse::count(bytes, &mut histogram)?,
    }
    Ok(estimate::cardinality(&histogram))
}

fn count_many(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (ranks, _) = merged(ctx)?;
    let mut histogram = [0; 64];
    ranks.iter().for_each(|&rank| histogram[usize::from(rank)] += 1);
    ctx.reply.int(estimate::cardinality(&histogram) as i64);
    Ok(())
}

/// The highest ranks of all keys from argument 1 on, and whether one of them is dense.
fn merged(ctx: &mut Ctx<'_>) -> Result<(Box<[u8; REGISTERS]>, bool), Fail> {
    let mut ranks = Box::new([0; REGISTERS]);
    let mut any_dense = false;
    for at in 1..ctx.args.len() {
        let key = ctx.key(at);
        with_read(&mut ctx.db, key, |entry| {
            let Some(entry) = entry else { return Ok(()) };
            let (bytes, encoding) = registers_of(entry)?;
            any_dense |= encoding == Encoding::Dense;
            match encoding {
                Encoding::Dense => dense::merge_into(&mut ranks, bytes),
                Encoding::Sparse => sparse::merge_into(&mut ranks, bytes)?,
            }
            Ok(())
        })?;
    }
    Ok((ranks, any_dense))
}

// ---- PFMERGE ----

fn pfmerge(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (ranks, any_dense) = merged(ctx)?;
    let key = ctx.key(1);
    let len_max = ctx.db.settings.hll_sparse_max_bytes;
    edit_or_create(&mut ctx.db, key, |bytes| {
        if any_dense || !raise_all(bytes, &ranks, len_max)? {
            // The present ranks are among these.
            let mut dense = dense::empty();
            header::copy_header(bytes, &mut dense);
            dense::fill(&mut dense, &ranks);
            *bytes = dense;
        }
        header::note_changed(bytes);
        Ok(())
    })?;
    ctx.db.changed(key.bytes, class::STRING, "pfadd");
    ctx.db.dirty(1);
    ctx.reply.ok();
    Ok(())
}

/// Raises the registers of a sparse value; answers whether it could stay sparse.
fn raise_all(bytes: &mut Vec<u8>, ranks: &[u8; REGISTERS], len_max: u64) -> Result<bool, Fail> {
    let mut raiser = Raiser::new();
    for (register, &rank) in ranks.iter().enumerate().filter(|(_, rank)| **rank > 0) {
        if raiser.raise(bytes, register, rank, len_max)? == Raised::TooLarge {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Edits the HyperLogLog at a key, which is made when it is not there.
fn edit_or_create<R>(
    data: &mut Data<'_>,
    key: Key<'_>,
    edit: impl FnOnce(&mut Vec<u8>) -> Result<R, Fail>,
) -> Result<R, Fail> {
    let found = with_write(data, key, |slot| match slot {
        None => Err(edit),
        Some(mut slot) => Ok(slot.entry().edit_string(edit)),
    });
    found.unwrap_or_else(|edit| {
        let mut bytes = sparse::empty();
        let result = edit(&mut bytes)?;
        data.add(key, Value::Str(StrBuf::Raw(bytes)), None);
        Ok(result)
    })
}

#[cfg(test)]
mod tests;
