//! The patterns of all commands, and the random words in them.

use crate::random::Rng;

use crate::grammar::{self, Part};

/// How often, and what. Classes in capitals are keys of that type (mostly).
const PATTERNS: &[(u32, &str)] = &[
    // Strings.
    (6, "SET {S} {value} [NX|XX] [GET] [KEEPTTL|EX {far}|PX {far-ms}|EXAT 4000000500|PXAT 4000000500000]"),
    (2, "SET {any} {value} [(NX|XX|GET|KEEPTTL|EX {far})+]"),
    (3, "GET {S}"),
    (1, "SETNX {S} {value}"),
    (1, "SETEX {S} {far} {value}"),
    (1, "PSETEX {S} {far-ms} {value}"),
    (1, "GETSET {S} {value}"),
    (1, "GETDEL {S}"),
    (2, "GETEX {S} [EX {far}|PX {far-ms}|EXAT {at}|PXAT {at-ms}|PERSIST]"),
    (1, "MGET {any}+"),
    (1, "MSET ({S} {value})+"),
    (1, "MSETNX ({S} {value})+"),
    (3, "APPEND {S} {value}"),
    (1, "STRLEN {S}"),
    (2, "(GETRANGE|SUBSTR) {S} {index} {index}"),
    (2, "SETRANGE {S} {offset} {value}"),
    (2, "(INCR|DECR) {N}"),
    (2, "(INCRBY|DECRBY) {N} {int}"),
    (2, "INCRBYFLOAT {N} {float}"),
    (1, "LCS {S} {S} [LEN|IDX [MINMATCHLEN {small}] [WITHMATCHLEN]]"),
    // Bits.
    (2, "SETBIT {S} {offset} (0|1|{int})"),
    (1, "GETBIT {S} {offset}"),
    (2, "BITCOUNT {S} [{index} {index} [BYTE|BIT]]"),
    (2, "BITPOS {S} (0|1|{int}) [{index} [{index} [BYTE|BIT]]]"),
    (1, "BITOP (AND|OR|XOR) {S} {S}+"),
    (1, "BITOP NOT {S} {S}"),
    (
        2,
        "BITFIELD {S} (GET {bits} {bit-at}|SET {bits} {bit-at} {int}|INCRBY {bits} {bit-at} {int}|OVERFLOW (WRAP|SAT))+",
    ),
    (1, "BITFIELD_RO {S} (GET {bits} {bit-at})+"),
    // HyperLogLogs.
    (3, "PFADD {P} {item}+"),
    (1, "PFADD {P} [{count}+]"),
    (2, "PFCOUNT {P} [{P}+]"),
    (1, "PFMERGE {P} [{P}+]"),
    (1, "PFDEBUG (ENCODING|DECODE|TODENSE) {P}"),
    // Places.
    (4, "GEOADD {G} [NX|XX] [CH] ({longitude} {latitude} {member})+"),
    (1, "GEODIST {G} {member} {member} [{unit}]"),
    (1, "(GEOHASH|GEOPOS) {G} {member}+"),
    (
        2,
        "GEORADIUS {G} {longitude} {latitude} {distance} {unit} [WITHDIST] [WITHHASH] [WITHCOORD] [COUNT {count} [ANY]] [ASC|DESC]",
    ),
    (1, "GEORADIUS {G} {longitude} {latitude} {distance} {unit} (STORE|STOREDIST) {Z}"),
    (
        1,
        "(GEORADIUSBYMEMBER|GEORADIUSBYMEMBER_RO) {G} {member} {distance} {unit} [WITHDIST] [COUNT {count} [ANY]] [ASC|DESC]",
    ),
    (
        2,
        "GEOSEARCH {G} (FROMMEMBER {member}|FROMLONLAT {longitude} {latitude}) (BYRADIUS {distance} {unit}|BYBOX {distance} {distance} {unit}) [WITHDIST] [WITHHASH] [WITHCOORD] [COUNT {count} [ANY]] [ASC|DESC]",
    ),
    (
        1,
        "GEOSEARCHSTORE {Z} {G} FROMLONLAT {longitude} {latitude} BYRADIUS {distance} {unit} [COUNT {count}] [STOREDIST]",
    ),
    // Lists.
    (4, "(LPUSH|RPUSH) {L} {value}+"),
    (1, "(LPUSHX|RPUSHX) {L} {value}+"),
    (3, "(LPOP|RPOP) {L} [{count}]"),
    (1, "LLEN {L}"),
    (2, "LINDEX {L} {index}"),
    (2, "LSET {L} {index} {value}"),
    (2, "LINSERT {L} (BEFORE|AFTER) {item} {value}"),
    (2, "LRANGE {L} {index} {index}"),
    (2, "LREM {L} {index} {item}"),
    (1, "LTRIM {L} {index} {index}"),
    (2, "LPOS {L} {item} [RANK {small}] [COUNT {count}] [MAXLEN {count}]"),
    (2, "LMOVE {L} {L} (LEFT|RIGHT) (LEFT|RIGHT)"),
    (1, "RPOPLPUSH {L} {L}"),
    (2, "LMPOP {numkeys} {L}+ (LEFT|RIGHT) [COUNT {count}]"),
    // Hashes.
    (5, "(HSET|HMSET) {H} ({field} {value})+"),
    (1, "HSETNX {H} {field} {value}"),
    (1, "HGET {H} {field}"),
    (1, "HMGET {H} {field}+"),
    (2, "HDEL {H} {field}+"),
    (1, "HLEN {H}"),
    (1, "(HSTRLEN|HEXISTS) {H} {field}"),
    (1, "(HKEYS|HVALS|HGETALL) {H}"),
    (1, "HINCRBY {H} {field} {int}"),
    (1, "HINCRBYFLOAT {H} {field} {float}"),
    (1, "HRANDFIELD {H} [(1000|{below-zero}) [WITHVALUES]]"),
    (1, "HSCAN {H} 0 COUNT 100000 [MATCH {pattern}]"),
    // Sets.
    (5, "SADD {T} {member}+"),
    (3, "SREM {T} {member}+"),
    (1, "SISMEMBER {T} {member}"),
    (1, "SMISMEMBER {T} {member}+"),
    (1, "SCARD {T}"),
    (1, "SMEMBERS {T}"),
    (2, "SMOVE {T} {T} {member}"),
    (2, "(SINTER|SUNION|SDIFF) {T}+"),
    (2, "(SINTERSTORE|SUNIONSTORE|SDIFFSTORE) {T} {T}+"),
    (1, "SINTERCARD {numkeys} {T}+ [LIMIT {count}]"),
    (1, "SPOP {T} (1000|0)"),
    (1, "SRANDMEMBER {T} [1000|{below-zero}]"),
    (1, "SSCAN {T} 0 COUNT 100000 [MATCH {pattern}]"),
    // Sorted sets.
    (6, "ZADD {Z} [NX|XX] [GT|LT] [CH] [INCR] ({score} {member})+"),
    (3, "ZADD {Z} ({score} {member})+"),
    (2, "ZREM {Z} {member}+"),
    (2, "ZINCRBY {Z} {score} {member}"),
    (1, "ZSCORE {Z} {member}"),
    (1, "ZMSCORE {Z} {member}+"),
    (1, "ZCARD {Z}"),
    (1, "ZCOUNT {Z} {bound} {bound}"),
    (3, "ZADD {X} (0 {member})+"),
    (1, "ZLEXCOUNT {X} {lex} {lex}"),
    (1, "(ZRANK|ZREVRANK) {Z} {member}"),
    (2, "(ZRANGE|ZREVRANGE) {Z} {index} {index} [WITHSCORES]"),
    (2, "ZRANGE {Z} {index} {index} [REV] [WITHSCORES]"),
    (2, "ZRANGE {Z} {bound} {bound} BYSCORE [REV] [LIMIT {index} {index}] [WITHSCORES]"),
    (2, "ZRANGE {X} {lex} {lex} BYLEX [REV] [LIMIT {index} {index}] [WITHSCORES]"),
    (2, "(ZRANGEBYSCORE|ZREVRANGEBYSCORE) {Z} {bound} {bound} [WITHSCORES] [LIMIT {index} {index}]"),
    (2, "(ZRANGEBYLEX|ZREVRANGEBYLEX) {X} {lex} {lex} [LIMIT {index} {index}]"),
    (1, "ZRANGESTORE {Z} {Z} ({index} {index} [REV]|{bound} {bound} BYSCORE [REV] [LIMIT {index} {index}])"),
    (1, "ZRANGESTORE {Z} {X} {lex} {lex} BYLEX [REV] [LIMIT {index} {index}]"),
    (1, "ZREMRANGEBYRANK {Z} {index} {index}"),
    (1, "ZREMRANGEBYSCORE {Z} {bound} {bound}"),
    (1, "ZREMRANGEBYLEX {X} {lex} {lex}"),
    (2, "(ZUNION|ZINTER) {numkeys} {ZT}+ [WEIGHTS {weight}+] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]"),
    (1, "(ZUNION|ZINTER) 2 {ZT} {ZT} [WEIGHTS {weight} {weight}] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]"),
    (2, "(ZUNIONSTORE|ZINTERSTORE) {Z} 2 {ZT} {ZT} [WEIGHTS {weight} {weight}] [AGGREGATE (SUM|MIN|MAX)]"),
    (1, "ZDIFF {numkeys} {ZT}+ [WITHSCORES]"),
    (1, "ZDIFFSTORE {Z} {numkeys} {ZT}+"),
    (1, "ZINTERCARD {numkeys} {ZT}+ [LIMIT {count}]"),
    (2, "(ZPOPMIN|ZPOPMAX) {Z} [{count}]"),
    (1, "ZMPOP {numkeys} {Z}+ (MIN|MAX) [COUNT {count}]"),
    (1, "ZRANDMEMBER {Z} [(1000|{below-zero}) [WITHSCORES]]"),
    (1, "ZSCAN {Z} 0 COUNT 100000 [MATCH {pattern}]"),
    // Streams: with ids given, so that no clock is in them.
    (9, "XADD {E} [NOMKSTREAM] [(MAXLEN|MINID) [=|~] {count}] {id} ({field} {value})+"),
    (6, "XADD {E} {new-id} (a {value} b {value}|{field} {value})"),
    (2, "XADD {E} (MAXLEN|MINID) ~ {count} [LIMIT {count}] {new-id} a {value} b {value}"),
    (2, "XDEL {E} {id}+"),
    (1, "XTRIM {E} (MAXLEN {count}|MINID {id}) [LIMIT {small}]"),
    (1, "XTRIM {E} (MAXLEN (~|=) {count}|MINID (~|=) {id}) [LIMIT {small}]"),
    (1, "XLEN {E}"),
    (2, "XRANGE {E} {id-from} {id-to} [COUNT {count}]"),
    (2, "XREVRANGE {E} {id-to} {id-from} [COUNT {count}]"),
    (1, "XREAD [COUNT {count}] STREAMS {E} {id}"),
    (1, "XREAD [COUNT {count}] STREAMS {E} {E} {id} (0|$|{id})"),
    (1, "XSETID {E} {high-id} [ENTRIESADDED {count}] [MAXDELETEDID {id}]"),
    (3, "XGROUP CREATE {E} {group} (0|$|{id}) [MKSTREAM] [ENTRIESREAD {small}]"),
    (1, "XGROUP SETID {E} {group} (0|$|{id}) [ENTRIESREAD {small}]"),
    (1, "XGROUP DESTROY {E} {group}"),
    (1, "XGROUP CREATECONSUMER {E} {group} {consumer}"),
    (1, "XGROUP DELCONSUMER {E} {group} {consumer}"),
    (5, "XREADGROUP GROUP {group} {consumer} [COUNT {count}] [NOACK] STREAMS {E} >"),
    (1, "XREADGROUP GROUP {group} {consumer} [COUNT {count}] [NOACK] STREAMS {E} {E} (>|{id}|$) (>|0)"),
    (1, "XREADGROUP GROUP {group} {consumer} [COUNT {count}] STREAMS {E} {id}"),
    (2, "XACK {E} {group} {id}+"),
    (2, "XPENDING {E} {group}"),
    (2, "XPENDING {E} {group} [IDLE (0|100000000)] {id-from} {id-to} {count} [{consumer}]"),
    (2, "XCLAIM {E} {group} {consumer} 0 {id}+ [(IDLE|TIME|RETRYCOUNT) {count}] [FORCE] [JUSTID] [LASTID {id}]"),
    (1, "XCLAIM {E} {group} {consumer} 100000000 {id}+ [FORCE] [JUSTID]"),
    (2, "XAUTOCLAIM {E} {group} {consumer} (0|100000000) {id-from} [COUNT {count}] [JUSTID]"),
    (2, "XINFO GROUPS {E}"),
    // Any key.
    (2, "(DEL|UNLINK|EXISTS|TOUCH) {any}+"),
    (1, "TYPE {any}"),
    (1, "KEYS {pattern}"),
    (1, "SCAN 0 COUNT 100000 [MATCH {pattern}] [TYPE (string|list|hash|set|zset|stream|what)]"),
    (2, "(RENAME|RENAMENX) {any} {any}"),
    (2, "COPY {any} {any} [DB {db}] [REPLACE]"),
    (1, "MOVE {any} {db}"),
    (2, "EXPIRE {any} {far} [NX|XX|GT|LT]"),
    (1, "PEXPIRE {any} {far-ms} [NX|XX|GT|LT]"),
    (1, "EXPIREAT {any} {at} [NX|XX|GT|LT]"),
    (1, "PEXPIREAT {any} {at-ms} [NX|XX|GT|LT]"),
    (1, "(TTL|PTTL|EXPIRETIME|PEXPIRETIME|PERSIST) {any}"),
    (1, "OBJECT (ENCODING|FREQ|IDLETIME) {any}"),
    (1, "(SORT|SORT_RO) {SORTED} [LIMIT {index} {index}] [ASC|DESC] [ALPHA]"),
    (1, "(SORT|SORT_RO) {SORTED} BY (nosort|s*|h*->a|nothing) [GET (#|s*|h*->1|*)] [ASC|DESC]"),
    (1, "SORT {SORTED} [ALPHA] STORE {L}"),
    (1, "(RPUSH (y0|y1)|SADD y2) {item}+"),
    (1, "(LTRIM y0 1 5|SPOP y2 1000|LPOP y1 3)"),
    (1, "RANDOMKEY"),
    (1, "DUMP {any}"),
    (1, "DBSIZE"),
    (1, "SELECT {db}"),
    // Transactions.
    (3, "MULTI"),
    (7, "EXEC"),
    (1, "DISCARD"),
    (1, "WATCH {any}+"),
    (1, "UNWATCH"),
    // The connection.
    (1, "PING [{value}]"),
    (1, "ECHO {value}"),
    (1, "CLIENT (SETNAME {field}|GETNAME)"),
    (1, "NOSUCH {float}+"),
];

