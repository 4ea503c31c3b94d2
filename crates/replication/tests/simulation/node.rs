//! A node: what a server does around the replication core, with a digest for data.

use rivulet_aof::identity::Role;
use rivulet_replication::Millis;
use rivulet_replication::apply::Applied;
use rivulet_replication::failover::{Address, Failover, FailoverAction, Request};
use rivulet_replication::history::History;
use rivulet_replication::log::{ReadError, ReplLog};
use rivulet_replication::master::{Answer, SnapshotGroup};
use rivulet_replication::master::{Applicant, LogNeed, Master, MasterAction, MasterConfig, RunningSnapshot, TickFacts};
use rivulet_replication::messages::{AskedId, PsyncRequest};
use rivulet_replication::position::{Position, ReplId};
use rivulet_replication::psync::{NodeFacts, SyncFacts, refusal};
use rivulet_replication::replica::{Action, LinkConfig, LoadMode, Login, ReplicaLink, Shown};
use rivulet_replication::session::{Announced, OwnName, ReplconfOutcome, State, Target};
use rivulet_replication::stream::{GETACK, PING, StreamEncoder};
use rivulet_replication::transfer::{counted_header, marked_header};
use std::collections::BTreeMap;

use crate::data::Data;
use crate::disk::{Disk, Kind};
use crate::network::{ConnId, Side};
use crate::requests::next_command;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// SHUTDOWN SAVE.
    Clean,
    Killed,
    PowerLost,
    /// Nothing is left.
    DiskLost,
}

/// A snapshot file.
#[derive(Debug, Clone, Copy)]
pub struct Saved {
    pub position: Position,
    pub data: Data,
}

#[derive(Debug)]
pub struct Node {
    pub index: usize,
    pub run_id: ReplId,
    pub history: History,
    pub log: ReplLog,
    pub encoder: StreamEncoder,
    pub master: Master,
    pub link: Option<ReplicaLink>,
    pub upstream: Option<ConnId>,
    /// The second connection to the master.
    pub channel: Option<ConnId>,
    pub applied: Applied,
    pub data: Data,
    /// The data at each offset of the present history.
    pub trail: BTreeMap<u64, Data>,
    pub saved: Option<Saved>,
    pub disk: Option<Disk>,
    pub failover: Failover,
    /// A full sync has brought it into its master's history, or it began that one.
    pub belongs: bool,
    pub rng: fastrand::Rng,
    /// Whether full syncs go over two channels, in Valkey's and in Redis 8's way; random if not set.
    channels: Option<(bool, bool)>,
    inbound: BTreeMap<ConnId, Inbound>,
    /// What replicas are sent when the ids that it tells of are on disk.
    untold: Vec<(ConnId, Vec<u8>)>,
    /// Received and not applied, and how much of it was parsed.
    unapplied: Vec<u8>,
    parsed: usize,
    transaction: Option<Vec<Vec<Vec<u8>>>>,
    snapshot: Option<Snapshot>,
    stored: Vec<u8>,
    loading_until: Option<Millis>,
    pub cuts_in_multi: u64,
}

#[derive(Debug, Default)]
struct Inbound {
    announced: Announced,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Snapshot {
    running: RunningSnapshot,
    payload: Vec<u8>,
    ready_at: Millis,
}

/// What a node wants of the world.
#[derive(Debug)]
pub enum Effect {
    Open {
        port: u16,
    },
    OpenChannel {
        port: u16,
    },
    Send(ConnId, Side, Vec<u8>),
    Close(ConnId, Side),
    /// The link goes on at `from`, where the node has this position and data.
    Continued {
        conn: ConnId,
        from: u64,
        at: Position,
        data: Data,
    },
    /// A replica may go on at `from`, where this node has or had this data.
    Granted {
        conn: ConnId,
        from: u64,
        data: Option<Data>,
        /// It goes on from where a snapshot stands that it does not have yet.
        beside: bool,
    },
    /// A replica may not go on from what it asked for, an id and the number of a byte, if it had any.
    MustSync {
        conn: ConnId,
        asked: Option<(ReplId, i64)>,
    },
    Acked {
        conn: ConnId,
        offset: u64,
        fsynced: Option<u64>,
    },
    Applied(Position, Data),
    /// A FAILOVER made it a replica of this node; or it made it a master, at its end or when it was given up.
    HandedOver(u16),
    TookOver,
    /// Stream was sent that had left the memory.
    FromDisk,
    Full,
    Refused,
    NewId,
    LoadFailed,
    Log(String),
}

impl Node {
    pub fn new(index: usize, mut rng: fastrand::Rng, now: Millis) -> Node {
        let id = random_id(&mut rng);
        Node {
            index,
            run_id: random_id(&mut rng),
            history: History::new(id),
            log: ReplLog::new(0),
            encoder: StreamEncoder::new(),
            master: Master::new(config(&mut rng), now),
            link: None,
            upstream: None,
            channel: None,
            applied: Applied::from(0),
            data: Data::default(),
            trail: BTreeMap::new(),
            saved: None,
            disk: None,
            failover: Failover::default(),
            belongs: false,
            rng,
            channels: None,
            inbound: BTreeMap::new(),
            untold: Vec::new(),
            unapplied: Vec::new(),
            parsed: 0,
            transaction: None,
            snapshot: None,
            stored: Vec::new(),
            loading_until: None,
            cuts_in_multi: 0,
        }
    }

