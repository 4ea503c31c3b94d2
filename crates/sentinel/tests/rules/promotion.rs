//! Votes, and what becomes of who is promoted.

use super::{Bench, RUN, master_info, member_info, replica_info, set_of_three};

impl Bench {
    fn run_until_sent(&mut self, port: u16, what: &str) {
        while self.count_sent(port, what) == 0 {
            self.run_ms(1);
            assert!(self.now_ms < 1_020_000, "{:?}", self.logged);
        }
    }
}

/// The set of `d`, `e` and `f` whose master has gone, when `e` has just been told that it is the master.
fn with_chosen(options: &[&str]) -> Bench {
    let mut bench = set_of_three(options);
    bench.exec = "*1\r\n+OK\r\n";
    bench.silent = vec![1];
    bench.run_until_sent(2, "PROMOTE");
    bench
}

fn of_epoch(letter: &str, is_master: bool, epoch: u64) -> String {
    member_info(letter, is_master, "5.2", &["d", "e", "f"])
        .replace("failover_epoch:5", &format!("failover_epoch:{epoch}"))
}

/// It was a master before, of another failover, and is one again after a restart; or another leader has fenced it since; or it was started again since it was
/// chosen, with its promotion or without.
#[test]
fn who_is_a_master_of_another_failover_is_not_taken_for_promoted() {
    let own = |epoch: u64, more: &str| of_epoch("e", true, epoch).replacen(RUN[0], &"e".repeat(40), 1) + more;
    let restarted = of_epoch("e", false, 1).replacen(&"e".repeat(40), RUN[1], 1);
    let restarted_master = own(1, "stale_master:1\r\n").replacen(&"e".repeat(40), RUN[1], 1);
    // Of the leader's term, but stale, or not sure of its data; of an earlier one; of a later one. Only who waits for something is waited for.
    let rows = [
        ("it is", own(1, ""), true, false),
        ("stale", own(1, "stale_master:1\r\n"), false, false),
        ("unproven", own(1, "synchronous_unproven:1\r\n"), false, true),
        ("earlier", own(0, ""), false, false),
        ("later", own(7, ""), false, true),
        ("a replica yet", of_epoch("e", false, 1), false, false),
        ("started again before it heard of it", restarted, false, true),
        ("started again, as a master of before", restarted_master, false, true),
    ];
    for (name, info, is_promoted, is_over) in rows {
        let mut bench = with_chosen(&[]);
        bench.answers[1].1 = info;
        bench.run_ms(1_000);
        assert_eq!(bench.has_logged("+promoted-slave"), is_promoted, "{name}: {:?}", bench.logged);
        assert_eq!(bench.has_logged("-failover-abort-not-fenced"), is_over, "{name}: {:?}", bench.logged);
    }
}

/// Somebody turns synchronous replicas on while a failover is under way that went without fences.
#[test]
fn who_was_not_fenced_is_promoted_without_a_term() {
    let mut bench = set_of_three(&[]);
    for (_, info) in &mut bench.answers {
        *info = info.replace("synchronous_replicas:1", "synchronous_replicas:0");
    }
    bench.run_ms(100);
    bench.exec = "*1\r\n+OK\r\n";
    bench.silent = vec![1];
    bench.run_until_sent(2, "SLAVEOF\r\n$2\r\nNO");
    bench.answers[2].1 = of_epoch("f", false, 5);
    bench.run_ms(100);
    bench.answers[1].1 = of_epoch("e", true, 0);
    bench.run_ms(1_000);
    assert!(bench.has_logged("+promoted-slave") && bench.count_sent(2, "FENCE") == 0, "{:?}", bench.logged);
}

/// Another leader has fenced it for a later failover: it is that one's, and nobody waits for it.
#[test]
fn who_knows_a_later_failover_is_not_led_to_the_promoted_one() {
    for epoch in [1, 2] {
        let mut bench = with_chosen(&["failover-timeout m 60000"]);
        bench.answers[2].1 = of_epoch("f", false, epoch);
        bench.run_ms(100);
        bench.answers[1].1 = of_epoch("e", true, 1);
        bench.run_ms(2_000);
        assert_eq!(bench.has_logged("+switch-master"), epoch == 2, "{:?}", bench.logged);
        bench.run_ms(20_000);
        assert!(bench.has_logged("+switch-master"), "{:?}", bench.logged);
        assert_eq!(bench.count_sent(3, "SLAVEOF") > 0, epoch == 1, "{epoch}: {:?}", bench.logged);
        assert_eq!(bench.has_logged("+slave-reconf-sent"), epoch == 1, "{epoch}: {:?}", bench.logged);
    }
}

