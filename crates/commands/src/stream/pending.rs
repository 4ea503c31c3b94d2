//! XACK and XPENDING.

use rivulet_keyspace::Stream;
use rivulet_keyspace::value::stream::{Group, Id, Name, Pending};
use rivulet_resp::Reply;

use super::ids;
use crate::collections;
use crate::ctx::Ctx;
use crate::fail::{Fail, SYNTAX};

/// No such key or group, as the commands on what is pending say it.
pub(super) fn no_group(ctx: &Ctx<'_>) -> Fail {
    let (front, middle): (&[u8], &[u8]) = (b"NOGROUP No such key '", b"' or consumer group '");
    Fail::bytes([front, ctx.args.at(1), middle, ctx.args.at(2), b"'"].concat())
}

pub(super) fn xack(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, group) = (ctx.key(1), Name::new(ctx.args.at(2)));
    let has_group = collections::read(&mut ctx.db, key, |stream: Option<&Stream>| {
        stream.is_some_and(|stream| stream.group(&group).is_some())
    })?;
    let mut acknowledged = 0;
    if has_group {
        let ids = ids::all(ctx.args, 3)?;
        let changed = collections::write(&mut ctx.db, key, |stream: Option<&mut Stream>| {
            stream?.change_group(&group, |group, _| ids.iter().filter(|id| group.acknowledge(**id)).count())
        })?;
        acknowledged = changed.unwrap_or(0);
    }
    ctx.db.dirty(acknowledged as u64);
    ctx.reply.int(acknowledged as i64);
    Ok(())
}

/// Which of the pending entries are wanted.
struct Wanted {
    idle_ms_min: i64,
    start: Id,
    end: Id,
    count: usize,
    consumer: Option<Name>,
}

impl Wanted {
    fn parse(ctx: &Ctx<'_>) -> Result<Option<Wanted>, Fail> {
        let args = ctx.args;
        if args.len() == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&args.len()) {
            return Err(SYNTAX);
        }
        let (mut at, mut idle_ms_min) = (3, 0);
        if args.is(3, "idle") {
            idle_ms_min = ctx.int(4)?;
            if args.len() < 8 {
                return Err(SYNTAX);
            }
            at = 5;
        }
        let count = usize::try_from(ctx.int(at + 2)?).unwrap_or(0);
        let (start, end) = (ids::start(args.at(at))?, ids::end(args.at(at + 1))?);
        let consumer = args.get(at + 3).map(Name::new);
        Ok(Some(Wanted { idle_ms_min, start, end, count, consumer }))
    }

    /// What is wanted of a group, in the order of the ids.
    fn select<'g>(&self, group: &'g Group, now_ms: i64) -> Vec<&'g Pending> {
        let is_idle = |pending: &&Pending| {
            self.idle_ms_min == 0 || now_ms.saturating_sub(pending.delivered_ms) >= self.idle_ms_min
        };
        match &self.consumer {
            None => {
                let within = group.pending().iter_from(&self.start).take_while(|pending| pending.id <= self.end);
                within.filter(is_idle).take(self.count).collect()
            }
            Some(name) => {
                let ids =
                    group.consumer(name).into_iter().flat_map(|consumer| consumer.pending().iter_from(&self.start));
                let within = ids.take_while(|id| **id <= self.end).filter_map(|id| group.pending().get(id));
                within.filter(is_idle).take(self.count).collect()
            }
        }
    }
}

pub(super) fn xpending(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let wanted = Wanted::parse(ctx)?;
    let (key, name, missing) = (ctx.key(1), Name::new(ctx.args.at(2)), no_group(ctx));
    let (now_ms, reply) = (ctx.db.now_ms() as i64, &mut ctx.reply);
    collections::read(&mut ctx.db, key, |stream: Option<&Stream>| {
        let group = stream.and_then(|stream| stream.group(&name)).ok_or(missing)?;
        match &wanted {
            None => reply_summary(reply, group),
            Some(wanted) => {
                let selected = wanted.select(group, now_ms);
                reply.array(selected.len());
                selected.into_iter().for_each(|pending| reply_pending(reply, pending, now_ms));
            }
        }
        Ok(())
    })?
}

fn reply_pending(reply: &mut Reply<'_>, pending: &Pending, now_ms: i64) {
    reply.array(4);
    ids::reply_id(reply, pending.id);
    reply.bulk(pending.consumer.as_bytes());
    reply.int(now_ms.saturating_sub(pending.delivered_ms).max(0));
    reply.int(pending.deliveries as i64);
}

/// How many are pending, the first and the last of them, and who has how many.
fn reply_summary(reply: &mut Reply<'_>, group: &Group) {
    let pending = group.pending();
    reply.array(4);
    reply.int(pending.len() as i64);
    let (Some(first), Some(last)) = (pending.nth(0), pending.last()) else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    ids::reply_id(reply, first.id);
    ids::reply_id(reply, last.id);
    let having = || group.consumers().filter(|consumer| !consumer.pending().is_empty());
    reply.array(having().count());
    for consumer in having() {
        reply.array(2);
        reply.bulk(consumer.name.as_bytes());
        reply.bulk_int(consumer.pending().len() as i64);
    }
}