    /// A new node with a disk.
    pub fn with_disk(index: usize, rng: fastrand::Rng, now: Millis, kind: Option<Kind>) -> Node {
        let mut node = Node::new(index, rng, now);
        node.disk = kind.map(|kind| Disk::new(kind, &node.history, Role::Master));
        if node.is_append_only() {
            node.log.reset_to(0);
            node.begin_trail();
        }
        node
    }

    pub fn is_append_only(&self) -> bool {
        self.disk.as_ref().is_some_and(Disk::is_append_only)
    }

    fn role(&self) -> Role {
        if self.link.is_some() { Role::Replica } else { Role::Master }
    }

    /// Bytes of the stream that the log can serve.
    pub fn stream(&self, from: u64, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let (at, left) = (from + bytes.len() as u64, len - bytes.len());
            match self.log.read(at, left) {
                Ok(slices) => slices.for_each(|slice| bytes.extend_from_slice(slice)),
                Err(ReadError::OnDisk) => {
                    bytes.extend_from_slice(self.disk.as_ref().expect("it is there").read(at, left))
                }
                Err(gone) => panic!("the log of {} says that it has what is gone: {gone:?}", self.index),
            }
        }
        bytes
    }

    pub fn position(&self) -> Position {
        Position { id: self.history.id(), offset: self.log.end_offset() }
    }

    /// Full syncs from and to this node go over two channels, in Valkey's or in Redis 8's way.
    pub fn use_channels(&mut self, dual_channel: bool, rdb_channel: bool) {
        self.channels = Some((dual_channel, rdb_channel));
        let config = self.master.config().clone();
        self.master.set_config(MasterConfig { diskless: true, dual_channel, rdb_channel, ..config });
    }

    /// Tells where the node is now, to be checked.
    fn at(&self) -> Effect {
        Effect::Applied(self.position(), self.data)
    }

    fn begin_trail(&mut self) {
        self.trail = [(self.log.end_offset(), self.data)].into();
    }

    /// A client writes: one unit of a few commands. Only a master takes it.
    pub fn write(&mut self, effects: &mut Vec<Effect>) {
        if self.link.is_some() || !self.failover.is_idle() {
            return;
        }
        let writes: Vec<(u32, Vec<Vec<u8>>)> = (0..self.rng.usize(1..4))
            .map(|_| {
                let value = vec![b'v'; self.rng.usize(0..400)];
                (self.rng.u32(0..3), vec![b"SET".to_vec(), self.rng.u32(..).to_string().into_bytes(), value])
            })
            .collect();
        let unit: Vec<(u32, &[Vec<u8>])> = writes.iter().map(|(db, args)| (*db, args.as_slice())).collect();
        let mut bytes = Vec::new();
        self.encoder.unit(&unit, &mut bytes);
        let mut expected = self.data;
        for (db, args) in &writes {
            expected.db = *db;
            expected.execute(args);
        }
        self.append_own(&bytes, effects);
        assert_eq!(self.data, expected, "the stream writes to the databases that were meant");
    }

    fn append_own(&mut self, bytes: &[u8], effects: &mut Vec<Effect>) {
        self.applied = Applied::from(self.log.end_offset());
        self.ingest(bytes, effects);
        assert!(self.unapplied.is_empty(), "a unit is whole");
    }

    /// Executes the stream; what is applied goes to the log.
    fn ingest(&mut self, bytes: &[u8], effects: &mut Vec<Effect>) {
        self.applied.received(bytes.len());
        self.unapplied.extend_from_slice(bytes);
        let counts = self.log.is_active();
        while let Some((args, len)) = next_command(&self.unapplied[self.parsed..]) {
            self.parsed += len;
            match (args[0].as_slice(), &mut self.transaction) {
                (b"MULTI", None) => self.transaction = Some(Vec::new()),
                (b"EXEC", Some(queued)) => {
                    for args in std::mem::take(queued) {
                        self.data.execute(&args);
                    }
                    self.transaction = None;
                }
                (_, Some(queued)) => queued.push(args),
                (_, None) => self.data.execute(&args),
            }
            let forward = self.applied.command(len, self.transaction.is_some());
            if forward > 0 {
                self.log.append(&self.unapplied[..forward]);
                self.unapplied.drain(..forward);
                self.parsed -= forward;
                if counts {
                    self.trail.insert(self.log.end_offset(), self.data);
                    effects.push(self.at());
                }
            }
        }
        if counts && self.link.is_some() {
            assert_eq!(self.applied.applied(), self.log.end_offset(), "the log holds what is applied");
        }
    }

