//! What a client that tracks is told, and who is told it.

use crate::front::client_id::ClientId;
use crate::front::clients::Kind;
use crate::node::Node;

/// The channel on which a client that speaks RESP2 hears what is redirected to it.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// What is no longer as it was.
pub enum Told<'a> {
    Key(&'a [u8]),
    /// Several keys, as an array of the protocol.
    Keys(&'a [u8]),
    /// Everything.
    All,
}

impl Node {
    /// Tells a client that tracks, or whom it has named in its place.
    pub(super) fn tell_tracker(&mut self, id: ClientId, told: &Told<'_>) {
        let Some((receiver, is_redirected)) = self.receiver_of(id) else { return };
        let Some(client) = self.clients.get(receiver) else { return };
        let (is_resp3, listens) = (client.session.resp3, is_redirected && client.kind == Kind::Pubsub);
        // Whoever speaks RESP2 can only be told what it listens to.
        if !is_resp3 && !listens {
            return;
        }
        self.push_to(receiver, |push| {
            if is_resp3 {
                push.push(2);
                push.bulk(b"invalidate");
            } else {
                push.push(3);
                push.bulk(b"message");
                push.bulk(CHANNEL);
            }
            match told {
                Told::Key(key) => {
                    push.array(1);
                    push.bulk(key);
                }
                Told::Keys(keys) => push.raw(keys),
                Told::All => push.null(),
            }
        });
    }

    /// Who gets a tracker's messages, and whether that is another one; nobody if that one has gone.
    fn receiver_of(&mut self, id: ClientId) -> Option<(ClientId, bool)> {
        let tracker = self.clients.get(id)?.session.tracking.as_deref()?;
        let Some(other) = tracker.redirect else { return Some((id, false)) };
        if self.clients.get(other).is_some() {
            return Some((other, true));
        }
        self.redirect_is_broken(id, other);
        None
    }

    /// A tracker's messages went to a client that has gone: it is told so each time that there is something to tell.
    fn redirect_is_broken(&mut self, id: ClientId, other: ClientId) {
        let session = &mut self.clients.at(id).session;
        if let Some(tracker) = &mut session.tracking {
            tracker.is_redirect_broken = true;
        }
        if session.resp3 {
            self.push_to(id, |push| {
                push.push(2);
                push.bulk(b"tracking-redir-broken");
                push.int(other as i64);
            });
        }
    }
}
