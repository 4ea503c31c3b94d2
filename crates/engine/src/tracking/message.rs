//! What a client that tracks is told, and who is told it.

use rivulet_resp::Reply;

use crate::client_id::ClientId;
use crate::session::{Kind, Session};
use crate::sessions::Sessions;

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

impl Told<'_> {
    /// Writes the message, as a push or on the channel.
    pub fn write(&self, push: &mut Reply<'_>, is_resp3: bool) {
        if is_resp3 {
            push.push(2);
            push.bulk(b"invalidate");
        } else {
            push.push(3);
            push.bulk(b"message");
            push.bulk(CHANNEL);
        }
        match self {
            Told::Key(key) => {
                push.array(1);
                push.bulk(key);
            }
            Told::Keys(keys) => push.raw(keys),
            Told::All => push.null(),
        }
    }
}

/// Who gets a tracker's messages.
pub enum Receiver {
    /// This client.
    Client { id: ClientId, is_resp3: bool },
    /// Nobody: it speaks RESP2 and does not listen.
    Nobody,
    /// Nobody: the messages went to a client that has gone. The tracker is told so each time that there is something to tell, if it speaks RESP3.
    Gone { other: ClientId, is_told: bool },
}

/// Who gets the messages of a client that tracks.
pub fn receiver(sessions: &mut impl Sessions, id: ClientId) -> Receiver {
    let Some(tracker) = sessions.session(id).and_then(|session| session.tracking.as_deref()) else {
        return Receiver::Nobody;
    };
    let Some(other) = tracker.redirect else {
        // Whoever speaks RESP2 can only be told what it listens to.
        let is_resp3 = sessions.session(id).is_some_and(|session| session.resp3);
        return if is_resp3 { Receiver::Client { id, is_resp3 } } else { Receiver::Nobody };
    };
    match sessions.session(other) {
        Some(session) if session.resp3 || session.kind == Kind::Pubsub => {
            Receiver::Client { id: other, is_resp3: session.resp3 }
        }
        Some(_) => Receiver::Nobody,
        None => Receiver::Gone { other, is_told: sessions.session_mut(id).is_some_and(note_broken) },
    }
}

/// Notes that the receiver has gone; answers whether the session can be told.
fn note_broken(session: &mut Session) -> bool {
    if let Some(tracker) = &mut session.tracking {
        tracker.is_redirect_broken = true;
    }
    session.resp3
}
