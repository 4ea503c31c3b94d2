//! `fuzz-smoke [TARGET…] [--seconds N] [--case C] [--noted]`: runs targets on stable Rust with random changes of their seeds, one on each processor.
//!
//! Without `--case` the first case is taken from the clock and printed. A failure prints the case that replays it and keeps its input in
//! `fuzz/artifacts/TARGET/`. A case that takes longer than [`CASE_SECONDS_MAX`] is a failure too. With `--noted` the number of each case is in
//! `fuzz/artifacts/TARGET/running` while it runs, for what ends the whole process, as a sanitizer does.

use std::path::PathBuf;
use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fuzz_targets::smoke::{self, Failure};
use fuzz_targets::{TARGETS, Target};

const CASE_SECONDS_MAX: u64 = 20;
/// How often the watchdog looks.
const LOOKS_EACH: Duration = Duration::from_millis(200);

/// A thread that runs targets, as the watchdog sees it.
#[derive(Default)]
struct Lane {
    /// Counts its cases, over all targets.
    cases: AtomicU64,
    /// It has no target any more.
    ended: AtomicBool,
}

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
    if run_all(&options) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the targets, as many at once as there are processors. Answers whether none has failed.
fn run_all(options: &Options) -> bool {
    let first = options.case.unwrap_or_else(now_ns);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let lanes: Vec<Lane> = (0..processors.min(options.targets.len())).map(|_| Lane::default()).collect();
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for lane in &lanes {
            scope.spawn(|| {
                while let Some(target) = options.targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !run(target, first, options, lane) {
                        failed.store(true, Ordering::Relaxed);
                    }
                }
                lane.ended.store(true, Ordering::Relaxed);
            });
        }
        watch(&lanes);
    });
    !failed.into_inner()
}

/// Runs one target and says what has come of it. Answers whether it has passed.
fn run(target: &Target, first: u64, options: &Options, lane: &Lane) -> bool {
    println!("{}: from case {first}", target.name);
    let end = now() + options.time;
    let replay = options.case.is_some() && options.time.is_zero();
    let ran = smoke::run(target, first, |count| {
        lane.cases.fetch_add(1, Ordering::Relaxed);
        if options.noted {
            note(target.name, first.wrapping_add(count));
        }
        if replay { count == 0 } else { now() < end }
    });
    match &ran {
        Ok(count) => println!("{}: {count} cases, no failure", target.name),
        Err(failure) => tell(target, failure),
    }
    ran.is_ok()
}

fn tell(target: &Target, failure: &Failure) {
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

/// Waits until all lanes have ended, and ends the process when one case takes too long.
fn watch(lanes: &[Lane]) {
    let mut seen: Vec<(u64, Instant)> = lanes.iter().map(|_| (0, now())).collect();
    while lanes.iter().any(|lane| !lane.ended.load(Ordering::Relaxed)) {
        pause(LOOKS_EACH);
        for (lane, last) in lanes.iter().zip(&mut seen) {
            let cases = lane.cases.load(Ordering::Relaxed);
            if cases != last.0 || lane.ended.load(Ordering::Relaxed) {
                *last = (cases, now());
            } else if last.1.elapsed() > Duration::from_secs(CASE_SECONDS_MAX) {
                println!("FAILED: one case takes longer than {CASE_SECONDS_MAX} s (number {cases} of its thread)");
                exit(1);
            }
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
