//! What a Sentinel believes of the master by the word of others, and of whom it believes it.

use rivulet_sentinel::down::vote_text;
use rivulet_sentinel::hello::proof;

use super::{Bench, RUN, master_info, replica_info};

const OTHER: &str = "dddddddddddddddddddddddddddddddddddddddd";

fn hello(port: u16, epoch: u64) -> String {
    format!("10.0.0.1,99,{OTHER},{epoch},m,10.0.0.1,{port},{epoch}")
}

/// redis#14422: who is taken for the master instead says that it is one.
#[test]
fn another_view_of_the_same_term_needs_a_master() {
    for (info, expected) in [(master_info(RUN[1], "x", 5, "db0:keys=1\r\n"), 2), (replica_info("x", 5), 1)] {
        let mut bench = Bench::new(&[]);
        bench.tell(1, &replica_info("x", 5));
        bench.tell(2, &info);
        bench.hello(&hello(2, 0));
        assert_eq!(bench.master_port(), expected, "{info}");
    }
}

/// While this one replaces the master itself, it knows better who is one.
#[test]
fn another_view_of_the_same_term_waits_for_the_end_of_a_failover() {
    for (quorum, expected) in [("1", 1), ("3", 2)] {
        let mut bench = Bench::new(&[&format!("known-sentinel m 10.0.0.1 99 {OTHER}")]);
        bench.call(&["SENTINEL", "SET", "m", "quorum", quorum]).0.expect("it is set");
        bench.tell(1, &master_info(RUN[0], "old", 500, "db0:keys=1\r\n"));
        bench.tell(2, &replica_info("old", 500));
        bench.answers = vec![(2, replica_info("old", 500))];
        bench.silent = vec![1];
        bench.run_ms(3_000);
        assert_eq!(bench.core.masters["m"].failover.is_some(), quorum == "1", "{:?}", bench.logged);
        bench.answers = vec![(2, master_info(RUN[1], "x", 5, "db0:keys=1\r\n"))];
        bench.run_ms(1_500);
        bench.hello(&hello(2, 0));
        assert_eq!(bench.master_port(), expected, "{:?}", bench.logged);
    }
}

/// The others hear of a new master as soon as it is one, though not all follow it yet.
#[test]
fn a_promotion_is_told_at_once() {
    let mut bench = Bench::new(&["known-replica m 10.0.0.1 3"]);
    bench.call(&["SENTINEL", "SET", "m", "quorum", "1"]).0.expect("it is set");
    bench.answers = vec![(1, master_info(RUN[0], "old", 500, "")), (2, replica_info("old", 500))];
    bench.answers.push((3, replica_info("old", 400).replace(&"c".repeat(40), &"e".repeat(40))));
    for (port, info) in bench.answers.clone() {
        bench.tell(port, &info);
    }
    bench.run_ms(200);
    (bench.silent, bench.exec) = (vec![1], "*1\r\n+OK\r\n");
    for step in ["+failover-state-wait-promotion", "+promoted-slave"] {
        while !bench.has_logged(step) {
            bench.run_ms(1);
            assert!(bench.now_ms < 1_010_000, "{:?}", bench.logged);
        }
        bench.answers[1].1 = master_info(RUN[1], "new", 500, "");
        bench.sent.clear();
    }
    bench.run_ms(110);
    let new = ",m,10.0.0.1,2,1\r\n";
    assert_eq!((bench.count_sent(2, new), bench.count_sent(3, new)), (1, 1), "{:?}", bench.sent);
}

