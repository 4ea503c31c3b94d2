//! Commands on lists.
//!
//! The rows are here; each noun has a file under `list/`.

mod elements;
mod ends;
mod lmovem;
mod moves;

use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, acl, flag::*, key};

pub const COMMANDS: &[Command] = &[
    Command::new("lpush", -3, WRITE | DENYOOM | FAST, Group::List, Handler::Data(ends::lpush))
        .since("1.0.0")
        .complexity("O(N) for N elements")
        .summary("Puts elements before the first")
        .acl(acl::LIST)
        .keys(KEY_INSERT),
    Command::new("rpush", -3, WRITE | DENYOOM | FAST, Group::List, Handler::Data(ends::rpush))
        .since("1.0.0")
        .complexity("O(N) for N elements")
        .summary("Puts elements behind the last")
        .acl(acl::LIST)
        .keys(KEY_INSERT),
    Command::new("lpushx", -3, WRITE | DENYOOM | FAST, Group::List, Handler::Data(ends::lpushx))
        .since("2.2.0")
        .complexity("O(N) for N elements")
        .summary("Puts elements before the first of a list that is there")
        .acl(acl::LIST)
        .keys(KEY_INSERT),
    Command::new("rpushx", -3, WRITE | DENYOOM | FAST, Group::List, Handler::Data(ends::rpushx))
        .since("2.2.0")
        .complexity("O(N) for N elements")
        .summary("Puts elements behind the last of a list that is there")
        .acl(acl::LIST)
        .keys(KEY_INSERT),
    Command::new("lpop", -2, WRITE | FAST, Group::List, Handler::Data(ends::lpop))
        .since("1.0.0")
        .complexity("O(N) for N elements popped")
        .summary("Removes and answers the first elements")
        .acl(acl::LIST)
        .keys(KEY_ACCESS_DELETE),
    Command::new("rpop", -2, WRITE | FAST, Group::List, Handler::Data(ends::rpop))
        .since("1.0.0")
        .complexity("O(N) for N elements popped")
        .summary("Removes and answers the last elements")
        .acl(acl::LIST)
        .keys(KEY_ACCESS_DELETE),
    Command::new("lmpop", -4, WRITE, Group::List, Handler::Data(ends::lmpop))
        .since("7.0.0")
        .complexity("O(N+M) for N keys, M elements popped")
        .summary("Removes and answers elements of the first of several lists that is there")
        .acl(acl::LIST)
        .keys(KEY_ACCESS_DELETE_COUNTED),
    Command::new("blpop", -3, WRITE | BLOCKING, Group::List, Handler::Data(ends::blpop))
        .since("2.0.0")
        .complexity("O(N) for N keys")
        .summary("Removes and answers the first element of one of several lists, or waits for one")
        .acl(acl::LIST)
        .keys(KEY_ACCESS_DELETE_BUT_LAST),
    Command::new("brpop", -3, WRITE | BLOCKING, Group::List, Handler::Data(ends::brpop))
        .since("2.0.0")
        .complexity("O(N) for N keys")
        .summary("Removes and answers the last element of one of several lists, or waits for one")
        .acl(acl::LIST)
        .keys(KEY_ACCESS_DELETE_BUT_LAST),
    Command::new("blmpop", -5, WRITE | BLOCKING, Group::List, Handler::Data(ends::blmpop))
        .since("7.0.0")
        .complexity("O(N+M) for N keys, M elements popped")
        .summary("Removes and answers elements of the first of several lists that is there, or waits for one")
        .acl(acl::LIST)
        .keys(KEY_ACCESS_DELETE_COUNTED_AT_2),
    Command::new("lmove", 5, WRITE | DENYOOM, Group::List, Handler::Data(moves::lmove))
        .since("6.2.0")
        .complexity("O(1)")
        .summary("Moves an element from an end of a list to an end of another")
        .acl(acl::LIST)
        .keys(KEY_ACCESS_DELETE_AND_INSERT),
    Command::new("lmovem", -5, WRITE | DENYOOM, Group::List, Handler::Data(lmovem::lmovem))
        .since("8.10.0")
        .complexity("O(N) moved")
        .summary("Moves elements from an end of a list to an end of another")
        .acl(acl::LIST)
        .keys(KEY_ACCESS_DELETE_AND_INSERT),
    Command::new("rpoplpush", 3, WRITE | DENYOOM, Group::List, Handler::Data(moves::rpoplpush))
        .since("1.2.0")
        .complexity("O(1)")
        .summary("Moves the last element of a list before the first of another")
        .acl(acl::LIST)
        .keys(KEY_ACCESS_DELETE_AND_INSERT),
    Command::new("blmove", 6, WRITE | DENYOOM | BLOCKING, Group::List, Handler::Data(moves::blmove))
        .since("6.2.0")
        .complexity("O(1)")
        .summary("Moves an element from an end of a list to an end of another, or waits for one")
        .acl(acl::LIST)
        .keys(KEY_ACCESS_DELETE_AND_INSERT),
    Command::new("blmovem", -6, WRITE | DENYOOM | BLOCKING, Group::List, Handler::Data(lmovem::blmovem))
        .since("8.10.0")
        .complexity("O(N) moved")
        .summary("Moves elements from an end of a list to an end of another, or waits for as many")
        .acl(acl::LIST)
        .keys(KEY_ACCESS_DELETE_AND_INSERT),
    Command::new("brpoplpush", 4, WRITE | DENYOOM | BLOCKING, Group::List, Handler::Data(moves::brpoplpush))
        .since("2.2.0")
        .complexity("O(1)")
        .summary("Moves the last element of a list before the first of another, or waits for one")
        .acl(acl::LIST)
        .keys(KEY_ACCESS_DELETE_AND_INSERT),
    Command::new("llen", 2, READONLY | FAST, Group::List, Handler::Data(elements::llen))
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Counts the elements")
        .acl(acl::LIST)
        .keys(KEY_LOOK),
    Command::new("lindex", 3, READONLY, Group::List, Handler::Data(elements::lindex))
        .since("1.0.0")
        .complexity("O(log(N))")
        .summary("Answers the element at an index")
        .acl(acl::LIST)
        .keys(KEY_READ),
    Command::new("lrange", 4, READONLY, Group::List, Handler::Data(elements::lrange))
        .since("1.0.0")
        .complexity("O(log(N)+M) for M elements answered")
        .summary("Answers the elements in a range of indexes")
        .acl(acl::LIST)
        .keys(KEY_READ),
    Command::new("lpos", -3, READONLY, Group::List, Handler::Data(elements::lpos))
        .since("6.0.6")
        .complexity("O(N) for N elements looked at")
        .summary("Answers the indexes of elements with a value")
        .acl(acl::LIST)
        .keys(KEY_READ),
    Command::new("lset", 4, WRITE | DENYOOM, Group::List, Handler::Data(elements::lset))
        .since("1.0.0")
        .complexity("O(log(N))")
        .summary("Changes the element at an index")
        .acl(acl::LIST)
        .keys(KEY_UPDATE),
    Command::new("linsert", 5, WRITE | DENYOOM, Group::List, Handler::Data(elements::linsert))
        .since("2.2.0")
        .complexity("O(N) for N elements looked at")
        .summary("Puts an element before or behind another")
        .acl(acl::LIST)
        .keys(KEY_INSERT),
    Command::new("lrem", 4, WRITE, Group::List, Handler::Data(elements::lrem))
        .since("1.0.0")
        .complexity("O(N)")
        .summary("Removes elements with a value")
        .acl(acl::LIST)
        .keys(KEY_DELETE),
    Command::new("ltrim", 4, WRITE, Group::List, Handler::Data(elements::ltrim))
        .since("1.0.0")
        .complexity("O(N) for N elements removed")
        .summary("Removes all but a range of indexes")
        .acl(acl::LIST)
        .keys(KEY_DELETE),
];

