//! What a server asks of its machine it asks through `crates/host`, `crates/net` and `crates/memory`: else the simulation would show the real machine's
//! files to a simulated server.

use std::path::{Path, PathBuf};

/// Crates whose code runs on simulated machines.
const CRATES: [&str; 6] = ["node", "aof", "engine", "replication", "sentinel", "sentinel-node"];

/// What is the real machine's on purpose: the process itself, its log and its time zone, the mapped tail's system calls, the tool that checks files.
const OF_THE_REAL_MACHINE: [&str; 5] =
    ["node/src/process/", "node/src/log.rs", "node/src/clock.rs", "aof/src/tail.rs", "aof/src/check.rs"];

const DOORS_PAST_THE_HOST: [&str; 8] = [
    "std::fs",
    ".exists()",
    ".is_file()",
    ".is_dir()",
    ".canonicalize()",
    ".read_dir()",
    "std::net::Tcp",
    "thread::sleep",
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("the sources are there") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn servers_ask_the_host_alone() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of crates");
    let mut past = Vec::new();
    for name in CRATES {
        let mut files = Vec::new();
        sources(&crates.join(name).join("src"), &mut files);
        for file in files {
            let shown = file.strip_prefix(crates).expect("it is in there").display().to_string();
            if OF_THE_REAL_MACHINE.iter().any(|own| shown.starts_with(own)) || shown.ends_with("tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&file).expect("text");
            // Tests stand at the end of a file.
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            let lines = code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
            let past_the_host = lines.filter(|(_, line)| DOORS_PAST_THE_HOST.iter().any(|door| line.contains(door)));
            past.extend(past_the_host.map(|(at, line)| format!("{shown}:{}: {}", at + 1, line.trim())));
        }
    }
    assert!(past.is_empty(), "{past:#?}");
}
