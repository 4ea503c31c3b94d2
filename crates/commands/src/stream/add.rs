//! XADD and XSETID.

use rivulet_keyspace::value::stream::{BadEntry, Fields, Id};
use rivulet_keyspace::{Elem, Key, Stream};
use rivulet_resp::{Args, OwnedArgs};

use super::ids::{self, Given};
use super::trim::{Options, Trim, Trimmed};
use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::{Fail, NO_SUCH_KEY, SYNTAX};

/// The names and values among the arguments, from `first` on.
struct ArgFields<'a> {
    args: Args<'a>,
    first: usize,
}

impl Fields for ArgFields<'_> {
    #[inline]
    fn count(&self) -> usize {
        (self.args.len() - self.first) / 2
    }

    #[inline]
    fn pair(&self, i: usize) -> (Elem<'_>, Elem<'_>) {
        let at = self.first + 2 * i;
        (Elem::Bytes(self.args.at(at)), Elem::Bytes(self.args.at(at + 1)))
    }
}

/// What XADD is asked for.
struct Asked {
    id: Given,
    id_at: usize,
    creates: bool,
    trim: Option<Trim>,
}

impl Asked {
    fn parse(ctx: &Ctx<'_>) -> Result<Asked, Fail> {
        let (mut options, mut at, mut creates) = (Options::default(), 2, true);
        let id = loop {
            // Whatever is no option is the id, which may be missing.
            let text = ctx.args.get(at).ok_or(Fail::arity("xadd"))?;
            if text == b"*" {
                break Given::Nothing;
            }
            if let Some(next) = options.take(ctx, at)? {
                at = next;
            } else if ctx.args.is(at, "nomkstream") {
                creates = false;
                at += 1;
            } else {
                break ids::given(text)?;
            }
        };
        let trim = options.finish(ctx)?;
        let words = ctx.args.len() - at - 1;
        if words < 2 || words % 2 == 1 {
            return Err(Fail::arity("xadd"));
        }
        if id == Given::Whole(Id::MIN) {
            return Err(Fail::new("ERR The ID specified in XADD must be greater than 0-0"));
        }
        Ok(Asked { id, id_at: at, creates, trim })
    }
}

const TOO_SMALL: Fail = Fail::new("ERR The ID specified in XADD is equal or smaller than the target stream top item");

/// The id that a new entry gets.
fn new_id(given: Given, last_id: Id, now_ms: u64) -> Result<Id, Fail> {
    if last_id == Id::MAX {
        return Err(Fail::new("ERR The stream has exhausted the last possible ID, unable to add more items"));
    }
    match given {
        Given::Whole(id) => Ok(id),
        Given::Nothing if now_ms > last_id.ms => Ok(Id::new(now_ms, 0)),
        Given::Nothing => last_id.next().ok_or(TOO_SMALL),
        Given::Ms(ms) if ms == last_id.ms => last_id.seq.checked_add(1).map(|seq| Id::new(ms, seq)).ok_or(TOO_SMALL),
        Given::Ms(ms) => Ok(Id::new(ms, 0)),
    }
}

pub(super) fn xadd(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let asked = Asked::parse(ctx)?;
    let (key, now_ms, limits) = (ctx.key(1), ctx.db.now_ms(), &ctx.db.settings.limits);
    let fields = ArgFields { args: ctx.args, first: asked.id_at + 1 };
    let add = |stream: &mut Stream| {
        let id = new_id(asked.id, stream.last_id(), now_ms)?;
        stream.append(id, &fields, limits).map_err(|bad| match bad {
            BadEntry::IdTooSmall => TOO_SMALL,
            BadEntry::TooLarge => Fail::new("ERR Elements are too large to be stored"),
        })?;
        Ok((id, asked.trim.map(|trim| trim.apply(stream, key.bytes))))
    };
    let added = if asked.creates {
        Some(collections::write_or_create(&mut ctx.db, key, add)?)
    } else {
        collections::write(&mut ctx.db, key, |stream: Option<&mut Stream>| stream.map(add))?.transpose()?
    };
    let Some((id, trimmed)) = added else {
        ctx.reply.null();
        return Ok(());
    };
    ids::reply_id(&mut ctx.reply, id);
    ctx.db.changed(key.bytes, class::STREAM, "xadd");
    ctx.db.dirty(1);
    let trimmed = trimmed.map(|mut trimmed| {
        trimmed.settle(ctx, key.bytes);
        trimmed
    });
    let is_exact = asked.trim.is_none_or(|trim| trim.is_exact());
    if ctx.db.call.propagates && (!matches!(asked.id, Given::Whole(_)) || !is_exact) {
        propagate(ctx, &asked, id, trimmed);
    }
    ctx.db.make_ready(key.bytes);
    Ok(())
}

