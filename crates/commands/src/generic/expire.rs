//! EXPIRE and its kin, TTL and its kin, PERSIST.

use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::Fail;
use crate::keys::{delete_instead, has_passed, peek, with_write};

/// The unit in which times are given and answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
}

pub(super) fn expire(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let now_ms = ctx.db.now_ms();
    set_deadline(ctx, "expire", Unit::Seconds, now_ms)
}

pub(super) fn pexpire(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let now_ms = ctx.db.now_ms();
    set_deadline(ctx, "pexpire", Unit::Milliseconds, now_ms)
}

pub(super) fn expireat(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    set_deadline(ctx, "expireat", Unit::Seconds, 0)
}

pub(super) fn pexpireat(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    set_deadline(ctx, "pexpireat", Unit::Milliseconds, 0)
}

/// When the new deadline takes the place of the present one.
#[derive(Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    /// From argument 3 on.
    fn parse(ctx: &Ctx<'_>) -> Result<Conditions, Fail> {
        let mut conditions = Conditions::default();
        for i in 3..ctx.args.len() {
            let known = [
                ("nx", &mut conditions.nx),
                ("xx", &mut conditions.xx),
                ("gt", &mut conditions.gt),
                ("lt", &mut conditions.lt),
            ];
            match known.into_iter().find(|(word, _)| ctx.args.is(i, word)) {
                Some((_, given)) => *given = true,
                None => return Err(Fail::bytes([b"ERR Unsupported option ", ctx.args.at(i)].concat())),
            }
        }
        let Conditions { nx, xx, gt, lt } = conditions;
        if nx && (xx || gt || lt) {
            return Err(Fail::new("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if gt && lt {
            return Err(Fail::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// A key without a deadline lives for ever.
    fn allow(&self, new: i64, present: Option<i64>) -> bool {
        !(self.nx && present.is_some()
            || self.xx && present.is_none()
            || self.gt && present.is_none_or(|p| new <= p)
            || self.lt && present.is_some_and(|p| new >= p))
    }
}

fn set_deadline(ctx: &mut Ctx<'_>, name: &str, unit: Unit, base_ms: u64) -> Result<(), Fail> {
    let conditions = Conditions::parse(ctx)?;
    let value = ctx.int(2)?;
    let ms = if unit == Unit::Seconds { value.checked_mul(1000) } else { Some(value) };
    let Some(when) = ms.and_then(|ms| ms.checked_add(base_ms as i64)) else {
        return Err(Fail::text(format!("ERR invalid expire time in '{name}' command")));
    };
    let key = ctx.key(1);
    let present = with_write(&mut ctx.db, key, |slot| slot.map(|s| s.as_ref().deadline()));
    if !present.is_some_and(|p| conditions.allow(when, p.map(|ms| ms as i64))) {
        ctx.reply.int(0);
        return Ok(());
    }
    ctx.reply.int(1);
    if has_passed(&ctx.db, when) {
        let lazy = ctx.db.settings.lazyfree_lazy_expire;
        delete_instead(ctx, key, lazy);
        return Ok(());
    }
    ctx.db.db_mut().set_deadline(key, Some(when.max(0) as u64));
    if name != "pexpireat" {
        let mut buffer = itoa::Buffer::new();
        let when = buffer.format(when).as_bytes();
        let mut words: Vec<&[u8]> = vec![b"PEXPIREAT", key.bytes, when];
        words.extend(ctx.args.iter().skip(3));
        ctx.propagate(&words);
    }
    ctx.db.changed(key.bytes, class::GENERIC, "expire");
    ctx.db.dirty(1);
    Ok(())
}

pub(super) fn ttl(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let now_ms = ctx.db.now_ms();
    reply_deadline(ctx, Unit::Seconds, now_ms)
}

pub(super) fn pttl(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let now_ms = ctx.db.now_ms();
    reply_deadline(ctx, Unit::Milliseconds, now_ms)
}

pub(super) fn expiretime(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    reply_deadline(ctx, Unit::Seconds, 0)
}

pub(super) fn pexpiretime(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    reply_deadline(ctx, Unit::Milliseconds, 0)
}

/// Replies with the deadline counted from `base_ms`; -1 is none, -2 no key.
fn reply_deadline(ctx: &mut Ctx<'_>, unit: Unit, base_ms: u64) -> Result<(), Fail> {
    let key = ctx.key(1);
    let answer = match peek(&mut ctx.db, key).map(|entry| entry.deadline()) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => {
            let ms = deadline.saturating_sub(base_ms) as i64;
            if unit == Unit::Seconds { ms.saturating_add(500) / 1000 } else { ms }
        }
    };
    ctx.reply.int(answer);
    Ok(())
}

pub(super) fn persist(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let expires = with_write(&mut ctx.db, key, |slot| slot.is_some_and(|s| s.as_ref().deadline().is_some()));
    if expires {
        ctx.db.db_mut().set_deadline(key, None);
        ctx.db.changed(key.bytes, class::GENERIC, "persist");
        ctx.db.dirty(1);
    }
    ctx.reply.int(i64::from(expires));
    Ok(())
}
