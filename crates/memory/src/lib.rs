//! The allocator, and how much memory is in use.
//!
//! The allocator is jemalloc with size classes 8 bytes apart, so its default alignment is 8: whoever needs more must say so, which the stock
//! wrapper does not do. What is in use is the sum of what each thread has allocated less what it has freed, counters that the
//! allocator keeps anyway.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_char, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use rivulet_host::world;
use tikv_jemalloc_sys as je;

/// Bytes of a page, as Linux counts resident memory: 4 KiB, on ARM64 also 16 or 64.
pub fn page_bytes() -> usize {
    rustix::param::page_size()
}

struct Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// What the allocator reads when it starts. Large collections are made of blocks of 4 KiB; it would keep 128 bytes of its own for each if
/// it did not get several at a time: eight of its pages, or one where that has 64 KiB.
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_SETTINGS: Settings =
    Settings(if LARGE_PAGES { c"slab_sizes:4096-4096:1" } else { c"slab_sizes:4096-4096:8" }.as_ptr());

/// The allocator is built for all page sizes that the architecture has.
const LARGE_PAGES: bool = cfg!(target_arch = "aarch64");

/// A pointer to a text that is never changed.
#[repr(transparent)]
struct Settings(*const c_char);

// SAFETY: the text is constant.
unsafe impl Sync for Settings {}

/// The alignment that every allocation has.
const QUANTUM: usize = 8;

fn flags(layout: Layout) -> i32 {
    if layout.align() <= QUANTUM { 0 } else { layout.align().trailing_zeros() as i32 }
}

