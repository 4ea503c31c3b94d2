//! Failovers of a set with synchronous replicas: what was acknowledged is never lost. `RIVULET_SEED=N` runs one and shows what the servers logged;
//! `RIVULET_SEEDS=N` says how many.

use rivulet_simulation::seeds::{self, Seeds};
use rivulet_simulation::synchronous::run;

/// With so many runs all is exercised that they are for.
const ENOUGH: usize = 20;

#[test]
fn what_was_acknowledged_survives_failovers() {
    if seeds::ran_single(run) {
        return;
    }
    let outcomes = Seeds::from_env(40).run(|seed| run(seed, false));
    let failovers: u64 = outcomes.reports.iter().map(|report| report.failovers).sum();
    let acked: u64 = outcomes.reports.iter().map(|report| report.acked).sum();
    let unanswered: u64 = outcomes.reports.iter().map(|report| report.unanswered).sum();
    let reads: u64 = outcomes.reports.iter().map(|report| report.reads).sum();
    let runs = outcomes.reports.len();
    println!("{runs} runs: {failovers} failovers, {acked} acknowledged, {unanswered} unanswered, {reads} reads");
    outcomes.assert_kept("synchronous");
    if outcomes.reports.len() >= ENOUGH {
        assert!(
            acked > 100 * failovers && unanswered > 0 && reads > 10 * failovers,
            "the runs exercise what they are to"
        );
    }
}
