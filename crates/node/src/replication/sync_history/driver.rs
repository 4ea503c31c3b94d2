//! Syncs are noted, and shown by REPLICATION SYNCS.

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_commands::parse;
use rivulet_engine::asker::Asker;
use rivulet_engine::client_id::ClientId;
use rivulet_replication::measure::{Lag, Peer};
use rivulet_replication::messages::PsyncRequest;
use rivulet_replication::session::{Session, State};
use rivulet_replication::syncs::{Beginning, Ended, Kind, SyncRecord};
use rivulet_resp::{Args, Reply};

use super::OwnSync;
use crate::node::Node;

/// Syncs that HISTORY shows unless it is told how many.
const SHOWN: i64 = 10;

impl Node {
    /// REPLICATION and its subcommands.
    pub fn replication_command(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
        let id = by.id;
        match command.name {
            "history" => self.replication_history(id, args)?,
            "doctor" => {
                let text = self.replication_doctor();
                by.reply.verbatim("txt", text.as_bytes());
            }
            "fence" => self.fence(by, args)?,
            "members" => self.members(by, args)?,
            "promote" => self.promote_in_epoch(by, args)?,
            "verify" => self.replication_verify(id, args)?,
            _ => self.help(
                by,
                "REPLICATION",
                &[
                    "DOCTOR",
                    "    What is wrong with replication, and which directive to set to what.",
                    "FENCE <epoch> <sentinel id>",
                    "    Acknowledge nothing to masters of older epochs; tell where this node stands. For Sentinels.",
                    "HISTORY [<count>]",
                    "    The latest <count> full and partial syncs (10; -1 for all), newest first, each with its reason.",
                    "MEMBERS <epoch> <node id> [<node id> ...]",
                    "    Whose acknowledgements count when replies wait for replicas. For Sentinels.",
                    "PROMOTE <epoch> <sentinel id>",
                    "    Become a master, if that epoch was promised to that leader, and no later one. For Sentinels.",
                    "VERIFY [<ip:port>|ALL] [TIMEOUT <milliseconds>]",
                    "    Prove that replicas have the same data as this master at one offset, and name the keys that differ.",
                ],
            ),
        }
        Ok(())
    }

