//! Commands on sorted sets.
//!
//! The rows are here; each noun has a file under `zset/`.

mod add;
mod bounds;
pub(crate) mod combine;
mod lookup;
mod pop;
mod range;

pub(crate) use add::{Options as AddOptions, add_scores};

use rivulet_keyspace::Key;
use rivulet_keyspace::value::ZSet;

use crate::collections;
use crate::ctx::Ctx;
use crate::effects::class;
use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, acl, flag::*, key};

pub const COMMANDS: &[Command] = &[
    Command::new("zadd", -4, WRITE | DENYOOM | FAST, Group::SortedSet, Handler::Data(add::zadd))
        .since("1.2.0")
        .complexity("O(log(N)) a member")
        .summary("Adds members with scores, or changes the scores of those that are there")
        .acl(acl::SORTEDSET)
        .keys(KEY_UPDATE),
    Command::new("zincrby", 4, WRITE | DENYOOM | FAST, Group::SortedSet, Handler::Data(add::zincrby))
        .since("1.2.0")
        .complexity("O(log(N))")
        .summary("Adds to the score of a member")
        .acl(acl::SORTEDSET)
        .keys(KEY_ACCESS_UPDATE),
    Command::new("zrem", -3, WRITE | FAST, Group::SortedSet, Handler::Data(add::zrem))
        .since("1.2.0")
        .complexity("O(M*log(N)) for M members")
        .summary("Removes members")
        .acl(acl::SORTEDSET)
        .keys(KEY_DELETE),
    Command::new("zcard", 2, READONLY | FAST, Group::SortedSet, Handler::Data(lookup::zcard))
        .since("1.2.0")
        .complexity("O(1)")
        .summary("Counts the members")
        .acl(acl::SORTEDSET)
        .keys(KEY_LOOK),
    Command::new("zscore", 3, READONLY | FAST, Group::SortedSet, Handler::Data(lookup::zscore))
        .since("1.2.0")
        .complexity("O(1)")
        .summary("Answers the score of a member")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ),
    Command::new("zmscore", -3, READONLY | FAST, Group::SortedSet, Handler::Data(lookup::zmscore))
        .since("6.2.0")
        .complexity("O(N) for N members asked for")
        .summary("Answers the scores of members")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ),
    Command::new("zrank", -3, READONLY | FAST, Group::SortedSet, Handler::Data(lookup::zrank))
        .since("2.0.0")
        .complexity("O(log(N))")
        .summary("Answers how many members are below one")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ),
    Command::new("zrevrank", -3, READONLY | FAST, Group::SortedSet, Handler::Data(lookup::zrevrank))
        .since("2.0.0")
        .complexity("O(log(N))")
        .summary("Answers how many members are above one")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ),
    Command::new("zrandmember", -2, READONLY, Group::SortedSet, Handler::Data(lookup::zrandmember))
        .since("6.2.0")
        .complexity("O(N) for N members answered")
        .summary("Answers members chosen at random")
        .acl(acl::SORTEDSET)
        .tips(&["nondeterministic_output"])
        .keys(KEY_READ),
    Command::new("zscan", -3, READONLY, Group::SortedSet, Handler::Data(lookup::zscan))
        .since("2.8.0")
        .complexity("O(1) a call, O(N) for all members")
        .summary("Answers a part of the members with scores, and the cursor to go on with")
        .acl(acl::SORTEDSET)
        .tips(&["nondeterministic_output"])
        .keys(KEY_READ),
    Command::new("zrange", -4, READONLY, Group::SortedSet, Handler::Data(range::zrange))
        .since("1.2.0")
        .complexity("O(log(N)+M) for M members answered")
        .summary("Answers the members in a range of ranks, scores or names")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ),
    Command::new("zrangestore", -5, WRITE | DENYOOM, Group::SortedSet, Handler::Data(range::zrangestore))
        .since("6.2.0")
        .complexity("O(log(N)+M) for M members stored")
        .summary("Stores the members in a range in another key")
        .acl(acl::SORTEDSET)
        .keys(KEY_OW_UPDATE_AND_READ),
    Command::new("zrangebyscore", -4, READONLY, Group::SortedSet, Handler::Data(range::zrangebyscore))
        .since("1.0.5")
        .complexity("O(log(N)+M) for M members answered")
        .summary("Answers the members in a range of scores")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ),
    Command::new("zrangebylex", -4, READONLY, Group::SortedSet, Handler::Data(range::zrangebylex))
        .since("2.8.9")
        .complexity("O(log(N)+M) for M members answered")
        .summary("Answers the members in a range of names")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ),
    Command::new("zrevrange", -4, READONLY, Group::SortedSet, Handler::Data(range::zrevrange))
        .since("1.2.0")
        .complexity("O(log(N)+M) for M members answered")
        .summary("Answers the members in a range of ranks, from the highest score")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ),
    Command::new("zrevrangebyscore", -4, READONLY, Group::SortedSet, Handler::Data(range::zrevrangebyscore))
        .since("2.2.0")
        .complexity("O(log(N)+M) for M members answered")
        .summary("Answers the members in a range of scores, from the highest")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ),
    Command::new("zrevrangebylex", -4, READONLY, Group::SortedSet, Handler::Data(range::zrevrangebylex))
        .since("2.8.9")
        .complexity("O(log(N)+M) for M members answered")
        .summary("Answers the members in a range of names, from the last")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ),
    Command::new("zcount", 4, READONLY | FAST, Group::SortedSet, Handler::Data(range::zcount))
        .since("2.0.0")
        .complexity("O(log(N))")
        .summary("Counts the members in a range of scores")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ),
    Command::new("zlexcount", 4, READONLY | FAST, Group::SortedSet, Handler::Data(range::zlexcount))
        .since("2.8.9")
        .complexity("O(log(N))")
        .summary("Counts the members in a range of names")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ),
    Command::new("zremrangebyrank", 4, WRITE, Group::SortedSet, Handler::Data(range::zremrangebyrank))
        .since("2.0.0")
        .complexity("O(log(N)+M) for M members removed")
        .summary("Removes the members in a range of ranks")
        .acl(acl::SORTEDSET)
        .keys(KEY_DELETE),
    Command::new("zremrangebyscore", 4, WRITE, Group::SortedSet, Handler::Data(range::zremrangebyscore))
        .since("1.2.0")
        .complexity("O(log(N)+M) for M members removed")
        .summary("Removes the members in a range of scores")
        .acl(acl::SORTEDSET)
        .keys(KEY_DELETE),
    Command::new("zremrangebylex", 4, WRITE, Group::SortedSet, Handler::Data(range::zremrangebylex))
        .since("2.8.9")
        .complexity("O(log(N)+M) for M members removed")
        .summary("Removes the members in a range of names")
        .acl(acl::SORTEDSET)
        .keys(KEY_DELETE),
    Command::new("zunion", -3, READONLY, Group::SortedSet, Handler::Data(combine::zunion))
        .since("6.2.0")
        .complexity("O(N*log(N)) for N members in all inputs")
        .summary("Answers the members of any of several sorted sets")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ_COUNTED),
    Command::new("zunionstore", -4, WRITE | DENYOOM, Group::SortedSet, Handler::Data(combine::zunionstore))
        .since("2.0.0")
        .complexity("O(N*log(N)) for N members in all inputs")
        .summary("Stores the members of any of several sorted sets in a key")
        .acl(acl::SORTEDSET)
        .keys(KEY_OW_UPDATE_AND_READ_COUNTED),
    Command::new("zinter", -3, READONLY, Group::SortedSet, Handler::Data(combine::zinter))
        .since("6.2.0")
        .complexity("O(N*K)+O(M*log(M)) for K inputs, N members in the smallest, M in the result")
        .summary("Answers the members that several sorted sets share")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ_COUNTED),
    Command::new("zinterstore", -4, WRITE | DENYOOM, Group::SortedSet, Handler::Data(combine::zinterstore))
        .since("2.0.0")
        .complexity("O(N*K)+O(M*log(M)) for K inputs, N members in the smallest, M in the result")
        .summary("Stores the members that several sorted sets share in a key")
        .acl(acl::SORTEDSET)
        .keys(KEY_OW_UPDATE_AND_READ_COUNTED),
    Command::new("zintercard", -3, READONLY, Group::SortedSet, Handler::Data(combine::zintercard))
        .since("7.0.0")
        .complexity("O(N*K) for K inputs, N members in the smallest")
        .summary("Counts the members that several sorted sets share")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ_COUNTED),
    Command::new("zdiff", -3, READONLY, Group::SortedSet, Handler::Data(combine::zdiff))
        .since("6.2.0")
        .complexity("O(N*K)+O(M*log(M)) for K inputs, N members in the first, M in the result")
        .summary("Answers the members of a sorted set that others lack")
        .acl(acl::SORTEDSET)
        .keys(KEY_READ_COUNTED),
    Command::new("zdiffstore", -4, WRITE | DENYOOM, Group::SortedSet, Handler::Data(combine::zdiffstore))
        .since("6.2.0")
        .complexity("O(N*K)+O(M*log(M)) for K inputs, N members in the first, M in the result")
        .summary("Stores the members of a sorted set that others lack in a key")
        .acl(acl::SORTEDSET)
        .keys(KEY_OW_UPDATE_AND_READ_COUNTED),
    Command::new("zpopmin", -2, WRITE | FAST, Group::SortedSet, Handler::Data(pop::zpopmin))
        .since("5.0.0")
        .complexity("O(log(N)*M) for M members popped")
        .summary("Removes and answers the members with the lowest scores")
        .acl(acl::SORTEDSET)
        .keys(KEY_ACCESS_DELETE),
    Command::new("zpopmax", -2, WRITE | FAST, Group::SortedSet, Handler::Data(pop::zpopmax))
        .since("5.0.0")
        .complexity("O(log(N)*M) for M members popped")
        .summary("Removes and answers the members with the highest scores")
        .acl(acl::SORTEDSET)
        .keys(KEY_ACCESS_DELETE),
    Command::new("zmpop", -4, WRITE, Group::SortedSet, Handler::Data(pop::zmpop))
        .since("7.0.0")
        .complexity("O(K)+O(M*log(N)) for K keys, M members popped")
        .summary("Removes and answers members of the first of several sorted sets that is there")
        .acl(acl::SORTEDSET)
        .keys(KEY_ACCESS_DELETE_COUNTED),
    Command::new("bzpopmin", -3, WRITE | BLOCKING | FAST, Group::SortedSet, Handler::Data(pop::bzpopmin))
        .since("5.0.0")
        .complexity("O(log(N))")
        .summary("Removes and answers the member with the lowest score, or waits for one")
        .acl(acl::SORTEDSET)
        .keys(KEY_ACCESS_DELETE_BUT_LAST),
    Command::new("bzpopmax", -3, WRITE | BLOCKING | FAST, Group::SortedSet, Handler::Data(pop::bzpopmax))
        .since("5.0.0")
        .complexity("O(log(N))")
        .summary("Removes and answers the member with the highest score, or waits for one")
        .acl(acl::SORTEDSET)
        .keys(KEY_ACCESS_DELETE_BUT_LAST),
    Command::new("bzmpop", -5, WRITE | BLOCKING, Group::SortedSet, Handler::Data(pop::bzmpop))
        .since("7.0.0")
        .complexity("O(K)+O(M*log(N)) for K keys, M members popped")
        .summary("Removes and answers members of the first of several sorted sets that is there, or waits for one")
        .acl(acl::SORTEDSET)
        .keys(KEY_ACCESS_DELETE_COUNTED_AT_2),
];

