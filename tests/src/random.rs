//! Random runs that can be played again.

pub use fastrand::Rng;

/// The seed of `RIVULET_SEED`, or a new one. It is printed, so that a failure shows it.
pub fn seed(test: &str) -> u64 {
    let seed = number("RIVULET_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    println!("{test}: RIVULET_SEED={seed} plays this run again");
    seed
}

/// A number from the environment.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
