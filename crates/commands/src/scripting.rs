//! Scripts and functions. The server runs them.

use crate::spec::flag::*;
use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, Node, acl, key};

const UNKNOWN_WRITES: &str = "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE";
const UNKNOWN_READS: &str = "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS";
const BY_COUNT: Find = Find::Count { at: 0, first: 1, step: 1 };
const WRITES: KeySpec = KeySpec::new(key::RW | key::ACCESS | key::UPDATE, Begin::Index(2), BY_COUNT);
const READS: KeySpec = KeySpec::new(key::RO | key::ACCESS, Begin::Index(2), BY_COUNT);

/// EVAL and its kin.
const fn run(name: &'static str, flags: u32, node: Node, since: &'static str, summary: &'static str) -> Command {
    let replicates = if flags & READONLY == 0 { MAY_REPLICATE } else { NONE };
    let flags = flags | NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS | replicates;
    Command::new(name, -3, flags, Group::Scripting, Handler::Node(node))
        .since(since)
        .summary(summary)
        .acl(acl::SCRIPTING)
        .without_acl(acl::READ)
}

/// A subcommand of SCRIPT or FUNCTION.
const fn sub(
    name: &'static str,
    arity: i32,
    flags: u32,
    node: Node,
    since: &'static str,
    complexity: &'static str,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, flags, Group::Scripting, Handler::Node(node))
        .since(since)
        .complexity(complexity)
        .summary(summary)
        .acl(acl::SCRIPTING)
}

const ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const ONE_SHARD: &[&str] = &["request_policy:all_shards", "response_policy:one_succeeded"];

pub const COMMANDS: &[Command] = &[
    run("eval", NONE, Node::Eval, "2.6.0", "Run a Lua script")
        .complexity("Depends on the script")
        .keys(&[WRITES.notes(UNKNOWN_WRITES)]),
    run("eval_ro", READONLY, Node::Eval, "7.0.0", "Run a Lua script that only reads")
        .complexity("Depends on the script")
        .keys(&[READS.notes(UNKNOWN_READS)]),
    run("evalsha", NONE, Node::Eval, "2.6.0", "Run a Lua script that is in the cache")
        .complexity("Depends on the script")
        .keys(&[WRITES]),
    run("evalsha_ro", READONLY, Node::Eval, "7.0.0", "Run a Lua script that is in the cache and only reads")
        .complexity("Depends on the script")
        .keys(&[READS]),
    run("fcall", NONE, Node::Fcall, "7.0.0", "Call a function")
        .complexity("Depends on the function")
        .keys(&[WRITES.notes(UNKNOWN_WRITES)]),
    run("fcall_ro", READONLY, Node::Fcall, "7.0.0", "Call a function that only reads")
        .complexity("Depends on the function")
        .keys(&[READS.notes(UNKNOWN_READS)]),
    Command::new("function", -2, NONE, Group::Scripting, Handler::Container)
        .since("7.0.0")
        .complexity("Depends on the subcommand")
        .summary("Load, list and delete libraries of functions")
        .subcommands(&[
            sub("delete", 3, WRITE | NOSCRIPT, Node::Function, "7.0.0", "O(1)", "Delete a library").tips(ALL_SHARDS),
            sub(
                "dump",
                2,
                NOSCRIPT,
                Node::Function,
                "7.0.0",
                "O(N) for N functions",
                "Give all libraries as one payload",
            ),
            sub("flush", -2, WRITE | NOSCRIPT, Node::Function, "7.0.0", "O(N) for N functions", "Delete all libraries")
                .tips(ALL_SHARDS),
            sub("help", 2, LOADING | STALE, Node::Function, "7.0.0", "O(1)", "Show what there is"),
            sub("kill", 2, NOSCRIPT | ALLOW_BUSY, Node::Function, "7.0.0", "O(1)", "End the function that runs")
                .tips(ONE_SHARD),
            sub(
                "list",
                -2,
                NOSCRIPT,
                Node::Function,
                "7.0.0",
                "O(N) for N functions",
                "Show the libraries and their functions",
            )
            .tips(&["nondeterministic_output_order"]),
            sub(
                "load",
                -3,
                WRITE | DENYOOM | NOSCRIPT,
                Node::Function,
                "7.0.0",
                "O(1), but for the compiler",
                "Load a library",
            )
            .tips(ALL_SHARDS),
            sub(
                "restore",
                -3,
                WRITE | DENYOOM | NOSCRIPT,
                Node::Function,
                "7.0.0",
                "O(N) for N functions",
                "Load the libraries of a payload",
            )
            .tips(ALL_SHARDS),
            sub(
                "stats",
                2,
                NOSCRIPT | ALLOW_BUSY,
                Node::Function,
                "7.0.0",
                "O(1)",
                "Show the function that runs, and how many there are",
            )
            .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
        ]),
    Command::new("script", -2, NONE, Group::Scripting, Handler::Container)
        .since("2.6.0")
        .complexity("Depends on the subcommand")
        .summary("Load, look for and forget scripts")
        .subcommands(&[
            sub("debug", 3, NOSCRIPT, Node::Script, "3.2.0", "O(1)", "Set how scripts are debugged"),
            sub(
                "exists",
                -3,
                NOSCRIPT,
                Node::Script,
                "2.6.0",
                "O(N) for N scripts",
                "Say which scripts are in the cache",
            )
            .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"]),
            sub("flush", -2, NOSCRIPT, Node::Script, "2.6.0", "O(N) for N scripts", "Forget all scripts")
                .tips(ALL_NODES),
            sub("help", 2, LOADING | STALE, Node::Script, "5.0.0", "O(1)", "Show what there is"),
            sub("kill", 2, NOSCRIPT | ALLOW_BUSY, Node::Script, "2.6.0", "O(1)", "End the script that runs")
                .tips(ONE_SHARD),
            sub(
                "load",
                3,
                NOSCRIPT | STALE,
                Node::Script,
                "2.6.0",
                "O(N) for N bytes",
                "Keep a script without running it",
            )
            .tips(ALL_NODES),
            sub("show", 3, NOSCRIPT, Node::Script, "8.0.0", "O(1)", "Show the text of a script"),
        ]),
];
