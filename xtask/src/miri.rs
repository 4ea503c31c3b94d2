//! `cargo xtask miri`: the tests of the crate with the entries and the table under Miri, which finds what is undefined though it works.

use std::process::Stdio;

use crate::chore::{self, Outcome};

/// What is checked: the flags, and what cargo is given. Whole databases take Miri minutes, so of those only the tests that are for it. A test forgets a
/// guard, which leaks its value; for that one alone leaks are none of Miri's business.
const RUNS: &[(&str, &[&str])] = &[
    ("", &["--lib", "--", "table", "entry", "value::tests", "bits", "--skip", "value::table"]),
    ("", &["--test", "db", "--", "deadlines_outlive", "steps", "nearly_empty", "room"]),
    ("-Zmiri-ignore-leaks", &["--test", "db", "--", "forgotten"]),
];

/// Runs them if a nightly compiler with Miri is installed; says so if not.
pub fn run(args: &[String]) -> Outcome {
    let mut version = chore::command("rustup");
    let there = version
        .args(["run", "nightly", "cargo", "miri", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !there.is_ok_and(|status| status.success()) {
        println!("No nightly compiler with Miri is installed: the keyspace was NOT checked by it.");
        println!("    rustup toolchain install nightly --component miri,rust-src");
        return Ok(());
    }
    for (flags, tests) in RUNS {
        let mut miri = chore::command("rustup");
        // Addresses in slots are integers for a while, and whoever owns the entries knows them again.
        miri.env("MIRIFLAGS", format!("-Zmiri-permissive-provenance {flags}"));
        miri.args(["run", "nightly", "cargo", "miri", "test", "-p", "rivulet-keyspace"]);
        let (at, filters) = tests.split_at(tests.iter().position(|&word| word == "--").unwrap_or(tests.len()));
        miri.args(at);
        if args.is_empty() {
            miri.args(filters)
        } else {
            miri.arg("--").args(args)
        };
        chore::run(&mut miri)?;
    }
    Ok(())
}
