//! Replicas that were forgotten, and are there again.

use super::{Bench, RUN, master_info, member_info, replica_info, set_of_three};

const LABEL: &str = "10.0.0.1:3";

/// The set of `d`, `e` and `f`, in which the last one was forgotten, and is no member any more.
fn without_f() -> Bench {
    without_f_and(&[])
}

fn without_f_and(options: &[&str]) -> Bench {
    let mut bench = set_of_three(&[&["forget-after m 60000", "failover-timeout m 5000"], options].concat());
    bench.core.periods.info_ms = 500;
    bench.silent = vec![3];
    bench.run_ms(70_000);
    let two = ["d", "e"];
    bench.answers[0].1 = member_info("d", true, "5.3", &two);
    bench.answers[1].1 = member_info("e", false, "5.3", &two);
    bench.run_ms(5_000);
    assert!(bench.is_forgotten() && !bench.is_replica(), "{:?}", bench.logged);
    bench.sent.clear();
    bench
}

impl Bench {
    fn is_forgotten(&self) -> bool {
        self.core.masters["m"].forgotten.contains_key(LABEL)
    }

    fn is_replica(&self) -> bool {
        self.core.masters["m"].replicas.contains_key(LABEL)
    }

    /// It is there again, and tells this.
    fn return_of_f(&mut self, info: &str) {
        self.answers[2].1 = info.to_string();
        self.silent.clear();
        self.run_ms(2_000);
    }
}

/// Another one has become the master meanwhile: it knows only the one of before, or was that.
#[test]
fn who_was_forgotten_is_led_home() {
    let three = ["d", "e", "f"];
    let of_e = member_info("f", false, "5.2", &three).replace("master_port:1", "master_port:2");
    let without_id = master_info(RUN[1], "old", 600, "db0:keys=1\r\n");
    let other_id = of_e.replace(&"f".repeat(40), &"a".repeat(40)).replace("old", "new");
    let of_e_alone = replica_info("other", 70).replace("master_port:1", "master_port:2");
    let id_alone = master_info(RUN[1], "other", 70, "db0:keys=1\r\n") + &format!("node_id:{}\r\n", "f".repeat(40));
    let was_of_set = replica_info("other", 70)
        .replace("master_port:1", "master_port:9")
        .replace("second_repl_offset:-1", "master_replid2:old\r\nsecond_repl_offset:60");
    let rows = [
        ("as a replica of the set, which is all that it tells", of_e_alone, "+fix-slave-config"),
        ("with its id, which is all that it tells", id_alone, "+convert-to-slave"),
        ("as a replica that has gone on from the set's history", was_of_set, "+fix-slave-config"),
        ("as a master", member_info("f", true, "5.2", &three), "+convert-to-slave"),
        ("as a replica of the one of before", of_e.clone(), "+fix-slave-config"),
        ("of the set's history", without_id, "+convert-to-slave"),
        ("with another id, as a replica of the set", other_id, "+fix-slave-config"),
    ];
    for (name, info, event) in rows {
        let mut bench = without_f();
        bench.return_of_f(&info);
        assert!(bench.is_replica() && !bench.is_forgotten(), "{name}: {:?}", bench.logged);
        assert_eq!(bench.count_sent(3, "SLAVEOF"), 0, "{name}: somebody may know better");
        bench.run_ms(20_000);
        assert!(bench.has_logged(event), "{name}: {:?}", bench.logged);
        assert!(bench.count_sent(3, "SLAVEOF\r\n$8\r\n10.0.0.1\r\n$1\r\n1\r\n") > 0, "{name}: {:?}", bench.sent);
        assert!(bench.count_sent(3, "SUBSCRIBE") > 0, "{name}: its messages are heard");
    }
}

/// To make it a replica would take its data from it.
#[test]
fn a_stranger_at_a_forgotten_address_is_left_alone() {
    let of_others = member_info("b", true, "2.1", &["b", "c"]).replace("old", "other");
    let follows = replica_info("other", 70).replace("master_port:1", "master_port:9");
    let with_copy = master_info(RUN[1], "other", 70, "db0:keys=1\r\n")
        .replace("second_repl_offset:-1", "master_replid2:old\r\nsecond_repl_offset:60");
    let other_id = replica_info("old", 500) + &format!("node_id:{}\r\n", "b".repeat(40));
    let rows = [
        ("a master that began with a copy of the set's data", with_copy),
        ("another node, though it follows one of the set", other_id),
        ("a master", master_info(RUN[1], "other", 70, "db0:keys=1\r\n")),
        ("a master of another set", of_others),
        ("a replica of another set", follows),
    ];
    for (name, info) in rows {
        let mut bench = without_f();
        bench.return_of_f(&info);
        bench.run_ms(20_000);
        assert!(!bench.is_replica() && !bench.is_forgotten(), "{name}: {:?}", bench.logged);
        assert!(bench.has_logged("it is left alone"), "{name}: {:?}", bench.logged);
        assert_eq!(bench.count_sent(3, "SLAVEOF"), 0, "{name}");
    }
}

