//! `cargo xtask test`: what the tests need, the server that they start, all tests, and a summary that can be read at a glance.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::chore::{self, Outcome};
use crate::peers;

/// What the tests' output says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Names of those that failed, with the binary that they are in.
    failures: Vec<String>,
    binary: String,
}

impl Summary {
    fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("Running ").or_else(|| line.strip_prefix("Doc-tests ")) {
            self.binary = name.split(" (").next().unwrap_or(name).to_string();
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(format!("{name} ({})", self.binary));
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
}

pub fn run(args: &[String]) -> Outcome {
    println!("== What the tests need");
    peers::install_needed();
    println!("== The server");
    let server = chore::build_server()?;
    println!("== Tests, with RIVULET_SERVER={}", server.display());
    let mut command = chore::cargo();
    command.args(["test", "--no-fail-fast"]);
    if !args.iter().any(|arg| arg == "-p" || arg == "--package") {
        command.arg("--workspace");
    }
    command.args(args).env("RIVULET_SERVER", &server);
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
    let mut summary = Summary::default();
    for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        summary.read(&line);
    }
    let status = tests.wait().map_err(|e| format!("can't wait for cargo: {e}"))?;
    println!("== {} passed, {} failed, {} ignored", summary.passed, summary.failed, summary.ignored);
    summary.failures.iter().for_each(|name| println!("   FAILED: {name}"));
    if status.success() { Ok(()) } else { Err(format!("cargo test: {status}")) }
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
        assert_eq!(summary.failures, ["two::three (unittests src/lib.rs)"]);
    }
}
