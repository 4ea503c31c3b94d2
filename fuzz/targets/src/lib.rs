//! What is fuzzed: one function of bytes for each kind of input that comes from the network or from disk.
//!
//! A target panics when something is wrong: the code under it did, or a promise was broken that the target checks (the same result however
//! the bytes are cut, a round trip). [`TARGETS`] lists them with the seeds to start from. libFuzzer drives them from `fuzz/fuzz_targets`, the
//! [`smoke`] runner drives them on stable Rust. Nothing here does IO.

mod acl_files;
mod acl_rules;
mod aof_files;
mod configuration;
mod dump_payloads;
mod info_texts;
mod lzf;
pub mod mutate;
mod rdb_files;
mod replication_lines;
mod replies;
mod requests;
mod script_inputs;
mod scripts;
mod sentinel_messages;
pub mod smoke;
mod tls_settings;

/// Something to fuzz.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Inputs to begin with, all of which are fine.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: &[Target] = &[
    Target { name: "requests", run: requests::run, seeds: requests::seeds },
    Target { name: "replies", run: replies::run, seeds: replies::seeds },
    Target { name: "rdb_files", run: rdb_files::run, seeds: rdb_files::seeds },
    Target { name: "aof_files", run: aof_files::run, seeds: aof_files::seeds },
    Target { name: "dump_payloads", run: dump_payloads::run, seeds: dump_payloads::seeds },
    Target { name: "lzf", run: lzf::run, seeds: lzf::seeds },
    Target { name: "configuration", run: configuration::run, seeds: configuration::seeds },
    Target { name: "replication_lines", run: replication_lines::run, seeds: replication_lines::seeds },
    Target { name: "scripts", run: scripts::run, seeds: scripts::seeds },
    Target { name: "tls_settings", run: tls_settings::run, seeds: tls_settings::seeds },
    Target { name: "script_inputs", run: script_inputs::run, seeds: script_inputs::seeds },
    Target { name: "acl_rules", run: acl_rules::run, seeds: acl_rules::seeds },
    Target { name: "acl_files", run: acl_files::run, seeds: acl_files::seeds },
    Target { name: "sentinel_messages", run: sentinel_messages::run, seeds: sentinel_messages::seeds },
    Target { name: "info_texts", run: info_texts::run, seeds: info_texts::seeds },
];

/// Runs a target by its name, for libFuzzer.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|t| t.name == name).expect("a target of this name");
    (target.run)(bytes);
}
