//! `fuzz-smoke [TARGET…] [--seconds N] [--case C] [--noted]`: runs targets on stable Rust with random changes of their seeds.
//!
//! Without `--case` the first case is taken from the clock and printed. A failure prints the case that replays it and keeps its input in
//! `fuzz/artifacts/TARGET/`. A case that takes longer than [`CASE_SECONDS_MAX`] is a failure too. With `--noted` the number of each case is in
//! `fuzz/artifacts/TARGET/running` while it runs, for what ends the whole process, as a sanitizer does.

use std::path::PathBuf;
use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fuzz_targets::{TARGETS, Target, smoke};

const CASE_SECONDS_MAX: u64 = 20;

/// What the watchdog looks at: the number of the case that runs, counted over all targets.
static PROGRESS: AtomicU64 = AtomicU64::new(0);

struct Options {
    targets: Vec<&'static Target>,
    time: Duration,
    case: Option<u64>,
    noted: bool,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(text) => {
            let names: Vec<&str> = TARGETS.iter().map(|t| t.name).collect();
            eprintln!(
                "{text}\nUsage: fuzz-smoke [TARGET...] [--seconds N] [--case C] [--noted]\nTargets: {}",
                names.join(" ")
            );
            return ExitCode::FAILURE;
        }
    };
    let first = options.case.unwrap_or_else(now_ns);
    std::thread::spawn(watch);
    let mut failed = false;
    for target in options.targets {
        println!("{}: from case {first}", target.name);
        let end = now() + options.time;
        let replay = options.case.is_some() && options.time.is_zero();
        let ran = smoke::run(target, first, |count| {
            PROGRESS.fetch_add(1, Ordering::Relaxed);
            if options.noted {
                note(target.name, first.wrapping_add(count));
            }
            if replay { count == 0 } else { now() < end }
        });
        match ran {
            Ok(count) => println!("{}: {count} cases, no failure", target.name),
            Err(failure) => {
                failed = true;
                let case = failure.case.map_or("one of the seeds".to_string(), |case| format!("case {case}"));
                println!("{}: FAILED in {case}, an input of {} bytes", target.name, failure.input.len());
                if let Some(case) = failure.case {
                    println!("  replay: cargo xtask fuzz {} --case {case}", target.name);
                }
                match keep(target.name, &failure.input) {
                    Ok(path) => println!("  input: {}", path.display()),
                    Err(e) => println!("  the input can't be kept: {e}"),
                }
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { targets: Vec::new(), time: Duration::ZERO, case: None, noted: false };
    let mut seconds = None;
    while let Some(arg) = args.next() {
        let mut number = || {
            let value = args.next().ok_or_else(|| format!("{arg} needs a number"))?;
            value.parse::<u64>().map_err(|_| format!("{arg}: '{value}' is not a number"))
        };
        match arg.as_str() {
            "--seconds" => seconds = Some(number()?),
            "--case" => options.case = Some(number()?),
            "--noted" => options.noted = true,
            name => {
                let target = TARGETS.iter().find(|t| t.name == name);
                options.targets.push(target.ok_or_else(|| format!("no target '{name}'"))?);
            }
        }
    }
    if options.targets.is_empty() {
        options.targets = TARGETS.iter().collect();
    }
    // A case that is named is run alone unless a time is, too.
    let default = if options.case.is_some() { 0 } else { 20 };
    options.time = Duration::from_secs(seconds.unwrap_or(default));
    Ok(options)
}

/// Ends the process when one case takes too long.
fn watch() {
    let mut last = (0, now());
    loop {
        pause(Duration::from_secs(1));
        let progress = PROGRESS.load(Ordering::Relaxed);
        if progress != last.0 {
            last = (progress, now());
        } else if last.1.elapsed() > Duration::from_secs(CASE_SECONDS_MAX) {
            println!("FAILED: one case takes longer than {CASE_SECONDS_MAX} s (number {progress} of this run)");
            exit(1);
        }
    }
}

/// Where what is found in a target is kept.
fn artifacts(target: &str) -> std::io::Result<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../artifacts")).join(target);
    std::fs::create_dir_all(&folder).map(|()| folder)
}

/// Says in a file which case runs.
fn note(target: &str, case: u64) {
    let noted = artifacts(target).and_then(|folder| std::fs::write(folder.join("running"), case.to_string()));
    noted.unwrap_or_else(|e| panic!("the case can't be noted: {e}"));
}

fn keep(target: &str, input: &[u8]) -> std::io::Result<PathBuf> {
    let folder = artifacts(target)?;
    let path = folder.join(format!("smoke-{:016x}", rivulet_rdb::crc64::checksum(input)));
    std::fs::write(&path, input)?;
    Ok(path)
}

#[expect(clippy::disallowed_methods, reason = "a tool's main function is the edge where the clock is read")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a tool's main function is the edge where the clock is read")]
fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}

#[expect(clippy::disallowed_methods, reason = "a thread of a tool that only looks on may wait")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
