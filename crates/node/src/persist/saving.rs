//! Snapshots on disk: SAVE, BGSAVE, save points. What runs in the background gets its turn here.

mod driver;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use rivulet_engine::client_id::ClientId;
use rivulet_replication::master::RunningSnapshot;

use crate::persist::payload::Payload;
use crate::persist::snapshot::Snapshot;

/// What is saved, and what became of it.
pub struct Saving {
    /// Changes since the last successful save.
    pub dirty: u64,
    dirty_at_start: u64,
    pub last: LastSave,
    pub saves: u64,
    pub running: Option<Running>,
    /// So many files were begun in the background: each has a name of its own until it is whole, as one that is given up may still be written to.
    files_begun: u64,
    /// Payloads that are made, and that not all of their replicas have been sent. They keep nobody from making another snapshot.
    pub sending: Vec<Sending>,
    /// Commands that had been executed when the walker last had its turn, and when there was one more.
    commands_seen: u64,
    command_at_us: u64,
    /// FLUSHALL, with save points: once it is counted, the file is made to say that nothing is there.
    pub saves_emptied: bool,
    /// BGSAVE SCHEDULE: as soon as no other snapshot runs.
    pub scheduled: bool,
    /// BGSAVE in a transaction: at its end.
    pub begins_after_unit: bool,
    /// us per key, shared with the serializer.
    delay: Arc<AtomicI64>,
}

/// The last saves.
pub struct LastSave {
    /// When one succeeded, by the machine's clock.
    pub at_ms: u64,
    /// When one was tried.
    pub tried_ms: u64,
    pub ok: bool,
    /// How long it took; -1 before the first.
    pub seconds: i64,
}

/// A snapshot for replicas that is made and being sent.
pub struct Sending {
    pub payload: Payload,
    pub receivers: Vec<ClientId>,
    /// Where it stands, and who could be sent it.
    pub snapshot: Option<RunningSnapshot>,
}

/// A snapshot that runs, and why.
pub struct Running {
    pub snapshot: Snapshot,
    pub purpose: Purpose,
}

/// What a snapshot is for.
pub enum Purpose {
    /// A file that the user wants (BGSAVE, save points), and with it the replicas that were told to wait for it.
    Save,
    /// A file for replicas.
    ReplicasStored,
    /// Straight to the sockets of replicas.
    ReplicasSockets,
    /// The base of append-only files.
    AofRewrite,
    /// A digest, to prove that replicas are equal.
    Verify,
}

impl Saving {
    pub fn new(now_ms: u64) -> Saving {
        Saving {
            dirty: 0,
            dirty_at_start: 0,
            last: LastSave { at_ms: now_ms, tried_ms: 0, ok: true, seconds: -1 },
            saves: 0,
            running: None,
            sending: Vec::new(),
            commands_seen: 0,
            command_at_us: 0,
            files_begun: 0,
            saves_emptied: false,
            scheduled: false,
            begins_after_unit: false,
            delay: Arc::default(),
        }
    }

    /// What is on its way to replicas' sockets.
    pub fn payloads(&self) -> impl Iterator<Item = &Payload> {
        self.running
            .iter()
            .filter_map(|running| running.snapshot.payload.as_ref())
            .chain(self.sending.iter().map(|sending| &sending.payload))
    }

    pub fn payloads_mut(&mut self) -> impl Iterator<Item = &mut Payload> {
        self.running
            .iter_mut()
            .filter_map(|running| running.snapshot.payload.as_mut())
            .chain(self.sending.iter_mut().map(|sending| &mut sending.payload))
    }

    /// The same, each with the replicas that it is for.
    pub fn transfers(&self) -> impl Iterator<Item = (&Payload, &[ClientId])> {
        let running = self.running.iter().map(|running| &running.snapshot);
        running
            .filter_map(|snapshot| Some((snapshot.payload.as_ref()?, &snapshot.receivers[..])))
            .chain(self.sending.iter().map(|sending| (&sending.payload, &sending.receivers[..])))
    }

    pub fn transfers_mut(&mut self) -> impl Iterator<Item = (&mut Payload, &[ClientId])> {
        let running = self.running.iter_mut().map(|running| &mut running.snapshot);
        running
            .filter_map(|snapshot| Some((snapshot.payload.as_mut()?, &snapshot.receivers[..])))
            .chain(self.sending.iter_mut().map(|sending| (&mut sending.payload, &sending.receivers[..])))
    }

    /// Whether a save for the user runs.
    pub fn is_saving(&self) -> bool {
        matches!(self.running, Some(Running { purpose: Purpose::Save | Purpose::ReplicasStored, .. }))
    }
}
