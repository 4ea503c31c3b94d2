//! Replication, as commands and the loop need it: what goes to the stream, who follows whom, and what is told.

use rivulet_commands::fail::Fail;
use rivulet_config::{Config, DisklessLoad};
use rivulet_engine::asker::{Asker, Origin};
use rivulet_engine::blocked::{BlockedOn, Wish};
use rivulet_engine::session::Kind;
use rivulet_replication::apply::Applied;
use rivulet_replication::history::History;
use rivulet_replication::master::promoted_report;
use rivulet_replication::position::{Position, ReplId};
use rivulet_replication::replica::{LinkConfig, LoadMode, Login, ReplicaLink, Shown};
use rivulet_replication::stream::{self};
use rivulet_resp::{Args, Decoder};

use super::stream_log::Role;
use super::{Incoming, Link, MasterSocket, Promoter, log_report, master_config, random_id};
use crate::log;
use crate::node::Node;
use crate::ops::ReplPause;
use crate::persist::load::Identity;
use crate::persist::log_on_disk::segment_bytes;

/// The version that a master is told of: a Valkey sends no fields with deadlines to one below 9, whose RDB files this server reads.
const RDB_READER_VERSION: &str = "9.0.0";

fn login(config: &Config) -> Login {
    let some = |bytes: &Vec<u8>| (!bytes.is_empty()).then(|| bytes.clone());
    Login { user: some(&config.masteruser), password: some(&config.masterauth) }
}

/// What the master shows of this replica.
fn shown(config: &Config) -> Shown {
    // The port at which it is reached in the way in which it reaches its master.
    let speaks_tls = config.tls_replication && config.tls_port != 0;
    let announced_port = Some(config.replica_announce_port).filter(|&port| port != 0);
    Shown {
        port: announced_port.unwrap_or(if speaks_tls { config.tls_port } else { config.port }),
        ip: (!config.replica_announce_ip.is_empty()).then(|| config.replica_announce_ip.clone()),
        version: Some(RDB_READER_VERSION.to_string()),
    }
}

impl Node {
    /// Whether writes go to the stream here. A replica never adds to the stream that it receives.
    #[inline]
    pub fn wants_stream(&self) -> bool {
        !self.replication.is_replica() && self.replication.log.is_active() && self.persist.loading.replayer.is_none()
    }

    /// Appends one command of its own unit to the stream.
    pub fn propagate_now(&mut self, db: usize, args: Args<'_>) {
        let r = &mut self.replication;
        let Some(mut own) = r.log.own() else { return };
        r.scratch.clear();
        match args.wire() {
            // The commonest case: the bytes go from where they arrived to the log.
            Some(bytes) if r.encoder.goes_on_in(db as u32) => {
                own.append(bytes);
                return;
            }
            Some(bytes) => r.encoder.encoded(db as u32, bytes, &mut r.scratch),
            None => {
                let mut bytes = Vec::new();
                args.append_to(&mut bytes);
                r.encoder.encoded(db as u32, &bytes, &mut r.scratch);
            }
        }
        own.append(&r.scratch);
    }

    /// Appends the writes of a unit to the stream, in MULTI when there are several.
    pub fn propagate_unit(&mut self) {
        let unit = std::mem::take(&mut self.engine.unit.commands);
        let no_multi = std::mem::take(&mut self.engine.unit.no_multi);
        if !self.wants_stream() {
            return;
        }
        let words: Vec<(u32, Vec<&[u8]>)> =
            unit.iter().map(|(db, args)| (*db as u32, args.as_args().iter().collect())).collect();
        let writes: Vec<(u32, &[&[u8]])> = words.iter().map(|(db, args)| (*db, args.as_slice())).collect();
        let r = &mut self.replication;
        let Some(mut own) = r.log.own() else { return };
        r.scratch.clear();
        if no_multi {
            r.encoder.sequence(&writes, &mut r.scratch);
        } else {
            r.encoder.unit(&writes, &mut r.scratch);
        }
        own.append(&r.scratch);
    }

    /// Whether a master must refuse writes for want of good replicas.
    pub fn too_few_good_replicas(&self) -> bool {
        self.config.min_replicas_to_write > 0 && !self.replication.master.may_write(self.now_ms())
    }

    /// Tells both ends what the configuration says now.
    pub fn apply_replication_config(&mut self) {
        self.replication.master.set_config(master_config(&self.config));
        let config = self.link_config(String::new(), 0, ReplId::ZERO);
        if let Some(link) = &mut self.replication.link {
            let (host, port, probe) = (link.host.clone(), link.port, link.state.config().probe);
            *link.state.config_mut() = LinkConfig { host, port, probe, ..config };
        }
        self.persist.log.files.set_segment_bytes_max(segment_bytes(&self.config));
        self.size_backlog();
        self.look_at_synchronous();
    }

