//! The servers that Rivulet is compared with: Redis 7 from the system, and newer ones in a folder of their own.

use std::path::PathBuf;

use crate::apt;
use crate::chore::{self, Outcome};

/// What the tests need of the system: a program and the Debian package that has it.
const NEEDED: [(&str, &str); 5] = [
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("redis-sentinel", "redis-sentinel"),
    ("strace", "strace"),
    ("tmux", "tmux"),
];

/// The newer peers, by the names that `peers.sh` gives them.
const NEWER: [&str; 2] = ["redis8-server", "valkey-server"];

/// `cargo xtask peers`.
pub fn run() -> Outcome {
    chore::run(chore::command("bash").arg(chore::root().join("xtask/peers.sh")))
}

/// Installs what the tests need if it is missing and can be installed. Tests whose peer is missing skip themselves.
pub fn install_needed() {
    let missing: Vec<&str> = NEEDED.iter().filter(|(p, _)| chore::on_path(p).is_none()).map(|(_, p)| *p).collect();
    if !missing.is_empty() {
        println!("Missing for the tests beside real servers: {}", missing.join(", "));
        if let Err(reason) = apt::install(&missing) {
            println!("They can't be installed here ({reason}).");
        }
    }
    for (program, package) in NEEDED {
        match chore::on_path(program) {
            Some(path) => println!("  {program:<15} {}", path.display()),
            None => println!("  {program:<15} MISSING: its tests are SKIPPED (package {package})"),
        }
    }
    for name in NEWER {
        match Some(folder().join("bin").join(name)).filter(|path| path.is_file()) {
            Some(path) => println!("  {name:<15} {}", path.display()),
            None => println!("  {name:<15} missing: its tests are skipped (`cargo xtask peers` fetches it)"),
        }
    }
}

/// Where the newer peers are.
pub fn folder() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("RIVULET_PEERS").unwrap_or_else(|| {
        let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        cache.unwrap_or_else(std::env::temp_dir).join("rivulet-peers")
    })
}
