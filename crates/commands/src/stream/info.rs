//! XINFO.

use rivulet_keyspace::Stream;
use rivulet_keyspace::value::stream::{Consumer, Group, Id, Name, Progress, READ_UNKNOWN};
use rivulet_resp::Reply;

use super::ids;
use crate::collections;
use crate::ctx::Ctx;
use crate::fail::{Fail, NO_SUCH_KEY};

/// How much FULL answers of entries and pending ones, unless COUNT says otherwise.
const FULL_COUNT: usize = 10;

/// With FULL, how much of it; 0 is all.
fn full_count(ctx: &Ctx<'_>) -> Result<Option<usize>, Fail> {
    let args = ctx.args;
    match args.len() {
        3 => Ok(None),
        4 if args.is(3, "full") => Ok(Some(FULL_COUNT)),
        6 if args.is(3, "full") && args.is(4, "count") => Ok(Some(usize::try_from(ctx.int(5)?).unwrap_or(FULL_COUNT))),
        _ => Err(super::bad_subcommand(ctx)),
    }
}

pub(super) fn stream(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(2);
    let full = full_count(ctx);
    let reply = &mut ctx.reply;
    collections::read(&mut ctx.db, key, |stream: Option<&Stream>| {
        let stream = stream.ok_or(NO_SUCH_KEY)?;
        match full? {
            None => reply_stream(reply, stream),
            Some(count) => reply_full(reply, stream, count),
        }
        Ok(())
    })?
}

fn reply_known(reply: &mut Reply<'_>, stream: &Stream) {
    let chunks = stream.entries().chunks_len() as i64;
    let int = |reply: &mut Reply<'_>, name: &str, n: i64| {
        reply.bulk(name.as_bytes());
        reply.int(n);
    };
    let id = |reply: &mut Reply<'_>, name: &str, id: Id| {
        reply.bulk(name.as_bytes());
        ids::reply_id(reply, id);
    };
    int(reply, "length", stream.len() as i64);
    int(reply, "radix-tree-keys", chunks);
    int(reply, "radix-tree-nodes", chunks + 1);
    id(reply, "last-generated-id", stream.last_id());
    id(reply, "max-deleted-entry-id", stream.max_deleted_id());
    int(reply, "entries-added", stream.entries_added() as i64);
    id(reply, "recorded-first-entry-id", stream.first_id().unwrap_or_default());
}

fn reply_stream(reply: &mut Reply<'_>, stream: &Stream) {
    reply.map(10);
    reply_known(reply, stream);
    reply.bulk(b"groups");
    reply.int(stream.groups().map_or(0, |groups| groups.len() as i64));
    let first = stream.entries().range(Id::MIN, Id::MAX).next();
    for (name, entry) in [("first-entry", first), ("last-entry", stream.entries().last())] {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => ids::reply_entry(reply, &entry),
            None => reply.null(),
        }
    }
}

fn reply_full(reply: &mut Reply<'_>, stream: &Stream, count: usize) {
    reply.map(9);
    reply_known(reply, stream);
    reply.bulk(b"entries");
    ids::reply_entries(reply, stream.entries().range(Id::MIN, Id::MAX), count);
    reply.bulk(b"groups");
    let groups = || stream.groups().into_iter().flat_map(|groups| groups.iter());
    reply.array(groups().count());
    let most = if count == 0 { usize::MAX } else { count };
    for group in groups() {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(group.name.as_bytes());
        reply_progress(reply, group, stream.progress());
        reply.bulk(b"pel-count");
        reply.int(group.pending().len() as i64);
        reply.bulk(b"pending");
        reply.array(group.pending().len().min(most));
        for pending in group.pending().iter().take(most) {
            reply.array(4);
            ids::reply_id(reply, pending.id);
            reply.bulk(pending.consumer.as_bytes());
            reply.int(pending.delivered_ms);
            reply.int(pending.deliveries as i64);
        }
        reply.bulk(b"consumers");
        reply.array(group.consumers_len());
        group.consumers().for_each(|consumer| reply_full_consumer(reply, group, consumer, most));
    }
}

fn reply_full_consumer(reply: &mut Reply<'_>, group: &Group, consumer: &Consumer, most: usize) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(consumer.name.as_bytes());
    reply.bulk(b"seen-time");
    reply.int(consumer.seen_ms);
    reply.bulk(b"active-time");
    reply.int(consumer.active_ms);
    reply.bulk(b"pel-count");
    reply.int(consumer.pending().len() as i64);
    reply.bulk(b"pending");
    reply.array(consumer.pending().len().min(most));
    for pending in consumer.pending().iter().take(most).filter_map(|id| group.pending().get(id)) {
        reply.array(3);
        ids::reply_id(reply, pending.id);
        reply.int(pending.delivered_ms);
        reply.int(pending.deliveries as i64);
    }
}

/// How far a group has read.
fn reply_progress(reply: &mut Reply<'_>, group: &Group, progress: Progress<'_>) {
    reply.bulk(b"last-delivered-id");
    ids::reply_id(reply, group.last_id);
    let read = (group.entries_read != READ_UNKNOWN).then_some(group.entries_read);
    for (name, n) in [("entries-read", read), ("lag", progress.lag(group))] {
        reply.bulk(name.as_bytes());
        match n {
            Some(n) => reply.int(n),
            None => reply.null(),
        }
    }
}

pub(super) fn groups(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, reply) = (ctx.key(2), &mut ctx.reply);
    collections::read(&mut ctx.db, key, |stream: Option<&Stream>| {
        let stream = stream.ok_or(NO_SUCH_KEY)?;
        reply.array(stream.groups().map_or(0, |groups| groups.len()));
        for group in stream.groups().into_iter().flat_map(|groups| groups.iter()) {
            reply.map(6);
            reply.bulk(b"name");
            reply.bulk(group.name.as_bytes());
            reply.bulk(b"consumers");
            reply.int(group.consumers_len() as i64);
            reply.bulk(b"pending");
            reply.int(group.pending().len() as i64);
            reply_progress(reply, group, stream.progress());
        }
        Ok(())
    })?
}

pub(super) fn consumers(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, name, missing) = (ctx.key(2), Name::new(ctx.args.at(3)), super::no_such_group(ctx));
    let (now_ms, reply) = (ctx.db.now_ms() as i64, &mut ctx.reply);
    collections::read(&mut ctx.db, key, |stream: Option<&Stream>| {
        let group = stream.ok_or(NO_SUCH_KEY)?.group(&name).ok_or(missing)?;
        reply.array(group.consumers_len());
        for consumer in group.consumers() {
            let since = |ms: i64| now_ms.saturating_sub(ms).max(0);
            let inactive = if consumer.active_ms == -1 { -1 } else { since(consumer.active_ms) };
            reply.map(4);
            reply.bulk(b"name");
            reply.bulk(consumer.name.as_bytes());
            for (name, n) in [
                ("pending", consumer.pending().len() as i64),
                ("idle", since(consumer.seen_ms)),
                ("inactive", inactive),
            ] {
                reply.bulk(name.as_bytes());
                reply.int(n);
            }
        }
        Ok(())
    })?
}

pub(super) fn help(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    const LINES: &[&str] = &[
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    The consumers of a group.",
        "GROUPS <key>",
        "    The groups of a stream.",
        "STREAM <key> [FULL [COUNT <count>]]",
        "    What is known of a stream; with FULL also its entries, groups and what is pending.",
        "HELP",
        "    This text.",
    ];
    ctx.reply.array(LINES.len());
    LINES.iter().for_each(|line| ctx.reply.simple(line));
    Ok(())
}
