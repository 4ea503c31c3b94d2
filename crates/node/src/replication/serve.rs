//! The master's end: who asks to be a replica, what each is sent, and the snapshots that they need.

use std::io::IoSlice;
use std::path::Path;

use rivulet_commands::fail::Fail;
use rivulet_engine::asker::Asker;
use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::Kind;
use rivulet_replication::log::ReadError;
use rivulet_replication::master::{
    Answer, Applicant, Detached, LogNeed, MasterAction, RunningSnapshot, SnapshotGroup, TickFacts,
    backlog_created_report,
};
use rivulet_replication::measure::Peer;
use rivulet_replication::messages::PsyncRequest;
use rivulet_replication::position::{Position, ReplId};
use rivulet_replication::psync::{NodeFacts, SyncFacts, refusal};
use rivulet_replication::session::{OutputLimit, OwnName, ReplconfOutcome, Session, State, Target};
use rivulet_replication::stream;
use rivulet_replication::transfer::{counted_header, marked_header};
use rivulet_replication::verify::REPORT_OPTION;
use rivulet_resp::Args;

use super::{log_report, random_id};
use crate::front::clients::Client;
use crate::log;
use crate::node::Node;
use crate::ops::ReplPause;
use crate::persist::payload::{Next, Payload, PayloadCursor, SpillDone};
use crate::persist::saving::{Purpose, Running, Sending};
use crate::persist::snapshot::{Destination, Form, Snapshot};
use crate::replication::Promoter;
use crate::system::os_error;

/// Bytes of the stream written to one replica before others get their turn. All of a turn's is to be offered before its replies are sent.
const STREAM_BYTES_MAX: usize = 4 << 20;
/// Slices given to one write.
const SLICES_MAX: usize = 64;
/// The same of what has left the memory, where nobody waits for it.
const PIECE_BYTES_MAX: usize = 256 << 10;
/// Bytes of a payload written to one replica before others get their turn.
const PAYLOAD_BYTES_MAX: usize = 64 << 10;
/// So much more of the stream, and the limits of replicas are looked at whether or not one takes anything.
const LIMITS_STEP_BYTES: u64 = 128 << 10;

/// Nobody is left of those whom a snapshot was for.
const LAST_DROPPED: &str = "Diskless rdb transfer, last replica dropped, killing fork child.";

impl Node {
    // ---- commands ----

    pub fn replconf(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        let words: Vec<&[u8]> = args.iter().skip(1).collect();
        if let [option, report] = words[..]
            && option.eq_ignore_ascii_case(REPORT_OPTION)
        {
            self.verify_report(id, report);
            return Ok(());
        }
        let own = &self.own_name();
        let from_master = self.clients.at(id).is_master();
        let outcome = match self.replication.master.get_mut(id) {
            Some(session) => session.announced_mut().replconf(&words, own),
            None => self.clients.at(id).feed.announced.replconf(&words, own),
        };
        match outcome {
            ReplconfOutcome::Reply(text) => by.reply.simple(&text),
            ReplconfOutcome::Error(text) => return Err(Fail::text(text)),
            ReplconfOutcome::Ack { offset, fsynced } => self.acked(id, offset, fsynced),
            ReplconfOutcome::Below => self.tell_below(),
            ReplconfOutcome::Probe(probe) => self.probe_came(probe),
            ReplconfOutcome::GetAck { always } if from_master => self.answer_getack(always),
            ReplconfOutcome::GetAck { .. } | ReplconfOutcome::Silent => {}
        }
        Ok(())
    }

    fn own_name(&self) -> OwnName {
        let promises = &self.replication.kept.promises;
        OwnName {
            run_id: self.replication.run_id,
            node_id: promises.node_id,
            // A master that was replaced is of no term.
            term: (!self.is_replica() && !self.is_stale_master()).then(|| promises.own_term()),
            began: promises.began(),
            end: self.replication.offset(),
            is_unproven: self.is_unproven(),
        }
    }

    fn acked(&mut self, id: ClientId, offset: u64, fsynced: Option<u64>) {
        let now = self.now_ms();
        let Some(session) = self.replication.master.get_mut(id) else { return };
        if session.acked(offset, fsynced, now) {
            log::notice!("Synchronization with replica {} succeeded", session.name());
        }
        self.look_at_sync(id);
        // Who waits for it looks once a turn, however many acknowledge something in it.
        self.replication.acks_came = true;
        self.clients.queue_write(id);
    }