/// Two users have asked two Sentinels at once, and each has voted for itself. Neither can do without votes, as too few answer to be fenced by two leaders.
#[test]
fn a_users_failover_that_nobody_is_elected_for_ends() {
    let peer = format!("known-sentinel m 10.0.0.1 99 {}", "9".repeat(40));
    let mut bench = set_of_three(&[&peer]);
    for (_, info) in &mut bench.answers {
        *info = info.replace("synchronous_replicas:1", "synchronous_replicas:2");
    }
    bench.core.periods.info_ms = 500;
    bench.answers[0].1 += "master_failover_state:no-failover\r\n";
    bench.fences.insert(99, format!("*3\r\n:0\r\n$40\r\n{}\r\n:1\r\n", "9".repeat(40)));
    bench.run_ms(2_000);
    bench.silent = vec![3];
    bench.run_ms(6_000);
    bench.call(&["SENTINEL", "FAILOVER", "m"]).0.expect("one of two is enough for one that is elected");
    bench.run_ms(3_000);
    assert!(bench.has_logged("-failover-abort-not-elected"), "{:?}", bench.logged);
    assert_eq!(bench.count_sent(2, "FENCE"), 0, "{:?}", bench.sent);
}

/// Without synchronous replicas the id that a server tells is that of its run.
#[test]
fn a_server_of_an_ordinary_set_that_was_forgotten_is_led_home() {
    let with_id = |info: String, id: &str| info.replace(&"c".repeat(40), id) + &format!("node_id:{id}\r\n");
    let infos = |id: &str| {
        [
            ("as a master of the set's history", with_id(master_info(id, "old", 400, "db0:keys=1\r\n"), id)),
            ("as a replica", with_id(replica_info("old", 400).replace("master_port:1", "master_port:2"), id)),
        ]
    };
    for (at, (name, again)) in infos(&"1".repeat(40)).into_iter().enumerate() {
        let mut bench = Bench::new(&["known-replica m 10.0.0.1 3", "forget-after m 60000", "failover-timeout m 5000"]);
        bench.core.periods.info_ms = 500;
        let first = infos(&"0".repeat(40))[at].1.clone();
        let known = |port: u16, letter: &str| (port, with_id(replica_info("old", 500), &letter.repeat(40)));
        bench.answers = vec![(1, master_info(RUN[0], "old", 500, "")), known(2, "e"), (3, first)];
        for (port, info) in bench.answers.clone() {
            bench.tell(port, &info);
        }
        bench.run_ms(2_000);
        bench.silent = vec![3];
        bench.run_ms(70_000);
        assert!(bench.core.masters["m"].forgotten.contains_key("10.0.0.1:3"), "{name}: {:?}", bench.logged);
        bench.answers[2].1 = again;
        bench.silent = vec![];
        bench.run_ms(2_000);
        assert!(bench.core.masters["m"].replicas.contains_key("10.0.0.1:3"), "{name}: {:?}", bench.logged);
    }
}

/// `e` is the master of its term when it goes, before all follow it.
fn with_promoted(options: &[&str]) -> Bench {
    let mut bench = with_chosen(&[&["failover-timeout m 60000"], options].concat());
    bench.answers[2].1 = of_epoch("f", false, 1);
    bench.run_ms(100);
    bench.answers[1].1 = of_epoch("e", true, 1);
    while !bench.has_logged("+promoted-slave") {
        bench.run_ms(1);
        assert!(bench.now_ms < 1_020_000, "{:?}", bench.logged);
    }
    bench
}

#[test]
fn who_is_promoted_and_goes_is_replaced() {
    let mut bench = with_promoted(&[]);
    // The old one is there again, and answers to be fenced.
    bench.answers[0].1 = of_epoch("d", true, 1) + "stale_master:1\r\n";
    bench.come_back(1);
    bench.silent = vec![2];
    bench.run_ms(2_500);
    assert!(bench.has_logged("+switch-master m 10.0.0.1 1 10.0.0.1 2"), "{:?}", bench.logged);
    bench.run_ms(6_000);
    let epochs = bench.logged.iter().filter(|line| line.starts_with("+elected-leader")).count();
    assert!(epochs > 1, "{:?}", bench.logged);
    assert!(bench.count_sent(1, "PROMOTE") + bench.count_sent(3, "PROMOTE") > 0, "{:?}", bench.logged);
}

/// All know the term by then, and that it is the master of it.
#[test]
fn a_reset_does_not_take_back_who_is_promoted() {
    let mut bench = with_promoted(&["known-replica m 10.0.0.1 4"]);
    bench.call(&["SENTINEL", "RESET", "m"]).0.expect("it is done");
    assert_eq!((bench.master_port(), bench.core.masters["m"].config_epoch), (2, 1), "{:?}", bench.logged);
    assert!(bench.has_logged("+switch-master") && bench.has_logged("+reset-master master m 10.0.0.1 2"));
    let line = bench.core.lines().into_iter().find(|(name, _)| *name == "sentinel monitor").expect("it is written");
    assert!(String::from_utf8_lossy(&line.1[0].0).contains("10.0.0.1 2"));
    assert!(bench.count_sent(3, "SLAVEOF\r\n$8\r\n10.0.0.1\r\n$1\r\n2\r\n") > 0, "{:?}", bench.sent);
}
