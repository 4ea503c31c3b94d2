//! Threads.

use std::io;

use crate::world;

/// Work for a thread.
pub type Work = Box<dyn FnOnce() + Send>;

/// Starts a thread that nobody waits for.
///
/// # Errors
/// The system has none to give; the work is lost.
pub fn spawn(name: &'static str, work: Work) -> io::Result<()> {
    match world::is_simulated() {
        true => {
            world::with(|world| world.spawn(name, work));
            Ok(())
        }
        false => std::thread::Builder::new().name(name.into()).spawn(work).map(|_| ()),
    }
}

/// How many threads can run at the same time; in a simulation one.
pub fn cores() -> usize {
    if world::is_simulated() { 1 } else { std::thread::available_parallelism().map_or(1, std::num::NonZero::get) }
}
