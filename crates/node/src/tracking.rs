//! Client-side caching (CLIENT TRACKING): clients that keep copies of values are told when the server has others.
//!
//! A client is told once of a key that it has read; only another read makes it hear of that key again. In broadcasting mode it names prefixes instead,
//! and is told once a turn which keys under them have changed. Keys are known by their names, whatever the database.
//!
//! What changed is heard at the place where watches hear it ([`Node::keys_changed`]); which keys a command reads, the keys' visitor says. Nothing here
//! knows values or sockets: messages go where replies go, and count there.

mod command;
mod messages;
mod options;
mod prefixes;
mod table;
mod tracker;

use std::collections::BTreeSet;

use rivulet_commands::Command;
use rivulet_commands::effects::Touched;
use rivulet_commands::places::keys_of;
use rivulet_commands::spec::{Handler, Node as Run, flag};
use rivulet_resp::Args;

use crate::engine::session::Wishes;
use crate::front::client_id::ClientId;
use crate::node::Node;
use messages::Told;
use prefixes::Prefixes;
use table::Table;

pub use command::redirect_shown;
pub use tracker::{Mode, Tracker};

/// A client that reads makes room for its keys and for so many more.
const TRIM_AHEAD: usize = 100;
/// Keys that are forgotten between two turns when the table is to become smaller.
const TRIM_PER_TURN: usize = 1000;

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
}

/// Whether what a command reads is remembered. A script's commands are remembered one by one.
fn is_remembered(command: &Command) -> bool {
    command.is(flag::READONLY) && !matches!(command.handler, Handler::Node(Run::Eval | Run::Fcall))
}

impl Node {
    /// Whether somebody wants to hear which keys change is asked anew.
    pub fn look_at_interest(&mut self) {
        self.engine.note_touched =
            !self.engine.watched.is_empty() || self.tracking.is_used() || !self.migrate.leaving.is_empty();
    }

    /// A client has run a command: if it tracks, the keys that it has read are remembered for it.
    #[inline]
    pub fn remember_keys(&mut self, id: ClientId, command: &'static Command, args: Args<'_>) {
        if self.clients.get(id).is_some_and(|client| client.session.wishes().tracking) && is_remembered(command) {
            self.remember(id, command, args);
        }
    }

    /// A client's script has run a command. As since Redis 7.2 what that has read is remembered, and as before what the script has declared.
    pub fn remember_keys_of_script(
        &mut self,
        id: ClientId,
        (command, args): (&'static Command, Args<'_>),
        (script, declared): (&'static Command, Args<'_>),
    ) {
        if self.clients.get(id).is_some_and(|client| client.session.wishes().tracking) && is_remembered(command) {
            self.remember(id, script, declared);
            self.remember(id, command, args);
        }
    }

    fn remember(&mut self, id: ClientId, command: &'static Command, args: Args<'_>) {
        let tracker = self.clients.get(id).and_then(|client| client.session.tracking.as_deref());
        if !tracker.is_some_and(Tracker::remembers) {
            return;
        }
        let before = self.tracking.table.len();
        for (at, _) in keys_of(command, args).iter() {
            let key = self.engine.keyspace.key(args.at(at));
            self.tracking.table.note(key, id, &self.tracking.trackers);
        }
        let added = self.tracking.table.len() - before;
        // So the table is never larger than its limit and the keys of one command.
        self.trim_table(added + TRIM_AHEAD);
    }

    /// Keys have changed: who watches or tracks them is told, and what is on its way to another server is no longer what it was.
    pub fn keys_changed(&mut self, touched: Vec<Touched>) {
        touched.iter().for_each(|touched| self.migrate.leaving.note_changed(touched.db, &touched.key));
        if self.tracking.is_used() {
            touched.iter().for_each(|touched| self.invalidate(touched));
            self.release_pushes();
        }
        self.break_watches(touched);
    }

    fn invalidate(&mut self, touched: &Touched) {
        let by = if touched.by_itself { 0 } else { self.engine.speaker.executing };
        if !self.tracking.prefixes.is_empty() {
            // What a script changes is told to its own client as well, though it wants to hear of others only, as in Redis.
            let by = if self.scripts.running.is_some() { 0 } else { by };
            self.tracking.prefixes.note(&touched.key, by);
        }
        let key = self.engine.keyspace.key(&touched.key);
        let Some(ids) = self.tracking.table.take(key) else { return };
        ids.iter().for_each(|id| self.tell_of_key(id, &touched.key, by));
        if self.tracking.table.is_empty() {
            self.look_at_interest();
        }
    }

