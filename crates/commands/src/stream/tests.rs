use super::COMMANDS;
use crate::testing::Bench;
use crate::{generic, string};

fn bench() -> Bench {
    Bench::new(&[COMMANDS, generic::COMMANDS, string::COMMANDS])
}

/// A stream with entries 1-0 to n-0.
fn filled(n: u64) -> Bench {
    let mut b = bench();
    for i in 1..=n {
        b.run(&format!("XADD s {i}-0 f {i}"));
    }
    b
}

/// One with a group that has delivered all of them to `c`.
fn delivered(n: u64) -> Bench {
    let mut b = filled(n);
    b.run("XGROUP CREATE s g 0");
    b.run("XREADGROUP GROUP g c STREAMS s >");
    b
}

const NOW: u64 = 1_700_000_000_000;

#[test]
fn ids_are_made_of_the_clock_and_told_to_replicas() {
    let mut b = bench();
    assert_eq!(b.run("XADD s * f v"), format!("$15\r\n{NOW}-0\r\n"));
    assert_eq!(b.effects().propagated, [format!("XADD s {NOW}-0 f v")]);
    assert_eq!((b.effects().events, b.effects().ready), (vec!["xadd s".to_string()], vec!["s".to_string(); 2]));
    assert_eq!(b.run("XADD s * f v"), format!("$15\r\n{NOW}-1\r\n"));
    assert_eq!(b.run(&format!("XADD s {NOW}-* f v")), format!("$15\r\n{NOW}-2\r\n"));
    assert_eq!(b.effects().propagated, [format!("XADD s {NOW}-2 f v")]);
    b.call.now_ms -= 5;
    assert_eq!(b.run("XADD s * f v"), format!("$15\r\n{NOW}-3\r\n"), "a clock that goes back");
    assert_eq!(b.run(&format!("XADD s {}-7 f v", NOW + 1)), format!("$15\r\n{}-7\r\n", NOW + 1));
    assert_eq!(b.effects().propagated, [format!("XADD s {}-7 f v", NOW + 1)]);
    let small = "-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n";
    assert_eq!(b.run("XADD s 5-* f v"), small);
    b.run("XADD s 18446744073709551615-18446744073709551615 f v");
    let last = "-ERR The stream has exhausted the last possible ID, unable to add more items\r\n";
    assert_eq!(b.run("XADD s * f v"), last);
    assert_eq!(b.run("XADD new 0-* f v"), "$3\r\n0-1\r\n");
}

