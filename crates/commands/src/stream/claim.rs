//! XCLAIM and XAUTOCLAIM: pending entries go over to another consumer.

use rivulet_keyspace::Stream;
use rivulet_keyspace::value::stream::{Entries, Group, Id, Name, Pending};
use rivulet_resp::Reply;

use super::ids;
use super::pending::no_group;
use super::propagation::Changes;
use crate::collections;
use crate::ctx::{Call, Ctx};
use crate::effects::class;
use crate::fail::{Fail, SYNTAX};

/// How entries are claimed.
struct Claim {
    consumer: Name,
    now_ms: i64,
    idle_ms_min: i64,
    /// Since when they are pending from then on.
    delivered_ms: i64,
    /// How often they were delivered, if not once more than before.
    deliveries: Option<u64>,
    /// What is not pending becomes so.
    force: bool,
    just_id: bool,
}

/// Entries that have changed hands, or were found to be gone.
#[derive(Default)]
struct Claimed {
    claimed: Vec<Pending>,
    /// What was pending of entries that are not there any more.
    gone: Vec<Pending>,
}

impl Claim {
    /// Claims one entry, and answers whether the client gets it.
    fn one(&self, group: &mut Group, entries: Entries<'_>, id: Id, out: &mut Claimed) -> bool {
        let before = group.pending().get(&id).cloned();
        if !entries.contains(id) {
            if let Some(pending) = before {
                group.acknowledge(id);
                out.gone.push(pending);
            }
            return false;
        }
        let counted = match before {
            Some(pending) if self.is_too_fresh(&pending) => return false,
            Some(pending) => pending.deliveries,
            None if self.force => 1,
            None => return false,
        };
        let deliveries = self.deliveries.unwrap_or(counted.saturating_add(u64::from(!self.just_id)));
        let pending = Pending { id, delivered_ms: self.delivered_ms, deliveries, consumer: self.consumer.clone() };
        group.deliver(pending.clone());
        out.claimed.push(pending);
        true
    }

    /// With no idle time asked for, none is looked at: it may be in the future of a clock that went back.
    fn is_too_fresh(&self, pending: &Pending) -> bool {
        self.idle_ms_min > 0 && self.now_ms.saturating_sub(pending.delivered_ms) < self.idle_ms_min
    }

    fn reply(&self, reply: &mut Reply<'_>, entries: Entries<'_>, id: Id) {
        match entries.get(id) {
            Some(entry) if !self.just_id => ids::reply_entry(reply, &entry),
            _ => ids::reply_id(reply, id),
        }
    }

    /// Makes the consumer if need be; answers whether it is new.
    fn come(&self, group: &mut Group) -> bool {
        let created = group.create_consumer(&self.consumer, self.now_ms);
        if !created {
            group.mark_seen(&self.consumer, self.now_ms, false);
        }
        created
    }

    /// What replicas are told, and how many changes that are.
    fn finish(&self, group: &mut Group, key: &[u8], call: &Call, out: &Claimed, created: bool, moved_on: bool) -> Told {
        if !out.claimed.is_empty() {
            group.mark_seen(&self.consumer, self.now_ms, true);
        }
        let mut changes = Changes::of(key, call);
        changes.all_claimed(group, &out.gone);
        changes.all_claimed(group, &out.claimed);
        if moved_on && changes.commands.is_empty() {
            changes.read_up_to(group);
        }
        if created && out.claimed.is_empty() {
            changes.consumer_created(group, self.consumer.as_bytes());
        }
        let dirty = out.claimed.len() + out.gone.len() + usize::from(created) + usize::from(moved_on);
        Told { dirty, created, commands: changes.commands }
    }
}

/// What follows of a claim.
struct Told {
    dirty: usize,
    created: bool,
    commands: Vec<rivulet_resp::OwnedArgs>,
}

fn settle(ctx: &mut Ctx<'_>, told: Told) {
    if told.created {
        let key = ctx.args.at(1);
        ctx.db.notify(class::STREAM, "xgroup-createconsumer", key);
    }
    ctx.db.dirty(told.dirty as u64);
    ctx.propagate_all(told.commands);
}

