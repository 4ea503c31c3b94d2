//! A disk that takes its time: what is handed over is written after a while, in order, and synced after another.
//!
//! It holds what docs/log.md draws, as far as it matters where a restart stands: a base, the stream since, and the
//! identity. Files, segments and their names are the matter of `rivulet_aof` and its own crash images.

use rivulet_aof::identity::{Identity, Place, Role, State};
use rivulet_replication::Millis;
use rivulet_replication::history::{History, Kinship};
use rivulet_replication::log::OnDisk;
use rivulet_replication::position::{Position, ReplId};
use std::collections::{BTreeMap, VecDeque};

use crate::data::Data;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `appendonly yes`, with `appendfsync always` or not: the files are what a restart begins with.
    AppendOnly { always: bool },
    /// Only a backlog: what leaves the memory is written.
    Backlog,
}

#[derive(Debug)]
pub struct Disk {
    pub kind: Kind,
    files: Files,
    state: Writing,
    queue: VecDeque<(Millis, Step)>,
    /// The stream was given to the writer up to here.
    handed: u64,
    sync: Option<(Millis, u64)>,
    /// A rewrite that goes on: when its base is ready, and of which data it is.
    rewrite: Option<(Millis, u64, Data)>,
    /// The disk refuses writes until then.
    refuses_until: Millis,
    refuses: bool,
}

/// Where bytes go.
#[derive(Debug)]
enum Writing {
    /// Nowhere, until a rewrite begins.
    Closed {
        rewrite_at: Millis,
    },
    /// To files beside those that a restart would find, until they have a base. `queued`: its name is on its way.
    BesideOld {
        new: Box<Files>,
        queued: bool,
    },
    ToFiles,
}

/// What lies there.
#[derive(Debug, Clone, Default)]
struct Files {
    identity: Option<Identity>,
    base: (u64, Data),
    /// The offset of the first byte.
    start: u64,
    bytes: Vec<u8>,
    synced: u64,
    /// The data at each offset where a unit ends: known to the tests only.
    trail: BTreeMap<u64, Data>,
}

#[derive(Debug)]
enum Step {
    Append { bytes: Vec<u8>, trail: Vec<(u64, Data)> },
    Identity(History, Role),
    Base { at: u64, data: Data, history: History, role: Role },
}

/// What a restart finds.
#[derive(Debug)]
pub struct Found {
    pub history: History,
    pub offset: u64,
    pub data: Data,
    pub trail: BTreeMap<u64, Data>,
}

const HERE: Place = Place { device: 1, inode: 1 };

impl Files {
    fn starting_at(offset: u64, data: Data) -> Files {
        let trail = [(offset, data)].into();
        Files { base: (offset, data), start: offset, synced: offset, trail, ..Files::default() }
    }

    fn written(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn cut(&mut self, end: u64) {
        self.bytes.truncate((end - self.start) as usize);
        self.trail.split_off(&(end + 1));
        self.synced = self.synced.min(end);
    }

    fn identify(&mut self, history: &History, role: Role, state: State) {
        let history = history.clone();
        self.identity = Some(Identity { history, role, state, place: HERE, segments: Vec::new() });
    }
}

impl Disk {
    /// An empty disk of a node that stands at the beginning of its history.
    pub fn new(kind: Kind, history: &History, role: Role) -> Disk {
        let mut files = Files::starting_at(0, Data::default());
        let mut state = Writing::ToFiles;
        match kind {
            Kind::AppendOnly { .. } => files.identify(history, role, State::Open),
            Kind::Backlog => state = Writing::Closed { rewrite_at: 0 },
        }
        Disk {
            kind,
            files,
            state,
            queue: VecDeque::new(),
            handed: 0,
            sync: None,
            rewrite: None,
            refuses_until: 0,
            refuses: false,
        }
    }

    pub fn is_append_only(&self) -> bool {
        matches!(self.kind, Kind::AppendOnly { .. })
    }

    /// A restart would begin with what the node has now.
    pub fn is_settled(&self) -> bool {
        matches!(self.state, Writing::ToFiles) && self.is_append_only()
    }

    /// The ids have changed, and the disk does not have them yet. One that refuses is not waited for.
    pub fn lacks_ids(&self) -> bool {
        let due = || self.queue.iter().any(|(_, step)| matches!(step, Step::Identity(..)));
        self.is_append_only() && !self.refuses && due()
    }

    fn open(&self) -> Option<&Files> {
        match &self.state {
            Writing::Closed { .. } => None,
            Writing::BesideOld { new, .. } => Some(new),
            Writing::ToFiles => Some(&self.files),
        }
    }

    fn open_mut(&mut self) -> Option<&mut Files> {
        match &mut self.state {
            Writing::Closed { .. } => None,
            Writing::BesideOld { new, .. } => Some(new),
            Writing::ToFiles => Some(&mut self.files),
        }
    }