/// It would end its failover as that of a term which has another master.
#[test]
fn a_later_term_of_the_same_master_ends_an_older_failover() {
    for (epoch, goes_on) in [(1, true), (2, false)] {
        let mut bench = Bench::new(&["failover-timeout m 60000"]);
        bench.call(&["SENTINEL", "SET", "m", "quorum", "1"]).0.expect("it is set");
        bench.tell(1, &master_info(RUN[0], "old", 500, "db0:keys=1\r\n"));
        bench.answers = vec![(2, replica_info("old", 500))];
        bench.tell(2, &replica_info("old", 500));
        bench.silent = vec![1];
        bench.run_ms(3_000);
        assert_eq!(bench.core.masters["m"].failover.as_ref().map(|own| own.epoch), Some(1), "{:?}", bench.logged);
        bench.hello(&hello(1, epoch));
        assert_eq!(bench.core.masters["m"].failover.is_some(), goes_on, "{epoch}: {:?}", bench.logged);
        assert_eq!((bench.master_port(), bench.core.masters["m"].config_epoch), (1, epoch));
    }
}

/// Its next message would be two seconds later.
#[test]
fn who_knows_an_older_term_is_told_at_once() {
    for (epoch, is_told) in [(3, false), (2, true)] {
        let mut bench = Bench::new(&[]);
        bench.hello(&hello(1, 3));
        while bench.count_sent(99, "PUBLISH") == 0 {
            bench.run_ms(1);
            assert!(bench.now_ms < 1_005_000, "{:?}", bench.logged);
        }
        bench.run_ms(600);
        bench.sent.clear();
        bench.hello(&hello(1, epoch));
        bench.run_ms(150);
        assert_eq!(bench.count_sent(99, "PUBLISH") > 0, is_told, "{epoch}: {:?}", bench.sent);
    }
}

/// redis#14970: a vote needs a proof as a message does, and so does its wish.
#[test]
fn with_a_secret_votes_are_for_who_knows_it() {
    let mut bench = Bench::new(&["hello-secret m s", &format!("known-sentinel m 10.0.0.1 99 {OTHER}")]);
    let words = ["SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "10.0.0.1", "1", "50", OTHER];
    let right = proof(b"s", vote_text("10.0.0.1", "1", "50", OTHER).as_bytes());
    let wrong = proof(b"t", vote_text("10.0.0.1", "1", "50", OTHER).as_bytes());
    for given in [&[][..], &[wrong.as_str()]] {
        let reply = bench.call(&[&words, given].concat()).1;
        assert_eq!((reply.contains(OTHER), bench.core.current_epoch), (false, 0), "{reply}");
    }
    assert!(bench.call(&[&words[..], &[right.as_str()]].concat()).1.contains(OTHER));

    let mut bench = Bench::new(&["hello-secret m s", &format!("known-sentinel m 10.0.0.1 99 {OTHER}")]);
    bench.call(&["SENTINEL", "SET", "m", "quorum", "1"]).0.expect("it is set");
    bench.tell(1, &master_info(RUN[0], "old", 500, ""));
    bench.silent = vec![1];
    bench.run_ms(3_000);
    let wish = proof(b"s", vote_text("10.0.0.1", "1", "1", &bench.core.id).as_bytes());
    assert!(bench.count_sent(99, &wish) > 0, "{:?}", bench.sent);
}

/// It is of a set with a secret, which this one does not know.
#[test]
fn a_message_with_a_proof_needs_a_secret() {
    let mut bench = Bench::new(&[]);
    bench.hello(&format!("{},{}", hello(2, 9), proof(b"s", hello(2, 9).as_bytes())));
    assert_eq!((bench.core.current_epoch, bench.master_port()), (0, 1));
}

/// redis#1297, but nobody has its data: there is no better one.
#[test]
fn an_empty_reborn_master_whose_data_nobody_has_is_taken_back() {
    for (replid, is_down) in [("old", true), ("other", false)] {
        let mut bench = Bench::new(&[]);
        bench.tell(1, &master_info(RUN[0], "old", 500, "db0:keys=5\r\n"));
        bench.tell(2, &replica_info(replid, 500));
        bench.run_ms(150);
        bench.tell(1, &master_info(RUN[1], "new", 0, ""));
        bench.run_ms(5);
        assert_eq!(bench.core.masters["m"].is_down(), is_down, "{replid}");
    }
}
