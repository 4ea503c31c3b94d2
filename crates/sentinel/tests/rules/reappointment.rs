//! A failover that was given up half done, and a member that is gone for good: the old master counts, too.

use super::{Bench, Fenced, RUN, master_info, member_info, set_of_three};

const MEMBERS: [&str; 3] = ["d", "e", "f"];

fn fenced(letter: &str) -> Fenced<'_> {
    Fenced { letter, offset: 500, data_epoch: 5, is_certain: true, list: "5.2", members: &MEMBERS }
}

/// The set of `d`, `e` and `f`: `e` was fenced in epoch 9 for a failover that came to nothing, and `f` is gone.
fn half_done(options: &[&str]) -> Bench {
    let mut bench = set_of_three(&[&["current-epoch 9"], options].concat());
    bench.core.periods.info_ms = 500;
    bench.answers[1].1 = member_info("e", false, "5.2", &MEMBERS).replace("failover_epoch:5", "failover_epoch:9");
    bench.silent = vec![3];
    bench.run_ms(4_000);
    assert!(!bench.has_logged("+try-failover"), "it may be that INFOs are not of one time: {:?}", bench.logged);
    bench
}

/// It has taken its new term.
fn take_term(bench: &mut Bench) {
    let own = member_info("d", true, "10.1,open", &MEMBERS).replace("failover_epoch:5", "failover_epoch:10");
    bench.answers[0].1 = own.clone();
    bench.answers[1].1 =
        member_info("e", false, "10.0,open", &MEMBERS).replace("failover_epoch:5", "failover_epoch:10");
    bench.run_ms(200);
}

#[test]
fn the_master_of_a_set_that_was_left_half_done_is_appointed_again() {
    let mut bench = half_done(&[]);
    while bench.count_sent(1, "PROMOTE") == 0 {
        bench.run_ms(10);
        assert!(bench.now_ms < 1_020_000, "{:?}", bench.logged);
    }
    let at = |port: u16, what: &str| bench.sent.iter().position(|(to, text)| *to == port && text.contains(what));
    let of_others = (at(2, "FENCE"), at(2, "10.0,open"));
    assert!(of_others.0 < at(1, "FENCE"), "it comes last: {:?}", bench.sent);
    assert!(of_others.1.is_some() && of_others.1 < at(1, "PROMOTE"), "they hear first with whom it counts");
    assert_eq!((bench.count_sent(1, "MEMBERS"), bench.count_sent(2, "PROMOTE")), (0, 0), "{:?}", bench.sent);
    bench.run_ms(500);
    assert!(!bench.has_logged("+master-reappointed"), "it has not said so yet");
    take_term(&mut bench);
    assert!(bench.has_logged("+master-reappointed"), "{:?}", bench.logged);
    let master = &bench.core.masters["m"];
    assert_eq!((master.config_epoch, master.failover.is_none(), bench.master_port()), (10, true, 1));
    bench.sent.clear();
    bench.run_ms(20_000);
    assert_eq!(bench.count_sent(1, "FENCE") + bench.count_sent(2, "FENCE"), 0, "that was all: {:?}", bench.logged);
}

#[test]
fn a_master_that_does_not_take_its_term_is_tried_again() {
    let mut bench = half_done(&[]);
    bench.run_ms(12_000);
    assert!(bench.has_logged("-failover-abort-not-reappointed") && bench.count_sent(1, "PROMOTE") > 1);
    assert!(!bench.has_logged("+master-reappointed"));
    assert_eq!(bench.core.masters["m"].config_epoch, 0);
}

/// It may be the master of a failover whose leader has died, or have more.
#[test]
fn who_has_more_than_the_old_master_takes_its_place() {
    let rows = [
        ("a later term", Fenced { data_epoch: 9, offset: 400, ..fenced("e") }),
        ("more of the same term", Fenced { offset: 501, ..fenced("e") }),
    ];
    for (name, of_e) in rows {
        let mut bench = half_done(&[]);
        bench.fences.insert(2, of_e.reply());
        bench.run_ms(6_000);
        let promoted = (bench.count_sent(1, "PROMOTE"), bench.count_sent(2, "PROMOTE") > 0);
        assert_eq!(promoted, (0, true), "{name}: {:?}", bench.logged);
    }
}

#[test]
fn an_old_master_that_proves_nothing_is_not_appointed() {
    let four = ["d", "e", "f", "a"];
    let rows = [
        ("it may have lost something", Fenced { is_certain: false, ..fenced("d") }),
        ("its data are of no term", Fenced { data_epoch: -1, ..fenced("d") }),
        ("another server is there", fenced("b")),
        ("it counts with more", Fenced { members: &four, list: "5.3", ..fenced("d") }),
    ];
    for (name, of_d) in rows {
        let mut bench = half_done(&[]);
        bench.fences.insert(1, of_d.reply());
        while bench.count_sent(1, "FENCE") == 0 {
            bench.run_ms(1);
            assert!(bench.now_ms < 1_020_000, "{name}: {:?}", bench.logged);
        }
        // What it tells from then on, it told then.
        bench.answers[0].1 = member_info("d", true, of_d.list, of_d.members);
        bench.run_ms(5_000);
        assert_eq!(bench.count_sent(1, "PROMOTE") + bench.count_sent(2, "PROMOTE"), 0, "{name}: {:?}", bench.sent);
        assert!(bench.has_logged("-failover-abort-not-fenced"), "{name}: {:?}", bench.logged);
    }
}

