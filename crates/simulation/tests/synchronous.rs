//! Failovers of a set with synchronous replicas: what was acknowledged is never lost. `RIVULET_SEED=N` runs one and shows what the servers logged;
//! `RIVULET_SEEDS=N` says how many.

use rivulet_simulation::synchronous::{Report, run};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn what_was_acknowledged_survives_failovers() {
    if let Some(seed) = number("RIVULET_SEED") {
        let report = run(seed, true).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        println!("{report:#?}");
        assert_eq!(run(seed, false), Ok(report), "the same seed does the same");
        return;
    }
    let (first, count) = (number("RIVULET_FIRST_SEED").unwrap_or(1), number("RIVULET_SEEDS").unwrap_or(40));
    let mut sum = Report { failovers: 0, acked: 0, unanswered: 0, trace: 0 };
    for seed in first..first + count {
        let report = run(seed, false).unwrap_or_else(|broken| {
            panic!(
                "seed {seed}: {broken}\n    RIVULET_SEED={seed} cargo test -p rivulet-simulation --test synchronous -- --nocapture"
            )
        });
        sum.failovers += report.failovers;
        sum.acked += report.acked;
        sum.unanswered += report.unanswered;
    }
    println!("{count} runs: {sum:?}");
    assert!(sum.acked > 100 * sum.failovers && sum.unanswered > 0, "the runs exercise what they are to: {sum:?}");
}
