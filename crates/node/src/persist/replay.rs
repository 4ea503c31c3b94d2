//! Replaying an append-only file: its commands are executed as a master's would be, by a pseudo client that nobody answers.

use rivulet_commands::spec::Handler;
use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::Kind;

use crate::node::Node;
use crate::persist::loading::Commands;

/// How many commands ahead a bucket, an entry and a value are asked for: far enough for the memory, near enough for a core's cache.
const AHEAD_MAX: usize = 24;
const ENTRY_AHEAD: usize = 14;
const VALUE_AHEAD: usize = 6;

impl Node {
    /// The pseudo client that replays; it is made when it is first needed.
    fn replayer(&mut self) -> ClientId {
        if let Some(id) = self.persist.loading.replayer {
            return id;
        }
        let now = self.now_ms();
        let client = self.clients.add(None, now);
        client.session.kind = Kind::Master;
        client.session.login = rivulet_engine::session::Login::superuser();
        self.persist.loading.replayer = Some(client.id);
        client.id
    }

    /// A file begins: the first database is selected, and what an earlier file left open is dropped.
    pub fn replay_file_begins(&mut self) {
        if let Some(client) = self.persist.loading.replayer.and_then(|id| self.clients.get_mut(id)) {
            client.session.multi = None;
            client.session.db = 0;
        }
    }

    /// All is replayed. Says which database was selected last, if anything was replayed.
    pub fn replay_ends(&mut self) -> Option<usize> {
        let id = self.persist.loading.replayer.take()?;
        let db = self.clients.get(id).map(|client| client.session.db);
        self.free_client(id);
        self.engine.unit.commands.clear();
        db
    }

    /// Executes commands.
    pub fn replay(&mut self, commands: &Commands) -> Result<(), String> {
        let id = self.replayer();
        for i in 0..AHEAD_MAX.min(commands.len()) {
            self.ask_ahead(id, |ahead| commands.key((i + ahead).checked_sub(AHEAD_MAX)?));
        }
        for i in 0..commands.len() {
            self.ask_ahead(id, |ahead| commands.key(i + ahead));
            let (args, hint) = (commands.args(i), commands.key(i));
            let Some(command) = commands.command(i) else {
                return Err(format!("Unknown command '{}'", String::from_utf8_lossy(args.at(0))));
            };
            let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
            match command.handler {
                // Nothing stands against what was executed before, and nobody counts it.
                Handler::Data(_) if client.session.multi.is_none() && command.arity_fits(args.len()) => {
                    self.replay_one(id, command, args, hint);
                }
                _ => self.execute(id, Some(command), args, hint),
            }
        }
        Ok(())
    }

    /// Asks the memory for what the commands need that come next: `key` gives the key of the one so many places ahead. The bucket is asked for
    /// first, then the entry that it names, then the value that this points to.
    #[inline]
    fn ask_ahead(&self, id: ClientId, key: impl Fn(usize) -> Option<(usize, u64)>) {
        let Some(client) = self.clients.get(id) else { return };
        let db = self.engine.keyspace.db(client.session.db);
        if let Some((_, hash)) = key(AHEAD_MAX) {
            db.prefetch_bucket(hash);
        }
        if let Some((_, hash)) = key(ENTRY_AHEAD) {
            db.prefetch_entry(hash);
        }
        if let Some((_, hash)) = key(VALUE_AHEAD) {
            db.prefetch_value(hash);
        }
    }
}
