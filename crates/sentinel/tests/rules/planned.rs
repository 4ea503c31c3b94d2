//! A planned switch loses nothing (redis#6062): the master's writers wait until the replica has all, and go on if there is no switch.

use super::{Bench, RUN, Stream, master_info, replica_info, set_of_three};

/// A master at offset 100, and a replica at another one.
fn bench(offset: u64) -> Bench {
    let mut bench = Bench::new(&["failover-timeout m 4000"]);
    let master = master_info(RUN[0], "h", 100, "db0:keys=1\r\n") + "master_failover_state:no-failover\r\n";
    bench.answers = vec![(1, master), (2, replica_info("h", offset))];
    for (port, info) in bench.answers.clone() {
        bench.tell(port, &info);
    }
    bench.exec = "*1\r\n+OK\r\n";
    bench
}

const COORDINATED: [&str; 4] = ["SENTINEL", "FAILOVER", "m", "COORDINATED"];

#[test]
fn a_replica_that_does_not_get_all_is_not_promoted() {
    for (words, is_promoted) in [(&COORDINATED[..], false), (&COORDINATED[..3], true)] {
        let mut bench = bench(90);
        bench.call(words).0.expect("it is fit");
        bench.run_ms(4_500);
        assert_eq!(bench.count_sent(2, "SLAVEOF"), 0, "it may come still");
        assert_eq!((bench.count_sent(1, "UNPAUSE"), bench.count_sent(1, "PAUSE") > 0), (0, true));
        bench.run_ms(1_500);
        assert_eq!(bench.count_sent(2, "SLAVEOF") > 0, is_promoted, "{:?}", bench.logged);
        assert_eq!(bench.has_logged("-failover-abort-hand-over"), !is_promoted, "{:?}", bench.logged);
        assert_eq!(bench.count_sent(1, "UNPAUSE"), 1, "its writers go on");
    }
}

#[test]
fn a_master_that_does_not_pause_hands_nothing_over() {
    let mut bench = bench(100);
    bench.pause = "-NOPERM it is not allowed\r\n";
    bench.call(&COORDINATED).0.expect("it is fit");
    bench.run_ms(2_000);
    assert!(bench.has_logged("-failover-abort-hand-over"), "{:?}", bench.logged);
    assert_eq!(bench.count_sent(2, "SLAVEOF"), 0, "{:?}", bench.logged);
}

/// A master that can't pause its writers, or is not there, can't hand over.
#[test]
fn who_cannot_hand_over_is_not_asked() {
    for is_silent in [false, true] {
        let mut bench = bench(100);
        match is_silent {
            true => bench.silent = vec![1],
            false => bench.answers[0].1 = master_info(RUN[0], "h", 100, "db0:keys=1\r\n"),
        }
        bench.run_ms(3_500);
        let refused = bench.call(&COORDINATED).0.expect_err("it can't");
        assert!(refused.starts_with("NOGOODPRIMARY"), "{refused}");
    }
}

/// The replica does not say what it is: it may be the master by now.
#[test]
fn writers_wait_until_it_is_known_who_the_master_is_but_not_for_ever() {
    let mut bench = bench(100);
    bench.call(&COORDINATED).0.expect("it is fit");
    bench.run_ms(500);
    assert!(bench.count_sent(2, "SLAVEOF") > 0, "{:?}", bench.logged);
    bench.run_ms(3_000);
    let paused = bench.count_sent(1, "PAUSE");
    assert!((3..=5).contains(&paused) && bench.count_sent(1, "UNPAUSE") == 0, "{paused} times");
    bench.run_ms(2_000);
    assert!(bench.has_logged("-failover-abort-slave-timeout"), "{:?}", bench.logged);
    assert_eq!(bench.count_sent(1, "UNPAUSE"), 1);
}

#[test]
fn writers_do_not_wait_when_too_few_are_fenced() {
    let mut bench = set_of_three(&[]);
    bench.answers[0].1 += "master_failover_state:no-failover\r\n";
    bench.fences.values_mut().for_each(|told| *told = "-ERR the disk is full\r\n".into());
    bench.run_ms(200);
    bench.call(&COORDINATED).0.expect("all answer");
    bench.run_ms(5_000);
    assert!(bench.has_logged("-failover-abort-not-fenced"), "{:?}", bench.logged);
    assert_eq!((bench.count_sent(1, "UNPAUSE"), bench.count_sent(2, "PROMOTE")), (1, 0), "{:?}", bench.sent);
}