#[test]
fn what_xadd_refuses() {
    let mut b = bench();
    for (line, error) in [
        ("XADD s 0-0 f v", "ERR The ID specified in XADD must be greater than 0-0"),
        ("XADD s 1-1 f v g", "ERR wrong number of arguments for 'xadd' command"),
        ("XADD s MAXLEN 5 1-1", "ERR wrong number of arguments for 'xadd' command"),
        ("XADD s MAXLEN -1 1-1 f v", "ERR The MAXLEN argument must be >= 0."),
        ("XADD s LIMIT 5 1-1 f v", "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"),
        ("XADD s MAXLEN = 5 LIMIT 5 1-1 f v", "ERR syntax error, LIMIT cannot be used without the special ~ option"),
        (
            "XADD s MAXLEN 5 MINID 5 1-1 f v",
            "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        ),
        ("XADD s x f v", "ERR Invalid stream ID specified as stream command argument"),
        ("XTRIM s LIMIT 5", "ERR syntax error, XTRIM must be called with a trimming strategy"),
    ] {
        let reply = b.run(line);
        let reply = reply.trim_end().trim_start_matches('-');
        // LIMIT alone is found first.
        assert!(reply == error || line.starts_with("XTRIM"), "{line}: {reply}");
        assert_eq!(b.run("EXISTS s"), ":0\r\n");
    }
    assert_eq!(b.run("XADD s NOMKSTREAM 1-1 f v"), "$-1\r\n");
    b.run("SET t 1");
    assert!(b.run("XADD t 1-1 f v").starts_with("-WRONGTYPE"));
}

#[test]
fn replicas_trim_exactly() {
    let mut b = bench();
    b.settings.limits.stream_node_max_entries = 10;
    for i in 1..=35 {
        b.run(&format!("XADD s {i}-0 f v"));
    }
    assert_eq!(b.run("XADD s MAXLEN ~ 15 36-0 f v"), "$4\r\n36-0\r\n");
    assert_eq!(b.effects().propagated, ["XADD s MAXLEN = 16 36-0 f v"]);
    assert_eq!(b.effects().events, ["xadd s", "xtrim s"]);
    assert_eq!(b.run("XADD s MAXLEN ~ 15 37-0 f v"), "$4\r\n37-0\r\n");
    assert_eq!(b.effects().propagated, ["XADD s 37-0 f v"], "no whole node is too much");
    assert_eq!(b.run("XTRIM s MINID ~ 35"), ":10\r\n");
    assert_eq!(b.effects().propagated, ["XTRIM s MINID = 31-0"]);
    assert_eq!(b.run("XTRIM s MINID = 35"), ":4\r\n");
    assert_eq!(b.effects().propagated, ["XTRIM s MINID = 35"]);
    assert_eq!((b.run("XTRIM s MAXLEN ~ 0 LIMIT 2"), b.run("XTRIM s MAXLEN 2")), (":0\r\n".into(), ":1\r\n".into()));
    assert_eq!(b.run("XLEN s"), ":2\r\n");
}

#[test]
fn deliveries_go_out_as_claims() {
    let mut b = filled(3);
    b.run("XGROUP CREATE s g 0");
    let reply = b.run("XREADGROUP GROUP g c COUNT 2 STREAMS s >");
    assert_eq!(
        reply,
        "*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n"
    );
    assert_eq!(
        b.effects().propagated,
        [
            format!("XCLAIM s g c 0 1-0 2-0 TIME {NOW} RETRYCOUNT 1 FORCE JUSTID LASTID 2-0"),
            "XGROUP SETID s g 2-0 ENTRIESREAD 2".to_string()
        ]
    );
    b.advance_ms(5);
    b.run("XREADGROUP GROUP g c STREAMS s 0");
    let told = format!("XCLAIM s g c 0 1-0 2-0 TIME {} RETRYCOUNT 2 FORCE JUSTID LASTID 2-0", NOW + 5);
    assert_eq!(b.effects().propagated, [told], "how often it was delivered is told, too");
    b.run("XREADGROUP GROUP g d NOACK STREAMS s >");
    assert_eq!(
        b.effects().propagated,
        ["XGROUP SETID s g 3-0 ENTRIESREAD 3".to_string(), "XGROUP CREATECONSUMER s g d".to_string()]
    );
    assert_eq!(b.effects().events, ["xgroup-createconsumer s"]);
    b.run("XREADGROUP GROUP g e STREAMS s >");
    assert_eq!(b.effects().propagated, ["XGROUP CREATECONSUMER s g e"]);
    b.run("XACK s g 1-0 9-9");
    assert_eq!(
        (b.effects().dirty, b.run("XPENDING s g")),
        (1, "*4\r\n:1\r\n$3\r\n2-0\r\n$3\r\n2-0\r\n*1\r\n*2\r\n$1\r\nc\r\n$1\r\n1\r\n".into())
    );
}

/// What a replica has that executes what it is told is what its master has.
#[test]
fn a_replica_has_the_same() {
    let mut rng = fastrand::Rng::with_seed(4);
    let (mut master, mut replica) = (bench(), bench());
    replica.call.from_master = true;
    for _ in 0..4000 {
        let id = format!("{}-{}", rng.u8(..60), rng.u8(..3));
        let (group, consumer) = (rng.u8(..2), rng.u8(..3));
        let refs = ["KEEPREF", "DELREF", "ACKED"][rng.usize(..3)];
        let line = match rng.u8(..18) {
            0..4 => format!("XADD s {} a 1 b 2", if rng.bool() { "*" } else { &id }),
            4 => format!("XADD s {refs} MAXLEN {} {} * a 1", ["~", "="][rng.usize(..2)], rng.u8(..40)),
            5 => format!("XTRIM s MINID {} {id} {refs}", ["~", "="][rng.usize(..2)]),
            6 => format!("XDEL s {id} {}-0", rng.u8(..60)),
            7 => format!("XDELEX s {refs} IDS 2 {id} {}-1", rng.u8(..60)),
            8 => format!("XACKDEL s g{group} IDS 2 {id} {}-1 {refs}", rng.u8(..60)),
            9 => format!("XGROUP CREATE s g{group} {} MKSTREAM", ["0", "$"][rng.usize(..2)]),
            10 => format!("XGROUP SETID s g{group} {id}"),
            11 => format!("XGROUP DELCONSUMER s g{group} c{consumer}"),
            12 | 13 => format!("XREADGROUP GROUP g{group} c{consumer} COUNT {} STREAMS s >", rng.u8(..5)),
            14 => {
                format!("XREADGROUP GROUP g{group} c{consumer} NOACK COUNT 2 STREAMS s {}", [">", "0"][rng.usize(..2)])
            }
            15 => format!("XCLAIM s g{group} c{consumer} 0 {id} FORCE RETRYCOUNT {}", rng.u8(..9)),
            16 => format!("XAUTOCLAIM s g{group} c{consumer} 3 {id} COUNT 3"),
            _ => ["DEL s", "XGROUP DESTROY s g0", "XSETID s 70-1", "SET s 1"]
                [if rng.u8(..9) == 0 { rng.usize(..4) } else { 1 }]
            .into(),
        };
        master.run(&line);
        for told in master.effects().propagated {
            let reply = replica.run(&told);
            assert!(!reply.starts_with('-'), "{line}: {told}: {reply}");
        }
        let shown = |b: &Bench| {
            let db = b.keyspace.db(0);
            db.find(db.key(b"s")).map(|entry| match entry.value() {
                rivulet_keyspace::View::Stream(stream) => without_seen(&format!("{:?}", &*stream)),
                _ => "no stream".to_string(),
            })
        };
        assert_eq!(shown(&master), shown(&replica), "after {line}: {:?}", master.effects().propagated);
        master.advance_ms(1);
        replica.advance_ms(1);
        if rng.u8(..20) == 0 {
            (master.call.now_ms, replica.call.now_ms) = (rng.u64(1..60), rng.u64(1..60));
            replica.call.now_ms = master.call.now_ms + 3;
        }
    }
}

/// When a consumer was seen is not told to replicas.
fn without_seen(text: &str) -> String {
    let cut = |text: &str, name: &str| {
        let parts = text.split(name).map(|part| part.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit()));
        parts.collect::<Vec<_>>().concat()
    };
    cut(&cut(text, "seen_ms: "), "active_ms: ")
}

