//! `cargo xtask simulate`: fleets of real nodes on simulated machines, for as long as one likes.

use std::time::{Duration, Instant};

use crate::chore::{self, Outcome};

const MINUTES: f64 = 60.0;
/// Fleets that are run between two looks at the time.
const AT_ONCE: u64 = 200;

pub fn run(args: &[String]) -> Outcome {
    let (mut minutes, mut seed, mut first) = (MINUTES, None, None);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{value} is no number"));
        match word.as_str() {
            "--minutes" => minutes = value.parse().map_err(|_| format!("{value} is no number"))?,
            "--seed" => seed = Some(number()?),
            "--first" => first = Some(number()?),
            other => return Err(format!("no option {other}: --minutes N, --seed S, --first S")),
        }
    }
    let fleet = || {
        let mut test = chore::cargo();
        test.args(["test", "--quiet", "--profile", "quick", "-p", "rivulet-simulation", "--test", "fleet"]);
        test
    };
    chore::run(fleet().arg("--no-run"))?;
    if let Some(seed) = seed {
        return chore::run(fleet().args(["--", "--nocapture"]).env("RIVULET_SEED", seed.to_string()));
    }
    #[expect(clippy::disallowed_methods, reason = "a chore that lasts for some time")]
    let (began, now) = (Instant::now(), Instant::now);
    let last = Duration::from_secs_f64(minutes * 60.0);
    // Each day others, and all of a run in a row.
    let mut next = first.unwrap_or_else(|| {
        let today = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() / 60);
        today * 10_000
    });
    let mut runs = 0;
    while now() - began < last {
        let test = &mut fleet();
        test.args(["--", "--nocapture"]).env("RIVULET_FIRST_SEED", next.to_string());
        chore::run(test.env("RIVULET_SEEDS", AT_ONCE.to_string()))?;
        (next, runs) = (next + AT_ONCE, runs + AT_ONCE);
        println!("== {runs} fleets in {} s, without a finding", (now() - began).as_secs());
    }
    Ok(())
}
