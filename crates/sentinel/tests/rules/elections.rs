//! Elections come to an end, and who is not elected tries again soon (redis#4334, #13658).

use rivulet_sentinel::election::delay_ms;

use super::{Bench, RUN, master_info, replica_info};

fn id(letter: &str) -> String {
    letter.repeat(40)
}

/// A Sentinel that knows others at ports 98 and 99, and whose master is gone for so long.
fn without_master(options: &[&str], votes: &[(u16, &str)], ms: u64) -> Bench {
    let peers = [(98, "8"), (99, "9")].map(|(port, letter)| format!("known-sentinel m 10.0.0.1 {port} {}", id(letter)));
    let mut bench = Bench::new(&[&peers.each_ref().map(String::as_str), options].concat());
    bench.call(&["SENTINEL", "SET", "m", "quorum", "1"]).0.expect("it is set");
    for (port, leader) in votes {
        bench.fences.insert(*port, format!("*3\r\n:1\r\n$40\r\n{}\r\n:1\r\n", id(leader)));
    }
    bench.tell(1, &master_info(RUN[0], "old", 500, "db0:keys=1\r\n"));
    bench.tell(2, &replica_info("old", 500));
    bench.answers = vec![(2, replica_info("old", 500))];
    bench.silent = vec![1];
    bench.run_ms(ms);
    bench
}

fn tries(bench: &Bench) -> usize {
    bench.logged.iter().filter(|line| line.starts_with("+try-failover")).count()
}

/// As Redis does: none before twice the time-out of a failover is over.
#[test]
fn who_is_not_elected_tries_again_soon() {
    let rows = [
        ("votes are missing", vec![], 20_000, true),
        ("the votes are split", vec![(98, "8"), (99, "9")], 5_000, true),
        ("another one leads", vec![(98, "8"), (99, "8")], 20_000, false),
    ];
    for (name, votes, ms, again) in rows {
        let bench = without_master(&[], &votes, ms);
        assert!(bench.has_logged("-failover-abort-not-elected"), "{name}: {:?}", bench.logged);
        assert_eq!(tries(&bench) > 1, again, "{name}: {:?}", bench.logged);
    }
}

#[test]
fn a_leader_that_finds_nobody_tries_again_soon() {
    for (options, again) in [(&[][..], true), (&["strict-failover m no"], false)] {
        let mut bench = without_master(options, &[(98, "f"), (99, "f")], 0);
        bench.silent = vec![1, 2];
        bench.run_ms(10_000);
        assert!(bench.has_logged("-failover-abort-no-good-slave"), "{:?}", bench.logged);
        assert_eq!(tries(&bench) > 1, again, "{:?}", bench.logged);
    }
}

/// It waits for who has its vote, but only while that one is there.
#[test]
fn a_leader_that_is_gone_is_not_waited_for() {
    for (silent, comes) in [(98, false), (99, true)] {
        let mut bench = without_master(&[], &[], 0);
        bench.silent = vec![1, silent];
        bench.run_ms(1_000);
        let words = ["SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "10.0.0.1", "1", "1", &id("9")];
        assert!(bench.call(&words).1.contains(&id("9")));
        bench.run_ms(4_000);
        assert_eq!(tries(&bench) > 0, comes, "{:?}", bench.logged);
    }
}

#[test]
fn who_has_voted_in_a_later_term_is_no_candidate_of_an_earlier_one() {
    for (epoch, gives_up) in [("1", false), ("2", true)] {
        let mut bench = without_master(&[], &[], 3_000);
        assert_eq!(bench.core.masters["m"].failover.as_ref().map(|own| own.epoch), Some(1), "{:?}", bench.logged);
        bench.call(&["SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "10.0.0.1", "1", epoch, &id("9")]).0.expect("a reply");
        assert_eq!(bench.core.masters["m"].failover.is_none(), gives_up, "{epoch}: {:?}", bench.logged);
    }
}

/// Where the Sentinels do not see the same of each other, chance keeps them apart in the end.
#[test]
fn after_a_split_chance_decides_more() {
    let latest = |round| (0..1000).map(|random| delay_ms("m", "a", &[], round, random)).max();
    assert!(latest(0) < Some(60) && latest(1) > Some(60) && latest(3) > latest(1).map(|ms| 3 * ms));
}

/// A master that is named again: whom this Sentinel has voted for under that name before is not known any more, only in which terms it may have.
#[test]
fn a_master_that_is_named_again_gets_no_second_vote_of_one_term() {
    let candidate = |letter: &str| letter.repeat(40);
    let mut bench = Bench::new(&[]);
    let ask = |bench: &mut Bench, letter: &str, epoch: &str| {
        bench.hello(&format!("10.0.0.1,99,{},0,m,10.0.0.1,1,0", candidate(letter)));
        let words = ["SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "10.0.0.1", "1", epoch, &candidate(letter)];
        bench.call(&words).1.contains(&candidate(letter))
    };
    assert!(ask(&mut bench, "d", "50"));
    bench.call(&["SENTINEL", "REMOVE", "m"]).0.expect("it is known");
    bench.call(&["SENTINEL", "MONITOR", "m", "10.0.0.1", "1", "1"]).0.expect("it is not known");
    assert!(!ask(&mut bench, "e", "50"), "it has voted in that term");
    assert!(ask(&mut bench, "e", "51"));
}

#[test]
fn a_master_that_is_named_late_is_replaced() {
    let mut bench = Bench::new(&["current-epoch 50"]);
    bench.call(&["SENTINEL", "REMOVE", "m"]).0.expect("it is known");
    bench.call(&["SENTINEL", "MONITOR", "m", "10.0.0.1", "1", "1"]).0.expect("it is not known");
    bench.call(&["SENTINEL", "SET", "m", "down-after-milliseconds", "1000"]).0.expect("it is set");
    let named = "slave0:ip=10.0.0.1,port=2,state=online,offset=500,lag=0\r\n";
    bench.answers = vec![(1, master_info(RUN[0], "old", 500, "") + named), (2, replica_info("old", 500))];
    bench.run_ms(300);
    bench.silent = vec![1];
    bench.run_ms(3_000);
    assert!(bench.has_logged("+elected-leader") && bench.count_sent(2, "SLAVEOF") > 0, "{:?}", bench.logged);
}
