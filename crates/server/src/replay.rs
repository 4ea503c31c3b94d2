//! Replaying an append-only file: its commands are executed as a master's would be, by a pseudo client that nobody answers.

use rivulet_commands::spec::Handler;
use rivulet_resp::decode::Limits;
use rivulet_resp::{Batch, Decoder};

use crate::clients::{ClientId, Kind};
use crate::execute::BATCH_COMMANDS;
use crate::node::Node;

impl Node {
    /// The pseudo client that replays; it is made when it is first needed.
    fn replayer(&mut self) -> ClientId {
        if let Some(id) = self.persistence.replayer {
            return id;
        }
        let now = self.now_ms();
        let client = self.clients.add(None, now);
        client.kind = Kind::Master;
        client.authenticated = true;
        self.persistence.replayer = Some(client.id);
        client.id
    }

    /// A file begins: the first database is selected, and what an earlier file left open is dropped.
    pub fn replay_file_begins(&mut self) {
        if let Some(client) = self.persistence.replayer.and_then(|id| self.clients.get_mut(id)) {
            client.multi = None;
            client.db = 0;
        }
    }

    /// All is replayed. Says which database was selected last, if anything was replayed.
    pub fn replay_ends(&mut self) -> Option<usize> {
        let id = self.persistence.replayer.take()?;
        let db = self.clients.get(id).map(|client| client.db);
        self.free_client(id);
        self.unit.clear();
        db
    }

    /// Executes whole commands.
    pub fn replay(&mut self, bytes: &[u8]) -> Result<(), String> {
        let id = self.replayer();
        let mut decoder = Decoder::default();
        let mut batch = std::mem::take(&mut self.batch);
        let result = self.replay_with(id, bytes, &mut decoder, &mut batch);
        self.batch = batch;
        result
    }

    fn replay_with(
        &mut self,
        id: ClientId,
        bytes: &[u8],
        decoder: &mut Decoder,
        batch: &mut Batch,
    ) -> Result<(), String> {
        let limits = Limits { bulk_len_max: u64::MAX, authenticated: true };
        let mut done = 0;
        while done < bytes.len() {
            batch.clear();
            let rest = &bytes[done..];
            let decoded = decoder.decode(rest, batch, BATCH_COMMANDS, limits);
            if batch.is_empty() {
                return Err(decoded.err().map_or_else(|| "a command is not whole".into(), |e| e.to_string()));
            }
            let looked_up = self.look_up(id, batch, rest);
            for i in 0..batch.len() {
                let args = batch.args(i, rest);
                let Some(command) = looked_up.commands[i] else {
                    return Err(format!("Unknown command '{}'", String::from_utf8_lossy(args.at(0))));
                };
                let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
                match command.handler {
                    // Nothing stands against what was executed before, and nobody counts it.
                    Handler::Data(_) if client.multi.is_none() && command.arity_fits(args.len()) => {
                        self.replay_one(id, command, args, looked_up.hints[i]);
                    }
                    _ => self.execute(id, Some(command), args, looked_up.hints[i]),
                }
            }
            done += decoder.consumed();
            decoder.rebase();
        }
        Ok(())
    }
}
