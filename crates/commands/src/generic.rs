//! Commands on keys of any type.
//!
//! The rows, and what removes keys or only looks at them; each other noun has a file under `generic/`.

mod copy;
mod dump;
mod expire;
mod object;
pub(crate) mod scan;
mod sort;

use rivulet_resp::Args;

use crate::ctx::Ctx;
use crate::effects::class;
use crate::fail::Fail;
use crate::keys::{for_each, peek, with_read};
use crate::places::{KeyRange, Keys};
use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, Node, acl, flag::*, key};

/// The key that is argument `index`.
const fn at(index: i32, flags: u32) -> KeySpec {
    KeySpec::new(flags, Begin::Index(index), Find::Range { last: 0, step: 1, limit: 0 })
}

/// All arguments are keys.
const fn all(flags: u32) -> KeySpec {
    KeySpec::new(flags, Begin::Index(1), Find::Range { last: -1, step: 1, limit: 0 })
}

/// What MIGRATE does to a key.
const MOVED: u32 = key::RW | key::ACCESS | key::DELETE;
const KEY_ACCESS: &[KeySpec] = &[at(1, key::RO | key::ACCESS)];
const KEY_UPDATE: &[KeySpec] = &[at(1, key::RW | key::UPDATE)];
const KEY_OVERWRITE: &[KeySpec] = &[at(1, key::OW | key::UPDATE)];
const OBJECT_KEY: &[KeySpec] = &[at(2, key::RO)];
const REMOVED: &[KeySpec] = &[all(key::RM | key::DELETE)];
const LOOKED_AT: &[KeySpec] = &[all(key::RO)];
const SORT_PATTERNS: KeySpec = KeySpec::new(key::RO | key::ACCESS, Begin::Unknown, Find::Unknown).notes(
    "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
);
const SORT_STORE: KeySpec = KeySpec::new(key::OW | key::UPDATE, Begin::Unknown, Find::Unknown).notes(
    "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
);

const fn row(name: &'static str, arity: i32, flags: u32, run: fn(&mut Ctx<'_>) -> Result<(), Fail>) -> Command {
    Command::new(name, arity, flags, Group::Generic, Handler::Data(run)).acl(acl::KEYSPACE)
}

