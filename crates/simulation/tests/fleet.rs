//! Runs of fleets. `RIVULET_SEED=N` runs one and shows what the servers logged; `RIVULET_SEEDS=N` says how many.

use rivulet_simulation::fleet::run;
use rivulet_simulation::seeds::{self, Seeds, try_one};

#[test]
fn fleets_keep_their_promises() {
    if let Some(seed) = seeds::single() {
        let report = try_one(|| run(seed, true)).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        println!("{report:#?}");
        assert_eq!(
            try_one(|| run(seed, true)).map(|again| again.trace),
            Ok(report.trace),
            "the same seed does the same"
        );
        return;
    }
    let outcomes = Seeds::from_env(50).run(|seed| run(seed, false));
    let steps: u64 = outcomes.reports.iter().map(|report| report.steps).sum();
    println!("{} runs, {steps} steps", outcomes.reports.len());
    outcomes.assert_kept("fleet");
}
