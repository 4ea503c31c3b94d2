//! Frees what is big on a thread of its own, so that dropping a million elements stops nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rivulet_host::sync::{Sender, channel};
use rivulet_keyspace::Trash;

use crate::helpers;

/// The thread that frees.
pub struct Reaper {
    to: Sender<Trash>,
    pending: Arc<AtomicU64>,
    freed: Arc<AtomicU64>,
}

impl Reaper {
    pub fn start() -> Reaper {
        let (to, from) = channel::<Trash>();
        let (pending, freed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counters = (pending.clone(), freed.clone());
        helpers::start("reaper", move || {
            for trash in from {
                drop(trash);
                counters.0.fetch_sub(1, Ordering::Relaxed);
                counters.1.fetch_add(1, Ordering::Relaxed);
            }
        });
        Reaper { to, pending, freed }
    }

    /// One without a thread: what it is given is freed at once.
    pub fn none() -> Reaper {
        Reaper { to: channel().0, pending: Arc::default(), freed: Arc::default() }
    }

    pub fn free(&self, trash: Trash) {
        self.pending.fetch_add(1, Ordering::Relaxed);
        // The thread ends with this process only.
        let _ = self.to.send(trash);
    }

    /// Objects that wait to be freed.
    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Objects that were freed.
    pub fn freed(&self) -> u64 {
        self.freed.load(Ordering::Relaxed)
    }

    pub fn reset_freed(&self) {
        self.freed.store(0, Ordering::Relaxed);
    }
}