/// What it told before may be of another history, or gone.
#[test]
fn what_a_replica_told_before_the_pause_does_not_count() {
    let mut bench = bench(100);
    bench.core.periods.info_ms = 1_000;
    bench.answers.pop();
    bench.call(&COORDINATED).0.expect("it is fit");
    bench.run_ms(1_000);
    assert_eq!((bench.count_sent(1, "PAUSE"), bench.count_sent(2, "SLAVEOF")), (1, 0), "{:?}", bench.logged);
}

/// Who looks for the master when it is cut off finds the new one; and nothing is written to the old one any more.
#[test]
fn the_old_master_is_a_replica_before_its_writers_go_on_and_after_the_others_know() {
    let mut bench = bench(100);
    bench.hello(&format!("10.0.0.1,99,{},0,m,10.0.0.1,1,0", "9".repeat(40)));
    bench.run_ms(100);
    bench.call(&COORDINATED).0.expect("it is fit");
    while bench.count_sent(2, "SLAVEOF") == 0 {
        bench.run_ms(1);
        assert!(bench.now_ms < 1_005_000, "{:?}", bench.logged);
    }
    bench.answers[1].1 = master_info(RUN[1], "new", 100, "db0:keys=1\r\n");
    bench.run_ms(300);
    let at = |port: u16, what: &str| bench.sent.iter().position(|(to, text)| *to == port && text.contains(what));
    let steps = [at(99, ",m,10.0.0.1,2,"), at(1, "SLAVEOF"), at(1, "UNPAUSE")];
    assert!(steps.is_sorted() && steps.iter().all(Option::is_some), "{steps:?} {:?}", bench.sent);
}

/// It is always behind a master that is written to: the pause ends that.
#[test]
fn the_stream_of_a_master_that_is_up_is_not_waited_for() {
    let mut bench = bench(100);
    bench.streams.insert(2, Stream { offset: 100, read_offset: 1_000_000, step: 1, link: "up" });
    bench.call(&COORDINATED).0.expect("it is fit");
    bench.run_ms(600);
    assert_eq!(bench.count_sent(1, "PAUSE"), 1, "{:?}", bench.logged);
}

/// The old one waits with its writers, and is not known any more after that.
#[test]
fn a_reset_after_the_switch_was_made_ends_it() {
    let mut bench = bench(100);
    bench.call(&COORDINATED).0.expect("it is fit");
    while bench.count_sent(2, "SLAVEOF") == 0 {
        bench.run_ms(1);
        assert!(bench.now_ms < 1_005_000, "{:?}", bench.logged);
    }
    bench.answers[1].1 = master_info(RUN[1], "new", 100, "db0:keys=1\r\n");
    while !bench.has_logged("+promoted-slave") {
        bench.run_ms(1);
        assert!(bench.now_ms < 1_005_000, "{:?}", bench.logged);
    }
    bench.call(&["SENTINEL", "RESET", "m"]).0.expect("it is done");
    assert_eq!(bench.master_port(), 2, "{:?}", bench.logged);
    assert!(bench.count_sent(1, "SLAVEOF\r\n$8\r\n10.0.0.1\r\n$1\r\n2\r\n") > 0, "{:?}", bench.sent);
    assert_eq!(bench.count_sent(1, "UNPAUSE"), 1);
}

/// This Sentinel did not run for a while: the master's writers go on by then, and what came meanwhile was true before that.
#[test]
fn what_came_while_this_one_stood_still_is_not_acted_on() {
    for (trigger_ms, is_over) in [(2_000, false), (100_000, true)] {
        let mut bench = bench(90);
        bench.core.periods.tilt_trigger_ms = trigger_ms;
        bench.call(&COORDINATED).0.expect("it is fit");
        bench.run_ms(500);
        assert!(bench.count_sent(1, "PAUSE") > 0, "{:?}", bench.logged);
        // It is asked, and its answer comes when nobody takes it.
        bench.answers.pop();
        bench.run_ms(6);
        bench.now_ms += 20_000;
        bench.core.set_time(bench.now_ms, bench.now_ms);
        bench.tell(2, &replica_info("h", 100));
        assert_eq!(bench.count_sent(2, "SLAVEOF"), 0, "{trigger_ms}: {:?}", bench.logged);
        assert_eq!(bench.has_logged("-failover-abort-hand-over"), is_over, "{:?}", bench.logged);
        assert_eq!(bench.has_logged("+tilt"), !is_over, "{:?}", bench.logged);
        bench.run_ms(35_000);
        assert!(bench.has_logged("-failover-abort-hand-over"), "{:?}", bench.logged);
        assert_eq!(bench.count_sent(2, "SLAVEOF"), 0, "{:?}", bench.logged);
    }
}
