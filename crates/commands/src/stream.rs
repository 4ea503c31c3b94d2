//! Commands on streams.
//!
//! The rows are here; each noun has a file under `stream/`.

mod add;
mod claim;
mod delete;
mod group;
mod ids;
mod info;
mod pending;
mod propagation;
mod range;
mod read;
mod references;
mod trim;

use crate::ctx::Ctx;
use crate::fail::Fail;
use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, acl, flag::*, key};

const fn row(name: &'static str, arity: i32, flags: u32, run: fn(&mut Ctx<'_>) -> Result<(), Fail>) -> Command {
    Command::new(name, arity, flags, Group::Stream, Handler::Data(run)).acl(acl::STREAM)
}

/// The key that is argument `index`.
const fn at(index: i32, flags: u32) -> KeySpec {
    KeySpec::new(flags, Begin::Index(index), Find::Range { last: 0, step: 1, limit: 0 })
}

/// The first half of what follows STREAMS.
const fn after_streams(from: i32) -> KeySpec {
    let half = Find::Range { last: -1, step: 1, limit: 2 };
    KeySpec::new(key::RO | key::ACCESS, Begin::Keyword("STREAMS", from), half)
}

const KEY_ADD: &[KeySpec] =
    &[at(1, key::RW | key::UPDATE).notes("UPDATE instead of INSERT because of the optional trimming feature")];
const KEY_LOOK: &[KeySpec] = &[at(1, key::RO)];
const KEY_READ: &[KeySpec] = &[at(1, key::RO | key::ACCESS)];
const KEY_UPDATE: &[KeySpec] = &[at(1, key::RW | key::UPDATE)];
const KEY_DELETE: &[KeySpec] = &[at(1, key::RW | key::DELETE)];
const KEY_UPDATE_DELETE: &[KeySpec] = &[at(1, key::RW | key::UPDATE | key::DELETE)];
const SECOND_INSERT: &[KeySpec] = &[at(2, key::RW | key::INSERT)];
const SECOND_UPDATE: &[KeySpec] = &[at(2, key::RW | key::UPDATE)];
const SECOND_DELETE: &[KeySpec] = &[at(2, key::RW | key::DELETE)];
const SECOND_READ: &[KeySpec] = &[at(2, key::RO | key::ACCESS)];

const RANDOM: &[&str] = &["nondeterministic_output"];

pub const COMMANDS: &[Command] = &[
    row("xadd", -5, WRITE | DENYOOM | FAST, add::xadd)
        .since("5.0.0")
        .complexity("O(1), and O(N) for N entries that are trimmed")
        .summary("Adds an entry, and trims the stream if asked to")
        .tips(RANDOM)
        .keys(KEY_ADD),
    row("xrange", -4, READONLY, range::xrange)
        .since("5.0.0")
        .complexity("O(log(N)+M) for M entries answered")
        .summary("Answers the entries in a range of IDs")
        .keys(KEY_READ),
    row("xrevrange", -4, READONLY, range::xrevrange)
        .since("5.0.0")
        .complexity("O(log(N)+M) for M entries answered")
        .summary("Answers the entries in a range of IDs, the highest first")
        .keys(KEY_READ),
    row("xlen", 2, READONLY | FAST, range::xlen)
        .since("5.0.0")
        .complexity("O(1)")
        .summary("Counts the entries")
        .keys(KEY_LOOK),
    row("xread", -4, READONLY | BLOCKING, read::xread)
        .since("5.0.0")
        .complexity("O(M) for M entries answered")
        .summary("Answers the entries of several streams behind given IDs, or waits for some")
        .keys(&[after_streams(1)])
        .get_keys(read::keys),
    row("xreadgroup", -7, WRITE | BLOCKING, read::xreadgroup)
        .since("5.0.0")
        .complexity("O(M) for M entries answered")
        .summary(
            "Delivers new entries to a consumer of a group, or waits for some, or answers what it has not acknowledged",
        )
        .keys(&[after_streams(4)])
        .get_keys(read::keys),
    row("xack", -4, WRITE | FAST, pending::xack)
        .since("5.0.0")
        .complexity("O(1) for each ID")
        .summary("Acknowledges entries that were delivered to a group")
        .keys(KEY_UPDATE),
    row("xackdel", -6, WRITE | FAST, delete::xackdel)
        .since("8.2.0")
        .complexity("O(1) for each ID")
        .summary("Acknowledges entries that were delivered to a group, and deletes them")
        .keys(KEY_UPDATE_DELETE),
    row("xclaim", -6, WRITE | FAST, claim::xclaim)
        .since("5.0.0")
        .complexity("O(log N) for N pending entries")
        .summary("Gives pending entries to another consumer")
        .tips(RANDOM)
        .keys(KEY_UPDATE),
    row("xautoclaim", -6, WRITE | FAST, claim::xautoclaim)
        .since("6.2.0")
        .complexity("O(1) if COUNT is small")
        .summary("Gives pending entries that have been idle to another consumer")
        .tips(RANDOM)
        .keys(KEY_DELETE),
    row("xpending", -3, READONLY, pending::xpending)
        .since("5.0.0")
        .complexity("O(N) for N entries answered, or looked at with IDLE; the summary O(N) for N consumers")
        .summary("Tells what was delivered to a group and not acknowledged")
        .tips(RANDOM)
        .keys(KEY_READ),
    row("xdel", -3, WRITE | FAST, delete::xdel)
        .since("5.0.0")
        .complexity("O(1) for each ID")
        .summary("Deletes entries")
        .keys(KEY_DELETE),
    row("xdelex", -5, WRITE | FAST, delete::xdelex)
        .since("8.2.0")
        .complexity("O(1) for each ID")
        .summary("Deletes entries, and says what becomes of the references that groups have to them")
        .keys(KEY_UPDATE_DELETE),
    row("xtrim", -4, WRITE, trim::xtrim)
        .since("5.0.0")
        .complexity("O(log(N)), and O(M) in another thread for M entries that are trimmed")
        .summary("Deletes the oldest entries")
        .tips(RANDOM)
        .keys(KEY_DELETE),
    row("xsetid", -3, WRITE | DENYOOM | FAST, add::xsetid)
        .since("5.0.0")
        .complexity("O(1)")
        .summary("Sets the last ID of a stream, for replication")
        .keys(KEY_UPDATE),
    Command::new("xgroup", -2, NONE, Group::Stream, Handler::Container)
        .since("5.0.0")
        .complexity("Depends on the subcommand")
        .summary("Manages the groups of a stream")
        .subcommands(XGROUP),
    Command::new("xinfo", -2, NONE, Group::Stream, Handler::Container)
        .since("5.0.0")
        .complexity("Depends on the subcommand")
        .summary("Tells about a stream, its groups and their consumers")
        .subcommands(XINFO),
];

