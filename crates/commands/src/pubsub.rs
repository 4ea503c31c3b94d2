//! Publish and subscribe. The server runs them.

use crate::places::Channels;
use crate::spec::flag::*;
use crate::spec::{Begin, Command, Find, Group, Handler, KeySpec, Node, key};

pub const COMMANDS: &[Command] = &[
    Command::new("psubscribe", -2, PUBSUB | NOSCRIPT | LOADING | STALE, Group::Pubsub, Handler::Node(Node::Psubscribe))
        .channels(Channels::SubscribePatterns)
        .since("2.0.0")
        .complexity("O(N)")
        .summary("Listen to channels by patterns"),
    Command::new(
        "publish",
        3,
        PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE,
        Group::Pubsub,
        Handler::Node(Node::Publish),
    )
    .channels(Channels::Publish)
    .since("2.0.0")
    .complexity("O(N+M)")
    .summary("Send a message to a channel"),
    Command::new("pubsub", -2, NONE, Group::Pubsub, Handler::Container)
        .since("2.8.0")
        .complexity("Depends on the subcommand")
        .summary("Look at channels")
        .subcommands(&[
            Command::new("channels", -2, PUBSUB | LOADING | STALE, Group::Pubsub, Handler::Node(Node::Pubsub))
                .since("2.8.0")
                .complexity("O(N)")
                .summary("Channels that somebody listens to"),
            Command::new("help", 2, LOADING | STALE, Group::Pubsub, Handler::Node(Node::Pubsub))
                .since("6.2.0")
                .complexity("O(1)")
                .summary("The subcommands"),
            Command::new("numpat", 2, PUBSUB | LOADING | STALE, Group::Pubsub, Handler::Node(Node::Pubsub))
                .since("2.8.0")
                .complexity("O(1)")
                .summary("How many patterns are listened to"),
            Command::new("numsub", -2, PUBSUB | LOADING | STALE, Group::Pubsub, Handler::Node(Node::Pubsub))
                .since("2.8.0")
                .complexity("O(N)")
                .summary("How many listen to channels"),
            Command::new("shardchannels", -2, PUBSUB | LOADING | STALE, Group::Pubsub, Handler::Node(Node::Pubsub))
                .since("7.0.0")
                .complexity("O(N)")
                .summary("Shard channels that somebody listens to"),
            Command::new("shardnumsub", -2, PUBSUB | LOADING | STALE, Group::Pubsub, Handler::Node(Node::Pubsub))
                .since("7.0.0")
                .complexity("O(N)")
                .summary("How many listen to shard channels"),
        ]),
    Command::new(
        "punsubscribe",
        -1,
        PUBSUB | NOSCRIPT | LOADING | STALE,
        Group::Pubsub,
        Handler::Node(Node::Punsubscribe),
    )
    .since("2.0.0")
    .complexity("O(N+M)")
    .summary("Listen to patterns no more"),
    Command::new(
        "spublish",
        3,
        PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE,
        Group::Pubsub,
        Handler::Node(Node::Spublish),
    )
    .channels(Channels::Publish)
    .since("7.0.0")
    .complexity("O(N)")
    .summary("Send a message to a shard channel")
    .keys(&[KeySpec::new(key::NOT_KEY, Begin::Index(1), Find::Range { last: 0, step: 1, limit: 0 })]),
    Command::new("ssubscribe", -2, PUBSUB | NOSCRIPT | LOADING | STALE, Group::Pubsub, Handler::Node(Node::Ssubscribe))
        .channels(Channels::Subscribe)
        .since("7.0.0")
        .complexity("O(N)")
        .summary("Listen to shard channels")
        .keys(&[KeySpec::new(key::NOT_KEY, Begin::Index(1), Find::Range { last: -1, step: 1, limit: 0 })]),
    Command::new("subscribe", -2, PUBSUB | NOSCRIPT | LOADING | STALE, Group::Pubsub, Handler::Node(Node::Subscribe))
        .channels(Channels::Subscribe)
        .since("2.0.0")
        .complexity("O(N)")
        .summary("Listen to channels"),
    Command::new(
        "sunsubscribe",
        -1,
        PUBSUB | NOSCRIPT | LOADING | STALE,
        Group::Pubsub,
        Handler::Node(Node::Sunsubscribe),
    )
    .since("7.0.0")
    .complexity("O(N)")
    .summary("Listen to shard channels no more")
    .keys(&[KeySpec::new(key::NOT_KEY, Begin::Index(1), Find::Range { last: -1, step: 1, limit: 0 })]),
    Command::new(
        "unsubscribe",
        -1,
        PUBSUB | NOSCRIPT | LOADING | STALE,
        Group::Pubsub,
        Handler::Node(Node::Unsubscribe),
    )
    .since("2.0.0")
    .complexity("O(N)")
    .summary("Listen to channels no more"),
];
