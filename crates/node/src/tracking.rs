//! Clients that keep copies of values (CLIENT TRACKING), on this node: what is remembered for whom, and when they are told.
//!
//! What changed is heard at the place where watches hear it ([`Node::keys_changed`]). Messages go where replies go, and count there. Tables and rules are
//! in `rivulet_engine::tracking`.

mod command;
mod messages;

use rivulet_commands::Command;
use rivulet_commands::effects::Touched;
use rivulet_engine::client_id::ClientId;
use rivulet_engine::tracking::message::Told;
use rivulet_engine::tracking::tracker::Tracker;
use rivulet_engine::tracking::{end_caching_choice, is_remembered};
use rivulet_resp::Args;

use crate::node::Node;

/// A client that reads makes room for its keys and for so many more.
const TRIM_AHEAD: usize = 100;
/// Keys that are forgotten between two turns when the table is to become smaller.
const TRIM_PER_TURN: usize = 1000;

impl Node {
    /// Whether somebody wants to hear which keys change is asked anew.
    pub fn look_at_interest(&mut self) {
        let engine = &mut self.engine;
        engine.note_touched =
            !engine.watched.is_empty() || engine.tracking.is_used() || !self.migrate.leaving.is_empty();
    }

    /// A client has run a command: if it tracks, the keys that it has read are remembered for it.
    #[inline]
    pub fn remember_keys(&mut self, id: ClientId, command: &'static Command, args: Args<'_>) {
        if self.clients.get(id).is_some_and(|client| is_remembered(&client.session, command)) {
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
        if self.clients.get(id).is_some_and(|client| is_remembered(&client.session, command)) {
            self.remember(id, script, declared);
            self.remember(id, command, args);
        }
    }

    fn remember(&mut self, id: ClientId, command: &'static Command, args: Args<'_>) {
        let tracker = self.clients.get(id).and_then(|client| client.session.tracking.as_deref());
        if !tracker.is_some_and(Tracker::remembers) {
            return;
        }
        let added = self.engine.tracking.remember(&self.engine.keyspace, id, command, args);
        // So the table is never larger than its limit and the keys of one command.
        self.trim_table(added + TRIM_AHEAD);
    }

    /// Keys have changed: who watches or tracks them is told, and what is on its way to another server is no longer what it was.
    pub fn keys_changed(&mut self, touched: Vec<Touched>) {
        touched.iter().for_each(|touched| self.migrate.leaving.note_changed(touched.db, &touched.key));
        if self.engine.tracking.is_used() {
            touched.iter().for_each(|touched| self.invalidate(touched));
            self.release_pushes();
        }
        self.engine.watched.fail(&self.engine.keyspace, touched, &mut self.clients);
    }

    fn invalidate(&mut self, touched: &Touched) {
        let by = if touched.by_itself { 0 } else { self.engine.speaker.executing };
        // What a script changes is told to its own client as well, though it wants to hear of others only, as in Redis.
        let teller = if self.scripts.running.is_some() { 0 } else { by };
        let key = self.engine.keyspace.key(&touched.key);
        let Some(ids) = self.engine.tracking.take(key, teller) else { return };
        ids.iter().for_each(|id| self.tell_of_key(id, &touched.key, by));
        if self.engine.tracking.remembers_nothing() {
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
        if !self.engine.tracking.is_used() {
            return;
        }
        for id in self.engine.tracking.all() {
            self.tell_tracker(id, &Told::All);
        }
        self.engine.tracking.forget_keys();
        self.look_at_interest();
        self.release_pushes();
    }

    /// What is done once a turn, before its replies leave: who has named prefixes is told of what changed, and the table is kept within its limit.
    #[inline]
    pub fn look_after_tracking(&mut self) {
        // Of a script's unit nothing is seen before its end.
        if self.engine.tracking.wants_turns() && self.scripts.running.is_none() {
            self.broadcast_changes();
            self.trim_table(TRIM_PER_TURN);
            self.engine.tracking.free_some();
        }
    }

    fn broadcast_changes(&mut self) {
        for changes in self.engine.tracking.take_changes() {
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
            let keys_max = self.config.tracking_table_max_keys;
            let Some((key, ids)) = self.engine.tracking.take_surplus(keys_max, &mut self.engine.rng) else { break };
            ids.iter().for_each(|id| self.tell_of_key(id, &key, 0));
        }
        self.release_pushes();
    }

    /// A client tracks from now on, or tracks otherwise than before.
    fn start_tracking(&mut self, id: ClientId, tracker: Tracker) {
        self.engine.tracking.start(id, &mut self.clients.at(id).session, tracker);
        self.look_at_interest();
    }

    /// A client tracks no longer. What is remembered for it stays: if it begins again, it hears of that.
    pub fn stop_tracking(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if self.engine.tracking.stop(id, &mut client.session) {
            self.look_at_interest();
        }
    }

    /// A client goes. What is remembered for it is forgotten when the key changes, or with the last who tracks.
    pub fn forget_tracker(&mut self, id: ClientId) {
        if !self.engine.tracking.is_used() {
            return;
        }
        self.stop_tracking(id);
        if self.engine.tracking.has_no_trackers() {
            self.engine.tracking.forget_keys();
            self.look_at_interest();
        }
    }

    /// What CLIENT CACHING said holds for one command, or one transaction; CLIENT commands between do not count.
    pub fn end_caching_choice(&mut self, id: ClientId, command: Option<&Command>) {
        if let Some(client) = self.clients.get_mut(id) {
            end_caching_choice(&mut client.session, command);
        }
    }
}
