//! The Redis protocol: decoding of requests and encoding of replies, RESP2 and RESP3.
//!
//! Requests are decoded in batches without copying: a command is a range of the connection's buffer and a span for each argument. This crate
//! does no IO and knows no command.

pub mod args;
pub mod decode;
pub mod double;
pub mod encode;
pub mod inline;

pub use args::{Args, OwnedArgs};
pub use decode::{Batch, Decoder, ProtocolError};
pub use encode::{Mark, Reply, append_command};
