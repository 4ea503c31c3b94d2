//! Nodes in chains, in virtual time, with cuts, delays, restarts, promotions and switches of master.
//!
//! A failure names its seed; `RIVULET_SEED=<n> cargo test -p rivulet-replication simulation` runs it again, and with
//! `RIVULET_TRACE=1` prints what happened. `RIVULET_SEEDS=<n>` runs more or fewer seeds.

mod data;
mod disk;
mod invariants;
mod network;
mod node;
mod requests;
mod two_ends;
mod world;

use world::World;

/// `cargo xtask mutate` runs more, for what fleets of whole nodes do not notice.
const SEEDS: u64 = 2_500;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn simulation() {
    let seeds = match variable("RIVULET_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("RIVULET_SEEDS").unwrap_or(SEEDS),
    };
    let mut seen = world::Seen::default();
    for seed in seeds.clone() {
        let run = std::panic::catch_unwind(|| World::new(seed).run());
        match run {
            Ok(one) => seen.add(&one),
            Err(panic) => {
                eprintln!("seed {seed} fails: RIVULET_SEED={seed} cargo test -p rivulet-replication simulation");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{} seeds: {seen:?}", seeds.end - seeds.start);
    if seeds.end - seeds.start >= 100 {
        // A simulation in which nothing happens proves nothing.
        assert!(seen.full > 100 && seen.partial > 100 && seen.refused > 10, "{seen:?}");
        assert!(seen.kills > 100 && seen.clean_ends > 100 && seen.power_losses > 30, "{seen:?}");
        assert!(seen.failovers > 5 && seen.from_disk > 100 && seen.durable_worlds > 20, "{seen:?}");
        assert!(seen.returns > 30 && seen.new_ids > 10 && seen.failed_loads > 10 && seen.cut_in_multi > 10, "{seen:?}");
        assert!(seen.two_channels > 100 && seen.beside > 50, "{seen:?}");
    }
}