    /// SYNC and PSYNC.
    pub fn sync(&mut self, id: ClientId, args: Args<'_>) -> Result<(), Fail> {
        // A master that asks this is not answered either: what it is sent is no stream.
        if matches!(self.clients.at(id).session.kind, Kind::Replica | Kind::Master) {
            return Ok(());
        }
        let request = if args.is(0, "psync") { Some(self.psync_request(id, args)?) } else { None };
        let was_replica = self.is_replica();
        let node = self.admit_replica(id, request.as_ref())?;
        let own = self.own_name();
        // Whoever hands over to this node makes its link anew by itself.
        let is_same = was_replica != self.is_replica()
            || self.clients.at(id).feed.announced.told.is_none_or(|told| told == (own.term, own.is_unproven));
        if !is_same {
            log::notice!(
                "A replica comes with what it was told before this node's term changed: it has to come again."
            );
            self.clients.close_soon(id);
            return Ok(());
        }
        let peer_ip = self.become_replica(id);
        let now = self.now_ms();
        let announced = self.clients.at(id).feed.announced.clone();
        let peer = Peer { run_id: announced.run_id, address: announced.name(&peer_ip) };
        let is_channel = announced.rdb_channel;
        let applicant = Applicant { key: id, announced, peer_ip, request: request.as_ref() };
        let r = &mut self.replication;
        let (answer, reports) = r.master.answer(applicant, &r.history, &r.log, &node, now);
        reports.iter().for_each(log_report);
        if !matches!(answer, Answer::TryLater { .. } | Answer::NoMain { .. }) {
            self.sync_granted(id, peer, is_channel, request.as_ref());
        }
        self.answer_replica(id, answer)?;
        if let Some(request) = &request {
            self.replica_came(id, request);
        }
        let r = &mut self.replication;
        if let Some(from) = r.master.get(id).and_then(Session::needs_from) {
            r.log.hold_from(from);
        }
        self.tell_below();
        Ok(())
    }

    fn psync_request(&mut self, id: ClientId, args: Args<'_>) -> Result<PsyncRequest, Fail> {
        let words: Vec<&[u8]> = args.iter().skip(1).collect();
        PsyncRequest::parse(&words).map_err(|text| {
            let client = self.clients.at(id);
            let name = client.feed.announced.name(&peer_ip(&client.connection.peer.address));
            log::notice!("Replica {name} asks for synchronization but with a wrong offset");
            Fail::text(text.to_string())
        })
    }

    /// Whether this node may serve a replica at all. One that asks for a failover makes it a master first.
    fn admit_replica(&mut self, id: ClientId, request: Option<&PsyncRequest>) -> Result<NodeFacts, Fail> {
        let client = self.clients.at(id);
        let announced = &client.feed.announced;
        let facts = SyncFacts {
            request,
            capa_eof: announced.capa.eof,
            filtered: announced.filter.is_set(),
            pending_output: client.connection.outbox.output.pending() > 0,
            run_id: announced.run_id,
        };
        let r = &self.replication;
        let mut node = NodeFacts {
            is_replica: r.is_replica(),
            link_up: r.link.as_ref().is_some_and(|l| l.state.is_up()),
            has_whole_data: r.link.as_ref().is_some_and(|l| l.state.has_whole_data() && r.log.is_active()),
            failing_over: !r.failover.is_idle(),
        };
        let own_master = r.link.as_ref().and_then(|l| l.state.master_run_id());
        let takes_over =
            refusal(&node, &r.history, r.run_id, own_master, &facts).map_err(|refused| Fail::text(refused.reply()))?;
        // Another leader has fenced this node since: its master hands over what it has no more.
        let known = r.kept.promises.known();
        if takes_over && r.link.as_ref().and_then(|l| l.state.master_epoch()).is_some_and(|epoch| epoch < known) {
            return Err(Fail::text(format!("STALEEPOCH {known} is known here")));
        }
        if takes_over {
            node.is_replica = false;
            log::warning!("Failover request received for replid {}.", r.history.id());
            self.promote(Promoter::Master);
            log::notice!("MASTER MODE enabled (failover request from '{}')", self.client_line(id));
        }
        Ok(node)
    }

    /// From now on the client is a replica. Answers its address without the port.
    fn become_replica(&mut self, id: ClientId) -> String {
        let client = self.clients.at(id);
        client.session.kind = Kind::Replica;
        client.session.replies.mode = rivulet_engine::session::ReplyMode::On;
        let peer_ip = peer_ip(&client.connection.peer.address);
        if self.config.repl_disable_tcp_nodelay
            && let Some(stream) = &self.clients.at(id).connection.stream
        {
            // A socket that refuses the option still works.
            let _ = stream.set_nodelay(false);
        }
        peer_ip
    }

    fn answer_replica(&mut self, id: ClientId, answer: Answer) -> Result<(), Fail> {
        match answer {
            Answer::Continue { reply } => self.reply(id).raw(&reply),
            Answer::TwoChannels { reply } => {
                // Valkey's replica asks again on this connection, when it knows where its snapshot stands.
                if self.replication.master.get(id).is_none() {
                    self.clients.at(id).session.kind = Kind::Normal;
                }
                self.reply(id).raw(&reply);
            }
            Answer::TryLater { error } | Answer::NoMain { error } => {
                self.clients.at(id).session.kind = Kind::Normal;
                return Err(Fail::text(error));
            }
            Answer::Full { log: need } => {
                self.make_log(need);
                self.join_snapshot(id);
                self.replication_tick();
            }
        }
        Ok(())
    }

