//! What a client that tracks is told goes where its replies go.

use rivulet_engine::client_id::ClientId;
use rivulet_engine::tracking::message::{Receiver, Told, receiver};
use rivulet_memory as memory;

use crate::node::Node;

impl Node {
    /// Tells a client that tracks, or whom it has named in its place.
    pub(super) fn tell_tracker(&mut self, id: ClientId, told: &Told<'_>) {
        match receiver(&mut self.clients, id) {
            Receiver::Nobody | Receiver::Gone { is_told: false, .. } => {}
            Receiver::Client { id, is_resp3 } => {
                let used = memory::used();
                self.push_to(id, |push| told.write(push, is_resp3));
                self.engine.tracking.note_unsent(memory::used().saturating_sub(used));
            }
            Receiver::Gone { other, is_told: true } => {
                self.push_to(id, |push| {
                    push.push(2);
                    push.bulk(b"tracking-redir-broken");
                    push.int(other as i64);
                });
            }
        }
    }
}
