//! MSETEX: several strings with one time to live.

use rivulet_keyspace::{Deadline, Key};
use rivulet_resp::OwnedArgs;

use super::{Options, deadline_of, put};
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::{Fail, SYNTAX};
use crate::parse;

pub(super) fn msetex(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    const NO_COUNT: Fail = Fail::new("ERR invalid numkeys value or out of range");
    let args = ctx.args;
    let count = parse::int(args.at(1)).ok().and_then(|n| i32::try_from(n).ok()).filter(|&n| n > 0).ok_or(NO_COUNT)?;
    let end = 2 + 2 * count as usize;
    if end > args.len() {
        return Err(SYNTAX);
    }
    let options = Options::of_msetex(args, end)?;
    let until = match options.expiry {
        Some((kind, text)) => Some(deadline_of(kind, text, ctx.db.now_ms(), "msetex")?),
        None => None,
    };
    let keys: Vec<Key<'_>> = (2..end).step_by(2).map(|i| ctx.key(i)).collect();
    let mut holds = true;
    for &key in &keys {
        ctx.db.expire_if_due(key);
        holds = holds && options.condition.is_none_or(|condition| condition.holds(ctx.db.get(key)) == Ok(true));
    }
    if holds {
        for (i, &key) in keys.iter().enumerate() {
            let deadline = if options.keep_ttl { Deadline::Keep } else { Deadline::Set(until) };
            put(&mut ctx.db, key, args.at(3 + 2 * i), deadline);
            if until.is_some() {
                ctx.db.notify(class::GENERIC, "expire", key.bytes);
            }
        }
        if ctx.db.call.propagates {
            propagate(ctx, &keys, until, options.keep_ttl);
        }
    }
    ctx.reply.int(i64::from(holds));
    Ok(())
}

/// Replicas may not know the command: they get SETs, with the time to live as a time.
fn propagate(ctx: &mut Ctx<'_>, keys: &[Key<'_>], until: Option<u64>, keep_ttl: bool) {
    let until = until.map(|ms| ms.to_string());
    let set = |(i, key): (usize, &Key<'_>)| {
        let mut words: Vec<&[u8]> = vec![b"SET", key.bytes, ctx.args.at(3 + 2 * i)];
        if let Some(ms) = &until {
            words.extend([b"PXAT", ms.as_bytes()]);
        } else if keep_ttl {
            words.push(b"KEEPTTL");
        }
        OwnedArgs::from_slices(&words)
    };
    let commands = keys.iter().enumerate().map(set).collect();
    ctx.propagate_all(commands);
}
