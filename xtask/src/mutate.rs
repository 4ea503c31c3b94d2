//! `cargo xtask mutate`: proves that the simulation can fail. Each mutation breaks one rule of the node in a copy of the sources, and a fleet that runs
//! it must notice. docs/simulation.md has the table of what was noticed, and how soon.

use std::path::{Path, PathBuf};

use crate::chore::{self, Outcome};

/// One rule, broken: `from` stands exactly once in the file.
struct Mutation {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

/// Runs at most: of fleets of nodes, and of the core of replication alone, which is quick.
const FLEETS: u64 = 500;
const CORES: u64 = 10_000;
/// Of sets with synchronous replicas, which mutations with this at their beginning are about.
const SETS: u64 = 200;
const OF_SETS: &str = "failover:";

/// No fleet has noticed these yet; tests of whole processes do.
const OPEN: &[&str] = &["seams 1:", "seams 2:", "seams 5:"];

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "rule 3: bytes that have left the log are promised",
        file: "crates/replication/src/psync.rs",
        from: "Some(from) if from >= window.first =>",
        to: "Some(from) =>",
    },
    Mutation {
        name: "rule 3: a replica that is ahead goes on",
        file: "crates/replication/src/psync.rs",
        from: "Some(from) if from > window.end =>",
        to: "Some(from) if from > window.end + (1 << 40) =>",
    },
    Mutation {
        name: "rule 3: a replica that has all must begin anew",
        file: "crates/replication/src/psync.rs",
        from: "Some(from) if from > window.end =>",
        to: "Some(from) if from >= window.end =>",
    },
    Mutation {
        name: "rule 5: the fork's bound is one too high",
        file: "crates/replication/src/history.rs",
        from: "self.ancestors.push(Ancestor { id: self.id, asked_max: offset + 1 });",
        to: "self.ancestors.push(Ancestor { id: self.id, asked_max: offset + 2 });",
    },
    Mutation {
        name: "rule 5: the fork's bound is one too low",
        file: "crates/replication/src/history.rs",
        from: "self.ancestors.push(Ancestor { id: self.id, asked_max: offset + 1 });",
        to: "self.ancestors.push(Ancestor { id: self.id, asked_max: offset });",
    },
    Mutation {
        name: "rule 5: the fork's bound is ignored",
        file: "crates/replication/src/history.rs",
        from: "Some(ancestor) if asked <= ancestor.asked_max as i64 =>",
        to: "Some(_) =>",
    },
    Mutation {
        name: "rule 5: a promotion keeps the id",
        file: "crates/replication/src/history.rs",
        from: "        self.id = new;",
        to: "        _ = new;",
    },
    Mutation {
        name: "rule 41: an unclean end keeps its id",
        file: "crates/aof/src/identity.rs",
        from: "_ => history.promote(new, proven.min(end)),",
        to: "_ => _ = new,",
    },
    Mutation {
        name: "rule 41: what a replica wrote is gone on with by a master, under the same id",
        file: "crates/aof/src/identity.rs",
        from: "if end == offset && proven == end && self.role == Role::Master && place == self.place => {}",
        to: "if end == offset && proven == end && place == self.place => {}",
    },
    Mutation {
        name: "rule 41: an unclean end forgets its id",
        file: "crates/aof/src/identity.rs",
        from: "_ => history.promote(new, proven.min(end)),",
        to: "_ => history.adopt(new),",
    },
    Mutation {
        name: "rule 41: an id is told before it is on disk",
        file: "crates/node/src/persist/log_on_disk.rs",
        from: "self.ids_due > 0 && self.failure().is_none()",
        to: "false",
    },
    Mutation {
        name: "rule 41: bytes are sent before they are written",
        file: "crates/replication/src/log.rs",
        from: "self.disk.and_then(|disk| disk.send_before).map_or(self.end, |before| before.min(self.end))",
        to: "self.end",
    },
    Mutation {
        name: "what no file has leaves the memory, though a replica needs it",
        file: "crates/replication/src/log.rs",
        from: "let needed = written.min(held_here.unwrap_or(u64::MAX));",
        to: "let needed = if self.disk.is_some() { written } else { held_here.unwrap_or(u64::MAX) };",
    },
    Mutation {
        name: "seams 1: a replica that loads adds what expires to its log",
        file: "crates/node/src/replication.rs",
        from: "self.log.role() == Role::Replica",
        to: "self.log.role() == Role::Replica && self.link.as_ref().is_some_and(|link| !link.waits_for_data)",
    },
    Mutation {
        name: "seams 2: a master's link takes lines that are no arrays",
        file: "crates/node/src/replication/apply.rs",
        from: "authenticated: true, arrays_only: true",
        to: "authenticated: true, arrays_only: false",
    },
    Mutation {
        name: "seams 3: keys are evicted while data are loaded",
        file: "crates/node/src/engine/evict.rs",
        from: "            || self.is_loading()\n            || self.is_paused()",
        to: "            || self.is_paused()",
    },
    Mutation {
        name: "seams 4: keys are evicted in a pause",
        file: "crates/node/src/engine/evict.rs",
        from: "            || self.is_paused()\n            || !self.replication.failover.is_idle()",
        to: "            || !self.replication.failover.is_idle()",
    },
    Mutation {
        name: "seams 4: keys expire in a pause",
        file: "crates/node/src/lifecycle/pause.rs",
        from: "    pub fn is_paused(&self) -> bool {\n        self.life.pauses.any()",
        to: "    pub fn is_paused(&self) -> bool {\n        false",
    },
    Mutation {
        name: "seams 4: a paused replica executes its master's stream",
        file: "crates/node/src/lifecycle/pause.rs",
        from: "self.life.pauses.stops(command.is_none_or(|command| changes_data(client, command, command.flags)))",
        to: "_ = (client, command); false",
    },
    Mutation {
        name: "seams 5: a transaction that changes the role leaves the position",
        file: "crates/node/src/replication/apply.rs",
        from: "            link.state.forget_position();\n        }\n    }\n\n    /// A command of the master has failed here.",
        to: "            _ = link;\n        }\n    }\n\n    /// A command of the master has failed here.",
    },
    Mutation {
        name: "seams 8: replies leave before the stream was offered",
        file: "crates/node/src/turn.rs",
        from: "        self.replication_before_sleep();\n        self.send_replies(Offered(()));",
        to: "        self.send_replies(Offered(()));\n        self.replication_before_sleep();",
    },
    Mutation {
        name: "seams 9: what a file holds is not compared with its checksums",
        file: "crates/node/src/persist/loading/append_only.rs",
        from: "let Some(damage) = read.damage() else { return Ok(false) };",
        to: "let Some(damage) = read.damage().filter(|_| false) else { return Ok(false) };",
    },
    Mutation {
        name: "seams 13: a sync that failed counts",
        file: "crates/aof/src/summed.rs",
        from: "        if let Err(error) = self.disk.sync() {\n            self.doubt();\n            return Err(error);\n        }\n        self.synced(mark);",
        to: "        _ = self.disk.sync();\n        self.synced(mark);",
    },
    Mutation {
        name: "seams 16: a writer that sleeps is not told of another policy",
        file: "crates/node/src/persist/log_on_disk/writer.rs",
        from: "        queue.attention = true;\n        self.shared.wake(queue);\n    }\n\n    /// The files are not whole",
        to: "        drop(queue);\n    }\n\n    /// The files are not whole",
    },
    Mutation {
        name: "failover: a fenced replica goes on to acknowledge",
        file: "crates/replication/src/replica/acks.rs",
        from: "self.acks.fence.is_none_or(|fence| self.master_name.epoch >= fence)",
        to: "self.acks.fence.is_none_or(|fence| self.master_name.epoch <= fence)",
    },
    Mutation {
        name: "failover: a master that lost data takes them from its replicas",
        file: "crates/replication/src/replica/acks.rs",
        from: "counts(own) && !has_all(own)",
        to: "counts(own) && has_all(own)",
    },
    Mutation {
        name: "failover: replies wait for nobody",
        file: "crates/node/src/replication/synchronous.rs",
        from: "let replicas = usize::try_from(self.config.synchronous_replicas).unwrap_or(usize::MAX);",
        to: "let replicas = 0;",
    },
];

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
    if !core_passes(copy)? || !fleets_pass(copy)? || !sets_pass(copy)? {
        return Err("the simulation fails as it is".into());
    }
    let mut survivors = Vec::new();
    for mutation in MUTATIONS.iter().filter(|m| args.iter().all(|word| m.name.contains(word.as_str()))) {
        println!("== {}", mutation.name);
        let path = copy.join(mutation.file);
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", mutation.file))?;
        let found = text.matches(mutation.from).count();
        if found != 1 {
            return Err(format!("{} has {found} times, not once: {}", mutation.file, mutation.from));
        }
        write(&path, &text.replace(mutation.from, mutation.to))?;
        let is_of_core = ["crates/replication", "crates/aof"].iter().any(|start| mutation.file.starts_with(start));
        let passes = if mutation.name.starts_with(OF_SETS) {
            sets_pass(copy)?
        } else {
            (!is_of_core || core_passes(copy)?) && fleets_pass(copy)?
        };
        if passes {
            match OPEN.iter().any(|open| mutation.name.starts_with(open)) {
                true => println!("   as is known"),
                false => survivors.push(mutation.name),
            }
        }
        write(&path, &text)?;
    }
    if survivors.is_empty() {
        println!("== The simulation notices all of them");
        return Ok(());
    }
    Err(format!("the simulation does not notice: {}", survivors.join("; ")))
}

fn core_passes(copy: &Path) -> Outcome<bool> {
    passes(copy, "rivulet-replication", "simulation", &["simulation", "--", "--exact", "--nocapture"], CORES)
}

fn sets_pass(copy: &Path) -> Outcome<bool> {
    passes(copy, "rivulet-simulation", "synchronous", &["--", "--nocapture"], SETS)
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
        for Mutation { name, file, from, .. } in MUTATIONS {
            let text = std::fs::read_to_string(chore::root().join(file)).unwrap_or_default();
            assert_eq!(text.matches(from).count(), 1, "{name}: {file}");
        }
    }
}
