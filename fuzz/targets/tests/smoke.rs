//! Every target on its seeds and on a fixed range of cases; and the runner itself, which must see a failure.

use fuzz_targets::{TARGETS, Target, smoke};

/// Few enough for a second or two in the dev profile; `cargo xtask fuzz` runs as many as its time allows.
const CASES: u64 = 400;

#[test]
fn every_target_for_a_moment() {
    for target in TARGETS {
        if let Err(failure) = smoke::run(target, 1, |count| count < CASES) {
            panic!("{}: case {:?} fails: {:?}", target.name, failure.case, failure.input);
        }
    }
}

#[test]
fn a_failure_is_seen_and_replayed() {
    let picky = Target {
        name: "picky",
        run: |bytes| assert!(!bytes.contains(&b'!'), "found it"),
        seeds: || vec![b"abc".to_vec()],
    };
    let failure = smoke::run(&picky, 1, |count| count < 100_000).expect_err("a '!' comes up");
    let case = failure.case.expect("the seed is fine");
    assert_eq!(smoke::input(&(picky.seeds)(), case), failure.input);
}
