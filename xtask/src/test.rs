//! `cargo xtask test`: what the tests need, the server that they start, all tests, a summary that can be read at a glance, and the simulation.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use crate::chore::{self, Outcome};
use crate::{peers, python, simulate};

/// Schedules of the simulation that a run of all tests comes with.
const SCHEDULES: u64 = 10_000;

/// Failures at most that are tried again: more are no accident.
const MOST_AGAIN: usize = 3;

/// What the tests' output says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    passed: u64,
    failed: u64,
    ignored: u64,
    failures: Vec<Failure>,
    binary: String,
    /// Binaries that did not end well, as cargo counts them at the end.
    failed_binaries: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    name: String,
    binary: String,
}

impl Failure {
    /// The name of its target among the tests of whole processes, if it is one of those: these share the machine's processors with
    /// servers and peers, and measure times.
    fn process_test(&self) -> Option<&str> {
        let path = self.binary.strip_prefix("tests/")?;
        path.strip_suffix("/main.rs").or_else(|| path.strip_suffix(".rs"))
    }

    /// Whether it fails when nothing else runs, too.
    fn fails_alone(&self, server: &Path) -> bool {
        let Some(target) = self.process_test() else { return true };
        let mut test = chore::cargo();
        test.arg("test").args(chore::QUICK).args(chore::ALL_BUT_SIMULATION);
        test.args(["--test", target, "--", "--exact", &self.name]);
        chore::run(test.env("RIVULET_SERVER", server)).is_err()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.binary)
    }
}

impl Summary {
    fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("Running ").or_else(|| line.strip_prefix("Doc-tests ")) {
            self.binary = name.split(" (").next().unwrap_or(name).to_string();
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(Failure { name: name.to_string(), binary: self.binary.clone() });
        } else if line.starts_with("`-p ") && line.ends_with('`') {
            self.failed_binaries += 1;
        } else if let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) {
            for count in counts.split(';') {
                let mut words = count.split_whitespace();
                let number = words.next().and_then(|n| n.parse().ok()).unwrap_or(0);
                match words.next() {
                    Some("passed") => self.passed += number,
                    Some("failed") => self.failed += number,
                    Some("ignored") => self.ignored += number,
                    _ => {}
                }
            }
        }
    }

    /// Whether every binary that failed says which of its tests did: not one that was killed, or could not be built.
    fn all_told(&self) -> bool {
        let mut binaries: Vec<&str> = self.failures.iter().map(|failure| failure.binary.as_str()).collect();
        binaries.sort_unstable();
        binaries.dedup();
        self.failed == self.failures.len() as u64 && self.failed_binaries == binaries.len()
    }
}

/// What fails again when it runs alone. A race that shows only on a busy machine is a fault of the test or of the server all the same: it is
/// named, and CONTRIBUTING.md says what is to be done about it.
fn failures_alone(summary: &Summary, server: &Path) -> Vec<Failure> {
    let mut failures = summary.failures.clone();
    if summary.all_told()
        && failures.iter().all(|failure| failure.process_test().is_some())
        && failures.len() <= MOST_AGAIN
    {
        println!("== What failed, each alone");
        failures.retain(|failure| failure.fails_alone(server));
    }
    failures
}

pub fn run(args: &[String]) -> Outcome {
    println!("== What the tests need");
    peers::install_needed();
    python::install_needed();
    println!("== The server");
    let server = chore::build_server()?;
    println!("== Tests, with RIVULET_SERVER={}", server.display());
    let mut summary = Summary::default();
    let mut broken = None;
    for selection in selections(args) {
        let told = summary.failures.len();
        let status = run_cargo(&selection, args, &server, &mut summary)?;
        if !status.success() && summary.failures.len() == told {
            // Not one of its tests has said so: it could not be built, or was killed.
            broken = Some(status);
        }
    }
    let failures = failures_alone(&summary, &server);
    println!("== {} passed, {} failed, {} ignored", summary.passed, summary.failed, summary.ignored);
    for failure in &summary.failures {
        let word = if failures.contains(failure) { "FAILED" } else { "UNSTEADY (passes alone; to be mended)" };
        println!("   {word}: {failure}");
    }
    if let Some(status) = broken {
        return Err(format!("cargo test: {status}"));
    }
    if !failures.is_empty() {
        return Err("tests have failed".into());
    }
    match args {
        [] => {
            println!("== {SCHEDULES} schedules of the simulation (cargo xtask simulate runs others)");
            simulate::run_first(SCHEDULES)
        }
        // Who asks for some tests gets those.
        _ => Ok(()),
    }
}

