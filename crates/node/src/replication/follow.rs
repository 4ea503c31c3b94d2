//! The replica's end: does what the link's actions say, and executes the stream.

use std::net::{IpAddr, SocketAddr};

use rivulet_commands::fail::Fail;
use rivulet_engine::asker::Asker;
use rivulet_keyspace::Keyspace;
use rivulet_net::{Interest, Ready, Stream};
use rivulet_replication::failover::{FailoverAction, Request};
use rivulet_replication::history::Ancestor;
use rivulet_replication::position::Position;
use rivulet_replication::replica::{Action, LoadMode};
use rivulet_replication::report::Level;
use rivulet_replication::syncs::Kind;
use rivulet_resp::Args;

use super::{Channel, log_report, random_id};
use crate::front::tokens::{TOKEN_MASTER, TOKEN_RDB_CHANNEL};
use crate::helpers::{self, Helper};
use crate::lifecycle::pauses::PauseWhy;
use crate::log;
use crate::node::Node;
use crate::ops::ReplPause;
use crate::persist::load::{Load, LoadWhy, Place};
use crate::persist::loading::{Framing, Loader, Source};
use crate::process::supervisor;
use crate::replication::Promoter;
use crate::system::{os_error, resolve};

/// Bytes read from the master at one time.
const READ_BYTES: usize = 256 * 1024;
/// Bytes of the stream taken in at one time: what was kept during a full sync is not copied as a whole.
const APPLY_BYTES: usize = 1 << 20;

/// Goes on with a connection that is being made; answers whether it is there, with TLS on it if it is to have that.
fn connect_further(stream: &mut Stream) -> std::io::Result<bool> {
    stream.take_error()?;
    stream.handshake()
}

fn connect_error(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the master closed the connection".to_string(),
        _ => os_error(error),
    }
}

impl Node {
    /// Time passed at the replica's end.
    pub fn follow_tick(&mut self) {
        let now = self.now_ms();
        let fsynced = self.fsynced_offset();
        let is_uncertain = !self.replication.synchronous.is_certain;
        let mut actions = Vec::new();
        if let Some(link) = self.replication.link.as_mut().filter(|link| !link.waits_for_data) {
            link.state.set_fsynced(fsynced);
            link.state.config_mut().is_uncertain = is_uncertain;
            if !link.socket.reading {
                link.state.unread(now);
            }
            link.state.tick(now, &mut actions);
        }
        self.follow_actions(actions);
        self.learn_of_master();
        if self.replication.link.as_mut().is_some_and(|link| std::mem::take(&mut link.makes_anew)) {
            self.make_link_anew("this node tells the master now who it is");
        }
    }

    /// Ends the connection to the master; another one goes on where it stood.
    fn make_link_anew(&mut self, why: &str) {
        let now = self.now_ms();
        self.disconnect_master();
        let mut actions = Vec::new();
        if let Some(link) = &mut self.replication.link {
            link.state.disconnected(now, why, &mut actions);
        }
        self.follow_actions(actions);
    }

    /// The master's socket is ready.
    pub fn master_link_ready(&mut self, event: Ready) {
        let now = self.now_ms();
        let Some(link) = &mut self.replication.link else { return };
        if link.state.role_state() == "connecting" {
            if !event.write && link.socket.watching_write {
                return;
            }
            let mut actions = Vec::new();
            match link.socket.stream.as_mut().map_or(Ok(true), connect_further) {
                Ok(true) => link.state.connected(now, &mut actions),
                Ok(false) => {
                    let write = link.socket.stream.as_ref().is_some_and(Stream::has_unsent);
                    return self.watch_master(true, write);
                }
                Err(e) => link.state.disconnected(now, &connect_error(&e), &mut actions),
            }
            self.watch_master(true, false);
            self.follow_actions(actions);
            return;
        }
        if event.write && link.socket.watching_write {
            self.send_to_master(Vec::new());
        }
        if event.read {
            self.read_master();
        }
    }

