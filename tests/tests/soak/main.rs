//! Whole servers under writes of all kinds, while nodes are killed, ended, stopped, cut off, promoted and sent elsewhere.
//!
//! A master with append-only files, replicas in a tree, and a Redis among them. At the end all data are equal. After the first sync of each
//! node every full sync must have a reason: a Redis that was killed has nothing to go on from; and who went on after the others took another way
//! must come back to it. Nothing else (rule 41): bytes reach a replica only when the master's files have them. What was acknowledged stays,
//! but for a promotion while the master had more; then what WAITAOF proved stays.
//!
//! The seed decides the order of events; how much is written between two is decided by the machine. `RIVULET_SOAK_SECONDS` says for how long,
//! `RIVULET_SEED` what.

mod fleet;
mod promotions;
mod proxy;
mod syncs;
mod writers;

use std::sync::atomic::Ordering;
use std::time::Duration;

use rivulet_tests::random::{self, Rng};
use rivulet_tests::wait;

use fleet::Fleet;

const SECONDS: u64 = 40;
const PAUSE_MS: std::ops::Range<u64> = 100..900;

#[test]
fn soak() {
    let seconds = random::number("RIVULET_SOAK_SECONDS").unwrap_or(SECONDS);
    let seed = random::seed("soak");
    let mut fleet = Fleet::start(Rng::with_seed(seed), seed);
    let end = wait::unix_ms() + seconds * 1000;
    while wait::unix_ms() < end {
        fleet.event();
        wait::pause(Duration::from_millis(fleet.rng.u64(PAUSE_MS)));
        fleet.judge();
    }
    let route = fleet.writers.route.clone();
    fleet.end();
    let (counted, proven) = (route.counted.load(Ordering::Relaxed), route.proven.load(Ordering::Relaxed));
    assert!(
        counted > 1000 && (seconds < SECONDS || proven > 0),
        "a soak without writes proves nothing: {counted}, {proven}"
    );
    println!("soak: {counted} acknowledged counts, {proven} times proven to be on two disks, none lost");
}
