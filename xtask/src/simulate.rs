//! `cargo xtask simulate`: real nodes on simulated machines, for as long as one likes, or so many schedules: fleets in trouble, sets with synchronous
//! replicas whose masters fail, and such sets under real Sentinels.

use std::time::{Duration, Instant};

use crate::chore::{self, Outcome};

const MINUTES: f64 = 60.0;
/// Of so many schedules one is a set under Sentinels, and four are fleets, as these take longest; the others are sets.
const SHARES: u64 = 40;
const FLEET_SHARES: u64 = 4;
/// Shares that are run between two looks at the time.
const AT_ONCE: u64 = 25;

/// What may be run, by the name of its test.
const FLEET: &str = "fleet";
const SET: &str = "synchronous";
const UNDER_SENTINELS: &str = "failover";
const ALL: [&str; 3] = [FLEET, SET, UNDER_SENTINELS];

const PACKAGES: [&str; 2] = ["-p", "rivulet-simulation"];

/// What cargo is to test so that the simulation is tested as a whole: itself, links cut at any byte, and a first schedule of each kind.
pub fn targets() -> Vec<&'static str> {
    let kinds = ALL.into_iter().flat_map(|name| ["--test", name]);
    PACKAGES
        .into_iter()
        .chain(chore::BESIDE)
        .chain(["--lib", "--test", "doors", "--test", "link"])
        .chain(kinds)
        .collect()
}

/// When a run ends.
enum Until {
    Elapsed(Duration),
    Schedules(u64),
}

pub fn run(args: &[String]) -> Outcome {
    let (mut until, mut seed, mut first) = (Until::Elapsed(Duration::from_secs_f64(MINUTES * 60.0)), None, None);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let no_number = |_| format!("{value} is no number");
        let number = || value.parse::<u64>().map_err(|_| format!("{value} is no number"));
        match word.as_str() {
            "--minutes" => {
                let seconds = value.parse::<f64>().map_err(no_number)? * 60.0;
                until = Until::Elapsed(Duration::try_from_secs_f64(seconds).map_err(|e| format!("{value}: {e}"))?);
            }
            "--schedules" => until = Until::Schedules(number()?),
            "--seed" => seed = Some(number()?),
            "--first" => first = Some(number()?),
            other => return Err(format!("no option {other}: --minutes N, --schedules N, --seed S, --first S")),
        }
    }
    match seed {
        // Which of them it was is in what a failure has printed.
        Some(seed) => ALL.iter().try_for_each(|name| {
            chore::run(test(name).args(["--", "--nocapture"]).env("RIVULET_SEED", seed.to_string()))
        }),
        // Each minute others, and all of a run in a row.
        None => run_from(first.unwrap_or_else(|| unix_seconds() / 60 * 10_000), &until),
    }
}

/// So many schedules, the same ones each time: a change that breaks none is not held up by what was broken before.
pub fn run_first(schedules: u64) -> Outcome {
    run_from(1, &Until::Schedules(schedules))
}

fn unix_seconds() -> u64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

fn test(name: &str) -> std::process::Command {
    let mut test = chore::cargo();
    test.args(["test", "--quiet"]).args(chore::QUICK).args(PACKAGES).args(chore::BESIDE).args(["--test", name]);
    test
}

fn run_from(first: u64, until: &Until) -> Outcome {
    for name in ALL {
        chore::run(test(name).arg("--no-run"))?;
    }
    #[expect(clippy::disallowed_methods, reason = "a chore that lasts for some time")]
    let (began, now) = (Instant::now(), Instant::now);
    let (mut next, mut schedules, mut failed) = (first, 0, 0);
    loop {
        let left = match until {
            Until::Elapsed(last) if now() - began >= *last => 0,
            Until::Elapsed(_) => SHARES * AT_ONCE,
            Until::Schedules(wanted) => wanted - schedules,
        };
        if left == 0 {
            return match failed {
                0 => Ok(()),
                failed => Err(format!("{failed} batches found something: each has named its seeds")),
            };
        }
        let shares = left.div_ceil(SHARES).min(AT_ONCE);
        let fleets = (FLEET_SHARES * shares).min(left - shares);
        let sets = (left - shares - fleets).min((SHARES - FLEET_SHARES - 1) * AT_ONCE);
        for (name, count) in
            [(UNDER_SENTINELS, shares), (FLEET, fleets), (SET, sets)].into_iter().filter(|(_, n)| *n > 0)
        {
            let test = &mut test(name);
            test.args(["--", "--nocapture"]).env("RIVULET_FIRST_SEED", next.to_string());
            // What one finds is no reason not to look for others.
            if let Err(text) = chore::run(test.env("RIVULET_SEEDS", count.to_string())) {
                println!("== A finding: {text}");
                failed += 1;
            }
        }
        next += fleets.max(sets);
        schedules += shares + fleets + sets;
        let seconds = (now() - began).as_secs_f64();
        let rate = schedules as f64 / seconds;
        let findings = if failed == 0 { "without a finding".to_string() } else { format!("{failed} batches failed") };
        println!("== {schedules} schedules in {seconds:.0} s ({rate:.1} a second), {findings}; seeds from {first}");
    }
}