    fn read_master(&mut self) {
        let now = self.now_ms();
        let mut buffer = std::mem::take(&mut self.front.spare_input);
        buffer.clear();
        let Some(link) = &mut self.replication.link else { return };
        let Some(stream) = &mut link.socket.stream else { return };
        match stream.read_into(&mut buffer, READ_BYTES) {
            Ok(None) => {}
            Ok(Some(n)) => {
                self.ops.stats.traffic.input_bytes += n as u64;
                self.ops.stats.traffic.repl_input_bytes += n as u64;
                let mut actions = Vec::new();
                link.state.received(now, &buffer, &mut actions);
                self.follow_actions(actions);
                self.note_more_of_master();
            }
            Err(e) => {
                let mut actions = Vec::new();
                link.state.disconnected(now, &os_error(&e), &mut actions);
                let closed = link.socket.stream.take();
                if let Some(stream) = &closed {
                    // Closing the socket takes it out of the poll in any case.
                    let _ = self.front.poll.remove(stream);
                }
                self.follow_actions(actions);
            }
        }
        buffer.clear();
        self.front.spare_input = buffer;
        self.read_master_again();
    }

    /// The master's stream may have something to tell, or to send, that its socket doesn't tell of.
    fn note_more_of_master(&mut self) {
        let Some(link) = &self.replication.link else { return };
        let Some(stream) = &link.socket.stream else { return };
        let (has_more, has_unsent) = (stream.has_more(), stream.has_unsent());
        if has_unsent {
            self.watch_master(link.socket.reading, true);
        }
        if has_more {
            self.read_master();
        }
    }

    /// Reads the master's sockets only while what arrives has somewhere to go.
    pub fn read_master_again(&mut self) {
        let loader_wants = self.persist.loading.load.as_ref().is_none_or(|l| l.loader.wants_bytes());
        let Some(link) = &self.replication.link else { return };
        // What a pause keeps from being executed has a bound, too.
        let kept_by_pause =
            (self.is_paused() || self.is_busy()) && link.incoming.bytes.len() >= link.state.config().early_bytes_max;
        // A script of the stream itself: what follows can't be taken in before it has ended.
        let is_at_work = self.is_busy() && self.runs_script_of(link.incoming.client);
        let applies = !kept_by_pause && !is_at_work && !link.waits_for_disk;
        let read = link.state.wants_read() && applies && (loader_wants || link.state.has_channel());
        let write = link.socket.watching_write;
        let channel_write = link.channel.as_ref().map(|c| c.watching_write);
        self.watch_master(read, write);
        if let Some(write) = channel_write {
            self.watch_channel(loader_wants, write);
        }
    }

    /// Registers or removes interest in the master's socket.
    fn watch_master(&mut self, read: bool, write: bool) {
        let Some(link) = &mut self.replication.link else { return };
        if link.socket.reading == read && link.socket.watching_write == write {
            return;
        }
        (link.socket.reading, link.socket.watching_write) = (read, write);
        if let Some(stream) = &link.socket.stream
            && let Err(e) = self.front.poll.change(stream, TOKEN_MASTER, Interest { read, write })
        {
            log::warning!("Watching the master's link failed: {e}");
        }
    }

