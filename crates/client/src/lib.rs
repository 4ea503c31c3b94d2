//! A small blocking client for tools: it connects, says who it is, sends commands and reads replies.
//!
//! In order: [`Address`] and [`Target`] say whom to speak to, [`Connection`] speaks, [`Reply`] is what comes back, [`Payload`] what comes after PSYNC.
//! It keeps no pool, does not reconnect by itself, and waits in the calling thread; the server does not use it.

mod address;
mod connection;
mod decode;
mod error;
mod payload;
mod reply;
mod stream;

pub use address::{Address, Target, UriError};
pub use connection::{Connection, Login, Protocol, ReplyBounds, Timeouts};
pub use decode::ReplyDecoder;
pub use error::{ClientError, Failure};
pub use payload::Payload;
pub use reply::Reply;
pub use rivulet_net::{ClientTls, ClientTlsSettings, Credentials, TlsError};
pub use stream::system_authorities;
