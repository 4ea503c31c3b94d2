//! `cargo xtask fuzz`: libFuzzer where it can be had, the smoke runner elsewhere.

use std::process::Stdio;

use crate::chore::{self, Outcome};

/// The runner on stable Rust.
const RUNNER: &str = "fuzz-smoke";

pub fn run(args: &[String]) -> Outcome {
    let smoke = args.iter().any(|arg| arg == "--smoke" || arg == "--case");
    let rest: Vec<&str> = args.iter().map(String::as_str).filter(|arg| *arg != "--smoke").collect();
    if !smoke && chore::has_cargo_command("fuzz") && has_nightly() {
        return with_cargo_fuzz(&rest);
    }
    if !smoke {
        println!(
            "cargo-fuzz or a nightly compiler is missing: the smoke runner takes its place (random changes, no coverage)"
        );
    }
    let what = [&["-p", "fuzz-targets", "--bin", RUNNER][..], &chore::BESIDE].concat();
    let runner = chore::build_program(&what, RUNNER)?;
    chore::run(chore::command(runner).args(rest))
}

fn with_cargo_fuzz(args: &[&str]) -> Outcome {
    let mut targets = Vec::new();
    let mut seconds = "20";
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match *word {
            "--seconds" => seconds = words.next().ok_or("--seconds needs a number")?,
            target => targets.push(target.to_string()),
        }
    }
    if targets.is_empty() {
        let files =
            std::fs::read_dir(chore::root().join("fuzz/fuzz_targets")).map_err(|e| format!("no targets: {e}"))?;
        let name = |path: std::path::PathBuf| Some(path.file_stem()?.to_str()?.to_string());
        targets = files.filter_map(|file| name(file.ok()?.path())).collect();
        targets.sort();
    }
    for target in targets {
        let time = format!("-max_total_time={seconds}");
        chore::run(chore::command("rustup").args(["run", "nightly", "cargo", "fuzz", "run", &target, "--", &time]))?;
    }
    Ok(())
}

fn has_nightly() -> bool {
    let mut nightly = chore::command("rustup");
    nightly.args(["run", "nightly", "cargo", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    nightly.status().is_ok_and(|s| s.success())
}
