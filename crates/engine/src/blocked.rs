//! A command that waits: what for, and until when.

use std::collections::HashSet;

use rivulet_commands::Command;
use rivulet_commands::effects::{Again, Block};
use rivulet_commands::places::keys_of;
use rivulet_commands::spec::{Begin, Find, KeySpec};
use rivulet_resp::OwnedArgs;

/// The place of a waiting client among all that ever waited, from 1 on.
pub type Ticket = u64;

/// A command that waits.
pub struct Blocked {
    pub reason: BlockedOn,
    /// Unix ms.
    pub deadline_ms: Option<u64>,
    pub ticket: Ticket,
}

pub enum BlockedOn {
    /// On keys of a database; the command runs again when one is ready.
    Keys { db: usize, command: &'static Command, args: OwnedArgs, block: Block },
    /// WAIT and WAITAOF: until the offset is where it is wished to be.
    Acks { wish: Wish, offset: u64 },
    /// Until the pause of clients ends; the command then runs.
    Pause { args: OwnedArgs },
    /// SHUTDOWN: until replicas have caught up.
    Shutdown,
    /// MIGRATE: until the other server has answered.
    Migrate,
    /// REPLICATION VERIFY: until replicas have reported.
    Verify,
}

/// Where an offset is wished to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// WAIT: acknowledged by so many replicas.
    Acked { replicas: usize },
    /// WAITAOF: durable here (`local`) and on so many replicas.
    Durable { local: bool, replicas: usize },
}

/// What a command that waited with these arguments is run with, as `key` is ready.
pub fn again(command: &Command, args: &OwnedArgs, block: &Block, key: &[u8]) -> OwnedArgs {
    match &block.again {
        Again::WithReadyKey => only_key(command, args, key),
        Again::Command(args) => args.clone(),
    }
}

/// The command with `key` as the only one of those that it may take from.
fn only_key(command: &Command, args: &OwnedArgs, key: &[u8]) -> OwnedArgs {
    let several = |spec: &KeySpec| !matches!(spec.find, Find::Range { last: 0, .. });
    let Some(spec) = command.keys.first().filter(|s| several(s)) else { return args.clone() };
    let line = args.as_args();
    let keys = keys_of(command, line);
    let Some((kept, _)) = keys.iter().find(|(at, _)| line.at(*at) == key) else { return args.clone() };
    let count_at = match (spec.begin, spec.find) {
        (Begin::Index(first), Find::Count { at, .. }) => Some((first + at) as usize),
        _ => None,
    };
    let places: HashSet<usize> = keys.iter().map(|(at, _)| at).collect();
    let words: Vec<&[u8]> = line
        .iter()
        .enumerate()
        .filter(|(at, _)| *at == kept || !places.contains(at))
        .map(|(at, word)| if Some(at) == count_at { b"1".as_slice() } else { word })
        .collect();
    OwnedArgs::from_slices(&words)
}
