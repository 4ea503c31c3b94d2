//! What has a meaning in a cluster only; here each is refused as a server outside of one does.

use crate::ctx::Ctx;
use crate::fail::Fail;
use crate::spec::flag::*;
use crate::spec::{Command, Group, Handler, Node, acl};

/// What changes the cluster.
const CHANGES: u32 = ADMIN | STALE | NO_ASYNC_LOADING;

/// A subcommand of CLUSTER.
const fn sub(
    name: &'static str,
    arity: i32,
    flags: u32,
    since: &'static str,
    complexity: &'static str,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, flags, Group::Cluster, Handler::Data(refuse))
        .since(since)
        .complexity(complexity)
        .summary(summary)
}

pub const COMMANDS: &[Command] = &[
    Command::new("asking", 1, FAST, Group::Cluster, Handler::Data(refuse))
        .since("3.0.0")
        .complexity("O(1)")
        .summary("Says that a client was redirected by ASK")
        .acl(acl::CONNECTION),
    Command::new("cluster", -2, NONE, Group::Cluster, Handler::Container)
        .since("3.0.0")
        .complexity("Depends on the subcommand")
        .summary("Look at and change a cluster")
        .subcommands(&[
            sub("addslots", -3, CHANGES, "3.0.0", "O(N)", "Give slots to this node"),
            sub("addslotsrange", -4, CHANGES, "7.0.0", "O(N)", "Give ranges of slots to this node"),
            sub("bumpepoch", 2, CHANGES, "3.0.0", "O(1)", "Raise the configuration's epoch")
                .tips(&["nondeterministic_output"]),
            sub("count-failure-reports", 3, ADMIN | STALE, "3.0.0", "O(N)", "How many nodes say that a node fails")
                .tips(&["nondeterministic_output"]),
            sub("countkeysinslot", 3, STALE, "3.0.0", "O(1)", "How many keys a slot has"),
            sub("delslots", -3, CHANGES, "3.0.0", "O(N)", "Take slots from this node"),
            sub("delslotsrange", -4, CHANGES, "7.0.0", "O(N)", "Take ranges of slots from this node"),
            sub("failover", -2, CHANGES, "3.0.0", "O(1)", "Make this replica the master of its shard"),
            sub("flushslots", 2, CHANGES, "3.0.0", "O(1)", "Take all slots from this node"),
            sub("forget", 3, CHANGES, "3.0.0", "O(1)", "Forget a node"),
            sub("getkeysinslot", 4, STALE, "3.0.0", "O(N)", "Keys of a slot").tips(&["nondeterministic_output"]),
            sub("help", 2, LOADING | STALE, "5.0.0", "O(1)", "The subcommands"),
            sub("info", 2, STALE, "3.0.0", "O(1)", "The state of the cluster as this node sees it")
                .tips(&["nondeterministic_output"]),
            sub("keyslot", 3, STALE, "3.0.0", "O(N)", "A key's slot"),
            sub("links", 2, STALE, "7.0.0", "O(N)", "Connections between nodes").tips(&["nondeterministic_output"]),
            sub("meet", -4, CHANGES, "3.0.0", "O(1)", "Join another node"),
            sub("myid", 2, STALE, "3.0.0", "O(1)", "This node's id"),
            sub("myshardid", 2, STALE, "7.2.0", "O(1)", "The id of this node's shard")
                .tips(&["nondeterministic_output"]),
            sub("nodes", 2, STALE, "3.0.0", "O(N)", "All nodes that this one knows").tips(&["nondeterministic_output"]),
            sub("replicas", 3, ADMIN | STALE, "5.0.0", "O(N)", "A master's replicas")
                .tips(&["nondeterministic_output"]),
            sub("replicate", 3, CHANGES, "3.0.0", "O(1)", "Become the replica of a node"),
            sub("reset", -2, ADMIN | NOSCRIPT | STALE, "3.0.0", "O(N)", "Forget the cluster"),
            sub("saveconfig", 2, CHANGES, "3.0.0", "O(1)", "Write the configuration to disk"),
            sub("set-config-epoch", 3, CHANGES, "3.0.0", "O(1)", "Set a new node's epoch"),
            sub("setslot", -4, CHANGES, "3.0.0", "O(1)", "Say whose slot it is, or whose it becomes"),
            sub("shards", 2, STALE, "7.0.0", "O(N)", "Shards, with their slots and nodes")
                .tips(&["nondeterministic_output"]),
            sub("slaves", 3, ADMIN | STALE, "3.0.0", "O(N)", "A master's replicas (old name)")
                .tips(&["nondeterministic_output"]),
            sub("slots", 2, STALE, "3.0.0", "O(N)", "Ranges of slots, with their nodes")
                .tips(&["nondeterministic_output"]),
        ]),
    Command::new("readonly", 1, LOADING | STALE | FAST, Group::Cluster, Handler::Node(Node::ReadsHere))
        .since("3.0.0")
        .complexity("O(1)")
        .summary("Lets a connection read from a replica in a cluster")
        .acl(acl::CONNECTION),
    Command::new("readwrite", 1, LOADING | STALE | FAST, Group::Cluster, Handler::Node(Node::ReadsHere))
        .since("3.0.0")
        .complexity("O(1)")
        .summary("Has a connection read from masters again in a cluster")
        .acl(acl::CONNECTION),
];

/// What commands say that need a cluster.
pub const DISABLED: Fail = Fail::new("ERR This instance has cluster support disabled");

fn refuse(_: &mut Ctx<'_>) -> Result<(), Fail> {
    Err(DISABLED)
}
