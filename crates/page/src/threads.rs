//! Threads that ask and wait. Their memory is counted as every thread's of this process: what one allocates another frees.

use std::cell::RefCell;
use std::io;

use rivulet_memory::Counted;

/// There may be one for each node, and nothing of what they do is large on the stack.
pub const STACK_BYTES: usize = 256 << 10;

thread_local! {
    static COUNTED: RefCell<Option<Counted>> = const { RefCell::new(None) };
}

/// Starts one.
///
/// # Errors
/// The system has none to give.
pub fn spawn(work: rivulet_topology::watcher::Work) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("page-watches".into()).stack_size(STACK_BYTES);
    let counted = move || {
        let _counted = Counted::register();
        work();
    };
    thread.spawn(counted).map(|_| ())
}

/// For the beginning and the end of a thread that somebody else starts.
pub fn begin_counting() {
    COUNTED.with(|counted| *counted.borrow_mut() = Some(Counted::register()));
}

pub fn end_counting() {
    COUNTED.with(|counted| counted.borrow_mut().take());
}
