//! REPLICATION VERIFY: digests are asked for, made and compared.

use rivulet_commands::fail::{Fail, SYNTAX};
use rivulet_commands::parse;
use rivulet_engine::blocked::BlockedOn;
use rivulet_engine::client_id::ClientId;
use rivulet_host::sync::{self};
use rivulet_replication::session::Filter;
use rivulet_replication::verify::{Content, Examined, Marker, Report, Step, Token, Verdict, Verification};
use rivulet_resp::{Args, Reply};

use super::{Asked, Digest};
use crate::log;
use crate::node::Node;
use crate::persist::saving::{Purpose, Running};
use crate::persist::snapshot::{Destination, Form, Snapshot};
use crate::system::os_error;

/// Unless TIMEOUT says otherwise.
const TIMEOUT_MS: i64 = 60_000;

impl Node {
    /// `REPLICATION VERIFY [<ip:port>|ALL] [TIMEOUT <ms>]`.
    pub fn replication_verify(&mut self, id: ClientId, args: Args<'_>) -> Result<(), Fail> {
        let (mut target, mut timeout, mut i) = (None, TIMEOUT_MS, 2);
        while i < args.len() {
            if args.is(i, "timeout") && i + 1 < args.len() {
                timeout = parse::int(args.at(i + 1))?;
                i += 1;
            } else if i > 2 {
                return Err(SYNTAX);
            } else if !args.is(i, "all") {
                target = Some(String::from_utf8_lossy(args.at(i)).into_owned());
            }
            i += 1;
        }
        let timeout = u64::try_from(timeout).ok().filter(|ms| *ms > 0);
        let timeout = timeout.ok_or(Fail::new("ERR timeout must be a positive number of milliseconds"))?;
        if self.is_replica() {
            return Err(Fail::new("ERR REPLICATION VERIFY runs on the master, whose stream carries the marker"));
        }
        if self.replication.verify.asked.is_some() {
            return Err(Fail::new("ERR A verification is in progress"));
        }
        if !self.replication.failover.is_idle() {
            return Err(Fail::new("ERR REPLICATION VERIFY not allowed while failing over."));
        }
        let now = self.now_ms();
        let replicas = self.replicas_to_verify(target.as_deref());
        if let (Some(target), true) = (&target, replicas.is_empty()) {
            return Err(Fail::text(format!("ERR No such replica: {target}")));
        }
        let verification = Verification::new(replicas, target.is_some(), now + timeout);
        let offset = self.replication.offset();
        self.replication.verify.asked = Some(Asked { client: id, verification, offset });
        // The answer comes from `verify_tick` in any case, also at once.
        self.block(id, BlockedOn::Verify, None);
        self.verify_tick();
        Ok(())
    }

    /// The replicas by run id and address: those connected here, and the Rivulet nodes below them, whose addresses they tell.
    fn replicas_to_verify(
        &mut self,
        target: Option<&str>,
    ) -> Vec<(Option<rivulet_replication::position::ReplId>, String)> {
        let now = self.now_ms();
        let sessions = self.replication.master.sessions().map(|(_, session)| session);
        let mut replicas: Vec<_> = sessions
            .filter(|session| session.announced().has_stream())
            .map(|session| (session.announced().run_id, session.name()))
            .collect();
        if let Some(target) = target {
            replicas.retain(|(_, name)| name == target);
            return replicas;
        }
        for id in self.replication.master.below(now) {
            if !replicas.iter().any(|(known, _)| *known == Some(id)) {
                replicas.push((Some(id), String::new()));
            }
        }
        replicas
    }

    /// Goes on with the verification that a client waits for.
    pub fn verify_tick(&mut self) {
        let now = self.now_ms();
        loop {
            let verify = &mut self.replication.verify;
            let Some(asked) = &mut verify.asked else { return };
            let client = asked.client;
            let waits = self.clients.get(client).and_then(|c| c.session.blocked.as_deref());
            if !waits.is_some_and(|blocked| matches!(blocked.reason, BlockedOn::Verify)) {
                verify.asked = None;
                return;
            }
            match asked.verification.next(now) {
                Step::Wait => return,
                Step::Mark(keys_of) => {
                    let marker =
                        Marker { token: Token { id: self.engine.rng.u64(..), unix_ms: self.unix_ms() }, keys_of };
                    let offset = self.replication.offset();
                    // Who shuts down or hands over waits for replicas to reach the end of the stream.
                    let ends = self.life.shutdown.is_some() || !self.replication.failover.is_idle();
                    if ends || !self.may_digest() || !self.begin_digest(&marker, offset) {
                        return;
                    }
                    let first = marker.keys_of.is_none();
                    if let Some(mut own) = self.replication.log.own() {
                        own.append_control(&marker.command());
                    }
                    if let Some(asked) = &mut self.replication.verify.asked {
                        asked.verification.began(marker.token, offset);
                        if first {
                            asked.offset = offset;
                        }
                    }
                }
                Step::Done => {
                    self.unblock_as_timed_out(client);
                    return;
                }
            }
        }
    }

    /// The client's answer, as far as it is known.
    pub fn reply_verify(&mut self, id: ClientId) {
        let Some(asked) = self.replication.verify.asked.take_if(|asked| asked.client == id) else { return };
        let nodes = asked.verification.nodes();
        self.reply_late(id, |reply| {
            reply.map(2);
            reply.bulk(b"offset");
            reply.int(asked.offset as i64);
            reply.bulk(b"replicas");
            reply.array(nodes.len());
            nodes.iter().for_each(|node| reply_node(reply, node));
        });
    }