const KEY_UPDATE: &[KeySpec] =
    &[KeySpec::new(key::RW | key::UPDATE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_ACCESS_UPDATE: &[KeySpec] =
    &[KeySpec::new(key::RW | key::ACCESS | key::UPDATE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_DELETE: &[KeySpec] =
    &[KeySpec::new(key::RW | key::DELETE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_LOOK: &[KeySpec] = &[KeySpec::new(key::RO, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_READ: &[KeySpec] =
    &[KeySpec::new(key::RO | key::ACCESS, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_OW_UPDATE_AND_READ: &[KeySpec] = &[
    KeySpec::new(key::OW | key::UPDATE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 }),
    KeySpec::new(key::RO | key::ACCESS, Begin::Index(2), Find::Range { last: 0, step: 1, limit: 0 }),
];
const KEY_READ_COUNTED: &[KeySpec] =
    &[KeySpec::new(key::RO | key::ACCESS, Begin::Index(1), Find::Count { at: 0, first: 1, step: 1 })];
const KEY_OW_UPDATE_AND_READ_COUNTED: &[KeySpec] = &[
    KeySpec::new(key::OW | key::UPDATE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 }),
    KeySpec::new(key::RO | key::ACCESS, Begin::Index(2), Find::Count { at: 0, first: 1, step: 1 }),
];
const KEY_ACCESS_DELETE: &[KeySpec] =
    &[KeySpec::new(key::RW | key::ACCESS | key::DELETE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_ACCESS_DELETE_COUNTED: &[KeySpec] =
    &[KeySpec::new(key::RW | key::ACCESS | key::DELETE, Begin::Index(1), Find::Count { at: 0, first: 1, step: 1 })];
const KEY_ACCESS_DELETE_BUT_LAST: &[KeySpec] =
    &[KeySpec::new(key::RW | key::ACCESS | key::DELETE, Begin::Index(1), Find::Range { last: -2, step: 1, limit: 0 })];
const KEY_ACCESS_DELETE_COUNTED_AT_2: &[KeySpec] =
    &[KeySpec::new(key::RW | key::ACCESS | key::DELETE, Begin::Index(2), Find::Count { at: 0, first: 1, step: 1 })];

fn removed(ctx: &mut Ctx<'_>, key: Key<'_>, count: usize, emptied: bool, event: &'static str) {
    collections::removed(ctx, key, count, emptied, class::ZSET, event);
}

fn store(ctx: &mut Ctx<'_>, key: Key<'_>, result: ZSet, event: &'static str) {
    let len = result.len();
    collections::store(ctx, key, result.into(), len, class::ZSET, event);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn bench() -> Bench {
        Bench::new(&[COMMANDS])
    }

    #[test]
    fn adding_with_options() {
        let mut b = bench();
        for (line, want) in [
            ("ZADD z 1 a 2 b", ":2\r\n"),
            ("ZADD z NX 9 a 3 c", ":1\r\n"),
            ("ZADD z XX CH 4 a 9 none", ":1\r\n"),
            ("ZADD z GT CH 3 a 5 b", ":1\r\n"),
            ("ZADD z INCR LT 1 a", "$-1\r\n"),
            ("ZADD z INCR 0.1 c", "$3\r\n3.1\r\n"),
            ("ZADD none XX 1 a", ":0\r\n"),
            ("ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible\r\n"),
            ("ZADD z GT LT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible\r\n"),
            ("ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair\r\n"),
            ("ZADD z 1 a 2", "-ERR syntax error\r\n"),
            ("ZADD z 1 d nan e", "-ERR value is not a valid float\r\n"),
            ("ZSCORE z d", "$-1\r\n"),
            ("ZADD z inf i", ":1\r\n"),
            ("ZINCRBY z -inf i", "-ERR resulting score is not a number (NaN)\r\n"),
            ("ZREM z i nobody", ":1\r\n"),
            ("ZRANGE z 0 -1 WITHSCORES", "*6\r\n$1\r\nc\r\n$3\r\n3.1\r\n$1\r\na\r\n$1\r\n4\r\n$1\r\nb\r\n$1\r\n5\r\n"),
        ] {
            assert_eq!(b.run(line), want, "{line}");
        }
    }

    #[test]
    fn what_a_change_leaves_behind() {
        let mut b = bench();
        b.run("ZADD z 1 a 2 b");
        let done = b.effects();
        assert_eq!(
            (done.dirty, done.propagated, done.touched, done.ready),
            (2, vec!["ZADD z 1 a 2 b".into()], vec!["z".into()], vec!["z".into()])
        );
        assert_eq!(done.events, ["zadd z"]);
        b.run("ZADD z 1 a");
        assert_eq!(b.effects(), Default::default());
        b.run("ZREMRANGEBYSCORE z (0 +inf");
        assert_eq!(b.effects().events, ["zremrangebyscore z", "del z"]);
        assert_eq!(b.keyspace.len(), 0);
    }

    #[test]
    fn resp3_has_pairs_and_doubles() {
        let mut b = bench();
        b.run("ZADD z 1 a 2.5 b");
        b.resp3 = true;
        assert_eq!(b.run("ZRANGE z 0 -1 WITHSCORES"), "*2\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$1\r\nb\r\n,2.5\r\n");
        assert_eq!(b.run("ZUNION 1 z WITHSCORES"), "*2\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$1\r\nb\r\n,2.5\r\n");
        assert_eq!(b.run("ZPOPMAX z"), "*2\r\n$1\r\nb\r\n,2.5\r\n");
        assert_eq!(b.run("ZPOPMAX z 5"), "*1\r\n*2\r\n$1\r\na\r\n,1\r\n");
    }

    #[test]
    fn both_forms_answer_the_same() {
        let mut small = bench();
        let mut large = bench();
        large.settings.limits.zset_max_listpack_entries = 0;
        for line in [
            "ZADD z 1 a 2 b 2 c 3 d inf e",
            "ZADD same 1 a 1 b 1 c 1 d",
            "ZRANGE z 1 3 REV WITHSCORES",
            "ZRANGE z (1 +inf BYSCORE LIMIT 1 2",
            "ZRANGE z +inf (1 BYSCORE REV LIMIT 1 -1 WITHSCORES",
            "ZRANGE z -1 -2 LIMIT -5 -1",
            "ZRANGE z 1 3 BYSCORE LIMIT -1 2",
            "ZRANGE same [b (d BYLEX",
            "ZREVRANGEBYLEX same + (a LIMIT 1 1",
            "ZLEXCOUNT same - [c",
            "ZCOUNT z 2 2",
            "ZRANK z c",
            "ZREVRANK z c",
            "ZRANGESTORE to z 1 2 REV",
            "ZRANGE to 0 -1 WITHSCORES",
            "ZUNIONSTORE to 2 z same WEIGHTS 2 -1 AGGREGATE MIN",
            "ZRANGE to 0 -1 WITHSCORES",
            "ZINTER 2 z same WITHSCORES",
            "ZINTERCARD 2 z same LIMIT 2",
            "ZDIFF 2 z same WITHSCORES",
            "ZREMRANGEBYLEX same [b [c",
            "ZSCAN same 0 MATCH [ad]",
            "ZPOPMIN z 2",
            "ZREMRANGEBYRANK z -1 -1",
            "ZRANDMEMBER z 9 WITHSCORES",
            "ZDIFFSTORE z 2 z z",
            "ZCARD z",
        ] {
            let got = small.run(line);
            assert_eq!(got, large.run(line), "{line}");
            assert!(!got.starts_with('-'), "{line}: {got}");
        }
    }

    #[test]
    fn random_members() {
        let mut b = bench();
        assert_eq!(b.run("ZRANDMEMBER none"), "$-1\r\n");
        assert_eq!(b.run("ZRANDMEMBER none 3"), "*0\r\n");
        for i in 0..300 {
            b.run(&format!("ZADD z {i} m{i}"));
        }
        for (count, want) in [(5, 5), (150, 150), (1000, 300), (-400, 400)] {
            assert!(b.run(&format!("ZRANDMEMBER z {count}")).starts_with(&format!("*{want}\r\n")));
        }
        assert_eq!(b.run("ZRANDMEMBER z 4611686018427387904 WITHSCORES"), "-ERR value is out of range\r\n");
        assert!(
            b.run("ZRANDMEMBER z -9223372036854775808").starts_with("-ERR value is out of range, value must between")
        );
    }

    #[test]
    fn popping_and_waiting() {
        let mut b = bench();
        assert_eq!(b.run("BZPOPMIN x y 0.5"), "");
        let done = b.effects();
        assert_eq!(done.block, Some(vec!["x".into(), "y".into()]));
        assert_eq!(done.block_timeout_ms, Some(500));
        b.run("BZMPOP 0 2 x y MIN");
        assert_eq!(b.effects().block_timeout_ms, None);

        b.run("ZADD y 1 a 2 b 3 c");
        assert_eq!(b.run("BZPOPMAX x y 0"), "*3\r\n$1\r\ny\r\n$1\r\nc\r\n$1\r\n3\r\n");
        assert_eq!(b.effects().propagated, ["ZPOPMAX y"]);
        assert_eq!(
            b.run("ZMPOP 2 x y MIN COUNT 9"),
            "*2\r\n$1\r\ny\r\n*2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n"
        );
        let done = b.effects();
        assert_eq!((done.dirty, done.propagated), (2, vec!["ZPOPMIN y 2".into()]));
        assert_eq!(done.events, ["zpopmin y", "del y"]);

        b.call.deny_blocking = true;
        assert_eq!(b.run("BZPOPMIN x y 0"), "*-1\r\n");
        for (line, want) in [
            ("BZPOPMIN x abc", "-ERR timeout is not a float or out of range\r\n"),
            ("BZPOPMIN x -1", "-ERR timeout is negative\r\n"),
            ("ZPOPMIN x -1", "-ERR value is out of range, must be positive\r\n"),
            ("ZMPOP 0 x MIN", "-ERR numkeys should be greater than 0\r\n"),
            ("ZMPOP 1 x MIN COUNT 0", "-ERR count should be greater than 0\r\n"),
            ("ZMPOP 1 x MID", "-ERR syntax error\r\n"),
            ("ZMPOP 1 x MIN", "*-1\r\n"),
        ] {
            assert_eq!(b.run(line), want, "{line}");
        }
    }

    #[test]
    fn refusals() {
        let mut b = bench();
        for (line, want) in [
            ("ZRANGE z a 1", "-ERR value is not an integer or out of range\r\n"),
            ("ZRANGE z a 1 BYSCORE", "-ERR min or max is not a float\r\n"),
            ("ZRANGE z a 1 BYLEX", "-ERR min or max not valid string range item\r\n"),
            (
                "ZRANGE z 0 1 LIMIT 0 1",
                "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX\r\n",
            ),
            (
                "ZRANGE z - + BYLEX WITHSCORES",
                "-ERR syntax error, WITHSCORES not supported in combination with BYLEX\r\n",
            ),
            ("ZUNION 0 z", "-ERR at least 1 input key is needed for 'zunion' command\r\n"),
            ("ZUNIONSTORE to 2 z", "-ERR syntax error\r\n"),
            ("ZUNION 1 z WEIGHTS x", "-ERR weight value is not a float\r\n"),
            ("ZINTERCARD 1 z LIMIT -1", "-ERR LIMIT can't be negative\r\n"),
            ("ZDIFF 1 z WEIGHTS 1", "-ERR syntax error\r\n"),
            ("ZSCAN z x", "-ERR invalid cursor\r\n"),
        ] {
            assert_eq!(b.run(line), want, "{line}");
        }
    }
}
