//! Runs of fleets. `RIVULET_SEED=N` runs one and shows what the servers logged; `RIVULET_SEEDS=N` says how many.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn try_seed(seed: u64, shows_logs: bool) -> Result<rivulet_simulation::fleet::Report, String> {
    match catch_unwind(AssertUnwindSafe(|| rivulet_simulation::fleet::run(seed, shows_logs))) {
        Ok(result) => result,
        Err(_) => Err("a panic".into()),
    }
}

#[test]
fn fleets_keep_their_promises() {
    if let Some(seed) = number("RIVULET_SEED") {
        let report = try_seed(seed, true).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        println!("{report:#?}");
        assert_eq!(try_seed(seed, true).map(|again| again.trace), Ok(report.trace), "the same seed does the same");
        return;
    }
    let (first, count) = (number("RIVULET_FIRST_SEED").unwrap_or(1), number("RIVULET_SEEDS").unwrap_or(50));
    let stops_at_first = number("RIVULET_FIRST_FAILURE").is_some();
    let next = AtomicU64::new(first);
    let failed = std::sync::Mutex::new(Vec::new());
    let steps = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_enough = stops_at_first && !failed.lock().expect("nobody panics").is_empty();
                    if seed >= first + count || is_enough {
                        return;
                    }
                    match try_seed(seed, false) {
                        Ok(report) => _ = steps.fetch_add(report.steps, Ordering::Relaxed),
                        Err(broken) => failed.lock().expect("nobody panics").push((seed, broken)),
                    }
                }
            });
        }
    });
    println!("{count} runs, {} steps", steps.into_inner());
    let failed = failed.into_inner().expect("nobody panics");
    for (seed, broken) in &failed {
        println!(
            "seed {seed}: {broken}\n    RIVULET_SEED={seed} cargo test -p rivulet-simulation --test fleet -- --nocapture"
        );
    }
    assert!(failed.is_empty(), "{} of {count} seeds", failed.len());
}