const KEY_INSERT: &[KeySpec] =
    &[KeySpec::new(key::RW | key::INSERT, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_ACCESS_DELETE: &[KeySpec] =
    &[KeySpec::new(key::RW | key::ACCESS | key::DELETE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_ACCESS_DELETE_COUNTED: &[KeySpec] =
    &[KeySpec::new(key::RW | key::ACCESS | key::DELETE, Begin::Index(1), Find::Count { at: 0, first: 1, step: 1 })];
const KEY_ACCESS_DELETE_BUT_LAST: &[KeySpec] =
    &[KeySpec::new(key::RW | key::ACCESS | key::DELETE, Begin::Index(1), Find::Range { last: -2, step: 1, limit: 0 })];
const KEY_ACCESS_DELETE_COUNTED_AT_2: &[KeySpec] =
    &[KeySpec::new(key::RW | key::ACCESS | key::DELETE, Begin::Index(2), Find::Count { at: 0, first: 1, step: 1 })];
const KEY_ACCESS_DELETE_AND_INSERT: &[KeySpec] = &[
    KeySpec::new(key::RW | key::ACCESS | key::DELETE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 }),
    KeySpec::new(key::RW | key::INSERT, Begin::Index(2), Find::Range { last: 0, step: 1, limit: 0 }),
];
const KEY_LOOK: &[KeySpec] = &[KeySpec::new(key::RO, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_READ: &[KeySpec] =
    &[KeySpec::new(key::RO | key::ACCESS, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_UPDATE: &[KeySpec] =
    &[KeySpec::new(key::RW | key::UPDATE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];
const KEY_DELETE: &[KeySpec] =
    &[KeySpec::new(key::RW | key::DELETE, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn bench() -> Bench {
        Bench::new(&[COMMANDS])
    }

    #[test]
    fn both_forms_answer_the_same() {
        let mut small = bench();
        let mut large = bench();
        large.settings.limits.list_max_listpack_size = 1;
        for (line, want) in [
            ("RPUSH l a 1 b 2 a", ":5\r\n"),
            ("LPUSH l x y", ":7\r\n"),
            ("LPUSHX none a", ":0\r\n"),
            ("RPUSHX l z", ":8\r\n"),
            ("LRANGE l 0 2", "*3\r\n$1\r\ny\r\n$1\r\nx\r\n$1\r\na\r\n"),
            ("LRANGE l -1 100", "*1\r\n$1\r\nz\r\n"),
            ("LRANGE l 5 2", "*0\r\n"),
            ("LINDEX l -2", "$1\r\na\r\n"),
            ("LINDEX l 3", "$1\r\n1\r\n"),
            ("LINDEX l 8", "$-1\r\n"),
            ("LINDEX l -9223372036854775808", "$-1\r\n"),
            ("LINDEX none x", "$-1\r\n"),
            ("LPOS l a", ":2\r\n"),
            ("LPOS l a RANK -1", ":6\r\n"),
            ("LPOS l a COUNT 0", "*2\r\n:2\r\n:6\r\n"),
            ("LPOS l a COUNT 0 MAXLEN 6", "*1\r\n:2\r\n"),
            ("LPOS l a RANK -1 COUNT 2", "*2\r\n:6\r\n:2\r\n"),
            ("LPOS l 01", "$-1\r\n"),
            ("LPOS l none COUNT 1", "*0\r\n"),
            ("LINSERT l BEFORE 1 0", ":9\r\n"),
            ("LINSERT l after z end", ":10\r\n"),
            ("LINSERT l after none end", ":-1\r\n"),
            ("LINSERT none after a b", ":0\r\n"),
            ("LSET l 0 first", "+OK\r\n"),
            ("LSET l -1 last", "+OK\r\n"),
            ("LSET l 10 x", "-ERR index out of range\r\n"),
            ("LSET none x x", "-ERR no such key\r\n"),
            ("LREM l -1 a", ":1\r\n"),
            ("LREM l 0 none", ":0\r\n"),
            ("LTRIM l 1 -2", "+OK\r\n"),
            ("LRANGE l 0 -1", "*7\r\n$1\r\nx\r\n$1\r\na\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nz\r\n"),
            ("LPOP l", "$1\r\nx\r\n"),
            ("RPOP l 2", "*2\r\n$1\r\nz\r\n$1\r\n2\r\n"),
            ("LPOP l 0", "*0\r\n"),
            ("LPOP none 0", "*-1\r\n"),
            ("LPOP none", "$-1\r\n"),
            ("LLEN l", ":4\r\n"),
            ("LMOVE l l RIGHT LEFT", "$1\r\nb\r\n"),
            ("RPOPLPUSH l to", "$1\r\n1\r\n"),
            ("LMOVE none to LEFT LEFT", "$-1\r\n"),
            ("LMPOP 2 none l LEFT COUNT 9", "*2\r\n$1\r\nl\r\n*3\r\n$1\r\nb\r\n$1\r\na\r\n$1\r\n0\r\n"),
            ("LMPOP 1 l LEFT", "*-1\r\n"),
            ("LPOP to 1", "*1\r\n$1\r\n1\r\n"),
        ] {
            assert_eq!(small.run(line), want, "{line}");
            assert_eq!(large.run(line), want, "{line}");
        }
        assert!(small.keyspace.is_empty());
    }

    #[test]
    fn what_a_change_leaves_behind() {
        let mut b = bench();
        b.run("RPUSH l a b");
        let done = b.effects();
        assert_eq!((done.dirty, done.propagated), (2, vec!["RPUSH l a b".into()]));
        assert_eq!((done.events, done.ready), (vec!["rpush l".into()], vec!["l".into()]));
        b.run("LTRIM l 0 -1");
        let done = b.effects();
        assert_eq!((done.dirty, done.events), (0, vec!["ltrim l".into()]));
        b.run("LMPOP 1 l RIGHT COUNT 5");
        let done = b.effects();
        assert_eq!((done.dirty, done.propagated), (2, vec!["RPOP l 2".into()]));
        assert_eq!(done.events, ["rpop l", "del l"]);

        b.run("RPUSH l a");
        b.run("LMOVE l to LEFT RIGHT");
        let done = b.effects();
        assert_eq!((done.dirty, done.propagated), (1, vec!["LMOVE l to LEFT RIGHT".into()]));
        assert_eq!(done.events, ["rpush to", "lpop l", "del l"]);
        b.run("LMOVE to to LEFT RIGHT");
        assert_eq!(b.effects().events, ["rpush to", "lpop to"]);
        b.run("LTRIM to 5 9");
        assert_eq!(b.effects().events, ["ltrim to", "del to"]);
    }

    #[test]
    fn waiting() {
        let mut b = bench();
        for (line, keys) in [
            ("BLPOP x y 1.5", "x y"),
            ("BRPOP x y 1.5", "x y"),
            ("BLMOVE x y LEFT LEFT 1.5", "x"),
            ("BRPOPLPUSH x y 1.5", "x"),
            ("BLMPOP 1.5 2 x y LEFT", "x y"),
        ] {
            assert_eq!(b.run(line), "", "{line}");
            let done = b.effects();
            assert_eq!(done.block.expect("it waits").join(" "), keys);
            assert_eq!(done.block_timeout_ms, Some(1500));
        }
        b.call.deny_blocking = true;
        for (line, want) in [
            ("BLPOP x 0", "*-1\r\n"),
            ("BLMOVE x y LEFT LEFT 0", "$-1\r\n"),
            ("BRPOPLPUSH x y 0", "$-1\r\n"),
            ("BLMPOP 0 1 x LEFT", "*-1\r\n"),
            ("BLPOP x nan", "-ERR timeout is not a float or out of range\r\n"),
            ("BLMOVE x y LEFT UP 0", "-ERR syntax error\r\n"),
        ] {
            assert_eq!(b.run(line), want, "{line}");
        }
    }

    #[test]
    fn what_was_waited_for_is_propagated_without_the_wait() {
        let mut b = bench();
        for (line, want, propagated) in [
            ("BLPOP x l 0", "*2\r\n$1\r\nl\r\n$1\r\na\r\n", "LPOP l"),
            ("BRPOP x l 0", "*2\r\n$1\r\nl\r\n$1\r\nf\r\n", "RPOP l"),
            ("BLMOVE l to left RIGHT 0", "$1\r\nb\r\n", "LMOVE l to left RIGHT"),
            ("BRPOPLPUSH l to 0", "$1\r\ne\r\n", "RPOPLPUSH l to"),
            ("BLMPOP 0 2 x l LEFT COUNT 9", "*2\r\n$1\r\nl\r\n*2\r\n$1\r\nc\r\n$1\r\nd\r\n", "LPOP l 2"),
        ] {
            if line.starts_with("BLPOP") {
                b.run("RPUSH l a b c d e f");
            }
            assert_eq!(b.run(line), want, "{line}");
            assert_eq!(b.effects().propagated, [propagated]);
        }
    }

    #[test]
    fn refusals() {
        let mut b = bench();
        for (line, want) in [
            ("LPOP l 1 2", "-ERR wrong number of arguments for 'lpop' command\r\n"),
            ("LPOP l -1", "-ERR value is out of range, must be positive\r\n"),
            (
                "LPOS l a RANK 0",
                "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list\r\n",
            ),
            ("LPOS l a COUNT -1", "-ERR COUNT can't be negative\r\n"),
            ("LPOS l a MAXLEN x", "-ERR MAXLEN can't be negative\r\n"),
            ("LPOS l a RANK", "-ERR syntax error\r\n"),
            ("LINSERT l AT a b", "-ERR syntax error\r\n"),
            ("LMPOP 0 l LEFT", "-ERR numkeys should be greater than 0\r\n"),
            ("LMPOP 5 l LEFT", "-ERR syntax error\r\n"),
            ("LMPOP 1 l LEFT COUNT 0", "-ERR count should be greater than 0\r\n"),
        ] {
            assert_eq!(b.run(line), want, "{line}");
        }
    }
}