    fn replication_history(&mut self, id: ClientId, args: Args<'_>) -> Result<(), Fail> {
        let count = args.get(2).map_or(Ok(SHOWN), parse::int)?;
        if count < -1 {
            return Err(Fail::new("ERR count should be greater than or equal to -1"));
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let now = self.now_ms();
        let ahead_ms = self.unix_ms() as i64 - now as i64;
        let client = self.clients.at(id);
        let mut reply = Reply::new(&mut client.connection.outbox.output.bytes, client.session.resp3);
        let syncs: Vec<&SyncRecord> = self.replication.observed.syncs.newest().take(count).collect();
        reply.array(syncs.len());
        syncs.iter().for_each(|sync| reply_sync(&mut reply, sync, now, ahead_ms));
        Ok(())
    }

    // ---- at the master's end ----

    /// A sync was granted to a replica: `Master::decided` says which, and why. Or it is a replica's second connection, over which it fetches
    /// the snapshot (`is_channel`).
    pub fn sync_granted(&mut self, id: ClientId, peer: Peer, is_channel: bool, request: Option<&PsyncRequest>) {
        let now = self.now_ms();
        let r = &mut self.replication;
        if is_channel && r.observed.syncs.fetched_over(&peer.address, id) {
            return;
        }
        r.observed.measure.attached(&peer, now);
        let at = Beginning {
            peer: peer.address,
            id: r.history.id(),
            second: r.history.second_id(),
            window: r.log.window(),
            offset: r.log.end_offset(),
        };
        r.observed.syncs.granted(id, request, r.master.decided(), at, now);
    }

    /// A replica has acknowledged something: its sync may be done.
    pub fn look_at_sync(&mut self, id: ClientId) {
        let now = self.now_ms();
        let r = &mut self.replication;
        let Some(session) = r.master.get(id) else { return };
        let ended = r.observed.syncs.look_at(id, session, r.log.end_offset(), now);
        self.sync_ended(ended);
    }

    /// The connection of a replica is about to go.
    pub fn sync_replica_gone(&mut self, id: ClientId) {
        let now = self.now_ms();
        let r = &mut self.replication;
        let Some(session) = r.master.get(id) else { return };
        if session.state() == State::Sent {
            return r.observed.syncs.snapshot_fetched(id, now);
        }
        if !session.announced().rdb_channel {
            r.observed.measure.detached(peer_of(session), now);
        }
        r.observed.syncs.replica_gone(id, "the connection with the replica was lost", now);
    }

    // ---- at the replica's end ----

    /// The link is to be made, from where the data stand.
    pub fn own_sync_asked(&mut self) {
        let now = self.now_ms();
        let position = self.replication.link.as_ref().and_then(|link| link.state.position());
        let own = &mut self.replication.observed.own_sync;
        own.asked = Some((now, position));
        own.complaint.clear();
    }

    /// The master's answer leads to a sync of this kind; with the old SYNC there is no position to aim at.
    pub fn own_sync_began(&mut self, kind: Kind, old_sync: bool) {
        let now = self.now_ms();
        let r = &mut self.replication;
        let Some(link) = &r.link else { return };
        let (at, asked) = r.observed.own_sync.asked.unwrap_or((now, None));
        let beginning = Beginning {
            peer: format!("{}:{}", link.host, link.port),
            id: r.history.id(),
            second: r.history.second_id(),
            window: r.log.window(),
            offset: r.log.end_offset(),
        };
        r.observed.syncs.made(kind, asked, old_sync, beginning, at);
    }

    /// The stream flows, from this offset on.
    pub fn own_stream_began(&mut self, offset: u64) {
        let now = self.now_ms();
        let own = &mut self.replication.observed.own_sync;
        own.up_from = Some(offset);
        if let Some(lost_at) = own.lost_at.take() {
            self.note_latency("repl-link-down", now.saturating_sub(lost_at));
        }
    }

    pub fn own_link_complained(&mut self, text: &str) {
        self.replication.observed.own_sync.complaint = text.to_string();
    }

    /// The link is cut.
    pub fn own_link_cut(&mut self) {
        let now = self.now_ms();
        let r = &mut self.replication;
        if r.observed.own_sync.up_from.take().is_some() {
            r.observed.own_sync.lost_at = Some(now);
        }
        let why = std::mem::take(&mut r.observed.own_sync.complaint);
        let why = if why.is_empty() { "the link was cut" } else { &why };
        r.observed.syncs.made_failed(why, now);
    }

    /// This node is no replica any more.
    pub fn own_sync_ended(&mut self) {
        let now = self.now_ms();
        self.replication.observed.syncs.made_failed("this node became a master", now);
        self.replication.observed.own_sync = OwnSync::default();
    }

    // ---- time ----

    /// Samples the stream and the lag of replicas, ends syncs that are done, and sizes the backlog if it is to size itself.
    pub fn measure_tick(&mut self) {
        let now = self.now_ms();
        let r = &mut self.replication;
        let end = r.log.end_offset();
        r.observed.measure.sample_stream(end, now);
        if r.observed.measure.lags_are_due(now) {
            for (_, session) in r.master.sessions().filter(|(_, session)| session.is_online()) {
                let lag = Lag { bytes: end.saturating_sub(session.ack_offset()), seconds: session.lag_seconds(now) };
                r.observed.measure.sample_lag(peer_of(session), lag);
            }
            self.size_backlog();
        }
        let r = &mut self.replication;
        if r.link.as_ref().is_some_and(|link| link.state.is_up())
            && let Some(from) = r.observed.own_sync.up_from
        {
            let ended = r.observed.syncs.made_done(end.saturating_sub(from), now);
            self.sync_ended(ended);
        }
    }

    /// `repl-backlog-size auto`.
    pub fn size_backlog(&mut self) {
        let now = self.now_ms();
        let r = &mut self.replication;
        let size = match self.config.repl_backlog_size.bytes() {
            Some(bytes) => bytes,
            None => r.observed.measure.auto_size(r.log.size(), now),
        };
        if size != r.log.size() {
            r.log.resize(size);
        }
    }

    fn sync_ended(&mut self, ended: Option<Ended>) {
        if let Some(ended) = ended {
            let event = match ended.kind {
                Kind::Full => "repl-full-sync",
                Kind::Partial => "repl-partial-sync",
            };
            self.note_latency(event, ended.took);
        }
    }
}

fn peer_of(session: &Session) -> Peer {
    Peer { run_id: session.announced().run_id, address: session.name() }
}

/// `ahead_ms` is how far the wall clock, which people read, is ahead of the machine's.
fn reply_sync(reply: &mut Reply<'_>, sync: &SyncRecord, now: u64, ahead_ms: i64) {
    let (asked_id, asked) = sync.asked.as_ref().map_or(("", -1), |(id, asked)| (id.as_str(), *asked));
    let failure = match &sync.outcome {
        rivulet_replication::syncs::Outcome::Failed(why) => why.as_str(),
        _ => "",
    };
    let words = [
        ("role", sync.end.word()),
        ("peer", &sync.at.peer),
        ("kind", sync.kind.word()),
        ("reason", sync.why.reason),
        ("sentence", &sync.why.sentence),
        ("outcome", sync.outcome.word()),
        ("failure", failure),
        ("asked_replid", asked_id),
        ("replid", sync.at.id.as_str()),
        ("replid2", sync.at.second.as_str()),
    ];
    // As PSYNC and INFO do, bytes are numbered from 1 here.
    let numbers = [
        ("number", sync.number as i64),
        ("time_ms", sync.began_at as i64 + ahead_ms),
        ("asked_offset", asked),
        ("offset", sync.at.offset as i64),
        ("backlog_first_byte", sync.at.window.map_or(0, |window| window.first as i64 + 1)),
        ("backlog_last_byte", sync.at.window.map_or(0, |window| window.end as i64)),
        ("bytes", sync.bytes as i64),
        ("bytes_missing", sync.why.bytes_missing.map_or(0, |bytes| bytes as i64)),
        ("duration_ms", sync.duration(now) as i64),
    ];
    reply.map(words.len() + numbers.len());
    for (name, n) in numbers {
        reply.bulk(name.as_bytes());
        reply.int(n);
    }
    for (name, text) in words {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
}
