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

/// How many scoped threads are worth having, at most so many, for work that can be divided: as many as there are cores, and none in a simulation.
pub fn scoped_max(max: usize) -> usize {
    if world::is_simulated() { 0 } else { std::thread::available_parallelism().map_or(1, |cores| cores.get().min(max)) }
}
