//! A client's id.

/// Names a client for as long as the server runs.
pub type ClientId = u64;
