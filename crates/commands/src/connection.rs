//! The connection itself: PING, HELLO, AUTH, CLIENT and the like. The server runs them.

use crate::spec::flag::*;
use crate::spec::{Command, Group, Handler, Node, acl};

pub const COMMANDS: &[Command] = &[
    Command::new(
        "auth",
        -2,
        NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY,
        Group::Connection,
        Handler::Node(Node::Auth),
    )
    .since("1.0.0")
    .complexity("O(N)")
    .summary("Log in as a user")
    .acl(acl::CONNECTION),
    Command::new("client", -2, NONE, Group::Connection, Handler::Container)
        .since("2.4.0")
        .complexity("Depends on the subcommand")
        .summary("Look at and change connections")
        .subcommands(&[
            Command::new("caching", 3, NOSCRIPT | LOADING | STALE, Group::Connection, Handler::Node(Node::Client))
                .since("6.0.0")
                .complexity("O(1)")
                .summary("Track, or not, the keys of the next command")
                .acl(acl::CONNECTION),
            Command::new("capa", -3, NOSCRIPT | LOADING | STALE, Group::Connection, Handler::Node(Node::Client))
                .since("8.0.0")
                .complexity("O(1)")
                .summary("Say what this client can do")
                .acl(acl::CONNECTION),
            Command::new("getname", 2, NOSCRIPT | LOADING | STALE, Group::Connection, Handler::Node(Node::Client))
                .since("2.6.9")
                .complexity("O(1)")
                .summary("The name of this connection")
                .acl(acl::CONNECTION),
            Command::new("getredir", 2, NOSCRIPT | LOADING | STALE, Group::Connection, Handler::Node(Node::Client))
                .since("6.0.0")
                .complexity("O(1)")
                .summary("Where invalidations of this connection go")
                .acl(acl::CONNECTION),
            Command::new("help", 2, LOADING | STALE, Group::Connection, Handler::Node(Node::Client))
                .since("5.0.0")
                .complexity("O(1)")
                .summary("The subcommands")
                .acl(acl::CONNECTION),
            Command::new("id", 2, NOSCRIPT | LOADING | STALE, Group::Connection, Handler::Node(Node::Client))
                .since("5.0.0")
                .complexity("O(1)")
                .summary("The id of this connection")
                .acl(acl::CONNECTION),
            Command::new("info", 2, NOSCRIPT | LOADING | STALE, Group::Connection, Handler::Node(Node::Client))
                .since("6.2.0")
                .complexity("O(1)")
                .summary("A line about this connection")
                .acl(acl::CONNECTION)
                .tips(&["nondeterministic_output"]),
            Command::new(
                "kill",
                -3,
                ADMIN | NOSCRIPT | LOADING | STALE,
                Group::Connection,
                Handler::Node(Node::Client),
            )
            .since("2.4.0")
            .complexity("O(N)")
            .summary("Close connections")
            .acl(acl::CONNECTION),
            Command::new(
                "list",
                -2,
                ADMIN | NOSCRIPT | LOADING | STALE,
                Group::Connection,
                Handler::Node(Node::Client),
            )
            .since("2.4.0")
            .complexity("O(N)")
            .summary("A line about each connection")
            .acl(acl::CONNECTION)
            .tips(&["nondeterministic_output"]),
            Command::new(
                "no-evict",
                3,
                ADMIN | NOSCRIPT | LOADING | STALE,
                Group::Connection,
                Handler::Node(Node::Client),
            )
            .since("7.0.0")
            .complexity("O(1)")
            .summary("Keep this connection when memory for clients is short")
            .acl(acl::CONNECTION),
            Command::new("no-touch", 3, NOSCRIPT | LOADING | STALE, Group::Connection, Handler::Node(Node::Client))
                .since("7.2.0")
                .complexity("O(1)")
                .summary("Leave no mark on when keys were used")
                .acl(acl::CONNECTION),
            Command::new(
                "pause",
                -3,
                ADMIN | NOSCRIPT | LOADING | STALE,
                Group::Connection,
                Handler::Node(Node::Client),
            )
            .since("2.9.50")
            .complexity("O(1)")
            .summary("Stop commands of clients for a time")
            .acl(acl::CONNECTION),
            Command::new("reply", 3, NOSCRIPT | LOADING | STALE, Group::Connection, Handler::Node(Node::Client))
                .since("3.2.0")
                .complexity("O(1)")
                .summary("Choose which replies to send")
                .acl(acl::CONNECTION),
            Command::new("setinfo", 4, NOSCRIPT | LOADING | STALE, Group::Connection, Handler::Node(Node::Client))
                .since("7.2.0")
                .complexity("O(1)")
                .summary("Say which library this connection uses")
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
                .acl(acl::CONNECTION),
            Command::new("setname", 3, NOSCRIPT | LOADING | STALE, Group::Connection, Handler::Node(Node::Client))
                .since("2.6.9")
                .complexity("O(1)")
                .summary("Name this connection")
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
                .acl(acl::CONNECTION),
            Command::new("tracking", -3, NOSCRIPT | LOADING | STALE, Group::Connection, Handler::Node(Node::Client))
                .since("6.0.0")
                .complexity("O(1)")
                .summary("Tell this connection of keys that change")
                .acl(acl::CONNECTION),
            Command::new("trackinginfo", 2, NOSCRIPT | LOADING | STALE, Group::Connection, Handler::Node(Node::Client))
                .since("6.2.0")
                .complexity("O(1)")
                .summary("How this connection tracks keys")
                .acl(acl::CONNECTION),
            Command::new(
                "unblock",
                -3,
                ADMIN | NOSCRIPT | LOADING | STALE,
                Group::Connection,
                Handler::Node(Node::Client),
            )
            .since("5.0.0")
            .complexity("O(log N)")
            .summary("End the wait of a blocked connection")
            .acl(acl::CONNECTION),
            Command::new(
                "unpause",
                2,
                ADMIN | NOSCRIPT | LOADING | STALE,
                Group::Connection,
                Handler::Node(Node::Client),
            )
            .since("6.2.0")
            .complexity("O(N)")
            .summary("Let paused clients go on")
            .acl(acl::CONNECTION),
        ]),
    Command::new("echo", 2, LOADING | STALE | FAST, Group::Connection, Handler::Node(Node::Echo))
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Send back what was sent")
        .acl(acl::CONNECTION),
    Command::new(
        "hello",
        -1,
        NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY,
        Group::Connection,
        Handler::Node(Node::Hello),
    )
    .since("6.0.0")
    .complexity("O(1)")
    .summary("Choose the protocol, and log in")
    .acl(acl::CONNECTION),
    Command::new("ping", -1, FAST, Group::Connection, Handler::Node(Node::Ping))
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Show that the connection works")
        .acl(acl::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Command::new(
        "quit",
        -1,
        NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY,
        Group::Connection,
        Handler::Node(Node::Quit),
    )
    .since("1.0.0")
    .complexity("O(1)")
    .summary("Close the connection")
    .acl(acl::CONNECTION),
    Command::new(
        "reset",
        1,
        NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY,
        Group::Connection,
        Handler::Node(Node::Reset),
    )
    .since("6.2.0")
    .complexity("O(1)")
    .summary("Make the connection as if it were new")
    .acl(acl::CONNECTION),
    Command::new("select", 2, LOADING | STALE | FAST, Group::Connection, Handler::Node(Node::Select))
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Choose the database of this connection")
        .acl(acl::CONNECTION),
];