#[test]
fn who_waits_asks_again_from_where_it_was() {
    let mut b = filled(2);
    b.run("XREAD COUNT 5 BLOCK 70 STREAMS s none $ 0");
    assert_eq!(b.effects().block, Some(vec!["s".to_string(), "none".into()]));
    assert_eq!(b.effects().block_timeout_ms, Some(70));
    assert_eq!(b.effects().again.as_deref(), Some("XREAD COUNT 5 BLOCK 70 STREAMS s none 2-0 0-0"));
    assert!(b.raw_effects().block.as_ref().is_some_and(|block| !block.ends_with_key));
    b.run("XGROUP CREATE s g $");
    assert_eq!(b.run("XREADGROUP GROUP g c BLOCK 0 STREAMS s >"), "");
    assert_eq!(b.effects().again.as_deref(), Some("XREADGROUP GROUP g c BLOCK 0 STREAMS s >"));
    assert!(b.raw_effects().block.as_ref().is_some_and(|block| block.ends_with_key));
    assert_eq!(b.effects().propagated, ["XGROUP CREATECONSUMER s g c"]);
    for (line, ready) in [("DEL s", 1), ("XADD s 9-9 f v", 2), ("SET s 1", 1)] {
        b.run(line);
        assert_eq!(b.effects().ready, vec!["s"; ready], "{line}");
    }
    b.call.deny_blocking = true;
    assert_eq!((b.run("XREAD BLOCK 0 STREAMS t $"), b.effects().block), ("*-1\r\n".to_string(), None));
}

#[test]
fn the_last_entry_and_what_comes_behind() {
    let mut b = filled(3);
    b.run("XDEL s 3-0");
    assert_eq!(
        b.run("XREAD STREAMS s +"),
        "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n"
    );
    assert_eq!(b.run("XREAD STREAMS none +"), "*-1\r\n");
    b.resp3 = true;
    assert_eq!(b.run("XREAD STREAMS s 1"), "%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nf\r\n$1\r\n2\r\n");
    assert!(b.run("XREAD STREAMS s >").contains("The > ID can be specified only"));
    assert!(b.run("XREAD GROUP a b STREAMS s 0").contains("only supported by XREADGROUP"));
    assert!(b.run("XREADGROUP NOACK COUNT 1 STREAMS s 0").contains("Missing GROUP"));
    assert!(
        b.run("XREADGROUP GROUP g c STREAMS s >")
            .starts_with("-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP")
    );
}