/// Rare ones: a few in ten thousand.
const RARE: &[&str] = &[
    "(BLPOP|BRPOP) {L}+ 0.001",
    "BLMOVE {L} {L} (LEFT|RIGHT) (LEFT|RIGHT) 0.001",
    "BRPOPLPUSH {L} {L} 0.001",
    "BLMPOP 0.001 {numkeys} {L}+ (LEFT|RIGHT) [COUNT {count}]",
    "XREAD BLOCK 1 STREAMS {E} $",
    "XREADGROUP GROUP {group} {consumer} BLOCK 1 STREAMS {E} >",
    "(BZPOPMIN|BZPOPMAX) {Z}+ 0.001",
    "BZMPOP 0.001 {numkeys} {Z}+ (MIN|MAX) [COUNT {count}]",
    "(FLUSHDB|FLUSHALL) [SYNC|ASYNC]",
    "SWAPDB {db} {db}",
    "(RPUSH|LPUSH) {L} {many}",
    "SADD {T} {many}",
    "BLPOP {L}+ {float}x",
];

/// Hashes whose fields expire, which Redis 7.0 has not.
const FIELD_PATTERNS: &[(u32, &str)] = &[
    (6, "(HSET|HMSET) {H} ({field} {value})+"),
    (2, "HSETNX {H} {field} {value}"),
    (2, "HGET {H} {field}"),
    (1, "HMGET {H} {field}+"),
    (2, "HDEL {H} {field}+"),
    (1, "(HLEN|HKEYS|HVALS|HGETALL) {H}"),
    (1, "(HSTRLEN|HEXISTS) {H} {field}"),
    (2, "HINCRBY {H} {field} {int}"),
    (2, "HINCRBYFLOAT {H} {field} {small}"),
    (1, "HRANDFIELD {H} 1000 [WITHVALUES]"),
    (1, "HSCAN {H} 0 COUNT 100000"),
    (3, "HEXPIRE {H} {far} [NX|XX|GT|LT] FIELDS 1 {field}"),
    (3, "HPEXPIRE {H} {far-ms} [NX|XX|GT|LT] FIELDS 2 {field} {field}"),
    (3, "HEXPIREAT {H} {at} [NX|XX|GT|LT] FIELDS 1 {field}"),
    (4, "HPEXPIREAT {H} {at-ms} [NX|XX|GT|LT] FIELDS 3 {field} {field} {field}"),
    (1, "(HEXPIRE|HPEXPIRE|HEXPIREAT) {H} 0 [NX|XX|GT|LT] FIELDS 1 {field}"),
    (3, "HPERSIST {H} FIELDS 2 {field} {field}"),
    (2, "(HTTL|HPTTL|HEXPIRETIME|HPEXPIRETIME) {H} FIELDS 2 {field} {field}"),
    (4, "HGETEX {H} [EX {far}|PX {far-ms}|EXAT {at}|PXAT {at-ms}|PERSIST] FIELDS 2 {field} {field}"),
    (
        5,
        "HSETEX {H} [FNX|FXX] [EX {far}|PX {far-ms}|EXAT {at}|PXAT {at-ms}|KEEPTTL] FIELDS 2 {field} {value} {field} {value}",
    ),
    (1, "HGETDEL {H} FIELDS 2 {field} {field}"),
    (1, "(COPY|RENAME) {H} {H}"),
    (1, "COPY {H} {H} REPLACE"),
    (1, "DEL {H}"),
    (1, "SET {H} x"),
    (1, "EXPIRE {H} {far}"),
    (1, "TYPE {H}"),
    (1, "SORT {H}"),
    (1, "MULTI"),
    (2, "EXEC"),
];

