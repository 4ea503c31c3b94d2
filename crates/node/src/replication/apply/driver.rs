//! The stream is decoded and executed, and passed on as it came.

use rivulet_aof::annotation::Annotation;
use rivulet_config::PropagationError;
use rivulet_engine::client_id::ClientId;
use rivulet_engine::look_up::BATCH_COMMANDS;
use rivulet_engine::session::Kind;
use rivulet_replication::apply::Applied;
use rivulet_resp::decode::Limits;
use rivulet_resp::{Batch, Decoder};

use super::{ApplyError, Diverged};
use crate::log;
use crate::node::Node;

/// A full sync that an error in the stream asks for comes at most this often: if it did not help, another one would not.
const HEAL_SPACING_MS: u64 = 3_600_000;

/// After so many bytes of the stream one looks whether the disk keeps up.
const DISK_LOOK_BYTES: usize = 1 << 20;

/// The stream while a part of it is executed.
struct Run {
    client: ClientId,
    input: Vec<u8>,
    decoder: Decoder,
    /// Bytes of the input that are executed, and of those the ones that are in the log.
    executed: usize,
    applied: usize,
}

/// Why a run ends before its input does.
enum Stop {
    /// The rest is no whole command, or a pause keeps it.
    Rest,
    /// The disk must catch up first.
    Disk,
    /// The link is cut, or its client is gone: the rest is of no use.
    Gone,
    /// What came is no command.
    Protocol(String),
    /// The data are to be fetched again.
    Heal,
}

impl Node {
    /// The stream begins, or goes on, after `offset`.
    pub fn stream_from(&mut self, offset: u64) {
        let db = self.replication.encoder.db().unwrap_or(0) as usize;
        // What failed in a transaction that was cut is not of what comes now.
        self.replication.truth.apply_error = None;
        let Some(link) = &mut self.replication.link else { return };
        link.incoming.applied = Applied::from(offset);
        link.incoming.bytes.clear();
        link.incoming.executed = 0;
        link.incoming.decoder.rewind();
        let client = link.incoming.client;
        if let Some(client) = self.clients.get_mut(client) {
            client.session.multi = None;
            client.session.db = db;
        }
    }

    /// Executes what a pause kept.
    pub fn apply_kept_stream(&mut self) {
        if self.replication.link.as_ref().is_some_and(|link| link.state.is_up() && !link.incoming.bytes.is_empty()) {
            self.apply_stream(&[]);
            self.read_master_again();
        }
    }

    /// Executes what is whole of the stream. Bytes before `executed` belong to a transaction that is open: executed, but not yet applied.
    pub fn apply_stream(&mut self, bytes: &[u8]) {
        let Some(link) = &mut self.replication.link else { return };
        link.incoming.applied.received(bytes.len());
        let mut run = Run {
            client: link.incoming.client,
            input: std::mem::take(&mut link.incoming.bytes),
            decoder: std::mem::take(&mut link.incoming.decoder),
            executed: link.incoming.executed,
            applied: 0,
        };
        run.input.extend_from_slice(bytes);
        let mut batch = std::mem::take(&mut self.front.batch);
        // Much may have been kept, and what is applied must be written.
        let mut look_at = run.executed;
        let stop = loop {
            if run.executed >= look_at {
                look_at = run.executed + DISK_LOOK_BYTES;
                if self.stream_must_wait() {
                    break Stop::Disk;
                }
            }
            if let Err(stop) = self.apply_batch(&mut run, &mut batch) {
                break stop;
            }
        };
        self.front.batch = batch;
        if matches!(stop, Stop::Gone) {
            return;
        }
        run.input.drain(..run.applied);
        let Some(link) = self.replication.link.as_mut().filter(|link| link.incoming.client == run.client) else {
            return;
        };
        link.incoming.bytes = run.input;
        link.incoming.executed = run.executed - run.applied;
        link.incoming.decoder = run.decoder;
        link.rests_for_disk = matches!(stop, Stop::Disk);
        let now = self.now_ms();
        let mut actions = Vec::new();
        if let Some(link) = &mut self.replication.link {
            match stop {
                Stop::Rest | Stop::Disk | Stop::Gone => return,
                Stop::Protocol(text) => link.state.protocol_error(now, &text, &mut actions),
                Stop::Heal => link.state.resync(now, &mut actions),
            }
        }
        self.follow_actions(actions);
    }

    /// Decodes and executes up to a batch of commands.
    fn apply_batch(&mut self, run: &mut Run, batch: &mut Batch) -> Result<(), Stop> {
        batch.clear();
        let limits = Limits { bulk_len_max: u64::MAX, authenticated: true, arrays_only: true };
        let decoded = run.decoder.decode(&run.input[run.executed..], batch, BATCH_COMMANDS, limits);
        if batch.is_empty() {
            return Err(decoded.err().map_or(Stop::Rest, |error| Stop::Protocol(error.to_string())));
        }
        let base = run.executed;
        let db = self.clients.at(run.client).session.db;
        let looked_up = self.engine.look_up(db, batch, &run.input[base..]);
        for i in 0..batch.len() {
            let (command, args) = (looked_up.commands[i], batch.args(i, &run.input[base..]));
            if args.wire().is_none() {
                return Err(Stop::Protocol("a command of the master is not in the form that masters send".to_string()));
            }
            if self.must_pause_stream(run.client, command) {
                run.decoder.rewind();
                return Err(Stop::Rest);
            }
            self.execute(run.client, command, args, looked_up.hints[i]);
            self.command_applied(run, base + batch.wire_end(i))?;
        }
        // The decoder stands before a command that is not whole: its place is counted from the present base.
        run.decoder.rebase();
        Ok(())
    }

