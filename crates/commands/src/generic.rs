//! Commands on keys of any type.
//!
//! The rows are here; each noun has a file under `generic/`.

pub(crate) mod scan;

use crate::spec::{Command, Group, Handler, acl, flag::*};

pub const COMMANDS: &[Command] = &[
    Command::new("scan", -2, READONLY, Group::Generic, Handler::Data(scan::scan))
        .since("2.8.0")
        .complexity("O(1) a call, O(N) for all keys")
        .summary("Answers a part of the keys, and the cursor to go on with")
        .acl(acl::KEYSPACE)
        .tips(&["nondeterministic_output", "request_policy:special"]),
    Command::new("keys", 2, READONLY, Group::Generic, Handler::Data(scan::keys))
        .since("1.0.0")
        .complexity("O(N) over all keys")
        .summary("Lists the keys that a glob pattern matches")
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
    Command::new("randomkey", 1, READONLY, Group::Generic, Handler::Data(scan::randomkey))
        .since("1.0.0")
        .complexity("O(1)")
        .summary("Answers a key chosen at random")
        .acl(acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "nondeterministic_output"]),
];