/// Those of them in which Redis 8 and Valkey 9 agree: no deadline that is over, and no time to live of a field that is not there.
const AGREED_FIELD_PATTERNS: &[(u32, &str)] = &[
    (8, "(HSET|HMSET) {H} ({field} {value})+"),
    (2, "HSETNX {H} {field} {value}"),
    (2, "HGET {H} {field}"),
    (1, "HMGET {H} {field}+"),
    (2, "HDEL {H} {field}+"),
    (1, "(HLEN|HKEYS|HVALS|HGETALL) {H}"),
    (1, "(HSTRLEN|HEXISTS) {H} {field}"),
    (2, "HINCRBY {H} {field} {int}"),
    (2, "HINCRBYFLOAT {H} {field} {small}"),
    (1, "HRANDFIELD {H} 1000 [WITHVALUES]"),
    (1, "HSCAN {H} 0 COUNT 100000"),
    (3, "HEXPIRE {H} {far} [NX|XX|GT|LT] FIELDS 1 {field}"),
    (3, "HPEXPIRE {H} {far-ms} [NX|XX|GT|LT] FIELDS 2 {field} {field}"),
    (3, "HEXPIREAT {H} (4000000100|4000000200|4000000300) [NX|XX|GT|LT] FIELDS 1 {field}"),
    (4, "HPEXPIREAT {H} (4000000100001|4000000200002|4000000300003) [NX|XX|GT|LT] FIELDS 3 {field} {field} {field}"),
    (3, "HPERSIST {H} FIELDS 2 {field} {field}"),
    (2, "(HTTL|HPTTL|HEXPIRETIME|HPEXPIRETIME) {H} FIELDS 2 {field} {field}"),
    (4, "HGETEX {H} [EX {far}|PX {far-ms}|EXAT 4000000500|PXAT 4000000500500|PERSIST] FIELDS 2 {field} {field}"),
    (
        5,
        "HSETEX {H} [FNX|FXX] [EX {far}|PX {far-ms}|EXAT 4000000500|PXAT 4000000500500|KEEPTTL] FIELDS 2 {field} {value} {field} {value}",
    ),
    (1, "HGETDEL {H} FIELDS 2 {field} {field}"),
    (1, "(COPY|RENAME) {H} {H}"),
    (1, "COPY {H} {H} REPLACE"),
    (1, "DEL {H}"),
    (1, "SET {H} x"),
    (1, "EXPIRE {H} {far}"),
    (1, "TYPE {H}"),
];