#[test]
fn claims_move_what_is_idle() {
    let mut b = delivered(3);
    b.advance_ms(100);
    assert_eq!(b.run("XCLAIM s g d 200 1-0"), "*0\r\n");
    assert_eq!(b.run("XCLAIM s g d 100 1-0 JUSTID"), "*1\r\n$3\r\n1-0\r\n");
    assert_eq!(
        b.effects().propagated,
        [format!("XCLAIM s g d 0 1-0 TIME {} RETRYCOUNT 1 FORCE JUSTID LASTID 3-0", NOW + 100)]
    );
    assert_eq!(b.run("XPENDING s g - + 10 d"), "*1\r\n*4\r\n$3\r\n1-0\r\n$1\r\nd\r\n:0\r\n:1\r\n");
    b.run("XDEL s 2-0");
    assert_eq!(b.run("XAUTOCLAIM s g d 50 - COUNT 1"), "*3\r\n$3\r\n3-0\r\n*0\r\n*1\r\n$3\r\n2-0\r\n");
    assert_eq!(b.effects().dirty, 1);
    assert_eq!(b.run("XAUTOCLAIM s g d 50 3 JUSTID"), "*3\r\n$3\r\n0-0\r\n*1\r\n$3\r\n3-0\r\n*0\r\n");
    assert!(b.run("XCLAIM s g d x 1-0").contains("Invalid min-idle-time argument for XCLAIM"));
    assert!(b.run("XCLAIM s g d 0 1-0 WHAT").contains("Unrecognized XCLAIM option 'WHAT'"));
    assert!(b.run("XAUTOCLAIM s g d 0 0 COUNT 0").contains("COUNT must be > 0"));
    assert!(b.run("XCLAIM s h d 0 1-0").starts_with("-NOGROUP No such key 's' or consumer group 'h'"));
}

#[test]
fn deletions_by_what_groups_still_need() {
    let mut b = delivered(4);
    b.run("XGROUP CREATE s late 2");
    b.run("XACK s g 1-0 4-0");
    // 1-0 nobody needs, 2-0 is pending, 3-0 as well, 4-0 the late group has to read.
    assert_eq!(b.run("XDELEX s ACKED IDS 5 1-0 2-0 3-0 4-0 9-9"), "*5\r\n:1\r\n:2\r\n:2\r\n:2\r\n:-1\r\n");
    assert_eq!(b.effects().propagated, ["XDEL s 1-0"]);
    assert_eq!(b.run("XDELEX s IDS 1 2-0 DELREF"), "*1\r\n:1\r\n");
    assert_eq!(b.effects().propagated, ["XACK s g 2-0", "XDEL s 2-0"]);
    assert_eq!(b.run("XACKDEL s g ACKED IDS 2 3-0 4-0"), "*2\r\n:2\r\n:-1\r\n");
    assert_eq!(b.effects().propagated, ["XACK s g 3-0"]);
    assert_eq!(b.run("XLEN s"), ":2\r\n");
    assert_eq!(b.run("XDELEX none IDS 2 1 2"), "*2\r\n:-1\r\n:-1\r\n");
    assert_eq!(b.effects().dirty, 0);
    for (line, error) in [
        ("XDELEX s IDS 0 1", "-ERR Number of IDs must be a positive integer\r\n"),
        ("XDELEX s IDS 3 1 2", "-ERR The `numids` parameter must match the number of arguments\r\n"),
        ("XDELEX s IDS 1 1 2", "-ERR syntax error\r\n"),
        ("XDELEX s KEEPREF ACKED IDS 1 1", "-ERR syntax error\r\n"),
        ("XDELEX s KEEPREF 1 1", "-ERR syntax error\r\n"),
        ("XDELEX s IDS 9223372036854775807 1", "-ERR The `numids` parameter must match the number of arguments\r\n"),
    ] {
        assert_eq!(b.run(line), error, "{line}");
    }
}