/// A replica was in that set before, and brings its list along.
#[test]
fn who_is_in_a_list_of_another_set_is_a_stranger() {
    let mut bench = without_f();
    bench.answers[1].1 = member_info("e", false, "9.3", &["e", "b", "c"]);
    bench.run_ms(2_000);
    bench.return_of_f(&member_info("b", true, "9.4", &["b", "c"]).replace("old", "other"));
    assert!(bench.has_logged("it is left alone") && !bench.is_replica(), "{:?}", bench.logged);
}

/// It is asked as often as one that answers.
#[test]
fn who_wants_a_password_is_asked_now_and_then() {
    let mut bench = without_f();
    bench.return_of_f("-NOAUTH Authentication required.\r\n");
    bench.sent.clear();
    bench.run_ms(10_000);
    let asked = bench.count_sent(3, "INFO");
    assert!((10..=21).contains(&asked), "{asked} times in 20 periods");
    assert!(bench.is_forgotten(), "it may be itself");
}

#[test]
fn who_loads_is_waited_for() {
    let mut bench = without_f();
    bench.return_of_f("loading:1\r\nrole:master\r\nmaster_replid:other\r\nmaster_repl_offset:0\r\n");
    bench.run_ms(5_000);
    assert!(bench.is_forgotten() && !bench.is_replica(), "{:?}", bench.logged);
    bench.return_of_f(&member_info("f", true, "5.2", &["d", "e", "f"]));
    assert!(bench.is_replica(), "{:?}", bench.logged);
}

/// It is no member before it follows this master: a list with it would ask for what it can't acknowledge.
#[test]
fn who_comes_back_is_a_member_when_its_link_is_up() {
    let f = member_info("f", false, "5.2", &["d", "e", "f"]);
    let is_told = |bench: &Bench| bench.count_sent(2, "5.4,open") > 0;
    let mut bench = without_f();
    bench.return_of_f(&f.replace("master_link_status:up", "master_link_status:down"));
    bench.run_ms(3_000);
    assert!(bench.is_replica() && !is_told(&bench), "{:?}", bench.sent);
    bench.return_of_f(&f.replace("master_port:1", "master_port:2"));
    assert!(!is_told(&bench), "it follows another one: {:?}", bench.sent);
    bench.return_of_f(&f);
    assert!(is_told(&bench), "{:?}", bench.sent);
}

/// It names the master, where that is known by its number.
#[test]
fn who_follows_a_name_of_the_master_becomes_a_member() {
    let f = member_info("f", false, "5.2", &["d", "e", "f"]).replace("master_host:10.0.0.1", "master_host:db.internal");
    for (ip, is_told) in [([10, 0, 0, 1], true), ([10, 0, 0, 8], false)] {
        let mut bench = without_f();
        bench.call(&["SENTINEL", "CONFIG", "SET", "resolve-hostnames", "yes"]).0.expect("it is set");
        bench.core.resolved("db.internal", Some(std::net::IpAddr::from(ip)));
        bench.return_of_f(&f);
        assert!(bench.is_replica(), "{:?}", bench.logged);
        assert_eq!(bench.count_sent(2, "5.4,open") > 0, is_told, "{:?}", bench.sent);
    }
}

/// It may be the master of a failover of which this Sentinel has not heard.
#[test]
fn who_knows_a_later_epoch_is_not_led() {
    let three = ["d", "e", "f"];
    let later = |info: String| info.replace("failover_epoch:5", "failover_epoch:9");
    let of_e = member_info("f", false, "5.2", &three).replace("master_port:1", "master_port:2");
    for info in [later(member_info("f", true, "5.2", &three)), later(of_e)] {
        let mut bench = without_f();
        bench.return_of_f(&info);
        bench.run_ms(20_000);
        assert!(bench.is_replica(), "{:?}", bench.logged);
        assert_eq!(bench.count_sent(3, "SLAVEOF"), 0, "{:?}", bench.logged);
        assert!(bench.has_logged("was left half done by a failover"), "{:?}", bench.logged);
    }
}

