//! The machine that a node runs on: clocks, files, threads and the queues between them.
//!
//! All that the server asks of a machine, but for sockets (`rivulet-net`) and the allocator, it asks here, so that there is one place where another
//! machine can answer: with the feature `simulation` a thread may enter a [`world::World`], and whatever runs on that thread then sees its clock, its
//! disk and its network, and its threads are steps that the world takes in an order of its own. Same seed, same bytes.
//!
//! Without the feature nothing of this is left in the program: each function is the system's.
//!
//! The modules have the shapes of those of `std` that they stand for, so that code reads as if it used these.

pub mod child;
pub mod cycles;
pub mod fs;
pub mod random;
pub mod sync;
pub mod thread;
pub mod time;
pub mod world;