    /// The link broke: what is not applied will come again.
    fn forget_unapplied(&mut self) {
        self.cuts_in_multi += u64::from(self.transaction.is_some());
        self.applied.discard();
        self.unapplied.clear();
        self.parsed = 0;
        self.transaction = None;
    }

    /// Calls the link and does what it says.
    fn with_link(
        &mut self,
        now: Millis,
        effects: &mut Vec<Effect>,
        call: impl FnOnce(&mut ReplicaLink, &mut Vec<Action<'static>>),
    ) {
        let Some(link) = &mut self.link else { return };
        let mut actions = Vec::new();
        call(link, &mut actions);
        for action in actions {
            self.act(now, action, effects);
        }
    }

    fn act(&mut self, now: Millis, action: Action<'_>, effects: &mut Vec<Effect>) {
        match action {
            Action::Connect => effects.extend(self.link.as_ref().map(|link| Effect::Open { port: link.config().port })),
            Action::Send(bytes) => effects.extend(self.upstream.map(|conn| Effect::Send(conn, Side::Client, bytes))),
            Action::OpenChannel => {
                let port = self.link.as_ref().expect("it spoke").config().port;
                effects.push(Effect::OpenChannel { port });
            }
            Action::SendChannel(bytes) => {
                effects.extend(self.channel.map(|conn| Effect::Send(conn, Side::Client, bytes)));
            }
            Action::CloseChannel => effects.extend(self.channel.take().map(|conn| Effect::Close(conn, Side::Client))),
            Action::Disconnect => {
                effects.extend(self.channel.take().map(|conn| Effect::Close(conn, Side::Client)));
                if let Some(conn) = self.upstream.take() {
                    effects.push(Effect::Close(conn, Side::Client));
                }
                let was_in_place = !self.link.as_ref().is_none_or(|link| link.has_whole_data());
                if was_in_place {
                    self.empty();
                }
                self.loading_until = None;
                self.stored.clear();
                self.forget_unapplied();
            }
            Action::Continue(position, forks) => {
                let (at, data) = (self.position(), self.data);
                let conn = self.upstream.expect("it was answered");
                effects.push(Effect::Continued { conn, from: position.offset, at, data });
                if self.history.continue_with(position.id, position.offset, &forks) {
                    self.log_history_changed(now);
                    self.drop_replicas(now, effects);
                    effects.push(Effect::NewId);
                    effects.push(self.at());
                }
                self.log.create();
                self.applied = Applied::from(position.offset);
            }
            Action::PayloadBegin { .. } => self.stored.clear(),
            Action::Store(bytes) => self.stored.extend_from_slice(&bytes),
            Action::PayloadEnd | Action::Load => self.loading_until = Some(now + self.rng.u64(0..2_000)),
            Action::ReplaceData => {
                self.drop_replicas(now, effects);
                self.log.free();
                let id = random_id(&mut self.rng);
                self.history.adopt(id);
                self.log_reset(now);
                self.empty();
            }
            Action::Adopt(target) => {
                let target = target.expect("all masters here know PSYNC");
                self.belongs = true;
                self.data = Data::decode(&self.stored);
                self.history.adopt(target.id);
                self.log.reset_to(target.offset);
                self.log_reset(now);
                self.applied = Applied::from(target.offset);
                self.begin_trail();
                effects.extend([Effect::Full, self.at()]);
            }
            Action::Apply(bytes) => {
                self.ingest(&bytes, effects);
                let applied = self.applied.applied();
                self.link.as_mut().expect("it spoke").applied(applied);
            }
            Action::FailoverAnswered(accepted) => {
                if accepted {
                    let port = self.link.as_ref().expect("it spoke").config().port;
                    effects.push(Effect::HandedOver(port));
                }
                let action = self.failover.answered(accepted);
                self.failover_action(action, now, effects);
            }
            // Nobody looks at copies here.
            Action::GivesUp { .. } => {}
            Action::Log(report) => effects.push(Effect::Log(report.text)),
        }
    }

    fn empty(&mut self) {
        self.data = Data::default();
        self.trail.clear();
    }

    fn drop_replicas(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        self.snapshot = None;
        let keys: Vec<ConnId> = self.master.sessions().map(|(key, _)| key).collect();
        for key in keys {
            self.drop_replica(key, now, effects);
        }
    }

    fn drop_replica(&mut self, key: ConnId, now: Millis, effects: &mut Vec<Effect>) {
        self.inbound.remove(&key);
        self.untold.retain(|(conn, _)| *conn != key);
        let partner = self.master.detach(key, now).and_then(|detached| detached.partner);
        self.log.hold(self.master.log_hold());
        effects.push(Effect::Close(key, Side::Server));
        if let Some(partner) = partner {
            self.drop_replica(partner, now, effects);
        }
    }

    pub fn follow(&mut self, port: u16, now: Millis, effects: &mut Vec<Effect>) {
        if self.link.is_some() {
            let probe = random_id(&mut self.rng);
            return self.with_link(now, effects, |link, out| {
                link.config_mut().probe = probe;
                link.retarget(now, "sim", port, out);
            });
        }
        self.attach_link(port, now);
        self.log_history_changed(now);
    }

    /// It goes on from its own position, if that is of a history.
    fn attach_link(&mut self, port: u16, now: Millis) {
        let offset = self.log.end_offset();
        let cached = self.log.is_active().then(|| self.history.position_at(offset));
        self.link = Some(ReplicaLink::new(self.link_config(port), cached, true, now));
        self.applied = Applied::from(offset);
    }

    /// FAILOVER to one of the replicas, if there is one.
    pub fn start_failover(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let online =
            |(key, session): (ConnId, &rivulet_replication::session::Session)| session.is_online().then_some(key);
        let Some(key) = self.master.sessions().find_map(online) else { return };
        let port = self.master.get(key).expect("it is there").announced().port;
        let target = Some(Address { host: "sim".to_string(), port });
        let request = Request::Start { target, timeout: Some(3_000), force: false };
        if let Ok(report) = self.failover.start(request, self.link.is_some(), &self.master, now) {
            effects.push(Effect::Log(report.text));
            self.append_own(GETACK, effects);
        }
    }

    /// FAILOVER ABORT.
    pub fn abort_failover(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let action = self.failover.abort("Failover manually aborted");
        self.failover_action(action, now, effects);
    }

    fn failover_action(&mut self, action: Option<FailoverAction>, now: Millis, effects: &mut Vec<Effect>) {
        match action {
            None => {}
            Some(FailoverAction::HandOver(address, report)) => {
                effects.push(Effect::Log(report.text));
                self.follow(address.port, now, effects);
                self.link.as_mut().expect("it follows").request_failover();
            }
            Some(FailoverAction::Abort { was_handing_over, report }) => {
                effects.push(Effect::Log(report.text));
                if was_handing_over {
                    effects.push(Effect::TookOver);
                    self.promote(now, effects);
                }
            }
        }
    }

    fn link_config(&mut self, port: u16) -> LinkConfig {
        let load = [LoadMode::AfterTransfer, LoadMode::InPlace, LoadMode::Beside][self.rng.usize(0..3)];
        let (dual_channel, rdb_channel) = self.channels.unwrap_or_else(|| (self.rng.bool(), self.rng.bool()));
        LinkConfig {
            terms: Vec::new(),
            node_id: None,
            acks_by_itself: false,
            is_uncertain: false,
            host: "sim".to_string(),
            port,
            timeout: 5_000,
            login: Login { user: None, password: self.rng.bool().then(|| b"secret".to_vec()) },
            shown: Shown { port: self.index as u16, ..Shown::default() },
            run_id: self.run_id,
            probe: random_id(&mut self.rng),
            load,
            dual_channel,
            rdb_channel,
            early_bytes_max: 1 << 20,
        }
    }

    pub fn promote(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let mut actions = Vec::new();
        let Some(link) = self.link.take() else { return };
        let whole = link.has_whole_data();
        link.stop(now, &mut actions);
        for action in actions {
            self.act(now, action, effects);
        }
        if !whole {
            self.empty();
        }
        self.drop_replicas(now, effects);
        let id = random_id(&mut self.rng);
        self.history.promote(id, self.log.end_offset());
        self.encoder.force_select();
        self.master.replicas_may_come(now);
        if !self.log.is_active() {
            self.log.create();
            self.begin_trail();
        }
        self.log_history_changed(now);
        effects.push(self.at());
    }

    /// The process ends and starts again, as a replica of the node at `port` or as a master.
    pub fn restart(&mut self, end: End, port: Option<u16>, now: Millis, effects: &mut Vec<Effect>) {
        let inbound: Vec<ConnId> = self.inbound.keys().copied().collect();
        effects.extend(inbound.into_iter().map(|conn| Effect::Close(conn, Side::Server)));
        effects.extend(self.upstream.into_iter().chain(self.channel).map(|conn| Effect::Close(conn, Side::Client)));
        let saved = match end {
            End::Clean => self.state(),
            End::Killed | End::PowerLost => self.saved,
            End::DiskLost => None,
        };
        if end == End::Clean {
            self.hand_over(self.log.end_offset(), now);
        }
        let role = self.role();
        let mut disk = self.disk.take();
        let mut next = Node::with_disk(self.index, self.rng.fork(), now, disk.as_ref().map(|disk| disk.kind));
        if let Some(disk) = disk.as_mut() {
            match end {
                End::Clean => disk.end_clean(&self.history, role),
                End::Killed => disk.killed(&mut self.rng),
                End::PowerLost => disk.power_lost(&mut self.rng),
                End::DiskLost => {}
            }
        }
        (next.cuts_in_multi, next.belongs) = (self.cuts_in_multi, self.belongs && end != End::DiskLost);
        *self = Node { saved, ..next };
        if end != End::DiskLost {
            match disk {
                Some(disk) if disk.is_append_only() => self.resume_append_only(disk, port.is_some(), now),
                disk => self.resume_snapshot(disk, port.is_some(), now),
            }
        }
        if let Some(disk) = &self.disk {
            self.log.set_on_disk(disk.on_disk(now));
        }
        if self.log.is_active() {
            effects.push(self.at());
        }
        if let Some(port) = port {
            self.attach_link(port, now);
        }
    }

    fn resume_append_only(&mut self, mut disk: Disk, as_replica: bool, now: Millis) {
        let new = random_id(&mut self.rng);
        let found = disk.resume(as_replica, new);
        (self.history, self.data, self.trail) = (found.history, found.data, found.trail);
        self.master.replicas_may_come(now);
        self.log.reset_to(found.offset);
        self.disk = Some(disk);
    }

    fn resume_snapshot(&mut self, disk: Option<Disk>, as_replica: bool, now: Millis) {
        let Some(Saved { position, data }) = self.saved else { return };
        if let Some(disk) = disk {
            self.disk = Some(disk);
        }
        let past = self.disk.as_mut().and_then(|disk| disk.resume_backlog(position));
        let (past, trail) = past.unzip();
        self.history = if as_replica {
            past.filter(|past| past.id() == position.id).unwrap_or_else(|| History::new(position.id))
        } else {
            let mut history = past.unwrap_or_else(|| History::new(position.id));
            history.promote(random_id(&mut self.rng), position.offset);
            history
        };
        self.data = data;
        self.master.replicas_may_come(now);
        self.log.reset_to(position.offset);
        self.trail = trail.unwrap_or_default();
        self.trail.insert(position.offset, data);
    }

    // ---- the disk ----

    fn log_history_changed(&mut self, now: Millis) {
        self.hand_over(self.log.end_offset(), now);
        let role = self.role();
        if let Some(disk) = &mut self.disk {
            disk.history_changed(&self.history, role, now, &mut self.rng);
        }
    }

    fn log_reset(&mut self, now: Millis) {
        if let Some(disk) = &mut self.disk {
            disk.reset(now, &mut self.rng);
        }
    }

    fn hand_over(&mut self, until: u64, now: Millis) {
        let Some(disk) = &mut self.disk else { return };
        let Some(from) = disk.handed().filter(|from| *from < until) else { return };
        let bytes = self.log.read(from, (until - from) as usize).expect("it is held for the writer").flatten().copied();
        let trail = self.trail.range(from..=until).map(|(at, data)| (*at, *data)).collect();
        disk.hand_over(bytes.collect(), trail, now, &mut self.rng);
    }

    /// With append-only files all is handed over, otherwise what is about to leave the memory.
    fn hand_over_due(&mut self, now: Millis) {
        let end = self.log.end_offset();
        let leaves = end.saturating_sub(self.log.size()).next_multiple_of(ReplLog::BLOCK_BYTES as u64).min(end);
        self.hand_over(if self.is_append_only() { end } else { leaves }, now);
    }

    fn drive_disk(&mut self, now: Millis) {
        let role = self.role();
        let end = (self.log.end_offset(), self.data);
        let Some(disk) = &mut self.disk else { return };
        disk.tick(&self.history, role, now, &mut self.rng);
        if let Some(first) = self.log.first_offset() {
            disk.begin_if_due(first, end, &self.history, role, now);
        }
        self.hand_over_due(now);
        let Some(disk) = &mut self.disk else { return };
        self.log.set_on_disk(disk.on_disk(now));
        if let Some(link) = &mut self.link {
            link.set_fsynced(disk.synced());
        }
    }

    /// Peace: the stream rests long enough between two heartbeats to reach everybody.
    pub fn ping_rarely(&mut self) {
        let config = MasterConfig { ping_period: 4_000, ..config(&mut self.rng) };
        self.master.set_config(config);
    }

    pub fn rewrite(&mut self, now: Millis) {
        self.hand_over_due(now);
        if let Some(disk) = &mut self.disk {
            disk.rewrite(self.log.end_offset(), self.data, now, &mut self.rng);
        }
    }

    /// Old segments go.
    pub fn trim_disk(&mut self, now: Millis) {
        if let Some(disk) = &mut self.disk {
            disk.trim(self.master.log_hold());
            self.log.set_on_disk(disk.on_disk(now));
        }
    }

    /// What a restart would find, if the data is that of a history.
    pub fn state(&self) -> Option<Saved> {
        let whole = self.link.as_ref().is_none_or(|link| link.has_whole_data());
        (whole && self.log.is_active()).then(|| Saved { position: self.position(), data: self.data })
    }

    pub fn connected(&mut self, conn: ConnId, now: Millis, effects: &mut Vec<Effect>) {
        if self.upstream == Some(conn) {
            self.with_link(now, effects, |link, out| link.connected(now, out));
        } else if self.channel == Some(conn) {
            self.with_link(now, effects, |link, out| link.channel_connected(now, out));
        }
    }

    pub fn accept(&mut self, conn: ConnId) {
        self.inbound.insert(conn, Inbound::default());
    }

    pub fn closed(&mut self, conn: ConnId, side: Side, now: Millis, effects: &mut Vec<Effect>) {
        match side {
            Side::Client if self.upstream == Some(conn) => {
                self.upstream = None;
                self.forget_unapplied();
                self.with_link(now, effects, |link, out| link.disconnected(now, "connection lost", out));
            }
            Side::Client if self.channel == Some(conn) => {
                self.channel = None;
                self.with_link(now, effects, |link, out| link.channel_disconnected(now, "connection lost", out));
            }
            Side::Server if self.inbound.contains_key(&conn) => self.drop_replica(conn, now, effects),
            _ => {}
        }
    }

    pub fn received(&mut self, conn: ConnId, side: Side, bytes: &[u8], now: Millis, effects: &mut Vec<Effect>) {
        match side {
            Side::Client if self.upstream == Some(conn) || self.channel == Some(conn) => {
                let Some(link) = &mut self.link else { return };
                let mut actions = Vec::new();
                match self.upstream == Some(conn) {
                    true => link.received(now, bytes, &mut actions),
                    false => link.channel_received(now, bytes, &mut actions),
                }
                for action in actions {
                    self.act(now, action, effects);
                }
            }
            Side::Client => {}
            Side::Server => {
                let Some(inbound) = self.inbound.get_mut(&conn) else { return };
                inbound.bytes.extend_from_slice(bytes);
                while let Some(inbound) = self.inbound.get_mut(&conn)
                    && let Some((args, len)) = next_command(&inbound.bytes)
                {
                    inbound.bytes.drain(..len);
                    self.request(conn, &args, now, effects);
                }
            }
        }
    }

    fn request(&mut self, conn: ConnId, args: &[Vec<u8>], now: Millis, effects: &mut Vec<Effect>) {
        let mut reply = |bytes: &[u8]| effects.push(Effect::Send(conn, Side::Server, bytes.to_vec()));
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        match args.as_slice() {
            [] => {
                if let Some(session) = self.master.get_mut(conn) {
                    session.newline(now);
                }
            }
            [b"PING"] => reply(b"+PONG\r\n"),
            [b"AUTH", ..] => reply(b"+OK\r\n"),
            [b"REPLCONF", options @ ..] => {
                let own = OwnName {
                    run_id: self.run_id,
                    node_id: self.run_id,
                    term: None,
                    began: 0,
                    end: 0,
                    is_unproven: false,
                };
                let announced = match self.master.get_mut(conn) {
                    Some(session) => session.announced_mut(),
                    None => &mut self.inbound.get_mut(&conn).expect("it speaks").announced,
                };
                match announced.replconf(options, &own) {
                    ReplconfOutcome::Reply(text) => reply(format!("+{text}\r\n").as_bytes()),
                    ReplconfOutcome::Error(text) => reply(format!("-{text}\r\n").as_bytes()),
                    ReplconfOutcome::Ack { offset, fsynced } => {
                        effects.push(Effect::Acked { conn, offset, fsynced });
                        if let Some(session) = self.master.get_mut(conn) {
                            session.acked(offset, fsynced, now);
                        }
                    }
                    ReplconfOutcome::Probe(probe) => {
                        self.with_link(now, effects, |link, out| link.probe_came(now, probe, out));
                    }
                    ReplconfOutcome::Below | ReplconfOutcome::GetAck { .. } | ReplconfOutcome::Silent => {}
                }
            }
            [b"PSYNC", rest @ ..] => {
                let request = PsyncRequest::parse(rest).expect("our replicas write it right");
                self.psync(conn, Some(&request), now, effects);
            }
            [b"SYNC"] => self.psync(conn, None, now, effects),
            other => panic!("unknown request {other:?}"),
        }
    }

    fn psync(&mut self, conn: ConnId, request: Option<&PsyncRequest>, now: Millis, effects: &mut Vec<Effect>) {
        let announced = self.inbound[&conn].announced.clone();
        let link = self.link.as_ref();
        let mut facts = NodeFacts {
            is_replica: link.is_some(),
            link_up: link.is_some_and(|link| link.is_up()),
            has_whole_data: link.is_some_and(|link| link.has_whole_data()) && self.log.is_active(),
            failing_over: !self.failover.is_idle(),
        };
        let sync = SyncFacts { request, run_id: announced.run_id, ..SyncFacts::default() };
        let own_master = link.and_then(|link| link.master_run_id());
        match refusal(&facts, &self.history, self.run_id, own_master, &sync) {
            Err(refused) => {
                effects.push(Effect::Refused);
                let line = format!("-{}\r\n", refused.reply());
                return effects.push(Effect::Send(conn, Side::Server, line.into_bytes()));
            }
            Ok(true) => {
                facts.is_replica = false;
                effects.push(Effect::TookOver);
                self.promote(now, effects);
            }
            Ok(false) => {}
        }
        let applicant = Applicant { key: conn, announced, peer_ip: "sim".to_string(), request };
        let (answer, reports) = self.master.answer(applicant, &self.history, &self.log, &facts, now);
        effects.extend(reports.into_iter().map(|report| Effect::Log(report.text)));
        match answer {
            Answer::Continue { reply } => {
                let session = self.master.get(conn).expect("it continues");
                let (from, beside) = (session.cursor(), matches!(session.state(), State::Beside { .. }));
                effects.push(Effect::Granted { conn, from, data: self.trail.get(&from).copied(), beside });
                self.tell(conn, reply, effects);
            }
            Answer::TwoChannels { reply } => self.tell(conn, reply, effects),
            Answer::TryLater { error } | Answer::NoMain { error } => {
                effects.push(Effect::Refused);
                effects.push(Effect::Send(conn, Side::Server, format!("-{error}\r\n").into_bytes()));
            }
            Answer::Full { log } => {
                let asked = request.and_then(|request| match request.id {
                    AskedId::Id(id) => Some((id, request.asked)),
                    _ => None,
                });
                effects.push(Effect::MustSync { conn, asked });
                if log == LogNeed::CreateWithNewId {
                    let id = random_id(&mut self.rng);
                    self.history.adopt(id);
                    self.log_history_changed(now);
                }
                if log != LogNeed::Nothing {
                    self.log.create();
                    self.begin_trail();
                    effects.push(self.at());
                }
                let running = self.snapshot.as_ref().map(|snapshot| &snapshot.running);
                let (reply, _) = self.master.place(conn, running, &self.history, &self.log, now);
                if let Some(reply) = reply {
                    self.tell(conn, reply, effects);
                }
            }
        }
        self.log.hold(self.master.log_hold());
    }

    /// Time passed: heartbeats, time-outs, snapshots, loads, and the stream to the replicas.
    pub fn tick(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        self.with_link(now, effects, |link, out| link.tick(now, out));
        let below = self.master.below(now);
        self.with_link(now, effects, |link, out| link.set_below(now, below, out));
        if self.loading_until.is_some_and(|until| until <= now) {
            self.loading_until = None;
            let fails = self.rng.u8(0..20) == 0;
            if fails {
                effects.push(Effect::LoadFailed);
            }
            let result = if fails { Err("bad luck") } else { Ok(()) };
            self.with_link(now, effects, |link, out| link.loaded(now, result, out));
        }
        let facts = TickFacts {
            is_replica: self.link.is_some(),
            writes_paused: !self.failover.is_idle(),
            snapshot_running: self.snapshot.is_some(),
            log_active: self.log.is_active(),
            log_is_kept: self.is_append_only(),
        };
        let mut due = Vec::new();
        self.master.tick(now, facts, &mut due);
        for action in due {
            match action {
                MasterAction::AppendPing => self.append_own(PING, effects),
                MasterAction::SendNewline(key) => self.tell(key, b"\n".to_vec(), effects),
                MasterAction::Disconnect(key, _) => self.drop_replica(key, now, effects),
                MasterAction::FreeLog(_) => {
                    let id = random_id(&mut self.rng);
                    self.history.adopt(id);
                    self.log.free();
                    self.log_reset(now);
                    self.trail.clear();
                }
                MasterAction::StartSnapshot(group) => self.start_snapshot(group, now, effects),
            }
        }
        self.finish_snapshot(now, effects);
        let action = self.failover.tick(now, &self.master, self.log.end_offset());
        self.failover_action(action, now, effects);
        self.drive_disk(now);
        for (key, bytes) in std::mem::take(&mut self.untold) {
            self.tell(key, bytes, effects);
        }
        self.feed(effects);
    }

    /// Sends a replica what tells it of this node's ids, when a kill does not take these (rule 41).
    fn tell(&mut self, key: ConnId, bytes: Vec<u8>, effects: &mut Vec<Effect>) {
        if self.disk.as_ref().is_some_and(Disk::lacks_ids) {
            self.untold.push((key, bytes));
        } else {
            effects.push(Effect::Send(key, Side::Server, bytes));
        }
    }

    fn start_snapshot(&mut self, group: SnapshotGroup, now: Millis, effects: &mut Vec<Effect>) {
        let whole = self.link.as_ref().is_none_or(|link| link.has_whole_data());
        if !whole {
            return;
        }
        let position = self.position();
        self.encoder.force_select();
        for key in group.replicas {
            let reply = self.master.snapshot_started(key, position, None, group.target, now);
            self.tell(key, reply, effects);
        }
        self.log.hold(self.master.log_hold());
        let SnapshotGroup { target, capa, filter, rdb_version, .. } = group;
        let running =
            RunningSnapshot { position, target, from_start: target == Target::Stored, capa, filter, rdb_version };
        let payload = self.data.encode(self.rng.usize(0..3_000));
        self.snapshot = Some(Snapshot { running, payload, ready_at: now + self.rng.u64(0..3_000) });
    }

    fn finish_snapshot(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        // Nobody may have data that a kill takes from this node (rule 41).
        let written = self.log.send_before();
        let told = self.untold.is_empty();
        let is_due =
            |snapshot: &Snapshot| told && snapshot.ready_at <= now && snapshot.running.position.offset <= written;
        let Some(snapshot) = self.snapshot.take_if(|snapshot| is_due(snapshot)) else { return };
        let target = snapshot.running.target;
        let mark = [b'a'; 40].map(|byte| if self.rng.bool() { byte } else { b'b' });
        let waits = |state| matches!(state, State::WaitSnapshotEnd { target: of, .. } if of == target);
        let keys: Vec<ConnId> =
            self.master.sessions().filter(|(_, session)| waits(session.state())).map(|(key, _)| key).collect();
        for key in keys {
            let session = self.master.get_mut(key).expect("it waits");
            let mut send = |bytes: Vec<u8>| effects.push(Effect::Send(key, Side::Server, bytes));
            match target {
                Target::Stored => {
                    session.snapshot_stored();
                    send(counted_header(snapshot.payload.len() as u64));
                    send(snapshot.payload.clone());
                }
                Target::Sockets => {
                    // The mark must not occur in the payload, whose padding is made of its first letter.
                    let mark = if mark == [b'a'; 40] { [b'b'; 40] } else { mark };
                    send(marked_header(&mark));
                    send(snapshot.payload.clone());
                    send(mark.to_vec());
                }
            }
            if self.master.payload_sent(key, now).is_some_and(|(stays, _)| !stays) {
                self.drop_replica(key, now, effects);
            }
        }
    }

    fn feed(&mut self, effects: &mut Vec<Effect>) {
        for (key, session) in self.master.sessions_mut() {
            if self.untold.iter().any(|(conn, _)| *conn == key) {
                continue;
            }
            let most = self.rng.usize(1..20_000);
            match session.to_send(&self.log, most) {
                None => {}
                Some(Err(ReadError::OnDisk)) => {
                    let cursor = session.cursor();
                    let most = most.min((self.log.send_before() - cursor) as usize);
                    let bytes = self.disk.as_ref().expect("it was said to be there").read(cursor, most).to_vec();
                    session.sent(bytes.len() as u64);
                    effects.extend([Effect::FromDisk, Effect::Send(key, Side::Server, bytes)]);
                }
                Some(Err(gone)) => panic!("a replica needs bytes that are gone: {gone:?}"),
                Some(Ok(slices)) => {
                    let bytes: Vec<u8> = slices.flatten().copied().collect();
                    session.sent(bytes.len() as u64);
                    effects.push(Effect::Send(key, Side::Server, bytes));
                }
            }
        }
        self.log.hold(self.master.log_hold());
    }
}

pub fn random_id(rng: &mut fastrand::Rng) -> ReplId {
    let mut bytes = [0; 20];
    rng.fill(&mut bytes);
    ReplId::from_random(&bytes)
}

fn config(rng: &mut fastrand::Rng) -> MasterConfig {
    MasterConfig {
        timeout: 5_000,
        ping_period: 1_000,
        backlog_ttl: [0, 3_000, 3_600_000][rng.usize(0..3)],
        diskless: rng.bool(),
        diskless_delay: rng.u64(0..2_000),
        diskless_replicas_max: rng.usize(0..3),
        dual_channel: rng.bool(),
        rdb_channel: rng.bool(),
        good_replicas_min: 0,
        good_lag_seconds_max: 0,
    }
}
