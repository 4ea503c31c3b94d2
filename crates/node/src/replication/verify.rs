//! REPLICATION VERIFY: the proof that replicas are equal, as the server drives it.
//!
//! What is asked and compared is in `rivulet_replication::verify`; here a digest is begun exactly at a marker, reports go up the links, and the
//! client that asked waits for the answer.

mod driver;

use rivulet_engine::client_id::ClientId;
use rivulet_host::sync::Receiver;
use rivulet_replication::verify::{Findings, Token, Verification};

/// What goes on of verifications at this node.
#[derive(Default)]
pub struct Verify {
    /// A client of this master waits for it.
    asked: Option<Asked>,
    /// A digest that is being made, here or for the master.
    digest: Option<Digest>,
}

struct Asked {
    client: ClientId,
    verification: Verification,
    /// Where the first marker stands.
    offset: u64,
}

struct Digest {
    token: Token,
    offset: u64,
    found: Receiver<Findings>,
}
