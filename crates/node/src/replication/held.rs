//! What is held for replicas that take it slowly: the stream beyond what the backlog keeps in any case, and full syncs on disk.
//!
//! A slow replica is not cut off for its slowness: it is sent what it needs from the disk. But all of them together may hold no more than
//! `repl-hold-limit`, and nothing while the disk is full. Then the slowest goes, and what only it held is given back.

use rivulet_engine::client_id::ClientId;
use rivulet_replication::master::Slowest;
use rustix::io::Errno;

use crate::log;
use crate::node::Node;
use crate::persist::payload::{Payload, PayloadCursor};
use crate::system::os_error;

/// Without a limit that is set, and with little data, at least so much may be held where `client-output-buffer-limit` says nothing either.
const LIMIT_MIN: u64 = 256 << 20;

/// Whether that is said where a disk has no room.
fn is_full(error: &str) -> bool {
    [Errno::NOSPC, Errno::DQUOT].iter().any(|errno| os_error(&(*errno).into()) == error)
}

impl Node {
    /// Bytes that are held for replicas: of the stream, and of full syncs. What is there without them costs nothing, however far back it goes: a
    /// replica that may go on from there is not cut off for it.
    pub fn held_for_replicas(&self) -> (u64, u64) {
        let log = &self.replication.log;
        let window = log.end_offset().saturating_sub(log.size());
        let on_disk = self.persist.log.files.kept_from(self.config.repl_backlog_disk_size);
        let kept_from = on_disk.filter(|_| self.goes_to_disk()).map_or(window, |from| from.min(window));
        let stream = log.held_from().map_or(0, |from| kept_from.saturating_sub(from));
        (stream, self.persist.saving.payloads().map(Payload::spilled_bytes).sum())
    }

    /// What leaves the memory goes to disk. Files that only serve who stands in them have all that follows them held in memory.
    pub(super) fn goes_to_disk(&self) -> bool {
        self.replication.log.is_on_disk() && self.persist.log.files.is_open()
    }

    /// `repl-hold-limit`. By default it is what the data take in memory: a replica for which more is written during its full sync than there are
    /// data falls behind faster than it is sent them, and never catches up.
    pub fn hold_limit(&self) -> u64 {
        match self.config.repl_hold_limit {
            0 => {
                let hard = Some(self.config.client_output_buffer_limit[1].0).filter(|hard| *hard > 0);
                // Where there is no disk, what is held is in memory itself.
                let data = rivulet_memory::used().saturating_sub(self.replication.log.memory_bytes());
                hard.unwrap_or(LIMIT_MIN).max(data as u64)
            }
            limit => limit,
        }
    }

    /// Cuts off the slowest replica when too much is held. The next one is looked for when this one is gone and has given back what it held.
    pub(super) fn check_held(&mut self, slowest: Option<Slowest>) {
        let (stream, spilled) = self.held_for_replicas();
        let held = stream + spilled;
        if held == 0 {
            return;
        }
        let limit = self.hold_limit();
        let full = self.persist.log.failure().filter(|error| is_full(error));
        if held <= limit && full.is_none() {
            return;
        }
        let why = match full {
            Some(error) if held <= limit => format!("the disk takes no more ({error}), and {held} bytes are held"),
            _ => format!("{held} bytes are held, more than repl-hold-limit ({limit})"),
        };
        let victim = if spilled > stream { self.slowest_of_payload() } else { None };
        match victim.map(Some).or(slowest.filter(|_| stream > 0).map(|slowest| slowest.replica)) {
            Some(Some(id)) => self.cut_off_slowest(id, &why),
            Some(None) => {
                log::warning!("A replica that is to ask for the stream is not waited for: {why} for replicas.");
                let end = self.replication.log.held_from().unwrap_or(0);
                self.replication.master.forget_promises_to(end);
                self.replication.hold_changed = true;
            }
            None => {}
        }
    }

    /// The replica that is furthest behind in the payload with the largest file.
    fn slowest_of_payload(&self) -> Option<ClientId> {
        let (payload, receivers) =
            self.persist.saving.transfers().max_by_key(|(payload, _)| payload.spilled_bytes())?;
        let cursor =
            |id: &ClientId| self.clients.get(*id)?.feed.payload.as_ref().filter(|c| c.of() == Some(payload.mark));
        let behind = receivers.iter().filter_map(|id| Some((*id, cursor(id).and_then(PayloadCursor::offset)?)));
        behind.min_by_key(|(_, offset)| *offset).map(|(id, _)| id)
    }

    fn cut_off_slowest(&mut self, id: ClientId, why: &str) {
        if self.clients.get(id).is_none_or(|client| client.connection.closing) {
            return;
        }
        let now = self.now_ms();
        let Some(session) = self.replication.master.get(id) else { return };
        let text = format!("{why} for replicas, of which this is the slowest");
        log::warning!("Disconnecting replica {}: {text}.", session.name());
        self.replication.observed.syncs.replica_gone(id, &text, now);
        self.replication.cut_off.by_hold_limit += 1;
        self.clients.close_soon(id);
    }
}
