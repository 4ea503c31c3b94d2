//! Many seeds, on all processors.

use std::fmt::Debug;
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

/// `RIVULET_SEED`: this one alone, with what its servers log, and once more to see that it does the same again. Answers whether that was asked for.
///
/// # Panics
/// If something is broken, or another thing than before was done.
pub fn ran_single<R: Debug + PartialEq>(run: impl Fn(u64, bool) -> Result<R, Broken>) -> bool {
    let Some(seed) = number("RIVULET_SEED") else { return false };
    make_what_is_kept(|seed| run(seed, false));
    let report = try_one(|| run(seed, true)).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    println!("{report:#?}");
    assert_eq!(try_one(|| run(seed, false)), Ok(report), "the same seed does the same");
    true
}

/// What a program makes once and keeps, such as its tables, is made before any run: else it would be memory of whichever server needs it first.
fn make_what_is_kept<R>(run: impl Fn(u64) -> Result<R, Broken>) {
    // It is run to see nothing.
    drop(try_one(|| run(0)));
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

    /// Runs them, several at once and in no order; the first one twice more, to see that a seed does the same each time.
    pub fn run<R: Send + PartialEq>(self, run: impl Fn(u64) -> Result<R, Broken> + Sync) -> Outcomes<R> {
        make_what_is_kept(&run);
        let once = || try_one(|| run(self.first));
        let is_repeated = once() == once();
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
                match try_one(|| run(seed)) {
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
        if !is_repeated {
            outcomes.failed.push((self.first, "the same seed does not do the same".into()));
        }
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