    /// Does what the link says.
    pub fn follow_actions(&mut self, actions: Vec<Action<'_>>) {
        let mut adopted = false;
        for action in actions {
            match action {
                Action::Connect => {
                    self.own_sync_asked();
                    self.connect_to_master();
                }
                Action::Send(bytes) => self.send_to_master(bytes),
                Action::Continue(position, forks) => {
                    self.continue_from(position, &forks);
                    self.learn_of_master();
                }
                Action::GivesUp { from } => self.keep_what_is_given_up(from),
                Action::PayloadBegin { len, load, target } => {
                    self.own_sync_began(Kind::Full, target.is_none());
                    self.payload_begins(len, load, target);
                }
                Action::Store(bytes) => {
                    self.replication.observed.syncs.payload_received(bytes.len() as u64);
                    self.with_loader(|loader| loader.push(bytes.into_owned()));
                }
                Action::PayloadEnd => self.with_loader(Loader::end_of_stream),
                Action::OpenChannel => self.open_channel(),
                Action::SendChannel(bytes) => self.send_on_channel(&bytes),
                Action::CloseChannel => self.close_channel(),
                Action::ReplaceData => self.replace_data_when_there_is_some(),
                Action::Load => self.with_loader(Loader::end_of_bytes),
                Action::Adopt(position) => {
                    adopted = true;
                    self.adopt_position(position);
                    // Before anything of it is acknowledged.
                    self.learn_of_master();
                }
                Action::Apply(bytes) => {
                    if adopted {
                        self.pause_at(ReplPause::OnStreamingReplBuf);
                    }
                    self.apply_in_pieces(&bytes);
                }
                Action::Disconnect => {
                    self.own_link_cut();
                    self.disconnect_master();
                }
                Action::FailoverAnswered(accepted) => self.failover_answered(accepted),
                Action::Log(report) => {
                    if report.level == Level::Warning {
                        self.own_link_complained(&report.text);
                    }
                    log_report(&report);
                }
            }
        }
    }

    fn with_loader(&mut self, tell: impl FnOnce(&mut Loader)) {
        if let Some(load) = &mut self.persist.loading.load {
            tell(&mut load.loader);
        }
    }

    /// A partial sync: the stream goes on where it was.
    fn continue_from(&mut self, position: Position, forks: &[Ancestor]) {
        self.own_sync_began(Kind::Partial, false);
        self.own_stream_began(position.offset);
        if self.replication.history.continue_with(position.id, position.offset, forks) {
            self.log_history_changed();
            self.drop_replicas();
        }
        self.replication.log.create();
        self.stream_from(position.offset);
        self.has_masters_data();
        self.life.supervisor.tell(supervisor::CONTINUED);
    }

    /// A full sync has ended: the node stands where its snapshot says, or where it stood, if that says nothing.
    fn adopt_position(&mut self, position: Option<Position>) {
        let r = &mut self.replication;
        match position {
            Some(position) => {
                r.history.adopt(position.id);
                r.log.reset_to(position.offset);
                self.stream_from(position.offset);
            }
            None => {
                r.log.create();
                let offset = r.offset();
                self.stream_from(offset);
            }
        }
        self.log_reset();
        self.has_masters_data();
        let offset = self.replication.offset();
        self.own_stream_began(offset);
    }

    fn apply_in_pieces(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(APPLY_BYTES) {
            // What is no command ends the link, and the rest with it.
            if self.replication.link.as_ref().is_some_and(|link| link.state.is_up()) {
                self.apply_stream(piece);
            }
        }
    }

    fn failover_answered(&mut self, accepted: bool) {
        match self.replication.failover.answered(accepted) {
            Some(action) => self.failover_action(action),
            // The target has taken over: writes that waited here are told that this is a replica now.
            None if accepted => self.end_pause(PauseWhy::Failover),
            None => {}
        }
        if let Some(link) = self.replication.link.as_mut().filter(|_| accepted) {
            // What it was told of the other's term was told before that was a master.
            link.makes_anew |= self.replication.kept.is_durable;
        }
    }

    fn connect_to_master(&mut self) {
        let Some(link) = &mut self.replication.link else { return };
        match link.host.parse() {
            Ok(ip) => self.connect_at(Some(ip)),
            // A name server may take seconds to answer.
            Err(_) => {
                let host = link.host.clone();
                link.socket.resolving =
                    Some(helpers::ask("resolver", self.front.waker.clone(), move || resolve(&host)));
            }
        }
    }

    /// Goes on when the master's name has been looked up.
    pub fn connect_when_resolved(&mut self) {
        let Some(link) = &mut self.replication.link else { return };
        if let Some(answer) = link.socket.resolving.as_ref().and_then(Helper::poll) {
            link.socket.resolving = None;
            self.connect_at(answer.ok().flatten());
        }
    }

