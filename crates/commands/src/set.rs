//! Commands on sets.
//!
//! The rows are here; each noun has a file under `set/`.

mod combine;
mod members;
mod random;

use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, acl, flag::*, key};

pub const COMMANDS: &[Command] = &[
    Command::new("sadd", -3, WRITE | DENYOOM | FAST, Group::Set, Handler::Data(members::sadd))
        .since("1.0.0")
        .complexity("O(1) a member")
        .summary("Adds members")
        .acl(acl::SET)
        .keys(KEY_INSERT),
    Command::new("srem", -3, WRITE | FAST, Group::Set, Handler::Data(members::srem))
        .since("1.0.0")
        .complexity("O(N) for N members removed")
        .summary("Removes members")
        .acl(acl::SET)
        .keys(KEY_DELETE),
    Command::new("smove", 4, WRITE | FAST, Group::Set, Handler::Data(members::smove))
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Moves a member to another set")
        .acl(acl::SET)
        .keys(KEY_ACCESS_DELETE_AND_INSERT),
    Command::new("scard", 2, READONLY | FAST, Group::Set, Handler::Data(members::scard))
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Counts the members")
        .acl(acl::SET)
        .keys(KEY_LOOK),
    Command::new("sismember", 3, READONLY | FAST, Group::Set, Handler::Data(members::sismember))
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Tells whether a member is there")
        .acl(acl::SET)
        .keys(KEY_LOOK),
    Command::new("smismember", -3, READONLY | FAST, Group::Set, Handler::Data(members::smismember))
        .since("6.2.0")
        .complexity("O(N) for N members asked for")
        .summary("Tells which members are there")
        .acl(acl::SET)
        .keys(KEY_READ),
    Command::new("smembers", 2, READONLY, Group::Set, Handler::Data(members::smembers))
        .since("1.0.0")
        .complexity("O(N)")
        .summary("Answers all members")
        .acl(acl::SET)
        .tips(&["nondeterministic_output_order"])
        .keys(KEY_READ),
    Command::new("sscan", -3, READONLY, Group::Set, Handler::Data(members::sscan))
        .since("2.8.0")
        .complexity("O(1) a call, O(N) for all members")
        .summary("Answers a part of the members, and the cursor to go on with")
        .acl(acl::SET)
        .tips(&["nondeterministic_output"])
        .keys(KEY_READ),
    Command::new("spop", -2, WRITE | FAST, Group::Set, Handler::Data(random::spop))
        .since("1.0.0")
        .complexity("O(N) for N members popped")
        .summary("Removes and answers members chosen at random")
        .acl(acl::SET)
        .tips(&["nondeterministic_output"])
        .keys(KEY_ACCESS_DELETE),
    Command::new("srandmember", -2, READONLY, Group::Set, Handler::Data(random::srandmember))
        .since("1.0.0")
        .complexity("O(N) for N members answered")
        .summary("Answers members chosen at random")
        .acl(acl::SET)
        .tips(&["nondeterministic_output"])
        .keys(KEY_READ),
    Command::new("sinter", -2, READONLY, Group::Set, Handler::Data(combine::sinter))
        .since("1.0.0")
        .complexity("O(N*M) for M sets, N members in the smallest")
        .summary("Answers the members that several sets share")
        .acl(acl::SET)
        .tips(&["nondeterministic_output_order"])
        .keys(KEY_READ_ALL),
    Command::new("sinterstore", -3, WRITE | DENYOOM, Group::Set, Handler::Data(combine::sinterstore))
        .since("1.0.0")
        .complexity("O(N*M) for M sets, N members in the smallest")
        .summary("Stores the members that several sets share in a key")
        .acl(acl::SET)
        .keys(KEY_UPDATE_AND_READ_ALL),
    Command::new("sintercard", -3, READONLY, Group::Set, Handler::Data(combine::sintercard))
        .since("7.0.0")
        .complexity("O(N*M) for M sets, N members in the smallest")
        .summary("Counts the members that several sets share")
        .acl(acl::SET)
        .keys(KEY_READ_COUNTED),
    Command::new("sdiffcard", -3, READONLY, Group::Set, Handler::Data(combine::sdiffcard))
        .since("8.10.0")
        .complexity("O(N) for N members in all sets")
        .summary("Counts the members of a set that others lack")
        .acl(acl::SET)
        .keys(KEY_READ_COUNTED),
    Command::new("sunioncard", -3, READONLY, Group::Set, Handler::Data(combine::sunioncard))
        .since("8.10.0")
        .complexity("O(N) for N members in all sets")
        .summary("Counts the members of any of several sets")
        .acl(acl::SET)
        .keys(KEY_READ_COUNTED),
    Command::new("sunion", -2, READONLY, Group::Set, Handler::Data(combine::sunion))
        .since("1.0.0")
        .complexity("O(N) for N members in all sets")
        .summary("Answers the members of any of several sets")
        .acl(acl::SET)
        .tips(&["nondeterministic_output_order"])
        .keys(KEY_READ_ALL),
    Command::new("sunionstore", -3, WRITE | DENYOOM, Group::Set, Handler::Data(combine::sunionstore))
        .since("1.0.0")
        .complexity("O(N) for N members in all sets")
        .summary("Stores the members of any of several sets in a key")
        .acl(acl::SET)
        .keys(KEY_OW_UPDATE_AND_READ_ALL),
    Command::new("sdiff", -2, READONLY, Group::Set, Handler::Data(combine::sdiff))
        .since("1.0.0")
        .complexity("O(N) for N members in all sets")
        .summary("Answers the members of a set that others lack")
        .acl(acl::SET)
        .tips(&["nondeterministic_output_order"])
        .keys(KEY_READ_ALL),
    Command::new("sdiffstore", -3, WRITE | DENYOOM, Group::Set, Handler::Data(combine::sdiffstore))
        .since("1.0.0")
        .complexity("O(N) for N members in all sets")
        .summary("Stores the members of a set that others lack in a key")
        .acl(acl::SET)
        .keys(KEY_OW_UPDATE_AND_READ_ALL),
];

