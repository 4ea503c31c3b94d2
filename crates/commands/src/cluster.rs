//! What has a meaning in a cluster only; here each is refused as a server outside of one does.

use crate::ctx::Ctx;
use crate::fail::Fail;
use crate::spec::flag::*;
use crate::spec::{Command, Group, Handler, acl};

pub const COMMANDS: &[Command] = &[
    Command::new("asking", 1, FAST, Group::Cluster, Handler::Data(refuse))
        .since("3.0.0")
        .complexity("O(1)")
        .summary("Says that a client was redirected by ASK")
        .acl(acl::CONNECTION),
    Command::new("readonly", 1, LOADING | STALE | FAST, Group::Cluster, Handler::Data(refuse))
        .since("3.0.0")
        .complexity("O(1)")
        .summary("Lets a connection read from a replica in a cluster")
        .acl(acl::CONNECTION),
    Command::new("readwrite", 1, LOADING | STALE | FAST, Group::Cluster, Handler::Data(refuse))
        .since("3.0.0")
        .complexity("O(1)")
        .summary("Has a connection read from masters again in a cluster")
        .acl(acl::CONNECTION),
];

fn refuse(_: &mut Ctx<'_>) -> Result<(), Fail> {
    Err(Fail::new("ERR This instance has cluster support disabled"))
}
