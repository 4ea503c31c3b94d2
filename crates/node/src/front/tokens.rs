//! Tokens of the poll: those that are no client ids.

/// What wakes the loop.
pub const TOKEN_WAKER: u64 = u64::MAX;
/// The link to the master.
pub const TOKEN_MASTER: u64 = u64::MAX - 1;
/// The second connection to the master.
pub const TOKEN_RDB_CHANNEL: u64 = u64::MAX - 2;
/// The first listening socket; the others have the numbers below.
pub const TOKEN_LISTENER_LAST: u64 = u64::MAX - 16;

/// The token of the poll for a listening socket.
pub fn listener_token(index: usize) -> u64 {
    TOKEN_LISTENER_LAST - index as u64
}
