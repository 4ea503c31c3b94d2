//! Who is fenced, by which leader, and what follows from what the fenced tell.

use super::{Bench, Fenced, member_info, set_of_three};

const FOUR: [&str; 4] = ["d", "e", "f", "a"];

fn fenced(letter: &str, offset: u64, synchronous: u32) -> String {
    let told = Fenced { letter, offset, data_epoch: 5, is_certain: true, list: "5.3", members: &FOUR };
    told.reply().replace("synchronous_replicas\r\n:1", &format!("synchronous_replicas\r\n:{synchronous}"))
}

/// A master with three members at ports 2, 3 and 4, of which the last one answers, but promises nothing.
fn one_of_three_refuses(synchronous: u32, options: &[&str]) -> Bench {
    let replicas = ["known-replica m 10.0.0.1 3", "known-replica m 10.0.0.1 4"];
    let mut bench = Bench::new(&[&replicas, options].concat());
    bench.call(&["SENTINEL", "SET", "m", "quorum", "1"]).0.expect("it is set");
    for (port, letter) in (1..).zip(FOUR) {
        let info = member_info(letter, port == 1, "5.3", &FOUR) + "master_failover_state:no-failover\r\n";
        let number = format!("synchronous_replicas:{synchronous}");
        bench.answers.push((port, info.replace("synchronous_replicas:1", &number)));
        bench.fences.insert(port, fenced(letter, 500, synchronous));
    }
    bench.fences.insert(4, "-ERR the disk is full\r\n".into());
    for (port, info) in bench.answers.clone() {
        bench.tell(port, &info);
    }
    bench.run_ms(200);
    bench
}

fn promoted(bench: &Bench) -> Vec<u16> {
    (1..5).filter(|port| bench.count_sent(*port, "PROMOTE") > 0).collect()
}

/// All of them answer, so it begins; but with two of three another leader of its term could fence two as well, or somebody else may have what is acknowledged.
#[test]
fn a_leader_without_votes_promotes_nobody_with_too_few_fences() {
    let peer = format!("known-sentinel m 10.0.0.1 99 {}", "9".repeat(40));
    for (synchronous, is_voted, is_enough) in [(1, false, false), (2, false, false), (2, true, true), (1, true, false)]
    {
        let options = [peer.as_str()];
        let mut bench = one_of_three_refuses(synchronous, if is_voted { &[] } else { &options });
        bench.silent = vec![99];
        bench.exec = "*1\r\n+OK\r\n";
        bench.call(&["SENTINEL", "FAILOVER", "m"]).0.expect("all answer");
        bench.run_ms(6_000);
        assert!(bench.count_sent(2, "FENCE") > 0 && bench.count_sent(3, "FENCE") > 0, "{:?}", bench.logged);
        assert_eq!(!promoted(&bench).is_empty(), is_enough, "{synchronous} {is_voted}: {:?}", bench.logged);
        assert_eq!(bench.has_logged("-failover-abort-not-fenced"), !is_enough, "{:?}", bench.logged);
    }
}

/// INFOs go on meanwhile, and what a replica has executed since need not be what was acknowledged.
#[test]
fn what_was_told_at_the_fence_counts() {
    let mut bench = one_of_three_refuses(2, &[]);
    bench.fences.insert(2, fenced("e", 400, 2));
    bench.fences.insert(3, String::new());
    bench.silent = vec![1];
    while bench.count_sent(3, "FENCE") == 0 {
        bench.run_ms(1);
        assert!(bench.now_ms < 1_005_000, "{:?}", bench.logged);
    }
    bench.silent.push(3);
    bench.answers[1].1 = bench.answers[1].1.replace("slave_repl_offset:500", "slave_repl_offset:900");
    bench.run_ms(300);
    assert_eq!(bench.core.masters["m"].replicas["10.0.0.1:2"].offset, 900);
    bench.silent.pop();
    let late = bench.connections.iter().find(|(port, _)| *port == 3).expect("it is connected").1;
    bench.core.received(late, fenced("f", 500, 2).replace("@epoch", "1").as_bytes());
    bench.end_turn();
    assert_eq!(promoted(&bench), [3], "{:?}", bench.logged);
}

#[test]
fn who_has_more_at_the_fence_takes_the_place_of_the_chosen_one() {
    let mut bench = set_of_three(&[]);
    let told = Fenced { letter: "f", offset: 600, data_epoch: 5, is_certain: true, list: "5.2", members: &FOUR[..3] };
    bench.fences.insert(3, told.reply());
    bench.silent = vec![1];
    bench.run_ms(2_000);
    assert!(bench.has_logged("+selected-slave slave 10.0.0.1:2"), "{:?}", bench.logged);
    assert_eq!(promoted(&bench), [3], "{:?}", bench.logged);
    // It may not be promoted, and nobody else is in its place.
    let mut bench = set_of_three(&[]);
    bench.fences.insert(3, told.reply());
    bench.answers[2].1 += "slave_priority:0\r\n";
    bench.run_ms(50);
    bench.silent = vec![1];
    bench.run_ms(3_000);
    assert_eq!(promoted(&bench), []);
    assert!(bench.has_logged("10.0.0.1:3 has more than 10.0.0.1:2 and may not be promoted"), "{:?}", bench.logged);
    let epochs = bench.logged.iter().filter(|line| line.contains("+elected-leader")).count();
    let told = bench
        .logged
        .iter()
        .filter(|line| line.contains("10.0.0.1:3 is to be promoted if its replica-priority is above 0"));
    assert_eq!((told.count(), epochs > 0), (epochs, true), "once each time: {:?}", bench.logged);
    let said = bench.call(&["SENTINEL", "DOCTOR", "m"]).1;
    assert!(said.contains("10.0.0.1:3 has priority 0") && said.contains("nobody is promoted"), "{said}");
    // A user has done so.
    bench.answers[2].1 = bench.answers[2].1.replace("slave_priority:0", "slave_priority:100");
    bench.run_ms(3_000);
    assert_eq!(promoted(&bench), [3], "{:?}", bench.logged);
    assert!(!bench.call(&["SENTINEL", "DOCTOR", "m"]).1.contains("has priority 0"));
}

/// A server that loads its data refuses to be fenced.
#[test]
fn who_loads_does_not_count_as_one_that_can_be_fenced() {
    for (more, is_begun) in [("", true), ("loading:1\r\n", false)] {
        let mut bench = set_of_three(&[]);
        bench.answers[2].1 += more;
        bench.run_ms(200);
        let done = bench.call(&["SENTINEL", "FAILOVER", "m"]).0;
        assert_eq!(done.is_ok(), is_begun, "{done:?}");
        assert_eq!(bench.has_logged("+try-failover"), is_begun, "{:?}", bench.logged);
    }
}

/// It is of a failover before, and came late: what it told may be true no more.
#[test]
fn an_answer_of_an_earlier_epoch_does_not_count() {
    for (epoch, counts) in [("@epoch", true), ("0", false)] {
        let mut bench = set_of_three(&[]);
        let told = bench.fences[&3].replace("@epoch", epoch);
        bench.fences.insert(3, told);
        bench.exec = "*1\r\n+OK\r\n";
        bench.silent = vec![1];
        bench.run_ms(6_000);
        assert!(bench.count_sent(3, "FENCE") > 0, "{:?}", bench.logged);
        assert_eq!(!promoted(&bench).is_empty(), counts, "{:?}", bench.logged);
    }
}
