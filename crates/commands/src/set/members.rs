//! SADD, SREM, SMOVE and what is asked about members.

use rivulet_keyspace::Set;

use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::Fail;
use crate::generic::scan::parse_cursor;
use crate::scan_page::ScanPage;

pub(super) fn sadd(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, args) = (ctx.key(1), ctx.args);
    let limits = &ctx.db.settings.limits;
    let added = collections::write_or_create(&mut ctx.db, key, |set: &mut Set| {
        Ok(args.iter().skip(2).filter(|member| set.add(member, limits)).count())
    })?;
    if added > 0 {
        ctx.db.changed(key.bytes, class::SET, "sadd");
        ctx.db.dirty(added as u64);
    }
    ctx.reply.int(added as i64);
    Ok(())
}

pub(super) fn srem(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, args) = (ctx.key(1), ctx.args);
    let (removed, emptied) = collections::write(&mut ctx.db, key, |set: Option<&mut Set>| {
        let Some(set) = set else { return (0, false) };
        let mut removed = 0;
        for member in args.iter().skip(2) {
            if set.remove(member) {
                removed += 1;
                if set.is_empty() {
                    return (removed, true);
                }
            }
        }
        (removed, false)
    })?;
    collections::removed(ctx, key, removed, emptied, class::SET, "srem");
    ctx.reply.int(removed as i64);
    Ok(())
}

pub(super) fn smove(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (from, to, member) = (ctx.key(1), ctx.key(2), ctx.args.at(3));
    let found = collections::write(&mut ctx.db, from, |set: Option<&mut Set>| set.map(|set| set.contains(member)))?;
    let Some(found) = found else {
        ctx.reply.int(0);
        return Ok(());
    };
    collections::write(&mut ctx.db, to, |_: Option<&mut Set>| ())?;
    if !found || from.bytes == to.bytes {
        ctx.reply.int(i64::from(found));
        return Ok(());
    }
    let emptied = collections::write(&mut ctx.db, from, |set: Option<&mut Set>| {
        set.is_some_and(|set| set.remove(member) && set.is_empty())
    })?;
    collections::removed(ctx, from, 1, emptied, class::SET, "srem");
    let limits = &ctx.db.settings.limits;
    if collections::write_or_create(&mut ctx.db, to, |set: &mut Set| Ok(set.add(member, limits)))? {
        ctx.db.changed(to.bytes, class::SET, "sadd");
        ctx.db.dirty(1);
    }
    ctx.reply.int(1);
    Ok(())
}

pub(super) fn scard(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let len = collections::read(&mut ctx.db, key, |set: Option<&Set>| set.map_or(0, Set::len))?;
    ctx.reply.int(len as i64);
    Ok(())
}

pub(super) fn sismember(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, member) = (ctx.key(1), ctx.args.at(2));
    let found = collections::read(&mut ctx.db, key, |set: Option<&Set>| set.is_some_and(|set| set.contains(member)))?;
    ctx.reply.int(i64::from(found));
    Ok(())
}

pub(super) fn smismember(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, args) = (ctx.key(1), ctx.args);
    let reply = &mut ctx.reply;
    collections::read(&mut ctx.db, key, |set: Option<&Set>| {
        reply.array(args.len() - 2);
        for member in args.iter().skip(2) {
            reply.int(i64::from(set.is_some_and(|set| set.contains(member))));
        }
    })
}

pub(super) fn smembers(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let reply = &mut ctx.reply;
    collections::read(&mut ctx.db, key, |set: Option<&Set>| {
        reply.set(set.map_or(0, Set::len));
        set.into_iter().flat_map(Set::iter).for_each(|member| member.with(|member| reply.bulk(member)));
    })
}

pub(super) fn sscan(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let cursor = parse_cursor(ctx.args.at(2))?;
    let Some(set) = ctx.db.read_as::<Set>(ctx.key(1))? else {
        ScanPage::reply_missing(&mut ctx.reply);
        return Ok(());
    };
    let mut page = ScanPage::new(ctx.args)?;
    let next = set.scan(cursor, page.options.count, |member| page.push_pair(member, |_| ()));
    page.reply(&mut ctx.reply, next);
    Ok(())
}
