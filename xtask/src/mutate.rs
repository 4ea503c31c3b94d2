//! `cargo xtask mutate`: proves that the simulation can fail. Each mutation breaks one rule of the node in a copy of the sources, and a fleet that runs
//! it must notice. docs/simulation.md has the table of what was noticed, and how soon.

use std::path::{Path, PathBuf};

use crate::chore::{self, Outcome};

mod mutations;

use mutations::{Edit, MUTATIONS, Mutation};

/// Runs at most: of fleets of nodes, and of the core of replication alone, which is quick.
const FLEETS: u64 = 500;
const CORES: u64 = 10_000;
/// Of sets with synchronous replicas, which mutations with this at their beginning are about.
const SETS: u64 = 200;
const OF_SETS: &str = "failover:";
/// Of such sets under Sentinels.
const UNDER_SENTINELS: u64 = 200;
const OF_SENTINELS: &str = "sentinel:";

pub fn run(args: &[String]) -> Outcome {
    let copy = std::env::temp_dir().join(format!("rivulet-mutate-{}", std::process::id()));
    let outcome = run_in(&copy, args);
    // What is left of it is in the system's temporary folder.
    let _ = std::fs::remove_dir_all(&copy);
    outcome
}

fn run_in(copy: &Path, args: &[String]) -> Outcome {
    std::fs::create_dir_all(copy).map_err(|e| format!("{}: {e}", copy.display()))?;
    for name in ["Cargo.toml", "Cargo.lock", "clippy.toml", "crates", "tests", "xtask", "fuzz"] {
        copy_all(&chore::root().join(name), &copy.join(name))?;
    }
    println!("== Without a mutation");
    if !core_passes(copy)? || !fleets_pass(copy)? || !sets_pass(copy)? || !sets_under_sentinels_pass(copy)? {
        return Err("the simulation fails as it is".into());
    }
    let mut survivors = Vec::new();
    for mutation in MUTATIONS.iter().filter(|m| args.iter().all(|word| m.name.contains(word.as_str()))) {
        println!("== {}", mutation.name);
        let whole = apply(mutation, copy)?;
        if !is_noticed(mutation, copy)? {
            survivors.push(mutation.name);
        }
        whole.iter().rev().try_for_each(|(path, text)| write(path, text))?;
    }
    if survivors.is_empty() {
        println!("== The simulation notices all of them");
        return Ok(());
    }
    Err(format!("the simulation does not notice: {}", survivors.join("; ")))
}

/// Makes the edits; answers what was in the files before each.
fn apply(mutation: &Mutation, copy: &Path) -> Outcome<Vec<(PathBuf, String)>> {
    let mut whole = Vec::new();
    for Edit { file, from, to } in mutation.edits {
        let path = copy.join(file);
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{file}: {e}"))?;
        let found = text.matches(from).count();
        if found != 1 {
            return Err(format!("{file} has {found} times, not once: {from}"));
        }
        write(&path, &text.replace(from, to))?;
        whole.push((path, text));
    }
    Ok(whole)
}

/// Whether a simulation notices. That of the core is asked only about what no fleet notices.
fn is_noticed(mutation: &Mutation, copy: &Path) -> Outcome<bool> {
    if mutation.name.starts_with(OF_SETS) {
        return Ok(!sets_pass(copy)?);
    }
    if mutation.name.starts_with(OF_SENTINELS) {
        return Ok(!sets_under_sentinels_pass(copy)?);
    }
    let is_of_core =
        |edit: &Edit| ["crates/replication", "crates/aof"].iter().any(|start| edit.file.starts_with(start));
    Ok(!fleets_pass(copy)? || mutation.edits.iter().any(is_of_core) && !core_passes(copy)?)
}

fn core_passes(copy: &Path) -> Outcome<bool> {
    passes(copy, "rivulet-replication", "simulation", &["simulation", "--", "--exact", "--nocapture"], CORES)
}

fn sets_pass(copy: &Path) -> Outcome<bool> {
    passes(copy, "rivulet-simulation", "synchronous", &["--", "--nocapture"], SETS)
}

fn sets_under_sentinels_pass(copy: &Path) -> Outcome<bool> {
    passes(copy, "rivulet-simulation", "failover", &["--", "--nocapture"], UNDER_SENTINELS)
}

fn fleets_pass(copy: &Path) -> Outcome<bool> {
    passes(copy, "rivulet-simulation", "fleet", &["--", "--nocapture"], FLEETS)
}

/// Whether a simulation passes. A copy that can't be built is an error: then nothing is proven.
fn passes(copy: &Path, package: &str, name: &str, args: &[&str], seeds: u64) -> Outcome<bool> {
    let test = || {
        let mut test = chore::cargo();
        test.current_dir(copy).args(["test", "--quiet", "--profile", "quick", "-p", package, "--test", name]);
        test.env("CARGO_TARGET_DIR", target()).env("RIVULET_SEEDS", seeds.to_string()).env("RUST_BACKTRACE", "0");
        test.env("RIVULET_FIRST_FAILURE", "1");
        // What a mutation leaves unused is no news.
        test.env("RUSTFLAGS", "-Awarnings").env_remove("RIVULET_SEED");
        test
    };
    chore::run(test().arg("--no-run"))?;
    let output = test().args(args).output().map_err(|e| format!("can't run cargo: {e}"))?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let failure = text.lines().find(|line| line.starts_with("seed "));
    println!("   {name}: {}", failure.unwrap_or(if output.status.success() { "passes" } else { "fails" }));
    Ok(output.status.success())
}

/// Dependencies are built once; the copy's own crates stand at another path and do not disturb the others.
fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| chore::root().join("target"), PathBuf::from);
    chore::root().join(target).join("mutate")
}

fn write(path: &Path, text: &str) -> Outcome {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn copy_all(from: &Path, to: &Path) -> Outcome {
    let failed = |e: std::io::Error| format!("can't copy {}: {e}", from.display());
    if from.is_dir() {
        std::fs::create_dir_all(to).map_err(failed)?;
        for entry in std::fs::read_dir(from).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if name != "target" {
                copy_all(&from.join(&name), &to.join(&name))?;
            }
        }
        return Ok(());
    }
    std::fs::copy(from, to).map(|_| ()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mutation whose place has moved would prove nothing.
    #[test]
    fn each_mutation_has_its_place() {
        let edits = MUTATIONS.iter().flat_map(|mutation| mutation.edits.iter().map(|edit| (mutation.name, edit)));
        for (name, Edit { file, from, .. }) in edits {
            let text = std::fs::read_to_string(chore::root().join(file)).unwrap_or_default();
            assert_eq!(text.matches(from).count(), 1, "{name}: {file}");
        }
    }
}