    /// Connects to the master at an address; `None` if its name has none.
    fn connect_at(&mut self, ip: Option<IpAddr>) {
        let now = self.now_ms();
        let opened = ip.ok_or_else(|| "Name or service not known".to_string());
        let opened = opened.and_then(|ip| self.open_to_master(ip, TOKEN_MASTER));
        let Some(link) = &mut self.replication.link else { return };
        match opened {
            Ok(stream) => {
                (link.socket.reading, link.socket.watching_write) = (true, true);
                link.socket.output.clear();
                link.socket.stream = Some(stream);
            }
            Err(text) => {
                log::warning!("Unable to connect to MASTER: {text}");
                let mut actions = Vec::new();
                link.state.disconnected(now, &text, &mut actions);
                self.follow_actions(actions);
            }
        }
    }

    /// A connection to the master's port at this address, which is being made and is watched under this token.
    fn open_to_master(&mut self, ip: IpAddr, token: u64) -> Result<Stream, String> {
        let Some(link) = &self.replication.link else { return Err("there is no master".to_string()) };
        let source = self.config.bind_source_addr.parse().ok();
        let mut stream = rivulet_net::connect(SocketAddr::new(ip, link.port), source).map_err(|e| os_error(&e))?;
        if self.config.tls_replication {
            let context = self.front.tls.as_ref().ok_or("TLS is not configured")?;
            stream = stream.into_tls_client(context, ip).map_err(|e| e.to_string())?;
        }
        self.front.poll.add(&stream, token, Interest::BOTH).map_err(|e| os_error(&e))?;
        // A socket that refuses the option still works.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    // ---- the second connection of a full sync over two channels ----

    fn open_channel(&mut self) {
        self.pause_at(ReplPause::BeforeRdbChannel);
        // A name may stand for several servers: it is the one at the other end of the stream.
        let peer = self.replication.link.as_ref().and_then(|link| link.socket.stream.as_ref()?.peer_address());
        let opened = peer.ok_or_else(|| "the link to the master is down".to_string());
        let opened = opened.and_then(|peer| self.open_to_master(peer.ip(), TOKEN_RDB_CHANNEL));
        let Some(link) = &mut self.replication.link else { return };
        match opened {
            Ok(stream) => {
                link.channel = Some(Channel { stream, output: Vec::new(), reading: true, watching_write: true });
            }
            Err(text) => self.channel_lost(&text),
        }
    }

    /// The second connection's socket is ready.
    pub fn rdb_channel_ready(&mut self, event: Ready) {
        let now = self.now_ms();
        let Some(link) = &mut self.replication.link else { return };
        let Some(channel) = &mut link.channel else { return };
        if link.state.is_channel_connecting() {
            if !event.write && channel.watching_write {
                return;
            }
            match connect_further(&mut channel.stream) {
                Ok(true) => {
                    let mut actions = Vec::new();
                    link.state.channel_connected(now, &mut actions);
                    self.follow_actions(actions);
                }
                Ok(false) => {
                    let write = channel.stream.has_unsent();
                    self.watch_channel(true, write);
                }
                Err(e) => self.channel_lost(&connect_error(&e)),
            }
            return;
        }
        if event.write && channel.watching_write {
            self.send_on_channel(&[]);
        }
        if event.read {
            self.read_channel();
        }
    }

    fn read_channel(&mut self) {
        let now = self.now_ms();
        let mut buffer = std::mem::take(&mut self.front.spare_input);
        buffer.clear();
        let Some(link) = &mut self.replication.link else { return };
        let Some(channel) = &mut link.channel else { return };
        match channel.stream.read_into(&mut buffer, READ_BYTES) {
            Ok(None) => {}
            Ok(Some(n)) => {
                self.ops.stats.traffic.input_bytes += n as u64;
                self.ops.stats.traffic.repl_input_bytes += n as u64;
                let mut actions = Vec::new();
                link.state.channel_received(now, &buffer, &mut actions);
                self.follow_actions(actions);
                self.note_more_of_channel();
            }
            Err(e) => self.channel_lost(&os_error(&e)),
        }
        buffer.clear();
        self.front.spare_input = buffer;
        self.read_master_again();
    }

    fn note_more_of_channel(&mut self) {
        let Some(channel) = self.replication.link.as_ref().and_then(|link| link.channel.as_ref()) else { return };
        let (has_more, has_unsent) = (channel.stream.has_more(), channel.stream.has_unsent());
        if has_unsent {
            self.watch_channel(channel.reading, true);
        }
        if has_more {
            self.read_channel();
        }
    }

    fn channel_lost(&mut self, reason: &str) {
        let now = self.now_ms();
        self.close_channel();
        let mut actions = Vec::new();
        if let Some(link) = &mut self.replication.link {
            link.state.channel_disconnected(now, reason, &mut actions);
        }
        self.follow_actions(actions);
    }

    fn send_on_channel(&mut self, bytes: &[u8]) {
        let Some(channel) = self.replication.link.as_mut().and_then(|l| l.channel.as_mut()) else { return };
        channel.output.extend_from_slice(bytes);
        // A connection that is broken is found out by its next read.
        let taken = channel.stream.write(&channel.output).unwrap_or(0);
        channel.output.drain(..taken);
        self.ops.stats.traffic.output_bytes += taken as u64;
        let (read, write) = (channel.reading, !channel.output.is_empty() || channel.stream.has_unsent());
        self.watch_channel(read, write);
    }

    fn watch_channel(&mut self, read: bool, write: bool) {
        let Some(channel) = self.replication.link.as_mut().and_then(|l| l.channel.as_mut()) else { return };
        if (channel.reading, channel.watching_write) == (read, write) {
            return;
        }
        (channel.reading, channel.watching_write) = (read, write);
        if let Err(e) = self.front.poll.change(&channel.stream, TOKEN_RDB_CHANNEL, Interest { read, write }) {
            log::warning!("Watching the RDB channel failed: {e}");
        }
    }

    fn close_channel(&mut self) {
        if let Some(channel) = self.replication.link.as_mut().and_then(|l| l.channel.take()) {
            // Closing the socket takes it out of the poll in any case.
            let _ = self.front.poll.remove(&channel.stream);
        }
    }

    fn disconnect_master(&mut self) {
        self.close_channel();
        let Some(link) = &mut self.replication.link else { return };
        link.socket.resolving = None;
        if let Some(stream) = link.socket.stream.take() {
            // As above.
            let _ = self.front.poll.remove(&stream);
        }
        link.socket.output.clear();
        link.socket.watching_write = false;
        link.incoming.bytes.clear();
        link.incoming.executed = 0;
        link.incoming.decoder.rewind();
        link.incoming.applied.discard();
        let client = link.incoming.client;
        if let Some(client) = self.clients.get_mut(client) {
            client.session.multi = None;
        }
        // A load from this link that is not whole is given up.
        if let Some(load) = self.persist.loading.load.take_if(|l| l.why == LoadWhy::FullSync) {
            self.give_up_load(load);
        }
    }

    /// Sends bytes to the master, after those that its socket has not taken yet.
    pub(super) fn send_to_master(&mut self, bytes: Vec<u8>) {
        let Some(link) = &mut self.replication.link else { return };
        link.socket.output.extend_from_slice(&bytes);
        let Some(stream) = &mut link.socket.stream else { return };
        // A link that is broken is found out by its next read.
        let taken = stream.write(&link.socket.output).unwrap_or(0);
        link.socket.output.drain(..taken);
        self.ops.stats.traffic.output_bytes += taken as u64;
        let (read, write) = (link.socket.reading, !link.socket.output.is_empty() || stream.has_unsent());
        self.watch_master(read, write);
    }

    /// REPLCONF GETACK stood in the stream.
    pub fn answer_getack(&mut self, always: bool) {
        let now = self.now_ms();
        let fsynced = self.fsynced_offset();
        let mut actions = Vec::new();
        if let Some(link) = &mut self.replication.link {
            link.state.set_fsynced(fsynced);
            link.state.getack(now, always, &mut actions);
        }
        self.follow_actions(actions);
    }

    // ---- full sync ----

    fn payload_begins(&mut self, len: Option<u64>, mode: LoadMode, target: Option<Position>) {
        let removes = self.config.rdb_del_sync_files && self.config.save.is_empty() && !self.config.appendonly;
        let path = self.rdb_path_for_long();
        // Nothing is given up for what is decoded while it comes, if there is nothing. A delay that is asked for is one of the load.
        let early = self.engine.keyspace.is_empty() && self.config.key_load_delay == 0;
        let same_history = target.is_some_and(|t| t.id == self.replication.history.id());
        let framing = if len.is_some() { Framing::Counted } else { Framing::Marked };
        let (source, place) = match mode {
            LoadMode::AfterTransfer if early => {
                (Source::Early { path: (!removes).then_some(path), framing }, Place::Early)
            }
            LoadMode::AfterTransfer => (Source::Stored { path, remove: removes, framing }, Place::Databases),
            LoadMode::InPlace => (Source::Stream { framing }, Place::Databases),
            LoadMode::Beside if same_history => (Source::Stream { framing }, Place::ServingOld),
            LoadMode::Beside => (Source::Stream { framing }, Place::HidingOld),
        };
        if let Err(text) = self.begin_load(source, LoadWhy::FullSync, place) {
            let now = self.now_ms();
            let mut actions = Vec::new();
            if let Some(link) = &mut self.replication.link {
                link.state.loaded(now, Err(&text), &mut actions);
            }
            self.follow_actions(actions);
            return;
        }
        if let Some(load) = &mut self.persist.loading.load {
            load.loader.total = len.unwrap_or(0);
        }
    }

    fn has_masters_data(&mut self) {
        self.replication.truth.is_stranger = false;
        if let Some(link) = &mut self.replication.link {
            link.has_its_data = true;
        }
    }

    /// A stored snapshot takes the old data's place when all of it was gone through, and the first of its entries comes: there may be none (rule
    /// 30).
    pub fn replace_data_when_there_is_some(&mut self) {
        let refuses = self.refusal_of_empty().is_some();
        match &mut self.persist.loading.load {
            Some(load) if load.is_unchecked => load.replaces_when_checked = true,
            Some(load) if refuses && load.beside.as_ref().is_none_or(Keyspace::is_empty) => {
                load.replaces_with_first = true;
            }
            _ => self.replace_data(),
        }
    }

    /// The old data goes (rule 7).
    pub fn replace_data(&mut self) {
        self.has_other_data();
        self.drop_replicas();
        if self.persist.saving.is_saving() {
            // What it saves would take the place of what is loaded now.
            self.cancel_snapshot();
        }
        let id = random_id(&mut self.engine.rng);
        self.replication.history.adopt(id);
        self.replication.log.free();
        self.log_reset();
        self.engine.keys.own_expiring.clear();
        self.replication.truth.diverged = None;
        let mut beside = self.persist.loading.loaded_beside.take();
        if let Some(load) = &mut self.persist.loading.load {
            // What was decoded early; the rest follows.
            beside = beside.or_else(|| load.beside.take());
            load.replaces = true;
        }
        match beside {
            Some(beside) => {
                for db in 0..self.engine.keyspace.databases() {
                    self.break_watches_of_db(db, None);
                }
                self.invalidate_all();
                let trash = self.engine.keyspace.replace(beside);
                self.free_later(trash);
            }
            None => self.empty_all(self.config.replica_lazy_flush),
        }
    }

    /// Gives up a load: half a snapshot is no data.
    pub fn give_up_load(&mut self, load: Load) {
        if let Some(beside) = load.beside {
            self.free_later(beside.into_trash());
        }
        if load.replaces {
            self.empty_all(self.config.replica_lazy_flush);
        }
    }

    /// All databases are emptied, without an event and without the stream.
    pub fn empty_all(&mut self, lazy: bool) {
        for db in 0..self.engine.keyspace.databases() {
            self.break_watches_of_db(db, None);
            let trash = self.engine.keyspace.flush(db);
            if lazy || trash.is_some() {
                self.free_later(trash);
            }
        }
        self.invalidate_all();
    }

    /// The loader of a full sync has ended.
    pub fn full_sync_loaded(&mut self, load: Load, mut result: Result<(), String>) {
        let now = self.now_ms();
        let is_empty = load.beside.as_ref().is_some_and(|beside| beside.is_empty()) || load.replaces_with_first;
        let mut keeps_old = false;
        if result.is_ok()
            && is_empty
            && let Some(text) = self.refusal_of_empty()
        {
            log::warning!("Full sync refused: {text}.");
            result = Err(text);
        }
        let ok = result.is_ok();
        let diverged = load.identity.diverged;
        if load.replaces_with_first || load.replaces_when_checked {
            match ok {
                // It is empty, and so is the master: that was allowed.
                true => self.replace_data(),
                false => keeps_old = true,
            }
        }
        if !ok && load.replaces {
            self.empty_all(self.config.replica_lazy_flush);
        }
        match ok {
            true => self.scripts.load_ended(),
            false => self.scripts.load_begins(),
        }
        match load.beside {
            Some(beside) if ok => self.persist.loading.loaded_beside = Some(beside),
            beside => self.free_later(beside.into_iter().flat_map(Keyspace::into_trash)),
        }
        let db = load.identity.stream_db;
        let mut actions = Vec::new();
        if let Some(link) = &mut self.replication.link {
            link.state.loaded(now, result.as_ref().copied().map_err(String::as_str), &mut actions);
            if keeps_old {
                link.state.kept_old_data();
            }
        }
        if let (true, Some(db)) = (ok, db) {
            self.replication.encoder.resume_in(db);
            if let Some(client) = self.replication.link.as_ref().map(|l| l.incoming.client) {
                self.clients.at(client).session.db = db as usize;
            }
        }
        self.persist.saving.dirty = 0;
        self.follow_actions(actions);
        if ok && diverged {
            self.note_diverged(|| "the master's data had diverged when it sent them".to_string());
        }
        self.read_master_again();
        if ok {
            self.life.supervisor.tell(supervisor::SYNCED);
            self.engine.blocking.note_replaced(&self.engine.keyspace);
            self.engine.blocking.note_lost(&(0..self.engine.keyspace.databases()).collect::<Vec<_>>());
        }
    }

    /// The link is cut and made again (CLIENT KILL).
    pub fn reconnect_master(&mut self) {
        let now = self.now_ms();
        let mut actions = Vec::new();
        if let Some(link) = &mut self.replication.link {
            link.state.reconnect(now, &mut actions);
        }
        self.follow_actions(actions);
    }

    // ---- failover ----

    /// FAILOVER (rule 38).
    pub fn failover(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let words: Vec<&[u8]> = args.iter().skip(1).collect();
        let request = Request::parse(&words).map_err(|text| Fail::text(text.to_string()))?;
        if request == Request::Abort {
            match self.replication.failover.abort("Failover manually aborted") {
                Some(action) => self.failover_action(action),
                None => return Err(Fail::new("ERR No failover in progress.")),
            }
            by.reply.ok();
            return Ok(());
        }
        if self.is_unproven() || self.is_stale_master() {
            return Err(Fail::new(
                "ERR FAILOVER hands over what this master has, and others may have acknowledged more.",
            ));
        }
        let now = self.now_ms();
        let is_replica = self.is_replica();
        let r = &mut self.replication;
        let report = r.failover.start(request, is_replica, &r.master, now).map_err(Fail::text)?;
        log_report(&report);
        self.life.pauses.begin(PauseWhy::Failover, u64::MAX, true);
        // The target's acknowledgement is wanted now, not within a second.
        self.ask_for_acks();
        by.reply.ok();
        Ok(())
    }

    pub fn failover_action(&mut self, action: FailoverAction) {
        match action {
            FailoverAction::HandOver(address, report) => {
                log_report(&report);
                self.follow(&address.host, address.port);
                if let Some(link) = &mut self.replication.link {
                    link.state.request_failover();
                }
            }
            FailoverAction::Abort { was_handing_over, report } => {
                log_report(&report);
                if was_handing_over {
                    self.promote(Promoter::Again);
                }
                self.end_pause(PauseWhy::Failover);
            }
        }
    }
}
