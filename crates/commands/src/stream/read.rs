//! XREAD and XREADGROUP, also with waiting.

use rivulet_keyspace::value::stream::{Entries, Group, Id, Name, Pending, Progress};
use rivulet_keyspace::{Key, Stream, Type};
use rivulet_resp::{Args, OwnedArgs, Reply};

use super::ids;
use super::propagation::Changes;
use crate::collections;
use crate::ctx::Ctx;
use crate::effects::{Again, Block, OnTimeout, class};
use crate::fail::{Fail, SYNTAX};
use crate::places::{KeyRange, Keys};
use crate::spec::key;

/// The keys of XREAD and XREADGROUP. The options are gone through as [`Asked::parse`] does, as a group and a consumer may be named like one.
pub(super) fn keys(args: Args<'_>) -> Keys {
    let mut at = 1;
    while at + 1 < args.len() {
        if args.is(at, "streams") {
            let count = (args.len() - at - 1) / 2;
            return if count == 0 {
                Keys::NONE
            } else {
                Keys::of(KeyRange::run(at + 1, at + count, key::RO | key::ACCESS))
            };
        }
        at += match () {
            () if args.is(at, "group") => 3,
            () if args.is(at, "block") || args.is(at, "count") => 2,
            () => 1,
        };
    }
    Keys::NONE
}

/// Who reads for a group.
struct Reader {
    group: Name,
    consumer: Name,
    /// What is delivered need not be acknowledged.
    no_ack: bool,
}

/// What a client asks for, but for the places from which it reads.
struct Asked {
    reader: Option<Reader>,
    /// At most so many entries of each stream; 0 is no limit.
    count: usize,
    /// Whether it waits, and for how many ms.
    wait: Option<Option<u64>>,
    /// Where the keys begin, and how many there are; as many ids follow.
    keys_at: usize,
    keys: usize,
}