pub const COMMANDS: &[Command] = &[
    row("copy", -3, WRITE | DENYOOM, copy::copy)
        .since("6.2.0")
        .complexity("O(N) for collections, O(1) for strings")
        .summary("Copies a key's value to another key")
        .keys(&[at(1, key::RO | key::ACCESS), at(2, key::OW | key::UPDATE)]),
    row("del", -2, WRITE, del)
        .since("1.0.0")
        .complexity("O(N) keys, and O(M) elements of each collection")
        .summary("Removes keys")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .keys(REMOVED),
    row("dump", 2, READONLY, dump::dump)
        .since("2.6.0")
        .complexity("O(1) to find the key, O(N*M) to encode N elements of size M")
        .summary("Answers the value of a key as bytes for RESTORE")
        .tips(&["nondeterministic_output"])
        .keys(KEY_ACCESS),
    row("exists", -2, READONLY | FAST, exists)
        .since("1.0.0")
        .complexity("O(N) keys")
        .summary("Counts the given keys that are there")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .keys(LOOKED_AT),
    row("expire", -3, WRITE | FAST, expire::expire)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Sets when a key expires, in seconds from now")
        .keys(KEY_UPDATE),
    row("expireat", -3, WRITE | FAST, expire::expireat)
        .since("1.2.0")
        .complexity("O(1)")
        .summary("Sets when a key expires, in Unix seconds")
        .keys(KEY_UPDATE),
    row("expiretime", 2, READONLY | FAST, expire::expiretime)
        .since("7.0.0")
        .complexity("O(1)")
        .summary("Answers when a key expires, in Unix seconds")
        .keys(KEY_ACCESS),
    row("keys", 2, READONLY, scan::keys)
        .since("1.0.0")
        .complexity("O(N) over all keys")
        .summary("Lists the keys that a glob pattern matches")
        .acl(acl::DANGEROUS)
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
    Command::new("migrate", -6, WRITE, Group::Generic, Handler::Node(Node::Migrate))
        .since("2.6.0")
        .complexity("DUMP and DEL here, RESTORE there, and O(N) to transfer")
        .summary("Moves keys to another server")
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .tips(&["nondeterministic_output"])
        .get_keys(migrate_keys)
        .keys(&[
            at(3, MOVED),
            KeySpec::new(
                MOVED | key::INCOMPLETE,
                Begin::Keyword("KEYS", -2),
                Find::Range { last: -1, step: 1, limit: 0 },
            ),
        ]),
    row("move", 3, WRITE | FAST, copy::move_key)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Moves a key to another database")
        .keys(&[at(1, key::RW | key::ACCESS | key::UPDATE)]),
    Command::new("object", -2, NONE, Group::Generic, Handler::Container)
        .since("2.2.3")
        .complexity("Depends on the subcommand")
        .summary("Tells how a value is kept")
        .subcommands(&[
            row("encoding", 3, READONLY, object::encoding)
                .since("2.2.3")
                .complexity("O(1)")
                .summary("Names the form in which a value is kept")
                .tips(&["nondeterministic_output"])
                .keys(OBJECT_KEY),
            row("freq", 3, READONLY, object::freq)
                .since("4.0.0")
                .complexity("O(1)")
                .summary("Answers the logarithmic count of accesses to a key")
                .tips(&["nondeterministic_output"])
                .keys(OBJECT_KEY),
            row("help", 2, LOADING | STALE, object::help)
                .since("6.2.0")
                .complexity("O(1)")
                .summary("Lists the subcommands"),
            row("idletime", 3, READONLY, object::idletime)
                .since("2.2.3")
                .complexity("O(1)")
                .summary("Answers the seconds since a key was last used")
                .tips(&["nondeterministic_output"])
                .keys(OBJECT_KEY),
            row("refcount", 3, READONLY, object::refcount)
                .since("2.2.3")
                .complexity("O(1)")
                .summary("Answers how many references there are to a value")
                .tips(&["nondeterministic_output"])
                .keys(OBJECT_KEY),
        ]),
    row("persist", 2, WRITE | FAST, expire::persist)
        .since("2.2.0")
        .complexity("O(1)")
        .summary("Makes a key live for ever")
        .keys(KEY_UPDATE),
    row("pexpire", -3, WRITE | FAST, expire::pexpire)
        .since("2.6.0")
        .complexity("O(1)")
        .summary("Sets when a key expires, in milliseconds from now")
        .keys(KEY_UPDATE),
    row("pexpireat", -3, WRITE | FAST, expire::pexpireat)
        .since("2.6.0")
        .complexity("O(1)")
        .summary("Sets when a key expires, in Unix milliseconds")
        .keys(KEY_UPDATE),
    row("pexpiretime", 2, READONLY | FAST, expire::pexpiretime)
        .since("7.0.0")
        .complexity("O(1)")
        .summary("Answers when a key expires, in Unix milliseconds")
        .keys(KEY_ACCESS),
    row("pttl", 2, READONLY | FAST, expire::pttl)
        .since("2.6.0")
        .complexity("O(1)")
        .summary("Answers how many milliseconds a key has left")
        .tips(&["nondeterministic_output"])
        .keys(KEY_ACCESS),
    row("randomkey", 1, READONLY, scan::randomkey)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Answers a key chosen at random")
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"]),
    row("rename", 3, WRITE, copy::rename)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Gives a key another name")
        .keys(&[at(1, key::RW | key::ACCESS | key::DELETE), at(2, key::OW | key::UPDATE)]),
    row("renamenx", 3, WRITE | FAST, copy::renamenx)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Gives a key another name if that is free")
        .keys(&[at(1, key::RW | key::ACCESS | key::DELETE), at(2, key::OW | key::INSERT)]),
    row("restore", -4, WRITE | DENYOOM, dump::restore)
        .since("2.6.0")
        .complexity("O(1) to make the key, O(N*M) to decode N elements of size M; O(N*M*log(N)) for sorted sets")
        .summary("Makes a key from what DUMP answered")
        .acl(acl::DANGEROUS)
        .keys(KEY_OVERWRITE),
    Command::new("restore-asking", -4, WRITE | DENYOOM | ASKING, Group::Server, Handler::Data(dump::restore))
        .since("3.0.0")
        .complexity("As RESTORE")
        .summary("RESTORE for keys that move between nodes of a cluster")
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .keys(KEY_OVERWRITE),
    row("scan", -2, READONLY, scan::scan)
        .since("2.8.0")
        .complexity("O(1) a call, O(N) for all keys")
        .summary("Answers a part of the keys, and the cursor to go on with")
        .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"]),
    Command::new("sort", -2, WRITE | DENYOOM, Group::Generic, Handler::Data(sort::sort))
        .since("1.0.0")
        .complexity("O(N+M*log(M)) for N elements of which M are answered, O(N) without an order")
        .summary("Sorts the elements of a list, set or sorted set")
        .acl(acl::SET | acl::SORTEDSET | acl::LIST | acl::DANGEROUS)
        .get_keys(sort::keys)
        .keys(&[at(1, key::RO | key::ACCESS), SORT_PATTERNS, SORT_STORE]),
    Command::new("sort_ro", -2, READONLY, Group::Generic, Handler::Data(sort::sort_ro))
        .since("7.0.0")
        .complexity("O(N+M*log(M)) for N elements of which M are answered, O(N) without an order")
        .summary("SORT that can't store")
        .acl(acl::SET | acl::SORTEDSET | acl::LIST | acl::DANGEROUS)
        .get_keys(sort::keys_ro)
        .keys(&[at(1, key::RO | key::ACCESS), SORT_PATTERNS]),
    row("touch", -2, READONLY | FAST, touch)
        .since("3.2.1")
        .complexity("O(N) keys")
        .summary("Marks keys as used and counts those that are there")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .keys(LOOKED_AT),
    row("ttl", 2, READONLY | FAST, expire::ttl)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Answers how many seconds a key has left")
        .tips(&["nondeterministic_output"])
        .keys(KEY_ACCESS),
    row("type", 2, READONLY | FAST, type_of)
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Names the type of a key's value")
        .keys(&[at(1, key::RO)]),
    row("unlink", -2, WRITE | FAST, unlink)
        .since("4.0.0")
        .complexity("O(1) a key; the values are freed on another thread")
        .summary("Removes keys, and frees their values elsewhere")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .keys(REMOVED),
    Command::new("wait", 3, BLOCKING, Group::Generic, Handler::Node(Node::Wait))
        .since("3.0.0")
        .complexity("O(1)")
        .summary("Waits until replicas have what this client wrote")
        .acl(acl::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
    Command::new("waitaof", 4, BLOCKING, Group::Generic, Handler::Node(Node::Waitaof))
        .since("7.2.0")
        .complexity("O(1)")
        .summary("Waits until what this client wrote is durable")
        .acl(acl::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
];

fn del(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let lazy = ctx.db.settings.lazyfree_lazy_user_del;
    remove(ctx, lazy)
}

fn unlink(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    remove(ctx, true)
}

fn remove(ctx: &mut Ctx<'_>, lazy: bool) -> Result<(), Fail> {
    let mut removed = 0;
    for_each(ctx, 1, 1, |ctx, _, key| {
        if ctx.db.delete(key, lazy) {
            ctx.db.changed(key.bytes, class::GENERIC, "del");
            ctx.db.dirty(1);
            removed += 1;
        }
    });
    ctx.reply.int(removed);
    Ok(())
}

fn exists(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let mut found = 0;
    for_each(ctx, 1, 1, |ctx, _, key| found += i64::from(peek(&mut ctx.db, key).is_some()));
    ctx.reply.int(found);
    Ok(())
}

fn touch(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let mut found = 0;
    for_each(ctx, 1, 1, |ctx, _, key| found += with_read(&mut ctx.db, key, |entry| i64::from(entry.is_some())));
    ctx.reply.int(found);
    Ok(())
}

fn type_of(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    let name = peek(&mut ctx.db, key).map_or("none", |entry| entry.value_type().name());
    ctx.reply.simple(name);
    Ok(())
}

/// The key that is argument 3, or those behind KEYS.
fn migrate_keys(args: Args<'_>) -> Keys {
    let mut i = 6;
    while i < args.len() {
        if args.is(i, "keys") {
            // With a key as well it is a syntax error, which the command itself reports.
            let has_keys = args.at(3).is_empty() && i + 1 < args.len();
            return if has_keys { Keys::of(KeyRange::run(i + 1, args.len() - 1, MOVED)) } else { Keys::NONE };
        }
        i += match () {
            () if args.is(i, "auth") => 2,
            () if args.is(i, "auth2") => 3,
            () => 1,
        };
    }
    Keys::of(KeyRange::one(3, MOVED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ClockUse;
    use crate::string;
    use crate::testing::Bench;

    fn bench() -> Bench {
        Bench::new(&[COMMANDS, string::COMMANDS])
    }

    #[test]
    fn removal() {
        let mut b = bench();
        b.run("MSET a 1 b 2 c 3");
        assert_eq!(b.run("EXISTS a a none c"), ":3\r\n");
        assert_eq!(b.run("DEL a none b"), ":2\r\n");
        assert_eq!(b.effects().events, ["del a", "del b"]);
        assert_eq!(b.effects().propagated, ["DEL a none b"]);
        assert_eq!(b.run("UNLINK a"), ":0\r\n");
        assert!(b.effects().propagated.is_empty());
        assert_eq!(b.run("TYPE c"), "+string\r\n");
        assert_eq!(b.run("TYPE a"), "+none\r\n");
        assert_eq!(b.run("TOUCH c a"), ":1\r\n");
    }

    #[test]
    fn deadlines_and_their_conditions() {
        let mut b = bench();
        b.run("SET k v");
        for (line, want) in [
            ("EXPIRE none 10", 0),
            ("EXPIRE k 10 XX", 0),
            ("EXPIRE k 10 GT", 0),
            ("EXPIRE k 10 LT", 1),
            ("EXPIRE k 10 NX", 0),
            ("EXPIRE k 10 GT", 0),
            ("PEXPIRE k 10001 GT", 1),
            ("PEXPIRE k 10002 LT", 0),
            ("TTL k", 10),
            ("PTTL k", 10001),
            ("PEXPIRETIME k", 1_700_000_010_001i64),
            ("EXPIRETIME k", 1_700_000_010),
            ("EXPIREAT k 1700000020 XX GT", 1),
            ("PERSIST k", 1),
            ("PERSIST k", 0),
            ("TTL k", -1),
            ("TTL none", -2),
        ] {
            assert_eq!(b.run(line), format!(":{want}\r\n"), "{line}");
        }
        b.run("expire k 10 nx");
        assert_eq!(b.effects().propagated, ["PEXPIREAT k 1700000010000 nx"]);
        assert_eq!(b.effects().events, ["expire k"]);
        assert_eq!(b.run("EXPIRE k -1"), ":1\r\n");
        assert_eq!(b.effects().propagated, ["DEL k"]);
        for (line, want) in [
            ("EXPIRE k 1 foo", "-ERR Unsupported option foo\r\n"),
            ("EXPIRE k 1 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"),
            ("EXPIRE k 1 LT GT", "-ERR GT and LT options at the same time are not compatible\r\n"),
            ("EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"),
            ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command\r\n"),
        ] {
            assert_eq!(b.run(line), want, "{line}");
        }
    }

    #[test]
    fn a_replica_hides_what_has_expired() {
        let mut b = bench();
        b.run("SET k v PX 100");
        b.advance_ms(101);
        (b.call.is_replica, b.call.keeps_expired) = (true, true);
        assert_eq!(b.run("EXISTS k"), ":0\r\n");
        assert!(b.effects().propagated.is_empty());
        b.call.from_master = true;
        assert_eq!(b.run("EXISTS k"), ":1\r\n");
        assert_eq!(b.run("EXPIRE k -1"), ":1\r\n");
        assert_eq!(b.run("EXISTS k"), ":1\r\n");
    }

    #[test]
    fn what_object_tells() {
        let mut b = bench();
        b.run("MSET i 5 big 10000 e embedded");
        b.run("APPEND r raw");
        b.run("APPEND r more");
        for (key, word) in [("i", "int"), ("e", "embstr"), ("r", "raw")] {
            assert_eq!(b.run(&format!("OBJECT ENCODING {key}")), format!("${}\r\n{word}\r\n", word.len()));
        }
        assert_eq!(b.run("OBJECT REFCOUNT i"), ":2147483647\r\n");
        assert_eq!(b.run("OBJECT REFCOUNT big"), ":1\r\n");
        assert_eq!(b.run("OBJECT ENCODING none"), "$-1\r\n");
        b.advance_ms(7000);
        assert_eq!(b.run("OBJECT IDLETIME i"), ":7\r\n");
        b.run("TOUCH i");
        assert_eq!(b.run("OBJECT IDLETIME i"), ":0\r\n");
        assert!(b.run("OBJECT FREQ i").starts_with("-ERR An LFU maxmemory policy is not selected"));
        b.settings.clock = ClockUse::Lfu { log_factor: 10, decay_minutes: 1 };
        b.run("SET f v");
        assert_eq!(b.run("OBJECT FREQ f"), ":5\r\n");
        assert!(b.run("OBJECT IDLETIME f").starts_with("-ERR An LFU maxmemory policy is selected"));
        assert!(b.run("OBJECT HELP").starts_with("*11\r\n+OBJECT <subcommand>"));
    }

    #[test]
    fn keys_that_migrate_moves() {
        let found = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let keys = migrate_keys(rivulet_resp::OwnedArgs::from_slices(&words).as_args());
            keys.iter().map(|(at, _)| at).collect::<Vec<_>>()
        };
        assert_eq!(found("MIGRATE h 1 k 0 9"), [3]);
        assert_eq!(found("MIGRATE h 1  0 9 AUTH keys KEYS a b"), [9, 10]);
        assert_eq!(found("MIGRATE h 1 k 0 9 KEYS a"), [0; 0]);
        assert_eq!(found("MIGRATE h 1  0 9 KEYS"), [0; 0]);
    }
}
