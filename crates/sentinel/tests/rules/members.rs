//! Who is a replica and a member, who is forgotten, and who may be chosen (redis#4123, #6194, #13483).

use super::{Bench, RUN, Stream, at, chosen_among, master_info, replica_info, set_of_three, stream_info};

/// Two servers with one id, as copies of one machine have: neither has moved.
#[test]
fn who_is_there_has_not_moved() {
    let mut bench = Bench::new(&["known-replica m 10.0.0.1 3"]);
    bench.tell(2, &replica_info("x", 5));
    bench.tell(3, &replica_info("x", 5));
    bench.run_ms(10);
    assert_eq!(bench.core.masters["m"].replicas.len(), 2, "{:?}", bench.logged);
}

/// This Sentinel may be the only one that does not reach it; or the master is away, who would know.
#[test]
fn who_may_be_there_is_not_forgotten() {
    let named = "slave0:ip=10.0.0.1,port=2,state=online,offset=500,lag=0\r\n";
    for (more, silent, is_forgotten) in [(named, vec![2], false), ("", vec![1, 2], false), ("", vec![2], true)] {
        let mut bench = Bench::new(&["forget-after m 60000"]);
        bench.core.periods.info_ms = 500;
        bench.answers = vec![(1, master_info(RUN[0], "one", 500, "") + more)];
        bench.run_ms(2_000);
        bench.silent = silent;
        bench.run_ms(70_000);
        assert_eq!(bench.has_logged("-slave"), is_forgotten, "{more}: {:?}", bench.logged);
    }
}

/// The master would wait for those who are left, and they are away, too.
#[test]
fn no_member_goes_while_too_few_are_left() {
    for (silent, goes) in [(vec![3], true), (vec![2, 3], false)] {
        let mut bench = set_of_three(&["forget-after m 60000"]);
        bench.core.periods.info_ms = 500;
        bench.run_ms(2_000);
        bench.silent = silent;
        bench.run_ms(80_000);
        assert_eq!(bench.count_sent(1, "MEMBERS") > 0, goes, "{:?}", bench.sent);
    }
}

/// It has received more than it has executed, and does not come on for a while.
#[test]
fn what_was_received_is_waited_for() {
    let stands = Stream { read_offset: 1000, ..at(700) };
    let (bench, winner) = chosen_among([900, 700], [at(900), stands], &[], 1000);
    assert_eq!(winner, None, "it may still come: {:?}", bench.logged);
    let (bench, winner) = chosen_among([900, 700], [at(900), stands], &[], 1400);
    assert_eq!(winner.as_deref(), Some("10.0.0.1:2"), "it was waited for long enough: {:?}", bench.logged);
}

/// One answers pings alone: what it told before counts.
#[test]
fn answers_are_not_waited_for_for_ever() {
    let mut bench = Bench::new(&["known-replica m 10.0.0.1 3"]);
    bench.call(&["SENTINEL", "SET", "m", "quorum", "1"]).0.expect("it is set");
    bench.core.periods.info_ms = 10_000;
    bench.tell(1, &master_info(RUN[0], "old", 1000, "db0:keys=5\r\n"));
    bench.tell(2, &stream_info(2, at(900)));
    bench.tell(3, &stream_info(3, at(950)));
    bench.answers = vec![(2, stream_info(2, at(900)))];
    bench.silent = vec![1];
    bench.run_ms(3_500);
    let choice = bench.core.masters["m"].last_choice.as_ref();
    assert_eq!(choice.and_then(|choice| choice.winner.as_deref()), Some("10.0.0.1:3"), "{:?}", bench.logged);
}

#[test]
fn who_refuses_to_tell_its_state_is_not_chosen() {
    let mut bench = Bench::new(&[]);
    bench.call(&["SENTINEL", "SET", "m", "quorum", "1"]).0.expect("it is set");
    bench.answers = vec![(2, "-NOAUTH Authentication required.\r\n".into())];
    bench.tell(1, &master_info(RUN[0], "old", 1000, ""));
    let first = bench.connections.iter().find(|(port, _)| *port == 2).expect("it is connected").1;
    bench.core.received(first, bench.answers[0].1.as_bytes());
    bench.run_ms(200);
    bench.silent = vec![1];
    bench.run_ms(3_000);
    assert!(bench.has_logged("not chosen: it has never told its state"), "{:?}", bench.logged);
    assert!(bench.has_logged("-failover-abort-no-good-slave") && bench.count_sent(2, "SLAVEOF") == 0);
}
