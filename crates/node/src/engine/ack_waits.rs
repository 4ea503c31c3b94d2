//! WAIT and WAITAOF on this node: how far it and its replicas are, and who is answered.

use rivulet_engine::ack_waits::Progress;
use rivulet_engine::asker::Asker;
use rivulet_engine::blocked::{Blocked, BlockedOn, Wish};
use rivulet_engine::client_id::ClientId;

use crate::node::Node;

impl Node {
    fn progress(&self) -> Progress {
        let (acked, fsynced) = self.replication.master.acked_offsets();
        Progress::new(acked, fsynced, self.fsynced_offset())
    }

    /// Whether the offset is where it is wished to be.
    pub fn is_where_wished(&self, wish: Wish, offset: u64) -> bool {
        self.progress().reach(wish).is_some_and(|reach| reach >= offset)
    }

    /// Clients in WAIT and WAITAOF whose offset is where they want it.
    pub fn serve_acks(&mut self) {
        if self.engine.blocking.acks.is_empty() {
            return;
        }
        let progress = self.progress();
        for (wish, offset, id) in self.engine.blocking.acks.served(&progress) {
            let waits = self.clients.get(id).and_then(|c| c.session.blocked.as_deref());
            let Some(Blocked { reason: BlockedOn::Acks { .. }, .. }) = waits else { continue };
            self.unblock_silently(id);
            self.write_acks(id, wish, offset, &progress);
        }
    }

    /// Answers one who has waited: where its offset is.
    pub fn reply_acks(&mut self, id: ClientId, wish: Wish, offset: u64) {
        let progress = self.progress();
        self.write_acks(id, wish, offset, &progress);
    }

    /// Answers one who does not wait.
    pub fn tell_acks(&self, by: &mut Asker<'_>, wish: Wish, offset: u64) {
        self.progress().tell(&mut by.reply, wish, offset);
    }

    fn write_acks(&mut self, id: ClientId, wish: Wish, offset: u64, progress: &Progress) {
        self.reply_late(id, |reply| progress.tell(reply, wish, offset));
    }
}