/// What each run of cargo selects. The simulation has one of its own: it turns on a feature that the servers are built without, and with that every
/// crate that knows a machine would be built twice more.
fn selections(args: &[String]) -> Vec<Vec<&'static str>> {
    let options = || args.iter().take_while(|arg| *arg != "--").filter(|arg| arg.starts_with('-'));
    if options().any(|arg| arg == "-p" || arg == "--package") {
        vec![vec![]]
    } else if options().next().is_some() {
        vec![vec!["--workspace"]]
    } else {
        vec![chore::ALL_BUT_SIMULATION.to_vec(), simulate::targets()]
    }
}

/// Runs tests, shows what they say, and counts.
fn run_cargo(selection: &[&str], args: &[String], server: &Path, summary: &mut Summary) -> Outcome<ExitStatus> {
    let mut command = chore::cargo();
    command.args(["test", "--no-fail-fast"]).args(chore::QUICK);
    command.args(selection).args(args).env("RIVULET_SERVER", server);
    // Cargo names the binaries on standard error: one pipe keeps the order.
    let (reader, writer) = std::io::pipe().map_err(|e| format!("no pipe: {e}"))?;
    let stderr = writer.try_clone().map_err(|e| format!("no pipe: {e}"))?;
    let mut tests = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(stderr)
        .spawn()
        .map_err(|e| format!("can't run cargo: {e}"))?;
    // It holds the pipe's other end, and the loop would wait for itself.
    drop(command);
    for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        summary.read(&line);
    }
    tests.wait().map_err(|e| format!("can't wait for cargo: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_of_two_binaries() {
        let mut summary = Summary::default();
        let output = "     Running unittests src/lib.rs (target/debug/deps/a-1)\n\
                      test one ... ok\n\
                      test two::three ... FAILED\n\
                      test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
                      \x20  Doc-tests a\n\
                      test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        output.lines().for_each(|line| summary.read(line));
        assert_eq!((summary.passed, summary.failed, summary.ignored), (5, 1, 2));
        let failure = Failure { name: "two::three".into(), binary: "unittests src/lib.rs".into() };
        assert_eq!(failure.process_test(), None);
        assert_eq!(summary.failures, [failure]);
    }

    #[test]
    fn only_told_failures_of_process_tests_run_again() {
        let mut summary = Summary::default();
        let output = "     Running tests/clients/main.rs (target/debug/deps/clients-1)\n\
                      test work::watched_keys ... FAILED\n\
                      test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
                      error: 1 target failed:\n\
                      \x20   `-p rivulet-tests --test clients`\n";
        output.lines().for_each(|line| summary.read(line));
        assert_eq!(summary.failures[0].process_test(), Some("clients"));
        assert!(summary.all_told());
        // Another that was killed says nothing of its tests.
        summary.read("    `-p rivulet-tests --test scripts`");
        assert!(!summary.all_told());
    }

    #[test]
    fn who_selects_gets_that_alone() {
        let of = |args: &str| selections(&args.split(' ').map(String::from).collect::<Vec<_>>());
        assert_eq!(of("expiry -- --nocapture").len(), 2);
        assert_eq!(selections(&[]).len(), 2);
        assert_eq!(of("-p rivulet-node expiry"), [Vec::<&str>::new()]);
        assert_eq!(of("--test fleet"), [["--workspace"]]);
    }
}
