//! Many seeds, on all processors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::invariants::Broken;

/// Which seeds a test runs, as its environment says.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    first: u64,
    count: u64,
    /// After the first failure no further ones are begun.
    stops_at_first: bool,
}

/// What many runs have come to.
#[derive(Debug)]
pub struct Outcomes<R> {
    pub reports: Vec<R>,
    /// What was broken, by seed.
    pub failed: Vec<(u64, Broken)>,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `RIVULET_SEED`: this one alone, in full.
pub fn single() -> Option<u64> {
    number("RIVULET_SEED")
}

/// Runs a seed; a panic is a broken promise, too.
///
/// # Errors
/// What was broken.
pub fn try_one<R>(run: impl FnOnce() -> Result<R, Broken>) -> Result<R, Broken> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("a panic".into()))
}

impl Seeds {
    /// `RIVULET_FIRST_SEED`, by default 1; `RIVULET_SEEDS`, by default so many; `RIVULET_FIRST_FAILURE` if it is set.
    pub fn from_env(count: u64) -> Seeds {
        Seeds {
            first: number("RIVULET_FIRST_SEED").unwrap_or(1),
            count: number("RIVULET_SEEDS").unwrap_or(count),
            stops_at_first: number("RIVULET_FIRST_FAILURE").is_some(),
        }
    }

    /// Runs them, several at once and in no order.
    pub fn run<R: Send>(self, run: impl Fn(u64) -> Result<R, Broken> + Sync) -> Outcomes<R> {
        let next = AtomicU64::new(0);
        let outcomes = Mutex::new(Outcomes { reports: Vec::new(), failed: Vec::new() });
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let lock = || outcomes.lock().expect("nobody panics with it");
                if at >= self.count || self.stops_at_first && !lock().failed.is_empty() {
                    return;
                }
                let seed = self.first + at;
                let outcome = try_one(|| run(seed));
                match outcome {
                    Ok(report) => lock().reports.push(report),
                    Err(broken) => lock().failed.push((seed, broken)),
                }
            }
        };
        // A run hands itself from thread to thread, and a processor waits meanwhile: two runs keep it busy.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..2 * processors {
                scope.spawn(work);
            }
        });
        let mut outcomes = outcomes.into_inner().expect("nobody panics with it");
        outcomes.failed.sort();
        outcomes
    }
}

impl<R> Outcomes<R> {
    /// Says what was broken, and how to see it again.
    ///
    /// # Panics
    /// If anything was.
    pub fn assert_kept(&self, test: &str) {
        for (seed, broken) in &self.failed {
            println!(
                "seed {seed}: {broken}\n    RIVULET_SEED={seed} cargo test -p rivulet-simulation --test {test} -- --nocapture"
            );
        }
        assert!(self.failed.is_empty(), "{} of {}", self.failed.len(), self.failed.len() + self.reports.len());
    }
}
