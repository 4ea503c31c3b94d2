//! The server itself: configuration, persistence, replication, statistics. The server runs nearly all of them.

use crate::ctx::Ctx;
use crate::fail::Fail;
use crate::spec::flag::*;
use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, Node, acl, key};

/// What administers users.
const USERS: u32 = ADMIN | NOSCRIPT | LOADING | STALE;

/// A subcommand of ACL.
const fn acl_sub(
    name: &'static str,
    arity: i32,
    flags: u32,
    since: &'static str,
    complexity: &'static str,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, flags, Group::Server, Handler::Node(Node::Acl))
        .since(since)
        .complexity(complexity)
        .summary(summary)
}

pub const COMMANDS: &[Command] = &[
    Command::new("acl", -2, NONE, Group::Server, Handler::Container)
        .since("6.0.0")
        .complexity("Depends on the subcommand")
        .summary("Look at and change users and what they may do")
        .subcommands(&[
            acl_sub("cat", -2, NOSCRIPT | LOADING | STALE, "6.0.0", "O(1)", "Categories, or the commands of one"),
            acl_sub("deluser", -3, USERS, "6.0.0", "O(1) a user", "Delete users and close their connections"),
            acl_sub("dryrun", -4, USERS, "7.0.0", "O(1)", "Say whether a user may run a command, without running it"),
            acl_sub("genpass", -2, NOSCRIPT | LOADING | STALE, "6.0.0", "O(1)", "Make a random password"),
            acl_sub("getuser", 3, USERS, "6.0.0", "O(N) rules", "What a user is and may do"),
            acl_sub("help", 2, LOADING | STALE, "6.0.0", "O(1)", "The subcommands"),
            acl_sub("list", 2, USERS, "6.0.0", "O(N) users", "All users, as lines for a file"),
            acl_sub("load", 2, USERS, "6.0.0", "O(N) users", "Read the file of the users again"),
            acl_sub("log", -2, USERS, "6.0.0", "O(N) entries", "What was denied lately"),
            acl_sub("save", 2, USERS, "6.0.0", "O(N) users", "Write the users to their file"),
            acl_sub("setuser", -3, USERS, "6.0.0", "O(N) rules", "Make or change a user"),
            acl_sub("users", 2, USERS, "6.0.0", "O(N) users", "The names of all users"),
            acl_sub("whoami", 2, NOSCRIPT | LOADING | STALE, "6.0.0", "O(1)", "The name of this connection's user"),
        ]),
    Command::new(
        "bgrewriteaof",
        1,
        ADMIN | NOSCRIPT | NO_ASYNC_LOADING,
        Group::Server,
        Handler::Node(Node::Bgrewriteaof),
    )
    .since("1.0.0")
    .complexity("O(1)")
    .summary("Rewrite the append-only file in the background"),
    Command::new("bgsave", -1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING, Group::Server, Handler::Node(Node::Bgsave))
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Save to disk in the background"),
    Command::new("command", -1, LOADING | STALE, Group::Server, Handler::Node(Node::Command))
        .since("2.8.13")
        .complexity("O(N)")
        .summary("All commands")
        .acl(acl::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .subcommands(&[
            Command::new("count", 2, LOADING | STALE, Group::Server, Handler::Node(Node::Command))
                .since("2.8.13")
                .complexity("O(1)")
                .summary("How many commands there are")
                .acl(acl::CONNECTION),
            Command::new("docs", -2, LOADING | STALE, Group::Server, Handler::Node(Node::Command))
                .since("7.0.0")
                .complexity("O(N)")
                .summary("What commands are for")
                .acl(acl::CONNECTION)
                .tips(&["nondeterministic_output_order"]),
            Command::new("getkeys", -3, LOADING | STALE, Group::Server, Handler::Node(Node::Command))
                .since("2.8.13")
                .complexity("O(N)")
                .summary("The keys of a command line")
                .acl(acl::CONNECTION),
            Command::new("getkeysandflags", -3, LOADING | STALE, Group::Server, Handler::Node(Node::Command))
                .since("7.0.0")
                .complexity("O(N)")
                .summary("The keys of a command line, and what is done to them")
                .acl(acl::CONNECTION),
            Command::new("help", 2, LOADING | STALE, Group::Server, Handler::Node(Node::Command))
                .since("5.0.0")
                .complexity("O(1)")
                .summary("The subcommands")
                .acl(acl::CONNECTION),
            Command::new("info", -2, LOADING | STALE, Group::Server, Handler::Node(Node::Command))
                .since("2.8.13")
                .complexity("O(N)")
                .summary("Facts about commands")
                .acl(acl::CONNECTION)
                .tips(&["nondeterministic_output_order"]),
            Command::new("list", -2, LOADING | STALE, Group::Server, Handler::Node(Node::Command))
                .since("7.0.0")
                .complexity("O(N)")
                .summary("Names of commands")
                .acl(acl::CONNECTION)
                .tips(&["nondeterministic_output_order"]),
        ]),
    Command::new("commandlog", -2, NONE, Group::Server, Handler::Container)
        .since("8.1.0")
        .complexity("Depends on the subcommand")
        .summary("Look at commands that took long, or had large requests or replies")
        .subcommands(&[
            Command::new("get", 4, ADMIN | LOADING | STALE, Group::Server, Handler::Node(Node::Commandlog))
                .since("8.1.0")
                .complexity("O(N)")
                .summary("The latest commands of a type")
                .tips(&["request_policy:all_nodes", "nondeterministic_output"]),
            Command::new("help", 2, LOADING | STALE, Group::Server, Handler::Node(Node::Commandlog))
                .since("8.1.0")
                .complexity("O(1)")
                .summary("The subcommands"),
            Command::new("len", 3, ADMIN | LOADING | STALE, Group::Server, Handler::Node(Node::Commandlog))
                .since("8.1.0")
                .complexity("O(1)")
                .summary("How many commands of a type are kept")
                .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
            Command::new("reset", 3, ADMIN | LOADING | STALE, Group::Server, Handler::Node(Node::Commandlog))
                .since("8.1.0")
                .complexity("O(N)")
                .summary("Forget the commands of a type")
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        ]),
    Command::new("config", -2, NONE, Group::Server, Handler::Container)
        .since("2.0.0")
        .complexity("Depends on the subcommand")
        .summary("Look at and change the configuration")
        .subcommands(&[
            Command::new("get", -3, ADMIN | NOSCRIPT | LOADING | STALE, Group::Server, Handler::Node(Node::Config))
                .since("2.0.0")
                .complexity("O(N)")
                .summary("Values of directives"),
            Command::new("help", 2, LOADING | STALE, Group::Server, Handler::Node(Node::Config))
                .since("5.0.0")
                .complexity("O(1)")
                .summary("The subcommands"),
            Command::new(
                "resetstat",
                2,
                ADMIN | NOSCRIPT | LOADING | STALE,
                Group::Server,
                Handler::Node(Node::Config),
            )
            .since("2.0.0")
            .complexity("O(1)")
            .summary("Set the statistics to zero")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
            Command::new("rewrite", 2, ADMIN | NOSCRIPT | LOADING | STALE, Group::Server, Handler::Node(Node::Config))
                .since("2.8.0")
                .complexity("O(1)")
                .summary("Write the configuration back to its file")
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
            Command::new("set", -4, ADMIN | NOSCRIPT | LOADING | STALE, Group::Server, Handler::Node(Node::Config))
                .since("2.0.0")
                .complexity("O(N)")
                .summary("Set directives")
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        ]),
    Command::new("dbsize", 1, READONLY | FAST, Group::Server, Handler::Data(dbsize))
        .since("1.0.0")
        .complexity("O(1)")
        .summary("How many keys the database has")
        .acl(acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    Command::new(
        "debug",
        -2,
        ADMIN | NOSCRIPT | LOADING | STALE | PROTECTED,
        Group::Server,
        Handler::Node(Node::Debug),
    )
    .since("1.0.0")
    .complexity("Depends on the subcommand")
    .summary("Tools for tests and diagnosis"),
    Command::new("failover", -1, ADMIN | NOSCRIPT | STALE, Group::Server, Handler::Node(Node::Failover))
        .since("6.2.0")
        .complexity("O(1)")
        .summary("Hand the role of master to a replica"),
    Command::new("flushall", -1, WRITE, Group::Server, Handler::Node(Node::Flushall))
        .since("1.0.0")
        .complexity("O(N)")
        .summary("Remove all keys of all databases")
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Command::new("flushdb", -1, WRITE, Group::Server, Handler::Node(Node::Flushdb))
        .since("1.0.0")
        .complexity("O(N)")
        .summary("Remove all keys of the database")
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Command::new("info", -1, LOADING | STALE, Group::Server, Handler::Node(Node::Info))
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Facts and figures about the server")
        .acl(acl::DANGEROUS)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Command::new("lastsave", 1, LOADING | STALE | FAST, Group::Server, Handler::Node(Node::Lastsave))
        .since("1.0.0")
        .complexity("O(1)")
        .summary("When the data was last saved")
        .acl(acl::ADMIN | acl::DANGEROUS)
        .tips(&["nondeterministic_output"]),
    Command::new("latency", -2, NONE, Group::Server, Handler::Container)
        .since("2.8.13")
        .complexity("Depends on the subcommand")
        .summary("Look at slow events")
        .subcommands(&[
            Command::new("doctor", 2, ADMIN | NOSCRIPT | LOADING | STALE, Group::Server, Handler::Node(Node::Latency))
                .since("2.8.13")
                .complexity("O(1)")
                .summary("An account of slow events in words")
                .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
            Command::new("graph", 3, ADMIN | NOSCRIPT | LOADING | STALE, Group::Server, Handler::Node(Node::Latency))
                .since("2.8.13")
                .complexity("O(1)")
                .summary("A graph of slow events")
                .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
            Command::new("help", 2, LOADING | STALE, Group::Server, Handler::Node(Node::Latency))
                .since("2.8.13")
                .complexity("O(1)")
                .summary("The subcommands"),
            Command::new(
                "histogram",
                -2,
                ADMIN | NOSCRIPT | LOADING | STALE,
                Group::Server,
                Handler::Node(Node::Latency),
            )
            .since("7.0.0")
            .complexity("O(N)")
            .summary("Durations of commands")
            .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
            Command::new("history", 3, ADMIN | NOSCRIPT | LOADING | STALE, Group::Server, Handler::Node(Node::Latency))
                .since("2.8.13")
                .complexity("O(1)")
                .summary("Slow events of one kind")
                .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
            Command::new("latest", 2, ADMIN | NOSCRIPT | LOADING | STALE, Group::Server, Handler::Node(Node::Latency))
                .since("2.8.13")
                .complexity("O(1)")
                .summary("The last slow event of each kind")
                .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
            Command::new("reset", -2, ADMIN | NOSCRIPT | LOADING | STALE, Group::Server, Handler::Node(Node::Latency))
                .since("2.8.13")
                .complexity("O(1)")
                .summary("Forget slow events")
                .tips(&["request_policy:all_nodes", "response_policy:agg_sum"]),
        ]),
    Command::new("lolwut", -1, READONLY | FAST, Group::Server, Handler::Node(Node::Lolwut))
        .since("5.0.0")
        .summary("A drawing, and the version"),
    Command::new("memory", -2, NONE, Group::Server, Handler::Container)
        .since("4.0.0")
        .complexity("Depends on the subcommand")
        .summary("Look at the use of memory")
        .subcommands(&[
            Command::new("doctor", 2, NONE, Group::Server, Handler::Node(Node::Memory))
                .since("4.0.0")
                .complexity("O(1)")
                .summary("An account of the use of memory in words")
                .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
            Command::new("help", 2, LOADING | STALE, Group::Server, Handler::Node(Node::Memory))
                .since("4.0.0")
                .complexity("O(1)")
                .summary("The subcommands"),
            Command::new("malloc-stats", 2, NONE, Group::Server, Handler::Node(Node::Memory))
                .since("4.0.0")
                .complexity("Depends on the allocator")
                .summary("The allocator's statistics")
                .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
            Command::new("purge", 2, NONE, Group::Server, Handler::Node(Node::Memory))
                .since("4.0.0")
                .complexity("Depends on how much there is to give back")
                .summary("Give unused memory back to the system")
                .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
            Command::new("stats", 2, NONE, Group::Server, Handler::Node(Node::Memory))
                .since("4.0.0")
                .complexity("O(1)")
                .summary("Figures about the use of memory")
                .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
            Command::new("usage", -3, READONLY, Group::Server, Handler::Node(Node::Memory))
                .since("4.0.0")
                .complexity("O(N)")
                .summary("Bytes that a key takes")
                .keys(&[KeySpec::new(key::RO, Begin::Index(2), Find::Range { last: 0, step: 1, limit: 0 })]),
        ]),
    Command::new("monitor", 1, ADMIN | NOSCRIPT | LOADING | STALE, Group::Server, Handler::Node(Node::Monitor))
        .since("1.0.0")
        .summary("See every command as it runs"),
    Command::new(
        "psync",
        -3,
        ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI,
        Group::Server,
        Handler::Node(Node::Psync),
    )
    .since("2.8.0")
    .summary("Become a replica, from an offset on"),
    Command::new(
        "replconf",
        -1,
        ADMIN | NOSCRIPT | LOADING | STALE | ALLOW_BUSY,
        Group::Server,
        Handler::Node(Node::Replconf),
    )
    .since("3.0.0")
    .complexity("O(1)")
    .summary("What the two ends of a replication link tell each other"),
    Command::new(
        "replicaof",
        3,
        ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING,
        Group::Server,
        Handler::Node(Node::Replicaof),
    )
    .since("5.0.0")
    .complexity("O(1)")
    .summary("Follow a master, or none"),
    Command::new("replication", -2, NONE, Group::Server, Handler::Container)
        .since("7.0.15")
        .summary("See why replicas synchronize, and prove that they are equal")
        .subcommands(&[
            Command::new(
                "doctor",
                2,
                ADMIN | NOSCRIPT | LOADING | STALE,
                Group::Server,
                Handler::Node(Node::Replication),
            )
            .since("7.0.15")
            .complexity("O(1)")
            .summary("What is wrong with replication, and what to set")
            .tips(&["nondeterministic_output"]),
            Command::new(
                "fence",
                4,
                ADMIN | NOSCRIPT | STALE | NO_MULTI,
                Group::Server,
                Handler::Node(Node::Replication),
            )
            .since("7.0.15")
            .complexity("O(1)")
            .summary("Acknowledge nothing to masters of older epochs")
            .tips(&["nondeterministic_output"]),
            Command::new("help", 2, LOADING | STALE, Group::Server, Handler::Node(Node::Replication))
                .since("7.0.15")
                .complexity("O(1)")
                .summary("The subcommands"),
            Command::new(
                "history",
                -2,
                ADMIN | NOSCRIPT | LOADING | STALE,
                Group::Server,
                Handler::Node(Node::Replication),
            )
            .since("7.0.15")
            .complexity("O(N)")
            .summary("The latest syncs, each with its reason")
            .tips(&["nondeterministic_output"]),
            Command::new(
                "members",
                -4,
                ADMIN | NOSCRIPT | STALE | NO_MULTI,
                Group::Server,
                Handler::Node(Node::Replication),
            )
            .since("7.0.15")
            .complexity("O(N)")
            .summary("Whose acknowledgements count when replies wait for replicas"),
            Command::new("promote", 4, ADMIN | NOSCRIPT | STALE, Group::Server, Handler::Node(Node::Replication))
                .since("7.0.15")
                .complexity("O(1)")
                .summary("Become a master in an epoch that was promised"),
            Command::new("verify", -2, ADMIN | NOSCRIPT | NO_MULTI, Group::Server, Handler::Node(Node::Replication))
                .since("7.0.15")
                .complexity("O(N)")
                .summary("Prove that replicas are equal at one offset")
                .tips(&["nondeterministic_output"]),
        ]),
    Command::new("role", 1, NOSCRIPT | LOADING | STALE | FAST, Group::Server, Handler::Node(Node::Role))
        .since("2.8.12")
        .complexity("O(1)")
        .summary("The role in replication")
        .acl(acl::ADMIN | acl::DANGEROUS),
    Command::new("save", 1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI, Group::Server, Handler::Node(Node::Save))
        .since("1.0.0")
        .complexity("O(N)")
        .summary("Save to disk and wait for it"),
    Command::new(
        "shutdown",
        -1,
        ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY,
        Group::Server,
        Handler::Node(Node::Shutdown),
    )
    .since("1.0.0")
    .complexity("O(N)")
    .summary("End the server, saving if asked"),
    Command::new(
        "slaveof",
        3,
        ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING,
        Group::Server,
        Handler::Node(Node::Replicaof),
    )
    .since("1.0.0")
    .complexity("O(1)")
    .summary("Follow a master, or none (old name)"),
    Command::new("slowlog", -2, NONE, Group::Server, Handler::Container)
        .since("2.2.12")
        .complexity("Depends on the subcommand")
        .summary("Look at slow commands")
        .subcommands(&[
            Command::new("get", -2, ADMIN | LOADING | STALE, Group::Server, Handler::Node(Node::Slowlog))
                .since("2.2.12")
                .complexity("O(N)")
                .summary("The latest slow commands")
                .tips(&["request_policy:all_nodes", "nondeterministic_output"]),
            Command::new("help", 2, LOADING | STALE, Group::Server, Handler::Node(Node::Slowlog))
                .since("6.2.0")
                .complexity("O(1)")
                .summary("The subcommands"),
            Command::new("len", 2, ADMIN | LOADING | STALE, Group::Server, Handler::Node(Node::Slowlog))
                .since("2.2.12")
                .complexity("O(1)")
                .summary("How many slow commands are kept")
                .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
            Command::new("reset", 2, ADMIN | LOADING | STALE, Group::Server, Handler::Node(Node::Slowlog))
                .since("2.2.12")
                .complexity("O(N)")
                .summary("Forget slow commands")
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        ]),
    Command::new("swapdb", 3, WRITE | FAST, Group::Server, Handler::Node(Node::Swapdb))
        .since("4.0.0")
        .complexity("O(N)")
        .summary("Exchange two databases")
        .acl(acl::KEYSPACE | acl::DANGEROUS),
    Command::new("sync", 1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI, Group::Server, Handler::Node(Node::Sync))
        .since("1.0.0")
        .summary("Become a replica, from a snapshot on"),
    Command::new("time", 1, LOADING | STALE | FAST, Group::Server, Handler::Node(Node::Time))
        .since("2.6.0")
        .complexity("O(1)")
        .summary("The time of the server")
        .tips(&["nondeterministic_output"]),
];

fn dbsize(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let len = ctx.db.db().len();
    ctx.reply.int(len as i64);
    Ok(())
}
