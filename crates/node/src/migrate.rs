//! MIGRATE: keys go to another server by DUMP and RESTORE, and nobody but their client waits for that server.
//!
//! The keys are serialized at the call. A helper thread brings them there ([`errand`]) while their client is blocked and everybody else is served. What
//! the other server has taken is deleted here when it has said so. Until then commands that may write to such keys wait as in a pause ([`leaving`]). What
//! changes one by other means, a script that did not name it or a flush, is noticed: that key is kept, as what the other server has is older.
//!
//! In a transaction or a script nobody can be let in between, so there the executor waits, as Redis always does. This knows no sockets of clients.

mod command;
mod driver;
mod errand;
mod leaving;
mod sockets;

use std::collections::VecDeque;
use std::io;

use rivulet_commands::Command;
use rivulet_engine::client_id::ClientId;
use rivulet_resp::OwnedArgs;

use crate::helpers::Helper;
use errand::{Errand, Outcome, Target};
use leaving::Leaving;
use sockets::Sockets;

/// A request as it was asked.
struct Asked {
    command: &'static Command,
    args: OwnedArgs,
    /// On the machine's clock.
    at_us: u64,
}

/// The keys of one request on their way.
struct Moving {
    /// Who waits for the end; nobody any more if it has gone.
    client: Option<ClientId>,
    db: usize,
    copy: bool,
    /// So many replies come before those of the keys.
    before: usize,
    /// In the order of their replies.
    keys: Vec<Vec<u8>>,
    target: Target,
    /// This server became a replica meanwhile: its keys are its master's to delete.
    is_abandoned: bool,
    /// Others are served meanwhile: its keys are in [`Leaving`].
    lets_others_in: bool,
}

/// Keys on their way to other servers, and the connections to those.
#[derive(Default)]
pub struct Migrate {
    running: Vec<(Moving, Asked, Helper<Outcome>)>,
    waiting: VecDeque<(Moving, Asked, Errand)>,
    pub leaving: Leaving,
    pub sockets: Sockets,
}

impl Migrate {
    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// A client waits no longer. What has not begun for it never will; what has goes on, so that no key stays at both ends.
    fn forget_client(&mut self, id: ClientId) {
        let is_its = |moving: &Moving| moving.client == Some(id);
        if let Some(at) = self.waiting.iter().position(|(moving, ..)| is_its(moving))
            && let Some((moving, ..)) = self.waiting.remove(at)
        {
            self.release(&moving);
        }
        let running = self.running.iter_mut().find(|(moving, ..)| is_its(moving));
        running.into_iter().for_each(|(moving, ..)| moving.client = None);
    }

    /// Keys of a request that is over, or never began, are no longer on their way.
    fn release(&mut self, moving: &Moving) {
        if !moving.copy && !moving.is_abandoned && moving.lets_others_in {
            moving.keys.iter().for_each(|key| _ = self.leaving.end(moving.db, key));
        }
    }

    /// The next request whose errand has ended.
    fn next_end(&mut self) -> Option<(Moving, Asked, Outcome)> {
        let ended = |(at, (.., helper)): (usize, &(Moving, Asked, Helper<Outcome>))| Some((at, helper.poll()?));
        let (at, outcome) = self.running.iter().enumerate().find_map(ended)?;
        let (moving, asked, _) = self.running.remove(at);
        Some((moving, asked, outcome.unwrap_or_else(|_: io::Error| Outcome::lost())))
    }
}