const KEY_INSERT: &[KeySpec] =
    &[KeySpec::new(key::RW | key::INSERT, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_DELETE: &[KeySpec] =
    &[KeySpec::new(key::RW | key::DELETE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_ACCESS_DELETE_AND_INSERT: &[KeySpec] = &[
    KeySpec::new(key::RW | key::ACCESS | key::DELETE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 }),
    KeySpec::new(key::RW | key::INSERT, Begin::Index(2), Find::Range { last: 0, step: 1, limit: 0 }),
];
const KEY_LOOK: &[KeySpec] = &[KeySpec::new(key::RO, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_READ: &[KeySpec] =
    &[KeySpec::new(key::RO | key::ACCESS, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_ACCESS_DELETE: &[KeySpec] =
    &[KeySpec::new(key::RW | key::ACCESS | key::DELETE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_READ_ALL: &[KeySpec] =
    &[KeySpec::new(key::RO | key::ACCESS, Begin::Index(1), Find::Range { last: -1, step: 1, limit: 0 })];
const KEY_UPDATE_AND_READ_ALL: &[KeySpec] = &[
    KeySpec::new(key::OW | key::UPDATE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 }),
    KeySpec::new(key::RO | key::ACCESS, Begin::Index(2), Find::Range { last: -1, step: 1, limit: 0 }),
];
const KEY_READ_COUNTED: &[KeySpec] =
    &[KeySpec::new(key::RO | key::ACCESS, Begin::Index(1), Find::Count { at: 0, first: 1, step: 1 })];
const KEY_OW_UPDATE_AND_READ_ALL: &[KeySpec] = &[
    KeySpec::new(key::OW | key::UPDATE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 }),
    KeySpec::new(key::RO | key::ACCESS, Begin::Index(2), Find::Range { last: -1, step: 1, limit: 0 }),
];

#[cfg(test)]
mod tests {
    use rivulet_keyspace::Set;

    use super::*;
    use crate::testing::Bench;

    fn bench() -> Bench {
        Bench::new(&[COMMANDS])
    }

    fn encoding(b: &Bench, key: &str) -> &'static str {
        let db = b.keyspace.db(0);
        let entry = db.find(db.key(key.as_bytes())).expect("the key is there");
        entry.collection::<Set>().expect("it is a set").encoding()
    }

    /// The words of a reply in order, without its header.
    fn words(reply: &str) -> Vec<&str> {
        let mut words: Vec<&str> =
            reply.split("\r\n").filter(|w| !w.is_empty() && !w.starts_with(['*', '~', '$'])).collect();
        words.sort_unstable();
        words
    }

    #[test]
    fn members_come_and_go() {
        let mut b = bench();
        for (line, want) in [
            ("SADD s 1 2 2 3", ":3\r\n"),
            ("SISMEMBER s 2", ":1\r\n"),
            ("SMISMEMBER s 2 a", "*2\r\n:1\r\n:0\r\n"),
            ("SADD s a", ":1\r\n"),
            ("SREM s 1 2 none", ":2\r\n"),
            ("SCARD s", ":2\r\n"),
            ("SMOVE s to a", ":1\r\n"),
            ("SMOVE s to a", ":0\r\n"),
            ("SMOVE s s 3", ":1\r\n"),
            ("SMOVE s s 4", ":0\r\n"),
            ("SMOVE none to a", ":0\r\n"),
            ("SMEMBERS s", "*1\r\n$1\r\n3\r\n"),
            ("SSCAN s 0 MATCH 4", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ] {
            assert_eq!(b.run(line), want, "{line}");
        }
        b.run("SMOVE s to 3");
        let done = b.effects();
        assert_eq!((done.dirty, done.propagated), (2, vec!["SMOVE s to 3".into()]));
        assert_eq!(done.events, ["srem s", "del s", "sadd to"]);
        assert_eq!(done.touched, ["s", "to"]);
    }

    #[test]
    fn popping() {
        let mut b = bench();
        assert_eq!(b.run("SPOP none"), "$-1\r\n");
        assert_eq!(b.run("SPOP none 2"), "*0\r\n");
        assert_eq!(b.run("SPOP none -1"), "-ERR value is out of range, must be positive\r\n");
        b.run("SADD s a");
        assert_eq!(b.run("SPOP s"), "$1\r\na\r\n");
        let done = b.effects();
        assert_eq!((done.dirty, done.propagated), (1, vec!["SREM s a".into()]));
        assert_eq!(done.events, ["spop s", "del s"]);

        // Few, most and all of a set.
        for (len, count) in [(10, 2), (100, 95), (1000, 10), (1000, 700)] {
            let names: Vec<String> = (0..len).map(|i| format!("m{i}")).collect();
            b.run(&format!("SADD s {}", names.join(" ")));
            let got = b.run(&format!("SPOP s {count}"));
            let done = b.effects();
            assert_eq!(done.dirty, count);
            let removed: Vec<String> = words(&got).iter().map(|w| format!("SREM s {w}")).collect();
            let mut propagated = done.propagated;
            propagated.sort_unstable();
            assert_eq!(propagated, removed);
            let left = b.run("SMEMBERS s");
            assert_eq!(words(&left).len(), len - count as usize);
            assert!(words(&left).iter().all(|w| !words(&got).contains(w)));
            b.run("SPOP s 5000");
            let done = b.effects();
            assert_eq!((done.propagated, done.events), (vec!["DEL s".into()], vec!["spop s".into(), "del s".into()]));
        }
        assert!(b.keyspace.is_empty());
    }

    #[test]
    fn random_members() {
        let mut b = bench();
        assert_eq!(b.run("SRANDMEMBER none"), "$-1\r\n");
        b.run("SADD s 1 2 3");
        b.resp3 = true;
        assert!(b.run("SRANDMEMBER s 2").starts_with("*2\r\n"));
        assert_eq!(b.run("SRANDMEMBER s 9"), "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n");
        assert!(b.run("SRANDMEMBER s -9").starts_with("*9\r\n"));
        assert_eq!(b.run("SRANDMEMBER s 1 2"), "-ERR syntax error\r\n");
    }

    #[test]
    fn combining() {
        let mut b = bench();
        b.run("SADD ints 1 2 3 4");
        b.run("SADD mixed 3 4 a b");
        b.run("SADD large 1 2 3 4 5 6 7 8 9 x");
        for (line, want) in [
            ("SINTER ints mixed", vec!["3", "4"]),
            ("SINTER ints none", vec![]),
            ("SUNION mixed ints", vec!["1", "2", "3", "4", "a", "b"]),
            ("SDIFF mixed ints none", vec!["a", "b"]),
            ("SDIFF large ints ints mixed", vec!["5", "6", "7", "8", "9", "x"]),
            ("SDIFF ints ints", vec![]),
        ] {
            assert_eq!(words(&b.run(line)), want, "{line}");
        }
        for (line, want, form) in [
            ("SINTERSTORE to ints mixed", ":2\r\n", "intset"),
            ("SUNIONSTORE to ints mixed", ":6\r\n", "listpack"),
            ("SREM to a b", ":2\r\n", "listpack"),
            ("SUNIONSTORE to to ints", ":4\r\n", "intset"),
            ("SDIFFSTORE to mixed ints", ":2\r\n", "listpack"),
        ] {
            assert_eq!(b.run(line), want, "{line}");
            assert_eq!(encoding(&b, "to"), form, "{line}");
        }
        assert_eq!(b.run("SINTERSTORE to to ints"), ":0\r\n");
        assert_eq!(b.effects().events, ["del to"]);
        assert_eq!(b.run("SINTERSTORE to to ints"), ":0\r\n");
        assert_eq!(b.effects().dirty, 0);
        b.resp3 = true;
        assert_eq!(b.run("SINTER ints"), "~4\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n");
    }

    #[test]
    fn counting_what_is_shared() {
        let mut b = bench();
        b.run("SADD a 1 2 3");
        b.run("SADD b 2 3 4");
        for (line, want) in [
            ("SINTERCARD 2 a b", ":2\r\n"),
            ("SINTERCARD 2 a b LIMIT 1", ":1\r\n"),
            ("SINTERCARD 2 a b LIMIT 0", ":2\r\n"),
            ("SINTERCARD 0 a b", "-ERR numkeys should be greater than 0\r\n"),
            ("SINTERCARD 3 a b", "-ERR Number of keys can't be greater than number of args\r\n"),
            ("SINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative\r\n"),
            ("SINTERCARD 1 a b", "-ERR syntax error\r\n"),
        ] {
            assert_eq!(b.run(line), want, "{line}");
        }
    }
}
