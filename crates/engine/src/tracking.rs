//! Client-side caching (CLIENT TRACKING): clients that keep copies of values are told when the server has others.
//!
//! A client is told once of a key that it has read; only another read makes it hear of that key again. In broadcasting mode it names prefixes instead,
//! and is told once a turn which keys under them have changed. Keys are known by their names, whatever the database.
//!
//! Which keys a command reads, the keys' visitor says. Nothing here knows values or sockets: who is to be told what is answered.

pub mod message;
pub mod options;
mod prefixes;
mod table;
pub mod tracker;

use std::collections::BTreeSet;

use rivulet_commands::Command;
use rivulet_commands::places::keys_of;
use rivulet_commands::spec::{Handler, Node as Run, flag};
use rivulet_keyspace::{Key, Keyspace};
use rivulet_resp::Args;

use crate::client_id::ClientId;
use crate::client_set::ClientSet;
use crate::session::{Session, Wishes};
use prefixes::{Changes, Prefixes};
use table::Table;
use tracker::{Mode, Tracker};

/// Who is to be told of which keys.
#[derive(Default)]
pub struct Tracking {
    /// Clients that track, in whatever mode.
    trackers: BTreeSet<ClientId>,
    table: Table,
    prefixes: Prefixes,
    /// Bytes of memory that the messages of this turn took: nobody has had the time to read them.
    unsent_bytes: usize,
}

impl Tracking {
    /// Whether it has to be told of changes. Keys may be remembered for clients that no longer track: those may begin again.
    pub fn is_used(&self) -> bool {
        !self.trackers.is_empty() || !self.table.is_empty()
    }

    /// Memory of messages that have not been sent yet. Keys are not evicted for it, as each would bring further ones.
    pub fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    /// What there was to send has been offered to the sockets.
    pub fn sent(&mut self) {
        self.unsent_bytes = 0;
    }

    /// Clients that track.
    pub fn clients_len(&self) -> usize {
        self.trackers.len()
    }

    /// Keys that are remembered for somebody.
    pub fn keys_len(&self) -> usize {
        self.table.len()
    }

    /// Pairs of a key and a client for which it is remembered.
    pub fn items_len(&self) -> usize {
        self.table.items_len()
    }

    /// Prefixes of clients in broadcasting mode.
    pub fn prefixes_len(&self) -> usize {
        self.prefixes.len()
    }

    /// Whether more is remembered than `keys_max` (0 for no limit), or something that was forgotten is still to be freed.
    pub fn has_work(&self, keys_max: u64) -> bool {
        self.is_over(keys_max) || self.table.has_retired()
    }

    fn is_over(&self, keys_max: u64) -> bool {
        keys_max > 0 && self.table.len() as u64 > keys_max
    }

    /// Whether there is something to do once a turn.
    #[inline]
    pub fn wants_turns(&self) -> bool {
        self.is_used() || self.table.has_retired()
    }

    /// A client tracks from now on, or tracks otherwise than before.
    pub fn start(&mut self, id: ClientId, session: &mut Session, tracker: Tracker) {
        if let Mode::Broadcast(prefixes) = &tracker.mode {
            prefixes.iter().for_each(|prefix| self.prefixes.add(prefix.clone(), id));
        }
        self.trackers.insert(id);
        let tracking = !tracker.is_broadcast();
        session.tracking = Some(Box::new(tracker));
        session.set_wishes(Wishes { tracking, ..session.wishes() });
    }

    /// A client tracks no longer; answers whether it did. What is remembered for it stays: if it begins again, it hears of that.
    pub fn stop(&mut self, id: ClientId, session: &mut Session) -> bool {
        let Some(tracker) = session.tracking.take() else { return false };
        session.set_wishes(Wishes { tracking: false, ..session.wishes() });
        if let Mode::Broadcast(prefixes) = &tracker.mode {
            prefixes.iter().for_each(|prefix| self.prefixes.remove(prefix, id));
        }
        self.trackers.remove(&id);
        true
    }

    /// Whether nobody tracks.
    pub fn has_no_trackers(&self) -> bool {
        self.trackers.is_empty()
    }

    /// All who track.
    pub fn all(&self) -> Vec<ClientId> {
        self.trackers.iter().copied().collect()
    }

    /// Forgets which keys were read.
    pub fn forget_keys(&mut self) {
        self.table.clear();
    }

    /// The keys that a command has read are remembered for a client; answers how many are new.
    pub fn remember(&mut self, keyspace: &Keyspace, id: ClientId, command: &'static Command, args: Args<'_>) -> usize {
        let before = self.table.len();
        for (at, _) in keys_of(command, args).iter() {
            self.table.note(keyspace.key(args.at(at)), id, &self.trackers);
        }
        self.table.len() - before
    }

    /// A key has changed, by the client `by` or by nobody (0): for whom it was remembered. `teller` is who is named to those with prefixes as the one who
    /// changed it.
    pub fn take(&mut self, key: Key<'_>, teller: ClientId) -> Option<ClientSet> {
        if !self.prefixes.is_empty() {
            self.prefixes.note(key.bytes, teller);
        }
        self.table.take(key)
    }

    /// No key is remembered.
    pub fn remembers_nothing(&self) -> bool {
        self.table.is_empty()
    }

    /// A key to be forgotten, if more than `keys_max` are remembered, with those for whom it is.
    pub fn take_surplus(&mut self, keys_max: u64, rng: &mut fastrand::Rng) -> Option<(Box<[u8]>, ClientSet)> {
        if self.is_over(keys_max) { self.table.take_any(rng) } else { None }
    }

    /// What has changed in this turn under the prefixes that clients have named.
    pub fn take_changes(&mut self) -> Vec<Changes> {
        self.prefixes.take_changes()
    }

    /// Frees some of the memory of what was forgotten.
    pub fn free_some(&mut self) {
        self.table.free_some();
    }

    /// Messages have taken so many bytes of memory.
    pub fn note_unsent(&mut self, bytes: usize) {
        self.unsent_bytes += bytes;
    }
}

/// Whether what a session's command reads is remembered for it. A script's commands are remembered one by one.
#[inline]
pub fn is_remembered(session: &Session, command: &Command) -> bool {
    session.wishes().tracking
        && command.is(flag::READONLY)
        && !matches!(command.handler, Handler::Node(Run::Eval | Run::Fcall))
}

/// What CLIENT CACHING said holds for one command, or one transaction; CLIENT commands between do not count.
pub fn end_caching_choice(session: &mut Session, command: Option<&Command>) {
    let goes_on = session.multi.is_some()
        || session.blocked.is_some()
        || command.is_some_and(|command| matches!(command.handler, Handler::Node(Run::Client)));
    if let Some(tracker) = &mut session.tracking
        && !goes_on
    {
        tracker.caching_said = false;
    }
}
