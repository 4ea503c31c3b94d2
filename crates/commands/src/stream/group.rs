//! XGROUP.

use rivulet_keyspace::value::stream::{Group, Id, Name, READ_UNKNOWN};
use rivulet_keyspace::{Key, Stream};

use super::ids;
use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::Fail;

const NO_KEY: Fail = Fail::new(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
);

/// The options behind the id of CREATE and SETID.
struct Options {
    creates_stream: bool,
    entries_read: i64,
}

impl Options {
    fn parse(ctx: &Ctx<'_>, may_create: bool) -> Result<Options, Fail> {
        let mut options = Options { creates_stream: false, entries_read: READ_UNKNOWN };
        let mut at = 5;
        while at < ctx.args.len() {
            if may_create && ctx.args.is(at, "mkstream") {
                options.creates_stream = true;
            } else if ctx.args.is(at, "entriesread") && at + 1 < ctx.args.len() {
                options.entries_read = ctx.int(at + 1)?;
                if options.entries_read < READ_UNKNOWN {
                    return Err(Fail::new("ERR value for ENTRIESREAD must be positive or -1"));
                }
                at += 1;
            } else {
                return Err(super::bad_subcommand(ctx));
            }
            at += 1;
        }
        Ok(options)
    }
}

/// An id, or `$` for the stream's last one.
fn last_id(text: &[u8], stream: Option<&Stream>) -> Result<Id, Fail> {
    match text {
        b"$" => Ok(stream.map_or(Id::MIN, Stream::last_id)),
        _ => ids::strict(text, 0),
    }
}

fn changed(ctx: &mut Ctx<'_>, key: Key<'_>, event: &'static str) {
    ctx.db.dirty(1);
    ctx.db.notify(class::STREAM, event, key.bytes);
}

pub(super) fn create(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let options = Options::parse(ctx, true)?;
    let (key, name, text) = (ctx.key(2), Name::new(ctx.args.at(3)), ctx.args.at(4));
    let add = |stream: &mut Stream| {
        let group = Group::new(name, last_id(text, Some(stream))?, options.entries_read);
        const BUSY: Fail = Fail::new("BUSYGROUP Consumer Group name already exists");
        if stream.groups_mut().0.add(group) { Ok(()) } else { Err(BUSY) }
    };
    if options.creates_stream {
        ctx.db.expire_if_due(key);
        let is_new = ctx.db.get(key).is_none();
        collections::write_or_create(&mut ctx.db, key, add)?;
        // As in Redis, watchers are told of a stream and not of its groups.
        if is_new {
            ctx.db.touch(key.bytes);
        }
    } else {
        collections::write(&mut ctx.db, key, |stream: Option<&mut Stream>| add(stream.ok_or(NO_KEY)?))??;
    }
    changed(ctx, key, "xgroup-create");
    ctx.reply.ok();
    Ok(())
}

/// Changes a group that must be there.
fn change_group<R>(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut Group) -> R) -> Result<R, Fail> {
    let (key, name) = (ctx.key(2), Name::new(ctx.args.at(3)));
    let missing = super::no_such_group(ctx);
    collections::write(&mut ctx.db, key, |stream: Option<&mut Stream>| {
        stream.ok_or(NO_KEY)?.change_group(&name, |group, _| change(group)).ok_or(missing)
    })?
}

pub(super) fn setid(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let options = Options::parse(ctx, false)?;
    let (key, text) = (ctx.key(2), ctx.args.at(4));
    let newest = ctx.db.get_as::<Stream>(key)?.map(|stream| stream.last_id());
    let id = match text {
        b"$" => Ok(newest.unwrap_or_default()),
        _ => ids::lenient(text, 0),
    };
    change_group(ctx, |group| {
        (group.last_id, group.entries_read) = (id?, options.entries_read);
        Ok(())
    })??;
    changed(ctx, key, "xgroup-setid");
    ctx.reply.ok();
    Ok(())
}

pub(super) fn destroy(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, name) = (ctx.key(2), Name::new(ctx.args.at(3)));
    let removed = collections::write(&mut ctx.db, key, |stream: Option<&mut Stream>| {
        let stream = stream.ok_or(NO_KEY)?;
        let removed = if stream.group(&name).is_some() { stream.groups_mut().0.remove(&name) } else { None };
        Ok(removed)
    })??;
    let was_there = removed.is_some();
    if let Some(group) = removed {
        ctx.db.effects.free_part(group);
        changed(ctx, key, "xgroup-destroy");
        // Who waits for the group gets an error.
        ctx.db.make_ready(key.bytes);
    }
    ctx.reply.int(i64::from(was_there));
    Ok(())
}

pub(super) fn createconsumer(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, consumer, now_ms) = (ctx.key(2), Name::new(ctx.args.at(4)), ctx.db.now_ms() as i64);
    let created = change_group(ctx, |group| group.create_consumer(&consumer, now_ms))?;
    if created {
        changed(ctx, key, "xgroup-createconsumer");
    }
    ctx.reply.int(i64::from(created));
    Ok(())
}

pub(super) fn delconsumer(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, consumer) = (ctx.key(2), Name::new(ctx.args.at(4)));
    let pending = change_group(ctx, |group| group.remove_consumer(&consumer))?;
    if pending.is_some() {
        changed(ctx, key, "xgroup-delconsumer");
    }
    ctx.reply.int(pending.unwrap_or(0) as i64);
    Ok(())
}

pub(super) fn help(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    const LINES: &[&str] = &[
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [MKSTREAM] [ENTRIESREAD <entries-read>]",
        "    Makes a group that reads what comes after the id. MKSTREAM makes the stream as well.",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Makes a consumer of a group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Removes a consumer and what is pending with it; answers how much that was.",
        "DESTROY <key> <groupname>",
        "    Removes a group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD <entries-read>]",
        "    Changes behind which id a group reads on.",
        "HELP",
        "    This text.",
    ];
    ctx.reply.array(LINES.len());
    LINES.iter().for_each(|line| ctx.reply.simple(line));
    Ok(())
}