    fn link_config(&self, host: String, port: u16, probe: ReplId) -> LinkConfig {
        LinkConfig {
            host,
            port,
            timeout: self.config.repl_timeout * 1000,
            login: login(&self.config),
            shown: shown(&self.config),
            run_id: self.replication.run_id,
            acks_by_itself: true,
            is_uncertain: !self.replication.synchronous.is_certain,
            node_id: self.replication.kept.is_durable.then_some(self.replication.kept.promises.node_id),
            terms: self.replication.kept.promises.terms().to_vec(),
            probe,
            load: match self.config.repl_diskless_load {
                DisklessLoad::Disabled => LoadMode::AfterTransfer,
                DisklessLoad::OnEmptyDb if self.engine.keyspace.is_empty() => LoadMode::InPlace,
                DisklessLoad::OnEmptyDb => LoadMode::AfterTransfer,
                DisklessLoad::Swapdb => LoadMode::Beside,
            },
            dual_channel: self.config.dual_channel_replication_enabled,
            rdb_channel: self.config.repl_rdb_channel,
            early_bytes_max: self.early_bytes_max(),
        }
    }

    /// `replica-full-sync-buffer-limit`; without one, the hard limit that replicas have.
    fn early_bytes_max(&self) -> usize {
        let limits = [self.config.replica_full_sync_buffer_limit, self.config.client_output_buffer_limit[1].0];
        limits.into_iter().find(|&limit| limit != 0).map_or(usize::MAX, |limit| limit as usize)
    }