    /// Up to where the stream was handed over; `None` while nothing is written.
    pub fn handed(&self) -> Option<u64> {
        self.open().map(|_| self.handed)
    }

    /// What the log is told.
    pub fn on_disk(&self, now: Millis) -> Option<OnDisk> {
        let files = self.open()?;
        let durable = if self.kind == (Kind::AppendOnly { always: true }) { files.synced } else { files.written() };
        let has_base = !matches!(self.state, Writing::BesideOld { queued: false, .. });
        let gates = self.is_append_only() && has_base && now >= self.refuses_until;
        Some(OnDisk { first: files.start, written: files.written(), send_before: gates.then_some(durable) })
    }

    /// Up to where a loss of power would keep the stream.
    pub fn synced(&self) -> Option<u64> {
        self.is_settled().then_some(self.files.synced)
    }

    pub fn read(&self, from: u64, bytes_max: usize) -> &[u8] {
        let files = self.open().expect("it was said to be there");
        let rest = &files.bytes[(from - files.start) as usize..];
        &rest[..rest.len().min(bytes_max)]
    }

    // ---- what is written ----

    fn queue(&mut self, step: Step, now: Millis, rng: &mut fastrand::Rng) {
        // The identity is synced, and that may take long.
        let slow = matches!(step, Step::Identity(..)) && rng.u8(0..4) == 0;
        let takes = rng.u64(0..if slow { 3_000 } else { 400 });
        let due = self.queue.back().map_or(0, |(due, _)| *due).max(now + takes);
        self.queue.push_back((due, step));
    }

    pub fn hand_over(&mut self, bytes: Vec<u8>, trail: Vec<(u64, Data)>, now: Millis, rng: &mut fastrand::Rng) {
        self.handed += bytes.len() as u64;
        self.queue(Step::Append { bytes, trail }, now, rng);
    }

    /// The ids or the role changed; all bytes before were handed over.
    pub fn history_changed(&mut self, history: &History, role: Role, now: Millis, rng: &mut fastrand::Rng) {
        // Until they have a base, the files hold something else.
        if matches!(self.state, Writing::ToFiles | Writing::BesideOld { queued: true, .. }) {
            self.queue(Step::Identity(history.clone(), role), now, rng);
        }
    }

    /// Other data take the place of the old. Append-only files of the old data stay until there are new ones.
    pub fn reset(&mut self, now: Millis, rng: &mut fastrand::Rng) {
        self.queue.clear();
        (self.sync, self.rewrite) = (None, None);
        self.state = Writing::Closed { rewrite_at: now + rng.u64(0..500) };
        if self.kind == Kind::Backlog {
            self.files = Files::default();
        }
    }

    /// A rewrite of files that are whole.
    pub fn rewrite(&mut self, at: u64, data: Data, now: Millis, rng: &mut fastrand::Rng) {
        if self.is_settled() && self.rewrite.is_none() {
            self.rewrite = Some((now + rng.u64(0..2_000), at, data));
        }
    }

    /// What is older than the base goes, unless a replica needs it.
    pub fn trim(&mut self, needed: Option<u64>) {
        if !self.is_settled() {
            return;
        }
        let files = &mut self.files;
        let start = needed.map_or(files.base.0, |needed| needed.min(files.base.0)).max(files.start);
        files.bytes.drain(..(start - files.start) as usize);
        files.start = start;
    }

    pub fn refuse_until(&mut self, until: Millis) {
        self.refuses_until = until;
    }

    /// Begins to write where nothing is written; `at` is where the log begins, `now_at` where the node stands.
    pub fn begin_if_due(&mut self, first: u64, end: (u64, Data), history: &History, role: Role, now: Millis) {
        let Writing::Closed { rewrite_at } = self.state else { return };
        match self.kind {
            Kind::AppendOnly { .. } if rewrite_at <= now => {
                self.handed = end.0;
                self.state = Writing::BesideOld { new: Box::new(Files::starting_at(end.0, end.1)), queued: false };
                self.rewrite = Some((now + 200 + (end.0 % 7) * 200, end.0, end.1));
            }
            Kind::AppendOnly { .. } => {}
            Kind::Backlog => {
                // What is on disk and reaches to the memory is gone on with.
                if self.files.identity.is_none() || self.files.written() < first {
                    self.files = Files { trail: BTreeMap::new(), ..Files::starting_at(first, Data::default()) };
                }
                self.handed = self.files.written();
                self.files.identify(history, role, State::Open);
                self.state = Writing::ToFiles;
            }
        }
    }

