//! A machine as its processes see it: clock, disk, sockets, threads.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::rc::Rc;

use corosensei::Yielder;
use fastrand::Rng;
use rivulet_host::thread::Work;
use rivulet_host::world::{self, Awaits, File, Metadata, Open, Readiness, World};

use crate::disk;
use crate::invariants::garbled;
use crate::memory::{self, outside};
use crate::network::{HostId, Network};

/// What all machines share.
pub struct Shared {
    /// The time that passes everywhere, in us. It begins at some moment, not at 0.
    pub now_us: Cell<u64>,
    pub network: RefCell<Network>,
    pub rng: RefCell<Rng>,
    /// What everything that was done comes to: two runs are the same if theirs is.
    trace: Cell<u64>,
    /// Who could not read its master's stream.
    pub garbled: Cell<Option<HostId>>,
    /// The servers' logs, and what happens to them, go to standard output.
    shows_logs: bool,
}

impl Shared {
    pub fn new(seed: u64, servers: usize, shows_logs: bool) -> Shared {
        Shared {
            now_us: Cell::new(1_700_000_000_000_000),
            network: RefCell::new(Network::new(seed ^ 0x6e65_7477, servers)),
            rng: RefCell::new(Rng::with_seed(seed)),
            trace: Cell::new(0),
            garbled: Cell::new(None),
            shows_logs,
        }
    }

    /// Something was done: two runs of one seed do the same.
    pub fn note(&self, what: &[u8]) {
        let mut trace = self.trace.get();
        let mut mix = |word: u64| trace = (trace.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        let (words, rest) = what.as_chunks();
        words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| mix(u64::from(*byte)));
        mix(self.now_us.get());
        self.trace.set(trace);
    }

    pub fn trace(&self) -> u64 {
        self.trace.get()
    }

    pub fn say(&self, line: impl FnOnce() -> String) {
        if self.shows_logs {
            outside(|| {
                let at = self.now_us.get() % 1_000_000_000;
                println!("{:4}.{:06} {}", at / 1_000_000, at % 1_000_000, line());
            });
        }
    }
}

/// A machine: what outlives its process.
pub struct Host {
    pub id: HostId,
    pub disk: disk::Handle,
    /// How often it has lost its power.
    pub power_losses: Cell<u64>,
    /// How far its wall clock is ahead.
    pub wall_ahead_us: Cell<i64>,
}

/// What a step says when it suspends itself.
#[derive(Clone, Copy, Debug)]
pub struct Parked {
    pub awaits: Awaits,
    /// It has nothing to do until then in any case.
    pub until_us: Option<u64>,
}

pub type Suspend = Yielder<(), Parked>;

thread_local! {
    /// Of the step that runs.
    static SUSPEND: Cell<Option<NonNull<Suspend>>> = const { Cell::new(None) };
}

/// Whose step runs on this thread from now on.
pub fn set_suspend(suspend: Option<NonNull<Suspend>>) {
    SUSPEND.set(suspend);
}

/// One in so many writes to a socket is a place where others have their turn first, and where the process may be killed.
const PREEMPTED: u32 = 24;

/// Others may have their turn here, in the middle of a turn of the event loop. Only where no lock is held: who waits for one is a step, too.
fn maybe_be_preempted(shared: &Shared) {
    let is_preempted = shared.rng.borrow_mut().u32(..PREEMPTED) == 0;
    if is_preempted && let Some(suspend) = SUSPEND.get() {
        let now_us = shared.now_us.get();
        // SAFETY: the pointer is of the step that runs, whose stack holds it.
        unsafe { suspend.as_ref() }.suspend(Parked { awaits: Awaits::Threads, until_us: Some(now_us) });
    }
}

/// So often a process may look at its sockets without waiting once. A loop that has nothing to do and does not wait is a fault: it keeps a processor busy.
const LOOKS_MAX: u64 = 1_000_000;