/// Replicas get the id that was made, and the trimming as what it did.
fn propagate(ctx: &mut Ctx<'_>, asked: &Asked, id: Id, trimmed: Option<Trimmed>) {
    let args = ctx.args;
    let (exact, more) = trimmed.map_or((None, Vec::new()), |trimmed| (trimmed.exact, trimmed.commands));
    let add = id.with_text(|text| {
        let mut words = Vec::with_capacity(args.len() + 4);
        words.extend_from_slice(&[b"XADD", args.at(1)]);
        if let Some([strategy, threshold]) = &exact {
            words.extend_from_slice(&[strategy, b"=", threshold]);
        }
        words.push(text);
        words.extend(args.iter().skip(asked.id_at + 1));
        OwnedArgs::from_slices(&words)
    });
    ctx.propagate_all(std::iter::once(add).chain(more).collect());
}

pub(super) fn xsetid(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let last_id = ids::strict(ctx.args.at(2), 0)?;
    let (mut added, mut deleted, mut at) = (None, None, 3);
    while at < ctx.args.len() {
        if at + 1 < ctx.args.len() && ctx.args.is(at, "entriesadded") {
            const NEGATIVE: Fail = Fail::new("ERR entries_added must be positive");
            added = Some(u64::try_from(ctx.int(at + 1)?).map_err(|_| NEGATIVE)?);
        } else if at + 1 < ctx.args.len() && ctx.args.is(at, "maxdeletedid") {
            let id = ids::strict(ctx.args.at(at + 1), 0)?;
            if last_id < id {
                return Err(Fail::new(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
            deleted = Some(id);
        } else {
            return Err(SYNTAX);
        }
        at += 2;
    }
    let (key, from_master) = (ctx.key(1), ctx.db.call.from_master);
    collections::write(&mut ctx.db, key, |stream: Option<&mut Stream>| {
        let stream = stream.ok_or(NO_SUCH_KEY)?;
        // A master that is Redis 7.0 takes it.
        if last_id < stream.max_deleted_id() && !from_master {
            return Err(Fail::new("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"));
        }
        set_id(stream, last_id, added, deleted)
    })??;
    set(ctx, key);
    Ok(())
}

fn set(ctx: &mut Ctx<'_>, key: Key<'_>) {
    ctx.db.dirty(1);
    ctx.db.notify(class::STREAM, "xsetid", key.bytes);
    ctx.reply.ok();
}

fn set_id(stream: &mut Stream, last_id: Id, added: Option<u64>, deleted: Option<Id>) -> Result<(), Fail> {
    if let Some(last) = stream.entries().last() {
        if last_id < last.id {
            return Err(Fail::new("ERR The ID specified in XSETID is smaller than the target stream top item"));
        }
        if added.is_some_and(|added| added < stream.len() as u64) {
            return Err(Fail::new(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
    }
    stream.set_last_id(last_id);
    if let Some(added) = added {
        stream.set_entries_added(added);
    }
    if let Some(deleted) = deleted.filter(|id| *id != Id::MIN) {
        stream.set_max_deleted_id(deleted);
    }
    Ok(())
}