    /// Makes the log that a full sync needs.
    pub(super) fn make_log(&mut self, need: LogNeed) {
        match need {
            LogNeed::Nothing => {}
            LogNeed::Create => self.replication.log.create(),
            LogNeed::CreateWithNewId => {
                let new = random_id(&mut self.engine.rng);
                let r = &mut self.replication;
                r.history.adopt(new);
                r.log.create();
                log_report(&backlog_created_report(&r.history));
                self.log_history_changed();
            }
        }
    }

    /// Tells the log what the replicas need. Who comes is told of at once ([`Node::sync`]); the rest may wait for the end of a turn.
    fn update_hold(&mut self) {
        let r = &mut self.replication;
        r.hold_changed = false;
        let slowest = r.master.slowest();
        r.log.hold(slowest.map(|slowest| slowest.from));
        self.check_held(slowest);
    }

    /// A probe came from below (rule 28): it goes on upwards, or has come round.
    fn probe_came(&mut self, probe: ReplId) {
        let now = self.now_ms();
        let mut actions = Vec::new();
        if let Some(link) = &mut self.replication.link {
            link.state.probe_came(now, probe, &mut actions);
        }
        self.follow_actions(actions);
    }

    /// The nodes below have changed: the master above is told, if there is one.
    fn tell_below(&mut self) {
        if self.replication.dropping_replicas || self.replication.link.is_none() {
            return;
        }
        let now = self.now_ms();
        let below = self.replication.master.below(now);
        let mut actions = Vec::new();
        if let Some(link) = &mut self.replication.link {
            link.state.set_below(now, below, &mut actions);
        }
        self.follow_actions(actions);
    }

    // ---- sending ----