    /// Stops the process here, if DEBUG REPL-PAUSE says so, until somebody continues it.
    pub(super) fn pause_at(&self, step: ReplPause) {
        if self.ops.debug.repl_pause == Some(step) {
            log::notice!("Process is about to stop.");
            if let Err(e) = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP) {
                log::warning!("The process can't stop itself: {e}");
            }
            log::notice!("Process has been continued.");
        }
    }

    // ---- roles ----

    /// REPLICAOF, from a client, the configuration or a failover.
    pub fn follow(&mut self, host: &str, port: u16) {
        let was_master = !self.is_replica();
        // What this node has done as a master is in the stream before it takes another's, but for a transaction that has not ended: Redis's replicas
        // get nothing of one that changes the role.
        let mut cut = std::mem::take(&mut self.engine.unit.commands);
        cut.retain(|_| was_master);
        self.replication.log.set_role(Role::Replica);
        self.config.replicaof = Some((host.to_string(), port));
        let now = self.now_ms();
        let mut actions = Vec::new();
        match &mut self.replication.link {
            Some(link) => {
                (link.host, link.port) = (host.to_string(), port);
                link.has_its_data = false;
                link.state.config_mut().probe = random_id(&mut self.engine.rng);
                link.state.retarget(now, host, port, &mut actions);
            }
            None => {
                // A master that is demoted resumes from its own position (rule 10).
                let cached = self
                    .replication
                    .log
                    .is_active()
                    .then(|| self.replication.history.position_at(self.replication.offset()));
                if cached.is_some() {
                    log::notice!(
                        "Before turning into a replica, using my own master parameters to synthesize a cached master: I may be able to synchronize with the new master with just a partial transfer."
                    );
                }
                self.attach_link(host, port, cached);
            }
        }
        if !cut.is_empty() {
            self.note_role_changed_within();
        }
        if was_master {
            self.log_history_changed();
            self.role_changed();
        }
        // It is in the data all the same, and a restart should have what a replica that is sent them has.
        cut.into_iter().for_each(|(db, args)| self.note_own_write(db, &[args]));
        self.follow_actions(actions);
    }

    /// Makes the link; it connects with the next tick.
    pub fn attach_link(&mut self, host: &str, port: u16, cached: Option<Position>) {
        let now = self.now_ms();
        let probe = random_id(&mut self.engine.rng);
        let config = self.link_config(host.to_string(), port, probe);
        let mut state = ReplicaLink::new(config, cached, true, now);
        state.set_fence(self.replication.kept.promises.fence());
        let client = self.clients.add(None, now);
        client.session.kind = Kind::Master;
        client.session.login = rivulet_engine::session::Login::superuser();
        client.connection.peer.address = format!("{host}:{port}");
        client.session.db = self.replication.encoder.db().unwrap_or(0) as usize;
        let client = client.id;
        self.replication.link = Some(Link {
            state,
            host: host.to_string(),
            port,
            socket: MasterSocket {
                resolving: None,
                stream: None,
                output: Vec::new(),
                reading: true,
                watching_write: false,
            },
            channel: None,
            incoming: Incoming {
                client,
                applied: Applied::from(self.replication.offset()),
                decoder: Decoder::default(),
                bytes: Vec::new(),
                executed: 0,
            },
            waits_for_data: false,
            waits_for_disk: false,
            rests_for_disk: false,
            has_its_data: false,
            makes_anew: false,
        });
        log::set_role(b'S');
        // The log has the reason if it can't be changed.
        let _ = self.adjust_oom_score();
    }

    /// Why a master's snapshot without any data is not taken over, if it is not (rule 30).
    pub fn refusal_of_empty(&self) -> Option<String> {
        let has_its_data = self.replication.link.as_ref().is_some_and(|link| link.has_its_data);
        let keys: usize = self.engine.keyspace.iter().map(rivulet_keyspace::Db::len).sum();
        (self.config.repl_require_data && has_its_data && keys > 0).then(|| {
            format!(
                "the master has lost its data: its snapshot is empty, and this replica has {keys} keys that came from it. They are kept. Promote this replica (REPLICAOF NO ONE), or set repl-require-data to no to make it as empty as its master"
            )
        })
    }

    /// Clients whose wait makes no sense in the new role are told.
    fn role_changed(&mut self) {
        self.close_who_waits_for_replicas();
        self.look_at_synchronous();
        for id in self.clients.ids() {
            let waits = self.clients.get(id).is_some_and(|c| {
                matches!(
                    c.session.blocked.as_deref().map(|b| &b.reason),
                    Some(BlockedOn::Keys { .. } | BlockedOn::Acks { .. } | BlockedOn::Migrate | BlockedOn::Verify)
                )
            });
            if waits {
                self.unblock_with_error(
                    id,
                    b"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
                );
                self.clients.at(id).connection.close_after_reply = false;
            }
        }
        self.abandon_migrations();
    }

    /// REPLICAOF NO ONE and its like (rule 5).
    pub fn promote(&mut self, by: Promoter) {
        let Some(link) = self.replication.link.take() else { return };
        self.own_sync_ended();
        let now = self.now_ms();
        self.config.replicaof = None;
        self.replication.log.set_role(Role::Master);
        log::set_role(b'M');
        let id = random_id(&mut self.engine.rng);
        let offset = self.replication.offset();
        self.replication.truth.is_stranger = false;
        if self.replication.truth.diverged.take().is_some() {
            // Others at this position have other data: nobody may go on from here with theirs.
            self.replication.history.adopt(id);
            log::warning!(
                "The data are not those of the former master: this node begins a history of its own, as {id}."
            );
        } else {
            self.replication.history.promote(id, offset);
            log_report(&promoted_report(&self.replication.history));
        }
        if let Some(load) = self.persist.loading.load.take_if(|l| l.why == crate::persist::load::LoadWhy::FullSync) {
            self.give_up_load(load);
        }
        for stream in link.socket.stream.iter().chain(link.channel.as_ref().map(|channel| &channel.stream)) {
            // Closing the socket takes it out of the poll in any case.
            let _ = self.front.poll.remove(stream);
        }
        let client = link.incoming.client;
        let mut actions = Vec::new();
        link.state.stop(now, &mut actions);
        self.free_client(client);
        for action in actions {
            if let rivulet_replication::replica::Action::Log(report) = action {
                log_report(&report);
            }
        }
        self.replication.master.replicas_may_come(now);
        self.replication.log.create();
        self.replication.encoder.force_select();
        self.log_history_changed();
        self.drop_replicas();
        self.engine.keys.own_expiring.clear();
        self.promoted_by(by);
        self.look_at_synchronous();
        let _ = self.adjust_oom_score();
    }

    /// What a loaded snapshot says of the position is taken over at start-up (rule 40).
    pub fn restore_identity(&mut self, identity: &Identity) {
        let (Some(id), Some(offset)) =
            (identity.id.as_deref().and_then(|id| ReplId::parse(id.as_bytes())), identity.offset)
        else {
            return;
        };
        let past = self.restore_backlog(id, offset);
        let now = self.now_ms();
        let r = &mut self.replication;
        r.master.replicas_may_come(now);
        r.log.reset_to(offset);
        if let Some(db) = identity.stream_db {
            r.encoder.resume_in(db);
        }
        match self.config.replicaof.clone() {
            Some(_) => {
                r.history = past.filter(|past| past.id() == id).unwrap_or_else(|| History::new(id));
            }
            None => {
                r.history = past.unwrap_or_else(|| History::new(id));
                r.history.promote(random_id(&mut self.engine.rng), offset);
                r.encoder.force_select();
            }
        }
        if identity.diverged {
            self.restored_diverged();
        }
    }

    /// The data on disk, which are loaded, were not what their position says. A master begins a history of its own with them.
    pub fn restored_diverged(&mut self) {
        match self.is_replica() {
            true => self.note_diverged(|| "so it was before the restart".to_string()),
            false => self.replication.history.adopt(random_id(&mut self.engine.rng)),
        }
    }

    /// The position that a restarted replica resumes from.
    pub fn restored_position(&self) -> Option<Position> {
        let r = &self.replication;
        (r.log.is_active() && !r.truth.is_stranger).then(|| r.history.position_at(r.offset()))
    }

    /// A replica's data are loaded: its link may begin, where they stand.
    pub fn begin_following(&mut self) {
        let cached = self.restored_position();
        let (db, offset) = (self.replication.encoder.db().unwrap_or(0) as usize, self.replication.offset());
        let Some(link) = &mut self.replication.link else { return };
        link.waits_for_data = false;
        link.has_its_data = cached.is_some();
        link.incoming.applied = Applied::from(offset);
        if let Some(position) = cached {
            link.state.kept(position);
        }
        let client = link.incoming.client;
        self.clients.at(client).session.db = db;
    }

    /// Asks all replicas for their offsets: a master does, before it ends or hands over.
    pub fn ask_for_acks(&mut self) {
        // Who was told to acknowledge by itself goes on to.
        let always = self.front.held.marks;
        if let Some(mut own) = self.replication.log.own() {
            own.append_control(if always { stream::GETACK_ALWAYS } else { stream::GETACK });
        }
    }

    // ---- commands ----

    pub fn replicaof(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        if !self.replication.failover.is_idle() {
            return Err(Fail::new("ERR REPLICAOF not allowed while failing over."));
        }
        // Both lead to the end of such connections, among them the one that asks.
        if matches!(self.clients.at(id).session.kind, Kind::Replica | Kind::Master) {
            return Err(Fail::new("ERR Command is not valid when client is a replica."));
        }
        if args.is(1, "no") && args.is(2, "one") {
            if self.is_replica() {
                let line = self.client_line(id);
                self.promote(Promoter::User);
                log::notice!("MASTER MODE enabled (user request from '{line}')");
            } else {
                self.is_master_again();
            }
            by.reply.ok();
            return Ok(());
        }
        let port = rivulet_commands::parse::int(args.at(2)).ok().and_then(|port| u16::try_from(port).ok());
        let port = port.ok_or(Fail::new("ERR Invalid master port"))?;
        let host = String::from_utf8_lossy(args.at(1)).into_owned();
        if let Some(link) = &self.replication.link
            && link.host.eq_ignore_ascii_case(&host)
            && link.port == port
        {
            log::notice!(
                "REPLICAOF would result into synchronization with the master we are already connected with. No operation performed."
            );
            by.reply.simple("OK Already connected to specified master");
            return Ok(());
        }
        let line = self.client_line(id);
        self.follow(&host, port);
        log::notice!("REPLICAOF {host}:{port} enabled (user request from '{line}')");
        by.reply.ok();
        Ok(())
    }

    pub fn role(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        let r = &self.replication;
        if let Some(link) = &r.link {
            let (host, port, state) = (link.host.clone(), link.port, link.state.role_state());
            let offset = if link.state.is_up() { r.log.end_offset() as i64 } else { -1 };
            let reply = &mut by.reply;
            reply.array(5);
            reply.bulk(b"slave");
            reply.bulk(host.as_bytes());
            reply.int(i64::from(port));
            reply.bulk(state.as_bytes());
            reply.int(offset);
            return Ok(());
        }
        let replicas: Vec<(String, u16, u64)> = r
            .master
            .sessions()
            .filter(|(_, s)| s.is_online())
            .map(|(_, s)| (s.ip().to_string(), s.announced().port, s.ack_offset()))
            .collect();
        let offset = r.offset();
        let reply = &mut by.reply;
        reply.array(3);
        reply.bulk(b"master");
        reply.int(offset as i64);
        reply.array(replicas.len());
        for (ip, port, acked) in replicas {
            reply.array(3);
            reply.bulk(ip.as_bytes());
            reply.bulk(port.to_string().as_bytes());
            reply.bulk(acked.to_string().as_bytes());
        }
        Ok(())
    }

    pub fn wait(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        if self.is_replica() {
            return Err(Fail::new(
                "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.",
            ));
        }
        let wanted = rivulet_commands::parse::int(args.at(1))?;
        let deadline = self.deadline_of(args.at(2))?;
        let offset = self.clients.at(id).session.written_offset;
        // Fewer than none are always there, as in Redis.
        let wish = Wish::Acked { replicas: usize::try_from(wanted).unwrap_or(0) };
        if by.origin != Origin::Client || self.is_where_wished(wish, offset) {
            self.tell_acks(by, wish, offset);
            return Ok(());
        }
        self.block(id, BlockedOn::Acks { wish, offset }, deadline);
        self.replication.master.want_acks();
        Ok(())
    }
}