/// An integer with an error of its own.
fn int_or(ctx: &Ctx<'_>, at: usize, text: &'static str) -> Result<i64, Fail> {
    ctx.int(at).map_err(|_| Fail::new(text))
}

/// The ids of XCLAIM, and where its options begin.
fn leading_ids(ctx: &Ctx<'_>) -> (Vec<Id>, usize) {
    let ids: Vec<Id> = ctx.args.iter().skip(5).map_while(|text| ids::strict(text, 0).ok()).collect();
    let options_at = 5 + ids.len();
    (ids, options_at)
}

/// The options of XCLAIM; also the last id that the group is to have.
fn options(ctx: &Ctx<'_>, mut at: usize, claim: &mut Claim) -> Result<Id, Fail> {
    let (mut last_id, mut delivered_ms) = (Id::MIN, None);
    let args = ctx.args;
    while at < args.len() {
        let has_more = at + 1 < args.len();
        if args.is(at, "force") {
            claim.force = true;
        } else if args.is(at, "justid") {
            claim.just_id = true;
        } else if has_more && args.is(at, "idle") {
            let idle = int_or(ctx, at + 1, "ERR Invalid IDLE option argument for XCLAIM")?;
            delivered_ms = Some(claim.now_ms.wrapping_sub(idle));
            at += 1;
        } else if has_more && args.is(at, "time") {
            delivered_ms = Some(int_or(ctx, at + 1, "ERR Invalid TIME option argument for XCLAIM")?);
            at += 1;
        } else if has_more && args.is(at, "retrycount") {
            let count = int_or(ctx, at + 1, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
            claim.deliveries = u64::try_from(count).ok();
            at += 1;
        } else if has_more && args.is(at, "lastid") {
            last_id = ids::strict(args.at(at + 1), 0)?;
            at += 1;
        } else {
            return Err(Fail::bytes([b"ERR Unrecognized XCLAIM option '", args.at(at), b"'"].concat()));
        }
        at += 1;
    }
    // A time that makes no sense is the client's clock: now is meant. What the master says is so, whichever clock is ahead.
    let latest = if ctx.db.call.from_master { i64::MAX } else { claim.now_ms };
    claim.delivered_ms = delivered_ms.filter(|ms| (0..=latest).contains(ms)).unwrap_or(claim.now_ms);
    Ok(last_id)
}

pub(super) fn xclaim(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, name) = (ctx.key(1), Name::new(ctx.args.at(2)));
    require_group(ctx, &name)?;
    let idle_ms_min = int_or(ctx, 4, "ERR Invalid min-idle-time argument for XCLAIM")?.max(0);
    let now_ms = ctx.db.now_ms() as i64;
    let mut claim = Claim {
        consumer: Name::new(ctx.args.at(3)),
        now_ms,
        idle_ms_min,
        delivered_ms: now_ms,
        deliveries: None,
        force: false,
        just_id: false,
    };
    let (wanted, options_at) = leading_ids(ctx);
    let last_id = options(ctx, options_at, &mut claim)?;
    let (call, reply) = (ctx.db.call, &mut ctx.reply);
    let told = collections::write(&mut ctx.db, key, |stream: Option<&mut Stream>| {
        stream?.change_group(&name, |group, progress| {
            let moved_on = last_id > group.last_id;
            group.last_id = group.last_id.max(last_id);
            let created = claim.come(group);
            let (begin, mut out) = (reply.begin(), Claimed::default());
            for id in wanted {
                if claim.one(group, progress.entries(), id, &mut out) {
                    claim.reply(reply, progress.entries(), id);
                }
            }
            reply.end(begin, out.claimed.len());
            claim.finish(group, key.bytes, &call, &out, created, moved_on)
        })
    })?;
    if let Some(told) = told {
        settle(ctx, told);
    }
    Ok(())
}