    /// Sends a replica what it can have now. Answers whether it wants more than its socket took.
    pub fn write_replica(&mut self, id: ClientId) -> bool {
        let Some(client) = self.clients.get_mut(id) else { return false };
        if !client.is_replica() || client.connection.closing || client.connection.outbox.output.pending() > 0 {
            return false;
        }
        if client.feed.payload.is_some() && self.write_payload(id) {
            return true;
        }
        let Some(client) = self.clients.get_mut(id) else { return false };
        if client.feed.payload.is_some() || client.connection.closing {
            return false;
        }
        let Some(stream) = &mut client.connection.stream else { return false };
        let r = &mut self.replication;
        let mut written = 0;
        loop {
            let Some(session) = r.master.get_mut(id) else { return false };
            let slices = match session.to_send(&r.log, STREAM_BYTES_MAX) {
                None => return false,
                Some(Ok(slices)) => slices,
                Some(Err(ReadError::OnDisk)) => return self.write_piece(id),
                Some(Err(_)) => {
                    log::warning!(
                        "Replica {} needs bytes that have left the backlog: disconnecting it.",
                        session.name()
                    );
                    self.clients.close_soon(id);
                    return false;
                }
            };
            let io: smallvec::SmallVec<[IoSlice<'_>; SLICES_MAX]> = slices.take(SLICES_MAX).map(IoSlice::new).collect();
            match stream.write_vectored(&io) {
                Ok(0) => return true,
                Ok(n) => {
                    session.sent(n as u64);
                    written += n;
                    self.ops.stats.traffic.output_bytes += n as u64;
                    self.ops.stats.traffic.repl_output_bytes += n as u64;
                    if written >= STREAM_BYTES_MAX {
                        return true;
                    }
                }
                Err(e) => {
                    log::verbose!("Error writing to replica: {}", os_error(&e));
                    self.clients.close_soon(id);
                    return false;
                }
            }
        }
    }

    /// Sends a replica what has left the memory. Answers whether it wants more than its socket took.
    fn write_piece(&mut self, id: ClientId) -> bool {
        let Some(client) = self.clients.get_mut(id) else { return false };
        let r = &mut self.replication;
        let before = r.log.send_before();
        let Some(session) = r.master.get_mut(id) else { return false };
        let cursor = session.cursor();
        let rest = client.feed.piece.as_deref().and_then(|piece| {
            let from = usize::try_from(cursor.checked_sub(piece.offset)?).ok()?;
            piece.bytes.get(from..).filter(|rest| !rest.is_empty())
        });
        let Some(rest) = rest else {
            client.feed.piece = None;
            if !client.feed.piece_wanted {
                client.feed.piece_wanted = true;
                if !self.read_piece(id, cursor) {
                    log::warning!("The replication backlog at {cursor} is not there: {}", self.client_line(id));
                    self.clients.close_soon(id);
                }
            }
            return false;
        };
        let rest = &rest[..rest.len().min(before.saturating_sub(cursor) as usize)];
        let Some(stream) = &mut client.connection.stream else { return false };
        match stream.write(&rest[..rest.len().min(PIECE_BYTES_MAX)]) {
            Ok(n) => {
                session.sent(n as u64);
                self.ops.stats.traffic.output_bytes += n as u64;
                self.ops.stats.traffic.repl_output_bytes += n as u64;
                // The next piece is asked for when this one is sent.
                if n == rest.len() { self.write_replica(id) } else { true }
            }
            Err(e) => {
                log::verbose!("Error writing to replica: {}", os_error(&e));
                self.clients.close_soon(id);
                false
            }
        }
    }

    /// Sends a replica of its snapshot what its socket takes. Answers whether it wants more than that.
    fn write_payload(&mut self, id: ClientId) -> bool {
        let now = self.now_ms();
        let Some(client) = self.clients.get_mut(id) else { return false };
        let (Some(stream), Some(cursor)) = (&mut client.connection.stream, &mut client.feed.payload) else {
            return false;
        };
        let of = cursor.of();
        let payload = self.persist.saving.payloads().find(|payload| Some(payload.mark) == of);
        // Nobody may have data that a kill takes from this node (rule 41).
        let before = self.replication.log.send_before();
        if self.replication.master.get_mut(id).is_some_and(|session| session.cursor() > before) {
            return false;
        }
        let mut written = 0;
        while written < PAYLOAD_BYTES_MAX {
            let wrote = match cursor.next(payload) {
                Ok(Next::Bytes(bytes)) => stream.write(bytes),
                Ok(Next::Read(bytes)) => stream.write(&bytes),
                Ok(Next::Wait) => return false,
                Ok(Next::Fetch(offset)) => {
                    if let Some(payload) = payload {
                        payload.fetch(id, offset);
                    }
                    return false;
                }
                Ok(Next::End) => {
                    client.feed.payload = None;
                    self.payload_sent(id, of);
                    return false;
                }
                Err(e) => Err(e),
            };
            match wrote {
                Ok(0) => return true,
                Ok(n) => {
                    cursor.sent(n);
                    written += n;
                    self.ops.stats.traffic.output_bytes += n as u64;
                    self.ops.stats.traffic.repl_output_bytes += n as u64;
                    self.replication.observed.syncs.payload_sent(id, n as u64);
                    if let Some(session) = self.replication.master.get_mut(id) {
                        session.payload_progress(now);
                    }
                }
                Err(e) => {
                    log::warning!("Write error sending DB to replica: {}", os_error(&e));
                    self.clients.close_soon(id);
                    return false;
                }
            }
        }
        true
    }

    fn payload_sent(&mut self, id: ClientId, of: Option<[u8; 40]>) {
        let now = self.now_ms();
        if let Some(payload) = self.persist.saving.payloads_mut().find(|payload| Some(payload.mark) == of) {
            payload.sent_to += 1;
        }
        let Some((stays, report)) = self.replication.master.payload_sent(id, now) else { return };
        log_report(&report);
        if !stays {
            self.clients.close_soon(id);
        }
        self.end_socket_snapshot_if_sent();
    }

    /// Blocks of a payload have come: all who are being sent it get their turn.
    pub fn send_payload(&mut self) {
        let ids: Vec<ClientId> =
            self.persist.saving.transfers().flat_map(|(_, receivers)| receivers).copied().collect();
        for id in ids {
            if self.clients.get(id).is_some_and(|c| c.feed.payload.is_some() && !c.connection.watching.write) {
                self.flush_replica(id);
            }
        }
        self.drop_sent_blocks();
    }

    fn drop_sent_blocks(&mut self) {
        let (mut held, mut spilled) = (0, 0);
        for (payload, receivers) in self.persist.saving.transfers_mut() {
            let cursors = receivers.iter().filter_map(|id| self.clients.get(*id)?.feed.payload.as_ref());
            let offsets = cursors.filter(|c| c.of() == Some(payload.mark)).filter_map(PayloadCursor::offset);
            let reach = offsets.fold(None, |reach: Option<(u64, u64)>, at| {
                Some(reach.map_or((at, at), |(low, high)| (low.min(at), high.max(at))))
            });
            if reach.is_some_and(|(lowest, fastest)| payload.settle(lowest, fastest)) {
                log::notice!(
                    "A replica takes its full sync slowly: what the others have already waits for it on disk."
                );
            }
            held += payload.held_bytes();
            spilled += payload.spilled_bytes();
        }
        self.ops.stats.peaks.sync_window = self.ops.stats.peaks.sync_window.max(held);
        self.ops.stats.peaks.sync_spill = self.ops.stats.peaks.sync_spill.max(spilled);
    }

    /// Bytes of a payload that were read from disk go to the replicas that asked for them.
    pub fn take_spilled(&mut self) {
        loop {
            let done = self.persist.saving.payloads_mut().find_map(Payload::poll_spill);
            match done {
                None => return,
                Some(SpillDone::Full(e)) => note_spill_failed(&e),
                Some(SpillDone::Piece { client: id, offset, bytes }) => {
                    let Some(cursor) = self.clients.get_mut(id).and_then(|c| c.feed.payload.as_mut()) else { continue };
                    match bytes {
                        Ok(bytes) => {
                            cursor.take_piece(offset, bytes);
                            self.flush_replica(id);
                        }
                        Err(e) => {
                            log::warning!("Reading what a slow replica has not been sent yet: {}", os_error(&e));
                            self.clients.close_soon(id);
                        }
                    }
                }
            }
        }
    }

    // ---- snapshots for replicas ----

    /// A snapshot for the replicas of a group begins.
    fn start_replica_snapshot(&mut self, group: SnapshotGroup) {
        let now = self.now_ms();
        let r = &self.replication;
        let position = Position { id: r.history.id(), offset: r.offset() };
        let started = match group.target {
            Target::Sockets => self.start_socket_snapshot(&group),
            Target::Stored => {
                log::notice!("Starting BGSAVE for SYNC with target: disk");
                self.begin_file_snapshot(Purpose::ReplicasStored, group.rdb_version)
                    .map_err(|_| "BGSAVE for replication failed".to_string())
            }
        };
        if let Err(text) = started {
            log::warning!("{text}");
            for id in group.replicas {
                self.reply(id).error(b"ERR BGSAVE failed, replication can't continue");
                self.clients.at(id).connection.close_after_reply = true;
                self.clients.queue_write(id);
            }
            return;
        }
        self.pause_at(ReplPause::AfterFork);
        let r = &mut self.replication;
        if !r.is_replica() {
            r.encoder.force_select();
        }
        let stream_db = r.encoder.db();
        r.running = Some(RunningSnapshot {
            position,
            target: group.target,
            from_start: true,
            capa: group.capa,
            filter: group.filter,
            rdb_version: group.rdb_version,
        });
        if let Some(running) = &mut self.persist.saving.running {
            running.snapshot.receivers = group.replicas.clone();
        }
        let mark = self.persist.saving.running.as_ref().and_then(|r| r.snapshot.payload.as_ref()).map(|p| p.mark);
        for id in group.replicas {
            let reply = self.replication.master.snapshot_started(id, position, stream_db, group.target, now);
            self.replication.observed.syncs.snapshot_began(id, position.offset);
            self.reply(id).raw(&reply);
            if let Some(mark) = &mark {
                self.clients.at(id).feed.payload = Some(PayloadCursor::made(*mark, marked_header(mark)));
            }
            self.clients.queue_write(id);
        }
        self.update_hold();
    }

    /// Says of the snapshot that is being sent whether its beginning can still be had.
    fn note_head(&mut self) {
        let payload = self.persist.saving.running.as_ref().and_then(|r| r.snapshot.payload.as_ref());
        if let (Some(running), Some(payload)) = (&mut self.replication.running, payload) {
            running.from_start = payload.has_head();
        }
    }

    /// A replica that waits is sent a snapshot that there is already, if one fits.
    fn join_snapshot(&mut self, id: ClientId) {
        self.note_head();
        let now = self.now_ms();
        let candidates = self.replication.running.into_iter().map(|snapshot| (None, snapshot));
        let candidates: Vec<_> = candidates.chain(self.spilled_snapshots()).collect();
        let r = &mut self.replication;
        let mut place = |snapshot| r.master.place(id, snapshot, &r.history, &r.log, now);
        let placed = candidates.iter().find_map(|(mark, snapshot)| match place(Some(snapshot)) {
            (Some(reply), report) => Some((*mark, snapshot.position, reply, report)),
            _ => None,
        });
        let Some((mark, position, reply, report)) = placed else {
            let (_, report) = place(r.running.as_ref());
            return report.iter().for_each(log_report);
        };
        report.iter().for_each(log_report);
        self.reply(id).raw(&reply);
        self.join_payload(id, mark, position);
    }

    /// Snapshots that are made, and that are all on disk for a slow replica: a further one for who comes now would need a further file. Nobody is
    /// sent more of the stream than of the snapshot for that.
    fn spilled_snapshots(&self) -> impl Iterator<Item = (Option<[u8; 40]>, RunningSnapshot)> {
        let end = self.replication.offset();
        self.persist.saving.sending.iter().rev().filter_map(move |Sending { payload, snapshot, .. }| {
            let snapshot = (*snapshot)?;
            let is_near = end.saturating_sub(snapshot.position.offset) <= payload.made_bytes();
            let fits = payload.is_spilled() && payload.has_head() && is_near;
            fits.then_some((Some(payload.mark), RunningSnapshot { from_start: true, ..snapshot }))
        })
    }

    /// It is sent this payload from its beginning: one that is made, or that of the snapshot that runs if that goes to sockets.
    fn join_payload(&mut self, id: ClientId, mark: Option<[u8; 40]>, position: Position) {
        let p = &mut self.persist.saving;
        let (mark, receivers) = match mark {
            Some(mark) => {
                let Some(sending) = p.sending.iter_mut().find(|sending| sending.payload.mark == mark) else { return };
                (mark, &mut sending.receivers)
            }
            None => {
                let Some(Running { snapshot, .. }) = &mut p.running else { return };
                let Some(payload) = &snapshot.payload else { return };
                (payload.mark, &mut snapshot.receivers)
            }
        };
        receivers.push(id);
        self.clients.at(id).feed.payload = Some(PayloadCursor::made(mark, marked_header(&mark)));
        self.replication.observed.syncs.snapshot_began(id, position.offset);
        self.clients.queue_write(id);
    }

    fn start_socket_snapshot(&mut self, group: &SnapshotGroup) -> Result<(), String> {
        log::notice!("Starting BGSAVE for SYNC with target: replicas sockets");
        let mark: [u8; 40] =
            random_id(&mut self.engine.rng).as_str().as_bytes().try_into().map_err(|_| "no mark".to_string())?;
        let form = Form::Rdb { version: group.rdb_version, compress: false, aof_base: false };
        let head = self.snapshot_head(form, group.filter);
        let now = self.now_ms();
        let held: u64 = self.persist.saving.payloads().map(Payload::held_bytes).sum();
        let window = self.config.repl_sync_window.saturating_sub(held);
        let snapshot = Snapshot::begin(
            &mut self.engine.keyspace,
            head,
            Destination::Sockets { mark, window },
            self.front.waker.clone(),
            now,
        )
        .map_err(|e| format!("Can't start a snapshot for replicas: {}", os_error(&e)))?;
        self.persist.saving.running = Some(Running { snapshot, purpose: Purpose::ReplicasSockets });
        self.ops.stats.snapshots += 1;
        log::notice!("Background RDB transfer started by pid {}", std::process::id());
        Ok(())
    }

    /// The serializer of a snapshot for sockets has ended.
    pub fn socket_snapshot_made(&mut self, result: std::io::Result<u64>) {
        if let Err(e) = result {
            log::warning!("Background transfer error: {}", os_error(&e));
            self.end_socket_snapshot();
            return;
        }
        let Some(mut running) = self.persist.saving.running.take() else { return };
        // The last blocks are there. Who has not been sent all goes on with them; the next snapshot need not wait for that.
        if let Some(mut payload) = running.snapshot.payload.take() {
            payload.take_blocks();
            let receivers = std::mem::take(&mut running.snapshot.receivers);
            self.persist.saving.sending.push(Sending { payload, receivers, snapshot: self.replication.running });
        }
        let trash = running.snapshot.cancel(&mut self.engine.keyspace);
        self.free_later(trash);
        self.replication.running = None;
        self.send_payload();
        self.end_socket_snapshot_if_sent();
        self.replication_tick();
    }

    /// Whether one of them is still being sent the payload.
    fn is_being_sent(&self, mark: [u8; 40], receivers: &[ClientId]) -> bool {
        let sent =
            |c: &Client| !c.connection.closing && c.feed.payload.as_ref().and_then(PayloadCursor::of) == Some(mark);
        receivers.iter().any(|id| self.clients.get(*id).is_some_and(sent))
    }

    /// Payloads that nobody is sent any more go, and the snapshot that is made for nobody ends.
    fn end_socket_snapshot_if_sent(&mut self) {
        let sending = std::mem::take(&mut self.persist.saving.sending);
        let (sending, sent) =
            sending.into_iter().partition(|sending| self.is_being_sent(sending.payload.mark, &sending.receivers));
        self.persist.saving.sending = sending;
        for Sending { payload, receivers, .. } in sent {
            let up = receivers.iter().filter(|id| self.replication.master.get(**id).is_some()).count();
            if up == 0 && payload.sent_to < receivers.len() {
                log::warning!("{LAST_DROPPED}");
                continue;
            }
            log::notice!("Diskless rdb transfer, done reading from pipe, {up} replicas still up.");
            log::notice!("Background RDB transfer terminated with success");
        }
        let Some(Running { purpose: Purpose::ReplicasSockets, snapshot }) = &self.persist.saving.running else {
            return;
        };
        let Some(payload) = &snapshot.payload else { return };
        // Who is being freed is no replica any more, and among the clients still.
        let is_there = |id: &ClientId| {
            self.replication.master.get(*id).is_some() && self.clients.get(*id).is_some_and(|c| !c.connection.closing)
        };
        let anyone = snapshot.receivers.iter().any(is_there);
        // A replica that wanted no more than the snapshot may be gone before the serializer has said that it is done.
        if anyone || payload.is_whole() {
            return;
        }
        log::warning!("{LAST_DROPPED}");
        self.end_socket_snapshot();
    }

    fn end_socket_snapshot(&mut self) {
        self.cancel_snapshot();
        self.replication_tick();
    }

    /// Those who are sent the snapshot that is being made.
    pub fn drop_receivers(&mut self) {
        let Some(running) = &self.persist.saving.running else { return };
        let Some(mark) = running.snapshot.payload.as_ref().map(|payload| payload.mark) else { return };
        for id in running.snapshot.receivers.clone() {
            if self.is_being_sent(mark, &[id]) {
                self.clients.close_soon(id);
            }
        }
    }

    /// Ends a snapshot for sockets; its replicas ask again.
    pub fn restart_socket_snapshot(&mut self) {
        if matches!(self.persist.saving.running, Some(Running { purpose: Purpose::ReplicasSockets, .. })) {
            self.end_socket_snapshot();
        }
    }

    /// Replicas that wait for a snapshot in a file.
    fn waiting_for_file(&self) -> Vec<ClientId> {
        let waits = |s: &Session| matches!(s.state(), State::WaitSnapshotEnd { target: Target::Stored, .. });
        self.replication.master.sessions().filter(|(_, s)| waits(s)).map(|(id, _)| id).collect()
    }

    /// The snapshot that replicas may have waited for will never be.
    pub fn snapshot_for_replicas_cancelled(&mut self) {
        if self.replication.running.take().is_some() {
            self.waiting_for_file().into_iter().for_each(|id| self.clients.close_soon(id));
        }
    }

    /// A snapshot in a file has ended: those who waited for it are sent it. Without a path it has failed.
    pub fn stored_snapshot_ended(&mut self, path: Option<&Path>) {
        if self.replication.running.take().is_none() {
            return;
        }
        let open = |path: &Path| rivulet_host::fs::File::open(path).and_then(|f| Ok((f.metadata()?.len, f))).ok();
        for id in self.waiting_for_file() {
            match path.and_then(open) {
                Some((len, file)) => {
                    if let Some(session) = self.replication.master.get_mut(id) {
                        session.snapshot_stored();
                    }
                    self.clients.at(id).feed.payload = Some(PayloadCursor::stored(counted_header(len), file, len));
                    self.clients.queue_write(id);
                }
                None => {
                    log::warning!("SYNC failed. BGSAVE child returned an error");
                    self.clients.close_soon(id);
                }
            }
        }
        self.replication_tick();
    }

    // ---- time ----

    /// What is due at the master's end.
    pub fn replication_tick(&mut self) {
        let now = self.now_ms();
        self.look_at_proof_again();
        self.measure_tick();
        let facts = TickFacts {
            is_replica: self.is_replica(),
            writes_paused: self.life.shutdown.is_some() || !self.replication.failover.is_idle(),
            // A snapshot in the middle of a unit would have half of what the stream brings.
            snapshot_running: self.persist.saving.running.is_some() || self.is_within_unit(),
            log_active: self.replication.log.is_active(),
            log_is_kept: self.persist.log.files.is_aof() || self.front.held.marks,
        };
        // A replica that has all that is made of its snapshot is not the one that holds it up.
        for id in self.persist.saving.transfers().flat_map(|(_, receivers)| receivers) {
            if self.clients.get(*id).is_some_and(|c| c.feed.payload.is_some() && !c.connection.watching.write)
                && let Some(session) = self.replication.master.get_mut(*id)
            {
                session.payload_progress(now);
            }
        }
        if self.replication.master.forget_turned_away(now) {
            self.tell_below();
        }
        let mut actions = Vec::new();
        self.replication.master.tick(now, facts, &mut actions);
        for action in actions {
            self.master_action(action);
        }
        // What was kept for a replica that never asked for it is kept no longer.
        self.check_limits();
        // Nobody is forgotten for long, whatever he waited for.
        self.replication.master.offer_again();
    }

    fn master_action(&mut self, action: MasterAction) {
        match action {
            MasterAction::AppendPing => {
                if let Some(mut own) = self.replication.log.own() {
                    own.append_control(stream::PING);
                }
            }
            MasterAction::SendNewline(id) => {
                if let Some(client) = self.clients.get_mut(id) {
                    client.connection.outbox.output.bytes.push(b'\n');
                    self.clients.queue_write(id);
                }
            }
            MasterAction::Disconnect(id, report) => {
                log_report(&report);
                self.free_client(id);
            }
            MasterAction::FreeLog(report) => {
                let id = random_id(&mut self.engine.rng);
                self.replication.history.adopt(id);
                self.replication.log.free();
                self.log_reset();
                log_report(&report);
            }
            MasterAction::StartSnapshot(group) => self.start_replica_snapshot(group),
        }
    }

    /// What the replicas are owed before the loop sleeps. In a turn that adds nothing to the stream that is nothing, however many there are.
    pub fn replication_before_sleep(&mut self) {
        if self.replication.hold_changed {
            self.update_hold();
        }
        if self.is_replica() {
            self.acknowledge_turn();
        }
        if self.replication.master.is_empty() {
            return;
        }
        if !self.is_replica() && self.replication.failover.is_idle() && self.replication.master.take_getack() {
            self.ask_for_acks();
        }
        if self.front.held.marks && self.replication.failover.is_idle() {
            self.ask_for_synchronous_acks();
        }
        if std::mem::take(&mut self.replication.acks_came) {
            self.serve_acks();
            self.shutdown_progress();
        }
        let r = &mut self.replication;
        let ids: smallvec::SmallVec<[ClientId; 8]> = r.master.offer(r.log.send_before()).collect();
        let grown = r.log.end_offset().abs_diff(r.limits_checked_at);
        if !ids.is_empty() {
            self.offer_stream(&ids);
        } else if grown >= LIMITS_STEP_BYTES {
            self.check_limits();
        }
        self.drop_sent_blocks();
    }

    fn offer_stream(&mut self, ids: &[ClientId]) {
        for &id in ids {
            if self.clients.get(id).is_some_and(|c| !c.connection.watching.write && !c.connection.closing) {
                let more = self.write_replica(id);
                self.watch_write(id, more);
            }
        }
        self.check_limits();
    }

    /// Cuts off replicas for which too much is held, or waits. Who takes nothing for now is looked at, too, when the stream has grown, and once
    /// a second.
    fn check_limits(&mut self) {
        self.replication.limits_checked_at = self.replication.log.end_offset();
        self.update_hold();
        self.check_replica_limits();
    }

    /// Cuts off replicas for which too much waits.
    fn check_replica_limits(&mut self) {
        let (hard, soft, seconds) = self.config.client_output_buffer_limit[1];
        let limit = OutputLimit { hard_bytes: hard, soft_bytes: soft, soft_seconds: seconds };
        let now = self.now_ms();
        let on_disk = self.goes_to_disk();
        let r = &mut self.replication;
        let (end, size) = (r.log.end_offset(), r.log.size());
        let mut over = Vec::new();
        for (id, session) in r.master.sessions_mut() {
            let mut pending = session.pending_bytes(end);
            if on_disk {
                // What waits on disk costs no memory. During a full sync it is kept whatever its size, so that none ends in another.
                let kept = if session.is_online() { self.config.repl_backlog_disk_size } else { u64::MAX };
                pending = pending.saturating_sub(kept);
            }
            if session.over_limit(pending, limit, size, now) {
                over.push(id);
            }
        }
        for id in over {
            if self.clients.get(id).is_some_and(|c| !c.connection.closing) {
                log::warning!(
                    "Client {} scheduled to be closed ASAP for overcoming of output buffer limits.",
                    self.client_line(id)
                );
                self.ops.stats.connections.output_limit += 1;
                self.replication.cut_off.by_output_limit += 1;
                self.clients.close_soon(id);
            }
        }
    }

    // ---- ends ----

    /// A connection goes away that may be a replica's.
    pub fn replica_gone(&mut self, id: ClientId) {
        let now = self.now_ms();
        self.sync_replica_gone(id);
        let Some(Detached { report, partner }) = self.replication.master.detach(id, now) else { return };
        log_report(&report);
        if let Some(partner) = partner {
            self.clients.close_soon(partner);
        }
        if let Some(client) = self.clients.get_mut(id) {
            client.feed.payload = None;
        }
        self.replication.hold_changed = true;
        self.tell_below();
        self.end_socket_snapshot_if_sent();
        // A file that only replicas wanted is of no use when the last of them is gone.
        if let Some(Running { purpose: Purpose::ReplicasStored, .. }) = &self.persist.saving.running
            && self.config.save.is_empty()
            && !self.replication.master.sessions().any(|(_, s)| matches!(s.state(), State::WaitSnapshotEnd { .. }))
        {
            log::notice!("No replica waits for the snapshot any more: cancelling it.");
            self.cancel_snapshot();
        }
        self.shutdown_progress();
    }

    /// All replicas are disconnected, so that they ask again.
    pub fn drop_replicas(&mut self) {
        self.replication.master.forget_promises();
        let ids: Vec<ClientId> = self.replication.master.sessions().map(|(id, _)| id).collect();
        // While some of them are still there, one may be the very master that this node has just begun to follow.
        self.replication.dropping_replicas = true;
        for id in ids {
            self.free_client(id);
        }
        self.replication.dropping_replicas = false;
        self.tell_below();
    }
}

fn note_spill_failed(error: &std::io::Error) {
    log::warning!(
        "What a slow replica has not been sent yet can't be kept on disk, so that it holds up the full sync of the others: {}",
        os_error(error)
    );
}

/// The address without its port.
fn peer_ip(address: &str) -> String {
    let ip = address.rsplit_once(':').map_or(address, |(ip, _)| ip);
    ip.trim_start_matches('[').trim_end_matches(']').to_string()
}
