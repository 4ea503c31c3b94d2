//! COPY, MOVE, RENAME and RENAMENX: a value gets another place.

use rivulet_keyspace::{Key, Value};

use crate::ctx::{Ctx, Data};
use crate::effects::class;
use crate::fail::{Fail, NO_SUCH_KEY, SYNTAX};
use crate::keys::{db_index, with_read};

const SAME_OBJECT: Fail = Fail::new("ERR source and destination objects are the same");

/// A value with what its key adds to it.
struct Parcel {
    value: Value,
    deadline: Option<u64>,
    clock: u32,
}

/// Puts the parcel at the key, in place of what was there.
fn deliver(data: &mut Data<'_>, key: Key<'_>, parcel: Parcel) {
    data.add(key, parcel.value, parcel.deadline);
    if let Some(entry) = data.db().find(key) {
        entry.set_clock(parcel.clock);
    }
}

/// Takes the value away from a key that is there.
fn collect(data: &mut Data<'_>, key: Key<'_>) -> Option<Parcel> {
    let clock = data.get(key)?.clock();
    let (value, deadline) = data.take(key)?;
    Some(Parcel { value, deadline, clock })
}

fn is_there(data: &mut Data<'_>, key: Key<'_>) -> bool {
    data.expire_if_due(key);
    data.get(key).is_some()
}

pub(super) fn copy(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (mut replace, mut to_db) = (false, ctx.db.index);
    let mut i = 3;
    while i < ctx.args.len() {
        if ctx.args.is(i, "replace") {
            replace = true;
        } else if ctx.args.is(i, "db") && i + 1 < ctx.args.len() {
            to_db = db_index(ctx, i + 1)?;
            i += 1;
        } else {
            return Err(SYNTAX);
        }
        i += 1;
    }
    let (from, to) = (ctx.key(1), ctx.key(2));
    if to_db == ctx.db.index && from.bytes == to.bytes {
        return Err(SAME_OBJECT);
    }
    let fresh = ctx.db.fresh_clock();
    let parcel = with_read(&mut ctx.db, from, |entry| {
        entry.map(|e| Parcel { value: e.clone_value(), deadline: e.deadline(), clock: fresh })
    });
    let copied = ctx.db.in_db(to_db, |data| match parcel {
        None => false,
        Some(_) if is_there(data, to) && !replace => false,
        Some(parcel) => {
            deliver(data, to, parcel);
            data.changed(to.bytes, class::GENERIC, "copy_to");
            data.dirty(1);
            true
        }
    });
    ctx.reply.int(i64::from(copied));
    Ok(())
}

pub(super) fn move_key(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let to_db = db_index(ctx, 2)?;
    if to_db == ctx.db.index {
        return Err(SAME_OBJECT);
    }
    let key = ctx.key(1);
    let free = is_there(&mut ctx.db, key) && !ctx.db.in_db(to_db, |data| is_there(data, key));
    let parcel = if free { collect(&mut ctx.db, key) } else { None };
    let moved = parcel.is_some();
    if let Some(parcel) = parcel {
        ctx.db.in_db(to_db, |data| deliver(data, key, parcel));
        ctx.db.changed(key.bytes, class::GENERIC, "move_from");
        ctx.db.in_db(to_db, |data| data.changed(key.bytes, class::GENERIC, "move_to"));
        ctx.db.dirty(1);
    }
    ctx.reply.int(i64::from(moved));
    Ok(())
}

pub(super) fn rename(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    rename_unless(ctx, false)?;
    ctx.reply.ok();
    Ok(())
}

pub(super) fn renamenx(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let renamed = rename_unless(ctx, true)?;
    ctx.reply.int(i64::from(renamed));
    Ok(())
}

/// Renames the key; with `only_free` only to a name that is free. Answers whether anything changed.
fn rename_unless(ctx: &mut Ctx<'_>, only_free: bool) -> Result<bool, Fail> {
    let (from, to) = (ctx.key(1), ctx.key(2));
    let data = &mut ctx.db;
    if !is_there(data, from) {
        return Err(NO_SUCH_KEY);
    }
    if from.bytes == to.bytes || (is_there(data, to) && only_free) {
        return Ok(false);
    }
    let Some(parcel) = collect(data, from) else { return Err(NO_SUCH_KEY) };
    deliver(data, to, parcel);
    data.touch(from.bytes);
    data.touch(to.bytes);
    data.notify(class::GENERIC, "rename_from", from.bytes);
    data.notify(class::GENERIC, "rename_to", to.bytes);
    data.dirty(1);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::generic;
    use crate::string;
    use crate::testing::Bench;

    fn bench() -> Bench {
        Bench::new(&[generic::COMMANDS, string::COMMANDS])
    }

    #[test]
    fn rename_carries_the_deadline() {
        let mut b = bench();
        b.run("SET a 1 PX 5000");
        b.run("SET b 2");
        assert_eq!(b.run("RENAMENX a b"), ":0\r\n");
        assert_eq!(b.run("RENAME a b"), "+OK\r\n");
        assert_eq!(b.effects().propagated, ["RENAME a b"]);
        assert_eq!(b.effects().events, ["rename_from a", "rename_to b"]);
        assert_eq!(b.effects().touched, ["a", "b"]);
        assert_eq!(b.run("PTTL b"), ":5000\r\n");
        assert_eq!(b.run("RENAME a b"), "-ERR no such key\r\n");
        assert_eq!(b.run("RENAME b b"), "+OK\r\n");
        assert_eq!(b.run("RENAMENX b b"), ":0\r\n");
        assert_eq!(b.effects().dirty, 0);
    }

    #[test]
    fn copy_and_move_between_databases() {
        let mut b = bench();
        b.run("SET a 1 PX 5000");
        assert_eq!(b.run("COPY a a"), "-ERR source and destination objects are the same\r\n");
        assert_eq!(b.run("COPY a b"), ":1\r\n");
        assert_eq!(b.effects().events, ["copy_to b"]);
        assert_eq!(b.run("COPY a b"), ":0\r\n");
        assert_eq!(b.run("COPY a b REPLACE"), ":1\r\n");
        assert_eq!(b.run("COPY a a DB 3"), ":1\r\n");
        assert_eq!(b.run("COPY a a DB 16"), "-ERR DB index is out of range\r\n");
        assert_eq!(b.run("COPY a b nonsense"), "-ERR syntax error\r\n");
        assert_eq!(b.run("MOVE a 3"), ":0\r\n");
        assert_eq!(b.run("MOVE b 3"), ":1\r\n");
        assert_eq!(b.effects().events, ["move_from b", "move_to b"]);
        assert_eq!(b.run("MOVE b 0"), "-ERR source and destination objects are the same\r\n");
        b.db = 3;
        assert_eq!(b.run("PTTL b"), ":5000\r\n");
    }
}