impl Asked {
    fn parse(ctx: &Ctx<'_>, for_group: bool) -> Result<Asked, Fail> {
        let args = ctx.args;
        let mut asked = Asked { reader: None, count: 0, wait: None, keys_at: 0, keys: 0 };
        let (mut names, mut no_ack, mut at) = (None, false, 1);
        while at < args.len() {
            let more = args.len() - at - 1;
            if args.is(at, "block") && more >= 1 {
                asked.wait = Some(crate::parse::timeout_ms(args.at(at + 1), ctx.db.now_ms())?);
                at += 1;
            } else if args.is(at, "count") && more >= 1 {
                asked.count = usize::try_from(ctx.int(at + 1)?).unwrap_or(0);
                at += 1;
            } else if args.is(at, "streams") && more >= 1 {
                (asked.keys_at, asked.keys) = (at + 1, more / 2);
                if more % 2 == 1 {
                    return Err(unbalanced(for_group));
                }
                break;
            } else if args.is(at, "group") && more >= 2 {
                only_for_groups("GROUP", for_group)?;
                names = Some((Name::new(args.at(at + 1)), Name::new(args.at(at + 2))));
                at += 2;
            } else if args.is(at, "noack") {
                only_for_groups("NOACK", for_group)?;
                no_ack = true;
            } else {
                return Err(SYNTAX);
            }
            at += 1;
        }
        if asked.keys_at == 0 {
            return Err(SYNTAX);
        }
        asked.reader = names.map(|(group, consumer)| Reader { group, consumer, no_ack });
        if for_group && asked.reader.is_none() {
            return Err(Fail::new("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(asked)
    }

    fn key<'a>(&self, ctx: &Ctx<'a>, i: usize) -> Key<'a> {
        ctx.key(self.keys_at + i)
    }

    fn id_at(&self, i: usize) -> usize {
        self.keys_at + self.keys + i
    }
}

fn unbalanced(for_group: bool) -> Fail {
    let (name, ids) = if for_group { ("xreadgroup", "an ID or '>'") } else { ("xread", "an ID, '+', or '$'") };
    Fail::text(format!("ERR Unbalanced '{name}' list of streams: for each stream key {ids} must be specified."))
}

fn only_for_groups(option: &str, for_group: bool) -> Result<(), Fail> {
    let text = format!("ERR The {option} option is only supported by XREADGROUP. You called XREAD instead.");
    if for_group { Ok(()) } else { Err(Fail::text(text)) }
}

/// Begins the reply of a stream, behind that of all.
fn reply_key(reply: &mut Reply<'_>, key: &[u8]) {
    if !reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(key);
}

fn reply_streams(reply: &mut Reply<'_>, count: usize) {
    if reply.is_resp3() { reply.map(count) } else { reply.array(count) }
}

/// The entries behind an id.
fn behind(entries: Entries<'_>, id: Id) -> impl Iterator<Item = rivulet_keyspace::value::stream::Entry<'_>> {
    id.next().into_iter().flat_map(move |start| entries.range(start, Id::MAX))
}

// ---- without a group ----

pub(super) fn xread(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let asked = Asked::parse(ctx, false)?;
    let mut places = Vec::with_capacity(asked.keys);
    for i in 0..asked.keys {
        let (key, text) = (asked.key(ctx, i), ctx.args.at(asked.id_at(i)));
        let (after, serves) = collections::read(&mut ctx.db, key, |stream: Option<&Stream>| {
            let after = after(stream, text)?;
            Ok::<_, Fail>((after, stream.is_some_and(|stream| stream.entries().has_behind(after))))
        })??;
        places.push((i, after, serves));
    }
    let served = places.iter().filter(|(.., serves)| *serves);
    let count = served.clone().count();
    if count == 0 {
        wait(ctx, &asked, Type::Stream, |i| Some(places[i].1));
        return Ok(());
    }
    reply_streams(&mut ctx.reply, count);
    for (i, after, _) in served {
        let key = asked.key(ctx, *i);
        reply_key(&mut ctx.reply, key.bytes);
        if let Some(stream) = ctx.db.get_as::<Stream>(key)? {
            ids::reply_entries(&mut ctx.reply, behind(stream.entries(), *after), asked.count);
        }
    }
    Ok(())
}

/// Behind which id the client reads.
fn after(stream: Option<&Stream>, text: &[u8]) -> Result<Id, Fail> {
    match text {
        b"$" => Ok(stream.map_or(Id::MIN, Stream::last_id)),
        // The last entry that is there, as since Redis 7.4.
        b"+" => {
            let last = stream.and_then(|stream| stream.entries().last());
            Ok(last.and_then(|last| last.id.prev()).unwrap_or_else(|| stream.map_or(Id::MIN, Stream::last_id)))
        }
        b">" => Err(Fail::new(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        _ => ids::strict(text, 0),
    }
}

/// Waits for one of the streams, or answers at once what the client would get at the deadline if it can't wait or does not want to. `from` tells
/// the ids that are to stand in the command when it runs again.
fn wait(ctx: &mut Ctx<'_>, asked: &Asked, value_type: Type, from: impl Fn(usize) -> Option<Id>) {
    let Some(timeout_ms) = asked.wait.filter(|_| !ctx.db.call.deny_blocking) else {
        return ctx.reply.null_array();
    };
    let args = ctx.args;
    let first_id = asked.id_at(0);
    let texts: Vec<Option<Vec<u8>>> = (0..asked.keys).map(|i| from(i).map(ids::text)).collect();
    let words: Vec<&[u8]> = (0..args.len())
        .map(|i| match i.checked_sub(first_id).and_then(|i| texts[i].as_deref()) {
            Some(id) => id,
            None => args.at(i),
        })
        .collect();
    let keys = (0..asked.keys).map(|i| args.at(asked.keys_at + i).into()).collect();
    ctx.db.effects.block = Some(Block {
        keys,
        value_type,
        ends_with_key: asked.reader.is_some(),
        again: Again::Command(OwnedArgs::from_slices(&words)),
        timeout_ms,
        on_timeout: OnTimeout::NullArray,
    });
}

// ---- for a group ----

/// What a consumer reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// What nobody of the group has got.
    New,
    /// What it has got behind this id, and not acknowledged.
    History(Id),
}

impl From {
    fn parse(text: &[u8]) -> Result<From, Fail> {
        let meaningless = |id: char| {
            Fail::text(format!(
                "ERR The {id} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a \
                 proper ID, or use the > ID to get new messages. The {id} ID would just return an empty result set."
            ))
        };
        match text {
            b"$" => Err(meaningless('$')),
            b"+" => Err(meaningless('+')),
            b">" => Ok(From::New),
            _ => match ids::strict(text, 0)? {
                // The highest id stands for the new ones.
                Id::MAX => Ok(From::New),
                id => Ok(From::History(id)),
            },
        }
    }
}

pub(super) fn xreadgroup(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let asked = Asked::parse(ctx, true)?;
    let Some(reader) = &asked.reader else { return Err(SYNTAX) };
    let mut places = Vec::with_capacity(asked.keys);
    for i in 0..asked.keys {
        let key = asked.key(ctx, i);
        let has_group = collections::read(&mut ctx.db, key, |stream: Option<&Stream>| {
            stream.is_some_and(|stream| stream.group(&reader.group).is_some())
        })?;
        if !has_group {
            return Err(no_group(key.bytes, &reader.group));
        }
        places.push(From::parse(ctx.args.at(asked.id_at(i)))?);
    }
    let (begin, mut served, mut commands) = (ctx.reply.begin(), 0, Vec::new());
    for (i, from) in places.into_iter().enumerate() {
        served += usize::from(serve(ctx, &asked, reader, asked.key(ctx, i), from, &mut commands)?);
    }
    ctx.propagate_all(commands);
    if served == 0 {
        wait(ctx, &asked, Type::Stream, |_| None);
    } else {
        ctx.reply.end_map_or_array(begin, served);
    }
    Ok(())
}

/// Replies with what a consumer gets of one stream, if there is anything; answers whether there was.
fn serve(
    ctx: &mut Ctx<'_>,
    asked: &Asked,
    reader: &Reader,
    key: Key<'_>,
    from: From,
    commands: &mut Vec<OwnedArgs>,
) -> Result<bool, Fail> {
    let (now_ms, reply) = (ctx.db.now_ms() as i64, &mut ctx.reply);
    let mut delivery = Delivery { reader, now_ms, count: asked.count, changes: Changes::of(key.bytes, &ctx.db.call) };
    let done = collections::write(&mut ctx.db, key, |stream: Option<&mut Stream>| {
        stream?.change_group(&reader.group, |group, progress| {
            let (created, serves) = come(group, progress, reader, from, now_ms);
            match from {
                _ if !serves => {}
                From::New => {
                    reply_key(reply, key.bytes);
                    delivery.new_entries(group, progress, reply);
                }
                From::History(after) => {
                    reply_key(reply, key.bytes);
                    delivery.history(group, progress.entries(), after, reply);
                }
            }
            // What is claimed makes the consumer as well.
            if created && (reader.no_ack || delivery.changes.commands.is_empty()) {
                delivery.changes.consumer_created(group, reader.consumer.as_bytes());
            }
            (created, serves)
        })
    })?;
    let (created, serves) = done.unwrap_or_default();
    commands.append(&mut delivery.changes.commands);
    if created {
        ctx.db.notify(class::STREAM, "xgroup-createconsumer", key.bytes);
    }
    ctx.db.dirty(u64::from(created || serves));
    Ok(serves)
}

fn no_group(key: &[u8], group: &Name) -> Fail {
    let (front, middle, end): (&[u8], &[u8], &[u8]) =
        (b"NOGROUP No such key '", b"' or consumer group '", b"' in XREADGROUP with GROUP option");
    Fail::bytes([front, key, middle, group.as_bytes(), end].concat())
}

/// A consumer asks: it is made if need be, and marked as seen. Answers whether it was made, and whether there is something for it.
fn come(group: &mut Group, progress: Progress<'_>, reader: &Reader, from: From, now_ms: i64) -> (bool, bool) {
    let created = group.create_consumer(&reader.consumer, now_ms);
    if !created {
        group.mark_seen(&reader.consumer, now_ms, false);
    }
    let serves = match from {
        From::History(_) => true,
        From::New => progress.entries().has_behind(group.last_id),
    };
    (created, serves)
}

/// Entries on their way to a consumer.
struct Delivery<'a> {
    reader: &'a Reader,
    now_ms: i64,
    count: usize,
    changes: Changes<'a>,
}

impl Delivery<'_> {
    fn new_entries(&mut self, group: &mut Group, progress: Progress<'_>, reply: &mut Reply<'_>) {
        let mut delivered = Vec::new();
        let begin = reply.begin();
        let most = if self.count == 0 { usize::MAX } else { self.count };
        for entry in behind(progress.entries(), group.last_id).take(most) {
            ids::reply_entry(reply, &entry);
            progress.advance(group, entry.id);
            delivered.push(entry.id);
        }
        reply.end(begin, delivered.len());
        if !self.reader.no_ack {
            group.deliver_all(&self.reader.consumer, &delivered, self.now_ms);
            group.mark_seen(&self.reader.consumer, self.now_ms, true);
            let consumer = self.reader.consumer.clone();
            let like = Pending { id: Id::MIN, delivered_ms: self.now_ms, deliveries: 1, consumer };
            self.changes.claimed(group, &like, &delivered);
        }
        self.changes.read_up_to(group);
    }

    /// Replicas are told how often an entry was delivered, so that they have the same.
    fn history(&mut self, group: &mut Group, entries: Entries<'_>, after: Id, reply: &mut Reply<'_>) {
        let most = if self.count == 0 { usize::MAX } else { self.count };
        let pending: Vec<Id> = match (group.consumer(&self.reader.consumer), after.next()) {
            (Some(consumer), Some(start)) => consumer.pending().iter_from(&start).take(most).copied().collect(),
            _ => Vec::new(),
        };
        reply.array(pending.len());
        let mut delivered = Vec::new();
        for id in pending {
            let Some(entry) = entries.get(id) else {
                reply.array(2);
                ids::reply_id(reply, id);
                reply.null_array();
                continue;
            };
            ids::reply_entry(reply, &entry);
            let deliveries = group.pending().get(&id).map_or(1, |pending| pending.deliveries.saturating_add(1));
            group.redeliver(id, self.now_ms, deliveries);
            delivered.extend(group.pending().get(&id).cloned());
        }
        self.changes.all_claimed(group, &delivered);
    }
}