#[test]
fn the_master_is_fenced_when_it_is_of_use_alone() {
    // The replica that answers does not promise anything.
    let mut bench = half_done(&[]);
    bench.fences.insert(2, "-ERR the disk is full\r\n".into());
    bench.run_ms(12_000);
    assert!(bench.count_sent(2, "FENCE") > 0 && bench.count_sent(1, "FENCE") == 0, "{:?}", bench.sent);
    // It can't tell whether it has all.
    let mut bench = half_done(&[]);
    bench.answers[0].1 += "synchronous_unproven:1\r\n";
    bench.run_ms(12_000);
    assert!(!bench.has_logged("+try-failover"), "{:?}", bench.logged);
    // Another server is there in its place, of which nothing is known.
    let mut bench = half_done(&[]);
    bench.silent = vec![2, 3];
    bench.run_ms(12_000);
    assert_eq!(bench.count_sent(1, "FENCE"), 0, "{:?}", bench.sent);
    // Nothing waits for replicas.
    let mut bench = half_done(&["strict-failover m no"]);
    bench.answers[0].1 = master_info(RUN[0], "old", 500, "");
    bench.run_ms(12_000);
    assert!(!bench.has_logged("+try-failover"), "{:?}", bench.logged);
}

/// A user's failover goes on without votes. This one fences the master.
#[test]
fn nobody_is_fenced_without_a_majority() {
    let peer = format!("known-sentinel m 10.0.0.1 99 {}", "9".repeat(40));
    let mut bench = half_done(&[&peer]);
    bench.silent = vec![3, 99];
    bench.run_ms(30_000);
    assert!(bench.has_logged("-failover-abort-not-elected"), "{:?}", bench.logged);
    assert_eq!(bench.count_sent(1, "FENCE") + bench.count_sent(2, "FENCE"), 0, "{:?}", bench.sent);
}

fn promoted(bench: &Bench) -> Vec<u16> {
    (1..4).filter(|port| bench.count_sent(*port, "PROMOTE") > 0).collect()
}

/// The set, whose master was started again and can't tell whether it has all; nothing else is wrong.
fn unproven() -> Bench {
    let mut bench = set_of_three(&[]);
    bench.core.periods.info_ms = 500;
    bench.answers[0].1 += "synchronous_unproven:1\r\n";
    bench
}

/// What it has is not known before, and it may prove by itself that it has all.
#[test]
fn a_master_that_loads_is_waited_for() {
    let mut bench = unproven();
    bench.answers[0].1 += "loading:1\r\n";
    bench.run_ms(15_000);
    assert!(!bench.has_logged("+try-failover"), "{:?}", bench.logged);
    bench.answers[0].1 += "loading:0\r\n";
    bench.run_ms(7_000);
    assert!(bench.has_logged("+try-failover"), "{:?}", bench.logged);
}

/// All have told what they have, whatever they may have lost: nobody else could have more.
#[test]
fn of_an_unproven_master_and_all_members_who_has_most_is_the_master() {
    let rows = [
        ("the master", [(600, false), (500, true), (500, true)], 1),
        ("a member that may have lost something", [(500, false), (600, false), (400, true)], 2),
        ("the master, and all may have lost something", [(600, false), (500, false), (500, false)], 1),
    ];
    for (name, told, winner) in rows {
        let mut bench = unproven();
        for ((port, letter), (offset, is_certain)) in (1..).zip(MEMBERS).zip(told) {
            bench.fences.insert(port, Fenced { offset, is_certain, ..fenced(letter) }.reply());
        }
        bench.run_ms(7_000);
        assert_eq!(promoted(&bench), [winner], "{name}: {:?}", bench.logged);
    }
}

/// What it has beyond the others nobody has acknowledged.
#[test]
fn who_is_no_member_does_not_count_beside_an_unproven_master() {
    let mut bench = unproven();
    let (members, list) = (&["d", "e"], "5.3");
    bench.answers[0].1 = member_info("d", true, list, members) + "synchronous_unproven:1\r\n";
    bench.answers[1].1 = member_info("e", false, list, members);
    for (port, letter) in [(1, "d"), (2, "e")] {
        let told = Fenced { letter, is_certain: false, list, members, ..fenced(letter) };
        bench.fences.insert(port, told.reply());
    }
    bench.fences.insert(3, Fenced { offset: 900, ..fenced("f") }.reply());
    bench.run_ms(7_000);
    assert_eq!(promoted(&bench), [1], "{:?}", bench.logged);
}

/// It is of a failover before.
#[test]
fn a_late_answer_of_the_old_master_does_not_count() {
    let mut bench = half_done(&[]);
    let told = bench.fences[&1].replace("@epoch", "9");
    bench.fences.insert(1, told);
    bench.run_ms(12_000);
    assert!(bench.count_sent(1, "FENCE") > 0 && bench.count_sent(1, "PROMOTE") == 0, "{:?}", bench.logged);
}