fn require_group(ctx: &mut Ctx<'_>, name: &Name) -> Result<(), Fail> {
    let (key, missing) = (ctx.key(1), no_group(ctx));
    let has_group = collections::read(&mut ctx.db, key, |stream: Option<&Stream>| {
        stream.is_some_and(|stream| stream.group(name).is_some())
    })?;
    if has_group { Ok(()) } else { Err(missing) }
}

/// XAUTOCLAIM looks at so many pending entries for each that it may answer.
const ATTEMPTS_FACTOR: usize = 10;
/// What COUNT may be at most: that of Redis, where ids of so many entries fit an address space.
const COUNT_MAX: i64 = i64::MAX / 16;

/// COUNT and JUSTID of XAUTOCLAIM.
fn auto_options(ctx: &Ctx<'_>) -> Result<(usize, bool), Fail> {
    let (mut count, mut just_id, mut at) = (100, false, 6);
    while at < ctx.args.len() {
        if ctx.args.is(at, "count") && at + 1 < ctx.args.len() {
            const OUT_OF_RANGE: Fail = Fail::new("ERR COUNT must be > 0");
            let given = ctx.int(at + 1).map_err(|_| OUT_OF_RANGE)?;
            count = Some(given).filter(|n| (1..=COUNT_MAX).contains(n)).ok_or(OUT_OF_RANGE)? as usize;
            at += 1;
        } else if ctx.args.is(at, "justid") {
            just_id = true;
        } else {
            return Err(SYNTAX);
        }
        at += 1;
    }
    Ok((count, just_id))
}

pub(super) fn xautoclaim(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, name) = (ctx.key(1), Name::new(ctx.args.at(2)));
    let idle_ms_min = int_or(ctx, 4, "ERR Invalid min-idle-time argument for XAUTOCLAIM")?.max(0);
    let start = ids::start(ctx.args.at(5))?;
    let (count, just_id) = auto_options(ctx)?;
    require_group(ctx, &name)?;
    let now_ms = ctx.db.now_ms() as i64;
    let claim = Claim {
        consumer: Name::new(ctx.args.at(3)),
        now_ms,
        idle_ms_min,
        delivered_ms: now_ms,
        deliveries: None,
        force: false,
        just_id,
    };
    let (call, reply) = (ctx.db.call, &mut ctx.reply);
    let told = collections::write(&mut ctx.db, key, |stream: Option<&mut Stream>| {
        stream?.change_group(&name, |group, progress| {
            let created = claim.come(group);
            let (out, next) = claim.walk(group, progress.entries(), start, count);
            reply.array(3);
            ids::reply_id(reply, next);
            reply.array(out.claimed.len());
            out.claimed.iter().for_each(|pending| claim.reply(reply, progress.entries(), pending.id));
            reply.array(out.gone.len());
            out.gone.iter().for_each(|pending| ids::reply_id(reply, pending.id));
            claim.finish(group, key.bytes, &call, &out, created, false)
        })
    })?;
    if let Some(told) = told {
        settle(ctx, told);
    }
    Ok(())
}

impl Claim {
    /// Claims what is idle from an id on; answers also where to go on, the lowest id at the end.
    fn walk(&self, group: &mut Group, entries: Entries<'_>, start: Id, count: usize) -> (Claimed, Id) {
        const PAGE: usize = 64;
        let (mut out, mut at, mut left) = (Claimed::default(), Some(start), count);
        let mut attempts = count.saturating_mul(ATTEMPTS_FACTOR);
        while let Some(from) = at {
            // The group changes while it is walked over, so a few ids are taken at a time.
            let page: Vec<Id> = group.pending().iter_from(&from).take(PAGE).map(|pending| pending.id).collect();
            let Some(last) = page.last() else { return (out, Id::MIN) };
            at = last.next();
            for id in page {
                if left == 0 || attempts == 0 {
                    return (out, id);
                }
                attempts -= 1;
                let gone = out.gone.len();
                if self.one(group, entries, id, &mut out) || out.gone.len() > gone {
                    left -= 1;
                }
            }
        }
        (out, Id::MIN)
    }
}