/// A process on a machine.
pub struct Process {
    pub shared: Rc<Shared>,
    pub host: Rc<Host>,
    /// Counts what threads of this process did that others may wait for.
    pub progress: Cell<u64>,
    /// Counts what happened to its sockets.
    pub arrivals: Cell<u64>,
    pub new_threads: RefCell<Vec<(&'static str, Work)>>,
    /// It was killed: what its steps still do while they are taken down counts for nothing.
    pub is_dead: Cell<bool>,
    /// How it has ended, if it has.
    pub status: Cell<Option<i32>>,
    /// Bytes that its steps have allocated and not freed.
    pub memory: Cell<i64>,
    /// What the thread had allocated when the present step began.
    pub memory_at_step: Cell<i64>,
    /// How often it has looked at a socket since its event loop last waited.
    looks: Cell<u64>,
    directory: RefCell<PathBuf>,
}

impl Process {
    pub fn new(shared: Rc<Shared>, host: Rc<Host>) -> Process {
        Process {
            shared,
            host,
            progress: Cell::new(0),
            arrivals: Cell::new(0),
            new_threads: RefCell::default(),
            is_dead: Cell::new(false),
            status: Cell::new(None),
            memory: Cell::new(0),
            memory_at_step: Cell::new(0),
            looks: Cell::new(0),
            directory: RefCell::new(PathBuf::from("/data")),
        }
    }

    /// Counts what has happened that a step may await.
    pub fn happened(&self, awaits: Awaits) -> u64 {
        match awaits {
            Awaits::Threads => self.progress.get(),
            Awaits::ThreadsAndSockets => self.progress.get() + self.arrivals.get(),
        }
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.directory.borrow().join(path)
    }

    fn check(&self) -> io::Result<()> {
        if self.is_dead.get() { Err(io::Error::other("the process is dead")) } else { Ok(()) }
    }
}

impl World for Process {
    fn unix_us(&self) -> u64 {
        self.machine_us().saturating_add_signed(self.host.wall_ahead_us.get())
    }

    fn machine_us(&self) -> u64 {
        // Who waits for a time by looking at the clock comes to it.
        let now = self.shared.now_us.get() + 1;
        self.shared.now_us.set(now);
        now
    }

    fn park(&self, awaits: Awaits, until_us: Option<u64>) {
        if self.is_dead.get() {
            return;
        }
        if matches!(awaits, Awaits::ThreadsAndSockets) {
            self.looks.set(0);
        }
        if let Some(suspend) = SUSPEND.get() {
            // SAFETY: the pointer is of the step that runs, whose stack holds it.
            unsafe { suspend.as_ref() }.suspend(Parked { awaits, until_us });
        }
    }

    fn note_progress(&self) {
        self.progress.set(self.progress.get() + 1);
    }

    fn spawn(&self, name: &'static str, work: Work) {
        self.new_threads.borrow_mut().push((name, work));
        self.note_progress();
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.shared.rng.borrow_mut().fill(bytes);
    }

    fn memory_used(&self) -> usize {
        let in_step = memory::of_processes() - self.memory_at_step.get();
        usize::try_from(self.memory.get() + in_step).unwrap_or(0)
    }

    fn log(&self, line: &[u8]) {
        if garbled::is_told(line) {
            self.shared.garbled.set(Some(self.host.id));
        }
        self.shared.say(|| format!("{} {}", self.host.id, String::from_utf8_lossy(line).trim_end()));
    }