    // ---- digests ----

    /// A snapshot of it can begin: nothing else makes or loads one, and the data are what the stream says.
    fn may_digest(&self) -> bool {
        self.persist.saving.running.is_none() && self.persist.loading.load.is_none() && !self.is_busy()
    }

    /// Begins a digest of the data as they are now, after `offset` bytes of the stream.
    fn begin_digest(&mut self, marker: &Marker, offset: u64) -> bool {
        let (to, found) = sync::channel();
        let mut head = self.snapshot_head(Form::Flat, Filter::default());
        head.checksum = false;
        let destination = Destination::Digest { marker: marker.clone(), to };
        let now = self.now_ms();
        match Snapshot::begin(&mut self.engine.keyspace, head, destination, self.front.waker.clone(), now) {
            Ok(snapshot) => {
                self.persist.saving.running = Some(Running { snapshot, purpose: Purpose::Verify });
                self.replication.verify.digest = Some(Digest { token: marker.token, offset, found });
                true
            }
            Err(e) => {
                log::warning!("Can't begin a digest of the data: {}", os_error(&e));
                false
            }
        }
    }

    /// The digest is made, or was given up.
    pub fn digest_ended(&mut self) {
        let Some(digest) = self.replication.verify.digest.take() else { return };
        let findings = digest.found.try_recv().ok();
        if self.is_replica() {
            let content = findings.map_or(Content::Busy, Content::Found);
            self.report_up(digest.token, digest.offset, content);
            return;
        }
        let now = self.now_ms();
        if let Some(asked) = &mut self.replication.verify.asked {
            asked.verification.found(digest.token, findings, now);
        }
        self.verify_tick();
    }

    // ---- markers and reports ----

    /// A marker stood in the stream of this replica: what was applied before it is what the master had when it put it.
    pub fn marker_came(&mut self, marker: &Marker) {
        // A master that is not Rivulet passes markers on, and would not understand what is reported.
        if self.replication.link.as_ref().is_none_or(|link| link.state.master_run_id().is_none()) {
            return;
        }
        let offset = self.replication.offset();
        let token = marker.token;
        let strangers = self.replication.master.sessions().map(|(_, session)| session);
        let strangers = strangers.filter(|s| s.announced().run_id.is_none() && s.announced().has_stream());
        let strangers: Vec<String> = strangers.map(|session| session.name()).collect();
        for address in strangers {
            let report = Report { token, offset, run_id: None, address, content: Content::Unverifiable };
            self.send_to_master(report.command());
        }
        if !self.may_digest() || !self.begin_digest(marker, offset) {
            self.report_up(token, offset, Content::Busy);
        }
    }

    fn report_up(&mut self, token: Token, offset: u64, content: Content) {
        if self.replication.link.as_ref().is_some_and(|link| link.state.is_up()) {
            let run_id = Some(self.replication.run_id);
            let report = Report { token, offset, run_id, address: String::new(), content };
            self.send_to_master(report.command());
        }
    }

    /// A replica reports, of itself or of one below it.
    pub fn verify_report(&mut self, id: ClientId, bytes: &[u8]) {
        let Some(session) = self.replication.master.get(id) else { return };
        let Some(mut report) = Report::decode(bytes) else { return };
        if report.address.is_empty() {
            report.address = session.name();
        }
        if let Some(link) = &self.replication.link {
            if link.state.is_up() && link.state.master_run_id().is_some() {
                self.send_to_master(report.command());
            }
            return;
        }
        if let Some(asked) = &mut self.replication.verify.asked {
            asked.verification.reported(report);
        }
        self.verify_tick();
    }
}

fn reply_node(reply: &mut Reply<'_>, node: &Examined) {
    let (word, reason) = match &node.verdict {
        Verdict::Equal => ("yes", "all keys, values and deadlines are the same at this offset"),
        Verdict::Differs(difference) => match (difference.keys, difference.complete) {
            (None, _) => ("no", "there was no time to ask for the keys"),
            (Some(0), true) => ("no", "what differed at this offset was the same again a moment later"),
            (Some(_), true) => ("no", "these keys differ"),
            (Some(_), false) => ("no", "too many keys to compare them all: some that differ"),
        },
        Verdict::Unverifiable => ("unverifiable", "it is no Rivulet server"),
        Verdict::Awaited => ("timeout", "it has not reported in time"),
        Verdict::Busy => ("timeout", "it makes or loads a snapshot, and could not begin"),
    };
    let nothing = rivulet_replication::verify::Difference { complete: true, ..Default::default() };
    let difference = match &node.verdict {
        Verdict::Differs(difference) => difference,
        _ => &nothing,
    };
    let run_id = node.run_id.map_or_else(String::new, |id| id.to_string());
    reply.map(7);
    for (name, text) in [("addr", node.address.as_str()), ("run_id", &run_id), ("equal", word), ("reason", reason)] {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    reply.bulk(b"offset");
    reply.int(node.offset.map_or(-1, |offset| offset as i64));
    reply.bulk(b"differing_keys");
    reply.int(difference.keys.unwrap_or(0) as i64);
    reply.bulk(b"keys");
    reply.array(difference.named.len());
    for (db, key, how) in &difference.named {
        reply.array(3);
        reply.int(i64::from(*db));
        reply.bulk(key);
        reply.bulk(how.word().as_bytes());
    }
}