// SAFETY: each function hands its layout to jemalloc's call for it; the flags carry every alignment above the quantum.
unsafe impl GlobalAlloc for Jemalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout has a size.
        unsafe {
            match flags(layout) {
                // The same with a shorter way.
                0 => je::malloc(layout.size()).cast(),
                flags => je::mallocx(layout.size(), flags).cast(),
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout has a size.
        unsafe { je::mallocx(layout.size(), flags(layout) | je::MALLOCX_ZERO).cast() }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer was allocated here with this layout.
        unsafe { je::sdallocx(pointer.cast(), layout.size(), flags(layout)) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as for `dealloc`; the new size is not 0.
        unsafe { je::rallocx(pointer.cast(), new_size, flags(layout)).cast() }
    }
}

/// Reads one of the allocator's values.
fn read<T: Copy + Default>(name: &'static [u8]) -> Option<T> {
    let mut value = T::default();
    let mut len = size_of::<T>();
    // SAFETY: the name ends with a NUL, and the value has the length that is passed.
    let failed = unsafe {
        je::mallctl(
            name.as_ptr().cast::<c_char>(),
            (&raw mut value).cast::<c_void>(),
            &mut len,
            std::ptr::null_mut(),
            0,
        )
    };
    (failed == 0 && len == size_of::<T>()).then_some(value)
}

/// Where a thread's counters lie.
struct Counters {
    allocated: *const u64,
    freed: *const u64,
}

// SAFETY: the counters are only read, and only while their thread is registered.
unsafe impl Send for Counters {}

static THREADS: Mutex<Vec<Counters>> = Mutex::new(Vec::new());
/// Balance of the threads that have ended.
static ENDED: AtomicI64 = AtomicI64::new(0);

/// Counts the present thread's memory as long as this lives. Every long-lived thread holds one.
pub struct Counted(*const u64);

impl Counted {
    pub fn register() -> Counted {
        if world::is_simulated() {
            // The simulation counts its processes' memory itself.
            return Counted(std::ptr::null());
        }
        let allocated = read::<usize>(b"thread.allocatedp\0").unwrap_or(0) as *const u64;
        let freed = read::<usize>(b"thread.deallocatedp\0").unwrap_or(0) as *const u64;
        if !allocated.is_null() && !freed.is_null() {
            THREADS.lock().unwrap_or_else(|e| e.into_inner()).push(Counters { allocated, freed });
        }
        Counted(allocated)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut threads = THREADS.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(i) = threads.iter().position(|c| c.allocated == self.0) {
            ENDED.fetch_add(balance(&threads.swap_remove(i)), Ordering::Relaxed);
        }
    }
}

fn balance(counters: &Counters) -> i64 {
    // SAFETY: the thread is registered, so its counters are there. A torn read can't happen: they are aligned words.
    unsafe { counters.allocated.read_volatile().wrapping_sub(counters.freed.read_volatile()) as i64 }
}

/// What the calling thread has allocated less what it has freed, in bytes.
pub fn balance_of_thread() -> i64 {
    thread_local! {
        static OWN: Counters = Counters {
            allocated: read::<usize>(b"thread.allocatedp\0").unwrap_or(0) as *const u64,
            freed: read::<usize>(b"thread.deallocatedp\0").unwrap_or(0) as *const u64,
        };
    }
    OWN.with(|own| if own.allocated.is_null() || own.freed.is_null() { 0 } else { balance(own) })
}

/// Nobody else counts while this lives: for a fork, whose child must be able to.
pub fn hold() -> impl Drop {
    THREADS.lock().unwrap_or_else(|e| e.into_inner())
}

/// Bytes allocated and not freed.
pub fn used() -> usize {
    if let Some(used) = world::with(|world| world.memory_used()) {
        return used;
    }
    let threads = THREADS.lock().unwrap_or_else(|e| e.into_inner());
    let total = threads.iter().map(balance).sum::<i64>() + ENDED.load(Ordering::Relaxed);
    let used = usize::try_from(total).unwrap_or(0);
    PEAK.fetch_max(used, Ordering::Relaxed);
    used
}

static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The most that [`used`] has answered.
pub fn peak() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// Makes [`peak`] start again from what is in use now.
pub fn reset_peak() {
    PEAK.store(0, Ordering::Relaxed);
    used();
}

/// What the allocator says of itself, in bytes.
#[derive(Default, Clone, Copy)]
pub struct AllocatorStats {
    pub allocated: usize,
    pub active: usize,
    pub resident: usize,
}

pub fn allocator_stats() -> AllocatorStats {
    let mut epoch = 1u64;
    let mut len = size_of::<u64>();
    // SAFETY: the name ends with a NUL, and the epoch is 8 bytes long.
    unsafe {
        je::mallctl(c"epoch".as_ptr(), (&raw mut epoch).cast(), &mut len, (&raw mut epoch).cast(), size_of::<u64>());
    }
    AllocatorStats {
        allocated: read(b"stats.allocated\0").unwrap_or(0),
        active: read(b"stats.active\0").unwrap_or(0),
        resident: read(b"stats.resident\0").unwrap_or(0),
    }
}

/// A thread of the allocator gives pages back that were not used for ten seconds, also while nothing is allocated (`jemalloc-bg-thread`); without it those who
/// allocate and free do that now and then. Answers whether it is so: an allocator that was built without such a thread (in a static program) refuses.
pub fn set_background_thread(mut on: bool) -> bool {
    if world::with(|_| ()).is_some() {
        return !on;
    }
    // SAFETY: the name ends with a NUL, and the value is the byte that it asks for.
    let failed = unsafe {
        let (no, none) = (std::ptr::null_mut(), std::ptr::null_mut());
        je::mallctl(c"background_thread".as_ptr(), no, none, (&raw mut on).cast(), size_of::<bool>())
    };
    failed == 0
}

/// Gives unused pages back to the system (MEMORY PURGE).
pub fn purge() {
    // 4096 is the allocator's number for "all arenas".
    // SAFETY: a name that ends with a NUL and no values.
    unsafe {
        je::mallctl(c"arena.4096.purge".as_ptr(), std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut(), 0);
    }
}

/// Brings the program's own pages in, so that the first client that needs a part of it does not wait for the disk.
pub fn fault_in_program() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    let own = std::env::current_exe().ok().map(|path| path.to_string_lossy().into_owned());
    for line in maps.lines() {
        // start-end mode offset device inode path
        let mut words = line.split_whitespace();
        let (Some(range), Some(mode), path) = (words.next(), words.next(), words.nth(3)) else { continue };
        if !mode.starts_with("r-") || path.is_none() || path != own.as_deref() {
            continue;
        }
        let number = |text: &str| usize::from_str_radix(text, 16).ok();
        let Some((start, end)) = range.split_once('-').and_then(|(start, end)| number(start).zip(number(end))) else {
            continue;
        };
        // SAFETY: the range is a mapping of this process that nobody takes away, and reading its pages in changes none of them.
        let populated =
            unsafe { rustix::mm::madvise(start as *mut c_void, end - start, rustix::mm::Advice::LinuxPopulateRead) };
        if populated.is_err() {
            // An older kernel does not know it; the pages come when they are needed.
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_collections_come_several_at_a_time() {
        let bins: u32 = read(b"arenas.nbins\0").expect("there are size classes");
        let bin_of = |bytes: usize| {
            let size = |bin: &u32| read::<usize>(format!("arenas.bin.{bin}.size\0").leak().as_bytes());
            (0..bins).find(|bin| size(bin) == Some(bytes)).expect("it is a size class")
        };
        let name: &'static [u8] = format!("arenas.bin.{}.nregs\0", bin_of(4096)).leak().as_bytes();
        assert_eq!(read::<u32>(name), Some(if LARGE_PAGES { 16 } else { 8 }));
    }

    #[test]
    #[cfg(not(target_env = "musl"))]
    fn the_allocators_thread_is_started_and_ended() {
        assert!(set_background_thread(true));
        assert_eq!(read::<bool>(b"background_thread\0"), Some(true));
        assert!(set_background_thread(false));
        assert_eq!(read::<bool>(b"background_thread\0"), Some(false));
    }

    #[test]
    fn alignment_above_the_quantum_is_kept() {
        #[repr(align(64))]
        struct Line(#[expect(dead_code, reason = "only its place matters")] [u8; 64]);
        for _ in 0..100 {
            let (line, wide) = (Box::new(Line([0; 64])), Box::new(1u128));
            assert_eq!((&raw const *line as usize) % 64, 0);
            assert_eq!((&raw const *wide as usize) % 16, 0);
        }
    }

    /// So large that what the threads of other tests take and free meanwhile does not matter.
    const LARGE: usize = 256 << 20;

    fn large() -> Vec<u8> {
        std::hint::black_box(Vec::with_capacity(LARGE))
    }

    #[test]
    fn what_a_thread_allocates_is_counted_and_its_end_too() {
        let counted = Counted::register();
        let before = used();
        let block = large();
        assert!(used() >= before + LARGE / 2);
        drop(block);
        let kept = std::thread::spawn(|| {
            let _counted = Counted::register();
            large()
        })
        .join()
        .expect("the thread ends well");
        assert!(used() >= before + LARGE / 2);
        drop(kept);
        assert!(used() < before + LARGE / 2);
        drop(counted);
    }
}