    pub fn tick(&mut self, history: &History, role: Role, now: Millis, rng: &mut fastrand::Rng) {
        if let Some((_, at, data)) = self.rewrite.take_if(|(ready, ..)| *ready <= now) {
            if let Writing::BesideOld { queued, .. } = &mut self.state {
                *queued = true;
            }
            self.queue(Step::Base { at, data, history: history.clone(), role }, now, rng);
        }
        self.refuses = now < self.refuses_until;
        if self.refuses {
            return;
        }
        while self.queue.front().is_some_and(|(due, _)| *due <= now)
            && let Some((_, step)) = self.queue.pop_front()
        {
            self.carry_out(step);
        }
        let always = self.kind == (Kind::AppendOnly { always: true });
        let sync = self.sync;
        let Some(files) = self.open_mut() else { return };
        let written = files.written();
        self.sync = match sync {
            Some((due, until)) if due <= now => {
                files.synced = files.synced.max(until);
                None
            }
            None if files.synced < written => {
                Some((now + if always { rng.u64(0..150) } else { rng.u64(500..2_000) }, written))
            }
            other => other,
        };
    }

    fn carry_out(&mut self, step: Step) {
        match step {
            Step::Append { bytes, trail } => {
                let files = self.open_mut().expect("a reset clears the queue");
                files.bytes.extend_from_slice(&bytes);
                files.trail.extend(trail);
            }
            Step::Identity(history, role) => {
                self.open_mut().expect("as above").identify(&history, role, State::Open);
            }
            Step::Base { at, data, history, role } => {
                if let Writing::BesideOld { new, .. } = std::mem::replace(&mut self.state, Writing::ToFiles) {
                    self.files = *new;
                    self.files.identify(&history, role, State::Open);
                }
                self.files.base = (at, data);
                self.files.synced = self.files.written();
            }
        }
    }

    // ---- the end, and the start ----

    /// The server ends well; all bytes were handed over.
    pub fn end_clean(&mut self, history: &History, role: Role) {
        while let Some((_, step)) = self.queue.pop_front() {
            self.carry_out(step);
        }
        if matches!(self.state, Writing::ToFiles) {
            let files = &mut self.files;
            files.synced = files.written();
            files.identify(history, role, State::Clean { offset: files.written() });
        }
    }

    /// The process is killed: what was written stays, and perhaps a part of what was just being written.
    pub fn killed(&mut self, rng: &mut fastrand::Rng) {
        if let (Some((_, Step::Append { bytes, trail })), Writing::ToFiles) = (self.queue.pop_front(), &self.state) {
            let kept = rng.usize(0..=bytes.len());
            self.files.bytes.extend_from_slice(&bytes[..kept]);
            let end = self.files.written();
            self.files.trail.extend(trail.into_iter().filter(|(at, _)| *at <= end));
        }
    }

    /// The power goes: of what was not synced a part may be there.
    pub fn power_lost(&mut self, rng: &mut fastrand::Rng) {
        let kept = rng.u64(self.files.synced..=self.files.written());
        self.files.cut(kept);
    }

    fn started(&mut self) {
        self.queue.clear();
        (self.sync, self.rewrite, self.refuses_until) = (None, None, 0);
        self.files.synced = self.files.written();
        self.handed = self.files.written();
    }

    /// Starts from append-only files, as the server's `append_only_loaded` does: what is not whole is cut off, and
    /// nothing is served before the identity says `open`.
    pub fn resume(&mut self, as_replica: bool, new: ReplId) -> Found {
        let (base_at, base) = self.files.base;
        let (data, len) = base.replay(&self.files.bytes[(base_at - self.files.start) as usize..]);
        let offset = base_at + len as u64;
        self.files.cut(offset);
        assert_eq!(self.files.trail.get(&offset), Some(&data), "the files hold other data than were written");
        let identity = self.files.identity.as_ref().expect("there is one from the first start on");
        // Through its bytes, as it is on disk.
        let identity = Identity::parse(&identity.to_bytes()).expect("what is written is read");
        let history = identity.resume(offset, offset, as_replica, HERE, new).expect("nobody else writes here");
        let role = if as_replica { Role::Replica } else { Role::Master };
        self.files.identify(&history, role, State::Open);
        self.state = Writing::ToFiles;
        self.started();
        Found { history, offset, data, trail: self.files.trail.clone() }
    }

    /// Takes up a backlog for data that stand at `position`, as `rivulet_aof::recover::find_backlog` does: answers the
    /// history that it belongs to, and what is known of its data.
    pub fn resume_backlog(&mut self, position: Position) -> Option<(History, BTreeMap<u64, Data>)> {
        self.state = Writing::Closed { rewrite_at: 0 };
        let identity =
            self.files.identity.clone().filter(|identity| {
                identity.history.kinship(position.id, position.offset as i64 + 1) == Kinship::Shared
            });
        let Some(identity) = identity else {
            self.files = Files::default();
            self.started();
            return None;
        };
        if (self.files.start..=self.files.written()).contains(&position.offset) {
            self.files.cut(position.offset);
        } else {
            self.files = Files::default();
        }
        self.started();
        Some((identity.history, self.files.trail.clone()))
    }
}
