//! Another server at the address of a replica, or of the master of before.

use super::{Bench, RUN, master_info, member_info, replica_info, set_of_three};

const LABEL: &str = "10.0.0.1:3";
const TO_MASTER: &str = "SLAVEOF\r\n$8\r\n10.0.0.1\r\n$1\r\n";
const THREE: [&str; 3] = ["d", "e", "f"];

/// A master of another set, which has a list of its own.
fn stranger(keys: &str) -> String {
    member_info("b", true, "2.1", &["b", "c"]).replace("old", "other") + keys
}

/// To make it a replica would take its data from it.
#[test]
fn a_stranger_at_a_replicas_address_is_left_alone() {
    let keys = "db0:keys=1\r\n";
    let id = |info: String, letter: &str| info + &format!("node_id:{}\r\n", letter.repeat(40));
    let of_others = replica_info("other", 70).replace("master_port:1", "master_port:9");
    let rows = [
        ("a master of another set", stranger(keys), false),
        ("a master without a list", id(master_info(RUN[1], "other", 70, keys), "9"), false),
        ("a replica of another set", id(of_others.clone(), "9"), false),
        ("an empty one, as one that was wiped", stranger(""), true),
        ("itself, with other data", id(master_info(RUN[1], "other", 70, keys), "f"), true),
        ("one of the set's history", stranger(keys).replace("other", "old"), true),
        ("one that knows the set", member_info("b", true, "5.3", &["b", "e"]).replace("old", "other") + keys, true),
        ("one without an id that lasts", master_info(RUN[1], "other", 70, keys), true),
    ];
    for (name, info, is_led) in rows {
        for (is_strict, options) in [(true, &[][..]), (false, &["strict-failover m no"])] {
            let mut bench = set_of_three(&[&["failover-timeout m 5000"], options].concat());
            bench.core.periods.info_ms = 500;
            bench.answers[2].1 = info.clone();
            bench.run_ms(20_000);
            let is_led = is_led || !is_strict;
            assert_eq!(bench.count_sent(3, TO_MASTER) > 0, is_led, "{name} {is_strict}: {:?}", bench.logged);
            assert_eq!(bench.core.masters["m"].replicas.contains_key(LABEL), is_led, "{name}: {:?}", bench.logged);
            let told = bench.logged.iter().filter(|line| line.contains("it is left alone")).count();
            assert_eq!(told, usize::from(!is_led), "{name}: {:?}", bench.logged);
        }
    }
}

/// `e` has become the master, and somebody is where `d` was.
fn at_the_old_masters_address(info: &str, ms: u64) -> Bench {
    let mut bench = set_of_three(&["failover-timeout m 60000"]);
    bench.exec = "*1\r\n+OK\r\n";
    bench.silent = vec![1];
    let of_epoch = |letter: &str, is_master: bool| {
        let info = member_info(letter, is_master, "5.2", &THREE).replace("failover_epoch:5", "failover_epoch:1");
        info.replace("master_port:1", "master_port:2").replace(RUN[0], &letter.repeat(40)).replace("old", "new")
            + "master_replid2:old\r\nsecond_repl_offset:501\r\n"
    };
    bench.answers[1].1 = member_info("e", false, "5.2", &THREE);
    while bench.count_sent(2, "PROMOTE") == 0 {
        bench.run_ms(1);
        assert!(bench.now_ms < 1_020_000, "{:?}", bench.logged);
    }
    bench.answers[1].1 = of_epoch("e", true);
    bench.answers[2].1 = of_epoch("f", false);
    bench.run_ms(1_000);
    assert_eq!(bench.master_port(), 2, "{:?}", bench.logged);
    bench.sent.clear();
    bench.answers[0].1 = info.to_string();
    bench.come_back(1);
    bench.run_ms(ms);
    bench
}

/// One that comes back takes writes that will be lost, as long as one waits. Whether it is that one its id tells, or its history.
#[test]
fn who_is_where_the_master_was_is_led_at_once_only_if_it_is_that_one() {
    let keys = "db0:keys=1\r\n";
    let lower = |info: String| info.replace("failover_epoch:5", "failover_epoch:0");
    let own = lower(member_info("d", true, "5.2", &THREE));
    let wiped = master_info(RUN[1], "wiped", 0, "") + &format!("node_id:{}\r\n", "a".repeat(40));
    let rows = [
        ("itself", own.clone() + keys, true, true),
        ("itself, with other data", own.replace("old", "other") + keys, true, true),
        ("one of its history", master_info(RUN[1], "old", 500, keys), true, true),
        ("without its directory", wiped, false, true),
        ("one without an id", master_info(RUN[1], "other", 70, keys), false, true),
        ("a stranger", lower(stranger(keys)), false, false),
    ];
    for (name, info, at_once, is_led) in rows {
        let is_led_by = |ms: u64| {
            let bench = at_the_old_masters_address(&info, ms);
            (bench.count_sent(1, &format!("{TO_MASTER}2\r\n")) > 0, format!("{name}: {:?}", bench.logged))
        };
        let (early, log) = is_led_by(4_000);
        assert_eq!(early, at_once, "{log}");
        let (late, log) = is_led_by(15_000);
        assert_eq!(late, is_led, "{log}");
    }
}

/// A server that is reached by two addresses is no replica of itself.
#[test]
fn a_master_of_two_addresses_is_not_led_to_itself() {
    let with_id = |info: String, letter: &str| info + &format!("node_id:{}\r\n", letter.repeat(40));
    let rows = [
        ("by its run", master_info(RUN[0], "old", 500, ""), master_info(RUN[0], "old", 500, ""), false),
        (
            "by its id",
            with_id(master_info(RUN[0], "old", 500, ""), "d"),
            with_id(master_info(RUN[1], "old", 500, ""), "d"),
            false,
        ),
        ("another one", master_info(RUN[0], "old", 500, ""), master_info(RUN[1], "old", 500, ""), true),
    ];
    for (name, master, other, is_led) in rows {
        let mut bench = Bench::new(&[]);
        bench.answers = vec![(1, master), (2, other)];
        for (port, info) in bench.answers.clone() {
            bench.tell(port, &info);
        }
        bench.run_ms(20_000);
        assert_eq!(bench.count_sent(2, "SLAVEOF") > 0, is_led, "{name}: {:?}", bench.logged);
        assert_eq!(bench.has_logged("+convert-to-slave"), is_led, "{name}: {:?}", bench.logged);
    }
}

/// The link of who was there before is not over yet for the master, which names it.
#[test]
fn a_stranger_that_the_master_still_names_is_left_alone() {
    let mut bench = set_of_three(&[]);
    bench.core.periods.info_ms = 500;
    bench.answers[0].1 += "slave0:ip=10.0.0.1,port=3,state=online,offset=500,lag=50\r\n";
    bench.answers[2].1 = stranger("db0:keys=1\r\n");
    bench.run_ms(150_000);
    assert_eq!(bench.count_sent(3, TO_MASTER) + bench.count_sent(3, "MEMBERS"), 0, "{:?}", bench.sent);
    assert_eq!(bench.logged.iter().filter(|line| line.contains("it is left alone")).count(), 1, "{:?}", bench.logged);
    // The one of before is there again.
    bench.answers[2].1 = member_info("f", false, "5.2", &THREE);
    bench.run_ms(62_000);
    assert!(bench.core.masters["m"].replicas.contains_key(LABEL), "{:?}", bench.logged);
    bench.run_ms(10_000);
    assert!(bench.core.masters["m"].replicas.contains_key(LABEL), "{:?}", bench.logged);
}