    /// The command that ends at `end` was executed: what became applied with it goes to the log.
    fn command_applied(&mut self, run: &mut Run, end: usize) -> Result<(), Stop> {
        let Some(client) = self.clients.get(run.client) else { return Err(Stop::Gone) };
        let (in_multi, db) = (client.session.multi.is_some(), client.session.db);
        // The command itself may have cut the link: its position is before it, and what follows would come again.
        let link = self.replication.link.as_mut().filter(|link| link.state.is_up());
        let Some(link) = link else { return Err(Stop::Gone) };
        let count = link.incoming.applied.command(end - run.executed, in_multi);
        run.executed = end;
        if count == 0 {
            return Ok(());
        }
        let error = self.replication.truth.apply_error.take();
        let passes_over = error.as_ref().is_some_and(|error| error.unknown);
        if passes_over {
            self.pass_over_in_files(count);
        }
        if let Some(mut stream) = self.replication.log.masters() {
            stream.append(&run.input[run.applied..run.applied + count]);
        }
        if passes_over && !self.persist.log.files.is_backlog() {
            // Nothing may come between the line and what it speaks of, such as a line that tells the time.
            self.hand_over(self.replication.offset());
        }
        self.replication.encoder.resume_in(db as u32);
        run.applied += count;
        if let Some(link) = &mut self.replication.link {
            link.state.applied(link.incoming.applied.applied());
        }
        if error.is_some_and(|error| self.heals_after(error)) { Err(Stop::Heal) } else { Ok(()) }
    }

    // ---- what can't be done here ----

    /// An error goes to a peer that should never cause one (`afterErrorReply` in networking.c).
    pub fn note_error_to_peer(&mut self, id: ClientId, text: &[u8]) {
        let Some(client) = self.clients.get(id) else { return };
        let loads = self.persist.loading.replayer == Some(id);
        let (from, to) = match client.session.kind {
            Kind::Master if loads => ("server", "AOF-loading-client"),
            Kind::Master => ("replica", "master"),
            Kind::Replica => ("master", "replica"),
            _ => return,
        };
        let command = client.session.last_command.map_or("<unknown>", |command| command.full_name).to_string();
        let text = String::from_utf8_lossy(text).into_owned();
        log::warning!(
            "== CRITICAL == This {from} is sending an error to its {to}: '{text}' after processing the command '{command}'"
        );
        self.ops.stats.errors.unexpected += 1;
        self.persist.aof.replay_failed |= loads;
        let behavior = self.config.propagation_error_behavior;
        // A replica that takes writes may have caused it itself.
        let by_its_master = to == "master" && self.config.replica_read_only;
        let ends = match behavior {
            PropagationError::Panic => loads || by_its_master,
            PropagationError::PanicOnReplicas => by_its_master,
            _ => false,
        };
        if ends {
            log::warning!(
                "This {from} panicked sending an error to its {to} after processing the command '{command}': propagation-error-behavior asks for that."
            );
            self.life.exit = Some(1);
        }
        if to == "master" && self.replication.truth.apply_error.is_none() {
            let unknown = text.starts_with("ERR unknown");
            self.replication.truth.apply_error = Some(ApplyError { command, text, unknown });
        }
    }

    /// The data are others than the position says, from now on. The first reason is kept.
    pub fn note_diverged(&mut self, why: impl FnOnce() -> String) {
        let offset = self.replication.offset();
        match &mut self.replication.truth.diverged {
            Some(diverged) => diverged.times += 1,
            none => *none = Some(Diverged { offset, why: why(), times: 1 }),
        }
    }

    /// A transaction wrote and made a replica of this server: what it wrote is in no stream, so the position is no proof, and not one to go on from.
    pub fn note_role_changed_within(&mut self) {
        self.note_diverged(|| "a transaction wrote here and changed the role of this node".to_string());
        if let Some(link) = &mut self.replication.link {
            link.state.forget_position();
        }
    }

    /// A command of the master has failed here. Answers whether the data shall be fetched again.
    fn heals_after(&mut self, error: ApplyError) -> bool {
        let ApplyError { command, text, unknown } = error;
        let first = self.replication.truth.diverged.is_none();
        self.note_diverged(|| format!("the master's command '{command}' failed here: {text}"));
        let asked = self.config.propagation_error_behavior == PropagationError::Resync && !unknown;
        let now = self.now_ms();
        let rested = self.replication.truth.healed_at_ms.is_none_or(|at| now.saturating_sub(at) >= HEAL_SPACING_MS);
        if asked && rested {
            self.replication.truth.healed_at_ms = Some(now);
            log::warning!("The data differ from the master's: fetching them again.");
            return true;
        }
        if first {
            let why = match (unknown, asked) {
                (true, _) => "this version does not know the command, and a full sync would not change that",
                (false, true) => "the last full sync for that reason did not help",
                (false, false) => "propagation-error-behavior does not ask for a full sync",
            };
            log::warning!("The data differ from the master's from now on: {why}. See REPLICATION DOCTOR.");
        }
        false
    }

    /// The next bytes of the stream are not executed here, and are not to be at a restart.
    fn pass_over_in_files(&mut self, bytes: usize) {
        if !self.persist.log.files.is_backlog() {
            let mut line = Vec::new();
            Annotation::Passed(bytes as u64).append_to(&mut line);
            self.hand_over_own(&line);
        }
    }
}
