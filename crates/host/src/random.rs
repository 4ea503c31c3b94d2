//! Random bytes that nobody can guess.

use std::io;

use crate::world;

/// Fills `bytes`.
///
/// # Errors
/// The system has no source of them.
pub fn fill(bytes: &mut [u8]) -> io::Result<()> {
    match world::with(|world| world.fill_random(bytes)) {
        Some(()) => Ok(()),
        None => getrandom::fill(bytes).map_err(io::Error::other),
    }
}
