//! Transactions. The server runs them.

use crate::spec::flag::*;
use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, Node, acl, key};

pub const COMMANDS: &[Command] = &[
    Command::new(
        "discard",
        1,
        NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
        Group::Transactions,
        Handler::Node(Node::Discard),
    )
    .since("2.0.0")
    .complexity("O(N)")
    .summary("Drop the queued commands")
    .acl(acl::TRANSACTION),
    Command::new("exec", 1, NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG, Group::Transactions, Handler::Node(Node::Exec))
        .since("1.2.0")
        .complexity("Depends on the queued commands")
        .summary("Run the queued commands as one")
        .acl(acl::TRANSACTION),
    Command::new(
        "multi",
        1,
        NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
        Group::Transactions,
        Handler::Node(Node::Multi),
    )
    .since("1.2.0")
    .complexity("O(1)")
    .summary("Queue the commands that follow")
    .acl(acl::TRANSACTION),
    Command::new(
        "unwatch",
        1,
        NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
        Group::Transactions,
        Handler::Node(Node::Unwatch),
    )
    .since("2.2.0")
    .complexity("O(1)")
    .summary("Forget the watched keys")
    .acl(acl::TRANSACTION),
    Command::new(
        "watch",
        -2,
        NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
        Group::Transactions,
        Handler::Node(Node::Watch),
    )
    .since("2.2.0")
    .complexity("O(1)")
    .summary("Let EXEC fail when these keys change")
    .acl(acl::TRANSACTION)
    .keys(&[KeySpec::new(key::RO, Begin::Index(1), Find::Range { last: -1, step: 1, limit: 0 })]),
];