#[test]
fn trimming_by_what_groups_still_need() {
    let mut b = delivered(4);
    b.run("XACK s g 2-0");
    assert_eq!(b.run("XTRIM s MAXLEN 1 ACKED"), ":1\r\n");
    assert_eq!(b.effects().propagated, ["XDEL s 2-0"]);
    assert_eq!(b.run("XADD s DELREF MAXLEN 2 5-0 f v"), "$3\r\n5-0\r\n");
    assert_eq!(b.effects().propagated, ["XADD s MAXLEN = 2 5-0 f v", "XACK s g 1-0 3-0"]);
    assert_eq!(b.run("XPENDING s g - + 9"), "*1\r\n*4\r\n$3\r\n4-0\r\n$1\r\nc\r\n:0\r\n:1\r\n");
}

#[test]
fn what_is_told_of_groups() {
    let mut b = delivered(2);
    b.advance_ms(7);
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let consumer = ["name", "c", "pending"].map(bulk).concat()
        + ":2\r\n"
        + &bulk("idle")
        + ":7\r\n"
        + &bulk("inactive")
        + ":7\r\n";
    assert_eq!(b.run("XINFO CONSUMERS s g"), format!("*1\r\n*8\r\n{consumer}"));
    assert_eq!(b.run("XGROUP CREATECONSUMER s g d"), ":1\r\n");
    assert!(b.run("XINFO CONSUMERS s g").ends_with("inactive\r\n:-1\r\n"));
    let known = ["last-delivered-id", "2-0", "entries-read"].map(bulk).concat() + ":2\r\n" + &bulk("lag") + ":0\r\n";
    assert!(b.run("XINFO GROUPS s").ends_with(&known));
    assert!(b.run("XINFO STREAM s FULL COUNT 1").contains("$6\r\nlength\r\n:2\r\n"));
    assert!(
        b.run("XINFO STREAM s FULL COUNT")
            .starts_with("-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.")
    );
    assert_eq!(b.run("XINFO STREAM none"), "-ERR no such key\r\n");
    assert!(b.run("XINFO CONSUMERS s h").starts_with("-NOGROUP No such consumer group 'h' for key name 's'"));
    assert_eq!(b.run("XGROUP CREATE s g 0"), "-BUSYGROUP Consumer Group name already exists\r\n");
    assert!(b.run("XGROUP CREATE none g 0").contains("requires the key to exist"));
    assert!(b.run("XGROUP CREATE s h 0 ENTRIESREAD -2").contains("must be positive or -1"));
    assert_eq!(
        (b.run("XGROUP DELCONSUMER s g c"), b.run("XGROUP DELCONSUMER s g c")),
        (":2\r\n".into(), ":0\r\n".into())
    );
    assert_eq!((b.run("XGROUP DESTROY s g"), b.run("XGROUP DESTROY s g")), (":1\r\n".into(), ":0\r\n".into()));
}

#[test]
fn ids_that_are_set() {
    let mut b = filled(3);
    assert_eq!(b.run("XSETID s 9-0 ENTRIESADDED 7 MAXDELETEDID 5-0"), "+OK\r\n");
    for (line, error) in [
        ("XSETID s 4-0", "smaller than current max_deleted_entry_id"),
        ("XSETID s 9-0 MAXDELETEDID 9-1", "smaller than the provided max_deleted_entry_id"),
        ("XSETID s 9-0 ENTRIESADDED 2", "smaller than the target stream length"),
        ("XSETID s 9-0 ENTRIESADDED -1", "entries_added must be positive"),
        ("XSETID none 9-0", "no such key"),
        ("XSETID s 9-0 ENTRIESADDED", "syntax error"),
    ] {
        assert!(b.run(line).contains(error), "{line}");
    }
    // A master that is Redis 7.0 may send it.
    b.call.from_master = true;
    assert_eq!(b.run("XSETID s 4-0"), "+OK\r\n");
}

#[test]
fn a_time_of_the_master_is_taken_though_its_clock_is_ahead() {
    let idle = |b: &mut Bench| b.run("XPENDING s g - + 9").lines().nth(6).map(str::to_string);
    let claim = format!("XCLAIM s g d 0 1-0 TIME {} RETRYCOUNT 1 FORCE JUSTID LASTID 1-0", NOW + 500);
    for (from_master, then) in [(true, ":500"), (false, ":1000")] {
        let mut b = delivered(1);
        b.call.from_master = from_master;
        b.run(&claim);
        b.advance_ms(1000);
        assert_eq!(idle(&mut b).as_deref(), Some(then));
    }
}
