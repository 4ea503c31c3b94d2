//! The front: the poll, the sockets that listen, and the buffers that all clients share.

pub mod accept;
pub mod client_eviction;
pub mod clients;
pub mod connection;
pub mod descriptors;
pub mod handshakes;
pub mod held;
pub mod hold;
pub mod listeners;
pub mod output;
pub mod page;
pub mod reading;
pub mod tls;
pub mod tokens;
pub mod unauthenticated;
pub mod writing;

use rivulet_engine::client_id::ClientId;
use rivulet_net::{Poll, TlsContext, Visitors, Waker};
use rivulet_resp::Batch;

use crate::front::accept::Accepting;
use crate::front::handshakes::Handshakes;
use crate::front::held::Held;
use crate::front::listeners::Listening;
use crate::lifecycle::signals::Signals;

pub struct Front {
    pub poll: Poll,
    pub waker: Waker,
    pub signals: Signals,
    pub listeners: Vec<Listening>,
    pub accepting: Accepting,
    /// What connections with TLS begin with, once it was asked for.
    pub tls: Option<TlsContext>,
    pub handshakes: Handshakes,
    /// Whose replies wait.
    pub held: Held,
    /// Clients whose streams have something to tell though their sockets may be silent.
    pub unread: Vec<ClientId>,
    /// Connections of the page that wait to be taken in, if there is a page.
    pub visitors: Option<Visitors>,
    /// Taken out while a batch runs, to be used again.
    pub batch: Batch,
    pub spare_input: Vec<u8>,
    /// When the log was told last of somebody who speaks HTTP.
    pub attack_told_ms: Option<u64>,
}

impl Front {
    /// # Errors
    /// Signals can't be caught.
    pub fn new(poll: Poll, waker: Waker) -> std::io::Result<Front> {
        Ok(Front {
            signals: Signals::install(&waker)?,
            poll,
            waker,
            listeners: Vec::new(),
            accepting: Accepting::default(),
            tls: None,
            handshakes: Handshakes::default(),
            held: Held::default(),
            unread: Vec::new(),
            visitors: None,
            batch: Batch::default(),
            spare_input: Vec::new(),
            attack_told_ms: None,
        })
    }
}