    /// Tells a client of a key that was remembered for it; `by` has changed it, 0 for nobody.
    fn tell_of_key(&mut self, id: ClientId, key: &[u8], by: ClientId) {
        let tracker = self.clients.get(id).and_then(|client| client.session.tracking.as_deref());
        let wants = |tracker: &Tracker| !(tracker.is_broadcast() || tracker.no_loop && id == by);
        if tracker.is_some_and(wants) {
            self.tell_tracker(id, &Told::Key(key));
        }
    }

    /// All keys of a database have changed, or of all databases: whoever tracks is told to forget everything.
    pub fn invalidate_all(&mut self) {
        if !self.tracking.is_used() {
            return;
        }
        for id in Vec::from_iter(self.tracking.trackers.iter().copied()) {
            self.tell_tracker(id, &Told::All);
        }
        self.tracking.table.clear();
        self.look_at_interest();
        self.release_pushes();
    }

    /// What is done once a turn, before its replies leave: who has named prefixes is told of what changed, and the table is kept within its limit.
    #[inline]
    pub fn look_after_tracking(&mut self) {
        // Of a script's unit nothing is seen before its end.
        if (self.tracking.is_used() || self.tracking.table.has_retired()) && self.scripts.running.is_none() {
            self.broadcast_changes();
            self.trim_table(TRIM_PER_TURN);
            self.tracking.table.free_some();
        }
    }

    fn broadcast_changes(&mut self) {
        for changes in self.tracking.prefixes.take_changes() {
            let all = changes.message(None);
            for &id in &changes.clients {
                let no_loop =
                    self.clients.get(id).and_then(|c| c.session.tracking.as_deref()).is_some_and(|t| t.no_loop);
                let own = no_loop.then(|| changes.message(Some(id)));
                let Some(message) = own.as_ref().unwrap_or(&all) else { continue };
                self.tell_tracker(id, &Told::Keys(message));
            }
        }
    }

    /// Forgets keys at random while there are more than `tracking-table-max-keys`, at most so many. Who has read them is told as if they had changed.
    fn trim_table(&mut self, most: usize) {
        for _ in 0..most {
            if !self.tracking.is_over(self.config.tracking_table_max_keys) {
                break;
            }
            let Some((key, ids)) = self.tracking.table.take_any(&mut self.engine.rng) else { break };
            ids.iter().for_each(|id| self.tell_of_key(id, &key, 0));
        }
        self.release_pushes();
    }

    /// A client tracks from now on, or tracks otherwise than before.
    fn start_tracking(&mut self, id: ClientId, tracker: Tracker) {
        if let Mode::Broadcast(prefixes) = &tracker.mode {
            prefixes.iter().for_each(|prefix| self.tracking.prefixes.add(prefix.clone(), id));
        }
        self.tracking.trackers.insert(id);
        let session = &mut self.clients.at(id).session;
        let tracking = !tracker.is_broadcast();
        session.tracking = Some(Box::new(tracker));
        session.set_wishes(Wishes { tracking, ..session.wishes() });
        self.look_at_interest();
    }

    /// A client tracks no longer. What is remembered for it stays: if it begins again, it hears of that.
    pub fn stop_tracking(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let Some(tracker) = client.session.tracking.take() else { return };
        client.session.set_wishes(Wishes { tracking: false, ..client.session.wishes() });
        if let Mode::Broadcast(prefixes) = &tracker.mode {
            prefixes.iter().for_each(|prefix| self.tracking.prefixes.remove(prefix, id));
        }
        self.tracking.trackers.remove(&id);
        self.look_at_interest();
    }

    /// A client goes. What is remembered for it is forgotten when the key changes, or with the last who tracks.
    pub fn forget_tracker(&mut self, id: ClientId) {
        if !self.tracking.is_used() {
            return;
        }
        self.stop_tracking(id);
        if self.tracking.trackers.is_empty() {
            self.tracking.table.clear();
            self.look_at_interest();
        }
    }

    /// What CLIENT CACHING said holds for one command, or one transaction; CLIENT commands between do not count.
    pub fn end_caching_choice(&mut self, id: ClientId, command: Option<&Command>) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let goes_on = client.session.multi.is_some()
            || client.session.blocked.is_some()
            || command.is_some_and(|command| matches!(command.handler, Handler::Node(Run::Client)));
        if let Some(tracker) = &mut client.session.tracking
            && !goes_on
        {
            tracker.caching_said = false;
        }
    }
}