const XGROUP: &[Command] = &[
    row("create", -5, WRITE | DENYOOM, group::create)
        .since("5.0.0")
        .complexity("O(1)")
        .summary("Makes a group")
        .keys(SECOND_INSERT),
    row("createconsumer", 5, WRITE | DENYOOM, group::createconsumer)
        .since("6.2.0")
        .complexity("O(1)")
        .summary("Makes a consumer of a group")
        .keys(SECOND_INSERT),
    row("delconsumer", 5, WRITE, group::delconsumer)
        .since("5.0.0")
        .complexity("O(N) for N entries that are pending with the consumer")
        .summary("Removes a consumer of a group")
        .keys(SECOND_DELETE),
    row("destroy", 4, WRITE, group::destroy)
        .since("5.0.0")
        .complexity("O(log(N)) for N groups")
        .summary("Removes a group")
        .keys(SECOND_DELETE),
    row("help", 2, LOADING | STALE, group::help).since("5.0.0").complexity("O(1)").summary("Lists the subcommands"),
    row("setid", -5, WRITE, group::setid)
        .since("5.0.0")
        .complexity("O(1)")
        .summary("Sets behind which ID a group reads on")
        .keys(SECOND_UPDATE),
];

const XINFO: &[Command] = &[
    row("consumers", 4, READONLY, info::consumers)
        .since("5.0.0")
        .complexity("O(N) for N consumers")
        .summary("Lists the consumers of a group")
        .tips(RANDOM)
        .keys(SECOND_READ),
    row("groups", 3, READONLY, info::groups)
        .since("5.0.0")
        .complexity("O(N) for N groups")
        .summary("Lists the groups of a stream")
        .keys(SECOND_READ),
    row("help", 2, LOADING | STALE, info::help).since("5.0.0").complexity("O(1)").summary("Lists the subcommands"),
    row("stream", -3, READONLY, info::stream)
        .since("5.0.0")
        .complexity("O(N) for N chunks of entries")
        .summary("Tells about a stream")
        .keys(SECOND_READ),
];

/// The words of a subcommand are not what it takes.
fn bad_subcommand(ctx: &Ctx<'_>) -> Fail {
    let (front, middle, end): (&[u8], &[u8], &[u8]) =
        (b"ERR unknown subcommand or wrong number of arguments for '", b"'. Try ", b" HELP.");
    Fail::bytes([front, ctx.args.at(1), middle, &ctx.args.at(0).to_ascii_uppercase(), end].concat())
}

/// No such group, as the subcommands say it.
fn no_such_group(ctx: &Ctx<'_>) -> Fail {
    let (front, middle): (&[u8], &[u8]) = (b"NOGROUP No such consumer group '", b"' for key name '");
    Fail::bytes([front, ctx.args.at(3), middle, ctx.args.at(2), b"'"].concat())
}

#[cfg(test)]
mod tests;
