//! Who is a replica and a member, who is forgotten, and who may be chosen (redis#4123, #6194, #13483).

use super::{
    Bench, Fenced, RUN, Stream, at, chosen_among, master_info, member_info, replica_info, set_of_three, stream_info,
};

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

/// The master has lost its directory, and is there again with an id that nobody has acknowledged anything to: that of before is not a third one who must be
/// fenced, nor is it a member after that.
#[test]
fn a_master_without_its_directory_is_replaced() {
    let wiped =
        master_info(RUN[1], "new", 0, "") + &format!("node_id:{}\r\nsynchronous_replicas:1\r\n", "a".repeat(40));
    let mut bench = set_of_three(&[]);
    bench.answers[0].1 += "db0:keys=5\r\n";
    let told =
        Fenced { letter: "f", offset: 600, data_epoch: 5, is_certain: true, list: "5.2", members: &["d", "e", "f"] };
    bench.fences.insert(3, told.reply());
    bench.run_ms(100);
    bench.exec = "*1\r\n+OK\r\n";
    bench.answers[0].1 = wiped;
    bench.run_ms(1_000);
    assert!(bench.has_logged("is not taken as the master any more"), "{:?}", bench.logged);
    assert!(bench.count_sent(3, "PROMOTE") > 0 && bench.count_sent(2, "PROMOTE") == 0, "{:?}", bench.logged);
    let told = bench.sent.iter().find(|(to, text)| *to == 3 && text.contains("1.0,open"));
    let (_, told) = told.expect("it was told with whom to count");
    assert!(told.contains(&"e".repeat(40)) && told.contains(&"f".repeat(40)), "{told}");
    assert!(!told.contains(&"d".repeat(40)) && !told.contains(&"a".repeat(40)), "{told}");
    let of_epoch = |letter, is_master, list| {
        let info = member_info(letter, is_master, list, &["e", "f"]).replace("failover_epoch:5", "failover_epoch:1");
        info.replace("master_port:1", "master_port:3")
    };
    (bench.answers[2].1, bench.answers[1].1) = (of_epoch("f", true, "1.1,open"), of_epoch("e", false, "1.0,open"));
    bench.run_ms(2_000);
    assert_eq!(bench.master_port(), 3, "{:?}", bench.logged);
    assert!(bench.count_sent(1, "SLAVEOF\r\n$8\r\n10.0.0.1\r\n$1\r\n3\r\n") > 0, "it is led to it: {:?}", bench.sent);
}

/// This Sentinel was started after that: the id of before stands in its file.
#[test]
fn a_master_that_lost_its_directory_is_known_by_the_file() {
    let line = format!("synchronous-replicas m 1 {}", "d".repeat(40));
    for (options, is_replaced) in [(&[line.as_str()][..], true), (&[], false)] {
        let mut bench = Bench::new(&[&["known-replica m 10.0.0.1 3"], options].concat());
        bench.call(&["SENTINEL", "SET", "m", "quorum", "1"]).0.expect("it is set");
        let members = ["d", "e", "f"];
        let own =
            master_info(RUN[1], "old", 500, "") + &format!("node_id:{}\r\nsynchronous_replicas:1\r\n", "a".repeat(40));
        bench.tell(1, &own);
        bench.answers = vec![(1, own)];
        for (port, letter) in [(2, "e"), (3, "f")] {
            let told = Fenced { letter, offset: 500, data_epoch: 5, is_certain: true, list: "5.2", members: &members };
            bench.fences.insert(port, told.reply());
            bench.answers.push((port, member_info(letter, false, "5.2", &members)));
            bench.tell(port, &bench.answers[usize::from(port) - 1].1.clone());
        }
        bench.run_ms(200);
        bench.silent = vec![1];
        bench.run_ms(3_000);
        assert_eq!(bench.count_sent(2, "PROMOTE") > 0, is_replaced, "{:?}", bench.logged);
    }
}

/// Another one has taken its place: it is the master under its own id when a list has that, or a user says so.
#[test]
fn a_master_of_another_id_is_known_when_a_list_has_it() {
    let of = |members: &[&str]| member_info("a", true, "5.3", members);
    let without_list = of(&[]).replace("members:\r\n", "");
    for (info, command, is_known) in [
        (of(&["a", "e", "f"]), None, true),
        (without_list.clone(), None, false),
        (without_list.clone(), Some("RESET"), true),
    ] {
        let mut bench = set_of_three(&[]);
        bench.answers[0].1 = info.clone();
        bench.run_ms(100);
        if let Some(command) = command {
            bench.call(&["SENTINEL", command, "m"]).0.expect("it is done");
            bench.run_ms(100);
        }
        let lines = bench.core.lines().into_iter().find(|(name, _)| *name == "sentinel synchronous-replicas");
        let line = String::from_utf8_lossy(&lines.expect("it is written").1[0].0).into_owned();
        assert_eq!(line.contains(&"a".repeat(40)), is_known, "{info}: {line}");
        assert_eq!(
            bench.has_logged("has another id than before"),
            !is_known || command.is_some(),
            "{:?}",
            bench.logged
        );
    }
}
