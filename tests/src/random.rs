//! Random runs that can be played again.

pub use fastrand::Rng;

/// The seed of `RIVULET_SEED`; `RIVULET_SEED=new` draws one; without it the test's name decides, so that a run that passed passes again. It is
/// printed, so that a failure shows it.
pub fn seed(test: &str) -> u64 {
    let seed = match std::env::var("RIVULET_SEED") {
        Ok(word) if word == "new" => fastrand::u64(..1_000_000_000),
        Ok(word) => word.parse().expect("RIVULET_SEED is a number or `new`"),
        Err(_) => test.bytes().fold(7, |seed: u64, byte| (seed * 31 + u64::from(byte)) % 1_000_000_007),
    };
    println!("{test}: RIVULET_SEED={seed} plays this run again");
    seed
}

/// A number from the environment.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
