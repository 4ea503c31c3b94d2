//! A command that waits: what for, and until when.

use rivulet_commands::Command;
use rivulet_commands::effects::Block;
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