pub struct Words {
    patterns: Vec<(u32, Vec<Part>)>,
    rare: Vec<Vec<Part>>,
    total: u32,
    in_multi: bool,
    sort_sorted_sets: bool,
    /// Some lines are wrong.
    spoils: bool,
}

impl Words {
    /// Redis changes the form of a small sorted set when it is sorted; Rivulet does not. So it is done only where none is small.
    pub fn new(sort_sorted_sets: bool) -> Self {
        let words = Self::of(PATTERNS, RARE);
        Self { sort_sorted_sets, ..words }
    }

    /// Commands on hashes, and on their fields' deadlines.
    pub fn fields() -> Self {
        Self::of(FIELD_PATTERNS, &["HGETALL h0"])
    }

    /// The same where Redis 8 and Valkey 9 agree, all lines well-formed.
    pub fn agreed_fields() -> Self {
        Self { spoils: false, ..Self::of(AGREED_FIELD_PATTERNS, &["HGETALL h0"]) }
    }

    fn of(patterns: &[(u32, &'static str)], rare: &[&'static str]) -> Self {
        let patterns: Vec<_> = patterns.iter().map(|&(weight, p)| (weight, grammar::parse(p))).collect();
        let total = patterns.iter().map(|p| p.0).sum();
        let rare = rare.iter().map(|p| grammar::parse(p)).collect();
        Self { patterns, rare, total, in_multi: false, sort_sorted_sets: false, spoils: true }
    }

    /// The next command line.
    pub fn command(&mut self, rng: &mut Rng) -> Vec<Vec<u8>> {
        let mut words = Vec::new();
        let parts = if rng.u32(..10_000) < 15 { &self.rare[rng.usize(..self.rare.len())] } else { self.common(rng) };
        let many = matches!(parts.last(), Some(Part::Class("many")));
        grammar::fill(parts, rng, &mut class, &mut words);
        if many {
            words.pop();
            let count = rng.usize(100..700);
            words.extend((0..count).map(|i| i.to_string().into_bytes()));
        }
        if self.spoils && rng.u8(..30) == 0 && may_be_spoiled(&words) {
            spoil(&mut words, rng);
        }
        if !self.sort_sorted_sets && words[0].to_ascii_uppercase().starts_with(b"SORT") && words.len() > 1 {
            words[1] = [b"y0", b"y1", b"y2"][rng.usize(..3)].to_vec();
        }
        if words.len() == 1 {
            match words[0].as_slice() {
                b"MULTI" => self.in_multi = true,
                b"EXEC" | b"DISCARD" => self.in_multi = false,
                _ => {}
            }
        }
        words
    }

    fn common(&self, rng: &mut Rng) -> &[Part] {
        loop {
            let mut at = rng.u32(..self.total);
            let found = self.patterns.iter().find(|p| {
                let here = at < p.0;
                at = at.wrapping_sub(p.0);
                here
            });
            let parts = &found.expect("the weights add up").1;
            // Outside a transaction, an end of one is rarely of interest.
            let ends = matches!(parts[..], [Part::Word("EXEC" | "DISCARD")]);
            if !ends || self.in_multi || rng.u8(..20) == 0 {
                return parts;
            }
        }
    }
}

/// Not those with an option that came with Redis 7.2, nor those whose mistakes lead where Redis promises nothing: cursors that it never gave,
/// members at random, and ranges by text over various scores.
fn may_be_spoiled(words: &[Vec<u8>]) -> bool {
    let blocks = words.iter().any(|word| word == b"BLOCK");
    let scans_or_ranks = words[0].ends_with(b"SCAN") || words[0].ends_with(b"RANK");
    !scans_or_ranks
        && !blocks
        && words[0] != b"XINFO"
        && words[0] != b"SPOP"
        && (words[0] != b"ZADD" || !words[1].starts_with(b"x"))
}

/// Makes a command line that may be wrong. Small positive numbers are not put in: they could be short deadlines.
fn spoil(words: &mut Vec<Vec<u8>>, rng: &mut Rng) {
    const ODD: &[&[u8]] = &[
        b"",
        b"abc",
        b"-1",
        b"0",
        b"9223372036854775807",
        b"-9223372036854775808",
        b"9223372036854775808",
        b"1.5",
        b"nan",
        b"inf",
        b"+5",
        b" 1",
        b"1 ",
        b"0x1f",
        b"1e5",
        b"-0",
        b"WITHSCORES",
        b"LIMIT",
        b"COUNT",
        b"\xff\x01",
    ];
    let at = rng.usize(..words.len()).max(1);
    match rng.u8(..4) {
        0 if words.len() > 1 => {
            words.remove(at.min(words.len() - 1));
        }
        1 => words.push(ODD[rng.usize(..ODD.len())].to_vec()),
        2 if words.len() > 1 => {
            let at = at.min(words.len() - 1);
            words[at] = ODD[rng.usize(..ODD.len())].to_vec();
        }
        _ => {
            let first = &mut words[0];
            if rng.bool() {
                first.make_ascii_lowercase();
            } else if words.len() > 1 {
                let again = words[at.min(words.len() - 1)].clone();
                words.push(again);
            }
        }
    }
}

/// A random word of a class.
fn class(rng: &mut Rng, name: &str) -> Vec<u8> {
    let text = |t: String| t.into_bytes();
    match name {
        "S" => key(rng, b"s"),
        "N" => key(rng, b"nnnnnns"),
        "L" => key(rng, b"l"),
        "H" => key(rng, b"h"),
        "T" => key(rng, b"t"),
        "Z" => key(rng, b"z"),
        // Sorted sets whose members all have the same score: only there has a range by text a meaning.
        "X" => vec![b'x', b'0' + rng.u8(..4)],
        "ZT" => key(rng, b"zzzt"),
        "SORTED" => key(rng, b"ltz"),
        "E" => key(rng, b"e"),
        // HyperLogLogs, which are strings that no other command makes.
        "P" => key(rng, b"pppppppps"),
        "G" => key(rng, b"ggggggggz"),
        "longitude" => text(format!("{}", rng.f64() * if rng.bool() { 361.0 } else { 2.0 } - 180.4)),
        "latitude" => text(format!("{}", rng.f64() * if rng.bool() { 171.0 } else { 2.0 } - 85.2)),
        "distance" => text(format!("{:.3}", 10f64.powf(rng.f64() * 7.5))),
        "unit" => [&b"m"[..], b"km", b"ft", b"MI"][rng.usize(..4)].to_vec(),
        "group" | "consumer" => vec![name.as_bytes()[0], b'0' + rng.u8(..3)],
        "id" => match rng.u8(..12) {
            0 => text(rng.u8(..12).to_string()),
            1 => text(format!("{}-{}", rng.u8(..200), rng.u8(..4))),
            2 => text(format!("{}-*", rng.u8(..60))),
            _ => text(format!("{}-{}", rng.u8(..40), rng.u8(..3))),
        },
        // Above all others: Redis 7.2 refuses some below.
        "high-id" => text(format!("{}-{}", rng.u32(2000..2010), rng.u8(..4))),
        // The ids of a chapter grow slowly, so that old and new ones are both common.
        "new-id" => match rng.u8(..16) {
            0 => text(format!("{}-{}", rng.u32(..1000), rng.u8(..4))),
            1..9 => text(format!("{}-*", rng.u8(..60))),
            _ => text(format!("{}-{}", rng.u8(..60), rng.u32(..40))),
        },
        "id-from" | "id-to" => match rng.u8(..6) {
            0 => {
                if name == "id-from" {
                    b"-".to_vec()
                } else {
                    b"+".to_vec()
                }
            }
            1 => [&b"("[..], &class(rng, "id")].concat(),
            _ => class(rng, "id"),
        },
        "any" => key(rng, b"snlhtzepg"),
        "value" => value(rng),
        "item" | "member" | "field" => match rng.u8(..4) {
            0 => text(rng.i32(-20..200).to_string()),
            1 => value(rng),
            2 => text(rng.u8(..12).to_string()),
            _ => vec![b'a' + rng.u8(..12)],
        },
        "int" => match rng.u8(..8) {
            0 => text(rng.i64(..).to_string()),
            1 => text([i64::MAX, i64::MIN, i64::MAX - 1, 1 << 32, 256, -1][rng.usize(..6)].to_string()),
            _ => text(rng.i32(-20..100).to_string()),
        },
        "float" => match rng.u8(..6) {
            0 => text(format!("{}e{}", rng.i32(-30..30), rng.i32(-5..25))),
            1 => text(rng.i32(-100..100).to_string()),
            2 => text(format!("{:.17}", rng.f64())),
            _ => text(format!("{}.{}", rng.i32(-30..30), rng.u32(..1000))),
        },
        "score" | "weight" => match rng.u8(..12) {
            0 => b"inf".to_vec(),
            1 => b"-inf".to_vec(),
            2 => text(format!("{}e{}", rng.i32(-30..30), rng.i32(-5..25))),
            3 | 4 => text(format!("{}.5", rng.i32(-9..30))),
            5 if name == "score" => text(format!("{}.{}", rng.i32(-30..30), rng.u32(..1000))),
            _ => text(rng.i32(-9..30).to_string()),
        },
        "bound" => {
            let open = if rng.u8(..3) == 0 { "(" } else { "" };
            match rng.u8(..6) {
                0 => text(format!("{open}-inf")),
                1 => text(format!("{open}+inf")),
                _ => text(format!("{open}{}", rng.i32(-9..30))),
            }
        }
        "lex" => match rng.u8(..8) {
            0 => b"-".to_vec(),
            1 => b"+".to_vec(),
            2 => vec![b'a'],
            _ => {
                let mut word = vec![[b'[', b'('][rng.usize(..2)]];
                word.extend(class(rng, "member"));
                word
            }
        },
        "index" => match rng.u8(..12) {
            0 => text([i64::MAX, i64::MIN, 1 << 31, -(1 << 31)][rng.usize(..4)].to_string()),
            1 => text(rng.i32(-300..300).to_string()),
            _ => text(rng.i32(-6..8).to_string()),
        },
        "offset" => match rng.u8(..20) {
            0 => text(rng.i32(-5..2000).to_string()),
            1 => b"4294967296".to_vec(),
            _ => text(rng.u32(..90).to_string()),
        },
        "count" => text(if rng.u8(..6) == 0 { rng.i32(-2..300) } else { rng.i32(0..5) }.to_string()),
        "small" => text(rng.i32(-1..4).to_string()),
        "numkeys" => text(if rng.u8(..8) == 0 { rng.i32(-1..8) } else { rng.i32(1..3) }.to_string()),
        "below-zero" => text((-rng.i32(1..30)).to_string()),
        "far" => text(rng.u32(100_000..200_000).to_string()),
        "far-ms" => text(rng.u32(100_000_000..200_000_000).to_string()),
        "at" => match rng.u8(..6) {
            0 => b"1".to_vec(),
            _ => text((4_000_000_000 + rng.u64(..1000)).to_string()),
        },
        "at-ms" => match rng.u8(..6) {
            0 => b"1".to_vec(),
            _ => text((4_000_000_000_000 + rng.u64(..1000)).to_string()),
        },
        "bits" => text(format!("{}{}", ["i", "u"][rng.usize(..2)], rng.u8(..66))),
        "bit-at" => text(format!("{}{}", ["", "#"][rng.usize(..2)], rng.i32(-1..40))),
        "db" => text(match rng.u8(..12) {
            0 => "16".into(),
            1 => "-1".into(),
            2 | 3 => "1".into(),
            _ => "0".to_string(),
        }),
        "pattern" => [&b"*"[..], b"*1*", b"[a-f]", b"s?", b"?", b"[^a]*", b"\\*", b"", b"[z-t]*", b"**1"]
            [rng.usize(..10)]
        .to_vec(),
        "many" => Vec::new(),
        _ => panic!("no class {name}"),
    }
}

/// A key of one of these types, or rarely of any.
fn key(rng: &mut Rng, types: &[u8]) -> Vec<u8> {
    let types = if rng.u8(..25) == 0 { b"snlhtzepg" } else { types };
    vec![types[rng.usize(..types.len())], b'0' + rng.u8(..4)]
}

/// A random value: each kind that has a form of its own.
fn value(rng: &mut Rng) -> Vec<u8> {
    let text = |t: String| t.into_bytes();
    match rng.u8(..16) {
        0 => Vec::new(),
        1 | 2 => text(rng.i32(-5..20).to_string()),
        3 => text(rng.i64(..).to_string()),
        4 => text(rng.i32(..).to_string()),
        5 => text(format!("{}.{}", rng.i32(-30..30), rng.u32(..1000))),
        6 => text(
            [127, 128, -128, -129, 32767, 32768, 8388607, 8388608, i64::MAX, i64::MIN][rng.usize(..10)].to_string(),
        ),
        // Around the lengths at which forms change.
        7 => vec![b'x'; rng.usize(42..47)],
        8 => vec![b'y'; rng.usize(62..67)],
        9 => (0..rng.usize(..12)).map(|_| rng.u8(..)).collect(),
        10 if rng.u8(..8) == 0 => (0..rng.usize(..6000)).map(|_| b'a' + rng.u8(..3)).collect(),
        11 => vec![b'z'; rng.usize(..300)],
        12 => text(format!("0{}", rng.u8(..9))),
        _ => (0..rng.usize(1..5)).map(|_| b'a' + rng.u8(..6)).collect(),
    }
}
