//! Runs of fleets. `RIVULET_SEED=N` runs one and shows what the servers logged; `RIVULET_SEEDS=N` says how many.

use rivulet_simulation::fleet::run;
use rivulet_simulation::seeds::{self, Seeds};

#[test]
fn fleets_keep_their_promises() {
    if seeds::ran_single(run) {
        return;
    }
    let outcomes = Seeds::from_env(50).run(|seed| run(seed, false));
    let steps: u64 = outcomes.reports.iter().map(|report| report.steps).sum();
    println!("{} runs, {steps} steps", outcomes.reports.len());
    outcomes.assert_kept("fleet");
}
