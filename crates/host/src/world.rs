//! A machine that is simulated.
//!
//! A thread enters one with [`enter`]; what it runs from then on is of that machine. The world runs the machine's threads as steps: each goes on until
//! it would wait, and says so with [`World::park`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A simulated machine.
pub trait World {
    /// Its wall clock, in Unix us.
    fn unix_us(&self) -> u64;
    /// Its own clock in us, which nobody sets.
    fn machine_us(&self) -> u64;
    /// The step that runs has nothing to do until what it awaits has happened on the machine, or, if a time is given, until then (us of the machine's
    /// clock). It may go on for no reason.
    fn park(&self, awaits: Awaits, until_us: Option<u64>);
    /// A thread has done something that others may wait for.
    fn note_progress(&self);
    fn spawn(&self, name: &'static str, work: crate::thread::Work);
    fn fill_random(&self, bytes: &mut [u8]);
    /// Bytes that the process has in use.
    fn memory_used(&self) -> usize;

    /// Bytes that the server's log is told.
    fn log(&self, line: &[u8]);

    // ---- files ----

    fn open(&self, path: &Path, how: &Open) -> io::Result<Box<dyn File>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    fn look_at(&self, path: &Path) -> io::Result<Metadata>;
    /// The names in a directory.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    fn canonical(&self, path: &Path) -> io::Result<PathBuf>;
    /// What is in a directory is durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    fn change_directory(&self, path: &Path) -> io::Result<()>;

    // ---- sockets ----

    /// A socket that listens.
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>>;
    /// Begins to connect: the stream becomes writable when that has ended, well or not.
    fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>>;
    /// What a socket is ready for. Nothing if it is closed.
    fn readiness(&self, socket: u64) -> Option<Readiness>;
}

/// What a socket is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Something is there to be read, or accepted.
    pub read: bool,
    /// It takes bytes.
    pub write: bool,
    /// Its connection has ended with an error: who watches it is told, whatever that one waits for.
    pub broken: bool,
}

/// What a step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// What other threads of the process do.
    Threads,
    /// That, and what happens to the machine's sockets.
    ThreadsAndSockets,
}

/// A connection of a simulated machine. It never waits.
pub trait Stream {
    /// Names it on its machine.
    fn socket(&self) -> u64;
    /// How many bytes can be read now.
    fn unread(&self) -> usize;
    /// How many bytes were read; nothing when none have come, and 0 at the end.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<Option<usize>>;
    /// How many bytes it takes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    fn take_error(&self) -> io::Result<()>;
    fn peer(&self) -> SocketAddr;
    fn local(&self) -> SocketAddr;
}

/// A socket of a simulated machine that listens.
pub trait Listener {
    /// Names it on its machine.
    fn socket(&self) -> u64;
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>>;
}

/// An open file of a simulated machine.
pub trait File: fmt::Debug + Send + Sync {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;
    /// As a store to a mapping of the file: it takes no time.
    fn store_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    fn look_at(&self) -> io::Result<Metadata>;
    /// What was written is durable.
    fn sync(&self) -> io::Result<()>;
    /// Nobody else may lock it; an error if somebody has.
    fn lock(&self) -> io::Result<()>;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    pub read: bool,
    pub write: bool,
    pub append: bool,
    pub truncate: bool,
    pub create: bool,
    pub create_new: bool,
}

/// What a file or a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub len: u64,
    pub device: u64,
    pub inode: u64,
    pub is_directory: bool,
}

#[cfg(feature = "simulation")]
mod entered {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::World;

    thread_local! {
        static WORLD: RefCell<Option<Rc<dyn World>>> = const { RefCell::new(None) };
    }

    /// What runs on this thread from now on is of this machine, or of the real one; answers what it was before.
    pub fn enter(world: Option<Rc<dyn World>>) -> Option<Rc<dyn World>> {
        WORLD.replace(world)
    }

    /// The machine that this thread is on, if that is a simulated one.
    pub fn current() -> Option<Rc<dyn World>> {
        WORLD.with_borrow(Clone::clone)
    }

    pub fn is_simulated() -> bool {
        WORLD.with_borrow(Option::is_some)
    }

    pub fn with<R>(ask: impl FnOnce(&dyn World) -> R) -> Option<R> {
        // The world may make another step run, which asks too: so nothing is borrowed meanwhile.
        let world = current()?;
        Some(ask(&*world))
    }
}

#[cfg(not(feature = "simulation"))]
mod entered {
    use super::World;

    #[inline(always)]
    pub fn is_simulated() -> bool {
        false
    }

    #[inline(always)]
    pub fn with<R>(_: impl FnOnce(&dyn World) -> R) -> Option<R> {
        None
    }
}

#[cfg(feature = "simulation")]
pub use entered::{current, enter};
pub use entered::{is_simulated, with};

/// See [`World::park`].
pub fn park(awaits: Awaits, until_us: Option<u64>) {
    with(|world| world.park(awaits, until_us));
}

/// Parks until the machine's clock shows `us`.
pub fn sleep_until(us: u64) {
    while with(|world| world.machine_us()).is_some_and(|now| now < us) {
        park(Awaits::Threads, Some(us));
    }
}

/// See [`World::note_progress`].
#[inline(always)]
pub fn note_progress() {
    with(|world| world.note_progress());
}
