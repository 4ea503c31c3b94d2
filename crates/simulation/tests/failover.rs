//! Sets with synchronous replicas under real Sentinels: what clients see of each key is possible in one order, whatever fails. `RIVULET_SEED=N` runs one and
//! shows what the servers logged; `RIVULET_SEEDS=N` says how many.

use rivulet_simulation::failover::run;
use rivulet_simulation::seeds::{self, Seeds};

/// With so many runs all is exercised that they are for.
const ENOUGH: usize = 20;

#[test]
fn clients_see_one_register() {
    if seeds::ran_single(run) {
        return;
    }
    let outcomes = Seeds::from_env(20).run(|seed| run(seed, false));
    let failovers: u64 = outcomes.reports.iter().map(|report| report.failovers).sum();
    let acked: u64 = outcomes.reports.iter().map(|report| report.acked).sum();
    let unknown: u64 = outcomes.reports.iter().map(|report| report.unknown).sum();
    let reads: u64 = outcomes.reports.iter().map(|report| report.reads).sum();
    let runs = outcomes.reports.len();
    println!("{runs} runs: {failovers} failovers, {acked} acknowledged, {unknown} unknown, {reads} reads");
    outcomes.assert_kept("failover");
    if runs >= ENOUGH {
        assert!(failovers > 0 && acked > 100 && unknown > 0 && reads > 100, "the runs exercise what they are to");
    }
}