    fn open(&self, path: &Path, how: &Open) -> io::Result<Box<dyn File>> {
        let path = self.path(path);
        if path.starts_with("/proc") {
            return Ok(Box::new(proc_file(&path, &self.host)?));
        }
        self.check()?;
        Ok(Box::new(self.host.disk.open(&path, how)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check()?;
        outside(|| self.host.disk.rename(&self.path(from), &self.path(to)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        outside(|| self.host.disk.remove(&self.path(path)))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        outside(|| self.host.disk.create_directory(&self.path(path)))
    }

    fn look_at(&self, path: &Path) -> io::Result<Metadata> {
        self.check()?;
        self.host.disk.look_at(&self.path(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.host.disk.list(&self.path(path))
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.look_at(path)?;
        Ok(self.path(path))
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        self.check()?;
        outside(|| self.host.disk.sync_directory())
    }

    fn change_directory(&self, path: &Path) -> io::Result<()> {
        let path = self.path(path);
        self.host.disk.look_at(&path)?;
        *self.directory.borrow_mut() = path;
        Ok(())
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn world::Listener>> {
        let socket = outside(|| self.shared.network.borrow_mut().listen(self.host.id, address.port()))?;
        Ok(Box::new(Listener { shared: self.shared.clone(), socket }))
    }

    fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn world::Stream>> {
        let (host, now_us) = (self.host.id, self.shared.now_us.get());
        let socket = outside(|| self.shared.network.borrow_mut().connect(host, address, now_us));
        let local = self.shared.network.borrow().addresses(socket).map_or(address, |(local, _)| local);
        Ok(Box::new(Stream::new(self.shared.clone(), socket, local, address)))
    }

    fn readiness(&self, socket: u64) -> Option<Readiness> {
        let looks = self.looks.get() + 1;
        self.looks.set(looks);
        assert!(looks < LOOKS_MAX, "server {} does not wait any more", self.host.id);
        self.shared.network.borrow().readiness(socket)
    }
}

/// What a process may ask of the system itself.
fn proc_file(path: &Path, host: &Host) -> io::Result<Bytes> {
    match path.to_str() {
        Some("/proc/sys/kernel/random/boot_id") => {
            let (id, boot) = (host.id, host.power_losses.get());
            Ok(Bytes(outside(|| format!("00000000-0000-0000-{id:04x}-{boot:012x}\n").into_bytes())))
        }
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

#[derive(Debug)]
struct Bytes(Vec<u8>);

impl File for Bytes {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = self.0.get(at as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn store_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn look_at(&self) -> io::Result<Metadata> {
        Ok(Metadata { len: self.0.len() as u64, device: 0, inode: 0, is_directory: false })
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Listener {
    shared: Rc<Shared>,
    socket: u64,
}

impl world::Listener for Listener {
    fn socket(&self) -> u64 {
        self.socket
    }

    fn accept(&self) -> io::Result<Option<Box<dyn world::Stream>>> {
        let mut network = self.shared.network.borrow_mut();
        let Some(socket) = network.accept(self.socket) else { return Ok(None) };
        let unknown = SocketAddr::new(IpAddr::from([0, 0, 0, 0]), 0);
        // Who has asked may have gone meanwhile.
        let (local, peer) = network.addresses(socket).unwrap_or((unknown, unknown));
        drop(network);
        Ok(Some(Box::new(Stream::new(self.shared.clone(), socket, local, peer))))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        outside(|| self.shared.network.borrow_mut().stop_listening(self.socket));
    }
}

struct Stream {
    shared: Rc<Shared>,
    socket: u64,
    local: SocketAddr,
    peer: SocketAddr,
}

impl Stream {
    fn new(shared: Rc<Shared>, socket: u64, local: SocketAddr, peer: SocketAddr) -> Stream {
        let local = shared.network.borrow().addresses(socket).map_or(local, |(local, _)| local);
        Stream { shared, socket, local, peer }
    }
}

impl world::Stream for Stream {
    fn socket(&self) -> u64 {
        self.socket
    }

    fn unread(&self) -> usize {
        self.shared.network.borrow().unread(self.socket)
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        outside(|| self.shared.network.borrow_mut().read(self.socket, bytes))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        maybe_be_preempted(&self.shared);
        let now_us = self.shared.now_us.get();
        let count = outside(|| self.shared.network.borrow_mut().write(self.socket, bytes, now_us))?;
        self.shared.note(&bytes[..count]);
        Ok(count)
    }

    fn take_error(&self) -> io::Result<()> {
        self.shared.network.borrow().state(self.socket)?;
        Ok(())
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let now_us = self.shared.now_us.get();
        outside(|| self.shared.network.borrow_mut().close(self.socket, now_us));
    }
}
