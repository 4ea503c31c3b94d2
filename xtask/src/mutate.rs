//! `cargo xtask mutate`: proves that the simulation can fail. Each mutation breaks one rule of the node, and a fleet that runs it must notice. All are in one
//! program, made from a copy of the sources: an environment variable says which of them is in force. docs/simulation.md has the table of what was noticed, and how soon.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use crate::chore::{self, Outcome};

mod mutations;

use mutations::{Edit, MUTATIONS, Mutation};

/// Runs at most: of fleets of nodes.
const FLEETS: u64 = 500;
/// Of sets with synchronous replicas, which mutations with this at their beginning are about.
const SETS: u64 = 200;
const OF_SETS: &str = "failover:";
/// Of such sets under Sentinels.
const UNDER_SENTINELS: u64 = 200;
const OF_SENTINELS: &str = "sentinel:";

/// In an edit: whether the program is to break this rule.
const MUTATED: &str = "MUTATED";
/// Names the rule that a program breaks.
const VARIABLE: &str = "RIVULET_MUTATION";

pub fn run(args: &[String]) -> Outcome {
    let copy = target().join("sources");
    if copy.exists() {
        std::fs::remove_dir_all(&copy).map_err(|e| format!("{}: {e}", copy.display()))?;
    }
    std::fs::create_dir_all(&copy).map_err(|e| format!("{}: {e}", copy.display()))?;
    for name in ["Cargo.toml", "Cargo.lock", "clippy.toml", "crates", "tests", "xtask", "fuzz"] {
        copy_all(&chore::root().join(name), &copy.join(name))?;
    }
    for (path, text) in mutated(&copy)? {
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    println!("== Without a mutation");
    if !fleets_pass(&copy, "")?
        || !sets_pass(&copy, "")?
        || !sets_under_sentinels_pass(&copy, "")?
        || !rules_pass(&copy, "")?
    {
        return Err("the simulation fails as it is".into());
    }
    let mut survivors = Vec::new();
    for mutation in MUTATIONS.iter().filter(|m| args.iter().all(|word| m.name.contains(word.as_str()))) {
        println!("== {}", mutation.name);
        if !is_noticed(mutation, &copy)? {
            survivors.push(mutation.name);
        }
    }
    if survivors.is_empty() {
        println!("== The simulation notices all of them");
        return Ok(());
    }
    Err(format!("the simulation does not notice: {}", survivors.join("; ")))
}

/// What is in the files under `root` with all mutations, each behind its switch.
fn mutated(root: &Path) -> Outcome<BTreeMap<PathBuf, String>> {
    let mut files = BTreeMap::new();
    for mutation in MUTATIONS {
        let switch = switch(mutation.name);
        for Edit { file, from, to } in mutation.edits {
            let text = match files.entry(root.join(file)) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let text = std::fs::read_to_string(entry.key()).map_err(|e| format!("{file}: {e}"))?;
                    entry.insert(text)
                }
            };
            let found = text.matches(from).count();
            if found != 1 {
                return Err(format!("{}: {file} has {found} times, not once: {from}", mutation.name));
            }
            *text = text.replace(from, &to.replace(MUTATED, &switch));
        }
    }
    Ok(files)
}

/// An expression that says whether the program is to break this rule. It needs nothing but the standard library, and asks once.
fn switch(name: &str) -> String {
    format!(
        "{{ static IS: std::sync::LazyLock<bool> = \
         std::sync::LazyLock::new(|| std::env::var({VARIABLE:?}).is_ok_and(|name| name == {name:?})); *IS }}"
    )
}

/// Whether it is noticed. The rules of a Sentinel have tests of their own, which are quick: sets under Sentinels are asked about what these do not notice.
fn is_noticed(mutation: &Mutation, copy: &Path) -> Outcome<bool> {
    if mutation.name.starts_with(OF_SETS) {
        return Ok(!sets_pass(copy, mutation.name)?);
    }
    if mutation.name.starts_with(OF_SENTINELS) {
        return Ok(!rules_pass(copy, mutation.name)? || !sets_under_sentinels_pass(copy, mutation.name)?);
    }
    Ok(!fleets_pass(copy, mutation.name)?)
}

fn rules_pass(copy: &Path, mutation: &str) -> Outcome<bool> {
    passes(copy, mutation, ("rivulet-sentinel", "rules"), &["--"], 1)
}

fn sets_pass(copy: &Path, mutation: &str) -> Outcome<bool> {
    passes(copy, mutation, ("rivulet-simulation", "synchronous"), &["--"], SETS)
}

fn sets_under_sentinels_pass(copy: &Path, mutation: &str) -> Outcome<bool> {
    passes(copy, mutation, ("rivulet-simulation", "failover"), &["--"], UNDER_SENTINELS)
}

fn fleets_pass(copy: &Path, mutation: &str) -> Outcome<bool> {
    passes(copy, mutation, ("rivulet-simulation", "fleet"), &["--"], FLEETS)
}

/// Whether a test of a package passes with a mutation in force, or with none. A copy that can't be built is an error: then nothing is proven.
fn passes(copy: &Path, mutation: &str, (package, name): (&str, &str), args: &[&str], seeds: u64) -> Outcome<bool> {
    let test = || {
        let mut test = chore::cargo();
        test.current_dir(copy).args(["test", "--quiet"]).args(chore::QUICK).args(["-p", package]).args(chore::BESIDE);
        test.args(["--test", name]).env("CARGO_TARGET_DIR", target()).env_remove("RIVULET_SEED");
        test
    };
    // There is something to build but once.
    if mutation.is_empty() {
        chore::run(test().arg("--no-run"))?;
    }
    let mut run = test();
    run.args(args).arg("--nocapture").env(VARIABLE, mutation).env("RUST_BACKTRACE", "0");
    run.env("RIVULET_SEEDS", seeds.to_string()).env("RIVULET_FIRST_FAILURE", "1");
    let output = run.output().map_err(|e| format!("can't run cargo: {e}"))?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let failure = text.lines().find(|line| line.starts_with("seed "));
    println!("   {name}: {}", failure.unwrap_or(if output.status.success() { "passes" } else { "fails" }));
    Ok(output.status.success())
}

/// For cargo the copy's crates are those of the project, so they must be built elsewhere.
fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| chore::root().join("target"), PathBuf::from);
    chore::root().join(target).join("mutate")
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

    /// A mutation whose place has moved, or has no switch, would prove nothing.
    #[test]
    fn each_mutation_has_its_place_and_its_switch() {
        mutated(chore::root()).expect("all edits fit together");
        for Mutation { name, edits } in MUTATIONS {
            assert!(edits.iter().all(|edit| edit.to.contains(MUTATED)), "{name}");
        }
    }
}