#[test]
fn whom_the_master_names_is_forgotten_no_longer() {
    let mut bench = without_f();
    bench.answers[0].1 += "slave0:ip=10.0.0.1,port=3,state=online,offset=500,lag=0\r\n";
    bench.run_ms(2_000);
    assert!(bench.is_replica() && !bench.is_forgotten());
}

/// RESET and REMOVE look for nobody any more, and so does the file.
#[test]
fn nobody_is_looked_for_after_a_reset() {
    for (command, left) in [("RESET", 1), ("REMOVE", 0)] {
        let mut bench = without_f();
        assert_eq!(bench.core.links(), 3);
        bench.call(&["SENTINEL", command, "m"]).0.expect("it is done");
        assert_eq!(bench.core.links(), left, "{command}");
        let lines = bench.core.lines().into_iter().filter(|(_, lines)| !lines.is_empty());
        assert!(!lines.into_iter().any(|(name, _)| name.contains("forgotten")), "{command}");
    }
}

#[test]
fn a_hundred_are_remembered() {
    let lines: Vec<String> = (0..120).map(|i| format!("forgotten-replica m 10.0.0.1 {} - -", 1_000 + i)).collect();
    let bench = Bench::new(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let forgotten = &bench.core.masters["m"].forgotten;
    assert_eq!(forgotten.len(), 100);
    assert!(!forgotten.contains_key("10.0.0.1:1019") && forgotten.contains_key("10.0.0.1:1020"), "the first ones go");
    assert!(bench.has_logged("10.0.0.1:1019 of 'm' is looked for no longer"));
}

/// It came back, and was promoted before it was a member again.
#[test]
fn a_master_that_is_no_member_becomes_one() {
    let mut bench = set_of_three(&[]);
    bench.core.periods.info_ms = 500;
    for (port, letter) in [(0, "d"), (1, "e"), (2, "f")] {
        bench.answers[port].1 = member_info(letter, port == 0, "5.3", &["e", "f"]);
    }
    bench.run_ms(2_000);
    assert!(bench.count_sent(2, "5.4,open") > 0 && bench.count_sent(3, "5.4,open") > 0, "{:?}", bench.sent);
    for (port, letter) in [(1, "e"), (2, "f")] {
        bench.answers[port].1 = member_info(letter, false, "5.4,open", &["d", "e", "f"]);
    }
    bench.run_ms(2_000);
    assert!(bench.count_sent(1, "5.4,open") > 0, "{:?}", bench.sent);
}

/// Another server may be at that address by now, or the two may be of one other set.
#[test]
fn who_follows_a_forgotten_address_is_a_stranger() {
    let mut bench = without_f_and(&["forgotten-replica m 10.0.0.1 4 - -"]);
    bench.return_of_f(&replica_info("other", 70).replace("master_port:1", "master_port:4"));
    assert!(!bench.is_replica() && !bench.is_forgotten(), "{:?}", bench.logged);
}

/// It had none when it was forgotten, or nobody had heard it.
#[test]
fn who_has_an_id_by_now_may_come_back() {
    let mut bench = without_f_and(&["forgotten-replica m 10.0.0.1 4 - -"]);
    bench.answers.push((4, replica_info("other", 70) + &format!("node_id:{}\r\n", "b".repeat(40))));
    bench.run_ms(2_000);
    assert!(bench.core.masters["m"].replicas.contains_key("10.0.0.1:4"), "{:?}", bench.logged);
}

#[test]
fn who_is_found_at_another_address_is_looked_for_no_longer() {
    let mut bench = without_f();
    bench.answers.push((4, member_info("f", false, "5.3", &["d", "e"])));
    bench.answers[0].1 += "slave0:ip=10.0.0.1,port=4,state=online,offset=500,lag=0\r\n";
    bench.run_ms(2_000);
    assert!(bench.core.masters["m"].replicas.contains_key("10.0.0.1:4") && !bench.is_forgotten(), "{:?}", bench.logged);
}

#[test]
fn who_is_forgotten_twice_is_looked_for_once() {
    let bench = Bench::new(&["forgotten-replica m 10.0.0.1 4 - -"; 2]);
    assert_eq!(bench.core.links(), 3, "one to the master, to the replica, and to who was forgotten");
}
